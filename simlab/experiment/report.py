"""What a run leaves: the final risk as a plain table, and the files of its folder."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from simlab.files import ResultsFolder, writing

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from simlab.trace import RiskTrace

__all__ = ["OUTPUTS", "final_table", "write_figure", "write_results", "z_table"]

PICTURES = ("risk.png", "risk.pdf")
OUTPUTS = ("trace.zarr", "sampled.zarr", *PICTURES, "experiment.toml")
"""What a run leaves in its folder."""

WIDTH = 13


def write_results(
    results: ResultsFolder, trace: RiskTrace, source: str, figure: bool, sampled: RiskTrace | None = None
) -> list[str]:
    """Write the traces and the experiment file; then, if wanted, the figure of what is there. Returns the names."""
    stage = results.stage
    with writing(stage, results.target):
        trace.save(stage / "trace.zarr")
        if sampled is not None:
            sampled.save(stage / "sampled.zarr")
        (stage / "experiment.toml").write_text(source, encoding="utf-8")
        written = results.commit()
    if figure:
        from simlab import plot

        written += write_figure(results, lambda: plot.risk(trace, sampled=sampled))
    return written


def write_figure(results: ResultsFolder, draw: Callable[[], Figure]) -> list[str]:
    """Draw risk.png and risk.pdf beside what is committed already. Returns the names."""
    from simlab import plot

    with results.drawing(" and ".join(PICTURES)):
        drawn = draw()
        for name in PICTURES:
            plot.save(drawn, results.stage / name)
        return results.commit()


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
    errors = _final_errors(dataset)
    heads = [*components, "risk", *(["+-"] if errors is not None else [])]
    blocks = []
    for j, (label, state, end, values) in enumerate(zip(labels, states, ends, final.values, strict=True)):
        lines = [f"{label}: {_status(str(state), int(end))}", _row("subspace", heads, margin)]
        for i, (name, row) in enumerate(zip([*names, "total"], [*values, values.sum(axis=0)], strict=True)):
            cells = [f"{value:.5e}" for value in [*row, row[adds].sum()]]
            cells += [] if errors is None else [f"{errors[j, i]:.1e}"]
            lines.append(_row(name, cells, margin))
        blocks.append("\n".join(lines))
    return "\n\n".join(blocks)


def _final_errors(dataset: Any) -> npt.NDArray[np.float64] | None:
    """Standard errors of a sampled trace's risk where each run ended, (runs, subspaces + 1): the total is last."""
    if "risk_error" not in dataset:
        return None
    parts = dataset["risk_error"].transpose("run", "step", "subspace").values
    whole = dataset["total_error"].transpose("run", "step").values
    ends = np.broadcast_to(dataset["ended_at"].values, parts.shape[0])
    at = np.searchsorted(dataset["step"].values, ends)
    runs = np.arange(at.size)
    return np.concatenate([parts[runs, at], whole[runs, at][:, None]], axis=1)


def z_table(sampled: RiskTrace, exact: RiskTrace) -> str:
    """The largest |z| of sampled against exact risk by component and subspace, over all steps and runs, as a table."""
    z = abs(sampled.z_scores(exact))
    worst = z.max([dim for dim in z.dims if dim not in ("component", "subspace")]).transpose("subspace", "component")
    components = [str(name) for name in worst["component"].values]
    names = [str(name) for name in worst["subspace"].values]
    margin = max(len(name) for name in [*names, "subspace"])
    lines = [
        f"sampled against exact: largest |z| of {int(z.count())} comparisons",
        _row("subspace", components, margin),
    ]
    for name, row in zip([*names, "all"], [*worst.values, np.nanmax(worst.values, axis=0)], strict=True):
        lines.append(_row(name, ["-" if np.isnan(value) else f"{value:.2f}" for value in row], margin))
    return "\n".join(lines)


def _status(state: str, step: int) -> str:
    if state == "diverged":
        return f"diverged at step {step} (the risk passed 1e6 times its start, or overflowed; its values there)"
    return f"{state} at step {step}"


def _row(name: str, cells: list[str], margin: int) -> str:
    return f"  {name:<{margin}}" + "".join(f"{cell:>{WIDTH}}" for cell in cells)
