"""Cells in, numbers out: what a thread or a worker does. Knows no files; a pure function of sweep and cells."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import numpy as np
import numpy.typing as npt

from simlab.engines.exact import exact_results
from simlab.engines.sample import sample
from simlab.experiment.engine import sampling
from simlab.sweeps.ledger import Call, Row
from simlab.sweeps.plan import Cell, Schema, Sweep

__all__ = ["ATTEMPTS", "STATUS", "Computed", "Interrupted", "compute", "failed", "interrupted_call", "variables"]

Array = npt.NDArray[Any]
Tick = Callable[[int], bool]
"""Called with the node-steps or replica-steps done; False asks to stop."""

STATUS = ("pending", "done", "diverged", "interrupted", "error")
ATTEMPTS = 3


class Interrupted(Exception):
    """The tick said to stop."""


@dataclass(frozen=True)
class Computed:
    """What is kept of some cells: arrays by variable with the cells first, their rows, the calls that made them."""

    cells: list[int]
    arrays: dict[str, Array]
    rows: list[Row]
    calls: list[Call]


def variables(sweep: Sweep, schema: Schema) -> dict[str, tuple[tuple[str, ...], tuple[int, ...], str]]:
    """Variable -> (dimensions beyond those of the cells, their sizes, dtype)."""
    parts = (len(schema.components), len(schema.subspaces))
    step = "step" if len(schema.steps) == 1 else "record"
    out = {
        "risk": ((step, "component", "subspace"), (schema.records, *parts), "float64"),
        "final_risk": (("component", "subspace"), parts, "float64"),
        "ended_at": ((), (), "int64"),
        "status": ((), (), "uint8"),
    }
    if len(schema.steps) > 1:
        out["step"] = (("record",), (schema.records,), "int64")
    if schema.sampled:
        quantiles = len(sampling(sweep.base["engine"], sweep.folder)["quantiles"])
        out["standard_error"] = out["risk"]
        out["risk_error"] = ((step, "subspace"), (schema.records, parts[1]), "float64")
        out["total_error"] = ((step,), (schema.records,), "float64")
        out["total_quantile"] = ((step, "quantile"), (schema.records, quantiles), "float64")
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


Outcome = dict[str, Array]


def _called(
    sweep: Sweep, cells: list[Cell], worker: str, device: str, tick: Tick | None
) -> Iterator[tuple[list[Cell], Outcome | str, Call]]:
    """(cells, arrays with these first, the call); a message in place of the arrays where it failed for good."""
    began, started = time.perf_counter(), time.time()
    message = ""
    for _ in range(1 if len(cells) > 1 else ATTEMPTS):
        try:
            outcome = _run(sweep, cells, device, tick)
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


def _run(sweep: Sweep, cells: list[Cell], device: str, tick: Tick | None) -> Outcome:
    """One call of the engine."""
    problem, methods = sweep.problem(cells[0]), [cell.method for cell in cells]
    if sweep.engine == "sample":
        return _sampled(sweep, cells, problem, methods, device, tick)
    results = exact_results(
        problem, methods, record=sweep.record, partition=sweep.partition, deterministic=sweep.deterministic,
        device=device, tick=tick,
    )  # fmt: skip
    if any(result.status == "interrupted" for result in results):
        raise Interrupted
    return {
        "risk": np.stack([result.risk for result in results]),
        "final_risk": np.stack([result.final for result in results]),
        "ended_at": np.array([result.ended_at for result in results]),
        "status": np.array([STATUS.index(result.status) for result in results]),
    }


def _sampled(
    sweep: Sweep, cells: list[Cell], problem: Any, methods: list[Any], device: str, tick: Tick | None
) -> Outcome:
    def report(done: int, total: int) -> None:
        if tick is not None and not tick(0):
            raise KeyboardInterrupt

    # Only what may differ from cell to cell is taken from the cell: cells of a call share it, or are told apart.
    options = sampling(cells[0].tree["engine"], sweep.folder) | {"device": device, "threads": 1, "progress": report}
    options |= {"checkpoint": None, "every": None, "coordinates": None}
    named = {str(cell.number): method for cell, method in zip(cells, methods, strict=True)}
    trace = sample(problem, named, record=sweep.record, subspaces=sweep.partition, **options)
    data = trace.dataset
    if np.any(data["status"].values == "interrupted") or data.sizes["run"] < len(cells):
        raise Interrupted
    lead = ("run", "step")
    out = {name: data[name].transpose(*lead, "component", "subspace").values for name in ("risk", "standard_error")}
    out["risk_error"] = data["risk_error"].transpose(*lead, "subspace").values
    out["total_error"] = data["total_error"].transpose(*lead).values
    out["total_quantile"] = data["total_quantile"].transpose(*lead, "quantile").values
    out["final_risk"] = data["final_risk"].transpose("run", "component", "subspace").values
    out["ended_at"] = data["ended_at"].values
    out["status"] = np.array([STATUS.index(str(status)) for status in data["status"].values])
    return out


def _enter(arrays: dict[str, Array], place: int, outcome: Outcome, j: int) -> str:
    """Copy the j-th cell of an outcome to its place, padded where others have more records or subspaces."""
    for name, values in outcome.items():
        row = values[j]
        corner: tuple[Any, ...] = (place, *(slice(0, n) for n in np.shape(row)))
        arrays[name][corner] = row
    return STATUS[int(outcome["status"][j])]
