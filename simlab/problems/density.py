"""A measured spectrum as modes: eigenvalues of a Hessian, or a density of them, and what becomes of negative ones."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np

from simlab.arrays import FloatArray, IntArray
from simlab.doors import notice
from simlab.errors import InputError, check_array, check_count, check_number, unknown_name

__all__ = ["Negative", "counts_of_density", "positive_part"]

Negative = Literal["drop", "clip", "reflect"]
DONE = {"drop": "left out", "clip": "set to the least positive one", "reflect": "taken by their absolute values"}


def positive_part(
    values: Any, weights: Any | None, negative: Negative | None, condition: float | None, field: str
) -> tuple[FloatArray, FloatArray]:
    """(eigenvalues, weights), descending and positive, with a notice of the share of the weight that was changed.

    negative : "drop" leaves eigenvalues <= 0 out, "clip" takes the least positive one in their place (lam_1 / condition
    where that is given), "reflect" their absolute values; None refuses them.  condition : eigenvalues below lam_1 /
    condition are left out.  Raises InputError for what has no positive part.
    """
    lam = check_array(field, values)
    mass = np.ones(lam.size) if weights is None else check_array("weights", weights, length=lam.size, low=0.0)
    if not mass.sum() > 0.0:
        raise InputError(" sum to zero; give some eigenvalue a positive weight.", "weights")
    lam, mass = lam[mass > 0.0], mass[mass > 0.0]
    if negative not in (None, *DONE):
        raise unknown_name("negative", negative, DONE)
    below, whole = lam <= 0.0, float(mass.sum())
    if below.all():
        raise InputError(" holds no positive eigenvalue; give a spectrum with a positive part.", field)
    share = float(mass[below].sum()) / whole
    if below.any() and negative is None:
        raise InputError(
            f" has {int(below.sum())} eigenvalues of {lam.size} that are not positive ({100 * share:.3g} % of the "
            f"weight), along which the loss has no minimum; say negative = 'drop', 'clip' or 'reflect'.",
            field,
        )
    top = float(np.abs(lam).max()) if negative == "reflect" else float(lam.max())
    floor = top / check_number("condition", condition, low=1.0) if condition is not None else 0.0
    said = []
    if below.any():
        if negative == "drop":
            lam, mass = lam[~below], mass[~below]
        elif negative == "clip":
            lam = np.where(below, max(floor, float(lam[~below].min())), lam)
        else:
            lam, mass = np.abs(lam)[lam != 0.0], mass[lam != 0.0]
        word = {
            "drop": "left out",
            "clip": "set to the least positive one",
            "reflect": "taken by their absolute values",
        }
        said.append(f"eigenvalues that are not positive, {100 * share:.3g} % of the weight, are {word[str(negative)]}")
    small = lam < floor * (1.0 - 1e-12)
    if small.any():
        said.append(f"those below lam_1 / {condition:g}, {100 * float(mass[small].sum()) / whole:.3g} %, are left out")
        lam, mass = lam[~small], mass[~small]
    if said:
        notice("; ".join(said) + ".")
    order = np.argsort(-lam, kind="stable")
    return lam[order], mass[order]


def counts_of_density(mass: FloatArray, dim: int) -> IntArray:
    """How many of `dim` modes each eigenvalue of these weights stands for: whole numbers, the first at least 1.

    The number of modes up to each eigenvalue is the share of the weight up to it, rounded; the largest eigenvalue sets
    the stable learning rates and is always there.
    """
    dim = check_count("dim", dim, high=10**15)
    upto = np.round(np.cumsum(mass) / float(mass.sum()) * dim)
    upto = np.maximum(upto, 1.0)
    counts: IntArray = np.diff(np.concatenate([[0.0], upto])).astype(np.int64)
    return counts
