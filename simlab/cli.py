"""The command line. Heavy modules load inside the commands, so that `simlab --help` stays instant.

Bad input and files that cannot be read or written end with exit code 2 and one line on standard error; Ctrl-C with 130.
A diverged run is a result: exit code 0.
"""

from __future__ import annotations

import contextlib
import errno
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

from simlab._version import __version__

if TYPE_CHECKING:
    from simlab.experiment import Experiment
    from simlab.schedules import Schedule

__all__ = ["app", "main"]


class _Simlab(TyperGroup):
    """The root command: the one place where refusals become a line and an exit code."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            _complain("interrupted; nothing was written.")
            raise typer.Exit(130) from None
        except MemoryError:
            _complain("this does not fit into memory; use fewer modes, fewer records, or compress = true in [problem].")
            raise typer.Exit(2) from None
        except OSError as error:
            if error.errno == errno.EPIPE:
                raise
            _complain(f"{error.filename or 'a file'}: {error.strerror or error}; choose a place that can be used.")
            raise typer.Exit(2) from None
        except ValueError as error:
            from simlab.errors import InputError

            if not isinstance(error, InputError):
                raise
            _complain(str(error))
            raise typer.Exit(2) from None


app = typer.Typer(
    cls=_Simlab,
    help="Exact and sampled risk of SGD, momentum and averaging under any learning-rate schedule, by eigen-subspace.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
schedule_app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Draw or export one schedule.")
app.add_typer(schedule_app, name="schedule")

File = Annotated[Path, typer.Argument(metavar="FILE.toml", help="Experiment file.")]
Force = Annotated[bool, typer.Option("--force", help="Replace what exists.")]
Kind = Annotated[str, typer.Argument(help="Name of a schedule, or an experiment file (its [schedule]).")]
Steps = Annotated[int | None, typer.Option(help="Length of the run.")]
Assign = Annotated[list[str] | None, typer.Option("-p", metavar="KEY=VALUE", help="A parameter, such as peak=0.1.")]


@app.callback(invoke_without_command=True)
def _root(
    version: Annotated[bool, typer.Option("--version", help="Print the version.", is_eager=True)] = False,
) -> None:
    if version:
        typer.echo(f"simlab {__version__}")
        raise typer.Exit


@app.command()
def run(
    file: File,
    output: Annotated[Path | None, typer.Option("-o", "--output", help="Folder of results [FILE-results].")] = None,
    force: Force = False,
    figure: Annotated[bool, typer.Option("--figure/--no-figure", help="Draw risk.png and risk.pdf.")] = True,
    threads: Annotated[int | None, typer.Option(help="Runs computed at a time [all processors].")] = None,
) -> None:
    """Run an experiment file: write the trace and a figure, print the final bias and variance by subspace.

    With engine = "both" in the file the runs are sampled as well, and the z-scores of the two printed.
    """
    from simlab.experiment.report import OUTPUTS, final_table, write_results, z_table
    from simlab.files import ResultsFolder

    with _notices():
        experiment, source = _read(file)
    target = output if output is not None else Path(f"{file.stem}-results")
    with ResultsFolder(target, OUTPUTS, force) as results:
        trace = experiment.run(threads=threads)
        both = experiment.engine == "both"
        typer.echo(f"{experiment.problem!r}\n")
        typer.echo(f"exact\n\n{final_table(trace)}\n" if both else f"{final_table(trace)}\n")
        sampled = None
        if both and "interrupted" not in trace.status.values:
            sampled = experiment.sample(threads=threads)
            typer.echo(f"sampled\n\n{final_table(sampled)}\n\n{z_table(sampled, trace)}\n")
        write_results(results.stage, target, trace, source, figure, sampled)
        written = results.commit()
    typer.echo(f"{target}: {', '.join(written)}")
    if any("interrupted" in each.status.values for each in (trace, sampled) if each is not None):
        _complain(f"interrupted; the trace up to there is in {target}.")
        raise typer.Exit(130)


@app.command()
def init(
    path: Annotated[Path, typer.Argument(help="File to write.")] = Path("experiment.toml"), force: Force = False
) -> None:
    """Write a commented example of an experiment file, which runs as it is."""
    from simlab.experiment import write_example

    write_example(path, force)
    typer.echo(f"{path}: run it with simlab run {path}")


@app.command("schedules")
def list_schedules(
    names: Annotated[list[str] | None, typer.Argument(help="Only these.")] = None,
    output: Annotated[Path | None, typer.Option("-o", "--output", help="Draw them to this picture.")] = None,
    steps: Annotated[int, typer.Option(help="Length of the schedules drawn.")] = 10_000,
    force: Force = False,
) -> None:
    """List the named schedules with their parameters; draw them with -o."""
    from simlab.experiment.gallery import chosen, describe, samples

    kinds = chosen(names)
    if output is not None:
        _draw(samples(kinds, steps), output, force)
    typer.echo(describe(kinds) if output is None else f"{output}: {', '.join(kinds)}")


@schedule_app.command("plot")
def plot_schedule(
    kind: Kind,
    output: Annotated[Path, typer.Option("-o", "--output", help="Picture: png, pdf or svg.")],
    steps: Steps = None,
    assign: Assign = None,
    force: Force = False,
) -> None:
    """Draw one schedule."""
    schedule = _schedule(kind, steps, assign or [])
    _draw({schedule.kind: schedule}, output, force)
    typer.echo(f"{output}: {schedule!r}")


@schedule_app.command("export")
def export_schedule(
    kind: Kind,
    output: Annotated[Path, typer.Option("-o", "--output", help="File to write.")],
    style: Annotated[str, typer.Option("--format", help="csv, json, torch, optax or transformers.")],
    steps: Steps = None,
    assign: Assign = None,
    force: Force = False,
) -> None:
    """Write one schedule as numbers (csv), as its expression (json) or as code that reproduces it in a framework."""
    from simlab import schedules
    from simlab.errors import unknown_name
    from simlab.files import fresh_file

    files = {"csv": schedules.to_csv, "json": schedules.to_json}
    sources = {"torch": schedules.to_torch, "optax": schedules.to_optax, "transformers": schedules.to_transformers}
    if style not in {**files, **sources}:
        raise unknown_name("--format", style, [*files, *sources])
    schedule = _schedule(kind, steps, assign or [])
    with fresh_file(output, force) as partial:
        if style in files:
            files[style](schedule, partial)
        else:
            partial.write_text(sources[style](schedule), encoding="utf-8")
    typer.echo(f"{output}: {schedule!r}")


@app.command()
def doctor() -> None:
    """Print versions, threads, SIMD width, kernel cache and GPU."""
    from simlab.doctor import report

    typer.echo(report())


@app.command()
def demo(
    output: Annotated[Path, typer.Option("-o", "--output", help="Folder of results.")] = Path("simlab-demo"),
    features: Annotated[int, typer.Option(help="Lift the 64 pixels to this many random features (0: none).")] = 0,
    force: Force = False,
) -> None:
    """Predict the risk of SGD on handwritten digits, run real SGD on them, and draw both."""
    from simlab.demo import run as run_demo

    run_demo(output, features=features, force=force, report=typer.echo)


def main(arguments: Sequence[str] | None = None) -> None:
    """The console script `simlab`."""
    app(args=None if arguments is None else list(arguments), prog_name="simlab")


# -- helpers


def _read(file: Path) -> tuple[Experiment, str]:
    """The experiment of a file, and the text of the file."""
    from simlab.experiment import Experiment

    experiment = Experiment.from_file(file)
    return experiment, file.read_text(encoding="utf-8")


def _schedule(kind: str, steps: int | None, assignments: Sequence[str]) -> Schedule:
    """The schedule of a family or of an experiment file, with the parameters assigned on the command line."""
    from simlab.errors import InputError
    from simlab.experiment import Experiment
    from simlab.experiment.document import read_toml
    from simlab.experiment.schedule import build_schedule
    from simlab.experiment.tables import table_at

    given = dict(_assignment(text) for text in assignments)
    if steps is not None:
        given["steps"] = steps
    if not kind.endswith(".toml"):
        return build_schedule({"kind": kind, **given}, "schedule", Path.cwd())
    tree = read_toml(kind)
    tree["schedule"] = {**table_at(tree, "schedule", "schedule"), **given}
    with _notices():
        schedule = Experiment.from_dict(tree, Path(kind).resolve().parent).schedule
    if schedule is None:
        raise InputError(f"{kind} has no [schedule] with a kind; name a schedule in place of the file.")
    return schedule


def _assignment(text: str) -> tuple[str, Any]:
    """KEY=VALUE, the value as TOML where it is such (0.1, true, [0.3, 0.6]), as a string otherwise."""
    import tomllib

    from simlab.errors import InputError

    key, equals, value = text.partition("=")
    if not equals or not key.strip():
        raise InputError(f"-p {text!r} is no assignment; write -p peak=0.1, say.")
    try:
        return key.strip(), tomllib.loads(f"value = {value}")["value"]
    except tomllib.TOMLDecodeError:
        return key.strip(), value.strip()


def _draw(named: dict[str, Schedule], output: Path, force: bool) -> None:
    from simlab import plot
    from simlab.files import fresh_file

    with fresh_file(output, force) as partial:
        plot.save(plot.schedules(named), partial)


@contextlib.contextmanager
def _notices() -> Iterator[None]:
    """Warnings as single lines on standard error, without the place in the code."""
    import warnings

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        yield
    for warning in caught:
        _complain(f"note: {warning.message}")


def _complain(sentence: str) -> None:
    print("simlab:", " ".join(sentence.splitlines()), file=sys.stderr)
