"""The weight norm under AdamW, step by step: effective rates, the rates that realise them, and the norm by itself."""

from __future__ import annotations

import numpy as np

from simlab.kernels.compiling import hot, kept


@hot(error_model="numpy")
def relaxed(x, n, kappa, power):
    """n after a step at the relative rate x: exactly, dn/dt = kappa x (x^power - n)."""
    w = x**power
    return w + (n - w) * np.exp(-kappa * x)


@kept(error_model="numpy")
def effective_rates(rates, kappa, start, power, out):
    """a = x / sqrt(mean n of the step), of relative rates x (T,); returns n at the end."""
    n = start
    for t in range(rates.size):
        x = rates[t]
        after = relaxed(x, n, kappa, power) if x > 0.0 else n
        out[t] = x / np.sqrt(0.5 * (n + after))
        n = after
    return n


@kept(error_model="numpy")
def realising_rates(wanted, kappa, start, power, out):
    """The x (T,) whose effective rates are `wanted` (T,): one root a step, by Newton's method within a bracket."""
    n = start
    for t in range(wanted.size):
        a = wanted[t]
        x = a * np.sqrt(n)
        low, high = 0.0, np.inf
        for _ in range(200):
            if x <= 0.0:
                break
            left = np.exp(-kappa * x)
            w = x**power
            mean = 0.5 * (n + w + (n - w) * left)
            value = x - a * np.sqrt(mean)
            if value > 0.0:
                high = x
            else:
                low = x
            if abs(value) <= 1e-15 * x:
                break
            slope = 0.5 * (power * w / x * (1.0 - left) - (n - w) * kappa * left)
            new = x - value / (1.0 - 0.5 * a * slope / np.sqrt(mean))
            if not low < new < high:
                new = 0.5 * (low + high) if high < np.inf else 2.0 * x
            if new == x:
                break
            x = new
        out[t] = x
        if x > 0.0:
            n = relaxed(x, n, kappa, power)


@kept(error_model="numpy")
def square_norm(rates, decay, start, growth, memory, out):
    """n (T + 1,), |w|^2 a weight, under dn/dt = C lr^2 - 2 lr wd n; C = growth g2 / vhat, g2 = 1 / (n lr).

    vhat is the mean of g2 over `memory` steps, corrected as Adam's is; memory 0: C = growth.
    """
    n, v, share = start, 0.0, 0.0
    keep = np.exp(-1.0 / memory) if memory > 0.0 else 0.0
    out[0] = n
    for t in range(rates.size):
        lr = rates[t]
        if lr > 0.0:
            g2 = 1.0 / (n * lr)
            v = keep * v + (1.0 - keep) * g2
            share = keep * share + (1.0 - keep)
            n = (1.0 - lr * decay) ** 2 * n + growth * g2 * share / v * lr * lr
        out[t + 1] = n
