"""Pan, Ye, Zhang 2021 (arXiv 2110.14109): eigencurve, a schedule made for a spectrum, against step decay and cosine.

Its guarantee says nothing below T of the order of the condition number: verdicts are on longer runs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from simlab.figures.columns import first, stack
from simlab.figures.measurements import measured
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
CURVE = 10_000
"""Steps of the schedules drawn."""
EXPONENTS = (0.5, 1.0, 2.0, 3.0)
STEPS = (50, 100, 300, 1_000, 3_000, 10_000, 30_000, 100_000, 1_000_000)
RANGE = {"tiny": (50, 100, 1_000), "quick": (300, 10_000, 1_000_000), "full": (300, 100_000, 1_000_000)}
"""Shortest run; longest where the condition number is small; longest of all."""
CHOSEN = (
    "gradient noise of covariance H, initial errors 1",
    "every peak tuned on a grid of 13 up to 1.6 / lam_1 (7 for 1,000,000 steps)",
)
QUADRATIC = "a noisy quadratic of the measured spectrum in the place of the network"


def _budgets(lam: FloatArray, scale: Scale) -> list[int]:
    """Numbers of steps up to ten condition numbers, or as long as the scale allows."""
    low, middle, high = RANGE[scale]
    top = min(max(middle, 10.0 * _condition(lam)), high)
    return [steps for steps in STEPS if low <= steps <= top * (1.0 + 1e-9)]


def _condition(lam: FloatArray) -> float:
    return float(lam.max() / lam.min())


def _schedule(name: str, steps: int, peak: float, lam: FloatArray) -> Schedule:
    if name == "eigencurve":
        return sl.schedules.eigencurve(steps, peak, eigenvalues=lam)
    if name == "step decay":
        return sl.schedules.step_decay(steps, peak)
    return sl.schedules.step(steps, peak) if name == "step x 0.1" else sl.schedules.cosine(steps, peak)


def _race(case: str, lam: FloatArray, scale: Scale) -> list[dict[str, Any]]:
    """Bias and variance of each schedule at its best peak, by budget; and of eigencurve and step decay at 1 / lam_1."""
    problem = sl.NoisyQuadratic(lam, 1.0, gradient_covariance=lam)
    rows = []
    for steps in _budgets(lam, scale):
        count = 5 if scale == "tiny" else 13 if steps < 1_000_000 else 7
        peaks = np.geomspace(0.05, 1.6, count) / lam[0]
        tried = [(name, peak) for name in SCHEDULES for peak in (*peaks, 1.0 / lam[0])]
        methods = [sl.methods.sgd(_schedule(name, steps, float(peak), lam)) for name, peak in tried]
        final = sl.exact(problem, methods, record=2, progress=False).final().sum("subspace")
        bias, variance = (final.sel(component=key).values for key in ("bias", "variance"))
        width = len(peaks) + 1
        for i, name in enumerate(SCHEDULES):
            where = slice(i * width, (i + 1) * width)
            total = bias[where] + variance[where]
            best = int(np.argmin(total))
            row = {
                "case": case,
                "schedule": name,
                "T": steps,
                "kappa": _condition(lam),
                "peak": tried[i * width + best][1] * lam[0],
            }
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
        curves += _curves(case, lam, CURVE)
        _, counts = spectrum_bins(lam)
        constants.append({"case": case, "root_sum": float(np.sum(np.sqrt(counts)))})
    return {"ends": stack(rows), "curves": stack(curves), "constants": stack(constants)}


RATIO = "risk / that of eigencurve\n(> 1: eigencurve is better)"


def _panel(axes: Axes, data: Data, case: str) -> None:
    ends = data["ends"]
    base = column(ends, "bias", case=case, schedule="eigencurve") + column(
        ends, "variance", case=case, schedule="eigencurve"
    )
    for i, name in enumerate(SCHEDULES):
        steps, bias, variance = (column(ends, key, case=case, schedule=name) for key in ("T", "bias", "variance"))
        axes.plot(steps, (bias + variance) / base, color=PALETTE[i], ls=DASHES[i], marker=".", label=name)
    kappa = float(column(ends, "kappa", case=case)[0])
    axes.axvline(kappa, color="0.4", lw=0.8, ls="--", label=r"$T = \kappa$, the condition number")
    axes.set(xscale="log", xlabel="steps $T$")
    low, high = axes.get_xlim()
    axes.axvspan(low, min(kappa, high), color="0.93", zorder=0, label="no guarantee")
    axes.set_xlim(low, high)


def draw_power_laws(data: Data) -> Figure:
    with style():
        figure = new_figure(WIDTH, 4.4)
        panels = figure.subplots(2, 4)
        for j, case in enumerate(first(data["ends"]["case"])):
            top, bottom = panels[0, j], panels[1, j]
            for i, name in enumerate(SCHEDULES):
                u, lr = (column(data["curves"], key, case=case, schedule=name) for key in ("u", "lr"))
                top.plot(u, np.maximum(lr, 1e-6), color=PALETTE[i], ls=DASHES[i])
            top.set(yscale="log", xlabel="progress", ylim=(3e-4, 1.5))
            top.set_title(f"$\\lambda_i = i^{{-{case.removeprefix('i^-')}}}$")
            _panel(bottom, data, case)
        panels[0, 0].set_ylabel("learning rate / peak")
        panels[1, 0].set_ylabel(RATIO)
        figure.legend(*panels[1, 0].get_legend_handles_labels(), loc="outside lower center", ncols=6)
    return figure


def _ratios(data: Data, case: str, against: str) -> FloatArray:
    """Risk of eigencurve over that of another schedule, by budget, each at its best peak."""
    total = {
        name: column(data["ends"], "bias", case=case, schedule=name)
        + column(data["ends"], "variance", case=case, schedule=name)
        for name in ("eigencurve", against)
    }
    return np.asarray(total["eigencurve"] / total[against])


def _above(data: Data, case: str) -> npt.NDArray[np.bool_]:
    """Which budgets are at least the condition number."""
    steps, kappa = (column(data["ends"], key, case=case, schedule="eigencurve") for key in ("T", "kappa"))
    return np.asarray(steps >= kappa * (1.0 - 1e-9))


def _from(data: Data, case: str, against: str) -> str:
    """The budget from which on eigencurve stays below another schedule."""
    better = _ratios(data, case, against) < 1.0
    steps = column(data["ends"], "T", case=case, schedule="eigencurve")
    at = len(better) - int(np.argmin(np.append(better[::-1], False)))
    return f"T = {steps[at]:,.0f}" if at < len(better) else "nowhere"


TIE = 1.001
"""Ratios up to this are ties: the grid of peaks tells no finer ones apart."""


def _against(data: Data, others: tuple[str, ...], text: str, source: str, paper: str, substituted: str) -> Claim:
    cases = first(data["ends"]["case"])
    pairs = [(case, name) for case in cases for name in others]
    worst = {pair: float(_ratios(data, *pair)[_above(data, pair[0])].max()) for pair in pairs}
    kappa = {case: float(column(data["ends"], "kappa", case=case)[0]) for case in cases}
    turns = "; ".join(f"{case} / {name}: {_from(data, case, name)}" for case, name in pairs)
    return Claim(
        text,
        source,
        f"risk ratio <= {TIE} at every T >= kappa, the condition number, on every spectrum",
        "largest ratios: " + ", ".join(f"{case} / {name} {value:.4f}" for (case, name), value in worst.items()),
        max(worst.values()) <= TIE,
        "the other schedule leaves less of the start, for which its longer stretch at high rates pays",
        paper=paper,
        chosen="initial errors, noise, tuned peaks",
        substituted=substituted,
        turns=f"below 1 from {turns} on (kappa = {', '.join(f'{value:,.0f}' for value in kappa.values())})",
    )


def claims_power_laws(data: Data) -> list[Claim]:
    ends, constants = data["ends"], data["constants"]
    scaled = []
    for case in first(ends["case"]):
        steps, variance = (column(ends, key, case=case, schedule="eigencurve") for key in ("T", "own_variance"))
        scaled.append(float(np.max(variance * steps)) / float(column(constants, "root_sum", case=case)[0]) ** 2)
    steep = [case for case in first(ends["case"]) if case in ("i^-2", "i^-3")]
    below = {case: _steps(data, case) <= column(ends, "kappa", case=case)[0] * (1.0 + 1e-9) for case in steep}
    parts = {
        (key, case): column(ends, f"own_{key}", case=case, schedule="step decay")
        / column(ends, f"own_{key}", case=case, schedule="eigencurve")
        for key in ("bias", "variance")
        for case in steep
    }
    noise, start = (np.concatenate([parts[key, case][below[case]] for case in steep]) for key in ("variance", "bias"))
    early = [
        _ratios(data, case, name)[_steps(data, case) < 0.1 * column(ends, "kappa", case=case)[0]]
        for case in steep
        for name in ("step decay", "cosine")
    ]
    short = np.concatenate(early)
    return [
        Claim(
            "the variance of eigencurve is at most a constant times sigma^2 (sum_i sqrt s_i)^2 / T",
            "main theorem, constant 15",
            "variance T / (sum sqrt s_i)^2 <= 15 at peak 1 / lam_1, sigma = 1, all exponents and budgets",
            ", ".join(f"{value:.3f}" for value in scaled),
            max(scaled) <= 15.0,
            paper="15 as an upper bound",
        ),
        Claim(
            "on these power laws a quarter suffices for that constant",
            "exact variance at peak 1 / lam_1; s_i counts the eigenvalues within a factor of two",
            "variance T / (sum sqrt s_i)^2 <= 0.25, sigma = 1, all exponents and budgets",
            f"{max(scaled):.3f} at most",
            max(scaled) <= 0.25,
            "the bins of the spectrum are too few for the tail of eigencurve",
            own=True,
        ),
        _against(
            data,
            ("step decay", "step x 0.1"),
            "eigencurve is better than step decay once T reaches kappa",
            "main theorem: minimax up to a constant, where step decay is off by log T",
            "a factor of order log T",
            "",
        ),
        _against(
            data,
            ("cosine",),
            "eigencurve is better than cosine once T reaches kappa",
            "abstract",
            "superior to cosine in some situations, alike in others",
            "",
        ),
        Claim(
            "below a tenth of the condition number step decay and cosine are better on steep spectra",
            "exact risk, each at its best peak",
            "risk of eigencurve above that of both for i^-2 and i^-3 at every T < kappa / 10",
            f"ratios {short.min():.3f} .. {short.max():.3f}",
            bool(short.min() > 1.0),
            "eigencurve lowers its rates before the slow modes have been learned",
            own=True,
        ),
        Claim(
            "on steep spectra step decay at the same peak has less variance and more bias",
            "exact bias and variance at peak 1 / lam_1",
            "variance ratio < 1 and bias ratio > 1 for i^-2 and i^-3 at every T <= kappa",
            f"variance {noise.min():.2f} .. {noise.max():.2f}, bias {start.min():.2f} .. {start.max():.2f}",
            bool(noise.max() < 1.0 and start.min() > 1.0),
            "once the slow modes are learned the long low end of step decay averages fewer steps",
            turns="variance ratio at the longest run: "
            + ", ".join(f"{parts['variance', case][-1]:.2f} ({case})" for case in steep),
            own=True,
        ),
    ]


def _steps(data: Data, case: str) -> FloatArray:
    return column(data["ends"], "T", case=case, schedule="eigencurve")


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
        curves += _curves(name, lam, CURVE)
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
            row[2].set_ylabel(RATIO)
        figure.legend(*panels[0, 2].get_legend_handles_labels(), loc="outside lower center", ncols=6)
    return figure


def claims_measured(data: Data) -> list[Claim]:
    short, long = ([float(_ratios(data, case, "step x 0.1")[i]) for case in FILES] for i in (0, -1))
    words = ", ".join(f"{case} {a:.3f} to {b:.3f}" for case, a, b in zip(FILES, short, long, strict=True))
    return [
        _against(
            data,
            ("step decay", "step x 0.1"),
            "eigencurve is better than step decay once T reaches kappa",
            "experiments on CIFAR-10 and ImageNet",
            "higher accuracy than step decay",
            QUADRATIC,
        ),
        _against(
            data,
            ("cosine",),
            "eigencurve is at least as good as cosine once T reaches kappa",
            "experiments on CIFAR-10 and ImageNet",
            "superior to cosine in some situations, alike in others",
            QUADRATIC,
        ),
        Claim(
            "the gain of eigencurve over step decay is larger at small budgets",
            "abstract (small number of epochs)",
            "risk ratio against step x 0.1 smaller at the smallest budget than at the largest, both spectra",
            words,
            all(a < b for a, b in zip(short, long, strict=True)),
            "on a quadratic the theory has it the other way: eigencurve saves the factor log T of step decay, which "
            "grows with T",
            paper="significantly better than step decay, especially when the number of epochs is small",
            chosen="initial errors, noise, tuned peaks",
            substituted=QUADRATIC,
        ),
    ]


FIGURES = [
    Reproduction(
        "pan2021-power-laws",
        "Eigencurve, step decay and cosine on power laws",
        PAPER,
        2021,
        "Noisy quadratics, lam_i = i^-a, a = 0.5, 1, 2, 3, d = 100, noise covariance H, initial errors 1; 300 steps to"
        " ten condition numbers, at least 100,000 (quick: 10,000) and at most 1,000,000; step decay halves log2 T"
        " times, step x 0.1 drops at 30, 60, 90 %. Below T = kappa nothing is claimed: step decay and cosine are"
        " better there on steep spectra.",
        compute_power_laws,
        draw_power_laws,
        claims_power_laws,
        chosen=CHOSEN,
        seconds=6.0,
    ),
    Reproduction(
        "pan2021-measured",
        "Eigencurve on the Hessian spectra of ResNet-18",
        PAPER,
        2021,
        "The positive part of the measured densities down to lam_1 / 1,000, as 400 eigenvalues: the cut sets the"
        " condition number. 300 to 100,000 steps (quick: 10,000); else as on power laws.",
        compute_measured,
        draw_measured,
        claims_measured,
        chosen=(*CHOSEN, "eigenvalues below lam_1 / 1,000 and negative ones left out"),
        substituted=(QUADRATIC,),
        needs=FOLDER,
        seconds=4.0,
    ),
]
