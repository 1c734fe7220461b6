"""Decaying stepsizes of Wu et al. 2022 against the exact engine on simlab's own schedules."""

from __future__ import annotations

from typing import Any

import numpy as np

from simlab import methods, schedules
from simlab.conformance.check import Arguments, Check
from simlab.conformance.draws.regression import draw_problem, head_and_tail_risk, mode_risk, split
from simlab.schedules import Schedule
from simlab.theory import Risk
from simlab.theory.effective_dimension import k_star
from simlab.theory.stationary import critical_lr
from simlab.theory.wu2022 import default_block


def _draw(rng: np.random.Generator, paper: bool) -> Arguments:
    problem = draw_problem(rng)
    lam = problem["eigenvalues"]
    # Under the paper's condition on lr no mode reaches the head before some thousand steps.
    steps = int(10.0 ** rng.uniform(1.5, 4.2 if paper else 3.3))
    limit = 1.0 / (12.0 * lam.sum() * np.log(steps)) if paper else float(critical_lr(lam))
    hold = int(steps * rng.choice([0.0, 0.3, 0.5, 0.8]))
    return {**problem, "lr": limit * rng.uniform(0.05, 0.99), "steps": steps, "hold": hold}


def _draw_paper(rng: np.random.Generator) -> Arguments:
    return _draw(rng, True)


def _draw_geometric(rng: np.random.Generator) -> Arguments:
    return _draw(rng, False)


def _draw_polynomial(rng: np.random.Generator) -> Arguments:
    return {**_draw(rng, False), "exponent": float(rng.choice([0.0, 0.25, 0.5, 1.0]))}


def _run(given: Arguments, schedule: Schedule) -> Risk:
    return Risk(*mode_risk(given, methods.sgd(schedule)))


def _geometric(given: Arguments) -> Risk:
    return _run(given, schedules.tail_geometric(given["steps"], given["lr"], hold=given["hold"]))


def _polynomial(given: Arguments) -> Risk:
    power = given["exponent"]
    return _run(given, schedules.tail_polynomial(given["steps"], given["lr"], hold=given["hold"], power=power))


def _parts(risk: Risk, given: Arguments, true: Any) -> dict[str, Any]:
    block = default_block(given["steps"], given["hold"])
    return head_and_tail_risk(risk, int(k_star(given["eigenvalues"], given["lr"], block)))


def _sums(risk: Risk, given: Arguments, true: Any) -> dict[str, Any]:
    """The lower bound speaks of sums over all modes only: what the tail makes the head feel is in its bias."""
    return {"risk": risk.total, "bias": risk.bias.sum(), "variance": risk.variance.sum()}


def _modes(risk: Risk, given: Arguments, true: Any) -> dict[str, Any]:
    return split(*risk)


def _draw_versus(rng: np.random.Generator) -> Arguments:
    given = {**_draw(rng, True)}
    given["hold"] = given["steps"] // 2
    slow = _polynomial({**given, "exponent": float(rng.choice([0.25, 0.5, 1.0]))})
    return {**given, "polynomial_risk": float(slow.total)}


def _outside_paper(given: Arguments) -> list[Arguments]:
    lam, steps = given["eigenvalues"], given["steps"]
    return [
        {"lr": 1.001 / (12.0 * lam.sum() * np.log(steps))},
        {"lr": 0.0},
        {"eigenvalues": -lam},
        {"block": 2},
        {"block": default_block(steps, given["hold"]) + 1},
        {"hold": steps},
    ]


def _outside(given: Arguments) -> list[Arguments]:
    special = {"exponent": 1.01} if "exponent" in given else {"block": 2}
    return [{"lr": 1.001 / given["eigenvalues"][0]}, {"lr": 0.0}, {"hold": given["steps"]}, special]


def _outside_stable(given: Arguments) -> list[Arguments]:
    lam = given["eigenvalues"]
    return [*_outside(given), {"lr": min(1.001 * float(critical_lr(lam)), 1.001 / lam[0])}]


def _outside_versus(given: Arguments) -> list[Arguments]:
    limit = 1.001 / (12.0 * given["eigenvalues"].sum() * np.log(given["steps"]))
    return [{"noise_variance": 0.0}, {"lr": limit}, {"lr": -1.0}, {"eigenvalues": np.zeros(2)}]


CHECKS = [
    Check("wu_geometric_upper", _draw_paper, _geometric, _outside_paper, parts=_parts, cost=0.02),
    Check("wu_geometric_lower", _draw_paper, _geometric, _outside_paper, parts=_sums, cost=0.02),
    Check("wu_geometric_sandwich_upper", _draw_geometric, _geometric, _outside_stable, parts=_modes),
    Check("wu_geometric_sandwich_lower", _draw_geometric, _geometric, _outside, parts=_modes),
    Check("wu_polynomial_upper", _draw_polynomial, _polynomial, _outside_stable, parts=_modes),
    Check("wu_polynomial_lower", _draw_polynomial, _polynomial, _outside, parts=_modes),
    Check("wu_geometric_versus_polynomial", _draw_versus, lambda given: _geometric(given).total, _outside_versus),
]
