"""Critical batch sizes: Lyapunov equations, simlab's stability analysis, a linear programme of exponents."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.optimize import brentq, linprog

import simlab as sl
from simlab.arrays import FloatArray
from simlab.conformance.check import Arguments, Check
from simlab.conformance.draws.momentum import draw_spectrum, lyapunov_response
from simlab.conformance.draws.regression import constant
from simlab.methods.base import Method
from simlab.theory.two_state import TwoState

MODES = 4000


def _method(name: str, lr: float, momentum: float, batch: float) -> Method:
    flat = constant(1, lr)
    if name == "sgd":
        return sl.methods.sgd(flat, batch)
    return (sl.methods.heavy_ball if name == "polyak" else sl.methods.nesterov)(flat, momentum, batch)


def _draw(rng: np.random.Generator) -> Arguments:
    lam = draw_spectrum(rng)
    momentum = float(rng.choice([0.0, 0.5, 0.9, 0.99]))
    batch = float(rng.choice([1.0, 2.0, 16.0, 1024.0]))
    return {"eigenvalues": lam, "momentum": momentum, "batch": batch, "method": "polyak"}


def _draw_sgd(rng: np.random.Generator) -> Arguments:
    return {**_draw(rng), "momentum": 0.0, "method": "sgd"}


def _critical(given: Arguments) -> float:
    lam = given["eigenvalues"]
    method = _method(given["method"], 0.01 / lam[0], given["momentum"], given["batch"])
    return sl.stability(sl.LinearRegression(lam, 1.0, 0.0), method).critical_lr


def _mass(given: Arguments) -> float:
    lam, lr, r = given["eigenvalues"], given["lr"], given["momentum"]
    numbers = TwoState.nesterov(lr, r) if given["method"] == "nesterov" else TwoState.polyak(lr, r)
    load = lam**2 * lyapunov_response(numbers, lam) / given["batch"]
    return float(np.sum(load / (1.0 - load)))


def _outside_mass(given: Arguments) -> list[Arguments]:
    batch, top, r = given["batch"], given["eigenvalues"][0], given["momentum"]
    pole = 2.0 * batch * (1.0 - r * r) / (top * (batch * (1.0 - r) + 1.0 + r))
    if given["method"] == "nesterov":
        quad = -(batch + 1.0) * r * (1.0 + 2.0 * r)
        linear = 4.0 * batch * r * r + (batch - 1.0) * r - (batch + 1.0)
        roots = np.roots([quad, linear, 2.0 * batch * (1.0 - r * r)] if r else [linear, 2.0 * batch])
        pole = float(roots[roots > 0.0].min()) / top
    bad: list[Arguments] = [{"batch": 0.5}, {"lr": pole * (1.0 + 1e-9)}, {"lr": 0.0}]
    return bad if given["method"] == "sgd" else [*bad, {"momentum": 1.0}]


def _mass_check(name: str, rtol: float) -> Check:
    def draw(rng: np.random.Generator) -> Arguments:
        given = {**(_draw_sgd(rng) if name == "sgd" else _draw(rng)), "method": name}
        return {**given, "lr": rng.uniform(0.05, 0.99) * _critical(given)}

    return Check(f"{name}_mass", draw, _mass, _outside_mass, rtol=rtol)


def _draw_named(rng: np.random.Generator) -> Arguments:
    return {"method": str(rng.choice(["sgd", "polyak", "nesterov"])), "capacity": rng.uniform(1.5, 2.5)}


def _draw_moving(rng: np.random.Generator) -> Arguments:
    return {"method": str(rng.choice(["polyak", "nesterov"])), "capacity": rng.uniform(1.5, 2.5)}


def _power_law(capacity: float) -> sl.LinearRegression:
    return sl.LinearRegression(np.arange(1.0, MODES + 1.0) ** -capacity, 1.0, 1.0)


def _slope(x: FloatArray, y: list[float]) -> float:
    return float(np.log(y[-1] / y[0]) / np.log(x[-1] / x[0]))


def _lr_exponents(given: Arguments) -> list[float]:
    """Slopes of simlab's critical_lr, B = 16 .. 64 and 1 - rho = 10^-7 .. 10^-6."""
    problem = _power_law(given["capacity"])

    def critical(batch: float, damping: float) -> float:
        method = _method(given["method"], 0.01 * damping, 1.0 - damping, batch)
        return sl.stability(problem, method).critical_lr

    batches, dampings = np.array([16.0, 64.0]), np.array([1e-7, 1e-6])
    return [
        _slope(batches, [critical(b, 1e-7) for b in batches]),
        _slope(dampings, [critical(32.0, d) for d in dampings]),
    ]


def _draw_floor(rng: np.random.Generator) -> Arguments:
    return {**_draw_named(rng), "effective_lr": float(rng.choice([1e-3, 300.0]))}


def _floor(given: Arguments) -> Any:
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
    return {"variance": _slope(rates, floors)}


def _horizon(given: Arguments) -> float:
    """k + 1 = 1/(1 - rho) where simlab's mass is 1, for eta = 0.05 and B = 16, 64."""
    problem = _power_law(given["capacity"])

    def horizon(batch: float) -> float:
        def excess(log_damping: float) -> float:
            method = _method(given["method"], 0.05, 1.0 - np.exp(log_damping), batch)
            mass = sl.stability(problem, method).mass
            return mass / (1.0 + mass) - 0.5 if np.isfinite(mass) else 0.5

        return float(np.exp(-brentq(excess, np.log(1e-9), np.log(0.5), xtol=1e-6)))

    batches = np.array([16.0, 64.0])
    return _slope(batches, [horizon(b) for b in batches])


def _draw_data(rng: np.random.Generator) -> Arguments:
    named = _draw_named(rng)
    grid = np.linspace(0.0, 0.99, 12)
    return {**named, "capacity": rng.uniform(1.1, 4.0), "source": rng.uniform(0.1, 3.0), "batch_exponent": grid}


def _data(given: Arguments) -> list[float]:
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
    return best


FEW: list[Arguments] = [{"batch": 0.99}]
POLYAK: list[Arguments] = [*FEW, {"momentum": 1.0}, {"momentum": -1e-9}]
NAMED: list[Arguments] = [{"capacity": 1.0}, {"method": "adam"}]
CHECKS = [
    _mass_check("sgd", 1e-8),
    _mass_check("polyak", 1e-7),
    _mass_check("nesterov", 1e-7),
    Check("sgd_critical_lr_lower", _draw_sgd, _critical, FEW, rtol=1e-10),
    Check("sgd_critical_lr_upper", _draw_sgd, _critical, FEW, rtol=1e-10),
    Check("polyak_critical_lr_lower", _draw, _critical, POLYAK, rtol=1e-10),
    Check("polyak_critical_lr_upper", _draw, _critical, POLYAK, rtol=1e-10),
    Check("critical_lr_exponents", _draw_named, _lr_exponents, NAMED, rtol=0.12, cost=0.1),
    Check("floor_exponent", _draw_floor, _floor, [*NAMED, {"effective_lr": 0.0}], rtol=0.1, cost=0.05),
    Check(
        "momentum_horizon_exponent", _draw_moving, _horizon, [{"capacity": 1.0}, {"method": "sgd"}], rtol=0.15, cost=0.2
    ),
    Check(
        "data_exponents",
        _draw_data,
        _data,
        [*NAMED, {"source": 0.0}, {"batch_exponent": 1.0}, {"batch_exponent": -0.01}],
        rtol=1e-7,
        cost=0.05,
    ),
]
