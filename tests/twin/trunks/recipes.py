"""Small language models under eleven schedules: what was trained, and the curves that were measured."""

from __future__ import annotations

import csv
import math
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np

from simlab.arrays import FloatArray
from simlab.twin import Curve

WARMUP, EVERY, WEIGHT_DECAY = 200, 20, 0.1


class Trunk(NamedTuple):
    """A model and what all its runs share: `times` multiplies all numbers of steps, the warm-up's included."""

    width: int
    batch: int
    peak: float
    seed: int
    times: int = 1


TRUNKS = {
    "narrow": Trunk(48, 8, 4e-3, 1),
    "wide": Trunk(80, 8, 3e-3, 2),
    "long": Trunk(32, 16, 4e-3, 3, times=3),
    "longer": Trunk(48, 16, 3e-3, 4, times=8),
}

AGAIN = {"narrow again": Trunk(48, 8, 4e-3, 102), "wide again": Trunk(80, 8, 3e-3, 201)}
"""Two of them with other weights and data, and at other peaks."""

Shape = Callable[[float], float]


def constant(t: float) -> float:
    return 1.0


def cosine(total: int, floor: float = 0.1) -> Shape:
    return lambda t: floor + (1 - floor) * 0.5 * (1 + math.cos(math.pi * (t - WARMUP) / (total - WARMUP)))


def cooldown(start: int, total: int, power: float, floor: float = 0.0) -> Shape:
    """1 up to `start`, then floor + (1 - floor) (1 - u^power)."""
    return lambda t: floor + (1 - floor) * (1.0 - (max(0.0, t - start) / (total - start)) ** power)


def drop(start: int, factor: float) -> Shape:
    return lambda t: factor if t > start else 1.0


# name: (steps, share of the trunk's peak, its course from the end of the warm-up on)
SCHEDULES: dict[str, tuple[int, float, Shape]] = {
    "constant_4000": (4000, 1.0, constant),
    "wsd_3200_4000": (4000, 1.0, cooldown(3200, 4000, 1.0)),
    "wsd_1600_2000": (2000, 1.0, cooldown(1600, 2000, 1.0)),
    "wsdsqrt_2800_4000": (4000, 1.0, cooldown(2800, 4000, 0.5, 0.05)),
    "wsd_3800_4000": (4000, 1.0, cooldown(3800, 4000, 1.0)),
    "twostep_2000_4000": (4000, 1.0, drop(2000, 0.3)),
    "cosine_4000": (4000, 1.0, cosine(4000)),
    "cosine_2000": (2000, 1.0, cosine(2000)),
    "cosine_6000": (6000, 1.0, cosine(6000)),
    "lowcosine_4000": (4000, 0.4, cosine(4000)),
    "midwsd_4000": (4000, 0.65, cooldown(3200, 4000, 1.0)),
}

LOWER: dict[str, tuple[int, float, Shape]] = {
    f"{kind} at {share}": (4000, share, shape)
    for share in (0.5, 0.7, 0.3)
    for kind, shape in (("cosine", cosine(4000)), ("wsd", cooldown(3200, 4000, 1.0)))
}
"""Of AGAIN, in place of the two of SCHEDULES whose peak is lower."""


def schedules_of(trunk: str) -> dict[str, tuple[int, float, Shape]]:
    """What a model was trained under."""
    if trunk in TRUNKS:
        return SCHEDULES
    return {name: one for name, one in SCHEDULES.items() if one[1] == 1.0} | LOWER


def rates(trunk: str, name: str) -> FloatArray:
    """The learning rates (T,) of a run."""
    steps, share, shape = schedules_of(trunk)[name]
    own = (TRUNKS | AGAIN)[trunk]
    times = own.times
    t = np.arange(1, steps * times + 1) / times
    relative = [shape(max(x, WARMUP)) * min(1.0, x / WARMUP) for x in t.tolist()]
    return np.asarray(share * own.peak * np.array(relative))


def measured(trunk: str) -> dict[str, Curve]:
    """The curves of a trunk by name, from two warm-ups on."""
    begun = 2 * WARMUP * (TRUNKS | AGAIN)[trunk].times
    table = Path(__file__).with_name(f"{trunk.replace(' ', '_')}.csv").read_text(encoding="utf-8")
    rows = [row for row in csv.DictReader(table.splitlines()) if int(row["step"]) > begun]
    out = {}
    for name in rows[0]:
        if name != "step":
            steps, losses = zip(*((int(row["step"]), float(row[name])) for row in rows if row[name]), strict=True)
            out[name] = Curve(rates(trunk, name), steps, losses, name=name)
    return out
