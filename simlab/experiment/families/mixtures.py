"""Mixtures of domains: risks by domain as well, of tables [[problem.domains]]."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import numpy.typing as npt

from simlab.engines.registry import ENGINES, Engine
from simlab.errors import InputError
from simlab.experiment.engine import Setting
from simlab.experiment.families.base import Array, Declared, Outcome, Schema, Tick, family
from simlab.experiment.families.final import final_table, z_table
from simlab.experiment.families.risks import Risks
from simlab.experiment.problem import PROBLEMS, build_problem, files_of
from simlab.experiment.schedule import build_schedule
from simlab.experiment.tables import Table, call, check_keys, kind_of, shown, within
from simlab.methods import Method
from simlab.problems import LinearRegression, Mixture

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.figure import Figure

    from simlab.trace import RiskTrace

__all__ = ["Mixtures"]

KEYS = ("kind", "domains", "share", "weights")

KINDS = (*PROBLEMS, "shifted")
"""Of a domain: "shifted" is the first one with other eigenvalues, optimum or noise (`LinearRegression.shifted`)."""


@family
class Mixtures(Risks):
    """Kind "mixture"; in a store the components are those of every domain, "bias of web"."""

    kinds = ("mixture",)
    engines: ClassVar[dict[str, Engine]] = {name: ENGINES[name] for name in ("exact", "sample")}
    risk = "risk, mean over the domains"

    # -- the problem

    def source(self, table: Table, folder: Path) -> Any:
        """The mixture of a table [problem]."""
        check_keys(table, "problem", KEYS)
        made: dict[str, Any] = {}
        for domain, path in _domains(table):
            name = str(domain.get("name", len(made) + 1))
            if name in made:
                raise InputError(f" = {shown(name)} is the name of two domains; give each its own.", f"{path}.name")
            given = {key: value for key, value in domain.items() if key != "name"}
            if domain["kind"] == "shifted":
                if not made:
                    raise InputError(' = "shifted" has no domain before it; give it after another.', f"{path}.kind")
                first = next(iter(made.values()))
                if not isinstance(first, LinearRegression):
                    raise InputError(" is no LinearRegression; give another kind.", "problem.domains[0]")
                made[name] = call(LinearRegression.shifted, given, path, {"self": first})
            else:
                made[name] = build_problem(given, folder, path)

        def numbers(key: str) -> list[Any] | None:
            values = table.get(key)
            if not isinstance(values, list | None):
                raise InputError(f" = {shown(values)} is no list; give one entry for each domain.", f"problem.{key}")
            return values and [
                build_schedule(value, f"problem.{key}[{j}]", folder) if isinstance(value, dict) else value
                for j, value in enumerate(values)
            ]

        with within("problem", KEYS):
            return Mixture(made, numbers("share"), numbers("weights"))

    def located(self, table: Table, folder: Path) -> Table:
        """Kinds of domains by their own names, and the paths of their files."""
        domains = []
        for domain, path in _domains(table):
            named = {**domain, "kind": kind_of(domain, path, KINDS)}
            files = {key: str((folder / file).resolve()) for key, file in files_of(named, path).items()}
            domains.append({**named, **files})
        return {**table, "domains": domains}

    def facts(self, table: Table) -> dict[str, str]:
        """The digests of files of domains."""
        return {
            f"domain_{j}_{key}_sha256": hashlib.sha256(file.read_bytes()).hexdigest()
            for j, (domain, path) in enumerate(_domains(table))
            for key, file in files_of(domain, path).items()
        }

    def eigenvalues(self, source: Any) -> npt.ArrayLike:
        """Of the first domain, (d,)."""
        first: npt.ArrayLike = source.eigenvalues[0]
        return first

    def check(self, source: Any, table: Table, setting: Setting) -> None:
        """As of other risks; the long engine takes no mixtures."""
        other = next((leg for leg in setting.legs if leg not in self.engines), None)
        if other is not None:
            raise InputError(f' = {shown(other)} takes no mixtures; give "exact", "sample" or "both".', "engine")
        super().check(source, table, setting)

    def modal(self, source: Any) -> Any:
        """Refused: a schedule is made for one problem."""
        raise InputError("the schedule is made for linear regression and noisy quadratics; take another kind.")

    # -- a run of its own

    def final_table(self, trace: RiskTrace) -> str:
        """A table of every domain."""
        return "\n\n".join(f"domain {name}\n\n{final_table(part)}" for name, part in _by_domain(trace))

    def z_table(self, sampled: RiskTrace, exact: RiskTrace) -> str:
        """The largest |z| by domain."""
        known = dict(_by_domain(exact))
        return "\n\n".join(f"domain {name}\n{z_table(part, known[name])}" for name, part in _by_domain(sampled))

    def figure(self, source: Any, trace: RiskTrace, sampled: RiskTrace | None) -> Figure:
        """A panel of every domain."""
        from simlab import plot

        return plot.risk(trace, sampled=sampled)

    # -- cells of a sweep

    def components(self, setting: Setting, source: Any) -> tuple[str, ...]:
        """Those of every domain."""
        return tuple(f"{part} of {name}" for part in super().components(setting, source) for name in source.names)

    def variables(self, schema: Schema) -> Declared:
        """Errors of samples are those of the components."""
        out = super().variables(schema)
        return {name: out[name] for name in out if name in ("risk", "final_risk", "standard_error")}

    def compute(
        self, problem: Any, methods: Sequence[Method], setting: Setting, device: str, tick: Tick | None
    ) -> Outcome:
        """Exact moments, or an ensemble, with components and domains in one axis."""
        out = super().compute(problem, methods, setting, device, tick)
        return {
            name: values.reshape(*values.shape[:-3], -1, values.shape[-1]) if values.ndim > 2 else values
            for name, values in out.items()
            if name in ("risk", "final_risk", "standard_error", "status", "ended_at")
        }

    # -- the answer of a sweep

    def whole(self, data: xr.Dataset) -> xr.DataArray:
        """The risk, mean over the domains."""
        final = data["final_risk"]
        names = [str(name) for name in final["component"].values]
        own = [j for j, name in enumerate(names) if not name.startswith("deterministic of ")]
        domains = len({name.partition(" of ")[2] for name in names})
        out: xr.DataArray = final.isel(component=own).sum(["component", "subspace"], skipna=True) / domains
        return out

    def bars(self, axes: Any, cells: Sequence[xr.Dataset]) -> None:
        """Means over the domains, by subspace and component."""
        super().bars(axes, [_mean(cell) for cell in cells])


def _domains(table: Table) -> Iterator[tuple[Table, str]]:
    """Every table [[problem.domains]] and its path, or an InputError."""
    listed = table.get("domains")
    if not isinstance(listed, list) or not listed or not all(isinstance(each, dict) for each in listed):
        raise InputError(
            " are no tables; write [[problem.domains]] and the parameters of each below it.", "problem.domains"
        )
    for j, domain in enumerate(listed):
        yield domain, f"problem.domains[{j}]"


def _by_domain(trace: RiskTrace) -> Iterator[tuple[str, RiskTrace]]:
    """The trace of every domain by itself."""
    from simlab.trace import RiskTrace

    for name in trace.dataset["domain"].values:
        yield str(name), RiskTrace(trace.dataset.sel(domain=name, drop=True))


def _mean(cell: xr.Dataset) -> xr.Dataset:
    """Components of a cell, mean over the domains."""
    words: Array = np.array([str(name).partition(" of ")[0] for name in cell["component"].values])
    mean = cell["final_risk"].assign_coords(component=words).groupby("component").mean()
    return cell[[]].drop_vars("component", errors="ignore").assign(final_risk=mean)
