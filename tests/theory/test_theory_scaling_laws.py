"""Functional scaling laws: bounds and limits mode by mode, exponents against exact runs, the figures of the notes."""

from __future__ import annotations

import numpy as np
import pytest
from simlab.theory.scaling_laws import bordelon_exponents, fsl_exponents, fsl_first_order

import simlab as sl
from simlab.schedules import constant, cosine, exponential, linear


def test_without_the_source_of_the_bias_the_head_would_vanish():
    """e(z) left out of the integral: the bias of the first mode is then e^-80 of what it is."""
    lam, lr = np.arange(1.0, 20.0) ** -1.5, np.full(4000, 0.01)
    stated = fsl_first_order(lam, 1.0, 0.0, lr).bias[-1]
    run = sl.methods.sgd(constant(4000, 0.01))
    trace = sl.exact(sl.LinearRegression(lam, 1.0, 0.0), run, record=[4000], snapshots=[4000], progress=False)
    exact = trace.dataset["mode_risk"].sel(component="bias", snapshot=4000).to_numpy()
    np.testing.assert_allclose(stated, exact, rtol=0.05)
    assert 0.5 * np.exp(-2.0 * lr.sum()) < 1e-6 * exact[0]


@pytest.mark.parametrize(
    ("make", "risk", "slope"),
    [
        (lambda n, peak: constant(n, peak), 0.00350, -0.50),
        (lambda n, peak: exponential(n, peak, floor=1.0 / n), 0.00197, -0.60),
        (lambda n, peak: cosine(n, peak), 0.00152, -0.63),
        (lambda n, peak: linear(n, peak), 0.00160, -0.61),
    ],
    ids=["constant", "exponential", "cosine", "linear"],
)
def test_risk_at_the_best_peak_of_the_notes(make, risk, slope):
    """beta = 2, s = 1, sigma = 1, M = 1500: risk at D = 2^14, slope from 2^11; predicted -1/2 and -2/3 (1 - 1/ln D)."""
    problem = sl.LinearRegression.power_law(1500, 2.0, 3.0, 1.0).compress(1e-8)
    best = []
    for steps in (2**11, 2**14):
        runs = [sl.methods.sgd(make(steps, peak)) for peak in np.geomspace(0.003, 0.6, 24)]
        trace = sl.exact(problem, runs, record=[steps], progress=False).dataset
        final = trace["final_risk"].sum(("component", "subspace")).to_numpy()
        best.append(final[trace["status"].to_numpy() == "done"].min())
    assert best[-1] == pytest.approx(risk, rel=0.01)
    assert np.log(best[1] / best[0]) / np.log(8.0) == pytest.approx(slope, abs=0.01)
    law = fsl_exponents("constant", "data", 2.0, 1.0)
    assert law == (0.5, 0.0)


@pytest.mark.thorough
def test_the_cap_on_the_exponent_of_the_width():
    """a - 1 = 4, b = 2: sketches fall as d^-2 (b), not as d^-4 (the 2 b that the notes remember)."""
    risk = [
        np.mean([sl.RandomFeatures(1.0, 1.5, 10 * d, d, seed).irreducible_risk for seed in range(24)]) for d in (16, 64)
    ]
    slope = -np.log(risk[1] / risk[0]) / np.log(4.0)
    assert abs(slope - bordelon_exponents(5.0, 2.0).width) < 0.3
    assert bordelon_exponents(5.0, 2.0).width == 2.0
