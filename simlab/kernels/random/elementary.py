"""-log u, sine and cosine, and powers of two, as polynomials that vectorise: no call into libm.

Each exists in single and in double precision, made from the same formulas. The coefficients are minimax (single) or
interpolate at Chebyshev points (double); their errors stand beside them, and tests/kernels/test_normals.py measures the
result against mpmath.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numba import njit

from simlab.kernels.random.bits import double_bits, double_of, single_bits, single_of

__all__ = ["DOUBLE", "SINGLE", "Elementary"]


class Elementary(NamedTuple):
    """The compiled functions of one precision. Words are uint32; u = (word + 1/2) / 2^32 lies strictly within 0 and 1.

    minus_log(word): -log u >= 0.  quarter(word): (sin, cos) of an angle uniform within +-pi/4 from the low 30 bits.
    expm1(x): 2^(x / log 2) - 1 for 0 <= x < 80.  signed(x, word): x with the sign bit of `word` flipped in.
    unit(word): 2 u - 1.
    """

    minus_log: object
    quarter: object
    expm1: object
    signed: object
    unit: object


@njit(inline="always")
def _horner(x, coefficients):
    value = coefficients[-1]
    for j in range(len(coefficients) - 2, -1, -1):
        value = value * x + coefficients[j]
    return value


# (log(1 + m) - m) / m^2 on +-1/3; (sin t / t - 1) / t^2 and (cos t - 1) / t^2 in t^2 up to (pi/4)^2; (2^f - 1) / f on
# +-1/2. Errors of log, sin, cos, 2^f: 4e-8, 2e-9, 3e-8, 4e-9 (single); 4e-17, 1e-17, 1e-19, 1e-19 (double).
_SINGLE = (
    (-0.4999983200, 0.3333804234, -0.2501434142, 0.1978435930, -0.1630744473, 0.1719421290, -0.1591865688),
    (-0.1666665067, 0.008331978664, -0.0001949563654),
    (-0.4999989478, 0.0416562946, -0.001359782401),
    (0.6931471880, 0.2402265076, 0.0555035711, 0.0096180826, 0.0013390863, 0.0001545316),
)  # fmt: skip
_DOUBLE = (
    (-0.5, 0.3333333333333481, -0.2500000000000141, 0.19999999999206225, -0.1666666666590747, 0.14285714410934616,
     -0.1250000011976352, 0.11111102157630344, -0.09999991436909654, 0.09091254547025297, -0.08333663713810503,
     0.07684522197499431, -0.07135411852746434, 0.06771715436405688, -0.06350448925617135, 0.05055487955972401,
     -0.047650256559680026, 0.0865985096404782, -0.08246332137456423),
    (-0.16666666666666666, 0.008333333333330948, -0.00019841269836758574, 2.755731610255244e-06,
     -2.5051131845003624e-08, 1.5918129294866608e-10),
    (-0.5, 0.04166666666666664, -0.0013888888888880775, 2.480158729369346e-05, -2.7557315566341895e-07,
     2.0875886738047052e-09, -1.1367998654022494e-11),
    (0.6931471805599453, 0.24022650695910072, 0.055504108664821625, 0.00961812910762848, 0.001333355814640647,
     0.00015403530393370734, 1.5252733841556773e-05, 1.3215486808705563e-06, 1.0178057087733941e-07,
     7.0548973041554995e-09, 4.4558179083360645e-10, 2.5729324177362305e-11),
)  # fmt: skip


@njit(inline="always")
def _split_single(v):
    """(m, e) with v = (1 + m) 2^e, m within +-1/3: near v = 2^e the logarithm loses nothing."""
    bits = np.int32(np.uint32(single_bits(v)) - np.uint32(0x3F2AAAAB))
    exponent = np.float32(np.int32(bits >> np.int32(23)))
    mantissa = np.uint32(np.uint32(np.uint32(bits) & np.uint32(0x7FFFFF)) + np.uint32(0x3F2AAAAB))
    return single_of(mantissa) - np.float32(1.0), exponent


@njit(inline="always")
def _split_double(v):
    bits = np.int64(double_bits(v) - np.uint64(0x3FE5555555555555))
    exponent = np.float64(bits >> np.int64(52))
    mantissa = (np.uint64(bits) & np.uint64(0xFFFFFFFFFFFFF)) + np.uint64(0x3FE5555555555555)
    return double_of(mantissa) - 1.0, exponent


@njit(inline="always")
def _signed_single(x, word):
    return single_of(np.uint32(np.uint32(single_bits(x)) ^ np.uint32(np.uint32(word) & np.uint32(0x80000000))))


@njit(inline="always")
def _signed_double(x, word):
    return double_of(double_bits(x) ^ ((np.uint64(word) & np.uint64(0x80000000)) << np.uint64(32)))


@njit(inline="always")
def _power_single(n):
    return single_of(np.uint32(np.int32(np.int32(n) + np.int32(127)) << np.int32(23)))


@njit(inline="always")
def _power_double(n):
    return double_of(np.uint64(np.int64(np.int64(n) + np.int64(1023)) << np.int64(52)))


def _make(real, coefficients, split, signed_of, power) -> Elementary:
    LOG, SIN, COS, EXP = (tuple(real(c) for c in row) for row in coefficients)
    # Even and odd powers apart: LLVM unrolls only short loops before it vectorises.
    LOG_EVEN, LOG_ODD = LOG[::2], LOG[1::2]
    LN2, HALF, ONE, ZERO, BITS = real(math.log(2.0)), real(0.5), real(1.0), real(0.0), real(32.0)
    INVERSE_LN2, EIGHTH = real(1.0 / math.log(2.0)), real(math.pi / 4.0 / 2**31)
    SIGNED_UNIT = real(2.0**-31)

    @njit(inline="always")
    def minus_log(word):
        m, exponent = split(real(word) + HALF)
        square = m * m
        value = (BITS - exponent) * LN2 - ((_horner(square, LOG_ODD) * m + _horner(square, LOG_EVEN)) * square + m)
        # Rounding to single precision makes the largest words 2^32, whose logarithm may come out a rounding below 0.
        return value if value > ZERO else ZERO

    @njit(inline="always")
    def quarter(word):
        t = real(np.int32(np.uint32(word << np.uint32(2)))) * EIGHTH
        square = t * t
        return (_horner(square, SIN) * square) * t + t, _horner(square, COS) * square + ONE

    @njit(inline="always")
    def expm1(x):
        turns = x * INVERSE_LN2
        n = real(np.int32(turns + HALF))
        f = turns - n
        two = power(n)
        return (two - ONE) + two * (_horner(f, EXP) * f)

    @njit(inline="always")
    def signed(x, word):
        return signed_of(x, word)

    @njit(inline="always")
    def unit(word):
        return (real(np.int32(word)) + HALF) * SIGNED_UNIT

    return Elementary(minus_log, quarter, expm1, signed, unit)


SINGLE = _make(np.float32, _SINGLE, _split_single, _signed_single, _power_single)
DOUBLE = _make(np.float64, _DOUBLE, _split_double, _signed_double, _power_double)
