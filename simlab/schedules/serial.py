"""Schedules from expression trees (`to_dict`), in memory and in JSON files."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from os import PathLike
from typing import Any

from simlab.delimited import text_of
from simlab.doors import door
from simlab.errors import InputError, brief, check_number, unknown_name
from simlab.schedules.arguments import spelling
from simlab.schedules.base import DEEPEST, Schedule
from simlab.schedules.combinators import from_array, join
from simlab.schedules.optimal import from_knots
from simlab.schedules.registry import FAMILIES, make

__all__ = ["from_dict", "from_json"]

COMBINATORS: dict[str, tuple[tuple[str, ...], Callable[..., Schedule]]] = {
    "array": (("values",), from_array),
    "join": (("parts",), lambda parts: join(*parts)),
    "product": (("first", "second"), lambda first, second: first * second),
    "sum": (("first", "second"), lambda first, second: first + second),
    "scaled": (("schedule", "factor"), lambda schedule, factor: schedule * check_number("factor", factor, low=0.0)),
    "slice": (("schedule", "start", "stop"), Schedule.slice),
    "repeat": (("schedule", "times"), Schedule.repeat),
    "clip": (("schedule", "low", "high"), Schedule.clip),
    "warmed": (("schedule", "warmup", "start"), Schedule.warmed),
    "spectral": (("steps", "form", "knots"), from_knots),
}
"""Kind -> its parameters in order, and how to build it of them; those in NESTED are schedules."""

OPTIONAL = ("start",)

NESTED = ("schedule", "first", "second")


@door
def from_dict(tree: Mapping[str, Any]) -> Schedule:
    """The schedule of an expression tree {"kind": ..., parameters}, as `Schedule.to_dict` writes it.

    >>> from_dict({"kind": "wsd", "steps": 100, "peak": 0.1, "cooldown": 0.2})
    wsd(100, peak=0.1)
    """
    return _from_tree(tree, DEEPEST)


def _from_tree(tree: Any, levels: int) -> Schedule:
    if levels < 0:
        raise InputError(f"schedules within schedules, more than {DEEPEST} deep, are too many; write their values out.")
    if not isinstance(tree, Mapping):
        raise InputError(f"schedule = {brief(tree)} is not a table; give one with a kind and its parameters.")
    if not isinstance(tree.get("kind"), str):
        raise InputError("schedule has no kind; give kind = 'wsd' or another name of named().")
    parameters = {str(name): value for name, value in tree.items() if name != "kind"}
    kind = spelling(tree["kind"])
    if kind not in COMBINATORS:
        if kind not in map(spelling, FAMILIES):
            raise unknown_name("schedule kind", tree["kind"], [*FAMILIES, *COMBINATORS])
        if "steps" not in parameters:
            raise InputError(f"steps is missing; give the number of steps of the {tree['kind']} schedule.")
        return make(tree["kind"], parameters.pop("steps"), **parameters)
    names, build = COMBINATORS[kind]
    for name in parameters:
        if name not in names:
            raise unknown_name(f"parameter of {kind}", name, names)
    for name in names:
        if name not in parameters and name not in OPTIONAL:
            raise InputError(f"{name} is missing; {kind} needs {', '.join(names)}.")
        if name in NESTED:
            parameters[name] = _from_tree(parameters[name], levels - 1)
        elif name == "parts":
            if not isinstance(parameters[name], list | tuple):
                raise InputError("parts is not a list; give the list of schedules to join.")
            parameters[name] = [_from_tree(part, levels - 1) for part in parameters[name]]
    return build(*(parameters[name] for name in names if name in parameters))


@door
def from_json(path: str | PathLike[str]) -> Schedule:
    """The schedule of a JSON file written by `to_json`: an equal expression."""
    text = text_of(path)
    try:
        tree = json.loads(text)
    except json.JSONDecodeError as error:
        raise InputError(f"{path} is not JSON ({error}); give a file written by to_json.") from None
    except (RecursionError, ValueError):  # ValueError: an integer of more digits than Python reads
        raise InputError(f"{path} is nested too deeply or holds a number that is too long; mend it.") from None
    return from_dict(tree)
