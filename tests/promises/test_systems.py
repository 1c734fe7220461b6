"""What other systems lack or do otherwise, as far as it can be had here."""

from __future__ import annotations

import ast
import ntpath
import os
import subprocess
import sys
from pathlib import Path, PureWindowsPath

import pytest

import simlab as sl
from simlab.engines import arguments

ROOT = Path(__file__).resolve().parents[2]
FOREIGN = {"fcntl", "resource", "pwd", "grp", "termios", "tty", "pty", "msvcrt", "winreg", "_winapi", "posix", "nt"}
ELSEWHERE = {"umask", "fork", "getuid", "geteuid", "uname", "pread", "pwrite", "mkfifo", "sched_getaffinity", "link"}
SIGNALS = {"SIGKILL", "SIGUSR1", "SIGUSR2", "SIGALRM", "SIGHUP", "SIGQUIT", "SIGCHLD"}


def guarded(tree: ast.AST, wanted: ast.AST) -> bool:
    """Whether a node stands behind a look at what the system has: hasattr, or sys.platform."""
    for node in ast.walk(tree):
        if isinstance(node, (ast.If, ast.IfExp)) and any(part is wanted for part in ast.walk(node)):
            asked = ast.unparse(node.test)
            if "hasattr(os" in asked or "sys.platform" in asked:
                return True
    return False


def faults(path: Path) -> list[str]:
    """What a source uses that some systems lack."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    found: list[str] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found += FOREIGN & {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found += FOREIGN & {str(node.module)}
        elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            if node.value.id == "os" and node.attr in ELSEWHERE and not guarded(tree, node):
                found.append(f"os.{node.attr} at line {node.lineno}")
            if node.value.id == "signal" and node.attr in SIGNALS:
                found.append(f"{node.attr} at line {node.lineno}")
        elif isinstance(node, ast.Call) and not opens_as_utf8(node):
            found.append(f"line {node.lineno} opens text without an encoding")
    return [f"{path.relative_to(ROOT)}: {fault}" for fault in found]


def test_sources_use_nothing_that_some_systems_lack():
    """No module, function or signal of one system alone outside a guard; text in UTF-8 whatever the locale."""
    sources = [p for package in ("simlab", "theory", "figures") for p in sorted((ROOT / package).rglob("*.py"))]
    assert len(sources) > 400
    assert [fault for path in sources for fault in faults(path)] == []


def opens_as_utf8(call: ast.Call) -> bool:
    name = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
    if name not in ("open", "read_text", "write_text"):
        return True
    owner = ast.unparse(call.func.value) if isinstance(call.func, ast.Attribute) else ""
    modes = [a.value for a in [*call.args, *(k.value for k in call.keywords)] if isinstance(a, ast.Constant)]
    if owner in ("Image", "webbrowser", "os", "zarr") or any(isinstance(m, str) and "b" in m for m in modes[:1]):
        return True
    return any(keyword.arg == "encoding" for keyword in call.keywords)


WITHOUT = """
import builtins, os, sys
import platformdirs  # looks for what this system has, and on Windows for other things
real = builtins.__import__
def absent(name, globals=None, *rest, **named):
    caller = (globals or {}).get("__name__", "")
    if name in ("fcntl", "resource", "pwd", "grp", "termios") and caller.partition(".")[0] in ("simlab", "figures"):
        raise ModuleNotFoundError(name)
    return real(name, globals, *rest, **named)
builtins.__import__ = absent
for name in ("sched_getaffinity", "umask", "pwrite", "fork", "geteuid", "getuid"):
    if hasattr(os, name):
        delattr(os, name)
import simlab.replacing
simlab.replacing.exchange = lambda one, other: False
from simlab.cli import main
for command in COMMANDS:
    try:
        main(command)
    except SystemExit as left:
        assert left.code == 0, (command, left.code)
"""

EXPERIMENT = """[problem]
kind = "power_law"
dim = 12
capacity = 1.5
source = 1.4

[schedule]
kind = "csv"
path = "log.csv"
"""


@pytest.mark.thorough
def test_commands_do_without_what_windows_lacks(tmp_path):
    """Files as Windows writes them (CRLF), no fcntl, no exchange of names: run, run --force, sweep, compact, show."""
    text = EXPERIMENT.replace("\n", "\r\n")
    (tmp_path / "e.toml").write_bytes(text.encode())
    (tmp_path / "log.csv").write_bytes(b"step,lr\r\n0,0.1\r\n1,0.2\r\n2,0.1\r\n3,0.1\r\n")
    (tmp_path / "s.toml").write_bytes((text + '[sweep]\r\n"problem.capacity" = [1.5, 2.0]\r\n').encode())
    commands = ["run e.toml -o o", "run e.toml -o o --force", "sweep s.toml -o s.zarr", "store compact s.zarr",
                "sweep s.toml -o s.zarr", "store check s.zarr", "doctor"]  # fmt: skip
    program = WITHOUT.replace("COMMANDS", repr([command.split() for command in commands]))
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, capture_output=True, encoding="utf-8", check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert sorted(p.name for p in tmp_path.iterdir()) == ["e.toml", "log.csv", "o", "s.toml", "s.zarr"]
    assert sl.RiskTrace.load(tmp_path / "o" / "trace.zarr").status.item() == "done"


def test_the_number_of_workers_without_an_affinity(monkeypatch):
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    assert arguments.worker_count(None) == (os.cpu_count() or 1)


def test_names_of_stages_are_names_on_windows():
    """No character that its file systems refuse, and one component."""
    from simlab import replacing

    for name in (f".s.zarr{replacing.MARK}0123abcd", replacing.OWNER, replacing.PLAN, replacing.ASIDE):
        assert not set('<>:"/\\|?*') & set(name)
        assert ntpath.basename(name) == name
        assert PureWindowsPath(name).name == name


def test_the_guard_finds_what_it_looks_for():
    """A test that cannot fail is none."""
    tree = ast.parse("import os\nx = os.umask(0)\ny = os.fork() if hasattr(os, 'fork') else 0\nopen('a')\n")
    attributes = [node for node in ast.walk(tree) if isinstance(node, ast.Attribute)]
    assert [guarded(tree, node) for node in attributes] == [False, True]
    calls = [
        n for n in ast.walk(tree) if isinstance(n, ast.Call) and isinstance(n.func, ast.Name) and n.func.id == "open"
    ]
    assert [opens_as_utf8(call) for call in calls] == [False]
