"""What the curves of a fit have in common early on, and the twin cannot follow.

About the optimum the residuals of curve i are

    r_i = d + o_i + misfit_i + noise,   d ~ N(0, share E),   o_i ~ N(0, (1 - share) E),   E = e(t) e(t') c(S, S')

with e and c the early part of `simlab.twin.likelihood` (c in log S), S the sum of lr / reference, and the other errors
as the evidence has them. d belongs to the recipe and comes with every further run; o_i belongs to one. The share is its
mean over SHARES by the evidence of the curves, parameters integrated. Predictions have the mean of d given the
residuals added; bands keep their width, since runs of other rates share d only as far as S tells.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from simlab.arrays import FloatArray, IntArray
from simlab.twin.blocks import Blocks
from simlab.twin.evidence import Seen, integrated, proper
from simlab.twin.likelihood import EARLY_SHARE, EARLY_WIDTH, Errors, nearness, root_of

__all__ = ["Transient", "starts_of", "transient"]

SHARES: FloatArray = np.linspace(0.0, 1.0, 11)

GROUP = 0.04
"""Records within so much of log t are taken together: a quarter of the width at which a transient is told."""

MOST = 800
"""Groups of all curves together, at most: their covariance is factored for every share."""

LEAST = 1e-3
"""Sums of relative rates count as at least this, for their logarithm."""


class Transient(NamedTuple):
    """The mean of d: places (n,), log S of the records that tell it, pulls (n,); first : the earliest of their steps.

    d(t, S) = e(t) sum_j c(log S - places_j) pulls_j.  share : of the early variance that is common.
    """

    places: FloatArray
    pulls: FloatArray
    first: float
    share: float

    def at(self, steps: FloatArray, sums: FloatArray, errors: Errors) -> tuple[FloatArray, FloatArray]:
        """d and its derivative by S (K,), at steps (K,) and sums of relative rates S (K,); constant before `first`."""
        told = math.exp(float(self.places.min()))
        away = (np.log(np.maximum(sums, told))[:, None] - self.places) / EARLY_WIDTH
        near = (1.0 - EARLY_SHARE) * np.exp(-0.5 * np.minimum(away**2, 1400.0)) * self.pulls
        height = errors.early_part(np.maximum(steps, self.first))
        slope = np.where(sums > told, height / np.maximum(sums, told), 0.0)
        common = EARLY_SHARE * float(self.pulls.sum())
        return height * (common + near.sum(axis=1)), -slope * (near * away).sum(axis=1) / EARLY_WIDTH

    def to_record(self) -> dict[str, Any]:
        """For a file."""
        return {"places": self.places.tolist(), "pulls": self.pulls.tolist(), "first": self.first, "share": self.share}

    def along(
        self, blocks: Blocks, reference: float, errors: Errors, slopes: FloatArray
    ) -> tuple[FloatArray, FloatArray]:
        """d (K,) at the blocks' edges, and its derivatives (K, M) for derivatives `slopes` of the relative rates."""
        sums = np.append(0.0, np.cumsum(blocks.counts * blocks.rates / reference))[blocks.edges]
        value, slope = self.at(blocks.starts[blocks.edges].astype(np.float64), sums, errors)
        ways = np.vstack([np.zeros(slopes.shape[1]), np.cumsum(blocks.counts[:, None] * slopes, axis=0)])[blocks.edges]
        return value, slope[:, None] * ways


def starts_of(curves: Sequence[FloatArray]) -> list[IntArray]:
    """For steps (n,) of each curve the first records of their groups, GROUP wide in log t, or wider beyond MOST."""
    width = GROUP
    while True:
        found = [_starts(np.log(np.maximum(steps, 1.0)), width) for steps in curves]
        if sum(one.size for one in found) <= max(MOST, len(curves)):
            return found
        width *= 1.5


def _starts(logs: FloatArray, width: float) -> IntArray:
    """The first of each run of records no wider than `width`."""
    starts = [0]
    while (after := int(np.searchsorted(logs, logs[starts[-1]] + width, side="right"))) < logs.size:
        starts.append(after)
    return np.array(starts)


def transient(
    curves: Sequence[Seen],
    sums: Sequence[FloatArray],
    first: float,
    errors: Errors,
    precision: FloatArray,
    offset: FloatArray,
    scale: FloatArray,
) -> Transient:
    """The transient of curves about an optimum; sums: S of their groups; first: their earliest record.

    precision, offset, scale (P,): of the parameters, as `simlab.twin.evidence.likeliest` takes them.
    """
    from scipy.linalg import solve_triangular

    steps, residuals, jacobian, counts = (np.concatenate(part) for part in zip(*curves, strict=True))
    places = np.log(np.maximum(np.concatenate(list(sums)), LEAST))
    run = np.repeat(np.arange(len(curves)), [one.steps.size for one in curves])
    own = run[:, None] == run
    height = errors.early_part(steps)
    shape = EARLY_SHARE + (1.0 - EARLY_SHARE) * nearness(places, EARLY_WIDTH)
    early = np.outer(height, height) * shape
    misfit = own * (errors.misfit**2 * nearness(np.log(np.maximum(steps, 1.0)), errors.width))
    white, prior = errors.noise**2 / counts, proper(precision, scale)

    def root(share: float) -> FloatArray:
        return root_of(white, misfit + early * (share + (1.0 - share) * own))

    logs = np.array([integrated([(root(share), jacobian, residuals)], prior, offset) for share in SHARES])
    weights = np.exp(logs - logs.max())
    share = float(weights @ SHARES / weights.sum())
    factor = root(share)
    pulled = solve_triangular(factor, solve_triangular(factor, residuals, lower=True), lower=True, trans="T")
    return Transient(places, share * height * pulled, first, share)
