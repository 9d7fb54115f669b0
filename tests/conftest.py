"""One thread, no deadlines: a busy machine may be slow, and no test may fail for that."""
import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("MPLBACKEND", "agg")

import hypothesis
import pytest
import torch

torch.set_num_threads(1)
hypothesis.settings.register_profile("sgpaint", deadline=None, derandomize=True, database=None)
hypothesis.settings.load_profile("sgpaint")


@pytest.fixture(scope="session", autouse=True)
def cache(tmp_path_factory):
    "Tests cache pictures in a folder of their own."
    os.environ["SGPAINT_CACHE"] = str(tmp_path_factory.mktemp("cache"))


@pytest.fixture
def own_cache(tmp_path, monkeypatch):
    "A cache of the test's own: nothing that another test made is found."
    monkeypatch.setenv("SGPAINT_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def own_places(tmp_path, monkeypatch, own_cache):
    "And a home and data of its own: none of the user's is seen or touched."
    monkeypatch.setenv("SGPAINT_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("SGPAINT_DATA", raising=False)
