"""Bias and variance of a cooldown in the sense of Dremov, Hägele, Kosson and Jaggi 2025 (arXiv 2508.01483).

The cooldown is repeated from one checkpoint with other draws: the spread of what comes out is its variance, the error
of the mean solution its bias.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from simlab.doors import door
from simlab.errors import InputError, check_floats, check_kind, check_number
from simlab.landscapes.landscape import Landscape

__all__ = ["BiasVariance", "bias_variance"]


class BiasVariance(NamedTuple):
    """bias + variance = mean loss - best, exactly; the errors are standard errors by the jackknife."""

    bias: float
    variance: float
    bias_error: float
    variance_error: float
    runs: int


@door
def bias_variance(landscape: Landscape, final: npt.ArrayLike, best: float = 0.0) -> BiasVariance:
    """Bias and variance of K final iterates of the same cooldown, final (K, dim), K >= 2.

    With m their mean, variance = (mean_k L(w_k) - L(m)) / (1 - 1/K) and bias = mean_k L(w_k) - best - variance: on a
    quadratic unbiased for sum_i lam_i Var(w_i) / 2 and L(E w) - best, for m keeps a K-th of the variance. Elsewhere the
    spread of the losses is what remains of the same expressions. The paper's definition of bias was read in part;
    L(m) - best is reconstructed. `best` : the loss to compare with.
    """
    check_kind("landscape", landscape, Landscape, "a landscape", "make one with simlab.river.curved(), say")
    w = check_floats("final", final)
    if w.ndim != 2 or w.shape[0] < 2 or w.shape[1] != landscape.dim:
        raise InputError(f" has shape {w.shape}; give at least two final iterates, (runs, {landscape.dim}).", "final")
    if not np.all(np.isfinite(w)):
        raise InputError(" holds iterates that diverged; leave them out, or lower the learning rate.", "final")
    best = check_number("best", best)
    K = w.shape[0]
    losses = landscape.value(w)
    variance = _variance(losses.mean(), float(landscape.value(w.mean(axis=0))), K)
    bias = float(losses.mean()) - best - variance
    if K < 3:
        return BiasVariance(bias, variance, np.nan, np.nan, K)
    total = w.sum(axis=0)
    without = (losses.sum() - losses) / (K - 1)
    centres = landscape.value((total - w) / (K - 1))
    variances = np.array([_variance(m, c, K - 1) for m, c in zip(without, centres, strict=True)])
    biases = without - best - variances
    bias_error, variance_error = (float(np.sqrt((K - 1) * np.var(part))) for part in (biases, variances))
    return BiasVariance(bias, variance, bias_error, variance_error, K)


def _variance(mean_loss: float, loss_of_mean: float, K: int) -> float:
    return (float(mean_loss) - float(loss_of_mean)) / (1.0 - 1.0 / K)
