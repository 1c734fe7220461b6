"""Check of theory.hard_instance: the function that it describes is built in coordinates and the method run on it."""

from __future__ import annotations

import numpy as np

import simlab.theory.hard_instance as own
from simlab.conformance._convex import bad_runs, draw_lr, hard_pieces, run
from simlab.conformance.check import Arguments, Check, Comparison

__all__ = ["CHECKS", "NOT_ATTAINED"]

NOT_ATTAINED = {
    "lr": np.array([1.05, 0.15, 0.8, 0.78, 1.0]),
    "gradient_norms": np.array([0.34, 0.73, 0.44, 4.27, 1.78]),
    "distance": 4.4,
}
"""A schedule and norms for which no function attains the bound; the true worst case is 6.983, by semidefinite
program."""


def _draw(rng: np.random.Generator) -> Arguments:
    while True:
        lr = draw_lr(rng, 1, 40)
        norms = np.exp(rng.normal() + rng.choice([0.0, 0.1, 0.3]) * rng.standard_normal(lr.size))
        distance = float(np.sum(lr) * np.mean(norms) * 10.0 ** rng.uniform(-1.5, 0.7))
        if own.hard_instance(lr, norms, distance).valid:
            return {"lr": lr, "gradient_norms": norms, "distance": distance}


def _compare(arguments: Arguments) -> Comparison:
    lr, distance = arguments["lr"], arguments["distance"]
    stated = own.sharper_attained(**arguments)
    pieces = hard_pieces(own.hard_instance(**arguments), lr)
    values, norms = run(pieces, lr, in_turn=True)
    lowest = float(np.max(pieces.slopes @ pieces.minimiser + pieces.offsets))
    return Comparison(
        {"gap": np.array([stated]), "norms": arguments["gradient_norms"], "distance": np.array([distance])},
        {
            "gap": np.array([values[-1] - lowest]),
            "norms": norms,
            "distance": np.array([np.linalg.norm(pieces.minimiser)]),
        },
    )


def _outside(rng: np.random.Generator) -> list[Arguments]:
    return [*bad_runs(_draw(rng)), NOT_ATTAINED]


CHECKS: list[Check] = [Check("sharper_attained", _draw, _compare, _outside, rtol=1e-6, cost=0.08)]
