"""A warmup that is wanted: its steps rise in a line to the first rate of the rest, which is free."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from simlab.arrays import FloatArray
from simlab.optimal.adjoint import Objective, inner
from simlab.optimal.krotov import Certificate, Found, free_rates

__all__ = ["warmed"]

STRIDE = 0.25
"""First stride of log peak in search of a change of sign."""

CLOSE = 1e-7
"""How close log peak is found; J is flat there to the square of it."""


class _Peak:
    """J at the best rest behind a warmup to exp(x), and dlogJ/dx of the warmup, which is that of all (envelope)."""

    def __init__(
        self, objective: Objective, lr: FloatArray, share: FloatArray, rise: FloatArray, tolerance: float, sweeps: int
    ) -> None:
        self.objective, self.share, self.rise = objective, share, rise
        self.tolerance, self.sweeps, self.tail = tolerance, sweeps, lr[rise.size :]
        self.best: Found | None = None

    def slope(self, x: float) -> float:
        n, objective = self.rise.size, self.objective
        head, share = math.exp(x) * self.rise, self.share
        risks, begin = objective.walked(head, share[:n])
        if not np.isfinite(risks[-1]):
            return math.inf
        rest = replace(objective, begin=begin, weights=objective.weights[n:], cap=objective.cap[n:])
        found = free_rates(rest, self.tail, share[n:], self.tolerance, self.sweeps)
        if not math.isfinite(found.value):
            return math.inf
        self.tail, lr = found.lr, np.concatenate([head, found.lr])
        at = objective.gradient(lr, share)
        slope = 2.0 * inner(head, head * at.H[:n] - at.A[:n])
        if self.best is None or at.value < self.best.value:
            before = inner(objective.weights[:n], risks[:n])
            part = found.value / at.value if at.value else 1.0
            held = slope < 0.0 and x >= self.top
            gain = 0.0 if held else 0.25 * slope**2 / (inner(head**2, at.H[:n]) * at.value)
            rest_gain, single = part * found.certificate.gain, part * found.certificate.single
            certificate = Certificate(math.sqrt(2.0 * (rest_gain + gain)), rest_gain + gain, max(single, gain))
            self.best = Found(lr, at.value, certificate, found.history + np.array([before, 0.0]))
        return slope / at.value

    @property
    def top(self) -> float:
        """Largest log peak that the caps allow."""
        return float(np.min(np.log(self.objective.cap[: self.rise.size])))


def warmed(
    objective: Objective, lr: FloatArray, share: FloatArray, warmup: int, tolerance: float, sweeps: int
) -> Found:
    """The best rates peak (1, 2, .., w) / w, peak, and free ones behind these, from rates `lr` (T,).

    The rest is found by sweeps for each peak tried; its own gradient vanishes there, so that the slope in the peak is
    that of the warmup's steps, whose root is bracketed.
    """
    from scipy.optimize import brentq

    peak = _Peak(objective, lr, share, np.append(np.arange(1.0, warmup + 1.0) / warmup, 1.0), tolerance, sweeps)
    x = min(math.log(lr[warmup]), peak.top)
    slope = peak.slope(x)
    while slope == math.inf:
        x -= 1.0
        slope = peak.slope(x)
    stride = -math.copysign(STRIDE, slope)
    while slope and (stride < 0.0 or x < peak.top):
        y = min(x + stride, peak.top)
        other = peak.slope(y)
        if not other * slope > 0.0:
            brentq(lambda at: min(peak.slope(at), 1e3), *sorted((x, y)), xtol=CLOSE)
            break
        x, slope, stride = y, other, 2.0 * stride
    assert peak.best is not None
    return peak.best
