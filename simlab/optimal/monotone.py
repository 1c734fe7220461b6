"""The best schedule that never rises: log rates, straight between graded knots, by L-BFGS with exact gradients."""

from __future__ import annotations

import math

import numpy as np

from simlab.arrays import FloatArray
from simlab.optimal.adjoint import Objective
from simlab.optimal.krotov import Certificate, Found
from simlab.optimal.lines import Lines

__all__ = ["never_rising"]

KNOTS = 40
"""Knots on either side of the middle of a run, geometric towards its ends; of shorter runs every step is one."""

GRADIENTS = 4
"""Gradients for each of the sweeps that a search may take."""


class _Drops:
    """z = (falls of log lr from knot to knot, >= 0, and its last value) -> log lr (T,), and gradients back.

    Below the cap by clipping, which leaves what never rises as it is.
    """

    def __init__(self, top: FloatArray) -> None:
        self.top, self.lines = top, Lines(top.size, KNOTS)

    def logs(self, z: FloatArray) -> FloatArray:
        x = z[-1] + np.append(np.cumsum(z[:-1][::-1])[::-1], 0.0)
        return np.minimum(self.lines.up(x), self.top)

    def back(self, slope: FloatArray) -> FloatArray:
        """The gradient in z of what has this slope (T,) in log lr: a fall raises all knots before it."""
        sums: FloatArray = np.cumsum(self.lines.down(slope))
        return sums

    def start(self, lr: FloatArray) -> FloatArray:
        """The lowest schedule above what never rises of these rates at the knots."""
        x = np.minimum.accumulate(np.log(lr[self.lines.at]))
        return np.append(-np.diff(x), x[-1])


def never_rising(
    objective: Objective, lr: FloatArray, share: FloatArray, tolerance: float = 1e-6, sweeps: int = 200
) -> Found:
    """From rates `lr` (T,), batches 1 / `share` (T,) held. Up to 80 steps every rate is a knot; of longer runs knots
    cost some 1e-5 of J.

    The certificate's gradient is that in the falls and the last value, those at 0 that would have to be negative left
    out, in the metric of the diagonal of the Hessian; a search ends where it is at most `tolerance`, or moves no more.
    """
    from scipy.optimize import minimize

    drops = _Drops(np.log(objective.cap))
    z = drops.start(np.minimum(lr, objective.cap))
    first = objective.gradient(np.exp(drops.logs(z)), share)
    scale = np.sqrt(np.maximum(drops.back(2.0 * first.lr**2 * first.H / first.value), 1e-12))
    history: list[tuple[float, float]] = []
    lowest = np.append(np.zeros(z.size - 1), -np.inf)

    def fall(y: FloatArray) -> tuple[float, FloatArray]:
        """log J and its gradient in z * scale."""
        rates = np.exp(drops.logs(y / scale))
        at = objective.gradient(rates, share)
        if not 0.0 < at.value < math.inf:
            return (700.0 if at.value else -700.0), np.zeros(y.size)
        free = rates < objective.cap
        slope = drops.back(np.where(free, 2.0 * rates * (rates * at.H - at.A) / at.value, 0.0)) / scale
        history.append((at.value, float(np.linalg.norm(np.where((y <= lowest) & (slope > 0.0), 0.0, slope)))))
        return math.log(at.value), slope

    bounds = [(0.0, None)] * (z.size - 1) + [(None, None)]
    options = {"maxfun": GRADIENTS * sweeps, "maxiter": GRADIENTS * sweeps, "ftol": 0.0, "gtol": tolerance / z.size}
    found = minimize(fall, z * scale, jac=True, method="L-BFGS-B", bounds=bounds, options={**options, "maxcor": 20})
    value, slope = fall(found.x)
    held = np.where((found.x <= lowest) & (slope > 0.0), 0.0, slope)
    squared = float(held @ held)
    certificate = Certificate(math.sqrt(squared), 0.5 * squared, 0.5 * float((held**2).max()))
    rates = np.minimum.accumulate(np.exp(drops.logs(found.x / scale)))  # against rounding
    return Found(rates, math.exp(value), certificate, np.array(history).reshape(-1, 2))
