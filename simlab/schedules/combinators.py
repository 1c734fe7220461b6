"""Schedules made of schedules, of numbers and of arrays."""

from __future__ import annotations

from numbers import Real
from typing import Any

import numpy.typing as npt

from simlab.errors import InputError, check_array
from simlab.schedules import plan as nodes
from simlab.schedules.base import Schedule
from simlab.schedules.decays import constant

__all__ = ["as_schedule", "clip", "from_array", "join", "repeat"]


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


def repeat(schedule: Schedule, times: int) -> Schedule:
    """The schedule `times` times over; the same as schedule.repeat(times)."""
    return schedule.repeat(times)


def clip(schedule: Schedule, low: float = 0.0, high: float | None = None) -> Schedule:
    """min(max(value, low), high); the same as schedule.clip(low, high)."""
    return schedule.clip(low, high)


def from_array(values: npt.ArrayLike) -> Schedule:
    """The schedule with these values: shape (T,), finite, >= 0; they are copied.

    >>> from_array([0.1, 0.1, 0.05])(2)
    0.05
    """
    array = check_array("values", values, low=0.0) + 0.0  # a copy of its own, with -0.0 made 0.0
    array.flags.writeable = False
    return Schedule("array", {"values": array}, nodes.Array(array))


def as_schedule(value: Any, length: int, field: str) -> Schedule:
    """A number as a constant schedule of `length` steps; a schedule of that length as it is; else InputError.

    >>> as_schedule(0.9, 100, "momentum")
    constant(100, peak=0.9)
    """
    if isinstance(value, Schedule):
        if value.length != length:
            raise InputError(f"{field} has {value.length} steps where the run has {length}; make the lengths equal.")
        return value
    if isinstance(value, bool) or not isinstance(value, Real):
        raise InputError(f"{field} = {value!r} is neither a number nor a schedule; wrap values in from_array.")
    if not 0.0 <= float(value) < float("inf"):
        raise InputError(f"{field} = {value!r} is outside [0, inf); give a finite number that is not negative.")
    return constant(length, float(value))
