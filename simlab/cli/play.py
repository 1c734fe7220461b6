"""simlab play."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from simlab.cli.common import Force, app, notices

__all__ = ["play"]


@app.command()
def play(
    file: Annotated[
        Path | None, typer.Argument(metavar="[FILE.toml]", help="Experiment file: its problem and runs.")
    ] = None,
    output: Annotated[Path, typer.Option("-o", "--output", help="File to write.")] = Path("playground.html"),
    show: Annotated[bool, typer.Option("--open", help="Open it in the browser.")] = False,
    force: Force = False,
) -> None:
    """Write the playground: one HTML file in which a schedule is dragged and its exact risk redrawn, offline."""
    from simlab.playground import write

    with notices():
        given = {}
        if file is not None:
            from simlab.playground.opened import of_file

            given = of_file(file)
        written = write(output, force=force, **given)
    typer.echo(f"{written}: {written.stat().st_size / 1e6:.1f} MB, opens in any browser without a network")
    if show:
        import webbrowser

        webbrowser.open(written.resolve().as_uri())
