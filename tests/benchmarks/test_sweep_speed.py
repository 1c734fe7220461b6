"""Sweeps against the engine alone, a loop of single calls, one worker against two, and the opening of a large store."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

import simlab as sl
from simlab.sweeps import Store, run_sweep, sweep_of

pytestmark = pytest.mark.benchmark_suite

TREE = {
    "problem": {
        "kind": "power_law", "dim": 1_000_000, "capacity": 1.5, "source": 1.3, "noise_variance": 0.1, "compress": True,
    },
    "schedule": {"kind": "wsd", "steps": 10_000, "peak": 0.1, "warmup": 0.01, "cooldown": 0.2},
    "record": {"steps": 10, "subspaces": "log_bins(4)"},
}  # fmt: skip
AXES = {
    "schedule.peak": {"log": [0.01, 0.3], "points": 50},
    "schedule.cooldown": {"linear": [0.05, 0.5], "points": 20},
    "method.batch": [1, 2, 4, 8, 16, 32, 64, 128, 256, 512],
}


def test_ten_thousand_cells(tmp_path, request):
    """10,000 runs of T = 10,000 on about 220 nodes: the whole sweep, the engine alone, and a loop that saves each run.

    Asked of it: 0.9 of the engine's throughput, and 20 times the loop.
    """
    if not request.config.getoption("--benchmark-enable"):
        pytest.skip("a timing: run with --benchmark-enable")
    planned = sweep_of({**TREE}, AXES)
    planned.validate()
    cells = list(planned.cells(range(planned.grid.size)))
    problem, methods = planned.problem(cells[0]), [cell.method for cell in cells]
    sl.exact(problem, methods[:2], record=10)
    alone = timed(lambda: sl.exact(problem, methods, record=10, subspaces="log_bins(4)", progress=False))
    whole = timed(lambda: run_sweep(sweep_of({**TREE}, AXES), tmp_path / "store", progress=False))
    loop = 100 * timed(lambda: single_calls(cells[::100], tmp_path))
    print(
        f"\n10,000 cells: sweep {whole:.1f} s, engine alone {alone:.1f} s ({alone / whole:.2f} of its throughput), "
        f"a loop of single calls with saving {loop:.0f} s ({loop / whole:.0f} x)"
    )
    assert alone / whole > 0.8
    assert loop / whole > 15.0


def timed(function) -> float:
    began = time.perf_counter()
    function()
    return time.perf_counter() - began


def single_calls(cells, folder: Path) -> None:
    """What one would write without sweeps."""
    for cell in cells:
        sl.Experiment.from_dict(cell.tree).run(progress=False).save(folder / f"{cell.number}.zarr")


def test_two_local_workers(tmp_path, request):
    """Two Dask workers against one, 5,000 cells (starting them takes some 3 s); asked of it: 1.7."""
    if not request.config.getoption("--benchmark-enable"):
        pytest.skip("a timing: run with --benchmark-enable")
    pytest.importorskip("distributed", reason="dask.distributed is not installed")
    seconds = {}
    tree = {**TREE, "schedule": {**TREE["schedule"], "steps": 100_000}}
    for workers in (1, 2):
        planned = sweep_of(tree, {**AXES, "schedule.cooldown": {"linear": [0.05, 0.5], "points": 10}})
        seconds[workers] = timed(
            lambda p=planned, n=workers: run_sweep(p, tmp_path / f"store-{n}", cluster=f"local:{n}", progress=False)
        )
    print(f"\n5,000 cells of 10^5 steps: one worker {seconds[1]:.1f} s, two {seconds[2]:.1f} s, ratio "
          f"{seconds[1] / seconds[2]:.2f}")  # fmt: skip
    assert seconds[1] / seconds[2] > 1.5


def test_a_large_store_opens_at_once(tmp_path, request):
    """10^5 cells of two steps each; asked of it: 2 s to open."""
    if not request.config.getoption("--benchmark-enable"):
        pytest.skip("a timing: run with --benchmark-enable")
    tree = {"problem": {"kind": "isotropic", "dim": 2, "noise_variance": 0.1},
            "schedule": {"kind": "constant", "steps": 2, "peak": 0.1}, "record": {"steps": 2}}  # fmt: skip
    axes = {"schedule.peak": {"linear": [0.1, 0.9], "points": 1000}, "method.batch": list(range(1, 101))}
    made = timed(lambda: run_sweep(sweep_of(tree, axes), tmp_path / "store", progress=False))
    opened = timed(lambda: Store(tmp_path / "store").dataset())
    read = timed(lambda: Store(tmp_path / "store").dataset()["final_risk"].load())
    print(f"\n100,000 cells: made in {made:.0f} s ({made / 100.0:.2f} ms each), opened in {opened:.2f} s, "
          f"final risks read in {read:.2f} s")  # fmt: skip
    assert opened < 2.0
