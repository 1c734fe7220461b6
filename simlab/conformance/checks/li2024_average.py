"""The exact engine's tail average of ASGD, mode by mode."""

from __future__ import annotations

from typing import Any

import numpy as np

import simlab as sl
from simlab.conformance.check import Arguments, Check
from simlab.conformance.draws.momentum import draw_spectrum
from simlab.conformance.draws.regression import constant, head_and_tail, mode_risk
from simlab.theory import Risk
from simlab.theory.li2024 import asgd_cutoffs, jain_2018_rule, li_2024_rule
from simlab.theory.two_state import TwoState, two_state_mass


def _draw(rng: np.random.Generator) -> Arguments:
    lam = draw_spectrum(rng, 2, 40)
    rule = li_2024_rule(lam, int(rng.integers(1, lam.size)), psi=rng.uniform(2.0, 4.0))
    given: Arguments = {
        "eigenvalues": lam,
        "initial_error": rng.normal(size=lam.size),
        "noise_variance": rng.uniform(0.01, 1.0),
        "delta": rule.delta,
        "gamma": rule.gamma,
        "beta": rule.beta,
        "burn_in": int(rng.choice([0, 1, 30, 300, 2000])),
        "average": int(rng.choice([1, 30, 400])),
        "batch": float(rng.choice([1.0, 4.0, 32.0])),
        "kurtosis": float(rng.choice([2.0, 3.0, 4.0])),
    }
    numbers = TwoState.asgd(rule.delta, rule.gamma, rule.beta)
    mass = two_state_mass(lam, *numbers, batch=given["batch"], kurtosis=given["kurtosis"])
    return given if mass < 0.9 else {**given, "batch": 32.0}


def risks(given: Arguments) -> Risk:
    """Risk of every mode of the tail average, by simlab.exact."""
    steps = given["burn_in"] + given["average"]
    lr, gamma, beta, alpha = constant(steps, given["delta"]), given["gamma"], given["beta"], given.get("alpha")
    inner = sl.methods.asgd(lr, gamma, beta, alpha, batch=given.get("batch", 1.0))
    return Risk(*mode_risk(given, sl.methods.tail_average(inner, given["average"])))


def _parts(risk: Risk, given: Arguments, true: Any) -> Any:
    """Bias and variance by mode; head and tail are the total risk up to and beyond k-dagger."""
    cut = asgd_cutoffs(given["eigenvalues"], given["delta"], given["gamma"], given["beta"]).k_dagger
    sums = {name: values.sum() for name, values in head_and_tail(risk.modes, cut).items()}
    return {"bias": risk.bias, "variance": risk.variance, **sums}


def _draw_jain(rng: np.random.Generator) -> Arguments:
    lam = draw_spectrum(rng, 2, 12, condition=30.0)
    return {
        "eigenvalues": lam,
        "initial_error": rng.normal(size=lam.size),
        "noise_variance": rng.uniform(0.01, 1.0),
        "burn_in": int(rng.integers(0, 2000)),
        "average": int(rng.integers(200, 2000)),
        "c1": rng.uniform(0.2, 0.49),
    }


def _jain(given: Arguments) -> Any:
    risk = risks({**given, **jain_2018_rule(given["eigenvalues"], given["c1"])._asdict()})
    return {"bias": risk.bias.sum(), "variance": risk.variance.sum()}


FLAT: Arguments = {
    "eigenvalues": np.ones(8),
    "initial_error": np.ones(8),
    "delta": 0.05,
    "gamma": 0.06,
    "beta": 0.5,
    "batch": 1.0,
    "kurtosis": 3.0,
}
RUN: list[Arguments] = [{"noise_variance": -1e-9}, {"burn_in": -1}, {"average": 0}]
OUTSIDE: list[Arguments] = [
    *RUN,
    {"beta": 0.0},
    {"beta": 1.0},
    {**FLAT, "gamma": 0.05 * (1.0 - 1e-9)},
    {"kurtosis": 1.99},
    {**FLAT, "delta": 0.2, "gamma": 0.2 + 1e-9},
]
CHECKS = [
    Check("asgd_average_lower", _draw, risks, OUTSIDE, parts=_parts, cost=0.02),
    Check("asgd_average_upper", _draw, risks, OUTSIDE, parts=_parts, cost=0.02),
    Check("jain_asgd_upper", _draw_jain, _jain, [*RUN, {"c1": 0.19}, {"c1": 0.5}], cost=0.02),
]
