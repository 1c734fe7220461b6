"""The slow and obvious twin of the sampler: full vectors, w - w* as it is, logarithms and cosines of NumPy.

Nothing here is shared with simlab's kernels but the counters that they document: a draw is Philox4x32-10 of (step,
replica, coordinate block, purpose + 8 sample) under the seed, and coordinate i takes word (i % 256) // 64 of the block
64 (i // 256) + i % 64. Everything is in double precision and works on all replicas at a time.
"""

from __future__ import annotations

import math

import numpy as np

FEATURES, RADIUS, NOISE, ROW, SHUFFLE = range(5)
LOW = 0xFFFFFFFF


def philox(counter, key):
    """Philox4x32-10 (Salmon et al. 2011) of integer arrays that broadcast: four words as uint64 arrays."""
    c = [np.asarray(word, dtype=np.uint64) for word in counter]
    k = list(key)
    for _ in range(10):
        p, q = c[0] * np.uint64(0xD2511F53), c[2] * np.uint64(0xCD9E8D57)
        high, low = (p >> np.uint64(32), q >> np.uint64(32)), (p & np.uint64(LOW), q & np.uint64(LOW))
        c = [high[1] ^ c[1] ^ np.uint64(k[0]), low[1], high[0] ^ c[3] ^ np.uint64(k[1]), low[0]]
        k = [(k[0] + 0x9E3779B9) & LOW, (k[1] + 0xBB67AE85) & LOW]
    return np.broadcast_arrays(*c)


class Draws:
    """All that one seed gives. Steps, samples and epochs are numbers, replicas (R,) an array."""

    def __init__(self, seed, replicas):
        self.key = (seed & LOW, seed >> 32)
        self.replicas = np.asarray(replicas)
        self.orders = {}

    def block(self, step, number, purpose, sample):
        """The four words of one counter block, each of shape (R,)."""
        return philox((step, self.replicas, number, purpose + 8 * sample), self.key)

    def words(self, step, purpose, sample, dim):
        """One word for each coordinate, (R, whole tiles of 256): the layout spelled out."""
        i = np.arange(-(-dim // 256) * 256)
        four = philox((step, self.replicas[:, None], 64 * (i // 256) + i % 64, purpose + 8 * sample), self.key)
        return np.choose((i % 256) // 64, four)

    def features(self, law, kurtosis, step, sample, dim):
        """(R, dim) coordinates of mean 0 and variance 1."""
        words = self.words(step, FEATURES, sample, dim)
        if law == "gaussian":
            tiles = words.reshape(-1, words.shape[1] // 256, 2, 2, 64)
            pairs = box_muller(tiles[:, :, :, 0], tiles[:, :, :, 1])
            return np.stack(pairs, axis=3).reshape(words.shape)[:, :dim]
        words = words[:, :dim]
        if law == "uniform":
            return math.sqrt(3.0) * (as_signed(words) + 0.5) / 2.0**31
        if law == "laplace":
            return sign_of_bit(words, 0) * -np.log(unit(words | np.uint64(1))) / math.sqrt(2.0)
        if law == "student_t":
            nu = 4.0 + 6.0 / (kurtosis[0] - 3.0)
            angle = self.words(step, RADIUS, sample, dim)[:, :dim]
            return np.sqrt((nu - 2.0) * (unit(words) ** (-2.0 / nu) - 1.0)) * cos_sin(angle)[0]
        threshold = np.round(2.0**31 / kurtosis)
        hit = (words >> np.uint64(1)) < threshold
        return np.where(hit, sign_of_bit(words, 0) * np.sqrt(2.0**31 / threshold), 0.0)

    def normals(self, step, sample):
        """(R,) label noise of variance 1."""
        word, angle, _, _ = self.block(step, 0, NOISE, sample)
        return box_muller(word, angle)[0]

    def wide(self, step, sample):
        """64 random bits for each replica, as Python integers."""
        high, low, _, _ = self.block(step, 0, ROW, sample)
        return [(int(h) << 32) | int(w) for h, w in zip(high, low, strict=True)]

    def order(self, epoch, n):
        """(R, n): the rows as each replica deals them out in an epoch (Fisher and Yates from the top)."""
        if epoch not in self.orders:
            self.orders[epoch] = self.shuffled(epoch, n)
        return self.orders[epoch]

    def shuffled(self, epoch, n):
        out = np.tile(np.arange(n), (self.replicas.size, 1))
        for j in range(n - 1, 0, -1):
            word = self.block(epoch, j, SHUFFLE, 0)[0]
            for row, w in zip(out, word, strict=True):
                other = int(w) * (j + 1) >> 32
                row[[j, other]] = row[[other, j]]
        return out


def unit(words):
    """(0, 1)."""
    return (words.astype(float) + 0.5) / 2.0**32


def as_signed(words):
    """The 32 bits as a signed number, in [-2^31, 2^31)."""
    return words.astype(float) - 2.0**32 * (words >> np.uint64(31)).astype(float)


def sign_of_bit(words, bit):
    return 1.0 - 2.0 * ((words >> np.uint64(bit)) & np.uint64(1)).astype(float)


def cos_sin(angle):
    """Cosine and sine of a uniform angle: the low 30 bits turn within a quadrant, the high two are their signs."""
    quarter = math.pi / 4 * (1.0 + as_signed((angle << np.uint64(2)) & np.uint64(LOW)) / 2.0**31)
    return sign_of_bit(angle, 31) * np.cos(quarter), sign_of_bit(angle, 30) * np.sin(quarter)


def box_muller(word, angle):
    """Two independent normals."""
    radius = np.sqrt(-2.0 * np.log(unit(word)))
    cosine, sine = cos_sin(angle)
    return radius * cosine, radius * sine


def trajectories(draws, method, replicas, seed, split=False):
    """w - w* by (step, part, replica, coordinate); with `split`, part 0 has no noise and part 1 nothing else.

    `draws` is what `simlab.problems.draws.draws_of` says of a problem.
    """
    lam, error, law = draws.eigenvalues, draws.initial_error, draws.law
    source, d = Draws(seed, np.arange(replicas)), lam.size
    starts, noisy = ([error, 0.0 * error], [False, True]) if split else ([error], [True])
    # z (parts, R, k, d): the state of every replica, coordinate by coordinate.
    z = np.stack([np.broadcast_to(np.outer(method.z0, start), (replicas, method.state_size, d)) for start in starts])
    M, b, c = method.coefficients()
    o, batches = method.readout(), method.batches()
    path, serial = [], 0
    for t in range(method.length + 1):
        path.append(np.einsum("j,prjd->prd", o[t], z))
        if t == method.length:
            return np.array(path)
        y = np.einsum("j,prjd->prd", c[t], z)
        B = batches[t]
        if np.isinf(B):
            gradient = lam * y
        elif law == "additive":
            noise = draws.gradient_noise * source.features("gaussian", None, t, 0, d) / math.sqrt(B)
            gradient = lam * y - np.multiply.outer(noisy, noise)
        else:
            gradient = np.zeros_like(y)
            for s in range(int(B)):
                x, eps = one_sample(draws, source, t, s, serial + s)
                p = np.einsum("rd,prd->pr", x, y) - np.multiply.outer(noisy, eps)
                gradient += p[:, :, None] * x / B
            serial += int(B)
        z = np.einsum("ij,prjd->prid", M[t], z) - b[t][:, None] * gradient[:, :, None, :]
    raise AssertionError("a run has an end")


def one_sample(draws, source, t, s, serial):
    """Features (R, d) and label noise (R,) of sample s of step t, the serial-th of the run."""
    lam, d = draws.eigenvalues, draws.eigenvalues.size
    if draws.law in ("rows", "epochs"):
        n = draws.residual.size
        epoch, place = divmod(serial, n)
        row = source.order(epoch, n)[:, place] if draws.law == "epochs" else [w % n for w in source.wide(t, s)]
        return draws.rows[row], draws.residual[row]
    eps = draws.noise * source.normals(t, s)
    if draws.law == "one_hot":
        x = np.zeros((source.replicas.size, d))
        edges = np.cumsum(1.0 / draws.kurtosis)
        for r, w in enumerate(source.wide(t, s)):
            j = int(np.count_nonzero(edges <= (w >> 11) / 2.0**53))
            if j < d:
                x[r, j] = math.sqrt(lam[j] * draws.kurtosis[j])
        return x, eps
    return np.sqrt(lam) * source.features(draws.law, draws.kurtosis, t, s, d), eps


def risks(path, lam, labels):
    """Components (bias, variance, cross, or the one there is) of the risk by (step, component, replica, subspace)."""
    member = np.equal.outer(np.arange(labels.max() + 1), labels) * lam
    own = 0.5 * np.einsum("tprd,sd->tprs", path**2, member)
    if path.shape[1] == 1:
        return own
    cross = np.einsum("trd,sd->trs", path[:, 0] * path[:, 1], member)
    return np.concatenate([own, cross[:, None]], axis=1)
