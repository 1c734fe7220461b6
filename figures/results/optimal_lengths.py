"""The optimal schedule as runs get longer: exponents that theorems give, and when they are there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from simlab.figures.columns import stack
from simlab.figures.reproduction import Claim, Data, Reproduction, Scale, column
from simlab.figures.results.optima import legend, power_law
from simlab.theory.optimal_rates import optimal_exponent

import simlab as sl
from simlab.plot import PALETTE, WIDTH, new_figure, shades, style

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["FIGURES"]

CASES = {"easy": (1.5, 2.5), "hard": (2.0, 1.5)}
"""Phase -> capacity and source."""
WIDE = 10**13
"""Modes: the last of them is not learned within 10^12 steps."""
NEAR_END = (0.03, 0.3)
"""Shares of the run left between which the decay is held against a power."""
LIMITS = "limits: Li et al. 2026 (arXiv 2602.06797), Bordelon and Mori 2026 (2602.04774)"


def _below_half(lr: Any, steps: int) -> float:
    """The share of the run after the last step at half the peak or more; in steps of 1 % of what is left."""
    at = np.unique(steps - np.geomspace(1, steps, 1 + round(230 * np.log10(steps))).round().astype(np.int64))
    return 1.0 - float(at[lr(at) >= 0.5 * lr.peak()].max()) / steps


def compute(scale: Scale) -> Data:
    """law: exponents and shares by length; rates: the schedules; risks: of the runs, by the long engine."""
    decades = {"tiny": [3, 4], "quick": [4, 6, 8, 10, 12], "full": list(range(4, 13))}[scale]
    run = {"tiny": [3, 4], "quick": [4, 10, 12], "full": list(range(4, 13, 2))}[scale]
    law, rates, risks = [], [], []
    for case, (capacity, source) in CASES.items():
        problem = power_law(capacity, source, 1.0, WIDE)
        for decade in decades:
            steps = 10**decade
            lr = sl.schedules.spectral(problem, steps, level="formula")
            left = np.geomspace(*NEAR_END, 30)
            at = steps - (left * steps).round().astype(np.int64)
            slope = float(np.polyfit(np.log(1.0 - at / steps), np.log(lr(at)), 1)[0])
            row = {"peak": lr.peak(), "decay": slope, "half": _below_half(lr, steps)}
            law.append({"case": case, "decade": [decade], **row})
            shown = np.unique(
                np.append(np.linspace(0.0, 1.0 - 1.0 / steps, 200), 1.0 - np.geomspace(1.0 / steps, 0.1, 60))
            )
            values = lr((shown * steps).astype(np.int64)) / lr.peak()
            rates.append({"case": case, "decade": decade, "at": shown, "lr": values})
            if decade in run:
                trace = sl.long(problem, sl.methods.sgd(lr), record=2, tolerance=1e-4, progress=False)
                risks.append({"case": case, "decade": [decade], "risk": trace.total().values[-1:]})
    return {"law": stack(law), "rates": stack(rates), "risks": stack(risks)}


def _limits(case: str) -> tuple[float, float, float]:
    """Exponents at T -> infinity: of the decay, of the peak in 1/T, of the risk in 1/T."""
    capacity, source = CASES[case]
    if source > capacity:
        return 2.0 * capacity - 1.0, 1.0 - capacity / source, float(optimal_exponent(capacity, source))
    return 0.0, 0.0, (source - 1.0) / capacity


def _slopes(table: Any, name: str, case: str) -> tuple[Any, Any]:
    """Decades half-way between two runs, and minus the exponent of T there."""
    decade, values = (column(table, key, case=case) for key in ("decade", name))
    return 0.5 * (decade[1:] + decade[:-1]), -np.diff(np.log10(values)) / np.diff(decade)


def draw(data: Data) -> Figure:
    decades = np.unique(column(data["law"], "decade"))
    colours = dict(zip(decades, shades(decades.size), strict=True))
    with style():
        figure = new_figure(WIDTH, 3.0)
        panels = figure.subplots(1, 4, width_ratios=(1.1, 1.1, 1.0, 1.0))
        for axes, (case, (capacity, source)) in zip(panels, CASES.items(), strict=False):
            for decade in decades:
                at, lr = (column(data["rates"], key, case=case, decade=decade) for key in ("at", "lr"))
                axes.plot(
                    at,
                    lr,
                    color=colours[decade],
                    lw=1.2,
                    label=f"$T = 10^{{{decade:.0f}}}$" if case == "easy" else None,
                )
            axes.set(
                xlabel="share of the run",
                title=f"({'ab'[case == 'hard']}) {case}: {capacity:g}, {source:g}",
                ylim=(0, 1.05),
                xlim=(0, 1),
            )
        panels[0].set_ylabel("learning rate / peak")
        decade, decay = (column(data["law"], key, case="easy") for key in ("decade", "decay"))
        half = column(data["law"], "half", case="hard")
        panels[2].plot(
            decade,
            decay / _limits("easy")[0],
            "o-",
            color=PALETTE[0],
            ms=3.5,
            label="easy: exponent of the decay / its limit",
        )
        panels[2].plot(decade, half, "s-", color=PALETTE[1], ms=3.5, label="hard: share of the run below half the peak")
        panels[2].axhline(1.0, color=PALETTE[0], ls="--", lw=0.8, zorder=0)
        panels[2].set(
            xlabel="$\\log_{10} T$",
            title="(c) shape",
            ylim=(0, None),
            xticks=np.unique(decade[[0, decade.size // 2, -1]]),
        )
        for i, case in enumerate(CASES):
            for j, (table, name) in enumerate((("risks", "risk"), ("law", "peak"))):
                at, slope = _slopes(data[table], name, case)
                label = f"{case}: exponent of the {name} in 1/T"
                panels[3].plot(at, slope, "^v"[j] + ["-", ":"][j], color=PALETTE[2 + i], ms=3.5, lw=1.0, label=label)
                panels[3].axhline(_limits(case)[2 - j], color=PALETTE[2 + i], ls="--", lw=0.8, zorder=0)
        panels[3].set(
            xlabel="$\\log_{10} T$",
            title="(d) powers of T",
            ylim=(-0.03, None),
            xticks=panels[2].get_xticks(),
            xlim=panels[2].get_xlim(),
        )
        panels[3].plot([], [], color="0.4", ls="--", lw=0.9, label="limit")
        legend(figure, panels, 3)
    return figure


def claims(data: Data) -> list[Claim]:
    law, made = data["law"], []
    decade, decay = (column(law, key, case="easy") for key in ("decade", "decay"))
    limit = _limits("easy")[0]
    far = bool(decade[-1] == 12.0)
    made.append(
        Claim(
            "easy: the exponent of the decay rises to 2 capacity - 1 and is there only in very long runs",
            f"slope of log rate against log steps left, from {NEAR_END[0]:g} to {NEAR_END[1]:g} of the run; {LIMITS}",
            "within 0.1 of the limit at 10^12 steps, less than half of it at 10^4, and always rising",
            f"{', '.join(f'{each:.2f}' for each in decay)}; 10^{decade[0]:.0f} to 10^{decade[-1]:.0f}; limit {limit:g}",
            far and bool(np.all(np.diff(decay) > 0) and decay[0] < 0.5 * limit and abs(decay[-1] - limit) < 0.1),
            "runs are too short",
            own=True,
        )
    )
    half = column(law, "half", case="hard")
    made.append(
        Claim(
            "hard: the share of the run below half the peak goes to zero, yet is 14 to 31 % for 10^4 to 10^6 steps",
            f"the cooldown of the full law on capacity {CASES['hard'][0]:g}, source {CASES['hard'][1]:g}; {LIMITS}",
            "0.14 to 0.31 at 10^4 and 10^6 steps, under 0.02 at 10^12, always falling",
            f"{', '.join(f'{100 * value:.1f} %' for value in half)}",
            far
            and bool(np.all(np.diff(half) < 0) and half[-1] < 0.02)
            and all(0.14 <= value <= 0.31 for value in half[decade <= 6]),
            "runs are too short",
            own=True,
        )
    )
    peak = _slopes(law, "peak", "easy")[1]
    made.append(
        Claim(
            "easy: the best peak falls as T^-(1 - capacity / source); hard: it does not fall",
            f"S ~ T^(capacity / source) balances bias and noise; {LIMITS}",
            "exponent within 0.01 between the two longest runs; the hard peak within 10 % over all lengths and rising",
            f"{peak[-1]:.4f} against {_limits('easy')[1]:.4f}, {peak[0]:.3f} between the shortest; hard: "
            f"{', '.join(f'{value:.3f}' for value in column(law, 'peak', case='hard'))}",
            far
            and bool(abs(peak[-1] - _limits("easy")[1]) <= 0.01)
            and bool(
                np.all(np.diff(column(law, "peak", case="hard")) > 0)
                and np.ptp(np.log(column(law, "peak", case="hard"))) < 0.1
            ),
            "up to 10^8 steps the hard peak still rises to its limit, and at 10^4 it is more than 10 % below",
            own=True,
        )
    )
    for case, formula, within in (("easy", "(source - 1) / source", 0.003), ("hard", "(source - 1) / capacity", 0.015)):
        slope, limit = _slopes(data["risks"], "risk", case)[1], _limits(case)[2]
        made.append(
            Claim(
                f"{case}: the risk of the law falls as T^-{formula} at last",
                f"runs of the schedule by sl.long; {LIMITS}",
                f"exponent within {within:g} between the two longest runs",
                f"{slope[-1]:.4f} against {limit:.4f}; {slope[0]:.3f} between the two shortest",
                far and bool(abs(slope[-1] - limit) <= within),
                "runs are too short",
                own=True,
            )
        )
    return made


FIGURES = [
    Reproduction(
        "results-lengths",
        "The optimal schedule from 10^4 to 10^12 steps: theorems as limits",
        "This project",
        2026,
        "The law in closed form (S by its formula, no run) for SGD at batch 1 on two power laws of 10^13 modes, noise "
        "variance 1: easy (capacity 1.5, source 2.5) and hard (2, 1.5); its runs by the long engine. Not shown: the "
        "optimum itself beyond 10^4 steps, which the law stands for (within 0.001 % where both were made, to 10^6 "
        "steps), and exponents of other spectra.",
        compute,
        draw,
        claims,
        seconds=5.0,
    )
]
