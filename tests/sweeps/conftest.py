"""A process that kills others, and a store to compare with."""

from __future__ import annotations

import multiprocessing
import os
import shutil
from concurrent.futures import ProcessPoolExecutor

import pytest

from tests.sweeps.store_bytes import swept


@pytest.fixture(scope="module")
def killer():
    """A process without threads that forks and kills: those of a test runner may not be copied."""
    if not hasattr(os, "fork"):
        pytest.skip("this system has no fork")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OPENBLAS_NUM_THREADS", "1")
        with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
            yield lambda *task: pool.submit(*task).result(timeout=300)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The store of a sweep that nobody disturbed, computed by one thread."""
    path = tmp_path_factory.mktemp("whole") / "store"
    report = swept(path, threads=1)
    assert str(report) == "computed 24, reused 0; 4 diverged, 20 done"
    return path


@pytest.fixture
def store(whole, tmp_path):
    """A finished store to be altered."""
    shutil.copytree(whole, tmp_path / "store")
    return tmp_path / "store"
