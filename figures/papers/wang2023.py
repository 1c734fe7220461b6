"""Wang, Lin and Chen 2023 (arXiv 2310.03156): FedHyper, rates that descend their own gradient, on one worker."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from simlab.figures.columns import first, stack
from simlab.figures.peaks import final_risks
from simlab.figures.reproduction import Claim, Data, Reproduction, Scale, column
from simlab.figures.results.optima import power_law, tuned

import simlab as sl
from simlab.arrays import FloatArray
from simlab.plot import DASHES, PALETTE, WIDTH, new_figure, style

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["FIGURES"]

PAPER = "Wang, Lin and Chen 2023, arXiv 2310.03156"
CAPACITY, NOISE = 1.5, 1.0
SOURCES = (1.3, 2.0)
BETAS = (1e-3, 1e-2, 1e-1)
RATES = (0.01, 0.03, 0.1, 0.3)
MODEL = "SGD on a regression in the place of FedAvg on image and text classifiers; one worker"


def compute(scale: Scale) -> Data:
    """ends: final risk by source, beta (0: constant) and first rate, and steps to what the constant rate ends at.

    curves: rate by step of one problem.  rivals: tuned constant and linear decay, and the greedy rate of one step.
    """
    steps, betas, starts = {
        "tiny": (60, BETAS[1:], RATES[::3]),
        "quick": (1_000, BETAS, RATES),
        "full": (4_000, BETAS, RATES),
    }[scale]
    table, curves, rivals = [], [], []
    for source in SOURCES:
        problem = power_law(CAPACITY, source, NOISE, 10**6)
        for rate in starts:
            flat = sl.methods.sgd(sl.schedules.constant(steps, rate))
            constant = float(final_risks(problem, [flat])[0])
            table.append({"source": source, "beta": 0.0, "start": rate, "risk": constant, "reached": steps})
            loops = {f"{beta:g}": sl.methods.closed_loop(flat, sl.feedback.hypergradient(beta)) for beta in betas}
            trace = sl.limit(problem, loops, record=120, progress=False)
            step = trace.dataset["step"].values
            for beta in betas:
                risk = trace.total().sel(run=f"{beta:g}").values
                rates = trace.dataset["rate"].sel(run=f"{beta:g}").values[:-1]
                below = np.flatnonzero(risk <= constant)
                reached = step[below[0]] if below.size else np.inf
                table.append({"source": source, "beta": beta, "start": rate, "risk": risk[-1], "reached": reached})
                curves.append({"source": source, "beta": beta, "start": rate, "step": step[:-1], "rate": rates})
        greedy = sl.methods.closed_loop(flat, sl.feedback.line_search())
        one = sl.limit(problem, greedy, record=120, progress=False)
        rivals.append({"source": source, "way": "greedy", "risk": float(one.total().values[-1])})
        curves.append(
            {"source": source, "beta": -1.0, "start": 0.0, "step": step[:-1], "rate": one.dataset["rate"].values[:-1]}
        )
        for family in ("constant", "linear"):
            rivals.append({"source": source, "way": family, "risk": tuned(problem, family, steps).risk})
    return {"ends": stack(table), "curves": stack(curves), "rivals": stack(rivals)}


def draw(data: Data) -> Figure:
    table = data["ends"]
    with style():
        figure = new_figure(WIDTH, 2.9)
        panels = figure.subplots(1, 3)
        rates, *risks = panels
        source = SOURCES[0]
        betas = [beta for beta in first(table["beta"]) if beta > 0.0]
        starts = first(table["start"])
        for colour, beta in zip(PALETTE, betas, strict=False):
            for dashes, start in zip(DASHES, (starts[0], starts[-1]), strict=False):
                step, rate = (
                    column(data["curves"], n, source=source, beta=beta, start=start) for n in ("step", "rate")
                )
                rates.plot(step + 1, rate, color=colour, ls=dashes)
        step, rate = (column(data["curves"], n, source=source, beta=-1.0) for n in ("step", "rate"))
        rates.plot(step + 1, rate, color="black", lw=0.9, label="greedy: least risk one step ahead")
        for dashes, start in zip(DASHES, (starts[0], starts[-1]), strict=False):
            rates.plot([], [], color="0.3", ls=dashes, label=f"from {start:g}")
        rates.set(xscale="log", yscale="log", xlabel="step", ylabel="learning rate", title=f"(a) source {source:g}")
        for letter, axes, source in zip("bc", risks, SOURCES, strict=True):
            for colour, beta in zip(PALETTE, betas, strict=False):
                start, risk = (column(table, name, source=source, beta=beta) for name in ("start", "risk"))
                axes.plot(start, risk, "o-", ms=3, color=colour, label=rf"hypergradient, $\beta$ = {beta:g}")
            start, risk = (column(table, name, source=source, beta=0.0) for name in ("start", "risk"))
            sound = np.isfinite(risk)
            axes.plot(start[sound], risk[sound], "s--", ms=3, color=PALETTE[3], label="constant")
            for way, dashes in (("constant", ":"), ("linear", "-.")):
                best = column(data["rivals"], "risk", source=source, way=way)[0]
                axes.axhline(best, color="0.3", lw=0.9, ls=dashes, label=f"{way}, best peak")
            axes.set(xscale="log", yscale="log", xlabel="first learning rate", ylabel="final risk")
            axes.set_xticks(starts, [f"{start:g}" for start in starts])
            axes.set_xticks([], minor=True)
            axes.set_title(f"({letter}) source {source:g}")
        handles = [axes.get_legend_handles_labels() for axes in panels[:2]]
        lines, names = ([x for pair in handles for x in pair[j]] for j in (0, 1))
        figure.legend(lines, names, loc="outside lower center", ncols=3)
    return figure


def _risk(data: Data, source: float, beta: float) -> FloatArray:
    return column(data["ends"], "risk", source=source, beta=beta)


def claims(data: Data) -> list[Claim]:
    table, fast = data["ends"], max(first(data["ends"]["beta"]))
    spread, flat, speed, against = {}, {}, {}, {}
    for source in SOURCES:
        risk, constant = _risk(data, source, fast), _risk(data, source, 0.0)
        spread[source] = float(risk.max() / risk.min() - 1.0)
        flat[source] = float(constant.max() / constant.min() - 1.0)
        here = {"source": source}
        steps = column(table, "reached", beta=0.0, **here)[0]
        speed[source] = steps / column(table, "reached", beta=fast, **here)
        best = {way: column(data["rivals"], "risk", way=way, **here)[0] for way in ("constant", "linear", "greedy")}
        against[source] = [_risk(data, source, beta)[-2] / best["linear"] for beta in first(table["beta"]) if beta > 0]
    starts = first(table["start"])
    near = {source: _far(data, source, fast) for source in SOURCES}
    shown = ", ".join(f"{start:g}" for start in starts)
    return [
        Claim(
            "the end does not depend on the first learning rate",
            "abstract: robust to the initial learning rate",
            f"final risks within 2 % of one another from {starts[0]:g} to {starts[-1]:g}, at beta = {fast:g}",
            ", ".join(
                f"source {source:g}: {each:.2%} (constant {flat[source]:.0%})" for source, each in spread.items()
            ),
            all(each <= 0.02 for each in spread.values()),
            "the first rate is remembered",
            paper="robust to bad initial learning rates",
            substituted=MODEL,
            turns="at smaller beta the spread is "
            + ", ".join(
                f"{np.ptp(_risk(data, SOURCES[0], b)) / _risk(data, SOURCES[0], b).min():.0%} (beta = {b:g})"
                for b in first(table["beta"])
                if 0.0 < b < fast
            )
            + f" for source {SOURCES[0]:g}",
        ),
        Claim(
            "it is 1.1 to 3 times as fast as a constant rate",
            "abstract: against FedAvg",
            f"steps of the constant rate over those to its final risk, beta = {fast:g}: at least 1.1 from each rate",
            "; ".join(
                f"source {source:g}, from {shown}: "
                + ", ".join(f"{x:.2g}" if x > 0 else "never" for x in speed[source])
                for source in SOURCES
            ),
            all(bool(np.all(each >= 1.1)) for each in speed.values()),
            "greedy rates are too low in the long run, and a constant rate that is not far off ends lower",
            paper="1.1 to 3 x faster convergence than FedAvg",
            substituted=MODEL,
            turns="at least 1.1 "
            + "; ".join(
                f"from {', '.join(f'{start:g}' for start, x in zip(starts, each, strict=True) if x >= 1.1) or 'none'}"
                f" at source {source:g}"
                for source, each in speed.items()
            ),
        ),
        Claim(
            "it ends at the rate that leaves the least risk one step ahead",
            "derivative of the next risk in the rate is -<g, g'>: fixed point of the rule is greedy line search",
            f"rates over the last half within 10 % of that rate at beta = {fast:g}",
            ", ".join(f"source {source:g}: within {each:.1%}" for source, each in near.items()),
            all(each <= 0.1 for each in near.values()),
            "the rate still lags",
            own=True,
        ),
        Claim(
            "where much of the error lies in the tail, the faster it adapts the worse it ends",
            "the rate of the next step forgets the tail (short-horizon bias)",
            f"source {SOURCES[0]:g}, from {starts[-2]:g}: risk rises with beta, to 1.3 times tuned linear or more",
            "; ".join(
                f"source {source:g}: {', '.join(f'{x:.2f}' for x in ratios)} times tuned linear decay"
                for source, ratios in against.items()
            ),
            bool(np.all(np.diff(against[SOURCES[0]]) > 0.0) and against[SOURCES[0]][-1] >= 1.3),
            "the risk does not rise with beta",
            own=True,
        ),
    ]


def _far(data: Data, source: float, beta: float) -> float:
    """Largest relative distance from the greedy rate over the last half, from any start."""
    step, greedy = (column(data["curves"], name, source=source, beta=-1.0) for name in ("step", "rate"))
    late = step >= 0.5 * step[-1]
    starts = first(data["ends"]["start"])
    rates = [column(data["curves"], "rate", source=source, beta=beta, start=start)[late] for start in starts]
    return float(np.max(np.abs(np.array(rates) / greedy[late] - 1.0)))


FIGURES = [
    Reproduction(
        "wang2023-hypergradient",
        "Rates that descend their own gradient",
        PAPER,
        2023,
        "lr <- lr + beta <g, g'>, closed over exact moments: SGD of batch 1 on power laws of 10^6 modes, capacity 1.5, "
        "source 1.3 and 2, noise 1; 1,000 steps (full: 4,000) from four first rates. Beside it the constant rate, the "
        "best constant and linear ones, and the greedy rate of exact line search.",
        compute,
        draw,
        claims,
        substituted=(MODEL,),
        seconds=3.0,
    )
]
