"""The limit against sampling, with deviations that shrink as modes are added, and against numbers known beforehand."""

from __future__ import annotations

import numpy as np
import pytest

import simlab as sl
from simlab import feedback, methods, schedules
from simlab.engines.moments.loops import Rates
from simlab.engines.moments.walks import Drive, Signed


def harmonic(dim, error=0.15, noise=0.25):
    return sl.LinearRegression(1.0 / np.arange(1, dim + 1.0), error, noise)


def both(problem, method, replicas, record):
    """Risks of the limit and of samples, and the standard errors of these."""
    known = sl.limit(problem, method, record=record, progress=False)
    seen = sl.sample(problem, method, basis="eigen", replicas=replicas, record=record, progress=False)
    return known.total().values[1:], seen.total().values[1:], seen.dataset["total_error"].values[1:]


# -- signs ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("batch", "wanted"),
    [(1, [0.06025, 0.04698, 0.03967]), (4, [0.04454, 0.02737, 0.01974]), (32, [0.02208, 0.00880, 0.00530])],
)
def test_signs_of_small_shares(batch, wanted):
    """Figures computed before this code, by a recursion of their own; 1/i, 400 modes, label noise 0.25."""
    problem, method = harmonic(400), methods.sign_sgd(schedules.constant(600, 0.004), batch=batch)
    walk = Signed(Drive(problem.modes(), problem.initial_error), method, linear=True)
    rates = Rates(method, walk)
    risks = [0.5 * walk.drive.total(walk.drive.eigenvalues * walk.second) for t in range(600) if rates.step(t)]
    assert [risks[t - 1] for t in (100, 300, 600)] == pytest.approx(wanted, abs=6e-6)


@pytest.mark.thorough
def test_signs_of_few_modes_and_of_many():
    """What is no chance falls as 1 / d."""
    for dim, replicas in ((50, 1024), (400, 256), (3200, 32)):
        method = methods.sign_sgd(schedules.constant(200, 0.08 / np.sqrt(dim)), batch=2)
        known, seen, error = both(harmonic(dim), method, replicas, [20, 60, 200])
        assert np.all(np.abs(known / seen - 1.0) < 4.0 * error / seen + 2.0 / dim)


def test_single_runs_concentrate():
    """The spread of one replica about the limit falls with d, here by more than half from 50 to 3,200 modes."""
    spread = []
    for dim in (50, 3200):
        method = methods.sign_sgd(schedules.constant(100, 0.08 / np.sqrt(dim)), batch=2)
        seen = sl.sample(harmonic(dim), method, basis="eigen", replicas=32, record=[100], progress=False)
        error = seen.dataset["total_error"].values[-1]
        spread.append(error * np.sqrt(32.0) / float(seen.total()[-1]))
    assert spread[1] < 0.5 * spread[0]


def test_the_floor_of_signs():
    """R = (k^2 + sqrt(k^4 + 4 k^2 s2)) / 2, k = lr sum sqrt(lam) / (2 c_B), c_B = 1 at B = 2; small shares."""
    lr, problem = 0.002, sl.LinearRegression(np.full(100, 0.5), 0.02, 0.25)
    k = lr * 100 * np.sqrt(0.5) / 2.0
    wanted = 0.5 * (k**2 + np.sqrt(k**4 + 4.0 * k**2 * 0.25))
    trace = sl.limit(problem, methods.sign_sgd(schedules.constant(3000, lr), batch=2), record=2, progress=False)
    assert 2.0 * float(trace.total()[-1]) == pytest.approx(wanted, rel=0.01)


# -- Adam's family ----------------------------------------------------------------------------------------------------

FAMILY = {
    "adam": lambda lr: methods.adam(lr, batch=4),
    "adam .95": lambda lr: methods.adam(lr, beta2=0.95, batch=4),
    "adam without momentum": lambda lr: methods.adam(lr, beta1=0.0, beta2=0.999),
    "adamw": lambda lr: methods.adamw(lr, weight_decay=5.0, batch=4),
    "nadam": lambda lr: methods.nadam(lr, batch=4),
    "radam": lambda lr: methods.radam(lr, batch=4),
    "rmsprop": lambda lr: methods.rmsprop(lr, batch=4),
    "rmsprop with momentum": lambda lr: methods.rmsprop(lr * 0.1, momentum=0.9, batch=4),
    "adagrad": lambda lr: methods.adagrad(lr, batch=4),
    "adabound": lambda lr: methods.adabound(lr, batch=4),
    "adam_mini": lambda lr: methods.adam_mini(lr, blocks=10, batch=4),
}


@pytest.mark.parametrize("name", FAMILY)
def test_the_family_within_three_percent(name):
    method = FAMILY[name](schedules.constant(300, 0.004))
    known, seen, error = both(harmonic(200, 0.1), method, 96, [50, 150, 300])
    assert np.all(np.abs(known / seen - 1.0) < 0.03 + 4.0 * error / seen), known / seen


def test_adamod_within_ten_percent_and_it_says_so():
    method = methods.adamod(schedules.constant(300, 0.005), batch=4)
    known, seen, error = both(harmonic(200, 0.1), method, 96, [50, 150, 300])
    assert np.all(np.abs(known / seen - 1.0) < 0.1 + 4.0 * error / seen)
    assert "adamod within 10 %" in sl.limit(harmonic(20), method, progress=False).dataset.attrs["accuracy"]


def test_the_family_brackets_the_truth_where_v_is_short():
    """beta2 = 0.9: the plain form is below the truth, the corrected one above it, and the error reported covers it."""
    method = methods.adam(schedules.constant(600, 0.002), beta1=0.0, beta2=0.9, batch=8)
    problem = harmonic(200, 0.1)
    known = sl.limit(problem, method, record=[600], progress=False)
    seen = sl.sample(problem, method, basis="eigen", replicas=128, record=[600], progress=False)
    low, high = (float(known.total()[-1] + k * known.dataset["risk_error"].sum(["component", "subspace"])[-1])
                 for k in (0, 1))  # fmt: skip
    error = float(seen.dataset["total_error"][-1])
    assert low - 3.0 * error < float(seen.total()[-1]) < high + 3.0 * error
    assert low < 0.99 * float(seen.total()[-1])


def test_subspaces_and_parts_add_up():
    method = methods.adam(schedules.constant(50, 0.01))
    parts = sl.limit(harmonic(64), method, subspaces=sl.subspaces.log_bins(4), progress=False)
    whole = sl.limit(harmonic(64), method, progress=False)
    np.testing.assert_allclose(parts.total(), whole.total(), rtol=1e-12)
    assert list(parts.risk["component"].values) == ["bias", "variance"]
    assert np.all(parts.risk.sel(component="bias")[-1] >= 0.0)


def test_equal_modes_are_one_node():
    many, one = np.full(40, 0.5), sl.LinearRegression([0.5], 0.3, 0.1, multiplicity=[40.0])
    for method in (methods.adam(schedules.constant(50, 0.01)), methods.sign_sgd(schedules.constant(50, 0.01))):
        a = sl.limit(sl.LinearRegression(many, 0.3, 0.1), method, progress=False).total()
        np.testing.assert_allclose(sl.limit(one, method, progress=False).total(), a, rtol=1e-12)


def test_frozen_rates_are_the_exact_engine():
    """A loop that gives back the schedule's own rate is SGD."""
    problem = sl.LinearRegression.power_law(60, 1.5, 1.3, 0.3)
    sgd = methods.sgd(schedules.linear(200, 0.4), batch=3)
    loop = methods.closed_loop(sgd, feedback.custom(lambda at, memory, gains: at.base))
    known = sl.limit(problem, loop, record="all", progress=False).total()
    np.testing.assert_allclose(known, sl.exact(problem, sgd, record="all").total(), rtol=1e-12)


# -- feedback ---------------------------------------------------------------------------------------------------------


def looped(rule, steps, lr=1.0, batch=1):
    return methods.closed_loop(methods.sgd(schedules.constant(steps, lr), batch=batch), rule)


TASK = sl.LinearRegression.power_law(1000, 1.5, 1.3, 1.0)


def ends(rule, steps=1000, lr=1.0, problem=TASK):
    """Twice the risk at the end."""
    trace = sl.limit(problem, looped(rule, steps, lr), record=[10, 100, steps - 1], progress=False)
    return 2.0 * float(trace.total()[-1]), trace.dataset["rate"].values


def test_the_greedy_rate():
    risk, rates = ends(feedback.line_search())
    assert risk == pytest.approx(2.0 * 0.5630, rel=2e-4)
    np.testing.assert_allclose(rates[:4], [0.165, 0.0973, 0.0285, 0.0079], rtol=5e-3)


@pytest.mark.parametrize(("beta", "wanted"), [(0.1, [0.5613, 0.5612, 0.5604]), (0.001, [0.5014, 0.4207, 0.3747])])
def test_hypergradients_see_one_step_ahead(beta, wanted):
    """Robust to where they begin, and the faster they adapt the worse they end: 1.7 times a linear decay."""
    found = [ends(feedback.hypergradient(beta), lr=lr)[0] / 2.0 for lr in (0.01, 0.1, 0.3)]
    assert found == pytest.approx(wanted, rel=5e-4)
    decay = float(sl.exact(TASK, methods.sgd(schedules.linear(1000, 0.399))).total()[-1])
    assert decay == pytest.approx(0.3258, rel=1e-3)
    if beta == 0.1:
        assert max(found) / min(found) < 1.01
        assert min(found) > 1.7 * decay


@pytest.mark.parametrize(("source", "greedy", "decay"), [(1.3, 0.434, 0.323), (2.0, 0.0432, 0.0329)])
def test_stages_of_the_best_constant_rate_lose_to_a_linear_decay(source, greedy, decay):
    """A perfect forecast of 256 steps ahead ends a quarter to a third above a tuned linear decay."""
    problem = sl.LinearRegression.power_law(1000, 1.5, source, 1.0)
    found = ends(feedback.autolrs(256, low=1e-3, high=1.0), 1024, problem=problem)[0] / 2.0
    assert found == pytest.approx(greedy, rel=0.012)
    assert 1.2 < found / decay < 1.4


@pytest.mark.parametrize(("low", "limit"), [(0.5, 1.16775), (0.25, 0.86983)])
def test_line_search_is_slower_than_polyak(low, limit):
    """Two eigenvalues in equal halves: rates times d in the long run, to O(1 / d)."""
    dim = 200
    problem = sl.LinearRegression([1.0, low], 1.0 / np.sqrt(dim), 0.0, multiplicity=[dim / 2, dim / 2])
    steps = 30 * dim
    (risk, rates), (other, others) = (ends(rule, steps, problem=problem) for rule in (
        feedback.line_search(), feedback.polyak()))  # fmt: skip
    assert rates[-2] * dim == pytest.approx(limit, rel=0.02)
    assert others[-2] * dim == pytest.approx(dim * 2.0 / (dim * (1.0 + low)), rel=0.02)
    assert other < risk


def test_adagrad_norm_under_noise():
    """lr -> eta / (sigma sqrt(tr H t)), approached from below."""
    steps, problem = 20_000, sl.LinearRegression([1.0, 0.1], 0.1, 0.5, multiplicity=[20.0, 50.0])
    _, rates = ends(feedback.adagrad_norm(1.0), steps, problem=problem)
    assert 0.95 < rates[-2] * np.sqrt(0.5 * 25.0 * steps) < 1.0


LOOPS = {
    "adagrad_norm": (feedback.adagrad_norm(1.0, 2.0), 1.0, 1),
    "polyak": (feedback.polyak(), 1.0, 1),
    "line_search": (feedback.line_search(), 1.0, 1),
    "hypergradient": (feedback.hypergradient(1e-4), 0.02, 8),
    "gradient_clipping": (feedback.gradient_clipping(0.5), 0.1, 1),
    "clipping of batches": (feedback.gradient_clipping(0.3), 0.1, 4),
    "custom": (feedback.custom(lambda at, memory, gains: 0.3 * at.risk / (0.01 + at.risk)), 1.0, 4),
}


@pytest.mark.parametrize("name", LOOPS)
def test_loops_against_samples(name):
    rule, lr, batch = LOOPS[name]
    problem = sl.LinearRegression(1.0 / np.arange(1, 401.0), 0.05, 0.1)
    known, seen, error = both(problem, looped(rule, 400, lr, batch), 96, [100, 200, 400])
    assert np.all(np.abs(known / seen - 1.0) < 0.03 + 4.0 * error / seen), known / seen


def test_a_loop_around_adam():
    inner = methods.adam(schedules.constant(200, 0.01), batch=4)
    method = methods.closed_loop(inner, feedback.custom(lambda at, memory, gains: at.base / (1.0 + 0.01 * at.step)))
    known, seen, error = both(harmonic(200, 0.1), method, 64, [50, 200])
    assert np.all(np.abs(known / seen - 1.0) < 0.03 + 4.0 * error / seen)


def test_a_plateau_lowers_the_rate():
    rule = feedback.plateau(factor=0.5, patience=2, every=20, threshold=0.05)
    _, rates = ends(rule, 1000, 0.05)
    assert rates[-2] < 0.05
    assert np.log2(0.05 / rates[-2]) == pytest.approx(round(np.log2(0.05 / rates[-2])))


def test_d_adaptation_stays_below_the_distance():
    """Noiseless convex: d^ is a lower bound on |w_0 - w*|; a rate of 0.01 d / |g_0| is stable here."""
    problem = sl.LinearRegression(1.0 / np.arange(1, 51.0), 1.0 / np.sqrt(50.0), 0.0)
    trace = sl.limit(
        problem, looped(feedback.d_adaptation(1e-4, 1.02), 2000, 0.01, np.inf), record="all", progress=False
    )
    first = np.sqrt(np.sum((problem.eigenvalues * problem.initial_error) ** 2))
    d = trace.dataset["rate"].values[:-1] * first / 0.01
    assert 1e-4 < d.max() <= 1.0 + 1e-9
    assert np.all(np.diff(d) >= -1e-15)


# -- on a landscape ---------------------------------------------------------------------------------------------------


@pytest.mark.thorough
def test_loops_on_a_landscape():
    valley = sl.river.curved()
    own = feedback.custom(lambda at, memory, gains: at.base)
    sgd = methods.sgd(schedules.constant(200, 0.02))
    one = sl.descend(valley, sgd, noise=sl.river.noise.isotropic(0.1), replicas=16, progress=False)
    other = sl.descend(
        valley, methods.closed_loop(sgd, own), noise=sl.river.noise.isotropic(0.1), replicas=16, progress=False
    )
    np.testing.assert_allclose(other["total"], one["total"], rtol=1e-9)


# -- bad input --------------------------------------------------------------------------------------------------------

FLAT = schedules.constant(200, 0.1)
SMALL = sl.LinearRegression.power_law(20, 1.5, 1.3, 0.1)
FLATTER = sl.LinearRegression([1.0, 0.5], 1.0, 0.1, kurtosis=1.0)
FALLS = feedback.custom(lambda at, memory, gains: 0.1 - 0.001 * at.step, name="falls")
NONE = feedback.custom(lambda at, memory, gains: np.nan if at.step > 10.0 else 0.1, name="none")


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: sl.limit(SMALL, methods.sgd(FLAT)), ["is linear", "simlab.exact"]),
        (lambda: sl.limit(SMALL, methods.lion(FLAT)), ["lion", "no limit", "simlab.sample"]),
        (lambda: sl.limit(SMALL, methods.adam(FLAT, amsgrad=True)), ["no limit"]),
        (lambda: sl.limit(SMALL.rotated(1), methods.adam(FLAT)), ["rotated", "simlab.sample"]),
        (lambda: sl.limit(SMALL.compress(1e-6), methods.adam(FLAT)), ["compressed"]),
        (lambda: sl.limit(FLATTER, methods.sign_sgd(FLAT)), ["kurtosis"]),
        (lambda: sl.limit(SMALL, looped(FALLS, 200)), ["falls", "rate -0.001 at step 101", "risk ="]),
        (lambda: sl.limit(SMALL, looped(NONE, 200)), ["none", "rate nan at step 11"]),
        (lambda: sl.sample(SMALL, looped(FALLS, 200), basis="eigen", replicas=2), ["at step 101", "risk ="]),
        (lambda: sl.descend(sl.river.curved(), looped(NONE, 200), replicas=2), ["rate nan at step 11", "loss ="]),
        (lambda: sl.sample(SMALL, looped(feedback.autolrs(10), 200), basis="eigen"), ["looks ahead", "simlab.limit"]),
        (lambda: methods.closed_loop(methods.heavy_ball(FLAT), FALLS), ["inner", "heavy_ball"]),
        (lambda: methods.closed_loop(methods.sgd(FLAT), 3.0), ["feedback = 3.0"]),
        (lambda: feedback.custom(lambda at: 0.1), ["rule", "summary"]),
        (lambda: feedback.gradient_clipping(0.0), ["threshold"]),
    ],
)  # fmt: skip
def test_refusals(call, words):
    with pytest.raises(sl.InputError) as caught:
        call()
    for word in words:
        assert word in str(caught.value), caught.value


def test_a_loop_around_sgd_runs_on_a_compressed_spectrum():
    """Its rates are made of sums over modes, and those are what a compressed spectrum keeps."""
    whole = sl.LinearRegression.power_law(dim=2_000, capacity=1.5, source=1.6, noise_variance=0.1)
    for feedback in (sl.feedback.adagrad_norm(1.0), sl.feedback.line_search()):
        loop = methods.closed_loop(methods.sgd(sl.schedules.constant(60, 1.0)), feedback)
        few, all_modes = (sl.limit(problem, loop, record=12) for problem in (whole.compress(1e-9), whole))
        np.testing.assert_allclose(few.total().values, all_modes.total().values, rtol=1e-7)
        np.testing.assert_allclose(few.dataset["rate"].values, all_modes.dataset["rate"].values, rtol=1e-7)
