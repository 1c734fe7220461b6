"""Theorems of the SGD literature as executable statements: pure functions of NumPy arrays.

This package stands on its own ground. It imports nothing else of `simlab`, so that a bound and a simulation that agree
have been computed by two independent codes. One module holds one paper or one family of theorems; every function
declares what it claims (exact, tight, upper, lower, asymptotic, scaling), under which assumptions, and its source.

    from simlab import theory
    for entry in theory.catalog():
        print(entry.name, entry.kind, entry.source.short)
    print(theory.cite("zou_average_upper"))
"""

from __future__ import annotations

import difflib
from importlib import import_module
from pkgutil import iter_modules
from typing import Any

from simlab.theory.statement import OutsideAssumptions, Risk, Theorem, registered

__all__ = ["OutsideAssumptions", "Risk", "Theorem", "catalog", "cite", "find"]


def catalog() -> list[Theorem[..., Any]]:
    """All theorems, sorted by source (year, key) and name."""
    for module in iter_modules(__path__):
        import_module(f"{__name__}.{module.name}")
    return sorted(registered().values(), key=lambda entry: (entry.source.year, entry.source.key, entry.name))


def find(name: str) -> Theorem[..., Any]:
    """The theorem of that name. Raises KeyError with the nearest name."""
    entries = {entry.name: entry for entry in catalog()}
    if name not in entries:
        near = difflib.get_close_matches(name, entries, n=1)
        hint = f"did you mean {near[0]!r}?" if near else "theory.catalog() lists them all."
        raise KeyError(f"{name!r} is no theorem of the catalogue; {hint}")
    return entries[name]


def cite(name: str) -> str:
    """BibTeX of the source of a theorem, with the number of the theorem in a note."""
    entry = find(name)
    return entry.source.bibtex().removesuffix("\n}") + f",\n  note = {{{entry.number}}}\n}}"
