"""Learning-rate schedules: pure functions step -> value, their algebra, registry and export.

>>> from simlab import schedules
>>> schedules.wsd(100_000, peak=0.3, warmup=0.01, cooldown=0.2, shape="1-sqrt")
wsd(100000, peak=0.3, warmup=0.01, shape='1-sqrt')
>>> schedules.join(schedules.constant(10, 0.1), schedules.cosine(90, 0.1)) * 0.5
join(constant(10, peak=0.1), cosine(90, peak=0.1)) * 0.5

Conventions: a profile f on [0, 1] over n steps is sampled at u = j / n, j = 0 .. n - 1; a warmup over w steps
is peak (j + 1) / w; lengths of phases are steps (int) or fractions of the run (float in [0, 1]); `floor` is a
fraction of the peak, `floor_value` a learning rate. Any learning rate, momentum, batch size or weight decay may be a
schedule.
"""

from simlab.schedules.base import Schedule
from simlab.schedules.combinators import clip, from_array, join, repeat
from simlab.schedules.cooldowns import cooldown_shapes
from simlab.schedules.cyclic import (
    exp_range,
    one_cycle,
    range_test,
    sgdr,
    sine,
    torch_one_cycle,
    triangular,
    triangular2,
)
from simlab.schedules.decays import (
    constant,
    cosine,
    exponential,
    inverse_sqrt,
    inverse_time,
    linear,
    linear_to_zero,
    noam,
    piecewise,
    polynomial,
    rex,
    sigmoid,
    uba,
)
from simlab.schedules.eigenvalues import eigencurve
from simlab.schedules.export import to_csv, to_json, to_optax, to_torch, to_transformers
from simlab.schedules.foreign import as_schedule, from_function, from_scheduler
from simlab.schedules.implicit import scale_invariant
from simlab.schedules.logs import from_csv, from_log
from simlab.schedules.optimal import spectral
from simlab.schedules.phases import infinite, power_scheduler, trapezoid, wsd, wsd_s, wsdc
from simlab.schedules.registry import make, named
from simlab.schedules.sampling import sampled
from simlab.schedules.serial import from_dict, from_json
from simlab.schedules.staircases import multi_step, step, step_decay, tail_geometric, tail_polynomial

__all__ = [
    "Schedule",
    "as_schedule",
    "clip",
    "constant",
    "cooldown_shapes",
    "cosine",
    "eigencurve",
    "exp_range",
    "exponential",
    "from_array",
    "from_csv",
    "from_dict",
    "from_function",
    "from_json",
    "from_log",
    "from_scheduler",
    "infinite",
    "inverse_sqrt",
    "inverse_time",
    "join",
    "linear",
    "linear_to_zero",
    "make",
    "multi_step",
    "named",
    "noam",
    "one_cycle",
    "piecewise",
    "polynomial",
    "power_scheduler",
    "range_test",
    "repeat",
    "rex",
    "sampled",
    "scale_invariant",
    "sgdr",
    "sigmoid",
    "sine",
    "spectral",
    "step",
    "step_decay",
    "tail_geometric",
    "tail_polynomial",
    "to_csv",
    "to_json",
    "to_optax",
    "to_torch",
    "to_transformers",
    "torch_one_cycle",
    "trapezoid",
    "triangular",
    "triangular2",
    "uba",
    "wsd",
    "wsd_s",
    "wsdc",
]
