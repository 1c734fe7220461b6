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

if TYPE_CHECKING:  # `as` says that a name is to be had from here
    from simlab.landscapes import noise as noise
    from simlab.landscapes.bigram import Bigram as Bigram
    from simlab.landscapes.bigram import bigram as bigram
    from simlab.landscapes.landscape import Landscape as Landscape
    from simlab.landscapes.landscape import Split as Split
    from simlab.landscapes.landscape import custom as custom
    from simlab.landscapes.noise import Noise as Noise
    from simlab.landscapes.river import find as find
    from simlab.landscapes.river.course import River as River
    from simlab.landscapes.river.repeats import BiasVariance as BiasVariance
    from simlab.landscapes.river.repeats import bias_variance as bias_variance
    from simlab.landscapes.river.segments import Segments as Segments
    from simlab.landscapes.river.segments import segments as segments
    from simlab.landscapes.straight import StraightValley as StraightValley
    from simlab.landscapes.valleys import curved as curved
    from simlab.landscapes.valleys import embedded as embedded
    from simlab.landscapes.valleys import hyperbolic as hyperbolic
    from simlab.landscapes.valleys import narrowing as narrowing
    from simlab.landscapes.valleys import straight_landscape as straight_landscape
    from simlab.landscapes.valleys import widening as widening
    from simlab.trace.stored import state_at as state_at

_NAMES = {
    "bigram": ("Bigram", "bigram"),
    "landscape": ("Landscape", "Split", "custom"),
    "noise": ("Noise",),
    "river.course": ("River",),
    "river.repeats": ("BiasVariance", "bias_variance"),
    "river.segments": ("Segments", "segments"),
    "straight": ("StraightValley",),
    "valleys": ("curved", "embedded", "hyperbolic", "narrowing", "straight_landscape", "widening"),
}
_HOME = {name: f"simlab.landscapes.{module}" for module, names in _NAMES.items() for name in names}
_HOME["state_at"] = "simlab.trace.stored"
_MODULES = {"find": "simlab.landscapes.river.find", "noise": "simlab.landscapes.noise"}

__all__ = sorted([*_HOME, *_MODULES])


def __getattr__(name: str) -> Any:
    if name in _HOME:
        value = getattr(importlib.import_module(_HOME[name]), name)
    elif name in _MODULES:
        value = importlib.import_module(_MODULES[name])
    else:
        raise AttributeError(f"module 'simlab.river' has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
