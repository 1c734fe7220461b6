"""Learning rates that a run makes for itself: functions of a summary of where it stands, and of a memory of their own.

A feedback is a function (summary, memory, gains) -> rate that Numba can compile. Around a method it closes the loop:

    method = sl.methods.closed_loop(sl.methods.sgd(schedule), sl.feedback.adagrad_norm(1.0))

`simlab.sample` and `simlab.descend` close it over what each replica measures, `simlab.limit` over exact moments: a
sum over many modes concentrates, so that the second is the high-dimensional limit of the first (Collins-Woodfin et al.
2024, arXiv 2405.19585, who prove it for AdaGrad-norm, Polyak and line search).
"""

from simlab.feedback import base, batches, distances, losses, rates
from simlab.feedback.base import *  # noqa: F403
from simlab.feedback.batches import *  # noqa: F403
from simlab.feedback.distances import *  # noqa: F403
from simlab.feedback.losses import *  # noqa: F403
from simlab.feedback.rates import *  # noqa: F403

__all__ = [*base.__all__, *batches.__all__, *distances.__all__, *losses.__all__, *rates.__all__]
