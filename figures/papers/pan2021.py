"""Pan, Ye, Zhang 2021 (arXiv 2110.14109): eigencurve, a schedule made for a spectrum, against step decay and cosine."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from simlab.figures.measurements import measured
from simlab.figures.papers.columns import first, stack
from simlab.figures.reproduction import Claim, Data, Reproduction, Scale, column
from simlab.theory.pan2022 import spectrum_bins

import simlab as sl
from simlab.arrays import FloatArray
from simlab.errors import InputError
from simlab.plot import DASHES, PALETTE, WIDTH, new_figure, style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from simlab.schedules import Schedule

PAPER = "Pan, Ye, Zhang 2021, arXiv 2110.14109, ICLR 2022"
SCHEDULES = ("eigencurve", "step decay", "step x 0.1", "cosine")
EXPONENTS = (0.5, 1.0, 2.0, 3.0)
BUDGETS = {
    "tiny": (50, 100),
    "quick": (300, 1_000, 3_000, 10_000),
    "full": (300, 1_000, 3_000, 10_000, 30_000, 100_000),
}
ASSUMED = "additive noise of covariance H, initial errors 1; every peak tuned on a grid up to 1.6 / lam_1"


def _schedule(name: str, steps: int, peak: float, lam: FloatArray) -> Schedule:
    if name == "eigencurve":
        return sl.schedules.eigencurve(steps, peak, eigenvalues=lam)
    if name == "step decay":
        return sl.schedules.step_decay(steps, peak)
    return sl.schedules.step(steps, peak) if name == "step x 0.1" else sl.schedules.cosine(steps, peak)


def _race(case: str, lam: FloatArray, scale: Scale) -> list[dict[str, Any]]:
    """Bias and variance of each schedule at its best peak, by budget; and of eigencurve and step decay at 1 / lam_1."""
    problem = sl.NoisyQuadratic(lam, 1.0, gradient_covariance=lam)
    peaks = np.geomspace(0.05, 1.6, 5 if scale == "tiny" else 13) / lam[0]
    rows = []
    for steps in BUDGETS[scale]:
        tried = [(name, peak) for name in SCHEDULES for peak in (*peaks, 1.0 / lam[0])]
        methods = [sl.methods.sgd(_schedule(name, steps, float(peak), lam)) for name, peak in tried]
        final = sl.exact(problem, methods, record=2, progress=False).final().sum("subspace")
        bias, variance = (final.sel(component=key).values for key in ("bias", "variance"))
        width = len(peaks) + 1
        for i, name in enumerate(SCHEDULES):
            where = slice(i * width, (i + 1) * width)
            total = bias[where] + variance[where]
            best = int(np.argmin(total))
            row = {"case": case, "schedule": name, "T": steps, "peak": tried[i * width + best][1] * lam[0]}
            tuned = {"bias": bias[where][best], "variance": variance[where][best]}
            rows.append({**row, **tuned, "own_bias": bias[where][-1], "own_variance": variance[where][-1]})
    return rows


def _curves(case: str, lam: FloatArray, steps: int) -> list[dict[str, Any]]:
    t = np.unique(np.linspace(0, steps - 1, 300).astype(int))
    lines = [(name, _schedule(name, steps, 1.0 / lam[0], lam)(t) * lam[0]) for name in SCHEDULES]
    return [{"case": case, "schedule": name, "u": t / steps, "lr": lr} for name, lr in lines]


def compute_power_laws(scale: Scale) -> Data:
    dim = 10 if scale == "tiny" else 100
    rows, curves, constants = [], [], []
    for exponent in EXPONENTS:
        lam = np.arange(1.0, dim + 1.0) ** -exponent
        case = f"i^-{exponent:g}"
        rows += _race(case, lam, scale)
        curves += _curves(case, lam, BUDGETS[scale][-1])
        _, counts = spectrum_bins(lam)
        constants.append({"case": case, "root_sum": float(np.sum(np.sqrt(counts)))})
    return {"ends": stack(rows), "curves": stack(curves), "constants": stack(constants)}


def _panel(axes: Axes, data: Data, case: str) -> None:
    ends = data["ends"]
    base = column(ends, "bias", case=case, schedule="eigencurve") + column(
        ends, "variance", case=case, schedule="eigencurve"
    )
    for i, name in enumerate(SCHEDULES):
        steps, bias, variance = (column(ends, key, case=case, schedule=name) for key in ("T", "bias", "variance"))
        axes.plot(steps, (bias + variance) / base, color=PALETTE[i], ls=DASHES[i], marker=".", label=name)
    axes.set(xscale="log", xlabel="steps $T$")


def draw_power_laws(data: Data) -> Figure:
    with style():
        figure = new_figure(WIDTH, 4.2)
        panels = figure.subplots(2, 4, sharex="row")
        for j, case in enumerate(first(data["ends"]["case"])):
            top, bottom = panels[0, j], panels[1, j]
            for i, name in enumerate(SCHEDULES):
                u, lr = (column(data["curves"], key, case=case, schedule=name) for key in ("u", "lr"))
                top.plot(u, np.maximum(lr, 1e-6), color=PALETTE[i], ls=DASHES[i])
            top.set(yscale="log", xlabel="progress", ylim=(3e-4, 1.5))
            top.set_title(f"$\\lambda_i = i^{{-{case.removeprefix('i^-')}}}$")
            _panel(bottom, data, case)
        panels[0, 0].set_ylabel("learning rate / peak")
        panels[1, 0].set_ylabel("risk / that of eigencurve")
        figure.legend(*panels[1, 0].get_legend_handles_labels(), loc="outside lower center", ncols=4)
    return figure


def _ratios(data: Data, case: str, against: str) -> FloatArray:
    """Risk of eigencurve over that of another schedule, by budget, each at its best peak."""
    total = {
        name: column(data["ends"], "bias", case=case, schedule=name)
        + column(data["ends"], "variance", case=case, schedule=name)
        for name in ("eigencurve", against)
    }
    return np.asarray(total["eigencurve"] / total[against])


def _against(data: Data, others: tuple[str, ...], text: str, source: str) -> Claim:
    cases = first(data["ends"]["case"])
    worst = {(case, name): float(_ratios(data, case, name).max()) for case in cases for name in others}
    values = ", ".join(f"{case} / {name} {value:.3f}" for (case, name), value in worst.items())
    lost = ", ".join(f"{case} against {name} {value:.3f}" for (case, name), value in worst.items() if value >= 1.0)
    rule = "risk ratio < 1 at every budget, on every spectrum"
    return Claim(
        text, source, rule, f"largest ratios: {values}", not lost, chosen=ASSUMED, reason=f"lost or tied: {lost}"
    )


def claims_power_laws(data: Data) -> list[Claim]:
    ends, constants = data["ends"], data["constants"]
    scaled = []
    for case in first(ends["case"]):
        steps, variance = (column(ends, key, case=case, schedule="eigencurve") for key in ("T", "own_variance"))
        scaled.append(float(np.max(variance * steps)) / float(column(constants, "root_sum", case=case)[0]) ** 2)
    steep = [case for case in first(ends["case"]) if case in ("i^-2", "i^-3")]
    parts = {
        key: np.concatenate(
            [
                column(ends, f"own_{key}", case=case, schedule="step decay")
                / column(ends, f"own_{key}", case=case, schedule="eigencurve")
                for case in steep
            ]
        )
        for key in ("bias", "variance")
    }
    return [
        Claim(
            "its variance is of order sigma^2 (sum_i sqrt s_i)^2 / T",
            "main theorem (constant 15); notes 6",
            "variance T / (sum sqrt s_i)^2 <= 0.245 at peak 1 / lam_1, all exponents and budgets",
            ", ".join(f"{value:.3f}" for value in scaled),
            max(scaled) <= 0.245,
        ),
        _against(data, ("step decay", "step x 0.1"), "eigencurve is better than step decay", "sections 3, 4"),
        _against(data, ("cosine",), "eigencurve is better than cosine", "section 4"),
        Claim(
            "on steep spectra step decay at the same peak has less variance and more bias",
            "notes 6",
            "variance ratio < 1 and bias ratio > 1 for i^-2 and i^-3 at every budget",
            f"variance {parts['variance'].min():.2f} .. {parts['variance'].max():.2f},"
            f" bias {parts['bias'].min():.2f} .. {parts['bias'].max():.2f}",
            bool(parts["variance"].max() < 1.0 and parts["bias"].min() > 1.0),
            reason=f"variance up to {parts['variance'].max():.2f}, bias from {parts['bias'].min():.2f}",
        ),
    ]


# -- measured spectra --------------------------------------------------------------------------------------------------

FOLDER = "hessian_spectra"
FILES = {"CIFAR-10": "resnet-18_cifar10.txt", "ImageNet": "resnet-18_imagenet.txt"}
CONDITION = 1e3


def _spectrum(name: str, count: int) -> FloatArray:
    """Eigenvalues at equal steps of the measured density's distribution, from lam_1 / CONDITION to lam_1."""
    path = measured(FOLDER) / FILES[name]
    if not path.is_file():
        raise InputError(f"{path} is absent; put the Hessian spectra there, or leave this figure out.")
    values, density = np.loadtxt(path).T
    kept = (values >= values.max() / CONDITION) & (density > 0.0)
    values, mass = values[kept], density[kept]
    total = np.cumsum(mass) / mass.sum()
    # The top eigenvalue is kept: it sets the learning rate.
    lam = np.interp((np.arange(count) + 0.5) / count, total, values)
    lam[-1] = values.max()
    return np.asarray(np.sort(lam)[::-1] / values.max())


def compute_measured(scale: Scale) -> Data:
    rows, curves, spectra = [], [], []
    for name in FILES:
        lam = _spectrum(name, 20 if scale == "tiny" else 400)
        rows += _race(name, lam, scale)
        curves += _curves(name, lam, BUDGETS[scale][-1])
        spectra.append({"case": name, "i": np.arange(1, lam.size + 1), "lam": lam})
    return {"ends": stack(rows), "curves": stack(curves), "spectra": stack(spectra)}


def draw_measured(data: Data) -> Figure:
    with style():
        figure = new_figure(WIDTH, 4.2)
        panels = figure.subplots(2, 3)
        for row, case in zip(panels, FILES, strict=True):
            i, lam = (column(data["spectra"], key, case=case) for key in ("i", "lam"))
            row[0].plot(i, lam, color="black")
            row[0].set(xscale="log", yscale="log", ylabel=r"$\lambda_i\,/\,\lambda_1$", xlabel="eigen-index")
            row[0].set_title(f"ResNet-18, {case}")
            for j, name in enumerate(SCHEDULES):
                u, lr = (column(data["curves"], key, case=case, schedule=name) for key in ("u", "lr"))
                row[1].plot(u, np.maximum(lr, 1e-6), color=PALETTE[j], ls=DASHES[j])
            row[1].set(yscale="log", xlabel="progress", ylabel="learning rate / peak", ylim=(3e-4, 1.5))
            _panel(row[2], data, case)
            row[2].set_ylabel("risk / that of eigencurve")
        figure.legend(*panels[0, 2].get_legend_handles_labels(), loc="outside lower center", ncols=4)
    return figure


def claims_measured(data: Data) -> list[Claim]:
    short, long = ([float(_ratios(data, case, "step x 0.1")[i]) for case in FILES] for i in (0, -1))
    words = ", ".join(f"{case} {a:.3f} to {b:.3f}" for case, a, b in zip(FILES, short, long, strict=True))
    return [
        _against(data, ("step decay", "step x 0.1"), "eigencurve is better than step decay", "section 4"),
        _against(data, ("cosine",), "eigencurve is better than cosine", "section 4"),
        Claim(
            "its gain over step decay is larger at small budgets",
            "section 4 (few epochs)",
            "risk ratio at the smallest budget below that at the largest, both spectra",
            words,
            all(a < b for a, b in zip(short, long, strict=True)),
            chosen=ASSUMED,
            reason=words,
        ),
    ]


FIGURES = [
    Reproduction(
        "pan2021-power-laws",
        "Eigencurve, step decay and cosine on power laws",
        PAPER,
        2021,
        "Noisy quadratics, lam_i = i^-a, a = 0.5, 1, 2, 3, d = 100, noise covariance H, initial errors 1; 300 to"
        " 100,000 steps (quick: 10,000); step decay halves log2 T times, step x 0.1 drops at 30, 60, 90 %.",
        compute_power_laws,
        draw_power_laws,
        claims_power_laws,
        chosen=(ASSUMED,),
        seconds=3.0,
    ),
    Reproduction(
        "pan2021-measured",
        "Eigencurve on the Hessian spectra of ResNet-18",
        PAPER,
        2021,
        "The positive part of the measured densities down to lam_1 / 1,000, as 400 eigenvalues; else as on power laws.",
        compute_measured,
        draw_measured,
        claims_measured,
        chosen=(ASSUMED, "eigenvalues below lam_1 / 1,000 and negative ones left out"),
        needs=FOLDER,
        seconds=4.0,
    ),
]
