"""Loss and gradient of a strip of points side by side, in loops that vectorise.

A strip is an array w (dim, lanes). A landscape is a code of `simlab.kernels.landscapes.fields` and the numbers
`params`, or a pair of compiled functions of the user's own, loss(w, params) -> float and gradient(w, params, out). Any
of them may be turned: w = Q u, where the first coordinates of u are the landscape's and the others hills of their own,
sum lam_i u_i^2 / 2.
"""

from __future__ import annotations

import numpy as np
from numba import njit, types
from numba.extending import overload

from simlab.kernels.compiling import FUSED, INLINED, compiled_only, hot, inlined, kept
from simlab.kernels.landscapes.fields import BIGRAM, CURVED, FUNCTIONS, HYPERBOLIC, STRAIGHT, TAPERED, sine_cosine

__all__ = [
    "gradients", "losses", "own_gradients", "own_losses", "strip_gradient", "strip_loss", "turned_back",
    "turned_gradient", "turned_loss",
]  # fmt: skip


@hot(fastmath=FUSED)
def _straight_losses(w, params, out):
    slope, mu, target = params[0], params[1], params[2]
    for l in range(w.shape[1]):
        x = w[0, l]
        out[l] = 0.5 * mu * (x - target) ** 2 - slope * x
    for i in range(1, w.shape[0]):
        half = 0.5 * params[2 + i]
        for l in range(w.shape[1]):
            out[l] += half * w[i, l] * w[i, l]


@hot(fastmath=FUSED)
def _straight_gradients(w, params, out):
    slope, mu, target = params[0], params[1], params[2]
    for l in range(w.shape[1]):
        out[0, l] = mu * (w[0, l] - target) - slope
    for i in range(1, w.shape[0]):
        lam = params[2 + i]
        for l in range(w.shape[1]):
            out[i, l] = lam * w[i, l]


@hot(fastmath=FUSED)
def _curved_losses(w, params, out):
    slope, mu, target, lam, a, k = params[0], params[1], params[2], params[3], params[4], params[5]
    for l in range(w.shape[1]):
        x = w[0, l]
        sine, _ = sine_cosine(k * x)
        height = w[1, l] - a * sine
        out[l] = 0.5 * mu * (x - target) ** 2 - slope * x + 0.5 * lam * height * height


@hot(fastmath=FUSED)
def _curved_gradients(w, params, out):
    slope, mu, target, lam, a, k = params[0], params[1], params[2], params[3], params[4], params[5]
    turn = a * k
    for l in range(w.shape[1]):
        x = w[0, l]
        sine, cosine = sine_cosine(k * x)
        steep = lam * (w[1, l] - a * sine)
        out[0, l] = mu * (x - target) - slope - steep * (turn * cosine)
        out[1, l] = steep


@inlined
def _point_losses(loss, w, params, out):
    for l in range(w.shape[1]):
        out[l] = loss(w[:, l], params)


@inlined
def _point_gradients(gradient, w, params, out):
    for l in range(w.shape[1]):
        gradient(w[:, l], params, out[:, l])


def _one_by_one(loss, gradient):
    """The strip functions of a landscape that goes point by point, with nothing in them that Numba cannot keep."""

    @inlined
    def all_losses(w, params, out):
        for l in range(w.shape[1]):
            out[l] = loss(w[:, l], params)

    @inlined
    def all_gradients(w, params, out):
        for l in range(w.shape[1]):
            gradient(w[:, l], params, out[:, l])

    return all_losses, all_gradients


_tapered_losses, _tapered_gradients = _one_by_one(*FUNCTIONS[TAPERED])
_hyperbolic_losses, _hyperbolic_gradients = _one_by_one(*FUNCTIONS[HYPERBOLIC])
_bigram_losses, _bigram_gradients = _one_by_one(*FUNCTIONS[BIGRAM])


@inlined
def _built_in_losses(field, w, params, out):
    if field == STRAIGHT:
        _straight_losses(w, params, out)
    elif field == CURVED:
        _curved_losses(w, params, out)
    elif field == TAPERED:
        _tapered_losses(w, params, out)
    elif field == HYPERBOLIC:
        _hyperbolic_losses(w, params, out)
    else:
        _bigram_losses(w, params, out)


@inlined
def _built_in_gradients(field, w, params, out):
    if field == STRAIGHT:
        _straight_gradients(w, params, out)
    elif field == CURVED:
        _curved_gradients(w, params, out)
    elif field == TAPERED:
        _tapered_gradients(w, params, out)
    elif field == HYPERBOLIC:
        _hyperbolic_gradients(w, params, out)
    else:
        _bigram_gradients(w, params, out)


@compiled_only
def strip_loss(field, w, params, out):
    """out[l] = loss of w[:, l]; `field` is a code or the user's compiled loss."""


@compiled_only
def strip_gradient(field, w, params, out):
    """out[:, l] = gradient at w[:, l]; `field` is a code or the user's compiled gradient."""


@overload(strip_loss, jit_options=INLINED)
def _strip_loss(field, w, params, out):
    if isinstance(field, types.Integer):
        return lambda field, w, params, out: _built_in_losses(field, w, params, out)
    return lambda field, w, params, out: _point_losses(field, w, params, out)


@overload(strip_gradient, jit_options=INLINED)
def _strip_gradient(field, w, params, out):
    if isinstance(field, types.Integer):
        return lambda field, w, params, out: _built_in_gradients(field, w, params, out)
    return lambda field, w, params, out: _point_gradients(field, w, params, out)


@hot(fastmath=FUSED)
def _into(rotation, w, u):
    """u = Q^T w."""
    for j in range(w.shape[0]):
        for l in range(w.shape[1]):
            u[j, l] = rotation[0, j] * w[0, l]
        for i in range(1, w.shape[0]):
            q = rotation[i, j]
            for l in range(w.shape[1]):
                u[j, l] += q * w[i, l]


turned_back = kept(fastmath=FUSED)(_into.py_func)


@hot(fastmath=FUSED)
def _back(rotation, u, w):
    """w = Q u."""
    for i in range(w.shape[0]):
        for l in range(w.shape[1]):
            w[i, l] = rotation[i, 0] * u[0, l]
        for j in range(1, w.shape[0]):
            q = rotation[i, j]
            for l in range(w.shape[1]):
                w[i, l] += q * u[j, l]


@inlined
def turned_loss(field, w, params, rotation, hills, u, out):
    """The losses of a strip w (dim, lanes) into out (lanes,); rotation (dim, dim), or (0, 0) where it is not turned.

    hills (m,) : curvatures of the coordinates that were added.  u (dim, lanes) : scratch.
    """
    if rotation.size == 0:
        strip_loss(field, w, params, out)
        return
    inner = w.shape[0] - hills.size
    _into(rotation, w, u)
    strip_loss(field, u[:inner], params, out)
    for i in range(hills.size):
        half = 0.5 * hills[i]
        for l in range(w.shape[1]):
            out[l] += half * u[inner + i, l] * u[inner + i, l]


@inlined
def turned_gradient(field, w, params, rotation, hills, u, g, out):
    """As `turned_loss`, the gradients into out (dim, lanes); u and g (dim, lanes) are scratch."""
    if rotation.size == 0:
        strip_gradient(field, w, params, out)
        return
    inner = w.shape[0] - hills.size
    _into(rotation, w, u)
    strip_gradient(field, u[:inner], params, g[:inner])
    for i in range(hills.size):
        lam = hills[i]
        for l in range(w.shape[1]):
            g[inner + i, l] = lam * u[inner + i, l]
    _back(rotation, g, out)


def _losses(field, w, params, rotation, hills, out):
    turned_loss(field, w, params, rotation, hills, np.empty_like(w), out)


def _gradients(field, w, params, rotation, hills, out):
    turned_gradient(field, w, params, rotation, hills, np.empty_like(w), np.empty_like(w), out)


losses = kept(_losses)
gradients = kept(_gradients)
own_losses = njit(nogil=True)(_losses)
own_gradients = njit(nogil=True)(_gradients)
"""The same for functions of the user's own: Numba cannot keep these on disk."""
