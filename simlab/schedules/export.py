"""Schedules as files, and as source for PyTorch, Optax and Hugging Face Transformers.

A framework's own schedules differ by a step or so: torch's and transformers' warmups are t / w and spend the
first step at lr = 0, optax's reach their end value one step after the last step of a run. The generated
modules reproduce the source instead, step by step. They hold the closed form of the schedule (a table only
where it was an array) and import nothing of simlab. Convention of all three: the first optimizer step uses
lr[0], and after the last step the last value is held.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from os import PathLike
from pathlib import Path

from simlab.errors import InputError
from simlab.replacing import replacing, settle
from simlab.schedules.base import Schedule
from simlab.schedules.codegen import JaxSource, MathSource, Source

__all__ = ["to_csv", "to_json", "to_optax", "to_torch", "to_transformers"]

INT32 = 2**31 - 1


def to_csv(schedule: Schedule, path: str | PathLike[str], *, overwrite: bool = False) -> None:
    """Write the columns step,lr, one row for each step, with floats that read back exactly.

    `from_csv` reads it back to the same values. An existing file is refused unless `overwrite` is true.
    """
    with _created(path, overwrite) as new, new.open("w", encoding="utf-8", newline="") as file:
        file.write("step,lr\n")
        step = 0
        for chunk in schedule.chunks():
            file.writelines(f"{step + i},{value!r}\n" for i, value in enumerate(chunk.tolist()))
            step += chunk.size


def to_json(schedule: Schedule, path: str | PathLike[str], *, overwrite: bool = False) -> None:
    """Write the expression (`to_dict`) as JSON; `from_json` reads it back to an equal schedule.

    An existing file is refused unless `overwrite` is true.
    """
    text = json.dumps(schedule.to_dict(), indent=2) + "\n"
    with _created(path, overwrite) as new:
        new.write_text(text, encoding="utf-8")


def to_torch(schedule: Schedule) -> str:
    """Source of a module with `make_scheduler(optimizer)`, a torch.optim.lr_scheduler.LambdaLR.

    The scheduler reproduces lr[t] to 1e-12 relative at every step; PyTorch computes a learning rate as base
    times factor, so the optimizer must be made with lr = peak (the module's BASE_LR, to 1e-6 relative: the lr of
    the optimizer or of one of its parameter groups; anything else is refused by make_scheduler, while groups
    with an lr of their own keep their ratio to it). Call
    scheduler.step() after each optimizer.step(): step t of training then uses lr[t]. After step T - 1 the
    last value is held. To resume, make the scheduler again and load its state_dict: the value depends on the
    step count alone. The module also has `learning_rate(step)`.

    Raises `InputError` for schedules that would embed more than 20,000 values.
    """
    return _torch_module(
        schedule,
        maker="make_scheduler",
        usage=(
            "optimizer = torch.optim.SGD(model.parameters(), lr=BASE_LR)",
            "scheduler = make_scheduler(optimizer)",
            "... loss.backward(); optimizer.step(); scheduler.step()",
        ),
    )


def to_transformers(schedule: Schedule) -> str:
    """Source of a module with `get_scheduler(optimizer)`, for Trainer(optimizers=(optimizer, scheduler)).

    The scheduler is PyTorch's LambdaLR, as those of transformers are, with all of the remarks of `to_torch`;
    the module needs torch alone. Trainer then ignores its arguments lr_scheduler_type, warmup_steps and
    learning_rate; set max_steps to the length of the schedule. One step is one optimizer step, after gradient
    accumulation.
    """
    return _torch_module(
        schedule,
        maker="get_scheduler",
        usage=(
            "optimizer = torch.optim.AdamW(model.parameters(), lr=BASE_LR)",
            "args = TrainingArguments(..., max_steps=STEPS)",
            "Trainer(model, args, ..., optimizers=(optimizer, get_scheduler(optimizer)))",
        ),
    )


def to_optax(schedule: Schedule) -> str:
    """Source of a module with `schedule(count)`, an Optax schedule: optax.sgd(learning_rate=schedule).

    A pure function of integer counts (Python, numpy or traced, any shape; counts outside the run get the
    nearest end) that works under jit and vmap. Precision is JAX's: float32 by default, within 1e-6 relative
    of the source (a value that has decayed by a factor f loses |ln f| rounding errors), 1e-12 with
    jax_enable_x64. The module needs jax and numpy, not optax.

    Raises `InputError` for schedules that would embed more than 20,000 values or have more than 2^31 - 1
    steps.
    """
    if schedule.length > INT32:
        raise InputError(f"the schedule has {schedule.length} steps, beyond JAX's int32 counts; use at most {INT32}.")
    source = JaxSource()
    value = source.expression(schedule.plan).text
    parts = [
        _header(schedule, ("optimizer = optax.sgd(learning_rate=schedule)",)),
        "import jax.numpy as jnp\nimport numpy as np\n" if _uses(source, "np.array") else "import jax.numpy as jnp\n",
        f"STEPS = {schedule.length}\n",
        *source.definitions,
        f'''def schedule(count):
    """Learning rate of step `count` (any shape); the nearest end outside 0 .. STEPS - 1."""
    t = jnp.clip(jnp.asarray(count, jnp.result_type(int)), 0, STEPS - 1)
    return jnp.broadcast_to(jnp.asarray({value}, jnp.result_type(float)), t.shape)
''',
    ]
    return _assemble(parts)


def _torch_module(schedule: Schedule, maker: str, usage: tuple[str, ...]) -> str:
    source = MathSource()
    value = source.expression(schedule.plan).text
    imports = "import math\n"
    imports += "from bisect import bisect_right\n" if _uses(source, "bisect_right") else ""
    base = schedule.peak() or 1.0
    parts = [
        _header(schedule, usage),
        f"{imports}\nfrom torch.optim.lr_scheduler import LambdaLR\n".lstrip("\n"),
        f"STEPS = {schedule.length}\nBASE_LR = {base!r}\n",
        *source.definitions,
        f'''def learning_rate(step):
    """Learning rate of step 0 .. STEPS - 1; the last value is held after them."""
    t = min(max(step, 0), STEPS - 1)
    return {value}
''',
        '''def factor(step):
    """The multiple of BASE_LR that LambdaLR asks for."""
    return learning_rate(step) / BASE_LR
''',
        f'''def {maker}(optimizer, last_epoch=-1):
    """The schedule as a LambdaLR; the optimizer, or a group of it, must have been made with lr=BASE_LR."""
    own = [group.get("initial_lr", group["lr"]) for group in optimizer.param_groups]
    rates = [float(rate) for rate in [optimizer.defaults["lr"], *own]]
    if not any(math.isclose(rate, BASE_LR, rel_tol=1e-6) for rate in rates):
        raise ValueError(f"the optimizer has lr={{rates[0]}}; make it with lr={{BASE_LR}}")
    return LambdaLR(optimizer, factor, last_epoch)
''',
    ]
    return _assemble(parts)


def _header(schedule: Schedule, usage: tuple[str, ...]) -> str:
    lines = [
        f"# Learning-rate schedule of {schedule.length} steps, exported by simlab:",
        f"#     {schedule!r}",
        "#",
    ]
    return "\n".join([*lines, *(f"#     {line}" for line in usage)]) + "\n"


def _uses(source: Source, text: str) -> bool:
    return any(text in definition for definition in source.definitions)


def _assemble(parts: list[str]) -> str:
    """The parts with one blank line between them, two around functions."""
    text = parts[0]
    for before, part in pairwise(parts):
        text += ("\n\n" if "def " in (before[:4], part[:4]) else "\n") + part
    return text


@contextmanager
def _created(path: str | PathLike[str], overwrite: bool) -> Iterator[Path]:
    """Where to write what is to stand at `path`, if that may be written; it appears there whole or not at all."""
    target = Path(path)
    if target.exists() and not overwrite:
        raise InputError(" exists; choose another name or pass overwrite=True.", target)
    if not target.parent.is_dir():
        raise InputError(" is not a folder; create it first.", target.parent)
    settle(target)
    try:
        with replacing(target) as new:
            yield new
    except OSError as error:
        raise InputError(
            f" cannot be written ({error.strerror or error}); choose a folder you may write to.", target
        ) from None
