"""Li et al. 2024 on imbalanced domains: what shall count more may be drawn more often, or weigh more in the loss.

Upsampling draws domain k with the share p_k that is wanted; upweighting draws it with its natural share q_k and
multiplies its loss by p_k / q_k. Gradients have one mean, and so the means of all linear methods are one path; second
moments of one sample's gradient are sum_k p_k G_k and sum_k (p_k^2 / q_k) G_k, with G_k those of domain k.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from simlab.theory.statement import require, theorem

__all__ = ["upweighting_excess"]

FloatArray = npt.NDArray[np.float64]


@theorem(
    kind="exact",
    about="variance of the gradient that upweighting has and upsampling has not",
    source="li2024mixing",
    number="upsampling against upweighting, Gaussian regression",
    assumptions=("p_k >= 0 sum to 1", "q_k > 0 sum to 1"),
    provenance="derived",
)
def upweighting_excess(
    eigenvalues: npt.ArrayLike,
    displacement: npt.ArrayLike,
    noise_variance: npt.ArrayLike,
    share: npt.ArrayLike,
    natural: npt.ArrayLike,
) -> FloatArray:
    """sum_k p_k (p_k / q_k - 1) G_ki, shape (d,), of the gradient of one sample along each direction i.

    eigenvalues, displacement (K, d) : lam_ki and w_i - w_ki.  noise_variance, share p, natural q (K,).
    G_ki = lam_ki (sum_j lam_kj (w - w_k)_j^2 + sigma_k^2) + 2 lam_ki^2 (w - w_k)_i^2. Where G is the same for all
    domains it is that times the chi-squared divergence of p from q, which is not negative; it is negative where the
    domains that p draws less than q are noisier than the others by enough: of two, where p_1 G_1 / q_1 < p_2 G_2 / q_2
    with p_1 > q_1.
    """
    lam, error = np.asarray(eigenvalues, dtype=np.float64), np.asarray(displacement, dtype=np.float64)
    p, q, noise = (np.asarray(each, dtype=np.float64) for each in (share, natural, noise_variance))
    require((p >= 0.0) & (abs(p.sum() - 1.0) < 1e-9), "p_k >= 0 sum to 1", p=p)
    require((q > 0.0) & (abs(q.sum() - 1.0) < 1e-9), "q_k > 0 sum to 1", q=q)
    off = lam * error**2
    second = lam * (off.sum(axis=1, keepdims=True) + noise[:, None]) + 2.0 * lam * off
    out: FloatArray = (p * (p / q - 1.0)) @ second
    return out
