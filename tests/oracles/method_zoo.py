"""Every method and wrapper with hyper-parameters that change in time: a table that several test files walk through."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from simlab import methods, schedules
from simlab.methods import Method
from simlab.schedules import Schedule

Maker = Callable[[Schedule, Schedule, "float | Schedule"], Method]
"""(lr, momentum, batch) -> method; lr and momentum have the same length."""


def late(schedule: Schedule, share: float) -> int:
    """The step at `share` of a run, at least 1."""
    return max(1, round(share * schedule.length))


def random_generic(k: int, moving: bool) -> Maker:
    """A method that is nobody's: random arrays, mildly contracting; with `moving`, new ones at every step."""

    def make(lr: Schedule, momentum: Schedule, batch: float | Schedule) -> Method:
        rng = np.random.default_rng(k)
        steps = lr.length
        lead = (steps,) if moving else ()
        M = 0.6 * np.eye(k) + 0.3 * rng.uniform(-1.0, 1.0, (*lead, k, k)) / k
        b = rng.uniform(0.0, 1.0, (*lead, k)) * (lr.values()[:, None] if moving else lr.peak())
        c = rng.uniform(0.0, 1.0, (*lead, k))
        o = rng.uniform(0.2, 1.0, (steps + 1, k) if moving else (k,))
        return methods.generic(M, b, c, o, steps=steps, start=rng.uniform(0.5, 1.0, k), batch=batch)

    return make


def random_merge(inner: Method) -> Method:
    steps = sorted({late(inner.learning_rate, share) for share in (0.2, 0.5, 0.75, 1.0)})
    return methods.merge(inner, steps, [0.4, -0.1, 0.3, 0.4][: len(steps)])


# Methods proper. The gammas are values at the peak of lr, which they follow.
BASE: dict[str, Maker] = {
    "sgd": lambda lr, beta, B: methods.sgd(lr, B),
    "heavy_ball": lambda lr, beta, B: methods.heavy_ball(lr, beta, B),
    "nesterov": lambda lr, beta, B: methods.nesterov(lr, beta, B),
    "torch_momentum": lambda lr, beta, B: methods.torch_momentum(lr, beta, B),
    "torch_dampened": lambda lr, beta, B: methods.torch_momentum(lr, beta, B, dampening=0.3),
    "torch_nesterov": lambda lr, beta, B: methods.torch_momentum(lr, beta, B, nesterov=True),
    "qhm": lambda lr, beta, B: methods.qhm(lr, beta, schedules.linear(lr.length, 0.9, floor=0.2), B),
    "asgd": lambda lr, beta, B: methods.asgd(lr, 2.0 * lr.peak(), 0.1, batch=B),
    "asgd_alpha": lambda lr, beta, B: methods.asgd(lr, lr * 3.0, 0.3, alpha=0.9, batch=B),
    "acc_sgd": lambda lr, beta, B: methods.acc_sgd(lr * 0.3, 10.0, 2.0, B),
    "acsgd": lambda lr, beta, B: methods.acsgd(lr, 0.03 * lr.peak(), B),
    "schedule_free": lambda lr, beta, B: methods.schedule_free(lr, beta, B),
    "schedule_free_power": lambda lr, beta, B: methods.schedule_free(lr, 0.9, B, power=2.0),
    "schedule_free_rates": lambda lr, beta, B: methods.schedule_free(lr, 0.9, B, weight_lr_power=0.5),
    "dana_constant": lambda lr, beta, B: methods.dana(lr, 0.2 * lr.peak(), batch=B),
    "dana_decaying": lambda lr, beta, B: methods.dana(lr, 0.2 * lr.peak(), decay=0.5, delta=4.0, g1=0.7, batch=B),
    "generic_fixed": random_generic(2, moving=False),
    "generic_moving": random_generic(3, moving=True),
}

WRAPPED: dict[str, Maker] = {
    "ema_sgd": lambda lr, beta, B: methods.ema(methods.sgd(lr, B), 0.9),
    "ema_old_sgd": lambda lr, beta, B: methods.ema(methods.sgd(lr, B), beta, form="old"),
    "ema_corrected_heavy_ball": lambda lr, beta, B: methods.ema(
        methods.heavy_ball(lr, beta, B), 0.8, bias_corrected=True
    ),
    "ema_corrected_moving": lambda lr, beta, B: methods.ema(
        methods.sgd(lr, B), schedules.linear(lr.length, 0.95, floor=0.2), bias_corrected=True
    ),
    "ema_schedule_free": lambda lr, beta, B: methods.ema(methods.schedule_free(lr, beta, B), 0.7),
    "average_asgd": lambda lr, beta, B: methods.average(methods.asgd(lr, 2.0 * lr.peak(), 0.1, batch=B), late(lr, 0.1)),
    "average_old": lambda lr, beta, B: methods.average(methods.sgd(lr, B), 0, form="old"),
    "tail_average_nesterov": lambda lr, beta, B: methods.tail_average(methods.nesterov(lr, beta, B), 0.5),
    "tail_average_old": lambda lr, beta, B: methods.tail_average(methods.sgd(lr, B), 0.3, form="old"),
    "polynomial_average": lambda lr, beta, B: methods.polynomial_average(methods.sgd(lr, B), 3.0),
    "polynomial_old_qhm": lambda lr, beta, B: methods.polynomial_average(
        methods.qhm(lr, beta, 0.6, B), 1.5, form="old"
    ),
    "merge_sgd": lambda lr, beta, B: random_merge(methods.sgd(lr, B)),
    "merge_dana": lambda lr, beta, B: random_merge(methods.dana(lr, 0.2 * lr.peak(), batch=B)),
    "lookahead_heavy_ball": lambda lr, beta, B: methods.lookahead(methods.heavy_ball(lr, beta, B), 5, 0.5),
    "ema_lookahead": lambda lr, beta, B: methods.ema(methods.lookahead(methods.sgd(lr, B), 3, 0.6), 0.5),
    "average_of_average": lambda lr, beta, B: methods.average(
        methods.tail_average(methods.heavy_ball(lr, beta, B), 0.4), 0
    ),
}

# These know where the origin is, so that scaling the spectrum has to scale the decay as well.
DECAYED: dict[str, Maker] = {
    "decay_sgd": lambda lr, beta, B: methods.weight_decay(
        methods.sgd(lr, B), schedules.linear(lr.length, 0.2, floor=0.1)
    ),
    "decay_nesterov": lambda lr, beta, B: methods.weight_decay(methods.nesterov(lr, beta, B), 0.1),
    "decoupled_heavy_ball": lambda lr, beta, B: methods.weight_decay(
        methods.heavy_ball(lr, beta, B), 0.1, form="decoupled"
    ),
    "ema_of_decay": lambda lr, beta, B: methods.ema(
        methods.weight_decay(methods.torch_momentum(lr, beta, B), 0.1), 0.8
    ),
}

ZOO: dict[str, Maker] = {**BASE, **WRAPPED, **DECAYED}

FLAT = schedules.constant(60, 0.1)

# batch -> a method, and the step to freeze it at: Schedule-Free, DANA and AcSGD move with t, so late enough that they
# are what they become.
FROZEN: dict[str, tuple[Callable[[float], Method], int]] = {
    "sgd": (lambda B: methods.sgd(FLAT, B), 0),
    "heavy_ball": (lambda B: methods.heavy_ball(FLAT, 0.9, B), 0),
    "nesterov": (lambda B: methods.nesterov(FLAT, 0.9, B), 0),
    "torch_dampened": (lambda B: methods.torch_momentum(FLAT, 0.8, B, dampening=0.3), 5),
    "torch_nesterov": (lambda B: methods.torch_momentum(FLAT, 0.8, B, nesterov=True), 0),
    "qhm": (lambda B: methods.qhm(FLAT, 0.95, 0.7, B), 0),
    "asgd": (lambda B: methods.asgd(FLAT, 0.4, 0.1, batch=B), 0),
    "asgd_alpha": (lambda B: methods.asgd(FLAT, 0.4, 0.1, alpha=0.8, batch=B), 0),
    "acc_sgd": (lambda B: methods.acc_sgd(FLAT, 20.0, 3.0, B), 0),
    "dana": (lambda B: methods.dana(FLAT, 0.02, batch=B), 50),
    "schedule_free": (lambda B: methods.schedule_free(FLAT, 0.9, B), 30),
    "acsgd": (lambda B: methods.acsgd(FLAT, 0.01, B), 9),
}
