"""Averages of the iterates: every one appends a coordinate a <- a + rho_t (w - a) and evaluates that instead.

form="new" averages the iterate just computed, as trainers do; form="old" the one before it, the convention of Li and
Gu 2025 and of Zou et al. 2021. They differ by one step. All weights are kept normalised, so the average is an iterate
at any step.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from simlab.doors import door
from simlab.errors import InputError, brief, check_array, check_count, check_entries, check_number, unknown_name
from simlab.methods.base import (
    Coefficients,
    Method,
    Number,
    builder,
    check_inner,
    constant_rows,
    fraction_schedule,
    label,
)
from simlab.methods.weights import corrected_weights

__all__ = ["average", "ema", "merge", "merge_weights", "polynomial_average", "tail_average"]

FloatArray = npt.NDArray[np.float64]
Form = Literal["new", "old"]


def _averaged(
    inner: Method,
    rho: Callable[[int, int], FloatArray],
    form: str,
    expression: str,
    remake: Callable[[Method], Method],
) -> Method:
    """`inner` with the coordinate a <- (1 - rho_t) a + rho_t w appended and read out."""
    if form not in ("new", "old"):
        raise unknown_name("form", form, ["new", "old"])
    k = inner.state_size

    def coefficients(start: int, stop: int) -> Coefficients:
        M, b, c = inner.coefficients(start, stop)
        weight = rho(start, stop)[:, None]
        n = stop - start
        wide = np.zeros((n, k + 1, k + 1))
        wide[:, :k, :k] = M
        wide[:, k, k] = 1.0 - weight[:, 0]
        push = np.zeros((n, 1))
        if form == "new":
            o = inner.readout(start + 1, stop + 1)
            wide[:, k, :k] = weight * np.einsum("ti,tij->tj", o, M)
            push = weight * np.einsum("ti,ti->t", o, b)[:, None]
        else:
            wide[:, k, :k] = weight * inner.readout(start, stop)
        return Coefficients(wide, np.concatenate([b, push], axis=1), np.concatenate([c, np.zeros((n, 1))], axis=1))

    return Method(
        expression,
        inner.length,
        np.append(inner.start, float(inner.readout(0, 1)[0] @ inner.start)),
        coefficients,
        constant_rows(np.eye(k + 1)[k]),
        inner.learning_rate,
        inner.batch,
        lambda factor: remake(inner.rescale(factor)),
        inner.momentum,
    )


@builder
def ema(inner: Method, decay: Number = 0.999, form: Form = "new", bias_corrected: bool = False) -> Method:
    """Exponential moving average of the iterates: a <- alpha a + (1 - alpha) w, from a = w_0.

    `decay` alpha in [0, 1], a number or a schedule; 0 is the last iterate (form "new"). With `bias_corrected` the
    average starts from nothing and is divided by its total weight 1 - alpha^t, as Adam's moments are. Source of form
    "old": Li and Gu 2025, w_avg_t = alpha w_avg_(t-1) + (1 - alpha) w_(t-1).
    """
    inner = check_inner(inner)
    alpha = fraction_schedule(decay, inner.length, "decay")
    if bias_corrected and alpha(0) == 1.0:
        raise InputError(" = 1 at the first step leaves a bias-corrected EMA without weight; start below 1.", "decay")
    rho = corrected_weights(alpha) if bias_corrected else lambda start, stop: 1.0 - alpha.values(start, stop)
    expression = label(
        "ema", inner, decay=decay, form=None if form == "new" else form, bias_corrected=bias_corrected or None
    )
    return _averaged(inner, rho, form, expression, lambda m: ema(m, decay, form, bias_corrected))


@builder
def average(inner: Method, start: int = 0, form: Form = "new") -> Method:
    """Uniform average of the iterates w_start .. w_t (form "new") or w_start .. w_(t-1) ("old"); before that, w itself.

    Polyak and Juditsky 1992; form "old" with start = 0 is the w_0 .. w_(N-1) average of Zou et al. 2021.
    """
    inner = check_inner(inner)
    first = check_count("start", start, low=0, high=inner.length)
    expression = label("average", inner, start=start, form=None if form == "new" else form)
    return _averaged(inner, _uniform_weights(first, form), form, expression, lambda m: average(m, start, form))


@builder
def tail_average(inner: Method, window: float = 0.5, form: Form = "new") -> Method:
    """Uniform average of the last iterates of the run: `window` of them, a step count or a fraction of the run.

    Jain et al. 2018 (arXiv 1610.03774); "new" ends with w_T, "old" with w_(T-1).
    """
    inner = check_inner(inner)
    if isinstance(window, float) and window <= 1.0:
        n = max(1, round(check_number("window", window, low=0.0) * inner.length))
    else:
        n = check_count("window", window, high=inner.length)
    first = inner.length - n + (1 if form == "new" else 0)
    expression = label("tail_average", inner, window=window, form=None if form == "new" else form)
    return _averaged(inner, _uniform_weights(first, form), form, expression, lambda m: tail_average(m, window, form))


def _uniform_weights(first: int, form: str) -> Callable[[int, int], FloatArray]:
    """rho_t = 1 / (number of iterates averaged after the step), 1 before the average begins."""
    lead = 2 if form == "new" else 1

    def rho(begin: int, end: int) -> FloatArray:
        weights: FloatArray = 1.0 / np.maximum(np.arange(begin, end, dtype=np.float64) + (lead - first), 1.0)
        return weights

    return rho


@builder
def polynomial_average(inner: Method, power: float = 3.0, form: Form = "new") -> Method:
    """Polynomial-decay average: rho_t = (power + 1) / (t + 1 + power); power 0 is the uniform average of w_1 ... w_t.

    Shamir and Zhang 2013 (arXiv 1212.1824), section 4.
    """
    inner = check_inner(inner)
    p = check_number("power", power, low=0.0)

    def rho(begin: int, end: int) -> FloatArray:
        weights: FloatArray = (p + 1.0) / (np.arange(begin, end, dtype=np.float64) + 1.0 + p)
        return weights

    expression = label("polynomial_average", inner, power=power, form=None if form == "new" else form)
    return _averaged(inner, rho, form, expression, lambda m: polynomial_average(m, power, form))


@builder
def merge(inner: Method, steps: Sequence[int], weights: Sequence[float] | None = None) -> Method:
    """The merge sum_j weights_j w_(steps_j) / sum_j weights_j of checkpoints (default: equal weights).

    `steps`: increasing, within 0 .. T. At a step between checkpoints the merge of those already taken is evaluated,
    and the iterate itself before the first. Weights may be negative as long as no partial sum is zero. Source: Tian et
    al. 2025 (arXiv 2507.17634); `merge_weights` gives the weights that stand for a decay.
    """
    inner = check_inner(inner)
    listed = enumerate(check_entries("steps", steps, "steps"))
    taken = [check_count(f"steps[{j}]", t, low=0, high=inner.length) for j, t in listed]
    if not taken or any(b <= a for a, b in itertools.pairwise(taken)):
        raise InputError(f" = {brief(taken)} must hold increasing steps, at least one; sort them.", "steps")
    amount: FloatArray = np.ones(len(taken)) if weights is None else check_array("weights", weights, length=len(taken))
    partial = np.cumsum(amount)
    if np.any(np.abs(partial) <= 1e-12 * np.abs(amount).sum()):
        raise InputError(
            " have a partial sum of zero, which leaves no merge at that step; reorder or change them.", "weights"
        )
    newest = dict(zip(taken, amount / partial, strict=True))

    def rho(begin: int, end: int) -> FloatArray:
        out = np.zeros(end - begin)
        out[: max(0, taken[0] - begin)] = 1.0
        for t, share in newest.items():
            if begin <= t - 1 < end:
                out[t - 1 - begin] = share
        return out

    expression = label("merge", inner, steps=taken, weights=None if weights is None else [float(a) for a in amount])
    return _averaged(inner, rho, "new", expression, lambda m: merge(m, taken, weights))


@door
def merge_weights(decay: npt.ArrayLike) -> FloatArray:
    """Checkpoint weights c_0 .. c_k whose tail sums are `decay` w_1 .. w_k, shape (k,) -> (k + 1,).

    Merging the checkpoints n .. n + k of a constant-rate run with them equals, for fixed gradients, running the steps
    n + 1 .. n + k at rates w_i: c_k = w_k, c_j = w_j - w_(j+1), c_0 = 1 - w_1 (Tian et al. 2025, arXiv 2507.17634). On
    a quadratic the equality holds only where lr lam k << 1: the gradients are not fixed.
    """
    w: Any = check_array("decay", decay, low=0.0)
    if w[0] > 1.0 or np.any(np.diff(w) > 0.0):
        raise InputError(
            " must start at most at 1 and never increase; normalise it by the stable learning rate.", "decay"
        )
    weights: FloatArray = np.concatenate([[1.0 - w[0]], w[:-1] - w[1:], w[-1:]])
    return weights
