"""River valleys (Wen et al. 2024): what a learning rate leaves on the hills, and what it gains along the river.

L(x, y) = -s x + 1/2 sum_i lam_i y_i^2, additive gradient noise of variance c_i a step along hill i (for a batch of B,
1/B of one sample's). Under SGD the hills obey v_i <- (1 - eta lam_i)^2 v_i + eta^2 c_i, v_i = E y_i^2, and their loss
is 1/2 sum_i lam_i v_i. The paper's d counts the river: its d - 1 are the hills here. Decays: `theory.wen2024_decay`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from simlab.theory.statement import require, theorem
from simlab.theory.sums import prefix_sums, suffix_sums

__all__ = [
    "bigram_hessian_trace",
    "ema_momentum_variance",
    "river_hills_asymptotic",
    "river_hills_stationary",
    "river_hills_upper",
    "river_noise_functional",
    "river_progress",
    "river_segment_dip",
]

FloatArray = npt.NDArray[np.float64]
_POSITIVE = "hills > 0, noise >= 0, lr > 0"


@theorem(
    kind="exact",
    about="stationary loss of every hill under SGD at a constant learning rate",
    source="simlab",
    number="stationary hill loss",
    assumptions=(_POSITIVE, "lr max(hills) < 2"),
    provenance="derived",
)
def river_hills_stationary(hills: npt.ArrayLike, noise: npt.ArrayLike, lr: npt.ArrayLike) -> FloatArray:
    """1/2 lam_i v_i = eta c_i / (2 (2 - eta lam_i)), the fixed point of the recursion.

    hills lam (d,), noise c (number or (d,)), lr shape (...). Returns (..., d).
    """
    lam, c, rate = _inputs(hills, noise, lr)
    require(rate * lam.max() < 2.0, "lr max(hills) < 2", lr=rate, steepest=lam.max())
    rate = rate[..., None]
    out: FloatArray = rate * c / (2.0 * (2.0 - rate * lam))
    return out


@theorem(
    kind="asymptotic",
    about="stationary loss of every hill as lr -> 0: the SDE limit",
    source="simlab",
    number="stationary hill loss (SDE)",
    assumptions=(_POSITIVE,),
    provenance="derived",
)
def river_hills_asymptotic(hills: npt.ArrayLike, noise: npt.ArrayLike, lr: npt.ArrayLike) -> FloatArray:
    """eta c_i / 4 whatever the curvature, the stationary loss of dy = -lam y dt + sqrt(eta c) dB.

    Shapes as in `river_hills_stationary`, which is 1 / (1 - eta lam_i / 2) times as large. All hills together: (d - 1)
    eta sigma^2 / 4, half of the paper's bound.
    """
    lam, c, rate = _inputs(hills, noise, lr)
    out: FloatArray = 0.25 * rate[..., None] * np.broadcast_to(c, lam.shape)
    return out


@theorem(
    kind="upper",
    about="stationary loss of all hills together under SGD",
    source="wen2024",
    number="stable phase (hill term)",
    assumptions=(_POSITIVE, "lr < min(hills) / (2 max(hills)^2)"),
    provenance="reconstructed",
)
def river_hills_upper(hills: npt.ArrayLike, noise: npt.ArrayLike, lr: npt.ArrayLike) -> FloatArray:
    """(d - 1) eta sigma^2 / 2, sigma^2 the largest noise variance, d - 1 the number of hills; shape of lr.

    Constant and number from secondary sources; the learning rate is capped as the paper's theory of gradient descent
    has it, lr < gamma / (2 gamma_max^2). What is needed is less: the bound holds for lr lam <= 1, and is twice what is
    there as lr -> 0.
    """
    lam, c, rate = _inputs(hills, noise, lr)
    cap = lam.min() / (2.0 * lam.max() ** 2)
    require(rate < cap, "lr < min(hills) / (2 max(hills)^2)", lr=rate, cap=cap)
    out: FloatArray = 0.5 * lam.size * rate * np.max(c)
    return out


@theorem(
    kind="exact",
    about="expected river coordinate of SGD on a linear river after every step",
    source="wen2024",
    number="Theorem 2.4 (progress is the sum of learning rates)",
    assumptions=("lr >= 0",),
    provenance="reconstructed",
)
def river_progress(slope: float, lr: npt.ArrayLike, start: float = 0.0) -> FloatArray:
    """E x_t = x_0 + s sum_{k<t} eta_k, shape (T + 1,) for lr (T,): whatever the order of the learning rates.

    The river loss falls by s^2 sum_k eta_k. Exact for the straight linear river; the paper has it for curved rivers up
    to the error of following them.
    """
    rate = np.atleast_1d(np.asarray(lr, dtype=np.float64))
    require(rate >= 0.0, "lr >= 0", lr=rate)
    return start + slope * np.concatenate([[0.0], prefix_sums(rate)])


@theorem(
    kind="exact",
    about="how far the segment between two independent iterates dips below its chord",
    source="simlab",
    number="segment test",
    assumptions=("hills > 0, variance >= 0", "0 <= position <= 1"),
    provenance="derived",
)
def river_segment_dip(
    hills: npt.ArrayLike, variance: npt.ArrayLike, position: npt.ArrayLike = 0.5, correlation: float = 0.0
) -> FloatArray:
    """E[(1-u) L(y) + u L(y') - L((1-u) y + u y')] = 1/2 u (1-u) sum_i lam_i E (y_i - y'_i)^2, shape of u = position.

    With hill states of variance v (d,) and no memory of one another E (y - y')^2 = 2 v: at the middle the dip is
    1/8 sum lam E (y - y')^2 = 1/4 sum lam v. `correlation` rho of the two makes it (1 - rho) of that. The river, being
    linear along the segment, drops out: between two stable iterates the loss is convex, and it is monotone once
    s (x' - x) > sum lam v (equal v), as between two decayed ones.
    """
    lam, v = np.asarray(hills, dtype=np.float64), np.asarray(variance, dtype=np.float64)
    u = np.asarray(position, dtype=np.float64)
    require(np.all(lam > 0.0) and np.all(v >= 0.0), "hills > 0, variance >= 0", hills=lam, variance=v)
    require((u >= 0.0) & (u <= 1.0), "0 <= position <= 1", position=u)
    out: FloatArray = u * (1.0 - u) * (1.0 - correlation) * np.sum(lam * v)
    return out


@theorem(
    kind="asymptotic",
    about="hill loss that the noise of a whole schedule leaves, as lr -> 0 at a given sum of learning rates",
    source="simlab",
    number="schedule functional",
    assumptions=(_POSITIVE,),
    provenance="derived",
)
def river_noise_functional(hills: npt.ArrayLike, noise: npt.ArrayLike, lr: npt.ArrayLike) -> FloatArray:
    """eta_0 G(S_0) - sum_{k>=1} (eta_{k-1} - eta_k) G(S_k), S_k = sum_{t>=k} eta_t, G(x) = 1/4 sum_i c_i (1 -
    e^{-2 lam_i x}).

    The loss at the end of 0 <= t < T from hills at rest, one number; lr (T,). What annealing gains is the drop of the
    learning rate times G of what is still to come: the multi-power law (Luo et al. 2025) with gamma = 0, derived.
    """
    rate = np.atleast_1d(np.asarray(lr, dtype=np.float64))
    lam, c, _ = _inputs(hills, noise, np.maximum(rate, 1e-300))
    require(np.all(rate >= 0.0) and rate.max() > 0.0, _POSITIVE, lr=rate)
    left = suffix_sums(rate)
    weight = np.broadcast_to(c, lam.shape)
    # 1/4 sum_i c_i (1 - e^(-2 lam_i S)), hill by hill: T x d is never formed.
    G = np.zeros(rate.size)
    for curvature, one in zip(lam, weight, strict=True):
        G -= 0.25 * one * np.expm1(-2.0 * curvature * left)
    drops = rate[:-1] - rate[1:]
    return np.asarray(rate[0] * G[0] - drops @ G[1:])


@theorem(
    kind="exact",
    about="stationary variance of one hill under momentum in EMA form",
    source="simlab",
    number="EMA-momentum",
    assumptions=(_POSITIVE, "0 <= momentum < 1", "lr max(hills) < 2 (1 + momentum) / (1 - momentum)"),
    provenance="derived",
)
def ema_momentum_variance(hills: npt.ArrayLike, noise: npt.ArrayLike, lr: npt.ArrayLike, momentum: float) -> FloatArray:
    """v_i = eta c_i / (lam_i (2 - eta lam_i / T)), T = (1 + beta) / (1 - beta), for m <- beta m + (1 - beta) g, y <- y
    - eta m.

    Shapes as in `river_hills_stationary`. At small eta lam it is the variance of SGD: momentum in this form does not
    calm the hills, it lets steeper ones be stable.
    """
    lam, c, rate = _inputs(hills, noise, lr)
    require(0.0 <= momentum < 1.0, "0 <= momentum < 1", momentum=momentum)
    room = (1.0 + momentum) / (1.0 - momentum)
    require(rate * lam.max() < 2.0 * room, "lr max(hills) < 2 (1 + momentum) / (1 - momentum)", value=rate * lam.max())
    rate = rate[..., None]
    out: FloatArray = rate * c / (lam * (2.0 - rate * lam / room))
    return out


@theorem(
    kind="exact",
    about="trace of the Hessian of one softmax block of the bigram model",
    source="wen2024",
    number="section 4 (bigram model)",
    assumptions=("probabilities >= 0 that sum to 1",),
    provenance="derived",
)
def bigram_hessian_trace(probabilities: npt.ArrayLike) -> FloatArray:
    """tr(diag(p) - p p^T) = 1 - sum_j p_j^2 at the optimum, where the model's p is the data's; (..., m) -> (...).

    0 for a deterministic next token, 1 - 1/m for a uniform one: certain tokens are the river, uncertain ones the hills.
    Formed as 2 sum_{i<j} p_i p_j, the smallest first, which loses no digits where one p is nearly 1 and their sum is 1
    but for rounding. Textbook; the reading is the paper's.
    """
    p = np.asarray(probabilities, dtype=np.float64)
    total = np.sum(p, axis=-1)
    require(
        np.all(p >= 0.0) and np.all(np.abs(total - 1.0) <= 1e-9), "probabilities >= 0 that sum to 1", p=p, total=total
    )
    ascending = np.sort(p, axis=-1)
    smaller = np.cumsum(ascending[..., :-1], axis=-1)
    out: FloatArray = 2.0 * np.sum(ascending[..., 1:] * smaller, axis=-1)
    return out


def _inputs(hills: Any, noise: Any, lr: Any) -> tuple[FloatArray, FloatArray, FloatArray]:
    lam, c = np.atleast_1d(np.asarray(hills, dtype=np.float64)), np.asarray(noise, dtype=np.float64)
    rate = np.asarray(lr, dtype=np.float64)
    ok = lam.ndim == 1 and np.all(lam > 0.0) and np.all(c >= 0.0) and np.all(rate > 0.0)
    require(ok, _POSITIVE, hills=lam, noise=c, lr=rate)
    return lam, c, rate
