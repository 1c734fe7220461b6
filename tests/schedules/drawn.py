"""Schedules drawn at random: every family with its own parameters, and expressions of them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st

import simlab.schedules as sl
from simlab.schedules import Schedule

settings.register_profile("schedules", derandomize=True, deadline=None, max_examples=150)
FAST = settings.get_profile("schedules")

MARKS = [
    # Floors are drawn from all of [0, 1], learning rates among them.
    pytest.mark.filterwarnings("ignore:floor = .* is a fraction of the peak:UserWarning"),
    pytest.mark.usefixtures("floating_point_errors"),
]
"""Of every module that draws schedules."""


def phases(draw: st.DrawFn, steps: int, *names: str) -> dict[str, int | float]:
    """Phases that fit into the run together: all in steps, or all as fractions."""
    cuts = sorted(draw(st.lists(st.floats(0.0, 1.0), min_size=len(names), max_size=len(names))))
    shares = np.diff([0.0, *cuts])
    if draw(st.booleans()):
        return {name: int(share * steps) for name, share in zip(names, shares, strict=True)}
    return {name: float(share) for name, share in zip(names, shares, strict=True)}


floors = st.one_of(st.just(0.0), st.floats(0.0, 1.0))
positive_floors = st.floats(1e-6, 1.0)
SHAPE_PARAMETERS: dict[str, Any] = {
    "power": lambda draw: {"power": draw(st.floats(0.1, 5.0))},
    "rex": lambda draw: {"alpha": draw(st.floats(0.0, 0.99))},
    "lowered-linear": lambda draw: {"factor": draw(st.floats(0.3, 1.0))},
}


def shape(draw: st.DrawFn, name: str = "shape") -> dict[str, Any]:
    """A cooldown shape with its parameters (piecewise apart: its knots must be a step apart)."""
    kind = draw(st.sampled_from(sorted(set(sl.cooldown_shapes()) - {"piecewise"})))
    low = 1e-6 if kind in ("exponential", "inverse-proportional") else 0.0
    own = SHAPE_PARAMETERS.get(kind, lambda draw: {})(draw)
    floor = draw(st.one_of(st.none(), st.floats(low, own.get("factor", 1.0))))
    return {name: kind, "floor": floor, **own}


def budgets(draw: st.DrawFn, steps: int) -> dict[str, Any]:
    places = sorted(draw(st.sets(st.integers(1, steps), max_size=3)))
    return {"budgets": places, "cooldown": draw(st.floats(0.0, 1.0)), **shape(draw)}


def drops(draw: st.DrawFn, steps: int) -> dict[str, Any]:
    w = draw(st.integers(0, steps))
    places = sorted(draw(st.lists(st.integers(w, steps), max_size=4)))
    return {"warmup": w, "drops": places, "factor": draw(st.floats(0.0, 1.0))}


def spectrum(draw: st.DrawFn, steps: int) -> dict[str, Any]:
    eigenvalues = draw(st.lists(st.floats(1e-3, 1e3), min_size=1, max_size=12))
    return {"eigenvalues": eigenvalues, "base": draw(st.floats(1.1, 4.0)), **phases(draw, steps, "warmup")}


def cycle(draw: st.DrawFn, steps: int) -> dict[str, Any]:
    half = draw(st.one_of(st.integers(1, 300), st.floats(0.0, 1.0)))
    return {"half_cycle": half, "floor": draw(floors)}


def infinite(draw: st.DrawFn, steps: int) -> dict[str, Any]:
    plateau = draw(st.floats(1e-3, 1.0))
    low = draw(st.floats(1e-6, plateau))
    return {**phases(draw, steps, "warmup", "cooldown", "anneal"), "plateau": plateau, "floor": low}


def knots(draw: st.DrawFn, steps: int) -> dict[str, Any]:
    places = sorted(draw(st.sets(st.integers(0, steps), min_size=1, max_size=5)))
    return {"knots": [(place, draw(st.floats(0.0, 1.0))) for place in places]}


def warm(draw: st.DrawFn, steps: int, **own: st.SearchStrategy[Any]) -> dict[str, Any]:
    return {**phases(draw, steps, "warmup"), **{name: draw(strategy) for name, strategy in own.items()}}


DRAWS: dict[str, Any] = {
    "constant": warm,
    "cosine": lambda d, n: warm(d, n, floor=floors),
    "eigencurve": spectrum,
    "exp_range": lambda d, n: {**cycle(d, n), "gamma": d(st.floats(0.5, 1.0))},
    "exponential": lambda d, n: warm(d, n, floor=positive_floors),
    "infinite": infinite,
    "inverse_sqrt": warm,
    "inverse_time": lambda d, n: warm(d, n, decay=st.floats(0.0, 10.0), power=st.sampled_from([0.5, 1.0, 2.5])),
    "linear": lambda d, n: warm(d, n, floor=floors),
    "linear_to_zero": warm,
    "multi_step": drops,
    "noam": lambda d, n: warm(d, n, width=st.integers(1, 4096), factor=st.floats(0.0, 3.0)),
    "one_cycle": lambda d, n: {**phases(d, n, "up", "down"), "floor": d(floors), "final": d(floors)},
    "piecewise": knots,
    "polynomial": lambda d, n: warm(d, n, floor=floors, power=st.floats(0.1, 5.0)),
    "power_scheduler": lambda d, n: {
        **phases(d, n, "warmup", "cooldown"),
        "scale": d(st.floats(0.01, 10.0)),
        "exponent": d(st.floats(-2.0, 0.0)),
        "floor": d(positive_floors),
    },
    "range_test": lambda d, n: {"floor": d(positive_floors), "curve": d(st.sampled_from(["exponential", "linear"]))},
    "rex": lambda d, n: warm(d, n, floor=floors, alpha=st.floats(0.0, 0.99)),
    "sampled": lambda d, n: {
        **warm(d, n, rate=st.sampled_from(["every", 1, 3, 1000, "50-75", "33-66", "25-50-75", "30-60-90"])),
        **shape(d, "profile"),
    },
    "sgdr": lambda d, n: warm(
        d,
        n,
        floor=floors,
        period=st.one_of(st.integers(1, 300), st.floats(0.0, 1.0)),
        multiplier=st.integers(1, 3),
    ),
    "scale_invariant": lambda d, n: {
        "lr": d(st.floats(1e-3, 1.0)),
        "gradient_norm": d(st.floats(1e-2, 10.0)),
        "norm": d(st.floats(0.1, 10.0)),
        "weight_decay": d(st.one_of(st.just(0.0), st.floats(0.0, 0.5))),
    },
    "sigmoid": lambda d, n: warm(d, n, floor=floors, middle=st.floats(0.0, 1.0), steepness=st.floats(-50.0, 50.0)),
    "sine": lambda d, n: {**cycle(d, n), "factor": d(st.floats(0.0, 1.0)), "gamma": d(st.floats(0.5, 1.0))},
    "step": drops,
    "step_decay": lambda d, n: warm(d, n, stages=st.one_of(st.none(), st.integers(1, n)), factor=st.floats(0.0, 1.0)),
    "tail_geometric": lambda d, n: {**phases(d, n, "hold", "warmup"), "factor": d(st.floats(0.0, 1.0))},
    "tail_polynomial": lambda d, n: {**phases(d, n, "hold", "warmup"), "power": d(st.floats(0.0, 1.0))},
    "torch_one_cycle": lambda d, n: {
        "pct_start": d(st.floats(0.0, 1.0)),
        "anneal_strategy": d(st.sampled_from(["cos", "linear"])),
        "div_factor": d(st.floats(1.0, 100.0)),
        "final_div_factor": d(st.floats(1.0, 1e5)),
        "three_phase": d(st.booleans()),
    },
    "trapezoid": lambda d, n: phases(d, n, "warmup", "cooldown"),
    "triangular": cycle,
    "triangular2": cycle,
    "uba": lambda d, n: warm(d, n, floor=floors, phi=st.floats(0.01, 100.0)),
    "wsd": lambda d, n: {**phases(d, n, "warmup", "cooldown"), **shape(d)},
    "wsd_s": budgets,
    "wsdc": lambda d, n: {**phases(d, n, "warmup", "cooldown", "hold"), "floor": d(floors)},
}
WITHOUT_PEAK = ("noam", "scale_invariant")


@st.composite
def calls(draw: st.DrawFn, longest: int = 150) -> tuple[str, int, dict[str, Any]]:
    """A family, a length and parameters."""
    kind = draw(st.sampled_from(sorted(DRAWS)))
    steps = draw(st.one_of(st.integers(1, 4), st.integers(1, longest)))
    parameters = DRAWS[kind](draw, steps)
    if kind not in WITHOUT_PEAK:
        parameters["peak"] = draw(st.floats(1e-6, 100.0))
    return kind, steps, parameters


@st.composite
def schedules(draw: st.DrawFn) -> Schedule:
    kind, steps, parameters = draw(calls())
    return sl.make(kind, steps, **parameters)


KINDS = ["none", "scale", "divide", "product", "sum", "join", "slice", "repeat", "clip", "warmed"]


@st.composite
def expressions(draw: st.DrawFn, depth: int = 2) -> Schedule:
    """Schedules under up to `depth` combinators."""
    if depth == 0:
        leaf = st.lists(st.floats(0.0, 10.0), min_size=1, max_size=20).map(sl.from_array)
        return draw(st.one_of(schedules(), leaf))
    inner = draw(expressions(depth=depth - 1))
    kind = draw(st.sampled_from(KINDS))
    match kind:
        case "scale":
            return draw(st.floats(0.0, 10.0)) * inner
        case "divide":
            return inner / draw(st.floats(0.1, 10.0))
        case "product":
            return inner * (sl.linear(len(inner), 1.0) * draw(st.floats(0.0, 2.0)))
        case "sum":
            other = draw(st.sampled_from([0.25, sl.cosine(len(inner), 0.5), sl.wsd(len(inner), 0.5).clip(0.1, 0.4)]))
            return inner + other if draw(st.booleans()) else other + inner
        case "join":
            return sl.join(inner, draw(expressions(depth=0)))
        case "slice":
            start = draw(st.integers(0, len(inner) - 1))
            return inner[start : draw(st.integers(start + 1, len(inner)))]
        case "repeat":
            return inner.repeat(draw(st.integers(1, 3)))
        case "clip":
            low = draw(st.floats(0.0, 1.0))
            return inner.clip(low, draw(st.one_of(st.none(), st.floats(low, 2.0))))
        case "warmed":
            return inner.warmed(draw(st.integers(0, len(inner))), draw(st.one_of(st.none(), st.floats(0.0, 2.0))))
    return inner


LONG: dict[str, dict[str, Any]] = {
    "eigencurve": {"eigenvalues": np.arange(1, 200) ** -1.5},
    "inverse_time": {"decay": 1e-3},
    "piecewise": {"knots": ((0, 0.0), (0.3, 1.0), (1.0, 0.1))},
    "scale_invariant": {"lr": 0.1, "gradient_norm": 0.1, "weight_decay": 1e-3},
    "sgdr": {"period": 1001},
    "wsd_s": {"floor": 0.01},
}


def nest(levels: int) -> Schedule:
    """Combinators of combinators, so deep."""
    s = sl.constant(3, 0.1)
    for _ in range(levels):
        s = sl.join(s, sl.constant(1, 0.1))[:3]  # two combinators
        if s.depth >= levels:
            return s
    return s
