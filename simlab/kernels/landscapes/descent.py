"""Stochastic descent on a landscape: 64 replicas side by side, each step a few loops over them that vectorise.

    y = c . z,    g = grad L(y) - noise,    z <- M z - b g,    w = o . z

in the landscape's own coordinates, z measured from the origin. Replica r always sits in lane r % 64, so that its bits
do not depend on how the ensemble is cut. Coordinate i of the noise reads the words that `simlab.kernels.random.philox`
gives coordinate i of sample 0, as additive noise of `simlab.sample` does: the two see the same draws.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from numba import njit, types
from numba.extending import overload

from simlab.kernels.compiling import FUSED, INLINED, compiled_only, hot, inlined, kept
from simlab.kernels.landscapes.fields import sine_cosine
from simlab.kernels.landscapes.river_noise import across_the_river
from simlab.kernels.landscapes.strips import turned_gradient, turned_loss
from simlab.kernels.random.laws import gaussian_pair
from simlab.kernels.random.philox import FEATURES, LANES, TILE, counter_word, philox

__all__ = [
    "CHECK", "DIAGONAL", "FACTOR", "NO_NOISE", "SHAPED", "Noisy", "Terrain", "Watch", "add_noise", "look", "own_run",
    "run",
]  # fmt: skip

NO_NOISE, DIAGONAL, FACTOR, SHAPED = range(4)
CHECK = 64
"""Every so many steps a replica is looked at for divergence."""


class Terrain(NamedTuple):
    """A landscape as `strips` takes it; loss and gradient are a code each, or compiled functions."""

    loss: Any
    gradient: Any
    params: npt.NDArray[np.float64]
    rotation: npt.NDArray[np.float64]
    hills: npt.NDArray[np.float64]


class Noisy(NamedTuple):
    """The noise of one sample's gradient, from standard normals xi (dim,).

    kind : NO_NOISE; DIAGONAL, diagonal_i xi_i; FACTOR, factor @ xi; SHAPED, shape(y, params, xi, out): the user's own,
    or where `shape` is a number that across the curve y = a sin kx, params sigma, a, k; or where it is an `Across` that
    across a river among more coordinates (`simlab.kernels.landscapes.river_noise`).
    by_loss, floor : with by_loss > 0 all of it times sqrt(by_loss max(L(y) - floor, 0)).
    """

    kind: int
    diagonal: npt.NDArray[np.float64]
    factor: npt.NDArray[np.float64]
    by_loss: float
    floor: float
    shape: Any
    params: npt.NDArray[np.float64]


class Watch(NamedTuple):
    """What is kept. slots (n + 1,) int64 : record number of each iterate of the chunk, or -1.

    loss (records, lanes) and point (records, dim, lanes) of w = o . z.  limit : loss at which a replica has diverged.
    ended (lanes,) int64 : the step at which it did, or -1.
    """

    slots: npt.NDArray[np.int64]
    loss: npt.NDArray[np.float64]
    point: npt.NDArray[np.float64]
    limit: float
    ended: npt.NDArray[np.int64]


# -- noise -------------------------------------------------------------------------------------------------------------


@hot(fastmath=FUSED)
def _firsts(words, out):
    """One normal from each pair of words, where no coordinate takes the other."""
    for l in range(LANES):
        first, _ = gaussian_pair(words[0, l], words[1, l], out[l])
        out[l] = first


@hot(fastmath=FUSED)
def _pairs(words, out, other):
    for l in range(LANES):
        first, second = gaussian_pair(words[0, l], words[1, l], out[l])
        out[l] = first
        other[l] = second


@hot
def _normals(words, xi, first):
    """The coordinates `first` and first + 64, as far as there are such."""
    if first + LANES < xi.shape[0]:
        _pairs(words, xi[first], xi[first + LANES])
    elif first < xi.shape[0]:
        _firsts(words, xi[first])


@hot
def strip_normals(step, replica, dim, k0, k1, words, xi):
    """xi (dim, 64): the standard normals of coordinates 0 .. dim - 1 of replicas replica .. replica + 63 at a step.

    words (4, 64) uint32 is scratch. Counters are uint64.
    """
    half = np.uint64(LANES // 2)
    word = counter_word(FEATURES, 0)
    for start in range(0, dim, TILE):
        for j in range(min(LANES, dim - start)):
            block = np.uint64(LANES * (start // TILE) + j)
            for l in range(half):
                a0, a1, a2, a3 = philox(step, replica + l, block, word, k0, k1)
                b0, b1, b2, b3 = philox(step, replica + l + half, block, word, k0, k1)
                words[0, l], words[1, l], words[2, l], words[3, l] = a0, a1, a2, a3
                words[0, l + half], words[1, l + half], words[2, l + half], words[3, l + half] = b0, b1, b2, b3
            _normals(words, xi, start + j)
            _normals(words[2:], xi, start + j + 2 * LANES)


@hot(fastmath=FUSED)
def _across_the_curve(y, params, xi, out):
    """sigma (n . xi) n with n the unit normal of y = a sin kx at x."""
    sigma, turn, k = params[0], params[1] * params[2], params[2]
    for l in range(LANES):
        _, cosine = sine_cosine(k * y[0, l])
        t = turn * cosine
        size = sigma * (xi[1, l] - t * xi[0, l]) / (1.0 + t * t)
        out[0, l] = -t * size
        out[1, l] = size


@compiled_only
def shape_noise(shape, y, params, xi, out):
    """out[:, l] = noise at y[:, l] from xi[:, l], by the user's function or across a river."""


@overload(shape_noise, jit_options=INLINED)
def _shape_noise(shape, y, params, xi, out):
    if isinstance(shape, types.Integer):
        return lambda shape, y, params, xi, out: _across_the_curve(y, params, xi, out)
    if isinstance(shape, types.BaseNamedTuple):
        return lambda shape, y, params, xi, out: across_the_river(shape.field, y, params, xi, out)

    def one_by_one(shape, y, params, xi, out):
        for l in range(y.shape[1]):
            shape(y[:, l], params, xi[:, l], out[:, l])

    return one_by_one


@hot(fastmath=FUSED)
def _subtract(g, xi, size, factor):
    """g -= factor[l] size_i xi."""
    for i in range(g.shape[0]):
        s = size[i]
        for l in range(LANES):
            g[i, l] -= (factor[l] * s) * xi[i, l]


@hot(fastmath=FUSED)
def _mix(factor, xi, out):
    """out = factor @ xi."""
    for i in range(out.shape[0]):
        for l in range(LANES):
            out[i, l] = factor[i, 0] * xi[0, l]
        for j in range(1, out.shape[0]):
            f = factor[i, j]
            for l in range(LANES):
                out[i, l] += f * xi[j, l]


@hot(fastmath=FUSED)
def _amplitudes(amplitude, by_loss, floor, loss, out):
    for l in range(LANES):
        above = loss[l] - floor
        out[l] = amplitude * np.sqrt(by_loss * (above if above > 0.0 else 0.0))


@inlined
def add_noise(terrain, noisy, step, replica, amplitude, k0, k1, y, g, buffers, words, ones, amplitudes, loss):
    xi, mixed, u = buffers[0], buffers[1], buffers[2]
    strip_normals(step, replica, y.shape[0], k0, k1, words, xi)
    if noisy.by_loss > 0.0:
        turned_loss(terrain.loss, y, terrain.params, terrain.rotation, terrain.hills, u, loss)
        _amplitudes(amplitude, noisy.by_loss, noisy.floor, loss, amplitudes)
    else:
        amplitudes[:] = amplitude
    if noisy.kind == DIAGONAL:
        _subtract(g, xi, noisy.diagonal, amplitudes)
    else:
        if noisy.kind == FACTOR:
            _mix(noisy.factor, xi, mixed)
        else:
            shape_noise(noisy.shape, y, noisy.params, xi, mixed)
        _subtract(g, mixed, ones, amplitudes)


# -- steps -------------------------------------------------------------------------------------------------------------


@hot(fastmath=FUSED)
def combine(weights, z, out):
    """out = sum_j weights_j z_j, over flat rows."""
    if weights.size == 1:
        c0 = weights[0]
        for l in range(out.size):
            out[l] = c0 * z[0, l]
    elif weights.size == 2:
        c0, c1 = weights[0], weights[1]
        for l in range(out.size):
            out[l] = c0 * z[0, l] + c1 * z[1, l]
    else:
        for l in range(out.size):
            out[l] = weights[0] * z[0, l]
        for j in range(1, weights.size):
            c = weights[j]
            for l in range(out.size):
                out[l] += c * z[j, l]


@hot(fastmath=FUSED)
def _move(M, b, z, g, spare):
    """z <- M z - b g, over flat rows; spare (k, .) is scratch for k > 3."""
    k = b.size
    if k == 1:
        m, b0 = M[0, 0], b[0]
        for l in range(g.size):
            z[0, l] = m * z[0, l] - b0 * g[l]
    elif k == 2:
        m00, m01, m10, m11, b0, b1 = M[0, 0], M[0, 1], M[1, 0], M[1, 1], b[0], b[1]
        for l in range(g.size):
            z0, z1 = z[0, l], z[1, l]
            z[0, l] = m00 * z0 + m01 * z1 - b0 * g[l]
            z[1, l] = m10 * z0 + m11 * z1 - b1 * g[l]
    elif k == 3:
        m00, m01, m02, m10, m11, m12 = M[0, 0], M[0, 1], M[0, 2], M[1, 0], M[1, 1], M[1, 2]
        m20, m21, m22, b0, b1, b2 = M[2, 0], M[2, 1], M[2, 2], b[0], b[1], b[2]
        for l in range(g.size):
            z0, z1, z2 = z[0, l], z[1, l], z[2, l]
            z[0, l] = m00 * z0 + m01 * z1 + m02 * z2 - b0 * g[l]
            z[1, l] = m10 * z0 + m11 * z1 + m12 * z2 - b1 * g[l]
            z[2, l] = m20 * z0 + m21 * z1 + m22 * z2 - b2 * g[l]
    else:
        for i in range(k):
            for l in range(g.size):
                spare[i, l] = -b[i] * g[l]
            for j in range(k):
                m = M[i, j]
                for l in range(g.size):
                    spare[i, l] += m * z[j, l]
        for i in range(k):
            for l in range(g.size):
                z[i, l] = spare[i, l]


@inlined
def look(terrain, watch, o, step, slot, first, flat, y, u, loss):
    """Losses of the iterates o . z: who has left the landscape, and what is recorded."""
    combine(o, flat, y.reshape(-1))
    turned_loss(terrain.loss, y, terrain.params, terrain.rotation, terrain.hills, u, loss)
    for l in range(LANES):
        if watch.ended[first + l] < 0 and not loss[l] <= watch.limit:
            watch.ended[first + l] = step
    if slot >= 0:
        for l in range(LANES):
            watch.loss[slot, first + l] = loss[l]
        for i in range(y.shape[0]):
            for l in range(LANES):
                watch.point[slot, i, first + l] = y[i, l]


def _run(terrain, noisy, watch, begin, end, first_replica, t0, M, b, c, o, amplitude, k0, k1, z):
    """Take the lanes begin .. end - 1 (multiples of 64) through a chunk of n steps that begins at step t0.

    M (n, k, k), b, c (n, k), o (n + 1, k), amplitude (n,) = 1 / sqrt(B_t). z (k, dim, lanes) is changed in place; lane
    l is replica first_replica + l.
    """
    n, k, dim = b.shape[0], b.shape[1], z.shape[1]
    state = np.empty((k, dim, LANES))
    flat = state.reshape(k, dim * LANES)
    spare = np.empty((k if k > 3 else 1, dim * LANES))
    y, g, buffers = np.empty((dim, LANES)), np.empty((dim, LANES)), np.empty((3, dim, LANES))
    words, ones, amplitudes, loss = np.empty((4, LANES), np.uint32), np.ones(dim), np.empty(LANES), np.empty(LANES)
    for first in range(begin, end, LANES):
        for j in range(k):
            for i in range(dim):
                for l in range(LANES):
                    state[j, i, l] = z[j, i, first + l]
        replica = np.uint64(first_replica + first)
        for at in range(n + 1):
            slot = watch.slots[at]
            if slot >= 0 or (at < n and (t0 + at) % CHECK == 0):
                look(terrain, watch, o[at], t0 + at, slot, first, flat, y, buffers[2], loss)
            if at == n:
                break
            combine(c[at], flat, y.reshape(-1))
            turned_gradient(
                terrain.gradient, y, terrain.params, terrain.rotation, terrain.hills, buffers[1], buffers[2], g
            )  # fmt: skip
            if noisy.kind != NO_NOISE and amplitude[at] > 0.0:
                add_noise(
                    terrain, noisy, np.uint64(t0 + at), replica, amplitude[at], k0, k1, y, g, buffers, words, ones,
                    amplitudes, loss,
                )  # fmt: skip
            _move(M[at], b[at], flat, g.reshape(-1), spare)
        for j in range(k):
            for i in range(dim):
                for l in range(LANES):
                    z[j, i, first + l] = state[j, i, l]


run = kept(_run)
own_run = njit(nogil=True)(_run)
"""The same with functions of the user's own: Numba cannot keep these on disk."""
