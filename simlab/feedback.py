"""Learning rates that a run makes for itself: functions of a summary of where it stands, and of a memory of their own.

A feedback is a function (summary, memory, gains) -> rate that Numba can compile. Around a method it closes the loop:

    method = sl.methods.closed_loop(sl.methods.sgd(schedule), sl.feedback.adagrad_norm(1.0))

`simlab.sample` and `simlab.descend` close it over what each replica measures, `simlab.limit` over exact moments: a
sum over many modes concentrates, so that the second is the high-dimensional limit of the first (Collins-Woodfin et al.
2024, arXiv 2405.19585, who prove it for AdaGrad-norm, Polyak and line search).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from simlab.arrays import FloatArray
from simlab.doors import door
from simlab.errors import InputError, brief, check_count, check_floats, check_number
from simlab.kernels import dials

__all__ = [
    "Ahead", "Feedback", "Summary", "adagrad_norm", "autolrs", "custom", "d_adaptation", "gradient_clipping",
    "hypergradient", "line_search", "plateau", "polyak",
]  # fmt: skip


MOST = 10**6
"""Numbers that a feedback may keep: each replica has its own."""


class Summary(NamedTuple):
    """What a feedback knows of the step ahead, before it is taken.

    step : its number.  loss : of the batch, 1/2 mean of squared residuals (on a landscape the loss itself).  square,
    product : |g|^2, and <g, g'> with the gradient of the step before (0 at the first).  risk : the excess risk.
    slope : |grad R|^2.  power, curvature : E |g|^2 and E g^T H g over the batches that might be drawn.  back,
    distance : <g, w_0 - w> and |w_0 - w|.  base : what the schedule gives.  previous : the rate of the step before.

    risk, slope, power and curvature are what held-out rows without end would tell; on a landscape they are NaN. In
    `limit` all are expectations.
    """

    step: float
    loss: float
    square: float
    product: float
    risk: float
    slope: float
    power: float
    curvature: float
    back: float
    distance: float
    base: float
    previous: float


Rule = Callable[..., float]


@dataclass(frozen=True, eq=False)
class Feedback:
    """A rule (summary, memory, gains) -> rate; gains are its numbers.

    memory : how many numbers it keeps from step to step, 0 at the start.  by_batch : whether it reads `square` of the
    batch alone, so that `limit` can average over batches.  fields : what it keeps of every weight, by name, 0 at the
    start; whole : whether it sees all weights: then it is a rule (summary, memory, gains, field (fields, d), gradient
    (d,), away (d,), dials) -> rate, away being w_0 - w in the basis of the weights, and may write into the field and
    into the dials (`simlab.kernels.dials`) of the step that the inner method takes; for samplers.  chooses : whether
    memory[0] says how many samples the next step draws (0: all that the method's batch has), of which it waits for the
    first; for regressions.
    """

    name: str
    rule: Rule
    gains: tuple[float, ...] = ()
    by_batch: bool = False
    memory: int = dials.MEMORY
    fields: tuple[str, ...] = ()
    whole: bool = False
    chooses: bool = False

    @property
    def compiled(self) -> Any:
        """The rule as kernels call it: (summary (12,), memory (n + 1,), gains, ..) -> rate."""
        return _compiled_whole(self.rule) if self.whole else _compiled(self.rule)

    def __repr__(self) -> str:
        return f"{self.name}({', '.join(f'{gain:g}' for gain in self.gains)})"


@dataclass(frozen=True, eq=False)
class Ahead:
    """Rates that are found by running ahead from where the run stands: for `simlab.limit` alone.

    stages : their lengths; each takes the constant rate that is best at its end.  low, high : between which.
    """

    name: str
    stages: tuple[int, ...]
    low: float
    high: float

    def __repr__(self) -> str:
        return f"{self.name}({list(self.stages)}, low={self.low:g}, high={self.high:g})"


@lru_cache(maxsize=64)
def _compiled(rule: Rule) -> Any:
    from numba import njit, types

    inner: Any = njit(rule)
    row = types.float64[::1]

    def adapter(s: Any, memory: Any, gains: Any) -> Any:
        at = Summary(s[0], s[1], s[2], s[3], s[4], s[5], s[6], s[7], s[8], s[9], s[10], s[11])
        return inner(at, memory[:-1], gains)

    return _callback(types.float64(row, row, row), adapter)


@lru_cache(maxsize=64)
def _compiled_whole(rule: Rule) -> Any:
    from numba import njit, types

    inner: Any = njit(rule)
    row, rows = types.float64[::1], types.float64[:, ::1]

    def adapter(s: Any, memory: Any, gains: Any, field: Any, gradient: Any, away: Any, p: Any) -> Any:
        at = Summary(s[0], s[1], s[2], s[3], s[4], s[5], s[6], s[7], s[8], s[9], s[10], s[11])
        return inner(at, memory[:-1], gains, field, gradient, away, p)

    return _callback(types.float64(row, row, row, rows, row, row, row), adapter)


def _callback(signature: Any, adapter: Callable[..., Any]) -> Any:
    from numba import cfunc
    from numba.core.errors import NumbaError

    try:
        return cfunc(signature)(adapter)
    except NumbaError as error:
        reason = " ".join(str(error).split())[:200]
        raise InputError(f" cannot be compiled by Numba ({reason}); use plain arithmetic and math.", "rule") from None


@door
def custom(
    rule: Rule, gains: npt.ArrayLike = (), *, name: str = "custom", memory: int = dials.MEMORY
) -> Feedback:
    """A feedback of the user's own: rule(summary, memory, gains) -> rate; see `Summary`.

    memory : how many numbers it keeps from step to step, 0 at the start.

    It is compiled by Numba for samplers, and called as it is by `limit`. It is tried here on a summary of ones, and
    refused where it raises or gives no number; at which step it gave NaN or a negative rate, a run says.
    """
    if not callable(rule):
        raise InputError(f" = {brief(rule)} is not a function; give one of (summary, memory, gains).", "rule")
    numbers = tuple(float(gain) for gain in np.atleast_1d(check_floats("gains", gains)))
    count = check_count("memory", memory, high=MOST)
    try:
        tried = rule(Summary(0.0, *[1.0] * 11), np.zeros(count), np.array(numbers))
        float(tried)
    except Exception as error:
        reason = f"{type(error).__name__}: {error}"
        raise InputError(
            f" raised {brief(reason)} on a summary of ones; give a function (summary, memory, gains) -> rate, whose "
            f"memory has {count} numbers (memory=).",
            "rule",
        ) from None
    return Feedback(name, rule, numbers, memory=count)


# -- the literature's --------------------------------------------------------------------------------------------------


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


def _d_adaptation(at: Summary, memory: FloatArray, gains: FloatArray) -> float:
    if at.step == 0.0:
        memory[0], memory[1] = gains[0], math.sqrt(at.square)
    rate = memory[0] * at.base / memory[1] if memory[1] > 0.0 else 0.0
    memory[2] += rate * at.back
    length = math.sqrt(max(at.distance**2 + 2.0 * rate * at.back + rate * rate * at.square, 0.0))
    if length > 0.0:
        memory[0] = max(memory[0], min(2.0 * memory[2] / length, gains[1] * memory[0]))
    return float(rate)


@door
def d_adaptation(d0: float = 1e-6, growth: float = math.inf) -> Feedback:
    """lr_t = d_t lr / |g_0|, d a growing lower bound on |w_0 - w*|: d^ = 2 sum lr_t <g_t, w_0 - w_t> / |w_0 - w_(t+1)|.

    The SGD form of Defazio and Mishchenko 2023 (arXiv 2301.07733), as their code has it; d grows by at most `growth` in
    a step. The schedule is the multiplier lr, 1 as a rule. It is a rate for Lipschitz losses: on a smooth one
    |w_0 - w*| / |g_0| may be far above 2 / lam_max.
    """
    if isinstance(growth, bool) or not isinstance(growth, int | float) or not growth >= 1.0:
        raise InputError(f" = {brief(growth)} is no factor of at least 1; give 1.02, say, or math.inf.", "growth")
    return Feedback("d_adaptation", _d_adaptation, (check_number("d0", d0, low=0.0, open_low=True), float(growth)))


def _plateau(at: Summary, memory: FloatArray, gains: FloatArray) -> float:
    factor, patience, threshold, every, least = gains[0], gains[1], gains[2], gains[3], gains[4]
    if at.step == 0.0:
        memory[0], memory[1] = 1.0, math.inf
    rate = max(memory[0] * at.base, least)
    memory[3] += at.loss / every
    memory[4] += 1.0
    if memory[4] == every:
        if memory[3] < memory[1] * (1.0 - threshold):
            memory[1], memory[2] = memory[3], 0.0
        else:
            memory[2] += 1.0
        if memory[2] > patience:
            memory[0], memory[2] = memory[0] * factor, 0.0
        memory[3] = memory[4] = 0.0
    return float(rate)


@door
def plateau(
    factor: float = 0.1, patience: int = 10, threshold: float = 1e-4, every: int = 100, least: float = 0.0
) -> Feedback:
    """The schedule's rate times `factor` each time that the mean loss of `every` steps has not fallen, by a share of
    `threshold`, for more than `patience` such means: torch.optim.lr_scheduler.ReduceLROnPlateau; at least `least`.
    """
    gains = (
        check_number("factor", factor, low=0.0, high=1.0),
        float(check_count("patience", patience, low=0)),
        check_number("threshold", threshold, low=0.0, high=1.0),
        float(check_count("every", every)),
        check_number("least", least, low=0.0),
    )
    return Feedback("plateau", _plateau, gains)


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
    sizes = [check_count("stages", size) for size in np.atleast_1d(np.asarray(stages)).tolist()]
    low = check_number("low", low, low=0.0, open_low=True)
    return Ahead("autolrs", tuple(sizes), low, check_number("high", high, low=low))
