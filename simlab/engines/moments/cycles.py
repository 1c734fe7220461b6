"""Thousands of equal cycles of a schedule (k = 1): the affine map of one cycle of all nodes, and its powers.

One adaptive pass over a cycle finds its panels and exact stretches. Each of these moves the moments by a diagonal and a
correction of low rank, so that the map of a cycle is a product of such, and 10^5 cycles are seventeen squarings. As
panels are a linear operator, what they disagree by at a later cycle is that of a pass over that cycle, which is made
at cycles 1, 2, 4, 8 ..
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from simlab.arrays import FloatArray
from simlab.engines.moments.collocated import March
from simlab.kernels.moments.attempts import HIGH
from simlab.kernels.moments.collocation import panel_differences, panel_steps
from simlab.kernels.moments.panels import step_all

__all__ = ["Cycles", "cycles_from"]


LEAST_CYCLES = 32
"""Fewer cycles than this go one by one."""

SHORTEST = 512
"""Exact steps after a kink within a cycle: each of them is a pass over the whole map."""

STALE = 4.0
"""Panels of a cycle are made anew where their error has become this many times what it may be."""


class Affine(NamedTuple):
    """u -> A u + g, A (nodes, nodes), g (nodes,)."""

    A: FloatArray
    g: FloatArray

    def then(self, other: Affine) -> Affine:
        return Affine(other.A @ self.A, other.A @ self.g + other.g)


class LowRank(NamedTuple):
    """u -> stay u + last felt u + g: of a panel, stay and g (nodes,), last (nodes, HIGH), felt (HIGH, nodes)."""

    stay: FloatArray
    last: FloatArray
    felt: FloatArray
    g: FloatArray

    def after(self, first: Affine) -> Affine:
        """`first`, then this: at a twentieth of the cost of a product of matrices."""
        A = self.stay[:, None] * first.A
        A += self.last @ (self.felt @ first.A)
        return Affine(A, self.stay * first.g + self.last @ (self.felt @ first.g) + self.g)

    def moved(self, state: FloatArray) -> FloatArray:
        """Bias, variance and the errors of both (4, nodes) after the panel, but for the errors that it makes."""
        after = self.stay * state
        after += (state @ self.felt.T) @ self.last.T
        after[1] += self.g
        return after


@dataclass
class Piece:
    """A part of a cycle: a panel, or a stretch of exact steps.

    whole : the panel as one map, the same in every cycle; of exact steps there is none.
    new (2, nodes) : the errors that the panel made in the last cycle which was gone through.
    """

    length: int
    exact: bool
    whole: LowRank | None = None
    new: FloatArray | None = None


@dataclass
class Cycles:
    """`count` cycles of `period` steps from step `first` on, with panels of relative error at most `local`."""

    run: March
    first: int
    period: int
    count: int
    local: float
    pieces: list[Piece] = field(default_factory=list)
    powers: list[Affine] = field(default_factory=list)

    def go(self) -> bool:
        """Take the run through all cycles, with the records in them; False, and nothing done, where that cannot be."""
        run = self.run
        began, state, cycle = run.U[:, 0].copy(), run.U[:, 0].copy(), 0
        recorded = self._recorded()
        while cycle < self.count:
            new = self._anchor(state, cycle)
            if new is None:
                run.U[:, 0] = began
                return False
            jump = min(max(1, cycle), self.count - cycle)
            bits = int(jump).bit_length()
            self._powers(cycle, bits)
            pushes = [new]  # sum_(j < 2^i) A^j new
            for power in self.powers[: bits - 1]:
                pushes.append(pushes[-1] + pushes[-1] @ power.A.T)
            for r, until in recorded.items():
                if cycle <= r < cycle + jump:
                    run.U[:, 0] = self._moved(state, r - cycle, pushes)
                    self._record(r, until)
            state = self._moved(state, jump, pushes)
            cycle += jump
        run.U[:, 0] = state
        run.answer.cycles += self.count
        run.answer.repeated += self.count * sum(piece.length for piece in self.pieces if piece.exact)
        return True

    def _moved(self, state: FloatArray, number: int, pushes: list[FloatArray]) -> FloatArray:
        """`state` (4, nodes) after that many cycles, each of which makes new errors."""
        for power, push in zip(self.powers, pushes, strict=False):
            if number & 1:
                state = state @ power.A.T
                state[1] += power.g
                state[2:] += push
            number >>= 1
        return state

    def _recorded(self) -> dict[int, int]:
        """Cycles with a record in them, and the offset after the last of these."""
        steps = self.run.answer.steps
        inside = steps[(steps >= self.first) & (steps < self.first + self.count * self.period)] - self.first
        return {int(s) // self.period: int(s) % self.period + 1 for s in inside}  # the last of equals stays

    def _anchor(self, state: FloatArray, cycle: int) -> FloatArray | None:
        """The new errors (2, nodes) of a cycle that begins in `state`, on the panels there are or on new ones."""
        run = self.run
        fresh = state.copy()
        fresh[2:] = 0.0
        quiet, run.answer.steps = run.answer.steps, np.zeros(0, dtype=np.int64)
        try:
            run.U[:, 0] = fresh
            if not self.pieces or not self._pass(cycle) <= STALE * self.local:
                run.U[:, 0] = fresh
                self.powers = []
                if not self._adapt(self.first + cycle * self.period):
                    return None
            return run.U[2:, 0].copy()
        finally:
            run.answer.steps = quiet

    def _pass(self, cycle: int) -> float:
        """Go through a cycle by its pieces, which make their errors anew; the largest error of a panel."""
        t, worst = self.first + cycle * self.period, 0.0
        for piece in self.pieces:
            if piece.exact:
                self.run.exact(t, piece.length)
            else:
                worst = max(worst, self._tried(piece, t))
                if not np.isfinite(worst):
                    return worst
            t += piece.length
        return worst

    def _tried(self, piece: Piece, t: int) -> float:
        """Go through a panel that begins at step t, with the records in it; its relative error."""
        error, plan = self.run.attempt(t, piece.length)
        if np.isfinite(error):
            piece.new = self.run.panels.P[:, 0].copy()
            self.run.accept(t, plan)
        return error

    def _record(self, cycle: int, until: int) -> None:
        """Go through a cycle up to the offset `until`: panels without a record by their maps and last known errors."""
        run, t = self.run, self.first + cycle * self.period
        stop, steps = t + until, run.answer.steps
        for piece in self.pieces:
            if t >= stop:
                return
            first, last = np.searchsorted(steps, [t, t + piece.length])
            if piece.exact:
                run.exact(t, piece.length)
            elif piece.whole is None or piece.new is None or last > first:
                if not np.isfinite(self._tried(piece, t)):
                    return
            else:
                run.U[:, 0] = piece.whole.moved(run.U[:, 0])
                run.U[2:, 0] += piece.new
            t += piece.length

    def _adapt(self, t: int) -> bool:
        """Find the pieces of the cycle that begins at step t, going through it."""
        pieces: list[Piece] = []
        for length, exact in self.run.pieces(t, t + self.period, self.local, SHORTEST):
            if length == 0:
                return False
            pieces.append(Piece(length, exact, new=None if exact else self.run.panels.P[:, 0].copy()))
        self.pieces = pieces
        return True

    def _powers(self, cycle: int, bits: int) -> None:
        if not self.powers:
            t = self.first + cycle * self.period
            size = self.run.nodes.lam.size
            whole = Affine(np.eye(size), np.zeros(size))
            for piece in self.pieces:
                if piece.exact:
                    whole = self._stepped(whole, t, piece.length)
                else:
                    piece.whole = self._panel(t, piece.length)
                    whole = piece.whole.after(whole)
                t += piece.length
            self.powers.append(whole)
        while len(self.powers) < bits:
            self.powers.append(self.powers[-1].then(self.powers[-1]))

    def _stepped(self, whole: Affine, t: int, length: int) -> Affine:
        """`whole`, then the exact steps t .. t + length - 1."""
        U = np.ascontiguousarray(np.concatenate([whole.A, whole.g[:, None]], axis=1).T)
        noise = np.zeros(U.shape[0])
        noise[-1] = self.run.nodes.noise
        step_all(self.run.steps_at(np.arange(t, t + length, dtype=np.int64)), self.run.arrays, noise, U)
        return Affine(np.ascontiguousarray(U[:-1].T), U[-1])

    def _panel(self, t: int, length: int) -> LowRank:
        """A panel, by the equations of `kernels.moments.panels`: diagonal but for the HIGH kicks, which s couples."""
        nodes, y = self.run.nodes, panel_steps(HIGH, length)
        growth, b, c, share = self.run.steps_at(t + y)
        push, look = share * b[:, 0] ** 2, c[:, 0] ** 2
        g = growth[:, 0, 0] - b[:, 0] * c[:, 0] * nodes.lam[:, None]  # (nodes, HIGH)
        g = 2.0 * g + g * g + push * look * nodes.self_noise[:, None]
        D = panel_differences(y, length)
        inverse = np.linalg.inv(D[:, 1:] - length * g[:, :, None] * np.eye(HIGH))
        response = 1.0 + length * (inverse @ g[:, :, None])[:, :, 0]  # of a unit moment, at the collocation steps
        kicks = length * nodes.drive[:, None, None] * inverse * push  # of unit kicks (nodes, step, kick)
        solve = np.linalg.inv(np.eye(HIGH) - nodes.coupling * look[:, None] * kicks.sum(axis=0))
        felt = nodes.coupling * solve @ (look * response).T  # kappa of unit moments (HIGH, nodes)
        # The last collocation step is the last of the panel: one step on.
        last = kicks[:, -1] + g[:, -1:] * kicks[:, -1]
        last[:, -1] += push[-1] * nodes.drive
        return LowRank(response[:, -1] * (1.0 + g[:, -1]), last, felt, nodes.noise * (last @ solve.sum(axis=1)))


def cycles_from(run: March, t: int, stop: int, local: float, shortest: int) -> Cycles | None:
    """The cycles from step t to `stop` at most, where there are many enough of them and long enough ones."""
    found = run.method.stretch(t) if run.method.state_size == 1 else None
    if found is None or found.period <= 4 * min(shortest, SHORTEST):
        return None
    count = (min(found.end, stop) - t) // found.period
    if count < LEAST_CYCLES:
        return None
    return Cycles(run, t, found.period, count, max(local / count, 1e-13))
