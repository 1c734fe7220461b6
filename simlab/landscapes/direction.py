"""Which way a river runs, where its course is known in closed form."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from simlab.arrays import FloatArray
from simlab.errors import InputError
from simlab.kernels.landscapes.fields import CURVED, HYPERBOLIC, STRAIGHT, TAPERED
from simlab.landscapes.landscape import Landscape

__all__ = ["along_river", "plane", "runs_straight"]


def runs_straight(landscape: Landscape) -> bool:
    """Whether the river has one direction everywhere; an InputError where its course is not known."""
    if landscape.code in (STRAIGHT, TAPERED):
        return True
    if landscape.code in (CURVED, HYPERBOLIC):
        return False
    raise InputError(
        f" along the hills of {landscape.expression} cannot turn with its river, which is not known in closed "
        f"form; give `at`, a point whose lowest eigenvector is left out everywhere, or take another noise.",
        "noise",
    )


def plane(landscape: Landscape) -> tuple[FloatArray, FloatArray]:
    """Unit vectors (dim,) along the first two of the landscape's own coordinates, in which its river runs."""
    axes = landscape.rotation if landscape.turned else np.eye(landscape.dim)
    return np.ascontiguousarray(axes[:, 0]), np.ascontiguousarray(axes[:, 1])


def along_river(landscape: Landscape, points: npt.ArrayLike) -> FloatArray:
    """Unit tangents (n, dim) of the river at the river coordinates of points (n, dim), downstream in that coordinate.

    The river is the curve on which the hill loss is 0, as in `Landscape.split`: the axis of a straight, narrowing or
    widening valley, y = a sin kx, or w1 w2 = 1; turned along where the landscape is embedded. Raises InputError where
    no such curve is known.
    """
    w = np.atleast_2d(np.asarray(points, dtype=np.float64))
    p, q = plane(landscape)
    if runs_straight(landscape):
        return np.tile(p, (len(w), 1))
    x = w @ p
    if landscape.code == CURVED:
        a, k = landscape.params[4:6]
        tangent = p + np.multiply.outer(a * k * np.cos(k * x), q)
    else:
        tangent = np.multiply.outer(x**2, p) - q
    out: FloatArray = tangent / np.linalg.norm(tangent, axis=1, keepdims=True)
    return out
