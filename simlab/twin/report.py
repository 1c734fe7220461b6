"""One page about a twin: how it and its referees do on the curves they were fitted to and on others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from simlab.doors import door
from simlab.errors import check_entries, check_kind
from simlab.twin import laws
from simlab.twin.curves import Curve
from simlab.twin.posterior import Band
from simlab.twin.twin import Twin

__all__ = ["covered", "report"]


def covered(band: Band, curve: Curve) -> float:
    """The share of a curve's losses within a band at its steps."""
    return float(np.mean((band.lower <= curve.losses) & (curve.losses <= band.upper)))


@door
def report(twin: Twin, fitted: Sequence[Curve], held_out: Sequence[Curve] = (), level: float = 0.9) -> str:
    """Parameters, and of each curve the mean absolute error of twin and referees, the last error and the cover.

    fitted : the curves that the twin was fitted to; the referees are fitted to them here.  held_out : others. Each is
    predicted at its own batch where it is known; of batches the referees know nothing. The last error is predicted
    minus measured, over the last eight records.
    """
    check_kind("twin", twin, Twin, "a twin", "give what simlab.twin.fit returns")
    taken = check_entries("held_out", held_out, "Curves")
    for j, curve in enumerate(taken):
        check_kind(f"held_out[{j}]", curve, Curve, "a Curve", "make one: simlab.twin.Curve(schedule, steps, losses)")
    decay = twin.weight_decay
    names = [name for name in laws.LAWS if name != "functional-effective" or decay is not None]
    referees = {name: laws.fit(fitted, name, weight_decay=decay) for name in names}
    lines = [repr(twin), ""]
    for title, curves in (("fitted", fitted), ("held out", taken)):
        if curves:
            lines += [*_table(title, twin, referees, curves, level), ""]
    lines += [
        "Points of a curve are not independent: the honest unit of cover is the curve. Up to some thousand steps after",
        "the warmup runs of one recipe differ by more than any law here; peaks not trained at are extrapolation.",
    ]
    return "\n".join(lines)


def _table(
    title: str, twin: Twin, referees: Mapping[str, laws.Fitted], curves: Sequence[Curve], level: float
) -> list[str]:
    head = f"{title:<24}{'twin':>9}{'last':>9}{'cover':>7}" + "".join(f"{name:>22}" for name in referees)
    lines, rows = [head], []
    for j, curve in enumerate(curves):
        own = twin.at_batch(curve.batch) if twin.batch and curve.batch else twin
        band = own.predict(curve.schedule, level, curve.steps)
        error = band.loss - curve.losses
        row = [float(np.abs(error).mean()), float(error[-8:].mean()), covered(band, curve)]
        row += [
            float(np.abs(law.predict(curve.schedule, curve.steps).loss - curve.losses).mean())
            for law in referees.values()
        ]
        rows.append(row)
        lines.append(_line(curve.name or f"curve {j}", row))
    return [*lines, _line("mean", np.mean(rows, axis=0).tolist())] if len(curves) > 1 else lines


def _line(name: str, row: Sequence[float]) -> str:
    return f"{name[:23]:<24}{row[0]:>9.5f}{row[1]:>+9.4f}{row[2]:>7.2f}" + "".join(f"{x:>22.5f}" for x in row[3:])
