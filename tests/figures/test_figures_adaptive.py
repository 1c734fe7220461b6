"""Figures of signs and of Adam's family: values that other formulas give, and claims that wrong numbers do not pass."""

from __future__ import annotations

import numpy as np
import pytest
from simlab.figures.papers import dremov2025_beta2, liu2019, luo2019, surge2024, xiao2024, xie2024, zhang2024
from simlab.figures.results import adam

pytestmark = pytest.mark.thorough


def test_the_best_step_of_signs_along_eigenvectors():
    """H = 1, batch 1: E sign g_i = 2 / pi arcsin(e / sqrt(R + noise)), and no two coordinates meet."""
    dim, error = 8, 0.2
    task = surge2024.problem(dim, 0.0, error)
    rate, _ = surge2024.best_step(task, 1, 200_000)
    wanted = error * 2.0 / np.pi * np.arcsin(error / np.sqrt(dim * error**2 + 1.0))
    assert rate == pytest.approx(wanted, rel=0.02)


def test_equal_correlation_is_what_the_problem_has():
    task = surge2024.problem(6, 0.3, 0.1)
    Q = task.rotation
    H = Q @ np.diag(task.eigenvalues) @ Q.T
    np.testing.assert_allclose(H, 0.7 * np.eye(6) + 0.3, atol=1e-12)
    np.testing.assert_allclose(np.abs(Q @ task.initial_error), 0.1, atol=1e-12)


def test_floor_of_signs():
    found = xiao2024._floor(0.25, 0.004, 3_000)
    assert found["risk"] == pytest.approx(found["formula"], rel=0.03)
    assert xiao2024._floor(0.25, 0.002, 4_000)["risk"] == pytest.approx(0.5 * found["risk"], rel=0.1)


def test_the_variance_of_an_inverse_root():
    t = np.array([6.0, 20.0])
    rng = np.random.default_rng(0)
    drawn = [np.var(1.0 / np.sqrt(np.mean(rng.standard_normal((400_000, int(n))) ** 2, axis=1))) for n in t]
    np.testing.assert_allclose(liu2019._variance(t), drawn, rtol=0.05)


def test_warmups_are_factors_of_one_decay():
    runs = liu2019._runs(200, 0.1, 0.95)
    decay, linear = (runs[name].learning_rate.values() for name in ("Adam", "Adam, linear warmup"))
    np.testing.assert_allclose(linear[:40] / decay[:40], np.arange(1, 41) / 40)
    np.testing.assert_allclose(linear[40:], decay[40:])


def test_blocks_of_one_scale_and_of_all_have_one_spectrum():
    rng = np.random.default_rng(0)
    for sets in zhang2024.FAMILIES.values():
        matrices = [zhang2024._dense(rng, values) for values in sets]
        left, condition = zhang2024._descent(matrices, np.ones(9), np.ones(9), 50)
        assert condition == pytest.approx(5_000.0, rel=1e-8)
        assert 0.0 < left < 1.0
    scaled = np.repeat([2.0, 100.0, 4_999.0], 3)
    matrices = [zhang2024._dense(rng, values) for values in zhang2024.FAMILIES["blocks differ"]]
    assert zhang2024._descent(matrices, np.ones(9), scaled, 50)[1] == pytest.approx(3.0, rel=0.01)


def test_rotations_turn_and_leave_sgd_alone():
    Q = xie2024.rotation(6, 0.3, 0)
    np.testing.assert_allclose(Q @ Q.T, np.eye(6), atol=1e-12)
    data = xie2024.compute("tiny")
    sound = {claim.text: claim for claim in xie2024.claims(data)}
    assert sound["SGD does not see the rotation, nor AdaSGD"].holds
    table = data["runs"]
    mixed = {**table, "way": np.roll(np.asarray(table["way"]), 1)}
    assert [c.holds for c in xie2024.claims({"runs": mixed})] != [c.holds for c in sound.values()]


def test_what_the_limit_says_of_itself_is_believed_only_within_it():
    data = adam.compute("tiny")
    assert adam.claims(data)[2].holds
    table = data["ends"]
    wrong = {**table, "limit": 4.0 * np.asarray(table["limit"])}
    assert not adam.claims({"ends": wrong})[2].holds


def test_a_beta_that_helps_would_be_seen():
    table = dremov2025_beta2.compute("tiny")["ends"]
    beta2 = np.asarray(table["beta2"])
    better = {**table, "risk": np.asarray(table["risk"]) * np.where(beta2 == 0.999, 0.5, 1.0)}
    assert [claim.holds for claim in dremov2025_beta2.claims({"ends": better})[:2]] == [True, True]


def test_adabound_with_shut_bounds_is_momentum():
    """Bounds that close at once leave the final rate, which is that of the exact engine's heavy ball."""
    data = luo2019.compute("quick")
    claims = luo2019.claims(data)
    assert [claim.holds for claim in claims] == [True, True, False]
    table = data["curves"]
    late = {**table, "risk": np.asarray(table["risk"]) * np.where(np.asarray(table["run"]) == "SGD, 0.05", 1.2, 1.0)}
    assert not luo2019.claims({"curves": late})[1].holds
