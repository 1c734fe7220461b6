"""Stores altered at random, and tables [sweep] made at random: a sentence or the right answer, and nothing else."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from typer.testing import CliRunner

import simlab as sl
from simlab.cli import app
from simlab.sweeps import sweep_of
from tests.sweeps.store_bytes import AXES, TABLES, edit_group, swept

COMMANDS = (
    ("show", "s"),
    ("show", "s", "--by", "method.momentum", "-o", "s.png"),
    ("store", "export", "s", "-o", "s.csv"),
    ("store", "export", "s", "-o", "s.nc"),
    ("store", "check", "s"),
    ("store", "compact", "s"),
    ("sweep", "e.toml", "-o", "s"),
)


def called(*arguments: str) -> tuple[int, str]:
    """(exit code, what was printed); whatever is no answer and no refusal of one line is raised."""
    result = CliRunner().invoke(app, list(arguments))
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    if result.exit_code == 2:
        assert result.stderr.startswith("simlab: ")
        assert result.stderr.count("\n") == 1
    return result.exit_code, result.stdout


@pytest.fixture
def here(whole, tmp_path, monkeypatch):
    """A folder with the store `s`, and the file that it was made of."""
    monkeypatch.chdir(tmp_path)
    Path("e.toml").write_text(
        "\n".join(f"{name} = {_toml(table)}" for name, table in {**TABLES, "sweep": AXES}.items()), encoding="utf-8"
    )
    shutil.copytree(whole, "good")
    renewed()
    return tmp_path


def _toml(value) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f'"{key}" = {_toml(item)}' for key, item in value.items()) + "}"
    return json.dumps(value)


def renewed() -> None:
    shutil.rmtree("s", ignore_errors=True)
    shutil.copytree("good", "s")
    for name in ("s.png", "s.csv", "s.nc"):
        Path(name).unlink(missing_ok=True)


def flip(path: Path, at: int, mask: int) -> None:
    content = bytearray(path.read_bytes())
    content[at] ^= mask
    path.write_bytes(bytes(content))


def outcome(command: tuple[str, ...], right: str) -> str:
    """What became of a command on an altered store: "right", "refused", or "altered" where it answers otherwise."""
    code, printed = called(*command)
    if code == 1:
        assert command[1] == "check"
        return "refused"
    if code:
        return "refused"
    if command[1] in ("check", "export"):
        if command[-1] == "s.nc":
            with xr.open_dataset("s.nc") as ours, xr.open_dataset("good.nc") as right_one:
                return "right" if ours.load().identical(right_one.load()) else "altered"
        wrong = command[-1] == "s.csv" and Path("s.csv").read_bytes() != Path("good.csv").read_bytes()
        return "altered" if wrong else "right"
    if command[0] != "show":
        code, printed = called("show", "s")
        if code:
            return "unmended" if command[0] == "sweep" else "refused"
    return "right" if printed.startswith(right.rstrip()) else "altered"


def tried(alter, right: dict[tuple[str, ...], str], commands=COMMANDS) -> Counter[str]:
    counts: Counter[str] = Counter()
    for command in commands:
        renewed()
        alter()
        counts[outcome(command, right[command])] += 1
    return counts


def right_answers() -> dict[tuple[str, ...], str]:
    for suffix in ("csv", "nc"):
        called("store", "export", "good", "-o", f"good.{suffix}")
    plain, by = called("show", "good")[1], called("show", "good", "--by", "method.momentum")[1]
    return {command: by if "--by" in command else plain for command in COMMANDS}


def files_of(folder: str) -> list[Path]:
    """All but the lock, whose contents say nothing."""
    return [p.relative_to(folder) for p in sorted(Path(folder).rglob("*")) if p.is_file() and p.name != ".lock"]


def flips(rng, per_file: int):
    """(file, place, mask): bits and whole bytes, at random places of every file."""
    for name in files_of("good"):
        size = (Path("good") / name).stat().st_size
        for at in rng.integers(size, size=per_file):
            yield name, int(at), int(rng.choice([0xFF, 1 << rng.integers(8)]))


@pytest.mark.thorough
def test_a_flipped_byte_is_refused_or_does_not_matter(here):
    """Of some files of every kind, read by `show`; the control is the same store with nothing flipped."""
    right, rng = right_answers(), np.random.default_rng(0)
    assert tried(lambda: None, right, COMMANDS[:1]) == {"right": 1}
    counts: Counter[str] = Counter()
    wanted = [("final_risk/c", 6), ("schedule.peak", 3), ("zarr.json", 4), ("status/c", 3), ("ledger", 6)]
    for part, number in wanted:
        names = [name for name in files_of("good") if part in str(name)]
        for j in rng.integers(len(names), size=number):
            size = (Path("good") / names[j]).stat().st_size
            at = int(rng.integers(size))
            counts += tried(lambda n=names[j], a=at: flip(Path("s") / n, a, 0xFF), right, COMMANDS[:1])
    assert set(counts) <= {"right", "refused"}
    assert counts["refused"] >= 12, counts


@pytest.mark.slow
def test_flipped_bytes_of_every_file_by_every_command(here, capsys):
    """No traceback and no other answer, and `simlab sweep` mends it, or refuses."""
    right, rng = right_answers(), np.random.default_rng(1)
    counts: dict[tuple[str, ...], Counter[str]] = {command: Counter() for command in COMMANDS}
    for name, at, mask in flips(rng, 2):
        for command in COMMANDS:
            counts[command] += tried(lambda n=name, a=at, m=mask: flip(Path("s") / n, a, m), right, [command])
    with capsys.disabled():
        print()
        for command, outcomes in counts.items():
            print(" ".join(command), dict(outcomes))
    assert all(set(outcomes) <= {"right", "refused"} for outcomes in counts.values())


def emptied(path: Path) -> None:
    path.write_bytes(b"")


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def lengthened(path: Path) -> None:
    path.write_bytes(path.read_bytes() + b"more")


def turned_into_noise(path: Path) -> None:
    path.write_bytes(np.random.default_rng(0).bytes(path.stat().st_size))


def made_a_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()
    (path / "x").write_text("x", encoding="utf-8")


def exchanged(path: Path) -> None:
    """With the next of its kind: all that it says is sound, of something else."""
    fellows = [p for p in sorted(path.parent.parent.rglob("*")) if p.is_file() and p != path and p.name == path.name]
    if fellows:
        one, other = path.read_bytes(), fellows[0].read_bytes()
        path.write_bytes(other)
        fellows[0].write_bytes(one)
    else:
        path.unlink()


WAYS = (emptied, cut, lengthened, turned_into_noise, made_a_folder, exchanged, Path.unlink)
STORES = 181


@pytest.mark.slow
def test_damaged_stores_by_every_command(here, capsys):
    """Files that are lost, cut, longer, noise, folders or one another's: no traceback and no other answer."""
    right, rng = right_answers(), np.random.default_rng(3)
    names = files_of("good")
    counts: dict[tuple[str, ...], Counter[str]] = {command: Counter() for command in COMMANDS}
    for j in range(STORES):
        name, way = names[rng.integers(len(names))], WAYS[j % len(WAYS)]
        for command in COMMANDS:
            counts[command] += tried(lambda n=name, w=way: w(Path("s") / n), right, [command])
    with capsys.disabled():
        print()
        for command, outcomes in counts.items():
            print(" ".join(command), dict(outcomes))
    assert all(set(outcomes) <= {"right", "refused"} for outcomes in counts.values())


def resealed(store: Path) -> None:
    """Enter what is there into the ledger as if it had been made so: what a forger can do."""
    from simlab.reading import Folder, digest_of_bytes
    from simlab.sweeps.store.ledger import Ledger

    ledger, folder = Ledger(store / "ledger.sqlite"), Folder(store)
    try:
        ledger.declare(
            {n: d if n == "sweep" else digest_of_bytes(folder.read(n)) for n, d in ledger.declared().items()}
        )
    finally:
        ledger.close()


def edit_json(path: Path, change) -> None:
    said = json.loads(path.read_text(encoding="utf-8"))
    change(said)
    path.write_text(json.dumps(said), encoding="utf-8")


def consolidated(change):
    return lambda: edit_json(Path("s/zarr.json"), lambda said: change(said["consolidated_metadata"]["metadata"]))


def both(name: str, change):
    """Of an array's own file and of what the group says of it."""

    def alter():
        edit_json(Path("s") / name / "zarr.json", change)
        consolidated(lambda said: change(said[name]))()

    return alter


FORGED = {
    "dims 0": lambda: edit_group(Path("s"), dims=[["problem.capacity", 0]]),
    "dims huge": lambda: edit_group(Path("s"), dims=[["problem.capacity", 10**12], ["a", 1], ["b", 1]]),
    "blocks 0": lambda: edit_group(Path("s"), block_shape=[0, 0, 0]),
    "a path for a variable": lambda: edit_group(Path("s"), variables=["../outside"]),
    "a path for a label": lambda: edit_group(Path("s"), labels=["/etc"]),
    "no document": lambda: edit_group(Path("s"), sweep="[]"),
    "another document": lambda: edit_group(Path("s"), sweep='{"axes": [], "runs": []}'),
    "consolidated shape": consolidated(lambda said: said["risk"]["shape"].__setitem__(0, 1)),
    "consolidated path": consolidated(lambda said: said.__setitem__("../x", said["risk"])),
    "shape": both("risk", lambda said: said["shape"].__setitem__(0, 10**9)),
    "chunks": both("final_risk", lambda said: said["chunk_grid"]["configuration"]["chunk_shape"].__setitem__(0, 2)),
    "codec": both("final_risk", lambda said: said["codecs"].append({"name": "nonsense"})),
    "no codec": both("final_risk", lambda said: said.__setitem__("codecs", said["codecs"][:1])),
    "type": both("status", lambda said: said.__setitem__("data_type", "float64")),
    "type of a label": both("component", lambda said: said.__setitem__("data_type", "int8")),
    "dimensions": both("final_risk", lambda said: said.__setitem__("dimension_names", ["a", "b", "c", "d", "e"])),
    "fill": both("ended_at", lambda said: said.__setitem__("fill_value", "x")),
    "node": both("ended_at", lambda said: said.__setitem__("node_type", "group")),
    "deep": lambda: Path("s/risk/zarr.json").write_text("[" * 100_000, encoding="utf-8"),
    "no numbers": lambda: Path("s/schedule.peak/c/0").write_bytes(b"nonsense"),
}


@pytest.mark.thorough
@pytest.mark.parametrize("how", FORGED)
def test_a_forged_store_is_refused_in_a_sentence(how, here):
    """Digests and all: nothing in it makes `show` or `check` fail otherwise, or read what lies outside."""

    def alter():
        FORGED[how]()
        resealed(Path("s"))

    right = dict.fromkeys(COMMANDS, "never")
    assert tried(alter, right, [COMMANDS[0], COMMANDS[4]]) == {"refused": 2}


LINKS = {
    "a chunk": lambda s: linked(s / "final_risk" / "c/0/0/0/0/0", "/dev/zero"),
    "a label": lambda s: linked(s / "component" / "c/0", "/dev/zero"),
    "an array": lambda s: linked(s / "schedule.peak", "/etc"),
    "a declaration": lambda s: linked(s / "status" / "zarr.json", "/dev/zero"),
    "the group": lambda s: linked(s / "zarr.json", "/dev/zero"),
    "the ledger": lambda s: linked(s / "ledger.sqlite", "/dev/zero"),
    "a journal": lambda s: linked(s / "ledger.sqlite-journal", "/dev/zero"),
}


def linked(path: Path, to: str) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    path.unlink(missing_ok=True)
    path.symlink_to(to)


@pytest.mark.thorough
@pytest.mark.parametrize("what", LINKS)
def test_links_are_not_followed(what, here):
    """Out of a store that a stranger gave, or into what never ends."""
    right = dict.fromkeys(COMMANDS, "never")
    for command in COMMANDS:
        assert tried(lambda: LINKS[what](Path("s")), right, [command]) == {"refused": 1}, command


def test_names_lead_nowhere(here):
    """A file of the ledger's that lies elsewhere is not looked at."""
    from simlab.sweeps.store.ledger import Ledger

    def alter():
        ledger = Ledger(Path("s/ledger.sqlite"))
        ledger.declare({**ledger.declared(), "../../../../../dev/zero": "x"})
        ledger.close()

    assert tried(alter, dict.fromkeys(COMMANDS, "never"), [COMMANDS[4]]) == {"refused": 1}


# -- tables -----------------------------------------------------------------------------------------------------------

VALUES = [
    "x", "", 0, -1, 1.5, True, None, [], {}, [[]], [{}], {"a": {}}, 1e400, -1e308, 10**30, float("nan"),
    "schedule.peak",
    [0.1, 0.2], [1, "a"], {"log": [0.1, 1.0], "points": 3}, {"log": [1e-300, 1e300], "points": 3},
    {"linear": [-1e308, 1e308], "points": 3}, {"log": [0.1, 1.0], "points": 10**9}, {"log": [0, 1], "points": 2},
    {"log": "x", "points": 2}, {"linear": [0.1, 0.2], "points": 2, "integer": 3},
    {"log": [1, 64], "points": 4, "integer": True},
    {"linear": [0, 10**400], "points": 2}, {"points": 3}, {"log": [0.1, 0.2], "linear": [0.1, 0.2], "points": 2},
]  # fmt: skip
KEYS = [
    "schedule.peak", "schedule.steps", "schedule.kind", "method.batch", "method.momentum", "problem.dim",
    "problem.kind",
    "problem.capacity", "engine.seed", "engine.kind", "record.steps", "zip", "random", "sobol", "samples", "seed", "",
    "schedule", "schedule..peak", "method.wrap[0].decay", "compare.schedules[0].peak", "a.b", "schedule.peak.x", "log",
    "points",
]  # fmt: skip


RIGHT = {
    "schedule.peak": {"log": [0.01, 0.3], "points": 3},
    "schedule.kind": ["wsd", "cosine"],
    "method.momentum": {"linear": [0.0, 0.9], "points": 2},
    "method.batch": {"log": [1, 64], "points": 3, "integer": True},
    "problem.capacity": [1.2, 1.6],
    "zip": [{"schedule.cooldown": [10, 20], "problem.dim": [4, 5]}],
    "sobol": {"samples": 5, "schedule.warmup": {"linear": [0, 9], "integer": True}},
}


def any_table(rng, depth: int = 0) -> object:
    """A table [sweep], or a part of one: right entries, of which one may be as nobody would write it."""
    if not depth and rng.random() < 0.7:
        chosen = rng.choice(list(RIGHT), size=rng.integers(1, 4), replace=False)
        spoilt = {name: any_table(rng, 1) for name in chosen[:1] if rng.random() < 0.6}
        return {**{name: RIGHT[name] for name in chosen}, **spoilt}
    if depth and rng.random() < 0.6:
        return VALUES[rng.integers(len(VALUES))]
    if depth and rng.random() < 0.2:
        return [any_table(rng, depth + 1) for _ in range(rng.integers(3))]
    keys = rng.choice(len(KEYS), size=rng.integers(1, 4), replace=False)
    return {KEYS[j]: any_table(rng, depth + 1) if depth < 3 else 1 for j in keys}


def planned(table) -> str:
    """ "planned", or "refused" in a sentence."""
    tables = {**TABLES, "problem": {**TABLES["problem"], "dim": 6}, "schedule": {**TABLES["schedule"], "steps": 100}}
    try:
        sweep = sweep_of({**tables, "sweep": table})
        if sweep.grid.size < 200:
            sweep.validate()
    except sl.InputError as error:
        return "refused" if "\n" not in str(error) else "refused at length"
    return "planned"


@pytest.mark.parametrize("seed", [0, 1])
def test_tables_of_sweeps_are_planned_or_refused(seed):
    rng = np.random.default_rng(seed)
    counts = Counter(planned(any_table(rng)) for _ in range(150))
    assert set(counts) <= {"planned", "refused"}
    assert planned({"schedule.peak": [0.1, 0.2]}) == "planned", "the control"
    assert planned("x") == planned(3) == "refused"


@pytest.mark.slow
def test_ten_thousand_tables_of_sweeps(capsys):
    rng = np.random.default_rng(2)
    counts = Counter(planned(any_table(rng)) for _ in range(10_000))
    with capsys.disabled():
        print("\ntables of sweeps:", dict(counts))
    assert set(counts) == {"planned", "refused"}


def test_the_store_that_is_altered_is_the_one_that_is_swept(here):
    """The control of all of the above."""
    assert swept(Path("s")).reused == 24
    assert called(*COMMANDS[6])[1].startswith("24 cells, 24 of them")
