"""The closed forms of optimal schedules against the certified optimum."""

from __future__ import annotations

import math

import numpy as np

from simlab.arrays import FloatArray
from simlab.conformance.check import Arguments, Check
from simlab.optimal.optimize import optimize
from simlab.problems import LinearRegression

STEPS = np.array([2**k for k in (8, 11, 14)])
DIM = 400


def _draw_equal(rng: np.random.Generator) -> Arguments:
    return {
        "eigenvalue": 10.0 ** rng.uniform(-2.0, 2.0),
        "dim": int(rng.integers(1, 60)),
        "initial_risk": 10.0 ** rng.uniform(-1.0, 1.0),
        "noise_variance": float(rng.choice([0.0, rng.uniform(0.01, 2.0)])),
        "steps": int(rng.integers(1, 40)),
        "batch": float(rng.choice([1, 4])),
        "kurtosis": float(rng.choice([3.0, 6.0])),
    }


def _optimum(given: Arguments) -> FloatArray:
    error = math.sqrt(2.0 * given["initial_risk"] / (given["eigenvalue"] * given["dim"]))
    problem = LinearRegression.isotropic(
        given["dim"], given["noise_variance"], given["eigenvalue"], error, given["kurtosis"]
    )
    return optimize(problem, given["steps"], batch=int(given["batch"]), cap=None, tolerance=1e-9).schedule.values()


def _draw_easy(rng: np.random.Generator) -> Arguments:
    capacity = rng.uniform(1.2, 1.6)
    source = capacity + rng.uniform(0.5, 1.0)
    noise = rng.uniform(0.1, 1.0)
    return {"capacity": capacity, "source": source, "dim": DIM, "noise_variance": noise, "steps": STEPS, "batch": 1.0}


def _least_risk(given: Arguments) -> FloatArray:
    problem = LinearRegression.power_law(given["dim"], given["capacity"], given["source"], given["noise_variance"])
    return np.array([optimize(problem, int(steps), tolerance=1e-4).risk for steps in given["steps"]])


def _draw_power_law(rng: np.random.Generator) -> Arguments:
    capacity = rng.uniform(1.4, 1.9)
    return {"capacity": capacity, "source": capacity + rng.uniform(0.6, 1.0)}


def _exponent(given: Arguments) -> float:
    """Between T = 2^13 and 2^16, of a spectrum without an end that those could see."""
    problem = LinearRegression.power_law(10**7, given["capacity"], given["source"], 0.1)
    few, many = (optimize(problem, 2**k, tolerance=1e-4).risk for k in (13, 16))
    return math.log(few / many) / math.log(8.0)


CHECKS = [
    Check(
        "greedy_rates",
        _draw_equal,
        _optimum,
        [{"eigenvalue": 0.0}, {"dim": 0}, {"batch": 0.5}, {"kurtosis": 0.5},
         {"initial_risk": 0.0, "noise_variance": 0.0}],
        rtol=1e-8,
        cost=0.1,
    ),
    Check(
        "optimal_risk",
        _draw_easy,
        _least_risk,
        [{"source": 1.1}, {"capacity": 1.0}, {"dim": 0}, {"noise_variance": 0.0}, {"steps": [0, 10]}, {"batch": 0.5}],
        rtol=5e-2,
        cost=0.5,
    ),
    Check("optimal_exponent", _draw_power_law, _exponent, [{"capacity": 1.0}, {"source": 1.1}], rtol=3e-2, cost=1.0),
]  # fmt: skip
