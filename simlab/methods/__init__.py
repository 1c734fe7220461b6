"""Methods in state-space form: z <- M_t z - b_t g(c_t . z), evaluated at o_t . z. Wrappers append a coordinate."""

from simlab.doors import unknown_attributes
from simlab.methods import (
    accelerated,
    adaptive,
    averaging,
    closed,
    gradient,
    layerwise,
    low_bit,
    own,
    workers,
    wrappers,
)
from simlab.methods.accelerated import *  # noqa: F403
from simlab.methods.adaptive import *  # noqa: F403
from simlab.methods.averaging import *  # noqa: F403
from simlab.methods.base import Coefficients, Method
from simlab.methods.closed import *  # noqa: F403
from simlab.methods.gradient import *  # noqa: F403
from simlab.methods.layerwise import *  # noqa: F403
from simlab.methods.low_bit import *  # noqa: F403
from simlab.methods.own import *  # noqa: F403
from simlab.methods.shifted import rest
from simlab.methods.workers import *  # noqa: F403
from simlab.methods.wrappers import *  # noqa: F403

__all__ = ["Coefficients", "Method", "rest"]
__all__ += accelerated.__all__
__all__ += adaptive.__all__
__all__ += averaging.__all__
__all__ += closed.__all__
__all__ += gradient.__all__
__all__ += layerwise.__all__
__all__ += low_bit.__all__
__all__ += own.__all__
__all__ += workers.__all__
__all__ += wrappers.__all__

ELSEWHERE = {
    "muon": "it orthogonalises matrices, and a problem here is a vector; take sign_sgd, its relative for a vector",
    "signsgd": "take sign_sgd",
    "sgd_sign": "take sign_sgd",
    "momentum": "take heavy_ball, or torch_momentum for that of torch.optim.SGD",
    "nag": "take nesterov",
    "polyak": "take heavy_ball for his momentum, average for his averaging",
    "stability": "it is what simlab.stability(problem, method) returns",
    "swa": "take tail_average",
}
"""Names of other libraries, and what to take in their place."""

__getattr__ = unknown_attributes(__name__, __all__, ELSEWHERE)
