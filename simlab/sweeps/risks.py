"""Sweeps of risks: linear regressions and noisy quadratics, by component and eigen-subspace, exact or sampled."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from simlab.engines.exact import exact_results
from simlab.engines.sample import check_sampling, sample
from simlab.experiment import Experiment
from simlab.experiment.engine import sampling
from simlab.experiment.problem import PROBLEMS, Problem, build_problem, check_compressible, tolerance
from simlab.experiment.tables import Table, within
from simlab.problems import EmpiricalRegression
from simlab.sweeps.schema import STATUS, Cell, Declared, Interrupted, Outcome, Schema, Tick, lead, ticking

if TYPE_CHECKING:
    from simlab.sweeps.plan import Sweep

__all__ = ["Risks"]

NODES = 300
"""Of a compressed problem, roughly."""


class Risks:
    """The family of all problems but river valleys; `risk` and `final_risk` by component and subspace."""

    kinds = tuple(PROBLEMS)

    def experiment(self, tree: Table, folder: Path) -> Experiment:
        """Without compression: the first cell is looked at, not run."""
        bare = {key: value for key, value in tree["problem"].items() if key != "compress"}
        return Experiment.from_dict({**tree, "problem": bare}, folder)

    def device(self, engine: str) -> str:
        """A GPU if there is one, for samples."""
        return "cpu" if engine == "exact" else "auto"

    def source(self, table: Table, folder: Path) -> Problem:
        """The problem before any compression."""
        return build_problem(table, folder)

    def eigenvalues(self, source: Problem) -> npt.ArrayLike:
        """Of the Hessian, (d,)."""
        return source.modes().eigenvalues if hasattr(source, "modes") else source.eigenvalues

    def modes(self, sweep: Sweep, source: Problem) -> Problem:
        """The problem itself."""
        return source

    def checked(self, sweep: Sweep, cell: Cell) -> Problem:
        """The problem of a cell before any compression."""
        source: Problem = sweep.builder.source(cell.tree, cell.problem)
        if sweep.engine == "sample":
            options = sampling(cell.tree["engine"], sweep.folder)
            with within("engine", options):
                check_sampling(source, **options)
        elif tolerance(cell.tree["problem"]) is not None:
            check_compressible(source, cell.tree["problem"])
        return source

    def components(self, sweep: Sweep, source: Problem) -> tuple[str, ...]:
        """Bias and variance, a cross term of a data set's own moments; of one trajectory, the total."""
        if sweep.engine == "sample":
            split = sweep.base["engine"].get("split", True)
            return ("bias", "variance", "cross") if split else ("total",)
        empirical = isinstance(source, EmpiricalRegression)
        parts = ("bias", "variance", "cross") if empirical else ("bias", "variance")
        return (*parts, "deterministic") if sweep.deterministic else parts

    def work(self, sweep: Sweep, cell: Cell) -> float:
        """Modes times steps, by the square of the state or the replicas."""
        compressed = tolerance(cell.tree["problem"]) is not None and sweep.engine == "exact"
        nodes = NODES if compressed else sweep.builder.source(cell.tree, cell.problem).dim
        if sweep.engine == "sample":
            return float(nodes) * cell.method.length * float(cell.tree["engine"].get("replicas", 256))
        return float(nodes) * cell.method.length * cell.method.state_size**2

    def variables(self, sweep: Sweep, schema: Schema) -> Declared:
        """risk and final_risk; of samples their errors as well."""
        step, parts = lead(schema), (len(schema.components), len(schema.subspaces))
        out: Declared = {
            "risk": ((step, "component", "subspace"), (schema.records, *parts), "float64"),
            "final_risk": (("component", "subspace"), parts, "float64"),
        }
        if schema.sampled:
            out["standard_error"] = out["risk"]
            out["risk_error"] = ((step, "subspace"), (schema.records, parts[1]), "float64")
            out["total_error"] = ((step,), (schema.records,), "float64")
            levels = len(self.quantiles(sweep))
            out["total_quantile"] = ((step, "quantile"), (schema.records, levels), "float64")
        return out

    def units(self, name: str) -> str:
        """Of risks and their errors."""
        return "excess risk" if "risk" in name or "error" in name else ""

    def quantiles(self, sweep: Sweep) -> list[float]:
        """As the experiment says."""
        return list(sampling(sweep.base["engine"], sweep.folder)["quantiles"])

    def run(self, sweep: Sweep, cells: list[Cell], device: str, tick: Tick | None) -> Outcome:
        """Exact moments, or an ensemble."""
        problem, methods = sweep.problem(cells[0]), [cell.method for cell in cells]
        if sweep.engine == "sample":
            return _sampled(sweep, cells, problem, device, tick)
        results = exact_results(
            problem, methods, record=sweep.record, partition=sweep.partition, deterministic=sweep.deterministic,
            device=device, tick=tick,
        )  # fmt: skip
        if any(result.status == "interrupted" for result in results):
            raise Interrupted
        return {
            "risk": np.stack([result.risk for result in results]),
            "final_risk": np.stack([result.final for result in results]),
            "ended_at": np.array([result.ended_at for result in results]),
            "status": np.array([STATUS.index(result.status) for result in results]),
        }


def _sampled(sweep: Sweep, cells: list[Cell], problem: Any, device: str, tick: Tick | None) -> Outcome:
    # Only what may differ from cell to cell is taken from the cell: cells of a call share it, or are told apart.
    options = sampling(cells[0].tree["engine"], sweep.folder)
    options |= {"device": device, "threads": 1, "progress": ticking(tick)}
    options |= {"checkpoint": None, "every": None, "coordinates": None}
    named = {str(cell.number): cell.method for cell in cells}
    trace = sample(problem, named, record=sweep.record, subspaces=sweep.partition, **options)
    data = trace.dataset
    if np.any(data["status"].values == "interrupted") or data.sizes["run"] < len(cells):
        raise Interrupted
    order = ("run", "step")
    out = {name: data[name].transpose(*order, "component", "subspace").values for name in ("risk", "standard_error")}
    out["risk_error"] = data["risk_error"].transpose(*order, "subspace").values
    out["total_error"] = data["total_error"].transpose(*order).values
    out["total_quantile"] = data["total_quantile"].transpose(*order, "quantile").values
    out["final_risk"] = data["final_risk"].transpose("run", "component", "subspace").values
    out["ended_at"] = data["ended_at"].values
    out["status"] = np.array([STATUS.index(str(status)) for status in data["status"].values])
    return out
