"""Kernels of stochastic trajectories of a regression."""
