"""When an average is another average, or a schedule: EMA against tail averages, averages against decays.

Long after the start, at constant learning rate, x = lr lam_i, p = 1 - x, the noise responses of an EMA and of a tail
average of n iterates are

    B V_ema  = x (1 - alpha) (1 + alpha p) / ((1 + alpha) (2 - x) (1 - alpha p)),
    B V_tail = sum_{J<n} ((1 - p^J)/n)^2 + ((1 - p^n)/n)^2 / (1 - p^2).

Both are x / (2 - x) for n x << 1 and, with 1 - alpha = 2 / (n + 1), 1/n for n x >> 1. In between, with y = n x and n
large, their ratio is y^2 / ((2 + y) (y - 1 + e^-y)), which lies in [0.8776, 1]: least at y = 2.69, and at most 1
because y - 2 + (2 + y) e^-y >= 0. On a grid of x < 1 and n the ratio stayed between these for every n.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from simlab.theory.statement import require, theorem

__all__ = [
    "dual_schedule",
    "ema_matching_tail",
    "ema_stationary_response",
    "matching_decay",
    "tail_by_ema_lower",
    "tail_by_ema_upper",
]

FloatArray = npt.NDArray[np.float64]

_RUN = ("0 < lr lam_i < 1", "window >= 1", "batch >= 1")
_LEAST = 0.8776


def matching_decay(window: npt.ArrayLike) -> FloatArray:
    """alpha = (n - 1) / (n + 1): the EMA whose variance is that of a tail average of n iterates; n =
    (1+alpha)/(1-alpha).
    """
    n = np.asarray(window, dtype=np.float64)
    return (n - 1.0) / (n + 1.0)


def ema_stationary_response(
    eigenvalues: npt.ArrayLike, lr: float, window: npt.ArrayLike, batch: float = 1.0
) -> FloatArray:
    """V_ema of the module at alpha = `matching_decay(window)`, shape (..., d)."""
    x = lr * np.asarray(eigenvalues, dtype=np.float64)
    n = np.asarray(window, dtype=np.float64)[..., None]
    require((x > 0.0) & (x < 1.0), "0 < lr lam_i < 1", lr_lam=x)
    require(n >= 1.0, "a window of at least 1", window=window)
    require(batch >= 1.0, "a batch of at least 1", batch=batch)
    rate, alpha = 2.0 / (n + 1.0), matching_decay(n)
    # 1 - alpha p = (1 - alpha) + alpha x, a sum of positive terms.
    out: FloatArray = x * rate * (1.0 + alpha * (1.0 - x)) / ((1.0 + alpha) * (2.0 - x) * (rate + alpha * x) * batch)
    return out


@theorem(
    kind="asymptotic",
    about="variance of a long tail average of SGD, from the EMA that matches it",
    source="li2025ema",
    number="EMA and tail averaging",
    assumptions=_RUN,
    provenance="derived",
)
def ema_matching_tail(
    eigenvalues: npt.ArrayLike, noise_variance: float, lr: float, window: npt.ArrayLike, batch: float = 1.0
) -> FloatArray:
    """1/2 sigma^2 V_ema at 1 - alpha = 2/(n+1): the variance of the tail average of n iterates as n lr lam_i grows;
    (..., d).

    Additive noise of covariance sigma^2 H, long after the start. In words: an EMA is worth a window of
    (1+alpha)/(1-alpha).
    """
    return 0.5 * noise_variance * ema_stationary_response(eigenvalues, lr, window, batch)


@theorem(
    kind="lower",
    about="variance of a tail average of SGD by that of the EMA that matches it",
    source="li2025ema",
    number="EMA and tail averaging",
    assumptions=_RUN,
    provenance="fitted",
)
def tail_by_ema_lower(
    eigenvalues: npt.ArrayLike, noise_variance: float, lr: float, window: npt.ArrayLike, batch: float = 1.0
) -> FloatArray:
    """variance_i(tail of n) >= variance_i(EMA, 1 - alpha = 2/(n+1)), additive noise, long after the start; (..., d).

    Proved for large n (see the module), a grid of x and n otherwise.
    """
    return 0.5 * noise_variance * ema_stationary_response(eigenvalues, lr, window, batch)


@theorem(
    kind="upper",
    about="variance of a tail average of SGD by that of the EMA that matches it",
    source="li2025ema",
    number="EMA and tail averaging",
    assumptions=_RUN,
    provenance="fitted",
)
def tail_by_ema_upper(
    eigenvalues: npt.ArrayLike, noise_variance: float, lr: float, window: npt.ArrayLike, batch: float = 1.0
) -> FloatArray:
    """variance_i(tail of n) <= variance_i(EMA, 1 - alpha = 2/(n+1)) / 0.8776; as `tail_by_ema_lower`."""
    return 0.5 / _LEAST * noise_variance * ema_stationary_response(eigenvalues, lr, window, batch)


@theorem(
    kind="asymptotic",
    about="the schedule whose last iterate is, in flat directions, an average of the iterates of another",
    source="li2025ema",
    number="averaging and schedules",
    assumptions=("lr >= 0", "weights of w_0 .. w_T that sum to 1, no tail sum negative"),
    provenance="derived",
)
def dual_schedule(lr: npt.ArrayLike, weights: npt.ArrayLike) -> FloatArray:
    """lr_s sum_{t>s} beta_t, shape (T,): lr (T,), weights (T + 1,).

    The noise kernel K_s,i of the average (`theory.sandwich`) tends to that of the last iterate under this schedule as
    lam_i -> 0, and so does b_i. EMA is dual to lr (1 - alpha^(T-s-1)) in form "old", a tail average of a constant run
    to a constant rate and then a linear decay. The tail sums are taken from the right.
    """
    rate, beta = np.asarray(lr, dtype=np.float64), np.asarray(weights, dtype=np.float64)
    require(rate >= 0.0, "learning rates >= 0", lr=rate)
    require(beta.shape == (rate.size + 1,), "one weight for each of w_0 .. w_T", weights=beta.size, steps=rate.size)
    require(abs(beta.sum() - 1.0) <= 1e-9 * np.abs(beta).sum(), "weights that sum to 1", total=beta.sum())
    later = np.cumsum(beta[::-1])[::-1]
    require(later >= -1e-12, "no negative tail sum of the weights, which no learning rate is", least=later.min())
    out: FloatArray = rate * np.maximum(later[1:], 0.0)
    return out
