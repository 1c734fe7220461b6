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
from simlab.kernels.layers import take
from simlab.kernels.puts import put, put_rows
from simlab.kernels.random.philox import LANES

__all__ = ["own_run", "run"]


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
    summary[names.STEP], summary[names.BASE], summary[names.PREVIOUS] = step, base, memory[lane, memory.shape[1] - 1]
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


@inlined
def _weights(state, origin, out):
    """w where the origin's row is what it is seen from the iterate's place."""
    for i in range(state.shape[1]):
        for l in range(LANES):
            out[i * LANES + l] = state[0, i, l] + state[origin, i, l]


@inlined
def _all_of_a_lane(state, first, start, l, g, field, slope, away):
    """The gradient, w_0 - w and the fields of one lane, as a feedback that sees all weights is given them."""
    for i in range(g.shape[0]):
        slope[i], away[i] = g[i, l], start[i] - state[0, i, l]
        for j in range(field.shape[0]):
            field[j, i] = state[first + j, i, l]


@inlined
def _step_of_a_lane(rule, p, rate, edges, levels, rows, origin, state, first, field, l, slope, held, room, weights,
                    step, out):  # fmt: skip
    """The step of a rule in one lane, whose dials p are its own; the fields (f, dim) of the feedback are kept."""
    for i in range(slope.size):
        weights[i] = state[0, i, l] + state[origin, i, l] if origin < state.shape[0] else 0.0
        for j in range(rows):
            held[j, i] = state[1 + j, i, l]
        for j in range(field.shape[0]):
            state[first + j, i, l] = field[j, i]
    take(rule, p, rate, held, 0, slope, room, weights, edges, levels, 1, step)
    for i in range(slope.size):
        out[i, l] = step[i]
        for j in range(rows):
            state[1 + j, i, l] = held[j, i]


@inlined
def _memories(state, first, memory):
    """memory (LANES, n) <- what the rows from `first` on hold, dim numbers each."""
    for l in range(LANES):
        for j in range(memory.shape[1]):
            memory[l, j] = state[first + j // state.shape[1], j % state.shape[1], l]


@inlined
def _memories_back(memory, state, first):
    for l in range(LANES):
        for j in range(memory.shape[1]):
            state[first + j // state.shape[1], j % state.shape[1], l] = memory[l, j]


def _run(
    terrain, noisy, watch, begin, end, first_replica, t0, dials, amplitude, k0, k1, start, edges, levels, fault, rule,
    rows, pulled, own, feedback, whole, gains, fields, remembers, chooses, z,
):  # fmt: skip
    """Take the lanes begin .. end - 1 (multiples of 64) through a chunk of n steps that begins at step t0.

    dials (n, DIALS), amplitude (n,) = 1 / sqrt(B_t), start (dim,). z (k, dim, lanes) : the iterate, `rows` of the
    rule, the origin where it is `pulled` to it, and of a feedback the last gradient, its `fields` and, number by
    number, its memory. own, feedback, whole, remembers : see `simlab.kernels.replicas.adaptive.run_rules`; here no
    feedback `chooses` batches.  fault (1 + SUMMARY,) : what a feedback gave that is no rate, and the summary that it
    made it of.
    """
    n, k, dim = dials.shape[0], z.shape[0], z.shape[1]
    state = np.empty((k, dim, LANES))
    flat = state.reshape(k, dim * LANES)
    y, g, buffers = np.empty((dim, LANES)), np.empty((dim, LANES)), np.empty((3, dim, LANES))
    square, out, weights = np.empty(dim * LANES), np.empty((dim, LANES)), np.zeros(dim * LANES)
    words, ones, amplitudes, loss = np.empty((4, LANES), np.uint32), np.ones(dim), np.empty(LANES), np.empty(LANES)
    one, rates, shares = np.ones(1), np.ones(LANES), np.empty(LANES)
    held, slope, step = np.empty((rows, dim)), np.empty(dim), np.empty(dim)
    field, away, room, own_weights = np.empty((fields, dim)), np.empty(dim), np.empty(dim), np.zeros(dim)
    loops = feedback is not None or whole is not None
    memory, summary = np.zeros((LANES, remembers + 1 if loops else 0)), np.zeros(names.SUMMARY)
    p, before = np.empty(dials.shape[1]), rows + 1 + (1 if pulled else 0)
    within = rule == names.LARS or rule == names.LAMB
    for first in range(begin, end, LANES):
        for j in range(k):
            for i in range(dim):
                for l in range(LANES):
                    state[j, i, l] = z[j, i, first + l]
        if loops:
            _memories(state, before + 1 + fields, memory)
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
            put(dials[at], p)
            rate = p[names.RATE]
            if loops:
                turned_loss(terrain.loss, y, terrain.params, terrain.rotation, terrain.hills, buffers[2], loss)
                for l in range(LANES):
                    _measured(state, before, start, g, loss, t0 + at, dials[at, names.RATE], l, memory, summary)
                    if feedback is not None:
                        rates[l] = feedback(summary, memory[l], gains)
                    if whole is not None:
                        put(dials[at], p)
                        _all_of_a_lane(state, before + 1, start, l, g, field, slope, away)
                        rates[l] = whole(summary, memory[l], gains, field, slope, away, p)
                        _step_of_a_lane(
                            rule, p, rates[l], edges, levels, rows, rows + 1, state, before + 1, field, l, slope, held,
                            room, own_weights, step, out,
                        )  # fmt: skip
                        shares[l] = rates[l] * p[names.DECAY]
                    else:
                        shares[l] = rates[l] * dials[at, names.DECAY]
                    memory[l, remembers] = rates[l]
                    if watch.ended[first + l] < 0 and not 0.0 <= rates[l] < np.inf and np.isfinite(loss[l]):
                        put(summary, fault[1:])
                        fault[0] = rates[l]
            else:
                for l in range(LANES):
                    shares[l] = rate * p[names.DECAY]
            if own is not None:
                _own_steps(own, state, rows, g, rate, held, slope, step, out)
            elif whole is None:
                if within:
                    _weights(state, rows + 1, weights)
                one_rate = 1.0 if loops else rate
                take(rule, p, one_rate, flat, 1, g.reshape(-1), square, weights, edges, levels, LANES, out.reshape(-1))
            if whole is not None:
                for l in range(LANES):
                    rates[l] = 1.0
            if pulled and not within:
                _pulled(state, rows + 1, shares)
            _moved(state, out, rates)
        if loops:
            _memories_back(memory, state, before + 1 + fields)
        for j in range(k):
            for i in range(dim):
                for l in range(LANES):
                    z[j, i, first + l] = state[j, i, l]


run = kept(_run)
own_run = njit(nogil=True)(_run)
"""The same with a landscape of the user's own: Numba cannot keep it on disk."""
