"""Schedules that rise and fall: warm restarts, triangular cycles, one cycle."""

from __future__ import annotations

import math

import numpy as np

from simlab.errors import check_count, check_number
from simlab.schedules import nodes
from simlab.schedules.arguments import Phases, check_phase, check_run, in_steps
from simlab.schedules.base import Schedule
from simlab.schedules.cooldowns import Decline
from simlab.schedules.registry import family

__all__ = ["exp_range", "one_cycle", "sgdr", "triangular", "triangular2"]

MULTIPLIED = 1000
"""Largest multiplier of a period; the next period of the longest run is then an int64 still."""

HALVINGS = 1080
"""After so many halvings a float64 is zero."""


@family
def sgdr(
    steps: int,
    peak: float,
    period: int | float = 0.25,
    multiplier: int = 1,
    floor: float = 0.0,
    warmup: int | float = 0,
) -> Schedule:
    """Cosine decays with warm restarts; each period `multiplier` times the last.

    peak (floor + (1 - floor) (1 + cos(pi T_cur / T_i)) / 2), T_cur the steps since the last restart, T_0 =
    period, T_(i+1) = multiplier T_i; the run may end within a period. Loshchilov and Hutter 2017, arXiv
    1608.03983, eq. 5.

    >>> sgdr(6, 1.0, period=2, multiplier=2).values().round(4)
    array([1.    , 0.5   , 1.    , 0.8536, 0.5   , 0.1464])
    """
    steps, peak = check_run(steps, peak)
    phases = Phases.of(steps, warmup=warmup)
    (w,) = phases.lengths
    first, multiplier = check_phase("period", period), check_count("multiplier", multiplier, high=MULTIPLIED)
    decline = Decline.of("cosine", floor, {})
    remaining, n = steps - w, max(1, in_steps(first, steps))
    parts: list[nodes.Plan | None] = [nodes.ramp(w)]
    while remaining:
        times = -(-remaining // n) if multiplier == 1 else 1
        cycle = decline.plan(n)
        assert cycle is not None
        length = min(remaining, n * times)
        parts.append(nodes.window(nodes.Repeat(cycle, times) if times > 1 else cycle, 0, length))
        remaining -= length
        n *= multiplier
    arguments = {
        "steps": steps,
        "peak": peak,
        "period": first,
        "multiplier": multiplier,
        "floor": decline.floor,
    }
    return Schedule("sgdr", {**arguments, **phases.given}, nodes.Scale(nodes.chain(*parts), peak))


def _triangles(steps: int, half: int) -> nodes.Plan:
    """max(0, 1 - x), x = |t / half - 2 c + 1|, c = floor(1 + t / (2 half)): up and down between 0 and 1."""
    up = nodes.Piece(half, "rise", n=half)
    cycle = nodes.Join((up, nodes.Piece(half, "linear", n=half)))
    return nodes.window(nodes.Repeat(cycle, -(-steps // (2 * half))), 0, steps)


def _check_cycle(steps: int, peak: float, half_cycle: int | float, floor: float) -> tuple[int, dict[str, float]]:
    """The half cycle in steps, and the checked parameters."""
    steps, peak = check_run(steps, peak)
    half = check_phase("half_cycle", half_cycle)
    floor = check_number("floor", floor, low=0.0, high=1.0)
    return max(1, in_steps(half, steps)), {"steps": steps, "peak": peak, "half_cycle": half, "floor": floor}


@family
def triangular(steps: int, peak: float, half_cycle: int | float = 2000, floor: float = 1 / 6) -> Schedule:
    """Cyclical learning rate: straight up and down between `floor` and the peak.

    peak (floor + (1 - floor) max(0, 1 - x)), x = |t / s - 2 c + 1|, c = floor(1 + t / (2 s)), s = half_cycle.
    Smith 2017, arXiv 1506.01186 (defaults: s = 2000, 0.001 to 0.006). The peak is reached at t = s, if the
    run is that long.

    >>> triangular(5, 1.0, half_cycle=2, floor=0.0).values()
    array([0. , 0.5, 1. , 0.5, 0. ])
    """
    half, given = _check_cycle(steps, peak, half_cycle, floor)
    plan = nodes.Lift(_triangles(int(given["steps"]), half), given["floor"])
    return Schedule("triangular", given, nodes.Scale(plan, given["peak"]))


@family
def triangular2(steps: int, peak: float, half_cycle: int | float = 2000, floor: float = 1 / 6) -> Schedule:
    """Cyclical learning rate whose amplitude halves with every cycle.

    peak (floor + (1 - floor) max(0, 1 - x) 2^-(c - 1)) with x, c and s of `triangular`. Smith 2017, arXiv
    1506.01186.

    >>> triangular2(8, 1.0, half_cycle=2, floor=0.0).values()
    array([0.  , 0.5 , 1.  , 0.5 , 0.  , 0.25, 0.5 , 0.25])
    """
    half, given = _check_cycle(steps, peak, half_cycle, floor)
    length = int(given["steps"])
    starts = np.arange(0, min(length, 2 * half * HALVINGS), 2 * half, dtype=np.int64)
    amplitude = nodes.Table(length, starts, np.ldexp(1.0, -np.arange(starts.size)))
    plan = nodes.Lift(nodes.Product(_triangles(length, half), amplitude), given["floor"])
    return Schedule("triangular2", given, nodes.Scale(plan, given["peak"]))


@family
def exp_range(
    steps: int, peak: float, half_cycle: int | float = 2000, floor: float = 1 / 6, gamma: float = 0.99994
) -> Schedule:
    """Cyclical learning rate whose amplitude falls by `gamma` with every step.

    peak (floor + (1 - floor) max(0, 1 - x) gamma^t) with x and s of `triangular`, 0 < gamma <= 1. Smith 2017,
    arXiv 1506.01186.

    >>> exp_range(3, 1.0, half_cycle=2, floor=0.0, gamma=0.5).values()
    array([0.  , 0.25, 0.25])
    """
    half, given = _check_cycle(steps, peak, half_cycle, floor)
    gamma = check_number("gamma", gamma, low=0.0, high=1.0, open_low=True)
    length = int(given["steps"])
    amplitude = nodes.Piece(length, "exponential", n=1, parameters=(math.log(gamma),))
    plan = nodes.Lift(nodes.Product(_triangles(length, half), amplitude), given["floor"])
    return Schedule("exp_range", {**given, "gamma": gamma}, nodes.Scale(plan, given["peak"]))


@family
def one_cycle(
    steps: int,
    peak: float,
    up: int | float = 0.45,
    down: int | float = 0.45,
    floor: float = 0.1,
    final: float = 0.01,
) -> Schedule:
    """1cycle (reconstructed): one triangle from `floor` to the peak and back, then far below for the rest.

    With base = floor * peak: from base up to the peak over `up` steps, back to base over `down` steps (its
    first step has the peak), and over the steps that remain straight from base to final * base. Smith and
    Topin 2017, arXiv 1708.07120: two equal halves of a cycle shorter than the run, then several orders of
    magnitude below. The proportions, straight lines throughout and final = 1/100 are our choice (PyTorch's
    OneCycleLR differs: 30 % up, cosine, base = peak / 25).

    >>> one_cycle(10, 1.0, up=4, down=4, floor=0.2, final=0.0).values()
    array([0.2, 0.4, 0.6, 0.8, 1. , 0.8, 0.6, 0.4, 0.2, 0.1])
    """
    steps, peak = check_run(steps, peak)
    floor = check_number("floor", floor, low=0.0, high=1.0)
    final = check_number("final", final, low=0.0, high=1.0)
    phases = Phases.of(steps, up=up, down=down)
    a, b = phases.lengths
    rise = nodes.Lift(nodes.Piece(a, "rise", n=a), floor) if a else None
    rest = Decline.of("linear", final, {}).plan(steps - a - b)
    tail = nodes.Scale(rest, floor) if rest is not None else None
    plan = nodes.chain(rise, Decline.of("linear", floor, {}).plan(b), tail)
    arguments = {"steps": steps, "peak": peak, **phases.given, "floor": floor, "final": final}
    return Schedule("one_cycle", arguments, nodes.Scale(plan, peak))
