"""Schedule-Free SGD: bound, hidden schedule, edge of stability."""

from __future__ import annotations

import numpy as np
import pytest
from simlab.theory.defazio2023 import linear_decay
from simlab.theory.defazio2024 import schedule_free_dual_lr, schedule_free_edge, schedule_free_last_iterate

import simlab as sl


def test_constant_rate_has_the_optimal_bound():
    """D G / sqrt(T), that of linear decay, which is the worst case of no method beaten."""
    steps, norm, distance = 50, 2.0, 3.0
    lr = np.full(steps, distance / (norm * np.sqrt(steps)))
    assert schedule_free_last_iterate(lr, norm, distance) == pytest.approx(linear_decay(steps, norm, distance))


def test_the_bound_is_attained_by_a_ramp():
    """One dimension, beta = 0, f = G |x|, gamma D-sized: the average of points that never crossed."""
    steps, norm, distance = 9, 1.0, 1.0
    lr = np.full(steps, distance / (norm * steps))
    average = np.mean(distance - norm * lr[0] * np.arange(steps))
    bound = schedule_free_last_iterate(lr, norm, distance)
    assert 1.0 <= bound / (norm * average) < 1.0 + 1e-12 + 1.0 / steps**2


def test_hidden_schedule_of_equal_weights_is_linear_decay():
    found = schedule_free_dual_lr(np.full(99, 0.3))
    np.testing.assert_allclose(found, 0.3 * (1.0 - np.arange(1, 100) / 100), rtol=1e-13)


@pytest.mark.parametrize("beta", [0.0, 0.5])
def test_edge_against_the_library(beta):
    """Noise-free Schedule-Free SGD of the library on a quadratic just below and above the edge of its last steps.

    At larger beta the edge moves so far, from 2 / gamma at the first step on, that a run near the last one has blown
    up before.
    """
    steps = 2000
    edge = float(schedule_free_edge(1.0, beta, 1.0 / steps))
    risks = []
    for curvature in (0.98 * edge, 1.02 * edge):
        problem = sl.NoisyQuadratic([curvature], 1.0, 0.0)
        method = sl.methods.schedule_free(sl.schedules.constant(steps, 1.0), beta=beta)
        trace = sl.exact(problem, method, record=[steps // 2, steps], progress=False, threads=1)
        values = trace.total().values
        risks.append(values[-1] / values[0] if trace.status.item() == "done" else np.inf)
    assert risks[0] < 1.0 < risks[1]


def test_song_et_al():
    assert schedule_free_edge(0.1, 0.9) == pytest.approx(2.0 / (0.1 * 0.1))
    assert schedule_free_edge(0.1, 1.0, 1.0) == pytest.approx(20.0)
