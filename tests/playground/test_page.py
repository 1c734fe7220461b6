"""The page as it is used: knots dragged, methods switched, sliders moved by keys; its numbers held against Python's."""

from __future__ import annotations

import builtins
import json
import re
import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import simlab as sl
from simlab.errors import InputError
from simlab.playground import write
from simlab.playground.opened import of_file
from simlab.schedules import named
from tests.oracles.commands import invoke
from tests.playground.browser import Browser

KNOTS = """(() => {
  const figure = Bokeh.documents[0].get_model_by_name("schedules"), view = Bokeh.index.find_one(figure);
  const box = view.el.getBoundingClientRect(), { x, y } = Bokeh.documents[0].get_model_by_name("knots").data;
  const { x_scale, y_scale } = view.frame;
  return Array.from(x, (at, j) => [box.left + x_scale.compute(at), box.top + y_scale.compute(y[j])]);
})()"""
"""Where the knots lie in the window."""


FIGURES_NAMED = """["schedules", "risk linear", "bars"].map((name) => {
  const { shadowRoot } = Bokeh.index.find_one(Bokeh.documents[0].get_model_by_name(name)).el;
  const stop = (root) => { for (const one of root.querySelectorAll("*")) {
    if (one.tabIndex === 0) return one.ariaLabel;
    const within = one.shadowRoot && stop(one.shadowRoot);
    if (within) return within;
  } return null; };
  return stop(shadowRoot);
})"""
"""What a screen reader says where the keyboard stops at a figure."""


def state_of(browser: Browser) -> dict[str, Any]:
    return json.loads(browser.run("JSON.stringify(window.simlab.state)"))


def settle(browser: Browser) -> dict[str, Any]:
    """The answer to the last stroke."""
    return json.loads(browser.run("window.simlab.idle().then(JSON.stringify)"))


def as_python_has_it(browser: Browser, folder: Path) -> sl.RiskTrace:
    """What `simlab run` would compute of the experiment file that the page offers."""
    text = browser.run("window.simlab.experiment()")
    return sl.Experiment(tomllib.loads(text), folder).run(progress=False)


def agree(found: dict[str, Any], trace: sl.RiskTrace) -> None:
    """Risk of every run at the end, by part and band."""
    end = trace.risk.isel(step=-1)
    runs = [end] if "run" not in end.dims else [end.isel(run=j) for j in range(end.sizes["run"])]
    assert len(runs) == len(found["runs"])
    for run, risk in zip(found["runs"], runs, strict=True):
        assert found["bands"] == list(risk.subspace.values)
        np.testing.assert_allclose(run["bandBias"], risk.sel(component="bias").values, rtol=1e-8)
        np.testing.assert_allclose(run["bandVariance"], risk.sel(component="variance").values, rtol=1e-8)


def test_a_knot_is_dragged_and_a_method_switched(browser: Browser, tmp_path: Path):
    """Each stroke ends in the numbers of simlab run; a new knot by a click, and one fewer by Delete."""
    browser.run("window.simlab.state.runs.length = 1, window.simlab.set(window.simlab.state)")
    before = settle(browser)
    agree(before, as_python_has_it(browser, tmp_path))
    places = browser.run(KNOTS)
    assert len(places) == 4
    x, y = places[2]
    browser.drag((x, y), (x - 150, y + 30))
    after, state = settle(browser), state_of(browser)
    schedule = state["runs"][0]["schedule"]
    assert schedule["kind"] == "knots"
    assert schedule["from"] == "wsd"
    assert 0.5 < schedule["knots"][2][0] < 0.75
    assert after["runs"][0]["risk"] != before["runs"][0]["risk"]
    assert after["labels"] == ["WSD, moved"]
    agree(after, as_python_has_it(browser, tmp_path))
    for kind in ("heavy_ball", "nesterov", "ema", "tail_average", "schedule_free", "sgd"):
        chosen = f"""(() => {{ const list = document.querySelector('[data-name="method"]'); list.value = "{kind}";
            list.dispatchEvent(new Event("change")); }})()"""
        browser.run(chosen)
        agree(settle(browser), as_python_has_it(browser, tmp_path))
        assert state_of(browser)["runs"][0]["method"]["kind"] == kind
    x, y = browser.run(KNOTS)[3]
    browser.drag((x - 120, y - 100), (x - 120, y - 100), moves=1)
    settle(browser)
    assert len(state_of(browser)["runs"][0]["schedule"]["knots"]) == 5
    browser.run("""document.querySelector('[data-knot="3"]').focus()""")
    browser.key("Delete")
    settle(browser)
    assert len(state_of(browser)["runs"][0]["schedule"]["knots"]) == 4


def test_the_ten_lines_of_python_say_what_the_page_says(
    browser: Browser, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    lines = browser.run("window.simlab.python()")
    assert len([line for line in lines.splitlines() if line and line not in ("runs = {", "}")]) <= 10
    scope: dict[str, Any] = {}
    exec(compile(lines, "page", "exec"), scope)
    agree(settle(browser), scope["trace"])
    assert (tmp_path / "schedules.png").stat().st_size > 10_000


def test_the_file_of_four_different_runs_is_one_that_simlab_takes(browser: Browser, tmp_path: Path):
    """Schedules and methods crossed; every run of the page is among them."""
    runs = [
        {"schedule": {"kind": "wsd", "peak": 0.2, "shape": "lowered-linear", "factor": 0.5}, "batch": 2},
        {"schedule": {"kind": "polynomial", "peak": 0.2, "power": 3, "warmup": 0.1}, "batch": 2},
        {"schedule": {"kind": "knots", "peak": 0.1, "knots": [[0, 0], [0.2, 1], [1, 0.1]]}, "batch": 2},
        {"schedule": {"kind": "constant", "peak": 0.1}, "method": {"kind": "tail_average", "window": 0.4}, "batch": 2},
    ]
    browser.run(f"window.simlab.set({{...window.simlab.state, steps: 1500, spacing: 'log', runs: {json.dumps(runs)}}})")
    found, trace = settle(browser), as_python_has_it(browser, tmp_path)
    assert trace.risk.sizes["run"] == 8
    ends = trace.risk.isel(step=-1).sum(["component", "subspace"]).values
    for run in found["runs"]:
        assert np.min(np.abs(ends / run["risk"] - 1.0)) < 1e-9
    assert found["sentence"].startswith("After 1500 steps") or found["sentence"].startswith("After 1,500 steps")
    assert browser.run("window.simlab.picture()").startswith("data:image/png;base64,")


def test_the_address_holds_the_state(browser: Browser, page: Path):
    """What one person has made another one sees; an address that says nonsense opens the usual page."""
    usual = state_of(browser)
    browser.run("window.simlab.set({...window.simlab.state, steps: 3000, active: 1, problem: {dim: 77, capacity: 1.2, "
                "source: 1.4, noise: 0.3}})")  # fmt: skip
    made, found = state_of(browser), settle(browser)
    address = browser.run("location.href")
    browser.open(address)
    assert state_of(browser) == made
    again = settle(browser)
    assert [run["risk"] for run in again["runs"]] == [run["risk"] for run in found["runs"]]
    wrong = {"steps": "many", "runs": [{"schedule": {"kind": "constructor", "peak": None}}, 3]}
    for nonsense in ("%7Bbroken", json.dumps(wrong)):
        browser.open(f"{page.as_uri()}#{nonsense}")
        state = state_of(browser)
        assert state["steps"] == usual["steps"]
        assert all(run["schedule"]["kind"] == "wsd" or len(state["runs"]) == 3 for run in state["runs"])


def test_the_keyboard_alone_will_do(browser: Browser):
    """Tab finds sliders, knots and tabs; arrows move them."""
    settle(browser)

    def tab_to(what: str) -> None:
        for _ in range(60):
            browser.key("Tab")
            if browser.run(f"document.activeElement.matches({json.dumps(what)})"):
                return
        raise AssertionError(f"{what} is not reached by Tab")

    nameless = "[...document.querySelectorAll('input, select')].filter((e) => !e.ariaLabel && !e.labels.length).length"
    assert browser.run(nameless) == 0
    assert browser.run(FIGURES_NAMED) == [
        "learning rate over steps",
        "excess risk over steps",
        "final excess risk of every run",
    ]
    before = state_of(browser)
    tab_to('[data-name="peak"]')
    browser.key("ArrowRight")
    after = state_of(browser)
    assert after["runs"][0]["schedule"]["peak"] > before["runs"][0]["schedule"]["peak"]
    assert browser.run("document.activeElement.dataset.name") == "peak"
    tab_to('[data-name="steps"]')
    browser.key("ArrowLeft")
    assert state_of(browser)["steps"] < before["steps"]
    tab_to('[data-knot="1"]')
    browser.key("ArrowUp")
    browser.key("ArrowUp")
    settle(browser)
    assert state_of(browser)["runs"][0]["schedule"]["knots"][1][1] == pytest.approx(1.04, abs=0.003)
    assert browser.run("document.activeElement.dataset.knot") == "1"
    browser.run("document.getElementById('tab-risk').focus()")
    browser.key("ArrowRight")
    assert state_of(browser)["tab"] == "river"
    assert browser.run("document.activeElement.id") == "tab-river"


@pytest.mark.parametrize("width", [1500, 400])
def test_nothing_is_cut_off_wide_or_narrow(browser: Browser, width: int):
    """No scrolling sideways, figures as wide as their place, on both tabs; the cloud moves."""
    browser.size(width, 900)
    for tab in ("risk", "river"):
        browser.run(f"window.simlab.set({{...window.simlab.state, tab: '{tab}'}})")
        assert browser.run("document.documentElement.scrollWidth <= innerWidth")
        boxes = browser.run(
            "[...document.querySelectorAll('.figure')].map((e) => e.getBoundingClientRect()).filter((b) => b.width)"
            ".map((b) => [b.left, b.right])"
        )
        assert len(boxes) >= 2
        assert all(left >= 0 and right <= width for left, right in boxes)
    steps = "new Promise((settle) => setTimeout(() => settle(window.simlab.river.step), 400))"
    assert browser.run("window.simlab.river.step") < browser.run(steps)


def test_up_to_four_runs_side_by_side(browser: Browser):
    click = "document.getElementById('{}').click()"
    browser.run(click.format("add"))
    assert len(settle(browser)["runs"]) == 4
    assert browser.run("document.getElementById('add')") is None
    assert settle(browser)["labels"][3] == "WSD, peak 0.3 (4)"
    for left in (3, 2, 1):
        browser.run(click.format("remove"))
        assert len(settle(browser)["runs"]) == left
    assert browser.run("document.getElementById('remove')") is None


def test_with_more_processors_runs_are_shared_out(browser: Browser, page: Path):
    """Two workers a run and one for the law, of eight processors; one pair of two. The same answer, to the bit."""
    runs = [{"schedule": {"kind": "cosine", "peak": peak}} for peak in (0.1, 0.2, 30.0, 0.3)]
    state = {"steps": 2000, "runs": runs}
    found = []
    for processors, workers in ((2, 3), (8, 9)):
        browser.open(page.as_uri(), processors)
        browser.run(f"window.simlab.set({json.dumps(state)})")
        answer = settle(browser)
        assert answer["workers"] == workers
        found.append([(run["status"], run["risk"], run["bandBias"], run["bandVariance"]) for run in answer["runs"]])
    assert found[0] == found[1]
    assert [status for status, *_ in found[0]] == ["done", "done", "diverged", "done"]
    browser.open(page.as_uri())


def test_a_run_that_diverges_is_a_result(browser: Browser):
    browser.run("window.simlab.state.runs[0].schedule.peak = 30, window.simlab.set(window.simlab.state)")
    found = settle(browser)
    assert found["runs"][0]["status"] == "diverged"
    assert "WSD diverges at step" in found["sentence"]
    assert "ends lowest" in found["sentence"]


def test_every_named_schedule_is_a_start(browser: Browser):
    starts = browser.run("Object.keys(JSON.parse(document.getElementById('data').textContent).starts)")
    assert starts == list(named())
    browser.run("""(() => { const list = document.querySelector('[data-name="schedule"]'); list.value = "start sgdr";
        list.dispatchEvent(new Event("change")); })()""")
    settle(browser)
    schedule = state_of(browser)["runs"][0]["schedule"]
    assert schedule["from"] == "sgdr"
    knots = np.array(schedule["knots"])
    true = sl.schedules.sgdr(10_000, 1.0)(np.arange(10_000))
    assert np.abs(np.interp(np.arange(10_000) / 10_000, *knots.T) - true).max() < 0.05


def test_the_page_of_a_file_shows_its_problem_and_runs(chrome: Browser, tmp_path: Path):
    """A problem that has no sliders, a schedule as knots, phases in steps; numbers of the same file by simlab run."""
    file = tmp_path / "own.toml"
    file.write_text(
        '[problem]\nkind = "two_level"\nhead = 10\ntail = 990\nratio = 50\nnoise_variance = 0.1\n'
        '[schedule]\nkind = "wsd"\nsteps = 800\npeak = 0.01\nwarmup = 40\n[method]\nkind = "sgd"\nbatch = 2\n'
        '[[compare.schedules]]\nshape = "1-sqrt"\n[[compare.schedules]]\nkind = "cosine"\n'
        '[[compare.schedules]]\nlabel = "long"\nsteps = 900\n'
    )
    with pytest.warns(UserWarning, match="the page leaves out long"):
        given = of_file(file)
    chrome.open(write(tmp_path / "own.html", **given).as_uri())
    found = settle(chrome)
    assert found["labels"] == ["WSD 1-sqrt, batch 2", "cosine, batch 2"]
    trace = sl.exact(given["problem"], list(sl.Experiment.from_file(file).runs.values())[:2], subspaces="log_bins(6)",
                     record=2, progress=False)  # fmt: skip
    agree(found, trace)
    agree(found, sl.Experiment(tomllib.loads(chrome.run("window.simlab.experiment()"))).run(progress=False))
    assert f'sl.Experiment.from_file("{file}").problem' in chrome.run("window.simlab.python()")
    assert chrome.console == []


# -- without a browser


def test_the_file_is_small_and_asks_for_nothing(page: Path):
    text = page.read_text(encoding="utf-8")
    assert page.stat().st_size < 3_000_000
    assert "@@" not in re.sub(r"<script>.*?</script>", "", text, flags=re.DOTALL)
    assert re.findall(r'<(?:script|link|img)[^>]*(?:src|href)="(?!data:)[^"]*"', text) == []


def test_play_writes_a_file_and_overwrites_none(tmp_path: Path):
    target = tmp_path / "p.html"
    code, said, _ = invoke("play", "-o", target)
    assert code == 0
    assert said == f"{target}: {target.stat().st_size / 1e6:.1f} MB, opens in any browser without a network\n"
    code, _, error = invoke("play", "-o", target)
    assert code == 2
    assert "exists; choose another name, or replace it with --force" in error


def test_play_of_a_plain_power_law_keeps_its_sliders(tmp_path: Path):
    file = tmp_path / "e.toml"
    assert invoke("init", file)[0] == 0
    given = of_file(file)
    assert given["problem"] is None
    assert given["start"]["problem"] == {"dim": 10_000, "capacity": 1.5, "source": 2.0, "noise": 0.1}
    assert len(given["start"]["runs"]) == 4


def test_a_valley_and_too_many_modes_are_refused_in_a_sentence(tmp_path: Path):
    file = tmp_path / "valley.toml"
    problem = '[problem]\nkind = "river-straight"\nhills = [1.0, 2.0]\nslope = 0.1\n'
    file.write_text(f'{problem}[schedule]\nkind = "constant"\nsteps = 9\npeak = 0.01\n')
    code, _, error = invoke("play", file, "-o", tmp_path / "v.html")
    assert code == 2
    assert "not a problem with independent modes" in error
    with pytest.raises(InputError, match="has 3000 modes, too many to step in a page"):
        write(tmp_path / "many.html", sl.NoisyQuadratic(np.ones(3000), 1.0, 1.0))


def test_without_bokeh_one_sentence_names_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    real = builtins.__import__

    def missing(name: str, *rest: Any, **given: Any) -> Any:
        if name.partition(".")[0] == "bokeh":
            raise ImportError(name)
        return real(name, *rest, **given)

    monkeypatch.setattr(builtins, "__import__", missing)
    with pytest.raises(InputError, match=r"needs Bokeh; pip install 'sgd-simlab\[play\]'"):
        write(tmp_path / "p.html")
    assert not (tmp_path / "p.html").exists()
