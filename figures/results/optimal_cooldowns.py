"""How long the best cooldown is, and which shape it has, over capacity, source and noise."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from simlab.figures.columns import first, stack
from simlab.figures.peaks import final_risks
from simlab.figures.reproduction import Claim, Data, Reproduction, Scale, column
from simlab.figures.results.optima import power_law, tuned

import simlab as sl
from simlab.plot import WIDTH, new_figure, style

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["FIGURES"]

SHAPES = {"linear": "1-u", "1-sqrt": "1-\N{SQUARE ROOT}u", "cosine": "cos", "square": "1-u\N{SUPERSCRIPT TWO}"}
"""Shapes of a cooldown, and what they are called in the picture."""
NOISES = (1.0, 0.01)
OVER = ("peak", "cooldown")


def compute(scale: Scale) -> Data:
    """wsd: for every problem and shape the best peak and cooldown, and the risk above the optimum's."""
    steps = {"tiny": 50, "quick": 1_000, "full": 10_000}[scale]
    capacities = {"tiny": (2.0,), "quick": (1.5, 3.0), "full": (1.2, 1.5, 2.0, 2.5, 3.0)}[scale]
    sources = {"tiny": (1.6,), "quick": (1.2, 1.6, 2.5), "full": (1.2, 1.4, 1.6, 2.0, 2.5, 3.0)}[scale]
    found = []
    for noise in NOISES:
        for capacity in capacities:
            for source in sources:
                problem = power_law(capacity, source, noise)
                least = sl.optimize(problem, steps).risk
                best = [tuned(problem, "wsd", steps, over=OVER, given={"shape": shape}) for shape in SHAPES]
                risk = final_risks(problem, [each.method for each in best])
                at = {"noise": noise, "capacity": capacity, "source": source, "shape": list(SHAPES)}
                cooldown = [each.parameters["cooldown"] for each in best]
                found.append({**at, "cooldown": cooldown, "regret": risk / least - 1.0})
    return {"wsd": stack(found)}


def _grid(data: Data, noise: float, name: str, shape: str) -> Any:
    """A column at one noise and shape, by capacity (rows) and source."""
    table = data["wsd"]
    count = len(first(table["capacity"]))
    return column(table, name, noise=noise, shape=shape).reshape(count, -1)


def _winners(data: Data, noise: float) -> Any:
    """Which shape is best, by capacity and source."""
    return np.argmin([_grid(data, noise, "regret", shape) for shape in SHAPES], axis=0)


def draw(data: Data) -> Figure:
    capacities, sources = (first(data["wsd"][name]) for name in ("capacity", "source"))
    with style():
        figure = new_figure(WIDTH, 1.1 + 0.42 * len(capacities))
        panels = figure.subplots(1, 2, sharey=True)
        for axes, noise in zip(panels, NOISES, strict=True):
            cooldown, best = _grid(data, noise, "cooldown", "linear"), _winners(data, noise)
            image = axes.imshow(cooldown, cmap="cividis", vmin=0.0, vmax=1.0, aspect="auto", origin="lower")
            for i, capacity in enumerate(capacities):
                for j, source in enumerate(sources):
                    word = list(SHAPES.values())[best[i, j]]
                    dark = "white" if cooldown[i, j] < 0.6 else "black"
                    mark = "*" if source > capacity else ""
                    axes.text(
                        j, i, f"{cooldown[i, j]:.2f}{mark}\n{word}", ha="center", va="center", color=dark, fontsize=7
                    )
            axes.set_title(f"({'ab'[noise < 1]}) noise variance {noise:g}")
            axes.set_xticks(range(len(sources)), [f"{source:g}" for source in sources])
            axes.set_yticks(range(len(capacities)), [f"{capacity:g}" for capacity in capacities])
            axes.grid(visible=False)
        panels[0].set_ylabel("capacity")
        figure.colorbar(image, ax=list(panels), label="best linear cooldown / run")
        figure.supxlabel(
            "source (in a cell: the best linear cooldown, and the best of four shapes; *: easy)", fontsize=8
        )
    return figure


def claims(data: Data) -> list[Claim]:
    table = data["wsd"]
    noisy, quiet = (_grid(data, noise, "cooldown", "linear") for noise in NOISES)
    easy = _grid(data, 1.0, "source", "linear") > _grid(data, 1.0, "capacity", "linear")
    best = {noise: _winners(data, noise) for noise in NOISES}
    names = list(SHAPES)
    lost = {noise: np.min([_grid(data, noise, "regret", shape) for shape in SHAPES], axis=0) for noise in NOISES}
    root = [
        f"{c:g}, {s:g}"
        for c, s in zip(
            *(
                column(table, key, noise=1.0, shape="linear")[best[1.0].ravel() == names.index("1-sqrt")]
                for key in ("capacity", "source")
            ),
            strict=True,
        )
    ]
    seen = {names[k]: int(sum((best[noise] == k).sum() for noise in NOISES)) for k in range(len(names))}
    hard_quiet = lost[0.01][~easy]
    return [
        Claim(
            "less noise, shorter cooldown: at every capacity and source the best linear one is shorter at noise 0.01",
            "wsd, peak and cooldown tuned by exact gradients; every problem by itself",
            "shorter on every one of them",
            f"shares of the run: {quiet.min():.2f} to {quiet.max():.2f} at noise 0.01, {noisy.min():.2f} to "
            f"{noisy.max():.2f} at 1",
            bool(np.all(quiet < noisy)),
            own=True,
        ),
        Claim(
            "where the problem is easy and noisy there is no plateau to speak of",
            "the same; easy: source > capacity (Li et al. 2025, arXiv 2509.19189)",
            "the best linear cooldown takes at least 80 % of the run on easy problems at noise 1",
            f"at least {noisy[easy].min(initial=1.0):.0%} there, at least {noisy.min():.0%} on the others",
            bool(easy.any() and np.all(noisy[easy] >= 0.8)),
            "no problem of these is easy",
            own=True,
        ),
        Claim(
            "at low noise and hard, WSD with its best shape and length is within 2.5 % of the optimum",
            "the best of four shapes, each at its best peak and cooldown, over the certified optimum",
            "at most 2.5 % above, on every hard problem at noise 0.01",
            f"{100 * hard_quiet.min():.2f} to {100 * hard_quiet.max():.2f} %; easy or noisy up to "
            f"{100 * max(lost[0.01].max(), lost[1.0].max()):.1f} %",
            bool(np.all(hard_quiet <= 0.025) and np.all(hard_quiet >= 0.0)),
            own=True,
        ),
        Claim(
            "at noise 0.01 a 1-sqrt cooldown is never the best of four shapes where the problem is hard",
            "against linear, cosine and square, each at its best peak and cooldown (Hägele et al. 2024, arXiv "
            "2405.18392, found 1-sqrt ahead of linear in training runs)",
            "another shape has the least risk on every problem with source <= capacity",
            f"best: {', '.join(f'{name} on {count}' for name, count in seen.items())} of both noises",
            not bool(np.any((best[0.01] == names.index("1-sqrt")) & ~easy)),
            turns=f"at noise 1 it is the best at capacity, source = {'; '.join(root) or 'none of these'}",
            own=True,
        ),
        Claim(
            "no shape is the best everywhere: each of the four is somewhere",
            "the same",
            "every shape has the least risk on at least one problem",
            ", ".join(f"{name} {count}" for name, count in seen.items()),
            min(seen.values()) >= 1,
            "too few problems",
            own=True,
        ),
    ]


FIGURES = [
    Reproduction(
        "results-cooldowns",
        "Length and shape of the best cooldown over capacity, source and noise",
        "This project",
        2026,
        "SGD on power laws of 10^8 modes, batch 1, 1,000 steps (full: 10,000); WSD without warmup, peak and cooldown "
        "tuned for each of four shapes. Not shown: longer runs, in which hard problems want ever shorter cooldowns, "
        "and what a warmup would add to WSD (up to some percent on easy problems at low noise).",
        compute,
        draw,
        claims,
        seconds=5.0,
    )
]
