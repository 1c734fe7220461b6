"""Second moments on a GPU, many runs of the exact engine at a time: the launcher of simlab/kernels/cuda/moments.cuh."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from simlab.arrays import FloatArray, IntArray
from simlab.engines.gpu import cuda
from simlab.kernels.moments.layout import NodeArrays, packed_outer
from simlab.methods.base import Method
from simlab.trace.recording import DIVERGENCE_FACTOR, RunResult, Status, Tick, slots, sums_of_squares

__all__ = ["MOMENTS", "MomentJob", "run_moments_gpu"]

Array = npt.NDArray[Any]

MOMENTS = ("body", "sums", "moments")

MAX_CHUNK = 65_536
CHUNK_BYTES = 1 << 28


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
    jobs: Sequence[MomentJob], *, tick: Tick | None = None, device: cuda.Device | None = None
) -> list[RunResult]:
    """The second moments of many runs at a time, each as `run_diagonal` would return it.

    Records at `steps` by label; a run ends early where twice the risk at the gradient point passes 10^6 x max(initial
    risk, noise / 2) x 2. `tick` is called with the mode-steps of every launch; False interrupts the runs that are not
    done. Runs of different length, and on different nodes, may go together.
    """
    on: cuda.Device = cuda.CupyDevice() if device is None else device
    groups: dict[tuple[int, cuda.Shape], list[int]] = {}
    for i, job in enumerate(jobs):
        groups.setdefault((job.method.state_size, _moment_shape(job)), []).append(i)
    results: dict[int, RunResult] = {}
    going = True
    for (k, shape), members in groups.items():
        group = _Group([jobs[i] for i in members], k, shape, on)
        going = group.run(tick, going)
        results.update(zip(members, group.results(), strict=True))
    return [results[i] for i in range(len(jobs))]


def _moment_shape(job: MomentJob) -> cuda.Shape:
    k = job.method.state_size
    shape = cuda.shape_of(job.nodes.size, 2 * (3 + k * (k + 1)), 30 + 40 * k) or cuda.Shape(512, 1, False)
    return shape if shape.held else shape._replace(owned=1)


class _Group:
    """Runs that one kernel takes: the same k and the same shape of a block."""

    def __init__(self, jobs: list[MomentJob], k: int, shape: cuda.Shape, device: cuda.Device) -> None:
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
            state[0] = packed_outer(method.z0)[:, None] * nodes.signal[order]
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
        self.kernel = f"run_moments<{k}, {shape.threads}, {shape.owned}, {cuda.flag(shape.held)}>"

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
        for (nodes, method, steps, _, _), count in zip(self.jobs, counts.tolist(), strict=True):
            begin = at if count else 0
            end = begin + count
            # The risk after the chunk is that where the next gradient is taken; after the last step, where it was.
            M, b, c = method.coefficients(begin, min(end + 1, method.length))
            b = b * nodes.unit
            c = np.concatenate([c, c[-1:]])[: count + 1]
            o, share = method.readout(begin, end), method.inverse_batch(begin, end)
            pieces.append((M[:count], b[:count], c, o, share, slots(steps, begin, end).astype(np.int32)))
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
            sums_of_squares(risk, nodes.risk_unit)
            sums_of_squares(final, nodes.risk_unit)
            results.append(RunResult(steps, risk, ("bias", "variance"), status, at, final, method.learning_rate))
        return results
