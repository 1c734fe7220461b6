"""Momentum on one-hot data: exact rates, the lower bound on heavy ball, exponents of the condition number."""

from __future__ import annotations

import numpy as np
import pytest
from simlab.theory.kidambi2018 import kidambi_heavy_ball_rate_lower, kidambi_heavy_ball_rate_sharp
from simlab.theory.two_state import TwoState

from simlab.conformance.checks.kidambi2018 import best_rate, radius


@pytest.mark.parametrize("c", [2.0, 5.0])
def test_the_best_heavy_ball_is_no_better_than_the_sharp_bound_says(c):
    """Over a grid of both parameters: the bound holds, and the best is within a factor 5 of its 1 - rate."""
    lam = np.array([1.0, 1e-3])
    gaps, bounds = [], []
    for damping in np.geomspace(1e-3, 1.0, 25):
        for lr in np.geomspace(1e-3, 2.0, 40) * damping:
            found = radius(TwoState.polyak(lr, 1.0 - damping), lam, c)
            bound = kidambi_heavy_ball_rate_sharp(1.0, np.sqrt(1e-3), c, lr, 1.0 - damping)
            assert bound <= found * (1.0 + 1e-9)
            gaps.append(1.0 - found)
            bounds.append(1.0 - bound)
    assert max(gaps) <= max(bounds) <= 5.0 * max(gaps)
    printed = kidambi_heavy_ball_rate_lower(1.0, np.sqrt(1e-3), c, 0.1, 0.5)
    assert 1.0 - printed > 5.0 * max(bounds)


def test_the_discrete_design_of_figure_1_has_the_square_root():
    """x = e_1 or sqrt(2/kappa) e_2 with probability 1/2 has condition number kappa; the notes' 2/kappa has kappa^2/2.

    With the square root the steps of SGD grow as kappa, as the paper's slope .93 says; without it, as kappa^2.
    """
    rates = [best_rate("sgd", 0.5 / (0.5 * second**2)) for second in (np.sqrt(2.0 / 2**10), np.sqrt(2.0 / 2**13))]
    assert np.log2(rates[0] / rates[1]) / 3.0 == pytest.approx(1.0, abs=0.05)
    rates = [best_rate("sgd", 0.5 / (0.5 * second**2)) for second in (2.0 / 2**6, 2.0 / 2**9)]
    assert np.log2(rates[0] / rates[1]) / 3.0 == pytest.approx(2.0, abs=0.05)
