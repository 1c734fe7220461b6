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


def _cosine_rise(m: Any, u: Any, v: Any) -> Any:
    return m.sin(HALF_PI * u) ** 2


def _sine(m: Any, u: Any, v: Any) -> Any:
    return m.sin(HALF_PI * v)


def _sine_rise(m: Any, u: Any, v: Any) -> Any:
    return m.sin(HALF_PI * u)


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


def _exponential_rise(m: Any, u: Any, v: Any, rate: float) -> Any:
    return m.exp(rate * v)


def _sigmoid(m: Any, u: Any, v: Any, steepness: float, middle: float) -> Any:
    return 1.0 / (1.0 + m.exp(steepness * (u - middle)))


def _uba(m: Any, u: Any, v: Any, phi: float) -> Any:
    # 2 (1 + cos pi u) / (2 phi + (2 - phi) (1 + cos pi u)) by the squares of half the angle.
    falling = m.sin(HALF_PI * v) ** 2
    return 2.0 * falling / (phi * m.sin(HALF_PI * u) ** 2 + 2.0 * falling)


def _inverse_proportional(m: Any, u: Any, v: Any, inverse_floor: float) -> Any:
    return 1.0 / (v + inverse_floor * u)


def _rex(m: Any, u: Any, v: Any, alpha: float) -> Any:
    return v / ((1.0 - alpha) + alpha * v)


def _inverse_sqrt(m: Any, u: Any, v: Any) -> Any:
    return 1.0 / m.sqrt(u)


def _hyperbola(m: Any, u: Any, v: Any, rate: float) -> Any:
    return 1.0 / (1.0 + rate * u)


def _power_hyperbola(m: Any, u: Any, v: Any, rate: float, exponent: float) -> Any:
    return (1.0 + rate * u) ** exponent


def _norm_growth(m: Any, u: Any, v: Any, rate: float, growth: float) -> Any:
    return 1.0 / m.sqrt(1.0 - growth * m.expm1(-rate * u))


def _norm_decay(m: Any, u: Any, v: Any, rate: float, excess: float) -> Any:
    return 1.0 / m.sqrt(1.0 + excess * m.exp(-rate * u))


def _power_law(m: Any, u: Any, v: Any, exponent: float) -> Any:
    return u**exponent


SHAPES: dict[str, Callable[..., Any]] = {
    "linear": _linear,
    "rise": _rise,
    "cosine": _cosine,
    "cosine-rise": _cosine_rise,
    "sine": _sine,
    "sine-rise": _sine_rise,
    "mirror-cosine": _mirror_cosine,
    "1-sqrt": _one_minus_sqrt,
    "square": _square,
    "power": _power,
    "exponential": _exponential,
    "exponential-rise": _exponential_rise,
    "sigmoid": _sigmoid,
    "uba": _uba,
    "inverse-proportional": _inverse_proportional,
    "rex": _rex,
    "inverse-sqrt": _inverse_sqrt,
    "hyperbola": _hyperbola,
    "power-hyperbola": _power_hyperbola,
    "norm-growth": _norm_growth,
    "norm-decay": _norm_decay,
    "power-law": _power_law,
}
"""Profile by name, each monotone. Of the last six u counts steps: it is at least 1 in the first and the last."""
