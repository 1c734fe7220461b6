"""Checks of theory.scaling_laws: the exact engine mode by mode, slopes of exact runs, tuned laws in the log domain."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize_scalar

import simlab as sl
from simlab.conformance._two_state import BATCHES
from simlab.conformance.check import Arguments, Check, Comparison
from simlab.conformance.random_features import gradient_risk
from simlab.conformance.volterra import draw_problem, draw_schedule, engine
from simlab.theory import scaling_laws as t
from simlab.theory.random_features import sketch_risk
from simlab.theory.two_state import two_state_critical_lr

FloatArray = npt.NDArray[np.float64]


def _critical(given: Arguments) -> float:
    return two_state_critical_lr(given["eigenvalues"], batch=given["batch"], kurtosis=given.get("kurtosis", 3.0))


def _draw_limit(rng: np.random.Generator) -> Arguments:
    given = {**draw_problem(rng), "batch": float(rng.choice(BATCHES))}
    peak = min(rng.uniform(0.05, 0.2) * _critical(given), 2.0 / (128.0 * given["eigenvalues"][-1]))
    return {**given, "lr": draw_schedule(rng, 128, peak)}


def _compare_limit(given: Arguments) -> Comparison:
    """The same schedule of intrinsic time in 128, 512, 2048 and 8192 steps: risk at the end."""
    stated: dict[str, list[float]] = {"bias": [], "variance": []}
    true: dict[str, list[float]] = {"bias": [], "variance": []}
    for finer in (1, 4, 16, 64):
        fine = {**given, "lr": np.repeat(given["lr"], finer) / finer}
        found, (bias, variance) = t.fsl_first_order(**fine), engine(fine, every=False)
        for name, ours, theirs in (("bias", found.bias, bias), ("variance", found.variance, variance)):
            stated[name].append(float(ours[-1].sum()))
            true[name].append(float(theirs[-1].sum()))
    return Comparison({n: np.array(v) for n, v in stated.items()}, {n: np.array(v) for n, v in true.items()})


def _draw_lower(rng: np.random.Generator) -> Arguments:
    given = {**draw_problem(rng), "batch": float(rng.choice(BATCHES)), "kurtosis": float(rng.choice([2.0, 3.0, 6.0]))}
    return {**given, "lr": draw_schedule(rng, int(rng.integers(1, 200)), rng.uniform(0.02, 0.98) * _critical(given))}


def _compare_lower(given: Arguments) -> Comparison:
    bias, variance = engine(given)
    stated = t.fsl_lower(**given)
    return Comparison({"bias": stated.bias, "variance": stated.variance}, {"bias": bias, "variance": variance})


def _draw_upper(rng: np.random.Generator) -> Arguments:
    return {name: value for name, value in _draw_lower(rng).items() if name != "initial_error"}


def _compare_upper(given: Arguments) -> Comparison:
    _, variance = engine({**given, "initial_error": np.ones_like(given["eigenvalues"])})
    return Comparison({"variance": t.fsl_variance_upper(**given)}, {"variance": variance})


def _outside(rng: np.random.Generator, draw: Callable[[np.random.Generator], Arguments]) -> list[Arguments]:
    given = draw(rng)
    return [{**given, "lr": np.array([0.1, -1e-9])}, {**given, "batch": 0.5}, {**given, "noise_variance": -1e-9}]


def _outside_lower(rng: np.random.Generator) -> list[Arguments]:
    return [*_outside(rng, _draw_lower), {**_draw_lower(rng), "kurtosis": 1.99}]


def _outside_upper(rng: np.random.Generator) -> list[Arguments]:
    given = _draw_upper(rng)
    edge = np.full(10, _critical(given) * (1.0 + 1e-9))
    return [*_outside(rng, _draw_upper), {**given, "kurtosis": 1.99}, {**given, "lr": edge}]


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


def _compare_exponents(given: Arguments) -> Comparison:
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
    fit = np.linalg.solve(np.stack([-sizes, np.log(sizes), np.ones(3)], axis=1), np.array(best))
    return Comparison({"risk": np.array(t.fsl_exponents(**given))}, {"risk": fit[:2]})


def _outside_exponents(rng: np.random.Generator) -> list[Arguments]:
    given = _draw_exponents(rng)
    changes: list[Arguments] = [{"schedule": "cosine"}, {"budget": "time"}, {"capacity": 1.0}, {"source": 0.0}]
    return [{**given, **change} for change in changes]


def _draw_bordelon(rng: np.random.Generator) -> Arguments:
    # Near a - 1 = b a logarithm blurs the exponent of the width.
    b = rng.uniform(1.2, 2.5)
    return {"a": 1.0 + (rng.uniform(0.25, 0.75) if rng.uniform() < 0.5 else rng.uniform(1.35, 2.0)) * b, "b": b}


def _compare_bordelon(given: Arguments) -> Comparison:
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
    return Comparison(
        {"risk": np.array(t.bordelon_exponents(a, b))}, {"risk": np.array([time, width, -float(found.fun)])}
    )


def _draw_dana(rng: np.random.Generator) -> Arguments:
    return {
        "method": str(rng.choice(["sgd", "dana_constant", "dana_decaying"])),
        "alpha": rng.uniform(1.0, 1.3),
        "beta": rng.uniform(0.1, 0.5),
    }


def _compare_dana(given: Arguments) -> Comparison:
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
    slope = -np.log((at[1] + tail) / (at[0] + tail)) / np.log(steps[1] / steps[0])
    return Comparison({"bias": np.array([t.dana_exponent(**given)])}, {"bias": np.array([slope])})


def _outside_dana(rng: np.random.Generator) -> list[Arguments]:
    given = {"method": "sgd", "alpha": 1.0, "beta": 0.3}
    return [{**given, "alpha": 0.5}, {**given, "alpha": 0.6, "beta": -0.2}, {**given, "method": "adam"}]


CHECKS: list[Check] = [
    Check("fsl_first_order", _draw_limit, _compare_limit, lambda rng: _outside(rng, _draw_limit), rtol=0.01, cost=0.2),
    Check("fsl_lower", _draw_lower, _compare_lower, _outside_lower, rtol=1e-10, cost=0.03),
    Check("fsl_variance_upper", _draw_upper, _compare_upper, _outside_upper, rtol=1e-10, cost=0.03),
    Check("fsl_exponents", _draw_exponents, _compare_exponents, _outside_exponents, rtol=0.01, cost=0.1),
    Check(
        "bordelon_exponents",
        _draw_bordelon,
        _compare_bordelon,
        lambda rng: [{"a": 2.0, "b": 1.0}, {"a": 1.0, "b": 2.0}],
        rtol=0.12,
        cost=0.3,
    ),
    Check("dana_exponent", _draw_dana, _compare_dana, _outside_dana, rtol=0.08, cost=0.1),
]
