"""Eigencurve against simlab's own schedule and the exact engine with additive noise."""

from __future__ import annotations

from typing import Any

import numpy as np

from simlab import methods, schedules
from simlab.conformance.check import Arguments, Check
from simlab.conformance.draws.regression import draw_lr, draw_problem, draw_spectrum, mode_risk, sgd, split
from simlab.theory.pan2022 import eigencurve_lr


def _draw(rng: np.random.Generator) -> Arguments:
    problem = draw_problem(rng)
    top = float(problem["eigenvalues"][0])
    lr = draw_lr(rng, int(10.0 ** rng.uniform(0.0, 3.3)), rng.uniform(0.01, 1.0) / top)
    if rng.random() < 0.3:
        lr = eigencurve_lr(problem["eigenvalues"], lr.size)
    return {**problem, "lr": lr}


def _draw_similar(rng: np.random.Generator) -> Arguments:
    given = _draw(rng)
    reference = given["lr"]
    # Scaled, wobbling and cut short at the end, but nowhere above 1 / lam_1.
    wobble = 1.0 + rng.uniform(0.0, 0.3) * np.sin(np.arange(reference.size))
    lr = np.minimum(reference * wobble * rng.uniform(0.8, 1.2), 1.0 / given["eigenvalues"][0])
    return {**given, "lr": lr, "reference": reference}


def _risk(given: Arguments) -> Any:
    return split(*mode_risk(given, sgd(given["lr"]), additive=True))


def _draw_schedule(rng: np.random.Generator) -> Arguments:
    base = float(rng.choice([2.0, 1.5, 4.0]))
    lam, steps = draw_spectrum(rng), int(10.0 ** rng.uniform(0.0, 3.5))
    # Edges of bins may round differently in the two codes: keep eigenvalues away from them.
    place = np.log(lam / lam.min()) / np.log(base)
    return {
        "eigenvalues": lam[(np.abs(place - np.rint(place)) > 1e-9) | (lam == lam.min())],
        "steps": steps,
        "base": base,
    }


def _draw_variance(rng: np.random.Generator) -> Arguments:
    steps = int(10.0 ** rng.uniform(0.0, 3.5))
    return {"eigenvalues": draw_spectrum(rng), "noise_variance": rng.uniform(0.1, 5.0), "steps": steps}


def _variance(given: Arguments) -> Any:
    method = methods.sgd(schedules.eigencurve(given["steps"], eigenvalues=given["eigenvalues"]))
    return {"variance": mode_risk({**given, "initial_error": 0.0}, method, additive=True)[1].sum()}


def _outside(given: Arguments) -> list[Arguments]:
    lam = given["eigenvalues"]
    return [
        {"eigenvalues": np.zeros_like(lam)},
        {"lr": np.full(3, 1.001 / lam[0])},
        {"lr": np.array([0.1, -0.1]) / lam[0]},
    ]


def _outside_similar(given: Arguments) -> list[Arguments]:
    lr = given["lr"]
    return [
        {"lr": np.full(lr.size, 1.001 / given["eigenvalues"][0]), "reference": lr + 1.0},
        {"reference": lr[:-1]},
        {"reference": np.zeros(lr.size)},
        {"eigenvalues": np.zeros(2)},
    ]


CHECKS = [
    Check(
        "eigencurve_lr",
        _draw_schedule,
        lambda given: schedules.eigencurve(**given).values(),
        [{"eigenvalues": np.array([1.0, 0.0])}, {"base": 1.0}, {"steps": 0}],
        rtol=1e-10,
        cost=0.002,
    ),
    Check("last_iterate_upper", _draw, _risk, _outside),
    Check(
        "eigencurve_variance_upper",
        _draw_variance,
        _variance,
        [{"eigenvalues": np.array([1.0, -1.0])}, {"base": 2.1}, {"steps": 0}],
    ),
    Check("eigencurve_similar_upper", _draw_similar, _risk, _outside_similar),
]
