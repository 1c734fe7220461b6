# %% [markdown]
# # 13. A trillion steps
#
# **Goal.** Follow SGD for $10^{12}$ steps on $10^{12}$ modes, in about a second, with an estimate of the error beside every number. Then use it:
# hold the exponents of a scaling law against eight decades of lengths.
#
# **Prerequisites.** [Notebook 2](02_many_modes.ipynb) (bias and variance, mode by mode) and
# [notebook 9](09_which_schedule.ipynb) (the best schedule of a problem that is known).

# %%
# %matplotlib inline
# %config InlineBackend.figure_format = "retina"
import time

import ipywidgets as widgets
import matplotlib.pyplot as plt
import numpy as np
from IPython.display import Markdown, display

import simlab as sl

sl.plot.use_style()
BLUE, ORANGE, GREEN, PINK = sl.plot.PALETTE[:4]
CAPACITY, SOURCE, WARMUP, PEAK = 1.5, 1.7, 1_000, 0.3
S = (SOURCE - 1) / CAPACITY
problem = sl.LinearRegression.power_law(dim=10**12, capacity=CAPACITY, source=SOURCE, noise_variance=1.0)


def wsd(steps: int, peak: float = PEAK) -> sl.methods.Method:
    return sl.methods.sgd(sl.schedules.wsd(steps, peak, warmup=WARMUP, cooldown=0.2))


# %% [markdown]
# ## The equation
#
# Two things make it possible. Modes that are neighbours behave alike, so that some hundred nodes stand for $10^{12}$ of them
# (`problem.compress`). And what happens between two kinks of a schedule is smooth in the step: on a panel of $m$ whole steps every moment
# is a polynomial $u$ of degree $p$, of which the recursion itself is asked to hold at $p$ chosen steps,
#
# $$ u(y_l + 1) - u(y_l) = (S(y_l) - 1)\, u(y_l) + \text{noise}(y_l), \qquad l = 1, \dots, p . $$
#
# There is no differential equation in it, and a panel of $p + 1$ steps is exact. Panels grow where nothing happens, and after a
# kink the run is stepped. Every panel is computed with two degrees; what they differ by becomes `risk_error`.

# %%
STEPS = 10**12
sl.long(problem, wsd(10**6), progress=False)  # compiles, once
begun = time.perf_counter()
trace = sl.long(problem, wsd(STEPS), subspaces="log_bins(4)", tolerance=1e-6)
quick = time.perf_counter() - begun < 20
doubt = float((trace.dataset["risk_error"] / trace.risk.where(trace.risk > 0)).max())

fig, axis = plt.subplots(figsize=(0.75 * sl.plot.WIDTH, 2.6))
for subspace, colour in zip(trace.risk["subspace"].values, sl.plot.shades(4), strict=True):
    for part, style in (("bias", "-"), ("variance", ":")):
        line = trace.risk.squeeze().sel(subspace=subspace, component=part)
        axis.loglog(line["step"][1:], line[1:], style, color=colour, label=subspace if part == "bias" else None)
axis.set(xlabel="step", ylabel="risk", ylim=(1e-12, 2), title="bias (solid) and variance (dotted), by bands of modes")
axis.legend()
display(fig)
plt.close(fig)
assert quick
assert doubt < 1e-5
Markdown(
    f"**What to see.** A front of learning goes down the spectrum for twelve decades: a band's bias falls when the sum of the rates times its "
    f"eigenvalue is about one, its variance is there from then on, and the cooldown takes it away. No number is estimated to be off by more than {doubt:.0e} of itself."
)

# %% [markdown]
# ## Whom to believe
#
# An estimate of an error is worth what its referee says. Where stepping is affordable, step: `sl.exact` on the same nodes.

# %%
SHORT = 10**5
nodes = problem.compress(1e-8)
METHODS = {
    "SGD": wsd(SHORT),
    "heavy ball": sl.methods.heavy_ball(wsd(SHORT).learning_rate * 0.1, momentum=0.9),
    "EMA": sl.methods.ema(wsd(SHORT), decay=0.999),
}
at = np.unique(np.geomspace(1, SHORT, 60).astype(int))
far = sl.long(nodes, METHODS, record=at, tolerance=1e-6, progress=False)
near = sl.exact(nodes, METHODS, record=at, progress=False)
fig, axes = plt.subplots(1, len(METHODS), figsize=(sl.plot.WIDTH, 2.2), sharey=True, layout="constrained")
true = {}
for axis, name in zip(axes, METHODS, strict=True):
    exact = near.risk.sel(run=name, component="bias").squeeze().sel(step=at)
    other = far.risk.sel(run=name, component="bias").squeeze().sel(step=at)
    told = far.dataset["risk_error"].sel(run=name, component="bias").squeeze().sel(step=at)
    true[name] = np.abs(other / exact - 1).values
    axis.loglog(at, told / other + 1e-16, color=ORANGE, label="estimated")
    axis.loglog(at, true[name] + 1e-16, ".", color=BLUE, markersize=3, label="true")
    axis.set(title=name, xlabel="step")
axes[0].set(ylabel="relative error of the bias")
axes[0].legend()
display(fig)
plt.close(fig)
worst = {name: values.max() for name, values in true.items()}
assert max(worst.values()) < 1e-6
Markdown(
    f"**What to see.** All three stay below the tolerance that was asked for (their largest true error is below {10 ** np.ceil(np.log10(max(worst.values()))):.0e}), "
    "and the estimate lies above the truth. It has to: a method that is exact in its own opinion only is worth little at lengths "
    "that nobody can step."
)

# %% [markdown]
# ## Is the exponent true?
#
# With noise, the best peak of a run of $n$ steps balances the bias of slow modes against the noise of fast ones. For a constant rate theory
# says that the risk falls as $n^{-s/(1+s)}$ with $s$ from source and capacity, up to what depends on the schedule (Li et al. 2025,
# [arXiv 2509.19189](https://arxiv.org/abs/2509.19189)). Measure the slope between lengths two decades apart.

# %%
LENGTHS = 10 ** np.arange(3, 12, 2)
PEAKS = np.geomspace(1e-5, 0.45, 17)


def best_risks(make: str) -> tuple[np.ndarray, np.ndarray]:
    """(least risk, best peak) at each length, by a parabola through the least of a grid of peaks."""
    least, where = [], []
    for n in LENGTHS:
        shapes = {"constant": sl.schedules.constant, "linear": sl.schedules.linear}
        runs = [sl.methods.sgd(shapes[make](int(n), peak)) for peak in PEAKS]
        risk = sl.long(nodes, runs, record=2, tolerance=1e-5, progress=False).total().values[:, -1]
        i = int(np.clip(np.nanargmin(risk), 1, PEAKS.size - 2))
        a, b, c = np.polyfit(np.log(PEAKS[i - 1 : i + 2]), np.log(risk[i - 1 : i + 2]), 2)
        least.append(np.exp(c - b**2 / (4 * a)))
        where.append(np.exp(-b / (2 * a)))
    return np.array(least), np.array(where)


falls = {name: best_risks(name) for name in ("constant", "linear")}
law = -S / (1 + S)
middle = np.sqrt(LENGTHS[1:] * LENGTHS[:-1].astype(float))
fig, (left, right) = plt.subplots(1, 2, figsize=(0.95 * sl.plot.WIDTH, 2.4), layout="constrained")
slopes = {}
for (name, (risk, peaks)), colour in zip(falls.items(), (BLUE, ORANGE), strict=True):
    left.loglog(LENGTHS, peaks, "o-", color=colour, markersize=3, label=name)
    slopes[name] = np.diff(np.log(risk)) / np.diff(np.log(LENGTHS))
    right.semilogx(middle, slopes[name], "o-", color=colour, markersize=3)
right.axhline(law, color="k", ls=":", lw=1)
left.set(xlabel="steps", ylabel="best peak")
left.legend()
right.set(xlabel="steps", ylabel="slope of the least risk")
display(fig)
plt.close(fig)
early, end = slopes["constant"][[0, -1]]
assert np.abs(slopes["constant"] / law - 1).max() < 0.03
assert np.ptp(slopes["linear"]) < 0.02
Markdown(
    f"**What to see.** Constant rate: the slope is {early:.3f} at the shortest lengths and {end:.3f} at the longest; theory says {law:.3f}. "
    f"A linear decay has a law of its own: {slopes['linear'][0]:.3f} and {slopes['linear'][-1]:.3f}, steeper, with a best peak that falls more "
    f"slowly. At the longest it leaves {falls['linear'][0][-1] / falls['constant'][0][-1]:.2f} of the risk of the best constant rate: "
    "what a schedule is worth grows with the length of the run."
)


# %% tags=["slider"]
def horizon(decades: int, cooldown: float) -> None:
    """Bias and variance of a WSD run of 10^decades steps."""
    lr = sl.schedules.wsd(10**decades, PEAK, warmup=WARMUP // 10, cooldown=cooldown)
    risk = sl.long(nodes, sl.methods.sgd(lr), tolerance=1e-5, progress=False).risk.squeeze()
    fig, axis = plt.subplots(figsize=(0.6 * sl.plot.WIDTH, 2.3))
    for part, colour in (("bias", BLUE), ("variance", ORANGE)):
        axis.loglog(risk["step"][1:], risk.sel(component=part)[1:], color=colour, label=part)
    axis.set(xlabel="step", ylabel="risk")
    axis.legend()
    display(fig)
    plt.close(fig)


_ = widgets.interact(
    horizon,
    decades=widgets.IntSlider(9, min=4, max=12),
    cooldown=widgets.FloatSlider(0.2, min=0.01, max=0.9, step=0.01),
)

# %% [markdown]
# ## Exercises
#
# **1.** At a thousand times the steps, is a cooldown of a fifth still worth it? Compare WSD with a constant rate at several lengths.
#
# <details><summary>Solution</summary>
#
# More and more: the noise of the plateau stays, the bias goes.
#
# ```python
# gains = []
# for n in (10**5, 10**8, 10**11):
#     runs = [sl.methods.sgd(sl.schedules.constant(n, PEAK)), wsd(n)]
#     plain, cooled = sl.long(nodes, runs, record=2, progress=False).total().values[:, -1]
#     gains.append(plain / cooled)
# print(gains)
# assert gains[0] < gains[1] < gains[2]
# ```
#
# </details>
#
# **2.** Does the number of nodes matter? Compress more coarsely, and compare.
#
# <details><summary>Solution</summary>
#
# No: what is asked of the compression is what it keeps.
#
# ```python
# ends = []
# for accuracy in (1e-6, 1e-10):
#     ends.append(float(sl.long(problem.compress(accuracy), wsd(10**9), record=2, progress=False).total().values.ravel()[-1]))
# print(ends)
# assert abs(ends[0] / ends[1] - 1) < 1e-4
# ```
#
# </details>
#
# **3.** When has the mode with index a million been learned? Hint: the sum of the rates times its eigenvalue.
#
# <details><summary>Solution</summary>
#
# Its bias falls by $e^{2}$ when that product is one.
#
# ```python
# index = 10**6
# steps = int(index**CAPACITY / PEAK)
# one = sl.LinearRegression(np.array([index**-CAPACITY]), np.array([1.0]), noise_variance=0.0)
# bias = sl.long(one, sl.methods.sgd(sl.schedules.constant(steps, PEAK)), record=2, progress=False).total().values.ravel()
# print(bias[0] / bias[-1])
# assert np.isclose(bias[0] / bias[-1], np.e**2, rtol=1e-3)
# ```
#
# </details>

# %% [markdown]
# ## What this does not tell you
#
# - No network is trained for so long on one problem. The use is asymptotics: what a theorem on exponents says *before* its limit.
# - A method that rings for very many steps (momentum next to one) has to be stepped for as long; the engine says so rather than wait.
# - Ten thousand cycles are one map and its powers; ten thousand *different* kinks are ten thousand pieces of work.
# - An error estimate is no bound. It has been held against stepping where one can step, and against itself beyond.
