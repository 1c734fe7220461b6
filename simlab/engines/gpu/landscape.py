"""Stochastic descent on a GPU: the backend of `simlab.engines.replicas.landscape`, and landscapes of the user's own.

A thread takes a replica; see simlab/kernels/cuda/descent.cuh.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from simlab.arrays import FloatArray
from simlab.engines.gpu import cuda
from simlab.errors import InputError
from simlab.kernels.landscapes.descent import FACTOR, SHAPED, Noisy, Watch
from simlab.kernels.landscapes.fields import BIGRAM, HYPERBOLIC
from simlab.kernels.landscapes.river_noise import Across
from simlab.landscapes.landscape import Landscape, nearby, short

__all__ = ["DESCENT", "GpuDescent", "check_source", "refusal"]


DESCENT = ("body", "fields", "descent")
OWN = BIGRAM + 1
"""The code of a landscape of the user's own in fields.cuh."""

THREADS = 32
"""Of a block: one warp, so that few replicas spread over many multiprocessors."""

HELD_DIM, HELD_STATE = 6, 16
"""Up to this dimension, and so many numbers of state, a replica stays in registers: the largest takes 178 of 255."""

SCRATCH = 4
"""Vectors beside the state where it stays in memory."""

AGREEMENT = 1e-6
"""What the two versions of a user's landscape may differ by, relative to the largest entry of either."""


def refusal(landscape: Landscape, noisy: Noisy) -> str | None:
    """Why a GPU cannot run this, or None."""
    if landscape.code is None and not landscape.cuda:
        return f"{landscape.expression} is known to the processor alone; give simlab.river.custom(.., cuda=SOURCE)"
    if callable(noisy.shape):
        return "noise with a function of your own is known to the processor alone; take another noise"
    return None


class GpuDescent:
    """Replicas on a GPU; made once per run, so that landscape and noise go up once.

    `run` does what `simlab.kernels.landscapes.descent.run` does, with the state on the device: random words are the
    same bit for bit, numbers up to rounding. A replica that has left stands still.
    """

    def __init__(self, landscape: Landscape, noisy: Noisy, device: cuda.Device | None = None) -> None:
        self.device: cuda.Device = cuda.CupyDevice() if device is None else device
        self.landscape, self.noisy = landscape, noisy
        put = self.device.put
        noise = {FACTOR: noisy.factor, SHAPED: noisy.params}.get(noisy.kind, noisy.diagonal)
        self.terrain = (
            *(put(array) for array in (landscape.params, landscape.rotation, landscape.hills, noise)),
            np.float64(noisy.by_loss),
            np.float64(noisy.floor),
            np.int32(landscape.dim),
            np.int32(landscape.hills.size),
        )
        self.source = _own_source(landscape)
        self.upload, self.download, self.free_memory = put, self.device.get, self.device.free_memory

    def held(self, k: int) -> bool:
        """Whether a state stays in registers. The bigram model indexes it by numbers that only the run knows."""
        dim = self.landscape.dim
        return dim <= HELD_DIM and k * dim <= HELD_STATE and self.landscape.code != BIGRAM

    def vectors(self, k: int) -> int:
        """Vectors of the landscape's dimension that a replica takes in memory."""
        return k if self.held(k) else k + SCRATCH

    def kernel(self, k: int) -> str:
        """The name of the kernel for a method of state size k."""
        landscape, held = self.landscape, self.held(k)
        field = OWN if landscape.code is None else landscape.code
        hills = (landscape.hills.size if held else 0) if landscape.turned else -1
        by_loss = "true" if self.noisy.by_loss > 0.0 else "false"
        return f"descend<{field}, {self._noise_kind()}, {hills}, {by_loss}, {k}, {landscape.dim if held else 0}>"

    def _noise_kind(self) -> int:
        """As descent.cuh counts them: after noise across the curve in two dimensions that among more coordinates."""
        shape = self.noisy.shape
        return SHAPED + 1 + (shape.field == HYPERBOLIC) if isinstance(shape, Across) else self.noisy.kind

    def run(
        self,
        watch: Watch,
        begin: int,
        end: int,
        first_replica: int,
        t0: int,
        M: FloatArray,
        b: FloatArray,
        c: FloatArray,
        o: FloatArray,
        amplitude: FloatArray,
        k0: int,
        k1: int,
        z: Any,
    ) -> None:
        """Take the lanes begin .. end - 1 (multiples of 64) through a chunk of n steps that begins at step t0.

        As `simlab.kernels.landscapes.descent.run`, but z (k, dim, lanes) lies on the device, where it is changed in
        place. Returns when the records of this chunk are in `watch`.
        """
        put, zeros = self.device.put, self.device.zeros
        (n, k), (records, dim, lanes) = b.shape, watch.point.shape
        losses, points = zeros((records, lanes), np.float64), zeros((records, dim, lanes), np.float64)
        ended = put(watch.ended)
        arguments = (
            *self.terrain,
            put(watch.slots.astype(np.int32)),
            losses,
            points,
            np.float64(watch.limit),
            ended,
            *(np.int64(number) for number in (lanes, begin, first_replica, t0)),
            np.int32(n),
            *(put(array) for array in (M, b, c, o, amplitude)),
            np.uint32(k0),
            np.uint32(k1),
            zeros((1 if self.held(k) else SCRATCH * dim * lanes,), np.float64),
            z,
        )
        self.device.launch(DESCENT, self.kernel(k), (end - begin) // THREADS, THREADS, arguments, self.source)
        here = slice(begin, end)
        watch.loss[:, here] = self.device.get(losses)[:, here]
        watch.point[:, :, here] = self.device.get(points)[:, :, here]
        watch.ended[here] = self.device.get(ended)[here]


def _own_source(landscape: Landscape) -> str:
    """The user's CUDA C++ as it follows fields.cuh and descent.cuh; nothing for a built-in landscape."""
    if landscape.code is not None:
        return ""
    return f'namespace own {{\n#line 1 "landscape.cu"\n{landscape.cuda}\n}}\n'


def check_source(landscape: Landscape, device: cuda.Device | None = None) -> None:
    """Compare the user's CUDA C++ with the compiled loss and gradient, at the start and at points near it.

    Raises InputError where it cannot be compiled or says something else.
    """
    if landscape.code is not None:
        return
    on: cuda.Device = cuda.CupyDevice() if device is None else device
    u = np.ascontiguousarray(landscape.own_coordinates(nearby(landscape))[:, : landscape.inner_dim])
    n, dim = u.shape
    losses, gradients = on.zeros((n,), np.float64), on.zeros((n, dim), np.float64)
    arguments = (on.put(u), np.int32(n), np.int32(dim), on.put(landscape.params), losses, gradients)
    try:
        on.launch(DESCENT, f"own_points<{OWN}>", -(-n // THREADS), THREADS, arguments, _own_source(landscape))
    except cuda.SourceError as error:
        raise InputError(f" of {landscape.expression} cannot be compiled ({error}); correct it.", "cuda") from None
    for w, loss, gradient in zip(u, on.get(losses), on.get(gradients), strict=True):
        expected = np.zeros(dim)
        landscape.gradient(w, landscape.params, expected)
        _compare(landscape, w, "loss", np.array([loss]), np.array([landscape.loss(w, landscape.params)]))
        _compare(landscape, w, "gradient", gradient, expected)


def _compare(landscape: Landscape, w: FloatArray, name: str, said: FloatArray, known: FloatArray) -> None:
    if not np.all(np.isfinite(known)):
        return
    wrong = np.flatnonzero(~(np.abs(said - known) <= AGREEMENT * max(float(np.max(np.abs(known))), AGREEMENT)))
    if wrong.size:
        j = int(wrong[0])
        entry = f"{name}[{j}]" if name == "gradient" else name
        raise InputError(
            f" of {landscape.expression}: {entry} = {said[j]:.6g} at w = {short(w)}, where the compiled {name} "
            f"gives {known[j]:.6g}; correct the one or the other.",
            "cuda",
        )
