"""The bounds of Zou et al. 2023 against the exact engine: totals, bias, variance, and head and tail of the spectrum."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from simlab import methods
from simlab.conformance._sgd import draw_problem, mode_risk, sgd
from simlab.conformance.check import Arguments, Check, Comparison
from simlab.theory.effective_dimension import k_star
from simlab.theory.statement import Risk
from simlab.theory.zou import (
    zou_average_lower,
    zou_average_upper,
    zou_iterate_variance_upper,
    zou_power_law_exponent,
    zou_summed_bias_upper,
    zou_tail_lower,
    zou_tail_upper,
)

__all__ = ["CHECKS"]

_Stated = Callable[..., Risk]


def _draw(rng: np.random.Generator, upper: bool, tail: bool) -> Arguments:
    problem = draw_problem(rng)
    kurtosis = float(rng.choice([3.0, 3.0, 6.0])) if upper else 3.0
    limit = 1.0 / (kurtosis * problem["eigenvalues"].sum())
    arguments = {**problem, "lr": limit * rng.uniform(0.02, 0.95)}
    arguments["steps"] = int(10.0 ** rng.uniform(0.0, 3.0)) if upper else int(rng.integers(500, 1500))
    if tail:
        arguments["hold"] = int(10.0 ** rng.uniform(0.0, 3.0))
    if upper:
        arguments["psi"] = kurtosis  # the moment constant of independent coordinates of that kurtosis, if 3 or more
    return arguments


def _compare(bound: _Stated) -> Callable[[Arguments], Comparison]:
    def compare(arguments: Arguments) -> Comparison:
        hold = arguments.get("hold", 0)
        method = methods.average(sgd(arguments["lr"], hold + arguments["steps"]), start=hold, form="old")
        bias, variance = mode_risk(arguments, method, kurtosis=arguments.get("psi", 3.0))
        k = int(k_star(arguments["eigenvalues"], arguments["lr"], arguments["steps"]))
        return _parts(bound(**arguments), Risk(bias, variance), k)

    return compare


def _parts(stated: Risk, true: Risk, k: int) -> Comparison:
    def parts(risk: Risk) -> dict[str, Any]:
        out = {"risk": risk.total, "bias": risk.bias.sum(), "variance": risk.variance.sum()}
        if k > 0:
            out["head"] = risk.modes[:k].sum()
        if k < risk.bias.size:
            out["tail"] = risk.modes[k:].sum()
        return {name: np.asarray(value) for name, value in out.items()}

    return Comparison(parts(stated), parts(true))


def _draw_steps(rng: np.random.Generator) -> Arguments:
    arguments = _draw(rng, True, False)
    return {**arguments, "steps": np.unique(np.round(10.0 ** rng.uniform(0.0, 2.5, 6)).astype(int))}


def _draw_variance(rng: np.random.Generator) -> Arguments:
    return {name: value for name, value in _draw_steps(rng).items() if name != "initial_error"}


def _draw_bias(rng: np.random.Generator) -> Arguments:
    return {name: value for name, value in _draw_steps(rng).items() if name != "noise_variance"}


def _compare_variance(arguments: Arguments) -> Comparison:
    problem = {**arguments, "initial_error": np.ones(arguments["eigenvalues"].size)}
    steps = [int(t) for t in arguments["steps"]]
    method = sgd(arguments["lr"], steps[-1])
    true = mode_risk(problem, method, at=steps, kurtosis=arguments.get("psi", 3.0))[1]
    return Comparison({"variance": zou_iterate_variance_upper(**arguments)}, {"variance": true})


def _compare_bias(arguments: Arguments) -> Comparison:
    steps = [int(t) for t in arguments["steps"]]
    method = sgd(arguments["lr"], steps[-1])
    problem = {**arguments, "noise_variance": 0.0}
    past = mode_risk(problem, method, at=range(steps[-1]), kurtosis=arguments.get("psi", 3.0))[0]
    true = np.cumsum(past, axis=0)[np.array(steps) - 1]
    return Comparison({"bias": zou_summed_bias_upper(**arguments)}, {"bias": true})


def _outside(draw: Callable[[np.random.Generator], Arguments]) -> Callable[[np.random.Generator], list[Arguments]]:
    def outside(rng: np.random.Generator) -> list[Arguments]:
        arguments = draw(rng)
        lam = arguments["eigenvalues"]
        bad: list[Arguments] = [{"eigenvalues": lam - 1.001 * lam.min()}, {"lr": 0.0}, {"steps": -1}]
        if "psi" in arguments:
            bad.append({"lr": 1.0001 / (arguments["psi"] * lam.sum())})
        else:
            bad += [{"lr": 1.0001 / lam[0]}, {"steps": 499}]
        if "hold" in arguments:
            bad.append({"hold": -1})
        return [{**arguments, **one} for one in bad]

    return outside


def _compare_exponent(arguments: Arguments) -> Comparison:
    r = arguments["decay"]
    lam = np.arange(1.0, 2001.0) ** -(1.0 + r)
    problem = {"eigenvalues": lam, "initial_error": np.zeros(lam.size), "noise_variance": 1.0}
    lr = 1.0 / (6.0 * lam.sum())
    runs = [methods.average(sgd(lr, n), form="old") for n in (2**10, 2**13)]
    few, many = (float(mode_risk(problem, method)[1].sum()) for method in runs)
    stated = zou_power_law_exponent(**arguments)
    return Comparison({"variance": stated}, {"variance": np.asarray(np.log2(many / few) / 3.0)})


def _check(theorem: str, bound: _Stated, upper: bool, tail: bool) -> Check:
    def draw(rng: np.random.Generator) -> Arguments:
        return _draw(rng, upper, tail)

    return Check(theorem, draw, _compare(bound), _outside(draw))


CHECKS: list[Check] = [
    Check(
        "zou_power_law_exponent",
        lambda rng: {"decay": rng.uniform(0.7, 2.5)},
        _compare_exponent,
        lambda rng: [{"decay": 0.0}],
        rtol=0.05,
        cost=0.1,
    ),
    _check("zou_average_upper", zou_average_upper, True, False),
    _check("zou_average_lower", zou_average_lower, False, False),
    _check("zou_tail_upper", zou_tail_upper, True, True),
    _check("zou_tail_lower", zou_tail_lower, False, True),
    Check("zou_iterate_variance_upper", _draw_variance, _compare_variance, _outside(_draw_variance)),
    Check("zou_summed_bias_upper", _draw_bias, _compare_bias, _outside(_draw_bias)),
]
