"""Noise across a river that bends, among any number of coordinates: what lies along the river is projected out.

The river runs in the plane of two unit vectors p and q (dim,), with the tangent t(x) at the coordinate x = p . y:

    y = a sin kx      t = p + a k cos(kx) q
    x y = 1           t = x^2 p - q

and the noise of a sample is sigma (xi - t (t . xi) / |t|^2).
"""

from __future__ import annotations

from typing import NamedTuple

from simlab.kernels.compiling import FUSED, hot
from simlab.kernels.landscapes.fields import CURVED, sine_cosine
from simlab.kernels.random.philox import LANES

__all__ = ["HEADER", "Across", "across_the_river"]

HEADER = 3
"""params : sigma, then a and k (of the hyperbola nothing), then p and q."""


class Across(NamedTuple):
    """Which river: the code of a landscape in `simlab.kernels.landscapes.fields`, CURVED or HYPERBOLIC."""

    field: int


@hot(fastmath=FUSED)
def _share(field, params, x, along, aside):
    """What to take from a normal, (of p, of q), so that nothing of it is left along the river at x."""
    if field == CURVED:
        _, cosine = sine_cosine(params[2] * x)
        t0, t1 = 1.0, params[1] * params[2] * cosine
    else:
        t0, t1 = x * x, -1.0
    share = (t0 * along + t1 * aside) / (t0 * t0 + t1 * t1)
    return share * t0, share * t1


@hot(fastmath=FUSED)
def across_the_river(field, y, params, xi, out):
    """out[:, l] = the noise at y[:, l] from the standard normals xi[:, l], all (dim, 64)."""
    dim, sigma = y.shape[0], params[0]
    p, q = params[HEADER : HEADER + dim], params[HEADER + dim :]
    if dim == 2:
        for l in range(LANES):
            along, aside = p[0] * xi[0, l] + p[1] * xi[1, l], q[0] * xi[0, l] + q[1] * xi[1, l]
            a, b = _share(field, params, p[0] * y[0, l] + p[1] * y[1, l], along, aside)
            out[0, l] = sigma * (xi[0, l] - a * p[0] - b * q[0])
            out[1, l] = sigma * (xi[1, l] - a * p[1] - b * q[1])
        return
    # The first rows hold p . xi, q . xi and p . y until their own turn comes.
    for row in range(3):
        for l in range(LANES):
            out[row, l] = 0.0
    for i in range(dim):
        pi, qi = p[i], q[i]
        for l in range(LANES):
            out[0, l] += pi * xi[i, l]
            out[1, l] += qi * xi[i, l]
            out[2, l] += pi * y[i, l]
    for l in range(LANES):
        out[0, l], out[1, l] = _share(field, params, out[2, l], out[0, l], out[1, l])
    for i in range(2, dim):
        pi, qi = p[i], q[i]
        for l in range(LANES):
            out[i, l] = sigma * (xi[i, l] - out[0, l] * pi - out[1, l] * qi)
    for l in range(LANES):
        a, b = out[0, l], out[1, l]
        out[0, l] = sigma * (xi[0, l] - a * p[0] - b * q[0])
        out[1, l] = sigma * (xi[1, l] - a * p[1] - b * q[1])
