"""The optimal schedule of SGD in closed form: the law of a spectrum in intrinsic time (arrays in, arrays out).

In u = lr_0 + .. + lr_(t-1), with S the sum of all rates and r = 1/B, the modes of a problem (`problem.modes()`) say

    F(u) = sum signal e^(-2 lam u)          what is left of the initial error
    K(x) = sum drive e^(-2 lam x)           what is left of noise that was made x ago
    q(u) = sqrt(K(S - u) (coupling F(u) + noise))

Short form: 1/lr = max(1/cap, m(c)/c + q/kappa), c = min(cap, lr_crit). Full form, clipped at c:

    lr sqrt(1 + x) / sqrt((1 - m(u, lr)) (1 - m(S - u, lr))) = kappa / q(u)
    m(v, lr) = coupling r lr sum drive (1 - e^(-2 lam v)) / (2 lam - lr (lam^2 + r own)),   x = lr dm/dlr - m at v = inf

m is the share of the noise that comes back within v, lr_crit the rate at which all of it does; kappa follows from the
number of steps T = int du / lr, and one number S is left. First order, 1/lr = q/kappa: Bordelon and Mori 2026 (arXiv
2602.04774), Li et al. 2026 (2602.06797), Wang, Liu and Chen 2026 (2609.40148). Derived here: re-injection at finite
rate and in finite time. Stationarity of the pair of Volterra equations for the loss and its adjoint, loss x adjoint x
lr^2 = const, is exact in continuous time; the closure, both in a quasi-static step, loss = (coupling F + noise) / (1 -
m), is not, and fails where F decays as fast as K (`Law.haste`).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np

from simlab.arrays import FloatArray

if TYPE_CHECKING:
    from simlab.kernels.moments.layout import ModesLike

__all__ = ["Answer", "Form", "Haste", "Law", "Spectrum", "critical_rate", "least", "spectrum_of"]

Form = Literal["full", "short"]

FINEST = 0.05
"""Intrinsic times are told apart from this share of 1 / lam_1 on; grids are even below it and geometric above."""

AGES = 600
"""Points at which F, K and m are tabulated."""

TIMES = 400
"""Points of u on either side of the middle of a run."""

RATES = 48
"""Rates at which m is tabulated, below the largest."""


class Spectrum(NamedTuple):
    """What the law needs of a problem: lam, signal, own and drive (N,), in units of `unit`, noise and coupling."""

    lam: FloatArray
    signal: FloatArray
    own: FloatArray
    drive: FloatArray
    noise: float
    coupling: float
    unit: float


def spectrum_of(modes: ModesLike) -> Spectrum:
    """The spectrum of `problem.modes()`."""
    lam = modes.eigenvalues / modes.unit
    return Spectrum(lam, modes.signal, modes.self_noise, modes.drive, modes.noise, modes.coupling, modes.unit)


def critical_rate(s: Spectrum, share: float) -> float:
    """lr_crit at a batch of 1 / share: where the mass coupling r lr sum drive / (2 lam - lr (lam^2 + r own)) is one.

    Without coupling, or noise, where the first mode becomes unstable by itself. The mass is that of `simlab.stability`
    (Wang, Huang, Li and Wu 2026, theorem B.2).
    """
    slope = s.lam + share * s.own / s.lam
    low, high = 0.0, 2.0 / max(float(slope.max()), 1e-3 * float(s.lam.max()))
    if s.coupling * share == 0.0:
        return high
    for _ in range(60):
        middle = 0.5 * (low + high)
        mass = s.coupling * share * middle * float((s.drive / (s.lam * (2.0 - middle * slope))).sum())
        low, high = (middle, high) if mass < 1.0 else (low, middle)
    return low


class Answer(NamedTuple):
    """The law at one S: u (n,) from 0 to S, rates there, steps taken up to there, and the J that the law foretells."""

    u: FloatArray
    lr: FloatArray
    clock: FloatArray
    value: float


class Haste(NamedTuple):
    """Rate of the forcing times memory of the noise: the largest of a run, and the mean over its steps."""

    largest: float
    mean: float

    @property
    def fails(self) -> bool:
        """Whether the closure is to be doubted.

        Of 46 spectra at T = 3000 every one on which the full law lost over 0.5 % is caught, and none on which it lost
        less than 0.02 %.
        """
        return self.largest > 0.335 or self.mean > 0.1


@dataclass(frozen=True, eq=False)
class Law:
    """The law of a spectrum for runs of `steps` steps at a batch of 1 / share, below `cap`, in one of its forms.

    Times and rates are in units of 1 / spectrum.unit.
    """

    spectrum: Spectrum
    steps: int
    share: float = 1.0
    cap: float = math.inf
    form: Form = "full"

    @cached_property
    def critical(self) -> float:
        """lr_crit."""
        return critical_rate(self.spectrum, self.share)

    @cached_property
    def top(self) -> float:
        """c, the largest rate of the law."""
        return min(self.cap, self.critical)

    @cached_property
    def _rates(self) -> FloatArray:
        """Geometric from below, and towards the top, where the mass of a first mode about to ring is steepest."""
        third = RATES // 3
        low = np.geomspace(1e-7, 0.08, third, endpoint=False)
        middle = np.linspace(0.08, 0.7, third, endpoint=False)
        return self.top * np.concatenate([low, middle, 1.0 - np.geomspace(0.3, 0.01, third - 1), [1.0]])

    @cached_property
    def _ages(self) -> FloatArray:
        """0 .. top T, even below FINEST / lam_1 and geometric above."""
        unit = FINEST / float(self.spectrum.lam.max())
        ages = unit * np.expm1(np.linspace(0.0, math.log1p(self.top * self.steps / unit), AGES))
        ages[-1] = self.top * self.steps
        return ages

    @cached_property
    def _mass(self) -> tuple[FloatArray, FloatArray]:
        """Mass of each mode at every rate for v = inf (N, rates), and x (rates,)."""
        s, r = self.spectrum, self.share
        z = np.minimum(np.outer((s.lam + r * s.own / s.lam) / 2.0, self._rates), 1.0 - 1e-12)
        base = s.coupling * r * np.outer(s.drive / (2.0 * s.lam), self._rates)
        excess: FloatArray = (base * z / (1.0 - z) ** 2).sum(axis=0)
        return base / (1.0 - z), excess

    @cached_property
    def _tables(self) -> tuple[FloatArray, FloatArray, FloatArray]:
        """log(coupling F + noise) and log K (ages,), and m (ages, rates; no column for the short form)."""
        s = self.spectrum
        left = np.exp(-np.minimum(2.0 * np.outer(self._ages, s.lam), 700.0))
        loss = s.coupling * (left @ s.signal) + s.noise
        memory = left @ s.drive
        mass = (1.0 - left) @ self._mass[0] if self.form == "full" else np.zeros((AGES, 0))
        return np.log(np.maximum(loss, 1e-300)), np.log(np.maximum(memory, 1e-300)), mass

    def _at(self, table: FloatArray, v: FloatArray) -> FloatArray:
        """A table (ages, ..) at other ages, by straight lines."""
        j = np.clip(np.searchsorted(self._ages, v, side="right") - 1, 0, AGES - 2)
        part = np.clip((v - self._ages[j]) / (self._ages[j + 1] - self._ages[j]), 0.0, 1.0)
        part = part.reshape(-1, *[1] * (table.ndim - 1))
        rows: FloatArray = table[j] * (1.0 - part) + table[j + 1] * part
        return rows

    def at(self, S: float) -> Answer:
        """The law where all rates sum to S, 0 < S < top T."""
        half = FINEST / float(self.spectrum.lam.max())
        early = half * np.expm1(np.linspace(0.0, math.log1p(0.5 * S / half), TIMES))
        u = np.concatenate([early, S - early[-2::-1]])
        loss, memory = self._tables[:2]
        log_q = 0.5 * (self._at(memory, S - u) + self._at(loss, u))
        du, solve = np.diff(u), self._full(u, S) if self.form == "full" else self._short()

        def clock(log_kappa: float) -> FloatArray:
            slow = 1.0 / solve(log_kappa - log_q)[0]
            return np.concatenate([[0.0], np.cumsum(0.5 * du * (slow[1:] + slow[:-1]))])

        log_kappa = _falling_to(lambda k: math.log(clock(k)[-1] / self.steps), float(np.median(log_q)))
        lr, returned = solve(log_kappa - log_q)
        kept = np.exp(2.0 * log_q) * lr / np.maximum(1.0 - returned, 1e-9)
        s = self.spectrum
        bias = float(s.signal @ np.exp(-np.minimum(2.0 * S * s.lam, 700.0)))
        return Answer(u, lr, clock(log_kappa), 0.5 * (bias + self.share * float(np.trapezoid(kept, u))))

    def _short(self) -> Solver:
        back = float(self._mass[0][:, -1].sum()) / self.top

        def solve(log_ratio: FloatArray) -> tuple[FloatArray, FloatArray]:
            lr = 1.0 / np.maximum(1.0 / self.top, back + np.exp(np.minimum(-log_ratio, 690.0)))
            return lr, back * lr

        return solve

    def _full(self, u: FloatArray, S: float) -> Solver:
        """Rates by straight lines in their logarithm between those at which m is known."""
        past, future = self._at(self._tables[2], u), self._at(self._tables[2], S - u)
        x, log_rate, rows = self._mass[1], np.log(self._rates), np.arange(u.size)
        phi = log_rate + 0.5 * np.log1p(x) - 0.5 * np.log(np.maximum((1.0 - past) * (1.0 - future), 1e-12))
        phi = np.maximum.accumulate(phi, axis=1)

        def solve(log_ratio: FloatArray) -> tuple[FloatArray, FloatArray]:
            j = np.clip((phi < log_ratio[:, None]).sum(axis=1), 1, RATES - 1)
            low, high = phi[rows, j - 1], phi[rows, j]
            part = np.minimum((log_ratio - low) / np.maximum(high - low, 1e-300), 1.0)
            lr = np.exp(log_rate[j - 1] + part * (log_rate[j] - log_rate[j - 1]))
            part = np.clip(part, 0.0, 1.0)
            return lr, past[rows, j - 1] * (1.0 - part) + past[rows, j] * part

        return solve

    def span(self) -> FloatArray:
        """Values of log S among which the best one lies, ascending (16,): many e-folds below log(top T)."""
        widest = max(8.0, 0.6 * math.log(self.steps))
        return math.log(self.top * self.steps) - np.geomspace(widest, 1e-3, 16)

    def foretold(self) -> Answer:
        """The law with the S of which it foretells the least J: no run at all.

        The full form looks where the short one, at a tenth of the cost, has its best.
        """
        if self.form == "short":
            return self.at(math.exp(least(self._log_value, self.span(), width=1e-3)))
        middle = math.log(replace(self, form="short").foretold().u[-1])
        return self.at(math.exp(least(self._log_value, self.around(middle, 0.15), width=1e-3)))

    def _log_value(self, x: float) -> float:
        return math.log(max(self.at(math.exp(x)).value, 1e-300))

    def around(self, middle: float, width: float) -> FloatArray:
        """Three values of log S about one, ascending, all below log(top T)."""
        highest = math.log(self.top * self.steps) - 1e-4
        points: FloatArray = min(middle, highest - width) + np.array([-width, 0.0, width])
        return points

    def haste(self, answer: Answer) -> Haste:
        """How fast the forcing coupling F + noise falls within the time for which its noise is remembered.

        rate(u) memory(u), rate = -dlog(coupling F + noise)/du and memory the mean age, int_0^u x K dx / int_0^inf K dx.
        The closure takes the forcing as constant over that time.
        """
        s, u = self.spectrum, answer.u
        age = np.minimum(2.0 * np.outer(u, s.lam), 700.0)
        left = np.exp(-age)
        forcing = s.coupling * (left @ s.signal) + s.noise
        rate = s.coupling * (left @ (2.0 * s.lam * s.signal)) / np.maximum(forcing, 1e-300)
        mass = s.drive / (2.0 * s.lam)
        memory = (1.0 - left * (1.0 + age)) @ (mass / (2.0 * s.lam)) / max(float(mass.sum()), 1e-300)
        both = rate * memory
        return Haste(float(both.max()), float(np.trapezoid(both, answer.clock)) / float(answer.clock[-1]))


Solver = Callable[[FloatArray], tuple[FloatArray, FloatArray]]
"""log(kappa / q) -> rates, and the share of the noise that has come back."""


def least(function: Callable[[float], float], points: FloatArray, width: float = 1e-4) -> float:
    """Where a function of one number is least: the best of some ascending points, then between its neighbours."""
    from scipy.optimize import minimize_scalar

    values = [function(float(x)) for x in points]
    j = int(np.argmin(values))
    bounds = float(points[max(j - 1, 0)]), float(points[min(j + 1, points.size - 1)])
    found = minimize_scalar(function, bounds=bounds, method="bounded", options={"xatol": width})
    return float(found.x) if found.fun <= values[j] else float(points[j])


def _falling_to(function: Callable[[float], float], guess: float) -> float:
    """The zero of a falling function of one number."""
    from scipy.optimize import brentq

    low, high, step = guess, guess, 1.0
    while function(low) < 0.0:
        low, step = low - step, 2.0 * step
    step = 1.0
    while function(high) > 0.0:
        high, step = high + step, 2.0 * step
    return float(brentq(function, low, high, xtol=1e-10)) if high > low else low
