"""The kernels of both engines on a GPU, through CuPy: what goes up, how a launch is shaped, what comes back.

Kernels are templates, compiled by NVRTC for the configuration of a run and cached by CuPy on disk. The launchers speak
to a `Device` of a few verbs, so that the tests can run them, and the kernels, with no GPU at all.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from importlib import import_module, resources
from typing import Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from simlab.engines.recording import DIVERGENCE_FACTOR, RunResult, Status, Tick
from simlab.kernels.layout import NodeArrays, packed_outer
from simlab.kernels.trajectories import ADDITIVE, EPOCHS, ONE_HOT, Recorder, Source
from simlab.methods.base import Method

__all__ = ["CupyDevice", "Device", "GpuSampler", "MomentJob", "Shape", "run_moments_gpu", "shape_of", "source_of"]

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
Array = npt.NDArray[Any]

SAMPLE = ("body", "sums", "sample")
MOMENTS = ("body", "sums", "moments")

REGISTERS = 65_536
"""32-bit registers of a multiprocessor, on every NVIDIA GPU since 2012; a thread has at most 255 of them."""

MAX_CHUNK = 65_536
CHUNK_BYTES = 1 << 28


# -- devices -----------------------------------------------------------------------------------------------------------


class Device(Protocol):
    """Arrays in and out, and launches."""

    def put(self, array: Array) -> Any:
        """A copy of a NumPy array on the device."""

    def zeros(self, shape: tuple[int, ...], dtype: npt.DTypeLike) -> Any: ...

    def get(self, array: Any) -> Array:
        """A device array as a NumPy array."""

    def free_memory(self) -> int:
        """Bytes that may be used."""

    def launch(
        self, files: tuple[str, ...], kernel: str, blocks: int, threads: int, arguments: tuple[Any, ...]
    ) -> None:
        """Run a kernel, e.g. "run_moments<1, 64, 4, true>", of the sources `files` on arrays here and NumPy scalars."""


def source_of(files: tuple[str, ...]) -> str:
    """The CUDA C++ of some files of simlab/kernels/cuda, one after the other."""
    folder = resources.files("simlab.kernels") / "cuda"
    return "\n".join((folder / f"{name}.cuh").read_text(encoding="utf-8") for name in files)


@cache
def _module(files: tuple[str, ...], kernel: str) -> Any:
    cupy: Any = import_module("cupy")
    return cupy.RawModule(code=source_of(files), options=("-std=c++17",), name_expressions=(kernel,))


class CupyDevice:
    """The device that is CuPy's current one when this is made; any thread may use it."""

    def __init__(self) -> None:
        self.cupy: Any = import_module("cupy")
        self.device = self.cupy.cuda.Device()

    def put(self, array: Array) -> Any:
        with self.device:
            return self.cupy.asarray(np.ascontiguousarray(array))

    def zeros(self, shape: tuple[int, ...], dtype: npt.DTypeLike) -> Any:
        with self.device:
            return self.cupy.zeros(shape, dtype=dtype)

    def get(self, array: Any) -> Array:
        with self.device:
            host: Array = self.cupy.asnumpy(array)
        return host

    def free_memory(self) -> int:
        with self.device:
            return int(self.cupy.cuda.runtime.memGetInfo()[0] + self.cupy.get_default_memory_pool().free_bytes())

    def launch(
        self, files: tuple[str, ...], kernel: str, blocks: int, threads: int, arguments: tuple[Any, ...]
    ) -> None:
        with self.device:
            _module(files, kernel).get_function(kernel)((blocks,), (threads,), arguments)


# -- the shape of a launch ---------------------------------------------------------------------------------------------


class Shape(NamedTuple):
    """Threads of a block, units of work that each owns, and whether these stay in registers."""

    threads: int
    owned: int
    held: bool


def shape_of(units: int, words: int, others: int) -> Shape:
    """The shape for blocks of `units`, each of which keeps `words` 32-bit registers, beside `others` for each thread.

    The fewest threads whose state fits 128 registers, for what a thread does once per step is then shared by the most
    units; else the most threads that fit at all; else the state stays in memory. Powers of two keep the number of
    configurations, each of which is compiled, small.
    """
    tight = None
    for threads in (32, 64, 128, 256, 512, 1024):
        owned = -(-units // threads)
        registers = owned * words + others
        if threads * registers <= REGISTERS and registers <= 240:
            tight = Shape(threads, owned, True)
            if registers <= 128:
                return tight
    if tight is not None:
        return tight
    return Shape(512, 1 << (-(-units // 512) - 1).bit_length(), False)


def _flag(value: bool) -> str:
    return "true" if value else "false"


# -- sampled trajectories ----------------------------------------------------------------------------------------------


class GpuSampler:
    """Replicas on a GPU; made once per run, so that the source of its gradients goes up once.

    `run_replicas` takes what `simlab.kernels.trajectories.run_replicas` takes and does the same, with the state on the
    device: random words are the same bit for bit, numbers up to rounding.
    """

    def __init__(self, source: Source, device: Device | None = None) -> None:
        self.device: Device = CupyDevice() if device is None else device
        self.law = int(source.law)
        self.real = source.lam.dtype
        self.dim = int(source.lam.size)
        self.rows = int(source.cumulative.size if self.law == ONE_HOT else source.residual.size)
        put, real = self.device.put, self.real.type
        self.source = (
            put(source.lam),
            real(source.noise),
            real(source.degrees),
            *map(put, (source.threshold, source.size, source.rows, source.residual, source.cumulative)),
            np.int32(self.rows),
            np.int32(self.dim),
        )

    def upload(self, z: Array) -> Any:
        """A state (replicas, parts * k, D) on the device."""
        return self.device.put(z.astype(self.real, copy=False))

    def download(self, z: Any) -> Array:
        """The state back from the device."""
        return self.device.get(z)

    def free_memory(self) -> int:
        """Bytes of device memory that may be used."""
        return self.device.free_memory()

    def kernel(self, k: int, parts: int, batches: bool) -> tuple[str, int]:
        """The name of the kernel of this source, and the threads of a block; `batches`: some are not of one sample."""
        words = 4 * (parts * k + 2 + (parts if batches else 0)) * self.real.itemsize // 4
        threads, owned, held = shape_of(self.dim // 4, words, 64)
        real = {"float32": "float", "float64": "double"}[self.real.name]
        flags = f"{real}, {self.law}, {k}, {parts}, {_flag(batches)}"
        return f"run_replicas<{flags}, {threads}, {owned}, {_flag(held)}>", threads

    def run_replicas(
        self,
        keep: Recorder,
        begin: int,
        end: int,
        first_replica: int,
        t0: int,
        M: FloatArray,
        b: FloatArray,
        c: FloatArray,
        o: FloatArray,
        batch: IntArray,
        serial: int,
        k0: int,
        k1: int,
        parts: int,
        noise_part: int,
        z: Any,
    ) -> None:
        """Take the replicas begin .. end - 1 of a block through a chunk of n steps from step t0 on.

        As `simlab.kernels.trajectories.run_replicas`, but z (replicas, parts * k, D) lies on the device, where it is
        changed in place. Returns when the records of this chunk are in `keep`.
        """
        put, zeros = self.device.put, self.device.zeros
        replicas, (n, k) = end - begin, b.shape
        batches = self.law != ADDITIVE and bool(np.any(batch != 1))
        kernel, threads = self.kernel(k, parts, batches)

        # Records of this chunk are numbered from 0, and runs of coordinates gathered by label.
        at = np.flatnonzero(keep.slots >= 0)
        slots = np.full(n + 1, -1, np.int32)
        slots[at] = np.arange(at.size)
        labels = keep.risk.shape[3]
        by_label = np.argsort(keep.label, kind="stable")
        runs = np.searchsorted(keep.label[by_label], np.arange(labels + 1))
        risk = zeros((at.size, replicas, *keep.risk.shape[2:]), np.float64)
        path = zeros((at.size, replicas, keep.watched.size), np.float64)
        ended = put(keep.ended[begin:end])

        integers = [np.ascontiguousarray(a, np.int32) for a in (slots, runs, keep.first[by_label], keep.last[by_label])]
        arguments = (
            *self.source,
            *map(put, integers),
            np.int32(labels),
            put(keep.watched.astype(np.int32)),
            put(keep.scale.astype(np.float64)),
            np.int32(keep.watched.size),
            np.float64(keep.limit),
            risk,
            path,
            ended,
            np.uint32(first_replica + begin),
            np.int64(t0),
            np.int32(n),
            *(put(a.astype(self.real)) for a in (M, b, c)),
            put(o),
            put(batch),
            np.int64(serial),
            np.uint32(k0),
            np.uint32(k1),
            np.int32(noise_part),
            zeros((replicas, self.rows) if self.law == EPOCHS else (1, 1), np.int32),
            z[begin:end],
        )
        self.device.launch(SAMPLE, kernel, replicas, threads, arguments)

        alive = np.flatnonzero(keep.ended[begin:end] < 0)
        target = np.ix_(keep.slots[at], begin + alive)
        keep.risk[target] = self.device.get(risk)[:, alive]
        keep.path[target] = self.device.get(path)[:, alive]
        keep.ended[begin:end] = self.device.get(ended)
        for r in begin + np.flatnonzero(keep.ended[begin:end] >= 0):
            _end(keep, int(r), max(int(keep.ended[r]) - t0, 0), at)


def _end(keep: Recorder, r: int, last: int, recorded: IntArray) -> None:
    """What the records after iterate `last` of this chunk say of a trajectory that was given up there is infinite."""
    later = recorded[recorded >= last]
    rows = keep.slots[later]
    finite = np.all(np.isfinite(keep.risk[rows, r]), axis=(1, 2))
    rows = rows[(later > last) | ~finite]
    keep.risk[rows, r] = np.inf
    keep.path[rows, r] = np.nan


# -- exact moments -----------------------------------------------------------------------------------------------------


class MomentJob(NamedTuple):
    """A run of the exact engine: what `run_diagonal` takes."""

    nodes: NodeArrays
    method: Method
    steps: IntArray
    labels: IntArray
    label_count: int


_RUN = np.dtype(
    [(name, np.int64) for name in ("nodes", "node_start", "state_start", "steps", "step_start", "following_start")]
    + [(name, np.int64) for name in ("labels", "label_start", "out_start")]
    + [(name, np.float64) for name in ("noise", "coupling", "limit")]
)


def run_moments_gpu(
    jobs: Sequence[MomentJob], *, tick: Tick | None = None, device: Device | None = None
) -> list[RunResult]:
    """The second moments of many runs at a time, each as `run_diagonal` would return it.

    Records at `steps` by label; a run ends early where twice the risk at the gradient point passes 10^6 x max(initial
    risk, noise / 2) x 2. `tick` is called with the mode-steps of every launch; False interrupts the runs that are not
    done. Runs of different length, and on different nodes, may go together.
    """
    on: Device = CupyDevice() if device is None else device
    groups: dict[tuple[int, Shape], list[int]] = {}
    for i, job in enumerate(jobs):
        groups.setdefault((job.method.state_size, _moment_shape(job)), []).append(i)
    results: dict[int, RunResult] = {}
    going = True
    for (k, shape), members in groups.items():
        group = _Group([jobs[i] for i in members], k, shape, on)
        going = group.run(tick, going)
        results.update(zip(members, group.results(), strict=True))
    return [results[i] for i in range(len(jobs))]


def _moment_shape(job: MomentJob) -> Shape:
    k = job.method.state_size
    shape = shape_of(job.nodes.size, 2 * (3 + k * (k + 1)), 30 + 40 * k)
    return shape if shape.held else shape._replace(owned=1)


class _Group:
    """Runs that one kernel takes: the same k and the same shape of a block."""

    def __init__(self, jobs: list[MomentJob], k: int, shape: Shape, device: Device) -> None:
        self.jobs, self.k, self.shape, self.device = jobs, k, shape, device
        self.entries = k * (k + 1) // 2
        self.table = np.zeros(len(jobs), _RUN)
        self.orders: list[IntArray] = []
        parts: list[tuple[FloatArray, ...]] = []
        firsts: list[IntArray] = []
        known: dict[tuple[int, bytes], int] = {}
        states: list[FloatArray] = []
        node_start = state_start = label_start = out_start = 0
        for i, (nodes, method, steps, labels, label_count) in enumerate(jobs):
            row = self.table[i]
            own = labels[nodes.order]
            order = np.argsort(own, kind="stable")
            self.orders.append(own[order])
            # Runs on the same nodes share their arrays.
            same = known.setdefault((id(nodes), labels.tobytes()), i)
            if same == i:
                row["node_start"], row["label_start"] = node_start, label_start
                parts.append((nodes.lam[order], nodes.self_noise[order], nodes.drive[order]))
                firsts.append(np.searchsorted(own[order], np.arange(label_count + 1)))
                node_start += nodes.size
                label_start += label_count + 1
            else:
                row["node_start"], row["label_start"] = self.table[same]["node_start"], self.table[same]["label_start"]
            state = np.zeros((2, self.entries, nodes.size))
            state[0] = packed_outer(method.start)[:, None] * nodes.signal[order]
            states.append(state.reshape(-1))
            row["nodes"], row["labels"] = nodes.size, label_count
            row["state_start"], row["out_start"] = state_start, out_start
            state_start += state.size
            out_start += steps.size * 2 * label_count
            row["noise"], row["coupling"] = nodes.noise, nodes.coupling
            limit = 2.0 * DIVERGENCE_FACTOR * nodes.reference_risk
            row["limit"] = limit if limit > 0.0 else np.inf
        self.nodes = [device.put(np.concatenate(arrays)) for arrays in zip(*parts, strict=True)]
        self.first = device.put(np.concatenate(firsts).astype(np.int32))
        self.state = device.put(np.concatenate(states))
        self.out = device.put(np.full(out_start, np.nan))
        self.ended = device.put(np.full(len(jobs), -1))
        self.reached = np.zeros(len(jobs), np.int64)
        self.kernel = f"run_moments<{k}, {shape.threads}, {shape.owned}, {_flag(shape.held)}>"

    def run(self, tick: Tick | None, going: bool) -> bool:
        """Take every run to its end, chunk by chunk; False where `tick` said to stop (or `going` is False)."""
        lengths = np.array([job.method.length for job in self.jobs])
        rows = CHUNK_BYTES // (8 * (self.k + 1) * (self.k + 2) * len(self.jobs))
        chunk = int(np.clip(rows, 64, MAX_CHUNK))
        at = 0
        while going and at < lengths.max():
            alive = self.device.get(self.ended) < 0
            counts = np.where(alive, np.clip(lengths - at, 0, chunk), 0)
            self._chunk(at, counts)
            self.reached += counts
            at += chunk
            going = tick is None or tick(int(np.sum(counts * self.table["nodes"])))
        return going

    def _chunk(self, at: int, counts: IntArray) -> None:
        """The steps at .. at + counts - 1 of every run."""
        before = np.cumsum(counts) - counts
        self.table["steps"], self.table["step_start"] = counts, before
        self.table["following_start"] = before + np.arange(counts.size)
        pieces: list[tuple[Array, ...]] = []
        for (_, method, steps, _, _), count in zip(self.jobs, counts.tolist(), strict=True):
            begin = at if count else 0
            end = begin + count
            # The risk after the chunk is that where the next gradient is taken; after the last step, where it was.
            M, b, c = method.coefficients(begin, min(end + 1, method.length))
            c = np.concatenate([c, c[-1:]])[: count + 1]
            slots = np.full(count, -1, np.int32)
            first, last = np.searchsorted(steps, [begin, end])
            slots[steps[first:last] - begin] = np.arange(first, last)
            o, share = method.readout(begin, end), method.inverse_batch(begin, end)
            pieces.append((M[:count], b[:count], c, o, share, slots))
        coefficients = [self.device.put(np.concatenate(arrays)) for arrays in zip(*pieces, strict=True)]
        table = self.device.put(np.frombuffer(self.table.tobytes(), np.uint8))
        arguments = (table, *self.nodes, self.first, np.int64(at), *coefficients, self.state, self.out, self.ended)
        self.device.launch(MOMENTS, self.kernel, counts.size, self.shape.threads, arguments)

    def results(self) -> list[RunResult]:
        """Every run as far as it came."""
        state, out, ended = (self.device.get(array) for array in (self.state, self.out, self.ended))
        results = []
        for i, (nodes, method, steps, _, label_count) in enumerate(self.jobs):
            row = self.table[i]
            diverged = bool(ended[i] >= 0)
            at = int(ended[i] if diverged else self.reached[i])
            status: Status = "diverged" if diverged else "done" if at == method.length else "interrupted"
            risk = out[row["out_start"] :][: steps.size * 2 * label_count].reshape(steps.size, 2, label_count).copy()
            U = state[row["state_start"] :][: 2 * self.entries * nodes.size].reshape(2, self.entries, nodes.size)
            o = method.readout(at, at + 1)[0]
            rows, columns = np.triu_indices(self.k)
            with np.errstate(over="ignore", invalid="ignore"):
                per_node = np.einsum("e,cei->ci", np.where(rows == columns, 0.5, 1.0) * packed_outer(o), U)
                final = np.array([np.bincount(self.orders[i], part, label_count) for part in per_node], np.float64)
            if diverged:
                final[np.isnan(final)] = np.inf  # inf - inf: beyond the range of a float
            risk[steps == at] = final
            results.append(RunResult(steps, risk, ("bias", "variance"), status, at, final, method.learning_rate))
        return results
