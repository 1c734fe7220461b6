"""Tian et al. 2025 (arXiv 2507.17634), WSM: merging the checkpoints of a stable phase in place of a decay."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from simlab.figures.columns import first, stack
from simlab.figures.reproduction import Claim, Data, Reproduction, Scale, column
from simlab.theory.tian2025 import decay_to_merge, decayed_risk, merge_to_decay, merged_risk

import simlab as sl
from simlab.arrays import FloatArray
from simlab.plot import DASHES, PALETTE, WIDTH, new_figure, style

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PAPER = "Tian et al. 2025, arXiv 2507.17634"
DECAYS = ("linear", "cosine", "1-sqrt")


def decay(name: str, u: FloatArray) -> FloatArray:
    """Relative learning rates at progress u."""
    return {"linear": 1.0 - u, "cosine": 0.5 * (1.0 + np.cos(np.pi * u)), "1-sqrt": 1.0 - np.sqrt(u)}[name]


# -- weights both ways -------------------------------------------------------------------------------------------------

COSINE_16 = {0: 0.0085, 1: 0.0253, 2: 0.0411, 14: 0.0411, 15: 0.0253, 16: 0.0085}
SQRT_16 = {0: 0.2425, 1: 0.1005, 2: 0.0771, 15: 0.0308, 16: 0.0299}
TABLE = {
    0.001: {"decay": (0.951, 15.82), "merge": (0.951, 15.59)},
    0.01: {"decay": (0.605, 9.55), "merge": (0.630, 8.48)},
    0.1: {"decay": (0.0060, 0.705), "merge": (0.0950, 0.428)},
    1.0: {"decay": (0.0, 0.0226), "merge": (0.0050, 0.0050)},
}
"""Linear: mean factor and variance at eta = 0.5, n = 200 by eigenvalue, by an independent program."""
SQRT_TABLE = {"decay": (0.0333, 0.555), "merge": (0.269, 0.345)}
"""The same for 1-sqrt at eigenvalue 0.1."""


def compute_equivalence(scale: Scale) -> Data:
    k = 16
    weights: list[dict[str, Any]] = []
    gaps: list[dict[str, Any]] = []
    table: list[dict[str, Any]] = []
    for name in DECAYS:
        w = decay(name, np.arange(1, k + 1) / (k + 1))
        c = decay_to_merge(w)
        error = float(np.abs(merge_to_decay(c) - w).max())
        weights.append({"decay": name, "j": np.arange(k + 1), "merge": c, "lr": np.append(1.0, w), "error": error})
    lam = np.geomspace(1e-4, 1.0, 15 if scale == "tiny" else 81)
    steps, rate = 200, 0.5
    table_at = np.array(list(TABLE))
    for name in DECAYS:
        # From 1 at the first step, as a schedule is sampled here: c_0 = 0.
        w = decay(name, np.arange(steps) / steps)
        for form, at in (("curve", lam), ("table", table_at)):
            # Unit initial error and gradient noise of variance 1 in every mode.
            ways = {
                "decay": decayed_risk(at, 1.0, 1.0, rate * w),
                "merge": merged_risk(at, 1.0, 1.0, rate, decay_to_merge(w)),
            }
            for way, risk in ways.items():
                mean, variance = np.sqrt(2.0 * risk.bias / at), 2.0 * risk.variance / at
                row = {"decay": name, "way": way, "lam": at, "x": rate * at * steps, "mean": mean, "variance": variance}
                (gaps if form == "curve" else table).append(row)
    return {"weights": stack(weights), "gaps": stack(gaps), "table": stack(table)}


def draw_equivalence(data: Data) -> Figure:
    weights, gaps = data["weights"], data["gaps"]
    with style():
        figure = new_figure(WIDTH, 4.3)
        (a, b), (c, d) = figure.subplots(2, 2)
        for i, name in enumerate(first(weights["decay"])):
            look: dict[str, Any] = {"color": PALETTE[i], "ls": DASHES[i], "marker": ".", "label": name}
            j = column(weights, "j", decay=name)
            a.plot(j, column(weights, "lr", decay=name), **look)
            b.plot(j, column(weights, "merge", decay=name), **look)
            x, lam = (column(gaps, key, decay=name, way="decay") for key in ("x", "lam"))
            for axes, key in ((c, "mean"), (d, "variance")):
                for way, dash in (("decay", "-"), ("merge", "--")):
                    values = column(gaps, key, decay=name, way=way) * (lam if key == "variance" else 1.0)
                    # Linear and cosine leave the same of the start: the first is drawn wide, the second on it.
                    width = 3.0 if name == "linear" and key == "mean" and dash == "-" else 1.3
                    axes.plot(x, np.maximum(values, 1e-30), color=PALETTE[i], ls=dash, lw=width)
        a.set(title="(a) decay", xlabel="step $i$", ylabel="relative learning rate $w_i$")
        b.set(title="(b) checkpoint weights that stand for it", xlabel="checkpoint $j$", ylabel="merge weight $c_j$")
        b.legend()
        c.set(title="(c) what is left of the start", ylabel="mean factor", xscale="log", yscale="log", ylim=(1e-5, 2.0))
        d.set(title="(d) noise", ylabel="variance times $\\lambda$", xscale="log", yscale="log")
        for axes in (c, d):
            axes.set_xlabel(r"$\eta \lambda k$")
        c.plot([], [], "k-", label="decayed")
        c.plot([], [], "k--", label="merged")
        c.legend(loc="lower left")
    return figure


def claims_equivalence(data: Data) -> list[Claim]:
    weights, gaps, table = data["weights"], data["gaps"], data["table"]
    c = {name: column(weights, "merge", decay=name) for name in DECAYS}
    error = float(column(weights, "error").max())
    uniform = float(np.abs(c["linear"] - 1.0 / 17.0).max())
    off = max(
        *(abs(float(c["cosine"][j]) - value) for j, value in COSINE_16.items()),
        *(abs(float(c["1-sqrt"][j]) - value) for j, value in SQRT_16.items()),
    )
    misses = []
    for lam, ways in TABLE.items():
        for way, (mean, variance) in ways.items():
            got = [float(column(table, k, decay="linear", way=way, lam=lam)[0]) for k in ("mean", "variance")]
            misses += [abs(got[0] - mean), abs(got[1] / variance - 1.0)]
    for way, (mean, variance) in SQRT_TABLE.items():
        got = [float(column(table, k, decay="1-sqrt", way=way, lam=0.1)[0]) for k in ("mean", "variance")]
        misses += [abs(got[0] - mean), abs(got[1] / variance - 1.0)]
    x = column(gaps, "x", decay="linear", way="decay")
    merged, decayed = (
        {key: column(gaps, key, decay="linear", way=way) for key in ("mean", "variance")} for way in ("merge", "decay")
    )
    flat = x <= 0.1
    gap = max(float(np.abs(merged[key] / decayed[key] - 1.0)[flat].max()) for key in merged)
    middle = (x >= 1.0) & (decayed["mean"] > 1e-12)
    ratio = {key: merged[key][middle] / decayed[key][middle] for key in merged}
    return [
        Claim(
            "every decay that never rises is a merge, and back",
            "Theorem 1",
            "tail sums of the weights return the decay to 1e-15",
            f"{error:.1e}",
            error <= 1e-15,
        ),
        Claim(
            "linear decay is the plain mean of the checkpoints",
            "section 3",
            "all weights 1/(k + 1) to 1e-15",
            f"{uniform:.1e}",
            uniform <= 1e-15,
        ),
        Claim(
            "cosine weighs the middle checkpoints most, 1-sqrt the earliest",
            "weights c_j = w_j - w_(j+1) of Theorem 1, k = 16, by hand",
            ".0085 .0253 .0411 .. and .2425 .1005 .0771 .. .0308 .0299 to their digits",
            f"largest difference {off:.1e}; heaviest checkpoints {int(np.argmax(c['cosine']))} and"
            f" {int(np.argmax(c['1-sqrt']))}",
            off <= 5.1e-5,
            own=True,
        ),
        Claim(
            "for fixed gradients merging is decaying; in a run so where eta lam k << 1",
            "Theorem 1; mean and variance of both by their closed sums",
            "mean and variance within 5 % of each other for eta lam k <= 0.1",
            f"{gap:.2%}",
            gap <= 0.05,
            paper="equal for fixed gradients",
        ),
        Claim(
            "beyond, merging leaves more of the start and less noise",
            "mean factor sum_j c_j (1 - eta lam)^j against prod_i (1 - eta lam w_i)",
            "mean factor higher and variance lower for all eta lam k >= 1",
            f"mean x {ratio['mean'].min():.2f} or more, variance x {ratio['variance'].max():.3f} or less",
            bool(ratio["mean"].min() > 1.0 and ratio["variance"].max() < 1.0),
            own=True,
        ),
        Claim(
            "means and variances at eta = 0.5, n = 200 are those of an independent program",
            "noisy quadratic, unit noise and error: .951 15.82, .951 15.59, .605 9.55, .630 8.48, ..",
            "means to 5e-4, variances to 1 %",
            f"largest difference {max(misses[::2]):.1e} and {max(misses[1::2]):.1%}",
            max(misses[::2]) <= 5.1e-4 and max(misses[1::2]) <= 1e-2,
            own=True,
        ),
    ]


# -- merging in a run --------------------------------------------------------------------------------------------------

SOURCES = {"little in the tail": 2.0, "much in the tail": 1.2}
MAIN, OTHER = SOURCES
COUNTS = (1, 2, 4, 8, 16)
REGRESSION = (
    "a regression (power law of capacity 1.5, sigma^2 = 1) and its risk in place of a mixture of experts and scores"
)
PEAK = "peak 0.3"
PAPERS_WINDOWS = (0.015, 0.13)
"""Windows at which merging is held against decaying; the paper's are 80B and 400B of 10.2T tokens, 0.8 and 4 %."""


def compute_runs(scale: Scale) -> Data:
    dim, steps, count = {"tiny": (30, 200, 3), "quick": (500, 4_000, 9), "full": (5_000, 40_000, 12)}[scale]
    lengths = np.maximum((np.geomspace(0.02, 0.8, count) * steps / 16).round().astype(int), 1) * 16
    lengths = np.unique([*lengths, round(0.2 * steps / 16) * 16])
    fifth = int(lengths[np.argmin(np.abs(lengths - 0.2 * steps))])
    ends, spectrum = [], []
    for problem_name, source in SOURCES.items():
        problem = sl.LinearRegression.power_law(dim=dim, capacity=1.5, source=source, noise_variance=1.0)
        stable = sl.methods.sgd(sl.schedules.constant(steps, 0.3))
        runs: dict[str, sl.methods.Method] = {"constant": stable}
        facts = {"constant": ("constant", 0, 1)}
        for length in lengths.tolist():
            for shape in ("linear", "1-sqrt"):
                cooled = sl.schedules.wsd(steps, 0.3, cooldown=length, shape=shape)
                runs[f"{shape} {length}"] = sl.methods.sgd(cooled)
                facts[f"{shape} {length}"] = (f"decay, {shape}", length, 0)
            for number in (*COUNTS[1:], length):
                # Checkpoints at the ends of `number` equal parts of the window, as in table 4; all of them: every step.
                taken = steps - length // number * np.arange(number)[::-1]
                runs[f"merge {length} {number}"] = sl.methods.merge(stable, taken.tolist())
                facts[f"merge {length} {number}"] = ("merge", length, 0 if number == length else number)
        bins = sl.subspaces.log_bins(6)
        final = sl.exact(problem.compress(subspaces=bins), runs, record=2, subspaces=bins, progress=False).final()
        for label, (way, length, number) in facts.items():
            parts = {key: final.sel(run=label, component=key).values for key in ("bias", "variance")}
            row = {"problem": problem_name, "way": way, "window": length / steps, "count": number}
            ends.append({**row, **{key: float(values.sum()) for key, values in parts.items()}})
            if length == fifth and number == 0 and way != "decay, 1-sqrt":
                spectrum.append({"problem": problem_name, "way": way, "bin": final["subspace"].values, **parts})
    return {"ends": stack(ends), "spectrum": stack(spectrum)}


def _risk(data: Data, **where: object) -> tuple[FloatArray, FloatArray]:
    """Windows and risks of the runs of one kind, in order of the window."""
    window, bias, variance = (column(data["ends"], key, **where) for key in ("window", "bias", "variance"))
    order = np.argsort(window)
    return window[order], (bias + variance)[order]


def draw_runs(data: Data) -> Figure:
    spectrum = data["spectrum"]
    with style():
        figure = new_figure(WIDTH, 4.8)
        (a, b), (c, d) = figure.subplots(2, 2)
        for axes, problem, tag in ((a, MAIN, "a"), (b, OTHER, "b")):
            for i, shape in enumerate(("linear", "1-sqrt")):
                axes.plot(
                    *_risk(data, problem=problem, way=f"decay, {shape}"), color=PALETTE[i], label=f"decay, {shape}"
                )
            window, risk = _risk(data, problem=problem, way="merge", count=0)
            axes.plot(window, risk, "k^", ms=3.5, label="merge of all iterates")
            for i, count in enumerate(COUNTS[1:]):
                window, risk = _risk(data, problem=problem, way="merge", count=count)
                axes.plot(
                    window, risk, color=PALETTE[2 + i], ls=DASHES[(1 + i) % 4], marker=".", label=f"merge of {count}"
                )
            axes.axhline(_risk(data, problem=problem, way="constant")[1][0], color="0.6", lw=0.8, label="neither")
            axes.set(xscale="log", yscale="log", xlabel="window, fraction of the run", title=f"({tag}) {problem}")
            axes.set_xticks([0.02, 0.05, 0.1, 0.2, 0.5], ["0.02", "0.05", "0.1", "0.2", "0.5"])
            axes.set_xticks([], minor=True)
        a.set_ylabel("excess risk")
        figure.legend(*a.get_legend_handles_labels(), loc="outside upper center", ncols=4)
        for axes, key, tag in ((c, "bias", "c"), (d, "variance", "d")):
            labels = first(spectrum["bin"])
            for i, way in enumerate(("decay, linear", "merge")):
                values = column(spectrum, key, problem=MAIN, way=way)
                axes.plot(values, color=PALETTE[i], ls="none", marker="os"[i], ms=5, mfc=("none", None)[i], label=way)
            axes.set_xticks(np.arange(len(labels)), labels)
            axes.tick_params(axis="x", labelrotation=20)
            axes.set(xlabel="eigen-indices", ylabel=key, yscale="log", title=f"({tag}) {key} by subspace, window 20 %")
        d.legend()
    return figure


def claims_runs(data: Data) -> list[Claim]:
    best: dict[str, dict[str, tuple[float, float]]] = {}
    kinds: dict[str, dict[str, Any]] = {"merge": {"way": "merge", "count": 0}, "decay": {"way": "decay, 1-sqrt"}}
    for problem in SOURCES:
        best[problem] = {}
        for way, where in kinds.items():
            window, risk = _risk(data, problem=problem, **where)
            best[problem][way] = (float(risk.min()), float(window[np.argmin(risk)]))
    plain = {problem: float(_risk(data, problem=problem, way="constant")[1][0]) for problem in SOURCES}
    window, sixteen = _risk(data, problem=MAIN, way="merge", count=16)
    # The paper's windows are shorter than any of these: the counts are judged at the shortest.
    by_count = {
        p: [plain[p], *(float(_risk(data, problem=p, way="merge", count=n)[1][0]) for n in COUNTS[1:])] for p in SOURCES
    }
    over_windows = float(sixteen.max() / sixteen.min())
    at = int(np.argmin(sixteen))
    widest = [float(_risk(data, problem=MAIN, way="merge", count=n)[1][at]) for n in COUNTS[1:]]
    over_counts = max(widest[1:]) / min(widest[1:])
    with_two = max(widest) / min(widest)
    ratio = {p: best[p]["merge"][0] / best[p]["decay"][0] for p in SOURCES}
    short = {p: _short_ratios(data, p) for p in SOURCES}
    parts = {
        key: [column(data["spectrum"], key, problem=MAIN, way=way) for way in ("merge", "decay, linear")]
        for key in ("bias", "variance")
    }
    merged_bias, decayed_bias = parts["bias"]
    merged_noise, decayed_noise = parts["variance"]
    given: dict[str, Any] = {"chosen": PEAK, "substituted": REGRESSION}
    counts = "; ".join(f"{', '.join(f'{value:.4f}' for value in values)} ({p})" for p, values in by_count.items())
    return [
        Claim(
            "merging the checkpoints of a stable run does a decay's work",
            "abstract",
            "best merge below the constant run, both problems",
            ", ".join(f"{best[p]['merge'][0] / plain[p]:.3f} of it" for p in SOURCES),
            all(best[p]["merge"][0] < plain[p] for p in SOURCES),
            **given,
        ),
        Claim(
            "merging is as good as wsd with a 1-sqrt decay",
            "abstract",
            "within 5 % of the decay's risk at each window from 2 to 13 % of the run, both problems",
            ", ".join(f"{values.min():.3f} .. {values.max():.3f} ({p})" for p, values in short.items()),
            all(abs(values - 1.0).max() <= 0.05 for values in short.values()),
            "with multiplicative noise an average along the path of the high rate keeps more noise than a decay",
            paper="better: +3.5 % on MATH, +2.9 % on HumanEval, +5.5 % on MMLU-Pro, with annealing data",
            turns="at the best window of each, " + ", ".join(f"merge / decay {ratio[p]:.3f} ({p})" for p in SOURCES),
            **given,
        ),
        Claim(
            "the duration of the merge matters most",
            "abstract",
            "16 checkpoints: largest / smallest risk over windows above that over 4 .. 16 checkpoints",
            f"{over_windows:.2f} against {over_counts:.2f} (window {window[at]:.2f})",
            over_windows > over_counts,
            "the number of checkpoints matters more at a window this long",
            paper="the most critical factor, above the interval and the number of checkpoints",
            turns=f"with 2 checkpoints among the counts: {over_windows:.2f} against {with_two:.2f} here, against"
            f" {by_count[MAIN][1] / by_count[MAIN][-1]:.2f} at the shortest",
            **given,
        ),
        Claim(
            "at one duration 16 and 8 checkpoints are alike, fewer are worse, one is worst",
            "table 4",
            "8 within 10 % of 16, risk rises from 8 to 4 to 2 to 1, at the shortest window, both problems",
            f"1, 2, 4, 8, 16: {counts}",
            all(v[3] <= 1.1 * v[4] and v[:4] == sorted(v[:4], reverse=True) for v in by_count.values()),
            "the iterates of a window this long are nearly independent, so that each further checkpoint counts",
            paper="80B of 10.2T tokens, 0.8 % of the run",
            turns=f"at the window that is best for 16 checkpoints ({window[at]:.0%}) 8 of them are "
            f"{widest[2] / widest[3]:.2f} x as bad",
            **given,
        ),
        Claim(
            "where merging and decaying differ, merging has more bias and less variance, subspace by subspace",
            "the closed sums of the noisy quadratic, asked of a regression",
            "bias not lower and variance not higher in any subspace, window 20 %",
            f"bias x {np.min(merged_bias / decayed_bias):.3f} or more, variance x"
            f" {np.min(merged_noise / decayed_noise):.3f} .. {np.max(merged_noise / decayed_noise):.3f}",
            bool(np.all(merged_bias >= decayed_bias) and np.all(merged_noise <= decayed_noise)),
            "multiplicative noise grows with the risk, and merging stays on the path of the high rate: less of both in "
            "the head, more variance in the middle",
            own=True,
        ),
    ]


def _short_ratios(data: Data, problem: str) -> FloatArray:
    """Risk of merging all iterates over that of the 1-sqrt decay at each window of PAPERS_WINDOWS."""
    window, merged = _risk(data, problem=problem, way="merge", count=0)
    _, decayed = _risk(data, problem=problem, way="decay, 1-sqrt")
    low, high = PAPERS_WINDOWS
    return np.asarray((merged / decayed)[(window >= low) & (window <= high)])


FIGURES = [
    Reproduction(
        "tian2025-equivalence",
        "Decay and merge weights both ways, and where the equivalence ends",
        PAPER,
        2025,
        "Weights for k = 16. Noisy quadratic, unit noise and unit initial error in every mode, eta = 0.5, k = 200:"
        " decayed (w_i = f((i-1)/k)) and merged with the weights that stand for it, over eta lam k.",
        compute_equivalence,
        draw_equivalence,
        claims_equivalence,
        seconds=0.2,
    ),
    Reproduction(
        "tian2025-runs",
        "Merging against decaying in a run: duration, count, subspaces",
        PAPER,
        2025,
        "Linear regression, capacity 1.5, source 2.0 or 1.2, sigma^2 = 1, d = 5,000 (quick: 500), T = 40,000 (quick:"
        " 4,000) steps at 0.3; decay over the last part of the run, or equal merge of checkpoints of that part.",
        compute_runs,
        draw_runs,
        claims_runs,
        chosen=(PEAK, "windows from 2 % of the run on"),
        substituted=(REGRESSION,),
        seconds=1.0,
    ),
]
