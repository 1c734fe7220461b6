"""The test of the tests: each kind accepts what it should and sees what it should not pass."""

from __future__ import annotations

import numpy as np
import pytest

from simlab.conformance.check import Comparison
from tests.theory.by_kind import violations


def judged(kind: str, stated: object, true: object, rtol: float = 1e-9) -> bool:
    """Whether the claim holds."""
    return not violations(kind, Comparison({"risk": np.asarray(stated)}, {"risk": np.asarray(true)}), rtol)


@pytest.mark.parametrize("kind", ["exact", "tight"])
def test_equality(kind: str) -> None:
    assert judged(kind, [1.0, 2.0], [1.0, 2.0 * (1.0 + 5e-10)])
    assert not judged(kind, [1.0, 2.0], [1.0, 2.0 * (1.0 + 2e-9)])
    assert not judged(kind, [np.nan], [1.0])


def test_upper_and_lower_are_one_sided() -> None:
    assert judged("upper", 2.0, 1.0)
    assert judged("upper", np.inf, 1.0)
    assert not judged("upper", 1.0 - 1e-8, 1.0)
    assert not judged("upper", [3.0, 0.9], [1.0, 1.0])
    assert judged("lower", 0.5, 1.0)
    assert not judged("lower", 1.0 + 1e-8, 1.0)
    for kind in ("upper", "lower"):
        assert not judged(kind, np.nan, 1.0)
        assert judged(kind, 0.0, 0.0)


def test_asymptotic_looks_at_the_largest_horizon() -> None:
    assert judged("asymptotic", [2.0, 1.1, 1.004], [1.0, 1.0, 1.0], 1e-2)
    assert not judged("asymptotic", [1.0, 1.0, 1.1], [1.0, 1.0, 1.0], 1e-2)
    assert not judged("asymptotic", [1.0, 1.0, 1.009], [1.0, 1.0, 1.0], 1e-2), "it has come further from 1"
    assert not judged("asymptotic", [[2.0, 1.0], [2.0, 1.5]], np.ones((2, 2)), 1e-2)


def test_scaling_compares_exponents() -> None:
    assert judged("scaling", -0.5, -0.52, 0.05)
    assert not judged("scaling", -0.5, -0.56, 0.05)


def test_comparisons_that_claim_nothing_are_refused() -> None:
    with pytest.raises(ValueError):
        violations("upper", Comparison({}, {}), 1e-9)
    with pytest.raises(ValueError):
        judged("upper", [1.0, 2.0], [1.0])
    with pytest.raises(ValueError):
        judged("upper", 1.0, np.inf)
    with pytest.raises(ValueError):
        violations("upper", Comparison({"risk": np.ones(1)}, {"bias": np.ones(1)}), 1e-9)
