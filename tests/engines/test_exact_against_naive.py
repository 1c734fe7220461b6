"""The exact engine against dense propagation of every second moment (`naive`), for every method, at every step."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import simlab as sl
from simlab.schedules import constant, from_array, join, linear
from tests.oracles import naive
from tests.oracles.method_zoo import ZOO

RTOL = 1e-12
LAM = np.array([1.0, 0.61, 0.35, 0.08, 0.011])
ERROR = np.array([0.7, -1.2, 0.4, 2.5, -3.0])
SIGMA2 = 0.3
KURTOSES = {"rademacher": 1.0, "uniform": 1.8, "gaussian": 3.0, "laplace": 6.0, "mixed": np.array([1, 6, 1.8, 3, 9.0])}

# Warmup, decay, a stretch without learning and a restart: the kinks that an off-by-one would show at.
LR = join(linear(20, peak=0.2, warmup=5), constant(4, 0.0), constant(6, 0.05))
MOMENTUM = linear(LR.length, peak=0.9)
BATCHES = {"1": 1, "3": 3, "64": 64, "full": np.inf}


def per_mode(problem, method) -> np.ndarray:
    """Risk (step, component, mode) at every step the run reached."""
    every = sl.subspaces.modes(*range(1, problem.dim + 1))
    trace = sl.exact(problem, method, record="all", subspaces=every, deterministic=True, threads=1)
    return trace.risk.transpose("step", "component", "subspace").values


def assert_same(got: np.ndarray, want: np.ndarray) -> None:
    """Element by element to 1e-12, with a floor of 1e-15 of the highest risk the mode had by then.

    The floor is what the problem allows, not what the engine needs: a mode under momentum oscillates, and as it crosses
    zero its risk is a difference of moments that are only known to an ulp of themselves, in the oracle too. Above a
    thousandth of its peak every single element must be right to 1e-12.
    """
    want = want[: got.shape[0]]
    peak = np.maximum.accumulate(want, axis=0)
    excess = np.abs(got - want) - RTOL * want - 1e-15 * peak
    where = np.unravel_index(np.argmax(excess), excess.shape)
    assert excess.max() <= 0.0, f"(step, component, mode) {where}: {got[where]!r} where naive has {want[where]!r}"


@pytest.mark.parametrize("kurtosis", KURTOSES)
@pytest.mark.parametrize("batch", BATCHES)
@pytest.mark.parametrize("name", ZOO)
def test_every_method(name, batch, kurtosis):
    method = ZOO[name](LR, MOMENTUM, BATCHES[batch])
    problem = sl.LinearRegression(LAM, ERROR, SIGMA2, KURTOSES[kurtosis])
    got = per_mode(problem, method)
    assert got.shape == (LR.length + 1, 3, LAM.size)
    assert_same(got, naive.risks(LAM, ERROR, SIGMA2, KURTOSES[kurtosis], method))


@pytest.mark.parametrize("name", ZOO)
def test_batch_schedule(name):
    batch = from_array(np.array([1, 2, 8, 3, 64])[np.arange(LR.length) % 5])
    method = ZOO[name](LR, MOMENTUM, batch)
    problem = sl.LinearRegression(LAM, ERROR, SIGMA2)
    assert_same(per_mode(problem, method), naive.risks(LAM, ERROR, SIGMA2, 3.0, method))


@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.parametrize("name", ZOO)
def test_additive_noise(name, batch):
    covariance = np.array([0.5, 0.0, 0.2, 0.3, 0.01])
    method = ZOO[name](LR, MOMENTUM, batch)
    got = per_mode(sl.NoisyQuadratic(LAM, ERROR, covariance), method)
    assert_same(got, naive.risks(LAM, ERROR, 0.0, 3.0, method, additive=covariance))


@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.parametrize("name", ZOO)
def test_one_hot_data(name, batch):
    probability, scale = np.array([0.4, 0.3, 0.15, 0.1]), np.array([1.3, 1.0, 1.2, 0.5])
    error = ERROR[:4]
    method = ZOO[name](LR, MOMENTUM, batch)
    got = per_mode(sl.LinearRegression.one_hot(probability, error, SIGMA2, scale), method)
    lam = probability * scale**2
    assert_same(got, naive.risks(lam, error, SIGMA2, 1.0 / probability, method, coupled=False))


def test_the_oracle_sees_each_term():
    """Negative controls: what a wrong fourth moment, learning rate or averaging weight would do is far above 1e-12."""
    lr = linear(20, peak=0.2)
    shifted = from_array(np.append(lr.values()[1:], 0.0))
    right = naive.risks(LAM, ERROR, SIGMA2, 3.0, sl.methods.ema(sl.methods.sgd(lr), 0.9))
    wrong = {
        "fourth moment": naive.risks(LAM, ERROR, SIGMA2, 2.0, sl.methods.ema(sl.methods.sgd(lr), 0.9)),
        "learning rate off by one": naive.risks(LAM, ERROR, SIGMA2, 3.0, sl.methods.ema(sl.methods.sgd(shifted), 0.9)),
        "old form of EMA": naive.risks(LAM, ERROR, SIGMA2, 3.0, sl.methods.ema(sl.methods.sgd(lr), 0.9, form="old")),
    }
    for name, risks in wrong.items():
        with pytest.raises(AssertionError):
            assert_same(risks, right)
        assert np.max(np.abs(risks - right)) > 1e-4 * right.max(), name


@st.composite
def runs(draw):
    """(problem as keywords, method): all that a run depends on, drawn at random, at most six modes and twelve steps."""
    d, steps = draw(st.integers(1, 6)), draw(st.integers(1, 12))

    def vector(n, low, high):
        # Six decimals: squares of anything smaller than that end among the denormals, which the engine flushes to zero.
        return np.round(draw(st.lists(st.floats(low, high), min_size=n, max_size=n)), 6)

    lam = np.sort(10.0 ** vector(d, -3.0, 0.0))[::-1]
    problem = {
        "eigenvalues": lam,
        "initial_error": vector(d, -3.0, 3.0),
        "noise_variance": float(vector(1, 0.0, 2.0)[0]),
        "kurtosis": draw(st.sampled_from([1.0, 1.8, 3.0, 6.0])) if draw(st.booleans()) else vector(d, 1.0, 9.0),
    }
    lr = from_array(vector(steps, 0.0, 0.5))
    momentum = from_array(vector(steps, 0.0, 0.99))
    sizes = [float(b) for b in draw(st.lists(st.integers(1, 64), min_size=steps, max_size=steps))]
    batch = draw(st.sampled_from([1, 3, 64, np.inf, from_array(sizes)]))
    return problem, ZOO[draw(st.sampled_from(sorted(ZOO)))](lr, momentum, batch)


@pytest.mark.thorough
@settings(max_examples=200)
@given(runs())
def test_random_problems(run):
    problem, method = run
    want = naive.risks(
        *(problem[key] for key in ("eigenvalues", "initial_error", "noise_variance", "kurtosis")), method
    )
    assert_same(per_mode(sl.LinearRegression(**problem), method), want)


@pytest.mark.parametrize("name", ["sgd", "heavy_ball", "ema_sgd", "average_of_average"])
def test_snapshots_are_the_risk_of_single_modes(name):
    method = ZOO[name](LR, MOMENTUM, 2)
    shots = [0, 7, 30]
    trace = sl.exact(sl.LinearRegression(LAM, ERROR, SIGMA2), method, snapshots=shots, deterministic=True)
    want = naive.risks(LAM, ERROR, SIGMA2, 3.0, method)[shots]
    got = trace.dataset["mode_risk"].transpose("snapshot", "component", "mode").values
    np.testing.assert_allclose(got, want, rtol=RTOL, atol=1e-15 * want.max())


def test_components_add_up_to_the_recursion_of_the_total():
    """bias + variance is the risk: the Volterra equation for SGD knows nothing of that split."""
    lr, B, kurtosis = LR.values(), 2, 3.0
    z = lr[:, None] * LAM
    q = 1.0 - 2.0 * z + (1.0 + (kurtosis - 2.0) / B) * z**2
    trace = sl.exact(sl.LinearRegression(LAM, ERROR, SIGMA2, kurtosis), sl.methods.sgd(LR, B), record="all")
    twice = [float(LAM @ ERROR**2)]
    for t in range(1, lr.size + 1):
        forced = float((LAM * ERROR**2) @ np.prod(q[:t], axis=0))
        for s in range(t):
            forced += (twice[s] + SIGMA2) / B * float(np.sum(z[s] ** 2 * np.prod(q[s + 1 : t], axis=0)))
        twice.append(forced)
    np.testing.assert_allclose(trace.total().values, 0.5 * np.array(twice), rtol=RTOL)


@pytest.mark.parametrize("k", [1, 2, 5])
@pytest.mark.parametrize("name", ["sgd", "nesterov", "ema_schedule_free"])
def test_coarser_subspaces_are_sums_of_modes(name, k):
    method = ZOO[name](LR, MOMENTUM, 1)
    problem = sl.LinearRegression(LAM, ERROR, SIGMA2)
    want = naive.risks(LAM, ERROR, SIGMA2, 3.0, method)[-1, :2]
    got = sl.exact(problem, method, subspaces=sl.subspaces.head_tail(k)).final().values
    np.testing.assert_allclose(got, np.stack([want[:, :k].sum(axis=1), want[:, k:].sum(axis=1)], axis=1), rtol=RTOL)
