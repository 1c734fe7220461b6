"""Schedules: formulas against independently written scalars, and properties of every registered family."""

from __future__ import annotations

import copy
import doctest
import importlib
import inspect
import json
import math
import pickle
import pkgutil
import subprocess
import sys
import warnings
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import simlab.schedules as sl
from simlab.errors import InputError
from simlab.schedules import Schedule

settings.register_profile("schedules", derandomize=True, deadline=None, max_examples=150)
FAST = settings.get_profile("schedules")


# Floors are drawn from all of [0, 1], learning rates among them.
pytestmark = pytest.mark.filterwarnings("ignore:floor = .* is a fraction of the peak:UserWarning")


@pytest.fixture(autouse=True)
def _floating_point_errors_raise():
    with np.errstate(all="raise", under="ignore"):
        yield


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


# Every family -----------------------------------------------------------------------------------------------


def test_every_family_is_drawn() -> None:
    assert set(DRAWS) == set(sl.named())
    assert all(name in sl.__all__ and getattr(sl, name) for name in sl.named())
    assert all(line.endswith(".") for line in sl.named().values())


def test_first_arguments_are_steps_and_peak() -> None:
    for name in sl.named():
        names = list(inspect.signature(getattr(sl, name)).parameters)
        assert names[0] == "steps"
        assert names[1] == "peak" or name in WITHOUT_PEAK


@settings(FAST, max_examples=400)
@given(calls())
def test_length_range_and_peak(call: tuple[str, int, dict[str, Any]]) -> None:
    kind, steps, parameters = call
    s = sl.make(kind, steps, **parameters)
    values = s.values()
    assert len(s) == s.length == steps == values.size
    assert values.dtype == np.float64
    assert np.all(np.isfinite(values))
    assert values.min() >= 0.0
    assert s.peak() == values.max()
    assert s.total() == pytest.approx(math.fsum(values), rel=1e-14)
    if "peak" in parameters:
        assert s.peak() <= parameters["peak"]
    if kind in (
        "trapezoid",
        "linear",
        "cosine",
        "constant",
        "rex",
        "polynomial",
        "inverse_sqrt",
        "exponential",
    ):
        assert s.peak() == parameters["peak"]


@settings(FAST, max_examples=300)
@given(expressions(), st.data())
def test_values_do_not_depend_on_chunks(s: Schedule, data: st.DataObject) -> None:
    whole = s.values()
    cuts = sorted(data.draw(st.lists(st.integers(0, len(s)), max_size=5)))
    parts = [s.values(a, b) for a, b in zip([0, *cuts], [*cuts, len(s)], strict=True)]
    assert np.concatenate(parts).tobytes() == whole.tobytes()
    order = np.array(data.draw(st.lists(st.integers(0, len(s) - 1), min_size=1, max_size=10)))
    assert s(order).tobytes() == whole[order].tobytes()
    assert s(int(order[0])) == whole[order[0]]
    assert list(s) == whole.tolist()
    assert np.asarray(s).tobytes() == whole.tobytes()


LONG: dict[str, dict[str, Any]] = {
    "eigencurve": {"eigenvalues": np.arange(1, 200) ** -1.5},
    "inverse_time": {"decay": 1e-3},
    "piecewise": {"knots": ((0, 0.0), (0.3, 1.0), (1.0, 0.1))},
    "scale_invariant": {"lr": 0.1, "gradient_norm": 0.1, "weight_decay": 1e-3},
    "sgdr": {"period": 1001},
    "wsd_s": {"floor": 0.01},
}


@pytest.mark.parametrize("kind", sorted(DRAWS))
def test_long_runs_give_the_same_bits_in_any_chunks(kind: str) -> None:
    steps = 150_001
    peak = {} if kind in WITHOUT_PEAK else {"peak": 0.3}
    s = sl.make(kind, steps, **peak, **LONG.get(kind, {}))
    whole = s.values()
    for size in (1, 3, 17, 1000, 65_536, 70_001):
        start = steps - 200_000 % steps - 40 * size if size < 1000 else 0
        starts = range(start, min(start + 40 * size, steps), size)
        parts = [s.values(a, min(a + size, steps)) for a in starts]
        assert np.concatenate(parts).tobytes() == whole[start : start + 40 * size].tobytes()


@settings(FAST, max_examples=300)
@given(expressions())
def test_record_round_trips(s: Schedule) -> None:
    rebuilt = [
        eval(repr(s), dict(vars(sl))),
        sl.from_dict(json.loads(json.dumps(s.to_dict()))),
        pickle.loads(pickle.dumps(s)),
    ]
    for other in rebuilt:
        assert other == s
        assert hash(other) == hash(s)
        assert repr(other) == repr(s)
        assert other.values().tobytes() == s.values().tobytes()
    assert s.to_dict() == {"kind": s.kind, **s.parameters}


@settings(FAST)
@given(calls(), st.integers(-20, 20), st.floats(1e-3, 1e3))
def test_values_scale_with_the_peak(call: tuple[str, int, dict[str, Any]], exponent: int, factor: float) -> None:
    kind, steps, parameters = call
    if kind in (*WITHOUT_PEAK, "power_scheduler"):  # the peak caps it, it does not scale it
        return
    peak = parameters.pop("peak")
    s = sl.make(kind, steps, peak=peak, **parameters)
    doubled = sl.make(kind, steps, peak=peak * 2.0**exponent, **parameters)
    # Powers of two scale exactly, but for subnormal values.
    np.testing.assert_allclose(doubled.values(), s.values() * 2.0**exponent, rtol=0.0, atol=1e-300)
    scaled = sl.make(kind, steps, peak=peak * factor, **parameters)
    np.testing.assert_allclose(scaled.values(), (s * factor).values(), rtol=1e-14, atol=1e-300)


@settings(FAST)
@given(st.integers(1, 100), st.floats(0.01, 10.0), st.data())
def test_wsd_is_continuous_where_its_phases_meet(steps: int, peak: float, data: st.DataObject) -> None:
    w = data.draw(st.integers(0, steps))
    c = data.draw(st.integers(0, steps - w))
    kind = data.draw(st.sampled_from(sorted(set(sl.cooldown_shapes()) - {"lowered-linear", "piecewise"})))
    s = sl.wsd(steps, peak, warmup=w, cooldown=c, shape=kind)
    if w:
        assert s(w - 1) == peak
        np.testing.assert_allclose(s.values(0, w), peak * np.arange(1, w + 1) / w, rtol=1e-14)
    if w + c < steps:
        assert np.all(s.values(w, steps - c) == peak)
    if c:
        assert s(steps - c) == peak
        assert np.all(np.diff(s.values(steps - c)) < 0.0)
    assert s(steps - 1) > 0.0  # no step is spent at zero


@pytest.mark.parametrize("kind", sorted(DRAWS))
def test_one_step(kind: str) -> None:
    peak = {} if kind in WITHOUT_PEAK else {"peak": 0.3}
    s = sl.make(kind, 1, **peak, **{**LONG.get(kind, {}), **({"knots": [(0, 1.0)]} if kind == "piecewise" else {})})
    assert s.values().shape == (1,)


# Formulas ---------------------------------------------------------------------------------------------------


def rise_then(w: int, profile: Any) -> Any:
    """Warmup over w steps, then profile(j)."""
    return lambda t: (t + 1) / w if t < w else profile(t - w)


def cos01(u: float) -> float:
    return (1.0 + math.cos(math.pi * u)) / 2.0


def cooldown(start: int, length: int, profile: Any) -> Any:
    return lambda t: 1.0 if t < start else profile((t - start) / length)


def clr(t: int, s: int) -> tuple[float, int]:
    """Smith's code: the position in the cycle, and the number of the cycle."""
    cycle = math.floor(1 + t / (2 * s))
    return max(0.0, 1.0 - abs(t / s - 2 * cycle + 1)), cycle


def restarts(t: int, period: int, multiplier: int) -> float:
    while t >= period:
        t, period = t - period, period * multiplier
    return cos01(t / period)


def eigencurve_by_steps(eigenvalues: list[float], steps: int) -> list[float]:
    """The denominator grows by mu 2^i with each step spent in stage i."""
    mu, largest = min(eigenvalues), max(eigenvalues)
    counts: dict[int, int] = {}
    for value in eigenvalues:
        i = 0
        while value >= mu * 2.0 ** (i + 1):
            i += 1
        counts[i] = counts.get(i, 0) + 1
    total = sum(math.sqrt(n) for n in counts.values())
    rates, reached = [], 0.0
    for i in sorted(counts):
        reached += math.sqrt(counts[i]) / total * steps
        rates += [mu * 2.0**i] * (round(reached) - len(rates))
    denominators = [largest]
    for rate in rates[:-1]:
        denominators.append(denominators[-1] + rate)
    return [1.0 / denominator for denominator in denominators]


def geometric_tail(t: int) -> float:
    s, n = 50, 100
    block = int((n - s) / math.log(n - s))
    lr = 1.0
    for k in range(1, t + 1):
        if k > s and (k - s) % block == 0:
            lr *= 0.5
    return lr


def step_stages(t: int, steps: int, stages: int) -> float:
    return 0.5 ** max(k for k in range(stages) if t >= k * steps / stages)


def power_law(t: int) -> float:
    def p(k: int) -> float:
        return min(0.5, 3.0 * (2.0 * (k + 1)) ** -0.7)

    if t < 10:
        return p(10) * (t + 1) / 10
    return p(t) if t < 80 else p(80) * 0.2 ** ((t - 80) / 20)


SPECTRUM = [(i + 1.0) ** -1.3 for i in range(40)]


def weights_of_no_scale(t: int, lr: float, gradient: float, decay: float) -> float:
    """The rate in effect by its recursion |w|^2 <- (1 - lr wd)^2 |w|^2 + (lr G)^2 / |w|^2, from |w| = 1."""
    squared = 1.0
    for _ in range(t):
        squared = (1.0 - lr * decay) ** 2 * squared + (lr * gradient) ** 2 / squared
    return lr / squared


def torch_anneal(t: int, steps: int, three: bool, linear: bool) -> float:
    """OneCycleLR of PyTorch as its documentation words it: 25, 1e4, 30 % of the steps upwards."""
    ends = [0.3 * steps - 1, *([2 * 0.3 * steps - 2] if three else []), steps - 1]
    levels = [1 / 25, 1.0, *([1 / 25] if three else []), 1 / 25 / 1e4]
    k = next(k for k, end in enumerate(ends) if t <= end or k == len(ends) - 1)
    begin = ends[k - 1] if k else 0.0
    u = (t - begin) / (ends[k] - begin)
    return levels[k + 1] + (levels[k] - levels[k + 1]) * ((1 - u) if linear else cos01(u))


T = 100
FORMULAS: list[tuple[Schedule, Any]] = [
    (sl.constant(T, 1.0, warmup=7), rise_then(7, lambda j: 1.0)),
    (sl.linear(T, 1.0, floor=0.1, warmup=5), rise_then(5, lambda j: 0.1 + 0.9 * (1 - j / 95))),
    (sl.linear_to_zero(T, 1.0, warmup=0.1), rise_then(10, lambda j: 1 - j / 90)),
    (sl.cosine(T, 1.0, floor=0.1, warmup=5), rise_then(5, lambda j: 0.1 + 0.9 * cos01(j / 95))),
    (sl.polynomial(T, 1.0, power=1.5), lambda t: (1 - t / T) ** 1.5),
    (sl.exponential(T, 1.0, floor=0.02), lambda t: 0.02 ** (t / T)),
    (sl.rex(T, 1.0), lambda t: (1 - t / T) / (0.5 * (1 - t / T) + 0.5)),
    (sl.rex(T, 1.0, alpha=0.9), lambda t: (1 - t / T) / (1 - 0.9 * t / T)),
    (sl.inverse_sqrt(T, 1.0, warmup=8), lambda t: min((t + 1) / 8, math.sqrt(8 / (t + 1)))),
    (sl.inverse_sqrt(T, 1.0), lambda t: 1 / math.sqrt(t + 1)),
    (sl.noam(T, 64, warmup=9, factor=2.0), lambda t: 2 / 8 * min((t + 1) ** -0.5, (t + 1) * 9**-1.5)),
    (sl.inverse_time(T, 1.0, decay=0.2, warmup=3), rise_then(3, lambda j: 1 / (1 + 0.2 * j))),
    (sl.inverse_time(T, 1.0, decay=0.2, power=0.75), lambda t: (1 + 0.2 * t) ** -0.75),
    (sl.sigmoid(T, 1.0, middle=0.4, steepness=8.0, floor=0.1), lambda t: 0.1 + 0.9 / (1 + math.exp(8 * (t / T - 0.4)))),
    (sl.uba(T, 1.0, phi=0.5), lambda t: 2 * cos01(t / T) / (0.5 + 1.5 * cos01(t / T))),
    (sl.range_test(T, 1.0, floor=1e-3), lambda t: 1e-3 ** (1 - (t + 1) / T)),
    (sl.range_test(T, 1.0, floor=0.2, curve="linear"), lambda t: 0.2 + 0.8 * (t + 1) / T),
    (sl.sine(T, 1.0, half_cycle=12, floor=0.1), lambda t: 0.1 + 0.9 * abs(math.sin(math.pi * t / 24))),
    (
        sl.sine(T, 1.0, half_cycle=12, factor=0.5, gamma=0.99),
        lambda t: abs(math.sin(math.pi * t / 24)) * 0.5 ** (t // 24) * 0.99**t,
    ),
    (sl.scale_invariant(T, 0.1, gradient_norm=3.0, norm=2.0), lambda t: 0.1 / math.sqrt(16 + 2 * 0.09 * t)),
    (sl.torch_one_cycle(T, 1.0), lambda t: torch_anneal(t, T, three=False, linear=False)),
    (
        sl.torch_one_cycle(97, 1.0, anneal_strategy="linear", three_phase=True),
        lambda t: torch_anneal(t, 97, three=True, linear=True),
    ),
    (sl.step(T, 1.0), lambda t: 0.1 ** sum(t >= k for k in (30, 60, 90))),
    (sl.step(T, 8.0, drops=(20, 0.5), factor=2.0), lambda t: 8 * 2 ** sum(t >= k for k in (20, 50))),
    (sl.multi_step(T, 1.0), lambda t: 10.0 ** (-0.5 * sum(t >= k for k in (80, 90)))),
    (sl.step_decay(T, 1.0), lambda t: step_stages(t, T, 6)),
    (sl.step_decay(T, 1.0, stages=7), lambda t: step_stages(t, T, 7)),
    (sl.tail_geometric(T, 1.0), geometric_tail),
    (sl.tail_polynomial(T, 1.0, power=0.5), lambda t: 1.0 if t < 50 else (t - 49) ** -0.5),
    (sl.wsd(T, 1.0, warmup=5, cooldown=20), lambda t: min((t + 1) / 5, 1.0, (T - t) / 20)),
    (sl.trapezoid(T, 1.0, warmup=5, cooldown=20), lambda t: min((t + 1) / 5, 1.0, (T - t) / 20)),
    (sl.wsd(T, 1.0, shape="cosine", floor=0.1), cooldown(80, 20, lambda u: 0.1 + 0.9 * cos01(u))),
    (sl.wsd(T, 1.0, shape="mirror cosine"), cooldown(80, 20, lambda u: 2 * (1 - u) - cos01(u))),
    (sl.wsd(T, 1.0, shape="1-sqrt"), cooldown(80, 20, lambda u: 1 - math.sqrt(u))),
    (sl.wsd(T, 1.0, shape="square"), cooldown(80, 20, lambda u: 1 - u * u)),
    (sl.wsd(T, 1.0, shape="power", power=3), cooldown(80, 20, lambda u: (1 - u) ** 3)),
    (sl.wsd(T, 1.0, shape="exponential", floor=0.05), cooldown(80, 20, lambda u: 0.05**u)),
    (sl.wsd(T, 1.0, shape="inverse_proportional"), cooldown(80, 20, lambda u: 1 / (u / 0.1 + 1 - u))),
    (sl.wsd(T, 1.0, shape="lowered-linear"), cooldown(80, 20, lambda u: 0.7 * (1 - u))),
    (
        sl.wsd(T, 1.0, shape="lowered-linear", factor=0.5, floor=0.1),
        cooldown(80, 20, lambda u: 0.5 * (1 - u) + 0.1 * u),
    ),
    (sl.wsd(T, 1.0, shape="uba", phi=3), cooldown(80, 20, lambda u: 2 * cos01(u) / (3 - cos01(u)))),
    (sl.wsd(T, 1.0, shape="rex", alpha=0.3), cooldown(80, 20, lambda u: (1 - u) / (1 - 0.3 * u))),
    (
        sl.wsd(T, 1.0, shape="piecewise", knots=[(0, 1), (0.5, 0.2), (1, 0)]),
        cooldown(80, 20, lambda u: 1 - 1.6 * u if u < 0.5 else 0.4 * (1 - u)),
    ),
    (
        sl.wsd_s(T, 1.0, budgets=[25, 50], cooldown=0.2),
        lambda t: {True: 1.0}.get(
            t < 20 or 25 <= t < 45 or 50 <= t < 90,
            1 / (9 * ((t - 20) / 5 if t < 25 else (t - 45) / 5 if t < 50 else (t - 90) / 10) + 1),
        ),
    ),
    (
        sl.wsdc(T, 1.0, warmup=10, cooldown=20, hold=30, floor=0.2),
        lambda t: (t + 1) / 10 if t < 10 else 1.0 if t < 50 else max(0.2, 1 - 0.8 * (t - 50) / 20),
    ),
    (
        sl.infinite(T, 1.0, warmup=10, cooldown=40, anneal=20, plateau=0.5, floor=0.05),
        lambda t: (
            (t + 1) / 10
            if t < 10
            else 0.5 + 0.5 * cos01((t - 10) / 40)
            if t < 50
            else 0.5 * (0.05 / 0.5) ** max(0.0, (t - 80) / 20)
        ),
    ),
    (
        sl.power_scheduler(T, 0.5, scale=3.0, exponent=-0.7, tokens_per_step=2, warmup=10, cooldown=20, floor=0.2),
        power_law,
    ),
    (
        sl.one_cycle(T, 1.0, up=40, down=40, floor=0.2, final=0.1),
        lambda t: (
            0.2 + 0.8 * t / 40 if t < 40 else 1 - 0.8 * (t - 40) / 40 if t < 80 else 0.2 * (1 - 0.9 * (t - 80) / 20)
        ),
    ),
    (sl.sgdr(T, 1.0, period=10), lambda t: restarts(t, 10, 1)),
    (sl.sgdr(T, 1.0, period=7, multiplier=2, floor=0.1), lambda t: 0.1 + 0.9 * restarts(t, 7, 2)),
    (sl.triangular(T, 6.0, half_cycle=15), lambda t: 1 + 5 * clr(t, 15)[0]),
    (sl.triangular2(T, 6.0, half_cycle=9), lambda t: 1 + 5 * clr(t, 9)[0] / 2 ** (clr(t, 9)[1] - 1)),
    (sl.exp_range(T, 6.0, half_cycle=9, gamma=0.97), lambda t: 1 + 5 * clr(t, 9)[0] * 0.97**t),
    (sl.eigencurve(T, eigenvalues=SPECTRUM), lambda t: eigencurve_by_steps(SPECTRUM, T)[t]),
    (sl.piecewise(T, 2.0, knots=[(10, 0.5), (0.5, 1.0)]), lambda t: 1 + min(max(t - 10, 0), 40) / 40),
    (sl.sampled(T, 1.0, "cosine", rate=7), lambda t: cos01((t - t % 7) / T)),
    (
        sl.sampled(T, 1.0, "rex", rate="33-66"),
        lambda t: {0: 1.0, 1: 0.67 / 0.835, 2: 0.34 / 0.67}[min(t // 33, 2)],
    ),
    (sl.sampled(T, 1.0, rate="every"), lambda t: 1 - t / T),
]


@pytest.mark.parametrize(("s", "formula"), FORMULAS, ids=[repr(s)[:60] for s, _ in FORMULAS])
def test_formula(s: Schedule, formula: Any) -> None:
    expected = [formula(t) for t in range(len(s))]
    np.testing.assert_allclose(s.values(), expected, rtol=1e-12, atol=1e-15)


def test_every_family_and_shape_has_a_formula() -> None:
    assert {s.kind for s, _ in FORMULAS} == set(sl.named())
    assert {s.parameters["shape"] for s, _ in FORMULAS if s.kind == "wsd"} == set(sl.cooldown_shapes())


def test_a_floor_as_a_learning_rate_is_a_fraction_of_the_peak() -> None:
    declared = [name for name in sl.named() if "floor_value" in inspect.signature(getattr(sl, name)).parameters]
    assert declared == [name for name in sl.named() if "floor" in inspect.signature(getattr(sl, name)).parameters]
    for name in declared:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            s = sl.make(name, 50, peak=3e-4, floor_value=3e-5)
        assert s == sl.make(name, 50, peak=3e-4, floor=3e-5 / 3e-4)
    assert sl.cosine(9, 0.0, floor_value=0.0) == sl.cosine(9, 0.0)
    assert sl.wsd(10**6, 0.3, shape="cosine", floor_value=0.03)(10**6 - 1) == pytest.approx(0.03, rel=1e-9)
    with pytest.raises(InputError, match=r"floor_value = 0.4 is outside \[0, 0.3\]; give a learning rate of at most"):
        sl.cosine(9, 0.3, floor_value=0.4)
    with pytest.raises(InputError, match="floor and floor_value are both given"):
        sl.cosine(9, 0.3, 0.1, floor_value=0.1)
    with pytest.raises(InputError, match="argument of constant: 'floor_value' is not known"):
        sl.make("constant", 9, peak=0.3, floor_value=0.1)


@pytest.mark.parametrize("decay", [0.0, 0.01, 0.3])
@pytest.mark.parametrize("gradient", [0.05, 1.0])
def test_weights_of_no_scale_follow_their_recursion(gradient: float, decay: float) -> None:
    steps, lr = 3000, 0.05
    recursion = np.array([weights_of_no_scale(t, lr, gradient, decay) for t in range(0, steps, 100)])
    s = sl.scale_invariant(steps, lr, gradient, weight_decay=decay)
    off = np.abs(s.values()[::100] / recursion - 1.0)
    assert off[0] < 1e-15
    assert off.max() < 0.1 * (lr * gradient) ** 2 + 0.3 * lr * decay
    if decay == 0.0:  # as the docstring says
        q, t = (lr * gradient) ** 2, np.arange(0, steps, 100)
        np.testing.assert_allclose(off, q * np.log1p(2 * q * t) / (4 + 8 * q * t), rtol=0.01, atol=1e-14)
    elif steps * lr * decay > 20:
        assert off[-1] < 1e-12
        assert s(steps - 1) == pytest.approx(math.sqrt(1 - (1 - lr * decay) ** 2) / gradient, rel=1e-12)


def test_steep_profiles_have_closed_sums_too() -> None:
    n = 400_001
    for s in (
        sl.sigmoid(n, 0.1, steepness=500.0),
        sl.scale_invariant(n, 0.05, 0.01, weight_decay=0.01),
        sl.uba(n, 0.1, phi=1e-4),
        sl.sine(n, 0.1, half_cycle=777, factor=0.9, gamma=1 - 1e-6),
        sl.torch_one_cycle(n, 0.1, pct_start=0.123457, three_phase=True),
        sl.cosine(n, 0.1, warmup=0.1).warmed(0.1, 0.3),
    ):
        assert s.total() == pytest.approx(math.fsum(s.values()), rel=2e-14), s


def test_decays_keep_relative_accuracy_at_the_end() -> None:
    mpmath = pytest.importorskip("mpmath")
    n = 10**6
    u = 1 - mpmath.mpf(1) / n
    exact = {"cosine": (1 + mpmath.cos(mpmath.pi * u)) / 2, "1-sqrt": 1 - mpmath.sqrt(u), "square": 1 - u**2}
    for shape, value in exact.items():
        mpmath.mp.dps = 40
        assert sl.wsd(n, 1.0, cooldown=n, shape=shape)(n - 1) == pytest.approx(float(value), rel=1e-9)
    assert sl.linear(n, 1.0)(n - 1) == 1e-6


# The algebra ------------------------------------------------------------------------------------------------


def test_combinators_compute_what_numpy_computes() -> None:
    a, b = sl.cosine(10, 0.3), sl.linear(10, 2.0)
    x, y = a.values(), b.values()
    assert np.array_equal((a * 3).values(), x * 3)
    assert np.array_equal((3 * a).values(), x * 3)
    assert np.array_equal((np.float64(3) * a).values(), x * 3)
    np.testing.assert_allclose((a / 3).values(), x / 3, rtol=1e-15)
    assert np.array_equal((a * b).values(), x * y)
    assert np.array_equal((a + b).values(), x + y)
    assert np.array_equal((0.5 + a).values(), x + 0.5)
    assert (a + b).total() == pytest.approx(a.total() + b.total(), rel=1e-15)
    assert (a + b).peak() == pytest.approx((x + y).max(), rel=1e-15)
    assert np.array_equal(sl.join(a, b).values(), np.concatenate([x, y]))
    assert np.array_equal(a[2:7].values(), x[2:7])
    assert np.array_equal(a[-3:].values(), x[-3:])
    assert np.array_equal(a.slice(1).values(), x[1:])
    assert np.array_equal(a.repeat(3).values(), np.tile(x, 3))
    assert np.array_equal(a.clip(0.05, 0.2).values(), np.clip(x, 0.05, 0.2))
    assert np.array_equal(a.clip(0.05).values(), np.maximum(x, 0.05))
    assert sl.repeat(a, 3) == a.repeat(3)
    assert sl.clip(a, 0.05, 0.2) == a.clip(0.05, 0.2)


def test_warmed_replaces_the_first_steps() -> None:
    s = sl.cosine(10, 0.3)
    warm = s.warmed(4)
    assert len(warm) == 10
    np.testing.assert_allclose(warm.values(0, 4), s(4) * np.array([0.25, 0.5, 0.75, 1.0]), rtol=1e-15)
    assert np.array_equal(warm.values(4), s.values(4))
    from_value = sl.cosine(10, 0.3, warmup=4).warmed(4, 0.1)
    np.testing.assert_allclose(from_value.values(0, 5), [0.1, 0.15, 0.2, 0.25, 0.3], rtol=1e-15)
    assert np.array_equal(from_value.values(4), sl.cosine(10, 0.3, warmup=4).values(4))
    np.testing.assert_allclose(sl.constant(4, 0.1).warmed(2, 0.3).values(), [0.3, 0.2, 0.1, 0.1], rtol=1e-15)
    assert np.array_equal(sl.constant(4, 0.1).warmed(2, 0.1).values(), [0.1] * 4)
    assert np.array_equal(s.warmed(0).values(), s.values())
    assert s.warmed(10)(9) == s(9)
    assert np.array_equal(sl.wsd(50, 0.3).warmed(0.1).values(), sl.wsd(50, 0.3, warmup=5).values())


def test_equality_is_that_of_expressions() -> None:
    assert sl.wsd(100, 0.3) == sl.wsd(1e2, peak=0.3, cooldown=0.2, floor=0.0)
    assert sl.wsd(100, 1) == sl.wsd(100, 1.0)
    assert sl.linear(9, 0.3, warmup=1) != sl.linear(9, 0.3, warmup=1.0)  # a step, the whole run
    assert sl.linear(5, 1.0) != sl.linear(5, 2.0)
    assert sl.linear(5, 1.0) != "linear(5, peak=1.0)"
    assert sl.from_array([0.1, 0.2]) == sl.from_array(np.array([0.1, 0.2]))
    assert sl.from_array([0.0]) == sl.from_array([-0.0])
    assert len({sl.cosine(10, 0.1), sl.cosine(10, 0.1), sl.cosine(11, 0.1)}) == 2


def test_repr_of_long_arrays_is_short() -> None:
    values = np.linspace(0.0, 1.0, 1000)
    s = sl.from_array(values)
    assert repr(s).startswith("from_array(<1000 values, sha256 ")
    assert s == sl.from_array(values)
    values[-1] = 2.0
    assert s != sl.from_array(values)
    assert s(999) == 1.0
    assert len(repr(sl.eigencurve(10, eigenvalues=np.ones(100)))) < 100


def test_schedules_are_immutable() -> None:
    s = sl.from_array([0.1, 0.2])
    s.values()[0] = 7.0
    s.parameters["values"][0] = 7.0
    assert s(0) == 0.1
    with pytest.raises(AttributeError):
        s.kind = "other"  # type: ignore[misc]


def test_as_schedule() -> None:
    s = sl.cosine(10, 0.1)
    assert sl.as_schedule(s, 10, "learning_rate") is s
    assert sl.as_schedule(np.float32(0.5), 10, "momentum") == sl.constant(10, 0.5)
    with pytest.raises(InputError, match=r"learning_rate has 10 steps where the run has 11"):
        sl.as_schedule(s, 11, "learning_rate")
    with pytest.raises(InputError, match=r"momentum has 1 steps where the run has 2"):
        sl.as_schedule([0.1], 2, "momentum")
    with pytest.raises(InputError, match=r"momentum = -1 is outside"):
        sl.as_schedule(-1, 1, "momentum")


def test_make_reads_names_in_any_spelling() -> None:
    for kind in ("WSD-S", "wsd_s", "Wsd s"):
        assert sl.make(kind, 100, peak=0.1) == sl.wsd_s(100, 0.1)
    assert sl.wsd(10, 1.0, shape="Mirror_Cosine") == sl.wsd(10, 1.0, shape="mirror-cosine")


def test_fractions_fill_the_run_exactly() -> None:
    for steps in range(1, 40):
        s = sl.wsd(steps, 1.0, warmup=0.5, cooldown=0.5)
        assert len(s) == steps
    assert sl.wsd(100, 1.0, warmup=20.0).values().tobytes() == sl.wsd(100, 1.0, warmup=0.2).values().tobytes()


def test_ten_million_steps_are_walked_in_bounded_memory() -> None:
    s = sl.wsd(10**7, 0.5, cooldown=0.5)
    assert s.peak() == 0.5
    assert s.total() == pytest.approx(0.5 * (5e6 + 2.5e6 + 0.5), rel=1e-12)


def test_import_needs_only_numpy() -> None:
    package = str(Path(sl.__file__).parents[1])
    code = (
        f"import sys, types; p = types.ModuleType('simlab'); p.__path__ = [{package!r}];"
        "sys.modules['simlab'] = p; import simlab.schedules;"
        "print(*{'scipy', 'numba', 'xarray', 'torch', 'jax', 'matplotlib'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


# Files ------------------------------------------------------------------------------------------------------


@settings(FAST, max_examples=40)
@given(expressions())
def test_csv_and_json_round_trips(tmp_path_factory: pytest.TempPathFactory, s: Schedule) -> None:
    folder = tmp_path_factory.mktemp("schedules")
    sl.to_csv(s, folder / "s.csv")
    assert sl.from_csv(folder / "s.csv").values().tobytes() == s.values().tobytes()
    sl.to_json(s, folder / "s.json")
    assert sl.from_json(folder / "s.json") == s


def test_csv_with_gaps_is_interpolated(tmp_path: Any) -> None:
    path = tmp_path / "log.csv"
    path.write_text("loss, Step ,rate\n9,2,0.4\n8,4,0.2\n\n7,8,0.6\n")
    s = sl.from_csv(path, lr_column="rate", step_column="Step")
    np.testing.assert_allclose(s.values(), [0.4, 0.4, 0.4, 0.3, 0.2, 0.3, 0.4, 0.5, 0.6], rtol=1e-15)
    assert s.kind == "piecewise"
    longer = sl.from_csv(path, "rate", "Step", length=11)
    np.testing.assert_allclose(longer.values(8), [0.6, 0.6, 0.6])
    assert np.array_equal(sl.from_csv(path, "rate", "Step", length=6).values(), s.values(0, 6))
    single = tmp_path / "single.csv"
    single.write_text("step,lr\n0,0.5\n")
    assert np.array_equal(sl.from_csv(single, length=3).values(), [0.5, 0.5, 0.5])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("step,loss\n0,1\n", r"has no column 'lr'; its columns are step, loss"),
        ("", r"is empty; give a log with a header and rows"),
        ("step,lr\n", r"has a header and no rows"),
        ("step,lr\n0.5,1\n", r"line 2: step = 0.5; give a whole number of steps"),
        ("step,lr\n,1\n", r"line 2: step = nothing; give a whole number of steps"),
        ("step,lr\n0,0,1\n19,0,05\n", r"line 2 has 3 cells where the first row has 2; write decimals with a point"),
        ("step,lr\n1,0.1\n2,0.1\n3,0.1\n", r"its steps are 1 .. 3; give first_step = 1 if"),
        ("step,lr\n0,0.1\n3e9,0.1\n", r"step reaches 3000000000, a run of more than 100,000,000 steps; give every ="),
        ("step,lr\n0," + "1" * 200_000, r"line 2: field larger than field limit"),
        ("step,lr\n0,\0\n", r"line 2: lr = .*; give a finite number"),
        ("step,lr\n0,\n", r"has no value in its column 'lr'"),
        ("step,lr\n0,nan\n", r"line 2: lr = nan; give a finite number"),
        ("step,lr\n0,-1\n", r"line 2: lr = -1; give a finite number"),
        ("step,lr\n0\n", r"has no value in its column 'lr'"),
        ("step,lr\n0,fast\n", r"line 2: lr = fast; give a finite number"),
    ],
)
def test_csv_refusals(tmp_path: Any, text: str, message: str) -> None:
    path = tmp_path / "bad.csv"
    path.write_text(text)
    with pytest.raises(InputError, match=message):
        sl.from_csv(path)


LOGS: list[tuple[str | bytes, dict[str, Any], list[float]]] = [
    # Lightning: rows of the loss between those of the rate
    ("epoch,lr,step,loss\n,0.4,0,\n0,,1,2.3\n,0.2,2,\n", {}, [0.4, 0.3, 0.2]),
    # Excel: a mark, CRLF, semicolons, decimal commas
    ("\ufeffstep;lr\r\n0;0,4\r\n1;0,2\r\n", {}, [0.4, 0.2]),
    ('"step"\t"lr"\n"0"\t"0,4"\n'.encode("utf-16"), {}, [0.4]),
    # wandb, TensorBoard
    (
        '"Step","r - lr","r - lr__MIN","q - lr"\n"0","0.4","0",""\n"1","0.2","0","1"\n',
        {"lr_column": "r - lr"},
        [0.4, 0.2],
    ),
    ("Wall time,Step,Value\n1.6e9,0,0.4\n1.6e9,1,2e-1\n", {"lr_column": "Value"}, [0.4, 0.2]),
    # tokens, updates counted from 1, stairs, a comma at the end of each line
    ("tokens,lr\n0,0.4\n4096,0.2\n", {"step_column": "tokens", "every": 2048}, [0.4, 0.3, 0.2]),
    ("step,lr\n1,0.4\n2,0.2\n", {"first_step": 1}, [0.4, 0.2]),
    ("step,lr\n1,0.4\n2,0.2\n", {"first_step": 0}, [0.4, 0.4, 0.2]),
    ("step,lr,\n0,0.4,\n3,0.2,\n", {"between": "hold", "length": 5}, [0.4, 0.4, 0.4, 0.2, 0.2]),
]


@pytest.mark.parametrize(("text", "options", "values"), LOGS)
def test_logs_are_read_as_trainers_write_them(tmp_path: Any, text: str | bytes, options: Any, values: Any) -> None:
    path = tmp_path / "log.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    s = sl.from_csv(path, **options)
    np.testing.assert_allclose(s.values(), values, rtol=1e-15)
    assert sl.from_dict(s.to_dict()) == s


def test_later_rows_of_a_resumed_run_win_with_a_notice(tmp_path: Any) -> None:
    path = tmp_path / "log.csv"
    path.write_text("step,lr\n0,0.4\n1,0.3\n2,0.2\n1,0.1\n2,0.1\n")
    with pytest.warns(
        UserWarning, match=r"2 rows name a step that an earlier row names \(the first is line 5\)"
    ) as caught:
        s = sl.from_csv(path)
    assert caught[0].filename == __file__
    assert s.values().tolist() == [0.4, 0.1, 0.1]
    with pytest.raises(InputError, match="is not the name of a file"):
        sl.from_csv("a\0.csv")


def test_files_are_neither_lost_nor_made_up(tmp_path: Any) -> None:
    s = sl.constant(2, 0.1)
    for write in (sl.to_csv, sl.to_json):
        path = tmp_path / "s.txt"
        path.write_text("precious")
        with pytest.raises(InputError, match="exists; choose another name or pass overwrite=True"):
            write(s, path)
        assert path.read_text() == "precious"
        write(s, path, overwrite=True)
        with pytest.raises(InputError, match="is not a folder"):
            write(s, tmp_path / "none" / "s.txt")
    with pytest.raises(InputError, match="cannot be read"):
        sl.from_csv(tmp_path / "missing.csv")
    (tmp_path / "bad.json").write_text("{")
    with pytest.raises(InputError, match="is not JSON"):
        sl.from_json(tmp_path / "bad.json")
    (tmp_path / "bad.bin").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match="is not text in UTF-8"):
        sl.from_csv(tmp_path / "bad.bin")


# Refusals ---------------------------------------------------------------------------------------------------

S = sl.linear(10, 1.0)
REFUSED: list[tuple[Any, str]] = [
    (lambda: sl.linear(0, 1.0), "steps = 0 is out of range"),
    (lambda: sl.linear(2.5, 1.0), "steps = 2.5 is not a whole number"),
    (lambda: sl.linear(True, 1.0), "steps = True is not a whole number"),
    (lambda: sl.linear(10, -1.0), r"peak = -1.0 is outside \[0, inf\)"),
    (lambda: sl.linear(10, math.nan), "peak = nan"),
    (lambda: sl.linear(10, "1"), "peak = '1' is not a number"),
    (lambda: sl.linear(10, 1.0, floor=1.1), r"floor = 1.1 is outside \[0, 1\]"),
    (lambda: sl.linear(10, 1.0, warmup=11), r"warmup = 11 steps do not fit into a run of 10"),
    (lambda: sl.linear(10, 1.0, warmup=1.5), r"warmup = 1.5 is neither"),
    (lambda: sl.linear(10, 1.0, warmup=-0.5), r"warmup = -0.5 is neither"),
    (lambda: sl.linear(10, 1.0, warmup=-5), r"warmup = -5 is out of range"),
    (lambda: sl.linear(10, 1.0, warmup=True), r"warmup = True is not a number"),
    (lambda: sl.linear(10, 1.0, warmup=math.nan), r"warmup = nan is neither"),
    (
        lambda: sl.wsd(10, 1.0, warmup=6, cooldown=5),
        r"warmup \+ cooldown = 6 \+ 5 = 11 steps do not fit into",
    ),
    (lambda: sl.wsd(10, 1.0, warmup=0.6, cooldown=0.6), r"warmup \+ cooldown = 6 \+ 6 = 12 steps do not fit"),
    (lambda: sl.wsd(10, 1.0, shape="linaer"), "shape: 'linaer' is not known; did you mean 'linear'"),
    (lambda: sl.wsd(10, 1.0, shape="power", pwer=2), "'pwer' is not known; did you mean 'power'"),
    (lambda: sl.wsd(10, 1.0, power=2), "power = 2 is not a parameter of shape 'linear'"),
    (lambda: sl.wsd(10, 1.0, shape="power", power=0), "power = 0 is outside"),
    (lambda: sl.wsd(10, 1.0, shape="exponential", floor=0), "floor = 0.0 cannot end the shape 'exponential'"),
    (lambda: sl.wsd(10, 1.0, shape="rex", alpha=1), "alpha = 1.0 makes the rex profile constant"),
    (lambda: sl.wsd(10, 1.0, shape="lowered-linear", factor=0.1, floor=0.2), "factor = 0.1 is outside"),
    (lambda: sl.wsd(10, 1.0, shape="piecewise"), "knots = None is not a sequence"),
    (lambda: sl.wsd(10, 1.0, shape="piecewise", knots=[(0, 2)]), "knots: a cooldown cannot exceed the peak"),
    (lambda: sl.piecewise(10, knots=[]), "knots is empty"),
    (lambda: sl.piecewise(10, knots=[3]), r"knots\[0\] = 3 is not a pair"),
    (lambda: sl.piecewise(10, knots=[(5, 1), (0.5, 0)]), r"knots\[1\]\[0\] = 0.5 falls on step 5"),
    (lambda: sl.step(10, 1.0, drops=(5, 3)), r"drops\[1\] = 3 comes before"),
    (lambda: sl.step(10, 1.0, drops=(11,)), r"drops\[0\] = 11 is beyond the run"),
    (lambda: sl.step(10, 1.0, drops=0.5), "drops = 0.5 is not a sequence"),
    (lambda: sl.step(10, 1.0, warmup=4), r"drops\[0\] = 0.3 lies inside the warmup of 4 steps"),
    (lambda: sl.wsd_s(10, 1.0, budgets=[2], cooldown=3), r"warmup \+ cooldown = 0 \+ 3 steps do not fit"),
    (lambda: sl.wsd_s(10, 1.0, budgets=[0, 5]), r"do not fit|budgets"),
    (lambda: sl.infinite(10, 1.0, plateau=0.2, floor=0.3), "floor = 0.3 is outside"),
    (lambda: sl.sampled(10, 1.0, rate="50-40"), "rate = '50-40' is not a sampling rate"),
    (lambda: sl.sampled(10, 1.0, rate="often"), "rate = 'often' is not a sampling rate"),
    (lambda: sl.sampled(10, 1.0, "cosin"), "profile: 'cosin' is not known; did you mean 'cosine'"),
    (lambda: sl.eigencurve(10, eigenvalues=[1.0, 0.0]), "eigenvalues: the least is"),
    (lambda: sl.eigencurve(10, eigenvalues=[[1.0]]), r"eigenvalues has shape \(1, 1\)"),
    (lambda: sl.from_array([]), r"values has shape \(0,\)"),
    (lambda: sl.from_array([0.1, -0.1]), r"values\[1\] = .*-0.1"),
    (lambda: sl.from_array([0.1, math.inf]), r"values\[1\] = .*inf"),
    (lambda: sl.make("wds", 10, peak=1.0), "schedule kind: 'wds' is not known; did you mean 'wsd'"),
    (
        lambda: sl.make("cosine", 10, peek=1.0),
        "argument of cosine: 'peek' is not known; did you mean 'peak'",
    ),
    (lambda: sl.make("cosine", 10), "peak is missing; cosine needs it"),
    (lambda: sl.cosine(10, lr=0.1), "argument of cosine: 'lr' is called 'peak' here; write that"),
    (lambda: sl.wsd(10, 0.1, decay_steps=2), "argument of wsd: 'decay_steps' is called 'cooldown' here"),
    (lambda: sl.step(10, 0.1, milestones=[2], gamma=0.1), "argument of step: 'milestones' is called 'drops' here"),
    (lambda: sl.linear(10, 0.1, eta_min=0.0), "argument of linear: 'eta_min' is called 'floor_value' here"),
    (lambda: sl.constant(10, 0.1, eta_min=0.0), "argument of constant: 'eta_min' is not known"),
    (lambda: sl.step(10, 1.0, factor=1e300), "factor = 1e.300 to the power 3 is beyond a float"),
    (lambda: sl.wsd(10, 0.1, cooldwn=0.1), "argument of wsd: 'cooldwn' is not known; did you mean 'cooldown'"),
    (lambda: sl.linear(2**63, 1.0), "steps = 9223372036854775808 is out of range.* at most 9007199254740992"),
    (lambda: sl.linear(10, 10**400), "peak = .* is outside"),
    (lambda: sl.linear(10, 1.0, warmup=Fraction(10**400, 3)), "warmup = .* is neither"),
    (lambda: sl.linear(2**52, 1.0).repeat(4), "repeat has 18014398509481984 steps; at most"),
    (lambda: sl.step(10, 1.0, drops=sl.constant(10**12, 1.0)), "drops holds more than 100000 positions"),
    (lambda: sl.step_decay(10**12, 1.0, stages=10**9), "stages = 1000000000 is out of range"),
    (lambda: sl.repeat(None, 3), "schedule = None is not a schedule"),  # type: ignore[arg-type]
    (lambda: sl.from_function(0.1, 3), "function = 0.1 cannot be called"),  # type: ignore[arg-type]
    (lambda: sl.from_function(lambda t: "a", 3), r"function\(0\) gives no number"),
    (lambda: sl.make("w" * 5000, 10), r"schedule kind: 'w{10,40}\.\.\."),
    (lambda: nest(65), "more than 64 deep"),
    (lambda: sl.from_dict([1]), "is not a table"),  # type: ignore[arg-type]
    (lambda: sl.from_dict({"steps": 10}), "schedule has no kind"),
    (lambda: sl.from_dict({"kind": "cosin", "steps": 1}), "'cosin' is not known; did you mean 'cosine'"),
    (lambda: sl.from_dict({"kind": "cosine", "peak": 1}), "steps is missing"),
    (lambda: sl.from_dict({"kind": "scaled", "factor": 1}), "schedule is missing; scaled needs"),
    (lambda: sl.from_dict({"kind": "scaled", "facter": 1}), "'facter' is not known; did you mean 'factor'"),
    (lambda: sl.from_dict({"kind": "join", "parts": 3}), "parts is not a list"),
    (lambda: sl.join(), "there is nothing to join"),
    (lambda: sl.join(S, 3), "argument 1 is a int, not a schedule"),  # type: ignore[arg-type]
    (lambda: S(10), "step = 10 is outside the schedule; give steps from 0 to 9"),
    (lambda: S(-1), "step = -1 is outside"),
    (lambda: S(1.5), "step = 1.5 is not an integer"),  # type: ignore[call-overload]
    (lambda: S(True), "step = True is not an integer"),
    (lambda: S([0, 10]), "step = 10 is outside"),
    (lambda: S.values(0, 11), "stop = 11 is out of range"),
    (lambda: S.values(5, 3), "start = 5 is out of range"),
    (lambda: S * -1, "factor = -1 is outside"),
    (lambda: S * math.inf, "factor = inf is outside"),
    (lambda: S / 0, "divisor = 0 is outside"),
    (lambda: S / 1e-320, "divisor = inf"),
    (lambda: S * sl.linear(9, 1.0), "the schedules have 10 and 9 steps"),
    (lambda: (S * 1e300) * 1e300, "reaches values or a sum beyond the range"),
    (lambda: S[3], r"\[3\] is not a range of steps"),  # type: ignore[index]
    (lambda: S[::2], "is not a range of steps"),
    (lambda: S[5:5], r"\[5:5\] holds no step"),
    (lambda: S[0:11], "stop = 11 is out of range"),
    (lambda: S.repeat(0), "times = 0 is out of range"),
    (lambda: S.clip(0.5, 0.1), "high = 0.1 is outside"),
    (lambda: S.warmed(1, -0.1), "start = -0.1 is outside"),
    (lambda: sl.torch_one_cycle(9, 1.0, anneal_strategy="cosine"), "'cosine' is not known; did you mean 'cos'"),
    (lambda: sl.range_test(9, 1.0, curve="cubic"), "curve: 'cubic' is not known"),
    (lambda: sl.range_test(9, 1.0, floor=0.0), "floor = 0.0 is outside"),
    (lambda: sl.scale_invariant(9, 1.0, 1.0, weight_decay=1.0), "weight_decay = 1.0 times lr is at least 1"),
    (lambda: sl.scale_invariant(9, 1.0, 1e60), "gradient_norm = 1e.60 multiplies"),
    (lambda: sl.scale_invariant(9, 1.0, 0.0, weight_decay=0.1), "gradient_norm = 0 with weight decay lets"),
    (lambda: S.warmed(11), "warmup = 11 steps do not fit into a run of 10"),
]


@pytest.mark.parametrize(("call", "message"), REFUSED, ids=[message[:40] for _, message in REFUSED])
def test_refusals_are_one_sentence(call: Any, message: str) -> None:
    with pytest.raises(InputError, match=message) as refusal:
        call()
    text = str(refusal.value)
    assert text[-1] in ".?)"
    assert "\n" not in text


def test_foreign_operands_are_left_to_python() -> None:
    for call in (lambda: S * "a", lambda: np.ones(10) * S, lambda: S / S, lambda: "a" * S):
        with pytest.raises(TypeError):
            call()  # type: ignore[no-untyped-call]


def nest(levels: int) -> Schedule:
    s = sl.constant(3, 0.1)
    for _ in range(levels):
        s = sl.join(s, sl.constant(1, 0.1))[:3]  # two combinators
        if s.depth >= levels:
            return s
    return s


def test_deep_and_long_schedules_are_copied_and_pickled() -> None:
    deep = nest(64)
    assert deep.depth == 64
    for s in (deep, sl.eigencurve(10**12, eigenvalues=[1.0, 0.5])):
        assert copy.deepcopy(s) is copy.copy(s) is s
        again = pickle.loads(pickle.dumps(s))
        assert again == s
        assert sl.from_dict(json.loads(json.dumps(s.to_dict()))) == s
        assert again(2) == s(2)


def test_a_floor_that_looks_like_a_learning_rate_gets_a_notice() -> None:
    with pytest.warns(
        UserWarning, match=r"floor = 3e-05 is a fraction of the peak.* ends near 9e-09; give floor_value = 3e-05 if"
    ):
        sl.cosine(100, 3e-4, floor=3e-5)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        sl.cosine(100, 3e-4, floor=0.01)
        sl.cosine(100, 1.0, floor=1e-3)


ODD = [None, "x", math.nan, math.inf, -1, 0, 1e-320, 1e308, 10**30, 10**400, "9" * 5000, [], {}, True, 1j, [1e308, -1]]


@pytest.mark.parametrize("kind", sorted(DRAWS))
def test_odd_values_are_refused_in_our_words_or_work(kind: str) -> None:
    good = {"steps": 50, **LONG.get(kind, {})} | ({} if kind in WITHOUT_PEAK else {"peak": 0.3})
    said: list[str] = []
    for name in inspect.signature(getattr(sl, kind)).parameters:
        for odd in ODD:
            try:
                s = getattr(sl, kind)(**{**good, name: odd})
                assert np.all(np.isfinite(s(np.array([0, len(s) // 2, len(s) - 1]))))
                assert math.isfinite(s.total())
            except InputError as refusal:
                said.append(str(refusal))
    assert said
    assert max(map(len, said)) < 400
    assert not any("ufunc" in text for text in said)


@pytest.mark.parametrize("module", [m.name for m in pkgutil.iter_modules(sl.__path__)] + ["__init__"])
def test_doctests(module: str) -> None:
    name = "simlab.schedules" + ("" if module == "__init__" else f".{module}")
    loaded = importlib.import_module(name)
    finder = doctest.DocTestFinder(exclude_empty=True)
    own = [v for v in vars(loaded).values() if getattr(v, "__module__", None) == name and hasattr(v, "__name__")]
    examples = [t for value in own for t in finder.find(value, globs=dict(vars(loaded)))]
    examples += (
        finder.find(loaded.__doc__ or "", name, module=False, globs=dict(vars(loaded))) if module == "__init__" else []
    )
    runner = doctest.DocTestRunner()
    for example in examples:
        runner.run(example)
    assert runner.summarize().failed == 0
