"""Mean-square stability of SGD at a minimum of a finite sum: exact thresholds by sampling rule, and conditions for it.

L = (1/n) sum_i l_i has the minimum 0 with gradients g_i (sum_i g_i = 0) and Hessians H_i (PSD, H their mean). A step
w <- w - eta (mean of H_i w + g_i over a batch) moves E[w w^T] by a linear map, stable if and only if its spectral
radius is below 1. `sampling` names the batch: "without" replacement from n (Mulayoff and Michaeli 2024), "with"
replacement, or "bernoulli", every i kept with probability B/n and the sum divided by B (Dexter et al. 2024).
"""

from __future__ import annotations

from typing import Literal

import numpy as np
import numpy.typing as npt
from simlab.theory.statement import require, theorem

__all__ = [
    "dexter_coherence_upper",
    "finite_sum_covariance",
    "finite_sum_critical_lr",
    "mulayoff_direction_upper",
    "mulayoff_trace_upper",
    "single_hessian_upper",
]

FloatArray = npt.NDArray[np.float64]
Sampling = Literal["without", "with", "bernoulli"]

COMMON = ("every H_i symmetric and positive semi-definite", "H != 0", "1 <= batch <= n")


@theorem(
    kind="exact",
    about="critical learning rate of SGD at a minimum of a finite sum",
    source="mulayoff2024",
    number="Theorem 1, and for other sampling rules",
    assumptions=(*COMMON, "sampling is without, with or bernoulli"),
    provenance="printed",
)
def finite_sum_critical_lr(hessians: npt.ArrayLike, batch: float, sampling: Sampling = "without") -> float:
    """eta* = 2 / lambda_max(C^+ D), C = (H (+) H)/2, D = H (x) H + p [(1/n) sum H_i (x) H_i - H (x) H].

    hessians (n, d, d); (+), (x) Kronecker sum and product. p = (n - B)/(B (n - 1)) without replacement (printed); 1/B
    with replacement; Bernoulli: D = H (x) H + (n/B - 1)/n^2 sum H_i (x) H_i (both derived: only the covariance of the
    batch's Hessian changes). E[w w^T] contracts on the range of H if and only if eta < eta*; it is non-decreasing in
    B. Cost O(d^6). Raises OutsideAssumptions. Mulayoff and Michaeli 2024.
    """
    each = _hessians(hessians, batch)
    C, D = _operators(each, batch, sampling)
    values, vectors = np.linalg.eigh(C)
    kept = values > values[-1] * 1e-13
    half = vectors[:, kept] / np.sqrt(values[kept])
    # D vanishes on the null space of C, so that the congruence loses nothing.
    return float(2.0 / np.linalg.eigvalsh(half.T @ D @ half)[-1])


@theorem(
    kind="upper",
    about="critical learning rate of SGD at a minimum of a finite sum",
    source="mulayoff2024",
    number="necessary condition, leading direction",
    assumptions=(*COMMON, "batch is a whole number or all n"),
    provenance="printed",
)
def mulayoff_direction_upper(hessians: npt.ArrayLike, batch: float) -> float:
    """2 l / (l^2 + (p/n) sum_i (v^T H_i v - l)^2), l and v the largest eigenpair of H, p = (n - B)/(B (n - 1))."""
    each = _hessians(hessians, batch)
    p = _whole(each, batch)
    values, vectors = np.linalg.eigh(each.mean(axis=0))
    l, v = values[-1], vectors[:, -1]
    spread = np.mean((np.einsum("i,nij,j->n", v, each, v) - l) ** 2)
    return float(2.0 * l / (l**2 + p * spread))


@theorem(
    kind="upper",
    about="critical learning rate of SGD at a minimum of a finite sum",
    source="mulayoff2024",
    number="necessary condition, traces",
    assumptions=(*COMMON, "batch is a whole number or all n"),
    provenance="printed",
)
def mulayoff_trace_upper(hessians: npt.ArrayLike, batch: float) -> float:
    """2 tr H / ((1 - p) |H|_F^2 + (p/n) sum_i |H_i|_F^2): the test matrix I in the variational form of eta*."""
    each = _hessians(hessians, batch)
    p = _whole(each, batch)
    H = each.mean(axis=0)
    below = (1.0 - p) * np.sum(H**2) + p * np.sum(each**2) / each.shape[0]
    return float(2.0 * np.trace(H) / below)


@theorem(
    kind="exact",
    about="stationary E[w w^T] at a minimum that does not interpolate",
    source="mulayoff2024",
    number="non-interpolating minima",
    assumptions=(*COMMON, "sum_i g_i = 0", "H positive definite", "0 < lr < critical lr"),
    provenance="printed",
)
def finite_sum_covariance(hessians: npt.ArrayLike, gradients: npt.ArrayLike, lr: float, batch: float) -> FloatArray:
    """vec Sigma = eta p (2 C - eta D)^-1 vec Sigma_g, Sigma_g = (1/n) sum_i g_i g_i^T; batches without replacement.

    gradients (n, d). Shape (d, d), units of w squared. Raises OutsideAssumptions. Mulayoff and Michaeli 2024.
    """
    each = _hessians(hessians, batch)
    g = np.asarray(gradients, dtype=np.float64)
    n, d, _ = each.shape
    require(np.abs(g.sum(axis=0)).max() <= 1e-12 * (1.0 + np.abs(g).sum()), "sum_i g_i = 0", sum=g.sum(axis=0))
    least = float(np.linalg.eigvalsh(each.mean(axis=0))[0])
    require(least > 0.0, "H positive definite", smallest_eigenvalue=least)
    critical = finite_sum_critical_lr(each, batch)
    require(0.0 < lr < critical, "0 < lr < critical lr", lr=lr, critical=critical)
    C, D = _operators(each, batch, "without")
    p = (n - batch) / (batch * (n - 1.0)) if n > 1 else 0.0
    flat = np.linalg.solve(2.0 * C - lr * D, lr * p * (g.T @ g / n).ravel())
    out: FloatArray = flat.reshape(d, d)
    return out


@theorem(
    kind="upper",
    about="critical learning rate of SGD with Bernoulli batches",
    source="dexter2024",
    number="Theorem 1",
    assumptions=COMMON,
    provenance="reconstructed",
)
def dexter_coherence_upper(hessians: npt.ArrayLike, batch: float) -> float:
    """min{2, sigma (n/B - 1)^(-1/2)} / lambda_1(H), sigma = lambda_1(S)/max_i lambda_1(H_i) the coherence.

    S_ij = |H_i^1/2 H_j^1/2|_F.
    Stated in the paper as: E|J_k .. J_1|^2 diverges if lambda_1(H) > (sigma/eta)(n/B - 1)^(-1/2) or >= 2/eta, J = I -
    (eta/B) sum_i xi_i H_i, xi_i ~ Bernoulli(B/n); the text was not at hand. Proof: lambda_1(H) <= lambda_1(S)/n, as
    the blocks H_i^1/2 H_j^1/2 of a Gram matrix have norms of at most S_ij; so the bound is never below
    `single_hessian_upper`, which is proved there. Raises OutsideAssumptions.
    """
    each = _hessians(hessians, batch)
    values, vectors = np.linalg.eigh(each)
    half = vectors * np.sqrt(np.maximum(values, 0.0))[:, None, :] @ vectors.transpose(0, 2, 1)
    S = np.sqrt(np.maximum(np.einsum("iab,jab->ij", half @ half, half @ half), 0.0))
    sigma = np.linalg.eigvalsh(S)[-1] / values.max()
    top = np.linalg.eigvalsh(each.mean(axis=0))[-1]
    return float(min(2.0, sigma * _inverse_root(each.shape[0], batch)) / top)


@theorem(
    kind="upper",
    about="critical learning rate of SGD with Bernoulli batches",
    source="dexter2024",
    number="sharper form of Theorem 1",
    assumptions=COMMON,
    provenance="derived",
)
def single_hessian_upper(hessians: npt.ArrayLike, batch: float) -> float:
    """min{2/lambda_1(H), n (n/B - 1)^(-1/2) / max_i lambda_1(H_i)}.

    Proof. The map of E[w w^T] is X -> (I - eta H) X (I - eta H) + eta^2 (n/B - 1)/n^2 sum_i H_i X H_i. Both terms
    preserve PSD matrices, so its radius is at least that of each part: (1 - eta lambda_1(H))^2, and eta^2 (n/B - 1)/n^2
    lambda_1(H_i)^2 for every single i. Raises OutsideAssumptions.
    """
    each = _hessians(hessians, batch)
    n = each.shape[0]
    top = np.linalg.eigvalsh(each.mean(axis=0))[-1]
    return float(min(2.0 / top, n * _inverse_root(n, batch) / np.linalg.eigvalsh(each).max()))


def _inverse_root(n: int, batch: float) -> float:
    return float("inf") if batch == n else float((n / batch - 1.0) ** -0.5)


def _hessians(hessians: npt.ArrayLike, batch: float) -> FloatArray:
    each = np.asarray(hessians, dtype=np.float64)
    if each.ndim != 3 or each.shape[1] != each.shape[2]:
        raise ValueError(f"hessians have shape {each.shape}; give (n, d, d).")
    least = float(np.linalg.eigvalsh(0.5 * (each + each.transpose(0, 2, 1))).min())
    skew, scale = float(np.abs(each - each.transpose(0, 2, 1)).max()), float(np.abs(each).max())
    require(
        least >= -1e-12 * scale and skew <= 1e-12 * scale,
        "every H_i symmetric and positive semi-definite",
        smallest_eigenvalue=least,
        asymmetry=skew,
    )
    require(scale > 0.0, "H != 0", largest_entry=scale)
    require(1.0 <= batch <= each.shape[0], "1 <= batch <= n", batch=batch, n=each.shape[0])
    return each


def _whole(each: FloatArray, batch: float) -> float:
    """p = (n - B)/(B (n - 1)) of whole batches without replacement."""
    n = each.shape[0]
    require(batch == round(batch), "batch is a whole number or all n", batch=batch)
    return (n - batch) / (batch * (n - 1.0)) if n > 1 else 0.0


def _operators(each: FloatArray, batch: float, sampling: str) -> tuple[FloatArray, FloatArray]:
    """(C, D), both (d^2, d^2)."""
    require(sampling in ("without", "with", "bernoulli"), "sampling is without, with or bernoulli", sampling=sampling)
    n, d, _ = each.shape
    H, eye = each.mean(axis=0), np.eye(d)
    C = 0.5 * (np.kron(H, eye) + np.kron(eye, H))
    pair = np.kron(H, H)
    apart = np.einsum("nab,ncd->acbd", each, each).reshape(d * d, d * d) / n
    if sampling == "bernoulli":
        return C, pair + (n / batch - 1.0) / n * apart
    p = 1.0 / batch if sampling == "with" else (n - batch) / (batch * (n - 1.0)) if n > 1 else 0.0
    return C, pair + p * (apart - pair)
