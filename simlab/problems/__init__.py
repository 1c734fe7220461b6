"""Problems that the engines solve: linear regression, mixtures, noisy quadratics, random features, measured data."""

from simlab.problems.base import DiagonalProblem, Modes
from simlab.problems.block_diagonal import blocks
from simlab.problems.empirical import EmpiricalRegression
from simlab.problems.linear_regression import LinearRegression
from simlab.problems.mixture import Mixture
from simlab.problems.noisy_quadratic import NoisyQuadratic
from simlab.problems.random_features import RandomFeatures

__all__ = [
    "DiagonalProblem",
    "EmpiricalRegression",
    "LinearRegression",
    "Mixture",
    "Modes",
    "NoisyQuadratic",
    "RandomFeatures",
    "blocks",
]
