"""Shen et al. 2024 (arXiv 2408.13359): the best peak of WSD by batch and tokens, and the power scheduler made of it."""

from __future__ import annotations

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

    from simlab.methods import Method
    from simlab.problems.base import DiagonalProblem

__all__ = ["FIGURES", "SOURCES", "regression", "wsd"]

PAPER = "Shen, Stallone, Mishra, Zhang, Tan, Prasad, Meza Soria, Cox, Panda 2024, arXiv 2408.13359"
CAPACITY = 1.5
SOURCES = {"s = 1/3": 1.5, "s = 1": 2.5, "s = 1.4": 3.1, "s = 2": 4.0}
"""Task -> source exponent b; s = (b - 1)/a is the power of time at which the noiseless risk falls."""
BATCHES = (1, 4, 16, 64, 256)
SHORTEST = 64
KNOWN = 4_096
"""Samples up to which the power law is fitted, and at which the fixed WSD is tuned."""
PAPERS = "s = 1.4"
"""The task whose exponent is nearest to the -0.51 of the authors' scheduler."""
SMALL = 0.1
"""Of 1/lam_1: an order of magnitude below the rate at which the leading mode is learned in one step."""
REGRESSION = "SGD on a regression (power law of capacity 1.5, sigma^2 = 1) in place of the language models"
CHOSEN = "samples of the regression for tokens, s in {1/3, 1, 1.4, 2}, exponential cooldown over 10 % to a tenth"


def regression(source: float) -> sl.LinearRegression:
    """lam_i = i^-1.5 on a million modes, lam_i e_i^2 = i^-source, sigma^2 = 1."""
    return sl.LinearRegression.power_law(10**6, CAPACITY, source, noise_variance=1.0).compress(1e-5)


def wsd(steps: int, peak: float) -> sl.schedules.Schedule:
    """Constant, then the exponential cooldown of the power scheduler: over a tenth of the run, to a tenth."""
    return sl.schedules.wsd(steps, peak, cooldown=0.1, shape="exponential", floor=0.1)


def compute(scale: Scale) -> Data:
    """best: peak and risk by task, schedule, n and batch; power: what one setting of either loses at every n."""
    sizes = [4**k for k in {"tiny": range(5, 7), "quick": range(5, 9), "full": range(5, 10)}[scale]]
    best, power = [], []
    for task, source in SOURCES.items():
        problem = regression(source)
        caps = {batch: critical(problem, batch) for batch in BATCHES}
        found = [_tuned(problem, "wsd", n, caps) for n in sizes]
        found += [_tuned(problem, "constant", n, {1: caps[1]}) for n in sizes[: max(2, len(sizes) - 1)]]
        best.append(stack([{"task": task, **rows} for rows in found]))
        power.append({"task": task, **_settings(problem, best[-1], sizes, caps)})
    return {"best": stack(best), "power": stack(power)}


def _tuned(problem: DiagonalProblem, name: str, n: int, caps: dict[int, float]) -> dict[str, Any]:
    rows = []
    for batch, cap in ((b, cap) for b, cap in caps.items() if n // b >= SHORTEST):

        def run(peak: float, batch: int = batch) -> Method:
            steps = n // batch
            shape = wsd(steps, peak) if name == "wsd" else sl.schedules.constant(steps, peak)
            return sl.methods.sgd(shape, batch=batch)

        (peak,), (risk,) = best_peaks(problem, [run], cap)
        rows.append({"schedule": name, "n": n, "batch": batch, "peak": peak, "risk": risk, "cap": cap})
    return stack(rows)


def _settings(
    problem: DiagonalProblem, best: dict[str, Any], sizes: list[int], caps: dict[int, float]
) -> dict[str, Any]:
    """Risk over that of a retuned WSD: of the power scheduler and of WSD at the peak over batch of n = 4,096."""
    n, peak = (column(best, key, schedule="wsd", batch=1) for key in ("n", "peak"))
    exponent, level = np.polyfit(np.log(n[n <= KNOWN]), np.log(peak[n <= KNOWN]), 1)
    fixed = float(peak[n == KNOWN][0])
    rows = []
    for size in sizes:
        for batch, cap in ((b, cap) for b, cap in caps.items() if size // b >= SHORTEST):
            steps = size // batch
            one = sl.schedules.power_scheduler(
                steps, 0.5 * cap, batch * np.exp(level), exponent, float(batch), cooldown=0.1, floor=0.1
            )
            other = wsd(steps, min(batch * fixed, 0.5 * cap))
            risks = final_risks(problem, [sl.methods.sgd(rates, batch=batch) for rates in (one, other)])
            top, retuned = (column(best, key, schedule="wsd", batch=batch, n=size)[0] for key in ("peak", "risk"))
            row = {"n": size, "batch": batch, "power": risks[0] / retuned, "fixed": risks[1] / retuned}
            rows.append({**row, "capped": int(top > 0.5 * cap)})
    return stack(rows)


def draw(data: Data) -> Figure:
    with style():
        figure = new_figure(WIDTH, 3.0)
        panels = figure.subplots(1, 3)
        _by_batch(panels[0], data)
        _collapsed(panels[1], data)
        _lost(panels[2], data)
    return figure


def _by_batch(axes: Axes, data: Data) -> None:
    for i, batch in enumerate(BATCHES):
        n, peak = (column(data["best"], k, task="s = 1", schedule="wsd", batch=batch) for k in ("n", "peak"))
        axes.plot(n, peak, marker="os^Dv"[i], ms=3, color=PALETTE[i], ls=DASHES[i], label=f"B = {batch}")
    axes.set(xscale="log", yscale="log", xlabel="samples n", ylabel="best peak of WSD", title="(a) s = 1")
    axes.legend(ncols=2, loc="lower left", bbox_to_anchor=(-0.02, 1.12))


def _collapsed(axes: Axes, data: Data) -> None:
    for i, task in enumerate(SOURCES):
        for j, batch in enumerate(BATCHES):
            n, peak = (column(data["best"], k, task=task, schedule="wsd", batch=batch) for k in ("n", "peak"))
            axes.plot(n, peak / batch, "os^Dv"[j], ms=3, color=PALETTE[i], mfc="none")
        n, peak = (column(data["best"], k, task=task, schedule="wsd", batch=1) for k in ("n", "peak"))
        slope, level = np.polyfit(np.log(n), np.log(peak), 1)
        fit = np.exp(level) * n**slope
        axes.plot(n, fit, color=PALETTE[i], ls=DASHES[i], label=f"{task}: $n^{{{slope:.2f}}}$")
    axes.set(xscale="log", yscale="log", xlabel="samples n", ylabel="best peak / B", title="(b) divided by the batch")
    axes.legend(ncols=2, loc="lower left", bbox_to_anchor=(-0.15, 1.12), columnspacing=1.0)


def _lost(axes: Axes, data: Data) -> None:
    for i, task in enumerate(SOURCES):
        for name, dash, marker in (("power", "-", "o"), ("fixed", ":", "s")):
            n, ratio = (column(data["power"], key, task=task, batch=1) for key in ("n", name))
            label = {"power": "power scheduler", "fixed": "WSD tuned at 4,096"}[name] if i == 0 else None
            axes.plot(n, 100.0 * (ratio - 1.0), marker=marker, ms=3, color=PALETTE[i], ls=dash, label=label)
    axes.set(xscale="log", xlabel="samples n", ylabel="risk above retuned WSD [%]", title="(c) one setting, B = 1")
    axes.set_yscale("symlog", linthresh=10.0)
    axes.set_ylim(bottom=-3.0)
    axes.legend(loc="lower left", bbox_to_anchor=(-0.02, 1.12), title="colours as in (b)")


def claims(data: Data) -> list[Claim]:
    given: dict[str, Any] = {"chosen": CHOSEN, "substituted": REGRESSION}
    return [_batch_claim(data, given), *_token_claims(data, given), *_scheduler_claims(data, given), _constant(data)]


def _slopes(data: Data) -> tuple[FloatArray, FloatArray]:
    """Slope of log best peak in log batch between neighbouring batches at equal n, and the larger of both peaks."""
    slopes, peaks = [], []
    for task in SOURCES:
        for n in first(data["best"]["n"]):
            batch, peak = (column(data["best"], k, task=task, schedule="wsd", n=n) for k in ("batch", "peak"))
            slopes.append(np.diff(np.log(peak)) / np.diff(np.log(batch)))
            peaks.append(peak[1:])
    return np.concatenate(slopes), np.concatenate(peaks)


def _batch_claim(data: Data, given: dict[str, Any]) -> Claim:
    slope, peak = _slopes(data)
    small = slope[peak <= SMALL]
    off = np.abs(slope - 1.0) > 0.02
    turn = f"the first to leave is at a peak of {peak[off].min():.2f}" if off.any() else "none leaves"
    low = slope.min()
    return Claim(
        "at equal tokens the best peak of WSD is proportional to the batch",
        "abstract, and min(peak, B a n^b) in the authors' scheduler",
        f"slopes of log peak in log B within 0.02 of 1 where the peak is at most {SMALL}/lam_1",
        f"{small.min():.3f} .. {small.max():.3f} in {small.size} pairs" if small.size else "no such pair",
        bool(small.size and np.all(np.abs(small - 1.0) <= 0.02)),
        "the leading mode feels the rate itself, not only its ratio to the batch",
        paper="peak = B a n^b",
        turns=f"{turn}; near the critical rate the slope is as low as {low:.2f}",
        **given,
    )


def _fit(data: Data, task: str, schedule: str) -> tuple[float, float]:
    """Exponent of the best peak in n at batch 1, and the largest relative distance from that power law."""
    n, peak = (np.log(column(data["best"], k, task=task, schedule=schedule, batch=1)) for k in ("n", "peak"))
    line = np.polyfit(n, peak, 1)
    return float(line[0]), float(np.abs(np.expm1(peak - np.polyval(line, n))).max())


def _token_claims(data: Data, given: dict[str, Any]) -> list[Claim]:
    fits = {task: _fit(data, task, "wsd") for task in SOURCES}
    found = [fit[0] for fit in fits.values()]
    strength = [(source - 1.0) / CAPACITY for source in SOURCES.values()]
    between = min(found) <= -0.51 <= max(found)
    turn = float(np.interp(0.51, -np.array(found), strength)) if between else np.nan
    spoken = "; ".join(f"{task}: {slope:.2f}" for task, (slope, _) in fits.items())
    return [
        Claim(
            "the best peak of WSD is a power law in the number of tokens",
            "abstract",
            "within 10 % of one power of n, every task, batch 1",
            "; ".join(f"{task}: {off:.1%}" for task, (_, off) in fits.items()),
            max(off for _, off in fits.values()) <= 0.1,
            "where little noise has been met the largest stable rate caps the peak",
            paper="a power law",
            **given,
        ),
        Claim(
            "its exponent is about -1/2",
            "default of the authors' scheduler, b = -0.51",
            "the exponents of the tasks enclose -0.51",
            spoken,
            between,
            "no task of the three is as the paper's",
            paper="-0.51",
            turns=f"-0.51 is that of a task with s = {turn:.2f}" if between else "",
            **given,
        ),
    ]


def _worst(data: Data, name: str, task: str, **where: Any) -> float:
    """Largest risk over that of retuned WSD, beyond the samples that either setting was made on."""
    ratio, n = (column(data["power"], key, task=task, **where) for key in (name, "n"))
    return float(ratio[n > KNOWN].max(initial=0.0))


def _scheduler_claims(data: Data, given: dict[str, Any]) -> list[Claim]:
    power = {task: _worst(data, "power", task, capped=0) for task in SOURCES}
    fixed = {task: _worst(data, "fixed", task, capped=0) for task in SOURCES}
    capped = [_worst(data, "power", task, capped=1) for task in SOURCES]

    def spoken(values: dict[str, float]) -> str:
        return "; ".join(f"{task}: {value - 1.0:+.1%}" for task, value in values.items())

    return [
        Claim(
            "one setting of the power scheduler serves every length and batch",
            "abstract; scale and exponent fitted on the best WSD of up to 4,096 samples at batch 1",
            f"{PAPERS} (exponent nearest to the authors'): risk at most 3 % above a WSD retuned for each length and"
            " batch, beyond 4,096 samples, peaks below half the critical rate",
            f"at most {power[PAPERS] - 1.0:+.1%}",
            0.0 < power[PAPERS] <= 1.03,
            "below -1/2 the sum of squared rates is that of the first steps, whose noise slow modes keep",
            paper="consistently impressive performance with one set of hyper-parameters",
            turns=f"worst by task: {spoken(power)}; where half the critical rate binds, {max(capped) - 1.0:+.1%}",
            **given,
        ),
        Claim(
            "one setting of WSD does not",
            "introduction",
            "at the peak over batch of 4,096 samples more than 10 % above retuned WSD, tasks of s >= 1",
            spoken(fixed),
            all(fixed[task] > 1.1 for task in list(SOURCES)[1:]),
            "such short runs want nearly the same peak",
            paper="the best rate of WSD varies with the number of tokens",
            turns="s = 1/3, where the best peak hardly depends on the length",
            **given,
        ),
    ]


def _constant(data: Data) -> Claim:
    wanted = {task: -((b - 1.0) / CAPACITY) / (1.0 + (b - 1.0) / CAPACITY) for task, b in SOURCES.items()}
    found = {task: _fit(data, task, "constant")[0] for task in SOURCES}
    return Claim(
        "of a constant rate the exponent is -s/(1 + s)",
        "bias (peak T)^-s against noise peak/B at n = B T",
        "within 0.03, every task, batch 1",
        "; ".join(f"{task}: {found[task]:.3f} for {wanted[task]:.3f}" for task in SOURCES),
        all(abs(found[task] - wanted[task]) <= 0.03 for task in SOURCES),
        "where the best peak is not small the exponent of so few samples is not that of the limit",
        own=True,
    )


FIGURES = [
    Reproduction(
        "shen2024-power",
        "The best peak of WSD by batch and tokens, and the power scheduler",
        PAPER,
        2024,
        "SGD on power laws of a million modes (capacity 1.5, s = 1/3, 1, 1.4, 2, sigma^2 = 1), batches 1 .. 256, 1,024"
        " .. 65,536 samples (full: to 262,144), at least 64 steps. WSD with an exponential cooldown of 10 % to a tenth;"
        " best peaks by the exact engine up to the critical rate.",
        compute,
        draw,
        claims,
        chosen=(CHOSEN,),
        substituted=(REGRESSION,),
        seconds=4.0,
    )
]
