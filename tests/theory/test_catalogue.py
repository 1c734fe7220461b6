"""The catalogue as a whole: complete, cited, on its own ground; and `simlab validate`, which must be able to fail."""

from __future__ import annotations

import csv
import site
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
from simlab.theory import statement
from simlab.theory.statement import Kind
from typer.testing import CliRunner

from simlab import theory
from simlab.cli import app
from simlab.conformance import validate as running
from simlab.conformance.check import Comparison
from simlab.conformance.judge import violations
from simlab.conformance.pictures import GROUPS, pictures
from simlab.conformance.validate import Verdict, checks, judge, table_of, validate, write_csv
from simlab.errors import InputError

ROOT = Path(__file__).resolve().parents[2]
KINDS = {"exact", "tight", "upper", "lower", "asymptotic", "scaling"}
PROVENANCES = {"printed", "corrected", "derived", "reconstructed", "fitted"}


def test_every_theorem_can_be_checked_and_cited():
    entries = theory.catalog()
    assert len(entries) > 100
    assert checks().keys() == {entry.name for entry in entries}
    for entry in entries:
        assert entry.kind in KINDS, entry.name
        assert entry.provenance in PROVENANCES, entry.name
        assert (entry.function.__doc__ or "").strip(), f"{entry.name} says nothing of itself"
        assert entry.number, entry.name
        described = entry.describe()
        assert described["summary"]
        assert described["parameters"]
        citation = theory.cite(entry.name)
        assert citation.startswith("@")
        assert entry.source.title in citation
        assert citation.count("{") == citation.count("}")


def test_unknown_names_are_refused_with_the_nearest():
    with pytest.raises(KeyError, match="zou_average_upper"):
        theory.find("zou_average_uper")


def test_theory_needs_numpy_and_scipy_alone(tmp_path):
    """In a Python that sees nothing but these two: no site-packages, no user packages, no environment."""
    packages = [Path(folder) for folder in site.getsitepackages()]
    for name in ("numpy", "scipy", "numpy.libs", "scipy.libs"):
        for folder in packages:
            if (folder / name).exists() and not (tmp_path / name).exists():
                (tmp_path / name).symlink_to(folder / name)
    (tmp_path / "simlab").mkdir()  # a namespace, and nothing of simlab in it
    (tmp_path / "simlab/theory").symlink_to(ROOT / "theory")
    code = (
        f"import sys; sys.path.insert(0, {str(tmp_path)!r})\n"
        "from simlab import theory\n"
        "print(len(theory.catalog()))\n"
        "import importlib.util\n"
        "assert importlib.util.find_spec('numba') is None and importlib.util.find_spec('simlab.errors') is None\n"
    )
    command = [sys.executable, "-I", "-S", "-W", "error", "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) == len(theory.catalog())


# -- the judge ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "stated", "true", "right"),
    [
        ("exact", [1.0, 2.0], [1.0, 2.0 + 1e-12], True),
        ("exact", [1.0, 2.0], [1.0, 2.001], False),
        ("tight", [3.0], [2.9], False),
        ("upper", [1.0, 5.0], [1.0, 2.0], True),
        ("upper", [1.0, 1.99], [1.0, 2.0], False),
        ("lower", [0.5], [1.0], True),
        ("lower", [1.001], [1.0], False),
        ("upper", [np.nan], [1.0], False),
        ("upper", [np.inf], [1.0], True),
        ("asymptotic", [2.0, 1.1, 1.0], [1.0, 1.0, 1.0], True),
        ("asymptotic", [1.0, 1.1, 1.2], [1.0, 1.0, 1.0], False),
        ("scaling", [0.5], [0.5 + 1e-10], True),
        ("scaling", [0.5], [0.51], False),
    ],
)
def test_what_each_kind_claims(kind, stated, true, right):
    comparison = Comparison({"risk": np.array(stated)}, {"risk": np.array(true)})
    assert (not violations(kind, comparison, 1e-9)) == right


@pytest.mark.parametrize(("stated", "true"), [({}, {}), ({"a": 1.0}, {"b": 1.0}), ({"a": [1.0, 2.0]}, {"a": [1.0]}),
                                              ({"a": [1.0]}, {"a": [np.nan]})])  # fmt: skip
def test_comparisons_that_say_nothing_are_no_evidence(stated, true):
    with pytest.raises(ValueError, match=r"claims nothing|not finite"):
        violations("upper", Comparison(stated, true), 1e-9)


# -- simlab validate ---------------------------------------------------------------------------------------------------

FEW = ["sgd_mass", "zou_average_upper", "sandwich_lower"]


@pytest.mark.thorough
def test_the_same_seed_gives_the_same_table(tmp_path):
    first, again = (validate(FEW, quick=True, seed=3, processes=n, progress=False) for n in (1, 2))
    assert table_of(first) == table_of(again)
    assert table_of(first) != table_of(validate(FEW, quick=True, seed=4, processes=1, progress=False))
    assert {v.theorem for v in first} == set(FEW)
    assert all(v.sound and v.instances >= 3 and v.claims >= v.instances and v.outside >= 1 for v in first)
    write_csv(first, tmp_path / "c.csv")
    with (tmp_path / "c.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    upper = [row for row in rows if row["theorem"] == "zou_average_upper"]
    assert {"risk", "bias", "variance", "head", "tail"} == {row["part"] for row in upper}
    assert all(1.0 <= float(r["smallest"]) <= float(r["median"]) <= float(r["largest"]) for r in upper)


@pytest.fixture
def doctored(monkeypatch):
    """doctored(check=.., ..) -> the verdict on zou_average_upper whose check was changed."""
    good = checks()["zou_average_upper"]

    def verdict(**changes):
        bad = replace(good, **changes)
        monkeypatch.setattr(running, "checks", lambda: {"zou_average_upper": bad})
        return judge("zou_average_upper", 0, "quick")

    verdict.good = good
    return verdict


def test_a_bound_that_is_too_small_is_contradicted(doctored):
    def says(stated, arguments):
        return stated._replace(bias=0.05 * stated.bias, variance=0.05 * stated.variance)

    assert judge("zou_average_upper", 0, "quick").sound
    verdict = doctored(says=says)
    assert verdict.violations
    assert not verdict.sound
    assert "1 contradicted" in table_of([verdict])
    assert "instance" in table_of([verdict])


def test_a_theorem_that_refuses_nothing_is_contradicted(doctored):
    verdict = doctored(outside=[{}])
    assert verdict.refused < verdict.outside
    assert not verdict.sound
    assert "a case outside is not refused" in table_of([verdict])


def test_an_instance_that_raises_is_no_confirmation(doctored):
    def true(arguments):
        raise FloatingPointError("no answer")

    verdict = doctored(true=true)
    assert len(verdict.violations) == verdict.instances
    assert "FloatingPointError: no answer" in verdict.violations[0]


def test_names_are_checked():
    with pytest.raises(InputError, match=r"theorem: 'sgd_mas' is not known; did you mean 'sgd_mass'\?"):
        validate(["sgd_mas"])
    with pytest.raises(InputError, match=r"'zou' is not known; did you mean .*'zou_average_upper'\? simlab theory"):
        validate(["zou"])
    with pytest.raises(InputError, match="'xyzzy' is not known; simlab theory lists them all"):
        validate(["xyzzy"])


def test_two_theorems_of_one_name_are_refused():
    with pytest.raises(ValueError, match="two theorems are called 'zou_average_upper'"):

        @statement.theorem(kind="upper", about="x", source="simlab", number="1", provenance="derived")
        def zou_average_upper():
            pass


# -- command line ------------------------------------------------------------------------------------------------------


def simlab(*arguments: object, code: int = 0) -> str:
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert result.exit_code == code, result.output
    return result.output


def test_simlab_theory_lists_and_cites():
    text = simlab("theory")
    assert text.startswith(f"{len(theory.catalog())} theorems\n")
    assert all(entry.name in text for entry in theory.catalog())
    text = simlab("theory", "zou_average_upper")
    assert "assumes: " in text
    assert theory.cite("zou_average_upper") in text
    assert "did you mean 'zou_average_upper'?" in simlab("theory", "zou_average_uper", code=2)


@pytest.mark.thorough
def test_simlab_validate_writes_its_files_and_tells_by_its_exit_code(tmp_path, monkeypatch):
    out = tmp_path / "out"
    text = simlab("validate", *FEW, "--quick", "--processes", 1, "-o", out)
    assert "3 theorems" in text
    assert "0 contradicted" in text
    drawn = {name for name, group in GROUPS.items() if {theory.find(few).kind for few in FEW} & set(group.kinds)}
    assert {p.name for p in out.iterdir()} == {"conformance.csv", *(f"{n}.{s}" for n in drawn for s in ("png", "pdf"))}
    assert all((out / f"{name}.png").stat().st_size > 5000 for name in drawn)
    for column in ("kind", "instances", "claims", "wrong", "refused", "bound / exact"):
        assert f"{column}: " in text
    assert "exists" in simlab("validate", *FEW, "--quick", "-o", out, code=2)
    wrong = checks()
    wrong["sgd_mass"] = replace(wrong["sgd_mass"], outside=[{}])
    monkeypatch.setattr(running, "checks", lambda: wrong)
    assert "1 contradicted" in simlab("validate", "sgd_mass", "--quick", "--processes", 1, code=1)


def test_every_kind_of_claim_has_one_picture_with_a_row_for_each_theorem():
    """Contradicted ones are red; ones without numbers have no row."""
    made = [
        Verdict(
            f"of_{kind}_{j}", kind, "printed", "source", "1", 2, 4, ("wrong",) * j, 0, 0, {"risk": np.array([1.0, 2.0])}
        )
        for kind in get_args(Kind)
        for j in (0, 1)
    ]
    silent = replace(made[0], theorem="silent", ratios={})
    figures = dict(pictures([*made, silent]))
    assert set(figures) == set(GROUPS)
    assert sorted(kind for group in GROUPS.values() for kind in group.kinds) == sorted(get_args(Kind))
    rows = [label for figure in figures.values() for label in figure.axes[0].get_yticklabels()]
    assert len(rows) == len(made)
    assert [row.get_color() == "black" for row in rows] == ["_0" in row.get_text() for row in rows]
