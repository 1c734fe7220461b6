"""Last iterates of the subgradient method: runs, the published double sum, numerical minimisation."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.optimize import minimize_scalar

from simlab.arrays import FloatArray
from simlab.conformance.check import Arguments, Check
from simlab.conformance.draws.convex import bad_runs, double_sum, draw_run, hard_run, random_run, wsd_profile
from simlab.theory.schaipp2025 import schaipp_optimal_base_lr

HORIZONS = [2**k for k in range(6, 16)]


def _draw(rng: np.random.Generator) -> Arguments:
    return draw_run(rng, 400, 0.5)


def _gaps(given: Arguments) -> Any:
    lr, norm = given["lr"], float(np.min(given["gradient_norms"]))
    return {"gap": random_run(given, lr), "worst case": hard_run(lr[:40], norm, given["distance"])[1]}


def _draw_profile(rng: np.random.Generator) -> Arguments:
    drawn = _draw(rng)
    profile = drawn.pop("lr")
    return {"profile": profile, **drawn, "horizons": rng.integers(1, profile.size + 1, size=2)}


def _at_rates(given: Arguments) -> tuple[FloatArray, FloatArray]:
    """The double sum at the stated rates, and its minimum, by horizon: where that lies is flat and not compared."""
    h, norms, distance = given["profile"], given["gradient_norms"], given["distance"]
    at, least = [], []
    for t, guess in zip(given["horizons"], schaipp_optimal_base_lr(**given).lr, strict=True):

        def value(log_lr: float, t: int = int(t)) -> float:
            return double_sum(np.exp(log_lr) * h, np.asarray(norms), distance, t)

        middle = float(np.log(guess))
        best = minimize_scalar(value, bounds=(middle - 3.0, middle + 3.5), method="bounded", options={"xatol": 1e-9})
        at.append(value(middle))
        least.append(best.fun)
    return np.array(at), np.array(least)


def _draw_theorem(rng: np.random.Generator) -> Arguments:
    steps = int(rng.integers(3, 2000))
    start = int(rng.integers(2, steps))
    norm, distance = rng.uniform(0.1, 3.0), rng.uniform(1, 9)
    return {"steps": steps, "cooldown_start": start, "gradient_norm": norm, "distance": distance}


def _wsd(given: Arguments) -> Any:
    steps = given["steps"]
    h = wsd_profile(steps, steps + 1 - given["cooldown_start"])
    best = minimize_scalar(
        lambda x: double_sum(np.exp(x) * h, np.ones(1), 1.0, steps), bounds=(-12.0, 3.0), method="bounded"
    )
    return {"bound": given["gradient_norm"] * given["distance"] * best.fun}


def _tuned(h: FloatArray) -> tuple[float, float]:
    """sqrt(T) gamma* and sqrt(T) Omega* for D = G = 1, from the two halves of the double sum."""
    steps, one = h.size, np.ones(1)
    initial = 0.5 / float(np.sum(h))
    noise = double_sum(h, one, 1.0, steps) - initial
    return float(np.sqrt(steps * initial / noise)), float(2.0 * np.sqrt(steps * initial * noise))


def _along(profiles: list[FloatArray]) -> Any:
    lr, bound = np.array([_tuned(h) for h in profiles]).T
    return {"lr": lr, "bound": bound}


def _limit(given: Arguments) -> Any:
    return _along([wsd_profile(T, round(given["cooldown"] * T), given["shape"]) for T in HORIZONS])


def _power(given: Arguments) -> Any:
    return _along([(1.0 - np.arange(T) / T) ** given["power"] for T in HORIZONS])


def _transfer(given: Arguments) -> Any:
    rates = [[_tuned(wsd_profile(T, round(given[name] * T)))[0] for T in HORIZONS] for name in ("cooldown", "tuned_at")]
    return {"lr ratio": np.array(rates[0]) / np.array(rates[1])}


CHECKS = [
    Check(
        "schaipp_last_iterate",
        _draw,
        _gaps,
        lambda given: [*bad_runs(given), {"horizons": np.array([given["lr"].size + 1])}],
        says=lambda bound, given: {"gap": bound, "worst case": bound[:40]},
    ),
    Check(
        "schaipp_optimal_base_lr",
        _draw_profile,
        lambda given: dict.fromkeys(("bound", "bound at the rate"), _at_rates(given)[1]),
        lambda given: [*bad_runs(given, rate="profile"), {"horizons": np.array([0])}],
        says=lambda found, given: {"bound": found.bound, "bound at the rate": _at_rates(given)[0]},
    ),
    Check(
        "schaipp_wsd",
        _draw_theorem,
        _wsd,
        [{"cooldown_start": 1}, {"steps": 5, "cooldown_start": 5}, {"distance": -1.0}],
    ),
    Check(
        "wsd_limit",
        lambda rng: {
            "cooldown": float(rng.choice([0.125, 0.25, 0.5, 1.0])),
            "shape": str(rng.choice(["linear", "1-sqrt"])),
        },
        _limit,
        [{"cooldown": 0.0}, {"cooldown": 1.1}, {"shape": "cosine"}],
        rtol=2e-3,
    ),
    Check("polynomial_limit", lambda rng: {"power": float(rng.uniform(0.6, 4.0))}, _power, [{"power": 0.0}], rtol=1e-2),
    Check(
        "wsd_lr_transfer",
        lambda rng: {"cooldown": float(rng.choice([0.125, 0.25, 0.5])), "tuned_at": float(rng.choice([0.25, 1.0]))},
        _transfer,
        [{"cooldown": 0.0}, {"tuned_at": 2.0}],
        rtol=2e-3,
    ),
]
