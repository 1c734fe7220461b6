"""Learning rates made of gradients and of the risk: AdaGrad-norm, Polyak, line search, hypergradients and others."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from simlab.arrays import FloatArray
from simlab.doors import door
from simlab.errors import check_count, check_entries, check_number
from simlab.feedback.base import Ahead, Feedback, Summary

__all__ = ["adagrad_norm", "autolrs", "gradient_clipping", "hypergradient", "line_search", "polyak"]


def _adagrad_norm(at: Summary, memory: FloatArray, gains: FloatArray) -> float:
    memory[0] += at.square
    return float(gains[0] / math.sqrt(gains[1] ** 2 + memory[0]))


@door
def adagrad_norm(eta: float = 1.0, b0: float = 1.0) -> Feedback:
    """lr_t = eta / sqrt(b0^2 + sum |g|^2), the current gradient included (Ward, Wu and Bottou 2019, arXiv 1806.01811).

    With label noise lr_t -> eta / (sigma sqrt(tr H t)).
    """
    gains = (check_number("eta", eta, low=0.0), check_number("b0", b0, low=0.0, open_low=True))
    return Feedback("adagrad_norm", _adagrad_norm, gains)


def _polyak(at: Summary, memory: FloatArray, gains: FloatArray) -> float:
    return float(gains[0] * 2.0 * at.risk / at.power) if at.power > 0.0 else 0.0


@door
def polyak(scale: float = 1.0) -> Feedback:
    """lr_t = scale 2 (R(w) - R*) / E |g|^2: the rate that brings w nearest to w* in one step, in expectation.

    Without label noise about 1 / tr H. Source: Collins-Woodfin et al. 2024 (arXiv 2405.19585).
    """
    return Feedback("polyak", _polyak, (check_number("scale", scale, low=0.0),))


def _line_search(at: Summary, memory: FloatArray, gains: FloatArray) -> float:
    return float(gains[0] * at.slope / at.curvature) if at.curvature > 0.0 else 0.0


@door
def line_search(scale: float = 1.0) -> Feedback:
    """lr_t = scale |grad R|^2 / E g^T H g: the rate that leaves the least risk after one step, in expectation.

    In the long run far slower than `polyak` (Collins-Woodfin et al. 2024, arXiv 2405.19585).
    """
    return Feedback("line_search", _line_search, (check_number("scale", scale, low=0.0),))


def _hypergradient(at: Summary, memory: FloatArray, gains: FloatArray) -> float:
    before = at.base if at.step == 0.0 else memory[0]
    memory[0] = max(before + gains[0] * at.product, 0.0)
    return float(memory[0])


@door
def hypergradient(beta: float = 1e-3) -> Feedback:
    """lr_t = lr_(t-1) + beta <g_t, g_(t-1)>, from what the schedule gives first, and at least 0.

    Source: Baydin et al. 2017 (arXiv 1703.04782); Wang, Lin and Chen 2023 (FedHyper, arXiv 2310.03156). Its fixed point
    is the rate of `line_search`, which looks one step ahead.
    """
    return Feedback("hypergradient", _hypergradient, (check_number("beta", beta, low=0.0),))


def _clipping(at: Summary, memory: FloatArray, gains: FloatArray) -> float:
    size = math.sqrt(at.square)
    return float(at.base * gains[0] / size) if size > gains[0] else float(at.base)


@door
def gradient_clipping(threshold: float) -> Feedback:
    """The schedule's rate times min(1, threshold / |g|) (Pascanu, Mikolov and Bengio 2013, arXiv 1211.5063).

    |g| of a small batch does not concentrate: `limit` averages over the law of its residuals.
    """
    gains = (check_number("threshold", threshold, low=0.0, open_low=True),)
    return Feedback("gradient_clipping", _clipping, gains, by_batch=True)


@door
def autolrs(stages: Any, *, low: float = 1e-4, high: float = 10.0) -> Ahead:
    """Stage-greedy rates: each stage takes the constant rate between `low` and `high` that leaves the least risk at its
    end, as AutoLRS would with a perfect forecast (Jin et al. 2021, arXiv 2105.10762). For `simlab.limit`.

    stages : their lengths, or one number for stages of as many steps.
    """
    given = check_entries("stages", stages) if np.iterable(stages) else [stages]
    sizes = [check_count("stages", size) for size in given]
    low = check_number("low", low, low=0.0, open_low=True)
    return Ahead("autolrs", tuple(sizes), low, check_number("high", high, low=low))
