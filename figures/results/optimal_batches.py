"""Decay of the rate against growth of the batch, at equal samples and equal steps."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize_scalar
from simlab.figures.columns import first, stack
from simlab.figures.peaks import final_risks
from simlab.figures.reproduction import Claim, Data, Reproduction, Scale, column
from simlab.figures.results.optima import legend, power_law, problem_name, tuned

import simlab as sl
from simlab.kernels.moments.layout import NodeArrays
from simlab.optimal.adjoint import Objective
from simlab.optimal.batches import price_of, rounded
from simlab.plot import DASHES, PALETTE, WIDTH, new_figure, style

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["FIGURES"]

CASES = {"easy": (1.5, 2.5, 1.0), "hard": (2.0, 1.5, 0.01)}
"""(capacity, source, noise variance)."""
LIMITS = ("critical", "1 / lam_1")
"""The largest rate: the critical one of the mean batch, or one that an outside limit sets."""
WRITTEN = dict(zip(LIMITS, ("critical", r"$1/\lambda_1$"), strict=True))
WAYS = ("constant rate and batch", "decay, constant batch", "constant rate, growth", "both free")


def compute(scale: Scale) -> Data:
    """risks: by limit, mean batch and way, over the best at batch 1, by the exact engine."""
    samples = {"tiny": 256, "quick": 4_096, "full": 16_384}[scale]
    means = {"tiny": (16,), "quick": (4, 16, 64, 256), "full": (4, 16, 64, 256)}[scale]
    risks = []
    for case, numbers in CASES.items():
        problem = power_law(*numbers)
        alone = sl.optimize(problem, samples)
        for mean in means:
            steps = samples // mean
            critical = sl.stability(problem, sl.methods.sgd(sl.schedules.constant(steps, 0.1), mean)).critical_lr
            for limit, cap in zip(LIMITS, (float(critical), 1.0), strict=True):
                bounds = {"peak": (1e-3 * cap, cap)}
                flat = tuned(problem, "constant", steps, given={"batch": mean}, bounds=bounds).method
                decay = sl.optimize(problem, steps, batch=mean, cap=cap)
                growth = _growth(problem, steps, samples, cap)
                both = sl.optimize(problem, steps, samples=samples, cap=cap)
                found = final_risks(problem, [flat, decay.method, growth, both.method]) / alone.risk
                risks.append({"case": case, "limit": limit, "mean": mean, "way": list(WAYS), "risk": found})
    return {"risks": stack(risks)}


def _growth(problem: sl.LinearRegression, steps: int, samples: int, cap: float) -> Any:
    """SGD at the best constant rate below `cap` with the best batches of that sum."""
    nodes = NodeArrays(problem.modes())
    last = np.zeros(steps + 1)
    last[-1] = 1.0
    objective = Objective(nodes, nodes.signal, last, np.full(steps, np.inf))

    def batches(rate: float) -> tuple[float, npt.NDArray[np.float64]]:
        """log J and 1/B at this rate: sweeps in which the batches alone move, at the price that spends the samples."""
        lr, share = np.full(steps, rate), np.full(steps, steps / samples)
        at = objective.gradient(lr, share)
        value = np.inf
        for _ in range(60):
            at = objective.sweep(lr, share, relax=0.0, price=price_of(lr**2 * at.C, samples), most=float(samples))
            share, before, value = at.share, value, at.value
            if not value < before * (1.0 - 1e-7):
                break
        return float(np.log(value)) if value < np.inf else 700.0, share

    ends = np.log(cap) - 5.0, np.log(cap)
    found = minimize_scalar(lambda x: batches(np.exp(x))[0], bounds=ends, method="bounded", options={"xatol": 1e-3})
    rate = float(np.exp(found.x))
    sizes = rounded(1.0 / batches(rate)[1], samples)
    return sl.methods.sgd(sl.schedules.constant(steps, rate), batch=sl.schedules.from_array(sizes))


def _risk(data: Data, case: str, limit: str, way: str) -> Any:
    """Risk over that of the best rates at batch 1, by mean batch."""
    return column(data["risks"], "risk", case=case, limit=limit, way=way)


def draw(data: Data) -> Figure:
    means = np.array(first(data["risks"]["mean"]), dtype=float)
    with style():
        figure = new_figure(WIDTH, 2.9)
        panels = figure.subplots(1, 3)
        for j, (case, numbers) in enumerate(CASES.items()):
            for k, limit in enumerate(LIMITS):
                both = _risk(data, case, limit, WAYS[3])
                colour = PALETTE[3 + j]
                panels[0].plot(
                    means,
                    100.0 * (both - 1.0),
                    "os"[j],
                    ls=DASHES[k],
                    color=colour,
                    ms=4,
                    label=f"{case}, both free, to {WRITTEN[limit]}",
                )
                for i in (1, 2):
                    above = 100.0 * (_risk(data, case, limit, WAYS[i]) / both - 1.0)
                    label = f"{WAYS[i]}, to {WRITTEN[limit]}"
                    panels[1 + j].plot(means, above, "^D"[i - 1], ls=DASHES[k], color=PALETTE[i - 1], ms=4, label=label)
            panels[1 + j].set(title=f"({'bc'[j]}) {case}: {problem_name(*numbers)}", ylabel="risk above both free [%]")
            panels[1 + j].axhline(0.0, color="0.3", lw=0.8)
        panels[0].set(yscale="log", ylabel="risk above the best at batch 1 [%]", title="(a) both free")
        for axes in panels:
            axes.set(xscale="log", xlabel="mean batch = samples / steps")
            axes.set_xticks(means, [f"{mean:.0f}" for mean in means])
            axes.set_xticks([], minor=True)
        legend(figure, panels[:2], 3)
    return figure


def claims(data: Data) -> list[Claim]:
    means = column(data["risks"], "mean", case="easy", limit=LIMITS[0], way=WAYS[3])
    flat, decay, growth, both = (
        {(case, limit): _risk(data, case, limit, way) for case in CASES for limit in LIMITS} for way in WAYS
    )
    small = means <= 64
    open_easy, open_hard, shut_hard = ("easy", LIMITS[0]), ("hard", LIMITS[0]), ("hard", LIMITS[1])

    def spoken(values: Any) -> str:
        return ", ".join(f"{100 * value:.3g} %" for value in values)

    apart = (growth[open_easy] / decay[open_easy] - 1.0)[small]
    ahead = {key: growth[key] / decay[key] - 1.0 for key in growth}
    return [
        Claim(
            "easy: decay of the rate and growth of the batch are worth nearly the same up to a mean batch of 64",
            "rate over batch alone matters while rates are small (Smith et al. 2018, arXiv 1711.00489); both optimised "
            "by the exact adjoint, rates up to the critical one, batches rounded to whole numbers",
            "risks within 2.5 % of one another, a constant rate and batch at least 40 % above either",
            f"growth above decay by {spoken(apart)}; constant above decay by "
            f"{spoken((flat[open_easy] / decay[open_easy] - 1.0)[small])}",
            bool(np.all(np.abs(apart) <= 0.025))
            and bool(np.all(flat[open_easy][small] >= 1.4 * np.maximum(decay[open_easy], growth[open_easy])[small])),
            own=True,
        ),
        Claim(
            "where an outside limit binds, growth of the batch beats decay of the rate",
            "the rate is held at 1 / lam_1, and noise can still be lowered at the end; both optimised as above",
            "hard, rates to 1 / lam_1: growth below decay at every mean batch",
            f"growth against decay: {spoken(ahead[shut_hard])}",
            bool(np.all(ahead[shut_hard] < 0.0) and np.all(both[shut_hard] <= growth[shut_hard] * 1.002)),
            turns=f"with rates up to the critical one: growth against decay {spoken(ahead[open_hard])}",
            own=True,
        ),
        Claim(
            "easy: sixteen times fewer steps cost under 1 %; hard: four times fewer cost at least 5 %",
            "both free, rates to the critical one, over the best rates at batch 1 with as many samples",
            "easy: at most 1 % at mean batches to 16; hard: at least 5 % from 4 on",
            f"mean batch {', '.join(f'{mean:.0f}' for mean in means)}: easy {spoken(both[open_easy] - 1)}; hard "
            f"{spoken(both[open_hard] - 1)}",
            bool(np.all(np.abs(both[open_easy][means <= 16] - 1) <= 0.01) and np.all(both[open_hard] >= 1.05)),
            own=True,
        ),
    ]


FIGURES = [
    Reproduction(
        "results-batches",
        "Decay of the rate against growth of the batch",
        "This project",
        2026,
        "SGD on an easy and a hard power law of 10^8 modes (capacity, source, noise above each panel); 4,096 samples "
        "(full: 16,384) in 4, 16, 64 or 256 times fewer steps, rates up to the critical one of the mean batch or to 1 "
        "/ lam_1: a constant rate and batch, the best decay at a constant batch, the best growth at the best constant "
        "rate, and both free. All ways at one point of the axis have equal samples and equal steps. Not shown: growth "
        "of rate and batch together, as in a warmup, and what a step costs in time.",
        compute,
        draw,
        claims,
        seconds=5.0,
    )
]
