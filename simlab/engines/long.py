"""The long engine: d and T to 10^12, every number with an estimate of what it may be off by."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from simlab.engines.collocated import SHORTEST, Answer, Linear, March, relative_error
from simlab.engines.cycles import cycles_from
from simlab.engines.recording import Tick
from simlab.kernels.layout import NodeArrays

__all__ = ["march", "passes"]

IntArray = npt.NDArray[np.int64]

PASSES = 4
"""Attempts at a run, with ever smaller local errors, before what was reached is reported."""

ROUNDING = 2e-14
"""What rounding may cost a panel or a cycle, relative; 50 of them before the first."""


def march(
    nodes: NodeArrays,
    method: Linear,
    steps: IntArray,
    labels: IntArray,
    label_count: int,
    *,
    local: float,
    shortest: int = SHORTEST,
    budget: float = np.inf,
    tick: Tick | None = None,
) -> Answer:
    """One pass over all steps of `method`, with panels of relative error at most `local`."""
    run = March(nodes, method, labels, label_count, steps)
    answer, began, t, tried = run.answer, time.perf_counter(), 0, 0
    while t < method.length and answer.status == "done":
        cycles = cycles_from(run, t, local, shortest) if t >= tried else None
        if cycles is not None:
            tried = t + cycles.count * cycles.period
            if cycles.go():
                t = tried
                continue
        for length, _ in run.pieces(t, method.next_kink(t), local, shortest):
            t += length
            if length == 0:
                answer.status = "diverged"
            elif not (tick is None or tick(length)) or time.perf_counter() - began > budget:
                answer.status = "interrupted"
                break
    answer.ended_at = t
    answer.final, answer.final_error = run.now(t)
    at = np.flatnonzero(steps == t)
    answer.risk[at], answer.error[at] = answer.final, answer.final_error
    lost = ROUNDING * (50 + answer.panels + answer.cycles) + 1e-16 * (answer.exact_steps + answer.repeated)
    answer.error += lost * np.abs(answer.risk)
    return answer


def passes(tolerance: float, once: Callable[[float], Answer]) -> tuple[Answer, float]:
    """`once(local)` with ever smaller local errors until the reported one meets `tolerance`, or what was reached."""
    local = tolerance / 4.0
    for _ in range(PASSES):
        answer = once(local)
        reported = relative_error(answer)
        if reported <= tolerance or answer.status == "interrupted":
            break
        local *= min(0.3, 0.3 * tolerance / reported)
        if local < 1e-13:
            break
    return answer, reported
