"""Schedules side by side, and what each loses to the best of them, by subspace."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from simlab.arrays import FloatArray
from simlab.doors import door
from simlab.errors import InputError, brief, check_kind, unknown_name
from simlab.plot.canvas import DASHES, PALETTE, WIDTH, new_figure, shades, style
from simlab.plot.words import literal
from simlab.trace import RiskTrace

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["regret"]

LINES = 6
"""The best schedules are drawn, the others are rows alone."""

FURTHEST = 3.0
"""The axis ends at so many times the middle regret: what is longer is cut off, and told in figures."""


BEHIND = {"facecolor": "white", "edgecolor": "none", "pad": 0.4, "alpha": 0.85}
"""Figures stay legible on a bar that is cut off."""


@door
def regret(trace: RiskTrace, best: str | None = None) -> Figure:
    """Learning rates of several runs, and how much more final risk than the best each has, in percent of its risk.

    A bar is stacked by subspace (bias and variance together): to the right what a subspace has more than in the best
    run, to the left what it has less; the sum stands beside it. Runs in the order of their risk, the best six of them
    as lines through the recorded steps. best : the run to compare with (default: the one of least risk). Raises
    InputError for a single run, and for a mixture.
    """
    check_kind("trace", trace, RiskTrace, "a trace", "give what simlab.exact returns")
    if "run" not in trace.risk.dims:
        raise InputError(" has one run, which there is nothing to compare with; give several.", "trace")
    if "domain" in trace.risk.dims:
        raise InputError(" is of a Mixture, whose domains have risks of their own; take simlab.plot.risk.", "trace")
    final = trace.final().transpose("run", "component", "subspace")
    parts = final.sel(component=[name for name in ("bias", "variance") if name in final["component"]]).sum("component")
    runs = [str(run) for run in trace.risk["run"].values]
    risks = np.where(trace.status.values == "diverged", np.inf, parts.sum("subspace").values)
    if best is not None and best not in runs:
        raise unknown_name("best", best, runs)
    first = int(np.argmin(risks)) if best is None else runs.index(best)
    if not 0.0 < risks[first] < np.inf:
        raise InputError(f" = {brief(runs[first])} has no risk to measure others by; name a run that has.", "best")
    order = [first, *(j for j in np.argsort(risks, kind="stable").tolist() if j != first)]
    more = 100.0 * (parts.values[order] - parts.values[first]) / risks[first]
    names, sound = [runs[j] for j in order], np.isfinite(risks[order])
    with style():
        figure = new_figure(WIDTH, max(2.3, 0.21 * len(runs) + 1.0))
        rates, bars = figure.subplots(1, 2, width_ratios=[1.0, 1.25])
        lr = trace.dataset["lr"].transpose("run", "step").values
        for row, j in enumerate(order[:LINES]):
            label, dashes = literal(runs[j], 34), DASHES[row % len(DASHES)]
            rates.plot(trace.risk["step"].values, lr[j], color=PALETTE[row], linestyle=dashes, label=label)
        rates.set_xlabel("step")
        rates.set_ylabel("learning rate")
        rates.set_ylim(bottom=0.0)
        rates.legend()
        _stack(bars, more, sound, [str(name) for name in parts["subspace"].values])
        bars.set_yticks(np.arange(len(names)), [literal(name, 20) for name in names])
        for row, tick in enumerate(bars.get_yticklabels()[:LINES]):
            tick.set_color(PALETTE[row])
        bars.invert_yaxis()
        bars.grid(axis="y", visible=False)
        bars.set_xlabel(f"final risk above that of {literal(names[0], 20)}, %")
        if parts.sizes["subspace"] > 1:
            bars.legend(title="eigen-index", fontsize=6, title_fontsize=6, loc="upper right")
    return figure


def _stack(axes: Axes, more: FloatArray, sound: npt.NDArray[np.bool_], subspaces: list[str]) -> None:
    """Rows of bars, more (runs, subspaces) in percent, and their sums."""
    rows, right, left = np.arange(len(more)), np.zeros(len(more)), np.zeros(len(more))
    shown = np.where(sound[:, None], more, 0.0)
    sums = shown.sum(axis=1)
    end = min(1.15 * float(sums.max()), FURTHEST * float(np.median(sums[1:]))) or 1.0
    for j, (name, colour) in enumerate(zip(subspaces, shades(len(subspaces)), strict=True)):
        part = shown[:, j]
        axes.barh(rows, part, left=np.where(part > 0.0, right, left), color=colour, label=literal(name), height=0.7)
        right, left = right + np.maximum(part, 0.0), left + np.minimum(part, 0.0)
    axes.set_xlim(min(1.1 * float(left.min()), -0.02 * end), 1.3 * end)
    axes.axvline(0.0, color="black", linewidth=0.6)
    for row in rows.tolist():
        text, cut = f" {sums[row]:.3g} %" if sound[row] else " diverged", right[row] > 1.15 * end
        axes.text(min(right[row], 1.15 * end), row, text, va="center", fontsize=6, bbox=BEHIND if cut else None)
