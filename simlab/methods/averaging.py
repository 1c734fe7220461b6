"""Averages of the iterates: every one appends a coordinate a <- a + rho_t (w - a) and evaluates that instead.

form="new" averages the iterate just computed, as trainers do; form="old" the one before it, the convention of Li and
Gu 2025 and of Zou et al. 2021. They differ by one step. All weights are kept normalised, so the average is an iterate
at any step.
"""

from __future__ import annotations

import itertools
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar, Literal

import numpy as np
import numpy.typing as npt

from simlab.arrays import FloatArray
from simlab.doors import door
from simlab.errors import InputError, brief, check_array, check_count, check_entries, check_number, unknown_name
from simlab.methods.base import Coefficients, Number, Steps, Wrapper, fraction_schedule, method
from simlab.methods.weights import corrected_weights, long_kink

__all__ = ["average", "ema", "merge", "merge_weights", "polynomial_average", "tail_average"]

Form = Literal["new", "old"]


class _Average(Wrapper, ABC):
    """The coordinate a <- (1 - rho_t) a + rho_t w around a method, read out."""

    form: Form = "new"
    tacit: ClassVar = ("form", "bias_corrected")
    appended = "average"

    @abstractmethod
    def rho(self, t: Steps) -> FloatArray:
        """The weight of the newest iterate at the steps t."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.form not in ("new", "old"):
            raise unknown_name("form", self.form, ["new", "old"])
        z0 = self.inner.z0
        self._keep(z0=np.append(z0, float(self.inner.readout(0, 1)[0] @ z0)))

    def recursion(self, t: Steps) -> Coefficients:
        return self._appended(t, self.inner.recursion(t), 1.0)

    def increments(self, t: Steps) -> Coefficients:
        return self._appended(t, self.inner.increments(t), 0.0)

    def _appended(self, t: Steps, inner: Coefficients, one: float) -> Coefficients:
        """The arrays of the inner method, of M (one = 1) or of M - 1 (one = 0), with the average."""
        wide, k, rho = self.widened(inner), self.inner.state_size, self.rho(t)
        M, b, _ = wide
        M[:, k, k] = one - rho
        if self.form == "new":
            o = self.inner.outlook(t + 1)
            moved = np.einsum("ti,tij->tj", o, M[:, :k, :k])
            M[:, k, :k] = rho[:, None] * (moved if one else moved + o)
            b[:, k] = rho * np.einsum("ti,ti->t", o, b[:, :k])
        else:
            M[:, k, :k] = rho[:, None] * self.inner.outlook(t)
        return wide


@method
class ema(_Average):
    """Exponential moving average of the iterates: a <- alpha a + (1 - alpha) w, from a = w_0.

    `decay` alpha in [0, 1], a number or a schedule; 0 is the last iterate (form "new"). With `bias_corrected` the
    average starts from nothing and is divided by its total weight 1 - alpha^t, as Adam's moments are. Source of form
    "old": Li and Gu 2025, w_avg_t = alpha w_avg_(t-1) + (1 - alpha) w_(t-1).
    """

    decay: Number = 0.999
    form: Form = "new"
    bias_corrected: bool = False
    _corrected: ClassVar[Any]

    def check(self) -> None:
        alpha = self._schedules["decay"] = fraction_schedule(self.decay, self.length, "decay")
        self._settle("decay")
        if self.bias_corrected and alpha(0) == 1.0:
            raise InputError(
                " = 1 at the first step leaves a bias-corrected EMA without weight; start below 1.", "decay"
            )
        if self.bias_corrected:
            self._keep(_corrected=corrected_weights(alpha))

    def rho(self, t: Steps) -> FloatArray:
        weights: FloatArray = self._corrected(t) if self.bias_corrected else 1.0 - self.at("decay", t)
        return weights

    def breaks(self, t: int) -> int:
        own = long_kink(self._schedules["decay"], t) if self.bias_corrected else self.length
        return min(super().breaks(t), own)


@method
class average(_Average):
    """Uniform average of the iterates w_start .. w_t (form "new") or w_start .. w_(t-1) ("old"); before that, w itself.

    Polyak and Juditsky 1992; form "old" with start = 0 is the w_0 .. w_(N-1) average of Zou et al. 2021.
    """

    start: int = 0
    form: Form = "new"

    def check(self) -> None:
        check_count("start", self.start, low=0, high=self.length)

    def rho(self, t: Steps) -> FloatArray:
        return _uniform(t, int(self.start), self.form)

    def breaks(self, t: int) -> int:
        return _begins(t, int(self.start), super().breaks(t))


@method
class tail_average(_Average):
    """Uniform average of the last iterates of the run: `window` of them, a step count or a fraction of the run.

    Jain et al. 2018 (arXiv 1610.03774); "new" ends with w_T, "old" with w_(T-1).
    """

    window: float = 0.5
    form: Form = "new"
    _first: ClassVar[int]

    def check(self) -> None:
        if isinstance(self.window, float) and self.window <= 1.0:
            last = max(1, round(check_number("window", self.window, low=0.0) * self.length))
        else:
            last = check_count("window", self.window, high=self.length)
        self._keep(_first=self.length - last + (1 if self.form == "new" else 0))

    def rho(self, t: Steps) -> FloatArray:
        return _uniform(t, self._first, self.form)

    def breaks(self, t: int) -> int:
        return _begins(t, self._first, super().breaks(t))


def _begins(t: int, first: int, otherwise: int) -> int:
    """`otherwise`, or if it comes before and after t, the step from which on an average of the iterates from `first`
    on has a weight that varies.
    """
    return min([otherwise, *(step for step in (first - 1, first) if step > t)])


def _uniform(t: Steps, first: int, form: Form) -> FloatArray:
    """rho_t = 1 / (number of iterates averaged after the step), 1 before the average begins."""
    lead = 2 if form == "new" else 1
    weights: FloatArray = 1.0 / np.maximum(t.astype(np.float64) + (lead - first), 1.0)
    return weights


@method
class polynomial_average(_Average):
    """Polynomial-decay average: rho_t = (power + 1) / (t + 1 + power); power 0 is the uniform average of w_1 ... w_t.

    Shamir and Zhang 2013 (arXiv 1212.1824), section 4.
    """

    power: float = 3.0
    form: Form = "new"

    def check(self) -> None:
        self._keep(power=check_number("power", self.power, low=0.0))

    def rho(self, t: Steps) -> FloatArray:
        weights: FloatArray = (self.power + 1.0) / (t.astype(np.float64) + 1.0 + self.power)
        return weights


@method
class merge(_Average):
    """The merge sum_j weights_j w_(steps_j) / sum_j weights_j of checkpoints (default: equal weights).

    `steps`: increasing, within 0 .. T. At a step between checkpoints the merge of those already taken is evaluated,
    and the iterate itself before the first. Weights may be negative as long as no partial sum is zero. Source: Tian et
    al. 2025 (arXiv 2507.17634); `merge_weights` gives the weights that stand for a decay.
    """

    steps: Sequence[int]
    weights: Sequence[float] | None = None
    _newest: ClassVar[dict[int, float]]

    def check(self) -> None:
        listed = enumerate(check_entries("steps", self.steps, "steps"))
        taken = [check_count(f"steps[{j}]", t, low=0, high=self.length) for j, t in listed]
        if not taken or any(b <= a for a, b in itertools.pairwise(taken)):
            raise InputError(f" = {brief(taken)} must hold increasing steps, at least one; sort them.", "steps")
        given = self.weights
        amount: FloatArray = np.ones(len(taken)) if given is None else check_array("weights", given, length=len(taken))
        partial = np.cumsum(amount)
        if np.any(np.abs(partial) <= 1e-12 * np.abs(amount).sum()):
            raise InputError(
                " have a partial sum of zero, which leaves no merge at that step; reorder or change them.", "weights"
            )
        self._keep(steps=taken, weights=None if given is None else [float(a) for a in amount])
        self._keep(_newest=dict(zip(taken, amount / partial, strict=True)))

    def rho(self, t: Steps) -> FloatArray:
        out = np.where(t < self.steps[0], 1.0, 0.0)
        for taken, share in self._newest.items():
            out[t == taken - 1] = share
        return out

    def breaks(self, t: int) -> int:
        edges = [step for taken in self.steps for step in (taken - 1, taken) if step > t]
        return min([super().breaks(t), *edges])


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
