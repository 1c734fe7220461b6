"""How one theorem is held against what is true: its author says what to draw and what is true, and no more."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from inspect import signature
from typing import Any

import numpy as np

from simlab import theory
from simlab.arrays import FloatArray

__all__ = ["Arguments", "Check", "Comparison"]

Arguments = dict[str, Any]
"""Keyword arguments of a theorem, and what else `true` needs of the problem."""


@dataclass(frozen=True)
class Comparison:
    """What a theorem says and what is true, by the name of the part: "risk", "bias", "variance", "head", "tail".

    Arrays of one shape each; every entry is a claim of its own (an eigen-index, a step). For kind "asymptotic" the last
    axis runs over growing T; for "scaling" the entries are exponents.
    """

    stated: Mapping[str, FloatArray]
    true: Mapping[str, FloatArray]


@dataclass(frozen=True, eq=False)
class Check:
    """The check of the theorem named `theorem`, which is called by this name with the arguments that it takes.

    draw : (rng) -> arguments inside the assumptions.
    true : arguments -> what is true: parts by name, or a tuple with names such as `Risk`, or an array, the part "risk".
    outside : changes that take drawn arguments just outside, at least one for each assumption, or a function of the
        arguments that gives them. They are applied one at a time; the theorem must refuse each.
    says : (stated, arguments) -> parts, where what the theorem returns is not what `true` returns. Without it, a part
        is the attribute of its name ("risk" of a `Risk`: by mode), and a plain number or array is said of every part.
    parts : (stated or true, arguments, true) -> parts, applied to both sides alike, where their parts are to be formed.
    rtol : of "exact" and "tight", and the slack for rounding of "upper" and "lower"; of "asymptotic" how far from 1 the
        ratio at the largest T may be; of "scaling" the largest error of an exponent.
    cost : seconds for one instance, roughly, by which a run of limited time is planned.
    """

    theorem: str
    draw: Callable[[np.random.Generator], Arguments]
    true: Callable[[Arguments], Any]
    outside: Sequence[Arguments] | Callable[[Arguments], Sequence[Arguments]]
    says: Callable[[Any, Arguments], Any] | None = None
    parts: Callable[[Any, Arguments, Any], Mapping[str, Any]] | None = None
    rtol: float = 1e-9
    cost: float = 0.01

    def compare(self, given: Arguments) -> Comparison:
        """The theorem's word on these arguments beside the truth."""
        true = self.true(given)
        stated = _entry(self.theorem)(**self.taken(given))
        if self.says is not None:
            stated = self.says(stated, given)
        if self.parts is not None:
            stated, true = self.parts(stated, given, true), self.parts(true, given, true)
        true = {part: np.asarray(value, dtype=np.float64) for part, value in _named(true).items()}
        if isinstance(stated, Mapping) and stated.keys() != true.keys():
            raise ValueError(f"{self.theorem} is said of {sorted(stated)}, and {sorted(true)} are true.")
        return Comparison({part: _spoken(stated, part, value.shape) for part, value in true.items()}, true)

    def cases_outside(self, rng: np.random.Generator) -> list[Arguments]:
        """Arguments of the theorem that lie outside its assumptions, each by one change."""
        given = self.draw(rng)
        changes = self.outside(given) if callable(self.outside) else self.outside
        return [self.taken({**given, **change}) for change in changes]

    def taken(self, given: Arguments) -> Arguments:
        """Those of the arguments that the theorem takes."""
        return {name: given[name] for name in _parameters(self.theorem) if name in given}


@cache
def _entry(name: str) -> theory.Theorem[..., Any]:
    return theory.find(name)


@cache
def _parameters(name: str) -> tuple[str, ...]:
    return tuple(signature(_entry(name).function).parameters)


def _named(true: Any) -> Mapping[str, Any]:
    if isinstance(true, Mapping):
        return true
    named: dict[str, Any] = true._asdict() if hasattr(true, "_asdict") else {"risk": true}
    return named


def _spoken(stated: Any, part: str, shape: tuple[int, ...]) -> FloatArray:
    if isinstance(stated, Mapping):
        value = stated[part]
    elif isinstance(stated, theory.Risk) and part == "risk":
        value = stated.modes
    else:
        value = getattr(stated, part, stated) if isinstance(stated, tuple) else stated
    array = np.asarray(value, dtype=np.float64)
    out: FloatArray = np.broadcast_to(array.reshape(()) if array.size == 1 else array, shape)
    return out
