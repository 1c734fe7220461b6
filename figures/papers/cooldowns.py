"""Cooldown shapes of Dremov et al. 2025 (arXiv 2508.01483), their plane of bias and variance, and the paper's order."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from simlab.figures.columns import first
from simlab.figures.reproduction import Claim, Data, Table, column

from simlab.arrays import FloatArray
from simlab.plot.river import bias_variance

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = [
    "ALPHAS", "BEST", "DEFINITION", "PAPER", "REST", "SHAPES", "draw_plane", "lowered_claim", "order_claim",
    "sampled_claim",
]  # fmt: skip

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
    " river without hills; variance: mean loss above the loss of the mean"
)


def draw_plane(axes: Axes, data: Data, where: Mapping[str, object], of: str) -> None:
    """Exact bias and variance of all shapes with iso-risk lines, lowered lines joined, sampled cooldowns as crosses.

    data : tables "table", "lowered" and "sampled" with columns shape, bias, variance (and their errors, if sampled).
    where : which rows.  of : what bias and variance are parts of, "loss × 10$^4$". The shape inv.01 is far off, and
    would take all the room: it is told in words.
    """
    points, family = (_points(data[name], where) for name in ("table", "lowered"))
    far = points.pop("inv.01")
    shown = {name: point for name, point in points.items() if not name.startswith("low.")}
    bias_variance(shown, axes, {f"α = {name}": point for name, point in family.items()})
    axes.set(xlabel=f"bias of the {of}", ylabel=f"variance of the {of}")
    # A ring around the point of linear, which it would cover.
    (mirror,) = (line for line in axes.lines if line.get_label() == "mirror")
    mirror.set(markerfacecolor="none", markeredgecolor=mirror.get_color(), markersize=8, markeredgewidth=1.2)
    low, high = axes.get_ylim()
    axes.set_ylim(low, high + 0.07 * (high - low))
    axes.plot([], [], color="0.55", lw=0.9, marker="o", ms=3, label="lowered linear α")
    rows: list[dict[str, Any]] = [{**where, "shape": name} for name in points]
    values = {
        key: np.array([column(data["sampled"], key, **row)[0] for row in rows])
        for key in ("bias", "variance", "bias_error", "variance_error")
    }
    axes.errorbar(
        values["bias"], values["variance"], 2.0 * values["variance_error"], 2.0 * values["bias_error"], fmt="none",
        ecolor="0.6", elinewidth=0.8, zorder=6, label="sampled, 2 s.e.",
    )  # fmt: skip
    axes.text(
        0.98, 0.98, f"inv.01: {far[0]:.3g} + {far[1]:.3g}", transform=axes.transAxes, fontsize=6, color="0.4",
        ha="right", va="top", bbox={"boxstyle": "square,pad=0.15", "fc": "white", "ec": "none"}, zorder=7,
    )  # fmt: skip


def _points(table: Table, where: Mapping[str, object]) -> dict[str, tuple[float, float]]:
    bias, variance = (column(table, key, **where).tolist() for key in ("bias", "variance"))
    return dict(zip(first(table["shape"]), zip(bias, variance, strict=True), strict=True))


def order_claim(loss: Mapping[str, float], where: str, model: str, reason: str, turns: str, digits: int = 1) -> Claim:
    """The paper's order of its six shapes, from their losses."""
    shown = ", ".join(f"{name} {loss[name]:.{digits}f}" for name in sorted((*BEST, *REST), key=loss.__getitem__))
    return Claim(
        f"1-sqrt and lowered linear 0.7 are best; square, cosine, mirror cosine and linear lie above: {where}",
        "figure 6",
        "both below all four",
        shown,
        max(loss[name] for name in BEST) < min(loss[name] for name in REST),
        reason,
        paper="this order, of language models",
        substituted=model,
        turns=turns,
    )


def lowered_claim(family: Sequence[Mapping[str, FloatArray]], where: str, model: str, digits: int) -> Claim:
    """Lowered linear cooldowns trade variance for bias; family: bias and variance over ALPHAS in every setting."""
    return Claim(
        "the lower a lowered linear cooldown starts, the less variance and the more bias",
        "lowered linear cooldowns, figure 6",
        f"variance falls and bias grows with every alpha from 1 to 0.3, {where}",
        "; ".join(
            ", ".join(f"{key} {part[key][0]:.{digits}f} .. {part[key][-1]:.{digits}f}" for key in ("bias", "variance"))
            for part in family
        ),
        all(np.all(np.diff(p["bias"]) > 0) and np.all(np.diff(p["variance"]) < 0) for p in family),
        paper="the same, of language models",
        chosen=DEFINITION,
        substituted=model,
        reason="one of the two is not monotone in where the cooldown starts",
    )


def sampled_claim(sampled: Table, exact: Table, settings: str) -> Claim:
    """Cooldowns repeated from one checkpoint against the exact recursion."""
    worst = max(
        float((np.abs(column(sampled, key) - column(exact, key)) / column(sampled, f"{key}_error")).max())
        for key in ("bias", "variance")
    )
    return Claim(
        "repeated cooldowns measure what the exact recursion has",
        "mean and spread of cooldowns from one checkpoint on other data",
        f"bias and variance of all shapes and {settings} within 5 standard errors",
        f"{worst:.1f} s.e. at most, {int(column(sampled, 'runs')[0])} cooldowns each",
        worst <= 5.0,
        reason="samples and recursion are not of the same cooldown",
        own=True,
    )
