"""Figures of a sweep: the answer over one parameter or two, and what the best cells are made of."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from simlab.arrays import FloatArray
from simlab.errors import InputError, brief
from simlab.plot import DASHES, PALETTE, WIDTH, new_figure, style
from simlab.plot.canvas import plain_log
from simlab.plot.words import literal
from simlab.sweeps.answer.best import Along, Answer, Best

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["heat_map", "lines"]


MOST_LINES = 12
NAMES = {
    "schedule.peak": "peak learning rate",
    "schedule.steps": "steps",
    "method.batch": "batch size",
    "problem.noise_variance": "noise variance",
    "problem.capacity": "capacity exponent",
    "problem.source": "source exponent",
    "problem.amplitude": "amplitude",
    "problem.noise": "noise",
    "problem.slope": "slope",
    "schedule.kind": "schedule",
}


def lines(answer: Answer, x: str | None = None) -> Figure:
    """Lowest risk over `x` (default: the peak learning rate), a line for each schedule, a panel for each problem.

    Below, what the best of each is made of, by eigen-subspace: bias filled, variance hatched; of a valley, river and
    hills. Over all parameters but x and those of the groups the lowest value is taken. A star marks the best; a line
    ends where runs diverge, and bars are standard errors of averaged repeats. Where x is a word there are no lines, but
    points above the words.
    """
    along = answer.along(answer.default_x() if x is None else x)
    found = answer.best()
    if not found:
        raise InputError("no cell of the sweep is finished with a finite risk; there is nothing to draw.")
    problems = [name for name in answer.groups if answer.on_problem(name) and name != along.name]
    compared = [name for name in answer.groups if name not in problems and name != along.name]
    lowest, error = answer.over([*problems, *compared, along.name])
    panels = list(np.ndindex(*lowest.shape[: len(problems)]))
    kinds = list(np.ndindex(*lowest.shape[len(problems) : -1]))
    if len(kinds) > MOST_LINES or len(panels) > 6:
        raise InputError(
            f"{len(kinds)} lines in {len(panels)} panels are too many to read; choose some with --where, or draw a map."
        )
    with style():
        # Wider than a page rather than illegible.
        figure = new_figure(WIDTH * max(1.0, len(panels) / 3.0), 4.4)
        grid = figure.add_gridspec(2, len(panels), height_ratios=[2.2, 1.0 + 0.12 * len(kinds)])
        tops: list[Axes] = []
        for column, panel in enumerate(panels):
            top = figure.add_subplot(grid[0, column], sharex=tops[0] if tops else None)
            tops.append(top)
            for j, kind in enumerate(kinds):
                at = (*panel, *kind)
                _line(top, along, lowest[at], error[at], j, _names(answer, compared, kind))
            ends = [lowest[panel] + part for part in _spread(lowest[panel], error[panel])]
            heights = np.concatenate(ends, axis=-1).reshape(len(kinds), -1)
            _scales(top, along, heights, linear=answer.differences)
            top.set_title(_names(answer, problems, panel, long=True))
            top.set_xlabel(NAMES.get(along.path, literal(along.path)))
            bars = figure.add_subplot(grid[1, column])
            here = [best for best in found if all(best.where[d] == i for d, i in zip(problems, panel, strict=True))]
            here, told = _shown(answer, here, compared, along)
            answer.family.bars(bars, [answer.cell(best) for best in here])
            _rows(bars, [_best_name(answer, best, told) for best in here], column == 0)
        tops[0].set_ylabel(answer.family.unit)
        _legends(figure, answer, tops[0], len(kinds) > 1)
    return figure


def _shown(answer: Answer, found: list[Best], compared: list[str], along: Along) -> tuple[list[Best], list[str]]:
    """(the best of which the parts are drawn, what tells them apart): along x as well, where it is a word, if few."""
    if along.name not in answer.groups:
        return found, compared
    if len(found) <= MOST_LINES:
        return found, [*compared, along.name]
    lowest: dict[tuple[int, ...], Best] = {}
    for best in found:
        key = tuple(best.where[name] for name in compared)
        if key not in lowest or best.risk < lowest[key].risk:
            lowest[key] = best
    return list(lowest.values()), compared


def _places(along: Along) -> FloatArray:
    """Where the values of x stand on its axis: words in a row."""
    return along.values.astype(float) if along.numeric else np.arange(along.values.size, dtype=np.float64)


def _spread(risk: FloatArray, error: FloatArray) -> tuple[FloatArray, FloatArray]:
    """(where the bar of a risk begins, where it ends), from it; 0 without an error. Risks stay positive, for logs."""
    reach = np.where(np.isfinite(error), error, 0.0)
    return np.maximum(-reach, np.where(risk > 0.0, -0.9 * risk, -np.inf)), reach


def _line(axes: Axes, along: Along, risk: FloatArray, error: FloatArray, j: int, name: str) -> None:
    values = _places(along)
    order = np.argsort(values)
    shown = order[np.isfinite(risk[order])]
    colour, dashes = PALETTE[j % len(PALETTE)], DASHES[(j // len(PALETTE)) % len(DASHES)] if along.numeric else "none"
    axes.plot(values[shown], risk[shown], color=colour, linestyle=dashes, marker="o", markersize=2.2, label=name)
    spread = shown[np.isfinite(error[shown])]
    if spread.size:
        low, high = (risk[spread] + part for part in _spread(risk[spread], error[spread]))
        axes.vlines(values[spread], low, high, color=colour, linewidth=0.8)
    if shown.size:
        at = shown[np.argmin(risk[shown])]
        axes.plot(
            values[at], risk[at], marker="*", markersize=8, color=colour, markeredgecolor="black", markeredgewidth=0.5
        )


def _scales(axes: Axes, along: Along, risk: FloatArray, linear: bool = False) -> None:
    """Logarithmic axes with few and plain numbers; what is far above the best of every line is cut off.

    linear : for losses, which may be negative, and where the best risk is 0.
    """
    values = _places(along)
    if not along.numeric:
        _word_ticks(axes, along)
    elif np.all(values > 0.0) and values.max() > 8.0 * values.min():
        axes.set_xscale("log")
        plain_log(axes.xaxis, (1.0, 3.0) if values.max() > 30.0 * values.min() else (1.0, 2.0, 5.0))
    finite = risk[np.isfinite(risk)]
    if not finite.size:
        return
    if linear:
        low, high = float(finite.min()), float(np.quantile(finite, 0.9))
        room = 0.08 * (high - low) if high > low else 0.1 * abs(low) + 1e-12
        axes.set_ylim(low - room, high + room)
        return
    axes.set_yscale("log")
    minima = np.fmin.reduce(np.where(np.isfinite(risk), risk, np.nan), axis=1)
    low, high = float(finite.min()), float(finite.max())
    # A line of one point has no height of its own.
    high = max(min(high, 3.0 * float(np.fmax.reduce(minima))), low * (1.0 + 1e-9))
    axes.set_ylim(low * (low / high) ** 0.06, high * (high / low) ** 0.04)
    plain_log(axes.yaxis, (1.0, 2.0, 5.0) if high < 30.0 * low else (1.0,))


def _word_ticks(axes: Axes, along: Along) -> None:
    """Some twelve words below an axis, turned where they would run into each other."""
    at = np.arange(0, along.values.size, -(-along.values.size // 12))
    words = [literal(word) for word in along.values[at]]
    axes.set_xticks(at, words)
    if sum(map(len, words)) > 40:
        axes.tick_params(axis="x", labelrotation=20)
    axes.set_xlim(-0.5, along.values.size - 0.5)


def _rows(axes: Axes, names: list[str], named: bool) -> None:
    axes.set_yticks(range(len(names)), names if named else [""] * len(names))
    axes.tick_params(axis="y", length=0)
    axes.invert_yaxis()
    axes.grid(axis="y", visible=False)


def _legends(figure: Figure, answer: Answer, axes: Axes, several: bool) -> None:
    if several:
        handles, labels = axes.get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside upper center", ncols=min(len(labels), 5))
    figure.legend(**answer.family.legend(answer.data), loc="outside lower center")


def heat_map(answer: Answer, x: str, y: str) -> Figure:
    """Risk over two parameters, the lowest over all others, as multiples of the best, which a star marks; of a valley,
    or where the best is 0, how far it is above that.

    Hatched cells diverged, white ones are not finished.
    """
    from matplotlib.colors import LogNorm, Normalize

    across, up = answer.along(x), answer.along(y)
    if across.name == up.name:
        raise InputError(f"x and y are both {brief(across.name)}; give two parameters.")
    risk, _ = answer.over([up.name, across.name])
    if not np.isfinite(risk).any():
        raise InputError("no cell of the sweep is finished with a finite risk; there is nothing to draw.")
    best = float(np.nanmin(risk))
    with style():
        figure = new_figure(WIDTH * 0.62, 3.3)
        axes = figure.subplots()
        ratio = np.ma.masked_invalid(answer.relative(risk, best))
        high = float(np.clip(ratio.max(), 1.01, 100.0))
        norm: Normalize = LogNorm(1.0, high)
        if answer.differences:
            high = max(float(np.quantile(ratio.compressed(), 0.9)), 1e-12)
            norm = Normalize(0.0, high)
        image = axes.pcolormesh(
            np.arange(risk.shape[1] + 1), np.arange(risk.shape[0] + 1), ratio, cmap="viridis_r", norm=norm
        )
        for i, j in np.argwhere(np.isposinf(risk)):
            axes.add_patch(_hatched(float(j), float(i)))
        i, j = np.unravel_index(int(np.nanargmin(risk)), risk.shape)
        axes.plot(j + 0.5, i + 0.5, marker="*", markersize=11, color="white", markeredgecolor="black")
        for axis, along in ((axes.xaxis, across), (axes.yaxis, up)):
            _ticks(axis, along)
        axes.grid(visible=False)
        bar = figure.colorbar(image, ax=axes, extend="max" if ratio.max() > high else "neither")
        if answer.differences:
            bar.set_label(f"{answer.family.unit} above the best ({best:.3g})")
            return figure
        bar.set_label(f"{answer.family.unit} / best ({best:.3g})")
        ticks = [t for t in (1.0, 1.1, 1.3, 2.0, 3.0, 5.0, 10.0, 30.0, 100.0) if t <= high]
        bar.set_ticks(ticks, labels=[f"{t:g}" for t in ticks])
        bar.minorticks_off()
    return figure


def _hatched(left: float, low: float) -> Any:
    from matplotlib.patches import Rectangle

    return Rectangle((left, low), 1.0, 1.0, facecolor="#eeeeee", edgecolor="#999999", hatch="xxx", linewidth=0.0)


def _ticks(axis: Any, along: Along) -> None:
    """A few labels, equally spaced, at the middle of the cells."""
    size = along.values.size
    at = np.arange(0, size, -(-size // (7 if axis.axis_name == "x" else 14)))
    axis.set_ticks(at + 0.5, labels=[f"{v:.3g}" if along.numeric else literal(v) for v in along.values[at]])
    axis.set_label_text(NAMES.get(along.path, literal(along.path)))


def _names(answer: Answer, dims: list[str], index: tuple[int, ...], long: bool = False) -> str:
    """The labels of a group: values alone, or "parameter value"."""
    parts = []
    for dim, j in zip(dims, index, strict=True):
        for path, value in answer.labels(dim, j).items():
            text = f"{value:.4g}" if isinstance(value, float) else literal(value)
            parts.append(f"{NAMES.get(path, literal(path))} {text}" if long and path != "run" else text)
    return ("\n" if long else ", ").join(parts)


def _best_name(answer: Answer, best: Best, compared: list[str]) -> str:
    return _names(answer, compared, tuple(best.where[dim] for dim in compared)) or "best"
