"""simlab twin: what it prints and writes, and what it refuses in one line."""

from __future__ import annotations

import numpy as np
import pytest

import simlab as sl
from tests.oracles.commands import invoke
from tests.twin.runs import TRUTH, WARMUP, made


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Logs of three runs as a trainer writes them after the warmup, and their twin."""
    place = tmp_path_factory.mktemp("twin")
    for seed, name in enumerate(["cosine_24000", "wsdld_20000_24000", "wsdcon_9"]):
        curve = made(TRUTH, name, seed)
        kept = curve.steps < len(curve.schedule)
        rows = zip(curve.steps[kept], curve.schedule(curve.steps[kept]), curve.losses[kept], strict=True)
        text = "\n".join(["step,lr,loss", *(f"{t},{lr:.17g},{y:.17g}" for t, lr, y in rows)])
        (place / f"{name}.csv").write_text(text)
    logs = [str(place / f"{name}.csv") for name in ("cosine_24000", "wsdld_20000_24000")]
    code, out, err = invoke(
        "twin", "fit", *logs, "--weight-decay", "0.1", "--warmup", str(WARMUP), "-o", str(place / "t.json")
    )
    assert (code, err) == (0, "")
    assert "log_kappa" in out
    return place


def test_predict_writes_the_curve_that_python_predicts(folder):
    named = ["wsd", "--steps", "24000", "-p", "peak=3e-4", "-p", f"warmup={WARMUP}"]
    code, out, _ = invoke("twin", "predict", str(folder / "t.json"), *named, "-o", str(folder / "wsd.csv"))
    assert code == 0
    schedule = sl.schedules.wsd(24_000, peak=3e-4, warmup=WARMUP)
    band = sl.twin.from_json(folder / "t.json").predict(schedule)
    assert out.strip() == repr(band)
    table = np.genfromtxt(folder / "wsd.csv", delimiter=",", names=True)
    np.testing.assert_array_equal(table["upper"], band.upper)
    truth = made(TRUTH, "wsd_20000_24000", 9)
    assert band.loss[-1] == pytest.approx(truth.losses[-1], abs=0.02)
    assert (
        "exists; choose another name"
        in invoke("twin", "predict", str(folder / "t.json"), *named, "-o", str(folder / "wsd.csv"))[2]
    )


def test_compare_and_optimize(folder):
    code, out, _ = invoke(
        "twin", "compare", str(folder / "t.json"), "wsd", "cosine", "--steps", "24000", "-p", "peak=3e-4"
    )
    assert code == 0
    assert out.startswith("-0.0")
    code, out, _ = invoke(
        "twin",
        "optimize",
        str(folder / "t.json"),
        "--steps",
        "24000",
        "--warmup",
        "2160",
        "-o",
        str(folder / "best.csv"),
    )
    assert code == 0
    assert "below a cosine to a tenth" in out
    assert sl.schedules.from_csv(folder / "best.csv", length=24_000).length == 24_000
    code, _, err = invoke("twin", "optimize", str(folder / "t.json"), "--steps", "24000", "--peak", "1")
    assert code == 2
    assert err.startswith("simlab: peak = 1 lies above")


def test_design_lists_the_runs_that_could_be_made(folder):
    named = ["wsd", "constant", "--target", "wsd", "--target", "linear", "--steps", "24000", "-p", "peak=3e-4"]
    code, out, err = invoke("twin", "design", str(folder / "t.json"), *named, "-p", "warmup=2160")
    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert lines[0].startswith("standard deviation now 0.0")
    assert len(lines) == 3


@pytest.mark.thorough
def test_a_report_holds_the_twin_beside_its_referees(folder):
    logs = [str(folder / f"{name}.csv") for name in ("cosine_24000", "wsdld_20000_24000")]
    held = str(folder / "wsdcon_9.csv")
    code, out, err = invoke("twin", "report", *logs, "--weight-decay", "0.1", "--warmup", "2160", "--held-out", held)
    assert code == 0
    assert "wsdcon_9.csv: the rate jumps between its rows of steps 7936 and 8064" in err
    for word in ("fitted", "held out", *sl.twin.laws.LAWS):
        assert word in out
    row = next(line for line in out.splitlines() if line.startswith("wsdcon_9"))
    assert float(row.split()[1]) < 0.006


@pytest.mark.thorough
def test_a_report_predicts_each_log_at_its_own_batch(folder):
    """Told a hundredfold batch for the log held out, the twin leaves out most of its noise, and is far off."""
    logs = [str(folder / f"{name}.csv") for name in ("cosine_24000", "wsdld_20000_24000", "cosine_24000")]
    off = []
    for batches in (["1"], ["1", "1", "100"]):
        given = [word for batch in batches for word in ("--batch", batch)]
        recipe = ["--weight-decay", "0.1", "--warmup", "2160"]
        code, out, _ = invoke("twin", "report", *logs[:2], "--held-out", logs[2], *recipe, *given)
        assert code == 0
        off.append(float(out[out.index("held out") :].splitlines()[1].split()[1]))
    assert off[0] < 0.01 < 0.05 < off[1]


def test_batches_are_given_once_or_for_each_log(folder, tmp_path):
    logs = [str(folder / f"{name}.csv") for name in ("cosine_24000", "wsdld_20000_24000")]
    rest = ["--warmup", str(WARMUP), "-o", str(tmp_path / "b.json")]
    code, out, _ = invoke("twin", "fit", *logs, *rest, "--batch", "256")
    assert code == 0
    assert "and batch 256" in out
    named = ["wsd", "--steps", "24000", "-p", "peak=3e-4", "-p", f"warmup={WARMUP}"]
    ends = [
        float(invoke("twin", "predict", str(tmp_path / "b.json"), *named, *more)[1].split()[1])
        for more in ((), ("--batch", "1024"))
    ]
    assert ends[1] < ends[0]
    code, _, err = invoke("twin", "fit", *logs, *rest, "--batch", "1", "--batch", "2", "--batch", "3", "--force")
    assert code == 2
    assert "--batch is given 3 times for 2 logs; give it once, or once for each" in err
    code, _, err = invoke("twin", "predict", str(folder / "t.json"), *named, "--batch", "1024")
    assert code == 2
    assert "batch of the curves is not known" in err


def test_refusals(folder, tmp_path):
    code, _, err = invoke(
        "twin", "predict", str(folder / "cosine_24000.csv"), "wsd", "--steps", "100", "-p", "peak=3e-4"
    )
    assert code == 2
    assert "is no twin; Twin.to_json writes one, and so does simlab twin fit" in err
    code, _, err = invoke("twin", "play", str(tmp_path / "none.json"))
    assert code == 2
    assert "none.json cannot be read (No such file or directory); Twin.to_json writes one" in err
    experiment = tmp_path / "e.toml"
    experiment.write_text("[problem]\n")
    code, _, err = invoke("twin", "fit", str(experiment))
    assert code == 2
    assert "e.toml is an experiment file; give the log of a run" in err
    few = tmp_path / "few.csv"
    few.write_text("step,lr,loss\n0,0.1,3\n10,0.1,2\n")
    code, _, err = invoke("twin", "fit", str(few), "-o", str(tmp_path / "t.json"))
    assert code == 2
    assert "curves hold 2 losses; give at least 50" in err
    assert not (tmp_path / "t.json").exists()


def test_a_linear_twin_is_played_as_a_quadratic_and_another_as_itself(folder, tmp_path):
    pytest.importorskip("bokeh", reason="Bokeh is not installed; it draws the playground")
    log, file = str(folder / "wsdld_20000_24000.csv"), str(tmp_path / "linear.json")
    common = ["--weight-decay", "0.1", "--warmup", str(WARMUP)]
    assert invoke("twin", "fit", log, *common, "--linear", "-o", file)[0] == 0
    code, out, _ = invoke("twin", "play", file, "-o", str(tmp_path / "page.html"))
    assert code == 0
    assert "without a network" in out
    assert '<body class="problem">' in (tmp_path / "page.html").read_text(encoding="utf-8")
    code, out, _ = invoke("twin", "play", str(folder / "t.json"), "-o", str(tmp_path / "other.html"))
    assert code == 0
    assert '<body class="twin">' in (tmp_path / "other.html").read_text(encoding="utf-8")


def test_examples_are_logs_that_can_be_fitted(tmp_path):
    runs = tmp_path / "runs"
    code, out, err = invoke("twin", "examples", "-o", str(runs))
    assert (code, err) == (0, "")
    assert len(list(runs.glob("*.csv"))) == 12
    said = out.split("simlab ")[1].split()
    code, out, _ = invoke(*said, "-o", str(tmp_path / "t.json"))
    assert code == 0
    assert "log_kappa" in out
    logged, known = sl.twin.Curve.from_log(runs / "wsd_4000.csv", warmup=200), sl.twin.example_runs()["wsd_4000"]
    np.testing.assert_array_equal(logged.losses, known.losses)
    np.testing.assert_allclose(logged.schedule(np.arange(4000)), known.schedule.values(), atol=1e-5)
    assert "exists" in invoke("twin", "examples", "-o", str(runs))[2]
