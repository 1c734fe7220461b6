"""Ibrahim et al. 2024 (arXiv 2403.08763): re-warming, re-decaying and replay of the old corpus against a new start."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from simlab.figures.columns import stack
from simlab.figures.papers.continual import CHOSEN, REGRESSION, cosine, domains, mixed, phase, rest_rate
from simlab.figures.reproduction import Claim, Data, Reproduction, Scale, column
from simlab.figures.results.optima import legend

from simlab.plot import DASHES, PALETTE, WIDTH, new_figure, style

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["FIGURES"]

PAPER = "Ibrahim, Thérien, Gupta, Richter, Anthony, Lesort, Belilovsky, Rish 2024, arXiv 2403.08763, TMLR"
SHIFTS = (0.025, 0.05, 0.1, 0.2, 0.5)
SHARES = (0.0, 0.005, 0.01, 0.05, 0.1, 0.25, 0.5)
"""Of the old domain in phase 2; the paper tries 0.5, 1, 5, 10 and 50 %."""
WEAK, STRONG = 0.025, 0.5
WITHIN = 1.05
"""What "matches" is taken to be: the mean risk over that of the union."""
WAYS = ("re-warmed, re-decayed", "lowest rate")


def compute(scale: Scale) -> Data:
    """ends: risks on A and B after phase 2 by shift, way and share; unions: of one run on both, as long as both."""
    dim, steps = {"tiny": (60, 300), "quick": (300, 2_000), "full": (1_000, 10_000)}[scale]
    ends, unions = [], []
    for shift in SHIFTS:
        pair = domains(dim, shift)
        before, state = phase(mixed(pair, 1.0), cosine(steps))
        for way, schedule in zip(WAYS, (cosine(steps), rest_rate(steps)), strict=True):
            for share in SHARES:
                risks = phase(mixed(pair, share), schedule, state)[0][-1]
                ends.append({"shift": shift, "way": way, "share": [share], "A": risks[0], "B": risks[1]})
        both = phase(mixed(pair, 0.5), cosine(2 * steps))[0][-1]
        alone = phase(mixed(pair, 0.0), cosine(steps))[0][-1]
        found = {"A": both[0], "B": both[1], "A before": before[-1, 0], "A alone": alone[0], "B alone": alone[1]}
        unions.append({"shift": [shift], **found})
    return {"ends": stack(ends), "unions": stack(unions)}


def _ends(data: Data, way: str, domain: str) -> Any:
    """Risk by shift (rows) and share."""
    return np.array([column(data["ends"], domain, shift=shift, way=way) for shift in SHIFTS])


def _over_union(data: Data, way: str) -> Any:
    """Mean risk on A and B over that of the union, by shift (rows) and share."""
    both = column(data["unions"], "A") + column(data["unions"], "B")
    return (_ends(data, way, "A") + _ends(data, way, "B")) / both[:, None]


def draw(data: Data) -> Figure:
    shares = 100.0 * np.array(SHARES)
    with style():
        figure = new_figure(WIDTH, 3.1)
        panels = figure.subplots(1, 3)
        for axes, shift in zip(panels, (WEAK, STRONG), strict=False):
            i = SHIFTS.index(shift)
            for j, domain in enumerate("AB"):
                for k, way in enumerate(WAYS):
                    label = f"{'old' if domain == 'A' else 'new'}, {way}"
                    line = _ends(data, way, domain)[i]
                    axes.plot(shares, line, "os"[j], ls=DASHES[k], color=PALETTE[j], ms=4, label=label)
                level = column(data["unions"], domain)[i]
                axes.axhline(level, color=PALETTE[j], ls=":", lw=0.9, label=f"{'old' if j == 0 else 'new'}, union")
            axes.set(yscale="log", ylabel="risk after phase 2", title=f"shift $c = {shift:g}$")
        for i, shift in enumerate(SHIFTS):
            line = _over_union(data, WAYS[0])[i]
            panels[2].plot(shares, line, "^-", color=PALETTE[2 + i], ms=4, label=f"$c = {shift:g}$")
        panels[2].axhline(WITHIN, color="0.4", lw=0.8, ls=":")
        panels[2].set(yscale="log", ylabel="mean risk / union", title="re-warmed, re-decayed")
        panels[2].set_yticks([1.0, 1.2, 1.5], ["1", "1.2", "1.5"])
        panels[2].set_yticks([], minor=True)
        for axes in panels:
            axes.set_xscale("symlog", linthresh=0.5)
            axes.set_xlabel("replay of the old domain [%]")
            axes.set_xticks([0, 1, 10, 50], ["0", "1", "10", "50"])
            axes.set_xticks([], minor=True)
            axes.set_xlim(-0.1, 65)
        legend(figure, (panels[0], panels[2]), 4)
    return figure


def _said(values: Any, at: Any = SHIFTS) -> str:
    return ", ".join(f"{where:g}: {value:.3g}" for where, value in zip(at, values, strict=True))


def claims(data: Data) -> list[Claim]:
    weak, strong, five, half = (*map(SHIFTS.index, (WEAK, STRONG)), SHARES.index(0.05), SHARES.index(0.5))
    over = _over_union(data, WAYS[0])
    stay = _over_union(data, WAYS[1])
    old, new = (_ends(data, WAYS[0], domain) for domain in "AB")
    alone = column(data["unions"], "B alone")
    least = [next((f"{100 * s:g} %" for s, v in zip(SHARES, row, strict=True) if v <= WITHIN), "none") for row in over]
    given: dict[str, Any] = {"chosen": "the pair of domains, its shift, rates and lengths", "substituted": REGRESSION}
    reach = ", ".join(f"c = {shift:g}: {share}" for shift, share in zip(SHIFTS, least, strict=True))
    return [
        Claim(
            "weak shift: re-warming, re-decaying and 5 % of replay match training on the union from scratch",
            "abstract",
            f"mean risk at most {WITHIN} x that of the union, c = {WEAK:g}",
            f"x {over[weak, five]:.3f}",
            bool(over[weak, five] <= WITHIN),
            "the longer both phases, the more of what is left is the small distance of the optima",
            paper="Pile to SlimPajama, 5 % of replay: matches",
            turns=f"least replay that matches, {reach}",
            **given,
        ),
        Claim(
            "strong shift: with half of replay they match it too, and with 5 % they do not",
            "abstract",
            f"mean risk at most {WITHIN} x that of the union at 50 %, more at 5 %, c = {STRONG:g}",
            f"50 %: x {over[strong, half]:.3f}; 5 %: x {over[strong, five]:.3f}",
            bool(over[strong, half] <= WITHIN < over[strong, five]),
            paper="English to German with more replay than for a weak shift (25 % at 405M)",
            **given,
        ),
        Claim(
            "a little replay forgets less of the old domain and costs the new one little",
            "experiments on replay",
            "5 % of replay: risk on A below that without, and on B at most 10 % above it, at every shift",
            f"by c: on A {_said(old[:, five] / old[:, 0])}; on B {_said(new[:, five] / new[:, 0])}",
            bool(np.all(old[:, five] < old[:, 0]) and np.all(new[:, five] <= 1.1 * new[:, 0])),
            "at the strongest shift one sample in twenty of a domain that disagrees is noise that the new one feels",
            turns="costs the new domain more than 10 % at c = "
            + (", ".join(f"{s:g}" for s, v in zip(SHIFTS, new[:, five] / new[:, 0], strict=True) if v > 1.1) or "none"),
            **given,
        ),
        Claim(
            "replay without re-warming does not match it",
            "experiments without re-warming",
            "mean risk of the lowest rate above that of re-warming at every shift and share",
            f"lowest rate / re-warmed, no replay: {_said(stay[:, 0] / over[:, 0])}; 50 %: "
            f"{_said(stay[:, half] / over[:, half])}",
            bool(np.all(stay > over)),
            **given,
        ),
        Claim(
            "the continued run learns the new domain better than one from scratch on it alone",
            "figures of final losses",
            "risk on B at 5 % of replay below that from scratch, every shift",
            f"by c: {_said(new[:, five] / alone)}",
            bool(np.all(new[:, five] < alone)),
            turns=f"at 50 % of replay, by c: {_said(new[:, half] / alone)}",
            **given,
        ),
    ]


FIGURES = [
    Reproduction(
        "ibrahim2024-replay",
        "Re-warming, re-decaying and replay against the union of both domains",
        PAPER,
        2024,
        "Two regressions in one eigenbasis, d = 300 (full: 1,000), batch 8: 2,000 steps (10,000) on A, then as many "
        "on B with a share of A, under a second cosine or at its lowest rate; the union is drawn half and half for as "
        "many steps as both phases. B's optimum is moved by c times its size.",
        compute,
        draw,
        claims,
        chosen=CHOSEN,
        substituted=(REGRESSION,),
        seconds=2.0,
    )
]
