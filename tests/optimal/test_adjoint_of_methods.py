"""The gradient of the final risk in every array of every method, against complex steps of a dense recursion."""

from __future__ import annotations

import math

import numpy as np
import pytest

import simlab as sl
from simlab.kernels.moments.layout import NodeArrays
from simlab.optimal.recursion import Recursion
from tests.oracles.method_zoo import ZOO

T = 9
RNG = np.random.default_rng(3)
PROBLEMS = {
    "kurtosis 4": sl.LinearRegression(np.sort(RNG.uniform(0.05, 1.0, 7))[::-1], RNG.normal(size=7), 0.3, 4.0),
    "one-hot": sl.LinearRegression.one_hot([0.5, 0.3, 0.1], 1.0, 0.2),
    "additive": sl.NoisyQuadratic([1.0, 0.4, 0.1], [1.0, -0.5, 2.0], [0.3, 0.1, 0.0]),
}


def final_risk(modes, M, b, c, share, o, z0):
    """All moments of all modes, step by step, in complex arithmetic."""
    lam, U = modes.eigenvalues, modes.signal[:, None, None] * np.outer(z0, z0) + 0j
    for t in range(share.size):
        y = np.einsum("p,ipq,q->i", c[t], U, c[t])
        A = M[t] - lam[:, None, None] * np.outer(b[t], c[t])
        kappa = share[t] * (modes.self_noise * y + modes.drive * (modes.coupling * y.sum() + modes.noise))
        U = A @ U @ np.swapaxes(A, 1, 2) + kappa[:, None, None] * np.outer(b[t], b[t])
    return 0.5 * np.einsum("p,ipq,q->", o, U, o)


@pytest.mark.parametrize("kind", PROBLEMS)
@pytest.mark.parametrize("name", ZOO)
def test_every_array_of_every_method(name, kind):
    method = ZOO[name](sl.schedules.wsd(T, peak=0.2), sl.schedules.linear(T, 0.8, floor=0.5), 4)
    recursion, modes = Recursion(NodeArrays(PROBLEMS[kind].modes())), PROBLEMS[kind].modes()
    arrays = [part + 0j for part in (*method.coefficients(), method.inverse_batch(), method.readout(T)[0])]
    at = recursion.gradient(method)
    value = final_risk(modes, *arrays, method.z0).real
    assert at.value == pytest.approx(value, rel=1e-12)
    assert recursion.value(method) == pytest.approx(value, rel=1e-12)
    asked = [1, 3] if method.state_size == 1 else range(5)  # of SGD, b and 1/B
    for i in asked:
        expected = np.zeros(arrays[i].shape)
        for where in np.ndindex(expected.shape):
            arrays[i][where] += 1e-30j
            expected[where] = final_risk(modes, *arrays, method.z0).imag / 1e-30
            arrays[i][where] -= 1e-30j
        np.testing.assert_allclose(at[1 + i], expected, rtol=1e-10, atol=1e-12 * np.abs(expected).max())


@pytest.mark.parametrize("variables", [2, 3, 4])
def test_many_stretches_are_one_run(variables):
    """More steps than a stretch, and than what is flushed at a time, against the exact engine and differences of it."""
    problem = sl.LinearRegression.power_law(40, 1.5, 1.2, 0.1)
    lr = sl.schedules.cosine(700, 0.05)
    recursion = Recursion(NodeArrays(problem.modes()))

    def risk(rate, momentum):
        method = sl.methods.nesterov(lr * rate, momentum)
        for decay in (0.98, 0.9)[: variables - 2]:
            method = sl.methods.ema(method, decay)
        assert method.state_size == variables
        return float(sl.exact(problem, method, record=2, progress=False).total().values[-1]), method

    value, method = risk(1.0, 0.8)
    at = recursion.gradient(method)
    assert at.value == pytest.approx(value, rel=1e-12)
    for arguments in (lambda h: (1.0 + h, 0.8), lambda h: (1.0, 0.8 + h)):
        (up, one), (down, other) = risk(*arguments(1e-5)), risk(*arguments(-1e-5))
        parts = zip((at.M, at.b, at.c), one.coefficients(), other.coefficients(), strict=True)
        slope = sum(float(np.sum(part * (x - y))) for part, x, y in parts) / 2e-5
        assert slope == pytest.approx((up - down) / 2e-5, rel=1e-6)


def test_what_diverges_has_no_value():
    recursion = Recursion(NodeArrays(PROBLEMS["kurtosis 4"].modes()))
    for method in (sl.methods.sgd, sl.methods.heavy_ball):
        wild = method(sl.schedules.constant(3000, 50.0))
        assert recursion.value(wild) == math.inf
        assert recursion.gradient(wild).value == math.inf
