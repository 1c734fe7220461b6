"""Generated torch, transformers and optax modules, run step by step beside their source.

Here numpy stands for jax.numpy and a few lines for LambdaLR; `test_schedule_frameworks.py` has the real ones.
"""

from __future__ import annotations

import ast
import sys
import types
from typing import Any

import numpy as np
import pytest

import simlab.schedules as sl
from simlab.errors import InputError
from simlab.schedules import Schedule, rows
from tests.oracles.schedule_zoo import BASE, IDS, SOURCES


class LambdaLR:
    """Rates as those of torch: base times factor, base the rate of each group when it was first seen."""

    def __init__(self, optimizer: Any, factor: Any, last_epoch: int = -1) -> None:
        self.groups, self.factor, self.count = optimizer.param_groups, factor, last_epoch
        self.bases = [group.setdefault("initial_lr", group["lr"]) for group in self.groups]
        self.step()

    def step(self) -> None:
        self.count += 1
        for group, base in zip(self.groups, self.bases, strict=True):
            group["lr"] = base * self.factor(self.count)


class Optimizer:
    """What make_scheduler reads of an optimizer."""

    def __init__(self, default: float, *groups: float) -> None:
        self.defaults, self.param_groups = {"lr": default}, [{"lr": rate} for rate in groups or [default]]


@pytest.fixture(autouse=True)
def frameworks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Stand-ins for torch and jax, and floating-point errors that raise."""
    for name in ("torch", "torch.optim", "torch.optim.lr_scheduler", "jax"):
        monkeypatch.setitem(sys.modules, name, types.ModuleType(name))
    sys.modules["torch.optim.lr_scheduler"].LambdaLR = LambdaLR  # type: ignore[attr-defined]
    sys.modules["jax"].numpy = np  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "jax.numpy", np)


def load(source: str, path: Any = "exported.py") -> dict[str, Any]:
    """The namespace of a generated module."""
    module = types.ModuleType("exported")
    module.__file__ = str(path)
    exec(compile(source, str(path), "exec"), module.__dict__)
    return module.__dict__


def imports(source: str) -> set[str]:
    nodes = ast.walk(ast.parse(source))
    names = [n.module for n in nodes if isinstance(n, ast.ImportFrom)]
    names += [a.name for n in ast.walk(ast.parse(source)) if isinstance(n, ast.Import) for a in n.names]
    return {str(name).partition(".")[0] for name in names}


def walk(scheduler: LambdaLR, steps: int) -> np.ndarray:
    """The rates of each group that an optimizer would use, shape (steps, groups)."""
    used = []
    for _ in range(steps):
        used.append([group["lr"] for group in scheduler.groups])
        scheduler.step()
    return np.array(used)


def test_every_family_is_exported() -> None:
    assert {source.kind for source in SOURCES} >= set(sl.named())


@pytest.mark.parametrize("source", SOURCES, ids=IDS)
def test_modules_reproduce_every_step(source: Schedule) -> None:
    for export, maker in ((sl.to_torch, "make_scheduler"), (sl.to_transformers, "get_scheduler")):
        text = export(source)
        assert imports(text) <= {"math", "bisect", "torch"}
        module = load(text)
        used = walk(module[maker](Optimizer(module["BASE_LR"])), len(source) + 2)[:, 0]
        np.testing.assert_allclose(used[: len(source)], source.values(), rtol=1e-12, atol=0.0)
        assert used[-2:].tolist() == [used[len(source) - 1]] * 2
        assert module["STEPS"] == len(source)
        assert module["BASE_LR"] == (source.peak() or 1.0)
    text = sl.to_optax(source)
    assert imports(text) <= {"jax", "numpy"}
    schedule = load(text)["schedule"]
    counts = np.arange(-2, len(source) + 2)
    np.testing.assert_allclose(schedule(counts)[2:-2], source.values(), rtol=1e-12, atol=0.0)
    assert schedule(counts)[:2].tolist() == [schedule(0)] * 2
    assert schedule(counts)[-2:].tolist() == [schedule(len(source) - 1)] * 2
    assert np.shape(schedule(0)) == ()


def test_closed_forms_stay_short_for_long_runs() -> None:
    steps = 10**7
    source = sl.wsd(steps, 0.3, warmup=0.01, shape="1-sqrt") * sl.sgdr(steps, 1.0, period=1000)
    probe = np.array([0, 99_999, 100_000, 7_999_999, 8_000_000, 9_999_998, steps - 1])
    text = sl.to_torch(source)
    assert len(text) < 2500
    rate = load(text)["learning_rate"]
    np.testing.assert_allclose([rate(int(t)) for t in probe], source(probe), rtol=1e-12)
    np.testing.assert_allclose(load(sl.to_optax(source))["schedule"](probe), source(probe), rtol=1e-12)


# Arrays of any length ---------------------------------------------------------------------------------------

RANDOM = np.random.default_rng(0).uniform(0.1, 1.0, 30_000)
LONG = {
    "every step its own": sl.from_array(RANDOM),
    "stairs": sl.from_array(np.repeat(RANDOM[:5_000], 7)),
    "knots": sl.piecewise(10**6, knots=[(7 * i, value) for i, value in enumerate(RANDOM.tolist())]),
    "with others": sl.join(sl.cosine(100, 0.3), sl.from_array(RANDOM), sl.linear(100, 0.3)) * 0.5,
    "many parts": sl.join(*(sl.linear(7, value) for value in RANDOM[:2_000].tolist())),
}


def check(source: Schedule, texts: dict[Any, str], path: Any = "exported.py") -> None:
    probe = np.unique(np.append(np.linspace(0, len(source) - 1, 999).astype(int), [1, 2, len(source) - 2]))
    rate = load(texts[sl.to_torch], path)["learning_rate"]
    assert all(type(rate(int(t))) is float for t in probe[:3])
    np.testing.assert_allclose([rate(int(t)) for t in probe], source(probe), rtol=1e-12)
    np.testing.assert_allclose(load(texts[sl.to_optax], path)["schedule"](probe), source(probe), rtol=1e-12)


@pytest.mark.parametrize("name", LONG)
def test_long_arrays_are_packed_into_the_text(name: str) -> None:
    source = LONG[name]
    texts = {export: export(source) for export in (sl.to_torch, sl.to_optax)}
    assert all(len(text) < 30 * 30_000 for text in texts.values())
    assert all(len(line) <= 120 or line[0] == "#" for text in texts.values() for line in text.splitlines())
    check(source, texts)


@pytest.mark.parametrize("name", ["every step its own", "knots"])
def test_still_longer_ones_stand_beside_it(name: str, tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rows, "EMBEDDED", 20_000)
    source = LONG[name]
    for export in (sl.to_torch, sl.to_transformers, sl.to_optax):
        with pytest.raises(InputError, match=r"over 20,000 separate values.*give data = .rates.npz."):
            export(source)
    texts = {export: export(source, tmp_path / f"{export.__name__}.npz") for export in (sl.to_torch, sl.to_optax)}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["to_optax.npz", "to_torch.npz"]
    assert max(map(len, texts.values())) < 3_000
    check(source, texts, tmp_path / "exported.py")
    with pytest.raises(InputError, match=r"to_torch.npz exists"):
        sl.to_torch(source, tmp_path / "to_torch.npz")
    assert sl.to_torch(source, tmp_path / "to_torch.npz", overwrite=True) == texts[sl.to_torch]
    assert sl.to_torch(BASE, tmp_path / "not_needed.npz") == sl.to_torch(BASE)
    assert not (tmp_path / "not_needed.npz").exists()


def test_what_cannot_be_exported_is_refused() -> None:
    with pytest.raises(InputError, match=r"beyond JAX's int32 counts"):
        sl.to_optax(sl.constant(2**31, 0.1))
    with pytest.raises(InputError, match=r"over 1,000 parts are joined to over 10,000,000 steps"):
        sl.to_torch(sl.join(*(sl.linear(10**4, 0.1) for _ in range(1_001))))


# Rates of optimizers ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("optimizer", "ratios"),
    [
        (Optimizer(9e-5), [1.0]),  # the peak is 3e-4 * 0.3 = 8.999999999999999e-05
        (Optimizer(float(np.float32(9e-5))), [1.0]),
        (Optimizer(1e-3, 9e-5, 9e-6), [1.0, 0.1]),  # a rate in every group
        (Optimizer(9e-5, 9e-5, 9e-6), [1.0, 0.1]),
        (Optimizer(9e-5, 9e-6), [0.1]),
        (Optimizer(9e-5 * (1 + 9e-7)), [1.0]),
    ],
)
def test_torch_takes_a_rate_that_differs_by_rounding_and_keeps_ratios_of_groups(optimizer: Any, ratios: Any) -> None:
    source = sl.cosine(10, 3e-4) * 0.3
    used = walk(load(sl.to_torch(source))["make_scheduler"](optimizer), 10)
    np.testing.assert_allclose(used, source.values()[:, None] * ratios, rtol=2e-6)


def test_torch_refuses_another_base_rate_and_goes_on_from_a_step() -> None:
    make = load(sl.to_torch(BASE))["make_scheduler"]
    for rate in (0.1, 0.3 * (1 + 2e-6)):
        with pytest.raises(ValueError, match=rf"the optimizer has lr={rate}; make it with lr=0.3"):
            make(Optimizer(rate))
    resumed = Optimizer(0.3)
    resumed.param_groups[0] |= {"lr": 0.123, "initial_lr": 0.3}
    np.testing.assert_allclose(walk(make(resumed, 16), 10)[:, 0], BASE.values(17, 27), rtol=1e-12)
