"""Scaling laws from branches (Hägele et al. 2024, arXiv 2405.18392): one constant run of each size, cooled down."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.optimize import least_squares
from simlab.figures.columns import first, stack
from simlab.figures.papers.porian2024 import model, tail
from simlab.figures.reproduction import Claim, Data, Reproduction, Scale, column
from simlab.figures.results.optima import legend

import simlab as sl
from simlab.plot import DASHES, PALETTE, WIDTH, new_figure, shades, style

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from simlab.arrays import FloatArray

__all__ = ["FIGURES"]

PAPER = "Hägele, Bakouch, Kosson, Ben Allal, Von Werra, Jaggi 2024, arXiv 2405.18392, NeurIPS 2024"
CASE = (1.5, 1.6, 0.1)
"""Capacity, source and label noise."""
WARMUP, COOLDOWN = 20, 0.2
SHARES = (0.025, 0.05, 0.1, 0.2, 0.4, 0.8)
RATES = (0.05, 0.1, 0.2, 0.4)
WAYS = ("cosine", "branches")


def _branches(width: int, lengths: tuple[int, ...], peak: float, share: float) -> tuple[FloatArray, int]:
    """Last losses of cooldowns from one run at a constant rate, and the steps that all took together."""
    task = model(width, *CASE)
    cool = [max(1, round(share * length)) for length in lengths]
    at = [length - each for length, each in zip(lengths, cool, strict=True)]
    trunk = sl.schedules.constant(at[-1], peak, warmup=WARMUP)
    run = sl.exact(task, sl.methods.sgd(trunk), record=2, keep=at, progress=False)
    risks = [
        run.branch(step, sl.methods.sgd(sl.schedules.linear(each, peak)), record=2, progress=False).total().values[-1]
        for step, each in zip(at, cool, strict=True)
    ]
    return np.array(risks) + 0.5 * tail(width, CASE[1]), at[-1] + sum(cool)


def _cosines(width: int, lengths: tuple[int, ...], peak: float) -> FloatArray:
    """Last losses of runs of these lengths, each with a cosine of its own."""
    runs = [sl.methods.sgd(sl.schedules.cosine(length, peak, warmup=WARMUP)) for length in lengths]
    total = sl.exact(model(width, *CASE), runs, record=2, progress=False).total().values
    return np.array([row[np.isfinite(row)][-1] for row in total]) + 0.5 * tail(width, CASE[1])


def compute(scale: Scale) -> Data:
    """losses: by width, steps, peak and way; cooldowns: by their share of the run; cost: steps of either way."""
    widths, lengths = {
        "tiny": ((10, 40, 160), (100, 300, 1_000)),
        "quick": ((10, 20, 40, 80, 160), (300, 1_000, 3_000, 10_000)),
        "full": ((10, 20, 40, 80, 160, 320, 640), (300, 1_000, 3_000, 10_000, 30_000, 100_000)),
    }[scale]
    losses, cooldowns, cost = [], [], []
    for width in widths:
        for peak in RATES:
            ends, steps = _branches(width, lengths, peak, COOLDOWN)
            for way, loss in zip(WAYS, (_cosines(width, lengths, peak), ends), strict=True):
                losses.append({"width": width, "peak": peak, "way": way, "steps": lengths, "loss": loss})
        cost.append({"width": [width], "branches": steps, "cosine": sum(lengths)})
        if width == widths[-2]:
            for share in SHARES:
                loss = _branches(width, lengths[-3:], RATES[2], share)[0]
                cooldowns.append({"share": share, "steps": lengths[-3:], "loss": loss})
    return {"losses": stack(losses), "cooldowns": stack(cooldowns), "cost": stack(cost)}


def best(data: Data, way: str) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Width, steps and loss of each run at its best peak."""
    found = [column(data["losses"], "loss", way=way, peak=peak) for peak in RATES]
    width, steps = (column(data["losses"], key, way=way, peak=RATES[0]) for key in ("width", "steps"))
    return width, steps, np.min(found, axis=0)


def fitted(data: Data, way: str) -> dict[str, float]:
    """A N^-x + B n^-y by least squares of the logarithm; above the label noise nothing is left that does not fall."""
    width, steps, loss = best(data, way)

    def off(p: FloatArray) -> FloatArray:
        return np.asarray(np.log(np.exp(p[0]) * width ** -p[1] + np.exp(p[2]) * steps ** -p[3]) - np.log(loss))

    found = least_squares(off, [0.0, 0.5, 0.5, 0.4], bounds=([-5.0, 0.05] * 2, [8.0, 3.0] * 2)).x
    return {"x": float(found[1]), "y": float(found[3])}


def draw(data: Data) -> Figure:
    with style():
        figure = new_figure(WIDTH, 2.9)
        panels = figure.subplots(1, 3)
        widths = first(data["losses"]["width"])
        for name, colour in zip(widths, shades(len(widths)), strict=True):
            for k, way in enumerate(WAYS):
                width, steps, loss = best(data, way)
                row = width == name
                label = f"$N = {name}$" if k == 0 else None
                panels[0].plot(steps[row], loss[row], "o^"[k], ls=DASHES[k], color=colour, ms=4, label=label)
            ratio = best(data, WAYS[1])[2] / best(data, WAYS[0])[2]
            panels[1].plot(steps[row], ratio[row], "o-", color=colour, ms=4)
        for j, steps in enumerate(first(data["cooldowns"]["steps"])):
            loss = column(data["cooldowns"], "loss", steps=steps)
            panels[2].plot(
                100.0 * np.array(SHARES),
                loss / loss.min(),
                "osv"[j],
                ls="-",
                color=PALETTE[j],
                ms=4,
                label=f"{steps:,} steps",
            )
        panels[0].plot([], [], "o-", color="0.4", ms=4, label="cosine, each length by itself")
        panels[0].plot([], [], "^--", color="0.4", ms=4, label="branches of one run")
        panels[0].set(xscale="log", yscale="log", xlabel="steps", ylabel="excess loss")
        panels[1].axhline(1.0, color="0.5", lw=0.8)
        panels[1].set(xscale="log", xlabel="steps", ylabel="branches / cosine")
        panels[2].set(xscale="log", xlabel="cooldown [% of the run]", ylabel="loss / least")
        panels[2].set_xticks([2.5, 10, 40], ["2.5", "10", "40"])
        panels[2].set_xticks([], minor=True)
        legend(figure, (panels[0], panels[2]), 4)
    return figure


def claims(data: Data) -> list[Claim]:
    laws = {way: fitted(data, way) for way in WAYS}
    ratio = best(data, WAYS[1])[2] / best(data, WAYS[0])[2]
    spent = float(np.sum(column(data["cost"], "branches")) / np.sum(column(data["cost"], "cosine")))
    losses = {share: column(data["cooldowns"], "loss", share=share) for share in SHARES}
    least = np.min(list(losses.values()), axis=0)
    given: dict[str, Any] = {"chosen": "spectrum, rates, sizes and lengths", "substituted": SUBSTITUTED}
    exponents = "; ".join(f"{way} x {law['x']:.3f}, y {law['y']:.3f}" for way, law in laws.items())
    known = {"x": CASE[1] - 1.0, "y": (CASE[1] - 1.0) / CASE[0]}
    return [
        Claim(
            "branches of one run give the scaling law that separate cosine runs give",
            "section on scaling laws",
            "exponents of size and steps within 0.02 of one another",
            exponents,
            all(abs(laws[WAYS[0]][key] - laws[WAYS[1]][key]) <= 0.02 for key in "xy"),
            "in short runs what 20 % of cooldown costs against a cosine depends on the length",
            turns=f"power-law spectrum: x {known['x']:.3f}, y {known['y']:.3f} in the limit",
            **given,
        ),
        Claim(
            "a branch ends no higher than the cosine run of its length",
            "figures of final losses",
            "loss at most 1.01 x that of the cosine, each at its best peak, every size and length",
            f"x {ratio.min():.3f} .. {ratio.max():.3f}",
            bool(ratio.max() <= 1.01),
            "a cooldown of 20 % is shorter than is best here, and the cosine decays for longer",
            **given,
        ),
        Claim(
            "branches cost fewer steps than separate runs",
            "section on savings; the longest run and the cooldowns against all runs",
            "steps of all branches at most 0.85 x those of all cosine runs",
            f"{spent:.2f} for lengths that grow threefold",
            spent <= 0.85,
            **given,
        ),
        Claim(
            "a cooldown of 10 % is nearly as good as one of 20 %",
            "Hu et al. 2024 (arXiv 2404.06395), experiments on cooldowns",
            "loss at 10 % at most 2 % above that at 20 %, three lengths",
            ", ".join(
                f"{100 * share:g} %: +{100 * np.max(each / least - 1.0):.2f} %" for share, each in losses.items()
            ),
            bool(np.max(losses[0.1] / losses[0.2] - 1.0) <= 0.02),
            "noise in this spectrum is forgotten over a longer part of the run",
            paper="10 % is enough",
            **given,
        ),
    ]


SUBSTITUTED = "a regression on the first N features for a language model of N parameters"
FIGURES = [
    Reproduction(
        "haegele2024-scaling",
        "A scaling law from branches of one run of each size",
        PAPER,
        2024,
        "Regression on the first N features of a power law (capacity 1.5, source 1.6, label noise 0.1), five sizes "
        "(full: seven) and four lengths to 10,000 steps (six to 100,000): a cosine to zero for each length, or linear "
        "cooldowns of 20 % from one run at a constant rate, at the best of four peaks. Fit: A N^-x + B n^-y.",
        compute,
        draw,
        claims,
        chosen=("spectrum, rates, sizes and lengths",),
        substituted=(SUBSTITUTED,),
        seconds=2.0,
    )
]
