"""The laws that features and noise are drawn from: how exact they are, word by word, and what they add up to.

Accuracy is measured against mpmath, moments by sums over all 2^32 words (octave by octave, so that rare large values
weigh what they should). Only the last part draws at random; it states its false-alarm rate.
"""

from __future__ import annotations

import math

import mpmath
import numpy as np
import pytest
from numba import njit
from scipy import special
from scipy.stats import kstwobign, poisson

from simlab.kernels.compiling import FUSED
from simlab.kernels.random import laws
from simlab.kernels.random.elementary import DOUBLE, SINGLE
from simlab.kernels.random.laws import draw_strip, label_noise, shape_strip

PRECISIONS = {"float32": SINGLE, "float64": DOUBLE}
DIGITS = 40
TURN = 2**32


def hard_words() -> np.ndarray:
    """Powers of two and their neighbours, both ends, and 4,800 words over all magnitudes."""
    rng = np.random.default_rng(0)
    powers = 2 ** np.arange(32)
    near = (powers[:, None] + np.arange(-2, 3)).ravel()
    ends = [0, 1, 2, TURN - 256, TURN - 129, TURN - 128, TURN - 127, TURN - 2, TURN - 1]
    octaves = np.concatenate([rng.integers(p, 2 * p, 60) for p in powers])
    words = np.concatenate([near, ends, octaves, rng.integers(0, TURN, 3000)])
    return np.unique(words[(words >= 0) & (words < TURN)]).astype(np.uint32)


def on_arrays(function, outputs):
    """A compiled function of one number as one of arrays, compiled as the laws are."""
    if outputs == 1:

        @njit(fastmath=FUSED)
        def apply(x, out):
            for i in range(x.size):
                out[i] = function(x[i])
    else:

        @njit(fastmath=FUSED)
        def apply(x, first, second):
            for i in range(x.size):
                first[i], second[i] = function(x[i])

    return apply


@njit
def shaped(law, words, more, x, degrees, threshold, size):
    """`shape_strip` of whole tiles from the coordinate 0."""
    zero = np.uint64(0)
    shape_strip(law, words, more, x, zero, zero, np.uint64(words.size // 256), degrees, threshold, size)


def shape(law, words, dtype, more=None, degrees=5.0, threshold=0, size=0.0) -> np.ndarray:
    """One number from each word (and each of `more`) under a law that takes them one by one, as float64."""
    n = words.size
    whole = np.zeros(-(-n // 256) * 256, np.uint32)
    other, x = whole.copy(), np.empty(whole.size, dtype)
    whole[:n], other[:n] = words, 0 if more is None else more
    limits = np.full(whole.size, threshold, np.uint32)
    shaped(law, whole, other, x, degrees, limits, np.full(whole.size, size, dtype))
    return x[:n].astype(float)


def normal_pairs(words, angles, dtype) -> tuple[np.ndarray, np.ndarray]:
    """The two normals of each pair of words, laid out as in a tile."""
    n = words.size
    tiled = np.zeros((-(-n // 128) * 2, 2, 64), np.uint32)
    for row, part in enumerate((words, angles)):
        padded = np.zeros(64 * tiled.shape[0], np.uint32)
        padded[:n] = part
        tiled[:, row] = padded.reshape(-1, 64)
    x, unused = np.empty(tiled.size, dtype), np.zeros(256, np.uint32)
    shaped(laws.GAUSSIAN, tiled.ravel(), unused, x, 5.0, unused, unused.astype(dtype))
    pairs = x.reshape(-1, 2, 64).astype(float)
    return pairs[:, 0].ravel()[:n], pairs[:, 1].ravel()[:n]


# -- accuracy, word by word --------------------------------------------------------------------------------------------


def minus_log_of(word):
    return -mpmath.log((mpmath.mpf(int(word)) + 0.5) / TURN)


def quarter_of(word):
    """The angle within +-pi/4 from the low 30 bits."""
    low = (int(word) << 2) % TURN
    return mpmath.pi / 4 * mpmath.mpf(low - (TURN if low >= 2**31 else 0)) / 2**31


def errors(got, want) -> np.ndarray:
    """|got - want| of floats and mpmath numbers."""
    return np.array([float(abs(mpmath.mpf(float(g)) - w)) for g, w in zip(got, want, strict=True)])


# Found: 1.39e-7 and 1.65e-16 (minus_log), 9.2e-8 and 1.3e-16 (quarter), 1.7e-7 and 3.1e-16 (expm1).
@pytest.mark.parametrize(("dtype", "bound"), [("float32", 1.6e-7), ("float64", 2e-16)])
def test_minus_log(dtype, bound):
    """Absolutely where -log u < 1, relatively above: an ulp or so. Never negative, and never 0 in double precision."""
    words = hard_words()
    out = np.empty(words.size, dtype)
    on_arrays(PRECISIONS[dtype].minus_log, 1)(words, out)
    with mpmath.workdps(DIGITS):
        want = [minus_log_of(w) for w in words]
        error = errors(out, want) / np.maximum(1.0, np.array([float(w) for w in want]))
    assert error.max() < bound
    assert out.min() >= 0.0
    assert dtype == "float32" or out.min() > 0.0


@pytest.mark.parametrize(("dtype", "bound"), [("float32", 1.2e-7), ("float64", 2e-16)])
def test_quarter(dtype, bound):
    words = hard_words()
    sine, cosine = np.empty(words.size, dtype), np.empty(words.size, dtype)
    on_arrays(PRECISIONS[dtype].quarter, 2)(words, sine, cosine)
    with mpmath.workdps(DIGITS):
        angles = [quarter_of(w) for w in words]
        assert errors(sine, [mpmath.sin(t) for t in angles]).max() < bound
        assert errors(cosine, [mpmath.cos(t) for t in angles]).max() < bound


@pytest.mark.parametrize(("dtype", "bound"), [("float32", 2e-7), ("float64", 4e-16)])
def test_expm1(dtype, bound):
    """Relatively to max(1, x) on 0 <= x < 80, from 1e-9 on: what the rounding of x itself allows."""
    rng = np.random.default_rng(1)
    x = np.concatenate([[0.0, 79.99], rng.uniform(0, 79.99, 1000), 10.0 ** rng.uniform(-9, 1.9, 2000)]).astype(dtype)
    out = np.empty(x.size, dtype)
    on_arrays(PRECISIONS[dtype].expm1, 1)(x, out)
    with mpmath.workdps(DIGITS):
        want = [mpmath.expm1(mpmath.mpf(float(v))) for v in x]
        error = errors(out, want) / np.array([max(float(w), 1e-300) for w in want])
    assert out[0] == 0.0
    assert (error / np.maximum(1.0, x.astype(float)))[1:].max() < bound


@pytest.mark.thorough
@pytest.mark.parametrize("dtype", PRECISIONS)
def test_normals_are_those_of_the_words(dtype):
    """Box and Muller in exact arithmetic from the same words, 4,700 pairs: found 1.2e-6 and 1.5e-15 absolutely.

    Single precision rounds u to 24 bits, which moves -2 log u by 1e-7 and so a radius below 0.05 (which one word in 800
    gives) by more than that: by 2.3e-4 at most, at the words next to 2^32.
    """
    words = hard_words()
    angles = np.random.default_rng(2).permutation(words)
    got = normal_pairs(words, angles, dtype)
    with mpmath.workdps(DIGITS):
        radius = [mpmath.sqrt(2 * minus_log_of(w)) for w in words]
        phi = [mpmath.pi / 4 + quarter_of(a) for a in angles]
        signs = [(1 - 2 * (int(a) >> 31), 1 - 2 * (int(a) >> 30 & 1)) for a in angles]
        first = [r * mpmath.cos(p) * s for r, p, (s, _) in zip(radius, phi, signs, strict=True)]
        second = [r * mpmath.sin(p) * s for r, p, (_, s) in zip(radius, phi, signs, strict=True)]
        error = np.maximum(errors(got[0], first), errors(got[1], second))
        large = np.array([float(r) for r in radius]) > 0.05
    if dtype == "float64":
        assert error.max() < 2e-15
    else:
        assert error[large].max() < 1.5e-6
        assert error.max() < 3e-4
    assert np.abs(got[0]).max() > 6.0, "the extreme words are among those compared"


@pytest.mark.parametrize("law", ["gaussian", "uniform", "laplace", "student", "three_point"])
def test_both_precisions_see_the_same_draws(law):
    """A tile of 25,600 coordinates: to 1e-6 (5e-6 of itself for Student's, whose radius is an exponential)."""
    rng = np.random.default_rng(3)
    words, more = (rng.integers(0, TURN, 25_600, dtype=np.uint32) for _ in range(2))
    code = {"uniform": laws.UNIFORM, "laplace": laws.LAPLACE, "student": laws.STUDENT, "three_point": laws.THREE_POINT}
    if law == "gaussian":
        single, double = (np.concatenate(normal_pairs(words, more, dtype)) for dtype in PRECISIONS)
    else:
        options = {"more": more, "degrees": 5.0, "threshold": 2**30, "size": math.sqrt(2.0)}
        single, double = (shape(code[law], words, dtype, **options) for dtype in PRECISIONS)
    close = np.abs(single - double) / np.maximum(1.0, np.abs(double))
    if law in ("gaussian", "laplace"):
        # But for the few whose u, rounded to 24 bits, lies next to 1: see above.
        assert np.count_nonzero(close > 1e-6) < 5e-3 * close.size
        assert close.max() < 3e-4
    else:
        assert close.max() < 5e-6


# -- what the words add up to ------------------------------------------------------------------------------------------


def octaves(n) -> tuple[np.ndarray, np.ndarray]:
    """Words and weights whose sums are averages over all 2^32 words: n cells in each octave, each at its middle.

    For a function smooth in log u that is exact to about 1 / n^2; with n = 512, to 2e-6 of every moment used here.
    """
    words, weights = [np.zeros(1)], [np.ones(1)]
    for k in range(32):
        cells = min(n, 2**k)
        width = 2**k // cells
        words.append(2**k + width * np.arange(cells) + width // 2)
        weights.append(np.full(cells, float(width)))
    return np.concatenate(words).astype(np.uint32), np.concatenate(weights) / TURN


# 16 equally spaced angles in each quadrant integrate trigonometric polynomials up to degree 63 exactly.
ANGLES = (np.arange(64) * 2**26 + 2**25).astype(np.uint32)


@pytest.mark.thorough
@pytest.mark.parametrize("dtype", PRECISIONS)
def test_moments_of_normals(dtype):
    """Odd moments vanish; 1, 3, 15, 105; the two of a pair have the joint moments of independent ones: all to 1e-5."""
    words, weights = octaves(512)
    x, y = normal_pairs(np.repeat(words, 64), np.tile(ANGLES, words.size), dtype)
    weight = np.repeat(weights / 64, 64)
    for power, moment in {1: 0, 2: 1, 3: 0, 4: 3, 5: 0, 6: 15, 7: 0, 8: 105}.items():
        for z in (x, y):
            assert weight @ z**power == pytest.approx(moment, rel=1e-5, abs=1e-13), power
    for (i, j), moment in {(1, 1): 0, (1, 2): 0, (1, 3): 0, (2, 2): 1, (2, 4): 3, (4, 4): 9}.items():
        assert weight @ (x**i * y**j) == pytest.approx(moment, rel=1e-5, abs=1e-13), (i, j)


def tail_above(elementary):
    """t -> P(|x| > t): the mean over all radius words of the share of angles, 2/pi arccos(t / r), that exceed t."""
    minus_log = elementary.minus_log

    @njit
    def tail(t, words):
        total = 0.0
        for word in range(words):
            radius = math.sqrt(2.0 * minus_log(np.uint32(word)))
            if radius > t:
                total += math.acos(t / radius)
        return total * 2.0 / math.pi / 2.0**32

    # Only words below 2^32 exp(-t^2 / 2) have a radius above t.
    return lambda t: tail(t, int(TURN * math.exp(-0.5 * t * t)) + 1000)


@pytest.mark.thorough
@pytest.mark.parametrize("dtype", PRECISIONS)
def test_tails_of_normals(dtype):
    """Against erfc at 3, 4, 5 and 6: found 3e-8, 7e-8, 2e-6 and 1.2e-3, relatively (65 words reach beyond 6)."""
    tail = tail_above(PRECISIONS[dtype])
    for t, rtol in {3.0: 1e-7, 4.0: 1e-7, 5.0: 3e-6, 6.0: 2e-3}.items():
        assert tail(t) == pytest.approx(math.erfc(t / math.sqrt(2.0)), rel=rtol)
    assert tail(6.77) == 0.0


@pytest.mark.parametrize("dtype", PRECISIONS)
@pytest.mark.parametrize(("law", "kurtosis"), [(laws.UNIFORM, 1.8), (laws.LAPLACE, 6.0)])
def test_moments_of_uniform_and_laplace(law, kurtosis, dtype):
    """Mean 0, variance 1 and the kurtosis over all words, those with the last bit set and those without: to 1e-5."""
    words, weights = octaves(512)
    both = np.concatenate([words | np.uint32(1), words & np.uint32(TURN - 2)])
    weight = np.tile(weights, 2) / 2
    x = shape(law, both, dtype)
    assert weight @ x == pytest.approx(0.0, abs=1e-5)
    assert weight @ x**2 == pytest.approx(1.0, rel=1e-5)
    assert weight @ x**4 == pytest.approx(kurtosis, rel=1e-5)


@pytest.mark.parametrize("dtype", PRECISIONS)
@pytest.mark.parametrize(
    ("kurtosis", "found"), [(3.5, 1.0), (4.0, 1.0), (6.0, 0.99911), (9.0, 0.9854), (15.0, 0.9046), (30.0, 0.6714)]
)
def test_moments_of_student(kurtosis, found, dtype):
    """Variance 1 to 2e-5; of the kurtosis 32 bits leave out what lies beyond u = 2^-33: a known loss.

    It is 0.09 % at 6, 1.5 % at 9, 9.5 % at 15 and a third at 30, where the fourth moment lives on events so rare that
    no ensemble sees them.
    """
    words, weights = octaves(512)
    degrees = 4.0 + 6.0 / (kurtosis - 3.0)
    x = shape(laws.STUDENT, np.repeat(words, 64), dtype, more=np.tile(ANGLES, words.size), degrees=degrees)
    weight = np.repeat(weights / 64, 64)
    assert weight @ x == pytest.approx(0.0, abs=1e-12)
    assert weight @ x**2 == pytest.approx(1.0, rel=2e-5)
    assert weight @ x**4 / kurtosis == pytest.approx(found, rel=1e-4)


@pytest.mark.parametrize("dtype", PRECISIONS)
@pytest.mark.parametrize("kurtosis", [1.0, 1.5, 2.0, 3.0, 10.0, 1000.0])
def test_moments_of_three_points(kurtosis, dtype):
    """Exactly: `threshold` of 2^31 magnitudes are hits, with either sign, so that the variance is 1 to rounding."""
    threshold = round(2.0**31 / kurtosis)
    size = math.sqrt(2.0**31 / threshold)
    words = np.array([0, 1, 2 * threshold - 2, 2 * threshold - 1, 2 * threshold, 2 * threshold + 1, TURN - 2, TURN - 1])
    words = words[words < TURN].astype(np.uint32)
    x = shape(laws.THREE_POINT, words, dtype, threshold=threshold, size=size)
    hit = words >> 1 < threshold
    sizes = np.where(hit, np.where(words & 1, -size, size), 0.0)
    np.testing.assert_allclose(x, sizes, rtol=1e-7 if dtype == "float32" else 0.0)
    share = threshold / 2.0**31
    assert share * size**2 == pytest.approx(1.0, rel=1e-15)
    assert share * size**4 == pytest.approx(kurtosis, rel=1e-6)


# -- 10^8 normals at random --------------------------------------------------------------------------------------------

FAMILY_RATE = 1e-6
SHAPE = (16, 16, 1024)
CHUNKS = 384
"""Blocks of 16 steps x 16 replicas x 1024 coordinates; 384 of them are 1.007e8 normals."""
SEED = 2024


@njit
def fill_block(out, number, unused):
    """Sixteen steps of the replicas 16 number .. 16 number + 15, as an ensemble of seed 2024 draws them."""
    words, limits, zero = np.empty(out.shape[2], np.uint32), np.zeros(out.shape[2], np.uint32), np.uint64(0)
    for t in range(out.shape[0]):
        for r in range(out.shape[1]):
            draw_strip(
                laws.GAUSSIAN, np.uint64(t), np.uint64(out.shape[1] * number + r), zero, zero,
                np.uint64(out.shape[2] // 256), np.uint64(SEED), zero, words, words, out[t, r], zero, 5.0, limits,
                unused,
            )  # fmt: skip


@njit
def fill_labels(out, number):
    """The same of label noise: sixteen steps of sixteen replicas, 1024 samples each."""
    zero, one = np.uint64(0), np.uint64(1)
    for t in range(out.shape[0]):
        for r in range(out.shape[1]):
            for s in range(0, out.shape[2], 64):
                replica = np.uint64(out.shape[1] * number + r)
                label_noise(
                    np.uint64(t), zero, replica, np.uint64(s), one, np.uint64(SEED), zero, out[t, r, s : s + 64]
                )


def simlab_normals(dtype):
    def block(number):
        out = np.empty(SHAPE, dtype)
        fill_block(out, number, np.zeros(SHAPE[2], dtype))
        return out

    return block


def simlab_labels(number):
    out = np.empty(SHAPE, np.float32)
    fill_labels(out, number)
    return out


def numpy_normals(number):
    return np.random.default_rng([SEED, number]).standard_normal(SHAPE, dtype=np.float32)


def short_radii(number):
    """Box and Muller from radius words of 16 bits: nothing beyond 4.9, and all else as it should be."""
    rng = np.random.default_rng([SEED, number])
    u = (rng.integers(0, 2**16, SHAPE) + 0.5) / 2.0**16
    return np.sqrt(-2.0 * np.log(u)) * np.cos(2.0 * np.pi * rng.random(SHAPE))


def kindred_replicas(number):
    """A thousandth of the variance is common to all replicas."""
    own, common = numpy_normals(number), np.random.default_rng([SEED, number, 1]).standard_normal((16, 1, 1024))
    return math.sqrt(0.999) * own + math.sqrt(0.001) * common


def sums_of_twelve(number):
    """Twelve uniform numbers less 6: the right mean and variance, a kurtosis of 2.9."""
    rng = np.random.default_rng([SEED, number])
    return sum(rng.random(SHAPE, dtype=np.float32) for _ in range(12)) - 6.0


NEIGHBOURS = {
    "next step": lambda x: (x[1:], x[:-1]),
    "next replica": lambda x: (x[:, 1:], x[:, :-1]),
    "next coordinate": lambda x: (x[..., 1:], x[..., :-1]),
    "other of the pair": lambda x: (x[..., 64:], x[..., :-64]),
    "other pair of the block": lambda x: (x[..., 128:], x[..., :-128]),
    "next tile": lambda x: (x[..., 256:], x[..., :-256]),
}


def two_sided(z) -> float:
    return math.erfc(abs(z) / math.sqrt(2.0))


def p_values(block, chunks=CHUNKS) -> dict[str, float]:
    """24 checks of standard normals: moments 1 to 8, Kolmogorov-Smirnov and chi-square over 4096 equal shares, how many
    lie beyond 4 and 5, and products (and products of squares) of neighbours, whose standard errors are known exactly.
    """
    moments, bins, beyond = np.zeros(8), np.zeros(4096), np.zeros(2)
    products = {name: np.zeros(3) for name in NEIGHBOURS}
    for number in range(chunks):
        x = block(number)
        z = x.astype(float)
        moments += [np.sum(power) for power in powers(z)]
        bins += np.bincount(np.minimum((4096 * special.ndtr(z.ravel())).astype(int), 4095), minlength=4096)
        beyond += [np.count_nonzero(np.abs(z) > t) for t in (4.0, 5.0)]
        squares = (z * z - 1.0) / math.sqrt(2.0)
        for name, of in NEIGHBOURS.items():
            a, b = of(z)
            products[name] += [np.vdot(a, b), np.vdot(*of(squares)), a.size]
    n = bins.sum()
    out = {}
    for k in range(1, 9):
        mean, square = (0.0 if m % 2 else float(special.factorial2(m - 1)) for m in (k, 2 * k))
        out[f"moment {k}"] = two_sided((moments[k - 1] / n - mean) / math.sqrt((square - mean**2) / n))
    for name, (plain, squared, pairs) in products.items():
        out[name] = two_sided(plain / math.sqrt(pairs))
        out[f"{name}, squares"] = two_sided(squared / math.sqrt(pairs))
    distance = np.max(np.abs(np.cumsum(bins) / n - np.arange(1, 4097) / 4096))
    out["Kolmogorov-Smirnov"] = float(kstwobign.sf(distance * math.sqrt(n)))
    out["chi-square"] = float(special.chdtrc(4095, np.sum((bins - n / 4096) ** 2) / (n / 4096)))
    for t, count in zip((4.0, 5.0), beyond, strict=True):
        law = poisson(n * math.erfc(t / math.sqrt(2.0)))
        out[f"beyond {t:g}"] = min(1.0, 2.0 * min(law.cdf(count), law.sf(count - 1)))
    return out


def powers(z):
    power = np.ones_like(z)
    for _ in range(8):
        power = power * z
        yield power


def assert_normal(p) -> None:
    """Every p-value above FAMILY_RATE / 24 (Bonferroni): right generators fail once in 10^6 seeds."""
    assert len(p) == 24
    worst = min(p, key=p.get)
    assert p[worst] > FAMILY_RATE / len(p), f"{worst}: p = {p[worst]:.2g}"


GOOD = {
    "float32": simlab_normals(np.float32),
    "float64": simlab_normals(np.float64),
    "labels": simlab_labels,
    "numpy": numpy_normals,
}


@pytest.mark.slow
@pytest.mark.parametrize("name", GOOD)
def test_a_hundred_million_normals(name):
    """NumPy's generator is the control that the checks themselves are right."""
    assert_normal(p_values(GOOD[name]))


def test_a_million_normals():
    """The same checks in the default suite, at a hundredth of the sample."""
    for name in ("float32", "labels"):
        assert_normal(p_values(GOOD[name], chunks=4))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("bad", "seen_by"),
    [(short_radii, "beyond 5"), (kindred_replicas, "next replica"), (sums_of_twelve, "moment 4")],
)
def test_bad_normals_are_caught(bad, seen_by):
    """Negative controls through the same checks; each is seen by the one made for it."""
    p = p_values(bad)
    assert p[seen_by] < FAMILY_RATE / len(p)
    with pytest.raises(AssertionError):
        assert_normal(p)
