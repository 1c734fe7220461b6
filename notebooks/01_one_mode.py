# %% [markdown]
# # 1. One mode: what a step size buys, and what it costs
#
# **Goal.** See why a large step size learns fast and ends badly, on the smallest problem that has both effects:
# one weight, fresh noisy samples, SGD. Learn to read a risk as bias plus variance.
#
# **Prerequisites.** Expectation and variance of a random variable; you have seen the update
# $w \leftarrow w - \text{lr} \cdot \text{gradient}$ before. Everything else is explained here.

# %%
# %matplotlib inline
# %config InlineBackend.figure_format = "retina"
import ipywidgets as widgets
import matplotlib.pyplot as plt
import numpy as np
from IPython.display import Markdown, display

import simlab as sl

sl.plot.use_style()
BLUE, ORANGE, GREEN = sl.plot.PALETTE[:3]

# %% [markdown]
# ## The problem
#
# A sample is $x \sim \mathcal N(0, \lambda)$ with label $y = w^* x + \varepsilon$, $\operatorname{Var} \varepsilon = \sigma^2$.
# The loss $\frac12 (w x - y)^2$, averaged over samples, is $\frac12 \lambda (w - w^*)^2 + \frac12 \sigma^2$. The last term
# nobody can remove; what is left is the **excess risk** $\frac12 \lambda (w - w^*)^2$, and $\lambda$ is the curvature: one
# eigenvalue of the Hessian, hence "one mode".
#
# SGD takes one fresh sample a step. With $\delta_t = w_t - w^*$,
#
# $$\delta_{t+1} = (1 - \text{lr}\, x_t^2)\, \delta_t + \text{lr}\, x_t \varepsilon_t .$$
#
# Square it and take expectations ($\mathbb E x^4 = 3 \lambda^2$ for a Gaussian). The mean squared error obeys a recursion
# of one line; with $z = \text{lr} \cdot \lambda$ and $u_t = \lambda\, \mathbb E \delta_t^2$, twice the risk,
#
# $$u_{t+1} = \underbrace{(1 - 2 z + 3 z^2)}_{\text{contraction}}\, u_t + \underbrace{z^2 \sigma^2}_{\text{noise}} .$$
#
# That is all of SGD on one mode: no approximation, no continuous time. For $d$ modes it is the same with a coupling
# (Défossez and Bach 2015, [arXiv 1411.7717](https://arxiv.org/abs/1411.7717); Bordelon and Pehlevan 2022,
# [arXiv 2106.02713](https://arxiv.org/abs/2106.02713)), and it is what simlab's exact engine steps. Here is the recursion in
# plain Python, beside the engine.

# %%
LAM, SIGMA2, STEPS = 1.0, 0.1, 300
problem = sl.LinearRegression([LAM], [1.0], noise_variance=SIGMA2)  # starts at distance one from w*


def by_hand(lr: float, steps: int) -> np.ndarray:
    """Risk at steps 0 .. steps."""
    z, u = lr * LAM, [LAM * 1.0**2]
    for _ in range(steps):
        u.append((1 - 2 * z + 3 * z**2) * u[-1] + z**2 * SIGMA2)
    return np.array(u) / 2


def run(lr: float, steps: int = STEPS, batch: int = 1) -> sl.RiskTrace:
    """The same by the exact engine, at every step."""
    return sl.exact(problem, sl.methods.sgd(sl.schedules.constant(steps, lr), batch), record="all")


apart = np.max(np.abs(run(0.05).total().values / by_hand(0.05, STEPS) - 1))
Markdown(f"The engine and the loop agree to a relative difference of {apart:.0e} over {STEPS} steps.")

# %% [markdown]
# ## Bias and variance
#
# The recursion is linear, so its solution is a sum of two runs:
#
# - **bias**: start at $w_0$, no label noise ($\sigma^2 = 0$). The initial error, forgotten geometrically.
# - **variance**: start at $w^*$, with label noise. Starts at zero, fills up to a floor.
#
# risk = bias + variance, exactly. Setting $u_{t+1} = u_t$ gives the floor, $\frac12 u_\infty = \dfrac{z \sigma^2}{2 (2 - 3 z)}$.

# %%
rates = {0.01: BLUE, 0.05: ORANGE, 0.3: GREEN}
traces = {lr: run(lr) for lr in rates}


def floor(lr: float) -> float:
    z = lr * LAM
    return z * SIGMA2 / (2 * (2 - 3 * z))


fig, panels = plt.subplots(1, 3, figsize=(sl.plot.WIDTH, 2.4), sharex=True, sharey=True)
for lr, colour in rates.items():
    parts = traces[lr].by_component()
    for axes, name in zip(panels, ("bias", "variance", "risk"), strict=True):
        values = parts.sum("component") if name == "risk" else parts.sel(component=name)
        axes.plot(values["step"], values, color=colour, label=f"lr = {lr:g}")
        axes.set(title=name, xlabel="step", yscale="log", ylim=(3e-5, 1))
    panels[1].axhline(floor(lr), color=colour, linestyle=":", linewidth=1)
panels[0].set_ylabel("excess risk")
panels[2].legend()
display(fig)
plt.close(fig)

fast, slow = traces[0.3].total().values, traces[0.01].total().values
crossing = int(np.argmax((slow < fast) & (np.arange(STEPS + 1) > 0)))
Markdown(
    f"**What to see.** Left: the bias is a straight line on a logarithmic axis, steeper for a larger rate. Middle: the "
    f"variance rises from nothing to its floor (dotted, the formula above), and the floor is higher for a larger rate. "
    f"Right: their sum. lr = 0.3 is ahead at first and has nothing left to learn at a risk of {fast[-1]:.3g}; the slow "
    f"run overtakes it at step {crossing} and is still falling at the end, at {slow[-1]:.3g}."
)

# %% [markdown]
# ## One run is not its expectation
#
# The engine computes an expectation over all samples that could have come. A single run jitters about it. The sampling
# engine draws real runs; here are a few of many, with the exact risk over them.

# %%
sampled = sl.sample(
    problem,
    sl.methods.sgd(sl.schedules.constant(STEPS, 0.05)),
    replicas=4096,
    coordinates=[1],
    record="all",
    dtype="float64",
)
paths = LAM / 2 * sampled.dataset["trajectory"].isel(coordinate=0) ** 2
low, high = (sampled.dataset["total_quantile"].sel(quantile=q) for q in (0.1, 0.9))

fig, axes = plt.subplots(figsize=(0.65 * sl.plot.WIDTH, 2.5))
axes.plot(paths["step"], paths.isel(replica=slice(5)), color="0.65", linewidth=0.6)
axes.fill_between(low["step"], low, high, color=BLUE, alpha=0.2, lw=0, label="middle 80 % of the runs")
axes.plot(paths["step"], paths.mean("replica"), color=BLUE, label=f"mean of {paths.sizes['replica']} runs")
axes.plot(traces[0.05].total()["step"], traces[0.05].total(), "k--", label="exact expectation")
axes.set(yscale="log", ylim=(1e-7, 2), xlabel="step", ylabel="excess risk", title="lr = 0.05")
axes.legend(loc="lower left")
display(fig)
plt.close(fig)

z_scores = sampled.z_scores(traces[0.05]).sel(component="risk").isel(subspace=0).values
median = sampled.dataset["total_quantile"].sel(quantile=0.5).values[-1]
Markdown(
    f"**What to see.** Single runs (grey) plunge whenever they happen to pass through $w^*$: the risk of one run is a "
    f"square, and often nearly zero. The median of the final risk is {median / traces[0.05].total().values[-1]:.2f} of its mean. "
    f"The mean over runs lies on the exact curve; the largest difference at any step is {np.nanmax(np.abs(z_scores)):.1f} "
    f"standard errors, over {np.isfinite(z_scores).sum()} correlated steps."
)

# %% [markdown]
# ## The trade
#
# With a fixed budget of $T$ steps, a small rate leaves bias, a large one variance. For small rates the sum is
# $\frac12 \lambda \delta_0^2\, e^{-2 z T} + \frac14 z \sigma^2$, and setting its derivative to zero gives the best constant rate,
# $z = \log(4 \lambda \delta_0^2\, T / \sigma^2) / (2T)$: more steps pay for more patience.

# %%
grid = np.geomspace(1e-3, 0.6, 120)
budgets = {30: BLUE, 300: ORANGE, 3000: GREEN}


def final(lr: float, steps: int) -> tuple[float, float]:
    """Bias and variance at the last step."""
    parts = run(lr, steps).by_component().isel(step=-1)
    return float(parts.sel(component="bias")), float(parts.sel(component="variance"))


fig, axes = plt.subplots(figsize=(0.65 * sl.plot.WIDTH, 2.6))
best = {}
for steps, colour in budgets.items():
    bias, variance = np.array([final(lr, steps) for lr in grid]).T
    best[steps] = (grid[np.argmin(bias + variance)], (bias + variance).min())
    axes.plot(grid, bias + variance, color=colour, label=f"T = {steps}")
    axes.plot(grid, bias, color=colour, linestyle="--", linewidth=0.8)
    axes.plot(*best[steps], "o", color=colour, markersize=5)
axes.plot(grid, variance, color="0.4", linestyle=":", linewidth=1, label="noise floor")
axes.set(xscale="log", yscale="log", ylim=(1e-5, 1), xlabel="learning rate", ylabel="final excess risk")
axes.legend()
display(fig)
plt.close(fig)

table = "\n".join(
    f"| {steps} | {lr:.2g} | {np.log(4 * LAM * steps / SIGMA2) / (2 * LAM * steps):.2g} | {risk:.2g} |"
    for steps, (lr, risk) in best.items()
)
Markdown(
    "**What to see.** Dashed: bias, which falls off a cliff once $\\text{lr} \\cdot T$ is a few units. Dotted: the noise floor, "
    "nearly proportional to the rate. Dots: the best constant rate.\n\n"
    f"| T | best lr | by the formula | its risk |\n|---|---|---|---|\n{table}"
)

# %% [markdown]
# ## Try it
#
# The same as a function of all three: rate, batch size, budget. A batch of $B$ samples divides the noise term and the
# $3 - 1$ part of the contraction: $u \leftarrow \left(1 - 2 z + (1 + \tfrac 2 B) z^2\right) u + z^2 \sigma^2 / B$.


# %%
def picture(lr: float = 0.2, batch: int = 1, steps: int = 200) -> None:
    parts = run(lr, steps, batch).by_component()
    fig, axes = plt.subplots(figsize=(0.65 * sl.plot.WIDTH, 2.3))
    for name, dashes in (("bias", "--"), ("variance", ":")):
        axes.plot(parts["step"], parts.sel(component=name), dashes, label=name)
    axes.plot(parts["step"], parts.sum("component"), color="black", label="risk")
    axes.set(yscale="log", ylim=(1e-6, 10), xlabel="step", ylabel="excess risk")
    axes.set_title(f"lr = {lr:.3g}, batch {batch}: final risk {float(parts.isel(step=-1).sum()):.3g}")
    axes.legend(loc="upper right")
    display(fig)
    plt.close(fig)


picture()

# %% [markdown]
# In a live notebook the next cell puts sliders on it. Push the rate up until the run diverges, then raise the batch.

# %% tags=["slider"]
_ = widgets.interact(
    picture,
    lr=widgets.FloatLogSlider(0.2, base=10, min=-3, max=0.4, step=0.02, readout_format=".3g"),
    batch=widgets.SelectionSlider(options=[1, 2, 4, 8, 16, 64, 256], value=1),
    steps=widgets.IntSlider(200, 20, 2000, 20),
)
# %% [markdown]
# ## Where it breaks
#
# The contraction factor $1 - 2 z + 3 z^2$ is below one only for $z < 2/3$: with one sample a step, SGD in the mean square
# becomes unstable well before gradient descent does ($z < 2$), because a sample's own curvature $x^2$ is sometimes much
# larger than $\lambda$. A batch averages that out.

# %%
rows = []
for batch in (1, 4, 16, 256):
    method = sl.methods.sgd(sl.schedules.constant(STEPS, 0.05), batch)
    rows.append((batch, sl.stability(problem, method).critical_lr, 2 / (1 + 2 / batch)))
table = "\n".join(f"| {batch} | {found:.4f} | {formula:.4f} |" for batch, found, formula in rows)
diverged = run(0.8)
Markdown(
    f"| batch | critical rate (engine) | 2 / (1 + 2/B) |\n|---|---|---|\n{table}\n\n"
    f"Beyond it, a run is reported and not hidden: at lr = 0.8 the status is `{diverged.status.item()}`, "
    f"at step {int(diverged.dataset['ended_at'])}."
)

# %% [markdown]
# ## Exercises
#
# **1.** Which rate contracts the bias fastest with $B = 1$? It is not the critical rate, and not $1/\lambda$.
#
# <details><summary>Solution</summary>
#
# The factor $1 - 2z + 3z^2$ is smallest at $z = 1/3$: half the critical rate. Beyond it every step overshoots on the
# samples with large $x^2$.
#
# ```python
# candidates = np.linspace(0.05, 0.65, 121)
# bias = [float(run(lr, 40).by_component().sel(component="bias").isel(step=-1)) for lr in candidates]
# print(f"fastest rate {candidates[np.argmin(bias)]:.3f}")
# assert abs(candidates[np.argmin(bias)] - 1 / 3) < 0.01
# ```
#
# </details>
#
# **2.** You may either halve the rate or double the batch. Which lowers the noise floor more? Which costs what?
#
# <details><summary>Solution</summary>
#
# For small rates the floor depends on $\text{lr} / B$ alone, so both halve it. Halving the rate costs twice the steps to
# forget the start; doubling the batch costs twice the samples a step. Counted in samples it is the same trade.
#
# ```python
# def floor_of(lr, batch):
#     return sl.stability(problem, sl.methods.sgd(sl.schedules.constant(10, lr), batch)).noise_floor
#
#
# halved_rate, doubled_batch = floor_of(0.005, 1), floor_of(0.01, 2)
# print(f"{halved_rate:.4g} against {doubled_batch:.4g}, from {floor_of(0.01, 1):.4g}")
# assert abs(halved_rate / doubled_batch - 1) < 0.01
# ```
#
# </details>
#
# **3.** For a budget of 300 steps, beat the best constant rate with a schedule of two rates.
#
# <details><summary>Solution</summary>
#
# Large first (to forget the start), small afterwards (to lower the floor): the whole idea of a schedule, in one mode.
#
# ```python
# def two_rates(first, second, switch):
#     lr = sl.schedules.from_array(np.r_[np.full(switch, first), np.full(300 - switch, second)])
#     return float(sl.exact(problem, sl.methods.sgd(lr), record=2).total()[-1])
#
#
# risk, *how = min((two_rates(a, b, s), a, b, s) for a in (0.1, 0.2) for b in (0.005, 0.01, 0.02) for s in (20, 40, 80))
# print(f"{risk:.3g} with {how}, against {best[300][1]:.3g}")
# assert risk < 0.7 * best[300][1]
# ```
#
# </details>

# %% [markdown]
# ## What this does not tell you
#
# - One mode has one time scale. A real Hessian has eigenvalues over many orders of magnitude, and one rate has to serve
#   them all: that is [notebook 2](02_many_modes.ipynb).
# - The samples are fresh: nothing is seen twice, so there is no overfitting and no train/test gap.
# - Features are Gaussian. Only their fourth moment enters (the 3 above); heavier tails move the stability limit down.
# - A quadratic is what a loss looks like near a minimum, or a network linearised at its start. Nothing here says how long
#   your network stays in such a region.
