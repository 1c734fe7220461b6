"""Theorems of the SGD literature as executable statements: pure functions of NumPy arrays.

This package stands on its own ground. It imports nothing of `simlab`, so that a bound and a simulation that agree have
been computed by two independent codes. One module holds one paper or one family of theorems; every function declares
what it claims (exact, tight, upper, lower, asymptotic, scaling), under which assumptions, and its source.

The package is a documented start: no theorem is in it yet.
"""

__all__: list[str] = []
