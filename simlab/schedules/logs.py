"""The schedule of a log: what a trainer wrote down of its steps and learning rates."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from os import PathLike
from typing import Literal, NamedTuple, get_args

import numpy as np
import numpy.typing as npt

from simlab.arrays import FloatArray, IntArray
from simlab.doors import door, notice
from simlab.errors import InputError, brief, check_count, check_number, unknown_name
from simlab.reading.logs import LOSSES, RATES, STEPS, Log, column_of, columns_like, read_log, rows_of_updates
from simlab.schedules.base import Schedule
from simlab.schedules.combinators import from_array
from simlab.schedules.decays import piecewise

__all__ = ["Logged", "from_csv", "from_log"]

LONGEST = 10**8
"""Most steps that a log is taken to mean without a word: what counts further counts tokens or samples."""

FURTHEST = 2.0**62
"""Steps beyond are taken for this one: it is refused all the same."""

TENSORBOARD = ("Wall time", "Step", "Value")
Between = Literal["linear", "hold", "jumps"]

JUMP = 0.25
"""A change of so much of the peak between two rows of a log is a jump."""

STAYS = 1e-4
"""A change of less than so much of the peak is none: logs round."""


class Jump(NamedTuple):
    """A rate that jumps somewhere between two rows: their steps, and the first step at which it is taken to be new."""

    first: int
    last: int
    at: int


@dataclass(frozen=True, eq=False, repr=False)
class Logged(Schedule):
    """A schedule with the losses that its log holds beside the rates.

    losses : column -> (steps, values), shape (n, 2): steps as the schedule counts them, from 0.
    left_out : column -> lines of the rows that its losses leave out, whose cell holds something but no finite number.
    jumps : of between = "jumps", those put halfway between two rows.
    """

    losses: Mapping[str, FloatArray] = field(default_factory=dict)
    left_out: Mapping[str, list[int]] = field(default_factory=dict)
    jumps: tuple[Jump, ...] = ()


@door
def from_log(
    path: str | PathLike[str],
    lr: str | None = None,
    step: str | None = None,
    steps: int | None = None,
    first_step: int | None = None,
    every: float | None = None,
    between: Between = "linear",
    scale: float = 1.0,
    peak: float | None = None,
    restarts: Literal["later"] | None = None,
) -> Logged:
    """The schedule of a log, and its losses: csv of any trainer, JSON lines, the trainer_state.json of transformers, or
    lines that print a step and a rate (Megatron, fairseq, torchtune, ..).

    Columns are found by their names (step, global_step, iteration, ..; lr, learning_rate, lr-AdamW, optim/..; those of
    TensorBoard); which, is a question where it is not plain. Everything else is as in `from_csv`: rows without a rate
    are passed over, of rows of one step the later is taken, rows are knots of straight lines unless there is one for
    every step.

    Parameters
    ----------
    lr, step : names of the columns, where they are not found.
    steps : number of steps; default the last step + 1. It may cut or extend.
    first_step : what the log calls the first update, 0 or 1; default 0, but rows 1 .. T without a gap are a question.
    every : tokens, samples or epochs in a step, where the log counts those: step = column / every, rounded.
    between : "linear", "hold": each rate until the next one, or "jumps": lines, but where a rate that stayed goes by
        more than a quarter of the peak to one that stays, a jump halfway between the two rows.
    scale, peak : multiply every rate, or bring the largest to `peak`: a shape for a quadratic of another scale.
    restarts : "later" for a log whose steps go back more than once; asked about without it.

    Returns a Schedule that has `losses` besides. Raises InputError naming the line for what is no number, for a log
    whose rates are all zero, and for steps beyond 10^8 where neither `steps` nor `every` is given.
    """
    log = read_log(path)
    plain = list(log.columns) == list(TENSORBOARD)
    lr = "Value" if plain and lr is None else lr
    rate = column_of(log, lr, RATES, "lr", "learning rates")
    rows = rows_of_updates(log, rate)
    clock = _Clock(column_of(log, step, STEPS, "step", "steps", rows), rate, first_step, every, "steps")
    places, values = _steps_and_values(log, clock, rows)
    if values.max() == 0.0:
        raise InputError(f"{path}: every {rate} is 0, and such a run does not move; name another column by lr.")
    if restarts not in (None, "later"):
        raise unknown_name("restarts", restarts, ["later"])
    _check_restarts(log, clock, rows, restarts)
    schedule, jumps = _through(log, clock, places, values, steps, between)
    scaled = _scaled(schedule, scale, peak)
    losses = _losses(log, clock)
    left_out = {name: _without_number(log, name) for name in losses}
    return Logged(scaled.kind, scaled._arguments, scaled.plan, scaled.implied, losses, left_out, jumps)


@door
def from_csv(
    path: str | PathLike[str],
    lr_column: str = "lr",
    step_column: str = "step",
    length: int | None = None,
    first_step: int | None = None,
    every: float | None = None,
    between: Between = "linear",
    scale: float = 1.0,
    peak: float | None = None,
) -> Schedule:
    """The schedule of a csv file with a header and (at least) a column of steps and one of values.

    Cells are parted by commas, semicolons or tabs; Excel's marks, quotes and, between semicolons or tabs, decimal
    commas are understood. Rows without a value are passed over (Lightning, wandb); of rows with the same step (a
    resumed run) the later is taken, with a notice. With a row for each step the values are taken as they are
    (`from_array`). Otherwise they are knots (`piecewise`): straight lines between rows, each value held until the next
    (between = "hold"), or lines with jumps; the first value is held before the first row, the last one after the last.
    `from_log` finds the columns by itself.

    Parameters
    ----------
    length : number of steps; default the last step + 1. It may cut or extend.
    first_step : what the log calls the first update, 0 or 1; default 0, but rows 1 .. T without a gap are refused
        until it is said.
    every : what the step column counts in one step, for logs by tokens or samples: step = column / every, rounded.
    scale, peak : multiply every value, or bring the largest to `peak`.

    Raises `InputError` naming the line for a missing column, a value or step that is no number, rows of too many cells,
    and for steps beyond 10^8 where neither `length` nor `every` is given.
    """
    log = read_log(path)
    step_column = column_of(log, step_column, STEPS, "step_column", "steps")
    clock = _Clock(step_column, column_of(log, lr_column, RATES, "lr_column", "rates"), first_step, every, "length")
    rows = rows_of_updates(log, clock.lr)
    schedule, _ = _through(log, clock, *_steps_and_values(log, clock, rows), length, between)
    return _scaled(schedule, scale, peak)


def _scaled(schedule: Schedule, scale: float, peak: float | None) -> Schedule:
    """Every rate times `scale`, or by what brings the largest to `peak`."""
    factor = check_number("scale", scale, low=0.0, open_low=True)
    if peak is not None:
        if factor != 1.0:
            raise InputError("scale and peak are both given; give one of them.")
        if schedule.peak() == 0.0:
            raise InputError(" cannot be reached from values that are 0 throughout; name another column.", "peak")
        factor = check_number("peak", peak, low=0.0, open_low=True) / schedule.peak()
    return schedule if factor == 1.0 else schedule * factor


@dataclass(frozen=True)
class _Clock:
    """The columns of steps and rates, and how the former counts."""

    step: str
    lr: str
    first_step: int | None
    every: float | None
    length: str
    """What the argument for the number of steps is called."""

    def __post_init__(self) -> None:
        if self.first_step is not None:
            check_count("first_step", self.first_step, low=0, high=1)
        if self.every is not None:
            check_number("every", self.every, low=0.0, open_low=True)

    def places(self, log: Log, rows: IntArray) -> IntArray:
        """The step of each of the rows, from 0, or an InputError that names the first that has none."""
        cells = log.numbers(self.step)[rows]
        with np.errstate(invalid="ignore"):
            wrong = ~(cells >= 0.0) | np.isinf(cells)
            wrong |= (self.every is None) & (cells != np.round(cells))
        _refuse_first(log, rows, wrong, self.step, "; give a whole number of steps")
        steps = np.round(cells / (self.every or 1.0)) - (self.first_step or 0)
        _refuse_first(log, rows, steps < 0.0, self.step, " lies before first_step = 1; give 0 instead")
        places: IntArray = np.minimum(steps, FURTHEST).astype(np.int64)
        return places


def _refuse_first(log: Log, rows: IntArray, wrong: npt.NDArray[np.bool_], column: str, words: str) -> None:
    """An InputError about the cell of the first row that is wrong, if one is."""
    if wrong.any():
        row = rows[np.argmax(wrong)]
        raise InputError(f"{log.path} line {log.lines[row]}: {column} = {_cell(log.columns[column][row])}{words}.")


def _steps_and_values(log: Log, clock: _Clock, rows: IntArray) -> tuple[IntArray, FloatArray]:
    """Increasing steps, counted from 0, and their values; the last row of a step is the one taken."""
    if not rows.size:
        what = "has no value in its column " + brief(clock.lr) if log.lines else "has a header and no rows"
        raise InputError(f"{log.path} {what}; give at least one step.")
    values = log.numbers(clock.lr)[rows]
    with np.errstate(invalid="ignore"):
        wrong = ~(values >= 0.0) | np.isinf(values)
    _refuse_first(log, rows, wrong, clock.lr, "; give a finite number that is not negative")
    places = clock.places(log, rows)
    _, first = np.unique(places, return_index=True)
    known, last = np.unique(places[::-1], return_index=True)
    if first.size < places.size:
        repeated = np.setdiff1d(np.arange(places.size), first)
        notice(
            f"{log.path}: {repeated.size} rows name a step that an earlier row names (the first is line "
            f"{log.lines[rows[repeated[0]]]}); the later rows are taken."
        )
    return known, values[::-1][last]


def _check_restarts(log: Log, clock: _Clock, rows: IntArray, restarts: str | None) -> None:
    """A run may have been resumed once; steps that go back more often are asked about."""
    back = np.flatnonzero(np.diff(clock.places(log, rows)) < 0)
    if back.size > 1 and restarts is None:
        lines = ", ".join(str(log.lines[rows[j + 1]]) for j in back[:5])
        raise InputError(
            f"{log.path}: its steps go back {back.size} times (lines {lines}); give restarts = 'later' if the later "
            f"rows of a step count, or one run of the log."
        )


def _through(
    log: Log, clock: _Clock, places: IntArray, values: FloatArray, length: int | None, between: Between
) -> tuple[Schedule, tuple[Jump, ...]]:
    """The schedule through these knots, and the jumps that were put halfway between two of them."""
    if between not in get_args(Between):
        raise unknown_name("between", between, get_args(Between))
    if clock.first_step is None and np.array_equal(places, np.arange(1, places.size + 1)):
        raise InputError(
            f"{log.path}: its steps are 1 .. {len(places)}; give first_step = 1 if the row of step 1 is the first "
            f"update, or first_step = 0 if it is the second and a first one, of the same rate, is missing."
        )
    total = int(places[-1]) + 1 if length is None else check_count(clock.length, length)
    if length is None and clock.every is None and total > LONGEST:
        raise InputError(
            f"{log.path}: {clock.step} reaches {places[-1]}, a run of more than {LONGEST:,} steps; give every = tokens "
            f"(or samples) in a step if it counts those, or {clock.length} = the number of steps."
        )
    if len(places) >= total and places[total - 1] == total - 1:
        return from_array(values[:total]), ()
    jumps: tuple[Jump, ...] = ()
    if between == "jumps":
        jumps = _jumps(places, values)
        for jump in jumps:
            j = int(np.searchsorted(places, jump.last))
            places = np.insert(places, [j, j], [jump.at - 1, jump.at])
            values = np.insert(values, [j, j], [values[j - 1], values[j]])
        between = "linear"
    knots = tuple(zip(places.tolist(), values.tolist(), strict=True))
    return piecewise(total, knots=knots, between=between), jumps


def _jumps(places: IntArray, values: FloatArray) -> tuple[Jump, ...]:
    """Where a rate that stayed jumps to one that stays, halfway between two rows more than two steps apart."""
    change = np.abs(np.diff(values)) / values.max()
    flat = change < STAYS
    inside = np.flatnonzero(flat[:-2] & (change[1:-1] > JUMP) & flat[2:] & (np.diff(places)[1:-1] > 2)) + 1
    pairs = [(int(places[j]), int(places[j + 1])) for j in inside]
    return tuple(Jump(first, last, (first + last + 1) // 2) for first, last in pairs)


def _losses(log: Log, clock: _Clock) -> dict[str, FloatArray]:
    """Every column of a loss, with the steps of its rows; rows whose step is no number are passed over."""
    out: dict[str, FloatArray] = {}
    steps = np.round(log.numbers(clock.step) / (clock.every or 1.0)) - (clock.first_step or 0)
    for name in columns_like(log, LOSSES):
        values = log.numbers(name)
        kept = np.isfinite(values) & np.isfinite(steps)
        if name != clock.lr and kept.any():
            out[name] = np.column_stack([steps[kept], values[kept]])
    return out


def _without_number(log: Log, column: str) -> list[int]:
    """Lines of the rows whose cell is NaN, infinite or no number; an empty one is a row of something else."""
    finite, cells = np.isfinite(log.numbers(column)), log.columns[column]
    return [line for line, ok, cell in zip(log.lines, finite, cells, strict=True) if not ok and cell not in ("", None)]


def _cell(cell: object) -> str:
    text = cell if isinstance(cell, str) else repr(cell)
    return brief(text)[1:-1] or "nothing"
