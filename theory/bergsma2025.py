"""AdamW as a moving average of its updates (Bergsma et al. 2025): what each update weighs in the final weights.

    theta_t = (1 - alpha_t) theta_{t-1} + alpha_t x_t,   alpha_t = eta_t lambda,   x_t = -(Adam update) / lambda

with decoupled weight decay lambda. The same recursion is SGD on a mode of curvature lambda, x_t being the noisy
minimum that step t sees; there `weight_decay` is the eigenvalue.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from simlab.theory.statement import require, theorem
from simlab.theory.sums import suffix_sums

__all__ = ["adamw_coefficients", "adamw_effective_updates"]

FloatArray = npt.NDArray[np.float64]
_RANGE = "0 <= lr * weight_decay <= 1"


def _rates(lr: npt.ArrayLike, weight_decay: npt.ArrayLike) -> FloatArray:
    """alpha, shape (..., T)."""
    rate = np.atleast_1d(np.asarray(lr, dtype=np.float64))
    require(rate.ndim == 1 and rate.size > 0, "lr of shape (T,), T >= 1", shape=rate.shape)
    alpha: FloatArray = np.asarray(weight_decay, dtype=np.float64)[..., None] * rate
    require((alpha >= 0.0) & (alpha <= 1.0), _RANGE, alpha=alpha)
    return alpha


@theorem(
    kind="exact",
    about="the weight of each update, and of the initial weights, in the weights after T steps of AdamW",
    source="bergsma2025",
    number="equations of section 3 (extended EMA)",
    assumptions=(_RANGE,),
    provenance="printed",
)
def adamw_coefficients(lr: npt.ArrayLike, weight_decay: npt.ArrayLike) -> FloatArray:
    """c_0 = prod_t (1 - alpha_t), c_t = alpha_t prod_{s>t} (1 - alpha_s): theta_T = c_0 theta_0 + sum_t c_t x_t,
    shape (..., T+1).

    lr eta, shape (T,); weight_decay lambda, a number or any shape (...). All c >= 0 and they sum to 1. The paper
    counts the initial weights as the first input (alpha_1 = 1); here they have the index 0. c_0 is what is left of
    the bias. Products are sums of logarithms from the right, right to 10^-12 over 10^6 steps.
    """
    alpha = _rates(lr, weight_decay)
    log = np.where(alpha == 1.0, -np.inf, np.log1p(np.where(alpha == 1.0, 0.0, -alpha)))
    kept = np.exp(suffix_sums(log))
    later = np.concatenate([kept[..., 1:], np.ones((*alpha.shape[:-1], 1))], axis=-1)
    return np.concatenate([kept[..., :1], alpha * later], axis=-1)


@theorem(
    kind="exact",
    about="the number of updates that the weights after T steps of AdamW average",
    source="bergsma2025",
    number="section 3 (dual coefficients); number as in notes 5",
    assumptions=(_RANGE,),
    provenance="derived",
)
def adamw_effective_updates(lr: npt.ArrayLike, weight_decay: npt.ArrayLike) -> FloatArray:
    """n_eff = 1 / sum_t c_t^2 over the coefficients of adamw_coefficients, shape (...).

    The variance of theta_T is that of one input divided by n_eff if the inputs are independent. Constant alpha: (2 -
    alpha) / alpha once c_0 is gone; a rate that decays to zero averages far more.
    """
    return np.asarray(1.0 / np.sum(np.square(adamw_coefficients(lr, weight_decay)), axis=-1))
