"""Several workers that are merged, or mixed with their neighbours: a run from round to round.

How second moments move says `teams` of workers that are alike, `unlike` of those whom gossip tells apart. On domains of
their own, A_a C A_b^T of two is Phi_a S_ab Phi_b^T, where S is what the last round left and Phi_a the product of the
A_a since.
"""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np

from simlab.arrays import FloatArray, IntArray
from simlab.engines.moments.mixture import MixedMoments, limit_of, resting
from simlab.engines.moments.teams import Alike, OnMixture, OnNodes, check_memory
from simlab.engines.moments.unlike import Unlike
from simlab.kernels.moments.layout import NodeArrays
from simlab.methods.base import Method
from simlab.methods.workers import Team, refuse_beside, team_of
from simlab.problems.mixture import Mixture
from simlab.trace.recording import RunResult, Status, Tick, sums_of_squares
from simlab.trace.state import State, packed, unpacked

__all__ = ["run_workers"]

CHUNK, CHUNK_WORK = 4096, 30_000_000
"""Most steps, and direction-steps, between two looks at the clock."""

LARGEST_END = 1 << 23
"""Most numbers of a state that is kept without being asked for (64 MiB)."""

PARTS = ("bias", "variance", "deterministic")
NONE = np.zeros(0, dtype=np.int64)


class _Team(Protocol):
    """All workers of a run, in motion."""

    axes: dict[str, list[str]]
    each: tuple[str, ...]
    """Dimensions of the risk of one worker before those of the risk."""

    def advance(self, at: int, end: int) -> tuple[int, bool]:
        """From step `at` to `end` at most; steps done, and whether a worker has diverged there."""

    def merge(self) -> None:
        """A round: all take on their mean, or that of their neighbours."""

    def risks(self, o: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Risk of the mean of all, (components, .., labels), and of one worker."""

    def kept(self, method: Method, at: int) -> State:
        """The state of the mean of all."""


def run_workers(
    problem: Any,
    method: Method,
    steps: IntArray,
    labels: IntArray,
    label_count: int,
    *,
    deterministic: bool = False,
    start: State | None = None,
    keep: IntArray | None = None,
    tick: Tick | None = None,
    **others: Any,
) -> RunResult:
    """The risk of the mean of all workers, and `worker_risk` beside it; same form of result as the diagonal engine.

    start : where all workers begin.  keep : steps at which the state of the mean is handed back; that of the end is
    without `keep`. Ends early where one worker passes the limit of a run by itself.
    """
    refuse_beside(**others)
    team = team_of(method)
    crew = _crew(problem, team, labels, label_count, deterministic, start)
    count = 3 if deterministic else 2
    wanted = NONE if keep is None else keep
    rounds, recorded = set(team.merges), set(steps.tolist())
    stops = np.unique(np.concatenate([steps, np.array(team.merges, dtype=np.int64), wanted]))
    chunk = int(np.clip(CHUNK_WORK // labels.size, 16, CHUNK))
    at, status, gone = 0 if start is None else start.step, "done", False
    mean, one = _risks(crew, method, at, count)
    risk, own = np.full((steps.size, *mean.shape), np.nan), np.full((steps.size, *one.shape), np.nan)
    states: dict[int, State] = {}
    while True:
        if at in rounds and not gone:
            crew.merge()
        ends = at == method.length or status != "done"
        if at in recorded or ends:
            mean, one = _risks(crew, method, at, count)
            risk[steps == at], own[steps == at] = mean, one
        if at in wanted and not gone:
            states[at] = crew.kept(method, at)
        if ends:
            break
        end = int(min(at + chunk, stops[np.searchsorted(stops, at, side="right")]))
        done, gone = crew.advance(at, end)
        at += done
        going = tick is None or tick(done * labels.size)
        if gone:
            status = "diverged"
        elif not going and at < method.length:
            status = "interrupted"
    if status == "diverged":
        mean[np.isnan(mean)] = np.inf  # inf - inf: beyond the range of a float
        risk[steps == at] = mean
    final = mean.copy()
    for part in (risk, own, final):
        sums_of_squares(part)
    if keep is None and status != "diverged" and labels.size * method.state_size**2 <= LARGEST_END:
        states[at] = crew.kept(method, at)
    dims = (*crew.each, "component", *crew.axes, "subspace")
    said: Status = status  # type: ignore[assignment]
    return RunResult(
        steps, risk, PARTS[:count], said, at, final, method.learning_rate, {}, {"worker_risk": (dims, own)}, states,
        crew.axes,
    )  # fmt: skip


def _risks(crew: _Team, method: Method, at: int, count: int) -> tuple[FloatArray, FloatArray]:
    """Risk of the mean of all (components, .., labels), and of one worker, with the dimensions of it first."""
    mean, one = crew.risks(method.readout(at, at + 1)[0])
    return mean[:count], one[(slice(None),) * len(crew.each) + (slice(count),)]


def _crew(
    problem: NodeArrays | Mixture, team: Team, labels: IntArray, count: int, deterministic: bool, start: State | None
) -> _Team:
    if team.own_domains and isinstance(problem, Mixture):
        problem.check_length(team.one.length)
        if team.W is not None:
            check_memory(2 * team.workers**2 * team.one.state_size**2 * problem.dim)
        return _Apart(problem, team, labels, count, start)
    together = Alike if team.alike else Unlike
    if not isinstance(problem, Mixture):
        return together(team, lambda one: OnNodes(problem, one, labels, count, deterministic, start))
    problem.check_length(team.one.length)
    return together(team, lambda one: OnMixture(problem, one, labels, count, start))


class _Apart:
    """Workers on a domain each: the moments of every one, and how it has moved since the last round."""

    each: tuple[str, ...] = ("worker",)

    def __init__(self, problem: Mixture, team: Team, labels: IntArray, count: int, start: State | None) -> None:
        self.labels, self.count, self.problem, self.team = labels, count, problem, team
        self.axes = {"domain": list(problem.names)}
        K, self.k = len(problem.names), team.one.state_size
        alone = [Mixture(problem.domains, np.eye(K)[j].tolist(), problem.weights) for j in range(K)]
        self.one = [MixedMoments(each, team.one, labels, start) for each in alone]
        """Every worker, measured from the optimum of the first domain."""
        self.mean = MixedMoments(problem, team.one, labels, start)
        """What holds the moments of the mean of all, to ask its risk."""
        self.left = unpacked(self.mean.covariance, self.k)
        """Of any two workers after the last round, (2, k, k, d); after one of gossip (N, N, 2, k, k, d)."""
        self.still()
        self.limit = limit_of(problem)

    def still(self) -> None:
        self.moved = np.zeros((len(self.one), self.k, self.k, self.problem.dim))
        self.moved[:] = np.eye(self.k)[:, :, None]

    def advance(self, at: int, end: int) -> tuple[int, bool]:
        rows, method = np.zeros((0, 3, len(self.one), self.count)), self.team.one
        before = [(each.place, each.covariance, each.u) for each in self.one]
        done = min(each.advance(method, at, end, NONE, rows, self.limit) for each in self.one)
        if done < end - at:
            # One has left; the others go back, and to where it did.
            for each, (place, covariance, u) in zip(self.one, before, strict=True):
                each.place, each.covariance, each.u = place, covariance, u
                each.advance(method, at, at + done, NONE, rows, np.inf)
        M, b, c = method.coefficients(at, at + done)
        self.mean.u = resting(self.mean.u, M)[-1]
        weights = self.problem.loss_weights(at, at + done)
        for t in range(done):
            lam = weights[t][:, None] * self.problem.eigenvalues
            along = np.einsum("r,arqd->aqd", c[t], self.moved)
            self.moved = np.einsum("pr,arqd->apqd", M[t], self.moved)
            self.moved -= b[t][:, None, None] * (lam[:, None] * along)[:, None]
        return done, done < end - at or any(each.beyond(method, end, self.limit) for each in self.one)

    def whole(self) -> tuple[FloatArray, FloatArray]:
        """(k, d) E z of the mean of all, and its covariance (2, k (k + 1) / 2, d)."""
        N = len(self.one)
        mean = np.mean([each.place for each in self.one], axis=0)
        if self.left.ndim > 4:
            return mean, packed(self.pairs().sum(axis=(0, 1))) / N**2
        alone = sum(each.covariance for each in self.one)
        both = _moved(self.left, self.moved.sum(axis=0)) - sum(_moved(self.left, each) for each in self.moved)
        return mean, (alone + packed(both)) / N**2

    def pairs(self) -> FloatArray:
        """Covariances of every worker with every other, (N, N, 2, k, k, d)."""
        N = len(self.one)
        left = np.broadcast_to(self.left, (N, N, *self.left.shape[-4:]))
        out: FloatArray = np.einsum("axpd,abwpqd,byqd->abwxyd", self.moved, left, self.moved, optimize=True)
        for a, each in enumerate(self.one):
            out[a, a] = unpacked(each.covariance, self.k)
        return out

    def merge(self) -> None:
        if self.team.W is None:
            mean, covariance = self.whole()
            self.left = unpacked(covariance, self.k)
            for each in self.one:
                each.place, each.covariance = mean, covariance
        else:
            W, places = self.team.W, np.stack([each.place for each in self.one])
            self.left = np.einsum("ac,bd,cdwxyi->abwxyi", W, W, self.pairs(), optimize=True)
            for a, each in enumerate(self.one):
                each.place, each.covariance = np.einsum("c,cki->ki", W[a], places), packed(self.left[a, a])
        self.still()

    def risks(self, o: FloatArray) -> tuple[FloatArray, FloatArray]:
        self.mean.place, self.mean.covariance = self.whole()
        one = np.stack([each.risk(o, self.labels, self.count) for each in self.one])
        return self.mean.risk(o, self.labels, self.count), one

    def kept(self, method: Method, at: int) -> State:
        self.mean.place, self.mean.covariance = self.whole()
        return self.mean.kept(method, at)


def _moved(left: FloatArray, by: FloatArray) -> FloatArray:
    """by left by^T, left (2, k, k, d), by (k, k, d)."""
    out: FloatArray = np.einsum("apd,xpqd,bqd->xabd", by, left, by, optimize=True)
    return out
