"""Schaipp et al. 2025 (arXiv 2501.18965): transfer of the learning rate over cooldown lengths and horizons."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.optimize import minimize_scalar
from simlab.figures.columns import first, stack
from simlab.figures.papers.schaipp2025 import PAPER, best, profile
from simlab.figures.reproduction import Claim, Data, Reproduction, Scale, column
from simlab.theory.schaipp2025 import schaipp_last_iterate, wsd_lr_transfer

from simlab.arrays import FloatArray
from simlab.plot import DASHES, PALETTE, WIDTH, new_figure, shades, style

if TYPE_CHECKING:
    from matplotlib.figure import Figure


# -- transfer over cooldown lengths and horizons -----------------------------------------------------------------------

WAYS = ("unchanged", "longer cooldown", "lower rate", "1/sqrt", "tuned anew")
EXTENSIONS = (1.5, 2.0, 2.5, 3.0, 3.5, 4.0)


def _longer(steps: int, base: float) -> tuple[FloatArray, float]:
    """wsd at this base rate with the cooldown whose own best base rate it is, or all of the run where none is."""
    low, high = 0.2, 1.0
    if best(profile("wsd", steps, high))[0] < base:
        return base * profile("wsd", steps, high), high
    for _ in range(20):
        middle = 0.5 * (low + high)
        low, high = (middle, high) if best(profile("wsd", steps, middle))[0] < base else (low, middle)
    return base * profile("wsd", steps, high), high


def _extended(way: str, steps: int, short: int, base: float) -> tuple[FloatArray, float]:
    """Learning rates of a run of `short` steps at `base` that goes on to `steps`, and the number that was chosen."""
    plain = base * profile("wsd", steps)
    after = np.arange(1, steps + 1) > 0.8 * short
    if way == "longer cooldown":
        return _longer(steps, base)
    if way == "lower rate":

        def bound(factor: float) -> float:
            return float(schaipp_last_iterate(np.where(after, factor, 1.0) * plain, horizons=np.asarray(steps)))

        factor = float(minimize_scalar(bound, bounds=(0.1, 1.0), method="bounded").x)
        return np.where(after, factor, 1.0) * plain, factor
    if way == "1/sqrt":
        return np.where(after, np.sqrt(0.8 * short / np.arange(1, steps + 1)), 1.0) * plain, np.nan
    if way == "tuned anew":
        gamma = best(profile("wsd", steps))[0]
        return plain * (gamma / base), gamma / base
    return plain, 1.0


def compute_transfer(scale: Scale) -> Data:
    lengths = {"tiny": [50], "quick": [400, 1_600, 6_400], "full": [400, 1_600, 6_400, 25_600, 102_400]}[scale]
    fractions = np.linspace(0.02, 1.0, 6 if scale == "tiny" else 31)
    rates: list[dict[str, Any]] = [{"T": 0, "cooldown": fractions, "log_ratio": -np.log(wsd_lr_transfer(fractions))}]
    for steps in lengths:
        gamma = np.array([best(profile("wsd", steps, float(c)))[0] for c in fractions])
        rates.append({"T": steps, "cooldown": fractions, "log_ratio": np.log(gamma[-1] / gamma)})
    short = {"tiny": 100, "quick": 1_000, "full": 4_000}[scale]
    base = best(profile("wsd", short))[0]
    ends = []
    for way in WAYS:
        for extension in EXTENSIONS:
            steps = round(extension * short)
            lr, number = _extended(way, steps, short, base)
            bound = float(schaipp_last_iterate(lr, horizons=np.asarray(steps)))
            tuned = best(profile("wsd", steps))[1]
            row = {"way": way, "extension": extension, "bound": bound, "ratio": bound / tuned}
            # "1/sqrt" has no number of its own.
            ends.append({**row, "number": number if np.isfinite(number) else 0.0})
    return {"rates": stack(rates), "horizons": stack(ends)}


def draw_transfer(data: Data) -> Figure:
    with style():
        figure = new_figure(WIDTH, 2.4)
        a, b, c = figure.subplots(1, 3)
        rates, horizons = data["rates"], data["horizons"]
        lengths = [steps for steps in first(rates["T"]) if steps]
        for i, steps in enumerate(lengths):
            x, y = (column(rates, key, T=steps) for key in ("cooldown", "log_ratio"))
            a.plot(x, y, ".", color=shades(len(lengths))[i], ms=4, label=f"T = {steps:,}")
        a.plot(
            column(rates, "cooldown", T=0), column(rates, "log_ratio", T=0), "k-", lw=0.8, label="limit, closed form"
        )
        a.set(title="(a) over cooldowns", xlabel="cooldown fraction $c$", ylabel=r"$\ln\,\gamma^*(1)\,/\,\gamma^*(c)$")
        a.legend()
        for i, way in enumerate(first(horizons["way"])):
            x, y = (column(horizons, key, way=way) for key in ("extension", "ratio"))
            b.plot(x, y, color=PALETTE[i], ls=DASHES[i % 4], marker=".", label=way)
        b.set(title="(b) over horizons", xlabel="horizon $T_1/T_0$", ylabel=r"$\Omega_{T_1}$ / tuned anew")
        b.set_ylim(top=1.42)
        b.legend(loc="upper left", ncols=1, labelspacing=0.25)
        x = column(horizons, "extension", way="longer cooldown")
        c.plot(
            x,
            column(horizons, "number", way="longer cooldown"),
            color=PALETTE[1],
            marker=".",
            label="cooldown fraction",
        )
        c.plot(
            x,
            column(horizons, "number", way="lower rate"),
            color=PALETTE[2],
            marker=".",
            ls="-.",
            label="factor on the rate",
        )
        c.set(title="(c) what to choose", xlabel="horizon $T_1/T_0$", ylabel="number", ylim=(0.0, 1.05))
        c.legend()
    return figure


def claims_transfer(data: Data) -> list[Claim]:
    rates, horizons = data["rates"], data["horizons"]
    closed = column(rates, "log_ratio", T=0)
    lengths = [steps for steps in first(rates["T"]) if steps]
    off = {steps: float(np.abs(column(rates, "log_ratio", T=steps) - closed).max()) for steps in lengths}
    ratio = {way: column(horizons, "ratio", way=way) for way in first(horizons["way"])}
    doubled = {way: float(column(horizons, "ratio", way=way, extension=2.0)[0]) for way in ratio}
    fraction = float(column(horizons, "number", way="longer cooldown", extension=2.0)[0])
    return [
        Claim(
            "ln of the best rate over cooldown fractions is one curve for all T",
            "authors' code, lr_transfer; closed form: simlab.theory.schaipp2025.wsd_lr_transfer",
            "within 0.05 of the limit at the longest T, closer the longer",
            ", ".join(f"T = {steps:,}: {value:.3f}" for steps, value in off.items()),
            list(off.values())[-1] <= 0.05 and list(off.values()) == sorted(off.values(), reverse=True),
            "T is too short",
        ),
        Claim(
            "extending a run: a longer cooldown or a lower second rate beats going on unchanged",
            "authors' code, horizon_transfer (a), (b)",
            "both bounds below the unchanged one at every horizon",
            f"at twice the horizon {doubled['longer cooldown']:.3f} and {doubled['lower rate']:.3f} of the bound tuned"
            f" anew, unchanged {doubled['unchanged']:.3f}",
            bool(np.all(np.maximum(ratio["longer cooldown"], ratio["lower rate"]) < ratio["unchanged"])),
            "the rate of the short run suits the long one as well",
        ),
        Claim(
            "both are about as good as a rate tuned anew for the long run",
            "authors' code, horizon_transfer",
            "at most 3 % above it up to 4 times the horizon",
            f"worst {ratio['longer cooldown'].max():.3f} and {ratio['lower rate'].max():.3f}",
            max(ratio["longer cooldown"].max(), ratio["lower rate"].max()) <= 1.03,
            "the rate of the first part of the run is too high for the long one",
        ),
        Claim(
            "twice the horizon asks for a cooldown of about 60 % in place of 20 %",
            "section on transfer, language model runs extended from 50k to 100k steps",
            "0.6 +- 0.05",
            f"{fraction:.3f}",
            abs(fraction - 0.6) <= 0.05,
            "T_0 is too short",
            paper="60 % in place of 20 % for 124M parameters",
        ),
    ]


FIGURES = [
    Reproduction(
        "schaipp2025-transfer",
        "Transfer of the learning rate over cooldown lengths and horizons",
        PAPER,
        2025,
        "Best base rate over 31 cooldown fractions at several T against its closed form; a run tuned at T_0 with 20 %"
        " cooldown extended up to 4 times (T_0 = 4,000, at quick 1,000). G = D = 1.",
        compute_transfer,
        draw_transfer,
        claims_transfer,
        seconds=1.0,
    ),
]
