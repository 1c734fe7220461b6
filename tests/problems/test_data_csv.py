"""Tables of data as people have them: with a header or without, from Excel, with blanks; the refusal names the line."""

from __future__ import annotations

import numpy as np
import pytest

import simlab as sl
from simlab.experiment.problem import _read_csv

SCHEDULE = {"kind": "constant", "steps": 3, "peak": 0.01}
MATRIX = np.array([[1.0, 0.5, 2.0], [0.0, 1.0, 3.0], [1.5, 1.0, 5.0]])
READ = {
    "commas": "a,b,y\n1,0.5,2\n0,1,3\n1.5,1,5\n",
    "byte-order mark": "\ufeffa,b,y\n1,0.5,2\n0,1,3\n1.5,1,5\n",
    "Windows": "a,b,y\r\n1,0.5,2\r\n0,1,3\r\n1.5,1,5\r\n",
    "Excel in German": "\ufeffa;b;y\r\n1;0,5;2\r\n0;1;3\r\n1,5;1;5\r\n",
    "tabs": "a\tb\ty\n1\t0.5\t2\n0\t1\t3\n1.5\t1\t5\n",
    "quotes": '"a","b","y"\n"1","0.5","2"\n"0","1","3"\n"1.5","1","5"\n',
    "blank lines and blanks": "a, b, y\n\n1, 0.5 ,2\n 0,1,3\n\n1.5,1,5\n\n",
}
REFUSED = {
    "a word": ("a,b,y\n1,2,3\n1,two,3\n", "y", ["line 3", "'two'", "'b'", "correct"]),
    "a blank cell": ("a,b,y\n1,2,3\n\n1,,3\n", "y", ["line 4", "nothing", "'b'"]),
    "a short row": ("a,b,y\n1,2,3\n1,2\n", "y", ["line 3", "nothing", "'y'"]),
    "decimal commas between commas": ("a,y\n0,1,0,2\n", "y", ["line 2", "4 cells", "2"]),
    "not finite": ("a,y\n1,2\nnan,1\n", "y", ["line 3", "'nan'"]),
    "no such column": ("a,b,y\n1,2,3\n", "z", ["target", "'z'"]),
    "no header, a name": ("1,2,3\n4,5,6\n", "y", ["target = 'y'", "line 1", "-1"]),
    "a header alone": ("a,b,y\n", "y", ["no rows"]),
    "nothing": ("", "y", ["empty"]),
    "half a column": ("a,b,y\n1,2,3\n", 0.5, ["target = 0.5", "whole number"]),
    "no such number": ("a,b,y\n1,2,3\n", 3, ["target = 3", "0 to 2"]),
}


def experiment(path, **problem):
    tree = {"problem": {"kind": "data", "path": str(path), **problem}, "schedule": SCHEDULE}
    return sl.Experiment.from_dict(tree)


@pytest.mark.parametrize("name", READ)
def test_read_alike(tmp_path, name):
    path = tmp_path / "rows.csv"
    path.write_text(READ[name], encoding="utf-8", newline="")
    for target in ("y", 2, -1, 2.0):
        X, y = _read_csv(path, target)
        np.testing.assert_array_equal(X, MATRIX[:, :2])
        np.testing.assert_array_equal(y, MATRIX[:, 2])


def test_a_first_row_of_numbers_is_not_lost(tmp_path):
    path = tmp_path / "rows.csv"
    path.write_text("1,0.5,2\n0,1,3\n1.5,1,5\n")
    with pytest.warns(UserWarning, match="no header: its line 1 is taken"):
        made = experiment(path, target=-1)
    assert made.problem.describe()["rows"] == 3
    path.write_text("2019,2020\n1,2\n3,5\n")
    assert experiment(path, target="2020").problem.describe()["rows"] == 2


@pytest.mark.parametrize("name", REFUSED)
def test_refusals_name_the_line(tmp_path, name):
    text, target, words = REFUSED[name]
    path = tmp_path / "rows.csv"
    path.write_text(text)
    with pytest.raises(sl.InputError) as caught:
        experiment(path, target=target)
    for word in words:
        assert word in str(caught.value), caught.value


def test_names_of_files_that_cannot_be(tmp_path):
    with pytest.raises(sl.InputError, match=r"problem\.path = .* is not the name of a file"):
        experiment("a\0.csv")
    with pytest.raises(sl.InputError, match="cannot be read"):
        experiment(tmp_path / ("a" * 5000 + ".csv"))
