"""Checks of theory.asgd_average: the exact engine's tail average of ASGD, mode by mode."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

import simlab as sl
from simlab.conformance._two_state import constant, draw_spectrum, mode_risks
from simlab.conformance.check import Arguments, Check, Comparison
from simlab.theory import asgd_average as t
from simlab.theory.asgd import asgd_cutoffs, jain_2018_rule, li_2024_rule
from simlab.theory.two_state import TwoState, two_state_mass

FloatArray = npt.NDArray[np.float64]


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


def risks(given: Arguments) -> tuple[FloatArray, FloatArray]:
    """(bias, variance) of every mode of the tail average, by simlab.exact."""
    problem = sl.LinearRegression(
        given["eigenvalues"], given["initial_error"], given["noise_variance"], given.get("kurtosis", 3.0)
    )
    steps = given["burn_in"] + given["average"]
    inner = sl.methods.asgd(
        constant(steps, given["delta"]),
        given["gamma"],
        given["beta"],
        given.get("alpha"),
        batch=given.get("batch", 1.0),
    )
    bias, variance = mode_risks(problem, sl.methods.tail_average(inner, given["average"]), [steps])
    return bias[0], variance[0]


def _compare(theorem: Callable[..., Any]) -> Callable[[Arguments], Comparison]:
    """Bias and variance by mode; head and tail are the total risk up to and beyond k-dagger."""

    def compare(given: Arguments) -> Comparison:
        bias, variance = risks(given)
        stated = theorem(**given)
        cut = asgd_cutoffs(given["eigenvalues"], given["delta"], given["gamma"], given["beta"]).k_dagger
        claims, true = {"bias": stated.bias, "variance": stated.variance}, {"bias": bias, "variance": variance}
        for name, part in (("head", slice(0, cut)), ("tail", slice(cut, None))):
            if bias[part].size:
                claims[name] = np.array([stated.modes[part].sum()])
                true[name] = np.array([(bias + variance)[part].sum()])
        return Comparison(claims, true)

    return compare


def _outside(rng: np.random.Generator) -> list[Arguments]:
    lam = np.ones(8)
    given = {
        "eigenvalues": lam,
        "initial_error": np.ones(8),
        "noise_variance": 1.0,
        "delta": 0.05,
        "gamma": 0.06,
        "beta": 0.5,
        "burn_in": 5,
        "average": 5,
    }
    changes: list[Arguments] = [
        {"beta": 0.0},
        {"beta": 1.0},
        {"gamma": 0.05 * (1.0 - 1e-9)},
        {"noise_variance": -1e-9},
        {"kurtosis": 1.99},
        {"burn_in": -1},
        {"average": 0},
        {"delta": 0.2, "gamma": 0.2 + 1e-9},
    ]
    return [{**given, **change} for change in changes]


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


def _compare_jain(given: Arguments) -> Comparison:
    rule = jain_2018_rule(given["eigenvalues"], given["c1"])
    bias, variance = risks({**given, **rule._asdict()})
    stated = t.jain_asgd_upper(**given)
    return Comparison(
        {"bias": stated.bias, "variance": stated.variance},
        {"bias": bias.sum(keepdims=True), "variance": variance.sum(keepdims=True)},
    )


def _outside_jain(rng: np.random.Generator) -> list[Arguments]:
    given = _draw_jain(rng)
    return [
        {**given, "c1": 0.19},
        {**given, "c1": 0.5},
        {**given, "burn_in": -1},
        {**given, "average": 0},
        {**given, "noise_variance": -1e-9},
    ]


CHECKS: list[Check] = [
    Check("asgd_average_lower", _draw, _compare(t.asgd_average_lower), _outside, rtol=1e-9, cost=0.02),
    Check("asgd_average_upper", _draw, _compare(t.asgd_average_upper), _outside, rtol=1e-9, cost=0.02),
    Check("jain_asgd_upper", _draw_jain, _compare_jain, _outside_jain, rtol=1e-9, cost=0.02),
]
