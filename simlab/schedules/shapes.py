"""Profiles on [0, 1], each written once for numpy, for `math` and for `jax.numpy`.

A profile is a function `(m, u, v, *parameters)` of the progress u in [0, 1] and of v = 1 - u, with `m` the
namespace of elementary functions. Called with arrays it computes; called with the symbols of `codegen` it
writes the source of the very same formula, so an export cannot drift from the library.

v is an argument of its own, formed from integers as (n - j) / n, because 1 - u cancels as u -> 1: every
formula below is a sum of non-negative terms in u and v (but for mirror-cosine, which loses one bit), and so
keeps full relative accuracy at the end of a decay, in float32 too. E.g. (1 + cos(pi u)) / 2 is computed as
sin(pi v / 2)^2, and 1 - sqrt(u) as v / (1 + sqrt(u)). On its domain each profile lies in [0, 1].
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

__all__ = ["SHAPES"]

HALF_PI = math.pi / 2


def _linear(m: Any, u: Any, v: Any) -> Any:
    return v


def _rise(m: Any, u: Any, v: Any) -> Any:
    return u


def _cosine(m: Any, u: Any, v: Any) -> Any:
    return m.sin(HALF_PI * v) ** 2


def _mirror_cosine(m: Any, u: Any, v: Any) -> Any:
    return 2.0 * v - m.sin(HALF_PI * v) ** 2


def _one_minus_sqrt(m: Any, u: Any, v: Any) -> Any:
    return v / (1.0 + m.sqrt(u))


def _square(m: Any, u: Any, v: Any) -> Any:
    return v * (1.0 + u)


def _power(m: Any, u: Any, v: Any, power: float) -> Any:
    return v**power


def _exponential(m: Any, u: Any, v: Any, rate: float) -> Any:
    # exp(u log f), not f ** u: in float32 the power would amplify the rounding of f.
    return m.exp(rate * u)


def _inverse_proportional(m: Any, u: Any, v: Any, inverse_floor: float) -> Any:
    return 1.0 / (v + inverse_floor * u)


def _rex(m: Any, u: Any, v: Any, alpha: float) -> Any:
    return v / ((1.0 - alpha) + alpha * v)


def _inverse_sqrt(m: Any, u: Any, v: Any) -> Any:
    return 1.0 / m.sqrt(u)


def _hyperbola(m: Any, u: Any, v: Any, rate: float) -> Any:
    return 1.0 / (1.0 + rate * u)


def _power_law(m: Any, u: Any, v: Any, exponent: float) -> Any:
    return u**exponent


SHAPES: dict[str, Callable[..., Any]] = {
    "linear": _linear,
    "rise": _rise,
    "cosine": _cosine,
    "mirror-cosine": _mirror_cosine,
    "1-sqrt": _one_minus_sqrt,
    "square": _square,
    "power": _power,
    "exponential": _exponential,
    "inverse-proportional": _inverse_proportional,
    "rex": _rex,
    "inverse-sqrt": _inverse_sqrt,
    "hyperbola": _hyperbola,
    "power-law": _power_law,
}
"""Profile by name. The last three live on u >= 1, u >= 0 and u >= 1: their u counts steps."""
