"""simlab reproduce."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from simlab.cli.common import app, complain

if TYPE_CHECKING:
    from simlab.figures.reproduction import Scale

__all__ = ["reproduce_figures"]


@app.command("reproduce")
def reproduce_figures(
    ids: Annotated[
        list[str] | None, typer.Argument(metavar="[ID ...]", help="Only these figures, or papers (zou2023).")
    ] = None,
    quick: Annotated[bool, typer.Option("--quick", help="All in under 4 minutes on two cores; the default.")] = False,
    full: Annotated[bool, typer.Option("--full", help="At the papers' own sizes, under 15 minutes.")] = False,
    output: Annotated[Path, typer.Option("-o", "--output", help="Folder of the gallery.")] = Path("gallery"),
    listed: Annotated[bool, typer.Option("--list", help="List the figures and make none.")] = False,
    processes: Annotated[int | None, typer.Option(help="Figures made at a time [all processors].")] = None,
    strict: Annotated[bool, typer.Option("--strict", help="Exit code 1 for any claim that does not hold.")] = False,
) -> None:
    """Compute the papers' figures, judge their claims and write a gallery; exit code 1 if a verdict is new.

    What the gallery holds already, made by the same code, is not made again: after Ctrl-C the same command goes on.
    """
    from simlab.errors import InputError
    from simlab.figures.gallery.expected import differing
    from simlab.figures.gallery.reproduce import reproduce
    from simlab.figures.gallery.spoken import listing, summary

    if listed:
        typer.echo(listing())
        return
    if quick and full:
        raise InputError("--quick and --full are both given; choose one of them.")
    scale: Scale = "full" if full else "quick"
    try:
        outcomes = reproduce(ids or (), scale=scale, folder=output, processes=processes, announce=typer.echo)
    except KeyboardInterrupt:
        complain("interrupted; start the same command again to go on.")
        raise typer.Exit(130) from None
    typer.echo(f"\n{summary(outcomes)}\n{output / 'index.html'}")
    changed = differing(outcomes)
    for line in changed:
        typer.echo(f"not the known verdict: {line}")
    failed = any(outcome.state == "failed" for outcome in outcomes)
    if failed or changed or (strict and not all(outcome.holds for outcome in outcomes)):
        raise typer.Exit(1)
