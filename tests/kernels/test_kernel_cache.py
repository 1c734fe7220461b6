"""Compiled kernels stay out of the package, are forgotten when sources change, and give the bits of fresh ones."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import simlab
from simlab.kernels import cache

PACKAGE = Path(simlab.__file__).parent

EXACT = """
import hashlib
import numpy as np
import simlab as sl

problem = sl.LinearRegression.power_law(dim=2000, capacity=1.5, source=1.2, noise_variance=0.1)
schedule = sl.schedules.wsd(20_000, peak=0.1, cooldown=0.2)

def tell(numbers):
    print(hashlib.sha256(np.ascontiguousarray(numbers, dtype=float).tobytes()).hexdigest(), flush=True)

tell(sl.exact(problem, sl.methods.sgd(schedule), record=20, progress=False).risk.values)
"""

ALL = (
    EXACT
    + """
import warnings
warnings.simplefilter("ignore")
m, river = sl.methods, sl.river
ball = m.heavy_ball(schedule, 0.9)
for method in (ball, m.ema(ball, 0.99), m.ema(m.ema(ball, 0.99), 0.9)):
    tell(sl.exact(problem, method, record=20, deterministic=True, progress=False).risk.values)
mixed = sl.LinearRegression(problem.eigenvalues[:80], 1.0, 0.1, kurtosis=np.linspace(1.5, 4.0, 80))
tell(sl.exact(mixed, m.sgd(schedule), record=20, progress=False).risk.values)
rng = np.random.default_rng(0)
rows = rng.normal(size=(60, 12))
data = sl.EmpiricalRegression(rows, rows @ rng.normal(size=12) + rng.normal(size=60))
short = sl.schedules.wsd(300, peak=0.02, cooldown=0.2)
tell(sl.exact(data, m.sgd(short), record=20, progress=False).risk.values)
tell(sl.sample(data, m.sgd(short), replicas=32, record=10, progress=False).risk.values)
for dtype in ("float32", "float64"):
    for method in (m.sgd(short), m.heavy_ball(short, 0.9), m.ema(m.heavy_ball(short, 0.9), 0.9)):
        tell(sl.sample(problem, method, replicas=32, dtype=dtype, record=10, progress=False).risk.values)
steep = sl.schedules.wsd(300, peak=0.3, cooldown=0.2)
for valley, noise in (
    (river.straight_landscape([1.0, 0.5], slope=0.1), river.noise.isotropic(0.1)),
    (river.curved(), river.noise.along_hills(0.1)),
    (river.hyperbolic(), river.noise.isotropic(0.05)),
    (river.embedded(river.curved(), [1.0, 0.7, 0.3]), river.noise.with_loss(0.1)),
):
    for method in (m.sgd(steep), m.heavy_ball(steep, 0.5)):
        trace = sl.descend(valley, method, replicas=32, noise=noise, record=10, progress=False, warn=False)
        tell(trace[["total", "river_loss", "hill_loss", "river"]].to_array())
"""
)


def said(code: str, folder: Path) -> list[str]:
    """What a process of its own prints that keeps its kernels in `folder`."""
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(folder)}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


@pytest.mark.thorough
@pytest.mark.parametrize("code", [EXACT, pytest.param(ALL, marks=pytest.mark.slow)], ids=["exact", "every kernel"])
def test_bits_are_those_of_the_process_that_compiled(code, tmp_path):
    first, second = said(code, tmp_path), said(code, tmp_path)
    assert first == second
    assert list((tmp_path / "simlab").rglob("*.nbc")), "nothing was kept, so that nothing was compared"


def test_nothing_is_kept_in_the_package():
    from simlab.kernels.moments.chunk import advance

    kept = Path(advance.stats.cache_path)
    assert not kept.is_relative_to(PACKAGE)
    assert cache.folder() in kept.parents


def test_a_folder_that_cannot_be_written_is_no_error(tmp_path):
    (tmp_path / "file").write_text("")
    code = (
        "import numpy as np\nfrom simlab.kernels.landscapes.river_mean import affine_path\n"
        "from simlab.kernels.cache import folder\n"
        "print(folder(), affine_path.stats.cache_path)"
    )
    assert said(code, tmp_path / "file") == ["None None"]


def test_kernels_of_other_sources_and_of_packages_that_are_gone_are_forgotten(tmp_path, monkeypatch):
    home, root = tmp_path / "package", tmp_path / "root"
    home.mkdir()
    (home / "one.py").write_text("1")
    monkeypatch.setattr(cache, "HERE", home)
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(root))
    own, gone, other = (root / "simlab" / name for name in ("own", "gone", "other"))
    for place in (own, gone, other):
        (place / "kernels_x").mkdir(parents=True)
        (place / "kernels_x/f.py311.nbi").write_text("")
    (gone / cache.STAMP).write_text(f"{tmp_path / 'uninstalled'}\nf.py 1 1")
    (other / cache.STAMP).write_text(f"{tmp_path}\nf.py 1 1")

    def left():
        return [place.name for place in (own, gone, other) if list(place.rglob("*.nbi"))]

    cache._forget_stale(own)
    assert left() == ["other"]
    (own / "kernels_x/f.py311.nbi").write_text("")
    cache._forget_stale(own)
    assert left() == ["own", "other"]
    (home / "one.py").write_text("12")
    cache._forget_stale(own)
    assert left() == ["other"]


@pytest.mark.slow
def test_kernels_call_no_function_that_another_process_may_have_compiled(tmp_path):
    """Numba names functions by the order of compilation: another process's kernels may bear the same names."""
    code = (
        "import re\n"
        "from tests.warm import JOBS\n"
        "from simlab.kernels.landscapes import descent, river_mean, strips\n"
        "from simlab.kernels.moments import attempts, chunk, collocation, fourth_moments, panels, steps\n"
        "from simlab.kernels.replicas import trajectories\n"
        "for job in JOBS.values(): job()\n"
        "modules = (attempts, chunk, collocation, fourth_moments, panels, steps)\n"
        "modules += (descent, river_mean, strips, trajectories)\n"
        "for f in {id(f): f for m in modules for f in vars(m).values()}.values():\n"
        "    if not getattr(getattr(f, 'stats', None), 'cache_path', None): continue\n"
        "    for signature in f.signatures:\n"
        "        called = set(re.findall(r'call[^@\\n]*@\"?(_ZN[\\w.]*)', f.inspect_llvm(signature)))\n"
        "        print(f.py_func.__name__, *(name for name in called if f.py_func.__name__ not in name))\n"
    )
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path)}
    root = Path(__file__).resolve().parents[2]
    done = subprocess.run([sys.executable, "-c", code], env=environment, cwd=root, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert {"advance", "run_replicas", "_run", "_losses", "_gradients"} <= {line.split()[0] for line in lines}
    assert [line for line in lines if " " in line] == []


@pytest.mark.slow
@pytest.mark.parametrize("call", ["exact", "sample"])
def test_ctrl_c_is_heard_while_kernels_are_compiled(call, tmp_path):
    """Compiling takes tens of seconds with nothing on the screen: whoever presses Ctrl-C then is not made to wait."""
    code = (
        "import sys, simlab as sl\n"
        "p = sl.LinearRegression.power_law(100, 1.5, 1.2, 0.1)\n"
        "m = sl.methods.heavy_ball(sl.schedules.constant(1000, 0.1), 0.9)\n"
        "import simlab.engines.exact, simlab.engines.sample\n"
        "import simlab.kernels.moments.chunk, simlab.kernels.replicas.trajectories\n"
        "print('ready', flush=True)\n"
        f"trace = sl.{call}(p, m, progress=False)\n"
        "print(trace.status.values)\n"
    )
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path)}
    run = subprocess.Popen([sys.executable, "-c", code], env=environment, text=True, stdout=-1, stderr=-1)
    assert run.stdout is not None
    assert run.stdout.readline() == "ready\n"
    time.sleep(3.0)
    run.send_signal(signal.SIGINT)
    began = time.monotonic()
    said, complaint = run.communicate(timeout=60.0)
    assert time.monotonic() - began < 8.0
    assert said == "interrupted\n" or complaint.endswith("KeyboardInterrupt\n")
