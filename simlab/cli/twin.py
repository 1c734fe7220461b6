"""simlab twin: fit, predict, compare, optimize, design, play, report, examples."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from simlab.cli.common import Force, app, notices
from simlab.cli.schedules import schedule_asked

if TYPE_CHECKING:
    from simlab.twin import Curve, Twin

__all__ = ["twin_app"]

twin_app = typer.Typer(
    no_args_is_help=True, rich_markup_mode=None, help="From measured loss curves to schedules that nobody ran."
)
app.add_typer(twin_app, name="twin")

Logs = Annotated[list[Path], typer.Argument(metavar="LOG...", help="Logs with steps, learning rates and a loss.")]
File = Annotated[Path, typer.Argument(metavar="TWIN.json", help="A twin that `simlab twin fit` wrote.")]
Named = Annotated[str, typer.Argument(help="Name of a schedule, or an experiment file (its [schedule]).")]
Decay = Annotated[float | None, typer.Option("--weight-decay", help="AdamW's; inferred where it is not given.")]
Optimizer = Annotated[str, typer.Option(help="adamw or sgd.")]
Column = Annotated[str | None, typer.Option("--loss", help="Column of the loss, where there are several.")]
Warmup = Annotated[int | None, typer.Option(help="Steps of a linear warmup that the logs do not hold.")]
Between = Annotated[str, typer.Option(help="Rates between rows of a log: jumps (halfway, else lines), linear or hold.")]
Level = Annotated[float, typer.Option(help="Probability of the intervals.")]
Steps = Annotated[int | None, typer.Option(help="Length of the run.")]
Batches = Annotated[
    list[float] | None,
    typer.Option("--batch", help="Samples in a step: once for all logs, or for each, held-out ones last."),
]
Batch = Annotated[float | None, typer.Option(help="Samples in a step, where the twin's curves differed in them.")]
Assign = Annotated[list[str] | None, typer.Option("-p", metavar="KEY=VALUE", help="A parameter, such as peak=0.1.")]


@twin_app.command("fit")
def fit(
    logs: Logs,
    output: Annotated[Path, typer.Option("-o", "--output", help="File to write.")] = Path("twin.json"),
    weight_decay: Decay = None,
    optimizer: Optimizer = "adamw",
    loss: Column = None,
    warmup: Warmup = None,
    between: Between = "jumps",
    batch: Batches = None,
    linear: Annotated[
        bool, typer.Option("--linear", help="A plain quadratic, which `simlab twin play` needs.")
    ] = False,
    force: Force = False,
) -> None:
    """Fit a twin to the curves of these logs, print its parameters, and write it."""
    from simlab.files import fresh_file

    with fresh_file(output, force) as partial, notices():
        fitted = _fitted(_curves(logs, loss, warmup, between, batch), weight_decay, optimizer, linear)
        fitted.to_json(partial)
    typer.echo(f"{fitted}\n{output}: simlab twin predict {output} NAME --steps N -p peak={fitted.reference:g}")


@twin_app.command("predict")
def predict(
    file: File,
    schedule: Named,
    output: Annotated[Path | None, typer.Option("-o", "--output", help="csv of the whole curve.")] = None,
    steps: Steps = None,
    assign: Assign = None,
    level: Level = 0.9,
    batch: Batch = None,
    force: Force = False,
) -> None:
    """Predict the loss under a schedule, with an interval; the whole curve with -o."""
    from simlab.files import fresh_file

    with notices():
        band = _twin(file, batch).predict(schedule_asked(schedule, steps, assign or []), level)
    if output is not None:
        columns = zip(band.steps, band.loss, band.lower, band.upper, strict=True)
        rows = [f"{int(t)},{a:.17g},{b:.17g},{c:.17g}" for t, a, b, c in columns]
        with fresh_file(output, force) as partial:
            partial.write_text("\n".join(["step,loss,lower,upper", *rows]) + "\n", encoding="utf-8")
    typer.echo(repr(band))


@twin_app.command("compare")
def compare(
    file: File,
    first: Named,
    second: Named,
    steps: Steps = None,
    assign: Assign = None,
    level: Level = 0.9,
    batch: Batch = None,
) -> None:
    """Print the final loss of the first schedule minus that of the second, with its interval."""
    with notices():
        one, other = (schedule_asked(name, steps, assign or []) for name in (first, second))
        found = _twin(file, batch).compare(one, other, level)
    typer.echo(f"{found.difference:+.4f} [{found.lower:+.4f}, {found.upper:+.4f}] {one!r} - {other!r}")


@twin_app.command("optimize")
def optimize(
    file: File,
    steps: Annotated[int, typer.Option(help="Length of the run.")],
    peak: Annotated[float | None, typer.Option(help="Highest rate [the highest trained at].")] = None,
    warmup: Annotated[int, typer.Option(help="Steps of warmup.")] = 0,
    output: Annotated[Path | None, typer.Option("-o", "--output", help="csv of the schedule.")] = None,
    level: Level = 0.9,
    batch: Batch = None,
    force: Force = False,
) -> None:
    """Find the schedule with the least final loss, and print what the usual ones lose to it."""
    from simlab import schedules
    from simlab.files import fresh_file

    with notices():
        best = _twin(file, batch).optimize(steps, peak, warmup, level=level)
    if output is not None:
        with fresh_file(output, force) as partial:
            schedules.to_csv(best.schedule, partial)
    typer.echo(repr(best))


@twin_app.command("design")
def design(
    file: File,
    candidates: Annotated[list[str], typer.Argument(help="Runs that could be made: names of schedules, or files.")],
    target: Annotated[list[str], typer.Option(help="A run whose final loss is asked for.")],
    steps: Steps = None,
    assign: Assign = None,
    batch: Batch = None,
) -> None:
    """List further runs, the one first that would tell most about the final losses of the targets."""
    with notices():
        runs, goals = ([schedule_asked(name, steps, assign or []) for name in names] for names in (candidates, target))
        ranked = _twin(file, batch).design(runs, goals)
    typer.echo(f"standard deviation now {' '.join(f'{x:.4f}' for x in ranked[0].before)}; with a run of")
    for one in ranked:
        typer.echo(f"  {' '.join(f'{x:.4f}' for x in one.after)} {runs[one.place]!r}")


@twin_app.command("play")
def play(
    file: File,
    output: Annotated[Path, typer.Option("-o", "--output", help="File to write.")] = Path("playground.html"),
    force: Force = False,
) -> None:
    """Write the playground of this twin: a page in which a schedule is dragged and its loss predicted."""
    with notices():
        written = _twin(file, None).play(output, force=force)
    typer.echo(f"{written}: opens in any browser without a network")


@twin_app.command("report")
def report(
    logs: Logs,
    held_out: Annotated[list[Path] | None, typer.Option("--held-out", help="A log that is not fitted to.")] = None,
    output: Annotated[Path | None, typer.Option("-o", "--output", help="Text file to write.")] = None,
    weight_decay: Decay = None,
    optimizer: Optimizer = "adamw",
    loss: Column = None,
    warmup: Warmup = None,
    between: Between = "jumps",
    level: Level = 0.9,
    batch: Batches = None,
    force: Force = False,
) -> None:
    """Fit a twin and other laws to these logs, and print how each does on them and on others."""
    from simlab.files import fresh_file
    from simlab.twin.report import report

    with notices():
        all_of_them = _curves([*logs, *(held_out or [])], loss, warmup, between, batch)
        curves, others = all_of_them[: len(logs)], all_of_them[len(logs) :]
        page = report(_fitted(curves, weight_decay, optimizer), curves, others, level)
    if output is not None:
        with fresh_file(output, force) as partial:
            partial.write_text(page + "\n", encoding="utf-8")
    typer.echo(page)


@twin_app.command("examples")
def examples(
    output: Annotated[Path, typer.Option("-o", "--output", help="Folder to write.")] = Path("runs"),
    force: Force = False,
) -> None:
    """Write the logs of twelve measured runs of a small language model, to try the other commands on."""
    from simlab.files import ResultsFolder
    from simlab.twin import example_runs

    runs = example_runs()
    with ResultsFolder(output, tuple(f"{name}.csv" for name in runs), force) as results:
        for name, curve in runs.items():
            rates = curve.schedule(curve.steps.clip(max=len(curve.schedule) - 1))
            rows = zip(curve.steps, rates, curve.losses, strict=True)
            lines = ["step,lr,loss", *(f"{t},{lr:.9g},{loss:.5f}" for t, lr, loss in rows)]
            (results.stage / f"{name}.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
        results.commit()
    three = " ".join(str(output / f"{name}.csv") for name in ("constant_6000", "cosine_4000", "wsd_4000"))
    typer.echo(f"{output}: {len(runs)} logs; simlab twin fit {three} --weight-decay 0.1 --warmup 200")


# -- helpers


def _curves(
    logs: Sequence[Path], loss: str | None, warmup: int | None, between: Any, batches: Sequence[float] | None = None
) -> list[Curve]:
    from simlab.errors import InputError
    from simlab.twin import Curve

    for path in logs:
        if path.suffix == ".toml":
            raise InputError(
                f"{path} is an experiment file; give the log of a run, with columns such as step,lr,loss: "
                "simlab twin fit run.csv."
            )
    of: list[float | None] = [*batches] if batches else [None]
    if len(of) not in (1, len(logs)):
        raise InputError(f" is given {len(of)} times for {len(logs)} logs; give it once, or once for each.", "--batch")
    return [
        Curve.from_log(path, loss, warmup=warmup, name=path.stem, batch=batch, between=between)
        for path, batch in zip(logs, of * (len(logs) // len(of)), strict=True)
    ]


def _fitted(curves: Sequence[Curve], weight_decay: float | None, optimizer: Any, linear: bool = False) -> Twin:
    from simlab.twin import fit

    return fit(curves, weight_decay, optimizer, linear=linear)


def _twin(file: Path, batch: float | None) -> Twin:
    from simlab.twin import from_json

    return from_json(file) if batch is None else from_json(file).at_batch(batch)
