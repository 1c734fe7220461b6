"""A linear twin as a noisy quadratic: the same curve, from the engines."""

from __future__ import annotations

import math

import numpy as np

from simlab.arrays import FloatArray
from simlab.errors import InputError
from simlab.problems import NoisyQuadratic
from simlab.schedules import Schedule
from simlab.twin.norm import effective
from simlab.twin.parameters import DEPARTURES, NODES, PARAMETERS, PLACE
from simlab.twin.posterior import Posterior

__all__ = ["noise_measure", "problem_of", "rates_of"]

LOWEST, HIGHEST, STEP = -40.0, 4.0, 0.25
"""Logarithms of 2 tau lam between which the river's measure is summed, and their distance."""


def noise_measure(theta: FloatArray) -> FloatArray:
    """q (nodes,): the noise floor at the reference by curvature."""
    at = {p.name: float(theta[j]) for j, p in enumerate(PARAMETERS)}
    q = NODES ** at["tilt"] * np.exp(-NODES / math.exp(at["log_cutoff"]))
    return np.asarray(q / q.sum() * math.exp(at["log_noise"]))


def problem_of(theta: FloatArray, span: float, substeps: int) -> NoisyQuadratic:
    """The quadratic whose risk under SGD, `substeps` times at each effective rate, is the twin's loss above its floor.

    The river (1 + S/tau)^-s is a sum over curvatures of the measure lam^(s-1) e^(-2 tau lam) dlam, the valley its own
    nodes. What a twin's curvature lam leaves in a step at rate 1, e^(-2 lam), as many steps of SGD leave at 1 -
    e^(-lam / substeps). Raises InputError for a twin that is not linear.
    """
    at = {p.name: float(theta[j]) for j, p in enumerate(PARAMETERS)}
    bent = [name for name, value in DEPARTURES.items() if at[name] != value]
    if bent:
        raise InputError(
            f"a twin with {', '.join(bent)} is no quadratic; fit it with linear = True (simlab twin fit --linear)."
        )
    source, tau = at["source"], math.exp(at["log_onset"])
    x = np.arange(LOWEST / source, HIGHEST, STEP)
    weights = STEP * np.exp(source * x - np.exp(x)) / math.gamma(source)
    river = 0.5 * np.exp(x) / tau
    kept = (weights > 1e-12) & (river > 1e-14)
    slow = weights[~kept & (x < 0.0)].sum()
    bias = np.append(weights[kept], slow) * math.exp(at["log_river"]) * (1.0 + span / tau) ** source
    curvature = np.append(river[kept], 1e-14) / substeps
    error = np.sqrt(2.0 * bias / -np.expm1(-curvature))
    valley = NODES / substeps
    noise = 2.0 * noise_measure(theta) * np.expm1(-2.0 * valley) / np.expm1(-valley)
    both = np.concatenate([curvature, valley])
    order = np.argsort(-both, kind="stable")
    errors = np.concatenate([error, np.zeros(NODES.size)])[order]
    noises = np.concatenate([np.zeros(error.size), noise])[order]
    return NoisyQuadratic(-np.expm1(-both[order]), errors, noises)


def rates_of(twin: Posterior, schedule: Schedule) -> FloatArray:
    """Rates (T,) that SGD has under this recipe, as multiples of the reference: of AdamW the effective ones."""
    if twin.optimizer == "sgd":
        return schedule.values() / twin.reference
    theta = twin.modes[0].theta
    decay = math.exp(theta[PLACE["log_kappa"]]) / (2.0 * twin.reference)
    rates = effective(schedule, decay, math.exp(theta[PLACE["log_start"]]), twin.reference)
    return rates.values() / twin.reference
