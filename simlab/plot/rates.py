"""Learning rates over the steps."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from simlab.arrays import FloatArray
from simlab.doors import door
from simlab.errors import InputError, brief, check_count, check_kind
from simlab.plot.canvas import DASHES, PALETTE, WIDTH, new_figure, style
from simlab.plot.words import literal

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from simlab.schedules import Schedule

__all__ = ["schedules"]


@door
def schedules(named: Mapping[str, Schedule], columns: int = 5) -> Figure:
    """Learning rate against step: up to six schedules in one panel, more of them in small multiples."""
    from simlab.schedules import Schedule

    check_kind("schedules", named, dict, "a dict", "give {name: schedule}")
    for name, schedule in named.items():
        check_kind(
            f"schedules[{brief(name)}]", schedule, Schedule, "a schedule", "make one with schedules.constant, say"
        )
    columns = check_count("columns", columns, high=100)
    if not named:
        raise InputError("schedules is empty; give at least one schedule to draw.")
    with style():
        if len(named) <= 6:
            figure = new_figure(0.6 * WIDTH, 2.2)
            axes = figure.subplots()
            for j, (name, schedule) in enumerate(named.items()):
                axes.plot(
                    *_curve(schedule), color=PALETTE[j], linestyle=DASHES[j % len(DASHES)], label=literal(name, 34)
                )
            axes.set_xlabel("step")
            axes.set_ylabel("learning rate")
            axes.set_ylim(bottom=0.0)
            axes.legend()
            return figure
        rows = -(-len(named) // columns)
        figure = new_figure(WIDTH, 0.95 * rows + 0.3)
        panels = figure.subplots(rows, columns, squeeze=False).ravel()
        for panel, (name, schedule) in zip(panels, named.items(), strict=False):
            panel.plot(*_curve(schedule), color=PALETTE[0])
            panel.set_title(literal(name, 22), fontsize=7, pad=2)
            panel.set_ylim(bottom=0.0)
            panel.set_xticks([])
            panel.set_yticks([])
        for panel in panels[len(named) :]:
            panel.set_visible(False)
        figure.supxlabel("step", fontsize=8)
        figure.supylabel("learning rate", fontsize=8)
        return figure


def _curve(schedule: Schedule, points: int = 2000) -> tuple[FloatArray, FloatArray]:
    """Steps and values, as steps where a point is a step."""
    steps = np.unique(np.round(np.linspace(0, schedule.length - 1, points)).astype(np.int64))
    return steps.astype(np.float64), np.asarray(schedule(steps), dtype=np.float64)
