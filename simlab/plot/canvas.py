"""The paper that figures are drawn on: one style, colour-blind-safe, sized for a paper."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from simlab.doors import door
from simlab.errors import InputError, check_count, check_kind, check_number, check_path

if TYPE_CHECKING:
    from matplotlib.axis import Axis
    from matplotlib.figure import Figure

__all__ = ["DASHES", "PALETTE", "WIDTH", "new_figure", "plain_log", "save", "shades", "style", "use_style"]


WIDTH = 6.75
"""Inches: the text width of the usual two-column paper."""

LARGEST = 600.0
"""Inches of a side of a figure: at 100 dots each, Matplotlib draws at most 65,536."""

# Okabe and Ito 2008, black first for the total.
PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#999933")
DASHES: tuple[Any, ...] = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)), (0, (1, 1)))

_RC: Any = {
    "font.size": 8,
    "axes.titlesize": 8,
    "axes.labelsize": 8,
    "legend.fontsize": 7,
    "xtick.labelsize": 7,
    "ytick.labelsize": 7,
    "lines.linewidth": 1.3,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#dddddd",
    "grid.linewidth": 0.5,
    "axes.axisbelow": True,
    "legend.frameon": False,
    "figure.constrained_layout.use": True,
    "savefig.dpi": 220,
    "pdf.fonttype": 42,
}


@contextmanager
def style() -> Iterator[None]:
    """The style of every figure of the project, as a context."""
    import matplotlib as mpl

    with mpl.rc_context(_RC):
        yield


def use_style() -> None:
    """The same from here on: for notebooks, where figures are drawn after the cell that makes them."""
    import matplotlib as mpl

    mpl.rcParams.update(_RC)


@door
def new_figure(width: float, height: float) -> Figure:
    """An empty figure of this size in inches."""
    # A Figure of its own, not pyplot's: no window, no global list of figures, any thread.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    width = check_number("width", width, low=0.0, high=LARGEST, open_low=True)
    height = check_number("height", height, low=0.0, high=LARGEST, open_low=True)
    figure = Figure(figsize=(width, height))
    FigureCanvasAgg(figure)
    return figure


@door
def shades(count: int) -> list[Any]:
    """Colours from head (dark) to tail (light) for ordered subspaces, readable in grey."""
    import matplotlib as mpl

    count = check_count("count", count, low=0, high=10**6)
    colours = mpl.colormaps["viridis"](np.linspace(0.0, 0.88, max(count, 2)))
    return list(colours[:count])


def plain_log(axis: Axis, subs: tuple[float, ...] = (1.0, 2.0, 5.0)) -> None:
    """Few and plain numbers on the axis of a logarithmic scale that spans some two decades or less."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    axis.set_major_locator(LogLocator(subs=subs, numticks=12))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.set_minor_formatter(NullFormatter())


def _spread(figure: Figure) -> None:
    """Plain numbers on short logarithmic axes whose labels would run into each other: the default ones are wide."""
    from matplotlib.ticker import LogFormatter

    short = []
    for axis in (axis for axes in figure.axes for axis in (axes.xaxis, axes.yaxis)):
        low, high = sorted(axis.get_view_interval())
        if axis.get_scale() == "log" and high < 100.0 * low and isinstance(axis.get_minor_formatter(), LogFormatter):
            short.append(axis)
    if short:
        figure.draw_without_rendering()
        for axis in [axis for axis in short if _crowded(axis)]:
            plain_log(axis)


def _crowded(axis: Any) -> bool:
    """Whether two neighbouring labels of an axis that has been drawn overlap."""
    (low, high), along = sorted(axis.get_view_interval()), 0 if axis.axis_name == "x" else 1
    ends = []
    for tick in (*axis.get_major_ticks(), *axis.get_minor_ticks()):
        if tick.label1.get_text() and tick.label1.get_visible() and low <= tick.get_loc() <= high:
            box = tick.label1.get_window_extent()
            ends.append((box.min[along], box.max[along]))
    ends.sort()
    return any(after[0] < before[1] for before, after in pairwise(ends))


@door
def save(figure: Figure, path: str | Path) -> Path:
    """Write a figure as the suffix of `path` says (png, pdf, svg); refused where the folder cannot be written.

    Labels of a short logarithmic axis that would run into each other become few and plain numbers.
    """
    from matplotlib.figure import Figure

    check_kind("figure", figure, Figure, "a figure", "give what simlab.plot.risk returns")
    target = check_path("path", path)
    known = figure.canvas.get_supported_filetypes()
    if target.suffix.lstrip(".") not in known:
        raise InputError(f"{target} has no picture suffix; end the path in .png, .pdf or .svg.")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with style():
            # No date in the file: the same figure gives the same bytes.
            stamp = {"CreationDate": None} if target.suffix == ".pdf" else {}
            _spread(figure)
            figure.savefig(target, metadata=stamp)
    except OSError as error:
        raise InputError(f"{target} cannot be written ({error.strerror or error}); choose another folder.") from None
    return target
