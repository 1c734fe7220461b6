"""Check of theory.annealing_law: the double sum over steps and drops, written out."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

import simlab.theory.annealing_law as own
from simlab.conformance._sgd import draw_lr
from simlab.conformance.check import Arguments, Check, Comparison

__all__ = ["CHECKS", "double_sum"]

FloatArray = npt.NDArray[np.float64]


def double_sum(lr: FloatArray, constants: own.AnnealingConstants) -> FloatArray:
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
    constants = own.AnnealingConstants(
        3.0, rng.uniform(0.1, 1.0), rng.uniform(0.1, 1.0), rng.uniform(0.2, 0.8), rng.uniform(0.5, 0.9999)
    )
    return {"lr": lr, "constants": constants}


def _compare(arguments: Arguments) -> Comparison:
    return Comparison({"loss": own.annealing_law(**arguments)}, {"loss": double_sum(**arguments)})


def _outside(rng: np.random.Generator) -> list[Arguments]:
    good = _draw(rng)
    return [
        {**good, "lr": -good["lr"]},
        {**good, "lr": np.append(0.0, good["lr"])},
        {**good, "constants": good["constants"]._replace(memory=1.0)},
    ]


CHECKS: list[Check] = [Check("annealing_law", _draw, _compare, _outside, rtol=1e-11)]
