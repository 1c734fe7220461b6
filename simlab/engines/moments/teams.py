"""Workers that are alike: second moments of one of them, of two different ones, and of the modes of consensus.

With fresh samples of its own each worker moves as the method does, and E z_a z_b^T of two of them, whose gradients are
independent, as with the full gradient: C <- A C A^T with A = M - lam b c^T. The mean of N workers has (P + (N - 1) C) /
N, which a merge puts in the place of both. A round of gossip leaves |w_j|^2 s_j of the second moment s_j of the
consensus mode j. Of all modes the gradients' noise is that of one worker, so that P - s_j moves with the full gradient
as well.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from simlab.arrays import FloatArray, IntArray
from simlab.engines.moments.diagonal import Moments, advance, beyond
from simlab.engines.moments.mixture import MixedMoments, limit_of
from simlab.errors import InputError
from simlab.kernels.moments.layout import NodeArrays
from simlab.methods.base import Method
from simlab.methods.mixing import consensus
from simlab.methods.workers import Team
from simlab.problems.mixture import Mixture
from simlab.trace.recording import DIVERGENCE_FACTOR
from simlab.trace.state import State

__all__ = ["Alike", "OnMixture", "OnNodes", "check_memory"]

NONE = np.zeros(0, dtype=np.int64)

MOST = 1 << 27
"""Most numbers that gossip keeps (1 GiB)."""


def check_memory(numbers: int) -> None:
    """Refuse gossip of more numbers than are kept."""
    if numbers > MOST:
        raise InputError(
            f" keeps {numbers / 2**27:.0f} GiB of moments for so many workers and modes; give fewer, or take "
            f"simlab.sample.",
            "mixing",
        )


class OnNodes:
    """Second moments of a method on a problem that is diagonal, in motion."""

    def __init__(
        self, nodes: NodeArrays, method: Method, labels: IntArray, count: int, deterministic: bool, start: State | None
    ) -> None:
        self.nodes, self.method, self.count = nodes, method, count
        self.state = Moments(nodes, method, labels, deterministic, start)
        self.axes: dict[str, list[str]] = {}
        limit = 2.0 * DIVERGENCE_FACTOR * nodes.reference_risk
        self.limit = limit if limit > 0.0 else np.inf

    @property
    def second(self) -> FloatArray:
        """E zz^T, (2, k (k + 1) / 2, nodes)."""
        return self.state.U

    @second.setter
    def second(self, values: FloatArray) -> None:
        self.state.U = values.copy()

    def held(self) -> tuple[Any, ...]:
        """What moves, to be put back."""
        return self.state.U.copy(), None if self.state.mean is None else self.state.mean.copy()

    def put_back(self, held: tuple[Any, ...]) -> None:
        self.state.U, self.state.mean = held

    def advance(self, at: int, end: int, looked_at: bool) -> tuple[int, bool]:
        """From step `at` to `end`; steps done, and whether the run has diverged there (where it is looked at)."""
        nothing = np.zeros((0, 2, self.count)), np.zeros((0, self.count))
        if not looked_at:
            return advance(self.state, self.method, at, end, NONE, *nothing, np.inf), False
        done = advance(self.state, self.method, at, end, NONE, *nothing, self.limit)
        sound = done == end - at and bool(np.all(np.isfinite(self.state.U)))
        return done, not sound or beyond(self.state, self.method, at + done, self.limit)

    def risk(self, o: FloatArray) -> FloatArray:
        """By component and label."""
        return self.state.risk_by_label(o, self.count) * self.nodes.risk_unit

    def kept(self, method: Method, at: int) -> State:
        """What it takes to go on from here."""
        return self.state.kept(method, at)


class OnMixture:
    """Covariances of a method on a mixture, in motion."""

    def __init__(self, problem: Mixture, method: Method, labels: IntArray, count: int, start: State | None) -> None:
        self.method, self.labels, self.count = method, labels, count
        self.state = MixedMoments(problem, method, labels, start)
        self.axes = {"domain": list(problem.names)}
        self.limit = limit_of(problem)
        self.nothing = np.zeros((0, 3, len(problem.names), count))

    @property
    def second(self) -> FloatArray:
        """Covariances of z, (2, k (k + 1) / 2, d)."""
        return self.state.covariance

    @second.setter
    def second(self, values: FloatArray) -> None:
        self.state.covariance = values

    def held(self) -> tuple[Any, ...]:
        """What moves, to be put back."""
        return self.state.place, self.state.covariance, self.state.u

    def put_back(self, held: tuple[Any, ...]) -> None:
        self.state.place, self.state.covariance, self.state.u = held

    def advance(self, at: int, end: int, looked_at: bool) -> tuple[int, bool]:
        """From step `at` to `end`; steps done, and whether the run has diverged there (where it is looked at)."""
        limit = self.limit if looked_at else np.inf
        done = self.state.advance(self.method, at, end, NONE, self.nothing, limit)
        return done, looked_at and (done < end - at or self.state.beyond(self.method, at + done, limit))

    def risk(self, o: FloatArray) -> FloatArray:
        """By component, domain and label."""
        return self.state.risk(o, self.labels, self.count)

    def kept(self, method: Method, at: int) -> State:
        """What it takes to go on from here."""
        return self.state.kept(method, at)


class Alike:
    """Workers that draw alike: the moments of one, of two, and of consensus modes that gossip does not end."""

    each: tuple[str, ...] = ()

    def __init__(self, team: Team, made: Callable[[Method], OnNodes | OnMixture]) -> None:
        """`made(method)` : moments of a method at the start.  The team is one of workers that are alike."""
        self.workers = team.workers
        self.one, self.two = made(team.one), made(team.two)
        self.axes = self.one.axes
        modes = None if team.W is None else consensus(team.W)
        self.kept_of: list[float] = [] if modes is None else modes.kept.tolist()
        self.shares: list[float] = [] if modes is None else modes.share.tolist()
        check_memory(len(self.kept_of) * self.one.second.size)
        self.lacks = [made(team.two) for _ in self.kept_of]
        """P - s_j of every consensus mode, nothing being in any but the mean's at the start."""

    def advance(self, at: int, end: int) -> tuple[int, bool]:
        """From step `at` to `end`; steps done, and whether a worker has diverged."""
        done, gone = self.one.advance(at, end, True)
        for each in (self.two, *self.lacks):
            each.advance(at, at + done, False)
        return done, gone

    def merge(self) -> None:
        """A round: all take on their mean, or that of their neighbours."""
        N, one = self.workers, self.one.second
        mean = (one + (N - 1) * self.two.second) / N
        left = [kept * (one - lack.second) for kept, lack in zip(self.kept_of, self.lacks, strict=True)]
        after = mean + sum(share * s for share, s in zip(self.shares, left, strict=True))
        self.one.second = after
        self.two.second = (N * mean - after) / (N - 1) if self.lacks else after
        for lack, s in zip(self.lacks, left, strict=True):
            lack.second = after - s

    def risks(self, o: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Risk of the mean of all, and of one worker; they are linear in second moments."""
        one, two = self.one.risk(o), self.two.risk(o)
        return (one + (self.workers - 1) * two) / self.workers, one

    def kept(self, method: Method, at: int) -> State:
        """The state of the mean of all."""
        one, two = self.one.kept(method, at), self.two.kept(method, at).arrays["second"]
        second = (one.arrays["second"] + (self.workers - 1) * two) / self.workers
        return replace(one, arrays={**one.arrays, "second": second})
