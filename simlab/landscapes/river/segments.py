"""The segment test of Wen et al. 2024 (arXiv 2410.05192): the loss on the straight line between two iterates.

Between two iterates of the stable phase it is convex, for the line crosses the valley; between two that have decayed it
falls monotonically along the river.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from simlab.arrays import FloatArray
from simlab.doors import door
from simlab.errors import InputError, check_count, check_floats, check_kind
from simlab.landscapes.landscape import Landscape

__all__ = ["Segments", "segments"]


class Segments(NamedTuple):
    """Losses on n segments.

    share (points,) from 0 to 1.  loss (n, points).
    dip (n,) : mean of the two ends minus the middle.
    predicted_dip (n,) : D^T H D / 8 with D the difference of the ends and H the Hessian in the middle; exact where the
        loss is quadratic. Its mean over independent stationary hill states y, y' is sum_i E lam_i (y_i - y'_i)^2 / 8 =
        sum_i lam_i v_i / 4, half the hill loss (derived for this project).
    crosses (n,) bool : the loss has its least value strictly inside, so that it is not monotone.
    convex (n,) bool : no second difference is below rounding.
    """

    share: FloatArray
    loss: FloatArray
    dip: FloatArray
    predicted_dip: FloatArray
    crosses: npt.NDArray[np.bool_]
    convex: npt.NDArray[np.bool_]

    @property
    def monotone(self) -> npt.NDArray[np.bool_]:
        """(n,) bool: the loss only falls, or only rises."""
        steps = np.diff(self.loss, axis=1)
        slack = 1e-12 * np.max(np.abs(self.loss), axis=1, keepdims=True)
        out: npt.NDArray[np.bool_] = np.all(steps <= slack, axis=1) | np.all(steps >= -slack, axis=1)
        return out


@door
def segments(landscape: Landscape, first: npt.ArrayLike, second: npt.ArrayLike, points: int = 33) -> Segments:
    """Loss along the segments from first (n, dim) to second (n, dim), at so many points with both ends."""
    check_kind("landscape", landscape, Landscape, "a landscape", "make one with simlab.river.curved(), say")
    a, b = (np.atleast_2d(check_floats(name, part)) for name, part in (("first", first), ("second", second)))
    if a.shape != b.shape or a.shape[1] != landscape.dim:
        raise InputError(f" has shape {a.shape} and second {b.shape}; give (n, {landscape.dim}) each.", "first")
    # An odd number, so that the middle is one of them.
    count = check_count("points", points, low=3, high=10**6) | 1
    share = np.linspace(0.0, 1.0, count)
    loss = landscape.value(a[:, None] + share[:, None] * (b - a)[:, None])
    middle, difference = 0.5 * (a + b), b - a
    predicted = [0.125 * float(d @ landscape.hessian(m) @ d) for m, d in zip(middle, difference, strict=True)]
    inside = np.argmin(loss, axis=1)
    bends = loss[:, 2:] - 2.0 * loss[:, 1:-1] + loss[:, :-2]
    slack = 1e-12 * np.max(np.abs(loss), axis=1, keepdims=True)
    return Segments(
        share,
        loss,
        0.5 * (loss[:, 0] + loss[:, -1]) - loss[:, count // 2],
        np.array(predicted),
        (inside > 0) & (inside < count - 1),
        np.all(bends >= -slack, axis=1),
    )
