"""One file, no network: the page of a painting plays, is worked by mouse and keyboard, and holds Python's pixels."""
import numpy as np
import pytest
import torch
from PIL import Image
from playwright.sync_api import Locator, Page

from paintings import BOUND, a_painting, agrees, on_canvas, three_circles
from rig import Watch, barriers
from sgpaint.stroke.painting import Painting, side_by_side
from sgpaint.stroke.primitive import PRIMITIVES

HOSTILE = ("</script><script>window.hacked = 1</script><img src=x onerror='window.hacked = 2'>"
           "--><!-- ' \" ` ${hacked} \u2028 &lt; ]]>")


@pytest.fixture
def opened(tmp_path):
    "Write a painting's page and open it; the canvas."
    def show(page: Page, painting, **more) -> Locator:
        page.goto(painting.to_html(tmp_path / "painting.html", **more).as_uri())
        return page.locator("canvas").first
    return show


def slider(page: Page) -> Locator: return page.get_by_role("slider", name="strokes painted")


def button(page: Page, name: str) -> Locator: return page.get_by_role("button", name=name, exact=True)


def sharp(canvas: Locator) -> None:
    "Wait until nothing moves and the canvas is drawn at the size it is shown at, up to 640 px."
    canvas.page.wait_for_function("c => c.width >= Math.min(640, c.clientWidth)", arg=canvas.element_handle())


def test_first_sight_is_the_last_picture_at_rest(page, opened):
    painting = a_painting(200, size=(96, 128), title="two hundred strokes")
    canvas = opened(page, painting)
    agrees(canvas, painting, 200)
    sharp(canvas)
    agrees(canvas, painting, 200)
    assert button(page, "play").is_visible() and slider(page).input_value() == "200"
    assert page.get_by_text("stroke 200 of 200").is_visible()
    assert page.get_by_role("img", name=painting.title).count() == 1
    assert page.title() == painting.title


def test_what_is_on_the_screen(page, opened, tmp_path):
    painting = a_painting(60, size=(64, 64))
    canvas = opened(page, painting)
    sharp(canvas)
    canvas.screenshot(path=tmp_path / "canvas.png")
    found = torch.from_numpy(np.array(Image.open(tmp_path / "canvas.png").convert("RGB"))).permute(2, 0, 1) / 255
    assert found.shape[1] >= 512 and (found - painting.render(found.shape[1:])).abs().max() <= BOUND


@pytest.mark.parametrize("primitive", PRIMITIVES)
def test_families_masks_and_looks(page, opened, primitive):
    blend_mode, opacity = {"bezier": ("masked", "oil"), "line": ("paper", "ink"), "circle": ("masked", "opaque")}.get(
        primitive, ("plain", "free"))
    painting = a_painting(30, primitive, (40, 90), blend_mode, opacity=opacity, background=(0.9, 0.8, 0.1))
    canvas = opened(page, painting)
    sharp(canvas)
    agrees(canvas, painting, 30)
    for n, keys in ((0, ["Home"]), (11, ["PageUp", "ArrowRight"]), (20, ["End", "PageDown"])):
        for key in keys: slider(page).press(key)
        agrees(canvas, painting, n)


def test_the_slider_is_dragged(page, opened):
    painting = a_painting(200, size=(64, 64))
    canvas = opened(page, painting)
    box = slider(page).bounding_box()
    y, seen, wide = box["y"] + box["height"] / 2, [], None
    page.mouse.move(box["x"] + box["width"] - 8, y)
    page.mouse.down()
    for k in range(9, 0, -1):
        page.mouse.move(box["x"] + box["width"] * k / 10, y)
        n = int(slider(page).input_value())
        agrees(canvas, painting, n)
        seen.append(n)
        wide = wide or slider(page).bounding_box()["width"]
        assert slider(page).bounding_box()["width"] == wide, "the slider changes its width while it is dragged"
    page.mouse.up()
    assert seen == sorted(seen, reverse=True) and seen[0] > 160 and seen[-1] < 40
    assert page.get_by_text(f"stroke {seen[-1]} of 200").is_visible()


def test_the_keyboard(page, opened):
    painting = a_painting(50)
    canvas = opened(page, painting)
    slider(page).focus()
    for key, n in (("ArrowLeft", 49), ("ArrowDown", 48), ("PageDown", 38), ("PageDown", 28), ("PageUp", 38),
                   ("ArrowRight", 39), ("ArrowUp", 40), ("Home", 0), ("ArrowLeft", 0), ("PageUp", 10), ("End", 50),
                   ("ArrowRight", 50)):
        page.keyboard.press(key)
        agrees(canvas, painting, n)
    assert slider(page).get_attribute("aria-valuetext") == "50 of 50 strokes"
    page.keyboard.press("Space")
    button(page, "pause").wait_for()
    page.keyboard.press("Space")
    button(page, "play").wait_for()


def test_every_control_is_reached_by_tab_and_shows_it(page, opened):
    opened(page, a_painting(blend_mode="masked"))
    controls = page.locator("button, input, select")
    for _ in range(controls.count()):
        page.keyboard.press("Tab")
        focused = "document.querySelector('[data-sgpaint]').shadowRoot.activeElement"
        assert page.evaluate(f"{focused}.matches('button, input, select')")
        assert page.evaluate(f"parseFloat(getComputedStyle({focused}).outlineWidth)") >= 2


def test_play_pause_and_the_steps(page, opened):
    painting = a_painting(60)
    canvas = opened(page, painting)
    page.get_by_label("speed").select_option("4×")
    button(page, "play").click()
    page.wait_for_function("c => +c.dataset.strokes > 3 && +c.dataset.strokes < 60", arg=canvas.element_handle())
    button(page, "pause").click()
    n = int(slider(page).input_value())
    agrees(canvas, painting, n)
    page.wait_for_timeout(300)
    assert int(slider(page).input_value()) == n, "a paused painting goes on"
    steps = ("to the empty canvas", 0), ("one stroke on", 1), ("one stroke on", 2), ("one stroke back", 1)
    for name, n in (*steps, ("to the last stroke", 60)):
        button(page, name).click()
        agrees(canvas, painting, n)


def test_play_ends_at_the_last_stroke(page, opened):
    canvas = opened(page, painting := a_painting(30))
    for _ in range(3): slider(page).press("PageDown")
    page.get_by_label("speed").select_option("4×")
    button(page, "play").click()
    agrees(canvas, painting, 30)
    button(page, "play").wait_for()


def test_reduced_motion_plays_in_ten_stages(new_page, opened):
    page = new_page(reduced_motion="reduce")
    canvas = opened(page, painting := a_painting(100))
    agrees(canvas, painting, 100)
    canvas.evaluate("""c => { c.seen = []; new MutationObserver(() => c.seen.push(+c.dataset.strokes)).observe(c,
        { attributeFilter: ['data-strokes'] }); }""")
    page.get_by_label("speed").select_option("4×")
    button(page, "play").click()
    page.wait_for_function("c => c.seen.length > 3 && c.seen.at(-1) === 100", arg=canvas.element_handle())
    assert {n % 10 for n in canvas.evaluate("c => c.seen")} == {0}


def at(canvas: Locator, x: float, y: float) -> tuple[float, float]:
    "Where a place of the picture (0 to 1) is on the page."
    box = canvas.bounding_box()
    return box["x"] + x * box["width"], box["y"] + y * box["height"]


def test_a_stroke_under_the_pointer_is_told_and_chosen(page, opened):
    painting = three_circles(layer=[0, 1, 1], step=[5, 6, 7], reward=[0.1, 0.25, -0.5])
    canvas = opened(page, painting)
    page.mouse.move(*at(canvas, 0.75, 0.5))
    page.get_by_text("stroke 2 (under the pointer)").wait_for()
    facts = dict(zip(page.locator("dt").all_text_contents(), page.locator("dd").all_text_contents(), strict=True))
    assert facts == {"x0": "0.700", "y0": "0.500", "r0": "0.500", "a0": "1.000", "red": "0.000", "green": "1.000",
                     "blue": "0.000", "layer": "foreground", "step": "6", "reward": "2.50e-1"}
    middle = page.locator(".sg-board path").last.bounding_box()
    assert abs(middle["x"] + middle["width"] / 2 - at(canvas, 0.7, 0.5)[0]) < 3, "the outline stands elsewhere"
    page.mouse.click(*at(canvas, 0.25, 0.5))
    page.get_by_text("stroke 1 (chosen; Escape lets go)").wait_for()
    page.mouse.move(*at(canvas, 0.75, 0.5))
    assert page.get_by_text("stroke 1 (chosen").is_visible()
    slider(page).press("Escape")
    page.mouse.move(*at(canvas, 0.5, 0.5))
    page.get_by_text("stroke 3 (under the pointer)").wait_for()
    slider(page).press("ArrowLeft")
    page.mouse.move(*at(canvas, 0.5, 0.51))
    page.mouse.move(*at(canvas, 0.5, 0.05))
    page.get_by_text("stroke 2 (the newest)").wait_for()
    assert page.locator(".sg-board path").count() == 0


def test_layers_instances_and_one_stroke_alone(page, opened):
    painting = a_painting(40, size=(40, 52), blend_mode="masked")
    canvas = opened(page, painting)
    agrees(canvas, painting, 40)

    def shows(keep: torch.Tensor) -> None:
        few = Painting(painting.strokes[keep], painting.size, blend_mode="masked", masks=painting.masks,
                       layer=painting.layer[keep], instance=painting.instance[keep])
        sharp(canvas)
        _, found = on_canvas(canvas)
        wanted = few.render(found.shape[:2]).permute(1, 2, 0).numpy()
        assert np.abs(found[..., :3] / 255 - wanted).max() <= BOUND

    page.get_by_label("foreground").uncheck()
    shows(painting.layer == 0)
    page.get_by_label("instance 1").uncheck()
    shows((painting.layer == 0) & (painting.instance != 1))
    page.get_by_label("foreground").check()
    shows(painting.instance != 1)
    page.get_by_label("instance 1").check()
    shows(painting.layer >= 0)
    page.get_by_label("this stroke alone").check()
    shows(torch.arange(40) == 39)
    slider(page).press("PageDown")
    canvas.page.wait_for_function("c => +c.dataset.strokes === 30", arg=canvas.element_handle())
    shows(torch.arange(40) == 29)


def test_the_mask_is_laid_over(page, opened):
    opened(page, a_painting(blend_mode="masked"))
    assert page.locator(".sg-board path").count() == 0, "overlays are off by default"
    page.get_by_label("overlay").select_option("mask")
    assert page.locator(".sg-board path").count() == 3
    page.get_by_label("overlay").select_option("none")
    assert page.locator(".sg-board path").count() == 0


def test_paintings_side_by_side_are_locked(page, opened):
    one, two = a_painting(60, title="baseline"), a_painting(40, "circle", seed=3, title="guidance")
    target = two.render()
    opened(page, side_by_side([one, two], target=target))
    left, right = page.get_by_role("img", name="baseline"), page.get_by_role("img", name="guidance")
    agrees(left, one, 60)
    agrees(right, two, 40)
    assert left.bounding_box()["y"] == right.bounding_box()["y"], "side by side, not one above the other"
    for key, n in (("PageDown", 50), ("PageDown", 40), ("PageDown", 30), ("Home", 0)):
        slider(page).press(key)
        agrees(left, one, n)
        agrees(right, two, min(n, 40))
    slider(page).press("End")
    page.get_by_text("error after each stroke").wait_for()
    caption = page.locator("figcaption output").first.text_content()
    wanted = one.error(torch.nn.functional.interpolate(target[None], (128, 171), mode="bilinear", antialias=True)[0])
    assert float(caption.split("error ")[1].split()[0]) == pytest.approx(wanted, rel=0.01)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_themes_can_be_read_by_all(new_page, opened, scheme):
    page = new_page(color_scheme=scheme)
    painting = a_painting(30, blend_mode="masked", reward=torch.linspace(0, 1, 30), title="a painting")
    canvas = opened(page, painting, target=painting.render())
    sharp(canvas)
    page.mouse.click(*at(canvas, 0.5, 0.5))
    ink, paper = page.locator(".sg").evaluate("e => [getComputedStyle(e).color, getComputedStyle(e).backgroundColor]")
    darker = [sum(map(int, colour[4:-1].split(","))) for colour in (ink, paper)]
    assert (darker[0] > darker[1]) == (scheme == "dark")
    assert barriers(page) == []


def test_hostile_words_stay_words(page, opened):
    painting = three_circles(title=HOSTILE, provenance={HOSTILE: [HOSTILE]})
    canvas = opened(page, side_by_side([painting, painting], titles=[HOSTILE, "other"]))
    agrees(canvas, painting, 3)
    sharp(canvas)
    page.mouse.move(*at(canvas, 0.5, 0.5))
    assert page.evaluate("window.hacked") is None
    assert canvas.get_attribute("aria-label") == HOSTILE
    assert page.get_by_text("</script><script>").count() and page.locator("img[src=x]").count() == 0


def test_without_scripts_there_is_a_picture(new_page, opened):
    page = new_page(java_script_enabled=False)
    page_picture = opened(page, a_painting(title="a title")).page.get_by_alt_text("a title")
    assert page_picture.is_visible() and page_picture.bounding_box()["width"] > 300


def test_a_damaged_page_says_so(browser, opened, tmp_path):
    watch = Watch(browser.new_page())
    path = a_painting().to_html(tmp_path / "damaged.html")
    path.write_text(path.read_text().replace("sgpaint/painting/1", "sgpaint/painting/9", 1))
    watch.page.goto(path.as_uri())
    watch.page.get_by_text("This painting cannot be played here: expected a painting of schema").wait_for()
    watch.page.close()


@pytest.mark.parametrize("painting", [
    Painting(torch.zeros(0, 13), (60, 40), background="white"), a_painting(1), a_painting(5, size=(1, 1)),
    a_painting(30, size=(300, 2000)), a_painting(30, size=(2000, 300))], ids=repr)
def test_the_smallest_and_the_odd(page, opened, painting):
    canvas = opened(page, painting)
    agrees(canvas, painting, len(painting))
    assert slider(page).count() == (len(painting) > 0), "a slider that cannot act"
    assert canvas.bounding_box()["width"] >= 40 and canvas.bounding_box()["width"] <= 900


def test_five_thousand_strokes(page, opened):
    painting = a_painting(5000, size=(64, 64))
    canvas = opened(page, painting)
    agrees(canvas, painting, 5000)
    for key, n in (("PageDown", 4990), ("Home", 0), ("PageUp", 10), ("End", 5000)):
        slider(page).press(key)
        agrees(canvas, painting, n)


def test_a_narrow_page_needs_no_scrolling_sideways(new_page, opened):
    page = new_page(viewport={"width": 360, "height": 640}, has_touch=True)
    painting = a_painting(30, blend_mode="masked", title="a title")
    canvas = opened(page, side_by_side([painting, painting], titles=["one", "two"], target=painting.render()))
    sharp(canvas)
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    slider(page).scroll_into_view_if_needed()
    canvas.scroll_into_view_if_needed()
    assert canvas.evaluate("c => getComputedStyle(c.parentElement).touchAction") == "auto", "a finger scrolls past it"
    page.touchscreen.tap(*at(canvas, 0.5, 0.5))
    page.get_by_text("(chosen; Escape lets go)").wait_for()
