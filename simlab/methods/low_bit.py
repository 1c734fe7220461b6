"""Adam whose momentum and mean square are kept in few bits between steps."""

# Annotations of records are evaluated: see `simlab.methods.base`.
from typing import ClassVar

import numpy as np

from simlab.arrays import FloatArray, IntArray
from simlab.errors import InputError, brief, check_count
from simlab.methods.adaptive import Moments
from simlab.methods.base import method
from simlab.methods.weightwise import block_edges

__all__ = ["adam_low_bit"]


def dynamic_levels(bits: int, signed: bool = True) -> FloatArray:
    """The 2^bits numbers of the dynamic map, ascending, 1 the largest (Dettmers et al. 2021, arXiv 2110.02861).

    A decade 10^(i - E + 1), i = 0 .. E - 1, has 2^i numbers of either sign (2^(i+1) without signs), the middles of as
    many equal parts of [0.1, 1]; E = bits - 1. 0 and 1 are added.
    """
    most = bits - 1
    found = [0.0, 1.0]
    for i in range(most):
        ends = np.linspace(0.1, 1.0, 2 ** (i if signed else i + 1) + 1)
        part = 10.0 ** (i - most + 1) * 0.5 * (ends[:-1] + ends[1:])
        found += [*part, *(-part if signed else ())]
    return np.sort(found)


def linear_levels(bits: int) -> FloatArray:
    """(k + 1) / 2^bits, k = 0 .. 2^bits - 1: without 0 (Li, Chen and Zhu 2023, arXiv 2309.01507)."""
    return np.arange(1, 2**bits + 1) / 2.0**bits


@method
class adam_low_bit(Moments):
    """Adam, m and v rounded after each step, in every block, to its largest magnitude times one of 2^bits numbers.

    The step itself is made of what is rounded afterwards.  bits : 8, with blocks of 2,048 (Dettmers et al. 2021, arXiv
    2110.02861), or 4, with blocks of 128 (Li, Chen and Zhu 2023, arXiv 2309.01507), whose scale by rows and columns is
    one of matrices, and is not here.  block : the size of blocks; None: theirs.  second : the map of v, "dynamic" or
    "linear", which has no 0; None: "dynamic" for 8 bits, "linear" for 4. That of m is dynamic and signed.

    To the nearest, v stands still where (1 - beta2) of it is less than half a level, a ratchet that grows alone: long
    runs in 8 bits end elsewhere than whole ones (on a power law 0.81 of the risk with beta2 = 0.999, 0.99 with 0.9).
    Without 0, no v is below 1 / 2^bits of its block's largest: the tail of a block that spans more is slow.
    """

    bits: int = 8
    block: int | None = None
    second: str | None = None
    tacit: ClassVar[tuple[str, ...]] = ("eps", "weight_decay")

    def check(self) -> None:
        super().check()
        if self.bits not in (4, 8) or isinstance(self.bits, bool):
            raise InputError(f" = {brief(self.bits)} is not known; give 4 or 8.", "bits")
        if self.second not in (None, "dynamic", "linear"):
            raise InputError(f" = {brief(self.second)} is not known; give 'dynamic' or 'linear'.", "second")
        size = {8: 2048, 4: 128}[self.bits] if self.block is None else check_count("block", self.block)
        second = self.second or {8: "dynamic", 4: "linear"}[self.bits]
        self._keep(block=size, second=second)

    def edges(self, dim: int) -> IntArray:
        return block_edges(int(self.block or dim), dim)

    def levels(self) -> FloatArray:
        of_v = linear_levels(self.bits) if self.second == "linear" else dynamic_levels(self.bits, signed=False)
        return np.stack([dynamic_levels(self.bits), of_v])
