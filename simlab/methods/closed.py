"""Methods whose learning rate is fed back from where the run stands."""

# Annotations of records are evaluated: see `simlab.methods.base`.
from typing import Any, ClassVar

import numpy as np

from simlab.arrays import FloatArray, IntArray
from simlab.errors import InputError, brief, check_kind
from simlab.feedback import Ahead, Feedback, Summary
from simlab.kernels import dials as rules
from simlab.methods.base import Method, Steps, record
from simlab.methods.gradient import sgd
from simlab.methods.weightwise import Adaptive, Compiled
from simlab.schedules import Schedule

__all__ = ["closed_loop"]


@record
class closed_loop(Method):
    """`inner` at the learning rates that `feedback` makes of a summary of the run (`simlab.feedback`).

    inner : sgd, or a method that is not linear, whose step is its rate times something (not adamod); its schedule is
    the `base` that a feedback may start from, or scale.
    """

    inner: Method
    feedback: Feedback | Ahead
    linear: ClassVar[bool] = False

    def __post_init__(self) -> None:
        inner = check_kind("inner", self.inner, Method, "a method", "give such as methods.sgd(schedule)")
        if not isinstance(self.feedback, Feedback | Ahead):
            raise _no_feedback(self.feedback)
        if not isinstance(inner, sgd | Adaptive) or getattr(inner, "rule", rules.PLAIN) in (rules.MOD, rules.OWN):
            raise InputError(
                f" = {brief(inner)} takes no rate that is fed back; give sgd, or a method that is not linear and "
                f"whose step is its rate times something.",
                "inner",
            )
        around = self.feedback.around if isinstance(self.feedback, Feedback) else ()
        if around and getattr(inner, "rule", rules.PLAIN) not in around:
            wanted = "methods.sgd" if rules.PLAIN in around else "methods.adam or methods.adamw"
            raise InputError(f" = {brief(inner)} is not what {self.feedback.name} goes around; give {wanted}.", "inner")
        own = inner if isinstance(inner, Adaptive) else None
        self._keep(rule=rules.PLAIN if own is None else own.rule, rows=() if own is None else own.rows)
        self._keep(pulled=own is not None and own.pulled, _schedules=inner._schedules)
        self._keep(length=inner.length, learning_rate=inner.learning_rate, batch=inner.batch)
        # What a feedback remembers is kept beside the state: a row for each of its fields, and of numbers all that fit
        # in a last one; samplers add rows where they do not.
        fields = self.feedback.fields if isinstance(self.feedback, Feedback) else ()
        size = inner.state_size + 2 + len(fields)
        self._keep(z0=np.append(inner.z0, np.zeros(2 + len(fields))), iterate=np.eye(size)[0])
        self._keep(coordinates=(*inner.coordinates, "last gradient", *fields, "memory"))

    @property
    def expression(self) -> str:
        return f"closed_loop({self.inner.expression}, {self.feedback!r})"

    @property
    def compiled(self) -> Compiled:
        """The compiled feedback, its numbers, and how much it remembers."""
        if isinstance(self.feedback, Ahead):
            raise InputError(
                f" = {brief(self.feedback)} looks ahead, which a replica cannot; take simlab.limit, and sample at the "
                f"rates that it finds.",
                "feedback",
            )
        given, compiled = self.feedback, self.feedback.compiled
        return Compiled(
            feedback=None if given.whole else compiled,
            whole=compiled if given.whole else None,
            gains=np.array(given.gains),
            fields=len(given.fields),
            memory=given.memory,
            chooses=given.chooses,
        )

    @property
    def anchored(self) -> bool:
        """As the inner method is."""
        return bool(getattr(self.inner, "anchored", False))

    def levels(self) -> FloatArray:
        """As the inner method has them."""
        return self.inner.levels() if isinstance(self.inner, Adaptive) else np.zeros((0, 0))

    def first_weights(self, dim: int) -> FloatArray | None:
        """As the inner method has them."""
        return self.inner.first_weights(dim) if isinstance(self.inner, Adaptive) else None

    def dials(self, t: Steps) -> FloatArray:
        """(t.size, DIALS): those of the inner method, its schedule as the rate."""
        if isinstance(self.inner, Adaptive):
            return self.inner.dials(t)
        out = np.zeros((t.size, rules.DIALS))
        out[:, rules.RATE], out[:, rules.ONE] = self.inner.at("lr", t), 1.0
        return out

    def numbers(self, start: int, stop: int) -> tuple[FloatArray, ...]:
        return (self.dials(np.arange(start, stop)),)

    def edges(self, dim: int) -> IntArray:
        """As the inner method has them."""
        return self.inner.edges(dim) if isinstance(self.inner, Adaptive) else np.zeros(0, dtype=np.int64)

    def schedule(self, name: str) -> Schedule | None:
        return self.inner.schedule(name)

    def refusal(self, fault: FloatArray) -> InputError:
        """Of a rate fault_0 that is none, made of the summary fault_1 .."""
        at = Summary(*map(float, fault[1:]))
        shown = ", ".join(f"{name} = {value:.4g}" for name, value in zip(Summary._fields[1:], at[1:], strict=True))
        return InputError(
            f" = {brief(self.feedback)} gave the rate {fault[0]:g} at step {int(at.step)} ({shown}); give a finite "
            f"number of at least 0.",
            "feedback",
        )


def _no_feedback(given: Any) -> InputError:
    of_own = ", or feedback.custom of a function of yours" if callable(given) else ""
    return InputError(f" = {brief(given)} is not a feedback; give such as feedback.polyak(){of_own}.", "feedback")
