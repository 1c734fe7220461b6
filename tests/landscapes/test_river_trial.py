"""What a loss, a gradient or a noise of the user's own does wrong is found at the door, not in a kernel."""

from __future__ import annotations

import numpy as np
import pytest
from numba import njit

import simlab as sl
from simlab import methods, river
from simlab.landscapes.trial import try_out
from simlab.schedules import constant


def bowl(u, params):
    return u[0] ** 2 + 10.0 * u[1] ** 2


def slope(u, params, out):
    out[0] = 2.0 * u[0]
    out[1] = 20.0 * u[1]


@njit
def elsewhere(out):
    out[5] = 1e9


def writes_near(u, params, out):
    slope_of(u, params, out)
    out[5] = 1e9


def writes_before(u, params, out):
    slope_of(u, params, out)
    out[-5] = 1e9


def writes_far(u, params, out):
    slope_of(u, params, out)
    out[10**12] = 1e9


def writes_through_another(u, params, out):
    slope_of(u, params, out)
    elsewhere(out)


def reads_beyond(u, params, out):
    slope_of(u, params, out)
    out[0] += 1e-30 * params[3]


@njit
def third(u):
    return u[2]


def reads_through_another(u, params, out):
    slope_of(u, params, out)
    out[0] += 1e-300 * third(u)


def forgets(u, params, out):
    out[0] = 2.0 * u[0]


def stumbles(u, params, out):
    if u[0] != 1e9:
        raise ValueError("no such place")


slope_of = njit(slope)

WRONG = {
    "writes near": (writes_near, "gradient reaches beyond"),
    "writes before": (writes_before, "gradient reaches beyond"),
    "writes far": (writes_far, "gradient reaches beyond"),
    "writes through another function": (writes_through_another, "gradient reaches beyond"),
    "reads params": (reads_beyond, "gradient reaches beyond"),
    "reads through another function": (reads_through_another, "gradient reaches beyond"),
    "leaves an entry": (forgets, r"gradient leaves out\[1\] as it was"),
    "raises": (stumbles, r"gradient raised ValueError: no such place at w = \(1, 1\)"),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_gradient_at_fault_is_refused(case):
    function, words = WRONG[case]
    with pytest.raises(sl.InputError, match=words):
        try_out("gradient", njit(function), (np.ones(2), np.zeros(0), np.zeros(2)), writes=True)


def test_a_right_one_changes_nothing_of_what_it_is_given():
    w, out = np.array([1.0, 2.0]), np.zeros(2)
    assert try_out("loss", njit(bowl), (w, np.zeros(0)), writes=False) == 41.0
    try_out("gradient", slope_of, (w, np.zeros(0), out), writes=True)
    assert list(w) == [1.0, 2.0]
    assert list(out) == [0.0, 0.0]


def test_the_doors_try_what_they_are_given():
    with pytest.raises(sl.InputError, match=r"gradient reaches beyond the arrays .* 2 entries, from 0 to 1"):
        river.custom(bowl, writes_near, 2, start=(1.0, 1.0))

    def stray(w, params, xi, out):
        out[0] = xi[2]
        out[1] = xi[1]

    land = river.curved()
    with pytest.raises(sl.InputError, match="noise stray reaches beyond"):
        river.noise.custom(stray, name="stray").on(land)


def cliff(u, params):
    if u[0] < 0.2:
        raise ValueError("over the cliff")
    return u[0] + 0.0 * u[1]


def down(u, params, out):
    out[0] = 1.0
    out[1] = 0.0


def test_a_loss_that_raises_is_named():
    with pytest.raises(
        sl.InputError, match=r"^loss raised ValueError: over the cliff at w = \(0, 0\); let it give inf"
    ):
        river.custom(cliff, down, 2)


@pytest.mark.slow
def test_a_loss_that_raises_far_from_the_start_is_named():
    """The kernels are compiled anew for every function: some 25 seconds."""
    land = river.custom(cliff, down, 2, start=[10.0, 0.0])
    with pytest.raises(sl.InputError, match="loss of custom raised ValueError: over the cliff"):
        land.value([0.0, 0.0])
    run = methods.sgd(constant(64, 1.0))
    with pytest.raises(sl.InputError, match="loss, gradient or noise of custom raised ValueError: over the cliff"):
        sl.descend(land, run, replicas=64, progress=False, device="cpu")
