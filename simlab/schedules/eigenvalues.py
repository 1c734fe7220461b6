"""The schedule made for a spectrum: eigencurve."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from simlab.errors import InputError, brief, check_array, check_number
from simlab.schedules import nodes
from simlab.schedules.arguments import Phases, check_run
from simlab.schedules.base import Schedule
from simlab.schedules.registry import family

__all__ = ["eigencurve"]


@family
def eigencurve(
    steps: int,
    peak: float | None = None,
    *,
    eigenvalues: npt.ArrayLike,
    base: float = 2.0,
    warmup: int | float = 0,
) -> Schedule:
    """Eigencurve: inverse-time decay whose rate follows the eigenvalue counts of the Hessian.

    With mu and L the least and largest eigenvalue, s_i the number of eigenvalues in [mu base^i, mu
    base^(i+1)), stages of D_i steps proportional to sqrt(s_i) with sum n = T - warmup, and t_i = D_0 + ... +
    D_(i-1):

        1 / (L + mu sum_(j=1..i) D_(j-1) base^(j-1) + mu base^i (t - t_i))   for t_i <= t < t_(i+1).

    Its first value 1 / L is the peak, or it is scaled to `peak` where one is given. Stage ends are the
    partial sums of n sqrt(s_i) / sum_j sqrt(s_j), rounded to nearest (the authors' code rounds down and adds
    one). `eigenvalues`: shape (d,), positive, any order; base > 1. Pan, Ye and Zhang 2022, arXiv 2110.14109.

    >>> eigencurve(4, eigenvalues=[1.0, 1.0, 1.0, 1.0]).values()
    array([1.        , 0.5       , 0.33333333, 0.25      ])
    """
    steps, _ = check_run(steps, 1.0)
    spectrum = check_array("eigenvalues", eigenvalues).copy()
    if spectrum.min() <= 0.0:
        raise InputError(
            f": the least is {brief(spectrum.min())}; give positive numbers (cut the null space).", "eigenvalues"
        )
    if math.log(spectrum.max()) - math.log(spectrum.min()) > 690.0:
        raise InputError(": the largest is over 1e300 times the least; leave out the least ones.", "eigenvalues")
    spectrum.flags.writeable = False
    base = check_number("base", base, low=1.0, open_low=True)
    phases = Phases.of(steps, warmup=warmup)
    (w,) = phases.lengths
    largest = float(spectrum.max())
    height = 1.0 / largest if peak is None else check_number("peak", peak, low=0.0)
    plan = nodes.Scale(nodes.chain(nodes.ramp(w), *_stages(steps - w, spectrum, base)), height)
    arguments = {"steps": steps, "peak": height, "eigenvalues": spectrum, "base": base, **phases.given}
    return Schedule("eigencurve", arguments, plan, {"peak"} if height == 1.0 / largest else ())


def _stages(n: int, spectrum: npt.NDArray[np.float64], base: float) -> list[nodes.Plan]:
    """One hyperbola for each occupied bin of the spectrum, as multiples of 1 / L; the first value is 1."""
    ratios = np.sort(spectrum / spectrum.min())
    bins = np.floor(np.log(ratios) / math.log(base))
    # The logarithm may round across the edge of a bin.
    bins += ratios >= base ** (bins + 1.0)
    bins -= ratios < base**bins
    occupied, counts = np.unique(bins, return_counts=True)
    share = np.cumsum(np.sqrt(counts))
    ends = np.rint(n * (share / share[-1])).astype(np.int64)
    parts: list[nodes.Plan] = []
    reached, begin = float(ratios[-1]), 0  # the denominator, in units of mu
    for i, end in zip(occupied, ends, strict=True):
        length, rate = int(end) - begin, float(base**i)
        hyperbola = nodes.Piece(length, "hyperbola", n=1, parameters=(rate / reached,))
        parts.append(nodes.Scale(hyperbola, float(ratios[-1]) / reached))
        reached += length * rate
        begin = int(end)
    return parts
