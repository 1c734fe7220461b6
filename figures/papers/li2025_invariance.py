"""Li et al. 2025 (arXiv 2509.25049): losses follow the rate early, and rate times weight decay late.

From the abstract, the caption of figure 1 and a review; the text itself was not at hand.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
from simlab.figures.columns import stack
from simlab.figures.papers.liu2026 import PEAK, START, SUBSTITUTED, norms, task
from simlab.figures.reproduction import Claim, Data, Reproduction, Scale, column
from simlab.figures.results.optima import legend

import simlab as sl
from simlab.plot import DASHES, PALETTE, WIDTH, new_figure, style

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from simlab.arrays import FloatArray

__all__ = ["FIGURES"]

PAPER = "Li, Wen, Zhou, Zhu, Chen 2025, arXiv 2509.25049"
RATES = tuple(2.0**-k for k in (12, 11, 10, 9, 8))
DECAYS = (0.4, 0.2, 0.1, 0.05, 0.025)
MAIN = RATES[0] * DECAYS[0]
"""lr x weight decay of the paper's figure 1 (b), 1e-4."""
SETTINGS = ((100.0, 0.003), (100.0, 0.001), (100.0, 0.01), (1.0, 0.003))
"""Noise variance, and the rate on the regression at lr 6e-4 and the norm of the start, as in liu2026."""
CASES = {f"noise {noise:g}, rate {rate:g}": (noise, rate) for noise, rate in SETTINGS}
SHOWN, *OTHERS = CASES
EARLY, SAME, APART = 0.01, 0.03, 0.1
"""Share of the run that is early; relative spreads that are the same curve, and another."""


def compute(scale: Scale) -> Data:
    """norms: of every recipe; runs: risk by rate, weight decay and scale, constant rate after a warmup of 1 %."""
    steps = {"tiny": 5_000, "quick": 100_000, "full": 100_000}[scale]
    points = {"tiny": 60, "quick": 200, "full": 600}[scale]
    marks = np.unique(np.round(np.geomspace(10, steps, points)).astype(int))
    pairs = [(lr, decay) for lr in RATES for decay in DECAYS]
    size, runs = [], []
    made = {}
    for lr, decay in pairs:
        schedule = sl.schedules.constant(steps, lr, warmup=0.01)
        norm = norms(schedule, decay)
        made[lr, decay] = (schedule.values() / PEAK) / (norm / START)
        size.append(
            {"lr": lr, "decay": decay, "step": marks, "norm": norm[marks - 1], "relative": lr / norm[marks - 1]}
        )
    for case, (noise, rate) in CASES.items():
        methods = [sl.methods.sgd(sl.schedules.from_array(rate * each)) for each in made.values()]
        total = sl.exact(task(noise), methods, record=marks, progress=False).total().sel(step=marks).values
        for (lr, decay), risk in zip(pairs, total, strict=True):
            runs.append({"lr": lr, "decay": decay, "case": case, "step": marks, "risk": risk})
    return {"norms": stack(size), "runs": stack(runs)}


def _curves(data: Data, table: str, name: str, pairs: list[tuple[float, float]], **where: Any) -> FloatArray:
    return np.array([column(data[table], name, lr=lr, decay=decay, **where) for lr, decay in pairs])


def _by_rate(lr: float) -> list[tuple[float, float]]:
    return [(lr, decay) for decay in DECAYS]


def _by_product(product: float) -> list[tuple[float, float]]:
    return [(lr, d) for lr in RATES for d in DECAYS if np.isclose(lr * d, product)]


def _spread(curves: FloatArray) -> FloatArray:
    """Largest over least of several curves, less one, at every step."""
    out: FloatArray = curves.max(axis=0) / curves.min(axis=0) - 1.0
    return out


def _steps(data: Data) -> FloatArray:
    return column(data["runs"], "step", lr=RATES[0], decay=DECAYS[0], case=SHOWN)


def _risk(data: Data, pairs: list[tuple[float, float]], case: str = SHOWN) -> FloatArray:
    return _curves(data, "runs", "risk", pairs, case=case)


def _parting(data: Data, lr: float, case: str = SHOWN) -> float:
    """The step at which weight decays at one rate are a known spread apart; inf if never."""
    wide = _spread(_risk(data, _by_rate(lr), case)) > SAME
    return float(_steps(data)[np.argmax(wide)]) if wide.any() else float("inf")


def draw(data: Data) -> Figure:
    step = _steps(data)
    with style():
        figure = new_figure(WIDTH, 4.6)
        panels = figure.subplots(2, 2)
        for j, lr in enumerate(RATES):
            for k, risk in enumerate(_risk(data, _by_rate(lr))):
                panels[0, 0].plot(
                    step, risk, color=PALETTE[j], lw=0.9, label=f"lr $2^{{{np.log2(lr):.0f}}}$" if k == 0 else None
                )
        for k, (pair, risk) in enumerate(zip(_by_product(MAIN), _risk(data, _by_product(MAIN)), strict=True)):
            line = {"color": PALETTE[RATES.index(pair[0])], "ls": DASHES[k % len(DASHES)]}
            panels[0, 1].plot(step, risk, **line)
            panels[1, 0].plot(step, column(data["norms"], "relative", lr=pair[0], decay=pair[1]), **line)
        panels[1, 1].plot(step, _spread(_risk(data, _by_product(MAIN))), color="k", label="one lr x decay, 1e-4")
        for j, lr in enumerate(RATES):
            panels[1, 1].plot(step, _spread(_risk(data, _by_rate(lr))), color=PALETTE[j], ls=DASHES[1])
        titles = ("(a) all", "(b) lr x decay = 1e-4", "(c) lr / |w|, lr x decay = 1e-4", "(d) spread")
        labels = ("risk", "risk", "relative rate", "largest / least - 1")
        for axes, title, label in zip(panels.flat, titles, labels, strict=True):
            axes.set(xscale="log", yscale="log", xlabel="step", ylabel=label, title=title)
        panels[1, 1].set_ylim(1e-3, None)
        legend(figure, (panels[0, 0], panels[1, 1]), 6)
    return figure


def claims(data: Data) -> list[Claim]:
    return [_early(data), _longer(data), _late(data), _limits(data)]


GIVEN: dict[str, Any] = {
    "chosen": "capacity 1.05, source 1.39, batch 1, noise and scale of the rate (axes), 100,000 steps",
    "substituted": SUBSTITUTED,
}


def _early(data: Data) -> Claim:
    step = _steps(data)
    k = int(np.searchsorted(step, EARLY * step[-1]))
    spread = {f: {lr: _spread(_risk(data, _by_rate(lr), f)) for lr in RATES} for f in CASES}
    across = {f: float(_spread(_risk(data, _by_product(MAIN), f))[k]) for f in CASES}
    early = {f: max(float(x[k]) for x in each.values()) for f, each in spread.items()}
    last = {f: min(float(x[-1]) for lr, x in each.items() if lr >= RATES[2]) for f, each in spread.items()}
    return Claim(
        "at first losses follow the learning rate whatever the weight decay, and part later",
        "figure 1 (a)",
        f"at 1 % of the run at most {SAME:.0%} between decays at each lr, at least {APART:.0%} between rates at one"
        f" product; at the end at least {APART:.0%} between decays at lr 2^-10 and above; {SHOWN}",
        f"{early[SHOWN]:.2%}, {across[SHOWN]:.0%}; {last[SHOWN]:.1%}",
        early[SHOWN] <= SAME and across[SHOWN] >= APART and last[SHOWN] >= APART,
        "at the largest rates and decays 1 % of the run is as long as 1/(lr decay), the time in which norms settle",
        turns="; ".join(f"{f}: {early[f]:.2%}, {across[f]:.0%}, {last[f]:.1%}" for f in OTHERS),
        **GIVEN,
    )


def _longer(data: Data) -> Claim:
    at = {f: [_parting(data, lr, f) for lr in RATES] for f in CASES}
    return Claim(
        "this lasts the longer the smaller the learning rate",
        "by a review",
        f"step from which decays are more than {SAME:.0%} apart: earlier at every larger lr; {SHOWN}",
        ", ".join(f"{x:,.0f}" for x in at[SHOWN]),
        all(a > b for a, b in pairwise(at[SHOWN])),
        "the loss of the smallest rates does not yet feel the norm",
        turns="; ".join(f"{f}: {', '.join(f'{x:,.0f}' for x in at[f])}" for f in OTHERS),
        **GIVEN,
    )


def _late(data: Data) -> Claim:
    step = _steps(data)
    late = step >= 0.5 * step[-1]
    products = [p for p in sorted({round(lr * d, 12) for lr in RATES for d in DECAYS}) if len(_by_product(p)) >= 3]
    same = {f: {p: float(_spread(_risk(data, _by_product(p), f))[late].max()) for p in products} for f in CASES}
    main = {f: float(_spread(_risk(data, _by_product(MAIN), f))[late].max()) for f in CASES}
    rate = {f: float(_spread(_risk(data, _by_rate(RATES[2]), f))[late].min()) for f in CASES}
    return Claim(
        "late, losses follow the product of rate and weight decay",
        "figure 1 (b): lr x weight decay = 1e-4",
        f"over the second half at most {SAME:.0%} between the five pairs of product 1e-4, and at least 3 times that"
        f" between decays at lr 2^-10; {SHOWN}",
        f"{main[SHOWN]:.1%}, {rate[SHOWN]:.1%}",
        main[SHOWN] <= SAME and rate[SHOWN] >= 3.0 * main[SHOWN],
        "a regression remembers the sum of the rates of its start: signal once learnt stays",
        turns="other products: "
        + ", ".join(f"{x:.1%} ({p:.1e})" for p, x in same[SHOWN].items())
        + "; other settings: "
        + ", ".join(f"{main[f]:.1%}, {rate[f]:.1%} ({f})" for f in OTHERS),
        **GIVEN,
    )


def _limits(data: Data) -> Claim:
    pairs = _by_product(MAIN)
    step = column(data["norms"], "step", lr=RATES[0], decay=DECAYS[0])
    relative = _curves(data, "norms", "relative", pairs)
    off = np.abs(relative[:, -1] / np.median(relative[:, -1]) - 1.0)
    risk = _spread(_risk(data, pairs))
    wide = np.flatnonzero(risk > 2.0 * risk[-1])
    last = float(step[wide[-1]]) * MAIN if wide.size else 0.0
    return Claim(
        "the two limits of one law: the norm of the start, then that at which decay and growth balance",
        "|w| = start gives lr / start; |w|^2 = C lr / (2 decay) gives sqrt(2 lr decay / C)",
        "product 1e-4: lr / |w| of the five pairs within 1 % of each other at the end; risks nearer than twice"
        " their final spread from lr decay t in [0.1, 2] on",
        f"{off.max():.2%}; from lr decay t = {last:.2g}",
        bool(off.max() <= 0.01 and 0.1 <= last <= 2.0),
        "losses settle later than norms do",
        own=True,
    )


FIGURES = [
    Reproduction(
        "li2025invariance-limits",
        "Losses by the learning rate, then by its product with the weight decay",
        PAPER,
        2025,
        "The paper's grid, lr 2^-12 to 2^-8 and weight decay 0.025 to 0.4, constant after a warmup of 1 % of 100,000"
        " steps. |w| by the law of `sl.twin.norm`; SGD on a power law of 10^8 modes runs at a rate proportional to"
        " lr / |w|, in four settings of noise and rate. Batches, gradients' norms and the cooldown are not in it.",
        compute,
        draw,
        claims,
        chosen=(str(GIVEN["chosen"]),),
        substituted=(SUBSTITUTED,),
        seconds=3.0,
    )
]
