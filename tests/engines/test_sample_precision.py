"""Single precision where it is enough and double where it is not: chosen by itself, said in the trace, never silent."""

from __future__ import annotations

import math
import warnings

import numpy as np
import pytest

import simlab as sl
from simlab import methods
from simlab.engines.replicas.rounding import rounding_loss
from simlab.problems.draws import draws_of
from simlab.schedules import constant, linear, wsd

SLOW = sl.LinearRegression([1e-4], 1.0, 0.0)
CRAWL = methods.sgd(constant(20_000, 1e-3))
"""lr lam = 1e-7, two roundings of single precision: it takes 6 % of the motion away."""
BENIGN = sl.LinearRegression.power_law(100, 1.5, 1.2, 0.09)
ORDINARY = wsd(2000, peak=0.2, warmup=0.01, cooldown=0.2)


def bias(problem, method, **options):
    """(mean, standard error) of the bias where the run ends, and the attributes of the trace."""
    trace = sl.sample(problem, method, replicas=64, record=2, device="cpu", **options).dataset
    last = trace.isel(step=-1).sel(component="bias").sum("subspace")
    return float(last["risk"]), float(last["standard_error"]), trace.attrs


def test_a_slow_mode_does_not_stall():
    exact = float(sl.exact(SLOW, CRAWL, record=2).risk.sel(component="bias").isel(step=-1).sum())
    mean, error, attributes = bias(SLOW, CRAWL)
    assert abs(mean - exact) < 5.0 * error
    assert attributes["dtype"] == "float64"
    assert "float32 would put the risk of mode 1 off" in attributes["precision"]


def test_single_precision_that_is_asked_for_stalls_and_says_so():
    exact = float(sl.exact(SLOW, CRAWL, record=2).risk.sel(component="bias").isel(step=-1).sum())
    with pytest.warns(UserWarning, match=r"dtype = 'float32' may put the risk of mode 1 off by .*leave dtype out"):
        mean, error, attributes = bias(SLOW, CRAWL, dtype="float32")
    assert mean - exact > 20.0 * error, "it did not stall: this run tests nothing"
    assert attributes["dtype"] == "float32"
    assert "as asked, though it may put the risk of mode 1 off" in attributes["precision"]


@pytest.mark.parametrize(
    ("problem", "method"),
    [
        (BENIGN, methods.sgd(ORDINARY)),
        (BENIGN, methods.heavy_ball(0.1 * ORDINARY, 0.9, 4)),
        (BENIGN, methods.ema(methods.sgd(ORDINARY), 0.99)),
        (sl.NoisyQuadratic([1.0, 0.5], 1.0, [0.1, 0.1]), methods.sgd(linear(500, 0.5))),
        (sl.LinearRegression([1.0], 0.0, 1.0), methods.sgd(constant(100, 1e-9))),
        (sl.LinearRegression([1.0, 0.1], 1.0, 0.1), methods.sgd(constant(100, 0.0))),
    ],
    ids=["sgd", "heavy ball", "ema", "noisy quadratic", "noise alone", "no step at all"],
)
def test_ordinary_runs_stay_in_single_precision(problem, method):
    assert not rounding_loss(draws_of(problem), method, False, 256).shows


@pytest.mark.parametrize(
    ("problem", "method"),
    [
        (SLOW, methods.sgd(constant(10**6, 1e-3))),
        (SLOW, methods.heavy_ball(constant(20_000, 1e-4), 0.9)),
        (sl.LinearRegression([1.0], 1.0, 0.0), methods.sgd(constant(10**5, 1e-9))),
        (sl.LinearRegression([1.0], 1.0, 0.0), methods.sgd(constant(10**5, 1e-5), math.inf)),
        (sl.LinearRegression([1.0, 0.03], 1.0, 0.0), methods.ema(methods.sgd(constant(40_000, 0.01)), 0.9999)),
        (sl.LinearRegression([1.0, 1e-3], 1.0, 0.0), methods.weight_decay(methods.sgd(constant(20_000, 1e-3)), 1e-3)),
        (sl.NoisyQuadratic([1e-6], 1.0, [1e-6]), methods.sgd(constant(10**4, 0.1))),
        (BENIGN, methods.average(methods.sgd(constant(10**6, 0.1)))),
        (SLOW, methods.sgd(constant(2**32 - 1, 1e-8))),
        (sl.LinearRegression([1e-45], 1.0, 0.0), methods.sgd(constant(100, 1e44))),
    ],
    ids=[
        "long",
        "momentum",
        "still",
        "full gradient",
        "ema",
        "weight decay",
        "additive",
        "average",
        "longest",
        "out of range",
    ],
)
def test_runs_that_rounding_would_stop_take_double(problem, method):
    """A few dozen steps and modes are looked at, however long the run."""
    assert rounding_loss(draws_of(problem), method, False, 256).shows


def test_the_estimate_is_what_single_precision_loses():
    """Both precisions follow the same words, so that their difference is rounding alone; right within a factor of 4."""
    for lr, lam in ((1e-3, 1e-4), (1e-3, 1e-3)):
        problem, method = sl.LinearRegression([lam], 1.0, 0.0), methods.sgd(constant(10_000, lr))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            single, double = (bias(problem, method, dtype=name)[0] for name in ("float32", "float64"))
        loss = rounding_loss(draws_of(problem), method, False, 64)
        assert 0.25 < loss.share / abs(single / double - 1.0) < 4.0, (lr, lam)


def test_each_run_of_a_call_has_the_precision_that_it_has_alone():
    """So that company changes no bit."""
    fast = methods.sgd(constant(100, 0.5))
    options = {"replicas": 8, "record": 3, "device": "cpu"}
    problem = sl.LinearRegression([1.0, 1e-7], 1.0, 0.0)
    slow = methods.sgd(constant(3000, 0.1))
    together = sl.sample(problem, {"fast": fast, "slow": slow}, **options).dataset
    assert together.attrs["dtype"] == "float32; float64"
    for name, method in (("fast", fast), ("slow", slow)):
        alone = sl.sample(problem, method, **options).dataset
        mine = together["risk"].sel(run=name, step=alone["step"])
        np.testing.assert_array_equal(mine.values, alone["risk"].values)


def test_double_is_not_questioned():
    assert bias(SLOW, methods.sgd(constant(10, 1e-3)), dtype="float64")[2]["precision"] == "as asked"


def test_an_experiment_file_leaves_the_choice_open():
    from simlab.experiment.families import FAMILIES

    assert FAMILIES["isotropic"].options({"kind": "sample"}, None)["dtype"] is None
