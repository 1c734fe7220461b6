"""Relations between runs that need no reference: scalings, limits, and methods that are one another in disguise."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import simlab as sl
from simlab import methods
from simlab.schedules import constant, from_array, join, linear, wsd
from tests.oracles.method_zoo import BASE, DECAYED, WRAPPED, ZOO

RTOL = 1e-12
LAM = np.array([1.0, 0.7, 0.31, 0.12, 0.05, 0.011])
ERROR = np.array([0.7, -1.2, 0.4, 2.5, -3.0, 1.0])
SIGMA2 = 0.3
PROBLEM = sl.LinearRegression(LAM, ERROR, SIGMA2)
LR = wsd(60, peak=0.2, warmup=0.1, cooldown=0.4, shape="1-sqrt")
MOMENTUM = linear(60, peak=0.9, floor=0.2)
EACH = sl.subspaces.modes(*range(1, LAM.size + 1))


def risk(problem, method, **options):
    """(step, component, mode), every step."""
    options = {"record": "all", "subspaces": EACH} | options
    return sl.exact(problem, method, **options).risk.transpose("step", "component", "subspace").values


def assert_same(got, want):
    """To 1e-12, with 1e-15 of a mode's peak as the floor where an oscillating mode crosses zero."""
    assert got.shape == want.shape
    assert np.all(np.isfinite(want))
    np.testing.assert_array_less(np.abs(got - want) - 1e-15 * want.max(axis=0), RTOL * want + 1e-300)


def sgd(lr=LR, batch=2):
    return methods.sgd(lr, batch)


def nesterov():
    return methods.nesterov(LR, MOMENTUM, 2)


# -- the problem ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", sorted({**BASE, **WRAPPED}))
def test_stretching_the_spectrum_is_shrinking_the_learning_rate(name):
    """(lam, lr) -> (c lam, lr / c) at the same signal lam error^2 and noise leaves every risk as it is."""
    c = 7.3
    method = ZOO[name](LR, MOMENTUM, 2)
    stretched = sl.LinearRegression(c * LAM, ERROR / np.sqrt(c), SIGMA2)
    assert_same(risk(stretched, method.rescale(1.0 / c)), risk(PROBLEM, method))


@pytest.mark.parametrize("form", ["coupled", "decoupled"])
def test_weight_decay_stretches_with_the_spectrum(form):
    """lr times decay is what counts, so the decay grows with lam."""
    c = 7.3
    before = methods.weight_decay(methods.heavy_ball(LR, MOMENTUM, 2), 0.1, form)
    after = methods.weight_decay(methods.heavy_ball(LR * (1.0 / c), MOMENTUM, 2), 0.1 * c, form)
    assert_same(risk(sl.LinearRegression(c * LAM, ERROR / np.sqrt(c), SIGMA2), after), risk(PROBLEM, before))


@pytest.mark.parametrize("name", sorted(ZOO))
def test_variance_is_proportional_to_the_noise_and_bias_to_the_squared_error(name):
    method = ZOO[name](LR, MOMENTUM, 2)
    want = risk(PROBLEM, method)
    got = risk(sl.LinearRegression(LAM, 3.0 * ERROR, 5.0 * SIGMA2), method)
    assert_same(got[:, 0], 9.0 * want[:, 0])
    assert_same(got[:, 1], 5.0 * want[:, 1])


@pytest.mark.parametrize("name", sorted(BASE))
def test_no_noise_no_variance_and_no_error_no_bias(name):
    method = ZOO[name](LR, MOMENTUM, 2)
    silent, settled = sl.LinearRegression(LAM, ERROR, 0.0), sl.LinearRegression(LAM, 0.0, SIGMA2)
    assert np.all(risk(silent, method)[:, 1] == 0.0)
    np.testing.assert_array_equal(risk(silent, method)[:, 0], risk(PROBLEM, method)[:, 0])
    assert np.all(risk(settled, method)[:, 0] == 0.0)
    np.testing.assert_array_equal(risk(settled, method)[:, 1], risk(PROBLEM, method)[:, 1])


@given(st.permutations(range(LAM.size)))
def test_order_of_the_eigenvalues_does_not_matter(order):
    """They are sorted with a notice, and all that belongs to them is carried along."""
    order = list(order)
    kurtosis, count = np.array([1.0, 6.0, 1.8, 3.0, 2.0, 9.0]), np.array([1.0, 2.0, 1.0, 3.0, 1.0, 1.0])
    want = sl.LinearRegression(LAM, ERROR, SIGMA2, kurtosis, count)
    given = (LAM[order], ERROR[order], SIGMA2, kurtosis[order], count[order])
    if order == sorted(order):
        got = sl.LinearRegression(*given)
    else:
        with pytest.warns(UserWarning, match="sorted"):
            got = sl.LinearRegression(*given)
    np.testing.assert_array_equal(got.eigenvalues, LAM)
    bins = sl.subspaces.head_tail(3)
    np.testing.assert_array_equal(risk(got, sgd(), subspaces=bins), risk(want, sgd(), subspaces=bins))


def test_order_of_the_eigenvalues_does_not_matter_to_the_noisy_quadratic():
    covariance = np.array([0.5, 0.0, 0.2, 0.3, 0.01, 1.0])
    order = [3, 0, 5, 1, 4, 2]
    with pytest.warns(UserWarning, match="sorted"):
        got = sl.NoisyQuadratic(LAM[order], ERROR[order], covariance[order])
    np.testing.assert_array_equal(risk(got, sgd()), risk(sl.NoisyQuadratic(LAM, ERROR, covariance), sgd()))


@pytest.mark.parametrize("name", ["sgd", "nesterov", "ema_corrected_heavy_ball", "average_of_average"])
@pytest.mark.parametrize("kurtosis", [3.0, 1.0])
def test_multiplicity_is_repetition(name, kurtosis):
    method = ZOO[name](LR, MOMENTUM, 2)
    count = np.array([2, 1, 3, 1, 4, 2])
    edges = np.cumsum(count)
    node = sl.LinearRegression(LAM, ERROR, SIGMA2, kurtosis, count)
    repeated = sl.LinearRegression(np.repeat(LAM, count), np.repeat(ERROR, count), SIGMA2, kurtosis)
    groups = sl.subspaces.index_sets([range(a + 1, z + 1) for a, z in zip(edges - count, edges, strict=True)])
    assert node.dim == repeated.dim == 13
    assert_same(risk(node, method, subspaces=groups), risk(repeated, method, subspaces=groups))


def test_additive_noise_is_what_remains_of_data_noise_at_the_minimum():
    """One step from w*: the gradient noise is that of the labels alone, of covariance sigma^2 H."""
    one = methods.sgd(constant(1, 0.2), 4)
    data = risk(sl.LinearRegression(LAM, 0.0, SIGMA2), one)
    additive = risk(sl.NoisyQuadratic(LAM, 0.0, SIGMA2 * LAM), one)
    np.testing.assert_allclose(additive, data, rtol=RTOL)


# -- the run ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("cut", [1, 17, 59])
def test_a_split_run_is_the_whole_run(cut):
    """SGD's state is one number per mode, its risk: a problem that starts with it continues the run.

    What had been variance is bias of the second run, so the total is compared.
    """
    shot = sl.exact(PROBLEM, sgd(), snapshots=[cut]).dataset["mode_risk"].sel(snapshot=cut).sum("component").values
    later = sl.LinearRegression(LAM, np.sqrt(2.0 * shot / LAM), SIGMA2)
    np.testing.assert_allclose(
        risk(later, sgd(LR[cut:])).sum(axis=1), risk(PROBLEM, sgd())[cut:].sum(axis=1), rtol=RTOL
    )


@pytest.mark.parametrize("name", sorted({*BASE, *WRAPPED} - {"generic_fixed", "generic_moving"}))
def test_nothing_moves_without_a_learning_rate(name):
    still = ZOO[name](LR, MOMENTUM, 2).rescale(0.0)
    got = risk(PROBLEM, still)
    want = np.zeros_like(got)
    want[:, 0] = 0.5 * LAM * ERROR**2
    np.testing.assert_allclose(got, want, rtol=RTOL)


def test_steps_at_zero_learning_rate_change_nothing():
    paused = join(LR[:20], constant(15, 0.0), LR[20:])
    got, want = risk(PROBLEM, sgd(paused)), risk(PROBLEM, sgd())
    np.testing.assert_array_equal(got[:21], want[:21])
    np.testing.assert_allclose(got[20:36], np.repeat(want[20:21], 16, axis=0), rtol=RTOL)
    np.testing.assert_allclose(got[35:], want[20:], rtol=RTOL)


def test_many_at_once_are_one_by_one():
    many = [methods.sgd(LR * c, 2) for c in (0.1, 1.0, 2.0)] + [methods.nesterov(LR, MOMENTUM, 4)]
    trace = sl.exact(PROBLEM, many, record="all", subspaces=EACH)
    for j, method in enumerate(many):
        got = trace.risk.isel(run=j).transpose("step", "component", "subspace").values
        np.testing.assert_array_equal(got, risk(PROBLEM, method))


@pytest.mark.parametrize("threads", [2, 8])
def test_threads_do_not_matter(threads):
    problem = sl.LinearRegression.power_law(700, 1.3, 1.1, 0.2)
    many = [methods.heavy_ball(wsd(400, peak=c), 0.9, 2) for c in np.linspace(0.001, 0.03, 12)]
    alone, shared = (sl.exact(problem, many, threads=n, record=20, deterministic=True) for n in (1, threads))
    np.testing.assert_array_equal(shared.risk.values, alone.risk.values)


def test_a_mapping_names_the_runs():
    trace = sl.exact(PROBLEM, {"slow": sgd(LR * 0.1), "fast": sgd(LR)}, record=5)
    assert list(trace.risk["run"].values) == ["slow", "fast"]
    alone = sl.exact(PROBLEM, sgd(LR), record=5)
    np.testing.assert_array_equal(trace.risk.sel(run="fast").values, alone.risk.values)


# -- methods that are one another ------------------------------------------------------------------------------------

RATE = 0.15
FLAT = constant(60, RATE)
CORNERS = {
    "heavy ball without momentum": (methods.heavy_ball(LR, 0.0, 2), sgd()),
    "Nesterov without momentum": (methods.nesterov(LR, 0.0, 2), sgd()),
    "torch without momentum": (methods.torch_momentum(LR, 0.0, 2), sgd()),
    "torch Nesterov without momentum": (methods.torch_momentum(LR, 0.0, 2, nesterov=True), sgd()),
    "QHM without momentum": (methods.qhm(LR, 0.0, 0.7, 2), sgd()),
    "QHM at nu = 0": (methods.qhm(LR, 0.9, 0.0, 2), sgd()),
    "ASGD of equal steps": (methods.asgd(LR, LR, 0.3, batch=2), sgd()),
    "DANA without its slow step": (methods.dana(LR, 0.0, batch=2), sgd()),
    "no weight decay": (methods.weight_decay(nesterov(), 0.0), nesterov()),
    "no decoupled decay": (methods.weight_decay(sgd(), 0.0, form="decoupled"), sgd()),
    "coupled and decoupled decay of SGD": (
        methods.weight_decay(sgd(), 0.1),
        methods.weight_decay(sgd(), 0.1, form="decoupled"),
    ),
    "torch and heavy ball at a constant rate": (
        methods.torch_momentum(FLAT, 0.8, 2),
        methods.heavy_ball(FLAT, 0.8, 2),
    ),
    "QHM at nu = 1 is momentum at (1 - beta) lr": (
        methods.qhm(FLAT, 0.8, 1.0, 2),
        methods.heavy_ball(constant(60, RATE * (1.0 - 0.8)), 0.8, 2),
    ),
    "EMA of decay 0": (methods.ema(nesterov(), 0.0), nesterov()),
    "corrected EMA of decay 0": (methods.ema(sgd(), 0.0, bias_corrected=True), sgd()),
    "average that never begins": (methods.average(sgd(), 60), sgd()),
    "average of the last iterate": (methods.tail_average(sgd(), 1), sgd()),
    "merge of the last checkpoint": (methods.merge(sgd(), [60]), sgd()),
    "merge of all checkpoints": (methods.merge(sgd(), range(1, 61)), methods.average(sgd(), 1)),
    "merge of the start as well": (methods.merge(sgd(), range(61)), methods.average(sgd(), 0)),
    "polynomial average of power 0": (methods.polynomial_average(sgd(), 0.0), methods.average(sgd(), 1)),
    "tail average of all": (methods.tail_average(sgd(), 60), methods.average(sgd(), 1)),
    "tail average by fraction": (methods.tail_average(sgd(), 0.25), methods.tail_average(sgd(), 15)),
    "Schedule-Free at beta = 0 averages SGD": (
        methods.schedule_free(FLAT, 0.0, 2),
        methods.average(methods.sgd(FLAT, 2), 1),
    ),
    "lookahead that jumps all the way": (methods.lookahead(methods.heavy_ball(LR, MOMENTUM, 2), 1, 1.0),
                                         methods.heavy_ball(LR, MOMENTUM, 2)),
    "full gradient for all": (methods.sgd(LR, np.inf), methods.heavy_ball(LR, 0.0, np.inf)),
}  # fmt: skip


@pytest.mark.parametrize("name", CORNERS)
def test_corner_of_one_method_is_another(name):
    got, want = CORNERS[name]
    assert_same(risk(PROBLEM, got), risk(PROBLEM, want))


@pytest.mark.parametrize(
    "frozen",
    [
        methods.ema(sgd(), 1.0),
        methods.ema(sgd(), 1.0, form="old"),
        methods.merge(sgd(), [0]),
        methods.lookahead(sgd(), 3, 0.0),
    ],
    ids=repr,
)
def test_averages_that_keep_the_start(frozen):
    want = np.zeros((61, 2, LAM.size))
    want[:, 0] = 0.5 * LAM * ERROR**2
    np.testing.assert_allclose(risk(PROBLEM, frozen), want, rtol=RTOL)


def test_old_averages_are_new_ones_a_step_later():
    """w_avg over w_0 .. w_(t-1) at step t is the new form over w_0 .. w_t at step t - 1."""
    new, old = risk(PROBLEM, methods.average(sgd(), 0)), risk(PROBLEM, methods.average(sgd(), 0, form="old"))
    assert_same(old[1:], new[:-1])


def test_lookahead_meets_the_inner_method_where_it_syncs():
    ball = methods.heavy_ball(LR, MOMENTUM, 2)
    got, want = risk(PROBLEM, methods.lookahead(ball, 5, 1.0)), risk(PROBLEM, ball)
    assert_same(got[::5], want[::5])
    np.testing.assert_allclose(got[1:5], np.repeat(want[:1], 4, axis=0), rtol=RTOL)


def test_torch_nesterov_is_the_look_ahead_point_of_nesterov():
    """At a constant rate PyTorch's iterate is w + beta v, the point where Sutskever's form takes its gradient."""
    beta = 0.8
    M, b, c = methods.nesterov(FLAT, beta, 2).coefficients()
    ahead = methods.generic(M, b, c, [1.0, beta], steps=60, start=[1.0, 0.0], batch=2)
    assert_same(risk(PROBLEM, methods.torch_momentum(FLAT, beta, 2, nesterov=True)), risk(PROBLEM, ahead))


def test_nothing_depends_on_the_coordinates_of_the_state():
    """z -> S z maps M to S M S^-1, b to S b, c to c S^-1: another method on paper, the same risk."""
    method = methods.nesterov(LR, MOMENTUM, 2)
    S = np.array([[1.0, 0.5], [-0.25, 2.0]])
    back = np.linalg.inv(S)
    M, b, c = method.coefficients()
    turned = methods.generic(
        S @ M @ back, b @ S.T, c @ back, method.readout() @ back, steps=60, start=S @ method.z0, batch=2
    )
    assert_same(risk(PROBLEM, turned), risk(PROBLEM, method))


def test_full_batch_bias_is_deterministic_and_nothing_varies():
    full = risk(PROBLEM, methods.nesterov(LR, MOMENTUM, np.inf), deterministic=True)
    assert_same(full[:, 0], full[:, 2])
    assert np.all(full[:, 1] == 0.0)


@pytest.mark.parametrize("name", sorted(ZOO))
def test_deterministic_part_does_not_depend_on_the_batch(name):
    small, large = (risk(PROBLEM, ZOO[name](LR, MOMENTUM, B), deterministic=True)[:, 2] for B in (1, 64))
    np.testing.assert_array_equal(small, large)


@pytest.mark.parametrize("name", sorted(BASE))
def test_bias_exceeds_its_deterministic_part(name):
    """Jensen: E x^2 >= (E x)^2, whatever the kurtosis."""
    got = risk(PROBLEM, ZOO[name](LR, MOMENTUM, 1), deterministic=True)
    assert np.all(got[:, 0] >= got[:, 2] * (1.0 - 1e-12) - 1e-15 * got[0, 0])
    assert np.any(got[:, 0] > 1.001 * got[:, 2])


def test_merge_weights_stand_for_a_decay_where_gradients_hardly_change():
    """Tian et al. 2025: merged checkpoints of a constant run are a decayed run as long as lr lam k << 1."""
    decay = np.linspace(1.0, 0.0, 12)[1:]
    lr, warm = 1e-6, 10
    constant_run = methods.sgd(constant(warm + decay.size, lr), np.inf)
    merged = methods.merge(constant_run, range(warm, warm + decay.size + 1), methods.merge_weights(decay))
    decayed = methods.sgd(from_array(np.concatenate([np.full(warm, lr), lr * decay])), np.inf)
    start = 0.5 * LAM * ERROR**2
    progress = [risk(PROBLEM, m, record=[1])[-1, 0] - start for m in (merged, decayed)]
    np.testing.assert_allclose(progress[0], progress[1], rtol=1e-5)


def test_decay_family_is_covered():
    """The zoo's origin-bound methods are left out of the scaling table above because it would be wrong for them."""
    c = 7.3
    stretched = sl.LinearRegression(c * LAM, ERROR / np.sqrt(c), SIGMA2)
    for make in DECAYED.values():
        method = make(LR, MOMENTUM, 2)
        assert np.any(np.abs(risk(stretched, method.rescale(1.0 / c))[-1] / risk(PROBLEM, method)[-1] - 1.0) > 1e-3)
