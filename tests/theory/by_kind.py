"""What a declared kind claims, over random instances of the Check of a theorem.

    check_by_kind(check, seeds)                 # the theorem holds, and refuses what lies outside its assumptions
    sees_errors(check, seeds)                   # a negative control: the same test sees a theorem made wrong

`test_checks.py` does both for every theorem. `tightness(check, seeds)` gives the ratios stated / true of all claims.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache

import numpy as np
import numpy.typing as npt
import pytest

from simlab import theory
from simlab.conformance.check import Check, Comparison
from simlab.conformance.judge import ratios, violations

FloatArray = npt.NDArray[np.float64]
SEEDS = range(20)


def check_by_kind(check: Check, seeds: Iterable[int] = SEEDS) -> None:
    """Assert what the kind of the theorem claims on an instance per seed, and that it refuses what lies outside."""
    kind = theory.find(check.theorem).kind
    seeds = list(seeds)
    assert seeds
    for seed in seeds:
        broken = violations(kind, instance(check, seed), check.rtol)
        assert not broken, f"{check.theorem}, seed {seed}: " + "; ".join(broken)
    for seed in seeds[:3]:
        check_refusals(check, seed)


def check_refusals(check: Check, seed: int = 0) -> None:
    """The theorem must refuse each set of arguments that lies outside, and there is one for each assumption."""
    entry = theory.find(check.theorem)
    outside = check.cases_outside(np.random.default_rng(seed))
    assert len(outside) >= len(entry.assumptions), f"{check.theorem}: fewer refusals than assumptions"
    for arguments in outside:
        with pytest.raises(theory.OutsideAssumptions):
            entry(**arguments)


@lru_cache(maxsize=512)
def instance(check: Check, seed: int) -> Comparison:
    """The comparison on the problem drawn with this seed; computed once."""
    return check.compare(check.draw(np.random.default_rng(seed)))


def caught(check: Check, damage: Callable[[FloatArray], FloatArray], seeds: Iterable[int] = SEEDS) -> bool:
    """Whether the test of the kind sees a theorem whose stated values went through `damage`."""
    kind = theory.find(check.theorem).kind
    for seed in seeds:
        comparison = instance(check, seed)
        wrong = {part: damage(np.asarray(value)) for part, value in comparison.stated.items()}
        if violations(kind, Comparison(wrong, comparison.true), check.rtol):
            return True
    return False


def tightness(check: Check, seeds: Iterable[int] = SEEDS) -> Mapping[str, FloatArray]:
    """stated / true of every claim with true > 0, by part, over the instances of the seeds, in one flat array each."""
    found: dict[str, list[FloatArray]] = {}
    for seed in seeds:
        for part, values in ratios(instance(check, seed)).items():
            found.setdefault(part, []).append(values)
    return {part: np.concatenate(parts) for part, parts in found.items()}


def sees_errors(check: Check, seeds: Iterable[int] = SEEDS) -> None:
    """Assert that the test of the kind can fail: a little beyond its slack, a bound beyond its tightness, is caught."""
    kind, rtol = theory.find(check.theorem).kind, check.rtol
    if kind in ("upper", "lower"):
        found = np.concatenate(list(tightness(check, seeds).values()))
        closest, margin = found.min() if kind == "upper" else found.max(), 1e-6 + 10.0 * rtol
        wrong = [lambda stated: stated / closest * (1.0 - margin if kind == "upper" else 1.0 + margin)]
    elif kind == "scaling":
        wrong = [lambda stated: stated + 2.0 * rtol, lambda stated: stated - 2.0 * rtol]
    else:
        off = 2.0 * rtol if kind == "asymptotic" else 10.0 * rtol
        wrong = [lambda stated: stated * (1.0 + off), lambda stated: stated * (1.0 - off)]
    for damage in wrong:
        assert caught(check, damage, seeds), check.theorem
