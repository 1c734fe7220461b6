"""What `simlab run` leaves of a river valley, and says of it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from simlab.experiment.report import OUTPUTS, write_figure
from simlab.experiment.valley import RiverExperiment, final_table, z_table
from simlab.files import ResultsFolder, writing

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.figure import Figure

__all__ = ["run_valley"]


def run_valley(
    experiment: RiverExperiment,
    source: str,
    target: Path,
    *,
    force: bool = False,
    figure: bool = True,
    threads: int | None = None,
    say: Callable[[str], None] = print,
) -> bool:
    """Run, say the final split, write trace.zarr (sampled.zarr), risk.png, risk.pdf and experiment.toml to `target`.

    Returns whether all runs came to their end (a diverged one did); False after Ctrl-C.
    """
    with ResultsFolder(target, OUTPUTS, force) as results:
        traces = {"trace": experiment.split(threads)}
        say(f"{experiment.valley!r}\n\n{final_table(traces['trace'])}\n")
        if experiment.engine == "both" and "interrupted" not in traces["trace"]["status"].values:
            traces["sampled"] = sampled = experiment.sampled_split(threads)
            say(f"sampled\n\n{final_table(sampled)}\n\n{z_table(sampled, traces['trace'])}\n")
        with writing(results.stage, target):
            for name, trace in traces.items():
                _plain(trace).to_zarr(results.stage / f"{name}.zarr", mode="w", zarr_format=3, consolidated=False)
            (results.stage / "experiment.toml").write_text(source, encoding="utf-8")
            written = results.commit()
        if figure:
            written += write_figure(results, lambda: _drawn(experiment, traces["trace"]))
    say(f"{target}: {', '.join(written)}")
    return not any("interrupted" in trace["status"].values for trace in traces.values())


def _drawn(experiment: RiverExperiment, trace: xr.Dataset) -> Figure:
    from simlab.plot import river
    from simlab.river.straight import StraightValley

    valley = experiment.valley
    cap = valley.critical_lr if isinstance(valley, StraightValley) else 2.0 / valley.sharpness()
    where = "" if isinstance(valley, StraightValley) else " at the start"
    return river.split(trace, note=f"cap on the peak of SGD, 2/λ$_{{max}}${where}: {cap:.4g}")


def _plain(trace: xr.Dataset) -> xr.Dataset:
    """Text of variable length, which the zarr v3 specification knows; and no leftovers of another encoding."""
    text = {name: v.astype(object) for name, v in trace.variables.items() if v.dtype.kind in "UT"}
    return trace.assign_coords(text).drop_encoding()
