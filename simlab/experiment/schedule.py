"""The table [schedule], and schedules in the place of a hyper-parameter."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from simlab.errors import InputError, check_number
from simlab.experiment.tables import Table, call, kind_of, parameters, shown
from simlab.schedules import Schedule, from_array, from_csv, from_json, from_log, join, spectral
from simlab.schedules.arguments import spelling
from simlab.schedules.registry import FAMILIES

__all__ = ["FROM_FILES", "FROM_PROBLEM", "SCHEDULES", "Asked", "asks", "build_schedule", "schedule_parameters"]


class Asked(NamedTuple):
    """What a schedule may ask of the problem of a file: each is made when it is asked for."""

    eigenvalues: Callable[[], npt.ArrayLike]
    problem: Callable[[], Any]


def csv(
    path: str,
    steps: int | None = None,
    lr_column: str = "lr",
    step_column: str = "step",
    first_step: int | None = None,
    every: float | None = None,
    between: Literal["linear", "hold"] = "linear",
    scale: float = 1.0,
    peak: float | None = None,
    *,
    folder: Path,
) -> Schedule:
    """The schedule of a csv file with columns of steps and values (see `from_csv`); `path` is relative to `folder`."""
    return from_csv(folder / path, lr_column, step_column, steps, first_step, every, between, scale, peak)


def log(
    path: str,
    steps: int | None = None,
    lr: str | None = None,
    step: str | None = None,
    first_step: int | None = None,
    every: float | None = None,
    between: Literal["linear", "hold"] = "linear",
    scale: float = 1.0,
    peak: float | None = None,
    restarts: Literal["later"] | None = None,
    *,
    folder: Path,
) -> Schedule:
    """The schedule of a trainer's log (see `from_log`); `path` is relative to `folder`."""
    return from_log(folder / path, lr, step, steps, first_step, every, between, scale, peak, restarts)


def json(path: str, *, folder: Path) -> Schedule:
    """The schedule of a JSON file written by `to_json`; `path` is relative to `folder`."""
    return from_json(folder / path)


def joined(parts: list[Schedule]) -> Schedule:
    """One after the other."""
    return join(*parts)


def scaled(schedule: Schedule, factor: float | None = None, peak: float | None = None) -> Schedule:
    """Every value times `factor`, or by what brings the largest to `peak`."""
    if (factor is None) == (peak is None):
        raise InputError(" is missing; give factor or peak, one of them.", "factor")
    if factor is None:
        top = schedule.peak()
        if top == 0.0:
            raise InputError(" cannot be reached from a schedule that is 0 throughout; give another one.", "peak")
        factor = check_number("peak", peak, low=0.0) / top
    return schedule * check_number("factor", factor, low=0.0)


def product(first: Schedule, second: Schedule) -> Schedule:
    """Step by step."""
    return first * second


def total(first: Schedule, second: Schedule | float) -> Schedule:
    """Step by step; a number is added to every step."""
    return first + second


def part(schedule: Schedule, start: int = 0, stop: int | None = None) -> Schedule:
    """The steps start .. stop - 1, negative ones from the end."""
    return schedule.slice(start, stop)


def repeated(schedule: Schedule, times: int) -> Schedule:
    """So many times over."""
    return schedule.repeat(times)


def clipped(schedule: Schedule, low: float = 0.0, high: float | None = None) -> Schedule:
    """min(max(value, low), high)."""
    return schedule.clip(low, high)


def warmed(schedule: Schedule, warmup: int | float, start: float | None = None) -> Schedule:
    """A ramp in place of the first steps (a number of them, or a fraction of all), from `start` where it is given."""
    return schedule.warmed(warmup, start)


def optimal(steps: int, batch: int | float = 1, cap: float | None = None, *, problem: Any) -> Schedule:
    """The optimal rates of SGD for the problem of the file (`simlab.optimize`), by default below the critical one."""
    from simlab.optimal.optimize import optimize

    return optimize(problem, steps, batch=batch, cap="critical" if cap is None else cap).schedule


COMBINED: dict[str, Callable[..., Schedule]] = {
    "join": joined, "scaled": scaled, "product": product, "sum": total, "slice": part, "repeat": repeated,
    "clip": clipped, "warmed": warmed,
}  # fmt: skip
"""Schedules of schedules, which stand in them as tables."""

FROM_FILES: dict[str, Callable[..., Schedule]] = {"csv": csv, "log": log, "json": json}

FROM_PROBLEM: dict[str, Callable[..., Schedule]] = {"optimal": optimal, "spectral": spectral}
"""Schedules that are made for the problem of the file."""

SCHEDULES: dict[str, Callable[..., Schedule]] = {
    **FAMILIES, "array": from_array, **FROM_FILES, **FROM_PROBLEM, **COMBINED,
}  # fmt: skip
"""Kind -> builder: the named families, values written out, files, what a problem wants, and what is made of others."""


def asks(table: Any) -> bool:
    """Whether a schedule table, or one within it, is about the problem of the file."""
    if isinstance(table, list):
        return any(asks(each) for each in table)
    if not isinstance(table, dict):
        return False
    made_for = spelling(table.get("kind", "")) in FROM_PROBLEM or table.get("eigenvalues") == "problem"
    return made_for or any(asks(each) for each in table.values())


def schedule_parameters(kind: str) -> set[str]:
    """The keys that a schedule table of this kind takes, besides `kind` (and those of a shape)."""
    return set(parameters(SCHEDULES[kind])) - {"folder", "problem", "shape_parameters"}


def build_schedule(
    table: Table, path: str, folder: Path, asked: Asked | None = None, steps: int | None = None
) -> Schedule:
    """The schedule of the table found at `path` of the file, or an InputError that says where.

    `steps` is the length where the table names none. `eigenvalues = "problem"` (of eigencurve) stands for those of the
    problem.
    """
    kind = kind_of(table, path, SCHEDULES)
    given = dict(table)
    if steps is not None and "steps" in schedule_parameters(kind):
        given.setdefault("steps", steps)
    if given.get("eigenvalues") == "problem" and kind == "eigencurve":
        if asked is None:
            raise InputError(" = 'problem' needs a problem; write the numbers out here.", f"{path}.eigenvalues")
        given["eigenvalues"] = np.asarray(asked.eigenvalues()).tolist()
    injected: dict[str, Any] = {"folder": folder} if kind in FROM_FILES else {}
    if kind in FROM_PROBLEM:
        if asked is None:
            raise InputError(f" = {shown(kind)} needs the problem of a file; take another kind here.", f"{path}.kind")
        injected = {"problem": asked.problem()}

    def inner(table: Table, path: str) -> Schedule:
        return build_schedule(table, path, folder, asked)

    schedule: Schedule = call(SCHEDULES[kind], given, path, injected, inner if kind in COMBINED else None)
    return schedule
