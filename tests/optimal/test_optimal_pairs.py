"""Rates and momenta, or decays of an average, together: sweeps that never rise, the exact engine, what they bring."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import simlab as sl
from simlab.kernels.moments.layout import NodeArrays
from simlab.optimal.adjoint import Objective
from simlab.optimal.arguments import check_weights
from simlab.optimal.pairs import KINDS, _Sweeper
from simlab.optimal.recursion import Recursion


def power_law(capacity, source, noise):
    return sl.LinearRegression.power_law(80, capacity, source, noise)


def drawn(seed, kind):
    rng = np.random.default_rng(seed)
    d, T = int(rng.integers(1, 20)), int(rng.integers(1, 90))
    lam = np.sort(rng.uniform(0.02, 1.0, d))[::-1]
    problem = sl.LinearRegression(lam, rng.normal(size=d), rng.choice([0.0, 0.1, 2.0]), rng.choice([1.0, 3.0, 8.0]))
    weights = check_weights(rng.uniform(size=T + 1), T)
    nodes = NodeArrays(problem.modes())
    begin = np.zeros((3, nodes.lam.size))
    begin[: 1 if kind == "heavy_ball" else 3] = nodes.signal
    cap = float(rng.choice([np.inf, 0.5]))
    objective = Objective(nodes, nodes.signal, weights, np.full(T, cap))
    lr, momentum = rng.uniform(0.05, 0.5, T) / lam.sum(), rng.uniform(0.0, 1.0, T)
    return objective, begin, np.minimum(lr, cap), momentum, 1.0 / rng.integers(1, 9, T)


@settings(max_examples=30)
@given(st.integers(0, 10**6), st.sampled_from(list(KINDS)))
def test_no_sweep_raises_the_risk(seed, kind):
    objective, begin, lr, momentum, share = drawn(seed, kind)
    before = _Sweeper(KINDS[kind].kernel(), objective, begin, share)(lr, momentum, go=False)
    np.testing.assert_array_equal(before.lr, lr)
    last = before.value
    for _ in range(4):
        at = _Sweeper(KINDS[kind].kernel(), objective, begin, share)(lr, momentum)
        assert at.value <= last * (1.0 + 1e-13)
        # J falls by what the steps fall by, each of them seen with the moments of its own run.
        assert last - at.value == pytest.approx(at.gains.sum(), rel=1e-8, abs=1e-11 * last)
        assert at.lr.min() >= 0.0
        assert np.all(at.lr <= objective.cap)
        assert at.other.min() >= 0.0
        assert at.other.max() <= 1.0
        lr, momentum, last = at.lr, at.other, at.value


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("seed", range(4))
def test_the_gain_of_a_step_is_the_most_that_a_change_of_it_alone_can_bring(seed, kind):
    objective, begin, lr, momentum, share = drawn(seed, kind)
    last = np.zeros(lr.size + 1)
    last[-1] = 1.0
    objective = Objective(objective.nodes, objective.begin, last, np.full(lr.size, 1.0))
    at = _Sweeper(KINDS[kind].kernel(), objective, begin, share)(lr, momentum, go=False)
    recursion, batch = Recursion(objective.nodes), sl.schedules.from_array(1.0 / share)

    def value(lr, other):
        rates = sl.schedules.from_array(lr)
        if kind == "heavy_ball":
            return recursion.value(sl.methods.heavy_ball(rates, sl.schedules.from_array(other), batch))
        return recursion.value(sl.methods.ema(sl.methods.sgd(rates, batch), sl.schedules.from_array(1.0 - other)))

    assert value(lr, momentum) == pytest.approx(at.value, rel=1e-12)
    for t in {0, lr.size // 2, lr.size - 1}:
        least = at.value
        for rate in np.linspace(0.0, 1.0, 21):
            for beta in np.linspace(0.0, 1.0, 21) if kind == "heavy_ball" else momentum[t : t + 1]:
                one, other = lr.copy(), momentum.copy()
                one[t], other[t] = rate, beta
                least = min(least, value(one, other))
        assert at.value - least <= at.gains[t] * (1.0 + 1e-9) + 1e-13 * at.value
        if kind == "heavy_ball":  # of an average, rate and weight in turn: at least what the rate alone can bring
            assert at.value - least >= 0.8 * at.gains[t] - 0.01 * at.value


def test_heavy_ball_beats_sgd_and_is_what_the_exact_engine_says():
    problem, T = power_law(1.5, 2.5, 0.01), 200
    plain = sl.optimize(problem, T, batch=8)
    ball = sl.optimize(problem, T, batch=8, method="heavy_ball", sweeps=600)
    assert ball.risk < 0.97 * plain.risk
    exact = sl.exact(problem, ball.method, progress=False).total().values[-1]
    assert ball.risk == pytest.approx(exact, rel=1e-11)
    assert np.all(np.diff(ball.history[30:, 0]) <= 1e-13 * ball.risk)
    tuned = sl.tune(problem, "linear", T, ("peak", "momentum"), method=sl.methods.heavy_ball, given={"batch": 8})
    assert ball.risk < tuned.risk
    assert "local optimum" in repr(ball)
    assert np.all(ball.momentum.values()[-10:] == 0.0)  # it ends at exactly zero


@pytest.mark.parametrize(("capacity", "source", "noise"), [(1.5, 1.2, 1.0), (1.5, 2.5, 1.0), (2.0, 1.5, 0.01)])
def test_an_average_beats_the_best_decay_where_both_are_free(capacity, source, noise):
    problem, T = power_law(capacity, source, noise), 300
    plain, average = sl.optimize(problem, T), sl.optimize(problem, T, method="ema", sweeps=150)
    assert average.risk < 0.995 * plain.risk
    assert average.risk == pytest.approx(
        sl.exact(problem, average.method, progress=False).total().values[-1], rel=1e-10
    )
    decay = average.decay.values()
    assert decay.min() >= 0.0
    assert decay.max() <= 1.0
    assert "decay ill-determined" in repr(average)


def test_heavy_ball_from_a_state_goes_on_with_its_velocity():
    problem, T = power_law(1.5, 1.5, 0.1), 120
    begun = sl.exact(problem, sl.methods.heavy_ball(sl.schedules.constant(60, 0.1), 0.8), progress=False)
    rest = sl.optimize(problem, T, method="heavy_ball", start=begun.state, sweeps=60)
    ended = sl.exact(problem, rest.method, start=begun.state, progress=False).total().values[-1]
    assert rest.risk == pytest.approx(ended, rel=1e-11)
    averaged = sl.optimize(problem, T, method="ema", start=begun.state, sweeps=60)  # the average begins at the iterate
    ended = sl.exact(problem, averaged.method, start=begun.state, progress=False).total().values[-1]
    assert averaged.risk == pytest.approx(ended, rel=1e-11)


@pytest.mark.parametrize(
    ("given", "words"),
    [({"method": "adam"}, ["method = adam", "is not linear"]), ({"samples": 40}, ["samples = 40", "heavy_ball"])],
)
def test_refusals(given, words):
    with pytest.raises(sl.InputError) as caught:
        sl.optimize(sl.LinearRegression([1.0, 0.5], 1.0, 0.1), 10, **{"method": "heavy_ball", **given})
    for word in words:
        assert word in str(caught.value), caught.value
