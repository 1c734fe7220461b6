"""Several workers that are merged: second moments of one of them, and of two different ones.

With fresh samples of its own each worker moves as the method does, and E z_a z_b^T of two of them, whose gradients are
independent, as with the full gradient: C <- A C A^T with A = M - lam b c^T. The mean of N workers has (P + (N - 1) C) /
N, which a merge puts in the place of both. On domains of their own, A_a C A_b^T of two is Phi_a S Phi_b^T, where S is
what the last merge left and Phi_a the product of the A_a since.
"""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np

from simlab.arrays import FloatArray, IntArray
from simlab.engines.moments.diagonal import Moments, advance
from simlab.engines.moments.mixture import MixedMoments, resting
from simlab.errors import InputError
from simlab.kernels.moments.layout import NodeArrays
from simlab.methods.workers import local, of_one, refuse_beside
from simlab.problems.mixture import Mixture
from simlab.trace.recording import DIVERGENCE_FACTOR, RunResult, Status, Tick, sums_of_squares
from simlab.trace.state import packed, unpacked

__all__ = ["run_workers"]

CHUNK = 4096
"""Steps between two looks at the clock."""

PARTS = ("bias", "variance", "deterministic")
NONE = np.zeros(0, dtype=np.int64)


class _Team(Protocol):
    """All workers of a run, in motion."""

    axes: dict[str, list[str]]
    each: tuple[str, ...]
    """Dimensions of the risk of one worker before those of the risk."""

    def advance(self, at: int, end: int) -> bool:
        """From step `at` to `end`; False where a worker has diverged."""

    def merge(self) -> None:
        """All workers take on their mean."""

    def risks(self, o: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Risk of the mean of all, (3, .., labels) by component, and of one worker."""


def run_workers(
    problem: Any,
    method: Any,
    steps: IntArray,
    labels: IntArray,
    label_count: int,
    *,
    deterministic: bool = False,
    tick: Tick | None = None,
    **others: Any,
) -> RunResult:
    """The risk of the mean of all workers, and `worker_risk` beside it; same form of result as the diagonal engine."""
    refuse_beside(**others)
    team = _team(problem, method, labels, label_count)
    count = 3 if deterministic else 2
    stops = np.union1d(steps, np.array(method.merges, dtype=np.int64))
    at, row, status = 0, 0, "done"
    mean, one = team.risks(method.readout(0, 1)[0])
    risk = np.full((steps.size, count, *mean.shape[1:]), np.nan)
    own = np.full((steps.size, *one.shape[: len(team.each)], count, *mean.shape[1:]), np.nan)
    final = mean[:count]
    while True:
        if at in method.merges:
            team.merge()
        if at == steps[row]:
            mean, one = team.risks(method.readout(at, at + 1)[0])
            final = mean[:count]
            risk[row], own[row] = final, np.moveaxis(np.moveaxis(one, len(team.each), 0)[:count], 0, len(team.each))
            row += 1
        if at == method.length or status != "done":
            break
        end = int(min(at + CHUNK, stops[np.searchsorted(stops, at, side="right")]))
        sound = team.advance(at, end)
        going = tick is None or tick((end - at) * labels.size)
        at = end
        if not sound:
            status = "diverged"
            final = np.full_like(final, np.inf)
            break
        if not going and at < method.length:
            status = "interrupted"
            final = team.risks(method.readout(at, at + 1)[0])[0][:count]
            break
    for part in (risk, own, final):
        sums_of_squares(part)
    dims = (*team.each, "component", *team.axes, "subspace")
    said: Status = status  # type: ignore[assignment]
    return RunResult(
        steps, risk, PARTS[:count], said, at, final.copy(), method.learning_rate, {}, {"worker_risk": (dims, own)}, {},
        team.axes,
    )  # fmt: skip


def _team(problem: NodeArrays | Mixture, method: local, labels: IntArray, count: int) -> _Team:
    if not isinstance(problem, Mixture):
        return _Alike(problem, method, labels, count)
    problem.check_length(method.length)
    if not method.own_domains:
        return _AlikeOnMixture(problem, method, labels, count)
    if method.workers != len(problem.names):
        raise InputError(
            f" = {method.workers} workers with domains of their own, and the mixture has {len(problem.names)}; give as "
            f"many.",
            "method",
        )
    return _Apart(problem, method, labels, count)


class _Alike:
    """Workers on a problem that is diagonal: the moments of one, and of two."""

    def __init__(self, nodes: NodeArrays, method: local, labels: IntArray, count: int) -> None:
        self.nodes, self.count, self.workers = nodes, count, method.workers
        self.axes: dict[str, list[str]] = {}
        self.each: tuple[str, ...] = ()
        self.moves = of_one(method)
        self.pair = tuple(Moments(nodes, method, labels, True, None) for _ in range(2))
        limit = 2.0 * DIVERGENCE_FACTOR * nodes.reference_risk
        self.limit = limit if limit > 0.0 else np.inf

    def advance(self, at: int, end: int) -> bool:
        nothing = np.zeros((0, 2, self.count)), np.zeros((0, self.count))
        done = at
        while done < end:
            took = advance(self.pair[0], self.moves[0], done, end, NONE, *nothing, self.limit)
            if took == 0:
                return False
            done += took
        advance(self.pair[1], self.moves[1], at, end, NONE, *nothing, np.inf)
        return bool(np.all(np.isfinite(self.pair[0].U)))

    def merge(self) -> None:
        one, two = self.pair
        one.U = two.U = (one.U + (self.workers - 1) * two.U) / self.workers
        two.U = one.U.copy()

    def risks(self, o: FloatArray) -> tuple[FloatArray, FloatArray]:
        one, two = (each.risk_by_label(o, self.count) * self.nodes.risk_unit for each in self.pair)
        return (one + (self.workers - 1) * two) / self.workers, one


def _limit_of(problem: Mixture) -> float:
    top = max(float(problem.initial_risk().max()), 0.5 * float(problem.noise_variance.max()))
    return 2.0 * DIVERGENCE_FACTOR * top if top > 0.0 else np.inf


class _AlikeOnMixture:
    """The same on a mixture, of which every worker draws from all domains."""

    def __init__(self, problem: Mixture, method: local, labels: IntArray, count: int) -> None:
        self.labels, self.count, self.workers = labels, count, method.workers
        self.axes = {"domain": list(problem.names)}
        self.each: tuple[str, ...] = ()
        self.moves = of_one(method)
        self.pair = tuple(MixedMoments(problem, method, labels, None) for _ in range(2))
        self.limit = _limit_of(problem)

    def advance(self, at: int, end: int) -> bool:
        rows = np.zeros((0, 3, len(self.axes["domain"]), self.count))
        done = self.pair[0].advance(self.moves[0], at, end, NONE, rows, self.limit)
        self.pair[1].advance(self.moves[1], at, end, NONE, rows, np.inf)
        return done == end - at and self.pair[0].finite()

    def merge(self) -> None:
        one, two = self.pair
        whole = (one.covariance + (self.workers - 1) * two.covariance) / self.workers
        one.covariance = two.covariance = whole

    def risks(self, o: FloatArray) -> tuple[FloatArray, FloatArray]:
        one, two = (each.risk(o, self.labels, self.count) for each in self.pair)
        return (one + (self.workers - 1) * two) / self.workers, one


class _Apart:
    """Workers on a domain each: the moments of every one, and how it has moved since the last merge."""

    def __init__(self, problem: Mixture, method: local, labels: IntArray, count: int) -> None:
        self.labels, self.count, self.problem, self.method = labels, count, problem, method
        self.axes = {"domain": list(problem.names)}
        self.each: tuple[str, ...] = ("worker",)
        K, k = len(problem.names), method.state_size
        self.one = [
            MixedMoments(Mixture(problem.domains, np.eye(K)[j].tolist()), method.inner, labels, None) for j in range(K)
        ]
        """Every worker, measured from the optimum of the first domain."""
        self.mean = MixedMoments(problem, method.inner, labels, None)
        """What holds the moments of the mean of all, to ask its risk."""
        self.left = np.zeros((2, k, k, problem.dim))
        self.still()
        self.limit = _limit_of(problem)

    def still(self) -> None:
        k = self.method.state_size
        self.moved = np.zeros((len(self.one), k, k, self.problem.dim))
        self.moved[:] = np.eye(k)[:, :, None]

    def advance(self, at: int, end: int) -> bool:
        rows = np.zeros((0, 3, len(self.one), self.count))
        method = self.method.inner
        for each in self.one:
            if each.advance(method, at, end, NONE, rows, self.limit) < end - at or not each.finite():
                return False
        M, b, c = method.coefficients(at, end)
        self.mean.u = resting(self.mean.u, M)[-1]
        lam = self.problem.eigenvalues
        for t in range(end - at):
            along = np.einsum("r,arqd->aqd", c[t], self.moved)
            self.moved = np.einsum("pr,arqd->apqd", M[t], self.moved)
            self.moved -= b[t][:, None, None] * (lam[:, None] * along)[:, None]
        return True

    def whole(self) -> tuple[FloatArray, FloatArray]:
        """(k, d) E z of the mean of all, and its covariance (2, k (k + 1) / 2, d)."""
        N = len(self.one)
        mean = np.mean([each.place for each in self.one], axis=0)
        alone = sum(each.covariance for each in self.one)
        together = self.moved.sum(axis=0)

        both = _moved(self.left, together) - sum(_moved(self.left, each) for each in self.moved)
        return mean, (alone + packed(both)) / N**2

    def merge(self) -> None:
        mean, covariance = self.whole()
        self.left = unpacked(covariance, self.method.state_size)
        for each in self.one:
            each.place, each.covariance = mean, covariance
        self.still()

    def risks(self, o: FloatArray) -> tuple[FloatArray, FloatArray]:
        self.mean.place, self.mean.covariance = self.whole()
        one = np.stack([each.risk(o, self.labels, self.count) for each in self.one])
        return self.mean.risk(o, self.labels, self.count), one


def _moved(left: FloatArray, by: FloatArray) -> FloatArray:
    """by left by^T, left (2, k, k, d), by (k, k, d)."""
    out: FloatArray = np.einsum("apd,xpqd,bqd->xabd", by, left, by, optimize=True)
    return out
