"""Stochastic descent against a NumPy twin, simlab.sample and exact formulas; threads, blocks, checkpoints."""

from __future__ import annotations

import numpy as np
import pytest

import simlab as sl
from simlab import InputError, methods, river, schedules
from simlab.engines.descend import descend
from simlab.engines.limits import diffusion, gradient_flow
from simlab.engines.replicas import landscape, march
from tests.oracles import naive_descent
from tests.oracles.method_zoo import ZOO

STEPS = 40


def zoo(name):
    lr = schedules.wsd(STEPS, peak=0.05, cooldown=0.3)
    return ZOO[name](lr, schedules.constant(STEPS, 0.7), 2)


def iterates(landscape, method, **options):
    options = {"replicas": 70, "seed": 2**40 + 5, "record": "all", "paths": True} | options
    return descend(landscape, method, **options)["iterate"].values


def naive(landscape, method, noise=None, replicas=70, seed=2**40 + 5):
    return naive_descent.trajectories(landscape.slope, landscape.start, method, replicas, seed, noise)


# -- the twin ----------------------------------------------------------------------------------------------------------


@pytest.mark.thorough
@pytest.mark.parametrize("name", list(ZOO))
def test_every_method_follows_the_naive_twin(name):
    valley = river.curved(slope=0.1, start=[0.3, 0.7])
    method = zoo(name)
    expected = naive(valley, method, lambda w, xi: 0.5 * xi)
    got = iterates(valley, method, noise=river.noise.isotropic(0.5))
    np.testing.assert_allclose(got, expected, rtol=1e-9, atol=1e-11)


def hard(w, params):
    return 0.25 * w[0] ** 4 + params[0] * (w[1] - w[0] * w[2]) ** 2 + 0.5 * w[2] ** 2


def hard_gradient(w, params, out):
    miss = 2.0 * params[0] * (w[1] - w[0] * w[2])
    out[0] = w[0] ** 3 - miss * w[2]
    out[1] = miss
    out[2] = w[2] - miss * w[0]


LANDSCAPES = {
    "straight": lambda: river.straight_landscape([3.0, 1.0], slope=0.2, mu=0.1, target=4.0, start=[1.0, 2.0, 3.0]),
    "narrowing": lambda: river.narrowing([1.0, 2.0], [3.0, 9.0], start=[4.0, 1.0, -1.0]),
    "hyperbolic": lambda: river.hyperbolic(),
    "bigram": lambda: river.bigram([1.0, 0.3]).landscape,
    "embedded": lambda: river.embedded(river.curved(slope=0.1), np.linspace(1.0, 9.0, 9), seed=1),
    "wide": lambda: river.straight_landscape(np.linspace(1.0, 9.0, 400), slope=0.2),
    "custom": lambda: river.custom(hard, hard_gradient, 3, start=[1.0, 0.5, -0.5], params=[2.0]),
}


@pytest.mark.parametrize("name", LANDSCAPES)
def test_every_landscape_follows_the_naive_twin(name):
    """Up to 401 coordinates: every word of a block and more than one tile."""
    landscape, method = LANDSCAPES[name](), methods.heavy_ball(schedules.linear(STEPS, 0.03), 0.6)
    expected = naive(landscape, method, lambda w, xi: 0.5 * xi)
    got = iterates(landscape, method, noise=river.noise.isotropic(0.5))
    np.testing.assert_allclose(got, expected, rtol=1e-9, atol=1e-11)


def swirl(w, params, xi, out):
    out[0] = params[0] * xi[0] * w[1]
    out[1] = xi[1] - w[0] * xi[0]


@pytest.mark.thorough
def test_every_noise_follows_the_naive_twin():
    valley = river.curved(slope=0.1, mu=0.2, start=[0.3, 0.7])
    method = methods.sgd(schedules.linear(STEPS, 0.05), batch=3)
    values, vectors = np.linalg.eigh(valley.hessian(valley.start))
    root = (vectors * np.sqrt(np.maximum(values, 0.0))) @ vectors.T
    across = np.eye(2) - np.outer(vectors[:, 0], vectors[:, 0])

    def normal(w, xi):
        n = np.stack([-0.5 * np.cos(0.5 * w[:, 0]), np.ones(len(w))], axis=1)
        n /= np.linalg.norm(n, axis=1, keepdims=True)
        return 0.7 * n * np.sum(n * xi, axis=1, keepdims=True)

    noise = river.noise
    cases = {
        "none": (noise.none(), None),
        "diagonal": (noise.diagonal([0.1, 2.0]), lambda w, xi: xi * [0.1, 2.0]),
        "hessian": (noise.like_hessian(0.7), lambda w, xi: 0.7 * xi @ root),
        "hills": (noise.along_hills(0.7), normal),
        "hills at the start": (noise.along_hills(0.7, at=valley.start), lambda w, xi: 0.7 * xi @ across),
        "loss": (
            noise.with_loss(0.5, floor=-2.0),
            lambda w, xi: 0.5 * np.sqrt(np.maximum(valley.value(w) + 2.0, 0.0))[:, None] * xi,
        ),
        "custom": (
            noise.custom(swirl, [0.3]),
            lambda w, xi: np.stack([0.3 * xi[:, 0] * w[:, 1], xi[:, 1] - w[:, 0] * xi[:, 0]], axis=1),
        ),
    }
    for name, (given, slow) in cases.items():
        expected = naive(valley, method, slow)
        np.testing.assert_allclose(iterates(valley, method, noise=given), expected, rtol=1e-9, atol=1e-11, err_msg=name)


@pytest.mark.parametrize("method", ["sgd", "heavy_ball", "schedule_free"])
def test_a_quadratic_sees_the_draws_of_sample(method):
    """The straight valley and the noisy quadratic: the same run, in two engines, to rounding."""
    lam, size, start = np.array([3.0, 2.0, 1.0, 0.5]), np.array([1.0, 0.5, 0.3, 2.0]), [1.0, 1.0, -1.0, 2.0]
    valley = river.straight_landscape(lam[1:], mu=lam[0], start=start)
    run = zoo(method)
    record = {"record": [10, STEPS], "replicas": 70, "seed": 7}
    sampled = sl.sample(
        sl.NoisyQuadratic(lam, start, size**2), run, coordinates=[1, 2, 3, 4], dtype="float64", split=False, **record
    )
    ours = descend(valley, run, noise=river.noise.diagonal(size), paths=True, **record)
    np.testing.assert_allclose(ours["iterate"], sampled.dataset["trajectory"], rtol=1e-11, atol=1e-13)


def test_the_summary_is_that_of_the_replicas():
    valley = river.curved(slope=0.1)
    trace = descend(
        valley,
        zoo("sgd"),
        replicas=130,
        noise=river.noise.isotropic(),
        paths=True,
        record="all",
        quantiles=[0.0, 0.5, 1.0],
    )
    names = ("total", "river_loss", "hill_loss", "river")
    losses = np.stack([trace[f"replica_{name}"].values for name in names], axis=-1)
    np.testing.assert_allclose(losses[:, :, 0], valley.value(trace["iterate"].values), rtol=1e-12, atol=1e-13)
    # Written as a difference, so that the sum may be off by one rounding of the larger part.
    np.testing.assert_allclose(losses[:, :, 1] + losses[:, :, 2], losses[:, :, 0], rtol=0.0, atol=1e-15)
    for name, own in zip(names, np.moveaxis(losses, 2, 0), strict=True):
        np.testing.assert_allclose(trace[name], own.mean(axis=1), rtol=1e-12)
        error = own.std(axis=1, ddof=1) / np.sqrt(130)
        np.testing.assert_allclose(trace[f"{name}_error"], error, rtol=1e-9, atol=1e-300)
        np.testing.assert_array_equal(trace[f"{name}_quantile"].sel(quantile=1.0), own.max(axis=1))
    height = valley.split(trace["iterate"].values.reshape(-1, 2)).hills.reshape(STEPS + 1, 130)
    np.testing.assert_allclose(trace["hill_state"].values[:, 0], (height**2).mean(axis=1), rtol=1e-12)
    lr = trace["lr"].values
    np.testing.assert_allclose(lr[:-1], schedules.wsd(STEPS, peak=0.05, cooldown=0.3).values())
    assert np.isnan(lr[-1])


# -- exact formulas ----------------------------------------------------------------------------------------------------


def test_stationary_hill_loss_is_that_of_the_formula():
    """v = eta sigma^2 / (lam (2 - eta lam)), by z-scores of R = 60,000 replicas for each of 8 hills.

    The mean square of a Gaussian hill is v chi^2_R / R: z is normal to 1 %. A right sampler fails with probability 8
    times that of |z| > 6, under 2e-8; a v wrong by 4 % has z = 7 in each hill and is seen; the formula of the SDE, off
    by up to 100 % here, is refuted.
    """
    lam = np.array([19.0, 15.0, 10.0, 8.0, 6.0, 5.0, 4.0, 3.0])
    eta, sigma, R = 0.1, 0.7, 60_000
    valley = river.straight_landscape(lam, slope=0.1)
    trace = descend(
        valley, methods.sgd(schedules.constant(120, eta)), replicas=R, noise=river.noise.isotropic(sigma), record=2
    )
    variance = trace["hill_state"].values[-1]
    expected = eta * sigma**2 / (lam * (2.0 - eta * lam))
    z = (variance / expected - 1.0) * np.sqrt(R / 2)
    assert np.abs(z).max() < 6.0
    assert abs(z.sum()) / np.sqrt(8) < 6.0
    sde = eta * sigma**2 / (2.0 * lam)
    assert np.all((variance / sde - 1.0) * np.sqrt(R / 2) > 12.0)
    river_x = trace["river"].values[-1]
    assert abs(river_x - 0.1 * eta * 120) < 6.0 * eta * sigma * np.sqrt(120 / R)


def test_the_sde_limit_has_half_the_variance_and_the_flow_is_its_drift():
    """R = 20,000, n = 64 substeps: v = eta sigma^2 / (lam (2 - eta lam / n)); false alarm under 1e-8 at |z| < 6."""
    valley = river.straight_landscape([15.0, 5.0], slope=0.1, start=[0.0, 1.0, 1.0])
    lr = schedules.constant(60, 0.1)
    trace = diffusion(valley, lr, river.noise.isotropic(0.7), substeps=64, replicas=20_000, record=3)
    lam = np.array([15.0, 5.0])
    small = 0.1 / 64
    expected = 64 * small * 0.49 / (lam * (2.0 - small * lam))
    z = (trace["hill_state"].values[-1] / expected - 1.0) * np.sqrt(10_000)
    assert np.abs(z).max() < 6.0
    assert trace["step"].values[-1] == 60
    flow = gradient_flow(valley, [0.0, 1.0, 2.0])
    exact = np.exp(-np.outer([0.0, 1.0, 2.0], lam))
    np.testing.assert_allclose(flow["iterate"].values[:, 1:], exact, atol=1e-8)
    np.testing.assert_allclose(flow["coordinate"], [0.0, 0.1, 0.2], atol=1e-8)


def test_small_steps_follow_the_flow():
    """The error of gradient descent at tau = 1 is of first order in lr."""
    valley = river.curved(slope=0.3, start=[0.5, 1.0])
    end = gradient_flow(valley, [1.0])["iterate"].values[0]
    error = [
        np.abs(iterates(valley, methods.sgd(schedules.constant(n, 1.0 / n)), replicas=1)[-1, 0] - end).max()
        for n in (1000, 2000, 4000)
    ]
    assert error[0] < 1e-3
    np.testing.assert_allclose(np.divide(error[:-1], error[1:]), 2.0, rtol=0.02)


# -- the same bits, however the work is cut ----------------------------------------------------------------------------


@pytest.mark.parametrize("options", [{"threads": 1}, {"threads": 3}, {"block": 1}, {"block": 64, "threads": 2}])
@pytest.mark.parametrize("name", ["curved", "embedded", "custom"])
def test_threads_and_blocks_change_no_bit(name, options):
    landscape = river.curved(slope=0.1) if name == "curved" else LANDSCAPES[name]()
    run = {"replicas": 300, "noise": river.noise.isotropic(), "record": "linear", "paths": True}
    whole = descend(landscape, zoo("nesterov"), threads=2, **run)
    cut = descend(landscape, zoo("nesterov"), **run, **options)
    assert whole.identical(cut)


def test_more_replicas_leave_the_first_ones_as_they_are():
    valley = river.curved(slope=0.1)
    few, many = (iterates(valley, zoo("sgd"), replicas=n, noise=river.noise.isotropic()) for n in (5, 200))
    np.testing.assert_array_equal(few, many[:, :5])


def test_what_is_recorded_changes_no_bit(monkeypatch):
    valley = river.curved(slope=0.1)
    everything = iterates(valley, zoo("sgd"), noise=river.noise.isotropic())
    some = iterates(valley, zoo("sgd"), noise=river.noise.isotropic(), record=[0, 7, 8, 33, STEPS])
    np.testing.assert_array_equal(everything[[0, 7, 8, 33, STEPS]], some)
    monkeypatch.setattr(landscape, "RECORD_BYTES", 5 * 8 * 128 * 3)
    monkeypatch.setattr(march, "MAX_CHUNK", 7)
    np.testing.assert_array_equal(everything, iterates(valley, zoo("sgd"), noise=river.noise.isotropic()))


def test_an_interrupted_run_goes_on_to_the_same_bits(tmp_path):
    valley = river.curved(slope=0.1)
    run = {"replicas": 200, "noise": river.noise.isotropic(), "record": "linear", "paths": True, "block": 64}
    whole = descend(valley, zoo("ema_sgd"), **run)
    calls = []

    def stop(done, total):
        calls.append(done)
        if len(calls) == 12:
            raise KeyboardInterrupt

    part = descend(valley, zoo("ema_sgd"), checkpoint=tmp_path, every=5, progress=stop, **run)
    assert part["status"].item() == "interrupted"
    counts = np.count_nonzero(~np.isnan(part["iterate"].values[:, :, 0]), axis=1)
    assert counts[0] > counts[-1] > 0
    resumed = []
    rest = descend(valley, zoo("ema_sgd"), checkpoint=tmp_path, every=5, progress=lambda d, t: resumed.append(d), **run)
    assert resumed[0] > 0
    assert rest.identical(whole)
    with pytest.raises(InputError, match="another run"):
        descend(valley, zoo("ema_sgd"), checkpoint=tmp_path, **run | {"seed": 1})


def test_an_interrupt_while_the_kernel_is_compiled_is_heard(monkeypatch):
    def compiling(terrain, noisy, watch, begin, end, *rest):
        assert begin == end == 0, "replicas were run all the same"
        raise KeyboardInterrupt

    monkeypatch.setattr(landscape.descent, "run", compiling)
    trace = sl.descend(
        river.curved(), methods.sgd(schedules.constant(20, 0.01)), replicas=64, progress=False, device="cpu"
    )
    assert (trace["status"].item(), int(trace["ended_at"])) == ("interrupted", 0)


def test_an_interrupted_run_still_has_its_means():
    trace = descend(
        river.curved(slope=0.1), zoo("sgd"), replicas=200, block=64, noise=river.noise.isotropic(), progress=_after(2)
    )
    assert trace["status"].item() == "interrupted"
    assert all(np.isfinite(trace[name].values[0]) for name in ("total", "river_loss", "hill_loss", "river"))


def _after(count):
    calls = []

    def stop(done, total):
        calls.append(done)
        if len(calls) == count:
            raise KeyboardInterrupt

    return stop


# -- divergence, warnings, refusals ------------------------------------------------------------------------------------


def test_a_step_beyond_two_over_the_curvature_is_warned_of_and_run():
    valley = river.curved(lam=10.0, start=[0.0, 1.0])
    with pytest.warns(UserWarning, match=r"lr reaches 0\.25, above 2 / lam_max = 0\.1.* at the start"):
        trace = descend(valley, methods.sgd(schedules.constant(400, 0.25)), replicas=100, noise=river.noise.isotropic())
    assert trace["status"].item() == "diverged"
    assert 0 < trace["ended_at"].item() < 200
    assert trace["diverged"].values[-1] == 100
    assert np.isinf(trace["total"].values[-1])
    assert all(np.isfinite(trace[name].values[0]) for name in ("total", "river_loss", "hill_loss", "river"))


def test_divergence_is_the_same_however_it_is_cut(monkeypatch):
    valley, run = river.curved(lam=10.0, start=[0.0, 1.0]), methods.sgd(schedules.constant(400, 0.21))
    options = {"replicas": 100, "noise": river.noise.isotropic(), "paths": True}
    with pytest.warns(UserWarning, match="lr reaches"):
        one = descend(valley, run, **options)
    monkeypatch.setattr(march, "MAX_CHUNK", 33)
    with pytest.warns(UserWarning, match="lr reaches"):
        assert one.identical(descend(valley, run, **options))


def test_several_methods_share_an_axis():
    trace = descend(
        river.curved(slope=0.1), {"a": zoo("sgd"), "b": zoo("heavy_ball")}, replicas=64, noise=river.noise.isotropic()
    )
    assert trace["run"].values.tolist() == ["a", "b"]
    assert trace["total"].dims == ("run", "step")


def test_runs_of_different_lengths_share_a_trace():
    short, long = (methods.sgd(schedules.linear(n, 0.05)) for n in (10, 20))
    trace = descend(river.curved(slope=0.1), [short, long], replicas=3, record="all")
    for name in ("total", "river_loss", "hill_loss", "river"):
        assert trace[name].shape == (2, 21)
        assert np.isnan(trace[name].values[0, 11:]).all()
        assert np.isfinite(trace[name].values[1]).all()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"landscape": "curved"}, "landscape = 'curved' is no landscape"),
        ({"noise": 1.0}, r"write simlab\.river\.noise\.isotropic\(1\.0\)"),
        ({"replicas": 0}, "replicas = 0"),
        ({"seed": -1}, "seed = -1"),
        ({"dtype": "float32"}, "dtype: 'float32' is not known"),
        ({"quantiles": [1.5]}, "quantiles = 1.5"),
        ({"record": [STEPS + 1]}, "record goes from"),
        ({"noise": river.noise.custom(lambda w, p, xi, out: undefined(w))}, "cannot be compiled by Numba"),  # noqa: F821
    ],
)
def test_bad_input_is_refused(change, words):
    arguments = {"landscape": river.curved(), "method": zoo("sgd")} | change
    with pytest.raises(InputError, match=words):
        descend(arguments.pop("landscape"), arguments.pop("method"), **arguments)


def test_a_landscape_without_a_known_river_gives_its_loss_alone():
    trace = descend(LANDSCAPES["custom"](), zoo("sgd"), replicas=10)
    assert not {"river_loss", "hill_loss", "river"} & set(trace.variables)
    assert "hill_state" not in trace
