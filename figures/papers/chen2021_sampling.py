"""Chen, Wolfe and Kyrillidis 2021 (arXiv 2107.04197): every schedule is a profile times a sampling rate.

The list of sampling rates is reconstructed, see `simlab.schedules.sampled`; the noise variance is an axis.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from simlab.figures.columns import first, stack
from simlab.figures.papers.chen2021 import CHOSEN, FITTED, FLOOR, NOISES, PAPER, SUBSTITUTED, Maker, race, turning
from simlab.figures.reproduction import Claim, Data, Reproduction, Scale, column

import simlab as sl
from simlab.arrays import FloatArray
from simlab.plot import PALETTE, WIDTH, new_figure, style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.image import AxesImage

    from simlab.schedules import Schedule

__all__ = ["FIGURES"]

LINES = (("every", "-"), ("30-60-90", "--"))
SHOWN = (1.0, 0.01)
"""Noise variances of the heat maps."""
PROFILES = ("REX", "linear", "cosine", "exponential")
RATES = ("50-75", "33-66", "25-50-75", "30-60-90", "10 %", "every")


def _sampled(profile: str, rate: str) -> Maker:
    floor = FLOOR if profile == "exponential" else None

    def make(steps: int, peak: float) -> Schedule:
        given: int | str = max(1, round(steps / 10)) if rate == "10 %" else rate
        return sl.schedules.sampled(steps, peak, profile.lower(), given, floor=floor)

    return make


def compute_sampling(scale: Scale) -> Data:
    """ends: tuned risk by problem, budget, noise, profile and rate, its ratio to the best pair; curves: schedules."""
    makers = {f"{profile}, {rate}": _sampled(profile, rate) for profile in PROFILES for rate in RATES}
    table = stack(race(makers, scale))
    labels = np.char.partition(table.pop("schedule"), ", ")
    risks = table["risk"].reshape(-1, len(makers), len(NOISES))
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
        figure = new_figure(WIDTH, 6.0)
        # Numbers of more than four panels could not be read.
        shares = [shares[i] for i in np.unique(np.linspace(0, len(shares) - 1, 4).round().astype(int))]
        halves: Any = figure.subfigures(2, 1, height_ratios=[1.0, 2.0])
        upper, lower = halves
        top = upper.subplots(1, len(PROFILES), sharey=True)
        for j, (axes, profile) in enumerate(zip(top, PROFILES, strict=True)):
            for rate, dash in LINES:
                u, lr = (column(curves, key, profile=profile, rate=rate) for key in ("u", "lr"))
                axes.plot(u, np.maximum(lr, 1e-9), color=PALETTE[j], ls=dash, lw=1.1)
            axes.set(title=profile, xlabel="progress", yscale="log", ylim=(7e-4, 1.5))
        top[0].set_ylabel("learning rate / peak")
        lines = [top[0].plot([], [], color="0.3", ls=dash, label=f"sampled {rate}")[0] for rate, dash in LINES]
        upper.legend(handles=lines, loc="outside upper center", ncols=2)
        panels = lower.subplots(len(SHOWN), len(shares), squeeze=False)
        for row, noise in zip(panels, SHOWN, strict=True):
            for axes, share in zip(row, shares, strict=True):
                image = _heat(axes, _loss(ends, share, noise), (axes is row[0], noise == SHOWN[-1]))
                if noise == SHOWN[0]:
                    axes.set_title(f"budget {100 * share:g} %")
            row[0].set_ylabel(f"noise variance {noise:g}")
        bar = lower.colorbar(image, ax=panels, label="risk above the best pair (%)", aspect=40, pad=0.01)
        bar.set_ticks(
            np.log10([0.3, 1.0, 3.0, 10.0, 30.0, 100.0]).tolist(), labels=["0.3", "1", "3", "10", "30", "100"]
        )
        bar.ax.minorticks_off()
    return figure


def _loss(ends: Any, share: float, noise: float) -> FloatArray:
    """Mean excess over the best, per cent, (profiles, rates)."""
    return np.array(
        [
            [
                100.0 * np.expm1(np.log(column(ends, "ratio", profile=p, rate=r, share=share, noise=noise)).mean())
                for r in RATES
            ]
            for p in PROFILES
        ]
    )


def _heat(axes: Axes, loss: FloatArray, named: tuple[bool, bool]) -> AxesImage:
    """named: whether the profiles, and whether the rates, are written at the side."""
    image = axes.imshow(np.log10(np.maximum(loss, 0.3)), cmap="cividis_r", aspect="auto", vmin=-0.53, vmax=2.0)
    for (i, j), value in np.ndenumerate(loss):
        words = f"{value:.1f}" if value < 9.95 else f"{value:.0f}"
        # White from where the map is darker than mid-grey.
        axes.text(j, i, words, ha="center", va="center", fontsize=6, color="white" if value > 4.0 else "black")
    axes.set_xticks(
        range(len(RATES)), RATES if named[1] else [""] * len(RATES), rotation=60, ha="right", rotation_mode="anchor"
    )
    axes.set_yticks(range(len(PROFILES)), PROFILES if named[0] else [""] * len(PROFILES))
    axes.tick_params(length=0)
    axes.grid(False)
    return image


def _best_rates(ends: Any, profile: str, noise: float) -> list[str]:
    """The rate of the lowest risk in every cell of problem and budget."""
    found = []
    for problem in first(ends["problem"]):
        for share in first(ends["share"]):
            where = {"profile": profile, "problem": problem, "share": share, "noise": noise}
            risks = [float(column(ends, "risk", rate=rate, **where)[0]) for rate in RATES]
            found.append(RATES[int(np.argmin(risks))])
    return found


def _winners(ends: Any, noise: float) -> list[str]:
    """The best pair of the mean over spectra, by budget."""
    words = []
    for share in first(ends["share"]):
        i, j = np.unravel_index(int(_loss(ends, share, noise).argmin()), (len(PROFILES), len(RATES)))
        words.append(f"{PROFILES[i]}, {RATES[j]}")
    return words


def claims_sampling(data: Data) -> list[Claim]:
    ends = data["ends"]
    shares = first(ends["share"])
    smooth = {n: [rate for p in ("REX", "linear") for rate in _best_rates(ends, p, n)] for n in NOISES}
    rare = {n: _best_rates(ends, "exponential", n) for n in NOISES}
    winners = {n: _winners(ends, n) for n in NOISES}
    first_on_average = {n: set(names) == {"REX, every"} for n, names in winners.items()}
    cells = column(ends, "ratio", profile="REX", rate="every", noise=FITTED)
    named = "; ".join(f"{100 * s:g} %: {pair}" for s, pair in zip(shares, winners[FITTED], strict=True))
    fitted = f"at noise variance {FITTED:g}"
    counts = {n: (rates.count("every"), len(rates)) for n, rates in smooth.items()}
    return [
        Claim(
            "REX at every step is the best pair of profile and rate, on average over settings",
            "abstract",
            f"lowest geometric mean of the risk over the spectra at every budget, {fitted}",
            f"{named}; best in {int(np.sum(cells == 1.0))} of {cells.size} single cells, elsewhere at most"
            f" {100 * (cells.max() - 1):.1f} % above the best",
            first_on_average[FITTED],
            "holding the profile over tenths of the run raises its sum of rates, which pays at the smallest "
            "budget, where the start decides",
            paper="a novel profile and sampling rate combination, first over seven settings",
            chosen=f"noise variance {FITTED:g}; list of rates",
            substituted=SUBSTITUTED,
            turns=turning(first_on_average),
        ),
        Claim(
            "the exponential profile gains from rare updates",
            "definition: eta(t) = peak f(u(t)), f(u) = 0.001^u, u held between the sampling points",
            f"'every' is not its best rate on any spectrum and budget, {fitted}",
            f"'every' in {rare[FITTED].count('every')} of {len(rare[FITTED])} cells; best:"
            f" {', '.join(dict.fromkeys(rare[FITTED]))}",
            rare[FITTED].count("every") == 0,
            "where noise decides, its long low end is no loss",
            own=True,
            turns=turning({n: rates.count("every") == 0 for n, rates in rare.items()}),
        ),
        Claim(
            "REX and linear profiles are best sampled at every step",
            "definition: eta(t) = peak f(u(t)), f(u) = 1 - u or (1 - u) / (1 - u / 2)",
            f"'every' is the best rate of both on all spectra and budgets, {fitted}",
            f"{counts[FITTED][0]} of {counts[FITTED][1]} cells",
            counts[FITTED][0] == counts[FITTED][1],
            "holding a profile between its samples raises its sum of rates, which pays wherever the start decides",
            own=True,
            turns="cells of 'every' by noise variance: "
            + ", ".join(f"{n:g}: {count} of {whole}" for n, (count, whole) in counts.items()),
        ),
    ]


FIGURES = [
    Reproduction(
        "chen2021-sampling",
        "Profiles times sampling rates",
        PAPER,
        2021,
        "As chen2021-ranks; four profiles, each updated at given per cents of the run, every 10 % of it, or every step."
        " Numbers: risk above the best of all pairs, geometric mean over the three spectra, at noise variance 1 and"
        " 0.01.",
        compute_sampling,
        draw_sampling,
        claims_sampling,
        chosen=(*CHOSEN, "the sampling rates, as reconstructed"),
        substituted=(SUBSTITUTED,),
        seconds=6.0,
    ),
]
