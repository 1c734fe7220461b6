"""Refusals at the Python door: one sentence that names the field, the value and the remedy."""

from __future__ import annotations

import ast
import pickle
from pathlib import Path

import numpy as np
import pytest

import simlab as sl
from simlab import methods, schedules, subspaces
from simlab.schedules import constant

LR = sl.LinearRegression
FLAT = constant(10, 0.1)
SGD = methods.sgd(FLAT)
GOOD = LR([1.0, 0.5], 1.0, 0.1)
ROWS = np.array([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]])

# what is wrong -> (the call, words of the message: field or value, and remedy)
PROBLEMS = {
    "negative eigenvalue": (lambda: LR([1.0, -0.5], 1.0, 0.1), ["eigenvalues[1]", "-0.5", "no minimum", "leave those"]),
    "zero eigenvalue": (lambda: LR([1.0, 0.0], 1.0, 0.1), ["eigenvalues[1]", "0.0", "leave null directions out"]),
    "NaN eigenvalue": (lambda: LR([1.0, np.nan], 1.0, 0.1), ["eigenvalues[1]", "nan", "give finite numbers"]),
    "infinite eigenvalue": (lambda: LR([np.inf, 1.0], 1.0, 0.1), ["eigenvalues[0]", "inf", "give finite numbers"]),
    "no eigenvalues": (lambda: LR([], 1.0, 0.1), ["eigenvalues", "(0,)", "at least one entry"]),
    "matrix of eigenvalues": (lambda: LR(np.ones((2, 2)), 1.0, 0.1), ["eigenvalues", "(2, 2)", "one-dimensional"]),
    "eigenvalues that are words": (lambda: LR(["a", "b"], 1.0, 0.1), ["eigenvalues", "give", "floats"]),
    "errors of another length": (
        lambda: LR([1.0, 0.5], [1.0] * 3, 0.1),
        ["initial_error", "3 entries", "give one"],
    ),
    "NaN error": (lambda: LR([1.0, 0.5], [1.0, np.nan], 0.1), ["initial_error[1]", "nan", "give finite"]),
    "negative noise": (lambda: LR([1.0], 1.0, -0.1), ["noise_variance", "-0.1", "give"]),
    "NaN noise": (lambda: LR([1.0], 1.0, np.nan), ["noise_variance", "nan", "give"]),
    "noise that is a word": (lambda: LR([1.0], 1.0, "low"), ["noise_variance", "'low'", "give one number"]),
    "kurtosis below 1": (lambda: LR([1.0, 0.5], 1.0, 0.1, [3.0, 0.9]), ["kurtosis", "0.9", "3"]),
    "kurtosis below 1 of a family": (lambda: LR.power_law(5, 1.5, 1.2, 0.1, kurtosis=0.5), ["kurtosis", "0.5", "give"]),
    "NaN kurtosis": (lambda: LR([1.0], 1.0, 0.1, np.nan), ["kurtosis", "nan", "give"]),
    "kurtosis of another length": (lambda: LR([1.0, 0.5], 1.0, 0.1, [3.0] * 3), ["kurtosis", "3 entries", "give one"]),
    "multiplicity zero": (lambda: LR([1.0, 0.5], 1.0, 0.1, multiplicity=[1, 0]), ["multiplicity", "zero", "leave"]),
    "multiplicity negative": (lambda: LR([1.0], 1.0, 0.1, multiplicity=[-1]), ["multiplicity[0]", "-1", "give"]),
    "no modes": (lambda: LR.power_law(0, 1.5, 1.2), ["dim", "0", "at least 1"]),
    "half a mode": (lambda: LR.power_law(2.5, 1.5, 1.2), ["dim", "2.5", "give an integer"]),
    "negative capacity": (lambda: LR.power_law(10, -1.0, 1.2), ["capacity", "-1", "give"]),
    "rate zero": (lambda: LR.exponential(10, 0.0), ["rate", "0.0", "give"]),
    "eigenvalues below the range": (lambda: LR.exponential(10_000, 1.0), ["dim", "10000", "691"]),
    "condition number below 1": (lambda: LR.two_level(1, 1, 0.5), ["ratio", "0.5", "give"]),
    "more columns than rows": (lambda: LR.marchenko_pastur(10, 1.5), ["ratio", "1.5", "give"]),
    "probabilities above 1": (lambda: LR.one_hot([0.8, 0.7]), ["probabilities", "1.5", "at most 1"]),
    "more features than dimensions": (lambda: sl.RandomFeatures(1.0, 1.0, 5, 6), ["features", "6", "at most"]),
    "negative covariance": (lambda: sl.NoisyQuadratic([1.0], 1.0, [-1.0]), ["gradient_covariance[0]", "-1", "give"]),
    "unknown moments": (lambda: LR.from_data(ROWS, np.ones(3), "gausian"), ["moments", "'gausian'", "'gaussian'?"]),
    "targets of another length": (lambda: LR.from_data(ROWS, np.ones(2)), ["y", "2 entries", "3"]),
    "NaN in the features": (lambda: LR.from_data(ROWS * np.nan, np.ones(3)), ["X", "row 0", "drop or fill"]),
    "features that are a vector": (lambda: LR.from_data(ROWS[0], np.ones(2)), ["X", "(2,)", "give a matrix"]),
    "features that are zero": (lambda: LR.from_data(0 * ROWS, np.ones(3)), ["X", "zero everywhere", "give features"]),
}
METHODS = {
    "lr that is a number": (lambda: methods.sgd(0.1), ["lr", "0.1", "schedules.constant"]),
    "negative lr": (lambda: methods.sgd(constant(10, -0.1)), ["peak", "-0.1", "give"]),
    "negative lr in an array": (lambda: schedules.from_array([0.1, -0.1]), ["values[1]", "-0.1", "at least 0"]),
    "NaN lr": (lambda: schedules.from_array([0.1, np.nan]), ["values[1]", "nan", "finite"]),
    "no steps": (lambda: constant(0, 0.1), ["steps", "0", "at least 1"]),
    "an empty array of rates": (lambda: schedules.from_array([]), ["values", "(0,)", "at least one"]),
    "negative factor": (lambda: FLAT * -1.0, ["factor", "-1", "give"]),
    "batch zero": (lambda: methods.sgd(FLAT, 0), ["batch", "0", "at least 1"]),
    "batch of a half": (lambda: methods.sgd(FLAT, 2.5), ["batch", "2.5", "whole number"]),
    "NaN batch": (lambda: methods.sgd(FLAT, np.nan), ["batch", "nan", "whole number"]),
    "batch that is a word": (lambda: methods.sgd(FLAT, "all"), ["batch", "'all'", "whole number"]),
    "batch schedule with halves": (lambda: methods.sgd(FLAT, constant(10, 1.5)), ["batch", "step 0", "1.5", "whole"]),
    "batch schedule that is too short": (lambda: methods.sgd(FLAT, constant(9, 2.0)), ["batch", "9", "10"]),
    "momentum above 1": (lambda: methods.heavy_ball(FLAT, 1.1), ["momentum", "1.1", "[0, 1]"]),
    "negative momentum": (lambda: methods.nesterov(FLAT, -0.1), ["momentum", "-0.1", "[0, 1]"]),
    "momentum schedule above 1": (lambda: methods.qhm(FLAT, constant(10, 2.0)), ["momentum", "2", "scale"]),
    "momentum schedule too long": (lambda: methods.heavy_ball(FLAT, constant(11, 0.9)), ["momentum", "11", "10"]),
    "EMA decay above 1": (lambda: methods.ema(SGD, 1.01), ["decay", "1.01", "[0, 1]"]),
    "EMA decay below 0": (lambda: methods.ema(SGD, -0.5), ["decay", "-0.5", "[0, 1]"]),
    "EMA decay that is NaN": (lambda: methods.ema(SGD, np.nan), ["decay", "nan", "[0, 1]"]),
    "unknown form": (lambda: methods.ema(SGD, 0.9, form="ne"), ["form", "'ne'", "'new'?"]),
    "EMA of a schedule": (lambda: methods.ema(FLAT, 0.9), ["constant(10", "methods.sgd"]),
    "corrected EMA of decay 1": (lambda: methods.ema(SGD, 1.0, bias_corrected=True), ["decay", "1", "start below 1"]),
    "average from beyond the end": (lambda: methods.average(SGD, 11), ["start", "11", "at most 10"]),
    "window longer than the run": (lambda: methods.tail_average(SGD, 11), ["window", "11", "at most 10"]),
    "window of nothing": (lambda: methods.tail_average(SGD, 0), ["window", "0", "at least 1"]),
    "negative power": (lambda: methods.polynomial_average(SGD, -1.0), ["power", "-1", "give"]),
    "checkpoints out of order": (lambda: methods.merge(SGD, [5, 3]), ["steps", "[5, 3]", "sort"]),
    "no checkpoints": (lambda: methods.merge(SGD, []), ["steps", "[]", "at least one"]),
    "checkpoint beyond the end": (lambda: methods.merge(SGD, [11]), ["steps[0]", "11", "at most 10"]),
    "weights that cancel": (lambda: methods.merge(SGD, [1, 2], [1.0, -1.0]), ["weights", "zero", "change them"]),
    "weights of another length": (lambda: methods.merge(SGD, [1, 2], [1.0]), ["weights", "1 entries", "2"]),
    "weights of a decay that rises": (
        lambda: methods.merge_weights([0.5, 0.7]),
        ["never increase", "normalise"],
    ),
    "dampened nesterov": (lambda: methods.torch_momentum(FLAT, 0.9, 1, 0.1, True), ["dampening", "0.1", "set"]),
    "negative decay": (lambda: methods.weight_decay(SGD, -0.1), ["decay", "-0.1", "give"]),
    "unknown decay form": (lambda: methods.weight_decay(SGD, 0.1, form="decopled"), ["'decopled'", "'decoupled'?"]),
    "decoupled decay of an average": (
        lambda: methods.weight_decay(methods.generic(np.eye(2), [1, 1], [1, 0], [0.5, 0.5], steps=3), 0.1, "decoupled"),
        ["decoupled", "one state coordinate"],
    ),
    "lookahead every zero steps": (lambda: methods.lookahead(SGD, 0), ["every", "0", "at least 1"]),
    "lookahead beyond": (lambda: methods.lookahead(SGD, 5, 1.5), ["alpha", "1.5", "[0, 1]"]),
    "ASGD beta above 1": (lambda: methods.asgd(FLAT, 0.1, 1.5), ["beta", "1.5", "[0, 1]"]),
    "negative gamma": (lambda: methods.asgd(FLAT, -0.1, 0.5), ["gamma", "-0.1", "give"]),
    "AccSGD kappa below 1": (lambda: methods.acc_sgd(FLAT, 0.5, 0.5), ["kappa", "0.5", "give"]),
    "AccSGD xi too large": (lambda: methods.acc_sgd(FLAT, 2.0, 9.0), ["xi", "9", "at most"]),
    "DANA delta zero": (lambda: methods.dana(FLAT, 0.1, delta=0.0), ["delta", "0.0", "give"]),
    "generic shapes that disagree": (
        lambda: methods.generic(np.eye(2), [1.0, 0.0], [1.0, 0.0, 0.0], steps=3),
        ["c has shape (3,)", "give (k,)"],
    ),
    "generic NaN": (lambda: methods.generic([[np.nan]], [1.0], [1.0], steps=3), ["M", "not finite", "give finite"]),
    "generic without steps": (lambda: methods.generic([[1.0]], [1.0], [1.0], steps=0), ["steps", "0", "at least 1"]),
    "Jain's rule beyond its range": (lambda: methods.jain_2018_rule(GOOD, 0.7), ["c1", "0.7", "(0, 1/2)"]),
    "Li's rule beyond the modes": (lambda: methods.li_2024_rule(GOOD, 2), ["effective_dim", "2", "at most 1"]),
    "stability beyond the run": (lambda: sl.stability(GOOD, SGD, step=10), ["step", "10", "at most 9"]),
    "period beyond the run": (lambda: sl.stability(GOOD, SGD, period=11), ["period", "11", "at most 10"]),
    "warmup and cooldown too long": (
        lambda: schedules.wsd(100, peak=0.1, warmup=60, cooldown=50),
        ["warmup + ", "cooldown", "110", "100", "shorter"],
    ),
    "unknown cooldown": (lambda: schedules.wsd(100, peak=0.1, shape="cosin"), ["'cosin'", "'cosine'?"]),
    "unknown schedule": (lambda: schedules.make("cosin", 10, peak=0.1), ["'cosin'", "'cosine'?"]),
}
RUNS = {
    "no methods": (lambda: sl.exact(GOOD, []), ["method", "empty", "at least one"]),
    "a schedule for a method": (lambda: sl.exact(GOOD, [FLAT]), ["Schedule", "methods.sgd"]),
    "a lone schedule for a method": (lambda: sl.exact(GOOD, FLAT), ["method", "methods.sgd"]),
    "a problem that is none": (lambda: sl.exact([1.0, 0.5], SGD), ["problem", "list", "LinearRegression"]),
    "unknown record": (lambda: sl.exact(GOOD, SGD, record="evry"), ["record", "'evry'", "give"]),
    "record beyond the end": (lambda: sl.exact(GOOD, SGD, record=[11]), ["record", "11", "between 0 and 10"]),
    "record between steps": (lambda: sl.exact(GOOD, SGD, record=[0.5]), ["record", "whole numbers"]),
    "record of one": (lambda: sl.exact(GOOD, SGD, record=1), ["record", "1", "at least 2"]),
    "snapshot beyond the end": (lambda: sl.exact(GOOD, SGD, snapshots=[11]), ["snapshots", "11", "at most 10"]),
    "no threads": (lambda: sl.exact(GOOD, SGD, threads=0), ["threads", "0", "at least 1"]),
    "unknown subspaces": (
        lambda: sl.exact(GOOD, SGD, subspaces="log_bin(3)"),
        ["subspaces", "'log_bin'", "'log_bins'?"],
    ),
    "subspaces without a number": (
        lambda: sl.exact(GOOD, SGD, subspaces="log_bins()"),
        ["subspaces", "0 arg", "write"],
    ),
    "subspaces of a word": (
        lambda: sl.exact(GOOD, SGD, subspaces="log_bins(x)"),
        ["subspaces", "log_bins(x)", "write"],
    ),
    "head beyond the modes": (lambda: sl.exact(GOOD, SGD, subspaces=subspaces.head_tail(3)), ["k = 3", "2", "at most"]),
    "mode beyond the modes": (lambda: sl.exact(GOOD, SGD, subspaces=subspaces.modes(3)), ["3", "2 modes", "leave it"]),
    "mode named twice": (lambda: subspaces.index_sets({"a": [1, 2], "b": [2]}), ["index 2", "'a'", "'b'", "give it"]),
    "mode zero": (lambda: subspaces.modes(0), ["0", "at least 1"]),
    "no bins": (lambda: subspaces.log_bins(0), ["n", "0", "at least 1"]),
    "negative head": (lambda: subspaces.head_tail(-1), ["k", "-1", "at least 0"]),
    "trillion modes at once": (lambda: sl.exact(LR.power_law(10**12, 1.5, 1.2), SGD), ["dim", "compress()"]),
    "a trace of something else": (lambda: sl.RiskTrace(__import__("xarray").Dataset()), ["'risk'", "load a trace"]),
}
TABLE = {**PROBLEMS, **METHODS, **RUNS}


@pytest.mark.parametrize("case", TABLE)
def test_refusal_names_field_value_and_remedy_in_one_sentence(case):
    call, words = TABLE[case]
    with pytest.raises(sl.InputError) as caught:
        call()
    message = str(caught.value)
    for word in words:
        assert word in message, message
    assert "\n" not in message
    assert message[-1] in ".?"
    # One sentence: no full stop followed by another one.
    assert ". " not in message, message


def test_a_refusal_carries_its_field():
    """Through tables within tables, another name for the same, and a pickle."""
    wrap = [{"kind": "ema", "decay": 2.0}]
    tree = {"problem": {"kind": "isotropic", "dim": 3}, "method": {"kind": "sgd", "wrap": wrap},
            "schedule": {"kind": "constant", "steps": 5, "peak": 0.1}}  # fmt: skip
    valley = {"kind": "river-straight", "hills": [1.0, -1.0], "slope": 0.1}
    for changes, field in (
        ({}, "method.wrap[0].decay"),
        ({"problem": {"kind": "isotropic", "dim": 0}}, "problem.dim"),
        ({"method": {"kind": "sgd"}, "record": {"steps": [6]}}, "record.steps"),
        ({"method": {"kind": "sgd"}, "record": {"subspaces": "log_bins(x)"}}, "record.subspaces"),
        ({"method": {"kind": "sgd"}, "problem": valley}, "problem.hills[1]"),
    ):
        with pytest.raises(sl.InputError) as caught:
            sl.Experiment.from_dict({**tree, **changes})
        again = pickle.loads(pickle.dumps(caught.value))
        assert (again.field, str(again)) == (field, str(caught.value))
        assert str(again).startswith(f"{field} ")


def test_refusals_are_value_errors():
    """So that code which knows nothing of simlab can catch them."""
    assert issubclass(sl.InputError, ValueError)


def test_unsorted_eigenvalues_are_sorted_with_notice():
    with pytest.warns(UserWarning, match="not in descending order; they and all that belongs to them were sorted"):
        problem = LR([0.5, 1.0], [1.0, 2.0], 0.1)
    np.testing.assert_array_equal(problem.initial_error, [2.0, 1.0])


@pytest.mark.parametrize("call", [lambda: LR([0.5, 1.0], 1.0, 0.1), lambda: sl.NoisyQuadratic([0.5, 1.0], 1.0, 1.0)])
def test_the_notice_points_at_the_users_line(call):
    with pytest.warns(UserWarning, match="sorted") as caught:
        call()
    assert caught[0].filename == __file__


def test_whole_floats_are_counts():
    """1e5 is how people write 100,000."""
    assert constant(1e2, 0.1).length == 100
    assert LR.power_law(1e3, 1.5, 1.2).dim == 1000
    assert methods.sgd(FLAT, 4.0).batch == 4.0


def quoted_in_full(path: Path) -> list[str]:
    """What refusals of a source quote by `!r`: values of whoever calls, which may be of any length; paths excepted."""
    found = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") in ("InputError", "UnknownAttribute"):
            for part in ast.walk(node):
                if isinstance(part, ast.FormattedValue) and part.conversion == ord("r"):
                    said = ast.unparse(part.value)
                    if not said.startswith("str("):
                        found.append(f"{path.name}:{part.lineno}: {said}")
    return found


def test_refusals_quote_values_in_brief(tmp_path):
    """10**400 for a basis was quoted digit by digit, and a label of 5,000 characters whole."""
    root = Path(sl.__file__).parent
    assert [fault for path in sorted(root.rglob("*.py")) for fault in quoted_in_full(path)] == []
    (tmp_path / "control.py").write_text('raise InputError(f" = {x!r} of {str(p)!r}", "x")', encoding="utf-8")
    assert quoted_in_full(tmp_path / "control.py") == ["control.py:1: x"]
    with pytest.raises(sl.InputError) as caught:
        sl.sample(GOOD, SGD, basis=10**400)
    assert len(str(caught.value)) < 200
