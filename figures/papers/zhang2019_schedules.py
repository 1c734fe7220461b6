"""Zhang et al. 2019 (arXiv 1907.04164): optimal schedules, and additive against multiplicative noise.

Under additive noise the risk of a mode after k steps at one rate is v <- p^k v + (1 - p^k) v*, p = (1 - lr h)^2, v* =
lr c / (2 B (2 - lr h)); its gradient is as simple, and what comes out is run through the exact engine. Multiplicative
noise is that of linear regression with label noise 1, whose gradient noise is H / B only where the risk is small.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from scipy.optimize import minimize
from simlab.figures.columns import first, stack
from simlab.figures.papers.zhang2019 import PAPER, READING, TARGET, first_below, model, runs, tuned
from simlab.figures.reproduction import Claim, Data, Reproduction, Scale, Table, column

import simlab as sl
from simlab.arrays import FloatArray
from simlab.plot import DASHES, PALETTE, WIDTH, new_figure, shades, style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from simlab.schedules import Schedule

__all__ = ["FIGURES"]

LARGEST = 2.0 / (1.0 + 1e-4)
"""Bound on lr h_1, as in the authors' code."""
START = -5.0


AUTHORS_SHARES = {16: 0.10, 32: 0.24, 64: 0.44, 128: 0.66, 256: 0.82}
"""Batch size -> share of the run that 50 pieces spend at the largest rate; read off the authors' picture."""
AUTHORS_STEPS = {2**2: 17.6, 2**8: 13.3, 2**10: 12.9, 2**20: 12.8}
"""Batch size -> log2 of the steps with 10 pieces; read off the authors' picture."""


class Size(NamedTuple):
    """What is computed at a scale; coupled: batch sizes with multiplicative noise, and optima under both kinds."""

    dim: int
    pieces: int
    batches: tuple[int, ...]
    coupled: tuple[int, ...]
    both: tuple[int, ...]
    coupled_pieces: int


SIZES: dict[str, Size] = {
    "tiny": Size(20, 4, (16, 64), (64,), (64,), 3),
    "quick": Size(10_000, 50, (16, 32, 64, 128, 256, 4096), (16, 256, 4096), (16,), 8),
    "full": Size(10_000, 50, tuple(2**k for k in range(2, 13)), (4, 16, 64, 256, 1024, 4096), (16, 64, 256), 10),
}


def piecewise_risk(
    log_lr: FloatArray, steps: float, lam: FloatArray, risk: FloatArray, noise: FloatArray
) -> tuple[float, FloatArray]:
    """Final risk and its gradient in log lr, of pieces of `steps` steps each from mode risks `risk`; noise = c / B."""
    v, kept, moved = risk, [], []
    for lr in np.exp(log_lr):
        left = np.abs(1.0 - lr * lam)
        decay = left ** (2.0 * steps)
        floor = 0.5 * lr * noise / (2.0 - lr * lam)
        slope = -2.0 * steps * lam * np.sign(1.0 - lr * lam) * left ** (2.0 * steps - 1.0)
        moved.append(lr * (slope * (v - floor) + (1.0 - decay) * noise / (2.0 - lr * lam) ** 2))
        kept.append(decay)
        v = decay * v + (1.0 - decay) * floor
    gradient, after = np.empty(log_lr.size), np.ones(lam.size)
    for j in range(log_lr.size - 1, -1, -1):
        gradient[j] = float(after @ moved[j])
        after = after * kept[j]
    return float(v.sum()), gradient


def _optimum(steps: float, problem: sl.NoisyQuadratic, batch: float, log_lr: FloatArray) -> tuple[float, FloatArray]:
    """Least final risk of pieces of `steps` steps, and log lr."""
    lam = problem.eigenvalues
    given = (steps, lam, 0.5 * lam * problem.initial_error**2, problem.gradient_covariance / batch)

    def objective(x: FloatArray) -> tuple[float, FloatArray]:
        value, gradient = piecewise_risk(x, *given)
        return float(np.log(value)), gradient / value

    bounds = [(None, np.log(LARGEST))] * log_lr.size
    found = minimize(objective, log_lr, jac=True, method="L-BFGS-B", bounds=bounds, options={"maxiter": 500})
    return float(np.exp(found.fun)), np.asarray(found.x)


def _fewest(problem: sl.NoisyQuadratic, batch: float, pieces: int) -> tuple[int, FloatArray]:
    """Fewest steps a piece for which some schedule reaches the target, and that schedule's log lr."""
    # From the samples that no method can do without, d / (2 C).
    low, high = 0, 1 + int(problem.initial_error @ problem.initial_error / (2.0 * TARGET * batch * pieces))
    value, best = _optimum(high, problem, batch, np.full(pieces, START))
    while value > TARGET:
        low, high = high, 2 * high
        value, best = _optimum(high, problem, batch, best)
    while high - low > max(1, high // 100):
        middle = (low + high) // 2
        value, found = _optimum(middle, problem, batch, best)
        low, high, best = (low, middle, found) if value <= TARGET else (middle, high, best)
    return high, best


def _schedule(log_lr: FloatArray, steps: int) -> Schedule:
    return sl.schedules.join(*(sl.schedules.constant(steps, float(lr)) for lr in np.exp(log_lr)))


def _regression(dim: int) -> sl.LinearRegression:
    """The same spectrum and start with multiplicative noise too, on few nodes."""
    return sl.LinearRegression.power_law(dim, capacity=1.0, source=1.0, noise_variance=1.0).compress(1e-6)


def _final(problem: Any, schedules: list[Schedule], batch: float) -> FloatArray:
    """Final risks; inf where a run diverges."""
    methods = [sl.methods.sgd(schedule, batch=batch) for schedule in schedules]
    trace = sl.exact(problem, methods, record=2, progress=False)
    final = trace.final().sum(("component", "subspace")).values
    return np.where(trace.status.values == "done", final, np.inf)


def _coupled(problem: sl.LinearRegression, batch: float, steps: int, log_lr: FloatArray) -> FloatArray:
    """log lr of the least final risk under multiplicative noise; gradient by differences of exact runs."""

    def objective(x: FloatArray) -> tuple[float, FloatArray]:
        moved = np.concatenate([x[None], x + 1e-5 * np.eye(x.size)])
        values = np.minimum(_final(problem, [_schedule(row, steps) for row in moved], batch), 1e20)
        logs = np.log(values)
        return float(logs[0]), (logs[1:] - logs[0]) / 1e-5

    # A first step of any length could end where the last rates are too small to have a gradient.
    bounds = [(low - 2.0, np.log(LARGEST)) for low in log_lr]
    found = minimize(objective, log_lr, jac=True, method="L-BFGS-B", bounds=bounds, options={"maxiter": 60})
    return np.asarray(found.x)


def _coupled_constant(problem: sl.LinearRegression, dim: int, batch: float, guess: float, ratio: float) -> float:
    """Fewest steps to the target at a constant rate under multiplicative noise, on a grid around `guess`."""
    rates = guess * ratio ** np.arange(-4, 3)
    rates = rates[rates < LARGEST]
    methods = [sl.methods.sgd(sl.schedules.constant(int(3 * dim / r) + 1, float(r)), batch=batch) for r in rates]
    trace = sl.exact(problem, methods, record=400, progress=False)
    total = trace.total().transpose("run", "step").values
    step = trace.risk["step"].values.astype(np.float64)
    found = [np.inf]
    for values in total:
        there = np.isfinite(values)
        curve = np.stack([step[there], values[there], np.zeros(int(there.sum()))])
        found.append(float(first_below(curve, np.array([batch]), TARGET)[0]))
    return min(found)


def compute(scale: Scale) -> Data:
    """steps: by batch size and kind; pieces: the schedules; noise: risk of both optima under both kinds of noise."""
    size = SIZES[scale]
    problem = model(size.dim, sl.methods.sgd(sl.schedules.constant(100 * size.dim, 0.5)))
    coupled = _regression(size.dim)
    ratio = 1.2 if scale != "full" else 1.1
    few = AUTHORS_STEPS if scale != "tiny" else {}
    batches = np.array(sorted({*size.batches, *few}), dtype=np.float64)
    found = [(lr, first_below(curve, batches, TARGET)) for lr, curve in runs("SGD", size.dim, 0.01, ratio, 1.0)]
    constant, rate = tuned(np.array([lr for lr, _ in found]), np.stack([steps for _, steps in found]))
    rows: list[dict[str, Any]] = [{"kind": "constant", "B": batches, "steps": constant, "risk": TARGET}]
    pieces: list[dict[str, Any]] = []
    for kind, count, which in (("schedule", size.pieces, size.batches), ("ten pieces", 10, few)):
        for batch in which:
            each, best = _fewest(problem, batch, count)
            risk = _final(problem, [_schedule(best, each)], batch)
            rows.append({"kind": kind, "B": batch, "steps": each * count, "risk": risk})
            if kind == "schedule":
                pieces.append({"noise": "additive", "B": batch, "piece": np.arange(count), "lr": np.exp(best)})
    for batch in size.coupled:
        guess = float(rate[batches == batch][0])
        steps = _coupled_constant(coupled, size.dim, batch, guess, ratio)
        rows.append({"kind": "multiplicative", "B": batch, "steps": steps, "risk": TARGET})
    table, noise = stack(rows), []
    for batch in size.both:
        known = np.log(next(row["lr"] for row in pieces if row["B"] == batch))
        both = _both_noises(problem, coupled, batch, column(table, "steps", kind="schedule", B=batch)[0], known, size)
        noise.append(both[0])
        pieces += both[1]
    return {"steps": table, "pieces": stack(pieces), "noise": stack(noise)}


def _both_noises(
    problem: sl.NoisyQuadratic, coupled: sl.LinearRegression, batch: int, steps: float, known: FloatArray, size: Size
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Optima of as many steps under either noise, and what each costs under multiplicative noise.

    `known` is log lr of the optimum of more pieces: from START a line search may end at rates without a gradient.
    """
    each = int(np.ceil(steps / size.coupled_pieces))
    centres = (np.arange(size.coupled_pieces) + 0.5) / size.coupled_pieces
    coarse = np.interp(centres, (np.arange(known.size) + 0.5) / known.size, known)
    _, additive = _optimum(each, problem, batch, coarse)
    # From below the stability limit of a constant rate, tr H lr < 2 B or so.
    safe = np.log(min(1.0, batch / float(coupled.modes().multiplicity @ coupled.modes().eigenvalues)))
    best = _coupled(coupled, batch, each, np.minimum(additive, safe))
    critical = sl.stability(coupled, sl.methods.sgd(sl.schedules.constant(1, 1.0), batch=batch)).critical_lr
    risks = _final(coupled, [_schedule(additive, each), _schedule(best, each)], batch)
    index = np.arange(size.coupled_pieces)
    kinds = (("additive, as long", additive), ("multiplicative", best))
    row = {"B": batch, "critical": critical, "of_additive": risks[0], "of_own": risks[1]}
    return row, [{"noise": kind, "B": batch, "piece": index, "lr": np.exp(x)} for kind, x in kinds]


def _stairs(axes: Axes, lr: FloatArray, **look: Any) -> None:
    axes.step(np.linspace(0.0, 1.0, lr.size + 1), np.append(lr, lr[-1]), where="post", **look)


def draw(data: Data) -> Figure:
    pieces = data["pieces"]
    with style():
        figure = new_figure(WIDTH, 3.1)
        left, middle, right = figure.subplots(1, 3)
        batches = first(np.asarray(pieces["B"])[np.asarray(pieces["noise"]) == "additive"])
        shown = batches[:: 1 + len(batches) // 7]
        for colour, batch in zip(shades(len(shown)), shown, strict=True):
            _stairs(left, column(pieces, "lr", noise="additive", B=batch), color=colour, label=_power(batch))
        left.axhline(LARGEST, color="0.5", lw=0.7, ls=":")
        left.set(yscale="log", xlabel="progress", ylabel="learning rate", title="(a) optimal schedules, additive")
        left.legend(title="batch size", loc="upper center", bbox_to_anchor=(0.5, -0.2), ncols=4, handlelength=1.2)
        _draw_steps(middle, data["steps"])
        coupled = first(data["noise"]["B"])
        for j, batch in enumerate(coupled):
            for kind, dash in (("additive, as long", "--"), ("multiplicative", "-")):
                _stairs(right, column(pieces, "lr", noise=kind, B=batch), color=PALETTE[j], ls=dash)
            right.axhline(column(data["noise"], "critical", B=batch)[0], color=PALETTE[j], lw=0.7, ls=":")
            right.plot([], [], color=PALETTE[j], label=f"$B$ = {_power(batch)}")
        for words, dash in (("additive", "--"), ("multiplicative", "-"), ("critical rate", ":")):
            right.plot([], [], color="0.4", ls=dash, lw=0.9, label=words)
        right.set(yscale="log", xlabel="progress", ylabel="learning rate", title="(c) optima by kind of noise")
        right.legend(loc="upper center", bbox_to_anchor=(0.5, -0.2), ncols=2)
    return figure


def _draw_steps(axes: Axes, steps: Table) -> None:
    """Steps to the target; multiplicative noise as rings, for it lies on the constant rate."""
    for j, (kind, label) in enumerate((("constant", "constant rate"), ("schedule", "optimal, 50 pieces"))):
        at, n = (column(steps, key, kind=kind) for key in ("B", "steps"))
        axes.plot(at, n, color=PALETTE[j], ls=DASHES[j], marker=".", label=label)
    at, n = (column(steps, key, kind="multiplicative") for key in ("B", "steps"))
    axes.plot(at, n, "o", ms=7, mfc="none", color=PALETTE[2], label="constant, mult. noise")
    at, n = (column(steps, key, kind="ten pieces") for key in ("B", "steps"))
    axes.plot(at, n, "s", ms=5, mfc="none", color=PALETTE[3], label="10 pieces")
    axes.plot(list(AUTHORS_STEPS), [2.0**k for k in AUTHORS_STEPS.values()], "kx", ms=4, label="authors, 10 pieces")
    axes.set_xscale("log", base=2)
    axes.set_yscale("log", base=2)
    axes.set(xlabel="batch size $B$", ylabel=f"steps to risk {TARGET:g}", title="(b) steps to the target")
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.2), ncols=2, columnspacing=0.8, fontsize=6)


def _power(batch: float) -> str:
    return f"$2^{{{round(np.log2(batch))}}}$"


def shares(data: Data) -> dict[int, float]:
    """Batch size of the authors' readings -> share of the run at the largest rate."""
    pieces = data["pieces"]
    lr = {batch: column(pieces, "lr", noise="additive", B=batch) for batch in AUTHORS_SHARES}
    return {batch: float(np.mean(values > 0.99 * LARGEST)) for batch, values in lr.items() if values.size}


def claims(data: Data) -> list[Claim]:
    steps, pieces, noise = data["steps"], data["pieces"], data["noise"]
    batches = first(np.asarray(steps["B"])[np.asarray(steps["kind"]) == "schedule"])
    starts = np.array([column(pieces, "lr", noise="additive", B=b)[0] for b in batches]) / LARGEST
    large = np.asarray(batches) >= 16
    kind = "ten pieces" if "ten pieces" in first(steps["kind"]) else "schedule"
    compared = column(steps, "B", kind=kind)
    ratio = np.array([_steps(steps, kind, b) / _steps(steps, "constant", b) for b in compared])
    scheduled = np.isin(np.asarray(steps["kind"]), ("schedule", "ten pieces"))
    miss = float(np.max(np.asarray(steps["risk"])[scheduled] / TARGET))
    both = column(steps, "B", kind="multiplicative")
    coupled = np.array([_steps(steps, "multiplicative", b) / _steps(steps, "constant", b) for b in both])
    small = first(noise["B"])[0]
    own = column(pieces, "lr", noise="multiplicative", B=small)[0]
    critical = float(column(noise, "critical", B=small)[0])
    cost = [float(column(noise, key, B=small)[0]) for key in ("of_additive", "of_own")]
    ends = [f"{value:.3g}" if np.isfinite(value) else "divergence" for value in cost]
    return [
        Claim(
            "optimal schedules start at the largest feasible learning rate",
            "figure on optimal schedules",
            "first piece / bound > 0.99 for B from 2^4 to 2^12, as in the figure",
            ", ".join(f"{value:.3f} (B = {b:,.0f})" for b, value in zip(batches, starts, strict=True) if b >= 16),
            bool(starts[large].min() > 0.99),
            paper="all start at 2",
            reason="the smallest batches want a lower rate from the first step on",
        ),
        *_beside_authors(data),
        Claim(
            "schedules save most steps at small batches, and next to none at large ones",
            "experiments on schedules, and the authors' picture",
            "steps, schedule of 10 pieces / constant, below 0.2 at B = 4 and between 0.9 and 1 at the largest B",
            ", ".join(f"{value:.3f}" for value in ratio) + f" at B = {', '.join(map(_plain, compared.tolist()))}",
            bool(ratio[0] < 0.2 and 0.9 < ratio[-1] <= 1.0),
            paper="2^-2.9 = 0.13, 2^-1.3 = 0.41, 2^-0.4 = 0.76, 1 at these B (the authors' picture)",
            reason="the largest batch size is not beyond the bend",
        ),
        Claim(
            "the optimum found in closed form reaches the target in the exact engine",
            "v <- p^k v + (1 - p^k) lr c / (2 B (2 - lr h)), p = (1 - lr h)^2, for k steps at one rate",
            "risk / target <= 1 + 1e-5",
            f"{miss:.6f}",
            miss <= 1.0 + 1e-5,
            reason="the closed form and the engine differ",
            own=True,
        ),
        Claim(
            "at constant rates multiplicative noise hardly changes the steps",
            "regression with the same H, start and label noise 1 beside the additive noise H / B",
            "steps, multiplicative / additive, < 1.1 at every batch size",
            ", ".join(f"{value:.3f}" for value in coupled),
            bool(coupled.max() < 1.1),
            reason="noise that grows with the risk costs steps at small batches",
            own=True,
        ),
        Claim(
            "optimal schedules of additive noise fail under multiplicative noise at small batches",
            "the same regression",
            "final risk, the additive optimum / the optimum of its own kind > 2 at B = 16",
            f"{ends[0]} / {ends[1]}; first piece {own:.3g} instead of {LARGEST:.3g}, critical rate {critical:.3g}",
            bool(cost[0] > 2.0 * cost[1]),
            reason="the additive optimum is stable under multiplicative noise too",
            own=True,
        ),
    ]


def _steps(steps: Table, kind: str, batch: float) -> float:
    return float(column(steps, "steps", kind=kind, B=batch)[0])


def _plain(batch: float) -> str:
    return f"2^{round(np.log2(batch))}"


def _beside_authors(data: Data) -> list[Claim]:
    """The numbers of the authors' pictures, where their batch sizes were computed."""
    found, ten = shares(data), column(data["steps"], "steps", kind="ten pieces")
    if len(found) < len(AUTHORS_SHARES) or not ten.size:
        return []
    off = max(abs(found[batch] - share) for batch, share in AUTHORS_SHARES.items())
    logs = np.log2(ten)
    return [
        Claim(
            "the larger the batch, the longer an optimal schedule keeps the largest rate",
            "figure on optimal schedules, kept in the authors' notebook",
            "share of the run at B = 2^4 .. 2^8 within 0.03 of the reading (a piece is 0.02)",
            ", ".join(f"{share:.2f}" for share in found.values()),
            off <= 0.03,
            paper=", ".join(f"{share:.2f}" for share in AUTHORS_SHARES.values()) + " (read by eye)",
            reason="another optimum of the same target was found",
        ),
        Claim(
            "steps of the optimal schedule of 10 pieces, as in the authors' picture",
            "pictures kept in the authors' notebook",
            f"log2 of the steps at B = {', '.join(map(_plain, AUTHORS_STEPS))} within {READING:g} of the reading",
            ", ".join(f"{value:.2f}" for value in logs),
            bool(np.abs(logs - np.array(list(AUTHORS_STEPS.values()))).max() <= READING),
            paper=", ".join(f"{value:.1f}" for value in AUTHORS_STEPS.values()) + " (read by eye, +- 0.2)",
            reason="another optimum of the same target was found",
        ),
    ]


FIGURES = [
    Reproduction(
        "zhang2019-schedules",
        "Optimal piecewise-constant schedules; additive against multiplicative noise",
        PAPER,
        2019,
        "Noisy quadratic as in zhang2019-steps, d = 10,000. Schedules of 50 pieces of equal length, log rates by"
        " L-BFGS-B from log lr = -5 under lr <= 2 / (h_1 + 1e-4), in the fewest steps that reach risk 0.01; crosses in"
        " (b) are read off the authors' picture. Multiplicative noise: regression with the same H and start, label"
        " noise 1; optima of 10 (quick: 8) pieces in as many steps.",
        compute,
        draw,
        claims,
        chosen=("multiplicative noise is no part of the paper",),
        seconds=9.0,
    )
]
