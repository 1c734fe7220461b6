"""Properties of every registered family of schedules, and of expressions of them."""

from __future__ import annotations

import inspect
import json
import math
import pickle
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import simlab.schedules as sl
from simlab.schedules import Schedule
from tests.schedules.drawn import DRAWS, FAST, LONG, MARKS, WITHOUT_PEAK, calls, expressions

pytestmark = MARKS


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
