"""Schedules made of schedules, of numbers and of arrays."""

from __future__ import annotations

from typing import Any

import numpy.typing as npt

from simlab.doors import door
from simlab.errors import InputError, check_array, check_kind
from simlab.schedules import nodes
from simlab.schedules.base import Schedule

__all__ = ["clip", "from_array", "join", "own", "repeat"]


def own(schedule: Any) -> Schedule:
    """`schedule` if it is one, or an InputError."""
    return check_kind("schedule", schedule, Schedule, "a schedule", "make one, such as constant(steps, 0.1)")


@door
def join(*schedules: Schedule) -> Schedule:
    """The schedules one after the other; its length is the sum of theirs.

    >>> from simlab.schedules import constant, linear
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
    return own(schedule).repeat(times)


@door
def clip(schedule: Schedule, low: float = 0.0, high: float | None = None) -> Schedule:
    """min(max(value, low), high); the same as schedule.clip(low, high)."""
    return own(schedule).clip(low, high)


@door
def from_array(values: npt.ArrayLike) -> Schedule:
    """The schedule with these values: shape (T,), finite, >= 0; they are copied.

    >>> from_array([0.1, 0.1, 0.05])(2)
    0.05
    """
    array = check_array("values", values, low=0.0) + 0.0  # a copy of its own, with -0.0 made 0.0
    array.flags.writeable = False
    return Schedule("array", {"values": array}, nodes.Array(array))
