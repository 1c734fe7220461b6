"""Schedules that are made for the problem of the file: kinds "spectral" and "optimal", in runs and in sweeps."""

from __future__ import annotations

import numpy as np
import pytest

import simlab as sl
from simlab.experiment import Experiment

PROBLEM = {"kind": "power_law", "dim": 40, "capacity": 1.5, "source": 1.4, "noise_variance": 0.1}
OWN = sl.LinearRegression.power_law(40, 1.5, 1.4, 0.1)


def tree(**schedule):
    return {"problem": PROBLEM, "schedule": {"steps": 50, **schedule}}


def test_the_law_and_the_optimum_of_the_problem():
    law = Experiment.from_dict(tree(kind="spectral", form="short")).schedule
    assert law == sl.schedules.spectral(OWN, 50, form="short")
    best = Experiment.from_dict(tree(kind="optimal", batch=2)).schedule
    np.testing.assert_array_equal(best.values(), sl.optimize(OWN, 50, batch=2).schedule.values())


def test_side_by_side_with_others():
    compared = {"schedules": [{"kind": "optimal"}, {"kind": "spectral"}, {"kind": "wsd"}]}
    experiment = Experiment.from_dict({**tree(kind="linear", peak=0.3), "compare": compared})
    final = experiment.run(progress=False).total().isel(step=-1).values
    assert final[0] < final[1] < final[2]


def test_a_scaled_optimum_is_made_once():
    inner = {"kind": "optimal", "steps": 50}
    made = Experiment.from_dict({"problem": PROBLEM, "schedule": {"kind": "scaled", "schedule": inner, "factor": 0.5}})
    half = made.schedule.values()
    np.testing.assert_allclose(half, 0.5 * sl.optimize(OWN, 50).schedule.values(), rtol=1e-12)


def test_sweeps_over_kinds_and_problems(tmp_path):
    document = {
        **tree(kind="linear", peak=0.3),
        "sweep": {"schedule.kind": ["optimal", "linear"], "problem.noise_variance": [0.1, 1.0]},
    }
    store = sl.sweep(document, store=tmp_path / "store", progress=False)
    risk = store.dataset()["final_risk"].sum(["component", "subspace"])
    for noise in (0.1, 1.0):
        problem = sl.LinearRegression.power_law(40, 1.5, 1.4, noise)
        found = risk.sel({"schedule.kind": "optimal", "problem.noise_variance": noise}).item()
        assert found == pytest.approx(sl.optimize(problem, 50).risk, rel=1e-10)
        assert found < risk.sel({"schedule.kind": "linear", "problem.noise_variance": noise}).item()


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (tree(kind="spectral", form="long"), ["schedule.form", "'long'"]),
        (tree(kind="optimal", cap=-1.0), ["schedule.cap = -1.0"]),
        (tree(kind="optimal", peak=0.1), ["schedule", "'peak'"]),
        ({"problem": {"kind": "river-curved", "noise": 1.0}, "schedule": {"kind": "optimal", "steps": 9}},
         ["linear regression"]),
    ],
)  # fmt: skip
def test_refusals(given, words):
    with pytest.raises(sl.InputError) as caught:
        Experiment.from_dict(given)
    for word in words:
        assert word in str(caught.value), caught.value


def test_on_the_command_line_alone_there_is_no_problem(capsys):
    from simlab.cli import main

    with pytest.raises(SystemExit):
        main(["schedule", "plot", "optimal", "--steps", "9", "-o", "x.png"])
    assert "needs the problem of a file" in capsys.readouterr().err
