"""The log that a trainer wrote, as columns: csv of any program, and what `lines` reads, JSON and printed lines."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import compress
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from simlab.arrays import FloatArray, IntArray
from simlab.delimited import Rows, read_rows, text_of
from simlab.errors import InputError, brief
from simlab.reading.lines import rows_of_text

__all__ = ["Log", "column_of", "columns_like", "read_log", "rows_of_updates"]

SHOWN = 12
"""Most columns that a refusal names."""

STEPS = re.compile(r"(^|.*[/_. -])(step|steps|global_step|iteration|iterations|iter|update|updates)", re.IGNORECASE)
RATES = re.compile(r"(^|.*[/_. -])(lr|learning[_ -]?rate)(s)?([-_/. ].*|\d+)?", re.IGNORECASE)
LOSSES = re.compile(r".*loss.*", re.IGNORECASE)
BESIDE = ("__min", "__max", "momentum", "weight_decay")
"""How columns end that stand beside another: the bounds of wandb, what Lightning logs of a group beside its rate."""

MODES = ("mode", "split", "phase")
OTHER_MODES = ("val", "valid", "validation", "eval", "evaluation", "test")
"""What rows are called that are none of an update (mmcv, mmengine), in a column of these names."""


@dataclass(frozen=True)
class Log:
    """Rows of a file: the line of each, and columns of as many cells, text of a csv, whatever JSON has, "" for none."""

    path: Path
    lines: list[int]
    columns: dict[str, list[Any]]
    table: Rows | None = None
    _known: dict[str, FloatArray] = field(default_factory=dict, repr=False)

    def number(self, cell: Any) -> float:
        """The number that a cell holds, NaN where it holds none."""
        if isinstance(cell, str):
            return self.table.number(cell) if self.table is not None else _number(cell)
        return float(cell) if isinstance(cell, int | float) and not isinstance(cell, bool) else math.nan

    def numbers(self, name: str) -> FloatArray:
        """A column, shape (rows,), NaN where a cell holds no number."""
        if name not in self._known:
            self._known[name] = np.array([self.number(cell) for cell in self.columns[name]], dtype=np.float64)
        return self._known[name]


def read_log(path: str | PathLike[str]) -> Log:
    """The log at `path`; InputError for what cannot be read, with the line."""
    text = text_of(path)
    found = rows_of_text(Path(path), text)
    if found is not None:
        return _from_objects(Path(path), found)
    table = read_rows(path)
    if not table.rows:
        raise InputError(f"{path} is empty; give a log with a header and rows.")
    header = table.rows[0][1]
    numbered = [(line, cells) for line, cells in table.rows[1:] if cells != header]  # written again by a resumed run
    twice = next((name for name in header if name and header.count(name) > 1), None)
    if twice is not None:
        raise InputError(f"{path} has two columns called {brief(twice)}; rename one of them.")
    columns: dict[str, list[Any]] = {name: [row[i] for _, row in numbered] for i, name in enumerate(header)}
    return Log(Path(path), [line for line, _ in numbered], columns, table)


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
        and not name.casefold().endswith(BESIDE)
        and bool(np.isfinite(log.numbers(name)).any())
    ]


def rows_of_updates(log: Log, rate: str) -> IntArray:
    """The rows that have a rate and are none of a validation."""
    name = next((name for name in log.columns if name.casefold() in MODES), None)
    modes = [str(cell).casefold() for cell in log.columns[name]] if name is not None else [""] * len(log.lines)
    cells = zip(log.columns[rate], modes, strict=True)
    found = [row for row, (cell, mode) in enumerate(cells) if cell != "" and mode not in OTHER_MODES]
    return np.array(found, dtype=np.int64)


def column_of(
    log: Log, given: str | None, pattern: re.Pattern[str], field: str, what: str, rows: IntArray | None = None
) -> str:
    """The column called `given`, in any case where only one fits; without it the one whose name is like `pattern`.

    Columns of one and the same numbers (groups of parameters) count as one. Of several that count the `rows` given,
    those that do so in whole numbers come before others (fairseq's num_updates before its fractions of an epoch).
    Raises InputError that lists them where the choice is not unique.
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
    numbers = [log.numbers(name)[slice(None) if rows is None else rows] for name in found]
    if rows is not None and any(whole := [np.array_equal(column, np.round(column)) for column in numbers]):
        found, numbers = list(compress(found, whole)), list(compress(numbers, whole))
    if found and all(np.array_equal(numbers[0], other, equal_nan=True) for other in numbers[1:]):
        return found[0]
    if not found:
        raise InputError(f"{log.path} has no column of {what} that is known by its name; name it by {field}: {listed}.")
    raise InputError(
        f"{log.path} has {len(found)} columns of {what} that are not the same; choose one by {field}: "
        f"{', '.join(found[:SHOWN])}."
    )
