"""Step decay of Ge et al. 2019 against the exact engine on simlab's own schedule."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from simlab import methods, schedules
from simlab.conformance._sgd import draw_problem, mode_risk
from simlab.conformance.check import Arguments, Check, Comparison
from simlab.theory.statement import Risk
from simlab.theory.stationary import critical_lr
from simlab.theory.step_decay import step_decay_lower, step_decay_minimax_upper, step_decay_upper

__all__ = ["CHECKS"]


def _draw(rng: np.random.Generator) -> Arguments:
    problem = draw_problem(rng)
    steps = int(10.0 ** rng.uniform(0.5, 3.5))
    lr = float(critical_lr(problem["eigenvalues"])) * 10.0 ** rng.uniform(-2.0, -0.01)
    stages = None if rng.random() < 0.5 else int(rng.integers(1, min(steps, 20) + 1))
    return {**problem, "lr": lr, "steps": steps, "stages": stages}


def _draw_default(rng: np.random.Generator) -> Arguments:
    arguments = {**_draw(rng), "steps": int(10.0 ** rng.uniform(1.81, 3.8))}
    del arguments["stages"]
    return arguments


def _compare(bound: Callable[..., Risk]) -> Callable[[Arguments], Comparison]:
    def compare(arguments: Arguments) -> Comparison:
        stated = bound(**arguments)
        schedule = schedules.step_decay(arguments["steps"], arguments["lr"], stages=arguments.get("stages"))
        bias, variance = mode_risk(arguments, methods.sgd(schedule))
        return Comparison(
            {"risk": stated.modes, "bias": stated.bias, "variance": stated.variance},
            {"risk": bias + variance, "bias": bias, "variance": variance},
        )

    return compare


def _outside(rng: np.random.Generator, stable: bool) -> list[Arguments]:
    arguments = _draw(rng)
    lam = arguments["eigenvalues"]
    bad: list[Arguments] = [{"lr": 1.001 / lam[0]}, {"lr": 0.0}, {"stages": arguments["steps"] + 1}, {"stages": 0}]
    bad += [{"lr": min(1.001 * float(critical_lr(lam)), 1.001 / lam[0])}] if stable else []
    return [{**arguments, **one} for one in bad]


def _outside_minimax(rng: np.random.Generator) -> list[Arguments]:
    arguments = _draw_default(rng)
    lam = arguments["eigenvalues"]
    bad: list[Arguments] = [{"lr": 0.667 / lam[0]}, {"lr": 0.0}, {"steps": 63}, {"lr": 1.001 * float(critical_lr(lam))}]
    return [{**arguments, **one} for one in bad]


CHECKS: list[Check] = [
    Check("step_decay_lower", _draw, _compare(step_decay_lower), lambda rng: _outside(rng, False)),
    Check("step_decay_upper", _draw, _compare(step_decay_upper), lambda rng: _outside(rng, True)),
    Check("step_decay_minimax_upper", _draw_default, _compare(step_decay_minimax_upper), _outside_minimax),
]
