"""What `simlab.optimize` and `simlab.tune` are given, checked where it enters."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from simlab.arrays import FloatArray
from simlab.engines.arguments import check_problem
from simlab.errors import InputError, brief, check_array, check_count, check_entries, check_number, unknown_name
from simlab.methods.averaging import ema
from simlab.methods.base import METHODS, Method, batch_of
from simlab.methods.gradient import sgd
from simlab.problems.base import DiagonalProblem
from simlab.schedules import Schedule
from simlab.schedules.law import Spectrum
from simlab.schedules.optimal import check_limit

__all__ = [
    "PROBLEMS",
    "Takes",
    "check_budget",
    "check_cap",
    "check_horizons",
    "check_over",
    "check_problems",
    "check_together",
    "check_weights",
    "maker_of",
    "sizes_of",
]

PROBLEMS = "a LinearRegression, NoisyQuadratic or RandomFeatures"


def sizes_of(batch: Any, T: int) -> FloatArray:
    """Batch sizes (T,)."""
    size = batch_of(batch, T)
    return size.values() if isinstance(size, Schedule) else np.full(T, size)


def check_budget(samples: Any, batch: Any, T: int) -> int:
    """A number of samples for T steps, or an InputError."""
    if not (isinstance(batch, int) and batch == 1):
        raise InputError(f" = {brief(batch)} is given beside samples, which says what they are; omit it.", "batch")
    budget = check_count("samples", samples)
    if budget < T:
        raise InputError(f" = {budget} are fewer than the {T} steps; give at least one for each.", "samples")
    return budget


def check_cap(cap: Any, critical: float, spectrum: Spectrum, steps: int) -> float:
    """The largest rate, in units of 1 / spectrum.unit: the critical one, a number, inf for None; or an InputError."""
    if cap is None:
        return math.inf
    if isinstance(cap, str) and cap == "critical":
        return critical
    return check_limit(cap, spectrum, steps, "give 'critical', a rate, or None")


def check_weights(weights: Any, T: int) -> FloatArray:
    """Weights of the risks of the iterates 0 .. T, (T + 1,), non-negative and of sum one, or an InputError."""
    if weights is None:
        w = np.zeros(T + 1)
        w[T] = 1.0
        return w
    if isinstance(weights, Mapping):
        w = np.zeros(T + 1)
        for step, weight in weights.items():
            at = check_count("weights: a step", step, low=0, high=T)
            w[at] = check_number(f"weights[{at}]", weight, low=0.0)
    else:
        check_entries("weights", weights)
        w = check_array("weights", weights, low=0.0)
        if w.size != T + 1:
            raise InputError(f" has {w.size} entries where the {T + 1} iterates 0 .. T have one each.", "weights")
    if not w[1:].sum() > 0.0:
        raise InputError(" sum to zero over the iterates after the first; give one of them a weight.", "weights")
    scaled: FloatArray = w / w.sum()
    return scaled


def check_horizons(horizons: Any, T: int) -> list[int]:
    """Ascending horizons with T at their end, or an InputError."""
    given = check_entries("horizons", horizons, "steps")
    steps = sorted({*(check_count(f"horizons[{j}]", step, high=T) for j, step in enumerate(given)), T})
    if len(steps) == 1:
        raise InputError(f" = {brief(horizons)} names no step beside the end; give steps before {T}.", "horizons")
    return steps


def check_problems(worst: Any) -> list[DiagonalProblem]:
    """Problems beside the first one, or an InputError."""
    given = check_entries("worst", worst, "problems")
    if not given:
        raise InputError(" is empty; give the problems that are to share the schedule.", "worst")
    for problem in given:
        check_problem(problem, DiagonalProblem, PROBLEMS)
    return list(given)


def check_together(asked: Mapping[str, Any], fit: Sequence[str], what: str) -> None:
    """Refuse what was asked for and does not go with `what`."""
    for name, value in asked.items():
        if name not in fit:
            raise InputError(f" = {brief(value)} does not go with {what}; leave one of the two out.", name)


def check_over(over: Any) -> tuple[str, ...]:
    """Names of parameters, at least one and each once, or an InputError."""
    if isinstance(over, str):
        raise InputError(f" = {brief(over)} is one name; give a sequence, such as ({brief(over)},).", "over")
    names = check_entries("over", over, "names")
    if not names or not all(isinstance(name, str) for name in names) or len(set(names)) < len(names):
        raise InputError(f" = {brief(over)} is not a list of different names; give ('peak',), say.", "over")
    return tuple(names)


class Takes:
    """The arguments that a function takes after its first, by name, and whether it takes any."""

    def __init__(self, function: Callable[..., Any]) -> None:
        parameters = list(inspect.signature(function).parameters.values())[1:]
        self.names = [p.name for p in parameters if p.kind is not p.VAR_KEYWORD]
        self.any = any(p.kind is p.VAR_KEYWORD for p in parameters)

    def __contains__(self, name: str) -> bool:
        return self.any or name in self.names


def maker_of(method: Any, names: Sequence[str]) -> Callable[..., Method]:
    """lr, **schedules -> Method: the function given, or that of a name; refused where it does not take these names."""
    make: Any = method
    if isinstance(method, str):
        known: dict[str, Any] = {**METHODS, "ema": lambda lr, decay, batch=1: ema(sgd(lr, batch), decay)}
        if method not in known:
            raise unknown_name("method", method, known)
        make = known[method]
    if not callable(make):
        raise InputError(f" = {brief(method)} is neither a name nor a function of lr; give 'nesterov', say.", "method")
    for name in names:
        if name != "lr" and name not in Takes(make):
            raise unknown_name("over", name, ["lr", *Takes(make).names])
    found: Callable[..., Method] = make
    return found
