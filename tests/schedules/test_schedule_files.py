"""Schedules from csv and json, and into them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings

import simlab.schedules as sl
from simlab.errors import InputError
from simlab.schedules import Schedule
from tests.schedules.drawn import FAST, MARKS, expressions

pytestmark = MARKS


@settings(FAST, max_examples=40)
@given(expressions())
def test_csv_and_json_round_trips(tmp_path_factory: pytest.TempPathFactory, s: Schedule) -> None:
    folder = tmp_path_factory.mktemp("schedules")
    sl.to_csv(s, folder / "s.csv")
    assert sl.from_csv(folder / "s.csv").values().tobytes() == s.values().tobytes()
    sl.to_json(s, folder / "s.json")
    assert sl.from_json(folder / "s.json") == s


def test_csv_with_gaps_is_interpolated(tmp_path: Any) -> None:
    path = tmp_path / "log.csv"
    path.write_text("loss, Step ,rate\n9,2,0.4\n8,4,0.2\n\n7,8,0.6\n")
    s = sl.from_csv(path, lr_column="rate", step_column="Step")
    np.testing.assert_allclose(s.values(), [0.4, 0.4, 0.4, 0.3, 0.2, 0.3, 0.4, 0.5, 0.6], rtol=1e-15)
    assert s.kind == "piecewise"
    longer = sl.from_csv(path, "rate", "Step", length=11)
    np.testing.assert_allclose(longer.values(8), [0.6, 0.6, 0.6])
    assert np.array_equal(sl.from_csv(path, "rate", "Step", length=6).values(), s.values(0, 6))
    single = tmp_path / "single.csv"
    single.write_text("step,lr\n0,0.5\n")
    assert np.array_equal(sl.from_csv(single, length=3).values(), [0.5, 0.5, 0.5])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("step,loss\n0,1\n", r"has no column 'lr'; its columns are step, loss"),
        ("", r"is empty; give a log with a header and rows"),
        ("step,lr\n", r"has a header and no rows"),
        ("step,lr\n0.5,1\n", r"line 2: step = 0.5; give a whole number of steps"),
        ("step,lr\n,1\n", r"line 2: step = nothing; give a whole number of steps"),
        ("step,lr\n0,0,1\n19,0,05\n", r"line 2 has 3 cells where the first row has 2; write decimals with a point"),
        ("step,lr\n1,0.1\n2,0.1\n3,0.1\n", r"its steps are 1 .. 3; give first_step = 1 if"),
        ("step,lr\n0,0.1\n3e9,0.1\n", r"step reaches 3000000000, a run of more than 100,000,000 steps; give every ="),
        ("step,lr\n0," + "1" * 200_000, r"line 2: field larger than field limit"),
        ("step,lr\n0,\0\n", r"line 2: lr = .*; give a finite number"),
        ("step,lr\n0,\n", r"has no value in its column 'lr'"),
        ("step,lr\n0,nan\n", r"line 2: lr = nan; give a finite number"),
        ("step,lr\n0,-1\n", r"line 2: lr = -1; give a finite number"),
        ("step,lr\n0\n", r"has no value in its column 'lr'"),
        ("step,lr\n0,fast\n", r"line 2: lr = fast; give a finite number"),
    ],
)
def test_csv_refusals(tmp_path: Any, text: str, message: str) -> None:
    path = tmp_path / "bad.csv"
    path.write_text(text)
    with pytest.raises(InputError, match=message):
        sl.from_csv(path)


LOGS: list[tuple[str | bytes, dict[str, Any], list[float]]] = [
    # Lightning: rows of the loss between those of the rate
    ("epoch,lr,step,loss\n,0.4,0,\n0,,1,2.3\n,0.2,2,\n", {}, [0.4, 0.3, 0.2]),
    # Excel: a mark, CRLF, semicolons, decimal commas
    ("\ufeffstep;lr\r\n0;0,4\r\n1;0,2\r\n", {}, [0.4, 0.2]),
    ('"step"\t"lr"\n"0"\t"0,4"\n'.encode("utf-16"), {}, [0.4]),
    # wandb, TensorBoard
    (
        '"Step","r - lr","r - lr__MIN","q - lr"\n"0","0.4","0",""\n"1","0.2","0","1"\n',
        {"lr_column": "r - lr"},
        [0.4, 0.2],
    ),
    ("Wall time,Step,Value\n1.6e9,0,0.4\n1.6e9,1,2e-1\n", {"lr_column": "Value"}, [0.4, 0.2]),
    # tokens, updates counted from 1, stairs, a comma at the end of each line
    ("tokens,lr\n0,0.4\n4096,0.2\n", {"step_column": "tokens", "every": 2048}, [0.4, 0.3, 0.2]),
    ("step,lr\n1,0.4\n2,0.2\n", {"first_step": 1}, [0.4, 0.2]),
    ("step,lr\n1,0.4\n2,0.2\n", {"first_step": 0}, [0.4, 0.4, 0.2]),
    ("step,lr,\n0,0.4,\n3,0.2,\n", {"between": "hold", "length": 5}, [0.4, 0.4, 0.4, 0.2, 0.2]),
    # a jump halfway, where the rate stays before and behind it; a line where it does not, or changes by little
    ("step,lr\n0,.4\n4,.4\n8,.1\n12,.1\n", {"between": "jumps"}, [0.4] * 6 + [0.1] * 7),
    ("step,lr\n0,.4\n1,.4\n4,.1\n5,.1\n", {"between": "jumps"}, [0.4] * 3 + [0.1] * 3),
    ("step,lr\n0,.4\n2,.4\n4,.1\n6,0\n", {"between": "jumps"}, [0.4, 0.4, 0.4, 0.25, 0.1, 0.05, 0]),
    ("step,lr\n0,.4\n2,.4\n4,.36\n6,.36\n", {"between": "jumps"}, [0.4, 0.4, 0.4, 0.38, 0.36, 0.36, 0.36]),
]


@pytest.mark.parametrize(("text", "options", "values"), LOGS)
def test_logs_are_read_as_trainers_write_them(tmp_path: Any, text: str | bytes, options: Any, values: Any) -> None:
    path = tmp_path / "log.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    s = sl.from_csv(path, **options)
    np.testing.assert_allclose(s.values(), values, rtol=1e-15)
    assert sl.from_dict(s.to_dict()) == s


def test_later_rows_of_a_resumed_run_win_with_a_notice(tmp_path: Any) -> None:
    path = tmp_path / "log.csv"
    path.write_text("step,lr\n0,0.4\n1,0.3\n2,0.2\n1,0.1\n2,0.1\n")
    with pytest.warns(
        UserWarning, match=r"2 rows name a step that an earlier row names \(the first is line 5\)"
    ) as caught:
        s = sl.from_csv(path)
    assert caught[0].filename == __file__
    assert s.values().tolist() == [0.4, 0.1, 0.1]
    with pytest.raises(InputError, match="is not the name of a file"):
        sl.from_csv("a\0.csv")


def test_files_are_neither_lost_nor_made_up(tmp_path: Any) -> None:
    s = sl.constant(2, 0.1)
    for write in (sl.to_csv, sl.to_json):
        path = tmp_path / "s.txt"
        path.write_text("precious")
        with pytest.raises(InputError, match="exists; choose another name or pass overwrite=True"):
            write(s, path)
        assert path.read_text() == "precious"
        write(s, path, overwrite=True)
        with pytest.raises(InputError, match="is not a folder"):
            write(s, tmp_path / "none" / "s.txt")
    with pytest.raises(InputError, match="cannot be read"):
        sl.from_csv(tmp_path / "missing.csv")
    (tmp_path / "bad.json").write_text("{")
    with pytest.raises(InputError, match="is not JSON"):
        sl.from_json(tmp_path / "bad.json")
    (tmp_path / "bad.bin").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match="is not text in UTF-8"):
        sl.from_csv(tmp_path / "bad.bin")
