"""Pictures of runs in river valleys: the split over time, curves that cross, cooldown shapes by bias and variance.

Pictures of the landscape itself are in `simlab.plot.terrain`, and can be had from here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from simlab.arrays import FloatArray
from simlab.errors import InputError
from simlab.plot.canvas import WIDTH, new_figure, plain_log, style
from simlab.plot.terrain import RUNS, WATER, draw_rates, draw_terrain, line_of, surface, valley
from simlab.plot.words import literal

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["bias_variance", "crossing", "decays", "draw_terrain", "shapes", "split", "surface", "valley"]


def split(trace: xr.Dataset, note: str = "") -> Figure:
    """Where the loss of each run is: all of it, along the river and on the hills, over the steps; the rates below.

    trace : by (run, step), as `simlab.engines.exact_valley.exact_valley` returns it, recorded at evenly spaced steps.
    note : a line under the figure, such as the cap on the peak.
    """
    _has_runs(trace)
    panels = {
        "loss": trace["total"],
        "of it, along the river": trace["river_loss"],
        "of it, on the hills": _hills(trace),
    }
    with style():
        figure = new_figure(WIDTH, 3.2)
        axes = figure.subplots(2, 3, sharex=True, height_ratios=[3.0, 1.0])
        for column, (title, values) in enumerate(panels.items()):
            for j, run in enumerate(trace["run"].values):
                own = values.sel(run=run)
                axes[0, column].plot(trace["step"], own, label=literal(run), **line_of(j))
            axes[0, column].set_title(title)
            rates = {str(run): trace["lr"].sel(run=run).values for run in trace["run"].values}
            draw_rates(axes[1, column], rates, trace["step"].values)
            axes[1, column].set_ylabel("learning rate" if column == 0 else "")
            axes[1, column].tick_params(labelleft=column == 0)
        axes[0, 0].set_ylabel("mean loss" if "total_error" in trace else "expected loss")
        axes[0, 2].set_ylim(bottom=0.0)
        handles, labels = axes[0, 0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside upper center", ncols=len(labels), title=note or None)
    return figure


def crossing(
    trace: xr.Dataset,
    first: str,
    second: str,
    caveat: str | Sequence[str] | None = None,
    cap: float | None = None,
) -> Figure:
    """Loss curves of two runs and where the second overtakes the first; beside it the final split of all runs.

    caveat : a run that breaks the cap on the peak, drawn dotted; of several the first, and all are starred in the
    split.  cap : that cap, 2 / lam_max, quoted in the title: no claim that WSD beats cosine holds without it.
    """
    _has_runs(trace)
    starred = [] if caveat is None else [caveat] if isinstance(caveat, str) else list(caveat)
    dotted = starred[0] if starred else None
    steps = trace["step"].values
    gap = (trace["total"].sel(run=second) - trace["total"].sel(run=first)).values
    late = np.flatnonzero(gap > 0.0)
    with style():
        figure = new_figure(WIDTH, 2.75)
        curve, bars = figure.subplots(1, 2, width_ratios=[1.15, 1.0])
        for j, run in enumerate(run for run in (first, second, dotted) if run is not None):
            options = line_of(j) if run != dotted else {"color": "0.45", "ls": ":", "lw": 1.3}
            curve.plot(steps, trace["total"].sel(run=run), label=literal(run), **options)
        if late.size and late[-1] + 1 < steps.size:
            at = late[-1] + 1
            height = float(trace["total"].sel(run=first)[at])
            curve.plot(steps[at], height, "o", mfc="none", mec="black", ms=7)
            curve.annotate(
                f"overtaken at step {steps[at]}", (steps[at], height), (4, 30), textcoords="offset points", fontsize=7,
                arrowprops={"arrowstyle": "-", "lw": 0.6}, ha="center",
            )  # fmt: skip
        _range_of_two(curve, trace, first, second, dotted)
        curve.set(xlabel="step", ylabel="expected loss", xlim=(0, steps[-1]))
        curve.legend(loc="lower left")
        if cap is not None:
            curve.set_title(f"peaks below the cap 2/λ$_{{max}}$ = {cap:g}; dotted: on it", loc="left")
        _final_split(bars, trace, starred)
    return figure


def _range_of_two(axes: Axes, trace: xr.Dataset, first: str, second: str, caveat: str | None) -> None:
    """Room for the two curves; where the caveat leaves it, the figure says how far it goes."""
    both = trace["total"].sel(run=[first, second]).values
    low, high = float(np.nanmin(both)), float(np.nanmax(both))
    if caveat is not None:
        other = trace["total"].sel(run=caveat).values
        low = min(low, float(np.nanmin(other)))
        room = 0.25 * (high - low)
        if np.nanmax(other) > high + room:
            text = f"dotted: up to {np.nanmax(other):.1f}"
            axes.text(0.98, 0.97, text, transform=axes.transAxes, fontsize=6.5, color="0.4", va="top", ha="right")
        high += room
    axes.set_ylim(low - 0.06 * (high - low), high)


def _final_split(axes: Axes, trace: xr.Dataset, starred: Sequence[str]) -> None:
    """Final loss of all runs: river to the left of 0, hills on top of it, the sum as a number."""
    end = trace.isel(step=-1).sortby("total", ascending=False)
    river, hills = end["river_loss"].values, _hills(end).values
    rows = np.arange(river.size)
    axes.barh(rows, river, color=WATER, label="river", height=0.65)
    axes.barh(
        rows, hills, left=river, color="#ad9f86", hatch="////", edgecolor="white", lw=0.3, label="hills", height=0.3
    )
    names = [literal(f"{run} *" if run in starred else run) for run in end["run"].values]
    for row, total in zip(rows, end["total"].values, strict=True):
        axes.plot([total, total], [row - 0.36, row + 0.36], color="black", lw=1.6)
        axes.text(0.04, float(row), f"{total:.2f}".replace("-", "−"), va="center", fontsize=7)
    axes.set_yticks(rows, names)
    axes.grid(axis="y", visible=False)
    axes.set_xlim(1.08 * float(river.min()), 0.16 * abs(float(river.min())))
    axes.set_xlabel("final loss: river + hills = total (line)")
    axes.legend(loc="lower left")
    if starred:
        axes.set_title("* with its peak on the cap", loc="right")


def bias_variance(
    points: Mapping[str, tuple[float, float]],
    axes: Axes | None = None,
    family: Mapping[str, tuple[float, float]] | None = None,
    unit: str = "loss",
) -> Figure:
    """Cooldown shapes by bias and variance, with lines of equal risk (Dremov et al. 2025, arXiv 2508.01483, Fig. 6).

    points : shape -> (bias, variance).  family : members of one family, joined by a line, by the value of its
    parameter.  axes : draw here, in place of a figure of its own. The lowest sum of all is ringed.
    """
    from matplotlib.figure import Figure

    if not points:
        raise InputError("points is empty; give at least one shape with its bias and variance.")
    family = family if family is not None else {}
    with style():
        panel = new_figure(0.55 * WIDTH, 3.0).subplots() if axes is None else axes
        both = np.array([*points.values(), *family.values()])
        _iso_risk(panel, both)
        if family:
            panel.plot(*np.array(list(family.values())).T, "-", color="0.55", lw=0.9, marker="o", ms=3, zorder=3)
            for name, point in family.items():
                panel.annotate(
                    literal(name), point, (-5, -2), textcoords="offset points", fontsize=6, color="0.4", ha="right",
                    va="center",
                )  # fmt: skip
        for j, (name, point) in enumerate(points.items()):
            options: dict[str, Any] = {"color": RUNS[j % len(RUNS)], "ms": 6, "mec": "white", "mew": 0.6, "zorder": 4}
            panel.plot(*point, MARKERS[j % len(MARKERS)], label=literal(name), **options)
        best = both[np.argmin(both.sum(axis=1))]
        panel.plot(*best, "o", mfc="none", mec="black", ms=11, zorder=5)
        white = {"boxstyle": "square,pad=0.1", "fc": "white", "ec": "none", "alpha": 0.8}
        # Above the ring, clear of the points that lie beside it.
        panel.annotate(
            f"{best.sum():.1f}", best, (4, 12), textcoords="offset points", fontsize=7, zorder=6, bbox=white
        )  # fmt: skip
        panel.set(xlabel=f"bias [{unit}]", ylabel=f"variance [{unit}]")
        if axes is None:
            panel.legend()
    figure = panel.get_figure()
    assert isinstance(figure, Figure)
    return figure


def shapes(
    cases: Mapping[str, tuple[Mapping[str, tuple[float, float]], Mapping[str, tuple[float, float]]]], unit: str = "loss"
) -> Figure:
    """`bias_variance` for several rivers side by side: title -> (points, family), of the same shapes each."""
    with style():
        figure = new_figure(WIDTH, 3.2)
        panels = figure.subplots(1, len(cases), squeeze=False)[0]
        for panel, (title, (points, family)) in zip(panels, cases.items(), strict=True):
            bias_variance(points, panel, family, unit)
            panel.set_title(title)
        figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=4)
    return figure


def decays(cases: Mapping[str, tuple[Mapping[str, FloatArray], Mapping[str, FloatArray], float]]) -> Figure:
    """Decays side by side: learning rates above, what is left of the loss on the hills below, both logarithmic.

    cases : title -> (rates, losses, peak), as `simlab.showcase.decays.decays` makes them: run -> learning rates (T,),
    and the loss before every step and at the end (T + 1,); the stable learning rate that all begin from, drawn before
    step 0. The first run is the best one: behind the end of every other stands how many times as much it leaves.
    """
    if not cases:
        raise InputError("cases is empty; give at least one title with rates, losses and the peak.")
    with style():
        figure = new_figure(WIDTH, 3.6)
        grid: dict[str, Any] = {"sharex": "col", "sharey": "row", "squeeze": False, "height_ratios": [1.0, 1.25]}
        axes = figure.subplots(2, len(cases), **grid)
        lowest = min(float(min(next(iter(rates.values())))) for rates, _, _ in cases.values())
        deepest = min(float(loss[-1] / loss[0]) for _, losses, _ in cases.values() for loss in losses.values())
        for column, (title, (rates, losses, peak)) in enumerate(cases.items()):
            top, low = axes[:, column]
            _decay_rates(top, rates, peak, lowest)
            _decay_losses(low, losses, deepest)
            top.set_title(title)
        axes[0, 0].set_ylabel("learning rate")
        axes[1, 0].set_ylabel("hill loss / that at the peak")
        handles, labels = axes[0, 0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside upper center", ncols=len(labels))
    return figure


def _decay_rates(axes: Axes, rates: Mapping[str, FloatArray], peak: float, lowest: float) -> None:
    """The stable phase, then the steps of each; what goes far below the `lowest` of the best ones is cut off."""
    for j, (name, rate) in enumerate(rates.items()):
        steps = np.concatenate([[-0.12 * rate.size, 0.0], np.arange(rate.size)])
        axes.plot(
            steps, np.append([peak, peak], rate), label=literal(name), zorder=4 if j == 0 else 3, **_decay_line(j)
        )
    axes.axvline(0.0, color="0.6", lw=0.6, ls=":")
    axes.set_yscale("log")
    plain_log(axes.yaxis)
    axes.set_ylim(0.3 * lowest, 1.4 * peak)


def _decay_losses(axes: Axes, losses: Mapping[str, FloatArray], deepest: float) -> None:
    """`deepest` : the lowest that any panel shows, as a share of the loss at the peak."""
    best = next(iter(losses.values()))
    ends = {name: float(loss[-1] / best[-1]) for name, loss in losses.items()}
    room = max(-np.log(deepest), 1e-9) / 13.0
    heights = _apart({name: float(np.log(loss[-1] / loss[0])) for name, loss in losses.items()}, float(room))
    for j, (name, loss) in enumerate(losses.items()):
        line = _decay_line(j)
        axes.plot(np.arange(loss.size), loss / loss[0], zorder=4 if j == 0 else 3, **line)
        text = "1" if j == 0 else f"× {ends[name]:.2f}"
        axes.annotate(
            text, (loss.size - 1, float(np.exp(heights[name]))), (5, 0), textcoords="offset points", va="center",
            color=line["color"], fontsize=7, annotation_clip=False,
        )  # fmt: skip
    size = best.size - 1
    axes.axvline(0.0, color="0.6", lw=0.6, ls=":")
    axes.plot([-0.12 * size, 0.0], [1.0, 1.0], color="0.3", lw=1.0)
    axes.set(xlabel="step of the decay", xlim=(-0.12 * size, 1.16 * size))
    axes.set_yscale("log")
    plain_log(axes.yaxis)


def _apart(heights: Mapping[str, float], room: float) -> dict[str, float]:
    """Heights of labels, moved upwards where two would come closer than `room`."""
    order = sorted(heights, key=lambda name: heights[name])
    out: dict[str, float] = {}
    low = -np.inf
    for name in order:
        low = out[name] = max(heights[name], low + room)
    return out


def _decay_line(j: int) -> dict[str, Any]:
    colours = ("black", "#D55E00", "#009E73", "#0072B2", "#E69F00", "#CC79A7")
    return {**line_of(j), "color": colours[j % len(colours)], "lw": 1.8 if j == 0 else 1.2}


MARKERS = ("o", "s", "D", "^", "v", "P", "X", "*", "h")


def _iso_risk(axes: Axes, points: FloatArray) -> None:
    """Dashed lines bias + variance = const through the cloud of points, the constant written on each."""
    low, high = points.min(axis=0), points.max(axis=0)
    room = 0.12 * (high - low) + 1e-12 * np.abs(high) + 1e-300
    axes.set_xlim(max(low[0] - room[0], 0.0 if low[0] >= 0.0 else -np.inf), high[0] + 1.8 * room[0])
    axes.set_ylim(max(low[1] - room[1], 0.0 if low[1] >= 0.0 else -np.inf), high[1] + room[1])
    from matplotlib.ticker import MaxNLocator

    (x0, x1), (y0, y1) = axes.get_xlim(), axes.get_ylim()
    for level in MaxNLocator(9).tick_values(x0 + y0, x1 + y1):
        ends = [(x, level - x) for x in (x0, x1) if y0 <= level - x <= y1]
        ends += [(level - y, y) for y in (y0, y1) if x0 < level - y < x1]
        if len(ends) < 2:
            continue
        (xa, ya), (xb, yb) = sorted(ends)[:: len(ends) - 1]
        axes.plot([xa, xb], [ya, yb], color="0.75", lw=0.7, ls="--", zorder=1)
        axes.annotate(
            f"{level:g}", (xb, yb), (-2, 2), textcoords="offset points", fontsize=6, color="0.5", ha="right"
        )  # fmt: skip


# -- helpers


def _has_runs(trace: xr.Dataset) -> None:
    if "run" not in trace.dims or "river_loss" not in trace:
        raise InputError("trace has no river_loss by run and step; give what exact_valley returns for several methods.")


def _hills(trace: xr.Dataset) -> xr.DataArray:
    hills = trace["hill_loss"]
    return hills.sum("subspace", skipna=False) if "subspace" in hills.dims else hills
