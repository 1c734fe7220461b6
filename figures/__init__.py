"""Figures of the literature, computed afresh: one module for each paper, which computes, draws and judges.

A module states its figures as `FIGURES`, a list of `reproduction.Reproduction`; `catalogue()` lists them all.
`simlab reproduce` computes, draws and judges them.
"""

from __future__ import annotations

from importlib import import_module
from pkgutil import iter_modules

from simlab.figures.reproduction import Claim, Data, Reproduction, Scale

__all__ = ["Claim", "Data", "Reproduction", "Scale", "catalogue"]


def catalogue() -> dict[str, Reproduction]:
    """Identifier -> figure, in the order of the papers' years."""
    found: dict[str, Reproduction] = {}
    for module in iter_modules(__path__):
        for figure in getattr(import_module(f"{__name__}.{module.name}"), "FIGURES", []):
            if figure.id in found:
                raise ValueError(f"two figures are called {figure.id!r}; rename one of them.")
            found[figure.id] = figure
    return dict(sorted(found.items(), key=lambda item: (item[1].year, item[0])))
