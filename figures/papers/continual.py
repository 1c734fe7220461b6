"""Two regressions in a row for continual pre-training: an old domain A, then a new one B in the same eigenbasis."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

import simlab as sl

__all__ = ["BATCH", "CHOSEN", "PEAK", "REGRESSION", "cosine", "domains", "method", "mixed", "phase", "rest_rate"]

BATCH = 8
PEAK, LOWEST = 0.25, 0.1
"""Peak of every cosine, and its end as a share of that peak."""
REGRESSION = "two linear regressions in one eigenbasis for two corpora, risks for losses"
CHOSEN = (
    "A: capacity 1.3, source 1.6, noise variance 0.3; B: eigenvalues of A times 1.5 and 0.6 in turn, optimum moved by c"
    " times its size, up and down in turn",
    "batch 8, peak 0.25, cosine to a tenth of it, as many steps on B as on A",
)


def domains(dim: int, shift: float) -> dict[str, sl.LinearRegression]:
    """A, and B whose optimum lies `shift` times as far from that of A as that of A from the start."""
    old = sl.LinearRegression.power_law(dim, 1.3, 1.6, noise_variance=0.3)
    return {"A": old, "B": old.shifted(covariance=[1.5, 0.6], optimum=shift)}


def mixed(pair: dict[str, sl.LinearRegression], old: Any) -> sl.Mixture:
    """Both, of which A has the share `old`."""
    return sl.Mixture(pair, [old, "rest"])


def cosine(steps: int, peak: float = PEAK, warmup: float = 0.01) -> sl.schedules.Schedule:
    """Linear warmup (a share of the steps), then a cosine to a tenth of PEAK."""
    return sl.schedules.cosine(steps, peak, warmup=round(warmup * steps), floor_value=LOWEST * PEAK)


def rest_rate(steps: int) -> sl.schedules.Schedule:
    """The rate that the cosine ended at, kept."""
    return sl.schedules.constant(steps, LOWEST * PEAK)


def method(schedule: sl.schedules.Schedule) -> sl.methods.Method:
    return sl.methods.sgd(schedule, batch=BATCH)


def phase(
    problem: sl.Mixture, schedule: sl.schedules.Schedule, start: Any = None, at: Sequence[int] = ()
) -> tuple[npt.NDArray[np.float64], Any]:
    """Risks on A and B after the steps `at` of this phase and at its end, (n, 2), and the state there."""
    begin = 0 if start is None else start.step
    record = begin + np.unique([*at, schedule.length]).astype(np.int64)
    trace = sl.exact(problem, method(schedule), start=start, record=record, progress=False)
    return np.asarray(trace.total().sel(step=record).values, dtype=np.float64), trace.state
