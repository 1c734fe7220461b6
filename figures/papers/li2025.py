"""Li and Gu 2025 (arXiv 2502.14123): SGD with an exponential moving average, bias and variance by eigen-subspace.

The constants and figure parameters of the paper were not to hand: problems and rates are those of notes 3.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from simlab.figures.papers.columns import first, stack
from simlab.figures.reproduction import Claim, Data, Reproduction, Scale, column
from simlab.theory.li2025 import ema_cutoff_lower, ema_cutoff_upper, ema_mean_bias_upper

import simlab as sl
from simlab.plot import DASHES, PALETTE, WIDTH, new_figure, shades, style

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from simlab.methods import Method

PAPER = "Li, Gu 2025, arXiv 2502.14123"
ASSUMED = ("spectra i^-1 and i^-2, errors 1 and i^-1, sigma^2 = 1, learning rate 1 / (6 tr H), decays alpha",)
DECAYS = (0.9, 0.99, 0.995, 0.999)
PROBLEMS = {"i^-1": (1.0, 0.0), "i^-2": (2.0, 1.0)}
"""Spectrum -> (exponent of lam_i, of the initial error)."""
SIZES = {"tiny": (20, 1_000), "quick": (400, 4_000), "full": (2_000, 10_000)}
LABELS = {"sgd": "SGD", "average": "iterate average", "tail": "tail average N/2"}


def _problem(name: str, dim: int) -> tuple[sl.LinearRegression, float]:
    """The problem and half the learning rate 1 / (psi tr H) of the theory, psi = 3."""
    index = np.arange(1.0, dim + 1.0)
    lam_power, error_power = PROBLEMS[name]
    lam = index**-lam_power
    return sl.LinearRegression(lam, index**-error_power, noise_variance=1.0), float(1.0 / (6.0 * lam.sum()))


def _label(method: str) -> str:
    return LABELS.get(method, f"EMA {method}")


# -- bias and variance over N ------------------------------------------------------------------------------------------


def compute_time(scale: Scale) -> Data:
    dim, steps = SIZES[scale]
    marks = np.unique(np.geomspace(20 if scale == "tiny" else 100, steps, 8 if scale == "tiny" else 16).astype(int))
    marks -= marks % 2
    parts: list[dict[str, Any]] = []
    for name in PROBLEMS:
        problem, rate = _problem(name, dim)
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
    return {"risk": stack(parts)}


def draw_time(data: Data) -> Figure:
    risk = data["risk"]
    methods = ["sgd", "average", "tail", *(f"{alpha:g}" for alpha in DECAYS)]
    colours = dict(zip(methods, [*PALETTE[6:7], *PALETTE[3:5], *shades(len(DECAYS))], strict=True))
    with style():
        figure = new_figure(WIDTH, 4.4)
        panels = figure.subplots(2, 3, sharex=True)
        for row, name in zip(panels, first(risk["problem"]), strict=True):
            for i, method in enumerate(methods):
                n, bias, variance = (column(risk, k, problem=name, method=method) for k in ("N", "bias", "variance"))
                look = {"color": colours[method], "ls": DASHES[i] if i < 3 else "-", "label": _label(method)}
                for axes, values in zip(row, (bias, variance, bias + variance), strict=True):
                    # Below rounding the bias is of no interest.
                    axes.plot(n, np.maximum(values, 1e-12), **look)
            for axes, title in zip(row, ("bias", "variance", "bias + variance"), strict=True):
                axes.set(xscale="log", yscale="log")
                axes.set_title(f"{title}, $\\lambda_i = {name.replace('^-', '^{-')}}}$")
            row[0].set_ylabel("excess risk")
            row[0].set_ylim(bottom=max(1e-8, 0.3 * column(risk, "bias", problem=name).min()))
        for axes in panels[1]:
            axes.set_xlabel("samples $N$")
        figure.legend(*panels[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=7, columnspacing=1.0)
    return figure


def claims_time(data: Data) -> list[Claim]:
    risk = data["risk"]
    worst, gain, shares = 0.0, [], {}
    for name in first(risk["problem"]):
        plain = column(risk, "variance", problem=name, method="sgd")
        total = {
            method: (
                column(risk, "bias", problem=name, method=method)
                + column(risk, "variance", problem=name, method=method)
            )[-1]
            for method in first(risk["method"])
        }
        emas = [f"{alpha:g}" for alpha in DECAYS]
        worst = max(worst, *(float(np.max(column(risk, "variance", problem=name, method=m) / plain)) for m in emas))
        gain.append(min(total[m] for m in emas) / total["sgd"])
        shares[name] = min(total[m] for m in emas) / total["average"]
    bias = [column(risk, "bias", problem="i^-2", method=m)[-1] for m in ("0.99", "average", "tail")]
    return [
        Claim(
            "the variance of the average is always below that of SGD without it",
            "Theorem 4.1 and discussion",
            "EMA / SGD < 1 at every N, decay and problem",
            f"at most {worst:.3f}",
            worst < 1.0,
        ),
        Claim(
            "the best decay improves on the last iterate",
            "introduction",
            "risk ratio < 1 at the largest N, both problems",
            ", ".join(f"{value:.3f}" for value in gain),
            max(gain) < 1.0,
        ),
        Claim(
            "where the error is large, EMA also improves on averaging all iterates",
            "comparison after Theorem 4.1",
            "risk ratio < 1 at the largest N for errors 1 (lam = i^-1)",
            f"{shares['i^-1']:.3f} (for errors 1/i, lam = i^-2: {shares['i^-2']:.3f})",
            shares["i^-1"] < 1.0,
            chosen=ASSUMED[0],
        ),
        Claim(
            "its bias is far below that of averaging all iterates",
            "comparison after Theorem 4.1",
            "EMA 0.99 below iterate average, lam = i^-2, largest N",
            f"{bias[0]:.2e} against {bias[1]:.2e} (tail average {bias[2]:.2e})",
            bias[0] < bias[1],
        ),
    ]


# -- subspaces, decays, windows ----------------------------------------------------------------------------------------

BINS = 5
SHOWN = 0.99


def compute_subspaces(scale: Scale) -> Data:
    dim, steps = SIZES[scale]
    problem, rate = _problem("i^-1", dim)
    inner = sl.methods.sgd(sl.schedules.constant(steps, rate))
    runs: dict[str, Method] = {"sgd": inner, "average": sl.methods.average(inner, form="old")}
    runs |= {f"{alpha:g}": sl.methods.ema(inner, alpha, form="old") for alpha in DECAYS}
    marks = np.unique(np.geomspace(10, steps, 10 if scale == "tiny" else 40).astype(int))
    single = sl.subspaces.modes(*range(1, dim + 1))
    trace = sl.exact(problem, runs, record=marks, subspaces=single, deterministic=True, progress=False).risk
    trace = trace.sel(step=marks)
    edges = np.unique(np.round(np.geomspace(1, dim + 1, BINS + 1)).astype(int))
    bias, modes = [], []
    index = np.arange(1, dim + 1)
    lam = problem.eigenvalues
    for run in ("sgd", "average", f"{SHOWN:g}"):
        part = trace.sel(run=run, component="deterministic").transpose("step", "subspace").values
        bound = np.array([ema_mean_bias_upper(lam, 1.0, rate, SHOWN, int(n)) for n in marks])
        for low, high in pairwise(edges.tolist()):
            where = slice(low - 1, high - 1)
            rows = {"bias": part[:, where].sum(axis=1), "bound": bound[:, where].sum(axis=1)}
            bias.append({"method": run, "first": low, "last": high - 1, "N": marks, **rows})
    for run in runs:
        values = trace.sel(run=run, component="variance", step=steps).values
        alpha = float(run) if run not in LABELS else 0.0
        lower = ema_cutoff_lower(lam, 1.0, rate, alpha, steps) if alpha else np.zeros(dim)
        upper = ema_cutoff_upper(lam, 1.0, rate, alpha, steps) if alpha else np.full(dim, np.inf)
        modes.append({"method": run, "i": index, "variance": values, "lower": lower, "upper": np.minimum(upper, 1e300)})
    return {
        "bias": stack(bias),
        "modes": stack(modes),
        "decays": _over_decays(*_problem("i^-2", dim), steps, 6 if scale == "tiny" else 25),
        "window": _window(0.02 if scale == "tiny" else 1.0),
    }


def _over_decays(problem: sl.LinearRegression, rate: float, steps: int, count: int) -> dict[str, npt.NDArray[Any]]:
    inner = sl.methods.sgd(sl.schedules.constant(steps, rate))
    left = np.geomspace(1.0 / steps, 0.5, count)
    runs = {f"{i}": sl.methods.ema(inner, float(1.0 - value), form="old") for i, value in enumerate(left)}
    marks = [steps // 16, steps // 4, steps]
    trace = sl.exact(problem, runs, record=marks, progress=False).by_component()
    return stack(
        {"N": n, "rest": left, **{key: trace.sel(step=n, component=key).values for key in ("bias", "variance")}}
        for n in marks
    )


def _window(length: float) -> dict[str, npt.NDArray[Any]]:
    """Variance by x = lr lam, late, of EMA and of tail averages of (1+alpha)/(1-alpha) and 1/(1-alpha) iterates."""
    x = np.geomspace(0.9, 1e-3, 40)
    quadratic = sl.NoisyQuadratic(x, 0.0, gradient_covariance=x)
    inner = sl.methods.sgd(sl.schedules.constant(round(30_000 * length), 1.0))
    parts = []
    for alpha in (0.9, 0.99, 0.999):
        windows = {"matched": round((1.0 + alpha) / (1.0 - alpha)), "half": round(1.0 / (1.0 - alpha))}
        runs: dict[str, sl.methods.Method] = {"ema": sl.methods.ema(inner, alpha, form="old")}
        runs |= {k: sl.methods.tail_average(inner, min(n, inner.length), form="old") for k, n in windows.items()}
        single = sl.subspaces.modes(*range(1, x.size + 1))
        final = sl.exact(quadratic, runs, record=2, subspaces=single, progress=False).final().sel(component="variance")
        values = {run: final.sel(run=run).values for run in runs}
        parts.append({"alpha": alpha, "x": quadratic.eigenvalues, **values})
    return stack(parts)


def draw_subspaces(data: Data) -> Figure:
    with style():
        figure = new_figure(WIDTH, 4.8)
        (a, b), (c, d) = figure.subplots(2, 2)
        bias, modes = data["bias"], data["modes"]
        edges = first(bias["first"])
        for j, low in enumerate(edges):
            high = int(column(bias, "last", first=low)[0])
            for run, dash in ((f"{SHOWN:g}", "-"), ("average", "--"), ("sgd", ":")):
                n, value = (column(bias, key, method=run, first=low) for key in ("N", "bias"))
                label = (f"{low}-{high}" if high > low else f"{low}") if dash == "-" else None
                a.plot(n, np.maximum(value, 1e-30), color=shades(len(edges))[j], ls=dash, label=label)
        a.set(xscale="log", yscale="log", ylim=(1e-8, 10.0), xlabel="samples $N$", ylabel="mean bias")
        a.set_title("(a) EMA 0.99 (solid), average (dashed), SGD (dotted)")
        a.legend(title="eigen-indices", loc="lower left")
        for j, run in enumerate(["sgd", "average", *(f"{alpha:g}" for alpha in DECAYS)]):
            i, variance, upper = (column(modes, key, method=run) for key in ("i", "variance", "upper"))
            colour = ("black", PALETTE[3], *shades(len(DECAYS)))[j]
            b.plot(i, variance, color=colour, ls=DASHES[j] if j < 2 else "-", label=_label(run))
            if upper[0] < 1e299:
                b.plot(i, upper, color=colour, lw=0.6, ls=":")
        b.set(xscale="log", yscale="log", xlabel="eigen-index $i$", ylabel="variance of mode $i$", ylim=(2e-7, 2e-2))
        b.set_title("(b) variance at the largest $N$ (dotted: bounds)")
        b.legend()
        decays = data["decays"]
        for j, n in enumerate(first(decays["N"])):
            rest, bias_n, variance_n = (column(decays, key, N=n) for key in ("rest", "bias", "variance"))
            c.plot(rest, bias_n, "--", color=PALETTE[j], lw=0.9)
            c.plot(rest, variance_n, ":", color=PALETTE[j], lw=0.9)
            c.plot(rest, bias_n + variance_n, color=PALETTE[j], label=f"N = {n:,}")
        c.set(xscale="log", yscale="log", xlabel=r"$1 - \alpha$", ylabel="excess risk")
        c.set_title("(c) bias (dashed), variance (dotted), sum")
        c.legend()
        window = data["window"]
        for j, alpha in enumerate(first(window["alpha"])):
            x, ema, matched, half = (column(window, k, alpha=alpha) for k in ("x", "ema", "matched", "half"))
            d.plot(x, ema / matched, color=PALETTE[j], label=rf"$\alpha$ = {alpha:g}")
            d.plot(x, ema / half, ":", color=PALETTE[j], lw=0.9)
        d.axhspan(0.8776, 1.0, color="0.9", zorder=0)
        d.set(xscale="log", xlabel=r"$\delta\lambda_i$", ylabel="variance, EMA / tail average", ylim=(0.2, 1.05))
        d.set_title(r"(d) window $(1+\alpha)/(1-\alpha)$; dotted: $1/(1-\alpha)$")
        d.legend(loc="lower right")
    return figure


def claims_subspaces(data: Data) -> list[Claim]:
    bias, modes, window = data["bias"], data["modes"], data["window"]
    ratio = float(np.max(column(bias, "bias", method=f"{SHOWN:g}") / column(bias, "bound", method=f"{SHOWN:g}")))
    n, head = (column(bias, key, method="average", first=1) for key in ("N", "bias"))
    slope = float(np.polyfit(np.log(n[-8:]), np.log(head[-8:]), 1)[0])
    over = column(bias, "bias", method="average", first=1)[-1] / column(bias, "bound", method=f"{SHOWN:g}", first=1)[-1]
    plain = column(modes, "variance", method="sgd")
    share = [float(np.max(column(modes, "variance", method=f"{alpha:g}") / plain)) for alpha in DECAYS]
    low, high = [], []
    for alpha in DECAYS:
        value, lower, upper = (column(modes, key, method=f"{alpha:g}") for key in ("variance", "lower", "upper"))
        low.append(float(np.min(value / lower)))
        high.append(float(np.max(value / upper)))
    matched = column(window, "ema") / column(window, "matched")
    return [
        Claim(
            "the bias decays exponentially in every subspace",
            "Theorem 4.1",
            "mean bias of EMA 0.99 <= lam d^2 [a^N + N (1-a) max(p, a)^(N-1)]^2 / 2 in all subspaces at all N",
            f"ratio at most {ratio:.3f}",
            ratio <= 1.0 + 1e-9,
        ),
        Claim(
            "averaging all iterates decays as 1/N^2 only",
            "comparison after Theorem 4.1",
            "log-log slope of the leading subspace -2 +- 0.05, above the exponential bound",
            f"slope {slope:.3f}; {over:.1e} times the bound",
            abs(slope + 2.0) <= 0.05 and over > 1.0,
        ),
        Claim(
            "the variance is below that of SGD in every mode",
            "Theorem 4.1",
            "ratio < 1 for all modes and decays",
            f"at most {max(share):.4f}",
            max(share) < 1.0,
        ),
        Claim(
            "the variance has two cutoffs: min{1 - alpha, x, N x^2} in every mode, up to constants",
            "Theorems 4.1, 4.2",
            "between the lower and the upper bound with proved or fitted constants (theory.li2025)",
            f"at least {min(low):.2f} of the lower, at most {max(high):.2f} of the upper",
            min(low) >= 1.0 and max(high) <= 1.0,
        ),
        Claim(
            "EMA is worth a tail average of (1 + alpha)/(1 - alpha) iterates",
            "Proposition 4.3; notes 3",
            "variance ratio of every mode in [0.8776, 1], alpha = 0.9, 0.99, 0.999",
            f"[{matched.min():.4f}, {matched.max():.4f}]",
            bool(matched.min() >= 0.8775 and matched.max() <= 1.0 + 1e-6),
        ),
    ]


FIGURES = [
    Reproduction(
        "li2025-time",
        "Bias and variance of SGD, averages and EMA over the number of samples",
        PAPER,
        2025,
        "One-pass SGD on Gaussian regression, lam_i = i^-1, errors 1, and i^-2, errors 1/i; d = 2,000 (quick: 400),"
        " sigma^2 = 1, learning rate 1/(6 tr H); averages in the paper's form, which uses the previous iterate.",
        compute_time,
        draw_time,
        claims_time,
        chosen=ASSUMED,
        seconds=3.0,
    ),
    Reproduction(
        "li2025-subspaces",
        "EMA by eigen-subspace, over its decay, and as a tail average",
        PAPER,
        2025,
        "lam_i = 1/i, errors 1 ((c): 1/i^2 and 1/i), otherwise as li2025-time. (d): additive noise, 30,000 steps,"
        " 40 modes, x = lr lam from 0.001 to 0.9; EMA against tail averages of (1+alpha)/(1-alpha) and 1/(1-alpha).",
        compute_subspaces,
        draw_subspaces,
        claims_subspaces,
        chosen=ASSUMED,
        seconds=5.0,
    ),
]
