"""The learning-rate annealing law of Tissue, Wang and Wang 2024: an empirical law of loss curves, not a theorem.

    L(s) = L_0 + A S_1(s)^-alpha - C S_2(s),   S_1 = sum_{i<=s} eta_i,   S_2 = sum_{i<=s} m_i,   m_i = lambda m_{i-1}
    + (eta_{i-1} - eta_i)

S_1 is the progress, S_2 the gain from annealing with a memory of 1 / (1 - lambda) *steps*, whatever the rate. Known
limits, which the tests show: steps at rate 0 still lower the loss; the gain is proportional to the rate's scale; the
loss can go below L_0 and below 0.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.signal import lfilter
from simlab.theory.statement import require, theorem
from simlab.theory.sums import prefix_sums

__all__ = ["TISSUE_2024", "AnnealingConstants", "annealing_areas", "annealing_law"]

FloatArray = npt.NDArray[np.float64]
_LR = "lr >= 0 and lr_0 > 0, finite"
_MEMORY = "0 <= memory < 1"


class AnnealingConstants(NamedTuple):
    """L_0, A, C, alpha, and lambda = memory."""

    floor: float
    progress: float
    annealing: float
    exponent: float
    memory: float = 0.999


TISSUE_2024 = AnnealingConstants(2.628, 0.4297, 0.4108, 0.5498)
"""The fit to the 40 points that the authors publish (cosine and constant, peak 2e-4, 20,000 steps); R^2 0.9996, notes
8.1."""


def annealing_areas(lr: npt.ArrayLike, memory: float = 0.999) -> tuple[FloatArray, FloatArray]:
    """S_1 and S_2 after each step, shape (T,); entry t counts the steps 0 .. t.

    lr, shape (T,), a warmup given as its peak, as the authors count it (nothing is dropped before the first step).
    Linear filters, O(T).
    """
    rate = np.atleast_1d(np.asarray(lr, dtype=np.float64))
    require(rate.ndim == 1 and rate.size > 0, "lr of shape (T,), T >= 1", shape=rate.shape)
    require(np.all((rate >= 0.0) & np.isfinite(rate)) and rate[0] > 0.0, _LR, lr=rate)
    require(0.0 <= memory < 1.0, _MEMORY, memory=memory)
    drops = np.concatenate([[0.0], rate[:-1] - rate[1:]])
    return prefix_sums(rate), prefix_sums(lfilter([1.0], [1.0, -memory], drops))


@theorem(
    kind="exact",
    about="the value of an empirical law of loss curves",
    source="tissue2024",
    number="equation of the annealing law",
    assumptions=(_LR, _MEMORY),
    provenance="printed",
)
def annealing_law(lr: npt.ArrayLike, constants: AnnealingConstants = TISSUE_2024) -> FloatArray:
    """L after each step, shape (T,): L_0 + A S_1^-alpha - C S_2 with S_2 = sum_k (eta_{k-1} - eta_k) (1 -
    lambda^{s-k+1}) / (1 - lambda).

    lr, shape (T,), in the units of the fit (the constants hold for one model, batch and token count). Evaluated by two
    filters, O(T). The law is a fit; "exact" is said of its evaluation.
    """
    S1, S2 = annealing_areas(lr, constants.memory)
    return constants.floor + constants.progress * S1**-constants.exponent - constants.annealing * S2
