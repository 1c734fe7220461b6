"""Schaipp et al. 2025 (arXiv 2501.18965): a bound of convex optimisation that looks like the loss of a language model.

Omega_t bounds E f(x_t) - f* of the last iterate under any schedule, G = D = 1 throughout; figures as in the authors'
scripts. Limits, transfer, exact risks and real runs: schaipp2025_limits, _transfer, _losses.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from simlab.figures.columns import first, stack
from simlab.figures.reproduction import Claim, Data, Reproduction, Scale, column
from simlab.theory.schaipp2025 import schaipp_last_iterate, schaipp_optimal_base_lr
from simlab.theory.sharper_last_iterate import worst_case_last_iterate

import simlab as sl
from simlab.arrays import FloatArray
from simlab.plot import DASHES, PALETTE, WIDTH, new_figure, shades, style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

PAPER = "Schaipp, Hägele, Taylor, Şimşekli, Bach 2025, arXiv 2501.18965"
SCHEDULES = ("wsd", "wsd 1-sqrt", "cosine", "linear", "constant", "1/sqrt")


def profile(name: str, steps: int, cooldown: float = 0.2) -> FloatArray:
    """Learning rates of T steps at peak 1; all positive, as the bound needs."""
    makers = {
        "wsd": lambda: sl.schedules.wsd(steps, 1.0, cooldown=cooldown),
        "wsd 1-sqrt": lambda: sl.schedules.wsd(steps, 1.0, cooldown=cooldown, shape="1-sqrt"),
        "cosine": lambda: sl.schedules.cosine(steps, 1.0),
        "linear": lambda: sl.schedules.linear(steps, 1.0),
        "constant": lambda: sl.schedules.constant(steps, 1.0),
        "1/sqrt": lambda: sl.schedules.inverse_sqrt(steps, 1.0),
    }
    return makers[name]().values()


def best(lr: FloatArray, norms: npt.ArrayLike = 1.0) -> tuple[float, float]:
    """The base learning rate that minimises Omega_T, and Omega_T there."""
    found = schaipp_optimal_base_lr(lr, norms, horizons=np.asarray(lr.size))
    return float(found.lr), float(found.bound)


def at(base: npt.ArrayLike, optimum: tuple[float, float]) -> FloatArray:
    """Omega_T at other base rates: T_1 / gamma + gamma T_2."""
    ratio = np.asarray(base, dtype=np.float64) / optimum[0]
    return np.asarray(0.5 * optimum[1] * (ratio + 1.0 / ratio))


def drop(curve: FloatArray, start: int) -> float:
    """How much of its value at step `start` a curve loses by the end."""
    return float(1.0 - curve[-1] / curve[start])


# -- the bound along training ------------------------------------------------------------------------------------------

POWERS = (0.0, -0.5, -1.0)
WORST = {"wsd": 0.1396, "cosine": 0.1332, "linear": 0.1292, "constant": 0.1781, "1/sqrt": 0.1542}
"""Worst cases at T = 60 by semidefinite program, as the authors store them."""


def compute_schedules(scale: Scale) -> Data:
    steps = 60 if scale == "tiny" else 400
    t = np.arange(1, steps + 1)
    curves: list[dict[str, Any]] = []
    norms, worst = [], []
    for name in SCHEDULES:
        # As the authors draw it: 1-sqrt over the whole run.
        whole = name == "wsd 1-sqrt"
        h = profile(name, steps, 1.0 if whole else 0.2)
        lr = h * best(h)[0]
        average = (1.0 + np.cumsum(lr**2)) / (2.0 * np.cumsum(lr))
        curves.append(
            {
                "schedule": "1-sqrt" if whole else name,
                "t": t,
                "lr": lr,
                "bound": schaipp_last_iterate(lr),
                "average": average,
            }
        )
    # What the last fifth would have brought at the rate of wsd, but for the cooldown.
    flat = np.full(steps, curves[0]["lr"][0])
    average = (1.0 + np.cumsum(flat**2)) / (2.0 * np.cumsum(flat))
    held = {"t": t, "lr": flat, "bound": schaipp_last_iterate(flat), "average": average}
    for power in POWERS:
        for name in ("wsd", "constant"):
            h, g = profile(name, steps), t**power
            bound = schaipp_last_iterate(h * best(h, g)[0], g)
            norms.append({"schedule": name, "power": power, "t": t, "bound": bound})
    for name, published in WORST.items():
        h = profile(name, 60)
        # The authors' program starts at the second entry of their schedule; so must the rates that it is given.
        shifted = np.append(h[1:], h[-1]) * best(h)[0]
        value = float(worst_case_last_iterate(shifted, horizons=np.asarray(60)))
        worst.append({"schedule": name, "bound": best(h)[1], "worst": value, "published": published})
    return {"curves": stack(curves), "held": held, "norms": stack(norms), "worst": stack(worst)}


def draw_schedules(data: Data) -> Figure:
    with style():
        figure = new_figure(WIDTH, 4.3)
        (a, b), (c, d) = figure.subplots(2, 2)
        curves = data["curves"]
        for i, name in enumerate(first(curves["schedule"])):
            t = column(curves, "t", schedule=name)
            look = {"color": PALETTE[i], "ls": DASHES[i % 4]}
            a.plot(t, column(curves, "lr", schedule=name), label=name, **look)
            b.plot(t, column(curves, "bound", schedule=name), **look)
            c.plot(t, column(curves, "average", schedule=name), **look)
        norms = data["norms"]
        for i, power in enumerate(first(norms["power"])):
            for name, dash in (("wsd", "-"), ("constant", ":")):
                t, bound = (column(norms, key, schedule=name, power=power) for key in ("t", "bound"))
                label = f"$G_t = t^{{{power:g}}}$" if power else "$G_t = 1$"
                d.plot(t, bound / bound[-1], color=shades(3)[i], ls=dash, label=label if name == "wsd" else None)
        a.set(ylabel="learning rate $\\eta_t$", title="(a) schedules at their best base rate", ylim=(0.0, 0.12))
        a.legend(ncols=2)
        b.set(ylabel="bound $\\Omega_t$ on $E f(x_t) - f^*$", title="(b) last iterate", ylim=(0.08, 0.32))
        c.set(ylabel="bound on $E f(\\bar x_t) - f^*$", title="(c) average iterate", ylim=(0.04, 0.32))
        d.set(ylabel="$\\Omega_t\\,/\\,\\Omega_T$", title="(d) wsd (solid), constant (dotted)", ylim=(0.8, 3.0))
        d.legend()
        for axes in (a, b, c, d):
            axes.set_xlabel("step $t$")
    return figure


def claims_schedules(data: Data) -> list[Claim]:
    curves, norms, worst = data["curves"], data["norms"], data["worst"]
    final = {name: column(curves, "bound", schedule=name)[-1] for name in first(curves["schedule"])}
    start = round(0.8 * column(curves, "t").max())
    fall = {key: drop(column(curves, key, schedule="wsd"), start) for key in ("bound", "average")}
    held = {key: drop(column(data["held"], key), start) for key in fall}
    order = sorted(final, key=lambda name: float(final[name]))
    by_norm = [drop(column(norms, "bound", schedule="wsd", power=p), start) for p in POWERS]
    off = float(np.max(np.abs(np.asarray(worst["worst"]) - np.asarray(worst["published"]))))
    gap = float(final["wsd"] / final["cosine"])
    return [
        Claim(
            "the bound of wsd drops suddenly in the cooldown",
            "section 4.1; authors' code, schedule_comparison",
            "fall over the last 20 % of the steps at least 3 times that without a cooldown",
            f"{fall['bound']:.3f} against {held['bound']:.3f}",
            fall["bound"] >= 3.0 * held["bound"],
            "the run is so short that its start still weighs on the bound",
            paper="the bound drops suddenly in the cooldown, as losses do",
        ),
        Claim(
            "the bound of the average iterate shows no such drop",
            "ablation on the average iterate",
            "at most 1.5 times that without a cooldown",
            f"{fall['average']:.3f} against {held['average']:.3f}",
            fall["average"] <= 1.5 * held["average"],
            "a cooldown takes weight from late iterates",
            paper="no drop for the average",
        ),
        Claim(
            "tuned, wsd reaches nearly the bound of cosine, constant and 1/sqrt do not",
            "section 4.1; authors' code, schedule_comparison",
            "wsd / cosine <= 1.1; constant and 1/sqrt last",
            f"{gap:.3f}; order: {', '.join(order)}",
            gap <= 1.1 and set(order[-2:]) == {"constant", "1/sqrt"},
            "the cooldown is too short",
        ),
        Claim(
            "the drop needs gradient norms that do not vanish",
            "authors' code, grad_norm_shape",
            "smaller drop for t^-0.5 than for 1, and for t^-1 than for t^-0.5",
            ", ".join(f"{value:.3f}" for value in by_norm),
            by_norm[0] > by_norm[1] > by_norm[2],
            "the last norms do not weigh on the bound",
        ),
        Claim(
            "the worst cases at T = 60 are those of the semidefinite programs",
            "authors' code, lower_bound (PEPit)",
            "all five within 5e-5",
            f"{', '.join(f'{value:.4f}' for value in np.asarray(worst['worst']))}; off by {off:.1e} at most",
            off <= 5e-5,
            "the closed form is another problem than the program",
            paper=", ".join(f"{value:.4f}" for value in WORST.values()),
        ),
    ]


# -- cooldown length, cosine cycle -------------------------------------------------------------------------------------

RATES = {"wsd": (0.02, 0.04, 0.05, 0.07), "wsd 1-sqrt": (0.03, 0.05, 0.07, 0.09)}
CYCLES = (1.0, 1.5, 2.0, 4.0, 5.0)


def compute_cooldown(scale: Scale) -> Data:
    steps = 60 if scale == "tiny" else 400
    lengths = np.linspace(1 / steps, steps / (steps + 1), 10)
    bases = np.logspace(-8, -1, 20, base=2)
    fixed, tuned, cycles = [], [], []
    for name, rates in RATES.items():
        optima = [best(profile(name, steps, float(c))) for c in lengths]
        gamma, bound = np.array(optima).T
        tuned.append({"schedule": name, "cooldown": lengths, "bound": bound, "base": gamma})
        for rate in (*rates, *bases):
            values = [float(at(rate, optimum)) for optimum in optima]
            fixed.append({"schedule": name, "cooldown": lengths, "base": rate, "bound": values})
    t = np.arange(1, steps + 1)
    # As the authors do: all at the base rate that is best for the cycle of the length of the run.
    profiles = {cycle: sl.schedules.cosine(round(cycle * steps), 1.0, floor=0.1).values()[:steps] for cycle in CYCLES}
    base = best(profiles[1.0])[0]
    for cycle, h in profiles.items():
        along = schaipp_last_iterate(h * base)
        cycles.append({"cycle": cycle, "t": t, "lr": h * base, "bound": along, "best": best(h)[1]})
    return {"fixed": stack(fixed), "tuned": stack(tuned), "cycles": stack(cycles)}


def draw_cooldown(data: Data) -> Figure:
    with style():
        figure = new_figure(WIDTH, 4.3)
        axes = figure.subplots(2, 2)
        for panel, (name, rates), tag in zip(axes[0], RATES.items(), "ab", strict=True):
            _cooldown_panel(panel, data, name, rates)
            shape = "linear" if name == "wsd" else "1-sqrt"
            panel.set(title=f"({tag}) {shape} cooldown", xlabel="cooldown fraction", ylabel="bound $\\Omega_T$")
        c, d = axes[1]
        fixed, tuned = data["fixed"], data["tuned"]
        lengths = column(tuned, "cooldown", schedule="wsd")
        for i, length in enumerate(lengths):
            base, bound = (column(fixed, key, schedule="wsd", cooldown=length) for key in ("base", "bound"))
            order = np.argsort(base)
            ends = i in (0, lengths.size - 1)
            label = f"cooldown {length:.0%}" if ends else None
            c.plot(base[order], bound[order], color=shades(lengths.size)[i], lw=0.9, label=label)
        gamma, bound = (column(tuned, key, schedule="wsd") for key in ("base", "bound"))
        c.plot(gamma, bound, "o", color="black", ms=3, label="best of each")
        c.set(
            xscale="log",
            xlim=(base.min(), 3.0 * base.max()),
            ylim=(0.09, 0.3),
            title="(c) linear cooldown over base rates",
        )
        c.set(xlabel="base learning rate $\\gamma$", ylabel="bound $\\Omega_T$")
        c.legend(loc="lower right", handlelength=1.4)
        cycles = data["cycles"]
        for i, cycle in enumerate(first(cycles["cycle"])):
            t, bound = (column(cycles, key, cycle=cycle) for key in ("t", "bound"))
            d.plot(t, bound, color=PALETTE[i], ls=DASHES[i % 4], label=f"{cycle:g} T")
        d.set(title="(d) cosine of other lengths, rate of 1 T", xlabel="step $t$", ylabel="bound $\\Omega_t$")
        d.set_ylim(0.09, 0.3)
        d.legend(title="cycle")
    return figure


def _cooldown_panel(axes: Axes, data: Data, name: str, rates: tuple[float, ...]) -> None:
    for i, rate in enumerate(rates):
        length, bound = (column(data["fixed"], key, schedule=name, base=rate) for key in ("cooldown", "bound"))
        axes.plot(length, bound, color=PALETTE[i], ls=DASHES[i], marker=".", label=f"$\\gamma$ = {rate:g}")
    length, bound = (column(data["tuned"], key, schedule=name) for key in ("cooldown", "bound"))
    axes.plot(length, bound, color="black", lw=1.6, label="best $\\gamma$")
    axes.legend(ncols=2)


def claims_cooldown(data: Data) -> list[Claim]:
    tuned = data["tuned"]
    bound, gamma = (column(tuned, key, schedule="wsd") for key in ("bound", "base"))
    short = column(tuned, "cooldown", schedule="wsd")[1:4]
    ratio = column(tuned, "bound", schedule="wsd 1-sqrt")[1:4] / bound[1:4]
    out = [
        Claim(
            "with the base rate tuned, the longer the linear cooldown the better",
            "authors' code, cooldown_length",
            "bound decreases, best base rate increases with the cooldown fraction",
            f"bound {bound[0]:.4f} to {bound[-1]:.4f}, base rate {gamma[0]:.4f} to {gamma[-1]:.4f}",
            bool(np.all(np.diff(bound) < 0.0) and np.all(np.diff(gamma) > 0.0)),
            "a cooldown over the whole run loses more at the start than it gains at the end",
        ),
        Claim(
            "for cooldowns of a third of the run or less, 1-sqrt has a smaller bound than linear",
            "section 4.2",
            f"ratio < 1 at fractions {', '.join(f'{c:.2f}' for c in short)}",
            ", ".join(f"{value:.3f}" for value in ratio),
            bool(np.all(ratio < 1.0)),
            "1-sqrt leaves the peak too steeply",
        ),
    ]
    for name, rates in RATES.items():
        at_best = [int(np.argmin(column(data["fixed"], "bound", schedule=name, base=rate))) for rate in rates]
        lengths = column(data["tuned"], "cooldown", schedule=name)
        word = "linear" if name == "wsd" else "1-sqrt"
        out.append(
            Claim(
                f"{word}: at a fixed rate the best cooldown grows with the rate",
                "authors' code, cooldown_length",
                "best fraction never decreases over the four rates, and grows from first to last",
                ", ".join(f"{lengths[i]:.2f}" for i in at_best),
                at_best == sorted(at_best) and at_best[0] < at_best[-1],
                "the grid of fractions is too coarse",
            )
        )
    cycles = data["cycles"]
    last = {
        "at the rate of 1 T": {c: column(cycles, "bound", cycle=c)[-1] for c in first(cycles["cycle"])},
        "each tuned": {c: column(cycles, "best", cycle=c)[0] for c in first(cycles["cycle"])},
    }
    out.append(
        Claim(
            "a cosine cycle as long as the run is best",
            "authors' code, cosine_cycle",
            "smallest bound at cycle length T, at the rate tuned for it and each tuned",
            "; ".join(
                f"{way}: {', '.join(f'{c:g} T {v:.4f}' for c, v in found.items())}" for way, found in last.items()
            ),
            all(min(found, key=lambda c: float(found[c])) == 1.0 for found in last.values()),
            "a longer cycle keeps a rate that the bound would have higher",
            paper="the cycle of the length of the run is best",
        )
    )
    return out


FIGURES = [
    Reproduction(
        "schaipp2025-schedules",
        "The bound along training: the cooldown drops, an average does not",
        PAPER,
        2025,
        "Omega_t of the last iterate for six schedules of T = 400 steps, each at the base rate that is best at T; wsd"
        " cools down over 20 %, 1-sqrt over the whole run. Gradient norms G_t = t^a, a = 0, -1/2, -1. Worst cases at"
        " T = 60. G = D = 1.",
        compute_schedules,
        draw_schedules,
        claims_schedules,
        seconds=0.2,
    ),
    Reproduction(
        "schaipp2025-cooldown",
        "Cooldown length, base rate and cosine cycle by the bound",
        PAPER,
        2025,
        "Omega_T at T = 400 over ten cooldown fractions from 1/T to T/(T+1), base rates 0.02 .. 0.09 and 2^-8 .. 2^-1,"
        " and cosine (to 10 %) of cycle 1, 1.5, 2, 4, 5 times T at the base rate tuned for T. G = D = 1.",
        compute_cooldown,
        draw_cooldown,
        claims_cooldown,
        seconds=0.2,
    ),
]
