"""Local steps: several workers from one start, each with data of its own, merged or mixed now and then."""

# Annotations of records are evaluated: see `simlab.methods.base`.
from collections.abc import Sequence
from typing import Any, ClassVar, NamedTuple

import numpy as np

from simlab.arrays import FloatArray
from simlab.errors import InputError, brief, check_count, check_entries
from simlab.methods.base import Coefficients, Method, Steps, Wrapper, check_inner, method, record
from simlab.methods.mixing import consensus, mixing_matrix
from simlab.methods.shifted import Shifted

__all__ = ["local"]


@method
class local(Wrapper):
    """`workers` runs of a method from one start, each on fresh samples of its own, whose states are averaged at merges.

    merge : the steps after which all workers take on the mean of their states (momentum and averages included), or
    every : so many steps, one of the two; without either they are merged at the end alone. What is evaluated is the
    mean of the workers at any time, merged or not; the risk of one of them is `trace.dataset["worker_risk"]`. A step of
    all takes workers x batch samples. The state of a run is that of the mean: what goes on from it has merged, and
    workers that start from a state all start there.

    mixing : gossip in the place of merges: at these steps worker a takes on sum_b W_ab z_b. "ring", "torus" (as near to
    a square as `workers` allows), with equal weights for oneself and all neighbours; "complete", the mean of all; or W
    itself (workers, workers), doubly stochastic. Where no worker stands out `simlab.exact` goes by consensus modes:
    round by round the second moment of a mode is multiplied by |eigenvalue|^2. Otherwise, or with domains of their own,
    it holds the moments of every worker and of every two, C <- W C W^T in a round, and `worker_risk` is of each.

    own_domains : on a `Mixture` of as many domains, worker k draws from domain k alone, whatever the shares; otherwise
    every worker draws from the whole.

    Merged after every step this is mini-batch SGD of workers x batch samples. Merged once, it is so where the noise of
    gradients does not depend on the weights; on a regression whose data all workers share it is never better, and with
    domains of their own it can be (`simlab reproduce zhu2025-merging`).
    Sources: McMahan et al. 2017 (arXiv 1602.05629), Stich 2019 (arXiv 1805.09767), Zhu et al. 2025 (arXiv 2507.06542);
    gossip Lian et al. 2017 (arXiv 1705.09056).
    `simlab.exact` and `simlab.sample` run it, on mixtures too.
    """

    workers: int
    merge: Sequence[int] | None = None
    every: int | None = None
    own_domains: bool = False
    mixing: str | FloatArray | None = None
    tacit: ClassVar = ("own_domains",)
    linear: ClassVar[bool] = False
    unfit: ClassVar[str] = "is of several workers"
    takers: ClassVar[str] = "simlab.exact or simlab.sample"
    matrix: ClassVar[FloatArray | None]
    """W of `mixing`; None for the mean of all."""
    merges: ClassVar[tuple[int, ...]]
    """The steps after which workers are merged, or mixed."""

    def __post_init__(self) -> None:
        inner = check_inner(self.inner)
        self._keep(length=inner.length, learning_rate=inner.learning_rate, batch=inner.batch, z0=inner.z0)
        self._keep(coordinates=inner.coordinates, iterate=inner.iterate, _schedules={})
        self._keep(workers=check_count("workers", self.workers, high=1024))
        if self.merge is not None and self.every is not None:
            raise InputError(" and every are both given; give one of them.", "merge")
        steps = []
        if self.every is not None:
            every = check_count("every", self.every, high=self.length)
            self._keep(every=every)
            steps = list(range(every, self.length + 1, every))
        elif self.merge is not None:
            listed = enumerate(check_entries("merge", self.merge, "steps"))
            steps = [check_count(f"merge[{j}]", t, high=self.length) for j, t in listed]
            self._keep(merge=steps)
        if not isinstance(self.own_domains, bool | np.bool_):
            raise InputError(f" = {brief(self.own_domains)} is neither; give True or False.", "own_domains")
        W = mixing_matrix(self.mixing, self.workers)
        if not isinstance(self.mixing, str | None):
            self._keep(mixing=W)
        self._keep(merges=tuple(sorted(set(steps))), matrix=W)

    def recursion(self, t: Steps) -> Coefficients:
        return self.inner.recursion(t)

    def increments(self, t: Steps) -> Coefficients:
        return self.inner.increments(t)

    def outlook(self, t: Steps) -> FloatArray:
        return self.inner.outlook(t)

    def layers(self) -> list[Method]:
        """Those of one worker: no coordinate is appended."""
        return self.inner.layers()

    @property
    def basis(self) -> FloatArray:
        return self.inner.basis


@record
class Quiet(Shifted):
    """A method with the full gradient at every step: how the product of two workers moves."""

    by: int = 0

    def share(self, t: Steps) -> FloatArray:
        return np.zeros(t.size)


class Team(NamedTuple):
    """A method of several workers, as engines take it.

    one : the method of each.  merges : the steps after which they are merged, or mixed by W where there is one.
    """

    workers: int
    one: Method
    merges: tuple[int, ...]
    W: FloatArray | None
    own_domains: bool

    @property
    def alike(self) -> bool:
        """Whether all workers have one law: no domain of their own, and no place of their own among those who mix."""
        return not self.own_domains and (self.W is None or consensus(self.W) is not None)

    @property
    def two(self) -> Method:
        """What moves the second moments of two different workers."""
        return Quiet(self.one)


def team_of(method: Method) -> Team:
    """The workers of `local`, be it the rest of one, or one that takes over at a later step."""
    if isinstance(method, Shifted):
        team, by = team_of(method.inner), method.by
        merges = tuple(t + by for t in team.merges if t + by > 0)
        return team._replace(one=Shifted(team.one, by, method.time), merges=merges)
    assert isinstance(method, local)
    return Team(method.workers, method.inner, method.merges, method.matrix, bool(method.own_domains))


def refuse_beside(**asked: Any) -> None:
    """InputError for what is not known for methods of several workers; None and what is empty was not asked for."""
    for name, value in asked.items():
        if value is not None and np.size(value):
            raise InputError(" is not known for methods of several workers; leave it out.", name)
