"""Dremov et al. 2025 (arXiv 2508.01483): cooldown shapes by bias and variance, on linear regression with a tail."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from simlab.figures.columns import first, stack
from simlab.figures.papers.cooldowns import (
    ALPHAS,
    DEFINITION,
    PAPER,
    SHAPES,
    draw_plane,
    lowered_claim,
    order_claim,
    sampled_claim,
)  # fmt: skip
from simlab.figures.reproduction import Claim, Data, Reproduction, Scale, column

import simlab as sl
from simlab import river
from simlab.arrays import FloatArray
from simlab.plot import WIDTH, new_figure, style
from simlab.plot.terrain import RUNS

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from simlab.schedules import Schedule

SOURCES = {"little in the tail": 2.0, "much in the tail": 1.2}
TITLES = dict(zip(SOURCES, "ab", strict=True))
PEAK, SHARE, CAPACITY = 0.3, 0.2, 1.5
SIZES = {"tiny": (30, 200, 16), "quick": (300, 4_000, 128), "full": (2_000, 20_000, 512)}
"""Dimension, steps of the whole run, repeated cooldowns."""
BINS = sl.subspaces.log_bins(6)
MODEL = "SGD on linear regression for AdamW on a language model"
COMPARED = ("1-sqrt", "low.7", "square")


def checkpoint(source: float, dim: int, steps: int) -> sl.LinearRegression:
    """The problem as it stands after so many steps at the peak: its error at the root of E (w - w*)_i^2.

    Features are independent, so that the expected risk of what follows depends on these second moments alone, and
    bias and variance of the cooldown are means over checkpoints.
    """
    problem = sl.LinearRegression.power_law(dim=dim, capacity=CAPACITY, source=source, noise_variance=1.0)
    each = sl.subspaces.modes(*range(1, dim + 1))
    stable = sl.methods.sgd(sl.schedules.constant(steps, PEAK))
    final = sl.exact(problem, stable, record=2, subspaces=each, progress=False).final().sum("component")
    risk = final.sel(subspace=[str(i) for i in range(1, dim + 1)]).values
    lam = problem.eigenvalues
    return sl.LinearRegression(lam, np.sqrt(2.0 * risk / lam), noise_variance=1.0)


def rates(steps: int) -> dict[str, Schedule]:
    """All shapes, and the family of lowered lines as "alpha x"."""
    u = np.arange(steps) / steps
    runs = {name: sl.schedules.from_array(PEAK * shape(u)) for name, shape in SHAPES.items()}
    return runs | {f"alpha {alpha:g}": sl.schedules.from_array(PEAK * alpha * (1.0 - u)) for alpha in ALPHAS}


def split(
    problem: sl.LinearRegression, runs: dict[str, Schedule]
) -> dict[str, tuple[list[str], FloatArray, FloatArray]]:
    """run -> (subspaces, bias, variance) of cooldowns repeated from the problem's initial error, exactly.

    The mean of the cooldowns goes by w <- (1 - eta H) w, so that bias_i = 1/2 lam_i delta_i^2 prod_t (1 - eta_t
    lam_i)^2; variance is what the expected risk has above. With multiplicative noise it is not `simlab.exact`'s
    variance, which leaves out what the start feeds into the noise.
    """
    lam, delta = problem.eigenvalues, problem.initial_error
    named = {name: sl.methods.sgd(schedule) for name, schedule in runs.items()}
    final = sl.exact(problem, named, record=2, subspaces=BINS, progress=False).final().sum("component")
    ranges = BINS.ranges(lam.size, lambda threshold: 0, 1.0)
    labels, edges = [name for name, _ in ranges], [pieces[0][0] for _, pieces in ranges]
    out = {}
    for name, schedule in runs.items():
        mean = delta.copy()
        for rate in schedule.values().tolist():
            mean *= 1.0 - rate * lam
        bias = np.add.reduceat(0.5 * lam * mean**2, edges)
        out[name] = (labels, bias, final.sel(run=name, subspace=labels).values - bias)
    return out


def compute(scale: Scale) -> Data:
    dim, steps, replicas = SIZES[scale]
    cooldown = round(SHARE * steps)
    runs = rates(cooldown)
    table: list[dict[str, Any]] = []
    lowered: list[dict[str, Any]] = []
    sampled, parts, whole = [], [], []
    for name, source in SOURCES.items():
        problem = checkpoint(source, dim, steps - cooldown)
        for run, (labels, bias, variance) in split(problem, runs).items():
            bias, variance = 1e3 * bias, 1e3 * variance
            row = {"problem": name, "shape": run.removeprefix("alpha ")}
            sums = {**row, "bias": bias.sum(), "variance": variance.sum()}
            (table if run in SHAPES else lowered).append(sums)
            if run in SHAPES:
                parts.append({**row, "bin": labels, "bias": bias, "variance": variance})
        sampled += _sampled(name, problem, {run: runs[run] for run in SHAPES}, replicas)
        whole.append({"problem": name, "risk": 1e3 * _whole_run(source, dim, steps), "shape": "linear"})
    return {
        "table": stack(table),
        "lowered": stack(lowered),
        "sampled": stack(sampled),
        "parts": stack(parts),
        "whole": stack(whole),
    }


def _whole_run(source: float, dim: int, steps: int) -> float:
    """Risk at the end of an uninterrupted run with a linear cooldown."""
    problem = sl.LinearRegression.power_law(dim=dim, capacity=CAPACITY, source=source, noise_variance=1.0)
    wsd = sl.methods.sgd(sl.schedules.wsd(steps, PEAK, cooldown=SHARE))
    return float(sl.exact(problem, wsd, record=2, progress=False).total()[-1])


def _sampled(name: str, problem: sl.LinearRegression, runs: dict[str, Schedule], replicas: int) -> list[dict[str, Any]]:
    """Bias and variance as one would measure them: the same checkpoint, other data."""
    dim = problem.eigenvalues.size
    # The risk as a landscape: a river of slope 0 beside the hills.
    landscape = river.straight_landscape(problem.eigenvalues)
    out = []
    for seed, (run, schedule) in enumerate(runs.items()):
        trace = sl.sample(
            problem, sl.methods.sgd(schedule), replicas=replicas, seed=seed, record=2, split=False,
            coordinates=range(1, dim + 1), progress=False,
        )  # fmt: skip
        final = trace.dataset["trajectory"].isel(step=-1).transpose("replica", "coordinate").values.astype(float)
        got = river.bias_variance(landscape, np.pad(final, ((0, 0), (1, 0))))
        numbers = {key: 1e3 * getattr(got, key) for key in ("bias", "variance", "bias_error", "variance_error")}
        out.append({"problem": name, "shape": run, "runs": replicas, **numbers})
    return out


# -- picture -----------------------------------------------------------------------------------------------------------


def draw(data: Data) -> Figure:
    with style():
        figure = new_figure(WIDTH, 5.3)
        planes, bars = figure.subplots(2, 2, height_ratios=[1.6, 1.0])
        for (name, tag), axes, below in zip(TITLES.items(), planes, bars, strict=True):
            draw_plane(axes, data, {"problem": name}, "risk × 10$^3$")
            axes.set_title(f"({tag}) {name}")
            _draw_parts(below, data, name)
            below.set_title(f"({'cd'['ab'.index(tag)]}) by subspace, against linear: {name}")
        figure.legend(*planes[0].get_legend_handles_labels(), loc="outside upper center", ncols=8, columnspacing=1.2)
        figure.legend(*bars[0].get_legend_handles_labels(), loc="outside lower center", ncols=6, handlelength=1.2)
    return figure


def _draw_parts(axes: Axes, data: Data, problem: str) -> None:
    """Bias (filled) and variance (hatched) of three shapes, less those of the linear cooldown."""
    parts = data["parts"]
    labels = first(parts["bin"])
    place, wide = np.arange(len(labels)), 0.26
    colours = {"1-sqrt": RUNS[2], "low.7": "0.6", "square": RUNS[3]}
    for j, shape in enumerate(COMPARED):
        at = place + wide * (j - 1)
        for key, hatch in (("bias", None), ("variance", "/////")):
            gap = column(parts, key, problem=problem, shape=shape) - column(parts, key, problem=problem, shape="linear")
            axes.bar(
                at, gap, wide, color=colours[shape] if hatch is None else "white", edgecolor=colours[shape],
                hatch=hatch, lw=0.6, label=f"{shape}, {key}",
            )  # fmt: skip
    axes.axhline(0.0, color="black", lw=0.6)
    axes.set_xticks(place, labels)
    axes.set(xlabel="eigen-indices", ylabel="difference, risk × 10$^3$")
    axes.grid(axis="x", visible=False)


# -- claims ------------------------------------------------------------------------------------------------------------


def claims(data: Data) -> list[Claim]:
    table, lowered = data["table"], data["lowered"]
    loss: dict[str, dict[str, float]] = {}
    for name in SOURCES:
        total = column(table, "bias", problem=name) + column(table, "variance", problem=name)
        loss[name] = dict(zip(SHAPES, total.tolist(), strict=True))
    family = [{key: column(lowered, key, problem=name) for key in ("bias", "variance")} for name in SOURCES]
    missed = max(
        abs(loss[name]["linear"] / float(column(data["whole"], "risk", problem=name)[0]) - 1.0) for name in SOURCES
    )
    share = {
        name: float(column(table, "bias", problem=name, shape="linear")[0]) / loss[name]["linear"] for name in SOURCES
    }
    best = {name: min(loss[name], key=loss[name].__getitem__) for name in SOURCES}
    tail = "bias decides where much is left in the tail"
    turns = "bias is " + ", ".join(f"{share[name]:.0%} of linear's risk with {name}" for name in SOURCES)
    return [
        *(order_claim(loss[name], f"regression, {name}", MODEL, tail, turns, 1) for name in SOURCES),
        lowered_claim(family, "both problems", MODEL, 2),
        Claim(
            "one shape is best for both spectra of the target",
            "least exact risk of the ten shapes, source 2.0 and 1.2",
            "the same of the ten wins",
            ", ".join(f"{shape} ({name})" for name, shape in best.items()),
            len(set(best.values())) == 1,
            reason="the more of the target is left in the tail, the more a cooldown that keeps a high rate is worth",
            turns=turns,
            own=True,
        ),
        Claim(
            "a run split at the checkpoint ends where the whole run does",
            "the second moments at the checkpoint are the start of the cooldown",
            "risk of the linear cooldown the same to 1e-10",
            f"{missed:.1e}",
            missed <= 1e-10,
            reason="the checkpoint does not hold all that the cooldown depends on",
            own=True,
        ),
        sampled_claim(data["sampled"], table, "problems"),
    ]


FIGURES = [
    Reproduction(
        "dremov2025-regression",
        "Cooldown shapes in the bias-variance plane of regression, by subspace",
        PAPER,
        2025,
        "Linear regression, capacity 1.5, source 2.0 or 1.2, sigma^2 = 1, d = 2,000 (quick: 300), T = 20,000 (4,000),"
        " peak 0.3, cooldown over the last fifth. Exact; over it cooldowns repeated from one checkpoint on other data"
        " (512; quick: 128). Dashed: equal bias + variance; ringed: the least.",
        compute,
        draw,
        claims,
        chosen=("the spectrum, its targets and the peak", DEFINITION, "nothing is said about beta_2 of Adam"),
        substituted=(MODEL,),
        seconds=2.0,
    ),
]
