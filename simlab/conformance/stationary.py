"""Stability against the frozen stability analysis of the methods; stationary risk as what the engine does not move."""

from __future__ import annotations

import numpy as np

from simlab.conformance._sgd import draw_spectrum, mode_risk, sgd
from simlab.conformance.check import Arguments, Check, Comparison
from simlab.engines.stability import stability
from simlab.problems import LinearRegression
from simlab.theory.stationary import critical_lr, stability_mass, stationary_risk

__all__ = ["CHECKS"]


def _problem(rng: np.random.Generator) -> Arguments:
    lam = draw_spectrum(rng)
    kurtosis = float(rng.choice([1.0, 1.8, 3.0, 6.0]))
    kurt = kurtosis if rng.random() < 0.7 else rng.uniform(1.0, 9.0, lam.size)
    return {"eigenvalues": lam, "batch": float(rng.choice([1, 2, 5, 64, 1000])), "kurtosis": kurt}


def _draw_mass(rng: np.random.Generator) -> Arguments:
    arguments = _problem(rng)
    return {**arguments, "lr": float(critical_lr(**arguments)) * rng.uniform(0.01, 1.2)}


def _draw_risk(rng: np.random.Generator) -> Arguments:
    arguments = _problem(rng)
    lr = float(critical_lr(**arguments)) * rng.uniform(0.01, 0.95)
    return {**arguments, "noise_variance": rng.uniform(0.1, 2.0), "lr": lr}


def _regression(arguments: Arguments) -> LinearRegression:
    lam = arguments["eigenvalues"]
    noise = float(arguments.get("noise_variance", 1.0))
    return LinearRegression(lam, 1.0, noise, arguments["kurtosis"])


def _compare_mass(arguments: Arguments) -> Comparison:
    found = stability(_regression(arguments), sgd(arguments["lr"], 1, arguments["batch"]))
    stated = stability_mass(**arguments)
    # A run that is unstable in a single mode has no finite mass; what both must say then is "unstable".
    finite = np.isfinite(found.mass)
    one = np.ones(())
    return Comparison(
        {"risk": stated if finite else one * (stated > 1.0)}, {"risk": one * (found.mass if finite else 1)}
    )


def _compare_risk(arguments: Arguments) -> Comparison:
    # A run that starts with these risks must keep them, mode by mode: the noise it takes in makes good what it forgets.
    stated = stationary_risk(**arguments)
    start = {**arguments, "initial_error": np.sqrt(2.0 * stated / arguments["eigenvalues"])}
    bias, variance = mode_risk(start, sgd(arguments["lr"], 300, arguments["batch"]), kurtosis=arguments["kurtosis"])
    return Comparison({"variance": stated}, {"variance": bias + variance})


def _compare_lr(arguments: Arguments) -> Comparison:
    lr = critical_lr(**arguments)
    found = stability(_regression(arguments), sgd(0.5 * lr, 1, arguments["batch"]))
    return Comparison({"risk": lr}, {"risk": np.asarray(found.critical_lr)})


def _outside(arguments: Arguments) -> list[Arguments]:
    lam = arguments["eigenvalues"]
    return [
        {**arguments, "eigenvalues": np.append(lam, 0.0), "kurtosis": 3.0},
        {**arguments, "batch": 0.5},
        {**arguments, "kurtosis": 0.5},
    ]


def _outside_mass(rng: np.random.Generator) -> list[Arguments]:
    arguments = _draw_mass(rng)
    return [*_outside(arguments), {**arguments, "lr": 0.0}]


def _outside_risk(rng: np.random.Generator) -> list[Arguments]:
    arguments = _draw_risk(rng)
    limit = critical_lr(arguments["eigenvalues"], arguments["batch"], arguments["kurtosis"])
    return [*_outside(arguments), {**arguments, "lr": 0.0}, {**arguments, "lr": float(limit) * 1.0001}]


CHECKS: list[Check] = [
    Check("stability_mass", _draw_mass, _compare_mass, _outside_mass, rtol=1e-9, cost=0.003),
    Check("stationary_risk", _draw_risk, _compare_risk, _outside_risk, rtol=1e-9, cost=0.003),
    Check("critical_lr", _problem, _compare_lr, lambda rng: _outside(_problem(rng)), rtol=1e-7, cost=0.01),
]
