"""Schaipp et al. 2025 (arXiv 2501.18965): the bound laid over runs of a language model."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from scipy.stats import spearmanr
from simlab.figures.columns import first, stack
from simlab.figures.measurements import measured
from simlab.figures.papers.schaipp2025 import PAPER, best, profile
from simlab.figures.reproduction import Claim, Data, Reproduction, Scale, column
from simlab.theory.schaipp2025 import schaipp_last_iterate

import simlab as sl
from simlab.arrays import FloatArray
from simlab.errors import InputError
from simlab.plot import DASHES, PALETTE, WIDTH, new_figure, style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["FIGURES"]

FOLDER = "loss_curves/lr_scheduling"
WARMUP = 300
SKIPPED = 2_000


def _rates(name: str) -> FloatArray | None:
    """The schedule of a run by the name of its file, None for files that are no such run."""
    words = name.removesuffix(".csv").split("_")
    facts = {word.rstrip("0123456789.e-"): word for word in words}
    if not (name.startswith(("cos-", "ann124"))):
        return None
    steps, peak = int(facts["iter"].removeprefix("iter")), float(facts["lr"].removeprefix("lr"))
    if name.startswith("cos-"):
        floor = 0.1 if name.startswith("cos-10") else 0.0
        return sl.schedules.cosine(steps, peak, floor=floor, warmup=WARMUP).values()
    shape = "1-sqrt" if "sqrt" in words else "linear"
    return sl.schedules.wsd(steps, peak, warmup=WARMUP, cooldown=float(words[0].split("-")[1]), shape=shape).values()


FITS = ("constant norms", "measured norms")
"""Of the gradients in the bound: G, and G_t as measured."""


def compute_runs(scale: Scale) -> Data:
    folder = measured(FOLDER)
    if not folder.is_dir():
        raise InputError(f"{folder} is absent; put the runs of lr-scheduling there, or leave this figure out.")
    parts, summary = [], []
    for path in sorted(folder.glob("*.csv")):
        lr = _rates(path.name)
        if lr is None:
            continue
        step, loss = _losses(path)
        kept = step >= SKIPPED
        step, loss = step[kept], loss[kept]
        if scale == "tiny":
            step, loss = step[::10], loss[::10]
        # The model after `step` steps is x_(step + 1); Omega = D^2 / (2 S) + G^2 N.
        start = 0.5 / np.cumsum(lr)[step]
        noise = [schaipp_last_iterate(lr, g, 1e-9, horizons=step + 1) for g in (1.0, _norms(lr, folder))]
        row = {"run": path.stem, "step": step, "lr": lr[step], "loss": loss, "start": start}
        parts.append({**row, "noise": noise[0], "noise_measured": noise[1]})
    table: dict[str, Any] = stack(parts)
    fitted = np.char.startswith(table["run"], "cos-")
    constants = []
    for name, key, out in zip(FITS, ("noise", "noise_measured"), ("fit", "fit_measured"), strict=True):
        columns = np.stack([np.ones(table["start"].size), table["start"], table[key]], axis=1)
        weights, *_ = np.linalg.lstsq(columns[fitted], table["loss"][fitted])
        table[out] = columns @ weights
        constants.append({"fit": name, "offset": weights[0], "distance": weights[1], "noise": weights[2]})
    for run in first(table["run"]):
        mask = table["run"] == run
        found: dict[str, Any] = {"run": run, "held_out": not run.startswith("cos-"), "loss": table["loss"][mask][-1]}
        found["fall"] = table["loss"][mask][0] - table["loss"][mask][-1]
        for out in ("fit", "fit_measured"):
            values, losses = table[out][mask], table["loss"][mask]
            found[out] = values[-1]
            found[f"rmse_{out}"] = float(np.sqrt(np.mean((values - losses) ** 2)))
            found[f"fall_{out}"] = values[0] - values[-1]
        summary.append(found)
    return {"runs": table, "summary": stack(summary), "constants": stack(constants)}


def _norms(lr: FloatArray, folder: Path) -> FloatArray:
    """G_t of a run: the stable run's at the same step, times what cosine's has grown to at the same lr / peak.

    Measured are one run of each kind, at a peak of 0.001; that other peaks have the same norms is assumed.
    """
    step, stable = _measured_norms(folder / "grad_norm_stable-124m_lr0.001_iter50000.csv")
    own, cosine = _measured_norms(folder / "grad_norm_cos-zero-124m_lr0.001_iter50000.csv")
    shape = sl.schedules.cosine(50_000, 1.0, warmup=WARMUP).values()
    late = own > WARMUP
    level = shape[np.minimum(own[late], shape.size - 1)]
    ratio = _smooth(cosine[late] / np.interp(own[late], step, stable))
    order = np.argsort(level)
    t = np.arange(lr.size)
    grown = np.interp(lr / lr.max(), level[order], ratio[order])
    out: FloatArray = np.interp(t, step, _smooth(stable)) * np.where(t > WARMUP, grown, 1.0)
    return out


def _smooth(values: FloatArray, width: int = 25) -> FloatArray:
    """Running median: single norms scatter."""
    padded = np.pad(values, width // 2, mode="edge")
    out: FloatArray = np.median(np.lib.stride_tricks.sliding_window_view(padded, width), axis=1)
    return out


def _measured_norms(path: Path) -> tuple[npt.NDArray[np.int64], FloatArray]:
    with path.open(newline="", encoding="utf-8") as file:
        rows = [r for r in csv.DictReader(file) if r["grad_norm"]]
    return np.array([int(r["step"]) for r in rows]), np.array([float(r["grad_norm"]) for r in rows])


def _losses(path: Path) -> tuple[npt.NDArray[np.int64], FloatArray]:
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    return np.array([int(r["step"]) for r in rows]), np.array([float(r["val_loss"]) for r in rows])


def _label(run: str) -> str:
    words = run.split("_")
    peak, steps = words[1].removeprefix("lr"), int(words[-1].removeprefix("iter")) // 1000
    kind = {"cos-10-124m": "cosine to 10 %", "cos-zero-124m": "cosine"}.get(words[0])
    kind = kind or f"{'1-sqrt' if 'sqrt' in words else 'linear'} {100 * float(words[0].split('-')[1]):.0f} %"
    return f"{kind}, {float(peak):g}, {steps}k"


def draw_runs(data: Data) -> Figure:
    runs, summary = data["runs"], data["summary"]
    with style():
        figure = new_figure(WIDTH, 3.4)
        a, b, c = figure.subplots(1, 3, width_ratios=[1.15, 1.15, 1.0])
        for i, run in enumerate(first(runs["run"])):
            step, loss, fit = (column(runs, key, run=run) for key in ("step", "loss", "fit"))
            look = {"color": PALETTE[i % 8], "ls": DASHES[i // 8], "lw": 0.9}
            a.plot(step / 1000, loss, label=_label(run), **look)
            b.plot(step / 1000, fit, **look)
            end, predicted = (column(summary, key, run=run) for key in ("loss", "fit"))
            marker = "s" if run.startswith("cos-") else "o"
            c.plot(end, predicted, marker, color=PALETTE[i % 8], mfc="none" if i >= 8 else None, ms=4)
        a.set(title="(a) measured, 124M parameters", ylabel="validation loss")
        b.set(title="(b) $C + M\\,\\Omega_t$, fitted on cosine")
        for axes in (a, b):
            axes.set(xlabel="step (thousands)", ylim=(2.88, 3.45))
        _equality(c, data)
        figure.legend(*a.get_legend_handles_labels(), loc="outside lower center", ncols=4)
    return figure


def _equality(axes: Axes, data: Data) -> None:
    """One scale for both axes, the line of equality, and the name of the run that is furthest from it."""
    summary = data["summary"]
    loss, fit = column(summary, "loss"), column(summary, "fit")
    ends = np.concatenate([loss, fit])
    line = np.array([ends.min() - 0.01, ends.max() + 0.01])
    axes.plot(line, line, color="0.6", lw=0.7, zorder=0)
    far = int(np.argmax(np.abs(fit - loss)))
    axes.annotate(
        _label(str(np.asarray(summary["run"])[far])), (loss[far], fit[far]), (4, -2), textcoords="offset points",
        fontsize=6, va="top",
    )  # fmt: skip
    axes.set(title="(c) final loss (squares: fitted)", xlabel="measured", ylabel="$C + M\\,\\Omega_T$")
    axes.set(xlim=line, ylim=line, aspect="equal", xticks=[2.92, 2.96, 3.0, 3.04], yticks=[2.92, 2.96, 3.0, 3.04])


def claims_runs(data: Data) -> list[Claim]:
    summary, constants = data["summary"], data["constants"]
    loss = {run: float(column(summary, "loss", run=run)[0]) for run in first(summary["run"])}
    held = np.asarray(summary["held_out"], dtype=bool)
    falls = column(summary, "fall_fit")[held] / column(summary, "fall")[held]
    names = [_label(run) for run in np.asarray(summary["run"])[held].tolist()]
    wsd = {peak: loss[f"ann124-0.2_lr{peak}_linear_0.2_iter50000"] for peak in ("0.0005", "0.001", "0.002")}
    cosine = {peak: loss[f"cos-zero-124m_lr{peak}_iter50000"] for peak in ("0.001", "0.002")}
    root, longer = (loss[f"ann124-{name}_iter50000"] for name in ("0.2_lr0.001_sqrt_0.2", "0.4_lr0.001_linear_0.4"))
    # gamma* = (D / G) sqrt(T_1 / T_2) of wsd over 50,000 steps, D / G from the fit.
    ratio = float(column(constants, "distance", fit=FITS[0])[0] / column(constants, "noise", fit=FITS[0])[0])
    best_rate = float(np.sqrt(max(ratio, 0.0))) * best(profile("wsd", 50_000))[0]
    return [
        Claim(
            "over every cooldown the measured loss falls as much as the bound does",
            "figure 1",
            "fall of the bound / fall of the loss within 1/2 .. 2 in every cooldown run",
            f"{falls.min():.2f} .. {falls.max():.2f}",
            bool(falls.min() >= 0.5 and falls.max() <= 2.0),
            "norms that are constant give the noise of large rates too much weight",
            paper="the shapes are alike; offset and scale are fitted",
            chosen=FIT,
            turns="by run: " + ", ".join(f"{name} {value:.2f}" for name, value in zip(names, falls, strict=True)),
        ),
        Claim(
            "cosine at twice the peak of wsd ends at nearly its loss, and its best peak is the larger",
            "section 4.2",
            "|difference| <= 0.02; best of wsd's peaks 0.001, of cosine's 0.002",
            f"{wsd['0.001']:.3f} and {cosine['0.002']:.3f}",
            abs(wsd["0.001"] - cosine["0.002"]) <= 0.02
            and min(wsd, key=lambda k: wsd[k]) == "0.001"
            and cosine["0.002"] < cosine["0.001"],
            "the runs are others",
            paper="the best peak of wsd is about half of cosine's",
        ),
        Claim(
            "at the same peak 1-sqrt ends below linear, and a cooldown of 40 % below one of 20 %",
            "sections 4.1, 4.2",
            "both lower",
            f"linear {wsd['0.001']:.4f}, 1-sqrt {root:.4f}, 40 % {longer:.4f}",
            max(root, longer) < wsd["0.001"],
            "the runs are others",
        ),
        Claim(
            "the D / G of the fit gives the measured best peak of wsd",
            "section 4.2",
            "between 0.0005 and 0.002 (measured: 0.001)",
            f"{best_rate:.2g}",
            0.0005 <= best_rate <= 0.002,
            "G is not constant, and its square decides",
            chosen=FIT,
        ),
        *_predictions(data),
    ]  # fmt: skip


FIT = "three numbers (offset, D^2, G^2) by least squares on the cosine runs from step 2,000 on, G constant"


def _predictions(data: Data) -> list[Claim]:
    """How well cosine runs tell what cooldown runs do, with constant and with measured norms."""
    summary = data["summary"]
    held = np.asarray(summary["held_out"], dtype=bool)
    keys = dict(zip(FITS, ("fit", "fit_measured"), strict=True))
    rmse = {name: float(np.max(column(summary, f"rmse_{key}")[held])) for name, key in keys.items()}
    rank = {name: float(spearmanr(summary["loss"], summary[key]).statistic) for name, key in keys.items()}
    return [
        Claim(
            "fitted on cosine runs, the bound predicts the curves of cooldown runs",
            "C + D^2 / (2 S_t) + sum of G_t^2, three numbers by least squares",
            "rms error of each held-out run <= 0.03, with constant or with measured norms",
            "; ".join(f"{value:.4f} at most ({name})" for name, value in rmse.items()),
            min(rmse.values()) <= 0.03,
            "one scale for the noise cannot serve peaks from 0.0005 to 0.002",
            own=True,
        ),
        Claim(
            "fitted on cosine runs, the bound ranks the final losses",
            "Spearman's rank correlation of C + M Omega_T and the loss",
            "at least 0.9 over all ten runs, with constant or with measured norms",
            "; ".join(f"{value:.3f} ({name})" for name, value in rank.items()),
            max(rank.values()) >= 0.9,
            "final losses at one length differ by 0.03 at most, less than the error of the fit",
            own=True,
        ),
    ]


FIGURES = [
    Reproduction(
        "schaipp2025-runs",
        "The bound over real runs of a 124M language model",
        PAPER,
        2025,
        "Validation losses of ten runs (cosine to zero and to 10 %, constant with cooldown; peaks 5e-4 to 2e-3; 25,000"
        " and 50,000 steps, warmup 300), and C + D^2 / (2 S_t) + G^2 N_t with three numbers fitted on the cosine"
        " runs; for the own results also with G_t as measured in two runs.",
        compute_runs,
        draw_runs,
        claims_runs,
        chosen=(
            "gradient norms constant in time (for the own results also as measured)",
            "fitted from step 2,000 on",
        ),
        needs=FOLDER,
        seconds=2.0,
    ),
]
