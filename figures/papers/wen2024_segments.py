"""Wen et al. 2024 (arXiv 2410.05192): the segment test, between two checkpoints of a WSD-S run."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import xarray as xr
from simlab.figures.columns import first, stack
from simlab.figures.papers.wen2024 import CHOSEN, FALL, FALLS, PAPER, SUBSTITUTED, valley
from simlab.figures.papers.wen2024_wsds import BUDGETS, DECAYS, SETTING, wsd_s
from simlab.figures.reproduction import Claim, Data, Reproduction, Scale, column
from simlab.theory.wen2024 import river_segment_dip

from simlab import methods, river, subspaces
from simlab.arrays import FloatArray
from simlab.engines.descend import descend
from simlab.engines.exact_valley import exact_valley
from simlab.landscapes.straight import StraightValley
from simlab.plot import WIDTH, new_figure, style
from simlab.plot.terrain import line_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["FIGURES"]

PAIRS = {"stable": (BUDGETS[0] - DECAYS[0], BUDGETS[1] - DECAYS[1]), "decayed": BUDGETS[:2]}
DRAWN = 12


def compute_segments(scale: Scale) -> Data:
    ground = valley()
    replicas = {"tiny": 24, "quick": 512, "full": 8192}[scale]
    # The last period is of no use here.
    lr = wsd_s().slice(0, BUDGETS[1])
    times = sorted({step for pair in PAIRS.values() for step in pair})
    landscape = ground.landscape()
    noise = river.noise.diagonal(np.append(0.0, np.sqrt(ground.noise)))
    trace = descend(
        landscape, methods.sgd(lr), replicas=replicas, noise=noise, record=times, paths=True, progress=False
    )
    modes = subspaces.modes(*range(1, ground.hills.size + 1))
    exact = exact_valley(ground, methods.sgd(lr), record=times, subspaces=modes, progress=False)
    curves, drawn, facts, falls = [], [], [], []
    for name, (before, after) in PAIRS.items():
        a, b = (trace["iterate"].sel(step=step).values for step in (before, after))
        found = river.segments(landscape, a, b)
        falls.append({"pair": name, **_by_fall(ground, a[:256], b[:256])})
        chord, dip = _expected(exact, ground.hills, before, after, found.share)
        mean = found.loss.mean(axis=0)
        curves.append({"pair": name, "share": found.share, "mean": mean, "chord": chord, "expected": chord - dip})
        for j in range(min(DRAWN, replicas)):
            drawn.append({"pair": name, "replica": j, "share": found.share, "loss": found.loss[j]})
        middle = float(np.interp(0.5, found.share, dip))
        facts.append(
            {
                "pair": name,
                "replicas": replicas,
                "convex": float(found.convex.mean()),
                "crosses": float(found.crosses.mean()),
                "monotone": float(found.monotone.mean()),
                "dip": float(found.dip.mean()),
                "error": float(found.dip.std(ddof=1) / np.sqrt(replicas)),
                "expected": middle,
                "quadratic": float(np.max(np.abs(found.dip - found.predicted_dip))),
            }
        )
    return {"curves": stack(curves), "drawn": stack(drawn), "facts": stack(facts), "falls": stack(falls)}


def _by_fall(ground: StraightValley, a: FloatArray, b: FloatArray) -> dict[str, FloatArray]:
    """Shares of pairs that fall all the way, and that dip, by the fall of the river: the hills are the same.

    No noise pushes along the river, so that its coordinate is s sum(eta), proportional to the root of the fall.
    """
    monotone, crosses = [], []
    for fall in FALLS:
        other = StraightValley(ground.hills, slope=float(np.sqrt(fall)), noise=ground.noise).landscape()
        stretch = np.ones(a.shape[1])
        stretch[0] = np.sqrt(fall / FALL)
        found = river.segments(other, a * stretch, b * stretch)
        monotone.append(found.monotone.mean())
        crosses.append(found.crosses.mean())
    return {"fall": FALLS, "monotone": np.array(monotone), "crosses": np.array(crosses)}


def _expected(
    exact: xr.Dataset, hills: FloatArray, before: int, after: int, share: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Expected chord and dip below it, for hill states that have forgotten one another."""
    ends = [float(exact["total"].sel(step=step)) for step in (before, after)]
    names = [str(i) for i in range(1, hills.size + 1)]
    kept = exact["hill_loss"].sel(subspace=names)
    variance = kept.sel(step=[before, after]).mean("step").values * 2.0 / hills
    chord: FloatArray = (1.0 - share) * ends[0] + share * ends[1]
    return chord, river_segment_dip(hills, variance, share)


def draw_segments(data: Data) -> Figure:
    with style():
        figure = new_figure(WIDTH, 2.6)
        panels = figure.subplots(1, 3, width_ratios=[1.2, 1.2, 1.0])
        for j, (axes, name) in enumerate(zip(panels, PAIRS, strict=False)):
            _draw_pairs(axes, data, name, j)
        falls = data["falls"]
        for j, (name, key, words) in enumerate(
            (("stable", "crosses", "stable: dip below both"), ("decayed", "monotone", "decayed: fall all the way"))
        ):
            panels[2].plot(column(falls, "fall", pair=name), column(falls, key, pair=name), label=words, **line_of(j))
        panels[2].axvline(FALL, color="0.5", lw=0.8, ls=":")
        panels[2].axhline(0.95, color="0.5", lw=0.8)
        panels[2].set(title="(c) by the fall of the river", xlabel="fall per unit of learning rate")
        panels[2].set(ylabel="share of the pairs", ylim=(0.0, 1.04))
        panels[2].legend(loc="lower right", fontsize=6)
    return figure


def _draw_pairs(axes: Axes, data: Data, name: str, j: int) -> None:
    curves, drawn, facts = data["curves"], data["drawn"], data["facts"]
    colour = line_of(j)["color"]
    for replica in first(column(drawn, "replica", pair=name)):
        where = {"pair": name, "replica": int(replica)}
        axes.plot(column(drawn, "share", **where), column(drawn, "loss", **where), color=colour, lw=0.5, alpha=0.35)
    share, mean, chord, expected = (column(curves, k, pair=name) for k in ("share", "mean", "chord", "expected"))
    axes.plot(share, expected, color="black", label="expected, exact")
    axes.plot(share, chord, color="black", lw=0.8, ls=":", label="its chord")
    axes.plot(share[::4], mean[::4], "o", color=colour, ms=3.5, mec="white", mew=0.4, label="sampled mean")
    axes.plot([], [], color=colour, lw=0.7, label="single pairs")
    before, after = PAIRS[name]
    key, words = {"stable": ("crosses", "dip below both ends"), "decayed": ("monotone", "fall all the way")}[name]
    held = float(column(facts, key, pair=name)[0])
    axes.set_title(f"({'ab'[j]}) {name} iterates,\n{held:.0%} {words}")
    axes.set(xlabel=f"from step {before} (0) to step {after:,} (1)", ylabel="loss")
    low, high = axes.get_ylim()
    axes.set_ylim(top=high + 0.45 * (high - low))
    axes.legend(loc="upper center", fontsize=6, ncols=2, columnspacing=0.8, handlelength=1.4)


def claims_segments(data: Data) -> list[Claim]:
    facts = data["facts"]

    def fact(key: str, pair: str) -> float:
        return float(column(facts, key, pair=pair)[0])

    replicas = int(fact("replicas", "stable"))
    score = (fact("dip", "stable") - fact("expected", "stable")) / fact("error", "stable")
    enough = column(data["falls"], "monotone", pair="decayed") >= 0.95
    least = f"from a fall of {FALLS[enough][0]:g} on" if enough.any() else "for no fall up to 0.06"
    sampled = f"{SUBSTITUTED}; {replicas} sampled pairs"
    return [
        Claim(
            "between two iterates of the stable phase the loss is convex and dips: the line crosses the valley",
            "segment test on language models (figure of the loss between checkpoints)",
            "all pairs convex, 95 % with their least loss strictly inside",
            f"{fact('convex', 'stable'):.1%} convex, {fact('crosses', 'stable'):.1%} dip below both ends",
            fact("convex", "stable") == 1.0 and fact("crosses", "stable") >= 0.95,
            "the pairs lie closer together than the valley is wide",
            paper="convex, with a dip between them",
            substituted=sampled,
        ),
        Claim(
            "the dip in the middle is a quarter of sum lam v, half the hill loss",
            "1/8 sum lam E (y - y')^2",
            "mean within 5 standard errors of the exact value",
            f"{fact('dip', 'stable'):.4f} +- {fact('error', 'stable'):.4f} against {fact('expected', 'stable'):.4f}"
            f" ({score:+.1f} s.e.)",
            abs(score) <= 5.0,
            "the pairs remember one another",
            own=True,
        ),
        Claim(
            "between two decayed iterates the loss falls monotonically",
            "segment test on language models (figure of the loss between checkpoints)",
            "95 % of the pairs",
            f"{fact('monotone', 'decayed'):.1%}",
            fact("monotone", "decayed") >= 0.95,
            "hills left by the decay outweigh the fall of the river",
            turns=f"95 % {least}",
            chosen=f"fall of the river {FALL:g} per unit of learning rate",
            paper="falls monotonically",
            substituted=sampled,
        ),
    ]


FIGURES = [
    Reproduction(
        "wen2024-segments",
        "The loss between two checkpoints: stable ones across the valley, decayed ones down the river",
        PAPER,
        2024,
        f"{SETTING} Pairs of iterates of sampled WSD-S runs (quick: 512, full: 8,192), before the first two decays and"
        " after them, over the exact expectation; (c): the same hills over rivers of other falls.",
        compute_segments,
        draw_segments,
        claims_segments,
        chosen=CHOSEN,
        substituted=(SUBSTITUTED,),
        seconds=2.0,
    ),
]
