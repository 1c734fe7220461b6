"""The tail of the spectrum in polynomial blocks (kernels.moments.blocks) against plain steps and against more digits.

Three legs: the engine as it is; the same engine told that kurtoses differ (ratio = NaN), which makes it step every
mode; and a recursion in NumPy's extended precision (64-bit mantissa), which settles who is right when the two differ.
"""

from __future__ import annotations

import itertools

import numpy as np
import pytest

import simlab as sl
from simlab.engines.moments import diagonal
from simlab.kernels.moments import layout
from simlab.schedules import constant, cosine, from_array, join, linear, sgdr, wsd
from tests.oracles.method_zoo import ZOO

RTOL = 1e-12
EXTENDED = np.finfo(np.longdouble).nmant >= 63
needs_extended = pytest.mark.skipif(not EXTENDED, reason="this platform's long double is no wider than a double")


def power_law(dim, kurtosis=3.0):
    return sl.LinearRegression.power_law(dim, capacity=1.4, source=1.2, noise_variance=0.2, kurtosis=kurtosis)


def two_clusters(dim):
    lam = np.concatenate([np.linspace(1.0, 0.8, 10), np.linspace(1.1e-3, 0.9e-3, dim - 10)])
    return sl.LinearRegression(lam, np.linspace(1.0, 2.0, dim), 0.5)


def scaled(dim, factor):
    """A power law whose eigenvalues are `factor` times larger at the same initial risk."""
    lam = np.arange(1.0, dim + 1) ** -1.4
    return sl.LinearRegression(factor * lam, np.sqrt(np.arange(1.0, dim + 1) ** -1.2 / (factor * lam)), 0.2)


SPECTRA = {
    "flat power law": lambda d: sl.LinearRegression.power_law(d, 1.05, 1.0, 0.2),
    "steep power law": lambda d: sl.LinearRegression.power_law(d, 2.5, 1.5, 0.2),
    "exponential": lambda d: sl.LinearRegression.exponential(d, 20.0 / d, 0.2),
    "two clusters": two_clusters,
    "equal eigenvalues": lambda d: sl.LinearRegression(np.full(d, 1e-3), 1.0, 0.2),
    "no noise": lambda d: sl.LinearRegression.power_law(d, 1.4, 1.2, 0.0),
    "rademacher": lambda d: power_law(d, 1.0),
    "kurtosis two": lambda d: power_law(d, 2.0),
}


def peak_of(problem):
    """A learning rate at about half of what SGD with one sample survives."""
    lam = problem.eigenvalues
    return 0.5 / (lam[0] + 0.5 * lam.sum())


SCHEDULES = {
    "constant": lambda T, peak: constant(T, peak),
    "warmup and cooldown": lambda T, peak: wsd(T, peak=peak, warmup=0.1, cooldown=0.3, shape="1-sqrt"),
    "cosine to zero": lambda T, peak: cosine(T, peak=peak),
    "stretches at zero": lambda T, peak: join(
        constant(T // 4, peak), constant(T // 4, 0.0), constant(T - 3 * (T // 4), 0.3 * peak), constant(T // 4, 0.0)
    ),
    "restarts": lambda T, peak: sgdr(T, peak=peak, period=T // 5),
    "noise": lambda T, peak: from_array(peak * np.random.default_rng(0).uniform(size=T)),
}


@pytest.fixture
def plain(monkeypatch):
    """Run with every mode stepped one by one."""
    build = layout.NodeArrays.__init__

    def without_blocks(self, modes):
        build(self, modes)
        self.ratio = float("nan")

    def run(*args, **options):
        with monkeypatch.context() as patch:
            patch.setattr(layout.NodeArrays, "__init__", without_blocks)
            return sl.exact(*args, **options)

    return run


def values(trace):
    return trace.risk.transpose("step", "component", "subspace").values


def assert_close(got, want, rtol=RTOL):
    """Relative error per recorded step, component and subspace; below 1e-280 the kernels flush to zero."""
    np.testing.assert_allclose(got, want, rtol=rtol, atol=1e-280)


def extended(problem, method, steps):
    """(bias, variance) of every mode at `steps`, (steps, 2, d), by the plain recursion in extended precision."""
    modes = problem.modes()
    lam, signal, own, drive = (np.asarray(a, dtype=np.longdouble) for a in modes[:4])
    k = method.state_size
    start = method.z0.astype(np.longdouble)
    P = np.zeros((2, lam.size, k, k), dtype=np.longdouble)
    P[0] = signal[:, None, None] * np.outer(start, start)
    M, b, c = (part.astype(np.longdouble) for part in method.coefficients())
    o, share = method.readout().astype(np.longdouble), 1 / method.batches().astype(np.longdouble)
    wanted, out = set(steps), []
    for t in range(method.length + 1):
        if t in wanted:
            out.append(0.5 * ((P @ o[t]) @ o[t]))
        if t == method.length:
            break
        seen = (P @ c[t]) @ c[t]
        A = M[t] - lam[:, None, None] * np.outer(b[t], c[t])
        level = modes.coupling * seen.sum(axis=1) + np.array([0.0, modes.noise], dtype=np.longdouble)
        kick = share[t] * (own * seen + drive * level[:, None])
        P = A @ P @ A.transpose(0, 2, 1) + kick[:, :, None, None] * np.outer(b[t], b[t])
    return np.array(out)


def by_bins(per_mode, problem, bins):
    """Sums over the subspaces of log_bins, as the trace has them."""
    names = bins.ranges(problem.dim, problem.count_at_least, 0.0)
    return np.stack([per_mode[..., a:z].sum(axis=-1) for _, [(a, z)] in names], axis=-1).astype(np.float64)


BINS = sl.subspaces.log_bins(6)


@pytest.mark.parametrize("shape", SCHEDULES)
@pytest.mark.parametrize("spectrum", SPECTRA)
def test_sgd_blocks_against_plain_steps(spectrum, shape, plain):
    problem = SPECTRA[spectrum](3000)
    method = sl.methods.sgd(SCHEDULES[shape](4000, peak_of(problem)), batch=2)
    fast = values(sl.exact(problem, method, subspaces=BINS, record=20))
    slow = values(plain(problem, method, subspaces=BINS, record=20))
    assert_close(fast, slow)
    assert np.any(fast != slow), "no block was taken: the last bits of two orders of summation always differ"


@pytest.mark.parametrize("name", sorted(set(ZOO) - {"generic_moving"}))
def test_every_method_against_plain_steps(name, plain):
    """All state sizes, k = 1 to 4."""
    problem = power_law(1000)
    lr = wsd(1500, peak=0.1, warmup=0.05, cooldown=0.3)
    method = ZOO[name](lr, linear(1500, peak=0.95), 3)
    fast = values(sl.exact(problem, method, subspaces=BINS, record=20))
    slow = values(plain(problem, method, subspaces=BINS, record=20))
    assert_close(fast, slow)


@pytest.mark.parametrize("spectrum", SPECTRA)
@pytest.mark.parametrize("k", [2, 3, 4])
def test_spectra_under_larger_states(spectrum, k, plain):
    problem = SPECTRA[spectrum](600)
    lr = wsd(800, peak=0.5 * peak_of(problem), warmup=0.1, cooldown=0.4, shape="1-sqrt")
    inner = sl.methods.heavy_ball(lr, linear(800, peak=0.9), batch=2)
    method = {2: inner, 3: sl.methods.ema(inner, 0.99), 4: sl.methods.ema(sl.methods.average(inner), 0.9)}[k]
    fast = values(sl.exact(problem, method, subspaces=BINS, record=20))
    slow = values(plain(problem, method, subspaces=BINS, record=20))
    assert method.state_size == k
    assert_close(fast, slow)
    assert np.any(fast != slow), "no block was taken"


@pytest.mark.thorough
@needs_extended
@pytest.mark.parametrize("factor", [1e-12, 1.0, 1e9])
@pytest.mark.parametrize(("k", "steps"), [(1, 20_000), (2, 4000), (3, 2500), (4, 1500)])
def test_against_more_digits(k, steps, factor):
    """Also where eigenvalues are tiny or huge: only lr lam counts."""
    problem = scaled(256, factor)
    lr = wsd(steps, peak=0.2 / factor, warmup=0.05, cooldown=0.3, shape="1-sqrt")
    heavy = sl.methods.heavy_ball(lr, 0.8, batch=2)
    method = {
        1: sl.methods.sgd(lr, batch=2),
        2: heavy,
        3: sl.methods.ema(heavy, 0.99),
        4: sl.methods.ema(sl.methods.average(heavy, steps // 2), 0.9),
    }[k]
    trace = sl.exact(problem, method, subspaces=BINS, record=[10, steps // 10, steps // 2])
    want = by_bins(extended(problem, method, trace.risk["step"].values), problem, BINS)
    assert_close(values(trace), want)


@pytest.mark.thorough
@needs_extended
@pytest.mark.parametrize("shape", SCHEDULES)
def test_schedules_against_more_digits(shape):
    problem = power_law(400)
    method = sl.methods.sgd(SCHEDULES[shape](4000, peak_of(problem)), batch=1)
    trace = sl.exact(problem, method, subspaces=BINS, record=10)
    want = by_bins(extended(problem, method, trace.risk["step"].values), problem, BINS)
    assert_close(values(trace), want)


@needs_extended
@pytest.mark.parametrize("share", [0.9, 0.999, 1.0, 1.02])
def test_near_instability(share):
    """At the critical learning rate the leading modes hardly contract and the coupling is all there is."""
    problem = power_law(300)
    critical = sl.stability(problem, sl.methods.sgd(constant(2, 0.1))).critical_lr
    method = sl.methods.sgd(constant(2000, share * critical))
    trace = sl.exact(problem, method, subspaces=BINS, record=10)
    want = by_bins(extended(problem, method, trace.risk["step"].values), problem, BINS)
    assert_close(values(trace), want)


def affine_power(problem, lr, batch, steps):
    """The map u -> u of `steps` SGD steps at a constant rate, as an extended-precision matrix on (u, 1)."""
    modes = problem.modes()
    lam, own, drive = (np.asarray(a, dtype=np.longdouble) for a in (modes.eigenvalues, modes.self_noise, modes.drive))
    d, rate = lam.size, np.longdouble(lr)
    A = np.zeros((d + 1, d + 1), dtype=np.longdouble)
    A[:d, :d] = np.diag((1 - rate * lam) ** 2 + rate**2 * own / batch) + (rate**2 * drive / batch)[:, None]
    A[:d, d] = rate**2 * drive * np.longdouble(modes.noise) / batch
    A[d, d] = 1
    result = np.eye(d + 1, dtype=np.longdouble)
    while steps:
        if steps & 1:
            result = A @ result
        A, steps = A @ A, steps >> 1
    return result


@pytest.mark.thorough
@needs_extended
def test_a_million_steps():
    """Accumulated error at T = 10^6: two constant rates, so that matrix powers give the answer without stepping."""
    problem = sl.LinearRegression.power_law(224, capacity=1.4, source=1.2, noise_variance=0.2)
    lr = join(constant(900_000, 0.1), constant(100_000, 0.003))
    trace = sl.exact(problem, sl.methods.sgd(lr, batch=2), record=[900_000], subspaces=BINS)
    u = np.append(problem.modes().signal, 1.0).astype(np.longdouble)
    for steps, rate, row in ((900_000, 0.1, 1), (100_000, 0.003, 2)):
        u = affine_power(problem, rate, 2, steps) @ u
        want = by_bins(0.5 * u[:-1], problem, BINS)
        got = trace.risk.sum("component").values[row]
        assert_close(got, want, rtol=RTOL)


@needs_extended
@pytest.mark.slow
def test_a_million_steps_of_cosine():
    problem = sl.LinearRegression.power_law(224, capacity=1.4, source=1.2, noise_variance=0.2)
    method = sl.methods.sgd(cosine(1_000_000, peak=0.2), batch=2)
    trace = sl.exact(problem, method, record=10, subspaces=BINS)
    want = by_bins(extended(problem, method, trace.risk["step"].values), problem, BINS)
    assert_close(values(trace), want, rtol=RTOL)


CHUNKED = {
    "sgd": lambda lr: sl.methods.sgd(lr, 2),
    "nesterov": lambda lr: sl.methods.nesterov(lr, linear(lr.length, 0.9), 2),
    "ema": lambda lr: sl.methods.ema(sl.methods.heavy_ball(lr, 0.9, 2), 0.99),
}


@needs_extended
def test_a_method_with_nearly_singular_steps_against_more_digits():
    """Of a random method's bias of 1e-43 plain steps lose 8e-13 and blocks 5e-13, to either side."""
    problem, lr = power_law(1000), wsd(1500, peak=0.1, warmup=0.05, cooldown=0.3)
    method = ZOO["generic_moving"](lr, linear(1500, peak=0.95), 3)
    trace = sl.exact(problem, method, subspaces=BINS, record=20)
    truth = extended(problem, method, trace.risk["step"].values.tolist())
    assert_close(values(trace), by_bins(truth, problem, BINS))


@pytest.mark.parametrize(("name", "size"), list(itertools.product(CHUNKED, [1, 7, 100])))
def test_chunks_do_not_matter(name, size, monkeypatch):
    problem, lr = power_law(500), wsd(700, peak=0.05, warmup=0.1, cooldown=0.3)
    method = CHUNKED[name](lr)
    whole = values(sl.exact(problem, method, record=15, subspaces=BINS, deterministic=True))
    monkeypatch.setattr(diagonal, "MAX_CHUNK", size)
    cut = values(sl.exact(problem, method, record=15, subspaces=BINS, deterministic=True))
    assert_close(cut, whole)


@pytest.mark.parametrize("name", CHUNKED)
def test_looking_more_often_changes_no_bit(name):
    """A recorded step is read off the block that it lies in: neither the run nor another record knows of it."""
    problem, lr = power_law(500), wsd(700, peak=0.05, warmup=0.1, cooldown=0.3)
    method = CHUNKED[name](lr)
    few = values(sl.exact(problem, method, record=[123, 500], subspaces=BINS))
    every = values(sl.exact(problem, method, record="all", subspaces=BINS))
    assert every.shape[0] == 701
    np.testing.assert_array_equal(every[[0, 123, 500, 700]], few)
    assert_close(values(sl.exact(problem, method, record="all")).sum(axis=-1), every.sum(axis=-1))


@pytest.mark.parametrize("name", ["sgd", "nesterov"])
def test_subspaces_of_scattered_modes_are_read_off_blocks_too(name):
    """Every third mode, in turn, and long runs of one label beside them: no block knows how labels lie."""
    problem, lr = power_law(500), wsd(700, peak=0.05, warmup=0.1, cooldown=0.3)
    sets = {"one": [*range(1, 301, 3), *range(301, 401)], "two": range(2, 301, 3)}
    sets["three"] = [*range(3, 301, 3), *range(401, 501)]
    trace = sl.exact(
        problem, CHUNKED[name](lr), record=[350, 351, 600], subspaces=sl.subspaces.index_sets(sets), snapshots=[350]
    )
    modes = trace.dataset["mode_risk"].sel(snapshot=350)
    for label, modes_of in sets.items():
        assert_close(trace.risk.sel(step=350, subspace=label).values, modes.sel(mode=list(modes_of)).sum("mode").values)
    bins = sl.exact(problem, CHUNKED[name](lr), record=[350, 351, 600], subspaces=BINS)
    assert_close(values(trace).sum(axis=-1), values(bins).sum(axis=-1))


def test_snapshots_do_not_disturb_the_run():
    problem, method = power_law(500), CHUNKED["nesterov"](wsd(700, peak=0.05))
    alone = sl.exact(problem, method, record=[350])
    shot = sl.exact(problem, method, record=[350], snapshots=[1, 2, 33, 350, 699])
    assert_close(values(shot), values(alone))
    kept = shot.dataset["mode_risk"].sel(snapshot=350).sum("mode").values
    assert_close(kept, alone.risk.sel(step=350, subspace="all").values)


def test_decayed_modes_are_flushed_and_not_denormal():
    """Modes that decay below 1e-290 become zero; a run that lingers in denormals is slow and no more right."""
    problem = sl.LinearRegression(np.linspace(1.0, 0.5, 200), 1.0, 0.0)
    trace = sl.exact(problem, sl.methods.sgd(constant(20_000, 0.5), np.inf), snapshots=[20_000])
    left = trace.dataset["mode_risk"].values
    assert np.all((left == 0.0) | (left > 1e-300))
    assert trace.status.item() == "done"
