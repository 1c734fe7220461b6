"""Decaying stepsizes of Wu et al. 2022."""

from __future__ import annotations

import mpmath
import numpy as np
import pytest
from simlab.theory.sandwich import schedule_response
from simlab.theory.wu2022 import default_block, geometric_lr, geometric_response, polynomial_lr, wu_geometric_upper

from simlab import methods, schedules
from simlab.conformance.draws.regression import mode_risk


def exact_over_shape(steps: int, hold: int, tail_factor: str) -> float:
    """variance / (sigma^2 D/K) without the 1/2, in modes beyond k-dagger: D as printed (K^2), or corrected (K (s +
    K)).
    """
    block = default_block(steps, hold)
    lr = 0.99 / (12.0 * np.log(steps))
    lam = np.array([1.0, *(1e-3 / (lr * (hold + block)) * np.ones(8))])
    lr = lr / lam.sum()
    case = {"eigenvalues": lam, "initial_error": np.zeros(9), "noise_variance": 1.0}
    variance = mode_risk(case, methods.sgd(schedules.tail_geometric(steps, lr, hold=hold)))[1]
    x = lr * lam[1:]
    assert np.all((hold + block) * x < 1.0)
    shape = (block if tail_factor == "printed" else hold + block) * x**2
    return float(2.0 * variance[1:].sum() / shape.sum())


@pytest.mark.parametrize(("part", "excess"), [(0.5, 6.0), (0.8, 20.0)])
def test_printed_last_factor_is_violated(part: float, excess: float) -> None:
    """Notes, section 2: K^2 as printed is exceeded by up to 8 x (s = n/2) and 26 x (s = 0.8 n); K (s + K) is not.

    The factor is (s + K) / K and grows with ln n; here n = 4000.
    """
    assert exact_over_shape(4000, int(4000 * part), "printed") > excess
    assert exact_over_shape(4000, int(4000 * part), "corrected") < 1.41


def test_catalogue_says_corrected() -> None:
    assert wu_geometric_upper.provenance == "corrected"
    assert "K (s+K) for the printed K^2" in str(wu_geometric_upper.function.__doc__)


@pytest.mark.parametrize(("steps", "hold"), [(50, 0), (2000, 0), (2000, 1000), (2000, 1600), (10**6, 5 * 10**5)])
def test_fitted_constants_on_a_grid(steps: int, hold: int) -> None:
    """V_i / min{1/K, x, (s+K) x^2} in [0.16, 4/3]; GD's bias at most the bound's first two terms (notes: 1.0000)."""
    block = default_block(steps, hold)
    x = np.geomspace(1e-3 / steps, 1.0 / (12.0 * np.log(steps)), 800)
    b, noise = geometric_response(x, 1.0, steps, hold, block)
    ratio = noise / np.minimum(np.minimum(1.0 / block, x), (hold + block) * x**2)
    assert ratio.min() >= 0.16
    assert ratio.max() <= 4.0 / 3.0
    first = np.log1p(-x) * (hold + block) * 2.0 + np.log(np.where(block * x >= 1.0, 1.0 / block, x))
    kept = b > 0.0
    assert np.all(np.log(x[kept]) + 2.0 * np.log(b[kept]) <= first[kept] + 1e-9)


@pytest.mark.parametrize(("steps", "hold"), [(7, 0), (100, 31), (1000, 500)])
def test_closed_form_is_that_of_any_schedule(steps: int, hold: int) -> None:
    lam, block = np.array([0.8, 0.1, 1e-4]), default_block(steps, hold)
    closed = geometric_response(lam, 0.9, steps, hold, block)
    general = schedule_response(lam, geometric_lr(0.9, steps, hold))
    for one, other in zip(closed, general, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-12)


def test_closed_form_keeps_its_digits_over_a_million_steps() -> None:
    steps, hold = 10**6, 5 * 10**5
    lam = np.array([0.9, 1e-3, 1e-6, 1e-12])
    block = default_block(steps, hold)
    found = geometric_response(lam, 0.5, steps, hold, block)
    for i, one in enumerate(lam):
        with mpmath.workdps(40):
            product, noise, left = mpmath.mpf(1), mpmath.mpf(0), steps - hold
            sizes = [min(block, left - block * k) for k in range(-(-left // block))]
            sizes[0] += hold
            for k, n in reversed(list(enumerate(sizes))):
                x = mpmath.mpf(one) * mpmath.mpf(0.5) ** (k + 1)
                kept = (1 - x) ** n
                noise += x * (1 - kept**2) / (2 - x) * product**2
                product *= kept
            assert abs(found.noise[i] - noise) <= 1e-12 * noise
            assert abs(found.bias_factor[i] - product) <= 1e-12 * product + mpmath.mpf(10) ** -300


def test_schedules_are_those_of_simlab() -> None:
    for steps, hold in ((12, 6), (4000, 2000), (999, 0)):
        geometric = schedules.tail_geometric(steps, 0.3, hold=hold).values()
        np.testing.assert_allclose(geometric_lr(0.3, steps, hold), geometric, rtol=1e-14)
        polynomial = schedules.tail_polynomial(steps, 0.3, hold=hold, power=0.5).values()
        np.testing.assert_allclose(polynomial_lr(0.3, steps, hold, 0.5), polynomial, rtol=1e-14)
