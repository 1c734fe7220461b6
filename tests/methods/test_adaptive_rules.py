"""Methods that are not linear, step by step: the kernels against formulas written out, and against the originals."""

from __future__ import annotations

import numpy as np
import pytest

import simlab as sl
from simlab import methods, schedules
from simlab.methods.low_bit import dynamic_levels, linear_levels

LR = schedules.linear(40, 0.05, floor=0.2)
DIM = 12


def scaled(step, w, measured, blocks, decay=0.0, unmoved=1.0):
    """step |w| / (|measured| + decay |w|), block by block of one size; step times `unmoved` where one is 0."""
    out = step.copy()
    for j in range(0, w.size, blocks):
        part = slice(j, j + blocks)
        size, own = np.linalg.norm(w[part]), np.linalg.norm(measured[part])
        out[part] *= size / (own + decay * size) if size > 0.0 and own > 0.0 else unmoved
    return out


def rounded(values, bits, signed):
    """values over their largest, to the nearest level, and back; one block."""
    levels = dynamic_levels(bits, signed) if signed or bits == 8 else linear_levels(bits)
    top = np.abs(values).max()
    return top * levels[np.abs(values[:, None] / top - levels).argmin(axis=1)]


def by_hand(name, given, rates, gradient, w, blocks=None):
    """Weights after each step, from the papers' pseudo-code with the constants of their code."""
    m, v, s, top = (np.zeros_like(w) for _ in range(4))
    b1, b2, eps = given.get("beta1", 0.9), given.get("beta2", 0.999), given.get("eps", 1e-8)
    start, product, path = w.copy(), 1.0, []
    for t, lr in enumerate(rates, 1):
        g = gradient(w)
        if name == "sign_sgd":
            step = lr * np.sign(g)
        elif name == "signum":
            m = 0.9 * m + 0.1 * g
            step = lr * np.sign(m)
        elif name == "lion":
            step, m = lr * np.sign(0.9 * m + 0.1 * g), 0.99 * m + 0.01 * g
        elif name == "lars":
            whole = g + given["weight_decay"] * w
            m = 0.9 * m + 0.05 * scaled(whole, w, g, blocks, given["weight_decay"], unmoved=20.0)
            step = lr * m
        elif name == "adagrad":
            v = v + g * g + (given.get("initial", 0.0) if t == 1 else 0.0)
            step = lr * g / (np.sqrt(v) + 1e-10)
        elif name == "rmsprop":
            v = 0.99 * v + 0.01 * g * g
            m = given.get("momentum", 0.0) * m + g / (np.sqrt(v) + eps)
            step = lr * m
        else:
            square = g * g
            if name == "adam_mini":
                square = np.repeat([square[j : j + blocks].mean() for j in range(0, w.size, blocks)], blocks)[: w.size]
            m, v = b1 * m + (1 - b1) * g, b2 * v + (1 - b2) * square
            c1, c2 = 1 - b1**t, 1 - b2**t
            step = lr * (m / c1) / (np.sqrt(v / c2) + eps)
            if name == "amsgrad":
                top = np.maximum(top, v)
                step = lr * (m / c1) / (np.sqrt(top / c2) + eps)
            elif name == "nadam":
                mu, after = (b1 * (1 - 0.5 * 0.96 ** (k * 0.004)) for k in (t, t + 1))
                product *= mu
                over = np.sqrt(v / c2) + eps
                step = lr * (1 - mu) / (1 - product) * g / over + lr * after / (1 - product * after) * m / over
            elif name == "radam":
                whole = 2 / (1 - b2) - 1
                rho = whole - 2 * t * b2**t / c2
                step = lr * m / c1
                if rho > 5:
                    r = np.sqrt((rho - 4) * (rho - 2) * whole / ((whole - 4) * (whole - 2) * rho))
                    step = step * r * np.sqrt(c2) / (np.sqrt(v) + eps)
            elif name == "adabound":
                final = 0.1 * lr / max(rates)
                low, high = final * (1 - 1 / (1e-3 * t + 1)), final * (1 + 1 / (1e-3 * t))
                step = np.clip(lr * np.sqrt(c2) / c1 / (np.sqrt(v) + eps), low, high) * m
            elif name == "lamb":
                r = m / c1 / (np.sqrt(v / c2) + 1e-6) + given["weight_decay"] * w
                step = lr * scaled(r, w, r, blocks)
            elif name == "adam_low_bit":
                m, v = rounded(m, given["bits"], True), rounded(v, given["bits"], False)
            elif name == "adamod":
                rate = lr * np.sqrt(c2) / c1 / (np.sqrt(v) + eps)
                s = 0.999 * s + 0.001 * rate
                step = np.minimum(rate, s) * m
        pull = 0.0 if name in ("lars", "lamb") else given.get("weight_decay", 0.0)
        w = w - lr * pull * (w - start) - step
        path.append(w)
    return np.array(path)


CASES = [
    ("sign_sgd", {}), ("sign_sgd", {"weight_decay": 0.3}), ("signum", {}), ("lion", {}),
    ("lion", {"weight_decay": 0.3}),
    ("adagrad", {}), ("adagrad", {"initial": 0.1}), ("rmsprop", {}), ("rmsprop", {"momentum": 0.8}), ("adam", {}),
    ("adam", {"beta1": 0.0, "beta2": 0.9}), ("adamw", {"weight_decay": 0.5}), ("amsgrad", {"beta2": 0.9}),
    ("nadam", {}),
    ("radam", {"beta2": 0.9}), ("adabound", {}), ("adamod", {}), ("adam_mini", {"blocks": 4}),
    ("adam_mini", {"blocks": 5, "weight_decay": 0.2}),
    ("lars", {"blocks": 5, "weight_decay": 0.2, "trust": 0.05, "eps": 0.0}),
    ("lamb", {"blocks": 5, "weight_decay": 0.2}), ("adam_low_bit", {"bits": 8}), ("adam_low_bit", {"bits": 4}),
]  # fmt: skip


def make(name, given, lr=LR, batch=np.inf):
    if name == "amsgrad":
        return methods.adam(lr, amsgrad=True, batch=batch, **given)
    return getattr(methods, name)(lr, batch=batch, **given)


@pytest.mark.thorough
@pytest.mark.parametrize(("name", "given"), CASES)
def test_a_full_gradient_by_hand(name, given):
    """On a turned quadratic, where coordinates are mixed."""
    problem = sl.LinearRegression(1.0 / np.arange(1, DIM + 1.0), np.linspace(1.0, 2.0, DIM), 0.0).rotated(3)
    Q, lam = problem.rotation, problem.eigenvalues
    path = by_hand(
        name, given, LR.values(), lambda w: Q @ (lam * (Q.T @ w)), Q @ problem.initial_error, given.get("blocks")
    )
    wanted = 0.5 * ((path @ Q) ** 2 @ lam)
    if name in ("lars", "lamb"):
        given = {**given, "weights": Q @ problem.initial_error}  # the optimum is at 0, where weights are measured from
    trace = sl.sample(problem, make(name, given), replicas=1, record="all", progress=False)
    np.testing.assert_allclose(trace.total().values[1:], wanted, rtol=1e-11)


@pytest.mark.parametrize(("name", "given"), CASES)
def test_a_landscape_by_hand(name, given):
    valley = sl.river.curved()
    w = valley.start
    path = by_hand(name, given, LR.values(), valley.slope, w, given.get("blocks"))
    data = sl.descend(valley, make(name, given, batch=1), replicas=3, record="all", paths=True, progress=False)
    for replica in range(3):
        np.testing.assert_allclose(data["iterate"].values[1:, replica], path, rtol=1e-11, atol=1e-12)


def test_a_rotation_is_nothing_to_linear_methods():
    problem = sl.LinearRegression.power_law(20, 1.5, 1.3, 0.1)
    sgd = methods.sgd(schedules.constant(30, 0.2))
    one, other = (sl.sample(p, sgd, replicas=8, progress=False).total() for p in (problem, problem.rotated(1)))
    np.testing.assert_array_equal(one, other)
    np.testing.assert_array_equal(sl.exact(problem, sgd).total(), sl.exact(problem.rotated(1), sgd).total())


def test_a_rotation_is_the_one_given():
    problem = sl.LinearRegression.power_law(20, 1.5, 1.3, 0.1)
    adam = methods.adam(schedules.constant(60, 0.01))

    def risk(p, **basis):
        return sl.sample(p, adam, replicas=16, progress=False, **basis).total().values

    plain = risk(problem, basis="eigen")
    np.testing.assert_allclose(risk(problem.rotated(np.eye(20))), plain, rtol=1e-12)
    np.testing.assert_array_equal(risk(problem.rotated(4), basis="eigen"), plain)
    assert abs(risk(problem.rotated(4))[-1] / plain[-1] - 1.0) > 0.05


def test_threads_and_blocks_change_no_bit():
    problem = sl.LinearRegression.power_law(50, 1.5, 1.3, 0.1)
    adam = methods.adamw(schedules.constant(100, 0.01), batch=2)
    runs = [
        sl.sample(problem, adam, basis="eigen", replicas=20, progress=False, threads=threads, block=block).total()
        for threads, block in ((1, None), (2, 7))
    ]
    np.testing.assert_array_equal(*runs)


def test_a_run_goes_on_from_its_state():
    problem = sl.LinearRegression.power_law(30, 1.5, 1.3, 0.1).rotated(2)
    adam = methods.adamw(schedules.linear(60, 0.02), weight_decay=0.1)
    whole = sl.sample(problem, adam, replicas=8, progress=False, keep=[25], record=[40])
    rest = sl.sample(problem, methods.rest(adam, 25), replicas=8, progress=False, start=whole.state_at(25), record=[40])
    np.testing.assert_array_equal(rest.total().values[1:], whole.total().values[1:])


def test_a_schedule_of_beta2_is_adam_where_it_is_flat():
    problem = sl.LinearRegression.power_law(30, 1.5, 1.3, 0.1)
    lr = schedules.constant(50, 0.02)
    flat, moving = methods.adam(lr, beta2=0.99), methods.adam(lr, beta2=schedules.constant(50, 0.99))
    one, other = (sl.limit(problem, each, progress=False).total().values for each in (flat, moving))
    np.testing.assert_allclose(one, other, rtol=1e-12)


# -- the user's own ---------------------------------------------------------------------------------------------------


def heavy(state, gradient, rate):
    for i in range(gradient.size):
        state[0, i] = 0.9 * state[0, i] + rate * gradient[i]
        gradient[i] = state[0, i]
    return state, gradient


def beyond(state, gradient, rate):
    state[3, 0] = 1.0
    return state, gradient


def misshapen(state, gradient, rate):
    return state, state


def allocating(state, gradient, rate):
    return state, rate * gradient


@pytest.mark.thorough
def test_a_rule_of_ones_own_is_heavy_ball():
    lr = schedules.linear(50, 0.05)
    own, known = methods.custom(lr, heavy), methods.heavy_ball(lr, 0.9)
    problem = sl.LinearRegression.power_law(30, 1.5, 1.3, 0.1)
    mine = sl.sample(problem, own, basis="eigen", replicas=8, progress=False).total()
    theirs = sl.sample(problem, known, split=False, dtype="float64", replicas=8, progress=False).total()
    np.testing.assert_allclose(mine, theirs, rtol=1e-12)


def test_a_rule_that_harms_is_refused():
    lr = schedules.constant(5, 0.1)
    with pytest.raises(sl.InputError, match="reaches beyond"):
        methods.custom(lr, beyond)
    with pytest.raises(sl.InputError, match="returns shapes"):
        methods.custom(lr, misshapen)
    with pytest.warns(UserWarning, match="allocates"):
        methods.custom(lr, allocating)


# -- bad input --------------------------------------------------------------------------------------------------------

FLAT = schedules.constant(5, 0.1)
PROBLEM = sl.LinearRegression.power_law(10, 1.5, 1.3, 0.1)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: sl.sample(PROBLEM, methods.adam(FLAT)), ["basis", "adam", "rotated"]),
        (lambda: sl.sample(PROBLEM, methods.adam(FLAT), basis="own"), ["basis = 'own'", "eigen"]),
        (lambda: methods.adam(FLAT, beta2=1.0), ["beta2 = 1.0", "below 1"]),
        (lambda: methods.adam(FLAT, beta1=-0.1), ["beta1 = -0.1"]),
        (lambda: methods.adam(FLAT, beta2=schedules.constant(5, 1.0)), ["beta2", "reaches 1"]),
        (lambda: methods.lion(FLAT, beta2=2), ["beta2 = 2"]),
        (lambda: sl.exact(PROBLEM, methods.adam(FLAT)), ["not linear", "simlab.limit", "simlab.sample"]),
        (lambda: sl.long(PROBLEM, methods.adam(FLAT)), ["not linear", "simlab.limit"]),
        (lambda: sl.stability(PROBLEM, methods.adam(FLAT)), ["not linear", "simlab.limit"]),
        (lambda: PROBLEM.compress(method=methods.adam(FLAT)), ["not linear", "compress"]),
        (lambda: methods.ema(methods.adam(FLAT), 0.9), ["not linear", "wrapper"]),
        (lambda: methods.adam_mini(FLAT, blocks=[3.5]), ["blocks", "whole number"]),
        (lambda: sl.sample(PROBLEM, methods.adam_mini(FLAT, blocks=[3, 3]), basis="eigen"), ["blocks sums to 6"]),
        (lambda: PROBLEM.rotated(np.ones((10, 10))), ["rotation", "not orthogonal"]),
        (lambda: PROBLEM.rotated(np.eye(3)), ["rotation", "(3, 3)"]),
    ],
)
def test_refusals(call, words):
    with pytest.raises(sl.InputError) as caught:
        call()
    for word in words:
        assert word in str(caught.value), caught.value
