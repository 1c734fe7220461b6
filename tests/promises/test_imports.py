"""What importing simlab costs, and that its modules import downwards only (DESIGN, section 5)."""

from __future__ import annotations

import ast
import subprocess
import sys
import time
import tomllib
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
HEAVY = [
    "numba",
    "xarray",
    "scipy",
    "matplotlib",
    "pydantic",
    "typer",
    "pandas",
    "zarr",
    "tqdm",
    "sklearn",
    "torch",
    "bokeh",
]

FLOORS = {
    6: ["cli", "__main__"],
    5: ["figures"],
    4: ["experiment", "sweeps", "conformance", "showcase", "playground", "doctor", "files", "twin"],
    3: ["engines", "optimal", "plot", "progress", "checkpoint"],
    2: ["problems", "methods", "feedback", "trace", "landscapes", "river"],
    1: [
        "arrays",
        "spectra",
        "quadrature",
        "schedules",
        "subspaces",
        "kernels",
        "errors",
        "doors",
        "delimited",
        "extras",
        "guards",
        "_version",
        "theory",
        "replacing",
        "locks",
        "one_thread",
        "reading",
        "interrupts",
    ],
}
FLOOR = {name: floor for floor, names in FLOORS.items() for name in names}
EXTERNAL_OF_THEORY = {"numpy", "scipy", *sys.stdlib_module_names}
PLACES = {"theory": "simlab.theory", "figures": "simlab.figures"}
"""Folders of the checkout that are installed as packages of simlab."""


def run(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    return done.stdout


def test_importing_simlab_loads_nothing_heavy():
    loaded = run("import simlab, sys; print(*sorted({m.partition('.')[0] for m in sys.modules}))").split()
    assert "simlab" in loaded
    assert [name for name in HEAVY if name in loaded] == []


@pytest.mark.thorough
def test_making_a_problem_and_a_method_compiles_nothing():
    """Describing a run is cheap as well; numba comes with the first run."""
    code = (
        "import simlab as sl, sys\n"
        "p = sl.LinearRegression.power_law(100, 1.5, 1.2, 0.1)\n"
        "m = sl.methods.ema(sl.methods.sgd(sl.schedules.wsd(1000, peak=0.1)), 0.99)\n"
        "print(*sorted({m.partition('.')[0] for m in sys.modules}))"
    )
    assert [name for name in HEAVY if name in run(code).split()] == []


def test_importing_simlab_takes_little_time():
    """Best of three above bare Python with NumPy: 0.5 s is the promise, 1.5 s what a busy CI machine may need."""

    def best(code):
        times = []
        for _ in range(3):
            began = time.perf_counter()
            run(code)
            times.append(time.perf_counter() - began)
        return min(times)

    assert best("import simlab; simlab.LinearRegression, simlab.methods, simlab.schedules") - best("import numpy") < 1.5


def test_every_public_name_can_be_had():
    code = "import simlab\nfor name in simlab.__all__: getattr(simlab, name)\nprint(sorted(dir(simlab)))"
    assert "LinearRegression" in run(code)


def test_unknown_names_are_attribute_errors():
    import simlab

    with pytest.raises(AttributeError, match="'exat' is not known; did you mean 'exact'"):
        _ = simlab.exat


def test_every_package_is_installed():
    """The list in pyproject.toml is that of the folders; a package that is not in it would be left out of a wheel."""
    setuptools = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["setuptools"]
    folders = {path.parent for folder in ("simlab", *PLACES) for path in (ROOT / folder).rglob("*.py")}
    assert set(setuptools["packages"]) == {module_name(folder / "__init__.py") for folder in folders}
    assert setuptools["package-dir"] == {package: folder for folder, package in PLACES.items()}


@pytest.mark.thorough
def test_folders_of_a_researcher_hide_nothing(tmp_path):
    """`python -m` looks into the working folder first: what lies there must not stand in the way of our packages."""
    for name in ("theory", "figures", "tests", "notebooks"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text("raise RuntimeError('this is not simlab')\n")
    command = [sys.executable, "-m", "simlab", "reproduce", "--list"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    command = [sys.executable, "-m", "simlab", "theory"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


# -- floors -----------------------------------------------------------------------------------------------------------


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    parts = (PLACES.get(parts[0], parts[0]), *parts[1:])
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def is_type_checking(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)


def imports(tree: ast.AST, *, types: bool = False) -> list[str]:
    """Modules imported, in functions too, and with `types` under TYPE_CHECKING; one taken from a package counts as
    itself.
    """
    found: list[str] = []
    for node in ast.iter_child_nodes(tree):
        if is_type_checking(node) and not types:
            continue
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            found += [f"{node.module}.{a.name}" if is_module(f"{node.module}.{a.name}") else str(node.module)
                      for a in node.names]  # fmt: skip
        else:
            found += imports(node, types=types)
    return found


def is_module(name: str) -> bool:
    for folder, package in PLACES.items():
        if name == package or name.startswith(f"{package}."):
            name = folder + name.removeprefix(package)
    base = ROOT.joinpath(*name.split("."))
    return base.with_suffix(".py").is_file() or (base / "__init__.py").is_file()


@cache
def trees() -> dict[str, ast.Module]:
    """Every module of ours, parsed."""
    sources = (p for package in ("simlab", *PLACES) for p in sorted((ROOT / package).rglob("*.py")))
    return {module_name(p): ast.parse(p.read_text(encoding="utf-8")) for p in sources}


def links(under: str) -> list[tuple[str, str]]:
    """(module, what it imports) of all modules below a package."""
    return [(name, target) for name, tree in trees().items() if name.startswith(under) for target in imports(tree)]


def test_every_module_has_a_floor():
    """A new module says where it belongs by being entered in the table above."""
    homeless = {name for name in trees() if name.startswith("simlab.") and name.split(".")[1] not in FLOOR}
    assert homeless == set()


def test_imports_go_down():
    def floor(module: str, otherwise: int) -> int:
        return FLOOR.get(module.split(".")[1], otherwise)

    assert len(links("simlab.")) > 1000
    up = [(m, t) for m, t in links("simlab.") if t.startswith("simlab.") and floor(t, 99) > floor(m, 0)]
    assert up == []


def test_imports_never_go_in_a_circle():
    """Neither under TYPE_CHECKING nor in a function; the package itself, which gathers all names, is left out."""
    graph = {
        name: {t for t in imports(tree, types=True) if t in trees() and t not in (name, "simlab")}
        for name, tree in trees().items()
    }  # fmt: skip
    done: set[str] = set()

    def visit(name: str, trail: tuple[str, ...]) -> None:
        assert name not in trail, " -> ".join((*trail[trail.index(name) :], name))
        if name in done:
            return
        for target in sorted(graph[name]):
            visit(target, (*trail, name))
        done.add(name)

    for name in sorted(graph):
        visit(name, ())


def test_theory_stands_on_its_own_ground():
    def own(target: str) -> bool:
        return target == "simlab" or target.startswith("simlab.theory")  # `simlab` alone is nothing but a name

    found = links("simlab.theory")
    assert found
    assert [(m, t) for m, t in found if not own(t) and t.split(".")[0] not in EXTERNAL_OF_THEORY] == []


def test_theory_is_imported_in_conformance_alone():
    may = ("conformance", "figures", "theory")
    found = [(m, t) for m, t in links("simlab.") if t.startswith("simlab.theory")]
    assert found
    assert [(m, t) for m, t in found if m.split(".")[1] not in may] == []


def test_kernels_take_arrays_and_know_nobody():
    """Of simlab, kernels import kernels only, and the names of kinds of arrays."""
    found = [(m, t) for m, t in links("simlab.kernels.") if t.startswith("simlab.")]
    assert found
    assert [(m, t) for m, t in found if not t.startswith(("simlab.kernels", "simlab.arrays"))] == []


def test_engines_know_nothing_of_files_or_pictures():
    banned = {"simlab.plot", "simlab.files", "matplotlib", "pathlib", "tomllib", "typer", "pydantic"}
    found = links("simlab.engines.")
    assert found
    assert [(m, t) for m, t in found if t in banned] == []
