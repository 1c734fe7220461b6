"""The best member of a family: found where a scan finds it, its costs, bounds, and what is refused."""

from __future__ import annotations

import math

import numpy as np
import pytest

import simlab as sl
from simlab.optimal.recursion import Recursion

PROBLEM = sl.LinearRegression.power_law(120, 2.0, 1.5, 0.01)
T = 400


def exact(method):
    return float(sl.exact(PROBLEM, method, record=2, progress=False).total().values[-1])


@pytest.mark.parametrize("family", ["constant", "linear", "cosine", "polynomial"])
def test_the_best_peak_is_that_of_a_scan(family):
    found = sl.tune(PROBLEM, family, T)
    peak = found.parameters["peak"]
    assert found.risk == pytest.approx(exact(found.method), rel=1e-10)
    for factor in (0.97, 1.03):
        assert exact(sl.methods.sgd(sl.schedules.make(family, T, peak=factor * peak))) > found.risk
    peaks = np.geomspace(0.02, 1.2, 30)
    runs = {str(each): sl.methods.sgd(sl.schedules.make(family, T, peak=each)) for each in peaks}
    scan = sl.exact(PROBLEM, runs, record=2, progress=False).total().values[:, -1]
    assert np.nanmin(scan) >= found.risk * (1.0 - 1e-9)
    assert found.gradient < 1e-4


def test_peak_and_cooldown_together():
    found = sl.tune(PROBLEM, "wsd", T, ("peak", "cooldown"), given={"shape": "1-sqrt"})
    assert found.schedule == sl.schedules.wsd(T, shape="1-sqrt", **found.parameters)
    best = min(
        (exact(sl.methods.sgd(sl.schedules.wsd(T, peak, cooldown=share, shape="1-sqrt"))), peak, share)
        for peak in np.linspace(0.45, 0.6, 7)
        for share in np.linspace(0.15, 0.6, 10)
    )
    assert found.risk <= best[0] * (1.0 + 1e-9)
    assert found.risk > sl.optimize(PROBLEM, T).risk
    assert found.parameters["cooldown"] * T == pytest.approx(round(found.parameters["cooldown"] * T), abs=1e-9)


def test_some_thirty_gradients_are_enough(monkeypatch):
    """From both starts, and with the five of curvature and certificate."""
    count = []
    gradient = Recursion.gradient
    monkeypatch.setattr(Recursion, "gradient", lambda *given: count.append(1) or gradient(*given))
    for given in ({}, {"shape": "1-sqrt"}, {"batch": 8}):
        count.clear()
        found = sl.tune(PROBLEM, "wsd", T, ("peak", "cooldown"), given=given)
        assert 5 <= len(count) <= 35
        assert found.certificate.gain < 1e-6


def test_costs_are_those_of_half_and_twice():
    found = sl.tune(PROBLEM, "linear", T)
    peak = found.parameters["peak"]
    half = exact(sl.methods.sgd(sl.schedules.linear(T, 0.5 * peak))) / found.risk - 1.0
    assert found.costs["peak"] == (pytest.approx(half, rel=1e-6), math.inf)
    twice = sl.exact(PROBLEM, sl.methods.sgd(sl.schedules.linear(T, 2.0 * peak)), progress=False)
    assert twice.status.item() == "diverged"
    near = [exact(sl.methods.sgd(sl.schedules.linear(T, peak * math.exp(x)))) / found.risk for x in (-0.02, 0.02)]
    assert np.log(near).mean() == pytest.approx(0.5 * found.curvature[0, 0] * 0.02**2, rel=0.02)


def test_momentum_and_averages_are_tuned_by_the_same_door():
    ball = sl.tune(PROBLEM, "linear", T, ("peak", "momentum"), method=sl.methods.heavy_ball)
    assert ball.risk == pytest.approx(exact(ball.method), rel=1e-10)
    fixed = sl.tune(PROBLEM, "linear", T, method=sl.methods.heavy_ball, given={"momentum": 0.9})
    plain = sl.tune(PROBLEM, "linear", T)
    assert ball.risk < min(fixed.risk, plain.risk)

    def averaged(lr, decay):
        return sl.methods.ema(sl.methods.sgd(lr), decay)

    average = sl.tune(PROBLEM, "constant", T, ("peak", "decay"), method=averaged)
    assert average.risk < 0.95 * sl.tune(PROBLEM, "constant", T).risk
    for decay in (1.0 - 0.7 * (1.0 - average.parameters["decay"]), 1.0 - 1.4 * (1.0 - average.parameters["decay"])):
        rival = averaged(sl.schedules.constant(T, average.parameters["peak"]), decay)
        assert exact(rival) > average.risk


def test_large_batches_take_large_rates():
    found = sl.tune(PROBLEM, "linear", T, given={"batch": 64})
    assert found.parameters["peak"] > 1.5 * sl.tune(PROBLEM, "linear", T).parameters["peak"]
    assert found.risk == pytest.approx(exact(found.method), rel=1e-10)
    assert found.method.batch == 64


def test_a_run_of_one_step_has_no_phases_to_look_for():
    with pytest.warns(UserWarning, match="cooldown = 1"):
        found = sl.tune(PROBLEM, "wsd", 1, ("peak", "cooldown"))
    assert found.curvature[1, 1] == 0.0
    assert found.risk == pytest.approx(sl.optimize(PROBLEM, 1, cap=None).risk, rel=1e-6)


def test_a_family_of_ones_own():
    def bent(steps, peak, bend):
        return sl.schedules.piecewise(steps, peak, knots=((0.0, 1.0), (0.5, bend), (1.0, 0.0)))

    found = sl.tune(PROBLEM, bent, T, ("peak", "bend"), bounds={"bend": (0.05, 2.0)})
    assert found.risk < sl.tune(PROBLEM, "linear", T).risk
    assert exact(sl.methods.sgd(bent(T, **found.parameters))) == pytest.approx(found.risk, rel=1e-10)


def test_an_optimum_on_a_bound_is_told():
    with pytest.warns(UserWarning, match="peak = 0.1 lies at an end"):
        found = sl.tune(PROBLEM, "linear", T, bounds={"peak": (0.01, 0.1)})
    assert found.on_bound == ("peak",)
    assert found.parameters["peak"] == pytest.approx(0.1, rel=1e-12)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"problem": 3}, ["problem"]),
        ({"family": "wds"}, ["family", "'wds'", "'wsd'"]),
        ({"family": 3}, ["family = 3"]),
        ({"steps": 0}, ["steps = 0"]),
        ({"over": "peak"}, ["over = 'peak'", "sequence"]),
        ({"over": ()}, ["over"]),
        ({"over": ("peak", "peak")}, ["over"]),
        ({"over": ("peak", "cooldown")}, ["over", "'cooldown'"]),
        ({"over": ("peak", "batch")}, ["batch", "bounds"]),
        ({"over": ("pek",), "method": lambda lr, **own: sl.methods.sgd(lr)}, ["pek", "did you mean 'peak'"]),
        ({"method": 3}, ["method = 3"]),
        ({"method": "hevy_ball"}, ["'hevy_ball'", "'heavy_ball'"]),
        ({"method": lambda lr: 3}, ["method makes 3"]),
        ({"family": lambda steps, peak: 3}, ["family makes 3"]),
        ({"given": {"flor": 0.1}}, ["given", "'flor'", "'floor'"]),
        ({"given": 3}, ["given = 3"]),
        ({"given": {"floor": 3.0}}, ["floor = 3.0"]),
        ({"bounds": {"cooldown": (0.1, 0.5)}}, ["bounds", "'cooldown'"]),
        ({"bounds": {"peak": 1.0}}, ["bounds['peak']"]),
        ({"bounds": {"peak": (1.0, 0.5)}}, ["bounds['peak']", "low < high"]),
        ({"bounds": {"peak": (1e6, 1e7)}}, ["family diverges"]),
    ],
)
def test_refusals(given, words):
    with pytest.raises(sl.InputError) as caught:
        sl.tune(**{"problem": PROBLEM, "family": "linear", "steps": 200, **given})
    for word in words:
        assert word in str(caught.value), caught.value


def test_a_method_by_its_name_is_that_method():
    problem = sl.LinearRegression.power_law(50, 1.5, 1.3, 0.1)
    named, given = (sl.tune(problem, "wsd", 200, method=method) for method in ("heavy_ball", sl.methods.heavy_ball))
    assert named.risk == given.risk
