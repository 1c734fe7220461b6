"""The law of a spectrum against the certified optimum: where it holds, by how much, and where it fails."""

from __future__ import annotations

import itertools
import math
import warnings

import numpy as np
import pytest

import simlab as sl
from simlab.schedules.law import Law, critical_rate, spectrum_of
from simlab.schedules.optimal import graded


def regret(problem, steps, *, batch=1, cap=None, **how):
    """J of the law over J of the certified optimum - 1, both by the exact engine, under the same cap."""
    schedule = sl.schedules.spectral(problem, steps, batch=batch, cap=cap, **how)
    best = sl.optimize(problem, steps, batch=batch, cap="critical" if cap is None else cap, tolerance=1e-5)
    method = sl.methods.sgd(schedule, batch=batch)
    return float(sl.exact(problem, method, record=2, progress=False).total().values[-1]) / best.risk - 1.0


def power_law(capacity, source, noise, kurtosis=3.0):
    return sl.LinearRegression.power_law(10**6, capacity, source, noise, kurtosis).compress(1e-9)


NINE = list(itertools.product([1.2, 1.5, 2.0], [1.2, 2.0, 3.0]))


@pytest.mark.thorough
@pytest.mark.parametrize(("capacity", "source"), NINE)
def test_noisy_power_laws(capacity, source):
    problem = power_law(capacity, source, 1.0)
    full, short = regret(problem, 1000), regret(problem, 1000, form="short")
    assert full <= 5e-5
    assert short <= 1e-2
    assert full <= short


def test_a_first_mode_about_to_ring():
    """Near the critical rate of a steep spectrum its first mode's mass turns sharply: rates are told apart there."""
    assert regret(power_law(3.0, 2.0, 0.01), 10_000) <= 5e-5


@pytest.mark.parametrize(
    ("kurtosis", "batch", "cap", "most"),
    [(1.0, 1, None, 2e-4), (10.0, 1, None, 2e-4), (3.0, 4, 0.1, 2e-4), (3.0, 16, 0.5, 1.5e-3), (3.0, 64, 0.5, 1.5e-3),
     (3.0, 1, 0.15, 2e-4)],
)  # fmt: skip
def test_other_noise_batches_and_caps_that_bind(kurtosis, batch, cap, most):
    """Batches at outside caps: without one the optimum of a large batch is one of many and lies far below lr_crit."""
    assert regret(power_law(1.5, 1.5, 0.1, kurtosis), 2000, batch=batch, cap=cap) <= most


def test_additive_noise_wants_the_hard_cap_alone():
    problem = sl.NoisyQuadratic(np.arange(1.0, 200.0) ** -1.5, 1.0, np.arange(1.0, 200.0) ** -1.5)
    for cap in (None, 0.5):
        assert regret(problem, 1000, cap=cap) <= 2e-4
        one, other = (sl.schedules.spectral(problem, 1000, cap=cap, form=form) for form in ("full", "short"))
        np.testing.assert_allclose(one.values(), other.values(), rtol=2e-3)  # m = 0: the forms are one


@pytest.mark.parametrize("capacity", [1.5, 2.0])
def test_the_level_by_formula_needs_no_run(capacity):
    problem = power_law(capacity, 1.5, 0.1)
    assert regret(problem, 1000, level="formula") <= 2e-3
    assert regret(problem, 20_000, level="formula") <= 5e-4


@pytest.mark.parametrize(
    ("problem", "least"),
    [
        (sl.LinearRegression.isotropic(50, 1.0), 0.03),
        (sl.LinearRegression.isotropic(50, 0.01), 0.1),
        (sl.LinearRegression.power_law(10**6, 1.2, 3.5, 0.0).compress(1e-9), 0.03),
    ],
)
def test_where_error_decays_as_fast_as_noise_is_forgotten_the_full_law_fails_and_warns(problem, least):
    with pytest.warns(UserWarning, match="decays as fast as its noise is forgotten"):
        assert regret(problem, 2000) >= least
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        sl.schedules.spectral(problem, 2000, form="short")


def test_the_law_beats_every_usual_schedule_at_its_best_peak():
    problem, T = power_law(2.0, 1.5, 0.01), 1000
    schedule = sl.schedules.spectral(problem, T)
    law = sl.exact(problem, sl.methods.sgd(schedule), record=2, progress=False).total().values[-1]
    peaks = np.geomspace(0.05, 0.6, 12)
    for family in (sl.schedules.linear, sl.schedules.cosine, sl.schedules.wsd):
        runs = {str(peak): sl.methods.sgd(family(T, peak)) for peak in peaks}
        rival = sl.exact(problem, runs, record=2, progress=False).total().values[:, -1].min()
        assert rival > 1.005 * law


def test_the_critical_rate_is_that_of_the_stability_analysis():
    for problem, batch in ((power_law(1.5, 1.2, 0.1), 1), (power_law(2.0, 1.2, 0.1, 1.0), 4)):
        method = sl.methods.sgd(sl.schedules.constant(2, 0.01), batch=batch)
        expected = sl.stability(problem, method).critical_lr
        assert critical_rate(spectrum_of(problem.modes()), 1.0 / batch) == pytest.approx(expected, rel=1e-9)


def test_the_sum_of_the_rates_is_that_of_the_law():
    law = Law(spectrum_of(power_law(1.5, 1.5, 0.1).modes()), 5000)
    answer = law.foretold()
    assert answer.clock[-1] == pytest.approx(5000, rel=1e-9)
    schedule = sl.schedules.spectral(power_law(1.5, 1.5, 0.1), 5000, level="formula")
    assert schedule.total() == pytest.approx(answer.u[-1], rel=1e-3)
    assert schedule.peak() <= law.critical * (1.0 + 1e-12)


def test_very_long_runs_have_the_exponents_of_the_limit():
    """Easy, capacity 1.5, source 2.5: the peak falls as T^-0.4 and the decay steepens towards (1 - t/T)^2."""
    problem = sl.LinearRegression.power_law(10**13, 1.5, 2.5, 1.0).compress(1e-9)
    peaks, slopes = [], []
    for T in (10**6, 10**8, 10**12):
        schedule = sl.schedules.spectral(problem, T, level="formula")
        left = np.geomspace(0.03, 0.3, 20)
        values = schedule((T - left * T).astype(np.int64)[::-1])[::-1]
        slopes.append(float(np.polyfit(np.log(left), np.log(values), 1)[0]))
        peaks.append(schedule.peak())
    assert slopes == pytest.approx([1.366, 1.681, 1.940], abs=0.01)
    assert math.log(peaks[1] / peaks[2]) / math.log(1e4) == pytest.approx(0.399, abs=0.005)


def test_the_long_engine_runs_it_for_10_to_the_12_steps():
    """And finds the risk that the law foretells."""
    problem = sl.LinearRegression.power_law(10**12, 1.5, 2.5, 1.0)
    schedule = sl.schedules.spectral(problem, 10**12)
    trace = sl.long(problem, sl.methods.sgd(schedule), tolerance=1e-5, record=2, progress=False)
    assert trace.status.item() == "done"
    law = Law(spectrum_of(problem.compress(1e-9).modes()), 10**12)
    assert trace.total().values[-1] == pytest.approx(law.foretold().value, rel=1e-3)
    assert len(schedule.parameters["knots"]) < 100


def test_files_keep_it(tmp_path):
    schedule = sl.schedules.spectral(sl.LinearRegression([1.0, 0.5, 0.25], 1.0, 0.1), 700)
    path = tmp_path / "law.json"
    sl.schedules.to_json(schedule, path)
    again = sl.schedules.from_json(path)
    assert again == schedule
    np.testing.assert_array_equal(again.values(), schedule.values())
    assert "form='full'" in repr(schedule)


def test_graded_steps_reach_both_ends():
    for steps in (1, 2, 5, 480, 481, 1000, 10**12):
        at = graded(steps, 240)
        assert at[0] == 0
        assert at[-1] == steps - 1
        assert np.all(np.diff(at) > 0)
        assert at.size <= 484


def test_short_runs_and_empty_problems():
    problem = sl.LinearRegression([1.0, 0.5], 1.0, 0.1)
    for steps in (1, 2, 3):
        assert sl.schedules.spectral(problem, steps, form="short").length == steps
    still = sl.schedules.spectral(sl.LinearRegression([1.0, 0.5], 0.0, 0.0), 5, form="short")
    assert np.all(np.isfinite(still.values()))
    assert sl.schedules.spectral(problem, 20, form="short", batch=math.inf).peak() > 0.0


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"problem": 3}, ["problem is 3", "LinearRegression"]),
        ({"steps": 0}, ["steps = 0"]),
        ({"batch": 0}, ["batch = 0"]),
        ({"batch": "all"}, ["batch = 'all'"]),
        ({"cap": 0.0}, ["cap = 0.0"]),
        ({"cap": 1e-300}, ["cap = 1e-300 moves nothing in 10 steps"]),
        ({"form": "long"}, ["form", "'long'"]),
        ({"level": "guess"}, ["level", "'guess'"]),
    ],
)
def test_refusals(given, words):
    with pytest.raises(sl.InputError) as caught:
        sl.schedules.spectral(**{"problem": sl.LinearRegression([1.0, 0.5], 1.0, 0.1), "steps": 10, **given})
    for word in words:
        assert word in str(caught.value), caught.value
