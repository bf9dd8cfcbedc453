"""Penalties on weights, and the sets that weights are kept in."""
