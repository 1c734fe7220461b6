"""Loss and gradient of the built-in landscapes at one point.

A landscape is one of the codes below and the numbers `params`; w (dim,). `strips` takes many points.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from simlab.kernels.compiling import inlined
from simlab.kernels.random.bits import double_bits, double_of

__all__ = ["BIGRAM", "CURVED", "FUNCTIONS", "HYPERBOLIC", "STRAIGHT", "TAPERED", "sine_cosine"]

STRAIGHT, CURVED, TAPERED, HYPERBOLIC, BIGRAM = range(5)

_PI_HIGH, _PI_MID, _PI_LOW = 1.5707963267341256, 6.077100506303966e-11, 2.0222662487959506e-21
_TWO_OVER_PI, _ROUND = 2.0 / math.pi, 6755399441055744.0


@njit(inline="always")
def sine_cosine(x):
    """(sin x, cos x) to a few units in the last place for |x| < 10^5; bounded beyond; vectorises.

    Reduced by multiples of pi / 2 in three parts (Cody and Waite 1980), then the polynomials of Taylor, cut where the
    next term is below 1e-17.
    """
    shifted = x * _TWO_OVER_PI + _ROUND
    n = shifted - _ROUND
    bits = double_bits(shifted)
    r = ((x - n * _PI_HIGH) - n * _PI_MID) - n * _PI_LOW
    q = r * r
    s = -7.647163731819816e-13 * q + 1.6059043836821613e-10
    s = (s * q - 2.505210838544172e-08) * q + 2.7557319223985893e-06
    s = (s * q - 0.0001984126984126984) * q + 0.008333333333333333
    s = (s * q - 0.16666666666666666) * (q * r) + r
    c = 4.779477332387385e-14 * q - 1.1470745597729725e-11
    c = (c * q + 2.08767569878681e-09) * q - 2.755731922398589e-07
    c = (c * q + 2.48015873015873e-05) * q - 0.001388888888888889
    c = ((c * q + 0.041666666666666664) * q - 0.5) * q + 1.0
    odd = (bits & np.uint64(1)) != np.uint64(0)
    sine, cosine = (c if odd else s), (s if odd else c)
    flip = (bits & np.uint64(2)) << np.uint64(62)
    flop = ((bits + np.uint64(1)) & np.uint64(2)) << np.uint64(62)
    return double_of(double_bits(sine) ^ flip), double_of(double_bits(cosine) ^ flop)


# -- straight: -s x + mu / 2 (x - x*)^2 + 1/2 sum lam_i y_i^2; params s, mu, x*, lam_1 .. lam_d ------------------------


@inlined
def straight_loss(w, params):
    x = w[0]
    value = 0.5 * params[1] * (x - params[2]) ** 2 - params[0] * x
    for i in range(1, w.size):
        value += 0.5 * params[2 + i] * w[i] * w[i]
    return value


@inlined
def straight_gradient(w, params, out):
    out[0] = params[1] * (w[0] - params[2]) - params[0]
    for i in range(1, w.size):
        out[i] = params[2 + i] * w[i]


# -- curved: -s x + mu / 2 (x - x*)^2 + lam / 2 (y - a sin kx)^2; params s, mu, x*, lam, a, k --------------------------


@inlined
def curved_loss(w, params):
    height = w[1] - params[4] * math.sin(params[5] * w[0])
    return 0.5 * params[1] * (w[0] - params[2]) ** 2 - params[0] * w[0] + 0.5 * params[3] * height * height


@inlined
def curved_gradient(w, params, out):
    phase = params[5] * w[0]
    steep = params[3] * (w[1] - params[4] * math.sin(phase))
    out[0] = params[1] * (w[0] - params[2]) - params[0] - steep * params[4] * params[5] * math.cos(phase)
    out[1] = steep


# -- tapered: -s x + mu / 2 (x - x*)^2 + 1/2 lam_i(x) y_i^2, lam_i from its value far behind to that far ahead of x_c --
#    params s, mu, x*, x_c, width, first_1 .. first_d, last_1 .. last_d


@njit(inline="always")
def _taper(x, centre, width):
    """A smooth step from 0 to 1 and its derivative: (1 + u / sqrt(1 + u^2)) / 2, u = (x - centre) / width."""
    u = (x - centre) / width
    inverse = 1.0 / np.sqrt(1.0 + u * u)
    return 0.5 * (1.0 + u * inverse), 0.5 * inverse * inverse * inverse / width


@inlined
def tapered_loss(w, params):
    x, d = w[0], w.size - 1
    share, _ = _taper(x, params[3], params[4])
    value = 0.5 * params[1] * (x - params[2]) ** 2 - params[0] * x
    for i in range(d):
        lam = params[5 + i] + share * (params[5 + d + i] - params[5 + i])
        value += 0.5 * lam * w[1 + i] * w[1 + i]
    return value


@inlined
def tapered_gradient(w, params, out):
    x, d = w[0], w.size - 1
    share, rate = _taper(x, params[3], params[4])
    out[0] = params[1] * (x - params[2]) - params[0]
    for i in range(d):
        rise = params[5 + d + i] - params[5 + i]
        out[0] += 0.5 * rate * rise * w[1 + i] * w[1 + i]
        out[1 + i] = (params[5 + i] + share * rise) * w[1 + i]


# -- hyperbolic: 1/2 (w1 w2 - 1)^2 + log(1 + exp(-w1)); no params ------------------------------------------------------


@inlined
def hyperbolic_loss(w, params):
    miss = w[0] * w[1] - 1.0
    tail = math.log1p(math.exp(-abs(w[0])))
    return 0.5 * miss * miss + (tail if w[0] > 0.0 else tail - w[0])


@inlined
def hyperbolic_gradient(w, params, out):
    miss = w[0] * w[1] - 1.0
    small = math.exp(-abs(w[0]))
    out[0] = miss * w[1] - (small if w[0] > 0.0 else 1.0) / (1.0 + small)
    out[1] = miss * w[0]


# -- bigram: sum_b weight_b [log sum_v exp w_bv - sum_v q_bv w_bv - entropy_b]; params blocks, vocabulary,
#    weight (blocks,), entropy (blocks,), q (blocks * vocabulary,) -----------------------------------------------------


@njit(inline="always")
def _log_partition(w, first, count):
    top = w[first]
    for v in range(first + 1, first + count):
        top = max(top, w[v])
    total = 0.0
    for v in range(first, first + count):
        total += math.exp(w[v] - top)
    return top + math.log(total)


@inlined
def bigram_loss(w, params):
    blocks, count = int(params[0]), int(params[1])
    value = 0.0
    for b in range(blocks):
        part = _log_partition(w, b * count, count) - params[2 + blocks + b]
        for v in range(b * count, (b + 1) * count):
            part -= params[2 + 2 * blocks + v] * w[v]
        value += params[2 + b] * part
    return value


@inlined
def bigram_gradient(w, params, out):
    blocks, count = int(params[0]), int(params[1])
    for b in range(blocks):
        logarithm = _log_partition(w, b * count, count)
        for v in range(b * count, (b + 1) * count):
            out[v] = params[2 + b] * (math.exp(w[v] - logarithm) - params[2 + 2 * blocks + v])


FUNCTIONS = {
    STRAIGHT: (straight_loss, straight_gradient),
    CURVED: (curved_loss, curved_gradient),
    TAPERED: (tapered_loss, tapered_gradient),
    HYPERBOLIC: (hyperbolic_loss, hyperbolic_gradient),
    BIGRAM: (bigram_loss, bigram_gradient),
}
"""(loss, gradient) of one point, by code."""
