"""Wrappers that change the dynamics: weight decay and lookahead."""

from __future__ import annotations

from typing import Literal

import numpy as np
import numpy.typing as npt

from simlab.errors import InputError, check_count, check_fraction, check_number, unknown_name
from simlab.methods.base import Coefficients, Method, Number, builder, check_inner, constant_rows, label
from simlab.schedules import as_schedule

__all__ = ["lookahead", "weight_decay"]

FloatArray = npt.NDArray[np.float64]


@builder
def weight_decay(inner: Method, decay: Number, form: Literal["coupled", "decoupled"] = "coupled") -> Method:
    """Decay of the weights towards the origin, which is w_0 (runs start from w_0 = 0, so w* = -initial_error).

    coupled: decay * y is added to every gradient (the weight_decay of torch.optim.SGD).
    decoupled: w <- (1 - lr_t decay) w besides the step (Loshchilov and Hutter 2019, arXiv 1711.05101). The same for
    SGD. `decay` >= 0 may be a schedule. The bias then includes the shrinkage, since w = w* is no fixed point any more.
    """
    inner = check_inner(inner)
    if not isinstance(decay, (int, float)) or isinstance(decay, bool):
        strength = as_schedule(decay, inner.length, "decay")
    else:
        strength = as_schedule(check_number("decay", decay, low=0.0), inner.length, "decay")
    if form not in ("coupled", "decoupled"):
        raise unknown_name("form", form, ["coupled", "decoupled"])
    k = inner.state_size
    target = _iterate_coordinate(inner, "weight_decay(form='decoupled')") if form == "decoupled" else 0

    def coefficients(start: int, stop: int) -> Coefficients:
        M, b, c = inner.coefficients(start, stop)
        n = stop - start
        wide = np.zeros((n, k + 1, k + 1))
        wide[:, :k, :k] = M
        wide[:, k, k] = 1.0
        pull = strength.values(start, stop)
        if form == "coupled":
            wide[:, :k, :k] -= pull[:, None, None] * b[:, :, None] * c[:, None, :]
            wide[:, :k, k] -= pull[:, None] * b
        else:
            shrink = pull * inner.learning_rate.values(start, stop)
            wide[:, target, target] -= shrink
            wide[:, target, k] -= shrink
        zero = np.zeros((n, 1))
        return Coefficients(wide, np.concatenate([b, zero], axis=1), np.concatenate([c, zero], axis=1))

    def readout(start: int, stop: int) -> FloatArray:
        return np.concatenate([inner.readout(start, stop), np.zeros((stop - start, 1))], axis=1)

    return Method(
        label("weight_decay", inner, decay=decay, form=None if form == "coupled" else form),
        inner.length,
        np.append(inner.start, -1.0),
        coefficients,
        readout,
        inner.learning_rate,
        inner.batch,
        lambda factor: weight_decay(inner.rescale(factor), decay, form),
        inner.momentum,
    )


@builder
def lookahead(inner: Method, every: int = 5, alpha: float = 0.5) -> Method:
    """Lookahead: every k steps the slow weights move by alpha towards the fast ones, which are then set to them.

    slow <- slow + alpha (w - slow), w <- slow after the steps k, 2k, ..; momentum buffers are kept. The slow weights
    are evaluated. Source: Zhang, Lucas, Ba and Hinton 2019 (arXiv 1907.08610), algorithm 1.
    """
    inner = check_inner(inner)
    every, alpha = check_count("every", every), check_fraction("alpha", alpha)
    fast = _iterate_coordinate(inner, "lookahead")
    k = inner.state_size

    def coefficients(start: int, stop: int) -> Coefficients:
        M, b, c = inner.coefficients(start, stop)
        n = stop - start
        wide = np.zeros((n, k + 1, k + 1))
        wide[:, :k, :k] = M
        wide[:, k, k] = 1.0
        push = np.concatenate([b, np.zeros((n, 1))], axis=1)
        sync = np.flatnonzero((np.arange(start, stop) + 1) % every == 0)
        wide[sync, k, :k] = alpha * M[sync, fast]
        wide[sync, k, k] = 1.0 - alpha
        push[sync, k] = alpha * b[sync, fast]
        wide[sync, fast] = wide[sync, k]
        push[sync, fast] = push[sync, k]
        return Coefficients(wide, push, np.concatenate([c, np.zeros((n, 1))], axis=1))

    return Method(
        label("lookahead", inner, every=every, alpha=alpha),
        inner.length,
        np.append(inner.start, inner.start[fast]),
        coefficients,
        constant_rows(np.eye(k + 1)[k]),
        inner.learning_rate,
        inner.batch,
        lambda factor: lookahead(inner.rescale(factor), every, alpha),
        inner.momentum,
    )


def _iterate_coordinate(inner: Method, who: str) -> int:
    """The state coordinate that is the iterate; refused where the readout mixes coordinates."""
    row = inner.readout(0, 1)[0]
    hot = np.flatnonzero(row)
    if hot.size != 1 or row[hot[0]] != 1.0:
        raise InputError(f" needs a method whose iterate is one state coordinate; {inner.expression} has none.", who)
    return int(hot[0])
