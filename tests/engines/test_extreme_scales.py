"""Spectra of any scale are as good as those near 1: (lam, lr) -> (c lam, lr / c) multiplies the risk by c."""

from __future__ import annotations

import numpy as np
import pytest

import simlab as sl

METHODS = {
    "sgd": lambda c: sl.methods.sgd(sl.schedules.constant(50, 0.3 / c)),
    "heavy ball": lambda c: sl.methods.heavy_ball(sl.schedules.constant(50, 0.1 / c), 0.9),
    "EMA of Nesterov": lambda c: sl.methods.ema(sl.methods.nesterov(sl.schedules.constant(50, 0.1 / c), 0.5), 0.9),
}
LAM = np.array([1.0, 0.5, 0.3])
ERROR = np.array([1.0, -2.0, 0.5])


def regression(c: float):
    """Risk is c times that of c = 1: so is the label noise."""
    return sl.LinearRegression(c * LAM, ERROR, 0.1 * c)


def additive(c: float):
    return sl.NoisyQuadratic(c * LAM, ERROR, c * c * np.array([0.1, 0.2, 0.3]))


def risks(problem, method):
    trace = sl.exact(problem, method, record=[0, 25, 50], progress=False)
    assert str(trace.status.values) == "done"
    return trace.risk.values


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize("exponent", [-530, -500, -340, -90, 90, 340, 465, 500])
def test_powers_of_two_change_no_bit(name, exponent):
    """Beyond 2^100 the modes are stepped in units of a power of two; within, nothing is touched."""
    c = float(np.ldexp(1.0, exponent))
    assert np.array_equal(risks(regression(c), METHODS[name](c)) / c, risks(regression(1.0), METHODS[name](1.0)))


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize("c", [1e-160, 1e-150, 1e-40, 1e40, 1e140, 1e150])
def test_any_scale_keeps_its_digits(name, c):
    got, known = risks(regression(c), METHODS[name](c)) / c, risks(regression(1.0), METHODS[name](1.0))
    np.testing.assert_allclose(got, known, rtol=1e-13)


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize("c", [1e-150, 1e-40, 1e40, 1e150])
def test_additive_noise_too(name, c):
    got, known = risks(additive(c), METHODS[name](c)) / c, risks(additive(1.0), METHODS[name](1.0))
    np.testing.assert_allclose(got, known, rtol=1e-13)


def test_a_run_that_diverges_still_does():
    method = sl.methods.sgd(sl.schedules.constant(500, 3e150))
    trace = sl.exact(regression(1e-150), method, record=[500], progress=False)
    assert str(trace.status.values) == "diverged"


@pytest.mark.parametrize("beta", [0.0, 0.5, 0.9])
def test_what_float64_cannot_tell_from_zero_is_not_negative(beta):
    """The full gradient of one mode, solved in a step: all that is left are differences of equal numbers."""
    problem = sl.LinearRegression([1.0, 0.9], [1.0, 1.0], 0.0)
    for rate in (0.5, 0.9, 1.0):
        method = sl.methods.schedule_free(sl.schedules.constant(400, rate), beta, batch=np.inf)
        trace = sl.exact(problem, method, record="all", progress=False)
        parts = trace.risk.sel(component=["bias", "variance"])
        assert float(parts.min()) >= 0.0
