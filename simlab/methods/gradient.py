"""SGD and its one-buffer relatives: heavy ball, Nesterov, PyTorch's momentum, QHM, and the generic method."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from simlab.errors import InputError, brief, check_count, check_floats, check_number
from simlab.methods.base import (
    Coefficients,
    Method,
    Number,
    batch_of,
    builder,
    constant_rows,
    fraction_schedule,
    label,
    lr_schedule,
)
from simlab.schedules import Schedule, as_schedule, constant, from_array
from simlab.schedules.arguments import LONGEST

__all__ = ["generic", "heavy_ball", "nesterov", "qhm", "sgd", "torch_momentum"]

FloatArray = npt.NDArray[np.float64]


@builder
def sgd(lr: Schedule, batch: Number = 1) -> Method:
    """Stochastic gradient descent: w <- w - lr_t g(w).

    Parameters
    ----------
    lr : schedule of the learning rate; its length is that of the run.
    batch : fresh samples per step, a whole number >= 1, a schedule of such, or inf for the full gradient.
    """
    lr = lr_schedule(lr)

    def coefficients(start: int, stop: int) -> Coefficients:
        n = stop - start
        return Coefficients(np.ones((n, 1, 1)), lr.values(start, stop)[:, None], np.ones((n, 1)))

    return Method(
        label("sgd", lr, batch=batch),
        lr.length,
        np.ones(1),
        coefficients,
        constant_rows([1.0]),
        lr,
        batch_of(batch, lr.length),
        lambda factor: sgd(lr * factor, batch),
    )


def _velocity_method(
    name: str, lr: Schedule, momentum: Number, batch: Number, look_ahead: bool, remake: Callable[..., Method]
) -> Method:
    """v <- beta v - lr g(w + [look_ahead] beta v); w <- w + v, in the state (w, v)."""
    lr = lr_schedule(lr)
    beta = fraction_schedule(momentum, lr.length, "momentum")

    def coefficients(start: int, stop: int) -> Coefficients:
        rate, decay = lr.values(start, stop), beta.values(start, stop)
        n = stop - start
        M = np.zeros((n, 2, 2))
        M[:, 0, 0] = 1.0
        M[:, 0, 1] = M[:, 1, 1] = decay
        c = np.zeros((n, 2))
        c[:, 0] = 1.0
        if look_ahead:
            c[:, 1] = decay
        return Coefficients(M, np.stack([rate, rate], axis=1), c)

    return Method(
        label(name, lr, momentum=momentum, batch=batch),
        lr.length,
        np.array([1.0, 0.0]),
        coefficients,
        constant_rows([1.0, 0.0]),
        lr,
        batch_of(batch, lr.length),
        lambda factor: remake(lr * factor, momentum, batch),
        beta,
    )


@builder
def heavy_ball(lr: Schedule, momentum: Number = 0.9, batch: Number = 1) -> Method:
    """Polyak's heavy ball: v <- beta_t v - lr_t g(w); w <- w + v, from v = 0 (Polyak 1964).

    `momentum` beta in [0, 1] may be a schedule. Its long-run effective step is lr / (1 - beta).
    """
    return _velocity_method("heavy_ball", lr, momentum, batch, False, heavy_ball)


@builder
def nesterov(lr: Schedule, momentum: Number = 0.9, batch: Number = 1) -> Method:
    """Nesterov's momentum: v <- beta_t v - lr_t g(w + beta_t v); w <- w + v (Sutskever et al. 2013, equations 3 and
    4).
    """
    return _velocity_method("nesterov", lr, momentum, batch, True, nesterov)


@builder
def torch_momentum(
    lr: Schedule, momentum: Number = 0.9, batch: Number = 1, dampening: float = 0.0, nesterov: bool = False
) -> Method:
    """The recursion of torch.optim.SGD: v <- beta v + (1 - tau) g(w); w <- w - lr v (nesterov: w - lr (g + beta v)).

    Differs from `heavy_ball` when the learning rate changes, because the buffer holds gradients and not steps. As in
    PyTorch the first step fills the buffer with the gradient itself, undampened, and nesterov refuses a dampening.
    """
    lr = lr_schedule(lr)
    beta = fraction_schedule(momentum, lr.length, "momentum")
    tau = fraction_schedule(dampening, lr.length, "dampening")
    if nesterov and tau.peak() > 0.0:
        raise InputError(f" = {brief(dampening)} with nesterov is refused by PyTorch; set dampening to 0.", "dampening")

    def coefficients(start: int, stop: int) -> Coefficients:
        rate, decay, damp = lr.values(start, stop), beta.values(start, stop), tau.values(start, stop).copy()
        if start == 0:
            damp[:1] = 0.0
        n = stop - start
        M = np.zeros((n, 2, 2))
        M[:, 0, 0] = 1.0
        M[:, 1, 1] = decay
        M[:, 0, 1] = -rate * (decay**2 if nesterov else decay)
        own = 1.0 + decay if nesterov else 1.0 - damp
        c = np.zeros((n, 2))
        c[:, 0] = 1.0
        return Coefficients(M, np.stack([rate * own, damp - 1.0], axis=1), c)

    return Method(
        label(
            "torch_momentum",
            lr,
            momentum=momentum,
            batch=batch,
            dampening=dampening or None,
            nesterov=nesterov or None,
        ),
        lr.length,
        np.array([1.0, 0.0]),
        coefficients,
        constant_rows([1.0, 0.0]),
        lr,
        batch_of(batch, lr.length),
        lambda factor: torch_momentum(lr * factor, momentum, batch, dampening, nesterov),
        beta,
    )


@builder
def qhm(lr: Schedule, momentum: Number = 0.999, nu: Number = 0.7, batch: Number = 1) -> Method:
    """Quasi-hyperbolic momentum: v <- beta v + (1 - beta) g; w <- w - lr [(1 - nu) g + nu v].

    Source: Ma and Yarats 2019 (arXiv 1810.06801), equations 3 and 4. nu = 0 is SGD, nu = 1 momentum with an averaged
    buffer.
    """
    lr = lr_schedule(lr)
    beta = fraction_schedule(momentum, lr.length, "momentum")
    weight = fraction_schedule(nu, lr.length, "nu")

    def coefficients(start: int, stop: int) -> Coefficients:
        rate, decay, mix = lr.values(start, stop), beta.values(start, stop), weight.values(start, stop)
        n = stop - start
        M = np.zeros((n, 2, 2))
        M[:, 0, 0] = 1.0
        M[:, 0, 1] = -rate * mix * decay
        M[:, 1, 1] = decay
        c = np.zeros((n, 2))
        c[:, 0] = 1.0
        return Coefficients(M, np.stack([rate * (1.0 - mix * decay), decay - 1.0], axis=1), c)

    return Method(
        label("qhm", lr, momentum=momentum, nu=nu, batch=batch),
        lr.length,
        np.array([1.0, 0.0]),
        coefficients,
        constant_rows([1.0, 0.0]),
        lr,
        batch_of(batch, lr.length),
        lambda factor: qhm(lr * factor, momentum, nu, batch),
        beta,
    )


@builder
def generic(
    M: npt.ArrayLike,
    b: npt.ArrayLike,
    c: npt.ArrayLike,
    o: npt.ArrayLike | None = None,
    *,
    steps: int,
    start: npt.ArrayLike | None = None,
    batch: Number = 1,
    lr: Number | None = None,
) -> Method:
    """Any linear method from its own arrays: z <- M z - b g(c . z), evaluated at o . z.

    Parameters
    ----------
    M : (k, k) or (steps, k, k); b, c : (k,) or (steps, k); o : (k,) or (steps + 1, k), default the first coordinate.
    start : (k,), z_0 = start * (w_0 - w*); default 1 for each coordinate (all of them iterates).
    lr : the learning rate that the trace shows and that `effective()` subspaces sum, a number or a schedule; b is what
        moves z. Default: c . b, the step along the gradient at the point where it is taken; where that is 0 throughout,
        for a gradient that arrives late, the first of c . M b, c . M^2 b, .. that is not.
    """
    steps = check_count("steps", steps, high=LONGEST)
    b_rows = _rows("b", b, steps, 1)
    k = b_rows.shape[-1]
    c_rows, M_rows = _rows("c", c, steps, 1, k), _rows("M", M, steps, 2, k)
    o_rows = _rows("o", np.eye(k)[0] if o is None else o, steps + 1, 1, k)
    origin = np.ones(k) if start is None else _rows("start", start, 1, 1, k).reshape(k)
    if lr is None:
        rate = _rate(M_rows, b_rows, c_rows, steps)
    else:
        rate = as_schedule(lr if isinstance(lr, Schedule) else check_number("lr", lr, low=0.0), steps, "lr")
    return Method(
        label("generic", k=k, steps=steps, batch=batch),
        steps,
        origin.copy(),
        lambda i, j: Coefficients(_part(M_rows, 2, i, j), _part(b_rows, 1, i, j), _part(c_rows, 1, i, j)),
        lambda i, j: _part(o_rows, 1, i, j),
        rate,
        batch_of(batch, steps),
        lambda factor: generic(
            M,
            factor * np.asarray(b),
            c,
            o,
            steps=steps,
            start=start,
            batch=batch,
            lr=None if lr is None else rate * factor,
        ),
    )


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


def _part(rows: FloatArray, rank: int, start: int, stop: int) -> FloatArray:
    """The rows start .. stop - 1 of an array of `_rows`: of one that is the same at every step, that one."""
    return rows[start:stop] if rows.ndim > rank else np.broadcast_to(rows, (stop - start, *rows.shape))
