"""Collins-Woodfin, Seroussi, García Malaxechebarría, Mackenzie, Paquette, Paquette 2024: the High Line (2405.19585).

SGD whose learning rate follows the run, on least squares in many dimensions. Their step is gamma / d and their time
t = step / d; lr = gamma / d here, and the rate is closed over exact moments.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from simlab.figures.columns import first, stack
from simlab.figures.reproduction import Claim, Data, Reproduction, Scale, column

import simlab as sl
from simlab.arrays import FloatArray
from simlab.plot import DASHES, PALETTE, WIDTH, new_figure, style

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["FIGURES", "PAPER", "closed", "two_levels"]

PAPER = "Collins-Woodfin, Seroussi, García Malaxechebarría, Mackenzie, Paquette and Paquette 2024, arXiv 2405.19585"
RULES = {"line search": sl.feedback.line_search(), "Polyak": sl.feedback.polyak()}


def closed(feedback: Any, steps: int) -> sl.methods.Method:
    """SGD of batch 1 whose rate is fed back."""
    return sl.methods.closed_loop(sl.methods.sgd(sl.schedules.constant(steps, 1.0)), feedback)


def two_levels(dim: int, low: float) -> sl.LinearRegression:
    """Half of the eigenvalues 1, half `low`, |w_0 - w*| = 1 with equal shares, no label noise."""
    values = np.repeat([1.0, low], dim // 2)
    return sl.LinearRegression(values, np.full(dim, dim**-0.5), 0.0)


def limiting_rate(low: float) -> float:
    """What the rate of exact line search tends to for eigenvalues 1 and `low` in equal halves (authors' code)."""
    l1, l2 = 1.0, low
    root = l1**6 - 4 * l1**5 * l2 + 8 * l1**4 * l2**2 - 6 * l1**3 * l2**3 + l2**6 - 4 * l2**5 * l1 + 8 * l2**4 * l1**2
    head = l1**3 + 2 * l1**2 * l2 + l2**3 + 2 * l2**2 * l1
    return float((head - np.sqrt(root)) / (l1**2 + l2**2) ** 2)


# -- line search -------------------------------------------------------------------------------------------------------


def compute_line_search(scale: Scale) -> Data:
    """curves: gamma and risk over t of both rules, by the smaller eigenvalue."""
    dim, time, levels = {
        "tiny": (16, 10, (1, 3)),
        "quick": (64, 40, (1, 2, 3, 4, 5)),
        "full": (400, 60, (1, 2, 3, 4, 5)),
    }[scale]
    table = []
    for k in levels:
        low, steps = 2.0**-k, time * dim
        methods = {name: closed(rule, steps) for name, rule in RULES.items()}
        trace = sl.limit(two_levels(dim, low), methods, record="linear", progress=False).dataset
        for name in RULES:
            part = trace.sel(run=name)
            step, rate = part["step"].values[:-1], part["rate"].values[:-1] * dim
            risk = part["risk"].sum(("component", "subspace")).values[:-1]
            table.append({"low": low, "rule": name, "dim": dim, "t": step / dim, "gamma": rate, "risk": risk})
    return {"curves": stack(table)}


def draw_line_search(data: Data) -> Figure:
    table = data["curves"]
    lows = first(table["low"])
    with style():
        figure = new_figure(WIDTH, 2.7)
        rates, risks = figure.subplots(1, 2)
        for colour, low in zip(PALETTE, lows, strict=False):
            for name, dashes in zip(RULES, DASHES, strict=False):
                here = {"low": low, "rule": name}
                t = column(table, "t", **here)
                label = rf"$\lambda_2 = 1/{1 / low:.0f}$" if name == "line search" else None
                rates.plot(t, column(table, "gamma", **here), color=colour, ls=dashes, label=label)
                risks.plot(t, column(table, "risk", **here), color=colour, ls=dashes)
            rates.axhline(limiting_rate(low), color=colour, lw=0.8, ls=":")
        for name, dashes in zip(("exact line search", "Polyak"), DASHES, strict=False):
            risks.plot([], [], color="0.3", ls=dashes, label=name)
        risks.plot([], [], color="0.3", lw=0.8, ls=":", label="limit of the rate (formula)")
        rates.set(
            xlabel="time $t$ = step / $d$", ylabel=r"$\gamma$ = $d$ x learning rate", ylim=(0.0, 2.2), title="(a)"
        )
        risks.set(xlabel="time $t$ = step / $d$", ylabel="excess risk", yscale="log", title="(b)")
        figure.legend(loc="outside lower center", ncols=4)
    return figure


def _decay(data: Data, low: float, rule: str) -> float:
    """Of log risk per unit of time, over the last half of the run above what rounding leaves."""
    t, risk = (column(data["curves"], name, low=low, rule=rule) for name in ("t", "risk"))
    use = (t >= 0.5 * t[risk > 1e-25][-1]) & (risk > 1e-25)
    return -float(np.polyfit(t[use], np.log(risk[use]), 1)[0])


def claims_line_search(data: Data) -> list[Claim]:
    table = data["curves"]
    lows, dim = first(table["low"]), int(np.asarray(table["dim"])[0])
    ends = np.array([column(table, "gamma", low=low, rule="line search")[-1] for low in lows])
    formula = np.array([limiting_rate(low) for low in lows])
    off = ends / formula - 1.0
    floor = np.array([low / (0.5 * (1.0 + low**2)) for low in lows])
    slower = np.array([_decay(data, low, "Polyak") / _decay(data, low, "line search") for low in lows])
    shown = ", ".join(f"1/{1 / low:.0f}" for low in lows)
    return [
        Claim(
            "the rate of exact line search tends to the closed form for two eigenvalues",
            "abstract; the formula is that of the authors' code",
            f"within 3 / d of it, d = {dim}, at every lam_2",
            f"lam_2 = {shown}: gamma = {_list(ends)} against {_list(formula)}; off by {_list(off * dim, 2)} / d",
            bool(np.all(np.abs(off) <= 3.0 / dim)),
            "the run is too short for the rate to settle",
            paper="the limiting rate is characterised exactly for two distinct eigenvalues",
        ),
        Claim(
            "it lies between 1 and 2 times lam_min / (tr K^2 / d)",
            "authors' bounds on the rate of line search",
            f"from 1 to 2 within 3 / d at every lam_2, and rising as lam_2 falls; d = {dim}",
            _list(ends / floor),
            bool(np.all((ends >= floor) & (ends <= (2.0 + 6.0 / dim) * floor)) and np.all(np.diff(ends / floor) > 0.0)),
            "a rate is outside",
        ),
        Claim(
            "exact line search can be arbitrarily slower than a good constant rate",
            "abstract; Polyak's rate without noise is nearly the constant 1 / (tr K / d)",
            "log risk under Polyak falls faster at every lam_2, by a factor that about doubles with each halving",
            f"lam_2 = {shown}: {_list(slower)} times as fast",
            bool(np.all(slower > 1.0) and np.all(slower[2:] / slower[1:-1] >= 1.6)),
            "the factor does not grow",
            paper="can exhibit arbitrarily slower convergence when compared to the optimal fixed learning rate",
        ),
    ]


# -- AdaGrad-norm ------------------------------------------------------------------------------------------------------

START = 0.3
"""Their b_0."""
SOURCES = (1.3, 1.6, 2.05, 2.8, 3.0)
"""Up to b = 2 a, beyond which the noise of SGD itself sets the exponent of the risk, 1/a - 2."""
CAPACITY = 1.5
ZETA = 2.612375
"""tr H = zeta(1.5)"""
MEANS, DISTANCES = (0.25, 1.0, 4.0), (1.0, 3.0)


def compute_adagrad(scale: Scale) -> Data:
    """concentration: risk sampled and closed; tails: noiseless power laws; constants: rates that tend to a constant."""
    dims, time, replicas, most, settle = {
        "tiny": ((16, 32), 4, 8, 200, 2),
        "quick": ((64, 256), 10, 60, 3_000, 16),
        "full": ((256, 1_024), 10, 30, 20_000, 20),
    }[scale]
    return {
        "concentration": stack([_concentration(dim, time, replicas) for dim in dims]),
        "tails": stack([_tail(source, most) for source in SOURCES]),
        "constants": stack([_constant(mean, distance, settle) for mean in MEANS for distance in DISTANCES]),
    }


def _concentration(dim: int, time: int, replicas: int) -> dict[str, Any]:
    """Isotropic features, noise variance 1, |w_0 - w*| = 1: risk of the closed loop, and of sampled runs."""
    problem = sl.LinearRegression(np.ones(dim), np.full(dim, dim**-0.5), 1.0)
    method = closed(sl.feedback.adagrad_norm(1.0, START * dim), time * dim)
    at = np.unique(np.linspace(0, time * dim, 41).astype(int))
    known = sl.limit(problem, method, record=at, progress=False)
    seen = sl.sample(
        problem, method, basis="eigen", replicas=replicas, record=at, seed=1, split=False, quantiles=(0.1, 0.5, 0.9),
        progress=False,
    )  # fmt: skip
    low, high = (seen.dataset["risk_quantile"].sel(quantile=q).squeeze().values for q in (0.1, 0.9))
    return {
        "dim": dim, "t": at / dim, "closed": known.total().values, "sampled": seen.total().values, "low": low,
        "high": high,
    }  # fmt: skip


def _tail(source: float, steps: int) -> dict[str, Any]:
    """lam_i = i^-1.5, lam_i e_i^2 = i^-source, no noise: rate and risk over the steps."""
    problem = sl.LinearRegression.power_law(10**8, CAPACITY, source, noise_variance=0.0).compress(1e-6)
    trace = sl.limit(problem, closed(sl.feedback.adagrad_norm(1.0, 1.0), steps), record=120, progress=False)
    rate, step, kept = trace.dataset["rate"].values, trace.dataset["step"].values, slice(1, -1)
    # |g|^2 of a batch of one is tr H (x . e)^2 but for what a mode has in common with it.
    squares = 2.0 * ZETA * np.trapezoid(trace.total().values[:-1], step[:-1])
    return {
        "source": source, "step": step[kept], "rate": rate[kept], "risk": trace.total().values[kept],
        "own": (1.0 + squares) ** -0.5,
    }  # fmt: skip


def _constant(mean: float, distance: float, time: int) -> dict[str, Any]:
    """Eigenvalues from half to one and a half of their mean, no noise: where the rate ends."""
    dim = 40
    values = mean * np.linspace(1.5, 0.5, dim)
    problem = sl.LinearRegression(values, np.full(dim, distance * dim**-0.5), 0.0)
    steps = int(time * dim / min(mean, 1.0))
    trace = sl.limit(
        problem, closed(sl.feedback.adagrad_norm(1.0, START * dim), steps), record=[steps - 1], progress=False
    )
    return {"mean": mean, "distance": distance, "gamma": dim * trace.dataset["rate"].values[-2]}


def _slopes(data: Data, source: float) -> tuple[float, float]:
    """Exponents of rate and risk over the last decade of steps."""
    step, rate, risk = (column(data["tails"], name, source=source) for name in ("step", "rate", "risk"))
    use = step >= 0.1 * step[-1]
    return tuple(float(np.polyfit(np.log(step[use]), np.log(y[use]), 1)[0]) for y in (rate, risk))  # type: ignore[return-value]


def _kappa(source: FloatArray) -> FloatArray:
    return 2.0 - (source - 1.0) / CAPACITY


def _theory(kappa: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Exponents of rate and risk: a constant and t^(kappa - 2) below kappa = 1; beyond, what lr follows from itself."""
    slow = np.maximum(kappa, 1.0)
    return 1.0 / slow - 1.0, np.where(kappa < 1.0, kappa - 2.0, 1.0 - 2.0 / slow)


def draw_adagrad(data: Data) -> Figure:
    with style():
        figure = new_figure(WIDTH, 2.8)
        bands, constants, tails = figure.subplots(1, 3)
        table = data["concentration"]
        for colour, dim in zip(PALETTE[1:], first(table["dim"]), strict=False):
            t, low, high = (column(table, name, dim=dim)[1:] for name in ("t", "low", "high"))
            bands.fill_between(t, low, high, color=colour, alpha=0.35, lw=0, label=f"$d$ = {dim:,}: 80 % of runs")
        largest = first(table["dim"])[-1]
        t, risk = (column(table, name, dim=largest)[1:] for name in ("t", "closed"))
        bands.plot(t, risk, color="black", label="closed loop")
        bands.set(xlabel="time $t$ = step / $d$", ylabel="excess risk", title="(a) noise 1")
        for colour, dashes, distance in zip(PALETTE, DASHES, DISTANCES, strict=False):
            mean, gamma = (column(data["constants"], name, distance=distance) for name in ("mean", "gamma"))
            label = rf"$|w_0 - w^*|$ = {distance:g}"
            constants.plot(mean, gamma, "o", ls=dashes, ms=4, color=colour, label=label)
        constants.plot(mean, 1.0 / mean, color="0.3", lw=0.8, ls=":", label=r"$1 / \overline{\lambda}$")
        constants.set(xscale="log", yscale="log", xlabel=r"mean eigenvalue $\overline{\lambda}$")
        constants.set_xticks(MEANS, [f"{mean:g}" for mean in MEANS])
        constants.set_xticks([], minor=True)
        constants.set(ylabel=r"final $\gamma$", title="(b) no noise, $\\lambda$ > 0")
        sources = np.array(first(data["tails"]["source"]))
        fine = np.linspace(0.3, 1.95, 100)
        found = np.array([_slopes(data, source) for source in sources])
        for j, (name, marker) in enumerate((("learning rate", "o"), ("risk", "s"))):
            tails.plot(fine, _theory(fine)[j], color=PALETTE[j], ls=DASHES[j], label=f"{name}: theory")
            tails.plot(_kappa(sources), found[:, j], marker, ms=4, color=PALETTE[j], label=f"{name}: closed loop")
        tails.axvline(1.0, color="0.3", lw=0.8, ls=":")
        tails.set(xlabel=r"$\kappa$ of the power law", ylabel="exponent in the step", title="(c) no noise, power law")
        for axes in (bands, constants, tails):
            axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.28), fontsize=6)
    return figure


def claims_adagrad(data: Data) -> list[Claim]:
    table = data["concentration"]
    dims = first(table["dim"])
    spread, apart = [], []
    for dim in dims:
        low, high, known, seen = (column(table, name, dim=dim) for name in ("low", "high", "closed", "sampled"))
        late = slice(known.size // 4, None)
        spread.append(float(np.mean((high - low)[late] / known[late])))
        apart.append(float(np.max(np.abs(seen / known - 1.0)[late])))
    shrink = spread[0] / spread[-1]
    wanted = (dims[-1] / dims[0]) ** 0.5
    sources = np.array(first(data["tails"]["source"]))
    kappa = _kappa(sources)
    rate, risk = np.array([_slopes(data, source) for source in sources]).T
    last, own = (np.array([column(data["tails"], n, source=source)[-1] for source in sources]) for n in ("rate", "own"))
    far = np.maximum(np.abs(rate - _theory(kappa)[0]), np.abs(risk - _theory(kappa)[1]))
    slopes = {}
    for distance in DISTANCES:
        mean, gamma = (column(data["constants"], name, distance=distance) for name in ("mean", "gamma"))
        slopes[distance] = float(np.polyfit(np.log(mean), np.log(gamma), 1)[0])
    return [
        Claim(
            "the risk of AdaGrad-norm concentrates about the deterministic loop as d grows",
            "concentration figure; main theorem",
            f"band of 80 % of runs (d'/d)^(1/2) = {wanted:.1f} times narrower, to 40 %; mean at the largest within 5 %",
            f"d = {dims[0]} to {dims[-1]}: {shrink:.2f} times narrower; mean risk off by at most {apart[-1]:.1%}",
            bool(abs(shrink / wanted - 1.0) <= 0.4 and apart[-1] <= 0.05),
            "too few replicas to see the width of the band",
            paper="bands shrink from d = 2^8 to 2^14",
        ),
        Claim(
            "without noise the rate tends to a constant inversely proportional to the mean eigenvalue",
            "abstract",
            "slope -1 +- 0.05 of log gamma in log mean eigenvalue, from 0.25 to 4, from both starts",
            ", ".join(f"{slope:.3f} from |w_0 - w*| = {distance:g}" for distance, slope in slopes.items()),
            all(abs(slope + 1.0) <= 0.05 for slope in slopes.values()),
            "b_0 and the first steps still decide",
            paper="converges to a deterministic constant inversely proportional to the average eigenvalue",
            chosen="eigenvalues even from 0.5 to 1.5 times their mean",
        ),
        Claim(
            "on power laws the rate stays constant or decays, with a phase transition at kappa = 1",
            "abstract; lr ~ t^(1/kappa - 1), risk ~ t^(1 - 2/kappa) beyond it, risk ~ t^(kappa - 2) before",
            "exponents over the last decade within 0.1, at every kappa; rate at the end within 20 % of (1 + tr H times "
            "the sum of 2 R)^(-1/2)",
            f"rate {_list(last / own, 2)} of that; kappa = "
            + ", ".join(f"{k:.2f}: {a:.3f}, {b:.3f}" for k, a, b in zip(kappa, rate, risk, strict=True)),
            bool(np.all(far <= 0.1) and np.all(np.abs(last / own - 1.0) <= 0.2)),
            "the last decade is not yet in the limit",
            paper="a phase transition when the eigenvalues follow a power law",
            chosen="lam_i = i^-1.5, kappa = 2 - (b - 1)/a by the source exponent b",
            turns="largest distance from theory at kappa = " + f"{kappa[int(np.argmax(far))]:.2f}: {far.max():.3f}",
        ),
    ]


def _list(values: FloatArray, digits: int = 3) -> str:
    return ", ".join(f"{value:.{digits}f}" for value in values)


FIGURES = [
    Reproduction(
        "collinswoodfin2024-linesearch",
        "Exact line search against Polyak's rate",
        PAPER,
        2024,
        "Least squares without noise, half of the eigenvalues 1 and half lam_2 = 2^-k, |w_0 - w*| = 1 in equal shares; "
        "d = 64 and t to 40 (full: their 400 and 60). SGD of batch 1 whose rate is fed back from the exact moments.",
        compute_line_search,
        draw_line_search,
        claims_line_search,
        seconds=3.0,
    ),
    Reproduction(
        "collinswoodfin2024-adagrad",
        "AdaGrad-norm: concentration, limits and a phase transition",
        PAPER,
        2024,
        "AdaGrad-norm, eta = 1, b_0 = 0.3. (a) isotropic features, noise 1, t to 10, d = 64 and 256, 60 runs (full: "
        "256 and 1,024, 30 runs); (b) no noise, d = 40; (c) no noise, lam_i = i^-1.5, 10^8 modes, 3,000 steps (full: "
        "20,000).",
        compute_adagrad,
        draw_adagrad,
        claims_adagrad,
        chosen=("the spectra of (b) and (c)",),
        seconds=3.0,
    ),
]
