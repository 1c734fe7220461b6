"""The loss on rows that were held out: exact against dense moments, against every draw of every batch, and sampled."""

from __future__ import annotations

import numpy as np
import pytest

import simlab as sl
from simlab import methods
from simlab.schedules import constant, from_array, linear
from tests.oracles import naive
from tests.oracles.method_zoo import BASE, WRAPPED

RNG = np.random.default_rng(4)
ZOO = {**BASE, **WRAPPED}
TRUTH = np.array([[1.0, -2.0, 0.5], [0.3, 0.0, -1.0]])


def a_data_set(rows, outputs):
    """Residuals depend on the features; the last feature is hardly there."""
    X = RNG.standard_normal((rows, 3)) * np.array([1.5, 1.0, 0.1]) + 0.2
    y = X @ TRUTH[:outputs].T + X[:, :1] ** 2 + RNG.standard_normal((rows, outputs))
    return X, y[:, 0] if outputs == 1 else y


TRAIN = {outputs: a_data_set(6, outputs) for outputs in (1, 2)}
OTHER = {outputs: a_data_set(5, outputs) for outputs in (1, 2)}
LR, BETA = from_array([0.2, 0.1, 0.3, 0.05]), from_array([0.5, 0.9, 0.2, 0.7])
ASKED = {"record": "all", "progress": False}


def made(moments, outputs, **more):
    return sl.LinearRegression.from_data(*TRAIN[outputs], moments, holdout=OTHER[outputs], **more)


# -- exact -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("outputs", [1, 2])
def test_every_draw_of_every_batch(outputs):
    """w <- w - lr (w x - y) x^T from w = 0 along all 6^4 sequences of rows: mean loss on the other rows."""
    (X, y), (others, targets) = ((a, b.reshape(len(b), -1)) for a, b in (TRAIN[outputs], OTHER[outputs]))
    w, losses = np.zeros((1, outputs, 3)), []
    for t in range(5):
        losses.append([0.5 * np.mean(np.sum((w @ a.T - b.T) ** 2, axis=1)) for a, b in ((others, targets), (X, y))])
        if t < 4:
            w = np.concatenate([w - LR(t) * (w @ X[r] - y[r])[:, :, None] * X[r] for r in range(6)])
    problem = made("empirical", outputs)
    trace = sl.exact(problem, methods.sgd(LR), **ASKED)
    training = trace.total() + 0.5 * problem.noise_variance
    np.testing.assert_allclose(np.stack([trace.holdout(), training], axis=1), losses, rtol=1e-12)


@pytest.mark.parametrize("outputs", [1, 2])
@pytest.mark.parametrize("name", sorted(ZOO))
def test_independent_coordinates_against_dense_moments(name, outputs):
    """The quadratic form of all d^2 moments, output by output; bias, variance and the deterministic part."""
    method = ZOO[name](LR, BETA, 2.0)
    problem = made("gaussian", outputs)
    A, slope, level = problem.heldout.curvature, problem.heldout.slope, problem.heldout.level
    known = np.zeros((5, 3))
    noise = problem.noise_variance / outputs
    for error, g in zip(problem.errors, slope, strict=True):
        second = naive.second_moments(problem.eigenvalues, error, noise, problem.kurtosis, method)
        mean = np.sign(error) * np.sqrt(np.maximum(np.diagonal(second[:, 2], axis1=1, axis2=2), 0.0))
        mean *= signs(method, problem.eigenvalues, error)
        known += 0.5 * np.einsum("tpij,ij->tp", second, A)
        known[:, [0, 2]] += (0.5 * level / outputs - mean @ g)[:, None]
    trace = sl.exact(problem, method, deterministic=True, **ASKED)
    np.testing.assert_allclose(trace.dataset["holdout"], known, rtol=1e-11, atol=1e-13 * known.max())


def signs(method, lam, error):
    """(T + 1, d) : the sign of E (w - w*) over that at the start, by one deterministic run of each mode."""
    z, out = np.repeat(method.z0[:, None], lam.size, axis=1), []
    M, b, c = method.coefficients()
    o = method.readout()
    for t in range(method.length + 1):
        out.append(np.sign(o[t] @ z))
        if t < method.length:
            z = M[t] @ z - np.outer(b[t], lam * (c[t] @ z))
    return np.array(out)


def test_rows_that_were_trained_on_are_no_news():
    """Held-out rows that are the training rows: their loss is the training loss, under either moments."""
    X, y = TRAIN[1]
    for moments in ("gaussian", "empirical"):
        problem = sl.LinearRegression.from_data(X, y, moments, holdout=(X, y))
        trace = sl.exact(problem, methods.ema(methods.sgd(LR), 0.5), **ASKED)
        np.testing.assert_allclose(trace.holdout(), trace.total() + 0.5 * problem.noise_variance, rtol=1e-13)


def test_the_risk_is_what_it_was_without():
    method = methods.heavy_ball(linear(300, 0.02), 0.9)
    for moments in ("gaussian", "empirical"):
        plain = sl.LinearRegression.from_data(*TRAIN[1], moments)
        traces = [sl.exact(p, method, progress=False) for p in (plain, made(moments, 1))]
        np.testing.assert_allclose(traces[0].risk, traces[1].risk, rtol=1e-13)


@pytest.mark.parametrize("moments", ["gaussian", "empirical"])
@pytest.mark.parametrize("name", ["sgd", "heavy_ball", "schedule_free"])
def test_split_is_whole(moments, name):
    problem, method = made(moments, 2), ZOO[name](linear(60, 0.05), constant(60, 0.8), 1.0)
    whole = sl.exact(problem, method, **ASKED)
    first = sl.exact(problem, method, keep=[23], **ASKED)
    second = sl.exact(problem, methods.rest(method, 23), start=first.state_at(23), **ASKED)
    np.testing.assert_allclose(second.holdout(), whole.holdout().sel(step=slice(23, None)), rtol=1e-12)


def test_a_diverging_run_is_a_result():
    for moments in ("gaussian", "empirical"):
        trace = sl.exact(made(moments, 1), methods.sgd(constant(2_000, 2.0)), progress=False)
        assert trace.status == "diverged"
        reached = trace.risk["step"] <= int(trace.dataset["ended_at"])
        assert float(trace.holdout().max()) > 1e3
        assert reached.all()


def test_too_many_modes_for_their_pairs(monkeypatch):
    monkeypatch.setattr("simlab.engines.moments.heldout.MOST_MODES", 2)
    with pytest.raises(sl.InputError, match="holdout asks for the moments between 3 modes, and 2 is the most"):
        sl.exact(made("gaussian", 1), methods.sgd(LR), progress=False)
    sl.exact(made("empirical", 1), methods.sgd(LR), progress=False)


# -- which rows --------------------------------------------------------------------------------------------------------


def test_a_share_of_the_rows_is_drawn_once():
    X, y = np.eye(40) + 0.1, np.arange(40.0)
    problem = sl.LinearRegression.from_data(X, y, holdout=0.25)
    assert (problem.describe()["rows"], problem.describe()["held_out"]) == (30, 10)
    again, other = (sl.LinearRegression.from_data(X, y, holdout=0.25, holdout_seed=seed) for seed in (0, 1))
    np.testing.assert_array_equal(problem.heldout.rows, again.heldout.rows)
    assert problem.heldout.level != other.heldout.level
    # What is held out, and what is left, are the rows drawn: their squares add up to those of all rows.
    words = np.random.Philox(key=0).random_raw(40)
    out = np.argsort(words)[:10]
    by_hand = sl.LinearRegression.from_data(np.delete(X, out, 0), np.delete(y, out), holdout=(X[out], y[out]))
    assert by_hand.heldout.level == pytest.approx(problem.heldout.level, rel=1e-9)


@pytest.mark.parametrize(
    ("holdout", "said"),
    [
        (1.5, r"holdout = 1.5 is outside \[0, 1\]; give a share of the rows such as 0.2"),
        (0.01, "holdout = 0.01 holds out 0 of 6 rows; give a share that leaves some on either side"),
        ((np.eye(2), [1.0, 2.0]), r"holdout\[0\] has 2 columns and X has 3; give the same features"),
        ((np.eye(3), np.eye(3)), r"holdout\[1\] has 3 outputs and y has 1; give the same targets"),
        ((np.eye(3),), "holdout has 1 parts; give a share such as 0.2"),
        ("half", "holdout = 'half' is not a number"),
    ],
)
def test_refusals(holdout, said):
    with pytest.raises(sl.InputError, match=said):
        sl.LinearRegression.from_data(*TRAIN[1], holdout=holdout)


def test_what_has_no_rows_held_out_says_so():
    plain = sl.LinearRegression.from_data(*TRAIN[1])
    trace = sl.exact(plain, methods.sgd(LR), progress=False)
    with pytest.raises(sl.InputError, match=r"no loss on held-out rows; make the problem by .*holdout=0.2"):
        trace.holdout()
    with pytest.raises(sl.InputError, match="start keeps no moments between modes"):
        sl.exact(made("gaussian", 1), methods.sgd(LR), start=trace.state, progress=False)


# -- sampled -----------------------------------------------------------------------------------------------------------


@pytest.mark.thorough
@pytest.mark.parametrize(
    ("moments", "name", "law"),
    [
        ("empirical", "sgd", None),
        ("empirical", "heavy_ball", None),
        ("gaussian", "ema_of_nesterov", None),
        ("gaussian", "sgd", "three_point"),
    ],
)
def test_sampled_against_exact(moments, name, law):
    """40 records: right code exceeds 4.5 once in 3,000 seeds, and the seed is fixed."""
    own = {"ema_of_nesterov": lambda lr, beta, B: methods.ema(methods.nesterov(lr, beta, B), 0.8)}
    method = {**ZOO, **own}[name](linear(80, 0.1), constant(80, 0.5), 1.0)
    problem = made(moments, 1)
    exact = sl.exact(problem, method, record=40, progress=False)
    sampled = sl.sample(problem, method, replicas=20_000, record=40, law=law, progress=False)
    z = np.abs(sampled.holdout_z_scores(exact))
    assert float(z.max()) < 4.5
    assert int(z.count()) > 20
    assert float(sampled.dataset["holdout_error"].isel(step=-1) / exact.holdout().isel(step=-1)) < 0.03
    for component in ("bias", "variance", "cross")[: 3 if moments == "empirical" else 2]:
        got, known = (t.dataset["holdout"].sel(component=component) for t in (sampled, exact))
        assert float(np.abs(got - known).max()) < 0.05 * float(exact.holdout().max())


def test_one_trajectory_has_the_same_loss():
    problem, method = made("empirical", 1), methods.sgd(constant(50, 0.1))
    asked = {"replicas": 64, "progress": False, "dtype": "float64"}
    split, single = (sl.sample(problem, method, split=split, **asked) for split in (True, False))
    np.testing.assert_allclose(single.holdout(), split.holdout(), rtol=1e-10)
    np.testing.assert_allclose(single.dataset["holdout_error"], split.dataset["holdout_error"], rtol=1e-7)


def test_the_loss_of_a_trajectory_is_that_of_its_weights():
    """One replica of full gradients: half the mean squared residual at w, for more rows and fewer than columns."""
    for rows in (2, 50):
        others = RNG.standard_normal((rows, 3)), RNG.standard_normal(rows)
        problem = sl.LinearRegression.from_data(*TRAIN[1], "empirical", holdout=others)
        X, y = TRAIN[1]
        w = np.zeros(3)
        for _ in range(7):
            w -= 0.3 * X.T @ (X @ w - y) / len(y)
        method = methods.sgd(constant(7, 0.3), batch=np.inf)
        loss = 0.5 * np.mean((others[0] @ w - others[1]) ** 2)
        sampled = sl.sample(problem, method, replicas=2, dtype="float64", progress=False)
        for trace in (sampled, sl.exact(problem, method, progress=False)):
            assert float(trace.holdout().isel(step=-1)) == pytest.approx(loss, rel=1e-12)


def test_cut_and_killed_anyhow_it_is_the_same(tmp_path):
    problem, method = made("empirical", 1), methods.sgd(constant(200, 0.05))
    plain = sl.sample(problem, method, replicas=9, progress=False)

    def stop(done, total):
        if done > total // 2:
            raise KeyboardInterrupt

    asked = {"replicas": 9, "block": 4, "threads": 1, "checkpoint": tmp_path, "every": 16}
    assert sl.sample(problem, method, progress=stop, **asked).status == "interrupted"
    resumed = sl.sample(problem, method, progress=False, **asked)
    np.testing.assert_array_equal(resumed.dataset["holdout"], plain.dataset["holdout"])
    other = sl.LinearRegression.from_data(*TRAIN[1], "empirical", holdout=(OTHER[1][0], OTHER[1][1] + 1.0))
    with pytest.raises(sl.InputError, match="state of another run"):
        sl.sample(other, method, progress=False, **asked)


def test_what_diverged_is_infinite():
    problem = made("empirical", 1)
    sampled = sl.sample(problem, methods.sgd(constant(300, 2.0)), replicas=8, progress=False, record="all")
    gone = np.isinf(sampled.total().values)
    assert 0 < gone.sum() < gone.size
    np.testing.assert_array_equal(np.isinf(sampled.holdout()), gone)


def test_several_outputs_are_sampled_one_by_one():
    problem = made("empirical", 2)
    with pytest.raises(sl.InputError, match="problem has 2 outputs, whose trajectories are drawn one by one"):
        sl.sample(problem, methods.sgd(LR), replicas=2)
    exact = sl.exact(problem, methods.sgd(linear(60, 0.1)), record=2, progress=False)
    each = [
        sl.sample(problem.output(j), methods.sgd(linear(60, 0.1)), replicas=20_000, record=2, progress=False)
        for j in range(2)
    ]
    error = sum(float(t.dataset["holdout_error"].isel(step=-1)) for t in each)
    assert abs(float(sum(t.holdout() for t in each).isel(step=-1) - exact.holdout().isel(step=-1))) < 4.0 * error
