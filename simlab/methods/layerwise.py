"""Methods whose steps are scaled block by block by the norm of the weights: LARS and LAMB."""

# Annotations of records are evaluated: see `simlab.methods.base`.
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from simlab.arrays import FloatArray, IntArray
from simlab.errors import InputError, check_floats, check_number
from simlab.kernels import dials as rules
from simlab.methods.adaptive import Moments
from simlab.methods.base import Number, Steps, method
from simlab.methods.weightwise import Adaptive, beta, block_edges, block_sizes, positive

__all__ = ["lamb", "lars"]


class _Layers(Adaptive):
    """What both have: blocks, and weights that have a size.

    blocks : sizes of consecutive blocks (the layers), or one number, the size of all of them; None: one block of all.
    weights : w_0, one number for all or (d,), in the basis of the weights: decay and norms are measured from 0, not
    from where the run starts. None: 0 on a regression, where runs start, and the landscape's own start.
    """

    anchored: ClassVar[bool] = True

    def _check_layers(self, blocks: Any, weights: Any) -> None:
        if blocks is not None:
            self._keep(blocks=block_sizes(blocks))
        if weights is not None:
            given = check_floats("weights", weights)
            if given.ndim > 1:
                raise InputError(f" has the shape {given.shape}; give one number, or one for each weight.", "weights")
            self._keep(weights=float(given.item()) if given.size == 1 else tuple(map(float, given)))

    def edges(self, dim: int) -> IntArray:
        blocks: Any = getattr(self, "blocks", None)
        return block_edges(dim if blocks is None else blocks, dim)

    def first_weights(self, dim: int) -> FloatArray | None:
        given: Any = getattr(self, "weights", None)
        if given is None:
            return None
        if isinstance(given, tuple) and len(given) != dim:
            raise InputError(f" has {len(given)} entries, and there are {dim} weights; give one for each.", "weights")
        return np.broadcast_to(np.asarray(given, dtype=np.float64), (dim,)).copy()


@method
class lars(_Layers):
    """m <- momentum m + rho (g + weight_decay w); w <- w - lr m, rho = trust |w| / (|g| + weight_decay |w| + eps).

    rho is of each block, and 1 where its w or g is 0. Source: You, Gitman and Ginsburg 2017 (arXiv 1708.03888),
    algorithm 1 (there the rate enters m, here it is outside, as in timm's and PyTorch's SGD: the same where it is
    constant).  blocks : sizes of consecutive layers, or one number; None: all is one layer.  weights : w_0, one number
    or (d,); None: 0 on a regression, the landscape's start on a landscape. Decay pulls to 0.
    """

    momentum: float = 0.9
    trust: float = 1e-3
    eps: float = 1e-8
    batch: Number = 1
    weight_decay: Number = 0.0
    blocks: npt.ArrayLike | None = None
    weights: npt.ArrayLike | None = None
    tacit: ClassVar = ("eps", "weight_decay")
    rule: ClassVar[int] = rules.LARS
    rows: ClassVar[tuple[str, ...]] = ("momentum",)

    def check(self) -> None:
        beta("momentum", self.momentum)
        check_number("trust", self.trust, low=0.0, open_low=True)
        positive("eps", self.eps)
        self._check_layers(self.blocks, self.weights)

    def settings(self, t: Steps) -> dict[int, Any]:
        return {rules.B1: self.momentum, rules.TRUST: self.trust, rules.EPS: self.eps}


@method
class lamb(_Layers, Moments):
    """r = m^ / (sqrt(v^) + eps) + weight_decay w; w <- w - lr (|w| / |r|) r, norms of each block, the ratio 1 where one
    is 0.

    Source: You et al. 2019 (arXiv 1904.00962), algorithm 2 with phi(x) = x.  blocks, weights : as for `lars`.
    """

    eps: float = 1e-6
    blocks: npt.ArrayLike | None = None
    weights: npt.ArrayLike | None = None
    rule: ClassVar[int] = rules.LAMB

    def check(self) -> None:
        Moments.check(self)
        self._check_layers(self.blocks, self.weights)
