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
from simlab.engines.registry import ENGINES

if TYPE_CHECKING:  # `as` says that a name is to be had from here
    from simlab import feedback as feedback
    from simlab import methods as methods
    from simlab import plot as plot
    from simlab import river as river
    from simlab import schedules as schedules
    from simlab import subspaces as subspaces
    from simlab import twin as twin
    from simlab.engines.descend import descend as descend
    from simlab.engines.exact import exact as exact
    from simlab.engines.exact_valley import exact_valley as exact_valley
    from simlab.engines.limit import limit as limit
    from simlab.engines.long import long as long
    from simlab.engines.sample import sample as sample
    from simlab.engines.stability import stability as stability
    from simlab.errors import InputError as InputError
    from simlab.experiment import Experiment as Experiment
    from simlab.optimal.optimize import optimize as optimize
    from simlab.optimal.tune import tune as tune
    from simlab.problems import EmpiricalRegression as EmpiricalRegression
    from simlab.problems import LinearRegression as LinearRegression
    from simlab.problems import Mixture as Mixture
    from simlab.problems import NoisyQuadratic as NoisyQuadratic
    from simlab.problems import RandomFeatures as RandomFeatures
    from simlab.sweeps import sweep as sweep
    from simlab.trace import RiskTrace as RiskTrace

_PLACES: dict[str, tuple[str, ...]] = {
    "": ("feedback", "methods", "plot", "river", "schedules", "subspaces", "twin"),  # modules of this package
    "errors": ("InputError",),
    "experiment": ("Experiment",),
    "optimal.optimize": ("optimize",),
    "optimal.tune": ("tune",),
    "problems": ("EmpiricalRegression", "LinearRegression", "Mixture", "NoisyQuadratic", "RandomFeatures"),
    "sweeps": ("sweep",),
    "trace": ("RiskTrace",),
    **{f"engines.{name}": (name,) for name in (*ENGINES, "stability")},
}
_HOME = {name: place for place, names in _PLACES.items() for name in names}

__all__ = ["__version__", *_HOME]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        from simlab.doors import unknown_attributes

        unknown_attributes("simlab", __all__)(name)
    place = _HOME[name]
    value = importlib.import_module(f"simlab.{place or name}")
    if place:
        value = getattr(value, name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
