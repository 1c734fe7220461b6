"""simlab: the exact risk of SGD, momentum and averaging under any schedule, by eigen-subspace.

    import simlab as sl

    problem = sl.LinearRegression.power_law(dim=10_000, capacity=1.5, source=1.2, noise_variance=0.1)
    schedule = sl.schedules.wsd(100_000, peak=0.3, warmup=0.01, cooldown=0.2, shape="1-sqrt")
    trace = sl.exact(problem, sl.methods.sgd(schedule), subspaces=sl.subspaces.log_bins(8))

Names are loaded on first use, so that importing simlab stays cheap.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from simlab._version import __version__

if TYPE_CHECKING:
    from simlab import methods, plot, river, schedules, subspaces
    from simlab.engines.descent import descend
    from simlab.engines.exact import exact
    from simlab.engines.sample import sample
    from simlab.engines.stability import stability
    from simlab.engines.valley import exact_valley
    from simlab.errors import InputError
    from simlab.experiment import Experiment
    from simlab.problems import EmpiricalRegression, LinearRegression, NoisyQuadratic, RandomFeatures
    from simlab.sweeps import sweep
    from simlab.trace import RiskTrace

__all__ = [
    "EmpiricalRegression",
    "Experiment",
    "InputError",
    "LinearRegression",
    "NoisyQuadratic",
    "RandomFeatures",
    "RiskTrace",
    "__version__",
    "descend",
    "exact",
    "exact_valley",
    "methods",
    "plot",
    "river",
    "sample",
    "schedules",
    "stability",
    "subspaces",
    "sweep",
]

_HOME = {
    "EmpiricalRegression": "simlab.problems",
    "Experiment": "simlab.experiment",
    "InputError": "simlab.errors",
    "LinearRegression": "simlab.problems",
    "NoisyQuadratic": "simlab.problems",
    "RandomFeatures": "simlab.problems",
    "RiskTrace": "simlab.trace",
    "descend": "simlab.engines.descent",
    "exact": "simlab.engines.exact",
    "exact_valley": "simlab.engines.valley",
    "sample": "simlab.engines.sample",
    "stability": "simlab.engines.stability",
    "sweep": "simlab.sweeps",
}
_MODULES = ("methods", "plot", "river", "schedules", "subspaces")


def __getattr__(name: str) -> Any:
    if name in _HOME:
        value = getattr(importlib.import_module(_HOME[name]), name)
    elif name in _MODULES:
        value = importlib.import_module(f"simlab.{name}")
    else:
        from simlab.doors import unknown_attributes

        unknown_attributes("simlab", __all__)(name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
