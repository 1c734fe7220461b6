"""Wang, Liu and Chen 2026 (arXiv 2609.40148): schedules act through B / lr along the sum of the rates.

From the abstract, the authors' own summary and the protocols of their code; the paper itself was not at hand.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from simlab.figures.columns import first, stack
from simlab.figures.peaks import final_risks
from simlab.figures.reproduction import Claim, Data, Reproduction, Scale, column
from simlab.figures.results.optima import power_law

import simlab as sl
from simlab.plot import DASHES, PALETTE, WIDTH, new_figure, style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from simlab.arrays import FloatArray

__all__ = ["FIGURES"]

PAPER = "Wang, Liu, Chen 2026, arXiv 2609.40148"
LANGUAGE = (1.05, 1.39)
"""Capacity and source whose memory and forcing exponents, 1.05 and 0.37, are near those fitted to language models."""
MEMORIES = {"long": (0.8, 1.4), "integrable": (1.5, 2.2)}
"""Capacity and source; the first is the paper's own (alpha = 0.4, beta = 0.3)."""
THETAS = {"long": (0.25, 0.5, 0.9, 1.5, 3.0), "integrable": (0.0, 0.5, 1.0, 1.5, 3.0)}
"""Exponents of the growth of B / lr in intrinsic time; the first three destroy, change and preserve the clean law."""
LR, BATCH, MOST = 0.05, 4, 40
"""First rate and batch of the pairs, and the largest batch: a tenfold ratio at the end."""
START = 16
"""First batch of runs whose ratio grows."""
POWERS = (0.0, 0.25, 0.5, 0.75, 1.0)
PAIRS = {"rate": "lower rates", "batch": "larger batches"}


def forcing_exponent(capacity: float, source: float) -> float:
    """q_F = (source - 1) / capacity: (2 alpha + 2 beta - 1) / (2 alpha) in the paper's letters."""
    return (source - 1.0) / capacity


def memory_exponent(capacity: float) -> float:
    """q_K = 2 - 1 / capacity."""
    return 2.0 - 1.0 / capacity


def gap_exponent(theta: float, memory: float) -> float:
    """q_N of the noisy loss above the clean one where B / lr ~ T^theta.

    Integrable memory: min(theta, q_K). Long memory: theta + q_K - 1 for theta <= 1. Beyond that q_K: the ceiling.
    """
    return min(theta, memory) if memory > 1.0 else min(theta, 1.0) + memory - 1.0


def compute(scale: Scale) -> Data:
    """pairs: two ways to one ratio path; phases: bias and variance by growth; paths: final risks of equal samples."""
    prefix, time, samples = {
        "tiny": (400, 30.0, 2_000),
        "quick": (80_000, 1_000.0, 20_000),
        "full": (400_000, 1e4, 200_000),
    }[scale]
    return {
        "pairs": stack(_pairs(prefix)),
        "phases": stack(_phases(time)),
        "paths": stack(_paths(samples)),
    }


def _sizes(shape: str, prefix: int) -> list[int]:
    """Batch of every group of four steps in the tail, whose samples are a quarter of the prefix's."""
    left = BATCH * prefix // 4
    spent, sizes = 0, []
    while spent < left:
        share = spent / left
        ratio = 10.0**share if shape == "WSD" else (np.sqrt(10.0) if share < 0.5 else 10.0)
        sizes.append(min(MOST, round(BATCH * ratio)))
        spent += BATCH * sizes[-1]
    return sizes


def _pairs(prefix: int) -> list[dict[str, Any]]:
    """The tail of both shapes by lower rates at one batch, and by larger batches at one rate: groups of one dT."""
    problem = power_law(*LANGUAGE, 1.0)
    rows = []
    for shape in ("WSD", "8-1-1"):
        sizes = _sizes(shape, prefix)
        rates = np.concatenate([np.full(prefix, LR), *(np.full(g, BATCH * LR / g) for g in sizes)])
        batches = np.concatenate([np.full(prefix, BATCH), np.repeat(sizes, BATCH)])
        runs = {
            "rate": (sl.methods.sgd(sl.schedules.from_array(rates), batch=BATCH), np.cumsum([prefix, *sizes])),
            "batch": (
                sl.methods.sgd(sl.schedules.constant(batches.size, LR), batch=sl.schedules.from_array(batches)),
                prefix + BATCH * np.arange(len(sizes) + 1),
            ),
        }
        clock = LR * (prefix + BATCH * np.arange(len(sizes) + 1.0))
        for way, (method, ends) in runs.items():
            risk = sl.exact(problem, method, record=ends, progress=False).total().sel(step=ends).values
            rows.append({"shape": shape, "way": way, "step": ends, "time": clock, "risk": risk})
    return rows


def _phases(time: float) -> list[dict[str, Any]]:
    """Bias and variance at one rate, batches START (1 + T)^theta, along the intrinsic time T."""
    steps = round(time / LR)
    marks = np.unique(np.round(np.geomspace(1, steps, 160)).astype(int))
    rows = []
    for memory, numbers in MEMORIES.items():
        problem = power_law(*numbers, 1.0)
        clock = 1.0 + LR * np.arange(steps)
        runs = [
            sl.methods.sgd(
                sl.schedules.constant(steps, LR), batch=sl.schedules.from_array(np.ceil(START * clock**theta))
            )
            for theta in THETAS[memory]
        ]
        found = sl.exact(problem, runs, record=marks, progress=False).risk.sum("subspace").sel(step=marks)
        for theta, run in zip(THETAS[memory], found.values, strict=True):
            rows.append(
                {"memory": memory, "theta": theta, "time": LR * marks, "bias": run[:, 0], "variance": run[:, 1]}
            )
    return rows


def _paths(samples: int) -> list[dict[str, Any]]:
    """Final risks at batch 1 of ratio paths with the same samples and the same intrinsic time."""
    rows = []
    for memory, numbers in MEMORIES.items():
        problem = power_law(*numbers, 1.0)
        time = samples / 100.0
        u = time * (1.0 - np.geomspace(1.0, 1e-6, 4_000))
        u[-1] = time
        lam, count = problem.eigenvalues, problem.multiplicity
        signal = lam * problem.initial_error**2
        forcing = np.exp(-2.0 * np.outer(u, lam)) @ (count * signal)
        kernel = np.exp(-2.0 * np.outer(time - u, lam)) @ (count * lam**2)
        share = u / time
        paths = {f"{p:g}": (kernel * (forcing + 1.0)) ** p for p in POWERS}
        paths["WSD"] = 10.0 ** np.clip(5.0 * share - 4.0, 0.0, 1.0)
        paths["8-1-1"] = np.where(share < 0.8, 1.0, np.where(share < 0.9, np.sqrt(10.0), 10.0))
        runs = [sl.methods.sgd(sl.schedules.from_array(_rates(u, ratio, samples))) for ratio in paths.values()]
        rows.append({"memory": memory, "path": list(paths), "risk": final_risks(problem, runs)})
    return rows


def _rates(u: FloatArray, ratio: FloatArray, samples: int) -> FloatArray:
    """Rates at batch 1 whose sum is u[-1] in so many steps, with 1 / rate proportional to the ratio along u."""
    spent = np.concatenate([[0.0], np.cumsum(0.5 * (ratio[1:] + ratio[:-1]) * np.diff(u))])
    return np.diff(np.interp(np.linspace(0.0, spent[-1], samples + 1), spent, u))


def apart(data: Data, shape: str, clock: str) -> float:
    """Largest relative distance of the two ways of a pair in its tail, at equal times or at equal steps."""
    x, y = ({key: column(data["pairs"], key, shape=shape, way=way) for key in (clock, "risk")} for way in PAIRS)
    last = min(x[clock][-1], y[clock][-1])
    at = y[clock][y[clock] <= last]
    return float(np.max(np.abs(np.interp(at, x[clock], x["risk"]) / y["risk"][: at.size] - 1.0)))


def _slope(data: Data, memory: str, theta: float, name: str) -> float:
    """Exponent of the decay in intrinsic time over the last tenfold of it."""
    time, value = (column(data["phases"], key, memory=memory, theta=theta) for key in ("time", name))
    late = time >= 0.1 * time[-1]
    return -float(np.polyfit(np.log(time[late]), np.log(value[late]), 1)[0])


def _growth(data: Data, memory: str, theta: float) -> float:
    """Gap over clean risk at the end, over the same at a tenth of the time."""
    time, bias, variance = (
        column(data["phases"], key, memory=memory, theta=theta) for key in ("time", "bias", "variance")
    )
    ratio = variance / bias
    return float(ratio[-1] / np.interp(0.1 * time[-1], time, ratio))


def draw(data: Data) -> Figure:
    with style():
        figure = new_figure(WIDTH, 4.8)
        panels = figure.subplots(2, 2)
        for axes, clock, title in zip(panels[0], ("step", "time"), ("(a) by step", "(b) by $T=\\sum$ lr"), strict=True):
            for j, shape in enumerate(("WSD", "8-1-1")):
                for k, way in enumerate(PAIRS):
                    x, risk = (column(data["pairs"], key, shape=shape, way=way) for key in (clock, "risk"))
                    axes.plot(x, risk, color=PALETTE[2 * j + k], ls=DASHES[2 * k], label=f"{shape}, {PAIRS[way]}")
            axes.set(xlabel="step" if clock == "step" else "intrinsic time $T$", ylabel="risk", title=title)
            axes.locator_params(axis="x", nbins=5)
        panels[0, 0].legend()
        _map(panels[1, 0], data)
        for j, memory in enumerate(MEMORIES):
            risk = np.array([column(data["paths"], "risk", memory=memory, path=f"{p:g}")[0] for p in POWERS])
            panels[1, 1].plot(POWERS, risk / risk.min(), "os"[j], ls="-", color=PALETTE[j], label=f"{memory} memory")
            for k, path in enumerate(("WSD", "8-1-1")):
                other = column(data["paths"], "risk", memory=memory, path=path)[0] / risk.min()
                panels[1, 1].axhline(other, color=PALETTE[j], ls=DASHES[k + 1], lw=0.9, label=f"{memory}, {path}")
        panels[1, 1].set(
            xlabel="power $p$", ylabel="risk / best", title=r"(d) $B/$lr $\propto [k(T-u)(F(u)+\sigma^2)]^p$"
        )
        panels[1, 1].legend()
    return figure


def _map(axes: Axes, data: Data) -> None:
    for j, (memory, numbers) in enumerate(MEMORIES.items()):
        theta = np.linspace(0.0, 3.0, 200)
        kept = memory_exponent(numbers[0])
        axes.plot(theta, [gap_exponent(x, kept) for x in theta], color=PALETTE[j], label=f"{memory} memory")
        found = [_slope(data, memory, x, "variance") for x in THETAS[memory]]
        axes.plot(THETAS[memory], found, "os"[j], color=PALETTE[j], label=None if j else "measured")
        axes.axhline(
            forcing_exponent(*numbers), color=PALETTE[j], ls=":", lw=0.9, label=None if j else "clean exponent"
        )
    axes.set(xlabel=r"$\vartheta$ of $B/$lr $\sim T^\vartheta$", ylabel="exponent of the gap", title="(c) phases")
    axes.set_ylim(-1.0, 1.6)
    axes.legend(loc="lower right")


def claims(data: Data) -> list[Claim]:
    return [_collapse(data), _gap(data), _outcomes(data), _ceiling(data), _root(data)]


def _collapse(data: Data) -> Claim:
    shapes = first(data["pairs"]["shape"])
    near, far = ({shape: apart(data, shape, clock) for shape in shapes} for clock in ("time", "step"))
    return Claim(
        "one ratio path by lower rates or by larger batches: one curve in intrinsic time, two in steps",
        "abstract, (1); paired runs of 124M and 300M models",
        "in the tail at most 1 % apart at equal T and at least 10 % at equal steps, both shapes",
        f"at equal T {', '.join(f'{x:.2%} ({s})' for s, x in near.items())}; at equal steps "
        f"{', '.join(f'{x:.0%} ({s})' for s, x in far.items())}",
        max(near.values()) <= 0.01 and min(far.values()) >= 0.1,
        "the rates are too near the critical one for the limit of small rates",
        paper="nearly equivalent in intrinsic time",
        chosen=f"capacity {LANGUAGE[0]}, source {LANGUAGE[1]}, sigma^2 = 1, lr {LR}, batch {BATCH} to {MOST}",
        substituted=SUBSTITUTED,
    )


def _gap(data: Data) -> Claim:
    wanted = {(m, x): gap_exponent(x, memory_exponent(MEMORIES[m][0])) for m in MEMORIES for x in THETAS[m][:3]}
    found = {key: _slope(data, *key, "variance") for key in wanted}
    off = {key: abs(found[key] - wanted[key]) for key in wanted}
    return Claim(
        "the noisy loss above the clean one decays as T^-q, q set by the growth of the ratio and by memory",
        "phase map: q = theta + q_K - 1 (long memory), min(theta, q_K) (integrable), q_K = 2 - 1/(2 alpha)",
        "exponent over the last tenfold of T within 0.1 of it, three theta of each memory",
        "; ".join(f"{m}, theta = {x:g}: {found[m, x]:.3f} against {wanted[m, x]:.3f}" for m, x in wanted),
        max(off.values()) <= 0.1,
        "the time is too short for the corrections to the power",
        chosen=f"{PHASES}; the spectrum of long memory is the paper's",
    )


def _outcomes(data: Data) -> Claim:
    words = ("destroy", "change", "preserve")
    growth = {m: [_growth(data, m, x) for x in THETAS[m][:3]] for m in MEMORIES}
    flat = {m: _slope(data, m, THETAS[m][0], "variance") for m in MEMORIES}
    return Claim(
        "a schedule preserves, changes or destroys the clean power law",
        "abstract; theta = 0.9, 0.5, 0.25 at alpha = 0.4, beta = 0.3",
        "gap over clean risk grows over the last tenfold of T where destroyed and changed, and not where preserved;"
        " the gap's own exponent within 0.1 of 0 where destroyed; both memories",
        "; ".join(
            f"{m}: "
            + ", ".join(f"{w} x {g:.3g}" for w, g in zip(words, growth[m], strict=True))
            + f", exponent {flat[m]:.3f}"
            for m in MEMORIES
        ),
        all(g[0] > 1.0 and g[1] > 1.0 and g[2] <= 1.0 for g in growth.values()) and max(map(abs, flat.values())) <= 0.1,
        "at the boundary corrections to the powers decide",
        paper="destroy, change, preserve",
        chosen=f"{PHASES}; integrable memory at theta = 0, 0.5, 1",
    )


def _ceiling(data: Data) -> Claim:
    found = {m: [_slope(data, m, x, "variance") for x in THETAS[m][2:]] for m in MEMORIES}
    wanted = {m: memory_exponent(MEMORIES[m][0]) for m in MEMORIES}
    return Claim(
        "memory sets a ceiling: past it a faster growth of the ratio no longer speeds the decay of the gap",
        "abstract (memory-imposed ceiling): q_K",
        "exponents at theta = 1.5 and 3 within 0.1 of q_K, and within 0.1 of each other, both memories",
        "; ".join(
            f"{m}: "
            + ", ".join(f"{v:.3f} ({x:g})" for v, x in zip(found[m], THETAS[m][2:], strict=True))
            + f" against {wanted[m]:.3f}"
            for m in MEMORIES
        ),
        all(
            abs(found[m][1] - found[m][2]) <= 0.1 and max(abs(found[m][k] - wanted[m]) for k in (1, 2)) <= 0.1
            for m in MEMORIES
        ),
        "the time is too short for the corrections to the power",
        chosen=PHASES,
    )


def _root(data: Data) -> Claim:
    risk = {
        m: {p: column(data["paths"], "risk", memory=m, path=p)[0] for p in first(data["paths"]["path"])}
        for m in MEMORIES
    }
    best = {m: min(each, key=each.__getitem__) for m, each in risk.items()}
    return Claim(
        "at given samples and intrinsic time the best ratio is the root of memory times source",
        "section 5.3: r(u) ~ sqrt(k(T - u) (F(u) + sigma^2))",
        "least final risk of five powers of k (F + sigma^2), WSD and 8-1-1, both memories",
        "; ".join(
            f"{m}: best {best[m]}; over the root's "
            + ", ".join(f"{p} {x / risk[m]['0.5']:.4f}" for p, x in risk[m].items())
            for m in MEMORIES
        ),
        all(name == "0.5" for name in best.values()),
        "noise that comes back at a finite rate shifts the best power",
        chosen="batch 1, mean rate 0.01, the spectra of (c), powers 0 to 1 by quarters",
    )


SUBSTITUTED = "a power-law regression for language models"
PHASES = f"sigma^2 = 1, lr {LR}, batches {START} (1 + T)^theta"
FIGURES = [
    Reproduction(
        "wang2026joint-ratio",
        "Rates and batches act through their ratio along the sum of the rates",
        PAPER,
        2026,
        "SGD on power laws of 10^8 modes, sigma^2 = 1. Pairs: 80,000 steps (full: 400,000), then a tail of a quarter of"
        " their samples in which B / lr grows tenfold, gradually (WSD) or in two steps (8-1-1), by rates or by batches."
        " Phases: B / lr ~ T^theta to T = 1,000 (10^4), capacity and source 0.8, 1.4 and 1.5, 2.2. Paths: 20,000"
        " (200,000) samples at batch 1 and mean rate 0.01. Muon's clock and fits to language models are not in it.",
        compute,
        draw,
        claims,
        chosen=("rates, batches, times; spectra but that of long memory",),
        substituted=(SUBSTITUTED,),
        seconds=2.0,
    )
]
