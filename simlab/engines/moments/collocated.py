"""Many steps of the moment recursion at a time: panels of discrete collocation, exact steps where these are cheaper.

After a kink of the schedule the moments relax, and exact stepping is unbeatable; then they are smooth in the step, and
panels grow geometrically. A panel is accepted if two orders, a shorter panel and one exact step agree with it; what
they disagree by is carried on by the map itself, which is monotone in the order of symmetric matrices, as two more
states. See `simlab.kernels.moments.panels`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np

from simlab.arrays import BoolArray, FloatArray, IntArray
from simlab.engines.moments.kept import from_kernel, nodes_kept, to_kernel
from simlab.engines.moments.ringing import Pace, Ringing, Stall, slowest_ringing
from simlab.kernels.moments.attempts import HIGH, LOW, Plan, attempt, new_panels, new_work, read_off
from simlab.kernels.moments.chunk import advance
from simlab.kernels.moments.collocation import panel_steps
from simlab.kernels.moments.discrepancy import LEAST_SHARE, runs_of
from simlab.kernels.moments.layout import NodeArrays, packed_outer, padded, scratch
from simlab.kernels.moments.panels import Blocks, Nodes, Steps
from simlab.kernels.moments.steps import gradient_risk_now
from simlab.methods.base import Method
from simlab.trace.recording import DIVERGENCE_FACTOR, Status
from simlab.trace.state import State, conjugated, state_of

__all__ = ["SHORTEST", "Answer", "March", "relative_error"]


SHORTEST = 4096
"""Steps after a kink that are taken exactly, and the shortest panel: its checks cost as much as some 10,000 steps."""

MOST_EXACT = 16_384
"""Most exact steps between two looks at a panel."""

GROWTH = 3.0
"""Most that a panel is longer than the one before; 6 costs more refusals than it saves panels."""

ROUNDING = 2e-14
"""What rounding may cost a panel or a cycle, relative; 50 of them before the first."""

EPS = float(np.finfo(float).eps)

NEGLIGIBLE = 1e-20
"""A component counts as at least this share of its largest value: a bias of 1e-115 need not be known to 1e-6."""


class Dynamics:
    """A method in the coordinates Q z of its basis: M - 1, b, c and 1 / B at any steps, and o."""

    def __init__(self, method: Method) -> None:
        self.method, self.length = method, method.length
        self.plain = np.array_equal(method.basis, np.eye(method.state_size))
        self.forth = method.basis
        self.back: FloatArray = np.linalg.inv(method.basis).astype(np.float64)
        self.start = self.forth @ method.z0

    def at(self, t: IntArray) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
        """M - 1 (n, k, k), b (n, k), c (n, k) and 1 / B (n,) of the steps t."""
        growth, b, c = self.method.increments(t)
        if not self.plain:
            growth, b, c = self.forth @ growth @ self.back, b @ self.forth.T, c @ self.back
        return growth, b, c, self.method.share(t)

    def readout(self, t: IntArray) -> FloatArray:
        """o (n, k) of the iterates t."""
        return self.method.outlook(t) @ self.back


@dataclass
class Answer:
    """risk and error (records, 2, labels): bias, variance, and what each may be off by; NaN where not reached.

    states : step -> the state kept there.  initial : the bias that the run began with before the state it goes on from.
    """

    steps: IntArray
    risk: FloatArray
    error: FloatArray
    status: Status
    ended_at: int
    panels: int = 0
    refused: int = 0
    exact_steps: int = 0
    cycles: int = 0
    repeated: int = 0
    final: FloatArray = field(default_factory=lambda: np.empty(0))
    final_error: FloatArray = field(default_factory=lambda: np.empty(0))
    states: dict[int, State] = field(default_factory=dict)
    initial: float = 0.0


def blocks_of(patterns: list[BoolArray], damping: FloatArray) -> Blocks:
    """The packed moments in an order in which each block depends on itself and earlier ones alone.

    From the `patterns` of M - 1 (k, k), b (k,) and c (k,): all steps whose patterns lie within these may use it. Within
    a block entries of large `damping` (k,), - diag (M - 1), come first.
    """
    from scipy.sparse.csgraph import connected_components

    move, push, felt = patterns
    k = push.size
    A = move | np.eye(k, dtype=bool) | (push[:, None] & felt[None, :])
    p, q = np.triu_indices(k)
    on = (A[p][:, p] & A[q][:, q]) | (A[p][:, q] & A[q][:, p])
    on |= (push[p] & push[q])[:, None] & (felt[p] & felt[q])[None, :]
    count, group = connected_components(on, directed=True, connection="strong")
    memory = -(damping[p] + damping[q])
    placed: list[int] = []
    order: list[int] = []
    sizes: list[int] = []
    while len(placed) < count:
        for g in range(count):
            members = np.flatnonzero(group == g)
            needs = set(group[np.any(on[members], axis=0)].tolist()) - {g}
            if g not in placed and needs <= set(placed):
                placed.append(g)
                order += members[np.argsort(memory[members], kind="stable")].tolist()
                sizes.append(members.size)
    # Numba compiles a kernel for each order of memory, and two fancy indices leave one of their own.
    return Blocks(np.array(order, dtype=np.int64), np.array(sizes, dtype=np.int64), np.ascontiguousarray(on))


@lru_cache(maxsize=256)
def plan_of(m: int) -> tuple[Plan, IntArray]:
    """The plan of a panel of m steps, which cycles ask for again and again, and the offsets it looks at."""
    short = max(m // 3, LOW + 3)
    plan = Plan(m, short, panel_steps(HIGH, m), panel_steps(LOW, short), panel_steps(LOW, m), np.array([1]))
    return plan, np.concatenate([plan.high, plan.brief, plan.low, [0]])


class March:
    """One pass over a run, from `start` on: U (4, E, nodes) holds bias, variance and the errors of both."""

    def __init__(
        self,
        nodes: NodeArrays,
        method: Method,
        labels: IntArray,
        label_count: int,
        steps: IntArray,
        start: State | None = None,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self.pace = Pace(clock)
        self.method, self.dynamics = method, Dynamics(method)
        k = method.state_size
        outer = packed_outer(self.dynamics.start)
        size = nodes.lam.size
        self.nodes = nodes
        self.labels = padded(labels[nodes.order])
        self.runs = runs_of(labels[nodes.order])
        noise = np.array([0.0, nodes.noise, 0.0, 0.0])
        self.arrays = Nodes(nodes.lam, nodes.self_noise, nodes.drive, noise, float(nodes.coupling))
        self.U = np.zeros((4, outer.size, size))
        if start is None:
            self.U[0] = outer[:, None] * nodes.signal
        else:
            self._begin(start)
        limit = 2.0 * DIVERGENCE_FACTOR * nodes.reference_risk
        self.limit = limit if limit > 0.0 else np.inf
        self.work, self.panels, self.scratch = new_work(k, size), new_panels(k, size, label_count), scratch(k)
        self.patterns: list[BoolArray] | None = None
        self.blocks: Blocks | None = None
        self.ringing = Ringing()
        self.peak, self.floor = np.zeros((2, k)), np.zeros((2, k))
        rows = (steps.size, 2, label_count)
        self.answer = Answer(steps, np.full(rows, np.nan), np.full(rows, np.nan), "done", 0)
        if start is not None:
            self.answer.initial = 0.5 * float(nodes.signal.sum())

    def _begin(self, start: State) -> None:
        """Take over the moments of a state, what they may be off by, and what rounding costs in other coordinates."""
        forth, k = self.dynamics.forth, self.method.state_size
        second, _ = to_kernel(start, self.nodes)
        off: FloatArray = np.zeros_like(second)
        if "uncertain" in start.arrays:
            off, _ = to_kernel(start, self.nodes, "uncertain")
        if not self.dynamics.plain:
            # |dP_ij| <= eps sqrt(P_ii P_jj) for every entry, which k times the diagonal of P is above.
            rows, columns = np.triu_indices(k)
            off[:, rows == columns] += k * EPS * second[:, rows == columns]
        self.U[:2], self.U[2:] = conjugated(second, forth), conjugated(off, forth)

    @property
    def rounding(self) -> float:
        """What rounding may have cost so far, relative."""
        answer = self.answer
        return ROUNDING * (50 + answer.panels + answer.cycles) + 1e-16 * (answer.exact_steps + answer.repeated)

    def kept(self, t: int) -> State:
        """What it takes to go on from step t, the present one."""
        whole = from_kernel(conjugated(self.U, self.dynamics.back), self.nodes)
        second, off, k = whole[:2], whole[2:], self.method.state_size
        rows, columns = np.triu_indices(k)
        off[:, rows == columns] += k * self.rounding * second[:, rows == columns]
        arrays = {"second": second, "uncertain": off, **nodes_kept(self.nodes)}
        return state_of("moments", self.method, t, arrays)

    def collocated(self, t: int, m: int) -> tuple[Plan, Steps, Blocks]:
        """The plan of a panel of m steps from t on, and the method there."""
        plan, offsets = plan_of(m)
        steps = self.steps_at(t + offsets)
        growth, b, c, _ = steps
        seen = [np.any(part != 0.0, axis=0) for part in (growth, b, c)]
        old = self.patterns or seen
        if self.blocks is None or any(np.any(new & ~was) for new, was in zip(seen, old, strict=True)):
            self.patterns = [new | was for new, was in zip(seen, old, strict=True)]
            self.blocks = blocks_of(self.patterns, -np.diagonal(growth[0]))
        return plan, steps, self.blocks

    def steps_at(self, steps: IntArray) -> Steps:
        """The method at any steps, in the units of the nodes."""
        growth, b, c, share = self.dynamics.at(steps)
        return Steps(*map(np.ascontiguousarray, (growth, b * self.nodes.unit, c, share)))

    def attempt(self, t: int, m: int) -> tuple[float, Plan]:
        """A panel of m steps from t on, left in self.panels, and its estimated error relative to what is there."""
        plan, steps, blocks = self.collocated(t, m)
        self.peak = np.maximum(self.peak, self._diagonal().sum(axis=-1))
        given = (self.arrays, self.U, self.runs, self.floor, self.limit)
        with self.pace.trying():
            error = attempt(plan, steps, blocks, *given, self.work, self.panels)
        return float(error), plan

    def _diagonal(self) -> FloatArray:
        """The second moment of every state variable: (bias and variance, k, nodes)."""
        k = self.method.state_size
        return np.abs(self.U[:2, [r * k - r * (r - 1) // 2 for r in range(k)]])

    def accept(self, t: int, plan: Plan) -> None:
        """Go on from the end of the panel that was tried last, with the records in it."""
        answer = self.answer
        first, last = np.searchsorted(answer.steps, [t, t + plan.length])
        if last > first:
            inside = answer.steps[first:last]
            o = np.ascontiguousarray(self.dynamics.readout(inside))
            rows = answer.risk[first:last], answer.error[first:last]
            read_off(plan, inside - t, o, self.panels, *rows)
        self.U[:] = self.panels.end
        k = self.panels.P.shape[1]
        for r in range(k):
            self.U[2:, r * k - r * (r - 1) // 2] += self.panels.P[:, r]
        answer.panels += 1

    def exact(self, t: int, n: int) -> int:
        """n exact steps from t on, with the records in them; returns the steps done."""
        answer, nodes = self.answer, self.nodes
        steps = np.arange(t, t + n, dtype=np.int64)
        growth, b, c, share = self.steps_at(steps)
        M, o = growth + np.eye(b.shape[1]), np.ascontiguousarray(self.dynamics.readout(steps))
        slots = np.full(n, -1, dtype=np.int64)
        first, last = np.searchsorted(answer.steps, [t, t + n])
        slots[answer.steps[first:last] - t] = np.arange(first, last)
        fixed = (nodes.lam, nodes.self_noise, nodes.ratio, nodes.drive)
        U, errors = self.U[:2].copy(), self.U[2:].copy()
        noise = (nodes.noise, nodes.coupling, U, self.limit, slots, self.labels, answer.risk, self.scratch)
        done: int = advance(M, b, c, o, share, *fixed, *noise)
        if errors.any():
            parts = (M[:done], b[:done], c[:done], o[:done], share[:done])
            noise = (0.0, nodes.coupling, errors, np.inf, slots[:done], self.labels, answer.error, self.scratch)
            advance(*parts, *fixed, *noise)
        else:
            answer.error[slots[:done][slots[:done] >= 0]] = 0.0
        self.U[:2], self.U[2:] = U, errors
        answer.exact_steps += done
        return done

    def piece(self, t: int, end: int, shortest: int) -> tuple[int, bool]:
        """Where the smooth piece that begins at step t ends, or a crowd of pieces too short for a panel, and which.

        A crowd is stepped through in one go, up to where a piece begins that is worth a panel.
        """
        kink = min(self.method.next_kink(t), end)
        if kink - t > shortest or kink == end:
            return kink, False
        low, high = kink, min(t + MOST_EXACT, end)
        following = min(self.method.next_kink(high), end) if high < end else end
        if following - high <= shortest:
            return high, True
        while low < high:  # the first step of the piece that ends at `following`
            middle = (low + high) // 2
            low, high = (low, middle) if self.method.next_kink(middle) >= following else (middle + 1, high)
        return low, True

    def pieces(self, t: int, end: int, local: float, shortest: int) -> Iterator[tuple[int, bool]]:
        """Go from step t to `end` by panels of relative error at most `local`; (length, exact) of every piece done.

        Where the run diverges a piece of no length comes last. Where panels do not grow, `ringing` says for how long.
        """
        kink, proposal, chunk, stall, crowded = t, 0, shortest, Stall(), False
        while t < end:
            if t >= kink:
                kink, crowded = self.piece(t, end, shortest)
                proposal, chunk, stall = 0, shortest, Stall()
            left = kink - t
            if crowded or proposal < shortest or left <= shortest:
                n = left if crowded else min(left, chunk)
                with self.pace.stepping(n):
                    done = self.exact(t, n)
                yield done, True
                t += done
                if done < n or self._beyond(t):
                    yield 0, True
                    return
                proposal, chunk = max(shortest, chunk), min(2 * chunk, MOST_EXACT)
                continue
            m = min(proposal, left)
            if m < left <= 2 * m:
                m = -(-left // 2)
            error, plan = self.attempt(t, m)
            change = 0.85 * (local / max(error, 1e-300)) ** (1.0 / (LOW + 1))
            if stall.tried(m, error <= local):
                self.ringing = self._rings_on(t, left, m, local, stall)
            if error <= local:
                self.accept(t, plan)
                yield m, False
                t += m
                if self._beyond(t):
                    yield 0, True
                    return
                chunk, proposal = shortest, int(min(m * min(max(change, 0.3), GROWTH), 2**62))
            else:
                self.answer.refused += 1
                proposal = int(m * min(max(change, 0.1), 0.7))

    def _rings_on(self, t: int, left: int, m: int, local: float, stall: Stall) -> Ringing:
        """Until when ringing keeps panels from being longer than the one of m steps from t on that was tried last.

        Each node rings until its share, or what the panel was off by if that is less, is `local` of a subspace. From
        now on none is followed beyond what is negligible: where all of the bias rings it does so to its last bit.
        """
        growth, b, c, _ = self.steps_at(np.array([t], dtype=np.int64))
        size, apart, self.floor = self._diagonal(), self.panels.apart, NEGLIGIBLE * self.peak
        total, floor = size.sum(axis=-1), self.floor
        if apart.max() <= local:  # a longer one is what it keeps from
            m, apart = int(GROWTH * m), apart * GROWTH ** (LOW + 1)
        each = slowest_ringing(growth[0], np.outer(b[0], c[0]), self.nodes.lam, m)
        share = size / np.maximum(LEAST_SHARE * total, np.maximum(floor, 1e-300))[:, :, None]
        share = np.minimum(share.max(axis=1), np.minimum(apart, 1.0)[:, None])  # (bias and variance, nodes)
        fall = np.log(np.maximum(share / local, 1.0))
        if apart[0] > local:  # what rings of the bias does so beside what does not, or until nothing is left of it
            quiet = size[0, :, np.isinf(each)].sum(axis=0)
            more = np.log(max(1.0, float((total[0] / np.maximum(np.maximum(quiet, floor[0]), 1e-300)).max())))
            fall[0, fall[0] > 0.0] += more
        lasting = fall.max(axis=0) / each
        longest = int(np.argmax(lasting))
        steps = min(float(lasting[longest]), float(left))
        return Ringing(steps, float(each[longest]), steps * self._seconds_of_a_step(stall))

    def _seconds_of_a_step(self, stall: Stall) -> float:
        """Where panels do not grow: by panels as long as those accepted lately, or exactly with one tried now and
        then; 0 while nothing is known.
        """
        pace = self.pace
        by_panels = pace.panel * stall.tries / stall.steps if stall.steps else np.inf
        seconds = min(by_panels, pace.step + pace.panel / MOST_EXACT)
        return seconds if seconds < np.inf else 0.0

    def _beyond(self, t: int) -> bool:
        """Whether the risk where the next gradient is taken passes the limit, which no piece tells of its own end."""
        at = np.array([min(t, self.method.length - 1)], dtype=np.int64)
        bias, variance = gradient_risk_now(self.U, self.steps_at(at).c[0])
        return not bias + variance <= self.limit

    def now(self, t: int) -> tuple[FloatArray, FloatArray]:
        """Risk and its error by label at step t, the present one."""
        o = self.dynamics.readout(np.array([t], dtype=np.int64))[0]
        rows, columns = np.triu_indices(o.size)
        weight = np.where(rows == columns, 0.5, 1.0) * packed_outer(o)
        by_node = np.einsum("e,cei->ci", weight, self.U)
        out = np.zeros((4, self.answer.risk.shape[2]))
        np.add.at(out.T, self.labels, by_node.T)
        return out[:2], np.abs(out[2:])


def relative_error(answer: Answer) -> float:
    """The largest reported error relative to its value.

    A label counts as at least LEAST_SHARE of its component, a component as at least NEGLIGIBLE of its largest value, be
    it before the state that a run goes on from: a run in two parts is as good as the same in one.
    """
    with np.errstate(invalid="ignore"):
        total = np.abs(answer.risk).sum(axis=-1, keepdims=True)
        largest = np.nanmax(total, axis=0, keepdims=True, initial=0.0)
        largest[:, 0] = np.maximum(largest[:, 0], answer.initial)
        peak = NEGLIGIBLE * largest
        scale = np.maximum(np.maximum(np.abs(answer.risk), LEAST_SHARE * total), peak)
    good = np.isfinite(answer.error) & np.isfinite(scale) & (scale > 0.0)
    return float((answer.error[good] / scale[good]).max(initial=0.0))
