"""`simlab reproduce`: figures computed, drawn, judged and kept, each in a folder of its own that appears whole or not
at all.

    gallery/index.html                    the page
    gallery/claims.json                   every claim with what came out, for programs
    gallery/quick/ID/TABLE.csv            the data; everything else is made from these
    gallery/quick/ID/figure.png, .pdf     the picture
    gallery/quick/ID/record.json          what made it (fingerprints), claims, digests of the files

A figure whose record carries the fingerprint of the present code is not made again.
"""

from __future__ import annotations

import json
import shutil
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from simlab.figures.gallery.fingerprint import digest_of_file, fingerprints
from simlab.figures.gallery.kept import Kinds, read_tables, write_tables
from simlab.figures.gallery.outcome import Entry, Outcome, State, chosen, entries
from simlab.figures.gallery.page import page
from simlab.figures.gallery.spoken import spoken
from simlab.figures.gallery.workers import Died, in_processes
from simlab.figures.measurements import VARIABLE, measured
from simlab.figures.reproduction import Claim, Scale

from simlab._version import __version__
from simlab.engines.arguments import worker_count
from simlab.errors import InputError
from simlab.files import fresh_file
from simlab.interrupts import whole
from simlab.locks import Taken, hold
from simlab.progress import ProgressBar
from simlab.reading import Folder, digest_of_bytes, understood
from simlab.replacing import Stage, settle_all

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["reproduce"]

MARK = ".simlab-gallery"
"""In every gallery: that it is one, and the lock of the run that writes to it."""
RECORD = "record.json"
PICTURES = ("figure.png", "figure.pdf", "thumbnail.png")
THUMBNAIL = 880
"""Pixels across."""


def reproduce(
    ids: Sequence[str] = (),
    *,
    scale: Scale = "quick",
    folder: Path = Path("gallery"),
    processes: int | None = None,
    modules: Sequence[str] | None = None,
    progress: Callable[[float, float], None] | bool | None = None,
    announce: Callable[[str], None] = lambda line: None,
) -> list[Outcome]:
    """Make the figures that are not made yet, and write the page; one outcome for each figure asked for.

    ids : identifiers, or papers; all by default.  processes : at a time (default: the processors there are).
    modules : where figures are listed, for tests.  Raises InputError for unknown names, for a folder that holds
    something else and for one that another run is writing to. A figure that fails is an outcome, not an exception.
    """
    catalogue = entries(modules)
    asked = chosen(catalogue, ids)
    bar = ProgressBar("reproduce", "s of work", progress)
    with _gallery(folder) as root:
        place = root / scale
        place.mkdir(exist_ok=True)
        settle_all(place)
        found: dict[str, Outcome] = {}
        waiting: list[Entry] = []
        for entry in asked:
            known = _absent(entry, scale, place) or _kept(entry, scale, place)
            if known is None:
                waiting.append(entry)
            else:
                found[entry.figure.id] = known
        try:
            for outcome in _made(waiting, scale, place, worker_count(processes), bar):
                found[outcome.entry.figure.id] = outcome
                if bar.bar is not None:
                    bar.bar.clear()  # or the line would be written behind it
                announce(f"{outcome.entry.figure.id}: {spoken(outcome)}")
        finally:
            bar.close()
        outcomes = [found[entry.figure.id] for entry in asked]
        # Figures of earlier runs stay on the page, as long as the present code would make the same.
        others = [_kept(e, scale, place) for e in catalogue.values() if e.figure.id not in found]
        shown = {o.entry.figure.id: o for o in [*others, *outcomes] if o is not None}
        in_order = [shown[name] for name in catalogue if name in shown]
        for name, text in (("claims.json", table_of_claims(in_order, scale)), ("index.html", page(in_order, scale))):
            with fresh_file(root / name, force=True) as partial:
                partial.write_text(text, encoding="utf-8")
    return outcomes


def table_of_claims(outcomes: Sequence[Outcome], scale: Scale) -> str:
    """{"simlab", "scale", "claims": [{"figure", "claim", "source", "wanted", "computed", "verdict", "reason", ..}]}."""
    rows = [
        {
            "figure": outcome.entry.figure.id, "claim": claim.text, "own": claim.own, "source": claim.source,
            "paper": claim.paper, "wanted": claim.wanted, "computed": claim.computed, "verdict": claim.verdict,
            "reason": claim.reason, "chosen": claim.chosen, "substituted": claim.substituted, "turns": claim.turns,
        }
        for outcome in outcomes
        for claim in outcome.claims
    ]  # fmt: skip
    return json.dumps({"simlab": __version__, "scale": scale, "claims": rows}, indent=1, ensure_ascii=False) + "\n"


# -- one figure --------------------------------------------------------------------------------------------------------


def make(module: str, name: str, scale: Scale, stage: str, source: str | None) -> dict[str, Any]:
    """Data, picture and claims of one figure into the folder `stage`: a record, or {"why", "details"} of its failure.

    source : a folder whose data is to be drawn anew, with its record; None to compute it.
    """
    began = time.monotonic()
    try:
        figure = entries([module])[name].figure
        folder = Path(stage)
        if source is None:
            with whole():
                data = figure.compute(scale)
            kinds = write_tables(data, folder)
        else:
            kinds = _record(Path(source))["kinds"]
            for table in kinds:
                shutil.copy2(Path(source) / f"{table}.csv", folder)
        # Drawn and judged from what is kept, so that the same comes out whether or not it was computed just now.
        data = read_tables(folder, kinds)
        _pictures(figure.draw(data), folder)
        claims = [asdict(claim) for claim in figure.claims(data)]
        json.dumps(claims)
        names = [*(f"{table}.csv" for table in kinds), *PICTURES]
        files = {name: digest_of_file(folder / name) for name in names}
    except Exception as error:  # whatever a figure does, the others go on
        line = " ".join(str(error).split()) or "no message"
        return {"why": f"{type(error).__name__}: {line}", "details": traceback.format_exc()}
    return {"kinds": kinds, "claims": claims, "files": files, "seconds": time.monotonic() - began}


def _pictures(figure: Figure, folder: Path) -> None:
    from PIL import Image

    from simlab import plot

    for name in PICTURES[:2]:
        plot.save(figure, folder / name)
    with Image.open(folder / PICTURES[0]) as full:
        size = (THUMBNAIL, max(1, round(full.height * THUMBNAIL / full.width)))
        # A hundred colours are enough for lines and text, and make a third of the bytes.
        small = full.convert("RGB").resize(size, Image.Resampling.LANCZOS).quantize(96)
        small.save(folder / PICTURES[2], optimize=True)


def _made(
    waiting: Sequence[Entry], scale: Scale, place: Path, count: int, report: Callable[[float, float], None]
) -> Iterator[Outcome]:
    """Outcomes as they come; the longest figures first, so that none of them is left for the end."""
    order = sorted(waiting, key=lambda entry: -entry.figure.seconds)
    cost = [max(entry.figure.seconds, 0.1) for entry in order]
    stages = [_stage(place, entry) for entry in order]
    sources = [_drawable(entry, scale, place) for entry in order]
    tasks = [
        (entry.module, entry.figure.id, scale, str(stage.path / entry.figure.id), source)
        for entry, stage, source in zip(order, stages, sources, strict=True)
    ]
    done = 0.0

    def clock(running: dict[int, float]) -> None:
        # A figure that takes longer than expected stays just below its end.
        under_way = sum(min(seconds, 0.95 * cost[number]) for number, seconds in running.items())
        report(done + under_way, sum(cost))

    try:
        if count == 1 or len(tasks) < 2:
            finished: Iterator[tuple[int, Any]] = ((number, make(*task)) for number, task in enumerate(tasks))
        else:
            finished = in_processes(make, tasks, count, clock)
        for number, result in finished:
            yield _settled(order[number], scale, place, stages[number], sources[number], result)
            done += cost[number]
            report(done, sum(cost))
    finally:
        for stage in stages:
            stage.close()


def _settled(entry: Entry, scale: Scale, place: Path, stage: Stage, source: str | None, result: Any) -> Outcome:
    """Move what was made to its place, or say why nothing was."""
    target = place / entry.figure.id
    if isinstance(result, Died):
        why = f"its process ended with exit code {result.exit_code}, for want of memory perhaps"
        return Outcome(entry, scale, "failed", target, why=why)
    if "why" in result:
        return Outcome(entry, scale, "failed", target, why=result["why"], details=result["details"])
    data, picture = fingerprints(entry.figure, entry.module, scale)
    record = {"id": entry.figure.id, "scale": scale, "data": data, "picture": picture, **result}
    (stage.path / target.name / RECORD).write_text(json.dumps(record, indent=1), encoding="utf-8")
    stage.commit()
    return _outcome(entry, scale, "made" if source is None else "drawn", target, record)


def _outcome(entry: Entry, scale: Scale, state: State, folder: Path, record: Mapping[str, Any]) -> Outcome:
    return Outcome(entry, scale, state, folder, _claims(record), tuple(record["kinds"]), record["seconds"])


def _absent(entry: Entry, scale: Scale, place: Path) -> Outcome | None:
    """A skip, where the measurements that the figure needs are not here."""
    needs = entry.figure.needs
    if not needs or measured(needs).is_dir():
        return None
    why = f"the measurements {measured(needs)} are absent; set {VARIABLE} to the folder that holds {needs}"
    return Outcome(entry, scale, "skipped", place / entry.figure.id, why=why)


def _kept(entry: Entry, scale: Scale, place: Path) -> Outcome | None:
    """What an earlier run made, where the present code would make the same."""
    folder = place / entry.figure.id
    record = _sound(folder, fingerprints(entry.figure, entry.module, scale))
    return None if record is None else _outcome(entry, scale, "kept", folder, record)


def _drawable(entry: Entry, scale: Scale, place: Path) -> str | None:
    """The folder of a figure whose data is up to date and whose picture is not."""
    folder = place / entry.figure.id
    return None if _sound(folder, fingerprints(entry.figure, entry.module, scale)[:1]) is None else str(folder)


def _sound(folder: Path, wanted: Sequence[str]) -> dict[str, Any] | None:
    """The record of a folder, if it has these fingerprints and the files are those that were written."""
    try:
        with understood(folder, "it is made again"):
            record, inside = _record(folder), Folder(folder)
            if [record["data"], record["picture"]][: len(wanted)] != list(wanted):
                return None
            _claims(record)
            files = {name: digest_of_bytes(inside.read(name)) for name in record["files"]}
            return record if files == record["files"] and float(record["seconds"]) >= 0.0 else None
    except InputError:
        return None


def _claims(record: Mapping[str, Any]) -> tuple[Claim, ...]:
    return tuple(Claim(**claim) for claim in record["claims"])


def _record(folder: Path) -> dict[str, Any]:
    record: dict[str, Any] = json.loads(Folder(folder).read(RECORD) or b"")
    kinds: Kinds = record["kinds"]
    return {**record, "kinds": kinds}


def _stage(place: Path, entry: Entry) -> Stage:
    """Where a figure is made, in a folder of its name."""
    stage = Stage(place / entry.figure.id)
    (stage.path / entry.figure.id).mkdir()
    return stage


@contextmanager
def _gallery(folder: Path) -> Iterator[Path]:
    """The folder of the gallery, locked; refused where it is not one."""
    if folder.exists() and not folder.is_dir():
        raise InputError(f"{folder} is a file; give the name of a folder.")
    if folder.is_dir() and not (folder / MARK).exists() and any(folder.iterdir()):
        raise InputError(f"{folder} holds something other than a gallery; choose another folder with -o.")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = hold(folder / MARK)
    except OSError as error:
        raise InputError(f"{folder} cannot be written to ({error.strerror}); choose another folder with -o.") from None
    except Taken:
        raise InputError(f"{folder} is being written by another run; wait for it, or choose another with -o.") from None
    try:
        yield folder
    finally:
        lock.release()
        # Where the file of a lock goes with it (Windows): it also says that this is a gallery.
        (folder / MARK).touch()
