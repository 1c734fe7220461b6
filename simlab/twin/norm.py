"""AdamW's weight norm, and the relative rate lr / |w| that follows from it.

Weights that a normalisation follows are changed by lr |u| / |w| of themselves in a step (van Laarhoven 2017; Kosson et
al. 2023, arXiv 2305.17212), and loss curves follow that rate (Liu et al. 2026, arXiv 2608.24814, with measured norms).
Here |w| follows from the recipe:

    d|w|^2/dt = C lr^2 - 2 lr wd |w|^2

With gradients that are white in time momentum makes the growth (1 + beta1) / (1 - beta1) times lr^2 |u|^2 (`echo`), and
|u|^2 its inverse: C is near 1 for any beta1. Measured on Pythia-70M: 1.31, where C begins smaller, for as long as the
second moment holds the larger gradients of the start.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from simlab.arrays import FloatArray
from simlab.doors import door
from simlab.errors import check_number
from simlab.schedules import Schedule, from_array
from simlab.twin.curves import as_schedule

__all__ = ["echo", "effective", "norm", "realising"]


@door
def echo(beta1: float) -> float:
    """(1 + beta1) / (1 - beta1): growth of |w|^2 in a step over lr^2 |u|^2, for gradients that are white in time.

    d|w|^2 = lr^2 |u|^2 (1 + 2 sum_k rho_k), with rho_k = beta1^k the autocorrelation of the averaged gradient.
    """
    beta1 = check_number("beta1", beta1, low=0.0, high=0.999999)
    return (1.0 + beta1) / (1.0 - beta1)


@door
def norm(
    schedule: Schedule | npt.ArrayLike,
    weight_decay: float,
    start: float = 0.02,
    growth: float = 1.31,
    memory: float = 500.0,
) -> FloatArray:
    """Root mean square of the weights after 0 .. T steps (T + 1,), from a recipe.

    |w|^2 <- (1 - lr wd)^2 |w|^2 + C lr^2,  C = growth g2 / vhat,  g2 = 1 / (|w|^2 lr)

    with vhat the mean of g2 over the last `memory` steps, corrected as Adam's (0: C = growth). The defaults are six
    records of Pythia-70M, rms(w) within 5.3 % from step 500 on; a Llama of that size has growth 1.16 and memory
    172, within 1.3 %.

    Raises InputError for numbers out of range.
    """
    from simlab.kernels.twin.norm import square_norm

    taken = as_schedule(schedule)
    decay = check_number("weight_decay", weight_decay, low=0.0)
    n = check_number("start", start, low=0.0, open_low=True) ** 2
    growth = check_number("growth", growth, low=0.0)
    out = np.empty(len(taken) + 1)
    square_norm(taken.values(), decay, n, growth, check_number("memory", memory, low=0.0), out)
    return np.sqrt(out)


@door
def effective(
    schedule: Schedule | npt.ArrayLike,
    weight_decay: float,
    start: float = 1.0,
    reference: float | None = None,
    power: float = 1.0,
) -> Schedule:
    """The relative rate that a recipe runs at, times `reference`: lr itself where |w| has its equilibrium there.

    dn/dt = kappa g (g^power - n),  kappa = 2 reference wd,  g = lr / reference,  effective = lr / sqrt(n)

    start : n(0), |w|^2 at the start over its equilibrium at `reference`, which is the schedule's peak by default.
    power : the equilibrium is lr^power, 1 for AdamW.  `realising` is the inverse.
    """
    from simlab.kernels.twin.norm import effective_rates

    taken, unit, rest = _recipe(schedule, weight_decay, start, reference, power)
    out = np.empty(len(taken))
    effective_rates(taken.values() / unit, *rest, out)
    return from_array(unit * out)


@door
def realising(
    effective: Schedule | npt.ArrayLike,
    weight_decay: float,
    start: float = 1.0,
    reference: float | None = None,
    power: float = 1.0,
) -> Schedule:
    """The learning rates that run at these effective rates (see `effective`): its inverse, to 1e-10.

    reference : by default the peak of the effective rates; give the one that `effective` was computed with.
    """
    from simlab.kernels.twin.norm import realising_rates

    taken, unit, rest = _recipe(effective, weight_decay, start, reference, power)
    out = np.empty(len(taken))
    realising_rates(taken.values() / unit, *rest, out)
    return from_array(unit * out)


def _recipe(
    schedule: Schedule | npt.ArrayLike, weight_decay: float, start: float, reference: float | None, power: float
) -> tuple[Schedule, float, tuple[float, float, float]]:
    """The schedule, its reference, and kappa, n(0) and the power, checked."""
    taken = as_schedule(schedule)
    unit = taken.peak() if reference is None else check_number("reference", reference, low=0.0, open_low=True)
    kappa = 2.0 * unit * check_number("weight_decay", weight_decay, low=0.0)
    n = check_number("start", start, low=0.0, open_low=True)
    return taken, unit, (kappa, n, check_number("power", power, low=0.0, high=1.0))
