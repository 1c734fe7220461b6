"""Piecewise-constant schedules: the learning rate drops by a factor at certain steps (or a batch size grows).

Positions are steps (int) or fractions of the whole run (float in [0, 1]), warmup included: "at 80 %" means of
the run.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from simlab.errors import InputError, brief, check_count, check_number
from simlab.schedules import nodes
from simlab.schedules.arguments import MOST_PLACES, Phases, check_positions, check_run
from simlab.schedules.base import Schedule
from simlab.schedules.registry import family

__all__ = ["multi_step", "step", "step_decay", "tail_geometric", "tail_polynomial"]

HIGHEST = 600.0
"""Largest logarithm of what stairs rise to."""


@family
def step(
    steps: int,
    peak: float,
    drops: Sequence[int | float] = (0.3, 0.6, 0.9),
    factor: float = 0.1,
    warmup: int | float = 0,
) -> Schedule:
    """The peak times `factor` once more from each drop on; 30-60-90 by ten as default.

    peak factor^k from the k-th drop on. A factor above 1 makes stairs upwards, of a batch size say, and `peak` is where
    they begin: increasing the batch in place of the drops is Smith, Kindermans, Ying and Le 2018, arXiv 1711.00489.

    >>> step(10, 1.0, drops=(4, 0.8), factor=0.5).values()
    array([1.  , 1.  , 1.  , 1.  , 0.5 , 0.5 , 0.5 , 0.5 , 0.25, 0.25])
    """
    return _drops("step", steps, peak, drops, factor, warmup)


@family
def multi_step(
    steps: int,
    peak: float,
    drops: Sequence[int | float] = (0.8, 0.9),
    factor: float = 1 / math.sqrt(10),
    warmup: int | float = 0,
) -> Schedule:
    """DeepSeek's 8-1-1: two drops by sqrt(10), at 80 % and 90 % of the run.

    peak factor^k from the k-th drop on. DeepSeek-AI 2024, arXiv 2401.02954 (factor 0.316, warmup of 2,000
    steps).

    >>> multi_step(10, 1.0).values()[[0, 7, 8, 9]].round(4)
    array([1.    , 1.    , 0.3162, 0.1   ])
    """
    return _drops("multi_step", steps, peak, drops, factor, warmup)


def _drops(
    kind: str, steps: int, peak: float, drops: Sequence[int | float], factor: float, warmup: int | float
) -> Schedule:
    steps, peak = check_run(steps, peak)
    factor = check_number("factor", factor, low=0.0)
    phases = Phases.of(steps, warmup=warmup)
    (w,) = phases.lengths
    given, places = check_positions("drops", drops, steps)
    if places and places[0] < w:
        raise InputError(f" = {brief(given[0])} lies inside the warmup of {w} steps; let it come later.", "drops[0]")
    if factor > 1.0 and len(places) * math.log(factor) > HIGHEST:
        raise InputError(f" = {brief(factor)} to the power {len(places)} is beyond a float; give less.", "factor")
    plan = nodes.chain(nodes.ramp(w), _stairs(steps - w, [place - w for place in places], factor))
    arguments = {"steps": steps, "peak": peak, "drops": given, "factor": factor, **phases.given}
    return Schedule(kind, arguments, nodes.Scale(plan, peak))


def _stairs(n: int, places: Sequence[int], factor: float) -> nodes.Plan:
    """factor^k from the k-th of the non-decreasing places on, over n steps."""
    starts, values = [0], [1.0]
    for k, place in enumerate(places, start=1):
        value = factor**k
        if place == starts[-1]:
            values[-1] = value
        else:
            starts.append(place)
            values.append(value)
    return nodes.Table(n, np.array(starts, dtype=np.int64), np.array(values))


@family
def step_decay(
    steps: int, peak: float, stages: int | None = None, factor: float = 0.5, warmup: int | float = 0
) -> Schedule:
    """Stages of equal length, each `factor` times the last; log2 n halvings as default.

    peak factor^l on stage l = floor(j stages / n), j = t - warmup, n = T - warmup; default stages: log2 n,
    rounded down, at least 1. Ge, Kakade, Kidambi and Netrapalli 2019, arXiv 1904.12838 (constants of the
    theorem not reached; stage boundaries for a length that does not divide are our choice). factor = 1/4 is
    another common form.

    >>> step_decay(8, 1.0).values()
    array([1.  , 1.  , 1.  , 0.5 , 0.5 , 0.5 , 0.25, 0.25])
    """
    steps, peak = check_run(steps, peak)
    factor = check_number("factor", factor, low=0.0, high=1.0)
    phases = Phases.of(steps, warmup=warmup)
    (w,) = phases.lengths
    n = steps - w
    usual = max(1, n.bit_length() - 1)
    count = usual if stages is None else check_count("stages", stages, high=min(steps, MOST_PLACES))
    places = [-(-k * n // count) for k in range(1, count)]  # the first j with floor(j count / n) = k
    plan = nodes.chain(nodes.ramp(w), _stairs(n, places, factor))
    arguments = {"steps": steps, "peak": peak, "stages": count, "factor": factor, **phases.given}
    return Schedule("step_decay", arguments, nodes.Scale(plan, peak), {"stages"} if count == usual else ())


@family
def tail_geometric(
    steps: int, peak: float, hold: int | float = 0.5, factor: float = 0.5, warmup: int | float = 0
) -> Schedule:
    """The peak for `hold` steps, then halved every m / ln m of the m steps that remain.

    With s = warmup + hold and m = T - s: peak factor^l on the block s + l K <= t < s + (l + 1) K, K = floor(m
    / ln m), at least 1 (a single block where m <= 2). Wu, Zou, Braverman, Gu and Kakade 2022, arXiv
    2110.06198; the natural logarithm and the rounding of K are our reading.

    >>> tail_geometric(12, 1.0).values()
    array([1. , 1. , 1. , 1. , 1. , 1. , 1. , 1. , 1. , 0.5, 0.5, 0.5])
    """
    steps, peak = check_run(steps, peak)
    factor = check_number("factor", factor, low=0.0, high=1.0)
    phases = Phases.of(steps, hold=hold, warmup=warmup)
    s, w = phases.lengths[0], phases.lengths[1]
    m = steps - s - w
    block = max(1, int(m / math.log(m))) if m > 2 else max(m, 1)
    tail = _stairs(m, list(range(block, m, block)), factor)
    arguments = {"steps": steps, "peak": peak, "hold": phases.given["hold"], "factor": factor}
    plan = nodes.chain(nodes.ramp(w), nodes.Constant(s), tail)
    return Schedule("tail_geometric", {**arguments, "warmup": phases.given["warmup"]}, nodes.Scale(plan, peak))


@family
def tail_polynomial(
    steps: int, peak: float, hold: int | float = 0.5, power: float = 1.0, warmup: int | float = 0
) -> Schedule:
    """The peak for `hold` steps, then a power law of the steps since: peak / (j + 1)^power.

    j = t - warmup - hold, 0 <= power <= 1. The polynomially decaying schedule that Wu et al. 2022, arXiv
    2110.06198, compare with `tail_geometric`.

    >>> tail_polynomial(4, 1.0).values()
    array([1. , 1. , 1. , 0.5])
    """
    steps, peak = check_run(steps, peak)
    power = check_number("power", power, low=0.0, high=1.0)
    phases = Phases.of(steps, hold=hold, warmup=warmup)
    s, w = phases.lengths[0], phases.lengths[1]
    tail = nodes.Piece(steps - s - w, "power-law", n=1, offset=1, parameters=(-power,))
    plan = nodes.chain(nodes.ramp(w), nodes.Constant(s), tail)
    arguments = {"steps": steps, "peak": peak, "hold": phases.given["hold"], "power": power}
    return Schedule("tail_polynomial", {**arguments, "warmup": phases.given["warmup"]}, nodes.Scale(plan, peak))
