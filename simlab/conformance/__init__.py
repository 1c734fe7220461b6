"""Theory held against the engines: the one part of simlab that imports `theory`.

Each theorem of the catalogue has a `Check` in a module of this package, named as the theorem's own module: how to draw
problems inside its assumptions, what the exact engine says of them, and problems just outside, which must be refused.
"""

from simlab.conformance.check import Check, Comparison

__all__ = ["Check", "Comparison"]
