"""Experiment files whose problem is a river valley: problem.kind = "river-straight", "river-curved", ..

Tables are those of every experiment file; what is recorded is the loss split into river and hills. Straight valleys run
on the exact engine by default, and sampled, or both; all others are sampled (`simlab.engines.descent`).
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from simlab.errors import InputError, check_count, check_number, unknown_name
from simlab.experiment.document import RECORD, Experiment, canonical, read_toml
from simlab.experiment.tables import Table, call, check_keys, kind_of, shown, table_at
from simlab.river.straight import StraightValley
from simlab.schedules.registry import spelling

if TYPE_CHECKING:
    import xarray as xr

    from simlab.river.landscapes import Landscape
    from simlab.river.noise import Noise

__all__ = ["RIVERS", "RiverExperiment", "final_table", "is_river", "split_of", "z_table"]

NOISES = ("isotropic", "hessian", "hills", "none")


def straight(
    hills: Sequence[float],
    count: int | None = None,
    slope: float | None = None,
    curvature: float | None = None,
    target: float | None = None,
    noise: float | Sequence[float] = 1.0,
    river_noise: float = 0.0,
    hill_start: float | Sequence[float] = 0.0,
    river_start: float = 0.0,
) -> StraightValley:
    """See `StraightValley`; with `count`, that many hills in equal ratios from the first of `hills` to the last."""
    lam = np.asarray(hills, dtype=np.float64)
    if count is not None:
        if lam.size != 2 or not np.all(lam > 0.0):
            raise InputError(f"hills = {shown(hills)} with count; give two positive curvatures, first and last.")
        lam = np.geomspace(lam.max(), lam.min(), check_count("count", count))
    return StraightValley(
        lam, slope=slope, curvature=curvature, target=target, noise=noise, river_noise=river_noise,
        hill_start=hill_start, river_start=river_start,
    )  # fmt: skip


def curved(
    mu: float = 0.1,
    lam: float = 10.0,
    amplitude: float = 1.0,
    wavenumber: float = 0.5,
    target: float = 5.0,
    slope: float = 0.0,
    start: Sequence[float] | None = None,
) -> Any:
    """See `simlab.river.curved`."""
    from simlab.river import valleys

    return valleys.curved(mu, lam, amplitude, wavenumber, target, slope, start)


def narrowing(
    first: float | Sequence[float] = 1.0,
    last: float | Sequence[float] = 20.0,
    centre: float = 5.0,
    width: float = 2.0,
    slope: float = 0.1,
    mu: float = 0.0,
    target: float = 0.0,
    start: Sequence[float] | None = None,
) -> Any:
    """See `simlab.river.narrowing`; a valley that widens has first > last."""
    from simlab.river import valleys

    return valleys.narrowing(first, last, centre, width, slope, mu, target, start)


def hyperbolic(start: Sequence[float] = (2.0, 2.0)) -> Any:
    """See `simlab.river.hyperbolic`."""
    from simlab.river import valleys

    return valleys.hyperbolic(start)


_LANDSCAPES: dict[str, Any] = {
    "river-curved": curved,
    "river-hyperbolic": hyperbolic,
    "river-narrowing": narrowing,
}
RIVERS = ("river-straight", *_LANDSCAPES)
"""Kinds of problems; a valley that widens is a `river-narrowing` with first > last."""


def is_river(tree: Mapping[str, Any]) -> bool:
    """Whether the table [problem] has a kind that begins with "river"."""
    problem = tree.get("problem")
    kind = problem.get("kind") if isinstance(problem, Mapping) else None
    return isinstance(kind, str) and spelling(kind).startswith("river")


class RiverExperiment(Experiment):
    """A river valley and the methods to run in it side by side; made like any `Experiment`.

    `problem` is a StraightValley or a Landscape; `noise` of the landscapes is isotropic of standard deviation `noise`,
    or, by `noise_kind`, "hessian", "hills" or "none". `split` and `sampled_split` replace `run` and `sample`.
    """

    def __init__(self, tree: Mapping[str, Any], folder: str | PathLike[str] = ".") -> None:
        self.folder = Path(folder).resolve()
        self._tree = canonical(tree, self.folder, RIVERS)
        table = self._tree["problem"]
        self.valley, self.noise = _build(table)
        self.exact_possible = isinstance(self.valley, StraightValley)
        self.schedule = self._build_schedule()
        self.runs = self._build_runs()
        self._record = self._checked_record()
        engine = self._tree.get("engine", {"kind": "exact" if self.exact_possible else "sample"})
        self.engine = engine["kind"]
        if self.engine != "sample" and not self.exact_possible:
            raise InputError(f"engine = {self.engine!r} cannot run {table['kind']}; take 'sample', or river-straight.")
        check_keys(engine, "engine", ("kind", "replicas", "seed"))
        self._options = {name: engine[name] for name in ("replicas", "seed") if name in engine}

    @classmethod
    def from_file(cls, path: str | PathLike[str]) -> RiverExperiment:
        """The experiment of a TOML file; paths in it are relative to its folder."""
        return cls(read_toml(path), Path(path).resolve().parent)

    def split(self, threads: int | None = None) -> xr.Dataset:
        """River and hills by (run, step): by the exact engine, or from samples where engine = "sample"."""
        if self.engine == "sample":
            return self.sampled_split(threads)
        from simlab.engines.valley import exact_valley

        assert isinstance(self.valley, StraightValley)
        return self._stamped(exact_valley(self.valley, self.runs, **self._record, threads=threads))

    def sampled_split(self, threads: int | None = None) -> xr.Dataset:
        """The same from an ensemble of trajectories, with standard errors (see `split_of`)."""
        from simlab.engines.descent import descend

        landscape = self.valley.landscape() if isinstance(self.valley, StraightValley) else self.valley
        record = self._record["record"]
        trace = descend(landscape, self.runs, noise=self.noise, record=record, threads=threads, **self._options)
        return self._stamped(split_of(trace))

    def _stamped(self, trace: xr.Dataset) -> xr.Dataset:
        trace.attrs["experiment"] = json.dumps(self._tree)
        return trace

    def _eigenvalues(self) -> Any:
        if isinstance(self.valley, StraightValley):
            return self.valley.hills
        raise InputError("the schedule needs eigenvalues, which differ along a curved river; take another kind.")

    def _checked_record(self) -> dict[str, Any]:
        from simlab.engines.recording import record_steps

        table = table_at(self._tree, "record", "record")
        check_keys(table, "record", RECORD[:2])
        for method in self.runs.values():
            record_steps(table.get("steps"), method.length)
        if "subspaces" in table and not self.exact_possible:
            kind = self._tree["problem"]["kind"]
            raise InputError(f"record.subspaces is given for {kind}; only river-straight has it.")
        return {"record": table.get("steps"), "subspaces": table.get("subspaces")}

    def __repr__(self) -> str:
        return f"RiverExperiment({self.valley!r}, runs: {', '.join(self.runs)})"


def _build(table: Table) -> tuple[StraightValley | Landscape, Noise]:
    from simlab.river import noise as noises

    kind = kind_of(table, "problem", RIVERS)
    if kind == "river-straight":
        valley: StraightValley = call(straight, table, "problem", {})
        return valley, noises.diagonal(np.sqrt(np.append(valley.river_noise, valley.noise)))
    given = {key: value for key, value in table.items() if key not in ("noise", "noise_kind")}
    landscape: Landscape = call(_LANDSCAPES[kind], given, "problem", {})
    sigma = check_number("problem.noise", table.get("noise", 1.0), low=0.0)
    law = table.get("noise_kind", "isotropic")
    if law not in NOISES:
        raise unknown_name("problem.noise_kind", law, NOISES)
    made = {
        "isotropic": lambda: noises.isotropic(sigma),
        "hessian": lambda: noises.like_hessian(sigma),
        "hills": lambda: noises.along_hills(sigma),
        "none": noises.none,
    }
    return landscape, made[law]()


def split_of(trace: xr.Dataset) -> xr.Dataset:
    """What `simlab.engines.descent.descend` returns for several runs, as `exact_valley` names things.

    total, river_loss, hill_loss and river by (run, step), each with its standard error as `<name>_error`.
    """
    import xarray as xr

    parts = {"total": "loss", "river_loss": "river", "hill_loss": "hill", "river": "coordinate"}
    variables = {}
    for name, quantity in parts.items():
        variables[name] = trace["mean"].sel(quantity=quantity, drop=True).transpose("run", "step")
        variables[f"{name}_error"] = trace["standard_error"].sel(quantity=quantity, drop=True).transpose("run", "step")
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
