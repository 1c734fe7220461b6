"""Refusals of bad input: one sentence that names the field, the value and the remedy.

Every public door of simlab raises `InputError`; the command line prints it as it stands and leaves with exit code 2.
"""

from __future__ import annotations

import difflib
import re
import reprlib
from collections.abc import Collection, Iterable, Mapping
from numbers import Integral, Real
from os import PathLike, fspath
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from simlab.arrays import FloatArray

__all__ = [
    "InputError",
    "UnknownAttribute",
    "brief",
    "check_array",
    "check_count",
    "check_entries",
    "check_floats",
    "check_fraction",
    "check_kind",
    "check_number",
    "check_path",
    "unknown_name",
]

T = TypeVar("T")

MOST = 2**63 - 1
"""Largest count where nothing smaller is asked for: what arrays of int64 hold."""

MOST_NAMES = 40
"""Names that a refusal lists."""


class InputError(ValueError):
    """Input that simlab refuses; the message names the field, the value and the remedy.

    field : what is refused, with which the sentence begins: a parameter, a path in a file of experiments, the name of a
    file; empty where it is about no single one.  said : how the sentence goes on, from the space or colon behind it.

    Whoever calls a function on behalf of a table knows the field by a longer path, and raises the refusal `within` it.
    """

    def __init__(self, said: str, field: object = "") -> None:
        super().__init__(said, field)
        self.said, self.field = said, str(field)

    def __str__(self) -> str:
        return self.field + self.said

    def within(self, path: str, names: Collection[str], alias: str = "") -> InputError:
        """The refusal as that of a table at `path` with these fields; of another field the sentence follows a colon.

        alias : what the function calls that which the table calls `path`.
        """
        own = re.match(r"\w*", self.field)
        root = own.group() if own else ""
        if alias and root == alias:
            return InputError(self.said, path + self.field.removeprefix(alias))
        return InputError(self.said, f"{path}.{self.field}") if root in names else InputError(f": {self}", path)


class UnknownAttribute(InputError, AttributeError):
    """A name that a module of simlab does not have; an AttributeError too, so that hasattr and imports work as ever."""


class _Brief(reprlib.Repr):
    """Reprs of one line and at most about a hundred characters."""

    def __init__(self) -> None:
        super().__init__()
        self.maxstring, self.maxother, self.maxlong = 60, 100, 40

    def repr1(self, x: Any, level: int) -> str:
        if isinstance(x, np.generic):
            x = x.item()
        try:
            text = super().repr1(x, level)
        except Exception:  # what a foreign __repr__ raises, and integers too long to be printed
            text = f"<{type(x).__name__}>"
        return re.sub(r" at 0x[0-9a-fA-F]+", "", " ".join(text.splitlines()))


_BRIEF = _Brief()


def brief(value: object) -> str:
    """`value` as a message quotes it: its repr, on one line, abbreviated, without NumPy's types and addresses."""
    return _BRIEF.repr(value)


def unknown_name(field: str, value: object, choices: Iterable[str]) -> InputError:
    """The refusal of a name that is not among `choices`, with the nearest right one."""
    known = sorted(choices)
    near = difflib.get_close_matches(value, known, n=1, cutoff=0.5) if isinstance(value, str) else []
    listed = ", ".join(brief(name)[1:-1] for name in known[:MOST_NAMES])
    more = f" and {len(known) - MOST_NAMES} more" if len(known) > MOST_NAMES else ""
    remedy = f"did you mean {brief(near[0])}?" if near else f"choose one of {listed}{more}."
    return InputError(f": {brief(value)} is not known; {remedy}", field)


def check_kind(field: str, value: Any, kind: type[T], what: str, remedy: str) -> T:
    """`value` if it is of this kind, called `what` in the refusal ("a method"); else an InputError with the remedy."""
    if isinstance(value, kind):
        return value
    raise InputError(f" = {brief(value)} is not {what}; {remedy}.", field)


def check_entries(field: str, values: Any, what: str = "numbers") -> list[Any]:
    """The entries of a sequence of `what`, or an InputError; a word or a table is no sequence."""
    try:
        if not isinstance(values, str | bytes | Mapping):
            return list(values)
    except TypeError:
        pass
    raise InputError(f" = {brief(values)} is not a sequence; give a list of {what}.", field)


def check_number(
    field: str,
    value: Any,
    *,
    low: float = -np.inf,
    high: float = np.inf,
    open_low: bool = False,
    remedy: str = "",
) -> float:
    """`value` as a finite float in [low, high] (low excluded if `open_low`), or an InputError."""
    if isinstance(value, bool) or not isinstance(value, Real):
        raise InputError(f" = {brief(value)} is not a number; give one number{remedy and ', ' + remedy}.", field)
    try:
        number = float(value)
    except OverflowError:
        number = np.inf if value == abs(value) else -np.inf
    below = number <= low if open_low else number < low
    if not np.isfinite(number) or below or number > high:
        interval = f"{'(' if open_low else '['}{low:g}, {high:g}]".replace("inf]", "inf)")
        raise InputError(f" = {brief(value)} is outside {interval}; {remedy or 'give a finite number within'}.", field)
    return number


def check_count(field: str, value: Any, *, low: int = 1, high: int = MOST) -> int:
    """`value` as a whole number in [low, high], or an InputError; 1e5 is accepted for 100000."""
    whole = isinstance(value, Integral) or (isinstance(value, float) and value.is_integer())
    if isinstance(value, bool) or not whole:
        raise InputError(f" = {brief(value)} is not a whole number; give an integer of at least {low}.", field)
    count = int(value)
    if not low <= count <= high:
        upper = "" if high == MOST and count < low else f" and at most {high}"
        raise InputError(f" = {brief(value)} is out of range; give an integer of at least {low}{upper}.", field)
    return count


def check_fraction(field: str, value: Any) -> float:
    """`value` as a number in [0, 1], or an InputError."""
    return check_number(field, value, low=0.0, high=1.0)


def check_floats(field: str, value: Any) -> FloatArray:
    """`value` as a contiguous float64 array of whatever shape it has, or an InputError."""
    try:
        return np.ascontiguousarray(value, dtype=np.float64)
    except (TypeError, ValueError, OverflowError):
        raise InputError(f" = {brief(value)} is not an array of numbers; give floats.", field) from None


def check_path(field: str, value: Any) -> Path:
    """`value` as a path, or an InputError for what is none and for text that no file can be called."""
    if isinstance(value, str | PathLike):
        text = fspath(value)
        if isinstance(text, str) and "\0" not in text:
            return Path(text)
    raise InputError(f" = {brief(value)} is not the name of a file; give a path.", field)


def check_array(field: str, value: Any, *, length: int | None = None, low: float = -np.inf) -> FloatArray:
    """`value` as a finite, contiguous float64 vector (shape (n,)) with entries >= low, or an InputError."""
    try:
        array = np.ascontiguousarray(value, dtype=np.float64)
    except (TypeError, ValueError, OverflowError, RuntimeError):  # the last: of tensors that want gradients
        raise InputError(" is not an array of numbers; give a one-dimensional sequence of floats.", field) from None
    if array.ndim != 1 or array.size == 0:
        raise InputError(f" has shape {array.shape}; give a one-dimensional array with at least one entry.", field)
    if length is not None and array.size != length:
        raise InputError(f" has {array.size} entries where {length} are needed; give one for each eigenvalue.", field)
    bad = np.flatnonzero(~np.isfinite(array) | (array < low))
    if bad.size:
        bound = "" if low == -np.inf else f" of at least {low:g}"
        first = int(bad[0])
        raise InputError(f" = {brief(array[first])} is refused; give finite numbers{bound}.", f"{field}[{first}]")
    return array
