"""Second moments over 10^12 steps in 60-digit decimals: powers of the map of one step, by squaring.

Slow and dense, and shares nothing with the engines but the four arrays of a method: P_i <- A_i P_i A_i^T + kicks,
A_i = M - lam_i b c^T, for all modes at once (see `simlab.engines.exact`).
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal, localcontext
from operator import mul

import numpy as np

import simlab as sl
from simlab.methods.base import Method

__all__ = ["risks"]

DIGITS = 60

Vector = list[Decimal]
Matrix = list[Vector]
ONE, HALF = Decimal(1), Decimal("0.5")


def _exact(values: np.ndarray) -> Vector:
    return [Decimal(float(value)) for value in values.ravel()]


class _Moments:
    """The packed moments of all modes, a trailing 1 that the noise multiplies, and the map of the step t."""

    def __init__(self, problem: sl.LinearRegression, method: Method, t: int) -> None:
        self.lam, self.k = _exact(problem.eigenvalues), method.state_size
        self.pairs = [(r, s) for r in range(self.k) for s in range(r, self.k)]
        M, b, c = (_exact(part[0]) for part in method.recursion(np.array([t])))
        self.M, self.b, self.c = [M[self.k * r : self.k * (r + 1)] for r in range(self.k)], b, c
        self.kurtosis, self.noise = Decimal(float(problem.kurtosis)), Decimal(float(problem.noise_variance))
        self.batch = Decimal(int(method.batch))

    def step(self, state: Vector) -> Vector:
        """One step of the recursion, as it stands in the textbooks."""
        k, size = self.k, len(self.pairs)
        whole = []
        for i in range(len(self.lam)):
            packed = dict(zip(self.pairs, state[i * size : (i + 1) * size], strict=True))
            whole.append([[packed[min(r, s), max(r, s)] for s in range(k)] for r in range(k)])
        seen = [sum((self.c[r] * P[r][s] * self.c[s] for r in range(k) for s in range(k)), Decimal(0)) for P in whole]
        total = sum(map(mul, self.lam, seen), Decimal(0)) + self.noise * state[-1]
        out: Vector = []
        for lam, P, own in zip(self.lam, whole, seen, strict=True):
            A = [[self.M[r][s] - lam * self.b[r] * self.c[s] for s in range(k)] for r in range(k)]
            kick = ((self.kurtosis - 2) * lam * lam * own + lam * total) / self.batch
            for r, s in self.pairs:
                moved = sum((A[r][x] * P[x][y] * A[s][y] for x in range(k) for y in range(k)), Decimal(0))
                out.append(moved + kick * self.b[r] * self.b[s])
        return [*out, state[-1]]

    def columns(self) -> Matrix:
        """The matrix of `step`, by columns."""
        size = len(self.lam) * len(self.pairs) + 1
        return [self.step([ONE if i == j else Decimal(0) for i in range(size)]) for j in range(size)]


def _after(rows: Matrix, states: list[Vector], steps: int) -> list[Vector]:
    """The states after so many steps of the map with these rows."""
    while steps:
        if steps & 1:
            states = [[sum(map(mul, row, state), Decimal(0)) for row in rows] for state in states]
        steps >>= 1
        if steps:
            columns = list(zip(*rows, strict=True))
            rows = [[sum(map(mul, row, column), Decimal(0)) for column in columns] for row in rows]
    return states


def risks(problem: sl.LinearRegression, method: Method, ends: Sequence[int]) -> np.ndarray:
    """1/2 lam_i o^T P_i o of bias and variance (len(ends), 2, d) at the steps `ends`, between which, and before the
    first of which, the arrays of the method do not change.
    """
    with localcontext() as context:
        context.prec, context.Emin = DIGITS, -(10**9)
        error, z0 = _exact(problem.initial_error), _exact(method.z0)
        begin, out = 0, []
        states: list[Vector] = []
        for end in ends:
            moments = _Moments(problem, method, begin)
            if not states:
                start = [own * own * z0[r] * z0[s] for own in error for r, s in moments.pairs]
                states = [[*start, Decimal(0)], [*[Decimal(0)] * len(start), ONE]]
            rows = [list(row) for row in zip(*moments.columns(), strict=True)]
            states = _after(rows, states, end - begin)
            o = _exact(method.outlook(np.array([end]))[0])
            weight = [o[r] * o[s] * (HALF if r == s else ONE) for r, s in moments.pairs]
            size = len(weight)
            out.append(
                [
                    [
                        float(lam * sum(map(mul, weight, state[i * size : (i + 1) * size]), Decimal(0)))
                        for i, lam in enumerate(moments.lam)
                    ]
                    for state in states
                ]
            )
            begin = end
    return np.array(out)
