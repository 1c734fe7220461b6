"""Cooldown shapes of Dremov et al. 2025 (arXiv 2508.01483), their plane of bias and variance, and the paper's order."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from simlab.figures.papers.columns import first
from simlab.figures.reproduction import Claim, Data, Table, column

from simlab.arrays import FloatArray
from simlab.plot.river import bias_variance

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["ALPHAS", "BEST", "DEFINITION", "PAPER", "REST", "SHAPES", "draw_plane", "order_claim"]

Profile = Callable[[FloatArray], FloatArray]
PAPER = "Dremov, Hägele, Kosson, Jaggi 2025, arXiv 2508.01483"
SHAPES: dict[str, Profile] = {
    "linear": lambda u: 1.0 - u,
    "cosine": lambda u: 0.5 * (1.0 + np.cos(np.pi * u)),
    "1-sqrt": lambda u: 1.0 - np.sqrt(u),
    "square": lambda u: 1.0 - u**2,
    "mirror": lambda u: 2.0 * (1.0 - u) - 0.5 * (1.0 + np.cos(np.pi * u)),
    "low.7": lambda u: 0.7 * (1.0 - u),
    "low.5": lambda u: 0.5 * (1.0 - u),
    "low.3": lambda u: 0.3 * (1.0 - u),
    "inv.1": lambda u: 1.0 / (u / 0.1 + 1.0 - u),
    "inv.01": lambda u: 1.0 / (u / 0.01 + 1.0 - u),
}
"""Learning rate of the peak at progress u; low.x drops to x at once, inv.x is linear in 1/lr down to x."""
BEST, REST = ("1-sqrt", "low.7"), ("linear", "cosine", "square", "mirror")
"""The paper's order: the former two lie below the latter four (its figure 6)."""
ALPHAS = (1.0, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3)
"""Where lowered linear cooldowns start, as a share of the peak."""
DEFINITION = (
    "bias: loss of the mean of cooldowns repeated from one checkpoint, above that of a run that keeps the peak on a"
    " river without hills; variance: mean loss above the loss of the mean (the paper's definition was read in part)"
)


def draw_plane(axes: Axes, data: Data, where: Mapping[str, object], unit: str) -> None:
    """Exact bias and variance of all shapes with iso-risk lines, lowered lines joined, sampled cooldowns as crosses.

    data : tables "table", "lowered" and "sampled" with columns shape, bias, variance (and their errors, if sampled).
    where : which rows. The shape inv.01 is far off, and would take all the room: it is told in words.
    """
    points, family = (_points(data[name], where) for name in ("table", "lowered"))
    far = points.pop("inv.01")
    shown = {name: point for name, point in points.items() if not name.startswith("low.")}
    bias_variance(shown, axes, {f"α = {name}": point for name, point in family.items()}, unit=unit)
    axes.plot([], [], color="0.55", lw=0.9, marker="o", ms=3, label="lowered linear α")
    rows: list[dict[str, Any]] = [{**where, "shape": name} for name in points]
    values = {
        key: np.array([column(data["sampled"], key, **row)[0] for row in rows])
        for key in ("bias", "variance", "bias_error", "variance_error")
    }
    axes.errorbar(
        values["bias"], values["variance"], 2.0 * values["variance_error"], 2.0 * values["bias_error"], fmt="none",
        ecolor="black", elinewidth=0.6, zorder=6, label="sampled, 2 s.e.",
    )  # fmt: skip
    axes.text(
        0.98, 0.98, f"inv.01: {far[0]:.3g} + {far[1]:.3g}", transform=axes.transAxes, fontsize=6, color="0.4",
        ha="right", va="top",
    )  # fmt: skip


def _points(table: Table, where: Mapping[str, object]) -> dict[str, tuple[float, float]]:
    bias, variance = (column(table, key, **where).tolist() for key in ("bias", "variance"))
    return dict(zip(first(table["shape"]), zip(bias, variance, strict=True), strict=True))


def order_claim(loss: Mapping[str, float], where: str, assumed: str, turn: str = "", digits: int = 1) -> Claim:
    """The paper's order of its six shapes, from their losses."""
    shown = ", ".join(f"{name} {loss[name]:.{digits}f}" for name in sorted((*BEST, *REST), key=loss.__getitem__))
    return Claim(
        f"1-sqrt and lowered linear 0.7 are best; square, cosine, mirror cosine and linear lie above: {where}",
        "figure 6",
        "both below all four",
        shown,
        max(loss[name] for name in BEST) < min(loss[name] for name in REST),
        chosen=assumed,
        reason=f"{shown}{turn}",
    )
