"""Chen, Wolfe and Kyrillidis 2021 (arXiv 2107.04197): REX, and schedules as a profile times a sampling rate.

Only the abstract was to hand. Networks are replaced by regression, and the variance of the label noise is an axis: it
decides which schedule is first.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from simlab.figures.columns import first, stack
from simlab.figures.peaks import best_of_grid
from simlab.figures.reproduction import Claim, Data, Reproduction, Scale, column
from simlab.theory.stationary import critical_lr

import simlab as sl
from simlab.arrays import FloatArray
from simlab.plot import DASHES, PALETTE, WIDTH, new_figure, shades, style

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from simlab.schedules import Schedule

__all__ = [
    "CHOSEN", "FIGURES", "FITTED", "FLOOR", "NOISES", "PAPER", "SCHEDULES", "SUBSTITUTED", "Maker",
    "race", "turning",
]  # fmt: skip

Maker = Callable[[int, float], "Schedule"]
"""(steps, peak) -> schedule."""
PAPER = "Chen, Wolfe, Kyrillidis 2021, arXiv 2107.04197, MLSys 2022"
PROBLEMS: dict[str, tuple[float, float]] = {"flat": (1.2, 1.4), "slow tail": (1.5, 1.1), "steep": (2.0, 2.5)}
"""Spectrum -> (exponent a of lam_i = i^-a, exponent b of lam_i error_i^2 = i^-b)."""
FLOOR = 1e-3
"""What the exponential profile decays to: sampled at 30-60-90 it is nearly the step schedule 1, 0.1, 0.01, 0.001."""
SCHEDULES: dict[str, Maker] = {
    "REX": lambda steps, peak: sl.schedules.rex(steps, peak),
    "linear": lambda steps, peak: sl.schedules.linear(steps, peak),
    "cosine": lambda steps, peak: sl.schedules.cosine(steps, peak),
    "exponential": lambda steps, peak: sl.schedules.sampled(steps, peak, "exponential", floor=FLOOR),
    "step": lambda steps, peak: sl.schedules.step(steps, peak),
    "OneCycle": lambda steps, peak: sl.schedules.one_cycle(steps, peak),
}
NOISES = (1.0, 0.3, 0.1, 0.03, 0.01, 0.001, 0.0)
"""Variances of the label noise; the signal, E[y^2], is of order 1 on all three spectra."""
FITTED = 0.01
"""The noise variance at which the claims are judged: networks fit their data."""
LONGEST = {"tiny": 400, "quick": 10_000, "full": 100_000}
SHARES = {"tiny": (0.1, 1.0), "quick": (0.01, 0.05, 0.25, 1.0), "full": (0.01, 0.05, 0.1, 0.25, 0.5, 1.0)}
SUBSTITUTED = "one-pass SGD without momentum on power-law regression in the place of the paper's networks"
CHOSEN = (
    "noise variances 1 to 0; the claims are judged at 0.01, since networks fit their data",
    "the peak tuned for every cell up to 0.95 of the stability limit of a constant rate",
    "the exponential profile 0.001^u",
)


def race(makers: dict[str, Maker], scale: Scale) -> list[dict[str, Any]]:
    """Risk of every schedule at its best peak, by problem, budget and noise variance.

    The bias does not know the noise and the variance is proportional to it: one run serves all noise variances.
    """
    dim = 50 if scale == "tiny" else 10_000
    rows = []
    for name, (capacity, source) in PROBLEMS.items():
        whole = sl.LinearRegression.power_law(dim, capacity, source, noise_variance=1.0)
        problem = whole.compress(1e-6)
        peaks = 0.95 * float(critical_lr(whole.eigenvalues)) * _grid(scale)
        for share in SHARES[scale]:
            bias, variance = _parts(problem, makers, round(share * LONGEST[scale]), peaks)
            for i, label in enumerate(makers):
                for noise in NOISES:
                    peak, risk = best_of_grid(peaks, bias[i] + noise * variance[i])
                    where = {"problem": name, "share": share, "schedule": label, "noise": noise}
                    rows.append({**where, "risk": risk, "peak": peak, "at_edge": peak == peaks[-1]})
    return rows


def _grid(scale: Scale) -> FloatArray:
    """Peaks over the largest, rising: by 7 % near the stability limit, where the risk bends, and by 20 % below."""
    near = 1.07 ** np.arange(12.0)
    far = near[-1] * 1.2 ** np.arange(1.0, 17.0 if scale == "full" else 14.0)
    return np.asarray(1.0 / np.append(near, far)[::-1])[:: 4 if scale == "tiny" else 1]


def _parts(
    problem: sl.LinearRegression, makers: dict[str, Maker], steps: int, peaks: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Final bias and variance (noise variance 1) by schedule and peak; the bias is infinite where a run diverges."""
    methods = [sl.methods.sgd(make(steps, float(peak))) for make in makers.values() for peak in peaks]
    trace = sl.exact(problem, methods, record=2, progress=False)
    final, done = trace.final().sum("subspace"), trace.status.values == "done"
    shape = (len(makers), peaks.size)
    bias = np.where(done, final.sel(component="bias").values, np.inf)
    variance = np.where(done, final.sel(component="variance").values, 0.0)
    return bias.reshape(shape), variance.reshape(shape)


def _list(values: list[float]) -> str:
    return ", ".join(f"{value:.1f}" for value in values)


def _ranks(values: FloatArray) -> FloatArray:
    """1 for the smallest."""
    return 1.0 + np.argsort(np.argsort(values)).astype(np.float64)


def compute_ranks(scale: Scale) -> Data:
    """ends: tuned risk, peak and rank by problem, budget, noise variance and schedule."""
    table = stack(race(SCHEDULES, scale))
    # Rows come by problem and budget, schedules within, noise variances last.
    risks = table["risk"].reshape(-1, len(SCHEDULES), len(NOISES))
    ranks = np.stack([[_ranks(cell) for cell in case.T] for case in risks])
    return {"ends": {**table, "rank": ranks.transpose(0, 2, 1).ravel()}}


SHOWN = (1.0, 0.1, 0.01)
"""Noise variances of the upper row."""


def draw_ranks(data: Data) -> Figure:
    """Above mean ranks, as the paper's first figure has them; below what the noise does to REX over linear."""
    ends = data["ends"]
    shares, problems = first(ends["share"]), first(ends["problem"])
    ticks = shares if len(shares) < 5 else [shares[i] for i in (0, 1, 3, 5)]
    with style():
        figure = new_figure(WIDTH, 4.8)
        panels = figure.subplots(2, 3, sharex=True, sharey="row")
        for axes, noise in zip(panels[0], SHOWN, strict=True):
            for k, schedule in enumerate(SCHEDULES):
                look: dict[str, Any] = {"color": PALETTE[k], "ls": DASHES[k], "marker": ".", "label": schedule}
                axes.plot(shares, mean_rank(ends, schedule, noise), **look)
            axes.set(title=f"noise variance {noise:g}", ylim=(6.3, 0.7))
        levels = shades(len(NOISES))
        for axes, problem in zip(panels[1], problems, strict=True):
            for k, noise in enumerate(NOISES):
                ratio = _against_linear(ends, problem, noise)
                axes.plot(shares, ratio, color=levels[k], ls=DASHES[k % 4], marker=".", label=f"{noise:g}")
                where = {"problem": problem, "schedule": "REX", "noise": noise}
                edge = column(ends, "at_edge", **where) > 0.5
                axes.plot(np.array(shares)[edge], ratio[edge], "o", ms=5.5, mfc="none", color=levels[k])
            axes.axhline(1.0, color="0.5", lw=0.7)
            axes.set(title=_title(problem), xlabel="budget", xscale="log")
            axes.set_xticks(ticks, [f"{share:.0%}".replace("%", " %") for share in ticks])
            axes.set_xticks([], minor=True)
        panels[0, 0].set_ylabel("mean rank over three spectra")
        panels[1, 0].set_ylabel("risk, REX / linear")
        figure.legend(*panels[0, 0].get_legend_handles_labels(), loc="outside upper center", ncols=6)
        handles, labels = panels[1, 0].get_legend_handles_labels()
        (edge,) = panels[1, 0].plot([], [], "o", ms=5.5, mfc="none", color="0.4")
        figure.legend(
            [*handles, edge], [*labels, "REX at the stability limit"], loc="outside lower center", ncols=8,
            columnspacing=1.0, title="noise variance",
        )  # fmt: skip
    return figure


def _title(name: str) -> str:
    a, b = PROBLEMS[name]
    return f"{name}: $a$ = {a:g}, $b$ = {b:g}"


def mean_rank(ends: Any, schedule: str, noise: float) -> list[float]:
    """By budget, over the three spectra."""
    shares = first(ends["share"])
    return [float(column(ends, "rank", share=share, schedule=schedule, noise=noise).mean()) for share in shares]


def _against_linear(ends: Any, problem: str, noise: float) -> FloatArray:
    """Risk of REX over that of linear, by budget."""
    pair = [column(ends, "risk", problem=problem, schedule=name, noise=noise) for name in ("REX", "linear")]
    return np.asarray(pair[0] / pair[1])


def turning(holds: dict[float, bool]) -> str:
    """At which noise variances a claim holds and at which not, in words."""
    yes, no = ([f"{noise:g}" for noise, held in holds.items() if held is way] for way in (True, False))
    if not (yes and no):
        return f"{'holds at every' if yes else 'does not hold at any'} noise variance from 1 to 0"
    return f"holds at noise variance {', '.join(yes)}; not at {', '.join(no)}"


def _leaders(ends: Any, noise: float, among: list[str]) -> list[str]:
    """The schedule of the best mean rank, by budget."""
    rank = {name: mean_rank(ends, name, noise) for name in among}
    return [min(among, key=lambda name: rank[name][i]) for i in range(len(first(ends["share"])))]


def _percent(shares: list[float]) -> str:
    return ", ".join(f"{100 * share:g} %" for share in shares)


def claims_ranks(data: Data) -> list[Claim]:
    """Each judged at one noise variance, with the others told as the turning point."""
    ends = data["ends"]
    shares, problems = first(ends["share"]), first(ends["problem"])
    low = shares[: len(shares) // 2]
    n = len(low)
    old = [name for name in SCHEDULES if name != "REX"]
    every = list(SCHEDULES)
    best_old = {noise: all(name == "linear" for name in _leaders(ends, noise, old)[:n]) for noise in NOISES}
    step = {noise: mean_rank(ends, "step", noise) for noise in NOISES}
    worst = {
        noise: {name: float(_against_linear(ends, name, noise)[:n].max()) for name in problems} for noise in NOISES
    }
    winners = {noise: _leaders(ends, noise, every) for noise in NOISES}
    wins = {noise: all(name == "REX" for name in names) for noise, names in winners.items()}
    common: dict[str, Any] = {"chosen": f"noise variance {FITTED:g}", "substituted": SUBSTITUTED}
    fitted = f"at noise variance {FITTED:g}"
    rex = _list(mean_rank(ends, "REX", FITTED))
    return [
        Claim(
            "REX matches or exceeds all others at low and at high budgets",
            "abstract",
            f"no lower mean rank than its own at any budget, {fitted}",
            f"mean ranks of REX {rex} at {_percent(shares)}",
            wins[FITTED],
            "the gain of REX is a larger sum of rates, which pays only where the start decides and not the noise",
            paper="matches or exceeds linear, step, exponential, cosine, plateau decay and OneCycle in seven settings",
            turns=turning(wins),
            **common,
        ),
        Claim(
            "REX matches or exceeds all others where the label noise is of the order of the signal",
            "abstract",
            "no lower mean rank than its own at any budget, at noise variance 1",
            f"first: {_words(shares, winners[1.0])}; mean ranks of REX {_list(mean_rank(ends, 'REX', 1.0))}",
            wins[1.0],
            "REX ends more steeply: it averages over fewer of the last steps, and where label noise decides that costs "
            "more than its larger sum of rates gains",
            paper="seven settings, none known to have label noise of this size",
            turns="; ".join(f"{noise:g}: {', '.join(dict.fromkeys(winners[noise]))}" for noise in NOISES)
            + " first (noise variance: schedules, lowest budget first)",
            chosen="noise variance 1",
            substituted=SUBSTITUTED,
        ),
        Claim(
            "REX outperforms the linear schedule at low budgets",
            "abstract",
            f"risk ratio < 1 on every spectrum at {_percent(low)}, {fitted}",
            ", ".join(f"{name}: at most {value:.4f}" for name, value in worst[FITTED].items()),
            max(worst[FITTED].values()) < 1.0,
            "at least one spectrum has its risk decided by the noise already at low budgets",
            paper="REX outperforms linear in the low budget regime",
            turns=turning({noise: max(values.values()) < 1.0 for noise, values in worst.items()}),
            **common,
        ),
        Claim(
            "the linear schedule is the best of the older ones at low budgets",
            "abstract",
            f"best mean rank without REX at {_percent(low)}, {fitted}",
            f"first: {_words(low, _leaders(ends, FITTED, old)[:n])}",
            best_old[FITTED],
            "another schedule has the better balance of bias and variance there",
            paper="considered the best budget-aware schedule",
            turns=turning(best_old),
            **common,
        ),
        Claim(
            "the step schedule does better at high budgets than at low ones",
            "abstract",
            f"mean rank at the highest budget below that at the lowest, {fitted}",
            f"mean ranks {_list(step[FITTED])} at {_percent(shares)}",
            step[FITTED][-1] < step[FITTED][0],
            "it drops at fixed fractions of the run, and what that loses against a smooth end does not shrink with the "
            "budget on power laws",
            paper="known for high performance when trained for many epochs",
            turns=turning({noise: ranks[-1] < ranks[0] for noise, ranks in step.items()}),
            **common,
        ),
    ]


def _words(shares: list[float], names: list[str]) -> str:
    return ", ".join(f"{100 * share:g} %: {name}" for share, name in zip(shares, names, strict=True))


FIGURES = [
    Reproduction(
        "chen2021-ranks",
        "REX against five schedules, budget by budget",
        PAPER,
        2021,
        "One-pass SGD on power laws lam_i = i^-a, lam_i error_i^2 = i^-b, d = 10,000, noise variance 1 to 0; budgets of"
        " 1 % to all of 100,000 steps (quick: 10,000); REX, linear, cosine, exponential, step (x 0.1 at 30, 60, 90 %)"
        " and OneCycle, the peak tuned for every cell. Exact risk of the last iterate; on the steep spectrum most best"
        " peaks lie at the stability limit once the noise is small.",
        compute_ranks,
        draw_ranks,
        claims_ranks,
        chosen=CHOSEN,
        substituted=(SUBSTITUTED,),
        seconds=3.0,
    ),
]
