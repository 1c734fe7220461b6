"""Li and Gu 2025 (arXiv 2502.14123): EMA by eigen-subspace, over its decay, and as a tail average."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from simlab.figures.columns import first, stack
from simlab.figures.papers.li2025 import CHOSEN, DECAYS, LABELS, LARGE, PAPER, SIZES, label_of, problem_of
from simlab.figures.reproduction import Claim, Data, Reproduction, Scale, column
from simlab.theory.li2025 import ema_cutoff_lower, ema_cutoff_upper, ema_mean_bias_upper

import simlab as sl
from simlab.plot import PALETTE, WIDTH, new_figure, shades, style

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from simlab.methods import Method

__all__ = ["FIGURES"]

BINS = 5
SHOWN = 0.99


def compute_subspaces(scale: Scale) -> Data:
    dim, steps = SIZES[scale]
    problem, rate = problem_of(LARGE, dim)
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
        "decays": _over_decays(*problem_of("i^-2", dim), steps, 6 if scale == "tiny" else 25),
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
        # Head, middle and tail: all bands at once cannot be told apart.
        edges = first(bias["first"])[::2]
        for j, low in enumerate(edges):
            high = int(column(bias, "last", first=low)[0])
            for run, dash in ((f"{SHOWN:g}", "-"), ("average", "--"), ("sgd", ":")):
                n, value = (column(bias, key, method=run, first=low) for key in ("N", "bias"))
                label = f"{low} .. {high}" if dash == "-" else None
                a.plot(n, np.maximum(value, 1e-30), color=PALETTE[j], ls=dash, label=label)
        a.set(xscale="log", yscale="log", ylim=(1e-6, 3.0), xlabel="samples $N$", ylabel="mean bias")
        a.set_title("(a) EMA 0.99 (solid), average (dashed), SGD (dotted)")
        a.legend(title="eigen-indices", loc="lower left")
        for j, run in enumerate(["sgd", "average", *(f"{alpha:g}" for alpha in DECAYS)]):
            i, variance, lower, upper = (column(modes, key, method=run) for key in ("i", "variance", "lower", "upper"))
            colour = ("black", PALETTE[3], *shades(len(DECAYS)))[j]
            b.plot(
                i, variance, color=colour, ls=(":", "--")[j] if j < 2 else "-", label=label_of(run), zorder=3 - 0.1 * j
            )
            if run == f"{SHOWN:g}":
                words = f"bounds of EMA {run}"
                b.fill_between(i, lower, upper, color=colour, alpha=0.15, linewidth=0, label=words)
        b.set(xscale="log", yscale="log", xlabel="eigen-index $i$", ylabel="variance of mode $i$", ylim=(1e-7, 3e-2))
        b.set_title("(b) variance at the largest $N$")
        b.legend(fontsize=6, loc="lower left", ncols=2)
        decays = data["decays"]
        for j, n in enumerate(first(decays["N"])):
            rest, bias_n, variance_n = (column(decays, key, N=n) for key in ("rest", "bias", "variance"))
            c.plot(rest, bias_n, "--", color=PALETTE[j], lw=0.9)
            c.plot(rest, variance_n, ":", color=PALETTE[j], lw=0.9)
            c.plot(rest, bias_n + variance_n, color=PALETTE[j], label=f"N = {n:,}")
        c.set(xscale="log", yscale="log", xlabel=r"$1 - \alpha$", ylabel="excess risk", ylim=(None, 6.0))
        c.set_title("(c) bias (dashed), variance (dotted), sum")
        c.legend(ncols=3, loc="upper center", columnspacing=1.0)
        window = data["window"]
        for j, alpha in enumerate(first(window["alpha"])):
            x, ema, matched, half = (column(window, k, alpha=alpha) for k in ("x", "ema", "matched", "half"))
            d.plot(x, ema / matched, color=PALETTE[j], label=rf"$\alpha$ = {alpha:g}")
            d.plot(x, ema / half, ":", color=PALETTE[j], lw=0.9)
        d.axhspan(0.8776, 1.0, color="0.9", zorder=0)
        d.set(xscale="log", xlabel=r"$\delta\lambda_i$", ylabel="variance, EMA / tail average", ylim=(0.4, 1.03))
        d.set_title(r"(d) window $(1+\alpha)/(1-\alpha)$; dotted: $1/(1-\alpha)$")
        d.legend(loc="lower center", ncols=3, columnspacing=1.0)
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
            "the bias decays exponentially in every subspace, that of averaging all iterates as 1/N^2 only",
            "abstract; Theorem 4.1 and the comparison after it",
            "mean bias of EMA 0.99 <= lam d^2 [a^N + N (1-a) max(p, a)^(N-1)]^2 / 2 in all subspaces at all N; log-log "
            "slope of the leading subspace under averaging -2 +- 0.05, above that bound",
            f"ratio at most {ratio:.3f}; slope {slope:.3f}; {over:.1e} times the bound",
            ratio <= 1.0 + 1e-9 and abs(slope + 2.0) <= 0.05 and over > 1.0,
            "the leading subspace is not yet learned",
            paper="exponential decay in every eigen-subspace; that of iterate averaging from the beginning not",
        ),
        Claim(
            "the variance is below that of SGD in every mode",
            "abstract; Theorem 4.1",
            "ratio < 1 for all modes and decays",
            f"at most {max(share):.4f}",
            max(share) < 1.0,
            paper="the variance error of SGD with EMA is always smaller",
        ),
        Claim(
            "the variance has two cutoffs: min{1 - alpha, x, N x^2} in every mode, up to constants",
            "Theorems 4.1, 4.2",
            "between 0.04 sigma^2 min{..} and the upper bound of simlab.theory.li2025",
            f"at least {min(low):.2f} of the lower, at most {max(high):.2f} of the upper",
            min(low) >= 1.0 and max(high) <= 1.0,
            "constants too tight",
            chosen="constants: the upper one proved for Gaussian data, the lower one fitted on a grid",
        ),
        Claim(
            "EMA is worth a tail average of (1 + alpha)/(1 - alpha) iterates",
            "sum of squared weights (1 - alpha)/(1 + alpha) = 1/n for a window of n",
            "variance ratio of every mode in [0.8776, 1], alpha = 0.9, 0.99, 0.999",
            f"[{matched.min():.4f}, {matched.max():.4f}]",
            bool(matched.min() >= 0.8775 and matched.max() <= 1.0 + 1e-6),
            "another window",
            turns="least at 1 - alpha of the order of lr lam_i; with 1/(1 - alpha) iterates it falls to "
            f"{(column(window, 'ema') / column(window, 'half')).min():.2f}",
            own=True,
        ),
    ]


FIGURES = [
    Reproduction(
        "li2025-subspaces",
        "EMA by eigen-subspace, over its decay, and as a tail average",
        PAPER,
        2025,
        "lam_i = 1/i, errors 1 ((c): 1/i^2 and 1/i), otherwise as li2025-time; (a): three of five bands, (b): bounds of"
        " EMA 0.99. (d): additive noise, 30,000 steps,"
        " 40 modes, x = lr lam from 0.001 to 0.9; EMA against tail averages of (1+alpha)/(1-alpha) and 1/(1-alpha).",
        compute_subspaces,
        draw_subspaces,
        claims_subspaces,
        chosen=CHOSEN,
        seconds=5.0,
    ),
]
