"""Replicas of one method on a regression, in the whitened eigenbasis: a crew for `march`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from simlab.arrays import FloatArray, IntArray
from simlab.engines.replicas.march import Crew, Kept, Plan, Processor
from simlab.errors import InputError, brief
from simlab.kernels.random import laws
from simlab.kernels.random.philox import TILE
from simlab.kernels.replicas import trajectories
from simlab.methods.base import Method
from simlab.problems.draws import Draws, MixedDraws
from simlab.trace.recording import DIVERGENCE_FACTOR
from simlab.trace.state import State, state_of

__all__ = ["Regression", "Sampling", "check_start", "law_parameters", "parts_of", "samples"]

Precision = Literal["float32", "float64"]

CHUNK_WORK = 400_000_000
"""Coordinates drawn between two looks at the clock, by one thread: a third of a second; and by a GPU, some tenths."""
GPU_CHUNK_WORK = 50_000_000_000

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


@dataclass(frozen=True)
class Sampling(Plan):
    """A plan with the precision of the state; `split`: bias and variance are run side by side."""

    precision: Precision = "float32"
    split: bool = True


class Regression(Crew):
    """Replicas of a method on a regression: the arrays of its draws as the kernels take them.

    A state is (replicas, parts * k, D). Records: risk (records, replicas, parts, labels), with the cross part where two
    are run, path (records, replicas, coordinates) of w - w*, and, where rows were held out, heldout (records, replicas,
    parts), the loss on them but for `left`, which no iterate changes.
    """

    pieces, leave = 4, False
    members: int = 1
    """Trajectories of a replica."""
    axes: Mapping[str, list[str]] = {}
    """Dimensions of the risk between its parts and labels."""
    remedy = "record fewer steps or subspaces, or sample fewer replicas"
    plan: Sampling

    def __init__(
        self,
        draws: Draws,
        method: Method,
        labels: IntArray,
        watched: IntArray,
        plan: Sampling,
        device: str = "cpu",
        start: State | None = None,
        keep: IntArray | None = None,
    ) -> None:
        super().__init__(method, plan, device)
        self.start, self.begin = start, 0 if start is None else start.step
        self.keep_at = self.keep_at if keep is None else keep
        self.draws: Any = draws
        self.dtype = np.dtype(plan.precision)
        lam, error = draws.eigenvalues, draws.initial_error
        self.dim = -(-lam.size // TILE) * TILE
        self.parts, self.noise_part = self.last = parts_of(draws, plan.split)
        self.backend: Any = self._backend(device)
        self.rows = self._rows(lam.size)
        self.bytes_per_replica = self.members * self.rows * self.dim * self.dtype.itemsize
        edges = np.flatnonzero(np.diff(labels)) + 1
        self.first = np.concatenate([[0], edges]).astype(np.int64)
        self.last_of = np.append(edges, lam.size).astype(np.int64)
        self.label, self.label_count = labels[self.first], int(labels.max()) + 1
        self.watched, self.scale = watched, 1.0 / np.sqrt(lam[watched])
        self.unseen, self.target, self.left = np.zeros((0, 0)), np.zeros(0), 0.0
        if draws.heldout is not None:
            along, self.target, self.left = draws.heldout.squares()
            self.unseen = np.zeros((self.target.size, self.dim))
            self.unseen[:, : lam.size] = along / np.sqrt(lam)
        initial = 0.5 * float(lam @ error**2)
        additive = 0.5 * float(draws.gradient_noise @ draws.gradient_noise) / float(lam.sum())
        noise = 0.5 * (draws.noise**2 + (float(np.mean(draws.residual**2)) if draws.residual.size else 0.0))
        limit = DIVERGENCE_FACTOR * max(initial, noise, additive)
        self.limit = limit if limit > 0.0 else np.inf
        self.drawn = self.origin = (self.begin, 0 if start is None else int(start.facts["drawn"]))
        if start is not None:
            check_start(start, lam.size, (self.parts, self.noise_part), draws.law)

    def _backend(self, device: str) -> Any:
        """What takes a chunk of replicas through its steps."""
        if device == "cpu":
            return Processor(partial(trajectories.run_replicas, self._source()))
        from simlab.engines.gpu.regression import GpuSampler

        return GpuSampler(self._source())

    def _rows(self, dim: int) -> int:
        """Rows of the state of a replica of dim coordinates."""
        return self.parts * self.method.state_size

    def _source(self) -> trajectories.Source:
        draws, lam = self.draws, self.draws.eigenvalues
        code, degrees, threshold, size = law_parameters(draws)
        cumulative, rows, residual = np.zeros(0), np.zeros((0, 0)), np.zeros(0)
        if draws.law == "one_hot":
            size, cumulative = np.sqrt(draws.kurtosis), np.cumsum(1.0 / draws.kurtosis)
        elif draws.law == "additive":
            size = draws.gradient_noise / np.sqrt(lam)
        elif draws.law in ("rows", "epochs"):
            rows, residual = draws.rows / np.sqrt(lam), draws.residual
        return trajectories.Source(
            code,
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

    def state(self, first: int, replicas: int) -> Any:
        """The whitened start of so many replicas, shape (replicas, parts * k, dim), where the backend keeps it."""
        z = np.zeros((replicas, self.rows, self.dim), self.dtype)
        lam, z0 = self.draws.eigenvalues, self.method.z0
        if self.start is None:
            z[:, : z0.size, : lam.size] = z0[:, None] * (np.sqrt(lam) * self.draws.initial_error)
        else:
            held, old = self.start.arrays["z"][first : first + replicas], self.start.arrays["eigenvalues"]
            same = np.array_equal(lam, old)
            z[: len(held), : held.shape[1], : lam.size] = held if same else held * np.sqrt(lam / old)
        return self.backend.upload(z)

    def gone(self) -> IntArray:
        """(replicas,) : the step at which a replica had diverged before the start, or -1."""
        return super().gone() if self.start is None else self.start.arrays["ended"].copy()

    def kept_state(self, z: npt.NDArray[Any], ended: IntArray, at: int) -> State:
        """What it takes to go on from step `at`, of all replicas."""
        lam = self.draws.eigenvalues
        begin, drawn = self.origin
        facts = {
            "drawn": drawn + int(samples(self.method, begin, at).sum()),
            "seed": self.plan.seed,
            "law": self.draws.law,
            "parts": [self.parts, self.noise_part],
        }
        return state_of(
            "replicas", self.method, at, {"z": z[..., : lam.size], "ended": ended, "eigenvalues": lam}, facts
        )

    def held(self, z: Any) -> int:
        """Replicas of a state."""
        return int(z.shape[0])

    def records(self, count: int) -> dict[str, tuple[int, ...]]:
        """Risk by part and label, and the coordinates watched."""
        here, parts = (count, self.plan.replicas), 3 if self.parts == 2 else 1
        held = {"heldout": (*here, parts)} if self.target.size else {}
        return {"risk": (*here, parts, self.label_count), "path": (*here, self.watched.size), **held}

    def chunk(self, at: int, stop: int, z: Any, steps: IntArray) -> tuple[int, tuple[Any, ...]]:
        """A chunk of about CHUNK_WORK for every thread; its batch sizes, and the samples drawn before it."""
        batch = samples(self.method, at, stop)
        work = np.cumsum(np.maximum(batch, 1)) * float(self.dim * self.members * self.held(z))
        budget = CHUNK_WORK * self.plan.threads if self.device == "cpu" else GPU_CHUNK_WORK
        batch = batch[: max(int(np.searchsorted(work, budget, side="right")), 1)]
        known, serial = self.drawn
        if known != at:
            known, serial = at, self.origin[1] + int(samples(self.method, self.begin, at).sum())
        self.drawn = (known + batch.size, serial + int(batch.sum()))
        return at + batch.size, (batch, serial)

    @staticmethod
    def within(numbers: tuple[Any, ...], at: int, stop: int) -> tuple[Any, ...]:
        """What `chunk` says beside its end, for the steps at .. stop - 1 of it."""
        batch, serial = numbers
        return batch[at:stop], serial + int(batch[:at].sum())

    def watch(self, marks: IntArray, records: int, ended: IntArray) -> trajectories.Recorder:
        """What the kernel is told to keep of a chunk."""
        of = {name: np.full((records, ended.size, *s[2:]), np.nan) for name, s in self.records(records).items()}
        held = (self.unseen, self.target, of.get("heldout", np.zeros((0, 0, 0))))
        spots = (marks, self.first, self.last_of, self.label)
        return trajectories.Recorder(
            *spots, of["risk"], self.watched, self.scale, of["path"], self.limit, ended, *held
        )  # fmt: skip

    def keep(self, kept: Kept, watch: trajectories.Recorder, steps: IntArray, rows: slice, replicas: slice) -> None:
        """Enter what was kept of a chunk."""
        kept.records["risk"][rows, replicas] = watch.risk
        kept.records["path"][rows, replicas] = watch.path
        if self.target.size:
            kept.records["heldout"][rows, replicas] = watch.heldout

    def components(self, risk: FloatArray) -> tuple[tuple[str, ...], FloatArray]:
        """Names of the components of the risk, and the risk with zeros where a part was not run."""
        if not self.plan.split:
            return ("total",), risk
        if self.parts == 2:
            return ("bias", "variance", "cross"), risk
        full = np.zeros((*risk.shape[:2], 3, *risk.shape[3:]))
        full[np.isnan(risk.reshape(*risk.shape[:2], -1)[..., 0])] = np.nan
        full[:, :, 1 if self.noise_part == 0 else 0] = risk[:, :, 0]
        return ("bias", "variance", "cross"), full


def law_parameters(draws: Draws) -> tuple[int, float, npt.NDArray[np.uint32], FloatArray]:
    """The code of a law, Student's degrees, and threshold and size (d,) of the three-point law (see `draw_strip`)."""
    threshold, size, degrees = np.zeros(draws.kurtosis.size, np.uint32), np.zeros(draws.kurtosis.size), 5.0
    if draws.law in ("three_point", "rademacher"):
        # |xi| = 1 / sqrt(p) with probability p, a multiple of 2^-31, so that the variance is 1 to rounding.
        threshold = np.maximum(np.round(2.0**31 / draws.kurtosis), 1.0).astype(np.uint32)
        size = np.sqrt(2.0**31 / threshold)
    elif draws.law == "student_t":
        degrees = 4.0 + 6.0 / (float(draws.kurtosis[0]) - 3.0)
    return _LAWS[draws.law], degrees, threshold, size


def check_start(start: State, dim: int, parts: tuple[int, int], law: str) -> None:
    """Refuse a state of other parts, on another number of modes, or of other draws from a data set."""
    size = start.arrays["eigenvalues"].size
    if size != dim:
        raise InputError(f" has {size} modes and the problem has {dim}; give a problem of as many.", "start")
    # What was run without noise is the noiseless part of what goes on with some, whose noise's own trajectory begins.
    begins = parts == (2, 1) and tuple(start.facts["parts"]) == (1, -1)
    if tuple(start.facts["parts"]) != parts and not begins:
        raise InputError(
            " runs bias and variance otherwise than this run would (with or without label noise, split or not); give "
            "the same split, and a problem with noise where the first had some.",
            "start",
        )
    if "epochs" in (law, start.facts["law"]) and law != start.facts["law"]:
        raise InputError(
            f" was drawn by the law {brief(start.facts['law'])}; give law={brief(start.facts['law'])}.", "start"
        )


def parts_of(draws: Draws | MixedDraws, split: bool) -> tuple[int, int]:
    """(trajectories that share features, which of them the label noise enters): none is run that would stay at 0."""
    if draws.noiseless:
        return 1, -1
    if not split or not np.any(draws.initial_error):
        return 1, 0
    return 2, 1


def samples(method: Method, start: int, stop: int) -> IntArray:
    """B_t of the steps start .. stop - 1 as the kernels take it: 0 for the full gradient."""
    size = method.batches(start, stop)
    return np.where(np.isinf(size), 0.0, size).astype(np.int64)
