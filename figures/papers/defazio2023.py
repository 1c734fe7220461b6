"""Defazio et al. 2023 (arXiv 2310.07831): schedules refined by gradient norms, where warmup comes from.

Written from the algorithm as notes 6 state it; the authors' code is not for shipping and none of it is here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.ndimage import gaussian_filter1d
from simlab.figures.papers.columns import first, stack
from simlab.figures.reproduction import Claim, Data, Reproduction, Scale, column
from simlab.theory.defazio2023 import defazio_refined, defazio_refined_lr, defazio_weighted, linear_decay

import simlab as sl
from simlab.arrays import FloatArray
from simlab.plot import DASHES, PALETTE, WIDTH, new_figure, shades, style

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PAPER = "Defazio, Cutkosky, Mehta, Mishchenko 2023, arXiv 2310.07831"

# -- synthetic norms ---------------------------------------------------------------------------------------------------

ENDS = {"constant": 1.0, "rising": 2.0, "falling": 0.7}
"""Norms after the first tenth go from 1 to this at the end."""


def compute_synthetic(scale: Scale) -> Data:
    steps = 200 if scale == "tiny" else 2_000
    u = np.arange(steps) / steps
    parts = []
    for name, end in ENDS.items():
        knots = np.interp(u, [0.0, 0.003, 0.02, 0.03, 0.1, 1.0], [15.0, 6.0, 4.0, 2.0, 1.0, end])
        norms = gaussian_filter1d(knots, 40.0 * steps / 2_000.0, mode="nearest")
        parts.append({"case": name, "u": u, "norm": norms, "lr": defazio_refined_lr(norms)})
    flat = np.ones(steps)
    plain = np.arange(steps - 1, -1, -1) / steps
    parts.append({"case": "no warmup", "u": u, "norm": flat, "lr": defazio_refined_lr(flat)})
    refined = defazio_refined_lr(flat, distance=1.0)
    numbers = {
        "linear_error": [float(np.abs(defazio_refined_lr(flat) * (steps - 1) / steps - plain).max())],
        "bound_gap": [abs(defazio_refined(flat) / linear_decay(steps) - 1.0)],
        "first_step": [float(refined[0] * np.sqrt(steps))],
    }
    for name in ENDS:
        norms = column(stack(parts), "norm", case=name)
        best, uniform = defazio_refined(norms), _least_uniform(norms)
        numbers[f"gain_{name}"] = [best / uniform]
    return {"curves": stack(parts), "numbers": numbers}


def _least_uniform(norms: FloatArray) -> float:
    """The bound of equal weights (linear decay) at its best base rate."""
    weight = 1.0 / np.sqrt(np.sum(norms**2))
    return defazio_weighted(np.full(norms.size, weight), norms)


def draw_synthetic(data: Data) -> Figure:
    curves = data["curves"]
    with style():
        figure = new_figure(WIDTH, 2.4)
        a, b = figure.subplots(1, 2)
        for i, name in enumerate(first(curves["case"])):
            u, norm, lr = (column(curves, key, case=name) for key in ("u", "norm", "lr"))
            look = {
                "color": PALETTE[i],
                "ls": DASHES[i],
                "label": name if name == "no warmup" else f"large first, {name}",
            }
            if name == "no warmup":
                look["label"] = "constant throughout"
            a.plot(u, norm, **look)
            b.plot(u, lr, **look)
        a.set(title="(a) gradient norms", xlabel="progress", ylabel="$G_t$", yscale="log")
        a.set_yticks([1, 2, 5, 10], ["1", "2", "5", "10"])
        a.legend()
        b.set(title="(b) refined schedules", xlabel="progress", ylabel="learning rate / largest")
    return figure


def claims_synthetic(data: Data) -> list[Claim]:
    curves, numbers = data["curves"], {key: float(np.asarray(v)[0]) for key, v in data["numbers"].items()}
    lr = {name: column(curves, "lr", case=name) for name in (*ENDS, "no warmup")}
    top = {name: int(np.argmax(values)) / values.size for name, values in lr.items()}
    middle = {name: float(values[int(0.75 * values.size)]) for name, values in lr.items()}
    gains = [numbers[f"gain_{name}"] for name in ENDS]
    return [
        Claim(
            "constant norms give linear decay, exactly",
            "section 3; notes 6",
            "refined schedule against 1 - t/T <= 1e-15",
            f"{numbers['linear_error']:.1e}",
            numbers["linear_error"] <= 1e-15,
        ),
        Claim(
            "with the bound D G / sqrt(T)",
            "Theorem 3",
            "relative difference <= 1e-14",
            f"{numbers['bound_gap']:.1e}",
            numbers["bound_gap"] <= 1e-14,
        ),
        Claim(
            "warmup appears when early gradients are large, and only then",
            "figure of synthetic norms",
            "starts below a tenth of its largest value, which comes within the first fifth; constant norms start at it",
            "starts at "
            + ", ".join(f"{lr[name][0]:.3f}" for name in lr)
            + "; largest at "
            + ", ".join(f"{top[name]:.3f}" for name in lr),
            all(lr[name][0] < 0.1 and 0.0 < top[name] <= 0.2 for name in ENDS) and lr["no warmup"][0] == 1.0,
        ),
        Claim(
            "norms that rise at the end make it fall faster, norms that fall slower",
            "figure of synthetic norms",
            "at three quarters of the run: rising < constant < falling",
            ", ".join(f"{name} {middle[name]:.3f}" for name in ("rising", "constant", "falling")),
            middle["rising"] < middle["constant"] < middle["falling"],
        ),
        Claim(
            "weights G_t^-2 have the smallest bound",
            "Theorem 3",
            "refined / linear decay < 1 in all three cases",
            ", ".join(f"{value:.3f}" for value in gains),
            max(gains) < 1.0,
        ),
    ]


# -- refined on a simulated run ----------------------------------------------------------------------------------------

STARTS = {"far": 3.0, "near": 0.1}
"""Initial error of every mode: gradients large at first, or not."""
ROUNDS = 8
PEAK = 0.1


def _norms(problem: sl.LinearRegression, lr: FloatArray) -> FloatArray:
    """sqrt E |g_t|^2 of every step, one Gaussian sample each."""
    single = sl.subspaces.modes(*range(1, problem.dim + 1))
    method = sl.methods.sgd(sl.schedules.from_array(lr))
    trace = sl.exact(problem, method, record="all", subspaces=single, progress=False).risk.sum("component")
    modes = 2.0 * trace.transpose("step", "subspace").values
    lam, risk = problem.eigenvalues, modes.sum(axis=1)
    square = 2.0 * modes @ lam + lam.sum() * (risk + problem.noise_variance)
    return np.asarray(np.sqrt(square[:-1]))


def compute_regression(scale: Scale) -> Data:
    steps, dim = {"tiny": (60, 5), "quick": (1_000, 30), "full": (10_000, 100)}[scale]
    lam = 1.0 / np.arange(1.0, dim + 1.0)
    u = np.arange(steps) / steps
    parts, changes, tuned = [], [], []
    for start, error in STARTS.items():
        problem = sl.LinearRegression(lam, error, noise_variance=1.0)
        shape = 1.0 - u
        for round_ in range(ROUNDS + 1):
            norms = _norms(problem, PEAK * shape)
            refined = defazio_refined_lr(norms)
            change = float(np.abs(refined - shape).max())
            changes.append({"start": start, "round": round_, "change": change})
            if round_ in (0, 1, 2, ROUNDS):
                parts.append({"start": start, "round": round_, "u": u, "norm": norms, "lr": shape})
            # The last rate of a refined schedule is 0, which is no obstacle to running it.
            shape = refined
        tuned.append({"start": start, "linear": _tuned(problem, 1.0 - u), "refined": _tuned(problem, shape)})
    return {"curves": stack(parts), "rounds": stack(changes), "tuned": stack(tuned)}


def _tuned(problem: sl.LinearRegression, shape: FloatArray) -> float:
    """The final risk at the best of many peaks."""
    methods = [sl.methods.sgd(sl.schedules.from_array(peak * shape)) for peak in np.geomspace(0.01, 0.6, 25)]
    trace = sl.exact(problem, methods, record=2, progress=False)
    risk = trace.final().sum(["component", "subspace"]).values
    return float(risk[trace.status.values == "done"].min())


def draw_regression(data: Data) -> Figure:
    curves, rounds = data["curves"], data["rounds"]
    with style():
        figure = new_figure(WIDTH, 2.8)
        a, b, c = figure.subplots(1, 3)
        for j, (start, dash) in enumerate(zip(STARTS, ("-", "--"), strict=True)):
            shown = first(curves["round"])
            for i, number in enumerate(shown):
                u, norm, lr = (column(curves, key, start=start, round=number) for key in ("u", "norm", "lr"))
                label = f"round {number}" if start == "far" else None
                a.plot(u, norm, color=shades(len(shown))[i], ls=dash)
                b.plot(u, lr, color=shades(len(shown))[i], ls=dash, label=label)
            change = column(rounds, "change", start=start)
            c.plot(
                column(rounds, "round", start=start),
                change,
                color=PALETTE[j],
                ls=dash,
                marker=".",
                label=f"starts {start}",
            )
        a.set(title="(a) $\\sqrt{E|g_t|^2}$", xlabel="progress", ylabel="gradient norm", yscale="log")
        b.set(title="(b) schedule of each round", xlabel="progress", ylabel="learning rate / largest")
        c.set(title="(c) change in a round", xlabel="round", ylabel="largest change", yscale="log")
        c.legend(title="(a), (b) likewise")
        figure.legend(*b.get_legend_handles_labels(), loc="outside lower center", ncols=4)
    return figure


def claims_regression(data: Data) -> list[Claim]:
    curves, rounds = data["curves"], data["rounds"]
    change = {start: column(rounds, "change", start=start) for start in STARTS}
    last = {start: column(curves, "lr", start=start, round=ROUNDS) for start in STARTS}
    tuned = data["tuned"]
    ratio = {s: float((column(tuned, "refined", start=s) / column(tuned, "linear", start=s))[0]) for s in STARTS}
    plain = column(curves, "lr", start="near", round=0)
    off = float(np.abs(last["near"] - plain).max())
    assumed = f"linear regression, lam_i = 1/i, peak {PEAK}, errors {STARTS['far']:g} or {STARTS['near']:g}"
    return [
        Claim(
            "refined again and again, the schedule comes to a fixed point",
            "section 4; notes 6",
            f"largest change in round {ROUNDS} <= 0.01",
            ", ".join(f"{start} {values[-1]:.1e}" for start, values in change.items()),
            max(float(values[-1]) for values in change.values()) <= 0.01,
            chosen=assumed,
            reason=", ".join(f"{start} {values[-1]:.2f}" for start, values in change.items()),
        ),
        Claim(
            "warmup appears where the first gradients are large",
            "section 4",
            "the fixed point starts below half of its largest value",
            f"{last['far'][0]:.3f} of it",
            float(last["far"][0]) < 0.5,
            chosen=assumed,
        ),
        Claim(
            "and where they are not there is none",
            "section 4",
            "the fixed point starts above 0.9 of its largest value",
            f"{last['near'][0]:.3f} of it; at most {off:.3f} from 1 - t/T",
            float(last["near"][0]) > 0.9,
            chosen=assumed,
            reason=f"{last['near'][0]:.3f} of it",
        ),
        Claim(
            "tuned, the refined schedule ends at a lower risk than linear decay",
            "section 5",
            "ratio < 1 at the best peak of each, both starts",
            ", ".join(f"{start} {value:.3f}" for start, value in ratio.items()),
            max(ratio.values()) < 1.0,
            chosen=assumed,
            reason=", ".join(f"{start} {value:.3f} of linear decay's" for start, value in ratio.items()),
        ),
    ]


FIGURES = [
    Reproduction(
        "defazio2023-synthetic",
        "Schedules refined from synthetic gradient norms",
        PAPER,
        2023,
        "T = 2,000; norms through (0, 15), (0.003, 6), (0.02, 4), (0.03, 2), (0.1, 1) and 1, 2 or 0.7 at the end,"
        " smoothed by a Gaussian of 40 steps; and constant norms. Weights G_t^-2.",
        compute_synthetic,
        draw_synthetic,
        claims_synthetic,
        seconds=0.2,
    ),
    Reproduction(
        "defazio2023-regression",
        "Refinement iterated on simulated regression",
        PAPER,
        2023,
        "Linear regression, lam_i = 1/i, d = 100 (quick: 30), T = 10,000 (quick: 1,000), sigma^2 = 1, initial errors 3"
        " or 0.1: linear decay, its exact gradient norms, the schedule refined by them, run again; peak 0.1.",
        compute_regression,
        draw_regression,
        claims_regression,
        chosen=("the regression problem and its peak",),
        seconds=2.0,
    ),
]
