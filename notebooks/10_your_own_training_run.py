# %% [markdown]
# # 10. Your own training run
#
# **Goal.** From the loss curves of two runs to the loss under schedules that nobody ran: fit a twin, ask it, find the best
# schedule, and learn what it must not be asked.
#
# **Prerequisites.** [Notebook 2](02_many_modes.ipynb) (bias and variance, mode by mode) and
# [notebook 9](09_which_schedule.ipynb) (the best schedule of a problem that is known).

# %%
# %matplotlib inline
# %config InlineBackend.figure_format = "retina"
import tempfile
from pathlib import Path

import ipywidgets as widgets
import matplotlib.pyplot as plt
import numpy as np
from IPython.display import Markdown, display

import simlab as sl

sl.plot.use_style()
BLUE, ORANGE, GREEN, PINK = sl.plot.PALETTE[:4]
PEAK, WARMUP, STEPS, FROM = 0.04, 500, 20_000, 4_000
FOLDER = Path(tempfile.mkdtemp())
rng = np.random.default_rng(0)

# %% [markdown]
# ## The equation
#
# Near the end of training the loss behaves as that of SGD on a quadratic with a power-law spectrum. Its bias is what is left
# of slow modes: with the "time" $s = \sum_t \eta_t$ that a schedule has given away, a power of $s$, the *river*. Its variance
# is what fast modes have picked up as noise, which a cooldown sheds octave by octave of curvature, the *valley*:
#
# $$ L(t) = L_0 + A\,(\tau + s_t)^{-\beta} + \sum_{\text{octaves } k} Q_k\, v_k(t), \qquad
#    v_k \leftarrow (1 - \eta_t \lambda_k)^2\, v_k + \eta_t^2 \lambda_k^2 . $$
#
# A twin is a fit of these few numbers to measured curves, by least squares, with intervals. For AdamW the rate is relative,
# $\eta / |w|$: the norm of the weights follows from the recipe, and its use as a clock is that of Liu et al. 2026
# ([arXiv 2608.24814](https://arxiv.org/abs/2608.24814)). Other laws of the same purpose are Tissue et al. 2024
# ([arXiv 2408.11029](https://arxiv.org/abs/2408.11029)) and the multi-power law of Luo et al. 2025
# ([arXiv 2503.12811](https://arxiv.org/abs/2503.12811)).
#
# ## Two runs, as a trainer logs them
#
# Put the logs of your own runs in the place of these. Here they come from the exact engine, with some noise on what was measured, so
# that the truth about every other schedule is known.

# %%
truth = sl.LinearRegression.power_law(10**5, capacity=1.5, source=1.6, noise_variance=1.0).compress(1e-9)


def losses(schedule: sl.schedules.Schedule, every: int = 100) -> tuple[np.ndarray, np.ndarray]:
    """(steps, expected excess losses) of a run."""
    steps = np.arange(WARMUP + every, schedule.length + 1, every)
    total = sl.exact(truth, sl.methods.sgd(schedule), record=steps).total().squeeze()
    return steps, total.sel(step=steps).values


def write_log(name: str, schedule: sl.schedules.Schedule) -> Path:
    """A csv with step, lr and a loss that is measured with noise."""
    steps, exact = losses(schedule)
    measured = exact + 6e-4 * rng.standard_normal(steps.size)
    rows = [f"{t},{schedule(t - 1):.9g},{y:.6f}" for t, y in zip(steps, measured, strict=True)]
    path = FOLDER / f"{name}.csv"
    path.write_text("\n".join(["step,lr,loss", *rows]) + "\n")
    return path


ran = {
    "cosine": sl.schedules.cosine(STEPS, PEAK, floor=0.1, warmup=WARMUP),
    "wsd": sl.schedules.wsd(STEPS, PEAK, warmup=WARMUP, cooldown=0.2),
}
logs = {name: write_log(name, schedule) for name, schedule in ran.items()}
# A log every hundred steps does not say where its warmup lay: the recipe does.
curves = [sl.twin.Curve.from_log(logs[name], schedule=schedule, name=name) for name, schedule in ran.items()]
twin = sl.twin.fit(curves, optimizer="sgd")
value, spread = twin.parameters["source"]

left_over = []
fig, (left, right) = plt.subplots(1, 2, figsize=(0.95 * sl.plot.WIDTH, 2.4))
for curve, colour in zip(curves, (BLUE, ORANGE), strict=True):
    band = twin.predict(curve.schedule, steps=curve.steps)
    left.plot(curve.steps, curve.losses, ".", color=colour, markersize=1.5, alpha=0.6)
    left.plot(curve.steps, band.loss, color=colour, label=curve.name)
    right.plot(curve.steps, 1e3 * (curve.losses - band.loss), ".", color=colour, markersize=2)
    left_over.append((curve.losses - band.loss)[curve.steps > FROM])
left.set(xlabel="step", ylabel="excess loss", yscale="log")
left.legend()
right.axhline(0.0, color="0.5", lw=0.8)
right.set(xlabel="step", ylabel="measured - twin (1e-3)", ylim=(-5, 5))
display(fig)
plt.close(fig)
Markdown(
    f"**What to see.** Left: both runs (dots) and the twin (lines). Right: what is left over is the noise of the measurement, "
    f"{1e3 * np.std(np.concatenate(left_over)):.2f} thousandths beyond the first steps. "
    f"The exponent of the river comes out as {value:.2f} +- {spread:.2f}; the truth, (source - 1) / capacity, is {0.6 / 1.5:.2f}."
)

# %% [markdown]
# ## Schedules that nobody ran
#
# The twin predicts the whole curve under another schedule, with an interval for a loss that would be measured.

# %%
new = {
    "wsd, three times as long": sl.schedules.wsd(3 * STEPS, PEAK, warmup=WARMUP, cooldown=0.2),
    "cosine to zero, three times as long": sl.schedules.cosine(3 * STEPS, PEAK, warmup=WARMUP),
    "constant": sl.schedules.constant(STEPS, PEAK, warmup=WARMUP),
    "a drop to a tenth": sl.schedules.join(
        sl.schedules.constant(8_000, PEAK, warmup=WARMUP), sl.schedules.constant(8_000, PEAK / 10)
    ),
}
fig, axes = plt.subplots(2, 2, figsize=(0.95 * sl.plot.WIDTH, 4.2), layout="constrained")
errors, covered = {}, {}
for axis, (name, schedule) in zip(axes.ravel(), new.items(), strict=True):
    steps, exact = losses(schedule)
    band = twin.predict(schedule, steps=steps)
    late = steps > FROM
    errors[name] = np.abs(band.loss - exact)[late].mean()
    covered[name] = np.mean((band.lower < exact) & (exact < band.upper))
    axis.fill_between(steps, band.lower, band.upper, color=BLUE, alpha=0.25, lw=0)
    axis.plot(steps, band.loss, color=BLUE, label="twin")
    axis.plot(steps, exact, "--", color=ORANGE, lw=1, label="truth")
    axis.set(title=name, yscale="log", ylim=(0.02, 0.3), xlabel="step", ylabel="excess loss")
axes[0, 0].legend()
display(fig)
plt.close(fig)
Markdown(
    "**What to see.** Four schedules that the twin was not fitted to. Mean absolute error after the warmup is forgotten: "
    + ", ".join(f"{name} {1e3 * error:.2f}" for name, error in errors.items())
    + f" (thousandths of the loss's unit); the interval holds the truth at {min(covered.values()):.0%} of the steps or more."
)

# %% [markdown]
# ## Which of two, and which of all
#
# A difference of two schedules is known better than either loss, since what the twin does not know moves both. And the best of all schedules
# below the trained peak is a search over knots, as in notebook 9, on the twin.

# %%
difference = twin.compare(ran["wsd"], ran["cosine"])
best = twin.optimize(STEPS, warmup=WARMUP)
ends = {
    name: losses(schedule)[1][-1]
    for name, schedule in {
        **ran,
        "linear": sl.schedules.linear(STEPS, PEAK, warmup=WARMUP),
        "best": best.schedule,
    }.items()
}
fig, (left, right) = plt.subplots(1, 2, figsize=(0.95 * sl.plot.WIDTH, 2.4))
for (name, schedule), colour in zip([*ran.items(), ("best", best.schedule)], (BLUE, ORANGE, GREEN), strict=True):
    left.plot(schedule.values(), color=colour, label=name)
left.set(xlabel="step", ylabel="learning rate", xticks=range(0, STEPS + 1, STEPS // 2))
left.legend()
right.barh(list(ends), [1e3 * (end - ends["best"]) for end in ends.values()], color=GREEN)
right.set(xlabel="true final loss above the twin's best (1e-3)")
display(fig)
plt.close(fig)
Markdown(
    f"**What to see.** The twin's best schedule holds its rate and then cools down, fastest at first. Run for real, it ends "
    f"{1e3 * (ends['wsd'] - ends['best']):.2f} thousandths below the WSD run and {1e3 * (ends['cosine'] - ends['best']):.1f} below the "
    f"cosine run. WSD minus cosine: the twin says {1e3 * difference.difference:.1f} thousandths, the truth is "
    f"{1e3 * (ends['wsd'] - ends['cosine']):.1f}."
)

# %% [markdown]
# ## Which run to make next
#
# Each further run costs. `design` asks, of runs that could be made, which would tell most about the schedules that you care about.

# %%
alone = sl.twin.fit(curves[1:], optimizer="sgd")
candidates = {
    "cosine": ran["cosine"],
    "constant": new["constant"],
    "linear": sl.schedules.linear(STEPS, PEAK, warmup=WARMUP),
}
targets = [new["wsd, three times as long"], new["cosine to zero, three times as long"]]
told = alone.design(list(candidates.values()), targets)
rows = [
    f"| {list(candidates)[each.place]} | {' and '.join(f'{1e3 * left:.2f}' for left in each.after)} |" for each in told
]
Markdown(
    f"**What to see.** From the WSD run alone the two long targets are uncertain by "
    f"{' and '.join(f'{1e3 * left:.2f}' for left in told[0].before)} thousandths. After one run more:\n\n| run | uncertainty left (1e-3) |\n|---|---|\n"
    + "\n".join(rows)
)

# %% [markdown]
# ## A real model
#
# So far the truth was a quadratic, which the twin can be to the last digit. Simlab comes with twelve measured runs of a language model of
# two layers (AdamW, 2,000 to 6,000 steps). Three of them are fitted here; the others the twin has never seen.

# %%
runs = sl.twin.example_runs()
fitted = ["constant_6000", "cosine_4000", "wsd_4000"]
real = sl.twin.fit([runs[name] for name in fitted], weight_decay=0.1)
unseen = [name for name in runs if name not in fitted and not name.endswith(("half", "double"))]
bands = {name: real.predict(runs[name].schedule, steps=runs[name].steps) for name in unseen}
off = {name: np.abs(band.loss - runs[name].losses).mean() for name, band in bands.items()}
within = {
    name: np.mean((band.lower < runs[name].losses) & (runs[name].losses < band.upper)) for name, band in bands.items()
}
fig, axes = plt.subplots(1, 3, figsize=(0.95 * sl.plot.WIDTH, 2.3), sharey=True, layout="constrained")
for axis, name in zip(axes, ("wsd_6000_short", "linear_4000", "cosine_6000"), strict=True):
    band, curve = bands[name], runs[name]
    axis.fill_between(band.steps, band.lower, band.upper, color=BLUE, alpha=0.25, lw=0)
    axis.plot(band.steps, band.loss, color=BLUE, label="twin, 90 %")
    axis.plot(curve.steps, curve.losses, ".", color=ORANGE, markersize=2, label="measured")
    axis.set(title=name, xlabel="step", ylim=(1.45, 2.3))
axes[0].set(ylabel="loss on files held out")
axes[0].legend()
display(fig)
plt.close(fig)
Markdown(
    f"**What to see.** Of {len(unseen)} unseen runs the twin is off by {np.mean(list(off.values())):.4f} in the mean, the best by "
    f"{min(off.values()):.4f} and the worst by {max(off.values()):.4f}, where the measurement itself scatters by some 0.008. Its 90 % "
    f"bands hold {np.mean(list(within.values())):.0%} of the losses, but only {min(within.values()):.0%} of those of "
    f"`{min(within, key=within.get)}`, which is longer than the cosine run that was fitted."
)


# %% tags=["slider"]
def cooldown(cooldown: float) -> None:
    """The twin's curve for a WSD schedule whose cooldown you choose."""
    schedule = sl.schedules.wsd(STEPS, PEAK, warmup=WARMUP, cooldown=cooldown)
    band = twin.predict(schedule)
    fig, axis = plt.subplots(figsize=(0.6 * sl.plot.WIDTH, 2.4))
    axis.plot(band.steps, band.loss, color=BLUE)
    axis.fill_between(band.steps, band.lower, band.upper, color=BLUE, alpha=0.25, lw=0)
    axis.set(xlabel="step", ylabel="excess loss", yscale="log", title=f"ends at {band.loss[-1]:.4f}")
    display(fig)
    plt.close(fig)


_ = widgets.interact(cooldown, cooldown=widgets.FloatSlider(value=0.2, min=0.02, max=0.9, step=0.02))


# %% [markdown]
# ## Exercises
#
# **1.** Fit the twin to the WSD run alone. Does it tell the cosine run? Hint: where does each of the two curves see the noise?
#
# <details><summary>Solution</summary>
#
# It does: a run with a stable phase and a cooldown shows river and valley apart. A single smooth curve does not, and the twin
# says so (`doubts`).
#
# ```python
# one = sl.twin.fit(curves[1:], optimizer="sgd")
# steps, exact = losses(ran["cosine"])
# error = np.abs(one.predict(ran["cosine"], steps=steps).loss - exact)[steps > FROM].mean()
# print(f"{error:.5f}")
# assert error < 3e-3
# ```
#
# </details>
#
# **2.** Ask the twin for a peak twice the trained one. What does it say?
#
# <details><summary>Solution</summary>
#
# It predicts, and says that it has left what it was trained on; its optimiser refuses.
#
# ```python
# import warnings
#
# with warnings.catch_warnings(action="ignore"):  # it says so there as well
#     band = twin.predict(sl.schedules.wsd(STEPS, 2 * PEAK, warmup=WARMUP, cooldown=0.2))
# print(band.beyond)
# assert band.beyond
# ```
#
# </details>
#
# **3.** How much longer must a cosine run be to end where the twin's best schedule ends?
#
# <details><summary>Solution</summary>
#
# A good part: the same loss for fewer steps is what a better schedule is worth.
#
# ```python
# target = twin.predict(best.schedule).loss[-1]
# lengths = np.arange(STEPS, 2 * STEPS, 500)
# reached = [twin.predict(sl.schedules.cosine(int(n), PEAK, floor=0.1, warmup=WARMUP)).loss[-1] for n in lengths]
# longer = lengths[np.argmax(np.array(reached) <= target)] / STEPS - 1
# print(f"{longer:.1%}")
# assert 0 < longer < 0.9
# ```
#
# </details>

# %% [markdown]
# ## What this does not tell you
#
# - Your network is not a quadratic. On measured curves of language models the twin errs by a few thousandths where a cooldown follows a
#   very long stable phase, and on runs much longer than any trained on; `simlab twin report` holds it against five laws of the
#   literature on runs that you hold out.
# - Peaks above the trained ones, other batch sizes (unless several were fitted), other data: not in the curves, not in the twin.
# - A single smooth curve does not identify it, however well it fits.
# - Intervals are those of the model. Where the model is wrong they are too narrow.
