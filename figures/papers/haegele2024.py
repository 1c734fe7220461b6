"""Hägele et al. 2024 (arXiv 2405.18392): cooldowns against cosine, and weight averages."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from simlab.figures.columns import stack
from simlab.figures.reproduction import Claim, Data, Reproduction, Scale, Table, column
from simlab.theory.schaipp2025 import schaipp_optimal_base_lr

import simlab as sl
from simlab.arrays import FloatArray
from simlab.plot import DASHES, PALETTE, WIDTH, new_figure, style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from simlab.methods import Method
    from simlab.schedules import Schedule

PAPER = "Hägele, Bakouch, Kosson, Ben Allal, von Werra, Jaggi 2024, arXiv 2405.18392"
SOURCES = {"little in the tail": 2.0, "much in the tail": 1.2}
MAIN, OTHER = SOURCES
FRACTIONS = (0.0, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 1.0)
WINDOWS = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.4)
PAPERS_WINDOW = 0.1
"""The authors' averages are windows of 500 steps, five at most, of runs of 25,000 and more: a tenth of the run."""
SHAPES = ("linear", "1-sqrt")
COSINES = {"cosine to 10 %": 0.1, "cosine to 0": 0.0}
"""The authors' code lets cosine end at a tenth of its peak, and the cooldown at zero."""
BASELINE = "cosine to 10 %"
SIZES = {"tiny": (30, 200, 5), "quick": (500, 4_000, 21), "full": (5_000, 40_000, 33)}
LONG = {"tiny": (30, 400, 5), "quick": (5_000, 40_000, 21), "full": (5_000, 200_000, 21)}
"""(d, steps, peaks) of what is said of a long run; the paper's is of 200,000 steps."""
REGRESSION = "a regression (power law of capacity 1.5, sigma^2 = 1) in place of the language model"
TUNED = "every peak tuned on a grid from 0.005 to 0.5"


def _cooled(steps: int, peak: float, fraction: float, shape: str) -> Schedule:
    return sl.schedules.wsd(steps, peak, cooldown=fraction, shape=shape)


def compute_cooldown(scale: Scale) -> Data:
    """runs: loss of every way, fraction and peak; long: of a short cooldown and cosine in a long run."""
    dim, steps, count = SIZES[scale]
    rows = []
    for name, source in SOURCES.items():
        runs: dict[tuple[str, float, float], Method] = {}
        for peak in np.geomspace(0.005, 0.5, count).tolist():
            runs |= _cosines(steps, peak)
            for shape in SHAPES:
                for fraction in FRACTIONS:
                    runs[shape, fraction, peak] = sl.methods.sgd(_cooled(steps, peak, fraction, shape))
            constant = sl.methods.sgd(sl.schedules.constant(steps, peak))
            for window in WINDOWS:
                runs["average", window, peak] = sl.methods.tail_average(constant, window)
        rows.append(_losses(name, source, dim, runs))
    profiles = {
        "cosine": sl.schedules.cosine(44_000, 1.0),
        "wsd": sl.schedules.wsd(44_000, 1.0, cooldown=0.2),
    }
    bases = [float(schaipp_optimal_base_lr(p.values(), horizons=np.asarray(p.length)).lr) for p in profiles.values()]
    return {"runs": stack(rows), "long": _long(scale), "theory": {"schedule": list(profiles), "base": bases}}


def _long(scale: Scale) -> dict[str, Any]:
    dim, steps, count = LONG[scale]
    rows = []
    for name, source in SOURCES.items():
        runs: dict[tuple[str, float, float], Method] = {}
        for peak in np.geomspace(0.005, 0.5, count).tolist():
            runs |= _cosines(steps, peak)
            for fraction in (0.05, 0.2):
                runs["1-sqrt", fraction, peak] = sl.methods.sgd(_cooled(steps, peak, fraction, "1-sqrt"))
        rows.append({**_losses(name, source, dim, runs), "T": steps})
    return stack(rows)


def _cosines(steps: int, peak: float) -> dict[tuple[str, float, float], Method]:
    return {
        (name, 1.0, peak): sl.methods.sgd(sl.schedules.cosine(steps, peak, floor=floor))
        for name, floor in COSINES.items()
    }


def _losses(name: str, source: float, dim: int, runs: dict[tuple[str, float, float], Method]) -> dict[str, Any]:
    """Test loss of every run on one problem; 1e9 where it diverged, for there is no loss to compare."""
    problem = sl.LinearRegression.power_law(dim=dim, capacity=1.5, source=source, noise_variance=1.0).compress()
    trace = sl.exact(problem, list(runs.values()), record=2, progress=False)
    risk = trace.final().sum(["component", "subspace"]).values
    ways, fractions, peaks = (np.array(part) for part in zip(*runs, strict=True))
    loss = np.where(trace.status.values == "done", risk, 1e9) + 0.5
    return {"problem": name, "way": ways, "fraction": fractions, "peak": peaks, "loss": loss}


def _tuned(runs: Table, problem: str, way: str) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Fractions, losses at the best peak, and best peaks (a parabola through the three best in log peak)."""
    fractions = np.unique(column(runs, "fraction", problem=problem, way=way))
    found = []
    for fraction in fractions:
        peak, loss = (column(runs, k, problem=problem, way=way, fraction=fraction) for k in ("peak", "loss"))
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
        figure = new_figure(WIDTH, 4.7)
        panels = figure.subplots(2, 2)
        for row, problem, tags in zip(panels, SOURCES, ("ab", "cd"), strict=True):
            _lengths(row[0], runs, problem)
            _peaks(row[1], runs, problem)
            for axes, tag in zip(row, tags, strict=True):
                axes.set_title(f"({tag}) {problem}")
        figure.legend(*panels[0, 0].get_legend_handles_labels(), loc="outside upper left", ncols=3)
        panels[0, 1].legend()
    return figure


def _lengths(axes: Axes, runs: Table, problem: str) -> None:
    """Loss at the best peak over the length of the cooldown, or the window of an average."""
    for i, way in enumerate((*SHAPES, "average")):
        fractions, losses, _ = _tuned(runs, problem, way)
        some = fractions > 0.0
        label = "constant + average" if way == "average" else f"cooldown, {way}"
        axes.plot(100 * fractions[some], losses[some], color=PALETTE[i], ls=DASHES[i], marker=".", label=label)
    for name, dash in zip(COSINES, (":", "--"), strict=True):
        axes.axhline(_tuned(runs, problem, name)[1][0], color="black", lw=0.9, ls=dash, label=name)
    axes.axhline(_tuned(runs, problem, "linear")[1][0], color="0.6", lw=0.9, label="constant")
    axes.set(xscale="log", xlabel="cooldown, or window of the average [% of the run]", ylabel="test loss, peak tuned")
    axes.set_xticks([0.5, 1, 2, 5, 10, 20, 50, 100], ["0.5", "1", "2", "5", "10", "20", "50", "100"])
    axes.set_xticks([], minor=True)


def _peaks(axes: Axes, runs: Table, problem: str) -> None:
    shown = (("linear", 0.2), ("1-sqrt", 0.2), (BASELINE, 1.0), ("linear", 0.0))
    for i, (way, fraction) in enumerate(shown):
        peak, loss = (column(runs, key, problem=problem, way=way, fraction=fraction) for key in ("peak", "loss"))
        label = {1.0: way, 0.0: "constant"}.get(fraction, f"{way}, 20 %")
        good = loss < 1.2 * loss.min()
        colour = (PALETTE[0], PALETTE[1], "black", PALETTE[3])[i]
        axes.plot(peak[good], loss[good], color=colour, ls=DASHES[i], marker=".", label=label)
    axes.set(xscale="log", xlabel="peak learning rate", ylabel="test loss")
    low, high = axes.get_xlim()
    ticks = [tick for tick in (0.005, 0.02, 0.05, 0.1, 0.2, 0.5) if low < tick < high]
    axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    axes.set_xticks([], minor=True)


def _by_problem(values: dict[str, float]) -> str:
    return ", ".join(f"{value:+.2%} ({problem})" for problem, value in values.items())


def _excess(runs: Table, problem: str, one: tuple[str, float], other: tuple[str, float]) -> float:
    """Loss of one way at a fraction over that of another one, less 1, each at its best peak."""
    found = []
    for way, fraction in (one, other):
        fractions, losses, _ = _tuned(runs, problem, way)
        found.append(float(losses[list(fractions).index(fraction)]))
    return found[0] / found[1] - 1.0


def claims_cooldown(data: Data) -> list[Claim]:
    """Of the cooldown and cosine; of averages; of the best rate."""
    return [*_cooldown_claims(data), *_average_claims(data), *_rate_claims(data)]


def _cooldown_claims(data: Data) -> list[Claim]:
    runs, long = data["runs"], data["long"]
    given: dict[str, Any] = {"chosen": TUNED, "substituted": REGRESSION}
    cool, cosine = ("1-sqrt", 0.2), (BASELINE, 1.0)
    shape = {p: _excess(runs, p, cool, ("linear", 0.2)) for p in SOURCES}
    against = {p: _excess(runs, p, cool, cosine) for p in SOURCES}
    to_zero = {p: _excess(runs, p, cool, ("cosine to 0", 1.0)) for p in SOURCES}
    short = {p: _excess(long, p, ("1-sqrt", 0.05), cosine) for p in SOURCES}
    soon = {p: _excess(runs, p, ("1-sqrt", 0.05), cosine) for p in SOURCES}
    losses = {p: _tuned(runs, p, "1-sqrt")[1] for p in SOURCES}
    later = {p: float(losses[p].min() / losses[p][FRACTIONS.index(0.2)] - 1.0) for p in SOURCES}
    steps = int(column(long, "T")[0])
    return [
        Claim(
            "1-sqrt is better than linear cooldown",
            "section 3",
            "lower loss at a cooldown of 20 %, both problems",
            _by_problem(shape),
            max(shape.values()) < 0.0,
            **given,
        ),
        Claim(
            "a cooldown of 20 % matches cosine",
            "section 3; authors' code for the end of cosine",
            "1-sqrt at most 1 % above cosine to 10 %, both problems",
            _by_problem(against),
            max(against.values()) <= 0.01,
            "what is left to learn in the tail needs the higher sum of rates of a cosine at its best peak",
            paper="scales as predictably and reliably as cosine",
            turns=f"against cosine to 0: {_by_problem(to_zero)}",
            **given,
        ),
        Claim(
            "the gain saturates near 20 %",
            "section 3",
            "longer cooldowns gain at most 1 % more, both problems",
            _by_problem(later),
            min(later.values()) >= -0.01,
            **given,
        ),
        Claim(
            "5 % of a long run almost matches cosine",
            "section 3",
            "1-sqrt at 5 % of the long run at most 1 % above cosine to 10 %, both problems",
            f"{_by_problem(short)}, T = {steps:,}",
            max(short.values()) <= 0.01,
            "with so much of the risk in the tail a cooldown of 5 % is too short at this length",
            paper="200,000 steps",
            turns=f"at the length of the other claims, {_by_problem(soon)}: the gap closes as the run grows",
            **given,
        ),
    ]


def _average_claims(data: Data) -> list[Claim]:
    runs = data["runs"]
    given: dict[str, Any] = {"chosen": TUNED, "substituted": REGRESSION}
    averages = {p: _tuned(runs, p, "average") for p in SOURCES}
    of_paper = {p: float(loss[f <= PAPERS_WINDOW].min()) for p, (f, loss, _) in averages.items()}
    any_window = {p: float(loss.min()) for p, (_, loss, _) in averages.items()}
    constant = {p: float(_tuned(runs, p, "linear")[1][0]) for p in SOURCES}
    cooled = {p: float(_tuned(runs, p, "1-sqrt")[1][FRACTIONS.index(0.2)]) for p in SOURCES}
    gain = {p: of_paper[p] / constant[p] - 1.0 for p in SOURCES}
    gap = {p: of_paper[p] / cooled[p] - 1.0 for p in SOURCES}
    wide = {p: any_window[p] / cooled[p] - 1.0 for p in SOURCES}
    return [
        Claim(
            "averaging the weights of a constant run improves it",
            "section 4.1",
            "best window up to 10 % at least 0.1 % below no average, both problems",
            _by_problem(gain),
            max(gain.values()) <= -0.001,
            paper="improved performance along the trajectory at no cost",
            **given,
        ),
        Claim(
            "averaging the weights does not close the gap to a cooldown",
            "section 4.1; authors' code for the windows",
            "best window up to 10 % above 1-sqrt cooldown of 20 %, both problems",
            _by_problem(gap),
            min(gap.values()) > 0.0,
            "on quadratics even a short average is as good as a cooldown",
            paper="windows of 500 steps, five at most",
            turns=f"with windows of 20 or 40 % of the run the average is at {_by_problem(wide)}",
            **given,
        ),
    ]


def _rate_claims(data: Data) -> list[Claim]:
    base = np.asarray(data["theory"]["base"], dtype=np.float64)
    closed = float(base[1] / base[0])
    ratio = {}
    for problem in SOURCES:
        best = _tuned(data["runs"], problem, "linear")[2][FRACTIONS.index(0.2)]
        ratio[problem] = float(best / _tuned(data["runs"], problem, "cosine to 0")[2][0])
    return [
        Claim(
            "the best rate of a cooldown is about half of cosine's best peak: by the last-iterate bound",
            "section 3; ratio of the best base rates of Schaipp et al. 2025 for wsd and cosine",
            "0.53 +- 0.005",
            f"{closed:.4f}",
            abs(closed - 0.53) <= 5e-3,
            paper="half",
        ),
        Claim(
            "the best rate of a cooldown is about half of cosine's best peak: in regression",
            "section 3",
            "0.4 .. 0.65, both problems",
            ", ".join(f"{value:.2f} ({p})" for p, value in ratio.items()),
            all(0.4 <= value <= 0.65 for value in ratio.values()),
            "with much in the tail the largest stable rate caps both peaks",
            paper="half",
            chosen=TUNED,
            substituted=REGRESSION,
        ),
    ]


FIGURES = [
    Reproduction(
        "haegele2024-cooldown",
        "Cooldown length and shape, weight averaging, and the best constant rate",
        PAPER,
        2024,
        "Linear regression, capacity 1.5, source 2.0 or 1.2, sigma^2 = 1, d = 5,000 (quick: 500), T = 40,000 (4,000);"
        " d = 5,000, T = 200,000 (40,000) where a long run is meant. Cooldowns of 0 .. 100 % to zero, averages of the"
        " last 0.5 .. 40 % of a constant run, cosine to a tenth and to zero; peaks 0.005 .. 0.5.",
        compute_cooldown,
        draw_cooldown,
        claims_cooldown,
        chosen=(TUNED, "windows up to 10 % of the run for the authors' 500 steps"),
        substituted=(REGRESSION,),
        seconds=4.0,
    ),
]
