"""Where momentum does not help: one-hot data, and rates in the condition number (Kidambi et al. 2018).

x = x_i e_i for one coordinate i at a time, E x_i^2 = lam_i, E x_i^4 = kurtosis_i lam_i^2, so that coordinates never
share a sample. The lower-bound instance has two of them, x = sigma_i z e_i with probability 1/2, E z^2 = 2, E z^4 = 2 c
>= 4: lam_i = sigma_i^2, kurtosis c, kappa = 2 c sigma_1^2/sigma_2^2, statistical condition number 2 c.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
import numpy.typing as npt
from simlab.theory.statement import Risk, require, theorem
from simlab.theory.two_state import spectrum

__all__ = [
    "condition_exponent",
    "kidambi_heavy_ball_rate_lower",
    "kidambi_heavy_ball_rate_sharp",
    "kidambi_sgd_upper",
    "one_hot_sgd",
]

FloatArray = npt.NDArray[np.float64]
Name = Literal["sgd", "heavy_ball", "asgd"]

INSTANCE = ("sigma_1 >= sigma_2 > 0", "c >= 2")


@theorem(
    kind="exact",
    about="risk of every mode of SGD on one-hot data, constant learning rate",
    source="kidambi2018",
    number="section 3 (one-hot instance)",
    assumptions=("lr > 0", "batch >= 1", "noise_variance >= 0", "g_i != 1"),
    provenance="derived",
)
def one_hot_sgd(
    eigenvalues: npt.ArrayLike,
    initial_error: npt.ArrayLike,
    noise_variance: float,
    kurtosis: npt.ArrayLike,
    lr: float,
    steps: npt.ArrayLike,
    batch: float = 1.0,
) -> Risk:
    """g_i = (1 - x)^2 + (kurtosis_i - 1) x^2/B, x = lr lam_i: bias 1/2 lam delta^2 g^t, variance 1/2 sigma^2 (x^2/B)
    (1 - g^t)/(1 - g).

    Shape of `steps` with (d,) appended. Modes do not feed one another: no term in the total risk. Stable if and only if
    every g_i < 1. Raises OutsideAssumptions.
    """
    lam = spectrum(eigenvalues)
    error = np.broadcast_to(np.asarray(initial_error, dtype=np.float64), lam.shape)
    require(lr > 0.0, "lr > 0", lr=lr)
    require(batch >= 1.0, "batch >= 1", batch=batch)
    require(noise_variance >= 0.0, "noise_variance >= 0", noise_variance=noise_variance)
    x = lr * lam
    gap = x * (2.0 - x * (1.0 + (np.asarray(kurtosis, dtype=np.float64) - 1.0) / batch))
    require(gap != 0.0, "g_i != 1", gap=gap)
    t = np.asarray(steps, dtype=np.float64)[..., None]
    log = np.log1p(-np.minimum(gap, 1.0 - 1e-300))
    bias = 0.5 * lam * error**2 * np.exp(t * log)
    return Risk(bias, 0.5 * noise_variance / batch * x**2 * -np.expm1(t * log) / gap)


@theorem(
    kind="upper",
    about="risk of every mode of SGD on the two-dimensional instance, lr = 1/(c sigma_1^2)",
    source="kidambi2018",
    number="Corollary 1",
    assumptions=(*INSTANCE, "steps >= 0"),
    provenance="printed",
)
def kidambi_sgd_upper(
    sigma_1: float, sigma_2: float, c: float, initial_error: npt.ArrayLike, steps: npt.ArrayLike
) -> Risk:
    """1/2 lam delta^2 exp(-t/kappa), kappa = 2 c sigma_1^2/sigma_2^2, without label noise; shape of `steps` + (2,).

    Proof: g_1 = 1 - 1/c <= exp(-1/kappa); g_2 = 1 - 4/kappa + 4 c/kappa^2 <= 1 - 2/kappa, as kappa >= 2 c. Raises
    OutsideAssumptions.
    """
    kappa = _kappa(sigma_1, sigma_2, c)
    t = np.asarray(steps, dtype=np.float64)[..., None]
    require(t >= 0.0, "steps >= 0", steps=t)
    start = 0.5 * np.array([sigma_1**2, sigma_2**2]) * np.asarray(initial_error, dtype=np.float64) ** 2
    bias = start * np.exp(-t / kappa)
    return Risk(bias, np.zeros_like(bias))


@theorem(
    kind="lower",
    about="factor per step of the risk of heavy ball on the two-dimensional instance, whatever its parameters",
    source="kidambi2018",
    number="Proposition 3",
    assumptions=(*INSTANCE, "lr >= 0", "0 <= momentum < 1"),
    provenance="printed",
)
def kidambi_heavy_ball_rate_lower(sigma_1: float, sigma_2: float, c: float, lr: float, momentum: float) -> float:
    """exp(-500/kappa): the spectral radius of the second moments is at least this. Raises OutsideAssumptions."""
    _check_heavy_ball(lr, momentum)
    return float(np.exp(-500.0 / _kappa(sigma_1, sigma_2, c)))


@theorem(
    kind="lower",
    about="factor per step of the risk of heavy ball on the two-dimensional instance, whatever its parameters",
    source="kidambi2018",
    number="Proposition 3, sharper",
    assumptions=(*INSTANCE, "lr >= 0", "0 <= momentum < 1"),
    provenance="derived",
)
def kidambi_heavy_ball_rate_sharp(sigma_1: float, sigma_2: float, c: float, lr: float, momentum: float) -> float:
    """max(0, 1 - 2 (1 + sqrt m) / ((c - 1) + (1 - m)/(1 + m)) sigma_2^2/sigma_1^2)^2, m = momentum.

    At least (1 - 16/kappa)^2 up to terms that vanish with m -> 1 for c = 2, in place of exp(-500/kappa). Proof. Mode 1
    alone is stable only if (c - 1) lam_1^2 G_1 < 1, that is lr lam_1/(1 - m) < 2/((c - 1) + (1 - m)/(1 + m)); where
    not, the radius is at least 1. The mean of mode 2 contracts by at least 1 - (1 + sqrt m) lam_2 lr/(1 - m) a step
    (`theory.li2024.heavy_ball_rate_lower`), and its second moment by no less than the square. Raises
    OutsideAssumptions.
    """
    _check_heavy_ball(lr, momentum)
    _kappa(sigma_1, sigma_2, c)
    reach = 2.0 / ((c - 1.0) + (1.0 - momentum) / (1.0 + momentum))
    return float(max(0.0, 1.0 - (1.0 + np.sqrt(momentum)) * reach * (sigma_2 / sigma_1) ** 2) ** 2)


@theorem(
    kind="scaling",
    about="exponent of the condition number in the steps that the best parameters need on the instance",
    source="kidambi2018",
    number="Corollaries 1, 2 and Proposition 3",
    assumptions=("method is sgd, heavy_ball or asgd",),
    provenance="printed",
)
def condition_exponent(method: Name) -> float:
    """1 for SGD and heavy ball, 1/2 for ASGD (at a fixed statistical condition number).

    Measured by the authors between 2^4 and 2^12: .85 .. .93, and .51 .. .55 for ASGD. Their table 1 has .95 .. .98 for
    Nesterov's momentum as well, on a grid of parameters, and no theorem: with the step near 0.6 and 1 - momentum of the
    order of kappa^(-1/2), outside that grid, it comes down to about 1/2 (exact spectral radii, `figures/kidambi2018`).
    """
    known = {"sgd": 1.0, "heavy_ball": 1.0, "asgd": 0.5}
    require(method in known, "method is sgd, heavy_ball or asgd", method=method)
    return known[method]


def _kappa(sigma_1: float, sigma_2: float, c: float) -> float:
    require(sigma_1 >= sigma_2 > 0.0, "sigma_1 >= sigma_2 > 0", sigma_1=sigma_1, sigma_2=sigma_2)
    require(c >= 2.0, "c >= 2 (E z^2 = 2, E z^4 = 2 c >= 4)", c=c)
    return 2.0 * c * (sigma_1 / sigma_2) ** 2


def _check_heavy_ball(lr: float, momentum: float) -> None:
    require(lr >= 0.0, "lr >= 0", lr=lr)
    require(0.0 <= momentum < 1.0, "0 <= momentum < 1", momentum=momentum)
