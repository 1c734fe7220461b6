"""simlab optimize, simlab tune."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from simlab.cli.common import File, Force, app, assignment, notices

__all__ = ["optimize", "tune"]


@app.command()
def optimize(
    file: File,
    output: Annotated[Path | None, typer.Option("-o", "--output", help="Folder of results [FILE-optimum].")] = None,
    force: Force = False,
    figure: Annotated[bool, typer.Option("--figure/--no-figure", help="Draw schedules.png and schedules.pdf.")] = True,
) -> None:
    """Find the best schedule for the [problem] of a file, as [optimize] says, and what the usual ones lose.

    Writes the schedule as numbers and as code for torch, optax and transformers, a table and a figure.
    """
    from simlab.experiment.optimum import optimize_file

    with notices():
        target = output if output is not None else Path(f"{file.stem}-optimum")
        optimize_file(file, target, force=force, figure=figure, say=typer.echo)


@app.command()
def tune(
    file: File,
    family: Annotated[str, typer.Argument(help="Name of a schedule (see simlab schedules).")],
    over: Annotated[str, typer.Option(help="Parameters to look for, with commas.")] = "peak",
    assign: Annotated[list[str] | None, typer.Option("-p", metavar="KEY=VALUE", help="Another parameter.")] = None,
) -> None:
    """Find the best parameters of a named schedule for the [problem] of a file, and what half and twice cost."""
    from simlab.experiment.optimum import tune_file

    names = [name.strip() for name in over.split(",") if name.strip()]
    with notices():
        found = tune_file(file, family, names, dict(assignment(text) for text in assign or []))
    typer.echo(f"{found.schedule!r}\nrisk {found.risk:.10g} after {found.evaluations} evaluations")
    for name, value in found.parameters.items():
        half, twice = ("divergence" if cost == float("inf") else f"{100.0 * cost:.3g} %" for cost in found.costs[name])
        typer.echo(f"{name} = {value:.6g}: half of it costs {half}, twice {twice}")
