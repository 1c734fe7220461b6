"""High-dimensional linear regression with independent coordinates: the model of one-pass SGD."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from numbers import Real
from typing import TYPE_CHECKING, Any, Literal, Self, overload

import numpy as np
import numpy.typing as npt

from simlab.arrays import FloatArray, IntArray
from simlab.doors import door
from simlab.errors import InputError, check_array, check_count, check_number
from simlab.problems.base import (
    Immutable,
    Modes,
    check_signal,
    frozen,
    per_mode,
    positive_eigenvalues,
    problem,
    refrozen,
    sort_descending,
)
from simlab.problems.density import Negative, counts_of_density, positive_part
from simlab.quadrature import Nodes
from simlab.spectra import (
    MAX_MODES,
    Exponential,
    Family,
    IndexFunction,
    Logarithmic,
    Power,
    Scaled,
    marchenko_pastur,
    unit_of,
)

if TYPE_CHECKING:
    from simlab.problems.compression import Dynamics
    from simlab.problems.empirical import EmpiricalRegression
    from simlab.problems.rows import HeldOut
    from simlab.subspaces import Subspaces

__all__ = ["LinearRegression"]


MOST_MODES = 10**18
"""Modes of one problem: their indices, and the sum of two of these, are int64."""


@problem(
    "eigenvalues", "exponential", "isotropic", "logarithmic", "marchenko_pastur", "one_hot", "power_law", "two_level"
)
class LinearRegression(Immutable):
    """y = <w*, x> + eps with x = sum_i sqrt(lam_i) xi_i e_i, xi_i independent of mean 0, variance 1, fourth moment
    kurtosis.

    Parameters
    ----------
    eigenvalues : (d,) array, positive; lam_i of the data covariance H (sorted descending with a notice if need be).
    initial_error : (d,) array or number; w_0 - w* in the eigenbasis of H. Methods that care where the origin is (weight
        decay) take w_0 = 0.
    noise_variance : sigma^2 >= 0 of the label noise eps; the test loss is risk + sigma^2 / 2.
    kurtosis : E xi_i^4 >= 1, one number or (d,) (Gaussian 3, Rademacher 1, uniform 1.8, Laplace 6).
    multiplicity : (d,) array, positive; entry i stands for that many modes of this eigenvalue and initial error.

    Raises InputError for values that are refused. Instances are immutable.
    """

    @door
    def __init__(
        self,
        eigenvalues: npt.ArrayLike,
        initial_error: npt.ArrayLike,
        noise_variance: float,
        kurtosis: npt.ArrayLike = 3.0,
        multiplicity: npt.ArrayLike | None = None,
    ) -> None:
        lam = positive_eigenvalues(eigenvalues)
        n = lam.size
        error = per_mode("initial_error", initial_error, n)
        count = np.ones(n) if multiplicity is None else check_array("multiplicity", multiplicity, length=n, low=0.0)
        if np.any(count <= 0.0):
            raise InputError(" holds a zero; leave that eigenvalue out, or count it at least once.", "multiplicity")
        kurt = per_mode("kurtosis", kurtosis, n)
        if np.any(kurt < 1.0):
            raise InputError(
                f" = {kurt.min():g} is below 1, which no distribution has; the Gaussian value is 3.", "kurtosis"
            )
        lam, error, count, kurt, order = sort_descending(lam, error, count, kurt, np.arange(n, dtype=np.float64))
        self._directions: IntArray | None = order.astype(np.int64)
        self._noise = check_number("noise_variance", noise_variance, low=0.0)
        self._kurtosis = kurt if np.any(kurt != kurt[0]) else float(kurt[0])
        self._coupled, self._origin = True, dict[str, Any]()
        self._family: Family | None = None
        self._heldout: tuple[HeldOut, FloatArray] | None = None
        self._nodes = _nodes(lam, check_signal(lam, error, count), count)
        self._error: FloatArray | None = frozen(error)

    @staticmethod
    def _of(spectrum: Family | Nodes, noise_variance: float, kurtosis: float) -> LinearRegression:
        """The regression with this spectrum: a family, of which no array is made until one is asked for, or nodes."""
        made = LinearRegression([1.0], [1.0], noise_variance, check_number("kurtosis", kurtosis, low=1.0))
        made._error = made._directions = None
        if isinstance(spectrum, Family):
            made._family = spectrum
            del made._nodes
        else:
            made._nodes = refrozen(spectrum)
        return made

    def _by(self, builder: str, **given: Any) -> Self:
        """The same, under the name of what has just made it."""
        self._origin = {"builder": builder, **given}
        return self

    # -- what it is ---------------------------------------------------------------------------------------------------

    @cached_property
    def _nodes(self) -> Nodes:
        assert self._family is not None
        lam, signal = self._family.arrays()
        return _nodes(lam, signal, np.ones(lam.size))

    @property
    def dim(self) -> int:
        """Number of modes d (for a compressed problem: of the original)."""
        return self._family.dim if self._family is not None else int(self._nodes.stop.max())

    @property
    def eigenvalues(self) -> FloatArray:
        """lam, shape (n,), descending; n = d unless the problem is compressed."""
        return self._nodes.eigenvalues

    @property
    def initial_error(self) -> FloatArray:
        """w_0 - w*, shape (n,) (root mean square per mode of a node; NaN on the noise-only or signal-only nodes)."""
        if self._error is not None:
            return self._error
        lam, signal, count, _, _ = self._nodes
        error = np.full(lam.size, np.nan)
        np.divide(signal, count * lam, out=error, where=count > 0.0)
        return frozen(np.sqrt(error))

    @property
    def directions(self) -> IntArray:
        """Which of the eigenvalues, as they were given, each of the sorted ones is, shape (n,)."""
        return np.arange(self.eigenvalues.size) if self._directions is None else self._directions

    @property
    def multiplicity(self) -> FloatArray:
        """Number of modes that each node stands for, shape (n,)."""
        return self._nodes.multiplicity

    @property
    def noise_variance(self) -> float:
        """sigma^2."""
        return self._noise

    @property
    def kurtosis(self) -> float | FloatArray:
        """E xi^4, one number or shape (n,)."""
        return self._kurtosis

    @property
    def coupled(self) -> bool:
        """Whether coordinates share samples; False for one-hot data."""
        return self._coupled

    @property
    def heldout(self) -> HeldOut | None:
        """Rows held out from the data set that it was made of."""
        return None if self._heldout is None else self._heldout[0]

    @property
    def outputs(self) -> int:
        """Targets of a row of the data set that it was made of."""
        return int(self._origin.get("outputs", 1))

    @property
    def errors(self) -> FloatArray:
        """(outputs, n) : w_0 - w* of each output of the data set, which the loss on its held-out rows needs."""
        return self.initial_error[None] if self._heldout is None else self._heldout[1]

    @property
    def compressed(self) -> bool:
        """Whether a node may stand for modes that differ."""
        return "compressed_to" in self._origin

    @property
    def divisible(self) -> bool:
        """Whether nodes may stand for it: it is not compressed yet, and of one kurtosis."""
        return not self.compressed and isinstance(self._kurtosis, float)

    @property
    def node_count(self) -> int:
        """How many modes, or nodes that stand for several, an engine would step."""
        return self._family.dim if self._family is not None else int(self._nodes.eigenvalues.size)

    def counts_at_least(self, thresholds: FloatArray) -> IntArray:
        """The same for many thresholds, shape of `thresholds` (for a compressed problem: to the resolution of its
        nodes).
        """
        if self._family is not None:
            return self._family.counts_at_least(thresholds)
        lam, _, _, _, stop = self._nodes
        order = np.argsort(-lam, kind="stable")
        reached = np.concatenate([[0], np.maximum.accumulate(stop[order])])
        counts: IntArray = reached[np.searchsorted(-lam[order], -thresholds, side="right")]
        return counts

    def modes(self) -> Modes:
        """The nodes as the engines take them."""
        lam, signal, count, start, stop = self._nodes
        square = (lam / unit_of(lam)) ** 2
        # Without coupling (one-hot data) a coordinate's own term is kurtosis - 1; with it, one lam^2 p_i is in the sum.
        own = np.asarray(self._kurtosis) - (2.0 if self._coupled else 1.0)
        return Modes(lam, signal, own * square, count * square, self._noise, float(self._coupled), count, start, stop)

    def describe(self) -> dict[str, Any]:
        """JSON-able provenance of the problem."""
        kurtosis = self._kurtosis if isinstance(self._kurtosis, float) else "per coordinate"
        facts = {"dim": self.dim, "noise_variance": self._noise, "kurtosis": kurtosis}
        return {"kind": "LinearRegression", **self._origin, **facts}

    def __repr__(self) -> str:
        known = self.__dict__.get("_nodes")
        nodes = f", nodes={known.eigenvalues.size}" if known is not None and known.eigenvalues.size != self.dim else ""
        origin = self._origin.get("builder", "")
        return f"LinearRegression({origin and origin + ', '}dim={self.dim}{nodes}, noise_variance={self._noise:g})"

    # -- few nodes in place of many -----------------------------------------------------------------------------------

    @door
    def compress(
        self,
        tolerance: float = 1e-10,
        subspaces: Subspaces | str | None = None,
        method: Dynamics | Sequence[Dynamics] | None = None,
    ) -> LinearRegression:
        """The same problem on few weighted nodes. The risk of each subspace is right to `tolerance`, relative to itself
        as long as it is above 1e-12 of what it was at its largest, and to `tolerance` times that below.

        Sums over modes become Gauss rules (see `simlab.quadrature`), so that a run's cost stops depending on dim. No
        node straddles a boundary of `subspaces`. Without `method` the rule is made for dynamics that decay without
        oscillation (SGD and averages of it); give the method, or all that will run, for momentum, whose modes
        oscillate, and for `effective` subspaces.

        Raises InputError for a kurtosis that differs between coordinates, and where the tolerance asks for more nodes
        than are sensible.
        """
        from simlab.problems.compression import compressed

        if not isinstance(self._kurtosis, float):
            remedy = "compress a problem with one number for all"
            raise InputError(f" differs between coordinates, which nodes cannot stand for; {remedy}.", "kurtosis")
        nodes = compressed(self, self._family, tolerance, subspaces, method)
        made = self._of(nodes, self._noise, self._kurtosis)
        made._coupled, made._origin = self._coupled, {**self._origin, "compressed_to": float(tolerance)}
        return made

    # -- a domain beside this one -------------------------------------------------------------------------------------

    @door
    def shifted(
        self,
        covariance: npt.ArrayLike = 1.0,
        optimum: npt.ArrayLike = 0.0,
        noise_variance: float | None = None,
    ) -> LinearRegression:
        """The same directions with other eigenvalues, another optimum and other noise: a second domain of a `Mixture`.

        covariance : what each eigenvalue is multiplied by, (n,), one number for all, or two that take turns (covariate
        shift).  optimum : what is added to w*, (n,), or a number c: c w*_i, up and down in turn, so that w* moves by c
        times its size (concept shift).  noise_variance : by default that of this one.

        Entry i of an array is the mode i of this problem; `directions` of the new one says where each has gone.
        """
        if self.compressed:
            raise InputError(
                " is compressed, and its nodes do not say where each mode is; give the original.", "problem"
            )
        n, turn = self.eigenvalues.size, np.where(np.arange(self.eigenvalues.size) % 2, -1.0, 1.0)
        pair = None if isinstance(covariance, Real) else check_array("covariance", covariance)
        factor = covariance if pair is None else np.resize(pair, n) if pair.size == 2 and n > 2 else pair
        lam = self.eigenvalues * per_mode("covariance", factor, n, low=0.0)
        if not np.all(lam > 0.0):
            raise InputError(" holds a zero, which leaves no eigenvalue; give positive numbers.", "covariance")
        move, error = per_mode("optimum", optimum, n), self.initial_error
        error = error + move * turn * error if isinstance(optimum, Real) else error - move
        order = np.argsort(-lam, kind="stable")
        kurtosis = np.broadcast_to(self.kurtosis, lam.shape)[order]
        noise = self._noise if noise_variance is None else noise_variance
        made = LinearRegression(lam[order], error[order], noise, kurtosis, self.multiplicity[order])
        made._directions, made._origin = self.directions[order], {**self._origin, "shifted": True}
        made._coupled = self._coupled
        return made

    # -- builders -----------------------------------------------------------------------------------------------------

    @classmethod
    @door
    def power_law(
        cls, dim: int, capacity: float, source: float, noise_variance: float = 0.0, kurtosis: float = 3.0
    ) -> LinearRegression:
        """lam_i = i^-capacity, lam_i initial_error_i^2 = i^-source (capacity and source conditions, both usually > 1).

        No array of length dim is made until one is asked for: dim = 10**12 is fine together with `compress`.
        """
        dim = check_count("dim", dim, high=MOST_MODES)
        a, b = check_number("capacity", capacity, low=0.0), check_number("source", source)
        made = cls._of(Family(dim, Power(a), Power(b)), noise_variance, kurtosis)
        return made._by("power_law", capacity=a, source=b)

    @classmethod
    @door
    def logarithmic(
        cls,
        dim: int,
        noise_variance: float = 0.0,
        power: float = 2.0,
        initial_error: float = 1.0,
        source: float | None = None,
        kurtosis: float = 3.0,
    ) -> LinearRegression:
        """lam_i = 1 / (i log^power(i + 1)): the slowest summable spectra (Zou et al. 2021, arXiv 2103.12692, Cor. 2.3).

        The signal is lam_i initial_error^2, or i^-source if `source` is given.
        """
        dim, power = check_count("dim", dim, high=MOST_MODES), check_number("power", power)
        eigenvalue = Logarithmic(power)
        signal = _signal(eigenvalue, initial_error, source)
        made = cls._of(Family(dim, eigenvalue, signal), noise_variance, kurtosis)
        return made._by("logarithmic", power=power, initial_error=initial_error, source=source)

    @classmethod
    @door
    def exponential(
        cls,
        dim: int,
        rate: float,
        noise_variance: float = 0.0,
        initial_error: float = 1.0,
        source: float | None = None,
        kurtosis: float = 3.0,
    ) -> LinearRegression:
        """lam_i = exp(-rate (i - 1)), largest eigenvalue 1; the signal as in `logarithmic`."""
        dim, rate = check_count("dim", dim, high=MOST_MODES), check_number("rate", rate, low=0.0, open_low=True)
        if rate * (dim - 1) > 690.0:
            raise InputError(
                f" = {dim} at rate = {rate:g} ends below 1e-300; give dim of at most {int(690 / rate) + 1}.", "dim"
            )
        eigenvalue = Exponential(rate)
        signal = _signal(eigenvalue, initial_error, source)
        made = cls._of(Family(dim, eigenvalue, signal), noise_variance, kurtosis)
        return made._by("exponential", rate=rate, initial_error=initial_error, source=source)

    @classmethod
    @door
    def two_level(
        cls,
        head: int,
        tail: int,
        ratio: float,
        noise_variance: float = 0.0,
        initial_error: float | Sequence[float] = 1.0,
        kurtosis: float = 3.0,
    ) -> LinearRegression:
        """`head` modes of eigenvalue 1 and `tail` modes of eigenvalue 1 / ratio: two nodes with multiplicities.

        `initial_error`: one number, or (head's, tail's). `ratio` >= 1 is the condition number.
        """
        head, tail = (check_count(field, n, high=MOST_MODES // 2) for field, n in (("head", head), ("tail", tail)))
        ratio = check_number("ratio", ratio, low=1.0)
        error = per_mode("initial_error", initial_error, 2)
        made = cls([1.0, 1.0 / ratio], error, noise_variance, kurtosis, [head, tail])
        return made._by("two_level", head=head, tail=tail, ratio=ratio)

    @classmethod
    @door
    def isotropic(
        cls,
        dim: int,
        noise_variance: float = 0.0,
        eigenvalue: float = 1.0,
        initial_error: float = 1.0,
        kurtosis: float = 3.0,
    ) -> LinearRegression:
        """`dim` equal eigenvalues: one node."""
        dim = check_count("dim", dim, high=MOST_MODES)
        made = cls([eigenvalue], [initial_error], noise_variance, kurtosis, [dim])
        return made._by("isotropic", eigenvalue=eigenvalue)

    @classmethod
    @door
    def marchenko_pastur(
        cls,
        dim: int,
        ratio: float,
        noise_variance: float = 0.0,
        initial_error: npt.ArrayLike = 1.0,
        kurtosis: float = 3.0,
    ) -> LinearRegression:
        """Eigenvalues at the quantiles of the Marchenko-Pastur law of ratio = dim / samples <= 1 (white data)."""
        dim = check_count("dim", dim, high=MAX_MODES)
        made = cls(marchenko_pastur(dim, ratio), initial_error, noise_variance, kurtosis)
        return made._by("marchenko_pastur", ratio=ratio)

    @classmethod
    @door
    def one_hot(
        cls,
        probabilities: npt.ArrayLike,
        initial_error: npt.ArrayLike = 1.0,
        noise_variance: float = 0.0,
        scale: npt.ArrayLike = 1.0,
    ) -> LinearRegression:
        """x = scale_i e_i with probability p_i: coordinates that never meet (Kidambi et al. 2018, arXiv 1803.05591).

        lam_i = p_i scale_i^2, kurtosis_i = 1 / p_i, and no coupling between modes; probabilities sum to at most 1 (with
        the rest x = 0).
        """
        p = positive_eigenvalues(probabilities)
        if p.sum() > 1.0 + 1e-12:
            raise InputError(f" sum to {p.sum():g}; give probabilities that sum to at most 1.", "probabilities")
        size, error = per_mode("scale", scale, p.size), per_mode("initial_error", initial_error, p.size)
        order = np.argsort(-p * size**2, kind="stable")
        made = cls((p * size**2)[order], error[order], noise_variance, (1.0 / p)[order])._by("one_hot")
        made._coupled = False
        return made

    @classmethod
    @door
    def from_density(
        cls,
        values: npt.ArrayLike,
        density: npt.ArrayLike,
        dim: int,
        noise_variance: float = 1.0,
        initial_error: float = 1.0,
        kurtosis: float = 3.0,
        negative: Negative = "drop",
        condition: float | None = None,
    ) -> LinearRegression:
        """`dim` modes distributed as a measured density: of a Hessian by PyHessian, or stochastic Lanczos quadrature.

        values, density : (n,) eigenvalues and their weights >= 0, of any sum; on a grid that is not uniform, the weight
        of each point and not the density there. An eigenvalue stands for whole modes, the largest for one at least, so
        that any subspace cuts exactly. What a density does not say is chosen: `noise_variance` and `initial_error`, one
        number for all modes.
        negative : "drop", "clip" to the least positive eigenvalue, or "reflect"; the share is said.  condition : leave
        out what lies below lam_1 / condition.
        """
        lam, mass = positive_part(values, density, negative, condition, "values")
        counts = counts_of_density(mass, dim)
        held = counts > 0
        made = cls(lam[held], check_number("initial_error", initial_error), noise_variance, kurtosis, counts[held])
        return made._by("from_density", dim=dim, negative=negative, condition=condition)

    @overload
    @classmethod
    def from_data(
        cls,
        X: Any,
        y: npt.ArrayLike,
        moments: Literal["gaussian"] = ...,
        rank_tolerance: float | None = ...,
        holdout: Any = ...,
        holdout_seed: int = ...,
    ) -> LinearRegression: ...
    @overload
    @classmethod
    def from_data(
        cls,
        X: Any,
        y: npt.ArrayLike,
        moments: Literal["empirical"],
        rank_tolerance: float | None = ...,
        holdout: Any = ...,
        holdout_seed: int = ...,
    ) -> EmpiricalRegression: ...
    @classmethod
    @door
    def from_data(
        cls,
        X: Any,
        y: npt.ArrayLike,
        moments: str = "gaussian",
        rank_tolerance: float | None = None,
        holdout: Any = None,
        holdout_seed: int = 0,
    ) -> LinearRegression | EmpiricalRegression:
        """The regression that SGD from w_0 = 0 meets on real rows X, shape (n, d), dense or sparse, with targets y,
        shape (n,), or (n, outputs): the risk is then the sum over outputs, whose gradients share their rows.

        Spectrum of (1/n) X^T X, w* by least squares, noise variance = mean squared residual, kurtosis measured per
        eigen-coordinate. Directions are kept as `numpy.linalg.lstsq` keeps them, singular values of X above max(n, d)
        eps of the largest; with `rank_tolerance`, eigenvalues above so much of the largest. Warns where a direction
        that is no null direction is dropped, and says what share of the target goes with it.

        moments="gaussian": independent coordinates with those kurtoses and independent residuals, O(d) a step.
        moments="empirical": all fourth moments of the data and its residuals, exact for sampling with replacement,
        O(n d^2) a step (see `EmpiricalRegression`). Their difference is what the model costs.

        holdout : a share of the rows, such as 0.2, drawn by `holdout_seed`, that is not trained on; or rows of their
        own, (X, y). `exact` and `sample` then give the loss on them as well (`trace.holdout()`). It is a quadratic form
        in which every mode meets every other: O(d^2) a step under either moments.
        """
        from simlab.problems.empirical import EmpiricalRegression
        from simlab.problems.rows import described, eigen_rows

        if moments == "empirical":
            return EmpiricalRegression(X, y, rank_tolerance, holdout, holdout_seed)
        if moments != "gaussian":
            from simlab.errors import unknown_name

            raise unknown_name("moments", moments, ["gaussian", "empirical"])
        data = eigen_rows(X, y, rank_tolerance, holdout, holdout_seed)
        kurtosis = np.maximum(np.mean(data.rows**4, axis=0) / data.lam**2, 1.0)
        outputs = data.best.shape[0]
        error = -data.best[0] if outputs == 1 else np.sqrt(np.sum(data.best**2, axis=0))
        noise = float(np.mean(data.residual[0] ** 2 if outputs == 1 else np.sum(data.residual**2, axis=0)))
        made = cls(data.lam, error, noise, kurtosis)
        if data.heldout is not None:
            made._heldout = data.heldout, frozen(-data.best)
        about = described(outputs, data.heldout)
        return made._by("from_data", rows=data.rows.shape[0], columns=data.columns, **about)


def _nodes(lam: FloatArray, signal: FloatArray, count: FloatArray) -> Nodes:
    """Modes one after the other as nodes, each of `count` of them."""
    if not count.sum() <= MOST_MODES:
        raise InputError(f" sums to {count.sum():g} modes; give at most {MOST_MODES:g}.", "multiplicity")
    stop = np.round(np.cumsum(count)).astype(np.int64)
    nodes: Nodes = refrozen(Nodes(lam, signal, count, np.concatenate([[0], stop[:-1]]).astype(np.int64), stop))
    return nodes


def _signal(eigenvalue: IndexFunction, initial_error: float, source: float | None) -> IndexFunction:
    """lam_i e_i^2 as a function of the index, from a constant error or a source exponent."""
    if source is not None:
        return Power(check_number("source", source))
    error = check_number("initial_error", initial_error)
    check_signal(np.ones(1), np.array([error]))
    return Scaled(eigenvalue, error**2)
