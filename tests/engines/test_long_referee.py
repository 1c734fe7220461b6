"""The long engine at 10^12 steps against powers of the map of all moments in 60-digit decimals."""

from __future__ import annotations

from itertools import accumulate

import numpy as np
import pytest

import simlab as sl
from simlab import methods as M
from simlab import schedules as S
from tests.oracles import decimal_moments

T = 10**12
PIECES = (6 * T // 10, 3 * T // 10, T // 10)
BINS = {"head": [1, 2], "middle": [3, 4, 5], "tail": [6, 7, 8]}


def problem(kurtosis: float = 3.0) -> sl.LinearRegression:
    """Eight modes over twenty decades: the first forget in a step, the last never move."""
    lam = np.geomspace(1.0, 4e-21, 8)
    return sl.LinearRegression(lam, 1.0 / np.sqrt(lam) ** 0.7, noise_variance=0.3, kurtosis=kurtosis)


def rates(peak: float) -> S.Schedule:
    """Three constant pieces."""
    return S.join(*(S.constant(n, peak * part) for n, part in zip(PIECES, (1.0, 1 / 3, 1 / 30), strict=True)))


CASES = {
    "sgd": (3.0, lambda: M.sgd(rates(0.2))),
    "sgd, signs": (1.0, lambda: M.sgd(rates(0.8))),
    "heavy ball": (3.0, lambda: M.heavy_ball(rates(0.02), 0.9)),
    "heavy ball, batch": (3.0, lambda: M.heavy_ball(rates(0.004), 0.99, 4)),
    "ema": (3.0, lambda: M.ema(M.sgd(rates(0.2)), 0.999)),
    "ema of 10^9 steps": (3.0, lambda: M.ema(M.sgd(rates(0.2)), 1.0 - 1e-9)),
}


def check(name: str) -> None:
    """Bias and variance of three subspaces at the ends of three pieces: within what is reported, without any slack."""
    kurtosis, method = CASES[name]
    ends = list(accumulate(PIECES))
    truth = decimal_moments.risks(problem(kurtosis), method(), ends)
    truth = np.stack([truth[:, :, np.array(bins) - 1].sum(axis=-1) for bins in BINS.values()], axis=-1)
    trace = sl.long(problem(kurtosis), method(), record=ends, subspaces=BINS, progress=False)
    at = trace.dataset.sel(step=ends).transpose("step", "component", "subspace", ...)
    true, reported = np.abs(at["risk"].values - truth), at["risk_error"].values
    scale = np.maximum(truth, 1e-3 * truth.sum(axis=-1, keepdims=True))
    assert trace.status.item() == "done"
    assert np.all(true <= reported)
    assert np.max(reported / scale) <= 1e-9


def test_a_trillion_steps_of_sgd_in_decimals():
    check("sgd")


@pytest.mark.slow
@pytest.mark.parametrize("name", list(CASES)[1:])
def test_a_trillion_steps_in_decimals(name):
    check(name)


def test_decimals_are_the_recursion_itself():
    """The referee against a thousand exact steps."""
    few = sl.LinearRegression([1.0, 0.2, 0.01], [1.0, 2.0, 3.0], noise_variance=0.3)
    lr = S.join(S.constant(700, 0.05), S.constant(300, 0.01))
    for method in (M.sgd(lr), M.ema(M.heavy_ball(lr * 0.1, 0.9, 4), 0.99)):
        exact = sl.exact(few, method, record=[700, 1000], subspaces="modes(1, 2, 3)", progress=False).risk
        known = exact.sel(step=[700, 1000], component=["bias", "variance"]).transpose("step", "component", "subspace")
        np.testing.assert_allclose(decimal_moments.risks(few, method, [700, 1000]), known.values, rtol=1e-11)
