"""Exported schedules stepped by PyTorch, Optax, transformers and schedulefree themselves, and theirs read back.

What is not installed is skipped with its name. Slow: it takes some minutes, most of them JAX's compiler.
"""

from __future__ import annotations

import random
import warnings
from typing import Any

import numpy as np
import pytest

import simlab as sl
from simlab import schedules
from simlab.schedules import Schedule
from tests.oracles.schedule_zoo import BASE, IDS, SOURCES
from tests.schedules.test_schedule_export import load

pytestmark = pytest.mark.slow
T = 40


@pytest.fixture(scope="module")
def torch() -> Any:
    return pytest.importorskip("torch")


@pytest.fixture(scope="module")
def jax() -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return pytest.importorskip("jax")


# PyTorch ----------------------------------------------------------------------------------------------------


def sgd(torch: Any, lr: Any, **options: Any) -> tuple[Any, Any]:
    """A weight in double precision, and SGD on it."""
    weight = torch.zeros(1, dtype=torch.float64, requires_grad=True)
    return weight, torch.optim.SGD([weight], lr=lr, **options)


@pytest.mark.parametrize("source", SOURCES, ids=IDS)
def test_torch_takes_the_steps(torch: Any, source: Schedule) -> None:
    module = load(schedules.to_torch(source))
    weight, optimizer = sgd(torch, module["BASE_LR"])
    scheduler = module["make_scheduler"](optimizer)
    for rate in [*source, source(len(source) - 1)]:
        before, weight.grad = weight.item(), torch.ones_like(weight)
        assert optimizer.param_groups[0]["lr"] == pytest.approx(rate, rel=1e-12)
        optimizer.step()
        assert weight.item() == pytest.approx(before - rate, rel=1e-12)
        scheduler.step()


def test_torch_groups_tensors_and_checkpoints(torch: Any) -> None:
    make = load(schedules.to_torch(BASE))["make_scheduler"]

    def fresh(**options: Any) -> tuple[Any, Any]:
        weights = [torch.nn.Parameter(torch.zeros(1)) for _ in range(2)]
        groups = [{"params": weights[:1]}, {"params": weights[1:], "lr": 0.03}]
        optimizer = torch.optim.AdamW(groups, lr=0.3, **options)
        return optimizer, make(optimizer)

    optimizer, scheduler = fresh()
    for t in range(17):
        assert [group["lr"] for group in optimizer.param_groups] == pytest.approx([BASE(t), BASE(t) / 10], rel=1e-12)
        optimizer.step()
        scheduler.step()
    resumed, again = fresh()
    resumed.load_state_dict(optimizer.state_dict())
    again.load_state_dict(scheduler.state_dict())
    for t in range(17, len(BASE)):
        assert resumed.param_groups[0]["lr"] == pytest.approx(BASE(t), rel=1e-12)
        resumed.step()
        again.step()
    _, tensor = sgd(torch, torch.tensor(0.3))
    scheduler = make(tensor)
    for t in range(10):
        assert float(tensor.param_groups[0]["lr"]) == pytest.approx(BASE(t), rel=1e-6)
        tensor.step()
        scheduler.step()
    with pytest.raises(ValueError, match=r"make it with lr=0\.3"):
        make(sgd(torch, 0.1)[1])


# transformers, Optax ----------------------------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore::UserWarning", "ignore::DeprecationWarning", "ignore::FutureWarning")
@pytest.mark.parametrize("source", SOURCES[::7], ids=IDS[::7])
def test_the_trainer_of_transformers_takes_the_steps(torch: Any, source: Schedule, tmp_path: Any) -> None:
    transformers = pytest.importorskip("transformers")
    pytest.importorskip("accelerate")
    module, used = load(schedules.to_transformers(source)), []

    class Model(torch.nn.Module):  # type: ignore[name-defined, misc]
        def __init__(self) -> None:
            super().__init__()
            self.w = torch.nn.Parameter(torch.zeros(1))

        def forward(self, x: Any) -> dict[str, Any]:
            return {"loss": (self.w * x).sum()}

    class Watch(transformers.TrainerCallback):  # type: ignore[name-defined, misc]
        def on_pre_optimizer_step(self, args: Any, state: Any, control: Any, **more: Any) -> None:
            used.append(more["optimizer"].param_groups[0]["lr"])

    with np.errstate(all="warn"):
        model = Model()
        optimizer = torch.optim.SGD(model.parameters(), lr=module["BASE_LR"])
        arguments = transformers.TrainingArguments(
            str(tmp_path), max_steps=len(source), report_to=[], disable_tqdm=True, use_cpu=True, save_strategy="no"
        )
        trainer = transformers.Trainer(
            model,
            arguments,
            train_dataset=[{"x": torch.ones(1)}] * 8,
            callbacks=[Watch()],
            optimizers=(optimizer, module["get_scheduler"](optimizer)),
        )
        trainer.train()
    np.testing.assert_allclose(used, source.values(), rtol=1e-12)


@pytest.mark.parametrize("source", SOURCES, ids=IDS)
def test_optax_takes_the_steps(jax: Any, source: Schedule) -> None:
    optax = pytest.importorskip("optax")
    schedule = load(schedules.to_optax(source))["schedule"]
    counts, values = np.arange(len(source)), source.values()
    optimizer = optax.sgd(schedule)
    unit = jax.numpy.ones(())

    def step(state: Any, _: Any) -> Any:
        update, state = optimizer.update(unit, state)
        return state, -update

    single = np.asarray(jax.lax.scan(step, optimizer.init(unit), None, length=len(source))[1])
    assert single.dtype == np.float32
    np.testing.assert_allclose(single, values, rtol=1e-6, atol=0.0)
    np.testing.assert_allclose(np.asarray(schedule(counts)), values, rtol=1e-6, atol=0.0)
    assert float(schedule(10**6)) == float(schedule(len(source) - 1))
    with jax.enable_x64(True):
        double = np.asarray(jax.jit(jax.vmap(schedule))(counts.astype(np.int32)))
        assert double.dtype == np.float64
        np.testing.assert_allclose(double, values, rtol=1e-12, atol=0.0)


def test_optax_looks_values_up_by_the_ten_thousand(jax: Any) -> None:
    source = schedules.from_array(np.random.default_rng(1).uniform(0.1, 1.0, 50_000))
    schedule = load(schedules.to_optax(source))["schedule"]
    np.testing.assert_allclose(np.asarray(jax.jit(schedule)(np.arange(50_000))), source.values(), rtol=1e-7)


# schedulefree -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("options", [{}, {"r": 2.0}, {"weight_lr_power": 0.0}, {"r": 1.0, "weight_lr_power": 3.5}])
@pytest.mark.parametrize("source", SOURCES[::3], ids=IDS[::3])
def test_schedulefree_ends_where_the_method_ends(torch: Any, source: Schedule, options: Any) -> None:
    schedulefree = pytest.importorskip("schedulefree")
    eigenvalues, momentum = [1.0, 0.3, 0.01], 0.8
    problem = sl.LinearRegression(eigenvalues, 1.0, noise_variance=0.0)
    own = {"power": options.get("r", 0.0), "weight_lr_power": options.get("weight_lr_power", 2.0)}
    method = sl.methods.schedule_free(source, momentum, batch=np.inf, **own)
    exact = sl.exact(problem, method, record=range(len(source) + 1), subspaces=[[1], [2], [3]], progress=False)
    weights, hessian = (
        torch.ones(3, dtype=torch.float64, requires_grad=True),
        torch.tensor(eigenvalues, dtype=torch.float64),
    )
    module = load(schedules.to_torch(source))
    optimizer = schedulefree.SGDScheduleFree([weights], lr=module["BASE_LR"], momentum=momentum, **options)
    scheduler = module["make_scheduler"](optimizer)
    for step in range(len(source)):
        optimizer.train()
        weights.grad = hessian * weights.detach()
        optimizer.step()
        scheduler.step()
        optimizer.eval()
        risk = 0.5 * hessian * weights.detach() ** 2
        ours = exact.risk.sel(step=step + 1).sum("component").values.ravel()
        np.testing.assert_allclose(risk.numpy(), ours, rtol=1e-9, atol=1e-14)


# Theirs -----------------------------------------------------------------------------------------------------

TORCH = {
    "LambdaLR": lambda L, o: L.LambdaLR(o, lambda t: 0.9**t),
    "MultiplicativeLR": lambda L, o: L.MultiplicativeLR(o, lambda t: 0.95),
    "StepLR": lambda L, o: L.StepLR(o, 7),
    "MultiStepLR": lambda L, o: L.MultiStepLR(o, [3, 9]),
    "ConstantLR": lambda L, o: L.ConstantLR(o, 0.3, 5),
    "LinearLR": lambda L, o: L.LinearLR(o, 0.1, total_iters=10),
    "ExponentialLR": lambda L, o: L.ExponentialLR(o, 0.9),
    "PolynomialLR": lambda L, o: L.PolynomialLR(o, 30, 2.0),
    "CosineAnnealingLR": lambda L, o: L.CosineAnnealingLR(o, T),
    "CosineAnnealingWarmRestarts": lambda L, o: L.CosineAnnealingWarmRestarts(o, 7, 2),
    "CyclicLR": lambda L, o: L.CyclicLR(o, 0.01, 0.1, step_size_up=7, mode="exp_range", gamma=0.99),
    "OneCycleLR": lambda L, o: L.OneCycleLR(o, 0.3, total_steps=T),
    "SequentialLR": lambda L, o: L.SequentialLR(
        o, [L.LinearLR(o, 0.1, total_iters=5), L.CosineAnnealingLR(o, T - 5)], [5]
    ),
    "ChainedScheduler": lambda L, o: L.ChainedScheduler([L.LinearLR(o, 0.1, total_iters=5), L.ExponentialLR(o, 0.9)]),
}


def read(o: Any, scheduler: Any, steps: int) -> None:
    """Its schedule is what it does, and reading it has changed neither it nor its optimizer."""
    before = repr(o.state_dict()), repr(scheduler.state_dict())
    schedule = sl.methods.sgd(scheduler, steps=steps).learning_rate
    assert (repr(o.state_dict()), repr(scheduler.state_dict())) == before
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for t in range(steps):
            assert schedule(t) == float(o.param_groups[0]["lr"])
            o.step()
            if t < steps - 1:
                scheduler.step()


@pytest.mark.filterwarnings("ignore:.*epoch parameter in `scheduler.step")
@pytest.mark.parametrize("name", TORCH)
def test_schedulers_of_torch_are_read(torch: Any, name: str) -> None:
    for start in (0, 6):
        _, optimizer = sgd(torch, 0.1, momentum=0.9)
        scheduler = TORCH[name](torch.optim.lr_scheduler, optimizer)
        for _ in range(start):
            optimizer.step()
            scheduler.step()
        read(optimizer, scheduler, T - start)


def test_schedulers_that_have_no_rates_are_refused(torch: Any) -> None:
    _, optimizer = sgd(torch, 0.1)
    with pytest.raises(sl.InputError, match="waits for losses"):
        schedules.from_scheduler(torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer), 9)
    short = torch.optim.lr_scheduler.OneCycleLR(optimizer, 0.1, total_steps=9, cycle_momentum=False)
    with pytest.raises(sl.InputError, match=r"no rate for step 10 .*; give fewer steps"):
        schedules.from_scheduler(short, 99)


def test_schedulers_of_transformers_are_read(torch: Any) -> None:
    transformers = pytest.importorskip("transformers")
    for make in (
        lambda o: transformers.get_cosine_schedule_with_warmup(o, 5, T),
        lambda o: transformers.get_wsd_schedule(o, 5, 10, num_training_steps=T),
    ):
        _, optimizer = sgd(torch, 0.1)
        read(optimizer, make(optimizer), T)


@pytest.mark.parametrize(
    "make",
    [
        lambda optax: optax.warmup_cosine_decay_schedule(0.01, 0.1, 5, T, 0.001),
        lambda optax: optax.cosine_onecycle_schedule(T, 0.1),
        lambda optax: optax.join_schedules([optax.linear_schedule(0.0, 0.1, 5), optax.constant_schedule(0.1)], [5]),
    ],
)
def test_schedules_of_optax_are_read(jax: Any, make: Any) -> None:
    optax = pytest.importorskip("optax")
    schedule = make(optax)
    ours = sl.methods.sgd(schedule, steps=T).learning_rate
    np.testing.assert_array_equal(ours.values(), [float(schedule(t)) for t in range(T)])


def test_one_cycle_is_that_of_torch(torch: Any) -> None:
    draw = random.Random(1)
    compared = 0
    for _ in range(150):
        steps = draw.choice([1, 2, 3, 4, 5, 7, 10, 33, 100, 257])
        own = {
            "pct_start": draw.choice([0.0, 1.0, 0.3, 0.5, draw.random(), 0.1, 0.25]),
            "anneal_strategy": draw.choice(["cos", "linear"]),
            "div_factor": draw.choice([25.0, 1.0, 3.7]),
            "final_div_factor": draw.choice([1e4, 1.0, 20.0]),
            "three_phase": draw.random() < 0.5,
        }
        ours = schedules.torch_one_cycle(steps, 0.3, **own)  # type: ignore[arg-type]
        try:
            theirs = torch.optim.lr_scheduler.OneCycleLR(
                sgd(torch, 0.1)[1], 0.3, total_steps=steps, cycle_momentum=False, **own
            )
        except ZeroDivisionError:  # a phase of no steps
            continue
        np.testing.assert_allclose(ours.values(), schedules.from_scheduler(theirs, steps).values(), rtol=1e-10)
        compared += 1
    assert compared > 100


def test_a_warmup_from_a_value_is_that_of_torch_and_optax(torch: Any, jax: Any) -> None:
    optax = pytest.importorskip("optax")
    ours = schedules.cosine(T, 0.1, warmup=5).warmed(5, 0.01)
    optimizer = sgd(torch, 0.1)[1]
    L = torch.optim.lr_scheduler
    phases = [L.LinearLR(optimizer, 0.1, total_iters=5), L.CosineAnnealingLR(optimizer, T - 5)]
    theirs = schedules.from_scheduler(L.SequentialLR(optimizer, phases, [5]), T)
    np.testing.assert_allclose(ours.values(), theirs.values(), rtol=1e-12)
    again = schedules.from_function(optax.warmup_cosine_decay_schedule(0.01, 0.1, 5, T), T)
    np.testing.assert_allclose(ours.values(), again.values(), rtol=1e-5)
