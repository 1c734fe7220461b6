"""Figures of traces and schedules: one style, colour-blind-safe, sized for a paper."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from simlab.plot.canvas import DASHES, PALETTE, WIDTH, new_figure, save, shades, style, use_style
from simlab.plot.curves import losses, risk
from simlab.plot.rates import schedules

__all__ = [
    "DASHES",
    "PALETTE",
    "WIDTH",
    "losses",
    "new_figure",
    "regret",
    "risk",
    "save",
    "schedules",
    "shades",
    "style",
    "use_style",
]

_MODULES = ("animation", "river", "terrain")


def __getattr__(name: str) -> Any:
    if name == "regret":
        return import_module("simlab.plot.rivals").regret
    if name not in _MODULES:
        raise AttributeError(f"module 'simlab.plot' has no attribute {name!r}")
    return import_module(f"simlab.plot.{name}")
