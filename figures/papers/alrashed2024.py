"""Alrashed 2024 (arXiv 2412.08347) and Pareja et al. 2024 (2412.13337): the ratio of rate to batch in fine-tuning."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from simlab.figures.columns import stack
from simlab.figures.peaks import best_of_grid
from simlab.figures.reproduction import Claim, Data, Reproduction, Scale, column

import simlab as sl
from simlab.arrays import FloatArray
from simlab.plot import DASHES, PALETTE, WIDTH, new_figure, style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["FIGURES"]

PAPER = "Alrashed 2024, arXiv 2412.08347; Pareja et al. 2024, arXiv 2412.13337"
BATCHES = (1, 4, 16, 64)
PARTS = ("head", "tail")
HEAD = 10
RATIOS = np.geomspace(3e-4, 1.0, 29)
"""Peak over batch."""
EARLY = 0.05
SOURCES = (1.3, 2.0)
MAIN = SOURCES[0]
REGRESSION = "a regression, its first ten modes and the rest for tasks of pattern recognition and reasoning: an analogy"
CHOSEN = "capacity 1.5, source 1.3, sigma^2 = 1, linear decay, equal samples, batches 1 .. 64"
LOST = 1e6
"""A risk from here on is that of a run that diverged."""


def compute(scale: Scale) -> Data:
    """risks: by source, batch and ratio: early and final risk of the head, the tail and both; 1e9 where it diverged."""
    samples = {"tiny": 512, "quick": 8_192, "full": 65_536}[scale]
    rows = []
    for source in SOURCES:
        problem = sl.LinearRegression.power_law(10**4, 1.5, source, noise_variance=1.0).compress(1e-6)
        for batch in BATCHES:
            steps = samples // batch
            early = max(1, round(EARLY * steps))
            runs = [sl.methods.sgd(sl.schedules.linear(steps, batch * ratio), batch=batch) for ratio in RATIOS]
            trace = sl.exact(
                problem, runs, record=[early, steps], subspaces=sl.subspaces.head_tail(HEAD), progress=False
            )
            parts = trace.risk.sum("component", skipna=False).transpose("run", "step", "subspace")
            risk = np.nan_to_num(parts.values, nan=1e3 * LOST)
            head, tail = risk[:, -1, 0], risk[:, -1, 1]
            row = {"source": source, "batch": batch, "ratio": RATIOS, "early": risk[:, -2].sum(axis=1)}
            rows.append({**row, "head": head, "tail": tail, "risk": head + tail})
    return {"risks": stack(rows)}


def _of(data: Data, key: str, batch: int, source: float = MAIN) -> FloatArray:
    return column(data["risks"], key, batch=batch, source=source)


def _best(data: Data, part: str, batch: int, source: float = MAIN) -> float:
    """Best ratio by a parabola of log risk over log ratio."""
    risk = _of(data, part, batch, source)
    return best_of_grid(_of(data, "ratio", batch, source), np.where(risk < LOST, risk, np.inf))[0]


def _rank(one: FloatArray, other: FloatArray) -> float:
    """Spearman's correlation; 0 of fewer than three."""
    if one.size < 3:
        return 0.0
    ranks = np.array([np.argsort(np.argsort(values)) for values in (one, other)], dtype=np.float64)
    return float(np.corrcoef(ranks[0], ranks[1])[0, 1])


def _halves(data: Data, source: float) -> dict[str, float]:
    """Rank correlation of early and final risk over all batches, of ratios below and above the best one of each,
    and between that of the least early risk and the best.
    """
    found: dict[str, list[tuple[float, float]]] = {"below": [], "between": [], "above": [], "all": []}
    for batch in BATCHES:
        early, late = _of(data, "early", batch, source), _of(data, "risk", batch, source)
        alive = late < LOST
        best = int(np.argmin(late))
        pairs = list(zip(early.tolist(), late.tolist(), strict=True))
        found["below"] += [p for i, p in enumerate(pairs) if i < best]
        found["between"] += pairs[int(np.argmin(early)) : best + 1]
        found["above"] += [p for i, p in enumerate(pairs) if i > best and alive[i]]
        found["all"] += [p for i, p in enumerate(pairs) if alive[i]]
    return {
        name: _rank(np.array([p[0] for p in pairs]), np.array([p[1] for p in pairs])) for name, pairs in found.items()
    }


def draw(data: Data) -> Figure:
    with style():
        figure = new_figure(WIDTH, 2.9)
        panels = figure.subplots(1, 3)
        for axes, part, tag in zip(panels, PARTS, "ab", strict=False):
            _curves(axes, data, part, tag)
        for i, batch in enumerate(BATCHES):
            early, late = _of(data, "early", batch), _of(data, "risk", batch)
            best = int(np.argmin(late))
            for side, fill in ((slice(0, best + 1), PALETTE[i]), (slice(best, None), "none")):
                kept = (late[side] < 1e2) & (early[side] < 1e2)
                x, y = early[side][kept], late[side][kept]
                panels[2].plot(x, y, "os^D"[i], ms=3, color=PALETTE[i], mfc=fill)
        panels[2].set(xscale="log", yscale="log", xlabel="risk at 5 % of the run", ylabel="final risk")
        panels[2].set_title("(c) filled: to the best ratio")
        handles, names = panels[0].get_legend_handles_labels()
        figure.legend(handles, names, loc="outside lower left", ncols=4)
    return figure


def _curves(axes: Axes, data: Data, part: str, tag: str) -> None:
    for i, batch in enumerate(BATCHES):
        ratio, risk = _of(data, "ratio", batch), _of(data, part, batch)
        kept = risk < 30.0 * risk.min()
        axes.plot(ratio[kept], risk[kept], color=PALETTE[i], ls=DASHES[i], label=f"B = {batch}")
    axes.set(xscale="log", yscale="log", xlabel="peak / batch", ylabel="final risk")
    axes.set_title(f"({tag}) {'modes 1 .. 10' if part == 'head' else 'modes 11 ..'}")


def claims(data: Data) -> list[Claim]:
    given: dict[str, Any] = {"chosen": CHOSEN, "substituted": REGRESSION}
    return [*_ratios(data, given), *_signals(data, given)]


def _ratios(data: Data, given: dict[str, Any]) -> list[Claim]:
    best = {part: [_best(data, part, batch) for batch in BATCHES] for part in PARTS}
    apart = [tail / head for head, tail in zip(best["head"], best["tail"], strict=True)]
    least = {batch: float(_of(data, "risk", batch).min()) for batch in BATCHES}
    spread = max(best["head"]) / min(best["head"]) - 1.0
    spoken = {part: ", ".join(f"{x:.3g}" for x in values) for part, values in best.items()}
    return [
        Claim(
            "the best ratio of rate to batch depends on the task: low for one, high for the other",
            "abstract of Alrashed 2024",
            "ten times as high for the tail as for the head at batches 1 and 4",
            "x " + ", ".join(f"{value:.1f}" for value in apart) + f" (B = {', '.join(map(str, BATCHES))})",
            min(apart[:2]) >= 10.0,
            "both parts of the spectrum want the same",
            paper="high for reasoning, low for pattern recognition",
            turns="the largest stable rate cuts the tail's best ratio at larger batches: " + spoken["tail"],
            **given,
        ),
        Claim(
            "it is the ratio, and not the rate or the batch, that decides",
            "abstract of Alrashed 2024",
            "best ratio for the head within 10 % over all batches",
            f"{spoken['head']}: spread {spread:.1%}",
            spread <= 0.1,
            "the largest stable rate of a large batch is too low for that ratio",
            paper="the ratio of rate to batch",
            **given,
        ),
        Claim(
            "larger batches with lower rates are better",
            "abstract of Pareja et al. 2024",
            "least risk at equal samples at batch 64, at least 5 % below batch 1",
            ", ".join(f"{value:.4g} (B = {batch})" for batch, value in least.items()),
            least[64] <= 0.95 * least[1],
            "at equal samples a larger batch has fewer steps, and the rate that makes up for them is not stable",
            paper="larger batches with a lower rate",
            **given,
        ),
    ]


def _signals(data: Data, given: dict[str, Any]) -> list[Claim]:
    halves = {source: _halves(data, source) for source in SOURCES}
    return [
        Claim(
            "high early loss predicts a better end",
            "abstract of Pareja et al. 2024",
            "rank correlation of risk at 5 % of the run with the final risk at most -0.5 over all rates and batches",
            ", ".join(f"{half['all']:+.2f} (source {source:g})" for source, half in halves.items()),
            all(half["all"] <= -0.5 for half in halves.values()),
            "runs whose ratio is too low are behind at every time",
            paper="higher early loss, better final performance",
            turns="ratios from that of the least early risk to the best one: "
            + "; ".join(f"{h['between']:+.2f} (source {s:g})" for s, h in halves.items()),
            **given,
        ),
        Claim(
            "among runs below their best ratio early risk ranks the ends",
            "what bias is left early is left late",
            "rank correlation at least 0.8, both sources",
            ", ".join(f"{half['below']:+.2f} (source {source:g})" for source, half in halves.items()),
            all(half["below"] >= 0.8 for half in halves.values()),
            "larger batches are behind early and catch up",
            turns="above it: " + ", ".join(f"{h['above']:+.2f} (source {s:g})" for s, h in halves.items()),
            own=True,
        ),
    ]


FIGURES = [
    Reproduction(
        "alrashed2024-ratio",
        "The ratio of rate to batch by part of the spectrum, and early signs",
        PAPER,
        2024,
        "SGD with linear decay on power laws of 10^4 modes (capacity 1.5, source 1.3; 2 for early signs; sigma^2 = 1),"
        " 8,192 samples (full: 65,536) at batches 1, 4, 16, 64 and ratios of peak to batch from 0.0003 to 1, by the"
        " exact engine.",
        compute,
        draw,
        claims,
        chosen=(CHOSEN,),
        substituted=(REGRESSION,),
        seconds=1.0,
    )
]
