"""Checks of theory.sharper_last_iterate: runs on random and on worst-case functions, numerical minimisation."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize_scalar

import simlab.theory.sharper_last_iterate as own
from simlab.conformance._convex import bad_runs, draw_lr, draw_norms, fixed, hard_pieces, random_pieces, run
from simlab.conformance.check import Arguments, Check, Comparison
from simlab.conformance.last_iterate import wsd_profile
from simlab.theory.hard_instance import hard_instance

__all__ = ["CHECKS", "worst_case"]

FloatArray = npt.NDArray[np.float64]


def worst_case(lr: FloatArray, norm: float, distance: float) -> float:
    """f(x_T) of a run on the worst function of this schedule, which is checked on the way.

    Checked: |g_t| <= norm, the minimum 0 is attained at the stated distance.
    """
    pieces = hard_pieces(hard_instance(lr, norm, distance), lr)
    values, norms = run(pieces, lr, in_turn=True)
    at_minimiser = pieces.slopes @ pieces.minimiser + pieces.offsets
    honest = (
        np.all(norms <= norm * (1.0 + 1e-9))
        and abs(np.linalg.norm(pieces.minimiser) / distance - 1.0) < 1e-7
        and np.max(at_minimiser) <= 1e-7 * max(values[0], norm * distance)
    )
    return float(values[-1]) if honest else np.nan


def _draw(rng: np.random.Generator) -> Arguments:
    lr = draw_lr(rng, 1, 60)
    norm = float(10.0 ** rng.uniform(-1.0, 1.0))
    distance = float(np.sum(lr) * norm * 10.0 ** rng.uniform(-2.0, 0.7))
    return {"lr": lr, "gradient_norm": norm, "distance": distance}


def _compare_worst(arguments: Arguments) -> Comparison:
    stated = np.array([own.worst_case_last_iterate(**arguments)])
    return Comparison({"worst case": stated}, {"worst case": np.array([worst_case(*arguments.values())])})


def _outside(rng: np.random.Generator) -> list[Arguments]:
    good = _draw(rng)
    return [*bad_runs(good, "gradient_norm"), {**good, "horizons": 0}]


def _draw_profile(rng: np.random.Generator) -> Arguments:
    drawn = _draw(rng)
    lr = draw_lr(rng, 2, 60)
    return {"profile": lr, "gradient_norm": drawn["gradient_norm"], "distance": float(rng.uniform(0.1, 10.0))}


def _compare_base(arguments: Arguments) -> Comparison:
    found = own.worst_case_optimal_base_lr(**arguments)
    h, norm, distance = arguments.values()

    def value(log_lr: float) -> float:
        return worst_case(np.exp(log_lr) * h, norm, distance)

    middle = float(np.log(found.lr))
    best = minimize_scalar(value, bounds=(middle - 2.0, middle + 2.3), method="bounded", options={"xatol": 1e-6})
    true = np.array([best.fun])
    return Comparison(
        {"bound": np.array([found.bound]), "bound at the rate": np.array([value(middle)])},
        {"bound": true, "bound at the rate": true},
    )


def _outside_profile(rng: np.random.Generator) -> list[Arguments]:
    good = _draw_profile(rng)
    return [*bad_runs(good, "gradient_norm", "profile"), {**good, "horizons": 10**6}, {**good, "horizons": 1}]


def _draw_norms(rng: np.random.Generator) -> Arguments:
    lr = draw_lr(rng, 1, 60)
    norms = draw_norms(rng, lr.size)
    distance = float(np.sum(lr) * np.min(norms) * 10.0 ** rng.uniform(-2.0, 0.7))
    return {"lr": lr, "gradient_norms": norms, "distance": distance}


def _compare_bound(arguments: Arguments) -> Comparison:
    lr, distance = arguments["lr"], arguments["distance"]
    norm = float(np.min(arguments["gradient_norms"]))
    stated = np.array([own.sharper_last_iterate(**arguments)])
    random = run(random_pieces(fixed(arguments), norm, distance), lr)[0][-1:]
    return Comparison(
        {"gap": stated, "worst case": stated}, {"gap": random, "worst case": np.array([worst_case(lr, norm, distance)])}
    )


def _outside_norms(rng: np.random.Generator) -> list[Arguments]:
    good = _draw_norms(rng)
    return [*bad_runs(good), {**good, "horizons": good["lr"].size + 1}]


def _compare_limit(arguments: Arguments) -> Comparison:
    """The plain recursion from the last step, at growing T."""
    c, shape = arguments["cooldown"], arguments["shape"]
    limit = own.worst_case_wsd_limit(c, shape)
    rates, bounds = [], []
    for steps in (2**k for k in range(6, 15)):
        reach, total = 0.0, 0.0
        for eta in wsd_profile(steps, round(c * steps), shape)[-2::-1].tolist():
            value = max(reach, eta)
            reach = value + 2.0 * eta + eta * eta / value
            total += eta
        rates.append(np.sqrt(steps / (reach * (reach - 2.0 * total))))
        bounds.append(np.sqrt(steps * (1.0 - 2.0 * total / reach)))
    ones = np.ones(len(rates))
    return Comparison(
        {"lr": limit.lr * ones, "bound": limit.bound * ones}, {"lr": np.array(rates), "bound": np.array(bounds)}
    )


CHECKS: list[Check] = [
    Check("worst_case_last_iterate", _draw, _compare_worst, _outside, rtol=1e-7),
    Check("worst_case_optimal_base_lr", _draw_profile, _compare_base, _outside_profile, rtol=1e-7, cost=0.1),
    Check("sharper_last_iterate", _draw_norms, _compare_bound, _outside_norms, rtol=1e-7, cost=0.04),
    Check(
        "worst_case_wsd_limit",
        lambda rng: {
            "cooldown": float(rng.choice([0.125, 0.25, 0.5, 1.0])),
            "shape": str(rng.choice(["linear", "1-sqrt"])),
        },
        _compare_limit,
        lambda rng: [{"cooldown": 0.0}, {"cooldown": 0.2, "shape": "cosine"}],
        rtol=5e-3,
        cost=0.02,
    ),
]
