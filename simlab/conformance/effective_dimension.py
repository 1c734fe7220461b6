"""Effective dimensions against the trace's own k*, counts one by one, and the roots of the two-state method."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from simlab.conformance._sgd import draw_spectrum, sgd
from simlab.conformance.check import Arguments, Check, Comparison
from simlab.engines.exact import exact
from simlab.problems import LinearRegression
from simlab.theory.effective_dimension import (
    complex_band_end,
    effective_dimension,
    k_dagger,
    k_double_dagger,
    k_hat,
    k_star,
    power_law_effective_dimension,
)

__all__ = ["CHECKS"]


def _same(stated: Any, true: Any) -> Comparison:
    return Comparison({"risk": np.asarray(stated, dtype=np.float64)}, {"risk": np.asarray(true, dtype=np.float64)})


def _draw(rng: np.random.Generator, hold: bool = True) -> Arguments:
    lam = draw_spectrum(rng)
    steps = np.unique(np.round(10.0 ** rng.uniform(0.0, 2.5, 8)))
    arguments = {"eigenvalues": lam, "lr": rng.uniform(0.01, 0.5) / lam.sum(), "steps": steps}
    return {**arguments, "hold": np.floor(steps * rng.uniform(0.0, 9.0))} if hold else arguments


def _compare_star(arguments: Arguments) -> Comparison:
    lam, steps = arguments["eigenvalues"], arguments["steps"].astype(int)
    # The engine counts from the sum of the learning rates so far, which rounds otherwise: cut off ties.
    lam = lam * (1.0 + 1e-9)
    problem = LinearRegression(lam, 1.0, 0.0)
    trace = exact(problem, sgd(arguments["lr"], int(steps[-1])), record=list(steps), threads=1, progress=False)
    true = trace.dataset["k_star"].sel(step=steps).values
    return _same(k_star(**{**arguments, "eigenvalues": lam}), true)


def _compare_dagger(arguments: Arguments) -> Comparison:
    lam, lr = arguments["eigenvalues"], arguments["lr"]
    pairs = zip(arguments["steps"], arguments["hold"], strict=True)
    return _same(k_dagger(**arguments), [sum(float(one) >= 1.0 / (lr * (s + n)) for one in lam) for n, s in pairs])


def _compare_dimension(arguments: Arguments) -> Comparison:
    lam, lr = arguments["eigenvalues"], arguments["lr"]
    true = []
    for n, s in zip(arguments["steps"], arguments["hold"], strict=True):
        head, middle = (int(np.sum(lam >= 1.0 / (lr * length))) for length in (n, s + n))
        inner = lr * n * lam[head:middle].sum()
        true.append(head + inner + lr**2 * n * (s + n) * np.sum(lam[middle:] ** 2))
    return _same(effective_dimension(**arguments), true)


def _draw_power(rng: np.random.Generator) -> Arguments:
    a = rng.uniform(1.4, 3.0)
    # Horizons chosen so that k* runs from about 4 to 4096.
    lr = rng.uniform(0.1, 1.0)
    return {"capacity": a, "lr": lr, "steps": np.ceil(np.array([4.0, 64.0, 1024.0, 4096.0]) ** a / lr)}


def _compare_power(arguments: Arguments) -> Comparison:
    lam = np.arange(1.0, 300_001.0) ** -arguments["capacity"]
    true = [effective_dimension(lam, arguments["lr"], n) for n in arguments["steps"]]
    return _same(power_law_effective_dimension(**arguments), true)


def _draw_method(rng: np.random.Generator, q: bool = True) -> Arguments:
    lam = draw_spectrum(rng)
    lam = lam / lam[0]
    c, delta = rng.uniform(0.5, 0.999), rng.uniform(0.05, 0.5)
    arguments = {"eigenvalues": lam, "c": c, "delta": delta}
    # Modes lie above the band only if q is close to delta.
    return {**arguments, "q": delta * (1.0 + 10.0 ** rng.uniform(-3.0, 0.3))} if q else arguments


def _roots(arguments: Arguments) -> list[npt.NDArray[Any]]:
    c, delta, q = (arguments[name] for name in ("c", "delta", "q"))
    return [np.roots([1.0, -(1.0 + c - q * one), c * (1.0 - delta * one)]) for one in arguments["eigenvalues"]]


def _compare_band(edge: Callable[..., Any], count_band: bool) -> Callable[[Arguments], Comparison]:
    def compare(arguments: Arguments) -> Comparison:
        lam, q = arguments["eigenvalues"], arguments["q"]
        within = np.array([abs(r[0].imag) > 0.0 for r in _roots(arguments)])
        middle = (1.0 + arguments["c"]) / q - 2.0 * arguments["c"] * arguments["delta"] / q**2  # of the two edges
        above = ~within & (lam > middle)
        return _same(edge(**arguments), np.sum(above) + (np.sum(within) if count_band else 0))

    return compare


def _compare_hat(arguments: Arguments) -> Comparison:
    # For a q inside the complex band: is the modulus of the roots above that of SGD?
    c, delta = arguments["c"], arguments["delta"]
    slower = 0
    for one in arguments["eigenvalues"]:
        q = (1.0 + c) / one  # trace 0, so that the roots are complex
        modulus = np.abs(np.roots([1.0, -(1.0 + c - q * one), c * (1.0 - delta * one)])).max()
        slower += int(modulus >= 1.0 - delta * one)
    return _same(k_hat(**arguments), slower)


def _outside_run(rng: np.random.Generator, hold: bool) -> list[Arguments]:
    arguments = _draw(rng, hold)
    bad: list[Arguments] = [{"eigenvalues": arguments["eigenvalues"] * -1.0}, {"lr": 0.0}, {"steps": 0.5}]
    bad += [{"hold": -1}] if hold else []
    return [{**arguments, **one} for one in bad]


def _outside_power(rng: np.random.Generator) -> list[Arguments]:
    arguments = _draw_power(rng)
    return [{**arguments, **one} for one in ({"capacity": 0.5}, {"lr": 0.0}, {"steps": 0})]


def _outside_method(rng: np.random.Generator, q: bool) -> list[Arguments]:
    arguments = _draw_method(rng, q)
    bad: list[Arguments] = [{"eigenvalues": [1.0, 0.0]}, {"c": 1.0}, {"delta": 0.0}]
    bad += [{"q": 0.999 * arguments["delta"]}] if q else []
    return [{**arguments, **one} for one in bad]


CHECKS: list[Check] = [
    Check("k_star", lambda rng: _draw(rng, False), _compare_star, lambda rng: _outside_run(rng, False), cost=0.003),
    Check("k_dagger", _draw, _compare_dagger, lambda rng: _outside_run(rng, True), cost=0.001),
    Check("effective_dimension", _draw, _compare_dimension, lambda rng: _outside_run(rng, True), cost=0.001),
    Check("power_law_effective_dimension", _draw_power, _compare_power, _outside_power, rtol=3e-3, cost=0.02),
    Check(
        "k_hat",
        lambda rng: _draw_method(rng, False),
        _compare_hat,
        lambda rng: _outside_method(rng, False),
        cost=0.003,
    ),
    Check(
        "k_double_dagger",
        _draw_method,
        _compare_band(k_double_dagger, False),
        lambda rng: _outside_method(rng, True),
        cost=0.003,
    ),
    Check(
        "complex_band_end",
        _draw_method,
        _compare_band(complex_band_end, True),
        lambda rng: _outside_method(rng, True),
        cost=0.003,
    ),
]
