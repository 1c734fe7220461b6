"""Liu et al. 2026 (arXiv 2608.24814): norm control acts through lr / |w|, gained early and seen late."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from simlab.figures.columns import stack
from simlab.figures.peaks import best_peaks, critical
from simlab.figures.reproduction import Claim, Data, Reproduction, Scale, column
from simlab.figures.results.optima import legend, power_law

import simlab as sl
from simlab.plot import DASHES, PALETTE, WIDTH, new_figure, style

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from simlab.arrays import FloatArray, IntArray

__all__ = ["CHOSEN", "FIGURES", "SUBSTITUTED", "norms", "task"]

PAPER = "Liu, Zheng, Zhang, Tian, Chen, Zhang, Wu 2026, arXiv 2608.24814"
START = 0.02
"""Root mean square of a weight at the start."""
GROWTH, MEMORY = 1.16, 172.0
"""Of AdamW's norm in a Llama of 70M parameters, where `sl.twin.norm` is within 1.3 % of the record."""
PEAK, WARMUP, DECAY = 6e-4, 1.0 / 42.0, 0.1
STRONG = 0.3
"""Weight decay of the cosine runs; DECAY of the others."""
NOISE = 100.0
SCALES = tuple(float(2.0 ** (k / 4)) for k in range(-8, 9))
"""Rates on the regression over the one that is best for cosine without decay.

A first axis, 0.0003 to 0.03 at noise variance 1, lay below the best rate throughout: decay was better from the start.
"""
SAID = SCALES[::4]
"""Those of which claims print numbers."""
LATE, FASTER = 0.6, 2.0
"""From this share of the run on the guided norm grows, to so many times that of the strong decay."""
WINDOWS = {"WSD 10 %": 0.1, "WSD 30 %": 0.3}


def task(noise: float = NOISE) -> sl.LinearRegression:
    """Memory and forcing exponents 1.05 and 0.37, near those that 2609.40148 fits to language models."""
    return power_law(1.05, 1.39, noise)


def norms(schedule: sl.schedules.Schedule, decay: float) -> FloatArray:
    """Root mean square of AdamW's weights before every step, (T,)."""
    return sl.twin.norm(schedule, decay, start=START, growth=GROWTH, memory=MEMORY)[:-1]


def _guided(schedule: sl.schedules.Schedule) -> FloatArray:
    """The norm under strong decay, growing faster at the end."""
    norm = norms(schedule, STRONG)
    share = np.arange(norm.size) / norm.size
    return norm * (1.0 + (FASTER - 1.0) * np.clip((share - LATE) / (1.0 - LATE), 0.0, 1.0))


def _cases(steps: int) -> dict[tuple[str, str], tuple[FloatArray, FloatArray]]:
    """(schedule, norm control) -> learning rates and norms."""
    cosine = sl.schedules.cosine(steps, peak=PEAK, warmup=WARMUP)
    out = {("cosine", f"decay {decay:g}"): (cosine.values(), norms(cosine, decay)) for decay in (0.0, STRONG)}
    out["cosine", "guided"] = (cosine.values(), _guided(cosine))
    for name, window in WINDOWS.items():
        wsd = sl.schedules.wsd(steps, peak=PEAK, warmup=WARMUP, cooldown=window, shape="linear")
        for decay in (0.0, DECAY):
            out[name, f"decay {decay:g}"] = (wsd.values(), norms(wsd, decay))
    return out


def compute(scale: Scale) -> Data:
    """rates: norm and relative rate; runs: bias and variance by schedule, norm control and scale; best: the unit."""
    steps = {"tiny": 2_100, "quick": 42_000, "full": 42_000}[scale]
    points = {"tiny": 100, "quick": 400, "full": 2_000}[scale]
    problem = task()
    marks = np.unique(np.round(np.linspace(1, steps, points)).astype(int))
    rates, runs = [], []
    cases = _cases(steps)
    none = cases["cosine", "decay 0"]
    (best,), _ = best_peaks(problem, [lambda rate: _method(*none, rate)], critical(problem), decades=3.0)
    for (schedule, control), (lr, norm) in cases.items():
        at = marks - 1
        rates.append(
            {"schedule": schedule, "control": control, "step": marks, "norm": norm[at], "rate": lr[at] / norm[at]}
        )
    for factor in SCALES:
        methods = [_method(lr, norm, factor * best) for lr, norm in cases.values()]
        found = sl.exact(problem, methods, record=marks, progress=False).risk.sum("subspace").sel(step=marks).values
        for (schedule, control), run in zip(cases, found, strict=True):
            named = {"schedule": schedule, "control": control, "scale": factor}
            runs.append({**named, "step": marks, "bias": run[:, 0], "variance": run[:, 1]})
    return {"rates": stack(rates), "runs": stack(runs), "best": {"rate": [best]}}


def _method(lr: FloatArray, norm: FloatArray, rate: float) -> sl.methods.Method:
    """SGD at rates proportional to lr / norm, `rate` at the peak learning rate and the norm of the start."""
    return sl.methods.sgd(sl.schedules.from_array(rate * (lr / PEAK) / (norm / START)))


def _run(data: Data, schedule: str, control: str, factor: float, name: str = "risk") -> FloatArray:
    where: dict[str, Any] = {"schedule": schedule, "control": control, "scale": factor}
    if name != "risk":
        return column(data["runs"], name, **where)
    return column(data["runs"], "bias", **where) + column(data["runs"], "variance", **where)


def _sign(data: Data, schedule: str, control: str, factor: float) -> IntArray:
    """After warmup: +1 where this norm control is above none, -1 where below."""
    step = column(data["runs"], "step", schedule=schedule, control=control, scale=factor)
    after = step > WARMUP * step[-1]
    above: IntArray = np.sign(_run(data, schedule, control, factor) - _run(data, schedule, "decay 0", factor))[after]
    return above


def _delayed(data: Data, schedule: str, control: str, factor: float) -> bool:
    """Above none for a tenth of the run after warmup, and below it at the end."""
    sign = _sign(data, schedule, control, factor)
    return bool(np.mean(sign > 0) >= 0.1 and sign[-1] < 0)


def draw(data: Data) -> Figure:
    shown = _shown(data)
    with style():
        figure = new_figure(WIDTH, 4.6)
        panels = figure.subplots(2, 3)
        controls = ("decay 0", f"decay {STRONG:g}", "guided")
        for j, control in enumerate(controls):
            line = {"color": PALETTE[j], "ls": DASHES[j], "label": f"weight {control}" if j < 2 else control}
            step, norm, rate = (
                column(data["rates"], key, schedule="cosine", control=control) for key in ("step", "norm", "rate")
            )
            panels[0, 0].plot(step, norm, **line)
            panels[0, 1].plot(step, rate, **line)
            risk, none = (_run(data, "cosine", each, shown) for each in (control, "decay 0"))
            panels[0, 2].plot(step, risk / none, **line)
        for axes, title, label in zip(
            panels[0],
            ("(a) norm", "(b) lr / norm", "(c) cosine"),
            ("rms weight", "relative rate", "risk / no decay"),
            strict=True,
        ):
            axes.set(xlabel="step", ylabel=label, title=title)
        for j, factor in enumerate(SAID):
            for axes, (tag, name) in zip(panels[1], zip("de", WINDOWS, strict=True), strict=False):
                step = column(data["runs"], "step", schedule=name, control="decay 0", scale=factor)
                ratio = _run(data, name, f"decay {DECAY:g}", factor) / _run(data, name, "decay 0", factor)
                axes.plot(step, ratio, color=PALETTE[j + 2], ls=DASHES[j % len(DASHES)], label=f"rate {factor:g}")
                axes.set(xlabel="step", ylabel="risk / no decay", title=f"({tag}) {name}, decay {DECAY:g}")
        for k, name in enumerate(("bias", "variance")):
            ratio = _run(data, "cosine", controls[1], shown, name) / _run(data, "cosine", "decay 0", shown, name)
            panels[1, 2].plot(step, ratio, color=PALETTE[k + 5], ls=DASHES[k], label=name)
        panels[1, 2].set(xlabel="step", ylabel="over no decay", title="(f) cosine: signal, noise")
        for axes in (panels[0, 2], *panels[1]):
            axes.axhline(1.0, color="0.6", lw=0.8)
        legend(figure, (panels[0, 0], panels[1, 0], panels[1, 2]), 5)
    return figure


def _shown(data: Data) -> float:
    """The scale of the panels: the middle one of those at which the strong decay is delayed, or of all."""
    there = [factor for factor in SCALES if _delayed(data, "cosine", f"decay {STRONG:g}", factor)]
    return there[len(there) // 2] if there else SCALES[len(SCALES) // 2]


def claims(data: Data) -> list[Claim]:
    strong = f"decay {STRONG:g}"
    return [
        _early(data, strong),
        _windows(data),
        _split(data, strong),
        _guide(data, strong),
        _norm_growth(data, strong),
    ]


def _said(values: dict[float, str]) -> str:
    return ", ".join(f"{values[factor]} ({factor:g})" for factor in SAID)


def _between(there: list[float]) -> str:
    """First and last of some scales."""
    return f"{len(there)} of {len(SCALES)} scales, {there[0]:.2f} to {there[-1]:.2f}" if there else "no scale"


def _early(data: Data, strong: str) -> Claim:
    there = [factor for factor in SCALES if _delayed(data, "cosine", strong, factor)]
    ends = {f: f"{_run(data, 'cosine', strong, f)[-1] / _run(data, 'cosine', 'decay 0', f)[-1]:.3f}" for f in SCALES}
    share = {f: f"{np.mean(_sign(data, 'cosine', strong, f) > 0):.0%}" for f in SCALES}
    return Claim(
        "delayed acceleration: under weight decay the loss is higher at first and lower at the end",
        "section 7, figure 7 (cosine, weight decay 0.3 and none)",
        "above the run without decay for at least 10 % of the run after warmup and below it at the end, some scale",
        f"share above: {_said(share)}; end over no decay: {_said(ends)}",
        bool(there),
        "signal decides at small rates from the start to the end, noise at large ones",
        paper="higher early, overtaken in the last phase",
        chosen=CHOSEN,
        substituted=SUBSTITUTED,
        turns=f"delayed at {_between(there)}",
    )


def _windows(data: Data) -> Claim:
    ends = {
        name: {f: _run(data, name, f"decay {DECAY:g}", f)[-1] / _run(data, name, "decay 0", f)[-1] for f in SCALES}
        for name in WINDOWS
    }
    short, long = ends.values()
    there = [f for f in SCALES if short[f] > 1.0 > long[f]]
    against = [f for f in SCALES if short[f] < 1.0 < long[f]]
    return Claim(
        "a short cooldown ends before the gain is seen, a longer one shows it",
        "appendix F.1, figure F.1 (WSD with 10 % and 30 %, weight decay 0.1 and none)",
        "ends above the run without decay at 10 % and below it at 30 %, some scale; the other way round at none",
        "; ".join(f"{name}: {_said({f: f'{x:.3f}' for f, x in each.items()})}" for name, each in ends.items()),
        bool(there) and not against,
        "no scale of the grid lies between",
        paper="above at 10 %, below at 30 %",
        chosen=CHOSEN,
        substituted=SUBSTITUTED,
        turns=f"so at {_between(there)}",
    )


def _split(data: Data, strong: str) -> Claim:
    ratio = {
        name: {
            f: _half(_run(data, "cosine", strong, f, name) / _run(data, "cosine", "decay 0", f, name)) for f in SCALES
        }
        for name in ("bias", "variance")
    }
    return Claim(
        "the gain is acquired early: at half time the signal is learnt further, and noise hides it",
        "section 7 (signal and noise of the functional scaling law)",
        "bias below and variance above those without decay at half of the steps, every scale",
        "; ".join(f"{name} {_said({f: f'{x:.3f}' for f, x in each.items()})}" for name, each in ratio.items()),
        max(ratio["bias"].values()) < 1.0 < min(ratio["variance"].values()),
        "bias holds the noise that the error itself makes",
        paper="lower signal term, more accumulated noise",
        chosen=CHOSEN,
        substituted=SUBSTITUTED,
    )


def _half(values: FloatArray) -> float:
    return float(values[values.size // 2])


def _guide(data: Data, strong: str) -> Claim:
    delayed = [f for f in SCALES if _delayed(data, "cosine", strong, f)]
    ends = {f: _run(data, "cosine", "guided", f)[-1] / _run(data, "cosine", strong, f)[-1] for f in SCALES}
    return Claim(
        "a norm that grows faster late, so that lr / |w| falls faster, ends lower than weight decay",
        "section 7, figure 7 (ELR-guided norm control)",
        "final risk below that of weight decay 0.3 wherever that is delayed",
        _said({f: f"{x:.4f}" for f, x in ends.items()}) + " over decay 0.3",
        bool(delayed) and all(ends[f] < 1.0 for f in delayed),
        "cosine ends faster than the best decay of this spectrum already: noise is forgotten the slower",
        paper="lower final loss",
        chosen=f"{CHOSEN}; norm growing to {FASTER:g} x over the last {1 - LATE:.0%}",
        substituted=SUBSTITUTED,
    )


def _norm_growth(data: Data, strong: str) -> Claim:
    rate = {c: column(data["rates"], "rate", schedule="cosine", control=c) for c in ("decay 0", strong)}
    kept = {c: _half(each) / float(each.max()) for c, each in rate.items()}
    lower = {
        f: _run(data, "cosine", strong, f, "bias")[-1] / _run(data, "cosine", "decay 0", f, "bias")[-1] for f in SCALES
    }
    return Claim(
        "without weight decay the norm grows and lr / |w| falls early; decay sustains it, and more signal is learnt",
        "section 7, figure 7 (middle, right)",
        "lr / |w| at half time over its peak at least 1.5 times as large with decay; final bias lower, every scale",
        f"{', '.join(f'{x:.3f} ({c})' for c, x in kept.items())}; final bias "
        + _said({f: f"{x:.3f}" for f, x in lower.items()}),
        kept[strong] >= 1.5 * kept["decay 0"] and max(lower.values()) < 1.0,
        "bias holds the noise that the error itself makes",
        paper="premature decay without it",
        chosen=CHOSEN,
        substituted=SUBSTITUTED,
    )


CHOSEN = "capacity 1.05, source 1.39, sigma^2 = 100, batch 1, scale of the rate (an axis)"
SUBSTITUTED = (
    "SGD on a regression at rates proportional to lr / |w|, |w| by the recipe's law for AdamW, for language models"
)
FIGURES = [
    Reproduction(
        "liu2026-delayed",
        "Weight decay by way of lr / |w|: gained early, seen late",
        PAPER,
        2026,
        "AdamW's recipe of the paper: 42,000 steps, 1,000 of warmup, peak 6e-4, weight decay 0 and 0.3 (cosine), 0 and"
        " 0.1 (WSD with 10 % and 30 %). |w| by the law of `sl.twin.norm`; SGD on a power law of 10^8 modes runs at a"
        " rate proportional to lr / |w|, of 17 scales about the best one. That runs of equal lr / |w| have equal"
        " losses is taken for granted here, not tested: it is the model.",
        compute,
        draw,
        claims,
        chosen=(CHOSEN,),
        substituted=(SUBSTITUTED,),
        seconds=1.5,
    )
]
