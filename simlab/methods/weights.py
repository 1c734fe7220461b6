"""Weights of averages that depend on all steps before: held as arrays for runs that fit, told step by step beyond."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from simlab.arrays import FloatArray
from simlab.schedules import Schedule
from simlab.schedules.extremes import extremes
from simlab.schedules.nodes import Plan
from simlab.schedules.sums import smooth_total

__all__ = ["HELD", "corrected_weights", "long_kink", "newest_share"]

Steps = npt.NDArray[np.int64]
Weights = Callable[[Steps], FloatArray]
"""Steps -> the weights of the newest iterate there."""

HELD = 1 << 24
"""Longest run whose weights are held; of longer ones sums up to a step are told by `smooth_total`."""

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

    return _weights(lr, weight, share)


def corrected_weights(alpha: Schedule) -> Weights:
    """rho_t = (1 - alpha_t) / (1 - alpha_0 .. alpha_t): the weight of the newest iterate in a normalised EMA."""
    logarithm = _Logarithm(alpha.plan)

    def corrected(steps: Steps, before: float) -> FloatArray:
        kept = -np.expm1(before + np.cumsum(logarithm.at(steps)))
        weights: FloatArray = (1.0 - alpha.plan.at(steps)) / kept
        return weights

    return _weights(alpha, logarithm, corrected)


def _equal_share(t: Steps) -> FloatArray:
    share: FloatArray = 1.0 / (t.astype(np.float64) + 1.0)
    return share


def _equal(plan: Plan) -> bool:
    found = extremes(plan, 0, plan.length)
    return found.low == found.high > 0.0


def long_kink(lr: Schedule, t: int) -> int:
    """The first step after t at which such weights are no longer smooth: the next one, where they are told one by one.

    Those of a run that fits are sums of what is smooth between the kinks of `lr`.
    """
    return lr.length if lr.length <= HELD or _equal(lr.plan) else t + 1


def _weights(schedule: Schedule, summand: Plan, weights_of: Callable[[Steps, float], FloatArray]) -> Weights:
    """The weights of a run of any length, of `weights_of`: (a range of steps, the sum before it) -> weights."""
    if schedule.length <= HELD:
        held = weights_of(np.arange(schedule.length, dtype=np.int64), 0.0)
        return lambda t: held[t]

    @lru_cache(maxsize=2)
    def chunk(number: int) -> FloatArray:
        start, stop = number * GRID, min((number + 1) * GRID, schedule.length)
        before = smooth_total(summand, 0, start, kinks_of=schedule.plan)
        return weights_of(np.arange(start, stop, dtype=np.int64), before)

    def weights(t: Steps) -> FloatArray:
        out = np.empty(t.size)
        where = t // GRID
        for number in np.unique(where).tolist():
            inside = where == number
            out[inside] = chunk(number)[t[inside] - number * GRID]
        return out

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
        else:
            edges = pairwise([0, *(steps + 1).tolist()])
            values = np.array([extremes(self.child, a, b).high if a < b else 0.0 for a, b in edges])
        largest = np.maximum.accumulate(np.ldexp(values, -self.exponent))
        weights: FloatArray = (steps + 1.0) ** self.power * largest**self.by_rate
        return weights


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
