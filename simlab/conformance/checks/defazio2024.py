"""Schedule-free itself: on convex functions, on given gradients, on a quadratic."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.optimize import brentq

from simlab.conformance.check import Arguments, Check
from simlab.conformance.draws.convex import bad_runs, draw_lr, draw_run, fixed, random_pieces


def _worst_gap(given: Arguments) -> Any:
    """The largest f(x_T) on random cones for beta from 0 to 1."""
    norm, rng = float(np.min(given["gradient_norms"])), fixed(given)
    worst = 0.0
    for beta in (0.0, 0.5, 0.9, 1.0):
        f = random_pieces(rng, norm, given["distance"])
        z = x = np.zeros(f.minimiser.size)
        total = 0.0
        for t, rate in enumerate(given["lr"]):
            total += rate
            x = z if t == 0 else x + rate / total * (z - x)
            y = (1.0 - beta) * z + beta * x
            z = z - rate * f.slopes[int(np.argmax(f.slopes @ y + f.offsets))]
        worst = max(worst, float(np.max(f.slopes @ x + f.offsets)))
    return {"gap": worst}


def _draw_dual(rng: np.random.Generator) -> Arguments:
    lr = draw_lr(rng, 1, 300)
    weights = None if rng.random() < 0.3 else np.append(rng.uniform(0.1, 1.0), rng.random(lr.size))
    gradients = np.random.default_rng(lr.size).uniform(0.5, 1.5, size=(lr.size, 3))
    return {"lr": lr, "weights": weights, "gradients": gradients}


def _iterate(given: Arguments) -> Any:
    weights = np.ones(given["lr"].size + 1) if given["weights"] is None else given["weights"]
    z = x = np.zeros(3)
    total = weights[0]
    for rate, weight, gradient in zip(given["lr"], weights[1:], given["gradients"], strict=True):
        z = z - rate * gradient
        total += weight
        x = x + weight / total * (z - x)
    return {"iterate": x}


def _draw_edge(rng: np.random.Generator) -> Arguments:
    return {"lr": 10.0 ** rng.uniform(-3.0, 1.0), "beta": rng.uniform(0.0, 0.99), "averaging": rng.uniform(0.001, 1.0)}


def _edge(given: Arguments) -> Any:
    """Where the spectral radius of one step on a quadratic, applied to the unit vectors, crosses 1."""
    lr, beta, c = given.values()

    def excess(log_curvature: float) -> float:
        columns = []
        for z, x in ((1.0, 0.0), (0.0, 1.0)):
            new = z - lr * np.exp(log_curvature) * ((1.0 - beta) * z + beta * x)
            columns.append([new, (1.0 - c) * x + c * new])
        return float(np.max(np.abs(np.linalg.eigvals(np.array(columns).T)))) - 1.0

    # Below the edge the radius is under 1 and beyond it over 1, so any bracket holds one crossing.
    return {"edge": np.exp(brentq(excess, float(np.log(1e-2 / lr)), float(np.log(1e5 / lr)), xtol=1e-14))}


CHECKS = [
    Check("schedule_free_last_iterate", lambda rng: draw_run(rng, 300, 0.0), _worst_gap, bad_runs),
    Check(
        "schedule_free_dual_lr",
        _draw_dual,
        _iterate,
        [{"lr": [1.0], "weights": weights} for weights in ([1.0], [0.0, 1.0], [1.0, -1.0])],
        says=lambda lr, given: {"iterate": -lr @ given["gradients"]},
        rtol=1e-11,
    ),
    Check(
        "schedule_free_edge",
        _draw_edge,
        _edge,
        [{"lr": 0.0}, {"beta": 1.1}, {"beta": 1.0, "averaging": 0.0}, {"averaging": 1.5}],
    ),
]
