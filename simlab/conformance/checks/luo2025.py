"""The multi-power law: the sum over drops for every step, as the authors' code has it."""

from __future__ import annotations

import numpy as np

from simlab.arrays import FloatArray
from simlab.conformance.check import Arguments, Check
from simlab.conformance.draws.regression import draw_lr
from simlab.theory.luo2025 import LUO_2025, MultiPowerConstants


def double_sum(lr: FloatArray, constants: MultiPowerConstants) -> FloatArray:
    """The law from its definition, step by step from step 1 on."""
    c = constants
    out = np.empty(lr.size - 1)
    for t in range(1, lr.size):
        since = np.cumsum(lr[t:0:-1])[::-1]
        gain = 1.0 - (1.0 + c.scale * lr[1 : t + 1] ** -c.rate_power * since) ** -c.power
        out[t - 1] = c.floor + c.progress * np.sum(lr[: t + 1]) ** -c.exponent
        out[t - 1] += c.annealing * np.sum(np.diff(lr[: t + 1]) * gain)
    return out


def _draw(rng: np.random.Generator) -> Arguments:
    steps = int(rng.integers(2, 1200))
    lr = draw_lr(rng, steps, 3e-4) + 1e-8
    warmup = int(rng.integers(1, steps + 1))
    lr[:warmup] *= np.arange(warmup) / warmup
    if rng.random() < 0.5:
        return {"lr": lr, "constants": LUO_2025[str(rng.choice(list(LUO_2025)))]}
    low, high = [1.0, 0.1, 0.2, 10.0, 0.1, 0.2, 0.3], [3.0, 1.0, 0.8, 1000.0, 5.0, 1.5, 1.0]
    return {"lr": lr, "constants": MultiPowerConstants(*rng.uniform(low, high).tolist())}


def _outside(given: Arguments) -> list[Arguments]:
    return [{"lr": np.append(given["lr"], 0.0)}, {"constants": given["constants"]._replace(scale=0.0)}]


CHECKS = [
    Check(
        "multi_power_law",
        _draw,
        lambda given: {"loss": double_sum(**given)},
        _outside,
        says=lambda law, given: {"loss": law[1:]},
        rtol=1e-10,
    )
]
