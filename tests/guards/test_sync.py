"""Cleaning, exporting and making the README change nothing: what is committed is what the notebooks say."""
import re
from pathlib import Path

import pytest

from project import IMAGES, PLAIN, ROOT, copy_project, modules, parameters, lesson_notebooks, run, run_notebooks


def contents(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def synced(tmp_path_factory) -> tuple[dict[str, bytes], Path]:
    "The committed files, and a copy on which clean, export (from nothing) and README were run."
    copy = copy_project(tmp_path_factory.mktemp("project"))
    before = contents(copy)
    for name, path in modules(copy / "sgpaint").items():
        if name not in PLAIN:
            path.unlink()
    (copy / "README.md").unlink()
    run("python", "tools/outputs.py", cwd=copy)
    run("nbdev_clean", cwd=copy)
    run("nbdev_export", cwd=copy)
    run("python", "tools/readme.py", cwd=copy)
    return before, copy


@pytest.mark.parametrize("part", ["nbs", "sgpaint", "README.md", "media"])
def test_clean_export_and_readme_leave_no_diff(synced, part):
    before, copy = synced
    after = {name: data for name, data in contents(copy).items() if "__pycache__" not in name}
    names = {name for name in before.keys() | after.keys() if name.split("/")[0] == part}
    differing = sorted(name for name in names if before.get(name) != after.get(name))
    assert not differing, f"not what the notebooks say: {differing}; run `make sync` and commit what it changes"


def test_the_parameters_tag_survives_cleaning(synced):
    for name, nb in run_notebooks(synced[1] / "nbs").items():
        count = len(parameters(nb))
        assert count == 1, f"nbs/{name}: after nbdev_clean, {count} cells are tagged `parameters`, expected one"


def test_the_readme_shows_a_picture_in_its_first_screen():
    first_screen = "\n".join((ROOT / "README.md").read_text().splitlines()[:20])
    assert IMAGES.search(first_screen), "README.md: no picture in the first 20 lines"


def test_every_link_of_the_readme_leads_somewhere():
    text = re.sub(r"```.*?```", "", (ROOT / "README.md").read_text(), flags=re.S)
    links = re.findall(r"\]\(([^)\s#]+)", text) + re.findall(r"(?:src|href)=\"([^\"#]+)", text)
    missing = [link for link in links if "://" not in link and not (ROOT / link).exists()]
    assert links and not missing, f"README.md links to {missing}"


def test_every_lesson_and_run_is_named_in_the_readme():
    text = (ROOT / "README.md").read_text()
    unnamed = [name for name in lesson_notebooks() | run_notebooks() if f"(nbs/{name})" not in text]
    assert not unnamed, f"nbs/index.ipynb links to no {unnamed}"


def test_every_picture_in_media_is_shown_somewhere():
    pages = [ROOT / "README.md", *ROOT.glob("nbs/**/*.ipynb"), *ROOT.glob("benchmarks/*.md")]
    text = "".join(path.read_text() for path in pages)
    unused = [path.name for path in (ROOT / "media").iterdir() if path.name not in text]
    assert not unused, f"media/ holds pictures that nothing shows: {unused}"
