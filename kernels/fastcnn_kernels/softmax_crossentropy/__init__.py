"""Softmax, sigmoid, and the crossentropies, alone and fused."""
