"""Best peak learning rates by the exact engine: a grid, two finer ones about its best, and a parabola through three."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

import simlab as sl
from simlab.methods import Method
from simlab.problems.base import DiagonalProblem

__all__ = ["best_peaks", "critical", "final_risks"]

Run = Callable[[float], Method]
"""Peak -> what is run at this peak."""


def final_risks(problem: DiagonalProblem, runs: Sequence[Method]) -> npt.NDArray[np.float64]:
    """Risk of the last iterate of every run, all of one length; inf where it diverges."""
    last = sl.exact(problem, list(runs), record=2, progress=False).total().values[:, -1]
    return np.nan_to_num(np.asarray(last, dtype=np.float64), nan=np.inf, posinf=np.inf)


def critical(problem: DiagonalProblem, batch: int = 1) -> float:
    """The largest constant rate at which SGD is stable in mean square."""
    return float(sl.stability(problem, sl.methods.sgd(sl.schedules.constant(1, 0.1), batch=batch)).critical_lr)


def best_peaks(
    problem: DiagonalProblem, runs: Sequence[Run], high: npt.ArrayLike, decades: float = 4.0, points: int = 13
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """(peak, risk) of every run, all of one length, shapes (len(runs),), with peaks in [10^-decades high, high].

    A peak equal to `high` says that the best may lie beyond. With 13 points over four decades a smooth optimum is found
    to 1 %, its risk to 0.01 %.
    """
    top = np.log(np.broadcast_to(np.asarray(high, dtype=np.float64), (len(runs),)))
    grid = top[:, None] - np.log(10.0) * decades * np.linspace(1.0, 0.0, points)
    for _ in range(3):
        risk = _risks(problem, runs, grid)
        at = np.argmin(risk, axis=1)
        step = grid[:, 1] - grid[:, 0]
        coarse = grid
        middle = grid[np.arange(len(runs)), np.clip(at, 1, grid.shape[1] - 2)]
        grid = middle[:, None] + step[:, None] * np.linspace(-1.0, 1.0, 7)
    return _lowest(coarse, risk)


def _risks(problem: DiagonalProblem, runs: Sequence[Run], grid: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    methods = [run(float(np.exp(x))) for run, row in zip(runs, grid, strict=True) for x in row]
    return final_risks(problem, methods).reshape(grid.shape)


def _lowest(
    grid: npt.NDArray[np.float64], risk: npt.NDArray[np.float64]
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Where the parabola of log risk over log peak through the three best neighbours is lowest, and how low."""
    peaks, risks = [], []
    for x, y in zip(grid, risk, strict=True):
        i = int(np.argmin(y))
        peaks.append(np.exp(x[i]))
        risks.append(y[i])
        if 0 < i < x.size - 1 and np.all(np.isfinite(y[i - 1 : i + 2])):
            low, mid, high = np.log(y[i - 1 : i + 2])
            curve = low - 2.0 * mid + high
            if curve > 0.0:
                shift = 0.5 * (low - high) / curve
                peaks[-1] = np.exp(x[i] + shift * (x[i + 1] - x[i]))
                risks[-1] = np.exp(mid - 0.25 * (low - high) * shift)
    return np.array(peaks), np.array(risks)
