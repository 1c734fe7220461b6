"""Dremov et al. 2025 (arXiv 2508.01483): cooldown shapes by bias and variance, on a river valley of either slope.

On linear regression: `figures.dremov2025_regression`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from simlab.figures.columns import stack
from simlab.figures.papers.cooldowns import (
    ALPHAS,
    BEST,
    DEFINITION,
    PAPER,
    REST,
    SHAPES,
    draw_plane,
    lowered_claim,
    order_claim,
    sampled_claim,
)  # fmt: skip
from simlab.figures.reproduction import Claim, Data, Reproduction, Scale, column
from simlab.theory.wen2024_decay import river_variance_lower

from simlab import methods, river, schedules
from simlab.arrays import FloatArray
from simlab.engines.descend import descend
from simlab.engines.exact_valley import exact_valley
from simlab.landscapes.straight import StraightValley
from simlab.plot import DASHES, WIDTH, new_figure, style
from simlab.plot.terrain import RUNS

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from simlab.schedules import Schedule

STEPS, PEAK, DIM = 60, 0.5, 200
FALLS = (0.0, 2e-4)
"""Loss gained along the river per unit of learning rate: the slope squared."""
PRINTED = {
    "linear": (79.1, 49.1, 1.80),
    "cosine": (83.9, 53.9, 1.96),
    "1-sqrt": (74.5, 54.5, 1.40),
    "square": (87.5, 47.5, 2.35),
    "mirror": (78.8, 48.8, 2.01),
    "low.7": (73.9, 52.9, 1.50),
    "low.5": (73.0, 58.0, 1.28),
    "low.3": (76.5, 67.5, 1.11),
    "inv.1": (72.9, 57.5, 1.11),
    "inv.01": (102.2, 99.4, 3.18),
}
"""From a recursion written apart: loss x 1e4 at either slope, one hill's variance over the least possible."""
MODEL = "SGD on a straight valley for AdamW on a language model"
RECURSION = "E w_i^2 <- (1 - eta lam_i)^2 E w_i^2 + eta^2 sigma_i^2, loss sum lam_i E w_i^2 / 2 - fall sum eta"


def rates(sampled_at: float = 0.5) -> dict[str, Schedule]:
    """Cooldowns of all shapes at u = (j + sampled_at) / n: the table takes the middle of each step."""
    u = (np.arange(STEPS) + sampled_at) / STEPS
    return {name: schedules.from_array(PEAK * shape(u)) for name, shape in SHAPES.items()}


def valley(fall: float) -> StraightValley:
    """The valley of the table, hills at the root of their stationary variance: the checkpoint."""
    lam = 1.0 / np.arange(1.0, DIM + 1.0)
    checkpoint = np.sqrt(PEAK * 0.02 / (2.0 - PEAK * lam))
    return StraightValley(lam, slope=float(np.sqrt(fall)), noise=0.02 * lam, hill_start=checkpoint)


def split(fall: float, runs: dict[str, Schedule]) -> dict[str, npt.NDArray[Any]]:
    """Bias and variance x 1e4 of every run, exactly, and its sum of learning rates."""
    named = {name: methods.sgd(schedule) for name, schedule in runs.items()}
    end = exact_valley(valley(fall), named, record=2, progress=False).isel(step=-1)
    bias = end["hill_bias"].sum("subspace") + end["river_loss"] + fall * PEAK * STEPS
    variance = (end["hill_loss"] - end["hill_bias"]).sum("subspace")
    return {
        "shape": np.array(list(runs)),
        "bias": 1e4 * bias.values,
        "variance": 1e4 * variance.values,
        "loss": 1e4 * end["total"].values,
        "sum_lr": np.array([schedule.total() for schedule in runs.values()]),
    }


def compute(scale: Scale) -> Data:
    replicas = {"tiny": 16, "quick": 512, "full": 8192}[scale]
    u = (np.arange(STEPS) + 0.5) / STEPS
    family = {f"{alpha:g}": schedules.from_array(PEAK * alpha * (1.0 - u)) for alpha in ALPHAS}
    table, half, lowered, sampled = [], [], [], []
    for fall in FALLS:
        table.append({"fall": fall, **split(fall, rates())})
        half.append({"fall": fall, **split(fall, rates(0.0))})
        lowered.append({"fall": fall, **split(fall, family)})
        sampled += _sampled(fall, replicas)
    return {
        "table": stack(table),
        "from_the_peak": stack(half),
        "lowered": stack(lowered),
        "sampled": stack(sampled),
        "one_hill": _one_hill(),
    }


def _sampled(fall: float, replicas: int) -> list[dict[str, Any]]:
    """Cooldowns repeated from the checkpoint with fresh noise, as one would measure them."""
    landscape = valley(fall).landscape()
    noise = river.noise.diagonal(np.append(0.0, np.sqrt(valley(fall).noise)))
    out = []
    for j, (name, schedule) in enumerate(rates().items()):
        # Draws of their own: shapes on the same draws would be off in the same direction.
        seed = FALLS.index(fall) * len(SHAPES) + j
        trace = descend(
            landscape, methods.sgd(schedule), replicas=replicas, seed=seed, noise=noise, record=2, paths=True,
            progress=False,
        )  # fmt: skip
        final = trace["iterate"].values[-1]
        got = river.bias_variance(landscape, final, best=-fall * PEAK * STEPS)
        numbers = {key: 1e4 * getattr(got, key) for key in ("bias", "variance", "bias_error", "variance_error")}
        out.append({"fall": fall, "shape": name, "runs": replicas, **numbers})
    return out


def _one_hill(share: float = 0.2) -> dict[str, npt.NDArray[Any]]:
    """Variance of one hill, peak times curvature = share, over the least that any schedule leaves."""
    lam = share / PEAK
    v0 = PEAK * 0.02 / (2.0 - share)
    least = float(river_variance_lower(lam, 0.02 * lam, v0, STEPS))
    hill = StraightValley([lam], slope=0.0, noise=0.02 * lam, hill_start=float(np.sqrt(v0)))
    named = {name: methods.sgd(schedule) for name, schedule in rates().items()}
    end = exact_valley(hill, named, record=2, progress=False).isel(step=-1)
    ratio = 2.0 * end["hill_loss"].sum("subspace").values / lam / least
    return {"shape": np.array(list(named)), "ratio": ratio}


# -- picture -----------------------------------------------------------------------------------------------------------


def draw(data: Data) -> Figure:
    with style():
        figure = new_figure(WIDTH, 3.3)
        panels = figure.subplots(1, 3)
        for tag, axes, fall in zip("ab", panels, FALLS, strict=False):
            draw_plane(axes, data, {"fall": fall}, "loss × 10$^4$")
            axes.set_title(f"({tag}) river falling by {fall:g} per lr" if fall else f"({tag}) flat river")
        _draw_slopes(panels[2], data)
        handles, labels = panels[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=8, columnspacing=1.2)
    return figure


def _draw_slopes(axes: Axes, data: Data) -> None:
    """Loss against that of the linear cooldown over slopes: straight lines, for the river counts the sum of rates."""
    falls = np.linspace(0.0, 4e-4, 41)
    lines = {name: losses_over(data, name, falls) for name in SHAPES if name != "inv.01"}
    for j, (name, loss) in enumerate(lines.items()):
        low = name.startswith("low.")
        shown = [other for other in lines if not other.startswith("low.")]
        look = {"color": "0.3", "ls": DASHES[1 + j % 4], "zorder": 5} if low else {"color": RUNS[shown.index(name)]}
        axes.plot(1e4 * falls, loss - lines["linear"], lw=0.9 if low else 1.3, **look)
        if low:
            gap = loss - lines["linear"]
            at = int(np.argmin(np.abs(gap - {"low.7": 8.0, "low.5": 16.5, "low.3": 11.0}[name])))
            white = {"boxstyle": "square,pad=0.1", "fc": "white", "ec": "none"}
            word = "low.5 on inv.1" if name == "low.5" else name
            axes.text(
                1e4 * falls[at], gap[at], word, fontsize=6, zorder=6, color="0.3", ha="center", va="center", bbox=white
            )
    axes.set(
        title="(c) loss minus linear's",
        xlabel="fall of the river per lr × 10$^4$",
        ylabel="difference of loss × 10$^4$",
    )
    axes.set_ylim(-9.0, 20.0)


def losses_over(data: Data, shape: str, falls: FloatArray) -> FloatArray:
    """Loss x 1e4 of a shape at other slopes: hills as on the flat river, minus fall times the sum of rates."""
    flat, total = (column(data["table"], key, fall=0.0, shape=shape)[0] for key in ("loss", "sum_lr"))
    out: FloatArray = flat - 1e4 * falls * total
    return out


# -- claims ------------------------------------------------------------------------------------------------------------


def published_up_to(data: Data) -> float:
    """Fall of the river up to which 1-sqrt and low.7 lie below linear, cosine, square and mirror."""
    table = data["table"]
    flat, total = (
        {name: float(column(table, key, fall=0.0, shape=name)[0]) for name in SHAPES} for key in ("loss", "sum_lr")
    )
    ends = [
        (flat[other] - flat[best]) / (1e4 * (total[other] - total[best]))
        for best in BEST
        for other in REST
        if total[other] > total[best]
    ]
    return min(ends)


def winners(data: Data, most: float = 4e-4) -> list[tuple[float, str]]:
    """The shape of least loss and the fall from which on it is that, along growing slopes."""
    falls = np.linspace(0.0, most, 40_001)
    names = list(SHAPES)
    best = np.argmin([losses_over(data, name, falls) for name in names], axis=0)
    turns = np.flatnonzero(np.diff(best, prepend=-1))
    return [(float(falls[at]), names[best[at]]) for at in turns]


def _table_claim(data: Data, place: int, where: str) -> Claim:
    """Losses against the table that a recursion written apart gave."""
    loss = dict(zip(SHAPES, column(data["table"], "loss", fall=FALLS[place]).tolist(), strict=True))
    printed = {name: row[place] for name, row in PRINTED.items()}
    off = max(abs(loss[name] - value) for name, value in printed.items())
    same = sorted(SHAPES, key=loss.__getitem__) == sorted(SHAPES, key=printed.__getitem__)
    least = min(loss, key=loss.__getitem__)
    return Claim(
        f"losses of the ten shapes as from a recursion written apart: {where}",
        RECURSION,
        "loss x 1e4 to the first decimal and in the same order",
        f"largest difference {off:.3f}, order {'the same' if same else 'another'}, {least} first",
        off <= 0.05 + 1e-9 and same,
        reason="engine and recursion differ",
        own=True,
    )


def claims(data: Data) -> list[Claim]:
    losses = [dict(zip(SHAPES, column(data["table"], "loss", fall=fall).tolist(), strict=True)) for fall in FALLS]
    half = [dict(zip(SHAPES, column(data["from_the_peak"], "loss", fall=f).tolist(), strict=True)) for f in FALLS]
    turn, best = published_up_to(data), winners(data)
    ratio = dict(zip(SHAPES, column(data["one_hill"], "ratio").tolist(), strict=True))
    far = max(SHAPES, key=lambda name: abs(ratio[name] - PRINTED[name][2]))
    lowered = [{key: column(data["lowered"], key, fall=fall) for key in ("bias", "variance")} for fall in FALLS]
    spans = ", ".join(f"{name} from {fall:.1e}" if fall else name for fall, name in best)
    from_peak = [min(loss, key=loss.__getitem__) for loss in half]
    turns = f"the published order holds for rivers that fall by up to {turn:.1e} per unit of learning rate"
    steep = "on a steep river the sum of learning rates decides, which is larger for the shapes that stay high for long"
    return [
        order_claim(losses[0], "flat river", MODEL, steep, turns),
        order_claim(losses[1], "river falling by 2e-4", MODEL, steep, turns),
        lowered_claim(lowered, "both slopes", MODEL, 1),
        _table_claim(data, 0, "flat river"),
        _table_claim(data, 1, "river falling by 2e-4"),
        Claim(
            "one hill's variance over the least possible, as from a recursion written apart",
            "the same recursion, peak times curvature 0.2; least: simlab.theory.wen2024_decay.river_variance_lower",
            "each of the ten to 0.01",
            f"largest difference {abs(ratio[far] - PRINTED[far][2]):.4f} ({far})",
            abs(ratio[far] - PRINTED[far][2]) <= 0.01,
            reason="engine and recursion differ",
            own=True,
        ),
        Claim(
            "one shape is best whatever the slope of the river",
            f"{RECURSION}, over falls",
            "the same of the ten wins for falls 0 .. 4e-4",
            spans,
            len(best) == 1,
            reason="the steeper the river, the more a high sum of learning rates is worth",
            turns=f"with schedules that start at the peak itself (u = j/n) {from_peak[0]} on the flat river,"
            f" {from_peak[1]} on the sloped one",
            own=True,
        ),
        sampled_claim(data["sampled"], data["table"], "slopes"),
    ]


FIGURES = [
    Reproduction(
        "dremov2025-valley",
        "Cooldown shapes in the bias-variance plane, and how their order depends on the river",
        PAPER,
        2025,
        "A straight valley: 200 hills of curvature 1/i, noise variance 0.02/i, stationary at the peak 0.5 (cap"
        " 2/lam_max = 2); 60 steps of cooldown, u at the middle of each step; bias + variance is the loss above that of"
        " a run that keeps the peak on a river without hills. Exact; over it cooldowns repeated from the checkpoint"
        " (quick: 512, full: 8,192). Dashed: equal bias + variance; ringed: the least.",
        compute,
        draw,
        claims,
        chosen=("the valley, its noise and slopes", DEFINITION, "nothing is said about beta_2 of Adam"),
        substituted=(MODEL,),
        seconds=1.5,
    ),
]
