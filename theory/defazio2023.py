"""Defazio et al. 2023: the last iterate under any schedule, linear decay, schedules refined by gradient norms.

Setting as in theory.schaipp2025: f convex, x_{t+1} = x_t - eta_t g_t, E |g_t|^2 <= G_t^2, |x_1 - x*| <= D, t from 1.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from simlab.theory.schaipp2025 import RUN, check_run
from simlab.theory.statement import require, theorem
from simlab.theory.sums import suffix_sums

__all__ = [
    "defazio_last_iterate",
    "defazio_refined",
    "defazio_refined_lr",
    "defazio_weighted",
    "linear_decay",
    "median_smoothed",
    "weights_to_lr",
]

FloatArray = npt.NDArray[np.float64]


@theorem(
    kind="upper",
    about="E f(x_T) - f* of the subgradient method",
    source="defazio2023",
    number="Theorem 10",
    assumptions=RUN,
    provenance="printed",
)
def defazio_last_iterate(lr: npt.ArrayLike, gradient_norms: npt.ArrayLike = 1.0, distance: float = 1.0) -> float:
    """The bound for any schedule, as the paper prints it:

        D^2 / (2 eta_{1:T}) + sum_t eta_t^2 G_t^2 / (2 eta_{1:T})
          + 1/2 sum_{t<T} [eta_t / eta_{t+1:T}] [sum_{s=t}^T eta_s^2 G_s^2 / eta_{t:T}],   eta_{a:b} = eta_a + ... +
          eta_b

    lr eta > 0 and gradient_norms G, shape (T,), or one norm; distance D. In units of f. O(T), sums from the right.
    theory.schaipp_last_iterate is the same bound at every horizon, in a simpler form.
    """
    rate, norms = check_run(lr, gradient_norms, distance)
    total, square = suffix_sums(rate), suffix_sums(np.square(rate * norms))
    inner = np.sum(rate[:-1] / total[1:] * (square[:-1] / total[:-1]))
    return float(0.5 * ((distance**2 + square[0]) / total[0] + inner))


@theorem(
    kind="tight",
    about="the largest f(x_T) - f* of linear decay over convex f with subgradients bounded by G and |x_1 - x*| <= D",
    source="defazio2023",
    number="linear decay, after Theorem 3; attained: theory.sharper_last_iterate",
    assumptions=("steps T >= 1", "gradient norm > 0 and distance > 0"),
    provenance="printed",
)
def linear_decay(steps: int, gradient_norm: float = 1.0, distance: float = 1.0) -> float:
    """f(x_T) - f* <= D G / sqrt(T) for eta_t = D / (G sqrt T) (1 - t/T), t = 1 .. T - 1, and no method does better.

    The lower bound for every first-order method is that of Drori and Teboulle 2016. steps T counts the iterates x_1
    .. x_T.
    """
    require(steps >= 1, "steps T >= 1", steps=steps)
    require(gradient_norm > 0.0 and distance > 0.0, "gradient norm > 0 and distance > 0", G=gradient_norm, D=distance)
    return distance * gradient_norm / float(np.sqrt(steps))


def weights_to_lr(weights: npt.ArrayLike) -> FloatArray:
    """eta_t = w_t w_{t+1:T} / w_{1:T}, shape (T,); the last is 0: no step follows the last iterate."""
    w = np.asarray(weights, dtype=np.float64)
    tail = suffix_sums(w)
    return np.asarray(w * np.append(tail[1:], 0.0) / tail[0])


@theorem(
    kind="upper",
    about="E f(x_T) - f* of the subgradient method at eta_t = w_t w_{t+1:T} / w_{1:T}",
    source="defazio2023",
    number="Theorem 3",
    assumptions=("weights > 0", *RUN[1:]),
    provenance="derived",
)
def defazio_weighted(weights: npt.ArrayLike, gradient_norms: npt.ArrayLike = 1.0, distance: float = 1.0) -> float:
    """[D^2 + sum_t w_t^2 G_t^2] / (2 w_{1:T}) for steps eta_t = w_t w_{t+1:T} / w_{1:T} (weights_to_lr).

    weights w > 0 and gradient_norms G, shape (T,), or one norm; distance D; units of f. The paper's wording was not at
    hand; the bound is proved in theory.sharper_last_iterate, whose B(rho) is this one at the weights that belong to a
    given schedule.
    """
    w = np.atleast_1d(np.asarray(weights, dtype=np.float64))
    require((w > 0.0) & np.isfinite(w), "weights > 0", weights=w)
    w, norms = check_run(w, gradient_norms, distance)
    return float((distance**2 + np.sum(np.square(w * norms))) / (2.0 * suffix_sums(w)[0]))


@theorem(
    kind="exact",
    about="the smallest bound of Theorem 3 over all weights, for given gradient norms",
    source="defazio2023",
    number="Theorem 3 and section 3 (refinement)",
    assumptions=RUN[1:],
    provenance="derived",
)
def defazio_refined(gradient_norms: npt.ArrayLike, distance: float = 1.0) -> float:
    """D / sqrt(sum_t G_t^-2), at the weights w_t = G_t^-2 D / sqrt(sum_s G_s^-2).

    gradient_norms G, shape (T,); distance D. By Cauchy and Schwarz no weights give less. Constant norms give D G /
    sqrt(T) and linear decay. defazio_refined_lr has the steps.
    """
    norms = np.atleast_1d(np.asarray(gradient_norms, dtype=np.float64))
    check_run(np.ones(norms.shape), norms, distance)
    return float(distance / np.sqrt(np.sum(norms**-2.0)))


def median_smoothed(gradient_norms: npt.ArrayLike, width: float = 0.1) -> FloatArray:
    """Running median over 2 floor(width T / 2) + 1 steps; the first value is repeated before, the last ones mirrored.

    gradient_norms of shape (T,); `width`, a fraction in [0, 1], is tau of Defazio et al. 2023. O(T width T).
    """
    norms = np.asarray(gradient_norms, dtype=np.float64)
    half = int(width * norms.size / 2.0)
    before = np.full(half, norms[0])
    padded = np.concatenate([before, np.pad(norms, (0, half), mode="symmetric")])
    return np.asarray(np.median(np.lib.stride_tricks.sliding_window_view(padded, 2 * half + 1), axis=-1))


def defazio_refined_lr(
    gradient_norms: npt.ArrayLike, distance: float | None = None, smoothing: float = 0.0, exponent: float = 2.0
) -> FloatArray:
    """The schedule refined by measured gradient norms, shape (T,), last entry 0.

    w_t = G_t^-exponent, eta_t = w_t w_{t+1:T} / w_{1:T}; exponent 2 for SGD and Euclidean norms, 1 for Adam with l1
    norms. With `distance` D (exponent 2) the steps attain the bound of defazio_refined; without, they are scaled to a
    maximum of 1. `smoothing` is the fraction of the run of a running median (the paper: 0.1). Early norms that are
    large make a warmup, norms that rise at the end make it fall faster. Source: Defazio et al. 2023, Algorithm 1.
    """
    norms = np.atleast_1d(np.asarray(gradient_norms, dtype=np.float64))
    check_run(np.ones(norms.shape), norms, 1.0 if distance is None else distance)
    w = (median_smoothed(norms, smoothing) if smoothing > 0.0 else norms) ** -exponent
    if distance is not None:
        require(exponent == 2.0, "exponent 2 where the distance is given", exponent=exponent)
        return weights_to_lr(w * distance / np.sqrt(np.sum(w)))
    lr = weights_to_lr(w)
    return lr if norms.size == 1 else np.asarray(lr / lr.max())
