"""Li, Deng, Wu, Zhou and Gu 2024 (arXiv 2311.14222): SGD against ASGD, by the direction of the initial error.

d, spectrum and noise variance are the paper's, the rest is in CHOSEN.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from simlab.figures.columns import first, stack
from simlab.figures.reproduction import Claim, Data, Reproduction, Scale, column

import simlab as sl
from simlab.arrays import FloatArray
from simlab.plot import PALETTE, WIDTH, new_figure, style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from simlab.methods import Method

__all__ = [
    "CHOSEN",
    "DELTA",
    "FIGURES",
    "PAPER",
    "PSI",
    "RATE",
    "STRENGTH",
    "averaged",
    "plain",
    "problem",
    "radii",
    "rule",
]

PAPER = "Li, Deng, Wu, Zhou, Gu 2024, arXiv 2311.14222, ICLR 2024"
DELTA, PSI, STRENGTH = 0.1, 3.0, 5
"""Short step, which is also the learning rate of SGD; fourth-moment constant of Gaussian data; k~."""
NOISE = 0.01
CHOSEN = (
    "delta = 0.1, also the learning rate of SGD (1/(2 psi tr H) = 0.101), k~ = 5, psi = 3; gamma = 0.922 and"
    " beta = 0.0072 follow",
    "constants 1/2 in the rule for gamma",
    "average of iterates N/2 .. N",
    "starts i e_i, so that the initial risk is 1/2 in every direction",
)
RATE = "rule of delta, gamma, beta and its constants"
"""What a statement on rates of the bias depends on, of what is chosen."""
STARTS = (1, 10, 30)
METHODS = ("SGD", "ASGD")
COLOURS = dict(zip(METHODS, PALETTE, strict=False))
LEVELS = (0.1, 0.5, 0.9)

REFERENCE: dict[tuple[int, int], tuple[float, float, float, float]] = {
    (500, 1): (2.25e-5, 9.12e-5, 8.34e-5, 2.73e-4),
    (500, 10): (2.43e-1, 9.12e-5, 1.20e-2, 2.73e-4),
    (500, 30): (4.69e-1, 9.12e-5, 3.67e-1, 2.73e-4),
    (2000, 1): (2.74e-6, 4.82e-5, 7.18e-6, 1.33e-4),
    (2000, 10): (2.77e-2, 4.82e-5, 1.91e-4, 1.33e-4),
}
"""(N, i) -> bias and variance of SGD, of ASGD, by an independent recursion of all second moments of (w, u)."""


def problem(dim: int, start: int | None) -> sl.LinearRegression:
    """lam_i = i^-2, sigma^2 = 0.01, initial error `start` e_start, or i along every e_i (None)."""
    index = np.arange(1.0, dim + 1.0)
    error = index if start is None else np.where(index == start, index, 0.0)
    return sl.LinearRegression(index**-2, error, NOISE)


def rule(dim: int) -> Mapping[str, float]:
    """delta, gamma, alpha and beta."""
    found = sl.methods.li_2024_rule(problem(dim, None), min(STRENGTH, dim - 1), delta=DELTA, psi=PSI)
    return {name: float(value) for name, value in found.items()}  # type: ignore[arg-type]


def radii(dim: int, parameters: Mapping[str, float]) -> dict[str, FloatArray]:
    """Factor of the mean of every mode in one step, in the long run: of SGD, and the larger root of ASGD.

    ASGD: x^2 - (1 + c - lam q) x + c (1 - delta lam) with c = (1 - beta)/(1 + beta), q = c delta + (1 - c)(gamma +
    delta)/2, the characteristic polynomial of the mean recursion of (w, u).
    """
    delta, gamma, beta = (parameters[key] for key in ("delta", "gamma", "beta"))
    lam = problem(dim, None).eigenvalues
    c = (1.0 - beta) / (1.0 + beta)
    half = 0.5 * (1.0 + c - lam * (c * delta + 0.5 * (1.0 - c) * (gamma + delta)))
    product = c * (1.0 - delta * lam)
    real = half**2 >= product
    larger = half + np.sqrt(np.where(real, half**2 - product, 0.0))
    return {"SGD": 1.0 - delta * lam, "ASGD": np.where(real, larger, np.sqrt(product))}


def plain(steps: int, parameters: Mapping[str, float]) -> dict[str, Method]:
    """Both methods, without an average."""
    lr = sl.schedules.constant(steps, parameters["delta"])
    return {"SGD": sl.methods.sgd(lr), "ASGD": sl.methods.asgd(lr, parameters["gamma"], parameters["beta"])}


def averaged(steps: int, parameters: Mapping[str, float]) -> dict[str, Method]:
    """Both methods, with the average of iterates N/2 .. N."""
    return {name: sl.methods.average(run, start=steps // 2) for name, run in plain(steps, parameters).items()}


def compute(scale: Scale) -> Data:
    """ends: bias, variance and sampled risk of the average by start and N; runs: the risk along one run."""
    dim, replicas, steps = {"tiny": (40, 16, 100), "quick": (2_000, 32, 1_000), "full": (2_000, 128, 2_000)}[scale]
    sizes = {
        "tiny": (50, 120),
        "quick": (50, 100, 200, 500, 1_000, 2_000),
        "full": (30, 50, 100, 200, 350, 500, 700, 1_000, 1_400, 2_000, 5_000),
    }[scale]
    parameters = rule(dim)
    ends: list[dict[str, Any]] = []
    runs: list[dict[str, Any]] = []
    for start in STARTS:
        for n in sizes:
            ends += _ends(problem(dim, start), averaged(n, parameters), {"start": start, "N": n}, replicas)
        runs += _along(problem(dim, start), plain(steps, parameters), {"start": start}, replicas)
    return {"ends": stack(ends), "runs": stack(runs)}


def _ends(
    case: sl.LinearRegression, methods: dict[str, Method], where: dict[str, Any], replicas: int
) -> list[dict[str, Any]]:
    final = sl.exact(case, methods, record=2, progress=False).final().sum("subspace")
    drawn = sl.sample(case, methods, replicas=replicas, quantiles=LEVELS, record=2, split=False, progress=False).dataset
    rows = []
    for name in methods:
        last = drawn.sel(run=name).isel(step=-1)
        low, middle, high = last["total_quantile"].values
        mean = float(last["risk"].sum(("component", "subspace")))
        rows.append(
            {
                **where,
                "method": name,
                "bias": float(final.sel(run=name, component="bias")),
                "variance": float(final.sel(run=name, component="variance")),
                "low": low,
                "median": middle,
                "high": high,
                "mean": mean,
                "error": float(last["total_error"]),
            }
        )
    return rows


def _along(
    case: sl.LinearRegression, methods: dict[str, Method], where: dict[str, Any], replicas: int
) -> list[dict[str, Any]]:
    steps = next(iter(methods.values())).length
    marks = np.unique(np.geomspace(1, steps, 60).astype(int))
    total = sl.exact(case, methods, record=marks, progress=False).total().sel(step=marks)
    drawn = sl.sample(
        case, methods, replicas=replicas, quantiles=LEVELS, record=marks, split=False, seed=1, progress=False
    ).dataset["total_quantile"]
    rows = []
    for name in methods:
        low, middle, high = drawn.sel(run=name, step=marks).transpose("quantile", "step").values
        found = {"risk": total.sel(run=name).values, "low": low, "median": middle, "high": high}
        rows.append({**where, "method": name, "step": marks, **found})
    return rows


def draw(data: Data) -> Figure:
    with style():
        figure = new_figure(WIDTH, 5.6)
        panels = figure.subplots(3, len(STARTS), height_ratios=[1.3, 1.0, 1.3])
        for j, start in enumerate(STARTS):
            top, middle, bottom = panels[:, j]
            for name in METHODS:
                _average_curve(top, data, start, name)
                _run_curve(bottom, data, start, name)
            _ratio_curve(middle, data, start)
            top.set(xscale="log", yscale="log", xlabel="samples $N$")
            top.set_title(f"start ${start if start > 1 else ''}\\,e_{{{start}}}$")
            bottom.set(xscale="log", yscale="log", xlabel="step of one run")
        for row in (panels[0], panels[2]):
            limits = [axes.get_ylim() for axes in row]
            for axes in row:
                axes.set_ylim(min(low for low, _ in limits), 1.0)
        panels[0, 0].set_ylabel("excess risk,\naverage of $N/2\\,..\\,N$")
        panels[1, 0].set_ylabel("ASGD / SGD")
        panels[2, 0].set_ylabel("excess risk,\nlast iterate")
        handles, labels = panels[0, 0].get_legend_handles_labels()
        (median,) = panels[2, 0].plot([], [], color="0.4", ls=":", lw=1.0)
        band = panels[2, 0].fill_between([], [], color="0.75", linewidth=0)
        (bias,) = panels[0, 0].plot([], [], color="0.4", ls="--", lw=0.8)
        figure.legend(
            [*handles, bias, median, band, *panels[1, 0].get_legend_handles_labels()[0]],
            [*labels, "exact bias", "sampled median", "sampled, 10 to 90 %", "ASGD / SGD, excess risk"],
            loc="outside lower center",
            ncols=4,
        )
    return figure


def _ratio_curve(axes: Axes, data: Data, start: int) -> None:
    """ASGD / SGD of the averages; shaded: before the direction is learned at all, N < 1/((gamma + delta) lam_i)."""
    n = np.asarray(first(data["ends"]["N"]))
    axes.plot(n, _ratio(data, start, ("bias", "variance")), "k.-", lw=1.0, label="ASGD / SGD, excess risk")
    axes.axhline(1.0, color="0.5", lw=0.8)
    begin = _begin(start)
    if begin > n[0]:
        axes.axvspan(0.9 * n[0], begin, color="0.93", lw=0)
        axes.text(n[0], 0.1, f"$N < {begin:.0f}$", fontsize=7, color="0.35")
    # Linear: 1.04 is above 1 to the eye.
    axes.set(
        xscale="log", xlabel="samples $N$", xlim=(0.9 * n[0], 1.1 * n[-1]), ylim=(0.0, 8.0 if start == 1 else 1.15)
    )


def _begin(start: int) -> float:
    """1/((gamma + delta) lam_i): about where the mean along e_i begins to move under ASGD (the paper's k*)."""
    parameters = rule(2_000)
    return start**2 / (parameters["gamma"] + parameters["delta"])


def _average_curve(axes: Axes, data: Data, start: int, name: str) -> None:
    where: dict[str, Any] = {"start": start, "method": name}
    n, bias, variance, low, middle, high = (
        column(data["ends"], key, **where) for key in ("N", "bias", "variance", "low", "median", "high")
    )
    colour = COLOURS[name]
    axes.plot(n, bias + variance, color=colour, label=f"{name}, exact")
    axes.plot(n, bias, color=colour, ls="--", lw=0.8)
    # Side by side: the bars of both methods would cover one another.
    shifted = n * (0.96 if name == "SGD" else 1.04)
    bars = np.stack([middle - low, high - middle])
    marker = {"SGD": "o", "ASGD": "s"}[name]
    axes.errorbar(
        shifted, middle, bars, color=colour, ls="", marker=marker, ms=3, mfc="white", lw=0.9, label=f"{name}, sampled"
    )


def _run_curve(axes: Axes, data: Data, start: int, name: str) -> None:
    where: dict[str, Any] = {"start": start, "method": name}
    step, risk, low, middle, high = (
        column(data["runs"], key, **where) for key in ("step", "risk", "low", "median", "high")
    )
    axes.fill_between(step, low, high, color=COLOURS[name], alpha=0.22, linewidth=0)
    axes.plot(step, middle, color=COLOURS[name], ls=":", lw=1.0)
    axes.plot(step, risk, color=COLOURS[name])


def claims(data: Data) -> list[Claim]:
    ends = data["ends"]
    sizes = np.asarray(first(ends["N"]))
    bias = _ratio(data, 1, ("bias",))
    total = {start: _ratio(data, start, ("bias", "variance")) for start in STARTS}
    # Of starts that ASGD has begun to learn; a size may hold none.
    learned = {i: total[i][sizes >= _begin(i)] for i in STARTS[1:]}
    early = {i: total[i][sizes < _begin(i)] for i in STARTS[1:]}
    worst = [float(ratio.max()) for ratio in learned.values() if ratio.size]
    scores = (column(ends, "mean") - column(ends, "bias") - column(ends, "variance")) / column(ends, "error")
    return [
        Claim(
            "along the leading direction the bias of SGD decays faster than that of ASGD",
            "abstract; main theorem, i <= k-hat",
            "bias, ASGD / SGD > 1 for the start e_1 at every N",
            f"{bias.min():.2f} .. {bias.max():.2f}; excess risk {total[1].min():.2f} .. {total[1].max():.2f}",
            bool(bias.min() > 1.0),
            "the average has not reached the rate of its recursion",
            paper="bias of ASGD decays more slowly for large eigenvalues",
            chosen=RATE,
        ),
        Claim(
            "ASGD outperforms SGD when the initial error lies along small eigenvalues",
            "abstract",
            "excess risk, ASGD / SGD < 1 for 10 e_10 and 30 e_30 from N = 1/((gamma + delta) lam_i) on: "
            + " and ".join(f"{_begin(i):.0f}" for i in STARTS[1:]),
            "; ".join(f"e_{i}: {_words(learned[i])}" for i in STARTS[1:]),
            len(worst) == len(learned) and max(worst) < 1.0,
            "neither start is learned at all in so few samples",
            paper="ASGD can outperform SGD if the error is mostly in the subspace of small eigenvalues",
            chosen="starts, average, and the " + RATE,
            turns="in fewer samples neither method has learned the direction: "
            + "; ".join(f"e_{i}: {_words(early[i])}" for i in STARTS[1:])
            + "".join(f"; below 1 from N = {_from(sizes, total[i])} on for e_{i}" for i in STARTS[1:]),
        ),
        _table_claim(data),
        Claim(
            "sampled runs have the exact risk as their mean",
            "z = (sampled mean - exact) / standard error",
            "|z| < 4 for every start, method and N",
            f"at most {np.abs(scores).max():.2f} of {scores.size}",
            bool(np.abs(scores).max() < 4.0),
            own=True,
        ),
    ]


def _words(ratio: FloatArray) -> str:
    if not ratio.size:
        return "no N"
    low, high = f"{ratio.min():.3f}", f"{ratio.max():.3f}"
    return low if low == high else f"{low} .. {high}"


def _from(sizes: npt.NDArray[np.int64], ratio: FloatArray) -> str:
    """The smallest N from which on the ratio stays below 1."""
    above = np.flatnonzero(ratio >= 1.0)
    later = sizes[above[-1] + 1 :] if above.size else sizes
    return f"{later[0]:,}" if later.size else "none"


def _ratio(data: Data, start: int, parts: tuple[str, ...]) -> FloatArray:
    """ASGD / SGD by N."""
    one, two = (sum(column(data["ends"], key, start=start, method=name) for key in parts) for name in METHODS)
    return np.asarray(two / one)


def _table_claim(data: Data) -> Claim:
    wrong, count = [], 0
    for (n, start), given in REFERENCE.items():
        found = [
            float(value[0])
            for name in METHODS
            for key in ("bias", "variance")
            if (value := column(data["ends"], key, N=n, start=start, method=name)).size
        ]
        count += len(found)
        for ours, theirs in zip(found, given, strict=False):
            if f"{ours:.2e}" != f"{theirs:.2e}":
                wrong.append((n, start))
    return Claim(
        "bias and variance are those of an independent recursion, to three digits",
        "recursion of all second moments of (w, u)",
        "20 of 20",
        f"{count - len(wrong)} of {count}",
        count == 20 and not wrong,
        "another size, or another recursion",
        own=True,
    )


FIGURES = [
    Reproduction(
        "li2024-directions",
        "SGD against ASGD for errors along large and small eigenvalues",
        PAPER,
        2024,
        "One-pass Gaussian regression, d = 2,000, lam_i = i^-2, sigma^2 = 0.01, starts e_1, 10 e_10 and 30 e_30;"
        " average of iterates N/2 .. N (above), its ratio (middle; grey: not yet learned), last iterate"
        " (below). Lines: exact expectation; bars, bands and dotted lines: 32 sampled runs (full: 128).",
        compute,
        draw,
        claims,
        chosen=CHOSEN,
        seconds=4.0,
    )
]
