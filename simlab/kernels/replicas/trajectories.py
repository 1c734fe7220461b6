"""One pass over the coordinates for each sample: draw it, finish the step before, take the inner product.

The state is whitened, zeta_i = sqrt(lam_i) z_i, so that with features x_i = sqrt(lam_i) xi_i a step reads

    p = sum_i xi_i (c . zeta_i) - eps,     zeta_i <- M zeta_i - b lam_i mean over the batch of xi_i p

and the risk of a coordinate is 1/2 (o . zeta_i)^2. The inner product p must be whole before the update can begin, so
the update of one step waits for the pass of the next, which has the state in hand anyway.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from simlab.kernels.compiling import FAST, hot, inlined, kept
from simlab.kernels.random.laws import GAUSSIAN, draw_strip, label_noise
from simlab.kernels.random.philox import LANES, TILE
from simlab.kernels.random.rows import draw_category, draw_row, shuffle
from simlab.kernels.replicas.push import STRIP, dot, gather, linear_gradient, push_dot

__all__ = ["ADDITIVE", "CHECK", "EPOCHS", "ONE_HOT", "ROWS", "Recorder", "Source", "draw_labels", "run_replicas"]

ROWS, EPOCHS, ONE_HOT, ADDITIVE = 5, 6, 7, 8
"""Sources of gradients beside the laws of `simlab.kernels.random.laws`."""

CHECK = 64
"""Every so many steps a trajectory is looked at for divergence; label noise is drawn for as many steps at a time."""


class Source(NamedTuple):
    """Where gradients come from; arrays of D coordinates are padded with zeros to a multiple of 256.

    law : a code of `laws`, or ROWS, EPOCHS, ONE_HOT, ADDITIVE.  lam (D,).  noise : sigma.  degrees : Student's nu.
    threshold (D,) uint32, size (D,) : the three-point law; size is also the whitened length of a one-hot coordinate,
    and the standard deviation of additive noise, sqrt(c_i / lam_i).  rows (n, D) whitened rows, residual (n,) their
    noise.
    cumulative (d,) float64 : running sums of the one-hot probabilities.
    """

    law: int
    lam: npt.NDArray[np.floating]
    noise: float
    degrees: float
    threshold: npt.NDArray[np.uint32]
    size: npt.NDArray[np.floating]
    rows: npt.NDArray[np.floating]
    residual: npt.NDArray[np.floating]
    cumulative: npt.NDArray[np.float64]


class Recorder(NamedTuple):
    """What is kept, and where.

    slots (n + 1,) int64 : record number of each iterate of the chunk, or -1.  first, last, label (runs,) int64 : the
    subspaces as runs of coordinates.  risk (records, replicas, parts (2: and cross), labels) float64.
    watched (w,) int64, scale (w,) : coordinates whose trajectories are kept, and 1 / sqrt(lam) there.
    path (records, replicas, w) float64.  limit : risk at which a trajectory has diverged.
    ended (replicas,) int64 : the step at which it did, or -1.
    unseen (rows, D), target (rows,) : 1/2 sum_rows (unseen_row . zeta - target_row)^2 is the loss on rows held out, in
    heldout (records, replicas, parts (2: and cross)); of no rows, where there is nothing held out.
    """

    slots: npt.NDArray[np.int64]
    first: npt.NDArray[np.int64]
    last: npt.NDArray[np.int64]
    label: npt.NDArray[np.int64]
    risk: npt.NDArray[np.float64]
    watched: npt.NDArray[np.int64]
    scale: npt.NDArray[np.float64]
    path: npt.NDArray[np.float64]
    limit: float
    ended: npt.NDArray[np.int64]
    unseen: npt.NDArray[np.float64] = np.zeros((0, 0))
    target: npt.NDArray[np.float64] = np.zeros(0)
    heldout: npt.NDArray[np.float64] = np.zeros((0, 0, 0))


# -- records and divergence --------------------------------------------------------------------------------------------


@hot(fastmath=FAST)
def _inner(z, r, a, u, b, v, first, last):
    """Sum over the coordinates first .. last - 1 of (u . zeta_a) (v . zeta_b), in double precision."""
    total = 0.0
    for i in range(u.size):
        for j in range(v.size):
            w = u[i] * v[j]
            if w != 0.0:
                part = 0.0
                for l in range(np.uint64(first), np.uint64(last)):
                    part += np.float64(z[r, a + np.uint64(i), l]) * np.float64(z[r, b + np.uint64(j), l])
                total += w * part
    return total


@hot(fastmath=FAST)
def _along(z, r, a, o, rows, row):
    """rows_row . (o . zeta_a), in double precision."""
    total = 0.0
    for i in range(o.size):
        if o[i] != 0.0:
            part = 0.0
            for l in range(np.uint64(rows.shape[1])):
                part += rows[row, l] * np.float64(z[r, a + np.uint64(i), l])
            total += o[i] * part
    return total


@inlined
def _record(z, r, parts, o, slot, keep):
    k = np.uint64(o.size)
    zero = np.uint64(0)
    out = keep.risk[slot, r]
    out[:, :] = 0.0
    for j in range(keep.label.size):
        label, first, last = keep.label[j], keep.first[j], keep.last[j]
        out[0, label] += 0.5 * _inner(z, r, zero, o, zero, o, first, last)
        if parts == 2:
            out[1, label] += 0.5 * _inner(z, r, k, o, k, o, first, last)
            out[2, label] += _inner(z, r, zero, o, k, o, first, last)
    for w in range(keep.watched.size):
        value = 0.0
        for part in range(parts):
            for i in range(o.size):
                value += o[i] * z[r, part * o.size + i, keep.watched[w]]
        keep.path[slot, r, w] = value * keep.scale[w]
    if keep.target.size:
        keep.heldout[slot, r, :] = 0.0
    for row in range(keep.target.size):
        off = _along(z, r, zero, o, keep.unseen, row) - keep.target[row]
        keep.heldout[slot, r, 0] += 0.5 * off * off
        if parts == 2:
            noise = _along(z, r, k, o, keep.unseen, row)
            keep.heldout[slot, r, 1] += 0.5 * noise * noise
            keep.heldout[slot, r, 2] += off * noise


@hot
def _gradient_risk(z, r, parts, c, size):
    """Risk of the whole trajectory at the point where the next gradient is taken."""
    k = np.uint64(c.size)
    zero, first = np.uint64(0), np.int64(0)
    risk = 0.5 * _inner(z, r, zero, c, zero, c, first, size)
    if parts == 2:
        risk += 0.5 * _inner(z, r, k, c, k, c, first, size) + _inner(z, r, zero, c, k, c, first, size)
    return risk


@inlined
def _end(r, step, at, keep):
    """The trajectory is given up: what the later records of this chunk say of it is infinite."""
    keep.ended[r] = step
    for i in range(at, keep.slots.size):
        slot = keep.slots[i]
        if slot >= 0 and (i > at or not np.all(np.isfinite(keep.risk[slot, r]))):
            keep.risk[slot, r, :, :] = np.inf
            keep.path[slot, r, :] = np.nan
            if keep.target.size:
                keep.heldout[slot, r, :] = np.inf


# -- a replica through a chunk of steps --------------------------------------------------------------------------------
#
# These take the arrays of a Source and the scratch one by one: Numba counts references to an array each time it is
# taken out of a tuple, which would cost as much as drawing 300 coordinates at every step.


@hot
def _draw_features(
    law, row, step, replica, sample, k0, k1, words, more, flat, at, base, n, degrees, threshold, size, rows
):  # fmt: skip
    """The whitened features base .. base + n - 1 of one sample into flat[at + base : at + base + n]."""
    if law < ROWS or law == ADDITIVE:
        tiles = n // np.uint64(TILE)
        kind = GAUSSIAN if law == ADDITIVE else law
        draw_strip(
            kind, step, replica, sample, base, tiles, k0, k1, words, more, flat, at + base, degrees, threshold, size
        )  # fmt: skip
    elif law == ONE_HOT:
        for l in range(base, base + n):
            flat[at + l] = 0.0
        if base <= np.uint64(row) < base + n:
            flat[at + np.uint64(row)] = size[row]
    else:
        for l in range(base, base + n):
            flat[at + l] = rows[row, l]


@hot
def _row_of(law, step, replica, sample, serial, k0, k1, rows, cumulative, order, epoch):
    """The row or category of a sample; `epoch` (1,) int64 is the one that `order` holds."""
    if law == ROWS:
        return draw_row(step, replica, sample, rows.shape[0], k0, k1)
    if law == ONE_HOT:
        return draw_category(step, replica, sample, cumulative, k0, k1)
    if law == EPOCHS:
        wanted = serial // order.size
        if epoch[0] != wanted:
            shuffle(wanted, replica, k0, k1, order)
            epoch[0] = wanted
        return order[serial % order.size]
    return 0


@hot
def draw_labels(step, replica, sample, single, k0, k1, labels, window):
    """Label noise, 64 at a time: of the steps around this one where a step has a `single` sample, else of its samples.

    `window` (1,) int64 says what `labels` (64,) holds; -1: nothing yet.
    """
    one, zero, lanes = np.uint64(1), np.uint64(0), np.uint64(LANES)
    if single:
        wanted = np.int64(step // lanes)
        if window[0] != wanted:
            label_noise(step - step % lanes, one, replica, zero, zero, k0, k1, labels)
            window[0] = wanted
    elif sample % lanes == zero:
        label_noise(step, zero, replica, sample, one, k0, k1, labels)
        window[0] = -1


@hot
def _run_segment(
    law, lam, noise, degrees, threshold, size, rows, residual, cumulative,
    replica, t0, begin, end, M, b, c, batch, serial, k0, k1, parts, noise_part, z, r,
    x, flat, words, more, strip, order, epoch, labels, window, p, pending, push, old, point,
):  # fmt: skip
    """Steps begin .. end - 1 of a chunk with the last update made, so that z[r] is the iterate `end` of it.

    The update of a step is kept as (pending (k, k), push (2, k), old (2,)): zeta <- pending zeta - push lam x_old by
    part, where row 0 or 1 of x holds a sample's features, rows 2 and 3 a mean over samples. Returns `serial`.
    """
    k, dim = point.size, np.uint64(lam.size)
    labelled = noise_part >= 0 and law != ROWS and law != EPOCHS
    for part in range(2):
        old[part] = 0
        for j in range(k):
            push[part, j] = 0.0
    for j in range(k):
        for l in range(k):
            pending[j, l] = 1.0 if j == l else 0.0
    for l in range(dim):
        flat[l] = 0.0
    new = np.uint64(1)
    for i in range(begin, end):
        for j in range(k):
            point[j] = c[i, j]
        B, step, at = batch[i], np.uint64(t0 + i), new * dim
        if B == 0 or law == ADDITIVE:
            # The gradient needs no inner product: the full one, or H y plus additive noise.
            noisy = B > 0 and noise_part >= 0
            for base in range(np.uint64(0), dim, np.uint64(STRIP)):
                n = min(np.uint64(STRIP), dim - base)
                if noisy:
                    _draw_features(
                        law, np.int64(0), step, replica, np.uint64(0), k0, k1, words, more, flat, at, base, n, degrees,
                        threshold, size, rows,
                    )  # fmt: skip
                for part in range(parts):
                    a = np.uint64(part * k)
                    row = np.uint64(old[part])
                    push_dot(z, r, a, x, row, new, lam, base, n, pending, push, part, point, strip)
                    scale = 1.0 / np.sqrt(B) if noisy and part == noise_part else 0.0
                    linear_gradient(z, r, a, point, x, np.uint64(2 + part), new, scale, size, base, n)
            for part in range(parts):
                old[part] = 2 + part
                for j in range(k):
                    push[part, j] = b[i, j]
        else:
            for s in range(B):
                sample = np.uint64(s)
                if labelled:
                    draw_labels(step, replica, sample, B == 1, k0, k1, labels, window)
                row = _row_of(law, step, replica, sample, serial + s, k0, k1, rows, cumulative, order, epoch)
                p[0] = p[1] = 0.0
                for base in range(np.uint64(0), dim, np.uint64(STRIP)):
                    n = min(np.uint64(STRIP), dim - base)
                    _draw_features(
                        law, row, step, replica, sample, k0, k1, words, more, flat, at, base, n, degrees, threshold,
                        size, rows,
                    )  # fmt: skip
                    for part in range(parts):
                        a = np.uint64(part * k)
                        if s == 0:
                            before = np.uint64(old[part])
                            p[part] += push_dot(
                                z, r, a, x, before, new, lam, base, n, pending, push, part, point, strip
                            )  # fmt: skip
                        else:
                            p[part] += dot(z, r, a, point, x, new, base, n)
                if labelled:
                    p[noise_part] -= noise * np.float64(labels[(step if B == 1 else sample) % np.uint64(LANES)])
                elif noise_part >= 0:
                    p[noise_part] -= residual[row]
                if B > 1:
                    for part in range(parts):
                        gather(x, np.uint64(2 + part), new, p[part], dim, s == 0)
            for part in range(parts):
                old[part] = np.int64(new) if B == 1 else 2 + part
                for j in range(k):
                    push[part, j] = b[i, j] * p[part] if B == 1 else b[i, j] / B
        serial += B
        for j in range(k):
            for l in range(k):
                pending[j, l] = M[i, j, l]
        new = np.uint64(1) - new
    for base in range(np.uint64(0), dim, np.uint64(STRIP)):
        n = min(np.uint64(STRIP), dim - base)
        for part in range(parts):
            a, row = np.uint64(part * k), np.uint64(old[part])
            push_dot(z, r, a, x, row, new, lam, base, n, pending, push, part, point, strip)
    return serial


@kept
def run_replicas(
    source, keep, begin, end, first_replica, t0, M, b, c, o, batch, serial, k0, k1, parts, noise_part, z
):  # fmt: skip
    """Take the replicas begin .. end - 1 of a block through a chunk of n steps that begins at step t0.

    M (n, k, k), b, c (n, k), o (n + 1, k) float64; batch (n,) int64, 0 for the full gradient; `serial` samples were
    drawn before step t0. z (replicas, parts * k, D) is the whitened state, in the precision of the run, and is changed
    in place; replica r of the block is replica first_replica + r of the ensemble. parts = 2: noiseless run and noise
    alone, under the same features; label noise enters part `noise_part` (-1: none). Each replica goes from look to
    look: at every record, and every CHECK steps.
    """
    n, k, size = b.shape[0], b.shape[1], source.lam.size
    law, lam, noise, degrees, threshold = source.law, source.lam, source.noise, source.degrees, source.threshold
    sizes, rows, residual, cumulative = source.size, source.rows, source.residual, source.cumulative
    x = np.zeros((4, size), z.dtype)
    flat = x.reshape(-1)
    words, more = np.empty(STRIP, np.uint32), np.empty(STRIP, np.uint32)
    strip = np.empty((k if k > 3 else 1, STRIP), z.dtype)
    order, epoch = np.empty(residual.size if law == EPOCHS else 0, np.int64), np.empty(1, np.int64)
    labels, window = np.empty(LANES, z.dtype), np.empty(1, np.int64)
    p, old = np.empty(2), np.empty(2, np.int64)
    pending, push, point = np.empty((k, k), z.dtype), np.empty((2, k), z.dtype), np.empty(k, z.dtype)
    for r in range(begin, end):
        if keep.ended[r] >= 0:
            _end(r, keep.ended[r], np.int64(0), keep)
            continue
        replica = np.uint64(first_replica + r)
        epoch[0] = window[0] = -1
        at, drawn = np.int64(0), serial  # as a literal it would be one more kind, compiled for itself
        while True:
            slot = keep.slots[at]
            if slot >= 0:
                _record(z, r, parts, o[at], slot, keep)
            # Not at the end of a chunk, where c is not known yet: the next chunk looks there, the last one records.
            look = slot >= 0 or (at < n and (t0 + at) % CHECK == 0)
            if look and not _gradient_risk(z, r, parts, c[min(at, n - 1)], size) <= keep.limit:
                _end(r, t0 + at, at, keep)
                break
            if at == n:
                break
            upto = at + 1
            while upto < n and keep.slots[upto] < 0 and (t0 + upto) % CHECK != 0:
                upto += 1
            drawn = _run_segment(
                law, lam, noise, degrees, threshold, sizes, rows, residual, cumulative,
                replica, t0, at, upto, M, b, c, batch, drawn, k0, k1, parts, noise_part, z, r,
                x, flat, words, more, strip, order, epoch, labels, window, p, pending, push, old, point,
            )  # fmt: skip
            at = upto
