"""Check of theory.multi_power_law: the sum over drops for every step, as the authors' code has it."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

import simlab.theory.multi_power_law as own
from simlab.conformance._sgd import draw_lr
from simlab.conformance.check import Arguments, Check, Comparison

__all__ = ["CHECKS", "double_sum"]

FloatArray = npt.NDArray[np.float64]


def double_sum(lr: FloatArray, constants: own.MultiPowerConstants) -> FloatArray:
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
        return {"lr": lr, "constants": own.LUO_2025[str(rng.choice(list(own.LUO_2025)))]}
    low, high = [1.0, 0.1, 0.2, 10.0, 0.1, 0.2, 0.3], [3.0, 1.0, 0.8, 1000.0, 5.0, 1.5, 1.0]
    return {"lr": lr, "constants": own.MultiPowerConstants(*rng.uniform(low, high).tolist())}


def _compare(arguments: Arguments) -> Comparison:
    return Comparison({"loss": own.multi_power_law(**arguments)[1:]}, {"loss": double_sum(**arguments)})


def _outside(rng: np.random.Generator) -> list[Arguments]:
    good = _draw(rng)
    return [
        {**good, "lr": np.append(good["lr"], 0.0)},
        {**good, "constants": good["constants"]._replace(scale=0.0)},
    ]


CHECKS: list[Check] = [Check("multi_power_law", _draw, _compare, _outside, rtol=1e-10)]
