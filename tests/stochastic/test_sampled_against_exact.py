"""Sampled against exact: random problems x methods x laws x batches by the hundred, and wrong samplers that are caught.

Every verdict states how often right code would fail it for a seed taken at random (the seeds are fixed) and what it
sees. The sampler knows nothing of the moment recursion: where they agree, both are right.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import pytest
from scipy.stats import chi2, norm

import simlab as sl
from simlab import methods, subspaces
from simlab.engines.replicas.march import march
from simlab.engines.replicas.regression import Regression, Sampling
from simlab.methods import Method
from simlab.problems.draws import draws_of
from simlab.schedules import constant, from_array, linear, wsd
from tests.oracles.method_zoo import ZOO, Maker

REPLICAS = 1024
FAMILY_RATE = 1e-6
LAWS = {"gaussian": 3.0, "rademacher": 1.0, "uniform": 1.8, "laplace": 6.0, "student_t": 4.0, "three_point": 2.5}
KINDS = ("regression",) * 7 + ("additive", "one_hot", "rows")
COMPONENTS = ("bias", "variance", "cross")
ROUNDING = {"float32": 2e-6, "float64": 1e-12}
"""Of the highest risk so far; what two right engines may differ by without any randomness."""


class Case(NamedTuple):
    """What the exact engine is asked, and what is sampled."""

    problem: Any
    method: Method
    law: str | None
    dtype: str
    seed: int
    steps: np.ndarray


def random_case(number: int, kinds: Iterable[str] = KINDS, makers: Mapping[str, Maker] = ZOO) -> Case:
    """d <= 24 modes over up to three decades, T <= 60 steps, every law and method, batches of 1 to 8 or changing.

    The learning rate is 2 to 12 % of the largest stable one: far enough from it that the risk of single runs has light
    tails, so that means over 1024 of them are normal to the order that Hall's transformation leaves.
    """
    rng = np.random.default_rng([2025, number])
    d, steps = int(rng.integers(1, 25)), int(rng.integers(3, 61))
    lam = np.sort(10.0 ** rng.uniform(-rng.uniform(0.0, 3.0), 0.0, d))[::-1]
    law, problem = _random_problem(rng, rng.choice(list(kinds)), lam)
    shapes = (constant, linear, partial(wsd, warmup=0.2, cooldown=0.3))
    lr = shapes[int(rng.integers(3))](steps, 0.1)
    batch = (1, 1, 2, 3, 8, np.inf, from_array(rng.choice([1.0, 2.0, 5.0], steps)))[int(rng.integers(7))]
    method = makers[str(rng.choice(list(makers)))](lr, linear(steps, rng.uniform(0.3, 0.9)), batch)
    method = _tamed(method, problem, rng.uniform(0.02, 0.12))
    recorded = np.unique([0, *rng.integers(1, steps + 1, 2), steps])
    dtype = str(rng.choice(["float32", "float64"]))
    return Case(problem, method, law, dtype, int(rng.integers(2**63)), recorded)


def _random_problem(rng: np.random.Generator, kind: str, lam: np.ndarray) -> tuple[str | None, Any]:
    """(law or None for the one implied, problem)."""
    d, noise = lam.size, rng.uniform(0.1, 2.0)
    error = rng.standard_normal(d)
    if kind == "additive":
        return None, sl.NoisyQuadratic(lam, error, noise * rng.uniform(0.0, 1.0, d) * lam)
    if kind == "one_hot":
        probability = rng.dirichlet(np.full(d, 5.0)) * 0.95
        return None, sl.LinearRegression.one_hot(probability, error, noise, rng.uniform(1, 2, d))
    if kind == "rows":
        X = rng.standard_normal((int(rng.integers(d + 1, 60)), d)) * np.sqrt(lam)
        return None, sl.EmpiricalRegression(X, X @ error + noise * (X[:, 0] ** 2 + rng.standard_normal(len(X))))
    law = str(rng.choice([*LAWS, "mixed"]))
    if law == "mixed":
        return None, sl.LinearRegression(lam, error, noise, rng.uniform(1.0, 6.0, d))
    return law, sl.LinearRegression(lam, error, noise, LAWS[law])


def _tamed(method: Method, problem: Any, share: float) -> Method:
    """The method with its learning rates at this share of the largest stable one, where there is one.

    The gains of some methods grow in time: the smallest of five steps counts.
    """
    if isinstance(problem, sl.EmpiricalRegression):
        lam = problem.eigenvalues
        kurtosis = np.maximum(np.mean(problem.rows**4, axis=0) / lam**2, 1.0)
        problem = sl.LinearRegression(lam, problem.initial_error, problem.noise_variance, kurtosis)
    at = {int(step) for step in np.linspace(0, method.length - 1, 5)}
    states = [sl.stability(problem, method, step) for step in at]
    factors = [share * state.critical_lr / state.learning_rate for state in states if state.learning_rate > 0.0]
    factor = min(factors, default=np.inf)
    return method.rescale(factor) if np.isfinite(factor) and factor > 0.0 else method


def replica_risks(case: Case, replicas: int, split: Any) -> np.ndarray:
    """Risk (step, replica, component, subspace) of every replica; the last component is the sum of the others."""
    draws = draws_of(case.problem, case.law)
    d = draws.eigenvalues.size
    labels = split.labels(np.arange(d), np.arange(1, d + 1), d, case.problem.count_at_least, 0.0)[1]
    plan = Sampling(replicas, case.seed, threads=2, precision=case.dtype)
    crew = Regression(draws, case.method, labels, np.zeros(0, np.int64), plan)
    kept = march(crew, case.steps, None, 1, lambda *work: True)
    risk = crew.components(kept.records["risk"])[1]
    return np.concatenate([risk, risk.sum(axis=2, keepdims=True)], axis=2)


def exact_risks(case: Case, split: Any) -> np.ndarray:
    """Risk (step, component, subspace) by the exact engine, in the same order."""
    trace = sl.exact(case.problem, case.method, record=case.steps, subspaces=split, threads=1)
    known = trace.risk.transpose("component", "step", "subspace")
    none = 0.0 * known.values[0]
    parts = [known.sel(component=c).values if c in known["component"] else none for c in COMPONENTS]
    return np.stack([*parts, np.sum(parts, axis=0)], axis=1)


def hall(values: np.ndarray, mean: np.ndarray, floor: np.ndarray) -> np.ndarray:
    """z-scores of means over axis 1 by Hall's transformation of the t-statistic, monotone and corrected for skewness.

    The risk of single runs is skewed, and correlates with its own standard error: the t-statistic itself has heavy
    left tails. Hall 1992 (J. R. Statist. Soc. B 54): with S = (mean - mu) / sd and skewness g,
    sqrt(n) (S + g S^2 / 3 + g^2 S^3 / 27 + g / (6 n)) is normal to O(1 / n). `floor` is what rounding may do.
    """
    n = values.shape[1]
    centred = values - values.mean(axis=1, keepdims=True)
    spread = np.mean(centred**2, axis=1)
    skewness = np.mean(centred**3, axis=1) / (spread + n * floor**2) ** 1.5
    S = (values.mean(axis=1) - mean) / np.sqrt(spread + n * floor**2)
    return math.sqrt(n) * (S + skewness * S**2 / 3.0 + skewness**2 * S**3 / 27.0 + skewness / (6.0 * n))


# -- the evidence ------------------------------------------------------------------------------------------------------


class Evidence(NamedTuple):
    """z-scores of every case; of the final risk of each that is random, z-score and standard error as a share of it."""

    z: list[np.ndarray]
    final: np.ndarray
    relative_error: np.ndarray


def evidence_of(
    cases: Iterable[Case], replicas: int = REPLICAS, wrong: Callable[[Case], Case] = lambda case: case
) -> Evidence:
    """What sampling `wrong(case)` says of the exact risk of each case."""
    z, final, relative = [], [], []
    for case in cases:
        split = subspaces.from_spec(None if case.problem.dim == 1 else subspaces.head_tail(-(-case.problem.dim // 3)))
        mean = exact_risks(case, split)
        values = replica_risks(wrong(case), replicas, split)
        floor = ROUNDING[case.dtype] * np.maximum.accumulate(np.abs(mean).max(axis=(1, 2)))[:, None, None]
        z.append(hall(values, mean, np.broadcast_to(floor, mean.shape)))
        # One number for each case, so that these are independent of each other: the risk at the end, all modes.
        last, truth = values[-1:, :, -1].sum(axis=2), mean[-1:, -1].sum(axis=1)
        if last.std() > 1e-4 * truth[0]:
            final.append(float(hall(last, truth, floor[-1:, 0, 0])[0]))
            relative.append(float(last.std() / truth[0]) / math.sqrt(replicas))
    return Evidence(z, np.array(final), np.array(relative))


def excesses(evidence: Evidence) -> dict[str, float]:
    """How far each of three statistics is beyond its limit; above 0, sampler and exact engine disagree.

    Together they raise a false alarm with probability FAMILY_RATE: half of it on the largest of all z-scores (by
    Bonferroni), a quarter each on the mean of the final ones, which sees a small error common to all cases, and on
    their sum of squares, which sees errors of either sign.
    """
    count, n = sum(part.size for part in evidence.z), evidence.final.size
    largest = max(float(np.abs(part).max()) for part in evidence.z)
    return {
        "largest": largest - norm.isf(FAMILY_RATE / 4.0 / count),
        "mean": abs(float(evidence.final.sum())) / math.sqrt(n) - norm.isf(FAMILY_RATE / 8.0),
        "squares": float(np.sum(evidence.final**2)) - chi2.isf(FAMILY_RATE / 4.0, n),
    }


def power(evidence: Evidence, share: float) -> float:
    """Probability that "mean" sees an error of this share of every final risk."""
    shift = float(np.sum(share / evidence.relative_error)) / math.sqrt(evidence.relative_error.size)
    return float(norm.sf(norm.isf(FAMILY_RATE / 8.0) - shift))


def check(cases: list[Case], replicas: int, share: float) -> None:
    """Agreement, by a test that would miss an error of `share` less often than once in a million."""
    evidence = evidence_of(cases, replicas)
    assert evidence.final.size > 0.75 * len(cases), "too few cases are random"
    beyond = excesses(evidence)
    assert max(beyond.values()) < 0.0, beyond
    assert power(evidence, share) > 1.0 - 1e-6


def test_sampled_agrees_with_exact():
    """75 cases, 1024 replicas: sees 2 %."""
    check([random_case(number) for number in range(75)], REPLICAS, 0.02)


@pytest.mark.thorough
def test_sampled_agrees_with_exact_on_more_cases():
    """75 others: sees 2 % again, and both together 1.4 %."""
    check([random_case(number) for number in range(150)], REPLICAS, 0.014)


@pytest.mark.slow
def test_sampled_agrees_with_exact_more_closely():
    """300 other cases, sixteen times the replicas: sees 0.3 %; 300 with as many as above see 1 %."""
    check([random_case(number) for number in range(300)], REPLICAS, 0.01)
    check([random_case(number) for number in range(1000, 1300)], 16 * REPLICAS, 0.003)


# -- negative controls -------------------------------------------------------------------------------------------------


def one_percent(case: Case) -> Case:
    """Initial error and noise up by half a percent: every component of the risk by one."""
    problem, factor = case.problem, math.sqrt(1.01)
    error, noise = factor * problem.initial_error, 1.01 * problem.noise_variance
    return case._replace(problem=sl.LinearRegression(problem.eigenvalues, error, noise, problem.kurtosis))


def fourth_moment(case: Case) -> Case:
    """E x_i^4 = lam_i^2 where the exact engine is told 3: its 2 lam^2 m is left out."""
    problem = case.problem
    other = sl.LinearRegression(problem.eigenvalues, problem.initial_error, problem.noise_variance, 1.0)
    return case._replace(problem=other, law="rademacher")


def late_learning_rate(case: Case) -> Case:
    """Step t takes the learning rate of step t + 1."""
    lr = case.method.learning_rate.values()
    return case._replace(method=methods.sgd(from_array(np.append(lr[1:], lr[-1])), _batch(case)))


def ema_weight(case: Case) -> Case:
    """The average weighs the iterate before the step, not the one after."""
    return case._replace(method=methods.ema(methods.sgd(case.method.learning_rate, _batch(case)), 0.7, form="old"))


def _batch(case: Case) -> Any:
    sizes = case.method.batches(0, case.method.length)
    return np.inf if np.all(np.isinf(sizes)) else from_array(sizes)


EMA = {"ema": lambda lr, beta, B: methods.ema(methods.sgd(lr, B), 0.7)}
CONTROLS: dict[str, tuple[Callable[[Case], Case], Mapping[str, Maker], int]] = {
    "one percent": (one_percent, ZOO, 25),
    "fourth moment": (fourth_moment, ZOO, 50),
    "late learning rate": (late_learning_rate, {"sgd": ZOO["sgd"]}, 25),
    "EMA weight": (ema_weight, EMA, 25),
}


SLOW = {"fourth moment": pytest.mark.slow}


@pytest.mark.thorough
@pytest.mark.parametrize("name", [pytest.param(name, marks=SLOW.get(name, ())) for name in CONTROLS])
def test_a_wrong_sampler_is_caught(name):
    """So many cases are enough, and show nothing when the sampler is right."""
    wrong, makers, count = CONTROLS[name]
    cases = [random_case(number, ["regression"], makers) for number in range(300, 300 + count)]
    if name == "fourth moment":
        cases = [case._replace(problem=_gaussian(case.problem), law="gaussian") for case in cases]
    assert max(excesses(evidence_of(cases)).values()) < 0.0
    assert excesses(evidence_of(cases, wrong=wrong))["mean"] > 0.0


def _gaussian(problem: sl.LinearRegression) -> sl.LinearRegression:
    return sl.LinearRegression(problem.eigenvalues, problem.initial_error, problem.noise_variance)
