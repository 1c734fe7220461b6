"""One schedule for several horizons or problems: the least worst ratio to the optimum of each, bounded from below.

With nu on the simplex, L(nu) = min over schedules of sum_h nu_h J_h / J*_h is concave and never above the minimax value
min max_h J_h / J*_h; its gradient is the ratios at the minimum. L is raised by L-BFGS in the logarithms of nu, each
value by Krotov's sweeps from the schedule before. Where sweeps find global minima (at batch 1 every start has led to
one), L is a bound, and the largest ratio of its schedule is reached: the two close in on the answer.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from simlab.arrays import FloatArray
from simlab.optimal.krotov import Found, Swept, free_rates

__all__ = ["Shared", "shared"]

GRADIENTS = 60
"""Most values of nu that are tried."""

LEAST = 1e-12
"""Smallest nu: a horizon without any weight would have no say in the metric of its steps."""


class Shared(NamedTuple):
    """The schedule that was found, its ratio to the optimum of each aim (H,), nu (H,), and L(nu)."""

    found: Found
    ratios: FloatArray
    nu: FloatArray
    bound: float


def shared(
    mean: Callable[[FloatArray], Swept],
    ratios_of: Callable[[FloatArray], FloatArray],
    count: int,
    lr: FloatArray,
    share: FloatArray,
    tolerance: float,
    sweeps: int,
) -> Shared:
    """The best schedule for `count` aims, from rates `lr` (T,), batches 1 / `share` held.

    mean : nu (H,) -> the objective sum_h nu_h J_h / J*_h.  ratios_of : rates -> J_h / J*_h (H,).
    """
    from scipy.optimize import minimize

    best: list[Shared] = []
    bound, begin = 0.0, lr

    def fall(logs: FloatArray) -> tuple[float, FloatArray]:
        nonlocal bound, begin
        nu = np.maximum(np.exp(logs - logs.max()), LEAST)
        nu /= nu.sum()
        found = free_rates(mean(nu), begin, share, tolerance, sweeps)
        ratios = ratios_of(found.lr)
        begin, bound = found.lr, max(bound, found.value)
        if not best or ratios.max() < best[-1].ratios.max():
            best.append(Shared(found, ratios, nu, bound))
        return -found.value, -nu * (ratios - found.value)

    minimize(fall, np.zeros(count), jac=True, method="L-BFGS-B", options={"maxfun": GRADIENTS, "ftol": 1e-8})
    return best[-1]._replace(bound=bound)
