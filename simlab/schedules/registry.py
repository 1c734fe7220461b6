"""The table of named schedules, filled by the decorator `family`; listing them and building by name."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import wraps
from typing import Any, ParamSpec

from simlab.doors import door, notice
from simlab.errors import unknown_name
from simlab.schedules.arguments import spelling
from simlab.schedules.base import FAMILIES, Schedule
from simlab.schedules.cooldowns import SHAPE_PARAMETERS

__all__ = ["FAMILIES", "family", "make", "named"]

P = ParamSpec("P")

ABSOLUTE = 1e-4
"""A floor up to this, next to a peak up to `SMALL`, could be a learning rate and gets a notice."""

SMALL = 0.01


def family(function: Callable[P, Schedule]) -> Callable[P, Schedule]:
    """Register a function (steps, ...) -> Schedule under its name; its first docstring line describes it.

    It becomes a door: arguments that it does not take are refused with the nearest that it does.
    """
    opened = door(function)
    named = inspect.signature(function).parameters
    # Where an exponential ends is what makes it: a tiny floor is no mistake there.
    by_floor = "floor" in named and isinstance(named["floor"].default, float) and named["floor"].default > 0.0
    shaped = any(p.kind is inspect.Parameter.VAR_KEYWORD for p in named.values())

    @wraps(function)
    def build(*args: P.args, **kwargs: P.kwargs) -> Schedule:
        if shaped and not named.keys() >= kwargs.keys():
            known = [
                *(name for name, p in named.items() if p.kind is not inspect.Parameter.VAR_KEYWORD),
                *SHAPE_PARAMETERS,
            ]
            for key in kwargs:
                if key not in known:
                    raise unknown_name(f"argument of {function.__name__}", key, known)
        schedule = opened(*args, **kwargs)
        if not by_floor:
            _notice_floor(schedule._arguments.get("floor", 0.0), schedule._arguments.get("peak", 0.0))
        return schedule

    FAMILIES[function.__name__] = build
    return build


def _notice_floor(floor: float, peak: float) -> None:
    """Say that a floor is a fraction of the peak, where it looks as if a learning rate were meant."""
    if 1e-3 * peak <= floor <= peak <= SMALL and 0.0 < floor <= ABSOLUTE:
        notice(
            f"floor = {floor!r} is a fraction of the peak, so the schedule ends near {floor * peak:.3g}; give "
            f"floor = {floor / peak:.6g} if it shall end near {floor:g}."
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
