"""Ren 2025 (arXiv 2507.10575): VolSched, a cosine that is raised where the loss has calmed down."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from simlab.figures.columns import first, stack
from simlab.figures.reproduction import Claim, Data, Reproduction, Scale, column
from simlab.figures.results.optima import legend

import simlab as sl
from simlab.arrays import FloatArray
from simlab.plot import DASHES, PALETTE, WIDTH, new_figure, style

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["FIGURES"]

PAPER = "Ren 2025, arXiv 2507.10575"
CAPACITY, SOURCE, NOISE = 1.5, 2.0, 1.0
WEIGHTS = (0.0, 0.1, 0.3, 1.0)
"""c; 0 is the cosine, held over every N epochs."""
WINDOW, SHOWN = 5, 0.3
BATCHES = (1, 4)
TICKS = (0.02, 0.05, 0.1, 0.2, 0.5)
MODEL = "SGD on a regression, its loss that of the batches of an epoch, in the place of networks on CIFAR-100"


def loop(steps: int, epochs: int, peak: float, batch: int, weight: float) -> sl.methods.Method:
    """SGD under VolSched, which starts at `peak`."""
    rule = sl.feedback.volsched(weight, epochs, every=steps // epochs, window=WINDOW)
    return sl.methods.closed_loop(sl.methods.sgd(sl.schedules.constant(steps, peak), batch=batch), rule)


def compute(scale: Scale) -> Data:
    """ends: final risk and its standard error by batch, weight and peak.  factors: rate over the cosine's, by epoch,
    mean over replicas and in the limit.
    """
    dim, steps, epochs, replicas, count = {
        "tiny": (20, 120, 20, 4, 3),
        "quick": (200, 1_000, 100, 128, 7),
        "full": (400, 4_000, 200, 96, 9),
    }[scale]
    problem = sl.LinearRegression.power_law(dim, CAPACITY, SOURCE, NOISE)
    ends, factors = [], []
    for batch in BATCHES:
        peaks = np.sqrt(batch) * np.geomspace(0.015, 0.4, count)
        for weight in WEIGHTS:
            runs = {f"{peak:.6g}": loop(steps, epochs, peak, batch, weight) for peak in peaks}
            trace = sl.sample(problem, runs, basis="eigen", replicas=replicas, record=2, progress=False)
            risk, error = trace.total().values[:, -1], trace.dataset["total_error"].values[:, -1]
            ends.append({"batch": batch, "weight": weight, "peak": peaks, "risk": risk, "error": error})
        factors += _factors(problem, steps, epochs, batch, replicas)
    return {"ends": stack(ends), "factors": stack(factors)}


def _factors(
    problem: sl.LinearRegression, steps: int, epochs: int, batch: int, replicas: int
) -> list[dict[str, object]]:
    """Rate over that of weight 0 at the beginnings of epochs, of a low peak."""
    peak, every = 0.03, steps // epochs
    at = np.arange(WINDOW, epochs, WINDOW) * every
    cosine = 0.5 * peak * (1.0 + np.cos(np.pi * at / steps))
    method = loop(steps, epochs, peak, batch, SHOWN)
    trace = sl.sample(problem, method, basis="eigen", replicas=replicas, record=2, keep=at.tolist(), progress=False)
    held = np.array([_rates(trace, int(step)) for step in at])
    known = sl.limit(problem, method, record=at, progress=False).dataset["rate"]
    exact = known.reindex(step=at).values  # NaN where it has diverged
    ways = {"sampled": held.mean(axis=1), "limit": exact}
    return [{"batch": batch, "way": way, "epoch": at / every, "factor": rate / cosine} for way, rate in ways.items()]


def _rates(trace: sl.RiskTrace, step: int) -> FloatArray:
    """(replicas,), the rate that each goes on with: the first number that VolSched remembers."""
    state = trace.state_at(step)
    rates: FloatArray = state.arrays["z"][:, state.coordinates.index("memory"), 0]
    return rates


def draw(data: Data) -> Figure:
    table = data["ends"]
    with style():
        figure = new_figure(WIDTH, 2.8)
        panels = figure.subplots(1, 3)
        rates, *risks = panels
        for colour, batch in zip(PALETTE, BATCHES, strict=False):
            for dashes, way in zip(DASHES, ("sampled", "limit"), strict=False):
                epoch, factor = (column(data["factors"], name, batch=batch, way=way) for name in ("epoch", "factor"))
                label = f"batch {batch}, {'mean of runs' if way == 'sampled' else 'no noise in the loss'}"
                rates.plot(epoch, factor, color=colour, ls=dashes, label=label)
        rates.axhline(1.0, color="0.3", lw=0.8, ls=":")
        rates.set(yscale="log", xlabel="epoch", ylabel="rate / that of the cosine", title=f"(a) $c$ = {SHOWN:g}")
        for letter, axes, batch in zip("bc", risks, BATCHES, strict=True):
            for colour, weight in zip(PALETTE, WEIGHTS, strict=False):
                peak, risk, error = (
                    column(table, name, batch=batch, weight=weight) for name in ("peak", "risk", "error")
                )
                good = np.isfinite(risk) & (risk < 1.0)
                label = f"VolSched, $c$ = {weight:g}" if weight else "cosine, held over 5 epochs"
                axes.errorbar(
                    peak[good], risk[good], error[good], color=colour if weight else "black", ms=3, marker="o", lw=1.1,
                    label=label,
                )  # fmt: skip
            axes.set(xscale="log", yscale="log", xlabel="peak", ylabel="final risk", title=f"({letter}) batch {batch}")
            axes.set_xticks(TICKS, [f"{tick:g}" for tick in TICKS])
            axes.set_xticks([], minor=True)
        legend(figure, (rates, risks[0]), 3)
    return figure


def _against(data: Data, batch: int, weight: float) -> tuple[FloatArray, FloatArray]:
    """Final risk over that of the cosine at the same peak, and its standard error; infinite where it diverged."""
    (risk, error), (own, slack) = (
        [column(data["ends"], name, batch=batch, weight=each) for name in ("risk", "error")] for each in (weight, 0.0)
    )
    with np.errstate(invalid="ignore"):
        ratio = np.where(np.isfinite(risk), risk / own, np.inf)
        spread = ratio * np.hypot(error / risk, slack / own)
    return ratio, np.where(np.isfinite(spread), spread, 0.0)


def claims(data: Data) -> list[Claim]:
    weights = [weight for weight in first(data["ends"]["weight"]) if weight > 0.0]
    peaks = {batch: column(data["ends"], "peak", batch=batch, weight=0.0) for batch in BATCHES}
    best = {batch: int(np.argmin(column(data["ends"], "risk", batch=batch, weight=0.0))) for batch in BATCHES}
    cases = [(batch, weight, *_against(data, batch, weight)) for batch in BATCHES for weight in weights]
    at_best = [(batch, weight, ratio[best[batch]], error[best[batch]]) for batch, weight, ratio, error in cases]
    better = [(batch, weight) for batch, weight, ratio, error in at_best if ratio + 2.0 * error < 1.0]
    left = [ratio[0] + 2.0 * error[0] < 1.0 for *_, ratio, error in cases]
    right = {
        batch: [ratio[-1] > 1.0 for own, _, ratio, _ in cases if own == batch]
        for batch in BATCHES
        if peaks[batch][-1] >= 2.0 * peaks[batch][best[batch]]
    }
    factor = {way: [_most(data, batch, way) for batch in BATCHES] for way in ("sampled", "limit")}
    return [
        Claim(
            "it ends better than the cosine that it is built on",
            "abstract: against baselines on CIFAR-100",
            "at the cosine's best peak a lower final risk by more than two standard errors, at each batch, for some c",
            "; ".join(f"batch {b}, c = {c:g}: {r:.3f} +- {e:.3f} times" for b, c, r, e in at_best),
            all(any(own == batch for own, _ in better) for batch in BATCHES),
            "it raises the rate, which at the best peak is as bad as a higher peak",
            paper="1.4 and 1.3 points more accuracy",
            substituted=MODEL,
            turns="better at "
            + (", ".join(f"batch {batch} with c = {weight:g}" for batch, weight in better) or "no batch and c"),
        ),
        Claim(
            "it helps where the peak was too low and hurts where it was too high",
            "a schedule that raises the rate acts as a higher peak",
            "below the cosine by two standard errors at the lowest peak, for every c and batch; above it at the "
            "highest, where that is twice the best or more",
            "; ".join(
                f"batch {b}, c = {c:g}: {r[0]:.3f} at {peaks[b][0]:.3g}, {r[-1]:.3g} at {peaks[b][-1]:.3g}"
                for b, c, r, _ in cases
            )
            + "; best peaks "
            + ", ".join(f"{peaks[batch][best[batch]]:.3g} (batch {batch})" for batch in BATCHES),
            all(left) and bool(right) and all(all(each) for each in right.values()),
            "it raises the rate until the run diverges, from the lowest peak as well, or the ratio does not turn",
            own=True,
        ),
        Claim(
            "it raises the rate, and more so where the loss has no noise",
            "r = std(all) / std(last 5): all holds the steep descent of the last 50 epochs, and a spread of five "
            "numbers is small as often as large, its inverse large in the mean",
            "the rate of the cosine within 1 % until more than the last 5 are known; then at its largest 1.2 times or "
            "more in the mean over runs, and larger without noise in the loss",
            "; ".join(
                f"batch {batch}: {seen:.2f} (without noise {exact:.3g})"
                for batch, seen, exact in zip(BATCHES, factor["sampled"], factor["limit"], strict=True)
            ),
            all(seen >= 1.2 and exact > seen for seen, exact in zip(factor["sampled"], factor["limit"], strict=True))
            and all(
                abs(column(data["factors"], "factor", batch=b, way=way)[0] - 1.0) <= 0.01
                for b in BATCHES
                for way in factor
            ),
            "noise in the loss raises the rate by more than its descent",
            own=True,
        ),
    ]


def _most(data: Data, batch: int, way: str) -> float:
    """The largest mean rate over the cosine's, before divergence."""
    return float(np.nanmax(column(data["factors"], "factor", batch=batch, way=way)))


FIGURES = [
    Reproduction(
        "ren2025-volsched",
        "A cosine that follows the volatility of the loss",
        PAPER,
        2025,
        "Every 5 epochs the rate is multiplied by the cosine's own change and by 1 + sign(r - 1) ln(1 + c |r - 1|), r "
        "the spread of log ratios of losses over that of the last 5. SGD on a power law of 200 modes (full: 400), "
        "capacity 1.5, source 2, noise 1; 1,000 steps (full: 4,000) in 100 epochs (full: 200), 128 runs "
        "(full: 96). "
        "Flatness is not defined on a quadratic.",
        compute,
        draw,
        claims,
        chosen=("the spectrum, epochs of 10 steps, batches 1 and 4, c = 0.1, 0.3, 1",),
        substituted=(MODEL,),
        seconds=6.0,
    )
]
