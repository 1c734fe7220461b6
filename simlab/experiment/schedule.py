"""The table [schedule], and schedules in the place of a hyper-parameter."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from simlab.errors import InputError
from simlab.experiment.tables import Table, call, kind_of, parameters
from simlab.schedules import Schedule, from_array, from_csv
from simlab.schedules.registry import FAMILIES

__all__ = ["SCHEDULES", "Eigenvalues", "build_schedule", "schedule_parameters"]

Eigenvalues = Callable[[], npt.ArrayLike]
"""Makes the eigenvalues of the problem, when a schedule asks for them."""


def csv(
    path: str,
    steps: int | None = None,
    lr_column: str = "lr",
    step_column: str = "step",
    first_step: int | None = None,
    every: float | None = None,
    between: Literal["linear", "hold"] = "linear",
    *,
    folder: Path,
) -> Schedule:
    """The schedule of a csv file with columns of steps and values (see `from_csv`); `path` is relative to `folder`."""
    return from_csv(folder / path, lr_column, step_column, steps, first_step, every, between)


SCHEDULES: dict[str, Callable[..., Schedule]] = {**FAMILIES, "array": from_array, "csv": csv}
"""Kind -> builder: the named families, values written out, and a file."""


def schedule_parameters(kind: str) -> set[str]:
    """The keys that a schedule table of this kind takes, besides `kind` (and those of a shape)."""
    return set(parameters(SCHEDULES[kind])) - {"folder", "shape_parameters"}


def build_schedule(
    table: Table, path: str, folder: Path, eigenvalues: Eigenvalues | None = None, steps: int | None = None
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
        if eigenvalues is None:
            raise InputError(" = 'problem' needs a problem; write the numbers out here.", f"{path}.eigenvalues")
        given["eigenvalues"] = np.asarray(eigenvalues()).tolist()
    injected: dict[str, Any] = {"folder": folder} if kind == "csv" else {}
    schedule: Schedule = call(SCHEDULES[kind], given, path, injected)
    return schedule
