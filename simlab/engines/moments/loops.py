"""Learning rates of a walk of moments: those of the schedule, or made of the moments themselves."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np

from simlab.arrays import FloatArray
from simlab.engines.moments.walks import Walk
from simlab.feedback import Ahead, Feedback, Summary
from simlab.kernels import dials as names
from simlab.methods.base import Method
from simlab.methods.closed import closed_loop

__all__ = ["Rates"]

CHUNK = 1024
NODES = 64
"""Of the rule by which a law of residuals is averaged over."""
TRIALS, REFINED = 17, 24
"""Rates of a stage that are tried first, and steps of the search between the best one's neighbours."""
GOLDEN = 0.5 * (np.sqrt(5.0) - 1.0)


class Rates:
    """Takes the steps of a method on a walk, at the rates that it has or makes."""

    def __init__(self, method: Method, walk: Walk) -> None:
        self.method, self.walk = method, walk
        core: Any = method.core
        self.core = core
        given = core.feedback if isinstance(core, closed_loop) else None
        self.feedback = given if isinstance(given, Feedback) else None
        self.ahead = given if isinstance(given, Ahead) else None
        self.memory = np.zeros(self.feedback.memory if self.feedback is not None else 0)
        self.previous, self.product, self.share = 0.0, 0.0, 0.0
        self.stage, self.until, self.chosen = -1, 0, 0.0
        self.held = (0, np.zeros((0, names.DIALS)), np.zeros(0))

    def step(self, at: int) -> float:
        """Take the step `at`; the rate that it was taken at."""
        p, share = self._numbers(at)
        factors = (1.0, 1.0)
        if self.feedback is not None:
            p[names.RATE], factors = self._fed_back(at, p[names.RATE], share)
        elif self.ahead is not None:
            p[names.RATE] = self._best_of_stage(at)
        self.previous = float(p[names.RATE])
        self.walk.step(p, share, factors)
        return self.previous * factors[0]

    def _numbers(self, at: int) -> tuple[FloatArray, float]:
        """Dials and 1 / B of a step."""
        first, dials, shares = self.held
        if not first <= at < first + len(dials):
            t = np.arange(at, min(at + CHUNK, self.method.length))
            self.held = first, dials, shares = at, _dials(self.method, t), self.method.share(t)
        share = float(shares[at - first])
        if self.feedback is not None and self.feedback.chooses and self.memory[names.NEXT_BATCH] >= 1.0:
            share = max(share, 1.0 / self.memory[names.NEXT_BATCH])
        self.share = share
        return dials[at - first].copy(), share

    def _fed_back(self, at: int, base: float, share: float) -> tuple[float, tuple[float, float]]:
        """The rate, and what its fluctuations with the batch do to drift and noise."""
        assert self.feedback is not None
        summary = self._summary(at, base, share)
        gains = np.array(self.feedback.gains)
        if not self.feedback.by_batch or share == 0.0:
            rate = self._checked(self.feedback.rule(summary, self.memory, gains), summary)
            self._look_back(rate, share)
            return rate, (1.0, 1.0)
        nodes, weights = _residuals(round(1.0 / share))
        drawn = summary.slope + (summary.power - summary.slope) * nodes
        rates = np.array(
            [
                self._checked(self.feedback.rule(summary._replace(square=float(s)), self.memory, gains), summary)
                for s in drawn
            ]
        )
        drift, power = float(weights @ (nodes * rates)), float(weights @ (nodes * rates**2))
        self._look_back(drift, share)
        scale = drift if drift > 0.0 else 1.0
        return scale, (drift / scale, power / scale**2)

    def _checked(self, rate: float, summary: Summary) -> float:
        if not 0.0 <= rate < np.inf:
            raise self.core.refusal(np.array([rate, *summary]))
        return float(rate)

    def _summary(self, at: int, base: float, share: float) -> Summary:
        """Expectations of what a replica would measure."""
        drive, mean, m = self.walk.drive, self.walk.mean, self.walk.second
        lam, error = drive.eigenvalues, drive.error
        noise = share * drive.variance(m)
        slope, power = drive.total(lam**2 * m), drive.total(lam**2 * m + noise)
        risk = 0.5 * drive.total(lam * m)
        back = drive.total(lam * (error * mean - m))
        distance = drive.total(error**2 - 2.0 * error * mean + m)
        loss = 0.5 * drive.residual(m) if drive.coupling else risk
        curvature = drive.total(lam * (lam**2 * m + noise))
        return Summary(
            float(at), loss, power, self.product, risk, slope, power, curvature, back, np.sqrt(max(distance, 0.0)),
            base, self.previous,
        )  # fmt: skip

    def _look_back(self, rate: float, share: float) -> None:
        """<g, g'> of the step to come: E <g_t+1, g_t> = sum lam^2 m - lr sum lam E g_i^2, m at t; of SGD."""
        drive, m = self.walk.drive, self.walk.second
        lam = drive.eigenvalues
        own = lam**2 * m + share * drive.variance(m)
        self.product = drive.total(lam**2 * m) - rate * drive.total(lam * own)

    def _best_of_stage(self, at: int) -> float:
        """The constant rate that leaves the least risk at the end of the stage that `at` is in."""
        assert self.ahead is not None
        if at < self.until:
            return self.chosen
        self.stage += 1
        stages = self.ahead.stages
        self.until = min(at + stages[min(self.stage, len(stages) - 1)], self.method.length)

        def ends(log_rate: float) -> float:
            trial, lr = self.walk.copy(), float(np.exp(log_rate))
            for t in range(at, self.until):
                p, share = self._numbers(t)
                p[names.RATE] = lr
                trial.step(p, share, (1.0, 1.0))
            risk = trial.drive.total(trial.drive.eigenvalues * trial.second)
            return risk if np.isfinite(risk) else np.inf

        grid = np.linspace(np.log(self.ahead.low), np.log(self.ahead.high), TRIALS)
        found = int(np.argmin([ends(each) for each in grid]))
        low, high = grid[max(found - 1, 0)], grid[min(found + 1, TRIALS - 1)]
        self.chosen = float(np.exp(_least(ends, low, high)))
        return self.chosen


def _dials(method: Method, t: Any) -> FloatArray:
    core: Any = method.core
    if hasattr(core, "dials"):
        return method.numbers(int(t[0]), int(t[-1]) + 1)[0].copy()
    out = np.zeros((t.size, names.DIALS))
    out[:, names.RATE] = method.at("lr", t)
    return out


def _least(value: Any, low: float, high: float) -> float:
    """Where a function of one minimum between low and high is least: by golden sections (Kiefer 1953)."""
    a, b = high - GOLDEN * (high - low), low + GOLDEN * (high - low)
    at_a, at_b = value(a), value(b)
    for _ in range(REFINED):
        if at_a < at_b:
            high, b, at_b = b, a, at_a
            a = high - GOLDEN * (high - low)
            at_a = value(a)
        else:
            low, a, at_a = a, b, at_b
            b = low + GOLDEN * (high - low)
            at_b = value(b)
    return 0.5 * (low + high)


@lru_cache(maxsize=64)
def _residuals(batch: int) -> tuple[FloatArray, FloatArray]:
    """Nodes and weights of chi^2_B / B: a batch's mean of squared Gaussian residuals over its expectation."""
    from scipy.stats import chi2

    # Gauss and Legendre in the probability's own angle, where the square root at 0 is smooth: s = quantile(sin^2).
    x, w = np.polynomial.legendre.leggauss(NODES)
    angle = 0.25 * np.pi * (x + 1.0)
    weights = 0.25 * np.pi * w * np.sin(2.0 * angle)
    return chi2.ppf(np.sin(angle) ** 2, batch) / batch, weights
