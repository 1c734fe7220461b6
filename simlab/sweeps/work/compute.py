"""Cells in, numbers out: what a thread or a worker does. Knows no files; a pure function of sweep and cells."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Any

import numpy as np

from simlab.experiment.families.base import STATUS, Array, Interrupted, Outcome, Tick
from simlab.sweeps.plan.cells import Cell
from simlab.sweeps.plan.kept import FILL, variables
from simlab.sweeps.plan.sweep import Sweep
from simlab.sweeps.records import Call, Computed, Row

__all__ = ["ATTEMPTS", "compute", "failed", "interrupted"]

ATTEMPTS = 3


def compute(
    sweep: Sweep, cells: Sequence[int], worker: str = "", device: str = "cpu", tick: Tick | None = None
) -> Computed:
    """The numbers of these cells, those that share problem and length in one call of the engine each.

    A call that fails is repeated cell by cell, and a cell that fails three times ends as status "error". Raises
    Interrupted where `tick` returns False.
    """
    arrays, steps = _empty(sweep, len(cells)), sweep.validate().steps
    rows: list[Row] = []
    calls: list[Call] = []
    for _, group in groupby(sweep.cells(cells), lambda cell: cell.call):
        for members, outcome, call in _called(sweep, list(group), worker, device, tick):
            for j, cell in enumerate(members):
                place, status, message = len(rows), "error", ""
                if isinstance(outcome, str):
                    message = outcome
                else:
                    status = _enter(arrays, place, outcome, j)
                arrays["status"][place] = STATUS.index(status)
                if "step" in arrays:
                    own = steps[cell.method.length]
                    arrays["step"][place, : own.size] = own
                seconds = call.seconds / len(members)
                rows.append(Row(cell.number, status, message, sweep.fingerprint(cell.number), seconds, len(calls)))
            calls.append(call)
    return Computed([int(cell) for cell in cells], arrays, rows, calls)


def failed(sweep: Sweep, cells: Sequence[int], message: str) -> Computed:
    """What is kept of cells that cannot be computed."""
    arrays = _empty(sweep, len(cells))
    arrays["status"][:] = STATUS.index("error")
    return Computed(list(cells), arrays, *_unfinished(sweep, cells, "error", message))


def interrupted(sweep: Sweep, cells: Sequence[int]) -> tuple[list[Row], list[Call]]:
    """The rows of cells that Ctrl-C found under way, and a call for them."""
    return _unfinished(sweep, sorted(cells), "interrupted", "")


def _unfinished(sweep: Sweep, cells: Sequence[int], status: str, message: str) -> tuple[list[Row], list[Call]]:
    rows = [Row(cell, status, message, sweep.fingerprint(cell), 0.0, 0) for cell in cells]
    return rows, [Call(sweep.engine, "", "", len(rows), time.time(), 0.0)]


def _empty(sweep: Sweep, count: int) -> dict[str, Array]:
    return {name: np.full((count, *sizes), FILL[dtype], dtype) for name, (_, sizes, dtype) in variables(sweep).items()}


def _called(
    sweep: Sweep, cells: list[Cell], worker: str, device: str, tick: Tick | None
) -> Iterator[tuple[list[Cell], Outcome | str, Call]]:
    """(cells, arrays with these first, the call); a message in place of the arrays where it failed for good."""
    began, started = time.perf_counter(), time.time()
    outcome: Outcome | str = ""
    for _ in range(1 if len(cells) > 1 else ATTEMPTS):
        try:
            outcome = sweep.compute(cells, device, tick)
            break
        except Interrupted:
            raise
        except Exception as error:  # whatever it is, it is this cell's and not the sweep's
            outcome = f"{type(error).__name__}: {error}".partition("\n")[0]
    if isinstance(outcome, str) and len(cells) > 1:
        for cell in cells:
            yield from _called(sweep, [cell], worker, device, tick)
    else:
        call = Call(sweep.engine, device, worker, len(cells), started, time.perf_counter() - began)
        yield cells, outcome, call


def _enter(arrays: dict[str, Array], place: int, outcome: Outcome, j: int) -> str:
    """Copy the j-th cell of an outcome to its place, padded where others have more records or subspaces."""
    for name, values in outcome.items():
        row = values[j]
        corner: tuple[Any, ...] = (place, *(slice(0, n) for n in np.shape(row)))
        arrays[name][corner] = row
    return STATUS[int(outcome["status"][j])]
