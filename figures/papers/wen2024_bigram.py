"""Wen et al. 2024 (arXiv 2410.05192), section 4: certain next tokens are the river, uncertain ones the hills."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from simlab.figures.columns import first, stack
from simlab.figures.papers.wen2024 import PAPER
from simlab.figures.reproduction import Claim, Data, Reproduction, Scale, column, rows
from simlab.theory.wen2024 import bigram_hessian_trace

from simlab import methods, river, schedules
from simlab.arrays import FloatArray
from simlab.engines.descend import descend
from simlab.landscapes.bigram import DETERMINISTIC
from simlab.plot import DASHES, PALETTE, WIDTH, new_figure, shades, style

if TYPE_CHECKING:
    from matplotlib.figure import Figure

VOCABULARIES = (3, 5, 20, 50)
DETERMINISM = (1.0, 1.0, 0.99, 0.95, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2, 0.1, 0.0)
STEPS, EARLY, DECAY = 5000, 100, 4000
PEAK, BATCH = len(DETERMINISM) / 6.0, 5
SUBSTITUTED = "softmax bigrams, m on one token and the rest uniform, for a language model on text"
CHOSEN = (
    "prefixes equally frequent; gradient noise with the Hessian at the optimum as covariance",
    "sharpness as largest eigenvalue, or trace, of a prefix's block",
)


def compute(scale: Scale) -> Data:
    replicas, count = {"tiny": (16, 11), "quick": (64, 41), "full": (512, 201)}[scale]
    sharp = []
    for vocabulary in VOCABULARIES:
        model = river.bigram(np.linspace(0.0, 1.0, count), vocabulary=vocabulary)
        top = model.sharpness(model.optimum) / model.weight
        trace = bigram_hessian_trace(model.probabilities)
        sharp.append({"vocabulary": vocabulary, "uncertainty": model.uncertainty, "top": top, "trace": trace})
    return {"sharp": stack(sharp), **_learning(replicas)}


def _learning(replicas: int) -> Data:
    """Loss of each prefix over a WSD run, mean over replicas."""
    model = river.bigram(DETERMINISM, vocabulary=5)
    lr = schedules.wsd(STEPS, PEAK, cooldown=STEPS - DECAY)
    found = descend(
        model.landscape,
        methods.sgd(lr, batch=BATCH),
        replicas=replicas,
        noise=river.noise.like_hessian(1.0, model.optimum),
        record=np.arange(0, STEPS + 1, 100),
        paths=True,
        progress=False,
    )
    steps = found["step"].values
    losses = model.block_losses(found["iterate"].values)
    rows = [
        {
            "prefix": j,
            "uncertainty": uncertainty,
            "step": steps,
            "loss": losses[:, :, j].mean(axis=1),
            "error": losses[:, :, j].std(axis=1, ddof=1) / np.sqrt(replicas),
        }
        for j, uncertainty in enumerate(model.uncertainty.tolist())
    ]
    middle = found["iterate"].values[-1].mean(axis=0)
    end = {"uncertainty": model.uncertainty, "top": model.sharpness(middle) / model.weight}
    cap = 2.0 / model.landscape.sharpness(model.optimum)
    return {"learning": stack(rows), "end": end, "facts": {"replicas": [replicas], "cap": [cap], "peak": [PEAK]}}


def draw(data: Data) -> Figure:
    sharp, learning = data["sharp"], data["learning"]
    with style():
        figure = new_figure(WIDTH, 2.75)
        a, b, c = figure.subplots(1, 3, width_ratios=[1.0, 1.3, 1.0])
        for j, vocabulary in enumerate(first(column(sharp, "vocabulary"))):
            u, top = (column(sharp, key, vocabulary=vocabulary) for key in ("uncertainty", "top"))
            rank = spearman(u, top)
            a.plot(u, top, color=PALETTE[j], ls=DASHES[j], label=f"V = {vocabulary:.0f}: {rank:.2f}")
        u, trace = (column(sharp, key, vocabulary=VOCABULARIES[-1]) for key in ("uncertainty", "trace"))
        a.plot(u, trace, color="0.5", lw=0.9, label="trace, any V: 1")
        a.set(
            title="(a) curvature of a block", xlabel="uncertainty $1 - \\sum q^2$", ylabel="largest eigenvalue, trace"
        )
        a.set_ylim(0.0, 1.3)
        a.legend(title="rank correlation", fontsize=6, title_fontsize=6, loc="upper left", handlelength=1.6)
        prefixes = first(column(learning, "prefix"))
        levels = [float(column(learning, "uncertainty", prefix=p)[0]) for p in prefixes]
        colours = _colours(max(levels))
        for level, prefix in zip(levels, prefixes, strict=True):
            step, loss = (column(learning, key, prefix=prefix) for key in ("step", "loss"))
            b.plot(step[1:], loss[1:], color=colours.to_rgba(level), lw=1.0)
        b.axvspan(DECAY, STEPS, color="0.92", lw=0, zorder=0)
        b.text(0.5 * (DECAY + STEPS), 0.35, "decay", fontsize=6.5, color="0.4", ha="center", va="top")
        b.set(yscale="log", xlabel="step", ylabel="KL from the data", title="(b) loss of each prefix", ylim=(7e-4, 0.4))
        figure.colorbar(colours, ax=b, pad=0.02, aspect=28, label="uncertainty of the prefix")
        step, parts = _parts(data)
        for j, (name, values) in enumerate(parts.items()):
            c.plot(step[1:], values[1:], color=PALETTE[j], ls=DASHES[j], label=name)
        c.axvspan(DECAY, STEPS, color="0.92", lw=0, zorder=0)
        c.set(yscale="log", xlabel="step", ylabel="mean loss of a prefix", title="(c) certain and uncertain")
        c.set_yticks([0.003, 0.01, 0.03, 0.1], ["0.003", "0.01", "0.03", "0.1"])
        c.minorticks_off()
        c.legend(fontsize=6.5, loc=(0.18, 0.36))
    return figure


def _colours(largest: float) -> Any:
    """From certain (dark) to uncertain (light), by the uncertainty itself."""
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import LinearSegmentedColormap

    scale = ScalarMappable(cmap=LinearSegmentedColormap.from_list("uncertainty", shades(32)))
    scale.set_clim(0.0, largest)
    return scale


def spearman(x: FloatArray, y: FloatArray) -> float:
    """Spearman's rank correlation, ties at their mean rank."""
    from scipy.stats import spearmanr

    return float(spearmanr(np.round(x, 12), np.round(y, 12)).statistic)


def _parts(data: Data) -> tuple[FloatArray, dict[str, FloatArray]]:
    """Steps, and the mean loss of a certain and of an uncertain prefix."""
    learning = data["learning"]
    certain, others = _certain(data)
    step, loss = column(learning, "step"), column(learning, "loss")
    grid = np.unique(step)
    parts = {}
    for name, mask in ((f"uncertainty < {DETERMINISTIC:g}", certain), ("the others", others)):
        parts[name] = np.array([loss[mask & (step == t)].mean() for t in grid])
    return grid, parts


def claims(data: Data) -> list[Claim]:
    sharp, end = data["sharp"], data["end"]
    ranks, traces = {}, {}
    for vocabulary in VOCABULARIES:
        u, top, trace = (column(sharp, key, vocabulary=vocabulary) for key in ("uncertainty", "top", "trace"))
        ranks[vocabulary], traces[vocabulary] = spearman(u, top), spearman(u, trace)
    trained = spearman(column(end, "uncertainty"), column(end, "top"))
    grid, parts = _parts(data)
    at = {step: int(np.flatnonzero(grid == step)[0]) for step in (EARLY, DECAY, STEPS)}
    river_part, hills = parts.values()
    stable = [float(part[at[EARLY]] - part[at[DECAY]]) for part in (river_part, hills)]
    decay = [float(part[at[DECAY]] - part[at[STEPS]]) for part in (river_part, hills)]
    replicas = int(np.asarray(data["facts"]["replicas"])[0])
    cap = float(np.asarray(data["facts"]["cap"])[0])
    shown = ", ".join(f"{rank:.2f} (V = {vocabulary})" for vocabulary, rank in ranks.items())
    sampled = f"{replicas} runs, peak {PEAK:.3g} (cap 2/lam_max = {cap:.3g}), and the noise of a gradient"
    count = [int(np.sum(rows(data["learning"], step=STEPS) & mask)) for mask in _certain(data)]
    gain = [count[0] * decay[0], count[1] * decay[1]]
    share = gain[1] / sum(gain)
    return [
        Claim(
            "the more uncertain the next token, the larger the curvature: by the trace of the block",
            "section 4",
            "Spearman 1, every vocabulary",
            ", ".join(f"{rank:.4f}" for rank in traces.values()),
            min(traces.values()) > 1.0 - 1e-12,
            "the trace is another measure than the uncertainty",
            paper="uncertainty and sharpness are correlated, 0.39 on text",
            chosen="trace of the block as sharpness",
            substituted=SUBSTITUTED,
        ),
        Claim(
            "uncertainty and sharpness are correlated: by the largest eigenvalue of the block",
            "section 4",
            "Spearman > 0 at the optimum, V = 5",
            f"{ranks[5]:.2f} ({len(DETERMINISM)} prefixes)",
            ranks[5] > 0.0,
            "uniform prefixes, which are the most uncertain, have a small largest eigenvalue",
            paper="0.39 on text, by its own measure",
            chosen="largest eigenvalue as sharpness; V = 5",
            substituted=SUBSTITUTED,
            turns=f"fades with the vocabulary: {shown}; {trained:.2f} after the training drawn here, V = 5",
        ),
        Claim(
            "certain tokens are learned in the stable phase",
            "section 4",
            f"steps {EARLY} .. {DECAY:,}: the loss of a certain prefix falls, by ten times that of an uncertain one",
            f"{-stable[0]:+.4f} and {-stable[1]:+.4f} for a prefix",
            stable[0] > 0.0 and stable[0] >= 10.0 * stable[1],
            "uncertain prefixes are not yet at their stationary loss when the count begins",
            chosen=sampled,
            substituted=SUBSTITUTED,
        ),
        Claim(
            "uncertain tokens are learned in the decay",
            "section 4",
            f"steps {DECAY:,} .. {STEPS:,}: at least 90 % of what is gained over all prefixes",
            f"{share:.1%}; {decay[1]:.4f} for an uncertain prefix, {decay[0]:.4f} for a certain one",
            decay[1] > 0.0 and share >= 0.9,
            "certain prefixes still learn as much",
            chosen=sampled,
            substituted=SUBSTITUTED,
        ),
        Claim(
            "the rank correlation by the largest eigenvalue fades as the vocabulary grows",
            "largest eigenvalue of diag(q) - q q', 1/V for uniform q",
            f"decreasing over V = {', '.join(map(str, VOCABULARIES))}",
            shown,
            bool(np.all(np.diff(list(ranks.values())) < 0.0)),
            own=True,
        ),
    ]


def _certain(data: Data) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
    """Rows of certain, and of uncertain prefixes."""
    certain = column(data["learning"], "uncertainty") < DETERMINISTIC
    return certain, ~certain


FIGURES = [
    Reproduction(
        "wen2024-bigram",
        "Bigrams: certain tokens are learned in the stable phase, uncertain ones in the decay",
        PAPER,
        2024,
        "Softmax logits for each prefix, L = mean KL(q || p). (a) Curvature of a prefix's block at the optimum against"
        " its uncertainty, vocabulary V = 3 .. 50. (b), (c) 14 prefixes of determinism 1 .. 0, V = 5, WSD over 5,000"
        " steps at a peak of 14/6, batch 5, decay over the last 1,000; means over 64 runs (full: 512).",
        compute,
        draw,
        claims,
        chosen=CHOSEN,
        substituted=(SUBSTITUTED,),
        seconds=1.0,
    ),
]
