"""Wu, Zou, Braverman, Gu and Kakade 2022: the last iterate of SGD under tail-geometric and tail-polynomial decay."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from simlab.figures.reproduction import Claim, Data, Reproduction, Scale, Table, column
from simlab.theory.wu2022 import default_block, wu_geometric_upper, wu_geometric_versus_polynomial

import simlab as sl
from simlab.arrays import FloatArray
from simlab.methods import Method
from simlab.plot import DASHES, PALETTE, WIDTH, new_figure, style
from simlab.plot.canvas import plain_log

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["FIGURES", "compute_bound"]


DIM = 500
CASES = [(a, b) for a in (1.0, 1.5, 2.0) for b in (0.0, 1.0)]
"""(a, b): eigenvalues i^-a, start i^-b."""
POWERS = (0.25, 0.5, 1.0)
PSI = 3.0
HOLDS = (0.0, 0.5, 0.8)
CONSTANT = 1.41
"""Left open by the paper: what suffices for the corrected form."""


def problem(a: float, b: float) -> sl.LinearRegression:
    """Gaussian data, sigma^2 = 1."""
    i = np.arange(1.0, DIM + 1.0)
    return sl.LinearRegression(i**-a, i**-b, 1.0)


def largest_lr(case: sl.LinearRegression, steps: int) -> float:
    """Just within the condition of the theorems, lr < 1/(4 psi tr(H) ln n)."""
    return 0.99 / (4.0 * PSI * float(case.eigenvalues.sum()) * float(np.log(steps)))


# -- geometric against polynomial decay --------------------------------------------------------------------------------


def schedules(steps: int, lr: float) -> dict[str, Method]:
    """The schedules of the paper's figure, all held for the first half; and the tail average of a constant rate."""
    hold = steps // 2
    out = {"geometric": sl.methods.sgd(sl.schedules.tail_geometric(steps, lr, hold=hold))}
    for power in POWERS:
        schedule = sl.schedules.tail_polynomial(steps, lr, hold=hold, power=power)
        out[f"polynomial, a = {power:g}"] = sl.methods.sgd(schedule)
    constant = sl.methods.sgd(sl.schedules.constant(steps, lr))
    return {**out, "tail average": sl.methods.average(constant, start=hold, form="old")}


def compute(scale: Scale) -> Data:
    """risk: of every schedule on six problems, by sample size, with the bound on geometric by polynomial decay."""
    lengths = {"tiny": (100,), "quick": (250, 500, 1000, 2000, 4000), "full": (250, 500, 1000, 2000, 4000, 8000, 16000)}
    entries: list[tuple[object, ...]] = []
    for a, b in CASES:
        case = problem(a, b)
        for n in lengths[scale]:
            lr = largest_lr(case, n)
            trace = sl.exact(case, schedules(n, lr), record=[n], progress=False)
            final = trace.final().sum("subspace")
            for name in final["run"].values:
                bias, variance = (float(final.sel(run=name, component=part)) for part in ("bias", "variance"))
                risk = bias + variance
                given = (case.eigenvalues, case.initial_error, 1.0, lr, n)
                limit = float(wu_geometric_versus_polynomial(*given, risk)) / 1.5
                entries.append((a, b, n, str(name), bias, variance, risk, limit))
    names = ("a", "b", "steps", "schedule", "bias", "variance", "risk", "limit")
    steps = 4000
    held = sl.schedules
    curves = {
        "geometric": held.tail_geometric(steps, 1.0, hold=steps // 2).values(),
        **{f"polynomial, a = {p:g}": held.tail_polynomial(steps, 1.0, hold=2000, power=p).values() for p in POWERS},
    }
    kept = np.unique(np.concatenate([np.arange(0, steps, 50), np.arange(1990, 2060), np.arange(2060, steps, 8)]))
    table = {"step": kept.astype(float)} | {name: values[kept] for name, values in curves.items()}
    return {"risk": {name: np.array([entry[j] for entry in entries]) for j, name in enumerate(names)}, "lr": table}


def draw(data: Data) -> Figure:
    risk, lr = data["risk"], data["lr"]
    names = list(dict.fromkeys(np.asarray(risk["schedule"]).tolist()))
    with style():
        figure = new_figure(WIDTH, 4.1)
        grid = figure.subplots(2, 4)
        for j, name in enumerate(names[:-1]):
            grid[0, 0].plot(column(lr, "step"), column(lr, name), color=PALETTE[j], linestyle=DASHES[j], linewidth=1)
        grid[0, 0].set_yscale("log")
        grid[0, 0].set_ylim(bottom=1e-3)
        grid[0, 0].set_title("schedules, n = 4,000")
        grid[0, 0].set_xlabel("step")
        grid[0, 0].set_xticks([0, 2000, 4000], ["0", "2,000", "4,000"])
        grid[0, 0].set_ylabel("learning rate / initial")
        _ratios(grid[1, 0], risk, names)
        for k, (a, b) in enumerate(CASES):
            axes = grid[k % 2, 1 + k // 2]
            for j, name in enumerate(names):
                where = {"a": a, "b": b, "schedule": name}
                x, y = column(risk, "steps", **where), column(risk, "risk", **where)
                axes.plot(x, y, color=PALETTE[j], linestyle=DASHES[j], label=name)
            _sample_axis(axes, column(risk, "steps"))
            axes.set_yscale("log")
            start = "1" if b == 0 else "i^{-1}"
            axes.set_title(rf"$\lambda_i = i^{{-{a:g}}}$, initial error ${start}$", fontsize=7)
            axes.set_xlabel("samples n" if k % 2 else "")
        grid[0, 1].set_ylabel("excess risk")
        grid[1, 1].set_ylabel("excess risk")
        for axes in grid[:, 1:].ravel():
            plain_log(axes.yaxis)
        figure.legend(*grid[0, 1].get_legend_handles_labels(), loc="outside lower center", ncols=5)
    return figure


def _sample_axis(axes: Axes, steps: FloatArray) -> None:
    """A logarithmic axis with a plain number (of thousands) at every second sample size."""
    from matplotlib.ticker import NullLocator

    ticks = np.unique(steps)[::-2]
    axes.set_xscale("log")
    axes.set_xticks(ticks, [f"{n / 1000.0:g}k" for n in ticks])
    axes.xaxis.set_minor_locator(NullLocator())


def _ratios(axes: Axes, risk: Table, names: list[str]) -> None:
    """Risk of geometric over that of polynomial decay, all problems."""
    best = column(risk, "risk", schedule="geometric")
    steps = column(risk, "steps", schedule="geometric")
    for j, name in enumerate(names[1:-1], start=1):
        ratio = best / column(risk, "risk", schedule=name)
        # Powers side by side rather than over one another.
        axes.plot(steps * 1.18 ** (j - 2), ratio, "o", ms=2.5, mfc="none", mew=0.7, color=PALETTE[j])
    axes.axhline(1.0, color="black", linewidth=0.8)
    _sample_axis(axes, steps)
    axes.set_ylim(bottom=0.0)
    axes.set_xlabel("samples n")
    axes.set_ylabel("geometric / polynomial")


def claims(data: Data) -> list[Claim]:
    risk = data["risk"]
    geometric = column(risk, "risk", schedule="geometric")
    ratio = {p: geometric / column(risk, "risk", schedule=f"polynomial, a = {p:g}") for p in POWERS}
    limit = {p: geometric / column(risk, "limit", schedule=f"polynomial, a = {p:g}") for p in POWERS}
    bounded = max(float(one.max()) for one in limit.values())
    last = column(risk, "steps", schedule="geometric") == column(risk, "steps").max()
    wins = sum(int((ratio[p][last] < 1.0).sum()) for p in POWERS)
    of = len(POWERS) * int(last.sum())
    worst = max(float(ratio[p][last].max()) for p in POWERS)
    return [
        Claim(
            "Geometric decay beats polynomial decay on every problem, for every power, at the largest n",
            "risk(geometric) / risk(polynomial), exact, s = n/2; the paper compares up to 1 + SNR ln n only",
            "ratio < 1 on all of them",
            f"{wins} of {of}; worst " + ", ".join(f"{ratio[p][last].max():.2f} (a = {p:g})" for p in POWERS),
            wins == of,
            reason="where the spectrum is steep, the slow decay a = 0.25 has less variance and little more bias",
            turns=f"polynomial decay is better on {of - wins} of {of}, by at most {max(worst - 1.0, 0.0):.0%}; divided "
            f"by 1 + SNR ln n the ratio is at most {bounded:.2f} at every n",
            own=True,
        ),
    ]


# -- the bound on the last iterate -------------------------------------------------------------------------------------


def compute_bound(scale: Scale) -> Data:
    """bound: exact risk and variance with the bound; shape: variance over sigma^2 D/K, as printed and as corrected."""
    lengths = {"tiny": (500,), "quick": (500, 1000, 2000, 4000), "full": (500, 1000, 2000, 4000, 8000, 16000)}[scale]
    bound: list[tuple[object, ...]] = []
    shape: list[tuple[object, ...]] = []
    for a, b in CASES:
        case = problem(a, b)
        for n in lengths:
            for part in HOLDS:
                hold, lr = int(n * part), largest_lr(case, n)
                schedule = sl.schedules.tail_geometric(n, lr, hold=hold)
                trace = sl.exact(case, sl.methods.sgd(schedule), record=[n], snapshots=[n], progress=False)
                bias, variance = (
                    trace.dataset["mode_risk"].sel(component=one).values[-1] for one in ("bias", "variance")
                )
                stated = wu_geometric_upper(case.eigenvalues, case.initial_error, 1.0, lr, n, hold)
                risk = float(bias.sum() + variance.sum())
                bound.append((a, b, n, part, risk, float(variance.sum()), float(stated.total)))
                for form in ("printed", "corrected"):
                    modes = noise_shape(case.eigenvalues, lr, n, hold, form)
                    total = 2.0 * float(variance.sum()) / float(modes.sum())
                    tail = lr * case.eigenvalues * (hold + default_block(n, hold)) < 1.0
                    beyond = 2.0 * float(variance[tail].sum()) / float(modes[tail].sum())
                    shape.append((a, b, n, part, form, total, beyond))
    names = ("a", "b", "steps", "hold", "risk", "variance", "upper")
    parts = ("a", "b", "steps", "hold", "form", "ratio", "beyond")
    return {
        "bound": {name: np.array([entry[j] for entry in bound]) for j, name in enumerate(names)},
        "shape": {name: np.array([entry[j] for entry in shape]) for j, name in enumerate(parts)},
    }


def noise_shape(lam: FloatArray, lr: float, steps: int, hold: int, form: str) -> FloatArray:
    """D_i / K, x_i = lr lam_i: 1/K up to k*, x_i up to k-dagger, beyond it K x_i^2 printed, (s + K) x_i^2 corrected."""
    block, x = default_block(steps, hold), lr * lam
    last = (block if form == "printed" else hold + block) * x**2
    out: FloatArray = np.where(block * x >= 1.0, 1.0 / block, np.where((hold + block) * x >= 1.0, x, last))
    return out


def draw_bound(data: Data) -> Figure:
    bound, shape = data["bound"], data["shape"]
    with style():
        figure = new_figure(WIDTH, 2.8)
        left, middle, right = figure.subplots(1, 3)
        where = {"a": 1.5, "b": 1.0}
        for j, part in enumerate(HOLDS):
            x, risk, upper = (column(bound, name, hold=part, **where) for name in ("steps", "risk", "upper"))
            left.plot(x, risk, color=PALETTE[j], label=f"s = {part:g} n" if part else "s = 0")
            left.plot(x, upper, color=PALETTE[j], linestyle="--", linewidth=0.9)
        left.plot([], [], color="0.3", linestyle="--", linewidth=0.9, label="upper bound")
        left.set_ylabel("excess risk")
        left.set_title(r"$\lambda_i = i^{-1.5}$, initial error $i^{-1}$")
        left.set_yscale("log")
        for axes, what in ((middle, "ratio"), (right, "beyond")):
            for j, part in enumerate(HOLDS):
                for form, mark in (("printed", "x"), ("corrected", "o")):
                    given = {"hold": part, "form": form}
                    # Side by side rather than over one another.
                    x = column(shape, "steps", **given) * (1.0 + 0.06 * (j - 1))
                    y = column(shape, what, **given)
                    axes.plot(x, y, mark, markersize=3.5, markerfacecolor="none", color=PALETTE[j])
            axes.axhline(CONSTANT, color="black", linewidth=0.8, label=f"constant {CONSTANT:g}")
            axes.set_yscale("log")
        middle.set_title("all modes")
        right.set_title(r"modes beyond $k^\dagger$")
        middle.set_ylabel(r"variance / ($\sigma^2 D/K$)")
        right.plot([], [], color="0.3", marker="x", markersize=3.5, linestyle="", label=r"printed, $K^2$")
        right.plot([], [], color="0.3", marker="o", markersize=3.5, markerfacecolor="none", linestyle="",
                   label=r"corrected, $K(s+K)$")  # fmt: skip
        handles, labels = (
            x + y for x, y in zip(*(axes.get_legend_handles_labels() for axes in (left, right)), strict=True)
        )
        figure.legend(handles, labels, loc="outside lower center", ncols=4)
        for axes in (left, middle, right):
            _sample_axis(axes, column(bound, "steps"))
            axes.set_xlabel("samples n")
    return figure


def claims_bound(data: Data) -> list[Claim]:
    bound, shape = data["bound"], data["shape"]
    over = column(bound, "risk") / column(bound, "upper")
    fixed = column(shape, "ratio", form="corrected")
    tail = {form: column(shape, "beyond", form=form) for form in ("printed", "corrected")}
    broken = {part: column(shape, "beyond", form="printed", hold=part).max() for part in HOLDS}
    return [
        Claim(
            "The upper bound on the last iterate under geometric decay holds, with K (s + K) in its last factor",
            "upper bound for geometric decay, last factor corrected",
            "exact / bound <= 1 on every problem, n and s, and the variance of modes beyond k-dagger over its factor "
            f"<= {CONSTANT:g}",
            f"{over.min():.3f} .. {over.max():.3f}; {tail['corrected'].max():.2f}",
            bool(over.max() <= 1.0 and tail["corrected"].max() <= CONSTANT),
            paper="an upper bound up to constants",
            chosen=f"K (s + K) for the K^2 of the authors' poster; {CONSTANT:g} for the constant; start, spectra, s",
            reason="the bound, as implemented, is exceeded",
        ),
        Claim(
            "The factor as printed on the authors' poster, K^2, bounds the variance of modes beyond k-dagger",
            "the authors' poster",
            f"variance / (sigma^2 D/K) <= {CONSTANT:g} there (the constant that suffices for the corrected form)",
            ", ".join(f"{value:.1f} (s = {part:g}{' n' if part else ''})" for part, value in broken.items())
            + f"; corrected at most {tail['corrected'].max():.2f}",
            bool(tail["printed"].max() <= CONSTANT),
            paper="K^2",
            reason="it is exceeded by (s + K)/K, which grows with ln n: no constant will do",
            turns="holds without a hold, s = 0, where both factors are the same",
        ),
        Claim(
            "With the corrected factor the variance is sigma^2 D/K up to constants",
            "D = k* + lr K sum lam_i (k* to k-dagger) + lr^2 K (s + K) sum lam_i^2 (beyond)",
            f"variance / (sigma^2 D/K) within 0.15 .. {CONSTANT:g}",
            f"{fixed.min():.3f} .. {fixed.max():.3f}",
            bool(fixed.min() >= 0.15 and fixed.max() <= CONSTANT),
            reason="the shape of the variance is another one",
            own=True,
        ),
    ]


_PAPER = "Wu, Zou, Braverman, Gu and Kakade 2022 (arXiv 2110.06198)"
_ASSUMED = (
    "d = 500, eigenvalues i^-1, i^-1.5, i^-2, initial error 1 and i^-1, noise variance 1",
    "the learning rate 0.99/(4 psi tr(H) ln n), psi = 3, just within the theorems",
)

FIGURES = [
    Reproduction(
        id="wu2022-decay",
        title="Geometric against polynomial decay of the learning rate",
        paper=_PAPER,
        year=2022,
        setting=(
            "Exact risk of the last iterate of SGD, Gaussian data, d = 500, one sample a step. The rate is held for "
            "n/2 steps, then halved every K = m / ln m of the remaining m (geometric), or falls as j^-a (polynomial); "
            "beside them the average of the last n/2 iterates at a constant rate. The same initial rate for all."
        ),
        compute=compute,
        draw=draw,
        claims=claims,
        chosen=_ASSUMED,
        seconds=3.0,
    ),
    Reproduction(
        id="wu2022-bound",
        title="The bound on the last iterate, as printed and corrected",
        paper=_PAPER,
        year=2022,
        setting=(
            "Exact variance of the last iterate under geometric decay after a hold of s = 0, n/2 and 0.8 n steps, "
            "over the effective dimension of the bound, D/K; D = k* + lr K sum lam_i (k* to k-dagger) + the last "
            "factor times sum lam_i^2 beyond: lr^2 K^2 as printed on the authors' poster, lr^2 K (s + K) as corrected."
        ),
        compute=compute_bound,
        draw=draw_bound,
        claims=claims_bound,
        chosen=_ASSUMED,
        seconds=4.0,
    ),
]
