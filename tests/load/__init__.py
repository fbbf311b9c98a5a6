"""Loads and attacks: scripts that print their figures, each with a count. A short form of each is a test."""
