"""Theory held against the engines: the one part of simlab that imports `theory`.

Each theorem of the catalogue has a `Check` in `checks/`, in a module named as the theorem's own: how to draw problems
inside its assumptions, what is true of them, and what takes them outside, where the theorem must refuse. What checks
share is in `draws/`. The machinery calls the theorem, compares by its kind, and tests every check; a new theorem needs
its function in `simlab.theory`, a Check, and nothing else.
"""

from simlab.conformance.check import Check, Comparison

__all__ = ["Check", "Comparison"]
