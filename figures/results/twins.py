"""Twins of language models: what they and other laws predict of schedules that were not trained on, and advise."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.ticker import NullFormatter, ScalarFormatter
from simlab.figures.columns import first, stack
from simlab.figures.measurements import measured
from simlab.figures.reproduction import Claim, Data, Reproduction, Scale, column

import simlab as sl
from simlab.plot import DASHES, PALETTE, WIDTH, new_figure, style
from simlab.twin import Curve, Twin

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["FIGURES"]

WORK = "This project"
FOLDER = "loss_curves/multi_power_law"
SIZES = ("25M", "100M")
PEAK, WARMUP, DECAY = 3e-4, 2160, 0.1
SPLIT = ("cosine_24000", "constant_24000", "wsdcon_9")
"""What Luo et al. fit to."""


def schedules() -> dict[str, sl.schedules.Schedule]:
    """The nine recipes of Luo et al. 2025."""
    of = sl.schedules
    stable: dict[str, Any] = {"peak": PEAK, "warmup": WARMUP}
    return {
        **{f"cosine_{n}": of.cosine(n, floor=0.1, **stable) for n in (24_000, 72_000)},
        **{f"constant_{n}": of.constant(n, **stable) for n in (24_000, 72_000)},
        "wsd_20000_24000": of.wsd(24_000, cooldown=4000, shape="exponential", floor=0.1, **stable),
        "wsdld_20000_24000": of.wsd(24_000, cooldown=4000, floor=0.1, **stable),
        **{f"wsdcon_{v}": of.join(of.constant(8000, **stable), of.constant(8000, v * 1e-5)) for v in (3, 9, 18)},
    }


def curves(size: str) -> dict[str, Curve]:
    """The measured curves of one model, by schedule."""
    out = {}
    for name, schedule in schedules().items():
        path = measured(FOLDER) / size / f"{name}.csv"
        table = np.genfromtxt(path, delimiter=",", names=True)
        kept = table["step"] <= len(schedule)
        out[name] = Curve(schedule, table["step"][kept], table["loss"][kept], name=name)
    return out


def fitted(trained: list[Curve], linear: bool = False) -> Twin:
    """A twin of these curves; what it says of itself (one smooth curve, say) stands in the figure."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        return sl.twin.fit(trained, weight_decay=DECAY, linear=linear)


def _sizes(scale: Scale) -> tuple[str, ...]:
    return SIZES[:1] if scale == "tiny" else SIZES


# -- residuals ---------------------------------------------------------------------------------------------------------


def compute_residuals(scale: Scale) -> Data:
    """residuals: predicted minus measured loss on held-out schedules, by model and law; cover: what the bands hold."""
    residuals, cover = [], []
    for size in _sizes(scale):
        of = curves(size)
        trained = [of[name] for name in SPLIT]
        twin = fitted(trained)
        laws = {name: sl.twin.laws.fit(trained, name, weight_decay=DECAY) for name in sl.twin.laws.LAWS}
        for name, curve in of.items():
            if name in SPLIT:
                continue
            band = twin.predict(curve.schedule, steps=curve.steps)
            inside = np.mean((band.lower <= curve.losses) & (curve.losses <= band.upper))
            cover.append({"size": size, "schedule": name, "inside": inside})
            found = {"twin": band.loss}
            found |= {law: one.predict(curve.schedule, curve.steps).loss for law, one in laws.items()}
            for law, loss in found.items():
                residuals.append(
                    {"size": size, "law": law, "schedule": name, "step": curve.steps, "residual": loss - curve.losses}
                )
    return {"residuals": stack(residuals), "cover": stack(cover)}


def _errors(data: Data, size: str) -> dict[str, float]:
    """Law -> mean over schedules of the mean absolute error."""
    table = data["residuals"]
    return {
        law: float(
            np.mean(
                [
                    np.abs(column(table, "residual", size=size, law=law, schedule=name)).mean()
                    for name in first(table["schedule"])
                ]
            )
        )
        for law in first(table["law"])
    }


def _short(law: str) -> str:
    return "eff. functional" if law == "functional-effective" else law


def draw_residuals(data: Data) -> Figure:
    table = data["residuals"]
    sizes, names = first(table["size"]), first(table["schedule"])
    shown = ("twin", "multi-power", "functional-effective")
    with style():
        figure = new_figure(WIDTH, 1.6 + 1.5 * len(sizes))
        panels = figure.subplots(len(sizes), 4, squeeze=False, width_ratios=(1, 1, 1, 1.15))
        for row, size in zip(panels, sizes, strict=True):
            for axes, law in zip(row, shown, strict=False):
                for i, name in enumerate(names):
                    at = {"size": size, "law": law, "schedule": name}
                    axes.plot(
                        column(table, "step", **at) / 1e3,
                        1e3 * column(table, "residual", **at),
                        color=PALETTE[i],
                        lw=0.8,
                        label=name,
                    )
                axes.axhline(0.0, color="0.3", lw=0.6)
                axes.set(ylim=(-15, 15), title=f"{size}, {_short(law)}", xlabel="step / 1000")
                axes.title.set_fontsize(8)
                if law != shown[0]:
                    axes.set_yticklabels([])
            row[0].set_ylabel("predicted - measured, $10^{-3}$")
            errors = _errors(data, size)
            places = np.arange(len(errors))
            row[3].barh(places, [1e3 * e for e in errors.values()], color=[PALETTE[0]] + ["0.7"] * (len(errors) - 1))
            row[3].set_yticks(places, [_short(law) for law in errors])
            row[3].tick_params(axis="y", labelsize=7)
            row[3].invert_yaxis()
            row[3].set(title="mean error, $10^{-3}$")
            row[3].title.set_fontsize(8)
        figure.legend(*panels[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=3)
    return figure


def claims_residuals(data: Data) -> list[Claim]:
    sizes = first(data["residuals"]["size"])
    by = {size: _errors(data, size) for size in sizes}
    rate = {
        size: min(e for law, e in by[size].items() if law not in ("twin", "functional-effective")) for size in sizes
    }
    text = ", ".join(f"{size} {by[size]['twin']:.4f} of {rate[size]:.4f}" for size in sizes)
    own = ", ".join(f"{size} {by[size]['twin']:.4f} of {by[size]['functional-effective']:.4f}" for size in sizes)
    inside = {size: float(column(data["cover"], "inside", size=size).mean()) for size in sizes}
    source = "fitted to three schedules of Luo et al. 2025, arXiv 2503.12811, tested on their six others"
    return [
        Claim(
            "the twin's error is at least 30 % below that of the best law in the learning rate",
            source,
            "mean absolute error of the loss <= 0.7 of the smallest of four laws, at every size",
            text,
            all(by[size]["twin"] <= 0.7 * rate[size] for size in sizes),
            own=True,
        ),
        Claim(
            "it is at least 30 % below that of the functional law run at the effective rate as well",
            source,
            "mean absolute error of the loss <= 0.7 of that law's, at every size",
            own,
            all(by[size]["twin"] <= 0.7 * by[size]["functional-effective"] for size in sizes),
            "most of what is gained is the clock lr / |w|, which that law has too",
            own=True,
        ),
        Claim(
            "90 % bands hold 85 to 97 % of the losses",
            source,
            ">= 0.85 and <= 0.97 at every size",
            ", ".join(f"{size} {x:.2f}" for size, x in inside.items()),
            0.85 <= min(inside.values()) <= max(inside.values()) <= 0.97,
            own=True,
        ),
    ]


# -- which run ---------------------------------------------------------------------------------------------------------


def compute_runs(scale: Scale) -> Data:
    """runs: twins of one run each (and of the split), their error and cover on all other schedules."""
    rows = []
    names = ["wsdld_20000_24000", "constant_24000"] if scale == "tiny" else list(schedules())
    for size in _sizes(scale):
        of = curves(size)
        for trained in [[name] for name in names] + [list(SPLIT)]:
            twin = fitted([of[name] for name in trained])
            others = [of[name] for name in of if name not in trained]
            bands = [twin.predict(curve.schedule, steps=curve.steps) for curve in others]
            rows.append(
                {
                    "size": size,
                    "run": trained[0] if len(trained) == 1 else "three runs",
                    "error": np.mean([np.abs(b.loss - c.losses).mean() for b, c in zip(bands, others, strict=True)]),
                    "width": np.mean([b.deviation[-1] for b in bands]),
                    "cover": np.mean(
                        [
                            np.mean((b.lower <= c.losses) & (c.losses <= b.upper))
                            for b, c in zip(bands, others, strict=True)
                        ]
                    ),
                }
            )
    return {"runs": stack(rows)}


def draw_runs(data: Data) -> Figure:
    table = data["runs"]
    sizes, names = first(table["size"]), first(table["run"])
    with style():
        figure = new_figure(WIDTH, 3.0)
        panels = figure.subplots(1, 2, sharey=True)
        at = np.arange(len(names))
        for axes, key, title in zip(
            panels, ("error", "width"), ("(a) mean error on all others", "(b) what the twin says of it"), strict=True
        ):
            for i, size in enumerate(sizes):
                values = [1e3 * float(column(table, key, size=size, run=name)[0]) for name in names]
                axes.plot(values, at + 0.12 * (i - 0.5), "os"[i], color=PALETTE[i], label=size, ms=5)
            axes.set(xscale="log", title=title)
            axes.xaxis.set_major_formatter(ScalarFormatter())
            axes.xaxis.set_minor_formatter(NullFormatter())
            axes.grid(axis="y", color="0.9", lw=0.6)
        panels[0].set(xlabel="mean absolute error of the loss, $10^{-3}$")
        panels[1].set(xlabel="mean s.d. of final losses, $10^{-3}$")
        panels[0].set_xticks([1, 2, 5, 10, 20])
        panels[0].set_yticks(at, names)
        panels[0].invert_yaxis()
        panels[0].legend()
    return figure


def claims_runs(data: Data) -> list[Claim]:
    table = data["runs"]
    sizes = first(table["size"])

    def of(run: str, size: str, key: str = "error") -> float:
        return float(column(table, key, size=size, run=run)[0])

    one, three = "wsdld_20000_24000", "three runs"
    least = {size: min(column(table, "cover", size=size)) for size in sizes}
    ordered = [
        float(np.corrcoef(np.log(column(table, "error", size=size)), np.log(column(table, "width", size=size)))[0, 1])
        for size in sizes
    ]
    source = "twins of one run of Luo et al. 2025, arXiv 2503.12811, on the eight others"
    return [
        Claim(
            "one run with a linear cooldown after a stable phase predicts the others within 0.0025",
            source,
            "mean absolute error <= 0.0025 at every size",
            ", ".join(f"{size} {of(one, size):.4f} (three runs {of(three, size):.4f})" for size in sizes),
            all(of(one, size) <= 0.0025 for size in sizes),
            own=True,
        ),
        Claim(
            "it is the most telling single run",
            source,
            "least error of all single runs at every size",
            ", ".join(
                f"{size} {min((of(n, size), n) for n in first(table['run']) if n != three)[1]}" for size in sizes
            ),
            all(of(one, size) <= min(of(n, size) for n in first(table["run"]) if n != three) for size in sizes),
            own=True,
        ),
        Claim(
            "a run that never cools down is at least three times as far off",
            source,
            "error of constant_24000 over that of wsdld >= 3 at every size",
            ", ".join(f"{size} {of('constant_24000', size) / of(one, size):.1f}" for size in sizes),
            all(of("constant_24000", size) >= 3.0 * of(one, size) for size in sizes),
            own=True,
        ),
        Claim(
            "the twin knows which run told it little",
            source,
            "correlation of log error and log s.d. over runs >= 0.5, and bands that hold 85 %, at every size",
            ", ".join(f"{size} {r:.2f}, {least[size]:.2f}" for size, r in zip(sizes, ordered, strict=True)),
            min(ordered) >= 0.5 and min(least.values()) >= 0.85,
            "one run tells little of how far losses lie off: the prior's errors are too small for some runs of 25M",
            own=True,
        ),
    ]


# -- the optimal schedule ----------------------------------------------------------------------------------------------


def compute_optimum(scale: Scale) -> Data:
    """schedules: effective rates of the linear twin's optimum and of the law; ends: what each leaves, by sl.exact."""
    steps = 24_000
    lines, ends = [], []
    for size in _sizes(scale):
        of = curves(size)
        twin = fitted([of[name] for name in SPLIT], linear=True)
        best = twin.optimize(steps)
        problem, rates = twin.as_problem(best.schedule, 1)
        law = sl.schedules.spectral(problem, steps, cap=rates.peak())
        cosine = twin.as_problem(sl.schedules.cosine(steps, PEAK, floor=0.1, warmup=WARMUP), 1)[1]
        at = np.unique(np.append(np.arange(0, steps, 120), steps - 1))
        for name, schedule in (("twin", rates), ("law", law), ("cosine", cosine)):
            risk = sl.exact(problem, sl.methods.sgd(schedule), record=[steps], progress=False).total()
            lines.append({"size": size, "schedule": name, "step": at, "rate": schedule(at)})
            ends.append({"size": size, "schedule": name, "risk": float(risk.values.ravel()[-1])})
    return {"schedules": stack(lines), "ends": stack(ends)}


def draw_optimum(data: Data) -> Figure:
    table, ends = data["schedules"], data["ends"]
    sizes = first(table["size"])
    with style():
        figure = new_figure(WIDTH, 2.9)
        panels = figure.subplots(1, len(sizes), squeeze=False, sharey=True)[0]
        for axes, size in zip(panels, sizes, strict=True):
            for i, name in enumerate(first(table["schedule"])):
                at: dict[str, Any] = {"size": size, "schedule": name}
                risk = float(column(ends, "risk", **at)[0])
                axes.plot(
                    column(table, "step", **at) / 1e3,
                    column(table, "rate", **at),
                    color=PALETTE[i],
                    ls=DASHES[i],
                    label=f"{name}: {risk:.4f} above the floor",
                )
            axes.set(xlabel="step / 1000", title=size)
            axes.legend(loc="lower left")
        panels[0].set_ylabel("effective rate, of the reference's")
    return figure


def claims_optimum(data: Data) -> list[Claim]:
    table, ends = data["schedules"], data["ends"]
    sizes = first(table["size"])

    def rate(size: str, name: str, share: float) -> float:
        at = {"size": size, "schedule": name}
        step = column(table, "step", **at)
        return float(np.interp(share * 24_000, step, column(table, "rate", **at)))

    def risk(size: str, name: str) -> float:
        return float(column(ends, "risk", size=size, schedule=name)[0])

    shares = (0.85, 0.9, 0.95)
    apart = {size: max(abs(rate(size, "twin", u) / rate(size, "law", u) - 1.0) for u in shares) for size in sizes}
    before = {size: rate(size, "law", 0.5) / rate(size, "twin", 0.5) for size in sizes}
    source = (
        "twin without stiffening, as a quadratic; law of optimal schedules (sl.schedules.spectral) for its spectrum"
    )
    return [
        Claim(
            "the cooldown of the twin's best schedule is that of the law for its spectrum",
            source,
            "effective rates within 15 % at 85, 90 and 95 % of the run, at every size",
            ", ".join(f"{size} {x:.1%}" for size, x in apart.items()),
            max(apart.values()) <= 0.15,
            own=True,
        ),
        Claim(
            "before it the two agree as well",
            source,
            "effective rates within 10 % at half of the run",
            ", ".join(f"{size} {x:.2f} times" for size, x in before.items()),
            all(abs(x - 1.0) <= 0.1 for x in before.values()),
            "the peak bounds the twin's lr, and |w| grows under it; the law knows a bound on the effective rate alone",
            own=True,
        ),
        Claim(
            "both gain more than 0.01 on a cosine to a tenth",
            "risk at the end by the exact engine",
            "cosine minus each > 0.01, at every size",
            ", ".join(
                f"{size} " + " and ".join(f"{risk(size, 'cosine') - risk(size, name):.4f}" for name in ("twin", "law"))
                for size in sizes
            ),
            all(risk(size, "cosine") - risk(size, name) > 0.01 for size in sizes for name in ("twin", "law")),
            own=True,
        ),
    ]


MODELS = "language models of 25M and 100M parameters (Luo et al. 2025, arXiv 2503.12811; AdamW, peak 3e-4)"

FIGURES = [
    Reproduction(
        "results-twin-residuals",
        "What a digital twin and five laws say of schedules that they were not fitted to",
        WORK,
        2026,
        f"Training loss of {MODELS}. Twin, multi-power, annealing and functional laws, the functional law at the "
        "effective rate, and the surrogate of seven numbers of Wang et al. 2026, each fitted to cosine_24000, "
        "constant_24000 and wsdcon_9; weight decay 0.1 is taken for granted.",
        compute_residuals,
        draw_residuals,
        claims_residuals,
        needs=FOLDER,
        seconds=6.0,
    ),
    Reproduction(
        "results-twin-runs",
        "Which run to make: twins of one run each",
        WORK,
        2026,
        f"Training loss of {MODELS}. A twin of each of nine runs alone, and of three; mean absolute error on all other "
        "runs, and the twin's own standard deviation of their final losses.",
        compute_runs,
        draw_runs,
        claims_runs,
        needs=FOLDER,
        seconds=6.0,
    ),
    Reproduction(
        "results-twin-optimum",
        "The best schedule of a twin, and the law of optimal schedules for its spectrum",
        WORK,
        2026,
        f"Twins without stiffening of {MODELS}, 24,000 steps: effective rates of the twin's best schedule (lr below "
        "its peak) and of the closed-form law for the same quadratic (effective rate below the same highest), both "
        "without warmup, and of a cosine to a tenth after a warmup.",
        compute_optimum,
        draw_optimum,
        claims_optimum,
        needs=FOLDER,
        seconds=3.0,
    ),
]
