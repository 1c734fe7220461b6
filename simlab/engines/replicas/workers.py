"""Replicas of several workers each, merged now and then: a crew for `march`, of as many of the sampler's replicas."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from simlab.arrays import FloatArray
from simlab.engines.replicas.march import Kept, Processor
from simlab.engines.replicas.regression import Regression
from simlab.kernels.replicas.trajectories import Recorder, Source, run_replicas

__all__ = ["Teams"]


class Teams(Regression):
    """Replicas of N workers each, who draw samples of their own. A state is (replicas, N * parts * k, D).

    Records are those of the mean of the workers, and `worker` (records, replicas, parts, labels) the mean of the risks
    of one. Worker n of replica r draws what replica N r + n of a run without workers does; a replica has diverged once
    one of its workers has.
    """

    def _backend(self, device: str) -> Any:
        method: Any = self.method
        return Processor(_March(self._source(), method.workers, np.array(method.merges, dtype=np.int64)))

    def state(self, first: int, replicas: int) -> npt.NDArray[Any]:
        """The start of so many replicas: all workers stand at the same point."""
        return np.tile(super().state(first, replicas), (1, self.method.workers, 1))

    def records(self, count: int) -> dict[str, tuple[int, ...]]:
        of = super().records(count)
        return of | {"worker": of["risk"]}

    def watch(self, marks: npt.NDArray[np.int64], records: int, ended: npt.NDArray[np.int64]) -> Any:
        shape = (records, ended.size, *self.records(records)["worker"][2:])
        return _Watch(super().watch(marks, records, ended), np.full(shape, np.nan))

    def keep(self, kept: Kept, watch: Any, steps: Any, rows: slice, replicas: slice) -> None:
        super().keep(kept, watch.mean, steps, rows, replicas)
        kept.records["worker"][rows, replicas] = watch.worker


@dataclass(frozen=True)
class _Watch:
    """What is kept of a chunk: of the mean of the workers, and the mean risk of one."""

    mean: Recorder
    worker: FloatArray


@dataclass(frozen=True)
class _March:
    """The replicas begin .. end - 1 of a block through a chunk, from merge to merge and from record to record."""

    source: Source
    workers: int
    merges: npt.NDArray[np.int64]

    def __call__(
        self, watch: _Watch, begin: int, end: int, first: int, t0: int, M: FloatArray, b: FloatArray, c: FloatArray,
        o: FloatArray, batch: npt.NDArray[np.int64], serial: int, k0: Any, k1: Any, parts: int, noise_part: int, z: Any,
    ) -> None:  # fmt: skip
        N, keep, n = self.workers, watch.mean, batch.size
        team = z[begin:end].reshape((end - begin) * N, z.shape[1] // N, z.shape[2])
        each = team.reshape(end - begin, N, *team.shape[1:])
        gone = np.repeat(keep.ended[begin:end], N)
        merges = self.merges[(self.merges > t0) & (self.merges <= t0 + n)] - t0
        kept = keep.risk, keep.path, keep.heldout

        def look(who: Any, at: int, ended: npt.NDArray[np.int64]) -> Recorder:
            """What is to be recorded of iterate `at` of these states; no step is taken."""
            out = _told(
                keep, np.zeros(1, dtype=np.int64), [np.full((1, len(who), *of.shape[2:]), np.nan) for of in kept], ended
            )
            no, there = slice(0, 0), max(min(at, n - 1), 0)
            run_replicas(
                self.source, out, 0, len(who), 0, t0 + at, M[no], b[no], c[there : there + 1], o[at : at + 1],
                batch[no], 0, k0, k1, parts, noise_part, who,
            )  # fmt: skip
            return out

        at = 0
        for stop in np.union1d(np.flatnonzero(keep.slots >= 0), np.append(merges, n)).tolist():
            if stop > at:
                here = slice(at, stop)
                out = _told(keep, np.full(stop - at + 1, -1), [of[:0, :0] for of in kept], gone)
                run_replicas(
                    self.source, out, 0, len(team), (first + begin) * N, t0 + at, M[here], b[here], c[here],
                    o[at : stop + 1], batch[here], serial + int(batch[:at].sum()), k0, k1, parts, noise_part, team,
                )  # fmt: skip
                at = stop
            if at in merges:
                each[:] = each.mean(axis=1, keepdims=True)
            if keep.slots[at] >= 0:
                slot, one = keep.slots[at], look(team, at, gone)
                whole = look(np.ascontiguousarray(each.mean(axis=1)), at, _first(gone, N))
                lost = whole.ended >= 0
                gone.reshape(-1, N)[lost] = whole.ended[lost, None]
                for into, found in zip(kept, (whole.risk, whole.path, whole.heldout), strict=True):
                    into[slot : slot + 1, begin:end] = found[:, : into.shape[1]]
                watch.worker[slot, begin:end] = one.risk[0].reshape(end - begin, N, *one.risk.shape[2:]).mean(axis=1)
        keep.ended[begin:end] = _first(gone, N)


def _told(keep: Recorder, slots: Any, out: list[Any], ended: Any) -> Recorder:
    """`keep` for other replicas and records."""
    return keep._replace(slots=slots, risk=out[0], path=out[1], heldout=out[2], ended=ended)


def _first(gone: npt.NDArray[np.int64], N: int) -> npt.NDArray[np.int64]:
    """(replicas,) : the step at which the first of N workers had diverged, or -1."""
    rows = gone.reshape(-1, N)
    out: npt.NDArray[np.int64] = np.where(rows < 0, np.iinfo(np.int64).max, rows).min(axis=1)
    return np.where(np.any(rows >= 0, axis=1), out, -1)
