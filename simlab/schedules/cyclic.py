"""Schedules that rise and fall: warm restarts, triangular cycles, waves, one cycle, and the rise of a range test.

`floor` is the lowest value as a fraction of the peak, `floor_value` the same as a learning rate, in place of it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from simlab.errors import InputError, brief, check_count, check_number, unknown_name
from simlab.schedules import nodes
from simlab.schedules.arguments import SMALLEST_FLOOR, Phases, check_phase, check_run, in_steps
from simlab.schedules.base import Schedule
from simlab.schedules.cooldowns import Decline
from simlab.schedules.registry import family

__all__ = ["exp_range", "one_cycle", "range_test", "sgdr", "sine", "torch_one_cycle", "triangular", "triangular2"]

MULTIPLIED = 1000
"""Largest multiplier of a period; the next period of the longest run is then an int64 still."""

HALVINGS = 1080
"""After so many halvings a float64 is zero."""

STRATEGIES = {"cos": ("cosine-rise", "cosine"), "linear": ("rise", "linear")}
"""How PyTorch anneals: the profiles upwards and downwards."""


@family
def sgdr(
    steps: int,
    peak: float,
    period: int | float = 0.25,
    multiplier: int = 1,
    floor: float = 0.0,
    warmup: int | float = 0,
    *,
    floor_value: float | None = None,
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
def triangular(
    steps: int,
    peak: float,
    half_cycle: int | float = 2000,
    floor: float = 1 / 6,
    *,
    floor_value: float | None = None,
) -> Schedule:
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
def triangular2(
    steps: int,
    peak: float,
    half_cycle: int | float = 2000,
    floor: float = 1 / 6,
    *,
    floor_value: float | None = None,
) -> Schedule:
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
    steps: int,
    peak: float,
    half_cycle: int | float = 2000,
    floor: float = 1 / 6,
    gamma: float = 0.99994,
    *,
    floor_value: float | None = None,
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
def sine(
    steps: int,
    peak: float,
    half_cycle: int | float = 2000,
    floor: float = 0.0,
    factor: float = 1.0,
    gamma: float = 1.0,
    *,
    floor_value: float | None = None,
) -> Schedule:
    """Arches of a sine between `floor` and the peak; the amplitude may shrink with cycles or steps.

    peak (floor + (1 - floor) |sin(pi t / (2 s))| factor^(c - 1) gamma^t), s = half_cycle, c = floor(1 + t / (2 s)) the
    cycle, factor in [0, 1], gamma in (0, 1]. SIN, SIN2 (factor = 1/2) and SINEXP (gamma < 1) of Jin et al. 2023, arXiv
    2309.08859.

    >>> sine(8, 1.0, half_cycle=2, factor=0.5).values().round(4)
    array([0.    , 0.7071, 1.    , 0.7071, 0.    , 0.3536, 0.5   , 0.3536])
    """
    half, given = _check_cycle(steps, peak, half_cycle, floor)
    length = int(given["steps"])
    own = {
        "factor": check_number("factor", factor, low=0.0, high=1.0),
        "gamma": check_number("gamma", gamma, low=0.0, high=1.0, open_low=True),
    }
    arch = nodes.Join((nodes.Piece(half, "sine-rise", n=half), nodes.Piece(half, "sine", n=half)))
    wave = nodes.window(nodes.Repeat(arch, -(-length // (2 * half))), 0, length)
    if own["factor"] != 1.0:
        wave = nodes.Product(wave, _fading(length, 2 * half, own["factor"]))
    if own["gamma"] != 1.0:
        fall = nodes.Piece(length, "exponential", n=1, parameters=(math.log(own["gamma"]),))
        wave = nodes.Product(wave, fall)
    return Schedule("sine", {**given, **own}, nodes.Scale(nodes.Lift(wave, given["floor"]), given["peak"]))


def _fading(length: int, cycle: int, factor: float) -> nodes.Plan:
    """factor^k in the cycle k = 0, 1, .. of the run."""
    if factor == 0.0:
        first = min(cycle, length)
        return nodes.chain(nodes.Constant(first), nodes.Constant(length - first, 0.0))
    fall = nodes.Piece(length, "exponential", n=1, parameters=(math.log(factor) / cycle,))
    return nodes.Hold(fall, cycle)


@family
def one_cycle(
    steps: int,
    peak: float,
    up: int | float = 0.45,
    down: int | float = 0.45,
    floor: float = 0.1,
    final: float = 0.01,
    *,
    floor_value: float | None = None,
) -> Schedule:
    """1cycle (reconstructed): one triangle from `floor` to the peak and back, then far below for the rest.

    With base = floor * peak: from base up to the peak over `up` steps, back to base over `down` steps (its
    first step has the peak), and over the steps that remain straight from base to final * base. Smith and
    Topin 2017, arXiv 1708.07120: two equal halves of a cycle shorter than the run, then several orders of
    magnitude below. The proportions, straight lines throughout and final = 1/100 are our choice; PyTorch's OneCycleLR
    is `torch_one_cycle`.

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


@family
def torch_one_cycle(
    steps: int,
    peak: float,
    pct_start: float = 0.3,
    anneal_strategy: str = "cos",
    div_factor: float = 25.0,
    final_div_factor: float = 1e4,
    three_phase: bool = False,
) -> Schedule:
    """PyTorch's OneCycleLR, value for value: up to the peak, then down to far below the start.

    From peak / div_factor at step 0 to the peak at e = pct_start T - 1 (a step or between two), then down to peak /
    (div_factor final_div_factor) at the last step; with `three_phase` back to the start at 2 e first. Between two
    levels a half cosine ("cos") or a straight line ("linear") in the step. The arguments are those of
    torch.optim.lr_scheduler.OneCycleLR, steps and peak its total_steps and max_lr; after fastai, and Smith and Topin
    2017, arXiv 1708.07120. A run too short to rise (pct_start T <= 1) begins within the fall, as PyTorch's does.

    >>> torch_one_cycle(10, 1.0, pct_start=0.5).values().round(3)
    array([0.04 , 0.181, 0.52 , 0.859, 1.   , 0.905, 0.655, 0.345, 0.095,
           0.   ])
    """
    steps, peak = check_run(steps, peak)
    share = check_number("pct_start", pct_start, low=0.0, high=1.0)
    if anneal_strategy not in list(STRATEGIES):
        raise unknown_name("anneal_strategy", anneal_strategy, STRATEGIES)
    first = 1.0 / check_number("div_factor", div_factor, low=1.0, high=1e100)
    last = first / check_number("final_div_factor", final_div_factor, low=1.0, high=1e100)
    if not isinstance(three_phase, bool):
        raise InputError(f" = {brief(three_phase)} is not true or false; give one of them.", "three_phase")
    turns = [(share * steps - 1, 1.0), *([(2 * share * steps - 2, first)] if three_phase else []), (steps - 1, last)]
    plan = nodes.chain(*_anneals(steps, first, turns, anneal_strategy))
    own = {"pct_start": share, "anneal_strategy": anneal_strategy, "div_factor": float(div_factor)}
    own |= {"final_div_factor": float(final_div_factor), "three_phase": three_phase}
    return Schedule("torch_one_cycle", {"steps": steps, "peak": peak, **own}, nodes.Scale(plan, peak))


def _anneals(steps: int, level: float, turns: list[tuple[float, float]], strategy: str) -> Iterator[nodes.Plan]:
    """The way from `level` to that of each turn (place, level): the steps up to its place, which may be none."""
    begin, after = 0.0, 0  # the place of the last turn, and the first step that is past it
    for place, target in turns:
        stop = max(after, min(math.floor(place), steps - 1) + 1)
        fall = target < level
        profile = nodes.Piece(stop - after, STRATEGIES[strategy][fall], n=place - begin or 1.0, offset=after - begin)
        way: nodes.Plan = profile if place > begin else nodes.Constant(stop - after, 0.0 if fall else 1.0)
        low, high = sorted((level, target))
        yield nodes.Scale(nodes.Lift(way, low / high), high)
        begin, after, level = place, stop, target


@family
def range_test(
    steps: int, peak: float, floor: float = 1e-6, curve: str = "exponential", *, floor_value: float | None = None
) -> Schedule:
    """The rising rate of a learning-rate range test, from just above `floor` to the peak at the last step.

    peak floor^(1 - u) ("exponential") or peak (floor + (1 - floor) u) ("linear") at u = (t + 1) / T. The rate at which
    the risk turns bounds what is stable. Smith 2017, arXiv 1506.01186, section 3.3 (linear); exponential as fastai and
    Lightning have it.

    >>> range_test(4, 1.0, floor=1e-4).values().round(6)
    array([0.001, 0.01 , 0.1  , 1.   ])
    """
    steps, peak = check_run(steps, peak)
    if curve not in ("exponential", "linear"):
        raise unknown_name("curve", curve, ["exponential", "linear"])
    floor = check_number("floor", floor, low=SMALLEST_FLOOR if curve == "exponential" else 0.0, high=1.0)
    if curve == "exponential":
        rise: nodes.Plan = nodes.Piece(steps, "exponential-rise", n=steps, offset=1, parameters=(math.log(floor),))
    else:
        rise = nodes.Lift(nodes.Piece(steps, "rise", n=steps, offset=1), floor)
    arguments = {"steps": steps, "peak": peak, "floor": floor, "curve": curve}
    return Schedule("range_test", arguments, nodes.Scale(rise, peak))
