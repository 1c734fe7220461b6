"""River valleys: landscapes with a river and hills, the river itself, and what separates the two (Wen et al. 2024).

    from simlab import methods, river, schedules
    from simlab.engines.descend import descend

    valley = river.curved(slope=0.1, mu=0.0)
    trace = descend(valley, methods.sgd(schedules.wsd(2000, peak=0.05, cooldown=0.2)), noise=river.noise.isotropic(1.0))

Names are loaded on first use: landscapes need Numba, and describing an experiment does not.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from simlab.river import find, noise
    from simlab.river.cooldowns import BiasVariance, bias_variance
    from simlab.river.crossings import Segments, segments
    from simlab.river.landscapes import Landscape, Split, custom
    from simlab.river.noise import Noise
    from simlab.river.projection import River
    from simlab.river.straight import StraightValley
    from simlab.river.tokens import Bigram, bigram
    from simlab.river.valleys import curved, embedded, hyperbolic, narrowing, straight_landscape, widening

_HOME = {
    "BiasVariance": "cooldowns",
    "Bigram": "tokens",
    "Landscape": "landscapes",
    "Noise": "noise",
    "River": "projection",
    "Segments": "crossings",
    "Split": "landscapes",
    "StraightValley": "straight",
    "bias_variance": "cooldowns",
    "bigram": "tokens",
    "curved": "valleys",
    "custom": "landscapes",
    "embedded": "valleys",
    "hyperbolic": "valleys",
    "narrowing": "valleys",
    "segments": "crossings",
    "straight_landscape": "valleys",
    "widening": "valleys",
}
_MODULES = ("find", "noise")

__all__ = [
    "BiasVariance",
    "Bigram",
    "Landscape",
    "Noise",
    "River",
    "Segments",
    "Split",
    "StraightValley",
    "bias_variance",
    "bigram",
    "curved",
    "custom",
    "embedded",
    "find",
    "hyperbolic",
    "narrowing",
    "noise",
    "segments",
    "straight_landscape",
    "widening",
]


def __getattr__(name: str) -> Any:
    if name in _HOME:
        value = getattr(importlib.import_module(f"simlab.river.{_HOME[name]}"), name)
    elif name in _MODULES:
        value = importlib.import_module(f"simlab.river.{name}")
    else:
        raise AttributeError(f"module 'simlab.river' has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
