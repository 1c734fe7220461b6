"""Batches that a run chooses for itself: how many of its workers it waits for."""

from __future__ import annotations

from simlab.arrays import FloatArray
from simlab.doors import door
from simlab.errors import check_count, check_number
from simlab.feedback.base import Feedback, Summary
from simlab.kernels import dials

__all__ = ["backup_workers", "waiting_time"]


@door
def waiting_time(k: int, workers: int) -> float:
    """H_n - H_(n - k): mean time until k of n workers are done, each of which takes an exponential time of mean 1."""
    workers = check_count("workers", workers)
    k = check_count("k", k, high=workers)
    return float(sum(1.0 / j for j in range(workers - k + 1, workers + 1)))


def _backup_workers(at: Summary, memory: FloatArray, gains: FloatArray) -> float:
    workers, share, smooth = int(gains[0]), gains[1], gains[2]
    waited = int(memory[dials.NEXT_BATCH] / share) if memory[dials.NEXT_BATCH] > 0.0 else workers
    of_one = max(at.power - at.slope, 0.0) * waited
    drift = at.base * (1.0 - 0.5 * smooth * at.base) * at.slope
    best, found, time = 0.0, 1, 0.0
    for k in range(1, workers + 1):
        time += 1.0 / (workers - k + 1)
        if k == waited:
            # The time so far, and the workers that this step has waited for.
            memory[1] += time
            memory[2] = waited
        worth = (drift - 0.5 * smooth * at.base**2 * of_one / k) / time
        if k == 1 or worth > best:
            best, found = worth, k
    memory[dials.NEXT_BATCH] = found * share
    return at.base


@door
def backup_workers(workers: int, smoothness: float, *, share: int = 1) -> Feedback:
    """Every step waits for the k fastest of n workers, of `share` samples each; k is that of the greatest gain in time.

    gain(k) = (lr - L lr^2 / 2) |grad R|^2 - (L lr^2 / 2) V / k, V the variance of one worker's gradient, L `smoothness`
    (the largest eigenvalue, say), over the mean time T(k) = H_n - H_(n - k) of exponential workers; the first step
    waits for all. Source: Xu, Neglia and Sebastianelli 2020 (DBW, arXiv 2004.14696), with |grad R|^2 and V as held-out
    rows without end would tell, in the place of estimates. On power laws it waits for too many: L counts all noise as
    if it were in the head (sum lam^2 / sum lam is the mean curvature of the noise), and what raises the risk of the
    next step may lower that of the next two hundred. The method's batch is n x share, its schedule the rate.
    `simlab.limit` says by step which batch was drawn; for regressions.
    """
    n, share = check_count("workers", workers, high=10_000), check_count("share", share)
    gains = (float(n), float(share), check_number("smoothness", smoothness, low=0.0, open_low=True))
    return Feedback("backup_workers", _backup_workers, gains, chooses=True)
