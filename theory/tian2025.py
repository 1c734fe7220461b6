"""Decay and merging: for fixed gradients an average of iterates is a last iterate under another schedule, and back.

Merge of checkpoints (WSM, Tian et al. 2025): sum_j c_j theta_{n+j} of a run at one rate eta equals theta_n - eta
sum_i w_i g_{n+i-1} with w_i = c_i + ... + c_k. The equality is algebraic and holds for *given* gradients. In a run
the gradients of the merged path are those at the high rate, and the two differ as soon as eta lam k is not small:
merging leaves more bias in the middle of the spectrum and less variance. `merged_risk` and `decayed_risk` say by how
much on noisy quadratics. For other averages and rates that vary see theory.li2025_tails.dual_schedule.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.signal import lfilter
from simlab.theory.statement import Risk, require, theorem
from simlab.theory.sums import suffix_sums

__all__ = ["decay_to_merge", "decayed_risk", "merge_to_decay", "merged_risk"]

FloatArray = npt.NDArray[np.float64]
_FINITE = "one-dimensional, finite weights"
_QUADRATIC = ("eigenvalues > 0", "noise variances >= 0", "lr >= 0")


def _weights(values: npt.ArrayLike, least: int) -> FloatArray:
    w = np.asarray(values, dtype=np.float64)
    require(w.ndim == 1 and w.size >= least and np.all(np.isfinite(w)), _FINITE, weights=w)
    return w


@theorem(
    kind="exact",
    about="the learning-rate decay that a merge of checkpoints stands for, gradients fixed",
    source="tian2025",
    number="Theorem 1, forward",
    assumptions=(_FINITE,),
    provenance="printed",
)
def merge_to_decay(merge_weights: npt.ArrayLike) -> FloatArray:
    """w_i = sum_{j>=i} c_j, i = 1 .. k: the rate of step n + i relative to the stable one, shape (k,).

    merge_weights c_0 .. c_k, shape (k + 1,), of the checkpoints theta_n .. theta_{n+k}; their sum is meant to be 1.
    The decay does not increase where c_j >= 0, and only there. Uniform weights 1/(k+1) are linear decay w_i = 1 -
    i/(k+1).
    """
    return suffix_sums(_weights(merge_weights, 2))[1:]


@theorem(
    kind="exact",
    about="the merge of checkpoints that stands for a learning-rate decay, gradients fixed",
    source="tian2025",
    number="Theorem 1, inverse",
    assumptions=(_FINITE, "1 >= w_1 >= ... >= w_k >= 0 (merge weights c_j >= 0)"),
    provenance="printed",
)
def decay_to_merge(decay: npt.ArrayLike) -> FloatArray:
    """c_k = w_k, c_j = w_j - w_{j+1}, c_0 = 1 - w_1: the only weights, shape (k + 1,), whose tail sums are the decay.

    decay w_1 .. w_k, shape (k,): learning rates relative to the stable one. They sum to 1, and none is negative under
    the monotonicity condition, without which the merge would have to extrapolate. A 1-sqrt decay puts most weight on
    the earliest checkpoints, cosine on the middle ones.
    """
    w = _weights(decay, 1)
    require(w[0] <= 1.0 and w[-1] >= 0.0 and np.all(np.diff(w) <= 0.0), "1 >= w_1 >= ... >= w_k >= 0", decay=w)
    return np.concatenate([[1.0 - w[0]], w[:-1] - w[1:], w[-1:]])


def _quadratic(
    eigenvalues: npt.ArrayLike, initial_error: npt.ArrayLike, noise_variances: npt.ArrayLike, lr: npt.ArrayLike
) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
    lam, rate = np.asarray(eigenvalues, dtype=np.float64), np.asarray(lr, dtype=np.float64)
    noise = np.broadcast_to(np.asarray(noise_variances, dtype=np.float64), lam.shape)
    require(lam > 0.0, _QUADRATIC[0], eigenvalues=lam)
    require(noise >= 0.0, _QUADRATIC[1], noise_variances=noise)
    require(rate >= 0.0, _QUADRATIC[2], lr=rate)
    return lam, np.broadcast_to(np.asarray(initial_error, dtype=np.float64), lam.shape), noise, rate


@theorem(
    kind="exact",
    about="risk of SGD's last iterate on a quadratic with additive noise under any schedule",
    source="simlab",
    number="notes 0.1",
    assumptions=_QUADRATIC,
    provenance="derived",
)
def decayed_risk(
    eigenvalues: npt.ArrayLike, initial_error: npt.ArrayLike, noise_variances: npt.ArrayLike, lr: npt.ArrayLike
) -> Risk:
    """1/2 lam [e^2 prod_t (1 - x_t)^2] and 1/2 lam c sum_t eta_t^2 prod_{s>t} (1 - x_s)^2 by mode, x_t = eta_t lam.

    eigenvalues lam, initial_error e, noise_variances c of the gradient noise of a step, each (d,) or a number; lr (T,).
    Products are formed as sums of logarithms from the right; arrays of shape (d, T) are formed on the way.
    """
    lam, error, noise, rate = _quadratic(eigenvalues, initial_error, noise_variances, np.atleast_1d(lr))
    x = lam[:, None] * rate
    gone = x == 1.0
    log = np.where(gone, -np.inf, 2.0 * np.log1p(np.where(x < 1.0, -x, np.where(gone, 0.0, x - 2.0))))
    kept = np.exp(np.concatenate([np.cumsum(log[:, ::-1], axis=1)[:, ::-1], np.zeros((lam.size, 1))], axis=1))
    return Risk(0.5 * lam * error**2 * kept[:, 0], 0.5 * lam * noise * (kept[:, 1:] @ np.square(rate)))


@theorem(
    kind="exact",
    about="risk of a merge of checkpoints of SGD at a constant rate on a quadratic with additive noise",
    source="simlab",
    number="notes 4 (decay against merge)",
    assumptions=(_FINITE, *_QUADRATIC),
    provenance="derived",
)
def merged_risk(
    eigenvalues: npt.ArrayLike,
    initial_error: npt.ArrayLike,
    noise_variances: npt.ArrayLike,
    lr: float,
    merge_weights: npt.ArrayLike,
) -> Risk:
    """1/2 lam (e sum_j c_j p^j)^2 and 1/2 lam c eta^2 sum_{i=1}^k (sum_{j>=i} c_j p^{j-i})^2 by mode, p = 1 - eta lam.

    merge_weights c_0 .. c_k of the iterates after 0 .. k steps, shape (k + 1,); the rest as in decayed_risk, lr a
    number. The inner sums are one linear filter a mode. To be compared with decayed_risk at lr *
    merge_to_decay(merge_weights): the same where eta lam k << 1, more bias and less variance beyond.
    """
    c = _weights(merge_weights, 2)
    lam, error, noise, rate = _quadratic(eigenvalues, initial_error, noise_variances, float(lr))
    bias, variance = np.empty(lam.size), np.empty(lam.size)
    for i, p in enumerate(1.0 - float(rate) * lam):
        response = lfilter([1.0], [1.0, -p], c[::-1])[::-1]
        bias[i], variance[i] = response[0], np.sum(np.square(response[1:]))
    return Risk(0.5 * lam * (error * bias) ** 2, 0.5 * lam * noise * float(rate) ** 2 * variance)
