"""Li, Deng, Wu, Zhou and Gu 2024 (arXiv 2311.14222): SGD against ASGD, by the direction of the initial error.

The text of the paper was not to hand: d, spectrum and noise variance are the paper's, the rest is in ASSUMED.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from simlab.figures.papers.columns import first, stack
from simlab.figures.reproduction import Claim, Data, Reproduction, Scale, column

import simlab as sl
from simlab.arrays import FloatArray
from simlab.plot import PALETTE, WIDTH, new_figure, style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from simlab.methods import Method

__all__ = ["ASSUMED", "DELTA", "FIGURES", "PAPER", "PSI", "STRENGTH", "averaged", "plain", "problem", "rule"]

PAPER = "Li, Deng, Wu, Zhou, Gu 2024, arXiv 2311.14222, ICLR 2024"
DELTA, PSI, STRENGTH = 0.1, 3.0, 5
"""Short step, which is also the learning rate of SGD; fourth-moment constant of Gaussian data; k~."""
NOISE = 0.01
ASSUMED = (
    "delta = 0.1 (also the learning rate of SGD), k~ = 5, psi = 3, from which gamma = 0.922 and beta = 0.0072 follow",
    "the constants 1/2 in the rule for gamma, which are reconstructed",
    "the average of iterates N/2 .. N",
    "starts i e_i, so that the initial risk is 1/2 in every direction",
)
STARTS = (1, 10, 30)
METHODS = ("SGD", "ASGD")
COLOURS = dict(zip(METHODS, PALETTE, strict=False))
LEVELS = (0.1, 0.5, 0.9)

REFERENCE: dict[tuple[int, int], tuple[float, float, float, float]] = {
    (500, 1): (2.25e-5, 9.12e-5, 8.34e-5, 2.73e-4),
    (500, 10): (2.43e-1, 9.12e-5, 1.20e-2, 2.73e-4),
    (500, 30): (4.69e-1, 9.12e-5, 3.67e-1, 2.73e-4),
    (2000, 1): (2.74e-6, 4.82e-5, 7.18e-6, 1.33e-4),
    (2000, 10): (2.77e-2, 4.82e-5, 1.91e-4, 1.33e-4),
}
"""(N, i) -> bias and variance of SGD, of ASGD, by an independent recursion (notes on momentum, 1.5)."""


def problem(dim: int, start: int | None) -> sl.LinearRegression:
    """lam_i = i^-2, sigma^2 = 0.01, initial error `start` e_start, or i along every e_i (None)."""
    index = np.arange(1.0, dim + 1.0)
    error = index if start is None else np.where(index == start, index, 0.0)
    return sl.LinearRegression(index**-2, error, NOISE)


def rule(dim: int) -> Mapping[str, float]:
    """delta, gamma, alpha and beta."""
    found = sl.methods.li_2024_rule(problem(dim, None), min(STRENGTH, dim - 1), delta=DELTA, psi=PSI)
    return {name: float(value) for name, value in found.items()}  # type: ignore[arg-type]


def plain(steps: int, parameters: Mapping[str, float]) -> dict[str, Method]:
    """Both methods, without an average."""
    lr = sl.schedules.constant(steps, parameters["delta"])
    return {"SGD": sl.methods.sgd(lr), "ASGD": sl.methods.asgd(lr, parameters["gamma"], parameters["beta"])}


def averaged(steps: int, parameters: Mapping[str, float]) -> dict[str, Method]:
    """Both methods, with the average of iterates N/2 .. N."""
    return {name: sl.methods.average(run, start=steps // 2) for name, run in plain(steps, parameters).items()}


def compute(scale: Scale) -> Data:
    """ends: bias, variance and sampled risk of the average by start and N; runs: the risk along one run."""
    dim, replicas, steps = {"tiny": (40, 16, 100), "quick": (2_000, 32, 1_000), "full": (2_000, 128, 2_000)}[scale]
    sizes = {
        "tiny": (50, 120),
        "quick": (50, 100, 200, 500, 1_000, 2_000),
        "full": (30, 50, 100, 200, 350, 500, 700, 1_000, 1_400, 2_000, 5_000),
    }[scale]
    parameters = rule(dim)
    ends: list[dict[str, Any]] = []
    runs: list[dict[str, Any]] = []
    for start in STARTS:
        for n in sizes:
            ends += _ends(problem(dim, start), averaged(n, parameters), {"start": start, "N": n}, replicas)
        runs += _along(problem(dim, start), plain(steps, parameters), {"start": start}, replicas)
    return {"ends": stack(ends), "runs": stack(runs)}


def _ends(
    case: sl.LinearRegression, methods: dict[str, Method], where: dict[str, Any], replicas: int
) -> list[dict[str, Any]]:
    final = sl.exact(case, methods, record=2, progress=False).final().sum("subspace")
    drawn = sl.sample(case, methods, replicas=replicas, quantiles=LEVELS, record=2, split=False, progress=False).dataset
    rows = []
    for name in methods:
        last = drawn.sel(run=name).isel(step=-1)
        low, middle, high = last["total_quantile"].values
        mean = float(last["risk"].sum(("component", "subspace")))
        rows.append(
            {
                **where,
                "method": name,
                "bias": float(final.sel(run=name, component="bias")),
                "variance": float(final.sel(run=name, component="variance")),
                "low": low,
                "median": middle,
                "high": high,
                "mean": mean,
                "error": float(last["total_error"]),
            }
        )
    return rows


def _along(
    case: sl.LinearRegression, methods: dict[str, Method], where: dict[str, Any], replicas: int
) -> list[dict[str, Any]]:
    steps = next(iter(methods.values())).length
    marks = np.unique(np.geomspace(1, steps, 60).astype(int))
    total = sl.exact(case, methods, record=marks, progress=False).total().sel(step=marks)
    drawn = sl.sample(
        case, methods, replicas=replicas, quantiles=LEVELS, record=marks, split=False, seed=1, progress=False
    ).dataset["total_quantile"]
    rows = []
    for name in methods:
        low, middle, high = drawn.sel(run=name, step=marks).transpose("quantile", "step").values
        found = {"risk": total.sel(run=name).values, "low": low, "median": middle, "high": high}
        rows.append({**where, "method": name, "step": marks, **found})
    return rows


def draw(data: Data) -> Figure:
    with style():
        figure = new_figure(WIDTH, 4.4)
        panels = figure.subplots(2, len(STARTS), sharey="row")
        for j, start in enumerate(STARTS):
            top, bottom = panels[0, j], panels[1, j]
            for name in METHODS:
                _average_curve(top, data, start, name)
                _run_curve(bottom, data, start, name)
            top.set(xscale="log", yscale="log", xlabel="samples $N$")
            top.set_title(f"start ${start if start > 1 else ''}\\,e_{{{start}}}$")
            bottom.set(xscale="log", yscale="log", xlabel="step of one run")
        panels[0, 0].set_ylabel("excess risk, average of $N/2\\,..\\,N$")
        panels[1, 0].set_ylabel("excess risk, last iterate")
        handles, labels = panels[0, 0].get_legend_handles_labels()
        (median,) = panels[1, 0].plot([], [], color="0.4", ls=":", lw=1.0)
        band = panels[1, 0].fill_between([], [], color="0.75", linewidth=0)
        (bias,) = panels[0, 0].plot([], [], color="0.4", ls="--", lw=0.8)
        figure.legend(
            [*handles, bias, median, band],
            [*labels, "exact bias", "sampled median", "sampled, 10 to 90 %"],
            loc="outside lower center",
            ncols=4,
        )
    return figure


def _average_curve(axes: Axes, data: Data, start: int, name: str) -> None:
    where: dict[str, Any] = {"start": start, "method": name}
    n, bias, variance, low, middle, high = (
        column(data["ends"], key, **where) for key in ("N", "bias", "variance", "low", "median", "high")
    )
    colour = COLOURS[name]
    axes.plot(n, bias + variance, color=colour, label=f"{name}, exact")
    axes.plot(n, bias, color=colour, ls="--", lw=0.8)
    # Side by side: the bars of both methods would cover one another.
    shifted = n * (0.96 if name == "SGD" else 1.04)
    bars = np.stack([middle - low, high - middle])
    marker = {"SGD": "o", "ASGD": "s"}[name]
    axes.errorbar(
        shifted, middle, bars, color=colour, ls="", marker=marker, ms=3, mfc="white", lw=0.9, label=f"{name}, sampled"
    )


def _run_curve(axes: Axes, data: Data, start: int, name: str) -> None:
    where: dict[str, Any] = {"start": start, "method": name}
    step, risk, low, middle, high = (
        column(data["runs"], key, **where) for key in ("step", "risk", "low", "median", "high")
    )
    axes.fill_between(step, low, high, color=COLOURS[name], alpha=0.22, linewidth=0)
    axes.plot(step, middle, color=COLOURS[name], ls=":", lw=1.0)
    axes.plot(step, risk, color=COLOURS[name])


def claims(data: Data) -> list[Claim]:
    ends = data["ends"]
    sizes = first(ends["N"])
    bias = {start: _ratio(data, start, ("bias",)) for start in STARTS}
    total = {start: _ratio(data, start, ("bias", "variance")) for start in STARTS}
    lost = [f"e_{i} at N = {n}: {r:.3f}" for i in STARTS[1:] for n, r in zip(sizes, total[i], strict=True) if r >= 1.0]
    scores = (column(ends, "mean") - column(ends, "bias") - column(ends, "variance")) / column(ends, "error")
    return [
        _table_claim(data),
        Claim(
            "along the leading direction SGD's bias decays faster than that of ASGD",
            "abstract; discussion of the main theorem (i <= k-hat)",
            "bias, ASGD / SGD > 1 for the start e_1 at every N",
            f"{bias[1].min():.2f} .. {bias[1].max():.2f}; with variance {total[1].min():.2f} .. {total[1].max():.2f}",
            bool(bias[1].min() > 1.0),
            chosen="; ".join(ASSUMED[:2]),
        ),
        Claim(
            "ASGD outperforms SGD when the initial error lies along small eigenvalues",
            "abstract",
            "excess risk, ASGD / SGD < 1 for the starts 10 e_10 and 30 e_30 at every N",
            ", ".join(f"e_{i}: {total[i].min():.3f} .. {total[i].max():.3f}" for i in STARTS[1:]),
            not lost,
            chosen="; ".join(ASSUMED[:2]),
            reason=f"not yet for {'; '.join(lost)}",
        ),
        Claim(
            "sampled runs have the exact risk as their mean",
            "the two engines of this project",
            "|z| < 4 for every start, method and N",
            f"at most {np.abs(scores).max():.2f} of {scores.size}",
            bool(np.abs(scores).max() < 4.0),
        ),
    ]


def _ratio(data: Data, start: int, parts: tuple[str, ...]) -> FloatArray:
    """ASGD / SGD by N."""
    one, two = (sum(column(data["ends"], key, start=start, method=name) for key in parts) for name in METHODS)
    return np.asarray(two / one)


def _table_claim(data: Data) -> Claim:
    wrong, count = [], 0
    for (n, start), given in REFERENCE.items():
        found = [
            float(value[0])
            for name in METHODS
            for key in ("bias", "variance")
            if (value := column(data["ends"], key, N=n, start=start, method=name)).size
        ]
        count += len(found)
        for ours, theirs in zip(found, given, strict=False):
            if f"{ours:.2e}" != f"{theirs:.2e}":
                wrong.append(f"{ours:.3e} for {theirs:.2e} (N = {n}, e_{start})")
    return Claim(
        "the numbers of the reference table come back, to their three digits",
        "notes on momentum, 1.5",
        "20 of 20",
        f"{count - len(wrong)} of {count}",
        count == 20 and not wrong,
        reason="; ".join(wrong),
    )


FIGURES = [
    Reproduction(
        "li2024-directions",
        "SGD against ASGD for errors along large and small eigenvalues",
        PAPER,
        2024,
        "One-pass Gaussian regression, d = 2,000, lam_i = i^-2, sigma^2 = 0.01, starts e_1, 10 e_10 and 30 e_30;"
        " average of iterates N/2 .. N (above), last iterate (below). Lines: exact expectation; bars, bands and dotted"
        " lines: 32 sampled runs (full: 128).",
        compute,
        draw,
        claims,
        chosen=ASSUMED,
        seconds=4.0,
    )
]
