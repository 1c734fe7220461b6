"""Where a schedule stops being smooth, and where it repeats itself: told by the tree, at a cost of its depth."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from simlab.schedules import nodes

__all__ = ["Stretch", "next_kink", "stretch"]

PROBES = 64
"""Steps of a piece, even and geometric, at which a clip is asked whether it is in force; bisection finds the rest."""


class Stretch(NamedTuple):
    """From a step that begins a period on, the plan repeats itself with this period up to `end`; 0: it is constant."""

    period: int
    end: int


def next_kink(plan: nodes.Plan, t: int) -> int:
    """The first step after t at which another smooth piece begins, or the length of the plan.

    Values stored one by one have a kink wherever they change.
    """
    match plan:
        case nodes.Constant() | nodes.Piece():
            return plan.length
        case nodes.Scale() | nodes.Lift():
            return next_kink(plan.child, t)
        case nodes.Product() | nodes.Sum():
            return min(next_kink(plan.first, t), next_kink(plan.second, t))
        case nodes.Clip():
            return _clipped(plan, t, next_kink(plan.child, t))
        case nodes.Window():
            return min(next_kink(plan.child, t + plan.start) - plan.start, plan.length)
        case nodes.Join():
            j = int(np.searchsorted(plan.starts, t, side="right")) - 1
            start = int(plan.starts[j])
            return start + next_kink(plan.children[j], t - start)
        case nodes.Repeat():
            if _constant(plan.child):
                return plan.length
            phase = t % plan.child.length
            return t - phase + next_kink(plan.child, phase)
        case nodes.Hold():
            if _constant(plan.child):
                return plan.length
            return min((t // plan.every + 1) * plan.every, plan.length)
        case nodes.Table():
            return int(np.append(plan.starts, plan.length)[np.searchsorted(plan.starts, t, side="right")])
        case nodes.Interpolation():
            return min(int(plan.knots[np.searchsorted(plan.knots, t, side="right")]), plan.length)
        case nodes.Array():
            return t + _equal(plan.values[t:])
    raise TypeError(f"{type(plan).__name__} does not say where its pieces end.")


def stretch(plan: nodes.Plan, t: int) -> Stretch | None:
    """The periodic stretch that begins at step t, or None."""
    match plan:
        case nodes.Constant():
            return Stretch(0, plan.length)
        case nodes.Scale() | nodes.Lift() | nodes.Clip():
            return stretch(plan.child, t)
        case nodes.Repeat():
            return Stretch(plan.child.length, plan.length) if t % plan.child.length == 0 else None
        case nodes.Window():
            found = stretch(plan.child, t + plan.start)
            return found and Stretch(found.period, min(found.end - plan.start, plan.length))
        case nodes.Join():
            j = int(np.searchsorted(plan.starts, t, side="right")) - 1
            start = int(plan.starts[j])
            found = stretch(plan.children[j], t - start)
            return found and Stretch(found.period, start + found.end)
        case nodes.Product() | nodes.Sum():
            one, other = stretch(plan.first, t), stretch(plan.second, t)
            if one and other and (one.period == other.period or 0 in (one.period, other.period)):
                return Stretch(max(one.period, other.period), min(one.end, other.end))
    return None


def _constant(plan: nodes.Plan) -> bool:
    return isinstance(plan, nodes.Constant) or (isinstance(plan, nodes.Scale | nodes.Lift) and _constant(plan.child))


def _equal(values: nodes.Floats) -> int:
    """How many values at the start are equal."""
    size = 1
    while size < values.size:
        window = values[: 2 * size]
        if np.any(window != values[0]):
            return int(np.argmax(window != values[0]))
        size *= 2
    return int(values.size)


def _clipped(plan: nodes.Clip, t: int, end: int) -> int:
    """The first step after t, before the kink `end` of what is clipped, at which a limit sets in or lets go."""

    def state(steps: nodes.Steps) -> nodes.Steps:
        values = plan.child.at(steps)
        beyond = values > plan.high if plan.high is not None else np.zeros(values.shape, dtype=bool)
        return (values < plan.low).astype(np.int64) + 2 * beyond

    span = end - 1 - t
    if span <= 0:
        return end
    offsets = np.concatenate([[0, 1], np.linspace(0, span, PROBES), np.geomspace(1, span, PROBES)])
    probes = np.unique(t + np.minimum(offsets.astype(np.int64), span))
    where = state(probes)
    changed = np.flatnonzero(where != where[0])
    if changed.size == 0:
        return end
    low, high = int(probes[changed[0] - 1]), int(probes[changed[0]])
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if state(np.array([middle]))[0] == where[0] else (low, middle)
    return high
