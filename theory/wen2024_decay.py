"""Decays in a river valley: the optimal one for a single hill, for a spread of hills, and that of WSD-S.

One hill of curvature g and noise s2 a step: v <- (1 - eta g)^2 v + eta^2 s2. As a function of eta the right-hand side
is least at eta = g v / (g^2 v + s2), where 1/v grows by g^2/s2; that least value grows with v, so that being greedy is
jointly optimal. Along it 1/eta = g + s2/(g v), hence 1/eta_{t+1} = 1/eta_t + g. Derived (notes, section 1.2).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from simlab.theory.statement import require, theorem

__all__ = [
    "Decay",
    "SpreadDecay",
    "river_optimal_decay",
    "river_spread_decay",
    "river_variance_lower",
    "river_wsd_s_decay",
]

FloatArray = npt.NDArray[np.float64]
_HILL = "curvature, noise, variance > 0"


class Decay(NamedTuple):
    """Learning rates (T,) and the variance of the hill before each step and at the end (T + 1,)."""

    lr: FloatArray
    variance: FloatArray


class SpreadDecay(NamedTuple):
    """Learning rates (T,), the loss at the end (hills minus gain along the river), and the sweeps it took."""

    lr: FloatArray
    loss: float
    sweeps: int


@theorem(
    kind="exact",
    about="the decay that leaves the least loss on one hill, and the variance along it",
    source="simlab",
    number="optimal decay of one hill",
    assumptions=(_HILL, "steps >= 0"),
    provenance="derived",
)
def river_optimal_decay(curvature: float, noise: float, variance: float, steps: int) -> Decay:
    """eta_t = 1 / (1/eta_0 + g t), 1/eta_0 = g + s2/(g v_0); v_t = 1 / (1/v_0 + t g^2/s2).

    From stationarity at a learning rate e, v_0 = e s2 / (g (2 - e g)), the first learning rate is e/2 exactly: at once
    to half, then one over the step. `schedules.inverse_time` with peak e/2 and decay e g/2. Wen et al. 2024 choose a
    decay that is linear in 1/eta as well (`river_wsd_s_decay`), without the halving.
    """
    _one_hill(curvature, noise, variance, steps)
    t = np.arange(steps + 1.0)
    # Everything divided by g: no 1/v that overflows, and e/2 comes out to the last bit or two.
    first = 1.0 / (curvature + noise / (curvature * variance))
    lr = first / (1.0 + first * curvature * t[:-1])
    return Decay(lr, variance / (1.0 + t * (curvature**2 * variance / noise)))


@theorem(
    kind="lower",
    about="variance of one hill after T steps of SGD under any schedule",
    source="simlab",
    number="optimal decay of one hill (lower bound)",
    assumptions=(_HILL, "steps >= 0"),
    provenance="derived",
)
def river_variance_lower(curvature: float, noise: float, variance: float, steps: npt.ArrayLike) -> FloatArray:
    """v_T >= 1 / (1/v_0 + T g^2/s2), whatever the T learning rates, negative ones too; shape of `steps`.

    Attained by `river_optimal_decay` alone. The bound falls like 1/T: no decay over T steps can do better than a T-th
    of what a unit of information a step allows.
    """
    T = np.asarray(steps, dtype=np.float64)
    _one_hill(curvature, noise, variance, T)
    out: FloatArray = variance / (1.0 + T * (curvature**2 * variance / noise))
    return out


@theorem(
    kind="lower",
    about="loss after a decay in a straight valley with a spread of curvatures, under any schedule near the optimum",
    source="simlab",
    number="optimal decay of a spread of hills",
    assumptions=("hills, noise > 0, variance >= 0", "fall >= 0", "cap > 0", "steps >= 1"),
    provenance="derived",
)
def river_spread_decay(
    hills: npt.ArrayLike,
    noise: npt.ArrayLike,
    variance: npt.ArrayLike,
    steps: int,
    fall: float = 0.0,
    cap: float = np.inf,
    tolerance: float = 1e-13,
    most_sweeps: int = 2000,
) -> SpreadDecay:
    """Schedule 0 <= eta_t <= cap that minimises 1/2 sum_i lam_i v_i(T) - fall sum_t eta_t, found numerically.

    hills, noise, variance : (d,) curvatures, noise variances a step, v_i(0).  fall : s^2, loss gained along the river
    per unit of learning rate.  cap : on the learning rate; 2 / lam_max where the river is to be kept in bounds.

    With p_i(t) = d loss / d v_i(t), p_i(T) = lam_i/2, p_i(t) = (1 - eta_t lam_i)^2 p_i(t+1), the loss is a parabola in
    each eta_t by itself, least at

        eta_t = (sum_i p_i(t+1) lam_i v_i(t) + fall/2) / sum_i p_i(t+1) (lam_i^2 v_i(t) + c_i),

    cut to [0, cap]. A sweep sets all of them in order of time, O(d T), and never raises the loss; it ends when no eta
    moves by more than `tolerance` of the largest. For one hill the first sweep is the greedy rule, which is optimal. A
    stationary point is what is found; that it is a minimum, the checks measure on random and on near-by schedules.
    """
    lam, c, v0 = np.broadcast_arrays(*(np.asarray(a, dtype=np.float64) for a in (hills, noise, variance)))
    ok = lam.ndim == 1 and np.all(lam > 0.0) and np.all(c > 0.0) and np.all(v0 >= 0.0)
    require(ok, "hills, noise > 0, variance >= 0", hills=lam, noise=c, variance=v0)
    require(fall >= 0.0, "fall >= 0", fall=fall)
    require(cap > 0.0, "cap > 0", cap=cap)
    require(steps >= 1, "steps >= 1", steps=steps)
    lr = np.full(steps, min(cap, 1.0 / float(lam.max())) / 2.0)
    sweeps, moved = 0, np.inf
    while sweeps < most_sweeps and moved > tolerance * float(lr.max(initial=1e-300)):
        before = lr.copy()
        loss = _sweep(lam, c, v0, lr, fall, cap)
        moved = float(np.max(np.abs(lr - before)))
        sweeps += 1
    return SpreadDecay(lr, loss, sweeps)


def _sweep(lam: FloatArray, c: FloatArray, v0: FloatArray, lr: FloatArray, fall: float, cap: float) -> float:
    """One pass over the steps; changes lr (T,) in place and returns the loss."""
    price = np.empty((lr.size, lam.size))
    later = 0.5 * lam
    for t in range(lr.size - 1, -1, -1):
        price[t] = later
        later = (1.0 - lr[t] * lam) ** 2 * later
    v = v0.astype(np.float64)
    for t, p in enumerate(price):
        best = (p @ (lam * v) + 0.5 * fall) / (p @ (lam**2 * v + c))
        lr[t] = min(max(float(best), 0.0), cap)
        v = (1.0 - lr[t] * lam) ** 2 * v + lr[t] ** 2 * c
    return float(0.5 * lam @ v - fall * lr.sum())


@theorem(
    kind="exact",
    about="learning rates of the decay of WSD-S, linear in one over the learning rate",
    source="wen2024",
    number="WSD-S decay",
    assumptions=("0 < lowest <= peak", "steps >= 1"),
    provenance="reconstructed",
)
def river_wsd_s_decay(peak: float, lowest: float, steps: int) -> FloatArray:
    """eta_j = 1 / (u/lowest + (1-u)/peak), u = j/n, j = 0 .. n-1, shape (n,).

    Form as in Levanter and pytorch-accelerated (default lowest = peak/10), the paper's text not at hand. It is the
    optimal decay of a hill of curvature (1/lowest - 1/peak)/n from v_0 with eta_0 = peak, which a hill in the stable
    phase has not: there the optimum begins at peak/2.
    """
    require(0.0 < lowest <= peak, "0 < lowest <= peak", lowest=lowest, peak=peak)
    require(steps >= 1, "steps >= 1", steps=steps)
    u = np.arange(steps, dtype=np.float64) / steps
    out: FloatArray = 1.0 / (u / lowest + (1.0 - u) / peak)
    return out


def _one_hill(curvature: float, noise: float, variance: float, steps: npt.ArrayLike) -> None:
    ok = curvature > 0.0 and noise > 0.0 and variance > 0.0
    require(ok, _HILL, curvature=curvature, noise=noise, variance=variance)
    require(np.asarray(steps) >= 0, "steps >= 0", steps=steps)
