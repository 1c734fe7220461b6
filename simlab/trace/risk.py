"""RiskTrace: the labelled answer of an engine, an xarray.Dataset with its provenance."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from simlab._version import __version__
from simlab.arrays import FloatArray, IntArray
from simlab.doors import door, notice
from simlab.errors import InputError, brief, check_kind, check_path
from simlab.extras import install
from simlab.methods.base import Method
from simlab.problems import DiagonalProblem, EmpiricalRegression, Mixture
from simlab.reading import opened, understood
from simlab.replacing import replacing, settle
from simlab.trace.recording import RunResult, hyper_parameters
from simlab.trace.stacking import among, stacked
from simlab.trace.state import State
from simlab.trace.stored import States, pick, with_states, without_states
from simlab.trace.text import with_text

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["RiskTrace", "build_trace", "saved"]


FORMAT = 1
UNITS = "excess risk, 1/2 E (w - w*)^T H (w - w*)"
LOSS = "half the mean squared residual of w"
Problem = DiagonalProblem | EmpiricalRegression | Mixture
ADDITIVE = ("bias", "variance", "cross", "total")
"""Components that add up to the risk; "deterministic" is a part of the bias."""


class RiskTrace:
    """Risk over the steps of one run or several, by component and eigen-subspace.

    `dataset` holds the variable `risk` with dims ([run,] step, component, [domain,] subspace), coordinates lr, batch,
    momentum (of the step that follows; NaN at the last), k_star (modes with lam_i sum lr >= 1 so far), status and
    ended_at, and attributes that say where the numbers come from. Steps run 0 .. T. Values after the end of a run are
    NaN: where runs are of different lengths or diverge, the risk in which each ended is `final()` (the variable
    `final_risk`). The last step of `risk` is that of the longest run alone, and xarray's `risk.isel(step=-1).sum()`,
    which skips NaN, is 0 for all others.
    """

    @door
    def __init__(self, dataset: xr.Dataset, states: States | None = None, problem: Problem | None = None) -> None:
        check_kind("dataset", dataset, xr.Dataset, "an xarray.Dataset", "load a trace saved by simlab")
        if "risk" not in dataset or not {"step", "component", "subspace"} <= set(dataset["risk"].dims):
            raise InputError(
                " holds no 'risk' by step, component and subspace; load a trace saved by simlab.", "dataset"
            )
        self.dataset = dataset
        self._states, self._problem = dict(states or {}), problem

    @property
    def state(self) -> State:
        """Where the run stands at its last step: see `state_at`."""
        return self.state_at()

    @door
    def state_at(self, step: int | None = None, run: str | None = None) -> State:
        """The state kept at `step` (default: the last one kept), from which `start=` goes on; `run` : of several.

        Raises InputError where none was kept there.
        """
        gone = " (a run that diverged keeps none beyond)" if "diverged" in np.atleast_1d(self.status.values) else ""
        return pick(self._states, step, run, gone)

    @door
    def branch(self, step: int, method: Any, *, run: str | None = None, **options: Any) -> RiskTrace:
        """The run that goes on from the state kept at `step` with another method or schedule, by the same engine.

        `options` are those of the engine. Ten cooldowns of one stable phase cost the phase and the cooldowns. Raises
        InputError where no state was kept there, and for a trace read from a file, which holds no problem.
        """
        import simlab

        if self._problem is None:
            raise InputError(
                " was read from a file, which holds no problem; write "
                "simlab.exact(problem, method, start=trace.state_at(step)).",
                "trace",
            )
        engine = getattr(simlab, self.dataset.attrs["engine"])
        branched: RiskTrace = engine(self._problem, method, start=self.state_at(step, run), **options)
        return branched

    @property
    def risk(self) -> xr.DataArray:
        """Risk by ([run,] step, component, subspace)."""
        return self.dataset["risk"]

    @property
    def status(self) -> xr.DataArray:
        """ "done", "diverged" or "interrupted", one for each run."""
        return self.dataset["status"]

    def total(self) -> xr.DataArray:
        """The risk itself by ([run,] step): bias and variance of all subspaces summed."""
        return self.by_component().sum("component", skipna=False)

    def by_component(self) -> xr.DataArray:
        """Risk by ([run,] step, component), over all subspaces, components that add up only."""
        parts = [name for name in self.risk["component"].values if name in ADDITIVE]
        return self.risk.sel(component=parts).sum("subspace", skipna=False)

    def final(self) -> xr.DataArray:
        """Risk by ([run,] component, subspace) at the last step that each run reached, whichever that was.

        Its components add up but for "deterministic", which is a part of the bias.
        """
        return self.dataset["final_risk"]

    @door
    def holdout(self) -> xr.DataArray:
        """The loss on held-out rows by ([run,] step): half the mean squared residual of w, summed over outputs.

        Its parts are the variable "holdout" of the dataset: that of the noiseless run ("bias"), and what noise adds to
        it. Beside it stands `training_loss()`. Raises InputError where no rows were held out.
        """
        if "holdout" not in self.dataset:
            raise InputError(
                " keeps no loss on held-out rows; make the problem by LinearRegression.from_data(X, y, holdout=0.2), "
                "and take simlab.exact or simlab.sample.",
                "trace",
            )
        parts = [name for name in self.risk["component"].values if name in ADDITIVE]
        loss = self.dataset["holdout"].sel(component=parts).sum("component", skipna=False)
        return loss.assign_attrs(long_name="held-out loss", units=LOSS)

    def training_loss(self) -> xr.DataArray:
        """Half the mean squared residual of w on the rows trained on, by ([run,] step): risk + noise_variance / 2.

        Raises InputError for a problem without label noise, as a noisy quadratic is.
        """
        noise = json.loads(self.dataset.attrs.get("problem", "{}")).get("noise_variance")
        if noise is None:
            raise InputError(" is of a problem without labels, whose risk is its loss; take total().", "trace")
        loss = self.total() + 0.5 * (xr.DataArray(noise, dims="domain") if isinstance(noise, list) else float(noise))
        return loss.rename("training_loss").assign_attrs(long_name="training loss", units=LOSS)

    @door
    def z_scores(self, exact: RiskTrace) -> xr.DataArray:
        """(sampled - exact) / standard error of this sampled trace, by ([run,] step, component, subspace).

        What `exact` says of its own errors, as a trace of `simlab.long` does, is added to the standard error: a z-score
        above 1 in absolute value is then never more than that of the truth, where those errors hold. Components are
        those that both have, and "risk", all of them together; NaN where the standard error is below 1e-6 of the exact
        value (nothing was random there, as at the start), and where either trace did not get. Raises InputError for a
        trace that was not sampled.
        """
        check_kind("exact", exact, RiskTrace, "a trace", "give what simlab.exact returns")
        if "standard_error" not in self.dataset:
            raise InputError(" holds no standard_error; take z-scores of a trace by simlab.sample.", "trace")
        own, other = [set(t.risk["component"].values) & set(ADDITIVE) for t in (self, exact)]
        both = [name for name in self.risk["component"].values if name in own & other]
        mean, error = self.risk.sel(component=both), self.dataset["standard_error"].sel(component=both)
        known = exact.risk.sel(component=both)
        whole = [
            t.risk.sel(component=sorted(names)).sum("component", skipna=False)
            for t, names in ((self, own), (exact, other))
        ]
        names = xr.DataArray(["risk"], dims="component", coords={"component": ["risk"]})
        mean = xr.concat([mean, whole[0].expand_dims(component=names)], "component")
        known = xr.concat([known, whole[1].expand_dims(component=names)], "component")
        error = xr.concat([error, self.dataset["risk_error"].expand_dims(component=names)], "component")
        off = exact.dataset.get("risk_error")
        if off is None or "component" not in off.dims:
            return _z_scores(mean, known, error)
        all_off = off.sel(component=sorted(other)).sum("component", skipna=False).expand_dims(component=names)
        return _z_scores(mean, known, error, xr.concat([off.sel(component=both), all_off], "component"))

    @door
    def holdout_z_scores(self, exact: RiskTrace) -> xr.DataArray:
        """The same of the loss on held-out rows, by ([run,] step)."""
        check_kind("exact", exact, RiskTrace, "a trace", "give what simlab.exact returns")
        if "holdout_error" not in self.dataset:
            raise InputError(
                " holds no holdout_error; take z-scores of a trace by simlab.sample on a problem with held-out rows.",
                "trace",
            )
        return _z_scores(self.holdout(), exact.holdout(), self.dataset["holdout_error"])

    @door
    def with_coordinates(self, coordinates: Mapping[str, Any]) -> RiskTrace:
        """The same trace with further coordinates."""
        if not isinstance(coordinates, Mapping):
            raise InputError(f" = {brief(coordinates)} is not a table; give names and values.", "coordinates")
        return RiskTrace(self.dataset.assign_coords(coordinates), self._states, self._problem)

    def plot(self, **options: Any) -> Figure:
        """Deprecated: `simlab.plot.risk(trace)`."""
        import simlab

        notice("trace.plot() is to go; write simlab.plot.risk(trace).", DeprecationWarning)
        return simlab.plot.risk(self, **options)

    @door
    def save(self, path: str | Path, force: bool = False) -> Path:
        """Write a zarr v3 store, or NetCDF if the path ends in .nc; an existing path is refused unless `force`.

        Written beside the target first and moved there whole: nothing half-written is left behind, and what is replaced
        is there until its successor is.
        """
        target = check_path("path", path)
        settle(target)
        if target.exists() and not force:
            raise InputError(" exists; choose another path, or say force to replace it.", target)
        whole = with_states(self.dataset, self._states)
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            with replacing(target) as new:
                if target.suffix == ".nc":
                    whole.to_netcdf(new, engine="h5netcdf")
                else:
                    # Strings of variable length: fixed-length ones are no part of the zarr v3 specification.
                    with_text(whole).to_zarr(new, mode="w", zarr_format=3, consolidated=False)
        except OSError as error:
            raise InputError(
                f" cannot be written ({error.strerror or error}); choose a folder you may write to.", target
            ) from None
        except ImportError:
            raise InputError(f" needs h5netcdf; {install('netcdf')}, or choose a zarr path (no .nc).", target) from None
        return target

    @classmethod
    @door
    def load(cls, path: str | Path) -> RiskTrace:
        """A trace that `save` wrote; opening one runs no code."""
        source = check_path("path", path)
        dataset, states = saved(source)
        if dataset.attrs.get("simlab_format", FORMAT) != FORMAT:
            raise InputError(
                f" has format {dataset.attrs['simlab_format']}, this simlab reads {FORMAT}; use the version "
                f"that wrote it "
                f"({dataset.attrs.get('simlab_version', 'unknown')}).",
                source,
            )
        trace = cls(with_text(dataset, str), states)
        missing = {"final_risk", "status", "ended_at", "component", "subspace"} - set(dataset.variables)
        if missing:
            raise InputError(f" holds no {brief(min(missing))}; load a trace saved by simlab.", source)
        return trace

    def __repr__(self) -> str:
        sizes = self.risk.sizes
        runs = f"{sizes['run']} runs, " if "run" in sizes else ""
        head = (
            f"RiskTrace: {runs}{sizes['step']} recorded steps up to {int(self.risk['step'][-1])}, "
            f"{sizes['subspace']} subspaces\n{self.dataset.attrs.get('problem', '')}"
        )
        final = self.final()
        parts = final.sel(component=[c for c in final["component"].values if c in ADDITIVE]).sum("subspace")
        mean = parts.mean("domain") if "domain" in sizes else parts
        rows = mean.values[None] if "run" not in sizes else mean.values
        names = [self.dataset.attrs.get("method", "run")] if "run" not in sizes else list(parts["run"].values)
        status = np.atleast_1d(self.status.values)
        ended = np.atleast_1d(self.dataset["ended_at"].values)
        lines = [head]
        for name, row, state, step in zip(names, rows, status, ended, strict=True):
            split = ", ".join(f"{c} {value:.6g}" for c, value in zip(parts["component"].values, row, strict=True))
            lines.append(f"  {name}: {state} at step {step}, risk {row.sum():.6g} ({split})")
        if "domain" in sizes:
            lines.append(f"  (means over the domains {', '.join(map(str, final['domain'].values))})")
        return "\n".join(lines)


def _z_scores(
    mean: xr.DataArray, known: xr.DataArray, error: xr.DataArray, off: xr.DataArray | float = 0.0
) -> xr.DataArray:
    """(mean - known) / (error + off) where both are, NaN where nothing was random; `off` : what `known` may be off
    by.
    """
    mean, known, error = xr.align(mean, known, error, join="inner")
    random = (error > 1e-6 * np.abs(known)) & np.isfinite(error)
    z: xr.DataArray = ((mean - known) / (error.where(random) + off)).rename("z")
    return z


def build_trace(
    results: Sequence[RunResult],
    methods: Sequence[Method],
    subspace_names: Sequence[str],
    problem: Problem,
    run_labels: Sequence[str] | None,
    provenance: dict[str, Any],
) -> RiskTrace:
    """A RiskTrace from the results of an engine, one for each method, on the union of their recorded steps."""
    reached = [np.append(r.steps[r.steps <= r.ended_at], r.ended_at) for r in results]
    grid = np.unique(np.concatenate(reached if run_labels is None else [r.steps for r in results]))
    components = list(results[0].components)
    axes = results[0].axes
    risk = np.full((len(results), grid.size, *results[0].final.shape), np.nan)
    for row, result in zip(risk, results, strict=True):
        kept = among(result.steps, grid)
        row[np.searchsorted(grid, result.steps[kept])] = result.risk[kept]
        if result.ended_at in grid:
            row[np.searchsorted(grid, result.ended_at)] = result.final
    taken = sorted(set.intersection(*(set(r.snapshots) for r in results)))
    units = {"units": UNITS}
    final = np.stack([r.final for r in results])
    variables: dict[str, Any] = {
        "risk": (("run", "step", "component", *axes, "subspace"), risk, {"long_name": "risk", **units}),
        "final_risk": (("run", "component", *axes, "subspace"), final, units),
    }
    for name in {name: None for result in results for name in result.statistics}:
        dims, rows = stacked(name, results, methods, grid)
        variables[name] = (("run", "step", *dims), rows)
    coordinates: dict[str, Any] = {
        name: (("run", "step"), rows) for name, rows in _step_coordinates(methods, results, grid, problem).items()
    }
    coordinates["status"] = (("run",), np.array([r.status for r in results]))
    coordinates["ended_at"] = (("run",), np.array([r.ended_at for r in results]))
    if taken:
        stack = np.array([[r.snapshots[s] for s in taken] for r in results])
        variables["mode_risk"] = (("run", "snapshot", "component", *axes, "mode"), stack, units)
    if run_labels is None:
        variables, coordinates = _without_runs(variables), _without_runs(coordinates)
    else:
        coordinates["run"] = list(run_labels)
    coordinates |= {"step": grid, "component": components, **axes, "subspace": list(subspace_names)}
    names = [""] if run_labels is None else list(run_labels)
    states = {(name, at): each for name, r in zip(names, results, strict=True) for at, each in r.states.items()}
    if taken:
        coordinates |= {"snapshot": taken, "mode": np.arange(1, stack.shape[-1] + 1)}
    attributes = {
        "simlab_format": FORMAT,
        "simlab_version": __version__,
        "problem": json.dumps(problem.describe()),
        "method": json.dumps([m.describe() for m in methods]) if run_labels is not None else methods[0].expression,
        "units": UNITS,
        **provenance,
    }
    return RiskTrace(xr.Dataset(variables, coordinates, attributes), states, problem)


def saved(source: Path) -> tuple[xr.Dataset, States]:
    """The dataset of a trace on disk and its states, verified, or an InputError; opening one runs no code."""
    settle(source)
    if not source.exists():
        raise InputError(" does not exist; give the path of a saved trace.", source)
    with understood(source, "give a path written by trace.save", "a trace"):
        try:
            return without_states(_loaded(source), source)
        except ImportError:
            raise InputError(" needs h5netcdf and h5py to be read; install them.", source) from None


def _loaded(source: Path) -> xr.Dataset:
    """The dataset of a file or folder; what is no plain file in it is refused."""
    if source.suffix == ".nc":
        # A link to a trace is the caller's own way of naming it.
        with opened(source.resolve()) as file, xr.open_dataset(file, engine="h5netcdf") as data:
            of_file: xr.Dataset = data.load()
            return of_file
    from simlab.reading.arrays import FolderStore

    with xr.open_zarr(FolderStore(source), zarr_format=3, consolidated=False, chunks=None) as data:
        loaded: xr.Dataset = data.load()
        return loaded


def _without_runs(entries: dict[str, Any]) -> dict[str, Any]:
    """The same xarray entries for the one run there is, without the leading axis."""
    return {name: (dims[1:], values[0], *rest) for name, (dims, values, *rest) in entries.items()}


def _step_coordinates(
    methods: Sequence[Method],
    results: Sequence[RunResult],
    grid: IntArray,
    problem: Problem,
) -> dict[str, FloatArray]:
    """lr, batch, momentum of the step that follows each recorded one (NaN from T on), and k* as far as a run went."""
    out = {**hyper_parameters(methods, grid), "k_star": np.full((len(methods), grid.size), np.nan)}
    for row, result in zip(out["k_star"], results, strict=True):
        steps, time = result.steps, result.training_time
        reached = (steps <= result.ended_at) & among(steps, grid)
        with np.errstate(divide="ignore"):
            row[np.searchsorted(grid, steps[reached])] = problem.counts_at_least(1.0 / time[reached])
    return out
