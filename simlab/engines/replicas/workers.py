"""Replicas of several workers each, merged now and then: crews for `march`, of as many of the sampler's replicas."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from simlab.arrays import FloatArray, IntArray
from simlab.engines.arguments import MOST_STEPS
from simlab.engines.replicas.march import Kept, Processor
from simlab.engines.replicas.mixture import MixtureReplicas
from simlab.engines.replicas.regression import Regression
from simlab.errors import InputError
from simlab.methods.workers import Team, team_of

__all__ = ["MixedTeams", "Teams"]

Run = Callable[..., Any]


class _Together(Regression):
    """What teams have in common. A state is (replicas, N * parts * k, D); that which is kept is of the mean.

    Records are those of the mean of the workers, and `worker` (records, replicas, parts, .., labels), with the worker
    last where they are not alike, the risk of one, or its mean. Worker n of replica r draws what replica N r
    + n of a run without workers does; a replica has diverged once one of its workers has.
    """

    team: Team

    def __init__(self, draws: Any, method: Any, labels: IntArray, watched: IntArray, plan: Any, *others: Any) -> None:
        self.team = team_of(method)
        self.members, self.alike = self.team.workers, self.team.alike
        if self.members * plan.replicas > MOST_STEPS:
            raise InputError(
                f" = {plan.replicas} of {self.members} workers are more than {MOST_STEPS} runs, for which there are "
                f"words; give fewer.",
                "replicas",
            )
        super().__init__(draws, method, labels, watched, plan, *others)
        self.backend = Processor(_March(self.backend.run, self.team, self.alike, self.within))

    def state(self, first: int, replicas: int) -> npt.NDArray[Any]:
        """The start of so many replicas: all workers stand at the same point."""
        return np.tile(super().state(first, replicas), (1, self.members, 1))

    def replicas_of(self, z: Any, count: int) -> npt.NDArray[Any]:
        """The means of the workers of the first `count` replicas of a state."""
        each = z[:count].reshape(count, self.members, z.shape[1] // self.members, z.shape[2])
        return _mean(each)[:, 0]

    def records(self, count: int) -> dict[str, tuple[int, ...]]:
        of = super().records(count)
        return of | {"worker": of["risk"] + (() if self.alike else (self.members,))}

    def watch(self, marks: IntArray, records: int, ended: IntArray) -> Any:
        shape = (records, ended.size, *self.records(records)["worker"][2:])
        return _Watch(super().watch(marks, records, ended), np.full(shape, np.nan))

    def keep(self, kept: Kept, watch: Any, steps: Any, rows: slice, replicas: slice) -> None:
        super().keep(kept, watch.mean, steps, rows, replicas)
        kept.records["worker"][rows, replicas] = watch.worker


class Teams(_Together):
    """Teams on a regression."""


class MixedTeams(_Together, MixtureReplicas):
    """Teams on a mixture, of which each worker draws from all domains, or from its own."""

    def shares(self, at: int, end: int) -> FloatArray:
        if not self.team.own_domains:
            return super().shares(at, end)
        return np.repeat(np.eye(self.members)[:, None], end - at, axis=1)


@dataclass(frozen=True)
class _Watch:
    """What is kept of a chunk: of the mean of the workers, and the risk of one."""

    mean: Any
    worker: FloatArray


@dataclass(frozen=True)
class _March:
    """The replicas begin .. end - 1 of a block through a chunk, from round to round and from record to record."""

    run: Run
    team: Team
    alike: bool
    within: Callable[[tuple[Any, ...], int, int], tuple[Any, ...]]

    def __call__(
        self, watch: _Watch, begin: int, end: int, first: int, t0: int, M: FloatArray, b: FloatArray, c: FloatArray,
        o: FloatArray, *others: Any,
    ) -> None:  # fmt: skip
        N, keep, n, z = self.team.workers, watch.mean, b.shape[0], others[-1]
        numbers, last = others[:-5], others[-5:-1]
        team = z[begin:end].reshape((end - begin) * N, z.shape[1] // N, z.shape[2])
        each = team.reshape(end - begin, N, *team.shape[1:])
        gone = np.repeat(keep.ended[begin:end], N)
        rounds = [t - t0 for t in self.team.merges if t0 < t <= t0 + n]
        names = [name for name in ("risk", "path", "heldout") if name in keep._fields]

        def look(who: Any, at: int, ended: IntArray) -> Any:
            """What is to be recorded of iterate `at` of these states; no step is taken."""
            kept = {name: np.full((1, len(who), *getattr(keep, name).shape[2:]), np.nan) for name in names}
            out = keep._replace(slots=np.zeros(1, dtype=np.int64), ended=ended, **kept)
            no, there = slice(0, 0), max(min(at, n - 1), 0)
            self.run(
                out, 0, len(who), 0, t0 + at, M[no], b[no], c[there : there + 1], o[at : at + 1],
                *self.within(numbers, at, at), *last, who,
            )  # fmt: skip
            return out

        at = 0
        for stop in np.union1d(np.flatnonzero(keep.slots >= 0), [*rounds, n]).astype(int).tolist():
            if stop > at:
                here = slice(at, stop)
                nothing = {name: getattr(keep, name)[:0, :0] for name in names}
                out = keep._replace(slots=np.full(stop - at + 1, -1), ended=gone, **nothing)
                self.run(
                    out, 0, len(team), (first + begin) * N, t0 + at, M[here], b[here], c[here], o[at : stop + 1],
                    *self.within(numbers, at, stop), *last, team,
                )  # fmt: skip
                at = stop
            if at in rounds:
                each[:] = _mean(each) if self.team.W is None else _mixed(self.team.W, each)
            if keep.slots[at] >= 0:
                slot, one = keep.slots[at], look(team, at, gone)
                whole = look(np.ascontiguousarray(_mean(each)[:, 0]), at, _first(gone, N))
                lost = whole.ended >= 0
                gone.reshape(-1, N)[lost] = whole.ended[lost, None]
                for name in names:
                    into, found = getattr(keep, name), getattr(whole, name)
                    into[slot : slot + 1, begin:end] = found[:, : into.shape[1]]
                risks = one.risk[0].reshape(end - begin, N, *one.risk.shape[2:])
                watch.worker[slot, begin:end] = risks.mean(axis=1) if self.alike else np.moveaxis(risks, 1, -1)
        keep.ended[begin:end] = _first(gone, N)


def _mean(each: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """(replicas, 1, ..) : the mean of the workers of each, the very bits of one where all are the same."""
    first = each[:, :1]
    out: npt.NDArray[Any] = first + (each - first).mean(axis=1, keepdims=True)
    return out


def _mixed(W: FloatArray, each: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """sum_b W_ab z_b of every replica, (replicas, N, ..)."""
    out = np.zeros_like(each)
    # One after the other, so that the bits do not depend on how many replicas there are.
    for a, b in zip(*np.nonzero(W), strict=True):
        out[:, a] += W[a, b].astype(each.dtype) * each[:, b]
    return out


def _first(gone: IntArray, N: int) -> IntArray:
    """(replicas,) : the step at which the first of N workers had diverged, or -1."""
    rows = gone.reshape(-1, N)
    out: IntArray = np.where(rows < 0, np.iinfo(np.int64).max, rows).min(axis=1)
    return np.where(np.any(rows >= 0, axis=1), out, -1)
