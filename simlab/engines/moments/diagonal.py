"""The exact recursion for problems that are diagonal in the eigenbasis: O(nodes k^2) a step."""

from __future__ import annotations

import numpy as np

from simlab.arrays import FloatArray, IntArray
from simlab.engines.moments.heldout import HeldOutLoss, PairsOfModes
from simlab.engines.moments.kept import from_kernel, nodes_kept, to_kernel
from simlab.errors import InputError
from simlab.kernels.moments import steps as moments
from simlab.kernels.moments.chunk import advance as advance_nodes
from simlab.kernels.moments.layout import NodeArrays, packed_outer, padded, scratch
from simlab.methods.base import Method
from simlab.problems.rows import HeldOut
from simlab.trace.recording import DIVERGENCE_FACTOR, RunResult, Status, Tick, slots, sums_of_squares
from simlab.trace.state import State, state_of

__all__ = ["Moments", "advance", "beyond", "run_diagonal"]


CHUNK_WORK = 30_000_000
MAX_CHUNK = 16_384

NO_STEPS = np.zeros(0, dtype=np.int64)

LARGEST_END = 1 << 23
"""Most numbers of a state that is kept without being asked for (64 MiB)."""


class Moments:
    """The moments in motion, in kernel layout."""

    def __init__(
        self,
        nodes: NodeArrays,
        method: Method,
        labels: IntArray,
        deterministic: bool,
        start: State | None,
        pairs: PairsOfModes | None = None,
    ) -> None:
        self.nodes, self.pairs = nodes, pairs
        self.labels = padded(labels[nodes.order])
        self.work = scratch(method.state_size)
        outer = packed_outer(method.z0)
        self.U = np.zeros((2, outer.size, nodes.lam.size))
        if start is None:
            self.U[0] = outer[:, None] * nodes.signal
            self.mean = np.repeat(method.z0[:, None], nodes.lam.size, axis=1) if deterministic else None
        else:
            self.U, source = to_kernel(start, nodes)
            self.mean = self._mean_from(start, source) if deterministic else None

    def _mean_from(self, start: State, source: IntArray) -> FloatArray:
        """E z over w_0 - w* of this problem, (k, nodes)."""
        if "mean" not in start.arrays:
            raise InputError(
                " keeps no deterministic part; make it by a run with deterministic=True, or leave that out here.",
                "start",
            )
        nodes, old = self.nodes, start.arrays
        size = nodes.size
        out = np.zeros((start.arrays["mean"].shape[0], nodes.lam.size))
        squared = np.divide(old["signal"], old["eigenvalues"] * old["multiplicity"])[source]
        own = nodes.signal[np.argsort(nodes.order)] * nodes.risk_unit / (nodes.eigenvalues * nodes.multiplicity)
        if np.any((own == 0.0) & (squared > 0.0) & np.any(old["mean"][:, source] != 0.0, axis=0)):
            raise InputError(
                " is away from w* in modes where the problem's initial error is 0, in units of which the deterministic "
                "part is kept; leave that out here.",
                "start",
            )
        ratio = np.sqrt(np.divide(squared, own, out=np.zeros(size), where=own > 0.0))
        out[:, :size] = (old["mean"][:, source] * ratio)[:, nodes.order]
        return out

    def kept(self, method: Method, at: int) -> State:
        """What it takes to go on from here."""
        nodes, back = self.nodes, np.argsort(self.nodes.order)
        arrays: dict[str, FloatArray | IntArray] = {"second": from_kernel(self.U, nodes), **nodes_kept(nodes)}
        if self.mean is not None:
            arrays["mean"] = self.mean[:, back]
        if self.pairs is not None:
            arrays["pairs"] = self.pairs.kept()
        return state_of("moments", method, at, arrays)

    @property
    def size(self) -> int:
        """Numbers held."""
        return self.U.size + (0 if self.pairs is None else self.pairs.P.size)

    def record_heldout(self, loss: HeldOutLoss, method: Method, at: int, steps: IntArray) -> None:
        """The held-out loss now, where this step is recorded."""
        row = int(np.searchsorted(steps, at))
        if row == steps.size or steps[row] != at:
            return
        assert self.pairs is not None
        assert self.mean is not None
        o, nodes = method.readout(at, at + 1)[0], self.nodes
        with np.errstate(over="ignore", invalid="ignore"):  # of a run that diverges
            per_node = self.risk_per_node(o) * nodes.risk_unit
            loss.record(row, *self.pairs.moments(o, per_node, self.mean[:, np.argsort(nodes.order)]))

    def risk_per_node(self, o: FloatArray) -> FloatArray:
        """1/2 o^T U o of every node in the order of the problem, shape (components, nodes)."""
        rows, columns = np.triu_indices(o.size)
        weight = np.where(rows == columns, 0.5, 1.0) * packed_outer(o)
        parts = [np.einsum("e,cei->ci", weight, self.U)]
        if self.mean is not None:
            parts.append(0.5 * self.nodes.signal[None] * (o @ self.mean)[None] ** 2)
        out = np.empty((3 if self.mean is not None else 2, self.nodes.size))
        out[:, self.nodes.order] = np.concatenate(parts)[:, : self.nodes.size]
        return out

    def risk_by_label(self, o: FloatArray, count: int) -> FloatArray:
        """Risk now, shape (components, count)."""
        row = np.zeros((2, count))
        moments.record_now(self.U, o, self.labels, row)
        if self.mean is None:
            return row
        deterministic = np.zeros((1, count))
        np.add.at(deterministic[0], self.labels, 0.5 * self.nodes.signal * (o @ self.mean) ** 2)
        return np.concatenate([row, deterministic])


def run_diagonal(
    nodes: NodeArrays,
    method: Method,
    steps: IntArray,
    labels: IntArray,
    label_count: int,
    *,
    deterministic: bool = False,
    snapshots: IntArray | None = None,
    start: State | None = None,
    keep: IntArray | None = None,
    heldout: tuple[HeldOut, FloatArray] | None = None,
    tick: Tick | None = None,
) -> RunResult:
    """Propagate the second moments of `method` on `nodes` and record risk at `steps` by label, shape of labels
    (nodes,).

    start : the state to begin from, at its own step, in the coordinates of `method`.  keep : steps whose state is
    handed back; that of the end is without `keep`.  heldout : rows held out, with the initial errors (outputs, nodes)
    of the outputs.

    Ends early where twice the risk at the gradient point passes 10^6 x max(initial risk, noise / 2) x 2 or overflows.
    """
    pairs = None if heldout is None else PairsOfModes(*heldout, nodes, method, start)
    state = Moments(nodes, method, labels, deterministic or pairs is not None, start, pairs)
    components = ("bias", "variance", "deterministic") if deterministic else ("bias", "variance")
    loss = None if heldout is None else HeldOutLoss(heldout[0], steps, components)
    risk = np.full((steps.size, len(components), label_count), np.nan)
    moment_rows = np.full((steps.size, 2, label_count), np.nan)
    mean_rows = np.full((steps.size, label_count), np.nan)
    wanted = NO_STEPS if snapshots is None else snapshots
    shots: dict[int, FloatArray] = {}
    stops = np.unique(np.concatenate([wanted, NO_STEPS if keep is None else keep, NO_STEPS if loss is None else steps]))
    states: dict[int, State] = {}
    limit = 2.0 * DIVERGENCE_FACTOR * nodes.reference_risk
    limit = limit if limit > 0.0 else np.inf
    chunk = _chunk_steps(nodes, method.state_size)
    status: Status = "done"
    at = 0 if start is None else start.step
    while True:
        if at in wanted:
            shots[at] = state.risk_per_node(method.readout(at, at + 1)[0])[: len(components)]
        if keep is not None and at in keep:
            states[at] = state.kept(method, at)
        if loss is not None:
            state.record_heldout(loss, method, at, steps)
        if at == method.length:
            break
        end = min(at + chunk, method.length, *stops[np.searchsorted(stops, at, side="right") :][:1].tolist())
        done = advance(state, method, at, end, steps, moment_rows, mean_rows, limit)
        at += done
        keep_going = tick is None or tick(done * state.nodes.lam.size)
        if at < end or not _finite(state) or beyond(state, method, at, limit):
            status = "diverged"
            break
        if not keep_going and at < method.length:
            status = "interrupted"
            break
    final = state.risk_by_label(method.readout(at, at + 1)[0], label_count)[: len(components)]
    if loss is not None:
        state.record_heldout(loss, method, at, steps)
    if status == "diverged":
        final[np.isnan(final)] = np.inf  # inf - inf: beyond the range of a float
    risk[:, :2] = moment_rows
    if deterministic:
        risk[:, 2] = mean_rows
    risk[steps == at] = final
    for part in (risk, final, *shots.values()):
        sums_of_squares(part, nodes.risk_unit)
    if keep is None and status != "diverged" and state.size <= LARGEST_END:
        states[at] = state.kept(method, at)
    held = {} if loss is None else loss.statistics()
    return RunResult(steps, risk, components, status, at, final, method.learning_rate, shots, held, states)


def advance(
    state: Moments,
    method: Method,
    at: int,
    end: int,
    steps: IntArray,
    moment_rows: FloatArray,
    mean_rows: FloatArray,
    limit: float,
) -> int:
    """One chunk through the compiled kernels; returns the steps done."""
    M, b, c = method.coefficients(at, end)
    b = b * state.nodes.unit
    o = method.readout(at, end)
    marks = slots(steps, at, end)
    nodes = state.nodes
    share = method.inverse_batch(at, end)
    noise = (nodes.lam, nodes.self_noise, nodes.ratio, nodes.drive, nodes.noise, nodes.coupling)
    done: int = advance_nodes(M, b, c, o, share, *noise, state.U, limit, marks, state.labels, moment_rows, state.work)
    if state.mean is not None:
        head = (at, M[:done], b[:done], c[:done], o)
        moments.advance_mean(*head, nodes.lam, nodes.signal, state.mean, marks[:done], state.labels, mean_rows)
    if state.pairs is not None:
        state.pairs.advance(at, at + done)
    return done


def beyond(state: Moments, method: Method, at: int, limit: float) -> bool:
    """Whether the risk where the next gradient is taken passes `limit`; the kernel cannot tell at the end of a
    chunk.
    """
    following = min(at, method.length - 1)
    c = method.coefficients(following, following + 1).c[0]
    bias, variance = moments.gradient_risk_now(state.U, c)
    return not bias + variance <= limit


def _chunk_steps(nodes: NodeArrays, state_size: int) -> int:
    """Steps between two looks at the clock: some tens of milliseconds, a second at worst. A pure function of the
    run.
    """
    stepped = nodes.lam.size if np.isnan(nodes.ratio) else min(nodes.lam.size, 1024 + nodes.lam.size // 64)
    return int(np.clip(CHUNK_WORK // (stepped * state_size**2), 16, MAX_CHUNK))


def _finite(state: Moments) -> bool:
    return bool(np.all(np.isfinite(state.U[:, :, 0])))
