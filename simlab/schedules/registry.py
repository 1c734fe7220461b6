"""The table of named schedules, filled by the decorator `family`; listing them and building by name."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import wraps
from typing import Any, ParamSpec

from simlab.doors import door, notice, refuse_misfits
from simlab.errors import InputError, check_number, unknown_name
from simlab.schedules.arguments import refuse_other_name, spelling
from simlab.schedules.base import FAMILIES, Schedule
from simlab.schedules.cooldowns import SHAPE_PARAMETERS

__all__ = ["FAMILIES", "family", "make", "named"]

P = ParamSpec("P")

ABSOLUTE = 1e-4
"""A floor up to this, next to a peak up to `SMALL`, could be a learning rate and gets a notice."""

SMALL = 0.01


def family(function: Callable[P, Schedule]) -> Callable[P, Schedule]:
    """Register a function (steps, ...) -> Schedule under its name; its first docstring line describes it.

    It becomes a door: arguments that it does not take are refused with the nearest that it does. `floor_value`, a
    learning rate, is made a fraction of the peak here, for every family that declares it: the function is given
    `floor`.
    """
    opened = door(function)
    named = inspect.signature(function).parameters
    # Where an exponential ends is what makes it: a tiny floor is no mistake there.
    by_floor = "floor" in named and isinstance(named["floor"].default, float) and named["floor"].default > 0.0
    known = [name for name, p in named.items() if p.kind is not inspect.Parameter.VAR_KEYWORD]
    known += SHAPE_PARAMETERS if len(known) < len(named) else []

    @wraps(function)
    def build(*args: Any, **kwargs: Any) -> Schedule:
        for key in kwargs:
            if key not in known:
                refuse_other_name(f"argument of {function.__name__}", key, known)
                raise unknown_name(f"argument of {function.__name__}", key, known)
        absolute = kwargs.get("floor_value") is not None and "floor_value" in named
        if absolute:
            kwargs = _with_floor(function, args, kwargs)
        schedule = opened(*args, **kwargs)
        if not by_floor and not absolute:
            _notice_floor(schedule._arguments.get("floor", 0.0), schedule._arguments.get("peak", 0.0))
        return schedule

    FAMILIES[function.__name__] = build
    return build


def _with_floor(function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
    """The arguments by name with `floor` in place of `floor_value`, as a fraction of the peak."""
    refuse_misfits(function, args, kwargs)
    bound = inspect.signature(function).bind(*args, **kwargs)
    if "floor" in bound.arguments:
        raise InputError("floor and floor_value are both given; give one of them.")
    bound.apply_defaults()
    peak = check_number("peak", bound.arguments["peak"], low=0.0)
    remedy = f"give a learning rate of at most the peak, {peak:g}"
    value = check_number("floor_value", kwargs["floor_value"], low=0.0, high=peak, remedy=remedy)
    others = {name: given for name, given in kwargs.items() if name != "floor_value"}
    return {**others, "floor": value / peak if value else 0.0}


def _notice_floor(floor: float, peak: float) -> None:
    """Say that a floor is a fraction of the peak, where it looks as if a learning rate were meant."""
    if 1e-3 * peak <= floor <= peak <= SMALL and 0.0 < floor <= ABSOLUTE:
        notice(
            f"floor = {floor!r} is a fraction of the peak, so the schedule ends near {floor * peak:.3g}; give "
            f"floor_value = {floor!r} if it shall end near {floor:g}."
        )


def named() -> dict[str, str]:
    """All named schedules in alphabetical order: name -> one-line description.

    >>> named()["cosine"]
    'Half a cosine from the peak to `floor`, after an optional warmup.'
    """
    return {name: (FAMILIES[name].__doc__ or "").partition("\n")[0] for name in sorted(FAMILIES)}


@door
def make(kind: str, steps: int, **parameters: Any) -> Schedule:
    """The schedule of family `kind` (hyphens, underscores and case are equivalent) with these parameters.

    Raises `InputError` for an unknown kind or parameter (naming the nearest right one) or a missing
    parameter.

    >>> make("WSD-S", 100, peak=0.1, budgets=[50]) == make("wsd_s", 100, peak=0.1, budgets=[50])
    True
    """
    known = {spelling(name): name for name in FAMILIES}
    if spelling(kind) not in known:
        raise unknown_name("schedule kind", kind, FAMILIES)
    name = known[spelling(kind)]
    return FAMILIES[name](steps, **parameters)
