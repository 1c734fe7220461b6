"""Figures of rates that follow a run: values that other formulas give, and claims that wrong numbers do not pass."""

from __future__ import annotations

import numpy as np
import pytest
from simlab.figures.papers import collinswoodfin2024, jin2021, wang2023
from simlab.figures.results.optima import power_law

import simlab as sl
from tests.figures.claimed import FIGURES, changed, held

pytestmark = pytest.mark.thorough


def test_the_rate_of_line_search_is_a_fixed_point():
    """Started at its own ratio of the two errors, line search stays there."""
    for low, value in ((0.5, 1.16775), (0.25, 0.86983), (0.125, 0.48368), (0.0625, 0.24799)):
        rate = collinswoodfin2024.limiting_rate(low)
        assert rate == pytest.approx(value, abs=6e-6)
        # v' = -2 gamma lam v + gamma^2 lam I of two halves, I their mean of lam v: both fall at one speed.
        lam = np.array([1.0, low])
        A = np.diag(-2 * rate * lam) + 0.5 * rate**2 * np.outer(lam, lam)
        values, vectors = np.linalg.eig(A)
        v = np.abs(vectors[:, np.argmax(values)])
        assert (lam**2 @ v) / (0.5 * (lam @ v) * (lam**2).sum()) == pytest.approx(rate, rel=1e-6)


def test_line_search_off_by_a_tenth_is_noticed():
    data = FIGURES["collinswoodfin2024-linesearch"].compute("tiny")
    assert held("collinswoodfin2024-linesearch", data)[:1] == [0]
    assert 0 not in held("collinswoodfin2024-linesearch", changed(data, "curves", "gamma", 1.4))


def test_stages_are_those_of_a_loop_that_looks_ahead():
    """Found by the exact engine, and by the limit, whose search is another one."""
    problem, stages = power_law(1.5, 1.6, 0.5, 10**4), jin2021.stages_of("T / 4", 64)
    rates, risk = jin2021.stage_greedy(problem, stages)
    loop = sl.methods.closed_loop(sl.methods.sgd(sl.schedules.constant(64, 1.0)), sl.feedback.autolrs(stages))
    trace = sl.limit(problem, loop, record="all", progress=False)
    assert risk == pytest.approx(trace.total().values[-1], rel=2e-3)
    np.testing.assert_allclose(rates, trace.dataset["rate"].values[:-1:16], rtol=0.15)
    assert jin2021.stages_of("doubling", 1_024) == [16, 32, 64, 128, 256, 528]
    assert sum(jin2021.stages_of("T / 16", 1_000)) == 1_000


def test_the_fixed_point_of_the_hypergradient_is_greedy():
    data = FIGURES["wang2023-hypergradient"].compute("tiny")
    far = wang2023._far(data, 1.3, 0.1)
    assert far < wang2023._far(data, 1.3, 0.01)
    assert wang2023._far(changed(data, "curves", "rate", 2.0, beta=0.1), 1.3, 0.1) > 0.9


def test_the_distance_is_bounded_and_its_start_forgotten():
    data = FIGURES["dadaptation2023-distance"].compute("tiny")
    assert {0, 2} <= set(held("dadaptation2023-distance", data))
    assert 0 not in held("dadaptation2023-distance", changed(data, "bounds", "d", 1.5))
    assert 0 not in held("dadaptation2023-distance", changed(data, "starts", "steps", 2.0, d0=1e-8))


def test_greedy_rates_are_held_against_the_optimum():
    data = FIGURES["results-greedy"].compute("tiny")
    assert np.all(np.asarray(data["ratios"]["ratio"]) >= 1.0 - 1e-9)
    assert 0 not in held("results-greedy", changed(data, "ratios", "ratio", 3.0, way="constant"))


def test_prodigy_never_overestimates():
    data = FIGURES["mishchenko2023-prodigy"].compute("tiny")
    assert {0, 1} <= set(held("mishchenko2023-prodigy", data))
    assert 0 not in held("mishchenko2023-prodigy", changed(data, "growth", "d", 20.0, rule="Prodigy"))
    slow = changed(data, "timed", "steps", 3.0, rule="Prodigy")
    assert 2 not in held("mishchenko2023-prodigy", slow)
    assert 3 in held("mishchenko2023-prodigy", changed(data, "noisy", "ratio", 0.0))


def test_volsched_is_judged_by_its_errors():
    data = FIGURES["ren2025-volsched"].compute("tiny")
    assert 0 not in held("ren2025-volsched", data)
    better = changed(changed(data, "ends", "risk", 0.1, weight=0.1), "ends", "error", 0.0)
    assert 0 in held("ren2025-volsched", better)
    assert 2 not in held("ren2025-volsched", changed(data, "factors", "factor", 0.1))
