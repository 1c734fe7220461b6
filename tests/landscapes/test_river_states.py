"""Runs on a landscape that go on from the state of another one: the parts have the bits of the whole."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

import simlab as sl
from simlab import methods, river, schedules
from simlab.engines.descend import descend
from tests.oracles.method_zoo import ZOO

STEPS, VALLEY = 60, river.curved(slope=0.1, start=[0.3, 0.7])
NOISE = river.noise.isotropic(0.5)


def zoo(name):
    return ZOO[name](schedules.wsd(STEPS, peak=0.05, cooldown=0.3), schedules.linear(STEPS, 0.7, floor=0.5), 2)


def run(method, landscape=VALLEY, **options):
    return descend(landscape, method, **{"noise": NOISE, "record": "all", "paths": True, "progress": False} | options)


@pytest.mark.parametrize("name", list(ZOO))
def test_split_is_whole_to_the_bit(name):
    """Cut anywhere, with blocks that are no multiple of the lanes in use, and the state of another block size."""
    method, at = zoo(name), 1 + sum(map(ord, name)) % (STEPS - 1)
    whole = run(method, replicas=70, seed=3)
    first = run(method, replicas=70, seed=3, keep=[at], block=64)
    second = run(methods.rest(method, at), start=river.state_at(first), threads=1)
    wanted = whole.sel(step=slice(at, None))
    for variable in ("iterate", "total", "total_error", "river_loss", "hill_state", "total_quantile", "diverged", "lr"):
        np.testing.assert_array_equal(second[variable], wanted[variable], err_msg=variable)
    assert second.attrs["seed"] == "3"
    assert second.attrs["started_from"].startswith(f"step {at} of ")


def test_branches_and_several_runs():
    """Two trunks, and the cooldowns of both, with momentum kept and with an average that begins at the iterate."""
    lr = schedules.constant(STEPS, 0.05)
    trunks = {"sgd": methods.sgd(lr), "ball": methods.heavy_ball(lr, 0.8)}
    trace = run(trunks, keep=[20, 60], replicas=64)
    cooldown = schedules.linear(30, 0.05)
    branch = run(methods.heavy_ball(cooldown, 0.8), start=river.state_at(trace, 20, "ball"))
    whole = methods.heavy_ball(schedules.join(schedules.constant(20, 0.05), cooldown), 0.8)
    np.testing.assert_array_equal(branch["iterate"], run(whole, replicas=64)["iterate"].sel(step=slice(20, None)))
    averaged = run(methods.average(methods.sgd(cooldown)), start=river.state_at(trace, 60, "sgd"))
    np.testing.assert_array_equal(averaged["iterate"][0], trace["iterate"].sel(run="sgd", step=60))


def test_other_words_and_weights_alone():
    state = river.state_at(run(methods.heavy_ball(schedules.constant(9, 0.05), 0.8), replicas=64, keep=[9]))
    method = methods.heavy_ball(schedules.constant(9, 0.05), 0.8)
    same, other, still = (run(method, start=s) for s in (state, state.reseeded(7), state.weights()))
    for changed in (other, still):
        np.testing.assert_array_equal(changed["iterate"][0], same["iterate"][0])
        assert np.all(changed["iterate"][2] != same["iterate"][2])


def test_another_landscape_takes_over():
    """Places are what they are: the loss of the next landscape there."""
    trunk = run(methods.sgd(schedules.constant(20, 0.05)), replicas=64, keep=[20])
    wider = river.curved(slope=0.3, start=[5.0, 5.0])
    branch = run(methods.sgd(schedules.constant(5, 0.05)), wider, start=river.state_at(trunk))
    losses = [wider.value(w) for w in trunk["iterate"].sel(step=20).values]
    np.testing.assert_allclose(branch["replica_total"][0], losses, rtol=1e-12)


def test_replicas_that_had_left_stay_away():
    wild = methods.sgd(schedules.join(schedules.constant(30, 0.9), schedules.constant(30, 0.01)))
    asked = {"replicas": 64, "noise": river.noise.isotropic(30.0), "warn": False, "paths": False}
    steep = river.hyperbolic()
    whole = run(wild, steep, **asked)
    gone = whole["diverged"].values
    assert gone[-1] > 0
    state = river.state_at(run(wild, steep, keep=[30], **asked))
    rest = run(methods.rest(wild, 30), steep, start=state, **asked)
    np.testing.assert_array_equal(rest["diverged"], gone[30:])


def test_checkpoints_of_a_continued_run(tmp_path):
    state = river.state_at(run(zoo("sgd"), replicas=130, keep=[60]))
    method = methods.sgd(schedules.constant(300, 0.01))

    def stop(done, total):
        if done > total // 2:
            raise KeyboardInterrupt

    asked = {"start": state, "checkpoint": tmp_path, "every": 16, "block": 64, "threads": 1, "keep": [200]}
    assert run(method, **asked | {"progress": stop}).status == "interrupted"
    resumed, plain = run(method, **asked), run(method, start=state, keep=[200])
    np.testing.assert_array_equal(resumed["iterate"], plain["iterate"])
    np.testing.assert_array_equal(river.state_at(resumed).arrays["z"], river.state_at(plain).arrays["z"])
    with pytest.raises(sl.InputError, match="state of another run"):
        run(method, **asked | {"start": state.reseeded(5)})


def test_states_are_saved_with_the_dataset(tmp_path):
    trunk = run(zoo("sgd"), replicas=64, keep=[10, 60])
    trunk.to_netcdf(tmp_path / "t.nc", engine="h5netcdf")
    with xr.open_dataset(tmp_path / "t.nc", engine="h5netcdf") as back:
        for at in (10, 60):
            ours, theirs = (river.state_at(t, at) for t in (trunk, back))
            np.testing.assert_array_equal(ours.arrays["z"], theirs.arrays["z"])
        altered = back.load().copy(deep=True)
    altered["state_0_z"][0, 0, 0] += 1.0
    with pytest.raises(sl.InputError, match="holds a state at step 10 that is not the one that was kept"):
        river.state_at(altered)


def test_by_files(tmp_path):
    """A stable phase on a narrowing valley and its cooldown, by two files."""
    tables = {
        "problem": {"kind": "river-curved", "slope": 0.1},
        "schedule": {"kind": "constant", "steps": 40, "peak": 0.05},
        "engine": {"kind": "sample", "replicas": 64},
    }
    trunk = sl.Experiment.from_dict({**tables, "record": {"keep": [40]}})
    trunk.family.save(trunk.run(progress=False), tmp_path / "trunk.zarr")
    cooldown = {**tables, "schedule": {"kind": "linear", "steps": 20, "peak": 0.05}}
    branch = sl.Experiment.from_dict({**cooldown, "start": {"trace": str(tmp_path / "trunk.zarr")}}).run(progress=False)
    joined = {"kind": "join", "parts": [tables["schedule"], cooldown["schedule"]]}
    whole = sl.Experiment.from_dict({**tables, "schedule": joined, "record": {"steps": [40, 50]}}).run(progress=False)
    np.testing.assert_array_equal(branch["total"].isel(step=-1), whole["total"].isel(step=-1))
    with pytest.raises(sl.InputError, match=r"start is a state of simlab\.descend, and simlab\.exact goes on from"):
        sl.Experiment.from_dict(
            {"problem": {"kind": "isotropic", "dim": 2}, "schedule": tables["schedule"],
             "start": {"trace": str(tmp_path / "trunk.zarr")}}
        )  # fmt: skip


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"landscape": river.hyperbolic()}, None),
        ({"landscape": river.straight_landscape([3.0, 1.0], slope=0.2)}, "start has 2 coordinates, the landscape 3"),
        ({"method": methods.heavy_ball(schedules.constant(5, 0.1))}, "start has no 'velocity'"),
        ({"keep": [3]}, "keep = 3 is out of range"),
        ({"record": [3]}, "give steps between 60 and 65"),
        ({"start": 3}, "start = 3 is not a state"),
        (
            {"start": sl.exact(sl.LinearRegression([1.0], 1.0, 0.1), methods.sgd(schedules.constant(5, 0.1)),
                               progress=False).state},
            r"start is a state of simlab\.exact or simlab\.long, and simlab\.descend goes on",
        ),
    ],
)  # fmt: skip
def test_refusals(more, said):
    state = river.state_at(run(zoo("sgd"), replicas=2, keep=[60]))
    given = {"method": methods.sgd(schedules.constant(5, 0.1)), "landscape": VALLEY, "start": state} | more
    if said is None:
        run(**given, warn=False)
        return
    with pytest.raises(sl.InputError, match=said):
        run(**given)


def test_none_was_kept():
    with pytest.raises(sl.InputError, match="trace has kept no state; run it again with keep="):
        river.state_at(run(zoo("sgd"), replicas=2))
    with pytest.raises(sl.InputError, match="trace = 3 is not a dataset"):
        river.state_at(3)
