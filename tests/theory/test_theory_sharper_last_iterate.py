"""The sharper bound and the exact worst case: certificates, semidefinite programs (PEPit), the numbers of notes
7.3b."""

from __future__ import annotations

import itertools
import warnings

import numpy as np
import pytest
from simlab.theory.hard_instance import hard_instance, sharper_attained
from simlab.theory.schaipp2025 import schaipp_last_iterate, schaipp_optimal_base_lr
from simlab.theory.sharper_last_iterate import (
    iterate_squares,
    minimise_last_square,
    sharper_last_iterate,
    worst_case_last_iterate,
    worst_case_optimal_base_lr,
)

from simlab.conformance.checks.hard_instance import NOT_ATTAINED
from simlab.conformance.draws.convex import worst_case, wsd_profile


def semidefinite(lr: np.ndarray, norms: np.ndarray, distance: float) -> float:
    """The worst case of f(x_T) - f* over all convex functions, by performance estimation; lr[:-1] is used."""
    pepit = pytest.importorskip("PEPit")
    from PEPit.functions import ConvexFunction

    problem = pepit.PEP()
    f = problem.declare_function(ConvexFunction)
    minimiser, x = f.stationary_point(), problem.set_initial_point()
    problem.set_initial_condition((x - minimiser) ** 2 <= distance**2)
    for rate, norm in itertools.zip_longest(lr[:-1], norms):
        gradient, value = f.oracle(x)
        problem.add_constraint(gradient**2 <= norm**2)
        if rate is not None:
            x = x - rate * gradient
    problem.set_performance_metric(value - f(minimiser))
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        return float(problem.solve(verbose=0))


@pytest.mark.parametrize("seed", range(60))
def test_every_schedule_has_its_worst_function(seed):
    """The proof for constant norms, as numbers: wild schedules over six decades, distances on both sides of G R."""
    rng = np.random.default_rng(seed)
    lr = np.exp(rng.choice([0.1, 1.0, 3.0]) * rng.standard_normal(int(rng.integers(1, 40))))
    norm, distance = float(np.exp(rng.normal())), float(np.sum(lr) * np.exp(2.0 * rng.normal()))
    instance = hard_instance(lr, norm, distance)
    assert instance.valid
    stated = worst_case_last_iterate(lr, norm, distance)
    assert instance.bound == pytest.approx(float(stated), rel=1e-9)
    assert worst_case(lr, norm, distance) == pytest.approx(float(stated), rel=1e-6)


@pytest.mark.parametrize("seed", range(5))
def test_closed_form_is_the_minimum_over_rho(seed):
    """Constant norms: recursion with a maximum = minimisation over rho of the recursion without."""
    rng = np.random.default_rng(seed)
    lr = np.exp(rng.normal(size=30))
    distance = float(np.sum(lr) * 10.0 ** rng.uniform(-1, 1))
    norms = np.full(30, 2.0)
    value, _ = minimise_last_square(lr[:-1], norms, distance)
    assert value == pytest.approx(float(worst_case_last_iterate(lr, 2.0, distance)), rel=1e-9)


def test_norms_that_hardly_differ_change_hardly_anything():
    lr = 0.1 * wsd_profile(50, 10)
    norms = 1.0 + 1e-9 * np.arange(50)
    assert sharper_last_iterate(lr, norms, 2.0) == pytest.approx(float(worst_case_last_iterate(lr, 1.0, 2.0)), rel=1e-7)


def test_wild_schedules_iterate_to_the_plain_recursion():
    rng = np.random.default_rng(0)
    lr = np.exp(4.0 * rng.standard_normal(500))
    y, plain = iterate_squares(lr, np.array(0.3), free=False), [0.3]
    for eta in lr[::-1]:
        plain.append(plain[-1] + 2.0 * eta + eta**2 / plain[-1])
    np.testing.assert_allclose(y[::-1], plain, rtol=1e-12)


def test_right_at_a_million_steps():
    """Against the recursion step by step in 80-bit arithmetic; R - 2 S, a millionth of R, as a sum of its own."""
    steps = 10**6
    lr = 0.1 * wsd_profile(steps, steps // 5)
    with np.errstate(all="ignore"):
        reach = slack = np.longdouble(0.0)
        for eta in np.asarray(lr[-2::-1], dtype=np.longdouble):
            value = max(reach, eta)
            gain = eta * eta / value + (value - reach)
            reach, slack = reach + 2 * eta + gain, slack + gain
        exact = np.sqrt(slack / reach)
    assert float(worst_case_optimal_base_lr(lr).bound) == pytest.approx(float(exact), rel=1e-12)


def test_horizons():
    lr = 0.3 * wsd_profile(60, 20)
    at = np.arange(1, 61)
    every = worst_case_last_iterate(lr, 1.5, 4.0, at)
    np.testing.assert_allclose(every, [float(worst_case_last_iterate(lr[:t], 1.5, 4.0)) for t in at], rtol=1e-12)
    assert every[0] == pytest.approx(6.0)  # G D: no step yet
    norms = np.linspace(2.0, 1.0, 60)
    some = sharper_last_iterate(lr, norms, 4.0, [3, 60])
    np.testing.assert_allclose(some, [float(sharper_last_iterate(lr[:t], norms[:t], 4.0)) for t in (3, 60)], rtol=1e-9)
    assert np.all(sharper_last_iterate(lr, norms, 4.0, at) <= schaipp_last_iterate(lr, norms, 4.0) * (1 + 1e-9))


def test_numbers_of_the_notes():
    """Section 7.3b: B* sqrt(T), Omega*/B*; linear decay attains D G / sqrt(T); semidefinite values at T = 60."""
    table = {
        "wsd": (1.0830, 1.0801),
        "linear": (1.0004, 1.0000),
        "cosine": (1.0289, 1.0300),
        "constant": (1.5337, 1.7128),
    }
    for column, steps in enumerate((400, 4000)):
        profiles = {
            "wsd": wsd_profile(steps, steps // 5),
            "linear": wsd_profile(steps, steps),
            "cosine": 0.5 + 0.5 * np.cos(np.pi * np.arange(steps) / steps),
            "constant": np.ones(steps),
        }
        for name, h in profiles.items():
            best = worst_case_optimal_base_lr(h)
            assert float(best.bound) * np.sqrt(steps) == pytest.approx(table[name][column], abs=6e-5)
            ratio = float(schaipp_optimal_base_lr(h, horizons=steps).bound / best.bound)
            low, high = (1.79, 1.84) if name == "constant" else (2.0, 2.02)
            assert low < ratio < high
    assert 1.41 < 1.5337 / 1.0830 < 1.42
    assert np.sqrt(1.0 + np.log(4000) / 4) == pytest.approx(1.753, abs=1e-3)  # Zamani and Glineur, above 1.7128


def test_linear_decay_is_optimal():
    """gamma* = D / (G sqrt T), D G / sqrt T for steps 1 - t/T; every other profile is worse."""
    for steps in (2, 3, 10, 100):
        linear = 1.0 - np.arange(1, steps + 1) / steps
        linear[-1] = 1.0  # not used
        best = worst_case_optimal_base_lr(linear, 2.0, 3.0)
        assert float(best.bound) == pytest.approx(6.0 / np.sqrt(steps), rel=1e-12)
        assert float(best.lr) == pytest.approx(1.5 / np.sqrt(steps), rel=1e-12)
        rng = np.random.default_rng(steps)
        for _ in range(20):
            rough = linear * np.exp(0.3 * rng.standard_normal(steps))
            assert float(worst_case_optimal_base_lr(rough, 2.0, 3.0).bound) >= float(best.bound) * (1.0 - 1e-12)


def test_small_semidefinite_programs():
    """T <= 3, norms equal and not; the notes' conjecture of exactness for any norms, refuted."""
    rng = np.random.default_rng(3)
    for case in range(6):
        steps = 2 + case % 2
        lr = 0.5 * np.exp(rng.standard_normal(steps))
        norms = np.ones(steps) if case < 3 else np.exp(0.3 * rng.standard_normal(steps))
        found = semidefinite(lr, norms, 1.0)
        assert float(sharper_last_iterate(lr, norms, 1.0)) >= found * (1.0 - 1e-4)
        if hard_instance(lr, norms, 1.0).valid:
            assert sharper_attained(lr, norms, 1.0) == pytest.approx(found, rel=1e-4)
    found = semidefinite(*NOT_ATTAINED.values())
    bound = float(sharper_last_iterate(*NOT_ATTAINED.values()))
    assert found == pytest.approx(6.983, abs=2e-3)
    assert bound == pytest.approx(7.143, abs=2e-3)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(60))
def test_semidefinite_programs(seed):
    """Random schedules up to 12 steps. Equal norms: the worst case. Others: a bound, exact wherever it claims to be."""
    rng = np.random.default_rng(seed)
    steps = int(rng.integers(2, 13))
    lr = 0.4 * np.exp(rng.choice([0.1, 0.5, 1.5]) * rng.standard_normal(steps))
    norms = np.ones(steps) if seed < 20 else np.exp(rng.choice([0.1, 0.3, 0.7]) * rng.standard_normal(steps))
    distance = float(np.exp(rng.normal()))
    found = semidefinite(lr, norms, distance)
    bound = float(sharper_last_iterate(lr, norms, distance))
    assert bound >= found * (1.0 - 1e-4)
    if seed < 20 or hard_instance(lr, norms, distance).valid:
        assert bound == pytest.approx(found, rel=1e-4)
