"""Curves of shared/data, and curves that a known twin made."""

from __future__ import annotations

from pathlib import Path

import numpy as np

import simlab as sl
from simlab.schedules import Schedule, constant, cosine, join, wsd
from simlab.twin.blocks import cut
from simlab.twin.likelihood import Errors
from simlab.twin.model import run
from simlab.twin.posterior import Mode
from simlab.twin.twin import Twin

PEAK, WARMUP = 3e-4, 2160
TRAINED = ["cosine_24000", "constant_24000", "wsdcon_9"]
HELD_OUT = ["constant_72000", "cosine_72000", "wsd_20000_24000", "wsdld_20000_24000", "wsdcon_3", "wsdcon_18"]

TRUTH = np.array([2.7, -0.85, 0.55, 5.5, -1.7, 0.05, -1.0, np.log(6e-5), -1.6, 2.0, 1.0, 1.0, 1.0, 1.0, 0.0, 0.0])
"""Parameters as they are at 100M, without the departures."""

SCHEDULES: dict[str, Schedule] = {
    "cosine_24000": cosine(24_000, PEAK, floor=0.1, warmup=WARMUP),
    "cosine_72000": cosine(72_000, PEAK, floor=0.1, warmup=WARMUP),
    "constant_24000": constant(24_000, PEAK, warmup=WARMUP),
    "constant_72000": constant(72_000, PEAK, warmup=WARMUP),
    "wsd_20000_24000": wsd(24_000, PEAK, warmup=WARMUP, cooldown=4000, shape="exponential", floor=0.1),
    "wsdld_20000_24000": wsd(24_000, PEAK, warmup=WARMUP, cooldown=4000, floor=0.1),
    **{f"wsdcon_{v}": join(constant(8000, PEAK, warmup=WARMUP), constant(8000, v * 1e-5)) for v in (3, 9, 18)},
}


def measured(folder: Path, size: str) -> dict[str, sl.twin.Curve]:
    """The nine curves of a model of Luo et al. 2025."""
    out = {}
    for name, schedule in SCHEDULES.items():
        table = np.genfromtxt(
            folder / "loss_curves" / "multi_power_law" / size / f"{name}.csv", delimiter=",", names=True
        )
        kept = table["step"] <= len(schedule)
        out[name] = sl.twin.Curve(schedule, table["step"][kept], table["loss"][kept], name=name)
    return out


def known(theta: np.ndarray, spread: float = 0.0) -> Twin:
    """A twin with these parameters, of PEAK, and no uncertainty but `spread` along each."""
    covariance = spread**2 * np.eye(theta.size)
    priors = np.zeros((2, theta.size))
    return Twin((Mode(theta, covariance, 1.0),), PEAK, 7920.0, Errors(), "adamw", 0.1, priors, (), 24_000, PEAK)


def made(theta: np.ndarray, name: str, seed: int, noise: float = 6e-4) -> sl.twin.Curve:
    """A curve that the twin of theta made, every 128 steps from the warmup on, with white noise."""
    schedule = SCHEDULES[name]
    steps = np.arange(2176, len(schedule) + 1, 128)
    loss = run(theta, cut(schedule.values(), steps), PEAK, 7920.0, derivatives=False).loss
    return sl.twin.Curve(
        schedule, steps, loss + noise * np.random.default_rng(seed).standard_normal(steps.size), name=name
    )
