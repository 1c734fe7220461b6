"""Kernels of the optimal schedule: costates backwards, and sweeps that set each rate to its best."""
