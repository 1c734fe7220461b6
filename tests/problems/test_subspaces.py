"""Partitions of the eigen-indices: each covers {1 .. d} exactly once, and says which modes are where."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

import simlab as sl
from simlab import subspaces
from simlab.methods import sgd
from simlab.schedules import constant, linear


def count_at_least(lam):
    return lambda threshold: int(np.count_nonzero(lam >= threshold))


def members(partition, dim, lam=None, time=1.0):
    """{name: sorted list of 1-based indices}."""
    lam = 1.0 / np.arange(1.0, dim + 1) if lam is None else lam
    named = partition.ranges(dim, count_at_least(lam), time)
    return {name: [i for a, z in ranges for i in range(a + 1, z + 1)] for name, ranges in named}


@st.composite
def partitions(draw):
    """(partition, dim) of every kind."""
    dim = draw(st.integers(1, 300))
    kind = draw(st.sampled_from(["whole", "head_tail", "log_bins", "modes", "index_sets", "effective"]))
    if kind == "head_tail":
        return subspaces.head_tail(draw(st.integers(0, dim))), dim
    if kind == "log_bins":
        return subspaces.log_bins(draw(st.integers(1, 40))), dim
    if kind == "modes":
        return subspaces.modes(*draw(st.lists(st.integers(1, dim), min_size=1, max_size=8, unique=True))), dim
    if kind == "index_sets":
        chosen = draw(st.lists(st.integers(1, dim), unique=True, min_size=1))
        cut = draw(st.integers(0, len(chosen)))
        assume(0 < cut < len(chosen))
        return subspaces.index_sets({"one": chosen[:cut], "two": chosen[cut:]}), dim
    return getattr(subspaces, kind)(), dim


@given(partitions(), st.floats(1e-3, 1e3))
def test_every_mode_is_in_exactly_one_subspace(case, time):
    partition, dim = case
    sets = members(partition, dim, time=time)
    assert sorted(i for indices in sets.values() for i in indices) == list(range(1, dim + 1))


@given(partitions(), st.floats(1e-3, 1e3))
def test_labels_say_what_ranges_say(case, time):
    partition, dim = case
    sets = members(partition, dim, time=time)
    index = np.arange(dim, dtype=np.int64)
    names, labels = partition.labels(index, index + 1, dim, count_at_least(1.0 / np.arange(1.0, dim + 1)), time)
    assert names == list(sets)
    for label, name in enumerate(names):
        assert [int(i) + 1 for i in np.flatnonzero(labels == label)] == sets[name]


@given(partitions(), st.floats(1e-3, 1e3))
def test_boundaries_are_where_neighbours_part(case, time):
    partition, dim = case
    owner = {i: name for name, indices in members(partition, dim, time=time).items() for i in indices}
    parted = [i for i in range(1, dim) if owner[i] != owner[i + 1]]
    found = partition.boundaries(dim, count_at_least(1.0 / np.arange(1.0, dim + 1)), time)
    assert set(parted) <= set(found) <= set(range(1, dim))


def test_head_and_tail():
    assert members(subspaces.head_tail(2), 5) == {"head": [1, 2], "tail": [3, 4, 5]}
    assert members(subspaces.head_tail(0), 3) == {"head": [], "tail": [1, 2, 3]}
    assert members(subspaces.head_tail(3), 3) == {"head": [1, 2, 3], "tail": []}


def test_log_bins_are_equally_wide_in_log_index():
    sets = members(subspaces.log_bins(4), 10_000)
    assert [indices[-1] for indices in sets.values()] == [10, 100, 1000, 10_000]
    assert list(sets) == ["1-10", "11-100", "101-1000", "1001-10000"]


@pytest.mark.parametrize(("n", "dim"), [(1, 7), (3, 1), (50, 3), (8, 10)])
def test_log_bins_of_few_modes_are_at_most_that_many_and_never_empty(n, dim):
    sets = members(subspaces.log_bins(n), dim)
    assert 1 <= len(sets) <= min(n, dim)
    assert all(sets.values())


def test_single_modes_and_the_rest():
    assert members(subspaces.modes(3, 1), 4) == {"3": [3], "1": [1], "rest": [2, 4]}
    assert members(subspaces.modes(1, 2), 2) == {"1": [1], "2": [2]}


def test_index_sets_by_name_and_by_number():
    assert members(subspaces.index_sets({"odd": [1, 3, 5]}), 6) == {"odd": [1, 3, 5], "rest": [2, 4, 6]}
    assert members(subspaces.index_sets([[2], (4, 1)]), 4) == {"set 1": [2], "set 2": [1, 4], "rest": [3]}


@pytest.mark.parametrize(("time", "k"), [(0.0, 0), (0.9, 0), (1.0, 1), (10.0, 3), (1e9, 20)])
def test_effective_head_is_what_the_run_has_time_to_learn(time, k):
    """k* = #{i : lam_i time >= 1}, on lam_i = i^-2."""
    lam = np.arange(1.0, 21.0) ** -2.0
    sets = members(subspaces.effective(), 20, lam, time)
    assert len(sets["head"]) == k


def test_effective_head_follows_each_run():
    problem = sl.LinearRegression.power_law(100, 2.0, 1.2, 0.1)
    runs = [sgd(constant(100, 0.01)), sgd(linear(1000, 0.4))]
    final = sl.exact(problem, runs, subspaces="effective()", snapshots=[0]).risk.isel(step=0)
    for j, method in enumerate(runs):
        k = np.count_nonzero(problem.eigenvalues * method.learning_rate.total() >= 1.0)
        head = 0.5 * np.sum(np.arange(1.0, k + 1) ** -1.2)
        assert float(final.isel(run=j).sel(subspace="head", component="bias")) == pytest.approx(head, rel=1e-12)


@pytest.mark.parametrize(
    ("spec", "same"),
    [
        ("log_bins(8)", subspaces.log_bins(8)),
        (" modes(1, 5) ", subspaces.modes(1, 5)),
        ("head_tail(3)", subspaces.head_tail(3)),
        ("whole", subspaces.whole()),
        (None, subspaces.whole()),
        ("effective()", subspaces.effective()),
        ({"a": [1, 2]}, subspaces.index_sets({"a": [1, 2]})),
        ([[1, 2]], subspaces.index_sets([[1, 2]])),
    ],
    ids=str,
)
def test_what_a_user_may_write(spec, same):
    got = subspaces.from_spec(spec)
    assert repr(got) == repr(same)
    assert members(got, 40) == members(same, 40)


@pytest.mark.parametrize("made", [subspaces.log_bins(8), subspaces.modes(1, 5), subspaces.effective()], ids=repr)
def test_expressions_read_back(made):
    assert members(subspaces.from_spec(repr(made)), 40) == members(made, 40)
