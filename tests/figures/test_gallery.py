"""simlab reproduce: what is made, kept, made again, refused, and what survives failures and kills."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
import time
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from simlab.figures.gallery import expected, spoken
from simlab.figures.gallery import reproduce as gallery
from simlab.figures.gallery.fingerprint import fingerprints
from simlab.figures.gallery.kept import read_tables, write_tables
from simlab.figures.gallery.outcome import chosen, entries
from simlab.figures.gallery.workers import in_processes

from simlab.cli import main
from simlab.errors import InputError

ROOT = Path(__file__).resolve().parents[2]
FAKES = "tests.figures.fakes"


@pytest.fixture
def log(tmp_path, monkeypatch):
    """What the fakes computed and drew so far."""
    path = tmp_path / "log.txt"
    monkeypatch.setenv("FAKES_LOG", str(path))
    return lambda: path.read_text(encoding="utf-8").split("\n")[:-1] if path.exists() else []


def made(folder, *modules, ids=(), processes=1, **options):
    names = modules or (FAKES,)
    done = gallery.reproduce(ids, scale="tiny", folder=folder, processes=processes, modules=names, **options)
    return {outcome.entry.figure.id: outcome for outcome in done}


class Page(HTMLParser):
    """Elements left open or closed out of order, links, and all text."""

    VOID = ("meta", "link", "img", "br")

    def __init__(self, path):
        super().__init__()
        self.open, self.wrong, self.links, self.ids, self.text = [], [], [], [], ""
        self.source = path.read_text(encoding="utf-8")
        self.feed(self.source)
        self.close()

    def handle_starttag(self, tag, attributes):
        given = dict(attributes)
        self.links += [given[name] for name in ("href", "src") if name in given]
        self.ids += [given["id"]] if "id" in given else []
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        if not self.open or self.open.pop() != tag:
            self.wrong.append(tag)

    def handle_data(self, data):
        self.text += data


# -- what is made ------------------------------------------------------------------------------------------------------


def test_a_gallery_holds_data_pictures_and_claims(tmp_path, log):
    done = made(tmp_path / "g")
    assert [*done] == ["absent", "cube", "late"]
    assert {name: o.state for name, o in done.items()} == {"absent": "skipped", "cube": "made", "late": "made"}
    assert "no/such/folder" in done["absent"].why
    assert all(outcome.holds for outcome in done.values())
    folder = tmp_path / "g" / "tiny" / "cube"
    names = {"curve.csv", "figure.png", "figure.pdf", "thumbnail.png", "record.json"}
    assert {p.name for p in folder.iterdir()} == names
    assert (folder / "figure.png").read_bytes()[:4] == b"\x89PNG"
    assert (folder / "figure.pdf").read_bytes()[:4] == b"%PDF"
    with (folder / "curve.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [float(row["y"]) for row in rows] == [0.0, 0.5**3 / 3.0, 1.0 / 3.0]
    assert {p.name for p in (tmp_path / "g").iterdir()} == {"tiny", "index.html", "claims.json", ".simlab-gallery"}


@pytest.mark.thorough
def test_workers_make_the_same_files(tmp_path):
    made(tmp_path / "one")
    made(tmp_path / "two", processes=2)
    for name in ("cube/curve.csv", "cube/figure.png", "cube/figure.pdf", "late/curve.csv"):
        assert (tmp_path / "one/tiny" / name).read_bytes() == (tmp_path / "two/tiny" / name).read_bytes()


def test_tables_come_back_as_they_were(tmp_path):
    table = {
        "number": np.array([0.1, 1e-300, np.inf, -0.0, np.nan]),
        "count": np.array([1, 2, 3, 2**62, -5]),
        "word": ["1", "nan", "with, comma", 'a "quote"', ""],
        "flag": np.array([True, False, True, True, False]),
        "single": np.float32([0.1, 0.2, 0.3, 0.4, 0.5]),
    }
    kinds = write_tables({"t": table}, tmp_path)
    back = read_tables(tmp_path, kinds)["t"]
    for name, values in table.items():
        np.testing.assert_array_equal(back[name], np.asarray(values))
    assert np.signbit(back["number"][3])
    assert back["word"].dtype.kind == "U"
    assert back["count"].dtype == np.int64


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ({"t": {"a": [1, 2], "b": [1]}}, "one length"),
        ({"t": {"a": [[1.0]]}}, "one length"),
        ({"t": {}}, "no column"),
        ({"../t": {"a": [1]}}, "cannot name a file"),
        ({"t": {"a": np.array([object()])}}, "neither numbers nor words"),
    ],
)
def test_what_is_no_table_is_refused(tmp_path, table, words):
    with pytest.raises(ValueError, match=words):
        write_tables(table, tmp_path)


# -- failures ----------------------------------------------------------------------------------------------------------


@pytest.mark.thorough
@pytest.mark.parametrize("processes", [1, 2])
def test_one_failing_figure_does_not_stop_the_others(tmp_path, processes):
    done = made(tmp_path / "g", "tests.figures.fakes_broken", processes=processes)
    assert {name: o.state for name, o in done.items()} == {"broken": "failed", "undrawn": "failed", "whole": "made"}
    assert done["broken"].why == "RuntimeError: this one never works"
    assert "fakes.py" in done["broken"].details
    assert not done["broken"].holds
    assert not (tmp_path / "g/tiny/undrawn").exists()
    text = Page(tmp_path / "g/index.html").text
    assert "RuntimeError: this one never works" in text
    assert "2 failed" in spoken.summary(list(done.values()))


@pytest.mark.thorough
def test_a_worker_that_dies_takes_only_its_figure(tmp_path):
    done = made(tmp_path / "g", "tests.figures.fakes_dying", processes=2)
    assert {name: o.state for name, o in done.items()} == {"dying": "failed", "other": "made", "third": "made"}
    assert "exit code 9" in done["dying"].why


@pytest.mark.thorough
def test_verdicts(tmp_path):
    done = made(tmp_path / "g", "tests.figures.fakes_refuted")
    verdicts = {name: outcome.claims[0].verdict for name, outcome in done.items()}
    assert verdicts == {"given": "chosen", "own": "holds", "put": "substituted", "refuted": "not reproduced"}
    assert not done["refuted"].holds
    assert done["given"].holds
    # A reason is of what does not hold, a number of the paper of what the paper claims.
    assert [done[name].claims[0].reason for name in done] == ["", "", "", "a half"]
    assert [done[name].claims[0].paper for name in done] == ["not given", "", "0.3", "not given"]
    text = spoken.summary(list(done.values()))
    assert "not reproduced  y stays below a <third> & more (figure 0)" in text
    assert "0.333; wanted: <= 1/3" in text
    for words in ("reason: a half", "chosen: a size", "substituted: a cube", "turns: at 1/3"):
        assert words in text
    assert text.endswith(
        "4 figures\n3 claims of papers: 0 reproduced, 1 chosen, 1 substituted, 1 not reproduced\n"
        "results of this project: 1 hold, 0 do not"
    )


# -- what is known -----------------------------------------------------------------------------------------------------


@pytest.fixture
def known(tmp_path, monkeypatch):
    """A list of known verdicts of one's own; called with them."""
    monkeypatch.setattr(expected, "FILE", tmp_path / "expected.json")

    def write(verdicts):
        expected.FILE.write_text(json.dumps(verdicts))
        expected._known.cache_clear()

    write({})
    yield write
    expected._known.cache_clear()


TEXT = "y stays below a <third> & more"


def test_a_verdict_that_is_not_the_known_one_is_a_difference(tmp_path, known):
    done = list(made(tmp_path / "g", "tests.figures.fakes_refuted").values())
    assert expected.differing(done) == [f"refuted: {TEXT}: not reproduced, known as nothing yet"]
    known({"tiny": {"refuted": {TEXT: "not reproduced"}, "given": {TEXT: "reproduced", "gone": "chosen"}}})
    assert expected.differing(done) == [
        f"given: {TEXT}: chosen, known as reproduced",
        "given: gone: not judged, known as chosen",
    ]


def test_what_a_run_found_is_taken_over(tmp_path, known):
    known(
        {"tiny": {"given": {"gone": "chosen"}, "elsewhere": {"x": "chosen"}}, "full": {"given": {TEXT: "reproduced"}}}
    )
    done = list(made(tmp_path / "g", "tests.figures.fakes_refuted").values())
    expected.take_over(tmp_path / "g/claims.json")
    expected._known.cache_clear()
    assert expected.differing(done) == []
    assert expected.expected("tiny")["given"] == {TEXT: "chosen"}
    assert expected.expected("tiny")["elsewhere"] == {"x": "chosen"}
    made(tmp_path / "g", "tests.figures.fakes_refuted")
    assert "at full: reproduced" in (tmp_path / "g/index.html").read_text()


def test_a_failure_without_a_reason_is_not_taken_over(tmp_path, known):
    row = {"figure": "f", "claim": "c", "verdict": "does not hold", "reason": ""}
    (tmp_path / "claims.json").write_text(json.dumps({"scale": "tiny", "claims": [row]}))
    with pytest.raises(ValueError, match="f: c: does not hold, and no reason is given"):
        expected.take_over(tmp_path / "claims.json")


def test_a_weak_claim_is_said_to_be_one(tmp_path, monkeypatch):
    monkeypatch.setattr(expected, "WEAK", tmp_path / "weak.json")
    expected.WEAK.write_text(json.dumps({"given": [TEXT]}))
    expected.known_weak.cache_clear()
    made(tmp_path / "g", "tests.figures.fakes_refuted")
    expected.known_weak.cache_clear()
    assert (tmp_path / "g/index.html").read_text().count("no engine that is wrong on purpose turns") == 1


def test_claims_for_programs(tmp_path):
    made(tmp_path / "g", "tests.figures.fakes_refuted")
    said = json.loads((tmp_path / "g/claims.json").read_text())
    assert said["scale"] == "tiny"
    put = next(row for row in said["claims"] if row["figure"] == "put")
    assert put == {
        "figure": "put", "claim": TEXT, "own": False, "source": "figure 0", "paper": "0.3", "wanted": "<= 1/3",
        "computed": "0.333", "verdict": "substituted", "reason": "", "chosen": "a size", "substituted": "a cube",
        "turns": "at 1/3",
    }  # fmt: skip


# -- what is kept ------------------------------------------------------------------------------------------------------


def test_what_is_done_is_not_done_again(tmp_path, log):
    first = made(tmp_path / "g")
    before = (tmp_path / "g/index.html").read_text()
    assert sorted(log()) == ["compute cube", "compute late", "draw cube", "draw late"]
    again = made(tmp_path / "g", processes=2)
    assert len(log()) == 4
    assert {o.state for o in again.values()} == {"kept", "skipped"}
    assert again["cube"].claims == first["cube"].claims
    assert (tmp_path / "g/index.html").read_text() == before


def test_another_scale_is_another_figure(tmp_path, log):
    made(tmp_path / "g", ids=["cube"])
    gallery.reproduce(["cube"], scale="quick", folder=tmp_path / "g", processes=1, modules=[FAKES])
    assert log().count("compute cube") == 2
    made(tmp_path / "g", ids=["cube"])
    assert log().count("compute cube") == 2


def test_changed_code_is_run_again(tmp_path, monkeypatch, log):
    """The module of the figure, the version, and the modules of its own package that it imports."""
    (tmp_path / "shelf").mkdir()
    source = "from tests.figures.fakes import fake\nfrom shelf import part\nFIGURES = [fake('own')]\n"
    (tmp_path / "shelf/__init__.py").write_text("")
    (tmp_path / "shelf/part.py").write_text("SIZE = 1\n")
    (tmp_path / "shelf/paper.py").write_text(source)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    figure = entries(["shelf.paper"])["own"].figure
    start = fingerprints(figure, "shelf.paper", "tiny")
    assert fingerprints(figure, "shelf.paper", "tiny") == start
    assert fingerprints(figure, "shelf.paper", "quick")[0] != start[0]
    made(tmp_path / "g", "shelf.paper")
    (tmp_path / "shelf/part.py").write_text("SIZE = 2\n")
    changed = fingerprints(figure, "shelf.paper", "tiny")
    assert changed[0] != start[0]
    assert made(tmp_path / "g", "shelf.paper")["own"].state == "made"
    (tmp_path / "shelf/paper.py").write_text(source + "# one more line\n")
    assert made(tmp_path / "g", "shelf.paper")["own"].state == "made"
    assert log().count("compute own") == 3
    monkeypatch.setattr("simlab.figures.gallery.fingerprint.__version__", "99.0")
    assert made(tmp_path / "g", "shelf.paper")["own"].state == "made"


def test_a_new_style_draws_anew_and_computes_nothing(tmp_path, monkeypatch, log):
    first = made(tmp_path / "g")
    data = (tmp_path / "g/tiny/cube/curve.csv").read_bytes()
    monkeypatch.setattr("simlab.figures.gallery.fingerprint._drawing", lambda: "another style")
    again = made(tmp_path / "g")
    assert again["cube"].state == "drawn"
    assert again["cube"].claims == first["cube"].claims
    assert (log().count("compute cube"), log().count("draw cube")) == (1, 2)
    assert (tmp_path / "g/tiny/cube/curve.csv").read_bytes() == data


@pytest.mark.thorough
@pytest.mark.parametrize("name", ["curve.csv", "figure.png", "record.json"])
def test_damaged_files_are_made_again(tmp_path, name):
    made(tmp_path / "g", ids=["cube"])
    file = tmp_path / "g/tiny/cube" / name
    whole = file.read_bytes()
    file.write_bytes(whole[:-9])
    assert made(tmp_path / "g", ids=["cube"])["cube"].state == "made"
    if name != "record.json":
        assert file.read_bytes() == whole


def test_measurements_that_change_change_the_fingerprint(tmp_path, monkeypatch):
    monkeypatch.setenv("SIMLAB_DATA", str(tmp_path))
    figure = entries([FAKES])["absent"].figure
    (tmp_path / "no/such/folder").mkdir(parents=True)
    (tmp_path / "no/such/folder/curve.csv").write_text("1\n")
    before = fingerprints(figure, FAKES, "tiny")
    assert made(tmp_path / "g", ids=["absent"])["absent"].state == "made"
    (tmp_path / "no/such/folder/curve.csv").write_text("2\n")
    assert fingerprints(figure, FAKES, "tiny") != before


@pytest.mark.thorough
@pytest.mark.parametrize("processes", [1, 2])
def test_a_killed_run_started_again_goes_on(tmp_path, log, processes):
    """SIGKILL while the second of three figures is computed: the first is kept, nothing half-made is seen."""
    code = (
        "from pathlib import Path\nfrom simlab.figures.gallery import reproduce as gallery\n"
        f"gallery.reproduce(scale='tiny', folder=Path({str(tmp_path / 'g')!r}), processes={processes}, "
        "modules=['tests.figures.fakes_slow'], announce=lambda line: print(line, flush=True))\n"
    )
    run = subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert run.stdout is not None
    assert run.stdout.readline().startswith("first: 1 reproduced (made")
    until = time.monotonic() + 30.0
    while "begin second" not in log() and time.monotonic() < until:
        time.sleep(0.02)
    os.kill(run.pid, signal.SIGKILL)
    assert run.wait() == -signal.SIGKILL
    run.stdout.close()
    place = tmp_path / "g/tiny"
    assert (place / "first/record.json").exists()
    assert not (place / "second").exists()
    assert not (tmp_path / "g/index.html").exists()
    done = made(tmp_path / "g", "tests.figures.fakes_slow")
    assert done["first"].state == "kept"
    assert done["second"].state == "made"
    assert log().count("compute first") == 1
    assert {p.name for p in place.iterdir()} == {"first", "second", "third"}
    # A worker does not outlive the run that started it.
    assert log().count("compute second") == 1


# -- choice and refusals -----------------------------------------------------------------------------------------------


def test_ids_and_papers_choose(tmp_path):
    assert [*made(tmp_path / "g", ids=["late"])] == ["late"]
    found = chosen(entries(), ["zou2023", "wu2022-decay"])
    assert [entry.figure.id for entry in found] == ["zou2023-bounds", "zou2023-fig2", "wu2022-decay"]
    assert [*made(tmp_path / "h", ids=["cube"])] == ["cube"]
    # What an earlier run made is still on the page.
    made(tmp_path / "g", ids=["cube"])
    assert {"cube", "late"} <= set(Page(tmp_path / "g/index.html").ids)


def test_an_unknown_figure_is_refused_with_the_nearest(tmp_path):
    with pytest.raises(InputError, match="'cubes' is not known; did you mean 'cube'"):
        made(tmp_path / "g", ids=["cubes"])
    assert not (tmp_path / "g").exists()


def test_folders_that_are_no_gallery_are_refused(tmp_path):
    (tmp_path / "full").mkdir()
    (tmp_path / "full/index.html").write_text("mine")
    with pytest.raises(InputError, match="holds something other than a gallery"):
        made(tmp_path / "full")
    assert (tmp_path / "full/index.html").read_text() == "mine"
    with pytest.raises(InputError, match="is a file"):
        made(tmp_path / "full/index.html")


def test_two_runs_do_not_write_to_one_gallery(tmp_path):
    with gallery._gallery(tmp_path / "g"), pytest.raises(InputError, match="being written by another run"):
        made(tmp_path / "g")
    assert made(tmp_path / "g")


def test_figures_of_one_name_are_refused():
    with pytest.raises(ValueError, match="two figures are called 'third'"):
        entries(["tests.figures.fakes_dying", "tests.figures.fakes_slow"])


def test_progress_ends_at_the_whole(tmp_path):
    seen = []
    made(tmp_path / "g", progress=lambda done, total: seen.append((done, total)))
    assert seen[-1][0] == pytest.approx(seen[-1][1])


# -- the page ----------------------------------------------------------------------------------------------------------


@pytest.mark.thorough
def test_the_page_is_well_formed_and_stands_alone(tmp_path):
    made(tmp_path / "g", FAKES, "tests.figures.fakes_refuted", "tests.figures.fakes_broken")
    page = Page(tmp_path / "g/index.html")
    assert page.open == []
    assert page.wrong == []
    assert "<script" not in page.source
    assert "http:" not in page.source.replace("http://www.w3.org", "")
    assert "https:" not in page.source
    assert len(set(page.ids)) == len(page.ids)
    for link in page.links:
        if link.startswith("#"):
            assert link[1:] in page.ids
        elif not link.startswith("data:"):
            assert (tmp_path / "g" / link).is_file(), link
    # Each of the six that were made in its section and on the card of its paper.
    assert sum(link.startswith("data:image/png;base64,") for link in page.links) == 14
    for words in ("A cube.", "y stays below a <third> & more", "figure 0", "<= 1/3", "0.333", "chosen", "substituted",
                  "not reproduced", "reason: a half", "turns: at 1/3", "Results of this project",
                  "the cube", "are absent"):  # fmt: skip
        assert words in page.text


# -- the command line --------------------------------------------------------------------------------------------------


def command(capsys, *arguments):
    with pytest.raises(SystemExit) as left:
        main(["reproduce", *arguments])
    said = capsys.readouterr()
    return left.value.code, said.out, said.err


@pytest.fixture
def fakes_only(monkeypatch):
    """The catalogue is that of the fakes."""

    def use(*modules):
        for each in (gallery, spoken):
            monkeypatch.setattr(each, "entries", lambda names=None: entries(names or modules))

    return use


@pytest.mark.thorough
def test_exit_codes(tmp_path, capsys, monkeypatch, fakes_only, known):
    monkeypatch.chdir(tmp_path)
    fakes_only(FAKES)
    code, out, _ = command(capsys, "-o", "g", "--processes", "1")
    assert code == 0
    assert "cube  Figure cube" in out
    assert "3 figures; 1 skipped\n2 claims of papers: 2 reproduced, 0 chosen, 0 substituted, 0 not reproduced" in out
    assert out.endswith("g/index.html\n")
    fakes_only("tests.figures.fakes_refuted")
    assert command(capsys, "-o", "g", "--processes", "1")[0] == 1
    assert command(capsys, "given", "-o", "g", "--processes", "1")[0] == 0
    known({"quick": {"refuted": {TEXT: "not reproduced"}}})
    assert command(capsys, "-o", "g", "--processes", "1")[0] == 0
    assert command(capsys, "-o", "g", "--processes", "1", "--strict")[0] == 1
    fakes_only("tests.figures.fakes_broken")
    assert command(capsys, "--processes", "1")[0] == 1
    assert (tmp_path / "gallery/index.html").exists()
    code, _, err = command(capsys, "brokn")
    assert code == 2
    assert "did you mean 'broken'" in err
    assert "choose one of them" in command(capsys, "--quick", "--full")[2]


def test_list(capsys, fakes_only):
    fakes_only(FAKES)
    code, out, _ = command(capsys, "--list")
    assert code == 0
    assert [line.split()[0] for line in out.splitlines()[:3]] == ["absent", "cube", "late"]
    assert "(needs no/such/folder)" in out


def test_ctrl_c_keeps_what_is_made(tmp_path, capsys, monkeypatch, fakes_only):
    monkeypatch.chdir(tmp_path)
    fakes_only("tests.figures.fakes_slow")
    settled = gallery._settled

    def interrupted(entry, *rest):
        if entry.figure.id == "second":
            raise KeyboardInterrupt
        return settled(entry, *rest)

    monkeypatch.setattr(gallery, "_settled", interrupted)
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    code, _, err = command(capsys, "--processes", "1")
    assert code == 130
    assert "start the same command again" in err
    assert sorted(p.name for p in (tmp_path / "gallery/quick").iterdir()) == ["first"]
    assert json.loads((tmp_path / "gallery/quick/first/record.json").read_text())["id"] == "first"


def test_the_catalogue_is_complete_and_says_what_it_does():
    """Every figure of the repository: a name of its own, a setting, a paper."""
    found = entries()
    for name, entry in found.items():
        assert name == entry.figure.id
        room, module = entry.module.split(".")[-2:]
        assert name.startswith("results" if room == "results" else module.split("_")[0])
        assert entry.figure.title
        assert str(entry.figure.year) in entry.figure.paper or entry.figure.paper == "This project"
        assert len(entry.figure.setting) > 60


@pytest.mark.thorough
@pytest.mark.parametrize(("count", "threads"), [(2, ["1", "1"]), (1, [None, None])])
def test_workers_beside_one_another_have_one_thread_for_linear_algebra(count, threads, monkeypatch):
    monkeypatch.delenv("OPENBLAS_NUM_THREADS", raising=False)
    tasks = [("OPENBLAS_NUM_THREADS",)] * 2
    assert [seen for _, seen in in_processes(os.getenv, tasks, count)] == threads
    assert "OPENBLAS_NUM_THREADS" not in os.environ
    monkeypatch.setenv("OPENBLAS_NUM_THREADS", "3")
    assert [seen for _, seen in in_processes(os.getenv, tasks[:1] * 2, count)] == ["3", "3"]
