"""A problem of one's own as the page takes it: few nodes, each in a band of eigen-indices."""

from __future__ import annotations

from typing import Any

import numpy as np

from simlab.errors import InputError, brief
from simlab.problems import DiagonalProblem, LinearRegression
from simlab.subspaces import log_bins

__all__ = ["spectrum_of"]

MOST_NODES = 600
"""Nodes that a page steps within a stroke; a regression of more modes is compressed."""

LOOSEST = 1e-6
"""Relative error of a risk up to which nodes are made fewer."""

BANDS = 6


def spectrum_of(problem: Any) -> dict[str, Any]:
    """Nodes {lam, signal, own, drive, noise, reference, coupling, label, bands} of a problem with independent modes.

    Arrays as lists, own and drive as in `simlab.problems.base.Modes`; label is the place in `bands` of the band that a
    node lies in. Raises InputError for a problem without modes of its own, or with too many that cannot be compressed.
    """
    if not isinstance(problem, DiagonalProblem):
        raise InputError(
            f" is {brief(problem)}, not a problem with independent modes; give a LinearRegression, NoisyQuadratic or "
            "RandomFeatures.",
            "problem",
        )
    partition = log_bins(BANDS)
    if isinstance(problem, LinearRegression) and problem.divisible and problem.node_count > MOST_NODES:
        problem = _few(problem)
    modes = problem.modes()
    edges = partition.boundaries(problem.dim, problem.count_at_least, 0.0)
    if isinstance(problem, LinearRegression) and not problem.compressed:
        modes = modes.cut(edges)
    if modes.eigenvalues.size > 4 * MOST_NODES:
        raise InputError(
            f" has {modes.eigenvalues.size} modes, too many to step in a page; give at most {4 * MOST_NODES}, or a "
            "regression of one kurtosis, which can be compressed.",
            "problem",
        )
    # A node of a problem that came compressed may lie on both sides of an edge: its middle decides.
    middle = modes.start + (modes.stop - 1 - modes.start) // 2
    names, label = partition.labels(middle, middle + 1, problem.dim, problem.count_at_least, 0.0)
    unit = modes.unit
    order = np.argsort(-modes.eigenvalues, kind="stable")
    own, drive = (part[order] * unit * unit for part in (modes.self_noise, modes.drive))
    squares = float(modes.multiplicity @ modes.eigenvalues**2)
    return {
        "lam": modes.eigenvalues[order].tolist(),
        "signal": modes.signal[order].tolist(),
        "own": own.tolist(),
        "drive": drive.tolist(),
        "noise": modes.noise,
        "reference": modes.noise * float(drive.sum()) / max(squares, 1e-300),
        "coupling": modes.coupling,
        "label": label[order].tolist(),
        "bands": names,
    }


def _few(problem: LinearRegression) -> LinearRegression:
    """The regression on few nodes, to 1e-10 or as well as a page can bear."""
    tolerance = 1e-10
    made = problem.compress(tolerance, log_bins(BANDS))
    while made.node_count > MOST_NODES and tolerance < LOOSEST:
        tolerance *= 10.0
        made = problem.compress(tolerance, log_bins(BANDS))
    return made
