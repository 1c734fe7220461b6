"""Stochastic descent by a rule that is not linear, in a landscape's own coordinates: 64 replicas side by side.

The gradient is that of `descent`, with the same noise; what a rule makes of it `simlab.kernels.rules` says.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from simlab.kernels import dials as names
from simlab.kernels.compiling import FUSED, hot, inlined, kept
from simlab.kernels.landscapes.descent import CHECK, NO_NOISE, add_noise, look
from simlab.kernels.landscapes.strips import turned_gradient, turned_loss
from simlab.kernels.puts import put, put_rows
from simlab.kernels.random.philox import LANES
from simlab.kernels.rules import average_by_block, steps

__all__ = ["own_run", "run"]


@hot(fastmath=FUSED)
def _squares(g, square):
    for l in range(g.size):
        square[l] = g[l] * g[l]


@hot(fastmath=FUSED)
def _pulled(state, origin, shares):
    for i in range(state.shape[1]):
        for l in range(LANES):
            state[0, i, l] -= shares[l] * (state[0, i, l] + state[origin, i, l])


@hot(fastmath=FUSED)
def _moved(state, out, rates):
    for i in range(out.shape[0]):
        for l in range(LANES):
            state[0, i, l] -= rates[l] * out[i, l]


@inlined
def _measured(state, before, start, g, loss, step, base, lane, memory, summary):
    """The summary of one replica; the gradient is kept as that of the step before."""
    square, product, back, distance = 0.0, 0.0, 0.0, 0.0
    for i in range(g.shape[0]):
        own = start[i] - state[0, i, lane]
        square += g[i, lane] * g[i, lane]
        product += g[i, lane] * state[before, i, lane]
        back += g[i, lane] * own
        distance += own * own
        state[before, i, lane] = g[i, lane]
    summary[names.STEP], summary[names.BASE], summary[names.PREVIOUS] = step, base, memory[lane, names.MEMORY]
    summary[names.LOSS], summary[names.SQUARE], summary[names.PRODUCT] = loss[lane], square, product
    summary[names.BACK], summary[names.DISTANCE] = back, np.sqrt(distance)
    summary[names.SLOPE] = summary[names.POWER] = summary[names.CURVATURE] = summary[names.RISK] = np.nan


@inlined
def _own_steps(own, state, rows, g, rate, held, slope, step, out):
    """The step of the user's rule, replica by replica; held (rows, dim), slope (dim,), step (dim,) are scratch."""
    for l in range(LANES):
        for i in range(g.shape[0]):
            slope[i] = g[i, l]
            for j in range(rows):
                held[j, i] = state[1 + j, i, l]
        own(held, slope, rate, step)
        for i in range(g.shape[0]):
            out[i, l] = step[i]
            for j in range(rows):
                state[1 + j, i, l] = held[j, i]


def _run(
    terrain, noisy, watch, begin, end, first_replica, t0, dials, amplitude, k0, k1, start, edges, fault, rule, rows,
    pulled, own, feedback, gains, z,
):  # fmt: skip
    """Take the lanes begin .. end - 1 (multiples of 64) through a chunk of n steps that begins at step t0.

    dials (n, DIALS), amplitude (n,) = 1 / sqrt(B_t), start (dim,). z (k, dim, lanes) : the iterate, `rows` of the
    rule, the origin where it is `pulled` to it, and of a feedback the last gradient and, number by number, its memory.
    own(state (rows, dim), g, rate, out) is a rule of the user's own, feedback(summary, memory, gains) gives the rate;
    or None.  fault (1 + SUMMARY,) : what a feedback gave that is no rate, and the summary that it made it of.
    """
    n, k, dim = dials.shape[0], z.shape[0], z.shape[1]
    state = np.empty((k, dim, LANES))
    flat = state.reshape(k, dim * LANES)
    y, g, buffers = np.empty((dim, LANES)), np.empty((dim, LANES)), np.empty((3, dim, LANES))
    square, out = np.empty(dim * LANES), np.empty((dim, LANES))
    words, ones, amplitudes, loss = np.empty((4, LANES), np.uint32), np.ones(dim), np.empty(LANES), np.empty(LANES)
    one, rates, shares = np.ones(1), np.ones(LANES), np.empty(LANES)
    held, slope, step = np.empty((rows, dim)), np.empty(dim), np.empty(dim)
    memory, summary, before = (
        np.zeros((LANES, names.MEMORY + 1)),
        np.zeros(names.SUMMARY),
        rows + 1 + (1 if pulled else 0),
    )
    for first in range(begin, end, LANES):
        for j in range(k):
            for i in range(dim):
                for l in range(LANES):
                    state[j, i, l] = z[j, i, first + l]
        if feedback is not None:
            for l in range(LANES):
                for j in range(names.MEMORY + 1):
                    memory[l, j] = state[before + 1 + j // dim, j % dim, l]
        replica = np.uint64(first_replica + first)
        for at in range(n + 1):
            slot = watch.slots[at]
            if slot >= 0 or (at < n and (t0 + at) % CHECK == 0):
                look(terrain, watch, one, t0 + at, slot, first, flat, y, buffers[2], loss)
            if at == n:
                break
            put_rows(state[0], y)
            turned_gradient(
                terrain.gradient, y, terrain.params, terrain.rotation, terrain.hills, buffers[1], buffers[2], g
            )  # fmt: skip
            if noisy.kind != NO_NOISE and amplitude[at] > 0.0:
                add_noise(
                    terrain, noisy, np.uint64(t0 + at), replica, amplitude[at], k0, k1, y, g, buffers, words, ones,
                    amplitudes, loss,
                )  # fmt: skip
            p = dials[at]
            rate = p[names.RATE]
            if feedback is not None:
                turned_loss(terrain.loss, y, terrain.params, terrain.rotation, terrain.hills, buffers[2], loss)
                for l in range(LANES):
                    _measured(state, before, start, g, loss, t0 + at, p[names.RATE], l, memory, summary)
                    rates[l] = feedback(summary, memory[l], gains)
                    memory[l, names.MEMORY] = rates[l]
                    if watch.ended[first + l] < 0 and not 0.0 <= rates[l] < np.inf and np.isfinite(loss[l]):
                        put(summary, fault[1:])
                        fault[0] = rates[l]
                rate = 1.0
            if own is not None:
                _own_steps(own, state, rows, g, rate, held, slope, step, out)
            else:
                _squares(g.reshape(-1), square)
                if edges.size:
                    average_by_block(edges, LANES, square)
                steps(rule, p, rate, flat, 1, g.reshape(-1), square, out.reshape(-1))
            if pulled:
                put(rates * (rate * p[names.DECAY]), shares)
                _pulled(state, rows + 1, shares)
            _moved(state, out, rates)
        if feedback is not None:
            for l in range(LANES):
                for j in range(names.MEMORY + 1):
                    state[before + 1 + j // dim, j % dim, l] = memory[l, j]
        for j in range(k):
            for i in range(dim):
                for l in range(LANES):
                    z[j, i, first + l] = state[j, i, l]


run = kept(_run)
own_run = njit(nogil=True)(_run)
"""The same with a landscape of the user's own: Numba cannot keep it on disk."""
