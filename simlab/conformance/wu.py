"""Decaying stepsizes of Wu et al. 2022 against the exact engine on simlab's own schedules."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from simlab import methods, schedules
from simlab.conformance._sgd import draw_problem, mode_risk
from simlab.conformance.check import Arguments, Check, Comparison
from simlab.schedules import Schedule
from simlab.theory.effective_dimension import k_star
from simlab.theory.statement import Risk
from simlab.theory.stationary import critical_lr
from simlab.theory.wu import (
    default_block,
    wu_geometric_lower,
    wu_geometric_sandwich_lower,
    wu_geometric_sandwich_upper,
    wu_geometric_upper,
    wu_geometric_versus_polynomial,
    wu_polynomial_lower,
    wu_polynomial_upper,
)

__all__ = ["CHECKS"]

_Stated = Callable[..., Risk]


def _draw(rng: np.random.Generator, paper: bool) -> Arguments:
    problem = draw_problem(rng)
    lam = problem["eigenvalues"]
    # Under the paper's condition on lr no mode reaches the head before some thousand steps.
    steps = int(10.0 ** rng.uniform(1.5, 4.2 if paper else 3.3))
    limit = 1.0 / (12.0 * lam.sum() * np.log(steps)) if paper else float(critical_lr(lam))
    hold = int(steps * rng.choice([0.0, 0.3, 0.5, 0.8]))
    return {**problem, "lr": limit * rng.uniform(0.05, 0.99), "steps": steps, "hold": hold}


def _draw_polynomial(rng: np.random.Generator) -> Arguments:
    return {**_draw(rng, False), "exponent": float(rng.choice([0.0, 0.25, 0.5, 1.0]))}


def _run(arguments: Arguments, schedule: Schedule) -> Risk:
    return Risk(*mode_risk(arguments, methods.sgd(schedule)))


def _geometric(arguments: Arguments) -> Schedule:
    return schedules.tail_geometric(arguments["steps"], arguments["lr"], hold=arguments["hold"])


def _polynomial(arguments: Arguments, exponent: float) -> Schedule:
    return schedules.tail_polynomial(arguments["steps"], arguments["lr"], hold=arguments["hold"], power=exponent)


def _compare_paper(bound: _Stated, split: bool) -> Callable[[Arguments], Comparison]:
    # The lower bound speaks of sums over all modes only: what the tail makes the head feel is in its bias.
    def compare(arguments: Arguments) -> Comparison:
        true = _run(arguments, _geometric(arguments))
        block = default_block(arguments["steps"], arguments["hold"])
        k = int(k_star(arguments["eigenvalues"], arguments["lr"], block))

        def parts(risk: Risk) -> dict[str, Any]:
            out = {"risk": risk.total, "bias": risk.bias.sum(), "variance": risk.variance.sum()}
            out |= {"head": risk.modes[:k].sum()} if split and k else {}
            out |= {"tail": risk.modes[k:].sum()} if split and k < risk.bias.size else {}
            return {name: np.asarray(value) for name, value in out.items()}

        return Comparison(parts(bound(**arguments)), parts(true))

    return compare


def _compare_modes(bound: _Stated) -> Callable[[Arguments], Comparison]:
    def compare(arguments: Arguments) -> Comparison:
        stated = bound(**arguments)
        polynomial = "exponent" in arguments
        schedule = _polynomial(arguments, arguments["exponent"]) if polynomial else _geometric(arguments)
        true = _run(arguments, schedule)
        return Comparison(
            {"risk": stated.modes, "bias": stated.bias, "variance": stated.variance},
            {"risk": true.modes, "bias": true.bias, "variance": true.variance},
        )

    return compare


def _draw_versus(rng: np.random.Generator) -> Arguments:
    arguments = {**_draw(rng, True)}
    arguments["hold"] = arguments["steps"] // 2
    slow = _run(arguments, _polynomial(arguments, float(rng.choice([0.25, 0.5, 1.0]))))
    del arguments["hold"]
    return {**arguments, "polynomial_risk": float(slow.total)}


def _compare_versus(arguments: Arguments) -> Comparison:
    true = _run(arguments, _geometric({**arguments, "hold": arguments["steps"] // 2})).total
    return Comparison({"risk": wu_geometric_versus_polynomial(**arguments)}, {"risk": np.asarray(true)})


def _outside_paper(rng: np.random.Generator) -> list[Arguments]:
    arguments = _draw(rng, True)
    lam, steps = arguments["eigenvalues"], arguments["steps"]
    bad: list[Arguments] = [
        {"lr": 1.001 / (12.0 * lam.sum() * np.log(steps))},
        {"lr": 0.0},
        {"eigenvalues": -lam},
        {"block": 2},
        {"block": default_block(steps, arguments["hold"]) + 1},
        {"hold": steps},
    ]
    return [{**arguments, **one} for one in bad]


def _outside_form(rng: np.random.Generator, stable: bool) -> list[Arguments]:
    arguments = _draw(rng, False)
    lam = arguments["eigenvalues"]
    bad: list[Arguments] = [{"lr": 1.001 / lam[0]}, {"lr": 0.0}, {"block": 2}, {"hold": arguments["steps"]}]
    bad += [{"lr": min(1.001 * float(critical_lr(lam)), 1.001 / lam[0])}] if stable else []
    return [{**arguments, **one} for one in bad]


def _outside_polynomial(rng: np.random.Generator, stable: bool) -> list[Arguments]:
    arguments = _draw_polynomial(rng)
    lam = arguments["eigenvalues"]
    bad: list[Arguments] = [{"lr": 1.001 / lam[0]}, {"lr": 0.0}, {"hold": arguments["steps"]}, {"exponent": 1.01}]
    bad += [{"lr": min(1.001 * float(critical_lr(lam)), 1.001 / lam[0])}] if stable else []
    return [{**arguments, **one} for one in bad]


def _outside_versus(rng: np.random.Generator) -> list[Arguments]:
    arguments = _draw_versus(rng)
    limit = 1.001 / (12.0 * arguments["eigenvalues"].sum() * np.log(arguments["steps"]))
    bad: list[Arguments] = [{"noise_variance": 0.0}, {"lr": limit}, {"lr": -1.0}, {"eigenvalues": np.zeros(2)}]
    return [{**arguments, **one} for one in bad]


def _paper_check(theorem: str, bound: _Stated, split: bool) -> Check:
    return Check(theorem, lambda rng: _draw(rng, True), _compare_paper(bound, split), _outside_paper, cost=0.02)


def _form_check(theorem: str, bound: _Stated, stable: bool) -> Check:
    return Check(theorem, lambda rng: _draw(rng, False), _compare_modes(bound), lambda rng: _outside_form(rng, stable))


def _polynomial_check(theorem: str, bound: _Stated, stable: bool) -> Check:
    return Check(theorem, _draw_polynomial, _compare_modes(bound), lambda rng: _outside_polynomial(rng, stable))


CHECKS: list[Check] = [
    _paper_check("wu_geometric_upper", wu_geometric_upper, True),
    _paper_check("wu_geometric_lower", wu_geometric_lower, False),
    _form_check("wu_geometric_sandwich_upper", wu_geometric_sandwich_upper, True),
    _form_check("wu_geometric_sandwich_lower", wu_geometric_sandwich_lower, False),
    _polynomial_check("wu_polynomial_upper", wu_polynomial_upper, True),
    _polynomial_check("wu_polynomial_lower", wu_polynomial_lower, False),
    Check("wu_geometric_versus_polynomial", _draw_versus, _compare_versus, _outside_versus),
]
