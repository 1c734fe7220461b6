"""Steps of a sampled regression by a rule that is not linear: a gradient is drawn whole, and then each weight moves.

The iterate is kept as in `trajectories`, whitened and in the eigenbasis, zeta = sqrt(lam) (w - w*), with the same draws
and the same records; what else the rule keeps is of the weights as they are, u = Q (w - w*) for a rotation Q.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from simlab.kernels import dials as names
from simlab.kernels.compiling import FAST, hot, inlined, kept
from simlab.kernels.layers import take
from simlab.kernels.puts import put, put_rows
from simlab.kernels.random.philox import LANES
from simlab.kernels.replicas import trajectories
from simlab.kernels.replicas.push import STRIP, dot, gather, linear_gradient
from simlab.kernels.replicas.trajectories import draw_features, draw_labels, end_replica, gradient_risk, record, row_of
from simlab.kernels.rounding import Levels

__all__ = ["Ground", "run_rules"]


class Ground(NamedTuple):
    """What the weights are.

    root, over (D,) : sqrt(lam), and 1 over it, 0 beyond the last coordinate.  rotation (d, d) : Q, or (0, 0) for the
    eigenbasis itself.  edges : where blocks begin that share their v, their norms or their scale, and d.  levels : what
    m and what v is rounded to, over the largest of its block; empty where they are kept whole.  start (D,) : whitened
    start.  power (5,) : own, T1, T2, coupling, noise, of E |g|^2 = S + (own S + T1 (coupling 2 risk + noise)) / B, S =
    |grad R|^2, and with T2 the same of g^T H g.  fault (1 + SUMMARY,) : what a feedback gave that is no rate, and the
    summary that it made it of; 0 first where there is none.
    """

    root: npt.NDArray[np.floating]
    over: npt.NDArray[np.floating]
    rotation: npt.NDArray[np.floating]
    edges: npt.NDArray[np.int64]
    levels: tuple[Levels, Levels]
    start: npt.NDArray[np.floating]
    power: npt.NDArray[np.float64]
    fault: npt.NDArray[np.float64]


@hot(fastmath=FAST)
def _turned(rotation, g, out):
    """out = Q g."""
    for i in range(g.size):
        total = rotation[i, 0] * g[0]
        for j in range(1, g.size):
            total += rotation[i, j] * g[j]
        out[i] = total


@hot(fastmath=FAST)
def _turned_back(rotation, g, out):
    """out = Q^T g."""
    for j in range(g.size):
        out[j] = rotation[0, j] * g[0]
    for i in range(1, g.size):
        for j in range(g.size):
            out[j] += rotation[i, j] * g[i]


@hot(fastmath=FAST)
def _scaled(root, x, weight, g):
    for l in range(g.size):
        g[l] = root[l] * (weight * x[2, l])


@hot(fastmath=FAST)
def _moved(z, r, root, out):
    for l in range(out.size):
        z[r, 0, l] -= root[l] * out[l]


@hot(fastmath=FAST)
def _moved_along(z, r, root, rate, g):
    for l in range(g.size):
        z[r, 0, l] -= root[l] * (rate * g[l])


@hot(fastmath=FAST)
def _pulled(z, r, origin, share, dim):
    for l in range(dim):
        z[r, 0, l] -= share * (z[r, 0, l] + z[r, origin, l])


@hot(fastmath=FAST)
def _weights(z, r, origin, over, out):
    """w where the origin's row is w* seen from there: (zeta + origin) / sqrt(lam), in the eigenbasis."""
    for l in range(out.size):
        out[l] = over[l] * (z[r, 0, l] + z[r, origin, l])


@hot(fastmath=FAST)
def _away(z, r, start, over, out):
    """w_0 - w in the eigenbasis."""
    for l in range(out.size):
        out[l] = over[l] * (start[l] - z[r, 0, l])


@hot(fastmath=FAST)
def _measure(z, r, before, ground, batch, x, g, summary):
    """g (d,) <- the gradient in the eigenbasis, sqrt(lam) times row 2 of x, and the sums that a feedback may want.

    It is kept as the gradient of the step before.
    """
    root, over, start, power = ground.root, ground.over, ground.start, ground.power
    square, product, slope, steep, risk, back, distance = 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0
    for l in range(g.size):
        zeta, h = z[r, 0, l], root[l]
        new, own, pull = h * x[2, l], over[l] * (start[l] - zeta), h * zeta
        square += new * new
        product += new * z[r, before, l]
        slope += pull * pull
        steep += (h * pull) * (h * pull)
        risk += zeta * zeta
        back += new * own
        distance += own * own
        z[r, before, l] = new
        g[l] = new
    share = 1.0 / batch if batch > 0 else 0.0
    drawn = power[3] * risk + power[4]
    summary[names.SQUARE], summary[names.PRODUCT] = square, product
    summary[names.RISK], summary[names.SLOPE] = 0.5 * risk, slope
    summary[names.POWER] = slope + share * (power[0] * slope + power[1] * drawn)
    summary[names.CURVATURE] = steep + share * (power[0] * steep + power[2] * drawn)
    summary[names.BACK], summary[names.DISTANCE] = back, np.sqrt(distance)


@hot
def _remembered(rows, first, dim, memory):
    """memory <- what the rows from `first` on hold, dim numbers each."""
    for j in range(memory.size):
        memory[j] = rows[first + j // dim, j % dim]


@hot
def _kept_in_mind(memory, rows, first, dim):
    """The rows from `first` on <- memory."""
    for j in range(memory.size):
        rows[first + j // dim, j % dim] = memory[j]


@inlined
def _gradient(source, z, r, at, t0, B, drawn, replica, k0, k1, noise_part, one, x, flat, words, more, order, epoch,
              labels, window):  # fmt: skip
    """Row 2 of x: the mean of x_s p_s over the batch, the gradient over sqrt(lam); returns the loss of the batch."""
    law, size = source.law, np.uint64(source.lam.size)
    step, zero = np.uint64(t0 + at), np.uint64(0)
    whole = B == 0 or law == trajectories.ADDITIVE
    noisy = B > 0 and noise_part >= 0
    labelled = noisy and not whole and law != trajectories.ROWS and law != trajectories.EPOCHS
    scale = 1.0 / np.sqrt(B) if whole and noisy else 0.0
    loss = 0.0
    for s in range(1 if whole else B):
        sample, row = np.uint64(s), 0
        if labelled:
            draw_labels(step, replica, sample, B == 1, k0, k1, labels, window)
        if not whole:
            row = row_of(law, step, replica, sample, drawn + s, k0, k1, source.rows, source.cumulative, order, epoch)
        p = 0.0
        for base in range(np.uint64(0), size, np.uint64(STRIP)):
            n = min(np.uint64(STRIP), size - base)
            if noisy or not whole:
                draw_features(
                    law, row, step, replica, sample, k0, k1, words, more, flat, zero, base, n, source.degrees,
                    source.threshold, source.size, source.rows,
                )  # fmt: skip
            if whole:
                linear_gradient(z, r, zero, one, x, np.uint64(2), zero, scale, source.size, base, n)
            else:
                p += dot(z, r, zero, one, x, zero, base, n)
        if whole:
            return np.nan
        if labelled:
            p -= source.noise * np.float64(labels[(step if B == 1 else sample) % np.uint64(LANES)])
        elif noise_part >= 0:
            p -= source.residual[row]
        loss += 0.5 * p * p
        gather(x, np.uint64(2), zero, p / B, size, s == 0)
    return loss / B


@inlined
def _take(rule, p, rate, ground, origin, mine, z, r, rows, own, state, g, square, spare, out):
    """out (d,) <- the step of the rule along the gradient g of the weights, its rows moved on."""
    if own is not None:
        put_rows(mine[1 : 1 + rows, : g.size], state)
        own(state, g, rate, out)
        put_rows(state, mine[1 : 1 + rows])
        return
    if rule == names.LARS or rule == names.LAMB:
        _weights(z, r, origin, ground.over, out)
        if ground.rotation.size:
            _turned(ground.rotation, out, spare)
        else:
            put(out, spare)
    take(rule, p, rate, mine, 1, g, square, spare, ground.edges, ground.levels, 1, out)


@kept
def run_rules(
    source, ground, keep, begin, end, first_replica, t0, dials, batch, serial, k0, k1, noise_part, rule, rows, pulled,
    own, feedback, whole, gains, fields, remembers, chooses, z,
):  # fmt: skip
    """Take the replicas begin .. end - 1 of a block through a chunk of n steps that begins at step t0.

    dials (n, DIALS) float64; batch (n,) int64, 0 for the full gradient; `serial` samples were drawn before step t0.
    z (replicas, k, D) : the whitened iterate, the `rows` of the rule, the origin where it is `pulled` to it, and of a
    feedback the last gradient, its `fields` and, number by number, its memory. Label noise enters where noise_part is 0
    (-1: there is none).
    own(state (rows, d), g, rate, out) is a rule of the user's own; feedback(summary, memory, gains) gives the rate, or
    whole(summary, memory, gains, field (fields, d), g, w_0 - w, p) does, which may change the dials p of the step; or
    None.  remembers : numbers of the memory.  chooses : whether its first one says what the next step draws.
    """
    n, size = dials.shape[0], source.lam.size
    dim = size
    while dim > 1 and ground.root[dim - 1] == 0.0:
        dim -= 1
    x = np.zeros((3, size), z.dtype)
    flat = x.reshape(-1)
    words, more = np.empty(STRIP, np.uint32), np.empty(STRIP, np.uint32)
    order = np.empty(source.residual.size if source.law == trajectories.EPOCHS else 0, np.int64)
    epoch, labels, window = np.empty(1, np.int64), np.empty(LANES, z.dtype), np.empty(1, np.int64)
    one, o = np.zeros(1, z.dtype), np.zeros(1)
    one[0], o[0] = 1.0, 1.0
    p, square, out = np.empty(dials.shape[1], z.dtype), np.empty(dim, z.dtype), np.empty(dim, z.dtype)
    g, turned = np.empty(dim, z.dtype), np.empty(dim, z.dtype)
    origin, before = rows + 1, rows + 1 + (1 if pulled else 0)
    loops = feedback is not None or whole is not None
    summary, memory = np.zeros(names.SUMMARY), np.zeros(remembers + 1 if loops else 0)
    state = np.empty((rows, dim) if own is not None else (0, 0), z.dtype)
    field, away = np.empty((fields, dim), z.dtype), np.empty(dim if whole is not None else 0, z.dtype)
    within = rule == names.LARS or rule == names.LAMB
    plain = rule == names.PLAIN and own is None
    for r in range(begin, end):
        if keep.ended[r] >= 0:
            end_replica(r, keep.ended[r], np.int64(0), keep)
            continue
        replica, mine = np.uint64(first_replica + r), z[r]
        epoch[0] = window[0] = -1
        drawn = serial
        if loops:
            _remembered(mine, before + 1 + fields, dim, memory)
            put_rows(mine[before + 1 : before + 1 + fields, :dim], field)
        for at in range(n + 1):
            slot = keep.slots[at]
            if slot >= 0:
                record(z, r, 1, o, slot, keep)
            look = slot >= 0 or (at < n and (t0 + at) % trajectories.CHECK == 0)
            if look and not gradient_risk(z, r, 1, o, size) <= keep.limit:
                end_replica(r, t0 + at, at, keep)
                break
            if at == n:
                break
            B = batch[at]
            if chooses and memory[names.NEXT_BATCH] >= 1.0:
                B = min(B, np.int64(memory[names.NEXT_BATCH]))
            loss = _gradient(
                source, z, r, at, t0, B, drawn, replica, k0, k1, noise_part, one, x, flat, words, more, order, epoch,
                labels, window,
            )  # fmt: skip
            drawn += batch[at]
            for j in range(p.size):
                p[j] = dials[at, j]
            rate = p[names.RATE]
            if loops:
                _measure(z, r, before, ground, B, x, g, summary)
                summary[names.STEP], summary[names.BASE] = t0 + at, dials[at, names.RATE]
                summary[names.LOSS] = summary[names.RISK] if np.isnan(loss) else loss
                summary[names.PREVIOUS] = memory[remembers]
            else:
                _scaled(ground.root, x, one[0], g)
            if ground.rotation.size:
                _turned(ground.rotation, g, turned)
                put(turned, g)
            if feedback is not None:
                rate = feedback(summary, memory, gains)
            if whole is not None:
                _away(z, r, ground.start, ground.over, away)
                if ground.rotation.size:
                    _turned(ground.rotation, away, turned)
                    put(turned, away)
                rate = whole(summary, memory, gains, field, g, away, p)
            if loops:
                memory[remembers] = rate
                if not 0.0 <= rate < np.inf:
                    if summary[names.RISK] <= keep.limit:
                        put(summary, ground.fault[1:])
                        ground.fault[0] = rate
                    end_replica(r, t0 + at, at, keep)
                    break
            if plain and ground.rotation.size == 0:
                _moved_along(z, r, ground.root, rate, g)
                continue
            _take(rule, p, rate, ground, origin, mine, z, r, rows, own, state, g, square, turned, out)
            if ground.rotation.size:
                _turned_back(ground.rotation, out, turned)
                put(turned, out)
            if pulled and not within:
                _pulled(z, r, origin, rate * p[names.DECAY], dim)
            _moved(z, r, ground.root, out)
        if loops:
            _kept_in_mind(memory, mine, before + 1 + fields, dim)
            put_rows(field, mine[before + 1 : before + 1 + fields])
