"""Type checkers see every public name: `mypy --strict` holds for the definitions, and for code that uses them."""
import ast
import functools
import inspect
import re
import subprocess
import sys

from project import ROOT
from public import frozen, resolved
from public_names import public_names

UNTYPED = "untyped.txt"  # exceptions: this list may only become shorter
HELPERS = "[no-untyped-call]"  # a call of an untyped helper inside a body: nothing that a user of the name sees
CACHE = ROOT / ".mypy_cache/strict"


def strict(*arguments: str) -> list[str]:
    "The lines that mypy --strict prints."
    command = [sys.executable, "-m", "mypy", "--strict", "--no-error-summary", "--cache-dir", str(CACHE), *arguments]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode in (0, 1), done.stdout + done.stderr
    return done.stdout.splitlines()


@functools.cache
def lines() -> dict[str, dict[int, str]]:
    "File -> line -> the public name that is defined there; each name under its shortest path."
    where: dict[str, dict[int, str]] = {}
    for public in sorted(resolved(), key=lambda p: -len(p.name)):
        if not public.documented: continue
        item = inspect.unwrap(public.item)
        file = inspect.getsourcefile(item) or ""
        name = item.__name__
        for node in ast.parse(open(file, encoding="utf-8").read()).body:
            if getattr(node, "name", "") == name:
                where.setdefault(file, {}).update(dict.fromkeys(range(node.lineno, node.end_lineno + 1), public.name))
    return where


@functools.cache
def wrong() -> dict[str, list[str]]:
    "Public name -> the errors inside its definition."
    found: dict[str, list[str]] = {}
    for error in filter(lambda line: " error: " in line, strict("sgpaint")):
        file, line = error.split(":")[:2]
        name = lines().get(str(ROOT / file), {}).get(int(line))
        if name and not error.endswith(HELPERS): found.setdefault(name, []).append(error)
    return found


def test_public_definitions_are_strictly_typed():
    new = {name: errors for name, errors in wrong().items() if name not in frozen(UNTYPED)}
    assert not new, "mypy --strict:\n" + "\n".join(e for errors in new.values() for e in errors)


def test_the_list_of_untyped_names_only_becomes_shorter():
    done = frozen(UNTYPED) - wrong().keys()
    assert not done, f"typed by now, or gone: take these out of tests/guards/{UNTYPED}: {sorted(done)}"


def test_code_that_uses_the_public_names_is_strictly_typed(tmp_path):
    program, names = tmp_path / "program.py", public_names()
    uses = [f"import {package}" for package in sorted({name.rpartition(".")[0] for name in names})]
    program.write_text("\n".join([*uses, *(f"reveal_type({name})" for name in names)]))
    said = [line for line in strict(str(program)) if program.name in line]  # the tests above judge the library
    errors = [line for line in said if " error: " in line]
    assert not errors, "\n".join(errors)
    types = re.findall(r'Revealed type is "(.*)"', "\n".join(said))
    loose = [name for name, kind in zip(names, types, strict=True) if kind == "Any"]
    assert not loose, f"type checkers know nothing about {loose}"
