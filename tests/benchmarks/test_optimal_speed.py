"""Optimal schedules: what a sweep and a gradient cost beside a run, and how long searches take."""

from __future__ import annotations

import numpy as np
import pytest
from timing import least, leasts

import simlab as sl
from simlab.kernels.moments.layout import NodeArrays
from simlab.optimal.adjoint import Objective
from simlab.optimal.recursion import Recursion

pytestmark = [pytest.mark.benchmark_suite, pytest.mark.usefixtures("asked_for")]


@pytest.fixture(scope="module")
def hard():
    """Low noise, source below capacity: the most sweeps."""
    return sl.LinearRegression.power_law(10**8, 2.0, 1.5, 0.01).compress(1e-9)


def test_a_sweep_and_a_gradient_cost_less_than_four_runs(hard):
    """3.4 and 3.2 forwards measured on an AMD EPYC (Zen 5), for 256 padded nodes."""
    T, nodes = 20_000, NodeArrays(hard.modes())
    weights = np.zeros(T + 1)
    weights[T] = 1.0
    objective = Objective(nodes, nodes.signal, weights, np.full(T, np.inf))
    lr, share = 0.3 * (1.0 - np.arange(T) / T), np.ones(T)
    forward, sweep, gradient = leasts(
        lambda: objective.value(lr, share),
        lambda: objective.sweep(lr, share),
        lambda: objective.gradient(lr, share),
        rounds=25,
    )
    assert sweep < 4.0 * forward
    assert gradient < 4.0 * forward


def test_a_gradient_of_heavy_ball_costs_less_than_five_runs(hard):
    recursion = Recursion(NodeArrays(hard.modes()))
    method = sl.methods.heavy_ball(sl.schedules.cosine(3000, 0.05), 0.9)
    gradient, value = leasts(lambda: recursion.gradient(method), lambda: recursion.value(method), rounds=10)
    assert gradient < 5.0 * value


@pytest.mark.parametrize(("steps", "seconds"), [(10**4, 0.3), (10**5, 2.0), (10**6, 15.0)])
def test_the_certified_optimum_of_a_hard_problem(hard, steps, seconds):
    began = least(lambda: sl.optimize(hard, steps), 3 if steps < 10**6 else 1)
    assert began < seconds


def test_the_law_by_formula_at_10_to_the_12(hard):
    assert least(lambda: sl.schedules.spectral(hard, 10**12, level="formula")) < 0.1


@pytest.mark.parametrize(
    ("family", "over", "seconds"), [("linear", ("peak",), 0.2), ("wsd", ("peak", "cooldown"), 0.2)]
)
def test_the_best_of_a_family(hard, family, over, seconds):
    assert least(lambda: sl.tune(hard, family, 10**4, over), 3) < seconds
