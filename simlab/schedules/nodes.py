"""What a schedule lowers to: a tree of closed-form pieces that numpy evaluates and `codegen` writes out.

Every node has a `length`, an upper `bound` on its values, and `at(steps)`: float64 values at an int64 array
of non-decreasing steps in [0, length). A value depends on its own step alone and only elementwise operations
on contiguous arrays are used, so any chunking of the steps gives the same bits. Nodes are immutable.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate
from typing import Protocol

import numpy as np
import numpy.typing as npt

from simlab.schedules.shapes import SHAPES

__all__ = [
    "Array",
    "Clip",
    "Constant",
    "Hold",
    "Interpolation",
    "Join",
    "Lift",
    "Piece",
    "Plan",
    "Product",
    "Repeat",
    "Scale",
    "Sum",
    "Table",
    "Window",
    "chain",
    "evaluate",
    "ramp",
    "way",
    "window",
]

Floats = npt.NDArray[np.float64]
Steps = npt.NDArray[np.int64]


class Plan(Protocol):
    """A node of the tree."""

    @property
    def length(self) -> int: ...

    @property
    def bound(self) -> float: ...

    def at(self, steps: Steps) -> Floats: ...


def evaluate(plan: Plan, steps: Steps) -> Floats:
    """Values of `plan` at steps in any order (int64, one axis): sorts them where they are not sorted."""
    if steps.size == 0:
        return np.empty(0)
    if np.all(steps[1:] >= steps[:-1]):
        return plan.at(steps)
    ordered, place = np.unique(steps, return_inverse=True)
    return plan.at(ordered)[place]


@dataclass(frozen=True, eq=False)
class Constant:
    """The same value at every step."""

    length: int
    value: float = 1.0

    @property
    def bound(self) -> float:
        return self.value

    def at(self, steps: Steps) -> Floats:
        return np.full(steps.size, self.value)


@dataclass(frozen=True, eq=False)
class Piece:
    """A profile of `shapes` at u = (j + offset) / n, for the steps j = 0 .. length - 1."""

    length: int
    shape: str
    n: float
    offset: float = 0
    parameters: tuple[float, ...] = ()

    @property
    def bound(self) -> float:
        return 1.0

    def at(self, steps: Steps) -> Floats:
        u = (steps + self.offset) / self.n
        v = (self.n - self.offset - steps) / self.n
        values: Floats = SHAPES[self.shape](np, u, v, *self.parameters)
        return values


@dataclass(frozen=True, eq=False)
class Lift:
    """floor + (1 - floor) f: a profile that ends at `floor` in [0, 1] instead of 0.

    In floating point too, f = 1 gives exactly 1 and f <= 1 never more: 1 - floor is rounded by at most 2^-54.
    """

    child: Plan
    floor: float

    @property
    def length(self) -> int:
        return self.child.length

    @property
    def bound(self) -> float:
        return max(1.0, self.child.bound)

    def at(self, steps: Steps) -> Floats:
        return self.floor + (1.0 - self.floor) * self.child.at(steps)


@dataclass(frozen=True, eq=False)
class Scale:
    """factor * f."""

    child: Plan
    factor: float

    @property
    def length(self) -> int:
        return self.child.length

    @property
    def bound(self) -> float:
        return self.factor * self.child.bound

    def at(self, steps: Steps) -> Floats:
        return self.factor * self.child.at(steps)


@dataclass(frozen=True, eq=False)
class _Pair:
    """Two plans of one length."""

    first: Plan
    second: Plan

    @property
    def length(self) -> int:
        return self.first.length


class Product(_Pair):
    """f * g, step by step."""

    @property
    def bound(self) -> float:
        return self.first.bound * self.second.bound

    def at(self, steps: Steps) -> Floats:
        return self.first.at(steps) * self.second.at(steps)


class Sum(_Pair):
    """f + g, step by step."""

    @property
    def bound(self) -> float:
        return self.first.bound + self.second.bound

    def at(self, steps: Steps) -> Floats:
        return self.first.at(steps) + self.second.at(steps)


@dataclass(frozen=True, eq=False)
class Clip:
    """min(max(f, low), high); no upper limit where `high` is None."""

    child: Plan
    low: float
    high: float | None

    @property
    def length(self) -> int:
        return self.child.length

    @property
    def bound(self) -> float:
        return max(self.low, self.child.bound) if self.high is None else self.high

    def at(self, steps: Steps) -> Floats:
        return np.clip(self.child.at(steps), self.low, self.high)


@dataclass(frozen=True, eq=False)
class Join:
    """One plan after the other."""

    children: tuple[Plan, ...]

    @cached_property
    def starts(self) -> Steps:
        """First step of each child, and the length of the whole: shape (children + 1,)."""
        return np.array([0, *accumulate(child.length for child in self.children)], dtype=np.int64)

    @cached_property
    def length(self) -> int:
        return sum(child.length for child in self.children)

    @cached_property
    def bound(self) -> float:
        return max(child.bound for child in self.children)

    def at(self, steps: Steps) -> Floats:
        values = np.empty(steps.size)
        first, last = np.searchsorted(self.starts, (steps[0], steps[-1]), side="right") - 1
        cuts = np.searchsorted(steps, self.starts[first : last + 2])
        for child, begin, end in zip(range(first, last + 1), cuts[:-1], cuts[1:], strict=True):
            if begin < end:
                values[begin:end] = self.children[child].at(steps[begin:end] - self.starts[child])
        return values


@dataclass(frozen=True, eq=False)
class Repeat:
    """The same plan `times` times over."""

    child: Plan
    times: int

    @property
    def length(self) -> int:
        return self.child.length * self.times

    @property
    def bound(self) -> float:
        return self.child.bound

    def at(self, steps: Steps) -> Floats:
        period = self.child.length
        if steps.size >= period:  # one period serves all, at no more than the cost asked for
            return self.child.at(np.arange(period))[steps % period]
        return evaluate(self.child, steps % period)


@dataclass(frozen=True, eq=False)
class Hold:
    """Sampled at every `every`-th step and constant in between."""

    child: Plan
    every: int

    @property
    def length(self) -> int:
        return self.child.length

    @property
    def bound(self) -> float:
        return self.child.bound

    def at(self, steps: Steps) -> Floats:
        return self.child.at(steps // self.every * self.every)


@dataclass(frozen=True, eq=False)
class Window:
    """The `length` steps of another plan from `start` on."""

    child: Plan
    start: int
    length: int

    @property
    def bound(self) -> float:
        return self.child.bound

    def at(self, steps: Steps) -> Floats:
        return self.child.at(steps + self.start)


@dataclass(frozen=True, eq=False)
class Table:
    """Constant stretches: values[k] from step starts[k] (starts[0] = 0, increasing) to the next start."""

    length: int
    starts: Steps
    values: Floats

    @cached_property
    def bound(self) -> float:
        return float(self.values.max())

    def at(self, steps: Steps) -> Floats:
        return self.values[np.searchsorted(self.starts, steps, side="right") - 1]


@dataclass(frozen=True, eq=False)
class Array:
    """One stored value for each step."""

    values: Floats

    @property
    def length(self) -> int:
        return self.values.size

    @cached_property
    def bound(self) -> float:
        return float(self.values.max())

    def at(self, steps: Steps) -> Floats:
        return self.values[steps]


@dataclass(frozen=True, eq=False)
class Interpolation:
    """Straight lines between knots: steps 0 = knots[0] < ..., knots[-1] >= length, and their values."""

    length: int
    knots: Steps
    values: Floats

    @cached_property
    def bound(self) -> float:
        return float(self.values.max())

    def at(self, steps: Steps) -> Floats:
        k = np.searchsorted(self.knots, steps, side="right") - 1
        left, right, a, b = self.knots[k], self.knots[k + 1], self.values[k], self.values[k + 1]
        values = a * ((right - steps) / (right - left)) + b * ((steps - left) / (right - left))
        # Rounding must neither bend a plateau nor leave the interval [a, b].
        return np.minimum(np.maximum(values, np.minimum(a, b)), np.maximum(a, b))


def ramp(steps: int) -> Plan | None:
    """Linear warmup (j + 1) / steps, or None where there are no steps."""
    return Piece(steps, "rise", n=steps, offset=1) if steps else None


def way(steps: int, start: float, end: float) -> Plan | None:
    """start + (end - start) j / steps, or None where there are no steps."""
    if not steps or start == end:
        return Constant(steps, start) if steps else None
    low, high = sorted((start, end))
    return Scale(Lift(Piece(steps, "rise" if start < end else "linear", n=steps), low / high), high)


def chain(*plans: Plan | None) -> Plan:
    """The plans that are not None, one after the other."""
    present = tuple(plan for plan in plans if plan is not None and plan.length)
    return present[0] if len(present) == 1 else Join(present)


def window(plan: Plan, start: int, length: int) -> Plan:
    """The `length` steps of `plan` from `start` on; of an array only those values are kept."""
    if isinstance(plan, Array):
        return Array(plan.values[start : start + length])
    if isinstance(plan, Window):
        return window(plan.child, plan.start + start, length)
    return Window(plan, start, length)
