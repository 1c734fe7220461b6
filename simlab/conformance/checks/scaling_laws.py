"""The exact engine mode by mode, slopes of exact runs, tuned laws in the log domain."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from scipy.optimize import minimize_scalar

import simlab as sl
from simlab.arrays import FloatArray
from simlab.conformance.check import Arguments, Check
from simlab.conformance.checks.bordelon2022 import last_step
from simlab.conformance.draws.momentum import BATCHES, along_finer, draw_fine, draw_regression, draw_schedule
from simlab.conformance.draws.regression import gradient_risk, mode_risk, sgd
from simlab.theory import Risk
from simlab.theory.paquette2024 import sketch_risk
from simlab.theory.scaling_laws import fsl_first_order
from simlab.theory.two_state import two_state_critical_lr


def _critical(given: Arguments) -> float:
    return two_state_critical_lr(given["eigenvalues"], batch=given["batch"], kurtosis=given["kurtosis"])


def _finer(given: Arguments) -> list[FloatArray]:
    """The same schedule of intrinsic time in 128, 512, 2048 and 8192 steps."""
    return [np.repeat(given["lr"], finer) / finer for finer in (1, 4, 16, 64)]


def _draw(rng: np.random.Generator) -> Arguments:
    given = {
        **draw_regression(rng),
        "batch": float(rng.choice(BATCHES)),
        "kurtosis": float(rng.choice([2.0, 3.0, 6.0])),
    }
    return {**given, "lr": draw_schedule(rng, int(rng.integers(1, 200)), rng.uniform(0.02, 0.98) * _critical(given))}


def _risk(given: Arguments) -> Risk:
    return Risk(*mode_risk(given, sgd(given["lr"], batch=given["batch"]), range(len(given["lr"]) + 1)))


def _outside_upper(given: Arguments) -> list[Arguments]:
    return [*LOWER, {"lr": np.full(10, _critical(given) * (1.0 + 1e-9))}]


def _draw_exponents(rng: np.random.Generator) -> Arguments:
    return {
        "schedule": str(rng.choice(["constant", "exponential", "wsd"])),
        "budget": str(rng.choice(["data", "compute"])),
        "capacity": rng.uniform(1.2, 4.0),
        "source": rng.uniform(0.15, 2.5),
    }


def log_loss(
    schedule: str, narrow: bool, log_data: float, log_width: float, log_gamma: float, beta: float, s: float
) -> float:
    """log of Theorems 5.2 to 5.4 at B = 1, sigma = 1, decay to a/K, all in logarithms; min{M, T^(1/beta)} is one of the
    two, M if `narrow`: the smaller of both losses is the loss, and each is convex.
    """
    terms = [-s * beta * log_width]
    total = log_gamma + log_data
    if schedule == "constant":
        terms += [-s * total, log_gamma]
    else:
        decayed = total - np.log(log_data)
        reach = log_width if narrow else max(decayed, 0.0) / beta
        terms += [-s * (total if schedule == "wsd" else decayed), log_gamma - log_data, log_gamma + reach - decayed]
    return float(np.logaddexp.reduce(terms))


def _least(f: Callable[[float], float], low: float, high: float) -> float:
    """The minimum of a convex function on an interval, its ends included."""
    found = minimize_scalar(f, bounds=(low, high), method="bounded", options={"xatol": 1e-7, "maxiter": 300})
    return min(float(found.fun), f(low), f(high))


def _tuned(given: Arguments) -> FloatArray:
    """Best loss at log D = 10^4, 10^5, 10^6, by nested searches over gamma <= 1 and width; fit -p L + q log L + c."""
    schedule, beta, s = given["schedule"], given["capacity"], given["source"]

    def best_gamma(narrow: bool, log_data: float, log_width: float) -> float:
        return _least(lambda g: log_loss(schedule, narrow, log_data, log_width, g, beta, s), -log_data, 0.0)

    def best_width(narrow: bool, size: float) -> float:
        if given["budget"] == "data":
            return best_gamma(narrow, size, 1e3 * size)
        return _least(lambda w: best_gamma(narrow, size - w, w), 0.0, 0.999 * size)

    sizes = np.array([1e4, 1e5, 1e6])
    best = [min(best_width(narrow, size) for narrow in (True, False)) for size in sizes]
    return np.linalg.solve(np.stack([-sizes, np.log(sizes), np.ones(3)], axis=1), np.array(best))[:2]


def _draw_bordelon(rng: np.random.Generator) -> Arguments:
    # Near a - 1 = b a logarithm blurs the exponent of the width.
    b = rng.uniform(1.2, 2.5)
    return {"a": 1.0 + (rng.uniform(0.25, 0.75) if rng.uniform() < 0.5 else rng.uniform(1.35, 2.0)) * b, "b": b}


def _slopes(given: Arguments) -> list[float]:
    """Slopes of exact gradient descent, of sketches at widths up to 10^4, and a search over widths at fixed compute."""
    a, b = given["a"], given["b"]
    steps = [4**5, 4**8]
    risk = gradient_risk(b, a, 0.3, steps)
    time = -np.log(risk[1] / risk[0]) / np.log(steps[1] / steps[0])
    widths = (1000, 8000)
    residual = [sketch_risk(0.5 * b, 0.5 * (a - b), d, 20 * d) for d in widths]
    width = -np.log(residual[1] / residual[0]) / np.log(widths[1] / widths[0])
    found = minimize_scalar(
        lambda w: max(-min(a - 1.0, b) * w, -(a - 1.0) / b * (1.0 - w)), bounds=(0, 1), method="bounded"
    )
    return [time, width, -float(found.fun)]


def _draw_dana(rng: np.random.Generator) -> Arguments:
    method = str(rng.choice(["sgd", "dana_constant", "dana_decaying"]))
    return {"method": method, "alpha": rng.uniform(1.0, 1.3), "beta": rng.uniform(0.1, 0.5)}


def _dana(given: Arguments) -> Any:
    """Slope of the deterministic risk of simlab's dana, 4,000 modes, between 3,000 and 12,000 steps."""
    alpha, beta, steps = given["alpha"], given["beta"], [3000, 12000]
    flat = sl.schedules.constant(steps[-1], 0.25)
    delta = 4.0 + (alpha + beta) / alpha
    if given["method"] == "sgd":
        method: sl.methods.Method = sl.methods.sgd(flat, float("inf"))
    elif given["method"] == "dana_constant":
        method = sl.methods.dana(flat, 0.02, 0.0, delta, batch=float("inf"))
    else:
        method = sl.methods.dana(flat, 0.5, 0.5 / alpha, delta, batch=float("inf"))
    problem = sl.LinearRegression.power_law(4000, 2.0 * alpha, 2.0 * (alpha + beta))
    risk = sl.exact(problem, method, record=steps, threads=1, progress=False).dataset["risk"].sum("subspace")
    at = risk.sel(component="bias", step=steps).to_numpy()
    tail = 0.5 * 4000.5 ** (1.0 - 2.0 * (alpha + beta)) / (2.0 * (alpha + beta) - 1.0)
    return {"bias": -np.log((at[1] + tail) / (at[0] + tail)) / np.log(steps[1] / steps[0])}


LIMIT: list[Arguments] = [{"lr": np.array([0.1, -1e-9])}, {"batch": 0.5}, {"noise_variance": -1e-9}]
LOWER: list[Arguments] = [*LIMIT, {"kurtosis": 1.99}]
CHECKS = [
    Check(
        "fsl_first_order",
        draw_fine,
        lambda given: along_finer(given, _finer(given), last_step),
        LIMIT,
        says=lambda risk, given: along_finer(given, _finer(given), fsl_first_order),
        rtol=0.01,
        cost=0.2,
    ),
    Check("fsl_lower", _draw, _risk, LOWER, rtol=1e-10, cost=0.03),
    Check(
        "fsl_variance_upper",
        _draw,
        lambda given: {"variance": _risk(given).variance},
        _outside_upper,
        rtol=1e-10,
        cost=0.03,
    ),
    Check(
        "fsl_exponents",
        _draw_exponents,
        _tuned,
        [{"schedule": "cosine"}, {"budget": "time"}, {"capacity": 1.0}, {"source": 0.0}],
        rtol=0.01,
        cost=0.1,
    ),
    Check(
        "bordelon_exponents", _draw_bordelon, _slopes, [{"a": 2.0, "b": 1.0}, {"a": 1.0, "b": 2.0}], rtol=0.12, cost=0.3
    ),
    Check(
        "dana_exponent",
        _draw_dana,
        _dana,
        [{"alpha": 0.5}, {"alpha": 0.6, "beta": -0.2}, {"method": "adam"}],
        rtol=0.08,
        cost=0.1,
    ),
]
