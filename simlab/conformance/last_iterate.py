"""Checks of theory.last_iterate: subgradient runs, the published double sum, numerical minimisation."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize_scalar

import simlab.theory.last_iterate as own
from simlab.conformance._convex import bad_runs, draw_lr, draw_norms, fixed, hard_pieces, random_pieces, run
from simlab.conformance.check import Arguments, Check, Comparison
from simlab.theory.hard_instance import hard_instance

__all__ = ["CHECKS", "double_sum"]

FloatArray = npt.NDArray[np.float64]
HORIZONS = [2**k for k in range(6, 16)]


def double_sum(lr: FloatArray, gradient_norms: FloatArray, distance: float, horizon: int) -> float:
    """Omega_t as the paper prints it, with its sums taken from the right."""
    eta = lr[:horizon]
    square = np.square(eta * np.broadcast_to(gradient_norms, lr.shape)[:horizon])
    S, Q = np.cumsum(eta[::-1])[::-1], np.cumsum(square[::-1])[::-1]
    inner = np.sum(eta[:-1] / S[1:] * Q[:-1] / S[:-1])
    return float(0.5 * (distance**2 + Q[0]) / S[0] + 0.5 * inner)


def _draw(rng: np.random.Generator) -> Arguments:
    lr = draw_lr(rng, 1, 400)
    norms = draw_norms(rng, lr.size)
    distance = float(np.sum(lr) * np.min(norms) * 10.0 ** rng.uniform(-2.0, 0.5))
    return {"lr": lr, "gradient_norms": norms, "distance": distance}


def _compare_bound(arguments: Arguments) -> Comparison:
    lr, distance = arguments["lr"], arguments["distance"]
    norm = float(np.min(arguments["gradient_norms"]))
    stated = own.schaipp_last_iterate(**arguments)
    random = run(random_pieces(fixed(arguments), norm, distance), lr)[0]
    short = lr[:40]
    worst = run(hard_pieces(hard_instance(short, norm, distance), short), short, in_turn=True)[0]
    return Comparison({"gap": stated, "worst case": stated[: short.size]}, {"gap": random, "worst case": worst})


def _outside(rng: np.random.Generator) -> list[Arguments]:
    good = _draw(rng)
    return [*bad_runs(good), {**good, "horizons": np.array([good["lr"].size + 1])}]


def _draw_profile(rng: np.random.Generator) -> Arguments:
    drawn = _draw(rng)
    steps = drawn["lr"].size
    at = rng.integers(1, steps + 1, size=2)
    return {"profile": drawn["lr"], **{k: drawn[k] for k in ("gradient_norms", "distance")}, "horizons": at}


def _compare_base(arguments: Arguments) -> Comparison:
    found = own.schaipp_optimal_base_lr(**arguments)
    h, norms, distance = arguments["profile"], arguments["gradient_norms"], arguments["distance"]
    least, bound = [], []
    for t, guess in zip(arguments["horizons"], found.lr, strict=True):

        def value(log_lr: float, t: int = int(t)) -> float:
            return double_sum(np.exp(log_lr) * h, np.asarray(norms), distance, t)

        middle = float(np.log(guess))
        best = minimize_scalar(value, bounds=(middle - 3.0, middle + 3.5), method="bounded", options={"xatol": 1e-9})
        bound.append(best.fun)
        # The minimum is flat: what is compared is the bound at the stated rate.
        least.append(value(middle))
    return Comparison(
        {"bound": found.bound, "bound at the rate": np.array(least)},
        {"bound": np.array(bound), "bound at the rate": np.array(bound)},
    )


def _outside_profile(rng: np.random.Generator) -> list[Arguments]:
    good = _draw_profile(rng)
    return [*bad_runs(good, rate="profile"), {**good, "horizons": np.array([0])}]


def wsd_profile(steps: int, cooldown: int, shape: str = "linear") -> FloatArray:
    """Ones, then `cooldown` steps from 1 towards 0, sampled at j / cooldown."""
    u = np.arange(cooldown) / cooldown
    tail = 1.0 - (u if shape == "linear" else np.sqrt(u))
    return np.concatenate([np.ones(steps - cooldown), tail])


def _draw_theorem(rng: np.random.Generator) -> Arguments:
    steps = int(rng.integers(3, 2000))
    start = int(rng.integers(2, steps))
    return {
        "steps": steps,
        "cooldown_start": start,
        "gradient_norm": rng.uniform(0.1, 3.0),
        "distance": rng.uniform(1, 9),
    }


def _compare_theorem(arguments: Arguments) -> Comparison:
    steps, start = arguments["steps"], arguments["cooldown_start"]
    scale = arguments["gradient_norm"] * arguments["distance"]
    h = wsd_profile(steps, steps + 1 - start)
    best = minimize_scalar(
        lambda x: double_sum(np.exp(x) * h, np.ones(1), 1.0, steps), bounds=(-12.0, 3.0), method="bounded"
    )
    return Comparison({"bound": np.array([own.schaipp_wsd(**arguments)])}, {"bound": np.array([scale * best.fun])})


def _bad_theorem(rng: np.random.Generator) -> list[Arguments]:
    return [
        {"steps": 5, "cooldown_start": 1},
        {"steps": 5, "cooldown_start": 5},
        {"steps": 5, "cooldown_start": 3, "distance": -1.0},
    ]


def _tuned(h: FloatArray) -> tuple[float, float]:
    """sqrt(T) gamma* and sqrt(T) Omega* for D = G = 1, from the two halves of the double sum."""
    steps, one = h.size, np.ones(1)
    initial = 0.5 / float(np.sum(h))
    noise = double_sum(h, one, 1.0, steps) - initial
    return float(np.sqrt(steps * initial / noise)), float(2.0 * np.sqrt(steps * initial * noise))


def _along(stated: Any, profiles: list[FloatArray]) -> Comparison:
    true = np.array([_tuned(h) for h in profiles]).T
    spread = np.ones(len(profiles))
    return Comparison({"lr": stated.lr * spread, "bound": stated.bound * spread}, {"lr": true[0], "bound": true[1]})


def _draw_limit(rng: np.random.Generator) -> Arguments:
    return {"cooldown": float(rng.choice([0.125, 0.25, 0.5, 1.0])), "shape": str(rng.choice(["linear", "1-sqrt"]))}


def _compare_limit(arguments: Arguments) -> Comparison:
    c, shape = arguments["cooldown"], arguments["shape"]
    return _along(own.wsd_limit(**arguments), [wsd_profile(T, round(c * T), shape) for T in HORIZONS])


def _bad_limit(rng: np.random.Generator) -> list[Arguments]:
    return [{"cooldown": 0.0}, {"cooldown": 1.1}, {"cooldown": 0.2, "shape": "cosine"}]


def _compare_power(arguments: Arguments) -> Comparison:
    profiles = [(1.0 - np.arange(T) / T) ** arguments["power"] for T in HORIZONS]
    return _along(own.polynomial_limit(**arguments), profiles)


def _compare_transfer(arguments: Arguments) -> Comparison:
    stated = own.wsd_lr_transfer(**arguments) * np.ones(len(HORIZONS))
    rates = [
        [_tuned(wsd_profile(T, round(arguments[name] * T)))[0] for T in HORIZONS] for name in ("cooldown", "tuned_at")
    ]
    return Comparison({"lr ratio": stated}, {"lr ratio": np.array(rates[0]) / np.array(rates[1])})


CHECKS: list[Check] = [
    Check("schaipp_last_iterate", _draw, _compare_bound, _outside, rtol=1e-9),
    Check("schaipp_optimal_base_lr", _draw_profile, _compare_base, _outside_profile, rtol=1e-9),
    Check("schaipp_wsd", _draw_theorem, _compare_theorem, _bad_theorem, rtol=1e-9),
    Check("wsd_limit", _draw_limit, _compare_limit, _bad_limit, rtol=2e-3),
    Check(
        "polynomial_limit",
        lambda rng: {"power": float(rng.uniform(0.6, 4.0))},
        _compare_power,
        lambda rng: [{"power": 0.0}],
        rtol=1e-2,
    ),
    Check(
        "wsd_lr_transfer",
        lambda rng: {"cooldown": float(rng.choice([0.125, 0.25, 0.5])), "tuned_at": float(rng.choice([0.25, 1.0]))},
        _compare_transfer,
        lambda rng: [{"cooldown": 0.0}, {"cooldown": 0.2, "tuned_at": 2.0}],
        rtol=2e-3,
    ),
]
