"""Tail averages of constant-step SGD: closed forms and bounds against the exact engine."""

from __future__ import annotations

from typing import Any

import numpy as np

from simlab import methods
from simlab.conformance.check import Arguments, Check
from simlab.conformance.draws.regression import (
    below_critical,
    draw_problem,
    head_and_tail,
    mode_risk,
    sgd,
    split,
    unstable,
)
from simlab.methods import Method
from simlab.theory import Risk
from simlab.theory.effective_dimension import k_star


def _draw(rng: np.random.Generator) -> Arguments:
    problem = draw_problem(rng)
    batch, kurtosis = float(rng.choice([1, 2, 8, 64])), float(rng.choice([3.0, 3.0, 6.0, 1.8]))
    peak = below_critical(problem["eigenvalues"], batch, kurtosis)
    steps = int(10.0 ** rng.uniform(0.0, 3.0))
    hold = int(rng.choice([0, 1, 10.0 ** rng.uniform(0.0, 3.0)]))
    lr = peak * 10.0 ** rng.uniform(-2.0, -0.01)
    return {**problem, "lr": lr, "steps": steps, "hold": hold, "batch": batch, "kurtosis": kurtosis}


def _method(given: Arguments) -> Method:
    """The average of w_s .. w_(s+N-1) is what the form "old" holds after s + N steps."""
    hold, steps = given["hold"], given["steps"]
    return methods.average(sgd(given["lr"], hold + steps, given["batch"]), start=hold, form="old")


def _additive(given: Arguments) -> Risk:
    return Risk(*mode_risk(given, _method(given), additive=True))


def _risk(given: Arguments) -> Any:
    return split(*mode_risk(given, _method(given)))


def _variance(given: Arguments) -> Any:
    return mode_risk(given, _method(given))[1]


def _cutoff(variance: Any, given: Arguments, true: Any) -> Any:
    k = int(k_star(given["eigenvalues"], given["lr"], given["steps"]))
    return {"variance": variance, **head_and_tail(variance, k)}


def _outside(given: Arguments, largest: float = 2.0) -> list[Arguments]:
    lam = given["eigenvalues"]
    zero = {"eigenvalues": np.append(lam, 0.0), "initial_error": np.ones(lam.size + 1)}
    return [{"lr": 1.001 * largest / lam[0]}, zero, {"steps": 0}, {"hold": -1}, {"batch": 0.5}]


def _outside_lower(given: Arguments) -> list[Arguments]:
    return [*_outside(given), {"kurtosis": 0.9}]


def _outside_upper(given: Arguments) -> list[Arguments]:
    return [*_outside_lower(given), *unstable(given)]


def _outside_cutoff(given: Arguments) -> list[Arguments]:
    return [*_outside(given, 1.0), {"kurtosis": 0.9}, *unstable(given)]


CHECKS = [
    Check("tail_average_additive_noise_risk", _draw, _additive, _outside, rtol=1e-8),
    Check("tail_average_lower", _draw, _risk, _outside_lower),
    Check("tail_average_upper", _draw, _risk, _outside_upper),
    Check("tail_average_cutoff_upper", _draw, _variance, _outside_cutoff, parts=_cutoff),
]
