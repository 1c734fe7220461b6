"""The page of a twin that is no quadratic: its walk against Python's, and the page as it is used."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import simlab as sl
from simlab.twin.parameters import PARAMETERS
from simlab.twin.playable import playable
from simlab.twin.transient import Transient
from tests.playground.browser import Browser
from tests.twin.runs import PEAK, TRUTH, known


@pytest.fixture(scope="module")
def twin() -> sl.twin.Twin:
    return known(TRUTH)


def random_theta(rng: np.random.Generator) -> np.ndarray:
    """About the truth, its departures too, within the bounds of a fit."""
    theta = TRUTH + np.array([p.scale for p in PARAMETERS]) * rng.normal(size=TRUTH.size)
    return np.clip(theta, [p.low for p in PARAMETERS], [p.high for p in PARAMETERS])


def families(steps: int, warmup: float) -> list[tuple[dict[str, Any], sl.schedules.Schedule]]:
    """Schedules as the page has them and as Python does; one jumps, one is zero at first."""
    knots = ((0.0, 0.0), (0.3, 1.0), (0.6, 1.0), (0.601, 0.2), (1.0, 0.0))
    ramp = {"peak": PEAK, "warmup": warmup}
    return [
        ({"kind": "wsd", **ramp, "cooldown": 0.2, "shape": "1-sqrt"},
         sl.schedules.wsd(steps, **ramp, cooldown=0.2, shape="1-sqrt")),
        ({"kind": "cosine", **ramp, "floor": 0.1}, sl.schedules.cosine(steps, **ramp, floor=0.1)),
        ({"kind": "constant", **ramp}, sl.schedules.constant(steps, **ramp)),
        ({"kind": "knots", "peak": PEAK, "knots": knots}, sl.schedules.piecewise(steps, PEAK, knots=knots)),
    ]  # fmt: skip


def test_the_walk_is_pythons(browser: Browser, twin: sl.twin.Twin):
    """Loss, river and valley by decade of curvature at recorded steps, 1e-10; two optima mixed, a transient or none."""
    rng = np.random.default_rng(7)
    for case in range(12):
        steps = int(rng.integers(40, 30_000))
        one, other = (known(random_theta(rng)).modes[0] for _ in range(2))
        early = Transient(np.log([300.0, 2000.0, 2300.0]), rng.normal(size=3), 250.0, 0.5) if case % 2 else None
        mixed = replace(
            twin,
            modes=(one._replace(weight=0.7), other._replace(weight=0.3)),
            longest=10_000,
            transient=early,
        )
        given, schedule = families(steps, [0.0, 0.05, 0.2][case % 3])[case % 4]
        record = sorted({0, *rng.integers(1, steps, 6).tolist(), steps})
        question = {"problem": {"nodes": playable(mixed)["problem"]}, "steps": steps, "schedule": given,
                    "method": {"kind": "sgd"}, "batch": 1, "record": record}  # fmt: skip
        found = browser.run(f"window.simlab.solve({json.dumps(question)})")
        band = mixed.predict(schedule, steps=record)
        loss = found["floor"] + np.array(found["bias"]) + found["variance"]
        np.testing.assert_allclose(loss, band.loss, rtol=1e-10, err_msg=str(question))
        np.testing.assert_allclose(found["bias"], band.river, rtol=1e-10, err_msg=str(question))
        np.testing.assert_allclose(found["variance"], band.valley.sum(axis=1), rtol=1e-10, err_msg=str(question))
        assert sum(found["bandVariance"]) == pytest.approx(found["variance"][-1], rel=1e-12)
        assert found["bandBias"] == [found["bias"][-1], *[0.0] * 5]


def test_the_page_of_a_twin(chrome: Browser, twin: sl.twin.Twin, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    """It starts with the optimum and usual schedules, and says what Python predicts; a method cannot be chosen."""
    pytest.importorskip("bokeh", reason="Bokeh is not installed; it draws the playground")
    chrome.open(twin.play(tmp_path / "twin.html").as_uri())
    found = json.loads(chrome.run("window.simlab.idle().then(JSON.stringify)"))
    assert found["labels"] == ["the twin's optimum", "WSD", "cosine", "constant"]
    ends = [run["floor"] + run["risk"] for run in found["runs"]]
    assert np.argmin(ends) == 0
    assert ends[0] == pytest.approx(twin.optimize(24_000, warmup=1200).loss, abs=2e-4)
    assert f"at a loss of {ends[0]:.4f}" in chrome.run("document.getElementById('sentence').textContent")
    assert chrome.run("document.querySelector('[data-name=\"method\"]')") is None
    for hidden in ("getElementById('limit').parentElement", "getElementById('file')"):
        assert chrome.run(f"getComputedStyle(document.{hidden}).display") == "none"
    twin.to_json(tmp_path / "twin.json")
    lines = chrome.run("window.simlab.python()")
    exec(compile(lines.replace('"twin.json"', repr(str(tmp_path / "twin.json"))), "page", "exec"), {})
    told = capsys.readouterr().out.splitlines()
    assert [line.split(": Band: ")[0] for line in told] == found["labels"]
    assert [line.split("Band: ")[1].split()[0] for line in told] == [f"{end:.4f}" for end in ends]
    chrome.run("window.simlab.state.runs[1].schedule.peak *= 2, window.simlab.set(window.simlab.state)")
    assert "highest that was trained at" in chrome.run("document.getElementById('sentence').textContent")
    noisier = """window.simlab.set({...window.simlab.state, problem: {noise: 2}}).then(JSON.stringify)"""
    after = json.loads(chrome.run(noisier))
    assert after["runs"][0]["variance"][-1] > 1.2 * found["runs"][0]["variance"][-1]
    assert chrome.console == []
