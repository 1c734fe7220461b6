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
from simlab.kernels.puts import put, put_rows
from simlab.kernels.random.philox import LANES
from simlab.kernels.replicas import trajectories
from simlab.kernels.replicas.push import STRIP, dot, gather, linear_gradient
from simlab.kernels.replicas.trajectories import draw_features, draw_labels, end_replica, gradient_risk, record, row_of
from simlab.kernels.rules import average_by_block, steps

__all__ = ["Ground", "run_rules"]


class Ground(NamedTuple):
    """What the weights are.

    root (D,) : sqrt(lam).  rotation (d, d) : Q, or (0, 0) for the eigenbasis itself.  edges : where blocks begin that
    share their v, and d.  start (D,) : whitened start.  power (5,) : own, T1, T2, coupling, noise, of
    E |g|^2 = S + (own S + T1 (coupling 2 risk + noise)) / B, S = |grad R|^2, and with T2 the same of g^T H g.
    fault (1 + SUMMARY,) : what a feedback gave that is no rate, and the summary that it made it of; 0 first where
    there is none.
    """

    root: npt.NDArray[np.floating]
    rotation: npt.NDArray[np.floating]
    edges: npt.NDArray[np.int64]
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
def _squares(g, square):
    for l in range(g.size):
        square[l] = g[l] * g[l]


@hot(fastmath=FAST)
def _moved(z, r, root, out):
    for l in range(out.size):
        z[r, 0, l] -= root[l] * out[l]


@hot(fastmath=FAST)
def _pulled(z, r, origin, share, dim):
    for l in range(dim):
        z[r, 0, l] -= share * (z[r, 0, l] + z[r, origin, l])


@hot(fastmath=FAST)
def _measure(z, r, before, root, start, power, batch, g, summary):
    """Sums over the coordinates that a feedback may want; g in the eigenbasis, kept as that of the step before."""
    square, product, slope, steep, risk, back, distance = 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0
    for l in range(g.size):
        zeta = z[r, 0, l]
        own, pull = (start[l] - zeta) / root[l], root[l] * zeta
        square += g[l] * g[l]
        product += g[l] * z[r, before, l]
        slope += pull * pull
        steep += (root[l] * pull) ** 2
        risk += 0.5 * zeta * zeta
        back += g[l] * own
        distance += own * own
        z[r, before, l] = g[l]
    share = 1.0 / batch if batch > 0 else 0.0
    drawn = power[3] * (2.0 * risk) + power[4]
    summary[names.SQUARE], summary[names.PRODUCT] = square, product
    summary[names.RISK], summary[names.SLOPE] = risk, slope
    summary[names.POWER] = slope + share * (power[0] * slope + power[1] * drawn)
    summary[names.CURVATURE] = steep + share * (power[0] * steep + power[2] * drawn)
    summary[names.BACK], summary[names.DISTANCE] = back, np.sqrt(distance)


@inlined
def _gradient(source, z, r, at, t0, batch, drawn, replica, k0, k1, noise_part, one, x, flat, words, more, order, epoch,
              labels, window):  # fmt: skip
    """Row 2 of x: the mean of x_s p_s over the batch, the gradient over sqrt(lam); returns the loss of the batch."""
    law, size = source.law, np.uint64(source.lam.size)
    B, step, zero = batch[at], np.uint64(t0 + at), np.uint64(0)
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


@kept
def run_rules(
    source, ground, keep, begin, end, first_replica, t0, dials, batch, serial, k0, k1, noise_part, rule, pulled, own,
    feedback, gains, z,
):  # fmt: skip
    """Take the replicas begin .. end - 1 of a block through a chunk of n steps that begins at step t0.

    dials (n, DIALS) float64; batch (n,) int64, 0 for the full gradient; `serial` samples were drawn before step t0.
    z (replicas, k, D) : the whitened iterate, the rows of the rule, the origin where it is `pulled` to it, and of a
    feedback the last gradient and its memory. Label noise enters where noise_part is 0 (-1: there is none).
    own(state (rows, d), g, rate, out) is a rule of the user's own,
    feedback(summary, memory, gains) gives the rate; or None.
    """
    n, k, size = dials.shape[0], z.shape[1], source.lam.size
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
    g, turned = np.empty(dim, z.dtype), np.empty(dim if ground.rotation.size else 0, z.dtype)
    rows = k - 1 - (1 if pulled else 0)
    origin = k - 1
    summary = np.zeros(names.SUMMARY)
    if feedback is not None:
        rows, origin = rows - 2, origin - 2
    state = np.empty((rows, dim) if own is not None else (0, 0), z.dtype)
    for r in range(begin, end):
        if keep.ended[r] >= 0:
            end_replica(r, keep.ended[r], np.int64(0), keep)
            continue
        replica, mine = np.uint64(first_replica + r), z[r]
        epoch[0] = window[0] = -1
        drawn = serial
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
            loss = _gradient(
                source, z, r, at, t0, batch, drawn, replica, k0, k1, noise_part, one, x, flat, words, more, order,
                epoch, labels, window,
            )  # fmt: skip
            drawn += batch[at]
            _scaled(ground.root, x, one[0], g)
            for j in range(p.size):
                p[j] = dials[at, j]
            rate = p[names.RATE]
            if feedback is not None:
                _measure(z, r, k - 2, ground.root, ground.start, ground.power, batch[at], g, summary)
                summary[names.STEP], summary[names.BASE] = t0 + at, dials[at, names.RATE]
                summary[names.LOSS] = summary[names.RISK] if np.isnan(loss) else loss
                summary[names.PREVIOUS] = mine[k - 1, names.MEMORY]
                rate = feedback(summary, mine[k - 1], gains)
                mine[k - 1, names.MEMORY] = rate
                if not 0.0 <= rate < np.inf:
                    if summary[names.RISK] <= keep.limit:
                        put(summary, ground.fault[1:])
                        ground.fault[0] = rate
                    end_replica(r, t0 + at, at, keep)
                    break
            if ground.rotation.size:
                _turned(ground.rotation, g, turned)
                put(turned, g)
            if own is not None:
                put_rows(mine[1 : 1 + rows, :dim], state)
                own(state, g, rate, out)
                put_rows(state, mine[1 : 1 + rows])
            else:
                _squares(g, square)
                if ground.edges.size:
                    average_by_block(ground.edges, 1, square)
                steps(rule, p, rate, mine, 1, g, square, out)
            if ground.rotation.size:
                _turned_back(ground.rotation, out, turned)
                put(turned, out)
            if pulled:
                _pulled(z, r, origin, rate * p[names.DECAY], dim)
            _moved(z, r, ground.root, out)
