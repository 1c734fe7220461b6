"""Optimal schedules of SGD's last iterate: one eigenvalue exactly, any spectrum in closed form.

In intrinsic time u = sum lr, with F(u) = sum lam_i e_i^2 e^(-2 lam_i u) and K(x) = sum lam_i^2 e^(-2 lam_i x), the risk
is to first order [F(S) + (1/B) int K(S - u) (F(u) + sigma^2) lr du] / 2 (Bordelon and Mori 2026, arXiv 2602.04774; Li
et al. 2026, 2602.06797; Wang, Liu and Chen 2026, 2609.40148, section 5.3). Noise that comes back multiplies lr by
1 / (1 - lr / lr_crit); least over lr(u) at fixed S and T = int du / lr, point by point: 1/lr = 1/lr_crit + q/kappa,
q^2 = K(S - u) (F(u) + sigma^2), kappa = int q du / (T - S / lr_crit). The additive critical rate is derived here.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from simlab.theory.statement import require, theorem
from simlab.theory.stationary import critical_lr

__all__ = ["greedy_rates", "optimal_exponent", "optimal_risk"]

FloatArray = npt.NDArray[np.float64]

GRID = 400
"""Points of u on either side of the middle of a run, geometric from both ends."""


@theorem(
    kind="exact",
    about="the optimal learning rates of SGD's last iterate where all eigenvalues are equal",
    source="simlab",
    number="one eigenvalue",
    assumptions=("eigenvalue > 0", "dim >= 1", "batch >= 1, kurtosis >= 1", "initial risk > 0 or noise"),
    provenance="derived",
)
def greedy_rates(
    eigenvalue: float,
    dim: int,
    initial_risk: float,
    noise_variance: float,
    steps: int,
    batch: float = 1.0,
    kurtosis: float = 3.0,
) -> FloatArray:
    """z_t / lam with z = s / (m s + d sigma^2 / B), m = 1 + (kurtosis - 2 + d) / B, shape (steps,).

    With s twice the risk, s <- s ((1 - z)^2 + (kurtosis - 2) z^2 / B) + d z^2 (s + sigma^2) / B is a parabola in z =
    lr lam, whose least value grows with s: to be greedy is optimal.
    """
    require(eigenvalue > 0.0, "a positive eigenvalue", eigenvalue=eigenvalue)
    require(dim >= 1, "at least one mode", dim=dim)
    require(batch >= 1.0 and kurtosis >= 1.0, "batch >= 1 and kurtosis >= 1", batch=batch, kurtosis=kurtosis)
    positive = initial_risk >= 0.0 and noise_variance >= 0.0 and initial_risk + noise_variance > 0.0
    require(positive, "an initial risk, or noise", initial_risk=initial_risk, noise_variance=noise_variance)
    s, out = 2.0 * initial_risk, np.empty(steps)
    noise = dim * noise_variance / batch
    for t in range(steps):
        scale = (1.0 + (kurtosis - 2.0 + dim) / batch) * s + noise
        z = s / scale
        s *= 1.0 - z
        out[t] = z / eigenvalue
    return out


@theorem(
    kind="asymptotic",
    about="least risk of SGD's last iterate over all schedules of T steps on an easy power law, Gaussian data",
    source="simlab",
    number="the law of a spectrum, short form",
    assumptions=("source > capacity > 1", "dim >= 1", "noise_variance > 0", "steps >= 1", "batch >= 1"),
    provenance="derived",
)
def optimal_risk(
    capacity: float, source: float, dim: int, noise_variance: float, steps: npt.ArrayLike, batch: float = 1.0
) -> FloatArray:
    """min over S of [F(S) + (1/B) (int q du)^2 / (T - S / lr_crit)] / 2 (see the module), shape of `steps`.

    lam_i = i^-capacity, lam_i e_i^2 = i^-source. A quasi-static closure and no bound: some 5 % too large at T = 10^3,
    2 % at 10^5. In the hard phase, source < capacity, rates stay near the critical one, whose noise comes back too
    slowly for a closure at once: 5 to 10 % at every T that was tried.
    """
    T = np.asarray(steps, dtype=np.float64)
    require(source > capacity > 1.0, "source > capacity > 1", capacity=capacity, source=source)
    require(dim >= 1, "at least one mode", dim=dim)
    require(noise_variance > 0.0, "label noise", noise_variance=noise_variance)
    require(T >= 1.0, "at least one step", steps=T)
    require(batch >= 1.0, "a batch of at least 1", batch=batch)
    i = np.arange(1.0, dim + 1.0)
    lam, signal = i**-capacity, i**-source
    top = float(critical_lr(lam, batch))
    out = [_least(lam, signal, noise_variance, float(each), 1.0 / batch, top) for each in T.ravel()]
    return np.array(out).reshape(T.shape)


@theorem(
    kind="scaling",
    about="exponent of the least risk of SGD's last iterate over all schedules of T steps, easy power laws with noise",
    source="simlab",
    number="optimal exponents",
    assumptions=("source > capacity > 1",),
    provenance="reconstructed",
)
def optimal_exponent(capacity: float, source: float) -> float:
    """(source - 1) / source: the risk falls as T to minus this; of the power laws of `optimal_risk`.

    Bias S^-((source - 1) / capacity) against the noise of a decay as long as the run. Known from Li et al. 2026 (arXiv
    2602.06797) and Bordelon and Mori 2026 (2602.04774), whose texts were not at hand. In the hard phase, source <
    capacity, the exponent of the limit is (source - 1) / capacity; that of the optimum from 2^13 to 2^16 steps was
    larger by 0.03 to 0.04 (capacity 1.6 to 1.8, source 1.33).
    """
    require(source > capacity > 1.0, "source > capacity > 1", capacity=capacity, source=source)
    return (source - 1.0) / source


def _least(lam: FloatArray, signal: FloatArray, noise: float, T: float, share: float, top: float) -> float:
    """The least value over S < top T, between the neighbours of the best of 32 values of log S."""
    from scipy.optimize import minimize_scalar

    near = np.concatenate([[0.0], np.geomspace(1e-7, 0.5, GRID)])
    x = np.unique(np.concatenate([near, 1.0 - near]))

    def risk(log_S: float) -> float:
        u = np.exp(log_S) * x
        left = np.exp(-2.0 * np.outer(u, lam))
        F = left @ signal
        K = np.exp(-2.0 * np.outer(u[-1] - u, lam)) @ lam**2
        q = np.trapezoid(np.sqrt(K * (F + noise)), u)
        return float(0.5 * (F[-1] + share * q**2 / (T - u[-1] / top)))

    points = np.log(top * T) - np.geomspace(10.0, 1e-3, 32)
    j = int(np.argmin([risk(point) for point in points]))
    ends = points[max(j - 1, 0)], points[min(j + 1, points.size - 1)]
    return float(minimize_scalar(risk, bounds=ends, method="bounded", options={"xatol": 1e-6}).fun)
