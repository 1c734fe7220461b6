"""The named schedules as a list and as pictures, for `simlab schedules`."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from simlab.errors import unknown_name
from simlab.experiment.schedule import build_schedule
from simlab.schedules import Schedule, cooldown_shapes, named
from simlab.schedules.arguments import spelling
from simlab.schedules.registry import FAMILIES

__all__ = ["chosen", "describe", "samples"]


def chosen(names: Sequence[str] | None) -> list[str]:
    """The canonical names of these families, or of all."""
    known = {spelling(name): name for name in FAMILIES}
    for name in names or ():
        if spelling(name) not in known:
            raise unknown_name("schedule", name, FAMILIES)
    return [known[spelling(name)] for name in names] if names else sorted(FAMILIES)


def describe(kinds: Sequence[str]) -> str:
    """Two lines for each family: what it is, and its parameters with their defaults."""
    width = max(map(len, kinds)) + 2
    lines = []
    for kind in kinds:
        lines.append(f"{kind:<{width}}{named()[kind]}")
        lines.append(
            " " * width + ", ".join(_parameter(p) for p in inspect.signature(FAMILIES[kind]).parameters.values())
        )
    shapes = ", ".join(cooldown_shapes())
    return "\n".join([*lines, "", f"Shapes and profiles: {shapes}."])


def _parameter(p: inspect.Parameter) -> str:
    if p.kind is inspect.Parameter.VAR_KEYWORD:
        return "parameters of the shape"
    return p.name if p.default is inspect.Parameter.empty else f"{p.name} = {_short(p.default)}"


def _short(value: Any) -> str:
    return f"{value:.6g}" if isinstance(value, float) else repr(value)


def samples(kinds: Sequence[str], steps: int) -> dict[str, Schedule]:
    """One schedule of each family, of peak 1 where it takes a peak, for a picture."""
    made = {}
    for kind in kinds:
        table: dict[str, Any] = {"kind": kind, "steps": steps, **_shown_with(kind, steps)}
        if "peak" in inspect.signature(FAMILIES[kind]).parameters:
            table["peak"] = 1.0
        made[kind] = build_schedule(table, kind, Path())
    return made


def _shown_with(kind: str, steps: int) -> dict[str, Any]:
    """What a picture of a family needs besides steps and peak, or looks better with."""
    if kind == "eigencurve":
        return {"eigenvalues": [i**-1.5 for i in range(1, 1001)]}
    if kind == "piecewise":
        return {"knots": [[0, 0.2], [0.2, 1.0], [0.6, 0.5], [1.0, 0.0]]}
    if kind == "inverse_time":
        return {"decay": 10.0 / steps}
    if kind == "scale_invariant":
        return {"lr": 1.0, "gradient_norm": 3.0 * steps**-0.5}
    if kind in ("sine", "triangular", "triangular2", "exp_range"):
        return {"half_cycle": 0.125}
    if kind == "inverse_sqrt":
        return {"warmup": 0.05}
    return {"rate": "25-50-75"} if kind == "sampled" else {}
