"""What `simlab optimize` and `simlab tune` say of the problem of a file, and leave in a folder."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np

from simlab.errors import InputError, check_entries
from simlab.experiment.document import read_toml
from simlab.experiment.families import FAMILIES as KINDS
from simlab.experiment.families import family_of
from simlab.experiment.tables import call, kind_of, table_at, within
from simlab.files import ResultsFolder, writing
from simlab.methods import Method, ema, heavy_ball, sgd
from simlab.schedules import Schedule, spectral, to_csv, to_json, to_optax, to_torch, to_transformers

if TYPE_CHECKING:
    from simlab.optimal.tune import Tuned
    from simlab.trace import RiskTrace

__all__ = ["OUTPUTS", "Row", "Wish", "optimize_file", "tune_file", "wish_of"]

PICTURES = ("schedules.png", "schedules.pdf")
SUBSPACES = "log_bins(4)"
"""What the picture tells regret by."""

SOURCES = {"schedule_torch.py": to_torch, "schedule_optax.py": to_optax, "schedule_transformers.py": to_transformers}
"""Code by file; none has the name of the framework that it imports."""

OUTPUTS = ("schedule.csv", "schedule.json", "momentum.csv", "decay.csv", *SOURCES, "table.txt", *PICTURES)
"""What `simlab optimize` leaves in its folder."""

RIVALS: Mapping[str, tuple[str, tuple[str, ...], Mapping[str, Any]]] = {
    "constant": ("constant", ("peak",), {}),
    "linear": ("linear", ("peak",), {}),
    "cosine": ("cosine", ("peak",), {}),
    "power": ("polynomial", ("peak", "power"), {}),
    "exponential": ("exponential", ("peak", "floor"), {}),
    "WSD": ("wsd", ("peak", "cooldown"), {}),
    "WSD 1-sqrt": ("wsd", ("peak", "cooldown"), {"shape": "1-sqrt"}),
    "WSD cosine": ("wsd", ("peak", "cooldown"), {"shape": "cosine"}),
}
"""Name -> (family, what of it is tuned, what is given)."""


def averaged(lr: Schedule, decay: float = 0.999, batch: int | float = 1) -> Method:
    """An EMA of SGD."""
    return ema(sgd(lr, batch), decay)


METHODS: Mapping[str, tuple[Callable[..., Method], tuple[str, ...]]] = {
    "sgd": (sgd, ()),
    "heavy_ball": (heavy_ball, ("momentum",)),
    "ema": (averaged, ("decay",)),
}
"""Method of [optimize] -> what makes it of rates, and what of it is tuned."""


class Wish(NamedTuple):
    """The table [optimize], and the problem of the file."""

    problem: Any
    steps: int
    how: Mapping[str, Any]


class Row(NamedTuple):
    """A schedule by name, its risk, and what it was found to be."""

    name: str
    risk: float
    found: str
    method: Method


def wanted(
    steps: int,
    method: Literal["sgd", "heavy_ball", "ema"] = "sgd",
    batch: int | float = 1,
    samples: int | None = None,
    cap: float | None = None,
    tolerance: float = 1e-6,
    sweeps: int | None = None,
) -> dict[str, Any]:
    """The arguments of `simlab.optimize` that the table [optimize] gives; its cap is the critical rate by default."""
    given = dict(locals())
    return {**given, "cap": "critical" if cap is None else cap}


def wish_of(path: Path) -> Wish:
    """What a file asks for; steps are those of [schedule] where [optimize] names none."""
    tree = read_toml(path)
    problem, table = table_at(tree, "problem", "problem"), table_at(tree, "optimize", "optimize")
    if not problem:
        raise InputError("[problem] is missing; add it with a kind, and [optimize] with steps.")
    problem["kind"] = kind_of(problem, "problem", KINDS)
    family = family_of(tree)
    if "steps" not in table and "steps" in table_at(tree, "schedule", "schedule"):
        table = {**table, "steps": tree["schedule"]["steps"]}
    if "steps" not in table:
        raise InputError(" is missing; give the number of steps.", "optimize.steps")
    how = call(wanted, table, "optimize", {})
    source = family.source(family.located(problem, path.resolve().parent), path.resolve().parent)
    return Wish(family.modal(source), how.pop("steps"), how)


def rivals(wish: Wish) -> list[Row]:
    """Every usual schedule at its best, and the law in both its forms."""
    from simlab.optimal.tune import tune

    how = wish.how
    method, more = METHODS[how["method"]]
    rows = []
    for name, (family, over, given) in RIVALS.items():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # of bounds: the table has the numbers
            fixed = {**given, "batch": how["batch"]}
            made = tune(wish.problem, family, wish.steps, (*over, *more), method=method, given=fixed)
        rows.append(Row(name, made.risk, _spelled(made.parameters), made.method))
    return rows if more else rows + _laws(wish)


def _laws(wish: Wish) -> list[Row]:
    from simlab.engines.exact import exact

    cap = wish.how["cap"] if isinstance(wish.how["cap"], float | int) else None
    batch = wish.how["batch"]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        made = {form: spectral(wish.problem, wish.steps, batch=batch, cap=cap, form=form) for form in ("full", "short")}
    problem = wish.problem.compress(1e-9) if getattr(wish.problem, "divisible", False) else wish.problem
    rows = []
    for form, schedule in made.items():
        method = sgd(schedule, batch=batch)
        risk = float(exact(problem, method, record=2, progress=False).total().values[-1])
        rows.append(Row(f"law, {form}", risk, f"S = {schedule.total():.6g}", method))
    return rows


def _side_by_side(wish: Wish, rows: Sequence[Row]) -> RiskTrace:
    """Every row's run, with the risk by subspace."""
    from simlab.engines.exact import exact

    problem, methods = wish.problem, {row.name: row.method for row in rows}
    if getattr(problem, "divisible", False):
        problem = problem.compress(1e-9, subspaces=SUBSPACES)
    steps = np.unique(np.linspace(0, wish.steps, 401).astype(int))
    return exact(problem, methods, record=steps.tolist(), subspaces=SUBSPACES, progress=False)


def _spelled(parameters: Mapping[str, float]) -> str:
    return ", ".join(f"{name} = {value:.4g}" for name, value in parameters.items())


def optimize_file(path: Path, target: Path, *, force: bool, figure: bool, say: Callable[[str], None]) -> None:
    """The optimum of the problem of a file beside every usual schedule at its best: a table, files, a figure."""
    from simlab.optimal.optimize import optimize

    wish = wish_of(path)
    with ResultsFolder(target, OUTPUTS, force) as results:
        with within("optimize", ("steps", *wish.how)):
            best = optimize(wish.problem, wish.steps, **wish.how)
        first = Row("optimum", best.risk, f"peak = {best.schedule.peak():.4g}", best.method)
        others = [] if wish.how["samples"] is not None else rivals(wish)
        rows = [first, *sorted(others, key=lambda row: row.risk)]
        text = f"{best!r}\n\n{table(rows)}"
        say(f"{wish.problem!r}, {wish.steps} steps\n\n{text}\n")
        with writing(results.stage, target):
            stage = results.stage
            to_csv(best.schedule, stage / "schedule.csv")
            to_json(best.schedule, stage / "schedule.json")
            for name, other in (("momentum.csv", best.momentum), ("decay.csv", best.decay)):
                if other is not None:
                    to_csv(other, stage / name)
            for name, source in SOURCES.items():
                (stage / name).write_text(source(best.schedule), encoding="utf-8")
            (stage / "table.txt").write_text(f"{text}\n", encoding="utf-8")
            written = results.commit()
        if figure:
            from simlab import plot

            with results.drawing(" and ".join(PICTURES)):
                drawn = (
                    plot.regret(_side_by_side(wish, rows)) if others else plot.schedules({first.name: best.schedule})
                )
                for name in PICTURES:
                    plot.save(drawn, results.stage / name)
                written += results.commit()
    say(f"{target}: {', '.join(written)}")


def tune_file(path: Path, family: str, over: Sequence[str], given: Mapping[str, Any]) -> Tuned:
    """The best of one family on the problem of a file, with the method and the batch of [optimize]."""
    from simlab.optimal.tune import tune

    wish = wish_of(path)
    method, _ = METHODS[wish.how["method"]]
    names = check_entries("over", list(over), "names")
    return tune(wish.problem, family, wish.steps, names, method=method, given={"batch": wish.how["batch"], **given})


def table(rows: Sequence[Row]) -> str:
    """Rows by name: the risk, how much more it is than that of the first, and what was found."""
    least = rows[0].risk
    lines = [f"{'schedule':<14}{'risk':>14}{'regret':>10}  found"]
    for row in rows:
        more = f"{100.0 * (row.risk / least - 1.0):.3f} %" if least > 0.0 else ""
        lines.append(f"{row.name:<14}{row.risk:>14.8g}{more:>10}  {row.found}")
    return "\n".join(lines)
