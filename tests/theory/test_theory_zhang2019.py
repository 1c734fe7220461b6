"""Closed forms of the noisy quadratic model, at equal roots and after a million steps as well."""

from __future__ import annotations

import mpmath
import numpy as np
import pytest
from simlab.theory.zhang2019 import nqm_ema, nqm_momentum


@pytest.mark.parametrize("steps", [3, 1000, 10**6])
@pytest.mark.parametrize("offset", [0.0, 1e-12, 1e-3])
@mpmath.workdps(60)
def test_momentum_at_equal_roots_against_60_digits(steps, offset):
    """lr h = (1 - sqrt m)^2 makes the printed ratio 0/0."""
    m = 1.0 - 1e-5
    lr = (1.0 - np.sqrt(m)) ** 2 * (1.0 + offset)
    A = mpmath.matrix([[1 + mpmath.mpf(m) - mpmath.mpf(lr), -mpmath.mpf(m)], [1, 0]])
    start = A ** (steps - 1) * mpmath.matrix([1 - mpmath.mpf(lr), 1])
    exact = float(start[0] ** 2 / 2)
    assert nqm_momentum([1.0], 1.0, 1.0, lr, m, steps).bias[0] == pytest.approx(exact, rel=1e-7, abs=1e-290)


@pytest.mark.parametrize("steps", [1, 1000, 10**6])
@mpmath.workdps(60)
def test_ema_at_resonance_against_60_digits(steps):
    """lr h = 1 - decay, where (p^n - g^n)/(p - g) is 0/0; weights down to lr h = 1e-6."""
    g = 1.0 - 1e-6
    lr = 1.0 - g
    p, w = 1 - mpmath.mpf(lr), mpmath.mpf(g)
    # a_t = g^t + (1 - g) sum_{k=1}^t g^(t-k) p^k.
    total = p * (p**steps - w**steps) / (p - w) if p != w else steps * p**steps
    exact = float((w**steps + (1 - w) * total) ** 2 / 2)
    assert nqm_ema([1.0], 1.0, 1.0, lr, g, steps).bias[0] == pytest.approx(exact, rel=1e-9)


def test_momentum_zero_is_sgd():
    """And so is an average that forgets at once."""
    lam = np.array([1.0, 0.3])
    one = nqm_momentum(lam, 1.0, lam, 0.4, 0.0, [5])
    two = nqm_ema(lam, 1.0, lam, 0.4, 0.0, [5])
    np.testing.assert_allclose(one.modes, two.modes, rtol=1e-13)
    np.testing.assert_allclose(one.bias[0], 0.5 * lam * (1.0 - 0.4 * lam) ** 10, rtol=1e-13)
