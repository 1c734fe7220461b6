"""What a theorem is to this package: a function, with what it claims, under which assumptions, and where it stands.

    @theorem(
        kind="upper", about="excess risk of the average of SGD's iterates", source="zou2023", number="Theorem 2.1",
        assumptions=("lr trace(H) < 1/psi",), provenance="printed",
    )
    def zou_average_upper(eigenvalues, initial_error, noise_variance, lr, steps, psi=3.0) -> Risk: ...

The name of the function is the name of the entry in the catalogue.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from inspect import getdoc, signature
from typing import Any, Generic, Literal, NamedTuple, ParamSpec, TypeVar

import numpy as np
import numpy.typing as npt
from simlab.theory.sources import SOURCES, Source

__all__ = ["Kind", "OutsideAssumptions", "Provenance", "Risk", "Theorem", "registered", "require", "theorem"]

FloatArray = npt.NDArray[np.float64]
P = ParamSpec("P")
R = TypeVar("R")

Kind = Literal["exact", "tight", "upper", "lower", "asymptotic", "scaling"]
"""exact: equal. tight: equal in the worst case. upper, lower: bounds. asymptotic: the ratio goes to 1. scaling: the
exponent is right, the constant is fitted or left out. The test of an entry follows from it.
"""

Provenance = Literal["printed", "corrected", "derived", "reconstructed", "fitted"]
"""printed: as the paper has it. corrected: a printed formula put right; the docstring says how. derived: proved for
this project (docstring or note). reconstructed: the paper's text was not at hand; checked against the exact engine
only. fitted: the paper hides a constant, which was fitted here.
"""


class Risk(NamedTuple):
    """Risk by eigen-index, arrays of shape (..., d), in the units of 1/2 E (w - w*)^T H (w - w*)."""

    bias: FloatArray
    variance: FloatArray

    @property
    def modes(self) -> FloatArray:
        """Bias and variance together, shape (..., d)."""
        return self.bias + self.variance

    @property
    def total(self) -> FloatArray:
        """The risk itself, summed over all eigen-indices, shape (...)."""
        out: FloatArray = np.sum(self.modes, axis=-1)
        return out


class OutsideAssumptions(ValueError):
    """A theorem was asked about a case that it does not cover; the message names the condition and the values."""


def require(holds: Any, condition: str, **values: Any) -> None:
    """Raise OutsideAssumptions unless `holds` (everywhere, for an array); `values` are quoted in the message."""
    if not bool(np.all(holds)):
        quoted = ", ".join(f"{name} = {_short(value)}" for name, value in values.items())
        raise OutsideAssumptions(f"the theorem assumes {condition}; here {quoted}.")


def _short(value: Any) -> str:
    array = np.asarray(value)
    if array.ndim == 0:
        return f"{array.item():.6g}" if array.dtype.kind in "fiu" else repr(value)
    low, high = (f"{bound:.6g}" for bound in (array.min(), array.max())) if array.size else ("", "")
    return f"{low} .. {high} ({array.size} values)"


@dataclass(frozen=True)
class Theorem(Generic[P, R]):
    """A statement of the catalogue; calling it evaluates its formula.

    about : the quantity that the formula speaks of.  number : where it stands in the source.  assumptions : checked by
    the function, which raises OutsideAssumptions where they fail.
    """

    name: str
    kind: Kind
    about: str
    source: Source
    number: str
    assumptions: tuple[str, ...]
    provenance: Provenance
    function: Callable[P, R]

    def __post_init__(self) -> None:
        # What help() and inspect.signature() ask for; the instance is frozen for everyone else.
        for attribute in ("__doc__", "__name__", "__qualname__", "__module__"):
            object.__setattr__(self, attribute, getattr(self.function, attribute))
        object.__setattr__(self, "__wrapped__", self.function)

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        return self.function(*args, **kwargs)

    def describe(self) -> dict[str, Any]:
        """The entry as JSON-able data."""
        summary = (getdoc(self.function) or "").split("\n\n")[0].replace("\n", " ")
        return {
            "name": self.name,
            "kind": self.kind,
            "about": self.about,
            "summary": summary,
            "source": self.source.short,
            "key": self.source.key,
            "number": self.number,
            "assumptions": list(self.assumptions),
            "provenance": self.provenance,
            "parameters": list(signature(self.function).parameters),
            "module": self.function.__module__,
        }


_REGISTERED: dict[str, Theorem[..., Any]] = {}


def registered() -> dict[str, Theorem[..., Any]]:
    """All theorems of the modules imported so far, by name."""
    return dict(_REGISTERED)


def theorem(
    *, kind: Kind, about: str, source: str, number: str, assumptions: tuple[str, ...] = (), provenance: Provenance
) -> Callable[[Callable[P, R]], Theorem[P, R]]:
    """Enter a function into the catalogue; `source` is a key of `theory.sources`."""

    def enter(function: Callable[P, R]) -> Theorem[P, R]:
        name = function.__name__
        if name in _REGISTERED:
            raise ValueError(f"two theorems are called {name!r}; rename one of them.")
        entry = Theorem(name, kind, about, SOURCES[source], number, assumptions, provenance, function)
        _REGISTERED[name] = entry
        return entry

    return enter
