"""What a sweep found: the best cell of each schedule on each problem, how sharp the optimum is, what it is made of."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from simlab.errors import InputError, unknown_name
from simlab.plot import UNIT
from simlab.sweeps.store import Store
from simlab.sweeps.valleys import PARTS
from simlab.trace import ADDITIVE

__all__ = ["Answer", "Best", "table_of"]

FloatArray = npt.NDArray[np.float64]

MOST_GROUPS = 15
"""Of more than these only the best on each problem is taken apart."""


@dataclass(frozen=True)
class Best:
    """The best cell of a group of cells.

    group, at : labels of the group, and of the cell within it.  where : its index on every dimension.  ratio : its risk
    over that of the best group on the same problem; of a valley, whose loss may be negative, how far above it.  leads :
    whether it is that best.  diverged : share of the group's finished cells.  edge : parameters whose best value is the
    first or last one that was tried.
    """

    group: dict[str, Any]
    at: dict[str, Any]
    where: dict[str, int]
    risk: float
    ratio: float
    leads: bool
    diverged: float
    edge: tuple[str, ...]


class Answer:
    """A store, read as an answer.

    `risk` is the final risk of every cell, of a river valley its loss (infinite where it diverged, NaN where there is
    none); `valley` says which of the two, and so whether cells are compared by ratio or difference. `groups` are the
    dimensions that tell apart what is compared: problems, runs, kinds, anything that is no number. The best is sought
    over all other dimensions.
    """

    def __init__(self, store: Store, where: Mapping[str, Any] | None = None) -> None:
        self.data = _selected(store.dataset(), where or {})
        self.fields: dict[str, list[str]] = {axis["name"]: list(axis["fields"]) for axis in store.document["axes"]}
        self.dims: list[str] = [name for name in store.dims if name in self.data["status"].dims]
        self.groups = [name for name in self.dims if self._tells_apart(name)]
        self.others = [name for name in self.dims if name not in self.groups]
        self.valley = "final_total" in self.data
        self.unit = "loss" if self.valley else UNIT
        whole = self.data["final_total"] if self.valley else _sum_of_parts(self.data["final_risk"])
        status = self.data["status"]
        # Infinite where it diverged, whatever the value it ended with.
        self.risk: xr.DataArray = whole.where(status != "diverged", np.inf).where(status.isin(["done", "diverged"]))

    def _tells_apart(self, dim: str) -> bool:
        paths = self.fields.get(dim, [dim])
        if dim == "run" or any(path.startswith("problem.") for path in paths):
            return True
        return any(self.data[path].dtype.kind not in "fiu" for path in paths if path in self.data.coords)

    def relative(self, risk: Any, best: float) -> Any:
        """A risk as a multiple of the best; a loss, how far above it."""
        return risk - best if self.valley else risk / best

    def labels(self, dim: str, index: int) -> dict[str, Any]:
        """Parameter -> value at a place of a dimension."""
        paths = self.fields.get(dim, [dim])
        return {path: self.data[path].values[index : index + 1].tolist()[0] for path in paths}

    def on_problem(self, dim: str) -> bool:
        """Whether a dimension changes the problem: risks are not compared across it."""
        return any(path.startswith("problem.") for path in self.fields.get(dim, [dim]))

    def best(self) -> list[Best]:
        """The best cell of every group that has one, in the order of the groups."""
        risk = self.risk.transpose(*self.groups, *self.others).values
        status = self.data["status"].transpose(*self.groups, *self.others).values
        lead = risk.shape[: len(self.groups)]
        found: list[tuple[tuple[int, ...], tuple[int, ...], float, float]] = []
        for group in np.ndindex(*lead):
            values, states = risk[group], status[group]
            finished = np.isin(states, ("done", "diverged"))
            if not finished.any() or not np.isfinite(values[finished]).any():
                continue
            at = np.unravel_index(int(np.nanargmin(values)), values.shape)
            place = tuple(int(j) for j in at)
            found.append((group, place, float(values[place]), float((states == "diverged").sum() / finished.sum())))
        problems = [j for j, dim in enumerate(self.groups) if self.on_problem(dim)]
        lowest: dict[tuple[int, ...], float] = {}
        for group, _, value, _ in found:
            key = tuple(group[j] for j in problems)
            lowest[key] = min(value, lowest.get(key, np.inf))
        return [
            self._best(group, place, value, lowest[tuple(group[j] for j in problems)], diverged)
            for group, place, value, diverged in found
        ]

    def _best(self, group: Sequence[int], place: Sequence[int], risk: float, lowest: float, diverged: float) -> Best:
        names: dict[str, Any] = {}
        at: dict[str, Any] = {}
        for target, dims, indices in ((names, self.groups, group), (at, self.others, place)):
            for dim, j in zip(dims, indices, strict=True):
                target.update(self.labels(dim, j))
        edge = tuple(
            dim
            for dim, j in zip(self.others, place, strict=True)
            if dim in self.fields.get(dim, []) and self.data.sizes[dim] > 2 and j in (0, self.data.sizes[dim] - 1)
        )
        where = dict(zip([*self.groups, *self.others], [*group, *place], strict=True))
        return Best(names, at, where, risk, float(self.relative(risk, lowest)), risk == lowest, diverged, edge)

    def neighbourhood(self, best: Best) -> Iterator[tuple[str, float, float]]:
        """(parameter, risk one value lower, and one higher, `relative` to the best); NaN where there is none."""
        for dim in self.others:
            if dim not in self.fields.get(dim, []):
                continue
            line = self.risk.isel({name: j for name, j in best.where.items() if name != dim}).values
            line = self.relative(line, best.risk)
            j = best.where[dim]
            yield dim, line[j - 1] if j > 0 else np.nan, line[j + 1] if j + 1 < line.size else np.nan

    def composition(self, best: Best) -> xr.DataArray:
        """The final risk of a cell by (component, subspace)."""
        return self.data["final_risk"].isel(best.where).transpose("component", "subspace")

    def split(self, best: Best) -> dict[str, tuple[float, float]]:
        """Of a valley: loss, river loss, hill loss and river coordinate of a cell, each with its standard error (0 of
        exact ones).
        """
        out = {}
        for name in PARTS:
            values, error = self.data[f"final_{name}"].isel(best.where), self.data.get(f"final_{name}_error")
            out[name] = float(values.sum()), 0.0 if error is None else float(error.isel(best.where))
        return out

    def experiment(self, store: Store, best: Best) -> dict[str, Any]:
        """Parameter -> value of a cell, with its run: what to write into the experiment file to run it alone."""
        return {**best.group, **best.at}

    def over(self, dims: Sequence[str]) -> xr.DataArray:
        """The lowest risk at every value of some dimensions, over all others."""
        for dim in dims:
            if dim not in self.dims:
                raise unknown_name("parameter", dim, self.dims)
        rest = [dim for dim in self.dims if dim not in dims]
        lowest: xr.DataArray = self.risk.min(rest, skipna=True)
        return lowest.transpose(*dims)

    def default_x(self) -> str:
        """The parameter that lines are drawn over: the peak learning rate, or the number with the most values."""
        numbers = [dim for dim in self.others if dim in self.fields.get(dim, [])]
        if not numbers:
            raise InputError("the sweep varies no number by itself; there is nothing to draw lines over.")
        rates = [dim for dim in numbers if dim.endswith(".peak")]
        return rates[0] if rates else max(numbers, key=lambda dim: self.data.sizes[dim])


def _sum_of_parts(final: xr.DataArray) -> xr.DataArray:
    parts = [name for name in final["component"].values if name in ADDITIVE]
    whole: xr.DataArray = final.sel(component=parts).sum(["component", "subspace"], skipna=True)
    return whole


def _selected(data: xr.Dataset, where: Mapping[str, Any]) -> xr.Dataset:
    """The cells at given values of some parameters (the nearest number, the very word)."""
    for path, value in where.items():
        if path not in data.coords or path in ("component", "subspace", "step", "quantile"):
            raise unknown_name("parameter", path, [str(name) for name in data["status"].coords])
        coordinate = data[path]
        if coordinate.dtype.kind in "fiu":
            if not isinstance(value, int | float):
                raise InputError(f"{path} = {value!r} is no number; give one between {coordinate.values.min():g} and "
                                 f"{coordinate.values.max():g}.")  # fmt: skip
            j = int(np.argmin(np.abs(coordinate.values - value)))
        else:
            words = [str(word) for word in coordinate.values]
            if str(value) not in words:
                raise unknown_name(path, value, words)
            j = words.index(str(value))
        data = data.isel({str(coordinate.dims[0]): slice(j, j + 1)})
    return data


def table_of(answer: Answer) -> str:
    """The best of every group, its neighbourhood and composition, as plain text."""
    found = answer.best()
    states, numbers = np.unique(answer.data["status"].values, return_counts=True)
    counts = {str(name): int(count) for name, count in zip(states, numbers, strict=True)}
    lines = [", ".join(f"{count} {name}" for name, count in sorted(counts.items()))]
    if not found:
        return "\n".join([*lines, "no cell is finished with a finite risk"])
    measure = ["loss", "above best"] if answer.valley else ["risk", "x best"]
    heads = [*found[0].group, *found[0].at, *measure, "diverged", "at the edge of"]
    rows = [
        [
            *map(_text, [*best.group.values(), *best.at.values()]),
            f"{best.risk:.5e}",
            f"{best.ratio:.4g}",
            f"{100.0 * best.diverged:.0f} %",
            ", ".join(best.edge),
        ]
        for best in found
    ]
    lines += ["", "best of each, over all else:", *_aligned(heads, rows)]
    rest = _splits(answer, found) if answer.valley else _compositions(answer, found)
    lines += ["", *_neighbours(answer, found), "", *rest]
    return "\n".join(lines)


def _neighbours(answer: Answer, found: list[Best]) -> list[str]:
    """How much is lost one value off the best, parameter by parameter, of the best of all on each problem."""
    rows = []
    for best in found:
        if best.leads:
            for name, low, high in answer.neighbourhood(best):
                rows.append([_group(best), name, _text(best.at[name]), _times(low), _times(high)])
    if not rows:
        return []
    heads = ["of", "parameter", "best at", "one lower", "one higher"]
    how = "loss above it" if answer.valley else "risk as a multiple of it"
    return [f"around the best ({how}):", *_aligned(heads, rows)]


def _compositions(answer: Answer, found: list[Best]) -> list[str]:
    rows, names = [], [str(name) for name in answer.data["subspace"].values]
    for best in _few(found):
        parts = answer.composition(best)
        for component in parts["component"].values:
            values = [f"{value:.3e}" for value in parts.sel(component=component).values]
            rows.append([_group(best), str(component), *values])
    return ["what the best are made of, by eigen-index:", *_aligned(["of", "component", *names], rows)]


def _splits(answer: Answer, found: list[Best]) -> list[str]:
    rows = []
    for best in _few(found):
        cells = [
            f"{value:.5g}" + (f" +- {error:.1e}" if error > 1e-9 * abs(value) else "")
            for value, error in answer.split(best).values()
        ]
        rows.append([_group(best), *cells])
    heads = ["of", "loss", "river", "hills", "coordinate"]
    return ["what the loss of the best is made of, and how far they got:", *_aligned(heads, rows)]


def _few(found: list[Best]) -> list[Best]:
    return found if len(found) <= MOST_GROUPS else [best for best in found if best.leads]


def _group(best: Best) -> str:
    return ", ".join(_text(value) for value in best.group.values()) or "all"


def _times(ratio: float) -> str:
    return "-" if np.isnan(ratio) else "diverged" if np.isinf(ratio) else f"{ratio:.3g}"


def _text(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    return value if isinstance(value, str) else json.dumps(value)


def _aligned(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(len(row[j]) for row in [list(heads), *rows]) for j in range(len(heads))]
    return [
        "  " + "  ".join(f"{cell:<{w}}" for cell, w in zip(row, widths, strict=True)).rstrip() for row in [heads, *rows]
    ]
