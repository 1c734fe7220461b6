"""The commented example that `simlab init` writes."""

from __future__ import annotations

from os import PathLike
from pathlib import Path

from simlab.files import fresh_file

__all__ = ["EXAMPLE", "write_example"]

EXAMPLE = """\
# An experiment: which cooldown ends with the lowest risk, and which part of the spectrum pays for it?
# Run it with `simlab run FILE`. Paths in this file are relative to its folder.

# Kinds: power_law, exponential, logarithmic, two_level, isotropic, marchenko_pastur, one_hot, noisy_quadratic,
# random_features, eigenvalues (your own arrays), data (a csv, npy or npz file). And river valleys, with keys of their
# own: river-straight (hills = [1, 20], count = 100, slope = 0.2), river-curved, river-narrowing, river-widening,
# river-hyperbolic, river-bigram (determinism = [0, 1], count = 20), river-embedded (valley = {kind = "river-curved"},
# hills, seed); noise = 1.0, and of all but the straight one noise_kind: isotropic, hessian, hills, loss, none.
[problem]
kind = "power_law"
dim = 10_000
capacity = 1.5           # eigenvalue i is i^-capacity
source = 2.0             # the risk of mode i starts at i^-source / 2
noise_variance = 0.1     # of the labels; the test loss is the risk plus half of this
compress = true          # few weighted nodes in place of many modes; or a tolerance (true is 1e-10); or leave it out

# Kinds: see `simlab schedules`; also array (values = [...]), log (path = "metrics.csv", of any trainer), csv, json, and
# of other schedules join (parts = [..]), slice, scaled, product, sum, repeat, clip, warmed; and, made for the problem,
# optimal and its closed form, spectral (batch, cap).
[schedule]
kind = "wsd"
steps = 20_000
peak = 0.2
warmup = 0.01            # a fraction of the run, or a number of steps
cooldown = 0.2
shape = "linear"

# Kinds: sgd, heavy_ball, nesterov, torch_momentum, qhm, asgd, acc_sgd, acsgd, schedule_free, dana.
# Hyper-parameters may be schedules too: batch = {kind = "step", peak = 64, drops = [0.5], factor = 0.5}.
[method]
kind = "sgd"
batch = 4
wrap = []                # applied in order, such as [{kind = "ema", decay = 0.999}]

[record]
steps = "linear"         # 200 equally spaced steps; or a number (log-spaced), "all", or a list of steps
subspaces = "log_bins(6)"   # or head_tail(20), effective(), modes(1, 2, 3), or a table {head = [1, 2], next = [3, 4]}

# Kinds: exact (moments, no sampling noise), sample (real trajectories), both (and their z-scores), long (exact to an
# error that is told, for 10^12 modes and steps: tolerance, budget). A sampled run needs the problem itself, so it takes
# no notice of compress.
[engine]
kind = "exact"           # the keys below are for sample and both:
# replicas = 256
# seed = 0
# dtype = "float64"      # or "float32"; by default the second, unless its rounding would show
# law = "gaussian"       # or rademacher, uniform, laplace, student_t, three_point; of data: rows, epochs
# checkpoint = "state"   # a folder: a run that was killed goes on from there
# against = "long"       # of both: z-scores against the long engine, its errors reckoned in, and not against exact

# The runs, side by side. An entry takes over what the table above says and overrides what it names; with another `kind`
# it takes over only steps, peak and warmup (of a method: batch, momentum and wrap). [[compare.methods]] works the same
# way; with both lists, every schedule is run with every method. Without [compare] there is one run.

[[compare.schedules]]
label = "linear cooldown"

[[compare.schedules]]
label = "1-sqrt cooldown"
shape = "1-sqrt"

[[compare.schedules]]
label = "cosine decay"
kind = "cosine"

[[compare.schedules]]
label = "no decay"
kind = "constant"

# Many values of some parameters, by `simlab sweep FILE` (and `simlab show` for the answer): lists and ranges, a grid of
# all; [[sweep.zip]] holds lists that go together, [sweep.sobol] (samples, seed) ranges to be sampled from.
# [sweep]
# "schedule.peak" = {log = [0.02, 1.0], points = 12}
# "method.batch" = [1, 4, 16]
"""


def write_example(path: str | PathLike[str], force: bool = False) -> Path:
    """Write a commented experiment file that runs as it is; an existing file is refused unless `force`."""
    target = Path(path)
    with fresh_file(target, force) as partial:
        partial.write_text(EXAMPLE, encoding="utf-8")
    return target
