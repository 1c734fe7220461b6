"""Every method's arrays (M, b, c, o) against its recursion as the paper writes it: a slow, readable twin.

The oracle of test_exact_against_naive takes the arrays for granted; here they are walked through beside the twin, on a
quadratic with eigenvalue LAM, minimum at 0, start at 1, under the same gradient noise at each step.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import pytest

from simlab import methods
from simlab.schedules import from_array

T, LAM = 24, 0.7
RNG = np.random.default_rng(11)
NOISE = RNG.normal(size=T)
RATE = RNG.uniform(0.0, 0.3, T)
BETA = RNG.uniform(0.0, 0.98, T)
LR, MOMENTUM = from_array(RATE), from_array(BETA)

Gradient = Callable[[float, int], float]
"""(point, step) -> noisy gradient."""
Twin = Callable[[Gradient], Iterator[float]]
"""Yields the evaluated iterates w_0, w_1, .., w_T."""


def at_minimum_zero(point: float, t: int) -> float:
    return LAM * point + NOISE[t]


def walk(method) -> np.ndarray:
    """The evaluated iterates of the state-space form."""
    M, b, c = method.coefficients()
    o = method.readout()
    z, out = method.z0.copy(), [o[0] @ method.z0]
    for t in range(T):
        z = M[t] @ z - b[t] * at_minimum_zero(float(c[t] @ z), t)
        out.append(o[t + 1] @ z)
    return np.array(out)


def sgd(gradient):
    w = 1.0
    yield w
    for t in range(T):
        w = w - RATE[t] * gradient(w, t)
        yield w


def heavy_ball(gradient):
    """Polyak's two-point form: the velocity is the last displacement."""
    w = previous = 1.0
    yield w
    for t in range(T):
        w, previous = w - RATE[t] * gradient(w, t) + BETA[t] * (w - previous), w
        yield w


def nesterov(gradient):
    w = previous = 1.0
    yield w
    for t in range(T):
        ahead = w + BETA[t] * (w - previous)
        w, previous = ahead - RATE[t] * gradient(ahead, t), w
        yield w


def torch(dampening, look_ahead):
    def twin(gradient):
        w, buffer = 1.0, None
        yield w
        for t in range(T):
            g = gradient(w, t)
            buffer = g if buffer is None else BETA[t] * buffer + (1.0 - dampening) * g
            w -= RATE[t] * (g + BETA[t] * buffer if look_ahead else buffer)
            yield w

    return twin


def qhm(nu):
    def twin(gradient):
        w, buffer = 1.0, 0.0
        yield w
        for t in range(T):
            g = gradient(w, t)
            buffer = BETA[t] * buffer + (1.0 - BETA[t]) * g
            w -= RATE[t] * ((1.0 - nu) * g + nu * buffer)
            yield w

    return twin


def asgd(gamma, beta, alpha):
    def twin(gradient):
        x = v = 1.0
        yield x
        for t in range(T):
            y = alpha * x + (1.0 - alpha) * v
            g = gradient(y, t)
            x, v = y - RATE[t] * g, beta * y + (1.0 - beta) * v - gamma[t] * g
            yield x

    return twin


def acc_sgd(kappa, xi, s):
    def twin(gradient):
        """The loop of the authors' package AccSGD (accsgd.py)."""
        w = buffer = 1.0
        a = 1.0 - s * s * xi / kappa
        beta = 1.0 - a
        yield w
        for t in range(T):
            g = gradient(w, t)
            buffer = buffer * ((1.0 / beta) - 1.0)
            buffer = buffer - (kappa * RATE[t] / s) * g + w
            buffer = buffer * beta
            w = w - RATE[t] * g
            w = w * (s / (s + beta)) + buffer * (beta / (s + beta))
            yield w

    return twin


def acsgd(alpha):
    def twin(gradient):
        x = z = 1.0
        yield x
        for n in range(T):
            y = (n * x + z) / (n + 1)
            g = gradient(y, n)
            x, z = y - RATE[n] * g, z - alpha[n] * (n + 1) * g
            yield x

    return twin


def schedule_free(power, by_rate=2):
    def twin(gradient):
        """schedulefree's SGD: weight (k + 1)^r lr_max^weight_lr_power, and lr_max so far."""
        x = z = 1.0
        weight_sum = highest = 0.0
        yield x
        for k in range(T):
            y = (1.0 - BETA[k]) * z + BETA[k] * x
            highest = max(highest, RATE[k])
            weight = (k + 1) ** power * highest**by_rate
            weight_sum += weight
            z -= RATE[k] * gradient(y, k)
            share = weight / weight_sum
            x = (1.0 - share) * x + share * z
            yield x

    return twin


def dana(g3, decay, delta, g1):
    def twin(gradient):
        w, y = 1.0, 0.0
        yield w
        for t in range(T):
            g = gradient(w, t)
            y = (1.0 - delta / (delta + t)) * y + g1 * g
            w = w - RATE[t] * g - g3 * (1 + t) ** -decay * y
            yield w

    return twin


def averaged(twin, combine):
    """combine(list of iterates w_0 .. w_t, t) at every t: an average spelled out as a sum over all its members."""

    def out(gradient):
        seen = []
        for t, w in enumerate(twin(gradient)):
            seen.append(w)
            yield combine(seen, t)

    return out


def last(window, before):
    """The mean of the last iterates at the end of the run, leaving out the newest `before`; None earlier."""

    def combine(w, t):
        return np.mean(w[T + 1 - before - window : T + 1 - before]) if t == T else None

    return combine


def ema(decay, form):
    def combine(w, t):
        average = w[0]
        for s in range(1, t + 1):
            average = decay[s - 1] * average + (1.0 - decay[s - 1]) * w[s if form == "new" else s - 1]
        return average

    return combine


def corrected_ema(decay):
    """Adam's bias correction: the weights of an EMA started from nothing, divided by their sum."""

    def combine(w, t):
        if t == 0:
            return w[0]
        weights = [(1.0 - decay[s]) * np.prod(decay[s + 1 : t]) for s in range(t)]
        return np.dot(weights, w[1:]) / np.sum(weights)

    return combine


def polynomial(power):
    """Shamir and Zhang 2013: w_bar_t = (1 - (eta + 1)/(t + eta)) w_bar_(t-1) + (eta + 1)/(t + eta) w_t, t = 1, 2, .."""

    def combine(w, t):
        average = 0.0
        for s in range(1, t + 1):
            share = (power + 1.0) / (s + power)
            average = (1.0 - share) * average + share * w[s]
        return average if t else w[0]

    return combine


def merged(steps, weights):
    def combine(w, t):
        taken = [(c, w[s]) for s, c in zip(steps, weights, strict=True) if s <= t]
        return sum(c * value for c, value in taken) / sum(c for c, _ in taken) if taken else w[t]

    return combine


def lookahead(every, alpha):
    def twin(gradient):
        """Around heavy ball; the buffer is kept when the fast weights are set to the slow ones."""
        w = slow = 1.0
        v = 0.0
        yield slow
        for t in range(T):
            v = BETA[t] * v - RATE[t] * gradient(w, t)
            w += v
            if (t + 1) % every == 0:
                slow += alpha * (w - slow)
                w = slow
            yield slow

    return twin


def decayed(decay, form):
    def twin(gradient):
        """Heavy ball on w' = w + origin: decay pulls towards w_0 = 0, which is 1 below the start's error of 1."""
        w, v = 1.0, 0.0
        yield w
        for t in range(T):
            position = w - 1.0
            g = gradient(w, t) + (decay[t] * position if form == "coupled" else 0.0)
            v = BETA[t] * v - RATE[t] * g
            w = w + v - (RATE[t] * decay[t] * position if form == "decoupled" else 0.0)
            yield w

    return twin


GAMMA = RNG.uniform(0.0, 0.5, T)
DECAY = RNG.uniform(0.0, 0.3, T)
base = methods.sgd(LR)
ball = methods.heavy_ball(LR, MOMENTUM)

PAIRS = {
    "sgd": (base, sgd),
    "heavy_ball": (ball, heavy_ball),
    "nesterov": (methods.nesterov(LR, MOMENTUM), nesterov),
    "torch_momentum": (methods.torch_momentum(LR, MOMENTUM), torch(0.0, False)),
    "torch_dampened": (methods.torch_momentum(LR, MOMENTUM, dampening=0.4), torch(0.4, False)),
    "torch_nesterov": (methods.torch_momentum(LR, MOMENTUM, nesterov=True), torch(0.0, True)),
    "qhm": (methods.qhm(LR, MOMENTUM, 0.6), qhm(0.6)),
    "asgd": (methods.asgd(LR, from_array(GAMMA), 0.3), asgd(GAMMA, 0.3, 1.0 / 1.3)),
    "asgd_alpha": (methods.asgd(LR, from_array(GAMMA), 0.3, alpha=0.6), asgd(GAMMA, 0.3, 0.6)),
    "asgd_following": (methods.asgd(LR, 2.0 * RATE.max(), 0.3), asgd(2.0 * RATE, 0.3, 1.0 / 1.3)),
    "acc_sgd": (methods.acc_sgd(LR, 12.0, 2.0), acc_sgd(12.0, 2.0, 0.7)),
    "acsgd": (methods.acsgd(LR, from_array(0.1 * GAMMA)), acsgd(0.1 * GAMMA)),
    "schedule_free": (methods.schedule_free(LR, MOMENTUM), schedule_free(0)),
    "schedule_free_power": (methods.schedule_free(LR, MOMENTUM, power=2), schedule_free(2)),
    "schedule_free_equal": (methods.schedule_free(LR, MOMENTUM, weight_lr_power=0), schedule_free(0, 0)),
    "schedule_free_rates": (methods.schedule_free(LR, MOMENTUM, power=1, weight_lr_power=3.5), schedule_free(1, 3.5)),
    "dana": (methods.dana(LR, 0.1, 0.5, 4.0, 0.8), dana(0.1, 0.5, 4.0, 0.8)),
    "ema": (methods.ema(base, MOMENTUM), averaged(sgd, ema(BETA, "new"))),
    "ema_old": (methods.ema(base, MOMENTUM, form="old"), averaged(sgd, ema(BETA, "old"))),
    "ema_corrected": (methods.ema(base, MOMENTUM, bias_corrected=True), averaged(sgd, corrected_ema(BETA))),
    "average": (methods.average(base, 5), averaged(sgd, lambda w, t: np.mean(w[5:]) if t >= 5 else w[t])),
    "average_old": (
        methods.average(base, 5, form="old"),
        averaged(sgd, lambda w, t: np.mean(w[5:t]) if t > 5 else w[max(t - 1, 0)]),
    ),
    "tail_average": (methods.tail_average(base, 7), averaged(sgd, last(7, 0))),
    "tail_fraction": (methods.tail_average(base, 0.5), averaged(sgd, last(12, 0))),
    "tail_old": (methods.tail_average(base, 7, form="old"), averaged(sgd, last(7, 1))),
    "polynomial": (methods.polynomial_average(base, 2.5), averaged(sgd, polynomial(2.5))),
    "merge": (methods.merge(base, [3, 8, 20, T]), averaged(sgd, merged([3, 8, 20, T], [1, 1, 1, 1]))),
    "merge_weighted": (
        methods.merge(base, [0, 9, 23], [0.5, -0.2, 0.9]),
        averaged(sgd, merged([0, 9, 23], [0.5, -0.2, 0.9])),
    ),
    "lookahead": (methods.lookahead(ball, 5, 0.4), lookahead(5, 0.4)),
    "decay": (methods.weight_decay(ball, from_array(DECAY)), decayed(DECAY, "coupled")),
    "decoupled": (methods.weight_decay(ball, from_array(DECAY), form="decoupled"), decayed(DECAY, "decoupled")),
}


@pytest.mark.parametrize("name", PAIRS)
def test_arrays_are_the_recursion_of_the_paper(name):
    method, twin = PAIRS[name]
    want = [w for w in enumerate(twin(at_minimum_zero)) if w[1] is not None]
    got = walk(method)
    assert want[-1][0] == T
    np.testing.assert_allclose([got[t] for t, _ in want], [w for _, w in want], rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("name", PAIRS)
def test_coefficients_do_not_depend_on_how_a_run_is_cut(name):
    method = PAIRS[name][0]
    whole, rows = method.coefficients(), method.readout()
    for a, z in ((0, 1), (1, 7), (7, T)):
        for part, full in zip(method.coefficients(a, z), whole, strict=True):
            np.testing.assert_array_equal(part, full[a:z])
        np.testing.assert_array_equal(method.readout(a, z), rows[a:z])


@pytest.mark.parametrize("name", PAIRS)
def test_shapes(name):
    method = PAIRS[name][0]
    k = method.state_size
    M, b, c = method.coefficients()
    assert (M.shape, b.shape, c.shape) == ((T, k, k), (T, k), (T, k))
    assert method.readout().shape == (T + 1, k)
    assert method.z0.shape == (k,)


@pytest.mark.parametrize("weight_decay", [0.0, 0.1])
@pytest.mark.parametrize("options", [{}, {"dampening": 0.4}, {"nesterov": True}], ids=str)
def test_torch_momentum_is_what_pytorch_does(options, weight_decay):
    torch_module = pytest.importorskip("torch")
    method = methods.weight_decay(methods.torch_momentum(LR, 0.8, **options), weight_decay)
    # In PyTorch weights decay towards 0 = w_0, so that the minimum lies at -1 and the error is w + 1.
    w = torch_module.zeros(1, dtype=torch_module.float64, requires_grad=True)
    optimiser = torch_module.optim.SGD([w], lr=1.0, momentum=0.8, weight_decay=weight_decay, **options)
    want = [1.0]
    for t in range(T):
        optimiser.param_groups[0]["lr"] = RATE[t]
        w.grad = torch_module.tensor([at_minimum_zero(w.item() + 1.0, t)], dtype=torch_module.float64)
        optimiser.step()
        want.append(w.item() + 1.0)
    np.testing.assert_allclose(walk(method), want, rtol=1e-12, atol=1e-14)
