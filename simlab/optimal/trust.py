"""The minimum of log J in a few parameters: steps of a quadratic model within a region where it is trusted.

Beyond its best peak a run soon diverges. A line search steps over that edge and comes back, at a gradient each time;
here a step is no longer than the model has earned, and a run without its adjoint says whether it is taken. The model
is that of Newton: second derivatives from differences of gradients where the search begins, afterwards kept up by
symmetric rank-one updates (Conn, Gould and Toint 1991, doi 10.1007/BF01594934), which learn negative curvature too.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from simlab.arrays import FloatArray

__all__ = ["Point", "Region", "along", "best_of"]

FIRST, LARGEST, SMALLEST = 0.35, 2.0, 1e-4
"""Radius of the region at first, at most, and where a search gives up, in units of each parameter."""

TAKEN, GOOD = 1e-3, 0.7
"""A step is taken that brings this share of what the model promises; from `GOOD` on the region grows."""

SETTLED = 5e-10
"""What the model may still promise of log J at the end."""

SAME = 0.1
"""A search that comes so near to where another one ended, in units, is given up."""

ROUNDS = 4
"""Runs for the minimum on a line of starts."""

GOLDEN = 0.5 * (3.0 - math.sqrt(5.0))


class Point(NamedTuple):
    """x (n,), log J and its gradient (n,) there."""

    x: FloatArray
    value: float
    slope: FloatArray


@dataclass(frozen=True)
class Region:
    """What is searched: log J, its gradient, and the box.

    log_risk : x -> log J, inf where the run diverges.  gradient : the same and its gradient.  low, high : (n,).
    units : (n,), steps of like worth of each parameter.  apart : (n,), steps of differences of gradients.
    """

    log_risk: Callable[[FloatArray], float]
    gradient: Callable[[FloatArray], tuple[float, FloatArray]]
    low: FloatArray
    high: FloatArray
    units: FloatArray
    grain: FloatArray
    apart: FloatArray

    def at(self, x: FloatArray) -> Point:
        return Point(x, *self.gradient(x))

    def allowed(self, x: FloatArray) -> FloatArray:
        """The nearest point of the box with phases of whole steps."""
        grain = np.where(self.grain > 0.0, self.grain, 1.0)
        found: FloatArray = np.clip(np.where(self.grain > 0.0, np.rint(x / grain) * grain, x), self.low, self.high)
        return found

    def free(self, point: Point) -> npt.NDArray[np.bool_]:
        """Which parameters no end of the box holds."""
        held = ((point.x <= self.low) & (point.slope > 0.0)) | ((point.x >= self.high) & (point.slope < 0.0))
        return ~held

    def hessian(self, point: Point) -> FloatArray:
        """(n, n), each row by a gradient a little further inside the box; a diverging one leaves a row of zeros."""
        rows = np.zeros((point.x.size, point.x.size))
        for j, apart in enumerate(self.apart):
            x = point.x.copy()
            x[j] = max(x[j] - apart, self.low[j])  # smaller peaks diverge less
            if x[j] == point.x[j]:
                x[j] = min(x[j] + apart, self.high[j])
            other = self.at(x)
            if x[j] != point.x[j] and other.value < math.inf:
                rows[j] = (other.slope - point.slope) / (x[j] - point.x[j])
        symmetric: FloatArray = 0.5 * (rows + rows.T)
        return symmetric

    def descend(self, x: FloatArray, gradients: int, other: FloatArray | None = None) -> Point:
        """From x to a minimum, with so many gradients at most; not on towards `other`, a minimum that is known."""
        at = self.at(self.allowed(x))
        curved, radius, left = self.hessian(at), FIRST, gradients - 1 - x.size
        while left > 0:
            if other is not None and np.linalg.norm((at.x - other) / self.units) < SAME:
                break
            if radius > SMALLEST:
                x, radius = self.trial(at, curved, radius)
            else:
                x, radius = self.neighbour(at, curved), float((2.0 * self.grain / self.units).max())
                if x is at.x:
                    break
            if x is not at.x:
                last, at, left = at, self.at(x), left - 1
                curved = updated(curved, at.x - last.x, at.slope - last.slope)
        return at

    def trial(self, at: Point, curved: FloatArray, radius: float) -> tuple[FloatArray, float]:
        """Where a step leads and the next radius; the place itself where a step is not taken."""
        move = self.step(at, curved, radius)
        promised = -float(at.slope @ move + 0.5 * move @ curved @ move)
        if not promised > SETTLED:  # within the box or in whole steps there may be none that is as long
            return at.x, 0.25 * radius
        x, length = np.clip(at.x + move, self.low, self.high), float(np.linalg.norm(move / self.units))
        gained = at.value - self.log_risk(x)
        if not gained > TAKEN * promised:
            return at.x, 0.25 * length
        if gained > GOOD * promised and length > 0.8 * radius:
            return x, min(2.0 * radius, LARGEST)
        return x, 0.5 * length if gained < 0.25 * promised else radius

    def neighbour(self, at: Point, curved: FloatArray) -> FloatArray:
        """A lower place with a phase one step shorter or longer, the others as the model has it; else the place."""
        for j in np.flatnonzero(self.grain > 0.0):
            for sign in (-math.copysign(1.0, at.slope[j]), math.copysign(1.0, at.slope[j])):
                x = self.allowed(at.x + sign * self.grain * (np.arange(at.x.size) == j))
                others, out = self.free(at) & (self.grain == 0.0), x - at.x
                if out[j] != 0.0 and others.any():
                    slope = (at.slope + curved @ out)[others]
                    part = least_within(curved[np.ix_(others, others)], slope, self.units[others], FIRST)
                    x[others] = np.clip(x[others] + part, self.low[others], self.high[others])
                if out[j] != 0.0 and self.log_risk(x) < at.value - SETTLED:
                    return x
        return at.x

    def step(self, at: Point, curved: FloatArray, radius: float) -> FloatArray:
        """The least of the model among steps of some length within the box, phases moved by whole steps.

        What leaves the box stops at its end, phases stop at the nearest step, and the others are chosen anew.
        """
        out, free = np.zeros(at.x.size), self.free(at)
        while free.any():
            slope = (at.slope + curved @ out)[free]
            trial = out.copy()
            trial[free] = least_within(curved[np.ix_(free, free)], slope, self.units[free], radius)
            stopped = free & ((at.x + trial < self.low) | (at.x + trial > self.high))
            if not stopped.any():
                stopped = free & (self.grain > 0.0)
            if not stopped.any():
                return trial
            out[stopped] = (self.allowed(at.x + trial) - at.x)[stopped]
            free &= ~stopped
        return out


def least_within(curved: FloatArray, slope: FloatArray, units: FloatArray, radius: float) -> FloatArray:
    """The least of slope . p + p . curved . p / 2 among steps p no longer than `radius`, in units."""
    values, axes = np.linalg.eigh(curved * np.outer(units, units))
    slope = axes.T @ (slope * units)

    bottom = max(0.0, -float(values.min())) + 1e-12 * max(float(np.abs(values).max()), 1.0)

    def length(shift: float) -> float:
        return float(np.linalg.norm(slope / (values + (bottom + shift))))

    shift, most = 0.0, float(np.linalg.norm(slope)) / radius
    if length(0.0) > radius:  # halved until the step is as long as the region is wide, to a part in 10^3
        while most - shift > 1e-3 * most:
            middle = 0.5 * (shift + most)
            shift, most = (middle, most) if length(middle) > radius else (shift, middle)
        shift = most
    found: FloatArray = -units * (axes @ (slope / (values + (bottom + shift))))
    return found


def updated(curved: FloatArray, move: FloatArray, change: FloatArray) -> FloatArray:
    """The symmetric rank-one update of second derivatives; none where its denominator is lost in rounding."""
    missed = change - curved @ move
    scale = float(missed @ move)
    if abs(scale) <= 1e-8 * float(np.linalg.norm(missed) * np.linalg.norm(move)):
        return curved
    new: FloatArray = curved + np.outer(missed, missed) / scale
    return new


def along(log_risk: Callable[[FloatArray], float], points: Sequence[FloatArray]) -> tuple[float, FloatArray]:
    """The least log J, and where, of some points on a line in order, and of golden sections beside the best of them."""
    values = [log_risk(x) for x in points]
    j = int(np.argmin(values))
    best, x = values[j], points[j]
    if len(points) == 1 or not best < math.inf:
        return best, x
    ends = [points[max(j - 1, 0)], points[min(j + 1, len(points) - 1)]]
    for _ in range(ROUNDS):
        far = max((0, 1), key=lambda side: float(np.linalg.norm(ends[side] - x)))
        trial = x + GOLDEN * (ends[far] - x)
        value = log_risk(trial)
        if value < best:
            ends[1 - far], x, best = x, trial, value
        else:
            ends[far] = trial
    return best, x


def best_of(region: Region, groups: Sequence[Sequence[FloatArray]], gradients: int) -> Point | None:
    """The lowest point found from the two best of these groups of points on lines; None where all diverge.

    The second is followed with a quarter of the gradients, and to its end where it leads lower.
    """
    begun = sorted((along(region.log_risk, group) for group in groups), key=lambda pair: pair[0])
    if not begun[0][0] < math.inf:
        return None
    best = region.descend(begun[0][1], gradients)
    if len(begun) > 1 and begun[1][0] < math.inf:
        other = region.descend(begun[1][1], gradients // 4, best.x)
        if other.value < best.value:
            best = region.descend(other.x, gradients)
    return best
