"""Li, Zhao et al. 2024 (arXiv 2405.14578): surge, the best rate of sign-like methods that rises and falls with B."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from simlab.figures.columns import first, stack
from simlab.figures.peaks import best_of_grid
from simlab.figures.reproduction import Claim, Data, Reproduction, Scale, column
from simlab.figures.results.optima import legend

import simlab as sl
from simlab.arrays import FloatArray
from simlab.plot import DASHES, PALETTE, WIDTH, new_figure, style

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["FIGURES"]

PAPER = "Li, Zhao, et al. 2024, arXiv 2405.14578"
MODEL = "signSGD on a regression in the place of Adam on image and language models"
CASES = {
    "correlated 0.1, error 0.05": (0.1, 0.05),
    "correlated 0.03, error 0.05": (0.03, 0.05),
    "correlated 0.03, error 0.02": (0.03, 0.02),
    "diagonal, error 0.05": (0.0, 0.05),
}
"""Correlation of two features, and error of every weight; noise variance 1."""
WHOLE = "correlated 0.1, error 0.05"
PEAKS = np.geomspace(0.001, 0.04, 8)
BATCHES = (1, 4, 16, 64)
SAMPLES = 512


def problem(dim: int, correlation: float, error: float) -> sl.LinearRegression:
    """H = (1 - rho) I + rho 1 1^T in the weights' own basis, w_0 - w* = error (1, .., 1); noise variance 1."""
    if correlation == 0.0:
        return sl.LinearRegression(np.ones(dim), np.full(dim, error), 1.0).rotated(np.eye(dim))
    values = np.full(dim, 1.0 - correlation)
    values[0] += correlation * dim
    start = np.zeros(dim)
    start[0] = error * dim**0.5
    # The first eigenvector is (1, .., 1) / sqrt(d): a Householder reflection takes e_1 there.
    axis = np.full(dim, -(dim**-0.5))
    axis[0] += 1.0
    basis = np.eye(dim) - 2.0 * np.outer(axis, axis) / (axis @ axis)
    return sl.LinearRegression(values, start, 1.0).rotated(basis)


def _ends(task: sl.LinearRegression, methods: dict[str, Any], replicas: int) -> FloatArray:
    trace = sl.sample(task, methods, replicas=replicas, record=2, seed=7, split=False, progress=False)
    out: FloatArray = trace.total().values[:, -1]
    return out


def best_step(task: sl.LinearRegression, batch: int, replicas: int) -> tuple[float, float]:
    """The rate of one step of signs that leaves the least expected risk, and how far that takes the risk down.

    The risk after a step is a parabola in its rate: two rates with the same draws determine it.
    """
    before, unit = 0.5 * float(task.eigenvalues @ task.initial_error**2), 1e-3
    rates = {f"{k}": sl.methods.sign_sgd(sl.schedules.constant(1, k * unit), batch=batch) for k in (1, 2)}
    one, two = _ends(task, rates, replicas) - before
    curve, slope = 0.5 * (two - 2.0 * one), 0.5 * (4.0 * one - two)
    return float(-0.5 * unit * slope / curve), float(0.25 * slope**2 / curve / before)


def compute(scale: Scale) -> Data:
    """steps: best rate of one step by batch and case; runs: final risk by batch and peak, at fixed steps or samples."""
    dim, largest, draws, replicas = {
        "tiny": (8, 16, 2_048, 8),
        "quick": (60, 256, 16_384, 24),
        "full": (60, 512, 49_152, 48),
    }[scale]
    steps, runs = [], []
    for case, (correlation, error) in CASES.items():
        task = problem(dim, correlation, error)
        for batch in (2**k for k in range(largest.bit_length())):
            rate, gain = best_step(task, batch, max(draws // batch, draws // 32))
            steps.append({"case": case, "batch": batch, "rate": rate, "gain": gain})
    task = problem(dim, *CASES[WHOLE])
    for fixed in ("steps", "samples"):
        for batch in BATCHES[: 2 if scale == "tiny" else None]:
            length = 64 if fixed == "steps" else SAMPLES // batch
            tried = {
                f"{k}": sl.methods.sign_sgd(sl.schedules.linear(length, p), batch=batch) for k, p in enumerate(PEAKS)
            }
            risks = _ends(task, tried, replicas)
            runs.append({"fixed": fixed, "batch": batch, "peak": PEAKS, "risk": risks})
    return {"steps": stack(steps), "runs": stack(runs)}


def _best_peak(data: Data, fixed: str) -> FloatArray:
    """By batch: where a parabola through the least risk and its neighbours has its minimum, in log peak."""
    out = []
    for batch in first(data["runs"]["batch"]):
        peak, risk = (column(data["runs"], name, fixed=fixed, batch=batch) for name in ("peak", "risk"))
        out.append(best_of_grid(peak, risk)[0])
    return np.array(out)


def draw(data: Data) -> Figure:
    table = data["steps"]
    with style():
        figure = new_figure(WIDTH, 2.7)
        panels = figure.subplots(1, 3)
        for colour, dashes, case in zip(PALETTE, DASHES, CASES, strict=False):
            batch, rate = (column(table, name, case=case) for name in ("batch", "rate"))
            panels[0].plot(batch, rate / rate.max(), "o", ls=dashes, ms=3, color=colour, label=case)
        panels[0].set(xscale="log", xlabel="batch", ylabel="best rate of one step / its largest", title="(a)")
        for j, (fixed, marker) in enumerate((("steps", "o"), ("samples", "s"))):
            batches = first(data["runs"]["batch"])
            words = "64 steps" if fixed == "steps" else f"{SAMPLES} samples"
            panels[1].plot(
                batches, _best_peak(data, fixed), marker, ls=DASHES[j], ms=4, color=PALETTE[j + 4], label=words
            )
        panels[1].set(xscale="log", yscale="log", xlabel="batch", ylabel="best peak of the run", title="(b)")
        for colour, batch in zip(PALETTE, batches, strict=False):
            peak, risk = (column(data["runs"], n, fixed="samples", batch=batch) for n in ("peak", "risk"))
            panels[2].plot(peak, risk, "s-", ms=3, color=colour, label=f"batch {batch}")
        panels[2].set(xscale="log", yscale="log", xlabel="peak", ylabel="final risk", title=f"(c) {SAMPLES} samples")
        legend(figure, panels, 4)
    return figure


def claims(data: Data) -> list[Claim]:
    best, top, fall, rise = {}, {}, {}, {}
    for case in CASES:
        batch, rate = (column(data["steps"], name, case=case) for name in ("batch", "rate"))
        best[case], top[case], fall[case] = rate, int(batch[np.argmax(rate)]), float(rate[-1] / rate.max())
        rise[case] = float(np.log(rate[4] / rate[2]) / np.log(batch[4] / batch[2]))
    strong, near, far, plain = CASES
    batches = np.array(first(data["runs"]["batch"]), dtype=float)
    slopes = {
        fixed: float(np.polyfit(np.log(batches), np.log(_best_peak(data, fixed)), 1)[0])
        for fixed in ("steps", "samples")
    }
    shown = "; ".join(f"{case}: peak at {top[case]}, {fall[case]:.2f} of it at the largest" for case in CASES)
    return [
        Claim(
            "the best rate of a step of signs first rises and then falls with the batch",
            "abstract; theorem on the best rate of sign-like updates",
            "a largest rate inside the range of batches, and less than 0.9 of it at the largest batch",
            shown,
            1 < top[strong] < batch[-1] and fall[strong] < 0.9,
            "no fall within the range",
            paper="first rises and then falls as the batch grows",
            substituted=MODEL,
            chosen="features of equal correlation 0.1, equal errors 0.05, noise 1, d = 60",
            turns="no fall by more than 0.02 where features are "
            + (", or ".join(case for case in CASES if fall[case] > 0.98) or "as in none of the cases"),
        ),
        Claim(
            "the peak moves to larger batches as training goes on",
            "abstract",
            "at correlation 0.03: at least twice as far for errors of 0.02 as for 0.05",
            f"from {top[near]} to {top[far]}",
            top[far] >= 2 * top[near],
            "the peak stays",
            paper="the peak gradually moves toward larger batches",
            substituted=MODEL,
            chosen="correlation 0.03",
        ),
        Claim(
            "at small batches it rises like the square root of the batch",
            "2 lr_max / (sqrt(B_noise / B) + sqrt(B / B_noise))",
            "slope 0.5 +- 0.1 from batch 4 to 16 where features are diagonal",
            f"{rise[plain]:.2f} (" + ", ".join(f"{case}: {x:.2f}" for case, x in rise.items() if case != plain) + ")",
            abs(rise[plain] - 0.5) <= 0.1,
            "the step is not dominated by noise",
            substituted=MODEL,
        ),
        Claim(
            "over whole runs the best peak falls with the batch at fixed steps and rises at fixed samples",
            "linear decay, best of eight peaks, correlation 0.1 and errors 0.05",
            "slope of log peak in log batch below -0.1, and 0.5 +- 0.15",
            f"{slopes['steps']:.2f} at fixed steps, {slopes['samples']:.2f} at fixed samples",
            bool(slopes["steps"] < -0.1 and abs(slopes["samples"] - 0.5) <= 0.15),
            "the slopes are others",
            own=True,
        ),
    ]


FIGURES = [
    Reproduction(
        "surge2024-batches",
        "Where the best rate of signSGD rises and falls with the batch",
        PAPER,
        2024,
        "signSGD on regressions of 60 weights, noise 1: features of equal correlation (or none), errors equal in all "
        "weights. (a): the rate of one step of least expected risk, sampled; (b), (c): whole runs of linear decay, 64 "
        "steps or 512 samples, the best of eight peaks, 24 runs each (full: 48).",
        compute,
        draw,
        claims,
        chosen=("the problem", "batches and rates"),
        substituted=(MODEL,),
        seconds=4.0,
    )
]
