"""The largest value of a plan over a range of steps, and a bound from below, without walking over the steps.

Every piece is monotone, and so is what scales, lifts or clips it: its ends tell. Where two that vary are multiplied,
branch and bound over subranges finds the largest value to `PRECISION`.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass

import numpy as np

from simlab.schedules import nodes

__all__ = ["Extremes", "extremes", "shortened"]

WALKED = 4096
"""Ranges up to this long are evaluated at every step, so that short schedules have the exact peak of their values."""

PRECISION = 1e-9
"""Relative error of the peak of a product over a long range, where `BRANCHES` subranges tell it."""

BRANCHES = 256
"""Most subranges looked at; beyond, the largest value found is taken (error about 1e-7 for smooth factors)."""

LEAF = 1024
"""Subranges up to this long are evaluated at every step."""


@dataclass(frozen=True)
class Extremes:
    """Over a range of steps: a lower bound (the least value, but for products), the largest value, and a step that has
    it (the first such step, but for clips and products over long ranges).
    """

    low: float
    high: float
    peak: int

    def shifted(self, steps: int) -> Extremes:
        return Extremes(self.low, self.high, self.peak + steps)


def extremes(plan: nodes.Plan, start: int, stop: int, search: bool = True) -> Extremes:
    """Extremes of the values of `plan` at the steps start .. stop - 1 (at least one).

    Without `search`, products are bounded by the products of bounds, and `peak` means nothing.
    """
    match plan:
        case nodes.Constant():
            return Extremes(plan.value, plan.value, start)
        case nodes.Scale():
            inner = extremes(plan.child, start, stop, search)
            return Extremes(plan.factor * inner.low, plan.factor * inner.high, inner.peak if plan.factor else start)
        case nodes.Lift():
            inner = extremes(plan.child, start, stop, search)
            low, high = (plan.floor + (1.0 - plan.floor) * value for value in (inner.low, inner.high))
            return Extremes(low, high, inner.peak)
        case nodes.Window():
            return extremes(plan.child, start + plan.start, stop + plan.start, search).shifted(-plan.start)
        case nodes.Join():
            return _of_join(plan, start, stop, search)
        case nodes.Repeat():
            return _of_repeat(plan, start, stop, search)
        case nodes.Table():
            first = int(np.searchsorted(plan.starts, start, side="right")) - 1
            last = int(np.searchsorted(plan.starts, stop - 1, side="right"))
            inner = _of_values(plan.values[first:last], first)
            return Extremes(inner.low, inner.high, max(start, int(plan.starts[inner.peak])))
        case nodes.Array():
            return _of_values(plan.values[start:stop], start)
    if search and stop - start <= WALKED:
        return _of_values(plan.at(np.arange(start, stop, dtype=np.int64)), start)
    match plan:
        case nodes.Piece():
            return _of_steps(plan, [start, stop - 1])
        case nodes.Interpolation():
            first, last = np.searchsorted(plan.knots, (start, stop - 1), side="right")
            return _of_steps(plan, [start, *plan.knots[first:last].tolist(), stop - 1])
        case nodes.Hold():
            return _of_hold(plan, start, stop, search)
        case nodes.Clip():
            inner = extremes(plan.child, start, stop, search)
            low, high = np.clip((inner.low, inner.high), plan.low, plan.high).tolist()
            return Extremes(low, high, inner.peak)
    assert isinstance(plan, nodes.Product | nodes.Sum)
    one, other = (extremes(part, start, stop, search) for part in (plan.first, plan.second))
    if isinstance(plan, nodes.Product):
        low, high = one.low * other.low, one.high * other.high
    else:
        low, high = one.low + other.low, one.high + other.high
    if not search or one.low == one.high or other.low == other.high:
        return Extremes(low, high, other.peak if one.low == one.high else one.peak)
    return Extremes(low, *_branch_and_bound(plan, start, stop))


def _of_values(values: nodes.Floats, start: int) -> Extremes:
    return Extremes(float(values.min()), float(values.max()), start + int(values.argmax()))


def _of_steps(plan: nodes.Plan, steps: list[int]) -> Extremes:
    values = plan.at(np.array(steps, dtype=np.int64))
    return Extremes(float(values.min()), float(values.max()), steps[int(values.argmax())])


def _together(parts: list[Extremes]) -> Extremes:
    highest = max(parts, key=lambda part: part.high)  # the first of equals
    return Extremes(min(part.low for part in parts), highest.high, highest.peak)


def _of_join(plan: nodes.Join, start: int, stop: int, search: bool) -> Extremes:
    first, last = np.searchsorted(plan.starts, (start, stop - 1), side="right") - 1
    parts = []
    for i in range(first, last + 1):
        begin, end = int(plan.starts[i]), int(plan.starts[i + 1])
        if max(start, begin) < min(stop, end):
            inner = extremes(plan.children[i], max(start, begin) - begin, min(stop, end) - begin, search)
            parts.append(inner.shifted(begin))
    return _together(parts)


def _of_repeat(plan: nodes.Repeat, start: int, stop: int, search: bool) -> Extremes:
    period = plan.child.length
    base, first = start // period * period, start % period
    if first + stop - start <= period:
        return extremes(plan.child, first, first + stop - start, search).shifted(base)
    parts = [extremes(plan.child, first, period, search).shifted(base)]
    rest = min(stop - base - period, period)
    parts.append(extremes(plan.child, 0, rest, search).shifted(base + period))
    return _together(parts)


def _of_hold(plan: nodes.Hold, start: int, stop: int, search: bool) -> Extremes:
    """Those of the profile from the first sample to the last; the samples beside its peak stand for it."""
    first, last = start // plan.every * plan.every, (stop - 1) // plan.every * plan.every
    inner = extremes(plan.child, first, last + 1, search)
    if not search:
        return inner
    before = inner.peak // plan.every * plan.every
    samples = _of_steps(plan, [max(start, before), min(stop - 1, before + plan.every)])
    return Extremes(inner.low, samples.high, samples.peak)


def _branch_and_bound(plan: nodes.Plan, start: int, stop: int) -> tuple[float, int]:
    """The largest value of a product or sum of values >= 0, and where it is."""
    best, where = -1.0, start

    def look(steps: nodes.Steps) -> None:
        nonlocal best, where
        values = plan.at(steps)
        at = int(values.argmax())
        if values[at] > best:
            best, where = float(values[at]), int(steps[at])

    look(np.unique(np.linspace(start, stop - 1, 65).astype(np.int64)))
    heap = [(-extremes(plan, start, stop, search=False).high, start, stop)]
    for _ in range(BRANCHES):
        if not heap or -heap[0][0] <= best * (1.0 + PRECISION):
            break
        _, a, b = heapq.heappop(heap)
        if b - a <= LEAF:
            look(np.arange(a, b, dtype=np.int64))
            continue
        middle = (a + b) // 2
        look(np.array([a, middle, b - 1], dtype=np.int64))
        for left, right in ((a, middle), (middle, b)):
            heapq.heappush(heap, (-extremes(plan, left, right, search=False).high, left, right))
    return best, where


def shortened(plan: nodes.Plan, start: int, stop: int) -> nodes.Plan:
    """A plan of the same values as `plan` at the steps start .. stop - 1, in any order and number, and no longer:
    a constant is one step, a staircase one for each stair, a repetition one period.
    """
    whole = start == 0 and stop == plan.length
    match plan:
        case nodes.Constant():
            return nodes.Constant(1, plan.value)
        case nodes.Scale():
            return nodes.Scale(shortened(plan.child, start, stop), plan.factor)
        case nodes.Lift():
            return nodes.Lift(shortened(plan.child, start, stop), plan.floor)
        case nodes.Clip():
            return nodes.Clip(shortened(plan.child, start, stop), plan.low, plan.high)
        case nodes.Window():
            return shortened(plan.child, start + plan.start, stop + plan.start)
        case nodes.Join():
            ranges = zip(plan.children, plan.starts[:-1].tolist(), plan.starts[1:].tolist(), strict=True)
            overlaps = [(child, max(start, a) - a, min(stop, b) - a) for child, a, b in ranges]
            inside = [part for part in overlaps if part[1] < part[2]]
            return nodes.Join(tuple(shortened(*part) for part in inside))
        case nodes.Repeat() if stop - start >= plan.child.length:
            return shortened(plan.child, 0, plan.child.length)
        case nodes.Table():
            first = int(np.searchsorted(plan.starts, start, side="right")) - 1
            last = int(np.searchsorted(plan.starts, stop - 1, side="right"))
            return nodes.Array(plan.values[first:last])
        case nodes.Hold():
            steps = -(-stop // plan.every) - start // plan.every
            return _Samples(steps, plan, start // plan.every)
        case nodes.Product():
            for one, other in ((plan.first, plan.second), (plan.second, plan.first)):
                same = extremes(one, start, stop)
                if same.low == same.high:
                    return nodes.Scale(shortened(other, start, stop), same.low)
        case nodes.Sum():
            parts = (plan.first, plan.second)
            if all(isinstance(part, nodes.Constant) for part in parts):
                return nodes.Constant(1, sum(part.at(np.zeros(1, dtype=np.int64))[0] for part in parts))
    return plan if whole else nodes.window(plan, start, stop - start)


@dataclass(frozen=True, eq=False)
class _Samples:
    """The samples of a held plan, one a step, from the sample `first` on."""

    length: int
    held: nodes.Hold
    first: int

    @property
    def bound(self) -> float:
        return self.held.bound

    def at(self, steps: nodes.Steps) -> nodes.Floats:
        return self.held.child.at((steps + self.first) * self.held.every)
