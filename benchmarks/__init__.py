"""Benchmarks: pytest-benchmark suites of ops and networks, and side-by-side runs against PyTorch."""
