"""Wen et al. 2024 (arXiv 2410.05192): why a high rate that is decayed late wins in a river valley; by the exact engine.

Of the same paper: `figures.wen2024_wsds` (several budgets in one run, the segment test), `figures.wen2024_landscape`
(the curved valley), `figures.wen2024_bigram`.
"""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from scipy.optimize import brentq
from simlab.figures.columns import stack
from simlab.figures.reproduction import Claim, Data, Reproduction, Scale, column
from simlab.theory.wen2024 import river_hills_stationary, river_progress

from simlab import methods
from simlab.arrays import FloatArray
from simlab.engines.exact_valley import exact_valley
from simlab.landscapes.straight import StraightValley
from simlab.plot import WIDTH, new_figure, style
from simlab.plot.terrain import WATER, line_of
from simlab.showcase.valley import CAVEAT, PEAK, STEPS, canonical_runs, canonical_trace, canonical_valley

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["CAP", "CHOSEN", "FALL", "FALLS", "FIGURES", "PAPER", "SUBSTITUTED", "VALLEY", "valley"]

PAPER = "Wen, Li, Wang, Hall, Liang, Ma 2024, arXiv 2410.05192"
FALL = 0.035
"""Loss gained along the river per unit of learning rate.

Not the paper's: below 0.034 decayed pairs do not all fall the whole way (`wen2024_segments`), above 0.0368 WSD with a
decay of 10 % overtakes cosine before it decays. Where a verdict turns on it, the claim says so.
"""
CAP = canonical_valley().critical_lr
VALLEY = (
    "Straight valley: 100 hills, curvature 1 .. 20 in geometric steps, noise variance 1 along each; the"
    f" river falls by {FALL:g} per unit of learning rate. {STEPS:,} steps, peak {PEAK:g}; the cap on a peak is"
    f" 2/lam_max = {CAP:g}."
)
SUBSTITUTED = "a linear river over 100 quadratic hills with additive noise for the loss of a language model"
CHOSEN = (
    "hills and noise",
    f"fall of the river {FALL:g}: from 0.034 on decayed pairs fall all the way (wen2024-segments), up to 0.0368 cosine"
    " is overtaken in the decay (wen2024-valley)",
    f"one cap on the peak of every schedule, 2/lam_max = {CAP:g}",
)
CAPPED = f"both peaks {PEAK:g}, below the cap 2/lam_max = {CAP:g}"
STEEP = 0.05
PRINTED = {
    "constant": -3.47,
    "cosine": -2.46,
    "linear": -2.44,
    "WSD 10 %": -4.57,
    "WSD 20 %": -4.37,
    "WSD 20 % 1-sqrt": -4.24,
    "WSD 20 % square": -4.49,
    "WSD 20 % inv(.1)": -4.12,
    CAVEAT: -4.95,
}
"""Final losses at a fall of 0.05, by an independent recursion."""
FALLS = np.round(np.linspace(0.01, 0.06, 26), 3)
SHOWN = ("cosine", "WSD 20 %", "WSD 10 %", "constant", CAVEAT)
DECAYS = {"WSD 20 %": round(0.8 * STEPS), "WSD 10 %": round(0.9 * STEPS)}
"""Step at which the decay begins."""


def valley() -> StraightValley:
    """The hills of `simlab river`, and a river that falls by FALL."""
    own = canonical_valley()
    return StraightValley(own.hills, slope=float(np.sqrt(FALL)), noise=own.noise)


# -- stable phase, decay, and cosine -----------------------------------------------------------------------------------


def compute_valley(scale: Scale) -> Data:
    """curves, final: hills by the exact engine, river as -FALL sum eta; crossings: by the fall of the river."""
    trace = canonical_trace()
    hills = trace["hill_loss"].sum("subspace")
    # The engine's river, at its own fall; a linear river is proportional to it.
    scaled = trace["river_loss"] * (FALL / canonical_valley().slope ** 2)
    curves = []
    for run in SHOWN:
        parts = {"river": scaled.sel(run=run), "hills": hills.sel(run=run), "lr": trace["lr"].sel(run=run)}
        curves.append({"run": run, "step": trace["step"].values, **{name: part.values for name, part in parts.items()}})
    progress = [-FALL * river_progress(1.0, s.values())[-1] for s in canonical_runs().values()]
    final = {
        "run": trace["run"].values.astype(str),
        "river": scaled.isel(step=-1).values,
        "hills": hills.isel(step=-1).values,
        "progress": np.array(progress),
    }
    table = stack(curves)
    return {
        "curves": table,
        "final": final,
        "facts": _facts(),
        "peaks": _by_peak(5 if scale == "tiny" else 25),
        "crossings": _by_fall(table),
    }


def _facts() -> dict[str, npt.NDArray[Any]]:
    """Stationary hill loss and the paper's bound on it: inside the range of the theorem, at the peak; where they meet.

    Range: eta < gamma / (2 gamma_max^2) = 0.00125.
    """
    own = canonical_valley()
    rates = np.array([0.99 * own.hills.min() / (2.0 * own.hills.max() ** 2), PEAK])

    def over(lr: float) -> float:
        stationary = river_hills_stationary(own.hills, own.noise, lr).sum()
        return float(stationary - 0.5 * own.hills.size * lr * own.noise.max())

    return {
        "lr": rates,
        "stationary": river_hills_stationary(own.hills, own.noise, rates).sum(axis=1),
        "bound": 0.5 * own.hills.size * rates * float(own.noise.max()),
        "meets": np.full(2, float(brentq(over, PEAK, 0.9999 * own.critical_lr))),
    }


def _by_fall(curves: dict[str, npt.NDArray[Any]]) -> dict[str, npt.NDArray[Any]]:
    """The step from which on WSD is not above cosine, by the fall of the river; `limit`: fall up to which it decays.

    At the start of the decay WSD is above cosine while fall x (difference of the sums of rates) < difference of hills.
    """
    rows = []
    for run, start in DECAYS.items():
        way, hills = (column(curves, key, run=run) - column(curves, key, run="cosine") for key in ("river", "hills"))
        limit = float(-hills[start] / (way[start] / FALL))
        for fall in FALLS:
            above = np.flatnonzero(way * (fall / FALL) + hills > 0.0)
            rows.append({"run": run, "fall": fall, "step": above[-1] + 1 if above.size else 0, "limit": limit})
    return stack(rows)


def _by_peak(count: int) -> dict[str, npt.NDArray[Any]]:
    """Final losses of three schedules over common peaks up to the cap."""
    peaks = CAP * np.geomspace(0.05, 1.0, count)
    rows: list[tuple[str, float]] = []
    runs = []
    for peak in peaks.tolist():
        own = canonical_runs(STEPS, peak)
        for name in ("cosine", "WSD 10 %", "WSD 20 %"):
            rows.append((name, peak))
            runs.append(methods.sgd(own[name]))
    with warnings.catch_warnings():
        # The last peak sits on the cap on purpose.
        warnings.filterwarnings("ignore", message="the peak learning rate")
        loss = exact_valley(valley(), runs, record=2, progress=False)["total"].isel(step=-1).values
    names, used = zip(*rows, strict=True)
    return {"run": np.array(names), "peak": np.array(used), "loss": loss}


def _total(data: Data, run: str) -> FloatArray:
    out: FloatArray = column(data["curves"], "river", run=run) + column(data["curves"], "hills", run=run)
    return out


def _crossing(data: Data, run: str = "WSD 20 %") -> int:
    """The step from which on WSD is not above cosine."""
    late = np.flatnonzero(_total(data, run) > _total(data, "cosine"))
    return int(column(data["curves"], "step", run="cosine")[late[-1] + 1]) if late.size else 0


def draw_valley(data: Data) -> Figure:
    curves = data["curves"]
    with style():
        figure = new_figure(WIDTH, 4.7)
        # Rows of their own: the names of the runs in (d) leave the row above alone.
        top, bottom = figure.subfigures(2, 1, squeeze=False, height_ratios=[1.2, 1.0])[:, 0]
        a, b, c = top.subplots(1, 3)
        d, e, f = bottom.subplots(1, 3, width_ratios=[1.1, 1.0, 1.0])
        for j, run in enumerate(("cosine", "WSD 20 %", "constant", CAVEAT)):
            look = {**line_of(j)} if run != CAVEAT else {"color": "0.5", "ls": ":"}
            label = run if run != CAVEAT else "cosine, peak on the cap"
            step, river, hills = (column(curves, key, run=run) for key in ("step", "river", "hills"))
            for axes, values in ((a, river + hills), (b, river), (c, hills)):
                axes.plot(step, values, label=label, **look)
        stationary = float(np.asarray(data["facts"]["stationary"])[1])
        c.text(STEPS, 1.5 * stationary, "stationary", fontsize=6.5, color="0.4", ha="right")
        _mark_crossing(a, data)
        a.set(title="(a) expected loss", ylabel="loss", ylim=(-3.8, 2.0))
        a.annotate(
            f"to {_total(data, CAVEAT).max():.0f}", (430, 2.0), (720, 1.5), fontsize=6.5, color="0.4", va="center",
            arrowprops={"arrowstyle": "->", "lw": 0.6, "color": "0.4"},
        )  # fmt: skip
        b.set_title("(b) of it, along the river")
        c.set(title="(c) of it, on the hills", ylim=(0.01, 20.0), yscale="log")
        for axes in (a, b, c):
            axes.set(xlabel="step", xlim=(0, STEPS))
        _draw_final(d, data)
        _draw_peaks(e, data)
        _draw_crossings(f, data)
        top.legend(*a.get_legend_handles_labels(), loc="outside upper center", ncols=4)
    return figure


def _mark_crossing(axes: Axes, data: Data) -> None:
    at = _crossing(data)
    step = column(data["curves"], "step", run="cosine")
    height = float(_total(data, "cosine")[step == at][0])
    axes.plot(at, height, "o", mfc="none", mec="black", ms=6)
    axes.annotate(
        f"step {at:,}", (at, height), (-34, -26), textcoords="offset points", fontsize=7, ha="center",
        arrowprops={"arrowstyle": "-", "lw": 0.6},
    )  # fmt: skip
    axes.axvspan(0.8 * STEPS, STEPS, color="0.92", lw=0, zorder=0)
    axes.text(0.9 * STEPS, 1.9, "decay", fontsize=6.5, color="0.4", ha="center", va="top")


def _draw_final(axes: Axes, data: Data) -> None:
    """What the river gives, what the hills take back, and the loss."""
    river, hills = column(data["final"], "river"), column(data["final"], "hills")
    order = np.argsort(-(river + hills))
    rows = np.arange(order.size)
    axes.hlines(rows, river[order], (river + hills)[order], color="#ad9f86", lw=3.0, label="hills")
    axes.plot(river[order], rows, "o", color=WATER, ms=4.5, label="river alone")
    axes.plot((river + hills)[order], rows, "|", color="black", ms=8, mew=1.5, label="loss")
    names = np.asarray(data["final"]["run"])[order].tolist()
    axes.set_yticks(rows, [name.replace(CAVEAT, "cosine × 2 (cap)") for name in names], fontsize=6)
    axes.set(title="(d) final loss", xlabel="loss", xlim=(-3.8, -1.4), ylim=(-0.6, rows.size + 1.6))
    axes.legend(loc="upper center", fontsize=6, handlelength=1.0, ncols=3, columnspacing=0.8, handletextpad=0.3)


def _draw_peaks(axes: Axes, data: Data) -> None:
    for j, run in enumerate(("cosine", "WSD 20 %", "WSD 10 %")):
        look = line_of(j if j < 2 else 4)
        axes.plot(column(data["peaks"], "peak", run=run), column(data["peaks"], "loss", run=run), label=run, **look)
    axes.axvline(CAP, color="0.5", lw=0.8)
    axes.axvline(PEAK, color="0.5", lw=0.8, ls=":")
    axes.text(PEAK * 1.03, -0.1, "peak of (a) .. (d)", fontsize=6, color="0.4", va="top")
    axes.set(title="(e) final loss by peak", xlabel="peak, up to the cap", ylabel="loss")
    axes.legend(loc="lower left", fontsize=6)


def _draw_crossings(axes: Axes, data: Data) -> None:
    for j, run in zip((1, 4), DECAYS, strict=True):
        fall, step = (column(data["crossings"], key, run=run) for key in ("fall", "step"))
        axes.plot(fall, step, label=run, **line_of(j))
        axes.axhline(DECAYS[run], color=line_of(j)["color"], lw=0.7)
        axes.text(0.0095, DECAYS[run] + 8, "its decay begins", fontsize=6, color="0.4", ha="left")
    axes.axvline(FALL, color="0.5", lw=0.8, ls=":")
    axes.set(title="(f) WSD overtakes cosine", xlabel="fall per unit of learning rate", ylabel="step")
    axes.set_ylim(1_300, 2_000)
    axes.legend(loc="upper right", fontsize=6)


def claims_valley(data: Data) -> list[Claim]:
    final = data["final"]
    river, hills = (column(final, key) for key in ("river", "hills"))
    total = dict(zip(np.asarray(final["run"]).tolist(), river + hills, strict=True))
    half = {run: float(_total(data, run)[STEPS // 2]) for run in ("cosine", "WSD 20 %")}
    before, after = column(data["curves"], "hills", run="WSD 20 %")[[DECAYS["WSD 20 %"], STEPS]]
    wsd = [total[run] for run in PRINTED if run.startswith("WSD")]
    at = {run: _crossing(data, run) for run in DECAYS}
    crossings = data["crossings"]
    limit = {run: float(column(crossings, "limit", run=run)[0]) for run in DECAYS}
    steep = {run: int(column(crossings, "step", run=run, fall=STEEP)[0]) for run in DECAYS}
    missed = float(np.max(np.abs(river / column(final, "progress") - 1.0)))
    return [
        Claim(
            "progress along the river is the sum of the learning rates",
            "Theorem 2.4",
            "river loss = -fall x sum(eta) to 1e-12, all schedules",
            f"{missed:.1e}",
            missed <= 1e-12,
            substituted="a linear river",
        ),
        _bound_claim(data),
        Claim(
            "the decay takes the hills away",
            "Theorem 2.4",
            "WSD 20 %: less than a tenth of the hill loss is left",
            f"{before:.3f} -> {after:.3f}",
            after < 0.1 * before,
            "the decay is shorter than the memory of the flattest hill",
            substituted=SUBSTITUTED,
        ),
        Claim(
            "cosine is below WSD at half time and ends above it, whatever the length of the decay",
            f"loss curves; {CAPPED}",
            "cosine below WSD 20 % at step 1,000, above every WSD at the end",
            f"{half['cosine']:.2f} against {half['WSD 20 %']:.2f}; {total['cosine']:.2f} against {min(wsd):.2f} .. "
            f"{max(wsd):.2f}",
            half["cosine"] < half["WSD 20 %"] and max(wsd) < total["cosine"],
            "a steep river outweighs the hills before half time",
            paper="the loss remains elevated in the stable phase and declines sharply in the decay (abstract)",
            substituted=SUBSTITUTED,
            turns=f"at twice its peak, on the cap, cosine ends lower, at {total[CAVEAT]:.2f}",
        ),
        Claim(
            "cosine is overtaken in the decay",
            f"loss curves; {CAPPED}",
            "the curves cross after the decay has begun, "
            + " and ".join(f"at step {start:,} ({run})" for run, start in DECAYS.items()),
            ", ".join(f"step {at[run]:,} ({run})" for run in DECAYS),
            all(at[run] >= start for run, start in DECAYS.items()),
            "the river is so steep that it outweighs the hills before the decay",
            paper="the loss declines sharply in the decay (abstract)",
            chosen=f"fall of the river {FALL:g} per unit of learning rate",
            substituted=SUBSTITUTED,
            turns="for a fall up to "
            + " and ".join(f"{value:.4f} ({run})" for run, value in limit.items())
            + ", beyond it earlier: at "
            + f"{STEEP:g} at step "
            + " and ".join(f"{step:,}" for step in steep.values()),
        ),
        *_own_claims(data, total),
    ]


def _bound_claim(data: Data) -> Claim:
    facts = {key: np.asarray(values, dtype=np.float64) for key, values in data["facts"].items()}
    lr, stable, bound = facts["lr"], facts["stationary"], facts["bound"]
    return Claim(
        "in the stable phase the hills add at most (d - 1) eta sigma^2 / 2",
        "theorem on the stable phase (2.3)",
        "stationary hill loss / bound <= 1 for eta < gamma / (2 gamma_max^2) = 0.00125",
        f"{stable[0] / bound[0]:.3f} at eta = {lr[0]:.5f}",
        bool(stable[0] <= bound[0]),
        "the constant is another one",
        chosen="the constant 1/2, which is reconstructed",
        substituted=SUBSTITUTED,
        turns=f"outside the theorem's range it holds up to eta = {facts['meets'][0]:.4f}, "
        f"{facts['meets'][0] / CAP:.0%} of the cap; {stable[1] / bound[1]:.3f} at {PEAK:g}",
    )


def _own_claims(data: Data, total: dict[str, float]) -> list[Claim]:
    final, peaks = data["final"], data["peaks"]
    at_steep = column(final, "river") * (STEEP / FALL) + column(final, "hills")
    found = dict(zip(np.asarray(final["run"]).tolist(), at_steep, strict=True))
    off = max(abs(found[run] - printed) for run, printed in PRINTED.items())
    common = column(peaks, "loss", run="WSD 20 %") - column(peaks, "loss", run="cosine")
    best = min((run for run in total if run.startswith("WSD")), key=lambda run: total[run])
    return [
        Claim(
            f"final losses at a fall of {STEEP:g} are those of an independent recursion",
            "h <- (1 - eta lam)^2 h + eta^2 lam c / 2 for every hill",
            ", ".join(f"{run} {value:.2f}" for run, value in PRINTED.items()),
            f"largest difference {off:.4f}",
            off <= 0.005,
            "another valley",
            own=True,
        ),
        Claim(
            "WSD ends below cosine at every peak that both share, up to the cap",
            "panel (e)",
            f"WSD 20 % below cosine for all peaks from {CAP / 20:g} to {CAP:g}",
            f"by {-common.max():.2f} .. {-common.min():.2f}",
            bool(common.max() < 0.0),
            "hills left by the decay outweigh the river",
            own=True,
        ),
        Claim(
            f"WSD at {PEAK:g} ends below cosine that may have twice the peak",
            "river loss -fall x sum(eta), which for cosine at twice the peak is that of a constant rate",
            f"best WSD below cosine at {CAP:g}, on the cap",
            f"{total[best]:.2f} ({best}) against {total[CAVEAT]:.2f}",
            total[best] < total[CAVEAT],
            "a linear river counts the sum of learning rates alone, so that WSD wins only under one cap on both peaks",
            own=True,
        ),
    ]


FIGURES = [
    Reproduction(
        "wen2024-valley",
        "Stable phase, decay and cosine in a river valley, under one cap on the peak",
        PAPER,
        2024,
        f"{VALLEY} Exact expected losses, the same at every scale. (e): peaks from a twentieth of the cap to it; (f):"
        " falls of the river from 0.01 to 0.06.",
        compute_valley,
        draw_valley,
        claims_valley,
        chosen=CHOSEN,
        substituted=(SUBSTITUTED,),
        seconds=1.0,
    ),
]
