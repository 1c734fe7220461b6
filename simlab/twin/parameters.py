"""The twin's parameters: what each is, where a fit may look for it, and what is believed of it beforehand."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np

from simlab.arrays import FloatArray

__all__ = ["DEPARTURES", "NODES", "PARAMETERS", "PLACE", "Optimizer", "Parameter", "fixed_by", "noisier", "norm_rate"]

Optimizer = Literal["adamw", "sgd"]

NODES: FloatArray = np.exp(np.linspace(math.log(1e-5), 0.0, 24))
"""Curvatures of the valley (24,): the share by which a step at the reference's equilibrium contracts."""


@dataclass(frozen=True)
class Parameter:
    """One entry of theta.

    start : where a fit begins.  spread : standard deviation of the Gaussian prior about `centre`, inf where it is flat.
    low, high : bounds.  scale : a step that matters, in which curvatures of the posterior are told apart.
    """

    name: str
    meaning: str
    start: float
    centre: float
    spread: float
    low: float
    high: float
    scale: float


_FLAT = math.inf

PARAMETERS: tuple[Parameter, ...] = (
    Parameter("floor", "L0, the loss at the end of the river", 3.0, 0.0, _FLAT, 0.0, 20.0, 0.1),
    Parameter("log_river", "log of the bias left at S_ref", -0.7, 0.0, _FLAT, -6.0, 4.0, 0.3),
    Parameter("source", "s: density of the bias ~ lam^(s-1)", 0.5, 0.5, 0.1, 0.05, 3.0, 0.1),
    Parameter("log_onset", "log tau, steps before the river's power law sets in", 5.0, 5.0, 2.5, 0.0, 12.0, 0.5),
    Parameter("log_noise", "log Q, the noise floor at the reference", -1.7, 0.0, _FLAT, -9.0, 3.0, 0.3),
    Parameter("tilt", "u: noise per octave of curvature ~ lam^u", 0.1, 0.0, 0.3, -1.5, 3.0, 0.2),
    Parameter("log_cutoff", "log of the curvature where noise ends", -2.0, -1.0, 2.5, -9.0, 3.0, 0.5),
    Parameter("log_kappa", "log of 2 lr_ref wd, the rate of the weight norm", -9.7, -9.7, 0.4, -30.0, 0.0, 0.3),
    Parameter("log_start", "log of |w|^2 at the start over its equilibrium", -1.5, -1.5, 1.5, -8.0, 3.0, 0.5),
    Parameter("stiffening", "c: the valley's walls steepen by 1 + c R", 2.5, 2.5, 1.5, 0.0, 100.0, 1.0),
    Parameter("noise_power", "psi: noise floor ~ rate^psi", 1.0, 1.0, 0.1, 0.3, 2.0, 0.1),
    Parameter("river_power", "pb: clock of the river ~ rate^pb", 1.0, 1.0, 0.1, 0.3, 2.0, 0.1),
    Parameter("valley_power", "pv: clock of the valley ~ rate^pv", 1.0, 1.0, 0.2, 0.2, 3.0, 0.2),
    Parameter("norm_power", "pn: equilibrium of |w|^2 ~ lr^pn", 1.0, 1.0, 0.4, 0.0, 3.0, 0.3),
    Parameter("noise_bias", "kap: gradient noise grows with the bias left", 0.0, 0.0, 0.4, -0.9, 5.0, 0.3),
    Parameter("adaptation", "g: the valley's curvatures come to rate^-g", 0.0, 0.0, 0.3, -2.0, 2.0, 0.3),
)
"""In the order of `simlab.kernels.twin.walk`. The last six are departures from the linear model."""

PLACE: Mapping[str, int] = {p.name: j for j, p in enumerate(PARAMETERS)}
"""name -> place in theta."""

DEPARTURES: Mapping[str, float] = {
    "stiffening": 0.0,
    "noise_power": 1.0,
    "river_power": 1.0,
    "valley_power": 1.0,
    "norm_power": 1.0,
    "noise_bias": 0.0,
    "adaptation": 0.0,
}
"""What makes a twin more than a quadratic, and the values at which it is one."""

NO_NORM: Mapping[str, float] = {"log_kappa": -1e3, "log_start": 0.0, "norm_power": 1.0}
"""A norm that stays where it is: the rate is lr itself."""


def fixed_by(optimizer: Optimizer, linear: bool) -> Mapping[str, float]:
    """Parameters that are not free, and their values."""
    return {**(NO_NORM if optimizer == "sgd" else {}), **(DEPARTURES if linear else {})}


def norm_rate(reference: float, weight_decay: float | None) -> tuple[float, float]:
    """Centre and spread of the prior on log kappa: from the recipe, or wide about 1 / 16,000 steps."""
    return (math.log(6e-5), 1.2) if weight_decay is None else (math.log(2.0 * reference * weight_decay), 0.4)


def noisier(theta: FloatArray, log: float) -> FloatArray:
    """theta (16,) with e^log times its gradient noise."""
    out = theta.copy()
    out[PLACE["log_noise"]] += log
    return out
