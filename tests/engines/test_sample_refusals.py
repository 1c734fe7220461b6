"""What the sampler refuses: one sentence that names the field, the value and the remedy, before a step is taken."""

from __future__ import annotations

import numpy as np
import pytest

import simlab as sl
from simlab import methods
from simlab.schedules import constant

FLAT = constant(10, 0.1)
SHORT = methods.sgd(FLAT)
ROWS = sl.EmpiricalRegression([[1.0, 2.0], [0.5, -1.0], [1.0, 1.0]], [1.0, 0.0, 2.0])


def regression(*kurtosis, **more):
    return sl.LinearRegression([1.0, 0.5], 1.0, 0.1, *kurtosis, **more)


# what is wrong -> (problem, method, options, words of the message: field, value and remedy)
REFUSED = {
    "unknown law": (regression(), SHORT, {"law": "gausian"}, ["law", "'gausian'", "'gaussian'?"]),
    "law of another kurtosis": (regression(), SHORT, {"law": "uniform"}, ["'uniform'", "1.8", "3", "kurtosis=1.8"]),
    "law of one kurtosis": (
        regression([3.0, 2.0]),
        SHORT,
        {"law": "laplace"},
        ["'laplace'", "different", "kurtosis=6"],
    ),
    "light tails of Student": (regression(2.0), SHORT, {"law": "student_t"}, ["'student_t'", "above 3", "kurtosis=9"]),
    "law of rows": (ROWS, SHORT, {"law": "epoch"}, ["law", "'epoch'", "'epochs'?"]),
    "law of additive noise": (
        sl.NoisyQuadratic([1.0], 1.0, 1.0),
        SHORT,
        {"law": "uniform"},
        ["law", "'uniform'", "gaussian"],
    ),
    "law of one-hot data": (
        sl.LinearRegression.one_hot([0.5, 0.4]),
        SHORT,
        {"law": "gaussian"},
        ["law", "'gaussian'", "one_hot"],
    ),
    "compressed": (
        sl.LinearRegression.power_law(10**6, 1.5, 1.2).compress(),
        SHORT,
        {},
        ["compressed", "sample the original"],
    ),
    "too many modes": (
        sl.LinearRegression.power_law(10**12, 1.5, 1.2),
        SHORT,
        {},
        ["1000000000000 modes", "use simlab.exact"],
    ),
    "broken multiplicity": (regression(multiplicity=[1, 1.5]), SHORT, {}, ["multiplicities", "whole numbers"]),
    "no problem": ([1.0], SHORT, {}, ["problem", "list", "LinearRegression"]),
    "batch beyond its counter": (regression(), methods.sgd(FLAT, 2**29), {}, ["batch = 536870912", "math.inf"]),
    "steps beyond their counter": (
        regression(),
        methods.sgd(constant(2**32, 0.1)),
        {},
        ["method", "4294967296 steps", "simlab.exact"],
    ),
    "a schedule": (regression(), {"a": FLAT}, {}, ["method 'a'", "methods.sgd"]),
    "no methods": (regression(), [], {}, ["method", "empty", "at least one"]),
    "record beyond the shorter run": (
        regression(),
        [methods.sgd(constant(30, 0.1)), SHORT],
        {"record": [21]},
        ["record", "21", "0 and 10"],
    ),
    "half precision": (regression(), SHORT, {"dtype": "float16"}, ["dtype", "'float16'", "'float64'?"]),
    "no dtype": (regression(), SHORT, {"dtype": "float23"}, ["dtype", "'float23'", "'float32'?"]),
    "no replicas": (regression(), SHORT, {"replicas": 0}, ["replicas = 0", "at least 1"]),
    "replicas beyond their counter": (regression(), SHORT, {"replicas": 2**32}, ["replicas = 4294967296", "at most"]),
    "negative seed": (regression(), SHORT, {"seed": -1}, ["seed = -1", "at least 0"]),
    "seed of 65 bits": (regression(), SHORT, {"seed": 2**64}, ["seed = 18446744073709551616", "at most"]),
    "quantile above 1": (regression(), SHORT, {"quantiles": [0.5, 1.5]}, ["quantiles = 1.5", "[0, 1]"]),
    "negative quantile": (regression(), SHORT, {"quantiles": [-0.1]}, ["quantiles = -0.1", "[0, 1]"]),
    "quantile NaN": (regression(), SHORT, {"quantiles": [np.nan]}, ["quantiles = nan", "[0, 1]"]),
    "one quantile": (regression(), SHORT, {"quantiles": 0.5}, ["quantiles = 0.5", "give a list"]),
    "coordinate 0": (regression(), SHORT, {"coordinates": [0]}, ["coordinates = 0", "at least 1"]),
    "coordinate beyond": (regression(), SHORT, {"coordinates": [1, 3]}, ["coordinates = 3", "at most 2"]),
    "one coordinate": (regression(), SHORT, {"coordinates": 1}, ["coordinates = 1", "give a list"]),
    "empty blocks": (regression(), SHORT, {"block": 0}, ["block = 0", "at least 1"]),
    "checkpoints at no step": (regression(), SHORT, {"every": 0}, ["every = 0", "at least 1"]),
    "no threads": (regression(), SHORT, {"threads": 0}, ["threads = 0", "at least 1"]),
    "unknown device": (regression(), SHORT, {"device": "tpu"}, ["device", "'tpu'", "'gpu'?"]),
    "unknown subspaces": (regression(), SHORT, {"subspaces": "log_bin(3)"}, ["'log_bin'", "'log_bins'?"]),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refusal_names_field_value_and_remedy_in_one_sentence(case):
    problem, method, options, words = REFUSED[case]
    calls = []
    with pytest.raises(sl.InputError) as caught:
        sl.sample(problem, method, progress=lambda *now: calls.append(now), **options)
    assert not calls, "refused only after the run had begun"
    message = str(caught.value)
    for word in words:
        assert word in message, message
    assert "\n" not in message
    assert message[-1] in ".?"
    assert ". " not in message, message
