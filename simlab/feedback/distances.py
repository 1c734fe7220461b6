"""Learning rates from an estimate of how far the optimum is: D-adaptation and Prodigy."""

from __future__ import annotations

import math

from simlab.arrays import FloatArray
from simlab.doors import door
from simlab.errors import InputError, brief, check_number
from simlab.feedback.base import Feedback, Summary
from simlab.kernels import dials

__all__ = ["d_adaptation", "d_adaptation_adam", "prodigy"]


def _d_adaptation(at: Summary, memory: FloatArray, gains: FloatArray) -> float:
    if at.step == 0.0:
        memory[0], memory[1] = gains[0], math.sqrt(at.square)
    rate = memory[0] * at.base / memory[1] if memory[1] > 0.0 else 0.0
    memory[2] += rate * at.back
    length = math.sqrt(max(at.distance**2 + 2.0 * rate * at.back + rate * rate * at.square, 0.0))
    if length > 0.0:
        memory[0] = max(memory[0], min(2.0 * memory[2] / length, gains[1] * memory[0]))
    return float(rate)


def _d_adaptation_momentum(
    at: Summary,
    memory: FloatArray,
    gains: FloatArray,
    field: FloatArray,
    gradient: FloatArray,
    away: FloatArray,
    p: FloatArray,
) -> float:
    """s <- s + rate g; w <- momentum w + (1 - momentum) (w_0 - s): the gradient is replaced by what w loses."""
    if at.step == 0.0:
        memory[0], memory[1] = gains[0], math.sqrt(at.square)
    rate = memory[0] * at.base / memory[1] if memory[1] > 0.0 else 0.0
    length = 0.0
    for i in range(gradient.size):
        memory[2] += rate * gradient[i] * field[0, i]
        field[0, i] += rate * gradient[i]
        length += field[0, i] ** 2
        gradient[i] = (1.0 - gains[2]) * (field[0, i] - away[i])
    if length > 0.0:
        memory[0] = max(memory[0], min(2.0 * memory[2] / math.sqrt(length), gains[1] * memory[0]))
    return 1.0


@door
def d_adaptation(d0: float = 1e-6, growth: float = math.inf, momentum: float = 0.0) -> Feedback:
    """lr_t = d_t lr / |g_0|, d a growing lower bound on |w_0 - w*|: d^ = 2 sum lr_t <g_t, w_0 - w_t> / |w_0 - w_(t+1)|.

    The SGD form of Defazio and Mishchenko 2023 (arXiv 2301.07733), as their code has it; d grows by at most `growth` in
    a step. The schedule is the multiplier lr, 1 as a rule. It is a rate for Lipschitz losses: on a smooth one
    |w_0 - w*| / |g_0| may be far above 2 / lam_max. With `momentum` w <- momentum w + (1 - momentum) (w_0 - s), s the
    sum of lr_t g_t, whose length is then that of the bound: for `simlab.sample` and `simlab.descend`, around sgd.
    """
    gains = (check_number("d0", d0, low=0.0, open_low=True), _growth(growth))
    if check_number("momentum", momentum, low=0.0, high=1.0) == 0.0:
        return Feedback("d_adaptation", _d_adaptation, gains)
    if momentum == 1.0:
        raise InputError(" = 1 would never move; give a number below 1.", "momentum")
    return Feedback(
        "d_adaptation",
        _d_adaptation_momentum,
        (*gains, float(momentum)),
        fields=("sum of steps",),
        whole=True,
        around=(dials.PLAIN,),
    )


def _growth(value: float) -> float:
    if isinstance(value, float) and value == math.inf:
        return value
    return check_number("growth", value, low=1.0, remedy="give 1.02, say, or math.inf")


def _d_adaptation_adam(
    at: Summary,
    memory: FloatArray,
    gains: FloatArray,
    field: FloatArray,
    gradient: FloatArray,
    away: FloatArray,
    p: FloatArray,
) -> float:
    if at.step == 0.0:
        memory[0] = gains[0]
    beta2, root = p[dials.B2], math.sqrt(p[dials.B2])
    rate = memory[0] * at.base * (p[dials.CM] / p[dials.CV] if gains[2] > 0.0 else 1.0)
    along, length = 0.0, 0.0
    for i in range(gradient.size):
        g = gradient[i]
        along += rate * g * field[0, i] / (math.sqrt(field[1, i]) + p[dials.EPS])
        field[0, i] = root * field[0, i] + rate * (1.0 - root) * g
        field[1, i] = beta2 * field[1, i] + (1.0 - beta2) * g * g
        length += abs(field[0, i])
    memory[1] = root * memory[1] + (1.0 - root) * along
    if length > 0.0 and at.base > 0.0:
        memory[0] = max(memory[0], min(memory[1] / ((1.0 - root) * length), gains[1] * memory[0]))
    # m is a mean of rate g, so that the step is m / (sqrt(v) + eps) itself; no correction for the start of either.
    p[dials.A1] *= rate
    p[dials.DECAY] *= rate
    p[dials.CM] = p[dials.CV] = 1.0
    return 1.0


@door
def d_adaptation_adam(d0: float = 1e-6, growth: float = math.inf, bias_correction: bool = False) -> Feedback:
    """D-adaptation around adam or adamw: rate d lr, s and r means of rate g and of rate <g, s / (sqrt(v) + eps)> with
    sqrt(beta2), d^ = r / ((1 - sqrt(beta2)) |s|_1); m a mean of rate g, the step m / (sqrt(v) + eps).

    Defazio and Mishchenko 2023 (arXiv 2301.07733), as their code has it; d never falls and grows by at most `growth` in
    a step. The schedule is the multiplier lr. For `simlab.sample` and `simlab.descend`: |s|_1 asks what the weights
    are.
    """
    gains = (check_number("d0", d0, low=0.0, open_low=True), _growth(growth), float(bool(bias_correction)))
    fields = ("mean of steps", "mean square of gradients")
    return Feedback("d_adaptation_adam", _d_adaptation_adam, gains, fields=fields, whole=True, around=(dials.ADAM,))


def _prodigy(
    at: Summary,
    memory: FloatArray,
    gains: FloatArray,
    field: FloatArray,
    gradient: FloatArray,
    away: FloatArray,
    p: FloatArray,
) -> float:
    d0, coefficient, growth, beta3 = gains[0], gains[1], gains[2], gains[3]
    if at.step == 0.0:
        memory[0] = memory[1] = d0
    d = memory[0]
    if beta3 < 0.0:
        beta3 = math.sqrt(p[dials.B2])
    rate = d * at.base * (p[dials.CM] / p[dials.CV] if gains[4] > 0.0 else 1.0)
    fresh = d / d0 * (d if gains[5] > 0.0 else rate)
    along, length = 0.0, 0.0
    for i in range(gradient.size):
        along += gradient[i] * away[i]
        field[0, i] = beta3 * field[0, i] + fresh * gradient[i]
        length += abs(field[0, i])
    memory[2] = beta3 * memory[2] + d / d0 * rate * along
    if length == 0.0:
        return 0.0
    if at.base > 0.0:
        found = coefficient * memory[2] / length
        if d == d0:
            memory[0] = max(d, found)
        memory[1] = max(memory[1], found)
        memory[0] = min(memory[1], memory[0] * growth)
    # m and v are means of d g and d^2 g^2, with eps of the same unit, and no correction for the start of either.
    p[dials.A1] *= d
    p[dials.A2] *= d * d
    p[dials.EPS] *= memory[0]
    p[dials.CM] = p[dials.CV] = 1.0
    return float(rate)


@door
def prodigy(
    d0: float = 1e-6,
    *,
    coefficient: float = 1.0,
    growth: float = math.inf,
    beta3: float | None = None,
    bias_correction: bool = False,
    safeguard_warmup: bool = False,
) -> Feedback:
    """Prodigy around adam or adamw: rate d lr, means of d g and d^2 g^2 in the place of those of g and g^2.

    With beta3 (sqrt(beta2) where None) r <- beta3 r + d / d0 rate <g, w_0 - w>, s <- beta3 s + d / d0 rate g (rate: d
    where `safeguard_warmup`), d^ = coefficient r / |s|_1, d <- the largest d^ so far, growing by at most `growth` in a
    step. The schedule is the multiplier lr, 1 as a rule; decay is adamw's. Source: Mishchenko and Defazio 2023 (arXiv
    2306.06101), as their code has it. For `simlab.sample` and `simlab.descend`: |s|_1 asks what the weights
    are. Without noise d ends at a mean of |w_0 - w*|, weighted by |s|, times a number near 0.35 (lam_i = 1/i, 200
    weights, all equally far: 0.353 of the distance); with a small batch the first gradients decide, and d differs by a
    decade from run to run.
    """
    if beta3 is not None and not 0.0 <= check_number("beta3", beta3) < 1.0:
        raise InputError(f" = {brief(beta3)} is outside [0, 1); give a number of at least 0 and below 1.", "beta3")
    gains = (
        check_number("d0", d0, low=0.0, open_low=True),
        check_number("coefficient", coefficient, low=0.0, open_low=True),
        _growth(growth),
        -1.0 if beta3 is None else float(beta3),
        float(bool(bias_correction)),
        float(bool(safeguard_warmup)),
    )
    return Feedback("prodigy", _prodigy, gains, fields=("weighted gradients",), whole=True, around=(dials.ADAM,))
