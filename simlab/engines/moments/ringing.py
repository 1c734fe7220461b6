"""How long weakly damped modes go on ringing, from the eigenvalues of their own steps.

A mode whose step A = M - lam b c^T has the eigenvalues mu has moments that move as the products mu_p mu_q. One that
turns by more than a panel can follow makes every panel of that length wrong, until it has died away: by |mu_p mu_q| a
step. Momentum 1 - 10^-9 rings for 10^10 steps, and there is no way around taking them.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from simlab.arrays import FloatArray

__all__ = ["Pace", "Ringing", "Stall", "slowest_ringing"]

FOLLOWED = 2.0
"""Radians that a moment may turn by within a panel; with some more the polynomials of two orders part."""

TRIES = 6
"""Panels in a row of which none is twice as long as all before, until somebody asks why."""


class Ringing(NamedTuple):
    """For how many `steps` modes damped by `damping` a step still keep panels short; the `seconds` that takes."""

    steps: float = 0.0
    damping: float = np.inf
    seconds: float = 0.0


@dataclass
class Pace:
    """Seconds that exact steps and panels take, in the mean, as this run has seen them.

    What is called for the first time is loaded first: of one call alone nothing is known (inf).
    """

    clock: Callable[[], float] = time.perf_counter
    steps: tuple[int, float, int] = (0, 0.0, 0)
    panels: tuple[int, float, int] = (0, 0.0, 0)
    """Calls, and the seconds and the steps, or panels, of all but the first."""

    @contextmanager
    def stepping(self, n: int) -> Iterator[None]:
        """Around n exact steps."""
        began = self.clock()
        yield
        self.steps = _one_more(self.steps, self.clock() - began, n)

    @contextmanager
    def trying(self) -> Iterator[None]:
        """Around the attempt at a panel."""
        began = self.clock()
        yield
        self.panels = _one_more(self.panels, self.clock() - began, 1)

    @property
    def step(self) -> float:
        """Seconds of an exact step."""
        return self.steps[1] / self.steps[2] if self.steps[2] else np.inf

    @property
    def panel(self) -> float:
        """Seconds of a panel that is tried."""
        return self.panels[1] / self.panels[2] if self.panels[2] else np.inf


def _one_more(seen: tuple[int, float, int], seconds: float, n: int) -> tuple[int, float, int]:
    calls, before, count = seen
    return (1, 0.0, 0) if calls == 0 else (calls + 1, before + seconds, count + n)


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
    """Whether the panels of a piece still grow.

    longest : accepted so far.  tries : panels since that grew, of which `accepted` were, of `steps` in all.
    """

    longest: int = 0
    tries: int = 0
    accepted: int = 0
    steps: int = 0

    def tried(self, m: int, accepted: bool) -> bool:
        """Note a panel of m steps; True now and then while panels do not grow."""
        self.tries += 1
        self.accepted, self.steps = self.accepted + accepted, self.steps + m * accepted
        if accepted and m >= 2 * self.longest:
            self.longest, self.tries, self.accepted, self.steps = m, 0, 0, 0
        return self.tries % TRIES == TRIES - 1
