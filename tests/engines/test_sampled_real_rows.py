"""Sampled rows of the digits, lifted to random ReLU features: what the Gaussian model gets wrong is measured and shown.

Three answers for one run: trajectories on the rows themselves, exact moments under the rows' own fourth moments, and
exact moments under the Gaussian model of the rows (their spectrum, residual variance and kurtosis by coordinate).
"""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("sklearn", reason="scikit-learn is not installed; it ships the digits")

import simlab as sl
from simlab.showcase import demo

STEPS, REPLICAS = 150, 40_000


@pytest.fixture(scope="module")
def answers():
    """(sampled, own moments, Gaussian model) of SGD on 1,797 digits with 60 random features."""
    X, y = demo.digits(features=60)
    gaussian = sl.LinearRegression.from_data(X, y)
    peak = 0.4 * sl.stability(gaussian, sl.methods.sgd(sl.schedules.constant(1, 1.0))).critical_lr
    method = sl.methods.sgd(sl.schedules.wsd(STEPS, peak=peak, warmup=0.05, cooldown=0.3))
    options = {"record": [0, 20, 50, 100, 150], "subspaces": {"head": [1, 2, 3, 4], "middle": list(range(5, 17))}}
    own = sl.EmpiricalRegression(X, y)
    return (
        sl.sample(own, method, replicas=REPLICAS, **options),
        sl.exact(own, method, **options),
        sl.exact(gaussian, method, **options),
    )


def risk(trace):
    return trace.risk.sel(
        component=[c for c in trace.risk["component"].values if c in ("bias", "variance", "cross")]
    ).sum("component")


@pytest.mark.thorough
def test_rows_obey_their_own_moments(answers):
    """48 z-scores, cross term included: right code exceeds 5.5 once in some 10^5 seeds, and the seed is fixed."""
    sampled, own, _ = answers
    z = np.abs(sampled.z_scores(own).values)
    assert np.nanmax(z) < 5.5
    assert np.count_nonzero(~np.isnan(z)) >= 40


def test_the_gaussian_model_errs_and_the_sampler_sees_it(answers):
    """The model is off by some per cent of a subspace's risk, which the ensemble resolves at many standard errors."""
    sampled, own, gaussian = answers
    error = sampled.dataset["risk_error"].isel(step=-1).values
    gap = (risk(gaussian) - risk(sampled)).isel(step=-1).values
    assert np.abs(gap / error).max() > 6.0, "the ensemble is too small to see the model's error"
    model_error = (risk(gaussian) / risk(own)).isel(step=-1).values - 1.0
    assert 0.005 < np.abs(model_error).max() < 0.25
    # What the sampler says the model costs is what the data's own moments say, to the sampling error.
    np.testing.assert_allclose(
        gap / risk(own).isel(step=-1).values, model_error, atol=5.5 * (error / risk(own).isel(step=-1).values).max()
    )


@pytest.mark.thorough
def test_epochs_differ_from_rows_with_replacement(answers):
    """Four passes over 200 rows without replacement: less noise than with it (what one-pass theory leaves out)."""
    X, y = demo.digits()
    problem = sl.EmpiricalRegression(X[:200], y[:200])
    method = sl.methods.sgd(sl.schedules.constant(800, 0.1))
    with_replacement = sl.sample(problem, method, replicas=4000, record=[800])
    epochs = sl.sample(problem, method, replicas=4000, record=[800], law="epochs")
    a, b = (float(t.total().isel(step=-1)) for t in (with_replacement, epochs))
    spread = np.hypot(*(float(t.dataset["total_error"].isel(step=-1)) for t in (with_replacement, epochs)))
    assert (a - b) / spread > 6.0
    exact = float(sl.exact(problem, method, record=[800]).total().isel(step=-1))
    assert abs(a - exact) < 5.0 * spread


@pytest.mark.thorough
def test_digits_that_were_held_out():
    """A fifth of the digits, not trained on: sampled against exact under the rows' own moments, at 33 steps.

    Right code exceeds 4 once in 400 seeds, and the seed is fixed. The Gaussian model is off by what the ensemble sees.
    """
    X, y = demo.digits()
    own, gaussian = (sl.LinearRegression.from_data(X, y, m, holdout=0.2) for m in ("empirical", "gaussian"))
    assert own.describe()["held_out"] == 359
    method = sl.methods.sgd(sl.schedules.wsd(400, peak=0.1, warmup=0.05, cooldown=0.3))
    exact, model = (sl.exact(p, method, record=40) for p in (own, gaussian))
    sampled = sl.sample(own, method, replicas=4_000, record=40)
    z = sampled.holdout_z_scores(exact)
    assert int(z.count()) >= 30
    assert float(np.abs(z).max()) < 4.0
    assert 0.5 < float(z.std()) < 2.0
    assert float(np.abs(sampled.holdout_z_scores(model)).max()) > 6.0
