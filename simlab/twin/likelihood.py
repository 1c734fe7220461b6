"""How far a measured loss may lie from the twin: white noise, an early part, and a smooth misfit.

    K(t, t') = noise^2 [t = t'] + e(t) e(t') c(t, t') + misfit^2 exp(-(log t - log t')^2 / 2 width^2)
    e(t)     = early (at / t)^2,   c = 1/2 + 1/2 exp(-(log t - log t')^2 / 2 0.15^2)

Two runs of one recipe differ by some 0.02 where their warmup ends, and ever less from there on: `early`. What the model
itself cannot follow is smooth in log t: `misfit`. By K the intervals are made (`sandwich`), as the curves' own evidence
has it (`simlab.twin.evidence`). The mean is fitted with other weights, for the shape of a transient is not to be
trusted, and what n curves have in common the parameters are free to follow, so that only 1 - 1/n of the misfit's
variance is left between them:

    W^-1 = (noise^2 + e(t)^2) [t = t'] + (1 - 1/n) misfit^2 exp(-(log t - log t')^2 / 2 width^2)

One run is fitted point by point, several by how they differ. Measured on 64 designs of two or three runs (25M, 100M,
124M): as good as misfit^2 itself (errors within 2 %), which is worse for one run; better than the likeliest misfit,
which comes out near 0 too often (errors up to 15 % more); a misfit shared by branches of one trunk is no better.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from simlab.arrays import FloatArray, IntArray
from simlab.doors import door
from simlab.errors import check_kind, check_number

__all__ = ["Errors", "check_errors", "covariance_of", "nearness", "root_of", "sandwich", "white_noise"]

EARLY_SHARE, EARLY_WIDTH = 0.5, 0.15
"""Of the early part of a run: the share that is one amplitude, and the width in log t of the rest."""

WILDEST = 10.0
"""The early part at most: what a loss may fall by at all."""

RESOLVED = 1e-12
"""White noise beside smooth errors, as a share of their variance, that factoring their covariance can still see."""

LEAST = 1e-2
"""Curvatures of the posterior below this, in units of the parameters' scales, count as this."""


@dataclass(frozen=True)
class Errors:
    """noise, early, misfit in units of the loss; at in steps; width in e-folds of t. Raises InputError for others."""

    noise: float = 6e-4
    early: float = 0.02
    at: float = 2176.0
    misfit: float = 1.2e-3
    width: float = 0.4

    def __post_init__(self) -> None:
        for name in ("noise", "at", "width"):
            check_number(name, getattr(self, name), low=0.0, open_low=True)
        for name in ("early", "misfit"):
            check_number(name, getattr(self, name), low=0.0)

    def deviation(self, steps: IntArray | FloatArray) -> FloatArray:
        """sqrt(noise^2 + e(t)^2), shape of steps."""
        return np.hypot(self.noise, self.early_part(steps))

    def early_part(self, steps: IntArray | FloatArray) -> FloatArray:
        """e(t), shape of steps."""
        return np.minimum(self.early * (self.at / np.maximum(steps, 1)) ** 2, WILDEST)

    def covariance(self, steps: IntArray | FloatArray) -> FloatArray:
        """K (n, n) of one curve; two have nothing in common."""
        return self.smooth(steps) + self.noise**2 * np.eye(steps.size)

    def smooth(self, steps: IntArray | FloatArray) -> FloatArray:
        """K (n, n) without its white noise."""
        early = self.early_part(steps)
        shape = EARLY_SHARE + (1.0 - EARLY_SHARE) * _smooth(steps, EARLY_WIDTH)
        return np.outer(early, early) * shape + self.misfit**2 * _smooth(steps, self.width)

    def whitener(self, steps: IntArray | FloatArray, curves: int) -> FloatArray:
        """The root R of the weights W = R^T R of one of so many curves: (n, n), lower triangular."""
        from scipy.linalg import solve_triangular

        between = (1.0 - 1.0 / curves) * self.misfit**2 * _smooth(steps, self.width)
        root = root_of(self.deviation(steps) ** 2, between)
        return np.asarray(solve_triangular(root, np.eye(steps.size), lower=True))


def nearness(places: FloatArray, width: float) -> FloatArray:
    """exp(-(x - x')^2 / 2 width^2), (n, n)."""
    return np.asarray(np.exp(-0.5 * np.minimum(((places[:, None] - places) / width) ** 2, 1400.0)))


def _smooth(steps: IntArray | FloatArray, width: float) -> FloatArray:
    return nearness(np.log(np.maximum(steps, 1.0)), width)


Errors.__init__ = door(Errors.__init__)  # type: ignore[method-assign]


def check_errors(errors: object) -> Errors:
    """`errors` if they are such, or an InputError."""
    return check_kind("errors", errors, Errors, "an Errors", "make one: simlab.twin.Errors()")


def root_of(white: FloatArray, smooth: FloatArray) -> FloatArray:
    """The lower root (n, n) of diag(white) + smooth; white (n,) are variances, smooth (n, n) is a covariance.

    Beside a smooth covariance white noise below RESOLVED of it is lost in rounding, and there would be no root: curves
    without noise, such as a formula's, count as that noisy.
    """
    least = np.maximum(RESOLVED * np.diag(smooth), np.finfo(np.float64).tiny)
    return np.asarray(np.linalg.cholesky(smooth + np.diag(np.maximum(white, least))))


def white_noise(losses: FloatArray) -> float:
    """Standard deviation of white noise on a smooth curve, from second differences: median |.| / (0.6745 sqrt 6)."""
    return float(np.median(np.abs(np.diff(losses, 2)))) / (0.6745 * 6.0**0.5) if losses.size > 4 else 0.0


def covariance_of(information: FloatArray, scale: FloatArray) -> FloatArray:
    """The inverse of J^T W J + prior, with directions that nothing determines cut off."""
    values, vectors = np.linalg.eigh(information * np.outer(scale, scale))
    inner = (vectors / np.maximum(values, LEAST)) @ vectors.T
    return np.asarray(np.outer(scale, scale) * inner)


def sandwich(information: FloatArray, spread: FloatArray, prior: FloatArray, scale: FloatArray) -> FloatArray:
    """Covariance of an estimate by weights W where errors have the covariance K: H^-1 (J^T W K W J + P) H^-1.

    information : J^T W J.  spread : J^T W K W J.  prior : P;  H = J^T W J + P.
    """
    inverse = covariance_of(information + prior, scale)
    return np.asarray(inverse @ (spread + prior) @ inverse)
