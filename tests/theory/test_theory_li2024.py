"""ASGD: rules, cutoffs, rates and noise load, against eigenvalues and Lyapunov equations."""

from __future__ import annotations

import numpy as np
import pytest
from simlab.theory.li2024 import (
    asgd_cutoffs,
    asgd_noise_load_upper,
    heavy_ball_rate_lower,
    heavy_ball_rate_upper,
    jain_2018_rule,
    li_2024_rule,
)
from simlab.theory.two_state import TwoState

import simlab as sl
from simlab.conformance.draws.momentum import lyapunov_response


def test_without_the_factor_of_the_short_step_the_rate_bound_is_violated():
    """1 - lam gamma in place of 1 - lam (gamma + delta)/2 in the tail: a term made larger."""
    lam = np.arange(1.0, 33.0) ** -1.5
    rule = li_2024_rule(lam, 4)
    tail = asgd_cutoffs(lam, rule.delta, rule.gamma, rule.beta).k_dagger
    numbers = TwoState.asgd(rule.delta, rule.gamma, rule.beta)
    M = np.array([[1.0 + numbers.momentum, -numbers.momentum], [1.0, 0.0]])
    for l in lam[tail:]:
        A = M - l * np.array([[numbers.q, -numbers.momentum * numbers.delta], [0.0, 0.0]])
        assert np.abs(np.linalg.eigvals(A)).max() > 1.0 - l * rule.gamma


def test_the_parameters_of_the_notes():
    """d = 2000, lam = i^-2, delta = 0.1, k~ = 5, psi = 3: gamma .922, beta .00723, alpha .9928, cutoffs 0, 2, 11."""
    lam = np.arange(1.0, 2001.0) ** -2.0
    rule = li_2024_rule(lam, 5, delta=0.1)
    np.testing.assert_allclose(rule, [0.1, 0.922, 0.00723, 0.9928], rtol=1e-3)
    cut = asgd_cutoffs(lam, rule.delta, rule.gamma, rule.beta, [500, 2000])
    assert (cut.k_ddagger, cut.k_hat, cut.k_dagger) == (0, 2, 11)


@pytest.mark.parametrize(("k", "head", "tail"), [(5, 0.153, 0.044), (10, 0.165, 0.041), (20, 0.171, 0.040)])
def test_the_noise_load_of_the_notes_and_its_bound(k, head, tail):
    """Head near 1/(2 psi) = .167 and tail near 1/(8 psi) = .042, delta = .1, psi = 3."""
    lam = np.arange(1.0, 2001.0) ** -2.0
    rule = li_2024_rule(lam, k, delta=0.1)
    load = lam**2 * lyapunov_response(TwoState.asgd(rule.delta, rule.gamma, rule.beta), lam)
    assert load[:k].sum() == pytest.approx(head, abs=6e-4)
    assert load[k:].sum() == pytest.approx(tail, abs=6e-4)
    bound = asgd_noise_load_upper(lam, k, rule.delta, rule.gamma, rule.beta)
    assert load[:k].sum() <= bound.head <= 2.5 * load[:k].sum()
    assert load[k:].sum() <= bound.tail <= 2.5 * load[k:].sum()


def test_the_rules_are_those_of_simlab():
    problem = sl.LinearRegression.power_law(50, 1.5, 1.2)
    theirs = sl.methods.jain_2018_rule(problem, 0.3)
    assert jain_2018_rule(problem.eigenvalues, 0.3)._asdict() == pytest.approx(theirs, rel=1e-12)
    theirs = sl.methods.li_2024_rule(problem, 7, psi=2.0)
    assert li_2024_rule(problem.eigenvalues, 7, psi=2.0)._asdict() == pytest.approx(theirs, rel=1e-12)


def test_with_equal_steps_asgd_is_sgd():
    """gamma = delta and w_0 = v_0: the risk of SGD at every step, by cancellation of a pole."""
    problem = sl.LinearRegression.power_law(20, 1.5, 1.2, 0.5)
    flat = sl.schedules.constant(200, 0.1)
    runs = [sl.methods.sgd(flat), sl.methods.asgd(flat, 0.1, 0.07)]
    risk = sl.exact(problem, runs, record="all", progress=False).risk
    np.testing.assert_allclose(risk[1], risk[0], rtol=1e-11, atol=1e-15)


def test_heavy_ball_bounds_meet_where_the_roots_are_equal():
    """At lr lam = (1 - sqrt c)^2 the lower bound is attained; the upper is 1 - (1 - sqrt c)/(1 + sqrt c)."""
    c = 0.81
    lam = np.array([(1.0 - np.sqrt(c)) ** 2])
    assert heavy_ball_rate_lower(lam, 1.0, c)[0] == pytest.approx(np.sqrt(c), rel=1e-12)
    assert heavy_ball_rate_upper(lam, 1.0, c)[0] == pytest.approx(1.0 - 0.1 / 1.9, rel=1e-12)
