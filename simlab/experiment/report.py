"""What `simlab run` says of an experiment, and leaves in a folder."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from simlab.experiment.document import Experiment
from simlab.files import ResultsFolder, writing
from simlab.problems import DiagonalProblem

__all__ = ["OUTPUTS", "run_experiment"]

PICTURES = ("risk.png", "risk.pdf")
OUTPUTS = ("trace.zarr", "sampled.zarr", *PICTURES, "experiment.toml")
"""What a run leaves in its folder."""


def run_experiment(
    experiment: Experiment,
    target: Path,
    *,
    force: bool = False,
    figure: bool = True,
    threads: int | None = None,
    say: Callable[[str], None] = print,
) -> bool:
    """Run, say what it ends with, and write trace.zarr (sampled.zarr), the figure and experiment.toml to `target`.

    Returns whether all runs came to their end (a diverged one did); False after Ctrl-C.
    """
    family, (leg, *others) = experiment.family, experiment.setting.legs
    with ResultsFolder(target, OUTPUTS, force) as results:
        trace, sampled = experiment.run(threads=threads), None
        title = f"{leg}\n\n" if others else ""
        say(f"{experiment.problem!r}\n\n{title}{family.final_table(trace)}\n{_advice(experiment.problem, trace)}")
        if others and _finished(trace):
            sampled = experiment.sample(threads=threads)
            say(f"sampled\n\n{family.final_table(sampled)}\n\n{family.z_table(sampled, trace)}\n")
        with writing(results.stage, target):
            family.save(trace, results.stage / "trace.zarr")
            if sampled is not None:
                family.save(sampled, results.stage / "sampled.zarr")
            (results.stage / "experiment.toml").write_text(experiment.text, encoding="utf-8")
            written = results.commit()
        if figure:
            from simlab import plot

            with results.drawing(" and ".join(PICTURES)):
                drawn = family.figure(experiment.problem, trace, sampled)
                for name in PICTURES:
                    plot.save(drawn, results.stage / name)
                written += results.commit()
    say(f"{target}: {', '.join(written)}")
    return all(_finished(each) for each in (trace, sampled) if each is not None)


def _advice(problem: object, trace: object) -> str:
    """What to do about runs that diverge, as a line; nothing where none does."""
    states = getattr(trace, "dataset", trace)["status"].values  # type: ignore[index]
    if "diverged" not in states:
        return ""
    tuned = "; simlab tune FILE.toml wsd finds the best one" if isinstance(problem, DiagonalProblem) else ""
    return f"A run that diverges has too high a rate: lower schedule.peak{tuned}.\n"


def _finished(trace: object) -> bool:
    return "interrupted" not in getattr(trace, "dataset", trace)["status"].values  # type: ignore[index]
