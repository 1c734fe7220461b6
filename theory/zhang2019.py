"""The noisy quadratic model of Zhang et al. 2019: momentum and averages under additive gradient noise, in closed form.

L = 1/2 sum h_i w_i^2 with gradient noise of variance c_i/B, independent of w (c_i = h_i in their experiments, h_i^2 in
their theorems). Modes do not interact. The printed ratios, a difference of powers over a difference of roots, are 0/0
where both roots agree; here U_n(x, y) = sum_{k<n} x^k y^(n-1-k) is formed by doubling, complex roots included. The
formulas are known from a secondary text and were held against the exact engine.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from simlab.theory.statement import Risk, require, theorem
from simlab.theory.two_state import spectrum

__all__ = ["nqm_ema", "nqm_momentum"]

FloatArray = npt.NDArray[np.float64]
ComplexArray = npt.NDArray[np.complex128]


@theorem(
    kind="exact",
    about="deterministic and stationary risk of every mode of momentum under additive noise",
    source="zhang2019",
    number="Theorem 1 (momentum)",
    assumptions=("0 <= momentum < 1", "0 < lr h_1 < 2 (1 + momentum)", "gradient_covariance >= 0"),
    provenance="reconstructed",
)
def nqm_momentum(
    eigenvalues: npt.ArrayLike,
    initial_error: npt.ArrayLike,
    gradient_covariance: npt.ArrayLike,
    lr: float,
    momentum: float,
    steps: npt.ArrayLike,
    batch: float = 1.0,
) -> Risk:
    """bias 1/2 h w_0^2 [U_(t+1) - m U_t]^2 after t steps; stationary variance as below.

    v <- m v + g, w <- w - lr v, m = `momentum`; U_n = (r_1^n - r_2^n)/(r_1 - r_2) with r the roots of x^2 - (1 - lr h +
    m) x + m. Variance (1 + m) lr c/[2 B (1 - m)(2 (1 + m) - lr h)], in the limit of many steps. Shape of `steps` with
    (d,) appended. gradient_covariance c (d,); the paper's theorem has c = h^2 s^2. Raises OutsideAssumptions. Zhang et
    al. 2019.
    """
    lam, error, c = _inputs(eigenvalues, initial_error, gradient_covariance)
    require(0.0 <= momentum < 1.0, "0 <= momentum < 1", momentum=momentum)
    require(lr > 0.0 and lr * lam[0] < 2.0 * (1.0 + momentum), "0 < lr h_1 < 2 (1 + momentum)", value=lr * lam[0])
    middle, m = 0.5 * (1.0 - lr * lam + momentum), np.sqrt(momentum)
    # middle^2 - momentum by its factors: the roots turn by this angle at every step, and no digit of it may be lost.
    square = 0.25 * (((1.0 - momentum) / (1.0 + m)) ** 2 - lr * lam) * ((1.0 + m) ** 2 - lr * lam)
    root: ComplexArray = np.sqrt(square.astype(np.complex128))
    factor = _response(middle + root, middle - root, steps, np.full(lam.shape, momentum))
    stationary = (1.0 + momentum) * lr * c / (2.0 * batch * (1.0 - momentum) * (2.0 * (1.0 + momentum) - lr * lam))
    return Risk(0.5 * lam * error**2 * factor**2, np.broadcast_to(stationary, factor.shape).copy())


@theorem(
    kind="exact",
    about="deterministic and stationary risk of every mode of the EMA of SGD under additive noise",
    source="zhang2019",
    number="Theorem 2 (exponential moving average)",
    assumptions=("0 <= decay < 1", "0 < lr h_1 < 2", "gradient_covariance >= 0"),
    provenance="reconstructed",
)
def nqm_ema(
    eigenvalues: npt.ArrayLike,
    initial_error: npt.ArrayLike,
    gradient_covariance: npt.ArrayLike,
    lr: float,
    decay: float,
    steps: npt.ArrayLike,
    batch: float = 1.0,
) -> Risk:
    """bias 1/2 h w_0^2 [U_(t+1) - g p U_t]^2 after t steps; stationary variance as below.

    a <- g a + (1 - g) w with the new iterate w, a_0 = w_0, g = `decay`, p = 1 - lr h, U_n = (p^n - g^n)/(p - g).
    Variance [lr c/(2 B (2 - lr h))] (1 - g)(1 + p g)/[(1 + g)(1 - p g)], in the limit of many steps. Shape of `steps`
    with (d,) appended. gradient_covariance c (d,). Raises OutsideAssumptions. Zhang et al. 2019.
    """
    lam, error, c = _inputs(eigenvalues, initial_error, gradient_covariance)
    require(0.0 <= decay < 1.0, "0 <= decay < 1", decay=decay)
    require(lr > 0.0 and lr * lam[0] < 2.0, "0 < lr h_1 < 2", value=lr * lam[0])
    p, g = 1.0 - lr * lam, decay
    factor = _response(p.astype(np.complex128), np.full(lam.shape, g, dtype=np.complex128), steps, g * p)
    alone = lr * c / (2.0 * batch * (2.0 - lr * lam))
    # 1 - p g as (1 - g) + g lr h: no cancellation as g -> 1 and lr h -> 0.
    stationary = alone * (1.0 - g) * (1.0 + p * g) / ((1.0 + g) * ((1.0 - g) + g * lr * lam))
    return Risk(0.5 * lam * error**2 * factor**2, np.broadcast_to(stationary, factor.shape).copy())


def _inputs(
    eigenvalues: npt.ArrayLike, initial_error: npt.ArrayLike, gradient_covariance: npt.ArrayLike
) -> tuple[FloatArray, FloatArray, FloatArray]:
    lam = spectrum(eigenvalues)
    error = np.broadcast_to(np.asarray(initial_error, dtype=np.float64), lam.shape)
    c = np.broadcast_to(np.asarray(gradient_covariance, dtype=np.float64), lam.shape)
    require(c >= 0.0, "gradient_covariance >= 0", gradient_covariance=c)
    return lam, error, c


def _response(x: ComplexArray, y: ComplexArray, steps: npt.ArrayLike, back: FloatArray) -> FloatArray:
    """U_(t+1) - back U_t, shape of `steps` + (d,); from n to 2 n: U_2n = U_n (x^n + y^n), U_(n+1) = x U_n + y^n."""
    t = np.asarray(steps, dtype=np.int64)
    require(t >= 0, "steps >= 0", steps=t)
    count = np.broadcast_to(t[..., None], (*t.shape, x.size))
    u, xn, yn = np.zeros(count.shape, complex), np.ones(count.shape, complex), np.ones(count.shape, complex)
    for bit in range(int(count.max(initial=0)).bit_length() - 1, -1, -1):
        u, xn, yn = u * (xn + yn), xn * xn, yn * yn
        odd = ((count >> bit) & 1).astype(bool)
        u = np.where(odd, x * u + yn, u)
        xn, yn = np.where(odd, xn * x, xn), np.where(odd, yn * y, yn)
    out: FloatArray = (x * u + yn - back * u).real
    return out
