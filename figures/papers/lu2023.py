"""Lu, Wu, Yang and Zou 2023 (arXiv 2310.17074): large rates that oscillate learn the weak feature, on a reduced model.

f = 4 u^2 [strong feature present] + v^2 is to be 1 on every point; the weak feature is in all of them, the strong one
in a share of them. Tests have the weak feature alone: f = v^2.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from simlab.figures.columns import first, stack
from simlab.figures.reproduction import Claim, Data, Reproduction, Scale, column

from simlab.arrays import FloatArray
from simlab.plot import DASHES, PALETTE, WIDTH, new_figure, style

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["FIGURES", "learned"]

PAPER = "Lu, Wu, Yang, Zou 2023, arXiv 2310.17074, ICLR 2024"
START = (0.1, 0.05)
"""u and v at the start."""
STRENGTH = 4.0
EDGE = 2.0 / (4.0 * STRENGTH)
"""2 over the curvature 4 x strength of the loss where u alone fits."""
SHARES = (1.0, 0.9, 0.5)
SHOWN = (0.05, 0.12, 0.14, 0.2)
CHOSEN = "u = 0.1, v = 0.05 at the start; a strong feature four times the weak one; shares 1, 0.9, 0.5"
REDUCED = "two numbers (a strong and a weak feature, quadratic activation) in place of the two-layer CNN"


def learned(rates: npt.ArrayLike, steps: int, share: float = 1.0) -> FloatArray:
    """(u, v) at steps 0 .. T by gradient descent on the mean loss, shape (.., T + 1, 2); NaN once it has diverged.

    rates : of every step, shape (.., T), or one for all, shape (..,).
    """
    lr = np.asarray(rates, dtype=np.float64)
    lr = np.broadcast_to(lr[..., None], (*lr.shape, steps)) if lr.ndim < 2 else lr
    u, v = (np.full(lr.shape[:-1], value) for value in START)
    path = [np.stack([u, v], axis=-1)]
    for t in range(steps):
        both, weak = STRENGTH * u**2 + v**2 - 1.0, v**2 - 1.0
        push = lr[..., t]
        alive = np.abs(u) < 1e3
        u, v = (
            np.where(alive, u - push * share * both * 2.0 * STRENGTH * u, np.nan),
            np.where(alive, v - push * (share * both + (1.0 - share) * weak) * 2.0 * v, np.nan),
        )
        u, v = (np.nan_to_num(x, nan=np.inf) for x in (u, v))
        u, v = (np.where(np.isfinite(x), x, 1e3) for x in (u, v))
        path.append(np.stack([u, v], axis=-1))
    return np.stack(path, axis=-2)


def compute(scale: Scale) -> Data:
    """ends: v by rate and share; paths: four runs of share 1; phases: a low rate after a high one."""
    steps, points = {"tiny": (200, 12), "quick": (3_000, 60), "full": (30_000, 240)}[scale]
    rates = np.linspace(0.01, 0.24, points)
    ends = []
    for share in SHARES:
        path = learned(rates, steps, share)
        late = path[:, 50:150]
        fit = STRENGTH * late[..., 0] ** 2 + late[..., 1] ** 2
        row = {"weak": path[:, -1, 1], "swing": fit.max(axis=1) - fit.min(axis=1)}
        ends.append({"share": share, "rate": rates, **row})
    shown = learned(np.array(SHOWN), 400)
    paths = [
        {"rate": rate, "step": np.arange(401), "strong": STRENGTH * shown[i, :, 0] ** 2, "weak": shown[i, :, 1] ** 2}
        for i, rate in enumerate(SHOWN)
    ]
    high, low = np.full(steps, 0.14), np.full(steps, 0.05)
    plans = {
        "high": high,
        "low": low,
        "high, then low": np.concatenate([high[: steps // 2], low[steps // 2 :]]),
    }
    last = learned(np.stack(list(plans.values())), steps)[:, -1]
    left = 0.5 * (STRENGTH * last[:, 0] ** 2 + last[:, 1] ** 2 - 1.0) ** 2
    phases = {"plan": list(plans), "weak": last[:, 1], "loss": left}
    return {"ends": stack(ends), "paths": stack(paths), "phases": stack([phases])}


def draw(data: Data) -> Figure:
    with style():
        figure = new_figure(WIDTH, 2.6)
        panels = figure.subplots(1, 3)
        for i, rate in enumerate(first(data["paths"]["rate"])):
            step, strong, weak = (column(data["paths"], key, rate=rate) for key in ("step", "strong", "weak"))
            panels[0].plot(step[:80], strong[:80], color=PALETTE[i], ls=DASHES[i], lw=0.9)
            panels[1].plot(step, weak, color=PALETTE[i], ls=DASHES[i], label=f"rate {rate:g}")
        panels[0].set(xlabel="step", ylabel="strong part of f, $4u^2$", title="(a) strong feature everywhere")
        panels[1].set(xlabel="step", ylabel="weak part of f, $v^2$", title="(b) the same runs")
        panels[1].legend()
        for i, share in enumerate(SHARES):
            rate, weak = (column(data["ends"], key, share=share) for key in ("rate", "weak"))
            label = f"strong in {share:.0%}"
            panels[2].plot(rate, weak**2, color=PALETTE[3 + i], marker=".", ms=3, ls=DASHES[i], label=label)
        panels[2].axvline(EDGE, color="0.4", lw=0.8, ls=":")
        panels[2].set(xlabel="learning rate", ylabel="$v^2$ at the end", title="(c) dotted: 2/curvature", ylim=(0, 1.1))
        panels[2].legend(loc="center left", bbox_to_anchor=(0.0, 0.6))
    return figure


def claims(data: Data) -> list[Claim]:
    given: dict[str, Any] = {"chosen": CHOSEN, "substituted": REDUCED}
    rate, weak, swing = (column(data["ends"], key, share=1.0) for key in ("rate", "weak", "swing"))
    small, large = rate < 0.95 * EDGE, (rate > 1.05 * EDGE) & (rate < 0.2)
    learnt = weak > 2.0 * weak[0]
    edges = rate[large] * (4.0 * STRENGTH - 4.0 * (STRENGTH - 1.0) * weak[large] ** 2)
    edge = float(rate[learnt].min()) if learnt.any() else np.nan
    phase = {plan: column(data["phases"], "weak", plan=plan)[0] for plan in first(data["phases"]["plan"])}
    loss = {plan: column(data["phases"], "loss", plan=plan)[0] for plan in phase}
    rest = {share: column(data["ends"], "weak", share=share) for share in SHARES[1:]}
    alone = {share: column(data["ends"], "rate", share=share) < 0.95 * EDGE for share in SHARES[1:]}
    least = {share: float(rest[share][alone[share]].min()) for share in rest}
    return [
        Claim(
            "a small rate learns the strong feature alone",
            "abstract",
            "v at the end below 0.1 at rates to 0.95 of 2/curvature, strong feature everywhere",
            f"at most {weak[small].max():.3f}, from {START[1]}",
            bool(weak[small].max() < 0.1),
            "the weak feature is learned before the strong one fits",
            paper="small rates miss the weak feature",
            **given,
        ),
        Claim(
            "a large rate oscillates and learns the weak feature",
            "abstract",
            "v at the end at least three times that of the smallest rate, at rates from 1.05 of 2/curvature to 0.2",
            f"{weak[large].min():.2f} .. {weak[large].max():.2f}; f swings by up to {swing[large].max():.2f}",
            bool(weak[large].min() >= 3.0 * weak[0]),
            "so few steps do not move it",
            paper="oscillation helps the weak feature",
            turns=f"v doubles from a rate of {edge:.3f} on; 2/curvature is {EDGE:.3f}",
            **given,
        ),
        Claim(
            "it takes a large rate where the strong feature is in a part of the data only, too",
            "abstract: strong features in a fraction of the data",
            "v below 0.5 at rates to 0.95 of 2/curvature, shares 0.9 and 0.5",
            ", ".join(f"at least {value:.2f} (share {share:g})" for share, value in least.items()),
            all(value < 0.5 for value in least.values()),
            "points without the strong feature teach the weak one at any rate; in the paper noise is memorised instead,"
            " which two numbers cannot",
            paper="strong features in a fraction of the data",
            turns="between shares of 0.9 and 1",
            **given,
        ),
        Claim(
            "what oscillation has learned a low rate keeps",
            "rates 0.14 and 0.05, half of the run each",
            "v after both at least three times that of the low rate alone, at a loss below 1e-6",
            "; ".join(f"{plan}: v = {phase[plan]:.3f}, loss {loss[plan]:.0e}" for plan in phase),
            phase["high, then low"] >= 3.0 * phase["low"] and loss["high, then low"] < 1e-6,
            "so few steps do not tell",
            own=True,
        ),
        Claim(
            "oscillation ends where the weak feature has lowered the curvature to 2 over the rate",
            "curvature where f = 1: 64 u^2 + 4 v^2 = 16 - 12 v^2",
            "rate x curvature at the end 1.9 .. 2, at rates from 1.05 of 2/curvature to 0.2",
            f"{edges.min():.3f} .. {edges.max():.3f}",
            bool(edges.min() >= 1.9 and edges.max() <= 2.0),
            "the run is too short, or jumps past the edge",
            own=True,
        ),
    ]


FIGURES = [
    Reproduction(
        "lu2023-oscillation",
        "Oscillation at large rates learns a weak feature",
        PAPER,
        2023,
        "f = 4 u^2 (if the strong feature is there) + v^2, target 1, mean squared loss; 3,000 steps (full: 30,000) of"
        " gradient descent at rates 0.01 .. 0.24 from u = 0.1, v = 0.05, strong feature in 100, 90 and 50 % of points.",
        compute,
        draw,
        claims,
        chosen=(CHOSEN,),
        substituted=(REDUCED,),
        seconds=0.5,
    )
]
