"""Replicas of a method that is not linear on a regression, weight by weight: a crew for `march`."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from simlab.arrays import FloatArray, IntArray
from simlab.engines.replicas.march import Kept, Processor
from simlab.engines.replicas.regression import Regression
from simlab.errors import InputError, brief
from simlab.kernels import dials as names
from simlab.kernels.replicas import adaptive, trajectories
from simlab.kernels.rounding import rounding
from simlab.methods.base import Method
from simlab.problems.draws import Draws

__all__ = ["Adapted", "check_basis", "more_rows"]


def check_basis(basis: Any, draws: Draws, method: Method) -> Draws:
    """The draws as a method that goes weight by weight takes them, or an InputError where nobody said what these are.

    basis : "eigen" where the weights are the eigen-coordinates, whatever rotation the problem has; else None.
    """
    if basis not in (None, "eigen"):
        raise InputError(
            f" = {brief(basis)} is not known; give 'eigen', or leave it out and rotate the problem: "
            f"problem.rotated(seed).",
            "basis",
        )
    if basis == "eigen":
        return draws._replace(rotation=np.zeros((0, 0)))
    if draws.rotation.size == 0 and not method.linear:
        raise InputError(
            f" is missing: {type(method.core).__name__} goes weight by weight, and what the weights are decides; give "
            f"basis='eigen' for the eigen-coordinates, or problem.rotated(seed).",
            "basis",
        )
    return draws


def more_rows(method: Method, dim: int) -> int:
    """Rows of dim numbers that the memory of a feedback, and its last rate, take beyond the first."""
    core: Any = method.core
    remembers = core.compiled.memory
    return -(-(remembers + 1) // dim) - 1 if remembers else 0


class Adapted(Regression):
    """Replicas of a rule of `simlab.kernels.rules`, or of the user's own; a state is (replicas, k, D).

    The iterate and the origin are whitened in the eigenbasis, as `Regression` has them, all else is of the weights.
    """

    def _rows(self, dim: int) -> int:
        """The memory of a feedback takes as many rows as it needs."""
        return self.method.state_size + more_rows(self.method, dim)

    def _backend(self, device: str) -> Any:
        draws = self.draws
        core: Any = self.method.core
        lam, compiled = draws.eigenvalues, core.compiled
        # SGD does not mind what the weights are, unless what makes its rate does.
        turned = core.rule != names.PLAIN or compiled.whole is not None
        ground = adaptive.Ground(
            self.padded(np.sqrt(lam)),
            self.padded(1.0 / np.sqrt(lam)),
            # A copy: what is read-only would be compiled for anew.
            np.array(draws.rotation if turned else np.zeros((0, 0)), self.dtype, order="C"),
            core.edges(lam.size),
            rounding(core.levels()),
            self.padded(np.sqrt(lam) * draws.initial_error),
            _power(draws),
            np.zeros(1 + names.SUMMARY),
        )
        self.fault = ground.fault
        self.last = (self.noise_part, core.rule, len(core.rows), core.pulled, *compiled)
        return Processor(partial(adaptive.run_rules, self._source(), ground))

    def state(self, first: int, replicas: int) -> npt.NDArray[Any]:
        """The start of so many replicas, or what was kept of them, in place where the eigenvalues are others."""
        z: npt.NDArray[Any] = super().state(first, replicas)
        core: Any = self.method.core
        if self.start is not None:
            old, own = self.start.arrays["eigenvalues"], core.coordinates
            beside = [j for j, name in enumerate(own) if name not in ("iterate", "origin", "memory")]
            z[:, beside, : old.size] *= np.sqrt(old / self.draws.eigenvalues)
            return z
        weights = core.first_weights(self.draws.eigenvalues.size)
        if weights is not None:
            turned = self.draws.rotation.T @ weights if self.draws.rotation.size else weights
            z[:, core.coordinates.index("origin"), : turned.size] += np.sqrt(self.draws.eigenvalues) * turned
        return z

    def keep(self, kept: Kept, watch: trajectories.Recorder, steps: IntArray, rows: slice, replicas: slice) -> None:
        """Enter what was kept of a chunk; a feedback that gave no rate is refused here."""
        if self.fault[0] != 0.0:
            core: Any = self.method.core
            raise core.refusal(self.fault)
        super().keep(kept, watch, steps, rows, replicas)


def _power(draws: Draws) -> FloatArray:
    """own, T1, T2, coupling, noise of `adaptive.Ground.power`; NaN where only the data know."""
    lam = draws.eigenvalues
    if draws.law == "additive":
        c = draws.gradient_noise**2
        return np.array([0.0, c.sum(), lam @ c, 0.0, 1.0])
    if draws.law in ("rows", "epochs", "one_hot"):
        return np.full(5, np.nan)
    return np.array([float(draws.kurtosis.mean()) - 2.0, lam.sum(), lam @ lam, 1.0, draws.noise**2])
