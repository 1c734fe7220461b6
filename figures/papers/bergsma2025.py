"""Bergsma et al. 2025 (arXiv 2502.15938), straight to zero: AdamW as an average of its updates; decay to zero.

Dual coefficients are those of AdamW's extended moving average; the risk over training lengths is that of SGD on linear
regression, where the eigenvalue plays the part of the weight decay.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from simlab.figures.papers.columns import first, stack
from simlab.figures.reproduction import Claim, Data, Reproduction, Scale, column
from simlab.theory.bergsma2025 import adamw_coefficients, adamw_effective_updates

import simlab as sl
from simlab.arrays import FloatArray
from simlab.plot import DASHES, PALETTE, WIDTH, new_figure, style

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from simlab.schedules import Schedule

PAPER = "Bergsma, Dey, Gosal, Gray, Soboleva, Hestness 2025, arXiv 2502.15938"
SCHEDULES = ("constant", "10x decay", "linear to zero", "cosine to zero")
EFFECTIVE = {"constant": 39, "10x decay": 248, "linear to zero": 318, "cosine to zero": 351}
LAST = {"constant": 1.0, "10x decay": 0.93, "linear to zero": 0.0116, "cosine to zero": 3e-5}
"""Last coefficient over the largest, T = 1,000, alpha = 0.05 (notes 5)."""


def _schedule(name: str, steps: int, peak: float, warmup: float = 0.0) -> Schedule:
    if name == "constant":
        return sl.schedules.constant(steps, peak, warmup=warmup)
    if name == "cosine to zero":
        return sl.schedules.cosine(steps, peak, warmup=warmup)
    floor = {"10x decay": 0.1, "linear to zero": 0.0}[name]
    return sl.schedules.linear(steps, peak, floor=floor, warmup=warmup)


# -- dual coefficients -------------------------------------------------------------------------------------------------


def compute_dual(scale: Scale) -> Data:
    steps, alpha = 1_000, 0.05
    rates = np.geomspace(1e-3, 1.0, 10 if scale == "tiny" else 61)
    curves, numbers, sweep = [], [], []
    for name in SCHEDULES:
        lr = _schedule(name, steps, 1.0).values()
        weight = adamw_coefficients(lr, alpha)
        updates = weight[1:]
        curves.append({"schedule": name, "t": np.arange(1, steps + 1), "lr": alpha * lr, "weight": updates})
        last = updates[-1] / updates.max()
        facts = {"n_eff": float(adamw_effective_updates(lr, alpha)), "last": last, "sum_error": abs(weight.sum() - 1.0)}
        numbers.append({"schedule": name, **facts, "initial": weight[0]})
        sweep.append({"schedule": name, "alpha": rates, "n_eff": adamw_effective_updates(lr, rates)})
    return {"curves": stack(curves), "numbers": stack(numbers), "sweep": stack(sweep)}


def draw_dual(data: Data) -> Figure:
    curves, sweep = data["curves"], data["sweep"]
    with style():
        figure = new_figure(WIDTH, 2.5)
        a, b, c = figure.subplots(1, 3)
        for i, name in enumerate(first(curves["schedule"])):
            look = {"color": PALETTE[i], "ls": DASHES[i], "label": name}
            t, lr, weight = (column(curves, key, schedule=name) for key in ("t", "lr", "weight"))
            a.plot(t, lr, **look)
            b.plot(t, weight, **look)
            c.plot(column(sweep, "alpha", schedule=name), column(sweep, "n_eff", schedule=name), **look)
        a.set(title="(a) learning rate", xlabel="step $t$", ylabel=r"$\alpha_t = \eta_t \lambda$", ylim=(0.0, 0.056))
        b.set(title="(b) dual coefficients", xlabel="step $t$", ylabel="weight of update $t$ in the end", yscale="log")
        b.set_ylim(1e-6, 0.1)
        c.axvline(0.05, color="0.7", lw=0.7)
        c.set(title="(c) updates averaged", xlabel=r"peak $\alpha$ (AdamW: $\eta\lambda$; SGD: $\eta\lambda_i$)")
        c.set(ylabel=r"$n_{\mathrm{eff}}$", xscale="log", yscale="log", ylim=(1.0, 1500.0))
        figure.legend(*a.get_legend_handles_labels(), loc="outside lower center", ncols=4)
    return figure


def claims_dual(data: Data) -> list[Claim]:
    numbers, sweep = data["numbers"], data["sweep"]
    n_eff = {name: float(column(numbers, "n_eff", schedule=name)[0]) for name in SCHEDULES}
    last = {name: float(column(numbers, "last", schedule=name)[0]) for name in SCHEDULES}
    error = float(column(numbers, "sum_error").max())
    middle = {name: column(sweep, "n_eff", schedule=name) for name in SCHEDULES}
    return [
        Claim(
            "updates averaged: 39 (constant), 248 (10x), 318 (linear to zero), 351 (cosine to zero)",
            "section 3; notes 5",
            "rounded to the same whole numbers",
            ", ".join(f"{value:.2f}" for value in n_eff.values()),
            all(round(n_eff[name]) == number for name, number in EFFECTIVE.items()),
        ),
        Claim(
            "the last update weighs most at a constant rate, almost nothing with decay to zero",
            "figure 1; notes 5",
            "last / largest 1, 0.93, 0.0116, 3e-5 to their digits",
            ", ".join(f"{value:.3g}" for value in last.values()),
            all(abs(last[name] / number - 1.0) <= 0.05 for name, number in LAST.items())
            and abs(last["10x decay"] - 0.93) <= 5e-3
            and abs(last["linear to zero"] - 0.0116) <= 5e-5,
        ),
        Claim(
            "the coefficients, with that of the initial weights, sum to one",
            "section 3",
            "<= 1e-13",
            f"{error:.1e}",
            error <= 1e-13,
        ),
        Claim(
            "decay to zero averages more updates than 10x decay once the run is long in units of 1 / alpha",
            "section 3",
            "n_eff of linear to zero above 10x for all alpha T >= 20",
            f"ratio {float(np.min((middle['linear to zero'] / middle['10x decay'])[_long(data)])):.3f} at least",
            bool(np.all((middle["linear to zero"] > middle["10x decay"])[_long(data)])),
        ),
    ]


def _long(data: Data) -> npt.NDArray[np.bool_]:
    steps = column(data["curves"], "t").max()
    return np.asarray(column(data["sweep"], "alpha", schedule="constant") * steps >= 20.0)


# -- training length ---------------------------------------------------------------------------------------------------

RACE = ("10x decay", "linear to zero", "cosine to zero", "wsd")
PROBLEMS = {"little in the tail": 2.0, "much in the tail": 1.2}
"""Source exponents: how the initial risk is spread over the modes."""
MAIN, OTHER = PROBLEMS


def compute_lengths(scale: Scale) -> Data:
    dim, longest, count = {"tiny": (30, 300, 4), "quick": (500, 20_000, 14), "full": (5_000, 200_000, 20)}[scale]
    lengths = np.unique([*np.geomspace(20, longest, count).astype(int), round(0.4 * longest)])
    table = []
    for where, source in PROBLEMS.items():
        problem = sl.LinearRegression.power_law(dim=dim, capacity=1.5, source=source, noise_variance=1.0).compress()
        runs = {}
        for name in RACE:
            for steps in lengths.tolist():
                wsd = sl.schedules.wsd(steps, 0.3, warmup=0.1, cooldown=0.2)
                runs[name, steps] = wsd if name == "wsd" else _schedule(name, steps, 0.3, warmup=0.1)
        final = sl.exact(problem, [sl.methods.sgd(lr) for lr in runs.values()], record=2, progress=False).final()
        ends = {key: final.sel(component=key).sum("subspace").values for key in ("bias", "variance")}
        names, steps_of = zip(*runs, strict=True)
        table.append({"problem": where, "schedule": list(names), "T": list(steps_of), "noise": 0.5, **ends})
    return {"ends": stack(table)}


def _parts(data: Data, problem: str, name: str) -> dict[str, FloatArray]:
    """T, bias, variance and test loss risk + sigma^2 / 2 of a schedule, in order of length."""
    parts = {k: column(data["ends"], k, problem=problem, schedule=name) for k in ("T", "bias", "variance", "noise")}
    return {**parts, "loss": parts["bias"] + parts["variance"] + parts["noise"]}


def draw_lengths(data: Data) -> Figure:
    with style():
        figure = new_figure(WIDTH, 2.6)
        panels = figure.subplots(1, 3)
        for axes, problem, tag in zip(panels, PROBLEMS, "ab", strict=False):
            base = _parts(data, problem, "10x decay")
            for i, name in enumerate(RACE):
                change = 100.0 * (_parts(data, problem, name)["loss"] / base["loss"] - 1.0)
                axes.plot(base["T"], change, color=PALETTE[i + 1], ls=DASHES[i], label=name)
            axes.set(xscale="log", xlabel="training length $T$", title=f"({tag}) {problem}")
        panels[0].set_ylabel("test loss against 10x decay (%)")
        panels[0].legend()
        for i, name in enumerate(RACE[:2]):
            parts = _parts(data, MAIN, name)
            for key, dash in (("bias", "--"), ("variance", "-")):
                panels[2].plot(parts["T"], parts[key], color=PALETTE[i + 1], ls=dash, label=f"{name}, {key}")
        panels[2].set(xscale="log", yscale="log", xlabel="training length $T$", ylabel="excess risk")
        panels[2].set_title("(c) why, in (a)")
        panels[2].legend()
    return figure


def _race(data: Data, problem: str) -> dict[str, Any]:
    """What the claims ask of one problem."""
    runs = {name: _parts(data, problem, name) for name in RACE}
    steps, base, straight = runs["10x decay"]["T"], runs["10x decay"]["loss"], runs["linear to zero"]["loss"]
    change = straight / base - 1.0
    crossings = np.flatnonzero(np.diff(np.sign(change)) != 0)
    start = int(crossings[0]) if crossings.size else 0
    return {
        "change": change,
        "crosses": crossings.size == 1 and change[0] > 0.0 and change[-1] < 0.0,
        "where": f"T = {steps[start]:,.0f} .. {steps[start + 1]:,.0f}" if crossings.size else "nowhere",
        "grows": bool(np.all(np.diff(change[start:]) < 0.0)),
        "ratio": {key: runs["linear to zero"][key] / runs["10x decay"][key] for key in ("bias", "variance")},
        "short": float(straight[steps == round(0.4 * steps[-1])][0]),
        "base": float(base[-1]),
        "others": {n: 100.0 * float(runs[n]["loss"][-1] / straight[-1] - 1.0) for n in ("cosine to zero", "wsd")},
    }


def claims_lengths(data: Data) -> list[Claim]:
    main, other = _race(data, MAIN), _race(data, OTHER)
    assumed = "power law of capacity 1.5, source 2.0, sigma^2 = 1, peak 0.3, warmup 10 %"
    ratio = main["ratio"]
    return [
        Claim(
            "below some training length 10x decay wins, above it decay to zero",
            "loss over tokens per parameter (crossing near 4)",
            "one change of sign, from worse to better",
            f"{main['where']}; with much in the tail {other['where']}",
            bool(main["crosses"]),
            chosen=assumed,
            reason=f"{main['change'][0]:+.2%} at the shortest, {main['change'][-1]:+.2%} at the longest",
        ),
        Claim(
            "decay to zero trades bias for variance",
            "section 3",
            "more bias and less variance at every length",
            f"bias x {ratio['bias'].min():.3f} .. {ratio['bias'].max():.3f}, variance x {ratio['variance'].min():.3f}"
            f" .. {ratio['variance'].max():.3f}",
            bool(ratio["bias"].min() > 1.0 and ratio["variance"].max() < 1.0),
            chosen=assumed,
        ),
        Claim(
            "beyond the crossing its gain grows with the training length",
            "-0.77 % at 20, -2.8 % at 200 tokens per parameter",
            "relative loss decreases from each length to the next",
            f"to {main['change'][-1]:+.2%}; with much in the tail to {other['change'][-1]:+.2%}",
            bool(main["grows"]),
            chosen=assumed,
            reason=f"{main['change'].min():+.2%} at its best, {main['change'][-1]:+.2%} at the longest",
        ),
        Claim(
            "decay to zero with 40 % of the steps beats 10x decay with all of them",
            "80 against 200 tokens per parameter",
            "smaller loss at the longest run",
            f"{main['short']:.4f} against {main['base']:.4f}; with much in the tail {other['short']:.4f} against"
            f" {other['base']:.4f}",
            bool(main["short"] < main["base"]),
            chosen=assumed,
            reason=f"{main['short']:.4f} against {main['base']:.4f}",
        ),
        Claim(
            "cosine to zero is about 0.1 % worse",
            "about 0.1 % worse",
            "0 to 0.2 % higher loss at the longest run",
            f"{main['others']['cosine to zero']:+.3f} %; with much in the tail"
            f" {other['others']['cosine to zero']:+.3f} %",
            0.0 < main["others"]["cosine to zero"] <= 0.2,
            chosen=assumed,
            reason=f"as close, but on the other side: {main['others']['cosine to zero']:+.3f} %",
        ),
        Claim(
            "wsd is worse than decay to zero",
            "0.84 % worse at 80 tokens per parameter",
            "higher loss at the longest run",
            f"{main['others']['wsd']:+.3f} %; with much in the tail {other['others']['wsd']:+.3f} %",
            main["others"]["wsd"] > 0.0,
            chosen=assumed,
            reason=f"{main['others']['wsd']:+.3f} %",
        ),
    ]


FIGURES = [
    Reproduction(
        "bergsma2025-dual",
        "Dual coefficients: what each update weighs in the final weights",
        PAPER,
        2025,
        "AdamW as an extended moving average, T = 1,000, peak alpha = lr x weight decay = 0.05, no warmup: constant"
        " rate, linear decay to a tenth, linear and cosine to zero. (c): peak alpha from 0.001 to 1.",
        compute_dual,
        draw_dual,
        claims_dual,
        seconds=0.1,
    ),
    Reproduction(
        "bergsma2025-lengths",
        "Decay to zero against 10x decay over training lengths",
        PAPER,
        2025,
        "Linear regression, power law with capacity 1.5 and source 2.0 or 1.2, sigma^2 = 1, d = 5,000 (quick: 500),"
        " peak 0.3 for all, warmup 10 %, T from 20 to 200,000 (quick: 20,000); test loss = risk + sigma^2 / 2.",
        compute_lengths,
        draw_lengths,
        claims_lengths,
        chosen=("a regression in place of the language model: spectrum, noise, peak; wsd cools down over 20 %",),
        seconds=2.0,
    ),
]
