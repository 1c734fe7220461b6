"""What a run leaves: the final risk as a plain table, and the files of its folder."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from simlab.files import writing

if TYPE_CHECKING:
    from simlab.trace import RiskTrace

__all__ = ["OUTPUTS", "final_table", "write_results"]

OUTPUTS = ("trace.zarr", "risk.png", "risk.pdf", "experiment.toml")
"""What a run leaves in its folder."""

WIDTH = 13


def write_results(stage: Path, target: Path, trace: RiskTrace, source: str, figure: bool) -> None:
    """Write the trace, the experiment file and, if wanted, the figure to `stage`; refusals speak of `target`."""
    with writing(stage, target):
        trace.save(stage / "trace.zarr")
        (stage / "experiment.toml").write_text(source, encoding="utf-8")
        if figure:
            from simlab import plot

            drawn = plot.risk(trace)
            for name in ("risk.png", "risk.pdf"):
                plot.save(drawn, stage / name)


def final_table(trace: RiskTrace) -> str:
    """Bias, variance and risk by subspace where each run ended, with totals and the status, one block for each run."""
    from simlab.trace import ADDITIVE

    dataset = trace.dataset if "run" in trace.dataset.dims else trace.dataset.expand_dims("run")
    final = dataset["final_risk"].transpose("run", "subspace", "component")
    components = [str(name) for name in final["component"].values]
    adds = [name in ADDITIVE for name in components]
    names = [str(name) for name in final["subspace"].values]
    margin = max(len(name) for name in [*names, "subspace"])
    labels = (
        [str(run) for run in dataset["run"].values] if "run" in trace.dataset.dims else [trace.dataset.attrs["method"]]
    )
    ends = np.broadcast_to(dataset["ended_at"].values, len(labels))
    states = np.broadcast_to(dataset["status"].values, len(labels))
    blocks = []
    for label, state, end, values in zip(labels, states, ends, final.values, strict=True):
        lines = [f"{label}: {_status(str(state), int(end))}", _row("subspace", [*components, "risk"], margin)]
        for name, row in zip([*names, "total"], [*values, values.sum(axis=0)], strict=True):
            lines.append(_row(name, [f"{value:.5e}" for value in [*row, row[adds].sum()]], margin))
        blocks.append("\n".join(lines))
    return "\n\n".join(blocks)


def _status(state: str, step: int) -> str:
    if state == "diverged":
        return f"diverged at step {step} (the risk passed 1e6 times its start, or overflowed; its values there)"
    return f"{state} at step {step}"


def _row(name: str, cells: list[str], margin: int) -> str:
    return f"  {name:<{margin}}" + "".join(f"{cell:>{WIDTH}}" for cell in cells)
