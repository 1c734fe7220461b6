"""The nodes of `mixture_blocks` for k = 2, where what a block does to a direction is (l_1, l_2) -> matrices.

The optima of both domains, and the mean, are seen through three numbers of a direction at the beginning of a block,
u_0 being the first entry of u there,

    alpha = m_0,  m_0 + delta u_0,  m_1 u_0 - m_0 u_1

of which the first is 0 at the optimum of the first domain, the second at that of the second, and the third does not
depend on where one measures from. With w = the product of M times (0, 1 / u_0),

    z_1 = alpha_1 u / u_0 + alpha_3 w - sum_a alpha_a dev_a,     z_2 = alpha_2 u / u_0 + alpha_3 w - the same
    C   = sum_e (B_e + F_e) C_e + sum_ab alpha_a alpha_b G_ab + G_bias

and D likewise, where B_e is what the product of M makes of the symmetric matrix with a 1 at entry e (00, 01, 11), and
dev, F and G vanish at l = 0. All symmetric matrices U of a node move as one: with p = M (B + U) c, V = c . (B + U) c,

    U <- M U M^T - h (b p^T + p b^T) + [ (h^2 + own - h^2 / B) V + source ] b b^T
"""

from __future__ import annotations

import numpy as np

from simlab.kernels.compiling import FAST, hot
from simlab.kernels.moments.mixture_moves import ROW, WIDE
from simlab.kernels.moments.mixture_nodes_1 import NODE

__all__ = ["bring_up_to_date_2", "step_of_nodes_2", "weights_2"]

# Rows: l_k; (kurtosis_k - 1) l_k^2; dev (3, 2); 11 matrices of 3 entries, G of the pairs 11, 12, 13, 22, 23, 33, F of
# the entries 00, 01, 11, G_bias, G_variance; from 43 on the weights of the pairs (twice, where they are two), of C, of
# D, of 1; from 56 on what a step makes: sources of the 11 matrices, h, what stands with V, and what is seen of the
# tail, bias and variance.
MOVED = 39


@hot(error_model="numpy", fastmath=FAST)
def weights_2(u, X, tail, stride, L, count, Z, held):
    """The sums of the tail from the offset `tail` on at the beginning of a block; held is scratch. u (2,) of now."""
    for i in range(NODE[43], NODE[56]):
        Z[i] = 0.0
    of = np.uint64(0)
    for at in range(tail, np.uint64(X.size), stride):
        for i in range(WIDE):
            x = X[at + i + ROW[12]]
            y = x + u[0] * X[at + i + ROW[23]]
            z = u[0] * X[at + i + ROW[13]] - u[1] * x
            held[i], held[i + ROW[1]], held[i + ROW[2]] = x * x, 2.0 * x * y, 2.0 * x * z
            held[i + ROW[3]], held[i + ROW[4]], held[i + ROW[5]] = y * y, 2.0 * y * z, z * z
            for row in range(np.uint64(6)):
                held[i + ROW[6] + row * WIDE] = X[at + i + ROW[14] + row * WIDE]
            held[i + ROW[12]] = 1.0
        for n in range(np.uint64(count)):
            for row in range(np.uint64(13)):
                total = 0.0
                for i in range(WIDE):
                    total += L[of + i] * held[i + row * WIDE]
                Z[n + NODE[43] + row * NODE[1]] += total
            of += WIDE


@hot(error_model="numpy", fastmath=FAST)
def bring_up_to_date_2(u, now, w, B, X, tail, stride, L, count, Z, held, to):
    """The tail after the steps of a block, from X into `to`, which may be X.

    u, now (2,) : at its beginning, and now.  w (2,), B (3, 3) : see above, B[e] what has become of entry e.
    """
    of = np.uint64(0)
    for at in range(tail, np.uint64(X.size), stride):
        for i in range(np.uint64(MOVED) * WIDE):
            held[i] = 0.0
        for n in range(np.uint64(count)):
            for row in range(np.uint64(MOVED)):
                f = Z[n + NODE[4] + row * NODE[1]]
                for i in range(WIDE):
                    held[i + row * WIDE] += L[of + i] * f
            of += WIDE
        for i in range(WIDE):
            x = X[at + i + ROW[12]]
            y = x + u[0] * X[at + i + ROW[23]]
            z = u[0] * X[at + i + ROW[13]] - u[1] * x
            x2, xy, xz, y2, yz, z2 = x * x, 2.0 * x * y, 2.0 * x * z, y * y, 2.0 * y * z, z * z
            for p in range(np.uint64(2)):
                row = i + p * WIDE
                off = x * held[row] + y * held[row + ROW[2]] + z * held[row + ROW[4]]
                to[at + row + ROW[12]] = (x / u[0]) * now[p] + z * w[p] - off
            C0, C1, C2 = X[at + i + ROW[14]], X[at + i + ROW[15]], X[at + i + ROW[16]]
            D0, D1, D2 = X[at + i + ROW[17]], X[at + i + ROW[18]], X[at + i + ROW[19]]
            for e in range(np.uint64(3)):
                row = i + ROW[6] + e * WIDE
                own = x2 * held[row] + xy * held[row + ROW[3]] + xz * held[row + ROW[6]]
                own += y2 * held[row + ROW[9]] + yz * held[row + ROW[12]] + z2 * held[row + ROW[15]]
                f0, f1 = B[0, e] + held[row + ROW[18]], B[1, e] + held[row + ROW[21]]
                f2 = B[2, e] + held[row + ROW[24]]
                row = at + i + e * WIDE
                to[row + ROW[14]] = f0 * C0 + f1 * C1 + f2 * C2 + own + held[i + ROW[6] + e * WIDE + ROW[27]]
                to[row + ROW[17]] = f0 * D0 + f1 * D1 + f2 * D2 + held[i + ROW[6] + e * WIDE + ROW[30]]


@hot(error_model="numpy", fastmath=FAST)
def _sources(t, M, b, c, rho, omega, x0, x1, r0, r1, share, p0, p1, v0, v1, count, Z):
    """The means of the nodes through a step, and what it adds to their matrices.

    rho, omega : c . u / u_0 and c . w.  The rest as in `mixture_blocks`.
    """
    m00, m01, m10, m11 = M[t, 0, 0], M[t, 0, 1], M[t, 1, 0], M[t, 1, 1]
    b0, b1, c0, c1 = b[t, 0], b[t, 1], c[t, 0], c[t, 1]
    for i in range(np.uint64(count)):
        l0, l1 = Z[i], Z[i + NODE[1]]
        h0, h1, own0, own1 = x0 * l0, x1 * l1, r0 * Z[i + NODE[2]], r1 * Z[i + NODE[3]]
        d00, d01, d10, d11 = Z[i + NODE[4]], Z[i + NODE[5]], Z[i + NODE[6]], Z[i + NODE[7]]
        d20, d21, h = Z[i + NODE[8]], Z[i + NODE[9]], h0 + h1
        e0, e1, y2 = c0 * d00 + c1 * d01, c0 * d10 + c1 * d11, omega - (c0 * d20 + c1 * d21)
        y0, y1 = rho - e0, rho - e1
        g0, g1, g2 = h0 * y0 - h1 * e0, h1 * y1 - h0 * e1, h * y2
        s0, s1 = share * g0, share * g1
        Z[i + NODE[56]] = own0 * y0 * y0 + own1 * e0 * e0 - s0 * g0
        Z[i + NODE[57]] = -own0 * y0 * e1 - own1 * e0 * y1 - s0 * g1
        Z[i + NODE[58]] = (own0 * y0 - own1 * e0) * y2 - s0 * g2
        Z[i + NODE[59]] = own0 * e1 * e1 + own1 * y1 * y1 - s1 * g1
        Z[i + NODE[60]] = (own1 * y1 - own0 * e1) * y2 - s1 * g2
        Z[i + NODE[61]] = (own0 + own1) * y2 * y2 - share * g2 * g2
        Z[i + NODE[62]], Z[i + NODE[63]], Z[i + NODE[64]] = 0.0, 0.0, 0.0
        Z[i + NODE[65]], Z[i + NODE[66]] = p0 * l0 + p1 * l1, v0 * l0 + v1 * l1
        Z[i + NODE[67]] = h
        Z[i + NODE[68]] = own0 + own1 + (1.0 - share) * h * h
        Z[i + NODE[69]], Z[i + NODE[70]] = 0.0, 0.0
        Z[i + NODE[4]], Z[i + NODE[5]] = m00 * d00 + m01 * d01 + b0 * g0, m10 * d00 + m11 * d01 + b1 * g0
        Z[i + NODE[6]], Z[i + NODE[7]] = m00 * d10 + m01 * d11 + b0 * g1, m10 * d10 + m11 * d11 + b1 * g1
        Z[i + NODE[8]], Z[i + NODE[9]] = m00 * d20 + m01 * d21 + b0 * g2, m10 * d20 + m11 * d21 + b1 * g2


@hot(error_model="numpy", fastmath=FAST)
def _matrix(t, after, M, b, c, f0, f1, f2, seen, at, source, bias, variance, count, Z):
    """A symmetric matrix of every node, from the row at `at`, through a step; what the next gradient sees is added up.

    f : B before the step, seen : c . B c after it, with the c of step `after`.  bias, variance : rows of weights by
    which that counts for the bias and for the variance; 0 for not at all.
    """
    m00, m01, m10, m11 = M[t, 0, 0], M[t, 0, 1], M[t, 1, 0], M[t, 1, 1]
    b0, b1, c0, c1 = b[t, 0], b[t, 1], c[t, 0], c[t, 1]
    e0, e1, e2 = c[after, 0] * c[after, 0], 2.0 * c[after, 0] * c[after, 1], c[after, 1] * c[after, 1]
    b00, b01, b11 = b0 * b0, b0 * b1, b1 * b1
    for i in range(np.uint64(count)):
        x, y, z, h = Z[i + at], Z[i + at + NODE[1]], Z[i + at + NODE[2]], Z[i + NODE[67]]
        x1, y1, z1 = x + f0, y + f1, z + f2
        q0, q1 = c0 * x1 + c1 * y1, c0 * y1 + c1 * z1
        p0, p1 = h * (m00 * q0 + m01 * q1), h * (m10 * q0 + m11 * q1)
        n = Z[i + NODE[68]] * (c0 * q0 + c1 * q1) + Z[i + source]
        w0, w1, w2, w3 = m00 * x + m01 * y, m00 * y + m01 * z, m10 * x + m11 * y, m10 * y + m11 * z
        x = w0 * m00 + w1 * m01 + (n * b00 - 2.0 * b0 * p0)
        y = w0 * m10 + w1 * m11 + (n * b01 - (b0 * p1 + b1 * p0))
        z = w2 * m10 + w3 * m11 + (n * b11 - 2.0 * b1 * p1)
        Z[i + at], Z[i + at + NODE[1]], Z[i + at + NODE[2]] = x, y, z
        total = e0 * x + e1 * y + e2 * z + seen
        if bias != 0:
            Z[i + NODE[69]] += total * Z[i + bias]
        if variance != 0:
            Z[i + NODE[70]] += total * Z[i + variance]


@hot(error_model="numpy", fastmath=FAST)
def _seen(c0, c1, rho, omega, count, Z, Q):
    """What the nodes add to Q (2, 2) where the next gradient is taken, at c . z."""
    bias_0 = bias_1 = variance_0 = variance_1 = 0.0
    for i in range(np.uint64(count)):
        l0, l1, bias, variance = Z[i], Z[i + NODE[1]], Z[i + NODE[69]], Z[i + NODE[70]]
        e0, e1 = c0 * Z[i + NODE[4]] + c1 * Z[i + NODE[5]], c0 * Z[i + NODE[6]] + c1 * Z[i + NODE[7]]
        y2 = omega - (c0 * Z[i + NODE[8]] + c1 * Z[i + NODE[9]])
        y0, y1 = rho - e0, rho - e1
        w0, w1, w2, w3 = Z[i + NODE[43]], Z[i + NODE[44]], Z[i + NODE[45]], Z[i + NODE[46]]
        w4, bias = Z[i + NODE[47]], bias + Z[i + NODE[48]] * y2 * y2
        bias_0 += l0 * (bias + (w0 * y0 - w1 * e1 + w2 * y2) * y0 + (w3 * e1 - w4 * y2) * e1)
        bias_1 += l1 * (bias + (w0 * e0 - w1 * y1 - w2 * y2) * e0 + (w3 * y1 + w4 * y2) * y1)
        variance_0 += l0 * variance
        variance_1 += l1 * variance
    Q[0, 0] += bias_0
    Q[0, 1] += bias_1
    Q[1, 0] += variance_0
    Q[1, 1] += variance_1


@hot(error_model="numpy", fastmath=FAST)
def _moved(t, M, w, B):
    """w (2,) and B (3, 3) through a step."""
    m00, m01, m10, m11 = M[t, 0, 0], M[t, 0, 1], M[t, 1, 0], M[t, 1, 1]
    w[0], w[1] = m00 * w[0] + m01 * w[1], m10 * w[0] + m11 * w[1]
    for e in range(3):
        w0, w1 = m00 * B[e, 0] + m01 * B[e, 1], m00 * B[e, 1] + m01 * B[e, 2]
        w2, w3 = m10 * B[e, 0] + m11 * B[e, 1], m10 * B[e, 1] + m11 * B[e, 2]
        B[e, 0], B[e, 1], B[e, 2] = w0 * m00 + w1 * m01, w0 * m10 + w1 * m11, w2 * m10 + w3 * m11


@hot(error_model="numpy", fastmath=FAST)
def step_of_nodes_2(t, after, M, b, c, u, start, share, x0, x1, r0, r1, pull, w, B, before, count, Z, Q):
    """The nodes through step t, and what they add to Q where step `after` takes its gradient; w (2,) and B (3, 3) go
    along.

    start : u_0 where the block began.  before (3, 3) : scratch.  The rest as in `mixture_blocks`.
    """
    p0, p1, v0, v1 = share * pull[0, 0], share * pull[0, 1], share * pull[1, 0], share * pull[1, 1]
    rho, omega = (c[t, 0] * u[t, 0] + c[t, 1] * u[t, 1]) / start, c[t, 0] * w[0] + c[t, 1] * w[1]
    _sources(t, M, b, c, rho, omega, x0, x1, r0, r1, share, p0, p1, v0, v1, count, Z)
    for e in range(3):
        for f in range(3):
            before[e, f] = B[e, f]
    _moved(t, M, w, B)
    e0, e1 = c[after, 0], c[after, 1]
    none = NODE[0]
    _matrix(t, after, M, b, c, 0.0, 0.0, 0.0, 0.0, NODE[10], NODE[56], NODE[43], none, count, Z)
    _matrix(t, after, M, b, c, 0.0, 0.0, 0.0, 0.0, NODE[13], NODE[57], NODE[44], none, count, Z)
    _matrix(t, after, M, b, c, 0.0, 0.0, 0.0, 0.0, NODE[16], NODE[58], NODE[45], none, count, Z)
    _matrix(t, after, M, b, c, 0.0, 0.0, 0.0, 0.0, NODE[19], NODE[59], NODE[46], none, count, Z)
    _matrix(t, after, M, b, c, 0.0, 0.0, 0.0, 0.0, NODE[22], NODE[60], NODE[47], none, count, Z)
    _matrix(t, after, M, b, c, 0.0, 0.0, 0.0, 0.0, NODE[25], NODE[61], NODE[48], none, count, Z)
    seen = e0 * e0 * B[0, 0] + 2.0 * e0 * e1 * B[0, 1] + e1 * e1 * B[0, 2]
    f0, f1, f2 = before[0, 0], before[0, 1], before[0, 2]
    _matrix(t, after, M, b, c, f0, f1, f2, seen, NODE[28], NODE[62], NODE[49], NODE[52], count, Z)
    seen = e0 * e0 * B[1, 0] + 2.0 * e0 * e1 * B[1, 1] + e1 * e1 * B[1, 2]
    f0, f1, f2 = before[1, 0], before[1, 1], before[1, 2]
    _matrix(t, after, M, b, c, f0, f1, f2, seen, NODE[31], NODE[63], NODE[50], NODE[53], count, Z)
    seen = e0 * e0 * B[2, 0] + 2.0 * e0 * e1 * B[2, 1] + e1 * e1 * B[2, 2]
    f0, f1, f2 = before[2, 0], before[2, 1], before[2, 2]
    _matrix(t, after, M, b, c, f0, f1, f2, seen, NODE[34], NODE[64], NODE[51], NODE[54], count, Z)
    _matrix(t, after, M, b, c, 0.0, 0.0, 0.0, 0.0, NODE[37], NODE[65], NODE[55], none, count, Z)
    _matrix(t, after, M, b, c, 0.0, 0.0, 0.0, 0.0, NODE[40], NODE[66], none, NODE[55], count, Z)
    rho, omega = (e0 * u[t + 1, 0] + e1 * u[t + 1, 1]) / start, e0 * w[0] + e1 * w[1]
    _seen(e0, e1, rho, omega, count, Z, Q)
