"""Thousands of damaged experiment files and csv tables: an experiment or a refusal, never anything else."""

from __future__ import annotations

import copy
import io
import tomllib
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import simlab as sl
from simlab.cli import main
from simlab.experiment import EXAMPLE
from simlab.experiment.document import read_toml

TREES, TEXTS, TABLES, RUNS = 7_500, 1_500, 1_000, 100
"""How many files of each sort are tried: 10,000, some 3 minutes."""

PROBLEMS: list[dict[str, Any]] = [
    {"kind": "power_law", "dim": 9, "capacity": 1.5, "source": 1.2, "noise_variance": 0.1},
    {"kind": "power_law", "dim": 900, "capacity": 1.5, "source": 1.2, "compress": 1e-4},
    {"kind": "exponential", "dim": 9, "rate": 0.5},
    {"kind": "logarithmic", "dim": 9, "initial_error": 1.0},
    {"kind": "two_level", "head": 3, "tail": 4, "ratio": 5.0},
    {"kind": "isotropic", "dim": 4},
    {"kind": "marchenko_pastur", "dim": 9, "ratio": 0.5},
    {"kind": "one_hot", "probabilities": [0.5, 0.3]},
    {"kind": "noisy_quadratic", "eigenvalues": [1.0, 0.5], "initial_error": 1.0, "gradient_covariance": [1.0, 0.5]},
    {"kind": "random_features", "alpha": 1.0, "beta": 1.0, "ambient_dim": 8, "features": 3},
    {"kind": "eigenvalues", "eigenvalues": [1.0, 0.5], "initial_error": 1.0, "noise_variance": 0.1},
    {"kind": "data", "path": "rows.csv", "target": "y"},
    {
        "kind": "mixture",
        "share": ["rest", 0.3],
        "weights": [1.0, 2.0],
        "domains": [
            {"name": "a", "kind": "isotropic", "dim": 4},
            {"kind": "shifted", "covariance": 1.5, "optimum": 0.5},
        ],
    },
    {"kind": "river-straight", "hills": [1.0, 20.0], "count": 4, "slope": 0.2},
    {"kind": "river-curved", "noise": 0.5, "noise_kind": "hills"},
    {"kind": "river-narrowing", "first": [1.0, 2.0], "last": [2.0, 4.0]},
    {"kind": "river-hyperbolic", "start": [2.0, 2.0]},
    {"kind": "river-bigram", "determinism": [0.0, 1.0], "count": 3, "vocabulary": 3},
    {"kind": "river-embedded", "valley": {"kind": "river-curved"}, "hills": [1.0, 3.0], "count": 3},
]
SCHEDULES: list[dict[str, Any]] = [
    {"kind": "wsd", "steps": 20, "peak": 0.1, "warmup": 0.1, "cooldown": 0.2, "shape": "1-sqrt"},
    {"kind": "cosine", "steps": 20, "peak": 0.1, "floor": 0.1},
    {"kind": "piecewise", "steps": 20, "knots": [[0, 0.1], [0.5, 0.2], [1.0, 0.0]]},
    {"kind": "step", "steps": 20, "peak": 0.1, "drops": [0.5, 0.8], "factor": 0.5},
    {"kind": "array", "values": [0.1, 0.2, 0.1]},
    {"kind": "csv", "path": "lr.csv"},
    {"kind": "log", "path": "lr.csv", "between": "hold"},
    {
        "kind": "join",
        "parts": [{"kind": "constant", "steps": 5, "peak": 0.1}, {"kind": "linear", "steps": 5, "peak": 0.1}],
    },
    {
        "kind": "scaled",
        "factor": 0.5,
        "schedule": {"kind": "clip", "low": 0.1, "schedule": {"kind": "rex", "steps": 9, "peak": 0.2}},
    },
    {"kind": "spectral", "steps": 9, "form": "short", "batch": 2},
]
METHODS: list[dict[str, Any]] = [
    {"kind": "sgd", "batch": 4, "wrap": [{"kind": "ema", "decay": 0.9}, {"kind": "weight_decay", "decay": 0.1}]},
    {"kind": "heavy_ball", "momentum": {"kind": "linear", "peak": 0.9}},
    {"kind": "schedule_free", "beta": 0.9},
    {"kind": "asgd", "gamma": 0.2, "beta": 0.5},
    {"kind": "sgd", "wrap": [{"kind": "merge", "steps": [1, 2]}, {"kind": "lookahead", "every": 2}]},
    {"kind": "sgd", "wrap": [{"kind": "local", "workers": 2, "every": 3}]},
    {"kind": "adam", "beta1": 0.5, "beta2": {"kind": "constant", "peak": 0.9}},
    {"kind": "lars", "trust": 0.1, "blocks": 2, "weights": 1.0},
    {"kind": "adam_low_bit", "bits": 8, "block": 4},
]
OTHERS: list[dict[str, Any]] = [
    {},
    {"record": {"steps": 5, "subspaces": "log_bins(2)"}},
    {"record": {"steps": [0, 1], "subspaces": {"a": [1], "b": [2]}, "deterministic": True, "snapshots": [1]}},
    {"engine": {"kind": "sample", "replicas": 2, "seed": 1, "quantiles": [0.5]}},
    {"engine": "both", "compare": {"schedules": [{"label": "a"}, {"kind": "constant", "steps": 20, "peak": 0.1}]}},
    {"engine": "limit"},
    {"engine": {"kind": "long", "tolerance": 1e-4}, "record": {"steps": 4, "keep": [3]}},
    {"engine": {"kind": "sample", "basis": "eigen", "replicas": 2}},
    {"engine": {"kind": "both", "against": "long", "replicas": 2}},
    {"start": {"trace": "kept.zarr", "step": 2}},
    {"compare": {"methods": [{"kind": "sgd"}, {"kind": "nesterov", "momentum": 0.5}]}},
]
DEEP: Any = 0.5
for _ in range(200):
    DEEP = [DEEP]
VALUES: list[Any] = [
    *(None, True, False, 0, -1, 1, 2, 7, 0.5, -0.0, 1e-320, 1e308, -1e308, 1e30, float("nan"), float("inf")),
    *(2**63, 2**64, 10**30, 10**400, 10**5000),
    *("", " ", "word", "\u0000", "a\nb", "é\u202e🙂", "$\\foo$", "x" * 5000),
    *([], [[]], [1.0, -1.0], ["a"], [1, [2]], DEEP, (1, 2)),
    *({}, {"kind": "sgd"}, {"kind": 3}, {"a": {"b": 1}}),
    *(object(), b"bytes", np.float64(0.5), np.arange(3), np.array("2026-01-01", dtype="datetime64[D]")),
]
KEYS = ["kind", "steps", "peak", "", "\u0000", "é", "x" * 300, "a.b", "compress", "batch", "wrap", "label", "seed"]


def draw_tree(rng: np.random.Generator) -> dict[str, Any]:
    """The tables of a sound experiment."""

    def one(items: list[dict[str, Any]]) -> dict[str, Any]:
        return copy.deepcopy(items[int(rng.integers(len(items)))])

    return {"problem": one(PROBLEMS), "schedule": one(SCHEDULES), "method": one(METHODS), **one(OTHERS)}


def places(tree: Any) -> Iterator[tuple[Any, Any]]:
    """(container, key or index) of everything within."""
    items = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    for key, value in list(items):
        yield tree, key
        yield from places(value)


def damage(tree: dict[str, Any], rng: np.random.Generator) -> None:
    """One to three changes: another number or value, a key that is missing, renamed or new, a table within a table."""
    for _ in range(int(rng.choice([1, 1, 1, 2, 3]))):
        found = list(places(tree))
        if not found:
            return
        inside, key = found[int(rng.integers(len(found)))]
        value = VALUES[int(rng.integers(len(VALUES)))]
        what = rng.random()
        old = inside[key]
        if what < 0.3 and isinstance(old, int | float) and not isinstance(old, bool) and abs(old) < 1e300:
            inside[key] = old * float(rng.choice([0.5, 2.0, 3.0, -1.0, 1e3, 1e6, 1e12, 1e-12]))
        elif what < 0.6 or isinstance(inside, list):
            inside[key] = copy.deepcopy(value)
        elif what < 0.75:
            del inside[key]
        elif what < 0.9:
            inside[KEYS[int(rng.integers(len(KEYS)))]] = inside.pop(key)
        else:
            inside[KEYS[int(rng.integers(len(KEYS)))]] = copy.deepcopy(value)


def outcome(make: Callable[[], Any]) -> tuple[str, Any]:
    """("sound", what was made), ("refused", its sentence), or what else was raised and where."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return "sound", make()
        except sl.InputError as refusal:
            message = str(refusal)
            long = len(message) > 1500 or " at 0x" in message
            return ("refused at length" if long else "refused"), message
        except Exception as error:
            import traceback

            where = traceback.extract_tb(error.__traceback__)[-1]
            return f"{type(error).__name__} in {Path(where.filename).name}:{where.lineno}", str(error)[:200]


def build(tree: Any, folder: Path) -> Any:
    return sl.Experiment(tree, folder)


def small(experiment: Any) -> bool:
    """Whether to run it is a matter of milliseconds."""
    steps = max(method.length for method in experiment.runs.values())
    size = max(method.state_size for method in experiment.runs.values())
    return steps <= 50 and size <= 5 and getattr(experiment.problem, "dim", 99) < 99


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "rows.csv").write_text("a,b,y\n1,2,3\n2,1,5\n0,1,1\n")
    (tmp_path / "lr.csv").write_text("step,lr\n0,0.1\n5,0.2\n19,0\n")
    problem, method = sl.LinearRegression.isotropic(4, 0.1), sl.methods.sgd(sl.schedules.constant(5, 0.1))
    sl.exact(problem, method, keep=[2], progress=False).save(tmp_path / "kept.zarr")
    return tmp_path


def judge(counts: Counter[str], failures: list[str]) -> None:
    print(dict(counts))
    assert not failures, "\n".join(failures[:20])


@pytest.mark.slow
def test_damaged_tables(folder):
    counts: Counter[str] = Counter()
    failures: list[str] = []
    for seed in range(TREES):
        rng = np.random.default_rng(seed)
        tree = draw_tree(rng)
        damage(tree, rng)
        state, made = outcome(lambda tree=tree: build(tree, folder))
        if state == "sound" and seed % 10 == 0 and small(made):
            state, made = outcome(lambda made=made: made.run(progress=False, threads=1))
            state = f"run: {state}"
        counts[state] += 1
        if state.removeprefix("run: ") not in ("sound", "refused"):
            failures.append(f"tables {seed}: {state}: {made}")
    judge(counts, failures)


@pytest.mark.slow
def test_damaged_files(folder):
    """The text of a file with characters changed, lost, doubled and moved; some are given to `simlab run`."""
    counts: Counter[str] = Counter()
    failures: list[str] = []
    text = EXAMPLE.replace("10_000", "20").replace("20_000", "20").replace('steps = "linear"', "steps = 5")
    assert build(tomllib.loads(text), folder)
    for seed in range(TEXTS):
        rng = np.random.default_rng(seed)
        path = folder / "x.toml"
        path.write_bytes(scrambled(text.encode(), rng))
        state, made = outcome(lambda path=path: build(read_toml(path), folder))
        counts[state] += 1
        if state not in ("sound", "refused"):
            failures.append(f"text {seed}: {state}: {made}")
        elif seed % (TEXTS // RUNS) == 0 and (state == "refused" or small(made)):
            failures += [f"text {seed}: {wrong}" for wrong in run_by_hand(path, folder)]
    judge(counts, failures)


def run_by_hand(path: Path, folder: Path) -> Iterator[str]:
    """What is wrong with `simlab run` of the file: exit codes other than 0 and 2, and anything left after a refusal."""
    with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()) as complaint, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            main(["run", str(path), "-o", str(folder / "out"), "--no-figure", "--force"])
        except SystemExit as left:
            code = left.code or 0
            left_over = sorted(p.name for p in folder.iterdir() if "out" in p.name)
            if code not in (0, 2):
                yield f"exit code {code}"
            if code == 2 and (left_over or complaint.getvalue().count("\n") != 1):
                yield f"left {left_over}, said {complaint.getvalue()!r}"
        except Exception as error:
            yield f"{type(error).__name__}: {error}"
    if (folder / "out").is_dir():
        import shutil

        shutil.rmtree(folder / "out")


@pytest.mark.slow
def test_damaged_csv(folder):
    counts: Counter[str] = Counter()
    failures: list[str] = []
    sound = [
        b"a,b,y\n1,2,3\n2,1,5\n0,1,1\n",
        b"a;b;y\r\n1,5;2;3\r\n2;1;5\r\n",
        b"1,2,3\n4,5,7\n",
        b'"a","y"\n"1","2"\n',
    ]
    for seed in range(TABLES):
        rng = np.random.default_rng(seed)
        (folder / "rows.csv").write_bytes(scrambled(sound[seed % len(sound)], rng))
        table = {"kind": "data", "path": "rows.csv", "target": [-1, "y"][seed // 4 % 2]}
        tree = {"problem": table, "schedule": {"kind": "constant", "steps": 3, "peak": 0.01}}
        state, made = outcome(lambda tree=tree: build(tree, folder))
        counts[state] += 1
        if state not in ("sound", "refused"):
            failures.append(f"csv {seed}: {state}: {made}")
    judge(counts, failures)


PIECES = [
    *(b"\xef\xbb\xbf", b"\x00", b"\xff\xfe", b"\xc3\xa9", b"\xf0\x9f\x99\x82", b"\r", b"\n", b"\t", b" "),
    *(b",", b";", b'"', b"'", b"[", b"]", b"{", b"}", b"=", b"#", b"-", b"0x", b"[" * 300),
    *(b"nan", b"1e999", b"9" * 400, b"1" * 5000),
]


def scrambled(data: bytes, rng: np.random.Generator) -> bytes:
    """One to four changes of some bytes: other ones, new ones, lost, doubled."""
    for _ in range(int(rng.integers(1, 5))):
        at, n = int(rng.integers(len(data) + 1)), int(rng.integers(1, 12))
        piece = PIECES[int(rng.integers(len(PIECES)))]
        what = int(rng.integers(4))
        middle = (piece, b"", data[at : at + n] * 2, piece + data[at : at + n])[what]
        data = data[:at] + middle + data[at + n :]
    return data
