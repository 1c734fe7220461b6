"""Eigencurve of Pan et al. 2022."""

from __future__ import annotations

import numpy as np
import pytest
from simlab.theory.pan2022 import eigencurve_lr, last_iterate_upper, spectrum_bins
from simlab.theory.sandwich import schedule_response


def test_measured_variance_of_the_notes() -> None:
    """Notes, section 6: variance T / (sigma^2 (sum sqrt s_i)^2) <= 0.245, a in [.5, 3], d 20 .. 400, T 300 .. 30000."""
    largest = 0.0
    for dim in (20, 100, 400):
        for capacity in (0.5, 1.0, 2.0, 3.0):
            lam = np.arange(1.0, dim + 1.0) ** -capacity
            _, counts = spectrum_bins(lam)
            for steps in (300, 3000):
                noise = schedule_response(lam, eigencurve_lr(lam, steps)).noise
                largest = max(largest, 0.5 * noise.sum() * steps / np.sqrt(counts).sum() ** 2)
    assert 0.2 < largest < 0.25


def test_bins_cover_the_spectrum_once() -> None:
    lam = np.array([1.0, 2.0, 3.9, 4.0, 8.0, 1000.0])
    bins, counts = spectrum_bins(lam)
    assert bins.tolist() == [0, 1, 2, 3, 9]
    assert counts.tolist() == [1, 2, 1, 1, 1]


def test_suffix_sums_keep_their_digits() -> None:
    """Gamma_t from the right: the last steps of 10^6 are tiny beside the sum of all, and total - prefix would lose
    them.
    """
    lr = np.concatenate([np.full(10**6, 1.0), np.full(10, 1e-13)])
    bound = last_iterate_upper(np.array([1.0]), np.array([0.0]), 1.0, lr)
    # Stationary noise of the long part, e^-2 per step, then damped by ten steps of 1e-13: nothing else.
    assert bound.variance[0] == pytest.approx(0.5 / (1.0 - np.exp(-2.0)), rel=1e-11)
