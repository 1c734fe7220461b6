"""How far two accounts of the same moments lie apart, as matrices and relative to what is there."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from simlab.kernels.compiling import FAST, hot

__all__ = ["LEAST_SHARE", "Runs", "majorant", "runs_of", "sums_by_label", "worst"]

LEAST_SHARE = 1e-3
"""A subspace counts as at least this share of its component: what has died away need not be known to its last digit."""


class Runs(NamedTuple):
    """Nodes start .. stop - 1 of each run have one label: sums go along, and not from node to node."""

    start: np.ndarray
    stop: np.ndarray
    label: np.ndarray


def runs_of(labels: np.ndarray) -> Runs:
    """The runs of equal labels."""
    edges = np.flatnonzero(np.diff(labels)) + 1
    start, stop = np.append(0, edges), np.append(edges, labels.size)
    return Runs(start, stop, labels[start])


@hot(fastmath=FAST, error_model="numpy")
def majorant(U, difference, P):
    """P (2, k, nodes) += the diagonal of matrices with -P <= difference <= P in the order of symmetric matrices.

    By Gershgorin in the units sqrt(diag U) of each node; `difference` (2, E, nodes), U (>= 2, E, nodes).
    """
    k, nodes = P.shape[1], U.shape[2]
    for q in range(2):
        e = 0
        for r in range(k):
            mine = r * k - r * (r - 1) // 2
            for s in range(r, k):
                if r == s:
                    for i in range(nodes):
                        P[q, r, i] += abs(difference[q, e, i])
                else:
                    other = s * k - s * (s - 1) // 2
                    for i in range(nodes):
                        if difference[q, e, i] != 0.0:
                            a, b = abs(U[q, mine, i]), abs(U[q, other, i])
                            ratio = np.sqrt(a / b) if a > 0.0 and b > 0.0 else 1.0
                            P[q, r, i] += abs(difference[q, e, i]) * ratio
                            P[q, s, i] += abs(difference[q, e, i]) / ratio
                e += 1


@hot(fastmath=FAST, error_model="numpy")
def worst(U, P, runs, floor, sums, apart):
    """Raise apart (2,) to the largest of sum P / sum U over states and labels, for each component.

    A sum counts as at least floor (2, k); `sums` (2, labels) is scratch.
    """
    k, count = P.shape[1], sums.shape[1]
    for q in range(2):
        for r in range(k):
            e = r * k - r * (r - 1) // 2
            sums[:, :] = 0.0
            total = 0.0
            for run in range(runs.label.size):
                error = size = 0.0
                for i in range(runs.start[run], runs.stop[run]):
                    error += P[q, r, i]
                    size += abs(U[q, e, i])
                sums[0, runs.label[run]] += error
                sums[1, runs.label[run]] += size
                total += size
            if total > 0.0:
                least = max(LEAST_SHARE * total, floor[q, r])
                for j in range(count):
                    value = sums[0, j] / max(sums[1, j], least)
                    if not value <= apart[q]:
                        apart[q] = value


@hot(fastmath=FAST, error_model="numpy")
def sums_by_label(components, p, U, V, runs, out):
    """out (>= p + 1, >= components, E, labels): sums over the nodes of every label of U (C, E, nodes) and of
    V (C, E, >= p, nodes).
    """
    out[:, :, :, :] = 0.0
    for q in range(components):
        for e in range(U.shape[1]):
            for run in range(runs.label.size):
                j, start, stop = runs.label[run], runs.start[run], runs.stop[run]
                total = 0.0
                for i in range(start, stop):
                    total += U[q, e, i]
                out[0, q, e, j] += total
                for l in range(p):
                    total = 0.0
                    for i in range(start, stop):
                        total += V[q, e, l, i]
                    out[l + 1, q, e, j] += total
