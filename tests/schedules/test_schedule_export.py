"""Generated torch, transformers and optax modules: executed, and compared with their source step by step."""

from __future__ import annotations

import ast
import sys
import types
import warnings
from typing import Any

import numpy as np
import pytest

import simlab.schedules as sl
from simlab import LinearRegression
from simlab.errors import InputError
from simlab.schedules import Schedule

T = 60
BASE = sl.wsd(T, 0.3, warmup=0.1)
KNOTS = ((0.0, 1.0), (0.4, 0.3), (1.0, 0.05))
SOURCES: list[Schedule] = [
    sl.constant(T, 0.1),
    sl.constant(T, 0.1, warmup=T),
    sl.constant(T, 0.0),
    sl.linear(T, 0.1, floor=0.1, warmup=5),
    sl.linear(1, 0.1),
    sl.linear_to_zero(T, 0.1, warmup=0.1),
    sl.cosine(T, 3e-4, floor=0.1, warmup=5),
    sl.cosine(T, 3e-4),
    sl.polynomial(T, 0.1, power=1.5),
    sl.exponential(T, 0.1, floor=0.01),
    sl.rex(T, 0.1),
    sl.inverse_sqrt(T, 0.1, warmup=8),
    sl.inverse_sqrt(T, 0.1),
    sl.noam(T, 512, warmup=9),
    sl.inverse_time(T, 0.1, decay=0.3, warmup=2),
    sl.piecewise(T, 0.3, knots=((3, 0.5), (0.5, 1.0), (1.0, 0.0))),
    sl.piecewise(T, 0.3, knots=((3, 0.5),)),
    sl.step(T, 0.1),
    sl.multi_step(T, 0.1, warmup=3),
    sl.step_decay(T, 0.1),
    sl.tail_geometric(T, 0.1),
    sl.tail_polynomial(T, 0.1, power=0.5),
    *(
        sl.wsd(
            T,
            0.3,
            warmup=0.1,
            cooldown=0.5,
            shape=shape,
            **({"knots": KNOTS} if shape == "piecewise" else {}),
        )
        for shape in sl.cooldown_shapes()
    ),
    sl.trapezoid(T, 0.1),
    sl.wsd_s(T, 0.1, cooldown=0.4, warmup=3),
    sl.wsdc(T, 0.1, warmup=5),
    sl.infinite(T, 3e-4, warmup=0.05),
    sl.power_scheduler(T, 0.5, scale=3.0, exponent=-0.7, warmup=5),
    sl.one_cycle(T, 0.1),
    sl.sgdr(T, 0.1, period=7, floor=0.1),
    sl.sgdr(T, 0.1, period=7, multiplier=2, warmup=3),
    sl.triangular(T, 0.1, half_cycle=4),
    sl.triangular2(T, 0.1, half_cycle=4),
    sl.exp_range(T, 0.1, half_cycle=7, gamma=0.97),
    sl.eigencurve(T, eigenvalues=np.arange(1, 60) ** -1.5),
    sl.spectral(LinearRegression([1.0, 0.5, 0.25], 1.0, 0.1), T, form="short", level="formula"),
    sl.sampled(T, 0.1, "cosine", rate=7),
    sl.sampled(T, 0.1, "rex", rate="30-60-90", warmup=4),
    sl.from_array(np.random.default_rng(0).uniform(0.0, 1.0, T)),
    sl.from_array(np.repeat([0.3, 0.1, 0.0], 20)),
    sl.from_array([0.3]),
    BASE * 0.5,
    BASE * sl.exp_range(T, 1.0, half_cycle=5) * sl.step(T, 1.0),
    sl.join(sl.cosine(7, 0.1), sl.from_array([0.2, 0.3]), sl.sgdr(12, 0.1, period=5)).repeat(3),
    BASE[3:50].clip(0.05, 0.2).warmed(5),
    BASE.clip(0.02)[10:],
    sl.from_array(np.linspace(0.1, 1.0, 50))[20:30],
    sl.sampled(T, 0.1, rate=3)[5:].repeat(2),
]
IDS = [repr(source)[:70] for source in SOURCES]


def test_every_family_is_exported() -> None:
    assert {source.kind for source in SOURCES} >= set(sl.named())


def load(source: str) -> dict[str, Any]:
    """The namespace of a generated module."""
    module = types.ModuleType("exported")
    exec(compile(source, "exported.py", "exec"), module.__dict__)
    return module.__dict__


def imports(source: str) -> set[str]:
    nodes = ast.walk(ast.parse(source))
    names = [n.module for n in nodes if isinstance(n, ast.ImportFrom)]
    names += [a.name for n in ast.walk(ast.parse(source)) if isinstance(n, ast.Import) for a in n.names]
    return {str(name).partition(".")[0] for name in names}


def walk(torch: Any, source: Schedule, base: float, make: Any) -> list[float]:
    """The learning rates that a real optimizer uses, two steps beyond the end."""
    weight = torch.zeros(1, dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.SGD([weight], lr=base)
    scheduler = make(optimizer)
    used = []
    for _ in range(len(source) + 2):
        before = weight.item()
        weight.grad = torch.ones_like(weight)
        rate = optimizer.param_groups[0]["lr"]
        optimizer.step()
        assert weight.item() == pytest.approx(before - rate, rel=1e-12)
        scheduler.step()
        used.append(rate)
    return used


@pytest.mark.parametrize("source", SOURCES, ids=IDS)
def test_torch_reproduces_every_step(source: Schedule) -> None:
    torch = pytest.importorskip("torch")
    text = sl.to_torch(source)
    module = load(text)
    assert imports(text) <= {"math", "bisect", "torch"}
    used = walk(torch, source, module["BASE_LR"], module["make_scheduler"])
    np.testing.assert_allclose(used[: len(source)], source.values(), rtol=1e-12, atol=0.0)
    assert used[-2:] == [used[len(source) - 1]] * 2
    assert module["STEPS"] == len(source)
    if source.peak():
        assert module["BASE_LR"] == source.peak()


@pytest.mark.parametrize("source", SOURCES[::5], ids=IDS[::5])
def test_transformers_reproduces_every_step(source: Schedule) -> None:
    torch = pytest.importorskip("torch")
    text = sl.to_transformers(source)
    module = load(text)
    assert imports(text) <= {"math", "bisect", "torch"}  # Trainer takes the scheduler as it is
    assert "optimizers=(optimizer, get_scheduler(optimizer))" in text
    used = walk(torch, source, module["BASE_LR"], module["get_scheduler"])
    np.testing.assert_allclose(used[: len(source)], source.values(), rtol=1e-12, atol=0.0)


def test_torch_refuses_another_base_rate_and_keeps_ratios_of_groups() -> None:
    torch = pytest.importorskip("torch")
    module = load(sl.to_torch(BASE))
    weights = [torch.zeros(1, requires_grad=True) for _ in range(2)]
    with pytest.raises(ValueError, match=r"the optimizer has lr=0.1; make it with lr=0.3"):
        module["make_scheduler"](torch.optim.SGD(weights, lr=0.1))
    groups = [{"params": weights[:1]}, {"params": weights[1:], "lr": 0.03}]
    optimizer = torch.optim.SGD(groups, lr=0.3)
    module["make_scheduler"](optimizer)
    assert [group["lr"] for group in optimizer.param_groups] == pytest.approx([BASE(0), BASE(0) / 10], rel=1e-12)


def test_torch_resumes_where_it_stopped() -> None:
    torch = pytest.importorskip("torch")
    module = load(sl.to_torch(BASE))

    def fresh() -> tuple[Any, Any]:
        optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.3)
        return optimizer, module["make_scheduler"](optimizer)

    optimizer, scheduler = fresh()
    for _ in range(17):
        optimizer.step()
        scheduler.step()
    resumed, again = fresh()
    resumed.load_state_dict(optimizer.state_dict())
    again.load_state_dict(scheduler.state_dict())
    for t in range(17, T):
        assert resumed.param_groups[0]["lr"] == pytest.approx(BASE(t), rel=1e-12)
        resumed.step()
        again.step()


@pytest.fixture(scope="module")
def jax() -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return pytest.importorskip("jax")


@pytest.mark.parametrize("source", SOURCES, ids=IDS)
def test_optax_reproduces_every_step(jax: Any, source: Schedule) -> None:
    text = sl.to_optax(source)
    assert imports(text) <= {"jax", "numpy"}
    schedule = load(text)["schedule"]
    counts, values = np.arange(len(source)), source.values()
    single = np.asarray(schedule(counts))
    assert single.dtype == np.float32
    np.testing.assert_allclose(single, values, rtol=1e-6, atol=0.0)
    np.testing.assert_allclose(jax.jit(schedule)(counts), values, rtol=1e-6, atol=0.0)
    with jax.enable_x64(True):
        double = np.asarray(jax.jit(schedule)(counts.astype(np.int32)))
        assert double.dtype == np.float64
        np.testing.assert_allclose(double, values, rtol=1e-12, atol=0.0)
        np.testing.assert_allclose(schedule(counts), values, rtol=1e-12, atol=0.0)


@pytest.mark.parametrize("index", [6, 15, -2, -1])
def test_optax_takes_scalar_counts(jax: Any, index: int) -> None:
    source = SOURCES[index]
    schedule = load(sl.to_optax(source))["schedule"]
    traced = jax.jit(schedule)
    for t in (0, 1, len(source) // 2, len(source) - 1):
        assert float(schedule(t)) == pytest.approx(source(t), rel=1e-6)
        assert float(traced(jax.numpy.int32(t))) == pytest.approx(source(t), rel=1e-6)
    assert schedule(0).shape == ()
    assert float(schedule(10**6)) == float(schedule(len(source) - 1))


def test_optax_optimizer_uses_the_first_value_first(jax: Any) -> None:
    optax = pytest.importorskip("optax")
    optimizer = optax.sgd(load(sl.to_optax(BASE))["schedule"])
    state = optimizer.init(jax.numpy.zeros(()))
    step = jax.jit(optimizer.update)
    for t in range(10):
        update, state = step(jax.numpy.ones(()), state)
        assert -float(update) == pytest.approx(BASE(t), rel=1e-6)


def test_closed_forms_stay_short_for_long_runs(jax: Any) -> None:
    steps = 10**7
    source = sl.wsd(steps, 0.3, warmup=0.01, shape="1-sqrt") * sl.sgdr(steps, 1.0, period=1000)
    probe = np.array([0, 99_999, 100_000, 7_999_999, 8_000_000, 9_999_998, steps - 1])
    text = sl.to_torch(source)
    assert len(text) < 2500
    rate = load(text)["learning_rate"]
    np.testing.assert_allclose([rate(int(t)) for t in probe], source(probe), rtol=1e-12)
    schedule = load(sl.to_optax(source))["schedule"]
    np.testing.assert_allclose(schedule(probe), source(probe), rtol=1e-6)


def test_long_tables_are_refused() -> None:
    values = np.linspace(0.1, 1.0, 30_000)
    for export in (sl.to_torch, sl.to_transformers, sl.to_optax):
        with pytest.raises(InputError, match=r"over 20,000 separate values.*to_csv"):
            export(sl.from_array(values))
        assert export(sl.from_array(np.repeat(values[:100], 300)))  # few distinct stretches
    with pytest.raises(InputError, match=r"beyond JAX's int32 counts"):
        sl.to_optax(sl.constant(2**31, 0.1))


class FakeOptimizer:
    """What make_scheduler reads of an optimizer."""

    def __init__(self, default: float, *groups: dict[str, Any]) -> None:
        self.defaults, self.param_groups = {"lr": default}, list(groups)


@pytest.mark.parametrize(
    "optimizer",
    [
        FakeOptimizer(9e-5, {"lr": 9e-5}),  # the peak is 3e-4 * 0.3 = 8.999999999999999e-05
        FakeOptimizer(float(np.float32(9e-5)), {"lr": float(np.float32(9e-5))}),
        FakeOptimizer(1e-3, {"lr": 9e-5}, {"lr": 9e-6}),  # an lr in every group
        FakeOptimizer(1e-3, {"lr": 4e-5, "initial_lr": 9e-5}),  # resumed
    ],
)
def test_torch_takes_a_rate_that_differs_by_rounding_and_rates_of_groups(optimizer: Any, monkeypatch: Any) -> None:
    made: list[Any] = []
    fake = types.ModuleType("torch.optim.lr_scheduler")
    fake.LambdaLR = lambda *arguments: made.append(arguments)  # type: ignore[attr-defined]
    for name in ("torch", "torch.optim"):
        monkeypatch.setitem(sys.modules, name, types.ModuleType(name))
    monkeypatch.setitem(sys.modules, fake.__name__, fake)
    module = load(sl.to_torch(sl.cosine(10, 3e-4) * 0.3))
    module["make_scheduler"](optimizer)
    assert made == [(optimizer, module["factor"], -1)]
    with pytest.raises(ValueError, match=r"the optimizer has lr=0\.1; make it with lr="):
        module["make_scheduler"](FakeOptimizer(0.1, {"lr": 0.1}))
