"""Schedules made of schedules, of numbers and of arrays."""

from __future__ import annotations

from collections.abc import Callable
from numbers import Real
from typing import Any

import numpy as np
import numpy.typing as npt

from simlab.doors import door
from simlab.errors import InputError, brief, check_array, check_count, check_kind, check_number
from simlab.schedules import nodes
from simlab.schedules.base import Schedule
from simlab.schedules.decays import constant

__all__ = ["as_schedule", "clip", "from_array", "from_function", "join", "repeat"]

MOST_CALLS = 10**7
"""Most steps of a schedule whose values are asked of a function one by one."""

REMEDY = "make one, such as constant(steps, 0.1)"


@door
def join(*schedules: Schedule) -> Schedule:
    """The schedules one after the other; its length is the sum of theirs.

    >>> from simlab.schedules import linear
    >>> join(constant(2, 1.0), linear(2, 1.0)).values()
    array([1. , 1. , 1. , 0.5])
    """
    given: tuple[object, ...] = schedules
    for i, schedule in enumerate(given):
        if not isinstance(schedule, Schedule):
            message = f"join: argument {i} is a {type(schedule).__name__}, not a schedule; make it one first"
            raise InputError(f"{message} (constant, from_array).")
    if not schedules:
        raise InputError("join: there is nothing to join; give at least one schedule.")
    return Schedule("join", {"parts": schedules}, nodes.Join(tuple(schedule.plan for schedule in schedules)))


@door
def repeat(schedule: Schedule, times: int) -> Schedule:
    """The schedule `times` times over; the same as schedule.repeat(times)."""
    return check_kind("schedule", schedule, Schedule, "a schedule", REMEDY).repeat(times)


@door
def clip(schedule: Schedule, low: float = 0.0, high: float | None = None) -> Schedule:
    """min(max(value, low), high); the same as schedule.clip(low, high)."""
    return check_kind("schedule", schedule, Schedule, "a schedule", REMEDY).clip(low, high)


@door
def from_array(values: npt.ArrayLike) -> Schedule:
    """The schedule with these values: shape (T,), finite, >= 0; they are copied.

    >>> from_array([0.1, 0.1, 0.05])(2)
    0.05
    """
    array = check_array("values", values, low=0.0) + 0.0  # a copy of its own, with -0.0 made 0.0
    array.flags.writeable = False
    return Schedule("array", {"values": array}, nodes.Array(array))


@door
def from_function(function: Callable[[int], Any], steps: int) -> Schedule:
    """The schedule of a function step -> value (an Optax schedule, a lambda), which is asked once for each step, now.

    >>> from_function(lambda t: 0.1 / (1 + t), 2).values()
    array([0.1 , 0.05])
    """
    if not callable(function):
        raise InputError(
            f" = {brief(function)} cannot be called; give a function of the step, or use from_array.", "function"
        )
    values = np.empty(check_count("steps", steps, high=MOST_CALLS))
    for t in range(values.size):
        try:
            values[t] = float(function(t))
        except (TypeError, ValueError, ArithmeticError) as error:
            reason = str(error).partition("\n")[0]
            raise InputError(f"function({t}) gives no number ({reason}); give a function of the step alone.") from None
    return from_array(values)


@door
def as_schedule(value: Any, length: int, field: str) -> Schedule:
    """A number as a constant schedule of `length` steps; a schedule of that length as it is; else InputError.

    >>> as_schedule(0.9, 100, "momentum")
    constant(100, peak=0.9)
    """
    if isinstance(value, Schedule):
        if value.length != length:
            raise InputError(f" has {value.length} steps where the run has {length}; make the lengths equal.", field)
        return value
    if isinstance(value, bool) or not isinstance(value, Real):
        remedy = "wrap values in from_array, a function in from_function"
        raise InputError(f" = {brief(value)} is neither a number nor a schedule; {remedy}.", field)
    return constant(length, check_number(field, value, low=0.0))
