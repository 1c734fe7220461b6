# %% [markdown]
# # 4. Averaging instead of decay
#
# **Goal.** Replace the cooldown by an average of the iterates: EMA, tail average, merged checkpoints. See in which sense the two
# are the same thing, and in which modes they are not.
#
# **Prerequisites.** [Notebook 3](03_schedules.ipynb): the cooldown, mode by mode.

# %%
# %matplotlib inline
# %config InlineBackend.figure_format = "retina"
import ipywidgets as widgets
import matplotlib.pyplot as plt
import numpy as np
from IPython.display import Markdown, display

import simlab as sl

sl.plot.use_style()
BLUE, ORANGE, GREEN, PINK = sl.plot.PALETTE[:4]
SIGMA2, STEPS, WINDOW = 0.1, 5_000, 1_000
BINS = sl.subspaces.log_bins(4)
problem = sl.LinearRegression.power_law(10_000, capacity=1.5, source=1.75, noise_variance=SIGMA2).compress(1e-8, BINS)

# %% [markdown]
# ## No cooldown needed
#
# Run SGD at a constant rate and output, instead of its last iterate,
#
# $$\text{tail average: } \frac1n \sum_{j = T-n+1}^{T} w_j, \qquad
# \text{EMA: } \bar w_t = \alpha\, \bar w_{t-1} + (1 - \alpha)\, w_t, \qquad
# \text{merge: } \sum_j c_j\, w_{t_j}$$
#
# (Polyak and Juditsky 1992; for high-dimensional regression Zou et al. 2021, [arXiv 2103.12692](https://arxiv.org/abs/2103.12692),
# and for EMA Li and Gu 2025, [arXiv 2502.14123](https://arxiv.org/abs/2502.14123); merging of checkpoints: Tian et al. 2025,
# [arXiv 2507.17634](https://arxiv.org/abs/2507.17634)). Each at its best peak, beside the schedules of notebook 3:


# %%
def sgd(peak: float) -> sl.methods.Method:
    """At a constant rate."""
    return sl.methods.sgd(sl.schedules.constant(STEPS, peak))


def cooled(peak: float, window: int = WINDOW) -> sl.methods.Method:
    """The same, cooled down linearly over the last `window` steps."""
    return sl.methods.sgd(sl.schedules.wsd(STEPS, peak, cooldown=window))


CANDIDATES = {
    "linear": lambda peak: cooled(peak, STEPS),
    "wsd": cooled,
    "tail average": lambda peak: sl.methods.tail_average(sgd(peak), WINDOW),
    "EMA": lambda peak: sl.methods.ema(sgd(peak), (WINDOW - 1) / (WINDOW + 1)),
    "merge of 11": lambda peak: sl.methods.merge(sgd(peak), range(STEPS - WINDOW, STEPS + 1, WINDOW // 10)),
    "last iterate": sgd,
}

# %%
critical = sl.stability(problem, sgd(0.1)).critical_lr
peaks = critical * np.geomspace(0.1, 0.97, 30)
best = {}
for name, make in CANDIDATES.items():
    final = sl.exact(problem, [make(peak) for peak in peaks], record=2).total().values[:, -1]
    best[name] = float(peaks[final.argmin()])
tuned = {name: make(best[name]) for name, make in CANDIDATES.items()}
trace = sl.exact(problem, tuned, record="linear", subspaces=BINS)
display(sl.plot.risk(trace))

risk = dict(zip(tuned, 1e3 * trace.total().values[:, -1], strict=True))
bias, variance = (trace.by_component().sel(component=name).isel(step=-1) for name in ("bias", "variance"))
assert risk["EMA"] < risk["tail average"] < risk["wsd"] < risk["merge of 11"] < risk["last iterate"]
rows = "\n".join(f"| {name} | {best[name]:.2f} | {risk[name]:.2f} |" for name in tuned)
Markdown(
    f"**What to see.** An average of a run that never cools down is as good as a cooldown, and here better: the tail average over "
    f"the last {WINDOW} steps ends at {risk['tail average'] / risk['wsd']:.0%} of the risk of a cooldown over the same steps, the "
    f"EMA at {risk['EMA'] / risk['linear']:.0%} of that of a linear decay over the whole run. Eleven checkpoints do most of the work "
    f"of {WINDOW} iterates.\n\n| | best peak | final risk x 1000 |\n|---|---|---|\n{rows}"
)

# %% [markdown]
# ## One algebra
#
# Why should it work? Write each iterate as the steps that led to it, $w_j = w_0 - \sum_{t < j} \eta\, g_t$, and exchange the sums:
#
# $$\sum_j c_j w_j = w_0 - \sum_t \Big(\eta \sum_{j > t} c_j\Big)\, g_t .$$
#
# An average with weights $c_j$ is the last point of a run with the rates $\eta \sum_{j>t} c_j$, *along the same gradients*. Backwards,
# any decay that never rises is an average: its weights are the steps of the decay, $c_j = (\eta_{j-1} - \eta_j) / \eta$, which is
# `sl.methods.merge_weights` (Tian et al. 2025, Theorem 1; Defazio et al. 2023, [arXiv
# 2310.07831](https://arxiv.org/abs/2310.07831)). The gradients below are random numbers: nothing but algebra is tested.

# %%
k = 200
u = np.arange(1, k + 1) / (k + 1)
decays = {
    "linear": 1 - u,
    "cosine": (1 + np.cos(np.pi * u)) / 2,
    "1-sqrt": 1 - np.sqrt(u),
    "EMA": 1 - 0.98 ** (k + 1 - np.arange(1, k + 1)),
}
gradients = np.random.default_rng(0).normal(size=(k, 3))

fig, (left, right) = plt.subplots(1, 2, figsize=(0.9 * sl.plot.WIDTH, 2.0))
worst = 0.0
for (name, decay), colour in zip(decays.items(), sl.plot.PALETTE, strict=False):
    weights = sl.methods.merge_weights(decay)
    path = np.vstack([np.zeros(3), -np.cumsum(0.1 * gradients, axis=0)])  # constant rate
    gap = weights @ path + (0.1 * decay) @ gradients
    worst = max(worst, float(np.abs(gap).max()))
    left.plot(np.arange(1, k + 1), decay, color=colour, label=name)
    right.plot(weights, color=colour)
left.set(xlabel="step $t$ of the decay", ylabel="rate / stable rate")
left.legend()
right.set(yscale="log", xlabel="checkpoint $j$", ylabel="merge weight $c_j$")
display(fig)
plt.close(fig)

early = sl.methods.merge_weights(decays["1-sqrt"])[: k // 4].sum()
late = sl.methods.merge_weights(decays["EMA"])[-k // 4 :].sum()
flat = sl.methods.merge_weights(decays["linear"])
assert worst < 1e-13
assert np.ptp(flat) < 1e-12
Markdown(
    f"**What to see.** Left: decays; right: the weights that stand for them. A linear decay is the plain mean, all weights equal. A "
    f"cosine leaves out both ends. 1-sqrt puts {early:.0%} of the weight on the *oldest* quarter, an EMA {late:.0%} on the newest, "
    f"which makes it a decay that holds on and then drops. Merged and decayed end points differ by less than {1e-13:.0e}."
)

# %% [markdown]
# ## Where it breaks
#
# In a real run the gradients are not given: cooling down changes the path, and with it every later gradient. In one mode, $n$
# steps at the rate $\eta$ turn the path by something of the order $\eta \lambda_i n$. Where that is small the two are equal;
# where it is large they cannot be. Take a run of $n$ steps at a constant rate, averaged, against its dual, which is linear decay.
# (`NoisyQuadratic` is the same problem without the noise that modes make for each other, to look at one mode at a time.)

# %%
RATE, RUN = 0.1, 3_000
lam = np.arange(1, 10_001.0) ** -1.5
plain = sl.NoisyQuadratic(lam, initial_error=np.sqrt(lam ** (1.75 / 1.5 - 1)), gradient_covariance=SIGMA2 * lam)
pair = {
    "decay": sl.methods.sgd(sl.schedules.linear(RUN, RATE)),
    "average": sl.methods.tail_average(sl.methods.sgd(sl.schedules.constant(RUN, RATE)), RUN),
}
modes = sl.exact(plain, pair, snapshots=[0, RUN]).dataset["mode_risk"]
turn = RATE * lam * RUN
left_over = (modes.sel(snapshot=RUN) / modes.sel(snapshot=0)).sel(component="bias")
noise = modes.sel(snapshot=RUN, component="variance")
ratio = (noise.sel(run="average") / noise.sel(run="decay")).values
tail, middle = turn < 0.03, int(np.argmin(np.abs(turn - 10)))
equal = max(
    float(np.abs(left_over.sel(run="average") / left_over.sel(run="decay") - 1)[tail].max()),
    np.abs(ratio - 1)[tail].max(),
)
more = float(left_over.sel(run="average")[middle] / left_over.sel(run="decay")[middle])
formula = ratio[0] / (4 / np.sqrt(np.pi * turn[0]))

# %%
fig, panels = plt.subplots(1, 3, figsize=(sl.plot.WIDTH, 2.3))
for run, colour in (("decay", ORANGE), ("average", BLUE)):
    panels[0].plot(turn, left_over.sel(run=run), color=colour, label=run)
    panels[1].plot(turn, noise.sel(run=run), color=colour)
panels[2].plot(turn, ratio, color="black")
panels[2].plot(
    turn[turn > 3],
    4 / np.sqrt(np.pi * turn[turn > 3]),
    ":",
    color=GREEN,
    linewidth=2,
    label=r"$4 / \sqrt{\pi \eta \lambda_i n}$",
)
panels[0].set(title="share of the bias left", ylim=(1e-8, 2))
panels[0].legend(loc="lower right")
panels[1].set(title="variance", ylim=(1e-10, 1e-3))
panels[2].set(title="variance: average / decay")
panels[2].legend(loc="lower right")
for axes in panels:
    axes.set(xscale="log", yscale="log", xlim=(400, 3e-3), xlabel=r"$\eta \lambda_i n$ (decreasing)")
    axes.axvline(1, color="0.5", linestyle=":", linewidth=1)
display(fig)
plt.close(fig)

assert equal < 0.005
assert more > 10
assert ratio[0] < 0.5
assert abs(formula - 1) < 0.05
Markdown(
    f"**What to see.** Right of the dotted lines the two agree (to {equal:.1%} or better for $\\eta \\lambda_i n$ below {0.03}). Left of them "
    f"the average has *more bias*: its mean remembers the beginning, and falls as a power where the decay falls "
    f"exponentially; at $\\eta \\lambda_i n \\approx 10$ it is {more:.0f} times as much. And it has *less variance*: in the first mode "
    f"{ratio[0]:.2f} of it. A cooldown must forget the noise of its hot phase in the short cold end; the mean sums it and cancels. "
    f"The dotted formula is off by {formula - 1:+.1%} there, because the rate is not infinitely small."
)

# %% [markdown]
# Both follow from notebook 3's formulas. The mean of $n$ iterates keeps about $(1 - (1-x)^n)/(n x)$ of an error, $x = \eta \lambda$,
# against $e^{-xn/2}$ after the decay. Their noise is $\sigma^2 / 2n$ against
# $\frac12 \sigma^2 \lambda^2 \int_0^n \eta_u^2\, e^{-\lambda \eta u^2 / n}\, du = \frac{\sqrt \pi}{8} \sigma^2 \sqrt{\eta \lambda / n}$
# with $\eta_u = \eta u / n$, counted from the end.
#
# So the weakness of an average is only the start. If the run has gone on for long before the window opens, the error is
# gone in all those modes, and less variance is what remains: that is why the averages won above.

# %% [markdown]
# ## How long is the memory of an EMA?
#
# An EMA with decay $\alpha$ has, in every learned mode, the variance of a uniform average of
#
# $$n = \frac{1 + \alpha}{1 - \alpha}$$
#
# iterates: the sum of squares of its weights is $(1-\alpha)/(1+\alpha)$, that of uniform weights $1/n$.

# %%
sizes = [30, 100, 300, 1000]
fig, axes = plt.subplots(figsize=(0.55 * sl.plot.WIDTH, 2.3))
extremes = []
for n, colour in zip(sizes, sl.plot.shades(4), strict=True):
    pair = [sl.methods.ema(sgd(RATE), (n - 1) / (n + 1)), sl.methods.tail_average(sgd(RATE), n)]
    ends = sl.exact(plain, pair, snapshots=[STEPS]).dataset["mode_risk"].sel(component="variance", snapshot=STEPS)
    ratio = (ends[0] / ends[1]).values
    extremes += [ratio.min(), ratio.max()]
    assert 1 < RATE * lam[ratio.argmin()] * n < 10
    axes.plot(RATE * lam * n, ratio, color=colour, label=f"n = {n}")
axes.set(
    xscale="log",
    xlim=(100, 1e-3),
    ylim=(0.8, 1.05),
    xlabel=r"$\eta \lambda_i n$ (decreasing)",
    ylabel="variance: EMA / tail average",
)
axes.legend(loc="lower right")
display(fig)
plt.close(fig)

assert min(extremes) > 0.85
assert max(extremes) < 1.01
Markdown(
    f"**What to see.** Whatever the window and the mode, the EMA has {min(extremes):.2f} to {max(extremes):.2f} of the variance of the "
    "tail average of $n$ iterates; least where the mode's own memory is about as long as the window."
)

# %% [markdown]
# So much for one mode. The window to choose is a matter of all of them:

# %%
windows = np.unique(np.geomspace(2, STEPS, 30).round().astype(int)).tolist()
ways = {
    "cooldown": lambda n: cooled(0.25, n),
    "tail average": lambda n: sl.methods.tail_average(sgd(0.25), n),
    "EMA": lambda n: sl.methods.ema(sgd(0.25), (n - 1) / (n + 1)),
}
fig, axes = plt.subplots(figsize=(0.55 * sl.plot.WIDTH, 2.3))
lowest = {}
for (name, way), colour in zip(ways.items(), (ORANGE, BLUE, PINK), strict=True):
    final = sl.exact(problem, [way(n) for n in windows], record=2).total().values[:, -1]
    lowest[name] = (windows[final.argmin()], final.min())
    axes.plot(windows, final, color=colour, label=name)
    axes.plot(*lowest[name], "o", color=colour, markersize=4)
axes.set(xscale="log", yscale="log", ylim=(0.014, 0.06), xlabel="window $n$", ylabel="final risk")
axes.set_yticks([0.015, 0.02, 0.03, 0.05], ["0.015", "0.02", "0.03", "0.05"])
axes.set_yticks([], minor=True)
axes.legend(loc="lower left")
display(fig)
plt.close(fig)

at = np.log([lowest["EMA"][0] / 2, lowest["EMA"][0] * 2])
flat = np.interp(at, np.log(windows), final) / lowest["EMA"][1] - 1
assert lowest["EMA"][1] < lowest["tail average"][1] < lowest["cooldown"][1]
assert 0 < flat[0] < flat[1]
Markdown(
    "**What to see.** One constant rate, and what is done about its noise. A short window does not clean, "
    "a long one keeps the start; best are "
    + ", ".join(f"{n} steps ({name}, {1e3 * value:.2f}/1000)" for name, (n, value) in lowest.items())
    + f". Too short is forgiven more easily than too long: with half the best window the EMA loses {flat[0]:.0%}, with twice {flat[1]:.0%}."
)

# %% [markdown]
# ## Try it


# %%
def picture(peak: float = 0.25, window: int = WINDOW) -> None:
    runs = {
        "cooldown": cooled(peak, window),
        "tail average": sl.methods.tail_average(sgd(peak), window),
        "EMA": sl.methods.ema(sgd(peak), (window - 1) / (window + 1)),
        "last iterate": sgd(peak),
    }
    display(sl.plot.risk(sl.exact(problem, runs, record="linear", subspaces=BINS)))


picture()

# %% tags=["slider"]
_ = widgets.interact(
    picture,
    peak=widgets.FloatLogSlider(0.25, base=10, min=-2, max=-0.3, step=0.02, readout_format=".3g"),
    window=widgets.IntSlider(WINDOW, 50, STEPS, 50),
)
# %% [markdown]
# ## Exercises
#
# **1.** Storing checkpoints costs disk. How many of them, spread over the last window, does a merge need to be within a few
# percent of the average of all iterates? What do the first ten modes say?
#
# <details><summary>Solution</summary>
#
# Few checkpoints divide the noise of the learned modes by their number, as independent samples would. Where neighbours are closer
# than a mode's memory, $1 / \eta \lambda_i$ steps, they say the same thing about it, and more of them help only in steeper modes.
# Several dozen are enough here.
#
# ```python
# def merged(count):
#     steps = np.linspace(STEPS - WINDOW, STEPS, count).round().astype(int)
#     return sl.exact(problem, sl.methods.merge(sgd(0.25), steps), record=2, subspaces=BINS)
#
#
# totals = {count: float(merged(count).total()[-1]) for count in (2, 5, 11, 51, WINDOW + 1)}
# heads = {count: float(merged(count).final().sel(component="variance")[0]) for count in (2, 5)}
# print({count: f"{1e3 * total:.2f}" for count, total in totals.items()}, f"head: {heads[2] / heads[5]:.2f}, of 5 / 2")
# assert totals[51] < 1.03 * totals[WINDOW + 1] < totals[11]
# assert abs(heads[2] / heads[5] - 5 / 2) < 0.1
# ```
#
# </details>
#
# **2.** Add an EMA to a run with a linear decay over its whole length, at its best peak. Is it better than either alone?
#
# <details><summary>Solution</summary>
#
# An EMA with a window much shorter than the run changes next to nothing: the noise it would remove is gone already. The two
# are one tool.
#
# ```python
# both = sl.methods.ema(cooled(best["linear"], STEPS), 99 / 101)
# gain = 1e3 * float(sl.exact(problem, both, record=2).total()[-1]) / risk["linear"] - 1
# print(f"a window of 100 steps on top changes the risk by {gain:+.2%}")
# assert abs(gain) < 0.01
# ```
#
# </details>
#
# **3.** Raise the peak towards the stability limit. Which suffers more, the tail average or the cooldown over the same steps? Why?
#
# <details><summary>Solution</summary>
#
# The average. Near the limit the modes feed one another's noise, and the risk of the hot path grows without bound. A cooldown
# leaves the dangerous region; an average stays in it, and can only average what is there.
#
# ```python
# def pair_at(share):
#     peak = share * critical
#     runs = [sl.methods.tail_average(sgd(peak), WINDOW), cooled(peak)]
#     return sl.exact(problem, runs, record=2).total().values[:, -1]
#
#
# for share in (0.5, 0.7, 0.95):
#     average, cooldown = pair_at(share)
#     print(f"at {share:.0%} of the critical rate: average / cooldown = {average / cooldown:.2f}")
# assert pair_at(0.5)[0] < pair_at(0.5)[1]
# assert average > 1.3 * cooldown
# ```
#
# </details>

# %% [markdown]
# ## What this does not tell you
#
# - The identity of the second section holds for any model *given* its gradients. That the gradients of the hot path and of the
#   cooled one do the same job holds for the flat directions of a quadratic. A network can decide differently: in a curved
#   valley, [notebook 6](06_river_valleys.ipynb), the mean of points on a bent path lies on a slope.
# - Batch normalisation, and optimisers with state of their own (Adam), make an average of weights more than an average.
# - Which is cheaper. An average costs memory and can be read at any time; a cooldown costs a decision.
# - Momentum is an average too, of gradients instead of iterates. It does something quite different:
#   [notebook 5](05_momentum.ipynb).
