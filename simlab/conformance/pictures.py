"""The pictures of `simlab validate`: how far what is stated lies from what is true, one for each kind of claim."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from simlab.arrays import FloatArray
from simlab.conformance.validate import SPLIT, Verdict
from simlab.plot import PALETTE, WIDTH, new_figure, style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["GROUPS", "pictures"]

ROW = 0.17
"""Inches for a theorem."""
FLOOR = 1e-17
FARTHEST = 1e6


class _Group(NamedTuple):
    """Kinds of claims that are read in one way, and how."""

    kinds: tuple[str, ...]
    title: str
    axis: str


GROUPS = {
    "upper": _Group(
        ("upper",),
        "Upper bounds: none may lie left of 1; the further right, the looser",
        "bound / exact: range, median",
    ),
    "lower": _Group(
        ("lower",),
        "Lower bounds: none may lie right of 1; the further left, the looser",
        "bound / exact: range, median",
    ),
    "exact": _Group(
        ("exact", "tight"), "Equalities: rounding and nothing else", "largest relative error over all instances"
    ),
    "limits": _Group(
        ("asymptotic", "scaling"),
        "Limits and exponents: how far from them at the lengths tried",
        "largest relative distance from the limit",
    ),
}
"""Name of a picture -> what is in it."""


def pictures(verdicts: Sequence[Verdict]) -> Iterator[tuple[str, Figure]]:
    """(name of the group, its figure) for every group that has a verdict with numbers.

    A row for each theorem. Bounds: bound / exact over all instances, a line from the smallest to the largest with a
    mark at the median, for each part of the risk. Others: the largest relative error. Contradicted theorems are red.
    """
    for name, group in GROUPS.items():
        chosen = [v for v in verdicts if v.kind in group.kinds and any(values.size for values in v.ratios.values())]
        if not chosen:
            continue
        with style():
            figure = new_figure(WIDTH, 1.3 + ROW * len(chosen))
            axes = figure.subplots()
            (_bounds if name in ("upper", "lower") else _errors)(axes, chosen)
            rows = np.arange(len(chosen))
            axes.set_yticks(rows, [v.theorem if v.kind in ("upper", "lower") else _named(v) for v in chosen])
            for label, verdict in zip(axes.get_yticklabels(), chosen, strict=True):
                label.set(fontsize=6.5, color="black" if verdict.sound else "#D00000")
            axes.set(xscale="log", ylim=(rows.size - 0.4, -0.6), xlabel=group.axis)
            figure.suptitle(group.title, fontsize=9)
        yield name, figure


def _named(verdict: Verdict) -> str:
    return verdict.theorem if verdict.kind == "exact" else f"{verdict.theorem} ({verdict.kind})"


def _parts(verdict: Verdict) -> dict[str, FloatArray]:
    """Ratios by the parts of the risk that the theorem speaks of, else all of what it speaks of as one."""
    own = {part: verdict.ratios[part] for part in SPLIT if verdict.ratios.get(part, np.zeros(0)).size}
    return own or {"other": np.concatenate(list(verdict.ratios.values()))}


def _bounds(axes: Axes, verdicts: Sequence[Verdict]) -> None:
    colours = {"risk": "black", **dict(zip(SPLIT[1:], PALETTE, strict=False)), "other": "0.45"}
    used: set[str] = set()
    for row, verdict in enumerate(verdicts):
        parts = _parts(verdict)
        used.update(parts)
        places = row + 0.6 * (np.arange(len(parts)) - 0.5 * (len(parts) - 1)) / len(SPLIT)
        for y, (part, values) in zip(places, parts.items(), strict=True):
            low, middle, high = np.quantile(np.clip(values, 1.0 / FARTHEST, FARTHEST), [0.0, 0.5, 1.0])
            axes.plot([low, high], [y, y], color=colours[part], linewidth=1.1, alpha=0.6, solid_capstyle="butt")
            axes.plot(middle, y, marker="o", markersize=2.2, color=colours[part], linestyle="")
    for part, colour in colours.items():
        if part in used:
            label = "other than risk" if part == "other" else part
            axes.plot([], [], color=colour, marker="o", markersize=3, label=label)
    axes.axvline(1.0, color="black", linewidth=0.8)
    axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=6)


def _errors(axes: Axes, verdicts: Sequence[Verdict]) -> None:
    worst = [max(float(np.max(np.abs(v - 1.0))) for v in verdict.ratios.values() if v.size) for verdict in verdicts]
    axes.plot(np.maximum(worst, FLOOR), np.arange(len(worst)), marker="o", markersize=3, linestyle="", color=PALETTE[0])
