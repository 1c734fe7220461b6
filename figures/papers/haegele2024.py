"""Hägele et al. 2024 (arXiv 2405.18392): cooldowns against cosine, and weight averages."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from simlab.figures.papers.columns import stack
from simlab.figures.reproduction import Claim, Data, Reproduction, Scale, column
from simlab.theory.schaipp2025 import schaipp_optimal_base_lr

import simlab as sl
from simlab.arrays import FloatArray
from simlab.plot import DASHES, PALETTE, WIDTH, new_figure, style

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from simlab.methods import Method
    from simlab.schedules import Schedule

PAPER = "Hägele, Bakouch, Kosson, Ben Allal, von Werra, Jaggi 2024, arXiv 2405.18392"
SOURCES = {"little in the tail": 2.0, "much in the tail": 1.2}
MAIN, OTHER = SOURCES
FRACTIONS = (0.0, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 1.0)
WINDOWS = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.4)
SHAPES = ("linear", "1-sqrt")
SIZES = {"tiny": (30, 200, 5), "quick": (500, 4_000, 21), "full": (5_000, 40_000, 33)}
ASSUMED = "regression in place of language models: power law of capacity 1.5, sigma^2 = 1, every peak tuned"


def _cooled(steps: int, peak: float, fraction: float, shape: str) -> Schedule:
    return sl.schedules.wsd(steps, peak, cooldown=fraction, shape=shape)


def compute_cooldown(scale: Scale) -> Data:
    dim, steps, count = SIZES[scale]
    peaks = np.geomspace(0.005, 0.5, count)
    rows: list[dict[str, Any]] = []
    for name, source in SOURCES.items():
        problem = sl.LinearRegression.power_law(dim=dim, capacity=1.5, source=source, noise_variance=1.0).compress()
        runs: dict[tuple[str, float, float], Method] = {}
        for peak in peaks.tolist():
            runs["cosine", 1.0, peak] = sl.methods.sgd(sl.schedules.cosine(steps, peak))
            for shape in SHAPES:
                for fraction in FRACTIONS:
                    runs[shape, fraction, peak] = sl.methods.sgd(_cooled(steps, peak, fraction, shape))
            constant = sl.methods.sgd(sl.schedules.constant(steps, peak))
            for window in WINDOWS:
                runs["average", window, peak] = sl.methods.tail_average(constant, window)
        trace = sl.exact(problem, list(runs.values()), record=2, progress=False)
        risk = trace.final().sum(["component", "subspace"]).values
        # A run that left the stable rates has no loss to compare.
        risk = np.where(trace.status.values == "done", risk, 1e9)
        ways, fractions, tried = (np.array(part) for part in zip(*runs, strict=True))
        rows.append({"problem": name, "way": ways, "fraction": fractions, "peak": tried, "loss": risk + 0.5})
    profiles = {
        "cosine": sl.schedules.cosine(44_000, 1.0),
        "wsd": sl.schedules.wsd(44_000, 1.0, cooldown=0.2),
    }
    bases = [float(schaipp_optimal_base_lr(p.values(), horizons=np.asarray(p.length)).lr) for p in profiles.values()]
    return {"runs": stack(rows), "theory": {"schedule": list(profiles), "base": bases}}


def _tuned(data: Data, problem: str, way: str) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Fractions, losses at the best peak, and best peaks (a parabola through the three best in log peak)."""
    fractions = np.unique(column(data["runs"], "fraction", problem=problem, way=way))
    found = []
    for fraction in fractions:
        peak, loss = (column(data["runs"], k, problem=problem, way=way, fraction=fraction) for k in ("peak", "loss"))
        i = int(np.clip(np.argmin(loss), 1, loss.size - 2))
        x, y = np.log(peak[i - 1 : i + 2]), loss[i - 1 : i + 2]
        usable = y.max() < 1e6 and y[0] > y[1] < y[2]
        top = np.exp(-0.5 * np.divide(*np.polyfit(x - x[1], y, 2)[1::-1]) + x[1]) if usable else peak[np.argmin(loss)]
        found.append((loss.min(), float(top)))
    losses, tops = np.array(found).T
    return fractions, losses, tops


def draw_cooldown(data: Data) -> Figure:
    runs = data["runs"]
    with style():
        figure = new_figure(WIDTH, 4.4)
        panels = figure.subplots(2, 2)
        for row, problem, tags in zip(panels, SOURCES, ("ab", "cd"), strict=True):
            a, b = row
            for i, way in enumerate((*SHAPES, "average")):
                fractions, losses, _ = _tuned(data, problem, way)
                label = "constant + average" if way == "average" else f"cooldown, {way}"
                a.plot(fractions, losses, color=PALETTE[i], ls=DASHES[i], marker=".", label=label)
            cosine = _tuned(data, problem, "cosine")[1][0]
            a.axhline(cosine, color="black", lw=0.9, ls=":", label="cosine")
            a.set(xlabel="cooldown, or window of the average", ylabel="test loss, peak tuned")
            a.set(title=f"({tags[0]}) {problem}")
            a.set_xscale("symlog", linthresh=0.005, linscale=0.3)
            a.set_xticks([0, 0.01, 0.05, 0.2, 1.0], ["0", "1 %", "5 %", "20 %", "100 %"])
            a.set_xticks([], minor=True)
            a.set_xlim(-0.0008, 1.15)
            for i, (way, fraction) in enumerate((("linear", 0.2), ("1-sqrt", 0.2), ("cosine", 1.0), ("linear", 0.0))):
                where = {"problem": problem, "way": way, "fraction": fraction}
                peak, loss = (column(runs, key, **where) for key in ("peak", "loss"))
                label = {1.0: "cosine", 0.0: "constant"}.get(fraction, f"{way}, 20 %")
                good = loss < 1.2 * loss.min()
                colour = (PALETTE[0], PALETTE[1], "black", PALETTE[3])[i]
                b.plot(peak[good], loss[good], color=colour, ls=DASHES[i], marker=".", label=label)
            b.set(xscale="log", xlabel="peak learning rate", ylabel="test loss", title=f"({tags[1]}) {problem}")
            b.set_xticks([0.005, 0.02, 0.05, 0.2, 0.5], ["0.005", "0.02", "0.05", "0.2", "0.5"])
            b.set_xticks([], minor=True)
        panels[0, 0].legend()
        panels[0, 1].legend()
    return figure


def claims_cooldown(data: Data) -> list[Claim]:
    loss: dict[str, dict[str, FloatArray]] = {}
    top: dict[str, dict[str, FloatArray]] = {}
    for problem in SOURCES:
        found = {way: _tuned(data, problem, way) for way in (*SHAPES, "average", "cosine")}
        loss[problem] = {way: values[1] for way, values in found.items()}
        top[problem] = {way: values[2] for way, values in found.items()}
    fractions = list(FRACTIONS)
    at20, at5 = fractions.index(0.2), fractions.index(0.05)
    shape = {p: float(loss[p]["1-sqrt"][at20] / loss[p]["linear"][at20] - 1.0) for p in SOURCES}
    later = {p: float(loss[p]["1-sqrt"].min() / loss[p]["1-sqrt"][at20] - 1.0) for p in SOURCES}
    against = {p: float(loss[p]["1-sqrt"][at20] / loss[p]["cosine"][0] - 1.0) for p in SOURCES}
    short = {p: float(loss[p]["1-sqrt"][at5] / loss[p]["cosine"][0] - 1.0) for p in SOURCES}
    gain = {p: float(loss[p]["average"].min() / loss[p]["linear"][0] - 1.0) for p in SOURCES}
    gap = {p: float(loss[p]["average"].min() / loss[p]["1-sqrt"][at20] - 1.0) for p in SOURCES}
    ratio = {p: float(top[p]["linear"][at20] / top[p]["cosine"][0]) for p in SOURCES}
    base = np.asarray(data["theory"]["base"], dtype=np.float64)
    closed = float(base[1] / base[0])

    def both(values: dict[str, float]) -> str:
        return ", ".join(f"{value:+.2%} ({p})" for p, value in values.items())

    return [
        Claim(
            "1-sqrt is better than linear cooldown",
            "section 3",
            "lower loss at a cooldown of 20 %, both problems",
            both(shape),
            max(shape.values()) < 0.0,
            chosen=ASSUMED,
            reason=both(shape),
        ),
        Claim(
            "a cooldown of 20 % matches cosine",
            "section 3",
            "1-sqrt at most 1 % above cosine, both problems",
            both(against),
            max(against.values()) <= 0.01,
            chosen=ASSUMED,
            reason=both(against),
        ),
        Claim(
            "the gain saturates near 20 %",
            "section 3",
            "longer cooldowns gain at most 1 % more, both problems",
            both(later),
            min(later.values()) >= -0.01,
            chosen=ASSUMED,
            reason=f"what the best cooldown gains over 20 %: {both(later)}",
        ),
        Claim(
            "5 % of a long run almost matches cosine",
            "section 3 (200,000 steps)",
            "1-sqrt at 5 % at most 1 % above cosine, both problems",
            both(short),
            max(short.values()) <= 0.01,
            chosen=ASSUMED,
            reason=both(short),
        ),
        Claim(
            "averaging the weights of a constant run improves it",
            "section 4.1",
            "best window below no average, both problems",
            both(gain),
            max(gain.values()) < 0.0,
            chosen=ASSUMED,
        ),
        Claim(
            "but does not close the gap to a cooldown",
            "section 4.1",
            "best window above 1-sqrt cooldown of 20 %, both problems",
            both(gap),
            min(gap.values()) > 0.0,
            chosen=ASSUMED,
            reason=f"{both(gap)}: on quadratics an average is as good as a cooldown",
        ),
        Claim(
            "the best constant rate is about half of cosine's best peak: by the last-iterate bound",
            "section 3; notes 3, 7.3",
            "0.53 +- 0.005",
            f"{closed:.4f}",
            abs(closed - 0.53) <= 5e-3,
        ),
        Claim(
            "and in regression",
            "section 3",
            "0.4 .. 0.65, both problems",
            ", ".join(f"{value:.2f} ({p})" for p, value in ratio.items()),
            all(0.4 <= value <= 0.65 for value in ratio.values()),
            chosen=ASSUMED,
            reason=", ".join(f"{value:.2f} ({p})" for p, value in ratio.items())
            + "; with much in the tail the largest stable rate caps both",
        ),
    ]


FIGURES = [
    Reproduction(
        "haegele2024-cooldown",
        "Cooldown length and shape, weight averaging, and the best constant rate",
        PAPER,
        2024,
        "Linear regression, capacity 1.5, source 2.0 or 1.2, sigma^2 = 1, d = 5,000 (quick: 500), T = 40,000 (4,000)."
        " Cooldowns of 0 .. 100 %, averages of the last 0.5 .. 40 % of a constant run, cosine; peaks 0.005 .. 0.5.",
        compute_cooldown,
        draw_cooldown,
        claims_cooldown,
        chosen=(ASSUMED,),
        seconds=8.0,
    ),
]
