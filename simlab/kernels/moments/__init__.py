"""Kernels of the exact second moments."""
