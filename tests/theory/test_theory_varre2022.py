"""The bound of Varre and Flammarion 2022 and the behaviour of the exact risk that the notes report."""

from __future__ import annotations

import numpy as np
import pytest
from simlab.theory.varre2022 import varre_steps

import simlab as sl
from simlab.conformance.checks.varre2022 import acsgd_average


def test_the_average_as_a_third_state_is_the_average():
    """Against the weighted mean of the means of y_n along a run of simlab's own acsgd, without noise."""
    lam, steps = np.array([1.0, 0.1]), 12
    method = acsgd_average(0.1, 0.01, steps)
    own = sl.methods.acsgd(sl.schedules.constant(steps, 0.1), 0.01)
    M, b, c = own.coefficients()
    state, points = np.ones((2, 2)), []
    for n in range(steps):
        y = state @ c[n]
        points.append(y)
        state = state @ M[n].T - (lam * y)[:, None] * b[n]
    mean = np.average(points, axis=0, weights=np.arange(1.0, steps + 1.0))
    trace = sl.exact(
        sl.LinearRegression(lam, 1.0, 0.0),
        method,
        record=[steps],
        snapshots=[steps],
        deterministic=True,
        progress=False,
    )
    found = trace.dataset["mode_risk"].sel(component="deterministic", snapshot=steps)
    np.testing.assert_allclose(found, 0.5 * lam * mean**2, rtol=1e-12)


def test_bias_falls_at_least_as_the_square_and_variance_settles_at_its_rate():
    """d = 20, lam = i^-1.5: bias falls faster than T^-2; variance T/(sigma^2 d) near 1 (notes: 1.04)."""
    lam = np.arange(1.0, 21.0) ** -1.5
    beta, alpha = varre_steps(lam)
    steps = [8000, 32000, 128000]
    run = acsgd_average(beta, alpha, steps[-1])
    risk = (
        sl.exact(sl.LinearRegression(lam, 1.0, 1.0), run, record=steps, progress=False).dataset["risk"].sum("subspace")
    )
    bias = risk.sel(component="bias", step=steps).to_numpy()
    variance = risk.sel(component="variance", step=steps).to_numpy() * np.array(steps) / 20.0
    assert np.all(bias[1:] < bias[:-1] / 16.0)
    assert variance[-1] == pytest.approx(1.04, abs=0.06)
