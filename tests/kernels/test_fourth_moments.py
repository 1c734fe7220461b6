"""The contraction with a data set's fourth moments, by blocks, against its definition."""

from __future__ import annotations

import numpy as np
import pytest

from simlab.kernels.moments.fourth_moments import TILE, contract
from simlab.kernels.moments.products import DEEP, WIDE


@pytest.mark.parametrize("d", [1, 2, DEEP, WIDE, WIDE + 1, 3 * DEEP, 3 * WIDE, 49])
@pytest.mark.parametrize("n", [1, WIDE + 1, TILE, 2 * TILE + 2])
def test_blocks_are_the_definition_at_every_edge(n, d):
    rng = np.random.default_rng(100 * n + d)
    rows, V = rng.standard_normal((n, d)), rng.standard_normal((2, d, d))
    shift, out = rng.standard_normal((2, n)), np.full((2, d, d), np.nan)
    contract(rows, V, shift, out)
    weight = np.einsum("rd,pde,re->pr", rows, V, rows) + shift
    want = np.einsum("pr,rd,re->pde", weight, rows, rows) / n
    np.testing.assert_allclose(out, want, rtol=0.0, atol=1e-13 * np.abs(want).max())
