"""Whether a comparison bears out what a theorem claims, by its kind."""

from __future__ import annotations

import numpy as np

from simlab.arrays import BoolArray, FloatArray
from simlab.conformance.check import Comparison
from simlab.theory.statement import Kind

__all__ = ["holds", "ratios", "violations"]


FLOOR = 1e-290
"""Below this, numbers are what underflow leaves of them."""


def violations(kind: Kind, comparison: Comparison, rtol: float) -> list[str]:
    """The parts of a comparison that contradict the kind, in words; empty where the claim holds.

    Raises ValueError for a comparison that says nothing, or whose two sides do not match.
    """
    out = []
    for part, stated, true in _parts(comparison):
        wrong = ~holds(kind, stated, true, rtol)
        if np.any(wrong):
            at = np.unravel_index(int(np.argmax(wrong)), wrong.shape)
            out.append(f"{part}{[int(i) for i in at]}: stated {stated[at]!r}, true {true[at]!r} ({wrong.sum()} wrong)")
    return out


def _parts(comparison: Comparison) -> list[tuple[str, FloatArray, FloatArray]]:
    stated, true = comparison.stated, comparison.true
    if not stated or set(stated) != set(true):
        raise ValueError(f"a comparison of {sorted(stated)} with {sorted(true)} claims nothing.")
    pairs = [(part, np.asarray(stated[part], np.float64), np.asarray(true[part], np.float64)) for part in stated]
    for part, x, y in pairs:
        if x.shape != y.shape or x.size == 0 or not np.all(np.isfinite(y)):
            raise ValueError(
                f"{part}: stated {x.shape} and true {y.shape} do not match, or what is true is not finite."
            )
    return pairs


def holds(kind: Kind, stated: FloatArray, true: FloatArray, rtol: float) -> BoolArray:
    """Entry by entry whether the claim holds."""
    with np.errstate(all="ignore"):
        if kind in ("exact", "tight"):
            ok: BoolArray = np.abs(stated - true) <= rtol * np.abs(true) + FLOOR
        elif kind == "upper":
            ok = stated >= true - rtol * np.abs(true) - FLOOR
        elif kind == "lower":
            ok = stated <= true + rtol * np.abs(true) + FLOOR
        elif kind == "asymptotic":
            error = np.abs(stated / true - 1.0)
            # Close at the largest T, and not by accident: no further from 1 than at the smallest.
            last = (error[..., -1] <= rtol) & (error[..., -1] <= np.maximum(error[..., 0], rtol / 10.0))
            ok = np.broadcast_to(last[..., None], stated.shape)
        else:
            ok = np.abs(stated - true) <= rtol
    return ok


def ratios(comparison: Comparison) -> dict[str, FloatArray]:
    """stated / true of every claim with true > 0, by part."""
    return {part: x[y > 0.0] / y[y > 0.0] for part, x, y in _parts(comparison)}
