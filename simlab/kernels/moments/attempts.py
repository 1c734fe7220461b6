"""A panel tried: two orders, a shorter one and the first step, what they disagree by, and what is recorded of it."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from simlab.kernels.compiling import FAST, hot, kept
from simlab.kernels.moments.collocation import differences, interpolation
from simlab.kernels.moments.discrepancy import majorant, sums_by_label, worst
from simlab.kernels.moments.lanes import LANES
from simlab.kernels.moments.panels import combine, increments, packed, panel, step_on

__all__ = ["HIGH", "LOW", "Panels", "Plan", "Work", "attempt", "new_panels", "new_work", "read_off"]

LOW, HIGH = 7, 9
"""Collocation steps of the panel that is compared with, and of the one that is kept."""

NONE = 1e-26
"""What a risk below 0 may be, of the limit beyond which a run diverges: rounding of what has died away."""


class Plan(NamedTuple):
    """The offsets at which the recursion is asked to hold: `high` and `low` in a panel of `length` steps, `brief` in
    one of `short` steps; `first` is [1].
    """

    length: int
    short: int
    high: np.ndarray
    brief: np.ndarray
    low: np.ndarray
    first: np.ndarray


class Work(NamedTuple):
    """Scratch of `panel`."""

    T: np.ndarray
    cc: np.ndarray
    bb: np.ndarray
    S: np.ndarray
    K: np.ndarray
    diagonal: np.ndarray
    X: np.ndarray
    psi: np.ndarray
    sigma: np.ndarray
    kappa: np.ndarray
    system: np.ndarray
    D: np.ndarray
    state: np.ndarray
    lanes: np.ndarray
    felt_lanes: np.ndarray
    kick_lanes: np.ndarray
    minus: np.ndarray


class Panels(NamedTuple):
    """What an attempt leaves: ends, errors P (2, k, nodes) to be carried on, and sums by label for the records.

    V, V_low, V_brief (4, E, HIGH, nodes) of the panel that is kept and of those compared with; `sums`, `sums_low`,
    `sums_brief` (HIGH + 1, 4, E, labels) at their starts and collocation steps; `lost` (2, E, labels) of the
    first step; `apart` (2,) : the largest relative disagreement about bias and variance.
    """

    V: np.ndarray
    V_low: np.ndarray
    V_brief: np.ndarray
    end: np.ndarray
    end_low: np.ndarray
    P: np.ndarray
    Q: np.ndarray
    other: np.ndarray
    gap: np.ndarray
    s: np.ndarray
    weights: np.ndarray
    pair: np.ndarray
    sums: np.ndarray
    sums_low: np.ndarray
    sums_brief: np.ndarray
    lost: np.ndarray
    apart: np.ndarray


def new_work(k: int, nodes: int) -> Work:
    """Scratch for k state variables on `nodes` nodes (a multiple of LANES)."""
    E, width = k * (k + 1) // 2, HIGH + 4
    n = HIGH * E
    return Work(
        np.zeros((HIGH, 4, E, E)),
        np.zeros((HIGH, E)),
        np.zeros((HIGH, E)),
        np.zeros(HIGH * E * E * LANES),
        np.zeros(n * (n + width) * LANES),
        np.zeros(n * LANES),
        np.zeros((nodes // LANES, E * HIGH * width * LANES)),
        np.zeros((HIGH, HIGH)),
        np.zeros((HIGH, 4)),
        np.zeros((4, HIGH)),
        np.zeros((HIGH, HIGH)),
        np.zeros((HIGH, HIGH + 1)),
        np.zeros((E, nodes)),
        np.zeros(HIGH * width * LANES),
        np.zeros(HIGH * E * LANES),
        np.zeros(4 * HIGH * LANES),
        np.full(LANES, -1.0),
    )


def new_panels(k: int, nodes: int, labels: int) -> Panels:
    """Room for what attempts leave."""
    E = k * (k + 1) // 2
    values, ends, sums = (4, E, HIGH, nodes), (4, E, nodes), (HIGH + 1, 4, E, labels)
    pair, errors = (2, E, nodes), (2, k, nodes)
    shapes = (values, values, values, ends, ends, errors, errors, pair, pair, (4, HIGH), (HIGH + 1,), (2, labels))
    return Panels(*(np.zeros(shape) for shape in (*shapes, sums, sums, sums, (2, E, labels), (2,))))


@kept(error_model="numpy", fastmath=FAST)
def attempt(plan, steps, blocks, nodes, U, runs, floor, limit, work, out):
    """Try a panel from U (4, E, nodes): bias, variance and their errors; the estimated relative error, inf if hopeless.

    `steps` are the collocation steps of plan.high, .brief and .low and the first step, in this order. The error is the
    largest of four disagreements (see `simlab.engines.long`), relative to sums of at least floor (2, k); `out` then
    holds what is needed to go on from the end.
    """
    m = plan.length
    out.apart[:] = np.inf
    for which in range(3):
        p, components = (HIGH, 4) if which == 0 else (LOW, 2)
        length = plan.short if which == 1 else m
        y = (plan.high, plan.brief, plan.low)[which]
        V, end = (out.V, out.V_brief, out.V_low)[which], (out.end, out.end_low, out.end_low)[which]
        sums = (out.sums, out.sums_brief, out.sums_low)[which]
        differences(y, length, work.D)
        first = (0, HIGH, HIGH + LOW)[which]
        panel(float(length), p, components, steps, first, blocks, nodes, U, work, V, end, out.s)
        if which == 0:
            for l in range(HIGH):
                if not (out.s[0, l] + out.s[1, l] <= limit and min(out.s[0, l], out.s[1, l]) >= -NONE * limit):
                    return np.inf
        sums_by_label(components, p, U, V, runs, sums)
    out.apart[:] = 0.0
    _ends(U, runs, floor, out)
    for which in range(LOW + 5):
        _compare(which, plan, steps, blocks, nodes, U, runs, floor, work, out)
    # `_compare` has left the first step, the last of its accounts, in out.Q and out.gap.
    for q in range(2):
        for r in range(out.P.shape[1]):
            for i in range(out.P.shape[2]):
                out.P[q, r, i] += out.Q[q, r, i]
        for e in range(U.shape[1]):
            for j in range(out.pair.shape[1]):
                out.lost[q, e, j] = 0.0
            for run in range(runs.label.size):
                for i in range(runs.start[run], runs.stop[run]):
                    out.lost[q, e, runs.label[run]] += out.gap[q, e, i]
    error = max(out.apart[0], out.apart[1])
    return error if np.isfinite(error) else np.inf


@hot(fastmath=FAST, error_model="numpy")
def _ends(U, runs, floor, out):
    """What the two orders disagree by at the end: as matrices in out.P, and relative in out.apart."""
    for q in range(2):
        for e in range(U.shape[1]):
            for i in range(U.shape[2]):
                out.gap[q, e, i] = out.end[q, e, i] - out.end_low[q, e, i]
                out.other[q, e, i] = out.end[q, e, i]
    out.P[:, :, :] = 0.0
    majorant(U, out.gap, out.P)
    worst(out.other, out.P, runs, floor, out.pair, out.apart)


@hot(fastmath=FAST, error_model="numpy")
def _compare(which, plan, steps, blocks, nodes, U, runs, floor, work, out):
    """The polynomial of a panel at one step against another account of it.

    The first LOW: that kept, at the steps of the shorter panel (what neither order resolves on the whole panel they
    miss alike). Then four of the lower order, at steps of the higher. The last: that kept, against one exact step (a
    transient that alternates is in no polynomial).
    """
    m, p, V, y = plan.length, HIGH, out.V, plan.high
    if which < LOW:
        l, offset, source = which, plan.brief[which], out.V_brief
    elif which < LOW + 4:
        l = (0, 1, HIGH // 2, HIGH - 2)[which - LOW]
        p, V, y, offset, source = LOW, out.V_low, plan.low, plan.high[l], out.V
    else:
        l, offset, source = 0, plan.first[0], out.V
    if which < LOW + 4:
        for q in range(2):
            for e in range(U.shape[1]):
                for i in range(U.shape[2]):
                    out.other[q, e, i] = source[q, e, l, i]
    else:
        _first_step(steps, HIGH + 2 * LOW, blocks, nodes, U, work, out.other)
    interpolation(y, p, m, offset, out.weights)
    combine(out.weights, p, U, V, out.gap)
    for q in range(2):
        for e in range(U.shape[1]):
            for i in range(U.shape[2]):
                out.gap[q, e, i] -= out.other[q, e, i]
    out.Q[:, :, :] = 0.0
    majorant(out.other, out.gap, out.Q)
    worst(out.other, out.Q, runs, floor, out.pair, out.apart)


@hot(fastmath=FAST, error_model="numpy")
def _first_step(steps, t, blocks, nodes, U, work, one):
    T, cc, bb = work.T[0], work.cc[0], work.bb[0]
    increments(steps, t, T)
    packed(steps.b[t], steps.share[t], True, bb)
    packed(steps.c[t], 1.0, False, cc)
    for q in range(2):
        s = 0.0
        for e in range(U.shape[1]):
            for i in range(U.shape[2]):
                s += cc[e] * U[q, e, i]
                work.state[e, i] = U[q, e, i]
        step_on(T, bb, blocks.felt, nodes, nodes.coupling * s + nodes.noise[q], work.state, one[q])


@kept(error_model="numpy", fastmath=FAST)
def read_off(plan, offsets, o, out, risk, error):
    """Records within a panel: `risk` and `error` (records, 2, labels) of the readouts o (records, k) at `offsets`.

    The error is what the carried error states say, and twice the largest disagreement anywhere in the panel (at a
    single step two polynomials may cross).
    """
    k, E, count = o.shape[1], out.sums.shape[2], out.sums.shape[3]
    weights, weight, at = np.empty(HIGH + 1), np.empty(E), np.empty(HIGH + 1)
    gaps = np.zeros((HIGH + LOW + 1, 2, E, count))
    for l in range(HIGH):
        interpolation(plan.low, LOW, plan.length, plan.high[l], weights)
        for q in range(2):
            for e in range(E):
                for j in range(count):
                    value = weights[0] * out.sums[0, q, e, j] - out.sums[l + 1, q, e, j]
                    for h in range(LOW):
                        value += weights[h + 1] * out.sums_low[h + 1, q, e, j]
                    gaps[l, q, e, j] = value
    for l in range(LOW):
        interpolation(plan.high, HIGH, plan.length, plan.brief[l], at)
        for q in range(2):
            for e in range(E):
                for j in range(count):
                    value = -out.sums_brief[l + 1, q, e, j]
                    for h in range(HIGH + 1):
                        value += at[h] * out.sums[h, q, e, j]
                    gaps[HIGH + l, q, e, j] = value
    for q in range(2):
        for e in range(E):
            for j in range(count):
                gaps[HIGH + LOW, q, e, j] = out.lost[q, e, j]
    for r in range(offsets.size):
        e = 0
        for p in range(k):
            for s in range(p, k):
                weight[e] = (0.5 if p == s else 1.0) * o[r, p] * o[r, s]
                e += 1
        interpolation(plan.high, HIGH, plan.length, offsets[r], at)
        for q in range(2):
            for j in range(count):
                value = carried = 0.0
                for e in range(E):
                    for h in range(HIGH + 1):
                        value += weight[e] * at[h] * out.sums[h, q, e, j]
                        carried += weight[e] * at[h] * out.sums[h, q + 2, e, j]
                widest = 0.0
                if offsets[r] > 0:
                    for g in range(HIGH + LOW + 1):
                        apart = 0.0
                        for e in range(E):
                            apart += weight[e] * gaps[g, q, e, j]
                        widest = max(widest, abs(apart))
                risk[r, q, j] = value
                error[r, q, j] = abs(carried) + 2.0 * widest
