"""The optimal schedule of another spectrum: its shape carries over, its level does not."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from simlab.figures.columns import first, stack
from simlab.figures.peaks import final_risks
from simlab.figures.reproduction import Claim, Data, Reproduction, Scale, column
from simlab.figures.results.optima import legend, power_law, tuned

import simlab as sl
from simlab.plot import PALETTE, WIDTH, new_figure, shades, style

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["FIGURES"]

SPECTRA = tuple((capacity, source) for capacity in (1.2, 1.5, 2.0) for source in (1.3, 1.8, 2.5))
MIDDLE = "1.5, 1.8"
NOISES = (1.0, 0.01)


def compute(scale: Scale) -> Data:
    """risks: of each problem under the shape of each other, as it is and with its best peak; rates: the schedules."""
    steps = {"tiny": 60, "quick": 1_000, "full": 3_000}[scale]
    risks, rates = [], []
    for noise in NOISES[: 1 if scale == "tiny" else 2]:
        problems = {f"{a:g}, {b:g}": power_law(a, b, noise) for a, b in SPECTRA[:: 4 if scale == "tiny" else 1]}
        best = {name: sl.optimize(problem, steps) for name, problem in problems.items()}
        shapes = {name: each.schedule.values() for name, each in best.items()}
        for name, lr in shapes.items():
            rates.append({"noise": noise, "problem": name, "at": np.arange(steps) / steps, "lr": lr})
        for name, problem in problems.items():
            linear = tuned(problem, "linear", steps).method
            runs = [sl.methods.sgd(sl.schedules.from_array(lr)) for lr in shapes.values()]
            *asis, line = final_risks(problem, [*runs, linear])
            level = np.array([_best_level(problem, lr, best[name].schedule.peak()) for lr in shapes.values()])
            row = {"noise": noise, "problem": name, "least": best[name].risk, "linear": line}
            risks.append({**row, "shape": list(shapes), "asis": asis, "level": level})
    return {"risks": stack(risks), "rates": stack(rates)}


def _best_level(problem: sl.LinearRegression, lr: npt.NDArray[np.float64], peak: float) -> float:
    """The least risk of this shape over all peaks, by the exact engine, near the peak of the problem's own optimum."""
    shape = lr / lr.max()

    def scaled(steps: int, peak: float) -> sl.schedules.Schedule:
        return sl.schedules.from_array(peak * shape[:steps])

    found = tuned(problem, scaled, lr.size, bounds={"peak": (0.2 * peak, 5.0 * peak)})
    return float(final_risks(problem, [found.method])[0])


def _regrets(data: Data, noise: float, name: str) -> Any:
    """Of the shapes of other problems, one number for each pair; inf where it diverges."""
    table = data["risks"]
    other = np.asarray(table["problem"]) != np.asarray(table["shape"])
    kept = other & (column(table, "noise") == noise)
    return (column(table, name) / column(table, "least") - 1.0)[kept]


def draw(data: Data) -> Figure:
    names = first(data["rates"]["problem"])
    colours = shades(len(names))
    with style():
        figure = new_figure(WIDTH, 2.7)
        left, middle, right = figure.subplots(1, 3)
        for name, colour in zip(names, colours, strict=True):
            at, lr = (column(data["rates"], key, noise=1.0, problem=name) for key in ("at", "lr"))
            left.plot(at[1:], lr[1:], color=colour, lw=1.1, label=name)
            middle.plot(at[1:], lr[1:] / lr[1:].max(), color=colour, lw=1.1)
        left.set(yscale="log", xlabel="share of the run", ylabel="learning rate", title="(a) level, noise 1")
        middle.set(xlabel="share of the run", ylabel="learning rate / peak", title="(b) shape, noise 1")
        for i, noise in enumerate(first(data["risks"]["noise"])):
            for j, (key, word) in enumerate((("asis", "as it is"), ("level", "best peak"))):
                lost = np.sort(100.0 * np.clip(_regrets(data, noise, key), 1e-4, 1e3))
                share = (np.arange(lost.size) + 1.0) / lost.size
                right.plot(
                    lost,
                    share,
                    color=PALETTE[i],
                    ls=["--", "-"][j],
                    drawstyle="steps-post",
                    label=f"noise {noise:g}, {word}",
                )
        right.set(
            xscale="log",
            xlabel="risk above the optimum's [%]",
            ylabel="share of pairs",
            title="(c) shape of another",
            ylim=(0, 1.02),
            xlim=(0.01, 1e4),
        )
        legend(figure, (left, right), 5, title="capacity, source")
    return figure


def claims(data: Data) -> list[Claim]:
    table = data["risks"]
    noises = first(table["noise"])
    asis, level = ([_regrets(data, noise, name) for noise in noises] for name in ("asis", "level"))
    own = np.asarray(table["problem"]) == np.asarray(table["shape"])
    home = np.max(np.abs(column(table, "asis") / column(table, "least") - 1.0)[own])
    lost = [int(np.sum(~np.isfinite(each))) for each in asis]
    sides = [float(np.quantile(each, 0.9)) for each in level]
    mine = (np.asarray(table["shape"]) == MIDDLE) & (column(table, "noise") == 1.0)
    least, linear = column(table, "least")[mine], column(table, "linear")[mine]
    middle = column(table, "level")[mine] / least - 1.0
    line = linear / least - 1.0
    medians = [float(np.median(each)) for each in level]
    return [
        Claim(
            "the optimal schedule of another spectrum, as it is, loses a fifth or more on most pairs",
            "72 pairs of nine spectra, both noises; the level follows capacity, source and critical rate",
            "median above 20 % at either noise, and nothing (10^-9) on its own spectrum",
            f"median {', '.join(f'{100 * np.median(each):.0f} %' for each in asis)}; "
            f"{', '.join(str(count) for count in lost)} of {asis[0].size} diverge; own {home:.0e}",
            all(float(np.median(each)) > 0.2 for each in asis) and bool(home <= 1e-9),
            own=True,
        ),
        Claim(
            "with its peak alone tuned on the true problem it loses little",
            "the same pairs, peak by exact gradients",
            "median at most 4 %, nine in ten at most 12 %, at either noise; and never below the certified optimum",
            f"median {', '.join(f'{100 * each:.1f} %' for each in medians)}; nine in ten within "
            f"{', '.join(f'{100 * each:.1f} %' for each in sides)}",
            max(medians) <= 0.04 and max(sides) <= 0.12 and min(float(each.min()) for each in level) >= -1e-9,
            own=True,
        ),
        Claim(
            "at noise 1 the shape of the middle spectrum serves all nine within 4 %",
            f"shape of capacity, source = {MIDDLE}, its peak tuned on each problem",
            "at most 4 % above the optimum of each of the nine, linear decay at its best peak up to 1.5 times as much",
            f"at most {100 * middle.max(initial=0):.1f} %, linear up to {100 * line.max(initial=0):.1f} %",
            bool(
                mine.sum() == len(SPECTRA)
                and middle.max(initial=0) <= 0.04
                and line.max(initial=0) >= 1.5 * middle.max(initial=0)
            ),
            "only some of the nine spectra are here",
            own=True,
        ),
    ]


FIGURES = [
    Reproduction(
        "results-transfer",
        "Shape transfers, level does not",
        "This project",
        2026,
        "Nine power laws of 10^8 modes (capacity 1.2, 1.5, 2; source 1.3, 1.8, 2.5), noise variance 1 and 0.01, SGD "
        "at batch 1, 1,000 steps (full: 3,000). The certified optimum of each is run on all others, as it is and with "
        "its best peak there. Not shown: spectra that are not power laws, and shapes for another number of steps.",
        compute,
        draw,
        claims,
        seconds=6.0,
    )
]
