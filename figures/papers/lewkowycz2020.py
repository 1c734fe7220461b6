"""Lewkowycz et al. 2020 (arXiv 2003.02218): rates above 2/curvature throw a two-layer linear net to a flatter minimum.

f = u.v/sqrt(n) on one datum with target 0, curvature lam = (|u|^2 + |v|^2)/n: gradient descent on (u, v) closes on two
numbers, exactly,

    f <- f (1 - lr lam + lr^2 f^2/n),    lam <- lam + (lr f^2/n)(lr lam - 4).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from simlab.figures.columns import first, stack
from simlab.figures.reproduction import Claim, Data, Reproduction, Scale, column

from simlab.arrays import FloatArray
from simlab.plot import DASHES, PALETTE, WIDTH, new_figure, style

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["FIGURES", "catapult", "network", "noisy"]

PAPER = "Lewkowycz, Bahri, Dyer, Sohl-Dickstein, Gur-Ari 2020, arXiv 2003.02218"
START = (1.0, 2.0)
"""f and lam of standard Gaussian weights: f of order 1, lam near 2."""
SHOWN = (1.5, 2.5, 3.5, 4.2)
GONE = 1e8
CHOSEN = "f = 1 and lam = 2 at the start"


def catapult(rates: FloatArray, width: int, steps: int, start: tuple[float, float] = START) -> FloatArray:
    """(f, lam) at steps 0 .. T of every rate, shape (rates, T + 1, 2); held where f has passed 10^8."""
    f, lam = (np.full(rates.shape, value) for value in start)
    path = [np.stack([f, lam], axis=-1)]
    for _ in range(steps):
        push = rates * f**2 / width
        alive = np.abs(f) < GONE
        f, lam = (
            np.where(alive, f * (1.0 - rates * lam + rates * push), f),
            np.where(alive, lam + push * (rates * lam - 4.0), lam),
        )
        path.append(np.stack([f, lam], axis=-1))
    return np.stack(path, axis=-2)


def network(rate: float, width: int, steps: int, start: tuple[float, float] = START) -> FloatArray:
    """(f, lam) at every step by gradient descent on the weights themselves, shape (T + 1, 2)."""
    one, other = np.random.default_rng(0).standard_normal((2, width))
    # Weights of this f and lam: u + v and u - v have squared lengths n lam +- 2 sqrt(n) f.
    plus, minus = (
        direction / np.linalg.norm(direction) * np.sqrt(width * start[1] + sign * 2.0 * np.sqrt(width) * start[0])
        for direction, sign in ((one, 1.0), (other - one * (one @ other) / (one @ one), -1.0))
    )
    u, v = 0.5 * (plus + minus), 0.5 * (plus - minus)
    path = []
    for _ in range(steps + 1):
        f = u @ v / np.sqrt(width)
        path.append((f, (u @ u + v @ v) / width))
        step = rate * f / np.sqrt(width)
        u, v = u - step * v, v - step * u
    return np.array(path)


def noisy(rate: float, width: int, steps: int, noise: float, replicas: int) -> FloatArray:
    """Mean curvature over replicas at every step from f = 0, labels drawn afresh with this standard deviation."""
    random = np.random.default_rng(1)
    f, lam = np.zeros(replicas), np.full(replicas, START[1])
    means = [START[1]]
    for _ in range(steps):
        r = f - noise * random.standard_normal(replicas)
        f, lam = (
            f - rate * r * lam + (rate * r) ** 2 * f / width,
            lam - 4.0 * rate * r * f / width + (rate * r) ** 2 * lam / width,
        )
        means.append(float(lam.mean()))
    return np.array(means)


def compute(scale: Scale) -> Data:
    """paths: four runs; ends: by lr lam_0; widths: height and time of the peak; check: net; noise: drift of lam."""
    steps = {"tiny": 200, "quick": 2_000, "full": 10_000}[scale]
    width = 512
    products = np.array(SHOWN)
    path = catapult(products / START[1], width, 60)
    paths = [
        {"product": p, "step": np.arange(61), "loss": 0.5 * path[i, :, 0] ** 2, "lam": path[i, :, 1]}
        for i, p in enumerate(products)
    ]
    return {
        "paths": stack(paths),
        "ends": _ends(width, steps, 19 if scale == "tiny" else 85),
        "widths": _widths(steps),
        "check": _check(width),
        "noise": _drift(steps),
    }


def _ends(width: int, steps: int, points: int) -> dict[str, Any]:
    products = np.linspace(0.2, 4.4, points)
    path = catapult(products / START[1], width, steps)
    f, lam = path[..., 0], path[..., 1]
    return {
        "product": products,
        "left": 0.5 * f[:, -1] ** 2,
        "highest": 0.5 * np.max(f**2, axis=1),
        "lam": lam[:, -1] / START[1],
        "gone": (np.abs(f[:, -1]) >= GONE).astype(int),
    }


def _widths(steps: int) -> dict[str, Any]:
    """Height of the loss, when it is reached, and where divergence begins, by width at lr lam_0 = 3."""
    rows = []
    for width in (64, 256, 1_024, 4_096, 16_384):
        f = catapult(np.array([3.0 / START[1]]), width, min(steps, 400))[0, :, 0]
        products = np.linspace(3.8, 4.2, 81)
        gone = np.abs(catapult(products / START[1], width, min(steps, 2_000))[:, -1, 0]) >= GONE
        edge = products[gone].min() if gone.any() else np.nan
        rows.append({"width": width, "height": 0.5 * np.max(f**2), "time": int(np.argmax(f**2)), "edge": edge})
    return stack(rows)


def _check(width: int) -> dict[str, Any]:
    """Largest relative distance of the two numbers from the net's, over 60 steps."""
    rows = []
    for product in (1.5, 2.5, 3.5):
        rate = product / START[1]
        net = network(rate, width, 60)
        two = catapult(np.array([rate]), width, 60)[0]
        off = np.abs(net - two) / np.maximum(np.abs(net), [1.0, 0.01])
        rows.append({"product": product, "off": off.max()})
    return stack(rows)


def _drift(steps: int) -> dict[str, Any]:
    """Mean curvature under label noise, and what lam' = -2 lr^2 sigma^2 lam/(n (2 - lr lam)) says."""
    width, noise, rows = 64, 0.5, []
    for product in (0.5, 1.0, 1.5):
        rate = product / START[1]
        mean = noisy(rate, width, steps, noise, 200)
        lam, law = START[1], [START[1]]
        for _ in range(steps):
            lam -= 2.0 * (rate * noise) ** 2 * lam / (width * (2.0 - rate * lam))
            law.append(lam)
        at = np.unique(np.linspace(0, steps, 41).astype(int))
        rows.append({"product": product, "step": at, "sampled": mean[at], "law": np.array(law)[at]})
    return stack(rows)


def draw(data: Data) -> Figure:
    with style():
        figure = new_figure(WIDTH, 2.9)
        panels = figure.subplots(1, 3)
        for i, product in enumerate(SHOWN):
            step, loss = (column(data["paths"], key, product=product) for key in ("step", "loss"))
            shown = (loss > 1e-6) & (loss < 1e5)
            label = rf"$\eta\lambda_0$ = {product:g}"
            panels[0].plot(step[shown], loss[shown], color=PALETTE[i], ls=DASHES[i], label=label)
        panels[0].set(yscale="log", xlabel="step", ylabel="loss", title="(a) width 512", xlim=(0, 40))
        panels[0].legend(ncols=2, loc="lower left", bbox_to_anchor=(-0.1, 1.1), columnspacing=1.0)
        ends = data["ends"]
        kept = column(ends, "gone") == 0
        product, lam = column(ends, "product")[kept], column(ends, "lam")[kept]
        panels[1].plot(product, lam * product, ".", ms=4, color=PALETTE[0], label="end")
        panels[1].plot(product, product, color="0.5", lw=0.8, label="start")
        panels[1].axhline(2.0, color="black", lw=0.8, ls=":", label="2")
        panels[1].set(xlabel=r"$\eta\lambda_0$", ylabel=r"$\eta\lambda$", title="(b) curvature", xlim=(0, 4.4))
        panels[1].legend(ncols=3, loc="lower left", bbox_to_anchor=(-0.1, 1.1), columnspacing=1.0)
        for i, start in enumerate(first(data["noise"]["product"])):
            step, mean, law = (column(data["noise"], key, product=start) for key in ("step", "sampled", "law"))
            panels[2].plot(step, mean, ".", ms=3, color=PALETTE[4 + i], label=rf"$\eta\lambda_0$ = {start:g}")
            panels[2].plot(step, law, color=PALETTE[4 + i], lw=0.9)
        panels[2].set(xlabel="step", ylabel=r"curvature $\lambda$", title="(c) label noise, width 64")
        panels[2].legend(ncols=2, loc="lower left", bbox_to_anchor=(-0.1, 1.1), columnspacing=1.0)
    return figure


def claims(data: Data) -> list[Claim]:
    return [*_phases(data), _height(data), *_own(data)]


def _phases(data: Data) -> list[Claim]:
    product, left, high, lam, gone = (column(data["ends"], k) for k in ("product", "left", "highest", "lam", "gone"))
    lazy, middle = product < 1.95, (product > 2.05) & (product < 3.95)
    rising = high > 1.5 * 0.5 * START[0] ** 2
    first_rise = product[rising].min() if rising.any() else np.nan
    last = product[gone == 0].max()
    changes = np.abs(lam[lazy] - 1.0)
    return [
        Claim(
            "below 2/lam_0 the loss falls at once and the curvature stays",
            "abstract; section on the two-layer linear net",
            "loss never above 1.5 times its start, curvature within 5 %, lr lam_0 up to 1.95",
            f"curvature changes by {changes.max():.1%} at most, loss rises from lr lam_0 = {first_rise:.2f} on",
            bool(changes.max() <= 0.05 and not np.any(rising & lazy)),
            "the net is too narrow",
            paper="lazy phase up to 2/lam_0",
            chosen=CHOSEN,
        ),
        Claim(
            "between 2/lam_0 and 4/lam_0 the loss rises, and then converges at a curvature below 2/lr",
            "abstract; section on the two-layer linear net",
            "loss above 1.5 times its start, then below a thousandth of it, at the end lr lam below 2, 2.05 .. 3.95",
            f"rises in {np.sum(rising & middle)} of {middle.sum()}, ends at most {left[middle].max():.1e},"
            f" lr lam {(product * lam)[middle].min():.2f} .. {(product * lam)[middle].max():.2f}",
            bool(
                np.all(rising[middle])
                and left[middle].max() < 5e-4 * START[0] ** 2
                and np.all((product * lam)[middle] < 2.0)
            ),
            "so few steps do not reach the end",
            paper="catapult phase, 2/lam_0 to 4/lam_0",
            chosen=CHOSEN,
        ),
        Claim(
            "above 4/lam_0 it diverges",
            "section on the two-layer linear net",
            "the largest rate that does not, within 0.1 of lr lam_0 = 4",
            f"lr lam_0 = {last:.2f}",
            abs(last - 4.0) <= 0.1,
            "divergence takes longer",
            paper="4/lam_0",
            chosen=CHOSEN,
            turns="first to diverge, by width: "
            + ", ".join(f"{e:.3f} ({w:.0f})" for w, e in zip(*_columns(data, "width", "edge"), strict=True)),
        ),
    ]


def _columns(data: Data, *names: str) -> tuple[FloatArray, ...]:
    return tuple(column(data["widths"], name) for name in names)


def _height(data: Data) -> Claim:
    width, height, time = _columns(data, "width", "height", "time")
    slope = float(np.polyfit(np.log(width), np.log(height), 1)[0])
    per = float(np.polyfit(np.log(width), time, 1)[0])
    return Claim(
        "the loss rises to the order of the width, in a time of its logarithm",
        "section on the catapult mechanism; lr lam_0 = 3",
        "slope of log height in log n 1 +- 0.1, and time 1/(2 log |1 - lr lam_0|) +- 15 % per factor e of n",
        f"{slope:.3f}; {per:.3f} of {0.5 / np.log(2.0):.3f}",
        abs(slope - 1.0) <= 0.1 and abs(per * 2.0 * np.log(2.0) - 1.0) <= 0.15,
        "the narrow nets are not in the limit",
        paper="f of order sqrt(n) after log n steps",
        chosen=CHOSEN,
    )


def _own(data: Data) -> list[Claim]:
    off = column(data["check"], "off")
    sampled, law = column(data["noise"], "sampled"), column(data["noise"], "law")
    apart = float(np.abs(sampled - law).max() / START[1])
    fallen = float(1.0 - law.min() / START[1])
    return [
        Claim(
            "two numbers follow the net",
            "gradient descent on 2 n weights against the recursion of f and lam, n = 512, 60 steps",
            "within 1e-9, lr lam_0 = 1.5, 2.5, 3.5",
            f"{off.max():.1e}",
            bool(off.max() <= 1e-9),
            own=True,
        ),
        Claim(
            "label noise flattens without a catapult, the faster the larger the rate",
            "lam' = -2 lr^2 sigma^2 lam / (n (2 - lr lam)), from the stationary f; 200 sampled runs",
            "mean curvature within 2 % of its start of the law, which falls by 20 % or more",
            f"within {apart:.2%}, the curvature falls by up to {fallen:.0%}",
            apart <= 0.02 and fallen >= 0.2,
            "so few steps change nothing",
            own=True,
        ),
    ]


FIGURES = [
    Reproduction(
        "lewkowycz2020-catapult",
        "Lazy, catapult and divergent rates in a two-layer linear net",
        PAPER,
        2020,
        "Two-layer linear net of width 512 on one datum, by its two-number recursion: 2,000 steps (full: 10,000) at"
        " lr lam_0 = 0.2 .. 4.4; height and time of the peak at widths 64 .. 16,384. With labels drawn afresh"
        " (sigma = 0.5), width 64: mean of 200 runs (points) and law (lines).",
        compute,
        draw,
        claims,
        chosen=(CHOSEN,),
        seconds=0.5,
    )
]
