"""Kernels of random words and the laws drawn from them."""
