"""The digital twin of a training run: from measured loss curves to the loss under schedules nobody ran.

curves = [sl.twin.Curve(schedule, steps, losses), ...]
twin = sl.twin.fit(curves, weight_decay=0.1)
band = twin.predict(sl.schedules.wsd(24_000, peak=3e-4, warmup=2160))
"""

from simlab.twin import laws
from simlab.twin.curves import Curve
from simlab.twin.examples import example_runs
from simlab.twin.fitting import fit
from simlab.twin.likelihood import Errors
from simlab.twin.norm import echo, effective, norm, realising
from simlab.twin.posterior import Band, Difference
from simlab.twin.report import report
from simlab.twin.storage import from_json
from simlab.twin.twin import Twin

__all__ = [
    "Band",
    "Curve",
    "Difference",
    "Errors",
    "Twin",
    "echo",
    "effective",
    "example_runs",
    "fit",
    "from_json",
    "laws",
    "norm",
    "realising",
    "report",
]
