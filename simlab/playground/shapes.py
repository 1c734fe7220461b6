"""The profiles of `simlab.schedules.shapes` as JavaScript: the same formulas, printed once more."""

from __future__ import annotations

import inspect

from simlab.schedules.codegen import Functions, Symbol
from simlab.schedules.shapes import SHAPES

__all__ = ["PROFILES", "shapes_source"]

PROFILES = (
    "linear",
    "cosine",
    "mirror-cosine",
    "1-sqrt",
    "square",
    "power",
    "exponential",
    "inverse-proportional",
    "rex",
    "uba",
    "inverse-sqrt",
)
"""What schedules.js is made of."""


def shapes_source() -> str:
    """`const SHAPES = {name: (u, v, ..) => .., ..}`, each profile written by calling it with symbols."""
    lines = []
    for name in PROFILES:
        _, *given = inspect.signature(SHAPES[name]).parameters
        body = SHAPES[name](Functions("Math"), *map(Symbol, given))
        lines.append(f'  "{name}": ({", ".join(given)}) => {body.text},')
    return "\n".join(["const SHAPES = {", *lines, "};", ""])
