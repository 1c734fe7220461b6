"""simlab theory, simlab validate."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from simlab.cli.common import Force, app

__all__ = ["list_theorems", "validate_theorems"]

Names = Annotated[list[str] | None, typer.Argument(help="Only these.")]


@app.command("theory")
def list_theorems(names: Names = None) -> None:
    """List the theorems; of named ones print statement, assumptions and BibTeX."""
    from simlab.conformance.listing import entry_text, listing

    typer.echo("\n\n".join(map(entry_text, names)) if names else listing())


@app.command("validate")
def validate_theorems(
    names: Names = None,
    quick: Annotated[bool, typer.Option("--quick", help="Under a minute on two cores.")] = False,
    seed: Annotated[int, typer.Option(help="Another seed draws other problems.")] = 0,
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", help="Folder for conformance.csv and a picture of each kind of claim."),
    ] = None,
    processes: Annotated[int | None, typer.Option(help="Worker processes [all processors].")] = None,
    force: Force = False,
) -> None:
    """Hold the theorems against the exact engine on random problems; exit code 1 if one is contradicted."""
    from simlab import plot
    from simlab.conformance.pictures import GROUPS, pictures
    from simlab.conformance.validate import table_of, validate, write_csv
    from simlab.errors import check_count
    from simlab.files import ResultsFolder, writing

    table = "conformance.csv"
    files = (table, *(f"{name}.{suffix}" for name in GROUPS for suffix in ("png", "pdf")))
    seed = check_count("--seed", seed, low=0)
    if output is None:
        verdicts = validate(names, seed=seed, quick=quick, processes=processes)
        typer.echo(table_of(verdicts))
    else:
        with ResultsFolder(output, files, force) as results:
            verdicts = validate(names, seed=seed, quick=quick, processes=processes)
            typer.echo(table_of(verdicts))
            with writing(results.stage, output):
                write_csv(verdicts, results.stage / table)
                written = results.commit()
            with results.drawing("the pictures"):
                for name, figure in pictures(verdicts):
                    for suffix in ("png", "pdf"):
                        plot.save(figure, results.stage / f"{name}.{suffix}")
                written += results.commit()
        typer.echo(f"{output}: {', '.join(written)}")
    if not all(verdict.sound for verdict in verdicts):
        raise typer.Exit(1)
