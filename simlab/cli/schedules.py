"""simlab schedules, simlab schedule plot, simlab schedule export."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from simlab.cli.common import Force, app, assignment, notices

if TYPE_CHECKING:
    from simlab.schedules import Schedule

__all__ = ["schedule_app", "schedule_asked"]

schedule_app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Draw or export one schedule.")
app.add_typer(schedule_app, name="schedule")

Kind = Annotated[str, typer.Argument(help="Name of a schedule, or an experiment file (its [schedule]).")]
Steps = Annotated[int | None, typer.Option(help="Length of the run.")]
Assign = Annotated[list[str] | None, typer.Option("-p", metavar="KEY=VALUE", help="A parameter, such as peak=0.1.")]


@app.command("schedules")
def list_schedules(
    names: Annotated[list[str] | None, typer.Argument(help="Only these.")] = None,
    output: Annotated[Path | None, typer.Option("-o", "--output", help="Draw them to this picture.")] = None,
    steps: Annotated[int, typer.Option(help="Length of the schedules drawn.")] = 10_000,
    force: Force = False,
) -> None:
    """List the named schedules with their parameters; draw them with -o."""
    from simlab.showcase.schedules import chosen, describe, samples

    kinds = chosen(names)
    if output is not None:
        _draw(samples(kinds, steps), output, force)
    typer.echo(describe(kinds) if output is None else f"{output}: {', '.join(kinds)}")


@schedule_app.command("plot")
def plot_schedule(
    kind: Kind,
    output: Annotated[Path, typer.Option("-o", "--output", help="Picture: png, pdf or svg.")],
    steps: Steps = None,
    assign: Assign = None,
    force: Force = False,
) -> None:
    """Draw one schedule."""
    schedule = schedule_asked(kind, steps, assign or [])
    _draw({schedule.kind: schedule}, output, force)
    typer.echo(f"{output}: {schedule!r}")


@schedule_app.command("export")
def export_schedule(
    kind: Kind,
    output: Annotated[Path, typer.Option("-o", "--output", help="File to write.")],
    style: Annotated[str, typer.Option("--format", help="csv, json, torch, optax or transformers.")],
    steps: Steps = None,
    assign: Assign = None,
    force: Force = False,
) -> None:
    """Write one schedule as numbers (csv), as its expression (json) or as code that reproduces it in a framework."""
    from simlab import schedules
    from simlab.errors import unknown_name
    from simlab.files import fresh_file

    files = {"csv": schedules.to_csv, "json": schedules.to_json}
    sources = {"torch": schedules.to_torch, "optax": schedules.to_optax, "transformers": schedules.to_transformers}
    if style not in {**files, **sources}:
        raise unknown_name("--format", style, [*files, *sources])
    schedule = schedule_asked(kind, steps, assign or [])
    data, written = output.with_suffix(".npz"), str(output)
    with fresh_file(output, force) as partial:
        if style in files:
            files[style](schedule, partial)
        else:
            text = sources[style](schedule, data, overwrite=force)
            partial.write_text(text, encoding="utf-8")
            written += f" and {data}, which belongs beside it" if f"with_name({data.name!r})" in text else ""
    typer.echo(f"{written}: {schedule!r}")


# -- helpers


def schedule_asked(kind: str, steps: int | None, assignments: Sequence[str]) -> Schedule:
    """The schedule of a family or of an experiment file, with the parameters assigned on the command line."""
    from simlab.errors import InputError
    from simlab.experiment import Experiment
    from simlab.experiment.document import read_toml
    from simlab.experiment.schedule import build_schedule
    from simlab.experiment.tables import table_at

    given = dict(assignment(text) for text in assignments)
    if steps is not None:
        given["steps"] = steps
    if not kind.endswith(".toml"):
        return build_schedule({"kind": kind, **given}, "schedule", Path.cwd())
    tree = read_toml(kind)
    tree["schedule"] = {**table_at(tree, "schedule", "schedule"), **given}
    with notices():
        schedule = Experiment.from_dict(tree, Path(kind).resolve().parent).schedule
    if schedule is None:
        raise InputError(f"{kind} has no [schedule] with a kind; name a schedule in place of the file.")
    return schedule


def _draw(named: dict[str, Schedule], output: Path, force: bool) -> None:
    from simlab import plot
    from simlab.files import fresh_file

    with fresh_file(output, force) as partial:
        plot.save(plot.schedules(named), partial)
