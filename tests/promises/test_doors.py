"""Every public door with a wrong kind in the place of each argument: an InputError or an answer, and nothing else."""

from __future__ import annotations

import inspect
from typing import Any

import numpy as np
import pytest

import simlab as sl
from simlab import methods, plot, river, schedules, subspaces
from tests.promises.wrong_kinds import PROBLEM, RATE, SGD, Door, check, outcome, quick

ROWS = np.array([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0], [0.5, -1.0]])
VALLEY = river.StraightValley([4.0, 1.0], slope=0.2)
CURVED = river.curved()
TREE = {
    "problem": {"kind": "power_law", "dim": 3, "capacity": 1.5, "source": 1.2},
    "schedule": {"kind": "constant", "steps": 3, "peak": 0.1},
}
QUIET: dict[str, Any] = {"progress": False}


def still(state, gradient, rate):
    """A rule that does nothing."""
    return state, gradient


def _loss(w, params):
    return 0.5 * w[0] ** 2


def _gradient(w, params, out):
    out[0] = w[0]


def _doors() -> dict[str, Door]:
    trace = sl.exact(PROBLEM, SGD, record=3, progress=False)
    regression: Any = sl.LinearRegression
    on = {"lr": RATE, "steps": None}
    around = {"inner": SGD}
    run = {"problem": PROBLEM, "method": SGD}
    valley = {"noise": 1.0, "river_noise": 0.0, "hill_start": 0.0, "river_start": 0.0}
    taper = {"first": 1.0, "last": 2.0, "centre": 5.0, "width": 2.0, "slope": 0.1, "mu": 0.0, "target": 0.0}
    course = {"landscape": CURVED, "start": None, "length": 0.5, "points": 5, "upstream": 0.0}
    every = {
        "LinearRegression": Door(
            regression,
            {"eigenvalues": [1.0, 0.5], "initial_error": 1.0, "noise_variance": 0.1, "kurtosis": 3.0,
             "multiplicity": [1, 1]},
        ),
        "LinearRegression.power_law": Door(
            regression.power_law,
            {"dim": 5, "capacity": 1.5, "source": 1.2, "noise_variance": 0.1, "kurtosis": 3.0},
        ),
        "LinearRegression.logarithmic": Door(
            regression.logarithmic,
            {"dim": 5, "noise_variance": 0.1, "power": 2.0, "initial_error": 1.0, "source": None, "kurtosis": 3.0},
        ),
        "LinearRegression.exponential": Door(
            regression.exponential,
            {"dim": 5, "rate": 0.5, "noise_variance": 0.1, "initial_error": 1.0, "source": None, "kurtosis": 3.0},
        ),
        "LinearRegression.two_level": Door(
            regression.two_level,
            {"head": 2, "tail": 3, "ratio": 4.0, "noise_variance": 0.1, "initial_error": 1.0, "kurtosis": 3.0},
        ),
        "LinearRegression.isotropic": Door(
            regression.isotropic,
            {"dim": 5, "noise_variance": 0.1, "eigenvalue": 1.0, "initial_error": 1.0, "kurtosis": 3.0},
        ),
        "LinearRegression.marchenko_pastur": Door(
            regression.marchenko_pastur,
            {"dim": 5, "ratio": 0.5, "noise_variance": 0.1, "initial_error": 1.0, "kurtosis": 3.0},
            slow=True,
        ),
        "LinearRegression.one_hot": Door(
            regression.one_hot,
            {"probabilities": [0.5, 0.5], "initial_error": 1.0, "noise_variance": 0.1, "scale": 1.0},
        ),
        "LinearRegression.from_data": Door(
            regression.from_data,
            {"X": ROWS, "y": np.ones(4), "moments": "gaussian", "rank_tolerance": 1e-10, "holdout": 0.5,
             "holdout_seed": 0},
        ),
        "LinearRegression.compress": Door(
            PROBLEM.compress, {"tolerance": 1e-6, "subspaces": None, "method": None}
        ),
        "EmpiricalRegression": Door(
            sl.EmpiricalRegression,
            {"X": ROWS, "y": np.ones(4), "rank_tolerance": 1e-10, "holdout": 0.5, "holdout_seed": 0},
        ),
        "LinearRegression.shifted": Door(
            sl.LinearRegression([1.0, 0.5], 1.0, 0.1).shifted,
            {"covariance": 1.5, "optimum": 0.5, "noise_variance": 0.2},
        ),
        "Mixture": Door(
            sl.Mixture,
            {"domains": [sl.LinearRegression([1.0, 0.5], 1.0, 0.1)] * 2, "share": [0.4, 0.6], "weights": [1.0, 2.0]},
        ),
        "NoisyQuadratic": Door(
            sl.NoisyQuadratic, {"eigenvalues": [1.0, 0.5], "initial_error": 1.0, "gradient_covariance": 1.0}
        ),
        "RandomFeatures": Door(
            sl.RandomFeatures, {"alpha": 1.0, "beta": 1.0, "ambient_dim": 6, "features": 3, "seed": 0}
        ),
        "problems.blocks": Door(
            sl.problems.blocks,
            {"matrices": [np.eye(2), [[3.0]]], "initial_error": [1.0, -1.0, 0.5], "noise_variance": 0.1},
        ),
        "Experiment": Door(sl.Experiment, {"tree": TREE, "folder": "."}),
        "Experiment.from_dict": Door(sl.Experiment.from_dict, {"tree": TREE, "folder": "."}),
        "Experiment.from_file": Door(sl.Experiment.from_file, {"path": "no file.toml"}),
        "Experiment.run": Door(sl.Experiment(TREE).run, {"progress": False, "threads": 1}),
        "Experiment.sample": Door(sl.Experiment(TREE).sample, {"progress": False, "threads": 1}),
        "RiskTrace": Door(sl.RiskTrace, {"dataset": trace.dataset}),
        "RiskTrace.z_scores": Door(trace.z_scores, {"exact": trace}),
        "RiskTrace.holdout_z_scores": Door(trace.holdout_z_scores, {"exact": trace}),
        "RiskTrace.load": Door(sl.RiskTrace.load, {"path": "no file.zarr"}),
        "exact": Door(
            sl.exact,
            {**run, "record": 3, "subspaces": None, "deterministic": False, "snapshots": None, "start": None,
             "keep": None, "device": "cpu", "threads": 1, "progress": False},
        ),
        "long": Door(
            sl.long,
            {**run, "tolerance": 1e-6, "record": 3, "subspaces": None, "budget": 60.0, "start": None, "keep": None,
             "threads": 1, "progress": False},
        ),
        "limit": Door(
            sl.limit,
            {"problem": PROBLEM, "method": methods.sign_sgd(RATE), "record": 3, "subspaces": None, "threads": 1,
             "progress": False},
        ),
        "sample": Door(
            sl.sample,
            {**run, "replicas": 2, "seed": 0, "law": None, "record": 3, "subspaces": None, "quantiles": (0.5,),
             "coordinates": None, "split": True, "basis": None, "device": "cpu", "dtype": "float64", "threads": 1,
             "block": None, "every": None, "start": None, "keep": None, "progress": False},
        ),
        "exact_valley": Door(
            sl.exact_valley,
            {"valley": VALLEY, "method": SGD, "record": 3, "subspaces": None, "threads": 1, "progress": False,
             "warn": True},
        ),
        "descend": Door(
            sl.descend,
            {"landscape": CURVED, "method": SGD, "replicas": 2, "seed": 0, "noise": None, "record": 3, "river": None,
             "quantiles": (0.5,), "paths": False, "device": "cpu", "dtype": "float64", "threads": 1, "block": None,
             "every": None, "start": None, "keep": None, "progress": False, "warn": True},
        ),
        "stability": Door(sl.stability, {"problem": PROBLEM, "method": SGD, "step": None, "period": None}),
        "methods.sgd": Door(methods.sgd, {**on, "batch": 1}),
        "methods.heavy_ball": Door(methods.heavy_ball, {**on, "momentum": 0.9, "batch": 1}),
        "methods.nesterov": Door(methods.nesterov, {**on, "momentum": 0.9, "batch": 1}),
        "methods.torch_momentum": Door(
            methods.torch_momentum, {**on, "momentum": 0.9, "batch": 1, "dampening": 0.0, "nesterov": False}
        ),
        "methods.qhm": Door(methods.qhm, {**on, "momentum": 0.9, "nu": 0.7, "batch": 1}),
        **{
            f"methods.{name}": Door(getattr(methods, name), {**on, "beta1": 0.9, "beta2": 0.99, "batch": 1, **more})
            for name, more in {
                "adam": {"amsgrad": False}, "adamw": {}, "nadam": {"momentum_decay": 0.004}, "radam": {},
                "adabound": {"final_lr": 0.1, "gamma": 0.001}, "adamod": {"beta3": 0.99}, "adam_mini": {"blocks": 2},
                "lion": {}, "lamb": {"blocks": 2, "weights": 1.0}, "adam_low_bit": {"bits": 8, "block": 64},
            }.items()
        },
        "methods.lars": Door(
            methods.lars, {**on, "momentum": 0.9, "trust": 1e-3, "eps": 1e-8, "batch": 1, "blocks": 2, "weights": 1.0}
        ),
        "methods.sign_sgd": Door(methods.sign_sgd, {**on, "batch": 1, "weight_decay": 0.0}),
        "methods.signum": Door(methods.signum, {**on, "beta": 0.9, "batch": 1}),
        "methods.rmsprop": Door(methods.rmsprop, {**on, "beta": 0.9, "momentum": 0.5, "eps": 1e-8, "batch": 1}),
        "methods.adagrad": Door(methods.adagrad, {**on, "eps": 1e-8, "initial": 0.1, "batch": 1}),
        "methods.closed_loop": Door(methods.closed_loop, {"inner": SGD, "feedback": sl.feedback.polyak()}),
        "methods.custom": Door(methods.custom, {**on, "update": still, "state_rows": 1, "batch": 1}),
        "methods.asgd": Door(methods.asgd, {**on, "gamma": 0.2, "beta": 0.5, "alpha": None, "batch": 1}),
        "methods.acc_sgd": Door(
            methods.acc_sgd, {**on, "kappa": 10.0, "xi": 2.0, "batch": 1, "small_const": 0.7}
        ),
        "methods.acsgd": Door(methods.acsgd, {**on, "alpha": 0.01, "batch": 1}),
        "methods.schedule_free": Door(
            methods.schedule_free, {**on, "beta": 0.9, "batch": 1, "power": 0.0, "weight_lr_power": 2.0}
        ),
        "methods.dana": Door(
            methods.dana, {**on, "g3": 0.01, "decay": 0.0, "delta": 8.0, "g1": 1.0, "batch": 1}
        ),
        "methods.generic": Door(
            methods.generic,
            {"M": np.eye(1), "b": [0.1], "c": [1.0], "o": None, "steps": 5, "start": None, "batch": 1},
        ),
        "methods.ema": Door(methods.ema, {**around, "decay": 0.9, "form": "new", "bias_corrected": False}),
        "methods.average": Door(methods.average, {**around, "start": 0, "form": "new"}),
        "methods.tail_average": Door(methods.tail_average, {**around, "window": 0.5, "form": "new"}),
        "methods.polynomial_average": Door(methods.polynomial_average, {**around, "power": 3.0, "form": "new"}),
        "methods.merge": Door(methods.merge, {**around, "steps": [2, 4], "weights": None}),
        "methods.merge_weights": Door(methods.merge_weights, {"decay": [0.5, 0.25]}),
        "methods.lookahead": Door(methods.lookahead, {**around, "every": 5, "alpha": 0.5}),
        "methods.local": Door(
            methods.local, {**around, "workers": 2, "merge": None, "every": 5, "own_domains": False}
        ),
        "methods.weight_decay": Door(methods.weight_decay, {**around, "decay": 0.1, "form": "coupled"}),
        "methods.rest": Door(methods.rest, {"method": SGD, "step": 2}),
        "methods.jain_2018_rule": Door(methods.jain_2018_rule, {"problem": PROBLEM, "c1": 0.25}),
        "methods.li_2024_rule": Door(
            methods.li_2024_rule, {"problem": PROBLEM, "effective_dim": 1, "delta": None, "psi": 3.0}
        ),
        "subspaces.from_spec": Door(subspaces.from_spec, {"spec": None}),
        "subspaces.head_tail": Door(subspaces.head_tail, {"k": 1}),
        "subspaces.index_sets": Door(subspaces.index_sets, {"sets": {"a": [1]}}),
        "subspaces.log_bins": Door(subspaces.log_bins, {"n": 2}),
        "river.StraightValley": Door(
            river.StraightValley,
            {"hills": [4.0, 1.0], "slope": 0.2, "curvature": None, "target": None, **valley},
        ),
        "river.bias_variance": Door(
            river.bias_variance, {"landscape": CURVED, "final": np.zeros((4, 2)), "best": 0.0}
        ),
        "river.bigram": Door(
            river.bigram, {"determinism": [0.2, 0.8], "vocabulary": 4, "weight": None, "start": None}
        ),
        "river.curved": Door(
            river.curved,
            {"mu": 0.1, "lam": 10.0, "amplitude": 1.0, "wavenumber": 0.5, "target": 5.0, "slope": 0.0, "start": None},
        ),
        "river.narrowing": Door(river.narrowing, {**taper, "start": None}),
        "river.widening": Door(river.widening, {**taper, "start": None}),
        "river.hyperbolic": Door(river.hyperbolic, {"start": (2.0, 2.0)}),
        "river.straight_landscape": Door(
            river.straight_landscape, {"hills": [4.0], "slope": 0.1, "mu": 0.0, "target": 0.0, "start": None}
        ),
        "river.embedded": Door(
            river.embedded, {"landscape": CURVED, "hills": [3.0], "seed": 0, "rotate": True}
        ),
        "river.custom": Door(
            river.custom,
            {"loss": _loss, "gradient": _gradient, "dim": 1, "hessian": None, "start": None, "params": (),
             "inside": None, "split": None, "cuda": None, "name": "custom"},
            slow=True,
        ),
        "river.state_at": Door(
            river.state_at,
            {"trace": sl.descend(CURVED, SGD, replicas=2, keep=[1], progress=False), "step": None, "run": None},
        ),
        "river.segments": Door(
            river.segments, {"landscape": CURVED, "first": [0.0, 0.0], "second": [1.0, 1.0], "points": 5}
        ),
        "river.find.river": Door(river.find.river, {**course, "least_gap": 1e-3}),
        "river.noise.along_hills": Door(river.noise.along_hills, {"sigma": 1.0, "at": None}),
        "river.noise.amplified": Door(
            river.noise.amplified, {"noisy": river.noise.isotropic(1.0).on(CURVED), "factor": 2.0}
        ),
        "river.noise.custom": Door(river.noise.custom, {"shape": _loss, "params": (), "name": "custom"}),
        "river.noise.diagonal": Door(river.noise.diagonal, {"sigma": [1.0, 2.0]}),
        "river.noise.isotropic": Door(river.noise.isotropic, {"sigma": 1.0}),
        "river.noise.like_hessian": Door(river.noise.like_hessian, {"scale": 1.0, "at": None}),
        "river.noise.with_loss": Door(river.noise.with_loss, {"scale": 1.0, "floor": 0.0, "of": None}),
        "plot.new_figure": Door(plot.new_figure, {"width": 3.0, "height": 2.0}, slow=True),
        "plot.risk": Door(plot.risk, {"trace": trace, "x": None, "sampled": None}, slow=True),
        "plot.losses": Door(plot.losses, {"trace": trace, "x": "log"}, slow=True),
        "plot.save": Door(
            plot.save, {"figure": plot.new_figure(1.0, 1.0), "path": "figure without a suffix"}, slow=True
        ),
        "plot.schedules": Door(plot.schedules, {"named": {"a": RATE}, "columns": 5}, slow=True),
        "plot.shades": Door(plot.shades, {"count": 3}, slow=True),
        "optimize": Door(
            sl.optimize,
            {"problem": PROBLEM, "steps": 8, "method": "sgd", "batch": 1, "samples": None, "cap": "critical",
             "monotone": False, "weights": None, "horizons": None, "start": None, "tolerance": 1e-6, "sweeps": 9},
        ),
        "tune": Door(
            sl.tune,
            {"problem": PROBLEM, "family": "linear", "steps": 8, "over": ["peak"], "method": methods.sgd,
             "given": None, "bounds": None},
        ),
        "schedules.spectral": Door(
            schedules.spectral,
            {"problem": PROBLEM, "steps": 8, "batch": 1, "cap": None, "form": "full", "level": None},
        ),
    }  # fmt: skip
    return every


DOORS = _doors()
RESULTS = {"AsgdParameters", "Coefficients", "Method", "Stability", "Subspaces", "Landscape", "Noise"}
RESULTS |= {"BiasVariance", "Bigram", "River", "Segments", "Split", "InputError"}
"""Public names that are made by simlab, and not by its users."""


def test_wrong_kinds_are_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    calls, refused = check(quick(DOORS), 0.1)
    assert calls > 300
    assert refused > 250


ABSENT = {"Experiment.from_file", "RiskTrace.load", "plot.losses", "plot.save"}
ABSENT |= {"RiskTrace.z_scores", "RiskTrace.holdout_z_scores"}
"""Doors whose one call here is of a file that is absent, or of a trace of another kind."""


@pytest.mark.slow
def test_every_wrong_kind_at_every_door_is_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert {name for name, door in DOORS.items() if outcome(door, door.good) != "answered"} == ABSENT
    calls, refused = check(DOORS, 1.0)
    print(f"{calls} calls, {refused} refused")
    assert calls > 4500
    assert refused > 3800


def test_every_public_function_has_a_door_here():
    """A new one is tried as well, or named a result."""
    places = {"methods": methods, "subspaces": subspaces, "river": river}
    for place, module in {**places, "river.noise": river.noise, "river.find": river.find}.items():
        for name in set(module.__all__) - RESULTS:
            value = getattr(module, name)
            if callable(value) and inspect.signature(value).parameters and name != "modes":
                assert f"{place}.{name}" in DOORS, name
    for name in set(sl.__all__) - RESULTS - {"sweep"}:
        assert not callable(getattr(sl, name)) or name in DOORS, name


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: sl.exact(SGD, PROBLEM), ["problem", "sgd", "comes first"]),
        (lambda: sl.exact(PROBLEM, RATE), ["method", "schedule", "methods.sgd"]),
        (lambda: sl.exact(PROBLEM, None), ["method = None", "methods.sgd"]),
        (lambda: sl.exact(PROBLEM, SGD, snapshots=3), ["snapshots = 3", "list"]),
        (lambda: methods.sgd(RATE, batch_size=32), ["'batch_size'", "'batch'?"]),
        (lambda: methods.sgd(), ["lr is missing", "lr="]),
        (lambda: methods.sgd(RATE, 1, 2), ["sgd", "2", "place 3"]),
        (lambda: methods.sgd(RATE, lr=RATE), ["lr", "twice"]),
        (lambda: methods.merge(SGD, 5), ["steps = 5", "list"]),
        (lambda: methods.generic("x", [0.1], [1.0], steps=5), ["M = 'x'", "floats"]),
        (lambda: sl.LinearRegression.power_law(5, 1.5, 1.2, batch=32), ["'batch'", "capacity"]),
        (lambda: sl.LinearRegression([1.0], 1.0, 10**400), ["noise_variance", "outside"]),
        (lambda: sl.LinearRegression([1.0], 1e200, 0.0), ["initial_error", "1e+200", "scale"]),
        (lambda: sl.LinearRegression.isotropic(dim=10**19), ["dim", "at most"]),
        (lambda: sl.LinearRegression([1.0], 1.0, 0.0, multiplicity=[1e19]), ["multiplicity", "1e+19", "at most"]),
        (lambda: sl.LinearRegression([1.0, -78.45], 1.0, 0.1), ["[1] = -78.45 is", "no minimum", "leave those"]),
        (lambda: methods.momentum, ["momentum", "heavy_ball"]),
        (lambda: methods.muon, ["muon", "sign_sgd"]),
        (lambda: methods.nestrov, ["'nestrov'", "'nesterov'?"]),
        (lambda: subspaces.log_bin, ["'log_bin'", "'log_bins'?"]),
        (lambda: sl.exat, ["'exat'", "'exact'?"]),
    ],
)
def test_refusals_say_what_to_give(call, words):
    with pytest.raises(sl.InputError) as caught:
        call()
    for word in words:
        assert word in str(caught.value), caught.value


def test_unknown_names_of_modules_stay_attribute_errors():
    assert not hasattr(methods, "muon")
    assert not hasattr(methods, "__wrapped__")
    with pytest.raises(ImportError):
        exec("from simlab.methods import muon")


def test_wrappers_are_bounded():
    """Each adds a state coordinate and some frames of the stack; 500 of them were a RecursionError."""
    method = SGD
    for _ in range(64):
        method = methods.ema(method, 0.5)
    assert method.rescale(0.5).coefficients(0, 1).M.shape == (1, 65, 65)
    with pytest.raises(sl.InputError, match="64 wrappers already"):
        methods.average(method)
