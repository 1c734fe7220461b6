"""Twins: three curves of 64,000 steps fitted, 72,000 predicted with an interval, the best of 24,000 found."""

from __future__ import annotations

import pytest

import simlab as sl
from tests.twin.runs import SCHEDULES, TRAINED, TRUTH, WARMUP, made

pytestmark = [pytest.mark.benchmark_suite, pytest.mark.usefixtures("asked_for")]


@pytest.fixture(scope="module")
def curves():
    return [made(TRUTH, name, seed) for seed, name in enumerate(TRAINED)]


def test_fit(benchmark, curves):
    """Under a second of one core."""
    twin = benchmark.pedantic(lambda: sl.twin.fit(curves, weight_decay=0.1), rounds=3, warmup_rounds=1)
    assert twin.modes


def test_predict_with_interval(benchmark, curves):
    """Under 20 ms."""
    twin = sl.twin.fit(curves, weight_decay=0.1)
    assert benchmark(lambda: twin.predict(SCHEDULES["cosine_72000"])).steps[-1] == 72_000


def test_optimize(benchmark, curves):
    """Under two seconds."""
    twin = sl.twin.fit(curves, weight_decay=0.1)
    best = benchmark.pedantic(lambda: twin.optimize(24_000, warmup=WARMUP), rounds=3, warmup_rounds=1)
    assert best.gain.difference > 0.0
