"""AdamW as a moving average: against AdamW, the numbers of notes 5, mpmath at T = 10^6."""

from __future__ import annotations

import mpmath
import numpy as np
import pytest
from simlab.theory.bergsma2025 import adamw_coefficients, adamw_effective_updates
from simlab.theory.tian2025 import decayed_risk

from simlab.conformance.checks.bergsma2025 import CHECKS


def test_an_update_too_late_is_caught():
    """The coefficients shifted by a step, as when the decay acts after the update instead of with it."""
    check = CHECKS[0]
    arguments = check.draw(np.random.default_rng(1))
    c = adamw_coefficients(**arguments)
    alpha = arguments["lr"] * arguments["weight_decay"]
    late = np.concatenate([c[:1], c[1:] * (1.0 - alpha)])
    assert abs(np.sum(late) - 1.0) > 1e-3


def test_numbers_of_the_notes():
    """T = 1000, peak alpha .05: constant, to a tenth, linear and cosine to zero; last over largest coefficient."""
    u = np.arange(1000) / 1000
    shapes = {
        "constant": (np.ones(1000), 39, 1.0, 1e-12),
        "tenth": (1.0 - 0.9 * u, 248, 0.93, 5e-3),
        "linear": (1.0 - u, 318, 0.0116, 5e-5),
        "cosine": (0.5 + 0.5 * np.cos(np.pi * u), 351, 3e-5, 5e-6),
    }
    for h, number, last, atol in shapes.values():
        assert adamw_effective_updates(0.5 * h, 0.1) == pytest.approx(number, abs=0.5)
        c = adamw_coefficients(0.5 * h, 0.1)
        assert c[-1] / np.max(c) == pytest.approx(last, abs=atol)


def test_constant_rate():
    """n_eff -> (2 - alpha) / alpha; c_0 = (1 - alpha)^T."""
    assert adamw_effective_updates(np.full(3000, 0.1), 0.3) == pytest.approx((2.0 - 0.03) / 0.03, rel=1e-12)
    assert adamw_coefficients(np.full(50, 0.1), 0.3)[0] == pytest.approx(0.97**50, rel=1e-12)


def test_right_to_1e_12_at_a_million_steps():
    """The remaining weight of the start where alpha is far below what 1 - alpha can hold."""
    steps = 10**6
    lr = 0.1 * (1.0 - np.arange(steps) / steps)
    decays = [1e-9, 1e-5, 1e-3]
    c = adamw_coefficients(lr, decays)
    for row, decay in enumerate(decays):
        # prod_t (1 - a + a t / T) = (a / T)^T Gamma(x + T) / Gamma(x), x = (1 - a) T / a
        with mpmath.workdps(60):
            a = mpmath.mpf(decay) * mpmath.mpf(0.1)
            x = (1 - a) * steps / a
            log = steps * mpmath.log(a / steps) + mpmath.loggamma(x + steps) - mpmath.loggamma(x)
            assert float(abs(mpmath.mpf(c[row, 0]) / mpmath.exp(log) - 1)) < 1e-12
    np.testing.assert_allclose(np.sum(c, axis=1), 1.0, rtol=1e-12)


def test_modes_of_a_quadratic_have_the_same_coefficients():
    """SGD on curvature lam averages noisy minima of variance c / lam^2 with these weights."""
    lam, lr = np.array([1.0, 0.1, 0.01]), 0.5 * (1.0 - np.arange(200) / 200)
    c = adamw_coefficients(lr, lam)
    risk = decayed_risk(lam, 3.0, 0.7, lr)
    np.testing.assert_allclose(0.5 * lam * (3.0 * c[:, 0]) ** 2, risk.bias, rtol=1e-12)
    np.testing.assert_allclose(0.5 * lam * 0.7 / lam**2 * np.sum(c[:, 1:] ** 2, axis=1), risk.variance, rtol=1e-12)
