"""Nodes that stand for equal modes are cut where a subspace ends: the risk of each part is that of its modes."""

from __future__ import annotations

import numpy as np
import pytest

import simlab as sl
from simlab import methods, schedules

RATE = schedules.constant(40, 0.2)
TWO_LEVEL = sl.LinearRegression.two_level(5, 7, 3.0, 0.1)
SPREAD = sl.LinearRegression(np.repeat([1.0, 1.0 / 3.0], [5, 7]), 1.0, 0.1)


@pytest.mark.parametrize(
    "subspaces", ["log_bins(4)", "modes(2, 7, 12)", "head_tail(3)", {"a": [1, 12], "b": [6]}], ids=str
)
def test_risk_of_parts_is_that_of_single_modes(subspaces):
    traces = [
        sl.exact(problem, methods.heavy_ball(RATE, 0.5), subspaces=subspaces, record=5, progress=False)
        for problem in (TWO_LEVEL, SPREAD)
    ]
    np.testing.assert_allclose(traces[0].risk.values, traces[1].risk.values, rtol=1e-12)
    assert list(traces[0].risk["subspace"].values) == list(traces[1].risk["subspace"].values)


def test_a_measured_density_is_cut():
    """Weights that are no whole numbers of modes, as of a density on a grid."""
    grid = np.linspace(5.0, 0.01, 50)
    weight = np.exp(-grid)
    density = sl.LinearRegression(grid, 1.0, 0.1, multiplicity=weight / weight.sum() * 11_173_962)
    method = methods.sgd(schedules.constant(50, 1e-8))
    parts = sl.exact(density, method, subspaces="log_bins(3)", record=3, progress=False)
    whole = sl.exact(density, method, record=3, progress=False)
    assert parts.risk.sizes["subspace"] == 3
    np.testing.assert_allclose(parts.total().values, whole.total().values, rtol=1e-12)


def test_each_run_is_cut_at_its_own_effective_dimension():
    """A run's bits do not depend on its company; with snapshots the nodes of all runs are the same ones."""
    grid = sl.LinearRegression([1.0, 0.1, 0.01], 1.0, 0.1, multiplicity=[3, 4, 5])
    runs = {f"{peak:g}": methods.sgd(schedules.constant(100, peak)) for peak in (1e-3, 0.05, 0.2)}
    together = sl.exact(grid, runs, subspaces="effective()", record=4, progress=False)
    for name, method in runs.items():
        alone = sl.exact(grid, method, subspaces="effective()", record=4, progress=False)
        np.testing.assert_array_equal(together.final().sel(run=name).values, alone.final().values)
    shots = sl.exact(TWO_LEVEL, runs, subspaces="effective()", snapshots=[0, 50], progress=False)
    assert shots.dataset["mode_risk"].sizes["run"] == 3


def test_nodes_of_a_compressed_problem_are_not_cut():
    small = sl.LinearRegression.power_law(10_000, 1.5, 1.2).compress(1e-6)
    with pytest.raises(sl.InputError, match="compress the original with"):
        sl.exact(small, methods.sgd(RATE), subspaces="head_tail(777)", progress=False)
