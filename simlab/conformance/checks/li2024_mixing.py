"""Upsampling against upweighting (Li et al. 2024): the covariance of one step of either, by the exact engine."""

from __future__ import annotations

from typing import Any

import numpy as np

from simlab import methods, schedules
from simlab.arrays import FloatArray
from simlab.conformance.check import Arguments, Check
from simlab.engines.exact import exact
from simlab.problems import LinearRegression, Mixture


def _draw(rng: np.random.Generator) -> Arguments:
    domains, d = int(rng.integers(2, 5)), int(rng.integers(1, 12))
    lam = np.sort(10.0 ** rng.uniform(-2.0, 0.0, (domains, d)), axis=1)[:, ::-1]
    return {
        "eigenvalues": lam,
        "displacement": rng.standard_normal((domains, d)),
        "noise_variance": rng.uniform(0.0, 2.0, domains),
        "share": rng.dirichlet(np.ones(domains)),
        "natural": rng.dirichlet(np.full(domains, 3.0)),
    }


def _true(given: Arguments) -> Any:
    each = zip(given["eigenvalues"], given["displacement"], given["noise_variance"], strict=True)
    domains = [LinearRegression(lam, error, float(noise)) for lam, error, noise in each]
    share, natural = given["share"].tolist(), given["natural"].tolist()
    weights = (given["share"] / given["natural"]).tolist()
    return _spread(Mixture(domains, natural, weights)) - _spread(Mixture(domains, share))


def _spread(problem: Mixture) -> FloatArray:
    """Covariance of the gradient of one sample at w_0, (d,): that of a step of rate 1."""
    trace = exact(problem, methods.sgd(schedules.constant(1, 1.0)), progress=False)
    spread: FloatArray = trace.state.arrays["second"][:, 0].sum(axis=0)
    return spread


def _outside(given: Arguments) -> list[Arguments]:
    return [{"share": given["share"] * 1.1}, {"natural": given["natural"] * 0.9}, {"natural": given["natural"] * 0.0}]


CHECKS = [Check("upweighting_excess", _draw, _true, _outside)]
