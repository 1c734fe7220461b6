"""Compiled kernels: arrays and counters in, arrays out; no objects, no files, no global state."""
