"""What methods that are not linear have in common: a rule in every coordinate, and the dials of its steps."""

# Annotations of records are evaluated: see `simlab.methods.base`.
from typing import Any, ClassVar, NamedTuple

import numpy as np
import numpy.typing as npt

from simlab.arrays import FloatArray, IntArray
from simlab.errors import InputError, brief, check_floats, check_number
from simlab.kernels import dials as rules
from simlab.methods.base import Rated, Steps, record
from simlab.schedules import Schedule, as_schedule

__all__ = ["Adaptive", "Compiled", "beta", "block_edges", "block_sizes", "one_number", "positive"]


class Compiled(NamedTuple):
    """What kernels call beside a rule, compiled, in the order in which they take it.

    own : a rule of the user's own.  feedback, whole : a feedback of a summary, or of all weights as well; gains (n,),
    its numbers; fields, what it keeps of every weight; memory, how many numbers it keeps; chooses, whether it says how
    many samples the next step draws. None, and 0, where there is none.
    """

    own: Any = None
    feedback: Any = None
    whole: Any = None
    gains: FloatArray = np.zeros(0)
    fields: int = 0
    memory: int = 0
    chooses: bool = False


@record
class Adaptive(Rated):
    """A method with a rule of its own in every coordinate; the iterate comes first, the origin last where it matters.

    rule : a code of `simlab.kernels.rules`.  rows : what its state variables are.
    """

    linear: ClassVar[bool] = False
    rule: ClassVar[int]
    rows: ClassVar[tuple[str, ...]] = ()
    anchored: ClassVar[bool] = False
    """Whether the origin matters without decay as well."""

    def __post_init__(self, steps: int | None) -> None:
        super().__post_init__(steps)
        decay = getattr(self, "weight_decay", 0.0)
        if isinstance(decay, int | float) and not isinstance(decay, bool):
            check_number("weight_decay", decay, low=0.0)
        self._schedules["weight_decay"] = as_schedule(decay, self.length, "weight_decay")
        pulled = self.anchored or self._schedules["weight_decay"].peak() > 0.0
        size = 1 + len(self.rows)
        # The origin, seen from w*, is -(w_0 - w*): as in `methods.weight_decay`.
        self._keep(z0=np.append(np.eye(size)[0], -1.0) if pulled else np.eye(size)[0])
        self._keep(
            coordinates=("iterate", *self.rows, *(("origin",) if pulled else ())), iterate=np.eye(self.z0.size)[0]
        )

    @property
    def pulled(self) -> bool:
        """Whether the last coordinate is the origin, to which weights decay."""
        return self.coordinates[-1] == "origin"

    @property
    def compiled(self) -> Compiled:
        """What kernels call beside the rule."""
        return Compiled()

    def settings(self, t: Steps) -> dict[int, Any]:
        """Column of the dials -> its values at the steps t."""
        return {}

    def dials(self, t: Steps) -> FloatArray:
        """(t.size, DIALS): what the rule takes of the steps t."""
        out = np.zeros((t.size, rules.DIALS))
        out[:, rules.CM] = out[:, rules.CV] = out[:, rules.ONE] = 1.0
        out[:, rules.RATE], out[:, rules.DECAY] = self.at("lr", t), self.at("weight_decay", t)
        for column, values in self.settings(t).items():
            out[:, column] = values
        return out

    def numbers(self, start: int, stop: int) -> tuple[FloatArray, ...]:
        return (self.dials(np.arange(start, stop)),)

    def edges(self, dim: int) -> IntArray:
        """The coordinates where blocks that share something begin, and dim; empty where each has its own."""
        return np.zeros(0, dtype=np.int64)

    def levels(self) -> FloatArray:
        """(2, n), what m and v are rounded to, over the largest of their block; (0, 0) where they are kept whole."""
        return np.zeros((0, 0))

    def first_weights(self, dim: int) -> FloatArray | None:
        """(dim,), the weights that a run starts from, or None for those that the problem starts from."""
        return None


def positive(name: str, value: float) -> None:
    check_number(name, value, low=0.0)


def beta(name: str, value: Any, moving: bool = False) -> None:
    """Refuse a decay outside [0, 1): with 1 nothing would ever enter the average."""
    if isinstance(value, Schedule) and moving:
        if value.peak() >= 1.0:
            raise InputError(f" reaches {value.peak():g}; give values of at least 0 and below 1.", name)
    elif not 0.0 <= check_number(name, value) < 1.0:
        raise InputError(f" = {brief(value)} is outside [0, 1); give a number of at least 0 and below 1.", name)


def one_number(name: str, value: Any) -> None:
    if isinstance(value, Schedule):
        raise InputError(" is a schedule, and the formula is for one number; give one.", name)


def block_sizes(value: npt.ArrayLike) -> tuple[int, ...] | int:
    """Sizes of consecutive blocks, or one number for all of them, or an InputError."""
    sizes = np.atleast_1d(check_floats("blocks", value))
    if sizes.ndim > 1 or sizes.size == 0 or np.any(sizes != np.round(sizes)) or np.any(sizes < 1.0):
        raise InputError(" holds a size that is no whole number; give sizes such as [3, 3, 3].", "blocks")
    return tuple(int(size) for size in sizes) if sizes.size > 1 else int(sizes[0])


def block_edges(sizes: tuple[int, ...] | int, dim: int) -> IntArray:
    """Where blocks of these sizes begin among dim coordinates, and dim; of one size, the last may be smaller."""
    if isinstance(sizes, int):
        return np.append(np.arange(0, dim, sizes), dim).astype(np.int64)
    if sum(sizes) != dim:
        raise InputError(f" sums to {sum(sizes)}, and there are {dim} weights; give sizes of all.", "blocks")
    return np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
