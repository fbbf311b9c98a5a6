"""Counts and bytes by arithmetic, from a model's config alone."""
