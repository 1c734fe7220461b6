"""What a sweep found: the best cell of each schedule on each problem, how sharp the optimum is, what it is made of."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from simlab.arrays import FloatArray
from simlab.errors import InputError, brief, unknown_name
from simlab.experiment.families import Family, family_of
from simlab.sweeps.store.store import Store

__all__ = ["Along", "Answer", "Best", "averaged", "risk_of"]

Array = npt.NDArray[Any]

NOTHING = 1e-300
"""A best risk below this is zero: nothing is a multiple of it."""
MOST_VALUES = 1000
"""Of a parameter by whose values cells are told apart."""
REPEATS = ["engine.seed"]
"""A dimension of seeds tells runs apart that differ in nothing else: they are averaged."""


@dataclass(frozen=True)
class Best:
    """The best cell of a group of cells.

    group, at : labels of the group, and of the cell within it.  where : its index on every dimension, and among the
    values of what groups are told apart by.  risk, error : of the cell, and of averaged repeats the standard error
    (NaN without).  ratio : its risk over that of the best group on the same problem; where `Answer.differences`, how
    far above it.  leads : whether it is that best.  diverged : share of the group's finished cells.  edge : parameters
    whose best value is the first or last one that was tried.
    """

    group: dict[str, Any]
    at: dict[str, Any]
    where: dict[str, int]
    risk: float
    error: float
    ratio: float
    leads: bool
    diverged: float
    edge: tuple[str, ...]


@dataclass(frozen=True)
class Along:
    """A parameter to look along: the dimension (or the values of a parameter) that it is, its path, its values."""

    name: str
    path: str
    values: Array

    @property
    def numeric(self) -> bool:
        """Whether its values are numbers; else they are words."""
        return self.values.dtype.kind in "fiu"


class Answer:
    """A store, read as an answer.

    `risk` is the final risk of every cell, of a river valley its loss (infinite where it diverged, NaN where there is
    none), `error` its standard error over repeats (a dimension of seeds is averaged, never chosen from), or what the
    long engine estimates it to be off by; NaN without;
    `family` says which, and `differences` whether cells are compared by difference or ratio: losses are, and risks
    where the best is 0. `groups` are the dimensions that tell apart what is compared: problems, runs,
    kinds, anything that is no number, and parameters `by` whose value the best is wanted. The best is sought over all
    other dimensions.
    """

    def __init__(self, store: Store, where: Mapping[str, Any] | None = None, by: Sequence[str] = ()) -> None:
        data = _selected(store.finals(), where or {})
        self.fields: dict[str, list[str]] = {axis["name"]: list(axis["fields"]) for axis in store.document["axes"]}
        states, numbers = np.unique(data["status"].values, return_counts=True)
        self.counts = {str(name): int(count) for name, count in zip(states, numbers, strict=True)}
        self.family: Family = family_of(store.document["experiment"])
        self.repeats = [name for name in store.dims if self.fields.get(name) == REPEATS]
        risk = risk_of(self.family, data)
        self.risk, self.error, self.data = risk, estimated_of(data), data
        for dim in self.repeats:
            self.risk, self.error, self.data = averaged(self.risk, self.data, dim)
        self.dims: list[str] = [name for name in store.dims if name in self.risk.dims]
        self._values: dict[str, tuple[str, Array]] = {}
        asked = [self.along(path).name for path in by]
        apart = [name for name in self.dims if name in asked or self._tells_apart(name)]
        self.groups = [*apart, *(name for name in dict.fromkeys(asked) if name not in self.dims)]
        self.others = [name for name in self.dims if name not in self.groups]
        lowest = self.risk.min([dim for dim in self.dims if not self.on_problem(dim)], skipna=True)
        self.differences = self.family.differences or bool((lowest < NOTHING).any())

    def _tells_apart(self, dim: str) -> bool:
        paths = self.fields.get(dim, [dim])
        if dim == "run" or any(path.startswith("problem.") for path in paths):
            return True
        return any(self.data[path].dtype.kind not in "fiu" for path in paths if path in self.data.coords)

    def along(self, path: str) -> Along:
        """A parameter, by the name of its dimension or its own; InputError where it is none, or averaged over."""
        if path in self.dims:
            return Along(path, path, self.data[path].values)
        found = [dim for dim in self.dims if path in self.fields.get(dim, [])]
        if not found:
            if path in self.repeats:
                raise InputError(f"{path} tells repeats apart, which are averaged; choose one with --where {path}=0.")
            raise unknown_name(
                "parameter", path, [*self.dims, *(p for dim in self.dims for p in self.fields.get(dim, []))]
            )
        values = self.data[path].values
        distinct = np.unique(values)
        if distinct.size == values.size:
            return Along(found[0], path, values)
        if distinct.size > MOST_VALUES:
            raise InputError(f"{path} has {distinct.size} values, too many to tell apart; choose some with --where.")
        self._values[path] = found[0], distinct
        return Along(path, path, distinct)

    def _told_apart(self, array: xr.DataArray, names: Sequence[str]) -> xr.DataArray:
        """The array with a dimension of its own for each of `names` that is no dimension but a parameter's values."""
        for name in names:
            if name in self._values:
                dim, distinct = self._values[name]
                codes = xr.DataArray(np.searchsorted(distinct, self.data[name].values), dims=dim)
                array = array.drop_vars(name, errors="ignore")
                array = xr.concat([array.where(codes == j) for j in range(distinct.size)], name)
        return array

    def relative(self, risk: Any, best: float) -> Any:
        """A risk as a multiple of the best; where `differences`, how far above it."""
        return risk - best if self.differences else risk / best

    def labels(self, name: str, index: int) -> dict[str, Any]:
        """Parameter -> value at a place of a dimension, or among the values of a parameter."""
        if name in self._values:
            return {name: self._values[name][1][index : index + 1].tolist()[0]}
        paths = self.fields.get(name, [name])
        return {path: self.data[path].values[index : index + 1].tolist()[0] for path in paths}

    def on_problem(self, dim: str) -> bool:
        """Whether a dimension changes the problem: risks are not compared across it."""
        paths = [dim] if dim in self._values else self.fields.get(dim, [dim])
        return any(path.startswith("problem.") for path in paths)

    def best(self) -> list[Best]:
        """The best cell of every group that has one, in the order of the groups."""
        risk = self._told_apart(self.risk, self.groups).transpose(*self.groups, *self.others).values
        found: list[Best] = []
        for group in np.ndindex(*risk.shape[: len(self.groups)]):
            values = np.asarray(risk[group])
            finished = ~np.isnan(values)
            if np.isfinite(values[finished]).any():
                place = tuple(int(j) for j in np.unravel_index(int(np.nanargmin(values)), values.shape))
                diverged = float(np.isinf(values).sum() / finished.sum())
                found.append(self._best(group, place, float(values[place]), diverged))
        lowest: dict[tuple[int, ...], float] = {}
        problems = [tuple(best.where[dim] for dim in self.groups if self.on_problem(dim)) for best in found]
        for best, problem in zip(found, problems, strict=True):
            lowest[problem] = min(best.risk, lowest.get(problem, np.inf))
        return [
            replace(best, ratio=float(self.relative(best.risk, lowest[problem])), leads=best.risk == lowest[problem])
            for best, problem in zip(found, problems, strict=True)
        ]

    def _best(self, group: Sequence[int], place: Sequence[int], risk: float, diverged: float) -> Best:
        """Of a group by itself, before it is compared."""
        names: dict[str, Any] = {}
        at: dict[str, Any] = {}
        for target, dims, indices in ((names, self.groups, group), (at, self.others, place)):
            for dim, j in zip(dims, indices, strict=True):
                target.update({path: value for path, value in self.labels(dim, j).items() if path not in names})
        edge = tuple(
            dim
            for dim, j in zip(self.others, place, strict=True)
            if dim in self.fields.get(dim, []) and self.data.sizes[dim] > 2 and j in (0, self.data.sizes[dim] - 1)
        )
        where = dict(zip([*self.groups, *self.others], [*group, *place], strict=True))
        error = float(self.error.isel({dim: where[dim] for dim in self.dims}))
        return Best(names, at, where, risk, error, np.nan, False, diverged, edge)

    def _cell(self, best: Best) -> dict[str, int]:
        """Its index on every dimension."""
        return {dim: best.where[dim] for dim in self.dims}

    def cell(self, best: Best) -> xr.Dataset:
        """All that a cell ended with."""
        return self.data.isel(self._cell(best))

    def neighbourhood(self, best: Best) -> Iterator[tuple[str, float, float]]:
        """(parameter, risk one value lower, and one higher, `relative` to the best); NaN where there is none."""
        for dim in self.others:
            if dim not in self.fields.get(dim, []):
                continue
            line = self.risk.isel({name: j for name, j in self._cell(best).items() if name != dim}).values
            line = self.relative(line, best.risk)
            j = best.where[dim]
            yield dim, line[j - 1] if j > 0 else np.nan, line[j + 1] if j + 1 < line.size else np.nan

    def over(self, names: Sequence[str]) -> tuple[FloatArray, FloatArray]:
        """(the lowest risk at every value of these, over all else, its standard error), dimensions in that order."""
        risk = self._told_apart(self.risk, names)
        rest = [dim for dim in self.dims if dim not in names]
        lead = [risk.sizes[name] for name in names]
        flat = risk.transpose(*names, *rest).values.reshape(*lead, -1)
        error = self._told_apart(self.error, names).transpose(*names, *rest).values.reshape(*lead, -1)
        at = np.argmin(np.where(np.isnan(flat), np.inf, flat), axis=-1)[..., None]
        # Of what is all infinite the first one may be one that is not there.
        lowest: FloatArray = np.fmin.reduce(flat, axis=-1)
        return lowest, np.take_along_axis(error, at, axis=-1)[..., 0]

    def default_x(self) -> str:
        """The parameter that lines are drawn over: the peak learning rate, or the number with the most values; words
        where no number is swept.
        """
        numbers = [path for dim in self.others for path in self.fields.get(dim, [dim]) if self.along(path).numeric]
        rates = [path for path in numbers if path.endswith(".peak")]
        if numbers:
            return (
                rates[0] if rates else max(numbers, key=lambda path: (path in self.dims, self.along(path).values.size))
            )
        if not self.dims:
            raise InputError("the sweep varies nothing but seeds; there is nothing to draw lines over.")
        return max(self.groups, key=lambda dim: (not self.on_problem(dim), self.data.sizes.get(dim, 0)))


def _selected(data: xr.Dataset, where: Mapping[str, Any]) -> xr.Dataset:
    """The cells at given values of some parameters (the nearest number, the very word)."""
    for path, value in where.items():
        if path not in data.coords or path in ("component", "subspace", "step", "quantile"):
            raise unknown_name("parameter", path, [str(name) for name in data["status"].coords])
        coordinate = data[path]
        if coordinate.dtype.kind in "fiu":
            if not isinstance(value, int | float):
                raise InputError(f"{path} = {brief(value)} is no number; give one between "
                                 f"{coordinate.values.min():g} and {coordinate.values.max():g}.")  # fmt: skip
            j = int(np.argmin(np.abs(coordinate.values - value)))
        else:
            words = [str(word) for word in coordinate.values]
            if str(value) not in words:
                raise unknown_name(path, value, words)
            j = words.index(str(value))
        data = data.isel({str(coordinate.dims[0]): slice(j, j + 1)})
    return data


# -- risks of cells, and their means over repeats


def risk_of(family: Family, data: xr.Dataset) -> xr.DataArray:
    """The value by which cells are compared: infinite where one diverged, NaN where it is not finished."""
    status = data["status"]
    # Infinite where it diverged, whatever the value it ended with.
    risk: xr.DataArray = family.whole(data).where(status != "diverged", np.inf).where(status.isin(["done", "diverged"]))
    return risk


def estimated_of(data: xr.Dataset) -> xr.DataArray:
    """What the long engine estimates the final risk of every cell to be off by; NaN where nothing is estimated."""
    if "component" not in getattr(data.get("final_error"), "dims", ()):
        return xr.full_like(data["ended_at"], np.nan, dtype=float)
    error: xr.DataArray = data["final_error"].sum(["component", "subspace"], skipna=True, min_count=1)
    return error


def averaged(risk: xr.DataArray, data: xr.Dataset, dim: str) -> tuple[xr.DataArray, xr.DataArray, xr.Dataset]:
    """(mean risk over `dim`, its standard error, the means of all that the cells ended with).

    Over the repeats that are finished; infinite where one of them diverged. The error is that of a mean of n values,
    their standard deviation over sqrt(n), NaN below two.
    """
    finished = risk.notnull()
    count = finished.sum(dim)
    some = count.where(count > 0, 1)
    diverged: xr.DataArray = (risk == np.inf).any(dim)
    values = risk.where(np.isfinite(risk), 0.0)
    mean = values.sum(dim) / some
    squares = ((values - mean) ** 2).where(finished, 0.0).sum(dim)
    several = (count > 1) & ~diverged
    error: xr.DataArray = ((squares / (some * (some - 1)).where(several, 1)) ** 0.5).where(several)
    means: dict[str, xr.DataArray] = {}
    for name, variable in data.data_vars.items():
        if dim not in variable.dims or not str(name).startswith("final_"):
            continue
        own = variable.where(finished, 0.0)
        if str(name).endswith("_error"):
            means[str(name)] = (own**2).sum(dim) ** 0.5 / some
        else:
            # What is not there of any (padding) is not there of the mean.
            means[str(name)] = own.sum(dim, skipna=False) / some
    kept = data.drop_vars([name for name, variable in data.variables.items() if dim in variable.dims])
    return mean.where(~diverged, np.inf).where(count > 0), error, kept.assign(means)
