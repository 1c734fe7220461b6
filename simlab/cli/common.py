"""What all commands share: the root, which makes a line of every refusal, and common options.

Bad input and files that cannot be read or written end with exit code 2 and one line on standard error; Ctrl-C with 130;
SIGTERM, which SLURM, docker and systemd send before they kill, does what Ctrl-C does and ends with 143. A diverged run
is a result: exit code 0.
"""

from __future__ import annotations

import contextlib
import errno
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

__all__ = ["File", "Force", "app", "assignment", "complain", "notices"]

INTERRUPTED, TERMINATED = 130, 143
"""Exit codes after Ctrl-C and SIGTERM, as a shell has them: 128 + the number of the signal."""


class _Simlab(TyperGroup):
    """The root command: the one place where refusals become a line and an exit code."""

    def invoke(self, ctx: Any) -> Any:
        import simlab.kernels.cache as kept

        kept.waiting = complain
        with _terminable() as stopped:
            try:
                return self._answered(ctx)
            except typer.Exit as left:
                if left.exit_code != INTERRUPTED:
                    raise
                raise typer.Exit(stopped.code) from None

    def _answered(self, ctx: Any) -> Any:
        try:
            _refuse_no_threads()
            return super().invoke(ctx)
        except KeyboardInterrupt as error:
            # What the interrupt met on its way has noted what became of its work.
            complain("; ".join(["interrupted", *getattr(error, "__notes__", [])]) + ".")
            _forget_interrupt()
            raise typer.Exit(INTERRUPTED) from None
        except MemoryError:
            complain("this does not fit into memory; use fewer modes, fewer records, or compress = true in [problem].")
            raise typer.Exit(2) from None
        except OSError as error:
            if error.errno == errno.EPIPE:
                raise
            complain(f"{error.filename or 'a file'}: {error.strerror or error}; choose a place that can be used.")
            raise typer.Exit(2) from None
        except ValueError as error:
            from simlab.errors import InputError

            if not isinstance(error, InputError):
                raise
            complain(str(error))
            raise typer.Exit(2) from None


def _forget_interrupt() -> None:
    """Python remembers an interrupt that has left an `exec`, such as a dataclass or a namedtuple is made by.

    `python -m simlab` would end by the signal SIGINT, whatever its exit code, though the interrupt has been answered.
    The next text that is run makes it forget.
    """
    exec("")


def _refuse_no_threads() -> None:
    """Numba reads this when it is imported, and fails with a traceback."""
    import os

    value = os.environ.get("NUMBA_NUM_THREADS", "1")
    if not value.strip().isdecimal() or int(value) < 1:
        from simlab.errors import InputError, brief

        raise InputError(f"NUMBA_NUM_THREADS = {brief(value)} is no number of threads; give 1 or more, or unset it.")


class _Stopped:
    """The exit code of an interrupted command."""

    code = INTERRUPTED


@contextlib.contextmanager
def _terminable() -> Iterator[_Stopped]:
    """A block in which SIGTERM is heard as Ctrl-C is: once, so that what is being written then is finished.

    In the main thread only, as Python wants it, and where nobody has said otherwise.
    """
    import signal
    import threading

    stopped = _Stopped()
    ours = threading.current_thread() is threading.main_thread()
    if not ours or signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL:
        yield stopped
        return

    def interrupt(*_: object) -> None:
        if stopped.code == INTERRUPTED:
            stopped.code = TERMINATED
            raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, interrupt)
    try:
        yield stopped
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


app = typer.Typer(
    cls=_Simlab,
    help="Exact and sampled risk of SGD, momentum and averaging under any learning-rate schedule, by eigen-subspace.",
    add_completion=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)

File = Annotated[Path, typer.Argument(metavar="FILE.toml", help="Experiment file.")]
Force = Annotated[bool, typer.Option("--force", help="Replace what exists.")]


@contextlib.contextmanager
def notices() -> Iterator[None]:
    """Warnings as single lines on standard error, without the place in the code."""
    import warnings

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        yield
    for warning in caught:
        complain(f"note: {warning.message}")


def complain(sentence: str) -> None:
    print("simlab:", " ".join(sentence.splitlines()), file=sys.stderr)


def assignment(text: str, option: str = "-p", example: str = "peak=0.1") -> tuple[str, Any]:
    """KEY=VALUE, the value as TOML where it is such (0.1, true, [0.3, 0.6]), as a string otherwise."""
    import tomllib

    from simlab.errors import InputError, brief

    key, equals, value = text.partition("=")
    if not equals or not key.strip():
        raise InputError(f"{option} {brief(text)} is no assignment; write {option} {example}, say.")
    try:
        return key.strip(), tomllib.loads(f"value = {value}")["value"]
    except tomllib.TOMLDecodeError:
        return key.strip(), value.strip()
