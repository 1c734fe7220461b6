"""How the gradients of a problem are drawn: what a sampler of trajectories has to know of it."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from simlab.arrays import FloatArray
from simlab.errors import InputError, brief, unknown_name
from simlab.problems.empirical import EmpiricalRegression
from simlab.problems.linear_regression import LinearRegression
from simlab.problems.mixture import Mixture
from simlab.problems.noisy_quadratic import NoisyQuadratic
from simlab.problems.rows import HeldOut

__all__ = ["LAWS", "Draws", "MixedDraws", "draws_of"]


LAWS = {"gaussian": 3.0, "rademacher": 1.0, "uniform": 1.8, "laplace": 6.0, "student_t": None, "three_point": None}
"""Laws of independent coordinates and their kurtosis; None where it is a parameter (above 3, at least 1)."""

MOST_COORDINATES = 10**9


class Draws(NamedTuple):
    """Gradients as they are drawn; arrays of shape (d,) unless said otherwise, in descending order of eigenvalues.

    law : one of LAWS; "one_hot"; "rows" or "epochs" (rows with replacement, or shuffled anew every epoch); "additive".
    eigenvalues, initial_error : lam and w_0 - w*.  kurtosis : of independent coordinates, or 1 / p of one-hot ones.
    noise : standard deviation of the label noise (0 for rows, whose residuals are their noise).
    gradient_noise : standard deviation of additive noise per coordinate, else empty.
    rows (n, d), residual (n,) : a data set in the eigenbasis, else empty.  heldout : rows held out from it.
    rotation (d, d) : of the weights against the eigenbasis, or (0, 0) where nothing is said of them.
    """

    law: str
    eigenvalues: FloatArray
    initial_error: FloatArray
    kurtosis: FloatArray
    noise: float
    gradient_noise: FloatArray
    rows: FloatArray
    residual: FloatArray
    heldout: HeldOut | None = None
    rotation: FloatArray = np.zeros((0, 0))

    @property
    def noiseless(self) -> bool:
        """Whether a run from w* would stay there."""
        return self.noise == 0.0 and not np.any(self.gradient_noise) and not np.any(self.residual)


class MixedDraws(NamedTuple):
    """Samples of a mixture as they are drawn: a domain, then features by its law, in the order of its directions."""

    problem: Mixture
    domains: list[Draws]
    law: str
    heldout: None = None

    @property
    def eigenvalues(self) -> FloatArray:
        """lam_k, (K, d)."""
        lam: FloatArray = self.problem.eigenvalues
        return lam

    @property
    def initial_error(self) -> FloatArray:
        """w_0 - w_k, (K, d)."""
        return -self.problem.optima

    @property
    def noise(self) -> FloatArray:
        """sigma_k, (K,)."""
        noise: FloatArray = np.sqrt(self.problem.noise_variance)
        return noise

    @property
    def noiseless(self) -> bool:
        """Whether labels have no noise."""
        return not np.any(self.noise)


_NONE = np.zeros(0)


def draws_of(problem: Any, law: str | None = None) -> Draws | MixedDraws:
    """How the gradients of `problem` are drawn under `law` (None: the law that the problem implies).

    A LinearRegression fixes the kurtosis and not the law: 3 means Gaussian, 1 Rademacher, 1.8 uniform, 6 Laplace, and
    any other, or one that differs between coordinates, the three-point law on {-sqrt(kurtosis), 0, sqrt(kurtosis)}.
    "student_t" has 4 + 6 / (kurtosis - 3) degrees of freedom. An EmpiricalRegression draws "rows" (with replacement) or
    deals them out by "epochs" (without). Raises InputError for a law that the problem does not have, and for compressed
    problems, whose nodes are no coordinates.
    """
    if law is not None and not isinstance(law, str):
        raise unknown_name("law", law, LAWS)
    if isinstance(problem, EmpiricalRegression):
        name = "rows" if law is None else law
        if name not in ("rows", "epochs"):
            raise unknown_name("law (of a data set)", name, ["rows", "epochs"])
        _check_outputs(problem.outputs)
        lam, error, data = problem.eigenvalues, problem.initial_error, (problem.rows, problem.residual, problem.heldout)
        return Draws(name, lam, error, np.full(lam.size, 3.0), 0.0, _NONE, *data)
    if isinstance(problem, Mixture):
        each = [_regression(domain, law) for domain in problem.domains]
        aligned = zip(each, problem.kurtosis, strict=True)
        named = ", ".join(dict.fromkeys(draws.law for draws in each))
        return MixedDraws(problem, [draws._replace(kurtosis=kurtosis) for draws, kurtosis in aligned], named)
    if isinstance(problem, NoisyQuadratic):
        if law not in (None, "gaussian"):
            raise unknown_name("law (of additive noise)", str(law), ["gaussian"])
        lam = problem.eigenvalues
        noise, kurtosis = np.sqrt(problem.gradient_covariance), np.full(lam.size, 3.0)
        return Draws(
            "additive", lam, problem.initial_error, kurtosis, 0.0, noise, np.zeros((0, lam.size)), _NONE,
            rotation=problem.rotation,
        )  # fmt: skip
    if not isinstance(problem, LinearRegression):
        raise InputError(
            f" is {type(problem).__name__}; give a LinearRegression, NoisyQuadratic, RandomFeatures, "
            f"EmpiricalRegression or Mixture.",
            "problem",
        )
    return _regression(problem, law)


def _check_outputs(outputs: int) -> None:
    """A trajectory is of one output; of several, the risks and not the trajectories add up."""
    if outputs > 1:
        raise InputError(
            f" has {outputs} outputs, whose trajectories are drawn one by one; sample that of each, y[:, j], with the "
            f"same seed (the rows drawn are then the same) and add the risks, or take simlab.exact.",
            "problem",
        )


def _regression(problem: LinearRegression, law: str | None) -> Draws:
    _check_outputs(problem.outputs)
    if problem.compressed:
        raise InputError(" is compressed, and its nodes cannot be drawn; sample the original problem.", "problem")
    if problem.dim > MOST_COORDINATES:
        raise InputError(f" has {problem.dim} modes, too many to draw one by one; use simlab.exact.", "problem")
    count = problem.multiplicity
    times = np.round(count).astype(np.int64)
    if np.any(times != count):
        raise InputError(" has multiplicities that are not whole numbers; sample one with whole numbers.", "problem")
    lam, error = np.repeat(problem.eigenvalues, times), np.repeat(problem.initial_error, times)
    given = problem.kurtosis
    kurtosis = np.full(lam.size, given) if isinstance(given, float) else np.repeat(given, times)
    if not problem.coupled:
        if law not in (None, "one_hot"):
            raise unknown_name("law (of one-hot data)", str(law), ["one_hot"])
        name = "one_hot"
    else:
        name = _law_of(given, law)
    sigma = float(np.sqrt(problem.noise_variance))
    nothing = np.zeros((0, lam.size))
    return Draws(name, lam, error, kurtosis, sigma, _NONE, nothing, _NONE, problem.heldout, problem.rotation)


def _law_of(kurtosis: float | FloatArray, law: str | None) -> str:
    """The law asked for, if the problem's kurtosis allows it, or the one that the kurtosis implies."""
    if law is None:
        if isinstance(kurtosis, float):
            for name, own in LAWS.items():
                if own == kurtosis:
                    return name
        return "three_point"
    if law not in LAWS:
        raise unknown_name("law", law, LAWS)
    own = LAWS[law]
    if own is not None and np.any(np.asarray(kurtosis) != own):
        found = f"{kurtosis:g}" if isinstance(kurtosis, float) else "different ones by coordinate"
        raise InputError(
            f" = {brief(law)} has kurtosis {own:g}, the problem {found}; make it with kurtosis={own:g}.", "law"
        )
    if law == "student_t" and not (isinstance(kurtosis, float) and kurtosis > 3.0):
        raise InputError(" = 'student_t' needs one kurtosis above 3; make the problem with kurtosis=9, say.", "law")
    return law
