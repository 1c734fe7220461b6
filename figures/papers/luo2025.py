"""Laws of loss curves (Tissue et al. 2024, Luo et al. 2025, Li et al. 2025) fitted to curves of SGD that are exact."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from simlab.figures.columns import first, stack
from simlab.figures.reproduction import Claim, Data, Reproduction, Scale, column
from simlab.figures.results.optima import legend, power_law

import simlab as sl
from simlab.plot import DASHES, PALETTE, WIDTH, new_figure, style
from simlab.twin import Curve, laws

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["FIGURES"]

PAPER = "Luo, Wen, Hu, Sun, Liu, Sun, Lyu, Chen 2025, arXiv 2503.12811, ICLR 2025"
FUNCTIONAL = "Li et al. 2025, arXiv 2509.19189"
CASES = {"easy": (1.5, 2.5, 0.02), "between": (1.5, 1.6, 0.05), "hard": (2.0, 1.5, 0.2)}
"""Capacity, source and peak, with noise variance 0.1: runs that still learn at their peak, as language models do."""
NOISE, FLOOR = 0.1, 0.1
LAWS = ("multi-power", "annealing", "functional", "spectral")
SHORT = {"spectral": "seven numbers"}
TRAINED = ("cosine", "constant", "two stages, 0.3")
SHARES = np.array([0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.4, 0.5, 0.6, 0.75, 0.9])
"""Cooldowns, linear to zero, among which every law chooses."""


def recipes(steps: int, peak: float) -> dict[str, sl.schedules.Schedule]:
    """The nine schedules of the paper: three that are fitted to, six that are not."""
    of = sl.schedules
    given: dict[str, Any] = {"peak": peak, "warmup": 9 * steps // 100}
    stages = {
        f"two stages, {share:g}": of.join(of.constant(steps // 3, **given), of.constant(steps // 3, share * peak))
        for share in (0.3, 0.1, 0.6)
    }
    return {
        "cosine": of.cosine(steps, floor=FLOOR, **given),
        "constant": of.constant(steps, **given),
        **stages,
        "cosine x 3": of.cosine(3 * steps, floor=FLOOR, **given),
        "constant x 3": of.constant(3 * steps, **given),
        "WSD, exponential": of.wsd(steps, cooldown=steps // 6, shape="exponential", floor=FLOOR, **given),
        "WSD, linear": of.wsd(steps, cooldown=steps // 6, floor=FLOOR, **given),
    }


def curve(problem: sl.LinearRegression, schedule: sl.schedules.Schedule, every: int, start: int) -> Curve:
    """Half the noise variance and the exact risk, from the end of the warmup on."""
    at = np.arange(start, schedule.length + 1, every)
    trace = sl.exact(problem, sl.methods.sgd(schedule), record=at, progress=False)
    return Curve(schedule, at, 0.5 * NOISE + trace.total().sel(step=at).values)


def compute(scale: Scale) -> Data:
    """errors: of every law on every schedule; fits: parameters; cooldowns: last loss, exact and as laws say; curves."""
    steps, points = {"tiny": (1_200, 60), "quick": (6_000, 150), "full": (24_000, 200)}[scale]
    cases = ("between",) if scale == "tiny" else tuple(CASES)
    errors, fits, cooldowns, curves = [], [], [], []
    for case in cases:
        capacity, source, peak = CASES[case]
        problem = power_law(capacity, source, NOISE)
        every, start = steps // points, 9 * steps // 100
        made = {name: curve(problem, lr, every, start) for name, lr in recipes(steps, peak).items()}
        family = [sl.schedules.wsd(steps, peak, warmup=start, cooldown=float(share)) for share in SHARES]
        exact = [curve(problem, lr, steps, steps).losses[-1] for lr in family]
        cooldowns.append({"case": case, "law": "exact", "share": SHARES, "loss": exact})
        for law in LAWS:
            found = laws.fit([made[name] for name in TRAINED], law)
            fits.append(
                {"case": case, "law": law, "parameter": list(found.parameters), "value": [*found.parameters.values()]}
            )
            said = {name: found.predict(each.schedule, each.steps).loss for name, each in made.items()}
            off = [float(np.mean(np.abs(said[name] - each.losses))) for name, each in made.items()]
            errors.append({"case": case, "law": law, "schedule": list(made), "error": off})
            last = [found.predict(lr, [steps]).loss[-1] for lr in family]
            cooldowns.append({"case": case, "law": law, "share": SHARES, "loss": last})
            for name in ("WSD, linear", "two stages, 0.1"):
                row = {"case": case, "schedule": name, "law": law, "step": made[name].steps, "loss": made[name].losses}
                curves.append({**row, "said": said[name]})
        risk = [each.losses[-1] - 0.5 * NOISE for each in made.values()]
        errors.append({"case": case, "law": "risk at the end", "schedule": list(made), "error": risk})
    return {"errors": stack(errors), "fits": stack(fits), "cooldowns": stack(cooldowns), "curves": stack(curves)}


def _held_out(data: Data, law: str) -> Any:
    """Mean absolute error on the six schedules that were not fitted to, over the risk at the end of the cosine."""
    out = []
    for case in first(data["errors"]["case"]):
        where = {"case": case, "law": law}
        names = np.asarray(data["errors"]["schedule"])[
            (np.asarray(data["errors"]["case"]) == case) & (np.asarray(data["errors"]["law"]) == law)
        ]
        errors = column(data["errors"], "error", **where)
        end = column(data["errors"], "error", case=case, law="risk at the end", schedule="cosine")[0]
        out.append(float(np.mean(errors[~np.isin(names, TRAINED)]) / end))
    return np.array(out)


def _regret(data: Data, law: str) -> Any:
    """What the cooldown that a law chooses loses to the best one, of the risk."""
    out = []
    for case in first(data["cooldowns"]["case"]):
        exact = column(data["cooldowns"], "loss", case=case, law="exact") - 0.5 * NOISE
        said = column(data["cooldowns"], "loss", case=case, law=law)
        out.append(float(exact[np.argmin(said)] / exact.min() - 1.0))
    return np.array(out)


def draw(data: Data) -> Figure:
    cases = first(data["errors"]["case"])
    case = "between"
    with style():
        figure = new_figure(WIDTH, 2.9)
        panels = figure.subplots(1, 4)
        for axes, name in zip(panels, ("WSD, linear", "two stages, 0.1"), strict=False):
            for j, law in enumerate(LAWS):
                where: dict[str, Any] = {"case": case, "schedule": name, "law": law}
                step, loss, said = (column(data["curves"], key, **where) for key in ("step", "loss", "said"))
                axes.plot(
                    step / step[-1], 1e3 * (said - loss), color=PALETTE[j], ls=DASHES[j], label=SHORT.get(law, law)
                )
            axes.axhline(0.0, color="0.5", lw=0.8)
            axes.set(xlabel="share of the run", title=name)
        panels[0].set_ylabel("said - exact loss [$10^{-3}$]")
        at = np.arange(len(cases))
        for j, law in enumerate(LAWS):
            panels[2].plot(at, 100.0 * _held_out(data, law), "os^D"[j], color=PALETTE[j], ms=5)
            loss = column(data["cooldowns"], "loss", case=case, law=law)
            panels[3].plot(SHARES, loss - loss.min(), color=PALETTE[j], ls=DASHES[j])
        exact = column(data["cooldowns"], "loss", case=case, law="exact")
        panels[3].plot(SHARES, exact - exact.min(), "k.", label="exact")
        panels[2].set(yscale="log", ylabel="error, six held out [% of risk]", xlim=(-0.4, len(cases) - 0.6))
        panels[2].set_xticks(at, cases)
        panels[3].set(
            xlabel="cooldown", ylabel="last loss above the best", ylim=(0, 3.0 * np.median(exact - exact.min()))
        )
        legend(figure, (panels[0], panels[3]), 5)
    return figure


def claims(data: Data) -> list[Claim]:
    cases = first(data["errors"]["case"])
    held = {law: _held_out(data, law) for law in LAWS}
    regret = {law: _regret(data, law) for law in LAWS}
    power = [column(data["fits"], "value", case=case, law="multi-power", parameter="gamma")[0] for case in cases]
    cosine = [column(data["errors"], "error", case=c, law="risk at the end", schedule="cosine")[0] for c in cases]
    best = [column(data["cooldowns"], "loss", case=case, law="exact") - 0.5 * NOISE for case in cases]
    chosen = np.array([min(line) * (1.0 + lost) for line, lost in zip(best, regret["multi-power"], strict=True)])
    given: dict[str, Any] = {"chosen": "problems, peaks and lengths", "substituted": SUBSTITUTED}

    def said(values: Any, digits: str = ".2g") -> str:
        return ", ".join(f"{case} {100.0 * value:{digits}} %" for case, value in zip(cases, values, strict=True))

    return [
        Claim(
            "the multi-power law predicts the six held-out schedules better than the annealing law",
            "tables of held-out errors",
            "mean absolute error below that of the annealing law on every problem",
            f"multi-power {said(held['multi-power'])}; annealing {said(held['annealing'])} of the risk",
            bool(np.all(held["multi-power"] < held["annealing"])),
            paper="better on models of 25M, 100M and 400M",
            turns=f"annealing / multi-power: {', '.join(f'{v:.1f}' for v in held['annealing'] / held['multi-power'])}",
            **given,
        ),
        Claim(
            "the cooldown that the multi-power law advises beats the cosine, and is close to the best there is",
            "abstract (schedules optimised under the law)",
            "risk below the cosine's, and at most 2 % above the best linear cooldown to zero",
            f"x {', '.join(f'{v:.3f}' for v in chosen / np.array(cosine))} of the cosine; above the best "
            f"{said(regret['multi-power'])}",
            bool(np.all(chosen < cosine) and np.all(regret["multi-power"] <= 0.02)),
            paper="a schedule like WSD, better than cosine",
            turns=f"advised by the annealing law {said(regret['annealing'])}, by the functional one "
            f"{said(regret['functional'])}, by seven numbers {said(regret['spectral'])}",
            **given,
        ),
        Claim(
            "the functional law is a surrogate that predicts schedules it was not fitted to",
            f"{FUNCTIONAL}, experiments with language models",
            "mean absolute error at most 2 % of the risk on every problem",
            said(held["functional"]),
            bool(np.all(held["functional"] <= 0.02)),
            **given,
        ),
        Claim(
            "noise is forgotten by the sum of the rates alone: the power of the rate in the multi-power law is zero",
            "gamma of 1 - (1 + C lr^-gamma S)^-beta; SGD on a quadratic at small rates knows intrinsic time only",
            "gamma at most 0.05 on every problem",
            ", ".join(f"{case} {value:.3f}" for case, value in zip(cases, power, strict=True)),
            bool(np.all(np.array(power) <= 0.05)),
            "at rates near the critical one steps count too",
            own=True,
        ),
        Claim(
            "a law whose noise also follows the risk predicts best",
            "seven numbers (Wang, Liu and Chen 2026, arXiv 2609.40148) against the other three",
            "least mean absolute error on every problem",
            f"seven numbers {said(held['spectral'])}; the best of the others "
            f"{said(np.min([held[law] for law in LAWS[:3]], axis=0))}",
            bool(np.all(held["spectral"] < np.min([held[law] for law in LAWS[:3]], axis=0))),
            own=True,
        ),
    ]


SUBSTITUTED = "exact SGD on three power-law regressions for language models"
FIGURES = [
    Reproduction(
        "luo2025-laws",
        "Three laws of loss curves, and a fourth, on curves that are exact",
        PAPER,
        2025,
        "SGD on power laws of 10^8 modes (capacity, source: 1.5, 2.5; 1.5, 1.6; 2, 1.5), noise 0.1, peaks "
        "0.02, 0.05, 0.2, warmup 9 %: the paper's nine schedules, 6,000 steps (full: its 24,000), laws fitted to three "
        "and held against six; then the linear cooldown with the least last loss under every law.",
        compute,
        draw,
        claims,
        chosen=("problems, peaks, lengths; the paper's schedules and its split",),
        substituted=(SUBSTITUTED,),
        seconds=3.0,
    )
]
