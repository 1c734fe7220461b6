"""What risks end with, as text: a table for each run, and how far a sampled trace is from an exact one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from simlab.arrays import FloatArray

if TYPE_CHECKING:
    import xarray as xr

    from simlab.trace import RiskTrace

__all__ = ["final_table", "z_table"]

COLUMN = 13
"""Characters of a number in a table."""


def final_table(trace: RiskTrace) -> str:
    """Bias, variance and risk by subspace where each run ended, with totals and the status, a block for each; and the
    loss on rows held out, beside that on the others.
    """
    from simlab.trace import ADDITIVE

    several = "run" in trace.dataset.dims
    dataset = trace.dataset if several else trace.dataset.expand_dims("run")
    final = dataset["final_risk"].transpose("run", "subspace", "component")
    components = [str(name) for name in final["component"].values]
    adds = [name in ADDITIVE for name in components]
    names = [str(name) for name in final["subspace"].values]
    margin = max(len(name) for name in [*names, "subspace"])
    labels = [str(run) for run in dataset["run"].values] if several else [trace.dataset.attrs["method"]]
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
        if "holdout" in dataset:
            lines.append(_held_out(trace, j if several else None, int(end)))
        blocks.append("\n".join(lines))
    return "\n\n".join(blocks)


def _held_out(trace: RiskTrace, run: int | None, end: int) -> str:
    """The loss at the end of a run on rows held out, and on those trained on."""
    kept = [trace.holdout(), trace.training_loss()]
    kept += [trace.dataset["holdout_error"]] if "holdout_error" in trace.dataset else []
    unseen, seen, *error = (
        float((a if run is None else a.isel(run=run)).sel(step=end, method="nearest")) for a in kept
    )
    said = f" +- {error[0]:.1e}" if error else ""
    return f"  loss on rows held out {unseen:.5e}{said}, on rows trained on {seen:.5e}"


def z_table(sampled: RiskTrace, exact: RiskTrace) -> str:
    """The largest |z| of sampled against exact risk by component and subspace, over all steps and runs; `exact` may be
    of the long engine, whose own error is reckoned in.
    """
    z = abs(sampled.z_scores(exact))
    worst = z.max([dim for dim in z.dims if dim not in ("component", "subspace")])
    worst = worst.transpose("subspace", "component")
    components = [str(name) for name in worst["component"].values]
    names = [str(name) for name in worst["subspace"].values]
    margin = max(len(name) for name in [*names, "subspace"])
    lines = [
        f"sampled against {exact.dataset.attrs.get('engine', 'exact')}: largest |z| of {int(z.count())} comparisons",
        _row("subspace", components, margin),
    ]
    for name, row in zip([*names, "all"], [*worst.values, np.nanmax(worst.values, axis=0)], strict=True):
        lines.append(_row(name, ["-" if np.isnan(value) else f"{value:.2f}" for value in row], margin))
    if "holdout" in sampled.dataset and "holdout" in exact.dataset:
        held = abs(sampled.holdout_z_scores(exact))
        lines.append(f"  loss on rows held out: largest |z| {float(held.max()):.2f} of {int(held.count())}")
    return "\n".join(lines)


def _final_errors(dataset: xr.Dataset) -> FloatArray | None:
    """Errors of the risk where each run ended, (runs, subspaces + 1), the total last: standard ones of a sampled trace,
    sums of those that the long engine estimates.
    """
    if "risk_error" not in dataset:
        return None
    error = dataset["risk_error"]
    of_modes = error.sum("component", skipna=False) if "component" in error.dims else error
    total = of_modes.sum("subspace", skipna=False) if "component" in error.dims else dataset["total_error"]
    parts = of_modes.transpose("run", "step", "subspace").values
    whole = total.transpose("run", "step").values
    ends = np.broadcast_to(dataset["ended_at"].values, parts.shape[0])
    at = np.searchsorted(dataset["step"].values, ends)
    runs = np.arange(at.size)
    return np.concatenate([parts[runs, at], whole[runs, at][:, None]], axis=1)


def _status(state: str, step: int) -> str:
    if state == "diverged":
        return f"diverged at step {step} (the risk passed 1e6 times its start, or overflowed; its values there)"
    return f"{state} at step {step}"


def _row(name: str, cells: list[str], margin: int) -> str:
    return f"  {name:<{margin}}" + "".join(f"{cell:>{COLUMN}}" for cell in cells)
