"""Eigencurve against simlab's own schedule and the exact engine with additive noise."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from simlab import methods, schedules
from simlab.conformance._sgd import draw_lr, draw_problem, draw_spectrum, mode_risk, sgd
from simlab.conformance.check import Arguments, Check, Comparison
from simlab.theory.eigencurve import (
    eigencurve_lr,
    eigencurve_similar_upper,
    eigencurve_variance_upper,
    last_iterate_upper,
)
from simlab.theory.statement import Risk

__all__ = ["CHECKS"]


def _draw(rng: np.random.Generator) -> Arguments:
    problem = draw_problem(rng)
    top = float(problem["eigenvalues"][0])
    lr = draw_lr(rng, int(10.0 ** rng.uniform(0.0, 3.3)), rng.uniform(0.01, 1.0) / top)
    if rng.random() < 0.3:
        lr = eigencurve_lr(problem["eigenvalues"], lr.size)
    return {**problem, "lr": lr}


def _draw_similar(rng: np.random.Generator) -> Arguments:
    arguments = _draw(rng)
    reference = arguments["lr"]
    # Scaled, wobbling and cut short at the end, but nowhere above 1 / lam_1.
    wobble = 1.0 + rng.uniform(0.0, 0.3) * np.sin(np.arange(reference.size))
    lr = np.minimum(reference * wobble * rng.uniform(0.8, 1.2), 1.0 / arguments["eigenvalues"][0])
    return {**arguments, "lr": lr, "reference": reference}


def _compare(bound: Callable[..., Risk]) -> Callable[[Arguments], Comparison]:
    def compare(arguments: Arguments) -> Comparison:
        stated = bound(**arguments)
        bias, variance = mode_risk(arguments, sgd(arguments["lr"]), additive=True)
        return Comparison(
            {"risk": stated.modes, "bias": stated.bias, "variance": stated.variance},
            {"risk": bias + variance, "bias": bias, "variance": variance},
        )

    return compare


def _draw_schedule(rng: np.random.Generator) -> Arguments:
    base = float(rng.choice([2.0, 1.5, 4.0]))
    return {"eigenvalues": draw_spectrum(rng), "steps": int(10.0 ** rng.uniform(0.0, 3.5)), "base": base}


def _compare_schedule(arguments: Arguments) -> Comparison:
    lam, steps, base = arguments["eigenvalues"], arguments["steps"], arguments["base"]
    # Edges of bins may round differently in the two codes: keep eigenvalues away from them.
    place = np.log(lam / lam.min()) / np.log(base)
    lam = lam[(np.abs(place - np.rint(place)) > 1e-9) | (lam == lam.min())]
    true = schedules.eigencurve(steps, eigenvalues=lam, base=base).values()
    return Comparison({"risk": eigencurve_lr(lam, steps, base)}, {"risk": true})


def _draw_variance(rng: np.random.Generator) -> Arguments:
    steps = int(10.0 ** rng.uniform(0.0, 3.5))
    return {"eigenvalues": draw_spectrum(rng), "noise_variance": rng.uniform(0.1, 5.0), "steps": steps}


def _compare_variance(arguments: Arguments) -> Comparison:
    lam = arguments["eigenvalues"]
    problem = {**arguments, "initial_error": np.zeros(lam.size)}
    method = methods.sgd(schedules.eigencurve(arguments["steps"], eigenvalues=lam))
    variance = mode_risk(problem, method, additive=True)[1]
    return Comparison({"variance": eigencurve_variance_upper(**arguments)}, {"variance": np.asarray(variance.sum())})


def _outside(rng: np.random.Generator) -> list[Arguments]:
    arguments = _draw(rng)
    top = float(arguments["eigenvalues"][0])
    bad: list[Arguments] = [{"eigenvalues": np.zeros_like(arguments["eigenvalues"])}]
    bad += [{"lr": np.full(3, 1.001 / top)}, {"lr": np.array([0.1, -0.1]) / top}]
    return [{**arguments, **one} for one in bad]


def _outside_similar(rng: np.random.Generator) -> list[Arguments]:
    arguments = _draw_similar(rng)
    lr = arguments["lr"]
    steep = {"lr": np.full(lr.size, 1.001 / arguments["eigenvalues"][0]), "reference": lr + 1.0}
    bad: list[Arguments] = [steep, {"reference": lr[:-1]}, {"reference": np.zeros(lr.size)}]
    return [{**arguments, **one} for one in bad] + [{**arguments, "eigenvalues": np.zeros(2)}]


def _outside_schedule(rng: np.random.Generator) -> list[Arguments]:
    arguments = _draw_schedule(rng)
    bad: list[Arguments] = [{"eigenvalues": np.array([1.0, 0.0])}, {"base": 1.0}, {"steps": 0}]
    return [{**arguments, **one} for one in bad]


def _outside_variance(rng: np.random.Generator) -> list[Arguments]:
    arguments = _draw_variance(rng)
    bad: list[Arguments] = [{"eigenvalues": np.array([1.0, -1.0])}, {"base": 2.1}, {"steps": 0}]
    return [{**arguments, **one} for one in bad]


CHECKS: list[Check] = [
    Check("eigencurve_lr", _draw_schedule, _compare_schedule, _outside_schedule, rtol=1e-10, cost=0.002),
    Check("last_iterate_upper", _draw, _compare(last_iterate_upper), _outside),
    Check("eigencurve_variance_upper", _draw_variance, _compare_variance, _outside_variance),
    Check("eigencurve_similar_upper", _draw_similar, _compare(eigencurve_similar_upper), _outside_similar),
]
