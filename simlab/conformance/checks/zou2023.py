"""The bounds of Zou et al. 2023 against the exact engine: totals, bias, variance, and head and tail of the spectrum."""

from __future__ import annotations

from typing import Any

import numpy as np

from simlab import methods
from simlab.conformance.check import Arguments, Check
from simlab.conformance.draws.regression import draw_problem, head_and_tail_risk, mode_risk, sgd
from simlab.theory import Risk
from simlab.theory.effective_dimension import k_star


def _draw(rng: np.random.Generator, upper: bool, tail: bool) -> Arguments:
    problem = draw_problem(rng)
    kurtosis = float(rng.choice([3.0, 3.0, 6.0])) if upper else 3.0
    limit = 1.0 / (kurtosis * problem["eigenvalues"].sum())
    given = {**problem, "lr": limit * rng.uniform(0.02, 0.95), "kurtosis": kurtosis}
    given["steps"] = int(10.0 ** rng.uniform(0.0, 3.0)) if upper else int(rng.integers(500, 1500))
    if tail:
        given["hold"] = int(10.0 ** rng.uniform(0.0, 3.0))
    # The moment constant of independent coordinates of that kurtosis, if 3 or more.
    return {**given, "psi": kurtosis} if upper else given


def _risk(given: Arguments) -> Risk:
    hold = given.get("hold", 0)
    method = methods.average(sgd(given["lr"], hold + given["steps"]), start=hold, form="old")
    return Risk(*mode_risk(given, method))


def _parts(risk: Risk, given: Arguments, true: Any) -> dict[str, Any]:
    return head_and_tail_risk(risk, int(k_star(given["eigenvalues"], given["lr"], given["steps"])))


def _draw_steps(rng: np.random.Generator) -> Arguments:
    given = _draw(rng, True, False)
    return {**given, "steps": np.unique(np.round(10.0 ** rng.uniform(0.0, 2.5, 6)).astype(int))}


def _variance(given: Arguments) -> Any:
    steps = [int(t) for t in given["steps"]]
    return {"variance": mode_risk(given, sgd(given["lr"], steps[-1]), at=steps)[1]}


def _summed_bias(given: Arguments) -> Any:
    steps = given["steps"]
    past = mode_risk({**given, "noise_variance": 0.0}, sgd(given["lr"], int(steps[-1])), at=range(steps[-1]))[0]
    return {"bias": np.cumsum(past, axis=0)[steps - 1]}


def _outside(given: Arguments) -> list[Arguments]:
    lam = given["eigenvalues"]
    bad: list[Arguments] = [{"eigenvalues": lam - 1.001 * lam.min()}, {"lr": 0.0}, {"steps": -1}]
    if "psi" in given:
        bad.append({"lr": 1.0001 / (given["psi"] * lam.sum())})
    else:
        bad += [{"lr": 1.0001 / lam[0]}, {"steps": 499}]
    return [*bad, {"hold": -1}] if "hold" in given else bad


def _exponent(given: Arguments) -> Any:
    lam = np.arange(1.0, 2001.0) ** -(1.0 + given["decay"])
    problem = {"eigenvalues": lam, "initial_error": np.zeros(lam.size), "noise_variance": 1.0}
    lr = 1.0 / (6.0 * lam.sum())
    runs = [methods.average(sgd(lr, n), form="old") for n in (2**10, 2**13)]
    few, many = (float(mode_risk(problem, method)[1].sum()) for method in runs)
    return {"variance": np.log2(many / few) / 3.0}


def _check(theorem: str, upper: bool, tail: bool) -> Check:
    return Check(theorem, lambda rng: _draw(rng, upper, tail), _risk, _outside, parts=_parts)


CHECKS = [
    Check(
        "zou_power_law_exponent",
        lambda rng: {"decay": rng.uniform(0.7, 2.5)},
        _exponent,
        [{"decay": 0.0}],
        rtol=0.05,
        cost=0.1,
    ),
    _check("zou_average_upper", True, False),
    _check("zou_average_lower", False, False),
    _check("zou_tail_upper", True, True),
    _check("zou_tail_lower", False, True),
    Check("zou_iterate_variance_upper", _draw_steps, _variance, _outside),
    Check("zou_summed_bias_upper", _draw_steps, _summed_bias, _outside),
]
