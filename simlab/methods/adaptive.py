"""Methods that are not linear: descent by signs, and all that divides by a history of squared gradients.

Each is a record like any other, which names a rule of `simlab.kernels.rules` and gives the numbers of its steps. They
work coordinate by coordinate, so that the basis of the weights matters: `simlab.descend` runs them in a landscape's own
coordinates, `simlab.sample` in those that it is told, and `simlab.limit` follows their moments in the eigenbasis.
"""

# Annotations of records are evaluated: see `simlab.methods.base`.
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from simlab.arrays import FloatArray, IntArray
from simlab.errors import InputError, brief, check_number
from simlab.kernels import dials as rules
from simlab.methods.base import Number, Steps, method, record
from simlab.methods.weightwise import Adaptive, beta, block_edges, block_sizes, one_number, positive
from simlab.schedules import Schedule, as_schedule

__all__ = [
    "adabound", "adagrad", "adam", "adam_mini", "adamod", "adamw", "lion", "nadam", "radam", "rmsprop", "sign_sgd",
    "signum",
]  # fmt: skip

MULTIPLIED = 1 << 20
"""Factors of Nadam's product that are kept; beyond, it has to be LOST beside 1."""

LOST = 1e-17


@method
class sign_sgd(Adaptive):
    """w <- w - lr sign(g) (Bernstein et al. 2018, arXiv 1802.04434, algorithm 1)."""

    batch: Number = 1
    weight_decay: Number = 0.0
    tacit: ClassVar = ("weight_decay",)
    rule: ClassVar[int] = rules.SIGN


@method
class signum(Adaptive):
    """m <- beta m + (1 - beta) g; w <- w - lr sign(m) (Bernstein et al. 2018, arXiv 1802.04434, algorithm 2)."""

    beta: float = 0.9
    batch: Number = 1
    weight_decay: Number = 0.0
    tacit: ClassVar = ("weight_decay",)
    rule: ClassVar[int] = rules.SIGNUM
    rows: ClassVar[tuple[str, ...]] = ("momentum",)

    def check(self) -> None:
        beta("beta", self.beta)

    def settings(self, t: Steps) -> dict[int, Any]:
        return {rules.B1: self.beta, rules.A1: 1.0 - self.beta}


@method
class lion(Adaptive):
    """w <- w - lr (sign(beta1 m + (1 - beta1) g) + weight_decay w); m <- beta2 m + (1 - beta2) g.

    Source: Chen et al. 2023 (arXiv 2302.06675), program 1 and their code. Decay pulls towards w_0.
    """

    beta1: float = 0.9
    beta2: float = 0.99
    batch: Number = 1
    weight_decay: Number = 0.0
    tacit: ClassVar = ("weight_decay",)
    rule: ClassVar[int] = rules.LION
    rows: ClassVar[tuple[str, ...]] = ("momentum",)

    def check(self) -> None:
        beta("beta1", self.beta1)
        beta("beta2", self.beta2)

    def settings(self, t: Steps) -> dict[int, Any]:
        one, two = self.beta1, self.beta2
        return {rules.B2: one, rules.A2: 1.0 - one, rules.B1: two, rules.A1: 1.0 - two}


@method
class adagrad(Adaptive):
    """v <- v + g^2; w <- w - lr g / (sqrt(v) + eps), from v = initial (Duchi, Hazan and Singer 2011).

    As torch.optim.Adagrad with lr_decay = 0.
    """

    eps: float = 1e-10
    initial: float = 0.0
    batch: Number = 1
    weight_decay: Number = 0.0
    tacit: ClassVar = ("eps", "initial", "weight_decay")
    rule: ClassVar[int] = rules.RMS
    rows: ClassVar[tuple[str, ...]] = ("sum of squares",)

    def check(self) -> None:
        positive("eps", self.eps)
        positive("initial", self.initial)

    def settings(self, t: Steps) -> dict[int, Any]:
        fresh = np.where(t == 0, self.initial, 0.0)
        return {rules.B2: 1.0, rules.A2: 1.0, rules.EPS: self.eps, rules.FRESH: fresh}


@method
class rmsprop(Adaptive):
    """v <- beta v + (1 - beta) g^2; m <- momentum m + g / (sqrt(v) + eps); w <- w - lr m.

    As torch.optim.RMSprop (beta is its alpha), from v = 0 and not centred. Source: Tieleman and Hinton 2012.
    """

    beta: float = 0.99
    momentum: float = 0.0
    eps: float = 1e-8
    batch: Number = 1
    weight_decay: Number = 0.0
    tacit: ClassVar = ("momentum", "eps", "weight_decay")
    rows: ClassVar[tuple[str, ...]] = ("mean square",)

    def check(self) -> None:
        beta("beta", self.beta)
        beta("momentum", self.momentum)
        positive("eps", self.eps)
        heavy = self.momentum > 0.0
        rows = ("mean square", "momentum") if heavy else ("mean square",)
        self._keep(rule=rules.RMS_HEAVY if heavy else rules.RMS, rows=rows)

    def settings(self, t: Steps) -> dict[int, Any]:
        return {rules.B1: self.momentum, rules.B2: self.beta, rules.A2: 1.0 - self.beta, rules.EPS: self.eps}


@record
class Moments(Adaptive):
    """Adam and its relatives: m and v as exponential means of g and g^2, corrected for their start."""

    beta1: Number = 0.9
    beta2: Number = 0.999
    eps: float = 1e-8
    batch: Number = 1
    weight_decay: Number = 0.0
    tacit: ClassVar[tuple[str, ...]] = ("eps", "weight_decay")
    rule: ClassVar[int] = rules.ADAM
    rows: ClassVar[tuple[str, ...]] = ("momentum", "mean square")

    def check(self) -> None:
        for name in ("beta1", "beta2"):
            beta(name, getattr(self, name), moving=True)
            self._schedules[name] = as_schedule(getattr(self, name), self.length, name)
            self._settle(name)
        positive("eps", self.eps)

    def fresh(self, name: str, t: Steps) -> FloatArray:
        """1 - prod of beta over the steps 0 .. t: the sum of the weights that a mean gives to what it has seen."""
        beta = getattr(self, name)
        if isinstance(beta, Schedule):
            with np.errstate(divide="ignore"):
                out: FloatArray = -np.expm1(np.cumsum(np.log(self.at(name, np.arange(t[-1] + 1))))[t])
            return out
        return -np.expm1((t + 1.0) * np.log(beta)) if beta > 0.0 else np.ones(t.size)

    def settings(self, t: Steps) -> dict[int, Any]:
        one, two = self.at("beta1", t), self.at("beta2", t)
        return {
            rules.B1: one,
            rules.A1: 1.0 - one,
            rules.B2: two,
            rules.A2: 1.0 - two,
            rules.CM: 1.0 / self.fresh("beta1", t),
            rules.CV: 1.0 / np.sqrt(self.fresh("beta2", t)),
            rules.EPS: self.eps,
        }


@method
class adam(Moments):
    """m <- beta1 m + (1 - beta1) g; v <- beta2 v + (1 - beta2) g^2; w <- w - lr m^ / (sqrt(v^) + eps).

    m^ = m / (1 - beta1^t), v^ = v / (1 - beta2^t), as torch.optim.Adam. Source: Kingma and Ba 2014 (arXiv 1412.6980),
    algorithm 1. amsgrad : divide by the largest v so far (Reddi, Kale and Kumar 2018). `weight_decay` pulls
    towards w_0 and is decoupled, as in `adamw`.
    """

    amsgrad: bool = False
    tacit: ClassVar = ("eps", "weight_decay", "amsgrad")

    def check(self) -> None:
        super().check()
        if self.amsgrad:
            self._keep(rule=rules.AMSGRAD, rows=(*self.rows, "largest mean square"))


@method
class adamw(Moments):
    """Adam with decoupled decay: w <- w - lr weight_decay (w - w_0) besides the step (Loshchilov and Hutter 2019, arXiv
    1711.05101); `weight_decay` may be a schedule. As torch.optim.AdamW.
    """

    weight_decay: Number = 0.01
    tacit: ClassVar = ("eps",)


@method
class nadam(Moments):
    """Adam that looks ahead: w <- w - lr [(1 - mu_t) g / (1 - prod mu) + mu_(t+1) m / (1 - mu_(t+1) prod mu)] / (..).

    mu_t = beta1 (1 - 0.5 x 0.96^(t momentum_decay)), as torch.optim.NAdam. Source: Dozat 2016.
    """

    momentum_decay: float = 4e-3
    tacit: ClassVar = ("eps", "weight_decay", "momentum_decay")

    def check(self) -> None:
        super().check()
        one_number("beta1", self.beta1)
        positive("momentum_decay", self.momentum_decay)
        mu = self._of(np.arange(1, min(self.length + 1, MULTIPLIED) + 1))
        product = np.cumprod(mu)
        if self.length >= MULTIPLIED and product[-1] > LOST:
            raise InputError(
                f" = {brief(self.beta1)} still counts its start after {MULTIPLIED} steps; give a smaller one.", "beta1"
            )
        self._keep(_mu=mu, _product=product)

    def _of(self, steps: IntArray) -> FloatArray:
        """mu of the steps counted from 1."""
        return np.asarray(self.beta1 * (1.0 - 0.5 * 0.96 ** (steps * self.momentum_decay)))

    def _fresh(self, t: Steps) -> tuple[FloatArray, FloatArray]:
        """mu_t, and 1 - the product of all up to it, of the steps t: beyond those multiplied nothing is left of it."""
        mu, product = self.__dict__["_mu"], self.__dict__["_product"]
        known, within = t < mu.size, np.minimum(t, mu.size - 1)
        if known.all():
            return mu[within], 1.0 - product[within]
        return np.where(known, mu[within], self._of(t + 1)), np.where(known, 1.0 - product[within], 1.0)

    def settings(self, t: Steps) -> dict[int, Any]:
        (now, fresh), (after, fresher) = self._fresh(t), self._fresh(t + 1)
        return {**super().settings(t), rules.CM: after / fresher, rules.CG: (1.0 - now) / fresh}


@method
class radam(Moments):
    """Adam, its step times r_t where the length rho_t of the mean of squares is above 5, else momentum undivided.

    rho = 2 / (1 - beta2) - 1; rho_t = rho - 2 t beta2^t / (1 - beta2^t); r_t^2 = (rho_t - 4) (rho_t - 2) rho /
    ((rho - 4) (rho - 2) rho_t). As torch.optim.RAdam. Source: Liu et al. 2019 (arXiv 1908.03265), algorithm 2.
    """

    def check(self) -> None:
        super().check()
        one_number("beta2", self.beta2)

    def rectification(self, t: Steps) -> FloatArray:
        """r_t of the steps t (0 for the first); 0 where rho_t is at most 5."""
        n, fresh = t + 1.0, self.fresh("beta2", t)
        whole = 2.0 / (1.0 - float(self.beta2)) - 1.0  # type: ignore[arg-type]
        own = whole - 2.0 * n * (1.0 - fresh) / fresh
        good = own > 5.0
        rho = np.where(good, own, 6.0)
        ratio = (rho - 4.0) * (rho - 2.0) * whole / ((whole - 4.0) * (whole - 2.0) * rho)
        return np.where(good, np.sqrt(np.where(good, ratio, 1.0)), 0.0)

    def settings(self, t: Steps) -> dict[int, Any]:
        given, r = super().settings(t), self.rectification(t)
        good, root = r > 0.0, given[rules.CV]
        given[rules.CM] = given[rules.CM] * np.where(good, r, 1.0)
        # PyTorch and the authors add eps to sqrt(v) before the correction.
        return {**given, rules.CV: np.where(good, root, 0.0), rules.EPS: np.where(good, self.eps * root, 1.0)}


@method
class adabound(Moments):
    """Adam whose rate in every coordinate is held within bounds that close in on `final_lr`, that of SGD.

    low, high = f (1 - 1 / (gamma t + 1)), f (1 + 1 / (gamma t)), f = final_lr lr_t / peak, t from 1. Source: Luo et al.
    2019 (arXiv 1902.09843) and their code.
    """

    final_lr: float = 0.1
    gamma: float = 1e-3
    tacit: ClassVar = ("eps", "weight_decay")
    rule: ClassVar[int] = rules.BOUND

    def check(self) -> None:
        super().check()
        check_number("final_lr", self.final_lr, low=0.0, open_low=True)
        check_number("gamma", self.gamma, low=0.0, open_low=True)

    def settings(self, t: Steps) -> dict[int, Any]:
        given, n = _eps_before(super().settings(t)), self.gamma * (t + 1.0)
        final = self.final_lr / max(self.lr.peak(), 1e-300)
        return {**given, rules.LOW: final * (1.0 - 1.0 / (n + 1.0)), rules.HIGH: final * (1.0 + 1.0 / n)}


@method
class adamod(Moments):
    """Adam whose rate in every coordinate is at most its own mean s <- beta3 s + (1 - beta3) rate, from s = 0.

    Source: Ding et al. 2019 (arXiv 1910.12249), algorithm 1 and their code.
    """

    beta3: float = 0.999
    rule: ClassVar[int] = rules.MOD
    rows: ClassVar[tuple[str, ...]] = ("momentum", "mean square", "mean rate")

    def check(self) -> None:
        super().check()
        beta("beta3", self.beta3)

    def settings(self, t: Steps) -> dict[int, Any]:
        return {**_eps_before(super().settings(t)), rules.LOW: self.beta3}


def _eps_before(given: dict[int, Any]) -> dict[int, Any]:
    """eps is added to sqrt(v) before it is corrected for its start, as both authors' code does."""
    return {**given, rules.EPS: given[rules.EPS] * given[rules.CV]}


@method
class adam_mini(Moments):
    """Adam with one v for each block of coordinates, the mean of its squares (Zhang et al. 2024, arXiv 2406.16793).

    blocks : sizes of consecutive blocks, which sum to the number of coordinates; or one number, the size of all of them
    (the last may be smaller).
    """

    blocks: npt.ArrayLike = 1

    def check(self) -> None:
        super().check()
        self._keep(blocks=block_sizes(self.blocks))

    def edges(self, dim: int) -> IntArray:
        sizes: Any = self.blocks
        return block_edges(sizes, dim)
