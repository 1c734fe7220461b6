"""Chen, Wolfe and Kyrillidis 2021 (arXiv 2107.04197): every schedule is a profile times a sampling rate.

The list of sampling rates is reconstructed, see `simlab.schedules.sampled`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from simlab.figures.papers.chen2021 import ASSUMED, FLOOR, PAPER, Maker, race
from simlab.figures.papers.columns import first, stack
from simlab.figures.reproduction import Claim, Data, Reproduction, Scale, column

import simlab as sl
from simlab.arrays import FloatArray
from simlab.plot import PALETTE, WIDTH, new_figure, style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from simlab.schedules import Schedule

__all__ = ["FIGURES"]

PROFILES = ("REX", "linear", "cosine", "exponential")
RATES = ("50-75", "33-66", "25-50-75", "30-60-90", "10 %", "every")


def _sampled(profile: str, rate: str) -> Maker:
    floor = FLOOR if profile == "exponential" else None

    def make(steps: int, peak: float) -> Schedule:
        given: int | str = max(1, round(steps / 10)) if rate == "10 %" else rate
        return sl.schedules.sampled(steps, peak, profile.lower(), given, floor=floor)

    return make


def compute_sampling(scale: Scale) -> Data:
    """ends: tuned risk by problem, budget, profile and rate, and its ratio to the best pair; curves: the schedules."""
    makers = {f"{profile}, {rate}": _sampled(profile, rate) for profile in PROFILES for rate in RATES}
    table = stack(race(makers, scale))
    labels = np.char.partition(table.pop("schedule"), ", ")
    risks = table["risk"].reshape(-1, len(makers))
    ratio = (risks / risks.min(axis=1, keepdims=True)).ravel()
    ends = {**table, "profile": labels[:, 0], "rate": labels[:, 2], "ratio": ratio}
    curves = [
        {"profile": profile, "rate": rate, "u": np.arange(200) / 200, "lr": _sampled(profile, rate)(200, 1.0).values()}
        for profile in PROFILES
        for rate in ("30-60-90", "every")
    ]
    return {"ends": ends, "curves": stack(curves)}


def draw_sampling(data: Data) -> Figure:
    ends, curves = data["ends"], data["curves"]
    shares = first(ends["share"])
    with style():
        figure = new_figure(WIDTH, 3.9)
        # Numbers of more than four panels could not be read.
        shares = [shares[i] for i in np.unique(np.linspace(0, len(shares) - 1, 4).round().astype(int))]
        grid = figure.add_gridspec(2, 1, height_ratios=[1.0, 1.05])
        top, bottom = grid[0].subgridspec(1, len(PROFILES)), grid[1].subgridspec(1, len(shares))
        for j, profile in enumerate(PROFILES):
            axes = figure.add_subplot(top[0, j])
            for rate, dash, width in (("every", "-", 1.3), ("30-60-90", "--", 0.9)):
                u, lr = (column(curves, key, profile=profile, rate=rate) for key in ("u", "lr"))
                axes.plot(u, lr, color=PALETTE[j], ls=dash, lw=width, label=rate)
            axes.set(title=profile, xlabel="progress", ylim=(0.0, 1.05))
            if j == 0:
                axes.set_ylabel("learning rate / peak")
            axes.legend(loc="lower left" if j < 3 else "upper right", title="sampled")
        for j, share in enumerate(shares):
            axes = figure.add_subplot(bottom[0, j])
            _heat(axes, _loss(ends, share), share, named=j == 0)
    return figure


def _loss(ends: Any, share: float) -> FloatArray:
    """Mean excess over the best, per cent, (profiles, rates)."""
    return np.array(
        [
            [
                100.0 * (np.exp(np.log(column(ends, "ratio", profile=p, rate=r, share=share)).mean()) - 1.0)
                for r in RATES
            ]
            for p in PROFILES
        ]
    )


def _heat(axes: Axes, loss: FloatArray, share: float, named: bool) -> None:
    axes.imshow(np.log10(np.maximum(loss, 0.3)), cmap="cividis_r", aspect="auto", vmin=-0.5, vmax=2.0)
    for (i, j), value in np.ndenumerate(loss):
        words = f"{value:.1f}" if value < 9.95 else f"{value:.0f}"
        axes.text(j, i, words, ha="center", va="center", fontsize=6, color="white" if value > 5.0 else "black")
    axes.set_xticks(range(len(RATES)), RATES, rotation=60, ha="right", rotation_mode="anchor")
    axes.set_yticks(range(len(PROFILES)), PROFILES if named else [""] * len(PROFILES))
    axes.tick_params(length=0)
    axes.grid(False)
    axes.set_title(f"{share:.0%} of budget", fontsize=7)
    if named:
        axes.set_ylabel("% above best pair")


def claims_sampling(data: Data) -> list[Claim]:
    ends = data["ends"]
    shares, problems = first(ends["share"]), first(ends["problem"])
    best: dict[str, list[str]] = {}
    for profile in PROFILES:
        best[profile] = [
            min(RATES, key=lambda r, w=where: column(ends, "risk", rate=r, **w)[0])  # type: ignore[misc]
            for where in ({"profile": profile, "problem": p, "share": s} for p in problems for s in shares)
        ]
    smooth = [rate for profile in ("REX", "linear") for rate in best[profile]]
    cells = column(ends, "ratio", profile="REX", rate="every")
    return [
        Claim(
            "REX and linear profiles are best sampled at every step",
            "section 3 (as remembered)",
            "best rate is 'every' for both on all spectra and budgets",
            f"{smooth.count('every')} of {len(smooth)} cells",
            smooth.count("every") == len(smooth),
            chosen=ASSUMED[2],
            reason=f"others: {', '.join(sorted(set(smooth) - {'every'}))}",
        ),
        Claim(
            "the best sampling rate depends on the profile: exponential decay gains from rare updates",
            "section 3 (as remembered)",
            "'every' is not the best rate of the exponential profile on any spectrum and budget",
            f"every: {best['exponential'].count('every')} of {len(best['exponential'])} cells; best: "
            f"{', '.join(dict.fromkeys(best['exponential']))}",
            best["exponential"].count("every") == 0,
            chosen=ASSUMED[2],
            reason=f"{best['exponential'].count('every')} of {len(best['exponential'])} cells",
        ),
        Claim(
            "REX at every step is the best pair of profile and rate",
            "abstract",
            "lowest risk of all pairs on every spectrum and budget",
            f"best in {int(np.sum(cells == 1.0))} of {cells.size} cells, at most {100 * (cells.max() - 1):.1f} % above",
            bool(np.all(cells == 1.0)),
            chosen=ASSUMED[2],
            reason=_winners(ends, shares),
        ),
    ]


def _winners(ends: Any, shares: list[float]) -> str:
    """The best pair of the mean over spectra, by budget."""
    words = []
    for share in shares:
        i, j = np.unravel_index(int(_loss(ends, share).argmin()), (len(PROFILES), len(RATES)))
        words.append(f"{share:.0%}: {PROFILES[i]}, {RATES[j]}")
    return "best on average: " + "; ".join(words)


FIGURES = [
    Reproduction(
        "chen2021-sampling",
        "Profiles times sampling rates",
        PAPER,
        2021,
        "As chen2021-ranks; four profiles, each updated at given per cents of the run, every 10 % of it, or every step."
        " Numbers: risk above the best of all pairs, geometric mean over the three spectra.",
        compute_sampling,
        draw_sampling,
        claims_sampling,
        chosen=ASSUMED,
        seconds=4.0,
    ),
]
