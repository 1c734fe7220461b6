"""River valleys: loss, river and hills, exact where the valley is straight, or sampled."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import numpy.typing as npt

from simlab.engines.registry import ENGINES, Engine
from simlab.errors import InputError, brief, check_count
from simlab.experiment.engine import Setting
from simlab.experiment.families.base import (
    Array,
    Declared,
    Family,
    Interrupted,
    Outcome,
    Runs,
    Schema,
    Tick,
    family,
    sampling,
    statuses,
)
from simlab.experiment.landscape import RIVERS, Valley, build_valley
from simlab.experiment.tables import Table, within
from simlab.methods import Method
from simlab.trace.text import with_text

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from simlab.problems import NoisyQuadratic

__all__ = ["PARTS", "Valleys"]

PARTS = ("total", "river_loss", "hill_loss", "river")
"""Loss, its two parts, and the coordinate along the river: kept at every record, and as final_.. where a run ended."""
HEADS = ["loss", "river", "hills", "coordinate"]

DEARER = 10.0
"""A coordinate of a landscape, its gradient and noise in double precision, against one of the sampler."""
HILL = "#ad9f86"


@family
class Valleys(Family):
    """The kinds of `RIVERS`; traces are datasets by (run, step) with the variables of `exact_valley`."""

    kinds = RIVERS
    engines: ClassVar[Mapping[str, Engine]] = {"exact": ENGINES["exact_valley"], "sample": ENGINES["descend"]}
    recorded = ("steps", "subspaces", "keep")
    withheld = frozenset({"dtype"})
    risk = unit = "loss"
    differences = True
    needed = ("final_total",)

    # -- the problem

    def source(self, table: Table, folder: Path) -> Valley:
        """The valley and the noise on it."""
        return build_valley(table)

    def default(self, source: Valley) -> str:
        """Exact where that is possible."""
        return "sample" if source.straight is None else "exact"

    def eigenvalues(self, source: Valley) -> npt.ArrayLike:
        """Curvatures of the hills (d,), which a straight valley alone has."""
        if source.straight is None:
            raise InputError("the schedule needs eigenvalues, which differ along a curved river; take another kind.")
        return source.straight.hills

    def modes(self, setting: Setting, source: Valley) -> NoisyQuadratic | None:
        """The hills of a straight valley, which the exact engine records by subspace."""
        if setting.engine == "sample" or source.straight is None:
            return None
        return source.straight.hill_problem()

    def check(self, source: Valley, table: Table, setting: Setting) -> None:
        """That the exact engine has a straight valley, and the arguments of the sampler."""
        from simlab.engines.replicas.statistics import quantile_levels

        if (setting.start is not None or setting.extras["keep"] is not None) and setting.engine != "sample":
            where = "start" if setting.start is not None else "record.keep"
            raise InputError(" is for sampled valleys; give engine = 'sample', or leave it out.", where)
        if setting.start is not None:
            setting.start.require("landscape", "descend")
        if setting.legs[0] in ("long", "limit"):
            raise InputError(
                f" = {brief(setting.legs[0])} takes risks alone; give 'exact' (river-straight) or 'sample'.", "engine"
            )
        if setting.engine != "sample" and source.straight is None:
            raise InputError(
                f" = {brief(setting.engine)} cannot run {table['kind']}; take 'sample', or river-straight.", "engine"
            )
        if setting.partition.expression != "whole()" and source.straight is None:
            raise InputError(f" is given for {table['kind']}; only river-straight has it.", "record.subspaces")
        if setting.engine == "exact":
            return
        with within("engine", setting.options):
            check_count("replicas", setting.options["replicas"])
            check_count("seed", setting.options["seed"], low=0, high=2**64 - 1)
            quantile_levels(setting.options["quantiles"])
            for name in ("block", "every"):
                if setting.options[name] is not None:
                    check_count(name, setting.options[name])

    # -- a run of its own

    def exact(self, problem: Valley, runs: Runs, setting: Setting, **how: Any) -> xr.Dataset:
        """By `simlab.exact_valley`."""
        assert problem.straight is not None
        given = {"record": setting.record, "subspaces": setting.partition, **how}
        trace: xr.Dataset = self.engines["exact"].door(problem.straight, runs, **given)
        return trace

    def sample(self, source: Valley, runs: Runs, setting: Setting, **how: Any) -> xr.Dataset:
        """By `simlab.descend`."""
        given = {"noise": source.noise, "record": setting.record, "device": setting.device, **setting.options}
        given |= {"start": setting.start, "keep": setting.extras["keep"], **how}
        trace: xr.Dataset = self.engines["sample"].door(source.landscape, runs, **given)
        return trace

    def figure(self, source: Valley, trace: xr.Dataset, sampled: xr.Dataset | None) -> Figure:
        """River and hills over the steps."""
        from simlab.plot import river

        straight = source.straight
        cap = 2.0 / source.landscape.sharpness() if straight is None else straight.critical_lr
        where = " at the start" if straight is None else ""
        return river.split(trace, note=f"cap on the peak of SGD, 2/λ$_{{max}}${where}: {cap:.4g}")

    def save(self, trace: xr.Dataset, path: Path) -> None:
        """Text of variable length, which the zarr v3 specification knows; and no leftovers of another encoding."""
        with_text(trace).drop_encoding().to_zarr(path, mode="w", zarr_format=3, consolidated=False)

    def final_table(self, trace: xr.Dataset) -> str:
        """Loss, its parts and the coordinate where each run ended, with standard errors of a sampled trace."""
        wide = max(3, *(len(str(run)) for run in trace["run"].values))
        lines = [f"{'run':<{wide}}" + "".join(f"{name:>24}" for name in HEADS)]
        for run in trace["run"].values:
            row = trace.sel(run=run)
            end = row.sel(step=int(row["ended_at"]), method="pad")
            cells = "".join(f"{text:>24}" for text in _numbers(end, ""))
            status = str(row["status"].values)
            ending = "" if status == "done" else f"  {status} at step {int(row['ended_at'])}"
            lines.append(f"{run:<{wide}}{cells}{ending}")
        return "\n".join(lines)

    def z_table(self, sampled: xr.Dataset, exact: xr.Dataset) -> str:
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

    # -- cells of a sweep

    def work(self, setting: Setting, source: Valley, table: Table, method: Method) -> float:
        """Hills times steps, by the square of the state or the replicas; a rotation costs a product with its matrix."""
        dim = source.ground.dim
        if setting.engine == "exact":
            return float(dim) * method.length * method.state_size**2
        turned = source.straight is None and source.landscape.turned
        return DEARER * (dim * (1 + dim) if turned else dim) * method.length * float(setting.options["replicas"])

    def variables(self, schema: Schema) -> Declared:
        """PARTS and final_ of them; exact ones by subspaces of the hills, sampled ones with standard errors."""
        step, n = (schema.lead,), (schema.records,)
        out: Declared = {}
        for name in PARTS:
            dims: tuple[str, ...] = ()
            sizes: tuple[int, ...] = ()
            if name == "hill_loss" and not schema.sampled:
                dims, sizes = ("subspace",), (len(schema.subspaces),)
            out[name] = ((*step, *dims), (*n, *sizes), "float64")
            out[f"final_{name}"] = (dims, sizes, "float64")
        if not schema.sampled:
            return {**out, "hill_bias": out["hill_loss"], "river_spread": out["river"]}
        for name in PARTS:
            out[f"{name}_error"], out[f"final_{name}_error"] = out[name], out[f"final_{name}"]
        out["total_quantile"] = ((*step, "quantile"), (*n, len(schema.quantiles)), "float64")
        return out

    def units(self, name: str) -> str:
        """Of losses; the river's coordinate has none."""
        part = name.removeprefix("final_").removesuffix("_error")
        return "loss" if part in (*PARTS[:3], "hill_bias", "total_quantile") else ""

    def compute(
        self, problem: Valley, methods: Sequence[Method], setting: Setting, device: str, tick: Tick | None
    ) -> Outcome:
        """The exact split, or an ensemble; a cell that leaves the valley says so by its status."""
        runs, how = {str(j): method for j, method in enumerate(methods)}, sampling(setting, device, tick)
        if setting.engine == "sample":
            # Of "auto" the engine knows what a GPU cannot run.
            where = "auto" if setting.device == "auto" and device == "gpu" else device
            trace = self.sample(problem, runs, setting, **{**how, "device": where, "warn": False})
        else:
            trace = self.exact(problem, runs, setting, threads=1, progress=how["progress"], warn=False)
        if trace.sizes["run"] < len(runs):
            raise Interrupted
        return _outcome(trace)

    # -- the answer of a sweep

    def whole(self, data: xr.Dataset) -> xr.DataArray:
        """The loss."""
        return data["final_total"]

    def composition(self, cells: Sequence[tuple[str, xr.Dataset]]) -> tuple[str, list[str], list[list[str]]]:
        """River and hills."""
        rows = [[name, *_numbers(cell, "final_", padded=True)] for name, cell in cells]
        return "what the loss of the best is made of, and how far they got", ["of", *HEADS], rows

    def bars(self, axes: Axes, cells: Sequence[xr.Dataset]) -> None:
        """River loss from 0, hill loss on its end, and the sum as a line."""
        from simlab.plot.terrain import WATER

        parts = [[float(cell[f"final_{name}"].sum()) for name in PARTS[:3]] for cell in cells]
        total, river, hills = np.array(parts).reshape(-1, 3).T
        rows = np.arange(len(cells))
        axes.barh(rows, river, color=WATER, height=0.65)
        axes.barh(rows, hills, left=river, color=HILL, hatch="////", edgecolor="white", linewidth=0.3, height=0.35)
        axes.vlines(total, rows - 0.36, rows + 0.36, color="black", linewidth=1.6)
        ends = np.concatenate([[0.0], river, river + hills])
        room = 0.04 * float(np.ptp(ends))
        axes.set_xlim(ends.min() - room, ends.max() + room)
        axes.set_xlabel("loss of the best (line)")

    def legend(self, data: xr.Dataset) -> dict[str, Any]:
        """River and hills."""
        from matplotlib.patches import Patch

        from simlab.plot.terrain import WATER

        hills = Patch(facecolor=HILL, hatch="////", edgecolor="white", label="hills")
        return {"handles": [Patch(color=WATER, label="river"), hills], "ncols": 2}

    def columns(self, data: xr.Dataset, dims: Sequence[str]) -> dict[str, Array]:
        """PARTS, "hill_loss 1-32" by subspace, and errors of samples."""
        columns: dict[str, Array] = {}
        for each in (f"final_{name}{suffix}" for name in PARTS for suffix in ("", "_error")):
            if each not in data:
                continue
            name, values = each.removeprefix("final_"), data[each].transpose(*dims, ...)
            if "subspace" in values.dims:
                for j, subspace in enumerate(values["subspace"].values):
                    columns[f"{name} {subspace}"] = values.values[..., j].ravel()
            else:
                columns[name] = values.values.ravel()
        return columns


def _numbers(data: xr.Dataset, prefix: str, padded: bool = False) -> list[str]:
    """PARTS of one run at one step, with standard errors where there are some; padded : with subspaces of others."""
    texts = []
    for name in PARTS:
        values = data[prefix + name]
        value = float(values.sum("subspace", skipna=padded) if "subspace" in values.dims else values)
        known = data.get(f"{prefix}{name}_error")
        error = 0.0 if known is None else float(known)
        texts.append(f"{value:.5g}" + (f" +- {error:.1e}" if error > 1e-9 * abs(value) else ""))
    return texts


def _outcome(trace: xr.Dataset) -> Outcome:
    """The variables kept by (run, step, ..), and the values of PARTS at the last record that a run got to."""
    kept = (*PARTS, *(f"{name}_error" for name in PARTS), "total_quantile", "hill_bias", "river_spread")
    out: Outcome = {name: trace[name].transpose("run", "step", ...).values for name in kept if name in trace}
    last = np.searchsorted(trace["step"].values, trace["ended_at"].values, side="right") - 1
    for name in PARTS:
        for each in (name, f"{name}_error"):
            if each in out:
                out[f"final_{each}"] = out[each][np.arange(last.size), last]
    out["ended_at"] = trace["ended_at"].values
    out["status"] = statuses(trace["status"].values)
    return out
