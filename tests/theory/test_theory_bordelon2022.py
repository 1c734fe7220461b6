"""The Volterra equation of SGD's risk: every mode at every step, FFT, spectral form and continuous limit."""

from __future__ import annotations

import mpmath
import numpy as np
import pytest
from simlab.theory.bordelon2022 import sgd_isotropic, sgd_spectral, sgd_volterra

from simlab.conformance.check import Comparison
from simlab.conformance.validate import checks
from tests.theory.by_kind import check_refusals, instance, violations

CHECKS = checks()
LAM = np.arange(1.0, 13.0) ** -1.5


def test_the_fourth_moment_term_is_seen():
    """Kurtosis 3 for data of kurtosis 1.8: a term of size lr^2 lam^2."""
    check = CHECKS["sgd_volterra"]
    given = check.draw(np.random.default_rng(5))
    right = check.compare({**given, "kurtosis": 1.8})
    wrong = sgd_volterra(**{**given, "kurtosis": 3.0})
    assert violations("exact", Comparison({"bias": wrong.bias}, {"bias": right.true["bias"]}), check.rtol)


def test_blocks_of_the_kernel_do_not_show():
    """Lengths around powers of the block size, against the plain recursion."""
    rng = np.random.default_rng(0)
    for steps in (1, 2, 15, 16, 17, 31, 33, 64, 65, 100):
        lr = 0.2 * rng.uniform(size=steps)
        found = sgd_volterra(LAM, 1.0, 0.5, lr, 2.0, 6.0)
        m = np.stack([np.ones(12), np.zeros(12)])
        for t_, rate in enumerate(lr):
            x = rate * LAM
            R = m @ LAM + np.array([0.0, 0.5])
            m = ((1.0 - x) ** 2 + 2.0 * x**2) * m + rate**2 * LAM * R[:, None] / 2.0
            np.testing.assert_allclose(found.bias[t_ + 1], 0.5 * LAM * m[0], rtol=1e-12)
            np.testing.assert_allclose(found.variance[t_ + 1], 0.5 * LAM * m[1], rtol=1e-12)


@pytest.mark.parametrize("steps", [10, 10**3, 10**6])
@mpmath.workdps(50)
def test_the_spectral_form_against_50_digits(steps):
    """A^t by mpmath for six modes down to lam = 1e-6."""
    lam = np.geomspace(1.0, 1e-6, 6)
    found = sgd_spectral(lam, 1.0, 0.3, 0.2, steps, 2.0)
    x = [mpmath.mpf(0.2) * mpmath.mpf(float(l)) for l in lam]
    A = mpmath.matrix(6, 6)
    for i in range(6):
        for j in range(6):
            A[i, j] = x[i] * x[j] / 2 + ((1 - x[i]) ** 2 + x[i] ** 2 / 2 if i == j else 0)
    power, summed = A**steps, mpmath.inverse(mpmath.eye(6) - A)
    kept = power * mpmath.matrix([1] * 6)
    forced = (mpmath.eye(6) - power) * (summed * mpmath.matrix(x)) * mpmath.mpf(0.2) * mpmath.mpf(0.3) / 2
    bias = np.array([float(kept[i] * float(lam[i]) / 2) for i in range(6)])
    variance = np.array([float(forced[i] * float(lam[i]) / 2) for i in range(6)])
    scale = bias.max(), variance.max()
    assert np.abs(found.bias - bias).max() <= 1e-12 * scale[0] * max(1.0, steps / 1e4)
    assert np.abs(found.variance - variance).max() <= 1e-12 * scale[1]
    assert found.variance.sum() == pytest.approx(variance.sum(), rel=1e-12)


def test_best_step_on_isotropic_data():
    """Printed as eta = 1/(N + 2) for one sample a step."""
    n = 14
    lr = np.linspace(0.9, 1.1, 21) / (n + 2.0)
    final = [sgd_isotropic(1.0, n, 1.0, 0.0, rate, 100).total for rate in lr]
    assert int(np.argmin(final)) == 10


def test_refusals_of_the_spectral_form_name_the_condition():
    check_refusals(CHECKS["sgd_spectral"])
    with pytest.raises(Exception, match="mass K < 1"):
        sgd_spectral(np.ones(8), 1.0, 1.0, 0.21, 10)
    assert instance(CHECKS["sgd_isotropic"], 0).stated.keys() == {"bias", "variance"}
