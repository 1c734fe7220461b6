"""Replicas of one method on a landscape: a crew for `march`. A replica keeps its lane."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from simlab.arrays import FloatArray, IntArray
from simlab.engines.replicas.adaptive import more_rows
from simlab.engines.replicas.march import Crew, Kept, Plan, Processor
from simlab.errors import InputError, brief
from simlab.kernels.dials import SUMMARY
from simlab.kernels.landscapes import adaptive, descent
from simlab.kernels.random.philox import LANES
from simlab.kernels.rounding import rounding
from simlab.landscapes.landscape import Landscape, Split
from simlab.landscapes.trial import failed
from simlab.methods.base import Method
from simlab.trace.recording import DIVERGENCE_FACTOR
from simlab.trace.state import State, state_of

__all__ = ["AdaptedDescent", "Descent", "runner"]

Splitter = Callable[[FloatArray], Split]

CHUNK_WORK = 20_000_000
"""Coordinate-steps between two looks at the clock, by one thread: some tenths of a second; and by a GPU."""
GPU_CHUNK_WORK = 4_000_000_000
RECORD_BYTES = 64 << 20
"""Iterates held before they are split into river and hills."""


def runner(landscape: Landscape, noisy: descent.Noisy, linear: bool = True) -> Callable[..., None]:
    """The kernel of methods that are `linear`, or of rules that are not, with this landscape and noise; what the user's
    own functions raise is refused.
    """
    built_in = landscape.code is not None
    loss, gradient = (landscape.code,) * 2 if built_in else (landscape.loss, landscape.gradient)
    terrain = descent.Terrain(loss, gradient, landscape.params, landscape.rotation, landscape.hills)
    kernels = descent if linear else adaptive
    kernel = kernels.run if built_in and not callable(noisy.shape) else kernels.own_run

    def run(*rest: Any) -> None:
        try:
            kernel(terrain, noisy, *rest)
        except (ArithmeticError, LookupError, ValueError, RuntimeError) as error:
            raise failed(f"loss, gradient or noise of {landscape.expression}", error) from None

    return run


class Descent(Crew):
    """Replicas of a method on a landscape under a noise; a replica keeps its lane.

    A state is (k, dim, lanes). Records: values (records, replicas, 4), loss, river loss, hill loss, river coordinate;
    hills (records, strips, hills), squares of hill states summed over 64 replicas; points (records, replicas, dim), or
    of size 0 without `paths`.
    """

    lanes, pieces, leave = LANES, 2, True
    remedy = "record fewer steps, sample fewer replicas, or leave out paths"

    def __init__(
        self,
        landscape: Landscape,
        method: Method,
        noisy: descent.Noisy,
        splitter: Splitter | None,
        plan: Plan,
        paths: bool = False,
        device: str = "cpu",
        start: State | None = None,
        keep: IntArray | None = None,
    ) -> None:
        super().__init__(method, plan, device)
        self.start, self.begin = start, 0 if start is None else start.step
        self.keep_at = self.keep_at if keep is None else keep
        self.landscape, self.noisy, self.splitter, self.paths = landscape, noisy, splitter, paths
        self.backend: Any
        vectors = method.state_size
        if device == "cpu":
            self.backend = Processor(runner(landscape, noisy, method.linear))
        else:
            from simlab.engines.gpu.landscape import GpuDescent

            self.backend = GpuDescent(landscape, noisy)
            vectors = self.backend.vectors(vectors)
        self.bytes_per_replica = 8 * vectors * landscape.dim
        self.limit = self._limit()
        self.hill_count = 0 if splitter is None else splitter(landscape.start[None]).hills.shape[1]

    def _limit(self) -> float:
        """The loss beyond which a replica has left: 10^6 times the scale of the loss at the start, above it."""
        landscape, peak = self.landscape, self.method.learning_rate.peak()
        loss, slope = float(landscape.value(landscape.start)), landscape.slope(landscape.start)
        noise = float(np.sum(self.noisy.diagonal**2) + np.sum(self.noisy.factor**2))
        scale = max(abs(loss), peak * float(slope @ slope), peak * noise)
        if self.noisy.kind == descent.SHAPED:
            scale = max(scale, 1.0)
        limit = loss + DIVERGENCE_FACTOR * scale if scale > 0.0 else np.inf
        return limit if self.start is None else max(limit, float(self.start.facts["limit"]))

    def state(self, first: int, lanes: int) -> Any:
        """The start of so many lanes, (k, dim, lanes), where the backend keeps it."""
        z = np.zeros((self._rows(), self.landscape.dim, lanes))
        z[: self.method.state_size] = np.multiply.outer(self.method.z0, self.landscape.start)[:, :, None]
        if self.start is not None:
            held = self.start.arrays["z"][first : first + lanes]
            z[:, :, : len(held)] = np.moveaxis(held, 0, 2)
        return self.backend.upload(z)

    def _rows(self) -> int:
        """Rows of the state of a replica."""
        return self.method.state_size

    def gone(self) -> IntArray:
        """(replicas,) : the step at which a replica had diverged before the start, or -1."""
        return super().gone() if self.start is None else self.start.arrays["ended"].copy()

    def replicas_of(self, z: Any, count: int) -> FloatArray:
        """The first `count` replicas of a state, (count, k, dim)."""
        return np.ascontiguousarray(np.moveaxis(self.backend.download(z), 2, 0)[:count])

    def kept_state(self, z: FloatArray, ended: IntArray, at: int) -> State:
        """What it takes to go on from step `at`, of all replicas."""
        facts = {"seed": self.plan.seed, "limit": self.limit}
        return state_of("landscape", self.method, at, {"z": z, "ended": ended}, facts)

    def held(self, z: Any) -> int:
        """Lanes of a state."""
        return int(z.shape[2])

    def records(self, count: int) -> dict[str, tuple[int, ...]]:
        """Losses and the river coordinate, hill states by strip, and iterates where paths are kept."""
        replicas, strips = self.plan.replicas, -(-self.plan.replicas // LANES)
        dim = self.landscape.dim if self.paths else 0
        return {
            "values": (count, replicas, 4),
            "hills": (count, strips, self.hill_count),
            "points": (count, replicas, dim),
        }

    def chunk(self, at: int, stop: int, z: Any, steps: IntArray) -> tuple[int, tuple[Any, ...]]:
        """A chunk of about CHUNK_WORK for every thread that leaves room for its records; its noise's amplitudes."""
        lanes, dim = self.held(z), self.landscape.dim
        work = CHUNK_WORK * self.plan.threads if self.device == "cpu" else GPU_CHUNK_WORK
        end = min(at + max(work // (lanes * dim), 1), stop)
        begin, room = int(np.searchsorted(steps, at)), max(1, RECORD_BYTES // (8 * lanes * (dim + 1)))
        if begin + room < steps.size:
            # The next record beyond the room is where this chunk ends, and it belongs to the next one.
            end = min(end, max(at + 1, int(steps[begin + room])))
        return end, (np.sqrt(self.method.inverse_batch(at, end)),)

    def watch(self, marks: IntArray, records: int, ended: IntArray) -> descent.Watch:
        """What the kernel is told to keep of a chunk."""
        loss, point = np.empty((records, ended.size)), np.empty((records, self.landscape.dim, ended.size))
        return descent.Watch(marks, loss, point, self.limit, ended)

    def keep(self, kept: Kept, watch: descent.Watch, steps: IntArray, rows: slice, replicas: slice) -> None:
        """Enter what was kept of a chunk, split into river and hills; that of replicas that have left is infinite."""
        first, count = replicas.start, replicas.stop - replicas.start
        ended = watch.ended[:count]
        gone = (ended >= 0) & (ended <= steps[:, None])
        losses = np.where(gone, np.inf, watch.loss[:, :count])
        points = np.ascontiguousarray(watch.point[:, :, :count].transpose(0, 2, 1))
        points[gone] = np.nan
        strips = slice(first // LANES, first // LANES + -(-count // LANES))
        values, hills = self.split(losses, points)
        kept.records["values"][rows, replicas], kept.records["hills"][rows, strips] = values, hills
        if self.paths:
            kept.records["points"][rows, replicas] = points

    def split(self, loss: FloatArray, points: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Values (n, replicas, 4) and squared hill states summed over strips (n, strips, hills).

        From losses (n, replicas), infinite for a replica that has left, and points (n, replicas, dim).
        """
        n, count = loss.shape
        values = np.full((n, count, 4), np.inf)
        squares = np.full((n, count, self.hill_count), np.inf)
        good = np.isfinite(loss)
        values[good, 0] = loss[good]
        if self.splitter is not None and good.any():
            split = self.splitter(points[good])
            values[good, 1], values[good, 3] = split.river_loss, split.coordinate
            values[good, 2] = loss[good] - split.river_loss
            squares[good] = split.hills**2
        return values, np.add.reduceat(squares, np.arange(0, count, LANES), axis=1) if n else squares[:, ::LANES]


class AdaptedDescent(Descent):
    """Replicas of a rule of `simlab.kernels.rules`, or of the user's own, in the landscape's coordinates."""

    def __init__(self, landscape: Landscape, method: Method, *others: Any) -> None:
        super().__init__(landscape, method, *others)
        core: Any = method.core
        self.fault, compiled = np.zeros(1 + SUMMARY), core.compiled
        if compiled.chooses:
            raise InputError(
                f" = {brief(core.feedback)} chooses its batches, which a landscape does not draw; take simlab.sample.",
                "feedback",
            )
        rule = (core.rule, len(core.rows), core.pulled, *compiled)
        self.last = (landscape.start, core.edges(landscape.dim), rounding(core.levels()), self.fault, *rule)

    def _rows(self) -> int:
        """The memory of a feedback takes as many rows as it needs."""
        return self.method.state_size + more_rows(self.method, self.landscape.dim)

    def state(self, first: int, lanes: int) -> Any:
        """The start of so many lanes, with the weights that norms are of."""
        z = super().state(first, lanes)
        core: Any = self.method.core
        if self.start is None and core.anchored:
            weights = core.first_weights(self.landscape.dim)
            z[core.coordinates.index("origin")] += (self.landscape.start if weights is None else weights)[:, None]
        return z

    def keep(self, kept: Kept, watch: descent.Watch, steps: IntArray, rows: slice, replicas: slice) -> None:
        """Enter what was kept of a chunk; a feedback that gave no rate is refused here."""
        if self.fault[0] != 0.0:
            core: Any = self.method.core
            raise core.refusal(self.fault)
        super().keep(kept, watch, steps, rows, replicas)
