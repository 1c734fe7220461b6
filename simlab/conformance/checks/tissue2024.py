"""The law of annealing: the double sum over steps and drops, written out."""

from __future__ import annotations

import numpy as np

from simlab.arrays import FloatArray
from simlab.conformance.check import Arguments, Check
from simlab.conformance.draws.regression import draw_lr
from simlab.theory.tissue2024 import AnnealingConstants


def double_sum(lr: FloatArray, constants: AnnealingConstants) -> FloatArray:
    """The law from its definition: for each step a sum over the drops before it, each with its geometric kernel."""
    steps = np.arange(lr.size)
    out = np.empty(lr.size)
    memory = constants.memory
    drops = -np.diff(lr)
    for s in steps:
        ages = s - steps[1 : s + 1]
        kernel = np.array([np.sum(memory ** np.arange(age + 1)) for age in ages])
        gain = float(np.sum(drops[:s] * kernel))
        out[s] = constants.floor + constants.progress * np.sum(lr[: s + 1]) ** -constants.exponent
        out[s] -= constants.annealing * gain
    return out


def _draw(rng: np.random.Generator) -> Arguments:
    lr = draw_lr(rng, int(rng.integers(1, 80)), 10.0 ** rng.uniform(-4.0, -2.0))
    lr[0] += 1e-6
    numbers = rng.uniform([0.1, 0.1, 0.2, 0.5], [1.0, 1.0, 0.8, 0.9999])
    return {"lr": lr, "constants": AnnealingConstants(3.0, *numbers.tolist())}


def _outside(given: Arguments) -> list[Arguments]:
    no_memory = given["constants"]._replace(memory=1.0)
    return [{"lr": -given["lr"]}, {"lr": np.append(0.0, given["lr"])}, {"constants": no_memory}]


CHECKS = [Check("annealing_law", _draw, lambda given: {"loss": double_sum(**given)}, _outside, rtol=1e-11)]
