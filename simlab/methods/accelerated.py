"""Accelerated and schedule-free methods: ASGD with its parameter rules, AccSGD, AcSGD, Schedule-Free SGD, DANA."""

from __future__ import annotations

from numbers import Real
from typing import Any, ClassVar, TypedDict

import numpy as np

from simlab.arrays import FloatArray
from simlab.doors import door
from simlab.errors import InputError, brief, check_count, check_fraction, check_number
from simlab.methods.base import Coefficients, Number, Rated, Steps, arrays, method
from simlab.methods.weights import long_kink, newest_share
from simlab.problems.base import DiagonalProblem
from simlab.schedules import Schedule, as_schedule

__all__ = [
    "AsgdParameters",
    "acc_sgd",
    "acsgd",
    "asgd",
    "dana",
    "jain_2018_rule",
    "li_2024_rule",
    "schedule_free",
]

APART = np.array([[1.0, 0.0], [-1.0, 1.0]])
"""Coordinates (x, v - x) of a method in which x and v move towards each other."""


class AsgdParameters(TypedDict):
    """The four parameters of ASGD: short step delta, long step gamma, mixing alpha and beta."""

    delta: float
    gamma: float
    alpha: float
    beta: float


@method
class asgd(Rated):
    """Accelerated SGD of Jain et al. 2018: y = alpha x + (1-alpha) v; x <- y - delta g(y); v <- beta y + (1-beta) v -
    gamma g(y).

    Parameters
    ----------
    lr : schedule of the short step delta.
    gamma : long step; a number is its value where lr peaks, and it follows the shape of lr; a schedule is taken as it
        is.
    beta : in [0, 1]; alpha : in [0, 1], default 1 / (1 + beta) (both papers).

    Sources: Jain, Kakade, Kidambi, Netrapalli and Sidford 2018 (arXiv 1704.08227), algorithm 1; Li, Deng, Wu, Zhou and
    Gu 2024 (arXiv 2311.14222). `jain_2018_rule` and `li_2024_rule` give parameters.
    """

    gamma: Number
    beta: float
    alpha: float | None = None
    batch: Number = 1
    rates: ClassVar = ("lr", "gamma")
    z0, iterate = np.ones(2), np.array([1.0, 0.0])
    coordinates = ("iterate", "long-step iterate")

    def check(self) -> None:
        self._keep(beta=check_fraction("beta", self.beta))
        if self.alpha is not None:
            check_fraction("alpha", self.alpha)
        self._schedules["gamma"] = _following(self.lr, "gamma", self.gamma)
        self._settle("gamma")

    def recursion(self, t: Steps) -> Coefficients:
        beta = self.beta
        alpha = 1.0 / (1.0 + beta) if self.alpha is None else float(self.alpha)
        M = [[alpha, 1.0 - alpha], [beta * alpha, beta * (1.0 - alpha) + 1.0 - beta]]
        return arrays(t.size, M, [self.at("lr", t), self.at("gamma", t)], [alpha, 1.0 - alpha])

    def increments(self, t: Steps) -> Coefficients:
        _, b, c = self.recursion(t)
        alpha, far = c[0] if t.size else (1.0, 0.0)
        back = self.beta * alpha
        return Coefficients(arrays(t.size, [[-far, far], [back, -back]], [0.0, 0.0], [0.0, 0.0]).M, b, c)

    @property
    def basis(self) -> FloatArray:
        return APART


def _following(lr: Schedule, field: str, long: Any) -> Schedule:
    """A long step as a schedule: as it is, or of the shape of `lr` with this peak."""
    if not isinstance(long, Real):
        return as_schedule(long, lr.length, field)
    peak, top = check_number(field, long, low=0.0), lr.peak()
    return lr * (peak / top) if top > 0.0 else lr


@door
def jain_2018_rule(problem: DiagonalProblem, c1: float = 0.25) -> AsgdParameters:
    """ASGD parameters of Jain et al. 2018 (arXiv 1704.08227) for Gaussian data; constants reconstructed, not an oracle.

    With R^2 = tr H + 2 lam_1, kappa = R^2 / lam_d and statistical condition number kappa~ = d + 2 (the Gaussian
    values), c2^2 = 1 / (6 (2 - c1)), r = sqrt(2 c1 - c1^2), c3 = c2 r / c1: delta = c1 / R^2, gamma = c2 r / (lam_d
    sqrt(kappa kappa~)), beta = c3 r / sqrt(kappa kappa~), alpha = sqrt(kappa kappa~) / (c2 r + sqrt(kappa kappa~)), c1
    in (0, 1/2). The tests hold the resulting method stable by the exact operator; the paper's wording was not at hand.
    """
    _check_problem(problem)
    if not 0.0 < check_number("c1", c1) < 0.5:
        raise InputError(f" = {brief(c1)} is outside (0, 1/2); the paper's range.", "c1")
    modes = problem.modes()
    smallest = float(modes.eigenvalues.min())
    r_square = float(modes.multiplicity @ modes.eigenvalues) + 2.0 * float(modes.eigenvalues.max())
    root = float(np.sqrt(r_square / smallest * (problem.dim + 2.0)))
    c2 = float(np.sqrt(1.0 / 6.0 / (2.0 - c1)))
    r = float(np.sqrt(2.0 * c1 - c1**2))
    c3 = c2 * r / c1
    return AsgdParameters(
        delta=c1 / r_square,
        gamma=c2 * r / (smallest * root),
        alpha=root / (c2 * r + root),
        beta=c3 * r / root,
    )


def _check_problem(problem: Any) -> None:
    if not isinstance(problem, DiagonalProblem):
        raise InputError(
            f" = {brief(problem)} has no independent coordinates; give a LinearRegression, say.", "problem"
        )


@door
def li_2024_rule(
    problem: DiagonalProblem, effective_dim: int, delta: float | None = None, psi: float = 3.0
) -> AsgdParameters:
    """ASGD parameters of Li et al. 2024 (arXiv 2311.14222): alpha = 1 / (1 + beta), beta = delta / (psi k~ gamma).

    `effective_dim` k~ is the number of directions allowed to saturate with momentum noise; delta defaults to
    1 / (2 psi tr H) and gamma to 1 / (2 psi sum_{i > k~} lam_i), not below delta. psi is the fourth-moment constant,
    3 for Gaussian data. The form of beta is the paper's, the constants 1/2 are reconstructed.
    """
    _check_problem(problem)
    effective_dim = check_count("effective_dim", effective_dim, high=problem.dim - 1)
    psi = check_number("psi", psi, low=1.0)
    modes = problem.modes()
    mass = modes.multiplicity * modes.eigenvalues
    short = (
        1.0 / (2.0 * psi * float(mass.sum())) if delta is None else check_number("delta", delta, low=0.0, open_low=True)
    )
    tail = float(mass[modes.start >= effective_dim].sum())
    gamma = max(short, 1.0 / (2.0 * psi * tail))
    beta = short / (psi * effective_dim * gamma)
    return AsgdParameters(delta=short, gamma=gamma, alpha=1.0 / (1.0 + beta), beta=beta)


@method
class acc_sgd(Rated):
    """AccSGD as its authors published it, in the state (w, wbar); output is the last iterate w.

    a = 1 - s^2 xi / kappa, theta = s / (s + 1 - a), s = `small_const`: wbar <- a wbar + (1-a)(w - (kappa lr / s) g),
    w <- theta (w - lr g) + (1 - theta) wbar. Source: Kidambi et al. 2018 (arXiv 1803.05591) and the package AccSGD,
    whose a has s^2 where the paper prints none. kappa >= 1 is the ratio of long to short step, xi <= sqrt(kappa) the
    advantage.
    """

    kappa: float
    xi: float
    batch: Number = 1
    small_const: float = 0.7
    tacit: ClassVar = ("small_const",)
    z0, iterate = np.ones(2), np.array([1.0, 0.0])
    coordinates = ("iterate", "running average")

    def check(self) -> None:
        kappa, xi = check_number("kappa", self.kappa, low=1.0), check_number("xi", self.xi, low=0.0, open_low=True)
        s = check_number("small_const", self.small_const, low=0.0, open_low=True)
        self._keep(kappa=kappa, xi=xi, small_const=s)
        if 1.0 - s**2 * xi / kappa < 0.0:
            raise InputError(
                f" = {xi:g} is too large for kappa = {kappa:g}; give xi of at most sqrt(kappa) = {kappa**0.5:g}.", "xi"
            )

    def recursion(self, t: Steps) -> Coefficients:
        lr, kappa, s = self.at("lr", t), self.kappa, self.small_const
        a = 1.0 - s**2 * self.xi / kappa
        theta = s / (s + 1.0 - a)
        M = [[theta + (1.0 - theta) * (1.0 - a), (1.0 - theta) * a], [1.0 - a, a]]
        push, far = theta + (1.0 - theta) * (1.0 - a) * kappa / s, (1.0 - a) * kappa / s
        return arrays(t.size, M, [lr * push, lr * far], [1.0, 0.0])

    def increments(self, t: Steps) -> Coefficients:
        _, b, c = self.recursion(t)
        back = self.small_const**2 * self.xi / self.kappa  # 1 - a
        far = back / (self.small_const + back) * (1.0 - back)
        return Coefficients(arrays(t.size, [[-far, far], [back, -back]], [0.0, 0.0], [0.0, 0.0]).M, b, c)

    @property
    def basis(self) -> FloatArray:
        return APART


@method
class acsgd(Rated):
    """AcSGD: y = (n x + z) / (n + 1); x <- y - lr g(y); z <- z - alpha (n + 1) g(y), n = 0, 1, ..; evaluated at x.

    `alpha` as `gamma` in `asgd`. Source: Varre and Flammarion 2022 (arXiv 2203.01744), in a reconstructed form that
    the notes of this project checked numerically; their guarantee is for the average of y_n with weights n + 1.
    """

    alpha: Number
    batch: Number = 1
    rates: ClassVar = ("lr", "alpha")
    z0, iterate = np.ones(2), np.array([1.0, 0.0])
    coordinates = ("iterate", "weighted iterate")

    def check(self) -> None:
        self._schedules["alpha"] = _following(self.lr, "alpha", self.alpha)
        self._settle("alpha")

    def recursion(self, t: Steps) -> Coefficients:
        n = t.astype(np.float64)
        share = n / (n + 1.0)
        b = [self.at("lr", t), self.at("alpha", t) * (n + 1.0)]
        return arrays(t.size, [[share, 1.0 - share], [0.0, 1.0]], b, [share, 1.0 - share])


@method
class schedule_free(Rated):
    """Schedule-Free SGD: y = (1-beta) z + beta x; z <- z - lr g(y); x <- (1-c) x + c z; evaluated at x, in the state
    (z, x).

    c_t is the share of the newest weight (t + 1)^power (max_{s <= t} lr_s)^weight_lr_power, which for a constant rate
    and power 0 is 1 / (t + 1): the authors' code, where power is r. With weight_lr_power = 0 all steps weigh the same,
    those of a warmup too. Source: Defazio et al. 2024 (arXiv 2405.15682), equations 2 to 4.
    """

    beta: Number = 0.9
    batch: Number = 1
    power: float = 0.0
    weight_lr_power: float = 2.0
    fractions: ClassVar = ("beta",)
    tacit: ClassVar = ("power", "weight_lr_power")
    z0, iterate = np.ones(2), np.array([0.0, 1.0])
    coordinates = ("fast iterate", "iterate")
    _share: ClassVar[Any]

    def check(self) -> None:
        power = check_number("power", self.power, low=0.0)
        by_rate = check_number("weight_lr_power", self.weight_lr_power, low=0.0, high=100.0)
        self._keep(_share=newest_share(self.lr, power, by_rate))

    def recursion(self, t: Steps) -> Coefficients:
        lr, beta, ck = self.at("lr", t), self.at("beta", t), self._share(t)
        return arrays(t.size, [[1.0, 0.0], [ck, 1.0 - ck]], [lr, ck * lr], [1.0 - beta, beta])

    def increments(self, t: Steps) -> Coefficients:
        _, b, c = self.recursion(t)
        ck = self._share(t)
        return Coefficients(arrays(t.size, [[0.0, 0.0], [ck, -ck]], [0.0, 0.0], [0.0, 0.0]).M, b, c)

    def breaks(self, t: int) -> int:
        return min(super().breaks(t), long_kink(self.lr, t, self.weight_lr_power))


@method
class dana(Rated):
    """DANA: y <- (1 - D_t) y + g1 g(w); w <- w - lr_t g(w) - g3_t y, D_t = delta / (delta + t), in the state (w, y).

    g3_t = g3 (1 + t)^-decay. DANA-constant has decay = 0 and g3 ~ 1 / d; DANA-decaying has decay = 1 / (2 alpha) on
    data with lam_i ~ i^(-2 alpha) (at batch 1). The authors use g1 = 1, lr = min(1, B / tr H) / 2, g3 = 0.1 (B / d)
    min(1, B / tr H) (constant) or 0.1 min(1, B / tr H) (decaying), delta = 4 + (alpha + beta) / alpha.
    Source: Ferbach, Everett, Gidel, Paquette and Paquette 2025 (arXiv 2505.16098), section 2 and the authors' code.
    """

    g3: float
    decay: float = 0.0
    delta: float = 8.0
    g1: float = 1.0
    batch: Number = 1
    rates: ClassVar = ("lr", "g3")
    tacit: ClassVar = ("decay", "g1")
    z0 = iterate = np.array([1.0, 0.0])
    coordinates = ("iterate", "decaying buffer")

    def check(self) -> None:
        self._keep(g3=check_number("g3", self.g3, low=0.0), decay=check_number("decay", self.decay, low=0.0))
        delta = check_number("delta", self.delta, low=0.0, open_low=True)
        self._keep(delta=delta, g1=check_number("g1", self.g1, low=0.0))

    def recursion(self, t: Steps) -> Coefficients:
        s = t.astype(np.float64)
        keep, push = s / (self.delta + s), self.g3 * (1.0 + s) ** -self.decay
        b = [self.at("lr", t) + push * self.g1, -self.g1]
        return arrays(t.size, [[1.0, -push * keep], [0.0, keep]], b, [1.0, 0.0])
