"""What rules do block by block: means and norms over a block of coordinates, and states kept in few bits.

Arrays are (dim * lanes,), coordinate i of a lane at i lanes + lane; edges (blocks + 1,) : where blocks begin, and dim.
"""

from __future__ import annotations

import numpy as np

from simlab.kernels import dials as names
from simlab.kernels.compiling import FUSED, hot
from simlab.kernels.rounding import few_bits
from simlab.kernels.rules import heavy, steps

__all__ = ["take"]


@hot(fastmath=FUSED)
def _squares(g, square):
    for l in range(g.size):
        square[l] = g[l] * g[l]


@hot
def _average_by_block(edges, lanes, square):
    """Mean of squares over the coordinates edges_j .. edges_j+1 - 1 of every lane, in their place."""
    for j in range(edges.size - 1):
        first, last = edges[j], edges[j + 1]
        for lane in range(lanes):
            total = 0.0
            for i in range(first, last):
                total += square[i * lanes + lane]
            for i in range(first, last):
                square[i * lanes + lane] = total / (last - first)


@hot
def _norm(values, first, last, lanes, lane):
    total = 0.0
    for i in range(first, last):
        total += values[i * lanes + lane] ** 2
    return np.sqrt(total)


@hot
def _by_layer(rule, p, rate, z, first, g, square, weights, edges, lanes, out):
    """out <- the step of LARS or LAMB along the gradients g, its rows of z (k, dim * lanes) moved on.

    weights : w as decay and norms see it. A block whose weights or step are 0 takes the step as it is.
    """
    decay, trust, eps = p[names.DECAY], p[names.TRUST], p[names.EPS]
    if rule == names.LAMB:
        steps(names.ADAM, p, p[names.ONE], z, first, g, square, out)
    else:
        for l in range(out.size):
            out[l] = g[l]
    for j in range(edges.size - 1):
        begin, end = edges[j], edges[j + 1]
        for lane in range(lanes):
            size = _norm(weights, begin, end, lanes, lane)
            own = _norm(out, begin, end, lanes, lane)
            for i in range(begin, end):
                out[i * lanes + lane] += decay * weights[i * lanes + lane]
            if rule == names.LAMB:
                own = _norm(out, begin, end, lanes, lane)
                scale = rate * size / own if size > 0.0 and own > 0.0 else rate
            else:
                scale = trust * size / (own + decay * size + eps) if size > 0.0 and own > 0.0 else 1.0
            for i in range(begin, end):
                out[i * lanes + lane] *= scale
    if rule == names.LARS:
        heavy(rate, p[names.B1], z, first, out)


@hot
def take(rule, p, rate, z, first, g, square, weights, edges, levels, lanes, out):
    """out (n,) <- the step of a rule along the gradients g (n,), its rows of z (k, n), from `first` on, moved on.

    square (n,) is room; weights (n,) are read by LARS and LAMB alone.  levels : what m and what v is rounded to, over
    the largest of its block, two `Levels`, which are empty where they are kept whole.
    """
    _squares(g, square)
    if rule == names.LARS or rule == names.LAMB:
        _by_layer(rule, p, rate, z, first, g, square, weights, edges, lanes, out)
        return
    rounds = levels[0].values.size > 0
    if edges.size and not rounds:
        _average_by_block(edges, lanes, square)
    steps(rule, p, rate, z, first, g, square, out)
    if rounds:
        few_bits(levels[0], edges, lanes, z, first, square)
        few_bits(levels[1], edges, lanes, z, first + 1, square)
