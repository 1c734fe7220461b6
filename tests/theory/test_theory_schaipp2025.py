"""Schaipp et al.'s bound: the published double sum, mpmath at T = 10^6, the numbers of notes 7.3, negative controls."""

from __future__ import annotations

import decimal
from collections.abc import Callable
from typing import Any

import mpmath
import numpy as np
import pytest
from simlab.theory.schaipp2025 import schaipp_last_iterate, schaipp_optimal_base_lr, schaipp_wsd, wsd_limit
from simlab.theory.sums import memory_sums, prefix_sums, suffix_sums

from simlab.conformance.draws.convex import double_sum, wsd_profile


@pytest.mark.parametrize("seed", range(6))
def test_simplified_form_is_the_double_sum(seed):
    rng = np.random.default_rng(seed)
    steps = int(rng.integers(1, 700))
    lr, norms = np.exp(2.0 * rng.standard_normal(steps)), np.exp(rng.standard_normal(steps))
    published = [double_sum(lr, norms, 3.0, t) for t in range(1, steps + 1)]
    np.testing.assert_allclose(schaipp_last_iterate(lr, norms, 3.0), published, rtol=1e-12)
    at = np.arange(1, steps + 1)[::7]
    np.testing.assert_allclose(schaipp_last_iterate(lr, norms, 3.0, at), np.array(published)[at - 1], rtol=1e-12)


def _exact_bound(lr: np.ndarray, horizon: int, number: Callable[[float], Any]) -> Any:
    """The printed double sum of the given floats, G = D = 1, in the arithmetic of `number`."""
    total = square = inner = number(0)
    for rate in lr[horizon - 1 :: -1].tolist():
        eta = number(rate)
        later, total, square = total, total + eta, square + eta * eta
        if later:
            inner += eta / later * (square / total)
    return (1 + square) / (2 * total) + inner / 2


def test_forty_digits_of_decimal_are_those_of_mpmath():
    """The oracle at T = 10^6 runs in decimal, ten times as fast as mpmath; here both, at T = 2,000."""
    lr = 0.1 * wsd_profile(2000, 400)
    with mpmath.workdps(40):
        exact = _exact_bound(lr, 2000, mpmath.mpf)
    with decimal.localcontext(prec=40):
        assert abs(mpmath.mpf(str(_exact_bound(lr, 2000, decimal.Decimal))) / exact - 1) < 1e-30


@pytest.mark.thorough
@pytest.mark.parametrize("shape", ["wsd", "constant"])
def test_right_to_1e_12_at_a_million_steps(shape):
    """Both ways to evaluate; a constant 0.1 is where a running sum drifts, a cooldown where total minus prefix does."""
    steps = 10**6
    lr = 0.1 * (np.ones(steps) if shape == "constant" else wsd_profile(steps, steps // 5))
    with decimal.localcontext(prec=40):
        exact = float(_exact_bound(lr, steps, decimal.Decimal))
    assert abs(schaipp_last_iterate(lr, horizons=steps) / exact - 1.0) < 1e-12
    assert abs(schaipp_last_iterate(lr)[-1] / exact - 1.0) < 1e-12
    if shape == "wsd":
        # The control: suffix sums as total minus prefix, as the nearest peer forms them.
        total, prefix = np.sum(lr), np.cumsum(lr)
        careless = 0.5 / total + 0.5 * np.sum(lr[:-1] ** 2 / (total - prefix)[:-1]) + 0.5 * lr[-1]
        assert abs(careless / exact - 1.0) > 1e-9


def test_all_horizons_agree_with_single_ones_over_ten_decades():
    rng = np.random.default_rng(1)
    lr = np.concatenate([np.geomspace(1e-8, 1.0, 900), wsd_profile(2000, 700) + 1e-10]) * np.exp(rng.normal(size=2900))
    every = schaipp_last_iterate(lr, 2.0, 5.0)
    at = rng.integers(1, lr.size + 1, 60)
    np.testing.assert_allclose(every[at - 1], schaipp_last_iterate(lr, 2.0, 5.0, at), rtol=1e-12)


def test_closed_form_of_the_constant_schedule():
    """T_1 = D^2 / (2 t), T_2 = G^2 (1 + H_{t-1}) / 2."""
    t = np.arange(1, 301)
    harmonic = np.concatenate([[0.0], np.cumsum(1.0 / t[:-1])])
    found = schaipp_optimal_base_lr(np.ones(300), 2.0, 3.0)
    np.testing.assert_allclose(found.bound, 6.0 * np.sqrt((1.0 + harmonic) / t), rtol=1e-13)
    np.testing.assert_allclose(found.lr, 1.5 / np.sqrt(t * (1.0 + harmonic)), rtol=1e-13)


def test_numbers_of_the_notes():
    """Section 7.3: limits, the half-rate rule, the theorem's looseness, cosine and inverse square root at T =
    44,000."""
    linear, root = wsd_limit([0.2, 1.0]), wsd_limit([0.2, 1.0], "1-sqrt")
    np.testing.assert_allclose(linear.bound, [2.1595, 2.0], atol=5e-5)
    np.testing.assert_allclose(linear.lr, [0.5145, 1.0], atol=5e-5)
    np.testing.assert_allclose(root.bound, [2.1259, 2.0140], atol=5e-5)
    np.testing.assert_allclose(root.lr, [0.5427, 1.4896], atol=5e-5)
    steps = 44_000
    profiles = {
        "cosine": (0.5 + 0.5 * np.cos(np.pi * np.arange(steps) / steps), 2.0602, 0.9707, 5e-4),
        "constant": (np.ones(steps), 3.50, 0.2855, 5e-3),
        "inverse sqrt": (1.0 / np.sqrt(np.arange(1, steps + 1)), 3.05, 34.5, 5e-2),
    }
    for h, bound, lr, atol in profiles.values():
        found = schaipp_optimal_base_lr(h, horizons=steps)
        assert float(found.bound) * np.sqrt(steps) == pytest.approx(bound, abs=atol)
        assert float(found.lr) * np.sqrt(steps) == pytest.approx(lr, abs=atol)
    cosine = schaipp_optimal_base_lr(profiles["cosine"][0], horizons=steps)
    assert float(linear.lr[0]) / (float(cosine.lr) * np.sqrt(steps)) == pytest.approx(0.53, abs=5e-3)
    for steps, theorem, omega in ((500, 2.685, 2.182), (5000, 2.668, 2.163), (20_000, 2.666, 2.161)):
        cooldown = steps // 5
        assert schaipp_wsd(steps, steps + 1 - cooldown) * np.sqrt(steps) == pytest.approx(theorem, abs=6e-4)
        found = schaipp_optimal_base_lr(wsd_profile(steps, cooldown), horizons=steps)
        assert float(found.bound) * np.sqrt(steps) == pytest.approx(omega, abs=6e-4)


def test_theorem_9_fails_for_linear_decay_from_the_start():
    """The reason why T0 = 1 is refused: the expression lies below what it is to bound."""
    steps = 5
    printed = schaipp_wsd.function.__globals__["_wsd_bracket"](steps, 1)
    omega = schaipp_optimal_base_lr(wsd_profile(steps, steps), horizons=steps).bound
    assert 0.985 < printed / float(omega) < 0.989


def test_sums():
    x = np.full(10**6, 0.1)
    assert prefix_sums(x)[-1] == pytest.approx(1e5, rel=1e-13)
    assert abs(np.cumsum(x)[-1] / 1e5 - 1.0) > 1e-12  # what the blocks are for
    np.testing.assert_allclose(suffix_sums([[1.0, 2.0, 3.0]]), [[6.0, 5.0, 3.0]])
    assert suffix_sums(np.zeros(0)).shape == (0,)
    rng = np.random.default_rng(3)
    lr, charge, offset = np.exp(rng.normal(size=400)), rng.normal(size=400), rng.random(400)
    found = memory_sums(lr, charge, 0.4, offset)
    for t in (0, 1, 127, 128, 300, 399):
        naive = sum(charge[k] * (offset[k] + np.sum(lr[k + 1 : t + 1])) ** -0.4 for k in range(t))
        assert found[t] == pytest.approx(naive, rel=1e-12, abs=1e-12)
