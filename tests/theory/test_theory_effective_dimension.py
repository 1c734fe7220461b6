"""Effective dimensions and cutoffs."""

from __future__ import annotations

import numpy as np
from simlab.theory.effective_dimension import (
    complex_band_end,
    effective_dimension,
    k_dagger,
    k_double_dagger,
    k_hat,
    k_star,
)


def test_one_call_for_all_horizons() -> None:
    lam = np.arange(1.0, 1001.0) ** -1.5
    steps = np.arange(1, 5000)
    k = k_star(lam, 0.1, steps)
    assert k.shape == steps.shape
    assert np.all(np.diff(k) >= 0)
    assert np.array_equal(k, [np.sum(lam >= 1.0 / (0.1 * n)) for n in steps])
    both = k_dagger(lam, 0.1, steps, hold=np.array([[0], [100]]))
    assert both.shape == (2, steps.size)
    assert np.array_equal(both[0], k)
    assert effective_dimension(lam, 0.1, steps[:50], hold=np.array([[0], [7]])).shape == (2, 50)


def test_threshold_itself_counts() -> None:
    assert k_star([0.5, 0.25, 0.125], 1.0, 4) == 2


def test_asgd_of_the_notes() -> None:
    """Section 1.5 of the notes on Li et al. 2024: delta = .1, k~ = 5, psi = 3 on i^-2 gives k-ddagger 0, k-hat 2,
    k-dagger 11.
    """
    lam = np.arange(1.0, 2001.0) ** -2
    delta, gamma, beta, alpha = 0.1, 0.922, 0.00723, 0.9928
    c, q = alpha * (1.0 - beta), alpha * delta + (1.0 - alpha) * gamma
    assert k_double_dagger(lam, c, delta, q) == 0
    assert k_hat(lam, c, delta) == 2
    assert complex_band_end(lam, c, delta, q) == 11
