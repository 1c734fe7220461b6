"""Eigencurve of Pan, Ye and Zhang 2022: a schedule made for a spectrum, and bounds for any schedule on the last
iterate.

The noise model is additive: E[n n^T] <= sigma^2 H, no multiplicative noise (risk as everywhere, with the 1/2).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from simlab.theory.statement import Risk, require, theorem

__all__ = [
    "eigencurve_lr",
    "eigencurve_similar_upper",
    "eigencurve_variance_upper",
    "last_iterate_upper",
    "spectrum_bins",
]

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
_CHUNK = 1 << 20

_NOISE = ("eigenvalues > 0", "0 <= lr lam_1 <= 1")


def spectrum_bins(eigenvalues: npt.ArrayLike, base: float = 2.0) -> tuple[IntArray, IntArray]:
    """(i, s_i): the occupied bins [mu base^i, mu base^(i+1)) and their counts, mu the least eigenvalue."""
    lam = np.asarray(eigenvalues, dtype=np.float64)
    require(lam > 0.0, "positive eigenvalues", eigenvalues=lam)
    require(base > 1.0, "base > 1", base=base)
    ratio = lam / lam.min()
    top = int(np.ceil(np.log(ratio.max()) / np.log(base))) + 1
    edges = base ** np.arange(top + 2.0)
    bins = np.searchsorted(edges, ratio, side="right") - 1
    occupied, counts = np.unique(bins, return_counts=True)
    return occupied.astype(np.int64), counts.astype(np.int64)


@theorem(
    kind="exact",
    about="the eigencurve schedule",
    source="pan2022eigencurve",
    number="schedule",
    assumptions=("eigenvalues > 0", "base > 1", "steps >= 1"),
    provenance="printed",
)
def eigencurve_lr(eigenvalues: npt.ArrayLike, steps: int, base: float = 2.0) -> FloatArray:
    """1 / (L + mu sum_{j<i} D_j base^j + mu base^i (t - t_i)) for t_i <= t < t_(i+1), shape (steps,).

    s_i eigenvalues in bin i, stages of D_i steps proportional to sqrt(s_i), t_i = D_0 + .. + D_(i-1), L the largest
    eigenvalue; ends of stages are rounded to the nearest step (the authors' code rounds down and adds one).
    """
    require(steps >= 1, "at least 1 step", steps=steps)
    lam = np.asarray(eigenvalues, dtype=np.float64)
    occupied, counts = spectrum_bins(lam, base)
    share = np.cumsum(np.sqrt(counts))
    ends = np.rint(steps * (share / share[-1])).astype(np.int64)
    begin = np.concatenate([[0], ends[:-1]])
    slope = base ** occupied.astype(np.float64)
    reached = lam.max() / lam.min() + np.concatenate([[0.0], np.cumsum((ends - begin) * slope)[:-1]])
    t = np.arange(steps)
    stage = np.searchsorted(ends, t, side="right")
    out: FloatArray = 1.0 / (lam.min() * (reached[stage] + slope[stage] * (t - begin[stage])))
    return out


@theorem(
    kind="upper",
    about="excess risk of the last iterate under any schedule, additive noise of covariance at most sigma^2 H",
    source="pan2022eigencurve",
    number="bias and variance by eigenvalue, supplement",
    assumptions=_NOISE,
    provenance="printed",
)
def last_iterate_upper(
    eigenvalues: npt.ArrayLike, initial_error: npt.ArrayLike, noise_variance: float, lr: npt.ArrayLike
) -> Risk:
    """With Gamma_t = sum_{k>t} lr_k: bias_j <= 1/2 lam_j d_j^2 exp(-2 lam_j sum_k lr_k), variance_j <= 1/2 lam_j^2
    sigma^2 sum_t lr_t^2 exp(-2 lam_j Gamma_t); from 0 <= 1 - x <= e^-x. lr (T,); returns (d,).
    """
    lam, rate = np.asarray(eigenvalues, dtype=np.float64), np.asarray(lr, dtype=np.float64)
    _noise(lam, rate)
    left = np.concatenate([np.cumsum(rate[::-1])[::-1], [0.0]])
    noise = np.empty(lam.size)
    width = max(1, _CHUNK // max(1, rate.size))
    for first in range(0, lam.size, width):
        part = slice(first, first + width)
        noise[part] = np.sum(rate[:, None] ** 2 * np.exp(-2.0 * left[1:, None] * lam[part]), axis=0)
    bias = 0.5 * lam * np.asarray(initial_error) ** 2 * np.exp(-2.0 * lam * left[0])
    return Risk(bias, 0.5 * lam**2 * noise_variance * noise)


@theorem(
    kind="upper",
    about="variance of the last iterate under eigencurve, additive noise of covariance at most sigma^2 H",
    source="pan2022eigencurve",
    number="variance bound",
    assumptions=("eigenvalues > 0", "base = 2", "steps >= 1"),
    provenance="reconstructed",
)
def eigencurve_variance_upper(
    eigenvalues: npt.ArrayLike, noise_variance: float, steps: npt.ArrayLike, base: float = 2.0
) -> FloatArray:
    """Total variance <= 15 (sum_i sqrt(s_i))^2 sigma^2 / T, with s_i as in `spectrum_bins`; shape of steps.

    From memory; checked against the exact engine only, where 0.54 in place of 15 has sufficed (0.25 from T = 300 on).
    The minimax rate has d sigma^2 / T; (sum_i sqrt(s_i))^2 is at most d times the number of occupied bins.
    """
    require(base == 2.0, "base = 2, for which the constant is given", base=base)
    require(np.asarray(steps) >= 1, "at least 1 step", steps=steps)
    _, counts = spectrum_bins(eigenvalues, base)
    out: FloatArray = 15.0 * np.sum(np.sqrt(counts)) ** 2 * noise_variance / np.asarray(steps, dtype=np.float64)
    return out


@theorem(
    kind="upper",
    about="excess risk of the last iterate under a schedule that resembles another",
    source="pan2022eigencurve",
    number="similarity of schedules, supplement (equal lengths)",
    assumptions=(*_NOISE, "lr and reference of one length, zero only together"),
    provenance="derived",
)
def eigencurve_similar_upper(
    eigenvalues: npt.ArrayLike,
    initial_error: npt.ArrayLike,
    noise_variance: float,
    lr: npt.ArrayLike,
    reference: npt.ArrayLike,
) -> Risk:
    """e^(2 c lam_j) times the bias and C^2 e^(2 c lam_j) times the variance of `last_iterate_upper` of the reference;
    (d,).

    C = max lr_t / reference_t, c = max(0, max_t sum_{k>=t} (reference_k - lr_k)), over t = 0 .. T: so lr_t <= C
    reference_t and sum_{k>=t} lr_k >= sum_{k>=t} reference_k - c; put both into the reference's bound, term by term.
    (The paper allows different lengths, with C_iter.)
    """
    lam = np.asarray(eigenvalues, dtype=np.float64)
    rate, other = np.asarray(lr, dtype=np.float64), np.asarray(reference, dtype=np.float64)
    require(rate.shape == other.shape, "schedules of one length", lr=rate.size, reference=other.size)
    require((other > 0.0) | (rate == 0.0), "a reference that is zero only where lr is", reference=other)
    _noise(lam, rate)
    scale = np.max(np.divide(rate, other, out=np.zeros_like(rate), where=other > 0.0), initial=0.0)
    behind = np.cumsum((other - rate)[::-1])
    tail = max(0.0, float(np.max(behind, initial=0.0)))
    base = last_iterate_upper(lam, initial_error, noise_variance, other)
    factor = np.exp(2.0 * tail * lam)
    return Risk(base.bias * factor, base.variance * factor * max(scale, 0.0) ** 2)


def _noise(lam: FloatArray, rate: FloatArray) -> None:
    require(lam > 0.0, "positive eigenvalues", eigenvalues=lam)
    require((rate >= 0.0) & (rate * lam.max() <= 1.0 + 1e-12), "0 <= lr lam_1 <= 1", lr=rate, lam_1=lam.max())
