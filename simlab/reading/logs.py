"""The log that a trainer wrote, as columns: csv of any program, JSON lines, the trainer_state.json of transformers."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from simlab.arrays import FloatArray
from simlab.delimited import Rows, read_rows, text_of
from simlab.errors import InputError, brief

__all__ = ["Log", "column_of", "columns_like", "read_log"]

SHOWN = 12
"""Most columns that a refusal names."""

STEPS = re.compile(r"(^|.*[/_. -])(step|steps|global_step|iteration|iterations|iter|update|updates)", re.IGNORECASE)
RATES = re.compile(r"(^|.*[/_. -])(lr|learning[_ -]?rate)(s)?([-_/. ].*|\d+)?", re.IGNORECASE)
LOSSES = re.compile(r".*loss.*", re.IGNORECASE)
BOUNDS = ("__min", "__max")
"""Columns of wandb that repeat another one."""


@dataclass(frozen=True)
class Log:
    """Rows of a file: the line of each, and columns of as many cells, text of a csv, whatever JSON has, "" for none."""

    path: Path
    lines: list[int]
    columns: dict[str, list[Any]]
    table: Rows | None = None

    def number(self, cell: Any) -> float:
        """The number that a cell holds, NaN where it holds none."""
        if isinstance(cell, str):
            return self.table.number(cell) if self.table is not None else _number(cell)
        return float(cell) if isinstance(cell, int | float) and not isinstance(cell, bool) else math.nan

    def numbers(self, name: str) -> FloatArray:
        """A column, shape (rows,), NaN where a cell holds no number."""
        return np.array([self.number(cell) for cell in self.columns[name]], dtype=np.float64)


def read_log(path: str | PathLike[str]) -> Log:
    """The log at `path`; InputError for what cannot be read, with the line."""
    text = text_of(path)
    if text.lstrip()[:1] in ("{", "["):
        return _from_objects(Path(path), _objects(Path(path), text))
    table = read_rows(path)
    if not table.rows:
        raise InputError(f"{path} is empty; give a log with a header and rows.")
    header, *rows = [cells for _, cells in table.rows]
    twice = next((name for name in header if name and header.count(name) > 1), None)
    if twice is not None:
        raise InputError(f"{path} has two columns called {brief(twice)}; rename one of them.")
    columns: dict[str, list[Any]] = {name: [row[i] for row in rows] for i, name in enumerate(header)}
    return Log(Path(path), [line for line, _ in table.rows[1:]], columns, table)


def _objects(path: Path, text: str) -> list[tuple[int, dict[str, Any]]]:
    """(line, object) of JSON lines; of one JSON document its list, or its "log_history", numbered from 1."""
    try:
        whole = json.loads(text)
    except json.JSONDecodeError:
        whole = None
    if whole is None or (isinstance(whole, dict) and "log_history" not in whole):
        found = []
        for line, words in enumerate(text.splitlines(), 1):
            if not words.strip():
                continue
            try:
                entry = json.loads(words)
            except json.JSONDecodeError as error:
                raise InputError(f"{path} line {line} is no JSON ({error.msg}); give an object on each line.") from None
            found.append((line, entry))
    else:
        listed = whole["log_history"] if isinstance(whole, dict) else whole
        found = list(enumerate(listed if isinstance(listed, list) else [], 1))
    bad = next((line for line, entry in found if not isinstance(entry, dict)), None)
    if bad is not None or not found:
        where = f" entry {bad}" if bad is not None else ""
        raise InputError(f"{path}{where} holds no rows; give objects with a step and a learning rate each.")
    return found


def _from_objects(path: Path, objects: Sequence[tuple[int, dict[str, Any]]]) -> Log:
    flat = [(line, dict(_flattened(entry))) for line, entry in objects]
    names = list(dict.fromkeys(name for _, entry in flat for name in entry))
    return Log(path, [line for line, _ in flat], {name: [e.get(name, "") for _, e in flat] for name in names})


def _flattened(entry: dict[str, Any], before: str = "") -> list[tuple[str, Any]]:
    """{"train": {"lr": 1}} as {"train/lr": 1}; null is no cell."""
    pairs: list[tuple[str, Any]] = []
    for name, value in entry.items():
        if isinstance(value, dict):
            pairs += _flattened(value, f"{before}{name}/")
        elif value is not None:
            pairs.append((f"{before}{name}", value))
    return pairs


def _number(cell: str) -> float:
    try:
        return float(cell)
    except ValueError:
        return math.nan


def columns_like(log: Log, pattern: re.Pattern[str]) -> list[str]:
    """Columns whose whole name is like `pattern` and that hold a number, in the order of the file."""
    return [
        name
        for name in log.columns
        if pattern.fullmatch(name)
        and not name.casefold().endswith(BOUNDS)
        and bool(np.isfinite(log.numbers(name)).any())
    ]


def column_of(log: Log, given: str | None, pattern: re.Pattern[str], field: str, what: str) -> str:
    """The column called `given`, in any case where only one fits; without it the one whose name is like `pattern`.

    Columns of one and the same numbers (groups of parameters) count as one. Raises InputError that lists them where
    the choice is not unique.
    """
    known = list(log.columns)
    listed = ", ".join(known[:SHOWN]) + (f" and {len(known) - SHOWN} more" if len(known) > SHOWN else "")
    if given is not None:
        same = [name for name in known if isinstance(given, str) and name.casefold() == given.casefold()]
        if given in known or len(same) == 1:
            return given if given in known else same[0]
        raise InputError(
            f"{log.path} has no column {brief(given)}; its columns are {listed or '(none)'}: name yours by {field}."
        )
    found = columns_like(log, pattern)
    numbers = [log.numbers(name) for name in found]
    if found and all(np.array_equal(numbers[0], other, equal_nan=True) for other in numbers[1:]):
        return found[0]
    if not found:
        raise InputError(f"{log.path} has no column of {what} that is known by its name; name it by {field}: {listed}.")
    raise InputError(
        f"{log.path} has {len(found)} columns of {what} that are not the same; choose one by {field}: "
        f"{', '.join(found[:SHOWN])}."
    )
