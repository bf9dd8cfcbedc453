"""Convolution, and convolution fused with max pooling."""
