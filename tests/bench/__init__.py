"""Measurements against the alternative, in one run, side by side; each prints its ratio. Not tests: machines are noisy."""
