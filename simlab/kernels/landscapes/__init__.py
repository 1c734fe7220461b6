"""Kernels of landscapes, and of descent on them."""
