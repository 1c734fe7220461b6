"""simlab river."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from simlab.cli.common import Force, app

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.figure import Figure

    from simlab.showcase.valley import Wandering

__all__ = ["draw_river"]

FIGURES = ("split", "crossing", "shapes", "decays", "valley", "surface")
FILES = (
    "river.txt",
    *(f"{name}.{suffix}" for name in FIGURES for suffix in ("png", "pdf")),
    "valley.gif",
    "valley.html",
)


@app.command("river")
def draw_river(
    output: Annotated[Path, typer.Option("-o", "--output", help="Folder of results.")] = Path("simlab-river"),
    animation: Annotated[bool, typer.Option("--animation/--no-animation", help="Draw valley.gif and .html.")] = True,
    force: Force = False,
) -> None:
    """Draw the river valley: why a high learning rate looks bad and is good, and what a cooldown reveals.

    Prints the final losses of the canonical experiment, split into river and hills, and the caveat that goes with them.
    """
    from simlab import plot
    from simlab.files import ResultsFolder, writing
    from simlab.interrupts import whole
    from simlab.plot import animation as moving
    from simlab.showcase import valley

    with ResultsFolder(output, FILES, force) as results:
        with whole():
            trace = valley.canonical_trace("all", on_cap=True)
        text = valley.table(trace)
        typer.echo(f"{valley.canonical_valley()!r}\n\n{text}\n")
        with writing(results.stage, output):
            (results.stage / "river.txt").write_text(f"{text}\n", encoding="utf-8")
            written = results.commit()
        with results.drawing("the figures"):
            with whole():
                wandering = valley.wander()
            for name, figure in _figures(trace, wandering).items():
                for suffix in ("png", "pdf"):
                    plot.save(figure, results.stage / f"{name}.{suffix}")
            if animation:
                clouds = dict(list(wandering.clouds.items())[:2])
                rates = {name: wandering.rates[name] for name in clouds}
                targets = [results.stage / "valley.gif", results.stage / "valley.html"]
                moving.animate(wandering.landscape, clouds, rates, targets, river=wandering.river)
            written += results.commit()
    typer.echo(f"{output}: {', '.join(written)}")


def _figures(trace: xr.Dataset, wandering: Wandering) -> dict[str, Figure]:
    """All figures by name."""
    import numpy as np

    from simlab.plot import river as draw
    from simlab.showcase import valley
    from simlab.showcase.decays import decays

    cap = valley.canonical_valley().critical_lr
    note = f"every peak is {valley.PEAK:g}, below the cap 2/λ$_{{max}}$ = {cap:g}"
    one = {name: cloud[:, 0] for name, cloud in wandering.clouds.items()}
    two = {name: path[::2] for name, path in list(one.items())[:2]}
    cases = {
        "flat river": valley.shape_points(0.0),
        "river falls 2·10$^{-4}$ per unit of learning rate": valley.shape_points(2e-4),
    }
    kinds: dict[str, Any] = {
        "one hill, λ = 1: half at once, then 1/η grows by λ": [1.0],
        "40 hills, λ = 0.1 to 1: best found numerically": np.geomspace(1.0, 0.1, 40),
    }
    return {
        "split": draw.split(trace.sel(run=["cosine", "WSD 20 %", "constant", "WSD 10 %"]), note=note),
        "crossing": draw.crossing(trace, "cosine", "WSD 20 %", (valley.CAVEAT, valley.ON_CAP), cap),
        "shapes": draw.shapes(cases, "10$^{-4}$ loss"),
        "decays": draw.decays({title: decays(hills) for title, hills in kinds.items()}),
        "valley": draw.valley(wandering.landscape, one, wandering.river, rates=wandering.rates),
        "surface": draw.surface(wandering.landscape, two, wandering.river),
    }
