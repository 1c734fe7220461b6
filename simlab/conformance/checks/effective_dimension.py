"""Effective dimensions against the trace's own k*, counts one by one, and the roots of the two-state method."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from simlab.conformance.check import Arguments, Check
from simlab.conformance.draws.regression import draw_spectrum, sgd
from simlab.engines.exact import exact
from simlab.problems import LinearRegression
from simlab.theory.effective_dimension import effective_dimension


def _draw(rng: np.random.Generator) -> Arguments:
    lam = draw_spectrum(rng)
    steps = np.unique(np.round(10.0 ** rng.uniform(0.0, 2.5, 8)))
    lr = rng.uniform(0.01, 0.5) / lam.sum()
    return {"eigenvalues": lam, "lr": lr, "steps": steps, "hold": np.floor(steps * rng.uniform(0.0, 9.0))}


def _draw_star(rng: np.random.Generator) -> Arguments:
    given = _draw(rng)
    # The engine counts from the sum of the learning rates so far, which rounds otherwise: cut off ties.
    return {**given, "eigenvalues": given["eigenvalues"] * (1.0 + 1e-9)}


def _star(given: Arguments) -> Any:
    problem, steps = LinearRegression(given["eigenvalues"], 1.0, 0.0), given["steps"].astype(int)
    trace = exact(problem, sgd(given["lr"], int(steps[-1])), record=list(steps), threads=1, progress=False)
    return trace.dataset["k_star"].sel(step=steps).values


def _dagger(given: Arguments) -> list[int]:
    lam, lr = given["eigenvalues"], given["lr"]
    pairs = zip(given["steps"], given["hold"], strict=True)
    return [sum(float(one) >= 1.0 / (lr * (s + n)) for one in lam) for n, s in pairs]


def _dimension(given: Arguments) -> list[float]:
    lam, lr = given["eigenvalues"], given["lr"]
    true = []
    for n, s in zip(given["steps"], given["hold"], strict=True):
        head, middle = (int(np.sum(lam >= 1.0 / (lr * length))) for length in (n, s + n))
        inner = lr * n * lam[head:middle].sum()
        true.append(head + inner + lr**2 * n * (s + n) * np.sum(lam[middle:] ** 2))
    return true


def _draw_power(rng: np.random.Generator) -> Arguments:
    a = rng.uniform(1.4, 3.0)
    # Horizons chosen so that k* runs from about 4 to 4096.
    lr = rng.uniform(0.1, 1.0)
    return {"capacity": a, "lr": lr, "steps": np.ceil(np.array([4.0, 64.0, 1024.0, 4096.0]) ** a / lr)}


def _power(given: Arguments) -> list[float]:
    lam = np.arange(1.0, 300_001.0) ** -given["capacity"]
    return [float(effective_dimension(lam, given["lr"], n)) for n in given["steps"]]


def _draw_method(rng: np.random.Generator) -> Arguments:
    lam = draw_spectrum(rng)
    c, delta = rng.uniform(0.5, 0.999), rng.uniform(0.05, 0.5)
    # Modes lie above the band only if q is close to delta.
    return {"eigenvalues": lam / lam[0], "c": c, "delta": delta, "q": delta * (1.0 + 10.0 ** rng.uniform(-3.0, 0.3))}


def _roots(one: float, c: float, delta: float, q: float) -> npt.NDArray[Any]:
    return np.roots([1.0, -(1.0 + c - q * one), c * (1.0 - delta * one)])


def _band(count_band: bool) -> Callable[[Arguments], int]:
    def true(given: Arguments) -> int:
        lam, c, delta, q = (given[name] for name in ("eigenvalues", "c", "delta", "q"))
        within = np.array([abs(_roots(one, c, delta, q)[0].imag) > 0.0 for one in lam])
        middle = (1.0 + c) / q - 2.0 * c * delta / q**2  # of the two edges
        above = ~within & (lam > middle)
        return int(np.sum(above) + (np.sum(within) if count_band else 0))

    return true


def _slower(given: Arguments) -> int:
    """For a q inside the complex band: is the modulus of the roots above that of SGD?"""
    c, delta = given["c"], given["delta"]
    slower = 0
    for one in given["eigenvalues"]:
        q = (1.0 + c) / one  # trace 0, so that the roots are complex
        slower += int(np.abs(_roots(one, c, delta, q)).max() >= 1.0 - delta * one)
    return slower


def _outside_star(given: Arguments) -> list[Arguments]:
    return [{"eigenvalues": given["eigenvalues"] * -1.0}, {"lr": 0.0}, {"steps": 0.5}]


def _outside(given: Arguments) -> list[Arguments]:
    return [*_outside_star(given), {"hold": -1}]


def _outside_band(given: Arguments) -> list[Arguments]:
    return [*OUTSIDE_METHOD, {"q": 0.999 * given["delta"]}]


OUTSIDE_METHOD: list[Arguments] = [{"eigenvalues": [1.0, 0.0]}, {"c": 1.0}, {"delta": 0.0}]
CHECKS = [
    Check("k_star", _draw_star, _star, _outside_star, cost=0.003),
    Check("k_dagger", _draw, _dagger, _outside, cost=0.001),
    Check("effective_dimension", _draw, _dimension, _outside, cost=0.001),
    Check(
        "power_law_effective_dimension",
        _draw_power,
        _power,
        [{"capacity": 0.5}, {"lr": 0.0}, {"steps": 0}],
        rtol=3e-3,
        cost=0.02,
    ),
    Check("k_hat", _draw_method, _slower, OUTSIDE_METHOD, cost=0.003),
    Check("k_double_dagger", _draw_method, _band(False), _outside_band, cost=0.003),
    Check("complex_band_end", _draw_method, _band(True), _outside_band, cost=0.003),
]
