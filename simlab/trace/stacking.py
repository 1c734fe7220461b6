"""What the runs of a trace have kept beside their risk, on one grid of steps: not all keep the same, or as much."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from simlab.arrays import FloatArray, IntArray
from simlab.methods.base import Method
from simlab.trace.recording import RunResult

__all__ = ["among", "stacked"]


def stacked(
    name: str, results: Sequence[RunResult], methods: Sequence[Method], grid: IntArray
) -> tuple[tuple[str, ...], FloatArray]:
    """A statistic of all runs: its dimensions beyond run and step, and the numbers (runs, grid, ...).

    NaN where a run has no such thing. Workers of which one stands for all have its numbers each, where those of another
    run have their own.
    """
    found = [result.statistics.get(name) for result in results]
    dims = max((dims for dims, _ in filter(None, found)), key=len)
    wide = [
        each if each is None or each[0] == dims else (dims, _for_all(each[1], dims, method.workers))
        for each, method in zip(found, methods, strict=True)
    ]
    shape = np.max([each[1].shape[1:] for each in wide if each is not None], axis=0)
    out = np.full((len(results), grid.size, *shape), np.nan)
    for row, result, each in zip(out, results, wide, strict=True):
        if each is not None:
            kept = among(result.steps, grid)
            part = tuple(slice(size) for size in each[1].shape[1:])
            row[(np.searchsorted(grid, result.steps[kept]), *part)] = each[1][kept]
    return dims, out


def _for_all(values: FloatArray, dims: tuple[str, ...], workers: int) -> FloatArray:
    """Values (records, ...) of one worker as those of each."""
    return np.repeat(np.expand_dims(values, 1 + dims.index("worker")), workers, axis=1 + dims.index("worker"))


def among(steps: IntArray, grid: IntArray) -> npt.NDArray[np.bool_]:
    """Which of `steps` are in `grid`, which increases: a third of the time of `isin`, which does not know that."""
    found: npt.NDArray[np.bool_] = grid[np.minimum(np.searchsorted(grid, steps), grid.size - 1)] == steps
    return found
