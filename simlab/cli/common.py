"""What all commands share: the root, which makes a line of every refusal, and common options.

Bad input and files that cannot be read or written end with exit code 2 and one line on standard error; Ctrl-C with 130.
A diverged run is a result: exit code 0.
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


class _Simlab(TyperGroup):
    """The root command: the one place where refusals become a line and an exit code."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt as error:
            # What the interrupt met on its way has noted what became of its work.
            complain("; ".join(["interrupted", *getattr(error, "__notes__", ["nothing was written"])]) + ".")
            raise typer.Exit(130) from None
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


app = typer.Typer(
    cls=_Simlab,
    help="Exact and sampled risk of SGD, momentum and averaging under any learning-rate schedule, by eigen-subspace.",
    no_args_is_help=True,
    add_completion=False,
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

    from simlab.errors import InputError

    key, equals, value = text.partition("=")
    if not equals or not key.strip():
        raise InputError(f"{option} {text!r} is no assignment; write {option} {example}, say.")
    try:
        return key.strip(), tomllib.loads(f"value = {value}")["value"]
    except tomllib.TOMLDecodeError:
        return key.strip(), value.strip()
