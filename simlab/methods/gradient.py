"""SGD and its one-buffer relatives: heavy ball, Nesterov, PyTorch's momentum, QHM, and the generic method."""

from __future__ import annotations

from dataclasses import KW_ONLY, replace
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from simlab.arrays import FloatArray
from simlab.errors import InputError, brief, check_count, check_floats
from simlab.methods.base import Coefficients, Method, Number, Rated, Steps, arrays, batch_of, method, short
from simlab.schedules import Schedule, as_schedule, constant, from_array
from simlab.schedules.arguments import LONGEST
from simlab.schedules.kinks import Stretch, stretch

__all__ = ["generic", "heavy_ball", "nesterov", "qhm", "sgd", "torch_momentum"]


@method
class sgd(Rated):
    """Stochastic gradient descent: w <- w - lr_t g(w).

    Parameters
    ----------
    lr : schedule of the learning rate; its length is that of the run.
    batch : fresh samples per step, a whole number >= 1, a schedule of such, or inf for the full gradient.
    """

    batch: Number = 1

    def recursion(self, t: Steps) -> Coefficients:
        return arrays(t.size, [[1.0]], [self.at("lr", t)], [1.0])

    def stretch(self, t: int) -> Stretch | None:
        found = [stretch(schedule.plan, t) for schedule in self._varying()]
        periods = {each.period for each in found if each is not None and each.period}
        if None in found or len(periods) != 1:
            return None
        return Stretch(periods.pop(), min(each.end for each in found if each is not None))


@method
class heavy_ball(Rated):
    """Polyak's heavy ball: v <- beta_t v - lr_t g(w); w <- w + v, from v = 0 (Polyak 1964).

    `momentum` beta in [0, 1] may be a schedule. Its long-run effective step is lr / (1 - beta).
    """

    momentum: Number = 0.9
    batch: Number = 1
    fractions: ClassVar = ("momentum",)
    z0 = iterate = np.array([1.0, 0.0])
    coordinates = ("iterate", "velocity")

    def recursion(self, t: Steps) -> Coefficients:
        lr, beta = self.at("lr", t), self.at("momentum", t)
        return arrays(t.size, [[1.0, beta], [0.0, beta]], [lr, lr], [1.0, 0.0])


@method
class nesterov(Rated):
    """Nesterov's momentum: v <- beta_t v - lr_t g(w + beta_t v); w <- w + v (Sutskever et al. 2013, equations 3 and
    4).
    """

    momentum: Number = 0.9
    batch: Number = 1
    fractions: ClassVar = ("momentum",)
    z0 = iterate = np.array([1.0, 0.0])
    coordinates = ("iterate", "velocity")

    def recursion(self, t: Steps) -> Coefficients:
        lr, beta = self.at("lr", t), self.at("momentum", t)
        return arrays(t.size, [[1.0, beta], [0.0, beta]], [lr, lr], [1.0, beta])


@method
class torch_momentum(Rated):
    """The recursion of torch.optim.SGD: v <- beta v + (1 - tau) g(w); w <- w - lr v (nesterov: w - lr (g + beta v)).

    Differs from `heavy_ball` when the learning rate changes, because the buffer holds gradients and not steps. As in
    PyTorch the first step fills the buffer with the gradient itself, undampened, and nesterov refuses a dampening.
    """

    momentum: Number = 0.9
    batch: Number = 1
    dampening: float = 0.0
    nesterov: bool = False
    fractions: ClassVar = ("momentum", "dampening")
    tacit: ClassVar = ("dampening", "nesterov")
    z0 = iterate = np.array([1.0, 0.0])
    coordinates = ("iterate", "buffer")

    def check(self) -> None:
        if self.nesterov and self._schedules["dampening"].peak() > 0.0:
            what = brief(self.dampening)
            raise InputError(f" = {what} with nesterov is refused by PyTorch; set dampening to 0.", "dampening")

    def recursion(self, t: Steps) -> Coefficients:
        lr, beta, tau = self.at("lr", t), self.at("momentum", t), self.at("dampening", t).copy()
        tau[t == 0] = 0.0
        kept, own = (beta**2, 1.0 + beta) if self.nesterov else (beta, 1.0 - tau)
        return arrays(t.size, [[1.0, -lr * kept], [0.0, beta]], [lr * own, tau - 1.0], [1.0, 0.0])

    def breaks(self, t: int) -> int:
        return 1 if t < 1 < self.length else self.length


@method
class qhm(Rated):
    """Quasi-hyperbolic momentum: v <- beta v + (1 - beta) g; w <- w - lr [(1 - nu) g + nu v].

    Source: Ma and Yarats 2019 (arXiv 1810.06801), equations 3 and 4. nu = 0 is SGD, nu = 1 momentum with an averaged
    buffer.
    """

    momentum: Number = 0.999
    nu: Number = 0.7
    batch: Number = 1
    fractions: ClassVar = ("momentum", "nu")
    z0 = iterate = np.array([1.0, 0.0])
    coordinates = ("iterate", "averaged buffer")

    def recursion(self, t: Steps) -> Coefficients:
        lr, beta, nu = self.at("lr", t), self.at("momentum", t), self.at("nu", t)
        b = [lr * (1.0 - nu * beta), beta - 1.0]
        return arrays(t.size, [[1.0, -lr * nu * beta], [0.0, beta]], b, [1.0, 0.0])


@method
class generic(Method):
    """Any linear method from its own arrays: z <- M z - b g(c . z), evaluated at o . z.

    Parameters
    ----------
    M : (k, k) or (steps, k, k); b, c : (k,) or (steps, k); o : (k,) or (steps + 1, k), default the first coordinate.
    start : (k,), z_0 = start * (w_0 - w*); default 1 for each coordinate (all of them iterates).
    lr : the learning rate that the trace shows and that `effective()` subspaces sum, a number or a schedule; b is what
        moves z. Default: c . b, the step along the gradient at the point where it is taken; where that is 0 throughout,
        for a gradient that arrives late, the first of c . M b, c . M^2 b, .. that is not.
    """

    M: npt.ArrayLike
    b: npt.ArrayLike
    c: npt.ArrayLike
    o: npt.ArrayLike | None = None
    _: KW_ONLY
    steps: int
    start: npt.ArrayLike | None = None
    batch: Number = 1
    lr: Number | None = None
    _arrays: ClassVar[tuple[FloatArray, ...]]

    def __post_init__(self) -> None:
        steps = check_count("steps", self.steps, high=LONGEST)
        b = _rows("b", self.b, steps, 1)
        k = b.shape[-1]
        c, M = _rows("c", self.c, steps, 1, k), _rows("M", self.M, steps, 2, k)
        o = _rows("o", np.eye(k)[0] if self.o is None else self.o, steps + 1, 1, k)
        z0 = np.ones(k) if self.start is None else _rows("start", self.start, 1, 1, k).reshape(k)
        rate = _rate(M, b, c, steps) if self.lr is None else as_schedule(self.lr, steps, "lr")
        self._keep(length=steps, learning_rate=rate, batch=batch_of(self.batch, steps), _schedules={"lr": rate})
        self._keep(z0=z0.copy(), _arrays=(M, b, c, o), coordinates=tuple(f"z{j + 1} of {k}" for j in range(k)))

    @property
    def expression(self) -> str:
        return f"generic(k={self.state_size}, steps={self.length}, batch={short(self.batch)})"

    def recursion(self, t: Steps) -> Coefficients:
        M, b, c, _ = self._arrays
        return Coefficients(_part(M, 2, t), _part(b, 1, t), _part(c, 1, t))

    def breaks(self, t: int) -> int:
        M, b, c, o = self._arrays
        return t + 1 if M.ndim > 2 or max(b.ndim, c.ndim, o.ndim) > 1 else self.length

    def outlook(self, t: Steps) -> FloatArray:
        return _part(self._arrays[3], 1, t)

    def _rescaled(self, factor: float) -> generic:
        lr = None if self.lr is None else self.learning_rate * factor
        return replace(self, b=factor * np.asarray(self.b), lr=lr)


def _rate(M: FloatArray, b: FloatArray, c: FloatArray, steps: int) -> Schedule:
    """c . M^j b of each step at the first j < k where it is not 0 throughout; one number where nothing changes."""
    push = b
    for _ in range(b.shape[-1]):
        reached = np.einsum("...k,...k->...", push, c)
        if np.any(reached):
            break
        push = np.einsum("...kl,...l->...k", M, push)
    rate = np.maximum(reached, 0.0)
    return from_array(rate) if np.any(rate != rate.flat[0]) else constant(steps, float(rate.flat[0]))


def _rows(field: str, value: Any, steps: int, rank: int, k: int | None = None) -> FloatArray:
    """`value` of shape (k,)*rank, or (steps, ...), as a finite array of the shape that it has, or an InputError."""
    array = check_floats(field, value)
    finite = bool(np.all(np.isfinite(array)))
    if np.ndim(value) == 0:
        raise InputError(f" = {brief(value)} is one number; give {'(k, k)' if rank == 2 else '(k,)'} of them.", field)
    size = array.shape[-1] if k is None and array.ndim else k
    if array.shape not in ((size,) * rank, (steps, *([size] * rank))):
        shape = "(k, k)" if rank == 2 else "(k,)"
        raise InputError(f" has shape {np.shape(value)}; give {shape} or one such per step, k = {size}.", field)
    if not finite:
        raise InputError(" holds a value that is not finite; give finite numbers.", field)
    return array


def _part(rows: FloatArray, rank: int, t: Steps) -> FloatArray:
    """The rows t of an array of `_rows`: of one that is the same at every step, that one."""
    return rows[t] if rows.ndim > rank else np.broadcast_to(rows, (t.size, *rows.shape))
