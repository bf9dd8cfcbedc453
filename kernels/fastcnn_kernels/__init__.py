"""The kernels of fastcnn: every op as NumPy reference and as Numba kernels, side by side."""
