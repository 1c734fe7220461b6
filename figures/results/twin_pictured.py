"""The README's picture of a twin: three measured runs of a 100M language model fitted, three others predicted.

SIMLAB_DATA=DATA python -m simlab.figures.results.twin_pictured figures/readme/twin.png
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import numpy as np
from simlab.figures.results.twins import SPLIT, curves, fitted

from simlab.plot import PALETTE, WIDTH, new_figure, save, style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from simlab.twin import Curve, Twin

__all__ = ["picture"]

SHORT = {"wsd_20000_24000": "WSD, cooldown exponential", "wsdcon_3": "rate cut to a tenth at 8,000"}
LONG = {"cosine_72000": "cosine over 72,000"}
FITTED = dict(zip(SPLIT, ("cosine", "constant", "rate cut to 3/10"), strict=True))
FIRST = 3000
"""Step from which curves are drawn."""


def picture(size: str = "100M") -> Figure:
    """(a) the runs that are fitted; (b, c) bands predicted for schedules that the twin has not seen, and what came."""
    of = curves(size)
    twin = fitted([of[name] for name in SPLIT])
    with style():
        figure = new_figure(WIDTH, 2.7)
        panels = figure.subplots(1, 3, sharey=True)
        for (name, label), grey in zip(FITTED.items(), ("0.25", "0.5", "0.72"), strict=True):
            drawn = of[name].steps > FIRST
            panels[0].plot(of[name].steps[drawn] / 1e3, of[name].losses[drawn], color=grey, lw=0.9, label=label)
        for j, (name, label) in enumerate((SHORT | LONG).items()):
            _predicted(panels[1 if name in SHORT else 2], twin, of[name], label, PALETTE[j])
        titles = ("(a) fitted: three runs", "(b) predicted: never seen", "(c) three times as long")
        for axes, title in zip(panels, titles, strict=True):
            axes.set(xlabel="step / 1,000", title=title)
            axes.legend(loc="upper right")
        panels[0].set(ylabel=f"loss of a {size} language model", ylim=(2.8, 3.65))
    return figure


def _predicted(axes: Axes, twin: Twin, curve: Curve, label: str, colour: str) -> None:
    """A band with its middle, and some thirty of the points that were measured."""
    band, steps = twin.predict(curve.schedule, steps=curve.steps), curve.steps / 1e3
    drawn = np.flatnonzero(curve.steps > FIRST)
    axes.fill_between(steps[drawn], band.lower[drawn], band.upper[drawn], color=colour, alpha=0.25, lw=0)
    axes.plot(steps[drawn], band.loss[drawn], color=colour, lw=1)
    some = drawn[:: max(1, drawn.size // 28)]
    axes.plot(steps[some], curve.losses[some], "o", ms=2.2, color=colour, label=label)


if __name__ == "__main__":
    save(picture(), sys.argv[1])
