"""Jain et al. 2018: mini-batches, tail averages, batch doubling and model averaging in strongly convex least squares.

Gaussian data, well-specified noise (rho_m = 1): R^2 = tr H + 2 lam_1 is the least number with E |x|^2 x x^T <= R^2 H,
mu = lam_d, and sigma_MLE^2 = tr(H^-1 Sigma) = d sigma^2. Risk at the start: D = 1/2 |d|_H^2. The bounds are for the
total, split into the terms of the starting error (bias) and of the noise (variance).
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
from simlab.theory.statement import Risk, require, theorem

__all__ = [
    "jain_batch_doubling_upper",
    "jain_batch_threshold",
    "jain_final_iterate_upper",
    "jain_lr_max",
    "jain_model_average_upper",
    "jain_tail_average_upper",
    "moment_radius",
]

FloatArray = npt.NDArray[np.float64]

_STEP = ("eigenvalues, lr > 0", "batch >= 1", "lr <= gamma_{b,max} / 2", "0 <= hold < steps")


def moment_radius(eigenvalues: npt.ArrayLike) -> float:
    """R^2 = tr H + 2 lam_1 of Gaussian data, the least with E |x|^2 x x^T <= R^2 H."""
    lam = np.asarray(eigenvalues, dtype=np.float64)
    return float(lam.sum() + 2.0 * lam.max())


@theorem(
    kind="lower",
    about="largest stable learning rate of SGD with batch size b",
    source="jain2018parallelizing",
    number="gamma_{b,max}",
    assumptions=("eigenvalues > 0", "batch >= 1"),
    provenance="printed",
)
def jain_lr_max(eigenvalues: npt.ArrayLike, batch: npt.ArrayLike = 1.0) -> FloatArray:
    """gamma_{b,max} = 2 b / (R^2 + (b - 1) |H|), at most the critical lr; equal to it for isotropic H. Shape of
    batch.
    """
    lam, size = np.asarray(eigenvalues, dtype=np.float64), np.asarray(batch, dtype=np.float64)
    require(lam > 0.0, "positive eigenvalues", eigenvalues=lam)
    require(size >= 1.0, "a batch of at least 1", batch=batch)
    out: FloatArray = 2.0 * size / (moment_radius(lam) + (size - 1.0) * lam.max())
    return out


@theorem(
    kind="exact",
    about="batch size up to which mini-batching speeds SGD up linearly",
    source="jain2018parallelizing",
    number="b_thresh",
    assumptions=("eigenvalues > 0",),
    provenance="printed",
)
def jain_batch_threshold(eigenvalues: npt.ArrayLike) -> FloatArray:
    """b_thresh = 1 + R^2 / |H|: gamma_{b,max} is b / R^2 there, half of what linear scaling would give.

    For the paper's set-up lam_k = 1/k, d = 50 it is 7.5; the paper says 11 (its R^2 is not the Gaussian one).
    """
    lam = np.asarray(eigenvalues, dtype=np.float64)
    require(lam > 0.0, "positive eigenvalues", eigenvalues=lam)
    return np.asarray(1.0 + moment_radius(lam) / lam.max())


@theorem(
    kind="upper",
    about="excess risk of the tail average of w_(s+1) .. w_m, mini-batches of b",
    source="jain2018parallelizing",
    number="Theorem 1",
    assumptions=_STEP,
    provenance="printed",
)
def jain_tail_average_upper(
    eigenvalues: npt.ArrayLike,
    initial_error: npt.ArrayLike,
    noise_variance: float,
    lr: float,
    steps: npt.ArrayLike,
    hold: npt.ArrayLike = 0,
    batch: float = 1.0,
) -> Risk:
    """Risk <= (2 / (lr mu)^2) (1 - lr mu)^s / (m - s)^2 D + 4 d sigma^2 / (b (m - s)), m = floor(n/b) steps, s = hold.

    steps, hold : (...).  Returns totals of shape (..., 1): the bound is not split by eigen-index.
    """
    lam, m, s, start = _inputs(eigenvalues, initial_error, lr, steps, hold, batch)
    x = lr * lam.min()
    kept = np.exp(s * math.log1p(-x)) if x < 1.0 else np.where(s > 0, 0.0, 1.0)
    bias = 2.0 / x**2 * kept / (m - s) ** 2 * start
    return Risk(bias[..., None], (4.0 * lam.size * noise_variance / (batch * (m - s)))[..., None])


@theorem(
    kind="upper",
    about="excess risk of the last iterate w_m, mini-batches of b",
    source="jain2018parallelizing",
    number="Lemma 4",
    assumptions=(*_STEP[:3], "steps >= 1"),
    provenance="printed",
)
def jain_final_iterate_upper(
    eigenvalues: npt.ArrayLike,
    initial_error: npt.ArrayLike,
    noise_variance: float,
    lr: float,
    steps: npt.ArrayLike,
    batch: float = 1.0,
) -> Risk:
    """Risk <= kappa_b (1 - lr mu)^m D + (lr/b) sigma^2 tr H, kappa_b = (R^2 + (b - 1) |H|) / (b mu); shape (..., 1)."""
    lam, m, _, start = _inputs(eigenvalues, initial_error, lr, steps, 0, batch)
    x, kappa = lr * lam.min(), (moment_radius(lam) + (batch - 1.0) * lam.max()) / (batch * lam.min())
    kept = np.exp(m * math.log1p(-x)) if x < 1.0 else np.zeros(m.shape)
    variance = np.full(m.shape, lr / batch * noise_variance * lam.sum())
    return Risk((kappa * kept * start)[..., None], variance[..., None])


@theorem(
    kind="upper",
    about="excess risk of the average over P machines of tail averages, each of m steps with mini-batches of b",
    source="jain2018parallelizing",
    number="Theorem 6",
    assumptions=(*_STEP, "machines >= 1"),
    provenance="printed",
)
def jain_model_average_upper(
    eigenvalues: npt.ArrayLike,
    initial_error: npt.ArrayLike,
    noise_variance: float,
    lr: float,
    steps: npt.ArrayLike,
    machines: int,
    hold: npt.ArrayLike = 0,
    batch: float = 1.0,
) -> Risk:
    """Risk <= [(1 - lr mu)^s / ((lr mu)^2 (m - s)^2)] [(2 + (P - 1)(1 - lr mu)^s) / P] D + 4 d sigma^2 / (P b (m - s)).

    m = n / (P b) steps on each of the P = `machines`; shape (..., 1).
    """
    require(machines >= 1, "machines >= 1", machines=machines)
    lam, m, s, start = _inputs(eigenvalues, initial_error, lr, steps, hold, batch)
    x = lr * lam.min()
    kept = np.exp(s * math.log1p(-x)) if x < 1.0 else np.where(s > 0, 0.0, 1.0)
    bias = kept / (x * (m - s)) ** 2 * (2.0 + (machines - 1.0) * kept) / machines * start
    return Risk(bias[..., None], (4.0 * lam.size * noise_variance / (machines * batch * (m - s)))[..., None])


@theorem(
    kind="upper",
    about="excess risk of SGD whose batch doubles each epoch, second half of the last epoch averaged",
    source="jain2018parallelizing",
    number="Theorem 5",
    assumptions=("eigenvalues > 0", "condition number kappa >= 2", "epoch >= 24 kappa ln kappa", "epochs >= 1"),
    provenance="printed",
)
def jain_batch_doubling_upper(
    eigenvalues: npt.ArrayLike,
    initial_error: npt.ArrayLike,
    noise_variance: float,
    epoch: int,
    epochs: npt.ArrayLike,
) -> Risk:
    """Risk <= (2 b t / n)^(t / (12 kappa ln kappa)) D + 80 d sigma^2 / n, kappa = lam_1 / mu, t = `epoch` steps.

    Epochs l = 1 .. E of t steps with batch 2^(l-1) b from b = b_thresh on (rounded up), lr = gamma_{b,max} / 2, n =
    2^E b t (so that the samples drawn are n - b t); the first E - 1 pass on their last iterate, the last one the
    average of its last floor(t/2) iterates. epochs : E, (...); returns (..., 1). The printed exponent diverges as
    kappa -> 1, where it claims more than gradient descent achieves; hence kappa >= 2. The algorithm's details are
    from memory.
    """
    lam = np.asarray(eigenvalues, dtype=np.float64)
    require(lam > 0.0, "positive eigenvalues", eigenvalues=lam)
    kappa = float(lam.max() / lam.min())
    require(kappa >= 2.0, "a condition number of at least 2", kappa=kappa)
    natural = kappa * math.log(kappa)
    require(epoch >= 24.0 * natural, "epochs of at least 24 kappa ln kappa steps", epoch=epoch, kappa=kappa)
    count = np.asarray(epochs, dtype=np.float64)
    require(count >= 1.0, "at least one epoch", epochs=epochs)
    batch = math.ceil(float(jain_batch_threshold(lam)))
    samples = np.ldexp(float(batch) * epoch, count.astype(int))
    start = 0.5 * np.sum(lam * np.asarray(initial_error, dtype=np.float64) ** 2)
    bias = np.exp((1.0 - count) * math.log(2.0) * epoch / (12.0 * natural)) * start
    return Risk(np.asarray(bias)[..., None], np.asarray(80.0 * lam.size * noise_variance / samples)[..., None])


def _inputs(
    eigenvalues: npt.ArrayLike,
    initial_error: npt.ArrayLike,
    lr: float,
    steps: npt.ArrayLike,
    hold: npt.ArrayLike,
    batch: float,
) -> tuple[FloatArray, FloatArray, FloatArray, float]:
    lam = np.asarray(eigenvalues, dtype=np.float64)
    require(lr > 0.0, "a positive learning rate", lr=lr)
    limit = 0.5 * float(jain_lr_max(lam, batch))
    require(lr <= limit * (1.0 + 1e-12), "lr <= gamma_{b,max} / 2", lr=lr, limit=limit)
    m, s = np.broadcast_arrays(np.asarray(steps, dtype=np.float64), np.asarray(hold, dtype=np.float64))
    require((s >= 0) & (m > s), "0 <= hold < steps", hold=hold, steps=steps)
    return lam, m, s, 0.5 * float(np.sum(lam * np.asarray(initial_error, dtype=np.float64) ** 2))
