"""Replicas of one method on a mixture of domains, in absolute coordinates and double precision: a crew for `march`."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from simlab.arrays import FloatArray, IntArray
from simlab.engines.moments.mixture import resting
from simlab.engines.replicas.march import Crew, Kept, Processor
from simlab.engines.replicas.regression import Regression, Sampling, check_start, law_parameters, parts_of, samples
from simlab.kernels.random.philox import TILE
from simlab.kernels.replicas.mixture import Domains, Recorder, run_mixture_replicas
from simlab.methods.base import Method
from simlab.problems.draws import Draws, MixedDraws
from simlab.trace.recording import DIVERGENCE_FACTOR
from simlab.trace.state import State, state_of

__all__ = ["MixtureReplicas"]

CHUNK_WORK = 100_000_000
"""Coordinates drawn between two looks at the clock, by one thread."""


class MixtureReplicas(Regression):
    """Replicas of a method on a mixture. A state is (replicas, parts * k, D), from w_0 = 0.

    Records: risk (records, replicas, parts, domains, labels), with the cross part where two are run, and path (records,
    replicas, coordinates) of w itself.
    """

    def __init__(
        self,
        draws: MixedDraws,
        method: Method,
        labels: IntArray,
        watched: IntArray,
        plan: Sampling,
        device: str = "cpu",
        start: State | None = None,
        keep: IntArray | None = None,
    ) -> None:
        Crew.__init__(self, method, plan, device)
        self.start, self.begin = start, 0 if start is None else start.step
        self.keep_at = self.keep_at if keep is None else keep
        self.draws, problem = draws, draws.problem
        problem.check_length(method.length)
        self.dim = -(-problem.dim // TILE) * TILE
        self.parts, self.noise_part = self.last = parts_of(draws, plan.split)
        self.backend = Processor(partial(run_mixture_replicas, self._domains()))
        self.bytes_per_replica = 8 * self.members * self.parts * method.state_size * self.dim
        self.labels, self.label_count = labels, int(labels.max()) + 1
        self.watched, self.target, self.left = watched, np.zeros(0), 0.0
        self.axes = {"domain": list(problem.names)}
        limit = DIVERGENCE_FACTOR * max(float(problem.initial_risk().max()), 0.5 * float(np.max(draws.noise) ** 2))
        self.limit = limit if limit > 0.0 else np.inf
        self.drawn = self.origin = (self.begin, 0 if start is None else int(start.facts["drawn"]))
        self.rests = {self.begin: method.z0.astype(np.float64) if start is None else start.at_rest.copy()}
        if start is not None:
            check_start(start, problem.dim, (self.parts, self.noise_part), draws.law)

    def _domains(self) -> Domains:
        each: list[Draws] = self.draws.domains
        codes, degrees, thresholds, sizes = zip(*map(law_parameters, each), strict=True)
        threshold = np.zeros((len(each), self.dim), np.uint32)
        threshold[:, : self.draws.problem.dim] = np.stack(thresholds)
        return Domains(
            self.wide(np.sqrt(self.draws.problem.eigenvalues)), self.wide(self.draws.problem.optima),
            self.draws.noise, np.array(codes, np.int64), np.array(degrees), threshold, self.wide(np.stack(sizes)),
        )  # fmt: skip

    def wide(self, array: FloatArray) -> FloatArray:
        """`array` with zeros up to whole tiles along its last axis."""
        out = np.zeros((*array.shape[:-1], self.dim))
        out[..., : array.shape[-1]] = array
        return out

    def state(self, first: int, replicas: int) -> Any:
        """The start of so many replicas, (replicas, parts * k, dim)."""
        z = np.zeros((replicas, self.parts * self.method.state_size, self.dim))
        if self.start is not None:
            held = self.start.arrays["z"][first : first + replicas]
            z[: len(held), : held.shape[1], : held.shape[2]] = held
        return z

    def kept_state(self, z: npt.NDArray[Any], ended: IntArray, at: int) -> State:
        """What it takes to go on from step `at`, of all replicas."""
        begin, drawn = self.origin
        facts = {
            "drawn": drawn + int(samples(self.method, begin, at).sum()),
            "seed": self.plan.seed,
            "law": self.draws.law,
            "parts": [self.parts, self.noise_part],
        }
        arrays = {"z": z[..., : self.draws.problem.dim], "ended": ended, "eigenvalues": self.draws.eigenvalues[0]}
        return replace(state_of("mixed replicas", self.method, at, arrays, facts), at_rest=self._rest(at))

    def _rest(self, at: int) -> FloatArray:
        """The state of weights that rest one away from their optimum, at a step."""
        if at not in self.rests:
            known = max(step for step in self.rests if step <= at)
            self.rests[at] = resting(self.rests[known], self.method.coefficients(known, at).M)[-1]
        return self.rests[at]

    def records(self, count: int) -> dict[str, tuple[int, ...]]:
        """Risk by part, domain and label, and the coordinates watched."""
        here, domains = (count, self.plan.replicas), len(self.draws.domains)
        parts = 3 if self.parts == 2 else 1
        return {"risk": (*here, parts, domains, self.label_count), "path": (*here, self.watched.size)}

    def chunk(self, at: int, stop: int, z: Any, steps: IntArray) -> tuple[int, tuple[Any, ...]]:
        """A chunk of about CHUNK_WORK for every thread; its batch sizes, shares and weights."""
        batch = samples(self.method, at, stop)
        work = np.cumsum(np.maximum(batch, 1)) * float(self.dim * self.members * self.held(z))
        batch = batch[: max(int(np.searchsorted(work, CHUNK_WORK * self.plan.threads, side="right")), 1)]
        end = at + batch.size
        u = resting(self._rest(at), self.method.coefficients(at, end).M)
        self.rests[end] = u[-1]
        shares = self.shares(at, end)
        return end, (batch, u, shares, np.cumsum(shares, axis=2), self.draws.problem.loss_weights(at, end))

    def shares(self, at: int, end: int) -> FloatArray:
        """What the replicas draw from in turn, (1, n, K)."""
        shares: FloatArray = self.draws.problem.shares(at, end)[None]
        return shares

    @staticmethod
    def within(numbers: tuple[Any, ...], at: int, stop: int) -> tuple[Any, ...]:
        batch, u, shares, cumulative, weights = numbers
        parts = (np.ascontiguousarray(each[:, at:stop]) for each in (shares, cumulative))
        return batch[at:stop], u[at : stop + 1], *parts, weights[at:stop]

    def watch(self, marks: IntArray, records: int, ended: IntArray) -> Any:
        """What the kernel is told to keep of a chunk."""
        of = {name: np.full((records, ended.size, *s[2:]), np.nan) for name, s in self.records(records).items()}
        return Recorder(marks, self.labels, of["risk"], self.watched, of["path"], self.limit, ended)

    def keep(self, kept: Kept, watch: Any, steps: IntArray, rows: slice, replicas: slice) -> None:
        """Enter what was kept of a chunk."""
        kept.records["risk"][rows, replicas] = watch.risk
        kept.records["path"][rows, replicas] = watch.path
