"""Wang et al. 2026 (arXiv 2602.14208): a switch from small to large batches late in the run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from simlab.figures.columns import stack
from simlab.figures.peaks import final_risks
from simlab.figures.reproduction import Claim, Data, Reproduction, Scale, column
from simlab.figures.results.optima import legend, power_law

import simlab as sl
from simlab.plot import DASHES, PALETTE, WIDTH, new_figure, style

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["FIGURES"]

PAPER = "Wang, Li, Zhou, Wang, Sun, Zhang, Cai, Wu 2026, arXiv 2602.14208, ICLR 2026"
CASES = {"easy": (1.5, 2.5), "between": (1.5, 1.6), "hard": (2.0, 1.5)}
"""Capacity and source, noise variance 1; easy where source > capacity."""
SMALL, LARGE = 4, 64
SHARES = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 1.0)
"""Of the samples, in small batches before the switch."""
RATES = (0.0125, 0.025, 0.05, 0.1, 0.2, 0.4)
SWITCHES = (0.25, 0.5, 0.75)
"""Where runs of equal steps switch."""
RATE, WITHIN = 0.1, 1.05


def _switched(before: int, after: int, lr: float) -> sl.methods.Method:
    """SGD at one rate, `before` steps at the small batch and then `after` at the large one."""
    sizes = np.concatenate([np.full(before, SMALL), np.full(after, LARGE)])
    return sl.methods.sgd(sl.schedules.constant(before + after, lr), batch=sl.schedules.from_array(sizes))


def compute(scale: Scale) -> Data:
    """paths: risks of runs of equal steps that switch; equal: of runs of equal samples, by share before the switch."""
    steps, samples = {"tiny": (200, 6_400), "quick": (2_000, 64_000), "full": (20_000, 640_000)}[scale]
    marks = np.unique(np.append(np.geomspace(1, steps, 400), np.linspace(1, steps, 400)).round().astype(int))
    paths, equal = [], []
    for case, (capacity, source) in CASES.items():
        problem = power_law(capacity, source, 1.0)
        runs = [_switched(round(share * steps), steps - round(share * steps), RATE) for share in (0.0, *SWITCHES, 1.0)]
        found = sl.exact(problem, runs, record=marks, progress=False).total().sel(step=marks).values
        for share, risk in zip((0.0, *SWITCHES, 1.0), found, strict=True):
            paths.append({"case": case, "switch": share, "step": marks, "risk": risk})
        for share in SHARES:
            before, after = round(share * samples / SMALL), round((1.0 - share) * samples / LARGE)
            risk = final_risks(problem, [_switched(before, after, lr) for lr in RATES])
            equal.append({"case": case, "share": share, "lr": RATES, "risk": risk})
    return {"paths": stack(paths), "equal": stack(equal)}


def _catch_up(data: Data, case: str, share: float, within: float = WITHIN) -> float:
    """Steps from the switch until the risk is within this of large batches all along, over those before it."""
    step, risk = (column(data["paths"], key, case=case, switch=share) for key in ("step", "risk"))
    level = column(data["paths"], "risk", case=case, switch=0.0)
    begin = share * step[-1]
    there = (step > begin) & (risk <= within * level)
    return float((step[there][0] - begin) / begin) if there.any() else float("inf")


def _best(data: Data, case: str) -> Any:
    """Least risk over the rates, by share before the switch."""
    return np.array([column(data["equal"], "risk", case=case, share=share).min() for share in SHARES])


def _power(data: Data, case: str) -> Any:
    """Risk at one rate, that which is best for small batches all along, by share."""
    small = column(data["equal"], "risk", case=case, share=1.0)
    rate = RATES[int(np.argmin(small))]
    return np.array([column(data["equal"], "risk", case=case, share=s, lr=rate)[0] for s in SHARES])


def draw(data: Data) -> Figure:
    with style():
        figure = new_figure(WIDTH, 2.9)
        panels = figure.subplots(1, 3)
        for axes, case in zip(panels, ("easy", "hard"), strict=False):
            for j, share in enumerate((0.0, *SWITCHES, 1.0)):
                step, risk = (column(data["paths"], key, case=case, switch=share) for key in ("step", "risk"))
                names = {0.0: f"batch {LARGE}", 1.0: f"batch {SMALL}"}
                label = names.get(share, f"switch at {100 * share:g} %")
                axes.plot(step / step[-1], risk, color=PALETTE[j], ls=DASHES[j], label=label)
            low = column(data["paths"], "risk", case=case, switch=0.0)[-1]
            axes.set(yscale="log", xlabel="share of the steps", ylabel="risk", title=f"{case}, equal steps")
            axes.set_ylim(0.9 * low, (12.0 if case == "easy" else 3.0) * low)
        for k, case in enumerate(CASES):
            risk = _best(data, case)
            panels[2].plot(SHARES, risk / risk.min(), "os^"[k], ls="-", color=PALETTE[5 + k], ms=4, label=case)
        panels[2].set(xlabel="samples before the switch", ylabel="risk / best", title="equal samples, rate tuned")
        panels[2].set_ylim(0.95, 2.0)
        legend(figure, (panels[0], panels[2]), 4)
    return figure


def claims(data: Data) -> list[Claim]:
    caught = {case: [_catch_up(data, case, share) for share in SWITCHES] for case in CASES}
    best = {case: _best(data, case) for case in CASES}
    at = {case: SHARES[int(np.argmin(line))] for case, line in best.items()}
    same = {case: SHARES[int(np.argmin(_power(data, case)))] for case in CASES}
    tenth = SHARES.index(0.1)
    late = {case: line[SHARES.index(0.8)] for case, line in best.items()}
    given: dict[str, Any] = {"chosen": "spectra, batches, rates and lengths", "substituted": SUBSTITUTED}

    def said(values: dict[str, Any], digits: str = ".2g") -> str:
        return ", ".join(f"{case} {value:{digits}}" for case, value in values.items())

    worst = {case: max(each) for case, each in caught.items()}
    return [
        Claim(
            "fast catch-up: after the switch the risk falls to that of large batches all along in few steps",
            "abstract",
            f"within {WITHIN} x it in at most 0.2 of the steps before the switch, at 25, 50, 75 %, all spectra",
            f"longest share: {said(worst)}",
            max(worst.values()) <= 0.2,
            "in the easy spectrum noise is nearly all of the risk, and the last of it fades as a power of the steps",
            turns="within twice of it: "
            f"{said({case: max(_catch_up(data, case, share, 2.0) for share in SWITCHES) for case in CASES})}",
            **given,
        ),
        Claim(
            "the speed of the catch-up is set by the difficulty: the harder, the faster",
            "abstract (catch-up speed determined by task difficulty)",
            "share of the steps longest in the easy spectrum and shortest in the hard one, every switch",
            "; ".join(f"{case} {', '.join(f'{v:.2g}' for v in each)}" for case, each in caught.items()),
            all(e > b > h for e, b, h in zip(*caught.values(), strict=True)),
            "of what is left the learning itself makes the larger part where the spectrum is harder",
            **given,
        ),
        Claim(
            "with equal samples a late switch is best, and the later the harder the spectrum",
            "abstract (easy tasks: batches that grow throughout; hard tasks: late switching)",
            "hard: risk with 80 % of the samples before the switch below that with 10 %, none and all of them; best "
            "share larger in the hard spectrum than in the easy one, rates tuned",
            f"hard, 80 %: {late['hard']:.4g}; 10 %: {best['hard'][tenth]:.4g}; none: {best['hard'][0]:.4g}; all: "
            f"{best['hard'][-1]:.4g}; best shares: {said(at)}",
            bool(
                late["hard"] < min(best["hard"][tenth], best["hard"][0], best["hard"][-1]) and at["hard"] > at["easy"]
            ),
            paper="late switches beat constant batches and early switches, to 1.1B parameters and 1T tokens",
            turns=f"at the rate that is best for small batches all along: {said(same)}",
            **given,
        ),
    ]


SUBSTITUTED = "power-law regressions for language models, SGD at a constant rate"
FIGURES = [
    Reproduction(
        "wang2026-switching",
        "A late switch to large batches catches up fast",
        PAPER,
        2026,
        "SGD on power laws of 10^8 modes (capacity, source: 1.5, 2.5; 1.5, 1.6; 2, 1.5), noise variance 1, batches 4 "
        "and 64. Equal steps: 2,000 (full: 20,000) at lr 0.1 with one switch. Equal samples: 64,000 (640,000), a share "
        "of them before the switch, at the best of six constant rates.",
        compute,
        draw,
        claims,
        chosen=("spectra, batches, rates and lengths",),
        substituted=(SUBSTITUTED,),
        seconds=1.5,
    )
]
