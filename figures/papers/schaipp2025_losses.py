"""Schaipp et al. 2025 (arXiv 2501.18965): the bound laid over exact risks and over runs of a language model."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from scipy.stats import spearmanr
from simlab.figures.measurements import measured
from simlab.figures.papers.columns import first, stack
from simlab.figures.papers.schaipp2025 import PAPER, best, drop, profile
from simlab.figures.reproduction import Claim, Data, Reproduction, Scale, column
from simlab.theory.schaipp2025 import schaipp_last_iterate
from simlab.theory.sharper_last_iterate import worst_case_last_iterate

import simlab as sl
from simlab.arrays import FloatArray
from simlab.errors import InputError
from simlab.plot import DASHES, PALETTE, WIDTH, new_figure, style

if TYPE_CHECKING:
    from matplotlib.figure import Figure


# -- over exact risk ---------------------------------------------------------------------------------------------------

HELD = "wsd, no cooldown"
EXACT = ("wsd", "wsd 1-sqrt", "cosine", "linear", "constant")


def compute_exact(scale: Scale) -> Data:
    steps, dim = {"tiny": (60, 8), "quick": (1_000, 32), "full": (4_000, 64)}[scale]
    lam = 1.0 / np.arange(1, dim + 1)
    problem = sl.LinearRegression(lam, 1.0, noise_variance=1.0)
    # Gradients are largest at the start: E |g|^2 = 2 sum lam_i^2 m_i + tr H (sum lam_i m_i + sigma^2) with m_i = 1.
    distance, norm = dim**0.5, float(np.sqrt(2.0 * np.sum(lam**2) + lam.sum() * (lam.sum() + 1.0)))
    runs = {name: profile(name, steps) * best(profile(name, steps))[0] * distance / norm for name in EXACT}
    # What the end would have brought at the rate of wsd, but for the cooldown.
    runs[HELD] = np.full(steps, runs["wsd"][0])
    methods = {name: sl.methods.sgd(sl.schedules.from_array(lr)) for name, lr in runs.items()}
    single = sl.subspaces.modes(*range(1, dim + 1))
    trace = sl.exact(problem, methods, record="all", subspaces=single, progress=False)
    mode = 2.0 * trace.risk.sum("component").transpose("run", "step", "subspace").values
    risk = 0.5 * mode.sum(axis=2)
    share = trace.risk.sel(run="wsd", step=steps, component="bias").sum() / risk[0, -1]
    largest = float(np.sqrt((2.0 * mode @ lam + lam.sum() * (mode.sum(axis=2) + 1.0)).max()))
    at_steps = np.unique(np.geomspace(1, steps, 60).astype(int))
    curves = []
    for i, (name, lr) in enumerate(runs.items()):
        omega = schaipp_last_iterate(lr, norm, distance, horizons=at_steps)
        sharp = worst_case_last_iterate(lr, norm, distance, horizons=at_steps)
        curves.append({"schedule": name, "t": at_steps, "omega": omega, "worst": sharp, "risk": risk[i, at_steps - 1]})
    return {
        "curves": stack(curves),
        "constants": {"G": [norm], "D": [distance], "largest": [largest], "bias_share": [float(share)]},
    }


def draw_exact(data: Data) -> Figure:
    curves = data["curves"]
    with style():
        figure = new_figure(WIDTH, 2.6)
        panels = figure.subplots(1, 3)
        titles = {"omega": "(a) bound $\\Omega_t$", "worst": "(b) worst case", "risk": "(c) exact risk of one problem"}
        for axes, (key, title) in zip(panels, titles.items(), strict=True):
            for i, name in enumerate(first(curves["schedule"])):
                t, y = (column(curves, k, schedule=name) for k in ("t", key))
                axes.plot(t, y, color=PALETTE[i], ls=DASHES[i % 4], label=name)
            axes.set(title=title, xlabel="step $t$", xscale="log", yscale="log")
        panels[0].set_ylabel("$E f(x_t) - f^*$")
        panels[0].legend()
    return figure


def claims_exact(data: Data) -> list[Claim]:
    curves = data["curves"]
    risk, omega, worst = (column(curves, key) for key in ("risk", "omega", "worst"))
    names = [name for name in first(curves["schedule"]) if name != HELD]
    final = {key: [column(curves, key, schedule=name)[-1] for name in names] for key in ("omega", "risk")}
    t = column(curves, "t", schedule="wsd")
    start = int(np.searchsorted(t, 0.8 * t[-1])) - 1
    falls = {
        key: (drop(column(curves, key, schedule="wsd"), start), drop(column(curves, key, schedule=HELD), start))
        for key in ("omega", "risk")
    }
    share = float(np.asarray(data["constants"]["bias_share"])[0])
    rank = float(spearmanr(final["omega"], final["risk"]).statistic)
    names_by = ["; ".join(names[i] for i in np.argsort(final[key])) for key in ("omega", "risk")]
    return [
        Claim(
            "the bound holds for the exact risk of a problem with the same D and G, and so does the worst case",
            "section 3",
            "risk <= worst case <= Omega at every step",
            f"risk / Omega at most {np.max(risk / omega):.3f}",
            bool(np.all(risk <= worst) and np.all(worst <= omega * (1 + 1e-12)))
            and float(np.asarray(data["constants"]["largest"])[0])
            <= float(np.asarray(data["constants"]["G"])[0]) * (1 + 1e-12),
        ),
        Claim(
            "the exact risk drops in the cooldown as the bound does",
            "asked here",
            "both fall at least twice as much as at the same rate without a cooldown",
            f"risk {falls['risk'][0]:.3f} against {falls['risk'][1]:.3f}; bound {falls['omega'][0]:.3f} against"
            f" {falls['omega'][1]:.3f}",
            all(with_it >= 2.0 * without for with_it, without in falls.values()),
            chosen="spectrum, start and noise of the problem",
            reason=f"at the rates of the bound {share:.0%} of the final risk is bias, which a cooldown only slows",
        ),
        Claim(
            "the bound ranks schedules as the risk does, each at the rate the bound calls best",
            "asked here",
            "rank correlation of the final values >= 0.9",
            f"{rank:.2f} (bound: {names_by[0]}; risk: {names_by[1]})",
            rank >= 0.9,
            chosen="spectrum, start and noise of the problem",
            reason=f"rank correlation {rank:.2f}: no problem has to be the worst one",
        ),
    ]


# -- over real runs ----------------------------------------------------------------------------------------------------

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
        noise = schaipp_last_iterate(lr, 1.0, 1e-9)[step] if scale != "tiny" else _noise(lr, step)
        parts.append({"run": path.stem, "step": step, "lr": lr[step], "loss": loss, "start": start, "noise": noise})
    table: dict[str, Any] = stack(parts)
    fitted = np.char.startswith(table["run"], "cos-")
    columns = np.stack([np.ones(table["start"].size), table["start"], table["noise"]], axis=1)
    weights, *_ = np.linalg.lstsq(columns[fitted], table["loss"][fitted])
    table["fit"] = columns @ weights
    for run in first(table["run"]):
        mask = table["run"] == run
        error = table["fit"][mask] - table["loss"][mask]
        row = {"run": run, "held_out": not run.startswith("cos-"), "rmse": float(np.sqrt(np.mean(error**2)))}
        summary.append({**row, "loss": table["loss"][mask][-1], "fit": table["fit"][mask][-1]})
    constants = {"offset": weights[:1], "distance": weights[1:2], "noise": weights[2:]}
    return {"runs": table, "summary": stack(summary), "constants": constants}


def _noise(lr: FloatArray, step: npt.NDArray[np.int64]) -> FloatArray:
    return schaipp_last_iterate(lr, 1.0, 1e-9, horizons=step + 1)


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
        ends = np.concatenate([column(summary, "loss"), column(summary, "fit")])
        line = np.array([ends.min() - 0.01, ends.max() + 0.01])
        c.plot(line, line, color="0.6", lw=0.7, zorder=0)
        c.set(title="(c) final loss (squares: fitted)", xlabel="measured", ylabel="$C + M\\,\\Omega_T$")
        figure.legend(*a.get_legend_handles_labels(), loc="outside lower center", ncols=4)
    return figure


def claims_runs(data: Data) -> list[Claim]:
    summary, constants = data["summary"], data["constants"]
    loss = {run: float(column(summary, "loss", run=run)[0]) for run in first(summary["run"])}
    held = np.asarray(summary["held_out"], dtype=bool)
    rmse = float(np.max(column(summary, "rmse")[held]))
    cooled = [run for run in loss if not run.startswith("cos-")]
    pairs = [[column(data["runs"], key, run=run) for key in ("loss", "fit")] for run in cooled]
    shape = [float(np.corrcoef(measured_loss, fit)[0, 1]) for measured_loss, fit in pairs]
    rank = float(spearmanr(summary["loss"], summary["fit"]).statistic)
    wsd = {peak: loss[f"ann124-0.2_lr{peak}_linear_0.2_iter50000"] for peak in ("0.0005", "0.001", "0.002")}
    cosine = {peak: loss[f"cos-zero-124m_lr{peak}_iter50000"] for peak in ("0.001", "0.002")}
    # gamma* = (D / G) sqrt(T_1 / T_2) of wsd over 50,000 steps, D / G from the fit.
    ratio = float(np.asarray(constants["distance"])[0] / np.asarray(constants["noise"])[0])
    best_rate = float(np.sqrt(max(ratio, 0.0))) * best(profile("wsd", 50_000))[0]
    return [
        Claim(
            "over every cooldown the measured loss goes as the bound does",
            "figure 1",
            "correlation of loss and bound >= 0.98 within each cooldown run",
            f"{min(shape):.3f} at least",
            min(shape) >= 0.98,
            chosen="D / G by least squares on the cosine runs",
            reason=f"{min(shape):.3f}",
        ),
        Claim(
            "fitted on cosine runs, the bound predicts the curves of cooldown runs",
            "asked here; figure 1 shows shapes, its fits use norms that vary",
            "rms error of each held-out run <= 0.03",
            f"{rmse:.4f} at most",
            rmse <= 0.03,
            chosen="G constant, three numbers (offset, D^2, G^2) by least squares from step 2,000 on",
            reason=f"up to {rmse:.3f}",
        ),
        Claim(
            "and ranks their final losses",
            "asked here",
            "rank correlation of measured and predicted >= 0.9, all ten runs",
            f"{rank:.3f}",
            rank >= 0.9,
            chosen="the same fit",
            reason=f"rank correlation {rank:.2f}",
        ),
        Claim(
            "cosine at twice the peak of wsd ends at nearly its loss, and its best peak is the larger",
            "section 4.2",
            "|difference| <= 0.02; best of wsd's peaks 0.001, of cosine's 0.002",
            f"{wsd['0.001']:.3f} and {cosine['0.002']:.3f}",
            abs(wsd["0.001"] - cosine["0.002"]) <= 0.02
            and min(wsd, key=lambda k: wsd[k]) == "0.001"
            and cosine["0.002"] < cosine["0.001"],
        ),
        Claim(
            "at the same peak 1-sqrt ends below linear, and a cooldown of 40 % below one of 20 %",
            "sections 4.1, 4.2",
            "both lower",
            f"linear {wsd['0.001']:.4f}, 1-sqrt {loss['ann124-0.2_lr0.001_sqrt_0.2_iter50000']:.4f}, 40 %"
            f" {loss['ann124-0.4_lr0.001_linear_0.4_iter50000']:.4f}",
            max(loss["ann124-0.2_lr0.001_sqrt_0.2_iter50000"], loss["ann124-0.4_lr0.001_linear_0.4_iter50000"])
            < wsd["0.001"],
        ),
        Claim(
            "the D / G of the fit gives the measured best peak of wsd",
            "section 4.2",
            "between 0.0005 and 0.002 (measured: 0.001)",
            f"{best_rate:.2g}",
            0.0005 <= best_rate <= 0.002,
            chosen="the same fit",
            reason=f"{best_rate:.2g}",
        ),
    ]


FIGURES = [
    Reproduction(
        "schaipp2025-exact",
        "The bound over the exact risk of a problem with the same D and G",
        PAPER,
        2025,
        "Linear regression, lam_i = 1/i, d = 64 (quick: 32), initial errors 1 (D = sqrt d), sigma^2 = 1, batch 1; G the"
        " largest root mean square gradient (at the start); every schedule at the base rate that the bound calls best.",
        compute_exact,
        draw_exact,
        claims_exact,
        chosen=("the problem: spectrum, start and noise (the paper has none of this kind)",),
        seconds=1.0,
    ),
    Reproduction(
        "schaipp2025-runs",
        "The bound over real runs of a 124M language model",
        PAPER,
        2025,
        "Validation losses of ten runs (cosine to zero and to 10 %, constant with cooldown; peaks 5e-4 to 2e-3; 25,000"
        " and 50,000 steps, warmup 300), and C + D^2 / (2 S_t) + G^2 N_t with three numbers fitted on the cosine runs.",
        compute_runs,
        draw_runs,
        claims_runs,
        chosen=("gradient norms constant in time", "fitted from step 2,000 on"),
        needs=FOLDER,
        seconds=2.0,
    ),
]
