"""Mean-square stability and noise floors against the full second-moment operator, long runs and published numbers."""

from __future__ import annotations

import numpy as np
import pytest

import simlab as sl
from simlab import methods
from simlab.engines import stability
from simlab.methods import response
from simlab.schedules import constant, from_array, repeat
from tests.oracles import naive
from tests.oracles.method_zoo import FROZEN

LAM = np.arange(1.0, 6.0) ** -1.5
BATCHES, KURTOSES = [1, 4, 64], [1.0, 3.0, 6.0]


def radius(lam, kurtosis, method, at):
    """Spectral radius of the full operator of naive, with the batch of that step."""
    M, b, c = (part[0] for part in method.coefficients(at, at + 1))
    operator = naive.operator(lam, kurtosis, M, b, c, method.batches(at, at + 1)[0])
    return np.abs(np.linalg.eigvals(operator)).max()


@pytest.mark.thorough
@pytest.mark.parametrize("kurtosis", KURTOSES)
@pytest.mark.parametrize("batch", BATCHES)
@pytest.mark.parametrize("name", FROZEN)
def test_critical_learning_rate(name, batch, kurtosis):
    """The closed form's K = 1 is where the operator's radius is 1, to 1e-6 from either side."""
    make, at = FROZEN[name]
    method = make(batch)
    found = sl.stability(sl.LinearRegression(LAM, 1.0, 0.1, kurtosis), method, step=at)
    factor = found.critical_lr / found.learning_rate
    assert radius(LAM, kurtosis, method.rescale(factor * (1.0 - 1e-6)), at) < 1.0
    assert radius(LAM, kurtosis, method.rescale(factor * (1.0 + 1e-6)), at) > 1.0


@pytest.mark.parametrize("kurtosis", [1.0, 3.0])
@pytest.mark.parametrize("name", FROZEN)
def test_stable_is_below_the_critical_learning_rate_and_unstable_above(name, kurtosis):
    """Nothing else crosses 1 on the way: the set of stable rates is an interval here."""
    make, at = FROZEN[name]
    problem = sl.LinearRegression(LAM, 1.0, 0.1, kurtosis)
    reached = sl.stability(problem, make(4), step=at)
    factor = reached.critical_lr / reached.learning_rate
    for share in np.linspace(0.05, 2.0, 14):
        method = make(4).rescale(share * factor)
        answer = sl.stability(problem, method, step=at)
        assert answer.stable == (radius(LAM, kurtosis, method, at) < 1.0) == (share < 1.0)
        assert answer.stable == (answer.mass < 1.0)
        assert answer.critical_lr == pytest.approx(reached.critical_lr, rel=1e-10)
        assert (answer.noise_floor == np.inf) != answer.stable


@pytest.mark.parametrize(
    ("make", "published"),
    [
        (lambda lr: methods.sgd(lr, 4), 1.285725),
        (lambda lr: methods.heavy_ball(lr, 0.9, 4), 0.286759),
        (lambda lr: methods.nesterov(lr, 0.9, 4), 0.566166),
    ],
    ids=["sgd", "polyak", "nesterov"],
)
def test_published_critical_learning_rates(make, published):
    """Wang, Huang, Li and Wu 2026: lam_i = i^-1.5, d = 8, B = 4, momentum 0.9 (notes, section 3.4)."""
    problem = sl.LinearRegression.power_law(8, capacity=1.5, source=1.5)
    assert sl.stability(problem, make(constant(1, 0.1))).critical_lr == pytest.approx(published, abs=5e-7)


def test_sgd_mass_in_its_own_words():
    """K = sum lr lam / (2 B - (B + kurtosis - 2) lr lam)."""
    lr, B, kurtosis = 0.3, 3, 6.0
    answer = sl.stability(sl.LinearRegression(LAM, 1.0, 0.1, kurtosis), methods.sgd(constant(1, lr), B))
    z = lr * LAM
    assert answer.mass == pytest.approx(float(np.sum(z / (2 * B - (B + kurtosis - 2) * z))), rel=1e-13)


@pytest.mark.parametrize("kurtosis", [1.0, 3.0, np.array([1.0, 3.0, 6.0, 2.0, 9.0])], ids=str)
def test_kurtosis_per_coordinate(kurtosis):
    method = methods.nesterov(constant(2, 0.1), 0.7, 2)
    found = sl.stability(sl.LinearRegression(LAM, 1.0, 0.1, kurtosis), method)
    z = found.critical_lr / 0.1
    full = [naive_radius_per_coordinate(method.rescale(z * s), kurtosis) for s in (1.0 - 1e-6, 1.0 + 1e-6)]
    assert full[0] < 1.0 < full[1]


def naive_radius_per_coordinate(method, kurtosis):
    """As `naive.operator`, with a kurtosis for each coordinate."""
    M, b, c = (part[0] for part in method.coefficients(0, 1))
    kappa = np.broadcast_to(kurtosis, LAM.shape)
    d, k = LAM.size, b.size
    columns = []
    for unit in np.eye(d * k * k):
        P = unit.reshape(d, k, k)
        seen = np.array([c @ p @ c for p in P])
        total = LAM @ seen
        new = []
        for i in range(d):
            A = M - LAM[i] * np.outer(b, c)
            kick = ((kappa[i] - 2.0) * LAM[i] ** 2 * seen[i] + LAM[i] * total) / method.batch
            new.append(A @ P[i] @ A.T + kick * np.outer(b, b))
        columns.append(np.ravel(new))
    return np.abs(np.linalg.eigvals(np.stack(columns, axis=1))).max()


# -- noise floors -----------------------------------------------------------------------------------------------------

SETTLED = sl.LinearRegression([1.0, 0.6, 0.25], [1.0, -2.0, 0.5], 0.7, 3.0)
LONG = constant(3000, 0.15)
FLOORS = {
    "sgd": methods.sgd(LONG, 2),
    "heavy_ball": methods.heavy_ball(LONG * 0.3, 0.8, 2),
    "nesterov": methods.nesterov(LONG * 0.3, 0.8, 2),
    "torch_nesterov": methods.torch_momentum(LONG * 0.3, 0.8, 2, nesterov=True),
    "qhm": methods.qhm(LONG, 0.9, 0.7, 2),
    "asgd": methods.asgd(LONG, 0.3, 0.2, batch=2),
    "acc_sgd": methods.acc_sgd(LONG * 0.2, 5.0, 1.0, 2),
    "ema of sgd": methods.ema(methods.sgd(LONG, 2), 0.97),
    "old ema of sgd": methods.ema(methods.sgd(LONG, 2), 0.97, form="old"),
    "ema of nesterov": methods.ema(methods.nesterov(LONG * 0.3, 0.8, 2), 0.9),
    "ema of ema": methods.ema(methods.ema(methods.sgd(LONG, 2), 0.9), 0.8),
}


@pytest.mark.parametrize("name", FLOORS)
def test_noise_floor_is_where_long_runs_end(name):
    method = FLOORS[name]
    trace = sl.exact(SETTLED, method, record=[2900])
    assert trace.total().values[1] == pytest.approx(trace.total().values[2], rel=1e-11)
    assert sl.stability(SETTLED, method).noise_floor == pytest.approx(float(trace.total()[-1]), rel=1e-8)


@pytest.mark.parametrize("kurtosis", [1.0, 6.0])
@pytest.mark.parametrize("name", ["sgd", "nesterov", "ema of sgd"])
def test_noise_floor_at_other_kurtoses(name, kurtosis):
    problem = sl.LinearRegression([1.0, 0.6, 0.25], 1.0, 0.7, kurtosis)
    trace = sl.exact(problem, FLOORS[name], record=[2900])
    assert sl.stability(problem, FLOORS[name]).noise_floor == pytest.approx(float(trace.total()[-1]), rel=1e-8)


@pytest.mark.parametrize("name", ["sgd", "nesterov", "ema of sgd"])
def test_noise_floor_under_additive_noise(name):
    problem = sl.NoisyQuadratic([1.0, 0.6, 0.25], 1.0, [0.5, 0.2, 0.0])
    trace = sl.exact(problem, FLOORS[name], record=[2900])
    assert sl.stability(problem, FLOORS[name]).noise_floor == pytest.approx(float(trace.total()[-1]), rel=1e-8)


def test_noise_floor_where_the_gradient_is_taken():
    """1/2 sigma^2 K / (1 - K)."""
    answer = sl.stability(SETTLED, FLOORS["sgd"])
    assert answer.noise_floor == pytest.approx(0.5 * 0.7 * answer.mass / (1.0 - answer.mass), rel=1e-12)


def test_noise_floor_of_an_ema_in_closed_form():
    """Li and Gu's form: 1/(2B) sum_i V_i (lam_i m_i + R + sigma^2), V = sum_J [x (1-a)(a^J - p^J)/(a-p)]^2, p = 1 - x.

    Source: the exact identity of the notes, sgd_ema.md 0.6 with N -> infinity and the stationary m_i of 0.5.
    """
    lam, lr, B, a, sigma2 = np.array([1.0, 0.6, 0.25]), 0.15, 2, 0.97, 0.7
    x = lr * lam
    p = 1.0 - x
    f = x / (B * (2.0 - x * (1.0 + 1.0 / B)))
    level = sigma2 / (1.0 - f.sum())  # R + sigma^2 when settled
    squares = a**2 / (1 - a**2) - 2 * a * p / (1 - a * p) + p**2 / (1 - p**2)
    V = (x * (1 - a) / (a - p)) ** 2 * squares
    want = 0.5 / B * np.sum(V * (f + 1.0) * level)
    assert sl.stability(SETTLED, FLOORS["old ema of sgd"]).noise_floor == pytest.approx(float(want), rel=1e-11)


# -- the response of a mode -------------------------------------------------------------------------------------------


def summed_response(M, b, c, lam, terms):
    """G = sum_j (c^T A^j b)^2, term by term."""
    out = []
    for l in lam:
        A, v, total = M - l * np.outer(b, c), b.copy(), 0.0
        for _ in range(terms):
            total += float(c @ v) ** 2
            v = A @ v
        out.append(total)
    return np.array(out)


RESPONSES = {
    name: tuple(part[at] for part in make(1).coefficients()) for name, (make, at) in FROZEN.items() if name != "dana"
} | {
    # M without the eigenvalue 1, and three states: the discrete Lyapunov equation has to be solved.
    "generic": (np.array([[0.9, 0.2], [-0.1, 0.7]]), np.array([0.1, 0.2]), np.array([1.0, 0.5])),
    "three states": (
        np.array([[1.0, 0.3, 0.0], [0.0, 0.6, 0.2], [0.1, -0.1, 0.4]]),
        np.array([0.2, 0.1, 0.1]),
        np.array([1.0, 0.2, 0.3]),
    ),
}


@pytest.mark.thorough
@pytest.mark.parametrize("name", RESPONSES)
def test_response_is_its_own_sum(name):
    """Closed form and Lyapunov route alike."""
    M, b, c = RESPONSES[name]
    lam = np.array([1.0, 0.35, 0.1])
    want = summed_response(M, b, c, lam, 20_000)
    np.testing.assert_allclose(response.noise_response(M, b, c, lam), want, rtol=1e-9)


@pytest.mark.parametrize("name", [name for name in RESPONSES if name != "sgd"])
def test_closed_form_and_lyapunov_equation_agree(name):
    """An idle third state changes nothing, but keeps the closed form for two from being used."""
    M, b, c = RESPONSES[name]
    k = b.size
    wide = np.zeros((k + 1, k + 1))
    wide[:k, :k] = M
    wide[k, k] = 0.5
    lam = np.array([1.0, 0.35, 0.1])
    long_way = response.noise_response(wide, np.append(b, 0.3), np.append(c, 0.0), lam)
    np.testing.assert_allclose(long_way, response.noise_response(M, b, c, lam), rtol=1e-9)


def test_states_without_a_part_in_the_dynamics_are_left_out():
    M, b, c = (
        part[0] for part in methods.ema(methods.ema(methods.nesterov(constant(60, 0.1), 0.9), 0.9), 0.5).coefficients()
    )
    np.testing.assert_array_equal(response.active_states(M, b, c), [True, True, False, False])


# -- schedules that repeat --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("share", [0.5, 0.99, 1.01, 1.5])
@pytest.mark.parametrize("name", ["sgd", "heavy_ball", "nesterov", "qhm", "asgd"])
def test_a_constant_schedule_is_stable_if_and_only_if_its_mass_is_below_one(name, share):
    problem = sl.LinearRegression(LAM, 1.0, 0.1)
    make, _ = FROZEN[name]
    method = make(4)
    factor = share * sl.stability(problem, method).critical_lr / 0.1
    method = method.rescale(factor)
    frozen, period = sl.stability(problem, method), sl.stability(problem, method, period=1)
    assert period.stable == frozen.stable == (share < 1.0)
    assert period.spectral_radius == pytest.approx(radius(LAM, 3.0, method, 0), rel=1e-10)
    assert period.critical_lr == pytest.approx(frozen.critical_lr, rel=1e-6)


@pytest.mark.parametrize("kurtosis", KURTOSES)
@pytest.mark.parametrize("name", ["sgd", "heavy_ball", "nesterov", "schedule_free"])
def test_two_steps_are_the_product_of_their_operators(name, kurtosis):
    lr = repeat(from_array([0.2, 1.4]), 10)
    method = {
        "sgd": methods.sgd(lr, 4),
        "heavy_ball": methods.heavy_ball(lr * 0.2, 0.7, 4),
        "nesterov": methods.nesterov(lr * 0.2, 0.7, 4),
        "schedule_free": methods.schedule_free(lr, 0.9, 4),
    }[name]
    answer = sl.stability(sl.LinearRegression(LAM, 1.0, 0.1, kurtosis), method, period=2)
    M, b, c = method.coefficients()
    second, first = (naive.operator(LAM, kurtosis, M[t], b[t], c[t], 4) for t in (1, 0))
    want = np.abs(np.linalg.eigvals(second @ first)).max()
    assert answer.spectral_radius == pytest.approx(float(want), rel=1e-10)
    assert np.isnan(answer.mass)


def test_a_step_above_the_constant_limit_can_be_stable_in_a_cycle():
    """K < 1 at every step is not necessary (Oymak 2021's unstable step): one bold step among careful ones."""
    problem = sl.LinearRegression([1.0] * 10 + [0.01] * 10, 1.0, 0.0)
    lr = repeat(from_array([0.5] * 7 + [2.5]), 4)
    method = methods.sgd(lr, 64)
    assert not sl.stability(problem, method).stable
    assert sl.stability(problem, method, period=8).stable


def test_many_moments_go_through_arnoldi():
    """900 moments: at the critical rate of the closed form the radius is 1."""
    problem = sl.LinearRegression.power_law(300, 1.3, 1.1, 0.1)
    method = methods.heavy_ball(constant(3, 0.01), 0.6, 2)
    factor = sl.stability(problem, method).critical_lr / 0.01
    assert stability.MAX_DENSE < 3 * 300
    for share in (1.0, 0.7):
        at = method.rescale(factor * share)
        got = stability.second_moment_radius(at, problem.modes(), 0, 1)
        if share == 1.0:
            assert got == pytest.approx(1.0, abs=1e-8)
        else:
            assert got < 1.0 - 1e-6


# -- edges ------------------------------------------------------------------------------------------------------------


def test_a_mode_that_does_not_contract_has_infinite_mass():
    answer = sl.stability(sl.LinearRegression(LAM, 1.0, 0.1), methods.sgd(constant(2, 2.1), 4))
    assert (answer.mass, answer.stable, answer.noise_floor) == (np.inf, False, np.inf)
    assert 0.0 < answer.critical_lr < 2.0


@pytest.mark.parametrize("lr", [0.5, 2.5])
def test_full_gradient(lr):
    """No noise: the classical limits 2 / lam_1 and 2 (1 + beta) / lam_1, whichever rate one starts from."""
    problem = sl.LinearRegression(LAM, 1.0, 0.1)
    plain = sl.stability(problem, methods.sgd(constant(2, lr), np.inf))
    heavy = sl.stability(problem, methods.heavy_ball(constant(2, lr), 0.8, np.inf))
    assert plain.critical_lr == pytest.approx(2.0, rel=1e-10)
    assert heavy.critical_lr == pytest.approx(3.6, rel=1e-10)
    assert plain.stable == (lr < 2.0)
    assert heavy.stable == (lr < 3.6)
    assert plain.noise_floor == (0.0 if lr < 2.0 else np.inf)


def test_without_a_learning_rate():
    answer = sl.stability(sl.LinearRegression(LAM, 1.0, 0.1), methods.sgd(constant(3, 0.0)))
    assert (answer.mass, answer.learning_rate, answer.noise_floor) == (0.0, 0.0, 0.0)
    assert np.isnan(answer.critical_lr)


def test_the_peak_is_where_hyper_parameters_are_frozen():
    method = methods.sgd(from_array([0.1, 0.4, 0.2]), 2)
    problem = sl.LinearRegression(LAM, 1.0, 0.1)
    assert sl.stability(problem, method) == sl.stability(problem, method, step=1)
    assert sl.stability(problem, method).learning_rate == 0.4
    assert sl.stability(problem, method, step=0).mass < sl.stability(problem, method, step=2).mass


def test_one_hot_coordinates_do_not_couple():
    """Each coordinate alone: stable where 1 - 2 z + (1 + (1/p - 1)/B) z^2 < 1 for all."""
    p, B = np.array([0.5, 0.3, 0.2]), 2
    problem = sl.LinearRegression.one_hot(p, 1.0, 0.1)
    limit = np.min(2.0 / (1.0 + (1.0 / p - 1.0) / B) / p)
    found = sl.stability(problem, methods.sgd(constant(2, 0.1), B))
    assert found.critical_lr == pytest.approx(float(limit), rel=1e-10)


def test_parameter_rules_are_stable():
    problem = sl.LinearRegression.power_law(200, 1.3, 1.1, 0.1)
    for rule in (methods.jain_2018_rule(problem), methods.li_2024_rule(problem, 10)):
        method = methods.asgd(constant(2, rule["delta"]), rule["gamma"], rule["beta"], rule["alpha"])
        assert sl.stability(problem, method).stable


def test_dependent_data_has_no_closed_form():
    rows = np.random.default_rng(0).normal(size=(6, 2))
    problem = sl.EmpiricalRegression(rows, rows[:, 0] + 1.0)
    with pytest.raises(sl.InputError, match="independent coordinates"):
        sl.stability(problem, methods.sgd(constant(2, 0.1)))


# -- the step that is looked at ---------------------------------------------------------------------------------------

DELAY = np.array([[1.0, 0.0], [1.0, 0.0]])


def delayed(rate, steps=400, **more):
    """SGD with the gradient of the weights one step ago; r^2 - r + lr lam = 0, so that 1 / lam is critical."""
    return methods.generic(DELAY, [rate, 0.0], [0.0, 1.0], [1.0, 0.0], steps=steps, start=[1.0, 1.0], **more)


def test_a_gradient_that_arrives_late():
    problem = sl.LinearRegression([1.0, 0.3], [1.0, 2.0], 0.2)
    for rate, stable in ((0.9, True), (1.1, False)):
        found = sl.stability(problem, delayed(rate, batch=np.inf))
        assert found.stable is stable
        assert found.learning_rate == rate
        assert found.critical_lr == pytest.approx(1.0, rel=1e-9)
    assert delayed(0.1).learning_rate.total() == pytest.approx(40.0)
    assert delayed(0.1, lr=0.3).rescale(2.0).learning_rate(7) == 0.6


def test_a_late_gradient_that_changes_is_judged_where_it_is_worst():
    problem = sl.LinearRegression([1.0, 0.3], 1.0, 0.2)
    rates = constant(60, 0.1).values()
    rates[37:41] = 1.3
    method = methods.generic(
        DELAY, np.stack([rates, 0 * rates], axis=1), [0.0, 1.0], steps=60, start=[1.0, 1.0], batch=np.inf
    )
    found = sl.stability(problem, method)
    assert not found.stable
    assert found.learning_rate == 1.3


def test_the_worst_step_is_not_always_that_of_the_largest_rate():
    problem = sl.LinearRegression([1.0, 0.5], 1.0, 0.2)
    batch = from_array(np.repeat([64.0, 1.0], 50))
    method = methods.sgd(constant(100, 0.8), batch)
    assert sl.stability(problem, method, step=0).stable
    assert not sl.stability(problem, method).stable


def test_a_long_run_is_not_walked_through():
    problem = sl.LinearRegression([1.0, 0.5], 1.0, 0.2)
    assert sl.stability(problem, delayed(0.1, steps=10**12)).learning_rate == 0.1
    assert sl.stability(problem, methods.sgd(constant(10**12, 0.1))).stable


def test_the_noise_floor_of_modes_that_hardly_move():
    """lr lam below 1e-16: SGD's floor is that of its mass, mode by mode."""
    lam = np.array([1.0, 1e-18])
    found = sl.stability(sl.LinearRegression(lam, 1.0, 0.5), methods.sgd(constant(10, 0.1)))
    mass = np.sum(0.1 * lam / (2.0 - 0.1 * lam) / (1.0 - 0.1 * lam / (2.0 - 0.1 * lam)))
    assert found.noise_floor == pytest.approx(0.5 * 0.5 * mass / (1.0 - mass), rel=1e-12)
