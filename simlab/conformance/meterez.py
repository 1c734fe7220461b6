"""Tail averages of constant-step SGD: closed forms and bounds against the exact engine."""

from __future__ import annotations

from typing import Any

import numpy as np

from simlab import methods
from simlab.conformance._sgd import draw_problem, mode_risk, sgd
from simlab.conformance.check import Arguments, Check, Comparison
from simlab.methods import Method
from simlab.theory.effective_dimension import k_star
from simlab.theory.meterez import (
    tail_average_additive_noise_risk,
    tail_average_cutoff_upper,
    tail_average_lower,
    tail_average_upper,
)
from simlab.theory.stationary import critical_lr

__all__ = ["CHECKS"]


def _draw(rng: np.random.Generator) -> Arguments:
    problem = draw_problem(rng)
    batch, kurtosis = float(rng.choice([1, 2, 8, 64])), float(rng.choice([3.0, 3.0, 6.0, 1.8]))
    top = float(problem["eigenvalues"][0])
    peak = float(critical_lr(problem["eigenvalues"], batch, kurtosis))
    peak = min(peak, 1.0 / (top * (1.0 + np.sqrt(max(2.0 - kurtosis, 0.0) / batch))))
    steps = int(10.0 ** rng.uniform(0.0, 3.0))
    hold = int(rng.choice([0, 1, 10.0 ** rng.uniform(0.0, 3.0)]))
    lr = peak * 10.0 ** rng.uniform(-2.0, -0.01)
    return {**problem, "lr": lr, "steps": steps, "hold": hold, "batch": batch, "kurtosis": kurtosis}


def _only(arguments: Arguments, *names: str) -> Arguments:
    return {name: value for name, value in arguments.items() if name not in names}


def _draw_additive(rng: np.random.Generator) -> Arguments:
    return _only(_draw(rng), "kurtosis")


def _draw_variance(rng: np.random.Generator) -> Arguments:
    return _only(_draw(rng), "initial_error")


def _method(arguments: Arguments) -> Method:
    """The average of w_s .. w_(s+N-1) is what the form "old" holds after s + N steps."""
    hold, steps = arguments["hold"], arguments["steps"]
    return methods.average(sgd(arguments["lr"], hold + steps, arguments["batch"]), start=hold, form="old")


def _exact(arguments: Arguments, **options: Any) -> tuple[Any, ...]:
    problem = {"initial_error": np.ones(arguments["eigenvalues"].size), **arguments}
    return mode_risk(problem, _method(arguments), kurtosis=arguments["kurtosis"], **options)


def _compare_additive(arguments: Arguments) -> Comparison:
    stated = tail_average_additive_noise_risk(**arguments)
    bias, variance = mode_risk(arguments, _method(arguments), additive=True)
    return Comparison({"bias": stated.bias, "variance": stated.variance}, {"bias": bias, "variance": variance})


def _compare_bound(which: str) -> Any:
    def compare(arguments: Arguments) -> Comparison:
        stated = tail_average_upper(**arguments) if which == "upper" else tail_average_lower(**arguments)
        bias, variance = _exact(arguments)
        return Comparison(
            {"risk": stated.modes, "bias": stated.bias, "variance": stated.variance},
            {"risk": bias + variance, "bias": bias, "variance": variance},
        )

    return compare


def _compare_cutoff(arguments: Arguments) -> Comparison:
    stated = tail_average_cutoff_upper(**arguments)
    variance = _exact(arguments)[1]
    k = int(k_star(arguments["eigenvalues"], arguments["lr"], arguments["steps"]))
    parts = {"variance": slice(None), "head": slice(0, k), "tail": slice(k, None)}
    parts = {name: part for name, part in parts.items() if variance[part].size}
    return Comparison(
        {name: stated[part] for name, part in parts.items()}, {name: variance[part] for name, part in parts.items()}
    )


def _outside(arguments: Arguments, largest: float = 2.0, stable: bool = False) -> list[Arguments]:
    top = float(arguments["eigenvalues"][0])
    bad: list[Arguments] = [
        {"lr": 1.001 * largest / top},
        {"eigenvalues": np.append(arguments["eigenvalues"], 0.0)},
        {"steps": 0},
        {"hold": -1},
        {"batch": 0.5},
    ]
    if "kurtosis" in arguments:
        bad.append({"kurtosis": 0.9})
    if stable:
        limit = float(critical_lr(arguments["eigenvalues"], 1.0, 3.0))
        bad.append({"lr": 1.001 * limit, "batch": 1.0, "kurtosis": 3.0})
        bad.append({"lr": 0.501 / top, "batch": 1.0, "kurtosis": 1.0})
    return [{**arguments, **one} for one in bad]


CHECKS: list[Check] = [
    Check(
        "tail_average_additive_noise_risk",
        _draw_additive,
        _compare_additive,
        lambda rng: _outside(_draw_additive(rng)),
        rtol=1e-8,
    ),
    Check("tail_average_lower", _draw, _compare_bound("lower"), lambda rng: _outside(_draw(rng))),
    Check("tail_average_upper", _draw, _compare_bound("upper"), lambda rng: _outside(_draw(rng), stable=True)),
    Check(
        "tail_average_cutoff_upper",
        _draw_variance,
        _compare_cutoff,
        lambda rng: _outside(_draw_variance(rng), 1.0, True),
    ),
]
