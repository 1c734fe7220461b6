"""Blakeney et al. 2024 (arXiv 2406.03476): a domain drawn more often at the end of training, and for how long."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.stats import spearmanr
from simlab.figures.columns import stack
from simlab.figures.papers.continual import BATCH, PEAK, REGRESSION, domains, method
from simlab.figures.reproduction import Claim, Data, Reproduction, Scale, column
from simlab.figures.results.optima import legend

import simlab as sl
from simlab.plot import DASHES, PALETTE, WIDTH, new_figure, style

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["FIGURES"]

PAPER = "Blakeney, Paul, Larsen, Owen, Frankle 2024, arXiv 2406.03476"
BASE, LATE = 0.1, 0.5
"""Share of the target domain, and in the last part of the run."""
LASTS = (0.0, 0.05, 0.1, 0.2, 0.3, 0.5, 1.0)
SHIFTS = (0.1, 0.5)
DECAYS: dict[str, Callable[[int], sl.schedules.Schedule]] = {
    "cosine": lambda steps: sl.schedules.cosine(steps, PEAK, warmup=0.01),
    "linear": lambda steps: sl.schedules.linear(steps, PEAK, warmup=0.01),
    "WSD": lambda steps: sl.schedules.wsd(steps, PEAK, warmup=0.01, cooldown=0.2),
}
SETS, PROBES = 8, (0.05, 0.1, 0.2, 1.0)
"""Data sets that are left out one by one, in these last parts of the run or in all of it."""


def _late(steps: int, last: float, base: float, late: float) -> Any:
    """A share that is `late` in the last part of the run."""
    change = steps - round(last * steps)
    return np.where(np.arange(steps) < change, base, late)


def _end(problem: sl.Mixture, schedule: sl.schedules.Schedule) -> Any:
    return sl.exact(problem, method(schedule), record=2, progress=False).total().values[-1]


def _probe(dim: int, steps: int, seed: int = 0) -> dict[str, Any]:
    """Risk on a target that is never drawn, of runs whose last part is without data set k."""
    target = sl.LinearRegression.power_law(dim, 1.3, 1.6, noise_variance=0.3)
    draws = np.random.default_rng(seed)
    distance, noise = draws.permutation(np.linspace(0.05, 0.6, SETS)), draws.permutation(np.geomspace(0.1, 10.0, SETS))
    signs = draws.choice([-1.0, 1.0], (SETS, dim))
    sets = [
        target.shifted(draws.permutation(np.geomspace(0.4, 2.5, dim)), far * sign * target.initial_error, loud)
        for far, sign, loud in zip(distance, signs, noise, strict=True)
    ]
    schedule, out = DECAYS["cosine"](steps), []
    for last in PROBES:
        risks = []
        for left in range(SETS):
            without = np.full(SETS, 1.0 / (SETS - 1))
            without[left] = 0.0
            shares = [_late(steps, last, 1.0 / SETS, each) for each in without]
            risks.append(_end(sl.Mixture([*sets, target], [*shares, 0.0]), schedule)[-1])
        out.append({"last": last, "set": np.arange(SETS), "risk": risks})
    return stack(out)


def compute(scale: Scale) -> Data:
    """ends: risks on A and B by shift, decay and how long B is drawn more often; probe: of data sets left out."""
    dim, steps = {"tiny": (60, 400), "quick": (300, 4_000), "full": (1_000, 20_000)}[scale]
    ends = []
    for shift in SHIFTS:
        pair = domains(dim, shift)
        for decay, schedule in DECAYS.items():
            for last in LASTS:
                mix = sl.Mixture(pair, ["rest", _late(steps, last, BASE, LATE)])
                risks = _end(mix, schedule(steps))
                ends.append({"shift": shift, "decay": decay, "last": [last], "A": risks[0], "B": risks[1]})
    return {"ends": stack(ends), "probe": _probe(dim, steps)}


def _ends(data: Data, shift: float, decay: str, domain: str) -> Any:
    """Risk by the last part in which B is drawn more often."""
    return column(data["ends"], domain, shift=shift, decay=decay)


def _best(data: Data, shift: float, decay: str, weight: float) -> float:
    """The last part with the least weight A + (1 - weight) B, of those that the paper tries (5 to 30 %)."""
    tried = np.array(LASTS[1:5])
    value = weight * _ends(data, shift, decay, "A") + (1.0 - weight) * _ends(data, shift, decay, "B")
    return float(tried[np.argmin(value[1:5])])


def draw(data: Data) -> Figure:
    at = 100.0 * np.array(LASTS)
    with style():
        figure = new_figure(WIDTH, 2.9)
        panels = figure.subplots(1, 3)
        for j, decay in enumerate(DECAYS):
            for k, domain in enumerate("AB"):
                label = f"{'general' if domain == 'A' else 'target'}, {decay}"
                line = _ends(data, 0.5, decay, domain)
                panels[0].plot(at, line, "os"[k], ls=DASHES[k], color=PALETTE[j], ms=4, label=label)
            mean = 0.5 * (_ends(data, 0.5, decay, "A") + _ends(data, 0.5, decay, "B"))
            panels[1].plot(at, mean, "^-", color=PALETTE[j], ms=4)
        panels[0].set(yscale="log", ylabel="risk at the end, $c = 0.5$")
        panels[1].set(ylabel="mean of both risks, $c = 0.5$", ylim=(0, None))
        for axes in panels[:2]:
            axes.set_xscale("symlog", linthresh=10.0)
            axes.set(xlabel="last part, target up [%]", xlim=(-0.5, 115))
            axes.set_xticks([0, 5, 10, 30, 100], ["0", "5", "10", "30", "100"])
            axes.set_xticks([], minor=True)
        always = column(data["probe"], "risk", last=1.0)
        for i, last in enumerate(PROBES[:-1]):
            late = column(data["probe"], "risk", last=last)
            panels[2].plot(always, late, "Dv*"[i], color=PALETTE[3 + i], label=f"left out of the last {100 * last:g} %")
        panels[2].set(xlabel="left out of all of the run", ylabel="left out of the last part")
        panels[2].locator_params(nbins=4)
        panels[2].set_title("risk on the target", fontsize="medium")
        legend(figure, (panels[0], panels[2]), 3)
    return figure


def claims(data: Data) -> list[Claim]:
    probes = {last: column(data["probe"], "risk", last=last) for last in PROBES}
    ranks = {last: float(spearmanr(risk, probes[1.0]).statistic) for last, risk in probes.items()}
    spread = {last: float(np.ptp(risk) / np.ptp(probes[1.0])) for last, risk in probes.items()}
    every = [(shift, decay) for shift in SHIFTS for decay in DECAYS]
    old, new = ({key: _ends(data, *key, domain) for key in every} for domain in "AB")
    twenty = LASTS.index(0.2)
    gained = {key: (line[0] - line[twenty]) / (line[0] - line[-1]) for key, line in new.items()}
    mean = {key: 0.5 * (old[key] + new[key]) for key in every}
    lower = {
        (decay, shift): float(mean[shift, decay][LASTS.index(last)] / mean[shift, decay][0])
        for decay, last in (("WSD", 0.1), ("cosine", 0.3))
        for shift in SHIFTS
    }
    weights = np.linspace(0.05, 0.95, 91)
    ranges = {key: [w for w in weights if _best(data, *key, w) in (0.1, 0.2)] for key in every}
    given: dict[str, Any] = {"chosen": "the domains, shares, rates and lengths", "substituted": REGRESSION}

    def said(values: dict[tuple[float, str], float]) -> str:
        return ", ".join(f"c = {shift:g} {decay} {value:.2f}" for (shift, decay), value in values.items())

    spans = ", ".join(
        f"c = {key[0]:g} {key[1]} {min(found):.2f} .. {max(found):.2f}" if found else f"c = {key[0]:g} {key[1]} none"
        for key, found in ranges.items()
    )
    return [
        Claim(
            "the last fifth of the run trades the rest for the target: more than half of what all of it would, not all",
            "abstract (trade-off of general and targeted losses; gains reported for 10 to 20 %)",
            "risk on the target falls and that on the general domain rises with the last part, always; at "
            "20 % the target gains over half of what it does at 100 %, under a cosine less than 95 %",
            f"gain at 20 % over that at 100 %: {said(gained)}",
            all(np.all(np.diff(line) < 0.0) for line in new.values())
            and all(np.all(np.diff(line) > 0.0) for line in old.values())
            and min(gained.values()) > 0.5
            and max(gained[shift, "cosine"] for shift in SHIFTS) < 0.95,
            "in few steps the last fifth of a decay moves too little",
            **given,
        ),
        Claim(
            "the last 10 to 20 % of the run are the best part of those of 5 to 30 %",
            "abstract",
            "the mean of both risks is least at 10 or 20 %, every shift and decay",
            ", ".join(f"c = {key[0]:g} {key[1]} {100 * _best(data, *key, 0.5):g} %" for key in every),
            all(_best(data, *key, 0.5) in (0.1, 0.2) for key in every),
            "the mean of both is least where both are drawn alike for long; what is best depends on what the general "
            "risk counts",
            paper="10 to 20 % of training",
            turns=f"10 or 20 % are best where the general risk has the weight {spans}",
            **given,
        ),
        Claim(
            "data sets left out of the last part rank as when left out of all of it, by a smaller effect",
            "abstract (a cheap probe of data sets)",
            f"Spearman's rank correlation of the target's risk over {SETS} data sets at least 0.8, last 20 %; their "
            "spread in the last 5 % less than half of that",
            f"{ranks[0.2]:.2f}; spread x {spread[0.05]:.2f} at 5 %, {spread[0.2]:.2f} at 20 %",
            ranks[0.2] >= 0.8 and spread[0.05] < 0.5,
            turns=", ".join(f"last {100 * last:g} %: {rank:.2f}" for last, rank in ranks.items() if last < 1.0),
            **given,
        ),
        Claim(
            "drawn more often in the last tenth of a WSD run the target gives more than in the last three of a cosine",
            "the rate is still high when the data change",
            "mean of both risks over that of the run without: lower for WSD, at every shift",
            ", ".join(f"c = {shift:g}: {lower['WSD', shift]:.3f}, {lower['cosine', shift]:.3f}" for shift in SHIFTS),
            all(lower["WSD", shift] < lower["cosine", shift] for shift in SHIFTS),
            "for a larger shift the last three tenths of a cosine still have enough of the rate",
            own=True,
        ),
    ]


FIGURES = [
    Reproduction(
        "blakeney2024-upsampling",
        "A domain drawn more often at the end of a run",
        PAPER,
        2024,
        "Two regressions in one eigenbasis, d = 300 (full: 1,000), batch 8, 4,000 steps (20,000) from 0.25 to 0: a "
        "tenth of the samples are of the target, half of them in the last part, under three decays. Probe: eight data "
        "sets at several distances from a target that is never drawn, of several noises, one of them left out.",
        compute,
        draw,
        claims,
        chosen=(
            "general domain: capacity 1.3, source 1.6, noise variance 0.3; target: eigenvalues times 1.5 and 0.6 in "
            "turn, optimum moved by c times its size",
            f"batch {BATCH}, shares 0.1 and 0.5",
        ),
        substituted=(REGRESSION,),
        seconds=2.0,
    )
]
