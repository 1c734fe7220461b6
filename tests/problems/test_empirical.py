"""The empirical engine against enumeration: every batch that SGD on six rows could draw, with its probability.

Nothing is shared with the engine: raw coordinates in place of the eigenbasis, trajectories in place of moments.
"""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

import simlab as sl
from simlab import methods
from simlab.schedules import constant, from_array, linear

RNG = np.random.default_rng(4)
ROWS = RNG.standard_normal((6, 3)) * np.array([1.5, 1.0, 0.4]) + 0.2
# Residuals that depend on the features, so that bias and variance are correlated.
TARGETS = ROWS @ np.array([1.0, -2.0, 0.5]) + ROWS[:, 0] ** 2 + RNG.standard_normal(6)
BEST = np.linalg.lstsq(ROWS, TARGETS, rcond=None)[0]
LAM, AXES = (part[..., ::-1] for part in np.linalg.eigh(ROWS.T @ ROWS / 6))


def batches(size):
    """(rows, probability) of every multiset of `size` rows drawn with replacement."""
    for rows in itertools.combinations_with_replacement(range(6), size):
        repeats = [rows.count(r) for r in set(rows)]
        ways = math.factorial(size) / math.prod(math.factorial(n) for n in repeats)
        yield list(rows), ways / 6.0**size


def enumerate_risk(method, sizes, start, residual):
    """Mean risk (step, mode) over all draws of the state z = w - w* in raw coordinates."""
    states = (method.z0[:, None] * start)[None]  # (draws, k, d)
    weight = np.ones(1)
    M, b, c = method.coefficients()
    o = method.readout()
    out = []
    for t in range(method.length + 1):
        along = np.einsum("a,nad,di->ni", o[t], states, AXES)
        out.append(0.5 * LAM * (weight @ along**2))
        if t == method.length:
            return np.array(out)
        new_states, new_weight = [], []
        for rows, probability in batches(sizes[t]):
            y = np.einsum("a,nad->nd", c[t], states)
            X, e = ROWS[rows], residual[rows]
            gradient = (y @ X.T - e) @ X / sizes[t]
            moved = np.einsum("ab,nbd->nad", M[t], states) - b[t][:, None] * gradient[:, None, :]
            new_states.append(moved)
            new_weight.append(weight * probability)
        states, weight = np.concatenate(new_states), np.concatenate(new_weight)


def parts(method, sizes):
    """(bias, variance, cross, total) by step and mode; cross is what the two of them leave over."""
    residual = TARGETS - ROWS @ BEST
    total = enumerate_risk(method, sizes, -BEST, residual)
    bias = enumerate_risk(method, sizes, -BEST, np.zeros(6))
    variance = enumerate_risk(method, sizes, np.zeros(3), residual)
    return bias, variance, total - bias - variance, total


LR = from_array([0.2, 0.1, 0.3, 0.05])
BETA = from_array([0.5, 0.9, 0.2, 0.7])
RUNS = {
    "sgd": lambda B: methods.sgd(LR, B),
    "heavy_ball": lambda B: methods.heavy_ball(LR, BETA, B),
    "nesterov": lambda B: methods.nesterov(LR, BETA, B),
    "asgd": lambda B: methods.asgd(LR, 0.4, 0.3, batch=B),
    "schedule_free": lambda B: methods.schedule_free(LR, BETA, B),
    "ema_old": lambda B: methods.ema(methods.sgd(LR, B), 0.7, form="old"),
    "average_nesterov": lambda B: methods.average(methods.nesterov(LR, BETA, B), 1),
    "decay": lambda B: methods.weight_decay(methods.heavy_ball(LR, BETA, B), 0.1),
}
EACH = sl.subspaces.modes(1, 2, 3)


def per_mode(problem, method):
    trace = sl.exact(problem, method, record="all", subspaces=EACH)
    return trace.risk.transpose("component", "step", "subspace")


@pytest.fixture(scope="module")
def problem():
    return sl.LinearRegression.from_data(ROWS, TARGETS, moments="empirical")


@pytest.mark.thorough
@pytest.mark.parametrize("batch", [1, 2])
@pytest.mark.parametrize("name", RUNS)
def test_every_draw_of_every_batch(name, batch, problem):
    """Bias, variance, cross and their sum, by mode, at every step, to 1e-12 of the risk of that mode at that step."""
    got = per_mode(problem, RUNS[name](batch))
    want = dict(zip(("bias", "variance", "cross", "total"), parts(RUNS[name](batch), [batch] * 4), strict=True))
    scale = want["bias"] + want["variance"]
    for component in ("bias", "variance", "cross"):
        assert np.max(np.abs(got.sel(component=component).values - want[component]) / scale) < 1e-12, component
    np.testing.assert_allclose(got.sum("component").values, want["total"], rtol=1e-12)
    assert np.max(np.abs(want["cross"])) > 1e-3 * scale.max(), "the data set shows no dependence: choose another"


def test_three_rows_at_a_time(problem):
    method = methods.sgd(from_array([0.2, 0.3, 0.1]), 3)
    np.testing.assert_allclose(per_mode(problem, method).sum("component").values, parts(method, [3] * 3)[3], rtol=1e-12)


def test_batch_schedule(problem):
    sizes = [1, 3, 2, 1]
    method = methods.nesterov(LR, BETA, from_array([float(s) for s in sizes]))
    np.testing.assert_allclose(per_mode(problem, method).sum("component").values, parts(method, sizes)[3], rtol=1e-12)


def test_total_is_the_loss_of_real_sgd_in_the_users_own_terms(problem):
    """w <- w - lr/B sum x (x w - y) from w = 0, all 6^4 sequences: mean loss = risk + mean squared residual / 2."""
    w, rate = np.zeros((1, 3)), LR.values()
    for t in range(4):
        w = np.concatenate([w - rate[t] * np.outer(w @ ROWS[r] - TARGETS[r], ROWS[r]) for r in range(6)])
    loss = 0.5 * np.mean((w @ ROWS.T - TARGETS) ** 2)
    risk = float(sl.exact(problem, methods.sgd(LR)).total()[-1])
    assert risk + 0.5 * problem.noise_variance == pytest.approx(loss, rel=1e-12)


def test_full_gradient_is_deterministic(problem):
    """1/B = 0: the Gaussian and the empirical model are the same gradient descent."""
    method = methods.heavy_ball(linear(12, peak=0.2), 0.8, np.inf)
    gaussian = sl.LinearRegression.from_data(ROWS, TARGETS)
    got, want = per_mode(problem, method), per_mode(gaussian, method)
    np.testing.assert_allclose(got.sel(component="bias"), want.sel(component="bias"), rtol=1e-11, atol=1e-15)
    assert np.all(got.sel(component=["variance", "cross"]).values == 0.0)


def test_deterministic_component_is_the_full_gradient_run(problem):
    noisy = sl.exact(problem, methods.nesterov(LR, BETA, 1), record="all", deterministic=True, subspaces=EACH)
    full = sl.exact(problem, methods.nesterov(LR, BETA, np.inf), record="all", subspaces=EACH)
    np.testing.assert_allclose(
        noisy.risk.sel(component="deterministic").values, full.risk.sel(component="bias").values, rtol=1e-11, atol=1e-16
    )


def test_components_that_add_up_leave_the_deterministic_one_out(problem):
    trace = sl.exact(problem, methods.sgd(LR), record="all", deterministic=True)
    assert list(trace.risk["component"].values) == ["bias", "variance", "cross", "deterministic"]
    assert list(trace.by_component()["component"].values) == ["bias", "variance", "cross"]
    np.testing.assert_allclose(trace.total().values, parts(methods.sgd(LR), [1] * 4)[3].sum(axis=1), rtol=1e-12)


def test_gaussian_data_has_gaussian_moments():
    """Many rows of independent Gaussian features and noise: the two models agree up to the sampling of the rows."""
    rng = np.random.default_rng(0)
    X = rng.standard_normal((40_000, 3)) * np.array([1.0, 0.7, 0.3])
    y = X @ np.array([1.0, -1.0, 2.0]) + 0.5 * rng.standard_normal(40_000)
    method = methods.sgd(constant(40, 0.1), 2)
    a, b = (
        float(sl.exact(sl.LinearRegression.from_data(X, y, moments=m), method).total()[-1])
        for m in ("gaussian", "empirical")
    )
    assert a == pytest.approx(b, rel=0.02)


@pytest.mark.parametrize("recorded", [None, "all", [3]])
def test_divergence_ends_where_the_risk_passed_the_limit_whatever_is_recorded(recorded, problem):
    """10^6 times the larger of initial risk and half the noise, at the first step beyond it."""
    method = methods.sgd(constant(200, 0.9))
    limit = 1e6 * max(0.5 * float(LAM @ (AXES.T @ BEST) ** 2), 0.5 * problem.noise_variance)
    lengths = range(1, 40)
    risks = [float(sl.exact(problem, methods.sgd(constant(n, 0.9))).total()[-1]) for n in lengths]
    first = next(n for n, risk in zip(lengths, risks, strict=True) if not risk <= limit)
    trace = sl.exact(problem, method, record=recorded)
    assert (trace.status.item(), int(trace.dataset["ended_at"])) == ("diverged", first)
    assert float(trace.final().sel(component=["bias", "variance", "cross"]).sum()) == pytest.approx(risks[first - 1])


def test_snapshots(problem):
    trace = sl.exact(problem, methods.sgd(LR), snapshots=[2], record="all", subspaces=EACH)
    np.testing.assert_allclose(
        trace.dataset["mode_risk"].sel(snapshot=2).values, trace.risk.sel(step=2).values, rtol=1e-14
    )


def test_rank_deficient_rows():
    """A repeated column is one direction; nothing moves along the null direction."""
    wide = np.column_stack([ROWS, ROWS[:, 0]])
    problem = sl.LinearRegression.from_data(wide, TARGETS, moments="empirical")
    assert problem.dim == 3
    w, rate = np.zeros((1, 4)), LR.values()
    for t in range(4):
        w = np.concatenate([w - rate[t] * np.outer(w @ wide[r] - TARGETS[r], wide[r]) for r in range(6)])
    loss = 0.5 * np.mean((w @ wide.T - TARGETS) ** 2)
    risk = float(sl.exact(problem, methods.sgd(LR)).total()[-1])
    assert risk + 0.5 * problem.noise_variance == pytest.approx(loss, rel=1e-11)
