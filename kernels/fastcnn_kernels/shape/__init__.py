"""Reshape, concatenation, and the mean over a sample."""
