"""Li and Gu 2025 (arXiv 2502.14123): SGD with an exponential moving average, bias and variance by eigen-subspace.

Problems and decays are chosen; the learning rate is at the theorems' threshold, 1/(psi tr H) with psi = 3.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from simlab.figures.columns import first, stack
from simlab.figures.reproduction import Claim, Data, Reproduction, Scale, Table, column
from simlab.theory.li2025 import ema_upper

import simlab as sl
from simlab.plot import PALETTE, WIDTH, new_figure, shades, style

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from simlab.methods import Method

__all__ = ["CHOSEN", "DECAYS", "FIGURES", "LABELS", "LARGE", "PAPER", "SIZES", "label_of", "problem_of"]

PAPER = "Li, Gu 2025, arXiv 2502.14123"
PROBLEM = "spectrum, errors, noise variance and number of samples"
CHOSEN = (
    "spectra i^-1 and i^-2, errors i^-1 (and 1), sigma^2 = 1",
    "psi = 3, so the learning rate 1/(3 tr H)",
    "decays alpha and numbers of samples",
)
DECAYS = (0.9, 0.99, 0.995, 0.999)
LARGE = "i^-1, errors 1"
PROBLEMS = {"i^-1": (1.0, 1.0), "i^-2": (2.0, 1.0), LARGE: (1.0, 0.0)}
"""Spectrum, and where they are not 1/i the errors -> (exponent of lam_i, of the initial error)."""
SIZES = {"tiny": (20, 1_000), "quick": (400, 4_000), "full": (2_000, 10_000)}
LABELS = {"sgd": "SGD", "average": "iterate average", "tail": "tail average N/2"}


def problem_of(name: str, dim: int) -> tuple[sl.LinearRegression, float]:
    """The problem and the largest learning rate of the theory, 1 / (psi tr H), psi = 3."""
    index = np.arange(1.0, dim + 1.0)
    lam_power, error_power = PROBLEMS[name]
    lam = index**-lam_power
    return sl.LinearRegression(lam, index**-error_power, noise_variance=1.0), float(1.0 / (3.0 * lam.sum()))


def label_of(method: str) -> str:
    return LABELS.get(method, f"EMA {method}")


def compute_time(scale: Scale) -> Data:
    """risk: bias and variance by problem, method and N; bounds: of every EMA; best: risk of more decays at the end."""
    dim, steps = SIZES[scale]
    marks = np.unique(np.geomspace(20 if scale == "tiny" else 100, steps, 8 if scale == "tiny" else 16).astype(int))
    marks -= marks % 2
    parts: list[dict[str, Any]] = []
    bounds: list[dict[str, Any]] = []
    best: list[dict[str, Any]] = []
    for name in PROBLEMS:
        problem, rate = problem_of(name, dim)
        inner = sl.methods.sgd(sl.schedules.constant(steps, rate))
        runs: dict[str, Method] = {"sgd": inner, "average": sl.methods.average(inner, form="old")}
        runs |= {f"{alpha:g}": sl.methods.ema(inner, alpha, form="old") for alpha in DECAYS}
        trace = sl.exact(problem, runs, record=marks, progress=False).by_component().sel(step=marks)
        for run in runs:
            values = {key: trace.sel(run=run, component=key).values for key in ("bias", "variance")}
            parts.append({"problem": name, "method": run, "N": marks, **values})
        # A tail average is of a run of its own for every N.
        tails = {
            str(n): sl.methods.tail_average(sl.methods.sgd(sl.schedules.constant(int(n), rate)), 0.5, form="old")
            for n in marks
        }
        final = sl.exact(problem, tails, record=2, progress=False).final().sum("subspace")
        ends = {key: final.sel(component=key).values for key in ("bias", "variance")}
        parts.append({"problem": name, "method": "tail", "N": marks, **ends})
        for alpha in DECAYS:
            upper = ema_upper(problem.eigenvalues, problem.initial_error, 1.0, rate, alpha, marks)
            sums = {"bias": upper.bias.sum(axis=1), "variance": upper.variance.sum(axis=1)}
            bounds.append({"problem": name, "method": f"{alpha:g}", "N": marks, **sums})
        best.append({"problem": name, **_by_decay(problem, inner, 4 if scale == "tiny" else 12)})
    return {"risk": stack(parts), "bounds": stack(bounds), "best": stack(best)}


def _by_decay(problem: sl.LinearRegression, inner: Method, count: int) -> dict[str, npt.NDArray[Any]]:
    """Risk at the end over decays from 1 - 2/N to 0.7."""
    rest = np.geomspace(2.0 / inner.length, 0.3, count)
    runs = {str(j): sl.methods.ema(inner, float(1.0 - value), form="old") for j, value in enumerate(rest)}
    final = sl.exact(problem, runs, record=2, progress=False).final().sum(("subspace", "component"))
    return {"rest": rest, "risk": np.asarray(final.values)}


def draw_time(data: Data) -> Figure:
    risk = data["risk"]
    methods = [*(f"{alpha:g}" for alpha in DECAYS), "average", "tail", "sgd"]
    colours = dict(zip(methods, [*shades(len(DECAYS)), *PALETTE[3:5], "black"], strict=True))
    dashes = {"average": "--", "tail": "-.", "sgd": ":"}
    with style():
        figure = new_figure(WIDTH, 4.6)
        panels = figure.subplots(2, 3, sharex=True)
        panels[0, 2].set_ylim(1e-2, 1.0)
        for row, name in zip(panels, ("i^-1", "i^-2"), strict=True):
            for method in methods:
                n, bias, variance = (column(risk, k, problem=name, method=method) for k in ("N", "bias", "variance"))
                look = {"color": colours[method], "ls": dashes.get(method, "-"), "label": label_of(method)}
                for axes, values in zip(row, (bias, variance, bias + variance), strict=True):
                    axes.plot(n, values, **look)
            for method in ("0.99", "0.999"):
                n, *upper = (column(data["bounds"], k, problem=name, method=method) for k in ("N", "bias", "variance"))
                for axes, values in zip(row[:2], upper, strict=True):
                    axes.plot(n[::2], values[::2], "^", color=colours[method], ms=3, mfc="none", mew=0.7)
            for axes, title in zip(row, ("bias", "variance", "bias + variance"), strict=True):
                axes.set(xscale="log", yscale="log")
                axes.set_title(f"{title}, $\\lambda_i = {name.replace('^-', '^{-')}}}$")
            row[0].set_ylabel("excess risk")
        for axes in panels[1]:
            axes.set_xlabel("samples $N$")
        panels[0, 0].plot([], [], "^", color="0.4", ms=3, mfc="none", mew=0.7, label="upper bounds of two EMA")
        figure.legend(*panels[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=4, columnspacing=1.0)
    return figure


def claims_time(data: Data) -> list[Claim]:
    risk, bounds = data["risk"], data["bounds"]
    names = first(risk["problem"])
    emas = [f"{alpha:g}" for alpha in DECAYS]
    share = [_ratio(risk, m, "sgd", "variance", name) for name in names for m in emas]
    worst = float(np.max(share))
    best = {name: float(column(data["best"], "risk", problem=name).min()) for name in names}
    against = {
        method: {name: best[name] / _end(risk, method, name) for name in names} for method in ("sgd", "average", "tail")
    }
    bias = {m: [column(risk, "bias", problem=name, method=m)[-1] for name in names] for m in ("0.99", "average")}
    over = [
        column(risk, key, problem=name, method=m) / column(bounds, key, problem=name, method=m)
        for key in ("bias", "variance")
        for name in names
        for m in emas
    ]
    tail = list(against["tail"].values())
    return [
        Claim(
            "the variance of the average is always below that of SGD without it",
            "abstract; Theorem 4.1",
            "EMA / SGD < 1 at every N, decay and problem",
            f"at most {worst:.3f}",
            worst < 1.0,
            paper="the variance error of SGD with EMA is always smaller",
        ),
        Claim(
            "the bias of EMA falls below that of averaging all iterates",
            "abstract; comparison after Theorem 4.1",
            "EMA 0.99 below iterate average at the largest N, every problem",
            "; ".join(
                f"{one:.2e} against {two:.2e} ({name})"
                for name, one, two in zip(names, bias["0.99"], bias["average"], strict=True)
            ),
            all(one < two for one, two in zip(bias["0.99"], bias["average"], strict=True)),
            "so few samples that the decay has not begun",
            paper="exponential decay in every eigen-subspace, unlike iterate averaging from the beginning",
            chosen=PROBLEM,
        ),
        Claim(
            "the best decay improves on the last iterate",
            "introduction",
            "risk ratio < 1 at the largest N, every problem",
            _words(against["sgd"]),
            max(against["sgd"].values()) < 1.0,
            "the bias decides, and averaging adds to it",
            chosen=f"{PROBLEM}; the best of twelve decays",
        ),
        Claim(
            "EMA and tail averaging over N/2 are of one order",
            "comparison after Theorem 4.1",
            "risk, best decay / tail average, within 1/2 .. 2 at the largest N, every problem",
            _words(against["tail"]),
            min(tail) >= 0.5 and max(tail) <= 2.0,
            "no decay is worth half of the run as a window",
            chosen=f"{PROBLEM}; the best of twelve decays",
        ),
        Claim(
            "EMA also improves on averaging all iterates",
            "risk = bias + variance, best of twelve decays",
            "risk ratio < 1 at the largest N, every problem",
            _words(against["average"]),
            max(against["average"].values()) < 1.0,
            "where little bias is left the longest average has the least variance",
            turns="at the largest N EMA is ahead for " + _where(against["average"], below=True)
            + ", averaging all iterates for " + _where(against["average"], below=False),
            own=True,
        ),
        Claim(
            "bias and variance lie below the upper bound of Theorem 4.1 in its Gaussian form",
            "simlab.theory.li2025.ema_upper",
            "exact / bound <= 1 for every decay, N and problem",
            f"{min(float(r.min()) for r in over):.1g} .. {max(float(r.max()) for r in over):.4f}",
            max(float(r.max()) for r in over) <= 1.0 + 1e-9,
            own=True,
        ),
    ]  # fmt: skip


def _ratio(risk: Table, method: str, other: str, key: str, name: str) -> npt.NDArray[np.float64]:
    return column(risk, key, problem=name, method=method) / column(risk, key, problem=name, method=other)


def _end(risk: Table, method: str, name: str) -> float:
    """Risk at the largest N."""
    return float(sum(column(risk, key, problem=name, method=method)[-1] for key in ("bias", "variance")))


def _words(ratios: dict[str, float]) -> str:
    return "; ".join(f"{ratio:.3f} ({name})" for name, ratio in ratios.items())


def _where(ratios: dict[str, float], *, below: bool) -> str:
    return " and ".join(name for name, ratio in ratios.items() if (ratio < 1.0) == below) or "none"


FIGURES = [
    Reproduction(
        "li2025-time",
        "Bias and variance of SGD, averages and EMA over the number of samples",
        PAPER,
        2025,
        "One-pass SGD on Gaussian regression, lam_i = i^-1 and i^-2, errors 1/i (not drawn: i^-1 with errors 1);"
        " d = 2,000 (quick: 400), N up to 10,000 (quick: 4,000), sigma^2 = 1, learning rate 1/(3 tr H); averages in the"
        " paper's form, which uses the previous iterate.",
        compute_time,
        draw_time,
        claims_time,
        chosen=CHOSEN,
        seconds=3.0,
    ),
]
