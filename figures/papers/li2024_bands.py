"""Li, Deng, Wu, Zhou and Gu 2024 (arXiv 2311.14222): ASGD against SGD, mode by mode."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from simlab.figures.columns import first, stack
from simlab.figures.papers.li2024 import CHOSEN, COLOURS, METHODS, PAPER, RATE, averaged, problem, radii, rule
from simlab.figures.reproduction import Claim, Data, Reproduction, Scale, column
from simlab.theory.li2024 import asgd_cutoffs, asgd_noise_amplification
from simlab.theory.li2024_average import asgd_average_lower, asgd_average_upper

import simlab as sl
from simlab.arrays import FloatArray
from simlab.plot import PALETTE, WIDTH, new_figure, style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["FIGURES", "cutoffs_of"]

SHOWN = 500
EDGES = ("lower", "upper")
BANDS = {"1": (1, 1), "2-5": (2, 5), "6-20": (6, 20), "21-100": (21, 100), ">100": (101, 2_000)}
REFERENCE = {"1": "1.24", "2-5": "2.0", "6-20": "7.4", "21-100": "20", ">100": "23"}
"""Ratio of the variances at N = 500, by band, by an independent recursion of all second moments."""


def compute_bands(scale: Scale) -> Data:
    """modes: rate of the mean, bias left, variance and its bounds by mode and N; bands: variances; cutoffs."""
    dim, sizes = {"tiny": (40, (60,)), "quick": (2_000, (500, 2_000)), "full": (2_000, (500, 2_000, 8_000))}[scale]
    parameters = rule(dim)
    case = problem(dim, None)
    index = np.arange(1, dim + 1)
    modes: list[dict[str, Any]] = []
    bands: list[dict[str, Any]] = []
    rates = radii(dim, parameters)
    for n in sizes:
        single = sl.subspaces.modes(*index.tolist())
        final = sl.exact(
            case, averaged(n, parameters), record=2, subspaces=single, deterministic=True, progress=False
        ).final()
        variance = {name: final.sel(run=name, component="variance").values for name in METHODS}
        for name in METHODS:
            left = final.sel(run=name, component="deterministic").values / (0.5 * case.eigenvalues * index**2)
            # At quick the shortest N only: a bound takes longer than the exact run.
            known = scale == "full" or n == sizes[0]
            lower, upper = _bounds(case, name, n, parameters) if known else (np.full(dim, np.nan),) * 2
            found = {"rate": rates[name], "left": left, "variance": variance[name], "lower": lower, "upper": upper}
            modes.append({"N": n, "method": name, "i": index, **found})
        for name, (low, high) in BANDS.items():
            one, two = (variance[method][low - 1 : high].sum() for method in METHODS)
            if one > 0.0:
                bands.append({"N": n, "band": name, "sgd": one, "asgd": two})
    return {"modes": stack(modes), "bands": stack(bands), "cutoffs": stack([cutoffs_of(case, parameters, sizes)])}


def _bounds(
    case: sl.LinearRegression, name: str, n: int, parameters: Mapping[str, float]
) -> tuple[FloatArray, FloatArray]:
    """Lower and upper bound on the variance of every mode; SGD is ASGD with gamma = delta."""
    gamma = parameters["gamma"] if name == "ASGD" else parameters["delta"]
    # Iterates N/2 .. N: the window of the theorem begins after its burn-in.
    window = (parameters["delta"], gamma, parameters["beta"], n // 2 - 1, n - n // 2 + 1)
    given = (case.eigenvalues, case.initial_error, case.noise_variance, *window)
    return asgd_average_lower(*given).variance, asgd_average_upper(*given).variance


def cutoffs_of(case: sl.LinearRegression, parameters: Mapping[str, float], sizes: tuple[int, ...]) -> dict[str, Any]:
    delta, gamma, beta = (parameters[key] for key in ("delta", "gamma", "beta"))
    found = asgd_cutoffs(case.eigenvalues, delta, gamma, beta, np.asarray(sizes))
    both = [asgd_noise_amplification(case.eigenvalues, delta, g, beta) for g in (delta, gamma)]
    return {
        "N": np.asarray(sizes),
        "k_ddagger": found.k_ddagger,
        "k_hat": found.k_hat,
        "k_dagger": found.k_dagger,
        "k_star": found.k_star,
        "amplification_sgd": both[0],
        "amplification_asgd": both[1],
        "tail_ratio": (0.5 * (gamma + delta) / delta) ** 2 * both[1] / both[0],
    }


def draw_bands(data: Data) -> Figure:
    modes, bands = data["modes"], data["bands"]
    n = SHOWN if SHOWN in first(modes["N"]) else first(modes["N"])[0]
    with style():
        figure = new_figure(WIDTH, 4.6)
        grid = figure.add_gridspec(2, 6)
        rate, left = figure.add_subplot(grid[0, :3]), figure.add_subplot(grid[0, 3:])
        middle, tight, right = (figure.add_subplot(grid[1, 2 * j : 2 * j + 2]) for j in range(3))
        for name in METHODS:
            i, factor, rest, variance, lower, upper = (
                column(modes, key, N=n, method=name) for key in ("i", "rate", "left", "variance", "lower", "upper")
            )
            look: dict[str, Any] = {"color": COLOURS[name], "ls": {"SGD": "-", "ASGD": "--"}[name], "label": name}
            rate.plot(i, -np.log(factor), **look)
            left.plot(i, np.maximum(rest, 1e-300), **look)
            middle.plot(i, variance, **look)
            edge: dict[str, Any] = {"color": COLOURS[name], "ls": look["ls"], "lw": 0.9}
            tight.fill_between(i, lower / variance, upper / variance, color=COLOURS[name], alpha=0.2, linewidth=0)
            tight.plot(i, lower / variance, **edge)
            tight.plot(i, upper / variance, **edge)
        for axes in (rate, left):
            _mark_cutoffs(axes, data, n)
        rate.set(xscale="log", yscale="log", xlabel="eigen-index $i$", ylabel="$-\\ln$ factor of a step")
        rate.set(xlim=(0.9, 300), ylim=(1e-6, 0.3))
        rate.set_title("(a) rate at which the mean bias decays", pad=15)
        left.set(xscale="log", yscale="log", xlabel="eigen-index $i$", ylim=(1e-6, 3.0), xlim=(0.9, 300))
        left.set_ylabel("share of its start")
        left.set_title(f"(b) mean bias left, $N = {n:,}$", pad=15)
        left.text(12.5, 2e-5, "waves at $i$ = 4 .. 8:\nphase of complex roots", fontsize=7, color="0.35")
        middle.set(xscale="log", yscale="log", xlabel="eigen-index $i$", ylabel="variance of mode $i$")
        middle.set(xlim=(0.9, 100), ylim=(1e-8, 1e-4))
        middle.set_title(f"(c) variance, $N = {n:,}$")
        tight.axhline(1.0, color="0.3", lw=0.8)
        tight.set(xscale="log", xlabel="eigen-index $i$", ylabel="bound / variance", xlim=(0.9, 300))
        tight.set_title("(d) its lower and upper bound")
        _ratio_bars(right, data, first(bands["N"]))
        figure.legend(*rate.get_legend_handles_labels(), loc="outside upper center", ncols=2)
    return figure


def _mark_cutoffs(axes: Axes, data: Data, n: int) -> None:
    names = (("k_hat", r"$\hat k$", "center"), ("k_dagger", r"$k^\dagger$", "right"), ("k_star", "$k^*$", "left"))
    for key, words, side in names:
        at = float(column(data["cutoffs"], key, N=n)[0])
        if at >= 1.0:
            axes.axvline(at, color="0.6", lw=0.7, ls=":")
            axes.text(at, 1.01, words, ha=side, va="bottom", fontsize=7, transform=axes.get_xaxis_transform())


def _ratio_bars(axes: Axes, data: Data, sizes: list[int]) -> None:
    bands = data["bands"]
    names = first(bands["band"])
    width = 0.8 / len(sizes)
    for j, n in enumerate(sizes):
        ratio = column(bands, "asgd", N=n) / column(bands, "sgd", N=n)
        at = np.arange(len(names)) + (j - 0.5 * (len(sizes) - 1)) * width
        axes.bar(at, ratio, width, color=PALETTE[2 + j], label=f"$N$ = {n:,}")
    limit = float(np.asarray(data["cutoffs"]["tail_ratio"])[0])
    axes.axhline(limit, color="0.3", ls="--", lw=0.8)
    axes.text(-0.4, limit * 1.06, f"limit of the tail, {limit:.1f}", fontsize=7, va="bottom")
    axes.axhline(1.0, color="0.3", lw=0.8)
    axes.set(yscale="log", xlabel="eigen-indices", ylabel="variance, ASGD / SGD", ylim=(0.8, 60))
    axes.set_xticks(np.arange(len(names)), names)
    axes.tick_params(axis="x", labelsize=6)
    axes.set_yticks([1, 3, 10, 30], ["1", "3", "10", "30"])
    axes.set_title("(e) ratio of the variances")
    axes.legend(loc="upper left", bbox_to_anchor=(0.0, 0.84), fontsize=6.5)


def claims_bands(data: Data) -> list[Claim]:
    modes, bands, cutoffs = data["modes"], data["bands"], data["cutoffs"]
    names = first(bands["band"])
    ratio = {
        name: float((column(bands, "asgd", N=SHOWN, band=name) / column(bands, "sgd", N=SHOWN, band=name))[0])
        for name in (names if SHOWN in first(bands["N"]) else [])
    }
    same = [name for name, value in ratio.items() if _same_digits(value, REFERENCE[name])]
    one, two = (column(modes, "variance", method=name) for name in METHODS)
    inside = [column(modes, "variance") / column(modes, key) for key in EDGES]
    tail = float(np.asarray(cutoffs["tail_ratio"])[0])
    k_hat = int(np.asarray(cutoffs["k_hat"])[0])
    slower = _slower(data)
    return [
        Claim(
            "ASGD has the larger variance, in every eigen-subspace",
            "abstract; main theorem",
            "ASGD / SGD >= 1 for every mode and N",
            f"{(two / one).min():.3f} .. {(two / one).max():.1f} (limit of the tail {tail:.1f})",
            bool((two / one).min() >= 1.0),
            "a mode in which acceleration averages more noise away than it adds",
            paper="the variance error of ASGD is always larger than that of SGD",
            chosen="average of N/2 .. N, and the " + RATE,
        ),
        Claim(
            "the bias of ASGD decays more slowly for i <= k-hat and faster beyond",
            "abstract; main theorem",
            f"modes whose mean contracts by a factor closer to 1 than 1 - delta lam_i: 1 .. k-hat = {k_hat}",
            f"{', '.join(map(str, slower[:8])) or 'none'} of {max(column(modes, 'i')):,.0f}",
            slower == list(range(1, k_hat + 1)),
            "the roots of the mean recursion cross 1 - delta lam elsewhere than at delta lam = 1 - c",
            paper="slower in the subspace of large eigenvalues, faster in that of small ones",
            chosen=RATE,
        ),
        Claim(
            "the ratio of the variances grows from head to tail, as by an independent recursion",
            "recursion of all second moments of (w, u)",
            ", ".join(f"{name}: {value}" for name, value in REFERENCE.items()) + " to their digits, N = 500",
            ", ".join(f"{value:.3g}" for value in ratio.values()) or f"N = {SHOWN} is not computed at this size",
            len(same) == len(REFERENCE),
            own=True,
        ),
        Claim(
            "the variance of every mode lies between Gaussian bounds of the form of the main theorem",
            "simlab.theory.li2024_average",
            "exact / lower >= 1, exact / upper <= 1 for both methods, every mode, N = 500 (full: every N)",
            "; ".join(
                f"exact / {k} {np.nanmin(a):.3f} .. {np.nanmax(a):.3f}" for k, a in zip(EDGES, inside, strict=True)
            ),
            bool(np.nanmin(inside[0]) >= 1.0 - 1e-12 and np.nanmax(inside[1]) <= 1.0 + 1e-12),
            own=True,
        ),
    ]


def _slower(data: Data) -> list[int]:
    """Modes whose mean decays more slowly under ASGD than under SGD."""
    n = first(data["modes"]["N"])[0]
    slow, fast = (column(data["modes"], "rate", N=n, method=name) for name in METHODS)
    return [int(k) for k in 1 + np.flatnonzero(fast > slow)]


def _same_digits(value: float, given: str) -> bool:
    """Whether `value` rounds to the digits given."""
    places = len(given.partition(".")[2])
    return f"{value:.{places}f}" == given


FIGURES = [
    Reproduction(
        "li2024-bands",
        "Bias and variance of ASGD and SGD, mode by mode",
        PAPER,
        2024,
        "As li2024-directions, errors i along every e_i. (a): -ln of the larger root of the mean recursion, and of"
        " 1 - delta lam; (b): mean bias; (c): variance; (d): Gaussian bounds of simlab.theory.li2024_average; (e):"
        " ratio by bands of eigen-indices, limit of the tail [(gamma + delta) / 2 delta]^2 x amplification of noise.",
        compute_bands,
        draw_bands,
        claims_bands,
        chosen=CHOSEN,
        seconds=2.0,
    ),
]
