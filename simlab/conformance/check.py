"""How one theorem is held against the exact engine."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["Arguments", "Check", "Comparison"]

FloatArray = npt.NDArray[np.float64]
Arguments = dict[str, Any]
"""Keyword arguments of a theorem."""


@dataclass(frozen=True)
class Comparison:
    """What a theorem says and what is true, by the name of the part: "risk", "bias", "variance", "head", "tail".

    Arrays of one shape each; every entry is a claim of its own (an eigen-index, a step). For kind "asymptotic" the last
    axis runs over growing T; for "scaling" the entries are exponents.
    """

    stated: Mapping[str, FloatArray]
    true: Mapping[str, FloatArray]


@dataclass(frozen=True)
class Check:
    """The check of the theorem named `theorem`.

    draw : (rng) -> arguments inside the assumptions.  compare : arguments -> Comparison, calling theorem and engine.
    outside : (rng) -> arguments just outside, one for each assumption; the theorem must refuse them all.
    rtol : of "exact" and "tight", and the slack for rounding of "upper" and "lower"; of "asymptotic" how far from 1 the
    ratio at the largest T may be; of "scaling" the largest error of an exponent.  cost : seconds for one instance,
    roughly, by which a run of limited time is planned.
    """

    theorem: str
    draw: Callable[[np.random.Generator], Arguments]
    compare: Callable[[Arguments], Comparison]
    outside: Callable[[np.random.Generator], list[Arguments]]
    rtol: float = 1e-9
    cost: float = 0.01
