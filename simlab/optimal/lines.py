"""Values of every step, straight between graded knots."""

from __future__ import annotations

import numpy as np

from simlab.arrays import FloatArray
from simlab.schedules.optimal import graded

__all__ = ["Lines"]


class Lines:
    """Values x (K,) at the knots `at` -> values (T,) at all steps, and gradients back.

    Some 2 `half` knots, geometric from the middle of the run towards its ends; of shorter runs every step is one.
    """

    def __init__(self, steps: int, half: int) -> None:
        self.at = graded(steps, half)
        t = np.arange(steps)
        self.j = np.clip(np.searchsorted(self.at, t, side="right") - 1, 0, max(self.at.size - 2, 0))
        self.k = np.minimum(self.j + 1, self.at.size - 1)
        self.part = (t - self.at[self.j]) / np.maximum(self.at[self.k] - self.at[self.j], 1)

    def up(self, x: FloatArray) -> FloatArray:
        """(K,) -> (T,)."""
        lines: FloatArray = x[self.j] * (1.0 - self.part) + x[self.k] * self.part
        return lines

    def down(self, slope: FloatArray) -> FloatArray:
        """The gradient at the knots (K,) of what has this slope at the steps (T,)."""
        out = np.zeros(self.at.size)
        np.add.at(out, self.j, slope * (1.0 - self.part))
        np.add.at(out, self.k, slope * self.part)
        return out
