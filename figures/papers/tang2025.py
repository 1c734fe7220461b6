"""Tang et al. 2025 (arXiv 2505.24452): UBA, a schedule of one parameter, by condition number and budget."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from simlab.figures.columns import first, stack
from simlab.figures.peaks import best_of_grid, best_peaks, critical
from simlab.figures.reproduction import Claim, Data, Reproduction, Scale, column

import simlab as sl
from simlab.arrays import FloatArray
from simlab.plot import DASHES, PALETTE, WIDTH, new_figure, style

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from simlab.methods import Method
    from simlab.schedules import Schedule

__all__ = ["FIGURES"]

PAPER = "Tang, Dong, Zeng, Xun, Lin 2025, arXiv 2505.24452, NeurIPS 2025"
PHIS = (0.25, 0.5, 1.0, 1.4, 2.0, 2.8, 4.0, 8.0)
CONDITIONS = (10.0, 100.0, 1e3, 1e4)
MODES = 64
SHARES = (0.25, 0.5, 1.0)
"""Budgets, of the longest run."""
OTHERS: dict[str, Callable[[int, float], Schedule]] = {
    "cosine": sl.schedules.cosine,
    "linear": sl.schedules.linear,
    "REX": sl.schedules.rex,
    "1-sqrt": lambda steps, peak: sl.schedules.wsd(steps, peak, cooldown=0.2, shape="1-sqrt"),
    "exponential": lambda steps, peak: sl.schedules.exponential(steps, peak, floor=0.01),
    "step": lambda steps, peak: sl.schedules.multi_step(steps, peak, drops=(0.5, 0.75), factor=0.1),
}
REGRESSION = "SGD at batch 1 on regressions in place of ResNets and OLMo"
CHOSEN = (
    "the form of UBA (reconstructed); every peak tuned; 64 eigenvalues spread evenly in log from 1/kappa to 1, equal"
    " starts, sigma^2 = 1; power laws of capacity 1.5, source 1.3 and 2.5"
)


def tasks() -> dict[str, sl.LinearRegression]:
    spread = {
        f"kappa = {kappa:g}": sl.LinearRegression(np.geomspace(1.0, 1.0 / kappa, MODES), np.ones(MODES), 1.0)
        for kappa in CONDITIONS
    }
    powers = {
        f"power law, source {source:g}": sl.LinearRegression.power_law(1_000, 1.5, source, noise_variance=1.0).compress(
            1e-5
        )
        for source in (1.3, 2.5)
    }
    return {**spread, **powers}


def _uba(phi: float) -> Callable[[int, float], Schedule]:
    return lambda steps, peak: sl.schedules.uba(steps, peak, phi=phi)


def compute(scale: Scale) -> Data:
    """risks: best final risk by task, budget and schedule; UBA is named by its phi."""
    longest, points = {"tiny": (64, 3), "quick": (1_024, 7), "full": (8_192, 7)}[scale]
    makers = {**{f"{phi:g}": _uba(phi) for phi in PHIS}, **OTHERS}
    rows = []
    for task, problem in tasks().items():
        cap = critical(problem)
        for share in SHARES:
            steps = round(share * longest)
            peak, risk = best_peaks(
                problem, [_run(make, steps) for make in makers.values()], 2.0 * cap, decades=2.0, points=points
            )
            rows.append({"task": task, "share": share, "schedule": list(makers), "peak": peak, "risk": risk})
    return {"risks": stack(rows)}


def _run(make: Callable[[int, float], Schedule], steps: int) -> Callable[[float], Method]:
    return lambda peak: sl.methods.sgd(make(steps, peak))


def _risk(data: Data, task: str, share: float, schedule: str) -> float:
    return float(column(data["risks"], "risk", task=task, share=share, schedule=schedule)[0])


def _by_phi(data: Data, task: str, share: float) -> FloatArray:
    return np.array([_risk(data, task, share, f"{phi:g}") for phi in PHIS])


def _best_phi(data: Data, task: str, share: float = 1.0) -> float:
    """The phi of the least risk, by a parabola of log risk over log phi through three."""
    return best_of_grid(np.array(PHIS), _by_phi(data, task, share))[0]


def draw(data: Data) -> Figure:
    names = first(data["risks"]["task"])
    with style():
        figure = new_figure(WIDTH, 3.1)
        panels = figure.subplots(1, 3)
        u = np.linspace(0.0, 1.0, 201)
        for i, phi in enumerate(PHIS):
            # The schedule at u = j/200; its last value is the next step's.
            values = np.append(sl.schedules.uba(200, 1.0, phi=phi).values(), 0.0)
            panels[0].plot(u, values, color=PALETTE[i], ls=DASHES[i % 6], label=rf"$\varphi$ = {phi:g}")
        panels[0].set(xlabel="share of the run", ylabel="rate / peak", title="(a) UBA")
        panels[0].legend(ncols=3, loc="lower left", bbox_to_anchor=(-0.2, 1.1), columnspacing=0.8, fontsize=6)
        for i, task in enumerate(names):
            risk = _by_phi(data, task, 1.0)
            look: dict[str, Any] = {"color": PALETTE[i], "marker": "os^Dvx"[i]}
            panels[1].plot(PHIS, risk / risk.min(), ls=DASHES[i], ms=3, label=task, **look)
            best = min(_risk(data, task, 1.0, name) for name in OTHERS)
            rest = [100 * (_risk(data, task, 1.0, name) / best - 1.0) for name in OTHERS]
            one = 100 * (risk.min() / best - 1.0)
            panels[2].plot([*rest, one], ls="", ms=4, mfc="none", **look)
        panels[1].set(xscale="log", xlabel=r"$\varphi$", ylabel="risk over its least", title="(b) full budget")
        panels[1].set_xticks([0.25, 0.5, 1.0, 2.0, 4.0, 8.0], ["1/4", "1/2", "1", "2", "4", "8"])
        panels[1].set_xticks([], minor=True)
        panels[2].set_xticks(range(len(OTHERS) + 1), [*OTHERS, "UBA"], rotation=60)
        panels[2].set(ylabel="risk above the best of six [%]", title="(c) full budget")
        panels[2].set_yscale("symlog", linthresh=1.0)
        panels[2].set_ylim(bottom=-2.0)
        handles, labels = panels[1].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower left", ncols=3)
    return figure


def claims(data: Data) -> list[Claim]:
    names = first(data["risks"]["task"])
    given: dict[str, Any] = {"chosen": CHOSEN, "substituted": REGRESSION}
    spread = names[: len(CONDITIONS)]
    phis = np.array([_best_phi(data, task) for task in spread])
    steps = np.sign(np.diff(phis))
    gain = {
        (task, share): _by_phi(data, task, share).min() / min(_risk(data, task, share, name) for name in OTHERS) - 1.0
        for task in names
        for share in SHARES
    }
    fixed = {
        phi: max(_risk(data, t, s, f"{phi:g}") / _by_phi(data, t, s).min() for t in names for s in SHARES) - 1.0
        for phi in PHIS
    }
    wins = [key for key, value in gain.items() if value < 0.0]
    lost = max(gain, key=lambda key: gain[key])
    first_phi = min(fixed, key=lambda phi: fixed[phi])
    return [
        Claim(
            "the best parameter goes with the condition number",
            "abstract",
            "best phi rises, or falls, with every factor ten of kappa, full budget",
            ", ".join(f"{phi:.2g} ({task})" for phi, task in zip(phis, spread, strict=True)),
            bool(np.all(steps == steps[0]) and steps[0] != 0.0),
            "the length of the run decides too: modes that it does not reach count for nothing",
            paper="a theoretical connection between phi and the condition number",
            turns="by power law: "
            + ", ".join(f"{_best_phi(data, task):.2g} ({task.split(', ')[1]})" for task in names[len(spread) :]),
            **given,
        ),
        Claim(
            "UBA surpasses common schedules under every budget",
            "abstract",
            "risk at the best phi below that of six schedules, every task and budget",
            f"{len(wins)} of {len(gain)}; {min(gain.values()):+.1%} .. {max(gain.values()):+.1%}",
            len(wins) == len(gain),
            "a schedule of another shape is nearer to the optimum of that spectrum",
            paper="consistently surpasses",
            turns=f"worst for {lost[0]}, {lost[1]:.0%} of the budget; wins by budget: "
            + ", ".join(f"{sum(s == share for _, s in wins)} of {len(names)} ({share:.0%})" for share in SHARES),
            **given,
        ),
        Claim(
            "one parameter serves all tasks and budgets",
            "abstract: a trade-off between flexibility and simplicity",
            "some phi within 2 % of the best phi everywhere",
            ", ".join(f"{value:.1%} (phi = {phi:g})" for phi, value in fixed.items()) + " at worst",
            fixed[first_phi] <= 0.02,
            "spectra that ask for early decay and such that ask for late decay are both among the tasks",
            paper="phi is to be selected",
            **given,
        ),
    ]


FIGURES = [
    Reproduction(
        "tang2025-uba",
        "UBA: its parameter by condition number, and its rank by budget",
        PAPER,
        2025,
        "SGD at batch 1, 1,024 steps (full: 8,192), half and a quarter of them, on 64 modes of condition number 10 .."
        " 10^4 and on two power laws, sigma^2 = 1. UBA in a reconstructed form with phi = 0.25 .. 8 (2 is cosine)"
        " against six schedules, each at its best peak.",
        compute,
        draw,
        claims,
        chosen=(CHOSEN,),
        substituted=(REGRESSION,),
        seconds=3.0,
    )
]
