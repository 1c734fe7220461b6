"""Workers that gossip leaves in different places, on data that all share: moments of every one, and of every two.

Fresh samples make the gradients of two workers independent, so that E z_a z_b^T moves as with the full gradient, C <- A
C A^T, by the same A for every pair. A round has C_ab <- sum_cd W_ac W_bd C_cd. What enters the moments of a worker is
C_ab and C_ba together, whose mean moves by itself: it is kept, packed. From round to round it is moved at once, by what
A .. A^T makes of the k (k + 1) / 2 matrices that packed ones are made of.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from simlab.arrays import FloatArray
from simlab.engines.moments.teams import OnMixture, OnNodes, check_memory
from simlab.methods.base import Method
from simlab.methods.workers import Team
from simlab.trace.state import State

__all__ = ["Unlike"]


class Unlike:
    """The moments of every worker, and how those of two have moved since the last round."""

    each: tuple[str, ...] = ("worker",)

    def __init__(self, team: Team, made: Callable[[Method], OnNodes | OnMixture]) -> None:
        """`made(method)` : moments of a method at the start."""
        N, mean = team.workers, made(team.two)
        assert team.W is not None
        self.W, self.mean, self.axes = team.W, mean, mean.axes
        """What holds the moments of the mean of all, to ask its risk."""
        parts, entries, nodes = mean.second.shape
        check_memory(2 * N**2 * parts * entries * nodes)
        self.workers = [made(team.one) for _ in range(N)]
        self.moved = [made(team.two) for _ in range(entries)]
        self.left = np.broadcast_to(mean.second, (N, N, parts, entries, nodes))
        """Of any two workers after the last round, all being at one place at the start."""
        self.still()

    def still(self) -> None:
        for entry, each in enumerate(self.moved):
            unit = np.zeros(each.second.shape)
            unit[:, entry] = 1.0
            each.second = unit

    def advance(self, at: int, end: int) -> tuple[int, bool]:
        """From step `at` to `end`; steps done, and whether a worker has diverged."""
        before = [each.held() for each in self.workers]
        results = [each.advance(at, end, True) for each in self.workers]
        done = min(steps for steps, _ in results)
        for each, held, (steps, _) in zip(self.workers, before, results, strict=True):
            if steps > done:  # one has left before
                each.put_back(held)
                each.advance(at, at + done, False)
        for each in (self.mean, *self.moved):
            each.advance(at, at + done, False)
        return done, any(gone for _, gone in results)

    def pairs(self) -> FloatArray:
        """Second moments of every worker with every other, (N, N, 2, k (k + 1) / 2, nodes)."""
        by = np.stack([each.second for each in self.moved])
        out: FloatArray = np.einsum("abpen,epfn->abpfn", self.left, by, optimize=True)
        for a, each in enumerate(self.workers):
            out[a, a] = each.second
        return out

    def merge(self) -> None:
        """A round: all take on what their neighbours have, by W."""
        self.left = np.einsum("ac,bd,cdpen->abpen", self.W, self.W, self.pairs(), optimize=True)
        for a, each in enumerate(self.workers):
            each.second = self.left[a, a]
        self.still()

    def risks(self, o: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Risk of the mean of all, and of every worker."""
        self.mean.second = self.pairs().mean(axis=(0, 1))
        return self.mean.risk(o), np.stack([each.risk(o) for each in self.workers])

    def kept(self, method: Method, at: int) -> State:
        """The state of the mean of all."""
        self.mean.second = self.pairs().mean(axis=(0, 1))
        return self.mean.kept(method, at)
