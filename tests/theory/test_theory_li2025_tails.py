"""EMA, tail averages and schedules that stand for one another."""

from __future__ import annotations

import numpy as np
import pytest
from simlab.theory.li2025_tails import dual_schedule, ema_stationary_response
from simlab.theory.meterez2025 import tail_response

from simlab.conformance.draws.regression import averaged, mode_risk, sgd


@pytest.mark.parametrize("window", [1, 2, 5, 19, 199, 1999, 10**6])
def test_ema_over_tail_on_a_grid(window: int) -> None:
    """Notes, section 3: EMA / tail in [0.88, 1.00] for alpha = .9, .99, .999 (windows 19, 199, 1999)."""
    x = np.geomspace(1e-4 / window, 0.999, 3000)
    tail = tail_response(x, 1.0, window, hold=10**7 * window).noise
    ratio = ema_stationary_response(x, 1.0, window) / tail
    assert ratio.min() >= 0.8776
    assert ratio.max() <= 1.0 + 1e-12
    if window >= 199:
        assert ratio.min() == pytest.approx(0.8777, abs=2e-4)


def test_least_ratio_is_that_of_the_limit() -> None:
    y = np.linspace(0.5, 10.0, 200_001)
    limit = y**2 / ((2.0 + y) * (y - 1.0 + np.exp(-y)))
    assert limit.min() == pytest.approx(0.87769, abs=1e-5)
    assert y[limit.argmin()] == pytest.approx(2.69, abs=5e-3)


def test_tail_average_is_dual_to_linear_decay() -> None:
    weights = np.concatenate([np.zeros(6), np.full(5, 0.2)])
    np.testing.assert_allclose(dual_schedule(np.ones(10), weights), [1] * 6 + [0.8, 0.6, 0.4, 0.2], rtol=1e-14)


def test_ema_is_dual_to_a_saturating_exponential() -> None:
    n, alpha = 50, 0.9
    weights = np.zeros(n + 1)
    weights[:-1] = (1.0 - alpha) * alpha ** np.arange(n - 1.0, -1.0, -1.0)
    weights[0] += alpha**n
    dual = dual_schedule(np.full(n, 0.3), weights)
    np.testing.assert_allclose(dual, 0.3 * (1.0 - alpha ** (n - 1.0 - np.arange(n))), rtol=1e-12, atol=1e-16)


def test_dual_schedules_of_the_notes() -> None:
    """Notes, section 3: risk of the dual schedule over that of the average in [0.998, 1.91], d = 500, N = 4000, 12
    cases.

    Averaging is as good or better but for a fraction of a per cent: the two differ only where lr lam_i t > 1.
    """
    steps, ratios = 4000, []
    i = np.arange(1.0, 501.0)
    for capacity in (1.0, 2.0):
        lam = i**-capacity
        lr = np.full(steps, 0.5 / (3.0 * lam.sum()))
        for error in (np.ones(500), i**-1, i**-10):
            problem = {"eigenvalues": lam, "initial_error": error, "noise_variance": 1.0}
            for first in (0, steps // 2):
                weights = np.where(np.arange(steps + 1) >= first, 1.0, 0.0)
                weights /= weights.sum()
                pair = (sgd(dual_schedule(lr, weights)), averaged(sgd(lr), weights))
                dual, average = (sum(part.sum() for part in mode_risk(problem, method)) for method in pair)
                ratios.append(dual / average)
    assert len(ratios) == 12
    assert 0.9 < min(ratios) < 1.2
    assert 1.2 < max(ratios) < 2.5
