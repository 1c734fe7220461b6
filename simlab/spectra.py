"""Eigenvalue families as functions of the eigen-index, and spectra that are only known as arrays.

A family is evaluated at real-valued indices i >= 1, never as an array of `dim` numbers: the quadrature of
`simlab.quadrature` asks for a few hundred of them even at dim = 10^12.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from simlab.arrays import FloatArray, IntArray
from simlab.errors import InputError, brief, check_number

__all__ = [
    "Exponential",
    "Family",
    "Logarithmic",
    "Power",
    "Scaled",
    "marchenko_pastur",
    "power_law_random_features",
]

IndexFunction = Callable[[FloatArray], FloatArray]

MAX_MODES = 100_000_000


@dataclass(frozen=True)
class Power:
    """i^-exponent."""

    exponent: float

    def __call__(self, i: FloatArray) -> FloatArray:
        out: FloatArray = i**-self.exponent
        return out


@dataclass(frozen=True)
class Logarithmic:
    """1 / (i log^power(i + 1)); log(2)^power divided out would make lam_1 = 1, but the literature leaves it in."""

    power: float

    def __call__(self, i: FloatArray) -> FloatArray:
        out: FloatArray = 1.0 / (i * np.log1p(i) ** self.power)
        return out


@dataclass(frozen=True)
class Exponential:
    """exp(-rate (i - 1))."""

    rate: float

    def __call__(self, i: FloatArray) -> FloatArray:
        out: FloatArray = np.exp(-self.rate * (i - 1.0))
        return out


@dataclass(frozen=True)
class Scaled:
    """Another function of the index times a factor."""

    function: IndexFunction
    factor: float

    def __call__(self, i: FloatArray) -> FloatArray:
        return self.function(i) * self.factor


@dataclass(frozen=True)
class Family:
    """A spectrum given by formulas in the eigen-index i = 1 .. dim.

    `eigenvalue(i)` is lam_i, positive and non-increasing; `signal(i)` is lam_i * initial_error_i^2. Both are smooth and
    vectorised over real i, which is what lets a few quadrature nodes stand for all modes.
    """

    dim: int
    eigenvalue: IndexFunction
    signal: IndexFunction

    def arrays(self) -> tuple[FloatArray, FloatArray]:
        """(lam, lam * initial_error^2), both of shape (dim,); refused above 10^8 modes."""
        if self.dim > MAX_MODES:
            raise InputError(
                f" = {self.dim} modes do not fit one by one; call problem.compress() and use the result.", "dim"
            )
        index = np.arange(1, self.dim + 1, dtype=np.float64)
        return self.eigenvalue(index), self.signal(index)

    def counts_at_least(self, thresholds: FloatArray) -> IntArray:
        """#{i : lam_i >= threshold} for each of many thresholds, by bisection in the index."""
        low = np.zeros(thresholds.shape, dtype=np.int64)
        high = np.full(thresholds.shape, self.dim, dtype=np.int64)
        while np.any(low < high):
            middle = (low + high + 1) // 2
            reached = self.eigenvalue(np.maximum(middle, 1).astype(np.float64)) >= thresholds
            low = np.where(reached, middle, low)
            high = np.where(reached, high, middle - 1)
        return low


def marchenko_pastur(dim: int, ratio: float) -> FloatArray:
    """The `dim` mid-quantiles, descending, of the Marchenko-Pastur law of ratio = dim / samples <= 1.

    The law of the eigenvalues of a white Wishart matrix (1/n) G^T G, G of shape (n, dim), has density
    sqrt((lam_+ - lam)(lam - lam_-)) / (2 pi ratio lam) on lam_+- = (1 +- sqrt(ratio))^2 (Marchenko and Pastur 1967).
    With lam = 1 + ratio + 2 sqrt(ratio) cos(theta) it is 2 sin^2(theta) / (pi lam) d theta, smooth, and is summed in
    theta.
    """
    ratio = check_number("ratio", ratio, remedy="dim / samples")
    if not 0.0 < ratio <= 1.0:
        raise InputError(
            f" = {brief(ratio)} is outside (0, 1]; give dim / samples (above 1 there are null directions: drop them).",
            "ratio",
        )
    from scipy.integrate import cumulative_simpson

    theta = np.linspace(0.0, np.pi, 2**16 + 1)
    root = np.sqrt(ratio)
    # (1 - root)^2 + 4 root cos^2(theta / 2) is lam without the cancellation at theta = pi.
    eigenvalue = (1.0 - root) ** 2 + 4.0 * root * np.cos(theta / 2.0) ** 2
    density = np.empty_like(theta)
    density[:-1] = 2.0 * np.sin(theta[:-1]) ** 2 / (np.pi * eigenvalue[:-1])
    density[-1] = 2.0 / np.pi if ratio == 1.0 else 0.0
    above = cumulative_simpson(density, x=theta, initial=0.0)
    quantile = (np.arange(dim) + 0.5) / dim
    angle = np.interp(quantile * above[-1], above, theta)
    lam: FloatArray = (1.0 - root) ** 2 + 4.0 * root * np.cos(angle / 2.0) ** 2
    return lam


def power_law_random_features(
    alpha: float, beta: float, ambient_dim: int, features: int, seed: int
) -> tuple[FloatArray, FloatArray, float]:
    """(lam, w_star, irreducible risk) of a sketched power law, in the eigenbasis of the sketched covariance.

    Data x_j = j^-alpha z_j, z ~ N(0, I), target <x, t> with t_j = j^-beta, predictor <W^T x, w> with
    W_ij ~ N(0, 1/features) of shape (ambient_dim, features). Given W it is Gaussian least squares with covariance
    K = W^T D W, D = diag(j^(-2 alpha)); w_star = K^-1 W^T D t, and the residual <x, t - W w_star> is independent of the
    features with variance 2 x irreducible risk. Shapes (features,), (features,), scalar.

    Source: Paquette, Paquette, Xiao and Pennington 2024 (arXiv 2405.15074), section 2; Maloney, Roberts and Sully 2022.
    """
    rng = np.random.default_rng(seed)
    index = np.arange(1, ambient_dim + 1, dtype=np.float64)
    sketch = rng.standard_normal((ambient_dim, features)) / np.sqrt(features)
    scale = index**-alpha
    target = scale * index**-beta
    left, singular, _ = np.linalg.svd(scale[:, None] * sketch, full_matrices=False)
    projected = left.T @ target
    residual = target - left @ projected
    return singular**2, projected / singular, 0.5 * float(residual @ residual)


def unit_of(eigenvalues: FloatArray) -> float:
    """The power of two below the largest eigenvalue where that is beyond 2^100 or below 2^-100, else 1.

    A power of two: not a bit of an eigenvalue changes when it is divided by one.
    """
    exponent = int(np.frexp(eigenvalues.max())[1])
    return 1.0 if abs(exponent) <= 100 else float(np.ldexp(1.0, exponent - 1))
