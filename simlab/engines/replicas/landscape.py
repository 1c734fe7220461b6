"""A swarm of replicas on a landscape: blocks of replicas, chunks of steps, and what is kept of them.

Draws are a pure function of (seed, replica, step, coordinate), and a replica keeps its lane, so that how the work is
cut changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from simlab.engines.replicas.march import compile_first, run_pieces
from simlab.engines.replicas.regression import Store, free_memory
from simlab.errors import InputError
from simlab.kernels.landscapes import descent
from simlab.kernels.random.philox import LANES
from simlab.methods.base import Method
from simlab.river.landscapes import Landscape, Split
from simlab.river.trial import failed
from simlab.trace.recording import DIVERGENCE_FACTOR

__all__ = ["Kept", "Plan", "Swarm", "run_swarm"]

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
Splitter = Callable[[FloatArray], Split]

CHUNK_WORK = 20_000_000
"""Coordinate-steps between two looks at the clock, by one thread: some tenths of a second; and by a GPU."""
GPU_CHUNK_WORK = 4_000_000_000
MAX_CHUNK = 16_384
RECORD_BYTES = 64 << 20
"""Iterates held before they are split into river and hills."""


@dataclass(frozen=True)
class Plan:
    """How a swarm is run. `block` replicas are held at a time; `every` steps its state is kept."""

    replicas: int
    seed: int
    threads: int
    block: int | None = None
    every: int | None = None
    paths: bool = False


@dataclass
class Kept:
    """What a swarm leaves; NaN where a replica did not get.

    values (records, replicas, 4) : loss, river loss, hill loss, river coordinate.  hills (records, strips,
    hills) : squares of hill states summed over 64 replicas.
    points (records, replicas, dim), or of size 0 without paths.  ended (replicas,) : step of divergence, or -1.
    disturbed : Ctrl-C was pressed, be it while the last chunk was being finished.
    """

    values: FloatArray
    hills: FloatArray
    points: FloatArray
    ended: IntArray
    interrupted: bool = False
    disturbed: bool = False

    @property
    def reached(self) -> npt.NDArray[np.bool_]:
        """(records, replicas): which records were taken."""
        return ~np.isnan(self.values[:, :, 0])


class Backend(Protocol):
    """Where replicas are carried through their steps. The state (k, dim, lanes) lives there."""

    def upload(self, z: FloatArray) -> Any: ...
    def download(self, z: Any) -> FloatArray: ...
    def free_memory(self) -> int: ...
    def vectors(self, k: int) -> int:
        """Vectors of the landscape's dimension that a replica of state size k takes there."""

    def run(self, watch: descent.Watch, begin: int, end: int, *rest: Any) -> None:
        """As `simlab.kernels.landscapes.descent.run` on the landscape and noise that the backend was made of."""


class Processor:
    """The Numba kernels; the state is a NumPy array."""

    def __init__(self, landscape: Landscape, noisy: descent.Noisy) -> None:
        built_in = landscape.code is not None
        loss, gradient = (landscape.code,) * 2 if built_in else (landscape.loss, landscape.gradient)
        self.terrain = descent.Terrain(loss, gradient, landscape.params, landscape.rotation, landscape.hills)
        self.landscape, self.noisy = landscape, noisy
        self.kernel = descent.run if built_in and not callable(noisy.shape) else descent.own_run

    def upload(self, z: FloatArray) -> FloatArray:
        return z

    download = upload

    def free_memory(self) -> int:
        return free_memory()

    def vectors(self, k: int) -> int:
        return k

    def run(self, watch: descent.Watch, begin: int, end: int, *rest: Any) -> None:
        try:
            self.kernel(self.terrain, self.noisy, watch, begin, end, *rest)
        except (ArithmeticError, LookupError, ValueError, RuntimeError) as error:
            raise failed(f"loss, gradient or noise of {self.landscape.expression}", error) from None


def backend_for(device: str, landscape: Landscape, noisy: descent.Noisy) -> Backend:
    """The backend of a device, "cpu" or "gpu"."""
    if device == "cpu":
        return Processor(landscape, noisy)
    from simlab.engines.gpu.landscape import GpuDescent

    return GpuDescent(landscape, noisy)


class Swarm:
    """A landscape, a method and a noise, and the device that takes them."""

    def __init__(
        self,
        landscape: Landscape,
        method: Method,
        noisy: descent.Noisy,
        splitter: Splitter | None,
        plan: Plan,
        device: str = "cpu",
    ) -> None:
        self.landscape, self.method, self.noisy, self.splitter, self.plan = landscape, method, noisy, splitter, plan
        self.device, self.backend = device, backend_for(device, landscape, noisy)
        self.limit = self._limit()
        self.key = (np.uint64(plan.seed & 0xFFFFFFFF), np.uint64(plan.seed >> 32))
        self.hill_count = 0 if splitter is None else splitter(landscape.start[None]).hills.shape[1]

    def _limit(self) -> float:
        """The loss beyond which a replica has left: 10^6 times the scale of the loss at the start, above it."""
        landscape, peak = self.landscape, self.method.learning_rate.peak()
        loss, slope = float(landscape.value(landscape.start)), landscape.slope(landscape.start)
        noise = float(np.sum(self.noisy.diagonal**2) + np.sum(self.noisy.factor**2))
        scale = max(abs(loss), peak * float(slope @ slope), peak * noise)
        if self.noisy.kind == descent.SHAPED:
            scale = max(scale, 1.0)
        return loss + DIVERGENCE_FACTOR * scale if scale > 0.0 else np.inf

    def state(self, lanes: int) -> Any:
        """The start of so many lanes, (k, dim, lanes), where the backend keeps it."""
        start = np.multiply.outer(self.method.z0, self.landscape.start)
        return self.backend.upload(np.repeat(start[:, :, None], lanes, axis=2))

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


def run_swarm(swarm: Swarm, steps: IntArray, store: Store | None, every: int, tick: Callable[[int], bool]) -> Kept:
    """Run all replicas and record at `steps`; every so many steps the state goes to `store`, from which a run goes on.

    `tick` is told of the steps of all replicas in each chunk and may stop the run by False.
    """
    plan, method = swarm.plan, swarm.method
    kept = _nothing(swarm, steps)
    block = _block(swarm)
    first, at, z = 0, 0, None
    saved = None if store is None else store.load()
    if saved is not None:
        for name in ("values", "hills", "points", "ended"):
            getattr(kept, name)[...] = saved[name]
        first, at = (int(value) for value in saved["position"])
        z = swarm.backend.upload(saved["state"]) if saved["state"].size else None
    going = tick(first * method.length + (0 if z is None else at * min(z.shape[2], plan.replicas - first)))
    with ThreadPoolExecutor(max_workers=plan.threads) as pool:
        while first < plan.replicas and going:
            if z is None:
                at, z = 0, swarm.state(_lanes(min(block, plan.replicas - first)))
            count = min(z.shape[2], plan.replicas - first)
            while at < method.length and going:
                end, disturbed = _chunk(swarm, kept, steps, first, at, z, every if store else None, pool)
                kept.disturbed = disturbed
                going = tick(count * (end - at)) and not disturbed
                at = end
                if store is not None and at < method.length and (at % every == 0 or not going):
                    _keep(kept, store, first, at, swarm.backend.download(z))
            if at == method.length:
                first, z = first + count, None
                if store is not None:
                    _keep(kept, store, first, 0, np.zeros(0))
    kept.interrupted = first < plan.replicas
    return kept


def _nothing(swarm: Swarm, steps: IntArray) -> Kept:
    replicas, dim = swarm.plan.replicas, swarm.landscape.dim if swarm.plan.paths else 0
    need = 8 * steps.size * replicas * (4 + swarm.hill_count // LANES + dim)
    if need > free_memory() // 3:
        raise InputError(
            f" keeps {need / 2**30:.1f} GiB ({steps.size} steps, {replicas} replicas), more than this machine "
            f"has to spare; record fewer steps, sample fewer replicas, or leave out paths.",
            "record",
        )
    return Kept(
        np.full((steps.size, replicas, 4), np.nan),
        np.full((steps.size, -(-replicas // LANES), swarm.hill_count), np.nan),
        np.full((steps.size, replicas, dim), np.nan),
        np.full(replicas, -1),
    )


def _lanes(replicas: int) -> int:
    return -(-replicas // LANES) * LANES


def _block(swarm: Swarm) -> int:
    """Replicas held at a time: those asked for, or what fits in a third of the free memory; whole strips."""
    size = swarm.backend.vectors(swarm.method.state_size) * swarm.landscape.dim * 8
    fits = min(free_memory(), swarm.backend.free_memory()) // 3 // size // LANES * LANES
    return max(LANES, _lanes(swarm.plan.block) if swarm.plan.block else min(fits, _lanes(swarm.plan.replicas)))


def _chunk(
    swarm: Swarm, kept: Kept, steps: IntArray, first: int, at: int, z: Any, every: int | None, pool: Any
) -> tuple[int, bool]:
    """One chunk of a block; (the step it ends at, whether Ctrl-C was pressed meanwhile). It is finished even so."""
    method, lanes, dim = swarm.method, z.shape[2], swarm.landscape.dim
    work = CHUNK_WORK * swarm.plan.threads if swarm.device == "cpu" else GPU_CHUNK_WORK
    n = int(np.clip(work // (lanes * dim), 1, min(MAX_CHUNK, method.length - at)))
    if every is not None:
        n = min(n, (at // every + 1) * every - at)
    begin = int(np.searchsorted(steps, at))
    room = max(1, RECORD_BYTES // (8 * lanes * (dim + 1)))
    if begin + room < steps.size:
        # The next record beyond the room is where this chunk ends, and it belongs to the next one.
        n = min(n, max(1, int(steps[begin + room]) - at))
    end = at + n
    stop = int(np.searchsorted(steps, end + (end == method.length)))
    slots = np.full(n + 1, -1)
    slots[steps[begin:stop] - at] = np.arange(stop - begin)
    M, b, c = method.coefficients(at, end)
    o = method.readout(at, end + 1)
    amplitude = np.sqrt(method.inverse_batch(at, end))
    here = slice(first, min(first + lanes, swarm.plan.replicas))
    count = here.stop - first
    ended = np.full(lanes, -1)
    ended[:count] = kept.ended[here]
    loss, point = np.empty((stop - begin, lanes)), np.empty((stop - begin, dim, lanes))
    watch = descent.Watch(slots, loss, point, swarm.limit, ended)
    disturbed = False
    if np.any(ended[:count] < 0):
        tail = (first, at, M, b, c, o, amplitude, *swarm.key, z)
        pieces = 2 * swarm.plan.threads if swarm.device == "cpu" else 1
        if swarm.device == "cpu" and not compile_first(swarm.backend.run, watch, tail):
            return at, True
        disturbed = run_pieces(pool, swarm.backend.run, watch, tail, lanes, pieces, LANES)
    kept.ended[here] = ended[:count]
    gone = (ended[:count] >= 0) & (ended[:count] <= steps[begin:stop, None])
    losses = np.where(gone, np.inf, loss[:, :count])
    points = np.ascontiguousarray(point[:, :, :count].transpose(0, 2, 1))
    points[gone] = np.nan
    strips = slice(first // LANES, first // LANES + -(-count // LANES))
    kept.values[begin:stop, here], kept.hills[begin:stop, strips] = swarm.split(losses, points)
    if swarm.plan.paths:
        kept.points[begin:stop, here] = points
    return end, disturbed


def _keep(kept: Kept, store: Store, first: int, at: int, z: FloatArray) -> None:
    """Hand the state to the store: all records so far, and the block in motion."""
    arrays = {"values": kept.values, "hills": kept.hills, "points": kept.points, "ended": kept.ended}
    store.save({**arrays, "position": np.array([first, at]), "state": z})
