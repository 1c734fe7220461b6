"""`simlab validate`: every theorem of the catalogue on random problems, inside its assumptions and just outside."""

from __future__ import annotations

import csv
import zlib
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, field
from importlib import import_module
from multiprocessing import active_children, get_context
from pathlib import Path
from pkgutil import iter_modules
from typing import Any

import numpy as np

from simlab import theory
from simlab.arrays import FloatArray
from simlab.conformance import checks as all_checks
from simlab.conformance.check import Check
from simlab.conformance.judge import ratios, violations
from simlab.conformance.listing import unknown_theorem
from simlab.engines.arguments import worker_count
from simlab.errors import InputError
from simlab.interrupts import whole
from simlab.progress import ProgressBar

__all__ = ["Verdict", "checks", "table_of", "validate", "write_csv"]


SECONDS = {"quick": 0.5, "full": 8.0}
INSTANCES = {"quick": (3, 40), "full": (25, 600)}
"""What is spent on a theorem, by the declared cost of an instance, and at least and at most so many of them: a pure
function of the catalogue, so that a seed always gives the same table.
"""
KEPT = 4000
"""Ratios of a part that are kept for the figure."""


@dataclass(frozen=True)
class Verdict:
    """What became of one theorem. claims : comparisons of numbers, over all instances and parts.

    violations : in words, with the instance.  refused, outside : how many of the cases outside were refused, of how
    many.  ratios : stated / true by part.
    """

    theorem: str
    kind: str
    provenance: str
    source: str
    number: str
    instances: int
    claims: int
    violations: tuple[str, ...]
    refused: int
    outside: int
    ratios: dict[str, FloatArray] = field(repr=False)

    @property
    def sound(self) -> bool:
        """Nothing contradicts the theorem, and it refuses what it does not cover."""
        return not self.violations and self.refused == self.outside

    def tightness(self, part: str) -> tuple[float, float, float] | None:
        """(smallest, median, largest) of stated / true of a part; None where it has no claims."""
        values = self.ratios.get(part)
        if values is None or values.size == 0:
            return None
        low, middle, high = np.quantile(values, [0.0, 0.5, 1.0])
        return float(low), float(middle), float(high)


def checks() -> dict[str, Check]:
    """Theorem -> check, of all modules of `simlab.conformance.checks`."""
    found: dict[str, Check] = {}
    for module in iter_modules(all_checks.__path__):
        for check in import_module(f"{all_checks.__name__}.{module.name}").CHECKS:
            if check.theorem in found:
                raise ValueError(f"two checks of {check.theorem}; leave one.")
            found[check.theorem] = check
    return found


def validate(
    names: Sequence[str] | None = None,
    *,
    seed: int = 0,
    quick: bool = False,
    processes: int | None = None,
    progress: Callable[[int, int], None] | bool | None = None,
) -> list[Verdict]:
    """Hold theorems against the exact engine; all of the catalogue, or those named, in the catalogue's order.

    quick : under a minute on two cores in place of some ten.  seed : another one draws other problems.  Raises
    InputError for a name that is not in the catalogue.
    """
    order = [entry.name for entry in theory.catalog()]
    known = checks()
    for name in names or []:
        if name not in order:
            raise unknown_theorem(name)
    missing = [name for name in order if name not in known]
    if missing and not names:
        raise InputError(
            f"{', '.join(missing)} of the catalogue cannot be checked; write a Check in simlab/conformance/checks."
        )
    chosen = [name for name in order if not names or name in names]
    mode = "quick" if quick else "full"
    bar = ProgressBar("validate", "theorems", progress)
    workers = min(worker_count(processes), len(chosen))
    verdicts: dict[str, Verdict] = {}
    try:
        # The longest first, so that no worker is left with one of them at the end.
        longest = sorted(chosen, key=lambda name: -known[name].cost * _instances(known[name], mode))
        for name, verdict in _judged(longest, seed, mode, workers):
            verdicts[name] = verdict
            bar(len(verdicts), len(chosen))
    finally:
        bar.close()
    return [verdicts[name] for name in chosen]


def _judged(names: Sequence[str], seed: int, mode: str, workers: int) -> Iterable[tuple[str, Verdict]]:
    if workers == 1 or len(names) < 4:
        for name in names:
            with whole():
                verdict = judge(name, seed, mode)
            yield name, verdict
        return
    others = active_children()
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        try:
            futures = {pool.submit(judge, name, seed, mode): name for name in names}
            for future in as_completed(futures):
                yield futures[future], future.result()
        except BaseException:
            # Or the pool would wait for what is under way, which an interrupted command does not.
            pool.shutdown(wait=False, cancel_futures=True)
            for process in active_children():
                if process not in others:
                    process.terminate()
            raise


def _instances(check: Check, mode: str) -> int:
    low, high = INSTANCES[mode]
    return int(np.clip(SECONDS[mode] / check.cost, low, high))


def judge(name: str, seed: int, mode: str) -> Verdict:
    """The verdict on one theorem: instances drawn by (seed, name, number) and nothing else."""
    check, entry = checks()[name], theory.find(name)
    count = _instances(check, mode)
    key = zlib.crc32(name.encode())
    broken: list[str] = []
    parts: dict[str, list[FloatArray]] = {}
    claims = 0
    for j in range(count):
        try:
            comparison = check.compare(check.draw(np.random.default_rng([seed, key, j])))
        except Exception as error:  # of the theorem, the engine or the check: whichever it is, nobody has confirmed it
            broken.append(f"instance {j}: {type(error).__name__}: {error}")
            continue
        broken += [f"instance {j}: {text}" for text in violations(entry.kind, comparison, check.rtol)]
        claims += sum(np.size(value) for value in comparison.stated.values())
        for part, values in ratios(comparison).items():
            parts.setdefault(part, []).append(values)
    refused, outside = 0, 0
    for j in range(3):
        for arguments in check.cases_outside(np.random.default_rng([seed, key, count + j])):
            outside += 1
            refused += _refuses(entry, arguments)
    kept = {part: _thinned(np.concatenate(values)) for part, values in parts.items()}
    source = entry.source.short
    return Verdict(name, entry.kind, entry.provenance, source, entry.number, count, claims, tuple(broken), refused,
                   outside, kept)  # fmt: skip


def _refuses(entry: Any, arguments: dict[str, Any]) -> bool:
    try:
        entry(**arguments)
    except theory.OutsideAssumptions:
        return True
    return False


def _thinned(values: FloatArray) -> FloatArray:
    """At most KEPT of the values, with the smallest and the largest among them."""
    if values.size <= KEPT:
        return values
    order = np.sort(values)
    out: FloatArray = order[np.linspace(0, order.size - 1, KEPT).round().astype(np.int64)]
    return out


# -- what is shown -----------------------------------------------------------------------------------------------------

SPLIT = ("risk", "bias", "variance", "head", "tail")
COLUMNS = """\
kind: what is claimed: an equality (exact; tight: at worst), a bound (upper, lower), a limit (asymptotic, scaling)
instances: random problems within the theorem's assumptions; claims: numbers compared on them
wrong: what the exact engine contradicts; refused: cases just outside the assumptions that it refuses, of how many
bound / exact: stated over true by part of the risk, 1 is tight; the median, and in brackets the largest for an upper
bound, the smallest for others; off by: the largest relative error. More of one: simlab theory NAME."""


def _columns(verdict: Verdict) -> dict[str, tuple[float, float, float]]:
    """Tightness by the parts of the risk; else of all that the theorem speaks of."""
    named = {part: verdict.tightness(part) for part in verdict.ratios if part in SPLIT}
    named = named or {part: verdict.tightness(part) for part in verdict.ratios}
    return {part: found for part, found in named.items() if found is not None}


def table_of(verdicts: Sequence[Verdict]) -> str:
    """The conformance table: instances, violations, refusals, and the ratio bound / exact by part (median, worst)."""
    heads = ["theorem", "kind", "instances", "claims", "wrong", "refused", "bound / exact: median (worst)"]
    rows = []
    for v in verdicts:
        rows.append([
            v.theorem, v.kind, str(v.instances), str(v.claims), str(len(v.violations)), f"{v.refused}/{v.outside}",
            _spoken(v),
        ])  # fmt: skip
    widths = [max(len(row[j]) for row in [heads, *rows]) for j in range(len(heads) - 1)]
    lines = ["  ".join([*(f"{c:<{w}}" for c, w in zip(row, widths, strict=False)), row[-1]]) for row in [heads, *rows]]
    bad = [v for v in verdicts if not v.sound]
    lines += ["", *COLUMNS.splitlines(), ""]
    lines.append(f"{len(verdicts)} theorems, {sum(v.claims for v in verdicts)} claims, {len(bad)} contradicted")
    lines += [
        f"  {v.theorem}: {text}" for v in bad for text in (v.violations[:3] or ("a case outside is not refused",))
    ]
    return "\n".join(lines)


def _spoken(verdict: Verdict) -> str:
    if verdict.kind in ("exact", "tight"):
        values = np.concatenate([v for v in verdict.ratios.values() if v.size] or [np.ones(1)])
        return f"off by {np.max(np.abs(values - 1.0)):.0e}"
    worst = 2 if verdict.kind == "upper" else 0
    return ", ".join(f"{part} {found[1]:.3g} ({found[worst]:.3g})" for part, found in _columns(verdict).items())


def write_csv(verdicts: Sequence[Verdict], path: Path) -> None:
    """One row for each theorem and part."""
    fields = ["theorem", "kind", "provenance", "source", "number", "instances", "claims", "violations", "refused",
              "outside", "part", "smallest", "median", "largest"]  # fmt: skip
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(fields)
        for v in verdicts:
            shared = [v.theorem, v.kind, v.provenance, v.source, v.number, v.instances, v.claims, len(v.violations),
                      v.refused, v.outside]  # fmt: skip
            for part in v.ratios:
                found = v.tightness(part)
                writer.writerow([*shared, part, *(("", "", "") if found is None else (repr(x) for x in found))])
