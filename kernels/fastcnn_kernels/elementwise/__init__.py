"""Elementwise functions of one, two or many tensors."""
