"""The host processor as a device: layout of tensors in memory, plans, and the one parallel runner."""
