"""Painting and scribbling in Chromium: by mouse, touch and keyboard; what is seen is what Python has."""
import numpy as np
import pytest
import torch
from playwright.sync_api import Page

from bridge import Wire
from rig import barriers, pixels, toucher
from sgpaint.scene.procedural import draw
from sgpaint.stroke.painting import Painting
from sgpaint.stroke.primitive import random_strokes
from sgpaint.explore.drawing import MaskBrush, PaintAlong, fit_stroke

RING = [(0.5 + 0.3 * np.cos(a), 0.5 + 0.3 * np.sin(a)) for a in np.linspace(0, 6, 40)]
PATHS = {"a dot": [(0.4, 0.6)], "a line": [(0.1, 0.2), (0.9, 0.7)], "a bend": [(0.1, 0.2), (0.5, 0.8), (0.9, 0.1)],
         "a ring": RING, "twice there": [(0.2, 0.2)] * 5, "out and in": [(-0.2, 0.5), (1.3, 0.5), (0.2, 1.4)],
         "scribble": np.random.default_rng(0).random((60, 2)).tolist()}


def by_chance(picture):
    strokes = random_strokes(9, generator=torch.Generator().manual_seed(1))[0]
    return Painting(strokes, tuple(picture.shape[1:]), title="by chance")


@pytest.fixture
def along(page) -> Wire:
    wire = Wire(page, PaintAlong(draw("birds", 12, size=(48, 64)), 4, painters={"<b>chance</b>": by_chance}))
    wire.settle()
    return wire


@pytest.fixture
def brush(page) -> Wire:
    wire = Wire(page, MaskBrush(draw("streets", 3, size=(60, 80))))
    wire.settle()
    return wire


def at(page: Page, x: float, y: float) -> tuple[float, float]:
    frame = page.get_by_role("application").bounding_box()
    return frame["x"] + x * frame["width"], frame["y"] + y * frame["height"]


def drag(page: Page, *points, steps=6):
    page.mouse.move(*at(page, *points[0]))
    page.mouse.down()
    for point in points[1:]: page.mouse.move(*at(page, *point), steps=steps)
    page.mouse.up()


def apart(wire: Wire) -> float:
    "How far the canvas on the screen is from what Python renders."
    canvas = pixels(wire.page.get_by_label("your painting"))[..., :3]
    return (torch.tensor(canvas).permute(2, 0, 1) / 255 - wire.widget.painting.render()).abs().max().item()


def score(page: Page, name: str) -> list[str]:
    line = page.locator("tr", has=page.get_by_role("rowheader", name=name, exact=True))
    return line.locator("td").all_text_contents()


@pytest.mark.parametrize("path", PATHS)
def test_the_browser_makes_the_stroke_that_python_makes(page, along, path):
    code = along.widget._esm.replace("export default { render };", "")
    page.add_script_tag(content=f"{code}\nwindow.fitStroke = fitStroke;")
    points, size, colour = [list(map(float, point)) for point in PATHS[path]], [48, 64], [0.1, 0.2, 0.3]
    row = page.evaluate("(given) => fitStroke(...given)", [points, size, colour, 0.4, 0.9])
    assert row == pytest.approx(fit_stroke(points, (48, 64), colour, 0.4, 0.9).tolist(), abs=1e-6)


def test_strokes_are_drawn_taken_back_and_counted(page, along):
    board = along.widget
    drag(page, (0.1, 0.3), (0.5, 0.6), (0.9, 0.3))
    drag(page, (0.2, 0.8), (0.8, 0.8))
    along.settle()
    assert len(board.marks) == 2 and apart(along) <= 2 / 255
    assert board.marks[0][:2] == pytest.approx([0.1, 0.3], abs=0.01)
    assert board.marks[0][4:6] == pytest.approx([0.9, 0.3], abs=0.01)
    assert score(page, "you")[:2] == ["2", f"{board.scores[0]['error']:.5f}"]
    page.get_by_role("button", name="undo").click()
    along.settle()
    assert len(board.marks) == 1 and apart(along) <= 2 / 255
    page.get_by_role("button", name="clear").click()
    along.settle()
    assert board.marks == [] and apart(along) <= 2 / 255
    page.get_by_role("button", name="undo").click()
    along.settle()
    assert len(board.marks) == 1 and apart(along) <= 2 / 255


def test_a_stroke_is_seen_and_scored_while_it_is_drawn(page, along):
    empty = pixels(page.get_by_label("your painting")).copy()
    page.mouse.move(*at(page, 0.1, 0.5))
    page.mouse.down()
    page.mouse.move(*at(page, 0.9, 0.5), steps=5)
    along.drawn()
    assert (pixels(page.get_by_label("your painting")) != empty).any() and along.widget.marks == []
    assert score(page, "you")[1] != f"{along.widget.scores[0]['error']:.5f}"
    page.evaluate("() => model.heard({ marks: [] })")  # an echo of what was: not listened to
    along.drawn()
    assert (pixels(page.get_by_label("your painting")) != empty).any()
    page.mouse.up()
    along.settle()
    assert len(along.widget.marks) == 1 and apart(along) <= 2 / 255


def test_no_stroke_more_than_there_are(page, along):
    for i in range(6): drag(page, (0.2, 0.1 + 0.15 * i), (0.8, 0.1 + 0.15 * i), steps=2)
    along.settle()
    assert len(along.widget.marks) == 4 and along.widget.error == "" and apart(along) <= 2 / 255
    assert page.get_by_text("All 4 strokes are used").is_visible()


def test_the_brush_is_picked_and_changed(page, along):
    board, picture = along.widget, page.get_by_alt_text("the picture to paint").bounding_box()
    page.mouse.click(picture["x"] + 0.5 * picture["width"] + 1, picture["y"] + 0.5 * picture["height"] + 1)
    along.settle()
    assert board.colour == pytest.approx(board.picture[:, 24, 32].tolist(), abs=1 / 255)
    chip = page.get_by_role("button", name="colour #ffffff")
    chip.click()
    page.get_by_label("radius").fill("0.75")
    page.get_by_label("opacity").fill("0.5")
    page.get_by_label("see the picture through").check()
    along.settle()
    assert (board.colour, board.radius, board.opacity, board.show_picture) == ([1, 1, 1], 0.75, 0.5, True)
    assert chip.get_attribute("aria-pressed") == "true" and page.get_by_text("9.0 pixels").is_visible()
    page.get_by_label("any colour").fill("#ff0080")
    along.settle()
    assert board.colour == pytest.approx([1, 0, 128 / 255])
    drag(page, (0.5, 0.5), (0.6, 0.5))
    along.settle()
    assert board.marks[0][6:] == pytest.approx([0.75, 0.75, 0.5, 0.5, 1, 0, 128 / 255])


def test_a_stroke_by_keyboard(page, along):
    board = along.widget
    page.get_by_role("application").focus()
    for key in [*["ArrowLeft"] * 4, "p", " ", *["ArrowUp"] * 6, " ", *["ArrowRight"] * 6, "Shift+ArrowRight", "Enter"]:
        page.keyboard.press(key)
    along.settle()
    assert board.marks[0][:2] == pytest.approx([0.3, 0.5])
    assert board.marks[0][4:6] == pytest.approx([0.6 + 1 / 64, 0.2])
    assert board.marks[0][10:] == pytest.approx(board.picture[:, 24, 19].tolist(), abs=1 / 255)
    for key in (" ", "ArrowDown", "Escape", "]", "]", "["): page.keyboard.press(key)
    along.settle()
    assert len(board.marks) == 1 and board.radius == pytest.approx(0.32) and apart(along) <= 2 / 255
    page.keyboard.press("u")
    along.settle()
    assert board.marks == []


def test_a_stroke_by_touch(new_page):
    page = new_page(has_touch=True)
    along = Wire(page, PaintAlong(torch.full((3, 30, 40), 0.5), 2, painters={}))
    along.settle()
    touch = toucher(page, at)
    touch("touchStart", (0.2, 0.5))
    for i in range(1, 7): touch("touchMove", (0.2 + 0.1 * i, 0.5))
    touch("touchEnd")
    touch("touchStart", (0.5, 0.2))
    touch("touchMove", (0.5, 0.4))
    touch("touchCancel")
    along.settle()
    assert len(along.widget.marks) == 1, "a cancelled touch leaves nothing"
    assert along.widget.marks[0][4] == pytest.approx(0.8, abs=0.02)


def test_the_others_paint_when_asked(page, along):
    race = page.get_by_role("button", name="let the others paint")
    race.click()
    along.settle()
    line = along.widget.scores[1]
    assert score(page, "<b>chance</b>")[:2] == ["4", f"{line['error']:.5f}"] and line["strokes"] == 4
    assert page.get_by_alt_text("painted by <b>chance</b>").is_visible() and not race.is_visible()
    assert not barriers(page)


def test_a_painter_that_fails_is_seen(page):
    def tired(picture): raise RuntimeError("too tired to paint")

    along = Wire(page, PaintAlong(torch.rand(3, 9, 9), 2, painters={"tired": tired}))
    page.get_by_role("button", name="let the others paint").click()
    along.settle()
    assert page.get_by_role("alert").inner_text() == "RuntimeError: too tired to paint"


def test_a_board_set_from_python_is_drawn(page, along):
    along.widget.marks = random_strokes(4, generator=torch.Generator().manual_seed(3))[0].tolist()
    along.guidance_of()
    along.drawn()
    assert apart(along) <= 2 / 255
    along.widget.marks = along.widget.marks[2:]
    along.guidance_of()
    along.drawn()
    assert apart(along) <= 2 / 255


@pytest.mark.parametrize("size", [(1, 1), (300, 2000), (600, 40)])
def test_pictures_of_any_shape(page, size):
    along = Wire(page, PaintAlong(torch.rand(3, *size, generator=torch.Generator().manual_seed(0)), 2, painters={}))
    along.settle()
    drag(page, (0.3, 0.5), (0.7, 0.5))
    along.settle()
    assert len(along.widget.marks) == 1 and apart(along) <= 2 / 255


# ---- masks -----------------------------------------------------------------------------------------------------------

def tinted(page: Page) -> np.ndarray:
    "Which pixels of the layer over the picture hold a colour."
    return pixels(page.locator(".sg-stack canvas"))[..., 3] > 127


def test_masks_are_scribbled_and_erased(page, brush):
    masks = brush.widget
    drag(page, (0.2, 0.5), (0.4, 0.5))
    page.get_by_role("button", name="object 2").click()
    page.get_by_label("radius").fill("0.1")
    drag(page, (0.6, 0.5), (0.8, 0.6))
    page.get_by_role("button", name="eraser").click()
    drag(page, (0.7, 0.3), (0.7, 0.8))
    brush.settle()
    assert [mark["instance"] for mark in masks.marks] == [1, 2, 0] and masks.erase and masks.instance == 2
    assert tuple(masks.masks.shape) == (2, 60, 80) and masks.masks[1, :, 56].sum() == 0, "erased"
    seen = torch.from_numpy(tinted(page)).float()[None, None]
    small = torch.nn.functional.interpolate(seen, (60, 80), mode="area")[0, 0]
    assert (small - masks.masks.amax(0)).abs().mean() < 0.01, "what is seen is what is masked"
    assert page.get_by_text(masks.note).is_visible()
    page.get_by_role("button", name="undo").click()
    brush.settle()
    assert len(masks.marks) == 2 and masks.masks[1, :, 56].sum() > 0
    page.get_by_role("button", name="clear").click()
    brush.settle()
    assert not tinted(page).any() and page.get_by_text("Nothing is marked yet.").is_visible()


def test_a_mask_by_keyboard(page, brush):
    page.get_by_role("application").focus()
    for key in ("3", "]", "]", " ", "ArrowRight", "ArrowRight", "Enter", "e", " ", "Enter", "4"):
        page.keyboard.press(key)
    brush.settle()
    masks = brush.widget
    assert [mark["instance"] for mark in masks.marks] == [3, 0] and masks.radius == pytest.approx(0.08)
    assert masks.marks[0]["points"] == pytest.approx(np.array([[0.5, 0.5], [0.6, 0.5]]))
    assert (masks.instance, masks.erase) == (4, False) and list(masks.coverage) == ["3"]
    page.keyboard.press("u")
    brush.settle()
    assert len(masks.marks) == 1


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_they_keep_nobody_out(new_page, picture, scheme):
    for widget in (PaintAlong(draw("birds", 3, size=(48, 64)), 3), MaskBrush(draw("streets", 3, size=(60, 80)))):
        page = new_page(color_scheme=scheme)
        wire = Wire(page, widget)
        drag(page, (0.2, 0.4), (0.5, 0.6))
        wire.settle()
        assert not barriers(page)
        picture(page, f"{scheme} {widget.kind}")
