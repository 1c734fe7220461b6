"""Wrappers that change the dynamics: weight decay and lookahead."""

from __future__ import annotations

from typing import ClassVar, Literal

import numpy as np

from simlab.arrays import FloatArray
from simlab.errors import InputError, check_count, check_fraction, check_number, unknown_name
from simlab.methods.base import Coefficients, Method, Number, Steps, Wrapper, method
from simlab.schedules import as_schedule
from simlab.schedules.nodes import evaluate

__all__ = ["lookahead", "weight_decay"]


@method
class weight_decay(Wrapper):
    """Decay of the weights towards the origin, which is w_0 (runs start from w_0 = 0, so w* = -initial_error).

    coupled: decay * y is added to every gradient (the weight_decay of torch.optim.SGD).
    decoupled: w <- (1 - lr_t decay) w besides the step (Loshchilov and Hutter 2019, arXiv 1711.05101). The same for
    SGD. `decay` >= 0 may be a schedule. The bias then includes the shrinkage, since w = w* is no fixed point any more.
    """

    decay: Number
    form: Literal["coupled", "decoupled"] = "coupled"
    tacit: ClassVar = ("form",)
    appended = "origin"
    _target: ClassVar[int]

    def check(self) -> None:
        decay = self.decay
        if isinstance(decay, (int, float)) and not isinstance(decay, bool):
            check_number("decay", decay, low=0.0)
        self._schedules["decay"] = as_schedule(decay, self.length, "decay")
        self._settle("decay")
        if self.form not in ("coupled", "decoupled"):
            raise unknown_name("form", self.form, ["coupled", "decoupled"])
        decoupled = self.form == "decoupled"
        self._keep(_target=_iterate_coordinate(self.inner, "weight_decay(form='decoupled')") if decoupled else 0)
        self._keep(z0=np.append(self.inner.z0, -1.0))

    def recursion(self, t: Steps) -> Coefficients:
        return self._pulled(t, self.inner.recursion(t), 1.0)

    def increments(self, t: Steps) -> Coefficients:
        return self._pulled(t, self.inner.increments(t), 0.0)

    def _pulled(self, t: Steps, inner: Coefficients, one: float) -> Coefficients:
        """The arrays of the inner method, of M (one = 1) or of M - 1 (one = 0), and the origin that pulls."""
        wide, k, pull = self.widened(inner), self.inner.state_size, self.at("decay", t)
        M, b, c = wide
        M[:, k, k] = one
        if self.form == "coupled":
            M[:, :k, :k] -= pull[:, None, None] * b[:, :k, None] * c[:, None, :k]
            M[:, :k, k] -= pull[:, None] * b[:, :k]
        else:
            shrink = pull * evaluate(self.learning_rate.plan, t)
            M[:, self._target, self._target] -= shrink
            M[:, self._target, k] -= shrink
        return wide

    def outlook(self, t: Steps) -> FloatArray:
        return np.concatenate([self.inner.outlook(t), np.zeros((t.size, 1))], axis=1)


@method
class lookahead(Wrapper):
    """Lookahead: every k steps the slow weights move by alpha towards the fast ones, which are then set to them.

    slow <- slow + alpha (w - slow), w <- slow after the steps k, 2k, ..; momentum buffers are kept. The slow weights
    are evaluated. Source: Zhang, Lucas, Ba and Hinton 2019 (arXiv 1907.08610), algorithm 1.
    """

    every: int = 5
    alpha: float = 0.5
    appended = "slow weights"
    _fast: ClassVar[int]

    def check(self) -> None:
        self._keep(every=check_count("every", self.every), alpha=check_fraction("alpha", self.alpha))
        fast = _iterate_coordinate(self.inner, "lookahead")
        self._keep(_fast=fast, z0=np.append(self.inner.z0, self.inner.z0[fast]))

    def recursion(self, t: Steps) -> Coefficients:
        wide, k, fast, alpha = self.widened(self.inner.recursion(t)), self.inner.state_size, self._fast, self.alpha
        M, b, _ = wide
        M[:, k, k] = 1.0
        sync = np.flatnonzero((t + 1) % self.every == 0)
        M[sync, k, :k] = alpha * M[sync, fast, :k]
        M[sync, k, k] = 1.0 - alpha
        b[sync, k] = alpha * b[sync, fast]
        M[sync, fast], b[sync, fast] = M[sync, k], b[sync, k]
        return wide

    def breaks(self, t: int) -> int:
        sync = t + 1 if self.every == 1 else t // self.every * self.every + self.every - 1
        return min(super().breaks(t), sync if sync > t else sync + 1)


def _iterate_coordinate(inner: Method, who: str) -> int:
    """The state coordinate that is the iterate; refused where the readout mixes coordinates."""
    row = inner.readout(0, 1)[0]
    hot = np.flatnonzero(row)
    if hot.size != 1 or row[hot[0]] != 1.0:
        raise InputError(f" needs a method whose iterate is one state coordinate; {inner.expression} has none.", who)
    return int(hot[0])
