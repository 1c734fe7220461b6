"""The bigram softmax model of Wen et al. 2024 (arXiv 2410.05192, section 4): determinism makes rivers, doubt hills."""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from simlab.arrays import FloatArray, IntArray
from simlab.doors import door
from simlab.errors import InputError, check_array, check_count, check_floats
from simlab.kernels.landscapes import fields
from simlab.landscapes.landscape import Landscape, Split

__all__ = ["Bigram", "bigram"]


DETERMINISTIC = 0.1
"""A prefix whose next token has an uncertainty 1 - sum q^2 below this counts as river."""


class Bigram(NamedTuple):
    """The model and its parts.

    landscape : dim = prefixes * vocabulary, coordinate b * vocabulary + v the logit of token v after prefix b.
    probabilities : q (prefixes, vocabulary).  weight : how often each prefix occurs (prefixes,).
    """

    landscape: Landscape
    probabilities: FloatArray
    weight: FloatArray

    @property
    def uncertainty(self) -> FloatArray:
        """1 - sum_v q_v^2 of each prefix (prefixes,): the trace of diag(q) - q q^T."""
        out: FloatArray = 1.0 - np.sum(self.probabilities**2, axis=1)
        return out

    @property
    def optimum(self) -> FloatArray:
        """Logits log q (dim,) at which the loss is 0; where q = 0, 30 below the largest."""
        logs = np.log(np.where(self.probabilities > 0.0, self.probabilities, np.exp(-30.0)))
        out: FloatArray = logs.ravel()
        return out

    def block_losses(self, points: npt.ArrayLike) -> FloatArray:
        """Cross-entropy above the entropy, KL(q || p), of each prefix at points (..., dim): (..., prefixes)."""
        w = np.asarray(points, dtype=np.float64)
        return _block_losses(w.reshape(*w.shape[:-1], *self.probabilities.shape), self.probabilities)

    def block_hessian(self, point: npt.ArrayLike, block: int) -> FloatArray:
        """diag(p) - p p^T of one prefix (vocabulary, vocabulary), p its softmax at `point` (dim,)."""
        logits = np.asarray(point, dtype=np.float64).reshape(self.probabilities.shape)[block]
        p = _softmax(logits)
        out: FloatArray = np.diag(p) - np.outer(p, p)
        return out

    def sharpness(self, point: npt.ArrayLike) -> FloatArray:
        """Largest curvature of each prefix's block, weight included (prefixes,)."""
        tops = [np.linalg.eigvalsh(self.block_hessian(point, b))[-1] for b in range(self.weight.size)]
        out: FloatArray = self.weight * np.array(tops)
        return out


@door
def bigram(
    determinism: npt.ArrayLike,
    vocabulary: int = 5,
    weight: npt.ArrayLike | None = None,
    start: npt.ArrayLike | None = None,
) -> Bigram:
    """Next-token logits for prefixes of differing determinism: L = sum_b weight_b KL(q_b || softmax(w_b)).

    Parameters
    ----------
    determinism : (prefixes,) numbers m in [0, 1]: q_b puts m + (1 - m) / vocabulary on its own token b mod vocabulary
        and (1 - m) / vocabulary on each other; 1 is a token known for certain, 0 a uniform one.
    vocabulary : tokens V >= 2.  weight : (prefixes,) frequencies, default equal; normalised to sum 1.
    start : (prefixes * V,), default zeros (uniform predictions).

    The Hessian of a block is weight_b (diag(p) - p p^T), p its softmax: near the optimum of trace weight_b (1 - sum
    q^2), small for tokens that are all but certain (the river), large for uncertain ones (the hills). At the optimum
    the gradient of one sampled pair has exactly the Hessian as its covariance: noise.like_hessian(1, model.optimum). In
    the split, river loss is that of the prefixes of uncertainty below 0.1 and hill loss that of the others; the
    coordinate is the mean margin of the former, the logit of their own token above the mean of the others
    (reconstructed).
    """
    m = check_array("determinism", determinism, low=0.0)
    if np.any(m > 1.0):
        raise InputError(f" = {m.max():g} is above 1; give numbers between 0 (uniform) and 1 (certain).", "determinism")
    V = check_count("vocabulary", vocabulary, low=2, high=10**6)
    mass = np.ones(m.size) if weight is None else check_array("weight", weight, length=m.size, low=0.0)
    if not mass.sum() > 0.0:
        raise InputError(" is 0 for every prefix; give at least one that occurs.", "weight")
    mass = mass / mass.sum()
    q = np.repeat((1.0 - m)[:, None] / V, V, axis=1)
    own = np.arange(m.size) % V
    q[np.arange(m.size), own] += m
    logs = np.log(np.where(q > 0.0, q, 1.0))
    # Each block's loss is measured from its entropy, so that it tends to 0.
    params = np.concatenate([[m.size, V], mass, -np.sum(q * logs, axis=1), q.ravel()])
    river = 1.0 - np.sum(q**2, axis=1) < DETERMINISTIC

    loss, gradient = fields.FUNCTIONS[fields.BIGRAM]
    origin = np.zeros(m.size * V) if start is None else check_floats("start", start).copy()
    name = f"bigram(determinism[{m.size}], vocabulary={V})"
    made = Landscape(
        name, m.size * V, origin, loss, gradient, params, fields.BIGRAM,
        hessian_of=partial(_hessian, mass, V), split_of=partial(_split, mass, q, own, river),
    )  # fmt: skip
    return Bigram(made, q, mass)


def _hessian(mass: FloatArray, V: int, w: FloatArray) -> FloatArray:
    out = np.zeros((w.size, w.size))
    for b, logits in enumerate(w.reshape(mass.size, V)):
        p = _softmax(logits)
        out[b * V : (b + 1) * V, b * V : (b + 1) * V] = mass[b] * (np.diag(p) - np.outer(p, p))
    return out


def _split(mass: FloatArray, q: FloatArray, own: IntArray, river: npt.NDArray[np.bool_], w: FloatArray) -> Split:
    """`own` : the token of each prefix.  `river` : which prefixes are all but certain."""
    z = w.reshape(-1, *q.shape)
    each = mass * _block_losses(z, q)
    mine = z[:, np.arange(own.size), own]
    margin = mine - (z.sum(axis=2) - mine) / (q.shape[1] - 1)
    coordinate = margin[:, river].mean(axis=1) if river.any() else np.zeros(len(z))
    return Split(coordinate, each[:, river].sum(axis=1), z[:, ~river].reshape(len(z), -1))


def _softmax(logits: FloatArray) -> FloatArray:
    e = np.exp(logits - logits.max(axis=-1, keepdims=True))
    out: FloatArray = e / e.sum(axis=-1, keepdims=True)
    return out


def _block_losses(z: FloatArray, q: FloatArray) -> FloatArray:
    """KL(q || softmax(z)) over the last axis."""
    top = z.max(axis=-1)
    partition = top + np.log(np.exp(z - top[..., None]).sum(axis=-1))
    logs = np.log(np.where(q > 0.0, q, 1.0))
    out: FloatArray = partition - np.sum(q * z, axis=-1) + np.sum(q * logs, axis=-1)
    return out
