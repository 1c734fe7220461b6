"""The Bokeh figures of the page: what they look like; their columns are filled by `js/charts.js`."""

from __future__ import annotations

from typing import Any

from simlab.playground.labels import OF_PROBLEM, Labels
from simlab.plot import PALETTE

__all__ = ["BANDS", "FIGURES", "figures"]

BANDS = ("#440154", "#414487", "#2a788e", "#22a884", "#7ad151", "#d2c21a")
"""Colours of the eigen-subspaces from the head to the tail, in the order of Viridis, its end darkened for white."""

FIGURES = ("schedules", "risk linear", "risk log", "bars", "split")
RUNS = 4


def figures(labels: Labels = OF_PROBLEM) -> dict[str, Any]:
    """The figures by name, all of them empty."""
    risks = _risk_sources()
    return {
        "schedules": _schedules(),
        "risk linear": _risk("risk linear", "linear", risks, labels),
        "risk log": _risk("risk log", "log", risks, labels),
        "bars": _bars(labels),
        "split": _split(),
    }


def _blank(name: str, height: int, x: str, y: str, **given: Any) -> Any:
    """A figure without tools or data, in letters that a lecture hall can read."""
    from bokeh.models import Range1d
    from bokeh.plotting import figure

    made = figure(
        name=name, height=height, sizing_mode="stretch_width", x_axis_label=x, y_axis_label=y, tools="",
        toolbar_location=None, x_range=Range1d(start=1, end=10), y_range=Range1d(start=0.1, end=1), **given,
    )  # fmt: skip
    for axis in (*made.xaxis, *made.yaxis):
        axis.axis_label_text_font_size, axis.major_label_text_font_size = "14px", "13px"
        axis.axis_label_text_font_style = "normal"
        axis.minor_tick_line_color = None
    made.outline_line_color, made.min_border_right = None, 24
    return made


def _source(name: str, *columns: str) -> Any:
    from bokeh.models import ColumnDataSource

    return ColumnDataSource({column: [] for column in columns}, name=name)


def _thousands(made: Any) -> None:
    from bokeh.models import NumeralTickFormatter

    made.xaxis.formatter = NumeralTickFormatter(format="0,0")


def _schedules() -> Any:
    """The rates, the law, the stability limit, and the knots of the chosen run."""
    from bokeh.models import PointDrawTool

    made = _blank("schedules", 300, "step", "learning rate")
    _thousands(made)
    law, limit, knots = (_source(name, "x", "y") for name in ("law", "limit", "knots"))
    made.line("x", "y", source=limit, line_color="black", line_dash="dotted", line_width=2)
    made.line("x", "y", source=law, line_color="#666666", line_dash="dashed", line_width=2.5)
    for j in range(RUNS):
        made.line("x", "y", source=_source(f"rate {j}", "x", "y"), line_color=PALETTE[j], name=f"rate line {j}")
    drawn = made.scatter("x", "y", source=knots, size=15, line_width=3, name="knots renderer")
    drawn.nonselection_glyph = drawn.selection_glyph = None
    tool = PointDrawTool(renderers=[drawn])
    made.add_tools(tool)
    made.toolbar.active_multi = made.toolbar.active_tap = tool
    return made


def _risk_sources() -> dict[str, Any]:
    names = [f"{part} {j}" for part in ("total", "bias", "variance") for j in range(RUNS)]
    return {name: _source(name, "x", "y") for name in [*names, "law end"]}


def _risk(name: str, spacing: str, sources: dict[str, Any], labels: Labels) -> Any:
    """Risk over steps: every run's, and of the chosen one bias and variance."""
    from bokeh.models import HoverTool

    made = _blank(name, 340, "step", labels.axis, x_axis_type=spacing, y_axis_type="log")
    if spacing == "linear":
        _thousands(made)
    made.visible = spacing == "linear"
    totals = []
    for j in range(RUNS):
        for part, dash in (("bias", "dashed"), ("variance", "dotted")):
            made.line("x", "y", source=sources[f"{part} {j}"], line_color=PALETTE[j], line_dash=dash, line_width=2)
        label = f"risk line {spacing} {j}"
        totals.append(made.line("x", "y", source=sources[f"total {j}"], line_color=PALETTE[j], name=label))
    made.scatter("x", "y", source=sources["law end"], marker="diamond", size=14, color="#555555")
    made.add_tools(
        HoverTool(renderers=totals, tooltips=[("step", "@x{0,0}"), (labels.risk, "@y{0.000e+0}")], mode="mouse")
    )
    return made


def _bars(labels: Labels) -> Any:
    """The final risk of every run, stacked by eigen-subspace: bias, then hatched the variance."""
    from bokeh.models import FixedTicker, HoverTool

    made = _blank("bars", 340, f"final {labels.axis}", "")
    columns = ("y", "left", "right", "color", "band")
    shared = {"y": "y", "left": "left", "right": "right", "height": 0.62, "fill_color": "color", "line_color": "white"}
    bias = made.hbar(source=_source("bias bars", *columns), **shared)
    hatched = {"hatch_pattern": "right_diagonal_line", "hatch_color": "white", "hatch_weight": 2.5, "hatch_scale": 9}
    variance = made.hbar(source=_source("variance bars", *columns), **shared, **hatched)
    for part, renderer in ((labels.bias, bias), (labels.variance, variance)):
        made.add_tools(HoverTool(renderers=[renderer], tooltips=[(f"{part}, {labels.bands}", "@band")]))
    made.yaxis.ticker = FixedTicker(ticks=[], name="bars ticker")
    made.yaxis.name = "bars axis"
    made.ygrid.visible = False
    made.y_range.start, made.y_range.end = -1, 1
    return made


def _split() -> Any:
    """The mean loss in the river valley, as river and hills."""
    made = _blank("split", 250, "step", "mean loss")
    lines = (("total", "black", "solid"), ("river", PALETTE[0], "dashed"), ("hill", PALETTE[1], "dotted"))
    for name, color, dash in lines:
        source = _source(f"{name} loss", "x", "y")
        made.line("x", "y", source=source, line_color=color, line_dash=dash, line_width=2.5)
    return made
