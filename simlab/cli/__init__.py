"""The command line. Heavy modules load inside the commands, so that `simlab --help` stays instant."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from simlab._version import __version__
from simlab.cli import docs, optimize, play, reproduce, river, schedules, sweeps, theorems, twin
from simlab.cli.common import File, Force, app, complain, notices

__all__ = ["app", "docs", "main", "optimize", "play", "reproduce", "river", "schedules", "sweeps", "theorems", "twin"]


FIRST = """\
simlab: the exact risk of SGD under any learning-rate schedule, in seconds. Five things to do:

  simlab demo                      predict SGD on real data, measure it, and see both         (half a minute)
  simlab init && simlab run experiment.toml                an experiment of your own          (seconds)
  simlab optimize experiment.toml  its best schedule, and what the usual ones lose            (seconds)
  simlab twin fit run.csv          from the log of your run to schedules that nobody ran      (a second)
  simlab reproduce --quick -o gallery            papers' figures, and which claims come out   (minutes)

simlab --help lists all commands, simlab COMMAND --help says more of one.
"""


@app.callback(invoke_without_command=True)
def _root(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Print the version.", is_eager=True)] = False,
) -> None:
    if version:
        typer.echo(f"simlab {__version__}")
        raise typer.Exit
    if context.invoked_subcommand is None:
        typer.echo(FIRST, nl=False)


@app.command()
def run(
    file: File,
    output: Annotated[Path | None, typer.Option("-o", "--output", help="Folder of results [FILE-results].")] = None,
    force: Force = False,
    figure: Annotated[bool, typer.Option("--figure/--no-figure", help="Draw risk.png and risk.pdf.")] = True,
    threads: Annotated[int | None, typer.Option(help="Runs computed at a time [all processors].")] = None,
) -> None:
    """Run an experiment file: write the trace and a figure, print what the runs end with, and what that is made of.

    With engine = "both" in the file the runs are sampled as well, and the z-scores of the two printed.
    """
    from simlab.experiment import Experiment
    from simlab.experiment.report import run_experiment

    target = output if output is not None else Path(f"{file.stem}-results")
    with notices():
        experiment = Experiment.from_file(file)
    with notices():
        finished = run_experiment(experiment, target, force=force, figure=figure, threads=threads, say=typer.echo)
    if not finished:
        complain(f"interrupted; the trace up to there is in {target}.")
        raise typer.Exit(130)


@app.command()
def init(
    path: Annotated[Path, typer.Argument(help="File to write.")] = Path("experiment.toml"), force: Force = False
) -> None:
    """Write a commented example of an experiment file, which runs as it is."""
    from simlab.experiment import write_example

    write_example(path, force)
    typer.echo(f"{path}: run it with simlab run {path}")


@app.command()
def doctor() -> None:
    """Print versions, threads, SIMD width, kernel cache and GPU."""
    from simlab.doctor import report

    typer.echo(report())


@app.command()
def demo(
    output: Annotated[Path, typer.Option("-o", "--output", help="Folder of results.")] = Path("simlab-demo"),
    features: Annotated[int, typer.Option(help="Lift the 64 pixels to this many random features (0: none).")] = 0,
    force: Force = False,
) -> None:
    """Predict the risk of SGD on handwritten digits, run real SGD on them, and draw both."""
    from simlab.showcase.demo import run as run_demo

    run_demo(output, features=features, force=force, report=typer.echo)


def main(arguments: Sequence[str] | None = None) -> None:
    """The console script `simlab`."""
    app(args=None if arguments is None else list(arguments), prog_name="simlab")
