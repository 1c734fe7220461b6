"""The page of plots of `simlab validate`: how far each bound lies from what is true, by part of the risk."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from simlab.conformance.validate import SPLIT, Verdict
from simlab.plot import PALETTE, WIDTH, new_figure, style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["page"]

ROW = 0.15
"""Inches for each line of the page."""
FLOOR = 1e-17


def page(verdicts: Sequence[Verdict]) -> Figure:
    """Bounds: bound / exact over all instances, median and range, a line for each part of the risk. Equalities: the
    largest relative error. Contradicted theorems are red.
    """
    spoken = [v for v in verdicts if any(values.size for values in v.ratios.values())]
    bounds = [v for v in spoken if v.kind in ("upper", "lower")]
    equal = [v for v in spoken if v.kind not in ("upper", "lower")]
    rows = sum(len(_parts(v)) for v in bounds)
    with style():
        figure = new_figure(WIDTH, 1.6 + ROW * (rows + len(equal)))
        grid = figure.add_gridspec(2, 1, height_ratios=[max(rows, 1), max(len(equal), 1)])
        _bounds(figure.add_subplot(grid[0]), bounds)
        _equalities(figure.add_subplot(grid[1]), equal)
    return figure


def _parts(verdict: Verdict) -> list[str]:
    """The parts of the risk that the theorem speaks of, else all of what it speaks of as one."""
    return [part for part in SPLIT if verdict.ratios.get(part, np.zeros(0)).size] or ["all"]


def _bounds(axes: Axes, verdicts: Sequence[Verdict]) -> None:
    colours = {"risk": "black", **dict(zip(SPLIT[1:], PALETTE, strict=False)), "all": "0.4"}
    y, ticks, names = 0, [], []
    for verdict in verdicts:
        ticks.append(y)
        names.append((verdict.theorem, verdict.sound))
        for part in _parts(verdict):
            values = np.concatenate(list(verdict.ratios.values())) if part == "all" else verdict.ratios[part]
            low, middle, high = np.quantile(np.clip(values, 1e-6, 1e6), [0.0, 0.5, 1.0])
            axes.plot([low, high], [y, y], color=colours[part], linewidth=2.2, alpha=0.45, solid_capstyle="butt")
            marker = ">" if verdict.kind == "upper" else "<"
            axes.plot(middle, y, marker=marker, markersize=3.5, color=colours[part], linestyle="")
            y += 1
    for part, colour in colours.items():
        axes.plot([], [], color=colour, marker="o", markersize=3, label="other than risk" if part == "all" else part)
    axes.axvline(1.0, color="black", linewidth=0.8)
    axes.set_xscale("log")
    axes.set_ylim(y - 0.4, -0.6)
    axes.set_yticks(ticks, [name for name, _ in names])
    _red(axes, [sound for _, sound in names])
    axes.set_xlabel("bound / exact: range and median, cut at $10^{\\pm 6}$ (upper bounds >, lower bounds <)")
    axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=6)


def _equalities(axes: Axes, verdicts: Sequence[Verdict]) -> None:
    worst = [max(float(np.max(np.abs(v - 1.0))) for v in verdict.ratios.values() if v.size) for verdict in verdicts]
    rows = np.arange(len(verdicts))
    axes.plot(np.maximum(worst, FLOOR), rows, marker="o", markersize=3, linestyle="", color=PALETTE[0])
    axes.set_xscale("log")
    axes.set_yticks(rows, [f"{verdict.theorem} ({verdict.kind})" for verdict in verdicts])
    axes.set_ylim(len(verdicts) - 0.4, -0.6)
    _red(axes, [verdict.sound for verdict in verdicts])
    axes.set_xlabel("largest relative error (asymptotic, scaling: distance from the limit)")


def _red(axes: Axes, sound: Sequence[bool]) -> None:
    """Names of contradicted theorems in red, and all of them small."""
    for label, good in zip(axes.get_yticklabels(), sound, strict=True):
        label.set_fontsize(5.5)
        label.set_color("black" if good else "#D00000")
