"""Two hyper-parameters of every step together, by Krotov's sweep for k = 2: heavy ball's rate and momentum, SGD's rate
and the weight of an average.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from simlab.arrays import FloatArray
from simlab.optimal.adjoint import Objective, inner, stretch_of
from simlab.optimal.krotov import Certificate

__all__ = ["KINDS", "Kind", "Pair", "free_pairs"]


class Kind(NamedTuple):
    """The kernel of a sweep, loaded when it is asked for, and pairs (rate, other) to begin with, from rates of SGD."""

    kernel: Callable[[], Any]
    starts: Callable[[FloatArray], list[tuple[FloatArray, FloatArray]]]


def _heavy_ball() -> Any:
    from simlab.kernels.optimal.heavy_ball import sweep

    return sweep


def _average() -> Any:
    from simlab.kernels.optimal.average import sweep

    return sweep


def _momenta(lr: FloatArray) -> list[tuple[FloatArray, FloatArray]]:
    return [((1.0 - beta) * lr, np.full(lr.size, beta)) for beta in (0.0, 0.5, 0.9)]


def _weights(lr: FloatArray) -> list[tuple[FloatArray, FloatArray]]:
    """Nearly the last iterate of a decay, a decay with an average of its last tenth, and a constant rate with one."""
    slow = np.full(lr.size, min(10.0 / lr.size, 0.5))
    return [(lr, np.full(lr.size, 0.5)), (lr, slow), (np.full(lr.size, 0.6 * lr.max()), slow)]


KINDS = {"heavy_ball": Kind(_heavy_ball, _momenta), "ema": Kind(_average, _weights)}

TRIAL = 20
"""Every start is given this part of all sweeps; the best one goes on."""

TOLD = 0.1
"""A change of momentum by so much .."""

UNSEEN = 1e-8
""".. that alters J by less than this share, or than what the search has left, is one that nobody can tell."""


class Pair(NamedTuple):
    """Rates and others, momenta or weights, (T,), their J and certificate, (J, scaled distance moved) after every
    sweep, and the share of the steps at which the other is ill-determined.

    A gain of the certificate is that of a step alone: of heavy ball by rate and momentum together, of an average by
    rate and weight in turn.
    """

    lr: FloatArray
    other: FloatArray
    value: float
    certificate: Certificate
    history: FloatArray
    flat: float


class _Sweep(NamedTuple):
    lr: FloatArray
    other: FloatArray
    value: float
    gains: FloatArray
    curves: FloatArray

    @property
    def distance(self) -> float:
        """sqrt(2 sum of gains / J)."""
        if not 0.0 < self.value < math.inf:
            return math.inf if self.value else 0.0
        return math.sqrt(2.0 * max(float(self.gains.sum()), 0.0) / self.value)


class _Sweeper(NamedTuple):
    """What does not change from sweep to sweep: the kernel, the objective, moments (3, N) at first, 1/B (T,)."""

    kernel: Any
    objective: Objective
    begin: FloatArray
    share: FloatArray

    def __call__(self, lr: FloatArray, other: FloatArray, go: bool = True) -> _Sweep:
        """One sweep from these rates and others, or with `go` false what it would gain."""
        T, nodes = lr.size, self.objective.nodes
        lr, other, s = lr.copy(), other.copy(), np.empty(T + 1)
        gains, curves, weights = np.empty(T), np.empty((2, T)), self.objective.weights
        shared = nodes.lam, nodes.self_noise, nodes.drive, nodes.noise, nodes.coupling, weights, stretch_of(T)
        self.kernel(lr, other, self.share, self.objective.cap, 1.0, go, *shared, self.begin.copy(), s, gains, curves)
        # Of a run that ends at the minimum, rounding may leave less than nothing.
        value = max(0.5 * inner(self.objective.weights, s), 0.0) if np.isfinite(s[-1]) else math.inf
        return _Sweep(lr, other, value, gains, curves)

    def many(self, lr: FloatArray, other: FloatArray, tolerance: float, sweeps: int) -> tuple[_Sweep, list[Past]]:
        """Sweeps until one moves by no more than `tolerance`."""
        at, past = _Sweep(lr, other, math.inf, np.zeros(0), np.zeros(0)), []
        for _ in range(sweeps):
            at = self(at.lr, at.other)
            past.append((at.value, at.distance))
            if not at.distance > tolerance:
                break
        return at, past


Past = tuple[float, float]


def free_pairs(
    kind: Kind,
    objective: Objective,
    begin: FloatArray,
    lr: FloatArray,
    share: FloatArray,
    tolerance: float,
    sweeps: int,
) -> Pair:
    """From the rates `lr` (T,) of SGD and several others; batches 1 / `share` held, moments `begin` (3, N) at first.

    h_t of the kernel is lowered exactly, by heavy ball in both at once, by an average in turn: J never rises (derived
    here). It is not convex in all steps together: what is found is a local optimum, and after thousands of sweeps J of
    heavy ball may still fall by 1e-7 in each.
    """
    sweep, each = _Sweeper(kind.kernel(), objective, begin, share), max(1, sweeps // TRIAL)
    tries = [sweep.many(*start, tolerance, each) for start in kind.starts(lr)]
    best, past = min(tries, key=lambda tried: tried[0].value)
    left = sweeps - each * len(tries)
    if left > 0 and best.distance > tolerance:
        best, more = sweep.many(best.lr, best.other, tolerance, left)
        past = past + more
    at = sweep(best.lr, best.other, go=False)
    scale = at.value if at.value else 1.0
    certificate = Certificate(at.distance, float(at.gains.sum()) / scale, float(at.gains.max()) / scale)
    flat = float(np.mean(at.curves[1] * TOLD**2 < max(UNSEEN, certificate.gain) * at.value))
    return Pair(best.lr, best.other, at.value, certificate, np.array(past).reshape(-1, 2), flat)
