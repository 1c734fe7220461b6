# %% [markdown]
# # 3. Schedules: where each of them pays
#
# **Goal.** Compare constant, cosine, linear and warmup-stable-decay on one budget, fairly, and say for each eigen-subspace
# what a schedule bought there. Explain the drop of the loss in a cooldown mode by mode.
#
# **Prerequisites.** [Notebook 2](02_many_modes.ipynb): the front $k^*$, head and tail, bias in the tail and variance in the
# head.

# %%
# %matplotlib inline
# %config InlineBackend.figure_format = "retina"
import ipywidgets as widgets
import matplotlib.pyplot as plt
import numpy as np
from IPython.display import Markdown, display

import simlab as sl

sl.plot.use_style()
SIGMA2, STEPS = 0.1, 5_000
BINS = sl.subspaces.log_bins(4)
problem = sl.LinearRegression.power_law(10_000, capacity=1.5, source=1.75, noise_variance=SIGMA2).compress(1e-8, BINS)

# %% [markdown]
# ## The equation
#
# A schedule is a sequence of rates $\eta_0, \ldots, \eta_{T-1}$. Follow one mode through it. Up to the noise that modes make for
# each other, the recursion of notebook 2 has the solution
#
# $$\text{bias}_i = \tfrac12 \lambda_i \delta_i^2 \prod_t (1 - \eta_t \lambda_i)^2, \qquad
# \text{variance}_i = \tfrac12 \sigma^2 \lambda_i^2 \sum_t \eta_t^2 \prod_{s > t} (1 - \eta_s \lambda_i)^2$$
#
# (Pan, Ye and Zhang 2022, [arXiv 2110.14109](https://arxiv.org/abs/2110.14109)). The bias of a small $\lambda_i$ sees one number,
# $e^{-2 \lambda_i \sum_t \eta_t}$: the *sum* of the rates, in any order. The variance sees the order: noise of step $t$ is
# forgotten by what comes after it. So go far first and clean up last. How much cleaning?

# %%
FAMILIES = {
    "linear": sl.schedules.linear,
    "cosine": sl.schedules.cosine,
    "wsd": lambda steps, peak: sl.schedules.wsd(steps, peak, cooldown=0.2),
    "constant": sl.schedules.constant,
}
COLOURS = dict(zip(FAMILIES, sl.plot.PALETTE, strict=False))


def final(schedule: sl.schedules.Schedule, batch: int = 1) -> np.ndarray:
    """Bias and variance after the last step."""
    return sl.exact(problem, sl.methods.sgd(schedule, batch), record=2).by_component().values[-1]


def by_hand(lr: np.ndarray) -> np.ndarray:
    """The two formulas, summed over the modes."""
    modes = problem.modes()
    kept = np.cumprod((1 - lr[::-1, None] * modes.eigenvalues) ** 2, axis=0)[::-1]  # of step t's iterate, by T
    later = np.vstack([kept[1:], np.ones_like(kept[:1])])
    bias = modes.signal @ kept[0] / 2
    return np.array([bias, SIGMA2 / 2 * modes.drive @ (later.T @ lr**2)])


PEAK = 0.15
ratios = {name: final(family(STEPS, PEAK)) / by_hand(family(STEPS, PEAK).values()) for name, family in FAMILIES.items()}
assert all(np.all((ratio >= 1) & (ratio < 1.5)) for ratio in ratios.values())
rows = "\n".join(f"| {name} | {bias:.2f} | {variance:.2f} |" for name, (bias, variance) in ratios.items())
Markdown(
    f"Exact over formula, peak {PEAK}, {STEPS} steps. What is above one is the noise that modes make for each other:\n\n"
    f"| | bias | variance |\n|---|---|---|\n{rows}"
)

# %% [markdown]
# ## The same peak
#
# Four schedules (cosine: Loshchilov and Hutter 2017, [arXiv 1608.03983](https://arxiv.org/abs/1608.03983); linear: Defazio et
# al. 2023, [arXiv 2310.07831](https://arxiv.org/abs/2310.07831); warmup-stable-decay, "wsd", here without warmup: Hu et al. 2024,
# [arXiv 2404.06395](https://arxiv.org/abs/2404.06395)) from one peak.


# %%
def compare(peaks: dict[str, float]) -> sl.RiskTrace:
    runs = {name: sl.methods.sgd(FAMILIES[name](STEPS, peak)) for name, peak in peaks.items()}
    trace = sl.exact(problem, runs, record="linear", subspaces=BINS)
    display(sl.plot.risk(trace))
    return trace


def split(trace: sl.RiskTrace) -> str:
    """Final bias and variance of each run, in the tail (beyond mode 100) and before it, as a table."""
    rows = []
    for name in trace.risk["run"].values:
        parts = 1e3 * trace.final().sel(run=name)
        cells = [
            float(parts.sel(component=c)[s].sum()) for s in (slice(2), slice(2, None)) for c in ("bias", "variance")
        ]
        rows.append(f"| {name} | " + " | ".join(f"{cell:.2f}" for cell in (*cells, sum(cells))) + " |")
    return (
        "| risk x 1000 | head: bias | variance | tail: bias | variance | all |\n|---|---|---|---|---|---|\n"
        + "\n".join(rows)
    )


# %%
same = compare(dict.fromkeys(FAMILIES, PEAK))
risk = same.total()
middle, end = risk.sel(step=STEPS // 2, method="nearest"), risk.isel(step=-1)
ranking = [str(name) for name in risk["run"].values[np.argsort(end.values)]]
assert ranking[0] == "wsd"
assert middle.sel(run="cosine") < middle.sel(run="wsd")
sums = {name: family(STEPS, PEAK).total() for name, family in FAMILIES.items()}
Markdown(
    f"**What to see.** In order of the final risk: {', '.join(ranking)}. Half way cosine is *below* wsd "
    f"({float(middle.sel(run='cosine')):.3f} against {float(middle.sel(run='wsd')):.3f}); the cooldown turns it over. The bars say "
    "why: the sum of the rates is "
    + ", ".join(f"{total:.0f} ({name})" for name, total in sums.items())
    + ", and the bias of the tail follows it.\n\n"
    + split(same)
)

# %% [markdown]
# ## Each at its best peak
#
# That was not fair: at one peak, half a cosine goes half as far. A comparison of shapes must tune the peak of each.

# %%
critical = sl.stability(problem, sl.methods.sgd(sl.schedules.constant(STEPS, PEAK))).critical_lr
peaks = critical * np.geomspace(0.02, 0.98, 60)
fig, axes = plt.subplots(figsize=(0.6 * sl.plot.WIDTH, 2.5))
best, lowest, rows = {}, {}, []
for name, family in FAMILIES.items():
    runs = [sl.methods.sgd(family(STEPS, peak)) for peak in peaks]
    curve = sl.exact(problem, runs, record=2).total().values[:, -1]
    best[name], lowest[name] = float(peaks[curve.argmin()]), float(curve.min())
    axes.plot(peaks, curve, "--" if name == "cosine" else "-", color=COLOURS[name], label=name)
    axes.plot(best[name], lowest[name], "o", color=COLOURS[name], markersize=5)
    total = family(STEPS, best[name]).total()
    rows.append(f"| {name} | {best[name]:.2f} | {best[name] / critical:.0%} | {total:.0f} | {1e3 * lowest[name]:.2f} |")
axes.axvline(critical, color="black", linestyle=":", linewidth=1)
axes.text(1.05 * critical, 0.04, "unstable", rotation=90, fontsize=7)
axes.set(
    xlim=(0.01, 0.7),
    xscale="log",
    yscale="log",
    ylim=(0.015, 0.1),
    xlabel="peak learning rate",
    ylabel="final excess risk",
)
axes.set_xticks([0.01, 0.03, 0.1, 0.3], ["0.01", "0.03", "0.1", "0.3"])
axes.set_xticks([], minor=True)
axes.legend(loc="lower left")
display(fig)
plt.close(fig)

assert best["constant"] < best["wsd"] < best["cosine"] < critical
others = [lowest[name] for name in ("cosine", "linear", "wsd")]
assert lowest["linear"] == min(lowest.values())
Markdown(
    "**What to see.** The more of its time a schedule spends below its peak, the higher the peak it wants. Tuned, the three "
    f"that end at zero are within {max(others) / min(others) - 1:.0%} of each other, and the order is another one: now linear is "
    f"first. No constant rate comes within {lowest['constant'] / max(others) - 1:.0%}.\n\n"
    "| | best peak | of the critical rate | sum of rates | risk x 1000 |\n|---|---|---|---|---|\n" + "\n".join(rows)
)

# %%
tuned = compare(best)
parts = tuned.final().sum("subspace")
biases = parts.sel(run=["linear", "cosine", "wsd"], component="bias")
assert parts.sel(run="linear", component="variance") < parts.sel(run="wsd", component="variance")
assert parts.sel(run="wsd", component="bias") < parts.sel(run="linear", component="bias")
Markdown(
    "**What to see.** The three that end at zero now go about equally far; their biases differ by "
    f"{biases.max() / biases.min() - 1:.0%}. Between wsd and linear it is a trade: wsd has less bias and more variance. The "
    "constant rate can afford neither: its noise keeps its rate, and with it its reach, small.\n\n" + split(tuned)
)

# %% [markdown]
# ## The cooldown, mode by mode
#
# Take one run at a constant rate $\eta$ and cool it down over its last $c$ steps, linearly to zero. Before, a learned mode carries
# its floor $\frac14 \eta \lambda_i \sigma^2$. In the cooldown it forgets that noise if it has the time to, and the
# time is measured by what is left of the sum of the rates, $S = \frac12 \eta c$: modes with $\lambda_i S \gg 1$ follow the falling
# rate, modes with $\lambda_i S \ll 1$ do not notice. So the cooldown cleans a head of its own, $\lambda_i S \ge 1$.

# %%
flat = sl.schedules.constant(STEPS, PEAK)
cooled = sl.schedules.wsd(STEPS, PEAK, cooldown=0.2)
runs = {"stay": sl.methods.sgd(flat), "cool down": sl.methods.sgd(cooled)}
zoom = sl.exact(problem, runs, record=range(3500, STEPS + 1, 10), subspaces=BINS).risk.sel(step=slice(3500, None))

fig, panels = plt.subplots(1, 2, figsize=(0.75 * sl.plot.WIDTH, 2.4))
names, colours = zoom["subspace"].values, sl.plot.shades(4)
for axes, part in zip(panels, ("variance", "bias"), strict=True):
    for name, colour in zip(names, colours, strict=True):
        for run, dashes in (("stay", ":"), ("cool down", "-")):
            values = zoom.sel(run=run, component=part, subspace=name)
            axes.plot(zoom["step"], values, dashes, color=colour, label=name if dashes == "-" else None)
    axes.set(title=part, yscale="log", xlabel="step", ylim=(1e-6 if part == "variance" else 1e-5, 3e-2))
panels[0].set_ylabel("excess risk")
panels[1].legend(title="modes", loc="lower left", ncols=2)
display(fig)
plt.close(fig)

start, end = zoom.sel(run="cool down").isel(step=0), zoom.isel(step=-1)
drop = (end.sel(run="stay") - end.sel(run="cool down")).sum("subspace")
ratio = (end.sel(run="cool down") / end.sel(run="stay")).sel(component="variance")
head, deep = float(ratio[0]), float(ratio[3])
tail = [float(end.sel(run=run, component="bias")[2:].sum()) for run in ("stay", "cool down")]
assert tail[0] < tail[1] < float(start.sel(component="bias")[2:].sum())
assert head < 0.2 < 0.6 < deep
Markdown(
    "**What to see.** Dotted: the run that stays at the peak. Left: in the cooldown the variance falls by a factor of "
    f"{1 / head:.0f} in the first ten modes, and keeps {deep:.0%} in the last decade. Right: the bias of the tail keeps falling, "
    f"slowly, and ends {tail[1] / tail[0] - 1:.1%} *above* the run that stayed: that is the price. Bias of the head is noise "
    "made by the tail, and is cleaned with the other noise. In all the cooldown gains "
    f"{1e3 * float(drop.sum()):.1f} thousandths, {float(drop.sel(component='variance') / drop.sum()):.0%} of it variance."
)

# %% [markdown]
# Which modes the cooldown reaches can be seen at once by doing it at three lengths, $c$:

# %%
plain = sl.LinearRegression.power_law(1_000, 1.5, 1.75, noise_variance=SIGMA2)
fig, axes = plt.subplots(figsize=(0.5 * sl.plot.WIDTH, 2.2))
learned = []
for steps, colour in ((250, sl.plot.PALETTE[4]), (1000, sl.plot.PALETTE[1]), (4000, sl.plot.PALETTE[3])):
    pair = [sl.methods.sgd(flat), sl.methods.sgd(sl.schedules.wsd(STEPS, PEAK, cooldown=steps))]
    end = sl.exact(plain, pair, snapshots=[STEPS]).dataset["mode_risk"].sel(component="variance", snapshot=STEPS)
    kept = (end[1] / end[0]).values
    learned.append(kept[plain.count_at_least(3 / (PEAK * steps / 2)) - 1])
    axes.plot(plain.eigenvalues * PEAK * steps / 2, kept, color=colour, label=f"c = {steps}")
axes.axvline(1, color="0.5", linestyle=":", linewidth=1)
axes.set(
    ylabel="variance: cooled / not cooled",
    xscale="log",
    xlim=(200, 1e-3),
    ylim=(0, 1),
    xlabel=r"$\lambda_i S$ (decreasing)",
)
axes.legend(loc="lower right")
display(fig)
plt.close(fig)

assert np.ptp(learned) < 0.05
Markdown(
    "**What to see.** Left of the dotted line, the share of its noise that a mode keeps depends on $\\lambda_i S$ alone: at "
    f"$\\lambda_i S \\approx 3$ it is {', '.join(f'{kept:.0%}' for kept in learned)} for the three. Right of it are modes whose noise "
    "was still building up; they only hear less of it."
)

# %% [markdown]
# ## Try it: length and shape of the cooldown


# %%
def picture(peak: float = 0.25, cooldown: float = 0.2, shape: str = "linear") -> None:
    schedule = sl.schedules.wsd(STEPS, peak, cooldown=cooldown, shape=shape)
    trace = sl.exact(problem, sl.methods.sgd(schedule), record="linear", subspaces=BINS)
    fig, (left, right) = plt.subplots(1, 2, figsize=(sl.plot.WIDTH, 2.4), width_ratios=[1.6, 1])
    parts = trace.by_component()
    for name, dashes in (("bias", "--"), ("variance", ":")):
        left.plot(parts["step"], parts.sel(component=name), dashes, color=sl.plot.PALETTE[0], label=name)
    left.plot(parts["step"], trace.total(), color="black", label="risk")
    left.set(yscale="log", ylim=(1e-3, 1), xlabel="step", ylabel="excess risk")
    rate = left.twinx()
    left.plot([], [], color="0.85", linewidth=6, label="learning rate")
    rate.fill_between(np.arange(STEPS), schedule.values(), color="0.85", lw=0, zorder=0)
    rate.set(ylim=(0, 1.5), yticks=[])
    left.set(zorder=rate.get_zorder() + 1, frame_on=False)
    left.legend(loc="upper right")
    bottom = np.zeros(2)
    for name, colour in zip(trace.risk["subspace"].values, sl.plot.shades(4), strict=True):
        values = 1e3 * trace.final().sel(component=["bias", "variance"], subspace=name).values
        right.bar(["bias", "variance"], values, 0.6, bottom, color=colour, label=name)
        bottom += values
    right.set(
        title=f"final risk {bottom.sum():.2f} / 1000", ylabel="final risk x 1000", ylim=(0, max(25, bottom.max()))
    )
    right.legend(title="modes")
    display(fig)
    plt.close(fig)


picture()

# %% tags=["slider"]
_ = widgets.interact(
    picture,
    peak=widgets.FloatLogSlider(0.25, base=10, min=-2, max=-0.3, step=0.02, readout_format=".3g"),
    cooldown=widgets.FloatSlider(0.2, min=0, max=1, step=0.02),
    shape=[name for name in sl.schedules.cooldown_shapes() if name != "piecewise"],
)
# %% [markdown]
# ## The stability limit and the batch
#
# Linear and cosine like peaks close to the critical rate, and the critical rate depends on the batch $B$. SGD is stable in the
# mean square exactly if
#
# $$\sum_i \frac{\eta \lambda_i}{2 B - (B + 1)\, \eta \lambda_i} < 1, \qquad\text{so}\qquad
# \eta_{\text{crit}} \approx \min\Big\{\frac{2 B}{\operatorname{tr} H},\ \frac{2}{\lambda_1}\Big\}$$
#
# (`sl.stability(problem, method).critical_lr`; Jain et al. 2018, [arXiv 1610.03774](https://arxiv.org/abs/1610.03774), has it up to
# constants). A batch lets the rate grow with it, until at $B \approx \operatorname{tr} H / \lambda_1$ it no longer does.

# %%
batches = 2 ** np.arange(10)
limits, chosen, risks = [], [], []
for batch in batches.tolist():
    steps = STEPS // batch
    limits.append(sl.stability(problem, sl.methods.sgd(sl.schedules.linear(steps, 0.1), batch)).critical_lr)
    rates = limits[-1] * np.geomspace(0.1, 0.99, 40)
    runs = [sl.methods.sgd(sl.schedules.linear(steps, rate), batch) for rate in rates]
    curve = sl.exact(problem, runs, record=2).total().values[:, -1]
    chosen.append(rates[np.nanargmin(curve)])
    risks.append(np.nanmin(curve))

trace_h = float(problem.multiplicity @ problem.eigenvalues)
x = np.array(limits)[:, None] * problem.eigenvalues
mass = (x / (2 * batches[:, None] - (batches[:, None] + 1) * x)) @ problem.multiplicity
assert np.allclose(mass, 1, rtol=1e-6)  # the equation above

# %%
fig, (left, right) = plt.subplots(1, 2, figsize=(0.85 * sl.plot.WIDTH, 2.1))
left.plot(batches, limits, "k-", label="critical rate")
left.plot(batches, np.minimum(2 * batches / trace_h, 2), "k:", label=r"min{2B / tr H, 2 / $\lambda_1$}")
left.plot(batches, chosen, "o-", color=COLOURS["linear"], markersize=4, label="best peak of linear")
left.set(xscale="log", yscale="log", xlabel="batch $B$", ylabel="learning rate")
left.legend(loc="lower right")
right.plot(batches, np.array(risks) / risks[0], "o-", color=COLOURS["linear"], markersize=4)
right.axvline(trace_h, color="0.5", linestyle=":", linewidth=1)
right.set(xscale="log", yscale="log", xlabel="batch $B$", ylabel="best final risk / that at $B = 1$")
for axes, ticks in ((left, [0.5, 1, 2]), (right, [1, 2, 4, 8])):
    axes.set_yticks(ticks, [f"{tick:g}" for tick in ticks])
    axes.set_yticks([], minor=True)
display(fig)
plt.close(fig)

assert np.all(np.diff(limits) > 0)
assert np.all(np.array(limits) <= np.minimum(2 * batches / trace_h, 2))
assert np.all(np.diff(risks[2:]) > 0)
Markdown(
    f"**What to see.** All runs see {STEPS} samples, or a few less. Left: from $B$ = 1 to {batches[-1]} the critical rate grows by a factor of "
    f"{limits[-1] / limits[0]:.1f} only, and at $B$ = {batches[3]} it has {limits[3] / limits[-1]:.0%} of its final value. Right: up to "
    f"about $\\operatorname{{tr}} H / \\lambda_1$ = {trace_h:.1f} (dotted) a batch costs little ({risks[2] / risks[0] - 1:+.0%} at $B$ = {batches[2]}): fewer steps, each as much larger. "
    f"Beyond, samples are wasted: at $B$ = {batches[-1]} the risk is {risks[-1] / risks[0]:.1f} times higher."
)

# %% [markdown]
# ## Exercises
#
# **1.** Which is better: a linear or a "1-sqrt" cooldown? Answer for a cooldown over a fifth of the run, then over all of it,
# each at its best peak.
#
# <details><summary>Solution</summary>
#
# It depends on the length. Early and steep (1-sqrt) is better where time is short, because the noise must be given time to be
# forgotten at low rates; over the whole run it would give up reach. And half the run, linearly, is better than either: shape
# and length do one job together, which is to spread the cleaning over the modes. (Dremov et al. 2025,
# [arXiv 2508.01483](https://arxiv.org/abs/2508.01483), compare shapes in training runs.)
#
# ```python
# def tuned_risk(shape, cooldown):
#     return min(final(sl.schedules.wsd(STEPS, peak, cooldown=cooldown, shape=shape)).sum() for peak in peaks[25:])
#
#
# table = {(shape, c): 1e3 * tuned_risk(shape, c) for shape in ("linear", "1-sqrt") for c in (0.2, 0.5, 1.0)}
# print(", ".join(f"{shape} over {c:.0%}: {risk:.2f}" for (shape, c), risk in table.items()))
# assert table["1-sqrt", 0.2] < table["linear", 0.2]
# assert table["1-sqrt", 1.0] > table["linear", 1.0]
# assert table["linear", 0.5] == min(table.values())
# ```
#
# </details>
#
# **2.** You stop a tuned cosine half way, because the cluster is needed. How much worse are you off than with a wsd run that is
# told so in time to cool down?
#
# <details><summary>Solution</summary>
#
# Much worse: half way the cosine is still noisy, and its future low rates are lost. The stable phase of wsd does not know
# the end of the run; it can be cooled down from anywhere, and is then nearly as good as a cosine made for that length. This
# is its real advantage (Hägele et al. 2024, [arXiv 2405.18392](https://arxiv.org/abs/2405.18392)).
#
# ```python
# half = STEPS // 2
# stopped = float(sl.exact(problem, sl.methods.sgd(sl.schedules.cosine(STEPS, best["cosine"])), record=[half]).total().sel(step=half))
# cooled_early = final(FAMILIES["wsd"](half, best["wsd"])).sum()
# planned = min(final(sl.schedules.cosine(half, peak)).sum() for peak in peaks[25:])
# print(f"cosine stopped {stopped:.4f}, wsd cooled down {cooled_early:.4f}, cosine planned for it {planned:.4f}")
# assert stopped > 1.5 * cooled_early
# assert cooled_early < 1.03 * planned
# ```
#
# </details>
#
# **3.** Find a spectrum for which wsd beats linear even when both are tuned. Hint: who wants the highest peak, and what stops it?
#
# <details><summary>Solution</summary>
#
# A heavier tail: a source exponent closer to one. Then nearly all of the risk is bias of modes still to be learned, everything
# hangs on the sum of the rates, and linear runs into the stability limit before it has gone far enough. With a cap on
# the peak, the flat schedule goes furthest. This is the "hard" regime of functional scaling laws (Li et al. 2025,
# [arXiv 2509.19189](https://arxiv.org/abs/2509.19189)).
#
# ```python
# hard = sl.LinearRegression.power_law(10_000, 1.5, 1.3, noise_variance=SIGMA2).compress(1e-8)
# found = {}
# for name in ("linear", "wsd"):
#     runs = [sl.methods.sgd(FAMILIES[name](STEPS, peak)) for peak in peaks]
#     curve = sl.exact(hard, runs, record=2).total().values[:, -1]
#     found[name] = curve.min(), peaks[curve.argmin()] / critical
# print({name: f"risk {risk:.4f} at {share:.0%} of the critical rate" for name, (risk, share) in found.items()})
# assert found["wsd"][0] < 0.98 * found["linear"][0]
# assert found["linear"][1] > 0.9 > found["wsd"][1]
# ```
#
# </details>

# %% [markdown]
# ## What this does not tell you
#
# - Which schedule is best for *your* run. On one spectrum linear came first, on another wsd, and the differences between
#   tuned schedules were small beside the cost of a badly tuned peak.
# - Why one warms up. Here nothing is gained by it; in a network the curvature at the start is far from that at the end.
# - Anything beyond a quadratic. In a river valley, [notebook 6](06_river_valleys.ipynb), the stable phase does something that no
#   quadratic shows.
# - Whether one could skip the cooldown and average the iterates instead: [notebook 4](04_averaging.ipynb).
