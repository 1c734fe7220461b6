"""Defazio et al. 2023 (arXiv 2310.07831): schedules refined by the gradient norms of real runs."""

from __future__ import annotations

import csv
from typing import TYPE_CHECKING

import numpy as np
from simlab.figures.columns import first, stack
from simlab.figures.measurements import measured
from simlab.figures.papers.defazio2023 import PAPER
from simlab.figures.reproduction import Claim, Data, Reproduction, Scale, column
from simlab.theory.defazio2023 import defazio_refined_lr

from simlab.errors import InputError
from simlab.plot import PALETTE, WIDTH, new_figure, style

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FOLDER = "loss_curves/lr_scheduling"
RUNS = {
    "cosine": "grad_norm_cos-zero-124m_lr0.001_iter50000.csv",
    "constant": "grad_norm_stable-124m_lr0.001_iter50000.csv",
}


def compute_measured(scale: Scale) -> Data:
    folder = measured(FOLDER)
    parts = []
    for name, file in RUNS.items():
        if not (folder / file).is_file():
            raise InputError(
                f"{folder / file} is absent; put the runs of lr-scheduling there, or leave this figure out."
            )
        with (folder / file).open(newline="", encoding="utf-8") as lines:
            rows = [(int(row["step"]), float(row["grad_norm"])) for row in csv.DictReader(lines)]
        step, norm = (np.array(values, dtype=np.float64) for values in zip(*rows, strict=True))
        if scale == "tiny":
            step, norm = step[::10], norm[::10]
        for exponent in (1.0, 2.0):
            lr = defazio_refined_lr(norm, smoothing=0.1, exponent=exponent)
            parts.append({"run": name, "exponent": exponent, "step": step, "norm": norm, "lr": lr})
    return {"runs": stack(parts)}


def draw_measured(data: Data) -> Figure:
    runs = data["runs"]
    with style():
        figure = new_figure(WIDTH, 2.5)
        a, b = figure.subplots(1, 2)
        for i, name in enumerate(first(runs["run"])):
            step, norm = (column(runs, key, run=name, exponent=1.0) for key in ("step", "norm"))
            a.plot(step / 1000, norm, color=PALETTE[i], lw=0.8, label=f"{name} run")
            for exponent, dash in ((1.0, "-"), (2.0, "--")):
                lr = column(runs, "lr", run=name, exponent=exponent)
                b.plot(step / 1000, lr, color=PALETTE[i], ls=dash, label=f"{name}, $G^{{-{exponent:g}}}$")
        b.plot([0, 50], [1, 0], color="0.6", lw=0.7, label="linear")
        a.set(title="(a) measured, 124M parameters", xlabel="step (thousands)", ylabel="gradient norm", yscale="log")
        a.legend()
        b.set(title="(b) refined schedule", xlabel="step (thousands)", ylabel="learning rate / largest")
        b.legend()
    return figure


def claims_measured(data: Data) -> list[Claim]:
    runs = data["runs"]
    lr = {name: column(runs, "lr", run=name, exponent=1.0) for name in RUNS}
    norm = {name: column(runs, "norm", run=name, exponent=1.0) for name in RUNS}
    start = {name: float(values[0] / values[len(values) // 10 :].mean()) for name, values in norm.items()}
    top = {name: int(np.argmax(values)) / values.size for name, values in lr.items()}
    middle = {name: float(lr[name][lr[name].size // 2]) for name in RUNS}
    far = {
        name: float(np.abs(lr[name] - np.linspace(1.0, 0.0, lr[name].size))[len(lr[name]) // 10 :].max())
        for name in RUNS
    }
    weights = "weights 1 / G, median over 10 % of the run"
    model = "runs of a 124M language model, and their l2 norms for the l1 norms that the paper takes for Adam"
    return [
        Claim(
            "the first gradients of a language model are large, so that the refined schedule warms up",
            "section 4",
            "first norm > 2 x later mean; largest rate after the first step",
            ", ".join(f"{name}: {start[name]:.1f} x, largest at {top[name]:.3f} of the run" for name in RUNS),
            all(start[name] > 2.0 and top[name] > 0.0 for name in RUNS),
            paper="refined schedules exhibit warm-up (abstract)",
            chosen=weights,
            substituted=model,
            reason="the logged norms begin too late to show the first ones",
        ),
        Claim(
            "after the warmup it decays to zero, near a straight line",
            "section 4",
            "after a tenth of the run at most 0.15 from 1 - t/T",
            ", ".join(f"{name}: {far[name]:.3f}, half-way {value:.3f}" for name, value in middle.items()),
            max(far.values()) <= 0.15,
            paper="rapid annealing near the end of training (abstract)",
            chosen=weights,
            substituted=model,
            reason="under cosine the norms rise in the second half, and the schedule falls below the line",
        ),
    ]


FIGURES = [
    Reproduction(
        "defazio2023-measured",
        "Schedules refined from measured gradient norms",
        PAPER,
        2023,
        "Gradient norms of two runs of a 124M language model (cosine to zero; constant), logged every 50 steps of"
        " 50,000; running median over a tenth of the run, then weights 1/G or 1/G^2.",
        compute_measured,
        draw_measured,
        claims_measured,
        chosen=("weights 1/G beside 1/G^2", "running median over a tenth of the run"),
        substituted=("runs of a 124M language model for its own", "l2 norms for the l1 norms that it takes for Adam"),
        needs=FOLDER,
        seconds=0.5,
    ),
]
