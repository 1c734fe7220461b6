"""Straight valleys through the exact engine, against dense propagation of mean and covariance; refusals; identities."""

from __future__ import annotations

import json
import time
import warnings

import numpy as np
import pytest

from simlab import methods, schedules, subspaces
from simlab.engines.exact_valley import exact_valley, mean_along_river
from simlab.errors import InputError
from simlab.landscapes.straight import StraightValley
from tests.oracles.method_zoo import ZOO

HILLS = np.array([9.0, 3.0, 3.0, 1.0])
NOISE = np.array([0.5, 0.0, 2.0, 1.0])
START = np.array([0.3, -1.0, 0.0, 0.2])

VALLEYS = {
    "linear": StraightValley(HILLS, slope=0.7, noise=NOISE, river_noise=0.4, hill_start=START, river_start=-2.0),
    "quadratic": StraightValley(
        HILLS, curvature=0.2, target=4.0, noise=NOISE, river_noise=0.4, hill_start=START, river_start=-2.0
    ),
}


def dense(valley, method):
    """The slow oracle: E Z and Cov Z of all coordinates (river first) at every step; losses and river, (T + 1,) each.

    The gradient is H (y - w*) - s e_1 with the state measured from w*; it shares nothing with the engine.
    """
    d, k = valley.dim, method.state_size
    target = np.zeros(d)
    target[0] = valley.target
    start = np.append(valley.river_start, valley.hill_start) - target
    H = np.diag(np.append(valley.curvature, valley.hills))
    C = np.diag(np.append(valley.river_noise, valley.noise))
    slope = np.zeros(d)
    slope[0] = valley.slope
    eye = np.eye(d)
    mean, cov = np.kron(method.z0, start), np.zeros((k * d, k * d))
    rows = []
    for t in range(method.length + 1):
        read = np.kron(method.readout(t, t + 1)[0][None], eye)
        w, S = read @ mean + target, read @ cov @ read.T
        second = np.diag(S) + (w - target) ** 2
        river = -valley.slope * w[0] + 0.5 * valley.curvature * second[0]
        rows.append([river, *(0.5 * valley.hills * second[1:]), w[0], S[0, 0]])
        if t == method.length:
            return np.array(rows)
        M, b, c = (part[0] for part in method.coefficients(t, t + 1))
        A = np.kron(M, eye) - np.kron(np.outer(b, c), H)
        push = np.kron(b[:, None], eye)
        mean = A @ mean + push @ slope
        cov = A @ cov @ A.T + push @ C @ push.T / method.batches(t, t + 1)[0]


@pytest.mark.thorough
@pytest.mark.parametrize("kind", VALLEYS)
@pytest.mark.parametrize("name", ZOO)
def test_every_method_against_dense_propagation(name, kind):
    lr = schedules.wsd(60, 0.08, warmup=5, cooldown=0.3)
    method = ZOO[name](lr, schedules.linear(60, 0.6, floor=0.3), schedules.from_array(1.0 + np.arange(60) % 3))
    valley = VALLEYS[kind]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what lies beyond stability is compared as well
        trace = exact_valley(valley, method, record="all", subspaces=each_hill(4), threads=1, progress=False)
    last = int(trace["ended_at"])
    expected = dense(valley, method)[: last + 1]
    got = np.column_stack(
        [trace["river_loss"], trace["hill_loss"].values, trace["river"], trace["river_spread"]]
    )[: last + 1]  # fmt: skip
    scale = np.abs(expected).max(axis=0) + 1e-300
    np.testing.assert_allclose(got / scale, expected / scale, rtol=1e-12, atol=1e-13)
    np.testing.assert_allclose(trace["total"][: last + 1], expected[:, :5].sum(axis=1), rtol=1e-10, atol=1e-12)


def each_hill(d):
    return subspaces.index_sets({str(i): [i] for i in range(1, d + 1)})


def test_the_river_gains_the_sum_of_learning_rates():
    valley = StraightValley([5.0], slope=0.3, river_start=1.0)
    lr = schedules.cosine(500, 0.1)
    x = mean_along_river(valley, methods.sgd(lr), np.arange(501))
    np.testing.assert_allclose(x, 1.0 + 0.3 * np.append(0.0, np.cumsum(lr.values())), rtol=1e-13)


def test_runs_of_different_length_share_one_axis():
    valley = VALLEYS["quadratic"]
    runs = {f"{T}": methods.sgd(schedules.linear(T, 0.1)) for T in (50, 120)}
    trace = exact_valley(valley, runs, record="linear", progress=False)
    for name, method in runs.items():
        alone = exact_valley(valley, method, record="linear", progress=False)
        own = trace.sel(run=name, step=alone["step"])
        for part in ("total", "river_loss", "hill_loss", "river", "river_spread"):
            np.testing.assert_array_equal(own[part], alone[part])
    assert np.isnan(trace["total"].sel(run="50").values[trace["step"].values > 50]).all()
    assert np.isnan(trace["river"].sel(run="50").values[trace["step"].values > 50]).all()


def test_batch_and_noise_scale_the_spread_alone():
    lr = schedules.linear(80, 0.1)
    one = exact_valley(VALLEYS["quadratic"], methods.sgd(lr), progress=False)
    four = exact_valley(VALLEYS["quadratic"], methods.sgd(lr, batch=4), progress=False)
    spread = one["hill_loss"] - one["hill_bias"]
    np.testing.assert_allclose(four["hill_loss"] - four["hill_bias"], spread / 4.0, rtol=1e-10, atol=1e-15)
    np.testing.assert_allclose(four["river_spread"], one["river_spread"] / 4.0, rtol=1e-12)
    np.testing.assert_array_equal(four["river"], one["river"])


def test_ten_thousand_hills_are_fast():
    """2,000 steps x 10^4 hills x 4 schedules; 0.15 s on two cores of a laptop, 5 s here for a busy machine."""
    valley = StraightValley(np.geomspace(20.0, 1.0, 10_000), slope=0.2)
    runs = [methods.sgd(schedules.wsd(2000, 0.05, cooldown=f)) for f in (0.0, 0.1, 0.2, 0.5)]
    exact_valley(valley, runs[0], progress=False)
    began = time.perf_counter()
    trace = exact_valley(valley, runs, progress=False)
    assert time.perf_counter() - began < 5.0
    assert trace.sizes["run"] == 4


def test_beyond_two_over_the_curvature_is_warned_of_and_run():
    valley = StraightValley([10.0, 1.0], slope=1.0)
    with pytest.warns(UserWarning, match=r"peak learning rate 0.25 of sgd.* is not below 0.2, where curvature 10"):
        trace = exact_valley(valley, methods.sgd(schedules.constant(400, 0.25)), record="all", progress=False)
    assert trace["status"].item() == "diverged"
    end = trace["ended_at"].item()
    assert 10 < end < 400
    assert np.isfinite(trace["total"].values[:end]).all()
    assert np.isnan(trace["total"].values[end + 1 :]).all()
    assert np.isnan(trace["river"].values[end + 1 :]).all()


def test_a_river_that_is_steeper_than_its_hills_diverges_too():
    valley = StraightValley([1.0], curvature=10.0, target=1.0)
    with pytest.warns(UserWarning, match="where curvature 10 becomes unstable"):
        trace = exact_valley(valley, methods.sgd(schedules.constant(4000, 0.25)), record="all", progress=False)
    assert trace["status"].item() == "diverged"
    assert np.isnan(trace["total"].values[trace["ended_at"].item() + 1 :]).all()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"hills": [1.0]}, "slope and curvature: neither given"),
        ({"hills": [1.0], "slope": 1.0, "curvature": 1.0}, "both given"),
        ({"hills": [1.0], "slope": 1.0, "target": 1.0}, "target = 1.0 belongs to a quadratic river"),
        ({"hills": [1.0], "curvature": 0.0}, r"curvature = 0.0 is outside \(0, inf\)"),
        ({"hills": [1.0, -1.0], "slope": 1.0}, r"hills\[1\] = .*-1.0.* is negative"),
        ({"hills": [2.0, 1.0], "slope": 1.0, "noise": [1.0]}, "noise has 1 entries where 2 are needed"),
        ({"hills": [2.0, 1.0], "slope": 1.0, "noise": -1.0}, "noise = -1.0"),
        ({"hills": [2.0, 1.0], "slope": np.nan}, "slope = nan"),
        ({"hills": [2.0, 1.0], "slope": 1.0, "river_noise": -1.0}, "river_noise = -1.0"),
        ({"hills": [], "slope": 1.0}, "hills has shape"),
    ],
)
def test_bad_input_is_refused_in_one_sentence(arguments, message):
    with pytest.raises(InputError, match=message):
        StraightValley(**arguments)


def test_the_engine_refuses_other_problems():
    with pytest.raises(InputError, match="valley is int; give a StraightValley"):
        exact_valley(3, methods.sgd(schedules.constant(3, 0.1)))


def test_losses_of_points_and_provenance():
    valley = VALLEYS["quadratic"]
    point = np.array([[1.0, 0.1, 0.2, 0.3, 0.4], [4.0, 0.0, 0.0, 0.0, 0.0]])
    np.testing.assert_allclose(valley.loss(point), [0.9 + 0.045 + 0.06 + 0.135 + 0.08, 0.0], rtol=1e-14, atol=1e-300)
    assert json.loads(json.dumps(valley.describe()))["target"] == 4.0
    assert "curvature 0.2 about 4" in repr(valley)
    assert valley.critical_lr == 2.0 / 9.0
    assert not valley.hills.flags.writeable


@pytest.mark.parametrize("kind", VALLEYS)
def test_its_landscape_is_the_same_loss_with_the_same_start(kind):
    valley = VALLEYS[kind]
    landscape = valley.landscape()
    points = np.random.default_rng(0).normal(size=(20, valley.dim))
    np.testing.assert_allclose(landscape.value(points), valley.loss(points), rtol=1e-12)
    np.testing.assert_array_equal(landscape.start, np.append(valley.river_start, valley.hill_start))
    np.testing.assert_allclose(landscape.split(points).river_loss, valley.river_loss(points[:, 0]), rtol=1e-12)
    assert landscape.sharpness() == pytest.approx(2.0 / valley.critical_lr)
