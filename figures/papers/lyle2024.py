"""Lyle et al. 2024 (arXiv 2407.01800): the rate that normalisation hides, and what projecting the norm restores."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from simlab.figures.columns import stack
from simlab.figures.peaks import best_peaks, critical
from simlab.figures.reproduction import Claim, Data, Reproduction, Scale, column

import simlab as sl
from simlab.arrays import FloatArray
from simlab.plot import DASHES, PALETTE, WIDTH, new_figure, style

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from simlab.methods import Method
    from simlab.schedules import Schedule

__all__ = ["FIGURES", "grown"]

PAPER = "Lyle et al. 2024, arXiv 2407.01800"
RATES = (0.01, 0.03, 0.1, 0.3)
MAIN = RATES[-1]
WAYS: dict[str, Callable[[int, float], Schedule]] = {
    "no projection": lambda steps, lr: sl.schedules.scale_invariant(steps, lr, gradient_norm=1.0),
    "projected": sl.schedules.constant,
}
"""Without projection the rate in effect is lr/|w_t|^2; with it, lr. |w_0| = G = 1."""
RECOVERED = 0.25
"""Of the risk just after a jump."""
BATCH = 8
REGRESSION = "SGD on a regression at the rate in effect, lr/|w|^2, in place of normalised networks"
CHOSEN = "|w_0| = 1, gradients of norm 1/|w|; a target that changes sign; recovered at a quarter of the risk at a jump"


def grown(steps: int, lr: float, dim: int = 400) -> FloatArray:
    """lr/|w_t|^2 at steps 0 .. T - 1 of weights that take random steps orthogonal to themselves, as long as lr/|w|."""
    random = np.random.default_rng(0)
    w = random.standard_normal(dim)
    w /= np.linalg.norm(w)
    rates = []
    for _ in range(steps):
        square = w @ w
        rates.append(lr / square)
        g = random.standard_normal(dim)
        g -= w * (w @ g) / square
        w = w - lr * g / (np.linalg.norm(g) * np.sqrt(square))
    return np.array(rates)


def compute(scale: Scale) -> Data:
    """jumps: risk just after each jump, and steps to a quarter of it; path: the risk; norm: rates in effect; still:
    the best final risks on one target.
    """
    length, count = {"tiny": (100, 4), "quick": (400, 8), "full": (800, 16)}[scale]
    base = sl.LinearRegression.power_law(50, 1.2, 1.4, noise_variance=0.05)
    first = np.repeat(np.arange(count) % 2 == 0, length).astype(float)
    other = sl.LinearRegression(base.eigenvalues, -base.initial_error, 0.05)
    mixture = sl.Mixture([base, other], [sl.schedules.from_array(first), "rest"])
    jumps, path = [], []
    for lr in RATES:
        runs = {way: sl.methods.sgd(make(length * count, lr), batch=BATCH) for way, make in WAYS.items()}
        risk = sl.exact(mixture, runs, record="all", progress=False).total()
        for way in WAYS:
            seen = _seen(risk.sel(run=way).transpose("step", "domain").values, length)
            jumps.append({"lr": lr, "way": way, "jump": np.arange(count), **_recovery(seen, length)})
            if lr == MAIN:
                at = np.arange(0, length * count, 4)
                path.append({"way": way, "step": at, "risk": seen[at]})
    steps = length * count
    at = np.unique(np.geomspace(1, steps - 1, 40).astype(int))
    law = WAYS["no projection"](steps, MAIN).values()
    norm = {"step": at, "walk": grown(steps, MAIN)[at], "law": law[at]}
    return {"jumps": stack(jumps), "path": stack(path), "norm": norm, "still": _still(steps)}


def _seen(risk: FloatArray, length: int) -> FloatArray:
    """Risk of w_t on the target that step t is taken on, from risks by step and target."""
    steps = np.arange(len(risk) - 1)
    return np.asarray(risk[steps, (steps // length) % 2])


def _recovery(seen: FloatArray, length: int) -> dict[str, Any]:
    phases = seen.reshape(-1, length)
    low = phases < RECOVERED * phases[:, :1]
    took = np.where(low.any(axis=1), low.argmax(axis=1), length)
    return {"took": took, "mean": phases.mean(axis=1)}


def _still(steps: int) -> dict[str, Any]:
    """Final risk of either way and of linear decay, each at its best rate, on targets that stay."""
    rows = []
    for source in (1.2, 2.0):
        problem = sl.LinearRegression.power_law(3_000, 1.5, source, noise_variance=1.0).compress(1e-6)

        makers = {**WAYS, "projected, linear": sl.schedules.linear}
        peak, risk = best_peaks(problem, [_run(make, steps) for make in makers.values()], 2.0 * critical(problem))
        rows.append({"source": source, "way": list(makers), "peak": peak, "risk": risk})
    return stack(rows)


def _run(make: Callable[[int, float], Schedule], steps: int) -> Callable[[float], Method]:
    return lambda peak: sl.methods.sgd(make(steps, peak))


def _took(data: Data, way: str, lr: float = MAIN) -> FloatArray:
    """Steps that recovery takes after jumps 1, 2, .. (the start is none)."""
    return column(data["jumps"], "took", way=way, lr=lr)[1:]


def draw(data: Data) -> Figure:
    with style():
        figure = new_figure(WIDTH, 2.8)
        panels = figure.subplots(1, 3)
        for i, way in enumerate(WAYS):
            step, risk = (column(data["path"], key, way=way) for key in ("step", "risk"))
            panels[0].plot(step, risk, color=PALETTE[i], ls=DASHES[i], lw=0.9, label=way)
            took = _took(data, way)
            panels[1].plot(np.arange(1, took.size + 1), took, color=PALETTE[i], marker="os"[i], ms=4, ls="")
        k = np.arange(1, _took(data, "projected").size + 1)
        panels[1].plot(k, _took(data, "no projection")[0] * np.sqrt(k), color="0.5", lw=0.8, label=r"$\sqrt{k}$")
        panels[0].set(yscale="log", xlabel="step", ylabel="risk on the current target", title="(a) a target that jumps")
        handles, names = panels[0].get_legend_handles_labels()
        figure.legend(handles, names, loc="outside lower left", ncols=2)
        panels[1].set(
            xlabel="jump k",
            ylabel="steps to a quarter of the risk",
            title="(b) recovery",
            ylim=(0, None),
            xlim=(0, None),
        )
        panels[1].legend(loc="upper left", bbox_to_anchor=(0.0, 0.55))
        norm = data["norm"]
        panels[2].plot(norm["step"], norm["walk"], "o", ms=3, mfc="none", color=PALETTE[0], label="random walk")
        panels[2].plot(norm["step"], norm["law"], color="black", lw=0.9, label="law")
        panels[2].set(xscale="log", yscale="log", xlabel="step", ylabel=r"$\eta / |w|^2$", title="(c) rate in effect")
        panels[2].legend(loc="lower left")
    return figure


def claims(data: Data) -> list[Claim]:
    given: dict[str, Any] = {"chosen": CHOSEN, "substituted": REGRESSION}
    return [_norm(data), *_jumping(data, given), _staying(data)]


def _norm(data: Data) -> Claim:
    step, walk, law = (column(data["norm"], key) for key in ("step", "walk", "law"))
    late = step >= step.max() / 10.0
    slope = float(np.polyfit(np.log(step[late]), np.log(walk[late]), 1)[0])
    off = float(np.abs(walk / law - 1.0).max())
    return Claim(
        "growth of the norm decays the rate in effect: like an inverse square root",
        "abstract; lr/sqrt(|w_0|^4 + 2 lr^2 G^2 t)",
        "random walk of 400 weights within 2 % of the formula; slope of its last decade -0.5 +- 0.05",
        f"within {off:.1%}; {slope:.3f}",
        off <= 0.02 and abs(slope + 0.5) <= 0.05,
        "the walk is too short",
        paper="an implicit decay of the effective rate",
        chosen=CHOSEN,
    )


def _jumping(data: Data, given: dict[str, Any]) -> list[Claim]:
    free, held = _took(data, "no projection"), _took(data, "projected")
    k = np.arange(1, free.size + 1)
    slope = float(np.polyfit(np.log(k), np.log(free), 1)[0])
    ratio = {lr: float(_took(data, "no projection", lr)[-1] / _took(data, "no projection", lr)[0]) for lr in RATES}
    mean = {way: {lr: float(column(data["jumps"], "mean", way=way, lr=lr)[1:].mean()) for lr in RATES} for way in WAYS}
    gain = {lr: mean["projected"][lr] / mean["no projection"][lr] for lr in RATES}
    best = {way: min(values.values()) for way, values in mean.items()}
    return [
        Claim(
            "without projection every jump takes longer to recover from",
            "abstract",
            f"lr = {MAIN}: steps after the last jump at least 1.25 times those after the first",
            f"{free[0]:.0f} to {free[-1]:.0f} steps",
            bool(free[-1] >= 1.25 * free[0]),
            "the rate has hardly decayed",
            paper="the implicit decay hurts on nonstationary tasks",
            turns="last over first, by lr: "
            + ", ".join(f"{x:.2f} ({lr:g})" for lr, x in ratio.items())
            + f"; as k^{slope:.2f}, where a fixed sum of rates t^-1/2 would take k^0.5",
            **given,
        ),
        Claim(
            "with the norm projected recovery stays as fast as it was",
            "abstract",
            f"lr = {MAIN}: steps after every jump within 10 % of the first",
            f"{held.min():.0f} .. {held.max():.0f} steps",
            bool(np.all(np.abs(held / held[0] - 1.0) <= 0.1)),
            "what was learned of earlier targets is in the way",
            paper="recovers or improves performance",
            **given,
        ),
        Claim(
            "projection lowers the risk on targets that jump",
            "abstract",
            "mean risk over all steps after the first jump, at the best rate of four: at most 0.9 of no projection",
            f"{best['projected'] / best['no projection']:.2f}",
            best["projected"] <= 0.9 * best["no projection"],
            "at its best rate the norm hardly grows",
            paper="recovers or improves performance",
            turns="at equal lr: " + ", ".join(f"{x:.2f} ({lr:g})" for lr, x in gain.items()),
            **given,
        ),
    ]


def _staying(data: Data) -> Claim:
    risk = {way: column(data["still"], "risk", way=way) for way in (*WAYS, "projected, linear")}
    constant, linear = (risk["no projection"] / risk[way] - 1.0 for way in ("projected", "projected, linear"))
    return Claim(
        "on a target that stays the hidden decay is worse than an explicit linear one",
        "final risks at the best rates, sources 1.2 and 2",
        "at least 10 % above linear decay, both tasks",
        ", ".join(f"{x:+.0%}" for x in linear),
        bool(np.all(linear >= 0.1)),
        "the norm does not grow at the best rate",
        turns="against a constant rate " + ", ".join(f"{x:+.0%}" for x in constant),
        own=True,
    )


FIGURES = [
    Reproduction(
        "lyle2024-norm",
        "The rate that normalisation hides, on targets that jump",
        PAPER,
        2024,
        "Regression (50 modes, capacity 1.2, source 1.4, sigma^2 = 0.05, batch 8) whose target changes sign every 400"
        " steps (full: 800, 16 times), at lr/|w|^2 of weights whose norm grows, or at lr: 0.01 .. 0.3. Final risks on"
        " one target: capacity 1.5, source 1.2 and 2, best rates.",
        compute,
        draw,
        claims,
        chosen=(CHOSEN,),
        substituted=(REGRESSION,),
        seconds=1.0,
    )
]
