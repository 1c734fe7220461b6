"""Sweeps of river valleys: loss, river and hills of every cell, exact where the valley is straight, or sampled."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from simlab.errors import InputError
from simlab.experiment.landscapes import RIVERS, Valley, build_valley
from simlab.experiment.tables import Table
from simlab.experiment.valley import RiverExperiment, descending, split_of
from simlab.sweeps.schema import STATUS, Cell, Declared, Interrupted, Outcome, Schema, Tick, lead, ticking

if TYPE_CHECKING:
    import xarray as xr

    from simlab.problems import NoisyQuadratic
    from simlab.sweeps.plan import Sweep

__all__ = ["PARTS", "Valleys"]

PARTS = ("total", "river_loss", "hill_loss", "river")
"""Loss, its two parts, and the coordinate along the river: kept at every record, and as final_.. where a run ended."""

DEARER = 10.0
"""A coordinate of a landscape, its gradient and noise in double precision, against one of the sampler."""


class Valleys:
    """The family of the kinds of `RIVERS`; variables are named as `RiverExperiment.split` names them."""

    kinds = RIVERS

    def experiment(self, tree: Table, folder: Path) -> RiverExperiment:
        """The experiment that `simlab run` would run."""
        return RiverExperiment(tree, folder)

    def device(self, engine: str) -> str:
        """A GPU if there is one, for samples."""
        return "cpu" if engine == "exact" else "auto"

    def source(self, table: Table, folder: Path) -> Valley:
        """The valley and the noise on it."""
        return build_valley(table)

    def eigenvalues(self, source: Valley) -> npt.ArrayLike:
        """Curvatures of the hills (d,), which a straight valley alone has."""
        if source.straight is None:
            raise InputError("schedule needs eigenvalues, which differ along a curved river; take another kind.")
        return source.straight.hills

    def modes(self, sweep: Sweep, source: Valley) -> NoisyQuadratic | None:
        """The hills of a straight valley, which the exact engine records by subspace."""
        exact = sweep.engine == "exact" and source.straight is not None
        return source.straight.hill_problem() if exact and source.straight is not None else None

    def checked(self, sweep: Sweep, cell: Cell) -> Valley:
        """The valley of a cell."""
        source: Valley = sweep.builder.source(cell.tree, cell.problem)
        if sweep.engine == "sample":
            descending(cell.tree.get("engine", {}), sweep.folder)
        elif source.straight is None:
            kind = cell.tree["problem"]["kind"]
            raise InputError(f"engine = 'exact' cannot run {kind}; take 'sample', or sweep river-straight alone.")
        return source

    def components(self, sweep: Sweep, source: Valley) -> tuple[str, ...]:
        """None: river and hills are variables of their own."""
        return ()

    def work(self, sweep: Sweep, cell: Cell) -> float:
        """Hills times steps, by the square of the state or the replicas; a rotation costs a product with its matrix."""
        source: Valley = sweep.builder.source(cell.tree, cell.problem)
        if sweep.engine == "exact":
            return float(source.ground.dim) * cell.method.length * cell.method.state_size**2
        dim, replicas = source.ground.dim, float(cell.tree.get("engine", {}).get("replicas", 256))
        turned = source.straight is None and source.landscape.turned
        return DEARER * (dim * (1 + dim) if turned else dim) * cell.method.length * replicas

    def variables(self, sweep: Sweep, schema: Schema) -> Declared:
        """PARTS and final_ of them; exact ones by subspaces of the hills, sampled ones with standard errors."""
        step, n = (lead(schema),), (schema.records,)
        groups: tuple[tuple[str, ...], tuple[int, ...]] = ((), ())
        if not schema.sampled:
            groups = (("subspace",), (len(schema.subspaces),))
        out: Declared = {}
        for name in PARTS:
            dims, sizes = groups if name == "hill_loss" else ((), ())
            out[name] = ((*step, *dims), (*n, *sizes), "float64")
            out[f"final_{name}"] = (dims, sizes, "float64")
        if not schema.sampled:
            out["hill_bias"] = out["hill_loss"]
            out["river_spread"] = out["river"]
            return out
        for name in PARTS:
            out[f"{name}_error"], out[f"final_{name}_error"] = out[name], out[f"final_{name}"]
        out["total_quantile"] = ((*step, "quantile"), (*n, len(self.quantiles(sweep))), "float64")
        return out

    def units(self, name: str) -> str:
        """Of losses; the river's coordinate has none."""
        part = name.removeprefix("final_").removesuffix("_error")
        return "loss" if part in (*PARTS[:3], "hill_bias", "total_quantile") else ""

    def quantiles(self, sweep: Sweep) -> list[float]:
        """As the experiment says."""
        return list(descending(sweep.base.get("engine", {}), sweep.folder)["quantiles"])

    def run(self, sweep: Sweep, cells: list[Cell], device: str, tick: Tick | None) -> Outcome:
        """The exact split, or an ensemble."""
        source: Valley = sweep.builder.source(cells[0].tree, cells[0].problem)
        named = {str(cell.number): cell.method for cell in cells}
        # A cell that leaves the valley says so by its status.
        given: dict[str, Any] = {"record": sweep.record, "threads": 1, "progress": ticking(tick), "warn": False}
        if sweep.engine == "sample":
            from simlab.engines.descent import descend

            options = descending(cells[0].tree.get("engine", {}), sweep.folder)
            # Of "auto" the engine knows what a GPU cannot run.
            where = "auto" if sweep.device == "auto" and device == "gpu" else device
            options |= {"checkpoint": None, "every": None, "device": where}
            trace = descend(source.landscape, named, noise=source.noise, **given, **options)
            trace = split_of(trace) if "run" in trace.dims else trace
        else:
            from simlab.engines.valley import exact_valley

            assert source.straight is not None
            trace = exact_valley(source.straight, named, subspaces=sweep.partition, **given)
        if np.any(trace["status"].values == "interrupted") or trace.sizes["run"] < len(cells):
            raise Interrupted
        return _outcome(trace)


def _outcome(trace: xr.Dataset) -> Outcome:
    """All variables by (run, step, ..), and the values of PARTS at the last record that a run got to."""
    skipped = ("lr", "status", "ended_at")
    out: Outcome = {
        str(name): values.transpose("run", "step", ...).values
        for name, values in trace.data_vars.items()
        if name not in skipped
    }
    last = np.searchsorted(trace["step"].values, trace["ended_at"].values, side="right") - 1
    for name in PARTS:
        for each in (name, f"{name}_error"):
            if each in out:
                out[f"final_{each}"] = out[each][np.arange(last.size), last]
    out["ended_at"] = trace["ended_at"].values
    out["status"] = np.array([STATUS.index(str(status)) for status in trace["status"].values])
    return out
