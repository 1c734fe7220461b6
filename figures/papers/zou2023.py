"""Zou, Wu, Braverman, Gu and Kakade 2021/23: averages of constant-step SGD on six spectra and targets (fig. 2)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from scipy.interpolate import CubicSpline
from simlab.figures.reproduction import Claim, Data, Reproduction, Scale, Table, column
from simlab.theory.stationary import critical_lr

import simlab as sl
from simlab.arrays import FloatArray
from simlab.methods import Method
from simlab.plot import DASHES, PALETTE, WIDTH, new_figure, style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["CASES", "FIGURES", "REFERENCE", "panels", "problem"]


DIM = 200
CASES = [(a, b) for a in (1, 2) for b in (0, 1, 10)]
"""(a, b): eigenvalues i^-a, target w* = i^-b."""
METHODS = ("iterate average", "tail average", "last iterate", "geometric decay", "EMA")
WINDOWS = (2, 4, 8, 16, 32)
"""EMA: 1 - alpha = c / N."""
DIGIT = 1e-4
TICKS = (500, 1000, 2000, 5000)

REFERENCE: dict[tuple[int, int, int], tuple[float, ...]] = {
    (1, 0, 1000): (0.3360, 0.2681, 0.3715, 0.3138, 0.2555),
    (1, 0, 5000): (0.0518, 0.0423, 0.0974, 0.0577, 0.0438),
    (1, 1, 1000): (0.0116, 0.0085, 0.0092, 0.0097, 0.0087),
    (1, 1, 5000): (0.0040, 0.0029, 0.0034, 0.0035, 0.0030),
    (1, 10, 1000): (0.0075, 0.0035, 0.0034, 0.0041, 0.0033),
    (1, 10, 5000): (0.0025, 0.0009, 0.0008, 0.0011, 0.0008),
    (2, 0, 1000): (0.0352, 0.0349, 0.0647, 0.0389, 0.0343),
    (2, 0, 5000): (0.0143, 0.0142, 0.0364, 0.0168, 0.0141),
    (2, 1, 1000): (0.0037, 0.0039, 0.0062, 0.0046, 0.0041),
    (2, 1, 5000): (0.0011, 0.0012, 0.0024, 0.0016, 0.0014),
    (2, 10, 1000): (0.0023, 0.0013, 0.0016, 0.0015, 0.0014),
    (2, 10, 5000): (0.0006, 0.0003, 0.0004, 0.0004, 0.0003),
}
"""(a, b, N) -> risk of METHODS as computed once by an independent recursion."""


def problem(a: int, b: int) -> sl.LinearRegression:
    """d = 200, Gaussian data, sigma^2 = 1, w_0 = 0."""
    i = np.arange(1.0, DIM + 1.0)
    return sl.LinearRegression(i**-a, i ** -float(b), 1.0)


def variants(name: str) -> list[Callable[[int, float], Method]]:
    """(steps, lr) -> method; for EMA one for each window."""
    if name == "geometric decay":
        return [lambda n, lr: sl.methods.sgd(sl.schedules.tail_geometric(n, lr, hold=n // 2))]
    if name == "EMA":
        return [lambda n, lr, c=c: sl.methods.ema(_sgd(n, lr), decay=1.0 - c / n, form="old") for c in WINDOWS]  # type: ignore[misc]
    if name == "last iterate":
        return [_sgd]
    start = 2 if name == "tail average" else 0
    return [lambda n, lr: sl.methods.average(_sgd(n, lr), start=n // start if start else 0, form="old")]


def _sgd(steps: int, lr: float) -> Method:
    return sl.methods.sgd(sl.schedules.constant(steps, lr))


def risks(case: sl.LinearRegression, name: str, steps: int, rates: npt.ArrayLike) -> FloatArray:
    """Final risk at every learning rate, that of the best window for EMA; inf where it diverges."""
    make = variants(name)
    runs = [one(steps, float(lr)) for lr in np.asarray(rates) for one in make]
    trace = sl.exact(case, runs, record=[steps], progress=False)
    final = trace.total().transpose("run", "step").values[:, -1]
    final = np.where(np.asarray(trace.status.values) == "done", final, np.inf)
    best: FloatArray = final.reshape(-1, len(make)).min(axis=1)
    return best


def compute(scale: Scale) -> Data:
    """tuned: best risk on a sqrt(2) grid of learning rates; origins: what grids of another origin would have given."""
    lengths = {"tiny": (100,), "quick": (500, 1000, 2000, 5000), "full": (250, 500, 1000, 2000, 3500, 5000)}[scale]
    tuned: list[tuple[int, int, int, str, float, float]] = []
    origins: list[tuple[int, int, int, str, float, float, float, float]] = []
    for a, b in CASES if scale != "tiny" else CASES[:1]:
        case = problem(a, b)
        top = float(critical_lr(case.eigenvalues))
        for n in lengths:
            for j, name in enumerate(METHODS):
                grid = top * 2.0 ** (-0.5 * np.arange(1, 20))
                found = risks(case, name, n, grid)
                best = int(found.argmin())
                tuned.append((a, b, n, name, float(found[best]), float(grid[best])))
                if (a, b, n) in REFERENCE:
                    spread = _origins(case, name, n, float(grid[best]))
                    origins.append((a, b, n, name, REFERENCE[a, b, n][j], *spread))
    columns = ("a", "b", "steps", "method", "risk", "lr")
    names = ("a", "b", "steps", "method", "reference", "lowest", "highest", "highest_fine")
    return {
        "tuned": _table(columns, tuned),
        "origins": _table(names, origins),
    }


def _origins(case: sl.LinearRegression, name: str, steps: int, centre: float) -> tuple[float, float, float]:
    """The best and the worst tuned risk of grids that differ in their origin; the worst with a ratio of sqrt(2).

    Their ratio is sqrt(2); for EMA, which has a second parameter, 2: some reference numbers of that column, and of no
    other, lie above what any grid of sqrt(2) gives, as they would on the coarser one. Risks between an eighth of an
    octave and the next are interpolated.
    """
    octaves = 1.0 if name == "EMA" else 0.5
    offset = np.arange(-octaves, octaves + 0.01, 0.125)
    found = risks(case, name, steps, centre * 2.0**offset)
    stable = np.isfinite(found)
    curve = CubicSpline(offset[stable], np.log(found[stable]), extrapolate=False)

    def tuned(ratio: float) -> FloatArray:
        below = np.linspace(-ratio, 0.0, 257)
        return np.fmin(np.exp(curve(below)), np.exp(curve(below + ratio)))  # type: ignore[no-any-return]

    return float(tuned(octaves).min()), float(tuned(octaves).max()), float(tuned(0.5).max())


def _table(names: Sequence[str], entries: Sequence[tuple[object, ...]]) -> Table:
    return {name: np.array([entry[j] for entry in entries]) for j, name in enumerate(names)}


def panels(figure: Figure, cases: Sequence[tuple[int, int]]) -> list[tuple[tuple[int, int], Axes]]:
    """One panel for each problem, spectra below one another, with what they share written once."""
    from matplotlib.ticker import NullLocator

    rows = 2 if len(cases) > 3 else 1
    grid = figure.subplots(rows, -(-len(cases) // rows), sharex=True, squeeze=False)
    for (a, b), axes in zip(cases, grid.ravel(), strict=True):
        target = "1" if b == 0 else f"i^{{-{b}}}"
        axes.set_title(rf"$\lambda_i = i^{{-{a}}}$,  $w^*_i = {target}$")
        axes.set_xscale("log")
        axes.set_yscale("log")
        axes.set_xticks(TICKS, [f"{n:,}" for n in TICKS])
        axes.xaxis.set_minor_locator(NullLocator())
    for axes in grid[-1]:
        axes.set_xlabel("samples N")
    for axes in grid[:, 0]:
        axes.set_ylabel("excess risk")
    return list(zip(cases, grid.ravel(), strict=True))


def draw(data: Data) -> Figure:
    tuned, origins = data["tuned"], data["origins"]
    cases = [case for case in CASES if column(tuned, "risk", a=case[0], b=case[1]).size]
    with style():
        figure = new_figure(WIDTH, 4.1 if len(cases) > 3 else 2.6)
        for (a, b), axes in panels(figure, cases):
            for j, name in enumerate(METHODS):
                where = {"a": a, "b": b, "method": name}
                x, y = column(tuned, "steps", **where), column(tuned, "risk", **where)
                axes.plot(x, y, color=PALETTE[j], linestyle=DASHES[j], label=name)
                x, y = column(origins, "steps", **where), column(origins, "reference", **where)
                axes.plot(x, y, marker="o", markersize=4, markerfacecolor="none", color=PALETTE[j], linestyle="")
        handles, labels = figure.axes[0].get_legend_handles_labels()
        mark = figure.axes[0].plot([], [], marker="o", markersize=4, markerfacecolor="none", color="0.3", linestyle="")
        figure.legend([*handles, *mark], [*labels, "reference"], loc="outside lower center", ncols=6)
    return figure


def claims(data: Data) -> list[Claim]:
    origins, tuned = data["origins"], data["tuned"]
    given = column(origins, "reference")
    low, high = column(origins, "lowest") - 0.55 * DIGIT, column(origins, "highest") + 0.55 * DIGIT
    inside = (given >= low) & (given <= high)
    names = [
        f"{m} at i^-{a}, w* = i^-{b}, N = {n}: {r:.4f} against {lo:.4f} .. {hi:.4f}"
        for a, b, n, m, r, lo, hi, _, ok in zip(*(np.asarray(v) for v in origins.values()), inside, strict=True)
        if not ok
    ]
    whole, tail = (_values(tuned, name) for name in METHODS[:2])
    head = {b: (whole[b] / tail[b]).min() for b in whole if b[1] == 10}
    fine = column(origins, "highest_fine") + 0.55 * DIGIT
    ema = np.asarray(origins["method"]) == "EMA"
    width = np.median(column(origins, "highest_fine") / column(origins, "lowest") - 1.0) if given.size else np.nan
    return [
        Claim(
            "With the signal in the first directions, tail averaging forgets the start that iterate averaging keeps",
            "section 5 (tail averaging), figure 2, w* = i^-10",
            "risk of the iterate average / tail average > 1 at every N",
            "at least " + ", ".join(f"{ratio:.2f} (i^-{a})" for (a, _), ratio in head.items()),
            bool(head) and all(ratio > 1.0 for ratio in head.values()),
            paper="tail averaging below iterate averaging",
            chosen="grid of the learning rates, which are tuned for each method and N",
            reason="iterate averaging is as good",
        ),
        Claim(
            "The numbers of a table made apart come back, to their four digits",
            "recursion of second moments, learning rates tuned on a sqrt(2) grid of unknown origin (EMA: of 2)",
            "60 of 60 within what grids of another origin give",
            f"{int(inside.sum())} of {inside.size}; EMA on a grid of sqrt(2): {int((given <= fine)[ema].sum())} of "
            f"{int(ema.sum())}; grids differ by {width:.1%} (median)",
            bool(inside.size and inside.all()),
            reason=f"outside: {'; '.join(names) or 'nothing to compare at this scale'}",
            own=True,
        ),
    ]


def _values(tuned: Table, name: str) -> dict[tuple[int, int], FloatArray]:
    out = {(a, b): column(tuned, "risk", a=a, b=b, method=name) for a, b in CASES}
    return {case: values for case, values in out.items() if values.size}


FIGURES = [
    Reproduction(
        id="zou2023-fig2",
        title="Five ways to end a run of SGD, on six problems",
        paper="Zou, Wu, Braverman, Gu and Kakade 2021/2023 (arXiv 2103.12692)",
        year=2023,
        setting=(
            "Gaussian linear regression, d = 200, eigenvalues i^-1 and i^-2, targets w* = 1, i^-1 and i^-10, noise "
            "variance 1, one sample a step, up to N = 5,000 of them. Exact expected excess risk (with the 1/2) of SGD "
            "with the average of all iterates, of the last N/2, the last iterate, the last iterate under geometric "
            "decay from N/2 on, and an EMA with 1 - alpha = c/N, c in {2, 4, 8, 16, 32}; learning rates tuned."
        ),
        compute=compute,
        draw=draw,
        claims=claims,
        chosen=(
            "w_0 = 0",
            "learning rates tuned on a sqrt(2) grid below the stability threshold (the paper tunes, but gives no grid)",
            "the paper's least squares and ridge regression are left out: they are no runs of SGD",
        ),
        seconds=12.0,
    )
]
