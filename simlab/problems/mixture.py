"""A mixture of domains: linear regressions in one eigenbasis, of which every sample comes from one, drawn anew."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from numbers import Real
from typing import Any

import numpy as np

from simlab.arrays import FloatArray, IntArray
from simlab.doors import door
from simlab.errors import InputError, brief, check_entries, check_number
from simlab.problems.base import Immutable, frozen
from simlab.problems.linear_regression import LinearRegression
from simlab.schedules import Schedule, as_schedule
from simlab.schedules.kinks import next_kink
from simlab.schedules.nodes import evaluate

__all__ = ["MOST_DIRECTIONS", "Mixture"]

MOST_DIRECTIONS = 10**8
"""Directions of a mixture, which are held one by one."""

WALKED = 1 << 16
"""Steps of the shares that are looked at together."""

MOST_WALKED = 1 << 24
"""Longest shares that are looked at step by step; of longer ones, WALKED steps in all, and every kink among KINKS."""

KINKS = 1 << 10

ROUNDING = 1e-9
"""By how much shares may miss one."""

Share = float | Schedule


class Mixture(Immutable):
    """K domains: sample by sample one is drawn, domain k with probability share_k(t), and its loss counts weight_k(t).

    A domain is a LinearRegression in absolute coordinates: its run starts at w_0 = 0, so that its optimum w_k is
    -initial_error. Entry i of every domain, as its eigenvalues were given, is direction i of the one eigenbasis;
    indices of subspaces are those of the first domain, in descending order of its eigenvalues. Gradients of a batch B
    are

        g = (1/B) sum_b weight_k(b) x_b (x_b . (w - w_k(b)) - eps_b),   k(b) drawn with probabilities share(t)

    and the risk on domain k is 1/2 E (w - w_k)^T H_k (w - w_k). Its variance is what label noise adds; its bias what
    the noiseless run has, which includes what the draw of domains that disagree does.

    Parameters
    ----------
    domains : LinearRegressions of one dim, in a list, or by name: {"web": .., "code": ..}.
    share : K entries, each a number or a schedule (or an array of one value for each step), that sum to one at every
        step; one of them may be "rest" (default: equal shares).
    weights : K entries >= 0 of the same kinds, by which losses are multiplied (default: 1).

    Sources: upsampling against upweighting Li et al. 2024 (arXiv 2410.04579); continual pre-training Ibrahim et al.
    2024 (arXiv 2403.08763). Raises InputError for shares that do not sum to one, for domains of different size, and for
    what is no LinearRegression with independent coordinates.
    """

    @door
    def __init__(
        self,
        domains: Sequence[LinearRegression] | Mapping[str, LinearRegression],
        share: Sequence[Any] | None = None,
        weights: Sequence[Any] | None = None,
    ) -> None:
        if isinstance(domains, Mapping):
            listed, names = list(domains.values()), [str(name) for name in domains]
        else:
            listed = check_entries("domains", domains, "LinearRegressions")
            names = [str(j + 1) for j in range(len(listed))]
        if not listed:
            raise InputError(" is empty; give at least one LinearRegression.", "domains")
        self.names: tuple[str, ...] = tuple(names)
        self.domains: tuple[LinearRegression, ...] = tuple(
            _checked(domain, f"domains[{brief(name)}]" if isinstance(domains, Mapping) else f"domains[{j}]", listed[0])
            for j, (domain, name) in enumerate(zip(listed, names, strict=True))
        )
        even = [1.0 / len(listed)] * len(listed)
        self.share: tuple[Share | None, ...] = _entries("share", even if share is None else share, len(listed), True)
        ones = [1.0] * len(listed)
        self.weights: tuple[Share, ...] = _entries("weights", ones if weights is None else weights, len(listed), False)
        self._check_shares()
        lam, error, kurtosis = (np.stack(each) for each in zip(*map(_directions, self.domains), strict=True))
        order = np.argsort(-lam[0], kind="stable")
        self.directions = order
        """Which of the directions, as they were given, each one is, shape (d,)."""
        self.eigenvalues = frozen(np.ascontiguousarray(lam[:, order]))
        """lam_k, shape (K, d)."""
        self.optima = frozen(np.ascontiguousarray(-error[:, order]))
        """w_k, shape (K, d)."""
        self.kurtosis = frozen(np.ascontiguousarray(kurtosis[:, order]))
        """E xi^4 of the features of each domain, shape (K, d)."""
        self.noise_variance = frozen(np.array([domain.noise_variance for domain in self.domains]))
        """sigma_k^2, shape (K,)."""

    @property
    def dim(self) -> int:
        """Number of directions d."""
        return int(self.eigenvalues.shape[1])

    @property
    def length(self) -> int | None:
        """Steps of the shortest schedule among shares and weights; None where all are numbers."""
        own = [each.length for each in (*self.share, *self.weights) if isinstance(each, Schedule)]
        return min(own, default=None)

    def shares(self, start: int, stop: int) -> FloatArray:
        """share_k of the steps start .. stop - 1, (n, K)."""
        return self._shares_at(np.arange(start, stop, dtype=np.int64))

    def _shares_at(self, t: IntArray) -> FloatArray:
        out = np.zeros((t.size, len(self.domains)))
        for row, each in zip(out.T, self.share, strict=True):
            row[:] = 0.0 if each is None else _at(each, t)
        rest = [j for j, each in enumerate(self.share) if each is None]
        if rest:
            left = 1.0 - out.sum(axis=1)
            out[:, rest[0]] = np.where(np.abs(left) <= ROUNDING, 0.0, left)
        return out

    def loss_weights(self, start: int, stop: int) -> FloatArray:
        """weight_k of the steps start .. stop - 1, (n, K)."""
        t = np.arange(start, stop, dtype=np.int64)
        return np.stack([_at(each, t) for each in self.weights], axis=1)

    def initial_risk(self) -> FloatArray:
        """1/2 w_k^T H_k w_k of every domain, (K,)."""
        out: FloatArray = 0.5 * np.sum(self.eigenvalues * self.optima**2, axis=1)
        return out

    def check_length(self, steps: int) -> None:
        """Refuse a run of more steps than the shares and weights have."""
        if self.length is not None and self.length < steps:
            raise InputError(
                f" has shares or weights for {self.length} steps and the run has {steps}; make them as long, or give "
                f"numbers.",
                "problem",
            )

    def counts_at_least(self, thresholds: FloatArray) -> IntArray:
        """#{i : lam_i >= threshold} of the first domain, shape of `thresholds`."""
        return np.searchsorted(-self.eigenvalues[0], -thresholds, side="right").astype(np.int64)

    def describe(self) -> dict[str, Any]:
        """JSON-able provenance of the problem."""
        words = [[("rest" if each is None else str(each)) for each in given] for given in (self.share, self.weights)]
        return {
            "kind": "Mixture",
            "dim": self.dim,
            "domains": dict(zip(self.names, (domain.describe() for domain in self.domains), strict=True)),
            "share": words[0],
            "weights": words[1],
            "noise_variance": self.noise_variance.tolist(),
        }

    def __repr__(self) -> str:
        shares = ", ".join("rest" if each is None else brief(each) for each in self.share)
        return f"Mixture(dim={self.dim}, domains={', '.join(self.names)}, share=[{shares}])"

    def _check_shares(self) -> None:
        rest = [j for j, each in enumerate(self.share) if each is None]
        if len(rest) > 1:
            raise InputError(' says "rest" twice; give one of them as a number.', "share")
        whole = [each for each in self.share if isinstance(each, Schedule)]
        steps = min((each.length for each in whole), default=1)
        for t in _looked_at(whole, steps):
            shares = self._shares_at(t)
            wrong = np.abs(shares.sum(axis=1) - 1.0) > ROUNDING
            where = np.flatnonzero(wrong | np.any(shares < 0.0, axis=1))
            if where.size:
                at, sums = (
                    int(where[0]),
                    float(np.sum(shares[where[0]], where=[each is not None for each in self.share])),
                )
                when = f" at step {t[at]}" if whole else ""
                bound = "at most one beside the rest" if rest else "one"
                raise InputError(f" sums to {sums:.12g}{when}; give shares that sum to {bound}.", "share")


def _looked_at(whole: Sequence[Schedule], steps: int) -> Iterator[IntArray]:
    """The steps at which shares are added up, some at a time: all of them, or of very many those that tell."""
    if steps <= MOST_WALKED:
        yield from (np.arange(a, min(a + WALKED, steps), dtype=np.int64) for a in range(0, steps, WALKED))
        return
    kinks: list[int] = []
    for each in whole:
        t = next_kink(each.plan, 0)
        for _ in range(KINKS):
            if t >= steps:
                break
            kinks += [t - 1, t]
            t = next_kink(each.plan, t)
    yield np.unique(np.append(np.linspace(0, steps - 1, WALKED).astype(np.int64), np.array(kinks, dtype=np.int64)))


def _at(value: Share, t: IntArray) -> FloatArray:
    return evaluate(value.plan, t) if isinstance(value, Schedule) else np.full(t.size, value)


def _entries(field: str, given: Any, count: int, rest: bool) -> tuple[Any, ...]:
    """K numbers >= 0 or schedules (None for the rest), or an InputError."""
    listed = check_entries(field, given, "numbers or schedules, one for each domain")
    if len(listed) != count:
        raise InputError(f" has {len(listed)} entries and there are {count} domains; give one for each.", field)
    out: list[Any] = []
    for j, each in enumerate(listed):
        name = f"{field}[{j}]"
        if rest and isinstance(each, str) and each == "rest":
            out.append(None)
        elif isinstance(each, Real | np.generic | str) or each is None:
            out.append(check_number(name, each, low=0.0))
        else:
            out.append(as_schedule(each, None, name))
    return tuple(out)


def _checked(domain: Any, field: str, first: Any) -> LinearRegression:
    """A domain that a mixture takes, of the size of the first one."""
    if not isinstance(domain, LinearRegression):
        raise InputError(f" is {type(domain).__name__}; give a LinearRegression.", field)
    if domain.compressed:
        raise InputError(" is compressed, and its nodes do not say where each mode is; give the original.", field)
    if not domain.coupled:
        raise InputError(" is one-hot, whose coordinates do not share samples; give one with features in all.", field)
    if domain.outputs > 1 or domain.heldout is not None:
        raise InputError(" has several outputs, or rows held out; give one of one target, without holdout.", field)
    if domain.dim != first.dim:
        raise InputError(f" has {domain.dim} modes and the first domain {first.dim}; give as many.", field)
    if domain.dim > MOST_DIRECTIONS:
        raise InputError(f" has {domain.dim} modes; give at most {MOST_DIRECTIONS} to a mixture.", field)
    return domain


def _directions(domain: LinearRegression) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Eigenvalues, w_0 - w* and kurtosis of a domain, one for each direction in the order as they were given, (d,)."""
    given = np.argsort(domain.directions, kind="stable")
    count = np.round(domain.multiplicity[given]).astype(np.int64)
    kurtosis = np.broadcast_to(domain.kurtosis, domain.eigenvalues.shape)
    lam, error, fourth = (
        np.repeat(each[given], count) for each in (domain.eigenvalues, domain.initial_error, kurtosis)
    )
    if lam.size != domain.dim:
        raise InputError(" has multiplicities that are not whole numbers; give one with whole numbers.", "domains")
    return lam, error, fourth
