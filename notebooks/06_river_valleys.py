# %% [markdown]
# # 6. River valleys: why a high learning rate looks bad and is good
#
# **Goal.** Split a loss into how far a run has come along a valley and how high it stands above the floor. See why the
# stable phase of a schedule looks useless, why the decay drops, and what "WSD beats cosine" needs in order to be true.
#
# **Prerequisites.** [Notebook 1](01_one_mode.ipynb) (the noise floor) and [notebook 3](03_schedules.ipynb) (the
# schedules); the Hessian of a function and its eigenvectors.

# %%
# %matplotlib inline
# %config InlineBackend.print_figure_kwargs = {"bbox_inches": None}
import tempfile
from pathlib import Path

import ipywidgets as widgets
import matplotlib.pyplot as plt
import numpy as np
from IPython.display import Image, Markdown, display

import simlab as sl
from simlab.plot import animation
from simlab.plot import river as draw

sl.plot.use_style()
BLUE, ORANGE, GREEN, PINK = sl.plot.PALETTE[:4]

# %% [markdown]
# ## The landscape
#
# Wen, Li, Wang, Hall, Liang and Ma 2024 ([arXiv 2410.05192](https://arxiv.org/abs/2410.05192)) picture the loss of a
# large network as a **river valley**: along one curve, the river, it falls slowly; across it, the hills are steep. The
# smallest example with a bend is
#
# $$ L(x, y) = -s\, x + \frac{\lambda}{2} \left( y - \sin \frac x2 \right)^2 , $$
#
# with a small slope $s$ and a large curvature $\lambda$. Their definition of the river needs no such formula: it is the
# curve on which **the gradient is an eigenvector of the Hessian, the one with the smallest eigenvalue**.
# `simlab.river.find` follows it on any loss that has one.

# %%
SLOPE, STEPS, PEAK = 0.1, 1200, 0.1
valley = sl.river.curved(slope=SLOPE, lam=8.0, mu=0.0, amplitude=1.0, wavenumber=0.5, start=(-3.0, 0.6))
river = sl.river.find.river(valley, length=20.0, upstream=3.0)


def gradient_descent(lr: float) -> np.ndarray:
    """The path (steps + 1, 2) without noise."""
    method = sl.methods.sgd(sl.schedules.constant(STEPS, lr))
    return sl.descend(valley, method, replicas=1, record="all", paths=True)["iterate"].values[:, 0]


paths = {f"lr = {lr:g}": gradient_descent(lr) for lr in (PEAK, PEAK / 4)}
display(draw.surface(valley, paths, river.points))

slopes, lowest = valley.slope(river.points), river.eigenvectors[:, :, 0]
across = slopes - np.sum(slopes * lowest, axis=1, keepdims=True) * lowest
off_floor = np.max(np.abs(river.points[:, 1] - np.sin(river.points[:, 0] / 2)))
far, near = (path[-1, 0] for path in paths.values())
assert np.abs(across).max() < 1e-9 < off_floor
assert far > near
Markdown(
    "**What to see.** Gradient descent without noise falls off the hill at once and then follows the river. In the "
    f"same {STEPS} steps the larger rate reaches x = {far:.1f}, the smaller one x = {near:.1f}: without noise, a "
    "higher rate is simply faster. On the curve that was found, the gradient across the lowest eigenvector is zero "
    "to rounding. That curve is not exactly the floor $y = \\sin (x/2)$, but leaves it in the bends by up to "
    f"{off_floor:.3f}. The curvature across it is at least {river.eigenvalues[:, 1].min():.2f}, along "
    f"it at most {np.abs(river.eigenvalues[:, 0]).max():.3f} in magnitude."
)

# %% [markdown]
# ## The split
#
# Every point $w$ has a foot on the river, $r(w)$, reached across the hills. That splits the loss in two,
#
# $$ L(w) = \underbrace{L(r(w))}_{\text{river loss: how far}} + \underbrace{L(w) - L(r(w))}_{\text{hill loss: how high above the floor}} , $$
#
# and a loss curve shows only the sum. Now add gradient noise across the valley and run four schedules, many times each.

# %%
schedules = {
    "low rate": sl.schedules.constant(STEPS, PEAK / 5),
    "high rate": sl.schedules.constant(STEPS, PEAK),
    "cosine": sl.schedules.cosine(STEPS, PEAK),
    "WSD": sl.schedules.wsd(STEPS, PEAK, cooldown=0.2),
}
runs = {name: sl.methods.sgd(schedule) for name, schedule in schedules.items()}
noise = sl.river.noise.diagonal([0.0, 3.0])  # standard deviation along x and y
steps = np.r_[5, 10, 15, np.arange(0, STEPS + 1, 20)]
trace = sl.descend(valley, runs, noise=noise, river=river, replicas=1000, seed=3, record=steps, paths=True)
parts = trace[["total", "river_loss", "hill_loss"]]

fig, panels = plt.subplots(1, 3, figsize=(sl.plot.WIDTH, 2.6), sharex=True)
titles = {"total": "loss", "river_loss": "of it, along the river", "hill_loss": "of it, on the hills"}
for panel, (quantity, title) in zip(panels, titles.items(), strict=True):
    for name, colour in zip(schedules, ("0.6", BLUE, ORANGE, GREEN), strict=True):
        values = trace[quantity].sel(run=name)
        panel.plot(trace["step"], values, "--" if name == "high rate" else "-", color=colour, label=name)
    panel.set(title=title, xlabel="step")
panels[0].set(ylabel="mean over the ensemble", ylim=(-0.75, 0.75))
panels[2].set_ylim(0, 0.75)
fig.legend(*panels[0].get_legend_handles_labels(), loc="outside upper center", ncols=4)
display(fig)
plt.close(fig)

end = parts.isel(step=-1).to_pandas()
before = parts.sel(run="WSD", step=int(0.8 * STEPS)).to_pandas()
drop, gone = before["total"] - end.loc["WSD", "total"], before["hill_loss"] - end.loc["WSD", "hill_loss"]
assert end.loc["WSD", "total"] == end["total"].min()
assert end.loc["high rate", "river_loss"] == end["river_loss"].min()
assert end["river_loss"].idxmax() == "low rate"
assert 0.5 * drop < gone
Markdown(
    f"**What to see.** The high rate looks bad: its hill loss stays at {before['hill_loss']:.2f}, where the low rate pays "
    f"{end.loc['low rate', 'hill_loss']:.2f}. But it has come furthest along the river (middle), and only that is hard to "
    "make up for. The decay of WSD "
    f"takes {drop:.2f} off the loss within the last fifth of the steps; {gone / drop:.0%} of that is hill loss that "
    f"was there for the taking. It ends at {end.loc['WSD', 'total']:.2f}, cosine of the same peak at "
    f"{end.loc['cosine', 'total']:.2f} (standard errors up to "
    f"{float(trace['total_error'].isel(step=-1).sel(run=['WSD', 'cosine']).max()):.1g})."
)

# %% [markdown]
# ## A film strip
#
# Two of these ensembles as time goes on: every dot is one run, the shading the height above the floor.

# %%
times = [0, 40, 600, 960, STEPS]
shown = {"cosine": ORANGE, "WSD": GREEN}
clouds = {name: trace["iterate"].sel(run=name).isel(replica=slice(300)) for name in shown}
box = (-4.0, 11.0, -2.1, 2.1)

fig, grid = plt.subplots(len(times), 2, figsize=(sl.plot.WIDTH, 4.7), sharex=True, sharey=True)
for row, step in zip(grid, times, strict=True):
    for panel, (name, colour) in zip(row, shown.items(), strict=True):
        draw.draw_terrain(panel, valley, river.points, box)
        cloud = clouds[name].sel(step=step).transpose("index", "replica")
        panel.plot(*cloud.values, "o", color=colour, ms=2.5, alpha=0.5, mec="none", zorder=3)
        panel.axvline(float(cloud[0].median()), color=colour, lw=0.8, ls=":")
        rate = schedules[name].values()[min(step, STEPS - 1)]
        panel.text(
            0.99, 0.94, f"step {step}, lr {rate:.3f}", transform=panel.transAxes, ha="right", va="top", fontsize=7
        )
for panel, name in zip(grid[0], shown, strict=True):
    panel.set_title(name, color=shown[name], fontweight="bold")
fig.supxlabel("x, along the river", fontsize=8)
fig.supylabel("y, across it", fontsize=8)
display(fig)
plt.close(fig)


def place(name: str, step: int) -> tuple[float, float]:
    """Median x and standard deviation about the floor."""
    x, y = clouds[name].sel(step=step).transpose("index", "replica").values
    return float(np.median(x)), float(np.std(y - np.sin(x / 2)))


stable, slow, final = place("WSD", 960), place("cosine", 960), place("WSD", STEPS)
assert stable[0] > slow[0]
assert stable[1] > 2 * slow[1]
assert final[1] < stable[1] / 3
Markdown(
    f"**What to see.** Time runs downwards; the dotted line is the median. At step {times[3]}, where the decay "
    f"begins, the cloud of WSD is {stable[1] / slow[1]:.1f} times as wide as that of cosine (which has decayed for "
    f"long) and at x = {stable[0]:.1f} against {slow[0]:.1f}. Then it only has to fall: its width shrinks from "
    f"{stable[1]:.2f} to {final[1]:.2f} while x goes on to {final[0]:.1f}. Cosine ends at x = "
    f"{place('cosine', STEPS)[0]:.1f}: narrow, and too early on the river."
)

# %% [markdown]
# In a live notebook the next cell makes it a film (it takes some seconds).

# %% tags=["slider"]
every = sl.descend(valley, {name: runs[name] for name in shown}, noise=noise, replicas=200, record="all", paths=True)
every = every["iterate"].transpose("run", "step", "replica", "index")
with tempfile.TemporaryDirectory() as folder:
    film = Path(folder) / "valley.gif"
    rates = {name: schedules[name].values() for name in shown}
    moving = dict(zip(shown, every.values, strict=True))
    animation.animate(valley, moving, rates, [film], river=river.points, box=box, frames=60)
    display(Image(film.read_bytes(), width=800))

# %% [markdown]
# ## The same, exactly
#
# Straighten the river and take $d$ hills: $L = -s x + \frac12 \sum_i \lambda_i y_i^2$, with noise of variance $c_i$
# along hill $i$ (the setting of Wen et al.; this example is simlab's own). Now nothing has to be sampled. The river
# counts **only the sum of the learning rates**, and a rate held long enough has hills of a height that depends on **the
# rate alone**:
#
# $$ \text{river loss} = -s^2 \sum_t \eta_t , \qquad \text{hill loss at a constant rate } \eta \;\to\;
#    \frac12 \sum_i \frac{\eta\, c_i}{2 - \eta \lambda_i} . $$
#
# What a rate costs on the hills is paid back during the decay; what it gains along the river is kept. Rates are capped,
# though: beyond $2 / \lambda_{\max}$ the steepest hill throws the run out.

# %%
FALL, T = 0.05, 2000  # s^2; steps
straight = sl.river.StraightValley(np.geomspace(20.0, 1.0, 100), slope=np.sqrt(FALL), noise=1.0)
CAP = straight.critical_lr


def split(rates: dict[str, sl.schedules.Schedule], record: object = "linear"):
    """River and hills of every schedule, by (run, step)."""
    return sl.exact_valley(straight, {k: sl.methods.sgd(r) for k, r in rates.items()}, record=record, warn=False)


peak, caveat = CAP / 2, "cosine, peak x 2"
canon = {
    "constant": sl.schedules.constant(T, peak),
    "cosine": sl.schedules.cosine(T, peak),
    "WSD 20 %": sl.schedules.wsd(T, peak, cooldown=0.2),
    caveat: sl.schedules.cosine(T, CAP),
}
exact = split(canon, "all")
display(draw.crossing(exact, "cosine", "WSD 20 %", caveat, CAP))

last = exact.isel(step=-1)
hills = float(last["hill_loss"].sel(run="constant").sum())
floor = 0.5 * np.sum(peak / (2 - peak * straight.hills))
river_off = max(abs(float(last["river_loss"].sel(run=k)) / (-FALL * r.values().sum()) - 1) for k, r in canon.items())
half = exact["total"].sel(step=T // 2)
total = last["total"].to_series()
assert half.sel(run="cosine") < half.sel(run="WSD 20 %")
assert total["WSD 20 %"] < total["cosine"]
assert total[caveat] < total["WSD 20 %"]
assert abs(hills / floor - 1) < 1e-9
assert river_off < 1e-12
Markdown(
    f"**What to see.** Left: the published picture. With the same peak of {peak:g}, half the cap, cosine is ahead at "
    f"half time ({float(half.sel(run='cosine')):.2f} against {float(half.sel(run='WSD 20 %')):.2f}) and is overtaken "
    f"during the decay: {total['cosine']:.2f} against {total['WSD 20 %']:.2f}. Right: why. The constant run has come "
    f"furthest and carries a hill loss of {hills:.3f} (formula: {floor:.3f}). **And the caveat:** the dotted cosine, "
    f"its peak on the cap of {CAP:g}, ends at {total[caveat]:.2f}, below WSD. The river loss is $-s^2 \\sum \\eta_t$ "
    f"to {river_off:.0e}."
)

# %% [markdown]
# ## What the claim needs
#
# So the same peak is no fair race: cosine has half the sum of rates, and may ask for twice the peak. Give every
# schedule its own best peak instead.

# %%
peaks = np.linspace(0.1, 1.2, 45) * CAP
shapes = {
    "cosine": (ORANGE, "-", lambda p: sl.schedules.cosine(T, p)),
    "linear": (PINK, "--", lambda p: sl.schedules.linear(T, p)),
    "WSD 20 %": (GREEN, "-", lambda p: sl.schedules.wsd(T, p, cooldown=0.2)),
    "constant": (BLUE, "-", lambda p: sl.schedules.constant(T, p)),
}
fig, axes = plt.subplots(figsize=(0.7 * sl.plot.WIDTH, 2.7))
best, allowed = {}, peaks <= CAP * (1 + 1e-9)
for name, (colour, dashes, make) in shapes.items():
    ended = split({f"{p}": make(p) for p in peaks}, 2)["total"].isel(step=-1).values
    at = np.nanargmin(np.where(allowed, ended, np.nan))
    area = make(peaks[at]).values().mean() / CAP
    best[name] = (peaks[at], area, ended[at], np.nanmin(ended))
    axes.plot(peaks, ended, dashes, color=colour, label=name)
    axes.plot(peaks[at], ended[at], "o", color=colour, ms=5)
axes.axvspan(CAP, peaks[-1], color="0.92", zorder=0)
axes.text(CAP, -1.2, r" beyond $2 / \lambda_{\max}$", fontsize=7, color="0.35")
axes.set(ylim=(-10, 0), xlim=(0, peaks[-1]), xlabel="peak learning rate", ylabel="final loss")
axes.legend(loc="lower left")
display(fig)
plt.close(fig)

table = "\n".join(f"| {name} | {p:.3g} | {area:.2f} | {loss:.2f} |" for name, (p, area, loss, _) in best.items())
over = [f"{name} ({free:.2f})" for name, (*_, loss, free) in best.items() if free < loss]
lead = best["cosine"][2] - best["WSD 20 %"][2]
on_the_way = float(split({"WSD": sl.schedules.wsd(T, best["WSD 20 %"][0], cooldown=0.2)})["total"].max())
assert min(best, key=lambda name: best[name][3]) == "WSD 20 %"
assert lead > 0
assert len(over) < 2
Markdown(
    "**What to see.** Dots: the best peak up to the cap; a line ends where its runs diverge. In a linear river the "
    "schedule that wins is the one with the most area that fits under the cap, less what the hills still hold at the "
    f"end.\n\n| | best peak up to {CAP:g} | its mean rate / cap | final loss |\n|---|---|---|---|\n{table}\n\nA "
    f"cosine on the cap beats a WSD well below it; but WSD with the same right to the cap beats cosine by {lead:.1f}, "
    f"having stood at a loss of {on_the_way:.0f} before its decay: looking bad, being good, at its most extreme. "
    f"Passing the cap for a while helps {' and '.join(over) or 'nobody'} a little. A claim about shapes that names "
    "neither peak nor cap says nothing."
)

# %% [markdown]
# ## Try it

# %%


def picture(peak: float = 0.5, cooldown: float = 0.2, steps: int = 2000) -> None:
    """WSD and cosine of one peak, in units of the cap, as stacks of river and hills."""
    rates = {
        "cosine": sl.schedules.cosine(steps, peak * CAP),
        "WSD": sl.schedules.wsd(steps, peak * CAP, cooldown=cooldown),
    }
    parts = split(rates)
    fig, panels = plt.subplots(1, 2, figsize=(sl.plot.WIDTH, 2.3), sharey=True)
    for panel, name in zip(panels, rates, strict=True):
        low, top = parts["river_loss"].sel(run=name), parts["total"].sel(run=name)
        panel.plot(parts["step"], low, color=draw.WATER, lw=2, label="river loss")
        panel.fill_between(parts["step"], low, top, color="#cdc1aa", lw=0, label="hill loss on top")
        panel.plot(parts["step"], top, color="black", label="loss")
        panel.set(title=f"{name}: final loss {float(top[-1]):.2f}", xlabel="step")
    panels[0].set_ylabel("expected loss")
    panels[0].legend(loc="lower left")
    display(fig)
    plt.close(fig)


picture()

# %% [markdown]
# Slide the cooldown to zero, and to one. What is the shortest decay that takes the hills away? Does it grow with the
# steps?

# %% tags=["slider"]
_ = widgets.interact(
    picture,
    peak=widgets.FloatSlider(0.5, min=0.05, max=1.0, step=0.05, description="peak / cap"),
    cooldown=widgets.FloatSlider(0.2, min=0.01, max=1.0, step=0.01),
    steps=widgets.IntSlider(2000, min=200, max=5000, step=100),
)

# %% [markdown]
# ## Exercises
#
# **1.** How should a rate decay to take one hill down fastest? Start from the stationary height at a rate $\eta_0$; the
# river is flat. Minimise each next variance over the rate, and find a closed form.
#
# <details><summary>Solution</summary>
#
# $v_{t+1} = (1 - \eta \lambda)^2 v_t + \eta^2 c$ is smallest at $\eta_t = \lambda v_t / (\lambda^2 v_t + c)$, and then
# $1 / v_{t+1} = 1 / v_t + \lambda^2 / c$: so $1 / \eta$ grows by $\lambda$ a step. The first rate is half of $\eta_0$:
# **drop at once, then decay like one over time**. With many hills no single rate is the best for all of them, which is
# why shapes differ so little.
#
# ```python
# curvature, noise_variance, first, budget = 2.0, 1.0, 0.2, 100
# height = first * noise_variance / (curvature * (2 - first * curvature))
# hill = sl.NoisyQuadratic([curvature], [np.sqrt(height)], [noise_variance])
# optimal = sl.schedules.from_array(1 / (2 / first + curvature * np.arange(budget)))
# decays = {shape: sl.schedules.wsd(budget, first, cooldown=1.0, shape=shape) for shape in ("linear", "1-sqrt", "cosine")}
# methods = {name: sl.methods.sgd(rate) for name, rate in {"optimal": optimal, **decays}.items()}
# final = sl.exact(hill, methods, record=2).total().isel(step=-1).to_series()
# formula = 0.5 * curvature / (1 / height + budget * curvature**2 / noise_variance)
# print(final / formula)
# assert abs(final["optimal"] / formula - 1) < 1e-12
# assert final["optimal"] == final.min() and (final.drop("optimal") > 1.2 * formula).all()
# ```
#
# </details>
#
# **2.** You cannot find the river of a network, but you can evaluate the loss on the line between two checkpoints. What
# should it look like between two checkpoints of the stable phase, and between two that have decayed? (Wen et al. did
# this.)
#
# <details><summary>Solution</summary>
#
# Two checkpoints of the stable phase stand on different sides of the valley: the line crosses the floor, and the loss
# is lowest in between. Two that have decayed lie on the river, and the loss falls all the way along.
#
# ```python
# field, wind = straight.landscape(), sl.river.noise.diagonal(np.r_[0.0, np.ones(100)])
#
#
# def checkpoints(rate):
#     run = sl.descend(field, sl.methods.sgd(rate), noise=wind, replicas=64, record=2, paths=True)
#     return run["iterate"].isel(step=-1).transpose("replica", "index").values
#
#
# def between(make):
#     return sl.river.segments(field, checkpoints(make(3 * T // 4)), checkpoints(make(T)))
#
#
# held = between(lambda steps: sl.schedules.constant(steps, peak))
# decayed = between(lambda steps: sl.schedules.wsd(steps, peak, cooldown=0.2))
# print(f"lowest inside: {held.crosses.mean():.2f} held, {decayed.crosses.mean():.2f} decayed")
# assert held.crosses.mean() > 0.95 and decayed.monotone.all()
# ```
#
# </details>
#
# **3.** People cool down for a fifth of the budget. Find the best length of a linear cooldown in the straight valley
# above, for three budgets. A fraction of the budget, or a number of steps?
#
# <details><summary>Solution</summary>
#
# A number of steps. A decay of so many steps costs the river the same wherever it is, and how far the hills come down
# depends on their curvatures and the rate, not on how long one has been under way. Here it is shorter than a fifth of
# even the smallest budget. Where a river flattens, a step of the stable phase is worth less at the end, and decays grow
# longer.
#
# ```python
# lengths = np.unique(np.geomspace(10, 500, 60).astype(int))
# found = {}
# for budget in (1000, 2000, 4000):
#     ends = split({f"{n}": sl.schedules.wsd(budget, peak, cooldown=int(n)) for n in lengths}, 2)["total"].isel(step=-1)
#     found[budget] = int(lengths[np.argmin(ends.values)])
# print(found)
# assert max(found.values()) < 1.1 * min(found.values()) and max(found.values()) < 0.2 * min(found)
# ```
#
# </details>

# %% [markdown]
# ## What this does not tell you
#
# - That a network's loss is a river valley is a hypothesis. The evidence is indirect: what loss curves do under a
#   decay, and what the loss on lines between checkpoints looks like.
# - A straight river falls for ever at one slope, so that only the sum of rates counts. Where it flattens, area buys
#   less.
# - The noise here is additive and lies across the valley alone. Noise that grows with the loss, or along the river,
#   changes the heights (try `simlab.river.noise`).
# - Curvatures here do not depend on the learning rate. In real training the sharpest one adapts to it, and the cap is
#   not a fixed number; with Adam the cap is on another matrix.
# - All of this was one engine against itself and a few formulas. What published theorems say, and how far their bounds
#   lie from what happens, is [notebook 7](07_theory_against_experiment.ipynb).
