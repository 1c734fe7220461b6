"""Data sets of several outputs, whose risk is the sum over them, and sparse ones, which are their dense selves."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import sparse

import simlab as sl
from simlab import methods
from simlab.schedules import linear

RNG = np.random.default_rng(0)
X = RNG.standard_normal((20, 4)) * (RNG.random((20, 4)) < 0.5)
Y = X @ RNG.standard_normal((4, 3)) + X[:, :1] ** 2 + RNG.standard_normal((20, 3))
RUNS = [methods.sgd(linear(50, 0.1)), methods.ema(methods.heavy_ball(linear(50, 0.05), 0.8), 0.9)]


@pytest.mark.parametrize("moments", ["gaussian", "empirical"])
@pytest.mark.parametrize("method", RUNS, ids=["sgd", "ema of heavy ball"])
def test_the_risk_is_the_sum_over_outputs(moments, method):
    asked = {"record": "all", "deterministic": True, "subspaces": sl.subspaces.modes(1, 2, 3, 4), "progress": False}
    whole = sl.exact(sl.LinearRegression.from_data(X, Y, moments), method, **asked)
    each = [sl.exact(sl.LinearRegression.from_data(X, y, moments), method, **asked).risk for y in Y.T]
    np.testing.assert_allclose(whole.risk, sum(each), rtol=1e-11, atol=1e-14)


def test_one_column_is_one_output():
    for moments in ("gaussian", "empirical"):
        flat, column = (sl.LinearRegression.from_data(X, y, moments) for y in (Y[:, 0], Y[:, :1]))
        np.testing.assert_array_equal(flat.initial_error, column.initial_error)
        assert flat.describe() == column.describe()


def test_an_output_alone():
    problem = sl.EmpiricalRegression(X, Y)
    assert (problem.outputs, problem.output(1).outputs) == (3, 1)
    alone = sl.EmpiricalRegression(X, Y[:, 1])
    np.testing.assert_allclose(problem.output(1).initial_error, alone.initial_error, rtol=1e-12)
    np.testing.assert_allclose(problem.output(1).residual, alone.residual, rtol=1e-12, atol=1e-14)
    with pytest.raises(sl.InputError, match="output = 3 is out of range"):
        problem.output(3)


def test_the_same_rows_are_drawn_for_every_output():
    """Risks of replicas add up over outputs: their mean is the risk of all, their spread that of their sum."""
    problem = sl.EmpiricalRegression(X, Y)
    for model in (problem, sl.LinearRegression.from_data(X, Y)):
        with pytest.raises(sl.InputError, match=r"problem has 3 outputs, .* sample that of each, y\[:, j\]"):
            sl.sample(model, RUNS[0])
    each = [sl.sample(problem.output(j), RUNS[0], replicas=4_000, record=2, progress=False) for j in range(3)]
    total = sl.exact(problem, RUNS[0], record=2, progress=False).total().isel(step=-1)
    error = sum(float(t.dataset["total_error"].isel(step=-1)) for t in each)
    assert abs(float(sum(t.total() for t in each).isel(step=-1) - total)) < 4.0 * error


@pytest.mark.parametrize("kind", [sparse.csr_array, sparse.coo_matrix, sparse.csc_array])
@pytest.mark.parametrize("moments", ["gaussian", "empirical"])
def test_sparse_is_dense(kind, moments):
    dense, thin = (sl.LinearRegression.from_data(a, Y, moments, holdout=0.2) for a in (X, kind(X)))
    for name in ("eigenvalues", "initial_error"):
        np.testing.assert_allclose(np.abs(getattr(thin, name)), np.abs(getattr(dense, name)), rtol=1e-12)
    assert thin.heldout.level == pytest.approx(dense.heldout.level, rel=1e-12)
    assert thin.describe().keys() == dense.describe().keys()


@pytest.mark.parametrize(
    ("features", "targets", "said"),
    [
        (sparse.csr_array((10**6, 10**6)), np.zeros(10**6), r"X of shape \(1000000, 1000000\) takes 7450.6 GiB"),
        (X, Y[:5], "y has 5 entries where 20 are needed; give one for each row"),
        (X, np.zeros((20, 2, 2)), r"y has shape \(20, 2, 2\); give one target for each row, or \(rows, outputs\)"),
        (X, np.where(np.arange(60).reshape(20, 3) == 4, np.nan, Y), r"y\[1\] = .* is refused; give finite numbers"),
        (X, [["a"]] * 20, "y = .* is not an array of numbers"),
    ],
)
def test_refusals(features, targets, said):
    with pytest.raises(sl.InputError, match=said):
        sl.LinearRegression.from_data(features, targets)
