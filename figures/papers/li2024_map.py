"""Li, Deng, Wu, Zhou and Gu 2024 (arXiv 2311.14222): where acceleration helps, by direction of the start and N."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from simlab.figures.columns import first, stack
from simlab.figures.papers.li2024 import CHOSEN, METHODS, PAPER, RATE, averaged, problem, radii, rule
from simlab.figures.papers.li2024_bands import cutoffs_of
from simlab.figures.reproduction import Claim, Data, Reproduction, Scale, column

import simlab as sl
from simlab.arrays import FloatArray
from simlab.plot import WIDTH, new_figure, style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["FIGURES"]

PARTS = {"(a) mean bias": "mean", "(b) with the noise it feeds": "bias", "(c) excess risk": "total"}
"""Title of a panel -> what is compared."""
WORSE = 1.1
"""Ratio from which on a cell is marked: below, neither method has learned the direction."""


def compute(scale: Scale) -> Data:
    """map: mean bias, bias, variance by direction of the start and N, of both methods; rates; cutoffs by N."""
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
            trace = sl.exact(problem(dim, i), methods, record=2, deterministic=True, progress=False)
            final = trace.final().sum("subspace")
            for name in METHODS:
                keys = {"mean": "deterministic", "bias": "bias", "variance": "variance"}
                parts = {key: float(final.sel(run=name, component=part)) for key, part in keys.items()}
                table.append({"i": i, "N": int(n), "method": name, **parts, "total": parts["bias"] + parts["variance"]})
    index = np.arange(1, dim + 1)
    rates = [{"method": name, "i": index, "rate": rate} for name, rate in radii(dim, parameters).items()]
    cut = cutoffs_of(problem(dim, None), parameters, tuple(sizes.tolist()))
    return {"map": stack(table), "rates": stack(rates), "cutoffs": stack([cut])}


def _grid(data: Data, part: str) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Directions (I,), sizes (J,), and ASGD / SGD, (I, J); NaN where both have come below the smallest number."""
    table = data["map"]
    directions, sizes = first(table["i"]), first(table["N"])
    one, two = (column(table, part, method=name) for name in METHODS)
    # Rows come by N, and within N by direction.
    known = one > 1e-290
    ratio = np.where(known, two / np.where(known, one, 1.0), np.nan).reshape(len(sizes), len(directions)).T
    return np.asarray(directions, dtype=np.float64), np.asarray(sizes, dtype=np.float64), ratio


def _edges(centres: FloatArray) -> FloatArray:
    """Borders of the cells around these points of a log axis."""
    middle = np.sqrt(centres[1:] * centres[:-1])
    return np.concatenate([[centres[0] ** 2 / middle[0]], middle, [centres[-1] ** 2 / middle[-1]]])


def draw(data: Data) -> Figure:
    from matplotlib.colors import TwoSlopeNorm

    with style():
        figure = new_figure(WIDTH, 2.9)
        panels = figure.subplots(1, len(PARTS), sharey=True)
        norm = TwoSlopeNorm(0.0, -2.0, 1.0)
        for axes, (title, part) in zip(panels, PARTS.items(), strict=True):
            i, n, ratio = _grid(data, part)
            shown = np.log10(np.clip(ratio, 1e-4, 1e4))
            image = axes.pcolormesh(_edges(n), _edges(i), shown, norm=norm, cmap="PuOr_r", rasterized=True)
            for row, col in np.argwhere(ratio >= WORSE):
                axes.plot(n[col], i[row], "x", color="black", ms=3, mew=0.7)
            _mark(axes, data)
            axes.set(xscale="log", yscale="log", xlabel="samples $N$")
            axes.set(ylim=_edges(i)[[0, -1]], xlim=_edges(n)[[0, -1]], title=title)
            axes.grid(visible=False)
        panels[0].set_ylabel("start along direction $i$")
        handles, labels = panels[0].get_legend_handles_labels()
        (cross,) = panels[0].plot([], [], "x", color="black", ms=3, mew=0.7)
        words = f"ASGD worse by {WORSE - 1.0:.0%} or more"
        figure.legend([cross, *handles], [words, *labels], loc="outside lower center", ncols=3)
        bar = figure.colorbar(image, ax=panels, extend="both", ticks=[-2, -1, 0, 0.5, 1])
        bar.ax.set_yticklabels(["0.01", "0.1", "1", "3", "10"])
        bar.set_label("ASGD / SGD")
    return figure


def _mark(axes: Axes, data: Data) -> None:
    cut = data["cutoffs"]
    look: dict[str, Any] = {"color": "0.25", "lw": 0.9}
    words = r"$k^*$: $\lambda_i (\gamma + \delta) N = 1$"
    axes.plot(column(cut, "N"), column(cut, "k_star"), ls="--", label=words, **look)
    # Between the last direction in which acceleration slows the mean and the first in which it does not.
    axes.axhline(float(column(cut, "k_hat")[0]) + 0.45, ls=":", label=r"$\hat k$", **look)


def claims(data: Data) -> list[Claim]:
    k_hat = int(np.asarray(data["cutoffs"]["k_hat"])[0])
    one, two = (column(data["rates"], "rate", method=name) for name in METHODS)
    i, n, mean = _grid(data, "mean")
    _, _, bias = _grid(data, "bias")
    _, _, total = _grid(data, "total")
    tail = mean[i > k_hat]
    known = np.isfinite(tail)
    last = [int(k) for k in i[total[:, -1] >= 1.0]]
    # The directions that lose without a gap, from e_1 on, at the smallest and the largest N.
    border = [int(np.argmin(np.append(bias[:, j] > 1.0, False))) for j in (0, -1)]
    up_to = [int(i[k - 1]) if k else 0 for k in border]
    head = [f"{b:.5f} > {a:.5f} (i = {k})" for k, (a, b) in enumerate(zip(one[:k_hat], two[:k_hat], strict=True), 1)]
    beyond = float(np.max((1.0 - one[k_hat:]) / (1.0 - two[k_hat:])))
    rates = "spectral radius of the mean recursion of (w, u)"
    return [
        Claim(
            "acceleration slows the decay of the bias along the leading directions, i <= k-hat",
            "abstract; main theorem",
            f"{rates} above 1 - delta lam_i",
            ", ".join(head) or "no such direction",
            bool(k_hat and np.all(two[:k_hat] > one[:k_hat])),
            "k-hat is zero: delta is too small for any direction to lose",
            paper="in the subspace of large eigenvalues the bias of ASGD decays more slowly",
            chosen=RATE,
            turns="of the mean bias of the average: " + _from_where(i, n, mean, k_hat),
        ),
        Claim(
            "and hastens it everywhere beyond",
            "abstract; main theorem",
            f"{rates} below 1 - delta lam_i for all i > k-hat; mean bias of the average below at every N",
            f"rates: {int(np.sum(two[k_hat:] < one[k_hat:]))} of {one.size - k_hat}, decay at least"
            f" {1.0 / beyond:.2f} times as fast; averages: {int(np.sum(tail < 1.0))} of {int(known.sum())},"
            f" {np.nanmin(tail):.2g} .. {np.nanmax(tail):.4f}",
            bool(np.all(two[k_hat:] < one[k_hat:]) and np.all(tail[known] < 1.0)),
            "the average over N/2 .. N has not reached its rate",
            paper="in the subspace of small eigenvalues the bias of ASGD decays faster",
            chosen="average of N/2 .. N, and the " + RATE,
        ),
        Claim(
            "its larger variance takes the gain where both methods have learned the direction",
            "abstract",
            "at the largest N the starts of lower excess risk under SGD are the leading ones",
            f"{', '.join(f'e_{k}' for k in last)} at N = {int(n[-1]):,}",
            bool(last) and last == [int(k) for k in i[: len(last)]] and len(last) < i.size,
            "a start beyond the leading ones has the lower risk under SGD",
            paper="ASGD can outperform SGD for errors in small eigenvalues; its variance is always larger",
            chosen=CHOSEN[3],
        ),
        Claim(
            "with the noise that the bias feeds, the border between loss and gain moves up with N",
            "bias as the risk at sigma^2 = 0: mean and fed noise, of order 1/N",
            "the directions that lose without a gap from e_1 on reach beyond k-hat at the largest N only",
            f"up to e_{up_to[0]} at N = {n[0]:,.0f}, up to e_{up_to[1]} at N = {n[-1]:,.0f}; k-hat = {k_hat}",
            up_to[0] <= k_hat < up_to[1],
            own=True,
        ),
    ]


def _from_where(i: FloatArray, n: FloatArray, mean: FloatArray, k_hat: int) -> str:
    """From which N on the mean bias of the average is the larger under ASGD."""
    words = []
    for direction, ratio in zip(i[i <= k_hat], mean[i <= k_hat], strict=True):
        below = np.flatnonzero(ratio < 1.0)
        at = below[-1] + 1 if below.size else 0
        words.append(f"e_{direction:.0f} loses from N = {n[at]:,.0f} on" if at < n.size else f"e_{direction:.0f} never")
    return ", ".join(words)


FIGURES = [
    Reproduction(
        "li2024-map",
        "Where acceleration helps and where it hurts",
        PAPER,
        2024,
        "As li2024-directions: ratio of ASGD to SGD for a start along each direction and each N, exact, of the average"
        " of N/2 .. N; one cell for each pair computed. (a): risk of the mean; (b): risk without label noise, which"
        " holds the noise that the bias feeds; (c): excess risk.",
        compute,
        draw,
        claims,
        chosen=CHOSEN,
        seconds=1.0,
    ),
]
