"""Stationary risk and stability of SGD."""

from __future__ import annotations

import numpy as np
import pytest
from simlab.theory.jain2018 import jain_lr_max
from simlab.theory.stationary import critical_lr

from simlab.conformance.draws.regression import draw_spectrum


def test_critical_lr_by_batch_is_one_call() -> None:
    lam = np.array([1.0, 0.3, 0.01])
    batches = np.array([1.0, 4.0, 1e9])
    together = critical_lr(lam, batches)
    assert np.array_equal(together, [critical_lr(lam, b) for b in batches])
    assert together[-1] == pytest.approx(2.0, rel=1e-8)  # gradient descent: 2 / lam_1


def test_isotropic_critical_lr_is_2_b_over_d_plus_b_plus_1() -> None:
    d, b = 7, 5.0
    assert critical_lr(np.ones(d), b) == pytest.approx(2.0 * b / (d + b + 1.0), rel=1e-14)


def test_sufficient_lr_of_jain_is_within_a_factor_2_of_the_critical_one() -> None:
    """Notes, section 0.5: exact / gamma_{b,max} in [1.000, 1.314] over 300 problems. The upper end is that suite's own.

    Equal for isotropic spectra. With one large eigenvalue and a tail of the same weight as the batch, the ratio tends
    to 2: gamma_{b,max} adds the two obstacles, and of tr H lr < 2 B and lr lam_1 < 2 either alone is what counts.
    """
    rng = np.random.default_rng(5)
    ratios = []
    for _ in range(300):
        lam, batch = draw_spectrum(rng), float(rng.choice([1, 2, 8, 64]))
        ratios.append(float(critical_lr(lam, batch) / jain_lr_max(lam, batch)))
    assert min(ratios) >= 1.0 - 1e-12
    assert 1.3 < max(ratios) < 2.0
    assert critical_lr(np.ones(9), 4.0) == pytest.approx(float(jain_lr_max(np.ones(9), 4.0)), rel=1e-13)
    batch, lam = 1e3, np.concatenate([[1.0], np.full(10**5, 0.01)])
    assert 1.85 < critical_lr(lam, batch) / jain_lr_max(lam, batch) < 2.0
