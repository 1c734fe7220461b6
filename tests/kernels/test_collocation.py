"""Discrete collocation: difference matrices against 50 digits, and small systems side by side."""

from __future__ import annotations

import mpmath
import numpy as np
import pytest
from numba import njit

from simlab.kernels.moments.collocation import interpolation, panel_differences, panel_steps
from simlab.kernels.moments.lanes import LANES, solve_lanes, solve_pivoted


@njit
def lagrange(y, p, m, offset, out):
    interpolation(y, p, m, offset, out)


@njit
def solved(K, n, width, diagonal, minus):
    return solve_lanes(K, n, width, diagonal, minus)


@njit
def solved_with_exchange(K, n, width):
    for lane in range(LANES):
        solve_pivoted(K, n, width, lane)


PANELS = [(p, m) for p in (3, 5, 7, 9) for m in (p + 1, p + 2, 40, 4097, 10**6, 10**9, 10**12)]


@pytest.mark.parametrize(("p", "m"), PANELS)
def test_collocation_steps_are_distinct_whole_and_end_with_the_panel(p, m):
    y = panel_steps(p, m)
    assert y.dtype == np.int64
    assert y[0] >= 1
    assert np.all(np.diff(y) > 0)
    assert y[-1] == m - 1


@pytest.mark.parametrize(("p", "m"), PANELS)
def test_differences_are_those_of_polynomials(p, m):
    """m [u(y_l + 1) - u(y_l)] for u = (t / m)^k, k = 0 .. p, where the terms allow 1e-13 of their size."""
    y = panel_steps(p, m)
    D = panel_differences(y, m)
    nodes = [0, *y.tolist()]
    with mpmath.workdps(60):
        for k in range(p + 1):
            values = np.array([float((mpmath.mpf(t) / m) ** k) for t in nodes])
            wanted = [float(m * ((mpmath.mpf(t + 1) / m) ** k - (mpmath.mpf(t) / m) ** k)) for t in y.tolist()]
            terms = np.abs(D) @ np.abs(values)
            assert np.all(np.abs(D @ values - wanted) <= 1e-14 * terms)


def test_differences_become_those_of_radau_iia():
    """p = 2 on (0, 1]: nodes 1/3 and 1; the inverse of the coefficients of Radau IIA, order 3 (Hairer and Wanner)."""
    D = panel_differences(panel_steps(2, 10**9 + 1), 10**9)
    np.testing.assert_allclose(np.linalg.inv(D[:, 1:]), [[5 / 12, -1 / 12], [3 / 4, 1 / 4]], rtol=1e-7)


@pytest.mark.parametrize("m", [10, 4097, 10**12])
def test_interpolation_has_the_values_of_the_polynomial(m):
    y, out = panel_steps(9, m), np.empty(10)
    for offset in (0, 1, m // 3, m):
        lagrange(y, 9, m, offset, out)
        x = np.append(0, y) / m
        for k in (0, 3, 9):
            assert out @ x**k == pytest.approx((offset / m) ** k, abs=1e-12)


@pytest.mark.thorough
def test_systems_side_by_side_are_solved_as_one_by_one():
    rng = np.random.default_rng(1)
    n, width = 12, 17
    K = rng.standard_normal((n, width, LANES))
    K[np.arange(n), np.arange(n)] += 8.0
    minus, diagonal = np.full(LANES, -1.0), np.empty(n * LANES)
    for solve in (lambda A: solved(A, n, width, diagonal, minus), lambda A: solved_with_exchange(A, n, width)):
        work = K.copy().reshape(-1)
        assert solve(work) is not False
        found = work.reshape(K.shape)[:, n:]
        for lane in range(LANES):
            np.testing.assert_allclose(found[..., lane], np.linalg.solve(K[:, :n, lane], K[:, n:, lane]), rtol=1e-10)


def test_a_pivot_that_nearly_vanishes_is_told_and_rows_are_exchanged():
    K = np.zeros((2, 3, LANES))
    K[0, 0], K[0, 1], K[0, 2] = 0.5, 1.0, 1.0
    K[1, 0], K[1, 1] = 1.0, 4.0
    minus, diagonal = np.full(LANES, -1.0), np.empty(2 * LANES)
    assert solved(K.copy().reshape(-1), 2, 3, diagonal, minus)
    K[1, 1, 3] = 2.0 + 1e-9  # less 1 / 0.5: a small difference, in one lane
    assert not solved(K.copy().reshape(-1), 2, 3, diagonal, minus)
    work = K.copy().reshape(-1)
    solved_with_exchange(work, 2, 3)
    x = work.reshape(K.shape)[:, 2]
    np.testing.assert_allclose(K[:, 0] * x[0] + K[:, 1] * x[1], [np.ones(LANES), np.zeros(LANES)], atol=1e-6)
