"""Covariances that are block diagonal in the weights."""

from __future__ import annotations

import numpy as np
import pytest

import simlab as sl
from simlab.errors import InputError
from simlab.problems import blocks

TWO = [np.array([[2.0, 0.5], [0.5, 1.0]]), np.array([[30.0]])]
START = np.array([1.0, -1.0, 0.2])


def test_the_covariance_and_the_start_are_those_given():
    problem = blocks(TWO, START, 0.3)
    H = np.zeros((3, 3))
    H[:2, :2], H[2, 2] = TWO[0], TWO[1][0, 0]
    Q = problem.rotation
    np.testing.assert_allclose(Q @ np.diag(problem.eigenvalues) @ Q.T, H, atol=1e-14)
    np.testing.assert_allclose(Q @ problem.initial_error, START, atol=1e-14)
    assert problem.noise_variance == 0.3


def test_descent_in_the_weights_is_that_of_the_matrix():
    steps, rate = 5, 0.02
    method = sl.methods.sgd(sl.schedules.constant(steps, rate), batch=np.inf)
    H = np.zeros((3, 3))
    H[:2, :2], H[2, 2] = TWO[0], TWO[1][0, 0]
    error = np.linalg.matrix_power(np.eye(3) - rate * H, steps) @ START
    risk = sl.exact(blocks(TWO, START), method, progress=False).total().values[-1]
    np.testing.assert_allclose(risk, 0.5 * error @ H @ error, rtol=1e-12)


@pytest.mark.parametrize(
    ("matrices", "said"),
    [
        ([[[1.0, 0.2], [0.3, 1.0]]], "symmetric"),
        ([[[1.0, 2.0], [2.0, 1.0]]], "positive definite"),
        ([[1.0, 2.0]], "square"),
    ],
)
def test_what_is_no_covariance_is_refused(matrices, said):
    with pytest.raises(InputError, match=said):
        blocks(matrices, np.ones(2))
