"""Schedules as files, and as source for PyTorch, Optax and Hugging Face Transformers.

A framework's own schedules differ by a step or so: torch's and transformers' warmups are t / w and spend the
first step at lr = 0, optax's reach their end value one step after the last step of a run. The generated
modules reproduce the source instead, step by step. They hold the closed form of the schedule (values only where it
was an array: packed into the text up to a million of them, beyond in a file beside the module) and import nothing of
simlab. Convention of all three: the first optimizer step uses
lr[0], and after the last step the last value is held.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from os import PathLike
from pathlib import Path

import numpy as np

from simlab.doors import door
from simlab.errors import InputError, check_path
from simlab.replacing import replacing, settle
from simlab.schedules.base import Schedule
from simlab.schedules.codegen import JaxSource, MathSource, Source
from simlab.schedules.combinators import own

__all__ = ["to_csv", "to_json", "to_optax", "to_torch", "to_transformers"]

INT32 = 2**31 - 1

SHOWN = 1_000
"""Longest expression that the head of a module quotes in full."""


@door
def to_csv(schedule: Schedule, path: str | PathLike[str], *, overwrite: bool = False) -> None:
    """Write the columns step,lr, one row for each step, with floats that read back exactly.

    `from_csv` reads it back to the same values. An existing file is refused unless `overwrite` is true.
    """
    schedule = own(schedule)
    with _created(path, overwrite) as new, new.open("w", encoding="utf-8", newline="") as file:
        file.write("step,lr\n")
        step = 0
        for chunk in schedule.chunks():
            file.writelines(f"{step + i},{value!r}\n" for i, value in enumerate(chunk.tolist()))
            step += chunk.size


@door
def to_json(schedule: Schedule, path: str | PathLike[str], *, overwrite: bool = False) -> None:
    """Write the expression (`to_dict`) as JSON; `from_json` reads it back to an equal schedule.

    An existing file is refused unless `overwrite` is true.
    """
    text = json.dumps(own(schedule).to_dict(), indent=2) + "\n"
    with _created(path, overwrite) as new:
        new.write_text(text, encoding="utf-8")


@door
def to_torch(schedule: Schedule, data: str | PathLike[str] | None = None, *, overwrite: bool = False) -> str:
    """Source of a module with `make_scheduler(optimizer)`, a torch.optim.lr_scheduler.LambdaLR.

    The scheduler reproduces lr[t] to 1e-12 relative at every step; PyTorch computes a learning rate as base
    times factor, so the optimizer must be made with lr = peak (the module's BASE_LR, to 1e-6 relative: the lr of
    the optimizer or of one of its parameter groups; anything else is refused by make_scheduler, while groups
    with an lr of their own keep their ratio to it). Call
    scheduler.step() after each optimizer.step(): step t of training then uses lr[t]. After step T - 1 the
    last value is held. To resume, make the scheduler again and load its state_dict: the value depends on the
    step count alone. The module also has `learning_rate(step)`.

    `data` is a path for the values of a schedule that holds more than a million separate ones (npz; written only then,
    never over a file that is there unless `overwrite`); the module looks for that name beside itself. Raises
    `InputError` where it is needed and not given.
    """
    return _torch_module(
        schedule,
        data,
        overwrite,
        maker="make_scheduler",
        usage=(
            "optimizer = torch.optim.SGD(model.parameters(), lr=BASE_LR)",
            "scheduler = make_scheduler(optimizer)",
            "... loss.backward(); optimizer.step(); scheduler.step()",
        ),
    )


@door
def to_transformers(schedule: Schedule, data: str | PathLike[str] | None = None, *, overwrite: bool = False) -> str:
    """Source of a module with `get_scheduler(optimizer)`, for Trainer(optimizers=(optimizer, scheduler)).

    The scheduler is PyTorch's LambdaLR, as those of transformers are, with all of the remarks of `to_torch`;
    the module needs torch alone. Trainer then ignores its arguments lr_scheduler_type, warmup_steps and
    learning_rate; set max_steps to the length of the schedule. One step is one optimizer step, after gradient
    accumulation.
    """
    return _torch_module(
        schedule,
        data,
        overwrite,
        maker="get_scheduler",
        usage=(
            "optimizer = torch.optim.AdamW(model.parameters(), lr=BASE_LR)",
            "args = TrainingArguments(..., max_steps=STEPS)",
            "Trainer(model, args, ..., optimizers=(optimizer, get_scheduler(optimizer)))",
        ),
    )


@door
def to_optax(schedule: Schedule, data: str | PathLike[str] | None = None, *, overwrite: bool = False) -> str:
    """Source of a module with `schedule(count)`, an Optax schedule: optax.sgd(learning_rate=schedule).

    A pure function of integer counts (Python, numpy or traced, any shape; counts outside the run get the
    nearest end) that works under jit and vmap. Precision is JAX's: float32 by default, within 1e-6 relative
    of the source (a value that has decayed by a factor f loses |ln f| rounding errors), 1e-12 with
    jax_enable_x64. The module needs jax and numpy, not optax.

    `data` as in `to_torch`. Raises `InputError` where it is needed and not given, and for schedules of more than 2^31 -
    1 steps.
    """
    if own(schedule).length > INT32:
        raise InputError(f"the schedule has {schedule.length} steps, beyond JAX's int32 counts; use at most {INT32}.")
    source = JaxSource(None if data is None else check_path("data", data).name)
    value = source.expression(schedule.plan).text
    _write_apart(source, data, overwrite)
    parts = [
        _header(schedule, ("optimizer = optax.sgd(learning_rate=schedule)",)),
        _imports(source, "import jax.numpy as jnp"),
        f"STEPS = {schedule.length}\n",
        *source.definitions,
        f'''def schedule(count):
    """Learning rate of step `count` (any shape); the nearest end outside 0 .. STEPS - 1."""
    t = jnp.clip(jnp.asarray(count, jnp.result_type(int)), 0, STEPS - 1)
    return jnp.broadcast_to(jnp.asarray({value}, jnp.result_type(float)), t.shape)
''',
    ]
    return _assemble(parts)


def _torch_module(
    schedule: Schedule, data: str | PathLike[str] | None, overwrite: bool, maker: str, usage: tuple[str, ...]
) -> str:
    source = MathSource(None if data is None else check_path("data", data).name)
    value = source.expression(own(schedule).plan).text
    _write_apart(source, data, overwrite)
    base = schedule.peak() or 1.0
    parts = [
        _header(schedule, usage),
        _imports(source, "import math", "from torch.optim.lr_scheduler import LambdaLR"),
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
    expression = repr(schedule)
    lines = [
        f"# Learning-rate schedule of {schedule.length} steps, exported by simlab:",
        f"#     {expression if len(expression) <= SHOWN else expression[:SHOWN] + ' ..'}",
        "#",
    ]
    return "\n".join([*lines, *(f"#     {line}" for line in usage)]) + "\n"


STANDARD = {
    "sys.": "import sys",
    "array(kind": "from array import array",
    "b85decode": "from base64 import b85decode",
    "bisect_right": "from bisect import bisect_right",
    "Path(": "from pathlib import Path",
    "decompress": "from zlib import decompress",
}
"""What a definition uses of the standard library, and how it is imported."""


def _imports(source: Source, *always: str) -> str:
    """The imports of a module, those of the standard library first."""
    text = "".join(source.definitions)
    lines = {line for used, line in STANDARD.items() if used in text}
    others = {line for line in always if line != "import math"}
    others |= {"import numpy as np"} if re.search(r"\bnp\.", text) else set()
    lines |= set(always) - others

    def ordered(some: set[str]) -> list[str]:
        return sorted(some, key=lambda line: (line.startswith("from"), line))

    return "\n".join([*ordered(lines), *([""] if lines and others else []), *ordered(others)]) + "\n"


def _write_apart(source: Source, data: str | PathLike[str] | None, overwrite: bool) -> None:
    """Write the values that the module reads from its file, if there are such."""
    if source.rows.apart and data is not None:
        with _created(data, overwrite) as new, new.open("wb") as file:
            np.savez_compressed(file, **source.rows.apart)  # type: ignore[arg-type]


def _assemble(parts: list[str]) -> str:
    """The parts with one blank line between them, two around functions."""
    text = parts[0]
    for before, part in pairwise(parts):
        text += ("\n\n" if "def " in (before[:4], part[:4]) else "\n") + part
    return text


@contextmanager
def _created(path: str | PathLike[str], overwrite: bool) -> Iterator[Path]:
    """Where to write what is to stand at `path`, if that may be written; it appears there whole or not at all."""
    target = check_path("path", path)
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
