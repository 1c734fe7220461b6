"""What figures of optimal schedules share: power laws on few nodes, families at their best, and a legend."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

import simlab as sl

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["RATES", "legend", "power_law", "problem_name", "tuned"]

RATES = "Bordelon and Mori 2026 (arXiv 2602.04774), Li et al. 2026 (2602.06797), Wang, Liu and Chen 2026 (2609.40148)"
"""Those who had the first order of the optimal rates, 1/lr ~ sqrt(K(S - u) (F(u) + noise)), before."""


def power_law(capacity: float, source: float, noise: float, modes: int = 10**8) -> sl.LinearRegression:
    """lam_i = i^-capacity, lam_i d_i^2 = i^-source, noise variance, Gaussian features; compressed to some 200 nodes."""
    return sl.LinearRegression.power_law(modes, capacity, source, noise_variance=noise).compress(1e-9)


def problem_name(capacity: float, source: float, noise: float) -> str:
    """How a problem is named in tables and on axes."""
    return f"{capacity:g}, {source:g}, {noise:g}"


def tuned(problem: sl.LinearRegression, family: str | Callable[..., Any], steps: int, **options: Any) -> Any:
    """What `sl.tune` finds; in a figure an end of a range, a cooldown over all of the run, is an answer too."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return sl.tune(problem, family, steps, **options)


def legend(figure: Figure, panels: Iterable[Axes], columns: int, title: str | None = None) -> None:
    """One legend below, of what is named in any of the panels."""
    handles = [axes.get_legend_handles_labels() for axes in panels]
    lines = [line for pair in handles for line in pair[0]]
    names = [name for pair in handles for name in pair[1]]
    figure.legend(lines, names, loc="outside lower center", ncols=columns, title=title)
