"""Krotov's sweep with Anderson's acceleration: free rates, one for each step, to a certificate.

J is affine in the moments and a parabola in each rate. With the costates p of the last sweep and the moments u of the
new one, J(new) - J(old) = sum_t [h_t(new) - h_t(old)], h_t(lr) = lr^2 H_t - 2 lr A_t, so that lr_t <- clip(A_t / H_t)
never raises J: no step size, and a cap is met exactly (derived here; Krotov 1996 for the method in general). The sweep
is a fixed-point map; its last `DEPTH` values are mixed (Anderson 1965, type II) in log lr, in the metric of the exact
diagonal of the Hessian. A mixed point from which a sweep ends higher is dropped, so that J never rises.
"""

from __future__ import annotations

import math
from typing import NamedTuple, Protocol

import numpy as np

from simlab.arrays import FloatArray
from simlab.optimal.adjoint import Sweep, inner

__all__ = ["Certificate", "Found", "Swept", "certify", "free_rates"]

DEPTH = 10
FURTHEST = 1.0
"""How far a mixed log rate may lie from the plain sweep."""


class Swept(Protocol):
    """What sweeps lower: `Objective` of one problem, or `Several`."""

    @property
    def cap(self) -> FloatArray: ...
    def gradient(self, lr: FloatArray, share: FloatArray) -> Sweep: ...
    def sweep(self, lr: FloatArray, share: FloatArray) -> Sweep: ...


class Certificate(NamedTuple):
    """How far from the optimum a schedule may be.

    gradient : sqrt(sum_t (dlogJ/dlog lr_t)^2 / h_t), h_t the exact diagonal of the Hessian of log J in log lr, without
        the steps that a cap holds.  gain : gradient^2 / 2, the share of J that changes of single steps could still
        bring.  single : the largest share that one step alone could bring, by a change of whatever size.

    Of rates between knots, and of a family: the same of the numbers that are free, by their own second derivatives.
    """

    gradient: float
    gain: float
    single: float


class Found(NamedTuple):
    """Rates (T,), their J, its certificate, and after every sweep accepted (J, scaled distance that it moved)."""

    lr: FloatArray
    value: float
    certificate: Certificate
    history: FloatArray


def moved(before: FloatArray, sweep: Sweep) -> float:
    """sqrt(2 sum_t H_t (new - old)^2 / J): the gradient of the certificate, as the sweep itself sees it."""
    if not math.isfinite(sweep.value) or sweep.value <= 0.0:
        return math.inf if sweep.value else 0.0
    return math.sqrt(2.0 * inner(sweep.H, (sweep.lr - before) ** 2) / sweep.value)


def certify(objective: Swept, lr: FloatArray, share: FloatArray) -> Certificate:
    """The certificate of these rates, by a gradient of their own."""
    at = objective.gradient(lr, share)
    if not math.isfinite(at.value) or at.value <= 0.0:
        return Certificate(math.inf, math.inf, math.inf) if at.value else Certificate(0.0, 0.0, 0.0)
    best = np.minimum(np.divide(at.A, at.H, out=lr.copy(), where=at.H > 0.0), objective.cap)
    falls = at.H * (best - lr) ** 2 / at.value
    gain = float(falls.sum())
    return Certificate(math.sqrt(2.0 * gain), gain, float(falls.max()))


class _Mixer:
    """Anderson's mixing of the last points x and residuals f = g(x) - x; inner products kept, not formed anew."""

    def __init__(self, metric: FloatArray) -> None:
        self.metric = metric
        self.forget()

    def forget(self) -> None:
        self.last: tuple[FloatArray, FloatArray] | None = None
        self.falls: list[FloatArray] = []  # differences of f
        self.steps: list[FloatArray] = []  # differences of g = x + f
        self.gram = np.zeros((0, 0))

    def _products(self, f: FloatArray) -> FloatArray:
        weighted = f * self.metric
        return np.array([inner(weighted, other) for other in self.falls])

    def mixed(self, x: FloatArray, f: FloatArray) -> FloatArray | None:
        """What to add to g(x), or None where there is nothing to mix yet."""
        previous, self.last = self.last, (x, f)
        if previous is None:
            return None
        fall = f - previous[1]
        self.falls.append(fall)
        self.steps.append(x - previous[0] + fall)
        row = self._products(fall)
        size = row.size
        gram = np.empty((size, size))
        gram[:-1, :-1], gram[-1], gram[:, -1] = self.gram, row, row
        self.gram = gram
        if size > DEPTH:
            del self.falls[0], self.steps[0]
            self.gram = gram[1:, 1:]
        right = self._products(f)
        damped = self.gram + np.diag(1e-10 * np.diag(self.gram))
        try:
            share = np.linalg.solve(damped, right)
        except np.linalg.LinAlgError:
            self.forget()
            return None
        change = np.zeros(x.size)
        for part, step in zip(share, self.steps, strict=True):
            change -= part * step
        return change


def free_rates(
    objective: Swept, lr: FloatArray, share: FloatArray, tolerance: float = 1e-7, sweeps: int = 200
) -> Found:
    """Sweeps from `lr` (T,), batches 1 / `share` (T,) held, until the certificate's gradient is at most `tolerance`."""
    lr = np.minimum(lr, objective.cap)
    at = objective.gradient(lr, share)
    mixer, top = _Mixer(lr**2 * at.H), np.log(objective.cap)
    good, least = lr, at.value
    history: list[tuple[float, float]] = []
    enough = tolerance
    for _ in range(sweeps):
        new = objective.sweep(lr, share)
        if not new.value <= least * (1.0 + 1e-14) and lr is not good:
            mixer.forget()
            lr = good
            continue
        distance = moved(lr, new)
        history.append((new.value, distance))
        good, least = new.lr, new.value
        if not distance > enough:
            certificate = certify(objective, good, share)
            if certificate.gradient <= tolerance:
                return Found(good, least, certificate, np.array(history))
            enough *= 0.3  # a sweep sees old costates: its own distance may flatter
        x = np.log(lr)
        change = mixer.mixed(x, np.log(new.lr) - x)
        lr = new.lr
        if change is not None:
            lr = np.exp(np.minimum(np.log(new.lr) + np.clip(change, -FURTHEST, FURTHEST), top))
    return Found(good, least, certify(objective, good, share), np.array(history).reshape(-1, 2))
