"""The schedule of a log: a csv file with a column of steps and a column of learning rates."""

from __future__ import annotations

import math
from collections.abc import Sequence
from os import PathLike
from typing import Literal

import numpy as np

from simlab.delimited import Rows, read_rows
from simlab.doors import door, notice
from simlab.errors import InputError, brief, check_count, check_number, unknown_name
from simlab.schedules.base import Schedule
from simlab.schedules.combinators import from_array
from simlab.schedules.decays import piecewise

__all__ = ["from_csv"]

LONGEST = 10**8
"""Most steps that a log is taken to mean without a word: what counts further counts tokens or samples."""

SHOWN = 12
"""Most columns that a refusal names."""


@door
def from_csv(
    path: str | PathLike[str],
    lr_column: str = "lr",
    step_column: str = "step",
    length: int | None = None,
    first_step: int | None = None,
    every: float | None = None,
    between: Literal["linear", "hold"] = "linear",
) -> Schedule:
    """The schedule of a csv file with a header and (at least) a column of steps and one of values.

    Cells are parted by commas, semicolons or tabs; Excel's marks, quotes and, between semicolons or tabs, decimal
    commas are understood. Rows without a value are passed over (Lightning, wandb); of rows with the same step (a
    resumed run) the later is taken, with a notice. With a row for each step the values are taken as they are
    (`from_array`). Otherwise they are knots (`piecewise`): straight lines between rows, or each value held until the
    next (between = "hold"); the first value is held before the first row, the last one after the last.

    Parameters
    ----------
    length : number of steps; default the last step + 1. It may cut or extend.
    first_step : what the log calls the first update, 0 or 1; default 0, but rows 1 .. T without a gap are refused
        until it is said.
    every : what the step column counts in one step, for logs by tokens or samples: step = column / every, rounded.

    Raises `InputError` naming the line for a missing column, a value or step that is no number, rows of too many cells,
    and for steps beyond 10^8 where neither `length` nor `every` is given.
    """
    if between not in ("linear", "hold"):
        raise unknown_name("between", between, ["linear", "hold"])
    first = 0 if first_step is None else check_count("first_step", first_step, low=0, high=1)
    unit = 1.0 if every is None else check_number("every", every, low=0.0, open_low=True)
    places, values = _steps_and_values(read_rows(path), step_column, lr_column, first, unit)
    if first_step is None and places == list(range(1, len(places) + 1)):
        raise InputError(
            f"{path}: its steps are 1 .. {len(places)}; give first_step = 1 if the row of step 1 is the first update, "
            f"or first_step = 0 if it is the second and a first one, of the same rate, is missing."
        )
    total = places[-1] + 1 if length is None else check_count("length", length)
    if length is None and every is None and total > LONGEST:
        raise InputError(
            f"{path}: {step_column} reaches {places[-1]}, a run of more than {LONGEST:,} steps; give every = tokens (or "
            "samples) in a step if it counts those, or length = the number of steps."
        )
    if len(places) >= total and places[total - 1] == total - 1:
        return from_array(np.array(values[:total]))
    return piecewise(total, knots=tuple(zip(places, values, strict=True)), between=between)


def _steps_and_values(
    table: Rows, step_column: str, lr_column: str, first: int, unit: float
) -> tuple[list[int], list[float]]:
    """Increasing steps, counted from 0, and their values; the last row of a step is the one taken."""
    header = table.rows[0][1] if table.rows else []
    at = _column(table, header, step_column, "step_column")
    of = _column(table, header, lr_column, "lr_column")
    taken: dict[int, float] = {}
    repeated: list[int] = []
    for line, row in table.rows[1:]:
        if not row[of]:
            continue
        where = f"{table.path} line {line}"
        value, place = table.number(row[of]), table.number(row[at])
        if not math.isfinite(value) or value < 0.0:
            raise InputError(f"{where}: {lr_column} = {_cell(row[of])}; give a finite number that is not negative.")
        if not place >= 0.0 or not math.isfinite(place) or (unit == 1.0 and not place.is_integer()):
            raise InputError(f"{where}: {step_column} = {_cell(row[at])}; give a whole number of steps.")
        step = round(place / unit) - first
        if step < 0:
            raise InputError(f"{where}: {step_column} = {_cell(row[at])} lies before first_step = 1; give 0 instead.")
        if step in taken:
            repeated.append(line)
        taken[step] = value
    if not taken:
        what = "has a header and no rows" if len(table.rows) == 1 else f"has no value in its column {brief(lr_column)}"
        raise InputError(f"{table.path} {what}; give at least one step.")
    if repeated:
        notice(
            f"{table.path}: {len(repeated)} rows name a step that an earlier row names (the first is line "
            f"{repeated[0]}); the later rows are taken."
        )
    places = sorted(taken)
    return places, [taken[place] for place in places]


def _column(table: Rows, header: Sequence[str], name: str, field: str) -> int:
    """The number of the column of that name, in any case where only one fits."""
    if name in header:
        return header.index(name)
    same = [i for i, other in enumerate(header) if isinstance(name, str) and other.casefold() == name.casefold()]
    if len(same) == 1:
        return same[0]
    known = ", ".join(header[:SHOWN]) + (f" and {len(header) - SHOWN} more" if len(header) > SHOWN else "")
    raise InputError(
        f"{table.path} has no column {brief(name)}; its columns are {known or '(none)'}: name yours by {field}."
    )


def _cell(text: str) -> str:
    return brief(text)[1:-1] or "nothing"
