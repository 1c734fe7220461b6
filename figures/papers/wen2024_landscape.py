"""Wen et al. 2024 (arXiv 2410.05192): trajectories in a curved valley, and the ensembles they come from."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr
from simlab.figures.columns import first, stack
from simlab.figures.papers.wen2024 import PAPER
from simlab.figures.reproduction import Claim, Data, Reproduction, Scale, column
from simlab.theory.wen2024 import river_hills_stationary

from simlab import methods, river, schedules
from simlab.engines.descend import descend
from simlab.plot import WIDTH, new_figure, style
from simlab.plot.terrain import ACROSS, ALONG, RUNS, box_of, draw_terrain, line_of
from simlab.showcase.valley import Wandering, wander

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from simlab.river import Landscape

__all__ = ["FIGURES"]

SLOPES = (0.05, 0.1, 0.15, 0.2, 0.3)
SHOWN = 0.1
NAMES = {"cosine": "cosine", "WSD, 20 % cooldown": "WSD 20 %", "constant": "constant"}
ASSUMED = "a curved valley in two dimensions with additive noise for the loss of a language model"


def compute(scale: Scale) -> Data:
    """One landscape for all: paths of 150 replicas, means over many more, and the means by the slope of the river."""
    replicas, shown, others = {"tiny": (64, 16, 32), "quick": (4096, 150, 1024), "full": (65_536, 150, 16_384)}[scale]
    seen = wander(replicas=shown)
    runs = {NAMES[name]: schedules.from_array(rates) for name, rates in seen.rates.items()}
    numbers = dict(zip(NUMBERS, seen.landscape.params.tolist(), strict=True))
    means, slopes = [], []
    for slope in SLOPES:
        landscape = river.curved(start=seen.landscape.start, **{**numbers, "slope": slope})
        count = replicas if slope == SHOWN else others
        trace = descend(
            landscape,
            {name: methods.sgd(schedule) for name, schedule in runs.items()},
            replicas=count,
            noise=river.noise.diagonal([0.0, NOISE]),
            record=np.arange(0, STEPS + 1, 24),
            progress=False,
        )
        if slope == SHOWN:
            means = [_means(trace, name, count) for name in runs]
        slopes.append(_order(trace, slope))
    straight = float(river_hills_stationary([numbers["lam"]], NOISE**2, PEAK)[0])
    return {
        "means": stack(means),
        "slopes": stack(slopes),
        "straight": {"hill": [straight]},
        **_scene(seen, numbers),
    }


STEPS, PEAK, NOISE = 1200, 0.1, 3.0
DECAY = round(0.8 * STEPS)
NUMBERS = ("slope", "mu", "target", "lam", "amplitude", "wavenumber")


def _means(trace: xr.Dataset, name: str, replicas: int) -> dict[str, Any]:
    row: dict[str, Any] = {"run": name, "step": trace["step"].values, "replicas": replicas}
    own = trace.sel(run=name)
    quantities = {"loss": "total", "river": "river_loss", "hill": "hill_loss", "coordinate": "river"}
    for key, quantity in quantities.items():
        row[key], row[f"{key}_error"] = own[quantity].values, own[f"{quantity}_error"].values
    return row


def _order(trace: xr.Dataset, slope: float) -> dict[str, Any]:
    """WSD less cosine: at half time, at the end, and the step from which on WSD is not above."""
    loss = trace["total"]
    gap = (loss.sel(run="WSD 20 %") - loss.sel(run="cosine")).values
    step = trace["step"].values
    above = np.flatnonzero(gap > 0.0)
    crossing = step[min(above[-1] + 1, step.size - 1)] if above.size else 0
    return {"slope": slope, "half": gap[step == STEPS // 2], "end": gap[-1], "crossing": crossing}


def _scene(seen: Wandering, numbers: dict[str, float]) -> Data:
    """One path of each run, where the others end, the river and the landscape."""
    x, y = seen.landscape.start
    clouds = {NAMES[name]: cloud for name, cloud in seen.clouds.items()}
    paths = [
        {"run": name, "step": np.arange(cloud.shape[0]), "x": cloud[:, 0, 0], "y": cloud[:, 0, 1]}
        for name, cloud in clouds.items()
    ]
    ends = [
        {"run": name, "replica": np.arange(cloud.shape[1]), "x": cloud[-1, :, 0], "y": cloud[-1, :, 1]}
        for name, cloud in clouds.items()
    ]
    ground = {name: [value] for name, value in numbers.items()} | {"start_x": [x], "start_y": [y]}
    curve = {"x": seen.river[:, 0], "y": seen.river[:, 1]}
    return {"valley": ground, "paths": stack(paths), "ends": stack(ends), "river": curve}


CAP = 2.0 / (8.0 * (1.0 + 0.5**2))
"""2 / lam_max where the river is steepest."""


def _landscape(data: Data) -> Landscape:
    numbers = {name: float(np.asarray(values)[0]) for name, values in data["valley"].items()}
    start = [numbers.pop("start_x"), numbers.pop("start_y")]
    return river.curved(start=start, **numbers)


def draw(data: Data) -> Figure:
    paths, means = data["paths"], data["means"]
    landscape = _landscape(data)
    floor = np.stack([column(data["river"], "x"), column(data["river"], "y")], axis=1)
    tracks = {
        name: np.stack([column(paths, "x", run=name), column(paths, "y", run=name)], axis=1)
        for name in first(paths["run"])
    }
    box = box_of(tracks, floor)
    with style():
        figure = new_figure(WIDTH, 5.2)
        top, bottom = figure.subfigures(2, 1, squeeze=False, height_ratios=[2.0, 1.15])[:, 0]
        panels = top.subplots(3, 1, sharex=True)
        for j, (axes, (name, path)) in enumerate(zip(panels, tracks.items(), strict=True)):
            shade = draw_terrain(axes, landscape, floor, box)
            axes.plot(*path.T, color=RUNS[j], lw=0.5, alpha=0.9, zorder=3)
            at = (column(data["ends"], key, run=name) for key in ("x", "y"))
            axes.plot(*at, ".", color=RUNS[j], ms=3.2, mec="none", alpha=0.9, zorder=4)
            axes.plot(*landscape.start, "s", color="black", ms=4.5, mec="white", mew=0.8, zorder=6)
            axes.plot(*path[-1], "o", color=RUNS[j], ms=6, mec="white", mew=0.9, zorder=6)
            axes.set_title(f"({'abc'[j]}) {name}", loc="left", color=RUNS[j], fontweight="bold", pad=3)
            axes.set_ylabel(ACROSS)
        panels[-1].set_xlabel(ALONG)
        bar = top.colorbar(shade, ax=list(panels), label="loss above the valley floor", pad=0.01, aspect=30)
        bar.set_ticks([level for level in (0.0, 0.3, 1.0, 3.0, 10.0, 30.0) if level <= shade.levels[-1]])
        bar.ax.minorticks_off()
        for axes, tag, key in zip(bottom.subplots(1, 3), "def", ("loss", "coordinate", "hill"), strict=True):
            for j, name in enumerate(first(means["run"])):
                step, mean, error = (column(means, part, run=name) for part in ("step", key, f"{key}_error"))
                axes.plot(step, mean, label=name, **line_of(j))
                axes.fill_between(step, mean - 2 * error, mean + 2 * error, color=RUNS[j], alpha=0.25, lw=0)
            titles = {"loss": "mean loss", "coordinate": "mean river coordinate x", "hill": "mean hill loss"}
            axes.set(title=f"({tag}) {titles[key]}", xlabel="step", xlim=(0, STEPS))
            if key == "hill":
                axes.axhline(float(np.asarray(data["straight"]["hill"])[0]), color="0.4", lw=0.8, ls=":")
                axes.text(STEPS, 0.48, "dotted: stationary, straight valley", fontsize=6, color="0.35", ha="right")
                axes.set_ylim(0.0, 0.52)
            if key == "loss":
                axes.axvspan(DECAY, STEPS, color="0.92", lw=0, zorder=0)
                axes.set_ylim(-1.2, 0.6)
                axes.legend()
    return figure


def _at(data: Data, run: str, key: str, step: int = STEPS) -> float:
    return float(column(data["means"], key, run=run, step=step)[0])


def claims(data: Data) -> list[Claim]:
    stable = column(data["means"], "hill", run="constant")[15:]
    straight = float(np.asarray(data["straight"]["hill"])[0])
    runs = ("constant", "WSD 20 %", "cosine")
    x = [_at(data, run, "coordinate") for run in runs]
    hill = {run: _at(data, run, "hill", STEPS // 2) for run in runs}
    loss = {run: (_at(data, run, "loss", STEPS // 2), _at(data, run, "loss")) for run in runs}
    capped = f"one peak {PEAK:g} for both, below the cap 2/lam_max = {CAP:g}"
    crossing = int(column(data["slopes"], "crossing", slope=SHOWN)[0])
    return [
        Claim(
            "a high rate hops across the river and travels further along it",
            "theorems on the stable phase and the decay (2.2 to 2.4)",
            "constant further than WSD, WSD further than cosine; hill loss of WSD above cosine's at half time",
            f"x = {', '.join(f'{value:.2f}' for value in x)}; {hill['WSD 20 %']:.3f} against {hill['cosine']:.3f}",
            x[0] > x[1] > x[2] and hill["WSD 20 %"] > hill["cosine"],
            "the bends of the river stop what crosses them askew",
            substituted=ASSUMED,
        ),
        Claim(
            "cosine is below WSD at half time and ends above it",
            f"loss curves; {capped}",
            f"lower mean loss at step {STEPS // 2}, higher at the end",
            f"{loss['cosine'][0]:.3f} against {loss['WSD 20 %'][0]:.3f}; "
            f"{loss['cosine'][1]:.3f} against {loss['WSD 20 %'][1]:.3f}",
            loss["cosine"][0] < loss["WSD 20 %"][0] and loss["WSD 20 %"][1] < loss["cosine"][1],
            "one hill holds less than the river has fallen by then",
            paper="the loss remains elevated in the stable phase (abstract)",
            chosen=f"slope of the river {SHOWN:g}, noise {NOISE:g} across it",
            substituted=ASSUMED,
            turns=f"WSD less cosine: {_by_slope(data, 'half', '+.3f')}; at the end {_by_slope(data, 'end', '+.3f')}",
        ),
        Claim(
            "cosine is overtaken in the decay",
            f"loss curves; {capped}",
            f"the curves cross at step {DECAY} or later",
            f"step {crossing}",
            crossing >= DECAY,
            "one hill holds less than the river falls before the decay",
            paper="the loss declines sharply in the decay (abstract)",
            chosen=f"slope of the river {SHOWN:g}, noise {NOISE:g} across it",
            substituted=ASSUMED,
            turns="step of the crossing: " + _by_slope(data, "crossing", ".0f"),
        ),
        Claim(
            "in the stable phase a curved valley holds the hill loss of a straight one",
            "eta c / (2 (2 - eta lam))",
            "mean from step 360 on within 2 %",
            f"{stable.mean():.4f} against {straight:.4f} ({stable.mean() / straight - 1.0:+.1%})",
            abs(stable.mean() / straight - 1.0) <= 0.02,
            "where the river runs askew it pulls back more strongly against the same noise",
            own=True,
        ),
    ]


def _by_slope(data: Data, key: str, form: str) -> str:
    slopes, values = (column(data["slopes"], name) for name in ("slope", key))
    return ", ".join(f"{value:{form}} at slope {slope:g}" for slope, value in zip(slopes, values, strict=True))


FIGURES = [
    Reproduction(
        "wen2024-landscape",
        "Trajectories in a curved river valley",
        PAPER,
        2024,
        "L = -0.1 x + 4 (y - sin(x/2))^2, noise of standard deviation 3 across, 1,200 steps at a peak of 0.1 (cap 0.2):"
        " (a) to (c) one path, and where 150 end; (d) to (f) means over 4,096 seeds (full: 65,536). Slopes of the river"
        " from 0.05 to 0.3 for the turning points.",
        compute,
        draw,
        claims,
        chosen=("the landscape: that of the paper's own pictures is not given", "one peak for all schedules"),
        substituted=(ASSUMED,),
        seconds=4.0,
    ),
]
