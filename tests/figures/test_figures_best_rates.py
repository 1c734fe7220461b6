"""Best rates by batch and horizon: what is claimed of them, and that it is not claimed of numbers that are wrong."""

from __future__ import annotations

import numpy as np
import pytest
from simlab.figures.papers import alrashed2024, filatov2024, granziol2020, shen2024
from simlab.figures.peaks import best_peaks, critical, final_risks

import simlab as sl
from tests.figures.claimed import changed, verdicts

pytestmark = pytest.mark.thorough


def test_the_best_peak_is_where_no_neighbour_is_better():
    problem = sl.LinearRegression.power_law(200, 1.5, 2.0, noise_variance=1.0)

    def run(peak):
        return sl.methods.sgd(sl.schedules.linear(500, peak))

    (peak,), (risk,) = best_peaks(problem, [run], 2.0 * critical(problem))
    near = final_risks(problem, [run(peak * factor) for factor in (0.95, 1.0, 1.05)])
    assert near[1] == min(near)
    assert risk == pytest.approx(near[1], rel=1e-4)
    assert final_risks(problem, [run(5.0 * critical(problem))])[0] == np.inf


def test_power_scheduler():
    (figure,) = shen2024.FIGURES
    data = figure.compute("quick")
    assert verdicts(figure, data) == [True, True, True, False, True, False]
    claims = figure.claims(data)
    assert "-0.51 is that of a task with s = 1.3" in claims[2].turns
    assert shen2024._worst(data, "power", "s = 2", capped=0) == pytest.approx(2.727, abs=0.02)
    assert not verdicts(figure, changed(data, "best", "peak", 1.1, batch=4))[0]
    assert not verdicts(figure, changed(data, "best", "peak", 1.5, n=4_096))[1]
    assert not verdicts(figure, changed(data, "power", "fixed", 0.5))[4]
    # The ratio law: linear in the batch while rates are small.
    where = {"task": "s = 2", "schedule": "wsd", "n": 65_536}
    peak = {b: shen2024.column(data["best"], "peak", batch=b, **where)[0] for b in (1, 64)}
    assert peak[64] / peak[1] == pytest.approx(64.0, rel=0.02)


def test_time_transfer():
    (figure,) = filatov2024.FIGURES
    data = figure.compute("quick")
    assert verdicts(figure, data) == [False, True, True, True, True, False, True]
    assert filatov2024._slope(data, "s = 1", "constant", 1) == pytest.approx(-0.5, abs=0.01)
    assert filatov2024._slope(data, "s = 1", "linear", 1) == pytest.approx(-0.41, abs=0.01)
    n = np.asarray(data["best"]["n"])
    root = {**data, "best": {**data["best"], "peak": 1e-3 * np.sqrt(n)}}
    assert verdicts(figure, root)[:4] == [True, False, False, False]
    assert not verdicts(figure, changed(data, "aside", "loss", 10.0, n=16_384))[6]


def test_thresholds_by_batch():
    (figure,) = granziol2020.FIGURES
    data = figure.compute("tiny")
    assert verdicts(figure, data)[1:4] == [True, True, False]
    edge = granziol2020.column(data["rates"], "edge", capacity=2.0)
    # (1/B) sum lr lam / (2 - lr lam (1 + 1/B)) = 1 at the threshold.
    for batch, lr in zip(granziol2020.BATCHES, edge, strict=True):
        x = lr * granziol2020.spectrum(2.0)
        assert np.sum(x / (2.0 - x * (1.0 + 1.0 / batch))) / batch == pytest.approx(1.0, rel=1e-4)
    assert not verdicts(figure, changed(data, "rates", "edge", 0.5, batch=16))[1]
    still = {**data["runs"], "above": np.full(len(data["runs"]["above"]), 0.99)}
    assert not verdicts(figure, {**data, "runs": still})[5]


def test_ratio_of_rate_to_batch():
    (figure,) = alrashed2024.FIGURES
    data = figure.compute("quick")
    assert verdicts(figure, data) == [True, True, False, False, True]
    assert alrashed2024._best(data, "head", 1) == pytest.approx(0.0224, rel=0.01)
    flipped = {**data, "risks": {**data["risks"], "early": 1.0 / np.asarray(data["risks"]["early"])}}
    assert verdicts(figure, flipped)[3:] == [True, False]
