"""Whatever has a length is made at 10^12 steps, and tells its peak and its sum, as quickly as at ten."""

from __future__ import annotations

import inspect
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import simlab as sl
from simlab import feedback, methods, schedules
from simlab.methods.base import METHODS, Wrapper

T = 10**12
SECONDS = 0.1
PROBLEM = sl.LinearRegression.power_law(100, 1.5, 1.2, 0.1)
NEEDED: dict[str, Any] = {
    "steps": T, "peak": 0.1, "eigenvalues": [1.0, 0.5], "knots": [[0, 0.1], [0.5, 0.2]], "lr": 0.1, "decay": 1.0,
    "gradient_norm": 1.0, "problem": PROBLEM,
}  # fmt: skip
OF_METHODS: dict[str, dict[str, Any]] = {
    "acc_sgd": {"kappa": 10.0, "xi": 2.0}, "asgd": {"gamma": 0.2, "beta": 0.5}, "acsgd": {"alpha": 0.01},
    "dana": {"g3": 0.01}, "qhm": {"momentum": 0.9, "nu": 0.7}, "ema": {"decay": 0.999}, "merge": {"steps": [5, 10**11]},
    "lamb": {"blocks": 2}, "tail_average": {"window": 0.5}, "weight_decay": {"decay": 0.1}, "local": {"workers": 2},
    "adam_mini": {"blocks": 2}, "lars": {"blocks": 2},
    **{name: {"momentum": 0.9} for name in ("heavy_ball", "nesterov", "torch_momentum")},
}  # fmt: skip
OTHERWISE = {"custom", "generic"}
"""Compiles what it is given; takes numbers for each step or none."""
RATES = {
    "constant": schedules.constant(T, 0.1),
    "wsd": schedules.wsd(T, 0.1, warmup=0.01),
    "cosine": schedules.cosine(T, 0.1),
}


def made_at_once(make: Callable[[], Any]) -> Any:
    """What `make` makes, at the best of three, in SECONDS of the processor."""
    spent = []
    for _ in range(3):
        began = time.process_time()
        made = make()
        spent.append(time.process_time() - began)
        if spent[-1] < SECONDS:
            return made
    raise AssertionError(f"{min(spent):.2g} s")


@pytest.mark.parametrize("name", schedules.named())
def test_schedules(name):
    function = getattr(schedules, name.replace("-", "_"))
    wanted = inspect.signature(function).parameters.items()
    given = {key: NEEDED[key] for key, p in wanted if p.default is p.empty and key in NEEDED}
    schedule = made_at_once(lambda: function(**given))
    assert schedule.length == T
    assert 0.0 < made_at_once(schedule.peak) < np.inf
    assert 0 <= schedule.peak_step() < T
    assert 0.0 < schedule.total() <= 1.001 * T * schedule.peak()


@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize("name", sorted(METHODS.keys() - OTHERWISE))
def test_methods(name, rate):
    made = METHODS[name]
    first = methods.sgd(RATES[rate]) if issubclass(made, Wrapper) else RATES[rate]
    method = made_at_once(lambda: made(first, **OF_METHODS.get(name, {})))
    assert method.length == T
    made_at_once(lambda: method.rescale(0.5))


@pytest.mark.parametrize("rate", RATES)
def test_batches_momenta_feedback_and_shares(rate):
    lr = RATES[rate]
    two = schedules.join(schedules.constant(T // 2, 4.0), schedules.constant(T - T // 2, 8.0))
    for batch in (schedules.constant(T, 4.0), schedules.step(T, 8.0, drops=(0.5,), factor=0.5), two):
        made_at_once(lambda batch=batch: methods.heavy_ball(lr, schedules.cosine(T, 0.9), batch=batch))
    for rule in (feedback.polyak(), feedback.hypergradient(), feedback.plateau(), feedback.autolrs(10**10)):
        made_at_once(lambda rule=rule: methods.closed_loop(methods.sgd(lr), rule))
    domains = [sl.LinearRegression([1.0, 0.5], 1.0, 0.1)] * 2
    falling, rising = schedules.linear(T, 1.0), schedules.piecewise(T, 1.0, knots=[[0, 0.0], [1.0, 1.0]])
    made_at_once(lambda: sl.Mixture(domains, ["rest", falling], [lr, 1.0]))
    made_at_once(lambda: sl.Mixture(domains, [rising, falling]))


def test_shares_of_a_long_run_that_do_not_sum_to_one():
    """At the steps that are looked at: the kinks, and some between them."""
    domains = [sl.LinearRegression([1.0, 0.5], 1.0, 0.1)] * 2
    flat = schedules.constant(T, 0.5)
    for other in (
        schedules.linear(T, 0.6),
        schedules.join(flat[: T // 3], schedules.constant(5, 0.6), flat[T // 3 + 5 :]),
    ):
        with pytest.raises(sl.InputError, match="share sums to"):
            sl.Mixture(domains, [flat, other])
    with pytest.raises(
        sl.InputError, match=r"share sums to 1\.2 at step 333333333333; give shares that sum to at most"
    ):
        sl.Mixture(
            domains, ["rest", schedules.join(flat[: T // 3], schedules.constant(5, 0.6), flat[T // 3 + 5 :]) * 2.0]
        )


@pytest.mark.parametrize(
    "call",
    [
        lambda method: sl.exact(PROBLEM, method, record="all"),
        lambda method: sl.exact(PROBLEM, method, record=10**9),
        lambda method: sl.limit(PROBLEM, methods.adam(method.lr), record="all"),
        lambda method: sl.optimize(PROBLEM, T),
        lambda method: sl.tune(PROBLEM, "wsd", T),
        lambda method: sl.twin.norm(method.lr, 0.1),
        lambda method: schedules.to_optax(method.lr),
        lambda method: schedules.from_function(lambda step: 0.1, T),
        lambda method: sl.sample(PROBLEM, method),
    ],
)
def test_what_holds_a_number_for_every_step_says_how_many_it_takes(call):
    with pytest.raises(sl.InputError, match=r"at most|beyond"):
        call(methods.sgd(RATES["constant"]))


def test_nadam_multiplies_no_more_than_counts():
    """Its product of momenta is lost beside 1 long before; where it is not, that is refused."""
    long, short = (methods.nadam(schedules.constant(steps, 0.1)) for steps in (T, 2**20 - 1))
    t = np.array([0, 1, 5, 1000, 2**20 - 3])
    for key, value in short.settings(t).items():
        np.testing.assert_array_equal(long.settings(t)[key], value)
    at = long.settings(np.array([10**11]))
    for key, value in short.settings(t[-1:]).items():
        np.testing.assert_allclose(at[key], value, rtol=1e-12)
    with pytest.raises(sl.InputError, match=r"beta1 = 0\.9999999 still counts its start"):
        methods.nadam(schedules.constant(T, 0.1), beta1=0.9999999, momentum_decay=100.0)
