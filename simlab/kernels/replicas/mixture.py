"""Replicas on a mixture of domains, in absolute coordinates: every sample draws its domain, then its features.

With x_i = sqrt(lam_ki) xi_i of domain k and the point y = c . z where the gradient is taken,

    p = sum_i x_i (y_i - (c . u) w_ki) - eps,     g_i = mean over the batch of weight_k x_i p,     z_i <- M z_i - b g_i

where the noise's own trajectory has no w_k, and the noiseless one no eps. The law of a sample is that of its domain;
the words that it is made of are not: domains of one law see the same features.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from simlab.kernels.compiling import FAST, hot, inlined, kept
from simlab.kernels.random.laws import draw_strip
from simlab.kernels.random.philox import LANES, TILE
from simlab.kernels.random.rows import draw_category
from simlab.kernels.replicas.push import STRIP
from simlab.kernels.replicas.trajectories import CHECK, draw_labels

__all__ = ["Domains", "Recorder", "run_mixture_replicas"]


class Domains(NamedTuple):
    """K domains; arrays of D directions are padded with zeros to a multiple of 256.

    root, optima (K, D) : square roots of eigenvalues, and w_k.  noise (K,) : sigma_k.  law (K,) int64, degrees (K,),
    threshold (K, D) uint32, size (K, D) : as in `draw_strip`.
    """

    root: npt.NDArray[np.float64]
    optima: npt.NDArray[np.float64]
    noise: npt.NDArray[np.float64]
    law: npt.NDArray[np.int64]
    degrees: npt.NDArray[np.float64]
    threshold: npt.NDArray[np.uint32]
    size: npt.NDArray[np.float64]


class Recorder(NamedTuple):
    """What is kept: slots (n + 1,) int64, record of each iterate or -1; label (d,) of each direction; risk (records,
    replicas, parts (2: and cross), K, labels); watched (w,) directions, whose places go to path (records, replicas, w);
    limit, the risk on some domain at which a trajectory has diverged; ended (replicas,), when it did, or -1.
    """

    slots: npt.NDArray[np.int64]
    label: npt.NDArray[np.int64]
    risk: npt.NDArray[np.float64]
    watched: npt.NDArray[np.int64]
    path: npt.NDArray[np.float64]
    limit: float
    ended: npt.NDArray[np.int64]


@hot(fastmath=FAST)
def _point(z, r, first, w, dim, out, row):
    """out[row] <- w . z of the part that begins at the row `first` of z[r]."""
    for l in range(dim):
        out[row, l] = 0.0
    for j in range(w.size):
        e, source = w[j], first + np.uint64(j)
        if e != 0.0:
            for l in range(dim):
                out[row, l] += e * z[r, source, l]


@hot(fastmath=FAST)
def _worst(root, optima, point, parts, rest, dim):
    """The largest risk over domains of the whole trajectory, whose parts are the rows of `point`."""
    worst = 0.0
    for k in range(root.shape[0]):
        risk = 0.0
        for l in range(dim):
            off = point[0, l] - rest * optima[k, l]
            if parts == 2:
                off += point[1, l]
            off *= root[k, l]
            risk += off * off
        if not 0.5 * risk <= worst:
            worst = 0.5 * risk
    return worst


@inlined
def _record(domains, point, parts, rest, r, slot, keep):
    out = keep.risk[slot, r]
    out[:, :, :] = 0.0
    for k in range(domains.root.shape[0]):
        for l in range(keep.label.size):
            lam = domains.root[k, l] * domains.root[k, l]
            off, label = point[0, l] - rest * domains.optima[k, l], keep.label[l]
            out[0, k, label] += 0.5 * lam * off * off
            if parts == 2:
                out[1, k, label] += 0.5 * lam * point[1, l] * point[1, l]
                out[2, k, label] += lam * off * point[1, l]
    for w in range(keep.watched.size):
        at = keep.watched[w]
        keep.path[slot, r, w] = point[0, at] + (point[1, at] if parts == 2 else 0.0)


@inlined
def _end(r, step, at, keep):
    """The trajectory is given up: what the later records of this chunk say of it is infinite."""
    keep.ended[r] = step
    for i in range(at, keep.slots.size):
        slot = keep.slots[i]
        if slot >= 0 and (i > at or not np.all(np.isfinite(keep.risk[slot, r]))):
            keep.risk[slot, r, :, :, :] = np.inf
            keep.path[slot, r, :] = np.nan


@hot(fastmath=FAST)
def _inner(root, optima, k, x, point, row, rest, dim):
    """sum_i sqrt(lam_ki) x_i (y_i - rest w_ki)."""
    total = 0.0
    for l in range(dim):
        total += root[k, l] * x[l] * (point[row, l] - rest * optima[k, l])
    return total


@hot(fastmath=FAST)
def _gather(root, k, x, amount, dim, gradient, row):
    for l in range(dim):
        gradient[row, l] += amount * root[k, l] * x[l]


@hot(fastmath=FAST)
def _mean_gradient(root, optima, shares, weights, point, row, rest, dim, gradient):
    """The gradient without sampling: sum_k share_k weight_k lam_k (y - rest w_k)."""
    for k in range(root.shape[0]):
        q = shares[k] * weights[k]
        for l in range(dim):
            gradient[row, l] += q * root[k, l] * root[k, l] * (point[row, l] - rest * optima[k, l])


@hot(fastmath=FAST)
def _move(z, r, first, M, b, dim, gradient, row, moved):
    """z <- M z - b g of the part that begins at the row `first` of z[r]."""
    k = b.size
    for i in range(k):
        for l in range(dim):
            moved[i, l] = -b[i] * gradient[row, l]
        for j in range(k):
            m, source = M[i, j], first + np.uint64(j)
            if m != 0.0:
                for l in range(dim):
                    moved[i, l] += m * z[r, source, l]
    for i in range(k):
        to = first + np.uint64(i)
        for l in range(dim):
            z[r, to, l] = moved[i, l]


@kept
def run_mixture_replicas(
    domains, keep, begin, end, first_replica, t0, M, b, c, o, batch, u, shares, cumulative, weights, k0, k1, parts,
    noise_part, z,
):  # fmt: skip
    """Take the replicas begin .. end - 1 of a block through a chunk of n steps that begins at step t0.

    M (n, k, k), b, c (n, k), o, u (n + 1, k); batch (n,) int64, 0 for the full gradient; shares, cumulative (N, n, K),
    cumulative the running sums of the shares, those of row r % N for replica r of the block; weights (n, K). Where no
    step is taken (n = 0), c has a row all the same, to look at. z (replicas, parts k, D) float64 is changed in place;
    replica r of the block is replica first_replica + r of the ensemble. parts = 2: noiseless run and noise alone, under
    the same draws.
    """
    n, k, size = b.shape[0], b.shape[1], domains.root.shape[1]
    root, optima, noise = domains.root, domains.optima, domains.noise
    dim, last = np.uint64(size), root.shape[0] - 1
    x, point, gradient = np.zeros(size), np.zeros((2, size)), np.zeros((2, size))
    moved = np.empty((k, size))
    words, more = np.empty(STRIP, np.uint32), np.empty(STRIP, np.uint32)
    labels, window, p = np.empty(LANES), np.empty(1, np.int64), np.empty(2)
    for r in range(begin, end):
        if keep.ended[r] >= 0:
            _end(r, keep.ended[r], np.int64(0), keep)
            continue
        replica, who = np.uint64(first_replica + r), r % shares.shape[0]
        window[0] = -1
        for at in range(n + 1):
            slot, step = keep.slots[at], np.uint64(t0 + at)
            if slot >= 0:
                rest = 0.0
                for j in range(k):
                    rest += o[at, j] * u[at, j]
                for part in range(parts):
                    _point(z, r, np.uint64(part * k), o[at], dim, point, part)
                _record(domains, point, parts, rest, r, slot, keep)
            # Not at the end of a chunk, unless it is recorded: the next one looks there.
            if slot >= 0 or (at < n and (t0 + at) % CHECK == 0):
                near, rest = min(at, n - 1), 0.0
                for j in range(k):
                    rest += c[near, j] * u[at, j]
                for part in range(parts):
                    _point(z, r, np.uint64(part * k), c[near], dim, point, part)
                if not _worst(root, optima, point, parts, rest, dim) <= keep.limit:
                    _end(r, t0 + at, at, keep)
                    break
            if at == n:
                break
            rest = 0.0
            for j in range(k):
                rest += c[at, j] * u[at, j]
            for part in range(parts):
                _point(z, r, np.uint64(part * k), c[at], dim, point, part)
            gradient[:, :] = 0.0
            B = batch[at]
            for part in range(parts):
                if B == 0:
                    # The noise's own trajectory, where there are two, is about 0.
                    own = rest if part == 0 else 0.0
                    _mean_gradient(root, optima, shares[who, at], weights[at], point, part, own, dim, gradient)
            for s in range(B):
                sample = np.uint64(s)
                domain = min(draw_category(step, replica, sample, cumulative[who, at], k0, k1), last)
                for base in range(np.uint64(0), dim, np.uint64(STRIP)):
                    tiles = min(np.uint64(STRIP), dim - base) // np.uint64(TILE)
                    draw_strip(
                        domains.law[domain], step, replica, sample, base, tiles, k0, k1, words, more, x, base,
                        domains.degrees[domain], domains.threshold[domain], domains.size[domain],
                    )  # fmt: skip
                for part in range(parts):
                    p[part] = _inner(root, optima, domain, x, point, part, rest if part == 0 else 0.0, dim)
                if noise_part >= 0:
                    draw_labels(step, replica, sample, B == 1, k0, k1, labels, window)
                    p[noise_part] -= noise[domain] * labels[(step if B == 1 else sample) % np.uint64(LANES)]
                for part in range(parts):
                    _gather(root, domain, x, weights[at, domain] * p[part] / B, dim, gradient, part)
            for part in range(parts):
                _move(z, r, np.uint64(part * k), M[at], b[at], dim, gradient, part, moved)
