"""Risk and losses over the steps of one run or of several."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

from simlab.arrays import FloatArray
from simlab.doors import door
from simlab.errors import check_kind, unknown_name
from simlab.plot.canvas import DASHES, PALETTE, WIDTH, new_figure, shades, style
from simlab.plot.words import literal
from simlab.trace import RiskTrace

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["losses", "risk"]


UNIT = "excess risk"
SAMPLED = "sampled, 2 s.e."


@door
def risk(trace: RiskTrace, x: Literal["log", "linear"] | None = None, sampled: RiskTrace | None = None) -> Figure:
    """Where the risk comes from: over the steps by component and subspace, with the learning rate below.

    One run: bias and variance of every subspace. Several runs: the total of each, and the final risk of each stacked by
    subspace, bias filled and variance hatched. `x` is the scale of the step axis (default: linear where the recorded
    steps are equally spaced, else logarithmic). A trace by `simlab.sample` is drawn with a band of two standard errors;
    the `sampled` twin of an exact trace as points with bars of two standard errors. Of a mixture a panel for each
    domain, with the total of every run, or of one run with its bias and variance.
    """
    check_kind("trace", trace, RiskTrace, "a trace", "give what simlab.exact or simlab.sample returns")
    if sampled is not None:
        check_kind("sampled", sampled, RiskTrace, "a trace", "give what simlab.sample returns")
    if x is None:
        gaps = np.diff(trace.risk["step"].values)
        x = "linear" if gaps.size > 1 and gaps.max() <= gaps.min() + 1 else "log"
    x = _scale(trace, x)
    with style():
        if "domain" in trace.risk.dims:
            return _by_domain(trace, x, sampled)
        return _several(trace, x, sampled) if "run" in trace.risk.dims else _one(trace, x, sampled)


@door
def losses(trace: RiskTrace, x: Literal["log", "linear"] = "log") -> Figure:
    """The loss on rows held out (solid) and on those trained on (dashed), over the steps, of every run.

    A sampled trace has a band of two standard errors. Raises InputError for a trace without held-out rows.
    """
    check_kind("trace", trace, RiskTrace, "a trace", "give what simlab.exact or simlab.sample returns")
    x = _scale(trace, x)
    seen, unseen = (
        each if "run" in each.dims else each.expand_dims("run") for each in (trace.training_loss(), trace.holdout())
    )
    names = [str(run) for run in trace.risk["run"].values] if "run" in trace.risk.dims else ["held out"]
    with style():
        figure = new_figure(0.6 * WIDTH, 3.0)
        axes = figure.subplots()
        steps, shown = _steps(trace, x)
        for j, name in enumerate(names):
            colour = PALETTE[j % len(PALETTE)]
            mean = unseen.transpose("run", "step").values[j]
            axes.plot(steps[shown], mean[shown], color=colour, label=literal(name, 34))
            axes.plot(steps[shown], seen.transpose("run", "step").values[j, shown], color=colour, linestyle="--")
            if "holdout_error" in trace.dataset:
                error = np.atleast_2d(trace.dataset["holdout_error"].values)[j]
                _band(axes, steps[shown], mean[shown], error[shown], colour)
        axes.plot([], [], color="0.4", linestyle="--", label="trained on")
        if any(np.any(each.transpose("run", "step").values[:, shown] > 0.0) for each in (seen, unseen)):
            axes.set_yscale("log")
        if axes.get_ylim()[1] < 10.0 * axes.get_ylim()[0]:
            axes.yaxis.set_minor_formatter("{x:g}")
        _step_axis(axes, x)
        axes.set_xlabel("step")
        axes.set_ylabel("half mean squared residual")
        axes.legend()
    return figure


def _scale(trace: RiskTrace, x: str) -> Literal["log", "linear"]:
    """The scale asked for, or an InputError; a linear one where nothing is recorded beyond the start."""
    last = min(trace.risk["step"].values.max(), trace.dataset["ended_at"].values.max())
    if x == "linear" or (x == "log" and last <= 0):
        return "linear"
    if x == "log":
        return "log"
    raise unknown_name("x", x, ["log", "linear"])


def _steps(trace: RiskTrace, x: str) -> tuple[FloatArray, npt.NDArray[np.bool_]]:
    steps = trace.risk["step"].values.astype(float)
    return steps, (steps > 0) if x == "log" else np.ones(steps.size, dtype=bool)


def _components(trace: RiskTrace) -> list[str]:
    """The components worth a panel: the cross term of a sampled trace is noise about 0, but for data sets."""
    names = [str(c) for c in trace.risk["component"].values]
    noise = "standard_error" in trace.dataset and trace.dataset.attrs.get("law") not in ("rows", "epochs")
    return [name for name in names if name != "cross" or not noise]


def _band(axes: Axes, x: FloatArray, mean: FloatArray, error: FloatArray, colour: Any) -> None:
    """Two standard errors about a sampled mean, cut off where a logarithmic axis could not show it."""
    axes.fill_between(x, np.maximum(mean - 2.0 * error, 0.05 * mean), mean + 2.0 * error, color=colour, alpha=0.3, lw=0)


def _points(axes: Axes, x: FloatArray, mean: FloatArray, error: FloatArray, colour: Any) -> None:
    """About a dozen sampled means with bars of two standard errors; of a run that was interrupted there may be none."""
    if x.size == 0:
        return
    at = np.unique(np.linspace(0, x.size - 1, 13).round().astype(int))
    axes.errorbar(
        x[at], mean[at], 2.0 * error[at], color=colour, fmt="o", markersize=2.4, elinewidth=0.8, zorder=3
    )  # fmt: skip


def _sampled_handle() -> Any:
    """The legend's key for the points."""
    from matplotlib.lines import Line2D

    return Line2D([], [], color="0.4", marker="o", linestyle="", markersize=2.4)


def _one(trace: RiskTrace, x: str, sampled: RiskTrace | None) -> Figure:
    names = _components(trace)
    figure = new_figure(WIDTH, 3.3)
    axes = figure.subplots(
        2, len(names), sharex=True, sharey="row", height_ratios=[3.2, 1.0], squeeze=False, gridspec_kw={"wspace": 0.05}
    )
    steps, shown = _steps(trace, x)
    subspaces = [str(s) for s in trace.risk["subspace"].values]
    colours = shades(len(subspaces))
    twin = None if sampled is None else sampled.dataset.sel(step=np.isin(sampled.risk["step"], steps[shown]))
    for column, name in enumerate(names):
        top, bottom = axes[0, column], axes[1, column]
        part = trace.risk.sel(component=name).transpose("step", "subspace").values
        for j, label in enumerate(subspaces):
            top.plot(steps[shown], np.abs(part[shown, j]), color=colours[j], label=literal(label))
            if "standard_error" in trace.dataset:
                error = trace.dataset["standard_error"].sel(component=name).transpose("step", "subspace").values
                _band(top, steps[shown], np.abs(part[shown, j]), error[shown, j], colours[j])
            if twin is not None and name in twin["component"]:
                own = twin.sel(component=name, subspace=label)
                _points(top, own["step"].values, np.abs(own["risk"].values), own["standard_error"].values, colours[j])
        if len(subspaces) > 1:
            top.plot(steps[shown], np.abs(part[shown].sum(axis=1)), color="black", linewidth=1.8, label="all modes")
        top.set_title(name if name != "cross" else "|cross|")
        _draw_lr(bottom, steps[shown], trace.dataset["lr"].values[shown], "black")
        bottom.set_xlabel("step")
    axes[0, 0].set_ylabel(UNIT)
    axes[1, 0].set_ylabel("learning rate")
    drawn = trace.risk.sel(component=names).transpose("step", ...)
    whole = drawn.sum("subspace", skipna=False).values
    _risk_scale(axes[0, 0], np.abs(np.concatenate([drawn.values[shown].ravel(), whole[shown].ravel()])))
    _step_axis(axes[0, 0], x)
    handles, labels = axes[0, 0].get_legend_handles_labels()
    if sampled is not None:
        handles, labels = [*handles, _sampled_handle()], [*labels, SAMPLED]
    figure.legend(handles, labels, loc="outside right upper", title="eigen-index" if len(subspaces) > 1 else None)
    return figure


def _by_domain(trace: RiskTrace, x: str, sampled: RiskTrace | None) -> Figure:
    """A panel for each domain: the total of every run, or the parts of a single one."""
    names = [str(name) for name in trace.risk["domain"].values]
    figure = new_figure(WIDTH, 3.3)
    axes = figure.subplots(2, len(names), sharex=True, sharey="row", height_ratios=[3.2, 1.0], squeeze=False)
    steps, shown = _steps(trace, x)
    lines = _lines(trace)
    twin = {} if sampled is None else _lines(sampled)
    rates = np.atleast_2d(trace.dataset["lr"].transpose(..., "step").values)
    for column, name in enumerate(names):
        top, bottom = axes[0, column], axes[1, column]
        for j, (label, values) in enumerate(lines.items()):
            colour, dashes = PALETTE[j % len(PALETTE)], DASHES[(j // len(PALETTE)) % len(DASHES)]
            own = values.sel(domain=name).values[shown]
            top.plot(steps[shown], own, color=colour, linestyle=dashes, label=literal(label, 34))
            if label in twin:
                points = twin[label].sel(domain=name)
                points = points[np.isin(points["step"], steps[shown])]
                error = twin[label].attrs["error"].sel(domain=name, step=points["step"])
                _points(top, points["step"].values, points.values, error.values, colour)
        for j, row in enumerate(rates):
            _draw_lr(bottom, steps[shown], row[shown], PALETTE[j % len(PALETTE)] if len(rates) > 1 else "black")
        top.set_title(literal(name, 34))
        bottom.set_xlabel("step")
    axes[0, 0].set_ylabel(UNIT)
    axes[1, 0].set_ylabel("learning rate")
    _risk_scale(axes[0, 0], np.concatenate([each.values[shown].ravel() for each in lines.values()]))
    _step_axis(axes[0, 0], x)
    handles, labels = axes[0, 0].get_legend_handles_labels()
    if sampled is not None:
        handles, labels = [*handles, _sampled_handle()], [*labels, SAMPLED]
    figure.legend(handles, labels, loc="outside right upper")
    return figure


def _lines(trace: RiskTrace) -> dict[str, Any]:
    """What is drawn of a mixture, by (step, domain): with the standard error as an attribute, where there is one."""
    total, error = trace.total().transpose(..., "step", "domain"), trace.dataset.get("total_error")
    if "run" in total.dims:
        out = {str(run): total.sel(run=run) for run in total["run"].values}
        errors = {} if error is None else {run: error.sel(run=run) for run in out}
    else:
        parts = trace.by_component().transpose("component", "step", "domain")
        names = [name for name in ("bias", "variance") if name in parts["component"].values]
        out = {"risk": total, **{name: parts.sel(component=name) for name in names}}
        errors = {} if error is None else {"risk": error}
        if error is not None:
            spread = trace.dataset["standard_error"].sum("subspace")
            errors |= {name: spread.sel(component=name) for name in names}
    return {name: each.assign_attrs(error=errors.get(name)) for name, each in out.items()}


def _several(trace: RiskTrace, x: str, sampled: RiskTrace | None) -> Figure:
    figure = new_figure(WIDTH, 3.9)
    grid = figure.add_gridspec(2, 2, width_ratios=[1.25, 1.0], height_ratios=[3.0, 1.0])
    top = figure.add_subplot(grid[0, 0])
    bottom = figure.add_subplot(grid[1, 0], sharex=top)
    bars = figure.add_subplot(grid[:, 1])
    steps, shown = _steps(trace, x)
    total = trace.total().transpose("run", "step").values
    rates = trace.dataset["lr"].transpose("run", "step").values
    runs = [str(r) for r in trace.risk["run"].values]
    for j, name in enumerate(runs):
        colour, dashes = PALETTE[j % len(PALETTE)], DASHES[(j // len(PALETTE)) % len(DASHES)]
        top.plot(steps[shown], total[j, shown], label=literal(name, 34), color=colour, linestyle=dashes)
        if "total_error" in trace.dataset:
            error = trace.dataset["total_error"].transpose("run", "step").values
            _band(top, steps[shown], total[j, shown], error[j, shown], colour)
        if sampled is not None and name in sampled.risk["run"]:
            own = sampled.dataset.sel(run=name, step=np.isin(sampled.risk["step"], steps[shown]))
            mean = sampled.total().sel(run=name, step=own["step"])
            _points(top, own["step"].values, mean.values, own["total_error"].values, colour)
        _draw_lr(bottom, steps[shown], rates[j, shown], colour, dashes)
    _risk_scale(top, total[:, shown])
    _step_axis(top, x)
    top.tick_params(labelbottom=False)
    top.set_ylabel(UNIT)
    if len(runs) <= 12:
        handles, labels = top.get_legend_handles_labels()
        if sampled is not None:
            handles, labels = [*handles, _sampled_handle()], [*labels, SAMPLED]
        top.legend(handles, labels, loc="lower left" if x == "log" else "upper right")
    bottom.set_xlabel("step")
    bottom.set_ylabel("learning rate")
    _final_bars(figure, bars, trace)
    return figure


def _final_bars(figure: Figure, axes: Axes, trace: RiskTrace) -> None:
    """Final risk of every run, stacked by subspace: bias filled, variance hatched."""
    from matplotlib.patches import Patch

    final = trace.final().transpose("run", "component", "subspace")
    runs = [str(r) for r in final["run"].values]
    status = np.atleast_1d(trace.status.values)
    subspaces = [str(s) for s in final["subspace"].values]
    colours = shades(len(subspaces))
    sound = status != "diverged"
    rows = np.arange(len(runs))
    left = np.zeros(len(runs))
    for name in [c for c in ("bias", "variance") if c in final["component"].values]:
        values = np.where(sound[:, None], final.sel(component=name).values, 0.0)
        hatch = "////" if name == "variance" else None
        for j in range(len(subspaces)):
            axes.barh(rows, values[:, j], left=left, color=colours[j], hatch=hatch, edgecolor="white", linewidth=0.3)
            left += values[:, j]
    for row in np.flatnonzero(~sound):
        axes.text(0.0, float(row), " diverged", va="center", fontsize=7)
    axes.set_yticks(rows, [literal(r, 34) for r in runs])
    axes.invert_yaxis()
    axes.grid(axis="y", visible=False)
    axes.set_xlabel(f"final {UNIT}")
    handles = [Patch(color=colour, label=literal(name)) for colour, name in zip(colours, subspaces, strict=True)]
    if len(subspaces) == 1:
        handles = [Patch(facecolor=colours[0], label="bias")]
    handles.append(Patch(facecolor="#bbbbbb", hatch="////", edgecolor="white", label="variance"))
    title = "eigen-index" if len(subspaces) > 1 else None
    figure.legend(
        handles=handles,
        title=title,
        loc="outside lower center",
        ncols=min(len(handles), 8),
        handlelength=1.2,
        columnspacing=1.2,
    )


def _draw_lr(axes: Axes, steps: FloatArray, lr: FloatArray, colour: Any, dashes: Any = "-") -> None:
    axes.plot(steps, lr, color=colour, linestyle=dashes, linewidth=1.0)
    # A limit that is set stays, unless told otherwise, and the next run may have higher rates.
    axes.set_ylim(bottom=0.0, auto=True)


def _step_axis(axes: Axes, scale: str) -> None:
    from matplotlib.ticker import MaxNLocator

    axes.set_xscale(scale)
    if scale == "linear":
        axes.xaxis.set_major_locator(MaxNLocator(5))


def _risk_scale(axes: Axes, values: FloatArray) -> None:
    """A logarithmic axis over at most six decades: what lies further down is nothing."""
    positive = values[np.isfinite(values) & (values > 0.0)]
    if positive.size == 0:
        return
    axes.set_yscale("log")
    top = float(positive.max())
    axes.set_ylim(max(float(positive.min()) * 0.7, top * 1e-6), top * 1.6)
