"""Runs on random and on worst-case functions, numerical minimisation."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.optimize import minimize_scalar

from simlab.conformance.check import Arguments, Check
from simlab.conformance.draws.convex import bad_runs, draw_lr, draw_run, random_run, worst_case, wsd_profile
from simlab.theory.sharper_last_iterate import worst_case_optimal_base_lr


def _draw(rng: np.random.Generator) -> Arguments:
    lr = draw_lr(rng, 1, 60)
    norm = float(10.0 ** rng.uniform(-1.0, 1.0))
    distance = float(np.sum(lr) * norm * 10.0 ** rng.uniform(-2.0, 0.7))
    return {"lr": lr, "gradient_norm": norm, "distance": distance}


def _draw_profile(rng: np.random.Generator) -> Arguments:
    norm = _draw(rng)["gradient_norm"]
    return {"profile": draw_lr(rng, 2, 60), "gradient_norm": norm, "distance": float(rng.uniform(0.1, 10.0))}


def _at_rate(given: Arguments) -> tuple[float, float]:
    """The worst case at the stated base rate, and the least over base rates."""
    h, norm, distance = given.values()

    def value(log_lr: float) -> float:
        return worst_case(np.exp(log_lr) * h, norm, distance)

    middle = float(np.log(worst_case_optimal_base_lr(**given).lr))
    best = minimize_scalar(value, bounds=(middle - 2.0, middle + 2.3), method="bounded", options={"xatol": 1e-6})
    return value(middle), best.fun


def _outside_profile(given: Arguments) -> list[Arguments]:
    return [*bad_runs(given, "gradient_norm", "profile"), {"horizons": 10**6}, {"horizons": 1}]


def _gaps(given: Arguments) -> Any:
    lr, norm = given["lr"], float(np.min(given["gradient_norms"]))
    return {"gap": random_run(given, lr)[-1:], "worst case": worst_case(lr, norm, given["distance"])}


def _limit(given: Arguments) -> Any:
    """The plain recursion from the last step, at growing T."""
    c, shape = given["cooldown"], given["shape"]
    rates, bounds = [], []
    for steps in (2**k for k in range(6, 15)):
        reach, total = 0.0, 0.0
        for eta in wsd_profile(steps, round(c * steps), shape)[-2::-1].tolist():
            value = max(reach, eta)
            reach = value + 2.0 * eta + eta * eta / value
            total += eta
        rates.append(np.sqrt(steps / (reach * (reach - 2.0 * total))))
        bounds.append(np.sqrt(steps * (1.0 - 2.0 * total / reach)))
    return {"lr": rates, "bound": bounds}


CHECKS = [
    Check(
        "worst_case_last_iterate",
        _draw,
        lambda given: {"worst case": worst_case(*given.values())},
        lambda given: [*bad_runs(given, "gradient_norm"), {"horizons": 0}],
        rtol=1e-7,
    ),
    Check(
        "worst_case_optimal_base_lr",
        _draw_profile,
        lambda given: dict.fromkeys(("bound", "bound at the rate"), _at_rate(given)[1]),
        _outside_profile,
        says=lambda found, given: {"bound": found.bound, "bound at the rate": _at_rate(given)[0]},
        rtol=1e-7,
        cost=0.1,
    ),
    Check(
        "sharper_last_iterate",
        lambda rng: draw_run(rng, 60, 0.7),
        _gaps,
        lambda given: [*bad_runs(given), {"horizons": given["lr"].size + 1}],
        rtol=1e-7,
        cost=0.04,
    ),
    Check(
        "worst_case_wsd_limit",
        lambda rng: {
            "cooldown": float(rng.choice([0.125, 0.25, 0.5, 1.0])),
            "shape": str(rng.choice(["linear", "1-sqrt"])),
        },
        _limit,
        [{"cooldown": 0.0}, {"cooldown": 0.2, "shape": "cosine"}],
        rtol=5e-3,
        cost=0.02,
    ),
]
