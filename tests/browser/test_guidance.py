"""The box and the question in Chromium: what is drawn is what Python computes, by mouse, touch and keyboard."""
import pytest
import torch
from playwright.sync_api import Page
from torch import Tensor, nn

from bridge import Wire
from rig import barriers, pixels, toucher
from sgpaint.guide.align import theta
from sgpaint.guide.classify import Expert
from sgpaint.scene.procedural import draw
from sgpaint.explore.guidance import AlignmentExplorer, FocusExplorer

BOXES = [[0.25, 0.125, 0.5, 0.75], [-0.3, -0.2, 1.5, 1.6], [0.4, 0.4, 0.01, 0.02], [0.9, 0.9, 0.5, 0.5], [0, 0, 1, 1],
         [3.0, 0, 1, 1], [-9.0, -9.0, 10.0, 10.0], [0.5, 0.5, 1e-4, 1e-4]]


@pytest.fixture
def bird(): return draw("birds", 12, size=(48, 64))


def alignment(page: Page, picture, **choices) -> Wire:
    wire = Wire(page, AlignmentExplorer(picture, **choices))
    page.evaluate("() => new Promise(requestAnimationFrame)")
    wire.settle()
    return wire


def crop(page: Page) -> Tensor:
    "The crop as the browser shows it."
    return torch.tensor(pixels(page.get_by_label("the crop"))[..., :3]).permute(2, 0, 1) / 255


def apart(wire: Wire) -> float:
    return (crop(wire.page) - wire.widget.crop).abs().max().item()


@pytest.mark.parametrize("size", [None, (30, 20), (7, 100)])
def test_the_crop_is_that_of_zoom(page, bird, size):
    wire = alignment(page, bird, size=size)
    for antialias in (False, True):
        for box in BOXES:
            wire.widget.box, wire.widget.antialias = box, antialias
            wire.guidance_of()
            wire.drawn()
            assert apart(wire) <= 1.01 / 255, (box, antialias)  # the picture and the crop are each rounded to bytes


def board(page: Page) -> dict:
    return page.locator(".sg-box .sg-stack").bounding_box()


def at(page: Page, x: float, y: float) -> tuple[float, float]:
    "Where a place of the picture is on the screen."
    frame = board(page)
    return frame["x"] + x * frame["width"], frame["y"] + y * frame["height"]


def drag(page: Page, start, end, steps=12):
    page.mouse.move(*at(page, *start))
    page.mouse.down()
    page.mouse.move(*at(page, *end), steps=steps)


@pytest.mark.parametrize("start, end, wanted", [
    ((0.5, 0.5), (0.7, 0.4), [0.5, 0.2, 0.4, 0.4]),       # inside: moved
    ((0.3, 0.3), (0.1, 0.2), [0.1, 0.2, 0.6, 0.5]),       # a corner
    ((0.7, 0.5), (0.9, 0.9), [0.3, 0.3, 0.6, 0.4]),       # the right side
    ((0.7, 0.7), (0.1, 0.1), [0.1, 0.1, 0.2, 0.2]),       # a corner, past the other
    ((0.05, 0.9), (0.25, 0.75), [0.05, 0.75, 0.2, 0.15]),  # outside: a new box
    ((0.5, 0.5), (1.05, 0.5), [0.85, 0.3, 0.4, 0.4]),     # beyond the border
])
def test_a_box_is_dragged(page, bird, start, end, wanted):
    wire = alignment(page, bird, box=[0.3, 0.3, 0.4, 0.4])
    drag(page, start, end)
    page.mouse.up()
    wire.settle()
    assert wire.widget.box == pytest.approx(wanted, abs=0.01)
    assert apart(wire) <= 1.01 / 255
    cells, wanted = page.locator(".sg-matrix td").all_text_contents(), theta(torch.tensor([wire.widget.box]))
    assert [float(v) for v in cells] == pytest.approx(wanted.flatten().tolist(), abs=6e-5)
    assert page.get_by_text(wire.widget.note, exact=True).is_visible()


def test_a_drag_is_drawn_at_once_and_told_now_and_then(page, bird):
    wire = alignment(page, bird, box=[0.1, 0.1, 0.3, 0.3])
    page.evaluate("() => { model.lag = 400; }")  # a busy kernel
    drag(page, (0.2, 0.2), (0.5, 0.5), steps=3)
    for i in range(30):
        page.mouse.move(*at(page, 0.5 + i / 100, 0.5))
        page.wait_for_timeout(20)
        seen = float(page.get_by_label("x, its left").input_value())
        assert seen == pytest.approx(0.4 + i / 100, abs=0.025), "never rolled back by an echo"
    page.mouse.up()
    sent = page.evaluate("() => model.sent.map((s) => s.at)")
    gaps = [b - a for a, b in zip(sent, sent[1:-1], strict=False)]
    assert min(gaps) >= 190, "at most every 200 ms, and when it is let go"
    page.wait_for_timeout(900)
    assert wire.widget.box == pytest.approx([0.69, 0.4, 0.3, 0.3], abs=0.011)


def test_a_box_is_dragged_by_touch(new_page, bird):
    page = new_page(has_touch=True)
    wire = alignment(page, bird, box=[0.3, 0.3, 0.4, 0.4])
    touch = toucher(page, at)
    touch("touchStart", (0.5, 0.5))
    for i in range(1, 6): touch("touchMove", (0.5 + 0.04 * i, 0.5))
    touch("touchEnd")
    wire.settle()
    assert wire.widget.box == pytest.approx([0.5, 0.3, 0.4, 0.4], abs=0.011)


def test_a_box_is_moved_by_keys_and_numbers(page, bird):
    wire = alignment(page, bird, box=[0.25, 0.25, 0.5, 0.5])
    page.keyboard.press("Tab")
    assert page.evaluate("() => document.activeElement.getAttribute('aria-label')") == "the box on the picture"
    for keys, wanted in (("ArrowRight", [17 / 64, 0.25, 0.5, 0.5]), ("ArrowUp", [17 / 64, 11 / 48, 0.5, 0.5]),
                         ("Control+ArrowLeft", [7 / 64, 11 / 48, 0.5, 0.5]),
                         ("Shift+ArrowRight", [7 / 64, 11 / 48, 33 / 64, 0.5]), ("Home", [0, 0, 1, 1])):
        page.keyboard.press(keys)
        wire.settle()
        assert wire.widget.box == pytest.approx(wanted)
    page.get_by_label("w, its width").fill("0.5")
    wire.settle()
    assert wire.widget.box == [0, 0, 0.5, 1]
    page.get_by_label("w, its width").fill("0")
    wire.settle()
    assert wire.widget.box == [0, 0, 0.5, 1]
    assert "sides w and h" in page.get_by_role("alert").inner_text()
    page.get_by_label("h, its height").fill("0.5")
    wire.settle()
    assert wire.widget.box[3] == 0.5 and not page.get_by_role("alert").is_visible()
    page.get_by_label("average when shrinking").check()
    wire.settle()
    assert wire.widget.antialias and apart(wire) <= 1.01 / 255


@pytest.mark.parametrize("size", [(1, 1), (300, 2000), (600, 40)])
def test_pictures_of_any_shape(page, size):
    wire = alignment(page, torch.rand(3, *size, generator=torch.Generator().manual_seed(0)), box=[-0.2, 0.1, 1, 1])
    assert apart(wire) <= 1.01 / 255
    drag(page, (0.5, 0.5), (0.6, 0.5))
    page.mouse.up()
    wire.settle()
    assert wire.widget.box == pytest.approx([-0.1, 0.1, 1, 1], abs=0.02)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_box_keeps_nobody_out(new_page, bird, picture, scheme):
    page = new_page(color_scheme=scheme)
    alignment(page, bird)
    assert not barriers(page)
    picture(page, scheme)


def test_a_view_that_is_closed_listens_no_more(page, bird):
    wire = alignment(page, bird)
    page.evaluate("() => { cleanUp(); document.querySelector('main').replaceChildren(); }")
    wire.widget.box = [0, 0, 1, 1]
    wire.guidance_of()
    wire.settle()


# ---- the focus map ---------------------------------------------------------------------------------------------------

@pytest.fixture
def question(page) -> Wire:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        expert = Expert(8, channels=(8, 16, 16), side=32)
    expert.seen += 1
    flock = [draw("birds", seed, size=(32, 32)) for seed in (3, 5, 12)]
    wire = Wire(page, FocusExplorer(expert, [*flock, torch.rand(3, 32, 32)]))
    wire.settle()
    return wire


def shown(page: Page, name: str) -> str:
    return page.get_by_role("img", name=name).get_attribute("src")


def test_an_expert_is_questioned(page, question):
    focus = question.widget
    first = focus.class_name
    assert shown(page, f"Pixels that support {first} (guided, pixels)") == focus.map_url
    other = next(name for name in focus.options["class_name"] if name != first)
    page.get_by_label("class", exact=True).select_option(other)
    page.get_by_label("layer").select_option("trunk.1")
    page.get_by_label("picture").select_option(label="birds-5")
    question.settle()
    assert (focus.class_name, focus.layer, focus.picture) == (other, "trunk.1", 1)
    assert shown(page, f"Pixels that support {other} (guided, trunk.1)") == focus.map_url
    assert shown(page, "birds-5") == focus.picture_url
    assert page.get_by_text(focus.note).is_visible() and page.get_by_text(focus.prediction_text).is_visible()


def test_no_control_that_cannot_act(page, question):
    page.get_by_label("method").select_option("edges")
    question.settle()
    assert not page.get_by_label("class", exact=True).is_visible() and not page.get_by_label("layer").is_visible()
    page.get_by_label("outline the known parts").check()
    question.settle()
    assert question.widget.show_parts
    page.get_by_label("picture").select_option(label="picture 4")
    question.settle()
    assert not page.get_by_label("outline the known parts").is_visible()
    assert page.get_by_text("The parts of this picture are not known.").is_visible()


def test_a_question_by_keyboard_and_a_refusal_that_is_seen(page, question):
    page.get_by_label("method").focus()
    page.keyboard.press("ArrowDown")
    question.settle()
    assert question.widget.method == "gradient"
    question.widget.set_state({"layer": "nowhere"})
    question.guidance_of()
    assert "layer: got 'nowhere'" in page.get_by_role("alert").inner_text()
    assert not barriers(page)


def test_hostile_names_stay_words(page):
    names = ["<img src=x onerror=alert(1)>", "<script>alert(2)</script>"]
    net = nn.Sequential(nn.Conv2d(3, 2, 3), nn.ReLU(), nn.AdaptiveMaxPool2d(1), nn.Flatten())
    page.on("dialog", lambda dialog: pytest.fail(dialog.message))
    wire = Wire(page, FocusExplorer(net, torch.rand(3, 9, 9), class_names=names))
    wire.settle()
    assert page.locator("img[src=x]").count() == 0 and page.get_by_text(names[0]).count() > 0
