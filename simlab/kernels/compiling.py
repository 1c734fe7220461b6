"""How the inner functions of the samplers are compiled."""

from __future__ import annotations

from typing import Any

from numba import njit

__all__ = ["FAST", "FUSED", "hot"]

FAST = {"reassoc", "contract", "nsz", "arcp"}
"""Sums may be reordered and products fused; infinities and NaN keep their meaning, so that divergence shows."""

FUSED = {"contract", "nsz"}
"""Products may be fused with sums, and nothing else: what the accuracy of a polynomial allows."""


def hot(function: Any = None, **options: Any) -> Any:
    """Compile a function that allocates nothing and runs at every step, without counting references to its arrays.

    Numba counts them each time an array changes hands: at a thousand coordinates that took a third of a step.
    """
    compiler: Any = njit  # _nrt is no part of its published signature
    decorate = compiler(nogil=True, _nrt=False, **options)
    return decorate if function is None else decorate(function)
