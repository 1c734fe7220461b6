"""The loss on rows that were held out: a quadratic form of w - w* that meets the moments between modes.

    1/2 E (delta^T A delta - 2 g . delta + level) = 1/2 (tr A E delta delta^T - 2 g . E delta + level)

The noiseless run has the mean and the level, noise adds 1/2 tr A E vv^T, and of a data set the covariance of the two.
"""

from __future__ import annotations

import numpy as np

from simlab.arrays import FloatArray, IntArray
from simlab.errors import InputError
from simlab.kernels.moments.layout import NodeArrays, padded
from simlab.kernels.moments.pairs import advance_pairs
from simlab.methods.base import Method
from simlab.problems.rows import HeldOut
from simlab.trace.state import State

__all__ = ["MOST_MODES", "HeldOutLoss", "PairsOfModes"]

MOST_MODES = 4096
"""Of independent coordinates whose pairs are stepped: 8.4 million pairs."""


class HeldOutLoss:
    """The held-out loss at the records of a run, `values` (records, components), NaN where it did not get."""

    def __init__(self, rows: HeldOut, steps: IntArray, components: tuple[str, ...]) -> None:
        self.rows, self.level = rows, rows.level
        self.values = np.full((steps.size, len(components)), np.nan)

    def record(self, row: int, second: FloatArray, linear: float, square: float) -> None:
        """second (parts,) : tr A P of bias, variance (and their covariance).  linear : g . E delta.  square : that of
        the mean, where a run has a deterministic part.
        """
        bias = 0.5 * (second[0] - 2.0 * linear + self.level)
        noise = [0.5 * second[1], *second[2:]]
        parts = [bias, *noise, 0.5 * (square - 2.0 * linear + self.level)]
        self.values[row] = parts[: self.values.shape[1]]

    def statistics(self) -> dict[str, tuple[tuple[str, ...], FloatArray]]:
        """As the result of a run has it."""
        return {"holdout": (("component",), self.values)}


class PairsOfModes:
    """Moments between the modes of a regression with independent coordinates, in units of the initial errors.

    errors (outputs, d) : w_0 - w* of each output, whose products between two modes a pair starts from.
    """

    def __init__(
        self, rows: HeldOut, errors: FloatArray, nodes: NodeArrays, method: Method, start: State | None
    ) -> None:
        d, k = nodes.size, method.state_size
        if d > MOST_MODES:
            raise InputError(
                f" asks for the moments between {d} modes, and {MOST_MODES} is the most; leave the hold-out away, or "
                f"cut the data's directions by rank_tolerance.",
                "holdout",
            )
        self.method, self.nodes = method, nodes
        self.curvature = rows.curvature
        self.products = self.curvature * (errors.T @ errors)
        self.slope = np.sum(rows.slope * errors, axis=0)
        self.first, self.second = np.triu_indices(d, 1)
        self.weight = padded(2.0 * self.products[self.first, self.second])
        lam = nodes.eigenvalues / nodes.unit
        self.lam = padded(lam[self.first]), padded(lam[self.second])
        if start is None:
            self.P = np.outer(method.z0, method.z0)[:, :, None] * np.ones(self.weight.size)
        else:
            self.P = self._from(start, k)

    def _from(self, start: State, k: int) -> FloatArray:
        nodes, old = self.nodes, start.arrays
        if "pairs" not in old:
            raise InputError(
                " keeps no moments between modes, which the held-out loss needs; make it by a run on a problem with "
                "held-out rows, or go on without.",
                "start",
            )
        if not np.array_equal(old["eigenvalues"], nodes.eigenvalues):
            raise InputError(" is a state on another data set; give one on the same training rows.", "start")
        P = np.zeros((k, k, self.weight.size))
        P[:, :, : self.first.size] = old["pairs"]
        return P

    def kept(self) -> FloatArray:
        """(k, k, pairs) : what a state holds of them."""
        return self.P[:, :, : self.first.size].copy()

    def advance(self, at: int, end: int) -> None:
        """From step `at` to `end`."""
        M, b, c = self.method.coefficients(at, end)
        advance_pairs(M, b * self.nodes.unit, c, self.method.inverse_batch(at, end), *self.lam, self.P)

    def moments(self, o: FloatArray, per_node: FloatArray, mean: FloatArray) -> tuple[FloatArray, float, float]:
        """(tr A P of bias and variance, g . E delta, tr A of the mean's square) for the iterate o . z.

        per_node (parts, d) : risks of every mode, 1/2 lam E delta^2.  mean (k, d) : E z over the initial error.
        """
        second = 2.0 * per_node[:2] @ (np.diag(self.curvature) / self.nodes.eigenvalues)
        second[0] += np.einsum("a,b,abp,p->", o, o, self.P, self.weight)
        delta = o @ mean
        return second, float(self.slope @ delta), float(delta @ self.products @ delta)
