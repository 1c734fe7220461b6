"""A step of a mixture of two domains in one pass, for k = 1 and 2: every row is read once, and what lies between stays
in registers (see `mixture` for the equations, `mixture_moves` for the rows).
"""

from __future__ import annotations

import numpy as np

from simlab.kernels.compiling import FAST, hot
from simlab.kernels.moments.mixture_moves import ROW, WIDE, move_2_moment

__all__ = ["step_of_two"]


@hot(error_model="numpy", fastmath=FAST)
def _noise(y, V, W, l0, l1, own0, own1, delta, rest, share, of):
    """h, the mean gradient, and the noise of bias and of variance, of one direction.

    own : kurtosis - 1 of each domain.  of : q_k, r_k / B, and what stands with lam_k in the noise of both parts.
    """
    q0, q1, r0, r1, p0, p1, v0, v1 = of
    x0, x1, other = q0 * l0, q1 * l1, y + rest * delta
    h, g = x0 + x1, x0 * y + x1 * other
    own0, own1 = r0 * own0 * l0, r1 * own1 * l1
    full = share * h * h
    bias = l0 * (own0 * (V + y * y) + p0) + l1 * (own1 * (V + other * other) + p1) - full * V - share * g * g
    return h, g, bias, l0 * (own0 * W + v0) + l1 * (own1 * W + v1) - full * W


@hot(error_model="numpy", fastmath=FAST)
def _step_1(t, following, M, b, c, share, rest, rest_after, of, X, stride, Q):
    m, push, e, f = M[t, 0, 0], b[t, 0], c[t, 0], c[following, 0]
    slope, square, now, then = -push * e, push * push, e * e, f * f
    bias_0 = bias_1 = variance_0 = variance_1 = 0.0
    for at in range(np.uint64(0), np.uint64(X.size), stride):
        for i in range(at, at + WIDE):
            l0, l1, delta = X[i + ROW[15]], X[i + ROW[16]], X[i + ROW[18]]
            z, C, D = X[i + ROW[12]], X[i + ROW[13]], X[i + ROW[14]]
            h, g, n, o = _noise(
                e * z, now * C, now * D, l0, l1, X[i + ROW[19]], X[i + ROW[20]], delta, rest, share, of
            )  # fmt: skip
            a = slope * h + m
            a = a * a
            z, C, D = m * z - push * g, a * C + square * n, a * D + square * o
            X[i + ROW[12]], X[i + ROW[13]], X[i + ROW[14]] = z, C, D
            y, V, W = f * z, then * C, then * D
            bias_0 += l0 * (V + y * y)
            variance_0 += l0 * W
            y += rest_after * delta
            bias_1 += l1 * (V + y * y)
            variance_1 += l1 * W
    Q[0, 0], Q[0, 1], Q[1, 0], Q[1, 1] = bias_0, bias_1, variance_0, variance_1


@hot(error_model="numpy", fastmath=FAST)
def _step_2(t, following, M, b, c, share, rest, rest_after, of, X, stride, Q):
    m00, m01, m10, m11 = M[t, 0, 0], M[t, 0, 1], M[t, 1, 0], M[t, 1, 1]
    b0, b1, c0, c1, e, f = b[t, 0], b[t, 1], c[t, 0], c[t, 1], c[following, 0], c[following, 1]
    d00, d01, d10, d11 = b0 * c0, b0 * c1, b1 * c0, b1 * c1
    k00, k01, k11 = b0 * b0, b0 * b1, b1 * b1
    w00, w01, w11, q00, q01, q11 = c0 * c0, 2.0 * c0 * c1, c1 * c1, e * e, 2.0 * e * f, f * f
    bias_0 = bias_1 = variance_0 = variance_1 = 0.0
    for at in range(np.uint64(0), np.uint64(X.size), stride):
        for i in range(at, at + WIDE):
            l0, l1, delta = X[i + ROW[20]], X[i + ROW[21]], X[i + ROW[23]]
            z0, z1 = X[i + ROW[12]], X[i + ROW[13]]
            x, y, z = X[i + ROW[14]], X[i + ROW[15]], X[i + ROW[16]]
            u, v, w = X[i + ROW[17]], X[i + ROW[18]], X[i + ROW[19]]
            h, g, n, o = _noise(
                c0 * z0 + c1 * z1, w00 * x + w01 * y + w11 * z, w00 * u + w01 * v + w11 * w, l0, l1, X[i + ROW[24]],
                X[i + ROW[25]], delta, rest, share, of,
            )  # fmt: skip
            a00, a01, a10, a11 = m00 - h * d00, m01 - h * d01, m10 - h * d10, m11 - h * d11
            z0, z1 = m00 * z0 + m01 * z1 - b0 * g, m10 * z0 + m11 * z1 - b1 * g
            x, y, z = move_2_moment(a00, a01, a10, a11, x, y, z, n * k00, n * k01, n * k11)
            u, v, w = move_2_moment(a00, a01, a10, a11, u, v, w, o * k00, o * k01, o * k11)
            X[i + ROW[12]], X[i + ROW[13]] = z0, z1
            X[i + ROW[14]], X[i + ROW[15]], X[i + ROW[16]] = x, y, z
            X[i + ROW[17]], X[i + ROW[18]], X[i + ROW[19]] = u, v, w
            off, V, W = e * z0 + f * z1, q00 * x + q01 * y + q11 * z, q00 * u + q01 * v + q11 * w
            bias_0 += l0 * (V + off * off)
            variance_0 += l0 * W
            off += rest_after * delta
            bias_1 += l1 * (V + off * off)
            variance_1 += l1 * W
    Q[0, 0], Q[0, 1], Q[1, 0], Q[1, 1] = bias_0, bias_1, variance_0, variance_1


@hot(error_model="numpy", fastmath=FAST)
def step_of_two(t, following, M, b, c, share, rest, rest_after, p, weight, pull, X, stride, Q):
    """Step t of all tiles, k = 1 or 2, and Q (2, 2) where the step `following` takes its gradient.

    share = 1/B; rest, rest_after : c . u of both; p, weight (2,) : shares and loss weights; pull (2, 2) : what stands
    with lam_k, 1/B left out. The first domain's delta is zero.
    """
    q0, q1 = p[0] * weight[0], p[1] * weight[1]
    of = (
        q0, q1, share * q0 * weight[0], share * q1 * weight[1],
        share * pull[0, 0], share * pull[0, 1], share * pull[1, 0], share * pull[1, 1],
    )  # fmt: skip
    if b.shape[1] == 1:
        _step_1(t, following, M, b, c, share, rest, rest_after, of, X, stride, Q)
    else:
        _step_2(t, following, M, b, c, share, rest, rest_after, of, X, stride, Q)
