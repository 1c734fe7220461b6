"""Xiao, Marshall, Agarwala and Paquette 2024 (arXiv 2411.12135): exact risk curves of signSGD in high dimensions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from simlab.figures.columns import first, stack
from simlab.figures.reproduction import Claim, Data, Reproduction, Scale, column
from simlab.figures.results.optima import legend

import simlab as sl
from simlab.plot import DASHES, PALETTE, WIDTH, new_figure, style

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["FIGURES"]

PAPER = "Xiao, Marshall, Agarwala and Paquette 2024, arXiv 2411.12135"
BATCHES = (1, 4)
NOISE = 0.25
FLOOR_RATES = (0.0015, 0.003, 0.006)
LEVELS = (1.0, 0.01)
"""Two eigenvalues, in equal halves: condition number 100."""


def problem(dim: int, noise: float) -> sl.LinearRegression:
    """Eigenvalues even from 1.5 to 0.5, |w_0 - w*| = 1 in equal shares."""
    return sl.LinearRegression(np.linspace(1.5, 0.5, dim), np.full(dim, dim**-0.5), noise)


def levels(dim: int, noise: float) -> sl.LinearRegression:
    values = np.repeat(LEVELS, dim // 2)
    return sl.LinearRegression(values, np.full(dim, dim**-0.5), noise)


def compute(scale: Scale) -> Data:
    """curves: risk of the limit and of runs; floors: where constant rates end; modes: rates of decay; bases: ends."""
    dims, steps, replicas, long = {
        "tiny": ((10, 40), 100, 8, 400),
        "quick": ((50, 400), 600, 24, 3_000),
        "full": ((50, 400, 1_600), 1_200, 12, 8_000),
    }[scale]
    curves = [_curve(dim, batch, replicas) for dim in dims for batch in BATCHES]
    floors = [_floor(noise, rate, long) for noise in (0.0, NOISE) for rate in FLOOR_RATES]
    return {"curves": stack(curves), "floors": stack(floors), "modes": stack(_modes(steps)), "bases": _bases(steps)}


def _curve(dim: int, batch: int, replicas: int) -> dict[str, Any]:
    """Risk at the rate 1 / (2 d) up to step 4 d: of the limit, mean of runs, and their standard deviation."""
    steps = 4 * dim
    method = sl.methods.sign_sgd(sl.schedules.constant(steps, 0.5 / dim), batch=batch)
    task = problem(dim, NOISE)
    at = np.unique(np.linspace(0, steps, 31).astype(int))
    known = sl.limit(task, method, record=at, progress=False).total().values
    seen = sl.sample(
        task, method, basis="eigen", replicas=replicas, record=at, seed=3, split=False, progress=False
    )  # fmt: skip
    return {
        "dim": dim, "batch": batch, "t": at / dim, "limit": known, "mean": seen.total().values,
        "spread": seen.dataset["total_error"].values * replicas**0.5,
    }  # fmt: skip


def _floor(noise: float, rate: float, steps: int) -> dict[str, Any]:
    """Risk where signSGD at a constant rate, batch 1, no longer falls, and R / 2 of the formula."""
    dim = 30
    method = sl.methods.sign_sgd(sl.schedules.constant(steps, rate))
    trace = sl.limit(problem(dim, noise), method, record=2, progress=False)
    k = rate * np.sqrt(problem(dim, noise).eigenvalues).sum() / (2.0 * 2.0 / np.pi)
    formula = 0.25 * (k * k + np.sqrt(k**4 + 4.0 * k * k * noise))
    return {"noise": noise, "rate": rate, "risk": float(trace.total().values[-1]), "formula": float(formula)}


def _modes(steps: int) -> list[dict[str, Any]]:
    """How fast the mean error decays in both halves of two levels, at a residual that stays as it is (much noise)."""
    dim = 40
    task = levels(dim, 1e4)
    where = {"head": range(1, dim // 2 + 1), "tail": range(dim // 2 + 1, dim + 1)}
    sign = sl.methods.sign_sgd(sl.schedules.constant(steps, 1e-2))
    plain = sl.methods.sgd(sl.schedules.constant(steps, 1e-3))
    traces = {
        "signSGD": sl.limit(task, sign, record=2, subspaces=where, progress=False),
        "SGD": sl.exact(task, plain, record=2, subspaces=where, deterministic=True, progress=False),
    }
    out = []
    for name, trace in traces.items():
        part = "bias" if name == "signSGD" else "deterministic"
        for level in where:
            first_, last = trace.risk.sel(component=part, subspace=level).values[[0, -1]]
            out.append({"method": name, "level": level, "decay": float(np.log(first_ / last) / steps)})
    return out


def _bases(steps: int) -> dict[str, Any]:
    """Best final risk over peaks of a linear decay: signSGD along the eigenvectors and rotated, and SGD."""
    dim, replicas = 40, 16
    task = levels(dim, 0.01)
    peaks = np.geomspace(1.0, 1e-2, 7) * dim**-0.5
    signs = {f"{j}": sl.methods.sign_sgd(sl.schedules.linear(steps, peak)) for j, peak in enumerate(peaks)}
    how: dict[str, Any] = {"replicas": replicas, "record": 2, "seed": 4, "split": False, "progress": False}
    along = sl.sample(task, signs, basis="eigen", **how).total().values[:, -1]
    turned = sl.sample(task.rotated(1), signs, **how).total().values[:, -1]
    plain = sl.tune(task, "linear", steps).risk
    return {"basis": ["along", "rotated", "SGD"], "risk": [along.min(), turned.min(), plain]}


def draw(data: Data) -> Figure:
    table = data["curves"]
    with style():
        figure = new_figure(WIDTH, 2.7)
        panels = figure.subplots(1, 3)
        curves, floors, bars = panels
        for j, dim in enumerate(first(table["dim"])):
            for dashes, batch in zip(DASHES, BATCHES, strict=False):
                t, known, mean, spread = (
                    column(table, name, dim=dim, batch=batch) for name in ("t", "limit", "mean", "spread")
                )
                curves.plot(t, known, color=PALETTE[j], ls=dashes, label=f"$d$ = {dim:,}, batch {batch}: limit")
                curves.fill_between(t, mean - spread, mean + spread, color=PALETTE[j], alpha=0.25, lw=0)
        curves.fill_between([], [], [], color="0.5", alpha=0.35, lw=0, label="runs: mean +- one deviation")
        curves.set(yscale="log", xlabel="time $t$ = step / $d$", ylabel="excess risk", title="(a)")
        for colour, noise in zip(PALETTE[2:], (NOISE, 0.0), strict=False):
            rate, risk, formula = (column(data["floors"], n, noise=noise) for n in ("rate", "risk", "formula"))
            floors.plot(rate, formula, color=colour, label=f"formula, noise {noise:g}")
            floors.plot(rate, risk, "o", color=colour, ms=4, label=f"limit, noise {noise:g}")
        floors.set(xscale="log", yscale="log", xlabel="learning rate", ylabel="final risk", title="(b)")
        floors.set_xticks(FLOOR_RATES, [f"{rate:g}" for rate in FLOOR_RATES])
        floors.set_xticks([], minor=True)
        risks = np.asarray(data["bases"]["risk"], dtype=float)
        names = ["signSGD,\neigenbasis", "signSGD,\nrotated", "SGD"]
        bars.bar(names, risks, color=PALETTE[:3])
        bars.set(ylabel="final risk, best linear decay", title="(c)")
        legend(figure, (curves, floors), 4)
    return figure


def claims(data: Data) -> list[Claim]:
    table = data["curves"]
    dims = first(table["dim"])
    off, spread = [], []
    for dim in dims:
        known, mean, width = (column(table, name, dim=dim) for name in ("limit", "mean", "spread"))
        off.append(float(np.max(np.abs(mean / known - 1.0))))
        spread.append(float(np.mean(width / known)))
    narrower, wanted = spread[0] / spread[-1], (dims[-1] / dims[0]) ** 0.5
    slopes, apart = {}, 0.0
    for noise in (0.0, NOISE):
        rate, risk, formula = (column(data["floors"], n, noise=noise) for n in ("rate", "risk", "formula"))
        slopes[noise] = float(np.polyfit(np.log(rate), np.log(risk), 1)[0])
        apart = max(apart, float(np.max(np.abs(risk / formula - 1.0))))
    decay = {
        name: column(data["modes"], "decay", method=name, level="head")[0]
        / column(data["modes"], "decay", method=name, level="tail")[0]
        for name in ("signSGD", "SGD")
    }
    along, turned, plain = np.asarray(data["bases"]["risk"], dtype=float)
    kappa = LEVELS[0] / LEVELS[1]
    return [
        Claim(
            "the risk of signSGD follows a deterministic curve in high dimensions",
            "abstract; risk-curve figures",
            f"mean of runs within 5 % of the limit at the largest d, their spread narrower by {wanted:.1f}, to 40 %",
            f"d = {dims[-1]}: within {off[-1]:.1%}; {narrower:.2f} times narrower than at d = {dims[0]}",
            bool(off[-1] <= 0.05 and abs(narrower / wanted - 1.0) <= 0.4),
            "the limit is off, or too few runs to tell",
            paper="a limiting SDE and ODE describe the risk",
            chosen="eigenvalues from 0.5 to 1.5, noise 0.25, batches 1 and 4 (the ODE of a batch is derived here)",
        ),
        Claim(
            "effective learning rate: it grows as the risk falls, so a constant rate never converges, noise or not",
            "drift lr c_B / sqrt(R + noise); stationary point of the limit",
            "final risk of order lr with noise, lr^2 without: slopes 1 and 2, to 0.1; the formula within 3 %",
            f"slopes {slopes[NOISE]:.2f} and {slopes[0.0]:.2f}; within {apart:.1%}",
            bool(abs(slopes[NOISE] - 1.0) <= 0.1 and abs(slopes[0.0] - 2.0) <= 0.1 and apart <= 0.03),
            "the runs have not settled",
            chosen="eigenvalues from 0.5 to 1.5, d = 30",
        ),
        Claim(
            "diagonal preconditioning: the condition number of a diagonal covariance is square-rooted",
            "abstract; drift of a coordinate ~ sqrt(lam_i)",
            f"decay of the mean error at lam = 1 over that at lam = {LEVELS[1]:g}: {kappa**0.5:.0f} +- 1 where SGD has "
            f"{kappa:.0f} +- 1",
            f"{decay['signSGD']:.2f}, SGD {decay['SGD']:.2f}",
            bool(abs(decay["signSGD"] - kappa**0.5) <= 1.0 and abs(decay["SGD"] - kappa) <= 1.0),
            "the residual does not stay constant",
            chosen="two eigenvalues in equal halves",
        ),
        Claim(
            "a rotation takes that advantage away",
            "best final risk over peaks of a linear decay, condition number 100, noise 0.01",
            "signSGD along the eigenvectors below SGD, and rotated at least 1.3 times it",
            f"{along / plain:.2f} and {turned / plain:.2f}",
            bool(along < plain and turned >= 1.3 * plain),
            "signs gain in any basis, or in none",
            own=True,
        ),
    ]


FIGURES = [
    Reproduction(
        "xiao2024-signsgd",
        "Risk curves of signSGD",
        PAPER,
        2024,
        "signSGD on Gaussian regressions. (a) eigenvalues from 0.5 to 1.5, noise 0.25, rate 1 / (2 d), 24 runs (full: "
        "12, d to 1,600) and the limit; (b) the same, constant rates, batch 1, d = 30; (c) eigenvalues 1 and 0.01 in "
        "equal halves, d = 40, noise 0.01, 600 steps (full: 1,200), the best of seven peaks.",
        compute,
        draw,
        claims,
        chosen=("spectra, rates and noise",),
        seconds=3.0,
    )
]
