"""Traces on disk: identical when read back, never half-written, never overwritten unasked."""

from __future__ import annotations

import os

import numpy as np
import pytest
import xarray as xr

import simlab as sl
from simlab import methods
from simlab.schedules import constant, linear, wsd

PROBLEM = sl.LinearRegression.power_law(40, 1.5, 1.2, 0.2)
LR = wsd(100, peak=0.2, warmup=0.1, cooldown=0.3)
ROWS, TARGETS = [[1.0, 2.0], [0.5, -1.0], [1.0, 1.0]], [1.0, 0.0, 2.0]
WILD = methods.sgd(constant(100, 3.0))
TRACES = {
    "one": sl.exact(PROBLEM, methods.heavy_ball(LR, linear(100, 0.9), 2), subspaces=sl.subspaces.log_bins(4)),
    "several": sl.exact(PROBLEM, {"a run": methods.sgd(LR), "méthode β": methods.sgd(LR[:40])}, deterministic=True),
    "diverged": sl.exact(PROBLEM, [methods.sgd(LR), WILD]),
    "snapshots": sl.exact(PROBLEM, methods.sgd(LR), snapshots=[0, 50, 100]),
    "empirical": sl.exact(sl.EmpiricalRegression(ROWS, TARGETS), methods.sgd(LR)),
}
KINDS = ["trace.zarr", "trace.nc"]


@pytest.mark.parametrize("name", TRACES)
@pytest.mark.parametrize("file", KINDS)
def test_round_trip_is_identical(file, name, tmp_path):
    if file.endswith(".nc"):
        pytest.importorskip("h5netcdf")
    path = TRACES[name].save(tmp_path / file)
    assert path == tmp_path / file
    back = sl.RiskTrace.load(path)
    xr.testing.assert_identical(back.dataset, TRACES[name].dataset)
    assert back.risk.dtype == np.float64
    assert repr(back) == repr(TRACES[name])


@pytest.mark.parametrize("file", KINDS)
def test_an_existing_path_is_refused_unless_forced(file, tmp_path):
    target = tmp_path / file
    TRACES["one"].save(target)
    with pytest.raises(sl.InputError, match=r"exists; .*force"):
        TRACES["several"].save(target)
    xr.testing.assert_identical(sl.RiskTrace.load(target).dataset, TRACES["one"].dataset)
    TRACES["several"].save(target, force=True)
    xr.testing.assert_identical(sl.RiskTrace.load(target).dataset, TRACES["several"].dataset)


@pytest.mark.parametrize("file", KINDS)
def test_folders_are_made_and_nothing_else(file, tmp_path):
    TRACES["one"].save(tmp_path / "new" / "folder" / file)
    assert [p.name for p in (tmp_path / "new" / "folder").iterdir()] == [file]


@pytest.mark.parametrize("file", KINDS)
@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt(), RuntimeError("bug")])
def test_nothing_half_written_is_left_after_a_failure(error, file, tmp_path, monkeypatch):
    """Neither the target nor the partial beside it; a forced target keeps its old content."""
    target = tmp_path / file
    TRACES["one"].save(target)
    writer = "to_netcdf" if file.endswith(".nc") else "to_zarr"
    write = getattr(xr.Dataset, writer)

    def fail_midway(self, path, *args, **options):
        write(self, path, *args, **options)
        raise error

    monkeypatch.setattr(xr.Dataset, writer, fail_midway)
    with pytest.raises(sl.InputError if isinstance(error, OSError) else type(error)):
        TRACES["several"].save(target, force=True)
    with pytest.raises(sl.InputError if isinstance(error, OSError) else type(error)):
        TRACES["several"].save(tmp_path / f"other{file}")
    assert [p.name for p in tmp_path.iterdir()] == [file]
    xr.testing.assert_identical(sl.RiskTrace.load(target).dataset, TRACES["one"].dataset)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
@pytest.mark.parametrize("file", KINDS)
def test_unwritable_folder(file, tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(sl.InputError, match="choose a folder you may write to"):
        TRACES["one"].save(tmp_path / file)
    tmp_path.chmod(0o700)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("file", KINDS)
def test_a_file_in_place_of_the_folder(file, tmp_path):
    (tmp_path / "plain").write_text("a file")
    with pytest.raises(sl.InputError, match="cannot be written"):
        TRACES["one"].save(tmp_path / "plain" / file)


def test_loading_what_is_not_there(tmp_path):
    with pytest.raises(sl.InputError, match="does not exist"):
        sl.RiskTrace.load(tmp_path / "no.zarr")


@pytest.mark.parametrize("file", KINDS)
def test_loading_what_is_no_trace(file, tmp_path):
    (tmp_path / file).write_bytes(b"not a trace")
    with pytest.raises(sl.InputError, match="cannot be read as a trace"):
        sl.RiskTrace.load(tmp_path / file)


def test_loading_an_empty_folder(tmp_path):
    (tmp_path / "empty.zarr").mkdir()
    with pytest.raises(sl.InputError):
        sl.RiskTrace.load(tmp_path / "empty.zarr")


def test_loading_another_dataset(tmp_path):
    xr.Dataset({"x": ("y", [1.0])}).to_zarr(tmp_path / "x.zarr", zarr_format=3, consolidated=False)
    with pytest.raises(sl.InputError, match="no 'risk'"):
        sl.RiskTrace.load(tmp_path / "x.zarr")


def test_loading_a_later_format(tmp_path):
    later = TRACES["one"].dataset.assign_attrs(simlab_format=99, simlab_version="9.9")
    sl.RiskTrace(later).save(tmp_path / "later.zarr")
    with pytest.raises(sl.InputError, match=r"format 99.*9\.9"):
        sl.RiskTrace.load(tmp_path / "later.zarr")
