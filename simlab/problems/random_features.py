"""Power-law random features: a linear regression once the sketch is drawn."""

from __future__ import annotations

from typing import Any

from simlab.doors import door
from simlab.errors import InputError, check_count, check_number
from simlab.problems.base import problem
from simlab.problems.linear_regression import LinearRegression
from simlab.spectra import power_law_random_features

__all__ = ["RandomFeatures"]

MOST_ENTRIES = 10**9
"""Numbers of a sketch: 8 GB."""


@problem("random_features")
class RandomFeatures(LinearRegression):
    """Power-law random features, given the sketch: exactly a LinearRegression with sigma^2 = 2 x irreducible risk.

    Parameters
    ----------
    alpha, beta : data x_j = j^-alpha z_j, target coefficients j^-beta, j = 1 .. ambient_dim.
    ambient_dim, features : shape of the Gaussian sketch, features <= ambient_dim; one singular value decomposition
        of cost ambient_dim * features^2.
    seed : of the sketch.

    SGD starts from 0. `irreducible_risk` is the risk that no choice of weights removes; add it to a trace's risk to
    get the risk of Paquette, Paquette, Xiao and Pennington 2024 (arXiv 2405.15074), section 2.
    """

    @door
    def __init__(self, alpha: float, beta: float, ambient_dim: int, features: int, seed: int = 0) -> None:
        alpha, beta = check_number("alpha", alpha, low=0.0), check_number("beta", beta)
        ambient_dim, features = check_count("ambient_dim", ambient_dim), check_count("features", features)
        seed = check_count("seed", seed, low=0)
        if features > ambient_dim:
            raise InputError(
                f" = {features} exceeds ambient_dim = {ambient_dim}; give at most as many features as dimensions.",
                "features",
            )
        if features * ambient_dim > MOST_ENTRIES:
            raise InputError(
                f" = {ambient_dim} with features = {features} is a matrix of more than {MOST_ENTRIES:g} "
                f"numbers; make one of them smaller.",
                "ambient_dim",
            )
        lam, target, irreducible = power_law_random_features(alpha, beta, ambient_dim, features, seed)
        super().__init__(lam, -target, 2.0 * irreducible)
        self.irreducible_risk = irreducible
        shape = {"ambient_dim": ambient_dim, "features": features}
        self._by("RandomFeatures", alpha=alpha, beta=beta, **shape, sketch_seed=seed)

    def describe(self) -> dict[str, Any]:
        """JSON-able provenance of the problem."""
        return {**super().describe(), "kind": "RandomFeatures", "irreducible_risk": self.irreducible_risk}
