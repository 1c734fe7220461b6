"""The sampler against its readable twin (`naive_sampler`), draw by draw: every method, law, batch and layout.

Both follow the same random words, so that every replica must take the same path: to rounding in double precision, and
to the accuracy of its own normals in single.
"""

from __future__ import annotations

import numpy as np
import pytest

import simlab as sl
from simlab import methods
from simlab.problems.draws import draws_of
from simlab.schedules import constant, from_array, join, linear
from tests.oracles import naive_sampler
from tests.oracles.method_zoo import ZOO

# Relative to the highest value so far. The largest found over this file: 1.1e-14 and 1.9e-6.
RTOL = {"float64": 1e-12, "float32": 2e-5}
SEED = 2**40 + 12345
LAM = np.array([1.0, 0.61, 0.35, 0.08, 0.011])
ERROR = np.array([0.7, -1.2, 0.4, 2.5, -3.0])
REGRESSION = sl.LinearRegression(LAM, ERROR, 0.3)

LR = join(linear(20, peak=0.2, warmup=5), constant(4, 0.0), constant(6, 0.05))
MOMENTUM = linear(LR.length, peak=0.9)
BATCHES = {"1": 1, "3": 3, "full": np.inf}


def changing(steps: int) -> sl.schedules.Schedule:
    """Batches of 1, of 2 and of 70, more than labels are drawn at a time: what is kept must not outlive its use."""
    return from_array(np.resize([1.0, 2.0, 1.0, 1.0, 70.0, 1.0, 3.0, 5.0], steps))


def assert_same(problem, method, *, law=None, replicas=3, subspaces=None, cut=(True, False), seed=SEED) -> None:
    """Trajectories of every replica and mean risk by component and subspace, at every step, in both precisions."""
    draws = draws_of(problem, law)
    d = draws.eigenvalues.size
    watched = np.unique(np.linspace(1, d, min(d, 40)).astype(int))
    partition = sl.subspaces.from_spec(subspaces)
    labels = partition.labels(np.arange(d), np.arange(1, d + 1), d, problem.count_at_least, 0.0)[1]
    for split in cut:
        path = naive_sampler.trajectories(draws, method, replicas, seed, split)
        risk = naive_sampler.risks(path, draws.eigenvalues, labels).mean(axis=2)
        whole = path.sum(axis=1)[:, :, watched - 1]
        # Parts in which nothing is random, but rounding: bias and variance may leave no cross term.
        scale = risk if not split else np.stack([risk[:, 0], risk[:, 1], risk[:, 0] + risk[:, 1]], axis=1)
        for dtype, rtol in RTOL.items():
            trace = sl.sample(
                problem, method, law=law, replicas=replicas, seed=seed, record="all", subspaces=subspaces, split=split,
                coordinates=watched, dtype=dtype, device="cpu", threads=1,
            )  # fmt: skip
            where = f"{method}, split={split}, {dtype}"
            assert_close(trace.dataset["trajectory"].values, whole, whole, rtol, where)
            assert_close(trace.risk.values, risk, scale, 3.0 * rtol, where)


def assert_close(got, want, scale, rtol, where) -> None:
    """Within `rtol` of the largest |scale| up to each step; what is 0 throughout must be 0."""
    assert got.shape == want.shape, where
    peak = np.maximum.accumulate(np.abs(scale), axis=0)
    excess = np.abs(got - want) - rtol * peak
    at = np.unravel_index(np.argmax(excess), excess.shape)
    assert excess[at] <= 0.0, f"{where}: {got[at]!r} where naive has {want[at]!r} at {at}, after {peak[at]:.3g}"


@pytest.mark.parametrize("batch", BATCHES)
@pytest.mark.parametrize("name", ZOO)
def test_every_method(name, batch):
    assert_same(REGRESSION, ZOO[name](LR, MOMENTUM, BATCHES[batch]), subspaces=sl.subspaces.modes(2, 4))


@pytest.mark.thorough
@pytest.mark.parametrize("name", ZOO)
def test_batch_schedule(name):
    assert_same(REGRESSION, ZOO[name](LR, MOMENTUM, changing(LR.length)), cut=(True,))


LAWS = {"gaussian": 3.0, "rademacher": 1.0, "uniform": 1.8, "laplace": 6.0, "student_t": 4.0, "three_point": 2.5}
MIXED = np.array([1.0, 6.0, 1.8, 3.0, 9.0])


@pytest.mark.thorough
@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.parametrize("law", [*LAWS, "mixed kurtosis"])
def test_every_law(law, batch):
    problem = sl.LinearRegression(LAM, ERROR, 0.3, MIXED if law == "mixed kurtosis" else LAWS[law])
    for name in ("sgd", "heavy_ball", "ema_schedule_free"):
        method = ZOO[name](LR, MOMENTUM, batch)
        assert_same(problem, method, law=None if law == "mixed kurtosis" else law)


@pytest.mark.thorough
@pytest.mark.parametrize("d", [1, 3, 64, 256, 257, 300, 1024, 1100])
@pytest.mark.parametrize("law", ["gaussian", "student_t", "three_point"])
def test_every_width(law, d):
    """Within a tile, whole tiles, beyond a strip of 1024: what is drawn where, and where the padding starts."""
    lam = np.arange(1.0, d + 1.0) ** -1.5
    error = 3.0 * np.cos(np.arange(d))
    kurtosis = {"gaussian": 3.0, "student_t": 4.0, "three_point": 1.0 + 2.0 * np.cos(np.arange(d)) ** 2}[law]
    problem = sl.LinearRegression(lam, error, 0.3, kurtosis)
    lr = linear(12, peak=0.1)
    for name, batch in [("sgd", 1), ("nesterov", changing(12)), ("generic_moving", 2), ("average_of_average", 1)]:
        subspaces = {"odd": range(1, d + 1, 2)} if d < 300 else sl.subspaces.log_bins(5)
        assert_same(problem, ZOO[name](lr, 0.8, batch), law=law, replicas=2, subspaces=subspaces)


@pytest.mark.parametrize("batch", [1, 3, "changing", np.inf])
def test_one_hot_data(batch):
    probability, scale = np.array([0.4, 0.3, 0.15, 0.1]), np.array([1.3, 1.0, 1.2, 0.5])
    problem = sl.LinearRegression.one_hot(probability, ERROR[:4], 0.3, scale)
    for name in ("sgd", "asgd", "ema_lookahead"):
        assert_same(problem, ZOO[name](LR, MOMENTUM, changing(LR.length) if batch == "changing" else batch))


@pytest.mark.parametrize("d", [256, 1100])
def test_one_hot_data_of_many_categories(d):
    """The probabilities leave out a fifth, which falls beyond the last coordinate: in no tile, and in none to come."""
    problem = sl.LinearRegression.one_hot(np.full(d, 0.8 / d), 1.0, 0.3, scale=10.0)
    assert_same(problem, methods.heavy_ball(constant(30, 0.01), 0.5, 2), replicas=8)


@pytest.mark.parametrize("batch", [1, 3, "changing", np.inf])
@pytest.mark.parametrize("d", [5, 300])
def test_additive_noise(d, batch):
    index = np.arange(1.0, d + 1.0)
    covariance = np.where(index == 2, 0.0, 0.5 / index)
    problem = sl.NoisyQuadratic(index**-1.2, np.cos(index), covariance)
    for name in ("sgd", "qhm", "ema_of_decay"):
        assert_same(problem, ZOO[name](LR, MOMENTUM, changing(LR.length) if batch == "changing" else batch))


@pytest.mark.thorough
@pytest.mark.parametrize("law", ["rows", "epochs"])
@pytest.mark.parametrize("batch", [1, 3, "changing", np.inf])
@pytest.mark.parametrize("shape", [(7, 3), (40, 300)])
def test_data_sets(shape, batch, law):
    """Seven rows in batches of three: epochs end within batches, and several begin within one of 70."""
    rng = np.random.default_rng(8)
    X = rng.standard_normal(shape) * np.linspace(1.5, 0.5, shape[1]) / np.sqrt(shape[1] / 3)
    problem = sl.EmpiricalRegression(X, X[:, 0] ** 2 + rng.standard_normal(shape[0]))
    for name in ("sgd", "nesterov", "average_asgd", "ema_of_decay"):
        method = ZOO[name](LR * 0.5, MOMENTUM, changing(LR.length) if batch == "changing" else batch)
        assert_same(problem, method, law=law, subspaces=sl.subspaces.head_tail(2))


def test_seeds_of_64_bits_and_steps_beyond_a_window_of_labels():
    for seed in (0, 1, 2**32, 2**64 - 1):
        assert_same(REGRESSION, methods.heavy_ball(constant(150, 0.05), 0.6), replicas=5, cut=(True,), seed=seed)


def test_the_comparison_sees_a_wrong_draw_or_step():
    """Negative controls: another seed, a rate off by one and a batch of two for one are seen in both precisions."""
    method = methods.sgd(LR)
    late = methods.sgd(from_array(np.append(LR.values()[1:], 0.0)))
    path = naive_sampler.trajectories(draws_of(REGRESSION), method, 3, SEED).sum(axis=1)
    for other, seed in [(method, SEED + 1), (late, SEED), (methods.sgd(LR, 2), SEED)]:
        wrong = naive_sampler.trajectories(draws_of(REGRESSION), other, 3, seed).sum(axis=1)
        with pytest.raises(AssertionError):
            assert_close(wrong, path, path, 1000.0 * RTOL["float32"], "control")
