# %% [markdown]
# # 7. Theory against experiment: how far is a bound from what happens?
#
# **Goal.** Take a theorem as a function that can be called, hold it against the exact risk eigenvalue by eigenvalue,
# and see where it is tight, where it is loose, and why. Learn to read what `simlab validate` prints.
#
# **Prerequisites.** [Notebook 2](02_many_modes.ipynb) (a spectrum, its head and its tail) and
# [notebook 4](04_averaging.ipynb) (the average of the iterates). What an upper bound is.

# %%
# %matplotlib inline
# %config InlineBackend.figure_format = "retina"
import ipywidgets as widgets
import matplotlib.pyplot as plt
import numpy as np
from IPython.display import Markdown, display

import simlab as sl
from simlab import theory
from simlab.conformance.listing import entry_text
from simlab.conformance.validate import table_of, validate

sl.plot.use_style()
BLUE, ORANGE, GREEN = sl.plot.PALETTE[:3]


def as_text(text: str) -> Markdown:
    return Markdown(f"```text\n{text}\n```")


# %% [markdown]
# ## The theorem
#
# SGD with a constant rate $\eta$ on least squares, one fresh sample a step, $N$ steps, and then the average of
# $w_0, \dots, w_{N-1}$. Zou, Wu, Braverman, Gu and Kakade 2021 ([arXiv 2103.12692](https://arxiv.org/abs/2103.12692))
# bound its excess risk by a sum over eigenvalues. With $k^*$ the number of modes with $\lambda_i \ge 1 / (\eta N)$ —
# those that $N$ steps have time for — the variance part of it is
#
# $$ \text{variance} \;\le\; \frac{2 \sigma^2}{1 - 3 \eta \operatorname{tr} H}
#    \Big( \underbrace{\frac{k^*}{N}}_{\text{head}} + \underbrace{N \eta^2 \sum_{i > k^*} \lambda_i^2}_{\text{tail}} \Big) . $$
#
# The bias has three terms of this kind. In simlab it is an entry of a catalogue: a formula, **with what it claims**
# (its kind), **under which assumptions**, and where it stands. The package `theory` imports nothing of simlab, so that
# when the two agree, two codes agree. On the command line, `simlab theory zou_average_upper` prints the following.

# %%
upper, lower = theory.find("zou_average_upper"), theory.find("zou_average_lower")
as_text(entry_text("zou_average_upper").split("\n\n@")[0])

# %% [markdown]
# ## Mode by mode
#
# A power law of $d$ modes. The exact engine gives bias and variance of the average in every mode; the two theorems give
# an upper and a lower bound on each.

# %%
DIM, SIGMA2 = 2000, 1.0
INDEX = np.arange(1.0, DIM + 1.0)


def spectrum(decay: float = 1.5) -> tuple[np.ndarray, np.ndarray]:
    """Eigenvalues, and the initial error w_0 - w*."""
    return INDEX**-decay, INDEX**-0.25


def averaged(lr: float, steps: int) -> sl.methods.Method:
    """The average of the iterates w_0 .. w_(N-1) of SGD."""
    return sl.methods.average(sl.methods.sgd(sl.schedules.constant(steps, lr)), form="old")


def three(share: float, steps: int, decay: float = 1.5) -> dict[str, theory.Risk]:
    """Upper bound, exact risk and lower bound by eigen-index, at a share of the largest rate allowed."""
    lam, error = spectrum(decay)
    lr = share / (3 * lam.sum())
    problem = sl.LinearRegression(lam, error, SIGMA2)
    modes = sl.exact(problem, averaged(lr, steps), snapshots=[steps], record=2).dataset["mode_risk"].isel(snapshot=0)
    exact = theory.Risk(*(modes.sel(component=name).values for name in ("bias", "variance")))
    arguments = lam, error, SIGMA2, lr, steps
    return {"upper bound": upper(*arguments), "exact": exact, "lower bound": lower(*arguments)}


# %% [markdown]
# The same as a picture, at half of the largest rate that the theorem allows:


# %%
def picture(share: float = 0.5, steps: int = 2000, decay: float = 1.5) -> None:
    """The three by eigen-index, bias and variance, at a share of the largest rate allowed."""
    found = three(share, steps, decay)
    lam, _ = spectrum(decay)
    last = np.count_nonzero(lam * share / (3 * lam.sum()) * steps >= 1)
    fig, panels = plt.subplots(1, 2, figsize=(sl.plot.WIDTH, 2.6), sharex=True, sharey=True)
    for panel, part in zip(panels, ("bias", "variance"), strict=True):
        for (name, risk), colour in zip(found.items(), (ORANGE, "black", BLUE), strict=True):
            panel.loglog(INDEX, getattr(risk, part), color=colour, label=name)
        panel.axvline(last + 0.5, color="0.6", ls=":", lw=1)
        panel.text(last + 0.5, 0.02, " k*", color="0.4", fontsize=7, transform=panel.get_xaxis_transform())
        panel.set(title=part, xlabel="eigen-index i")
    panels[0].set_ylabel("part of the excess risk")
    panels[1].legend(loc="lower left", bbox_to_anchor=(0.0, 0.08))
    ratios = [found[name].total / found["exact"].total for name in ("upper bound", "lower bound")]
    fig.suptitle(f"in total: upper bound / exact = {ratios[0]:.3g}, lower bound / exact = {ratios[1]:.3g}", fontsize=8)
    display(fig)
    plt.close(fig)


picture()
found = three(0.5, 2000)
for part in ("bias", "variance"):
    low, true, high = (getattr(found[name], part) for name in ("lower bound", "exact", "upper bound"))
    assert np.all(low <= true)
    assert np.all(true <= high)
spread = found["upper bound"].modes / found["lower bound"].modes
Markdown(
    "**What to see.** The three have much the same shape: they fall in the tail, and bend at the same place, $k^*$ "
    "(the bounds have a corner there, the truth a curve). That is what the theorem is about, and it is right. What "
    f"it does not know is the constant: between the two bounds lies a factor of {spread.min():.0f} to "
    f"{spread.max():.0f}, mode for mode. Exact lies between them in every single mode, of bias and of variance."
)

# %% [markdown]
# In a live notebook: move the rate towards the largest that the theorem allows, and watch which part of the bound takes
# off.

# %% tags=["slider"]
_ = widgets.interact(
    picture,
    share=widgets.FloatSlider(0.5, min=0.02, max=0.98, step=0.02),
    steps=widgets.SelectionSlider(options=[500, 1000, 2000, 4000, 8000, 16000], value=2000),
    decay=widgets.FloatSlider(1.5, min=1.1, max=3.0, step=0.1),
)

# %% [markdown]
# ## How tight, and why
#
# Bound over exact, by eigen-index. For a small rate the variance can be worked out by hand. Noise of step $t$ reaches
# the average in proportion to $1 - (1 - \eta \lambda)^{N - t}$, and with $x = \eta \lambda N$
#
# $$ \text{variance of a mode} \approx \frac{\sigma^2}{2 N} \left( 1 - 2\, \frac{1 - e^{-x}}{x} + \frac{1 - e^{-2x}}{2x} \right)
#    \to \frac{\sigma^2}{2 N} \quad (x \gg 1), \qquad \to \frac{\sigma^2}{2 N} \frac{x^2}{3} \quad (x \ll 1) . $$
#
# So the bound is loose by 4 in the head and by 12 in the tail, and most at the corner that it puts at $k^*$; all of it
# over the margin $1 - 3 \eta \operatorname{tr} H$, which the proof pays for fourth moments.


# %%
def predicted(lam: np.ndarray, share: float, steps: int) -> np.ndarray:
    """Upper bound over variance for a small rate."""
    x = share / (3 * lam.sum()) * lam * steps
    variance = 0.5 * (1 + 2 * np.expm1(-x) / x - np.expm1(-2 * x) / (2 * x))
    return 2 * np.minimum(1, x**2) / variance / (1 - share)


# %%
cases = {
    "rate, as a share of the largest allowed": [((share, 4000), f"{share:g}") for share in (0.1, 0.5, 0.9)],
    "steps N": [((0.5, steps), f"{steps}") for steps in (500, 4000, 32000)],
}
fig, grid = plt.subplots(2, 2, figsize=(sl.plot.WIDTH, 4.2), sharex=True, sharey="row")
ratios = {}
for column, (title, chosen) in zip(grid.T, cases.items(), strict=True):
    for colour, (case, name) in zip(sl.plot.shades(3), chosen, strict=True):
        found = three(*case)
        ratios[case] = {
            part: getattr(found["upper bound"], part) / getattr(found["exact"], part) for part in ("bias", "variance")
        }
        for panel, part in zip(column, ("bias", "variance"), strict=True):
            panel.loglog(INDEX, ratios[case][part], color=colour, label=name)
        column[1].loglog(INDEX, predicted(spectrum()[0], *case), ":", color="black", lw=0.8)
    column[0].legend(title=title)
    column[1].set(xlabel="eigen-index i")
grid[0, 0].set_ylabel("bias: bound / exact")
grid[1, 0].set_ylabel("variance: bound / exact")
display(fig)
plt.close(fig)

small = ratios[0.1, 4000]["variance"]
off = np.max(np.abs(predicted(spectrum()[0], 0.1, 4000)[10:] / small[10:] - 1))
first, tail = (ratios[0.9, 4000]["bias"][j] for j in (0, -1))
peaks = [ratios[0.5, steps]["variance"].max() for steps in (500, 4000, 32000)]
assert off < 0.05
assert first > 20 * tail
assert max(peaks) < 1.05 * min(peaks)
Markdown(
    f"**What to see.** Variance (below): the hand calculation (dotted) is off by {off:.1%} at most beyond the tenth "
    f"mode for the smallest rate. The ratio is {small[0]:.1f} in the first mode, {small.max():.0f} near $k^*$, "
    f"{small[-1]:.1f} in the last. More steps only move the corner. Bias (above): the ratio goes to {tail:.1f} in the "
    f"tail even for the largest rate, but in the head it reaches {first:.0f} at nine tenths of the allowed rate: the "
    "bound fears that what other modes have not yet forgotten comes back as noise, and divides that fear by the "
    "small margin."
)

# %% [markdown]
# ## A bound as a guide
#
# Loose constants would not matter if the bound had its minimum where the truth has it. Does it? And what happens at a
# rate that the theorem does not cover?

# %%
lam, error = spectrum()
problem, steps, allowed = sl.LinearRegression(lam, error, SIGMA2), 1000, 1 / (3 * lam.sum())
rates = np.geomspace(0.004, 0.5, 60)
total = sl.exact(problem, {f"{lr}": averaged(lr, steps) for lr in rates}, record=2).total().isel(step=-1).values
bound = np.array([upper(lam, error, SIGMA2, lr, steps).total if lr < allowed else np.nan for lr in rates])

fig, axes = plt.subplots(figsize=(0.65 * sl.plot.WIDTH, 2.6))
for values, colour, name in ((bound, ORANGE, "upper bound"), (total, "black", "exact")):
    axes.loglog(rates, values, color=colour, label=name)
    axes.plot(rates[np.nanargmin(values)], np.nanmin(values), "o", color=colour, ms=5)
axes.axvspan(allowed, rates[-1], color="0.93", zorder=0)
axes.text(1.05 * allowed, 1.4, "not covered by\nthe theorem", fontsize=7, color="0.35", va="top")
axes.set(xlabel="learning rate", ylabel="excess risk of the average", ylim=(0.02, 2), xlim=rates[[0, -1]])
axes.legend(loc="lower left")
display(fig)
plt.close(fig)

by_bound, by_risk = int(np.nanargmin(bound)), int(np.argmin(total))
try:
    upper(lam, error, SIGMA2, rates[by_risk], steps)
    raise AssertionError("a rate outside the assumptions must be refused")
except theory.OutsideAssumptions as refusal:
    said = str(refusal)
critical = sl.stability(problem, averaged(0.1, steps)).critical_lr
assert by_bound < by_risk
Markdown(
    f"**What to see.** The bound is smallest at {rates[by_bound]:.3f}, the risk at {rates[by_risk]:.3f}: a rate "
    f"{rates[by_risk] / rates[by_bound]:.1f} times as large, and beyond what the theorem allows ({allowed:.3f}). "
    f"Following the bound costs {total[by_bound] / total[by_risk] - 1:.0%}. SGD itself is stable up to "
    f"{critical:.3f}. The largest rate in a theorem is about its proof.\n\nAsked about the best rate, the theorem "
    f"answers with a refusal, not with a number: “{said}”"
)

# %% [markdown]
# ## What no function can check
#
# The 3 in $3 \eta \operatorname{tr} H$ is the fourth moment of Gaussian features. The function sees eigenvalues, not
# data: if your features have heavier tails, it is for you to say so (the argument `psi`). What if you don't?

# %%
lr, rows = 0.6 * allowed, []
for kurtosis in (3.0, 10.0, 20.0, 40.0):
    heavy = sl.exact(sl.LinearRegression(lam, error, SIGMA2, kurtosis), averaged(lr, steps), record=2)
    risk = f"{float(heavy.total().isel(step=-1)):.3g}" if heavy.status.item() == "done" else "diverged"
    try:
        told = f"{upper(lam, error, SIGMA2, lr, steps, psi=kurtosis).total:.3g}"
    except theory.OutsideAssumptions:
        told = "refused"
    rows.append((f"{kurtosis:g}", risk, f"{upper(lam, error, SIGMA2, lr, steps).total:.3g}", told))
assert rows[0][1] != "diverged"
assert rows[-1][1] == "diverged"
assert all(row[3] == "refused" for row in rows[1:])
table = "\n".join(f"| {' | '.join(row)} |" for row in rows)
Markdown(
    "| kurtosis of the features | exact risk | bound, psi = 3 | bound, psi = kurtosis "
    f"|\n|---|---|---|---|\n{table}\n\n**What to see.** With the heaviest tails (last row) the run "
    "diverges while the bound of the third column promises a small risk: it was given a wrong assumption. With the "
    "right `psi` it refuses."
)

# %% [markdown]
# ## Equalities
#
# Not all theory is inequalities. For Gaussian features the risk of every mode obeys a discrete Volterra equation
# (Bordelon and Pehlevan 2022, [arXiv 2106.02713](https://arxiv.org/abs/2106.02713), extended to any schedule); the
# catalogue calls such an entry `exact`. The engine steps a recursion, the theorem solves that equation: other formulas,
# other code, same numbers? A third kind, `scaling`, claims an exponent alone: for $\lambda_i = i^{-(1+r)}$ the variance
# of the average should fall as $N^{-r / (1+r)}$, whatever the constants.

# %%
schedule = sl.schedules.cosine(1000, peak=0.3, warmup=0.05)
small_problem = sl.LinearRegression(lam[:200], error[:200], SIGMA2)
stated = theory.find("sgd_volterra")(lam[:200], error[:200], SIGMA2, schedule.values())
at = list(range(100, 1001, 100))
engine = sl.exact(small_problem, sl.methods.sgd(schedule), snapshots=at, record=2).dataset["mode_risk"]
difference = max(
    np.max(np.abs(getattr(stated, part)[at] / engine.sel(component=part).values - 1)) for part in ("bias", "variance")
)

fig, axes = plt.subplots(figsize=(0.65 * sl.plot.WIDTH, 2.4))
doubling, worst = 2 ** np.arange(4, 15), 0.0
for r, colour in zip((0.5, 1.0, 2.0), (BLUE, ORANGE, GREEN), strict=True):
    powers = np.arange(1.0, 10_001.0) ** -(1 + r)
    regression = sl.LinearRegression(powers, 0.0, SIGMA2)
    run = sl.exact(regression, averaged(1 / (6 * powers.sum()), doubling[-1]), record=doubling)
    variance = run.total().sel(step=doubling).values
    exponent = float(theory.find("zou_power_law_exponent")(r))
    measured = np.diff(np.log2(variance))
    assert measured[-1] > exponent
    worst = max(worst, measured[-1] - exponent)
    axes.semilogx(doubling[1:], measured, "o-", color=colour, ms=3, label=f"r = {r:g}")
    axes.axhline(exponent, color=colour, ls=":")
axes.set(xlabel="steps N", ylabel="exponent from N/2 to N", ylim=(-0.75, 0.5))
axes.legend(ncols=3, loc="upper right")
display(fig)
plt.close(fig)
assert difference < 1e-12
Markdown(
    f"**What to see.** The equality holds: over {2 * 200 * len(at):,} numbers (modes, bias and variance, steps of a "
    f"cosine with warm-up) engine and theorem differ by a factor of 1 ± {difference:.0e}. The exponents (dotted: "
    f"stated) are approached from above and missed by {worst:.3f} at N = {doubling[-1]}; at a few dozen steps they "
    "say little. An exponent without a constant is a claim about the limit."
)

# %% [markdown]
# ## How to read `simlab validate`
#
# What was done above for one problem, `simlab validate` does for every theorem of the catalogue on random problems:
# other spectra, initial errors, noise, rates, inside the assumptions and just outside. Here for three.

# %%
verdicts = validate(["zou_average_upper", "zou_average_lower", "sgd_volterra"], quick=True, processes=1, progress=False)
assert all(verdict.sound for verdict in verdicts)
as_text(table_of(verdicts))

# %% [markdown]
# - **kind**: what is claimed, and so what would contradict it. An `upper` bound must not lie below the exact value, a
#   `lower` one not above; `exact` must agree to rounding; `asymptotic` must come close as the steps grow; `scaling`
#   must have the exponent.
# - **instances**: how many random problems were drawn. **claims**: how many numbers were compared on them (one for each
#   part, mode or step that the theorem speaks of).
# - **wrong**: claims that came out contradicted. Anything but zero is an error in the theorem as printed, in its
#   transcription, or in the engine; below the table stands the first instance, and a second code is there to tell
#   which.
# - **refused**: cases just outside the assumptions, all of which must be refused. An assumption that is never checked
#   is one that nobody reads.
# - **bound / exact**: how loose. First the median over the instances, in brackets the worst; for all of the risk, its
#   bias and variance, head ($i \le k^*$) and tail. For an equality, the largest relative error in its place.
#
# The same table, drawn:

# %%
bounds = [verdict for verdict in verdicts if verdict.kind in ("upper", "lower")]
parts, colours = ("risk", "bias", "variance", "head", "tail"), ("black", *sl.plot.PALETTE[:4])
fig, axes = plt.subplots(figsize=(sl.plot.WIDTH, 2.3))
for j, verdict in enumerate(bounds):
    for k, (part, colour) in enumerate(zip(parts, colours, strict=True)):
        low, median, high = verdict.tightness(part)
        row = 6 * j + k
        axes.plot([low, high], [row, row], color=colour, lw=2.5, alpha=0.4, solid_capstyle="butt")
        axes.plot(median, row, ">" if verdict.kind == "upper" else "<", color=colour, ms=5, label=None if j else part)
axes.axvline(1, color="black", lw=0.8)
axes.set(xscale="log", xlabel="bound / exact: range over the instances, and median", ylim=(11, -1))
axes.set_yticks([2, 8], [verdict.theorem for verdict in bounds])
axes.grid(axis="y", visible=False)
axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5))
display(fig)
plt.close(fig)

above, below = ({verdict.kind: verdict.tightness("risk") for verdict in bounds}[kind] for kind in ("upper", "lower"))
assert above[0] >= 1 >= below[2]
Markdown(
    "**What to see.** Upper bounds lie right of one and lower bounds left of it, on every problem. The upper bound "
    f"on the whole risk is {above[1]:.1f} times too large in the median and {above[2]:.0f} times at worst; the lower "
    f"bound is {1 / below[1]:.0f} times too small in the median. Never is a bound closer than a factor of "
    f"{min(above[0], 1 / below[2]):.1f}."
)

# %% [markdown]
# ## Exercises
#
# **1.** The upper bound has a factor 2 in front. Could it be smaller? Find out how small with the check's own random
# problems, and see that `simlab validate` would notice a constant that is too small.
#
# <details><summary>Solution</summary>
#
# The smallest ratio of bound to exact over many problems is how much could be saved at most: below it, an instance
# contradicts the bound. It stays well above one, so the constant is not sharp. That no instance contradicts a better
# constant is evidence, not a proof.
#
# ```python
# from simlab.conformance.check import Comparison
# from simlab.conformance.judge import violations
# from simlab.conformance.validate import checks
#
# check = checks()["zou_average_upper"]
# drawn = [check.compare(check.draw(np.random.default_rng(seed))) for seed in range(60)]
#
#
# def contradicted(share):
#     """Of how many problems, if the bound on the risk were only that share of itself."""
#     scaled = [Comparison({"risk": share * c.stated["risk"]}, {"risk": c.true["risk"]}) for c in drawn]
#     return sum(bool(violations("upper", c, 1e-9)) for c in scaled)
#
#
# slack = min(float(c.stated["risk"] / c.true["risk"]) for c in drawn)
# print(f"smallest bound / exact: {slack:.2f}; contradicted at a tenth of the bound: {contradicted(0.1)}")
# assert slack > 2 and contradicted(1.0) == 0 and contradicted(1.001 / slack) == 0
# assert contradicted(0.999 / slack) > 0 and contradicted(0.1) > 20
# ```
#
# </details>
#
# **2.** For features of kurtosis $\kappa$ the theorem allows rates up to $1 / (\kappa \operatorname{tr} H)$. SGD itself
# has a limit, too. On isotropic data in one dimension and in many: what does the theorem give away as $\kappa$ grows?
#
# <details><summary>Solution</summary>
#
# In one dimension the limit is $2 / \kappa$ and the theorem allows half of it, for any $\kappa$. In many dimensions
# only a coordinate's own fourth moment is heavy, while its products with all others are not: the limit is
# $2 / (d + \kappa - 1)$, and the theorem, which has one constant for all of it, gives away nearly a factor of
# $2 \kappa$.
#
# ```python
# def given_away(dim, kurtosis):
#     data = sl.LinearRegression(np.ones(dim), 1.0, SIGMA2, kurtosis)
#     limit = sl.stability(data, sl.methods.sgd(sl.schedules.constant(10, 0.001))).critical_lr
#     assert abs(limit * (dim + kurtosis - 1) / 2 - 1) < 1e-6
#     return limit * kurtosis * dim
#
#
# for kurtosis in (3.0, 10.0, 30.0):
#     one, many = given_away(1, kurtosis), given_away(1000, kurtosis)
#     print(f"kurtosis {kurtosis:g}: {one:.2f} in one dimension, {many:.1f} in a thousand")
#     assert abs(one - 2) < 1e-6 and abs(many / (2 * kurtosis) - 1) < 0.04
# ```
#
# </details>
#
# **3.** Forgetting the first half: the tail average of $w_N, \dots, w_{2N-1}$ against the average of
# $w_0, \dots, w_{2N-1}$. What happens to bias, variance and risk, in truth and by the bounds (`zou_tail_upper`)? Would
# the bounds have told you to do it?
#
# <details><summary>Solution</summary>
#
# In truth bias falls, for the average begins after much of the start is forgotten; variance rises, for fewer iterates
# are averaged; and here the risk falls. The bounds say that the bias rises, and the risk with it: the constant of the
# term for returning errors is larger in the second theorem. **Comparing two upper bounds does not compare two
# methods.**
#
# ```python
# lr, half = 0.3 * allowed, 4000
# tail_bound = theory.find("zou_tail_upper")(lam, error, SIGMA2, lr, half, half)
# whole_bound = upper(lam, error, SIGMA2, lr, 2 * half)
# late = sl.methods.average(sl.methods.sgd(sl.schedules.constant(2 * half, lr)), start=half, form="old")
# both = sl.exact(problem, {"whole": averaged(lr, 2 * half), "tail": late}, record=2).by_component().isel(step=-1)
# parts = ("bias", "variance")
# true = {part: float(both.sel(run="tail", component=part) / both.sel(run="whole", component=part)) for part in parts}
# told = {part: float(getattr(tail_bound, part).sum() / getattr(whole_bound, part).sum()) for part in parts}
# risk = float(both.sel(run="tail").sum() / both.sel(run="whole").sum()), float(tail_bound.total / whole_bound.total)
# print("tail / whole, exact:", true, "by the bounds:", told, "risk:", risk)
# assert true["bias"] < 1 < true["variance"]
# assert told["bias"] > 1
# assert risk[0] < 1 < risk[1]
# ```
#
# </details>

# %% [markdown]
# ## What this does not tell you
#
# - A bound that survives every random problem is not thereby proved, and one that is loose on these may be tight on
#   others: its worst case need not look like a power law.
# - The bounds hold for the total risk, as printed. That they hold mode by mode as well is what was seen here; the paper
#   does not claim it.
# - Both sides are about least squares with fresh samples. A bound that is tight here says nothing about your network,
#   nor does one that is loose.
# - Theorems about the last iterate of convex functions, about schedules and about scaling laws are in the same
#   catalogue (`simlab theory`), with other assumptions. Read those first.
# - Next: you have a question of your own. [Notebook 8](08_your_own_hypothesis.ipynb) goes from the question to an
#   answer.
