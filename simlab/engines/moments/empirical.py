"""Exact moments under a data set's own fourth moments: the whole covariance of the iterate, O(rows d^2) a step.

With rows x_r, residuals e_r and batches drawn with replacement, h the noiseless iterate (bias) and v the iterate
started at w* (variance), the matrices E hh^T, E vv^T and E hv^T obey

    V  <- c-contracted covariance of the gradient point
    E[Hhat V Hhat] = H V H + (1/B) (F(V) - H V H),     F(V) = (1/n) sum_r (x_r^T V x_r) x_r x_r^T

plus (1/(B n)) sum_r e_r^2 x_r x_r^T in the variance and, because residuals and features of a data set are dependent,
-(1/(B n)) sum_r (x_r^T E y) e_r x_r x_r^T in the cross covariance of bias and variance.

Of several outputs, whose gradients share their rows, these are sums over outputs, and so is each term; the mean alone
is kept of each.
"""

from __future__ import annotations

import numpy as np

from simlab.arrays import FloatArray, IntArray
from simlab.engines.moments.heldout import HeldOutLoss
from simlab.errors import InputError
from simlab.kernels.moments.fourth_moments import contract
from simlab.methods.base import Method
from simlab.problems.empirical import EmpiricalRegression
from simlab.problems.rows import HeldOut
from simlab.spectra import unit_of
from simlab.trace.recording import DIVERGENCE_FACTOR, RunResult, Status, Tick, sums_of_squares
from simlab.trace.state import State, state_of

__all__ = ["run_empirical"]


CHUNK = 16

LARGEST_END = 1 << 23
"""Most numbers of a state that is kept without being asked for (64 MiB)."""
PARTS = ("bias", "variance", "cross")


class _Moments:
    """P (3, k, k, d, d): E hh^T, E vv^T, E hv^T, summed over outputs; mean (outputs, k, d): E h. All in the eigenbasis
    of H.

    Rows and residuals are in units of the square root of `unit`, eigenvalues in units of `unit` (a power of four, and 1
    at ordinary scales), so that fourth powers of rows stay within float64; a step takes b * unit.
    """

    def __init__(self, problem: EmpiricalRegression, method: Method, start: State | None) -> None:
        root = 2.0 ** (np.log2(unit_of(problem.eigenvalues)) // 2)
        self.unit = root * root
        self.half_lam = 0.5 * problem.eigenvalues
        self.lam = problem.eigenvalues / self.unit
        self.rows = problem.rows / root
        self.residuals = problem.residuals / root
        d, k = problem.dim, method.state_size
        if start is None:
            self.mean = method.z0[:, None] * problem.errors[:, None]
            self.P = np.zeros((3, k, k, d, d))
            self.P[0] = np.einsum("oad,obe->abde", self.mean, self.mean)
        else:
            _check_same(start, problem)
            self.mean, self.P = start.arrays["mean"].copy(), start.arrays["P"].copy()
        n = self.rows.shape[0]
        self.label_noise = (self.rows * np.sum(self.residuals**2, axis=0)[:, None]).T @ self.rows / n

    def _fourth(self, V: FloatArray, mean_y: FloatArray) -> FloatArray:
        """F(V) of the three parts, with the cross source taken into the third; (3, d, d). mean_y (outputs, d)."""
        shift = np.zeros((3, self.rows.shape[0]))
        shift[2] = -np.sum((mean_y @ self.rows.T) * self.residuals, axis=0)
        out = np.empty_like(V)
        contract(self.rows, np.ascontiguousarray(V), shift, out)
        return out

    def step(self, M: FloatArray, b: FloatArray, c: FloatArray, inverse_batch: float) -> None:
        """One step of all moments; M (k, k), b (k,), c (k,)."""
        b = b * self.unit
        k, d = b.size, self.lam.size
        left = np.einsum("pabde,b->pade", self.P, c)
        right = np.einsum("pabde,a->pbde", self.P, c)
        V = np.einsum("pade,a->pde", left, c)
        mean_y = c @ self.mean
        kick = self.lam[:, None] * V * self.lam
        if inverse_batch > 0.0:
            kick += inverse_batch * (self._fourth(V, mean_y) - kick)
            kick[1] += inverse_batch * self.label_noise
        P = np.matmul(np.kron(M, M), self.P.reshape(3, k * k, d * d)).reshape(self.P.shape)
        left, right = np.einsum("ai,pide->pade", M, left), np.einsum("bj,pjde->pbde", M, right)
        P -= left[:, :, None] * self.lam * b[:, None, None]
        P -= right[:, None] * (b[:, None, None, None] * self.lam[:, None])
        P += np.multiply.outer(np.outer(b, b), kick).transpose(2, 0, 1, 3, 4)
        self.P = P
        self.mean = M @ self.mean - b[:, None] * (self.lam * mean_y)[:, None]

    def risk_per_mode(self, o: FloatArray) -> FloatArray:
        """Bias, variance and cross of every mode, shape (3, d)."""
        diagonal = np.einsum("a,b,pabdd->pd", o, o, self.P)
        weight = np.array([1.0, 1.0, 2.0])
        out: FloatArray = weight[:, None] * self.half_lam[None] * diagonal
        return out

    def heldout(self, rows: HeldOut, o: FloatArray) -> tuple[FloatArray, float, float]:
        """(tr A P of the three parts, g . E delta, tr A of the mean's square) for the iterate o . z."""
        A, mean = rows.curvature, np.einsum("a,oad->od", o, self.mean)
        second = np.einsum("a,b,pabde,de->p", o, o, self.P, A, optimize=True)
        return second, float(np.sum(rows.slope * mean)), float(np.einsum("od,de,oe->", mean, A, mean, optimize=True))


def _check_same(start: State, problem: EmpiricalRegression) -> None:
    """A covariance belongs to the eigenbasis of its data."""
    if not np.array_equal(start.arrays["eigenvalues"], problem.eigenvalues):
        raise InputError(" is a state on another data set; give one on the same rows.", "start")


def run_empirical(
    problem: EmpiricalRegression,
    method: Method,
    steps: IntArray,
    labels: IntArray,
    label_count: int,
    *,
    deterministic: bool = False,
    snapshots: IntArray | None = None,
    start: State | None = None,
    keep: IntArray | None = None,
    tick: Tick | None = None,
) -> RunResult:
    """Propagate all moments of `method` on the rows of `problem`; same form of result as the diagonal engine."""
    moments = _Moments(problem, method, start)
    at = 0 if start is None else start.step
    states: dict[int, State] = {}
    components = (*PARTS, "deterministic") if deterministic else PARTS
    risk = np.full((steps.size, len(components), label_count), np.nan)
    wanted = set() if snapshots is None else {int(s) for s in snapshots}
    recorded = {int(s): row for row, s in enumerate(steps)}
    if start is None:
        initial = float(moments.risk_per_mode(method.readout(0, 1)[0])[0].sum())
    else:
        initial = float(moments.half_lam @ problem.initial_error**2)
    limit = DIVERGENCE_FACTOR * max(initial, 0.5 * problem.noise_variance)
    loss = None if problem.heldout is None else HeldOutLoss(problem.heldout, steps, components)
    shots: dict[int, FloatArray] = {}
    final = np.zeros((len(components), label_count))

    def look(at: int) -> FloatArray:
        """Per-mode risk now, recorded by label where asked for."""
        o = method.readout(at, at + 1)[0]
        modes = moments.risk_per_mode(o)
        sums_of_squares(modes[:2])
        if deterministic:
            mean = np.sum(np.einsum("a,oad->od", o, moments.mean) ** 2, axis=0)
            modes = np.concatenate([modes, (moments.half_lam * mean)[None]])
        if at in wanted:
            shots[at] = modes
        final[:] = 0.0
        for row, values in zip(final, modes, strict=True):
            np.add.at(row, labels, values)
        if at in recorded:
            risk[recorded[at]] = final
            if loss is not None:
                loss.record(recorded[at], *moments.heldout(loss.rows, o))
        if keep is not None and at in keep:
            states[at] = kept(at)
        return modes

    def kept(at: int) -> State:
        arrays = {"P": moments.P.copy(), "mean": moments.mean.copy(), "eigenvalues": problem.eigenvalues}
        return state_of("covariance", method, at, arrays)

    status: Status = "done"
    look(at)
    with np.errstate(over="ignore", invalid="ignore"):
        while at < method.length and status == "done":
            stop = min(at + CHUNK, method.length)
            M, b, c = method.coefficients(at, stop)
            share = method.inverse_batch(at, stop)
            for j in range(stop - at):
                moments.step(M[j], b[j], c[j], float(share[j]))
                at += 1
                if not float(look(at)[:3].sum()) <= limit:
                    status = "diverged"
                    final[np.isnan(final)] = np.inf  # inf - inf: beyond the range of a float
                    break
            if tick is not None and not tick(CHUNK * problem.dim) and at < method.length and status == "done":
                status = "interrupted"
    if keep is None and status != "diverged" and moments.P.size <= LARGEST_END:
        states[at] = kept(at)
    held = {} if loss is None else loss.statistics()
    return RunResult(
        steps, risk, components, status, at, final.copy(), method.learning_rate, shots, held, states
    )  # fmt: skip
