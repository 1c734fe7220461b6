"""Gupta et al. 2023 (arXiv 2308.04014): a trained model warmed up again for a new corpus."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from simlab.figures.columns import stack
from simlab.figures.papers.continual import (
    CHOSEN,
    PEAK,
    REGRESSION,
    cosine,
    domains,
    method,
    mixed,
    phase,
    rest_rate,
)
from simlab.figures.reproduction import Claim, Data, Reproduction, Scale, column
from simlab.figures.results.optima import legend

import simlab as sl
from simlab.plot import DASHES, PALETTE, WIDTH, new_figure, style

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["FIGURES"]

PAPER = "Gupta, Thérien, Ibrahim, Richter, Anthony, Belilovsky, Rish, Lesort 2023, arXiv 2308.04014"
WEAK = 0.05
"""The shift at which statements of the paper are judged; all of SHIFTS are looked at."""
SHIFTS = (0.0, 0.025, 0.05, 0.1, 0.2, 0.5, 1.0)
RUNS = ("re-warmed", "lowest rate", "from scratch")
WARMUPS = (0.0, 0.005, 0.01, 0.02)
PEAKS = (0.5, 1.0, 2.0)
EARLIER = (0.25, 0.5, 0.75, 1.0)
"""Shares of the first phase whose checkpoints are gone on from."""


def compute(scale: Scale) -> Data:
    """curves: risks on A and B along the second phase; ends: at its end, by what was varied."""
    dim, steps = {"tiny": (60, 300), "quick": (300, 2_000), "full": (1_000, 10_000)}[scale]
    marks = np.unique(np.geomspace(1, steps, 60).astype(int))
    curves, ends = [], []
    for shift in SHIFTS:
        pair = domains(dim, shift)
        old, new = mixed(pair, 1.0), mixed(pair, 0.0)
        kept = [round(share * steps) for share in EARLIER]
        trunk = sl.exact(old, method(cosine(steps)), record=2, keep=kept, progress=False)
        states = {share: trunk.state_at(step) for share, step in zip(EARLIER, kept, strict=True)}
        before = trunk.total().values[-1]
        ways = {RUNS[0]: (cosine(steps), states[1.0]), RUNS[1]: (rest_rate(steps), states[1.0])}
        for run, (schedule, state) in {**ways, RUNS[2]: (cosine(steps), None)}.items():
            risks = phase(new, schedule, state, list(marks))[0]
            found = {"step": marks, "A": risks[:, 0], "B": risks[:, 1], "A0": before[0], "B0": before[1]}
            curves.append({"shift": shift, "run": run, **found})
        varied = [
            *(("warmup", value, cosine(steps, warmup=value), states[1.0]) for value in WARMUPS),
            *(("peak", value, cosine(steps, value * PEAK), states[1.0]) for value in PEAKS),
            *(("checkpoint", value, cosine(steps), states[value]) for value in EARLIER),
        ]
        for what, value, schedule, state in varied:
            risks = phase(new, schedule, state)[0][-1]
            ends.append({"shift": shift, "what": what, "value": [value], "A": risks[0], "B": risks[1]})
    return {"curves": stack(curves), "ends": stack(ends)}


def draw(data: Data) -> Figure:
    with style():
        figure = new_figure(WIDTH, 4.4)
        panels = figure.subplots(2, 3)
        for row, shift in zip(panels, (WEAK, 0.5), strict=True):
            for axes, domain in zip(row, "AB", strict=False):
                for j, run in enumerate(RUNS):
                    where: dict[str, Any] = {"shift": shift, "run": run}
                    step, risk, before = (
                        column(data["curves"], key, **where) for key in ("step", domain, domain + "0")
                    )
                    axes.plot(step, risk, color=PALETTE[j], ls=DASHES[j], label=run)
                axes.axhline(before[0], color="0.5", lw=0.8, ls=":", label="end of phase 1")
                axes.set(xscale="log", yscale="log", xlabel="step of phase 2", ylabel=f"risk on {domain}")
                axes.set_title(f"{'old' if domain == 'A' else 'new'} domain, $c = {shift:g}$")
        shifts = np.array(SHIFTS)
        for axes, domain in zip(panels[:, 2], "AB", strict=True):
            for j, peak in enumerate(PEAKS):
                end = [column(data["ends"], domain, shift=s, what="peak", value=peak)[0] for s in shifts]
                axes.plot(shifts, end, "os^"[j], ls="-", color=PALETTE[3 + j], ms=3.5, label=f"peak x {peak:g}")
            axes.set_xscale("symlog", linthresh=0.025)
            axes.set(
                yscale="log", xlabel="shift $c$ of the optimum", ylabel=f"risk on {domain}, end", xlim=(-0.004, 1.2)
            )
            axes.set_xticks([0.0, 0.05, 0.2, 1.0], ["0", ".05", ".2", "1"])
            axes.set_xticks([], minor=True)
            axes.set_title("re-warmed, by peak")
        legend(figure, (panels[0, 0], panels[0, 2]), 4)
    return figure


def _end(data: Data, what: str, domain: str) -> Any:
    """Risk at the end of phase 2 by shift (rows) and by what was varied (columns)."""
    table = data["ends"]
    return np.array([column(table, domain, shift=shift, what=what) for shift in SHIFTS])


def _run(data: Data, run: str, name: str) -> Any:
    """A column of a run, by shift (rows) and step."""
    return np.array([column(data["curves"], name, shift=shift, run=run) for shift in SHIFTS])


def _said(values: Any) -> str:
    return ", ".join(f"{shift:g}: {value:.3g}" for shift, value in zip(SHIFTS, values, strict=True))


def _turn(holds: Any) -> str:
    """The shifts at which something holds."""
    return ", ".join(f"{shift:g}" for shift, each in zip(SHIFTS, holds, strict=True) if each) or "none"


def claims(data: Data) -> list[Claim]:
    i = SHIFTS.index(WEAK)
    warm, stay, scratch = ({d: _run(data, run, d) for d in ("A", "B", "A0", "B0")} for run in RUNS)
    rise = {d: warm[d].max(axis=1) / warm[d + "0"][:, 0] for d in "AB"}
    end = {run: each["B"][:, -1] for run, each in zip(RUNS, (warm, stay, scratch), strict=True)}
    first_up = (rise["A"] > 1.01) & (rise["B"] > 1.01) & (end[RUNS[0]] < warm["B0"][:, 0])
    apart = _end(data, "warmup", "B").max(axis=1) / _end(data, "warmup", "B").min(axis=1) - 1.0
    peak = {d: np.diff(_end(data, "peak", d), axis=1) for d in "AB"}
    better, worse = (peak["B"] < 0).all(axis=1), (peak["A"] > 0).all(axis=1)
    checkpoints = _end(data, "checkpoint", "B")
    given: dict[str, Any] = {"chosen": "the pair of domains, its shift, rates and lengths", "substituted": REGRESSION}
    place = "abstract"
    return [
        Claim(
            "re-warming first raises the risk on both domains, and in the end lowers that on the new one",
            place,
            f"largest risk of phase 2 at least 1 % above its begin on A and on B, end on B below it, at c = {WEAK:g}",
            f"c = {WEAK:g}: A x {rise['A'][i]:.3g}, B x {rise['B'][i]:.3g}, end on B x "
            f"{end[RUNS[0]][i] / warm['B0'][i, 0]:.3g}",
            bool(first_up[i]),
            paper="says so of Pythia 410M, Pile to SlimPajama",
            turns=f"holds at c = {_turn(first_up)}; where the optimum moves further the risk on B falls at once",
            **given,
        ),
        Claim(
            "re-warmed, the new domain is learned better than from scratch in as many steps",
            place,
            "risk on B below that from scratch at every shift",
            f"re-warmed / scratch by c: {_said(end[RUNS[0]] / end[RUNS[2]])}",
            bool(np.all(end[RUNS[0]] < end[RUNS[2]])),
            paper="says so, even for a large new corpus",
            turns=f"the gain is over 40 % at c = {_turn(end[RUNS[0]] < 0.6 * end[RUNS[2]])}",
            **given,
        ),
        Claim(
            "the rate has to be raised again for the new domain",
            f"{place} (the paper's hypothesis)",
            "risk on B at least 30 % below that of the lowest rate at every shift",
            f"re-warmed / lowest rate by c: {_said(end[RUNS[0]] / end[RUNS[1]])}",
            bool(np.all(end[RUNS[0]] < 0.7 * end[RUNS[1]])),
            **given,
        ),
        Claim(
            "the length of the second warmup hardly matters",
            "experiment on warmup lengths (0, 0.5, 1, 2 % of the steps)",
            "risks on B within 2 % of one another at every shift",
            f"spread by c: {_said(apart)}",
            bool(np.all(apart < 0.02)),
            **given,
        ),
        Claim(
            "the higher the second peak, the lower the risk on the new domain and the higher that on the old",
            "experiment on maximal learning rates",
            "monotone over peaks x 0.5, 1, 2 on both domains at every shift",
            f"falls on B at c = {_turn(better)}; rises on A at c = {_turn(worse)}",
            bool(np.all(better & worse)),
            "where the optima are near, a higher rate goes on learning what both domains share",
            turns=f"the old domain loses by a higher peak at c = {_turn(worse)} only",
            **given,
        ),
        Claim(
            "to go on from an earlier checkpoint does not help",
            "experiment on checkpoints",
            "risk on B lowest from the last checkpoint at every shift, of those at 25, 50, 75 and 100 % of phase 1",
            f"last / best of the earlier by c: {_said(checkpoints[:, -1] / checkpoints[:, :-1].min(axis=1))}",
            bool(np.all(checkpoints[:, -1] <= checkpoints[:, :-1].min(axis=1))),
            "a checkpoint within the decay has been at higher rates for fewer steps and has learned less of what is "
            "shared, but where the optimum moves far that is of no use",
            **given,
        ),
    ]


FIGURES = [
    Reproduction(
        "gupta2023-rewarm",
        "A trained model warmed up again for a new domain",
        PAPER,
        2023,
        "Two regressions in one eigenbasis, d = 300 (full: 1,000), batch 8: 2,000 steps (10,000) on A under a cosine "
        "from 0.25 to 0.025, then as many on B, whose optimum is moved by c times its size: the cosine again, the "
        "lowest rate kept, or B from scratch. Exact risk on either domain.",
        compute,
        draw,
        claims,
        chosen=CHOSEN,
        substituted=(REGRESSION,),
        seconds=2.0,
    )
]
