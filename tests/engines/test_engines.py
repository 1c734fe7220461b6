"""The table of engines: every entry has its door, and what it needs is asked of the methods."""

from __future__ import annotations

import inspect
from dataclasses import replace
from pathlib import Path

import pytest

import simlab as sl
from simlab.engines import registry
from simlab.engines.arguments import named_methods
from simlab.experiment.families import FAMILIES


@pytest.mark.parametrize("name", registry.ENGINES)
def test_an_engine_is_a_file_named_as_its_door(name):
    door = registry.ENGINES[name].door
    assert door is getattr(sl, name)
    assert Path(inspect.getfile(inspect.unwrap(door))).stem == name
    assert list(inspect.signature(door).parameters)[1] == "method"


def test_every_family_runs_by_engines_of_the_table():
    used = {engine.name for family in FAMILIES.values() for engine in family.engines.values()}
    assert registry.ENGINES.keys() == used


def test_an_engine_says_whether_a_method_must_be_linear(monkeypatch):
    class Odd(type(sl.methods.sgd(sl.schedules.constant(3, 0.1)))):
        linear = False

    method = Odd(sl.schedules.constant(3, 0.1))
    with pytest.raises(sl.InputError, match="is not linear, and long needs a linear one"):
        named_methods({"a": method}, "long")
    monkeypatch.setitem(registry.ENGINES, "long", replace(registry.ENGINES["long"], linear=False))
    assert named_methods(method, "long") == ([method], None)
