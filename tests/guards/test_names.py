"""The public names are frozen, lazy and documented; their examples run."""
import doctest
import importlib
import inspect
import io
import sys

import pytest

from project import ROOT
from public import frozen, missing, resolved
from public_names import public_names

FROZEN = ROOT / "tests/guards/public_names.txt"
UNDOCUMENTED = "undocumented.txt"  # exceptions: this list may only become shorter


def test_public_names_are_the_frozen_ones():
    now, frozen = set(public_names()), set(FROZEN.read_text().split())
    assert now == frozen, f"gone: {sorted(frozen - now)}; new: {sorted(now - frozen)}; meant? then `make names`"


def test_a_public_name_is_listed_once_in_a_package():
    names = public_names()
    assert len(names) == len(set(names))


@pytest.mark.parametrize("package", sorted({name.rpartition(".")[0] for name in public_names()}))
def test_dir_lists_the_public_names(package):
    module = importlib.import_module(package)
    expected = {name.rpartition(".")[2] for name in public_names() if name.rpartition(".")[0] == package}
    assert expected == set(dir(module)) & expected == set(module.__all__)


def test_one_name_means_one_object():
    by_name: dict[str, set[int]] = {}
    for public in resolved(): by_name.setdefault(public.name.rpartition(".")[2], set()).add(id(public.item))
    twice = {"paint"}  # sgpaint.paint paints a picture, sgpaint.stroke.paint draws strokes on a canvas
    assert {name for name, items in by_name.items() if len(items) > 1} <= twice


def test_every_public_name_has_a_numpy_docstring():
    lacks = {public.name: missing(public) for public in resolved()}
    new = {name: what for name, what in lacks.items() if what and name not in frozen(UNDOCUMENTED)}
    assert not new, f"expected a numpy docstring with Parameters and Returns; missing: {new}"


def test_the_list_of_undocumented_names_only_becomes_shorter():
    still = {public.name for public in resolved() if missing(public)}
    done = frozen(UNDOCUMENTED) - still
    assert not done, f"documented by now, or gone: take these out of tests/guards/{UNDOCUMENTED}: {sorted(done)}"


def examples() -> list[doctest.DocTest]:
    "The examples of every public function and class, also of its methods."
    finder, found = doctest.DocTestFinder(exclude_empty=True), []
    for public in {id(p.item): p for p in resolved() if p.documented}.values():
        module = sys.modules[public.item.__module__]
        found += finder.find(inspect.unwrap(public.item), public.name, module, globs=vars(module).copy())
    return [test for test in found if test.examples]


def test_examples_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    said = io.StringIO()
    runner = doctest.DocTestRunner(optionflags=doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS)
    for test in examples(): runner.run(test, out=said.write)
    assert not runner.failures, said.getvalue()
