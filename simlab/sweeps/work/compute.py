"""Cells in, numbers out: what a thread or a worker does. Knows no files; a pure function of sweep and cells."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import numpy as np

from simlab.experiment.families.base import STATUS, Array, Declared, Interrupted, Outcome, Tick
from simlab.sweeps.plan.sweep import Cell, Schema, Sweep
from simlab.sweeps.store.ledger import Call, Row

__all__ = ["ATTEMPTS", "Computed", "compute", "failed", "interrupted_call", "variables"]

ATTEMPTS = 3


@dataclass(frozen=True)
class Computed:
    """What is kept of some cells: arrays by variable with the cells first, their rows, the calls that made them."""

    cells: list[int]
    arrays: dict[str, Array]
    rows: list[Row]
    calls: list[Call]


def variables(sweep: Sweep, schema: Schema) -> Declared:
    """Variable -> (dimensions beyond those of the cells, their sizes, dtype)."""
    out = {
        **sweep.family.variables(schema),
        "ended_at": ((), (), "int64"),
        "status": ((), (), "uint8"),
    }
    if len(schema.steps) > 1:
        out["step"] = (("record",), (schema.records,), "int64")
    return out


def compute(
    sweep: Sweep, schema: Schema, cells: Sequence[int], worker: str = "", device: str = "cpu", tick: Tick | None = None
) -> Computed:
    """The numbers of these cells, those that share problem and length in one call of the engine each.

    A call that fails is repeated cell by cell, and a cell that fails three times ends as status "error". Raises
    Interrupted where `tick` returns False.
    """
    arrays = _empty(sweep, schema, len(cells))
    rows: list[Row] = []
    calls: list[Call] = []
    place = 0
    for _, group in groupby(sweep.cells(cells), lambda cell: cell.call):
        for members, outcome, call in _called(sweep, list(group), worker, device, tick):
            for j, cell in enumerate(members):
                status, message = "error", outcome if isinstance(outcome, str) else ""
                if not isinstance(outcome, str):
                    status = _enter(arrays, place, outcome, j)
                arrays["status"][place] = STATUS.index(status)
                if "step" in arrays:
                    steps = schema.steps[cell.method.length]
                    arrays["step"][place, : steps.size] = steps
                seconds = call.seconds / len(members)
                rows.append(Row(cell.number, status, message, sweep.fingerprint(cell.number), seconds, len(calls)))
                place += 1
            calls.append(call)
    return Computed([int(cell) for cell in cells], arrays, rows, calls)


def failed(sweep: Sweep, schema: Schema, cells: Sequence[int], message: str, worker: str = "") -> Computed:
    """What is kept of cells that cannot be computed."""
    arrays = _empty(sweep, schema, len(cells))
    arrays["status"][:] = STATUS.index("error")
    rows = [Row(cell.number, "error", message, sweep.fingerprint(cell.number), 0.0, 0) for cell in sweep.cells(cells)]
    return Computed(
        [int(cell) for cell in cells], arrays, rows, [_call(sweep, len(rows), worker, "", time.time(), 0.0)]
    )


def interrupted_call(sweep: Sweep, cells: int, started: float) -> Call:
    """The call of cells that Ctrl-C found under way."""
    return _call(sweep, cells, "", "", started, 0.0)


def _empty(sweep: Sweep, schema: Schema, count: int) -> dict[str, Array]:
    fill = {"float64": np.nan, "int64": -1, "uint8": 0}
    return {
        name: np.full((count, *sizes), fill[dtype], dtype)
        for name, (_, sizes, dtype) in variables(sweep, schema).items()
    }


def _called(
    sweep: Sweep, cells: list[Cell], worker: str, device: str, tick: Tick | None
) -> Iterator[tuple[list[Cell], Outcome | str, Call]]:
    """(cells, arrays with these first, the call); a message in place of the arrays where it failed for good."""
    began, started = time.perf_counter(), time.time()
    message = ""
    for _ in range(1 if len(cells) > 1 else ATTEMPTS):
        try:
            outcome = sweep.compute(cells, device, tick)
        except Interrupted:
            raise
        except Exception as error:  # whatever it is, it is this cell's and not the sweep's
            message = f"{type(error).__name__}: {error}".partition("\n")[0]
        else:
            yield cells, outcome, _call(sweep, len(cells), worker, device, started, time.perf_counter() - began)
            return
    if len(cells) > 1:
        for cell in cells:
            yield from _called(sweep, [cell], worker, device, tick)
    else:
        yield cells, message, _call(sweep, 1, worker, device, started, time.perf_counter() - began)


def _call(sweep: Sweep, cells: int, worker: str, device: str, started: float, seconds: float) -> Call:
    return Call(sweep.engine, device, worker, cells, started, seconds)


def _enter(arrays: dict[str, Array], place: int, outcome: Outcome, j: int) -> str:
    """Copy the j-th cell of an outcome to its place, padded where others have more records or subspaces."""
    for name, values in outcome.items():
        row = values[j]
        corner: tuple[Any, ...] = (place, *(slice(0, n) for n in np.shape(row)))
        arrays[name][corner] = row
    return STATUS[int(outcome["status"][j])]
