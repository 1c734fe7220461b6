"""The risk of SGD as the solution of a Volterra equation: exact in discrete time, its continuous limit, closed form.

With q_(k,i) = (1 - lr_k lam_i)^2 + (kurtosis - 2) (lr_k lam_i)^2 / B_k and R_t = sum_i lam_i E delta_(t,i)^2 (twice the
risk), for any schedule,

    R_t = F_t + sum_{s<t} k(t, s) (R_s + sigma^2),      F_t = sum_i lam_i delta_(0,i)^2 prod_{k<t} q_(k,i),
    k(t, s) = (lr_s^2 / B_s) sum_i lam_i^2 prod_{s<k<t} q_(k,i),

a lower triangular system (Bordelon and Pehlevan 2022 for a constant lr; Paquette et al. 2024, Collins-Woodfin et al.
2024 in the limit lr -> 0). Each product is formed by multiplication, never as a ratio of two, so that nothing overflows
and no digits are lost whatever the schedule.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.linalg import solve_triangular
from simlab.theory.statement import Risk, require, theorem
from simlab.theory.two_state import spectrum

__all__ = ["homogenized_sgd", "sgd_isotropic", "sgd_spectral", "sgd_volterra", "sgd_volterra_constant"]

FloatArray = npt.NDArray[np.float64]
BLOCK = 16
MAX_STEPS = 8192


@theorem(
    kind="exact",
    about="risk of every mode of SGD at every step, for any schedule",
    source="bordelon2022",
    number="for any schedule, batch and kurtosis (notes 0.4)",
    assumptions=("lr >= 0", "batch >= 1", "kurtosis >= 1", "every q >= 0", "noise_variance >= 0", "steps <= 8192"),
    provenance="derived",
)
def sgd_volterra(
    eigenvalues: npt.ArrayLike,
    initial_error: npt.ArrayLike,
    noise_variance: float,
    lr: npt.ArrayLike,
    batch: npt.ArrayLike = 1.0,
    kurtosis: float = 3.0,
) -> Risk:
    """Risk of steps 0 .. T, shape (T + 1, d); lr (T,), batch a number or (T,).

    Solves the discrete Volterra equation of this module by forward substitution, once for bias and variance, and puts
    R_s + sigma^2 back as the source of every mode. O(T^2 d) in matrix products, over log2(T) levels of blocks, and
    memory T^2. All terms are positive: where q < 0 (kurtosis < 2 and a large lr) the equation holds, but kernel and
    forcing cancel and digits are lost, so that case is refused. Raises OutsideAssumptions.
    """
    lam, error, rate, share = volterra_inputs(eigenvalues, initial_error, lr, batch)
    require(kurtosis >= 1.0, "kurtosis >= 1", kurtosis=kurtosis)
    require(noise_variance >= 0.0, "noise_variance >= 0", noise_variance=noise_variance)
    x = rate[:, None] * lam
    decay = (1.0 - x) ** 2 + (kurtosis - 2.0) * share[:, None] * x**2
    require(decay >= 0.0, "every q >= 0 (always so for kurtosis >= 2)", q=decay)
    return _solve(lam, lam * error**2, noise_variance, decay, share[:, None] * x**2, None)


@theorem(
    kind="exact",
    about="risk of SGD at every step, constant learning rate",
    source="bordelon2022",
    number="convolution form",
    assumptions=("lr > 0", "batch >= 1", "kurtosis >= 1", "every q_i in (0, 1) and mass K < 1", "noise_variance >= 0"),
    provenance="derived",
)
def sgd_volterra_constant(
    eigenvalues: npt.ArrayLike,
    initial_error: npt.ArrayLike,
    noise_variance: float,
    lr: float,
    steps: int,
    batch: float = 1.0,
    kurtosis: float = 3.0,
) -> Risk:
    """Total risk of steps 0 .. T, bias and variance of shape (T + 1, 1): R = F + k * (R + sigma^2), by FFT.

    The resolvent r = k + k * r of the kernel is found by Newton's doubling in O(T log T) after O(T d) for F and k. An
    FFT rounds relative to the largest term, so digits are lost in a risk far below the initial one: a relative error of
    about 1e-15 (largest / smallest risk); `sgd_volterra` loses none. Raises OutsideAssumptions.
    """
    lam, error, _, _ = volterra_inputs(eigenvalues, initial_error, [lr], batch)
    q, gain = _constant(lam, lr, batch, kurtosis, noise_variance)
    n = np.arange(steps + 1.0)
    powers = np.exp(n[:, None] * np.log(q))
    forcing, kernel = powers @ (lam * error**2), np.concatenate([[0.0], powers[:-1] @ gain])
    inverse = _series_inverse(np.concatenate([[1.0], -kernel[1:]]))
    bias = _convolve(inverse, forcing)
    # sum_{s<=t} (resolvent)_s: the response to noise that starts at step 0 and stays.
    variance = np.cumsum(_convolve(inverse, kernel))
    return Risk(0.5 * bias[:, None], 0.5 * noise_variance * variance[:, None])


@theorem(
    kind="exact",
    about="risk of every mode of SGD after any number of steps, constant learning rate",
    source="bordelon2022",
    number="section 2 (risk from powers of A)",
    assumptions=("lr > 0", "batch >= 1", "kurtosis >= 1", "every q_i in (0, 1) and mass K < 1", "noise_variance >= 0"),
    provenance="printed",
)
def sgd_spectral(
    eigenvalues: npt.ArrayLike,
    initial_error: npt.ArrayLike,
    noise_variance: float,
    lr: float,
    steps: npt.ArrayLike,
    batch: float = 1.0,
    kurtosis: float = 3.0,
) -> Risk:
    """m_t = A^t m_0, A = diag(q) + (lr^2/B) lam lam^T, risk 1/2 lam m; shape of `steps` with (d,) appended.

    A is symmetric: one eigendecomposition, O(d^3), answers all step counts, 10^12 as well as 10. The noise enters as
    (lr^2 sigma^2/B) sum_{n<t} A^n lam, by (1 - mu^t)/(1 - mu) of every eigenvalue mu. Relative error about 1e-13 of the
    largest mode. Raises OutsideAssumptions.
    """
    lam, error, _, _ = volterra_inputs(eigenvalues, initial_error, [lr], batch)
    _constant(lam, lr, batch, kurtosis, noise_variance)
    t = np.asarray(steps, dtype=np.float64)
    require(t >= 0, "steps >= 0", steps=t)
    # The gap 1 - A is what matters after many steps: its eigenvalues are found directly, not as 1 - mu.
    x = lr * lam
    gap, vectors = np.linalg.eigh(np.diag(2.0 * x - x**2 - (kurtosis - 2.0) / batch * x**2) - np.outer(x, x) / batch)
    gap = np.clip(gap, np.finfo(float).tiny, 1.0 - 1e-300)
    log = np.log1p(-gap)
    decay = np.exp(t[..., None] * log)
    settled = -np.expm1(t[..., None] * log) / gap
    bias = (decay * (error**2 @ vectors)) @ vectors.T
    variance = (settled * (lam @ vectors)) @ vectors.T * (lr**2 * noise_variance / batch)
    return Risk(0.5 * lam * np.maximum(bias, 0.0), 0.5 * lam * np.maximum(variance, 0.0))


@theorem(
    kind="exact",
    about="risk of SGD on isotropic data, constant learning rate",
    source="bordelon2022",
    number="isotropic features",
    assumptions=("eigenvalue > 0", "dim >= 1", "noise_variance >= 0", "batch >= 1", "rate of the risk not 1"),
    provenance="printed",
)
def sgd_isotropic(
    eigenvalue: float,
    dim: int,
    initial_risk: float,
    noise_variance: float,
    lr: float,
    steps: npt.ArrayLike,
    batch: float = 1.0,
) -> Risk:
    """Bias L_0 g^t, g = 1 - 2 x + ((B + 1)/B + d/B) x^2, x = lr lam; variance 1/2 sigma^2 (d x^2/B) (1 - g^t)/(1 - g).

    Gaussian data; total risk, shape of `steps` with (1,) appended; also beyond the critical rate. The best x is
    B/(B + 1 + d), printed as 1/(N + 2) for B = 1. Raises OutsideAssumptions.
    """
    require(eigenvalue > 0.0, "eigenvalue > 0", eigenvalue=eigenvalue)
    require(dim >= 1, "dim >= 1", dim=dim)
    require(noise_variance >= 0.0, "noise_variance >= 0", noise_variance=noise_variance)
    require(batch >= 1.0, "batch >= 1", batch=batch)
    x = lr * eigenvalue
    gap = x * (2.0 - (batch + 1.0 + dim) / batch * x)
    require(gap != 0.0, "rate of the risk not 1", gap=gap)
    t = np.asarray(steps, dtype=np.float64)[..., None]
    log = np.log1p(-gap)
    source = 0.5 * noise_variance * dim * x**2 / batch
    return Risk(initial_risk * np.exp(t * log), source * -np.expm1(t * log) / gap)


@theorem(
    kind="asymptotic",
    about="risk of every mode of SGD in the limit lr -> 0 at fixed sum of lr",
    source="collinswoodfin2024",
    number="homogenized SGD, Theorem 2.1 for least squares",
    assumptions=("lr >= 0", "batch >= 1", "noise_variance >= 0", "steps <= 8192"),
    provenance="printed",
)
def homogenized_sgd(
    eigenvalues: npt.ArrayLike,
    initial_error: npt.ArrayLike,
    noise_variance: float,
    lr: npt.ArrayLike,
    batch: npt.ArrayLike = 1.0,
) -> Risk:
    """dm_i/dt = -2 lr lam_i m_i + (lr^2/B) lam_i (sum_j lam_j m_j + sigma^2), risk 1/2 lam m; shape (T + 1, d).

    Solved as R(t) = F(t) + int k(t, s) (R(s) + sigma^2) ds with F = sum lam delta_0^2 exp(-2 lam int_0^t lr) and
    k = (lr_s^2/B_s) sum lam^2 exp(-2 lam int_s^t lr), lr constant within a step and R linear in it (exponentials
    integrated exactly: second order in lr, where the limit itself is first). The ratio to SGD tends to 1 as lr -> 0.
    Raises OutsideAssumptions.
    """
    lam, error, rate, share = volterra_inputs(eigenvalues, initial_error, lr, batch)
    require(noise_variance >= 0.0, "noise_variance >= 0", noise_variance=noise_variance)
    decay, early, late = flow_weights(lam, rate, share)
    return _solve(lam, lam * error**2, noise_variance, decay, early, late)


def flow_weights(lam: FloatArray, rate: FloatArray, share: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    """e^(-2 x), and the weights of a source at the beginning and the end of a step that is linear in between, (T, d).

    The source acts as int_0^1 (lr^2 lam^2/B) e^(-2 x (1 - u)) (1 - u, u) du, x = lr lam.
    """
    x = rate[:, None] * lam
    z = 2.0 * x
    # By series where z is small.
    small = z < 1e-3
    safe = np.where(small, 1.0, z)
    whole = np.where(small, 1.0 - z / 2.0 + z**2 / 6.0, -np.expm1(-safe) / safe)
    last = np.where(small, 0.5 - z / 6.0 + z**2 / 24.0, (1.0 - whole) / safe)
    gain = share[:, None] * x**2
    return np.exp(-z), gain * (whole - last), gain * last


def volterra_inputs(
    eigenvalues: npt.ArrayLike,
    initial_error: npt.ArrayLike,
    lr: npt.ArrayLike,
    batch: npt.ArrayLike,
    limit: int | None = MAX_STEPS,
) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
    """(lam (d,), initial error (d,), lr (T,), 1/B (T,)), checked; `limit` is the largest number of steps."""
    lam = spectrum(eigenvalues)
    error = np.broadcast_to(np.asarray(initial_error, dtype=np.float64), lam.shape)
    rate = np.atleast_1d(np.asarray(lr, dtype=np.float64))
    require(rate >= 0.0, "lr >= 0", lr=rate)
    size = np.asarray(batch, dtype=np.float64)
    require(size >= 1.0, "batch >= 1", batch=size)
    require(limit is None or rate.size <= limit, f"steps <= {limit}", steps=rate.size)
    return lam, error, rate, np.broadcast_to(1.0 / size, rate.shape)


def _constant(
    lam: FloatArray, lr: float, batch: float, kurtosis: float, noise_variance: float
) -> tuple[FloatArray, FloatArray]:
    """(q, lr^2 lam^2 / B) at constant lr, with the conditions."""
    require(lr > 0.0, "lr > 0", lr=lr)
    require(kurtosis >= 1.0, "kurtosis >= 1", kurtosis=kurtosis)
    require(noise_variance >= 0.0, "noise_variance >= 0", noise_variance=noise_variance)
    x = lr * lam
    left = 2.0 - x * (1.0 + (kurtosis - 2.0) / batch)
    q = 1.0 - x * left
    inside = (left > 0.0) & (q > 0.0)
    mass = float(np.sum(x / left)) / batch if np.all(inside) else np.inf
    require(mass < 1.0, "every q_i in (0, 1) and mass K < 1", mass=mass, q=q)
    return q, x**2 / batch


def _solve(
    lam: FloatArray,
    signal: FloatArray,
    noise: float,
    decay: FloatArray,
    early: FloatArray,
    late: FloatArray | None,
) -> Risk:
    """u_(t+1) = decay_t u_t + early_t (R_t + noise) + late_t (R_(t+1) + noise) per mode, R = sum u; risk u/2.

    `signal` (d,) is u_0 of the bias; decay, early, late (T, d).
    """
    T, d = decay.shape
    matrix = np.zeros((T + 1, T + 1))
    matrix[1:, :-1] = _kernel(decay, early)
    if late is not None:
        matrix[1:, 1:] += _kernel(decay, late)
    forced = matrix.sum(axis=1) * noise
    free = np.concatenate([signal[None], signal * np.cumprod(decay, axis=0)])
    right = np.stack([free.sum(axis=1), forced], axis=1)
    R = solve_triangular(np.eye(T + 1) - matrix, right, lower=True, check_finite=False)
    R[0] = signal.sum(), 0.0
    sources = R + np.array([0.0, noise])
    out = np.empty((2, T + 1, d))
    for part, start in ((0, signal), (1, np.zeros(d))):
        push = early * sources[:-1, part, None]
        if late is not None:
            push = push + late * sources[1:, part, None]
        out[part] = recur(decay, push, start)
    return Risk(0.5 * out[0], 0.5 * out[1])


def _kernel(decay: FloatArray, gain: FloatArray) -> FloatArray:
    """k[t, s] = sum_i gain_(s,i) prod_{s < k <= t} decay_(k,i) for s <= t, (T, T): blocks by products of halves."""
    T, d = decay.shape
    blocks = max(1, -(-T // BLOCK))
    levels = int(blocks - 1).bit_length()
    size = BLOCK << levels
    q, g = np.ones((size, d)), np.zeros((size, d))
    q[:T], g[:T] = decay, gain
    out = np.zeros((size, size))
    small = q.reshape(-1, BLOCK, 1, d)
    after = np.arange(BLOCK)[:, None] > np.arange(BLOCK)[None, :]
    products = np.cumprod(np.where(after[None, :, :, None], small, 1.0), axis=1)
    diagonal = np.einsum("btsd,bsd->bts", products, g.reshape(-1, BLOCK, d)) * np.tri(BLOCK)
    index = np.arange(size).reshape(-1, BLOCK)
    out[index[:, :, None], index[:, None, :]] = diagonal
    for level in range(levels):
        half = BLOCK << level
        pair = q.reshape(-1, 2, half, d)
        left, right = pair[:, 0], pair[:, 1]
        # From step s to the end of the left half, then through the right half up to t.
        rest = np.concatenate([np.ones_like(left[:, :1]), np.cumprod(left[:, :0:-1], axis=1)], axis=1)[:, ::-1]
        through = np.cumprod(right, axis=1)
        block = through @ (rest * g.reshape(-1, 2, half, d)[:, 0]).transpose(0, 2, 1)
        where = np.arange(size).reshape(-1, 2, half)
        out[where[:, 1, :, None], where[:, 0, None, :]] = block
    return out[:T, :T]


def recur(decay: FloatArray, push: FloatArray, start: FloatArray) -> FloatArray:
    """u_0 = start, u_(t+1) = decay_t u_t + push_t, shape (T + 1, d), by a scan of log2(T) passes."""
    factor, value = decay.copy(), push.copy()
    value[0] += factor[0] * start
    reach = 1
    while reach < factor.shape[0]:
        value[reach:] = value[reach:] + factor[reach:] * value[:-reach]
        factor[reach:] = factor[reach:] * factor[:-reach]
        reach *= 2
    return np.concatenate([start[None], value])


def _convolve(a: FloatArray, b: FloatArray) -> FloatArray:
    """The first len(a) coefficients of the product of two power series."""
    n = a.size
    size = 1 << (2 * n - 1).bit_length()
    out: FloatArray = np.fft.irfft(np.fft.rfft(a, size) * np.fft.rfft(b, size), size)[:n]
    return out


def _series_inverse(a: FloatArray) -> FloatArray:
    """The power series 1/a, a_0 = 1, by Newton's doubling."""
    out = np.ones(1)
    while out.size < a.size:
        n = min(2 * out.size, a.size)
        padded = np.pad(out, (0, n - out.size))
        residual = -_convolve(a[:n], padded)
        residual[0] += 2.0
        out = _convolve(padded, residual)
    return out
