"""Permutation of axes."""
