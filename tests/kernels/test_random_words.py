"""The random words: Philox4x32-10 as published, the counters as documented, and what is drawn from them by count.

Statistical tests draw from fixed seeds. Their false-alarm rate, the chance that a right generator fails for a seed
taken at random, is 1e-6 each.
"""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from numba import njit
from scipy.stats import chi2

import simlab as sl
from simlab.kernels.random import laws, rows
from simlab.kernels.random import philox as kernel
from simlab.methods import sgd
from simlab.schedules import constant
from tests.oracles import naive_sampler

FALSE_ALARM = 1e-6

# Random123 1.14, tests/kat_vectors, philox4x32 with 10 rounds: counter, key, answer.
KNOWN = {
    "zeros": ((0, 0, 0, 0), (0, 0), (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),
    "ones": ((0xFFFFFFFF,) * 4, (0xFFFFFFFF,) * 2, (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD)),
    "pi": (
        (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344),
        (0xA4093822, 0x299F31D0),
        (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1),
    ),
}
PURPOSES = (kernel.FEATURES, kernel.RADIUS, kernel.NOISE, kernel.ROW, kernel.SHUFFLE)


def u64(*numbers):
    return tuple(np.uint64(n) for n in numbers)


def tile_words(step, replica, first_tile, tiles, word, key) -> np.ndarray:
    """What `fill_words` says of some tiles, (tiles, 4, 64)."""
    words = np.empty(256 * tiles, np.uint32)
    kernel.fill_words(*u64(step, replica, first_tile, tiles, word, *key), words)
    return words.reshape(tiles, 4, 64)


@pytest.mark.parametrize("name", KNOWN)
def test_known_answers(name):
    counter, key, answer = KNOWN[name]
    assert tuple(int(w) for w in kernel.philox(*u64(*counter, *key))) == answer


@pytest.mark.parametrize("name", KNOWN)
def test_known_answers_of_whole_tiles(name):
    """The vectorised rounds: lane l of a tile is the counter block 64 tile + l."""
    (step, replica, block, word), key, answer = KNOWN[name]
    tile, lane = divmod(block, 64)
    got = tile_words(step, replica, tile, 1, word, key)[0, :, lane]
    assert tuple(int(w) for w in got) == answer


@pytest.mark.parametrize("name", KNOWN)
def test_the_oracle_knows_the_answers_too(name):
    counter, key, answer = KNOWN[name]
    assert tuple(int(w) for w in naive_sampler.philox(counter, key)) == answer


@pytest.mark.parametrize("tiles", [1, 2, 3, 4])
def test_tiles_are_blocks_at_the_documented_counters(tiles):
    """Coordinate i takes word (i % 256) // 64 of the block 64 (i // 256) + i % 64."""
    rng = np.random.default_rng(tiles)
    for _ in range(20):
        step, replica, word, *key = (int(n) for n in rng.integers(0, 2**32, 5))
        first = int(rng.integers(0, 2**26 - tiles))
        got = tile_words(step, replica, first, tiles, word, key).ravel()
        for i in rng.integers(0, 256 * tiles, 40):
            at = 256 * first + int(i)
            block = kernel.philox(*u64(step, replica, 64 * (at // 256) + at % 64, word, *key))
            assert got[i] == block[(at % 256) // 64]


def test_purpose_and_sample_have_a_counter_word_each():
    samples = [0, 1, 2, 63, 64, 2**28, 2**29 - 1]
    words = [int(kernel.counter_word(p, np.uint64(s))) for p, s in itertools.product(PURPOSES, samples)]
    assert len(set(words)) == len(words)
    assert max(words) < 2**32
    assert [int(p) for p in PURPOSES] == [0, 1, 2, 3, 4]


def test_every_coordinate_of_the_counter_changes_every_word():
    """720 counters that differ in one of seed (either half), replica, step, sample, purpose or coordinate: no two
    blocks of words are the same, nor does a word come up twice at the same place (chance of a false alarm 2e-4, were
    the seed not fixed).
    """
    seen = {}
    steps, replicas, samples = [0, 1, 2**32 - 1], [0, 1, 2**20], [0, 1]
    seeds = [0, 1, 2**32, 2**64 - 1]
    for seed, step, replica, sample, purpose in itertools.product(seeds, steps, replicas, samples, PURPOSES):
        word = int(kernel.counter_word(purpose, np.uint64(sample)))
        tiles = tile_words(step, replica, 0, 2, word, (seed & 0xFFFFFFFF, seed >> 32))
        seen[seed, step, replica, sample, int(purpose)] = tiles[:, :, :1].ravel()
    every = np.array(list(seen.values()))
    assert every.shape == (4 * 3 * 3 * 2 * 5, 8)
    for column in every.T:
        assert np.unique(column).size == column.size
    assert np.unique(every).size == every.size


@pytest.mark.parametrize("change", ["seed", "replica", "step", "coordinate"])
def test_runs_with_different_counters_differ(change):
    """The same through the public door: no two paths of an ensemble agree anywhere."""
    problem = sl.LinearRegression.isotropic(4, 0.1)

    def path(seed=0):
        lr = constant(3, 0.1)
        trace = sl.sample(problem, sgd(lr), replicas=3, seed=seed, record="all", coordinates=[1, 2, 3, 4], device="cpu")
        return trace.dataset["trajectory"].transpose("step", "replica", "coordinate").values[1:]

    first = path()
    if change == "seed":
        assert np.all(first != path(seed=1))
        assert np.all(first != path(seed=2**32))
    else:
        axis = {"step": 0, "replica": 1, "coordinate": 2}[change]
        ordered = np.sort(first, axis=axis)
        assert np.all(np.diff(ordered, axis=axis) > 0.0)


# -- rows, categories, permutations ------------------------------------------------------------------------------------


def chi_square(counts, probabilities) -> float:
    """p-value of counts against probabilities."""
    expected = np.asarray(probabilities) * np.sum(counts)
    return float(chi2.sf(np.sum((counts - expected) ** 2 / expected), len(expected) - 1))


@njit
def many_rows(n, count, key0, key1, out):
    for s in range(n):
        out[s] = rows.draw_row(np.uint64(s), np.uint64(5), np.uint64(2), count, key0, key1)


@njit
def many_categories(n, cumulative, key0, key1, out):
    for s in range(n):
        out[s] = rows.draw_category(np.uint64(s), np.uint64(5), np.uint64(2), cumulative, key0, key1)


@njit
def many_shuffles(n, key0, key1, out):
    for s in range(n):
        rows.shuffle(s // 100, np.uint64(s % 100), key0, key1, out[s])


def test_a_row_is_the_remainder_of_64_bits():
    """7 rows, 70,000 draws: uniform by chi-square, and each the remainder that it is said to be."""
    got = np.empty(70_000, np.int64)
    many_rows(got.size, 7, *u64(3, 4), got)
    assert chi_square(np.bincount(got, minlength=7), np.full(7, 1 / 7)) > FALSE_ALARM
    for step in range(50):
        w0, w1, _, _ = (int(w) for w in naive_sampler.philox((step, 5, 0, naive_sampler.ROW + 16), (3, 4)))
        assert got[step] == ((w0 << 32) | w1) % 7


def test_categories_have_their_probabilities():
    """Three categories and the rest that they leave, 100,000 draws; a share off by 0.01 is seen."""
    probability = np.array([0.5, 0.3, 0.05])
    got = np.empty(100_000, np.int64)
    many_categories(got.size, np.cumsum(probability), *u64(3, 4), got)
    counts = np.bincount(got, minlength=4)
    assert chi_square(counts, [0.5, 0.3, 0.05, 0.15]) > FALSE_ALARM
    assert chi_square(counts, [0.51, 0.29, 0.05, 0.15]) < FALSE_ALARM


def test_a_category_of_probability_one_is_always_drawn():
    got = np.empty(1000, np.int64)
    many_categories(got.size, np.ones(1), *u64(3, 4), got)
    assert np.all(got == 0)


@pytest.mark.parametrize("n", [1, 2, 3, 17, 1000])
def test_a_shuffle_is_a_permutation(n):
    out = np.empty((5, n), np.int64)
    many_shuffles(5, *u64(3, 4), out)
    np.testing.assert_array_equal(np.sort(out, axis=1), np.tile(np.arange(n), (5, 1)))
    if n > 3:
        assert np.unique(out, axis=0).shape[0] == 5


def permutation_counts(orders) -> np.ndarray:
    """How often each of the 24 orders of four rows occurs."""
    number = {order: j for j, order in enumerate(itertools.permutations(range(4)))}
    return np.bincount([number[tuple(order)] for order in orders.tolist()], minlength=24)


def test_shuffles_are_uniform_over_the_permutations_of_four_rows():
    """24,000 shuffles over 240 epochs and 100 replicas, chi-square with 23 degrees of freedom.

    The control swaps each row with any of the four, a well-known mistake, and is caught.
    """
    out = np.empty((24_000, 4), np.int64)
    many_shuffles(out.shape[0], *u64(3, 4), out)
    assert chi_square(permutation_counts(out), np.full(24, 1 / 24)) > FALSE_ALARM
    wrong = np.tile(np.arange(4), (24_000, 1))
    swaps = np.random.default_rng(0).integers(0, 4, wrong.shape)
    each = np.arange(wrong.shape[0])
    for j in range(4):
        other = wrong[each, swaps[:, j]]
        wrong[each, swaps[:, j]], wrong[:, j] = wrong[:, j].copy(), other
    np.testing.assert_array_equal(np.sort(wrong, axis=1)[0], np.arange(4))
    assert chi_square(permutation_counts(wrong), np.full(24, 1 / 24)) < FALSE_ALARM


def test_epochs_and_replicas_are_shuffled_each_on_its_own():
    """Neighbouring epochs, and neighbouring replicas, agree in one row of eight on average, as independent ones do.

    10,000 pairs of each kind, agreements of variance 1 (those of random permutations): z below 4.9.
    """
    out = np.empty((20_000, 8), np.int64)
    many_shuffles(out.shape[0], *u64(3, 4), out)
    grid = out.reshape(200, 100, 8)
    for first, second in [(grid[::2], grid[1::2]), (grid[:, ::2], grid[:, 1::2])]:
        agreements = np.count_nonzero(first == second, axis=-1)
        assert abs(agreements.mean() - 1.0) * np.sqrt(agreements.size) < 4.9


def test_what_only_the_compiler_can_run_says_so():
    with pytest.raises(TypeError, match=r"shape_strip exists in compiled code alone; call it from a function under"):
        laws.shape_strip(0, None, None, None, 0, 0, 1, 5.0, None, None)
