"""Experiment files whose problem is a river valley: problem.kind = "river-straight", "river-curved", ..

Tables are those of every experiment file; what is recorded is the loss split into river and hills. Straight valleys run
on the exact engine by default, and sampled, or both; all others are sampled (`simlab.engines.descent`).
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np

from simlab.doors import door
from simlab.engines.sampling import quantile_levels
from simlab.errors import InputError, check_count, check_path
from simlab.experiment.document import RECORD, Experiment, canonical, read_toml
from simlab.experiment.engine import check_sampler
from simlab.experiment.landscapes import RIVERS, build_valley
from simlab.experiment.tables import Table, call, check_keys, table_at, within
from simlab.schedules.registry import spelling
from simlab.subspaces import whole

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["RIVERS", "RiverExperiment", "descending", "final_table", "is_river", "split_of", "z_table"]


def options(
    replicas: int = 256,
    seed: int = 0,
    quantiles: Sequence[float] = (0.1, 0.5, 0.9),
    device: str = "auto",
    block: int | None = None,
    checkpoint: str | None = None,
    every: int | None = None,
) -> dict[str, Any]:
    """The arguments of `simlab.descend` that an experiment file may give; see there."""
    return dict(locals())


def descending(table: Table, folder: Path) -> dict[str, Any]:
    """The keyword arguments for `simlab.descend` of a table [engine]; a checkpoint folder is relative to `folder`."""
    given: dict[str, Any] = call(options, table, "engine", {})
    with within("engine", given):
        check_count("replicas", given["replicas"])
        check_count("seed", given["seed"], low=0, high=2**64 - 1)
        quantile_levels(given["quantiles"])
        for name in ("block", "every"):
            if given[name] is not None:
                check_count(name, given[name])
    if given["checkpoint"] is not None:
        given["checkpoint"] = folder / check_path("engine.checkpoint", given["checkpoint"])
    return given


def is_river(tree: Mapping[str, Any]) -> bool:
    """Whether the table [problem] has a kind that begins with "river"."""
    problem = tree.get("problem")
    kind = problem.get("kind") if isinstance(problem, Mapping) else None
    return isinstance(kind, str) and spelling(kind).startswith("river")


class RiverExperiment(Experiment):
    """A river valley and the methods to run in it side by side; made like any `Experiment`.

    `valley` is a StraightValley or a Landscape, with `noise` (see `simlab.experiment.landscapes.build_valley`). `split`
    and `sampled_split` replace `run` and `sample`.
    """

    @door
    def __init__(self, tree: Mapping[str, Any], folder: str | PathLike[str] = ".") -> None:
        self.folder = check_path("folder", folder).resolve()
        self._tree = canonical(tree, self.folder, RIVERS)
        table = self._tree["problem"]
        self._built = build_valley(table)
        self.valley, self.noise = self._built
        self.exact_possible = self._built.straight is not None
        self.schedule = self._build_schedule()
        self.runs = self._build_runs()
        self._record = self._checked_record()
        engine = self._tree.get("engine", {"kind": "exact" if self.exact_possible else "sample"})
        self.engine = engine["kind"]
        if self.engine != "sample" and not self.exact_possible:
            raise InputError(f"engine = {self.engine!r} cannot run {table['kind']}; take 'sample', or river-straight.")
        self._options = descending(engine, self.folder) if self.engine != "exact" else {}

    @classmethod
    @door
    def from_file(cls, path: str | PathLike[str]) -> RiverExperiment:
        """The experiment of a TOML file; paths in it are relative to its folder."""
        source = check_path("path", path)
        return cls(read_toml(source), source.resolve().parent)

    def run(self, progress: Any = None, threads: int | None = None) -> NoReturn:
        """A valley has no trace of risks: refused, in favour of `split`."""
        raise InputError("run gives the risk of a regression, which a river valley is not; call split() instead.")

    def sample(self, progress: Any = None, threads: int | None = None) -> NoReturn:
        """A valley has no trace of risks: refused, in favour of `sampled_split`."""
        raise InputError("sample gives the risk of a regression, which a river is not; call sampled_split() instead.")

    def split(self, threads: int | None = None) -> xr.Dataset:
        """River and hills by (run, step): by the exact engine, or from samples where engine = "sample"."""
        if self.engine == "sample":
            return self.sampled_split(threads)
        from simlab.engines.valley import exact_valley

        assert self._built.straight is not None
        if self.engine == "both":
            check_sampler(self._options)
        return self._stamped(exact_valley(self._built.straight, self.runs, **self._record, threads=threads))

    def sampled_split(self, threads: int | None = None) -> xr.Dataset:
        """The same from an ensemble of trajectories, with standard errors (see `split_of`)."""
        from simlab.engines.descent import descend

        given = {"record": self._record["record"], "threads": threads, **self._options}
        trace = descend(self._built.landscape, self.runs, noise=self.noise, **given)
        return self._stamped(split_of(trace))

    def _stamped(self, trace: xr.Dataset) -> xr.Dataset:
        trace.attrs["experiment"] = json.dumps(self._tree)
        return trace

    def _eigenvalues(self) -> Any:
        if self._built.straight is not None:
            return self._built.straight.hills
        raise InputError("the schedule needs eigenvalues, which differ along a curved river; take another kind.")

    def _checked_record(self) -> dict[str, Any]:
        from simlab.engines.recording import record_steps

        table = table_at(self._tree, "record", "record")
        check_keys(table, "record", RECORD[:2])
        for method in self.runs.values():
            with within("record.steps", (), alias="record"):
                record_steps(table.get("steps"), method.length)
        if self._built.straight is not None:
            self._source = self._built.straight.hill_problem()
            return {"record": table.get("steps"), "subspaces": self._build_subspaces(table.get("subspaces"))}
        if "subspaces" in table:
            kind = self._tree["problem"]["kind"]
            raise InputError(f"record.subspaces is given for {kind}; only river-straight has it.")
        return {"record": table.get("steps"), "subspaces": whole()}

    def __repr__(self) -> str:
        return f"RiverExperiment({self.valley!r}, runs: {', '.join(self.runs)})"


def split_of(trace: xr.Dataset) -> xr.Dataset:
    """What `simlab.engines.descent.descend` returns for several runs, as `exact_valley` names things.

    total, river_loss, hill_loss and river by (run, step), each with its standard error as `<name>_error`, and quantiles
    of the loss over replicas, `total_quantile`.
    """
    import xarray as xr

    parts = {"total": "loss", "river_loss": "river", "hill_loss": "hill", "river": "coordinate"}
    variables = {}
    for name, quantity in parts.items():
        variables[name] = trace["mean"].sel(quantity=quantity, drop=True).transpose("run", "step")
        variables[f"{name}_error"] = trace["standard_error"].sel(quantity=quantity, drop=True).transpose("run", "step")
    loss = trace["quantiles"].sel(quantity="loss", drop=True)
    variables["total_quantile"] = loss.transpose("run", "step", "quantile")
    coordinates = {name: trace[name] for name in ("lr", "status", "ended_at")}
    return xr.Dataset(variables, coordinates, dict(trace.attrs))


def final_table(trace: xr.Dataset) -> str:
    """Loss, its parts and the river coordinate where each run ended, with standard errors of a sampled trace."""
    wide = max(3, *(len(str(run)) for run in trace["run"].values))
    names = ("total", "river_loss", "hill_loss", "river")
    lines = [f"{'run':<{wide}}" + "".join(f"{name:>24}" for name in ("loss", "river", "hills", "coordinate"))]
    for run in trace["run"].values:
        row = trace.sel(run=run)
        end = row.sel(step=int(row["ended_at"]), method="pad")
        cells = []
        for name in names:
            value = float(end[name].sum("subspace", skipna=False) if "subspace" in end[name].dims else end[name])
            known = float(end[f"{name}_error"]) if f"{name}_error" in end else 0.0
            error = f" +- {known:.1e}" if known > 1e-9 * abs(value) else ""
            cells.append(f"{f'{value:.5g}{error}':>24}")
        status = str(row["status"].values)
        ending = "" if status == "done" else f"  {status} at step {int(row['ended_at'])}"
        lines.append(f"{run:<{wide}}{''.join(cells)}{ending}")
    return "\n".join(lines)


def z_table(sampled: xr.Dataset, exact: xr.Dataset) -> str:
    """The largest |z| of sampled against exact loss, river, hills and coordinate over all runs and steps."""
    known = {name: exact[name] for name in ("total", "river_loss", "river")}
    known["hill_loss"] = exact["hill_loss"].sum("subspace", skipna=False)
    worst, count = {}, 0
    for name, values in known.items():
        error = sampled[f"{name}_error"].where(sampled[f"{name}_error"] > 1e-9 * (1.0 + np.abs(values)))
        z: xr.DataArray = abs((sampled[name] - values) / error)
        # No number where nothing is random, as along a river without noise.
        worst[name], count = f"{float(z.max()):.2f}" if z.count() else "-", count + int(z.count())
    cells = ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in worst.items())
    return f"sampled against exact: largest |z| of {count} comparisons: {cells}"
