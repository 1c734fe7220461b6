"""An ensemble of trajectories of one method: blocks of replicas, chunks of steps, and what is kept of them.

Draws are a pure function of (seed, replica, step, coordinate), so that how the work is cut changes nothing.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import numpy as np
import numpy.typing as npt

from simlab.engines.replicas.march import compile_first, run_pieces
from simlab.errors import InputError
from simlab.kernels.random import laws
from simlab.kernels.random.philox import TILE
from simlab.kernels.replicas import trajectories
from simlab.methods.base import Method
from simlab.problems.draws import Draws
from simlab.trace.recording import DIVERGENCE_FACTOR

__all__ = ["Ensemble", "Outcome", "Plan", "Store", "parts_of", "run_ensemble", "samples"]

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
Precision = Literal["float32", "float64"]

CHUNK_WORK = 400_000_000
"""Coordinates drawn between two looks at the clock, by one thread: a third of a second; and by a GPU, some tenths."""
GPU_CHUNK_WORK = 50_000_000_000
MAX_CHUNK = 16_384

_LAWS = {
    "gaussian": laws.GAUSSIAN,
    "uniform": laws.UNIFORM,
    "laplace": laws.LAPLACE,
    "student_t": laws.STUDENT,
    "rademacher": laws.THREE_POINT,
    "three_point": laws.THREE_POINT,
    "rows": trajectories.ROWS,
    "epochs": trajectories.EPOCHS,
    "one_hot": trajectories.ONE_HOT,
    "additive": trajectories.ADDITIVE,
}


class Backend(Protocol):
    """Where replicas are carried through their steps. The state (replicas, parts * k, D) lives there."""

    def upload(self, z: npt.NDArray[Any]) -> Any: ...
    def download(self, z: Any) -> npt.NDArray[Any]: ...
    def free_memory(self) -> int: ...
    def run_replicas(self, keep: trajectories.Recorder, begin: int, end: int, *rest: Any) -> None:
        """As `trajectories.run_replicas` with the source that the backend was made of."""


class Processor:
    """The Numba kernels; the state is a NumPy array."""

    def __init__(self, source: trajectories.Source) -> None:
        self.source = source

    def upload(self, z: npt.NDArray[Any]) -> npt.NDArray[Any]:
        return z

    download = upload

    def free_memory(self) -> int:
        return free_memory()

    def run_replicas(self, keep: trajectories.Recorder, begin: int, end: int, *rest: Any) -> None:
        trajectories.run_replicas(self.source, keep, begin, end, *rest)


def backend_for(device: str, source: trajectories.Source) -> Backend:
    """The backend of a device, "cpu" or "gpu"."""
    if device == "cpu":
        return Processor(source)
    from simlab.engines.gpu.regression import GpuSampler

    return GpuSampler(source)


class Store(Protocol):
    """Where a run keeps its state between chunks; the engine knows no files."""

    def load(self) -> dict[str, npt.NDArray[Any]] | None:
        """The arrays of the last `save`, or None."""
        ...

    def save(self, arrays: dict[str, npt.NDArray[Any]]) -> None:
        """Keep these arrays, whole or not at all."""
        ...


@dataclass(frozen=True)
class Plan:
    """How an ensemble is run. `block` replicas are held at a time; `every` steps its state is kept."""

    replicas: int
    seed: int
    precision: Precision
    split: bool
    threads: int
    block: int | None = None
    every: int | None = None


@dataclass
class Outcome:
    """What an ensemble leaves; NaN where a replica did not get.

    risk (records, replicas, parts, labels), path (records, replicas, coordinates) of w - w*, ended (replicas,) the step
    at which a replica diverged or -1.  disturbed : Ctrl-C was pressed, be it while the last chunk was being finished.
    """

    risk: FloatArray
    path: FloatArray
    ended: IntArray
    interrupted: bool
    disturbed: bool = False


class Ensemble:
    """The arrays of a problem and a method as the kernels take them."""

    def __init__(
        self, draws: Draws, method: Method, labels: IntArray, watched: IntArray, plan: Plan, device: str = "cpu"
    ) -> None:
        self.draws, self.method, self.plan, self.device = draws, method, plan, device
        self.dtype = np.dtype(plan.precision)
        lam, error = draws.eigenvalues, draws.initial_error
        self.dim = -(-lam.size // TILE) * TILE
        self.parts, self.noise_part = parts_of(draws, plan.split)
        self.backend = backend_for(device, self._source())
        edges = np.flatnonzero(np.diff(labels)) + 1
        self.first = np.concatenate([[0], edges]).astype(np.int64)
        self.last = np.append(edges, lam.size).astype(np.int64)
        self.label, self.label_count = labels[self.first], int(labels.max()) + 1
        self.watched, self.scale = watched, 1.0 / np.sqrt(lam[watched])
        initial = 0.5 * float(lam @ error**2)
        additive = 0.5 * float(draws.gradient_noise @ draws.gradient_noise) / float(lam.sum())
        noise = 0.5 * (draws.noise**2 + (float(np.mean(draws.residual**2)) if draws.residual.size else 0.0))
        limit = DIVERGENCE_FACTOR * max(initial, noise, additive)
        self.limit = limit if limit > 0.0 else np.inf
        self.key = (np.uint64(plan.seed & 0xFFFFFFFF), np.uint64(plan.seed >> 32))

    def _source(self) -> trajectories.Source:
        draws, lam = self.draws, self.draws.eigenvalues
        threshold, size = np.zeros(lam.size, np.uint32), np.zeros(lam.size)
        degrees, cumulative = 5.0, np.zeros(0)
        rows, residual = np.zeros((0, 0)), np.zeros(0)
        if draws.law in ("three_point", "rademacher"):
            # |xi| = 1 / sqrt(p) with probability p, a multiple of 2^-31, so that the variance is 1 to rounding.
            threshold = np.maximum(np.round(2.0**31 / draws.kurtosis), 1.0).astype(np.uint32)
            size = np.sqrt(2.0**31 / threshold)
        elif draws.law == "one_hot":
            size, cumulative = np.sqrt(draws.kurtosis), np.cumsum(1.0 / draws.kurtosis)
        elif draws.law == "additive":
            size = draws.gradient_noise / np.sqrt(lam)
        elif draws.law == "student_t":
            degrees = 4.0 + 6.0 / (float(draws.kurtosis[0]) - 3.0)
        elif draws.law in ("rows", "epochs"):
            rows, residual = draws.rows / np.sqrt(lam), draws.residual
        return trajectories.Source(
            _LAWS[draws.law],
            self.padded(lam),
            draws.noise,
            degrees,
            np.append(threshold, np.zeros(self.dim - lam.size, np.uint32)),
            self.padded(size),
            self.padded(rows),
            residual.astype(self.dtype),
            cumulative,
        )

    def padded(self, array: FloatArray) -> npt.NDArray[Any]:
        """`array` in the precision of the run with zeros up to whole tiles along its last axis."""
        out = np.zeros((*array.shape[:-1], self.dim), self.dtype)
        out[..., : array.shape[-1]] = array
        return out

    def state(self, replicas: int) -> Any:
        """The whitened start of so many replicas, shape (replicas, parts * k, dim), where the backend keeps it."""
        z = np.zeros((replicas, self.parts * self.method.state_size, self.dim), self.dtype)
        lam, start = self.draws.eigenvalues, self.method.z0
        z[:, : start.size, : lam.size] = start[:, None] * (np.sqrt(lam) * self.draws.initial_error)
        return self.backend.upload(z)

    @property
    def bytes_per_replica(self) -> int:
        """Memory of the state of one replica."""
        return self.parts * self.method.state_size * self.dim * self.dtype.itemsize

    def components(self, risk: FloatArray) -> tuple[tuple[str, ...], FloatArray]:
        """Names of the components of the risk, and the risk with zeros where a part was not run."""
        if not self.plan.split:
            return ("total",), risk
        if self.parts == 2:
            return ("bias", "variance", "cross"), risk
        full = np.zeros((*risk.shape[:2], 3, risk.shape[3]))
        full[np.isnan(risk[:, :, 0, 0])] = np.nan
        full[:, :, 1 if self.noise_part == 0 else 0] = risk[:, :, 0]
        return ("bias", "variance", "cross"), full


def parts_of(draws: Draws, split: bool) -> tuple[int, int]:
    """(trajectories that share features, which of them the label noise enters): none is run that would stay at 0."""
    if draws.noiseless:
        return 1, -1
    if not split or not np.any(draws.initial_error):
        return 1, 0
    return 2, 1


def run_ensemble(
    ensemble: Ensemble, steps: IntArray, store: Store | None, every: int, tick: Callable[[int], bool]
) -> Outcome:
    """Run all replicas and record at `steps`; every so many steps the state goes to `store`, from which a run goes on.

    `tick` is told of the steps of all replicas in each chunk and may stop the run by False.
    """
    plan, method = ensemble.plan, ensemble.method
    block = plan.block or _block_size(ensemble)
    shape = (steps.size, plan.replicas, 3 if ensemble.parts == 2 else 1, ensemble.label_count)
    _refuse_beyond_memory(shape, ensemble.watched.size)
    path = np.full((*shape[:2], ensemble.watched.size), np.nan)
    outcome = Outcome(np.full(shape, np.nan), path, np.full(plan.replicas, -1), False)
    first, at, z = _resume(ensemble, outcome, store)
    outcome.interrupted = not tick(first * method.length + (0 if z is None else at * z.shape[0]))
    with ThreadPoolExecutor(max_workers=plan.threads) as pool:
        while first < plan.replicas and not outcome.interrupted:
            if z is None:
                at, z = 0, ensemble.state(min(block, plan.replicas - first))
            begin = at
            for at in _run_block(ensemble, outcome, steps, first, begin, z, every if store else None, tick, pool):
                if at < method.length:
                    _keep(outcome, store, first, at, ensemble.backend.download(z))
            if at == method.length:
                first, z = first + z.shape[0], None
                _keep(outcome, store, first, 0, np.zeros(0))
    outcome.interrupted = outcome.interrupted and first < plan.replicas
    return outcome


def _run_block(
    ensemble: Ensemble,
    outcome: Outcome,
    steps: IntArray,
    first: int,
    at: int,
    z: Any,
    every: int | None,
    tick: Callable[[int], bool],
    pool: ThreadPoolExecutor,
) -> Iterator[int]:
    """Take a block from step `at` to the end, or to where it is interrupted; yields the steps at which to keep it."""
    method, count = ensemble.method, z.shape[0]
    here = slice(first, first + count)
    risk, path = np.ascontiguousarray(outcome.risk[:, here]), np.ascontiguousarray(outcome.path[:, here])
    ended = outcome.ended[here].copy()
    serial = int(samples(method, 0, at).sum())
    while at < method.length and not outcome.interrupted:
        batch = _chunk(ensemble, at, count, every)
        end = at + batch.size
        slots = np.full(batch.size + 1, -1)
        begin, stop = np.searchsorted(steps, [at, end + (end == method.length)])
        slots[steps[begin:stop] - at] = np.arange(begin, stop)
        M, b, c = method.coefficients(at, end)
        o = method.readout(at, end + 1)
        keep = trajectories.Recorder(
            slots, ensemble.first, ensemble.last, ensemble.label, risk, ensemble.watched, ensemble.scale, path,
            ensemble.limit, ended,
        )  # fmt: skip
        tail = (first, at, M, b, c, o, batch, serial, *ensemble.key, ensemble.parts, ensemble.noise_part, z)
        pieces = 4 * ensemble.plan.threads if ensemble.device == "cpu" else 1
        if ensemble.device == "cpu" and not compile_first(ensemble.backend.run_replicas, keep, tail):
            outcome.interrupted = outcome.disturbed = True
            yield at
            return
        disturbed = run_pieces(pool, ensemble.backend.run_replicas, keep, tail, count, pieces)
        serial, at = serial + int(batch.sum()), end
        outcome.risk[:, here], outcome.path[:, here], outcome.ended[here] = risk, path, ended
        going = tick(count * batch.size)
        outcome.disturbed = disturbed
        outcome.interrupted = disturbed or not going
        if at == method.length or outcome.interrupted or (every is not None and at % every == 0):
            yield at


def samples(method: Method, start: int, stop: int) -> IntArray:
    """B_t of the steps start .. stop - 1 as the kernels take it: 0 for the full gradient."""
    size = method.batches(start, stop)
    return np.where(np.isinf(size), 0.0, size).astype(np.int64)


def _chunk(ensemble: Ensemble, at: int, count: int, every: int | None) -> IntArray:
    """Batch sizes of the steps of the next chunk, of about CHUNK_WORK for every thread; up to the next checkpoint."""
    plan, length = ensemble.plan, ensemble.method.length
    stop = min(at + MAX_CHUNK, length)
    if every is not None:
        stop = min(stop, (at // every + 1) * every)
    batch = samples(ensemble.method, at, stop)
    work = np.cumsum(np.maximum(batch, 1)) * float(ensemble.dim * count)
    budget = CHUNK_WORK * plan.threads if ensemble.device == "cpu" else GPU_CHUNK_WORK
    fits = int(np.searchsorted(work, budget, side="right"))
    return batch[: max(fits, 1)]


# -- memory ------------------------------------------------------------------------------------------------------------


def free_memory() -> int:
    """Memory that may be used, in bytes: what is free, or 4 GiB where the system does not say."""
    try:
        return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):
        return 4 << 30


def _block_size(ensemble: Ensemble) -> int:
    """As many replicas as fit in a third of the free memory."""
    fits = ensemble.backend.free_memory() // 3 // ensemble.bytes_per_replica
    return int(np.clip(fits, 1, ensemble.plan.replicas))


def _refuse_beyond_memory(shape: tuple[int, ...], watched: int) -> None:
    need = 8 * shape[0] * shape[1] * (shape[2] * shape[3] + watched)
    if need > free_memory() // 3:
        raise InputError(
            f" keeps {need / 2**30:.1f} GiB ({shape[0]} steps, {shape[1]} replicas, {shape[3]} subspaces), more "
            f"than this machine has to spare; record fewer steps or subspaces, or sample fewer replicas.",
            "record",
        )


# -- checkpoints -------------------------------------------------------------------------------------------------------


def _keep(outcome: Outcome, store: Store | None, first: int, at: int, z: npt.NDArray[Any]) -> None:
    """Hand the state to the store: all records so far, and the block in motion."""
    if store is not None:
        arrays = {"risk": outcome.risk, "path": outcome.path, "ended": outcome.ended}
        store.save({**arrays, "position": np.array([first, at]), "state": z})


def _resume(ensemble: Ensemble, outcome: Outcome, store: Store | None) -> tuple[int, int, Any]:
    """(first replica of the block in motion, its step, its state), from the store where it holds one."""
    saved = None if store is None else store.load()
    if saved is None:
        return 0, 0, None
    outcome.risk[:], outcome.path[:], outcome.ended[:] = saved["risk"], saved["path"], saved["ended"]
    first, at = (int(value) for value in saved["position"])
    return first, at, ensemble.backend.upload(saved["state"]) if saved["state"].size else None
