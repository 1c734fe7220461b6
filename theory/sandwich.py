"""The universal sandwich: the risk of any average of SGD's iterates under any schedule, between two closed forms.

The output is sum_t beta_t w_t with weights beta_0 .. beta_T that sum to 1 (the last iterate: beta_T = 1). Unrolling the
linear recursion, the noise of step s reaches mode i of the output through the kernel

    K_s,i = lr_s lam_i sum_{t>s} beta_t prod_{s<k<t} (1 - lr_k lam_i),    V_i = sum_s K_s,i^2 / B_s,

and the starting error through b_i = sum_t beta_t prod_{k<t} (1 - lr_k lam_i). With u_s,i the risk (without the 1/2) of
mode i of the iterate w_s and R_s = sum_i u_s,i, exactly,

    2 risk_i = lam_i d_i^2 b_i^2 + sum_s (K_s,i^2 / B_s) [(kurtosis_i - 2) u_s,i + R_s + sigma^2].

Proof of the bounds. Below: (kurtosis - 2) u_i + R >= 0, because u_i <= R and kurtosis >= 1. Above: one step of the
recursion is u_i <- a u_i + (1 - a) f_i(lr_s) (R + sigma^2) with 0 <= a <= 1, a convex combination, so that
u_s,i <= f_i sup(R + sigma^2) for the variance and u_s,i <= lam_i d_i^2 + f_i sup R for the bias, with f_i the largest
over the schedule. Summed over i: sup (R + sigma^2) <= sigma^2 / (1 - S), and sup R <= |d|_H^2 / (1 - S) for the bias.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from simlab.theory.statement import Risk, require, theorem
from simlab.theory.stationary import mode_mass
from simlab.theory.sums import one_minus_power, suffix_scan

__all__ = [
    "Response",
    "additive_noise_risk",
    "noise_kernel",
    "risk_from_history",
    "sandwich_bounds",
    "sandwich_lower",
    "sandwich_upper",
    "schedule_response",
    "stage_response",
]

FloatArray = npt.NDArray[np.float64]
_CHUNK = 1 << 20
"""Entries of a (steps, modes) array that are held at a time."""


class Response(NamedTuple):
    """b_i and V_i (which holds the 1/B), shape (..., d)."""

    bias_factor: FloatArray
    noise: FloatArray


def noise_kernel(eigenvalues: FloatArray, lr: FloatArray, weights: FloatArray) -> tuple[FloatArray, FloatArray]:
    """K, shape (T, d), and b, shape (d,), for lr (T,) and weights (T + 1,); see the module."""
    z = lr[:, None] * eigenvalues
    # reach_s = sum_{t>=s} beta_t prod_{s<=k<t} (1 - z_k): what is left at the end of a unit error in w_s.
    reach = suffix_scan(z, np.broadcast_to(weights[:-1, None], z.shape), weights[-1])
    after = np.concatenate([reach[1:], np.full((1, eigenvalues.size), weights[-1])])
    start = reach[0] if lr.size else np.full(eigenvalues.size, weights[-1])
    return z * after, start


def schedule_response(
    eigenvalues: npt.ArrayLike, lr: npt.ArrayLike, weights: npt.ArrayLike | None = None, batch: Any = 1.0
) -> Response:
    """b_i and V_i of a schedule lr (T,) and weights (T + 1,) (None: the last iterate), batch a number or (T,)."""
    lam, rate, beta, size = _arrays(eigenvalues, lr, weights, batch)
    factor, noise = np.empty(lam.size), np.empty(lam.size)
    width = max(1, _CHUNK // max(1, rate.size))
    for first in range(0, lam.size, width):
        part = slice(first, first + width)
        kernel, factor[part] = noise_kernel(lam[part], rate, beta)
        noise[part] = np.sum(kernel**2 / size[:, None], axis=0)
    return Response(factor, noise)


def stage_response(eigenvalues: FloatArray, rates: FloatArray, lengths: npt.ArrayLike) -> Response:
    """b_i and V_i (B = 1) of the last iterate after stages of `lengths` steps at constant `rates`, (L,) each; (d,).

    A stage makes x (1 - p^2n) / (2 - x) of noise, of which the later stages leave prod p^2n. Needs lr lam_i < 1.
    """
    n = np.asarray(lengths)[:, None]
    x = rates[:, None] * eigenvalues
    after = np.cumsum((n * np.log1p(-x))[::-1], axis=0)[::-1]
    later = np.concatenate([after[1:], np.zeros((1, eigenvalues.size))])
    fresh = x * one_minus_power(x, 2 * n) / (2.0 - x)
    return Response(np.exp(after[0]), np.sum(fresh * np.exp(2.0 * later), axis=0))


@theorem(
    kind="exact",
    about="excess risk of any average of SGD's iterates, any schedule, gradient noise additive of covariance sigma^2 H",
    source="simlab",
    number="noise kernel",
    assumptions=("weights sum to 1", "0 <= lr, 0 < eigenvalues", "batch >= 1"),
    provenance="derived",
)
def additive_noise_risk(
    eigenvalues: npt.ArrayLike,
    initial_error: npt.ArrayLike,
    noise_variance: float,
    lr: npt.ArrayLike,
    weights: npt.ArrayLike | None = None,
    batch: npt.ArrayLike = 1.0,
) -> Risk:
    """1/2 lam_i d_i^2 b_i^2 and 1/2 sigma^2 V_i by eigen-index: the module's identity without multiplicative noise.

    eigenvalues, initial_error : (d,).  lr : (T,).  weights : (T + 1,) of the iterates w_0 .. w_T, None for w_T.
    batch : number or (T,).  O(T d) time in log2 T passes.
    """
    lam, rate, beta, size = _arrays(eigenvalues, lr, weights, batch)
    b, noise = schedule_response(lam, rate, beta, size)
    return Risk(0.5 * lam * np.asarray(initial_error) ** 2 * b**2, 0.5 * noise_variance * noise)


@theorem(
    kind="exact",
    about="excess risk of any average of SGD's iterates from the risks of the iterates themselves",
    source="simlab",
    number="exact identity",
    assumptions=("weights sum to 1", "0 <= lr, 0 < eigenvalues", "batch >= 1"),
    provenance="derived",
)
def risk_from_history(
    eigenvalues: npt.ArrayLike,
    initial_error: npt.ArrayLike,
    noise_variance: float,
    lr: npt.ArrayLike,
    history: Risk,
    weights: npt.ArrayLike | None = None,
    batch: npt.ArrayLike = 1.0,
    kurtosis: npt.ArrayLike = 3.0,
) -> Risk:
    """The module's identity: risk of the average, given `history` with bias and variance of w_0 .. w_(T-1), (T, d)."""
    lam, rate, beta, size = _arrays(eigenvalues, lr, weights, batch)
    kernel, b = noise_kernel(lam, rate, beta)
    own = np.asarray(kurtosis, dtype=np.float64) - 2.0
    push = kernel**2 / size[:, None]

    def noise(modes: FloatArray) -> FloatArray:
        out: FloatArray = np.sum(push * (own * modes + modes.sum(axis=1, keepdims=True)), axis=0)
        return out

    bias = 0.5 * lam * np.asarray(initial_error) ** 2 * b**2 + noise(history.bias)
    return Risk(bias, 0.5 * noise_variance * push.sum(axis=0) + noise(history.variance))


@theorem(
    kind="lower",
    about="excess risk of any average of SGD's iterates, any schedule",
    source="simlab",
    number="universal sandwich, lower side",
    assumptions=("weights sum to 1", "0 <= lr, 0 < eigenvalues", "batch >= 1", "kurtosis >= 1"),
    provenance="derived",
)
def sandwich_lower(
    eigenvalues: npt.ArrayLike,
    initial_error: npt.ArrayLike,
    noise_variance: float,
    lr: npt.ArrayLike,
    weights: npt.ArrayLike | None = None,
    batch: npt.ArrayLike = 1.0,
    kurtosis: npt.ArrayLike = 3.0,
) -> Risk:
    """bias_i >= 1/2 lam_i d_i^2 b_i^2 and variance_i >= 1/2 sigma^2 V_i, mode by mode, stable or not.

    Arguments as in `additive_noise_risk`. The kurtosis does not enter: the bound holds for any. Proof in the module.
    """
    check_kurtosis(kurtosis)
    return additive_noise_risk(eigenvalues, initial_error, noise_variance, lr, weights, batch)


@theorem(
    kind="upper",
    about="excess risk of any average of SGD's iterates, any schedule",
    source="simlab",
    number="universal sandwich, upper side",
    assumptions=(
        "weights sum to 1",
        "0 <= lr, 0 < eigenvalues",
        "batch >= 1",
        "kurtosis >= 2, or lr lam_1 (1 + sqrt((2 - kurtosis) / batch)) <= 1",
        "stability mass S < 1 at the largest lr",
    ),
    provenance="derived",
)
def sandwich_upper(
    eigenvalues: npt.ArrayLike,
    initial_error: npt.ArrayLike,
    noise_variance: float,
    lr: npt.ArrayLike,
    weights: npt.ArrayLike | None = None,
    batch: npt.ArrayLike = 1.0,
    kurtosis: npt.ArrayLike = 3.0,
) -> Risk:
    """Upper bounds by eigen-index, with e_i = max(kurtosis_i - 2, 0) and D = sum_j lam_j d_j^2:

        variance_i <= 1/2 sigma^2 V_i (1 + e_i f_i) / (1 - S)
        bias_i     <= 1/2 lam_i d_i^2 b_i^2 + 1/2 V_i [e_i lam_i d_i^2 + D (1 + e_i f_i) / (1 - S)].

    Arguments as in `additive_noise_risk`; f_i, S as in `theory.stationary`, the largest over the schedule. The bias
    part is sharper than |d|_H^2 2 / (1 - S) in place of the bracket. Proof in the module. Raises OutsideAssumptions
    where S >= 1.
    """
    lam, rate, beta, size = _arrays(eigenvalues, lr, weights, batch)
    return sandwich_bounds(
        lam, initial_error, noise_variance, schedule_response(lam, rate, beta, size), rate, size, kurtosis
    )


def sandwich_bounds(
    lam: FloatArray,
    initial_error: npt.ArrayLike,
    noise_variance: float,
    response: Response,
    lr: npt.ArrayLike,
    batch: npt.ArrayLike = 1.0,
    kurtosis: npt.ArrayLike = 3.0,
) -> Risk:
    """The upper side from a response computed elsewhere, shape (..., d); lr and batch broadcast, a number or (T,)."""
    kurt = np.asarray(kurtosis, dtype=np.float64)
    mass = worst_mass(lam, lr, batch, kurt)
    total = mass.sum()
    require(total < 1.0, "a stability mass S < 1 at the largest lr", S=total, lr=lr)
    own = np.maximum(kurt - 2.0, 0.0)
    signal = lam * np.asarray(initial_error, dtype=np.float64) ** 2
    spread = (1.0 + own * mass) / (1.0 - total)
    b, noise = response
    bias = 0.5 * signal * b**2 + 0.5 * noise * (own * signal + signal.sum() * spread)
    return Risk(bias, 0.5 * noise_variance * noise * spread)


def check_kurtosis(kurtosis: npt.ArrayLike) -> FloatArray:
    """The kurtosis as an array, or OutsideAssumptions where it is below 1."""
    kurt = np.asarray(kurtosis, dtype=np.float64)
    require(kurt >= 1.0, "a kurtosis of at least 1, as every law has", kurtosis=kurt)
    return kurt


def worst_mass(lam: FloatArray, lr: npt.ArrayLike, batch: npt.ArrayLike, kurtosis: FloatArray) -> FloatArray:
    """f_i, the largest over the schedule, shape (d,); checks what the convex combination needs."""
    rate, size = np.broadcast_arrays(np.asarray(lr, dtype=np.float64), np.asarray(batch, dtype=np.float64))
    check_kurtosis(kurtosis)
    # f grows with lr and falls with B: of steps with one B only the fastest counts.
    pairs = [(rate[size == one].max(), one) for one in np.unique(size)]
    out = np.zeros(lam.size)
    for fastest, one in pairs:
        z = fastest * lam
        keep = z * (1.0 + np.sqrt(np.maximum(2.0 - kurtosis, 0.0) / one))
        require((kurtosis >= 2.0) | (keep <= 1.0), "lr lam (1 + sqrt((2 - kurtosis) / batch)) <= 1", lr_lam=z)
        out = np.maximum(out, mode_mass(lam, fastest, one, kurtosis))
    return out


def _arrays(
    eigenvalues: npt.ArrayLike, lr: npt.ArrayLike, weights: npt.ArrayLike | None, batch: npt.ArrayLike
) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
    lam, rate = np.asarray(eigenvalues, dtype=np.float64), np.asarray(lr, dtype=np.float64)
    require(lam > 0.0, "positive eigenvalues", eigenvalues=lam)
    require(rate >= 0.0, "learning rates >= 0", lr=rate)
    if weights is None:
        beta = np.zeros(rate.size + 1)
        beta[-1] = 1.0
    else:
        beta = np.asarray(weights, dtype=np.float64)
    require(beta.shape == (rate.size + 1,), "one weight for each of w_0 .. w_T", weights=beta.size, steps=rate.size)
    require(abs(beta.sum() - 1.0) <= 1e-9 * np.abs(beta).sum(), "weights that sum to 1", total=beta.sum())
    size = np.broadcast_to(np.asarray(batch, dtype=np.float64), rate.shape)
    require(size >= 1.0, "a batch of at least 1", batch=size)
    return lam, rate, beta, size
