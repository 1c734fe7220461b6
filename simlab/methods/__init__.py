"""Methods in state-space form: z <- M_t z - b_t g(c_t . z), evaluated at o_t . z. Wrappers append a coordinate."""

from simlab.doors import unknown_attributes
from simlab.methods.accelerated import (
    AsgdParameters,
    acc_sgd,
    acsgd,
    asgd,
    dana,
    jain_2018_rule,
    li_2024_rule,
    schedule_free,
)
from simlab.methods.averaging import average, ema, merge, merge_weights, polynomial_average, tail_average
from simlab.methods.base import Coefficients, Method
from simlab.methods.gradient import generic, heavy_ball, nesterov, qhm, sgd, torch_momentum
from simlab.methods.stability import Stability
from simlab.methods.wrappers import lookahead, weight_decay

__all__ = [
    "AsgdParameters",
    "Coefficients",
    "Method",
    "Stability",
    "acc_sgd",
    "acsgd",
    "asgd",
    "average",
    "dana",
    "ema",
    "generic",
    "heavy_ball",
    "jain_2018_rule",
    "li_2024_rule",
    "lookahead",
    "merge",
    "merge_weights",
    "nesterov",
    "polynomial_average",
    "qhm",
    "schedule_free",
    "sgd",
    "tail_average",
    "torch_momentum",
    "weight_decay",
]

_ADAPTIVE = "it divides by a history of gradients, so it is no linear method; take heavy_ball or nesterov"
ELSEWHERE = {
    **dict.fromkeys(("adagrad", "adam", "adamw", "lion", "muon", "rmsprop", "signsgd"), _ADAPTIVE),
    "momentum": "take heavy_ball, or torch_momentum for that of torch.optim.SGD",
    "nag": "take nesterov",
    "polyak": "take heavy_ball for his momentum, average for his averaging",
    "swa": "take tail_average",
}
"""Names of other libraries, and what to take in their place."""

__getattr__ = unknown_attributes(__name__, __all__, ELSEWHERE)
