"""Decay and merging: identities, the table of notes 4, and where the equivalence ends."""

from __future__ import annotations

import numpy as np
import pytest
from simlab.theory import OutsideAssumptions
from simlab.theory.tian2025 import decay_to_merge, decayed_risk, merge_to_decay, merged_risk


@pytest.mark.parametrize("seed", range(10))
def test_round_trip(seed):
    rng = np.random.default_rng(seed)
    w = np.sort(rng.random(50))[::-1]
    c = decay_to_merge(w)
    np.testing.assert_allclose(merge_to_decay(c), w, rtol=1e-13)
    assert np.sum(c) == pytest.approx(1.0, rel=1e-14)
    c = rng.dirichlet(np.ones(20))
    np.testing.assert_allclose(decay_to_merge(merge_to_decay(c)), c, atol=1e-15)


def test_decays_of_the_notes():
    k = 16
    i = np.arange(1, k + 1)
    np.testing.assert_allclose(decay_to_merge(1.0 - i / (k + 1)), 1.0 / (k + 1), rtol=1e-12)
    cosine = decay_to_merge(0.5 + 0.5 * np.cos(np.pi * i / (k + 1)))
    np.testing.assert_allclose(cosine[:3], [0.0085, 0.0253, 0.0411], atol=5e-5)
    np.testing.assert_allclose(cosine[:-4:-1], [0.0085, 0.0253, 0.0411], atol=5e-5)
    root = decay_to_merge(1.0 - np.sqrt(i / (k + 1)))
    np.testing.assert_allclose(root[:3], [0.2425, 0.1005, 0.0771], atol=5e-5)
    np.testing.assert_allclose(root[-2:], [0.0308, 0.0299], atol=5e-5)


def test_a_decay_that_rises_has_no_merge():
    with pytest.raises(OutsideAssumptions, match="w_1 >="):
        decay_to_merge([1.0, 0.5, 0.6])


NOTES = {
    0.001: (0.951, 15.82, 0.951, 15.59),
    0.01: (0.605, 9.55, 0.630, 8.48),
    0.1: (0.0060, 0.705, 0.0950, 0.428),
    1.0: (0.0, 0.0226, 0.0050, 0.0050),
}


@pytest.mark.parametrize("lam", NOTES)
def test_table_of_the_notes(lam):
    """Linear decay against a uniform merge, eta = 1/2, 200 steps, unit error and noise: signed bias and variance."""
    k, eta = 200, 0.5
    decay = 1.0 - np.arange(k) / k
    decayed = decayed_risk([lam], 1.0, 1.0, eta * decay)
    merged = merged_risk([lam], 1.0, 1.0, eta, decay_to_merge(decay))
    found = [x for risk in (decayed, merged) for x in (np.sqrt(2 * risk.bias[0] / lam), 2 * risk.variance[0] / lam)]
    np.testing.assert_allclose(found, NOTES[lam], rtol=0.01, atol=6e-5)


def test_1_sqrt_row_of_the_notes():
    k = 200
    decay = 1.0 - np.sqrt(np.arange(k) / k)
    decayed = decayed_risk([0.1], 1.0, 1.0, 0.5 * decay)
    merged = merged_risk([0.1], 1.0, 1.0, 0.5, decay_to_merge(decay))
    found = [x for risk in (decayed, merged) for x in (np.sqrt(20 * risk.bias[0]), 20 * risk.variance[0])]
    np.testing.assert_allclose(found, [0.0333, 0.555, 0.269, 0.345], rtol=0.01)


def test_equal_where_curvature_times_time_is_small():
    """The gap falls in proportion to eta lam k: first order is what the identity knows."""
    decay = 1.0 - np.arange(1, 101) / 101
    lam = np.array([1e-4, 1e-5, 1e-6])
    decayed = decayed_risk(lam, 1.0, 1.0, 0.5 * decay)
    merged = merged_risk(lam, 1.0, 1.0, 0.5, decay_to_merge(decay))
    gap = np.abs(merged.variance / decayed.variance - 1.0)
    np.testing.assert_allclose(gap[:-1] / gap[1:], 10.0, rtol=0.02)
    assert gap[0] < 5e-3
    # Bias agrees to second order: the first-order terms are the sums of the rates, which are equal.
    assert np.all(np.abs(merged.bias / decayed.bias - 1.0) < (0.5 * lam * 100) ** 2)


def test_small_curvature_over_a_million_steps():
    """prod (1 - x)^2 at x = 10^-10, where 1 - x has lost six digits."""
    lr = np.full(10**6, 0.1)
    risk = decayed_risk([1e-9], 1.0, 0.0, lr)
    assert risk.bias[0] / 5e-10 == pytest.approx(np.exp(2e6 * np.log1p(-1e-10)), rel=1e-12)


def test_a_step_that_lands_on_the_minimum():
    risk = decayed_risk([1.0, 0.5], 1.0, 1.0, [1.0, 0.5])
    np.testing.assert_allclose(risk.bias, [0.0, 0.25 * (0.5 * 0.75) ** 2])
    np.testing.assert_allclose(risk.variance, [0.5 * (0.25 + 0.25), 0.25 * (0.75**2 + 0.25)])
