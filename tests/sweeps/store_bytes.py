"""Sweeps small enough to be killed a hundred times, and what two stores have to agree on to the byte."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

import simlab as sl
from simlab.sweeps import Store, run_sweep, sweep_of

PROBLEM = {"kind": "power_law", "dim": 60, "capacity": 1.5, "source": 1.3, "noise_variance": 0.1}
TABLES = {
    "problem": PROBLEM,
    "schedule": {"kind": "wsd", "steps": 300, "peak": 0.2, "cooldown": 80},
    "method": {"kind": "heavy_ball", "momentum": 0.7},
    "record": {"steps": 10, "subspaces": "log_bins(3)"},
}
# The first rate diverges, so that there are cells of another status.
AXES = {
    "schedule.peak": [6.0, 0.2, 0.1, 0.05, 0.02, 0.01],
    "problem.capacity": [1.2, 1.6],
    "method.momentum": [0.3, 0.6],
}
MANY = AXES | {"method.batch": [1, 2, 4, 8, 16, 32]}
CELLS = 24
BLOCK = 2


def swept(path, tables=TABLES, axes=AXES, threads=2, progress=False, **options):
    """A sweep from its beginning or from where it was; its report."""
    return run_sweep(sweep_of(tables, axes), path, threads=threads, progress=progress, **options)


def data_of(path):
    """Every file of the arrays: name -> bytes."""
    aside = (".lock", "ledger.sqlite")
    files = [each for each in sorted(path.rglob("*")) if each.is_file() and not each.name.startswith(aside)]
    return {str(each.relative_to(path)): each.read_bytes() for each in files}


def entries_of(path):
    """What the ledger says, times and calls apart: these differ from run to run."""
    with Store(path) as store:
        return [replace(row, seconds=0.0, call=0) for row in store.ledger.rows()], store.ledger.blocks()


def assert_same_store(got, want):
    ours, theirs = data_of(got), data_of(want)
    assert ours.keys() == theirs.keys()
    assert [name for name in ours if ours[name] != theirs[name]] == []
    assert entries_of(got) == entries_of(want)


def compile_kernels():
    """So that no forked child has to; without a store, for zarr has threads of its own, which are not copied."""
    for batch in (1, 2):
        tables = {**TABLES, "method": {**TABLES["method"], "batch": batch}}
        sl.Experiment.from_dict(tables).run(progress=False, threads=1)


def refusal(path, tables=TABLES, axes=AXES, **options):
    """The one sentence with which a sweep is refused."""
    with pytest.raises(sl.InputError) as raised:
        swept(path, tables, axes, **options)
    said = str(raised.value)
    assert "\n" not in said
    assert said.endswith(".")
    return said


def edit_group(store, **attributes):
    said = json.loads((store / "zarr.json").read_text(encoding="utf-8"))
    said["attributes"] |= attributes
    (store / "zarr.json").write_text(json.dumps(said), encoding="utf-8")
