"""Filatov, Ebert, Wang and Kesselheim 2024 (arXiv 2410.05838): best rate and critical batch by the horizon."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from simlab.figures.columns import first, stack
from simlab.figures.peaks import best_peaks, critical, final_risks
from simlab.figures.reproduction import Claim, Data, Reproduction, Scale, column

import simlab as sl
from simlab.arrays import FloatArray
from simlab.plot import DASHES, PALETTE, WIDTH, new_figure, style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from simlab.problems.base import DiagonalProblem
    from simlab.schedules import Schedule

__all__ = ["FIGURES"]

PAPER = "Filatov, Ebert, Wang, Kesselheim 2024, arXiv 2410.05838"
CAPACITY = 1.5
TASKS = {"s = 1/6": 1.25, "s = 1/2": 1.75, "s = 1": 2.5}
"""Task -> source exponent; s = (b - 1)/a."""
BATCHES = (1, 4, 16, 64, 256, 1024, 4096)
SHORTEST, LONG = 2, 16
"""Fewest steps of a run, and of those that speak of exponents of the best rate."""
SHAPES: dict[str, Callable[[int, float], Schedule]] = {
    "constant": sl.schedules.constant,
    "linear": sl.schedules.linear,
}
NOISE = 1.0
REGRESSION = "SGD on a regression (power law of capacity 1.5, sigma^2 = 1) in place of the language models"
CHOSEN = "samples for tokens, s in {1/6, 1/2, 1}, constant rate and linear decay"


def compute(scale: Scale) -> Data:
    """best: peak and risk by task, schedule, n and batch; aside: what half the best peak costs at batch 1."""
    sizes = [4**k for k in {"tiny": range(4, 7), "quick": range(4, 8), "full": range(4, 10)}[scale]]
    best, aside = [], []
    for task, source in TASKS.items():
        problem = sl.LinearRegression.power_law(10**6, CAPACITY, source, noise_variance=NOISE).compress(1e-5)
        caps = {batch: critical(problem, batch) for batch in BATCHES[: 3 if scale == "tiny" else None]}
        for name in SHAPES:
            for n in sizes:
                rows = [_tuned(problem, name, n, batch, cap) for batch, cap in caps.items() if n // batch >= SHORTEST]
                best += [{"task": task, "schedule": name, "n": n, **row} for row in rows]
                aside.append({"task": task, "schedule": name, "n": n, **_aside(problem, name, n, rows[0]["peak"])})
    return {"best": stack(best), "aside": stack(aside)}


def _tuned(problem: DiagonalProblem, name: str, n: int, batch: int, cap: float) -> dict[str, Any]:
    (peak,), (risk,) = best_peaks(
        problem, [lambda peak: sl.methods.sgd(SHAPES[name](n // batch, peak), batch=batch)], 2.0 * cap
    )
    return {"batch": batch, "peak": peak, "risk": risk, "cap": cap}


def _aside(problem: DiagonalProblem, name: str, n: int, peak: float) -> dict[str, float]:
    """What log loss and log risk rise by at half the best peak, batch 1."""
    half, best = final_risks(problem, [sl.methods.sgd(SHAPES[name](n, peak * factor)) for factor in (0.5, 1.0)])
    return {"loss": float(np.log((half + 0.5 * NOISE) / (best + 0.5 * NOISE))), "risk": float(np.log(half / best))}


def _series(data: Data, key: str, task: str, schedule: str, batch: int) -> FloatArray:
    return column(data["best"], key, task=task, schedule=schedule, batch=batch)


def _slope(data: Data, task: str, schedule: str, batch: int) -> float:
    """Exponent of the best peak in the horizon; NaN of fewer than three lengths."""
    n, peak = (_series(data, key, task, schedule, batch) for key in ("n", "peak"))
    long = n >= LONG * batch
    return float(np.polyfit(np.log(n[long]), np.log(peak[long]), 1)[0]) if long.sum() >= 3 else np.nan


def _slopes(data: Data) -> dict[tuple[str, str, int], float]:
    keys = [(task, name, batch) for task in TASKS for name in SHAPES for batch in BATCHES]
    return {key: value for key in keys if np.isfinite(value := _slope(data, *key))}


def _critical(data: Data, task: str, schedule: str) -> tuple[FloatArray, FloatArray]:
    """n, and the batch that takes twice the samples to reach what batch 1 reaches with n; NaN beyond the grid."""
    sizes, least = (_series(data, key, task, schedule, 1) for key in ("n", "risk"))
    found = []
    for n, target in zip(sizes, least, strict=True):
        batches, short = [], []
        for batch in BATCHES:
            known, risk = (_series(data, key, task, schedule, batch) for key in ("n", "risk"))
            if known.size and known[0] <= 2 * n <= known[-1]:
                batches.append(np.log(batch))
                short.append(np.interp(np.log(2 * n), np.log(known), np.log(risk)) - np.log(target))
        over = np.flatnonzero(np.array(short) > 0.0)
        if over.size and over[0] > 0:
            i = int(over[0])
            part = -short[i - 1] / (short[i] - short[i - 1])
            found.append(np.exp(batches[i - 1] + part * (batches[i] - batches[i - 1])))
        else:
            found.append(np.nan)
    return sizes, np.array(found)


def _growth(data: Data, task: str) -> float:
    """Exponent of the critical batch in n under linear decay; NaN where fewer than two are known."""
    n, batch = _critical(data, task, "linear")
    known = np.isfinite(batch)
    return float(np.polyfit(np.log(n[known]), np.log(batch[known]), 1)[0]) if known.sum() >= 2 else np.nan


def draw(data: Data) -> Figure:
    with style():
        figure = new_figure(WIDTH, 4.6)
        panels = figure.subplots(2, 3)
        for i, task in enumerate(TASKS):
            _horizons(panels[0, i], data, task, "abc"[i])
        _batches(panels[1, 0], data)
        _sensitivity(panels[1, 1], data, "loss", "e")
        _sensitivity(panels[1, 2], data, "risk", "f")
        handles, names = panels[0, 2].get_legend_handles_labels()
        figure.legend(handles, names, loc="outside upper left", ncols=len(BATCHES), title="linear decay, batch")
        handles, names = panels[1, 0].get_legend_handles_labels()
        figure.legend(handles, names, loc="outside lower left", ncols=len(TASKS) + 1)
    return figure


def _horizons(axes: Axes, data: Data, task: str, tag: str) -> None:
    for i, batch in enumerate(BATCHES):
        n, peak = (_series(data, key, task, "linear", batch) for key in ("n", "peak"))
        if n.size:
            axes.plot(
                n, peak, marker="os^Dvx*"[i], ms=3, color=PALETTE[i], ls=DASHES[i % len(DASHES)], label=f"{batch}"
            )
    axes.set(xscale="log", yscale="log", xlabel="samples n", ylabel="best peak", title=f"({tag}) {task}")


def _batches(axes: Axes, data: Data) -> None:
    for i, task in enumerate(TASKS):
        n, batch = _critical(data, task, "linear")
        axes.plot(n, batch, marker="os^"[i], ms=3, color=PALETTE[i], ls=DASHES[i], label=task)
    n = np.array(first(data["best"]["n"]), dtype=float)
    axes.plot(n, n / n[0], color="0.6", lw=0.8, label="slope 1")
    axes.set(xscale="log", yscale="log", xlabel="samples n", ylabel="critical batch", title="(d) twice the samples")


def _sensitivity(axes: Axes, data: Data, name: str, tag: str) -> None:
    for i, task in enumerate(TASKS):
        n, value = (column(data["aside"], key, task=task, schedule="linear") for key in ("n", name))
        axes.plot(n, value, marker="os^"[i], ms=3, color=PALETTE[i], ls=DASHES[i])
    axes.set(xscale="log", xlabel="samples n", ylabel=f"log {name}, rise at half the peak")
    axes.set_title(f"({tag}) sensitivity of the {name}")


def claims(data: Data) -> list[Claim]:
    given: dict[str, Any] = {"chosen": CHOSEN, "substituted": REGRESSION}
    return [*_regimes(data, given), *_batch_claims(data, given), _sensitive(data, given)]


def _named(key: tuple[str, str, int], slope: float) -> str:
    return f"{slope:+.2f} ({key[0]}, {key[1]}, B = {key[2]})"


def _regimes(data: Data, given: dict[str, Any]) -> list[Claim]:
    slopes = _slopes(data)
    up = max(slopes, key=lambda key: slopes[key])
    middle = {batch: slope for (*at, batch), slope in slopes.items() if at == ["s = 1/2", "linear"]}
    flat = [batch for batch, slope in middle.items() if abs(slope) <= 0.05]
    near = min(slopes, key=lambda key: abs(slopes[key] + 0.5))
    return [
        Claim(
            "one regime: the best rate grows like the root of the horizon",
            "abstract, first version",
            "an exponent of at least 0.4 in some task, schedule and batch",
            f"largest {_named(up, slopes[up])} of {len(slopes)}",
            slopes[up] >= 0.4,
            "on a regression a longer run never wants a much higher rate: bias asks for a sum of rates, which grows by"
            " itself",
            paper="sqrt(T)",
            **given,
        ),
        Claim(
            "one regime: the best rate does not depend on the horizon",
            "abstract, first version",
            "s = 1/2, linear decay: an exponent within 0.05 of 0 at some batch, below -0.1 at batch 1",
            ", ".join(f"B = {batch}: {slope:+.2f}" for batch, slope in middle.items()),
            bool(flat) and middle[1] < -0.1,
            "every batch of the grid is small",
            paper="constant",
            turns="flat where the largest stable rate holds the best peak",
            **given,
        ),
        Claim(
            "one regime: the best rate falls like one over the root of the horizon",
            "abstract, first version",
            "an exponent within 0.05 of -1/2 in some task, schedule and batch",
            _named(near, slopes[near]),
            abs(slopes[near] + 0.5) <= 0.05,
            "no task of the three is easy enough",
            paper="1/sqrt(T)",
            turns="-s/(1 + s) of a constant rate is -1/2 at s = 1; under linear decay "
            + ", ".join(f"{slopes.get((t, 'linear', 1), np.nan):+.2f} ({t})" for t in TASKS),
            **given,
        ),
    ]


def _batch_claims(data: Data, given: dict[str, Any]) -> list[Claim]:
    slopes = {
        batch: slope for (task, name, batch), slope in _slopes(data).items() if (task, name) == ("s = 1", "linear")
    }
    small, large = min(slopes, default=1), max(slopes, default=1)
    growth = {task: _growth(data, task) for task in TASKS}
    spoken = ", ".join(f"{value:.2f} ({task})" for task, value in growth.items() if np.isfinite(value))
    known = [value for value in growth.values() if np.isfinite(value)]
    batches = _critical(data, "s = 1", "linear")[1]
    return [
        Claim(
            "the batch switches between the regimes",
            "abstract, first version",
            "s = 1, linear decay: exponent below -0.35 at the smallest batch, at least 0.15 above that at the largest",
            ", ".join(f"B = {batch}: {slope:+.2f}" for batch, slope in slopes.items()),
            bool(slopes) and slopes[small] < -0.35 and slopes[large] >= slopes[small] + 0.15,
            "no batch of the grid reaches the largest stable rate",
            paper="by the batch against a critical one",
            **given,
        ),
        Claim(
            "the critical batch grows with the horizon",
            "abstract",
            "s = 1: the batch that takes twice the samples of batch 1 rises with n, with an exponent above 0.2",
            spoken or "beyond the grid in every task",
            bool(growth["s = 1"] > 0.2),
            "the grid is too small to see it",
            paper="grows with the horizon",
            turns="it is the inverse of the best peak over the batch: hardly grows in hard tasks; s = 1: B = "
            + ", ".join(f"{batch:.0f}" for batch in batches if np.isfinite(batch)),
            **given,
        ),
        Claim(
            "the critical batch is proportional to the horizon",
            "abstract",
            "exponent within 0.1 of 1, some task",
            spoken or "beyond the grid in every task",
            any(abs(value - 1.0) <= 0.1 for value in known),
            "it goes as the inverse of the best peak over the batch, a power of n below one",
            paper="exponent 1",
            **given,
        ),
    ]


def _sensitive(data: Data, given: dict[str, Any]) -> Claim:
    rise = {
        (name, task): column(data["aside"], name, task=task, schedule="linear")
        for name in ("loss", "risk")
        for task in TASKS
    }
    ratio = {key: float(value[-1] / value[0]) for key, value in rise.items()}
    return Claim(
        "the loss is the less sensitive to the rate the longer the horizon",
        "abstract",
        "rise of log loss at half the best peak, batch 1, linear decay: positive, and at the longest at most half of"
        " that at the shortest, s >= 1/2",
        ", ".join(f"x {ratio['loss', task]:.2f} ({task})" for task in TASKS),
        all(ratio["loss", task] <= 0.5 and rise["loss", task].min() > 0.0 for task in list(TASKS)[1:]),
        "what can be lost is still most of the loss",
        paper="sensitivity falls with the horizon",
        turns="of the excess risk alone: " + ", ".join(f"x {ratio['risk', task]:.2f} ({task})" for task in TASKS),
        **given,
    )


FIGURES = [
    Reproduction(
        "filatov2024-horizon",
        "Best rate, critical batch and sensitivity by the horizon",
        PAPER,
        2024,
        "SGD on power laws of a million modes (capacity 1.5, s = 1/6, 1/2, 1, sigma^2 = 1), batches 1 .. 4,096, 256 .."
        " 16,384 samples (full: to 262,144), at least 2 steps; constant rate and linear decay (drawn), best peaks by"
        " the exact engine. Critical batch: twice the samples of batch 1 for its risk.",
        compute,
        draw,
        claims,
        chosen=(CHOSEN,),
        substituted=(REGRESSION,),
        seconds=4.0,
    )
]
