"""The multi-power law of Luo et al. 2025: an empirical law of loss curves, not a theorem.

    L(t) = L_0 + A S_1(t)^-alpha - B sum_{k<=t} (eta_{k-1} - eta_k) G(eta_k^-gamma S_k(t)),   G(x) = 1 - (1 + C
    x)^-beta,

S_k(t) = eta_k + ... + eta_t, S_1 their total. The published constants hold only with the warmup ramp counted in S_1
*and* in the sum, where its drops are negative, as the authors' code does it; the paper's separate constant S_W is off
by 0.11 to 0.15.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from simlab.theory.statement import require, theorem
from simlab.theory.sums import memory_sums, prefix_sums

__all__ = ["LUO_2025", "MultiPowerConstants", "multi_power_law"]

FloatArray = npt.NDArray[np.float64]
_LR = "lr > 0 after the first step, lr_0 >= 0, T >= 2, finite"
_CONSTANTS = "constants B, C, beta, gamma > 0"


class MultiPowerConstants(NamedTuple):
    """L_0, A, alpha, B, C, beta, gamma."""

    floor: float
    progress: float
    exponent: float
    annealing: float
    scale: float
    power: float
    rate_power: float


LUO_2025 = {
    "25M": MultiPowerConstants(3.04045406, 0.52468604, 0.50786857, 363.78751622, 2.06560812, 0.58279013, 0.64142257),
    "100M": MultiPowerConstants(2.6514477, 0.60115152, 0.45295811, 437.9464276, 2.13245612, 0.59785199, 0.65523644),
    "400M": MultiPowerConstants(2.37474466, 0.65421216, 0.42878731, 523.42464371, 2.02462735, 0.59350493, 0.63472457),
}
"""Published fits by model size: peak 3e-4, linear warmup from 0 over 2,160 steps; fitted on three curves of nine
each."""


@theorem(
    kind="exact",
    about="the value of an empirical law of loss curves",
    source="luo2025",
    number="equation of the multi-power law, with the warmup of the authors' code",
    assumptions=(_LR, _CONSTANTS),
    provenance="corrected",
)
def multi_power_law(lr: npt.ArrayLike, constants: MultiPowerConstants = LUO_2025["100M"]) -> FloatArray:
    """L after each step, shape (T,), entry t for S_1 = eta_0 + ... + eta_t; entry 0 is inf where the warmup begins at
    0.

    lr eta, shape (T,), warmup included. With b_k = eta_k^gamma / C the sum over k is (eta_0 - eta_t) plus
    sum_k (eta_k - eta_{k-1}) b_k^beta (b_k + S_k(t))^-beta, a memory kernel that theory.sums evaluates for all t
    in O(T log T). The law is a fit; "exact" is said of its evaluation.
    """
    rate = np.atleast_1d(np.asarray(lr, dtype=np.float64))
    require(
        rate.ndim == 1 and rate.size >= 2 and np.all(np.isfinite(rate)) and rate[0] >= 0.0 and np.all(rate[1:] > 0.0),
        _LR,
        lr=rate,
    )
    c = constants
    require(min(c.annealing, c.scale, c.power, c.rate_power) > 0.0, _CONSTANTS, constants=c)
    offsets = np.append(0.0, rate[1:] ** c.rate_power / c.scale)
    charges = np.append(0.0, np.diff(rate) * offsets[1:] ** c.power)
    reach = offsets + rate
    reach[0] = 1.0  # charge 0
    kept = memory_sums(rate, charges, c.power, reach) + charges * reach**-c.power
    total = prefix_sums(rate)
    falling = np.where(total > 0.0, np.where(total > 0.0, total, 1.0) ** -c.exponent, np.inf)
    return np.asarray(c.floor + c.progress * falling - c.annealing * ((rate[0] - rate) + kept))
