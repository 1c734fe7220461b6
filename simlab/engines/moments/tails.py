"""Where a mixture's directions part: a head that is stepped one by one, and a tail that goes in blocks of steps."""

from __future__ import annotations

import numpy as np

from simlab.arrays import FloatArray, IntArray
from simlab.engines.moments.representatives import representatives
from simlab.kernels.moments.mixture_blocks import MOST_NODES, REACH, STEEPEST, rows_of_nodes
from simlab.kernels.moments.mixture_moves import WIDTH
from simlab.kernels.moments.mixture_nodes import pairs
from simlab.methods.base import Method
from simlab.problems.mixture import Mixture

__all__ = ["PLAIN", "Tail", "rates_of", "tail_of"]

PLAIN = 512
"""Steps of all directions, one by one, before the next look whether a block pays."""

AHEAD = 256
"""Steps that are looked at for how far the next block goes."""

SHORTEST = 32
"""Steps that are too few for a block to be thought of."""

MOST_FAILURES = 2
"""Cuts in vain, after which the spectra are taken to be no smooth curves, and every step is a plain one."""

MOST_DOMAINS = 8
"""Domains beyond which a step of the nodes, which grows with their square, is not compiled."""

LARGEST_L = 1 << 25
"""Most numbers of L (256 MiB)."""

FEWEST = 8, 24
"""Nodes, for k = 1 and 2, that fewer are filled up to: of 16 LLVM steps the matrices of k = 2 one by one."""

DOUBLINGS = 12
"""Powers of M that are looked at: 1, 2, 4, .., 2^11."""

PER_SEARCH = 1_000.0
"""Nanoseconds for a direction of a tail for which nodes are looked for."""

WORTH = 1e7
"""Nanoseconds that the rest of a run has to save by its first cut: for each number of domains kernels have to be
compiled once, which takes seconds.
"""


def costs_of(k: int, domains: int) -> tuple[float, float, float]:
    """Nanoseconds, as measured for 1 to 8 domains: a direction stepped, a step of the nodes, a direction of the tail in
    a block.
    """
    if k == 1:
        forms = pairs(domains)
        return 0.3 + 0.37 * domains, 12.0 + 11.0 * forms, 10.0 + 2.0 * forms
    forms = pairs(domains + 1)
    return 1.2 + 0.35 * domains, 140.0 + 48.0 * forms, 40.0 + 4.5 * forms


Cut = tuple[int, FloatArray, FloatArray, FloatArray, FloatArray]
"""Tiles of the head; L, the rows of the nodes and room for as many of a tile, as the kernel takes them; the largest
eigenvalues of the tail.
"""


class Tail:
    """The cuts of a mixture into head and tail that were made so far.

    lam (K, d): eigenvalues as the directions lie, the largest first.  excess (K,): kurtosis - 1.  k: state size.
    """

    def __init__(self, lam: FloatArray, excess: FloatArray, k: int) -> None:
        self.lam, self.excess, self.k, self.rows = lam, excess, k, rows_of_nodes(k, lam.shape[0])
        self.costs = costs_of(k, lam.shape[0])
        self.tiles = -(-lam.shape[1] // WIDTH)
        largest = np.maximum.reduceat(lam, np.arange(0, lam.shape[1], WIDTH), axis=1)
        self.heads = np.unique(np.r_[0, 1 << np.arange(int(self.tiles - 1).bit_length())])
        self.top = np.maximum.accumulate(largest[:, ::-1], axis=1)[:, ::-1].T[self.heads]
        self.cuts: dict[int, Cut | None] = {}

    def after(self, rate: FloatArray, shares: FloatArray, weights: FloatArray, left: int) -> Cut | None:
        """The cheapest cut for steps of these rates (n,), shares and weights (n, K); None: plain steps.

        left : steps of the whole run from there on, in which a cut that has to be made must pay.
        """
        n = rate.size
        if n < SHORTEST:
            return None
        steep = self.top @ (rate[:AHEAD, None] * shares[:AHEAD] * weights[:AHEAD]).max(axis=0)
        size = self.lam.shape[1]
        length = np.minimum(REACH / np.maximum(2.0 * steep, 1e-300), n)
        held = WIDTH * self.heads
        direction, step, block = self.costs
        cost = direction * held + step + block * (size - held) / length
        made = np.array([head in self.cuts for head in self.heads])
        cost = cost + np.where(made, 0.0, PER_SEARCH * (size - held) / left)
        best = direction * size
        choice = None
        if not self.cuts and (best - cost.min()) * left < WORTH:
            return None
        for which in np.argsort(cost, kind="stable"):
            if cost[which] >= best:
                break
            if steep[which] <= STEEPEST and (choice := self._cut(int(which))) is not None:
                break
            if sum(each is None for each in self.cuts.values()) == MOST_FAILURES:
                break
        return choice

    def _cut(self, which: int) -> Cut | None:
        head = int(self.heads[which])
        if head not in self.cuts:
            lam = self.lam[:, head * WIDTH :]
            small = lam.shape[1] * MOST_NODES <= LARGEST_L
            found = representatives(lam, REACH, MOST_NODES) if small else None
            if found is None:
                self.cuts[head] = None
                return None
            count = max(-(-found.nodes.size // 8) * 8, FEWEST[self.k - 1])
            K = self.excess.size
            rows = np.zeros((self.rows, MOST_NODES))
            rows[:K, : found.nodes.size] = lam[:, found.nodes]
            rows[K : 2 * K] = self.excess[:, None] * rows[:K] ** 2
            L = np.zeros((self.tiles - head, WIDTH, count))
            L.reshape(-1, count)[: lam.shape[1], : found.nodes.size] = found.L.T
            held = np.empty(self.rows * WIDTH)
            self.cuts[head] = head, L.transpose(0, 2, 1).ravel(), rows.ravel(), held, self.top[which]
        return self.cuts[head]


def rates_of(M: FloatArray, b: FloatArray, c: FloatArray) -> FloatArray:
    """(n,) : how far the gradient of step t moves, in the end at most, the place of a gradient: max_j |c . M^j b|, of
    the coefficients of t, and over |M| for k = 1.
    """
    with np.errstate(all="ignore"):
        if b.shape[1] == 1:
            return np.nan_to_num(np.abs(b * c / M[:, :, 0])[:, 0], nan=np.inf, posinf=np.inf)
        if np.all(M[:1] == M) and np.all(c == c[:1]):
            M, c = M[:1], c[:1]
        scale = np.abs(b[:, 0])
        if len(M) == 1 and scale.all() and np.all(b[:, 1] * b[0, 0] == b[:, 0] * b[0, 1]):
            b = b[:1] / b[0, 0]
        else:
            scale = np.ones(1)
        m00, m01, m10, m11 = M[:, 0, 0], M[:, 0, 1], M[:, 1, 0], M[:, 1, 1]
        out = np.abs(c[:, 0] * b[:, 0] + c[:, 1] * b[:, 1])
        for _ in range(DOUBLINGS):
            e0, e1 = c[:, 0] * m00 + c[:, 1] * m10, c[:, 0] * m01 + c[:, 1] * m11
            out = np.maximum(out, np.abs(e0 * b[:, 0] + e1 * b[:, 1]))
            cross, trace = m01 * m10, m00 + m11
            m00, m01, m10, m11 = m00 * m00 + cross, m01 * trace, m10 * trace, m11 * m11 + cross
        out = out * scale
    return np.nan_to_num(out, nan=np.inf, posinf=np.inf)


def tail_of(problem: Mixture, method: Method, order: IntArray) -> Tail | None:
    """Of domains whose directions share one kurtosis each, under a method of one or two numbers a weight."""
    if len(problem.names) > MOST_DOMAINS or method.state_size > 2 or problem.dim <= 2 * WIDTH:
        return None
    kurtosis = np.broadcast_to(problem.kurtosis, problem.eigenvalues.shape)
    if np.any(kurtosis != kurtosis[:, :1]):
        return None
    return Tail(problem.eigenvalues[:, order], kurtosis[:, 0] - 1.0, method.state_size)
