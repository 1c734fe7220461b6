"""What a sweep will cost, from a short run of one cell of each kind."""

from __future__ import annotations

import time
from contextlib import suppress
from typing import Any

from simlab.engines.exact import exact_results
from simlab.sweeps.plan.cells import Cell
from simlab.sweeps.plan.kept import bytes_per_cell
from simlab.sweeps.plan.sweep import Sweep

__all__ = ["estimate"]


def estimate(sweep: Sweep, share: float, workers: int) -> str:
    """Time and size in words, for this share of the cells."""
    size = bytes_per_cell(sweep) * sweep.grid.size
    seconds = 0.0
    for example, work in sweep.checked.kinds.values():
        with suppress(Exception):  # a cell that fails is found out when it is computed, and stops no other
            seconds += share * work / _rate(sweep, next(iter(sweep.cells([example]))))
    return f"about {spoken_time(seconds / workers)} and at most {spoken_size(size)}"


def _rate(sweep: Sweep, cell: Cell) -> float:
    """Units of `Sweep.work` a second on one thread."""
    rate = sweep.family.engines[sweep.engine].rate
    if rate is not None:
        return rate
    problem = sweep.modes(cell)
    options: dict[str, Any] = {"record": 2, "partition": sweep.partition}
    exact_results(problem, [cell.method], tick=lambda amount: False, **options)  # compiles, and ends after one chunk
    done: list[int] = []

    def first(amount: int) -> bool:
        done.append(amount)
        return False

    began = time.perf_counter()
    ended = exact_results(problem, [cell.method], tick=first, **options)[0].ended_at
    seconds = time.perf_counter() - began
    return sweep.work(cell) * max(ended, 1) / cell.method.length / max(seconds, 1e-6)


def spoken_time(seconds: float) -> str:
    """1.5 s, 3 min, 2 h."""
    if seconds < 90.0:
        return f"{max(seconds, 0.1):.2g} s" if seconds < 10.0 else f"{seconds:.0f} s"
    return f"{seconds / 60.0:.0f} min" if seconds < 5400.0 else f"{seconds / 3600.0:.1f} h"


def spoken_size(size: float) -> str:
    """12 kB, 3.4 MB, 1.2 GB."""
    for unit, scale in (("GB", 1e9), ("MB", 1e6)):
        if size >= scale:
            return f"{size / scale:.1f} {unit}"
    return f"{max(size / 1e3, 1.0):.0f} kB"
