"""Notebooks stay lessons: small outputs, no hidden state, parameters that papermill sees."""
import ast
import re

import pytest
from papermill import inspect_notebook

from project import (
    ROOT,
    code_cells,
    lesson_notebooks,
    notebooks,
    outputs,
    parameters,
    run_notebooks,
    source,
    tutorial_notebooks,
)

WIDEST_LINE = 120  # columns, as ruff allows elsewhere
OUTPUTS = 200_000  # bytes of stored outputs in one notebook


def exported(nb: dict) -> list[dict]:
    return [cell for cell in code_cells(nb) if re.search(r"^#\|\s*exporti?\b", source(cell), re.M)]


def test_lines_of_exported_cells_are_short():
    long = [
        f"nbs/{name}, cell {cell['id']}: {line.strip()[:40]}…"
        for name, nb in lesson_notebooks().items()
        for cell in exported(nb)
        for line in source(cell).splitlines()
        if len(line) > WIDEST_LINE
    ]
    assert not long, f"{len(long)} lines of more than {WIDEST_LINE} columns:\n" + "\n".join(long)


def test_no_star_imports():
    code = {name: "\n".join(map(source, code_cells(nb))) for name, nb in notebooks().items()}
    star = [name for name, text in code.items() if re.search(r"^\s*from .* import \*", text, re.M)]
    assert not star, f"`import *` hides where a name comes from: {star}"


def test_no_widget_state():
    for name, nb in notebooks().items():
        assert "widgets" not in nb["metadata"], f"nbs/{name}: metadata.widgets must be stripped"
        assert "vnd.jupyter.widget" not in outputs(nb), f"nbs/{name} stores a widget view"


def test_outputs_are_small():
    large = {f"nbs/{name}": len(outputs(nb)) for name, nb in notebooks().items() if len(outputs(nb)) > OUTPUTS}
    assert not large, f"more than {OUTPUTS} bytes of stored outputs: {large}"


def test_outputs_name_no_folder_of_one_machine():
    folder = re.compile(r"(?<![\w.])/(?:home|root|Users|tmp|work)/[\w.]+")
    found = {f"nbs/{name}": folder.findall(outputs(nb)) for name, nb in notebooks().items()}
    assert not any(found.values()), {name: paths for name, paths in found.items() if paths}


def test_every_notebook_names_the_kernel_papermill_needs():
    for name, nb in notebooks().items():
        spec = nb["metadata"].get("kernelspec", {})
        assert (spec.get("name"), spec.get("language")) == ("python3", "python"), f"nbs/{name}: kernelspec is {spec}"


def test_lessons_have_their_frame():
    for name, nb in lesson_notebooks().items():
        text = [source(cell) for cell in nb["cells"] if cell["cell_type"] == "markdown"]
        assert re.match(r"# .+\n+> .+", text[0]), f"nbs/{name}: the first cell is a title and one `>` line"
        for heading in ("## Summary", "## Exercises", "## Paper lines covered"):
            assert any(t.startswith(heading) or f"\n{heading}" in t for t in text), f"nbs/{name} has no `{heading}`"


def test_a_lesson_shows_a_picture():
    bare = [name for name, nb in lesson_notebooks().items() if "image/png" not in outputs(nb)]
    assert not bare, f"no stored picture in {bare}"


def test_every_notebook_is_a_lesson_a_run_a_tutorial_or_the_first_page():
    known = lesson_notebooks().keys() | run_notebooks().keys() | tutorial_notebooks().keys() | {"index.ipynb"}
    assert notebooks().keys() == known, f"no guard looks at {sorted(notebooks().keys() - known)}"


@pytest.mark.parametrize("name", tutorial_notebooks())
class TestTutorial:
    def test_it_only_uses_the_library(self, name):
        assert re.fullmatch(r"walks/\d_[a-z_]+\.ipynb", name)
        directives = [line for cell in code_cells(tutorial_notebooks()[name]) for line in source(cell).splitlines()
                      if line.startswith("#|")]
        assert not directives, f"nbs/{name}: a tutorial exports nothing and hides nothing, got {directives}"

    def test_it_has_its_frame(self, name):
        text = [source(cell) for cell in tutorial_notebooks()[name]["cells"] if cell["cell_type"] == "markdown"]
        assert re.match(r"# .+\n+> .+", text[0]), f"nbs/{name}: the first cell is a title and one `>` line"
        missing = [h for h in ("## Summary", "## Exercises", "## Where to go next") if h not in "\n".join(text)]
        assert not missing, f"nbs/{name} has no {missing}"

    def test_a_player_and_a_picture_are_in_the_first_screen(self, name):
        cells = tutorial_notebooks()[name]["cells"][:4]
        first = [out.get("data", {}) for cell in cells for out in cell.get("outputs", [])]
        assert any("image/png" in data and 'data-sgpaint="player"' in "".join(data.get("text/html", ""))
                   for data in first), f"nbs/{name}: no painting as the last line of one of the first cells"

    def test_every_exercise_has_a_folded_solution(self, name):
        cells = tutorial_notebooks()[name]["cells"]
        text = "\n".join(source(cell) for cell in cells if cell["cell_type"] == "markdown")
        exercises = re.findall(r"^\*\*\d+\.\*\*", text, re.M)
        folded = re.findall(r"<details><summary>A solution</summary>\n\n.+?</details>", text, re.S)
        assert len(exercises) >= 3 and len(exercises) == len(folded), f"nbs/{name}: {len(exercises)}, {len(folded)}"
        for code in re.findall(r"```python\n(.*?)```", text, re.S): ast.parse(code)

    def test_it_asserts(self, name):
        code = "\n".join(map(source, code_cells(tutorial_notebooks()[name])))
        assert len(re.findall(r"^\s*assert ", code, re.M)) >= 3, f"nbs/{name}: a lesson checks what it says"

    def test_the_syllabus_names_it(self, name):
        assert f"({name.removeprefix('walks/')})" in (ROOT / "nbs/walks/README.md").read_text()


class Said(Exception):
    "A run said what it had to; the rest need not run."


@pytest.mark.parametrize("name", run_notebooks())
class TestRun:
    def test_stores_no_outputs(self, name):
        assert not any(cell["outputs"] for cell in code_cells(run_notebooks()[name]))

    def test_papermill_sees_every_parameter(self, name):
        nb = run_notebooks()[name]
        cell = ast.parse(source(code_cells(nb)[parameters(nb)[0]]))
        written = {ast.unparse(t) for node in cell.body if isinstance(node, ast.Assign) for t in node.targets}
        written |= {ast.unparse(node.target) for node in cell.body if isinstance(node, ast.AnnAssign)}
        seen = set(inspect_notebook(str(ROOT / "nbs" / name)))
        assert written and written == seen, f"papermill misses {written - seen} of nbs/{name}"

    def test_under_nbdev_test_it_says_that_it_only_rehearses(self, name, monkeypatch):
        def hear(*words, **_):
            if "smoke size" in " ".join(map(str, words)):
                raise Said

        monkeypatch.setenv("IN_TEST", "1")
        monkeypatch.setattr("builtins.print", hear)
        nb, space = run_notebooks()[name], {"__name__": "__main__"}
        with pytest.raises(Said):  # or nothing said: under IN_TEST=1 a run prints `smoke size`, and uses it
            for cell in code_cells(nb)[: parameters(nb)[0] + 2]:  # the cell after the parameters builds the config
                exec(source(cell), space)
