"""Step decay of Ge et al. 2019 against the exact engine on simlab's own schedule."""

from __future__ import annotations

from typing import Any

import numpy as np

from simlab import methods, schedules
from simlab.conformance.check import Arguments, Check
from simlab.conformance.draws.regression import draw_problem, mode_risk, split
from simlab.theory.stationary import critical_lr


def _draw(rng: np.random.Generator) -> Arguments:
    problem = draw_problem(rng)
    steps = int(10.0 ** rng.uniform(0.5, 3.5))
    lr = float(critical_lr(problem["eigenvalues"])) * 10.0 ** rng.uniform(-2.0, -0.01)
    stages = None if rng.random() < 0.5 else int(rng.integers(1, min(steps, 20) + 1))
    return {**problem, "lr": lr, "steps": steps, "stages": stages}


def _draw_default(rng: np.random.Generator) -> Arguments:
    return {**_draw(rng), "steps": int(10.0 ** rng.uniform(1.81, 3.8)), "stages": None}


def _risk(given: Arguments) -> Any:
    return split(*mode_risk(given, methods.sgd(schedules.step_decay(given["steps"], given["lr"], given["stages"]))))


def _outside(given: Arguments) -> list[Arguments]:
    return [{"lr": 1.001 / given["eigenvalues"][0]}, {"lr": 0.0}, {"stages": given["steps"] + 1}, {"stages": 0}]


def _outside_upper(given: Arguments) -> list[Arguments]:
    lam = given["eigenvalues"]
    return [*_outside(given), {"lr": min(1.001 * float(critical_lr(lam)), 1.001 / lam[0])}]


def _outside_minimax(given: Arguments) -> list[Arguments]:
    lam = given["eigenvalues"]
    return [{"lr": 0.667 / lam[0]}, {"lr": 0.0}, {"steps": 63}, {"lr": 1.001 * float(critical_lr(lam))}]


CHECKS = [
    Check("step_decay_lower", _draw, _risk, _outside),
    Check("step_decay_upper", _draw, _risk, _outside_upper),
    Check("step_decay_minimax_upper", _draw_default, _risk, _outside_minimax),
]
