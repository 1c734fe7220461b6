"""Loss terms and phases of power-law random features."""

from __future__ import annotations

import mpmath
import numpy as np
import pytest
from simlab.theory.paquette2024 import compute_optimal, f_ac, f_pp, sketch_risk

import simlab as sl
from simlab.conformance.checks.paquette2024 import loss_exponents
from simlab.conformance.validate import checks
from tests.theory.by_kind import check_by_kind

CHECKS = checks()


def test_every_phase_is_the_best_width():
    """All seven phases occur among the draws, each equal to the minimum over widths."""
    check = CHECKS["compute_optimal"]
    check_by_kind(check, range(300))
    names = {compute_optimal(**check.draw(np.random.default_rng(seed))).name for seed in range(300)}
    assert names == {"Ia", "Ib", "Ic", "II", "III", "IVa", "IVb"}


@mpmath.workdps(20)
def test_signal_terms_against_mpmath():
    """The sum over all j at t = 10^6 by Euler-Maclaurin in mpmath, alpha = 1, beta = 1/2."""
    X = mpmath.mpf(2) * mpmath.mpf("0.3") * 10**6
    # Smooth terms of width sqrt(X): the sum is the integral over (0, inf) to many digits.
    whole = mpmath.quad(lambda j: j**-3 * mpmath.exp(-X / j**2), [0, 100, 500, 1000, 5000, mpmath.inf])
    assert f_pp(1.0, 0.5, 0.3, 10**6) == pytest.approx(float(whole) / 2.0, rel=1e-9)


@pytest.mark.parametrize(
    ("alpha", "beta", "name"),
    [
        (0.75, 0.25, "Ia"),
        (1.25, 0.75, "II"),
        (1.0, 2.0, "III"),
        (0.25 - 1e-9, 2.0, "Ic"),
        (0.45, 0.33, "Ib"),
        (0.33, 0.45, "Ib"),
    ],
)
def test_phases_of_the_notebook(alpha, beta, name):
    """The pairs that the authors' notebook plots."""
    assert compute_optimal(alpha, beta).name == name


def test_at_the_best_width_two_terms_are_equal():
    """Phase II balances F_pp with F_ac, phase IVa K_pp with F_0."""
    for alpha, beta, pair in ((1.25, 0.75, (0, 3)), (0.4, 0.8, (1, 2))):
        phase = compute_optimal(alpha, beta)
        found = loss_exponents(alpha, beta, phase.width)
        assert found[pair[0]] == pytest.approx(found[pair[1]], abs=1e-12)
        assert -found.max() == pytest.approx(phase.loss, abs=1e-12)


def test_loss_of_one_sketch_is_the_sum_of_its_terms():
    """alpha = 1, beta = 0.75, d = 200, full gradients: F_pp + F_ac + F_0 within a half between t = 30 and 3,000."""
    problem = sl.RandomFeatures(1.0, 0.75, 2000, 200, seed=1)
    steps = [30, 300, 3000]
    method = sl.methods.sgd(sl.schedules.constant(steps[-1], 0.3), float("inf"))
    risk = sl.exact(problem, method, record=steps, progress=False).dataset["risk"].sel(component="bias", step=steps)
    total = risk.sum("subspace").to_numpy() + problem.irreducible_risk
    terms = f_pp(1.0, 0.75, 0.3, steps) + f_ac(1.0, 0.75, 200, 0.3, steps) + sketch_risk(1.0, 0.75, 200, 2000)
    np.testing.assert_allclose(terms, total, rtol=0.5)
