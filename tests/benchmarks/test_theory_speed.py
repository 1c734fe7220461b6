"""Bounds and laws on whole curves against the forms in which their sources print and compute them."""

from __future__ import annotations

import numpy as np
import pytest
from simlab.theory.schaipp2025 import schaipp_last_iterate

from simlab.conformance.draws.convex import double_sum, wsd_profile

pytestmark = pytest.mark.benchmark_suite
STEPS = 20_000
MEDIANS: dict[str, float] = {}


def published(lr: np.ndarray) -> np.ndarray:
    """Omega_t for every t by the double sum, each horizon vectorised, as the authors' repository does it."""
    return np.array([double_sum(lr, np.ones(1), 1.0, t) for t in range(1, lr.size + 1)])


@pytest.mark.thorough
@pytest.mark.benchmark(group="last-iterate bound at all horizons, T = 20,000")
@pytest.mark.parametrize("who", ["simlab", "double sum"])
def test_bound_on_a_whole_curve(benchmark, who):
    lr = 0.01 * wsd_profile(STEPS, STEPS // 5)
    if who == "simlab":
        curve = benchmark(lambda: schaipp_last_iterate(lr))
    else:
        curve = benchmark.pedantic(published, (lr,), rounds=1, warmup_rounds=0)
    np.testing.assert_allclose(
        curve[[0, 99, -1]], [double_sum(lr, np.ones(1), 1.0, t) for t in (1, 100, STEPS)], rtol=1e-12
    )
    if benchmark.enabled:
        MEDIANS[who] = benchmark.stats.stats.median
        if len(MEDIANS) == 2:
            assert MEDIANS["double sum"] >= 10.0 * MEDIANS["simlab"]
