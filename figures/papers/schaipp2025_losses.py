"""Schaipp et al. 2025 (arXiv 2501.18965): the bound laid over exact risks and over runs of a language model."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.stats import spearmanr
from simlab.figures.columns import first, stack
from simlab.figures.papers.schaipp2025 import PAPER, best, drop, profile
from simlab.figures.reproduction import Claim, Data, Reproduction, Scale, column
from simlab.theory.schaipp2025 import schaipp_last_iterate
from simlab.theory.sharper_last_iterate import worst_case_last_iterate

import simlab as sl
from simlab.plot import DASHES, PALETTE, WIDTH, new_figure, style

if TYPE_CHECKING:
    from matplotlib.figure import Figure


# -- over exact risk ---------------------------------------------------------------------------------------------------

HELD = "wsd, no cooldown"
PROBLEM = "the problem: spectrum, start and noise"
EXACT = ("wsd", "wsd 1-sqrt", "cosine", "linear", "constant")


def compute_exact(scale: Scale) -> Data:
    steps, dim = {"tiny": (60, 8), "quick": (1_000, 32), "full": (4_000, 64)}[scale]
    lam = 1.0 / np.arange(1, dim + 1)
    problem = sl.LinearRegression(lam, 1.0, noise_variance=1.0)
    # Gradients are largest at the start: E |g|^2 = 2 sum lam_i^2 m_i + tr H (sum lam_i m_i + sigma^2) with m_i = 1.
    distance, norm = dim**0.5, float(np.sqrt(2.0 * np.sum(lam**2) + lam.sum() * (lam.sum() + 1.0)))
    runs = {name: profile(name, steps) * best(profile(name, steps))[0] * distance / norm for name in EXACT}
    # What the end would have brought at the rate of wsd, but for the cooldown.
    runs[HELD] = np.full(steps, runs["wsd"][0])
    methods = {name: sl.methods.sgd(sl.schedules.from_array(lr)) for name, lr in runs.items()}
    single = sl.subspaces.modes(*range(1, dim + 1))
    trace = sl.exact(problem, methods, record="all", subspaces=single, progress=False)
    mode = 2.0 * trace.risk.sum("component").transpose("run", "step", "subspace").values
    risk = 0.5 * mode.sum(axis=2)
    share = trace.risk.sel(run="wsd", step=steps, component="bias").sum() / risk[0, -1]
    largest = float(np.sqrt((2.0 * mode @ lam + lam.sum() * (mode.sum(axis=2) + 1.0)).max()))
    late = np.linspace(0.5 * steps, steps, 51)
    at_steps = np.unique(np.concatenate([np.geomspace(1, steps, 30), late]).round().astype(int))
    curves = []
    for i, (name, lr) in enumerate(runs.items()):
        omega = schaipp_last_iterate(lr, norm, distance, horizons=at_steps)
        sharp = worst_case_last_iterate(lr, norm, distance, horizons=at_steps)
        curves.append({"schedule": name, "t": at_steps, "omega": omega, "worst": sharp, "risk": risk[i, at_steps - 1]})
    return {
        "curves": stack(curves),
        "constants": {"G": [norm], "D": [distance], "largest": [largest], "bias_share": [float(share)]},
    }


def draw_exact(data: Data) -> Figure:
    curves = data["curves"]
    with style():
        figure = new_figure(WIDTH, 2.8)
        panels = figure.subplots(1, 3)
        titles = {"omega": "(a) bound $\\Omega_t$", "worst": "(b) worst case", "risk": "(c) exact risk of one problem"}
        for axes, (key, title) in zip(panels, titles.items(), strict=True):
            top = 0.0
            for i, name in enumerate(first(curves["schedule"])):
                t, y = (column(curves, k, schedule=name) for k in ("t", key))
                look = {"color": "0.55", "ls": "-", "zorder": 1} if name == HELD else {}
                axes.plot(t, y, **{"color": PALETTE[i], "ls": DASHES[i % 4], "label": name, **look})
                top = max(top, float(y[t >= 0.6 * t[-1]][0]))
            # The last 40 %: the drop of a fifth of the run is one hair on a logarithmic axis.
            axes.set(title=title, xlabel="step $t$", xlim=(0.6 * t[-1], t[-1]), ylim=(0.0, 1.08 * top))
            axes.axvspan(0.8 * t[-1], t[-1], color="0.93", lw=0, zorder=0)
        panels[0].set_ylabel("$E f(x_t) - f^*$")
        figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=6, columnspacing=1.0)
    return figure


def claims_exact(data: Data) -> list[Claim]:
    curves = data["curves"]
    names = [name for name in first(curves["schedule"]) if name != HELD]
    final = {key: [column(curves, key, schedule=name)[-1] for name in names] for key in ("omega", "risk")}
    t = column(curves, "t", schedule="wsd")
    start = int(np.searchsorted(t, 0.8 * t[-1]))
    falls = {
        key: (drop(column(curves, key, schedule="wsd"), start), drop(column(curves, key, schedule=HELD), start))
        for key in ("omega", "risk")
    }
    share = float(np.asarray(data["constants"]["bias_share"])[0])
    rank = float(spearmanr(final["omega"], final["risk"]).statistic)
    names_by = ["; ".join(names[i] for i in np.argsort(final[key])) for key in ("omega", "risk")]
    return [
        Claim(
            "the exact risk of a quadratic drops in the cooldown as the bound does",
            "risk = bias + variance, at the rates that the bound calls best",
            "both fall at least twice as much as at the same rate without a cooldown",
            f"risk {falls['risk'][0]:.3f} against {falls['risk'][1]:.3f}; bound {falls['omega'][0]:.3f} against"
            f" {falls['omega'][1]:.3f}; bias {share:.0%} of the final risk",
            all(with_it >= 2.0 * without for with_it, without in falls.values()),
            "at the rates of the bound nearly all of the risk is bias, which a cooldown only slows",
            own=True,
        ),
        Claim(
            "the bound ranks schedules as the risk of a quadratic does, each at the rate the bound calls best",
            "Spearman's rank correlation of Omega_T and the exact risk",
            "rank correlation of the final values >= 0.9",
            f"{rank:.2f} (bound: {names_by[0]}; risk: {names_by[1]})",
            rank >= 0.9,
            "no problem has to be the worst one",
            own=True,
        ),
    ]


FIGURES = [
    Reproduction(
        "schaipp2025-exact",
        "The bound over the exact risk of a problem with the same D and G",
        PAPER,
        2025,
        "Linear regression, lam_i = 1/i, d = 64 (quick: 32), initial errors 1 (D = sqrt d), sigma^2 = 1, batch 1; G the"
        " largest root mean square gradient (at the start); every schedule at the base rate that the bound calls best.",
        compute_exact,
        draw_exact,
        claims_exact,
        chosen=(PROBLEM,),
        seconds=1.0,
    ),
]
