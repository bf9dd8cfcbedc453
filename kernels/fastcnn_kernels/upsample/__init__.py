"""Nearest and bilinear upsampling by whole factors."""
