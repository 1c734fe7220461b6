"""Which steps a run records, and what a run hands back."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from simlab.arrays import FloatArray, IntArray
from simlab.errors import InputError, brief, check_count, check_entries
from simlab.methods.base import Method
from simlab.schedules import Schedule
from simlab.schedules.sums import totals_at
from simlab.trace.state import State

__all__ = [
    "DEFAULT_RECORDS",
    "Record",
    "RunResult",
    "Status",
    "Tick",
    "hyper_parameters",
    "record_steps",
    "slots",
    "steps_asked",
    "sums_of_squares",
]

Record = int | Literal["all", "linear"] | Sequence[int] | npt.NDArray[Any] | None
Status = Literal["done", "inaccurate", "diverged", "interrupted"]
Tick = Callable[[int], bool]
"""Called with the mode-steps of a finished chunk; False asks the run to stop."""

DEFAULT_RECORDS = 200
MOST_RECORDS = 10**8
"""Recorded steps at most: a number for each, run, component and subspace is held."""

DIVERGENCE_FACTOR = 1e6


@dataclass
class RunResult:
    """One run: risk (records, components, subspaces), NaN where not reached; the step it ended at and why.

    `final` is the risk (components, subspaces) at the step `ended_at`. `learning_rate` is that of the run. `snapshots`
    maps a step to the risk per node (components, nodes). `statistics` maps a name to (further dimensions, array
    (records, ...)): what a sampler says beside the mean. `states` maps a step to the state kept there. `axes` maps the
    name of a further dimension of the risk, between components and subspaces (or nodes), to its labels.
    """

    steps: IntArray
    risk: FloatArray
    components: tuple[str, ...]
    status: Status
    ended_at: int
    final: FloatArray
    learning_rate: Schedule
    snapshots: dict[int, FloatArray] = field(default_factory=dict)
    statistics: dict[str, tuple[tuple[str, ...], FloatArray]] = field(default_factory=dict)
    states: dict[int, State] = field(default_factory=dict)
    axes: dict[str, list[str]] = field(default_factory=dict)

    @property
    def training_time(self) -> FloatArray:
        """The sum of the learning rates of the steps before each record (records,), 0 beyond the end."""
        return totals_at(self.learning_rate.plan, self.steps, self.ended_at)


def sums_of_squares(risk: FloatArray, unit: float = 1.0) -> None:
    """Multiply risks by `unit`, in place, and set what rounding has made negative to zero; NaN stays.

    Moments of an oscillating mode are differences at its zero crossings, known to 1e-16 of its peak and no better.
    """
    with np.errstate(over="ignore"):
        np.multiply(np.maximum(risk, 0.0), unit, out=risk)


def record_steps(record: Record, length: int, begin: int = 0) -> IntArray:
    """The steps recorded, increasing, within begin .. length and always holding both ends.

    `record`: None for about 200 log-spaced steps, a number for that many, "linear" for 200 equally spaced ones (which
    show a cooldown better), "all", or the steps themselves.
    """
    if isinstance(record, str):
        if record == "linear":
            return np.unique(np.round(np.linspace(begin, length, DEFAULT_RECORDS)).astype(np.int64))
        if record != "all":
            raise InputError(
                f" = {brief(record)} is not known; give a number, 'linear', 'all', or the steps themselves.", "record"
            )
        if length - begin >= MOST_RECORDS:
            raise InputError(
                f" = 'all' is {length - begin + 1} steps, and at most {MOST_RECORDS} are recorded; give a number.",
                "record",
            )
        return np.arange(begin, length + 1, dtype=np.int64)
    if record is None or isinstance(record, (int, float, np.integer)):
        count = check_count("record", DEFAULT_RECORDS if record is None else record, low=2, high=MOST_RECORDS)
        own = length - begin
        inner = np.geomspace(1.0, own, min(count, own + 1) - 1)
        return np.unique(np.concatenate([[0], np.round(inner), [own]]).astype(np.int64)) + begin
    try:
        steps = np.asarray(record)
    except ValueError:  # a ragged list
        steps = np.zeros((0, 0))
    if steps.dtype.kind not in "iuf" or steps.ndim != 1 or steps.size == 0:
        raise InputError(
            f" = {brief(record)} is no list of steps; give a number, 'linear', 'all', or the steps.", "record"
        )
    if not np.all(np.isfinite(steps)) or np.any(steps != np.round(steps)):
        raise InputError(" holds something that is no step; give whole numbers between 0 and the last step.", "record")
    if steps.min() < begin or steps.max() > length:
        what = f" goes from {steps.min()} to {steps.max()}; give steps between {begin} and {length}."
        raise InputError(what, "record")
    return np.unique(np.concatenate([[begin], steps, [length]]).astype(np.int64))


def steps_asked(
    field: str, steps: Sequence[int] | None, methods: Sequence[Method], begins: Sequence[int]
) -> IntArray | None:
    """Steps that every run goes through, increasing, or an InputError that calls them `field`."""
    if steps is None:
        return None
    shortest, first = min(m.length for m in methods), max(begins)
    listed = check_entries(field, steps, "steps")
    return np.unique([check_count(field, s, low=first, high=shortest) for s in listed]).astype(np.int64)


def slots(steps: IntArray, start: int, stop: int) -> IntArray:
    """Which of the recorded `steps` (increasing) each of start .. stop - 1 is, (stop - start,), or -1."""
    out = np.full(stop - start, -1, dtype=np.int64)
    first, last = np.searchsorted(steps, [start, stop])
    out[steps[first:last] - start] = np.arange(first, last)
    return out


def hyper_parameters(methods: Sequence[Method], grid: IntArray) -> dict[str, FloatArray]:
    """lr, batch and momentum (if any has it) of the step that follows each of `grid`, (runs, steps), NaN from T on."""
    out = {name: np.full((len(methods), grid.size), np.nan) for name in ("lr", "batch", "momentum")}
    for j, method in enumerate(methods):
        inside = grid < method.length
        out["lr"][j, inside] = method.learning_rate(grid[inside])
        out["batch"][j, inside] = method.batch(grid[inside]) if isinstance(method.batch, Schedule) else method.batch
        momentum = method.schedule("momentum")
        if momentum is not None:
            out["momentum"][j, inside] = momentum(grid[inside])
    if np.all(np.isnan(out["momentum"])):
        del out["momentum"]
    return out
