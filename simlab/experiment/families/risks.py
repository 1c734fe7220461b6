"""Risks: linear regressions and noisy quadratics, by component and eigen-subspace, exact or sampled."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import numpy.typing as npt

from simlab.arrays import FloatArray
from simlab.engines.registry import ENGINES, Engine
from simlab.errors import InputError, check_number, check_path
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
from simlab.experiment.problem import (
    FROM_FILES,
    PROBLEMS,
    Problem,
    build_problem,
    check_compressible,
    compress,
    tolerance,
)
from simlab.experiment.tables import Table, within
from simlab.methods import Method
from simlab.problems import EmpiricalRegression
from simlab.trace.state import Kind

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from simlab.trace import RiskTrace

__all__ = ["Risks"]


NODES = 300
"""Of a compressed problem, roughly."""
COLUMN = 13
"""Characters of a number in a table."""


@family
class Risks(Family):
    """All problems of `PROBLEMS`; variables `risk` and `final_risk` by component and subspace."""

    kinds = tuple(PROBLEMS)
    engines: ClassVar[Mapping[str, Engine]] = {"exact": ENGINES["exact"], "sample": ENGINES["sample"]}
    recorded = ("steps", "subspaces", "deterministic", "snapshots", "keep")
    risk, unit = "risk", "excess risk"
    needed = ("final_risk", "component", "subspace")

    # -- the problem

    def source(self, table: Table, folder: Path) -> Problem:
        """The problem before any compression."""
        return build_problem(table, folder)

    def located(self, table: Table, folder: Path) -> Table:
        """The path of measured data, or of a spectrum."""
        if table["kind"] not in FROM_FILES or not isinstance(table.get("path"), str):
            return table
        return {**table, "path": str((folder / check_path("problem.path", table["path"])).resolve())}

    def facts(self, table: Table) -> dict[str, str]:
        """The digest of measured data, or of a spectrum."""
        if table["kind"] not in FROM_FILES or "path" not in table:
            return {}
        return {"data_sha256": hashlib.sha256(Path(table["path"]).read_bytes()).hexdigest()}

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
        if setting.engine == "long":
            self._check_long(source, setting)
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
        if setting.engine in ("exact", "both") and tolerance(table) is not None:
            check_compressible(source, table)
        if setting.start is not None:
            if setting.engine == "both":
                raise InputError(
                    " is a state of one engine, and both are asked for; give engine = the one that kept it.", "start"
                )
            sampled = setting.engine == "sample"
            exact: Kind = "covariance" if isinstance(source, EmpiricalRegression) else "moments"
            setting.start.require("replicas" if sampled else exact, setting.engine)

    def _check_long(self, source: Problem, setting: Setting) -> None:
        """What the long engine does not take, and its own arguments."""
        if isinstance(source, EmpiricalRegression):
            raise InputError(
                " = 'long' takes no data set's own moments; give moments = 'gaussian', or 'exact'.", "engine"
            )
        asked = {"start": setting.start, **{f"record.{name}": value for name, value in setting.extras.items()}}
        for where, value in asked.items():
            if value:
                raise InputError(" is not known to the long engine; leave it out, or give engine = 'exact'.", where)
        for key, low, high in (("tolerance", 1e-9, 0.1), ("budget", 0.0, np.inf)):
            if key in setting.options:
                check_number(f"engine.{key}", setting.options[key], low=low, high=high)

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
        given = {"record": setting.record, "subspaces": setting.partition, **setting.options, **how}
        trace: RiskTrace = ENGINES["long"].door(problem, _labelled(runs, setting), **given)
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
        from simlab.trace import ADDITIVE

        dataset = trace.dataset if "run" in trace.dataset.dims else trace.dataset.expand_dims("run")
        final = dataset["final_risk"].transpose("run", "subspace", "component")
        components = [str(name) for name in final["component"].values]
        adds = [name in ADDITIVE for name in components]
        names = [str(name) for name in final["subspace"].values]
        margin = max(len(name) for name in [*names, "subspace"])
        several = "run" in trace.dataset.dims
        labels = [str(run) for run in dataset["run"].values] if several else [trace.dataset.attrs["method"]]
        ends = np.broadcast_to(dataset["ended_at"].values, len(labels))
        states = np.broadcast_to(dataset["status"].values, len(labels))
        errors = _final_errors(dataset)
        heads = [*components, "risk", *(["+-"] if errors is not None else [])]
        blocks = []
        for j, (label, state, end, values) in enumerate(zip(labels, states, ends, final.values, strict=True)):
            lines = [f"{label}: {_status(str(state), int(end))}", _row("subspace", heads, margin)]
            for i, (name, row) in enumerate(zip([*names, "total"], [*values, values.sum(axis=0)], strict=True)):
                cells = [f"{value:.5e}" for value in [*row, row[adds].sum()]]
                cells += [] if errors is None else [f"{errors[j, i]:.1e}"]
                lines.append(_row(name, cells, margin))
            blocks.append("\n".join(lines))
        return "\n\n".join(blocks)

    def z_table(self, sampled: RiskTrace, exact: RiskTrace) -> str:
        """The largest |z| of sampled against exact risk by component and subspace, over all steps and runs."""
        z = abs(sampled.z_scores(exact))
        worst = z.max([dim for dim in z.dims if dim not in ("component", "subspace")])
        worst = worst.transpose("subspace", "component")
        components = [str(name) for name in worst["component"].values]
        names = [str(name) for name in worst["subspace"].values]
        margin = max(len(name) for name in [*names, "subspace"])
        lines = [
            f"sampled against exact: largest |z| of {int(z.count())} comparisons",
            _row("subspace", components, margin),
        ]
        for name, row in zip([*names, "all"], [*worst.values, np.nanmax(worst.values, axis=0)], strict=True):
            lines.append(_row(name, ["-" if np.isnan(value) else f"{value:.2f}" for value in row], margin))
        return "\n".join(lines)

    # -- cells of a sweep

    def components(self, setting: Setting, source: Problem) -> tuple[str, ...]:
        """Bias and variance, a cross term of a data set's own moments; of one trajectory, the total."""
        if setting.engine == "sample":
            return ("bias", "variance", "cross") if setting.options["split"] else ("total",)
        parts = ("bias", "variance", "cross") if isinstance(source, EmpiricalRegression) else ("bias", "variance")
        return (*parts, "deterministic") if setting.extras["deterministic"] else parts

    def work(self, setting: Setting, source: Any, table: Table, method: Method) -> float:
        """Modes times steps, by the square of the state or the replicas."""
        if setting.engine == "sample":
            return float(source.dim) * method.length * float(setting.options["replicas"])
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
        from simlab.engines.exact import exact_results

        results = exact_results(
            problem, list(methods), record=setting.record, partition=setting.partition,
            deterministic=setting.extras["deterministic"], device=device, tick=tick,
        )  # fmt: skip
        return {
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
    out = {name: data[name].transpose("run", *dims).values for name, dims in order.items()}
    return {**out, "status": statuses(data["status"].values)}


def _final_errors(dataset: xr.Dataset) -> FloatArray | None:
    """Errors of the risk where each run ended, (runs, subspaces + 1), the total last: standard ones of a sampled trace,
    sums of those that the long engine estimates.
    """
    if "risk_error" not in dataset:
        return None
    error = dataset["risk_error"]
    of_modes = error.sum("component", skipna=False) if "component" in error.dims else error
    total = of_modes.sum("subspace", skipna=False) if "component" in error.dims else dataset["total_error"]
    parts = of_modes.transpose("run", "step", "subspace").values
    whole = total.transpose("run", "step").values
    ends = np.broadcast_to(dataset["ended_at"].values, parts.shape[0])
    at = np.searchsorted(dataset["step"].values, ends)
    runs = np.arange(at.size)
    return np.concatenate([parts[runs, at], whole[runs, at][:, None]], axis=1)


def _status(state: str, step: int) -> str:
    if state == "diverged":
        return f"diverged at step {step} (the risk passed 1e6 times its start, or overflowed; its values there)"
    return f"{state} at step {step}"


def _row(name: str, cells: list[str], margin: int) -> str:
    return f"  {name:<{margin}}" + "".join(f"{cell:>{COLUMN}}" for cell in cells)
