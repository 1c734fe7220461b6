"""simlab sweep, simlab show, simlab store check | compact | export."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from simlab.cli.common import File, Force, app, assignment, complain, notices

if TYPE_CHECKING:
    from simlab.sweeps import Sweep

__all__ = ["store_app"]

store_app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Verify, shrink or export a store.")
app.add_typer(store_app, name="store")

Stored = Annotated[Path, typer.Argument(metavar="STORE", help="Folder that simlab sweep wrote.")]

MOST_LISTED = 1000


@app.command()
def sweep(
    file: File,
    output: Annotated[Path | None, typer.Option("-o", "--output", help="The store [FILE.zarr].")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="List the cells and run nothing.")] = False,
    threads: Annotated[int | None, typer.Option(help="Cells computed at a time [all processors].")] = None,
    cluster: Annotated[
        str | None, typer.Option(help="Dask scheduler, tcp://HOST:PORT, or local:N for N worker processes.")
    ] = None,
) -> None:
    """Run an experiment at many values of its parameters, as its table [sweep] says.

    What the store holds already is not computed again: after Ctrl-C, a crash or a full disk the same command goes on.
    """
    from simlab.sweeps import run_sweep, sweep_of

    target = output if output is not None else Path(f"{file.stem}.zarr")
    with notices():
        planned = sweep_of(file)
    if dry_run:
        _list(planned)
        return
    try:
        report = run_sweep(planned, target, threads=threads, cluster=cluster, announce=typer.echo)
    except KeyboardInterrupt as error:
        kept = f"what is finished is in {target}, start the same command again to go on"
        error.add_note(kept if target.exists() else "nothing was written")
        raise
    typer.echo(f"{target}: {report}")
    if report.left:
        complain("interrupted; start the same command again to go on.")
        raise typer.Exit(130)


def _list(planned: Sweep) -> None:
    """All cells, checked, and what they would cost."""
    from simlab.sweeps.work.estimate import estimate

    planned.validate()
    grid = planned.grid
    dims = " x ".join(f"{size} {name}" for name, size in grid.dims.items())
    for number in range(min(grid.size, MOST_LISTED)):
        typer.echo(f"{number}: {grid.spoken(number)}")
    if grid.size > MOST_LISTED:
        typer.echo(f".. and {grid.size - MOST_LISTED} more")
    typer.echo(f"{grid.size} cells ({dims}), on one thread {estimate(planned, 1.0, 1)}")


@app.command()
def show(
    store: Stored,
    x: Annotated[str | None, typer.Option("-x", help="Parameter along the figure [the peak learning rate].")] = None,
    y: Annotated[str | None, typer.Option("-y", help="Draw a map of the risk over x and this.")] = None,
    by: Annotated[
        list[str] | None, typer.Option("--by", metavar="PATH", help="The best for each value of this; repeatable.")
    ] = None,
    where: Annotated[
        list[str] | None, typer.Option("--where", metavar="PATH=VALUE", help="Only cells at (or nearest to) this.")
    ] = None,
    output: Annotated[Path | None, typer.Option("-o", "--output", help="Draw to this picture.")] = None,
    force: Force = False,
) -> None:
    """Print the best cell of each schedule, its neighbourhood and what it is made of; draw the sweep with -o.

    Seeds are repeats: what is compared is their mean, with its standard error.
    """
    from simlab import plot
    from simlab.files import fresh_file
    from simlab.sweeps import Store
    from simlab.sweeps.answer import draw
    from simlab.sweeps.answer.best import Answer
    from simlab.sweeps.answer.table import table_of

    chosen = dict(assignment(text, "--where", "schedule.kind=wsd") for text in where or [])
    with Store(store) as opened:
        answer = Answer(opened, chosen, by or [])
        typer.echo(table_of(answer))
        if output is None:
            return
        figure: Any = draw.lines(answer, x) if y is None else draw.heat_map(answer, x or answer.default_x(), y)
        with fresh_file(output, force) as partial:
            plot.save(figure, partial)
    typer.echo(f"\n{output}")


@store_app.command()
def check(store: Stored) -> None:
    """Compare all data with the ledger; exit code 1 if something is damaged."""
    from simlab.sweeps import Store
    from simlab.sweeps.store.compact import check as checked

    with Store(store) as opened:
        health = checked(opened)
    typer.echo(f"{store}: {health}")
    if health.damaged or health.altered:
        raise typer.Exit(1)


@store_app.command()
def compact(store: Stored) -> None:
    """Rewrite a finished store in fewer, larger files."""
    from simlab.sweeps.store.compact import compact as compacted

    before, after = compacted(store)
    typer.echo(f"{store}: {before} files before, {after} now")


@store_app.command()
def export(
    store: Stored,
    output: Annotated[Path, typer.Option("-o", "--output", help="File to write: .csv, .parquet or .nc.")],
    force: Force = False,
) -> None:
    """Write one row for each cell (csv, parquet), or all recorded steps (NetCDF)."""
    from simlab.sweeps import Store
    from simlab.sweeps.answer.export import export as exported

    with Store(store) as opened:
        exported(opened, output, force)
    typer.echo(str(output))
