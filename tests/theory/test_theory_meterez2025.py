"""Tail averages of constant-step SGD in closed form."""

from __future__ import annotations

import mpmath
import numpy as np
import pytest
from simlab.theory.effective_dimension import effective_dimension
from simlab.theory.meterez2025 import tail_average_cutoff_upper, tail_response


@pytest.mark.parametrize(("n", "hold"), [(10**6, 0), (10**6, 10**6), (1, 10**6), (777_777, 13)])
def test_response_against_mpmath_at_a_million_steps(n: int, hold: int) -> None:
    """1 - p^J for small x: N - 2 sum p^J + sum p^2J would lose (N x)^-2 eps, all digits below x = 1e-14."""
    lam = np.array([1.9, 1.0, 0.3, 1e-3, 1e-6, 1e-10, 1e-15, 1e-18])
    found = tail_response(lam, 1.0, n, hold)
    with mpmath.workdps(120):
        for i, one in enumerate(lam):
            x = mpmath.mpf(one)
            p = 1 - x
            b = p**hold * (1 - p**n) / (n * x)
            noise = (n - 2 * (1 - p**n) / x + (1 - p ** (2 * n)) / (1 - p * p)) / n**2
            noise += ((1 - p**n) / n) ** 2 * (1 - p ** (2 * hold)) / (1 - p * p)
            assert abs(found.bias_factor[i] - b) <= 1e-12 * abs(b) + mpmath.mpf(10) ** -300
            assert abs(found.noise[i] - noise) <= 1e-12 * abs(noise)


def test_gradient_descent_at_its_edge() -> None:
    """lr lam = 2: the iterates alternate in sign, and their average over an even number is 0."""
    b, noise = tail_response(np.array([1.0]), 2.0, 4, 10)
    assert b[0] == 0.0
    assert np.isfinite(noise[0])


def test_cutoffs_add_up_to_the_effective_dimension() -> None:
    lam = np.arange(1.0, 300.0) ** -1.4
    steps, hold, lr = np.array([10, 100, 1000]), 50, 0.1
    bound = tail_average_cutoff_upper(lam, 1.0, lr, steps, hold)
    shape = effective_dimension(lam, lr, steps, hold) / steps
    mass = lr * np.sum(lam / (2.0 - 2.0 * lr * lam))
    assert np.all(bound.sum(axis=-1) >= 0.5 * shape / (1.0 - mass))
    assert np.all(bound.sum(axis=-1) <= 0.5 * shape / (1.0 - mass) * 1.1)
