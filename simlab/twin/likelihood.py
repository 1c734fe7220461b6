"""How far a measured loss may lie from the twin: white noise, an early part, and a smooth misfit.

    sd(t)^2  = noise^2 + (early (at / t)^2)^2
    K(t, t') = sd(t)^2 [t = t'] + misfit^2 exp(-(log t - log t')^2 / 2 width^2)

Two runs of one recipe differ by some 0.02 where their warmup ends, and ever less from there on: `early`. What the model
itself cannot follow is smooth in log t: `misfit`. Fitted by K, two or more runs need no time of autocorrelation and no
factor. One run alone cannot tell a smooth misfit from its parameters: its mean is fitted pointwise, by sd alone, and K
enters the intervals (`sandwich`).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from simlab.arrays import FloatArray, IntArray

__all__ = ["Errors", "covariance_of", "sandwich", "white_noise"]

EARLY_SHARE, EARLY_WIDTH = 0.5, 0.15
"""Of the early part between two runs: the share that is one amplitude of a run, and the width in log t of the rest."""

WILDEST = 10.0
"""The early part at most: what a loss may fall by at all."""

LEAST = 1e-2
"""Curvatures of the posterior below this, in units of the parameters' scales, count as this."""


@dataclass(frozen=True)
class Errors:
    """noise, early, misfit in units of the loss; at in steps; width in e-folds of t."""

    noise: float = 6e-4
    early: float = 0.02
    at: float = 2176.0
    misfit: float = 1e-3
    width: float = 0.4

    def deviation(self, steps: IntArray) -> FloatArray:
        """sd(t), shape of steps."""
        return np.hypot(self.noise, self._early(steps))

    def _early(self, steps: IntArray) -> FloatArray:
        return np.minimum(self.early * (self.at / np.maximum(steps, 1)) ** 2, WILDEST)

    def _smooth(self, steps: IntArray, width: float) -> FloatArray:
        x = np.log(np.maximum(steps, 1.0))
        return np.asarray(np.exp(-0.5 * np.minimum(((x[:, None] - x) / width) ** 2, 1400.0)))

    def covariance(self, steps: IntArray) -> FloatArray:
        """K (n, n)."""
        return np.diag(self.deviation(steps) ** 2) + self.misfit**2 * self._smooth(steps, self.width)

    def of_one_run(self, steps: IntArray) -> FloatArray:
        """K (n, n) with an early part that is correlated as well, as runs' differences are."""
        early = self._early(steps)
        shape = EARLY_SHARE + (1.0 - EARLY_SHARE) * self._smooth(steps, EARLY_WIDTH)
        rest = self.misfit**2 * self._smooth(steps, self.width)
        return np.outer(early, early) * shape + rest + self.noise**2 * np.eye(steps.size)

    def whitener(self, steps: IntArray) -> FloatArray:
        """W (n, n), lower triangular, with W K W^T = 1."""
        from scipy.linalg import solve_triangular

        return np.asarray(solve_triangular(np.linalg.cholesky(self.covariance(steps)), np.eye(steps.size), lower=True))


def white_noise(losses: FloatArray) -> float:
    """Standard deviation of white noise on a smooth curve, from second differences: median |.| / (0.6745 sqrt 6)."""
    return float(np.median(np.abs(np.diff(losses, 2)))) / (0.6745 * 6.0**0.5) if losses.size > 4 else 0.0


def covariance_of(information: FloatArray, scale: FloatArray) -> FloatArray:
    """The inverse of J^T K^-1 J + prior, with directions that nothing determines cut off."""
    values, vectors = np.linalg.eigh(information * np.outer(scale, scale))
    inner = (vectors / np.maximum(values, LEAST)) @ vectors.T
    return np.asarray(np.outer(scale, scale) * inner)


def sandwich(
    jacobian: FloatArray, deviation: FloatArray, covariance: FloatArray, prior: FloatArray, scale: FloatArray
) -> FloatArray:
    """Covariance of the pointwise estimate where errors have another one: H^-1 (J^T W K W J + P) H^-1, W = 1 / sd^2."""
    weighted = jacobian / deviation[:, None] ** 2
    inverse = covariance_of(jacobian.T @ weighted + prior, scale)
    return np.asarray(inverse @ (weighted.T @ covariance @ weighted + prior) @ inverse)
