"""The table of named schedules, filled by the decorator `family`; listing them and building by name."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from functools import cache
from typing import TYPE_CHECKING, Any, ParamSpec

from simlab.errors import InputError, unknown_name

if TYPE_CHECKING:
    from simlab.schedules.base import Schedule

__all__ = ["FAMILIES", "defaults", "family", "make", "named", "spelling"]

P = ParamSpec("P")

FAMILIES: dict[str, Callable[..., Schedule]] = {}


def family(function: Callable[P, Schedule]) -> Callable[P, Schedule]:
    """Register a function (steps, ...) -> Schedule under its name; its first docstring line describes it."""
    FAMILIES[function.__name__] = function
    return function


def spelling(name: object) -> str:
    """`name` as comparisons use it: lower case, one separator; "WSD-S", "wsd_s" and "wsd s" are the same."""
    return str(name).strip().lower().replace("_", "-").replace(" ", "-")


def named() -> dict[str, str]:
    """All named schedules in alphabetical order: name -> one-line description.

    >>> named()["cosine"]
    'Half a cosine from the peak to `floor`, after an optional warmup.'
    """
    return {name: (FAMILIES[name].__doc__ or "").partition("\n")[0] for name in sorted(FAMILIES)}


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
    signature = inspect.signature(FAMILIES[name]).parameters
    taken = {p.name for p in signature.values() if p.kind is not inspect.Parameter.VAR_KEYWORD}
    if len(taken) == len(signature):  # a family with **shape_parameters refuses what it does not know itself
        for parameter in parameters:
            if parameter not in taken:
                raise unknown_name(f"parameter of {name}", parameter, taken)
    for p in signature.values():
        required = p.default is inspect.Parameter.empty and p.kind is not inspect.Parameter.VAR_KEYWORD
        if required and p.name != "steps" and p.name not in parameters:
            raise InputError(f"{p.name} is missing; {name} needs it: give {p.name}=....")
    return FAMILIES[name](steps, **parameters)


@cache
def defaults(name: str) -> Mapping[str, Any]:
    """The default of every parameter of family `name` that has one."""
    signature = inspect.signature(FAMILIES[name]).parameters
    return {p.name: p.default for p in signature.values() if p.default is not inspect.Parameter.empty}
