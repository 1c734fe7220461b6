"""Stationary risk and mean-square stability of SGD at a constant learning rate, any batch size and kurtosis.

For x = sum_i sqrt(lam_i) xi_i e_i with independent xi_i of mean 0, variance 1 and fourth moment kurtosis, the risks
u_i = lam_i E delta_i^2 obey, with z = lr lam_i and u = sum_j u_j,

    u_i <- (1 - 2 z + (1 + (kurtosis_i - 2)/B) z^2) u_i + (z^2/B) (u + sigma^2),

a recursion whose fixed point and spectral radius follow from f_i = z / (B (2 - z) - (kurtosis_i - 2) z) and their sum,
the stability mass S. Gaussian: kurtosis 3, f_i = z / (B (2 - z (1 + 1/B))).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from simlab.theory.statement import require, theorem

__all__ = ["critical_lr", "mode_mass", "stability_mass", "stationary_risk"]

FloatArray = npt.NDArray[np.float64]


def mode_mass(eigenvalues: npt.ArrayLike, lr: npt.ArrayLike, batch: Any = 1.0, kurtosis: Any = 3.0) -> FloatArray:
    """f_i = z / (B (2 - z) - (kurtosis - 2) z), z = lr lam_i; inf where the mode alone is unstable. Broadcasts."""
    z = np.asarray(lr, dtype=np.float64) * np.asarray(eigenvalues, dtype=np.float64)
    room = np.asarray(batch) * (2.0 - z) - (np.asarray(kurtosis) - 2.0) * z
    out = np.full(np.broadcast_shapes(z.shape, room.shape), np.inf)
    np.divide(z, room, out=out, where=room > 0.0)
    return out


@theorem(
    kind="exact",
    about="stability mass S of SGD: mean-square stable if and only if S < 1",
    source="simlab",
    number="stability mass",
    assumptions=("lr, eigenvalues > 0", "batch >= 1, kurtosis >= 1"),
    provenance="derived",
)
def stability_mass(
    eigenvalues: npt.ArrayLike, lr: npt.ArrayLike, batch: npt.ArrayLike = 1.0, kurtosis: npt.ArrayLike = 3.0
) -> FloatArray:
    """S = sum_i lr lam_i / (B (2 - lr lam_i) - (kurtosis_i - 2) lr lam_i); inf where a single mode is unstable.

    eigenvalues : (d,).  lr, batch : shape (...), broadcast against each other.  kurtosis : number or (d,).  Returns
    (...). The update matrix of u is D + (1/B) z^2 1^T with D diagonal; by Sherman and Morrison 1 is an eigenvalue of
    it exactly where S = 1, and it is non-negative, so that the radius passes 1 there (Perron and Frobenius). Gaussian
    data: S = (lr/B) sum_i lam_i / (2 - lr lam_i (1 + 1/B)).
    """
    lam, rate = np.asarray(eigenvalues, dtype=np.float64), np.asarray(lr, dtype=np.float64)
    size, kurt = np.asarray(batch, dtype=np.float64), np.asarray(kurtosis, dtype=np.float64)
    _check(lam, rate, size, kurt)
    out: FloatArray = np.sum(mode_mass(lam, rate[..., None], size[..., None], kurt), axis=-1)
    return out


@theorem(
    kind="exact",
    about="excess risk of the last iterate of SGD at a constant learning rate after infinitely many steps",
    source="simlab",
    number="stationary risk",
    assumptions=("lr, eigenvalues > 0", "batch >= 1, kurtosis >= 1", "stability mass S < 1"),
    provenance="derived",
)
def stationary_risk(
    eigenvalues: npt.ArrayLike,
    noise_variance: float,
    lr: npt.ArrayLike,
    batch: npt.ArrayLike = 1.0,
    kurtosis: npt.ArrayLike = 3.0,
) -> FloatArray:
    """1/2 f_i sigma^2 / (1 - S), by eigen-index: the fixed point of the recursion.

    Shapes as in `stability_mass`; returns (..., d). The total is 1/2 sigma^2 S / (1 - S). Raises OutsideAssumptions
    where the second moments do not settle.
    """
    lam, rate = np.asarray(eigenvalues, dtype=np.float64), np.asarray(lr, dtype=np.float64)
    size, kurt = np.asarray(batch, dtype=np.float64), np.asarray(kurtosis, dtype=np.float64)
    _check(lam, rate, size, kurt)
    mass = mode_mass(lam, rate[..., None], size[..., None], kurt)
    total = np.sum(mass, axis=-1, keepdims=True)
    require(total < 1.0, "a stability mass S < 1", S=total, lr=rate)
    out: FloatArray = 0.5 * noise_variance * mass / (1.0 - total)
    return out


@theorem(
    kind="exact",
    about="largest mean-square stable learning rate of SGD",
    source="simlab",
    number="critical learning rate",
    assumptions=("eigenvalues > 0", "batch >= 1, kurtosis >= 1"),
    provenance="derived",
)
def critical_lr(eigenvalues: npt.ArrayLike, batch: npt.ArrayLike = 1.0, kurtosis: npt.ArrayLike = 3.0) -> FloatArray:
    """The lr at which the stability mass S is 1, to rounding. eigenvalues (d,), batch (...); returns (...).

    S grows from 0 without bound, so that the root is unique. It is at least 2 B / (sum_j lam_j + e lam_1), e = max(B
    + max kurtosis - 2, 0), where S <= 1 because no denominator is below that of lam_1 and e (for Gaussian data this
    is the sufficient value of Jain et al. 2018), and at most where a single f_i reaches 1. Bisection between the two,
    all batch sizes at once.
    """
    lam = np.asarray(eigenvalues, dtype=np.float64)
    size, kurt = np.asarray(batch, dtype=np.float64), np.asarray(kurtosis, dtype=np.float64)
    _check(lam, np.ones(()), size, kurt)
    excess = np.maximum(size + kurt.max() - 2.0, 0.0)
    low = 2.0 * size / (lam.sum() + excess * lam.max())
    # Every single f_i reaches 1 where lr lam_i (B + kurtosis_i - 1) = 2 B.
    high = np.min(2.0 * size[..., None] / (lam * (size[..., None] + kurt - 1.0)), axis=-1)
    high = np.maximum(high, low)
    for _ in range(60):
        middle = 0.5 * (low + high)
        stable = np.sum(mode_mass(lam, middle[..., None], size[..., None], kurt), axis=-1) < 1.0
        low, high = np.where(stable, middle, low), np.where(stable, high, middle)
    return np.asarray(low)


def _check(lam: FloatArray, rate: FloatArray, size: FloatArray, kurt: FloatArray) -> None:
    require(lam > 0.0, "positive eigenvalues", eigenvalues=lam)
    require(rate > 0.0, "a positive learning rate", lr=rate)
    require(size >= 1.0, "a batch of at least 1", batch=size)
    require(kurt >= 1.0, "a kurtosis of at least 1, as every law has", kurtosis=kurt)
