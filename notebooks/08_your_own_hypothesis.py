# %% [markdown]
# # 8. Your own hypothesis: from a question to an answer with a number
#
# **Goal.** Take one question, "is a 1-sqrt cooldown better than a linear one for my spectrum?", through every step that
# an answer needs: a measured spectrum, a fair comparison, an effect with its uncertainty, a reason, and its limits.
#
# **Prerequisites.** [Notebook 3](03_schedules.ipynb) (schedules and their cooldowns) and
# [notebook 2](02_many_modes.ipynb) (risk by eigen-subspace).

# %%
# %matplotlib inline
# %config InlineBackend.figure_format = "retina"
import tempfile
import warnings
from pathlib import Path
from typing import NamedTuple

import ipywidgets as widgets
import matplotlib.pyplot as plt
import numpy as np
from IPython.display import Markdown, display
from sklearn.datasets import load_digits

import simlab as sl

sl.plot.use_style()
BLUE, ORANGE, GREEN = sl.plot.PALETTE[:3]
COLOURS = {"linear": BLUE, "1-sqrt": ORANGE}

# %% [markdown]
# ## The question, made precise
#
# Hägele et al. 2024 ([arXiv 2405.18392](https://arxiv.org/abs/2405.18392)) hold the learning rate and then cool down,
# and find that $1 - \sqrt u$ beats $1 - u$ as the shape of the cooldown ($u$ goes from zero to one); Dremov et al. 2025
# ([arXiv 2508.01483](https://arxiv.org/abs/2508.01483)) explain it by bias and variance. Does it hold for *my* problem?
# Each shape $s$ comes with a peak $\eta$ and a fraction $c$ of the run that is cooldown, and deserves its own best
# pair. So the number to report is
#
# $$ \Delta = \frac{\min_{\eta, c} R_T(\text{1-sqrt}, \eta, c)}{\min_{\eta, c} R_T(\text{linear}, \eta, c)} - 1 , $$
#
# with $R_T$ the expected excess risk at the end of a fixed budget. Before looking, fix three things: the budget, the
# batch, and the smallest difference worth a change of habits.

# %%
STEPS, BATCH = 600, 8
MATTERS = 0.01  # a difference below one in a hundred is none

# %% [markdown]
# ## A measured spectrum
#
# The problem: regress the value of a handwritten digit on its pixels (the digits of scikit-learn, every fourth image).
# `from_data` measures what the dynamics depend on: the eigenvalues of the pixels' covariance, the least-squares
# solution in their basis, the variance of the residuals and the fourth moment of every eigen-coordinate.

# %%
digits = load_digits()
pixels, value = digits.data[::4] / 16, digits.target[::4].astype(float)
pixels, value = pixels - pixels.mean(axis=0), (value - value.mean()) / value.std()
problem = sl.LinearRegression.from_data(pixels, value)

signal = problem.eigenvalues * problem.initial_error**2
index = np.arange(1, problem.dim + 1)
fig, (left, right) = plt.subplots(1, 2, figsize=(sl.plot.WIDTH, 2.4))
left.loglog(index, problem.eigenvalues, "o-", ms=2.5, color=BLUE, label="eigenvalue $\\lambda_i$")
left.loglog(index, signal, ".", color=ORANGE, label="explained, $\\lambda_i w_i^{*2}$")
left.set(xlabel="eigen-index i")
left.legend(loc="lower left")
right.semilogy(index, problem.kurtosis, "o", ms=2.5, color=GREEN)
right.axhline(3, color="0.5", ls=":")
right.set(xlabel="eigen-index i", ylabel="kurtosis of the coordinate")
display(fig)
plt.close(fig)

strange = int(np.count_nonzero(problem.kurtosis > 10))
half = int(np.searchsorted(np.cumsum(signal), signal.sum() / 2)) + 1
Markdown(
    f"**What to see.** {len(value)} images span {problem.dim} directions, with eigenvalues over "
    f"{np.log10(problem.eigenvalues[0] / problem.eigenvalues[-1]):.0f} decades. Half of what can be learned lies in "
    f"the first {half} of them; the rest is spread over small eigenvalues. The pixels explain {signal.sum():.0%} of "
    f"the variance of the label, and {problem.noise_variance:.0%} is noise to any linear model. Most coordinates are "
    f"near Gaussian (dotted, three); {strange} are not: pixels at the rim that are hardly ever inked."
)

# %% [markdown]
# ## A first answer, and why it is none
#
# Same peak, same cooldown of a fifth of the run, two shapes.


# %%
def wsd(shape: str, peak: float, fraction: float, steps: int = STEPS, batch: int = BATCH) -> sl.methods.Method:
    return sl.methods.sgd(sl.schedules.wsd(steps, peak, cooldown=fraction, shape=shape), batch)


def final(source: sl.LinearRegression, runs: list[sl.methods.Method]) -> np.ndarray:
    """Expected excess risk at the end, infinite where a run diverges."""
    return np.nan_to_num(sl.exact(source, runs, record=2).total().isel(step=-1).values, nan=np.inf)


def critical(source: sl.LinearRegression, batch: int = BATCH) -> float:
    """The learning rate at which SGD becomes unstable."""
    return sl.stability(source, sl.methods.sgd(sl.schedules.constant(1, 0.01), batch)).critical_lr


limit = critical(problem)

# %%
shares = np.geomspace(0.03, 0.7, 40)
fig, (left, right) = plt.subplots(1, 2, figsize=(sl.plot.WIDTH, 2.4), sharex=True)
same = {}
for fraction, dashes in ((0.2, "-"), (0.8, "--")):
    for shape, colour in COLOURS.items():
        same[shape, fraction] = final(problem, [wsd(shape, share * limit, fraction) for share in shares])
        left.loglog(shares, same[shape, fraction], dashes, color=colour, label=f"{shape}, {fraction:.0%} of the run")
    ratio = same["1-sqrt", fraction] / same["linear", fraction] - 1
    right.semilogx(shares, 100 * ratio, dashes, color="black", label=f"{fraction:.0%} of the run")
left.set(xlabel="peak / critical rate", ylabel="final excess risk")
right.set(xlabel="peak / critical rate", ylabel="1-sqrt over linear [%]")
right.axhline(0, color="0.5", lw=0.8)
left.legend()
right.legend()
right.set_xticks([0.03, 0.1, 0.3], ["0.03", "0.1", "0.3"])
right.minorticks_off()
display(fig)
plt.close(fig)

gaps = [same["1-sqrt", fraction] / same["linear", fraction] - 1 for fraction in (0.2, 0.8)]
assert all(gap[0] > 0 > gap[-1] for gap in gaps)
Markdown(
    "**What to see.** At one peak and one fraction the answer is whatever one likes: 1-sqrt is worse at small peaks "
    f"and better at large ones, anything from {np.max(gaps):+.0%} to {np.min(gaps):+.0%}. Its cooldown has less area "
    "under it, which costs bias where the peak was too small anyway, and saves variance where it was too large."
)

# %% [markdown]
# Try it: one peak, one fraction, both shapes. Can you find settings at which linear is clearly better?


# %%
def picture(share: float = 0.3, fraction: float = 0.5, steps: int = STEPS) -> None:
    """Both shapes with the same peak (as a share of the critical rate) and the same fraction."""
    runs = {shape: wsd(shape, share * limit, fraction, steps) for shape in COLOURS}
    total = sl.exact(problem, runs, record="linear").total()
    fig, (rates, risks) = plt.subplots(1, 2, figsize=(sl.plot.WIDTH, 2.2), sharex=True)
    for shape, colour in COLOURS.items():
        rates.plot(runs[shape].learning_rate.values() / limit, color=colour, label=shape)
        risks.semilogy(total["step"], total.sel(run=shape), color=colour)
    change = float(total.sel(run="1-sqrt")[-1] / total.sel(run="linear")[-1]) - 1
    rates.set(xlabel="step", ylabel="rate / critical rate", ylim=(0, None))
    rates.legend(loc="lower left")
    risks.set(xlabel="step", ylabel="excess risk", title=f"in the end, 1-sqrt over linear: {change:+.1%}")
    display(fig)
    plt.close(fig)


picture()

# %% tags=["slider"]
_ = widgets.interact(
    picture,
    share=widgets.FloatLogSlider(0.3, base=10, min=-2, max=0, step=0.05, readout_format=".2f"),
    fraction=widgets.FloatSlider(0.5, min=0.05, max=1.0, step=0.05),
    steps=widgets.IntSlider(STEPS, min=100, max=2000, step=100),
)

# %% [markdown]
# ## A fair answer
#
# Every shape at its own best peak **and** fraction. A grid shows how flat the optimum is; `sl.tune` finds it, by exact
# gradients. An exact run takes about a millisecond, so neither is a matter of budget. (For larger grids there is
# `simlab.sweep`, which keeps what it has computed.)


# %%
class Best(NamedTuple):
    risk: float
    peak: float
    fraction: float


def best(source: sl.LinearRegression, shape: str, steps: int = STEPS, batch: int = BATCH) -> Best:
    """The best peak and cooldown fraction of a shape."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it would say that a cooldown cannot be longer than the run
        given = {"shape": shape, "batch": batch}
        found = sl.tune(source, "wsd", steps, over=("peak", "cooldown"), given=given)
    return Best(found.risk, *found.parameters.values())


winners = {shape: best(problem, shape) for shape in COLOURS}

# %%
grid_shares, grid_fractions = np.geomspace(0.08, 1.0, 24), np.linspace(0.1, 1.0, 10)
fig, panels = plt.subplots(1, 2, figsize=(sl.plot.WIDTH, 2.6), sharey=True)
for panel, (shape, (risk, peak, fraction)) in zip(panels, winners.items(), strict=True):
    runs = [wsd(shape, share * limit, c) for c in grid_fractions for share in grid_shares]
    excess = 100 * (final(problem, runs).reshape(10, 24) / risk - 1)
    assert excess.min() > -1e-3  # the minimiser did not miss a better cell
    shade = panel.contourf(
        grid_shares, grid_fractions, excess, [0, 1, 2, 5, 10, 20, 50, 100], cmap="cividis_r", extend="max"
    )
    panel.plot(peak / limit, fraction, "*", color="red", ms=9, mec="white", clip_on=False, zorder=5)
    panel.set(xscale="log", xlabel="peak / critical rate", title=f"{shape}: {risk:.5f} at best")
panels[0].set_ylabel("cooldown, fraction of the run")
fig.colorbar(shade, ax=panels, label="above the best [%]")
display(fig)
plt.close(fig)

effect = winners["1-sqrt"].risk / winners["linear"].risk - 1
edge = " (it cannot be more)" if winners["linear"].fraction > 0.999 else ""
verdict = "better" if effect < -MATTERS else "worse" if effect > MATTERS else "neither better nor worse"
assert winners["linear"].fraction > winners["1-sqrt"].fraction
Markdown(
    "**What to see.** The optima (stars) are at different places: linear wants to cool down for "
    f"{winners['linear'].fraction:.0%} of the run{edge}, 1-sqrt for {winners['1-sqrt'].fraction:.0%}, from a peak "
    f"{winners['1-sqrt'].peak / winners['linear'].peak:.2f} times as high. Each at its best, 1-sqrt changes the risk "
    f"by **{effect:+.1%}**: by what was agreed beforehand, it is {verdict} here. A cooldown of a fifth of the run, "
    "with which we began, is far from the best of either."
)

# %% [markdown]
# ## The reason
#
# A number without a reason is an anecdote. Both runs at their best, taken apart: what does 1-sqrt win, bias or
# variance, and in which eigen-subspace?

# %%
chosen = {shape: wsd(shape, *found[1:]) for shape, found in winners.items()}
bins = sl.subspaces.log_bins(6)
parts = sl.exact(problem, chosen, record=2, subspaces=bins).risk.isel(step=-1)
difference = 100 * (parts.sel(run="1-sqrt") - parts.sel(run="linear")) / winners["linear"].risk

fig, (rates, bars) = plt.subplots(1, 2, figsize=(sl.plot.WIDTH, 2.4))
for shape, run in chosen.items():
    rates.plot(run.learning_rate.values() / limit, color=COLOURS[shape], label=shape)
rates.set(xlabel="step", ylabel="rate / critical rate", title="each at its best", ylim=(0, None))
rates.legend(loc="lower left")
places = np.arange(difference.sizes["subspace"])
for shift, (component, hatch) in zip((-0.2, 0.2), (("bias", ""), ("variance", "////")), strict=True):
    heights = difference.sel(component=component)
    bars.bar(places + shift, heights, 0.4, color=sl.plot.shades(places.size), hatch=hatch, edgecolor="white", lw=0.3)
    bars.bar(0, 0, color="0.6", hatch=hatch, edgecolor="white", label=component)
bars.axhline(0, color="black", lw=0.8)
bars.set_xticks(places, difference["subspace"].values)
bars.set(xlabel="eigen-index", ylabel="1-sqrt minus linear\n[% of the risk]")
bars.legend()
display(fig)
plt.close(fig)

sums = difference.sum("subspace")
areas = {shape: float(run.learning_rate.values().sum()) for shape, run in chosen.items()}
names = difference["subspace"].values
where = {part: names[np.argmin(difference.sel(component=part).values)] for part in ("bias", "variance")}
assert abs(float(sums.sum()) - 100 * effect) < 1e-6
assert areas["1-sqrt"] > areas["linear"]
assert (sums < 0).all()
assert float(difference.sel(component="variance")[-1]) > 0
Markdown(
    f"**What to see.** The differences add up to the {100 * effect:+.1f} % from above: "
    f"{float(sums.sel(component='bias')):+.1f} of it bias (most in modes {where['bias']}) and "
    f"{float(sums.sel(component='variance')):+.1f} variance (most in modes {where['variance']}; in the last ones it "
    f"rises). Left: the 1-sqrt run spends more, {areas['1-sqrt'] / areas['linear'] - 1:+.0%} in the sum of its rates, "
    "which is what slow modes learn by; and it leaves its high rates faster, giving the last part of the run to "
    "small ones, in which the noise of the fast modes dies out."
)

# %% [markdown]
# ## How far does it carry?
#
# One problem, one budget, one batch: change each of them, tune both shapes anew, and see whether the answer stays.


# %%
def answer(source: sl.LinearRegression, steps: int = STEPS, batch: int = BATCH) -> float:
    """By how much 1-sqrt at its best changes the risk of linear at its best."""
    return best(source, "1-sqrt", steps, batch).risk / best(source, "linear", steps, batch).risk - 1


def with_noise(factor: float) -> sl.LinearRegression:
    """The same spectrum and signal under another label noise."""
    noise = factor * problem.noise_variance
    return sl.LinearRegression(problem.eigenvalues, problem.initial_error, noise, problem.kurtosis)


conditions = {"as above": effect}
conditions |= {f"{steps} steps": answer(problem, steps=steps) for steps in (150, 2400)}
conditions |= {f"batch {batch}": answer(problem, batch=batch) for batch in (1, 64)}
conditions |= {f"noise x {factor:g}": answer(with_noise(factor)) for factor in (0.1, 10)}

fig, axes = plt.subplots(figsize=(0.65 * sl.plot.WIDTH, 2.3))
rows = np.arange(len(conditions))
axes.axvspan(-100 * MATTERS, 100 * MATTERS, color="0.93", zorder=0)
axes.hlines(rows, 0, [100 * value for value in conditions.values()], color=ORANGE, lw=1)
axes.plot([100 * value for value in conditions.values()], rows, "o", color=ORANGE)
axes.set_yticks(rows, list(conditions))
axes.invert_yaxis()
axes.set(xlabel="1-sqrt over linear, each at its best [%]", xlim=(-6, 2))
display(fig)
plt.close(fig)

small = [name for name, change in conditions.items() if abs(change) < MATTERS]
assert max(conditions.values()) < MATTERS
Markdown(
    f"**What to see.** The sign holds in all {len(conditions)} conditions, from {min(conditions.values()):+.1%} to "
    f"{max(conditions.values()):+.1%}; but it is too small to matter (grey) with "
    f"{' and '.join(small) or 'none of them'}. A fair summary is “never worse here, better by a few per cent at "
    "most”. So far."
)

# %% [markdown]
# ## Is the model right?
#
# All of this was the expected risk under a **model** of the data: independent coordinates with the measured kurtoses.
# Two checks that share less and less with it: `moments="empirical"` takes all fourth moments of the actual rows (exact
# for sampling with replacement, but slow), and `sl.sample` draws actual rows and runs actual SGD.
#
# Runs of the two shapes see **the same draws**, so their difference in each replica is free of most of the luck that
# they share. That is what to report, with its error.

# %%
data = sl.LinearRegression.from_data(pixels, value, moments="empirical")
by_moments = sl.exact(data, chosen, record=2).total().isel(step=-1)

REPLICAS = 1000
sampled = sl.sample(data, chosen, replicas=REPLICAS, record=2, coordinates=index, split=False, dtype="float64", seed=1)
away = sampled.dataset["trajectory"].isel(step=-1).transpose("run", "replica", "coordinate")  # w - w*
one, other = (0.5 * away.sel(run=shape).values ** 2 @ data.eigenvalues for shape in ("1-sqrt", "linear"))
ratio, scale = one.mean() / other.mean(), 100 / other.mean() / np.sqrt(REPLICAS)
paired = 100 * (ratio - 1), scale * (one - ratio * other).std(ddof=1)  # standard error of a ratio of means
unpaired = scale * np.hypot(one.std(ddof=1), ratio * other.std(ddof=1))
by_data = 100 * float(by_moments.sel(run="1-sqrt") / by_moments.sel(run="linear") - 1)

# %%
fig, axes = plt.subplots(figsize=(0.75 * sl.plot.WIDTH, 1.9))
shown = {
    "the model, exact": (100 * effect, 0, "black"),
    "the data's own moments, exact": (by_data, 0, "black"),
    f"{REPLICAS} real runs, as if independent": (paired[0], 2 * unpaired, "0.6"),
    f"{REPLICAS} real runs, paired": (paired[0], 2 * paired[1], ORANGE),
}
for row, (middle, error, colour) in enumerate(shown.values()):
    axes.errorbar(middle, row, xerr=error or None, fmt="o", ms=4, color=colour, capsize=3)
axes.set_yticks(range(len(shown)), list(shown))
axes.invert_yaxis()
axes.set(xlabel="1-sqrt over linear [%], bars: two standard errors", ylim=(3.5, -0.5))
display(fig)
plt.close(fig)

level = [float(by_moments.sel(run=shape)) / winners[shape].risk - 1 for shape in chosen]
gain = (unpaired / paired[1]) ** 2
assert abs(paired[0] - by_data) < 4 * paired[1]
assert gain > 5
Markdown(
    f"**What to see.** The model says {100 * effect:+.2f} %, the data's own moments {by_data:+.2f} %, and the paired "
    f"runs {paired[0]:+.2f} % ± {paired[1]:.2f} (one standard error). The risk itself the model misses by "
    f"{max(map(abs, level)):.1%}, but for both shapes alike: ratios are forgiving. Taken as independent the same runs "
    f"would have an error of {unpaired:.2f}; it would take {gain:.0f} times as many of them to know as much."
)

# %% [markdown]
# ## A spectrum of your own
#
# You may have eigenvalues from elsewhere: Lanczos on a Hessian, the singular values of a layer's activations, a kernel.
# Three arrays are enough: $\lambda_i$, $w_0 - w^*$ in the same basis, and the noise. If you know only the spectrum, say
# so, and try several signals. All functions above take the problem as an argument.

# %%
with tempfile.TemporaryDirectory() as folder:
    file = Path(folder) / "spectrum.npz"  # stands for the file that you bring
    mode = np.arange(1.0, 301.0)
    np.savez(file, eigenvalues=mode**-1.3, noise_variance=0.5)
    with np.load(file) as stored:
        eigenvalues, noise = stored["eigenvalues"], float(stored["noise_variance"])

signals = {"mostly in the head": 2.0, "between": 1.3, "mostly in the tail": 0.8}
rows = []
for name, decay in signals.items():
    error = eigenvalues**-0.5 * mode ** (-decay / 2)  # such that lam_i error_i^2 falls as i^-decay
    mine = sl.LinearRegression(eigenvalues, error / np.sqrt(np.sum(eigenvalues * error**2)), noise)
    line, root = best(mine, "linear"), best(mine, "1-sqrt")
    rows.append((name, root.risk / line.risk - 1, line.peak / critical(mine), line.fraction))

changes, peaks = [row[1] for row in rows], [row[2] for row in rows]
assert changes[0] < 0 < MATTERS < changes[-1]
assert peaks == sorted(peaks)
assert peaks[-1] > winners["linear"].peak / limit
table = "\n".join(f"| {name} | {change:+.1%} | {share:.2f} | {c:.0%} |" for name, change, share, c in rows)
Markdown(
    "| where the signal lies | 1-sqrt over linear | best peak of linear / critical | its cooldown "
    f"|\n|---|---|---|---|\n{table}\n\n**What to see.** The answer turns round. With a signal in the tail 1-sqrt is "
    f"worse, each at its best, by {changes[-1]:.1%}. The third column suggests why: bias in the tail asks for as much "
    "area under the schedule as can be had, and the peak goes up towards the stability limit. A shape with less area "
    "can no longer make up for it by a higher peak. The question was never “is 1-sqrt better?”, but “is it better "
    "*for my spectrum*?”"
)

# %% [markdown]
# ## A checklist for your own hypothesis
#
# 1. **One sentence, one number.** What is compared, by which measure, at which budget; and before looking, which
#    difference would matter.
# 2. **Name what is tuned and what is held.** Every contender gets its own best values of all that is tuned, found with
#    the same effort. Look where the optimum lies: on the edge of what was tried is not found.
# 3. **Check the search.** Does a finer grid, or a minimiser from elsewhere, change the difference by less than the
#    difference?
# 4. **Exact where there is an exact answer.** Where you must sample: common draws, paired differences, an error bar.
# 5. **A reason, by subspace.** Bias or variance, head or tail? A prediction that follows from the reason is worth more
#    than another decimal.
# 6. **Change what you held.** Budget, batch, noise, spectrum, one at a time. Report the worst case, not the best.
# 7. **Check the model against data**, by something that shares as little as possible with it.
# 8. **Say what would have changed your mind**, and keep the runs that did not fit.

# %% [markdown]
# ## Exercises
#
# **1.** Put a third shape to the same test: does a linear cooldown that starts by dropping to seven tenths of the peak
# (`lowered-linear`, Dremov et al.) beat 1-sqrt?
#
# <details><summary>Solution</summary>
#
# On the digits, tuned like the others, it comes to lie between linear and 1-sqrt: it has the fast beginning, but then
# goes down as slowly as linear does.
#
# ```python
# lowered = best(problem, "lowered-linear")
# print(f"{lowered.risk / winners['linear'].risk - 1:+.2%} against {effect:+.2%} for 1-sqrt, at {lowered}")
# assert winners["1-sqrt"].risk < lowered.risk < winners["linear"].risk
# ```
#
# </details>
#
# **2.** How many runs would a lab need to see this effect at four standard errors, with one seed for each shape's own
# runs, and with shared seeds? And if the true effect were what you called the smallest that matters?
#
# <details><summary>Solution</summary>
#
# Errors fall with the root of the number of runs. Sharing seeds makes an experiment that one can afford out of one that
# one cannot. (Networks share less luck than this for a common order of the data, but they do share some: pairing costs
# nothing.)
#
# ```python
# def needed(error, target, sigmas=4):
#     return int(np.ceil(REPLICAS * (sigmas * error / abs(target)) ** 2))
#
#
# for target in (by_data, 100 * MATTERS):
#     print(f"to see {target:+.1f} %: {needed(unpaired, target)} runs each, or {needed(paired[1], target)} paired ones")
# assert needed(paired[1], by_data) < 20
# assert needed(unpaired, by_data) > 100
# ```
#
# </details>
#
# **3.** Test the reason: if 1-sqrt wins because its small rates at the end let the noise die out, it should have little
# to win where there is no label noise at all. Predict first, then look.
#
# <details><summary>Solution</summary>
#
# Hardly anything is left to win, as predicted. But look at the peaks as well: without label noise they move up to the
# stability limit, so that the reason of the last section predicts the same. One experiment, two reasons that it cannot
# tell apart: the next experiment should be one about which they disagree.
#
# ```python
# quiet = {shape: best(with_noise(0.0), shape) for shape in COLOURS}
# silent = quiet["1-sqrt"].risk / quiet["linear"].risk - 1
# shares = {shape: (found.peak / limit, winners[shape].peak / limit) for shape, found in quiet.items()}
# print(f"{silent:+.2%} without label noise, {effect:+.2%} with it; peaks / critical without and with: {shares}")
# assert abs(silent) < MATTERS
# assert all(without > 1.5 * loud for without, loud in shares.values())
# ```
#
# </details>

# %% [markdown]
# ## What this does not tell you
#
# - It is the answer for least squares by SGD with fresh draws, without momentum or weight decay, on one spectrum. A
#   network moves its spectrum while it learns.
# - "Each at its best" is a fair comparison of shapes, not of habits: if you cannot tune, ask how much each loses away
#   from its best (the size of the yellow regions), which is another hypothesis.
# - Excess risk at the end of a known budget is one measure. If you may be stopped at any time, a schedule with a stable
#   phase has a value that no number here contains ([notebook 6](06_river_valleys.ipynb)).
# - Testing many hypotheses on one spectrum finds some that hold by accident of that spectrum. The exact engine has no
#   noise, but your choice of problems has.
# - The course ends here; it began with [one mode](01_one_mode.ipynb).
