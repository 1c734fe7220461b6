"""The sum of a plan over a range of steps, without walking over the steps.

Constants, staircases and straight lines have closed sums. Every other profile is smooth between its kinks but for its
ends, where it may be steep or have a root: a rule on panels that halve towards both ends, each with the points and
weights that sum every polynomial of its degree exactly, is right to some 1e-12 with a thousand values. Where kinks
come back with every period of a repetition or a hold, the sum over one period is again such a profile, of the number of
the period.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import lru_cache
from itertools import pairwise

import numpy as np

from simlab.arrays import FloatArray, IntArray
from simlab.errors import InputError
from simlab.schedules import nodes

__all__ = ["smooth_rule", "smooth_total", "total", "totals_at"]

DEGREE = 16
"""Points of a panel; polynomials of a lower degree are summed exactly."""

PANEL = 256
"""Ends of a range that are so long are summed step by step; no panel is shorter than half of it."""

KINKS = 2048
"""Most kinks at which a range is cut, one by one."""

WALKED = 10**7
"""Longest range that is summed step by step where no other way is known."""

STEPPED = 10**8
"""Longest run whose sums up to many steps are taken step by step."""

CHUNK = 1 << 16


def total(plan: nodes.Plan, start: int, stop: int) -> float:
    """The sum of the values of `plan` at the steps start .. stop - 1 (0 for none).

    Raises `InputError` for products of two repetitions that share no period over more than 10^7 steps.
    """
    n = stop - start
    if n <= 0:
        return 0.0
    match plan:
        case nodes.Constant():
            return n * plan.value
        case nodes.Scale():
            return plan.factor * total(plan.child, start, stop)
        case nodes.Lift():
            return n * plan.floor + (1.0 - plan.floor) * total(plan.child, start, stop)
        case nodes.Sum():
            return total(plan.first, start, stop) + total(plan.second, start, stop)
        case nodes.Window():
            return total(plan.child, start + plan.start, stop + plan.start)
        case nodes.Join():
            ranges = zip(plan.children, plan.starts[:-1].tolist(), plan.starts[1:].tolist(), strict=True)
            return math.fsum(total(child, max(start, a) - a, min(stop, b) - a) for child, a, b in ranges)
        case nodes.Repeat():
            first, last = -(-start // plan.child.length), stop // plan.child.length
            if last > first:
                first, last = first * plan.child.length, last * plan.child.length
                rest = _generic(plan, start, first) + _generic(plan, last, stop)
                return (last - first) // plan.child.length * total(plan.child, 0, plan.child.length) + rest
        case nodes.Table():
            edges = np.clip(np.append(plan.starts, plan.length), start, stop)
            return math.fsum((np.diff(edges) * plan.values).tolist())
        case nodes.Array():
            return math.fsum(plan.values[start:stop].tolist())
        case nodes.Piece(shape="linear" | "rise"):
            first, last = plan.at(np.array([start, stop - 1]))
            return 0.5 * n * float(first + last)
    return _generic(plan, start, stop)


def _generic(plan: nodes.Plan, start: int, stop: int) -> float:
    """The sum by the rule for smooth profiles, between kinks or over periods."""
    if stop - start <= PANEL:
        return math.fsum(plan.at(np.arange(start, stop, dtype=np.int64)).tolist()) if stop > start else 0.0
    if _kinks(plan, start, stop) is not None:
        return smooth_total(plan, start, stop, kinks_of=plan)
    period = min(_periods(plan), default=0)
    if period:
        others = _kinks(plan, start, stop, without=period)
        if others is not None:
            edges = zip([start, *others], [*others, stop], strict=True)
            return math.fsum(_by_periods(plan, a, b, period) for a, b in edges)
    if stop - start > WALKED:
        raise InputError(
            f"the sum over {stop - start} steps of this product of repetitions is not known; give periods of "
            "which one divides the other, or fewer steps."
        )
    return _walk(plan, start, stop)


def smooth_total(plan: nodes.Plan, start: int, stop: int, kinks_of: nodes.Plan) -> float:
    """The sum of a plan that is smooth where `kinks_of` is, at the steps start .. stop - 1."""
    cuts = _kinks(kinks_of, start, stop) if stop - start > PANEL else None
    if cuts is not None:
        return math.fsum(_smooth(plan, a, b) for a, b in zip([start, *cuts], [*cuts, stop], strict=True))
    if stop - start > WALKED:
        raise InputError(
            f"a sum over {stop - start} steps with more than {KINKS} kinks is not known; merge some of them."
        )
    return _walk(plan, start, stop)


def _walk(plan: nodes.Plan, start: int, stop: int) -> float:
    starts = range(start, stop, CHUNK)
    return math.fsum(float(plan.at(np.arange(a, min(a + CHUNK, stop), dtype=np.int64)).sum()) for a in starts)


def _smooth(plan: nodes.Plan, start: int, stop: int) -> float:
    if stop <= start:
        return 0.0
    steps, weights = smooth_rule(stop - start)
    return math.fsum((weights * plan.at(start + steps)).tolist())


def _by_periods(plan: nodes.Plan, start: int, stop: int, period: int) -> float:
    """The sum where all kinks but those of the repetition lie outside: its sums over single periods, summed."""
    count = (stop - start) // period
    rest = _generic(plan, start + count * period, stop)
    if not count:
        return rest
    inner = _kinks(plan, start, start + period)
    if inner is None:
        raise InputError(
            f"a period of {period} steps holds more than {KINKS} kinks, and their sum is not known; merge some."
        )
    edges = zip([0, *(cut - start for cut in inner)], [*(cut - start for cut in inner), period], strict=True)
    rules = [(a + points, share) for a, b in edges for points, share in [smooth_rule(b - a)]]
    within, share = (np.concatenate(parts) for parts in zip(*rules, strict=True))
    numbers, weights = smooth_rule(count)
    sums = []
    for some in np.array_split(numbers, -(-numbers.size * within.size // CHUNK)):
        steps = start + (some[:, None] * period + within).ravel()
        sums.append(plan.at(steps).reshape(some.size, within.size) @ share)
    return math.fsum((weights * np.concatenate(sums)).tolist()) + rest


@lru_cache(maxsize=64)
def smooth_rule(n: int) -> tuple[nodes.Steps, nodes.Floats]:
    """Steps s (increasing) and weights w with sum_i w_i f(s_i) = sum_(j < n) f(j), for smooth f (ends may be steep)."""
    steps: list[nodes.Steps] = []
    weights: list[nodes.Floats] = []
    for first, last in _panels(n):
        end = first == 0 or last == n
        points, share = (np.arange(last - first), np.ones(last - first)) if end else _panel(last - first)
        steps.append(first + points)
        weights.append(share)
    return np.concatenate(steps), np.concatenate(weights)


def _panels(n: int) -> Iterator[tuple[int, int]]:
    """0 .. n cut into panels that get shorter by two towards both ends; but for the middle their lengths are shared."""
    if n <= PANEL:
        yield 0, n
        return
    left = [0]
    while 2 * (longer := max(PANEL, 2 * left[-1])) + PANEL // 2 <= n:
        left.append(longer)
    middle = [n // 2] if n - 2 * left[-1] > max(PANEL, left[-1]) else []
    yield from pairwise([*left, *middle, *(n - edge for edge in reversed(left))])


@lru_cache(maxsize=1)
def _gauss() -> nodes.Floats:
    """The DEGREE points of Gauss in (-1, 1)."""
    points: nodes.Floats = np.polynomial.legendre.leggauss(DEGREE)[0]
    return points


@lru_cache(maxsize=1024)
def _panel(length: int) -> tuple[nodes.Steps, nodes.Floats]:
    """The rule of one panel: DEGREE of its steps, near the points of Gauss, and exact weights.

    In the polynomials that are orthogonal over the steps (Gram's) the exact sums are (length, 0, 0, ..).
    """
    points = np.clip(np.rint(0.5 * (length - 1) + 0.5 * length * _gauss()), 0, length - 1)
    x = (2.0 * points - (length - 1)) / (length - 1)
    rows = [np.ones(DEGREE), x]
    N = float(length)
    for k in range(1, DEGREE - 1):
        # Monic recurrence of the discrete Legendre polynomials on N equidistant points of [-1, 1].
        rows.append(x * rows[k] - k**2 * (N**2 - k**2) / ((4 * k**2 - 1) * (N - 1) ** 2) * rows[k - 1])
    matrix = np.array([row / np.abs(row).max() for row in rows])
    exact = np.zeros(DEGREE)
    exact[0] = N
    return points.astype(np.int64), np.linalg.solve(matrix, exact)


def _kinks(plan: nodes.Plan, start: int, stop: int, without: int = 0) -> list[int] | None:
    """Steps within (start, stop) where another formula begins, or None if there are more than `KINKS`.

    Those that come back with the period `without` are left out.
    """
    found: set[int] = set()
    for step in _kinks_of(plan, start, stop, without):
        if start < step < stop:
            found.add(step)
        if len(found) > KINKS:
            return None
    return sorted(found)


def _kinks_of(plan: nodes.Plan, start: int, stop: int, without: int) -> Iterator[int]:
    match plan:
        case nodes.Scale() | nodes.Lift():
            yield from _kinks_of(plan.child, start, stop, without)
        case nodes.Clip():
            yield from _kinks_of(plan.child, start, stop, without)
            yield from _crossings(plan, start, stop, without)
        case nodes.Product() | nodes.Sum():
            yield from _kinks_of(plan.first, start, stop, without)
            yield from _kinks_of(plan.second, start, stop, without)
        case nodes.Window():
            for step in _kinks_of(plan.child, start + plan.start, stop + plan.start, without):
                yield step - plan.start
        case nodes.Join():
            for child, a, b in zip(plan.children, plan.starts[:-1].tolist(), plan.starts[1:].tolist(), strict=True):
                if max(start, a) < min(stop, b):
                    yield a
                    yield from (a + step for step in _kinks_of(child, max(start, a) - a, min(stop, b) - a, without))
        case nodes.Repeat():
            period = plan.child.length
            if period != without:
                for base in range(start // period * period, stop, period):
                    yield base
                    for step in _kinks_of(plan.child, max(start - base, 0), min(stop - base, period), without):
                        yield base + step
        case nodes.Hold():
            if plan.every != without:
                yield from range(start // plan.every * plan.every, stop, plan.every)
            else:
                yield from _kinks_of(plan.child, start, stop, without)
        case nodes.Table():
            yield from plan.starts[np.searchsorted(plan.starts, start) : np.searchsorted(plan.starts, stop)].tolist()
        case nodes.Interpolation():
            yield from plan.knots[np.searchsorted(plan.knots, start) : np.searchsorted(plan.knots, stop)].tolist()
        case nodes.Array():
            yield from range(start, stop)


def _crossings(plan: nodes.Clip, start: int, stop: int, without: int) -> Iterator[int]:
    """Steps at which the child, monotone between its kinks, passes a limit of the clip."""
    inner = _kinks(plan.child, start, stop, without)
    for a, b in zip([start, *(inner or [])], [*(inner or []), stop], strict=True):
        for limit in (plan.low, plan.high):
            if limit is None:
                continue
            ends = plan.child.at(np.array([a, b - 1])) > limit
            low, high = a, b - 1
            while ends[0] != ends[1] and high - low > 1:
                middle = (low + high) // 2
                if (plan.child.at(np.array([middle])) > limit)[0] == ends[0]:
                    low = middle
                else:
                    high = middle
            if ends[0] != ends[1]:
                yield high


def _periods(plan: nodes.Plan) -> Iterator[int]:
    """The periods of the repetitions and holds within a plan."""
    match plan:
        case nodes.Repeat():
            yield plan.child.length
        case nodes.Hold():
            yield plan.every
        case nodes.Scale() | nodes.Lift() | nodes.Clip() | nodes.Window():
            yield from _periods(plan.child)
        case nodes.Product() | nodes.Sum():
            yield from _periods(plan.first)
            yield from _periods(plan.second)
        case nodes.Join():
            for child in plan.children:
                yield from _periods(child)


def totals_at(plan: nodes.Plan, steps: IntArray, ended_at: int) -> FloatArray:
    """sum_{t < s} plan(t) at each of `steps` (increasing) up to `ended_at`, shape of `steps`, 0 beyond.

    Up to STEPPED steps in chunks of values, beyond by closed sums between the recorded steps.
    """
    out, before, end = np.zeros(steps.size), 0.0, min(int(steps.max(initial=0)), ended_at)
    if end > STEPPED:
        reached = steps[steps <= end]
        sums = [total(plan, int(a), int(b)) for a, b in pairwise([0, *reached])]
        out[: reached.size] = np.cumsum(sums)
        return out
    for start in range(0, end, 65536):
        stop = min(start + 65536, end)
        values = nodes.evaluate(plan, np.arange(start, stop, dtype=np.int64))
        inside = np.flatnonzero((steps > start) & (steps <= stop))
        # Sums between recorded steps, then their running sum: no array of partial sums of every step.
        edges = np.concatenate([[0], steps[inside] - start])
        pieces = np.add.reduceat(np.append(values, 0.0), edges)
        out[inside] = before + np.cumsum(pieces)[:-1]
        before += float(values.sum())
    return out
