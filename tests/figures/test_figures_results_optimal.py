"""Figures of optimal schedules: what is claimed of them is not claimed of numbers that are wrong."""

from __future__ import annotations

import numpy as np
import pytest
from simlab.figures.results import (
    optimal_batches,
    optimal_lengths,
    optimal_momentum,
)

from tests.figures.claimed import FIGURES, changed, held

pytestmark = pytest.mark.thorough


def tiny(name):
    return FIGURES[name].compute("tiny")


def test_law_and_optimum_are_held_against_the_exact_engine():
    data = tiny("results-law")
    assert held("results-law", data) == [0, 1, 2, 3]
    assert 0 not in held("results-law", changed(data, "optimum", "exact", 1.0 + 1e-8))
    assert held("results-law", changed(data, "ends", "risk", 1.001, schedule="full law")) == [0, 2]
    assert held("results-law", changed(data, "ends", "risk", 1.02, schedule="short law")) == [0, 1, 3]
    assert held("results-law", changed(data, "ends", "risk", 0.99, schedule="power")) == [0, 1, 2]


def test_exponents_of_short_runs_are_not_those_of_the_limit():
    assert held("results-lengths", tiny("results-lengths")) == []
    decade = np.array([4.0, 6.0, 8.0, 10.0, 12.0])
    law = {key: [] for key in ("case", "decade", "peak", "decay", "half")}
    risks = {key: [] for key in ("case", "decade", "risk")}
    for case in optimal_lengths.CASES:
        decay, peak, risk = optimal_lengths._limits(case)
        law["case"] += [case] * 5
        law["decade"] += decade.tolist()
        law["peak"] += (10.0 ** (-peak * decade) * (1.0 + 1e-6 * decade)).tolist()
        law["decay"] += [0.4 * decay, 0.6 * decay, 0.8 * decay, 0.9 * decay, 0.97 * decay]
        law["half"] += [0.3, 0.15, 0.08, 0.04, 0.015]
        risks["case"] += [case] * 5
        risks["decade"] += decade.tolist()
        risks["risk"] += (10.0 ** (-risk * decade)).tolist()
    data = {"law": law, "risks": risks}
    assert held("results-lengths", data) == [0, 1, 2, 3, 4]
    assert held("results-lengths", changed(data, "law", "decay", 0.9, case="easy")) == [1, 2, 3, 4]
    assert held("results-lengths", changed(data, "law", "half", 2.0, case="hard")) == [0, 2, 3, 4]
    assert held("results-lengths", changed(data, "law", "peak", 2.0, case="hard", decade=12.0)) == [0, 1, 3, 4]
    assert held("results-lengths", changed(data, "risks", "risk", 1.5, decade=12.0)) == [0, 1, 2]


def test_cooldowns_are_compared_cell_by_cell():
    data = tiny("results-cooldowns")
    assert held("results-cooldowns", data) == [0, 2, 3]
    assert 0 not in held("results-cooldowns", changed(data, "wsd", "cooldown", 2.0, noise=0.01))
    assert held("results-cooldowns", changed(data, "wsd", "regret", 0.1, shape="1-sqrt")) == [0, 2]
    assert 2 not in held("results-cooldowns", changed(data, "wsd", "regret", 4.0))


def hump(end):
    """A momentum that rises from zero to one and is zero again from `end` of the run on."""
    at = np.arange(1_000) / 1_000
    return at, np.interp(at, [0.0, 0.1, end], [0.0, 1.0, 0.0])


@pytest.mark.parametrize(("easy", "hard", "wanted"), [(0.8, 0.95, [0, 2, 3]), (0.9, 0.8, [1, 2, 3])])
def test_where_momentum_ends_is_seen(easy, hard, wanted):
    steps = {key: [] for key in ("case", "batch", "at", "momentum")}
    risks = {key: [] for key in ("case", "batch", "sgd", "free", "smooth", "left")}
    for case in optimal_momentum.CASES:
        for batch, gain in zip(optimal_momentum.BATCHES, (1.01, 1.2, 2.0), strict=True):
            at, momentum = hump(hard if case == optimal_momentum.HARD else easy)
            rows = {"case": [case] * at.size, "batch": [batch] * at.size, "at": at, "momentum": momentum}
            for key, values in rows.items():
                steps[key].extend(values)
            row = {"case": case, "batch": batch, "sgd": gain, "free": 1.0, "smooth": 1.0001, "left": 1e-6}
            for key, value in row.items():
                risks[key].append(value)
    data = {"steps": steps, "risks": risks}
    assert held("results-momentum", data) == wanted
    assert 2 not in held("results-momentum", changed(data, "risks", "smooth", 1.001))
    assert 3 not in held("results-momentum", changed(data, "risks", "sgd", 0.6, batch=64))


def test_averages_that_win_nothing_are_found_out():
    data = tiny("results-averages")
    assert held("results-averages", data) == [0]
    assert held("results-averages", changed(data, "risks", "risk", 1.05, way="both free")) == []
    longer = changed(data, "risks", "risk", 0.98, way="constant + EMA")
    longer = changed(longer, "risks", "risk", 1.025, way="constant + EMA", problem="2, 1.5, 0.01")
    assert held("results-averages", longer) == [0, 1]
    assert held("results-averages", changed(longer, "risks", "risk", 1.1, way="constant")) == [0, 1, 2]


def test_a_shape_that_loses_on_its_own_spectrum_is_none():
    data = tiny("results-transfer")
    assert held("results-transfer", data) == [1]
    other = np.asarray(data["risks"]["problem"]) != np.asarray(data["risks"]["shape"])
    asis = np.asarray(data["risks"]["asis"])
    lost = {**data, "risks": {**data["risks"], "asis": np.where(other, 1.5 * asis, asis)}}
    assert held("results-transfer", lost) == [0, 1]
    assert held("results-transfer", changed(lost, "risks", "asis", 1.5)) == [1]
    assert held("results-transfer", changed(data, "risks", "level", 1.2)) == []


def test_prices_of_horizons_are_those_of_the_exact_engine():
    data = tiny("results-horizons")
    assert held("results-horizons", data) == [0, 2]
    assert held("results-horizons", changed(data, "prices", "said", 1.0 + 1e-5)) == [2]
    assert held("results-horizons", changed(data, "prices", "bound", 0.99)) == [2]
    assert held("results-horizons", changed(data, "ratios", "ratio", 0.93, kind="constant + average")) == [0, 2, 3]
    assert held("results-horizons", changed(data, "ratios", "ratio", 0.95, kind="power of the step")) == [0]


def test_growth_is_held_against_decay_at_either_limit():
    data = tiny("results-batches")
    assert held("results-batches", data) == [1]
    worse = changed(data, "risks", "risk", 1.05, way=optimal_batches.WAYS[2], limit=optimal_batches.LIMITS[1])
    assert held("results-batches", worse) == []
    dear = changed(data, "risks", "risk", 1.2, way=optimal_batches.WAYS[0])
    assert held("results-batches", dear) == [0, 1]
