"""Bergsma et al. 2025 (arXiv 2502.15938), straight to zero: AdamW as an average of its updates; decay to zero.

Dual coefficients are those of AdamW's extended moving average; the risk over training lengths is that of SGD on linear
regression, where the eigenvalue plays the part of the weight decay.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from simlab.figures.columns import first, stack
from simlab.figures.peaks import best_of_grid
from simlab.figures.reproduction import Claim, Data, Reproduction, Scale, column
from simlab.theory.bergsma2025 import adamw_coefficients, adamw_effective_updates

import simlab as sl
from simlab.arrays import FloatArray
from simlab.plot import DASHES, PALETTE, WIDTH, new_figure, style

if TYPE_CHECKING:
    from collections.abc import Callable

    from matplotlib.figure import Figure

    from simlab.schedules import Schedule

PAPER = "Bergsma, Dey, Gosal, Gray, Soboleva, Hestness 2025, arXiv 2502.15938"
SCHEDULES = ("constant", "10x decay", "linear to zero", "cosine to zero")
EFFECTIVE = {"constant": 39, "10x decay": 248, "linear to zero": 318, "cosine to zero": 351}
LAST = {"constant": 1.0, "10x decay": 0.93, "linear to zero": 0.0116, "cosine to zero": 3e-5}
"""Last coefficient over the largest, T = 1,000, alpha = 0.05, by an independent program."""


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
            "n_eff = 1 / sum_t c_t^2 of the dual coefficients, T = 1,000, alpha = 0.05",
            "rounded to the same whole numbers",
            ", ".join(f"{value:.2f}" for value in n_eff.values()),
            all(round(n_eff[name]) == number for name, number in EFFECTIVE.items()),
            own=True,
        ),
        Claim(
            "the last update weighs most at a constant rate, almost nothing with decay to zero",
            "figure 1",
            "last / largest 1, 0.93, 0.0116, 3e-5 to their digits, by an independent program",
            ", ".join(f"{value:.3g}" for value in last.values()),
            all(abs(last[name] / number - 1.0) <= 0.05 for name, number in LAST.items())
            and abs(last["10x decay"] - 0.93) <= 5e-3
            and abs(last["linear to zero"] - 0.0116) <= 5e-5,
            paper="a picture",
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

RACE: dict[str, Callable[[int, float], Schedule]] = {
    "linear 10x": lambda steps, peak: sl.schedules.linear(steps, peak, floor=0.1, warmup=0.1),
    "cosine 10x": lambda steps, peak: sl.schedules.cosine(steps, peak, floor=0.1, warmup=0.1),
    "linear to zero": lambda steps, peak: sl.schedules.linear(steps, peak, warmup=0.1),
    "cosine to zero": lambda steps, peak: sl.schedules.cosine(steps, peak, warmup=0.1),
    "wsd": lambda steps, peak: sl.schedules.wsd(steps, peak, warmup=0.1, cooldown=0.2),
}
PROBLEMS = {"much in the tail": 1.2, "little in the tail": 2.0}
"""Source exponents: how the initial risk is spread over the modes."""
MAIN, OTHER = PROBLEMS
COMMON = 0.3
"""The peak at which bias and variance of two schedules are compared."""
SIZES = {"tiny": (30, 300, 4, 3), "quick": (500, 20_000, 8, 16), "full": (5_000, 200_000, 13, 24)}
REGRESSION = "a regression (power law of capacity 1.5, sigma^2 = 1) in place of the language model"
TUNED = "every peak tuned on a grid from 0.01 to 0.6, warmup 10 %; wsd cools down over 20 %"


def compute_lengths(scale: Scale) -> Data:
    """ends: test loss at the best peak by problem, schedule and length; common: bias and variance at one peak."""
    dim, longest, count, points = SIZES[scale]
    lengths = np.unique([*np.geomspace(20, longest, count).astype(int), round(0.4 * longest)]).tolist()
    peaks = np.geomspace(0.01, 0.6, points)
    ends, common = [], []
    for where, source in PROBLEMS.items():
        problem = sl.LinearRegression.power_law(dim=dim, capacity=1.5, source=source, noise_variance=1.0).compress()
        for name, make in RACE.items():
            coarse = np.tile(peaks, (len(lengths), 1))
            at = _finals(problem, make, lengths, coarse)["risk"].argmin(axis=1)
            # The finer grid reaches to both neighbours on the coarse one, and not beyond the top.
            ratio = peaks[1] / peaks[0]
            fine = np.minimum(peaks[at][:, None] * ratio ** np.linspace(-1.0, 1.0, 9), peaks[-1])
            best = [_best(*pair) for pair in zip(fine, _finals(problem, make, lengths, fine)["risk"], strict=True)]
            parts = _finals(problem, make, lengths, np.full((len(lengths), 1), COMMON))
            row = {"problem": where, "schedule": name, "T": lengths}
            ends.append({**row, "peak": [peak for peak, _ in best], "loss": [0.5 + value for _, value in best]})
            common.append({**row, **{key: parts[key][:, 0] for key in ("bias", "variance")}})
    return {"ends": stack(ends), "common": stack(common)}


def _finals(
    problem: sl.LinearRegression, make: Callable[[int, float], Schedule], lengths: list[int], peaks: FloatArray
) -> dict[str, FloatArray]:
    """Bias, variance and risk at the end of a run of each length at each of its peaks (lengths, peaks); inf where it
    diverged.
    """
    runs = [
        sl.methods.sgd(make(steps, peak)) for steps, row in zip(lengths, peaks, strict=True) for peak in row.tolist()
    ]
    trace = sl.exact(problem, runs, record=2, progress=False)
    final = trace.final().sum("subspace")
    done = trace.status.values == "done"
    parts = {key: np.where(done, final.sel(component=key).values, np.inf) for key in ("bias", "variance")}
    parts["risk"] = parts["bias"] + parts["variance"]
    return {key: values.reshape(peaks.shape) for key, values in parts.items()}


def _best(peaks: FloatArray, risks: FloatArray) -> tuple[float, float]:
    """(peak, risk) at the minimum; where the edge of stability is near, that of the grid itself."""
    at = int(np.argmin(risks))
    if 0 < at < risks.size - 1 and max(risks[at - 1], risks[at + 1]) <= 1.03 * risks[at]:
        return best_of_grid(peaks, risks)
    return float(peaks[at]), float(risks[at])


def _change(data: Data, problem: str, name: str, base: str = "linear 10x") -> FloatArray:
    """Test loss of a schedule over that of another one, less 1, by length; each at its best peak."""
    loss = [column(data["ends"], "loss", problem=problem, schedule=each) for each in (name, base)]
    return np.asarray(loss[0] / loss[1] - 1.0)


def draw_lengths(data: Data) -> Figure:
    steps = np.unique(column(data["ends"], "T"))
    with style():
        figure = new_figure(WIDTH, 4.6)
        (a, b), (c, d) = figure.subplots(2, 2)
        for axes, problem, tag in ((a, MAIN, "a"), (b, OTHER, "b")):
            axes.axhline(0.0, color="black", lw=0.8)
            for i, name in enumerate(list(RACE)[1:4]):
                change = 100.0 * _change(data, problem, name)
                axes.plot(steps, change, color=PALETTE[i], ls=DASHES[i], marker=".", label=name)
            axes.set(xscale="log", xlabel="training length $T$", title=f"({tag}) {problem}")
            axes.set_ylabel("test loss against linear 10x [%]")
        a.legend()
        for i, problem in enumerate(PROBLEMS):
            change = 100.0 * _change(data, problem, "wsd", "linear to zero")
            c.plot(steps, change, color=PALETTE[3 + i], ls=DASHES[i], marker=".", label=problem)
        c.axhline(0.0, color="black", lw=0.8)
        c.set(
            xscale="log", xlabel="training length $T$", title="(c) wsd", ylabel="test loss against linear to zero [%]"
        )
        c.legend()
        for i, name in enumerate(("linear 10x", "linear to zero")):
            for key, dash in (("bias", "--"), ("variance", "-")):
                values = column(data["common"], key, problem=MAIN, schedule=name)
                d.plot(steps, values, color=PALETTE[(3, 1)[i]], ls=dash, label=f"{name}, {key}")
        d.set(xscale="log", yscale="log", xlabel="training length $T$", ylabel="excess risk")
        d.set_title(f"(d) {MAIN}, peak {COMMON} for both")
        d.set_ylim(bottom=1.5e-3)
        d.legend(loc="lower left")
    return figure


def _crossing(change: FloatArray, steps: FloatArray) -> tuple[int | None, str]:
    """The last length before the one change of sign from worse to better, and where that is."""
    at = np.flatnonzero(np.diff(np.sign(change)) != 0)
    if at.size != 1 or change[0] <= 0.0 or change[-1] >= 0.0:
        return None, f"{at.size} changes of sign"
    return int(at[0]), f"T = {steps[at[0]]:,.0f} .. {steps[at[0] + 1]:,.0f}"


def _at_one_peak(data: Data, part: int) -> str:
    """Loss of linear to zero at a part of the lengths, and of linear 10x at the longest, both at the common peak."""
    words = []
    for problem in PROBLEMS:
        loss = {}
        for name in ("linear to zero", "linear 10x"):
            bias, variance = (
                column(data["common"], key, problem=problem, schedule=name) for key in ("bias", "variance")
            )
            loss[name] = 0.5 + bias + variance
        words.append(f"{loss['linear to zero'][part]:.4f} against {loss['linear 10x'][-1]:.4f} ({problem})")
    return ", ".join(words)


def claims_lengths(data: Data) -> list[Claim]:
    steps = np.unique(column(data["ends"], "T"))
    straight = {p: _change(data, p, "linear to zero") for p in PROBLEMS}
    usual = {p: _change(data, p, "linear to zero", "cosine 10x") for p in PROBLEMS}
    cosine = {p: 100.0 * _change(data, p, "cosine to zero", "linear to zero") for p in PROBLEMS}
    wsd = {p: 100.0 * _change(data, p, "wsd", "linear to zero") for p in PROBLEMS}
    crossing = {p: _crossing(straight[p], steps) for p in PROBLEMS}
    given: dict[str, Any] = {"chosen": TUNED, "substituted": REGRESSION}
    start = crossing[MAIN][0]
    ratio = {
        key: np.concatenate(
            [
                column(data["common"], key, problem=p, schedule="linear to zero")
                / column(data["common"], key, problem=p, schedule="linear 10x")
                for p in PROBLEMS
            ]
        )
        for key in ("bias", "variance")
    }
    part = int(np.argmin(np.abs(steps - 0.4 * steps[-1])))
    loss = {(p, n): column(data["ends"], "loss", problem=p, schedule=n) for p in PROBLEMS for n in RACE}
    short = {p: (float(loss[p, "linear to zero"][part]), float(loss[p, "linear 10x"][-1])) for p in PROBLEMS}
    beyond = {p: wsd[p][crossing[p][0] or 0 :] for p in PROBLEMS}
    close = steps[(cosine[OTHER] > 0.0) & (cosine[OTHER] <= 0.2)]
    return [
        Claim(
            "below some training length 10x decay wins, above it decay to zero",
            "figure of the loss over tokens per parameter",
            "one change of sign, from worse to better, both problems",
            ", ".join(f"{where} ({p})" for p, (_, where) in crossing.items()),
            all(at is not None for at, _ in crossing.values()),
            "on a problem whose crossing lies beyond the lengths that were run",
            paper="near 4 tokens per parameter",
            **given,
        ),
        Claim(
            "decay to zero trades bias for variance",
            "section 3",
            f"more bias and less variance at every length, both problems, at the peak {COMMON} for both",
            f"bias x {ratio['bias'].min():.3f} .. {ratio['bias'].max():.3f}, variance x {ratio['variance'].min():.3f}"
            f" .. {ratio['variance'].max():.3f}",
            bool(ratio["bias"].min() > 1.0 and ratio["variance"].max() < 1.0),
            "at this peak the two differ in their noise alone",
            chosen=f"peak {COMMON}, warmup 10 %",
            substituted=REGRESSION,
        ),
        Claim(
            "beyond the crossing its gain grows with the training length",
            "abstract; against cosine to 10 %",
            f"relative loss falls from each length to the next, {MAIN}",
            f"{usual[MAIN][start or 0]:+.2%} at T = {steps[start or 0]:,.0f}, {usual[MAIN][-1]:+.2%} at the longest",
            start is not None and bool(np.all(np.diff(usual[MAIN][start:]) < 0.0)),
            "the gain ends where bias rather than noise is left",
            paper="-0.77 % at 20, -2.8 % at 200 tokens per parameter",
            turns=f"with {OTHER} it stops at {usual[OTHER].min():+.2%}: there is too little left to learn",
            **given,
        ),
        Claim(
            "decay to zero with 40 % of the steps beats 10x decay with all of them",
            "abstract: 80 against 200 tokens per parameter",
            "smaller loss at the longest run, both problems",
            ", ".join(f"{a:.4f} against {b:.4f} ({p})" for p, (a, b) in short.items()),
            all(a < b for a, b in short.values()),
            "the risk of a regression falls fast with T where the loss of a language model has a floor, and no"
            " schedule makes up for 60 % of the steps",
            paper="a model of 610M has the lower loss at 80 tokens per parameter",
            turns=f"at one peak, {COMMON}: {_at_one_peak(data, part)}; that is too high for 10x decay with {OTHER}",
            **given,
        ),
        Claim(
            "cosine to zero is about 0.1 % worse than linear to zero",
            "comparison of shapes",
            "0 to 0.2 % higher loss at the longest run, both problems",
            ", ".join(f"{values[-1]:+.3f} % ({p})" for p, values in cosine.items()),
            all(0.0 < values[-1] <= 0.2 for values in cosine.values()),
            "with much in the tail a cosine leaves more bias, and with little in it the two come to the same",
            paper="0.1 %",
            turns=f"with {OTHER} between T = {close.min():,.0f} and {close.max():,.0f}" if close.size else "",
            **given,
        ),
        Claim(
            "wsd is worse than decay to zero",
            "comparison of shapes",
            "higher loss from the crossing on, at every length, both problems",
            ", ".join(f"{v[-1]:+.3f} % at the longest, {v.max():+.3f} % at most ({p})" for p, v in beyond.items()),
            all(bool(np.all(values > 0.0)) for values in beyond.values()),
            "a short cooldown from a high rate leaves less bias",
            paper="0.84 % at 80 tokens per parameter",
            **given,
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
        "Linear regression, power law with capacity 1.5 and source 1.2 or 2.0, sigma^2 = 1, d = 5,000 (quick: 500);"
        " each schedule at its best peak, warmup 10 %, T from 20 to 200,000 (quick: 20,000); test loss is risk +"
        " sigma^2 / 2.",
        compute_lengths,
        draw_lengths,
        claims_lengths,
        chosen=(TUNED,),
        substituted=(REGRESSION,),
        seconds=4.0,
    ),
]
