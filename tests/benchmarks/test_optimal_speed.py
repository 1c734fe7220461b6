"""Optimal schedules: what a sweep and a gradient cost beside a run, and how long searches take."""

from __future__ import annotations

import time

import numpy as np
import pytest

import simlab as sl
from simlab.kernels.moments.layout import NodeArrays
from simlab.optimal.adjoint import Objective
from simlab.optimal.recursion import Recursion

pytestmark = pytest.mark.benchmark_suite


@pytest.fixture(autouse=True)
def _asked_for(request):
    if not request.config.getoption("--benchmark-enable"):
        pytest.skip("a timing: run with --benchmark-enable")


@pytest.fixture(scope="module")
def hard():
    """Low noise, source below capacity: the most sweeps."""
    return sl.LinearRegression.power_law(10**8, 2.0, 1.5, 0.01).compress(1e-9)


def least(function, rounds=7):
    """The shortest of some times of the processor, whatever else it does, after a first call that may compile."""
    function()
    times = []
    for _ in range(rounds):
        began = time.process_time()
        function()
        times.append(time.process_time() - began)
    return min(times)


def test_a_sweep_and_a_gradient_cost_some_four_runs(hard):
    """4.1 forwards measured on a quiet core, for 256 padded nodes."""
    T, nodes = 20_000, NodeArrays(hard.modes())
    weights = np.zeros(T + 1)
    weights[T] = 1.0
    objective = Objective(nodes, nodes.signal, weights, np.full(T, np.inf))
    lr, share = 0.3 * (1.0 - np.arange(T) / T), np.ones(T)
    forward = least(lambda: objective.value(lr, share))
    assert least(lambda: objective.sweep(lr, share)) < 5.0 * forward
    assert least(lambda: objective.gradient(lr, share)) < 5.0 * forward


def test_a_gradient_of_heavy_ball_costs_some_four_runs(hard):
    recursion = Recursion(NodeArrays(hard.modes()))
    method = sl.methods.heavy_ball(sl.schedules.cosine(3000, 0.05), 0.9)
    assert least(lambda: recursion.gradient(method), 5) < 6.0 * least(lambda: recursion.value(method), 5)


@pytest.mark.parametrize(("steps", "seconds"), [(10**4, 0.3), (10**5, 2.0), (10**6, 15.0)])
def test_the_certified_optimum_of_a_hard_problem(hard, steps, seconds):
    began = least(lambda: sl.optimize(hard, steps), 3 if steps < 10**6 else 1)
    assert began < seconds


def test_the_law_by_formula_at_10_to_the_12(hard):
    assert least(lambda: sl.schedules.spectral(hard, 10**12, level="formula")) < 0.1


@pytest.mark.parametrize(
    ("family", "over", "seconds"), [("linear", ("peak",), 0.2), ("wsd", ("peak", "cooldown"), 0.5)]
)
def test_the_best_of_a_family(hard, family, over, seconds):
    assert least(lambda: sl.tune(hard, family, 10**4, over), 3) < seconds
