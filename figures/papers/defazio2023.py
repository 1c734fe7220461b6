"""Defazio et al. 2023 (arXiv 2310.07831): schedules refined by gradient norms, where warmup comes from.

Written from the algorithm of the paper: weights G_t^-2, and the rates that belong to them. None of the authors' code.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.ndimage import gaussian_filter1d
from simlab.figures.columns import first, stack
from simlab.figures.reproduction import Claim, Data, Reproduction, Scale, column
from simlab.theory.defazio2023 import defazio_refined, defazio_refined_lr, defazio_weighted, linear_decay

import simlab as sl
from simlab.arrays import FloatArray
from simlab.plot import DASHES, PALETTE, WIDTH, new_figure, style

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PAPER = "Defazio, Cutkosky, Mehta, Mishchenko 2023, arXiv 2310.07831"

# -- synthetic norms ---------------------------------------------------------------------------------------------------

KNOTS = "the knots of the norms and their smoothing"
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
            "section 3; lr_t proportional to G_t^-2 sum_(s > t) G_s^-2",
            "refined schedule against 1 - t/T <= 1e-15",
            f"{numbers['linear_error']:.1e}",
            numbers["linear_error"] <= 1e-15,
            paper="exactly",
            reason="rounding, or another count of the steps",
        ),
        Claim(
            "with the bound D G / sqrt(T)",
            "Theorem 3",
            "relative difference <= 1e-14",
            f"{numbers['bound_gap']:.1e}",
            numbers["bound_gap"] <= 1e-14,
            paper="D G / sqrt(T)",
            reason="rounding, or another count of the steps",
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
            paper="warmup, by its picture",
            chosen=KNOTS,
            reason="the first norms are too small or fall too slowly",
        ),
        Claim(
            "norms that rise at the end make it fall faster, norms that fall slower",
            "figure of synthetic norms",
            "at three quarters of the run: rising < constant < falling",
            ", ".join(f"{name} {middle[name]:.3f}" for name in ("rising", "constant", "falling")),
            middle["rising"] < middle["constant"] < middle["falling"],
            paper="the same order, by its picture",
            chosen=KNOTS,
            reason="the end of the norms does not decide alone",
        ),
        Claim(
            "weights G_t^-2 have the smallest bound",
            "Theorem 3",
            "refined / linear decay < 1 in all three cases",
            ", ".join(f"{value:.3f}" for value in gains),
            max(gains) < 1.0,
            paper="optimal among all weights",
            chosen=KNOTS,
            reason="equal weights have a smaller bound",
        ),
    ]


# -- refined on a simulated run ----------------------------------------------------------------------------------------

STARTS = (0.1, 0.3, 1.0, 3.0)
"""Initial error of every mode: gradients no larger at first, up to seven times as large."""
FAR, NEAR = STARTS[-1], STARTS[0]
ROUNDS = 4
"""Refinements, each from the run before at its best peak; the paper refines once."""
PEAKS = np.geomspace(5e-4, 0.6, 41)
WARMUP = 0.05


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
    """curves: norms of linear decay at its best peak, and the schedule refined by them; tuned: final risks."""
    steps, dim = {"tiny": (60, 5), "quick": (1_000, 30), "full": (10_000, 100)}[scale]
    lam = 1.0 / np.arange(1.0, dim + 1.0)
    u = np.arange(steps) / steps
    linear = 1.0 - u
    shapes = {"linear": linear, "warmup": np.minimum((u + 1.0 / steps) / WARMUP, 1.0) * linear}
    curves, rows = [], []
    for start in STARTS:
        problem = sl.LinearRegression(lam, start, noise_variance=1.0)
        tuned = {name: _tuned(problem, shape) for name, shape in shapes.items()}
        shape, peak = linear, tuned["linear"][1]
        for number in range(1, 1 + (ROUNDS if start == FAR else 1)):
            norms = _norms(problem, peak * shape)
            # The last rate of a refined schedule is 0, which is no obstacle to running it.
            shape = defazio_refined_lr(norms)
            tuned[f"round {number}"] = _tuned(problem, shape)
            peak = tuned[f"round {number}"][1]
            if number == 1:
                curves.append({"start": start, "u": u, "norm": norms, "lr": shape})
        rows += [{"start": start, "shape": n, "risk": risk, "peak": peak_} for n, (risk, peak_) in tuned.items()]
    return {"curves": stack(curves), "tuned": stack(rows)}


def _tuned(problem: sl.LinearRegression, shape: FloatArray) -> tuple[float, float]:
    """The final risk at the best of many peaks, and that peak."""
    methods = [sl.methods.sgd(sl.schedules.from_array(peak * shape)) for peak in PEAKS]
    trace = sl.exact(problem, methods, record=2, progress=False)
    risk = trace.final().sum(["component", "subspace"]).values
    risk = np.where(trace.status.values == "done", risk, np.inf)
    return float(risk.min()), float(PEAKS[int(risk.argmin())])


def ratios(data: Data, shape: str) -> dict[float, float]:
    """Initial error -> tuned risk of a shape over that of linear decay."""
    tuned = data["tuned"]
    starts = first(np.asarray(tuned["start"])[np.asarray(tuned["shape"]) == shape])
    risk = {name: [column(tuned, "risk", start=s, shape=name)[0] for s in starts] for name in (shape, "linear")}
    return {s: float(a / b) for s, a, b in zip(starts, risk[shape], risk["linear"], strict=True)}


def draw_regression(data: Data) -> Figure:
    curves = data["curves"]
    with style():
        figure = new_figure(WIDTH, 2.9)
        a, b, c = figure.subplots(1, 3)
        for i, start in enumerate(STARTS):
            u, norm, lr = (column(curves, key, start=start) for key in ("u", "norm", "lr"))
            a.plot(u, norm, color=PALETTE[i], ls=DASHES[i], label=f"initial errors {start:g}")
            b.plot(u, lr, color=PALETTE[i], ls=DASHES[i])
        b.plot(u, 1.0 - u, color="0.5", lw=0.8, label="linear decay")
        a.set(title="(a) norms under linear decay", xlabel="progress", ylabel="$\\sqrt{E|g_t|^2}$", yscale="log")
        a.set_yticks([2, 3, 5, 10], ["2", "3", "5", "10"])
        a.yaxis.set_minor_formatter(lambda value, position: "")
        b.set(title="(b) refined schedules", xlabel="progress", ylabel="learning rate / largest")
        for shape, label, look in (("round 1", "refined once", "ko-"), ("warmup", "5 % warmup, linear", "ks--")):
            found = ratios(data, shape)
            c.plot(list(found), list(found.values()), look, mfc="white", ms=4, lw=0.9, label=label)
        later = [ratios(data, f"round {number}")[FAR] for number in range(2, ROUNDS + 1)]
        c.plot([FAR] * len(later), later, "k+", ms=5, label=f"refined 2 .. {ROUNDS} times")
        c.axhline(1.0, color="0.5", lw=0.8)
        c.set(title="(c) tuned risk / linear's", xlabel="initial errors", ylabel="ratio", xscale="log")
        c.set_xticks(STARTS, [f"{start:g}" for start in STARTS])
        c.xaxis.set_minor_formatter(lambda value, position: "")
        figure.legend(loc="outside lower center", ncols=4)
    return figure


def claims_regression(data: Data) -> list[Claim]:
    curves = data["curves"]
    lr = {start: column(curves, "lr", start=start) for start in STARTS}
    norm = {start: column(curves, "norm", start=start) for start in STARTS}
    u = column(curves, "u", start=NEAR)
    top = {start: float(u[int(values.argmax())]) for start, values in lr.items()}
    off = float(np.abs(lr[NEAR] - (1.0 - u)).max())
    once, warmup = ratios(data, "round 1"), ratios(data, "warmup")
    rounds = [ratios(data, f"round {number}")[FAR] for number in range(1, ROUNDS + 1)]
    worse = [start for start, value in once.items() if value > 1.005]
    model = "SGD on linear regression, lam_i = 1/i, for its networks"
    return [
        Claim(
            "warmup appears where the first gradients are large; where they are not it is linear decay",
            "section 4",
            f"initial errors {FAR:g}: the refined schedule starts below half of its largest value; {NEAR:g}: at most "
            "0.15 from 1 - t/T",
            f"{lr[FAR][0]:.3f} of it, the largest at {top[FAR]:.2f} of the run; first norm {norm[FAR][0]:.1f}, last "
            f"{norm[FAR][-1]:.1f}; {off:.3f}",
            float(lr[FAR][0]) < 0.5 and off <= 0.15,
            paper="refined schedules exhibit warm-up (abstract); linear decay for constant norms",
            substituted=model,
            reason="the first norms are not large enough, or still change within the run",
            turns="the warmup ends at " + ", ".join(f"{top[s]:.2f} (errors {s:g})" for s in STARTS) + " of the run",
        ),
        Claim(
            "tuned, the refined schedule ends at a lower risk than linear decay",
            "section 5",
            "ratio < 1 at the best peak of each, at every initial error",
            ", ".join(f"{value:.3f} (errors {start:g})" for start, value in once.items()),
            max(once.values()) < 1.0,
            paper="refinement gives further improvements over linear decay (abstract)",
            substituted=model,
            reason="on a quadratic large first gradients come from the distance that is still to go, which asks for a "
            "high rate, and a bound by norms alone takes them for noise",
            turns=f"worse by more than 0.5 % from initial errors {min(worse):g} on, equal below" if worse else "",
        ),
        Claim(
            "refining again, each time from the tuned run, does not bring the schedule below linear decay",
            f"the algorithm repeated, initial errors {FAR:g}",
            f"risk over linear decay's > 1 after each of {ROUNDS} rounds",
            ", ".join(f"{value:.2f}" for value in rounds),
            min(rounds) > 1.0,
            reason="a later round is better than linear decay",
            own=True,
        ),
        Claim(
            "a plain warmup of 5 % of the run costs less than the refined one where it starts far",
            "min(t / (0.05 T), 1) (1 - t/T), tuned",
            f"ratio to linear decay below that of the refined schedule, initial errors {FAR:g}",
            f"{warmup[FAR]:.3f} against {once[FAR]:.3f}",
            warmup[FAR] < once[FAR],
            reason="the short warmup costs as much",
            own=True,
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
        chosen=(KNOTS,),
        seconds=0.2,
    ),
    Reproduction(
        "defazio2023-regression",
        "Refinement on simulated regression",
        PAPER,
        2023,
        "Linear regression, lam_i = 1/i, d = 100 (quick: 30), T = 10,000 (quick: 1,000), sigma^2 = 1, initial errors"
        " 0.1 to 3: linear decay at the best of 41 peaks, its exact gradient norms, the schedule refined by them, and"
        " its best peak.",
        compute_regression,
        draw_regression,
        claims_regression,
        chosen=("the spectrum, the initial errors and the peaks tried", "exact norms, without smoothing"),
        substituted=("SGD on linear regression for its networks",),
        seconds=3.0,
    ),
]
