"""The same recursions as a user would write them in JAX and NumPy, and the machine's multiply-add rate."""

from __future__ import annotations

import time

import numpy as np
import pytest
from numba import njit


def _jax():
    jax = pytest.importorskip("jax", reason="jax is not installed: no peer to compare with")
    jax.config.update("jax_enable_x64", True)
    return jax


def jax_sgd(lam, signal, lr, noise):
    """A jitted lax.scan of the one-line recursion; returns a function () -> final risk."""
    jax = _jax()

    @jax.jit
    def run(lam, u, lr):
        square = lam * lam

        def step(state, rate):
            u, v = state
            keep = (1.0 - rate * lam) ** 2 + rate * rate * square
            push = rate * rate * square
            return (keep * u + push * u.sum(), keep * v + push * (v.sum() + noise)), None

        u, v = jax.lax.scan(step, (u, 0.0 * u), lr)[0]
        return 0.5 * (u.sum() + v.sum())

    args = tuple(jax.numpy.asarray(a) for a in (lam, signal, lr))
    return lambda: float(run(*args).block_until_ready())


def numpy_sgd(lam, signal, lr, noise):
    """The same in NumPy; returns the final risk."""
    u, v, square = signal.copy(), np.zeros_like(signal), lam * lam
    for rate in lr:
        keep = (1.0 - rate * lam) ** 2 + rate * rate * square
        push = rate * rate * square
        u, v = keep * u + push * u.sum(), keep * v + push * (v.sum() + noise)
    return 0.5 * (u.sum() + v.sum())


def jax_heavy_ball(lam, signal, lr, beta, noise):
    """k = 2 with the three moments written out by hand, the fastest of the JAX forms tried."""
    jax = _jax()
    jnp = jax.numpy
    sigma = jnp.array([0.0, noise])

    @jax.jit
    def run(lam, start, lr):
        def step(state, rate):
            x, y, z = state
            push = rate * rate * (lam * (x @ lam + sigma)[:, None] + lam * lam * x)
            a, b = 1.0 - rate * lam, -rate * lam
            p, q, r, s = a * x + beta * y, a * y + beta * z, b * x + beta * y, b * y + beta * z
            return (p * a + q * beta + push, p * b + q * beta + push, r * b + s * beta + push), None

        x = jax.lax.scan(step, start, lr)[0][0]
        return 0.5 * (x @ lam).sum()

    error = jnp.asarray(signal / lam)
    zero = jnp.zeros((2, lam.size))
    args = jnp.asarray(lam), (jnp.stack([error, 0.0 * error]), zero, zero), jnp.asarray(lr)
    return lambda: float(run(*args).block_until_ready())


def jax_heavy_ball_einsum(lam, signal, lr, beta, noise):
    """k = 2 as matrices, the natural way to write it."""
    jax = _jax()
    jnp = jax.numpy
    M, c, sigma = jnp.array([[1.0, beta], [0.0, beta]]), jnp.array([1.0, 0.0]), jnp.array([0.0, noise])

    @jax.jit
    def run(lam, P, lr):
        def step(P, rate):
            b = jnp.stack([rate, rate])
            A = M - lam[:, None, None] * jnp.outer(b, c)
            p = jnp.einsum("k,zikl,l->zi", c, P, c)
            push = lam * (p @ lam + sigma)[:, None] + lam**2 * p
            return jnp.einsum("iab,zibc,idc->ziad", A, P, A) + push[:, :, None, None] * jnp.outer(b, b), None

        return 0.5 * (jax.lax.scan(step, P, lr)[0][:, :, 0, 0] @ lam).sum()

    P = np.zeros((2, lam.size, 2, 2))
    P[0, :, 0, 0] = signal / lam
    args = tuple(jnp.asarray(a) for a in (lam, P, lr))
    return lambda: float(run(*args).block_until_ready())


@njit(fastmath=True)
def _spin(x, a, b, rounds):
    total = 0.0
    for _ in range(rounds):
        for i in range(x.size):
            v = x[i]
            for _ in range(32):
                v = v * a + b
            total += v
    return total


def fma_rate():
    """Multiply-adds a second of one core, 32 to a number that is loaded."""
    x = np.ones(2048)
    _spin(x, 0.999, 1e-9, 1)
    best = np.inf
    for _ in range(7):
        began = time.perf_counter()
        _spin(x, 0.999, 1e-9, 200)
        best = min(best, time.perf_counter() - began)
    return 200 * 32 * x.size / best
