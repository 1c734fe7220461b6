"""Risks: linear regressions and noisy quadratics, by component and eigen-subspace, exact or sampled."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import numpy.typing as npt

from simlab.engines.registry import ENGINES, Engine
from simlab.errors import InputError, check_number
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
from simlab.experiment.families.final import final_table, z_table
from simlab.experiment.problem import (
    PROBLEMS,
    Problem,
    build_problem,
    check_compressible,
    compress,
    files_of,
    tolerance,
)
from simlab.experiment.tables import Table, within
from simlab.methods import Method
from simlab.problems import EmpiricalRegression
from simlab.trace.recording import record_steps

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from simlab.trace import RiskTrace

__all__ = ["Risks"]


NODES = 300
"""Of a compressed problem, roughly."""

LONG_WORK = 1.2e8
"""Node-steps that the long engine's work on a run is worth, roughly, for each entry of the moments."""


@family
class Risks(Family):
    """All problems of `PROBLEMS`; variables `risk` and `final_risk` by component and subspace."""

    kinds = tuple(PROBLEMS)
    engines: ClassVar[Mapping[str, Engine]] = {name: ENGINES[name] for name in ("exact", "long", "limit", "sample")}
    recorded = ("steps", "subspaces", "deterministic", "snapshots", "keep")
    risk, unit = "risk", "excess risk"
    needed = ("final_risk", "component", "subspace")

    # -- the problem

    def source(self, table: Table, folder: Path) -> Problem:
        """The problem before any compression."""
        return build_problem(table, folder)

    def located(self, table: Table, folder: Path) -> Table:
        """The path of measured data, or of a spectrum, and of rows held out."""
        return {**table, **{key: str((folder / path).resolve()) for key, path in files_of(table).items()}}

    def facts(self, table: Table) -> dict[str, str]:
        """The digests of measured data, or of a spectrum, and of rows held out."""
        names = {"path": "data_sha256", "holdout": "holdout_sha256"}
        return {names[key]: hashlib.sha256(path.read_bytes()).hexdigest() for key, path in files_of(table).items()}

    def bare(self, table: Table) -> Table:
        """Without compression."""
        return {key: value for key, value in table.items() if key != "compress"}

    def eigenvalues(self, source: Problem) -> npt.ArrayLike:
        """Of the Hessian, (d,)."""
        return source.modes().eigenvalues if hasattr(source, "modes") else source.eigenvalues

    def modal(self, source: Problem) -> Problem:
        """The problem itself."""
        return source

    def modes(self, setting: Setting, source: Problem) -> Problem:
        """The problem itself."""
        return source

    def check(self, source: Problem, table: Table, setting: Setting) -> None:
        """The arguments of the sampler, and that nodes can stand for the modes where they are asked for."""
        if "long" in setting.legs:
            self._check_long(source, setting)
        if setting.engine == "limit":
            self._check_limit(table, setting)
        if setting.sampled:
            from simlab.engines.sample import check_sampling

            with within("engine", setting.options):
                draws, _, _ = check_sampling(source, **setting.options)
            if setting.engine == "both" and draws.law == "epochs":
                raise InputError(
                    " = 'epochs' has no exact engine to be held against, which is that of rows drawn with replacement; "
                    "take law = 'rows', or kind = 'sample'.",
                    "engine.law",
                )
        if "exact" in setting.legs and tolerance(table) is not None:
            check_compressible(source, table)
        if setting.start is not None:
            if setting.engine == "both":
                raise InputError(
                    " is a state of one engine, and both are asked for; give engine = the one that kept it.", "start"
                )
            from simlab.engines.exact import kind_of_state
            from simlab.engines.sample import kind_of_replicas

            kind = kind_of_replicas if setting.engine == "sample" else kind_of_state
            setting.start.require(kind(source), setting.engine)

    def _check_long(self, source: Problem, setting: Setting) -> None:
        """What the long engine does not take, and its own arguments."""
        if isinstance(source, EmpiricalRegression):
            raise InputError(
                " = 'long' takes no data set's own moments; give moments = 'gaussian', or 'exact'.", "engine"
            )
        asked = {f"record.{name}": value for name, value in setting.extras.items() if name != "keep"}
        for where, value in asked.items():
            if value:
                raise InputError(" is not known to the long engine; leave it out, or give engine = 'exact'.", where)
        for key, low, high in (("tolerance", 1e-9, 0.1), ("budget", 0.0, np.inf)):
            if key in setting.bounds:
                check_number(f"engine.{key}", setting.bounds[key], low=low, high=high)

    def _check_limit(self, table: Table, setting: Setting) -> None:
        """What the limit does not take."""
        asked = {f"record.{name}": value for name, value in setting.extras.items()}
        asked |= {"problem.compress": tolerance(table) is not None, "start": setting.start is not None}
        for where, value in asked.items():
            if value:
                raise InputError(" is not known to the limit; leave it out, or give engine = 'sample'.", where)

    def problem(self, source: Problem, table: Table, partition: Any, methods: Callable[[], Sequence[Method]]) -> Any:
        """Compressed, if its table says so, to nodes that are right for all of `methods`."""
        return source if tolerance(table) is None else compress(source, table, partition, methods())

    # -- a run of its own

    def exact(self, problem: Any, runs: Runs, setting: Setting, **how: Any) -> RiskTrace:
        """By `simlab.exact`; of engine = "both", the device is the sampler's."""
        device = setting.device if setting.engine == "exact" else "cpu"
        given = {"record": setting.record, "subspaces": setting.partition, "device": device, "start": setting.start}
        given |= {**setting.extras, **how}
        trace: RiskTrace = self.engines["exact"].door(problem, _labelled(runs, setting), **given)
        return trace

    def long(self, problem: Any, runs: Runs, setting: Setting, **how: Any) -> RiskTrace:
        """By `simlab.long`."""
        given = {"record": setting.record, "subspaces": setting.partition, **setting.bounds, "start": setting.start}
        given |= {"keep": setting.extras["keep"], **how}
        trace: RiskTrace = self.engines["long"].door(problem, _labelled(runs, setting), **given)
        return trace

    def limit(self, problem: Any, runs: Runs, setting: Setting, **how: Any) -> RiskTrace:
        """By `simlab.limit`."""
        given = {"record": setting.record, "subspaces": setting.partition, **how}
        trace: RiskTrace = self.engines["limit"].door(problem, _labelled(runs, setting), **given)
        return trace

    def sample(self, source: Any, runs: Runs, setting: Setting, **how: Any) -> RiskTrace:
        """By `simlab.sample`."""
        given = {"record": setting.record, "subspaces": setting.partition, "device": setting.device}
        given |= {**setting.options, "start": setting.start, "keep": setting.extras["keep"], **how}
        trace: RiskTrace = self.engines["sample"].door(source, _labelled(runs, setting), **given)
        return trace

    def figure(self, source: Any, trace: RiskTrace, sampled: RiskTrace | None) -> Figure:
        """Risk by component and subspace over the steps."""
        from simlab import plot

        return plot.risk(trace, sampled=sampled)

    def save(self, trace: RiskTrace, path: Path) -> None:
        """As `RiskTrace.load` reads it."""
        trace.save(path)

    def final_table(self, trace: RiskTrace) -> str:
        """Bias, variance and risk by subspace where each run ended, with totals and the status, a block for each."""
        return final_table(trace)

    def z_table(self, sampled: RiskTrace, exact: RiskTrace) -> str:
        """The largest |z| of sampled against exact risk by component and subspace, over all steps and runs."""
        return z_table(sampled, exact)

    # -- cells of a sweep

    def components(self, setting: Setting, source: Problem) -> tuple[str, ...]:
        """Bias and variance, a cross term of a data set's own moments; of one trajectory, the total."""
        if setting.engine == "sample":
            return ("bias", "variance", "cross") if setting.options["split"] else ("total",)
        parts = ("bias", "variance", "cross") if isinstance(source, EmpiricalRegression) else ("bias", "variance")
        return (*parts, "deterministic") if setting.extras["deterministic"] else parts

    def heldout(self, source: Any) -> bool:
        """Whether rows are held out from a data set."""
        return getattr(source, "heldout", None) is not None

    def work(self, setting: Setting, source: Any, table: Table, method: Method) -> float:
        """Modes times steps, by the square of the state or the replicas."""
        if setting.engine == "sample":
            return float(source.dim) * method.length * float(setting.options["replicas"])
        if setting.engine == "long":
            return float(LONG_WORK * method.state_size**2)
        nodes = source.dim if tolerance(table) is None else NODES
        return float(nodes) * method.length * method.state_size**2

    def variables(self, schema: Schema) -> Declared:
        """risk and final_risk; of samples their errors as well."""
        step, n, parts = schema.lead, schema.records, (len(schema.components), len(schema.subspaces))
        out: Declared = {
            "risk": ((step, "component", "subspace"), (n, *parts), "float64"),
            "final_risk": (("component", "subspace"), parts, "float64"),
        }
        if schema.sampled:
            out["standard_error"] = out["risk"]
            out["risk_error"] = ((step, "subspace"), (n, parts[1]), "float64")
            out["total_error"] = ((step,), (n,), "float64")
            out["total_quantile"] = ((step, "quantile"), (n, len(schema.quantiles)), "float64")
        if schema.estimated:
            out["risk_error"], out["final_error"] = out["risk"], out["final_risk"]
        if schema.heldout:
            out["holdout"] = ((step, "component"), (n, parts[0]), "float64")
            if schema.sampled:
                out["holdout_error"] = ((step,), (n,), "float64")
        return out

    def units(self, name: str) -> str:
        """Of risks and their errors."""
        return self.unit if "risk" in name or "error" in name else ""

    def compute(
        self, problem: Any, methods: Sequence[Method], setting: Setting, device: str, tick: Tick | None
    ) -> Outcome:
        """Exact moments, or an ensemble."""
        if setting.engine == "sample":
            return _sampled(problem, methods, setting, device, tick)
        if setting.engine in ("long", "limit"):
            works = [self.work(setting, problem, {}, method) for method in methods]
            return _one_by_one(self.engines[setting.engine].door, problem, methods, setting, works, tick)
        from simlab.engines.exact import exact_results

        results = exact_results(
            problem, list(methods), record=setting.record, partition=setting.partition,
            deterministic=setting.extras["deterministic"], device=device, tick=tick,
        )  # fmt: skip
        held = {"holdout": np.stack([r.statistics["holdout"][1] for r in results])} if self.heldout(problem) else {}
        return {
            **held,
            "status": statuses([result.status for result in results]),
            "risk": np.stack([result.risk for result in results]),
            "final_risk": np.stack([result.final for result in results]),
            "ended_at": np.array([result.ended_at for result in results]),
        }

    # -- the answer of a sweep

    def whole(self, data: xr.Dataset) -> xr.DataArray:
        """The sum of the parts."""
        from simlab.trace import ADDITIVE

        final = data["final_risk"]
        parts = [j for j, name in enumerate(final["component"].values) if name in ADDITIVE]
        out: xr.DataArray = final.isel(component=parts).sum(["component", "subspace"], skipna=True)
        return out

    def composition(self, cells: Sequence[tuple[str, xr.Dataset]]) -> tuple[str, list[str], list[list[str]]]:
        """By component and subspace."""
        final = [(name, cell["final_risk"].transpose("component", "subspace")) for name, cell in cells]
        rows = [
            [name, str(component), *(f"{value:.3e}" for value in values)]
            for name, parts in final
            for component, values in zip(parts["component"].values, parts.values, strict=True)
        ]
        names = [str(name) for name in final[0][1]["subspace"].values]
        return "what the best are made of, by eigen-index", ["of", "component", *names], rows

    def bars(self, axes: Axes, cells: Sequence[xr.Dataset]) -> None:
        """By subspace, bias filled and variance hatched, one behind the other."""
        from simlab.plot import shades

        left, rows = np.zeros(len(cells)), np.arange(len(cells))
        for component in ("bias", "variance", "total"):
            if not cells or component not in cells[0]["component"].values:
                continue
            parts = np.stack([cell["final_risk"].sel(component=component).values for cell in cells])
            for j, colour in enumerate(shades(parts.shape[1])):
                axes.barh(
                    rows, parts[:, j], left=left, color=colour, hatch="////" if component == "variance" else None,
                    edgecolor="white", linewidth=0.3,
                )  # fmt: skip
                left += np.nan_to_num(parts[:, j])
        axes.set_xlabel(f"{self.unit} of the best")

    def legend(self, data: xr.Dataset) -> dict[str, Any]:
        """The subspaces, and the hatch."""
        from matplotlib.patches import Patch

        from simlab.plot import shades
        from simlab.plot.words import literal

        names = [str(name) for name in data["subspace"].values]
        patches = [Patch(color=c, label=literal(name)) for c, name in zip(shades(len(names)), names, strict=True)]
        patches.append(Patch(facecolor="#bbbbbb", hatch="////", edgecolor="white", label="variance"))
        return {"handles": patches, "title": "eigen-index", "ncols": min(len(patches), 8)}

    def columns(self, data: xr.Dataset, dims: Sequence[str]) -> dict[str, Array]:
        """ "variance 1-32", by component and subspace."""
        final = data["final_risk"].transpose(*dims, "component", "subspace")
        return {
            f"{component} {subspace}": final.values[..., i, j].ravel()
            for i, component in enumerate(final["component"].values)
            for j, subspace in enumerate(final["subspace"].values)
        }


def _labelled(runs: Runs, setting: Setting) -> Any:
    """One run gives a trace without a "run" axis, entries of [compare] one with their labels."""
    return next(iter(runs.values())) if setting.single else runs


def _one_by_one(
    run: Callable[..., RiskTrace],
    problem: Any,
    methods: Sequence[Method],
    setting: Setting,
    works: Sequence[float],
    tick: Tick | None,
) -> Outcome:
    """Risks with the errors that an engine estimates, cell by cell, so that a sweep can be stopped between.

    A run whose error is above the tolerance is done like another: its error says so.
    """
    rows: list[Outcome] = []
    for method, work in zip(methods, works, strict=True):
        if tick is not None and not tick(int(work)):
            raise Interrupted
        given = {"record": setting.record, "subspaces": setting.partition, **setting.bounds}
        data = run(problem, method, threads=1, progress=False, **given).dataset
        risk, error = (data[name].transpose("step", "component", "subspace").values for name in ("risk", "risk_error"))
        final = data["final_risk"].transpose("component", "subspace").values
        ended = int(data["ended_at"])
        at = np.flatnonzero(data["step"].values == ended)
        last = error[at[0]] if at.size else np.full_like(final, np.nan)
        # A run that diverged has one record more than it was asked for: the step that it ended at.
        kept = np.isin(data["step"].values, record_steps(setting.record, method.length))
        said = data["status"].item()
        status = statuses(["done" if said == "inaccurate" else said])[0]
        rows.append(
            {
                "status": status, "risk": risk[kept], "risk_error": error[kept], "final_risk": final,
                "final_error": last, "ended_at": np.array(ended),
            }
        )  # fmt: skip
    return {name: np.stack([row[name] for row in rows]) for name in rows[0]}


def _sampled(problem: Any, methods: Sequence[Method], setting: Setting, device: str, tick: Tick | None) -> Outcome:
    from simlab.engines.sample import sample

    options = {**sampling(setting, device, tick), "coordinates": None}
    named = {str(j): method for j, method in enumerate(methods)}
    data = sample(problem, named, record=setting.record, subspaces=setting.partition, **options).dataset
    if data.sizes["run"] < len(named):
        raise Interrupted
    order = {
        "risk": ("step", "component", "subspace"),
        "standard_error": ("step", "component", "subspace"),
        "risk_error": ("step", "subspace"),
        "total_error": ("step",),
        "total_quantile": ("step", "quantile"),
        "final_risk": ("component", "subspace"),
        "ended_at": (),
    }
    if "holdout" in data:
        order |= {"holdout": ("step", "component"), "holdout_error": ("step",)}
    out = {name: data[name].transpose("run", *_dims(data[name], dims)).values for name, dims in order.items()}
    return {**out, "status": statuses(data["status"].values)}


def _dims(values: xr.DataArray, dims: tuple[str, ...]) -> list[str]:
    """`dims`, with that of domains before that of subspaces, or last, where there are any."""
    if "domain" not in values.dims:
        return list(dims)
    at = dims.index("subspace") if "subspace" in dims else len(dims)
    return [*dims[:at], "domain", *dims[at:]]
