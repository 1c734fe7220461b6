"""EMA, tail averages and schedules against one another, in the exact engine with additive noise."""

from __future__ import annotations

from typing import Any

import numpy as np

from simlab import methods
from simlab.arrays import FloatArray
from simlab.conformance.check import Arguments, Check
from simlab.conformance.draws.regression import averaged, draw_lr, draw_weights, mode_risk, sgd
from simlab.methods import Method
from simlab.theory import Risk
from simlab.theory.li2025_tails import ema_matching_tail

HOLD = 1500
WINDOWS = [2**k for k in (7, 9, 11, 13)]


def _draw(rng: np.random.Generator, longest: int = 300) -> Arguments:
    # Modes fast enough to have forgotten the start after HOLD steps.
    lam = np.sort(rng.uniform(0.05, 0.95, int(rng.integers(1, 8))))[::-1]
    window = int(np.exp(rng.uniform(0.0, np.log(longest))))
    batch = float(rng.choice([1, 4]))
    lr = rng.uniform(0.3, 1.0)
    return {"eigenvalues": lam, "noise_variance": rng.uniform(0.1, 3.0), "lr": lr, "window": window, "batch": batch}


def _tail(given: Arguments, window: int) -> FloatArray:
    inner = sgd(given["lr"], HOLD + window, given["batch"])
    problem = {**given, "initial_error": 0.0}
    return mode_risk(problem, methods.average(inner, start=HOLD, form="old"), additive=True)[1]


def _matching(stated: Any, given: Arguments) -> Any:
    return {"variance": np.stack([ema_matching_tail(**{**given, "window": n}) for n in WINDOWS], axis=-1)}


def _draw_dual(rng: np.random.Generator) -> Arguments:
    steps = int(rng.integers(2, 300))
    return {"lr": draw_lr(rng, steps, rng.uniform(0.1, 1.0)), "weights": draw_weights(rng, steps, signed=False)}


def _flatter(method: Method) -> Risk:
    """Risk at the end on ever flatter problems, (d, 4)."""
    spectrum = np.array([0.5, 0.1, 0.01])
    found = [
        mode_risk({"eigenvalues": flat * spectrum, "noise_variance": 1.0}, method, additive=True)
        for flat in (1.0, 1e-2, 1e-4, 1e-6)
    ]
    return Risk(*(np.stack(part, axis=-1) for part in zip(*found, strict=True)))


def _outside(given: Arguments) -> list[Arguments]:
    return [{"lr": 1.001 / given["eigenvalues"][0]}, {"lr": 0.0}, {"window": 0}, {"batch": 0.5}]


def _outside_dual(given: Arguments) -> list[Arguments]:
    weights = given["weights"]
    past = np.zeros_like(weights)
    past[0], past[-1] = 2.0, -1.0
    return [{"lr": -1.0 - given["lr"]}, {"weights": 1.01 * weights}, {"weights": weights[1:]}, {"weights": past}]


CHECKS = [
    Check(
        "ema_matching_tail",
        lambda rng: _draw(rng, 2),
        lambda given: {"variance": np.stack([_tail(given, n) for n in WINDOWS], axis=-1)},
        _outside,
        says=_matching,
        rtol=2e-2,
        cost=0.03,
    ),
    Check("tail_by_ema_lower", _draw, lambda given: {"variance": _tail(given, given["window"])}, _outside),
    Check("tail_by_ema_upper", _draw, lambda given: {"variance": _tail(given, given["window"])}, _outside),
    Check(
        "dual_schedule",
        _draw_dual,
        lambda given: _flatter(averaged(sgd(given["lr"]), given["weights"])),
        _outside_dual,
        says=lambda dual, given: _flatter(sgd(dual)),
        rtol=1e-3,
        cost=0.02,
    ),
]
