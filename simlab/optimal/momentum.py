"""Rate and momentum of heavy ball together, free at every step, by Krotov's sweep for k = 2."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from simlab.arrays import FloatArray
from simlab.optimal.adjoint import STRETCH, Objective, inner
from simlab.optimal.krotov import Certificate

__all__ = ["Pair", "free_pairs"]

STARTS = (0.0, 0.5, 0.9)
"""Momenta that a search begins with, each with the rates of SGD times 1 - momentum."""

TRIAL = 20
"""Every start is given this part of all sweeps; the best one goes on."""

TOLD = 0.1
"""A change of momentum by so much .."""

UNSEEN = 1e-8
""".. that alters J by less than this share is one that the problem does not tell."""


class Pair(NamedTuple):
    """Rates and momenta (T,), their J and certificate, (J, scaled distance moved) after every sweep, and the share of
    the steps at which momentum is ill-determined.
    """

    lr: FloatArray
    momentum: FloatArray
    value: float
    certificate: Certificate
    history: FloatArray
    flat: float


class _Sweep(NamedTuple):
    lr: FloatArray
    momentum: FloatArray
    value: float
    gains: FloatArray
    curves: FloatArray

    @property
    def distance(self) -> float:
        """sqrt(2 sum of gains / J)."""
        if not 0.0 < self.value < math.inf:
            return math.inf if self.value else 0.0
        return math.sqrt(2.0 * max(float(self.gains.sum()), 0.0) / self.value)


def free_pairs(
    objective: Objective, begin: FloatArray, lr: FloatArray, share: FloatArray, tolerance: float, sweeps: int
) -> Pair:
    """From the rates `lr` (T,) of SGD and several momenta; batches 1 / `share` held, moments `begin` (3, N) at first.

    h_t of the kernel is a convex quadratic of (lr_t, momentum_t), minimised exactly on its box: J never rises (derived
    here). It is not convex in all steps together: what is found is a local optimum, and after thousands of sweeps J
    may still fall by 1e-7 in each.
    """
    each = max(1, sweeps // TRIAL)
    tries = [
        _swept(objective, begin, (1.0 - beta) * lr, np.full(lr.size, beta), share, tolerance, each) for beta in STARTS
    ]
    best, past = min(tries, key=lambda tried: tried[0].value)
    left = sweeps - each * len(STARTS)
    if left > 0 and best.distance > tolerance:
        best, more = _swept(objective, begin, best.lr, best.momentum, share, tolerance, left)
        past = past + more
    at = _sweep(objective, begin, best.lr, best.momentum, share, go=False)
    gain = float(at.gains.sum()) / at.value if at.value else 0.0
    certificate = Certificate(at.distance, gain, float(at.gains.max()) / at.value if at.value else 0.0)
    flat = float(np.mean(at.curves[1] * TOLD**2 < UNSEEN * at.value))
    return Pair(best.lr, best.momentum, at.value, certificate, np.array(past).reshape(-1, 2), flat)


def _swept(
    objective: Objective,
    begin: FloatArray,
    lr: FloatArray,
    momentum: FloatArray,
    share: FloatArray,
    tolerance: float,
    sweeps: int,
) -> tuple[_Sweep, list[tuple[float, float]]]:
    past: list[tuple[float, float]] = []
    at = _Sweep(lr, momentum, math.inf, np.zeros(0), np.zeros(0))
    for _ in range(sweeps):
        at = _sweep(objective, begin, at.lr, at.momentum, share, go=True)
        past.append((at.value, at.distance))
        if not at.distance > tolerance:
            break
    return at, past


def _sweep(
    objective: Objective, begin: FloatArray, lr: FloatArray, momentum: FloatArray, share: FloatArray, go: bool
) -> _Sweep:
    from simlab.kernels.optimal.heavy_ball import sweep

    T, nodes = lr.size, objective.nodes
    lr, momentum, s = lr.copy(), momentum.copy(), np.empty(T + 1)
    gains, curves, every = np.empty(T), np.empty((2, T)), min(T, max(STRETCH, math.isqrt(T) // 2))
    shared = nodes.lam, nodes.self_noise, nodes.drive, nodes.noise, nodes.coupling, objective.weights, every
    sweep(lr, momentum, share, objective.cap, 1.0, go, *shared, begin.copy(), s, gains, curves)
    value = 0.5 * inner(objective.weights, s) if np.isfinite(s[-1]) else math.inf
    return _Sweep(lr, momentum, value, gains, curves)
