"""Steps of methods that are not linear, coordinate by coordinate: sign descent and what divides by past gradients.

A rule is a code of `simlab.kernels.dials`; its state is rows of z (rows, n), of which it owns those from `first` on.
What it takes of a step is a row of dials: the learning rate scales the whole step, and all else is free of it. Which
methods these are, and whose formulas, `simlab.methods.adaptive` says.
"""

from __future__ import annotations

import numpy as np

from simlab.kernels import dials as names
from simlab.kernels.compiling import FUSED, hot

__all__ = ["heavy", "steps"]


@hot(fastmath=FUSED)
def _signs(rate, g, out):
    for l in range(g.size):
        out[l] = rate * np.sign(g[l])


@hot(fastmath=FUSED)
def _signs_of_momentum(rate, before, own, after, fresh, z, m, g, out):
    """Signs of before m + own g, and m <- after m + fresh g; of SIGNUM they are the same."""
    for l in range(g.size):
        old = z[m, l]
        out[l] = rate * np.sign(before * old + own * g[l])
        z[m, l] = after * old + fresh * g[l]


@hot(fastmath=FUSED)
def _rms(rate, p, z, v, g, square, out):
    b2, a2, fresh, eps = p[names.B2], p[names.A2], p[names.FRESH], p[names.EPS]
    for l in range(g.size):
        new = b2 * z[v, l] + a2 * square[l] + fresh
        z[v, l] = new
        out[l] = rate * g[l] / (np.sqrt(new) + eps)


@hot(fastmath=FUSED)
def heavy(rate, b1, z, m, out):
    """m <- b1 m + out; out <- rate m."""
    for l in range(out.size):
        new = b1 * z[m, l] + out[l]
        z[m, l] = new
        out[l] = rate * new


@hot(fastmath=FUSED)
def _adam(rate, p, z, m, g, square, out):
    b1, a1, b2, a2 = p[names.B1], p[names.A1], p[names.B2], p[names.A2]
    cm, cg, cv, eps = p[names.CM], p[names.CG], p[names.CV], p[names.EPS]
    v = m + 1
    for l in range(g.size):
        first, second = b1 * z[m, l] + a1 * g[l], b2 * z[v, l] + a2 * square[l]
        z[m, l], z[v, l] = first, second
        out[l] = rate * (cm * first + cg * g[l]) / (cv * np.sqrt(second) + eps)


@hot(fastmath=FUSED)
def _amsgrad(rate, p, z, m, g, square, out):
    b1, a1, b2, a2 = p[names.B1], p[names.A1], p[names.B2], p[names.A2]
    cm, cv, eps = p[names.CM], p[names.CV], p[names.EPS]
    v = m + 1
    for l in range(g.size):
        first, second = b1 * z[m, l] + a1 * g[l], b2 * z[v, l] + a2 * square[l]
        z[m, l], z[v, l] = first, second
        top = max(z[v + 1, l], second)
        z[v + 1, l] = top
        out[l] = rate * cm * first / (cv * np.sqrt(top) + eps)


@hot(fastmath=FUSED)
def _bound(rate, p, z, m, g, square, out):
    b1, a1, b2, a2 = p[names.B1], p[names.A1], p[names.B2], p[names.A2]
    cm, cv, eps, low, high = p[names.CM], p[names.CV], p[names.EPS], p[names.LOW], p[names.HIGH]
    v = m + 1
    for l in range(g.size):
        first, second = b1 * z[m, l] + a1 * g[l], b2 * z[v, l] + a2 * square[l]
        z[m, l], z[v, l] = first, second
        out[l] = rate * min(max(cm / (cv * np.sqrt(second) + eps), low), high) * first


@hot(fastmath=FUSED)
def _mod(rate, p, z, m, g, square, out):
    b1, a1, b2, a2 = p[names.B1], p[names.A1], p[names.B2], p[names.A2]
    cm, cv, eps, b3 = p[names.CM], p[names.CV], p[names.EPS], p[names.LOW]
    v, fresh = m + 1, b3 * 0 + 1 - b3
    for l in range(g.size):
        first, second = b1 * z[m, l] + a1 * g[l], b2 * z[v, l] + a2 * square[l]
        z[m, l], z[v, l] = first, second
        own = rate * cm / (cv * np.sqrt(second) + eps)
        mean = b3 * z[v + 1, l] + fresh * own
        z[v + 1, l] = mean
        out[l] = min(own, mean) * first


@hot
def steps(rule, p, rate, z, first, g, square, out):
    """out (n,) <- the step that the rule takes along the gradients g (n,), its rows of z (k, n) moved on.

    p (DIALS,) : the dials of this step, of the precision of z.  rate : the learning rate, PLAIN's step being rate g.
    square (n,) : g^2, or a mean of it over blocks.
    """
    if rule == names.PLAIN:
        for l in range(g.size):
            out[l] = rate * g[l]
    elif rule == names.SIGN:
        _signs(rate, g, out)
    elif rule in (names.SIGNUM, names.LION):
        before, own = (p[names.B1], p[names.A1]) if rule == names.SIGNUM else (p[names.B2], p[names.A2])
        _signs_of_momentum(rate, before, own, p[names.B1], p[names.A1], z, first, g, out)
    elif rule == names.RMS:
        _rms(rate, p, z, first, g, square, out)
    elif rule == names.RMS_HEAVY:
        _rms(p[names.CM], p, z, first, g, square, out)
        heavy(rate, p[names.B1], z, first + 1, out)
    elif rule == names.ADAM:
        _adam(rate, p, z, first, g, square, out)
    elif rule == names.AMSGRAD:
        _amsgrad(rate, p, z, first, g, square, out)
    elif rule == names.BOUND:
        _bound(rate, p, z, first, g, square, out)
    elif rule == names.MOD:
        _mod(rate, p, z, first, g, square, out)
