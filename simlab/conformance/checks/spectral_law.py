"""The rates of the law of a spectrum: what they cost beside the certified optimum, both by the exact recursion."""

from __future__ import annotations

from typing import Any

import numpy as np

from simlab.arrays import FloatArray
from simlab.conformance.check import Arguments, Check
from simlab.engines.exact import exact
from simlab.methods import sgd
from simlab.optimal.optimize import optimize
from simlab.problems import LinearRegression
from simlab.schedules import from_array

STEPS, DIM = 4096, 100


def _draw(rng: np.random.Generator) -> Arguments:
    """A noisy power law, with a cap that binds or without; batches with one, as else the optimum is one of many."""
    i, batch = np.arange(1.0, DIM + 1.0), int(rng.choice([1, 1, 8]))
    capacity, source = rng.uniform(1.2, 2.0), rng.uniform(1.2, 2.5)
    return {
        "eigenvalues": i**-capacity,
        "initial_error": i ** (0.5 * (capacity - source)),
        "noise_variance": rng.uniform(0.1, 1.0),
        "steps": STEPS,
        "batch": batch,
        "kurtosis": float(rng.choice([1.0, 3.0])),
        "cap": rng.uniform(0.1, 0.4) if batch > 1 or rng.uniform() < 0.3 else np.inf,
    }


def _problem(given: Arguments) -> LinearRegression:
    return LinearRegression(*(given[name] for name in ("eigenvalues", "initial_error", "noise_variance", "kurtosis")))


def _least_risk(given: Arguments) -> FloatArray:
    cap: Any = "critical" if given["cap"] == np.inf else given["cap"]
    return np.array([optimize(_problem(given), STEPS, batch=given["batch"], cap=cap, tolerance=1e-5).risk])


def _risk_of_rates(rates: FloatArray, given: Arguments) -> FloatArray:
    method = sgd(from_array(rates), batch=given["batch"])
    return exact(_problem(given), method, record=2, progress=False).total().values[-1:]


OUTSIDE: list[Arguments] = [
    {"eigenvalues": np.zeros(DIM)}, {"steps": 0}, {"batch": 0.5}, {"kurtosis": 0.5}, {"cap": 0.0},
    {"noise_variance": -1.0}, {"noise_variance": 0.0, "initial_error": 0.0},
]  # fmt: skip

EQUAL = {"eigenvalues": np.ones(50), "initial_error": 1.0, "batch": 1, "cap": np.inf}
"""All error decays as fast as all noise is forgotten."""

CHECKS = [
    Check("short_rates", _draw, _least_risk, OUTSIDE, says=_risk_of_rates, rtol=2e-2, cost=0.2),
    Check("full_rates", _draw, _least_risk, [*OUTSIDE, EQUAL], says=_risk_of_rates, rtol=2e-3, cost=0.5),
]
