"""Rules that are not linear beside the packages that define them: the same gradients, step by step, in float64.

Both descend one turned quadratic, and the risk after every step is compared. Decay pulls to w_0 here and to 0 there, so
that runs start from 0. What is not installed is skipped with its name. Slow: PyTorch and JAX take seconds to load.
"""

from __future__ import annotations

import importlib
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import simlab as sl
from simlab import methods, schedules
from simlab.methods.low_bit import dynamic_levels

pytestmark = pytest.mark.slow

STEPS, DIM, RATE = 40, 12, 0.02
LR, FLAT = schedules.linear(STEPS, RATE, floor=0.2), schedules.constant(STEPS, RATE)
TARGET = np.linspace(1.0, 2.0, DIM) * (-1.0) ** np.arange(DIM)
PROBLEM = sl.LinearRegression(1.0 / np.arange(1, DIM + 1.0), TARGET, 0.0).rotated(3)
OPTIMUM = -PROBLEM.rotation @ TARGET
"""Of weights that start from 0."""
TINY = 1e-30
"""An eps that is none: packages add it before or after a correction, within a root or outside."""

Gradient = Callable[[np.ndarray], np.ndarray]


def gradient(w: np.ndarray) -> np.ndarray:
    Q, lam = PROBLEM.rotation, PROBLEM.eigenvalues
    return Q @ (lam * (Q.T @ (w - OPTIMUM)))


def risk(path: list[np.ndarray]) -> np.ndarray:
    return 0.5 * ((np.array(path) - OPTIMUM) @ PROBLEM.rotation) ** 2 @ PROBLEM.eigenvalues


def ours(name: str, lr: Any, given: dict[str, Any]) -> np.ndarray:
    method = getattr(methods, name)(lr, batch=np.inf, **given)
    return sl.sample(PROBLEM, method, replicas=1, record="all", progress=False).total().values[1:]


def by_torch(
    make: Callable[..., Any], lr: Any, given: dict[str, Any], sizes: tuple[int, ...] = (DIM,), start: Any = 0.0
) -> np.ndarray:
    """Of an optimiser class of PyTorch, its rate set before every step; weights are tensors of these sizes."""
    torch = pytest.importorskip("torch")
    before, edges = torch.get_default_dtype(), np.cumsum(sizes)[:-1]
    # NAdam keeps a product of its momenta in the default precision.
    torch.set_default_dtype(torch.float64)
    try:
        blocks = [torch.tensor(part, requires_grad=True) for part in np.split(np.zeros(DIM) + start, edges)]
        optimiser, path = make(blocks, lr=float(lr.values()[0]), **given), []
        for rate in lr.values():
            for group in optimiser.param_groups:
                group["lr"] = float(rate)
            w = np.concatenate([block.detach().numpy() for block in blocks])
            for block, part in zip(blocks, np.split(gradient(w), edges), strict=True):
                block.grad = torch.tensor(part)
            with warnings.catch_warnings():
                # AdaBound and AdaMod call what PyTorch has deprecated since.
                warnings.simplefilter("ignore")
                optimiser.step()
            path.append(np.concatenate([block.detach().numpy() for block in blocks]))
    finally:
        torch.set_default_dtype(before)
    return risk(path)


def by_optax(make: Callable[..., Any], lr: Any, given: dict[str, Any], start: Any = 0.0) -> np.ndarray:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        jax = pytest.importorskip("jax")
    with jax.enable_x64(True):
        import jax.numpy as jnp

        values = jnp.asarray(lr.values())
        rule = make(lambda count: values[count], **given)
        w, path = jnp.zeros(DIM) + start, []
        state = rule.init(w)
        for _ in range(STEPS):
            steps, state = rule.update(jnp.asarray(gradient(np.asarray(w))), state, w)
            w = w + steps
            path.append(np.asarray(w))
    return risk(path)


def original(place: str) -> Any:
    """A class or function of another package, by its address; the test is skipped where it is not installed."""
    package, _, name = place.rpartition(".")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pytest.importorskip(package.partition(".")[0])
        return getattr(importlib.import_module(package), name)


TORCH = [
    ("sign_sgd", {}, "pytorch_optimizer.SignSGD", {"momentum": 0.0}),
    ("signum", {}, "pytorch_optimizer.SignSGD", {"momentum": 0.9}),
    ("adagrad", {"initial": 0.1}, "torch.optim.Adagrad", {"initial_accumulator_value": 0.1}),
    ("rmsprop", {}, "torch.optim.RMSprop", {}),
    ("rmsprop", {"momentum": 0.5, "beta": 0.9}, "torch.optim.RMSprop", {"momentum": 0.5, "alpha": 0.9}),
    ("adam", {}, "torch.optim.Adam", {}),
    ("adam", {"beta1": 0.0, "beta2": 0.9}, "torch.optim.Adam", {"betas": (0.0, 0.9)}),
    ("adam", {"amsgrad": True, "beta2": 0.9}, "torch.optim.Adam", {"amsgrad": True, "betas": (0.9, 0.9)}),
    ("adamw", {"weight_decay": 0.1}, "torch.optim.AdamW", {"weight_decay": 0.1}),
    ("nadam", {}, "torch.optim.NAdam", {}),
    ("radam", {"beta2": 0.9}, "torch.optim.RAdam", {"betas": (0.9, 0.9)}),
    ("radam", {}, "torch.optim.RAdam", {}),
    ("lion", {"weight_decay": 0.2}, "timm.optim.Lion", {"weight_decay": 0.2}),
    ("adabound", {}, "adabound.AdaBound", {}),
    ("adabound", {"beta2": 0.9, "final_lr": 0.01}, "adabound.AdaBound", {"betas": (0.9, 0.9), "final_lr": 0.01}),
    ("adamod", {}, "adamod.AdaMod", {}),
    ("adamod", {"beta2": 0.99, "beta3": 0.9}, "pytorch_optimizer.AdaMod", {"betas": (0.9, 0.99, 0.9), "eps": 1e-8}),
]  # fmt: skip


@pytest.mark.parametrize(("name", "given", "place", "theirs"), TORCH, ids=lambda x: str(x).replace(" ", ""))
def test_against_pytorch(name, given, place, theirs):
    np.testing.assert_allclose(ours(name, LR, given), by_torch(original(place), LR, theirs), rtol=1e-12)


@pytest.mark.parametrize("lr", [LR, FLAT], ids=["linear", "constant"])
@pytest.mark.parametrize(
    ("name", "given", "their_name", "theirs"),
    [
        ("sign_sgd", {}, "sign_sgd", {}),
        ("signum", {}, "signum", {}),
        ("lion", {"weight_decay": 0.2}, "lion", {"weight_decay": 0.2}),
        ("adagrad", {"initial": 0.1, "eps": 0.0}, "adagrad", {"eps": 0.0}),
        ("rmsprop", {"beta": 0.9}, "rmsprop", {"eps_in_sqrt": False}),
        ("adam", {}, "adam", {}),
        ("adam", {"beta1": 0.0, "beta2": 0.9}, "adam", {"b1": 0.0, "b2": 0.9}),
        ("adamw", {"weight_decay": 0.1}, "adamw", {"weight_decay": 0.1}),
        ("radam", {"eps": TINY}, "radam", {"eps": TINY}),
    ],
)
def test_against_optax(name, given, their_name, theirs, lr):
    rule = original(f"optax.{their_name}")
    np.testing.assert_allclose(ours(name, lr, given), by_optax(rule, lr, theirs), rtol=1e-12)


def test_against_optax_with_momentum_that_holds_the_rate():
    """RMSprop's momentum holds rates there and steps here: the same where the rate is constant."""
    theirs = by_optax(original("optax.rmsprop"), FLAT, {"eps_in_sqrt": False, "momentum": 0.5})
    np.testing.assert_allclose(ours("rmsprop", FLAT, {"beta": 0.9, "momentum": 0.5}), theirs, rtol=1e-12)


@pytest.mark.parametrize("sizes", [(4, 4, 4), (1, 2, 9)], ids=str)
def test_against_adam_mini(sizes):
    """A tensor that its authors' code knows by no name is a block of its own."""
    inner = original("adam_mini.Adam_mini")

    def make(blocks: Any, **given: Any) -> Any:
        return inner([(f"block.{j}", block) for j, block in enumerate(blocks)], verbose=False, **given)

    theirs = by_torch(make, LR, {"weight_decay": 0.2}, sizes)
    np.testing.assert_allclose(ours("adam_mini", LR, {"blocks": sizes, "weight_decay": 0.2}), theirs, rtol=1e-12)


# -- layers: norms of weights that start elsewhere than at 0 ----------------------------------------------------------

SIZES = (4, 1, 7)
START = np.linspace(-1.0, 2.0, DIM)
MOVED = sl.LinearRegression(PROBLEM.eigenvalues, PROBLEM.rotation.T @ (START - OPTIMUM), 0.0).rotated(3)
"""The same quadratic, from another start."""


def layered(name: str, lr: Any, given: dict[str, Any]) -> np.ndarray:
    method = getattr(methods, name)(lr, batch=np.inf, blocks=SIZES, weights=START, **given)
    return sl.sample(MOVED, method, replicas=1, record="all", progress=False).total().values[1:]


@pytest.mark.parametrize("decay", [0.0, 0.3])
@pytest.mark.parametrize("name", ["lars", "lamb"])
def test_layers_against_timm(name, decay):
    ours = layered(name, LR, {"weight_decay": decay, **({"trust": 0.05} if name == "lars" else {})})
    theirs = {"weight_decay": decay, "always_adapt": True}
    theirs |= {"momentum": 0.9, "trust_coeff": 0.05} if name == "lars" else {"max_grad_norm": None}
    place = original(f"timm.optim.{name.capitalize()}")
    np.testing.assert_allclose(ours, by_torch(place, LR, theirs, SIZES, START), rtol=1e-12)


@pytest.mark.parametrize("decay", [0.0, 0.3])
@pytest.mark.parametrize("name", ["lars", "lamb"])
def test_layers_against_optax(name, decay):
    """LARS divides by |g + decay w| there, which without decay is the same, and its momentum holds the rate."""
    rule = original(f"optax.{name}")
    if name == "lars" and decay:
        pytest.skip("LARS of Optax takes another ratio with decay")
    ours = layered(name, FLAT, {"weight_decay": decay, **({"trust": 0.05, "eps": 0.0} if name == "lars" else {})})
    theirs = {"weight_decay": decay, **({"trust_coefficient": 0.05} if name == "lars" else {})}
    edges = np.cumsum(SIZES)[:-1]

    def make(rate: Any, **given: Any) -> Any:
        import jax.numpy as jnp

        inner = rule(rate, **given)

        class InBlocks:
            def init(self, w: Any) -> Any:
                return inner.init(jnp.split(w, edges))

            def update(self, g: Any, state: Any, w: Any) -> Any:
                steps, state = inner.update(jnp.split(g, edges), state, jnp.split(w, edges))
                return jnp.concatenate(steps), state

        return InBlocks()

    np.testing.assert_allclose(ours, by_optax(make, FLAT, theirs, START), rtol=1e-12)


# -- rates from distances ---------------------------------------------------------------------------------------------

LONG = schedules.cosine(60, 1.0)


@pytest.mark.parametrize(
    ("rule", "inner", "given", "place", "theirs"),
    [
        ("prodigy", "adam", {}, "prodigyopt.Prodigy", {}),
        ("prodigy", "adam", {"bias_correction": True}, "prodigyopt.Prodigy", {"use_bias_correction": True}),
        ("prodigy", "adam", {"safeguard_warmup": True, "coefficient": 2.0, "growth": 1.5}, "prodigyopt.Prodigy",
         {"safeguard_warmup": True, "d_coef": 2.0, "growth_rate": 1.5}),
        ("prodigy", "adamw", {}, "prodigyopt.Prodigy", {"weight_decay": 0.01}),
        ("d_adaptation_adam", "adam", {}, "dadaptation.DAdaptAdam", {}),
        ("d_adaptation_adam", "adam", {"bias_correction": True, "growth": 1.2}, "dadaptation.DAdaptAdam",
         {"use_bias_correction": True, "growth_rate": 1.2}),
        ("d_adaptation_adam", "adamw", {}, "dadaptation.DAdaptAdam", {"weight_decay": 0.01, "decouple": True}),
        ("d_adaptation", "sgd", {}, "dadaptation.DAdaptSGD", {}),
        ("d_adaptation", "sgd", {"momentum": 0.9}, "dadaptation.DAdaptSGD", {"momentum": 0.9}),
    ],
)  # fmt: skip
@pytest.mark.parametrize(("d0", "rtol"), [(1e-2, 1e-12), (1e-6, 1e-8)])
def test_rates_from_distances(rule, inner, given, place, theirs, d0, rtol):
    """w_0 - w is a difference of two numbers of order 1 here and exact there, where w_0 = 0: while it is of order d_0,
    rounding is 10^-16 / d_0 of it."""
    lr = LONG * 0.1 if inner == "sgd" else LONG
    feedback = getattr(sl.feedback, rule)(d0=d0, **given)
    loop = methods.closed_loop(getattr(methods, inner)(lr, batch=np.inf), feedback)
    mine = sl.sample(PROBLEM, loop, replicas=1, record="all", progress=False).total().values[1:]
    wanted = by_torch(original(place), lr, {"d0": d0, **theirs})
    np.testing.assert_allclose(mine, wanted, rtol=rtol, atol=1e-16)
    assert wanted[-1] < 0.9 * wanted[0] or rule != "prodigy"  # it has moved


# -- few bits ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("bits", [4, 8])
@pytest.mark.parametrize("signed", [True, False])
def test_levels_against_bitsandbytes(bits, signed):
    make = original("bitsandbytes.functional.create_dynamic_map")
    theirs = make(signed=signed, max_exponent_bits=bits - 1, total_bits=bits).double().numpy()
    wanted = np.unique(theirs)
    np.testing.assert_allclose(
        dynamic_levels(bits, signed), wanted, rtol=3e-7, atol=1e-12
    )  # made in single precision there
