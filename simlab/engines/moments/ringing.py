"""How long weakly damped modes go on ringing, from the eigenvalues of their own steps.

A mode whose step A = M - lam b c^T has the eigenvalues mu has moments that move as the products mu_p mu_q. One that
turns by more than a panel can follow makes every panel of that length wrong, until it has died away: by |mu_p mu_q| a
step. Momentum 1 - 10^-9 rings for 10^10 steps, and there is no way around taking them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from simlab.arrays import FloatArray

__all__ = ["Stall", "slowest_ringing"]

FOLLOWED = 2.0
"""Radians that a moment may turn by within a panel; with some more the polynomials of two orders part."""

TRIES = 6
"""Panels in a row of which none is twice as long as all before, until somebody asks why."""


def slowest_ringing(growth: FloatArray, push: FloatArray, lam: FloatArray, m: int) -> FloatArray:
    """1 - |mu_p mu_q| of each node's longest ringing moment that a panel of m steps cannot follow (nodes,), inf for
    none.

    growth : M - 1 (k, k).  push : b c^T (k, k).  lam (nodes,).  What grows is no ringing: it ends by itself, in
    divergence.
    """
    values = np.linalg.eigvals(growth - lam[:, None, None] * push).astype(complex)
    with np.errstate(divide="ignore"):  # a mode that is gone after one step
        logarithm = np.log1p(values)
    p, q = np.triu_indices(growth.shape[0])
    damping = -(logarithm.real[:, p] + logarithm.real[:, q])
    turn = logarithm.imag[:, p] + logarithm.imag[:, q]
    turn = np.abs(np.remainder(turn + np.pi, 2.0 * np.pi) - np.pi)
    slowest: FloatArray = np.where((turn * m > FOLLOWED) & (damping > 0.0), damping, np.inf).min(axis=1)
    return slowest


@dataclass
class Stall:
    """Whether the panels of a piece still grow.  longest : accepted so far.  tries : panels since that grew."""

    longest: int = 0
    tries: int = 0

    def tried(self, m: int, accepted: bool) -> bool:
        """Note a panel of m steps; True now and then while panels do not grow."""
        self.tries += 1
        if accepted and m >= 2 * self.longest:
            self.longest, self.tries = m, 0
        return self.tries % TRIES == TRIES - 1
