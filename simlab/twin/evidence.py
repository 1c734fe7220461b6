"""How far losses lie from a twin, by the evidence of its own curves.

About an optimum the residuals of a curve are r = J d + e: d has the parameters' prior N(m, P^-1), e the covariance K of
`Errors`. Its noise, early part, misfit and width are where

    log p(r) = -1/2 (sum r^T K^-1 r + m^T P m - b^T H^-1 b + sum log |K| + log |H|) + const
    H = P + sum J^T K^-1 J,   b = P m + sum J^T K^-1 r        (sums over curves)

and their own prior together are highest: log-normal, about what the nine curves each of two models of Luo et al. 2025
(arXiv 2503.12811) and the seven at one peak of Schaipp et al. 2025 (arXiv 2501.18965) give for themselves (misfit
0.0019, 0.0009, 0.0010; width 0.96, 0.40, 0.28; early 0.009, 0.006, 0.002), and about `white_noise`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

import numpy as np

from simlab.arrays import FloatArray, IntArray
from simlab.twin.likelihood import LEAST, Errors, root_of

__all__ = ["Seen", "integrated", "likeliest", "proper", "thinned"]

CENTRE: FloatArray = np.log([0.008, 1.2e-3, 0.5])
"""Of the prior on the logarithms of early, misfit and width."""

SPREAD: FloatArray = np.array([0.5, 1.0, 0.5, 0.6])
"""Of the prior on the logarithms of noise, early, misfit and width."""

GROUPS = 64
"""Means of neighbouring records that a curve is thinned to, at most."""

OUTLYING = 4.0
"""Residuals count as so many of the deviations that the fit took for granted, at most: a spike is no misfit."""

STEP = 0.1
"""Of the differences that give the curvature of the evidence, in logarithms."""

FINEST = 1e-4
"""White noise that is believed, at least: a log's last digit."""


class Seen(NamedTuple):
    """A curve about an optimum: steps (n,), residuals measured - twin (n,), jacobian (n, P), counts (n,) of records."""

    steps: FloatArray
    residuals: FloatArray
    jacobian: FloatArray
    counts: FloatArray


def thinned(
    steps: FloatArray, residuals: FloatArray, jacobian: FloatArray, weights: Errors, starts: IntArray | None = None
) -> Seen:
    """Means over runs of neighbouring records; residuals are clipped by the fit's `weights` first.

    starts : the first record of each run; by default at most GROUPS runs, all as long.
    """
    most = OUTLYING * np.hypot(weights.deviation(steps), weights.misfit)
    kept = np.clip(residuals, -most, most)
    if starts is None:
        starts = np.arange(0, steps.size, math.ceil(steps.size / GROUPS))
    counts = np.diff(np.append(starts, steps.size)).astype(np.float64)

    def mean(values: FloatArray) -> FloatArray:
        return np.asarray((np.add.reduceat(values, starts, axis=0).T / counts).T)

    return Seen(np.exp(mean(np.log(np.maximum(steps, 1.0)))), mean(kept), mean(jacobian), counts)


def likeliest(
    curves: Sequence[Seen], precision: FloatArray, offset: FloatArray, scale: FloatArray, noise: float
) -> Errors:
    """The root mean square of the errors over what the curves and the prior leave of them, log-normal about the best.

    precision (P,): of the parameters' priors, 0 where flat.  offset (P,): the priors' centres minus the optimum.
    scale (P,): a flat prior counts as a very wide one in these units.  noise : white, of one record.
    """
    from scipy.optimize import minimize

    prior = proper(precision, scale)
    centre = np.append(math.log(max(noise, FINEST)), CENTRE)

    def cost(logs: FloatArray) -> float:
        penalty = float(np.square((logs - centre) / SPREAD).sum())
        return 0.5 * penalty - evidence(curves, prior, offset, _errors(logs))

    # About its default simplex, 5 % of each logarithm, the search stopped up to ten units short.
    simplex = centre + np.vstack([np.zeros(centre.size), np.diag(0.5 * SPREAD)])
    options = {"xatol": 0.03, "fatol": 0.03, "maxfev": 200, "initial_simplex": simplex}
    found = minimize(cost, centre, method="Nelder-Mead", options=options)
    spreads = np.minimum(_variances(cost, found.x), SPREAD**2)
    return _errors(found.x + np.append(spreads[:3], 0.0))


def proper(precision: FloatArray, scale: FloatArray) -> FloatArray:
    """The parameters' precisions (P,), a flat prior's as that of a very wide one."""
    return np.where(precision > 0.0, precision, LEAST / scale**2)


def evidence(curves: Sequence[Seen], prior: FloatArray, offset: FloatArray, errors: Errors) -> float:
    """log p(r) of the curves, but for a constant; prior (P,): the parameters' precisions, all positive."""
    return integrated(
        (
            (root_of(errors.noise**2 / one.counts, errors.smooth(one.steps)), one.jacobian, one.residuals)
            for one in curves
        ),
        prior,
        offset,
    )


def integrated(
    parts: Iterable[tuple[FloatArray, FloatArray, FloatArray]], prior: FloatArray, offset: FloatArray
) -> float:
    """The same of independent parts: roots of their covariances (n, n), jacobians (n, P), residuals (n,)."""
    information, b = np.diag(prior), prior * offset
    square, volume = float(prior @ offset**2), 0.0
    for root, jacobian, residuals in parts:
        white = np.linalg.solve(root, np.column_stack([jacobian, residuals]))
        columns, rest = white[:, :-1], white[:, -1]
        information = information + columns.T @ columns
        b = b + columns.T @ rest
        square += float(rest @ rest)
        volume += 2.0 * float(np.log(np.diag(root)).sum())
    volume += float(np.linalg.slogdet(information)[1])
    return -0.5 * (square - float(b @ np.linalg.solve(information, b)) + volume)


def _variances(cost: Callable[[FloatArray], float], x: FloatArray) -> FloatArray:
    """The diagonal (n,) of the inverse Hessian of cost at x, by differences; curvatures at least those of the prior."""
    steps = STEP * np.eye(x.size)
    hessian = np.empty((x.size, x.size))
    for i in range(x.size):
        for j in range(i + 1):
            corners = [cost(x + a * steps[i] + b * steps[j]) * a * b for a in (-1, 1) for b in (-1, 1)]
            hessian[i, j] = hessian[j, i] = sum(corners) / (4.0 * STEP**2)
    values, vectors = np.linalg.eigh(hessian * np.outer(SPREAD, SPREAD))
    inner = (vectors / np.maximum(values, 1.0)) @ vectors.T
    return np.asarray(np.square(SPREAD) * np.diag(inner))


def _errors(logs: FloatArray) -> Errors:
    noise, early, misfit, width = np.exp(logs).tolist()
    return Errors(noise=noise, early=early, misfit=misfit, width=width)
