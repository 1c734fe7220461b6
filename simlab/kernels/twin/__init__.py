"""Kernels of the digital twin of a training run."""
