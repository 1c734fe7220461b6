"""Partitions of the eigen-indices {1 .. d} into named subspaces.

A partition is asked for before the problem is known (`log_bins(8)`, `head_tail(20)`) and resolved against a problem by
the engine. Indices are 1-based and ordered by descending eigenvalue, as in the literature. The subspaces of a
partition always cover {1 .. d}, so that risk summed over them is the risk.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from simlab.arrays import IntArray
from simlab.doors import door, unknown_attributes
from simlab.errors import InputError, brief, check_count, check_entries

__all__ = ["Subspaces", "effective", "from_spec", "head_tail", "index_sets", "log_bins", "modes", "whole"]

MOST_BINS = 10_000
"""Most subspaces that `log_bins` makes: each has a risk at every recorded step."""

CountAtLeast = Callable[[float], int]
"""threshold -> number of modes with lam_i >= threshold."""
Named = list[tuple[str, list[tuple[int, int]]]]
"""Subspaces by name, each as 0-based half-open ranges of indices."""


@dataclass(frozen=True)
class Subspaces:
    """A partition still to be resolved: `expression` prints it, `sets` lists (name, 0-based half-open index ranges)."""

    expression: str
    _ranges: Callable[[int, CountAtLeast, float], Named]
    depends_on_schedule: bool = False
    """Whether it is another one for every run: the sum of the learning rates is asked for."""

    def __repr__(self) -> str:
        return self.expression

    def ranges(
        self, dim: int, count_at_least: CountAtLeast, training_time: float
    ) -> list[tuple[str, list[tuple[int, int]]]]:
        """The named subspaces of a problem with `dim` modes, each a list of 0-based half-open index ranges.

        `training_time` is the sum of all learning rates; only `effective` reads it.
        """
        return self._ranges(dim, count_at_least, training_time)

    def boundaries(self, dim: int, count_at_least: CountAtLeast, training_time: float) -> list[int]:
        """All 0-based indices at which one subspace ends and another begins."""
        named = self.ranges(dim, count_at_least, training_time)
        return sorted({edge for _, ranges in named for pair in ranges for edge in pair} - {0, dim})

    def labels(
        self, start: IntArray, stop: IntArray, dim: int, count_at_least: CountAtLeast, training_time: float
    ) -> tuple[list[str], IntArray]:
        """(names, label of every node), the node i standing for the modes start_i .. stop_i - 1 (0-based).

        Raises InputError where a node of a compressed problem straddles two subspaces.
        """
        named = self.ranges(dim, count_at_least, training_time)
        edges = [(first, last, label) for label, (_, ranges) in enumerate(named) for first, last in ranges]
        edges.sort()
        firsts = np.array([edge[0] for edge in edges], dtype=np.int64)
        lasts = np.array([edge[1] for edge in edges], dtype=np.int64)
        where = np.searchsorted(firsts, start, side="right") - 1
        if np.any(stop > lasts[where]):
            bad = int(np.flatnonzero(stop > lasts[where])[0])
            raise InputError(
                f" = {self.expression} cuts through the modes {start[bad] + 1} to {stop[bad]} of a compressed "
                f"problem; compress the original with compress(subspaces={self.expression}, method=...).",
                "subspaces",
            )
        return [name for name, _ in named], np.array([edge[2] for edge in edges], dtype=np.int64)[where]


def _range_name(first: int, last: int) -> str:
    return str(first + 1) if last == first + 1 else f"{first + 1}-{last}"


def whole() -> Subspaces:
    """One subspace: all modes."""
    return Subspaces("whole()", _whole)


@door
def head_tail(k: int) -> Subspaces:
    """The head {1 .. k} and the tail {k+1 .. d}; k = 0 or k = d leaves one of them empty."""
    k = check_count("k", k, low=0)
    return Subspaces(f"head_tail({k})", partial(_head_tail, k))


def effective() -> Subspaces:
    """Head and tail at the effective dimension of the run, k* = #{i : lam_i * sum_t lr_t >= 1}.

    For a constant learning rate this is lam_i lr T >= 1: the modes that the run has had time to learn (Zou et al. 2021,
    arXiv 2103.12692, Theorem 2.1). Each run has its own k*.
    """
    return Subspaces("effective()", _effective, depends_on_schedule=True)


@door
def log_bins(n: int) -> Subspaces:
    """At most n ranges of indices with edges equally spaced in log i; the first holds the leading eigenvalue."""
    n = check_count("n", n, high=MOST_BINS)
    return Subspaces(f"log_bins({n})", partial(_log_bins, n))


def modes(*indices: int) -> Subspaces:
    """Single modes (1-based), each a subspace of its own; all others together are "rest"."""
    named = {str(check_count("mode", i)): [i] for i in indices}
    return index_sets(named, _expression=f"modes({', '.join(map(str, indices))})")


@door
def index_sets(
    sets: Mapping[str, Iterable[int]] | Sequence[Iterable[int]], *, _expression: str | None = None
) -> Subspaces:
    """Explicit sets of 1-based indices, named by a mapping or numbered; what they leave out is "rest".

    Raises InputError for an index named twice, below 1, or (at the run) above d.
    """
    if isinstance(sets, Mapping):
        named: dict[Any, Any] = dict(sets)
    else:
        named = {f"set {j + 1}": s for j, s in enumerate(check_entries("subspaces", sets, "sets of indices"))}
    chosen: dict[str, list[int]] = {}
    owner: dict[int, str] = {}
    for name, members in named.items():
        field = f"subspaces[{brief(name)}]"
        chosen[name] = sorted(check_count(field, i) for i in check_entries(field, members, "indices"))
        for i in chosen[name]:
            if i in owner:
                both = f"{brief(owner[i])} and {brief(name)}"
                raise InputError(f"index {i} is in subspaces {both}; give it to one of them.")
            owner[i] = name
    return Subspaces(_expression or f"index_sets({chosen})", partial(_index_sets, chosen))


# What resolves a partition: functions of the module, so that a partition can be pickled.


def _whole(dim: int, count: CountAtLeast, time: float) -> Named:
    return [("all", [(0, dim)])]


def _head_tail(k: int, dim: int, count: CountAtLeast, time: float) -> Named:
    if k > dim:
        raise InputError(f" = {k} is more than the {dim} modes of the problem; give k of at most {dim}.", "k")
    return _contiguous([("head", 0, k), ("tail", k, dim)])


def _effective(dim: int, count: CountAtLeast, time: float) -> Named:
    k = count(1.0 / time) if time > 0.0 else 0
    return _contiguous([("head", 0, k), ("tail", k, dim)])


def _log_bins(n: int, dim: int, count: CountAtLeast, time: float) -> Named:
    edges = np.unique(np.round(np.exp(np.linspace(0.0, np.log(dim), n + 1))).astype(np.int64))
    edges[0] = 0
    edges[-1] = dim
    if edges.size == 1:
        edges = np.array([0, dim], dtype=np.int64)
    pairs = [(int(a), int(b)) for a, b in itertools.pairwise(edges) if b > a]
    return [(_range_name(a, b), [(a, b)]) for a, b in pairs]


def _index_sets(chosen: Mapping[str, list[int]], dim: int, count: CountAtLeast, time: float) -> Named:
    owned = sorted(i for members in chosen.values() for i in members)
    if owned and owned[-1] > dim:
        raise InputError(f"index {owned[-1]} is beyond the {dim} modes of the problem; leave it out.")
    out = [(name, _runs(members)) for name, members in chosen.items()]
    rest = _complement(owned, dim)
    return out + ([("rest", rest)] if rest else [])


@door
def from_spec(
    spec: str | Subspaces | Mapping[str, Iterable[int]] | Sequence[Iterable[int]] | None,
) -> Subspaces:
    """A partition from what a user may write: a Subspaces, "log_bins(8)" (the experiment file), or index sets."""
    if spec is None:
        return whole()
    if isinstance(spec, Subspaces):
        return spec
    if not isinstance(spec, str):
        return index_sets(spec)
    from simlab.errors import unknown_name

    name, _, rest = spec.strip().partition("(")
    makers: dict[str, Callable[..., Subspaces]] = {
        "whole": whole,
        "effective": effective,
        "head_tail": head_tail,
        "log_bins": log_bins,
        "modes": modes,
    }
    if name not in makers:
        raise unknown_name("subspaces", name, makers)
    if rest and not rest.endswith(")"):
        raise InputError(f" = {brief(spec)} has no closing bracket; write log_bins(8), say.", "subspaces")
    words = [word.strip() for word in rest[:-1].split(",") if word.strip()]
    if not all(word.isdecimal() and len(word) < 20 for word in words):
        raise InputError(
            f" = {brief(spec)} has an argument that is no whole number; write log_bins(8), say.", "subspaces"
        )
    if name != "modes" and len(words) != int(name in ("head_tail", "log_bins")):
        raise InputError(f" = {brief(spec)} has {len(words)} arguments; write log_bins(8), say.", "subspaces")
    return makers[name](*(int(word) for word in words))


def _contiguous(parts: list[tuple[str, int, int]]) -> list[tuple[str, list[tuple[int, int]]]]:
    return [(name, [(first, last)] if last > first else []) for name, first, last in parts]


def _runs(members: list[int]) -> list[tuple[int, int]]:
    """Sorted 1-based indices as 0-based half-open ranges."""
    runs: list[tuple[int, int]] = []
    for i in members:
        if runs and runs[-1][1] == i - 1:
            runs[-1] = (runs[-1][0], i)
        else:
            runs.append((i - 1, i))
    return runs


def _complement(members: list[int], dim: int) -> list[tuple[int, int]]:
    taken = [(-1, 0), *_runs(members), (dim, dim + 1)]
    return [(a[1], b[0]) for a, b in itertools.pairwise(taken) if b[0] > a[1]]


__getattr__ = unknown_attributes(__name__, __all__)
