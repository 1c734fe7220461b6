"""Random hills, and what the exact engine leaves on them."""

from __future__ import annotations

from typing import Any

import numpy as np

from simlab.arrays import FloatArray
from simlab.conformance.check import Arguments
from simlab.conformance.draws.regression import risks, sgd
from simlab.methods import Method
from simlab.problems import NoisyQuadratic

__all__ = ["draw_hills", "mode_losses", "settled", "settling_run"]


def draw_hills(rng: np.random.Generator, condition: float = 20.0) -> Arguments:
    """1 to 30 hills, descending, within `condition` of one another, and their noise."""
    d = int(rng.integers(1, 31))
    lam = np.sort(np.exp(rng.uniform(0.0, np.log(condition), d)))[::-1] * 10.0 ** rng.uniform(-1.0, 1.0)
    return {"hills": lam, "noise": lam ** rng.choice([0.0, 1.0]) * rng.uniform(0.1, 2.0, d)}


def mode_losses(hills: Any, noise: Any, method: Method) -> FloatArray:
    """Loss of every hill at the end of a run from the river, (d,), by the exact engine."""
    bias, variance = risks(NoisyQuadratic(hills, 0.0, noise), method, [method.length])
    out: FloatArray = bias[0] + variance[0]
    return out


def settling_run(lr: float, hills: FloatArray) -> Method:
    """SGD until every hill has forgotten its start: (1 - lr lam)^2 steps below e^-40, either side of 1."""
    left = np.minimum(lr * hills, 2.0 - lr * hills).min()
    return sgd(lr, int(np.ceil(20.0 / -np.log1p(-left))) + 2 if left < 1.0 else 4)


def settled(given: Arguments, lr: float) -> FloatArray:
    """Loss of every hill that a constant learning rate leaves in the long run."""
    return mode_losses(given["hills"], given["noise"], settling_run(lr, given["hills"]))
