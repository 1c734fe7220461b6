"""What tests of schedules share."""

import numpy as np
import pytest


@pytest.fixture
def floating_point_errors():
    """A division by zero, an overflow or a NaN is an error."""
    with np.errstate(all="raise", under="ignore"):
        yield
