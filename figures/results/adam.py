"""How far Adam's deterministic limit is from runs, by beta_2, batch and dimension."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from simlab.figures.columns import first, stack
from simlab.figures.reproduction import Claim, Data, Reproduction, Scale, column
from simlab.figures.results.optima import legend

import simlab as sl
from simlab.plot import DASHES, PALETTE, WIDTH, new_figure, style

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["FIGURES"]

BETAS = (0.8, 0.9, 0.95, 0.98, 0.99, 0.999)
CASES = {"batch 1": (0.9, 1), "batch 8": (0.9, 8), "batch 1, no momentum": (0.0, 1)}
"""beta_1 and batch."""


def compute(scale: Scale) -> Data:
    """ends: risk at the end of a linear decay by beta_2 and case, of the limit and of runs; what each may be off by."""
    dim, steps, replicas = {"tiny": (20, 60, 8), "quick": (100, 300, 128), "full": (200, 600, 256)}[scale]
    task = sl.LinearRegression.power_law(dim, 1.5, 1.3, noise_variance=0.1)
    table = []
    for case, (beta1, batch) in CASES.items():
        runs = {
            f"{beta2:g}": sl.methods.adam(sl.schedules.linear(steps, 0.05), beta1=beta1, beta2=beta2, batch=batch)
            for beta2 in BETAS
        }
        how: dict[str, Any] = {"replicas": replicas, "record": 2, "seed": 6, "split": False, "progress": False}
        seen, known = sl.sample(task, runs, basis="eigen", **how), sl.limit(task, runs, record=2, progress=False)
        plain = known.total().values[:, -1]
        other = known.dataset["risk_error"].sum("subspace").values[:, -1].sum(axis=-1)
        table.append(
            {
                "case": case, "beta2": BETAS, "limit": plain, "between": other, "runs": seen.total().values[:, -1],
                "error": seen.dataset["total_error"].values[:, -1],
            }
        )  # fmt: skip
    return {"ends": stack(table)}


def draw(data: Data) -> Figure:
    table = data["ends"]
    with style():
        figure = new_figure(WIDTH, 2.6)
        ratios, growth = figure.subplots(1, 2)
        for colour, dashes, case in zip(PALETTE, DASHES, CASES, strict=False):
            beta2, known, runs, error = (column(table, n, case=case) for n in ("beta2", "limit", "runs", "error"))
            ratios.errorbar(
                1 - beta2, known / runs, 2 * error * known / runs**2, color=colour, ls=dashes, marker="o", ms=3,
                capsize=2, label=case,
            )  # fmt: skip
            between = column(table, "between", case=case)
            growth.plot(1 - beta2, between / runs, color=colour, ls=dashes)
            growth.plot(1 - beta2, np.abs(known - runs) / runs, "o", color=colour, ms=4)
        ratios.axhline(1.0, color="0.3", lw=0.8, ls=":")
        ratios.set(xscale="log", xlabel=r"$1 - \beta_2$", ylabel="limit / runs", title="(a) final risk, 2 s.e.")
        growth.plot([], [], "o", color="0.3", label="distance of the limit from runs")
        growth.plot([], [], color="0.3", label="risk_error, as reported")
        growth.set(xscale="log", yscale="log", xlabel=r"$1 - \beta_2$", ylabel="share of the risk", title="(b)")
        legend(figure, (ratios, growth), 3)
    return figure


def claims(data: Data) -> list[Claim]:
    table = data["ends"]
    off = {case: column(table, "limit", case=case) / column(table, "runs", case=case) - 1.0 for case in CASES}
    sure = {case: column(table, "error", case=case) / column(table, "runs", case=case) for case in CASES}
    said = {case: column(table, "between", case=case) / column(table, "runs", case=case) for case in CASES}
    betas = np.array(first(table["beta2"]))
    slow, fast = betas >= 0.95, int(np.argmin(betas))

    def spoken(values: Any) -> str:
        return "; ".join(f"{case}: " + ", ".join(f"{x:+.1%}" for x in each) for case, each in values.items())

    return [
        Claim(
            "Adam's limit is within 5 % of runs for beta_2 of at least 0.95",
            "v replaced by its expectation; mean of runs, 2 standard errors allowed",
            f"for beta_2 = {', '.join(f'{b:g}' for b in betas[slow])}",
            spoken({case: each[slow] for case, each in off.items()}),
            all(bool(np.all(np.abs(off[case][slow]) <= 0.05 + 2.0 * sure[case][slow])) for case in CASES),
            "without momentum each gradient meets the v that it has just moved",
            turns="the largest distances: "
            + ", ".join(f"{np.max(np.abs(each[slow])):.1%} ({case})" for case, each in off.items()),
            own=True,
        ),
        Claim(
            "and its error grows as 1 - beta_2",
            "first order in the fluctuation of v",
            f"at beta_2 = {betas[fast]:g} at least three times that at 0.95, of one sign",
            spoken({case: each[[fast, int(np.flatnonzero(betas == 0.95)[0])]] for case, each in off.items()}),
            all(
                bool(
                    abs(each[fast]) >= 3.0 * abs(each[betas == 0.95][0])
                    and len({x > 0 for x in each[betas <= 0.9]}) == 1
                )
                for each in off.values()
            ),
            "with momentum errors of drift and of noise cancel in part, and their sum changes sign",
            turns="without momentum it does, from "
            + ", ".join(f"{x:.1%} ({b:g})" for x, b in zip(off["batch 1, no momentum"], betas, strict=True)),
            own=True,
        ),
        Claim(
            "what it reports of its error holds",
            "risk_error against the distance from runs, 3 standard errors allowed",
            "no distance above the report, for any beta_2",
            "reports: " + spoken(said),
            all(bool(np.all(np.abs(off[case]) <= said[case] + 3.0 * sure[case])) for case in CASES),
            "a distance is above it",
            own=True,
        ),
    ]


FIGURES = [
    Reproduction(
        "results-adam",
        "Adam's limit of many modes against runs",
        "This project",
        2026,
        "Adam on a regression, lam_i = i^-1.5, source 1.3, noise 0.1, d = 100 (full: 200), 300 steps (full: 600) of "
        "a linear decay from 0.05: the limit, in which v is replaced by its expectation, and 128 runs (full: 256) for "
        "six beta_2, batch 1 and 8, with and without momentum.",
        compute,
        draw,
        claims,
        seconds=4.0,
    )
]
