# %% [markdown]
# # 12. Sign and Adam: what changes
#
# **Goal.** All before this notebook was linear in the gradient. Take its sign, or divide it by its own history, and see what stays
# of what you know, and what does not: noise, decay, coordinates, batch size.
#
# **Prerequisites.** [Notebook 2](02_many_modes.ipynb) (bias and variance, mode by mode) and
# [notebook 3](03_schedules.ipynb) (schedules, each at its best peak).

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


def power_law(dim: int = 200, noise: float = 0.25) -> sl.LinearRegression:
    return sl.LinearRegression.power_law(dim, capacity=1.1, source=1.5, noise_variance=noise)


def last(trace: sl.RiskTrace) -> float:
    return float(trace.total().values.ravel()[-1])


# %% [markdown]
# ## The equation
#
# A gradient of one sample is $x\,(x \cdot e - \varepsilon)$ with $e = w - w^\star$. Of Gaussian features, sign and residual are
# jointly Gaussian in every coordinate, so that the mean of the sign is known; with $R = \sum_i \lambda_i e_i^2$, as long as no coordinate
# dominates, the squares $m_i = \mathbb{E}\, e_i^2$ follow
#
# $$ m_i \leftarrow m_i - 2\eta\, \frac{c_B \sqrt{\lambda_i}}{\sqrt{R + \sigma^2}}\, m_i + \eta^2, \qquad c_1 = \frac{2}{\pi} . $$
#
# Compare SGD: its drift is $\lambda_i m_i$, its noise $\lambda_i (R + \sigma^2)$. Here the drift goes with $\sqrt{\lambda_i}$, the noise is
# the same in every coordinate, and the size of the residual has moved from the noise into the *rate*. This is a limit of many modes
# (Xiao et al. 2024, [arXiv 2411.12135](https://arxiv.org/abs/2411.12135)): `sl.limit` computes it, `sl.sample` is the referee.

# %%
STEPS, DIMS = 400, (50, 800)
fig, axes = plt.subplots(1, 2, figsize=(0.95 * sl.plot.WIDTH, 2.3), sharey=True, layout="constrained")
miss, width = {}, {}
for axis, dim in zip(axes, DIMS, strict=True):
    for batch, colour in ((1, BLUE), (16, ORANGE)):
        method = sl.methods.sign_sgd(sl.schedules.linear(STEPS, 6e-3), batch=batch)
        known = sl.limit(power_law(dim), method)
        seen = sl.sample(power_law(dim), method, basis="eigen", replicas=32, seed=0)
        low, _, high = seen.dataset["total_quantile"].values.T
        axis.fill_between(seen.dataset["step"], low, high, color=colour, alpha=0.3, lw=0)
        axis.plot(known.total()["step"], known.total().values.ravel(), color=colour, label=f"batch {batch}")
        miss[dim, batch] = last(known) / last(seen) - 1
        width[dim, batch] = (high[-1] - low[-1]) / last(seen)
    axis.set(title=f"{dim} modes", xlabel="step", yscale="log")
axes[0].set(ylabel="risk")
axes[0].legend()
display(fig)
plt.close(fig)

assert max(abs(each) for each in miss.values()) < 0.15
assert width[800, 16] < width[50, 16]
Markdown(
    "**What to see.** Lines: the limit; bands: eight tenths of the sampled runs. The bands narrow with the number of modes, at batch 16 from "
    f"{width[50, 16]:.0%} to {width[800, 16]:.0%} of the risk: single runs *are* the limit when there are many. At the end the limit is off "
    f"by {max(abs(miss[50, b]) for b in (1, 16)):.1%} at most with {DIMS[0]} modes and {max(abs(miss[800, b]) for b in (1, 16)):.1%} with {DIMS[1]}."
)

# %% [markdown]
# ## A sign does not know when to stop
#
# Without label noise SGD at a constant rate converges: its noise dies with its error. A sign stays as long as it is. Where drift and
# noise balance, with $k = \eta \sum_i \sqrt{\lambda_i} / (2 c_B)$,
#
# $$ R = \tfrac12 \left(k^2 + \sqrt{k^4 + 4 k^2 \sigma^2}\right), $$
#
# which is $k\sigma$ where there is noise and $k^2$ where there is none. The excess risk is half of $R$.

# %%
LONG = 6_000
RATES = np.array([1.6e-3, 3.2e-3, 6.4e-3])
small = {noise: power_law(50, noise) for noise in (0.25, 0.0)}
floors, said = {}, {}
for noise, each in small.items():
    trace = sl.limit(each, [sl.methods.sign_sgd(sl.schedules.constant(2 * LONG, lr)) for lr in RATES], record=2)
    floors[noise] = trace.total().values[:, -1]
    k = RATES * np.sqrt(each.eigenvalues).sum() / (2 * 2 / np.pi)
    said[noise] = (k**2 + np.sqrt(k**4 + 4 * k**2 * noise)) / 4
still = sl.methods.sign_sgd(sl.schedules.constant(LONG, RATES[-2]))
falling = sl.methods.sign_sgd(sl.schedules.linear(LONG, RATES[-2]))
descents = {
    "SGD, constant": sl.exact(small[0.0], sl.methods.sgd(sl.schedules.constant(LONG, 0.2))),
    "sign, constant": sl.limit(small[0.0], still),
    "sign, linear decay": sl.limit(small[0.0], falling),
}
fig, (left, right) = plt.subplots(1, 2, figsize=(0.95 * sl.plot.WIDTH, 2.3), layout="constrained")
for (name, trace), colour in zip(descents.items(), (BLUE, ORANGE, GREEN), strict=True):
    total = trace.total()
    left.plot(total["step"], total.values.ravel(), color=colour, label=name)
left.set(xlabel="step", ylabel="risk without label noise", yscale="log")
left.legend()
for (noise, values), colour in zip(floors.items(), (BLUE, ORANGE), strict=True):
    right.loglog(RATES, values, "o", color=colour, label=f"noise variance {noise:g}")
    right.loglog(RATES, said[noise], color=colour)
right.set(xlabel="learning rate", ylabel="floor of sign SGD")
right.legend()
display(fig)
plt.close(fig)
off = {noise: np.abs(floors[noise] / said[noise] - 1).max() for noise in small}
slope = {noise: np.polyfit(np.log(RATES), np.log(floors[noise]), 1)[0] for noise in small}
assert slope[0.0] > 1.8
assert slope[0.25] < 1.3
assert max(off.values()) < 0.15
assert last(descents["sign, linear decay"]) < 0.5 * last(descents["sign, constant"])
Markdown(
    f"**What to see.** Left: no label noise, and still sign SGD stops at {last(descents['sign, constant']):.1e}; SGD would go on for ever. Right: its floor "
    f"(points) and the formula (lines, within {max(off.values()):.1%}). The floor falls as the rate to the {slope[0.25]:.2f} with noise, and "
    f"to the {slope[0.0]:.2f} without. So *a sign needs its decay even where the data have no noise*: nothing else makes its steps small."
)

# %% [markdown]
# ## Coordinates matter
#
# SGD does not know in which coordinates the weights are stored. A sign, and Adam's division, go weight by weight. Where weights are the
# eigen-coordinates, they precondition: $\lambda$ becomes $\sqrt\lambda$. After a rotation there is nothing left to precondition by. To be
# fair, each method has its best rate in each basis, found by sampling; linear decay, batch 16, Adam without its momentum (which would raise the stability limit).

# %%
RUN, GRID = 500, 2.0 ** np.arange(9)
task = sl.LinearRegression.power_law(100, capacity=2.0, source=1.3, noise_variance=0.1)
turned = task.rotated(1)
MAKES = {
    "SGD": lambda lr: sl.methods.sgd(lr * 6, batch=16),
    "sign": lambda lr: sl.methods.sign_sgd(lr, batch=16),
    "Adam": lambda lr: sl.methods.adam(lr, beta1=0.0, beta2=0.99, batch=16),
}
found = {}
for name, make in MAKES.items():
    for basis, where in (("own", task), ("turned", turned)):
        methods = [make(sl.schedules.linear(RUN, 8e-3 * factor)) for factor in GRID]
        options = {"basis": "eigen"} if basis == "own" and name != "SGD" else {}
        seen = sl.sample(where, methods, replicas=8, seed=0, record=2, **options)
        found[name, basis] = seen.total().values[:, -1]
fig, axes = plt.subplots(1, 3, figsize=(sl.plot.WIDTH, 2.2), sharey=True, layout="constrained")
for axis, name in zip(axes, MAKES, strict=True):
    for basis, colour, label in (("own", BLUE, "eigen-coordinates"), ("turned", ORANGE, "rotated")):
        axis.loglog(GRID, found[name, basis], "o-", color=colour, markersize=3, label=label)
    axis.set(title=name, xlabel="rate, relative to the smallest")
    axis.minorticks_off()
axes[0].set(ylabel="final risk", ylim=(None, 2))
axes[0].legend()
display(fig)
plt.close(fig)
best = {case: np.nanmin(values) for case, values in found.items()}
worse = {name: best[name, "turned"] / best[name, "own"] for name in MAKES}
assert all(0 < np.nanargmin(values) < GRID.size - 1 for values in found.values()), found
assert abs(worse["SGD"] - 1) < 1e-3
assert min(worse["sign"], worse["Adam"]) > 1.5
Markdown(
    "**What to see.** Rotated, the best risk is "
    + ", ".join(f"{factor:.2f} times as large for {name}" for name, factor in worse.items())
    + f". In eigen-coordinates Adam leaves {best['Adam', 'own'] / best['SGD', 'own']:.2f} of SGD's risk, rotated "
    f"{best['Adam', 'turned'] / best['SGD', 'turned']:.2f} of it. (SGD is best as near its stability limit as the grid allows.) What is said of Adam on a quadratic is a statement on its coordinates."
)

# %% [markdown]
# ## How the best rate goes with the batch
#
# Of a given number of samples, all batches of SGD leave the same risk at the same $\eta / B$, below the stability limit: bias sees the sum
# of the rates, variance the rate over the batch. A sign, or a gradient over the root of its mean square, has a *size* that the batch does
# not change: while noise is most of a gradient its drift grows as $\sqrt B$, and so should its rate (Granziol et al. 2020,
# [arXiv 2006.09092](https://arxiv.org/abs/2006.09092)).

# %%
SAMPLES, BATCHES, FACTORS = 1_024, np.array([1, 4, 16]), 1.5 ** np.arange(-4, 5)
noisy = power_law(100, 1.0)
START = {"SGD": (0.06, 1.0), "sign": (4e-3, 0.5), "Adam": (4e-3, 0.5)}


def bests(name: str) -> np.ndarray:
    """The best peak at each batch, by a parabola through the least of a grid."""
    out = []
    for batch in BATCHES:
        steps, (level, power) = SAMPLES // int(batch), START[name]
        rates = level * float(batch) ** power * FACTORS
        schedules = [sl.schedules.linear(steps, lr) for lr in rates]
        if name == "SGD":
            runs = [sl.methods.sgd(lr, batch=int(batch)) for lr in schedules]
        elif name == "sign":
            runs = [sl.methods.sign_sgd(lr, batch=int(batch)) for lr in schedules]
        else:
            runs = [sl.methods.adam(lr, beta1=0.0, beta2=0.99, batch=int(batch)) for lr in schedules]
        risk = (sl.exact if name == "SGD" else sl.limit)(noisy, runs, record=2).total().values[:, -1]
        i = int(np.clip(np.nanargmin(risk), 1, risk.size - 2))
        a, b, _ = np.polyfit(np.log(rates[i - 1 : i + 2]), np.log(risk[i - 1 : i + 2]), 2)
        out.append(np.exp(-b / (2 * a)))
    return np.array(out)


best_rates = {name: bests(name) for name in START}
fig, axis = plt.subplots(figsize=(0.55 * sl.plot.WIDTH, 2.4))
for (name, rates), colour in zip(best_rates.items(), (BLUE, ORANGE, GREEN), strict=True):
    axis.loglog(BATCHES, rates / rates[0], "o-", color=colour, label=name)
axis.loglog(BATCHES, BATCHES, "k:", lw=1)
axis.loglog(BATCHES, np.sqrt(BATCHES), "k:", lw=1)
axis.set(xlabel="batch, at as many samples", ylabel="best peak, relative to batch 1")
axis.legend()
display(fig)
plt.close(fig)
power = {name: np.log(rates[1] / rates[0]) / np.log(BATCHES[1]) for name, rates in best_rates.items()}
assert abs(power["SGD"] - 1) < 0.1
assert all(abs(power[name] - 0.5) < 0.15 for name in ("sign", "Adam"))
Markdown(
    f"**What to see.** From batch {BATCHES[0]} to {BATCHES[1]} the best peak grows as the batch to the power "
    + ", ".join(f"{value:.2f} for {name}" for name, value in power.items())
    + " (dotted: one, and a half); then SGD comes near its stability limit, and bends. The rule that scales rates with the batch belongs to SGD, that with its root to what has a size of its own."
)


# %% tags=["slider"]
def betas(beta2: float, batch: int) -> None:
    """Adam's limit, with what it may be off by, for a memory and a batch."""
    trace = sl.limit(noisy, sl.methods.adam(sl.schedules.linear(400, 0.01), beta2=beta2, batch=batch))
    total = trace.total().values.ravel()
    fig, axis = plt.subplots(figsize=(0.6 * sl.plot.WIDTH, 2.3))
    axis.semilogy(trace.total()["step"], total, color=GREEN)
    axis.set(xlabel="step", ylabel="risk", title=f"ends at {total[-1]:.3f}")
    display(fig)
    plt.close(fig)


_ = widgets.interact(
    betas,
    beta2=widgets.FloatSlider(0.99, min=0.9, max=0.999, step=0.003, readout_format=".3f"),
    batch=widgets.IntSlider(4, min=1, max=64),
)

# %% [markdown]
# ## Exercises
#
# **1.** Multiply the loss by a constant. What does sign SGD do, and what SGD? Hint: features and noise become larger by its root.
#
# <details><summary>Solution</summary>
#
# Sign SGD takes the very same path, its risk counted in other units. SGD is another run, at a rate that many times as large.
#
# ```python
# scale = 4.0
# plain = power_law(50)
# louder = sl.LinearRegression(scale * plain.eigenvalues, plain.initial_error, noise_variance=scale * 0.25)
# signs = sl.methods.sign_sgd(sl.schedules.linear(300, 6e-3))
# assert np.isclose(last(sl.limit(louder, signs)), scale * last(sl.limit(plain, signs)))
# sgd = sl.methods.sgd(sl.schedules.linear(300, 0.05))
# assert not np.isclose(last(sl.exact(louder, sgd)), scale * last(sl.exact(plain, sgd)), rtol=0.05)
# ```
#
# </details>
#
# **2.** How far is the limit of Adam to be trusted? Compare `risk_error` for short and long memories. Hint: what must average well?
#
# <details><summary>Solution</summary>
#
# The mean of squares: a memory of many steps is its own expectation, one of ten steps is not.
#
# ```python
# doubts = []
# for beta2 in (0.95, 0.999):
#     trace = sl.limit(power_law(), sl.methods.adam(sl.schedules.linear(400, 4e-3), beta2=beta2))
#     doubts.append(float(trace.dataset["risk_error"].values.ravel().max() / last(trace)))
# print(doubts)
# assert doubts[1] < doubts[0]
# ```
#
# </details>
#
# **3.** Half the rate: what becomes of the floor, with and without label noise? Hint: the formula.
#
# <details><summary>Solution</summary>
#
# Half of it with noise, a quarter without.
#
# ```python
# halved = {noise: floors[noise][:-1] / floors[noise][1:] for noise in floors}
# print(halved)
# assert np.allclose(halved[0.25], 1 / 2, rtol=0.1)
# assert np.allclose(halved[0.0], 1 / 4, rtol=0.1)
# ```
#
# </details>

# %% [markdown]
# ## What this does not tell you
#
# - In which coordinates your network's Hessian is nearly diagonal. Where it is not, none of the gain of the third section is yours; that
#   Adam does well on transformers says something on their coordinates, or on what is not quadratic.
# - Heavy tails and loss spikes, against which a sign is a safeguard. The noise here is Gaussian.
# - The first steps, while the mean of squares has seen only few gradients, and short memories: the limit is least sure there, and says
#   so in `risk_error`.
# - What momentum in the sign (signum, lion) buys: `sl.sample` and `sl.descend` run them, no limit describes them here.
