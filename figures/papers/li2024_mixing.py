"""Li et al. 2024 (arXiv 2410.04579): rare domains drawn more often, or weighed more in the loss."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from simlab.figures.columns import stack
from simlab.figures.reproduction import Claim, Data, Reproduction, Scale, column
from simlab.figures.results.optima import legend
from simlab.theory.li2024_mixing import upweighting_excess

import simlab as sl
from simlab.plot import DASHES, PALETTE, WIDTH, new_figure, style

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from simlab.arrays import FloatArray

__all__ = ["FIGURES"]

PAPER = "Li, Xu, Tan, Murray, Khashabi 2024, arXiv 2410.04579, NAACL 2025"
NATURAL = np.array([0.7, 0.2, 0.07, 0.03])
"""Shares that the domains have of the data."""
TEMPERATURES = (1.0, 2.0, 5.0, 100.0)
WAYS = ("drawn more often", "weighed more")
FULL = 10**12
"""A batch that has no noise."""
LOUD = (0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0)
"""Noise of the most common domain over that of the others."""
LR, SLOWER = 0.05, (0.05, 0.01, 0.002)
"""Rate of the runs, and those at which the boundary is looked for."""
SHIFT, NOISE = 0.3, 0.5
STEEP = 1.2


def shares(temperature: float) -> FloatArray:
    """p_k ~ n_k^(1 / temperature)."""
    raw = NATURAL ** (1.0 / temperature)
    out: FloatArray = raw / raw.sum()
    return out


def domains(dim: int, loud: float = 1.0, begin: float = 1.0) -> list[sl.LinearRegression]:
    """Four regressions of one spectrum whose optima lie apart; the first, most common one is `loud` times as noisy.

    begin : what they share of the initial error; at 0 runs start at the optimum of the objective at tau = 5.
    """
    index = np.arange(dim)
    base = sl.LinearRegression(np.arange(1.0, dim + 1.0) ** -STEEP, np.ones(dim) * (index + 1.0) ** -0.2, NOISE)
    signs = np.array([np.where((index >> k) % 2 == 0, 1.0, -1.0) for k in range(NATURAL.size)])
    signs -= shares(5.0) @ signs
    size = base.initial_error
    return [
        sl.LinearRegression(base.eigenvalues, (begin + SHIFT * sign) * size, NOISE * (loud if k == 0 else 1.0))
        for k, sign in enumerate(signs)
    ]


def mixtures(pieces: list[sl.LinearRegression], temperature: float) -> dict[str, sl.Mixture]:
    """What shall count p_k: drawn with p_k, or with its natural share q_k and weighed with p_k / q_k."""
    p = shares(temperature)
    return {WAYS[0]: sl.Mixture(pieces, list(p)), WAYS[1]: sl.Mixture(pieces, list(NATURAL), list(p / NATURAL))}


def _objective(
    problem: sl.Mixture, steps: int, marks: Any, batch: int, temperature: float, lr: float = LR
) -> FloatArray:
    """sum_k p_k risk_k at these steps: what both ways minimise."""
    run = sl.methods.sgd(sl.schedules.constant(steps, lr), batch=batch)
    trace = sl.exact(problem, run, record=marks, progress=False).total().sel(step=marks)
    out: FloatArray = trace.values @ shares(temperature)
    return out


def _first_step(pieces: list[sl.LinearRegression], temperature: float) -> tuple[float, float]:
    """What weighing leaves above drawing after one step at batch 1: by the engine, and by the formula."""
    p, lam = shares(temperature), np.stack([each.eigenvalues for each in pieces])
    ends = [_objective(mix, 1, np.array([1]), 1, temperature)[-1] for mix in mixtures(pieces, temperature).values()]
    displacement = np.stack([each.initial_error for each in pieces])
    noise = [each.noise_variance for each in pieces]
    excess = upweighting_excess(lam, displacement, noise, p, NATURAL)
    return float(ends[1] - ends[0]), float(0.5 * LR**2 * (p @ lam) @ excess)


def _at_best(pieces: list[sl.LinearRegression], temperature: float) -> float:
    """Excess of the gradient's variance at the optimum of the objective, over all directions."""
    p, error = shares(temperature), np.stack([each.initial_error for each in pieces])
    lam, noise = np.stack([each.eigenvalues for each in pieces]), [each.noise_variance for each in pieces]
    return float(upweighting_excess(lam, error - p @ error, noise, p, NATURAL).sum())


def compute(scale: Scale) -> Data:
    """runs: the objective along runs; first: of one step, by engine and formula; loud: at the end, by noise."""
    dim, steps = {"tiny": (40, 200), "quick": (200, 4_000), "full": (1_000, 20_000)}[scale]
    marks = np.unique(np.geomspace(1, steps, 60).astype(int))
    runs, first, loud = [], [], []
    pieces = domains(dim)
    for temperature in TEMPERATURES:
        for way, mix in mixtures(pieces, temperature).items():
            for batch in (1, FULL):
                risk = _objective(mix, steps, marks, batch, temperature)
                runs.append({"temperature": temperature, "way": way, "batch": batch, "step": marks, "risk": risk})
        engine, formula = _first_step(pieces, temperature)
        first.append({"temperature": [temperature], "engine": engine, "formula": formula})
    for factor in LOUD:
        excess = _at_best(domains(dim, factor), 5.0)
        for begin in (0.0, 1.0):
            both = mixtures(domains(dim, factor, begin), 5.0)
            for lr in SLOWER:
                ends = [_objective(mix, steps, marks[-1:], 1, 5.0, lr)[-1] for mix in both.values()]
                found = {"loud": [factor], "drawn": ends[0], "weighed": ends[1], "excess": excess}
                loud.append({"begin": begin, "lr": lr, **found})
    return {"runs": stack(runs), "first": stack(first), "loud": stack(loud)}


def _run(data: Data, temperature: float, way: str, batch: int, name: str = "risk") -> Any:
    return column(data["runs"], name, temperature=temperature, way=way, batch=batch)


def draw(data: Data) -> Figure:
    with style():
        figure = new_figure(WIDTH, 2.9)
        panels = figure.subplots(1, 3)
        for j, temperature in enumerate(TEMPERATURES[1:]):
            for k, way in enumerate(WAYS):
                step, risk = (_run(data, temperature, way, 1, name) for name in ("step", "risk"))
                label = f"{way}, $\\tau = {temperature:g}$"
                panels[0].plot(step, risk, color=PALETTE[j], ls=DASHES[k], label=label)
            ratio = _run(data, temperature, WAYS[1], 1) / _run(data, temperature, WAYS[0], 1)
            panels[1].plot(step, ratio, color=PALETTE[j])
        panels[0].set(xscale="log", yscale="log", xlabel="step", ylabel="risk, all domains by $p_k$")
        panels[1].axhline(1.0, color="0.5", lw=0.8)
        panels[1].set(xscale="log", xlabel="step", ylabel="weighed / drawn")
        for begin, name in ((1.0, "from far"), (0.0, "from the optimum")):
            for j, lr in enumerate(SLOWER):
                loud, gap = _gap(data, begin, lr)
                label = f"{name}, lr {lr:g}, $\\tau = 5$"
                panels[2].plot(loud, gap, "os"[begin == 0.0], ls=DASHES[j], color=PALETTE[3 + j], ms=3, label=label)
        panels[2].axhline(0.0, color="0.5", lw=0.8)
        panels[2].axvline(_zero(loud, _excess(data)), color="0.3", ls=":", label="gradients of one variance")
        panels[2].set(xscale="log", xlabel="noise, common / others", ylabel="log weighed / drawn")
        legend(figure, (panels[0], panels[2]), 3)
    return figure


def _gap(data: Data, begin: float, lr: float) -> tuple[Any, Any]:
    """Noise of the common domain over the others', and the logarithm of weighed / drawn after the last step."""
    loud, drawn, weighed = (column(data["loud"], key, begin=begin, lr=lr) for key in ("loud", "drawn", "weighed"))
    return loud, np.log(weighed / drawn)


def _excess(data: Data) -> Any:
    """Of the gradient's variance at the optimum, by noise."""
    return column(data["loud"], "excess", begin=0.0, lr=LR)


def _zero(loud: Any, values: Any) -> float:
    """Where something that falls with the noise goes through 0, on the axis of its logarithm."""
    return float(np.exp(np.interp(0.0, -values, np.log(loud))))


def claims(data: Data) -> list[Claim]:
    gaps, slower, above = [], [], []
    for temperature in TEMPERATURES[1:]:
        full = [_run(data, temperature, way, FULL) for way in WAYS]
        gaps.append(float(np.max(np.abs(full[1] / full[0] - 1.0))))
        drawn, weighed = (_run(data, temperature, way, 1) for way in WAYS)
        step = _run(data, temperature, WAYS[0], 1, "step")
        target = 1.05 * weighed.min()
        slower.append(float(step[np.argmax(weighed <= target)] / step[np.argmax(drawn <= target)]))
        above.append(float(weighed[-1] / drawn[-1]))
    engine, formula = (column(data["first"], key)[1:] for key in ("engine", "formula"))
    off = float(np.max(np.abs(engine / formula - 1.0)))
    zero = _zero(column(data["loud"], "loud", begin=0.0, lr=LR), _excess(data))
    far, near = ([_zero(*_gap(data, begin, lr)) for lr in SLOWER] for begin in (1.0, 0.0))
    given: dict[str, Any] = {"chosen": "the domains, shares, rate and length", "substituted": SUBSTITUTED}
    names = "tau 2, 5, 100"
    return [
        Claim(
            "both ways are one under full gradients, and differ under stochastic ones by the variance of the gradient",
            "abstract; excess variance sum_k p_k (p_k / q_k - 1) G_k",
            f"objectives within 1e-9 at every step at batch {FULL:.0e}; after one step at batch 1, 1/2 lr^2 times the "
            f"excess along sum_k p_k H_k, within 1e-9; {names}",
            f"full gradients {max(gaps):.1e}; excess {off:.1e}",
            max(gaps) <= 1e-9 and off <= 1e-9,
            **given,
        ),
        Claim(
            "drawing more often has less variance: it ends lower and is there faster",
            "abstract (lower variance, faster convergence)",
            f"weighed / drawn after the last step at least 1.1, and steps of weighing to 1.05 x its least objective "
            f"at least 1.5 x those of drawing, {names}",
            f"ends {', '.join(f'{each:.3f}' for each in above)}; steps {', '.join(f'{each:.2f}' for each in slower)}",
            min(above) >= 1.1 and min(slower) >= 1.5,
            "in few steps at a low rate what is not learned yet hides the variance",
            turns=f"with a noisier common domain, from {far[0]:.3g} times the others' noise on (tau = 5)",
            **given,
        ),
        Claim(
            "weighing is better where the common domain is noisy enough",
            "sign of sum_k p_k (p_k / q_k - 1) tr G_k at the optimum of the objective, tau = 5",
            f"from the optimum at {SLOWER[-1]:g} both end alike within 5 % of where the formula has its zero, and at "
            "higher rates, or from far at the same rate, only at louder noise",
            f"formula {zero:.3g}; from the optimum {', '.join(f'{each:.3g}' for each in near)} at "
            f"{', '.join(f'{lr:g}' for lr in SLOWER)}; from far {', '.join(f'{each:.3g}' for each in far)}",
            abs(near[-1] / zero - 1.0) <= 0.05 and near[0] > near[1] > near[2] and all(np.greater(far, near)),
            "what is not learned yet is noise too, and it is the same for all domains",
            own=True,
        ),
    ]


SUBSTITUTED = "four linear regressions in one eigenbasis for languages; one pass, so that nothing is overfitted"
FIGURES = [
    Reproduction(
        "li2024mixing-variance",
        "Rare domains drawn more often, or weighed more",
        PAPER,
        2024,
        "Four regressions of one spectrum i^-1.2 with shares 0.7, 0.2, 0.07, 0.03 of the data, d = 200 (full: 1,000),"
        " noise variance 0.5, optima moved by 0.3 of their size; SGD at 0.05, batch 1, for 4,000 steps (20,000) on "
        "sum_k p_k risk_k, p_k ~ q_k^(1/tau). Overfitting of rare domains and Cooldown against it are not in it.",
        compute,
        draw,
        claims,
        chosen=("domains, shares, rate, batch and length",),
        substituted=(SUBSTITUTED,),
        seconds=1.5,
    )
]
