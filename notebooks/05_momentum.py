# %% [markdown]
# # 5. Momentum: a gain without noise, a price with it
#
# **Goal.** See what heavy ball and Nesterov gain on a quadratic without noise, why nothing of it is left at batch size one, and from
# which batch on it comes back. Then a method that is accelerated with one sample a step.
#
# **Prerequisites.** [Notebook 3](03_schedules.ipynb): the critical learning rate and its dependence on the batch.

# %%
# %matplotlib inline
# %config InlineBackend.figure_format = "retina"
import math

import ipywidgets as widgets
import matplotlib.pyplot as plt
import numpy as np
from IPython.display import Markdown, display

import simlab as sl

sl.plot.use_style()
BLUE, ORANGE, GREEN, PINK = sl.plot.PALETTE[:4]

# %% [markdown]
# ## The equation
#
# Momentum keeps a velocity, $v \leftarrow \beta v - \eta\, g$, $w \leftarrow w + v$; Nesterov's form takes the gradient $g$ at
# $w + \beta v$. In one mode of curvature $\lambda$ each is a matrix of size two that acts on $(w - w^*, v)$,
#
# $$z \leftarrow A_\lambda z, \qquad A_\lambda = M - \lambda\, b\, c^\top, \qquad
# M = \begin{pmatrix} 1 & \beta \\ 0 & \beta \end{pmatrix}, \quad b = \begin{pmatrix} \eta \\ \eta \end{pmatrix}, \quad
# c = \begin{pmatrix} 1 \\ 0 \end{pmatrix} \text{ or } \begin{pmatrix} 1 \\ \beta \end{pmatrix},$$
#
# and the error shrinks a step by the spectral radius $\rho(A_\lambda)$. The slowest mode counts. With condition number
# $\kappa = \lambda_1 / \lambda_d$ the best constant parameters give (Lessard, Recht and Packard 2016,
# [arXiv 1408.3595](https://arxiv.org/abs/1408.3595), proposition one)
#
# $$\rho_{\text{gradient descent}} = \frac{\kappa - 1}{\kappa + 1}, \qquad
# \rho_{\text{Nesterov}} = 1 - \frac{2}{\sqrt{3 \kappa + 1}}, \qquad
# \rho_{\text{heavy ball}} = \frac{\sqrt \kappa - 1}{\sqrt \kappa + 1} .$$
#
# The square root is the whole fame of momentum: at $\kappa = 10^4$ it is the difference of a day and a season.

# %%
KAPPA, SIGMA2 = 1_000, 0.01
lam = np.geomspace(1, 1 / KAPPA, 100)
problem = sl.LinearRegression(lam, initial_error=1.0, noise_variance=SIGMA2)
root, wide = math.sqrt(KAPPA), math.sqrt(3 * KAPPA + 1)
formulas = {
    "gradient descent": (KAPPA - 1) / (KAPPA + 1),
    "Nesterov": 1 - 2 / wide,
    "heavy ball": (root - 1) / (root + 1),
}


def constant(lr: float, steps: int) -> sl.schedules.Schedule:
    return sl.schedules.constant(steps, lr)


def tuned(steps: int, batch: float = math.inf) -> dict[str, sl.methods.Method]:
    """Best for the quadratic without noise: lam_1 = 1, lam_d = 1 / kappa."""
    heavy = constant((2 / (1 + 1 / root)) ** 2, steps), ((root - 1) / (root + 1)) ** 2
    look = constant(4 / (3 + 1 / KAPPA), steps), (wide - 2) / (wide + 2)
    return {
        "gradient descent": sl.methods.sgd(constant(2 / (1 + 1 / KAPPA), steps), batch),
        "Nesterov": sl.methods.nesterov(*look, batch),
        "heavy ball": sl.methods.heavy_ball(*heavy, batch),
    }


def radius(method: sl.methods.Method) -> np.ndarray:
    """Of every mode."""
    M, b, c = (array[0] for array in method.coefficients(0, 1))
    return np.abs(np.linalg.eigvals(M - lam[:, None, None] * np.outer(b, c))).max(axis=1)


# %% [markdown]
# Each at its best, without noise (the full gradient, `batch=math.inf`):

# %%
methods = tuned(400)
trace = sl.exact(problem, methods, record="all").total()
fig, (left, right) = plt.subplots(1, 2, figsize=(sl.plot.WIDTH, 2.6))
for (name, method), colour in zip(methods.items(), (BLUE, GREEN, ORANGE), strict=True):
    left.plot(trace["step"], trace.sel(run=name), color=colour, label=name)
    right.plot(lam, -np.log(radius(method)), color=colour)
    assert abs(radius(method).max() - formulas[name]) < 1e-6
left.set(yscale="log", xlabel="step", ylabel="risk", ylim=(1e-12, 1e3))
left.legend(loc="lower left")
right.set(
    xscale="log",
    yscale="log",
    xlim=(1.3, 0.7 / KAPPA),
    xlabel=r"eigenvalue $\lambda$ (decreasing)",
    ylabel=r"rate of the mode, $-\log \rho$",
)
display(fig)
plt.close(fig)

early = trace.sel(run="heavy ball").values
assert early.max() > early[0]
assert trace[-1, -1] < 1e-6
rows = "\n".join(
    f"| {name} | {formula:.4f} | {-math.log(10) / (2 * math.log(formula)):.0f} |" for name, formula in formulas.items()
)
Markdown(
    "**What to see.** Left: without noise, momentum wins by far, after a start in which heavy ball overshoots "
    f"(to {early.max() / early[0]:.0f} times the initial risk). Right: why. Gradient descent learns each mode at a rate proportional "
    "to its curvature. Heavy ball is tuned such that all modes oscillate, at one common rate $\\sqrt\\beta$: the head gives up speed "
    "that it does not need, the tail gains it. The largest radii agree with the formulas:\n\n"
    f"| | radius | steps for a tenth of the risk |\n|---|---|---|\n{rows}"
)

# %% [markdown]
# ## The price
#
# Now one sample a step. A gradient is felt for $1/(1 - \beta)$ steps: the long-run step is $\eta_\beta = \eta / (1 - \beta)$, the
# **effective rate**. Noise is felt as long. In each mode the noise floor of heavy ball, and that of SGD, are
#
# $$\frac{\sigma^2}{2 B} \cdot \frac{\eta_\beta \lambda}{2 - \eta_\beta \lambda \frac{1 - \beta}{1 + \beta}} \qquad\text{and}\qquad
# \frac{\sigma^2}{2 B} \cdot \frac{\eta_\beta \lambda}{2 - \eta_\beta \lambda}$$
#
# up to what modes do to each other (Wang, Huang, Li and Wu 2026 derive stability limits from it). At small $\eta_\beta \lambda$ this is the
# same number, and the bias is that of SGD with $\eta_\beta$ as well. Momentum then is SGD under another name.

# %%
EFFECTIVE, MOMENTUM, STEPS = 0.03, 0.9, 10_000


def trio(effective: float, momentum: float, batch: float, steps: int) -> dict[str, sl.methods.Method]:
    """Three methods with one effective rate."""
    slow = constant(effective * (1 - momentum), steps)
    return {
        "SGD": sl.methods.sgd(constant(effective, steps), batch),
        "heavy ball": sl.methods.heavy_ball(slow, momentum, batch),
        "Nesterov": sl.methods.nesterov(slow, momentum, batch),
    }


alone = sl.NoisyQuadratic(lam, 1.0, SIGMA2 * lam)  # the same noise, but modes leave one another alone
for name, beta in (("SGD", 0.0), ("heavy ball", MOMENTUM)):
    stated = SIGMA2 / 2 * np.sum(EFFECTIVE * lam / (2 - EFFECTIVE * lam * (1 - beta) / (1 + beta)))
    assert abs(sl.stability(alone, trio(EFFECTIVE, MOMENTUM, 1, 10)[name]).noise_floor / stated - 1) < 1e-9

parts = sl.exact(problem, trio(EFFECTIVE, MOMENTUM, 1, STEPS), record=300).by_component()
rates = np.geomspace(1e-3, 1, 60)
floors = {
    name: [sl.stability(problem, trio(x, MOMENTUM, 1, 10)[name]).noise_floor for x in rates]
    for name in trio(1, 0, 1, 1)
}
ends = {
    name: sl.stability(problem, method).critical_lr * EFFECTIVE / method.learning_rate.peak()
    for name, method in trio(EFFECTIVE, MOMENTUM, 1, 10).items()
}

# %%
LOOK = {"SGD": (BLUE, "-"), "heavy ball": (ORANGE, "--"), "Nesterov": (GREEN, ":")}
unit = SIGMA2 / 4 * lam.sum() * rates
fig, (left, right) = plt.subplots(1, 2, figsize=(sl.plot.WIDTH, 2.6))
for name, (colour, dashes) in LOOK.items():
    left.plot(parts["step"], parts.sel(run=name), dashes, color=colour)
    right.plot(rates, floors[name] / unit, dashes, color=colour, label=name)
left.set(xscale="log", yscale="log", xlim=(1, STEPS), ylim=(1e-6, 30), xlabel="step", ylabel="risk")
for word, place in (("bias", (3, 10)), ("variance", (3, 4e-4))):
    left.annotate(word, place)
right.legend(loc="upper left")
right.set(
    xscale="log",
    ylim=(0, 5),
    xlabel=r"effective rate $\eta_\beta$",
    ylabel=r"floor / ($\frac{1}{4} \sigma^2 \eta_\beta\, \mathrm{tr} H$)",
)
display(fig)
plt.close(fig)

late = parts.sel(step=slice(300, None)).sum("component")
apart = float(np.abs(late.sel(run="heavy ball") / late.sel(run="SGD") - 1).max())
small = {name: floor[0] / floors["SGD"][0] for name, floor in floors.items()}
assert apart < 0.1
assert all(abs(ratio - 1) < 0.05 for ratio in small.values())
assert max(ends.values()) < 1.5 * ends["SGD"]
Markdown(
    f"**What to see.** Left: at batch size one and one effective rate, heavy ball with $\\beta$ = {MOMENTUM} is SGD, in bias and in variance; "
    f"after the first few hundred steps they differ by {apart:.1%} at most. Right: noise floors, in units of their small-rate value, up to "
    f"where each method becomes unstable: {', '.join(f'{end:.3f} ({name})' for name, end in ends.items())}. Momentum is allowed hardly "
    "more *effective* rate than SGD. That is all there is to gain here: at batch size one the noise sets the limit, not the curvature."
)

# %% [markdown]
# ## The critical batch
#
# With a batch of $B$ the noise is divided by $B$, and the limit it sets on the effective rate is lifted: about
# $2 B / \operatorname{tr} H$. The other limit, that of the curvature, is $2/\lambda_1$ for gradient descent, and
# $\frac{1 + \beta}{1 - \beta} \cdot \frac{2}{\lambda_1}$ for heavy ball. As long as the noise is the tighter of the two, momentum
# has nothing to offer. Beyond, SGD is stuck and momentum goes on.

# %%
momenta = (0.5, 0.8, 0.9, 0.95)
batches = [4**k for k in range(8)]
TARGET = 1e-3 * lam.sum() / 2


def heavy(effective: float, beta: float, batch: float, steps: int = 10) -> sl.methods.Method:
    return sl.methods.heavy_ball(constant(effective * (1 - beta), steps), beta, batch)


def limit(beta: float, batch: float) -> float:
    """The largest stable effective rate."""
    return sl.stability(problem, heavy(0.01, beta, batch)).critical_lr / (1 - beta)


def steps_needed(betas: tuple[float, ...], batch: int) -> int:
    """Steps to the target at the best rate and the best of these momenta."""
    longest = max(20_000 // batch, 300)
    runs = [heavy(x * limit(beta, batch), beta, batch, longest) for beta in betas for x in np.geomspace(0.05, 0.98, 14)]
    risk = sl.exact(problem, runs, record=400).total()
    return int(risk["step"][(risk < TARGET).any("run").argmax("step")])


needed = {
    "SGD": [steps_needed((0.0,), b) for b in batches],
    "heavy ball": [steps_needed(momenta[:3], b) for b in batches],
}

# %%
fig, (left, right) = plt.subplots(1, 2, figsize=(sl.plot.WIDTH, 2.6))
for beta, colour in zip((0.0, *momenta), sl.plot.shades(5), strict=True):
    left.plot(
        batches, [limit(beta, b) for b in batches], "o-", markersize=3, color=colour, label=rf"$\beta$ = {beta:g}"
    )
left.plot(batches, 2 * np.array(batches) / lam.sum(), "k:", label=r"$2B\, /\, \mathrm{tr} H$")
left.set(xscale="log", yscale="log", ylim=(0.05, 1000), xlabel="batch $B$", ylabel=r"largest stable $\eta_\beta$")
left.legend(loc="upper left", ncols=2)
for name, steps in needed.items():
    right.plot(batches, steps, "o-", markersize=3, color=LOOK[name][0], label=name)
right.plot(batches, needed["SGD"][0] / np.array(batches), "k:", label="the same samples")
right.set(xscale="log", yscale="log", ylim=(10, 2e4), xlabel="batch $B$", ylabel="steps to a thousandth of the risk")
right.legend()
display(fig)
plt.close(fig)

gain = np.array(needed["SGD"]) / np.array(needed["heavy ball"])
waste = {name: np.array(steps) * batches / needed["SGD"][0] for name, steps in needed.items()}
bend = {name: batches[int(np.argmax(used > 2))] for name, used in waste.items()}
assert all(abs(limit(beta, math.inf) * (1 - beta) / (1 + beta) - 2) < 1e-6 for beta in momenta)
assert gain[0] < 1.1
assert np.all(np.diff(gain) > -0.05)
assert bend["heavy ball"] > 2 * bend["SGD"]
Markdown(
    "**What to see.** Left: the largest stable effective rate grows like $B$ for every $\\beta$, and levels off at a value that "
    "momentum raises. Right: steps to the target, everything tuned. Up to a batch of about $\\operatorname{tr} H / \\lambda_1$ = "
    f"{lam.sum():.0f} more batch means as many fewer steps, with and without momentum; the gain of heavy ball is {gain[0]:.2f} times at $B$ = 1, "
    f"{gain[2]:.1f} at {batches[2]}, {gain[4]:.1f} at {batches[4]}, {gain[-1]:.1f} at {batches[-1]}. SGD needs over twice the samples from "
    f"$B$ = {bend['SGD']} on, heavy ball from {bend['heavy ball']}. *Momentum does not make a step better, it makes a larger batch useful.*"
)

# %% [markdown]
# ## Try it


# %%
def picture(effective: float = 1.5, momentum: float = 0.9, batch: int = 256) -> None:
    fig, (left, right) = plt.subplots(1, 2, figsize=(sl.plot.WIDTH, 2.4), sharey=True)
    trace = sl.exact(problem, trio(effective, momentum, batch, 1_000), record="linear")
    for name, (colour, dashes) in LOOK.items():
        for axes, part in ((left, "bias"), (right, "variance")):
            values = trace.by_component().sel(run=name, component=part)
            axes.plot(
                values["step"], values, dashes, color=colour, label=f"{name}: {trace.status.sel(run=name).item()}"
            )
            axes.set(title=part, yscale="log", ylim=(1e-7, 100), xlabel="step")
    left.set_ylabel("risk")
    right.legend(loc="upper right")
    display(fig)
    plt.close(fig)


picture()

# %% tags=["slider"]
_ = widgets.interact(
    picture,
    effective=widgets.FloatLogSlider(1.5, base=10, min=-2, max=1.5, step=0.05, readout_format=".3g"),
    momentum=widgets.FloatSlider(0.9, min=0, max=0.98, step=0.02),
    batch=widgets.SelectionSlider(options=[4**k for k in range(8)], value=256),
)
# %% [markdown]
# ## Accelerated at batch size one
#
# There are problems on which heavy ball *cannot* be accelerated with single samples, whatever its parameters (Kidambi et al. 2018,
# [arXiv 1803.05591](https://arxiv.org/abs/1803.05591)). ASGD (Jain et al. 2018, [arXiv 1704.08227](https://arxiv.org/abs/1704.08227))
# can. It keeps a cautious point and a far one, takes the gradient between them, and gives them a short and a long step:
#
# $$y = \alpha x + (1 - \alpha) v, \qquad x \leftarrow y - \delta\, g(y), \qquad v \leftarrow \beta y + (1 - \beta) v - \gamma\, g(y) .$$
#
# Its risk falls by a factor in $\sqrt{\kappa \tilde\kappa}$ steps, where $\tilde\kappa$, the statistical condition number, is
# $d + 2$ for Gaussian data. So take few dimensions and a large $\kappa$: two modes, $\lambda = 1$ and $1/\kappa$, one sample a step.
# The radii below are those of the exact second moments. ASGD has the paper's rule, SGD and heavy ball the best of a grid.


# %%
def memory(method: sl.methods.Method, two: sl.LinearRegression) -> float:
    """Steps in which the risk falls by a factor e, in the long run; infinite if it grows."""
    radius = sl.stability(two, method, period=1).spectral_radius
    return -1 / math.log(radius) if radius < 1 else math.inf


def accelerated(two: sl.LinearRegression, steps: int) -> sl.methods.Method:
    rule = sl.methods.jain_2018_rule(two, c1=0.49)
    return sl.methods.asgd(constant(rule["delta"], steps), rule["gamma"], rule["beta"], rule["alpha"])


kappas = [4**k for k in range(2, 7)]
times = {"SGD": [], "heavy ball": [], "ASGD": []}
for kappa in kappas:
    two = sl.LinearRegression([1, 1 / kappa], [1, 1], 0)
    times["SGD"].append(min(memory(sl.methods.sgd(constant(x, 5)), two) for x in (0.5, 0.55, 0.6, 0.64)))
    pairs = [(x, beta) for x in np.linspace(0.7, 0.98, 8) for beta in (0.6, 0.8, 0.9, 0.97, 0.99)]
    times["heavy ball"].append(min(memory(heavy(x, beta, 1), two) for x, beta in pairs))
    times["ASGD"].append(memory(accelerated(two, 5), two))

# %% [markdown]
# And a whole run at the largest $\kappa$, with label noise, beside SGD with ASGD's short step:

# %%
kappa, noise, steps = kappas[-1], 1e-3, 40_000
two = sl.LinearRegression([1, 1 / kappa], [1, math.sqrt(kappa)], noise)
runs = {
    "SGD": sl.methods.sgd(constant(sl.methods.jain_2018_rule(two, c1=0.49)["delta"], steps)),
    "ASGD": accelerated(two, steps),
    "ASGD, tail average": sl.methods.tail_average(accelerated(two, steps), 0.5),
}
parts = sl.exact(two, runs, record=400).by_component()

# %%
fig, (left, right) = plt.subplots(1, 2, figsize=(sl.plot.WIDTH, 2.6))
for (name, values), colour in zip(times.items(), (BLUE, ORANGE, PINK), strict=True):
    left.plot(kappas, values, "o-", markersize=3, color=colour, label=name)
left.set(xscale="log", yscale="log", xlabel=r"condition number $\kappa$", ylabel="steps for a factor e")
left.legend(loc="upper left")
for name, colour in (("SGD", BLUE), ("ASGD, tail average", GREEN), ("ASGD", PINK)):
    right.plot(parts["step"], parts.sel(run=name, component="bias"), color=colour, label=name)
    right.plot(parts["step"], parts.sel(run=name, component="variance"), ":", color=colour)
right.plot([], [], "k:", label="variance of each")
right.set(xscale="log", yscale="log", xlim=(30, steps), ylim=(1e-9, 2), xlabel="step", ylabel="bias (solid), variance")
right.legend(loc="lower left")
display(fig)
plt.close(fig)

slopes = {name: np.polyfit(np.log(kappas[2:]), np.log(values[2:]), 1)[0] for name, values in times.items()}
final = parts.isel(step=-1)
price = float(final.sel(run="ASGD", component="variance") / final.sel(run="SGD", component="variance"))
assert abs(slopes["SGD"] - 1) < 0.05
assert abs(slopes["heavy ball"] - 1) < 0.05
assert abs(slopes["ASGD"] - 0.5) < 0.06
assert 1 < price < 1.5
repaid = float(final.sel(run="ASGD", component="variance") / final.sel(run="ASGD, tail average", component="variance"))
shares = (parts / parts.isel(step=0)).sel(component="bias")
index = int(np.argmax(shares.sel(run="ASGD").values < 0.01))
behind = float(shares.sel(run="SGD")[index])
assert index > 0
assert behind > 0.3
Markdown(
    "**What to see.** Left: the time of SGD grows as $\\kappa$ to the power "
    f"{slopes['SGD']:.2f}, that of heavy ball as {slopes['heavy ball']:.2f} (a constant factor of "
    f"{times['SGD'][-1] / times['heavy ball'][-1]:.1f} better), that of ASGD as {slopes['ASGD']:.2f}: "
    f"{times['SGD'][-1] / times['ASGD'][-1]:.1f} times faster at $\\kappa$ = {kappas[-1]}, slower at {kappas[0]}. Right: a run at "
    f"$\\kappa$ = {kappa} with label noise, SGD with ASGD's short step. At step {int(parts['step'][index])}, when ASGD has one per cent of its bias (solid) left, SGD has {behind:.0%}. The "
    f"price in variance (dotted) is {price - 1:.0%} here, and an average over the second half pays it back {repaid:.0f} times over."
)

# %% [markdown]
# ## Exercises
#
# **1.** A colleague adds momentum $\beta = 0.9$ to SGD at batch size one, keeps the rate, and reports that the loss now falls much
# faster. What should the control experiment be, and what will it show?
#
# <details><summary>Solution</summary>
#
# SGD at ten times the rate. Adding momentum at a fixed rate multiplies the effective rate by $1/(1-\beta)$. Faster it is, with the
# noise floor that belongs to it, and the control does the same.
#
# ```python
# candidates = {
#     "with momentum": sl.methods.heavy_ball(constant(0.003, 3000), 0.9),
#     "without": sl.methods.sgd(constant(0.003, 3000)),
#     "control": sl.methods.sgd(constant(0.03, 3000)),
# }
# ends = dict(zip(candidates, sl.exact(problem, candidates, record=2).total().values[:, -1], strict=True))
# print({name: f"{end:.4f}" for name, end in ends.items()})
# assert ends["with momentum"] < 0.5 * ends["without"]
# assert abs(ends["with momentum"] / ends["control"] - 1) < 0.02
# ```
#
# </details>
#
# **2.** From which batch on may you use the parameters that are best without noise, those of the first picture? Guess for each of the
# three methods, then ask `sl.stability(problem, method).stable`.
#
# <details><summary>Solution</summary>
#
# Far beyond the critical batch. These parameters sit on the edge of stability of the steepest mode, where a little noise is
# amplified a lot, and heavy ball most of all: it is the fastest without noise and the most fragile with it.
#
# ```python
# first = {}
# for batch in 2 ** np.arange(18):
#     for name, method in tuned(10, int(batch)).items():
#         if name not in first and sl.stability(problem, method).stable:
#             first[name] = int(batch)
# print(first, f"tr H / lam_1 = {lam.sum():.0f}")
# assert lam.sum() < first["Nesterov"] < first["gradient descent"] < first["heavy ball"]
# ```
#
# </details>
#
# **3.** ASGD was shown on two modes. Spread thirty over the same range of eigenvalues. What becomes of its advantage, and why?
#
# <details><summary>Solution</summary>
#
# It shrinks. One sample tells little about thirty directions: the statistical condition number, $d + 2$, enters
# under the root, and where it comes near $\kappa$ the acceleration is gone. Momentum can be accelerated at batch size one
# only where one sample says enough about the curvature.
#
# ```python
# def advantage(dim):
#     spread = sl.LinearRegression(np.geomspace(1, 1 / kappa, dim), 1.0, 0)
#     limit = sl.stability(spread, sl.methods.sgd(constant(0.01, 5))).critical_lr
#     best = min(memory(sl.methods.sgd(constant(x * limit, 5)), spread) for x in (0.7, 0.8, 0.9))
#     return best / memory(accelerated(spread, 5), spread)
#
#
# gains = [advantage(dim) for dim in (2, 10, 30)]
# print(", ".join(f"{gain:.1f}" for gain in gains))
# assert gains[0] > 3
# assert gains[0] > gains[1] > gains[2] > 1
# ```
#
# </details>

# %% [markdown]
# ## What this does not tell you
#
# - Momentum in training runs is rarely tuned to the edge, and comes with schedules. With one that ends at zero, the noise
#   floors above matter less, and the transients more.
# - Adam's first moment is momentum; its second is not in this course. Preconditioning changes the spectrum itself.
# - The critical batch here is that of one quadratic at one target. It grows as the target falls, and in a network as training goes
#   on.
# - Nesterov's momentum is not in the last picture. Try it there, with a small rate and $1 - \beta$ of the order of $\kappa^{-1/2}$:
#   what a proof excludes for heavy ball it does not exclude for its neighbour.
# - The constants of the ASGD rule are those of a proof (the notes of this project had to reconstruct them). They are safe,
#   not best, and there are newer rules (`sl.methods.li_2024_rule`).
# - On curved losses momentum also carries one along: see the river valleys of [notebook 6](06_river_valleys.ipynb).
