"""L-BFGS-B in log J from the better of several starts."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from simlab.arrays import FloatArray
from simlab.optimal.krotov import Certificate

__all__ = ["certified", "lowest"]

Ends = Sequence[tuple[float, float]]


def lowest(
    log_risk: Callable[[FloatArray], float],
    gradient: Callable[[FloatArray], tuple[float, FloatArray]],
    groups: Sequence[Sequence[FloatArray]],
    ends: Ends,
    gradients: int,
    settled: float,
) -> Any:
    """scipy's answer from the best start of each group, of which the two best are followed; None where all diverge.

    log_risk : x -> log J, inf where the run diverges.  gradient : the same and its gradient.  settled : the share of
    log J below which a step ends the search.
    """
    from scipy.optimize import minimize

    begun = sorted((min((log_risk(x), j) for j, x in enumerate(group)), i) for i, group in enumerate(groups))
    high = begun[0][0][0] + 30.0
    if not high < math.inf:
        return None

    def function(x: FloatArray) -> tuple[float, FloatArray]:
        value, slope = gradient(x)
        return (value, slope) if value < high else (high, np.zeros(x.size))

    def search(x: FloatArray, gradients: int) -> Any:
        options = {"maxfun": gradients, "maxiter": gradients, "ftol": settled, "gtol": 1e-5, "maxls": 8, "maxcor": 20}
        return minimize(function, x, jac=True, method="L-BFGS-B", bounds=ends, options=options)

    (_, j), i = begun[0]
    best = search(groups[i][j], gradients)
    if len(begun) > 1:
        (_, j), i = begun[1]
        other = search(groups[i][j], gradients // 4)
        if other.fun < best.fun:
            best = search(other.x, gradients)
    return best


def certified(slope: FloatArray, inverse: FloatArray) -> Certificate:
    """The certificate of numbers with this slope (n,) of log J, 0 where a bound holds one.

    inverse : (n, n), the inverse of the second derivatives of log J, with zeros in directions that they do not know.
    """
    curved, gain = np.diag(np.linalg.pinv(inverse)), 0.5 * float(slope @ inverse @ slope)
    if not (gain >= 0.0 and np.all(curved[slope != 0.0] >= 0.0)):  # no minimum
        return Certificate(math.inf, math.inf, math.inf)
    each = np.divide(0.5 * slope**2, curved, out=np.zeros(slope.size), where=curved > 0.0)
    return Certificate(math.sqrt(2.0 * gain), gain, float(each.max(initial=0.0)))
