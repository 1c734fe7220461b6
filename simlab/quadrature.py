"""Few weighted nodes in place of many modes.

The moment recursion sees the spectrum only through sums over modes of smooth functions of lam_i, against two measures:
the signal lam_i * initial_error_i^2 and the noise lam_i^2. A Gauss rule for the discrete sum over a short range of
indices integrates such functions to near machine precision, so that the cost of a run stops depending on the dimension.

A rule is adapted to test functions: for each, the error over a range must stay below the tolerance times the sum over
the subspace the range lies in. Test functions are arrays (tests, nodes) of factors; the default set is exp(-tau lam),
tau log-spaced, the decay of a mode under any non-oscillating method.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from simlab.arrays import FloatArray, IntArray
from simlab.errors import InputError
from simlab.spectra import Family, unit_of

__all__ = [
    "Nodes",
    "compress_family",
    "compress_measured",
    "exponential_tests",
    "gauss_rule_of_integers",
    "gauss_rule_of_points",
]

TestFunctions = Callable[[FloatArray], FloatArray]

HEAD = 32
MAX_NODES = 200_000
# Where all of a subspace's signal has decayed below this fraction, relative accuracy stops being asked for.
NEGLIGIBLE = 1e-12


class Nodes(NamedTuple):
    """A compressed spectrum: per node its eigenvalue, signal (sum of lam e^2), count of modes, and index range.

    `start`, `stop` are the 0-based half-open range of eigen-indices of the group that a node belongs to.
    """

    eigenvalues: FloatArray
    signal: FloatArray
    multiplicity: FloatArray
    start: IntArray
    stop: IntArray


def order_for(tolerance: float) -> int:
    """Nodes per range: the Gauss rule gains some 1.5 digits a node on a range of ratio two."""
    return int(np.clip(np.ceil(4.0 - 0.6 * np.log10(tolerance)), 4, 14))


def exponential_tests(smallest: float, largest: float) -> TestFunctions:
    """exp(-tau lam) for tau = 0 and four values per e-fold from 1e-2 / largest to 40 / smallest."""
    low, high = np.log(1e-2 / largest), np.log(40.0 / smallest)
    tau = np.concatenate([[0.0], np.exp(np.linspace(low, high, int(np.ceil(4 * (high - low))) + 1))])

    def tests(lam: FloatArray) -> FloatArray:
        factors: FloatArray = np.exp(-np.minimum(np.outer(tau, lam), 700.0))
        return factors

    return tests


@lru_cache(maxsize=4096)
def gauss_rule_of_integers(count: int, order: int) -> tuple[FloatArray, FloatArray]:
    """Gauss nodes in [0, count - 1] and weights (sum = count) for the sum over the integers 0 .. count - 1.

    The orthogonal polynomials are those of Gram (discrete Chebyshev), with recurrence coefficients
    beta_k = k^2 (count^2 - k^2) / (4 (4 k^2 - 1)); the rule is exact for polynomials up to degree 2 order - 1
    (Golub and Welsch 1969). For count <= order it is the sum itself. Rules are kept, as a compression asks for each of
    them several times: their arrays are read-only.
    """
    if count <= order:
        return _fixed(np.arange(count, dtype=np.float64), np.ones(count))
    k = np.arange(1, order, dtype=np.float64)
    off_diagonal = np.sqrt(k**2 * (float(count) ** 2 - k**2) / (4.0 * (4.0 * k**2 - 1.0)))
    return _fixed(*_golub_welsch(np.full(order, (count - 1) / 2.0), off_diagonal, float(count)))


def _fixed(nodes: FloatArray, weights: FloatArray) -> tuple[FloatArray, FloatArray]:
    nodes.flags.writeable = weights.flags.writeable = False
    return nodes, weights


def gauss_rule_of_points(points: FloatArray, weights: FloatArray, order: int) -> tuple[FloatArray, FloatArray]:
    """Gauss nodes and weights of the discrete measure sum_j weights_j delta(points_j), shapes (n,), n > order.

    Recurrence coefficients by the Stieltjes procedure on points mapped to [-1, 1] (Gautschi 2004, section 2.2.3).
    """
    middle, half = 0.5 * (points[0] + points[-1]), 0.5 * abs(points[0] - points[-1])
    if half == 0.0:
        return points[:1].copy(), np.array([weights.sum()])
    x = (points - middle) / half
    total = float(weights.sum())
    alpha, beta = np.zeros(order), np.zeros(order - 1)
    previous, current = np.zeros_like(x), np.ones_like(x)
    norm = total
    for k in range(order):
        weighted = weights * current
        alpha[k] = float(weighted @ (x * current)) / norm
        if k == order - 1:
            break
        following = (x - alpha[k]) * current - (beta[k - 1] if k else 0.0) * previous
        norm_next = float(weights @ following**2)
        if norm_next <= 1e-28 * norm:
            # Fewer distinct points than nodes asked for: the shorter rule is the measure itself.
            alpha, beta = alpha[: k + 1], beta[:k]
            break
        beta[k] = norm_next / norm
        previous, current, norm = current, following, norm_next
    nodes, rule = _golub_welsch(alpha, np.sqrt(beta), total)
    return middle + half * np.clip(nodes, -1.0, 1.0), rule


def _golub_welsch(diagonal: FloatArray, off_diagonal: FloatArray, total: float) -> tuple[FloatArray, FloatArray]:
    from scipy.linalg import eigh_tridiagonal

    if diagonal.size == 1:
        return diagonal.copy(), np.array([total])
    nodes, vectors = eigh_tridiagonal(diagonal, off_diagonal)
    return nodes, total * vectors[0] ** 2


def dyadic_ranges(dim: int, boundaries: Sequence[int]) -> list[tuple[int, int]]:
    """Half-open index ranges of ratio two beyond the first `HEAD` modes, cut at `boundaries` (0-based)."""
    cuts = {dim, *(int(edge) for edge in boundaries if HEAD < edge < dim)}
    edge = HEAD
    while edge < dim:
        cuts.add(edge)
        edge = 2 * edge + 1
    ordered = sorted(cut for cut in cuts if cut >= min(HEAD, dim))
    return list(itertools.pairwise(ordered))


def compress_family(
    family: Family, tolerance: float, boundaries: Sequence[int] = (), tests: TestFunctions | None = None
) -> Nodes:
    """A family on few nodes: the first 32 modes one by one, then Gauss rules on ranges split until they are accurate.

    `boundaries` are 0-based indices that no range may straddle; `tests` the functions of lam to be summed to
    `tolerance` (relative, per stretch between boundaries). Raises InputError where it takes more than 200,000 nodes.
    """
    order = order_for(tolerance)
    edge = family.eigenvalue(np.array([1.0, float(family.dim)]))
    tests = tests or exponential_tests(float(edge[1]), float(edge[0]))

    def rule(first: int, last: int) -> tuple[FloatArray, FloatArray]:
        offset, weight = gauss_rule_of_integers(last - first, order)
        return offset + (first + 1.0), weight

    def integrals(first: int, last: int) -> FloatArray:
        index, weight = rule(first, last)
        lam = family.eigenvalue(index)
        factors = tests(lam)
        return np.stack([factors @ (weight * family.signal(index)), factors @ (weight * lam**2)])

    head = min(HEAD, family.dim)
    pending = dyadic_ranges(family.dim, boundaries)
    stretches = sorted({0, family.dim, *(int(b) for b in boundaries if 0 < b < family.dim)})
    estimates = {piece: integrals(*piece) for piece in pending}
    scale = _scales(stretches, estimates, {(i, i + 1): integrals(i, i + 1) for i in range(head)})
    accepted: list[tuple[int, int]] = []
    while pending:
        piece = pending.pop()
        first, last = piece
        if last - first <= order:
            accepted.append(piece)
            continue
        middle = first + (last - first) // 2
        halves = [(first, middle), (middle, last)]
        for half in halves:
            estimates[half] = integrals(*half)
        error = np.abs(estimates[piece] - sum(estimates[half] for half in halves))
        allowed = 0.1 * tolerance * scale[int(np.searchsorted(stretches, first, side="right")) - 1]
        if np.all(error <= allowed):
            accepted.append(piece)
        else:
            pending.extend(halves)
        _refuse_if_too_many(len(accepted) + len(pending), order, tolerance)
    groups = [(i, i + 1) for i in range(head)] + sorted(accepted)
    parts = [rule(*group) for group in groups]
    sizes = [part[0].size for part in parts]
    index = np.concatenate([part[0] for part in parts])
    weight = np.concatenate([part[1] for part in parts])
    start = np.repeat(np.array([g[0] for g in groups], dtype=np.int64), sizes)
    stop = np.repeat(np.array([g[1] for g in groups], dtype=np.int64), sizes)
    return Nodes(family.eigenvalue(index), weight * family.signal(index), weight, start, stop)


def _scales(stretches: list[int], *groups: dict[tuple[int, int], FloatArray]) -> list[FloatArray]:
    """Per stretch between boundaries: the sum of every test function against both measures, floored where
    negligible.
    """
    totals = [np.zeros(1)] * (len(stretches) - 1)
    for group in groups:
        for (first, _), value in group.items():
            where = int(np.searchsorted(stretches, first, side="right")) - 1
            totals[where] = totals[where] + value
    return [np.maximum(np.abs(total), NEGLIGIBLE * np.abs(total).max(axis=-1, keepdims=True)) for total in totals]


def _refuse_if_too_many(pieces: int, order: int, tolerance: float) -> None:
    if pieces * order > MAX_NODES:
        raise InputError(
            f" = {tolerance:g} needs more than {MAX_NODES} nodes on this spectrum; ask for a larger tolerance.",
            "tolerance",
        )


def compress_measured(
    lam: FloatArray,
    signal: FloatArray,
    multiplicity: FloatArray,
    tolerance: float,
    boundaries: Sequence[int] = (),
    tests: TestFunctions | None = None,
) -> Nodes:
    """A measured spectrum (descending, shapes (n,)) on few nodes, by Gauss rules in log lam for signal and noise apart.

    A measured signal is no smooth function of lam, so each of the two measures has nodes of its own: nodes of the
    signal carry no noise (multiplicity 0) and nodes of the noise no signal. A range of log lam is narrow enough when a
    polynomial of the rule's degree represents every test function on it, whatever eigenvalues lie inside.
    `boundaries` are positions in `lam` that no range may straddle.
    """
    order = order_for(tolerance)
    tests = tests or exponential_tests(float(lam[-1]), float(lam[0]))
    log_lam = np.log(lam)
    unit = unit_of(lam)
    noise = multiplicity * (lam / unit) ** 2
    head = min(HEAD, lam.size)
    cuts = sorted({head, lam.size, *(int(b) for b in boundaries if head < b < lam.size)})
    stretches = list(itertools.pairwise(cuts))
    sums = np.cumsum(np.stack([signal, noise]), axis=1)
    groups: list[tuple[int, int]] = [(i, i + 1) for i in range(head)]
    for first, last in stretches:
        allowed = 0.1 * tolerance * _stretch_scale(first, last, lam, sums, tests)
        pending = [(first, last)]
        while pending:
            piece = pending.pop()
            if piece[1] - piece[0] <= 2 * order:
                groups.extend((i, i + 1) for i in range(*piece))
                continue
            mass = sums[:, piece[1] - 1] - sums[:, piece[0] - 1]
            error = _interpolation_error(log_lam[piece[1] - 1], log_lam[piece[0]], order, tests)
            if np.all(np.outer(mass, error) <= allowed):
                groups.append(piece)
            else:
                middle = 0.5 * (log_lam[piece[0]] + log_lam[piece[1] - 1])
                cut = piece[0] + int(np.searchsorted(-log_lam[piece[0] : piece[1]], -middle))
                pending.extend([(cut, piece[1]), (piece[0], cut)])
            _refuse_if_too_many(len(pending) + len(groups), 1, tolerance)
    return _measured_nodes(sorted(groups), log_lam, signal, noise, multiplicity, order, unit)


def _stretch_scale(first: int, last: int, lam: FloatArray, sums: FloatArray, tests: TestFunctions) -> FloatArray:
    """Both measures of every test function over a stretch, from 4,096 of its points; enough for an error scale."""
    picked = np.unique(np.linspace(first, last - 1, 4096).astype(np.int64))
    edges = np.append(picked, last)
    padded = np.concatenate([np.zeros((2, 1)), sums], axis=1)
    mass = padded[:, edges[1:]] - padded[:, edges[:-1]]
    total = mass @ tests(lam[picked]).T
    scale: FloatArray = np.maximum(total, NEGLIGIBLE * np.abs(total).max(axis=-1, keepdims=True))
    return scale


def _interpolation_error(low: float, high: float, order: int, tests: TestFunctions) -> FloatArray:
    """Largest error, per test function, of its polynomial of degree 2 order - 1 in log lam on [low, high]."""
    if high == low:
        return np.zeros(tests(np.exp(np.array([low]))).shape[0])
    vandermonde = np.polynomial.chebyshev.chebvander
    degree = 2 * order
    coarse = np.cos(np.pi * (np.arange(degree) + 0.5) / degree)
    fine = np.cos(np.pi * np.arange(4 * degree + 1) / (4 * degree))
    middle, half = 0.5 * (low + high), 0.5 * (high - low)
    coefficients = np.linalg.solve(vandermonde(coarse, degree - 1), tests(np.exp(middle + half * coarse)).T)
    interpolant = vandermonde(fine, degree - 1) @ coefficients
    error: FloatArray = np.abs(interpolant.T - tests(np.exp(middle + half * fine))).max(axis=1)
    return error


def _measured_nodes(
    groups: list[tuple[int, int]],
    log_lam: FloatArray,
    signal: FloatArray,
    noise: FloatArray,
    multiplicity: FloatArray,
    order: int,
    unit: float,
) -> Nodes:
    columns: list[tuple[FloatArray, FloatArray, FloatArray, int, int]] = []
    for first, last in groups:
        if last - first == 1:
            point = np.exp(log_lam[first:last])
            columns.append((point, signal[first:last], multiplicity[first:last], first, last))
            continue
        points = log_lam[first:last]
        if signal[first:last].sum() > 0.0:
            nodes, weight = gauss_rule_of_points(points, signal[first:last], order)
            columns.append((np.exp(nodes), weight, np.zeros(nodes.size), first, last))
        if noise[first:last].sum() > 0.0:
            nodes, weight = gauss_rule_of_points(points, noise[first:last], order)
            lam = np.exp(nodes)
            columns.append((lam, np.zeros(nodes.size), weight / (lam / unit) ** 2, first, last))
    sizes = [column[0].size for column in columns]
    lam, power, count = (np.concatenate([column[j] for column in columns]) for j in range(3))
    start = np.repeat(np.array([column[3] for column in columns], dtype=np.int64), sizes)
    stop = np.repeat(np.array([column[4] for column in columns], dtype=np.int64), sizes)
    return Nodes(lam, power, count, start, stop)
