"""Stability against the frozen stability analysis of the methods; stationary risk as what the engine does not move."""

from __future__ import annotations

from typing import Any

import numpy as np

from simlab.conformance.check import Arguments, Check
from simlab.conformance.draws.regression import draw_spectrum, mode_risk, sgd
from simlab.engines.stability import Stability, stability
from simlab.problems import LinearRegression
from simlab.theory.stationary import critical_lr, stationary_risk


def _draw(rng: np.random.Generator) -> Arguments:
    lam = draw_spectrum(rng)
    kurtosis = float(rng.choice([1.0, 1.8, 3.0, 6.0]))
    kurt = kurtosis if rng.random() < 0.7 else rng.uniform(1.0, 9.0, lam.size)
    return {"eigenvalues": lam, "batch": float(rng.choice([1, 2, 5, 64, 1000])), "kurtosis": kurt}


def _draw_mass(rng: np.random.Generator) -> Arguments:
    given = _draw(rng)
    return {**given, "lr": float(critical_lr(**given)) * rng.uniform(0.01, 1.2)}


def _draw_risk(rng: np.random.Generator) -> Arguments:
    given = _draw(rng)
    lr = float(critical_lr(**given)) * rng.uniform(0.01, 0.95)
    return {**given, "noise_variance": rng.uniform(0.1, 2.0), "lr": lr}


def _stability(given: Arguments, lr: float) -> Stability:
    problem = LinearRegression(given["eigenvalues"], 1.0, 1.0, given["kurtosis"])
    return stability(problem, sgd(lr, 1, given["batch"]))


def _unstable_or(mass: Any, given: Arguments, true: Any) -> Any:
    """A run that is unstable in a single mode has no finite mass; what both must say then is "unstable"."""
    return {"risk": mass if np.isfinite(true) else float(mass > 1.0)}


def _kept(given: Arguments) -> Any:
    """A run that starts with these risks must keep them, mode by mode: its noise makes good what it forgets."""
    start = {**given, "initial_error": np.sqrt(2.0 * stationary_risk(**given) / given["eigenvalues"])}
    bias, variance = mode_risk(start, sgd(given["lr"], 300, given["batch"]))
    return {"variance": bias + variance}


def _outside(given: Arguments) -> list[Arguments]:
    zero = {"eigenvalues": np.append(given["eigenvalues"], 0.0), "kurtosis": 3.0}
    return [zero, {"batch": 0.5}, {"kurtosis": 0.5}]


def _outside_risk(given: Arguments) -> list[Arguments]:
    limit = critical_lr(given["eigenvalues"], given["batch"], given["kurtosis"])
    return [*_outside(given), {"lr": 0.0}, {"lr": float(limit) * 1.0001}]


CHECKS = [
    Check(
        "stability_mass",
        _draw_mass,
        lambda given: _stability(given, given["lr"]).mass,
        lambda given: [*_outside(given), {"lr": 0.0}],
        parts=_unstable_or,
        cost=0.003,
    ),
    Check("stationary_risk", _draw_risk, _kept, _outside_risk, cost=0.003),
    Check(
        "critical_lr",
        _draw,
        lambda given: _stability(given, 0.5 * float(critical_lr(**given))).critical_lr,
        _outside,
        rtol=1e-7,
        cost=0.01,
    ),
]
