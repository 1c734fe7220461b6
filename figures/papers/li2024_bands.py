"""Li, Deng, Wu, Zhou and Gu 2024 (arXiv 2311.14222): ASGD against SGD, mode by mode, and where it helps."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from simlab.figures.papers.columns import first, stack
from simlab.figures.papers.li2024 import ASSUMED, COLOURS, METHODS, PAPER, averaged, problem, rule
from simlab.figures.reproduction import Claim, Data, Reproduction, Scale, column
from simlab.theory.li2024 import asgd_cutoffs, asgd_noise_amplification
from simlab.theory.li2024_average import asgd_average_lower, asgd_average_upper

import simlab as sl
from simlab.arrays import FloatArray
from simlab.plot import PALETTE, WIDTH, new_figure, style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["FIGURES"]

SHOWN = 500
EDGES = ("lower", "upper")
BANDS = {"1": (1, 1), "2-5": (2, 5), "6-20": (6, 20), "21-100": (21, 100), ">100": (101, 2_000)}
REFERENCE = {"1": "1.24", "2-5": "2.0", "6-20": "7.4", "21-100": "20", ">100": "23"}
"""Ratio of the variances at N = 500, by band (notes on momentum, 1.5)."""


def compute_bands(scale: Scale) -> Data:
    """modes: bias left, variance and its bounds by mode and N; bands: variance of both methods; cutoffs."""
    dim, sizes = {"tiny": (40, (60,)), "quick": (2_000, (500, 2_000)), "full": (2_000, (500, 2_000, 8_000))}[scale]
    parameters = rule(dim)
    case = problem(dim, None)
    index = np.arange(1, dim + 1)
    modes: list[dict[str, Any]] = []
    bands: list[dict[str, Any]] = []
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
            found = {"left": left, "variance": variance[name], "lower": lower, "upper": upper}
            modes.append({"N": n, "method": name, "i": index, **found})
        for name, (low, high) in BANDS.items():
            one, two = (variance[method][low - 1 : high].sum() for method in METHODS)
            if one > 0.0:
                bands.append({"N": n, "band": name, "sgd": one, "asgd": two})
    return {"modes": stack(modes), "bands": stack(bands), "cutoffs": stack([_cutoffs(case, parameters, sizes)])}


def _bounds(
    case: sl.LinearRegression, name: str, n: int, parameters: Mapping[str, float]
) -> tuple[FloatArray, FloatArray]:
    """Lower and upper bound on the variance of every mode; SGD is ASGD with gamma = delta."""
    gamma = parameters["gamma"] if name == "ASGD" else parameters["delta"]
    # Iterates N/2 .. N: the window of the theorem begins after its burn-in.
    window = (parameters["delta"], gamma, parameters["beta"], n // 2 - 1, n - n // 2 + 1)
    given = (case.eigenvalues, case.initial_error, case.noise_variance, *window)
    return asgd_average_lower(*given).variance, asgd_average_upper(*given).variance


def _cutoffs(case: sl.LinearRegression, parameters: Mapping[str, float], sizes: tuple[int, ...]) -> dict[str, Any]:
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
        "tail_ratio": (0.5 * (gamma + delta) / delta) ** 2,
    }


def draw_bands(data: Data) -> Figure:
    modes, bands = data["modes"], data["bands"]
    n = SHOWN if SHOWN in first(modes["N"]) else first(modes["N"])[0]
    with style():
        figure = new_figure(WIDTH, 2.7)
        left, middle, right = figure.subplots(1, 3, width_ratios=[1.0, 1.0, 1.15])
        for name in METHODS:
            i, rest, variance, lower, upper = (
                column(modes, key, N=n, method=name) for key in ("i", "left", "variance", "lower", "upper")
            )
            left.plot(i, np.maximum(rest, 1e-300), color=COLOURS[name], label=name)
            middle.fill_between(i, lower, upper, color=COLOURS[name], alpha=0.25, linewidth=0)
            middle.plot(i, variance, color=COLOURS[name], label=name)
        _mark_cutoffs(left, data, n)
        left.set(xscale="log", yscale="log", xlabel="eigen-index $i$", ylim=(1e-24, 10.0), xlim=(0.9, 300))
        left.set_ylabel("mean bias left, share of its start")
        left.set_title(f"(a) bias, $N = {n:,}$", pad=15)
        left.legend(loc="lower right")
        middle.set(xscale="log", yscale="log", xlabel="eigen-index $i$", ylabel="variance of mode $i$")
        middle.set(xlim=(0.9, 100), ylim=(1e-8, 1e-4))
        middle.set_title("(b) variance; shaded: its bounds", pad=15)
        middle.legend(loc="lower left")
        _ratio_bars(right, data, first(bands["N"]))
    return figure


def _mark_cutoffs(axes: Axes, data: Data, n: int) -> None:
    for key, words in (("k_hat", r"$\hat k$"), ("k_dagger", r"$k^\dagger$"), ("k_star", "$k^*$")):
        at = float(column(data["cutoffs"], key, N=n)[0])
        if at >= 1.0:
            axes.axvline(at, color="0.6", lw=0.7, ls=":")
            axes.text(at, 1.01, words, ha="center", va="bottom", fontsize=7, transform=axes.get_xaxis_transform())


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
    axes.text(-0.4, limit * 1.06, r"$[(\gamma + \delta)\,/\,2\delta]^2$", fontsize=7, va="bottom")
    axes.axhline(1.0, color="0.3", lw=0.8)
    axes.set(yscale="log", xlabel="eigen-indices", ylabel="variance, ASGD / SGD", ylim=(0.8, 60))
    axes.set_xticks(np.arange(len(names)), names)
    axes.set_title("(c) ratio of the variances", pad=15)
    axes.legend(loc="upper left", bbox_to_anchor=(0.0, 0.8))


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
    # A statement on rates, so of long runs; of N = 8,000 the leading modes underflow.
    worse = {n: _slower(data, n) for n in first(modes["N"]) if n <= 2_000}
    n = max(worse)
    return [
        Claim(
            "the ratio of the variances grows from head to tail as in the reference table",
            "notes on momentum, 1.5",
            ", ".join(REFERENCE.values()) + " to their digits, N = 500",
            ", ".join(f"{value:.3g}" for value in ratio.values()) or f"N = {SHOWN} is not computed at this size",
            len(same) == len(REFERENCE),
        ),
        Claim(
            "ASGD has the larger variance, in every eigen-subspace",
            "discussion of the main theorem",
            "ASGD / SGD >= 1 for every mode and N",
            f"{(two / one).min():.3f} .. {(two / one).max():.1f}; [(gamma + delta) / 2 delta]^2 = {tail:.1f}",
            bool((two / one).min() >= 1.0),
            chosen="; ".join(ASSUMED[:2]),
        ),
        Claim(
            "the bias of ASGD decays more slowly for i <= k-hat and faster beyond",
            "discussion of the main theorem",
            f"modes with more mean bias left than under SGD are 1 .. k-hat = {k_hat}, N = {n:,}",
            "; ".join(f"N = {m:,}: modes {', '.join(map(str, found[:8]))}" for m, found in worse.items()),
            worse[n] == list(range(1, k_hat + 1)),
            chosen="; ".join(ASSUMED[:2]),
            reason=f"ASGD has more left in {len(worse[n])} modes",
        ),
        Claim(
            "the variance of every mode lies between the bounds",
            "main theorem, in the form of theory.li2024_average",
            "exact / lower >= 1, exact / upper <= 1 for both methods, every mode, N = 500 (full: every N)",
            "; ".join(
                f"exact / {k} {np.nanmin(a):.3f} .. {np.nanmax(a):.3f}" for k, a in zip(EDGES, inside, strict=True)
            ),
            bool(np.nanmin(inside[0]) >= 1.0 - 1e-12 and np.nanmax(inside[1]) <= 1.0 + 1e-12),
        ),
    ]


def _slower(data: Data, n: int) -> list[int]:
    """Modes with more mean bias left under ASGD than under SGD."""
    slow, fast = (column(data["modes"], "left", N=n, method=name) for name in METHODS)
    return [int(k) for k in 1 + np.flatnonzero(fast > slow)]


def _same_digits(value: float, given: str) -> bool:
    """Whether `value` rounds to the digits given."""
    places = len(given.partition(".")[2])
    return f"{value:.{places}f}" == given


# -- where it helps ----------------------------------------------------------------------------------------------------


def compute_map(scale: Scale) -> Data:
    """map: bias and variance by direction of the start and N, of both methods; cutoffs: k-hat and k* by N."""
    dim, directions, points, most = {
        "tiny": (40, (1, 4, 20), 3, 120),
        "quick": (2_000, (1, 2, 3, 4, 6, 8, 11, 15, 21, 30, 43, 60), 9, 2_000),
        "full": (2_000, tuple(np.unique(np.geomspace(1, 200, 30).astype(int)).tolist()), 24, 20_000),
    }[scale]
    parameters = rule(dim)
    sizes = np.unique(np.geomspace(30, most, points).astype(int))
    table = []
    for n in sizes:
        methods = averaged(int(n), parameters)
        for i in directions:
            final = sl.exact(problem(dim, i), methods, record=2, progress=False).final().sum("subspace")
            for name in METHODS:
                parts = {key: float(final.sel(run=name, component=key)) for key in ("bias", "variance")}
                table.append({"i": i, "N": int(n), "method": name, **parts})
    return {"map": stack(table), "cutoffs": stack([_cutoffs(problem(dim, None), parameters, tuple(sizes.tolist()))])}


def _grid(data: Data, parts: tuple[str, ...]) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Directions (I,), sizes (J,), and ASGD / SGD, (I, J)."""
    table = data["map"]
    directions, sizes = first(table["i"]), first(table["N"])
    one, two = (sum(column(table, key, method=name) for key in parts) for name in METHODS)
    # Rows come by N, and within N by direction.
    ratio = np.asarray(two / one).reshape(len(sizes), len(directions)).T
    return np.asarray(directions, dtype=np.float64), np.asarray(sizes, dtype=np.float64), ratio


def draw_map(data: Data) -> Figure:
    from matplotlib.colors import TwoSlopeNorm

    with style():
        figure = new_figure(WIDTH, 2.9)
        panels = figure.subplots(1, 2, sharey=True)
        norm = TwoSlopeNorm(0.0, -2.0, 1.0)
        for axes, parts, title in zip(
            panels, (("bias",), ("bias", "variance")), ("(a) bias", "(b) excess risk"), strict=True
        ):
            i, n, ratio = _grid(data, parts)
            look: dict[str, Any] = {"norm": norm, "cmap": "PuOr_r", "rasterized": True}
            image = axes.pcolormesh(n, i, np.log10(ratio), shading="gouraud", **look)
            axes.contour(n, i, np.log10(ratio), levels=[0.0], colors="black", linewidths=1.2)
            cut = data["cutoffs"]
            axes.plot(
                n,
                column(cut, "k_star"),
                color="0.25",
                ls="--",
                lw=0.9,
                label=r"$k^*$: $\lambda_i (\gamma + \delta) N = 1$",
            )
            axes.axhline(float(column(cut, "k_hat")[0]), color="0.25", ls=":", lw=1.0, label=r"$\hat k$")
            axes.set(xscale="log", yscale="log", xlabel="samples $N$", ylim=(i[0], i[-1]), xlim=(n[0], n[-1]))
            axes.set_title(f"{title}, ASGD / SGD")
        panels[0].set_ylabel("start along direction $i$")
        handles, labels = panels[0].get_legend_handles_labels()
        (level,) = panels[0].plot([], [], color="black", lw=1.2)
        figure.legend([level, *handles], ["equal", *labels], loc="outside lower center", ncols=3)
        bar = figure.colorbar(image, ax=panels, extend="both", ticks=[-2, -1, 0, 0.5, 1])
        bar.ax.set_yticklabels(["0.01", "0.1", "1", "3", "10"])
        bar.set_label("orange: acceleration hurts")
    return figure


def claims_map(data: Data) -> list[Claim]:
    k_hat = int(np.asarray(data["cutoffs"]["k_hat"])[0])
    i, n, bias = _grid(data, ("bias",))
    _, _, total = _grid(data, ("bias", "variance"))
    head, tail = bias[i <= k_hat], bias[i > k_hat]
    found = int((tail < 1.0).sum())
    last = [int(k) for k in i[total[:, -1] >= 1.0]]
    far = float(bias[-1].max())
    lost = [(int(a), int(b)) for a, row in zip(i, bias, strict=True) for b, r in zip(n, row, strict=True) if r >= 1.0]
    beyond = [f"e_{a} at N = {b}" for a, b in lost if a > k_hat]
    # The upper border of the directions that lose without a gap, from e_1 on, at the smallest and the largest N.
    border = [int(np.argmin(np.append(bias[:, j] > 1.0, False))) for j in (0, -1)]
    up_to = [f"e_{int(i[k - 1])}" if k else "none" for k in border]
    grows = f"starts up to {up_to[0]} lose at N = {n[0]:,.0f}, up to {up_to[1]} at N = {n[-1]:,.0f}"
    return [
        Claim(
            "acceleration hurts the bias of starts in the leading directions, i <= k-hat",
            "discussion of the main theorem",
            "ASGD / SGD > 1 at every N",
            f"{head.min():.2f} .. {head.max():.2f}, k-hat = {k_hat}" if head.size else "no such direction",
            bool(head.size and head.min() > 1.0),
            chosen="; ".join(ASSUMED[:2]),
            reason=f"from {head.min():.2f}: {grows}" if head.size else "",
        ),
        Claim(
            "and helps everywhere beyond",
            "discussion of the main theorem",
            "ASGD / SGD < 1 for i > k-hat at every N",
            f"{found} of {tail.size} points; {tail.min():.2g} .. {tail.max():.2f}",
            found == tail.size,
            chosen="; ".join(ASSUMED[:2]),
            reason=f"not for {len(beyond)} of {tail.size} points ({', '.join(beyond[:6])} ..): {grows}; and far beyond"
            f" k*, by up to {far - 1.0:.0%}, where neither has begun to learn",
        ),
        Claim(
            "its larger variance takes the gain where both methods have learned the direction",
            "abstract (better than SGD for small eigenvalues, worse for large)",
            "at the largest N the starts of lower excess risk under SGD are the leading ones",
            f"{', '.join(f'e_{k}' for k in last)} at N = {int(n[-1]):,}",
            bool(last) and last == [int(k) for k in i[: len(last)]] and len(last) < i.size,
            chosen=ASSUMED[3],
            reason=f"{', '.join(f'e_{k}' for k in last)}",
        ),
    ]


FIGURES = [
    Reproduction(
        "li2024-bands",
        "Bias and variance of ASGD and SGD, mode by mode",
        PAPER,
        2024,
        "As li2024-directions. (a): mean bias of every mode, as a share of its start; (b): variance of every mode"
        " between the Gaussian bounds of theory.li2024_average; (c): variance of ASGD over that of SGD, by bands of"
        " eigen-indices.",
        compute_bands,
        draw_bands,
        claims_bands,
        chosen=ASSUMED,
        seconds=2.0,
    ),
    Reproduction(
        "li2024-map",
        "Where acceleration helps and where it hurts",
        PAPER,
        2024,
        "As li2024-directions: ratio of ASGD to SGD for a start along each direction and each N, exact; the map is"
        " interpolated between the points computed.",
        compute_map,
        draw_map,
        claims_map,
        chosen=ASSUMED,
        seconds=1.0,
    ),
]
