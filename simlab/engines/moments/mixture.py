"""The exact recursion for mixtures of domains: O(directions (domains + k^2)) a step."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from simlab.arrays import FloatArray, IntArray
from simlab.engines.moments.tails import PLAIN, rates_of, tail_of
from simlab.errors import InputError
from simlab.kernels.moments.mixture import FIXED, WIDTH, advance_mixture, record_now
from simlab.kernels.moments.mixture_blocks import advance_in_blocks
from simlab.methods.base import Method
from simlab.problems.mixture import Mixture
from simlab.trace.recording import DIVERGENCE_FACTOR, RunResult, Status, Tick, slots, sums_of_squares
from simlab.trace.state import State, state_of

__all__ = ["MixedMoments", "limit_of", "resting", "run_mixture"]

CHUNK_WORK = 10_000_000
MAX_CHUNK = 16_384

LARGEST_END = 1 << 23
"""Most numbers of a state that is kept without being asked for (64 MiB)."""

PARTS = ("bias", "variance", "deterministic")


def resting(u: FloatArray, M: FloatArray) -> FloatArray:
    """(n + 1, k) : the state of weights that rest one away from their optimum, at the steps of M (n, k, k) and after.

    (1, 0) of momentum, whose velocity is at rest, at all steps; what is averaged with weights that sum to one stays
    one.
    """
    out = np.empty((M.shape[0] + 1, u.size))
    out[0] = u
    same = np.zeros(out[1:].shape)
    for p in np.flatnonzero(u):
        same += M[:, :, p] * u[p]
    if np.array_equal(same, np.broadcast_to(u, same.shape)):
        out[1:] = u
        return out
    for t, each in enumerate(M):
        out[t + 1] = each @ out[t]
    return out


class MixedMoments:
    """The moments of a run on a mixture, in motion: tiles X (tiles, rows, WIDTH), as the kernel takes them.

    In them mean (k, d), E z from the first domain's optimum, and C (2, k (k + 1) / 2, d).
    """

    def __init__(self, problem: Mixture, method: Method, labels: IntArray, start: State | None) -> None:
        self.problem, self.size, self.labels = problem, problem.dim, labels
        k, domains = method.state_size, len(problem.names)
        self.k, self.entries = k, k * (k + 1) // 2
        first = FIXED + k + 2 * self.entries
        self.X = np.zeros((-(-self.size // WIDTH), first + 3 * domains, WIDTH))
        # The largest eigenvalues first: those are stepped one by one where the others go in blocks.
        self.order = np.argsort(-problem.eigenvalues.sum(axis=0), kind="stable")
        self.tail = tail_of(problem, method, self.order)
        self._fill(first, problem.eigenvalues)
        self._fill(first + domains, problem.optima[0] - problem.optima)
        self._fill(first + 2 * domains, problem.kurtosis - 1.0)
        origin = problem.optima[0]
        self.u = method.z0.astype(np.float64) if start is None else start.at_rest.copy()
        if start is None:
            self.place = -np.outer(self.u, origin)
            return
        old = start.arrays
        if old["origin"].size != self.size:
            theirs = old["origin"].size
            raise InputError(
                f" has {theirs} modes and the problem has {self.size}; give a problem of as many.", "start"
            )
        self.place = old["mean"] + np.outer(self.u, old["origin"] - origin)
        self.covariance = old["second"]

    def _fill(self, row: int, values: FloatArray) -> None:
        """Rows from `row` on, (rows, d)."""
        whole = np.zeros((values.shape[0], self.X.shape[0] * WIDTH))
        whole[:, : self.size] = values[:, self.order]
        self.X[:, row : row + values.shape[0]] = whole.reshape(values.shape[0], -1, WIDTH).transpose(1, 0, 2)

    def _rows(self, row: int, count: int) -> FloatArray:
        """(count, d) : rows from `row` on."""
        out = np.empty((count, self.size))
        out[:, self.order] = self.X[:, row : row + count].transpose(1, 0, 2).reshape(count, -1)[:, : self.size]
        return out

    def advance(self, method: Method, at: int, end: int, steps: IntArray, rows: FloatArray, limit: float) -> int:
        """From step `at` to `end` at most; returns the steps done. rows (records, 3, K, labels) takes the records."""
        M, b, c = method.coefficients(at, end)
        u = resting(self.u, M)
        by_step = [M, b, c, method.readout(at, end), u, method.inverse_batch(at, end)]
        by_step += [self.problem.shares(at, end), self.problem.loss_weights(at, end)]
        X, noise, labels = self.X.reshape(-1), self.problem.noise_variance.copy(), self.labels[self.order]
        marks, done, n = slots(steps, at, end), 0, end - at
        sizes = (0.0,) * self.k, (0.0,) * len(self.problem.names)
        rates = None if self.tail is None else rates_of(M, b, c)
        while done < n:
            stop = n
            if self.tail is not None:
                assert rates is not None
                stop = min(n, done + PLAIN)
                cut = self.tail.after(rates[done:], by_step[6][done:], by_step[7][done:], method.length - at - done)
                if cut is not None:
                    now = [each[done:] for each in (*by_step, rates)]
                    more, steep = advance_in_blocks(
                        *sizes, at + done, *now, noise, X, marks[done:], labels, rows, limit, *cut
                    )
                    done += more
                    if done == n or not steep:
                        break
                    stop = min(n, done + PLAIN)
            now = [each[done:stop] for each in by_step]
            more = advance_mixture(at + done, *now, noise, X, marks[done:stop], labels, rows, limit)
            done += more
            if done < stop:
                break
        self.u = u[done]
        return done

    @property
    def place(self) -> FloatArray:
        """E z of the noiseless run, from the first domain's optimum, (k, d)."""
        return self._rows(FIXED, self.k)

    @place.setter
    def place(self, mean: FloatArray) -> None:
        self._fill(FIXED, mean)

    @property
    def covariance(self) -> FloatArray:
        """Of the noiseless run and of what label noise adds, (2, k (k + 1) / 2, d)."""
        return self._rows(FIXED + self.k, 2 * self.entries).reshape(2, self.entries, self.size)

    @covariance.setter
    def covariance(self, second: FloatArray) -> None:
        self._fill(FIXED + self.k, second.reshape(-1, self.size))

    def beyond(self, method: Method, at: int, limit: float) -> bool:
        """Whether twice the risk where the next gradient is taken passes `limit` on some domain, or is no number; the
        kernel cannot tell at the end of a chunk.
        """
        following = min(at, method.length - 1)
        c = method.coefficients(following, following + 1).c[0]
        risk = self.risk(c, np.zeros(self.size, dtype=np.int64), 1)
        return not 2.0 * float((risk[0] + risk[1]).max()) <= limit

    def risk(self, o: FloatArray, labels: IntArray, count: int) -> FloatArray:
        """Risk of the iterate o . z now, (3, K, count), by these labels (d,)."""
        domains = len(self.problem.names)
        out = np.zeros((3, domains, count))
        record_now(o, self.u, domains, self.X.reshape(-1), labels[self.order], out)
        return out

    def kept(self, method: Method, at: int) -> State:
        """What it takes to go on from here, or on another mixture."""
        arrays: dict[str, FloatArray | IntArray] = {
            "second": self.covariance,
            "mean": self.place,
            "origin": self.problem.optima[0].copy(),
        }
        return replace(state_of("mixture", method, at, arrays), at_rest=self.u.copy())


def limit_of(problem: Mixture) -> float:
    """Twice the risk on some domain at which a run has diverged."""
    top = max(float(problem.initial_risk().max()), 0.5 * float(problem.noise_variance.max()))
    return 2.0 * DIVERGENCE_FACTOR * top if top > 0.0 else np.inf


def run_mixture(
    problem: Mixture,
    method: Method,
    steps: IntArray,
    labels: IntArray,
    label_count: int,
    *,
    deterministic: bool = False,
    snapshots: IntArray | None = None,
    start: State | None = None,
    keep: IntArray | None = None,
    tick: Tick | None = None,
) -> RunResult:
    """Propagate the moments of `method` on a mixture; same form of result as the diagonal engine, by domain as well.

    Ends early where twice the risk at the gradient point passes, on some domain, 2 x 10^6 x the larger of the largest
    initial risk and noise / 2, or overflows.
    """
    problem.check_length(method.length)
    state = MixedMoments(problem, method, labels, start)
    count = 3 if deterministic else 2
    shape = (steps.size, 3, len(problem.names), label_count)
    rows = np.full(shape, np.nan)
    limit = limit_of(problem)
    wanted = [] if snapshots is None else snapshots.tolist()
    stops = np.unique(np.concatenate([each for each in (snapshots, keep) if each is not None] or [steps[:0]]))
    shots: dict[int, FloatArray] = {}
    states: dict[int, State] = {}
    own = np.arange(problem.dim)
    stepped = problem.dim if state.tail is None else min(problem.dim, 128 + problem.dim // 256)
    work = stepped * (len(problem.names) + method.state_size**2)
    chunk = int(np.clip(CHUNK_WORK // work, 16, MAX_CHUNK))
    status: Status = "done"
    at = 0 if start is None else start.step
    while True:
        if at in wanted:
            shots[at] = state.risk(method.readout(at, at + 1)[0], own, own.size)[:count]
        if keep is not None and at in keep:
            states[at] = state.kept(method, at)
        if at == method.length:
            break
        end = min(at + chunk, method.length, *stops[np.searchsorted(stops, at, side="right") :][:1].tolist())
        done = state.advance(method, at, end, steps, rows, limit)
        at += done
        keep_going = tick is None or tick(done * state.size)
        if at < end or state.beyond(method, at, limit):
            status = "diverged"
            break
        if not keep_going and at < method.length:
            status = "interrupted"
            break
    final = state.risk(method.readout(at, at + 1)[0], state.labels, label_count)
    if status == "diverged":
        final[np.isnan(final)] = np.inf  # inf - inf: beyond the range of a float
    rows[steps == at] = final
    risk, final = rows[:, :count], final[:count]
    for part in (risk, final, *shots.values()):
        sums_of_squares(part)
    if keep is None and status != "diverged" and state.X.size <= LARGEST_END:
        states[at] = state.kept(method, at)
    return RunResult(
        steps, risk, PARTS[:count], status, at, final, method.learning_rate, shots, {}, states,
        {"domain": list(problem.names)},
    )  # fmt: skip
