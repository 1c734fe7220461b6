"""Weights of averages that depend on all steps before: held as arrays for runs that fit, told step by step beyond."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache, partial
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from simlab.arrays import FloatArray
from simlab.schedules import Schedule
from simlab.schedules.extremes import extremes
from simlab.schedules.kinks import PROBES, next_kink
from simlab.schedules.nodes import Plan
from simlab.schedules.sums import smooth_total

__all__ = ["HELD", "corrected_weights", "long_kink", "newest_share"]

Steps = npt.NDArray[np.int64]
Weights = Callable[[Steps], FloatArray]
"""Steps -> the weights of the newest iterate there."""

HELD = 1 << 24
"""Longest run whose weights are held; of longer ones sums up to a step are told by `smooth_total`, for the steps of a
panel one by one.
"""

PIECES = 1000
"""Most pieces of a schedule of which it is asked where its rate passes the largest before."""

GRID = 1 << 16
"""Steps between those at which a long run's sums are told anew: bits do not depend on the slices asked for."""


def newest_share(lr: Schedule, power: float, by_rate: float = 2.0) -> Weights:
    """c_t = weight_t / (weight_0 + .. + weight_t), weight_t = (t + 1)^power (max_(s <= t) lr_s)^by_rate, 0 while all
    are 0.
    """
    if lr.length > HELD and power == 0.0 and (by_rate == 0.0 or _equal(lr.plan)):
        return _equal_share
    weight = _LargestSoFar(lr.plan, power, by_rate, math.frexp(lr.peak())[1])

    def share(steps: Steps, before: float) -> FloatArray:
        newest = weight.at(steps)
        total = before + np.cumsum(newest)
        return np.divide(newest, total, out=np.zeros_like(newest), where=total > 0.0)

    return _weights(lr, weight, share, by_rate)


def corrected_weights(alpha: Schedule) -> Weights:
    """rho_t = (1 - alpha_t) / (1 - alpha_0 .. alpha_t): the weight of the newest iterate in a normalised EMA."""
    logarithm = _Logarithm(alpha.plan)
    if alpha.length > HELD and _equal(alpha.plan):
        return partial(_corrected_constant, float(alpha(0)))

    def corrected(steps: Steps, before: float) -> FloatArray:
        kept = -np.expm1(before + np.cumsum(logarithm.at(steps)))
        weights: FloatArray = (1.0 - alpha.plan.at(steps)) / kept
        return weights

    return _weights(alpha, logarithm, corrected)


def _corrected_constant(alpha: float, t: Steps) -> FloatArray:
    share: FloatArray = (1.0 - alpha) / -np.expm1((t + 1.0) * math.log(alpha))
    return share


def _equal_share(t: Steps) -> FloatArray:
    share: FloatArray = 1.0 / (t.astype(np.float64) + 1.0)
    return share


def _equal(plan: Plan) -> bool:
    found = extremes(plan, 0, plan.length)
    return found.low == found.high > 0.0


def long_kink(lr: Schedule, t: int, by_rate: float = 0.0) -> int:
    """The first step after t, the kinks of `lr` itself apart, at which such weights are no longer smooth.

    They are sums of what is smooth between the kinks of `lr`, but where the largest rate so far (`by_rate` of it)
    begins or ceases to be the rate itself.
    """
    if by_rate == 0.0 or _equal(lr.plan) or extremes(lr.plan, 0, t + 1).high >= lr.peak():
        return lr.length
    end = next_kink(lr.plan, t)
    before, span = extremes(lr.plan, 0, t + 1).high, end - 1 - t
    if span <= 0:
        return lr.length
    probes = t + np.unique(np.concatenate([[1], np.geomspace(1, span, PROBES), np.linspace(1, span, PROBES)])).astype(
        np.int64
    )
    rising = lr.plan.at(np.concatenate([[t], probes]))
    state = (rising[1:] >= np.maximum.accumulate(np.append(before, rising[1:]))[:-1]).tolist()
    changed = next((j for j in range(1, len(state)) if state[j] != state[0]), 0)
    if not changed:
        return lr.length
    low, high = int(probes[changed - 1]), int(probes[changed])
    while high - low > 1:
        middle = (low + high) // 2
        new = bool(lr.plan.at(np.array([middle]))[0] >= max(before, extremes(lr.plan, t, middle).high))
        low, high = (middle, high) if new == state[0] else (low, middle)
    return high


def _turns(lr: Schedule, by_rate: float) -> list[int]:
    """The steps from `long_kink`, as far as some thousand pieces go."""
    found: list[int] = []
    t, pieces, peak = 0, 0, lr.peak()
    while by_rate and t < lr.length and pieces < PIECES and extremes(lr.plan, 0, t + 1).high < peak:
        turn, pieces = long_kink(lr, t, by_rate), pieces + 1
        if turn < lr.length:
            found.append(turn)
        t = turn if turn < lr.length else next_kink(lr.plan, t)
    return found


def _weights(
    schedule: Schedule, summand: Plan, weights_of: Callable[[Steps, float], FloatArray], by_rate: float = 0.0
) -> Weights:
    """The weights of a run of any length, of `weights_of`: (a range of steps, the sum before it) -> weights."""
    if schedule.length <= HELD:
        held = weights_of(np.arange(schedule.length, dtype=np.int64), 0.0)
        return lambda t: held[t]

    turns = _turns(schedule, by_rate)

    def total(start: int, stop: int) -> float:
        edges = pairwise([start, *(turn for turn in turns if start < turn < stop), stop])
        return math.fsum(smooth_total(summand, a, b, kinks_of=schedule.plan) for a, b in edges)

    @lru_cache(maxsize=4)
    def chunk(number: int) -> FloatArray:
        start, stop = number * GRID, min((number + 1) * GRID, schedule.length)
        before = total(0, start)
        return weights_of(np.arange(start, stop, dtype=np.int64), before)

    def weights(t: Steps) -> FloatArray:
        out = np.empty(t.size)
        where = t // GRID
        numbers = np.unique(where)
        if numbers.size > t.size // GRID + 2:  # no range of steps: a panel
            return scattered(t)
        for number in numbers.tolist():
            inside = where == number
            out[inside] = chunk(number)[t[inside] - number * GRID]
        return out

    def scattered(t: Steps) -> FloatArray:
        at, back = np.unique(t, return_inverse=True)
        edges = pairwise([0, *at.tolist()])
        before = np.cumsum([total(a, b) for a, b in edges])
        each = [weights_of(at[j : j + 1], float(before[j])) for j in range(at.size)]
        return np.concatenate(each)[back]

    return weights


@dataclass(frozen=True, eq=False)
class _LargestSoFar:
    """(t + 1)^power (max_(s <= t) lr_s / 2^exponent)^by_rate as a plan, of the plan of lr."""

    child: Plan
    power: float
    by_rate: float
    exponent: int

    @property
    def length(self) -> int:
        return self.child.length

    @property
    def bound(self) -> float:
        return math.inf

    def at(self, steps: Steps) -> FloatArray:
        values = self.child.at(steps)
        if steps[-1] - steps[0] == steps.size - 1:  # every step of a range
            if steps[0]:
                values[0] = max(values[0], extremes(self.child, 0, int(steps[0])).high)
        elif not self._told(values, steps):
            edges = pairwise([0, *(steps + 1).tolist()])
            values = np.array([extremes(self.child, a, b).high if a < b else 0.0 for a, b in edges])
        largest = np.maximum.accumulate(np.ldexp(values, -self.exponent))
        weights: FloatArray = (steps + 1.0) ** self.power * largest**self.by_rate
        return weights

    def _told(self, values: FloatArray, steps: Steps) -> bool:
        """Whether the values at some steps, increasing ones, tell the largest so far, with that before put first: where
        that is the largest of all, or where from a step on, within one piece, the values rise.
        """
        before = extremes(self.child, 0, int(steps[0]) + 1).high
        after = extremes(self.child, int(steps[0]), int(steps[-1]) + 1).high
        rising = bool(np.all(np.diff(values) >= 0.0)) and next_kink(self.child, int(steps[0])) > steps[-1]
        values[0] = max(values[0], before)
        return before >= after or rising


@dataclass(frozen=True, eq=False)
class _Logarithm:
    """log of a plan, -inf where it is 0."""

    child: Plan

    @property
    def length(self) -> int:
        return self.child.length

    @property
    def bound(self) -> float:
        return math.inf

    def at(self, steps: Steps) -> FloatArray:
        with np.errstate(divide="ignore"):
            logarithm: FloatArray = np.log(self.child.at(steps))
        return logarithm
