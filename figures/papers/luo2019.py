"""Luo, Xiong, Liu and Sun 2019 (arXiv 1902.09843): AdaBound, from Adam to SGD by bounds that close in."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from simlab.figures.columns import first, stack
from simlab.figures.reproduction import Claim, Data, Reproduction, Scale, column
from simlab.figures.results.optima import legend

import simlab as sl
from simlab.plot import DASHES, PALETTE, WIDTH, new_figure, style

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["FIGURES"]

PAPER = "Luo, Xiong, Liu and Sun 2019, arXiv 1902.09843"
MODEL = "a regression in the place of image classifiers; one pass, so that training and test loss are one"
SPEEDS, FINALS = (0.003, 0.03, 0.3), (0.05, 0.1)
BETA1, BETA2 = 0.9, 0.99
CHOSEN = "lam_i = i^-1.5, source 1.3, noise 0.1, batch 1, Adam's rate 0.03, constant rates"


def compute(scale: Scale) -> Data:
    """curves: risk by step of Adam, of SGD with the same momentum at the final rate, and of AdaBound between them."""
    dim, steps = {"tiny": (20, 60), "quick": (100, 600), "full": (200, 3_000)}[scale]
    task = sl.LinearRegression.power_law(dim, 1.5, 1.3, noise_variance=0.1)
    flat = sl.schedules.constant(steps, 0.03)
    at = np.unique(np.geomspace(1, steps, 40).astype(int))
    runs: dict[str, Any] = {"Adam": sl.methods.adam(flat, beta1=BETA1, beta2=BETA2)}
    for final in FINALS:
        for gamma in SPEEDS:
            options: dict[str, Any] = {"final_lr": final, "gamma": gamma, "beta1": BETA1, "beta2": BETA2}
            runs[f"{final:g}, {gamma:g}"] = sl.methods.adabound(flat, **options)
    # A mean of gradients, m <- beta m + (1 - beta) g, is the momentum of a rate 1 - beta times as large.
    plain = {
        f"{final:g}": sl.methods.heavy_ball(sl.schedules.constant(steps, final * (1.0 - BETA1)), BETA1)
        for final in FINALS
    }
    table = []
    for engine, methods in ((sl.limit, runs), (sl.exact, plain)):
        trace = engine(task, methods, record=at, progress=False)
        for name in methods:
            run = {"run": name if engine is sl.limit else f"SGD, {name}"}
            table.append({**run, "step": trace.dataset["step"].values, "risk": trace.total().sel(run=name).values})
    return {"curves": stack(table)}


def draw(data: Data) -> Figure:
    with style():
        figure = new_figure(WIDTH, 2.7)
        panels = figure.subplots(1, len(FINALS), sharey=True)
        for letter, axes, final in zip("ab", panels, FINALS, strict=True):
            names = {
                "Adam": "Adam",
                **{f"{final:g}, {gamma:g}": rf"AdaBound, $\gamma$ = {gamma:g}" for gamma in SPEEDS},
                f"SGD, {final:g}": "SGD with momentum, final rate",
            }
            for colour, dashes, (name, words) in zip(PALETTE, DASHES, names.items(), strict=False):
                step, risk = (column(data["curves"], n, run=name) for n in ("step", "risk"))
                axes.plot(step, risk, color=colour, ls=dashes, label=words)
            axes.set(xscale="log", yscale="log", xlabel="step", title=f"({letter}) final rate {final:g}")
        panels[0].set_ylabel("excess risk")
        legend(figure, panels[:1], 3)
    return figure


def claims(data: Data) -> list[Claim]:
    table = data["curves"]
    risk = {name: column(table, "risk", run=name) for name in first(table["run"])}
    step = column(table, "step", run="Adam")
    early = (step > 0) & (step <= 10)
    fast, slow = max(SPEEDS), min(SPEEDS)
    start = {
        gamma: max(float(np.max(np.abs(risk[f"{f:g}, {gamma:g}"] / risk["Adam"] - 1.0)[early])) for f in FINALS)
        for gamma in SPEEDS
    }
    end = {
        gamma: max(float(abs(risk[f"{f:g}, {gamma:g}"][-1] / risk[f"SGD, {f:g}"][-1] - 1.0)) for f in FINALS)
        for gamma in SPEEDS
    }
    best = {f: risk[f"{f:g}, {SPEEDS[1]:g}"][-1] / min(risk["Adam"][-1], risk[f"SGD, {f:g}"][-1]) for f in FINALS}
    gap = min(float(risk[f"SGD, {f:g}"][-1] / risk["Adam"][-1]) for f in FINALS)

    def spoken(values: dict[float, float]) -> str:
        return ", ".join(f"{value:.1%} (gamma = {gamma:g})" for gamma, value in values.items())

    return [
        Claim(
            "AdaBound starts as Adam",
            "bounds f (1 - 1 / (gamma t + 1)) and f (1 + 1 / (gamma t))",
            f"within 0.5 % of Adam's risk over the first ten steps at gamma = {slow:g}",
            spoken(start),
            start[slow] <= 0.005,
            "the bounds bind at once",
            paper="initialised as an adaptive method",
            chosen=CHOSEN,
        ),
        Claim(
            "and ends as SGD",
            "the same bounds, after some 1 / gamma steps",
            f"within 3 % of the risk of SGD with momentum at the final rate, gamma = {fast:g}; where Adam's is another",
            f"{spoken(end)}; SGD / Adam at least {gap:.2f}",
            end[fast] <= 0.03 and gap >= 1.2,
            "the bounds are still open",
            paper="transforms to SGD gradually and smoothly",
            chosen=CHOSEN,
            turns=f"with slower bounds it is {end[SPEEDS[1]]:.0%} (gamma = {SPEEDS[1]:g}) and {end[slow]:.0%} off",
        ),
        Claim(
            "it is as fast as Adam and ends as low as the better of both",
            "abstract: fast at first, good in the end",
            f"final risk at most 1.02 times the lower of Adam's and SGD's, gamma = {SPEEDS[1]:g}",
            ", ".join(f"{value:.2f} (final rate {f:g})" for f, value in best.items()),
            all(value <= 1.02 for value in best.values()),
            "the bounds take from the tail the large rates that make Adam fast, and in one pass that is a loss",
            paper="as fast as adaptive methods, and generalises as SGD",
            substituted=MODEL,
            chosen=CHOSEN,
        ),
    ]


FIGURES = [
    Reproduction(
        "luo2019-adabound",
        "AdaBound between Adam and SGD",
        PAPER,
        2019,
        "A regression, lam_i = i^-1.5, source 1.3, noise 0.1, d = 100, 600 steps (full: 200, 3,000), batch 1, constant "
        "rates: Adam at 0.03, SGD with momentum at the final rate (exact), AdaBound at three speeds of its bounds; "
        "Adam and AdaBound in the limit of many modes.",
        compute,
        draw,
        claims,
        chosen=(CHOSEN, "final rates and gamma"),
        substituted=(MODEL,),
        seconds=2.0,
    )
]
