"""The twin's loss at recorded steps, with its derivatives: forward sensitivities in the pass that computes the loss.

A run is cut into blocks of m steps at a relative rate x = lr / lr_ref. In each, exactly,

    norm     n <- x^pn + (n - x^pn) e^(-kappa x m),        a = x / sqrt(mean n)
    river    S <- S + m a^pb,                              b = B ((1 + S/tau) / (1 + S_ref/tau))^-s
    walls    h <- a^-g + (h - a^-g) e^(-m a / 2000)
    valley   v_i <- e^-y_i v_i + f 2 lam_i q_i (1 - e^-y_i) / y_i,   y_i = 2 lam_i m a^pv h (1 + c R)
             f = m a^(pv + psi) h max(1 + kap b, 0),       q_i ~ lam_i^u e^(-lam_i/lam_c),  sum_i q_i = Q

with R = sum_i v_i of the block before and h = 1 at first; the loss is L0 + b + R. `theta` holds, in this order: L0, log
B, s, log tau, log Q, u, log lam_c, log kappa, log n(0), c, psi, pb, pv, pn, kap, g. Rows of `slopes` are derivatives of
the rates by whatever else they depend on: their tangents follow those of theta.
"""

from __future__ import annotations

import numpy as np

from simlab.kernels.compiling import FAST, kept

SIZE = 16
"""Entries of theta."""

_L0, _B, _S, _TAU, _Q, _U, _CUT, _KAPPA, _START, _C, _PSI, _PB, _PV, _PN, _KAP, _G = range(SIZE)

TURN = 1.0 / 2000.0
"""Share of the way to their equilibrium that the walls' curvatures go in a step at rate 1."""


@kept(error_model="numpy", fastmath=FAST)
def walk(counts, rates, edges, theta, reference, lam, slopes, loss, river, valley, jacobian):
    """Loss, river (K,) and valley (K, N) at the block edges `edges` (K,), ascending; the derivatives into jacobian.

    counts, rates (blocks,): steps m and x of each block.  reference : S_ref.  lam (N,), per step at lr_ref.  slopes
    (blocks, M).  jacobian (K, 16 + M), or (0, 0) where no derivatives are wanted.
    """
    K, N, M = edges.size, lam.size, slopes.shape[1]
    wanted = jacobian.shape[0] > 0
    P = SIZE + M if wanted else 0
    tau, cut, kappa, n = np.exp(theta[_TAU]), np.exp(theta[_CUT]), np.exp(theta[_KAPPA]), np.exp(theta[_START])
    s, stiff, psi, pb, pv, pn, kap = theta[_S], theta[_C], theta[_PSI], theta[_PB], theta[_PV], theta[_PN], theta[_KAP]
    g, h = theta[_G], 1.0
    far = reference / tau

    q, by_u, by_cut = np.empty(N), np.empty(N), np.empty(N)
    total = mean_log = mean_cut = 0.0
    for i in range(N):
        q[i] = np.exp(theta[_U] * np.log(lam[i]) - lam[i] / cut)
        total += q[i]
    for i in range(N):
        q[i] *= np.exp(theta[_Q]) / total
        mean_log += q[i] * np.log(lam[i]) / np.exp(theta[_Q])
        mean_cut += q[i] * lam[i] / cut / np.exp(theta[_Q])
    for i in range(N):
        by_u[i] = q[i] * (np.log(lam[i]) - mean_log)
        by_cut[i] = q[i] * (lam[i] / cut - mean_cut)

    v, e, own, force, gain = np.zeros(N), np.empty(N), np.empty(N), np.empty(N), np.empty(N)
    dv = np.zeros((P, N))
    tangents = np.zeros((8, P))
    dn, dS, db, dR, dlog, dY, dF, dh = (
        tangents[0], tangents[1], tangents[2], tangents[3], tangents[4], tangents[5], tangents[6], tangents[7],
    )  # fmt: skip
    if wanted:
        dn[_START] = n
    S = R = 0.0
    b = np.exp(theta[_B]) * (1.0 + far) ** s
    if wanted:
        db[_B], db[_S], db[_TAU] = b, b * np.log1p(far), -s * b * far / (1.0 + far)
    k = 0
    for j in range(counts.size + 1):
        while k < K and edges[k] == j:
            loss[k], river[k] = theta[_L0] + b + R, b
            for i in range(N):
                valley[k, i] = v[i]
            for p in range(P):
                jacobian[k, p] = db[p] + dR[p]
            if wanted:
                jacobian[k, _L0] = 1.0
            k += 1
        if k == K or j == counts.size:
            break
        m, x = counts[j], rates[j]
        if x <= 0.0:
            continue
        log_x = np.log(x)
        w = np.exp(pn * log_x)
        left = np.exp(-kappa * x * m)
        after = w + (n - w) * left
        middle = 0.5 * (n + after)
        log_a = log_x - 0.5 * np.log(middle)
        river_step, av, noise = m * np.exp(pb * log_a), np.exp(pv * log_a), np.exp(psi * log_a)
        S += river_step
        b = np.exp(theta[_B]) * ((1.0 + S / tau) / (1.0 + far)) ** -s
        c = 1.0 + stiff * R
        turn = TURN * m * np.exp(log_a)
        still, goal, left_walls = h, np.exp(-g * log_a), np.exp(-turn)
        h = goal + (still - goal) * left_walls
        lift = max(1.0 + kap * b, 0.0)  # noise has no negative power, however large the bias at first
        dlift = kap if lift > 0.0 else 0.0
        Y = m * av * h * c
        F = m * av * h * noise * lift

        for p in range(P):
            dx = slopes[j, p - SIZE] if p >= SIZE else 0.0
            dw = pn * w * dx / x
            if p == _PN:
                dw += w * log_x
            dleft = -left * kappa * m * dx
            if p == _KAPPA:
                dleft -= left * kappa * x * m
            new = dw * (1.0 - left) + left * dn[p] + (n - w) * dleft
            dlog[p] = dx / x - 0.25 * (dn[p] + new) / middle
            dn[p] = new
            dS[p] += pb * river_step * dlog[p]
            if p == _PB:
                dS[p] += river_step * log_a
            db[p] = -s * b * dS[p] / (tau + S)
            if p == _B:
                db[p] += b
            elif p == _S:
                db[p] -= b * np.log((1.0 + S / tau) / (1.0 + far))
            elif p == _TAU:
                db[p] += s * b * (S / (tau + S) - far / (1.0 + far))
            dgoal = -g * goal * dlog[p]
            if p == _G:
                dgoal -= log_a * goal
            dh[p] = dgoal * (1.0 - left_walls) + left_walls * dh[p] - (still - goal) * left_walls * turn * dlog[p]
            dY[p] = (pv * dlog[p] + dh[p] / h) * Y + m * av * h * stiff * dR[p]
            dF[p] = ((pv + psi) * dlog[p] + dh[p] / h) * F + m * av * h * noise * dlift * db[p]
            if p == _PV:
                dY[p] += Y * log_a
                dF[p] += F * log_a
            elif p == _PSI:
                dF[p] += F * log_a
            elif p == _C:
                dY[p] += m * av * h * R
            elif p == _KAP and lift > 0.0:
                dF[p] += m * av * h * noise * b
        n = after

        R = 0.0
        for i in range(N):
            l = 2.0 * lam[i]
            y = l * Y
            z = np.exp(-y)
            if y > 1e-3:
                part = (1.0 - z) / y
                bend = (z - part) / y
            else:
                part = 1.0 - y * (0.5 - y / 6.0)
                bend = -0.5 + y * (1.0 / 3.0 - y / 8.0)
            e[i], gain[i] = z, F * l * part
            own[i] = l * (F * l * q[i] * bend - z * v[i])
            force[i] = l * q[i] * part
            v[i] = z * v[i] + gain[i] * q[i]
            R += v[i]
        for p in range(1, P):
            dy, df, row, added = dY[p], dF[p], dv[p], 0.0
            for i in range(N):
                row[i] = e[i] * row[i] + own[i] * dy + force[i] * df
            if p == _Q:
                for i in range(N):
                    row[i] += gain[i] * q[i]
            elif p == _U:
                for i in range(N):
                    row[i] += gain[i] * by_u[i]
            elif p == _CUT:
                for i in range(N):
                    row[i] += gain[i] * by_cut[i]
            for i in range(N):
                added += row[i]
            dR[p] = added
