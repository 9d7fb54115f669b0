"""Pages and what they are made of: any shape, any title, nothing half-written."""
import json

import pytest
import torch

from sgpaint.stroke.page import WORKING, data, script, working
from sgpaint.stroke.painting import Painting, PaintingError, side_by_side
from sgpaint.stroke.primitive import random_strokes


@pytest.mark.parametrize("size", [(1, 1), (1, 20000), (20000, 1), (3, 500), (2000, 300), (64, 64)])
@pytest.mark.parametrize("n", [0, 1, 7])
def test_a_page_of_any_shape_and_number(tmp_path, size, n):
    painting = Painting(random_strokes(n)[0] if n else torch.zeros(0, 13), size)
    page = painting.to_html(tmp_path / "me.html").read_text()
    assert page.startswith("<!doctype html>") and f'"size": {json.dumps(list(size))}' in page
    assert max(working(size)) <= max(WORKING) and min(working(size)) >= 1


def test_a_player_of_200_strokes_weighs_less_than_150_kb(tmp_path):
    path = Painting(random_strokes(200)[0], (128, 128)).to_html(tmp_path / "me.html")
    assert path.stat().st_size < 150_000


@pytest.mark.parametrize("title", ["half a pair: \ud83d", {"a": 1}.keys()])
def test_a_title_that_no_file_can_hold_is_refused(title):
    with pytest.raises(PaintingError, match="title"): Painting(torch.zeros(0, 13), (8, 8), title=title)


def test_data_cannot_end_the_script_that_holds_it():
    text = data({"title": "</script><!--\u2028"})
    assert "<" not in text and "\u2028" not in text and json.loads(text) == {"title": "</script><!--\u2028"}


def test_the_script_is_one_plain_script_and_one_module_with_more(tmp_path):
    more = tmp_path / "more.js"
    more.write_text("function render({ model, el }) {}\n")
    assert "export default" not in script() and script(more).rstrip().endswith("export default { render };")


@pytest.mark.parametrize("wrong, what", [
    ({"paintings": []}, "one painting"), ({"titles": []}, "titles"), ({"target": torch.zeros(2, 2)}, "target")])
def test_what_cannot_stand_side_by_side_is_refused(wrong, what):
    with pytest.raises(PaintingError, match=what):
        side_by_side(**({"paintings": [Painting(torch.zeros(0, 13), (8, 8))]} | wrong))
