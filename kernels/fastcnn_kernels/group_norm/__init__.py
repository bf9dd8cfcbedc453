"""Normalisation of each sample, or each pixel, by itself."""
