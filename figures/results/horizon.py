"""10^12 steps: one run of them with its errors, and the exponents of scaling laws where they have been reached."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, get_args

import numpy as np
from scipy.optimize import minimize_scalar
from simlab.figures.columns import first, stack
from simlab.figures.reproduction import Claim, Data, Reproduction, Scale, column
from simlab.theory.scaling_laws import LawExponents, Schedule, fsl_exponents

import simlab as sl
from simlab.plot import DASHES, PALETTE, WIDTH, new_figure, style

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["FIGURES"]

WORK = "This project"
MODES = STEPS = 10**12
CAPACITY, SOURCE = 1.5, 1.7
TOLERANCE = 1e-6
KIND = {"bias": "-", "variance": (0, (4, 1.5))}


# -- one run -----------------------------------------------------------------------------------------------------------


def compute_run(scale: Scale) -> Data:
    """run: risk and its error by component and band of modes; check: the exact engine over the first steps."""
    problem = sl.LinearRegression.power_law(MODES, CAPACITY, SOURCE, noise_variance=1.0)
    lr = sl.schedules.wsd(STEPS, peak=0.3, warmup=10_000, cooldown=0.2)
    bands = sl.subspaces.log_bins(4)
    records = np.unique(np.concatenate([np.geomspace(1, STEPS, 160), STEPS - np.geomspace(1, 0.2 * STEPS, 80)]))
    steps = [0, *records.round().astype(np.int64).tolist()]
    trace = sl.long(problem, sl.methods.sgd(lr), record=steps, subspaces=bands, tolerance=TOLERANCE, progress=False)
    curves = []
    for name in trace.dataset["subspace"].values.tolist():
        for part in KIND:
            of = {"component": part, "subspace": name}
            error = trace.dataset["risk_error"].sel(of).values
            curves.append(
                {"band": name, "part": part, "step": trace.dataset["step"], "risk": trace.risk.sel(of), "error": error}
            )
    short = {"tiny": 10**3, "quick": 10**5, "full": 10**6}[scale]
    known = [int(s) for s in trace.dataset["step"].values if s <= short]
    compressed = problem.compress(1e-9, subspaces=bands)
    exact = sl.exact(compressed, sl.methods.sgd(lr[:short]), record=[*known, short], progress=False).total()
    ours = trace.total().sel(step=known).values
    off = np.abs(ours - exact.sel(step=known).values) / ours
    said = trace.dataset["risk_error"].sum(("component", "subspace")).sel(step=known).values / ours
    return {
        "run": stack(curves),
        "rate": {
            "step": trace.dataset["step"].values,
            "lr": np.append(lr(trace.dataset["step"].values[:-1]), 0.0),
            "time": [lr[: int(s)].total() if s else 0.0 for s in trace.dataset["step"].values],
        },
        "check": {"step": np.array(known), "off": off, "said": said},
    }


def draw_run(data: Data) -> Figure:
    run, rate = data["run"], data["rate"]
    with style():
        figure = new_figure(WIDTH, 3.4)
        left, right = figure.subplots(1, 2, width_ratios=(1.7, 1))
        for i, band in enumerate(first(run["band"])):
            for part, dashes in KIND.items():
                step, risk, error = (column(run, key, band=band, part=part) for key in ("step", "risk", "error"))
                shown = (step > 0) & (risk > 0)
                label = f"modes $10^{{{3 * i}}}$ to $10^{{{3 * i + 3}}}$" if part == "bias" else None
                for axes, x in ((left, step), (right, STEPS - step)):
                    axes.fill_between(x[shown], (risk - error)[shown], (risk + error)[shown], color=PALETTE[i], lw=0)
                    axes.plot(
                        x[shown],
                        risk[shown],
                        color=PALETTE[i],
                        ls=dashes,
                        lw=1.2,
                        label=label if axes is left else None,
                    )
        left.set(xscale="log", yscale="log", xlabel="step", ylabel="risk of a band", ylim=(1e-9, 3.0))
        right.set(xscale="log", yscale="log", xlabel="steps before the end", ylim=(1e-9, 3.0), xlim=(3e11, 1.0))
        left.set_title("(a) from the start")
        right.set_title("(b) in the cooldown")
        above = left.twinx()
        above.plot(column(rate, "step")[1:-1], column(rate, "lr")[1:-1], color="0.7", lw=0.9, zorder=0)
        above.set(ylim=(0.0, 3.0), yticks=())
        left.plot([], [], color="0.7", lw=0.9, label="learning rate (0 to 0.3)")
        for part, dashes in KIND.items():
            left.plot([], [], color="0.2", ls=dashes, lw=1.2, label=part)
        figure.legend(*left.get_legend_handles_labels(), loc="outside lower center", ncols=4)
    return figure


def claims_run(data: Data) -> list[Claim]:
    run, check = data["run"], data["check"]
    bands = first(run["band"])
    step = column(run, "step", band=bands[0], part="bias")
    total, error = (
        np.sum([column(run, key, band=band, part=part) for band in bands for part in KIND], axis=0)
        for key in ("risk", "error")
    )
    bias = np.sum([column(run, "risk", band=band, part="bias") for band in bands], axis=0)
    time = column(data["rate"], "time")
    inside = (time >= 1e5) & (step <= 0.8 * STEPS)
    slope = float(np.polyfit(np.log(time[inside]), np.log(bias[inside]), 1)[0])
    wanted = -(SOURCE - 1.0) / CAPACITY
    off, said = column(check, "off"), column(check, "said")
    worst = float(np.max(off / np.maximum(said, 1e-15)))
    return [
        Claim(
            "the error reported stays within the tolerance, and covers the difference to the exact engine",
            "risk_error of sl.long: local errors carried on by the map of the moments; the recursion step by step",
            f"sum of the errors <= {TOLERANCE:g} of the risk at every record; difference <= error reported + 1e-9",
            f"at most {np.max(error / total):.1e}; difference at most {off.max():.1e}, {worst:.2g} of what is reported",
            bool(np.max(error / total) <= TOLERANCE and np.all(off <= said + 1e-9)),
            own=True,
        ),
        Claim(
            "over six decades the bias falls as the power of the training time that the spectrum says",
            f"sum lam d^2 exp(-2 lam t) ~ t^-((source - 1)/capacity), t the sum of the rates, capacity {CAPACITY:g}, "
            f"source {SOURCE:g}",
            "log-log slope from t = 10^5 to the cooldown within 0.001",
            f"{slope:.4f} against {wanted:.4f}",
            abs(slope - wanted) <= 1e-3,
            own=True,
        ),
    ]


# -- exponents ---------------------------------------------------------------------------------------------------------

NAMES: tuple[Schedule, ...] = get_args(Schedule)
CASES = {"easy": 1.0, "hard": 0.2}
"""s of lam_j theta_j^2 ~ j^-(1 + s beta); easy from 1 - 1/beta = 1/3 on."""
WIDE = 10**14
"""Modes: the last of them is not learned within 10^12 steps."""


def _schedule(name: Schedule, steps: int, peak: float) -> sl.schedules.Schedule:
    """Exponential decay is to 1 / steps of the peak, over all of the run or over its second half."""
    if name == "constant":
        return sl.schedules.constant(steps, peak)
    if name == "exponential":
        return sl.schedules.exponential(steps, peak, floor_value=peak / steps)
    return sl.schedules.wsd(steps, peak, cooldown=0.5, shape="exponential", floor_value=peak / steps)


def _tuned(problem: Any, name: Schedule, steps: int, low: float, high: float) -> tuple[float, float]:
    """log10 of the best peak between these, and the risk at the end of its run."""

    def end(peak: float) -> float:
        method = sl.methods.sgd(_schedule(name, steps, 10.0**peak))
        return float(sl.long(problem, method, record=2, tolerance=1e-5, progress=False).total().values[-1])

    found = minimize_scalar(
        lambda peak: np.log(end(peak)), bounds=(low, high), method="bounded", options={"xatol": 0.05}
    )
    return min((end(high), high), (float(np.exp(found.fun)), float(found.x)))[::-1]


def compute_exponents(scale: Scale) -> Data:
    """tuned: for every case, schedule and length the best peak and the risk that it ends with."""
    decades = {"tiny": [3.0, 4.0], "quick": [4.0, 6.0, 9.0, 12.0], "full": [4.0 + 0.5 * j for j in range(17)]}[scale]
    rows = []
    for case, s in CASES.items():
        problem = sl.LinearRegression.power_law(WIDE, CAPACITY, 1.0 + s * CAPACITY, noise_variance=1.0).compress(1e-8)
        flat = sl.methods.sgd(sl.schedules.constant(10, 0.1))
        high = float(np.log10(0.9 * sl.stability(problem, flat).critical_lr))
        for name in NAMES:
            best, before = high, float(decades[0])
            for decade in decades:
                # A constant rate is best at T^-(1/2) where it falls fastest.
                low = best - 0.5 * (decade - before) - (3.5 if decade == decades[0] else 0.4)
                best, risk = _tuned(problem, name, round(10**decade), low, min(high, best + 0.3))
                before = float(decade)
                rows.append({"case": case, "schedule": name, "decade": [decade], "peak": [10**best], "risk": [risk]})
    return {"tuned": stack(rows)}


def _slopes(data: Data, case: str, name: Schedule) -> tuple[Any, Any, Any]:
    """Lengths half-way between two runs (log scale), the exponents there, and the theorem's with its logarithm."""
    decade, risk = (column(data["tuned"], key, case=case, schedule=name) for key in ("decade", "risk"))
    middle = np.log(10.0) * 0.5 * (decade[1:] + decade[:-1])
    law = _law(case, name)
    return np.exp(middle), -np.diff(np.log(risk)) / np.diff(np.log(10.0) * decade), law.power - law.log / middle


def _law(case: str, name: Schedule) -> LawExponents:
    law: LawExponents = fsl_exponents(name, "data", CAPACITY, CASES[case])
    return law


def draw_exponents(data: Data) -> Figure:
    with style():
        figure = new_figure(WIDTH, 3.0)
        panels = figure.subplots(1, 3)
        for axes, (case, s) in zip(panels, CASES.items(), strict=False):
            for i, name in enumerate(NAMES):
                at, slope, theory = _slopes(data, case, name)
                axes.plot(at, theory, color=PALETTE[i], lw=0.9, ls="--")
                axes.plot(at, slope, color=PALETTE[i], marker="os^"[i], ms=4, lw=0, label=name)
            axes.set(xscale="log", xlabel="steps T", title=f"({'ab'[s < 0.5]}) {case}, s = {s:g}")
        panels[0].set_ylabel("exponent of the risk at the best peak")
        for j, case in enumerate(CASES):
            for i, name in enumerate(NAMES):
                decade, peak = (column(data["tuned"], key, case=case, schedule=name) for key in ("decade", "peak"))
                panels[2].plot(10.0**decade, peak, color=PALETTE[i], ls=DASHES[j], marker="os^"[i], ms=3, lw=1.0)
            panels[2].plot([], [], color="0.3", ls=DASHES[j], label=case)
        panels[2].set(xscale="log", yscale="log", xlabel="steps T", title="(c) best peak", ylabel="learning rate")
        panels[2].legend(fontsize=7)
        panels[0].plot([], [], color="0.3", lw=0.9, ls="--", label="theorem, with its logarithm")
        figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=4)
    return figure


def claims_exponents(data: Data) -> list[Claim]:
    claims = []
    for case, s in CASES.items():
        for name in NAMES:
            at, slope, theory = _slopes(data, case, name)
            law = _law(case, name)
            log = f" (log T)^{law.log:.2g}" if law.log else ""
            claims.append(
                Claim(
                    f"{name}, {case}: towards 10^12 steps the exponent is that of the functional scaling law",
                    f"risk ~ T^-{law.power:.3g}{log} at the best peak (Li et al. 2025, arXiv 2509.19189), capacity "
                    f"{CAPACITY:g}, s = {s:g}",
                    "within 0.01 between the two longest runs, the logarithm counted as a power of T",
                    f"{slope[-1]:.4f} against {theory[-1]:.4f}; between the two shortest {slope[0]:.4f} against "
                    f"{theory[0]:.4f}",
                    bool(abs(slope[-1] - theory[-1]) <= 0.01 and at[-1] > 1e10),
                    "a term that falls faster is not gone yet",
                    own=True,
                )
            )
    return claims


FIGURES = [
    Reproduction(
        "results-run",
        "A run of 10^12 steps on 10^12 modes",
        WORK,
        2026,
        "SGD on linear regression with 10^12 modes, lam_i = i^-1.5, lam_i d_i^2 = i^-1.7, noise variance 1, batch 1; "
        "WSD of 10^12 steps at a peak of 0.3 (10^4 steps of warmup, linear cooldown 20 %); bias and variance of four "
        "bands of modes by the long engine at a tolerance of 1e-6. The error is drawn as a band around each line.",
        compute_run,
        draw_run,
        claims_run,
        seconds=2.0,
    ),
    Reproduction(
        "results-exponents",
        "Exponents of the functional scaling law over eight decades of steps",
        WORK,
        2026,
        "SGD on linear regression, lam_i = i^-1.5, 10^14 modes, noise variance 1, batch 1; constant rate, exponential "
        "decay to 1/T of the peak, and the same over the second half (wsd), each at its best peak below 0.9 of the "
        "critical rate; exponents between neighbouring lengths, two or three decades apart (full: half a decade).",
        compute_exponents,
        draw_exponents,
        claims_exponents,
        seconds=25.0,
    ),
]
