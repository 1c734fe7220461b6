"""Checks of theory.critical_batch: Lyapunov equations, simlab's stability analysis, a linear programme of exponents."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
from scipy.optimize import brentq, linprog

import simlab as sl
from simlab.conformance._two_state import constant, draw_spectrum, lyapunov_response
from simlab.conformance.check import Arguments, Check, Comparison
from simlab.methods.base import Method
from simlab.theory import critical_batch as t
from simlab.theory.two_state import TwoState

FloatArray = npt.NDArray[np.float64]
MODES = 4000


def _method(name: str, lr: float, momentum: float, batch: float) -> Method:
    flat = constant(1, lr)
    if name == "sgd":
        return sl.methods.sgd(flat, batch)
    return (sl.methods.heavy_ball if name == "polyak" else sl.methods.nesterov)(flat, momentum, batch)


def _numbers(given: Arguments) -> TwoState:
    return TwoState.polyak(given["lr"], given.get("momentum", 0.0))


def _draw(rng: np.random.Generator) -> Arguments:
    lam = draw_spectrum(rng)
    momentum = float(rng.choice([0.0, 0.5, 0.9, 0.99]))
    return {"eigenvalues": lam, "momentum": momentum, "batch": float(rng.choice([1.0, 2.0, 16.0, 1024.0]))}


def _draw_lr(name: str) -> Callable[[np.random.Generator], Arguments]:
    def draw(rng: np.random.Generator) -> Arguments:
        given = _draw(rng)
        if name == "sgd":
            del given["momentum"]
        return {**given, "lr": rng.uniform(0.05, 0.99) * _critical(name, given)}

    return draw


def _critical(name: str, given: Arguments) -> float:
    problem = sl.LinearRegression(given["eigenvalues"], 1.0, 0.0)
    method = _method(name, 0.01 / given["eigenvalues"][0], given.get("momentum", 0.0), given["batch"])
    return sl.stability(problem, method).critical_lr


def _compare_mass(name: str, theorem: Callable[..., float]) -> Callable[[Arguments], Comparison]:
    def compare(given: Arguments) -> Comparison:
        lam, lr, r = given["eigenvalues"], given["lr"], given.get("momentum", 0.0)
        numbers = TwoState.nesterov(lr, r) if name == "nesterov" else TwoState.polyak(lr, r)
        load = lam**2 * lyapunov_response(numbers, lam) / given["batch"]
        return Comparison({"risk": np.array([theorem(**given)])}, {"risk": np.array([np.sum(load / (1.0 - load))])})

    return compare


def _outside_mass(name: str) -> Callable[[np.random.Generator], list[Arguments]]:
    def outside(rng: np.random.Generator) -> list[Arguments]:
        given = _draw_lr(name)(rng)
        batch, top, r = given["batch"], given["eigenvalues"][0], given.get("momentum", 0.0)
        pole = 2.0 * batch * (1.0 - r * r) / (top * (batch * (1.0 - r) + 1.0 + r))
        if name == "nesterov":
            quad = -(batch + 1.0) * r * (1.0 + 2.0 * r)
            linear = 4.0 * batch * r * r + (batch - 1.0) * r - (batch + 1.0)
            roots = np.roots([quad, linear, 2.0 * batch * (1.0 - r * r)] if r else [linear, 2.0 * batch])
            pole = float(roots[roots > 0.0].min()) / top
        bad = [{**given, "batch": 0.5}, {**given, "lr": pole * (1.0 + 1e-9)}, {**given, "lr": 0.0}]
        return bad if name == "sgd" else [*bad, {**given, "momentum": 1.0}]

    return outside


def _compare_critical(theorem: Callable[..., float]) -> Callable[[Arguments], Comparison]:
    def compare(given: Arguments) -> Comparison:
        true = _critical("polyak" if "momentum" in given else "sgd", given)
        return Comparison({"risk": np.array([theorem(**given)])}, {"risk": np.array([true])})

    return compare


def _draw_sgd(rng: np.random.Generator) -> Arguments:
    given = _draw(rng)
    del given["momentum"]
    return given


def _outside_sgd(rng: np.random.Generator) -> list[Arguments]:
    return [{**_draw_sgd(rng), "batch": 0.99}]


def _outside_polyak(rng: np.random.Generator) -> list[Arguments]:
    given = _draw(rng)
    return [{**given, "batch": 0.99}, {**given, "momentum": 1.0}, {**given, "momentum": -1e-9}]


def _draw_named(rng: np.random.Generator) -> Arguments:
    return {"method": str(rng.choice(["sgd", "polyak", "nesterov"])), "capacity": rng.uniform(1.5, 2.5)}


def _draw_moving(rng: np.random.Generator) -> Arguments:
    return {"method": str(rng.choice(["polyak", "nesterov"])), "capacity": rng.uniform(1.5, 2.5)}


def _power_law(capacity: float) -> sl.LinearRegression:
    return sl.LinearRegression(np.arange(1.0, MODES + 1.0) ** -capacity, 1.0, 1.0)


def _slope(x: FloatArray, y: FloatArray) -> float:
    return float(np.log(y[-1] / y[0]) / np.log(x[-1] / x[0]))


def _compare_exponents(given: Arguments) -> Comparison:
    """Slopes of simlab's critical_lr, B = 16 .. 64 and 1 - rho = 10^-7 .. 10^-6."""
    name, problem = given["method"], _power_law(given["capacity"])

    def critical(batch: float, damping: float) -> float:
        return sl.stability(problem, _method(name, 0.01 * damping, 1.0 - damping, batch)).critical_lr

    batches, dampings = np.array([16.0, 64.0]), np.array([1e-7, 1e-6])
    slopes = [
        _slope(batches, np.array([critical(b, 1e-7) for b in batches])),
        _slope(dampings, np.array([critical(32.0, d) for d in dampings])),
    ]
    return Comparison({"risk": np.array(t.critical_lr_exponents(**given))}, {"risk": np.array(slopes)})


def _draw_floor(rng: np.random.Generator) -> Arguments:
    return {**_draw_named(rng), "effective_lr": float(rng.choice([1e-3, 300.0]))}


def _compare_floor(given: Arguments) -> Comparison:
    """Slope of simlab's noise floor at the gradient point over a factor 3 of eta_rho, K << 1 by a large batch."""
    name, problem = given["method"], _power_law(given["capacity"])
    rates = given["effective_lr"] * np.array([1.0, 3.0])
    floors = []
    for rate in rates:
        damping = 1e-5 if rate > 1.0 else 0.1
        inner = _method(name, rate * damping if name != "sgd" else 1e-3 * rate / rates[0], 1.0 - damping, 1e6)
        M, b, c = (part[0] for part in inner.coefficients())
        method = sl.methods.generic(M, b, c, o=c, steps=1, start=inner.z0, batch=1e6)
        floors.append(sl.stability(problem, method).noise_floor)
    return Comparison(
        {"variance": np.array([t.floor_exponent(**given)])}, {"variance": np.array([_slope(rates, np.array(floors))])}
    )


def _compare_horizon(given: Arguments) -> Comparison:
    """k + 1 = 1/(1 - rho) where simlab's mass is 1, for eta = 0.05 and B = 16, 64."""
    name, problem = given["method"], _power_law(given["capacity"])

    def horizon(batch: float) -> float:
        def excess(log_damping: float) -> float:
            mass = sl.stability(problem, _method(name, 0.05, 1.0 - np.exp(log_damping), batch)).mass
            return mass / (1.0 + mass) - 0.5 if np.isfinite(mass) else 0.5

        return float(np.exp(-brentq(excess, np.log(1e-9), np.log(0.5), xtol=1e-6)))

    batches = np.array([16.0, 64.0])
    slope = _slope(batches, np.array([horizon(b) for b in batches]))
    return Comparison({"risk": np.array([t.momentum_horizon_exponent(**given)])}, {"risk": np.array([slope])})


def _outside_named(rng: np.random.Generator) -> list[Arguments]:
    given = _draw_named(rng)
    return [{**given, "capacity": 1.0}, {**given, "method": "adam"}]


def _outside_floor(rng: np.random.Generator) -> list[Arguments]:
    return [{**bad, "effective_lr": 1.0} for bad in _outside_named(rng)] + [{**_draw_named(rng), "effective_lr": 0.0}]


def _outside_moving(rng: np.random.Generator) -> list[Arguments]:
    given = _draw_moving(rng)
    return [{**given, "capacity": 1.0}, {**given, "method": "sgd"}]


def _draw_data(rng: np.random.Generator) -> Arguments:
    grid = np.linspace(0.0, 0.99, 12)
    return {
        **_draw_named(rng),
        "capacity": rng.uniform(1.1, 4.0),
        "source": rng.uniform(0.1, 3.0),
        "batch_exponent": grid,
    }


def _compare_data(given: Arguments) -> Comparison:
    """Theorems 4.3, 5.1, 5.2 optimised over eta = D^-a and 1 - rho = D^-p, 0 <= p <= 1 - b (the transient ends)."""
    name, beta, s = given["method"], given["capacity"], given["source"]
    best = []
    for b in given["batch_exponent"]:
        found = []
        # Unknowns (a, p, r): r <= s (1 - b + p - a), r <= b - e or b - e/beta with e = p - a, stability a >= ..
        limit = {"sgd": 0.0, "polyak": b, "nesterov": beta * b}[name]
        momentum = 0.0 if name == "sgd" else 1.0 - b
        signal = [s, -s, 1.0]
        for floor, sign in ((1.0, -1.0), (1.0 / beta if name == "nesterov" else 1.0, 1.0)):
            rows = [signal, [-floor, floor, 1.0], [-1.0, 1.0, 0.0], [sign, -sign, 0.0]]
            right = [s * (1.0 - b), b, limit, 0.0]
            box = [(0.0, None), (0.0, momentum), (None, None)]
            answer = linprog([0.0, 0.0, -1.0], A_ub=rows, b_ub=right, bounds=box)
            if answer.status == 0:
                found.append(-answer.fun)
        best.append(max(found))
    return Comparison({"risk": t.data_exponents(**given)}, {"risk": np.array(best)})


def _outside_data(rng: np.random.Generator) -> list[Arguments]:
    given = _draw_data(rng)
    return [
        {**given, "capacity": 1.0},
        {**given, "source": 0.0},
        {**given, "batch_exponent": 1.0},
        {**given, "batch_exponent": -0.01},
        {**given, "method": "adam"},
    ]


CHECKS: list[Check] = [
    Check("sgd_mass", _draw_lr("sgd"), _compare_mass("sgd", t.sgd_mass), _outside_mass("sgd"), rtol=1e-8),
    Check(
        "polyak_mass", _draw_lr("polyak"), _compare_mass("polyak", t.polyak_mass), _outside_mass("polyak"), rtol=1e-7
    ),
    Check(
        "nesterov_mass",
        _draw_lr("nesterov"),
        _compare_mass("nesterov", t.nesterov_mass),
        _outside_mass("nesterov"),
        rtol=1e-7,
    ),
    Check("sgd_critical_lr_lower", _draw_sgd, _compare_critical(t.sgd_critical_lr_lower), _outside_sgd, rtol=1e-10),
    Check("sgd_critical_lr_upper", _draw_sgd, _compare_critical(t.sgd_critical_lr_upper), _outside_sgd, rtol=1e-10),
    Check(
        "polyak_critical_lr_lower", _draw, _compare_critical(t.polyak_critical_lr_lower), _outside_polyak, rtol=1e-10
    ),
    Check(
        "polyak_critical_lr_upper", _draw, _compare_critical(t.polyak_critical_lr_upper), _outside_polyak, rtol=1e-10
    ),
    Check("critical_lr_exponents", _draw_named, _compare_exponents, _outside_named, rtol=0.12, cost=0.1),
    Check("floor_exponent", _draw_floor, _compare_floor, _outside_floor, rtol=0.1, cost=0.05),
    Check("momentum_horizon_exponent", _draw_moving, _compare_horizon, _outside_moving, rtol=0.15, cost=0.2),
    Check("data_exponents", _draw_data, _compare_data, _outside_data, rtol=1e-7, cost=0.05),
]
