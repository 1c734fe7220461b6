"""Warmup-stable-decay and its relatives: a few phases one after the other.

Lengths of phases are steps (int) or fractions of the whole run (float in [0, 1], rounded to nearest);
together they may not be longer than the run. `floor` is the value approached at the end of a decline as a
fraction of the peak, `floor_value` the same as a learning rate, in place of it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from simlab.errors import InputError, brief, check_number
from simlab.schedules import nodes
from simlab.schedules.arguments import (
    SMALLEST_FLOOR,
    Phases,
    check_phase,
    check_positions,
    check_run,
    in_steps,
)
from simlab.schedules.base import Schedule
from simlab.schedules.cooldowns import Decline
from simlab.schedules.registry import family

__all__ = ["infinite", "power_scheduler", "trapezoid", "wsd", "wsd_s", "wsdc"]

HIGHEST = 700.0
"""Largest logarithm of a float64, about."""


@family
def wsd(
    steps: int,
    peak: float,
    warmup: int | float = 0,
    cooldown: int | float = 0.2,
    shape: str = "linear",
    floor: float | None = None,
    *,
    floor_value: float | None = None,
    **shape_parameters: Any,
) -> Schedule:
    """Warmup, stable, decay: a constant peak and a cooldown of a given shape.

    peak (t + 1) / w on the first w = warmup steps, peak until step T - c, then peak (floor + (1 - floor)
    f(u)) over the c = cooldown steps with u = j / c; the cooldown's first step has the peak (not for
    `lowered-linear`). Shapes f: `cooldown_shapes()`; parameters of a shape are given by name (`power=`,
    `factor=`, `alpha=`, `knots=`). `exponential` and `inverse-proportional` run to `floor` by themselves
    (default 0.1; for the others 0).

    Hu et al. 2024 (MiniCPM), arXiv 2404.06395: its 0.5^((s - S) / T) is `exponential` with floor = 0.5^(c /
    T). Hagele et al. 2024, arXiv 2405.18392: `1-sqrt`. Dremov et al. 2025, arXiv 2508.01483: the comparison
    of shapes; `lowered-linear` drops to `factor` times the peak at once. Wen et al. 2024, arXiv 2410.05192:
    inverse-proportional.

    >>> wsd(8, 1.0, warmup=2, cooldown=0.5, shape="1-sqrt").values()
    array([0.5       , 1.        , 1.        , 1.        , 1.        ,
           0.5       , 0.29289322, 0.1339746 ])
    """
    steps, peak = check_run(steps, peak)
    phases = Phases.of(steps, warmup=warmup, cooldown=cooldown)
    w, c = phases.lengths
    decline = Decline.of(shape, floor, shape_parameters)
    plan = nodes.chain(nodes.ramp(w), nodes.Constant(steps - w - c), decline.plan(c))
    arguments = {"steps": steps, "peak": peak, **phases.given, "shape": decline.shape, **decline.arguments}
    return Schedule("wsd", arguments, nodes.Scale(plan, peak), decline.implied)


@family
def trapezoid(steps: int, peak: float, warmup: int | float = 0.1, cooldown: int | float = 0.2) -> Schedule:
    """Straight up, flat, straight down to zero: `wsd` with the linear shape.

    Xing et al. 2018, arXiv 1802.08770.

    >>> trapezoid(6, 1.0, warmup=2, cooldown=2).values()
    array([0.5, 1. , 1. , 1. , 1. , 0.5])
    """
    steps, peak = check_run(steps, peak)
    phases = Phases.of(steps, warmup=warmup, cooldown=cooldown)
    w, c = phases.lengths
    plan = nodes.chain(nodes.ramp(w), nodes.Constant(steps - w - c), Decline.of("linear", 0.0, {}).plan(c))
    return Schedule("trapezoid", {"steps": steps, "peak": peak, **phases.given}, nodes.Scale(plan, peak))


@family
def wsd_s(
    steps: int,
    peak: float,
    budgets: Sequence[int | float] = (0.25, 0.5),
    warmup: int | float = 0,
    cooldown: int | float = 0.1,
    shape: str = "inverse-proportional",
    floor: float | None = None,
    *,
    floor_value: float | None = None,
    **shape_parameters: Any,
) -> Schedule:
    """WSD-S: one branch that decays at each of several budgets and goes back to the peak after it.

    `budgets` are the positions in the run where a decay ends; the end of the run is always the last. Each
    period (from one budget to the next) is peak and then a decay over `cooldown` steps, or over that fraction
    of the period; the first period starts with the warmup. The default decay is linear in one over the
    learning rate, 1 / (u / eta_min + (1 - u) / eta_max) with eta_min = floor * peak and floor = 0.1. Wen et
    al. 2024, arXiv 2410.05192 (form of the decay as in Levanter and pytorch-accelerated).

    >>> wsd_s(8, 1.0, budgets=[4], cooldown=2, shape="linear").values()
    array([1. , 1. , 1. , 0.5, 1. , 1. , 1. , 0.5])
    """
    steps, peak = check_run(steps, peak)
    given, places = check_positions("budgets", budgets, steps)
    phases = Phases.of(steps, warmup=warmup)
    (w,) = phases.lengths
    decay = check_phase("cooldown", cooldown)
    decline = Decline.of(shape, floor, shape_parameters)
    parts: list[nodes.Plan | None] = []
    begin = 0
    # A fraction that rounds to step 0 of a short run is no budget; the same position twice is one.
    ends = [end for phase, end in zip(given, places, strict=True) if end or isinstance(phase, int)]
    for end in dict.fromkeys((*ends, steps)):
        length, rise = end - begin, w if begin == 0 else 0
        c = in_steps(decay, length)
        if length < 1 or rise + c > length:
            sizes = f"warmup + cooldown = {rise} + {c} steps"
            raise InputError(
                f": {sizes} do not fit into the period from step {begin} to {end}; shorten them.", "budgets"
            )
        parts += [nodes.ramp(rise), nodes.Constant(length - rise - c), decline.plan(c)]
        begin = end
    arguments: dict[str, Any] = {"steps": steps, "peak": peak, "budgets": given, **phases.given}
    arguments |= {"cooldown": decay}
    arguments |= {"shape": decline.shape, **decline.arguments}
    return Schedule("wsd_s", arguments, nodes.Scale(nodes.chain(*parts), peak), decline.implied)


@family
def wsdc(
    steps: int,
    peak: float,
    warmup: int | float = 0.01,
    cooldown: int | float = 0.2,
    hold: int | float = 0.1,
    floor: float = 0.1,
    *,
    floor_value: float | None = None,
) -> Schedule:
    """Warmup, stable, decay, constant (reconstructed): a linear decay to `floor`, which is then held.

    Reconstructed: PLM (Deng et al. 2025, arXiv 2503.12167) gives the name; its formula was not reached. Our
    choice: `cooldown` steps of peak (floor + (1 - floor) (1 - u)), then `hold` steps at floor * peak until
    the end.

    >>> wsdc(8, 1.0, warmup=0, cooldown=2, hold=2, floor=0.5).values()
    array([1.  , 1.  , 1.  , 1.  , 1.  , 0.75, 0.5 , 0.5 ])
    """
    steps, peak = check_run(steps, peak)
    floor = check_number("floor", floor, low=0.0, high=1.0)
    phases = Phases.of(steps, warmup=warmup, cooldown=cooldown, hold=hold)
    w, c, h = phases.lengths
    decline = Decline.of("linear", floor, {}).plan(c)
    plan = nodes.chain(nodes.ramp(w), nodes.Constant(steps - w - c - h), decline, nodes.Constant(h, floor))
    arguments = {"steps": steps, "peak": peak, **phases.given, "floor": floor}
    return Schedule("wsdc", arguments, nodes.Scale(plan, peak))


@family
def infinite(
    steps: int,
    peak: float,
    warmup: int | float = 0.01,
    cooldown: int | float = 0.6,
    anneal: int | float = 0.1,
    plateau: float = 0.55,
    floor: float = 0.1,
    *,
    floor_value: float | None = None,
) -> Schedule:
    """The infinite schedule: warmup, cosine to a plateau, the plateau for as long as wanted, a final anneal.

    With e = plateau * peak: e + (peak - e) (1 + cos(pi u)) / 2 over `cooldown` steps, e until step T -
    anneal, then e (floor * peak / e)^u over `anneal` steps; 0 < floor <= plateau <= 1. Ibrahim et al. 2024,
    arXiv 2403.08763; defaults after arXiv 2503.02844 (3e-4, 1.65e-4, 3e-5, warmup 1 %).

    >>> infinite(6, 1.0, warmup=0, cooldown=2, anneal=2, plateau=0.5, floor=0.125).values()
    array([1.  , 0.75, 0.5 , 0.5 , 0.5 , 0.25])
    """
    steps, peak = check_run(steps, peak)
    plateau = check_number("plateau", plateau, low=SMALLEST_FLOOR, high=1.0)
    floor = check_number("floor", floor, low=SMALLEST_FLOOR, high=plateau, remedy="keep it above 0, up to the plateau")
    phases = Phases.of(steps, warmup=warmup, cooldown=cooldown, anneal=anneal)
    w, c, a = phases.lengths
    cool = Decline.of("cosine", plateau, {}).plan(c)
    final = Decline.of("exponential", floor / plateau, {}).plan(a)
    last = nodes.Scale(final, plateau) if final is not None else None
    plan = nodes.chain(nodes.ramp(w), cool, nodes.Constant(steps - w - c - a, plateau), last)
    arguments = {"steps": steps, "peak": peak, **phases.given, "plateau": plateau, "floor": floor}
    return Schedule("infinite", arguments, nodes.Scale(plan, peak))


@family
def power_scheduler(
    steps: int,
    peak: float = 0.02,
    scale: float = 4.6,
    exponent: float = -0.51,
    tokens_per_step: float = 1.0,
    warmup: int | float = 0,
    cooldown: int | float = 0.1,
    floor: float = 0.1,
    *,
    floor_value: float | None = None,
) -> Schedule:
    """Power scheduler (partly reconstructed): min(peak, scale n^exponent), then an exponential decay.

    n = tokens_per_step (t + 1) on the clock of the whole run. With p(t) that minimum: p(w) (t + 1) / w on the
    w = warmup steps, p(t), then p(T - c) floor^u over the last c = cooldown steps. Shen et al. 2024, arXiv
    2408.13359, writes scale = batch * a with a = 4.6, exponent b = -0.51, peak 0.02 and a final decay over 10
    % of the run; the form of warmup and decay is reconstructed.

    >>> power_scheduler(4, 1.0, scale=1.5, exponent=-1.0, cooldown=0).values()
    array([1.   , 0.75 , 0.5  , 0.375])
    """
    steps, peak = check_run(steps, peak)
    check_number("peak", peak, low=1e-300)
    scale = check_number("scale", scale, low=1e-300)
    exponent = check_number("exponent", exponent, low=-1000.0, high=0.0)
    tokens = check_number("tokens_per_step", tokens_per_step, low=1e-300)
    floor = check_number("floor", floor, low=SMALLEST_FLOOR, high=1.0)
    phases = Phases.of(steps, warmup=warmup, cooldown=cooldown)
    w, c = phases.lengths
    height = math.log(scale) - math.log(peak) + exponent * math.log(tokens)
    if height > HIGHEST:
        raise InputError(f" = {brief(scale)} lifts the first value to e^{height:.4g} peaks; make it smaller.", "scale")
    factor = math.exp(height)
    law = nodes.Piece(steps, "power-law", n=1, offset=1, parameters=(exponent,))
    whole = nodes.Clip(nodes.Scale(law, factor), 0.0, 1.0)
    after_warmup, before_cooldown = whole.at(np.array([min(w, steps - 1), min(steps - c, steps - 1)]))
    rise, final = nodes.ramp(w), Decline.of("exponential", floor, {}).plan(c)
    plan = nodes.chain(
        None if rise is None else nodes.Scale(rise, float(after_warmup)),
        nodes.window(whole, w, steps - w - c),
        None if final is None else nodes.Scale(final, float(before_cooldown)),
    )
    arguments = {
        "steps": steps,
        "peak": peak,
        "scale": scale,
        "exponent": exponent,
        "tokens_per_step": tokens,
    }
    arguments |= {**phases.given, "floor": floor}
    return Schedule("power_scheduler", arguments, nodes.Scale(plan, peak))
