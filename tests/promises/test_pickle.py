"""Problems, methods, partitions, experiments and traces survive the standard pickle and both copies."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest

import simlab as sl
from simlab import methods, schedules, subspaces
from tests.oracles.method_zoo import ZOO

RATE = schedules.wsd(6, peak=0.1)
MOMENTUM = schedules.linear(6, 0.9, floor=0.5)
LR = sl.LinearRegression
ROWS = np.array([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0], [0.5, -1.0]])
TREE = {
    "problem": {"kind": "power_law", "dim": 30, "capacity": 1.5, "source": 1.2, "compress": 1e-6},
    "schedule": {"kind": "constant", "steps": 3, "peak": 0.1},
    "record": {"subspaces": "log_bins(2)"},
}
WAYS = {"pickle": lambda it: pickle.loads(pickle.dumps(it)), "copy": copy.copy, "deepcopy": copy.deepcopy}

PROBLEMS = {
    "arrays": lambda: LR([1.0, 0.5], 1.0, 0.1),
    "power law": lambda: LR.power_law(dim=5, capacity=1.5, source=1.2),
    "logarithmic": lambda: LR.logarithmic(dim=5, initial_error=2.0),
    "exponential": lambda: LR.exponential(dim=5, rate=0.5, source=1.5),
    "compressed": lambda: LR.power_law(dim=10**12, capacity=1.5, source=1.2).compress(1e-6),
    "noisy quadratic": lambda: sl.NoisyQuadratic([1.0, 0.5], 1.0, 1.0),
    "random features": lambda: sl.RandomFeatures(1.0, 1.0, 6, 3),
    "rows": lambda: sl.EmpiricalRegression(ROWS, np.ones(4)),
}
PARTITIONS = ["whole", "effective", "head_tail(2)", "log_bins(3)", "modes(1, 3)", {"a": [1, 2], "b": [4]}]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", PROBLEMS)
def test_problems(name, way):
    problem = PROBLEMS[name]()
    again = WAYS[way](problem)
    assert repr(again) == repr(problem)
    np.testing.assert_array_equal(again.eigenvalues, problem.eigenvalues)
    assert again.describe() == problem.describe()
    assert not again.eigenvalues.flags.writeable
    assert not again.initial_error.flags.writeable


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", ZOO)
def test_methods(name, way):
    method = ZOO[name](RATE, MOMENTUM, 4)
    again = WAYS[way](method)
    assert repr(again) == repr(method)
    for one, other in zip(again.coefficients(), method.coefficients(), strict=True):
        np.testing.assert_array_equal(one, other)
    np.testing.assert_array_equal(again.readout(), method.readout())
    np.testing.assert_array_equal(again.rescale(0.5).coefficients().b, method.rescale(0.5).coefficients().b)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("spec", PARTITIONS, ids=str)
def test_partitions(spec, way):
    partition = subspaces.from_spec(spec)
    again = WAYS[way](partition)
    assert again.ranges(5, lambda least: 2, 1.0) == partition.ranges(5, lambda least: 2, 1.0)


@pytest.mark.parametrize("way", WAYS)
def test_experiments_and_traces(way):
    experiment = sl.Experiment.from_dict(TREE)
    trace = experiment.run(progress=False)
    again = WAYS[way](experiment).run(progress=False)
    np.testing.assert_array_equal(again.risk.values, trace.risk.values)
    assert WAYS[way](trace).dataset.identical(trace.dataset)


def test_what_pickle_keeps_of_a_method_is_its_call():
    """Not its arrays: a million steps of a constant rate take some bytes."""
    assert len(pickle.dumps(methods.heavy_ball(schedules.constant(1_000_000, 0.1)))) < 2000
