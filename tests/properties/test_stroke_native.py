"""Compiled code is loaded only where it is the user's own and sound; strokes are always drawn, one line says how."""

import logging
import os
import sys

import pytest
import torch

from sgpaint.lab.machine import can_compile
from sgpaint.stroke import native
from sgpaint.stroke.exact import alpha
from sgpaint.stroke.primitive import random_strokes

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="owners and modes of files are POSIX's")
needs_compiler = pytest.mark.skipif(not can_compile("cpu")[0], reason="no C++ compiler here")


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A folder with compiled code."""
    folder = tmp_path_factory.mktemp("cache") / "native"
    folder.mkdir(mode=0o700)
    return native.build(folder)


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """A cache of its own, and nothing loaded before or after."""
    monkeypatch.setenv("SGPAINT_CACHE", str(tmp_path))
    native.library.cache_clear()
    yield tmp_path / "native"
    native.library.cache_clear()


def planted(made, cache):
    """The compiled code in another cache."""
    cache.mkdir(mode=0o700)
    for file in (made, made.with_suffix(".digest")):
        (cache / file.name).write_bytes(file.read_bytes())
        (cache / file.name).chmod(0o700)
    return cache / made.name


def said(caplog):
    """Draw, and what was logged about it."""
    strokes = random_strokes(3, generator=torch.Generator().manual_seed(0))
    with caplog.at_level(logging.INFO, "sgpaint"):
        for _ in range(2):
            assert alpha(strokes, (12, 12)).isfinite().all()
    return [r.getMessage() for r in caplog.records if r.getMessage().startswith("strokes:")]


@needs_compiler
def test_it_is_kept_in_the_cache_that_is_named_for_this_user_alone(made, cache, caplog):
    path = planted(made, cache)
    before = path.stat().st_mtime_ns
    assert said(caplog) == [f"strokes: compiled ({path})"]
    assert path.stat().st_mtime_ns == before and {p.name for p in cache.iterdir()} == {path.name, path.stem + ".digest"}
    assert made.stat().st_mode & 0o077 == 0


@needs_compiler
@pytest.mark.parametrize("what", ["file", "note", "folder", "link"])
def test_what_others_can_write_is_not_loaded(what, made, cache, caplog):
    path = planted(made, cache)
    if what == "link":
        path.rename(cache / "elsewhere.so")
        path.symlink_to(cache / "elsewhere.so")
    else:
        {"file": path, "note": path.with_suffix(".digest"), "folder": cache}[what].chmod(0o777)
    lines = said(caplog)
    assert len(lines) == 1 and "eager" in lines[0] and "others can write" in lines[0] and "SGPAINT_CACHE" in lines[0]
    assert native.library() is None


@needs_compiler
@pytest.mark.skipif(not hasattr(os, "getuid") or os.getuid() != 0, reason="only root can give files away")
def test_somebody_elses_file_is_not_loaded(made, cache, caplog):
    os.chown(planted(made, cache), 1234, -1)
    assert "eager" in said(caplog)[0] and native.library() is None


@needs_compiler
@pytest.mark.parametrize("damage", ["truncated", "empty", "garbage", "no note"])
def test_a_damaged_file_is_compiled_again(damage, made, cache, caplog):
    path = planted(made, cache)
    if damage == "no note":
        path.with_suffix(".digest").unlink()
    else:
        path.write_bytes({"truncated": path.read_bytes()[:5000], "empty": b"", "garbage": os.urandom(9000)}[damage])
    lines = said(caplog)
    assert lines[-1] == f"strokes: compiled ({path})" and native.library() is not None
    assert ("is damaged" in lines[0]) == (damage != "no note")
    assert len(list(cache.iterdir())) == 2  # nothing is left aside


@needs_compiler
def test_a_compiler_that_hangs_is_given_up(cache, caplog, monkeypatch, tmp_path):
    slow = tmp_path / "g++"
    slow.write_text("#!/bin/sh\nexec sleep 60\n")
    slow.chmod(0o755)
    monkeypatch.setenv("CXX", str(slow))
    monkeypatch.setattr(native, "_SECONDS", 1)
    assert said(caplog) == ["strokes: eager, because the compiler did not end within 1 seconds"]


@pytest.mark.parametrize("named", ["g++ 'x", '"', "g++ \\"])
def test_a_command_that_cannot_be_read_is_named(named, cache, caplog, monkeypatch):
    monkeypatch.setenv("CXX", named)
    lines = said(caplog)
    assert len(lines) == 1 and "eager" in lines[0] and f"CXX: expected a command, got {named!r}" in lines[0]
    assert can_compile("cpu")[0] is False


@needs_compiler
def test_a_cache_that_cannot_be_written_is_named(caplog, monkeypatch, tmp_path):
    (tmp_path / "file").write_text("no folder")
    monkeypatch.setenv("SGPAINT_CACHE", str(tmp_path / "file"))
    native.library.cache_clear()
    try:
        lines = said(caplog)
        assert len(lines) == 1 and "eager" in lines[0] and "file" in lines[0] and "no C++ compiler" not in lines[0]
    finally:
        native.library.cache_clear()
