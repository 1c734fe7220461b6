"""Everett and Qiu 2026 (arXiv 2609.04577): what is best changes with how far a model is overtrained.

From the abstract and a summary of section 3.2 and of figure 3; the paper itself was not at hand.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from simlab.figures.columns import first, stack
from simlab.figures.papers.porian2024 import model
from simlab.figures.peaks import best_peaks, critical
from simlab.figures.reproduction import Claim, Data, Reproduction, Scale, column
from simlab.figures.results.optima import legend

import simlab as sl
from simlab.plot import DASHES, PALETTE, WIDTH, new_figure, style

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from simlab.arrays import FloatArray
    from simlab.methods import Method

__all__ = ["FIGURES"]

PAPER = "Everett, Qiu 2026, arXiv 2609.04577"
CASES = {"easy": (1.5, 2.5, 1.0), "between": (1.5, 1.6, 1.0), "hard": (2.0, 1.5, 0.01)}
"""Capacity, source and noise variance of the first features; what the others say is noise to them."""
PER_FEATURE = 20
"""Samples a feature at 1 x, as tokens a parameter."""
BATCH = 16
MEMORIES = (1, 2, 5, 20, 80, 320)
"""1 / (1 - momentum)."""
SHAPES = {"linear": sl.schedules.linear, "cosine": sl.schedules.cosine}


def _sgd(shape: str, steps: int, peak: float) -> Method:
    return sl.methods.sgd(SHAPES[shape](steps, peak))


def _momentum(memory: int, steps: int, peak: float) -> Method:
    """Heavy ball under a linear decay; the peak is that of lr / (1 - momentum)."""
    schedule = sl.schedules.linear(steps, peak / memory)
    return sl.methods.heavy_ball(schedule, momentum=1.0 - 1.0 / memory, batch=BATCH)


def compute(scale: Scale) -> Data:
    """shapes: risk at the best peak by task, overtraining and shape; memories: by momentum."""
    width, factors, memories = {
        "tiny": (10, (1, 8), MEMORIES[::2]),
        "quick": (64, (1, 2, 4, 8, 16, 32), MEMORIES),
        "full": (256, (1, 2, 4, 8, 16, 32), MEMORIES),
    }[scale]
    shapes, kept = [], []
    for case, numbers in CASES.items():
        problem = model(width, *numbers)
        single, many = critical(problem), critical(problem, BATCH)
        for factor in factors:
            samples = PER_FEATURE * width * factor
            peaks, risks = best_peaks(problem, [partial(_sgd, shape, samples) for shape in SHAPES], single)
            shapes.append({"case": case, "factor": factor, "shape": list(SHAPES), "peak": peaks, "risk": risks})
            # Beyond the critical rate of SGD: momentum is stable at larger lr / (1 - momentum).
            runs = [partial(_momentum, memory, samples // BATCH) for memory in memories]
            peaks, risks = best_peaks(problem, runs, 8.0 * many * np.sqrt(memories))
            kept.append({"case": case, "factor": factor, "memory": memories, "peak": peaks, "risk": risks})
    return {"shapes": stack(shapes), "memories": stack(kept)}


def _over(data: Data, case: str) -> tuple[FloatArray, FloatArray]:
    """Overtraining, and what cosine ends above linear decay, each at its best peak."""
    linear, cosine = (column(data["shapes"], "risk", case=case, shape=shape) for shape in SHAPES)
    return column(data["shapes"], "factor", case=case, shape="linear"), cosine / linear - 1.0


def _best(data: Data, case: str) -> tuple[FloatArray, FloatArray]:
    """Overtraining, and the memory with the least risk."""
    factors = np.array(first(data["memories"]["factor"]))
    risk = [column(data["memories"], "risk", case=case, factor=factor) for factor in factors]
    memory = column(data["memories"], "memory", case=case, factor=factors[0])
    return factors, memory[np.argmin(risk, axis=1)]


def draw(data: Data) -> Figure:
    with style():
        figure = new_figure(WIDTH, 2.9)
        panels = figure.subplots(1, 3)
        panels[0].axhline(0.0, color="0.6", lw=0.8)
        for j, case in enumerate(CASES):
            factors, over = _over(data, case)
            panels[0].plot(factors, 100.0 * over, "os^"[j], ls=DASHES[j], color=PALETTE[j], ms=4, label=case)
            factors, memory = _best(data, case)
            panels[1].plot(factors, memory, "os^"[j], ls=DASHES[j], color=PALETTE[j], ms=4)
            memory, risk = (column(data["memories"], key, case=case, factor=factors[-1]) for key in ("memory", "risk"))
            panels[2].plot(memory, risk / risk[0], "os^"[j], ls=DASHES[j], color=PALETTE[j], ms=4)
        panels[0].set(xscale="log", xlabel="overtraining", ylabel="cosine above linear [%]", title="(a) shapes")
        panels[1].set(xscale="log", yscale="log", xlabel="overtraining", ylabel="best memory", title="(b) momentum")
        panels[2].set(xscale="log", xlabel=r"memory $1/(1-\beta)$", ylabel="risk / SGD's", title="(c) longest runs")
        panels[1].set_yticks(MEMORIES, list(map(str, MEMORIES)))
        panels[1].minorticks_off()
        legend(figure, panels[:1], 3, "power law")
    return figure


def claims(data: Data) -> list[Claim]:
    over = {case: dict(zip(*_over(data, case), strict=True)) for case in CASES}
    long = [factor for factor in first(data["shapes"]["factor"]) if factor >= 8]
    reversed_ = [c for c, x in over.items() if x[1] > 0.0 and all(x[f] < 0.0 for f in long if f in (8, 32))]
    other = [c for c, x in over.items() if x[1] < 0.0 and all(x[f] > 0.0 for f in long if f in (8, 32))]
    best = {case: dict(zip(*_best(data, case), strict=True)) for case in CASES}
    grown = {case: each[long[-1]] / each[1] for case, each in best.items()}
    given: dict[str, Any] = {"chosen": CHOSEN, "substituted": SUBSTITUTED}

    def said(values: dict[float, float]) -> str:
        return ", ".join(f"{100 * value:+.2f} % ({factor:g} x)" for factor, value in values.items())

    return [
        Claim(
            "the best decay reverses with overtraining: linear at 1 x, cosine at 8 x and 32 x",
            "section 3.2 (by a summary); abstract: the preferred schedule can reverse",
            "cosine above linear at 1 x and below it at 8 x and 32 x in some task, each at its best peak",
            "; ".join(f"{case}: {said(x)}" for case, x in over.items()),
            bool(reversed_),
            "no task of the three turns between 1 x and 32 x",
            paper="linear at 1 x, cosine at 8 x and 32 x, for AdamW, ADANA, Muon and SOAP",
            turns=f"reversed so: {', '.join(reversed_) or 'none'}; the other way round: {', '.join(other) or 'none'}",
            **given,
        ),
        Claim(
            "longer horizons favour a longer memory",
            "abstract; figure 3 (by a summary)",
            f"best memory of heavy ball at {long[-1]:g} x at least 4 times that at 1 x, every task, linear decay",
            "; ".join(
                f"{case}: " + ", ".join(f"{m:g} ({f:g} x)" for f, m in each.items()) for case, each in best.items()
            ),
            min(grown.values()) >= 4.0,
            "once the peak is tuned, memory beyond what stability asks for changes little",
            paper="AdamW 20 to 1,280, Muon 20 to 640, SOAP 40 to 1,280 from 1 x to 128 x",
            turns=f"holds in: {', '.join(case for case, x in grown.items() if x >= 4.0) or 'no task'}",
            **given,
        ),
        Claim(
            "which of the two decays is better, and by how much, is a matter of the task more than of overtraining",
            "as computed",
            "spread of the three tasks' differences at every overtraining larger than any task's change from 1 x",
            "; ".join(f"{case}: changes by {100 * (x[long[-1]] - x[1]):+.2f} points" for case, x in over.items())
            + f"; least spread {100 * min(_spread(over, f) for f in over['easy']):.2f} points",
            min(_spread(over, f) for f in over["easy"]) > max(abs(x[long[-1]] - x[1]) for x in over.values()),
            "overtraining changes as much",
            own=True,
        ),
    ]


def _spread(over: dict[str, dict[float, float]], factor: float) -> float:
    values = [x[factor] for x in over.values()]
    return max(values) - min(values)


CHOSEN = "spectra, 20 samples a feature for 20 tokens a parameter, batch 1 (momentum: 16)"
SUBSTITUTED = "SGD and heavy ball on a regression of N features for AdamW, ADANA, Muon and SOAP on language models"
FIGURES = [
    Reproduction(
        "everett2026-overtraining",
        "The best decay and the best memory by overtraining",
        PAPER,
        2026,
        "Regression on the first N = 64 (full: 256) features of power laws (capacity, source, noise variance: 1.5, 2.5,"
        " 1; 1.5, 1.6, 1; 2, 1.5, 0.01), 20 N samples at 1 x, to 32 x. Linear decay and cosine, both to zero, at their"
        " best peaks, batch 1; heavy ball of memory 1 to 320 under a linear decay, batch 16. The weight decay that goes"
        " as the root of overtraining is not in it: no weights of a regression are scale invariant.",
        compute,
        draw,
        claims,
        chosen=(CHOSEN,),
        substituted=(SUBSTITUTED,),
        seconds=3.0,
    )
]
