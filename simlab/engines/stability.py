"""Mean-square stability and noise floor of any linear method, in closed form where there is one.

With hyper-parameters frozen, let G_i = sum_j (c^T A_i^j b)^2, A_i = M - lam_i b c^T, be the response of the gradient
point to unit gradient noise. On linear regression the second moments are stable if and only if every A_i contracts,
every self_noise_i G_i / B < 1, and the mass

    K = sum_i (lam_i^2 G_i / B) / (1 - (kurtosis_i - 2) lam_i^2 G_i / B)

is below 1; the stationary risk where the gradient is taken is then 1/2 sigma^2 K / (1 - K). For SGD,
lam^2 G / B = lr lam / (B (2 - lr lam)); `simlab.methods.response` has G of the others.

Source: the mass for SGD and momentum agrees with Wang, Huang, Li and Wu 2026, theorems B.2, B.4 and B.6.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from simlab.arrays import FloatArray
from simlab.doors import door
from simlab.errors import InputError, check_count, check_kind
from simlab.methods.base import Method, require_linear
from simlab.methods.response import active_states, noise_response, reached_states, stationary
from simlab.problems.base import DiagonalProblem, Modes
from simlab.schedules import Schedule

__all__ = ["Stability", "second_moment_radius", "stability"]


MAX_DENSE = 512
WALK = 1 << 16
"""Steps of a schedule that are looked at to find its extremes."""
BETWEEN = 17
"""Steps beside these at which the mass is looked at."""


@dataclass(frozen=True)
class Stability:
    """What `stability` answers.

    mass : K; below 1 where stable (inf where a single mode is unstable already; NaN for a period).
    stable : whether the second moments contract.
    learning_rate : the learning rate at the frozen step; critical_lr : the largest stable one, all else equal.
    noise_floor : stationary risk of the evaluated iterate (inf if unstable; NaN where it never settles, or for a
        period).
    spectral_radius : of the second-moment operator over the period; None for frozen hyper-parameters.
    """

    mass: float
    stable: bool
    learning_rate: float
    critical_lr: float
    noise_floor: float
    spectral_radius: float | None = None


@door
def stability(
    problem: DiagonalProblem, method: Method, step: int | None = None, period: int | None = None
) -> Stability:
    """Mean-square stability of `method` on `problem` with all hyper-parameters frozen at `step`.

    By default at the worst step: where the mass is largest, of the steps where the learning rate or the momentum peaks
    or the batch is smallest, and of some in between (a run is unstable for as long as one is, whatever the others are).

    With `period`, the spectral radius of the second-moment operator over the steps 0 .. period - 1 instead, for
    schedules that repeat: there a pointwise K < 1 is neither necessary nor sufficient. `critical_lr` is then the
    largest peak learning rate for which the radius stays below 1.
    """
    if not isinstance(problem, DiagonalProblem):
        raise InputError(
            f" is {type(problem).__name__}; stability needs a problem with independent coordinates.", "problem"
        )
    check_kind("method", method, Method, "a method", "give the one that will run, such as methods.sgd(schedule)")
    require_linear(method, "stability")
    if period is not None:
        return _periodic(method, problem.modes(), check_count("period", period, high=method.length))
    modes = problem.modes()
    at = _worst_step(method, modes) if step is None else check_count("step", step, low=0, high=method.length - 1)
    lr = float(method.learning_rate(at))
    mass, response = _mass(method, modes, at)
    stable = mass < 1.0
    floor = _noise_floor(method, modes, at, mass, response) if stable else np.inf
    critical = _critical_factor(method, modes, at) * lr if lr > 0.0 else np.nan
    return Stability(mass, stable, lr, critical, floor)


def _periodic(method: Method, modes: Modes, period: int) -> Stability:
    peak = float(method.learning_rate.values(0, period).max())
    radius = second_moment_radius(method, modes, 0, period)

    def unstable(factor: float) -> bool:
        return not second_moment_radius(method.rescale(factor), modes, 0, period) < 1.0

    critical = _largest_stable(unstable, rtol=1e-9) * peak if peak > 0.0 else np.nan
    return Stability(np.nan, radius < 1.0, peak, critical, np.nan, radius)


def _mass(method: Method, modes: Modes, at: int) -> tuple[float, FloatArray]:
    """(K, share): share_i = (drive_i G_i / B) / (1 - self_noise_i G_i / B), the sum of which is K where modes are
    coupled.
    """
    M, b, c = (part[0] for part in method.coefficients(at, at + 1))
    mask = active_states(M, b, c)
    if not mask.any():
        return 0.0, np.zeros(modes.eigenvalues.size)
    b, lam = b * modes.unit, modes.eigenvalues / modes.unit
    response = noise_response(M[np.ix_(mask, mask)], b[mask], c[mask], lam)
    if np.any(np.isinf(response)):
        return np.inf, response
    per_batch = response * method.inverse_batch(at, at + 1)[0]
    left = 1.0 - modes.self_noise * per_batch
    if np.any(left <= 0.0):
        return np.inf, response
    share = modes.drive * per_batch / left
    return float(modes.coupling * share.sum()), share


def _noise_floor(method: Method, modes: Modes, at: int, mass: float, share: FloatArray) -> float:
    """Stationary risk of the evaluated iterate: noise power per mode times o^T X o."""
    M, b, c = (part[0] for part in method.coefficients(at, at + 1))
    o = method.readout(at, at + 1)[0]
    mask = reached_states(M, b, c, o)
    if modes.noise == 0.0 or not mask.any():
        return 0.0
    b, lam = b * modes.unit, modes.eigenvalues / modes.unit
    X = stationary(M[np.ix_(mask, mask)], b[mask], c[mask], lam)
    if np.any(np.isinf(X)):
        return float("nan")
    spread = np.einsum("i,nij,j->n", o[mask], X, o[mask])
    inverse_batch = float(method.inverse_batch(at, at + 1)[0])
    total = modes.noise * share.sum() / (1.0 - mass)
    level = modes.coupling * total + modes.noise
    at_gradient = level * share
    power = inverse_batch * (modes.self_noise * at_gradient + modes.drive * level)
    return float(0.5 * (power @ spread))


def _worst_step(method: Method, modes: Modes) -> int:
    """The step of the largest mass among those where it may be; where the learning rate peaks, unless one is larger."""
    steps = [method.learning_rate.peak_step()]
    momentum = method.schedule("momentum")
    if momentum is not None:
        steps.append(_extreme_step(momentum, 1.0))
    if isinstance(method.batch, Schedule):
        steps.append(_extreme_step(method.batch, -1.0))
    last = method.length - 1
    steps += [last * j // (BETWEEN - 1) for j in range(BETWEEN)]
    worst, most, seen = steps[0], -1.0, set()
    for step in steps:
        one = method.coefficients(step, step + 1)
        same = b"".join(np.ascontiguousarray(part).tobytes() for part in (*one, method.inverse_batch(step, step + 1)))
        if same not in seen:
            seen.add(same)
            mass = _mass(method, modes, step)[0]
            if mass > most * (1.0 + 1e-9):
                worst, most = step, mass
    return worst


def _extreme_step(schedule: Schedule, sign: float) -> int:
    """The first step at which sign * schedule is largest, as far as a look at WALK equal parts of it tells.

    Where there are more steps than that, it looks again between the neighbours of the largest that it saw.
    """
    low, high = 0, schedule.length
    while True:
        count = min(high - low, WALK)
        steps = np.array([low + (high - 1 - low) * j // max(count - 1, 1) for j in range(count)], dtype=np.int64)
        best = int(np.argmax(sign * schedule(steps)))
        if high - low <= WALK:
            return int(steps[best])
        low, high = int(steps[max(best - 1, 0)]), int(steps[min(best + 1, count - 1)]) + 1


def _critical_factor(method: Method, modes: Modes, at: int) -> float:
    return _largest_stable(lambda factor: not _mass(method.rescale(factor), modes, at)[0] < 1.0, rtol=1e-12)


def _largest_stable(unstable: Callable[[float], bool], rtol: float) -> float:
    """The factor at which stability is lost, by doubling and bisection from 1; inf if none is found up to 2^200."""
    low, high = 1.0, 1.0
    if unstable(1.0):
        while unstable(low):
            high, low = low, 0.5 * low
            if low < 2.0**-200:
                return 0.0
    else:
        while not unstable(high):
            low, high = high, 2.0 * high
            if high > 2.0**200:
                return float("inf")
    while high - low > rtol * high:
        middle = 0.5 * (low + high)
        if unstable(middle):
            high = middle
        else:
            low = middle
    return 0.5 * (low + high)


def second_moment_radius(method: Method, modes: Modes, start: int, stop: int) -> float:
    """Spectral radius of the noiseless second-moment operator over the steps start .. stop - 1, active states only.

    Dense for up to 512 moments, by Arnoldi iteration on the compiled kernel beyond.
    """
    size, apply = _propagator(method, modes, start, stop)
    if size <= MAX_DENSE:
        matrix = np.stack([apply(unit) for unit in np.eye(size)], axis=1)
        if not np.all(np.isfinite(matrix)):
            return float("inf")
        return float(np.abs(np.linalg.eigvals(matrix)).max())
    from scipy.sparse.linalg import LinearOperator, eigs

    operator = LinearOperator((size, size), matvec=lambda v: apply(np.ravel(v)), dtype=np.float64)
    values = eigs(operator, k=1, which="LM", v0=np.ones(size), tol=1e-10, return_eigenvectors=False)
    return float(np.abs(values).max())


def _propagator(method: Method, modes: Modes, start: int, stop: int) -> tuple[int, Callable[[FloatArray], FloatArray]]:
    """(number of moments, map of a vector of moments over the steps), by the compiled kernel without noise."""
    from simlab.kernels.moments.chunk import advance
    from simlab.kernels.moments.layout import NodeArrays, scratch

    M, b, c = method.coefficients(start, stop)
    mask = np.any([active_states(*step) for step in zip(M, b, c, strict=True)], axis=0)
    M = np.ascontiguousarray(M[:, mask][:, :, mask])
    b, c = np.ascontiguousarray(b[:, mask] * modes.unit), np.ascontiguousarray(c[:, mask])
    nodes = NodeArrays(modes)
    n, k = nodes.size, int(mask.sum())
    entries = k * (k + 1) // 2
    silent = (nodes.lam, nodes.self_noise, nodes.ratio, nodes.drive, 0.0, nodes.coupling)
    share, nowhere = method.inverse_batch(start, stop), np.full(stop - start, -1, dtype=np.int64)
    labels, out = np.zeros(nodes.lam.size, dtype=np.int64), np.zeros((1, 2, 1))

    def apply(vector: FloatArray) -> FloatArray:
        U = np.zeros((2, entries, nodes.lam.size))
        U[0, :, :n] = vector.reshape(entries, n)
        advance(M, b, c, c, share, *silent, U, np.inf, nowhere, labels, out, scratch(k))
        return U[0, :, :n].ravel()

    return entries * n, apply
