"""Heavy ball with a free rate and a free momentum at every step."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from scipy.ndimage import median_filter
from simlab.figures.columns import first, stack
from simlab.figures.peaks import final_risks
from simlab.figures.reproduction import Claim, Data, Reproduction, Scale, column
from simlab.figures.results.optima import legend, power_law, problem_name

import simlab as sl
from simlab.plot import DASHES, PALETTE, WIDTH, new_figure, style

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["FIGURES"]

CASES = {"easy, noise 1": (1.5, 1.6, 1.0), "easy, noise 0.01": (1.5, 2.5, 0.01), "hard, noise 0.01": (2.0, 1.5, 0.01)}
"""(capacity, source, noise variance)."""
HARD = "hard, noise 0.01"
MODES = 250
BATCHES = (1, 8, 64)
SPELL = 5
"""Steps over which momentum and rate are smoothed."""


def compute(scale: Scale) -> Data:
    """risks: of SGD and heavy ball, both free, and of heavy ball smoothed; steps: its momenta and rates."""
    steps, sweeps = {"tiny": (60, 60), "quick": (1_000, 600), "full": (1_000, 6_000)}[scale]
    risks, made = [], []
    for case, numbers in CASES.items():
        problem = power_law(*numbers, modes=MODES)
        for batch in BATCHES:
            plain = sl.optimize(problem, steps, batch=batch)
            best = sl.optimize(problem, steps, method="heavy_ball", batch=batch, sweeps=sweeps)
            pair = best.schedule.values(), _momenta(best)
            lr, beta = (sl.schedules.from_array(median_filter(part, SPELL, mode="nearest")) for part in pair)
            runs = [best.method, sl.methods.heavy_ball(lr, beta, batch=batch)]
            found, smoothed = final_risks(problem, runs)
            at = {"case": case, "batch": batch}
            risks.append({**at, "sgd": plain.risk, "free": found, "smooth": smoothed, "left": best.certificate.gain})
            made.append({**at, "at": np.arange(steps) / steps, "lr": pair[0], "momentum": pair[1]})
    return {"risks": stack(risks), "steps": stack(made)}


def _momenta(best: Any) -> npt.NDArray[np.float64]:
    """Of every step."""
    values: npt.NDArray[np.float64] = best.momentum.values()
    return values


def _momentum(data: Data, case: str, batch: int) -> tuple[Any, Any]:
    at, momentum = (column(data["steps"], key, case=case, batch=batch) for key in ("at", "momentum"))
    return at, momentum


def _ending(data: Data, case: str) -> list[float]:
    """The share of the run from which on momentum is exactly zero, for every batch."""
    out = []
    for batch in BATCHES:
        at, momentum = _momentum(data, case, batch)
        out.append(float(at[momentum > 0.0].max(initial=0.0)))
    return out


def draw(data: Data) -> Figure:
    with style():
        figure = new_figure(WIDTH, 2.9)
        panels = figure.subplots(1, 4, width_ratios=(1.0, 1.0, 1.0, 0.9))
        for j, case in enumerate(first(data["steps"]["case"])):
            for i, batch in enumerate(BATCHES):
                at, momentum = _momentum(data, case, batch)
                panels[j].plot(at, momentum, color=PALETTE[i], lw=0.8, label=f"momentum, batch {batch}")
            numbers = problem_name(*CASES[case])
            panels[j].set(
                xlabel="share of the run", title=f"({'abc'[j]}) {case}\n{numbers}", ylim=(-0.02, 1.02), xlim=(0, 1)
            )
            gains = [column(data["risks"], key, case=case) for key in ("sgd", "free")]
            panels[3].plot(
                BATCHES, gains[0] / gains[1], "os^"[j], ls=DASHES[j], color=PALETTE[3 + j], ms=4, label=f"gain, {case}"
            )
        panels[0].set_ylabel("best momentum")
        panels[3].set(xscale="log", yscale="log", xlabel="batch", title="(d) risk of SGD over\nheavy ball, both free")
        panels[3].set_xticks(BATCHES, [str(batch) for batch in BATCHES])
        panels[3].set_xticks([], minor=True)
        legend(figure, (panels[0], panels[3]), 3)
    return figure


def claims(data: Data) -> list[Claim]:
    easy = [case for case in CASES if case != HARD]
    peaks, begins, ups = [], [], []
    for case in easy:
        for batch in BATCHES:
            at, momentum = _momentum(data, case, batch)
            begins.append(float(momentum[0]))
            peaks.append(float(momentum.max()))
            ups.append(float(at[momentum.argmax()]))
    ending = [each for case in easy for each in _ending(data, case)]
    hard = _ending(data, HARD)
    gain = {case: column(data["risks"], "sgd", case=case) / column(data["risks"], "free", case=case) for case in CASES}
    lost = np.array(
        [column(data["risks"], "smooth", case=case) / column(data["risks"], "free", case=case) - 1 for case in easy]
    )
    left = max(float(column(data["risks"], "left", case=case).max()) for case in easy)
    steps = "a convex quadratic in rate and momentum of each step, minimised exactly by Krotov's sweep (derived here)"
    return [
        Claim(
            "easy: the best momentum rises from zero, and ends at exactly zero for the last eighth of the run or more",
            steps,
            "zero at the first step, its largest after 1 to 30 % of the run, zero from 87.5 % on, and the exact "
            "engine's risk below that of SGD",
            f"largest {min(peaks):.2f} to {max(peaks):.2f} after {min(ups):.1%} to {max(ups):.0%}, zero from "
            f"{min(ending):.0%} to {max(ending):.0%} on",
            max(begins) == 0.0
            and min(ups) > 0.01
            and max(ups) < 0.3
            and max(ending) < 0.875
            and all(bool(np.all(gain[case] > 1.0)) for case in easy),
            own=True,
        ),
        Claim(
            "hard: the same descent to zero in the last eighth of the run",
            steps,
            "zero from 87.5 % of the run on, at every batch",
            f"zero from {min(hard):.1%} to {max(hard):.1%} on",
            max(hard) < 0.875,
            "momentum stays at its bound of one, with resets, until the last tenth of the run: the tail of a hard "
            "spectrum is never learned, and wants reach to the end",
            own=True,
        ),
        Claim(
            "easy: the ragged top of momentum means nothing",
            f"running medians of rate and momentum over {SPELL} steps, through the exact engine",
            "risk at most 0.02 % above",
            f"at most {100 * lost.max():.4f} % above; steps alone could still bring {left:.0e}",
            bool(np.all(np.abs(lost) <= 2e-4)),
            own=True,
        ),
        Claim(
            "momentum pays with the batch: at batch 1 the easy problems gain under 5 %, at 64 at least 40 %",
            "the best SGD over the best heavy ball, both with free rates; the latter a local optimum",
            "gain rises with the batch on all three, within these bounds on the easy ones",
            "; ".join(f"{case}: {', '.join(f'{each:.3g}' for each in gain[case])}" for case in CASES),
            all(bool(np.all(np.diff(each) > 0)) for each in gain.values())
            and all(1.0 <= gain[case][0] < 1.05 and 1.4 <= gain[case][-1] < 10.0 for case in easy),
            own=True,
        ),
    ]


FIGURES = [
    Reproduction(
        "results-momentum",
        "The best momentum of every step",
        "This project",
        2026,
        "Heavy ball on power laws of 250 modes (capacity, source, noise above each panel), 1,000 steps, batches 1, 8 "
        "and 64; a free rate and a free momentum in [0, 1] at every step (600 sweeps; full: 6,000), beside SGD with "
        "free rates. Not shown: a global optimum. The problem is not convex, sweeps have not converged (hard: starts "
        "end percents apart), and momentum may be one because there are only so many modes.",
        compute,
        draw,
        claims,
        seconds=5.0,
    )
]
