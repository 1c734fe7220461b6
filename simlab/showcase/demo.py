"""The main job on real data: predict the risk of SGD on handwritten digits, run it, and lay one over the other.

The data are the 1,797 x 64 digits that ship inside scikit-learn; the target is the digit's value, both centred. SGD
draws rows with replacement. Its risk under six schedules is predicted twice by the exact engine, under the Gaussian
model of the data (spectrum, residual variance, kurtosis per coordinate) and under the data's own moments (exact for
this sampling), and measured on real runs that know nothing of either.
"""

from __future__ import annotations

import csv
import math
import textwrap
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from simlab import plot, schedules
from simlab.arrays import FloatArray, IntArray
from simlab.engines.exact import exact
from simlab.engines.stability import stability
from simlab.errors import InputError, check_count
from simlab.extras import install
from simlab.files import ResultsFolder, writing
from simlab.interrupts import whole
from simlab.methods import sgd
from simlab.problems import LinearRegression
from simlab.schedules import Schedule
from simlab.subspaces import Subspaces, index_sets
from simlab.trace import RiskTrace

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["Comparison", "compare", "digits", "measure", "run"]


STEPS = 600
OUTPUTS = ("digits.png", "digits.pdf", "gaussian.zarr", "empirical.zarr", "comparison.csv")
PEAK_SHARE = 0.4
"""Peak learning rate as a share of the critical one of the Gaussian model."""
MAX_EMPIRICAL_DIM = 400
COLUMNS = """\
modes: eigenvectors of the data's covariance, the largest eigenvalue first; each row is the risk that is left in them
measured: mean over the real runs and its standard error; own moments: the exact prediction for this very data set;
z: (measured - own moments) / standard error; gaussian: the exact prediction for Gaussian data of the same spectrum;
error: gaussian against own moments, what the model costs"""
NEXT = """\
Next: simlab init && simlab run experiment.toml, an experiment of your own; simlab optimize experiment.toml, its best
schedule; simlab demo --features 500 -o lifted, the same on 500 random features."""


@dataclass(frozen=True)
class Comparison:
    """Predictions and measurement on common steps; risk arrays by (schedule, step, subspace).

    `exact` (under the data's own moments) is None where the dimension rules it out.
    """

    schedules: dict[str, Schedule]
    steps: IntArray
    subspaces: list[str]
    gaussian: RiskTrace
    exact: RiskTrace | None
    measured: FloatArray
    error: FloatArray

    def predicted(self, which: RiskTrace) -> FloatArray:
        """Risk of a prediction by (schedule, step, subspace)."""
        parts = [c for c in which.risk["component"].values if c in ("bias", "variance", "cross")]
        values: FloatArray = (
            which.risk.sel(component=parts).sum("component").transpose("run", "step", "subspace").values
        )
        return values

    def z_scores(self) -> FloatArray:
        """(measured - exact) / standard error at the last step, by (schedule, subspace)."""
        reference = self.gaussian if self.exact is None else self.exact
        z: FloatArray = (self.measured[:, -1] - self.predicted(reference)[:, -1]) / self.error[:, -1]
        return z


def digits(features: int = 0, seed: int = 0) -> tuple[FloatArray, FloatArray]:
    """(X, y): pixels in [0, 1] or `features` random ReLU features of them, and the digit's value; columns centred, y
    scaled.

    Random features are max(0, W x) with W_ij ~ N(0, 1 / 64), scaled so that the trace of their covariance is 1.
    """
    try:
        from sklearn.datasets import load_digits
    except ImportError:
        raise InputError(f"scikit-learn is not installed, which ships the digits; {install('demo')}.") from None
    data = load_digits()
    X: FloatArray = np.asarray(data.data, dtype=np.float64) / 16.0
    y: FloatArray = np.asarray(data.target, dtype=np.float64)
    if features:
        features = check_count("features", features)
        weights = np.random.default_rng(seed).standard_normal((X.shape[1], features)) / np.sqrt(X.shape[1])
        X = np.maximum((X - X.mean(axis=0)) @ weights, 0.0)
    X = X - X.mean(axis=0)
    if features:
        X = X / np.sqrt(np.mean(np.sum(X**2, axis=1)))
    return X, (y - y.mean()) / y.std()


def six_schedules(steps: int, peak: float) -> dict[str, Schedule]:
    """The schedules of the demo, all of one length and peak."""
    return {
        "constant": schedules.constant(steps, peak),
        "step 30-60-90": schedules.step(steps, peak=peak),
        "cosine": schedules.cosine(steps, peak=peak, warmup=0.02),
        "linear": schedules.linear(steps, peak=peak, warmup=0.02),
        "wsd, linear": schedules.wsd(steps, peak=peak, warmup=0.02, cooldown=0.2),
        "wsd, 1-sqrt": schedules.wsd(steps, peak=peak, warmup=0.02, cooldown=0.2, shape="1-sqrt"),
    }


def measure(
    X: FloatArray, y: FloatArray, schedule: Schedule, steps: IntArray, groups: list[IntArray], replicas: int, seed: int
) -> tuple[FloatArray, FloatArray]:
    """Real SGD from w = 0 on rows drawn with replacement: mean risk and its standard error by (step, group of
    eigenvectors).

    Plain w <- w - lr (x . w - y) x in the coordinates of X; `groups` are 0-based eigen-indices, descending eigenvalues.
    Shapes X (n, d), y (n,), steps (s,).
    """
    n, d = X.shape
    w_star = np.linalg.lstsq(X, y, rcond=None)[0]
    lam, vectors = np.linalg.eigh(X.T @ X / n)
    lam, vectors = np.maximum(lam[::-1], 0.0), vectors[:, ::-1]
    rng = np.random.default_rng(seed)
    lr = schedule.values()
    w = np.zeros((replicas, d))
    mean, error = np.zeros((steps.size, len(groups))), np.zeros((steps.size, len(groups)))
    row = 0
    for t in range(schedule.length + 1):
        if t == steps[row]:
            risk = 0.5 * lam * ((w - w_star) @ vectors) ** 2
            by_group = np.stack([risk[:, group].sum(axis=1) for group in groups], axis=1)
            mean[row], error[row] = by_group.mean(axis=0), by_group.std(axis=0, ddof=1) / np.sqrt(replicas)
            row += 1
        if t < schedule.length:
            pick = rng.integers(n, size=replicas)
            x = X[pick]
            w -= lr[t] * (np.einsum("rd,rd->r", x, w) - y[pick])[:, None] * x
    return mean, error


def _bins(rank: int) -> tuple[Subspaces, list[str], list[IntArray]]:
    """Head, middle and tail of the spectrum, as a partition and as groups of 0-based indices."""
    edges = [0, min(4, rank), min(16, rank), rank]
    names = [f"{a + 1}-{b}" for a, b in pairwise(edges) if b > a]
    groups = [np.arange(a, b) for a, b in pairwise(edges) if b > a]
    return index_sets({name: [int(i) + 1 for i in g] for name, g in zip(names, groups, strict=True)}), names, groups


def compare(features: int = 0, replicas: int = 200, steps: int = STEPS, seed: int = 0) -> Comparison:
    """Predict and measure the six schedules; see the module's text."""
    replicas, steps = check_count("replicas", replicas, low=2), check_count("steps", steps, low=10)
    X, y = digits(features, seed)
    gaussian = LinearRegression.from_data(X, y)
    peak = PEAK_SHARE * stability(gaussian, sgd(schedules.constant(1, 1.0))).critical_lr
    runs = {name: sgd(s) for name, s in six_schedules(steps, float(f"{peak:.2g}")).items()}
    partition, names, groups = _bins(gaussian.dim)
    options: dict[str, Any] = {"record": np.linspace(0, steps, 61).round(), "subspaces": partition}
    predicted = exact(gaussian, runs, **options)
    own = None
    if gaussian.dim <= MAX_EMPIRICAL_DIM:
        own = exact(LinearRegression.from_data(X, y, moments="empirical"), runs, **options)
    at = predicted.risk["step"].values
    measured = [measure(X, y, m.learning_rate, at, groups, replicas, seed + 1 + j) for j, m in enumerate(runs.values())]
    mean, error = np.stack([m for m, _ in measured]), np.stack([e for _, e in measured])
    return Comparison({k: m.learning_rate for k, m in runs.items()}, at, names, predicted, own, mean, error)


def run(
    output: str | Path,
    features: int = 0,
    replicas: int = 200,
    steps: int | None = None,
    force: bool = False,
    report: Callable[[str], None] = print,
) -> Path:
    """Do the comparison, write figure, traces and table to the folder `output`, and report the table; returns the
    folder.

    Raises InputError if the folder holds anything and `force` is not set; with it, only what an earlier demo left is
    replaced. Nothing is left behind half-written.
    """
    target = Path(output)
    with ResultsFolder(target, OUTPUTS, force) as results:
        with writing(results.stage, target):
            with whole():
                comparison = compare(features, replicas, STEPS if steps is None else steps)
            comparison.gaussian.save(results.stage / "gaussian.zarr")
            if comparison.exact is not None:
                comparison.exact.save(results.stage / "empirical.zarr")
            _write_table(comparison, results.stage / "comparison.csv")
            results.commit()
        with results.drawing("digits.png and digits.pdf"):
            figure = draw(comparison)
            for suffix in (".png", ".pdf"):
                plot.save(figure, results.stage / f"digits{suffix}")
            results.commit()
    for line in [*table(comparison, replicas), "", textwrap.fill(conclusion(comparison), 118), ""]:
        report(line)
    report(f"figure, traces and table: {target}; look at {target / 'digits.png'}")
    report(NEXT)
    return target


def _final_rows(comparison: Comparison) -> list[dict[str, Any]]:
    """Measured and predicted final risk by schedule and subspace."""
    gaussian = comparison.predicted(comparison.gaussian)[:, -1]
    own = None if comparison.exact is None else comparison.predicted(comparison.exact)[:, -1]
    rows = []
    for j, name in enumerate(comparison.schedules):
        for k, subspace in enumerate(comparison.subspaces):
            row: dict[str, Any] = {
                "schedule": name,
                "subspace": subspace,
                "measured": comparison.measured[j, -1, k],
                "standard_error": comparison.error[j, -1, k],
                "gaussian": gaussian[j, k],
            }
            if own is not None:
                row["own_moments"] = own[j, k]
                row["z"] = (row["measured"] - own[j, k]) / row["standard_error"]
                row["model_error"] = gaussian[j, k] / own[j, k] - 1.0
            rows.append(row)
    return rows


def _write_table(comparison: Comparison, path: Path) -> None:
    rows = _final_rows(comparison)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, fieldnames=list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def table(comparison: Comparison, replicas: int) -> list[str]:
    """The final risks as lines of text: measured, exact under the data's own moments, and what the Gaussian model
    costs.
    """
    lr = max(s.peak() for s in comparison.schedules.values())
    lines = [
        f"SGD on the digits, {comparison.steps[-1]} steps, peak lr {lr:g}, {replicas} real runs; final risk by modes",
        *COLUMNS.splitlines(),
        "",
        f"{'schedule':<14} {'modes':>8} {'measured':>20} {'own moments':>12} {'z':>6} {'gaussian':>10} {'error':>8}",
    ]
    for row in _final_rows(comparison):
        line = f"{row['schedule']:<14} {row['subspace']:>8} {row['measured']:>10.5f} +- {row['standard_error']:.5f}"
        if "z" in row:
            line += (
                f" {row['own_moments']:>12.5f} {row['z']:>6.2f} {row['gaussian']:>10.5f} {row['model_error']:>+8.1%}"
            )
        else:
            line += f" {'':>12} {'':>6} {row['gaussian']:>10.5f}"
        lines.append(line)
    if comparison.exact is not None:
        lines.append(
            f"largest |z| of {comparison.z_scores().size} comparisons: {np.abs(comparison.z_scores()).max():.2f}"
        )
    return lines


def conclusion(comparison: Comparison) -> str:
    """What the table says, in one sentence."""
    total = comparison.measured[:, -1].sum(axis=1)
    names = list(comparison.schedules)
    best, worst = int(np.argmin(total)), int(np.argmax(total))
    ranking = (
        f"{names[best]} ends lowest and {names[worst]} highest, at {total[worst] / total[best]:.1f} times its risk"
    )
    gaussian = comparison.predicted(comparison.gaussian)[:, -1]
    if comparison.exact is None:
        off = np.abs(gaussian / comparison.measured[:, -1] - 1.0).max()
        return f"Conclusion: {ranking}; the Gaussian model is within {100 * off:.0f} % of every measured number."
    own = comparison.predicted(comparison.exact)[:, -1]
    foretold = own.sum(axis=1)
    if (int(np.argmin(foretold)), int(np.argmax(foretold))) == (best, worst):
        ranking += ", as predicted"
    z, off = np.abs(comparison.z_scores()), np.abs(gaussian / own - 1.0)
    likely = z.size * math.erfc(float(z.max()) / math.sqrt(2.0))
    verdict = "as chance alone would have it" if likely > 0.01 else "more than chance alone would have it"
    return (
        f"Conclusion: {ranking}; under the data's own moments the prediction is off by "
        f"at most {z.max():.1f} standard errors in {z.size} numbers, {verdict}, and the Gaussian model, which knows no "
        f"more than spectrum and residual, by at most {100 * off.max():.0f} %."
    )


def draw(comparison: Comparison) -> Figure:
    """One panel per schedule: risk by subspace, predicted (lines) and measured (points with two standard errors)."""
    with plot.style():
        figure = plot.new_figure(plot.WIDTH, 4.2)
        panels = figure.subplots(2, 3, sharex=True, sharey=True)
        colours = plot.shades(len(comparison.subspaces))
        gaussian = comparison.predicted(comparison.gaussian)
        own = None if comparison.exact is None else comparison.predicted(comparison.exact)
        steps, dots = comparison.steps, np.arange(comparison.steps.size)[::5]
        for j, (panel, name) in enumerate(zip(panels.ravel(), comparison.schedules, strict=True)):
            for k, colour in enumerate(colours):
                if own is not None:
                    panel.plot(steps, own[j, :, k], color=colour)
                panel.plot(steps, gaussian[j, :, k], color=colour, linestyle=(0, (4, 1.5)), linewidth=0.9)
                panel.errorbar(
                    steps[dots],
                    comparison.measured[j, dots, k],
                    2.0 * comparison.error[j, dots, k],
                    color=colour,
                    fmt="o",
                    markersize=2.4,
                    elinewidth=0.8,
                    zorder=3,
                )
            panel.set_title(name)
            panel.set_yscale("log")
        for panel in panels[1]:
            panel.set_xlabel("step")
        for panel in panels[:, 0]:
            panel.set_ylabel("excess risk")
        _legend(figure, dict(zip(comparison.subspaces, colours, strict=True)), own is not None)
    return figure


def _legend(figure: Figure, colours: Mapping[str, Any], own: bool) -> None:
    from matplotlib.lines import Line2D

    handles = [Line2D([], [], color=colour, label=f"modes {name}") for name, colour in colours.items()]
    if own:
        handles.append(Line2D([], [], color="0.4", label="exact, the data's moments"))
    handles.append(Line2D([], [], color="0.4", linestyle=(0, (4, 1.5)), linewidth=0.9, label="exact, Gaussian model"))
    handles.append(Line2D([], [], color="0.4", marker="o", linestyle="", markersize=2.4, label="measured, 2 s.e."))
    figure.legend(handles=handles, loc="outside lower center", ncols=3)
