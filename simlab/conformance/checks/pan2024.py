"""simlab's heavy ball on the noisy quadratic model, covariance sigma^2 H."""

from __future__ import annotations

from typing import Any

import numpy as np

import simlab as sl
from simlab.conformance.check import Arguments, Check
from simlab.theory.pan2024 import pan_stages


def _draw(rng: np.random.Generator) -> Arguments:
    """Spectra of condition number 1 .. 3,000 with both ends occupied."""
    kappa, d = 10.0 ** rng.uniform(0.0, 3.5), int(rng.integers(1, 30))
    spectra = (
        np.geomspace(1.0, 1.0 / kappa, d),
        np.where(np.arange(d) < rng.integers(1, d + 1), 1.0, 1.0 / kappa),
        np.concatenate([[1.0], np.sort(rng.uniform(1.0 / kappa, 1.0, size=d))[::-1]]),
    )
    lam = rng.uniform(0.3, 3.0) * spectra[rng.integers(3)]
    root = np.sqrt(lam[0] / lam[-1])
    steps = int(rng.uniform(1.0, 30.0) * root * (np.log2(root) + 12.0)) + 2
    while pan_stages(lam, steps).stage < root:
        steps = 2 * steps
    return {
        "eigenvalues": lam,
        "initial_error": rng.normal(size=lam.size) * lam ** -rng.choice([0.0, 0.5]),
        "noise_variance": rng.uniform(0.1, 2.0),
        "steps": steps,
        "batch": float(rng.choice([1.0, 16.0])),
    }


def _totals(given: Arguments) -> Any:
    lam, steps = given["eigenvalues"], given["steps"]
    lr, momentum, _ = pan_stages(lam, steps)
    problem = sl.NoisyQuadratic(lam, given["initial_error"], given["noise_variance"] * lam)
    run = sl.methods.heavy_ball(sl.schedules.from_array(lr), momentum, given["batch"])
    final = sl.exact(problem, run, record=[steps], threads=1, progress=False).dataset["final_risk"].sum("subspace")
    return {name: float(final.sel(component=name)) for name in ("bias", "variance")}


SHORT = {"eigenvalues": np.array([1.0, 1e-3]), "initial_error": 1.0, "steps": 300}
CHECKS = [Check("pan_heavy_ball_upper", _draw, _totals, [{"noise_variance": -1e-9}, {"batch": 0.5}, SHORT])]
