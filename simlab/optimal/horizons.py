"""One schedule for several horizons: the least worst ratio to the optimum of each, with a bound from below.

With nu on the simplex, L(nu) = min over schedules of sum_h nu_h J_h / J*_h is concave and never above the minimax value
min max_h J_h / J*_h; its gradient is the ratios at the minimum. L is raised by L-BFGS in the logarithms of nu, each
value by Krotov's sweeps from the schedule before. Where sweeps find global minima (at batch 1 every start has led to
one), L is a bound, and the largest ratio of its schedule is reached: the two close in on the answer.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from simlab.arrays import FloatArray
from simlab.optimal.adjoint import Objective
from simlab.optimal.krotov import Found, free_rates

__all__ = ["Shared", "shared"]

GRADIENTS = 60
"""Most values of nu that are tried."""

LEAST = 1e-12
"""Smallest nu: a horizon without any weight would have no say in the metric of its steps."""


class Shared(NamedTuple):
    """The schedule that was found, its ratio to the optimum of each horizon (H,), nu (H,), and L(nu)."""

    found: Found
    ratios: FloatArray
    nu: FloatArray
    bound: float


def shared(
    objective: Objective,
    lr: FloatArray,
    share: FloatArray,
    horizons: Sequence[int],
    least: FloatArray,
    tolerance: float,
    sweeps: int,
) -> Shared:
    """The best schedule for horizons (H,) whose own optima are `least` (H,); from rates `lr` (T,)."""
    from scipy.optimize import minimize

    best: list[Shared] = []
    bound, begin = 0.0, lr

    def fall(logs: FloatArray) -> tuple[float, FloatArray]:
        nonlocal bound, begin
        nu = np.maximum(np.exp(logs - logs.max()), LEAST)
        nu /= nu.sum()
        weights = np.zeros(objective.steps + 1)
        weights[list(horizons)] = nu / least
        found = free_rates(replace(objective, weights=weights), begin, share, tolerance, sweeps)
        ratios = objective.risks(found.lr, share)[list(horizons)] / least
        begin, bound = found.lr, max(bound, found.value)
        if not best or ratios.max() < best[-1].ratios.max():
            best.append(Shared(found, ratios, nu, bound))
        return -found.value, -nu * (ratios - found.value)

    minimize(fall, np.zeros(len(horizons)), jac=True, method="L-BFGS-B", options={"maxfun": GRADIENTS, "ftol": 1e-8})
    return best[-1]._replace(bound=bound)
