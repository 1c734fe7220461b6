"""The canonical experiment of river valleys: what `simlab river` computes, by the exact engine and a small ensemble.

Parameters of the project notes on river valleys, 1.5: 100 hills of curvature 1 to 20, noise variance 1 along
each, a river that falls by 0.05 per unit of learning rate (slope sqrt(0.05)), 2,000 steps at a peak of 0.05. The cap on
a peak is 2 / lam_max = 0.1; cosine at twice the peak sits on it, and wins: no claim that WSD beats cosine holds without
the cap.
"""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import xarray as xr

from simlab import methods, schedules
from simlab.arrays import FloatArray
from simlab.engines.exact_valley import exact_valley
from simlab.landscapes.straight import StraightValley
from simlab.schedules import Schedule
from simlab.trace.recording import Record

if TYPE_CHECKING:
    from simlab.landscapes.landscape import Landscape

__all__ = [
    "CAVEAT",
    "ON_CAP",
    "PEAK",
    "STEPS",
    "Wandering",
    "canonical_runs",
    "canonical_trace",
    "canonical_valley",
    "shape_points",
    "table",
    "wander",
]


STEPS, PEAK = 2000, 0.05
FALL = 0.05
CAVEAT = "cosine, peak x 2"
ON_CAP = "WSD 20 %, peak x 2"


def canonical_valley() -> StraightValley:
    """A linear river over 100 hills."""
    return StraightValley(np.geomspace(20.0, 1.0, 100), slope=float(np.sqrt(FALL)), noise=1.0)


def canonical_runs(steps: int = STEPS, peak: float = PEAK, on_cap: bool = False) -> dict[str, Schedule]:
    """Schedules of one peak, and last the caveat: cosine at twice that peak; with `on_cap` WSD there as well."""
    wsd: dict[str, dict[str, Any]] = {
        "linear": {},
        "1-sqrt": {"shape": "1-sqrt"},
        "square": {"shape": "square"},
        "inv(.1)": {"shape": "inverse-proportional", "floor": 0.1},
    }
    return {
        "constant": schedules.constant(steps, peak),
        "cosine": schedules.cosine(steps, peak),
        "linear": schedules.linear(steps, peak),
        "WSD 10 %": schedules.wsd(steps, peak, cooldown=0.1),
        **{
            f"WSD 20 %{'' if name == 'linear' else ' ' + name}": schedules.wsd(steps, peak, cooldown=0.2, **options)
            for name, options in wsd.items()
        },
        CAVEAT: schedules.cosine(steps, 2.0 * peak),
        **({ON_CAP: schedules.wsd(steps, 2.0 * peak, cooldown=0.2)} if on_cap else {}),
    }


def canonical_trace(record: Record = "all", on_cap: bool = False) -> xr.Dataset:
    """The split of all canonical runs at every step (see `simlab.engines.exact_valley.exact_valley`)."""
    runs = {name: methods.sgd(schedule) for name, schedule in canonical_runs(on_cap=on_cap).items()}
    with warnings.catch_warnings():
        # These sit on the cap on purpose.
        warnings.filterwarnings("ignore", message="the peak learning rate")
        return exact_valley(canonical_valley(), runs, record=record, progress=False)


def table(trace: xr.Dataset) -> str:
    """Final and half-time losses of the runs, those on the cap among them, and the caveat, as text."""
    half, end = trace.sel(step=STEPS // 2), trace.isel(step=-1)
    wide = max(len(str(run)) for run in trace["run"].values)
    lines = [f"{'run':<{wide}}  half time     final     river     hills"]
    for run in trace["run"].values:
        row = end.sel(run=run)
        numbers = (half["total"].sel(run=run), row["total"], row["river_loss"], row["hill_loss"].sum("subspace"))
        lines.append(f"{run:<{wide}}" + "".join(f"  {float(value):8.2f}" for value in numbers))
    cosine, doubled, capped = (float(end["total"].sel(run=run)) for run in ("cosine", CAVEAT, ON_CAP))
    below = [run for run in trace["run"].values if run not in (CAVEAT, ON_CAP)]
    best = min(below, key=lambda run: float(end["total"].sel(run=run)))
    cap = canonical_valley().critical_lr
    lines += [
        "",
        f"With every peak at {PEAK:g}, below the cap 2/lam_max = {cap:g}, {best} ends lowest, and cosine at "
        f"{cosine:.2f}.",
        f"Caveat: cosine at twice the peak, {2 * PEAK:g}, which is the cap itself, ends at {doubled:.2f}, below every "
        f"WSD at {PEAK:g};",
        f"WSD there (20 % cooldown) ends at {capped:.2f}. A linear river counts the sum of learning rates alone: 'WSD "
        "beats cosine'",
        "holds under one cap on both peaks.",
    ]
    return "\n".join(lines)


# -- cooldown shapes ---------------------------------------------------------------------------------------------------

SHAPES: dict[str, dict[str, Any]] = {
    "linear": {"shape": "linear"},
    "cosine": {"shape": "cosine"},
    "1-sqrt": {"shape": "1-sqrt"},
    "square": {"shape": "square"},
    "mirror cosine": {"shape": "mirror-cosine"},
    "WSD-S, 1/η linear to .1": {"shape": "inverse-proportional", "floor": 0.1},
}
LOWERED = (0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3)


def shape_points(
    fall: float, steps: int = 60, peak: float = 0.5, dim: int = 200
) -> tuple[dict[str, tuple[float, float]], dict[str, tuple[float, float]]]:
    """(bias, variance) x 1e4 of cooldown shapes, and of linear cooldowns from a lowered start, by the exact engine.

    A cooldown repeated from one checkpoint with fresh noise (Dremov et al. 2025): variance is the spread of the
    solutions, 1/2 sum lam Var y; bias the loss of their mean above that of a run that keeps the peak on a river without
    hills (our reading of a definition of which the source was not at hand). lam_i = 1/i, noise 0.02 lam_i, the
    checkpoint at the root of the stationary variance; `fall` is the loss gained along the river per learning rate.
    "half, then 1/t" is the optimal decay of the sixth hill alone (Wen et al. 2024, derived in the notes).
    """
    lam = 1.0 / np.arange(1.0, dim + 1.0)
    checkpoint = np.sqrt(peak * 0.02 / (2.0 - peak * lam))
    valley = StraightValley(lam, slope=float(np.sqrt(fall)), noise=0.02 * lam, hill_start=checkpoint)
    rates = {name: schedules.wsd(steps, peak, cooldown=1.0, **options) for name, options in SHAPES.items()}
    rates["half, then 1/t"] = schedules.inverse_time(steps, peak / 2.0, decay=peak * float(lam[5]) / 2.0)
    family = {f"{a:g}": schedules.wsd(steps, peak, cooldown=1.0, shape="lowered-linear", factor=a) for a in LOWERED}
    trace = exact_valley(valley, {n: methods.sgd(r) for n, r in {**rates, **family}.items()}, record=2, progress=False)
    end = trace.isel(step=-1)
    bias = end["hill_bias"].sum("subspace") + end["river_loss"] + fall * peak * steps
    variance = (end["hill_loss"] - end["hill_bias"]).sum("subspace")
    points = {
        name: (1e4 * float(bias.sel(run=name)), 1e4 * float(variance.sel(run=name))) for name in trace["run"].values
    }
    return {name: points[name] for name in rates}, {f"α = {name}": points[name] for name in family}


# -- the curved valley in two dimensions -------------------------------------------------------------------------------


class Wandering(NamedTuple):
    """Ensembles on the curved valley: run -> (steps + 1, replicas, 2); run -> (steps,) learning rates; river (n, 2)."""

    landscape: Landscape
    clouds: dict[str, FloatArray]
    rates: dict[str, FloatArray]
    river: FloatArray


def wander(steps: int = 1200, peak: float = 0.1, replicas: int = 150, seed: int = 3) -> Wandering:
    """Cosine, WSD and a constant learning rate on a curved valley, noise across it alone, from half-way up a hill.

    L = -0.1 x + 8/2 (y - sin(x/2))^2, standard deviation 3 of the gradient noise along y; the peak 0.1 lies below 2/8.
    """
    from simlab.engines.descend import descend
    from simlab.landscapes import noise, valleys
    from simlab.landscapes.river import find

    landscape = valleys.curved(mu=0.0, lam=8.0, amplitude=1.0, wavenumber=0.5, slope=0.1, start=(-3.0, 0.6))
    runs = {
        "cosine": schedules.cosine(steps, peak),
        "WSD, 20 % cooldown": schedules.wsd(steps, peak, cooldown=0.2),
        "constant": schedules.constant(steps, peak),
    }
    trace = descend(
        landscape,
        {name: methods.sgd(schedule) for name, schedule in runs.items()},
        replicas=replicas,
        seed=seed,
        noise=noise.diagonal([0.0, 3.0]),
        record="all",
        paths=True,
        progress=False,
    )
    clouds = {name: trace["iterate"].sel(run=name).transpose("step", "replica", "index").values for name in runs}
    # First comes the replica that WSD leaves nearest to the middle of the cloud: it is the one that is drawn as a path.
    order = np.argsort(np.abs(_from_median(clouds["WSD, 20 % cooldown"][-1, :, 0])), kind="stable")
    clouds = {name: cloud[:, order] for name, cloud in clouds.items()}
    ahead = 1.3 * max(float(np.ptp(cloud[..., 0])) for cloud in clouds.values())
    river = find.river(landscape, length=ahead, upstream=3.0).points
    return Wandering(landscape, clouds, {name: schedule.values() for name, schedule in runs.items()}, river)


def _from_median(values: FloatArray) -> FloatArray:
    out: FloatArray = values - np.median(values)
    return out
