"""The universal sandwich: any schedule, any average, any batch."""

from __future__ import annotations

import mpmath
import numpy as np
import pytest
from simlab.theory import sandwich
from simlab.theory.sums import power, suffix_scan, two_rates

from simlab.conformance.draws.regression import draw_weights
from simlab.conformance.validate import checks
from tests.theory.by_kind import tightness

CHECKS = checks()


@pytest.mark.parametrize(("theorem", "term"), [("sandwich_upper", "bias"), ("sandwich_upper", "variance")])
def test_upper_side_is_sharp(theorem: str, term: str) -> None:
    """The constants are no larger than they have to be: some mode of some problem comes within 1 %."""
    ratios = tightness(CHECKS[theorem], range(40))[term]
    assert 1.0 - 1e-9 <= ratios.min() < 1.01


@pytest.mark.parametrize("n", [0, 1, 2, 3, 7, 8, 37, 128])
def test_scan_is_the_recursion(n: int) -> None:
    rng = np.random.default_rng(n)
    x, shift = rng.uniform(0.0, 2.0, (n, 3)), rng.normal(size=(n, 3))
    value, last = np.ones(3), np.ones(3)
    found = suffix_scan(x, shift, last)
    assert found.shape == (n, 3)
    for t in range(n - 1, -1, -1):
        value = shift[t] + (1.0 - x[t]) * value
        np.testing.assert_allclose(found[t], value, rtol=1e-12, atol=1e-13)


def test_a_million_steps_lose_no_digits() -> None:
    """Mean factor and noise of an EMA of 10^6 constant steps, to 1e-12 of mpmath: 1 - x rounds 10^6 times elsewhere."""
    steps, rate = 10**6, 1e-5
    lam = np.array([0.7, 1e-3, 1e-5, 1.1e-6, 3e-9])
    weights = np.zeros(steps + 1)
    weights[:-1] = rate * power(rate, np.arange(steps - 1.0, -1.0, -1.0))
    weights[0] += float(power(rate, steps))
    found = sandwich.schedule_response(lam, np.ones(steps), weights)
    with mpmath.workdps(60):
        a = mpmath.mpf(rate)
        q = 1 - a
        for i, one in enumerate(lam):
            x = mpmath.mpf(one)
            p = 1 - x
            if one == rate:
                h, squares = steps * p ** (steps - 1), _resonant(p, steps)
            else:
                h = (q**steps - p**steps) / (q - p)
                sums = [_geometric(r, steps) for r in (q * q, q * p, p * p)]
                squares = (sums[0] - 2 * sums[1] + sums[2]) / (q - p) ** 2
            assert abs(found.bias_factor[i] / (q**steps + a * h) - 1) < 1e-12
            assert abs(found.noise[i] / ((x * a) ** 2 * squares) - 1) < 1e-12


def _geometric(r: mpmath.mpf, n: int) -> mpmath.mpf:
    return (1 - r**n) / (1 - r)


def _resonant(p: mpmath.mpf, n: int) -> mpmath.mpf:
    """sum_{j<n} j^2 p^(2j-2) in closed form."""
    r = p * p
    top = r + r**2 - n**2 * r**n + (2 * n**2 - 2 * n - 1) * r ** (n + 1) - (n - 1) ** 2 * r ** (n + 2)
    return top / (1 - r) ** 3 / r


@pytest.mark.parametrize("n", [1, 2, 3, 10, 999, 10**6])
@pytest.mark.parametrize("x", [1e-14, 1e-8, 1e-3, 0.1, 1.0, 1.7])
def test_two_rates_against_mpmath(n: int, x: float) -> None:
    with mpmath.workdps(250):
        p = 1 - mpmath.mpf(x)
        for y in {0.0, 1e-9, 1e-3, float(np.nextafter(x, 0.0)), 0.5} - {x}:
            q = 1 - mpmath.mpf(y)
            found = two_rates(x, y, n)
            h = (q**n - p**n) / (q - p)
            g = [mpmath.mpf(n) if r == 1 else _geometric(r, n) for r in (q * q, p * q, p * p)]
            squares = (g[0] - 2 * g[1] + g[2]) / (q - p) ** 2
            for got, want in ((found.h, h), (found.squares, squares)):
                assert abs(mpmath.mpf(float(got)) - want) <= 1e-12 * abs(want) + mpmath.mpf(10) ** -300


def test_horizons_are_one_call() -> None:
    x, n = np.array([1e-6, 0.3]), np.array([[1], [10], [1000]])
    together = two_rates(x, 0.01, n)
    for k, one in enumerate(n[:, 0]):
        np.testing.assert_array_equal(together.squares[k], two_rates(x, 0.01, int(one)).squares)


def test_chunks_of_modes_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(3)
    lam, lr, weights = rng.uniform(0.0, 1.0, 50), rng.uniform(0.0, 1.0, 40), draw_weights(rng, 40)
    whole = sandwich.schedule_response(lam, lr, weights)
    monkeypatch.setattr(sandwich, "_CHUNK", 100)
    for one, other in zip(whole, sandwich.schedule_response(lam, lr, weights), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-13)
