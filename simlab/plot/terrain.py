"""Pictures of a 2-D landscape: contours or a surface with the river drawn in, and trajectories on it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from simlab.arrays import FloatArray
from simlab.errors import InputError
from simlab.plot.canvas import DASHES, WIDTH, new_figure, style
from simlab.plot.words import literal

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from simlab.landscapes.landscape import Landscape

__all__ = ["RUNS", "WATER", "Box", "box_of", "draw_rates", "draw_terrain", "line_of", "surface", "valley"]

Box = tuple[float, float, float, float]
"""x from, x to, y from, y to."""

RUNS = ("#D55E00", "#009E73", "#000000", "#CC79A7", "#E69F00", "#0072B2", "#999933")
"""Colours of runs (Okabe and Ito 2008), without the light blue, which is the river's."""
WATER = "#56B4E9"
TERRAIN = ("#ffffff", "#f4efe6", "#e4dbc9", "#cdc1aa", "#ad9f86")
ALONG, ACROSS = "x, along the river", "y, across it"


def valley(
    landscape: Landscape,
    paths: Mapping[str, FloatArray],
    river: FloatArray | None = None,
    box: Box | None = None,
    rates: Mapping[str, FloatArray] | None = None,
) -> Figure:
    """A 2-D landscape with its river, one panel for the trajectory of each run, and the learning rates below.

    paths : run -> (points, 2), in order of time.  river : (points, 2), a curve.  box : default, all paths and a margin.
    rates : run -> (steps,) learning rates.
    """
    _two_dimensional(landscape)
    box = box if box is not None else box_of(paths, river)
    count = len(paths)
    extra = 0 if rates is None else 1
    with style():
        figure = new_figure(WIDTH, 1.15 * count + 0.95 * extra + 0.35)
        axes = figure.subplots(count + extra, 1, squeeze=False, height_ratios=[1.0] * count + [0.72] * extra)[:, 0]
        for j, (panel, (name, path)) in enumerate(zip(axes, paths.items(), strict=False)):
            shade = draw_terrain(panel, landscape, river, box)
            panel.plot(path[:, 0], path[:, 1], color=RUNS[j % len(RUNS)], lw=0.5, alpha=0.9, zorder=3)
            _mark(panel, landscape.start, "s", "black", 4.5)
            _mark(panel, path[-1], "o", RUNS[j % len(RUNS)], 6.0)
            panel.set_title(literal(name), loc="left", color=RUNS[j % len(RUNS)], fontweight="bold", pad=3)
            panel.set_title(f"reaches x = {path[-1, 0]:.1f}", loc="right", pad=3)
            panel.set_ylabel(ACROSS)
            panel.tick_params(labelbottom=j == count - 1)
        axes[count - 1].set_xlabel(ALONG)
        bar = figure.colorbar(shade, ax=list(axes[:count]), label="loss above the valley floor", pad=0.01, aspect=32)
        bar.set_ticks([level for level in (0.0, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0) if level <= shade.levels[-1]])
        bar.ax.minorticks_off()
        if rates is not None:
            draw_rates(axes[-1], rates)
            axes[-1].legend(loc="lower left")
    return figure


def draw_terrain(axes: Axes, landscape: Landscape, river: FloatArray | None, box: Box) -> Any:
    """Shades and contours of a 2-D landscape, and its river; returns the shades.

    Shown is the height above the lowest point of the same x, so that the slow fall along the river does not hide how
    steep the sides are.
    """
    from matplotlib.colors import LinearSegmentedColormap

    x, y, height = _heights(landscape, box, 300, 160)
    height = height - height.min(axis=0)
    levels = float(height.max()) * np.linspace(0.0, 1.0, 13) ** 2
    colours = LinearSegmentedColormap.from_list("terrain", TERRAIN)
    shade = axes.contourf(x, y, height, levels=levels, cmap=colours, norm=_even(levels))
    axes.contour(x, y, height, levels=levels[1:-1:2], colors="#8c7f68", linewidths=0.35, alpha=0.8)
    if river is not None:
        axes.plot(river[:, 0], river[:, 1], color=WATER, lw=3.2, solid_capstyle="round", zorder=2, label="river")
    axes.set_xlim(box[0], box[1])
    axes.set_ylim(box[2], box[3])
    axes.grid(False)
    return shade


def surface(
    landscape: Landscape,
    paths: Mapping[str, FloatArray],
    river: FloatArray | None = None,
    box: Box | None = None,
    view: tuple[float, float] = (50.0, -62.0),
) -> Figure:
    """The landscape as a surface in 3-D, river and trajectories on it; `view` is elevation and azimuth in degrees."""
    from matplotlib.colors import LinearSegmentedColormap

    _two_dimensional(landscape)
    box = box if box is not None else box_of(paths, river)
    x, y, height = _heights(landscape, box, 160, 90)
    lift = 0.012 * float(np.ptp(height))
    with style():
        figure = new_figure(WIDTH, 3.9)
        figure.set_layout_engine("none")
        # The axes reach beyond the page: a 3-D box fills but a part of them, and they cut off what leaves them.
        axes: Any = figure.add_axes((-0.05, -0.25, 1.1, 1.4), projection="3d", computed_zorder=False)
        axes.plot_surface(
            *np.meshgrid(x, y), height, cmap=LinearSegmentedColormap.from_list("terrain", TERRAIN),
            rstride=2, cstride=2, lw=0.15, edgecolor="#b9ac93", antialiased=True, zorder=1,
        )  # fmt: skip
        if river is not None:
            inside = river[(river[:, 0] >= box[0]) & (river[:, 0] <= box[1])]
            axes.plot(*inside.T, landscape.value(inside) + lift, color=WATER, lw=3.0, zorder=2, label="river")
        for j, (name, path) in enumerate(paths.items()):
            z = landscape.value(path) + lift
            axes.plot(*path.T, z, color=RUNS[j % len(RUNS)], lw=0.6, alpha=0.85, zorder=3 + j, label=literal(name))
            axes.plot(*path[-1:].T, z[-1:] + lift, "o", color=RUNS[j % len(RUNS)], ms=6, mec="black", zorder=20 + j)
        axes.set(ylabel=ACROSS, zlabel="loss", xlim=box[:2], ylim=box[2:])
        axes.set_xlabel(ALONG, labelpad=14)
        axes.set_box_aspect((3.4, 1.3, 0.9), zoom=0.8)
        axes.locator_params(nbins=5)
        axes.view_init(*view)
        figure.legend(loc="upper center", ncols=1 + len(paths))
    return figure


# -- shared with the other pictures


def line_of(j: int) -> dict[str, Any]:
    """Colour and dashes of run number j."""
    return {"color": RUNS[j % len(RUNS)], "ls": DASHES[j % len(DASHES)]}


def draw_rates(axes: Axes, rates: Mapping[str, FloatArray], steps: FloatArray | None = None) -> None:
    """Learning rates against steps, one line for each run."""
    for j, (name, rate) in enumerate(rates.items()):
        axes.plot(np.arange(rate.size) if steps is None else steps, rate, label=literal(name), **line_of(j))
    axes.set(xlabel="step", ylabel="learning rate")
    axes.set_ylim(bottom=0.0)


def box_of(paths: Mapping[str, FloatArray], river: FloatArray | None, margin: float = 0.06) -> Box:
    """A box about all finite points of paths (.., 2) and the river beside them."""
    every = np.concatenate([np.asarray(path).reshape(-1, 2) for path in paths.values()])
    every = every[np.all(np.isfinite(every), axis=1)]
    if not every.size:
        raise InputError("paths hold no finite point; draw a run that has not diverged.")
    if river is not None:
        near = (river[:, 0] >= every[:, 0].min()) & (river[:, 0] <= every[:, 0].max())
        every = np.concatenate([every, river[near]])
    low, high = every.min(axis=0), every.max(axis=0)
    room = margin * np.maximum(high - low, 1e-9)
    return float(low[0] - room[0]), float(high[0] + room[0]), float(low[1] - room[1]), float(high[1] + room[1])


def _heights(landscape: Landscape, box: Box, across: int, down: int) -> tuple[FloatArray, FloatArray, FloatArray]:
    x, y = np.linspace(box[0], box[1], across), np.linspace(box[2], box[3], down)
    return x, y, landscape.value(np.stack(np.meshgrid(x, y), axis=-1))


def _two_dimensional(landscape: Landscape) -> None:
    if landscape.dim != 2:
        raise InputError(f"{landscape.expression} has {landscape.dim} dimensions; draw a landscape that has two.")


def _mark(axes: Axes, point: FloatArray, marker: str, colour: str, size: float) -> None:
    axes.plot(point[0], point[1], marker, color=colour, ms=size, mec="white", mew=0.9, zorder=6)


def _even(levels: FloatArray) -> Any:
    from matplotlib.colors import BoundaryNorm

    return BoundaryNorm(levels, 256, extend="neither")
