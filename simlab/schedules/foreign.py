"""Schedules of what other programs hold: numbers, arrays, functions of the step (Optax), schedulers of PyTorch."""

from __future__ import annotations

import copy
import sys
import warnings
from collections.abc import Callable
from numbers import Real
from typing import Any

import numpy as np

from simlab.arrays import FloatArray
from simlab.doors import door, notice
from simlab.errors import InputError, brief, check_array, check_count, check_number
from simlab.schedules.base import Schedule
from simlab.schedules.combinators import from_array
from simlab.schedules.decays import constant

__all__ = ["as_schedule", "from_function", "from_scheduler"]

ONE_BY_ONE = 4096
"""Longest run of which a function is asked step by step without a try to ask at once."""

PROBES = 64
"""Steps at which what it says at once is held against what it says of a single one."""

MOST_CALLS = 10**7
"""Most steps of a schedule whose values are asked for one by one."""


@door
def as_schedule(value: Any, length: int | None, field: str = "schedule") -> Schedule:
    """Whatever says a rate for each step, as a schedule of `length` steps; or an InputError that names `field`.

    A number is a constant; a schedule, or an array, list or tensor of that many values, is taken as it is (and need not
    know the length: `length` may be None); a function of the step is asked for each (`from_function`), a scheduler of
    PyTorch stepped on a copy (`from_scheduler`).

    >>> as_schedule(0.9, 100, "momentum")
    constant(100, peak=0.9)
    >>> as_schedule(lambda step: 0.1 / (1 + step), 2)
    from_array([0.1, 0.05])
    """
    if length is not None:
        length = check_count("length", length)
    if getattr(value, "shape", None) == () and not isinstance(value, Real):
        try:
            value = float(value)  # a tensor of one number
        except (TypeError, ValueError):
            raise InputError(f" = {brief(value)} is no number; give one, or one for each step.", field) from None
    if isinstance(value, list | tuple) or (hasattr(value, "__array__") and not isinstance(value, Schedule | Real)):
        value = from_array(check_array(field, value, low=0.0))
    if isinstance(value, Schedule):
        if length is not None and value.length != length:
            raise InputError(f" has {value.length} steps where the run has {length}; make the lengths equal.", field)
        return value
    number = isinstance(value, Real) and not isinstance(value, bool)
    if not (number or _is_scheduler(value) or callable(value)):
        raise InputError(f" = {brief(value)} is no number, array, function of the step or schedule; give one.", field)
    if length is None:
        example = f"schedules.constant(1000, {brief(value)})" if number else f"schedules.as_schedule({field}, 1000)"
        raise InputError(
            f" = {brief(value)} does not say how many steps the run has; give steps, or write {example}.", field
        )
    if number:
        return constant(length, check_number(field, value, low=0.0))
    return from_scheduler(value, length) if _is_scheduler(value) else from_function(value, length)


@door
def from_function(function: Callable[[int], Any], steps: int) -> Schedule:
    """The schedule of a function step -> value (an Optax schedule, a lambda), which is asked once for each step, now.

    Of more than 4,096 steps it is asked at once, if it takes an array of steps and says the same (to 1e-6 of the
    largest, as float32 does) as of 64 single ones: Optax takes a millisecond a call.

    >>> from_function(lambda t: 0.1 / (1 + t), 2).values()
    array([0.1 , 0.05])
    """
    if not callable(function):
        raise InputError(
            f" = {brief(function)} cannot be called; give a function of the step, or use from_array.", "function"
        )
    values = np.empty(check_count("steps", steps, high=MOST_CALLS))
    at_once = _asked_at_once(function, values.size) if values.size > ONE_BY_ONE else None
    if at_once is not None:
        return from_array(at_once)
    for t in range(values.size):
        try:
            values[t] = float(function(t))
        except (TypeError, ValueError, ArithmeticError) as error:
            reason = str(error).partition("\n")[0]
            raise InputError(f"function({t}) gives no number ({reason}); give a function of the step alone.") from None
    return from_array(values)


def _asked_at_once(function: Callable[..., Any], steps: int) -> FloatArray | None:
    """The values of a function at all steps in one call, or None where it does not take arrays as it takes steps."""
    probes = np.unique(
        np.append(np.linspace(0, steps - 1, PROBES // 2), np.geomspace(1, steps - 1, PROBES // 2)).astype(int)
    )
    mapped = getattr(sys.modules.get("jax"), "vmap", None)  # where it is, the function may want to be traced
    for vectorised in [function, *([mapped(function)] if mapped else [])]:
        try:
            with np.errstate(all="ignore"):
                values = np.array(vectorised(np.arange(steps)), dtype=np.float64)
            single = np.array([float(function(int(t))) for t in probes])
        except Exception:  # whatever it makes of an array, one by one it may do
            continue
        if values.shape == (steps,) and np.abs(values[probes] - single).max() <= 1e-6 * np.abs(values).max():
            return values
    return None


@door
def from_scheduler(scheduler: Any, steps: int) -> Schedule:
    """The rates that a scheduler of PyTorch (or of transformers) will set in the next `steps` steps of its optimizer.

    The first is the rate that the optimizer has now. Scheduler and optimizer stay as they are: what is stepped is a
    copy, without the parameters and their state. Of several groups the first is read, with a notice where others have
    another rate (their ratio to it may be the same at every step). Raises InputError for one that waits for losses
    (ReduceLROnPlateau), or that ends before `steps`.
    """
    if not _is_scheduler(scheduler):
        raise InputError(
            f" = {brief(scheduler)} is no scheduler of PyTorch; give one, or use from_function.", "scheduler"
        )
    values = np.empty(check_count("steps", steps, high=MOST_CALLS))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that scheduler.step() is called before optimizer.step()
        stand_in = _without_parameters(scheduler.optimizer)
        own = copy.deepcopy(scheduler, {id(scheduler.optimizer): stand_in})
        rates = [float(group["lr"]) for group in stand_in.param_groups]
        for t in range(values.size):
            values[t] = float(stand_in.param_groups[0]["lr"])
            if t + 1 < values.size:
                _step(own, t)
    if any(rate != rates[0] for rate in rates):
        notice(f"the groups of the optimizer have rates of their own ({brief(rates)}); that of the first is taken.")
    return from_array(values)


def _is_scheduler(value: Any) -> bool:
    """Whether it behaves as those of PyTorch do (which is not imported for this)."""
    return hasattr(value, "optimizer") and callable(getattr(value, "step", None)) and not isinstance(value, type)


def _without_parameters(optimizer: Any) -> Any:
    """A copy of an optimizer that holds its groups' rates and nothing that is trained."""
    stand_in = copy.copy(optimizer)
    groups = [{name: value for name, value in group.items() if name != "params"} for group in optimizer.param_groups]
    vars(stand_in).update(state={}, param_groups=[{**copy.deepcopy(group), "params": []} for group in groups])
    return stand_in


def _step(scheduler: Any, t: int) -> None:
    try:
        scheduler.step()
    except TypeError:
        raise InputError(
            f" = {brief(scheduler)} waits for losses, and has no rates of its own; log a run, and use from_log.",
            "scheduler",
        ) from None
    except ValueError as error:
        reason = str(error).partition("\n")[0]
        raise InputError(f"scheduler has no rate for step {t + 1} ({reason}); give fewer steps.") from None
