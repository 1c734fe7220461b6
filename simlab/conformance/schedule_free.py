"""Checks of theory.schedule_free: the method itself on convex functions, on given gradients, on a quadratic."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.optimize import brentq

import simlab.theory.schedule_free as own
from simlab.conformance._convex import bad_runs, draw_lr, draw_norms, fixed, random_pieces
from simlab.conformance.check import Arguments, Check, Comparison

__all__ = ["CHECKS"]

FloatArray = npt.NDArray[np.float64]


def _draw(rng: np.random.Generator) -> Arguments:
    lr = draw_lr(rng, 1, 300)
    norms = draw_norms(rng, lr.size)
    distance = float(np.sum(lr) * np.min(norms) * 10.0 ** rng.uniform(-2.0, 0.0))
    return {"lr": lr, "gradient_norms": norms, "distance": distance}


def _compare(arguments: Arguments) -> Comparison:
    """f(x_T) on random cones and on |x| in one dimension, for beta from 0 to 1."""
    lr, distance = arguments["lr"], arguments["distance"]
    norm, rng = float(np.min(arguments["gradient_norms"])), fixed(arguments)
    worst = 0.0
    for beta in (0.0, 0.5, 0.9, 1.0):
        f = random_pieces(rng, norm, distance)
        z = x = np.zeros(f.minimiser.size)
        total = 0.0
        for t, rate in enumerate(lr):
            total += rate
            x = z if t == 0 else x + rate / total * (z - x)
            y = (1.0 - beta) * z + beta * x
            z = z - rate * f.slopes[int(np.argmax(f.slopes @ y + f.offsets))]
        worst = max(worst, float(np.max(f.slopes @ x + f.offsets)))
    stated = own.schedule_free_last_iterate(**arguments)
    return Comparison({"gap": np.array([stated])}, {"gap": np.array([worst])})


def _draw_dual(rng: np.random.Generator) -> Arguments:
    lr = draw_lr(rng, 1, 300)
    return {"lr": lr, "weights": None if rng.random() < 0.3 else np.append(rng.uniform(0.1, 1.0), rng.random(lr.size))}


def _compare_dual(arguments: Arguments) -> Comparison:
    lr = arguments["lr"]
    weights = np.ones(lr.size + 1) if arguments["weights"] is None else arguments["weights"]
    gradients = np.random.default_rng(lr.size).uniform(0.5, 1.5, size=(lr.size, 3))
    z = x = np.zeros(3)
    total = weights[0]
    for t, rate in enumerate(lr):
        z = z - rate * gradients[t]
        total += weights[t + 1]
        x = x + weights[t + 1] / total * (z - x)
    return Comparison({"iterate": -own.schedule_free_dual_lr(**arguments) @ gradients}, {"iterate": x})


def _draw_edge(rng: np.random.Generator) -> Arguments:
    return {"lr": 10.0 ** rng.uniform(-3.0, 1.0), "beta": rng.uniform(0.0, 0.99), "averaging": rng.uniform(0.001, 1.0)}


def _compare_edge(arguments: Arguments) -> Comparison:
    """Where the spectral radius of one step on a quadratic, applied to the unit vectors, crosses 1."""
    lr, beta, c = arguments.values()

    def excess(log_curvature: float) -> float:
        columns = []
        for z, x in ((1.0, 0.0), (0.0, 1.0)):
            new = z - lr * np.exp(log_curvature) * ((1.0 - beta) * z + beta * x)
            columns.append([new, (1.0 - c) * x + c * new])
        return float(np.max(np.abs(np.linalg.eigvals(np.array(columns).T)))) - 1.0

    low = float(np.log(1e-2 / lr))
    # Below the edge the radius is under 1 and beyond it over 1, so any bracket holds one crossing.
    crossing = brentq(excess, low, float(np.log(1e5 / lr)), xtol=1e-14)
    return Comparison({"edge": np.array([own.schedule_free_edge(**arguments)])}, {"edge": np.array([np.exp(crossing)])})


CHECKS: list[Check] = [
    Check("schedule_free_last_iterate", _draw, _compare, lambda rng: bad_runs(_draw(rng)), rtol=1e-9),
    Check(
        "schedule_free_dual_lr",
        _draw_dual,
        _compare_dual,
        lambda rng: [
            {"lr": [1.0], "weights": [1.0]},
            {"lr": [1.0], "weights": [0.0, 1.0]},
            {"lr": [1.0], "weights": [1.0, -1.0]},
        ],
        rtol=1e-11,
    ),
    Check(
        "schedule_free_edge",
        _draw_edge,
        _compare_edge,
        lambda rng: [
            {"lr": 0.0, "beta": 0.5},
            {"lr": 1.0, "beta": 1.1},
            {"lr": 1.0, "beta": 1.0},
            {"lr": 1.0, "beta": 0.5, "averaging": 1.5},
        ],
        rtol=1e-9,
    ),
]
