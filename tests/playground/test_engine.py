"""The engine in the page against Python's: schedules, moments, nodes of power laws, stability, the law, the river."""

from __future__ import annotations

import json

import numpy as np
import pytest

import simlab as sl
from simlab.landscapes import valleys
from simlab.playground.shapes import PROFILES
from simlab.playground.spectrum import spectrum_of
from simlab.schedules import law as closed_form
from simlab.schedules.optimal import rates_of
from simlab.schedules.shapes import SHAPES
from tests.playground.browser import Browser

METHODS = {
    "sgd": lambda lr, batch, x: sl.methods.sgd(lr, batch=batch),
    "heavy_ball": lambda lr, batch, x: sl.methods.heavy_ball(lr, momentum=x, batch=batch),
    "nesterov": lambda lr, batch, x: sl.methods.nesterov(lr, momentum=x, batch=batch),
    "ema": lambda lr, batch, x: sl.methods.ema(sl.methods.sgd(lr, batch=batch), decay=x),
    "tail_average": lambda lr, batch, x: sl.methods.tail_average(sl.methods.sgd(lr, batch=batch), window=x),
    "schedule_free": lambda lr, batch, x: sl.methods.schedule_free(lr, beta=x, batch=batch),
}
PARAMETERS = {"heavy_ball": "momentum", "nesterov": "momentum", "ema": "decay", "tail_average": "window",
              "schedule_free": "beta"}  # fmt: skip
FAMILIES = {
    "constant": {},
    "linear": {"floor": 0.1},
    "cosine": {"floor": 0.05},
    "exponential": {"floor": 0.02},
    "polynomial": {"power": 3.0, "floor": 0.0},
    "rex": {"alpha": 0.6, "floor": 0.0},
    "uba": {"phi": 0.4, "floor": 0.1},
    "inverse_sqrt": {},
}
SHAPES_OF_COOLDOWNS = {
    **{shape: {} for shape in ("linear", "cosine", "mirror-cosine", "1-sqrt", "square")},
    "power": {"power": 1.7},
    "exponential": {"floor": 0.03},
    "inverse-proportional": {"floor": 0.2},
    "lowered-linear": {"factor": 0.6, "floor": 0.1},
    "rex": {"alpha": 0.3},
    "uba": {"phi": 2.5},
}


def schedules(steps: int, peak: float, warmup: float) -> list[tuple[dict, sl.schedules.Schedule]]:
    """Every schedule of the page, as it has it and as Python does."""
    make = sl.schedules.make
    out = [({"kind": kind, "peak": peak, "warmup": warmup, **own}, make(kind, steps, peak=peak, warmup=warmup, **own))
           for kind, own in FAMILIES.items()]  # fmt: skip
    for shape, own in SHAPES_OF_COOLDOWNS.items():
        given = {"peak": peak, "warmup": warmup, "cooldown": 0.35, "shape": shape, **own}
        out.append(({"kind": "wsd", **given}, make("wsd", steps, **given)))
    knots = ((0.05, 0.5), (0.3, 1.0), (0.6, 0.6), (1.0, 0.01))
    return [*out, ({"kind": "knots", "peak": peak, "knots": knots}, sl.schedules.piecewise(steps, peak, knots=knots))]


def test_every_profile_of_a_cooldown_is_on_the_page():
    assert set(SHAPES_OF_COOLDOWNS) == {*sl.schedules.cooldown_shapes()} - {"piecewise"}
    assert set(PROFILES) <= set(SHAPES)


@pytest.mark.parametrize("steps", [7, 777])
def test_schedules_have_pythons_values(browser: Browser, steps: int):
    """Steps of phases to the whole number, values to the rounding of a sine."""
    pairs = schedules(steps, 0.3, 0.09)
    found = browser.run(f"{json.dumps([given for given, _ in pairs])}.map((s) => [...rates(s, {steps})])")
    for (given, schedule), values in zip(pairs, found, strict=True):
        np.testing.assert_allclose(values, schedule.values(), rtol=2e-15, atol=1e-17, err_msg=str(given))


def test_thirty_random_problems_methods_and_schedules(browser: Browser):
    """Bias and variance at recorded steps and by band at the end, 1e-10; diverging runs end at the same step."""
    rng = np.random.default_rng(20)
    ended = {"done": 0, "diverged": 0}
    for case in range(30):
        kind = list(METHODS)[case % len(METHODS)]
        problem = random_problem(rng)
        steps, batch = int(rng.integers(12, 1500)), int(rng.integers(1, 9))
        x = float(np.round(rng.uniform(0.05, 0.95), 3))
        # About the limit of plain SGD, so that some runs diverge.
        peak = float(rng.uniform(0.1, 1.0)) * (1.0 - x if kind in ("heavy_ball", "nesterov") else 1.0)
        peak *= sl.stability(problem, sl.methods.sgd(sl.schedules.constant(2, 0.1), batch=batch)).critical_lr
        peak *= 20.0 if case % 8 == 7 else 1.0
        every = schedules(steps, peak, float(np.round(rng.uniform(0.0, 0.4), 3)))
        given, schedule = every[int(rng.integers(len(every)))]
        record = sorted({0, *rng.integers(1, steps, 5).tolist(), steps})
        method = {"kind": kind, **({PARAMETERS[kind]: x} if kind in PARAMETERS else {})}
        question = {"problem": {"nodes": spectrum_of(problem)}, "steps": steps, "schedule": given, "method": method,
                    "batch": batch, "record": record}  # fmt: skip
        found = browser.run(f"window.simlab.solve({json.dumps(question)})")
        trace = sl.exact(
            problem, METHODS[kind](schedule, batch, x), record=record, subspaces="log_bins(6)", progress=False
        )
        assert found["status"] == trace.status, question
        ended[found["status"]] += 1
        if found["status"] == "diverged":
            assert found["ended"] == int(trace.dataset["ended_at"])
        scale = float(trace.risk.isel(step=0).sum()) + problem.noise_variance
        for part, band in (("bias", "bandBias"), ("variance", "bandVariance")):
            risk = trace.risk.sel(component=part)
            kept = [t for t in found["steps"] if t <= found["ended"] and t in risk.step]
            values = [found[part][found["steps"].index(t)] for t in kept]
            same(values, risk.sel(step=kept).sum("subspace").values, scale, question)
            if found["status"] == "done":
                same(found[band], risk.isel(step=-1).values, scale, question)
    assert ended["done"] >= 20
    assert ended["diverged"] >= 2


@pytest.mark.parametrize("kind", METHODS)
def test_without_vectors_the_numbers_are_the_same(browser: Browser, kind: str):
    """Formulas as WebAssembly and as loops, to the last bit; an odd number of nodes, so that one lane is empty."""
    question = {"dim": 19, "capacity": 1.3, "source": 1.2, "noise": 0.5}
    method = {"kind": kind, **({PARAMETERS[kind]: 0.7} if kind in PARAMETERS else {})}
    run = (
        f"const nodes = powerLaw({json.dumps(question)}), lr = rates({{kind: 'cosine', peak: 0.05, warmup: 0.1}}, 500);"
        f"const told = () => JSON.stringify(solve(nodes, lr, {json.dumps(method)}, 2, [0, 77, 500])), usual = machine;"
        "machine = lanes(STEPS, true); const fast = [machine.vectors, told()];"
        "machine = lanes(STEPS, false); const slow = [machine.vectors, told()];"
        "machine = usual; return [nodes.lam.length, fast, slow];"
    )
    nodes, (fast, one), (slow, other) = browser.run(f"(() => {{ {run} }})()")
    assert nodes % 2 == 1
    assert fast
    assert not slow
    assert one == other
    assert json.loads(one)["status"] == "done"


def random_problem(rng: np.random.Generator) -> sl.LinearRegression:
    size = int(rng.integers(1, 40))
    lam = np.sort(np.exp(rng.uniform(-7.0, 1.0, size)))[::-1]
    kurtosis = [1.0, 1.8, 3.0, 6.0][int(rng.integers(4))]
    counts = rng.integers(1, 4, size) if rng.uniform() < 0.3 else None
    return sl.LinearRegression(lam, rng.normal(size=size), float(rng.uniform(0.0, 2.0)), kurtosis, counts)


def same(found: list[float], true: np.ndarray, scale: float, message: object) -> None:
    """Within 1e-10 of each, and of 1e-14 of the whole where modes have decayed to nothing."""
    np.testing.assert_allclose(found, true, rtol=1e-10, atol=1e-15 * scale, err_msg=str(message))


LAWS = [(40, 1.5, 1.2), (3000, 1.1, 2.0), (10_000, 1.4, 1.1), (10_000, 2.5, 1.5)]


@pytest.mark.parametrize(("dim", "capacity", "source"), LAWS)
def test_nodes_of_a_power_law_stand_for_all_its_modes(browser: Browser, dim: int, capacity: float, source: float):
    """Risk of every band against all modes one by one, for SGD and for momentum, 1e-9."""
    steps, bands = 1000, "log_bins(6)"
    problem = sl.LinearRegression.power_law(dim, capacity, source, 0.5)
    lr = sl.schedules.wsd(steps, 0.1, warmup=0.05)
    runs = [sl.methods.sgd(lr), sl.methods.heavy_ball(0.1 * lr, 0.9)]
    trace = sl.exact(problem, runs, record=2, subspaces=bands, progress=False)
    law = {"dim": dim, "capacity": capacity, "source": source, "noise": 0.5}
    for run, method in enumerate(({"kind": "sgd"}, {"kind": "heavy_ball", "momentum": 0.9})):
        schedule = {"kind": "wsd", "peak": [0.1, 0.01][run], "warmup": 0.05, "cooldown": 0.2, "shape": "linear"}
        question = {"problem": law, "steps": steps, "schedule": schedule, "method": method, "batch": 1}
        found = browser.run(f"window.simlab.solve({json.dumps(question)})")
        end = trace.risk.isel(run=run, step=-1)
        assert found["bands"] == list(end.subspace.values)
        for part, band in (("bias", "bandBias"), ("variance", "bandVariance")):
            true = end.sel(component=part).values
            np.testing.assert_allclose(found[band], true, rtol=1e-9, atol=1e-12 * true.sum())


@pytest.mark.parametrize("kind", METHODS)
def test_stability_limits_are_pythons(browser: Browser, kind: str):
    steps, x = 400, 0.7
    problem = sl.LinearRegression.power_law(60, 1.3, 1.2, 0.5, kurtosis=3.0)
    method = METHODS[kind](sl.schedules.constant(steps, 0.1), 3, x)
    given = {"kind": kind, **({PARAMETERS[kind]: x} if kind in PARAMETERS else {})}
    schedule = {"kind": "constant", "peak": 0.1, "warmup": 0.0}
    question = {"problem": {"nodes": spectrum_of(problem)}, "steps": steps, "schedule": schedule, "method": given,
                "batch": 3}  # fmt: skip
    found = browser.run(f"window.simlab.solve({json.dumps(question)})")["critical"]
    assert found == pytest.approx(sl.stability(problem, method, step=steps - 1).critical_lr, rel=1e-11)


@pytest.mark.parametrize(("noise", "batch"), [(1.0, 1), (0.01, 4)])
def test_the_law_is_pythons(browser: Browser, noise: float, batch: int):
    """Rates at the same S to 1e-6, and the risk that it ends with by the S of either to 1e-4."""
    steps = 3000
    problem = sl.LinearRegression.power_law(100, 1.6, 1.4, noise)
    spectrum = closed_form.spectrum_of(problem.modes())
    law = closed_form.Law(spectrum, steps, 1.0 / batch)
    S = 0.1 * law.top * steps
    nodes = json.dumps(spectrum_of(problem))
    found = browser.run(
        f"(() => {{ const law = new Law(given({nodes}, 1), {steps}, {batch}), at = law.at({S}); "
        "return { u: [...at.u], lr: [...at.lr], clock: [...at.clock], value: at.value, top: law.top, "
        "doubtful: law.doubtful(at) }; })()"
    )
    true = law.at(S)
    assert found["top"] == pytest.approx(law.top, rel=1e-10)
    np.testing.assert_allclose(found["u"], true.u, rtol=1e-9)
    np.testing.assert_allclose(found["lr"], true.lr, rtol=1e-6)
    np.testing.assert_allclose(found["clock"], true.clock, rtol=1e-6)
    assert found["value"] == pytest.approx(true.value, rel=1e-6)
    assert found["doubtful"] == law.haste(true).fails
    ended = browser.run(f"window.simlab.law({{problem: {{nodes: {nodes}}}, steps: {steps}, batch: {batch}}})")["risk"]
    schedule = sl.schedules.from_array(rates_of(law.foretold(), np.arange(steps), steps))
    trace = sl.exact(problem, sl.methods.sgd(schedule, batch=batch), record=2, progress=False)
    assert ended == pytest.approx(float(trace.risk.isel(step=-1).sum()), rel=1e-4)


def test_the_river_is_pythons(browser: Browser):
    """Without noise the path of gradient descent in `valleys.curved`; with it, the known loss of a straight hill."""
    landscape = valleys.curved(mu=0.0, lam=8.0, amplitude=1.0, wavenumber=0.5, slope=0.1, start=(-3.0, 0.6))
    walk = "let p = VALLEY.start; for (let i = 0; i < 200; i++) p = riverStep(p, 0.1, 0); return p;"
    found = browser.run(f"(() => {{ {walk} }})()")
    point, slope = np.array(landscape.start), np.zeros(2)
    for _ in range(200):
        landscape.gradient(point, landscape.params, slope)
        point = point - 0.1 * slope
    np.testing.assert_allclose(found, point, rtol=1e-10)
    # 240 points looked at 100 times, some 20 steps apart: 0.9 % of standard error.
    hill = browser.run(
        "(() => { const flat = { ...VALLEY, amplitude: 0, slope: 0 }, lr = new Float64Array(2200).fill(0.05); "
        "const cloud = new Cloud(lr, 7, flat); cloud.advance(200); let sum = 0; "
        "for (let i = 0; i < 100; i++) { cloud.advance(20); "
        "sum += cloud.split.hill[cloud.split.hill.length - 1]; } return sum / 100; })()"
    )
    lam, sigma, rate = 8.0, 3.0, 0.05
    assert hill == pytest.approx(0.5 * rate * sigma**2 / (2.0 - rate * lam), rel=0.05)
