"""The slow and obvious twin of stochastic descent: NumPy, all replicas at a time, one step after another.

It shares the counters of the random words with simlab (tests/naive_sampler.py) and nothing else.
"""

from __future__ import annotations

import numpy as np

from tests.oracles.naive_sampler import Draws


def trajectories(gradient, start, method, replicas, seed, noise=None):
    """Iterates o . z by (step, replica, coordinate).

    `gradient` maps (R, d) to (R, d); `noise` (w, xi) -> (R, d) the noise of one sample from normals xi (R, d).
    """
    source, d = Draws(seed, np.arange(replicas)), start.size
    z = np.tile(np.outer(method.z0, start), (replicas, 1, 1))
    M, b, c = method.coefficients()
    o, batch = method.readout(), method.batches()
    path = []
    for t in range(method.length):
        path.append(np.einsum("j,rjd->rd", o[t], z))
        y = np.einsum("j,rjd->rd", c[t], z)
        g = gradient(y)
        if noise is not None and np.isfinite(batch[t]):
            g = g - noise(y, source.features("gaussian", None, t, 0, d)) / np.sqrt(batch[t])
        z = np.einsum("ij,rjd->rid", M[t], z) - b[t][:, None] * g[:, None, :]
    path.append(np.einsum("j,rjd->rd", o[-1], z))
    return np.array(path)
