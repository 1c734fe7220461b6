"""Best peak learning rates by the exact engine: a grid, two finer ones about its best, and a parabola through three."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

import simlab as sl
from simlab.methods import Method
from simlab.problems.base import DiagonalProblem

__all__ = ["best_of_grid", "best_peaks", "critical", "final_risks"]

Run = Callable[[float], Method]
"""Peak -> what is run at this peak."""
CLIFF = 1.5


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
    peaks, risks = zip(*map(best_of_grid, np.exp(coarse), risk), strict=True)
    return np.array(peaks), np.array(risks)


def _risks(problem: DiagonalProblem, runs: Sequence[Run], grid: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    methods = [run(float(np.exp(x))) for run, row in zip(runs, grid, strict=True) for x in row]
    return final_risks(problem, methods).reshape(grid.shape)


def best_of_grid(peaks: npt.NDArray[np.floating], risks: npt.NDArray[np.floating]) -> tuple[float, float]:
    """(peak, risk) at the minimum of a parabola in the logarithms through the best point and its neighbours.

    Schedules differ by less than the steps of a grid of peaks do. Where a neighbour is more than CLIFF times as high,
    beside a stability limit, no parabola holds, and the point of the grid is the best.
    """
    at = int(np.argmin(risks))
    inside = 0 < at < risks.size - 1 and peaks[at - 1] < peaks[at] < peaks[at + 1]
    if not (
        inside and np.isfinite(risks[at - 1 : at + 2]).all() and max(risks[at - 1], risks[at + 1]) <= CLIFF * risks[at]
    ):
        return float(peaks[at]), float(risks[at])
    x, y = np.log(peaks[at - 1 : at + 2]), np.log(risks[at - 1 : at + 2])
    curve = np.polyfit(x - x[1], y - y[1], 2)
    shift = -curve[1] / (2.0 * curve[0])
    return float(peaks[at] * np.exp(shift)), float(risks[at] * np.exp(np.polyval(curve, shift)))
