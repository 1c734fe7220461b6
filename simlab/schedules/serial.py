"""Schedules from expression trees (`to_dict`) and from files."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Callable, Mapping
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from simlab.errors import InputError, check_count, unknown_name
from simlab.schedules.base import Schedule
from simlab.schedules.combinators import from_array, join
from simlab.schedules.decays import piecewise
from simlab.schedules.registry import FAMILIES, make, spelling

__all__ = ["from_csv", "from_dict", "from_json"]

COMBINATORS: dict[str, tuple[tuple[str, ...], Callable[..., Schedule]]] = {
    "array": (("values",), from_array),
    "join": (("parts",), lambda parts: join(*parts)),
    "product": (("first", "second"), lambda first, second: first * second),
    "scaled": (("schedule", "factor"), lambda schedule, factor: schedule * factor),
    "slice": (("schedule", "start", "stop"), Schedule.slice),
    "repeat": (("schedule", "times"), Schedule.repeat),
    "clip": (("schedule", "low", "high"), Schedule.clip),
    "warmed": (("schedule", "warmup"), Schedule.warmed),
}
"""Kind -> its parameters in order, and how to build it of them; those in NESTED are schedules."""

NESTED = ("schedule", "first", "second")


def from_dict(tree: Mapping[str, Any]) -> Schedule:
    """The schedule of an expression tree {"kind": ..., parameters}, as `Schedule.to_dict` writes it.

    >>> from_dict({"kind": "wsd", "steps": 100, "peak": 0.1, "cooldown": 0.2})
    wsd(100, peak=0.1)
    """
    if not isinstance(tree, Mapping):
        raise InputError(f"schedule = {tree!r} is not a table; give one with a kind and its parameters.")
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
        if name not in parameters:
            raise InputError(f"{name} is missing; {kind} needs {', '.join(names)}.")
        if name in NESTED:
            parameters[name] = from_dict(parameters[name])
        elif name == "parts":
            if not isinstance(parameters[name], list | tuple):
                raise InputError("parts is not a list; give the list of schedules to join.")
            parameters[name] = [from_dict(part) for part in parameters[name]]
    return build(*(parameters[name] for name in names))


def from_json(path: str | PathLike[str]) -> Schedule:
    """The schedule of a JSON file written by `to_json`: an equal expression."""
    try:
        tree = json.loads(_read(path))
    except json.JSONDecodeError as error:
        raise InputError(f"{path} is not JSON ({error}); give a file written by to_json.") from None
    return from_dict(tree)


def from_csv(
    path: str | PathLike[str], lr_column: str = "lr", step_column: str = "step", length: int | None = None
) -> Schedule:
    """The schedule of a CSV file with a header and (at least) a column of steps and one of values.

    Steps are whole, >= 0 and increase from row to row. With a row for each step 0 .. length - 1 the values
    are taken as they are (`from_array`). Otherwise they are knots (`piecewise`): straight lines between rows,
    the first value held before the first row, the last one after the last. `length` defaults to the last step
    + 1 and may cut or extend. Raises `InputError` naming the line for a missing column, a value that is no
    number (or NaN), or steps out of order.
    """
    rows = csv.reader(_read(path).splitlines())
    header = [name.strip() for name in next(rows, [])]
    for column in (step_column, lr_column):
        if column not in header:
            raise InputError(f"{path} has no column {column!r}; its columns are {', '.join(header) or '(none)'}.")
    at, of = header.index(step_column), header.index(lr_column)
    steps: list[int] = []
    values: list[float] = []
    for row in rows:
        if not row:
            continue
        where = f"{path} line {rows.line_num}"
        place = _cell(row, at, f"{where}: {step_column}")
        if not place.is_integer() or (steps and place <= steps[-1]):
            raise InputError(f"{where}: {step_column} = {row[at]} is out of order; give whole steps that increase.")
        steps.append(int(place))
        values.append(_cell(row, of, f"{where}: {lr_column}"))
    if not steps:
        raise InputError(f"{path} has a header and no rows; give at least one step.")
    total = steps[-1] + 1 if length is None else check_count("length", length)
    if len(steps) >= total and steps[total - 1] == total - 1:
        return from_array(np.array(values[:total]))
    return piecewise(total, knots=tuple(zip(steps, values, strict=True)))


def _cell(row: list[str], column: int, where: str) -> float:
    text = row[column].strip() if column < len(row) else ""
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not math.isfinite(number) or number < 0.0:
        raise InputError(f"{where} = {text or 'nothing'}; give a finite number that is not negative.")
    return number


def _read(path: str | PathLike[str]) -> str:
    try:
        return Path(path).read_text(encoding="utf-8")
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror}); give the path of a file.") from None
    except UnicodeDecodeError:
        raise InputError(f"{path} is not text in UTF-8; give a file of text.") from None
