"""A painting in a notebook: saved, converted, opened without trust and with it, and run."""
import subprocess
import sys

import nbformat
import pytest

from paintings import a_painting, agrees
from sgpaint.stroke.painting import Painting, side_by_side


def shown(value) -> nbformat.NotebookNode:
    "A cell that was run and kept what `value` displays."
    output = nbformat.v4.new_output("execute_result", data=value._repr_mimebundle_(), execution_count=1)
    return nbformat.v4.new_code_cell("painting", outputs=[output], execution_count=1)


@pytest.fixture
def two() -> list[Painting]:
    return [a_painting(30, title="first"), a_painting(20, "circle", (40, 30), "masked", title="second")]


def test_a_converted_notebook_plays(new_page, tmp_path, two):
    page = new_page(foreign="https://cdnjs.cloudflare.com/")  # nbconvert's template asks it for mathematics
    notebook = nbformat.v4.new_notebook(cells=[*map(shown, two), shown(side_by_side(two, titles=["left", "right"]))])
    nbformat.write(notebook, path := tmp_path / "paintings.ipynb")
    subprocess.run([sys.executable, "-m", "nbconvert", "--to", "html", path], check=True, capture_output=True)
    page.goto((tmp_path / "paintings.html").as_uri())
    for name, painting in zip(("first", "second", "left", "right"), two + two, strict=True):
        canvas = page.get_by_role("img", name=name)
        agrees(canvas, painting, len(painting))
    page.get_by_role("slider").first.press("PageDown")
    agrees(page.get_by_role("img", name="first"), two[0], 20)
    agrees(page.get_by_role("img", name="second"), two[1], 20)


def test_without_trust_there_is_the_picture(lab, lab_page, two):
    lab.open(lab_page, lab.write("saved", shown(two[0])))
    picture = lab_page.locator(".jp-OutputArea img").first
    picture.wait_for()
    assert picture.evaluate("i => i.complete && i.naturalWidth") > 300
    assert lab_page.locator(".jp-OutputArea canvas, .jp-OutputArea script").count() == 0


def test_with_trust_it_plays_and_jupyterlab_does_not_hear_its_keys(lab, lab_page, two):
    path = lab.write("trusted", shown(two[0]), shown(two[1]))
    lab.trust(path)
    lab.open(lab_page, path)
    canvas = lab_page.get_by_role("img", name="first")
    agrees(canvas, two[0], 30)
    slider = lab_page.get_by_role("slider").first
    slider.press("PageDown")
    agrees(canvas, two[0], 20)
    for key in ("x", "d", "d", "a", "b", "Enter", "ArrowLeft"): slider.press(key)
    agrees(canvas, two[0], 19)
    assert lab.cells(lab_page) == ["painting", "painting"]
    box = lab_page.locator(".sg").first.bounding_box()
    assert box["width"] <= lab_page.locator(".jp-OutputArea").first.bounding_box()["width"]
