# %% [markdown]
# # 9. Which schedule is optimal?
#
# **Goal.** Stop comparing families: compute the best schedule there is, with a certificate. See what the usual ones lose
# against it, read its shape off the spectrum, and find what changes it.
#
# **Prerequisites.** [Notebook 3](03_schedules.ipynb) (schedules, each at its best peak) and
# [notebook 4](04_averaging.ipynb) (averages).

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
STEPS = 2_000
problem = sl.LinearRegression.power_law(10**6, capacity=2.0, source=1.5, noise_variance=0.01).compress(1e-9)


def final(source: sl.LinearRegression, schedules: list[sl.schedules.Schedule]) -> np.ndarray:
    """Exact risk of the last iterate under each schedule."""
    return sl.exact(source, [sl.methods.sgd(lr) for lr in schedules], record=2).total().values[:, -1]


# %% [markdown]
# ## The equation
#
# A schedule of $T$ steps is $T$ numbers. To look for the best of all of them sounds hopeless, and is easy, for a reason that
# the recursion of [notebook 2](02_many_modes.ipynb) gives away: the moments after a step are linear in the moments before
# it and quadratic in its rate. So with all other rates held, the final risk $R$ is a *parabola* in each single one,
#
# $$ R(\eta_t) = H_t\, \eta_t^2 - 2 A_t\, \eta_t + \text{const}, \qquad \eta_t^\star = A_t / H_t , $$
#
# with $A_t$ and $H_t$ from one run forwards and one backwards (the adjoint). A sweep that sets each rate to the minimum of
# its parabola, on the moments that the new rates before it have left, never raises the risk: there is no step size to
# choose (Krotov's method). Where nothing moves any more, no single rate can be improved by a change of *any* size.

# %%
best = sl.optimize(problem, STEPS)
rates = best.schedule.values()

fig, (left, right) = plt.subplots(1, 2, figsize=(0.9 * sl.plot.WIDTH, 2.3))
left.semilogy(
    1 + np.arange(len(best.history)), best.history[:, 0] / best.risk - 1 + 1e-16, "o-", color=BLUE, markersize=3
)
left.set(xlabel="sweep", ylabel="risk / least risk - 1", ylim=(1e-15, None))
factors, off, curvature = np.linspace(0, 2, 9), [], []
for t, size, colour in ((STEPS // 10, 9, BLUE), (STEPS // 2, 6, GREEN), (STEPS - STEPS // 20, 3, ORANGE)):
    moved = [sl.schedules.from_array(np.where(np.arange(STEPS) == t, factor * rates, rates)) for factor in factors]
    excess = final(problem, moved) / best.risk - 1
    parabola = np.polyfit(factors, excess, 2)
    off.append(np.abs(np.polyval(parabola, factors) - excess).max() / excess.max())
    curvature.append(parabola[0])
    right.plot(factors, 1e6 * excess, "o-", color=colour, markersize=size, lw=size / 3, label=f"step {t}")
right.set(xlabel="one rate, as a multiple of the optimal one", ylabel="risk above the least [millionths]")
right.legend()
display(fig)
plt.close(fig)

assert best.converged
assert max(off) < 1e-6
assert np.ptp(curvature) < 0.02 * curvature[0]
assert np.isclose(final(problem, [best.schedule])[0], best.risk, rtol=1e-10)
Markdown(
    f"**What to see.** Left: {len(best.history)} sweeps over {STEPS} rates, and the risk moves no more; changes of single steps "
    f"could still bring {best.certificate.gain:.0e} of it. Right: one rate moved from its place, all others held, through the exact "
    f"engine: three parabolas (to {max(off):.0e}), each least at one. A single rate matters by millionths; it is all of them "
    "together that matter. And the three are one: at the optimum the noise of every step, early or late, counts the same, to "
    f"{np.ptp(curvature) / curvature[0]:.1%} here. Keep that in mind for the law below."
)

# %% [markdown]
# Is it *the* optimum? At batch size one every start has led to the same schedule; a proof is known only for Gaussian data
# without label noise and coupling of the modes. At large batches there are many local optima.
#
# ## What the usual ones lose
#
# `sl.tune` finds the best member of a family by the same gradients: its peak, and whatever else it has.

# %%
FAMILIES = {
    "linear": ("linear", ("peak",)),
    "cosine": ("cosine", ("peak",)),
    "wsd": ("wsd", ("peak", "cooldown")),
}
tuned = {name: sl.tune(problem, family, STEPS, over=over) for name, (family, over) in FAMILIES.items()}
law = sl.schedules.spectral(problem, STEPS)
schedules = {"optimum": best.schedule, "law": law} | {name: found.schedule for name, found in tuned.items()}
regret = dict(zip(schedules, final(problem, list(schedules.values())) / best.risk - 1, strict=True))
COLOURS = dict(zip(schedules, ("0.75", "black", BLUE, ORANGE, GREEN), strict=True))

fig, (left, right) = plt.subplots(1, 2, figsize=(sl.plot.WIDTH, 2.4), width_ratios=[1.5, 1])
for name, schedule in schedules.items():
    style = {"optimum": {"lw": 4}, "law": {"ls": "--", "lw": 1}}.get(name, {})
    left.plot(np.arange(STEPS) / STEPS, schedule.values(), color=COLOURS[name], label=name, **style)
left.set(xlabel="share of the run", ylabel="learning rate", ylim=(0, None))
left.legend(loc="lower left")
names = list(schedules)[1:]
right.barh(names, [100 * max(regret[name], 1e-7) for name in names], color=[COLOURS[name] for name in names])
right.set(xscale="log", xlabel="risk above the least [%]")
right.invert_yaxis()
display(fig)
plt.close(fig)

wsd = tuned["wsd"]
assert regret["law"] < 1e-4 < regret["wsd"] < regret["linear"] < regret["cosine"]
assert wsd.costs["peak"][1] > 0.1
Markdown(
    "**What to see.** "
    + ", ".join(f"{name} loses {regret[name]:.1%}" for name in FAMILIES)
    + f", each at its best. Half of wsd's best peak costs {wsd.costs['peak'][0]:.0%} more, half of its cooldown "
    f"{wsd.costs['cooldown'][0]:.1%}: a badly tuned peak is worse than a badly chosen family. The dashed line, the law of the next "
    f"section, loses {regret['law']:.4%}."
)

# %% [markdown]
# ## Why it has that shape
#
# Measure time by the sum of the rates, $u = \sum \eta$, with $S$ the whole of it. Two curves of the spectrum say everything:
#
# $$ F(u) = \sum_i \lambda_i \delta_i^2\, e^{-2 \lambda_i u} \ \text{(error left)}, \qquad
# K(x) = \sum_i \lambda_i^2\, e^{-2 \lambda_i x} \ \text{(noise still remembered)} . $$
#
# A step at $u$ makes noise in proportion to $\eta\, (F(u) + \sigma^2)$, of which $K(S - u)$ is left at the end. To spend a given
# number of steps so that the sum of these is least, make every step's noise count the same:
#
# $$ \eta \propto \frac{1}{\sqrt{K(S - u)\, (F(u) + \sigma^2)}} $$
#
# (Bordelon and Mori 2026, [arXiv 2602.04774](https://arxiv.org/abs/2602.04774); Li et al. 2026,
# [arXiv 2602.06797](https://arxiv.org/abs/2602.06797); Wang, Liu and Chen 2026,
# [arXiv 2609.40148](https://arxiv.org/abs/2609.40148)). Noise that modes make for each other limits it near the critical rate;
# `sl.schedules.spectral` has that too.

# %%
modes = problem.modes()
before = np.concatenate([[0.0], np.cumsum(rates)[:-1]])
whole = rates.sum()
forget = np.exp(-2 * np.outer(whole - before, modes.eigenvalues)) @ modes.drive
error = np.exp(-2 * np.outer(before, modes.eigenvalues)) @ modes.signal + modes.noise
critical = sl.stability(problem, sl.methods.sgd(sl.schedules.constant(STEPS, 0.1))).critical_lr
first_order = 1 / np.sqrt(forget * error)
kappa = np.median(first_order)

fig, (left, right) = plt.subplots(1, 2, figsize=(sl.plot.WIDTH, 2.4))
share = np.arange(STEPS) / STEPS
left.semilogy(share, (forget / forget[-1]) ** -0.5, color=ORANGE, label=r"$K(S - u)^{-1/2}$: cooldown")
left.semilogy(share, (error / error[-1]) ** -0.5, color=BLUE, label=r"$(F(u) + \sigma^2)^{-1/2}$: warmup")
left.set(xlabel="share of the run", ylabel="factor (one at the end)")
left.legend()
right.plot(share, rates, color="0.75", lw=4, label="optimum")
right.plot(share, law.values(), "k--", lw=1, label="law")
right.axhline(critical, color="0.4", ls=":", lw=1)
right.text(0.02, 0.97 * critical, "critical rate", va="top", fontsize=7)
right.set(xlabel="share of the run", ylabel="learning rate", ylim=(0, 1.1 * critical))
right.legend(loc="lower left")
display(fig)
plt.close(fig)

inner = slice(STEPS // 10, STEPS - STEPS // 10)
apart = np.abs(law.values()[inner] / rates[inner] - 1).max()
plateau = rates[STEPS // 4] / critical
assert apart < 0.01
assert 0.8 < plateau < 1
Markdown(
    "**What to see.** Left: the two factors of the first-order law on the optimum's own clock. The cooldown is as steep as "
    "noise is forgotten; a warmup is asked for where the error itself is the noise, and here the critical rate hides it. "
    f"Right: the plateau lies at {plateau:.0%} of the critical rate. The law follows the {STEPS} free rates within "
    f"{apart:.1%} between the first and the last tenth of the run, with one number found, $S$."
)

# %% [markdown]
# ## Try it: what changes it
#
# Where most of the error lies in the tail (source below capacity, *hard*) or noise is small, the best schedule is a
# plateau with a cooldown. Where the head dominates (*easy*) and noise is large, it falls all the way.


# %%
def power_law(capacity: float, source: float, noise: float) -> sl.LinearRegression:
    return sl.LinearRegression.power_law(10**6, capacity, source, noise_variance=noise).compress(1e-9)


def below_half(lr: np.ndarray) -> float:
    """The share of the run that is spent, at the end, below half the peak."""
    return 1 - np.flatnonzero(lr >= lr.max() / 2)[-1] / lr.size


def picture(capacity: float = 1.5, source: float = 2.5, noise: float = 1.0) -> None:
    source_problem = power_law(capacity, source, noise)
    fig, axes = plt.subplots(figsize=(0.6 * sl.plot.WIDTH, 2.3))
    optimum = sl.optimize(source_problem, STEPS)
    linear = sl.tune(source_problem, "linear", STEPS)
    axes.plot(share, optimum.schedule.values(), color="0.75", lw=4, label="optimum")
    axes.plot(share, sl.schedules.spectral(source_problem, STEPS).values(), "k--", lw=1, label="law")
    axes.plot(share, linear.schedule.values(), color=BLUE, label=f"linear: {linear.risk / optimum.risk - 1:+.1%}")
    axes.set(xlabel="share of the run", ylabel="learning rate", ylim=(0, None))
    axes.legend()
    display(fig)
    plt.close(fig)


picture()

# %% tags=["slider"]
_ = widgets.interact(
    picture,
    capacity=widgets.FloatSlider(1.5, min=1.1, max=3.0, step=0.1),
    source=widgets.FloatSlider(2.5, min=1.1, max=3.0, step=0.1),
    noise=widgets.FloatLogSlider(1.0, base=10, min=-3, max=1, step=0.5, readout_format=".2g"),
)

# %%
cases = {(a, b, n): power_law(a, b, n) for a, b in ((1.5, 2.5), (2.0, 1.5)) for n in (1.0, 0.01)}
optima = {case: sl.optimize(each, STEPS) for case, each in cases.items()}
halves = {case: below_half(found.schedule.values()) for case, found in optima.items()}
start = {case: found.schedule(0) / found.schedule.peak() for case, found in optima.items()}
assert halves[1.5, 2.5, 1.0] > 0.5 > halves[2.0, 1.5, 1.0] > halves[2.0, 1.5, 0.01]
assert start[1.5, 2.5, 0.01] < 0.5
rows = "\n".join(
    f"| {a:g} | {b:g} | {n:g} | {halves[a, b, n]:.0%} | {start[a, b, n]:.2f} | {found.schedule.peak():.3f} |"
    for (a, b, n), found in optima.items()
)
Markdown(
    "**What to see.** More noise, longer cooldown; easier, longer still. Low noise on an easy problem wants a warmup, for the "
    "error itself is the noise there at first.\n\n| capacity | source | noise | below half the peak | first rate / peak | peak |\n"
    "|---|---|---|---|---|---|\n" + rows
)

# %% [markdown]
# ## A wrong spectrum, and an average
#
# Nobody knows the spectrum of a network to the third digit. How much does it matter? Take the optimal schedules of the other
# three problems of the table, as they are and with the peak tuned. And is the last iterate the thing to optimise at all?
# [Notebook 4](04_averaging.ipynb) read out an average.

# %%
wrong = {case: found.schedule.values() for case, found in optima.items() if case != (2.0, 1.5, 0.01)}
as_is = final(problem, [sl.schedules.from_array(lr) for lr in wrong.values()]) / best.risk - 1
scaled = [
    sl.tune(problem, lambda steps, peak, lr=lr: sl.schedules.from_array(peak * lr[:steps] / lr.max()), STEPS).risk
    for lr in wrong.values()
]
scaled = np.array(scaled) / best.risk - 1


def averaged(lr: sl.schedules.Schedule, decay: float) -> sl.methods.Method:
    return sl.methods.ema(sl.methods.sgd(lr), decay)


change = {}
for case, source_problem in cases.items():
    constant = sl.tune(source_problem, "constant", STEPS)
    ema = sl.tune(source_problem, "constant", STEPS, over=("peak", "decay"), method=averaged)
    change[case] = np.array([constant.risk, ema.risk]) / optima[case].risk - 1

fig, (left, right) = plt.subplots(1, 2, figsize=(sl.plot.WIDTH, 2.2))
at = np.arange(len(wrong))
left.bar(at - 0.2, 100 * as_is, 0.4, color=ORANGE, label="as it is")
left.bar(at + 0.2, 100 * scaled, 0.4, color=BLUE, label="with its best peak")
left.set_xticks(at, [", ".join(f"{x:g}" for x in case) for case in wrong])
left.set(yscale="log", xlabel="optimal for capacity, source, noise", ylabel="risk above the least [%]")
left.legend()
at = np.arange(len(change))
for offset, j, colour, label in ((-0.2, 0, PINK, "constant"), (0.2, 1, GREEN, "constant + EMA")):
    right.bar(at + offset, [100 * each[j] for each in change.values()], 0.4, color=colour, label=label)
right.axhline(0, color="0.3", lw=0.8)
right.set_xticks(at, [", ".join(f"{x:g}" for x in case) for case in change])
right.set(xlabel="capacity, source, noise", ylabel="against the best decay [%]")
right.legend()
display(fig)
plt.close(fig)

averages = [float(each[1]) for each in change.values()]
assert scaled.max() < 0.5 * as_is.max()
assert min(averages) < 0 < max(averages)
Markdown(
    f"**What to see.** Left: schedules of the wrong spectrum lose {as_is.min():.0%} to {as_is.max():.0%} as they are, and "
    f"{scaled.min():.1%} to {scaled.max():.0%} with the peak alone tuned. The level does not transfer; of the shape, some does. "
    "Right: a constant rate read through an EMA, two numbers tuned, changes the risk of the best of *all* decays by "
    f"{', '.join(f'{each:+.1%}' for each in averages)}. One rate must serve all modes; an average is a second filter."
)

# %% [markdown]
# ## Exercises
#
# **1.** With a single eigenvalue the best schedule is known in closed form: be greedy, at each step make the risk of the next one
# least. Check it. Hint: `theory.find("greedy_rates")`.
#
# <details><summary>Solution</summary>
#
# With one mode the risk after a step grows with the risk before it, whatever the later rates: there is nothing to trade. With
# many modes there is, which is why the greedy choice is wrong there: it looks after the head only.
#
# ```python
# from simlab import theory
#
# one = sl.LinearRegression(np.array([1.0]), np.array([1.0]), noise_variance=0.1)
# greedy = theory.find("greedy_rates")(eigenvalue=1.0, dim=1, initial_risk=0.5, noise_variance=0.1, steps=100)
# found = sl.optimize(one, 100, cap=None)
# assert np.allclose(found.schedule.values(), greedy, rtol=1e-6)
# ```
#
# </details>
#
# **2.** What is a warmup worth? Hint: `monotone=True` gives the best schedule that never rises.
#
# <details><summary>Solution</summary>
#
# Nothing where the problem is hard, some percent where it is easy and noise is low: there the error itself is the noise at
# first. In a quadratic a warmup is never a matter of stability.
#
# ```python
# worth = {
#     case: sl.optimize(cases[case], STEPS, monotone=True).risk / optima[case].risk - 1
#     for case in ((2.0, 1.5, 0.01), (1.5, 2.5, 0.01))
# }
# print({case: f"{share:.3%}" for case, share in worth.items()})
# assert worth[2.0, 1.5, 0.01] < 0.005 < worth[1.5, 2.5, 0.01]
# ```
#
# </details>
#
# **3.** A run has gone through its first half at a constant rate. What is the best rest of it, and how much was lost by not planning
# it? Hint: `trace.state_at` and `start=`.
#
# <details><summary>Solution</summary>
#
# Little: on a hard problem the first half of the optimum is nearly constant anyway. This is what makes a stable phase
# useful: its end can be decided later.
#
# ```python
# half = STEPS // 2
# method = sl.methods.sgd(sl.schedules.constant(half, wsd.parameters["peak"]))
# state = sl.exact(problem, method, keep=[half]).state_at(half)
# rest = sl.optimize(problem, STEPS - half, start=state)
# print(f"lost by a constant first half: {rest.risk / best.risk - 1:.2%}")
# assert 0 < rest.risk / best.risk - 1 < 0.02
# ```
#
# </details>

# %% [markdown]
# ## What this does not tell you
#
# - What is optimal for a network. All of this is SGD on a quadratic; `sl.twin` fits such a model to a training run, and says how
#   far it can be trusted.
# - That the optimum is global. The certificate is about single steps; many starts agree at small batches, and do not at
#   large ones.
# - How to choose when you do not know when to stop. The best schedule for several horizons pays for each of them
#   (`horizons=`); an average pays less.
# - Where the law fails: when the error decays as fast as noise is forgotten (one eigenvalue, or no noise on an easy problem).
#   It warns there; `sl.optimize` does not need it.
