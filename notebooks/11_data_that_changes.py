# %% [markdown]
# # 11. Data that changes
#
# **Goal.** A model is trained on one kind of data and goes on with another. What is forgotten, what re-warming the learning
# rate does, what replay buys, and why it matters *when* a run sees the data that count.
#
# **Prerequisites.** [Notebook 2](02_many_modes.ipynb) (bias and variance, mode by mode) and
# [notebook 3](03_schedules.ipynb) (schedules).

# %%
# %matplotlib inline
# %config InlineBackend.figure_format = "retina"
from typing import Any

import ipywidgets as widgets
import matplotlib.pyplot as plt
import numpy as np
from IPython.display import Markdown, display

import simlab as sl

sl.plot.use_style()
BLUE, ORANGE, GREEN, PINK = sl.plot.PALETTE[:4]
PHASE, PEAK, BATCH, FLOOR, SHIFT = 2_000, 0.25, 8, 0.1, 0.5

# %% [markdown]
# ## The equation
#
# Domain $k$ has its own Hessian $H_k$ and its own optimum $w_k$. Every sample of a batch comes from domain $k$ with probability
# $p_k(t)$, which is a schedule like the learning rate. The mean gradient is that of one quadratic, between the domains:
#
# $$ \mathbb{E}\, g = \bar H (w - \bar w), \qquad \bar H = \sum_k p_k H_k, \qquad \bar w = \bar H^{-1} \sum_k p_k H_k w_k . $$
#
# So a run goes to $\bar w$, mode by mode, and not to the best point of either; that is its bias on each domain. Its variance is
# the label noise, and where domains disagree the draw of the domain makes noise of its own. With Gaussian features and one
# eigenbasis the moments of every mode are still a linear recursion, so `sl.exact` gives the expected risk on *every* domain.
#
# Ours: B has other eigenvalues than A and another optimum; phase 1 is A alone, a cosine down to a tenth of its peak, as a
# pre-training run would end. The claims are those of Gupta et al. 2023 ([arXiv 2308.04014](https://arxiv.org/abs/2308.04014)) and
# Ibrahim et al. 2024 ([arXiv 2403.08763](https://arxiv.org/abs/2403.08763)) on language models.

# %%
general = sl.LinearRegression.power_law(dim=300, capacity=1.3, source=1.6, noise_variance=0.3)


def domains(shift: float) -> dict[str, sl.LinearRegression]:
    return {"A": general, "B": general.shifted(covariance=[1.5, 0.6], optimum=shift)}


def risks(schedule: sl.schedules.Schedule, share: list[Any], shift: float = SHIFT, **options: Any) -> sl.RiskTrace:
    """The exact risk on both domains."""
    return sl.exact(sl.Mixture(domains(shift), share), sl.methods.sgd(schedule, batch=BATCH), **options)


def final(trace: sl.RiskTrace) -> np.ndarray:
    """(risk on A, risk on B) at the end."""
    return trace.total().values[-1]


cosine = sl.schedules.cosine(PHASE, PEAK, floor=FLOOR)
phase1 = risks(cosine, [1.0, 0.0])
WAYS = {
    "re-warm, decay again": sl.schedules.cosine(PHASE, PEAK, floor=FLOOR, warmup=20),
    "stay at the last rate": sl.schedules.constant(PHASE, FLOOR * PEAK),
}
union = final(risks(sl.schedules.cosine(2 * PHASE, PEAK, floor=FLOOR), [0.5, 0.5]))
phase2 = {way: risks(schedule, [0.0, 1.0], start=phase1.state) for way, schedule in WAYS.items()}

fig, axes = plt.subplots(1, 2, figsize=(0.95 * sl.plot.WIDTH, 2.4), sharey=True, layout="constrained")
for axis, name in zip(axes, "AB", strict=True):
    before = phase1.total().sel(domain=name)
    axis.plot(before["step"], before, color="0.5", label="phase 1: A alone")
    for (way, trace), colour in zip(phase2.items(), (ORANGE, BLUE), strict=True):
        risk = trace.total().sel(domain=name)
        axis.plot(risk["step"], risk, color=colour, label=way)
    axis.set(title=f"risk on {name}", xlabel="step", yscale="log")
axes[0].legend()
display(fig)
plt.close(fig)

ends = {way: final(trace) for way, trace in phase2.items()}
warm, stay = ends.values()
assert warm[1] < 0.5 * stay[1]
assert warm[0] > 5 * final(phase1)[0]
Markdown(
    f"**What to see.** On B the re-warmed run ends at {warm[1]:.4f}, that which stays at the last rate at {stay[1]:.4f}: "
    f"{stay[1] / warm[1]:.1f} times as much, for a low rate leaves the slow modes where A had put them. Both forget A, from "
    f"{final(phase1)[0]:.4f} to {warm[0]:.3f} and {stay[0]:.3f}: that is the distance of the optima, and no schedule removes it."
)

# %% [markdown]
# ## The hump, and the warmup
#
# What is seen first in practice is that a re-warmed loss *rises*, on both kinds of data, before it wins. Here it does so only
# where the data have changed little: then there is nothing to gain at first but noise. And the length of the warmup?

# %%
SHIFTS = (0.0, 0.05, 0.2, 0.5)
fig, axes = plt.subplots(1, len(SHIFTS), figsize=(sl.plot.WIDTH, 2.2), layout="constrained")
peaked = {}
for axis, shift in zip(axes, SHIFTS, strict=True):
    begun = risks(cosine, [1.0, 0.0], shift, record=2)
    for (way, schedule), style in zip(WAYS.items(), ("-", ":"), strict=True):
        total = risks(schedule, [0.0, 1.0], shift, start=begun.state).total()
        for name, colour in zip("AB", (BLUE, ORANGE), strict=True):
            values = total.sel(domain=name).values
            axis.plot(total["step"] - PHASE, values, style, color=colour, label=f"{name}, {way.split()[0].strip(',')}")
            peaked[shift, way, name] = values.max() / values[0], values[-1] / values[0]
    axis.set(title=f"moved by {shift:g}", yscale="log", xlabel="step of phase 2")
axes[0].set(ylabel="risk")
axes[0].legend(fontsize=5)
display(fig)
plt.close(fig)

lengths = (1, 20, 200)
other = [
    final(risks(sl.schedules.cosine(PHASE, PEAK, floor=FLOOR, warmup=n), [0.0, 1.0], start=phase1.state))
    for n in lengths
]
spread = np.ptp(other, axis=0) / other[0]
RE, STAY = WAYS
assert all(
    peaked[shift, RE, name][0] > 1.1 and peaked[shift, RE, name][1] < 1 for shift in (0.0, 0.05) for name in "AB"
)
assert peaked[0.5, RE, "B"][0] == 1.0
assert spread.max() < 0.02
Markdown(
    f"**What to see.** Optimum moved by {SHIFTS[1]:g} of its size: re-warming first multiplies the risk on A by "
    f"{peaked[0.05, RE, 'A'][0]:.2f} and on B by {peaked[0.05, RE, 'B'][0]:.2f}, and ends at {peaked[0.05, RE, 'A'][1]:.2f} and "
    f"{peaked[0.05, RE, 'B'][1]:.2f} of where it began; staying low (dotted) ends at {peaked[0.05, STAY, 'A'][1]:.2f} and "
    f"{peaked[0.05, STAY, 'B'][1]:.2f}. With a large shift B falls at once, and A is lost. Warmups of {', '.join(map(str, lengths))} steps end "
    f"within {spread.max():.1%} of each other: its length does not matter, as was claimed."
)

# %% [markdown]
# ## Replay
#
# Mix some of A into phase 2. How much, depends on what is wanted of the model; here the mean of both risks.

# %%
REPLAY = np.array([0.0, 0.02, 0.05, 0.1, 0.25, 0.4, 0.5, 0.65])
replayed = {
    way: np.array([final(risks(schedule, [r, 1 - r], start=phase1.state)) for r in REPLAY])
    for way, schedule in WAYS.items()
}
fig, (left, right) = plt.subplots(1, 2, figsize=(0.95 * sl.plot.WIDTH, 2.4), layout="constrained")
for (way, values), colour in zip(replayed.items(), (ORANGE, BLUE), strict=True):
    left.plot(values[:, 0], values[:, 1], "o-", color=colour, markersize=3, label=way)
    right.plot(REPLAY, values.mean(axis=1), "o-", color=colour, markersize=3)
left.plot(*union, "k*", label="both from the start")
right.axhline(union.mean(), color="k", ls="--", lw=1)
left.set(xlabel="risk on A", ylabel="risk on B", xscale="log", yscale="log")
left.legend()
right.set(xlabel="share of A in phase 2", ylabel="mean risk")
display(fig)
plt.close(fig)

means = {way: values.mean(axis=1) for way, values in replayed.items()}
half = means[RE][REPLAY == 0.5].item()
assert union.mean() < half < 1.1 * union.mean()
assert np.all(means[RE] < means[STAY])
Markdown(
    "**What to see.** Each share of replay is a point on a front; re-warming moves the whole front. The first "
    f"{REPLAY[2]:.0%} lowers the mean risk by {1 - means[RE][2] / means[RE][0]:.0%}, half by {1 - half / means[RE][0]:.0%}, and is then "
    f"{half / union.mean() - 1:.1%} above a run of twice the length on both from the start. That is what these papers find, too."
)


# %% tags=["slider"]
def replay(share: float, shift: float) -> None:
    """Phase 2 with a share of A, the optimum of B moved by a shift."""
    begun = risks(cosine, [1.0, 0.0], shift, record=2)
    total = risks(WAYS[RE], [share, 1 - share], shift, start=begun.state).total()
    fig, axis = plt.subplots(figsize=(0.6 * sl.plot.WIDTH, 2.3))
    for name, colour in zip("AB", (BLUE, ORANGE), strict=True):
        axis.plot(total["step"], total.sel(domain=name), color=colour, label=name)
    axis.set(xlabel="step", ylabel="risk", yscale="log")
    axis.legend()
    display(fig)
    plt.close(fig)


_ = widgets.interact(
    replay,
    share=widgets.FloatSlider(0.25, min=0, max=1, step=0.05),
    shift=widgets.FloatSlider(SHIFT, min=0, max=1, step=0.05),
)

# %% [markdown]
# ## A schedule without an end
#
# Re-warming undoes a decay that was paid for. A schedule that holds a plateau, and anneals only a copy when a model is wanted,
# never has to (Singh et al. 2025, [arXiv 2503.02844](https://arxiv.org/abs/2503.02844)). Four phases, A B A B, with a model wanted after
# each: repeated cosines against a plateau whose branches are annealed over the last fifth of the phase.

# %%
TURNS = ("A", "B", "A", "B")
PLATEAU, ANNEAL = 0.55 * PEAK, PHASE // 5


def turn(schedule: sl.schedules.Schedule, name: str, start: Any, **options: Any) -> sl.RiskTrace:
    """A phase that is nine tenths the domain of its name."""
    mostly = 0.9 if name == "A" else 0.1
    return risks(schedule, [mostly, 1 - mostly], start=start, **options)


answers: dict[str, list[np.ndarray]] = {"repeated cosine": [], "plateau and branches": []}
state, trunk = None, None
for name in TURNS:
    trace = turn(WAYS[RE], name, state)
    state = trace.state
    answers["repeated cosine"].append(final(trace))
    go_on = turn(sl.schedules.constant(PHASE - ANNEAL, PLATEAU), name, trunk).state
    answers["plateau and branches"].append(final(turn(sl.schedules.linear(ANNEAL, PLATEAU), name, go_on)))
    trunk = turn(sl.schedules.constant(ANNEAL, PLATEAU), name, go_on).state

fig, axes = plt.subplots(1, 2, figsize=(0.9 * sl.plot.WIDTH, 2.2), sharey=True, layout="constrained")
for axis, j in zip(axes, range(2), strict=True):
    for offset, (way, values), colour in zip((-0.2, 0.2), answers.items(), (ORANGE, GREEN), strict=True):
        axis.bar(np.arange(len(TURNS)) + offset, [each[j] for each in values], 0.4, color=colour, label=way)
    axis.set(title=f"risk on {'AB'[j]}", xlabel="after a phase of mostly", yscale="log")
    axis.set_xticks(range(len(TURNS)), TURNS)
fig.legend(*axes[0].get_legend_handles_labels(), loc="outside upper center", ncols=2)
display(fig)
plt.close(fig)
average = {way: np.mean(values[1:]) for way, values in answers.items()}
cosines, branches = average.values()
Markdown(
    f"**What to see.** Mean risk of the models of the last three phases: repeated cosines {cosines:.4f}, branches of a plateau "
    f"{branches:.4f} ({branches / cosines - 1:+.1%}). Neither remembers what it is not shown. What the plateau buys is not a lower "
    f"risk on changing data, but that nobody had to say where a phase ends: a branch costs {ANNEAL / PHASE:.0%} of a phase more."
)

# %% [markdown]
# ## When to see the data that count
#
# One run, mostly A; B is what the model will be asked about. Raise the share of B from a tenth to a half in the last part of the
# run (Blakeney et al. 2024, [arXiv 2406.03476](https://arxiv.org/abs/2406.03476)). How late may that be? It depends on the schedule.

# %%
LONG = 2 * PHASE
SHAPES = {
    "cosine": sl.schedules.cosine(LONG, PEAK),
    "linear": sl.schedules.linear(LONG, PEAK),
    "wsd": sl.schedules.wsd(LONG, PEAK, cooldown=0.2),
}
LAST = (0.0, 0.05, 0.1, 0.2, 0.3, 0.5)


def late(part: float) -> sl.schedules.Schedule | float:
    steps = round(part * LONG)
    early = sl.schedules.constant(LONG - steps, 0.1)
    return sl.schedules.join(early, sl.schedules.constant(steps, 0.5)) if steps else early


upsampled = {
    name: np.array([final(risks(schedule, ["rest", late(part)], record=2)) for part in LAST])
    for name, schedule in SHAPES.items()
}
fig, axes = plt.subplots(1, 3, figsize=(sl.plot.WIDTH, 2.3), layout="constrained")
for (name, values), colour in zip(upsampled.items(), (ORANGE, BLUE, GREEN), strict=True):
    axes[0].plot(np.arange(LONG) / LONG, SHAPES[name].values(), color=colour, label=name)
    axes[1].plot(LAST, values[:, 1], "o-", color=colour, markersize=3)
    axes[2].plot(LAST, values[:, 0], "o-", color=colour, markersize=3)
axes[0].set(xlabel="share of the run", ylabel="learning rate")
axes[0].legend()
axes[1].set(xlabel="last part with half B", ylabel="risk on B")
axes[2].set(xlabel="last part with half B", ylabel="risk on A")
display(fig)
plt.close(fig)
tenth, third = LAST.index(0.1), LAST.index(0.3)
mean = {name: values.mean(axis=1) for name, values in upsampled.items()}
assert mean["wsd"][tenth] < mean["cosine"][third] < mean["cosine"][tenth]
Markdown(
    f"**What to see.** In its last tenth a WSD run gets to {upsampled['wsd'][tenth, 1]:.3f} on B, a cosine run in its last three tenths to "
    f"{upsampled['cosine'][third, 1]:.3f}; mean of both domains {mean['wsd'][tenth]:.4f} and {mean['cosine'][third]:.4f}. What data can do is "
    "measured by the sum of the rates that are left: under WSD the rate is still high when the data change."
)

# %% [markdown]
# ## Exercises
#
# **1.** Is any of this an artefact of the recursion? Draw the mixture with `sl.sample` and compare. Hint: the same two lines.
#
# <details><summary>Solution</summary>
#
# The two engines share no arithmetic; they agree within the standard error.
#
# ```python
# mixture = sl.Mixture(domains(SHIFT), [0.3, 0.7])
# method = sl.methods.sgd(sl.schedules.cosine(200, PEAK), batch=BATCH)
# seen = sl.sample(mixture, method, replicas=400, seed=1, record=2).total().values[-1].squeeze()
# known = final(sl.exact(mixture, method, record=2))
# print(seen, known)
# assert np.allclose(seen, known, rtol=0.1)
# ```
#
# </details>
#
# **2.** Instead of drawing B more often, count its loss more: weights that give the same mean gradient. Which is noisier? Hint: the
# third argument of `sl.Mixture`.
#
# <details><summary>Solution</summary>
#
# Same mean path, more noise: a rare sample with a large weight kicks harder than many samples of weight one (Li et al. 2024,
# [arXiv 2410.04579](https://arxiv.org/abs/2410.04579)).
#
# ```python
# method = sl.methods.sgd(sl.schedules.constant(PHASE, 0.1), batch=BATCH)
# drawn = sl.exact(sl.Mixture(domains(0.0), [0.5, 0.5]), method, record=2)
# weighed = sl.exact(sl.Mixture(domains(0.0), [0.9, 0.1], [0.5 / 0.9, 0.5 / 0.1]), method, record=2)
# more = final(weighed) / final(drawn) - 1
# print(more)
# assert np.all(more > 0)
# ```
#
# </details>
#
# **3.** For which share of A is the mean risk least when B has hardly moved? Hint: `shift` of `risks`.
#
# <details><summary>Solution</summary>
#
# For less than with a large shift: what is learned on B holds for A as well.
#
# ```python
# def best_share(shift):
#     begun = risks(cosine, [1.0, 0.0], shift, record=2).state
#     found = [final(risks(WAYS[RE], [r, 1 - r], shift, start=begun, record=2)).mean() for r in np.linspace(0, 0.8, 9)]
#     return 0.1 * int(np.argmin(found)), np.ptp(found) / min(found)
#
# (small, matters), (large, much) = best_share(0.02), best_share(0.5)
# print(small, matters, large, much)
# assert matters < 0.2 < much
# ```
#
# </details>

# %% [markdown]
# ## What this does not tell you
#
# - Features do not change here. In a network, training on B moves the eigenvectors themselves; here both domains share them.
# - There is no capacity to run out of, and no interference but through the optimum. Forgetting in networks has more causes.
# - Weights of a loss and shares of a mixture have an optimum for a *given* aim. Which aim is yours is not a question of dynamics.
# - Repeated rows of a small domain, and what is overfitted there, are not in a model that draws every sample afresh.
