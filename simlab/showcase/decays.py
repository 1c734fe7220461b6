"""Decays on the hills of a straight valley: the jointly optimal one against the usual shapes, by the exact engine.

One hill of curvature g in its stationary state at a learning rate e: the decay that leaves the least loss after any
number of steps is at once to e/2, then 1/eta_{t+1} = 1/eta_t + g (derived for this project, see
`theory.river_optimal_decay`). Of a spread of hills the best decay is found numerically.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from simlab import methods, schedules
from simlab.arrays import FloatArray
from simlab.engines.exact_valley import exact_valley
from simlab.errors import check_count, check_number
from simlab.landscapes.straight import StraightValley

__all__ = ["OPTIMAL", "Decays", "best_rates", "decays"]


OPTIMAL = "optimal"
SHAPES = ("linear", "1-sqrt", "cosine")


class Decays(NamedTuple):
    """run -> learning rates (T,), and expected loss on the hills before every step and at the end (T + 1,).

    `peak` is the learning rate of the stationary state that all begin from.
    """

    rates: dict[str, FloatArray]
    losses: dict[str, FloatArray]
    peak: float


def decays(hills: npt.ArrayLike, steps: int = 60, peak: float = 0.5, noise: float = 1.0) -> Decays:
    """The optimal decay, then linear, 1-sqrt and cosine ones, over `steps` steps from the stationary state at `peak`.

    hills : (d,) curvatures; peak below 2 / lam_max.  noise : variance of one sample's gradient along each.

    A river without slope, so that nothing but the hills counts.
    """
    lam = np.sort(np.atleast_1d(np.asarray(hills, dtype=np.float64)))[::-1]
    peak = check_number("peak", peak, low=0.0, high=2.0 / float(lam[0]), open_low=True)
    stationary = peak * noise / (lam * (2.0 - peak * lam))
    if lam.size == 1:
        optimal = schedules.inverse_time(check_count("steps", steps), peak / 2.0, decay=peak * float(lam[0]) / 2.0)
    else:
        optimal = schedules.from_array(best_rates(lam, np.full(lam.size, noise), stationary, steps, peak))
    runs = {OPTIMAL: optimal, **{shape: schedules.wsd(steps, peak, cooldown=1.0, shape=shape) for shape in SHAPES}}
    # The recursion of the second moments sees the square of the start alone, whether it is random or not.
    valley = StraightValley(lam, slope=0.0, noise=noise, hill_start=np.sqrt(stationary))
    named = {name: methods.sgd(schedule) for name, schedule in runs.items()}
    trace = exact_valley(valley, named, record="all", progress=False)
    losses = trace["hill_loss"].sum("subspace")
    return Decays(
        {name: schedule.values() for name, schedule in runs.items()},
        {name: losses.sel(run=name).values for name in runs},
        peak,
    )


def best_rates(
    hills: FloatArray, noise: FloatArray, variance: FloatArray, steps: int, cap: float, tolerance: float = 1e-14
) -> FloatArray:
    """Learning rates (T,) within [0, cap] that leave the least 1/2 sum_i lam_i v_i(T), by L-BFGS-B.

    hills, noise, variance : (d,) lam_i, noise variance of a step c_i, and v_i(0); v <- (1 - eta lam)^2 v + eta^2 c. The
    gradient is by the adjoint recursion, O(d T). `theory.river_spread_decay` finds the same by sweeps over the steps.
    """
    from scipy.optimize import minimize

    def loss_and_gradient(eta: FloatArray) -> tuple[float, FloatArray]:
        v = np.empty((steps + 1, hills.size))
        v[0] = variance
        for t, rate in enumerate(eta):
            v[t + 1] = (1.0 - rate * hills) ** 2 * v[t] + rate**2 * noise
        gradient, price = np.empty(steps), 0.5 * hills
        for t in range(steps - 1, -1, -1):
            gradient[t] = price @ (2.0 * eta[t] * noise - 2.0 * hills * (1.0 - eta[t] * hills) * v[t])
            price = (1.0 - eta[t] * hills) ** 2 * price
        return float(0.5 * hills @ v[-1]), gradient

    first = np.full(steps, 0.5 * cap) / (1.0 + np.arange(steps) * cap * float(np.median(hills)))
    options: Any = {"maxiter": 5000, "maxfun": 20_000, "ftol": tolerance, "gtol": 1e-12}
    found = minimize(
        loss_and_gradient, first, jac=True, bounds=[(0.0, cap)] * steps, method="L-BFGS-B", options=options
    )
    out: FloatArray = np.asarray(found.x, dtype=np.float64)
    return out
