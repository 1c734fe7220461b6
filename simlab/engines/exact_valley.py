"""The exact split of a straight valley: mean and covariance of river and hills under any method, without sampling.

The hills, and the spread along the river, are noisy quadratics and go through `simlab.exact`. The mean along the river
obeys

    z <- M_t z - b_t (mu (c_t . z - x*) - s),

the recursion of every other coordinate but for the slope s, which makes it affine.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import xarray as xr

from simlab._version import __version__
from simlab.arrays import FloatArray, IntArray
from simlab.doors import door, notice
from simlab.engines.arguments import MethodArgument, Progress, named_methods
from simlab.engines.exact import exact
from simlab.engines.stability import stability
from simlab.errors import InputError
from simlab.landscapes.straight import FLAT, StraightValley
from simlab.methods.base import Method
from simlab.problems import NoisyQuadratic
from simlab.subspaces import Subspaces
from simlab.trace.recording import Record, hyper_parameters, record_steps, slots

__all__ = ["exact_valley", "mean_along_river"]


CHUNK = 16_384


@door
def exact_valley(
    valley: StraightValley,
    method: MethodArgument,
    *,
    record: Record = None,
    subspaces: Subspaces | str | Mapping[str, Iterable[int]] | None = None,
    threads: int | None = None,
    progress: Progress | bool | None = None,
    warn: bool = True,
) -> xr.Dataset:
    """Expected loss of a method, or of several, in a straight valley, split into river and hills; exact in float64.

    method, record, subspaces, threads, progress : as in `simlab.exact`; the subspaces are sets of hills (1-based, the
    steepest first), `subspaces.index_sets` or `subspaces.modes` for single directions.

    Returns a Dataset by ([run,] step): `river_loss` E R(x), `hill_loss` E 1/2 sum lam y^2 and `hill_bias`, the part of
    it that the mean E y has (both by subspace as well), `total`, `river` E x and `river_spread` Var x; coordinates lr,
    batch, momentum, status and ended_at. A learning rate at which the steepest hill is unstable is warned of and run as
    asked: such a run has the status "diverged" and is NaN after the step `ended_at`. Without `warn` the status alone
    tells of it. Raises InputError for bad input.
    """
    if not isinstance(valley, StraightValley):
        raise InputError(
            f" is {type(valley).__name__}; give a StraightValley, or sample with engines.descent.", "valley"
        )
    methods, labels = named_methods(method, "exact_valley")
    names = labels if labels is not None else ["run"]
    named = dict(zip(names, methods, strict=True))
    for m in methods if warn else []:
        _warn_if_unstable(valley, m)
    options: dict[str, Any] = {"threads": threads, "progress": progress}
    # One list of steps for all runs, also for those that end early: rows of the two engines must match.
    grid = np.unique(np.concatenate([record_steps(record, m.length) for m in methods]))
    hills = exact(valley.hill_problem(), named, record=record, subspaces=subspaces, **options).dataset
    hills = hills.reindex(step=grid)
    river, spread, ended = _river(valley, named, record, grid, options)
    status = np.where(ended >= 0, "diverged", hills["status"].values)
    ended_at = np.where(ended >= 0, np.minimum(ended, hills["ended_at"].values), hills["ended_at"].values)
    known = grid[None] <= ended_at[:, None]
    river, spread = np.where(known, river, np.nan), np.where(known, spread, np.nan)
    loss = valley.river_loss(river) + (0.0 if valley.linear else 0.5 * valley.curvature * spread)
    dims, units = ("run", "step"), {"units": "loss"}
    bias, variance = (hills["risk"].sel(component=name, drop=True) for name in ("bias", "variance"))
    out = xr.Dataset(
        {
            "river_loss": (dims, loss, units),
            "hill_loss": (bias + variance).assign_attrs(units),
            "hill_bias": bias.assign_attrs(units),
            "river": (dims, river, {"long_name": "river coordinate E x"}),
            "river_spread": (dims, spread, {"long_name": "Var x"}),
        },
        coords={
            "run": names,
            "step": grid,
            "subspace": hills["subspace"].values,
            **{name: (dims, rows) for name, rows in hyper_parameters(methods, grid).items()},
            "status": (("run",), status),
            "ended_at": (("run",), ended_at),
        },
        attrs=_provenance(valley, methods),
    ).transpose("run", "step", ...)
    out["total"] = (out["river_loss"] + out["hill_loss"].sum("subspace", skipna=False)).assign_attrs(units)
    return out if labels is not None else out.isel(run=0).drop_vars("run")


def _provenance(valley: StraightValley, methods: list[Method]) -> dict[str, str]:
    return {
        "simlab_version": __version__,
        "engine": "exact",
        "problem": json.dumps(valley.describe()),
        "method": json.dumps([m.describe() for m in methods]),
    }


def mean_along_river(valley: StraightValley, method: Method, steps: IntArray) -> FloatArray:
    """E x at `steps` (increasing, within 0 .. T) of one method, shape of `steps`."""
    from simlab.kernels.landscapes.river_mean import affine_path

    origin = valley.river_start - valley.target
    z = method.z0 * origin
    out = np.empty(steps.size)
    for at in range(0, method.length, CHUNK):
        end = min(at + CHUNK, method.length)
        arrays = (*method.coefficients(at, end), method.readout(at, end))
        affine_path(*arrays, valley.curvature, valley.slope, z, slots(steps, at, end), out)
    if steps.size and steps[-1] == method.length:
        out[-1] = float(method.readout(method.length, method.length + 1)[0] @ z)
    return valley.target + out


def _river(
    valley: StraightValley, named: Mapping[str, Method], record: Record, grid: IntArray, options: dict[str, Any]
) -> tuple[FloatArray, FloatArray, IntArray]:
    """E x, Var x (runs, steps), NaN where not recorded, and the step at which the river diverged (-1: not at all)."""
    mean = np.full((len(named), grid.size), np.nan)
    spread = np.full(mean.shape, np.nan)
    ended = np.full(len(named), -1, dtype=np.int64)
    for row, method in zip(mean, named.values(), strict=True):
        steps = record_steps(record, method.length)
        row[np.searchsorted(grid, steps)] = mean_along_river(valley, method, steps)
    if valley.linear and valley.river_noise == 0.0:
        spread[np.isfinite(mean)] = 0.0
        return mean, spread, ended
    problem: NoisyQuadratic = valley.river_problem()
    trace = exact(problem, dict(named), record=record, **options).dataset.reindex(step=grid)
    curvature = FLAT if valley.linear else valley.curvature
    variance = trace["risk"].sel(component="variance").sum("subspace", skipna=False)
    spread[:] = variance.transpose("run", "step").values * (2.0 / curvature)
    diverged = trace["status"].values == "diverged"
    ended[diverged] = trace["ended_at"].values[diverged]
    return mean, spread, ended


def _warn_if_unstable(valley: StraightValley, method: Method) -> None:
    """A notice where the peak learning rate is beyond what the steepest direction bears."""
    steepest = NoisyQuadratic([max(float(valley.hills[0]), valley.curvature)], 0.0, 0.0)
    found = stability(steepest, method)
    if not found.stable and found.learning_rate > 0.0:
        name = method.expression if len(method.expression) <= 60 else f"{method.expression[:60]}.."
        notice(
            f"the peak learning rate {found.learning_rate:g} of {name} is not below "
            f"{found.critical_lr:.6g}, where curvature {steepest.eigenvalues[0]:g} becomes unstable; run as asked."
        )
