"""The GPU, real or emulated, behind one small interface: kernels as PTX, memory, launches, graphs."""
