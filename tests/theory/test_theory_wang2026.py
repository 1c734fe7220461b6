"""Critical rates and batches of Wang et al. 2026 against simlab's stability analysis and a linear programme."""

from __future__ import annotations

import numpy as np
import pytest
from simlab.theory.two_state import TwoState, two_state_critical_lr, two_state_mass
from simlab.theory.wang2026 import (
    data_exponents,
    nesterov_mass,
    polyak_critical_lr_lower,
    polyak_mass,
    sgd_critical_lr_lower,
)


@pytest.mark.parametrize("batch", [1.0, 7.0, 300.0])
@pytest.mark.parametrize("momentum", [0.0, 0.6, 0.97])
def test_the_printed_masses_are_those_of_the_three_numbers(momentum, batch):
    """Theorems B.4 and B.6 are the two-state formula at kurtosis 3."""
    lam = np.arange(1.0, 20.0) ** -1.5
    for scale in (0.1, 0.99):
        lr = scale * two_state_critical_lr(lam, *TwoState.polyak(1.0, momentum), batch)
        polyak = two_state_mass(lam, *TwoState.polyak(lr, momentum), batch)
        assert polyak_mass(lam, lr, momentum, batch) == pytest.approx(polyak, rel=1e-10)
        lr = scale * two_state_critical_lr(lam, *TwoState.nesterov(1.0, momentum), batch)
        nesterov = two_state_mass(lam, *TwoState.nesterov(lr, momentum), batch)
        assert nesterov_mass(lam, lr, momentum, batch) == pytest.approx(nesterov, rel=1e-10)


def test_bounds_are_equal_where_they_should_be():
    """Isotropic data: the lower bound is the critical rate, 2 B/(B + 1 + d)."""
    assert sgd_critical_lr_lower(np.ones(10), 4.0) == pytest.approx(8.0 / 15.0, rel=1e-14)
    assert polyak_critical_lr_lower(np.ones(10), 0.0, 4.0) == sgd_critical_lr_lower(np.ones(10), 4.0)


def test_exponents_of_the_paper_are_continuous_and_ordered():
    """Nesterov is at least as good as Polyak, and Polyak as SGD, at every batch exponent."""
    b = np.linspace(0.0, 0.999, 400)
    sgd, polyak, nesterov = (data_exponents(name, 2.5, 0.7, b) for name in ("sgd", "polyak", "nesterov"))
    for r in (sgd, polyak, nesterov):
        assert np.abs(np.diff(r)).max() < 0.01
    assert np.all(polyak >= sgd - 1e-12)
    assert np.all(nesterov >= polyak - 1e-12)
    assert nesterov.max() > polyak.max() + 0.05
