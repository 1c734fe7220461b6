"""Problems, methods, partitions, experiments, traces, landscapes and answers survive pickle and both copies."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest

import simlab as sl
from simlab import methods, river, schedules, subspaces
from tests.oracles.method_zoo import ZOO
from tests.twin.runs import SCHEDULES, TRUTH, known, made

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


LANDSCAPES = {
    "straight": lambda: river.straight_landscape([4.0, 1.0], slope=0.1),
    "curved": river.curved,
    "narrowing": river.narrowing,
    "widening": river.widening,
    "hyperbolic": river.hyperbolic,
    "bigram": lambda: river.bigram([0.2, 0.95], 3).landscape,
    "embedded": lambda: river.embedded(river.curved(), [3.0]),
    "moved": lambda: river.curved().starting_at([1.0, 0.5]),
}
NOISES = {
    "none": river.noise.none,
    "isotropic": lambda: river.noise.isotropic(0.3),
    "diagonal": lambda: river.noise.diagonal([0.1, 0.2]),
    "like_hessian": lambda: river.noise.like_hessian(0.5),
    "along_hills": lambda: river.noise.along_hills(0.2),
    "with_loss": lambda: river.noise.with_loss(0.5, of=river.noise.isotropic(2.0)),
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", LANDSCAPES)
def test_landscapes(name, way):
    """They held functions of functions, which pickle does not find again."""
    one = LANDSCAPES[name]()
    again = WAYS[way](one)
    assert repr(again) == repr(one)
    points = one.start + np.linspace(0.01, 0.02, 3 * one.dim).reshape(3, one.dim)
    np.testing.assert_array_equal(again.value(points), one.value(points))
    np.testing.assert_array_equal(again.hessian(points[0]), one.hessian(points[0]))
    for ours, theirs in zip(again.split(points), one.split(points), strict=True):
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", NOISES)
def test_noise_of_landscapes(name, way):
    one, curved = NOISES[name](), river.curved()
    again = WAYS[way](one)
    assert repr(again) == repr(one)
    np.testing.assert_array_equal(again.covariance(curved), one.covariance(curved))


def _kinds_of_answers():
    problem, method = LR([1.0, 0.5], 1.0, 0.1), methods.sgd(RATE)
    exact = sl.exact(problem, method, keep=[3], deterministic=True, progress=False)
    one, other = known(TRUTH), SCHEDULES["wsdcon_9"]
    return {
        "state": exact.state_at(3),
        "weights": exact.state_at(3).weights(),
        "sampled state": sl.sample(problem, method, replicas=2, keep=[3], progress=False).state,
        "optimum": sl.optimize(problem, 6),
        "tuned": sl.tune(problem, "linear", 6),
        "stability": sl.stability(problem, method),
        "mixture": sl.Mixture([problem, problem], ["rest", schedules.constant(6, 0.3)]),
        "shifted": problem.shifted(1.5, 0.5),
        "held out": sl.EmpiricalRegression(ROWS, np.ones(4), holdout=0.5),
        "several outputs": sl.EmpiricalRegression(ROWS, np.ones((4, 2))),
        "valley": river.StraightValley([4.0, 1.0], slope=0.2),
        "twin": one,
        "curve": made(TRUTH, "wsdcon_9", 0),
        "band": one.predict(other),
        "errors": sl.twin.Errors(noise=0.1),
        "difference": one.compare(other, other),
        "closed loop": methods.closed_loop(method, sl.feedback.polyak()),
        "looking ahead": methods.closed_loop(method, sl.feedback.autolrs([3, 3])),
        "many memories": methods.closed_loop(methods.adam(RATE), sl.feedback.prodigy()),
    }


@pytest.fixture(scope="module")
def answers():
    return _kinds_of_answers()


@pytest.mark.parametrize("way", WAYS)
def test_answers_and_what_they_are_made_of(way, answers):
    for name, one in answers.items():
        assert repr(WAYS[way](one)) == repr(one), name
    again, problem = WAYS[way](answers["state"]), LR([1.0, 0.5], 1.0, 0.1)
    on = methods.rest(methods.sgd(RATE), 3)
    whole, other = (sl.exact(problem, on, start=start, progress=False).risk for start in (answers["state"], again))
    np.testing.assert_array_equal(whole, other)


def test_what_pickle_keeps_of_a_method_is_its_call():
    """Not its arrays: a million steps of a constant rate take some bytes."""
    assert len(pickle.dumps(methods.heavy_ball(schedules.constant(1_000_000, 0.1)))) < 2000
