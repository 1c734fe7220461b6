"""Bordelon, Atanasov and Pehlevan 2024 (arXiv 2402.01092): scaling in time, width and data of random features.

From the abstract and the authors' summary of the paper; the paper itself was not at hand.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
from simlab.figures.columns import first, stack
from simlab.figures.papers.porian2024 import tail
from simlab.figures.reproduction import Claim, Data, Reproduction, Scale, column
from simlab.theory.scaling_laws import bordelon_exponents

import simlab as sl
from simlab.plot import DASHES, PALETTE, WIDTH, new_figure, style

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from simlab.arrays import FloatArray

__all__ = ["FIGURES"]

PAPER = "Bordelon, Atanasov, Pehlevan 2024, arXiv 2402.01092, ICML 2024"
CAPACITY = 1.5
SOURCES = (1.3, 1.6, 2.2)
MAIN = SOURCES[1]
LR = 0.1
EARLY = 10.0
"""Time, the sum of the rates, at which convergence in width is early."""
SLOPE = (10.0, 1_000.0)
"""Times between which the exponent in time is read."""
ROWS = (32, 64, 128, 256)
COLUMNS, TEST_ROWS, NOISE, REUSED_LR = 64, 2_000, 0.1, 0.4
OPEN = 1.2
"""Test loss over training loss that is an open gap."""


def compute(scale: Scale) -> Data:
    """losses: of sketches by source, width and time; reuse: training and test loss by rows and time; sizes."""
    modes, widths, sketches, draws = {
        "tiny": (256, (4, 8, 11, 16, 32), 4, 1),
        "quick": (2_048, (4, 6, 8, 11, 16, 23, 32, 45, 64, 91, 128), 12, 24),
        "full": (4_096, (4, 6, 8, 11, 16, 23, 32, 45, 64, 91, 128, 181, 256), 64, 128),
    }[scale]
    steps = {"tiny": 50_000, "quick": 200_000, "full": 400_000}[scale]
    marks = np.unique(np.round(np.append(np.geomspace(1, steps, 80), EARLY / LR)).astype(int))
    losses = stack(_losses(modes, widths, sketches, marks))
    return {"losses": losses, "reuse": stack(_reuse(draws)), "sizes": {"modes": [modes], "sketches": [sketches]}}


def sketched(modes: int, width: int, seed: int) -> tuple[FloatArray, FloatArray]:
    """Eigenvalues (width,) of a Gaussian sketch, and of every source its signal in them, (sources, width).

    As in `sl.RandomFeatures`, by the Gram matrix of the features: K = W' D W, W_ij ~ N(0, 1/width), D = diag(lam).
    """
    index = np.arange(1.0, modes + 1.0)
    features = index[:, None] ** (-0.5 * CAPACITY) * np.random.default_rng(seed).standard_normal((modes, width))
    lam, axes = np.linalg.eigh(features.T @ features / width)
    targets = index[:, None] ** (-0.5 * np.array(SOURCES))
    projected = axes.T @ (features.T @ targets) / np.sqrt(width)
    return lam, (projected**2 / lam[:, None]).T


def _losses(modes: int, widths: Sequence[int], sketches: int, marks: Any) -> list[dict[str, Any]]:
    """Mean loss of full gradients on sketches, and of the same by gradient flow; width 0: on all features.

    Full gradients do not couple modes: one run holds all sketches, a subspace those of a width.
    """
    drawn = [sketched(modes, width, seed) for width in widths for seed in range(sketches)]
    index = np.arange(1.0, modes + 1.0)
    lam = np.concatenate([index**-CAPACITY, *(each for each, _ in drawn)])
    owner = np.concatenate([np.zeros(modes, dtype=int), np.repeat(widths, np.multiply(widths, sketches))])
    order = np.argsort(-lam, kind="stable")
    lam, owner = lam[order], owner[order]
    sets = sl.subspaces.index_sets({str(w): (np.flatnonzero(owner == w) + 1).tolist() for w in (0, *widths)})
    method = sl.methods.sgd(sl.schedules.constant(int(marks[-1]), LR), batch=np.inf)
    rows = []
    for j, source in enumerate(SOURCES):
        signal = np.concatenate([index**-source, *(each[j] for _, each in drawn)])[order]
        problem = sl.LinearRegression(lam, np.sqrt(signal / lam), noise_variance=0.0)
        trace = sl.exact(problem, method, record=marks, subspaces=sets, progress=False)
        risk = trace.risk.sum("component").sel(step=marks)
        for width in (0, *widths):
            count, own = (sketches if width else 1), owner == width
            seen = 0.5 * float(np.sum(signal[own])) / count
            floor = 0.5 * (float(np.sum(index**-source)) + tail(modes, source)) - seen
            flow = 0.5 * np.exp(-2.0 * LR * np.outer(marks, lam[own])) @ signal[own]
            named = {"source": source, "width": width, "time": LR * marks}
            means = {"loss": risk.sel(subspace=str(width)).values / count, "flow": flow / count}
            rows.append({**named, **{name: value + floor for name, value in means.items()}})
    return rows


def _reuse(draws: int) -> list[dict[str, Any]]:
    """Losses on the rows that are used at every step, and on others, means over draws of the rows."""
    index = np.arange(1.0, COLUMNS + 1.0)
    scale, target = index ** (-0.5 * CAPACITY), index ** (0.5 * (CAPACITY - MAIN))
    steps = 2_500
    method = sl.methods.sgd(sl.schedules.constant(steps, REUSED_LR), batch=np.inf)
    rng = np.random.default_rng(0)
    out = []
    for count in ROWS:
        both = []
        for _ in range(draws):
            x = scale * rng.standard_normal((count + TEST_ROWS, COLUMNS))
            y = x @ target + np.sqrt(NOISE) * rng.standard_normal(len(x))
            problem = sl.LinearRegression.from_data(x[:count], y[:count], holdout=(x[count:], y[count:]))
            trace = sl.exact(problem, method, record=60, progress=False)
            test = trace.dataset["holdout"].sum("component").values
            both.append([trace.total().values + 0.5 * problem.noise_variance, test])
        train, test = np.mean(both, axis=0)
        out.append({"rows": count, "time": REUSED_LR * trace.dataset["step"].values, "train": train, "test": test})
    return out


def first_order(source: float, time: float, modes: int) -> float:
    """Coefficient of 1/width in the mean loss of a sketch after gradient flow for this time.

    The loss is q f(K) q / 2, f(x) = e^(-2 t x), K the sketched kernel, lam in the limit, of variance
    lam_i lam_j (1 + [i = j]) / width: half the sum over i, j of q_i^2 lam_i lam_j (1 + [i = j]) f[lam_i, lam_i, lam_j],
    a divided difference.
    """
    lam = np.arange(1.0, modes + 1.0) ** -CAPACITY
    few = min(modes, 256)
    x, y, s = lam[:few, None], lam[None, :], 2.0 * time
    step = s * (y - x)
    near = np.abs(step) < 1e-2
    safe = np.where(near, 1.0, step)
    series = 0.5 - step / 6.0 + step**2 / 24.0
    second = s**2 * np.exp(-s * x) * np.where(near, series, (np.expm1(-safe) + safe) / safe**2)
    weights = np.arange(1.0, few + 1.0)[:, None] ** -source * x * y * (1.0 + np.eye(few, modes))
    return float(0.5 * np.sum(weights * second))


def _loss(data: Data, source: float, width: int, name: str = "loss") -> FloatArray:
    return column(data["losses"], name, source=source, width=width)


def _times(data: Data) -> FloatArray:
    return column(data["losses"], "time", source=MAIN, width=0)


def _widths(data: Data) -> list[int]:
    return [width for width in first(data["losses"]["width"]) if width]


def _power(x: FloatArray, y: FloatArray) -> float:
    return float(np.polyfit(np.log(x), np.log(y), 1)[0])


def _off_flow(data: Data) -> float:
    """Largest relative distance of any mean loss, from time 1 on, from that of gradient flow."""
    late = np.asarray(data["losses"]["time"]) >= 1.0
    return float(np.max(np.abs(np.divide(data["losses"]["loss"], data["losses"]["flow"])[late] - 1.0)))


def deviation(data: Data, source: float, time: float) -> tuple[FloatArray, FloatArray]:
    """Widths from 16 on, and how far the mean loss is above that of all features at a time."""
    k = int(np.argmin(np.abs(_times(data) - time)))
    widths = np.array([width for width in _widths(data) if width >= 16], dtype=float)
    return widths, np.array([_loss(data, source, int(w))[k] - _loss(data, source, 0)[k] for w in widths])


def _floors(data: Data, source: float) -> tuple[FloatArray, FloatArray]:
    widths = np.array([width for width in _widths(data) if width >= 16], dtype=float)
    return widths, np.array([_loss(data, source, int(width))[-1] for width in widths])


def frontier(data: Data) -> dict[str, FloatArray]:
    """Compute = width x time, and the width, time and loss that are best for it, main source."""
    times, widths = _times(data), np.array(_widths(data), dtype=float)
    losses = np.array([_loss(data, MAIN, int(width)) for width in widths])
    budgets = np.geomspace(widths[2] * 10.0, widths[-3] * times[-1] / 100.0, 9)
    best = []
    for compute_ in budgets:
        at = [
            np.exp(np.interp(np.log(compute_ / w), np.log(times), np.log(each)))
            for w, each in zip(widths, losses, strict=True)
        ]
        k = int(np.clip(np.argmin(at), 1, widths.size - 2))
        x, y = np.log(widths[k - 1 : k + 2]), np.log(at[k - 1 : k + 2])
        a, b, _ = np.polyfit(x - x[1], y, 2)
        best.append((np.exp(x[1] - 0.5 * b / a) if a > 0.0 else np.nan, min(at)))
    width, loss = np.array(best).T
    return {"compute": budgets, "width": width, "time": budgets / width, "loss": loss}


def crossing(data: Data, rows: int) -> float:
    """Time from which test loss is OPEN times training loss; inf if never."""
    time, train, test = (column(data["reuse"], name, rows=rows) for name in ("time", "train", "test"))
    ratio = test / train / (test[0] / train[0])
    above = np.flatnonzero(ratio >= OPEN)
    if not above.size or above[0] < 2:
        return float("inf")
    k = int(above[0])
    return float(np.exp(np.interp(np.log(OPEN), np.log(ratio[k - 1 : k + 1]), np.log(time[k - 1 : k + 1]))))


def draw(data: Data) -> Figure:
    times, widths = _times(data), _widths(data)
    with style():
        figure = new_figure(WIDTH, 4.8)
        panels = figure.subplots(2, 2)
        shown = widths[:: max(1, len(widths) // 5)]
        for j, width in enumerate((*shown, 0)):
            label = f"N = {width}" if width else "all features"
            panels[0, 0].plot(times, _loss(data, MAIN, width), color=PALETTE[j], ls="-" if width else ":", label=label)
        panels[0, 0].set(xscale="log", yscale="log", xlabel="time", ylabel="loss", title=f"(a) source {MAIN:g}")
        for j, source in enumerate(SOURCES):
            for way, (x, y) in enumerate((deviation(data, source, EARLY), _floors(data, source))):
                label = f"source {source:g}, {'late' if way else 'early'}"
                panels[0, 1].plot(x, y / y[0], "os"[way], ls=DASHES[way], color=PALETTE[j], ms=4, label=label)
        panels[0, 1].set(
            xscale="log", yscale="log", xlabel="width N", ylabel="above the limit", title="(b) relative to N = 16"
        )
        ticks = [width for width in widths if width in (16, 32, 64, 128, 256)]
        panels[0, 1].set_xticks(ticks, list(map(str, ticks)))
        panels[0, 1].minorticks_off()
        best = frontier(data)
        for j, name in enumerate(("width", "time")):
            panels[1, 0].plot(
                best["compute"], best[name], "os"[j], ls="-", color=PALETTE[j], ms=4, label=f"best {name}"
            )
        panels[1, 0].set(xscale="log", yscale="log", xlabel="compute N x time", title="(c) frontier")
        for j, rows in enumerate(ROWS):
            time, train, test = (column(data["reuse"], name, rows=rows) for name in ("time", "train", "test"))
            panels[1, 1].plot(time[1:], test[1:], color=PALETTE[j], label=f"{rows} rows")
            panels[1, 1].plot(time[1:], train[1:], color=PALETTE[j], ls=DASHES[1])
        panels[1, 1].set(xscale="log", yscale="log", xlabel="time", ylabel="loss", title="(d) test, training (dashed)")
        for axes in panels.flat:
            axes.legend()
    return figure


def claims(data: Data) -> list[Claim]:
    return [_exponents(data), _convergence(data), _compute(data), _gap(data), _opening(data)]


def _exponents(data: Data) -> Claim:
    times = _times(data)
    part = (times >= SLOPE[0]) & (times <= SLOPE[1])
    found = {s: (-_power(times[part], _loss(data, s, 0)[part]), -_power(*_floors(data, s))) for s in SOURCES}
    wanted = {s: bordelon_exponents(s, CAPACITY) for s in SOURCES}
    off = _off_flow(data)
    return Claim(
        "loss falls with time and with width by different powers",
        "abstract; (source - 1)/capacity in time, min(source - 1, capacity) in width (theory.bordelon_exponents)",
        "both exponents within 0.1 of theory and that of width the larger, three sources; losses within 5 % of gradient"
        " flow's",
        "; ".join(
            f"source {s:g}: time {t:.3f} ({wanted[s].time:.3f}), width {w:.3f} ({wanted[s].width:.3f})"
            for s, (t, w) in found.items()
        )
        + f"; off flow by {off:.1%}",
        off <= 0.05
        and all(
            w > t and abs(t - wanted[s].time) <= 0.1 and abs(w - wanted[s].width) <= 0.1 for s, (t, w) in found.items()
        ),
        "steps are too large for flow, or widths too small for the power",
        paper="different exponents",
        chosen=CHOSEN,
    )


def _convergence(data: Data) -> Claim:
    early = {s: -_power(*deviation(data, s, EARLY)) for s in SOURCES}
    late = {s: -_power(*_floors(data, s)) for s in SOURCES}
    modes = int(np.asarray(data["sizes"]["modes"])[0])
    scaled = {}
    for s in SOURCES:
        widths, above = deviation(data, s, EARLY)
        scaled[s] = widths[-1] * above[-1] / first_order(s, EARLY, modes)
    return Claim(
        "early the loss nears its limit of infinite width as 1/width, late as width^-c with c set by the task",
        "abstract",
        "mean over sketches at time 10: exponent within 0.15 of 1, and at the largest width within 25 % of first order"
        " in 1/width, three sources; late exponents at least 0.5 apart",
        "; ".join(f"source {s:g}: early {early[s]:.3f}, x {scaled[s]:.2f}, late {late[s]:.3f}" for s in SOURCES),
        max(abs(x - 1.0) for x in early.values()) <= 0.15
        and max(abs(x - 1.0) for x in scaled.values()) <= 0.25
        and max(late.values()) - min(late.values()) >= 0.5,
        "too few sketches, or widths too small for first order",
        paper="1/width, then width^-c",
        chosen=CHOSEN,
    )


def _compute(data: Data) -> Claim:
    best = frontier(data)
    powers = {name: _power(best["compute"], best[name]) for name in ("width", "time", "loss")}
    wanted = {"width": 1.0 / (1.0 + CAPACITY), "time": CAPACITY / (1.0 + CAPACITY)}
    loss = bordelon_exponents(MAIN, CAPACITY).compute
    off = _off_flow(data)
    return Claim(
        "for a compute budget steps should grow faster than parameters",
        "abstract; time ~ C^(a/(1 + a)), width ~ C^(1/(1 + a)), loss ~ C^-((b - 1)/(1 + a)), a capacity, b source",
        "exponents of best time and width within 0.1 of it and time's the larger; that of the loss within 0.05; losses"
        " within 5 % of gradient flow's",
        f"time {powers['time']:.3f} ({wanted['time']:.3f}), width {powers['width']:.3f} ({wanted['width']:.3f}), loss"
        f" {-powers['loss']:.3f} ({loss:.3f}); off flow by {off:.1%}",
        powers["time"] > powers["width"]
        and all(abs(powers[name] - value) <= 0.1 for name, value in wanted.items())
        and abs(powers["loss"] + loss) <= 0.05
        and off <= 0.05,
        "the powers are not reached at these sizes",
        paper="asymmetric",
        chosen=f"{CHOSEN}, source {MAIN:g}",
    )


def _gap(data: Data) -> Claim:
    said, rises, ends, starts = [], [], [], []
    for rows in ROWS:
        time, train, test = (column(data["reuse"], name, rows=rows) for name in ("time", "train", "test"))
        ratio = np.interp([1.0, 10.0, 100.0, 1_000.0], time, test / train / (test[0] / train[0]))
        rises.append(bool(np.all(np.diff(ratio) > 0.0)))
        starts.append(float(ratio[0]))
        ends.append(float(ratio[-1]))
        said.append(f"{rows} rows: " + ", ".join(f"{x:.2f}" for x in ratio))
    return Claim(
        "reused data open a gap of test and training loss that builds up with time",
        "abstract",
        "test over training loss, relative to the start: at most 1.1 at time 1, rising at 1, 10, 100, 1,000 for every"
        " number of rows, at the end at least 2 for the fewest and less for every larger number",
        "; ".join(said),
        max(starts) <= 1.1 and all(rises) and ends[0] >= 2.0 and all(a > b for a, b in pairwise(ends)),
        "the fewest rows are a gap from the start, or the most are never used up in this time",
        paper="the gap gradually builds up",
        chosen=f"{REUSE}, full gradients",
    )


def predicted(rows: int) -> float:
    """Time at which (rows + df)/(rows - df) is OPEN, df(t) = sum of 1 - e^(-lam t): the modes that flow has learnt."""
    times = np.geomspace(1e-2, 1e4, 2_000)
    lam = np.arange(1.0, COLUMNS + 1.0) ** -CAPACITY
    learnt = -np.expm1(-np.outer(times, lam)).sum(axis=1)
    return float(np.interp(rows * (OPEN - 1.0) / (OPEN + 1.0), learnt, times))


def _opening(data: Data) -> Claim:
    at = np.array([crossing(data, rows) for rows in ROWS])
    wanted = np.array([predicted(rows) for rows in ROWS])
    return Claim(
        "the gap is that of the modes learnt by then: test over training loss is (rows + df)/(rows - df)",
        "final prediction error (Akaike 1969) with df(t) = sum of 1 - e^(-lam t)",
        f"time at which it is {OPEN:g} within 25 % of that at which df is rows/{(OPEN + 1) / (OPEN - 1):.0f}, always",
        "; ".join(f"{r} rows: {x:.3g} against {w:.3g}" for r, x, w in zip(ROWS, at, wanted, strict=True)),
        bool(np.all(np.abs(at / wanted - 1.0) <= 0.25)),
        "signal that is not learnt yet is no independent noise: the gap opens earlier",
        own=True,
    )


CHOSEN = f"capacity {CAPACITY:g}, sources {', '.join(f'{s:g}' for s in SOURCES)}, full gradients at lr {LR:g}"
REUSE = f"capacity {CAPACITY:g}, source {MAIN:g}, {COLUMNS} features, label noise {NOISE:g}"
FIGURES = [
    Reproduction(
        "bordelon2024-sizes",
        "Random features in time, width, compute and data",
        PAPER,
        2024,
        "Gaussian sketches of 4 to 128 features of a power law (capacity 1.5, sources 1.3, 1.6, 2.2) of 2,048 modes,"
        " 12 sketches each (full: to 256 features of 4,096 modes, 64 sketches); what lies beyond is added to every"
        " loss. Full gradients at lr 0.1 without label noise, exact engine. Reuse: 32 to 256 rows of 64 features,"
        " label noise 0.1, every row in every step, test loss on 2,000 others. Ensembles are not in it.",
        compute,
        draw,
        claims,
        chosen=(CHOSEN, REUSE),
        seconds=4.0,
    )
]
