"""Sampled trajectories on a GPU: the launcher of simlab/kernels/cuda/sample.cuh."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from simlab.arrays import FloatArray, IntArray
from simlab.engines.gpu import cuda
from simlab.kernels.replicas.trajectories import ADDITIVE, EPOCHS, ONE_HOT, Recorder, Source

__all__ = ["SAMPLE", "GpuSampler"]

Array = npt.NDArray[Any]

SAMPLE = ("body", "sums", "sample")


class GpuSampler:
    """Replicas on a GPU; made once per run, so that the source of its gradients goes up once.

    `run` takes what `simlab.kernels.replicas.trajectories.run_replicas` takes and does the same, with the
    state on the device: random words are the same bit for bit, numbers up to rounding.
    """

    def __init__(self, source: Source, device: cuda.Device | None = None) -> None:
        self.device: cuda.Device = cuda.CupyDevice() if device is None else device
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
        units = self.dim // 4
        threads, owned, held = cuda.shape_of(units, words, 64) or cuda.crowded_shape(units, words)
        real = {"float32": "float", "float64": "double"}[self.real.name]
        flags = f"{real}, {self.law}, {k}, {parts}, {cuda.flag(batches)}"
        return f"run_replicas<{flags}, {threads}, {owned}, {cuda.flag(held)}>", threads

    def run(
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

        As `simlab.kernels.replicas.trajectories.run_replicas`, but z (replicas, parts * k, D) lies on the device, where
        it is changed in place. Returns when the records of this chunk are in `keep`.
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
