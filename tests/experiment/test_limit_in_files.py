"""engine = "limit" and methods that are not linear, in files and sweeps."""

from __future__ import annotations

import numpy as np
import pytest

import simlab as sl

FILE = {
    "engine": "limit",
    "record": {"steps": 5},
    "problem": {"kind": "power_law", "dim": 40, "capacity": 1.5, "source": 1.3, "noise_variance": 0.2},
    "schedule": {"kind": "cosine", "steps": 30, "peak": 0.01},
    "method": {"kind": "adam", "beta2": 0.99},
}
PROBLEM = sl.LinearRegression.power_law(40, 1.5, 1.3, 0.2)


def with_peak(peak: float) -> sl.methods.Method:
    return sl.methods.adam(sl.schedules.cosine(30, peak), beta2=0.99)


def test_a_file_runs_what_python_runs():
    trace = sl.Experiment.from_dict(FILE).run(progress=False)
    np.testing.assert_array_equal(trace.risk, sl.limit(PROBLEM, with_peak(0.01), record=5, progress=False).risk)


def test_a_file_samples_it_in_the_eigenbasis():
    tree = {**FILE, "engine": {"kind": "sample", "basis": "eigen", "replicas": 8}}
    trace = sl.Experiment.from_dict(tree).run(progress=False)
    again = sl.sample(PROBLEM, with_peak(0.01), basis="eigen", replicas=8, record=5, progress=False)
    np.testing.assert_array_equal(trace.risk, again.risk)


def test_a_sweep_keeps_risks_and_errors(tmp_path):
    peaks = [0.005, 0.02]
    store = sl.sweep(FILE, {"schedule.peak": peaks}, store=tmp_path / "s.zarr", progress=False)
    found = store.dataset()
    for peak in peaks:
        cell, alone = found.sel({"schedule.peak": peak}), sl.limit(PROBLEM, with_peak(peak), record=5, progress=False)
        np.testing.assert_array_equal(cell["final_risk"].squeeze(), alone.risk.isel(step=-1).squeeze())
        np.testing.assert_array_equal(cell["risk_error"].squeeze(), alone.dataset["risk_error"].squeeze())


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"record": {"deterministic": True}}, "record.deterministic is not known to the limit"),
        ({"problem": {**FILE["problem"], "compress": True}}, "problem.compress is not known to the limit"),
        ({"engine": {"kind": "limit", "replicas": 3}}, r"key of \[engine\]: .replicas. is not known"),
        ({"method": {"kind": "sgd"}}, "is linear; take simlab.exact"),
        (
            {"engine": "long", "method": {"kind": "sgd", "wrap": [{"kind": "local", "workers": 2}]}},
            "is of several workers, and long needs a linear one",
        ),
        ({"engine": "exact"}, "is not linear, and exact needs a linear one"),
        ({"engine": "sample"}, "basis is missing"),
    ],
)
def test_refusals(changes, words):
    with pytest.raises(sl.InputError, match=words):
        sl.Experiment.from_dict({**FILE, **changes}).run(progress=False)
