"""Every family of schedules, every shape and every combinator: a table that the tests of exports walk through."""

from __future__ import annotations

import numpy as np

import simlab.schedules as sl
from simlab import LinearRegression
from simlab.schedules import Schedule

T = 60
BASE = sl.wsd(T, 0.3, warmup=0.1)
KNOTS = ((0.0, 1.0), (0.4, 0.3), (1.0, 0.05))
SOURCES: list[Schedule] = [
    sl.constant(T, 0.1),
    sl.constant(T, 0.1, warmup=T),
    sl.constant(T, 0.0),
    sl.linear(T, 0.1, floor=0.1, warmup=5),
    sl.linear(1, 0.1),
    sl.linear_to_zero(T, 0.1, warmup=0.1),
    sl.cosine(T, 3e-4, floor=0.1, warmup=5),
    sl.cosine(T, 3e-4),
    sl.polynomial(T, 0.1, power=1.5),
    sl.exponential(T, 0.1, floor=0.01),
    sl.rex(T, 0.1),
    sl.inverse_sqrt(T, 0.1, warmup=8),
    sl.inverse_sqrt(T, 0.1),
    sl.noam(T, 512, warmup=9),
    sl.inverse_time(T, 0.1, decay=0.3, warmup=2),
    sl.inverse_time(T, 0.1, decay=0.3, power=0.75),
    sl.piecewise(T, 0.3, knots=((3, 0.5), (0.5, 1.0), (1.0, 0.0))),
    sl.piecewise(T, 0.3, knots=((3, 0.5),)),
    sl.step(T, 0.1),
    sl.multi_step(T, 0.1, warmup=3),
    sl.step_decay(T, 0.1),
    sl.tail_geometric(T, 0.1),
    sl.tail_polynomial(T, 0.1, power=0.5),
    *(
        sl.wsd(
            T,
            0.3,
            warmup=0.1,
            cooldown=0.5,
            shape=shape,
            **({"knots": KNOTS} if shape == "piecewise" else {}),
        )
        for shape in sl.cooldown_shapes()
    ),
    sl.trapezoid(T, 0.1),
    sl.wsd_s(T, 0.1, cooldown=0.4, warmup=3),
    sl.wsdc(T, 0.1, warmup=5),
    sl.infinite(T, 3e-4, warmup=0.05),
    sl.power_scheduler(T, 0.5, scale=3.0, exponent=-0.7, warmup=5),
    sl.one_cycle(T, 0.1),
    sl.torch_one_cycle(T, 0.1),
    sl.torch_one_cycle(T, 0.1, pct_start=0.37, anneal_strategy="linear", three_phase=True),
    sl.range_test(T, 0.1, floor=0.01),
    sl.sine(T, 0.1, half_cycle=7, floor=0.1, factor=0.7, gamma=0.99),
    sl.sigmoid(T, 0.1, warmup=5),
    sl.uba(T, 0.1, phi=0.5, warmup=4, floor=0.1),
    sl.scale_invariant(T, 0.1, gradient_norm=3.0),
    sl.scale_invariant(T, 0.1, gradient_norm=3.0, weight_decay=0.3),
    sl.scale_invariant(T, 0.1, gradient_norm=0.3, weight_decay=0.3),
    sl.sgdr(T, 0.1, period=7, floor=0.1),
    sl.sgdr(T, 0.1, period=7, multiplier=2, warmup=3),
    sl.triangular(T, 0.1, half_cycle=4),
    sl.triangular2(T, 0.1, half_cycle=4),
    sl.exp_range(T, 0.1, half_cycle=7, gamma=0.97),
    sl.eigencurve(T, eigenvalues=np.arange(1, 60) ** -1.5),
    sl.spectral(LinearRegression([1.0, 0.5, 0.25], 1.0, 0.1), T, form="short", level="formula"),
    sl.sampled(T, 0.1, "cosine", rate=7),
    sl.sampled(T, 0.1, "rex", rate="30-60-90", warmup=4),
    sl.from_array(np.random.default_rng(0).uniform(0.0, 1.0, T)),
    sl.from_array(np.repeat([0.3, 0.1, 0.0], 20)),
    sl.from_array([0.3]),
    BASE * 0.5,
    BASE * sl.exp_range(T, 1.0, half_cycle=5) * sl.step(T, 1.0),
    sl.join(sl.cosine(7, 0.1), sl.from_array([0.2, 0.3]), sl.sgdr(12, 0.1, period=5)).repeat(3),
    BASE[3:50].clip(0.05, 0.2).warmed(5),
    sl.cosine(T, 0.1, warmup=6).warmed(6, 0.01),
    BASE.clip(0.02)[10:],
    sl.from_array(np.linspace(0.1, 1.0, 50))[20:30],
    sl.sampled(T, 0.1, rate=3)[5:].repeat(2),
]

IDS = [repr(source)[:70] for source in SOURCES]
