"""Losses that are a mean over elements of a function of prediction and label."""
