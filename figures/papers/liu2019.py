"""RAdam (Liu et al. 2019, arXiv 1908.03265): a warmup in disguise, on a regression."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.special import gammaln
from simlab.figures.columns import stack
from simlab.figures.reproduction import Claim, Data, Reproduction, Scale, column

import simlab as sl
from simlab.arrays import FloatArray
from simlab.plot import DASHES, PALETTE, WIDTH, new_figure, style

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["FIGURES"]

RADAM = "Liu, Jiang, He, Chen, Liu, Gao and Han 2019, arXiv 1908.03265"
MODEL = "a regression in the place of language and image models"
TASK = "lam_i = i^-1.5, source 1.3, noise 0.1, Gaussian features, batch 1"
BETA2, SLOW = 0.95, (0.99, 0.03)
"""Of all peaks, and a slower one at one peak."""
PEAKS = (0.01, 0.03, 0.1, 0.3)
RECTIFIED = ("Adam", "RAdam", "Adam, linear warmup")


def compute(scale: Scale, names: tuple[str, ...]) -> Data:
    """ends: final risk by beta2, peak and method, and what it may be off by; curves at the largest peak; variances."""
    dim, steps, peaks = {
        "tiny": (20, 60, PEAKS[1::2]),
        "quick": (100, 500, PEAKS),
        "full": (200, 1_500, (0.003, *PEAKS)),
    }[scale]
    task = sl.LinearRegression.power_law(dim, 1.5, 1.3, noise_variance=0.1)
    table, curves = [], []
    at = np.unique(np.geomspace(1, steps, 40).astype(int))
    for beta2, peak in [*((BETA2, peak) for peak in peaks), SLOW]:
        runs = {name: method for name, method in _runs(steps, peak, beta2).items() if name in names}
        trace = sl.limit(task, runs, record=at, progress=False)
        off = trace.dataset["risk_error"].sum(("component", "subspace"))
        for name in names:
            risk = trace.total().sel(run=name).values
            end = {"risk": risk[-1], "off": float(off.sel(run=name).values[-1])}
            table.append({"beta2": beta2, "peak": peak, "method": name, **end})
            if (beta2, peak) == (BETA2, peaks[-1]):
                curves.append({"method": name, "step": trace.dataset["step"].values, "risk": risk})
    t = np.unique(np.geomspace(5, 200, 24).astype(int)).astype(float)
    variances = {"t": t, "exact": _variance(t), "first": 1.0 / (2.0 * t * (1 - 2 / t) * (1 - 4 / t))}
    return {"ends": stack(table), "curves": stack(curves), "variances": variances}


def _runs(steps: int, peak: float, beta2: float) -> dict[str, Any]:
    """Linear decays from one peak, warmups a factor upon them."""
    methods, t = sl.methods, np.arange(1.0, steps + 1.0)
    decay = sl.schedules.linear(steps, peak)
    ramp, rise = np.minimum(0.5 * t * (1.0 - beta2), 1.0), 1.0 - beta2**t
    linear, exponential = (sl.schedules.from_array(decay.values() * factor) for factor in (ramp, rise))
    return {
        "Adam": methods.adam(decay, beta2=beta2),
        "RAdam": methods.radam(decay, beta2=beta2),
        "Adam, linear warmup": methods.adam(linear, beta2=beta2),
        "AdaMod": methods.adamod(decay, beta2=beta2, beta3=beta2),
        "Adam, exponential warmup": methods.adam(exponential, beta2=beta2),
    }


def _variance(t: FloatArray) -> FloatArray:
    """Of 1 / sqrt(mean of t squared standard Gaussians)."""
    mean = np.sqrt(t / 2.0) * np.exp(gammaln(0.5 * (t - 1.0)) - gammaln(0.5 * t))
    out: FloatArray = t / (t - 2.0) - mean**2
    return out


def draw(data: Data, names: tuple[str, ...], last: str) -> Figure:
    with style():
        figure = new_figure(WIDTH, 2.6)
        ends, curves, other = figure.subplots(1, 3)
        for colour, dashes, name in zip(PALETTE, DASHES, names, strict=False):
            peak, risk = (column(data["ends"], n, beta2=BETA2, method=name) for n in ("peak", "risk"))
            ends.plot(peak, risk, "o", ls=dashes, ms=3, color=colour, label=name)
            step, risk = (column(data["curves"], n, method=name) for n in ("step", "risk"))
            curves.plot(step, risk, color=colour, ls=dashes)
            if last == "ratio" and name != "Adam":
                other.plot(peak, ratio(data, name, "Adam"), "o", ls=dashes, ms=3, color=colour)
        ends.set(xscale="log", yscale="log", xlabel="peak", ylabel="final risk", title="(a)")
        curves.set(xscale="log", yscale="log", xlabel="step", ylabel="excess risk")
        curves.set_title(f"(b) peak {max(peaks(data)):g}")
        if last == "ratio":
            other.axhline(1.0, color="0.3", lw=0.8, ls=":")
            other.set(xscale="log", xlabel="peak", ylabel="final risk / Adam without warmup", title="(c)")
        else:
            t, exact, approx = (column(data["variances"], n) for n in ("t", "exact", "first"))
            other.plot(t, exact, color=PALETTE[4], label="exact, Gaussian gradients")
            other.plot(t, approx, "--", color=PALETTE[5], label="first order")
            other.set(xscale="log", yscale="log", xlabel="squares in the mean", title="(c)")
            other.set_ylabel(r"variance of $1 / \sqrt{v}$")
        handles = [axes.get_legend_handles_labels() for axes in (ends, other)]
        lines, words = ([x for pair in handles for x in pair[j]] for j in (0, 1))
        figure.legend(lines, words, loc="outside lower center", ncols=5)
    return figure


def ratio(data: Data, one: str, other: str, beta2: float = BETA2) -> FloatArray:
    return np.divide(*(column(data["ends"], "risk", method=name, beta2=beta2) for name in (one, other)))


def peaks(data: Data) -> FloatArray:
    return column(data["ends"], "peak", method="Adam", beta2=BETA2)


def spoken(data: Data, values: FloatArray) -> str:
    return ", ".join(f"{value:.3f} (peak {peak:g})" for peak, value in zip(peaks(data), values, strict=True))


def claims(data: Data) -> list[Claim]:
    t, exact, approx = (column(data["variances"], n) for n in ("t", "exact", "first"))
    late = t >= 20
    same, gain = ratio(data, "RAdam", "Adam, linear warmup"), ratio(data, "RAdam", "Adam")
    return [
        Claim(
            "the variance of the adaptive rate is rho / (2 (rho - 2) (rho - 4)) to first order",
            "analysis of the variance, for Gaussian gradients",
            "within 20 % of the exact one from 20 squares on",
            f"off by at most {np.max(np.abs(approx / exact - 1.0)[late]):.0%}",
            bool(np.all(np.abs(approx / exact - 1.0)[late] <= 0.2)),
            "the expansion has not converged",
            turns=f"{approx[0] / exact[0]:.1f} times too large for {t[0]:.0f} squares, where RAdam begins to use it",
        ),
        Claim(
            "RAdam does what a linear warmup over 2 / (1 - beta2) steps does",
            "Ma and Yarats 2019, arXiv 1910.04209",
            "final risks within 5 % at every peak",
            spoken(data, same),
            bool(np.all(np.abs(same - 1.0) <= 0.05)),
            "the rectified rate is larger at first",
            paper="Ma and Yarats: more or less identical in practice",
            substituted=MODEL,
            chosen=f"beta2 = {BETA2:g}; {TASK}",
            turns=f"at beta2 = {SLOW[0]:g}, whose warmup is two fifths of the run at quick, off by "
            f"{ratio(data, 'RAdam', 'Adam, linear warmup', SLOW[0])[0] - 1.0:.1%} (peak {SLOW[1]:g})",
        ),
        Claim(
            "rectification improves on Adam without a warmup",
            "abstract; loss curves",
            "a lower final risk at every peak",
            "ratio of final risks " + spoken(data, gain),
            bool(np.all(gain < 1.0)),
            "on a quadratic a warmup costs training time, and pays only where the peak is too high",
            paper="warmup works as variance reduction, and RAdam makes it superfluous",
            substituted=MODEL,
            turns="pays at peaks of " + (where(data, gain < 1.0) or "none"),
        ),
    ]


def where(data: Data, mask: Any) -> str:
    return ", ".join(f"{peak:g}" for peak, good in zip(peaks(data), mask, strict=True) if good)


SETTING = (
    f"Regression, {TASK}; d = 100, 500 steps (full: 200, 1,500), linear decay, beta1 = 0.9, beta2 = {BETA2:g}, in the "
    "limit of many modes; beside it beta2 = 0.99 at one peak."
)

FIGURES = [
    Reproduction(
        "liu2019-radam",
        "RAdam against a linear warmup",
        RADAM,
        2019,
        SETTING + " The warmup takes 2 / (1 - beta2) = 40 steps. (c): of means of squared Gaussians.",
        partial(compute, names=RECTIFIED),
        partial(draw, names=RECTIFIED, last="variance"),
        claims,
        chosen=("beta2, rates and the problem",),
        substituted=(MODEL,),
        seconds=3.0,
    ),
]
