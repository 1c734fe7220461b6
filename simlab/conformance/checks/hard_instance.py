"""The function that a hard instance describes is built in coordinates and the method run on it."""

from __future__ import annotations

from typing import Any

import numpy as np

from simlab.conformance.check import Arguments, Check
from simlab.conformance.draws.convex import bad_runs, draw_lr, hard_run
from simlab.theory.hard_instance import hard_instance

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
        if hard_instance(lr, norms, distance).valid:
            return {"lr": lr, "gradient_norms": norms, "distance": distance}


def _attained(given: Arguments) -> Any:
    pieces, values, norms = hard_run(given["lr"], given["gradient_norms"], given["distance"])
    lowest = float(np.max(pieces.slopes @ pieces.minimiser + pieces.offsets))
    return {"gap": values[-1] - lowest, "norms": norms, "distance": np.linalg.norm(pieces.minimiser)}


CHECKS = [
    Check(
        "sharper_attained",
        _draw,
        _attained,
        lambda given: [*bad_runs(given), NOT_ATTAINED],
        says=lambda gap, given: {"gap": gap, "norms": given["gradient_norms"], "distance": given["distance"]},
        rtol=1e-6,
        cost=0.08,
    )
]
