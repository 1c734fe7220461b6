"""One test for all theorems: what a declared kind claims, over random instances of its Check.

    check_by_kind(check)                        # the theorem holds, and refuses what lies outside its assumptions
    assert caught(check, lambda b: 0.9 * b)     # a negative control: the same test sees a theorem made wrong

`tightness(check)` gives the ratios stated / true of all claims by part, from which controls are made.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from types import ModuleType

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
    outside = check.outside(np.random.default_rng(seed))
    assert len(outside) >= len(entry.assumptions), f"{check.theorem}: fewer refusals than assumptions"
    for arguments in outside:
        with pytest.raises(theory.OutsideAssumptions):
            entry(**arguments)


@lru_cache(maxsize=512)
def instance(check: Check, seed: int) -> Comparison:
    """The comparison on the problem drawn with this seed; computed once."""
    return check.compare(check.draw(np.random.default_rng(seed)))


def caught(
    check: Check, damage: Callable[[FloatArray], FloatArray], seeds: Iterable[int] = SEEDS, kind: str | None = None
) -> bool:
    """Whether the test of the kind sees a theorem whose stated values went through `damage`."""
    kind = kind or theory.find(check.theorem).kind
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


def control(check: Check, seeds: Iterable[int] = SEEDS, margin: float = 0.02) -> None:
    """Assert that the test can fail: a bound divided by its measured tightness, and by `margin` more, is caught."""
    seeds = list(seeds)
    upper = theory.find(check.theorem).kind == "upper"
    ratios = np.concatenate(list(tightness(check, seeds).values()))
    closest = ratios.min() if upper else ratios.max()
    assert caught(check, lambda stated: stated / closest * (1.0 - margin if upper else 1.0 + margin), seeds)


def check_all(checks: Iterable[Check], module: ModuleType, seeds: Iterable[int] = SEEDS) -> None:
    """Every theorem of the module has a check in the list, and every check of the list passes."""
    checks, seeds = list(checks), list(seeds)
    assert {check.theorem for check in checks} == theorems_of(module)
    for check in checks:
        check_by_kind(check, seeds)


def theorems_of(module: ModuleType) -> set[str]:
    """Names of the theorems that a module states."""
    return {entry.name for entry in theory.catalog() if entry.function.__module__ == module.__name__}


def sees_errors(check: Check, seeds: Iterable[int] = SEEDS) -> None:
    """Assert that the test of the kind sees a claim that is off by 2 % beyond its slack (a bound: its tightness)."""
    if theory.find(check.theorem).kind in ("upper", "lower"):
        control(check, seeds)
    elif theory.find(check.theorem).kind == "scaling":
        assert caught(check, lambda stated: stated + 2.0 * check.rtol, seeds)
    else:
        assert caught(check, lambda stated: stated * (1.02 + 2.0 * check.rtol), seeds)


def accepts_draws(check: Check, seeds: Iterable[int] = range(3)) -> None:
    """What a check draws are arguments of its theorem and nothing else."""
    for seed in seeds:
        theory.find(check.theorem)(**check.draw(np.random.default_rng(seed)))
