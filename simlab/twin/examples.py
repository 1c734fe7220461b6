"""Measured training runs to try a twin on: a small language model under twelve schedules.

A decoder of two layers (width 48, windows of 64 bytes) that learns the bytes of Python's standard library: AdamW
with weight decay 0.1 and betas 0.9 and 0.95, 16 windows a step, gradients clipped at norm 1, one initialisation and one
order of the data for all. Made for this project by `tests/twin/trunks/make_examples.py` after the twin's structure and
priors were settled: nothing was chosen by them.
"""

from __future__ import annotations

import csv
from importlib.resources import files

from simlab import schedules
from simlab.schedules import Schedule
from simlab.twin.curves import Curve

__all__ = ["example_runs", "recipes"]

PEAK, WARMUP = 3e-3, 200

BEGUN = 2 * WARMUP
"""Losses up to here fall by factors, as no law of the end of training has it."""


def recipes() -> dict[str, Schedule]:
    """The schedules by name, with the steps of the run in it."""
    s, peak, warmup = schedules, PEAK, WARMUP
    return {
        "constant_6000": s.constant(6000, peak).warmed(warmup),
        "wsd_4000": s.wsd(4000, peak, warmup=warmup, cooldown=0.2),
        "wsd_4000_sqrt": s.wsd(4000, peak, warmup=warmup, cooldown=0.2, shape="1-sqrt"),
        "wsd_6000_short": s.wsd(6000, peak, warmup=warmup, cooldown=0.1),
        "wsd_2000": s.wsd(2000, peak, warmup=warmup, cooldown=0.2),
        "cosine_2000": s.cosine(2000, peak, warmup=warmup),
        "cosine_4000": s.cosine(4000, peak, warmup=warmup),
        "cosine_6000": s.cosine(6000, peak, warmup=warmup),
        "linear_4000": s.linear(4000, peak, warmup=warmup),
        "step_4000": s.multi_step(4000, peak, drops=[2400], factor=0.3, warmup=warmup),
        "cosine_4000_half": s.cosine(4000, 0.5 * peak, warmup=warmup),
        "cosine_4000_double": s.cosine(4000, 2.0 * peak, warmup=warmup),
    }


def example_runs() -> dict[str, Curve]:
    """Twelve curves by name: the loss on files held out, every 20 steps from step 420 on.

    The peaks of "cosine_4000_half" and "cosine_4000_double" are half and twice that of the others.
    """
    table = files("simlab.twin").joinpath("example_runs.csv").read_text(encoding="utf-8")
    rows = [row for row in csv.DictReader(table.splitlines()) if int(row["step"]) > BEGUN]
    curves = {}
    for name, schedule in recipes().items():
        measured = [(int(row["step"]), float(row[name])) for row in rows if row[name]]
        steps, losses = zip(*measured, strict=True)
        curves[name] = Curve(schedule, steps, losses, name=name)
    return curves
