"""One closed form for every method with one buffer: noise floor, stability and rate by three numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from simlab.figures.columns import first, stack
from simlab.figures.reproduction import Claim, Data, Reproduction, Scale, column
from simlab.figures.results.optima import legend
from simlab.theory.two_state import (
    two_state_canonical,
    two_state_critical_lr,
    two_state_mass,
    two_state_noise_floor,
)

import simlab as sl
from simlab.plot import PALETTE, WIDTH, new_figure, style

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from simlab.methods import Method

__all__ = ["FIGURES"]

MOMENTUM = 0.9
SHARES = (0.05, 0.1, 0.2, 0.4, 0.6, 0.8)
"""Learning rates over the critical one, at which runs are made."""
EDGE = 0.02
"""By how much a run above or below the critical rate misses it."""
NAMES = ("SGD", "heavy ball", "Nesterov", "QHM", "ASGD", "AccSGD")
FEATURES = {"Gaussian, batch 1": (3.0, 1), "Gaussian, batch 8": (3.0, 8), "heavy tails, batch 1": (9.0, 1)}
"""Law of the features -> kurtosis and batch."""


def methods(lr: float, steps: int, batch: int) -> dict[str, Method]:
    """Methods of the library at constant parameters."""
    rate = sl.schedules.constant(steps, lr)
    made = sl.methods
    return {
        "SGD": made.sgd(rate, batch),
        "heavy ball": made.heavy_ball(rate, MOMENTUM, batch),
        "Nesterov": made.nesterov(rate, MOMENTUM, batch),
        "QHM": made.qhm(rate, MOMENTUM, 0.7, batch),
        "ASGD": made.asgd(rate, 10.0 * lr, 0.05, batch=batch),
        "AccSGD": made.acc_sgd(rate, 20.0, 3.0, batch),
    }


def arrays(method: Method) -> tuple[Any, Any, Any]:
    """M, b and c of its first step."""
    parts = method.coefficients(0, 1)
    return parts.M[0], parts.b[0], parts.c[0]


def numbers(name: str, lr: float) -> dict[str, float]:
    """(momentum, delta, q) by the closed form from the arrays; SGD has one state only."""
    if name == "SGD":
        return {"momentum": 0.0, "delta": 0.0, "q": lr}
    return two_state_canonical(*arrays(methods(lr, 1, 1)[name]))._asdict()


def problem(dim: int, kurtosis: float) -> sl.LinearRegression:
    """lam_i = i^-0.5, no initial error beyond the noise's, sigma^2 = 1."""
    return sl.LinearRegression(np.arange(1.0, dim + 1.0) ** -0.5, np.ones(dim), 1.0, kurtosis=kurtosis)


def compute(scale: Scale) -> Data:
    """floors: at the gradient point, by theorem and exact; edges: growth of runs below and above the critical rate."""
    dim, steps = {"tiny": (10, 4_000), "quick": (40, 40_000), "full": (100, 200_000)}[scale]
    floors, edges = [], []
    for features, (kurtosis, batch) in FEATURES.items():
        task = problem(dim, kurtosis)
        lam = task.eigenvalues
        for name in NAMES:
            unit = numbers(name, 1.0)
            critical = two_state_critical_lr(lam, **unit, batch=batch, kurtosis=kurtosis)
            runs = []
            for share in (*SHARES, 1.0 - EDGE, 1.0 + EDGE):
                M, b, c = arrays(methods(share * critical, steps, batch)[name])
                runs.append(sl.methods.generic(M, b, c, c, steps=steps, batch=batch))
            trace = sl.exact(task, runs, record=[steps // 2, steps], progress=False).total()
            half, last = (np.nan_to_num(trace.isel(step=i).values, nan=np.inf) for i in (-2, -1))
            for share, exact in zip(SHARES, last, strict=False):
                given = {key: value * (share * critical if key != "momentum" else 1.0) for key, value in unit.items()}
                mass = two_state_mass(lam, **given, batch=batch, kurtosis=kurtosis)
                said = two_state_noise_floor(lam, 1.0, **given, batch=batch, kurtosis=kurtosis).variance.sum()
                where = {"features": features, "method": name, "share": [share], "lr": share * critical}
                floors.append({**where, "mass": mass, "said": said, "exact": exact})
            settled = last[-2:] < 1.05 * half[-2:]
            edges.append({"features": features, "method": [name], "below": settled[0], "above": not settled[1]})
    return {"floors": stack(floors), "edges": stack(edges)}


def draw(data: Data) -> Figure:
    floors = data["floors"]
    with style():
        figure = new_figure(WIDTH, 3.0)
        panels = figure.subplots(1, 3)
        for k, features in enumerate(first(floors["features"])):
            for j, name in enumerate(NAMES):
                lr, mass, said, exact = (
                    column(floors, key, features=features, method=name) for key in ("lr", "mass", "said", "exact")
                )
                if k == 0:
                    panels[0].plot(lr, said, color=PALETTE[j], lw=1.0)
                    panels[0].plot(lr, exact, "os^Dv*"[j], color=PALETTE[j], ms=4, label=name)
                panels[1].plot(mass, exact, "os^Dv*"[j], color=PALETTE[j], ms=4, alpha=0.8)
                panels[2].plot(lr / lr[0] * SHARES[0], np.abs(exact / said - 1.0), "os^Dv*"[j], color=PALETTE[j], ms=4)
        mass = np.geomspace(0.01, 0.95, 100)
        panels[1].plot(mass, 0.5 * mass / (1.0 - mass), "k-", lw=0.8, label="$K / 2 (1 - K)$")
        panels[0].set(xscale="log", yscale="log", xlabel="learning rate", ylabel="noise floor / $\\sigma^2$")
        panels[0].set_title("(a) Gaussian, batch 1")
        panels[1].set(xscale="log", yscale="log", xlabel="mass $K$", ylabel="noise floor / $\\sigma^2$")
        panels[1].set_title("(b) all laws and batches")
        panels[2].set(yscale="log", xlabel="learning rate / critical", ylabel="|exact / closed form - 1|")
        panels[2].set_title("(c) difference")
        legend(figure, panels[:2], 4)
    return figure


def claims(data: Data) -> list[Claim]:
    mass, said, exact = (column(data["floors"], key) for key in ("mass", "said", "exact"))
    off = float(np.max(np.abs(exact / said - 1.0)))
    curve = float(np.max(np.abs(exact / (0.5 * mass / (1.0 - mass)) - 1.0)))
    below, above = (np.asarray(data["edges"][key]) == 1 for key in ("below", "above"))
    return [
        Claim(
            "one closed form gives the noise floor of SGD, heavy ball, Nesterov, QHM, ASGD and AccSGD",
            "theorem two_state_noise_floor: three numbers of the arrays of a method",
            "within 1e-8 of long exact runs at every rate, batch and law of the features",
            f"{off:.1e} at most, {exact.size} runs",
            off <= 1e-8,
            own=True,
        ),
        Claim(
            "all methods lie on one curve: floor = sigma^2 K / 2 (1 - K), K the mass of the method",
            "theorems two_state_mass and two_state_noise_floor",
            "exact runs within 1e-8 of the curve",
            f"{curve:.1e} at most, K from {mass.min():.3f} to {mass.max():.3f}",
            curve <= 1e-8,
            own=True,
        ),
        Claim(
            "the critical rate of the closed form parts runs that settle from runs that grow",
            "theorem two_state_critical_lr: K = 1",
            f"all settle {100 * EDGE:g} % below it and all grow {100 * EDGE:g} % above it",
            f"{below.sum()} of {below.size} settle below, {above.sum()} of {above.size} grow above",
            bool(np.all(below) and np.all(above)),
            own=True,
        ),
    ]


FIGURES = [
    Reproduction(
        "results-two-state",
        "One closed form for every method with one buffer",
        "This project",
        2026,
        "Regression with lam_i = i^-0.5, d = 40 (full: 100), sigma^2 = 1, momentum 0.9 (QHM: nu 0.7; ASGD: "
        "gamma 10 delta, beta 0.05; AccSGD kappa 20, xi 3): 40,000 steps (200,000) at 5 to 80 % of the critical rate, "
        "risk where the gradient is taken. Kurtosis 3 at batch 1 and 8, 9 at batch 1. Stability within 2 % of it.",
        compute,
        draw,
        claims,
        seconds=2.0,
    )
]
