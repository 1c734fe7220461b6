"""AdaMod: Adam whose rates are bounded by their own average (Ding et al. 2019), on a regression."""

from __future__ import annotations

from functools import partial

import numpy as np
from simlab.figures.papers.liu2019 import BETA2, MODEL, SETTING, TASK, compute, draw, peaks, ratio, spoken
from simlab.figures.reproduction import Claim, Data, Reproduction

__all__ = ["FIGURES"]

ADAMOD = "Ding, Ren, Luo and Sun 2019, arXiv 1910.12249"
BOUNDED = ("Adam", "AdaMod", "Adam, exponential warmup")


def claims(data: Data) -> list[Claim]:
    same, gain = ratio(data, "AdaMod", "Adam, exponential warmup"), ratio(data, "AdaMod", "Adam")
    rates = peaks(data)
    return [
        Claim(
            "AdaMod ends below Adam at high rates, without a warmup",
            "abstract: it removes extreme rates and needs no warmup",
            "a lower final risk at the largest peak",
            f"{gain[-1]:.3f} of Adam's at peak {rates[-1]:g}",
            bool(gain[-1] < 1.0),
            "it costs training time there too",
            paper="AdaMod trains where Adam needs a warmup",
            substituted=MODEL,
            chosen=f"beta2 = beta3 = {BETA2:g}; {TASK}",
            turns="at the other peaks it ends at "
            + ", ".join(f"{x:.2f} (peak {peak:g})" for x, peak in zip(gain[:-1], rates[:-1], strict=True))
            + " of Adam's",
        ),
        Claim(
            "AdaMod is Adam with the warmup 1 - beta3^t",
            "the running mean of a rate that stays at p is p (1 - beta3^t)",
            "final risks within 3 % at every peak",
            spoken(data, same),
            bool(np.all(np.abs(same - 1.0) <= 0.03)),
            "as soon as rates fall their mean lies above them and bounds nothing, so that the warmup is a shorter one",
            own=True,
        ),
    ]


FIGURES = [
    Reproduction(
        "ding2019-adamod",
        "AdaMod against an exponential warmup",
        ADAMOD,
        2019,
        SETTING + " beta3 = beta2; the warmup is the factor 1 - beta3^t.",
        partial(compute, names=BOUNDED),
        partial(draw, names=BOUNDED, last="ratio"),
        claims,
        chosen=("beta2, beta3, rates and the problem",),
        substituted=(MODEL,),
        seconds=3.0,
    ),
]
