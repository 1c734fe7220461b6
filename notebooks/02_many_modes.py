# %% [markdown]
# # 2. Many modes: what is learned when
#
# **Goal.** See a spectrum being learned from its head to its tail, and read two numbers off it that govern large models:
# the exponent of the loss curve, and the effective dimension that noise sees.
#
# **Prerequisites.** [Notebook 1](01_one_mode.ipynb): bias, variance and the noise floor of one mode.

# %%
# %matplotlib inline
# %config InlineBackend.figure_format = "retina"
import ipywidgets as widgets
import matplotlib.pyplot as plt
import numpy as np
from IPython.display import Markdown, display
from scipy.special import gamma

import simlab as sl
from simlab import theory

sl.plot.use_style()
BLUE, ORANGE, GREEN, PINK = sl.plot.PALETTE[:4]

# %% [markdown]
# ## The problem
#
# Linear regression again, now with $d$ weights. In the eigenbasis of the Hessian each weight is a mode with its own
# curvature $\lambda_i$ and its own initial error $\delta_i$. Measured spectra of real data are close to power laws, so take
#
# $$\lambda_i = i^{-a}, \qquad \lambda_i \delta_i^2 = i^{-b}, \qquad i = 1, 2, \ldots, d .$$
#
# $a$ is the **capacity** exponent: how fast the curvature falls. $b$ is the **source** exponent: how fast the
# contributions to the loss fall. With $z_i = \text{lr}\,\lambda_i$ and $u_i = \lambda_i\, \mathbb E (w - w^*)_i^2$, one step of
# SGD with batch size one does, exactly, to every mode
#
# $$u_i \leftarrow (1 - 2 z_i + 2 z_i^2)\, u_i + z_i^2 \Big(\sum_j u_j + \sigma^2\Big)$$
#
# (Bordelon and Pehlevan 2022, [arXiv 2106.02713](https://arxiv.org/abs/2106.02713)). Beside notebook 1 there is one new thing:
# all modes see the same samples, so the error of all of them is noise to each, in the same place as $\sigma^2$.

# %%
CAPACITY, SOURCE, SIGMA2, LR, STEPS = 1.5, 1.75, 0.1, 0.1, 100_000


def spectrum(dim: int, capacity: float = CAPACITY, source: float = SOURCE) -> sl.LinearRegression:
    return sl.LinearRegression.power_law(dim, capacity, source, noise_variance=SIGMA2)


def sgd(lr: float = LR, steps: int = STEPS) -> sl.methods.Method:
    return sl.methods.sgd(sl.schedules.constant(steps, lr))


small = spectrum(50)
z, u = LR * small.eigenvalues, small.eigenvalues * small.initial_error**2
for _ in range(200):
    u = (1 - 2 * z + 2 * z**2) * u + z**2 * (u.sum() + SIGMA2)
engine = float(sl.exact(small, sgd(steps=200)).total()[-1])
huge = spectrum(10**8).compress()
assert abs(u.sum() / 2 / engine - 1) < 1e-12
Markdown(
    f"The loop above, which is the equation, and the engine agree to a relative difference below {1e-12:.0e}. Below, `huge` has "
    f"{huge.dim:.0e} modes. Nobody steps them one by one: {huge.eigenvalues.size} weighted ones give the same sums."
)

# %% [markdown]
# ## The front
#
# Without the noise, mode $i$ forgets its start as $(1 - z_i)^{2t} \approx e^{-2 \lambda_i\,\text{lr}\,t}$. Everything depends on
# one number per mode, $\lambda_i\, \text{lr}\, t$: far above one the mode is learned, far below one it has not begun. In
# between is a front at
#
# $$k^*(t) = \#\{i : \lambda_i\, \text{lr}\, t \ge 1\} \approx (\text{lr}\, t)^{1/a} .$$
#
# The modes before it are called the **head**, those behind it the **tail**. It is no property of the data alone: it moves.

# %%
times = [100, 1_000, 10_000, 100_000]
problem = spectrum(10_000)
trace = sl.exact(problem, sgd(), snapshots=[0, *times], deterministic=True)
risks = trace.dataset["mode_risk"].sel(component="deterministic")
remaining = risks.sel(snapshot=times) / risks.sel(snapshot=0)

fig, (left, right) = plt.subplots(1, 2, figsize=(sl.plot.WIDTH, 2.5), sharey=True)
fronts, worst = [], 0.0
for t, colour in zip(times, sl.plot.shades(len(times)), strict=True):
    curve = remaining.sel(snapshot=t)
    clock = problem.eigenvalues * LR * t
    fronts.append(problem.count_at_least(1 / (LR * t)))
    worst = max(worst, float(np.abs(curve - np.exp(-2 * clock)).max()))
    left.plot(remaining["mode"], curve, color=colour, label=f"$t = 10^{int(np.log10(t))}$")
    left.axvline(fronts[-1], color=colour, linestyle=":", linewidth=1)
    right.plot(clock, curve, color=colour)
right.plot(clock, np.exp(-2 * clock), "k:", linewidth=2.2, label=r"$e^{-2 \lambda_i\, \mathrm{lr}\, t}$")
left.set(xscale="log", xlabel="mode $i$", ylabel="share of the initial risk left")
right.set(xscale="log", xlim=(1e4, 1e-4), xlabel=r"$\lambda_i\, \mathrm{lr}\, t$ (decreasing)")
left.legend(loc="lower right")
right.legend(loc="lower right")
display(fig)
plt.close(fig)

slope = np.polyfit(np.log(times[1:]), np.log(fronts[1:]), 1)[0]
assert worst < 0.05
assert abs(slope - 1 / CAPACITY) < 0.02
Markdown(
    f"**What to see.** Left: learning is a front that moves from the head into the tail; dotted lines are $k^*$, at "
    f"{', '.join(map(str, fronts))}. Ten times the steps move it by a factor of {10**slope:.2f}, and "
    f"$10^{{1/a}}$ is {10 ** (1 / CAPACITY):.2f}. Right: the same curves against $\\lambda_i\\,\\text{{lr}}\\,t$ fall on one, "
    f"up to {worst:.0e}, which is what the very first modes at the first time make of discrete steps."
)

# %% [markdown]
# ## Where the risk sits, over time
#
# Cut the modes into subspaces by decades of their index. Above: all of the bias, all of the variance. Below: which
# subspaces it is made of, stacked.


# %%
def by_decades(capacity: float = CAPACITY, source: float = SOURCE, lr: float = LR) -> sl.RiskTrace:
    bins = sl.subspaces.log_bins(6)
    problem = spectrum(10**6, capacity, source).compress(1e-6, subspaces=bins)
    return sl.exact(problem, sgd(lr), subspaces=bins)


# %%
def picture(**parameters: float) -> None:
    risk = by_decades(**parameters).risk.sel(step=slice(1, None)).transpose("component", "subspace", "step")
    names = [f"$10^{k}$ to $10^{k + 1}$" for k in range(risk.sizes["subspace"])]
    fig, panels = plt.subplots(2, 2, figsize=(sl.plot.WIDTH, 3.4), sharex=True, sharey="row", height_ratios=[1, 2])
    for (top, axes), part in zip(panels.T, ("bias", "variance"), strict=True):
        values = risk.sel(component=part)
        top.plot(risk["step"], values.sum("subspace"), color="black")
        top.set(title=part, yscale="log", xscale="log", xlim=(1, STEPS))
        shares = values / values.sum("subspace")
        axes.stackplot(risk["step"], shares, colors=sl.plot.shades(len(names)), labels=names, lw=0)
        axes.set(xlabel="step", ylim=(0, 1))
    panels[0, 0].set_ylabel("excess risk")
    panels[1, 0].set_ylabel("share of each decade")
    handles, labels = panels[1, 0].get_legend_handles_labels()
    fig.legend(handles[::-1], labels[::-1], loc="outside right center", title="modes")
    display(fig)
    plt.close(fig)


# %%
picture()
bias, variance = (by_decades().risk.sel(component=name) for name in ("bias", "variance"))
lead = bias.values.argmax(axis=1)  # the largest band at each step
taken = [int(bias["step"][np.argmax(lead == k)]) for k in range(1, lead.max() + 1)]
filled = (variance > variance.isel(step=-1) / 2).values.argmax(axis=0)  # the record at which half of it is there
noisy = float(variance.isel(step=-1, subspace=0) / variance.isel(step=-1).sum())
left = float(bias.isel(step=-1, subspace=0) / bias.isel(step=-1).sum())
late = float(bias.isel(step=-1, subspace=slice(2, None)).sum() / bias.isel(step=-1).sum())
assert np.all(np.diff(lead) >= 0)
assert np.all(np.diff(filled[:4]) > 0)
Markdown(
    "**What to see.** Left: the bands of the bias give way one after the other, dark (head) before light (tail). The largest "
    f"one is the first decade until step {taken[0]}, then the next until step {taken[1]}"
    f"{f', then the next until step {taken[2]}' if len(taken) > 2 else ''}; at the end {late:.0%} of what is left lies beyond "
    "mode 100. Right: noise enters in the same order, for a mode that learns its signal learns the noise with it. But it "
    f"stays where it entered: the first ten modes carry {noisy:.0%} of the final variance, and a mere {left:.0%} of the final "
    "bias. *Bias is in the tail, variance in the head.* (Why any of it stays in the first ten is "
    "part of the next section.)"
)

# %% [markdown]
# With a kernel, move the exponents and the rate. What does $a$ do to the width of the bands in time? When is most of the
# signal in the head? At which rate does the variance swallow the picture?

# %% tags=["slider"]
_ = widgets.interact(
    picture,
    capacity=widgets.FloatSlider(CAPACITY, min=1.1, max=3.0, step=0.1),
    source=widgets.FloatSlider(SOURCE, min=1.1, max=3.0, step=0.05),
    lr=widgets.FloatLogSlider(LR, base=10, min=-3, max=-0.4, step=0.05, readout_format=".3g"),
)
# %% [markdown]
# ## The bias is a power law in time
#
# What is left is the tail, $\frac12 \sum_{i > k^*} i^{-b} \sim (k^*)^{-(b-1)}$, and $k^* \sim t^{1/a}$. With the sum done as an
# integral, and $\tau = \text{lr}\, t$,
#
# $$\text{bias}(t) \simeq \frac{1}{1 - K} \cdot \frac{1}{2a}\, \Gamma\!\Big(\frac{b-1}{a}\Big)\, (2 \tau)^{-(b-1)/a} .$$
#
# No mode decays like this: each is exponential. The power law is a queue of exponentials, and its exponent is the
# spectrum's (Bordelon and Pehlevan 2022; Li et al. 2025, [arXiv 2509.19189](https://arxiv.org/abs/2509.19189)). The factor
# $1/(1 - K)$ is the new term of the recursion: the unlearned tail is noise for the learned head. $K$ is what
# `sl.stability(problem, method).mass` returns, $\sum_i z_i / (2 - 2 z_i)$ here, and at $K = 1$ SGD becomes unstable.

# %%
pairs = {(1.5, 1.75): BLUE, (1.5, 1.3): ORANGE, (2.5, 1.75): GREEN}
fig, axes = plt.subplots(figsize=(0.7 * sl.plot.WIDTH, 2.7))
rows, worst = [], 0.0
for (a, b), colour in pairs.items():
    problem = spectrum(10**12, a, b).compress(1e-8)
    curve = sl.exact(problem, sgd(), record=100).by_component().sel(component="bias", step=slice(1, None))
    t = curve["step"].values
    mass = sl.stability(problem, sgd()).mass
    law = gamma((b - 1) / a) / (2 * a) * (2 * LR * t) ** (-(b - 1) / a) / (1 - mass)
    axes.plot(t, curve, color=colour, label=f"a = {a}, b = {b}")
    axes.plot(t, law, color="black", linestyle=":", linewidth=1.2)
    late = t > 10_000
    slope = np.polyfit(np.log(t[late]), np.log(curve[late]), 1)[0]
    rows.append(f"| {a} | {b} | {slope:.3f} | {-(b - 1) / a:.3f} | {float(curve[-1]) / law[-1]:.3f} |")
    worst = max(worst, abs(float(curve[-1]) / law[-1] - 1), abs(slope + (b - 1) / a))
axes.plot([], [], "k:", label="formula")
axes.set(xscale="log", yscale="log", xlabel="step", ylabel="bias")
axes.legend(loc="lower left")
display(fig)
plt.close(fig)

assert worst < 0.02
Markdown(
    "**What to see.** Straight lines on logarithmic axes, on the formula (dotted).\n\n"
    "| a | b | slope of the last decade | $-(b-1)/a$ | bias / formula at the end |\n|---|---|---|---|---|\n"
    + "\n".join(rows)
    + "\n\nThe same $b$ with a steeper spectrum (larger $a$) is learned more slowly: the front has further to go in $\\lambda$."
)

# %% [markdown]
# ## The variance counts modes: the effective dimension
#
# At a constant rate the last iterate's variance fills up and stays. Average the iterates $w_0 \ldots w_{N-1}$ instead, and it
# falls. A learned mode then costs $\frac12 \sigma^2 / N$, as in least squares, whatever its curvature. A mode in the tail has
# heard only a part of the noise, and costs $\frac12 \sigma^2 / N \cdot (\text{lr}\, N \lambda_i)^2$. Add up:
#
# $$\text{variance} \approx \frac{\sigma^2}{2} \cdot \frac{D}{N}, \qquad
# D = k^* + (\text{lr}\, N)^2 \sum_{i > k^*} \lambda_i^2 \sim N^{1/a}$$
#
# up to constants, from above and below (Zou et al. 2021, [arXiv 2103.12692](https://arxiv.org/abs/2103.12692),
# Theorems 2.1 and 2.2). $D$ is the **effective dimension**: not the number of weights, but of those that take part.

# %%
averaged = sl.methods.average(sgd(), form="old")
modes = sl.exact(spectrum(10_000), averaged, snapshots=times).dataset["mode_risk"].sel(component="variance")
curves = sl.exact(huge, {"last iterate": sgd(), "average": averaged}).by_component().sel(component="variance")
n = curves["step"].values[1:]
count = theory.find("effective_dimension")
D = np.array([count(spectrum(10**5).eigenvalues, LR, float(x)) for x in n])

# %%
fig, (left, right) = plt.subplots(1, 2, figsize=(sl.plot.WIDTH, 2.6))
for t, colour in zip(times, sl.plot.shades(len(times)), strict=True):
    cost = modes.sel(snapshot=t) * t / (SIGMA2 / 2)
    left.plot(modes["mode"], cost, color=colour, label=f"$N = 10^{int(np.log10(t))}$")
    left.plot(
        modes["mode"], np.minimum(1, (LR * t * problem.eigenvalues[0] * modes["mode"] ** -CAPACITY) ** 2), "k:", lw=0.8
    )
left.plot([], [], "k:", lw=0.8, label=r"min{1, (lr N $\lambda_i$)$^2$}")
left.set(
    xscale="log", yscale="log", ylim=(1e-4, 3), xlabel="mode $i$", ylabel=r"variance of mode $\times\, 2N / \sigma^2$"
)
left.legend(loc="lower left")
for run, colour in (("last iterate", ORANGE), ("average", BLUE)):
    right.plot(n, curves.sel(run=run)[1:], color=colour, label=run)
right.plot(n, SIGMA2 / 2 * D / n, "k--", label=r"$\sigma^2 D\, /\, 2N$")
right.set(xscale="log", yscale="log", xlim=(10, STEPS), ylim=(1e-4, 3e-2), xlabel="steps $N$", ylabel="variance")
right.legend(loc="upper right")
display(fig)
plt.close(fig)

average, last = curves.sel(run="average").values[1:], curves.sel(run="last iterate").values[1:]
ratio = average / (SIGMA2 / 2 * D / n)
slope = np.polyfit(np.log(n[n > 10_000]), np.log(average[n > 10_000]), 1)[0]
assert np.all(np.abs(ratio[n > 1000] - 0.5) < 0.05)
assert abs(slope - (1 / CAPACITY - 1)) < 0.02
assert np.all(np.diff(last) > 0)
Markdown(
    f"**What to see.** Left: a mode costs one unit or nearly nothing; the sum of these costs over all modes is an effective dimension. "
    f"Right: the average's variance falls with slope {slope:.3f} (theory: $1/a - 1$ = {1 / CAPACITY - 1:.3f}) and stays at "
    f"{ratio[n > 1000].min():.2f} to {ratio[n > 1000].max():.2f} of $\\sigma^2 D / 2N$, with $D$ = {D[-1]:.0f} of {huge.dim:.0e} modes at the "
    f"end. The last iterate only climbs to its floor: {last[-1] / average[-1]:.0f} times the average's."
)

# %% [markdown]
# ## Exercises
#
# **1.** How many times more steps does it take to halve the bias? Work it out for the exponents of this notebook, then for
# a source exponent close to one.
#
# <details><summary>Solution</summary>
#
# From $t^{-(b-1)/a}$: a factor $2^{a/(b-1)}$, which explodes as $b \to 1$. This is why loss curves of large models look
# flat: the loss sits in a long tail, and not much is wrong with the optimiser.
#
# ```python
# factor = 2 ** (CAPACITY / (SOURCE - 1))
# later = round(factor * 10_000)
# now, then = sl.exact(huge, sgd(), record=[10_000, later]).by_component().sel(component="bias", step=[10_000, later]).values
# print(f"{factor:.2f} times the steps: bias times {then / now:.3f}; at b = 1.1 it would take {2 ** (CAPACITY / 0.1):.0f}")
# assert abs(then / now - 0.5) < 0.01
# ```
#
# </details>
#
# **2.** A real problem has finitely many modes. When does the power law of the bias end, and what comes after it?
#
# <details><summary>Solution</summary>
#
# When the front reaches the last mode: $\lambda_d\, \text{lr}\, t \sim 1$, so $t \sim d^a / \text{lr}$. After it nothing is left
# to be learned next, and the bias falls exponentially, far below the power law.
#
# ```python
# finite = spectrum(100)
# end = int(finite.dim**CAPACITY / LR)
# curve = sl.exact(finite, sgd(steps=5 * end), record=[end // 100, end, 5 * end]).by_component().sel(component="bias")
# law = gamma((SOURCE - 1) / CAPACITY) / (2 * CAPACITY) * (2 * LR * curve["step"].values[1:]) ** (-(SOURCE - 1) / CAPACITY)
# ratio = curve.values[1:] / law
# print(f"the front arrives at step {end}; bias / power law: {', '.join(f'{r:.2g}' for r in ratio)}")
# assert ratio[0] > 0.8 and ratio[2] < 1e-3
# ```
#
# </details>
#
# **3.** Add a hundred times more modes to a problem, all with tiny curvature. What happens to the variance of the average?
# Guess first: classical statistics says it grows with the number of parameters.
#
# <details><summary>Solution</summary>
#
# Almost nothing: new modes lie beyond $k^*$ and enter with the squares of their eigenvalues, whose sum converges. Noise
# that is spread over very many directions is harmless: *benign* overfitting. A spectrum in which all modes take part
# behaves as the classic says.
#
# ```python
# def variance_of(problem):
#     run = sl.methods.average(sgd(steps=2000), form="old")
#     return float(sl.exact(problem, run, record=2).by_component().sel(component="variance", step=2000))
#
#
# few, many = variance_of(spectrum(1_000)), variance_of(spectrum(100_000).compress())
# flat = [variance_of(sl.LinearRegression.isotropic(d, SIGMA2, eigenvalue=0.02)) for d in (1, 100)]
# print(f"power law: times {many / few:.4f}; flat spectrum: times {flat[1] / flat[0]:.0f}")
# assert many / few < 1.01 and flat[1] / flat[0] > 90
# ```
#
# </details>

# %% [markdown]
# ## What this does not tell you
#
# - The rate was constant. Bias wants it large for long, variance wants it small at the end: schedules are
#   [notebook 3](03_schedules.ipynb), averages [notebook 4](04_averaging.ipynb).
# - Exact power laws with two exponents are a model. Measured spectra bend, and have a few large outliers.
# - The modes are fixed. A network changes its features while it trains, and with them its own $\lambda_i$ and $\delta_i$.
# - Every sample is fresh. With a finite data set seen many times, the tail would be fitted to its noise as well.
# - Batch size one throughout. A larger batch divides the variance, and changes no exponent.
