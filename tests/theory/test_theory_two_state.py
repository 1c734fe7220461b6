"""The three-number description of momentum methods: closed forms against Lyapunov equations, radii and long runs."""

from __future__ import annotations

import mpmath
import numpy as np
import pytest
from simlab.theory.two_state import (
    TwoState,
    two_state_canonical,
    two_state_critical_lr,
    two_state_mass,
    two_state_response,
)

import simlab as sl
from simlab.conformance.draws import momentum as tools
from simlab.engines.stability import second_moment_radius
from tests.oracles.method_zoo import FROZEN

LAM = np.arange(1.0, 9.0) ** -1.5


NAMED = {
    "sgd": TwoState.sgd(0.1),
    "heavy_ball": TwoState.polyak(0.1, 0.9),
    "nesterov": TwoState.nesterov(0.1, 0.9),
    "torch_nesterov": TwoState.nesterov(0.1, 0.8),
    "qhm": TwoState.qhm(0.1, 0.95, 0.7),
    "asgd": TwoState.asgd(0.1, 0.4, 0.1),
    "asgd_alpha": TwoState.asgd(0.1, 0.4, 0.1, 0.8),
    "acc_sgd": TwoState.acc_sgd(0.1, 20.0, 3.0),
    "dana": TwoState.dana(0.1, 0.02, 8.0 / 58.0),
    "schedule_free": TwoState.schedule_free(0.1, 0.9, 1.0 / 31.0),
}


@pytest.mark.parametrize("name", [name for name in NAMED if name != "sgd"])
def test_the_three_numbers_of_named_methods(name):
    """The constructors against the matrices of simlab's own methods."""
    make, at = FROZEN[name]
    M, b, c = (part[0] for part in make(1).coefficients(at, at + 1))
    np.testing.assert_allclose(two_state_canonical(M, b, c), NAMED[name], rtol=1e-12)


@pytest.mark.parametrize("kurtosis", [1.0, 3.0, 6.0])
@pytest.mark.parametrize("name", NAMED)
def test_critical_learning_rates_of_named_methods(name, kurtosis):
    """Against the spectral radius of simlab's operator, to 1e-8 from either side."""
    (make, at), numbers = FROZEN[name], NAMED[name]
    method = make(1)
    problem = sl.LinearRegression(LAM, 1.0, 0.0, kurtosis)
    factor = two_state_critical_lr(LAM, *numbers, kurtosis=kurtosis)
    modes = problem.modes()
    inside = second_moment_radius(method.rescale(factor * (1.0 - 1e-8)), modes, at, at + 1)
    outside = second_moment_radius(method.rescale(factor * (1.0 + 1e-8)), modes, at, at + 1)
    assert inside < 1.0 < outside


def test_critical_learning_rates_of_the_notes():
    """lam = i^-1.5, d = 8, B = 4, rho = 0.9: 1.285725 (SGD), 0.286759 (Polyak), 0.566166 (Nesterov)."""
    found = [
        two_state_critical_lr(LAM, *unit, batch=4.0)
        for unit in (TwoState.sgd(1.0), TwoState.polyak(1.0, 0.9), TwoState.nesterov(1.0, 0.9))
    ]
    np.testing.assert_allclose(found, [1.285725, 0.286759, 0.566166], atol=6e-7)


@pytest.mark.parametrize(("condition", "batch"), [(1e2, 79), (1e3, 146), (1e4, 335)])
def test_batch_that_full_heavy_ball_acceleration_needs(condition, batch):
    """K = 1 at rho = ((sqrt k - 1)/(sqrt k + 1))^2, lr = 1/lam_1, 200 log-spaced modes: the notes round B down."""
    lam = np.geomspace(1.0, 1.0 / condition, 200)
    root = np.sqrt(condition)
    method = TwoState.polyak(1.0, ((root - 1.0) / (root + 1.0)) ** 2)
    assert two_state_mass(lam, *method, batch=batch + 1) < 1.0 < two_state_mass(lam, *method, batch=batch)


@mpmath.workdps(50)
def test_response_and_mass_keep_their_digits_for_tiny_eigenvalues():
    """Against 50 digits at lam down to 1e-18 and momentum 1 - 1e-10."""
    lam = np.array([1.0, 1e-6, 1e-12, 1e-18])
    c, delta, q = TwoState.nesterov(1e-3, 1.0 - 1e-10)
    m, d, w = mpmath.mpf(c), mpmath.mpf(delta), mpmath.mpf(q)
    for l, found in zip(lam, two_state_response(lam, c, delta, q), strict=True):
        l = mpmath.mpf(float(l))
        top = (1 + m) * (w - m * d) + m * d * l * (w + m * d)
        exact = top / (l * (1 - m + m * d * l) * (2 * (1 + m) - (w + m * d) * l))
        assert abs(found / exact - 1) < 1e-12


def test_effective_step_of_asgd_is_the_mean_of_its_two_steps():
    assert TwoState.asgd(0.1, 0.7, 0.03).effective_lr == pytest.approx(0.4, rel=1e-12)


def test_dropping_the_short_step_is_caught():
    """Nesterov's floor with heavy ball's formula: a term left out."""
    method = TwoState.nesterov(0.05, 0.9)
    right = tools.lyapunov_response(method, LAM)
    wrong = two_state_response(LAM, method.momentum, 0.0, method.q)
    assert np.all(np.abs(wrong / right - 1.0) > 1e-3)
