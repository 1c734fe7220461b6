"""Stability at a minimum of a finite sum: closed forms against averages over every batch there is."""

from __future__ import annotations

import numpy as np
import pytest
from simlab.theory.mulayoff2024 import dexter_coherence_upper, finite_sum_critical_lr

import simlab as sl
from simlab.conformance.checks.mulayoff2024 import critical, draw_hessians


def test_the_rule_of_another_sampling_is_caught():
    """Batches with replacement are less stable than without: p of the one given for the other."""
    roots = np.random.default_rng(3).normal(size=(4, 3, 2))
    hessians = roots @ roots.transpose(0, 2, 1)
    wrong = finite_sum_critical_lr(hessians, 2, "without")
    assert critical(hessians, 2, "with") < 0.999 * wrong


@pytest.mark.parametrize("seed", range(10))
def test_the_threshold_does_not_fall_with_the_batch(seed):
    """Mulayoff and Michaeli 2024: non-decreasing in B, and 2/lambda_max of the full gradient at B = n."""
    hessians = draw_hessians(np.random.default_rng(seed))
    n = len(hessians)
    found = [finite_sum_critical_lr(hessians, b) for b in range(1, n + 1)]
    assert np.all(np.diff(found) >= -1e-12)
    assert found[-1] == pytest.approx(2.0 / np.linalg.eigvalsh(hessians.mean(axis=0))[-1], rel=1e-12)


@pytest.mark.parametrize("batch", [1, 2, 3, 5])
def test_two_families_with_known_thresholds(batch):
    """Orthogonal H_i = n h e_i e_i^T: eta h = 2 B/n, coherence 1; identical rank one: eta h (1 + 1/B - 1/n) = 2."""
    n, h = 6, 0.7
    orthogonal = n * h * np.array([np.outer(e, e) for e in np.eye(n)])
    exact = finite_sum_critical_lr(orthogonal, batch, "bernoulli")
    assert exact == pytest.approx(2.0 * batch / (n * h), rel=1e-12)
    bound = dexter_coherence_upper(orthogonal, batch)
    assert bound == pytest.approx(min(2.0, (n / batch - 1.0) ** -0.5) / h, rel=1e-12)
    assert bound >= exact
    if n == 2 * batch:
        assert bound == pytest.approx(exact, rel=1e-12)
    same = h * np.ones((n, 1, 1))
    assert finite_sum_critical_lr(same, batch, "bernoulli") == pytest.approx(
        2.0 / (h * (1.0 + 1.0 / batch - 1.0 / n)), rel=1e-12
    )
    assert dexter_coherence_upper(same, batch) == pytest.approx(min(2.0, n * (n / batch - 1.0) ** -0.5) / h, rel=1e-12)


@pytest.mark.parametrize("batch", [1, 3])
def test_one_hot_data_as_a_finite_sum(batch):
    """Equally likely one-hot samples: simlab's stability analysis of fresh batches is sampling with replacement."""
    scale = np.array([2.0, 1.0, 0.5])
    hessians = np.array([s**2 * np.outer(e, e) for s, e in zip(scale, np.eye(3), strict=True)])
    problem = sl.LinearRegression.one_hot(np.full(3, 1.0 / 3.0), scale=scale)
    method = sl.methods.sgd(sl.schedules.constant(1, 0.1), batch)
    theirs = sl.stability(problem, method).critical_lr
    assert finite_sum_critical_lr(hessians, batch, "with") == pytest.approx(theirs, rel=1e-9)
