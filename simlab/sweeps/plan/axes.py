"""The table [sweep]: which parameters vary, and how; resolved to axes of values.

    "schedule.peak" = {log = [0.01, 1.0], points = 9}     a grid axis: a range, log or linear ..
    "method.batch" = [1, 8, 64]                           .. or a list
    [[sweep.zip]]                                         lists that go together: one axis
    [sweep.random]                                        or [sweep.sobol]: `samples` points of a space of ranges and
                                                          lists, by a seed: one axis

A parameter is addressed by its path in the experiment file: "schedule.peak", "method.wrap[0].decay",
"compare.schedules[1].cooldown".
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np

from simlab.arrays import FloatArray
from simlab.errors import InputError, brief, check_count, check_number, unknown_name
from simlab.experiment.tables import Table, check_keys, plain, shown

__all__ = ["Address", "Axis", "assign", "axes_of", "check_cells", "parse_path", "refuse_twice", "spoken"]

Address = tuple[str | int, ...]
"""A path in the experiment file, taken apart: ("method", "wrap", 0, "decay")."""

ROOTS = ("problem", "schedule", "method", "compare", "engine")
OF_ENGINE = ("seed", "replicas", "law", "dtype")
"""What may vary of [engine]: with anything else the cells would not have the same variables."""
SPACES = ("random", "sobol")
MOST_POINTS = 1_000_000
"""Of one axis."""
MOST_CELLS = 10_000_000
"""Of a sweep: each is checked before anything runs, at some 10^5 a second."""


@dataclass(frozen=True)
class Axis:
    """A dimension of a sweep: `fields` maps the path of each parameter to its values, as many as every other's."""

    name: str
    fields: Mapping[str, list[Any]]

    @property
    def size(self) -> int:
        """The number of points."""
        return len(next(iter(self.fields.values())))

    def describe(self) -> dict[str, Any]:
        """JSON-able."""
        return {"name": self.name, "fields": dict(self.fields)}


def check_cells(sizes: Mapping[str, int]) -> int:
    """The number of cells of dimensions of these sizes, or an InputError where they are too many."""
    cells = math.prod(sizes.values())
    if cells > MOST_CELLS:
        said = " x ".join(f"{size} {name}" for name, size in sizes.items())
        raise InputError(
            f"[sweep] makes {cells} cells ({said}), and at most {MOST_CELLS} can be; give fewer values, or samples of "
            f"the space with [sweep.sobol]."
        )
    return cells


def axes_of(sweep: Mapping[str, Any]) -> list[Axis]:
    """The axes of a table [sweep], in the order in which they are given; InputError names the entry."""
    if not isinstance(sweep, Mapping):
        raise InputError(f"sweep = {shown(sweep)} is not a table; write [sweep] and parameters below it.")
    table: Table = plain(sweep, "sweep")
    axes: list[Axis] = []
    for path, entry in _leaves({key: value for key, value in table.items() if key not in ("zip", *SPACES)}):
        axes.append(Axis(path, {path: _values(entry, _where(path))}))
    zipped = table.get("zip", [])
    if not isinstance(zipped, list) or not all(isinstance(each, dict) for each in zipped):
        raise InputError(
            f"sweep.zip = {shown(zipped)} is not a list of tables; write [[sweep.zip]] and lists below it."
        )
    axes += [_zipped(each, j) for j, each in enumerate(zipped)]
    if all(name in table for name in SPACES):
        raise InputError("sweep.random and sweep.sobol are both given; give one of the two, with all of its ranges.")
    axes += [_space(table[name], name) for name in SPACES if name in table]
    if not axes:
        raise InputError('[sweep] is empty; add a parameter such as "schedule.peak" = [0.1, 0.2].')
    for one, other in combinations(axes, 2):
        for path in one.fields.keys() & other.fields.keys():
            raise InputError(f"{_where(path)} is swept twice; give it once.")
    for path in (path for axis in axes for path in axis.fields):
        _check_root(path)
    return axes


def _leaves(table: Table, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """(path, entry) of every parameter of nested tables: a list, or a table that is a range."""
    for key, value in table.items():
        path = f"{prefix}.{key}" if prefix else key
        if isinstance(value, dict) and not ({"log", "linear"} & value.keys()):
            if not value:
                raise InputError(f"{_where(path)} is empty; give a list of values, or a range.")
            yield from _leaves(value, path)
        else:
            yield path, value


def _where(path: str) -> str:
    return f'sweep."{path}"'


def _check_root(path: str) -> None:
    parts = parse_path(path)
    if parts[0] == "record":
        raise InputError(f"{_where(path)}: what is recorded is the same for all cells; set it in [record].")
    if parts[0] not in ROOTS:
        raise unknown_name(f"{_where(path)}: table", parts[0], ROOTS)
    if len(parts) < 2:
        raise InputError(f'{_where(path)} is a whole table; sweep a parameter of it, like "{path}.kind".')
    if parts[0] == "engine" and parts[1] not in OF_ENGINE:
        raise InputError(f"{_where(path)} is the same for all cells; of [engine], sweep {', '.join(OF_ENGINE)}.")


# -- values


def refuse_twice(values: list[Any], where: str) -> None:
    """Raise InputError for a list that holds a value twice; 1 and 1.0 are the same value, and true is another."""
    seen: set[str] = set()
    for value in values:
        text = json.dumps(_number(value), sort_keys=True)
        if text in seen:
            raise InputError(f"{where} holds {shown(value)} twice; give every value once.")
        seen.add(text)


def _number(value: Any) -> Any:
    """`value` with whole numbers as floats, where that loses nothing."""
    if isinstance(value, list):
        return [_number(item) for item in value]
    small = isinstance(value, int) and not isinstance(value, bool) and abs(value) < 1 << 53
    return float(value) if small else value


def _values(entry: Any, where: str, distinct: bool = True) -> list[Any]:
    """The values of a list or a range."""
    if isinstance(entry, list):
        if not entry:
            raise InputError(f"{where} is an empty list; give at least one value.")
        if distinct:
            refuse_twice(entry, where)
        return entry
    if isinstance(entry, dict):
        check_keys(entry, where, ("log", "linear", "points", "integer"))
        if "points" not in entry:
            raise InputError(f"{where}.points is missing; say of how many points the range is.")
        count = check_count(f"{where}.points", entry["points"], high=MOST_POINTS)
        values = _between(entry, where, np.linspace(0.0, 1.0, count))
        # Without repetitions, which rounding to whole numbers makes.
        return list(dict.fromkeys(values)) if distinct else values
    raise InputError(
        f"{where} = {shown(entry)} is no list and no range; give [0.1, 0.2] or {{log = [0.1, 1], points = 9}}."
    )


def _between(entry: Table, where: str, share: FloatArray) -> list[Any]:
    """The values at these shares of the way through a range."""
    kinds = [kind for kind in ("log", "linear") if kind in entry]
    if len(kinds) != 1:
        raise InputError(f"{where} is both log and linear; give one of the two.")
    ends = entry[kinds[0]]
    if not isinstance(ends, list) or len(ends) != 2:
        raise InputError(f"{where}.{kinds[0]} = {shown(ends)} is not two numbers; give the two ends.")
    low, high = (check_number(f"{where}.{kinds[0]}[{j}]", end) for j, end in enumerate(ends))
    if kinds[0] == "log" and (low <= 0.0 or high <= 0.0):
        raise InputError(f"{where}.log = {shown(ends)} reaches 0; give two positive ends, or a linear range.")
    with np.errstate(all="ignore"):
        values = low * (high / low) ** share if kinds[0] == "log" else low + (high - low) * share
    if not np.all(np.isfinite(values)):
        raise InputError(f"{where}.{kinds[0]} = {shown(ends)} is wider than floating-point numbers; give nearer ends.")
    # The ends as they were written, and not as rounding leaves them.
    values = np.where(share == 0.0, low, np.where(share == 1.0, high, values))
    if entry.get("integer", False) is True:
        return [int(value) for value in np.round(values)]
    if entry.get("integer", False) is not False:
        raise InputError(f"{where}.integer = {shown(entry['integer'])} is neither; give true or false.")
    return [float(value) for value in values]


def _zipped(table: Table, number: int) -> Axis:
    fields = {path: _values(entry, _where(path), distinct=False) for path, entry in _leaves(table)}
    if not fields:
        raise InputError(f"sweep.zip[{number}] is empty; give lists of one length.")
    sizes = {path: len(values) for path, values in fields.items()}
    if len(set(sizes.values())) > 1:
        said = ", ".join(f'"{path}" {size}' for path, size in sizes.items())
        raise InputError(f"sweep.zip[{number}] has lists of different lengths ({said}); make them equally long.")
    refuse_twice([list(point) for point in zip(*fields.values(), strict=True)], f"sweep.zip[{number}]")
    return Axis("+".join(fields), fields)


def _space(table: Any, name: str) -> Axis:
    """A random or Sobol sample of the space of some ranges and lists."""
    if not isinstance(table, dict):
        raise InputError(f"sweep.{name} = {shown(table)} is not a table; write [sweep.{name}] and ranges below it.")
    rest = {key: value for key, value in table.items() if key not in ("samples", "seed")}
    leaves = dict(_leaves(rest))
    if "samples" not in table or not leaves:
        raise InputError(f"[sweep.{name}] needs samples = .. and at least one range; add what is missing.")
    count = check_count(f"sweep.{name}.samples", table["samples"], high=MOST_POINTS)
    seed = check_count(f"sweep.{name}.seed", table.get("seed", 0), low=0)
    share = _shares(name, count, len(leaves), seed)
    fields: dict[str, list[Any]] = {}
    for (path, entry), u in zip(leaves.items(), share.T, strict=True):
        where = _where(path)
        if isinstance(entry, list):
            values = _values(entry, where)
            fields[path] = [values[int(j)] for j in np.minimum(u * len(values), len(values) - 1)]
        elif isinstance(entry, dict):
            check_keys(entry, where, ("log", "linear", "integer"))
            fields[path] = _between(entry, where, u)
        else:
            raise InputError(f"{where} = {shown(entry)} is no list and no range; give {{log = [0.1, 1]}}, say.")
    return Axis("sample", fields)


def _shares(name: str, count: int, dimensions: int, seed: int) -> FloatArray:
    """Points of the unit cube, shape (count, dimensions)."""
    if name == "random":
        return np.random.default_rng(seed).random((count, dimensions))
    from scipy.stats import qmc

    sampler = qmc.Sobol(dimensions, scramble=True, rng=np.random.default_rng(seed))
    # Whole powers of two are what a Sobol sequence is balanced for; the rest of the last one is left out.
    points: FloatArray = sampler.random_base2(max(count - 1, 0).bit_length())[:count]
    return points


# -- paths


def parse_path(path: str) -> Address:
    """ "method.wrap[0].decay" -> ("method", "wrap", 0, "decay"), or an InputError."""
    if not re.fullmatch(r"\w+(\[\d+\])*(\.\w+(\[\d+\])*)*", path):
        raise InputError(f'{_where(path)} is no path; write it like "schedule.peak" or "method.wrap[0].decay".')
    return tuple(int(part) if part.isdigit() else part for part in re.findall(r"\w+", path))


def assign(tree: Table, path: Address, value: Any) -> Table:
    """`tree` with `value` at `path`; what lies on the way is copied, all else shared.

    A missing table is made; an entry of a list has to exist. Raises InputError where the path leads through a number.
    """
    return _assigned(tree, path, value, ())  # type: ignore[no-any-return]


def _assigned(node: Any, path: Address, value: Any, done: Address) -> Any:
    if not path:
        return value
    key, rest, here = path[0], path[1:], spoken(done)
    if isinstance(key, int):
        if not isinstance(node, list):
            raise InputError(f"{_where(spoken((*done, *path)))}: {here} is no list; leave out [{key}].")
        if key >= len(node):
            raise InputError(f"{_where(spoken((*done, *path)))}: {here} has {len(node)} entries, from [0] on.")
        return [_assigned(item, rest, value, (*done, key)) if j == key else item for j, item in enumerate(node)]
    if not isinstance(node, dict):
        raise InputError(f"{_where(spoken((*done, *path)))}: {here} is no table and has no {brief(key)}.")
    return {**node, key: _assigned(node.get(key, {}), rest, value, (*done, key))}


def spoken(path: Address) -> str:
    """A path as it is written."""
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path)
    return text.removeprefix(".")
