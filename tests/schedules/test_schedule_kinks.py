"""Where schedules say that they stop being smooth, and where they say that they repeat themselves."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

import simlab.schedules as sl
from simlab.schedules.kinks import next_kink, stretch

T = 1_000_000
LONG = {
    "constant": lambda: sl.constant(T, 0.3, warmup=0.1),
    "wsd": lambda: sl.wsd(T, 0.3, warmup=0.01, cooldown=0.3, shape="1-sqrt"),
    "wsd_s": lambda: sl.wsd_s(T, 0.3, budgets=[0.3, 0.6], warmup=0.05),
    "cosine": lambda: sl.cosine(T, 0.3, warmup=0.1, floor=0.1),
    "rex": lambda: sl.rex(T, 0.3),
    "one_cycle": lambda: sl.one_cycle(T, 0.3),
    "torch_one_cycle": lambda: sl.torch_one_cycle(T - 7, 0.3, pct_start=0.123, three_phase=True),
    "range_test": lambda: sl.range_test(T, 0.3),
    "sine": lambda: sl.sine(T, 0.3, half_cycle=T // 14, factor=0.8, gamma=1.0 - 1e-6),
    "sigmoid": lambda: sl.sigmoid(T, 0.3, warmup=0.1),
    "uba": lambda: sl.uba(T, 0.3, phi=0.5),
    "inverse_time": lambda: sl.inverse_time(T, 0.3, decay=1e-4, power=0.6),
    "scale_invariant": lambda: sl.scale_invariant(T, 0.3, gradient_norm=0.01, weight_decay=1e-5),
    "warmed": lambda: sl.cosine(T, 0.3, warmup=0.1).warmed(0.1, 0.02),
    "inverse_sqrt": lambda: sl.inverse_sqrt(T, 0.3, warmup=0.01),
    "exponential": lambda: sl.exponential(T, 0.3, floor=0.001),
    "sgdr": lambda: sl.sgdr(T, 0.3, period=0.1, multiplier=2),
    "triangular": lambda: sl.triangular(T, 0.3, half_cycle=T // 14),
    "triangular2": lambda: sl.triangular2(T, 0.3, half_cycle=T // 14),
    "step_decay": lambda: sl.step_decay(T, 0.3),
    "piecewise": lambda: sl.piecewise(T, 0.3, knots=((0, 0.2), (300_000, 1.0), (700_000, 0.4), (T, 0.0))),
    "power_scheduler": lambda: sl.power_scheduler(T, 0.3, scale=6.0, exponent=-0.5),
    "infinite": lambda: sl.infinite(T, 0.3),
    "clipped": lambda: sl.cosine(T, 0.5).clip(0.1, 0.3),
    "product": lambda: sl.cosine(T, 0.5) * sl.wsd(T, 1.0, cooldown=0.4),
    "sum": lambda: sl.cosine(T, 0.5) + sl.wsd(T, 1.0, cooldown=0.4),
    "join": lambda: sl.join(sl.cosine(T // 3, 0.3), sl.linear(T // 3, 0.1), sl.constant(T - 2 * (T // 3), 0.01)),
    "slice": lambda: sl.wsd(2 * T, 0.3, cooldown=0.7)[T // 2 : T // 2 + T],
    "repeat": lambda: sl.wsd(T // 10, 0.3, warmup=0.2).repeat(10),
}


def pieces(schedule: sl.Schedule) -> list[tuple[int, int]]:
    edges = [0]
    while edges[-1] < schedule.length:
        edges.append(next_kink(schedule.plan, edges[-1]))
        assert edges[-1] > edges[-2]
    assert edges[-1] == schedule.length
    return list(pairwise(edges))


def roughness(schedule: sl.Schedule, start: int, stop: int) -> float:
    """The error of the best of a fit by polynomials of degree 24 in the middle of a piece, where its ends are far."""
    margin = (stop - start) // 5
    x = np.linspace(-1.0, 1.0, 400)
    steps = np.rint(0.5 * (x + 1.0) * (stop - start - 1 - 2 * margin)).astype(np.int64) + start + margin
    x = 2.0 * (steps - steps[0]) / max(steps[-1] - steps[0], 1) - 1.0
    values = schedule(steps)
    fit = np.polynomial.chebyshev.chebfit(x, values, 24)
    return float(np.abs(np.polynomial.chebyshev.chebval(x, fit) - values).max() / np.abs(schedule.peak()))


@pytest.mark.parametrize("name", LONG)
def test_between_two_kinks_a_schedule_is_smooth(name):
    schedule = LONG[name]()
    found = pieces(schedule)
    assert len(found) <= 30
    for start, stop in found:
        if stop - start > 1000:
            assert roughness(schedule, start, stop) < 1e-8, (start, stop)


def test_the_test_sees_a_kink_that_is_not_told():
    schedule = LONG["wsd"]()
    assert roughness(schedule, 10_000, T) > 1e-4


@pytest.mark.parametrize("name", LONG)
def test_kinks_are_those_of_any_other_start(name):
    """next_kink depends on the piece that a step lies in, and not on where one comes from."""
    schedule = LONG[name]()
    for start, stop in pieces(schedule):
        for t in {start, (start + stop) // 2, stop - 1}:
            assert next_kink(schedule.plan, t) == stop


def test_stored_values_have_a_kink_wherever_they_change():
    schedule = sl.from_array([0.1, 0.1, 0.1, 0.2, 0.3, 0.3])
    assert pieces(schedule) == [(0, 3), (3, 4), (4, 6)]


def test_sampled_schedules_have_one_at_every_sample():
    schedule = sl.sampled(1000, 0.3, profile="linear", rate=100)
    assert pieces(schedule)[:3] == [(0, 100), (100, 200), (200, 300)]


def test_a_trillion_steps_cost_no_more():
    assert next_kink(sl.sgdr(10**12, 0.1, period=10**7).plan, 10**11 + 5) == 10**11 + 10**7
    assert len(pieces(sl.wsd(10**12, 0.1, warmup=0.01))) == 3


@pytest.mark.parametrize(
    "schedule",
    [sl.sgdr(10_000, 0.3, period=100), 0.5 * sl.wsd(100, 0.3).repeat(50), sl.triangular(10_000, 0.3, half_cycle=250)],
)
def test_stretches_repeat_themselves(schedule):
    period, end = stretch(schedule.plan, 0)
    assert period < end <= schedule.length
    assert end // period >= 20
    values = schedule.values(0, end // period * period).reshape(-1, period)
    np.testing.assert_array_equal(values, np.broadcast_to(values[0], values.shape))


def test_what_does_not_repeat_itself_says_so():
    assert stretch(sl.cosine(100, 0.1).plan, 0) is None
    assert stretch(sl.sgdr(10_000, 0.3, period=100).plan, 50) is None
    assert stretch((sl.sgdr(10_000, 0.3, period=100) * sl.linear(10_000, 1.0)).plan, 0) is None
    assert stretch((2.0 * sl.constant(100, 0.1)).plan, 3) == (0, 100)
