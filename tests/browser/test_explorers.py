"""Every explorer in a live JupyterLab: what hands do is drawn at once, and is the state in Python."""
import re

import numpy as np
import pytest
import torch
from playwright.sync_api import Locator, Page

from paintings import BOUND, agrees, apart
from rig import Lab, Watch, barriers, pixels
from sgpaint.stroke.painting import Painting

CELLS = ["""import torch
from torch import nn
from sgpaint.scene.procedural import draw
from sgpaint.stroke.painting import Painting
from sgpaint.stroke.primitive import random_strokes
from sgpaint.explore.painting import KappaExplorer, RewardExplorer, StrokeExplorer
from sgpaint.explore.drawing import MaskBrush, PaintAlong
from sgpaint.explore.guidance import AlignmentExplorer, FocusExplorer
def some(n, title, seed=0):
    return Painting(random_strokes(n, generator=torch.Generator().manual_seed(seed))[0], (48, 64), title=title)
scene = draw("birds", 3, (48, 64))""",
         "explorer = StrokeExplorer(some(40, 'strokes'), target=some(40, '').render()); explorer",
         "kappas = KappaExplorer({0: some(20, '', 1), 5: some(20, '', 2), 10.0: some(20, '', 3)}, scene); kappas",
         "rewards = RewardExplorer(some(12, 'earned'), scene); rewards",
         "alignment = AlignmentExplorer(scene); alignment",
         """torch.manual_seed(0)
expert = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 3)).eval()
focus = FocusExplorer(expert, scene.image, class_names=["ant", "bee", "cow"]); focus""",
         "along = PaintAlong(scene, 3, painters={}); along",
         "brush = MaskBrush(scene.image); brush"]
STROKES, KAPPAS, REWARDS, ALIGNMENT, FOCUS, ALONG, MASK = range(1, len(CELLS))


class Shown:
    "A notebook of explorers in JupyterLab."

    def __init__(self, lab: Lab, page: Page):
        self.lab, self.page = lab, page

    def cell(self, number: int) -> Locator:
        "The output of a cell, in sight."
        self.page.evaluate("""async n => { const book = window.jupyterapp.shell.currentWidget.content;
            await book.scrollToCell(book.widgets[n], 'start'); }""", number)
        found = self.page.locator(".jp-Notebook .jp-Cell").nth(number).locator(".jp-OutputArea")
        found.locator(".sg").first.scroll_into_view_if_needed()
        return found

    def ask(self, expression: str, before: str = ""):
        return self.lab.ask(self.page, expression, before)

    def until(self, expression: str) -> None:
        "Wait until something is true in the kernel."
        for _ in range(100):
            if self.ask(f"bool({expression})"): return
            self.page.wait_for_timeout(100)
        raise AssertionError(f"never true in the kernel: {expression}")

    def painting(self, name: str) -> Painting: return Painting.from_json(self.ask(f"{name}.painting.to_json()"))


@pytest.fixture(scope="module")
def opened(browser, lab):
    "All explorers in one notebook: a kernel takes seconds to start."
    page = browser.new_page(viewport={"width": 1300, "height": 1000})
    watch = Watch(page, lab.url)
    lab.open(page, lab.write("explorers", *CELLS))
    lab.run_all(page)
    yield Shown(lab, page)
    page.close()
    watch.check()


@pytest.fixture
def shown(opened, picture):
    yield opened
    picture(opened.page)


def drag(page: Page, start: tuple[float, float], end: tuple[float, float], steps: int = 6) -> None:
    page.mouse.move(*start)
    page.mouse.down()
    page.mouse.move(*end, steps=steps)
    page.mouse.up()


def place(locator: Locator, x: float, y: float) -> tuple[float, float]:
    "A place of an element (0 to 1) on the page."
    box = locator.bounding_box()
    return box["x"] + x * box["width"], box["y"] + y * box["height"]


def test_every_cell_shows_its_explorer(shown):
    wrong = [text for text in shown.page.locator(".jp-OutputArea").all_text_contents() if "Error" in text]
    assert not wrong and shown.page.locator(".jp-OutputArea .sg").count() >= len(CELLS) - 1


def test_a_control_point_is_dragged(shown):
    cell = shown.cell(STROKES)
    canvas, before = cell.locator("canvas").first, shown.painting("explorer")
    agrees(canvas, before, 40)
    cell.get_by_role("slider", name="strokes painted").press("Enter")
    point = cell.get_by_role("button", name=re.compile("^control point"))
    x, y = place(point, 0.5, 0.5)
    drag(shown.page, (x, y), (x + 60, y - 40))
    shown.until("len(explorer.edits) == 2")
    after = shown.painting("explorer")
    board = canvas.bounding_box()
    moved = (after.strokes - before.strokes)[39]
    wanted = torch.zeros(13)
    wanted[2:4] = torch.tensor([60 / board["width"], -40 / board["height"]])
    assert torch.allclose(moved, wanted, atol=0.004) and torch.equal(after.strokes[:39], before.strokes[:39])
    agrees(canvas, after, 40)
    point.press("ArrowRight")
    point.press("ArrowDown")
    shown.page.wait_for_timeout(300)
    again = shown.painting("explorer")
    assert torch.allclose(again.strokes[39, 2:4] - after.strokes[39, 2:4], torch.tensor([0.01, 0.01]), atol=1e-5)
    agrees(canvas, again, 40)


def test_a_colour_is_edited_and_all_is_undone(shown):
    cell = shown.cell(STROKES)
    canvas = cell.locator("canvas").first
    cell.get_by_role("slider", name="strokes painted").press("Enter")
    cell.get_by_label("colour").fill("#12ab34")
    cell.get_by_label("opacity at the start").fill("1")
    shown.until("any(e[2] == 'a0' for e in explorer.edits)")
    edited = shown.painting("explorer")
    assert torch.allclose(edited.strokes[39, 10:], torch.tensor([0x12, 0xab, 0x34]) / 255)
    assert edited.strokes[39, 8] == 1
    agrees(canvas, edited, 40)
    error = shown.ask("explorer.painting.error(explorer.target)")
    assert error > 0
    cell.get_by_role("button", name="undo all edits").click()
    shown.until("explorer.edits == []")
    agrees(canvas, shown.painting("explorer"), 40)


def test_python_moves_the_browser(shown):
    cell = shown.cell(STROKES)
    canvas = cell.locator("canvas").first
    shown.ask("0", "explorer.stroke = 7")
    agrees(canvas, shown.painting("explorer"), 7)
    assert cell.get_by_role("slider", name="strokes painted").input_value() == "7"
    shown.ask("0", "explorer.edits = [[0, 3, 'red', 0.5]]; explorer.selected = [0, 3]")
    cell.get_by_text("stroke 4 (chosen").wait_for()
    agrees(canvas, shown.painting("explorer"), 7)
    shown.ask("0", "explorer.edits = []; explorer.selected = []; explorer.stroke = 40")
    agrees(canvas, shown.painting("explorer"), 40)


def test_an_edit_that_python_refuses_is_refused_in_one_sentence(shown):
    said = shown.ask("said", """try: explorer.edits = [[0, 99, 'red', 0.5]]
except ValueError as error: said = str(error)""")
    assert said == "stroke: expected 0 to 39, got 99" and shown.ask("explorer.edits") == []


def test_a_busy_kernel_does_not_roll_the_slider_back(shown):
    cell = shown.cell(STROKES)
    slider = cell.get_by_role("slider", name="strokes painted")
    slider.evaluate("""s => { s.seen = []; const watch = () => {
        if (s.seen.at(-1) !== +s.value) s.seen.push(+s.value);
        s.timer = requestAnimationFrame(watch); }; watch(); }""")
    shown.lab.later(shown.page, "import time; time.sleep(0.7)")
    left, right = place(slider, 0.1, 0.5), place(slider, 0.98, 0.5)
    shown.page.mouse.move(*right)
    shown.page.mouse.down()
    for share in np.linspace(1, 0, 14):
        shown.page.mouse.move(left[0] + share * (right[0] - left[0]), left[1])
        shown.page.wait_for_timeout(40)
    shown.page.mouse.up()
    last = int(slider.input_value())
    shown.until(f"explorer.stroke == {last}")
    shown.page.wait_for_timeout(300)
    seen = slider.evaluate("s => { cancelAnimationFrame(s.timer); return s.seen; }")
    assert seen == sorted(seen, reverse=True) and seen[-1] == last < 10
    agrees(cell.locator("canvas").first, shown.painting("explorer"), last)
    slider.press("End")
    shown.until("explorer.stroke == 40")


def test_no_shortcut_of_jupyterlab_fires_inside(shown):
    before = shown.lab.cells(shown.page)
    for number in range(1, len(CELLS)):
        cell = shown.cell(number)
        for control in cell.locator("input[type=range], button, [tabindex='0'], select").all()[:12]:
            if not control.is_visible() or control.is_disabled(): continue
            control.focus()
            for key in "xddabc": shown.page.keyboard.press(key)
    assert shown.lab.cells(shown.page) == before


def test_kappa_snaps_to_what_was_computed(shown):
    cell = shown.cell(KAPPAS)
    slider = cell.get_by_role("slider", name="kappa")
    for key, kappa in (("End", 10.0), ("ArrowLeft", 5.0), ("Home", 0.0), ("ArrowRight", 5.0)):
        slider.press(key)
        shown.until(f"kappas.kappa == {kappa}")
        cell.get_by_text(f"κ = {kappa:g}", exact=True).first.wait_for()
        agrees(cell.locator("canvas").first, shown.painting("kappas"), 20)


def test_rewards_are_weighed(shown):
    cell = shown.cell(REWARDS)
    names = shown.ask("list(rewards.terms)")
    for name in names: cell.get_by_role("slider", name=f"weight of {name}").fill("0" if name == names[0] else "2")
    shown.until(f"rewards.weights == {dict.fromkeys(names, 2.0) | {names[0]: 0.0}}")
    best = shown.ask("int(rewards.rewards.argmax())")
    assert cell.get_by_text(f"stroke {best + 1} has the largest reward").is_visible()


def test_the_box_is_dragged_and_the_crop_is_equation_21(shown):
    cell = shown.cell(ALIGNMENT)
    stage = cell.get_by_role("application")
    before = shown.ask("alignment.box")
    board = stage.locator("img")
    middle = place(board, before[0] + before[2] / 2, before[1] + before[3] / 2)
    drag(shown.page, middle, (middle[0] + 20, middle[1] + 10))
    shown.until(f"abs(alignment.box[0] - {before[0]}) > 0.01")
    box, after = board.bounding_box(), shown.ask("list(alignment.box)")
    assert after[0] - before[0] == pytest.approx(20 / box["width"], abs=0.01)
    assert after[1] - before[1] == pytest.approx(10 / box["height"], abs=0.01) and after[2:] == list(before[2:])
    found = pixels(cell.locator("canvas"))
    wanted = torch.tensor(shown.ask("alignment.crop.tolist()"))
    assert apart(found, wanted) <= BOUND


def test_the_expert_is_asked_about_another_class(shown):
    cell = shown.cell(FOCUS)
    answer = cell.locator("img").nth(1)
    first = answer.get_attribute("src")
    other = next(name for name in ("ant", "bee", "cow") if name != shown.ask("focus.class_name"))
    cell.get_by_label(re.compile("^class")).select_option(other)
    shown.until(f"focus.class_name == {other!r}")
    shown.page.wait_for_function("([i, old]) => i.src !== old", arg=[answer.element_handle(), first])


def test_the_reader_paints(shown):
    cell = shown.cell(ALONG)
    board = cell.get_by_role("application")
    drag(shown.page, place(board, 0.2, 0.3), place(board, 0.8, 0.6))
    shown.until("len(along.marks) == 1")
    painting = shown.painting("along")
    assert painting.strokes[0, :2].tolist() == pytest.approx([0.2, 0.3], abs=0.02)
    found = pixels(board.locator("canvas"))
    assert apart(found, painting.render(found.shape[:2])) <= BOUND
    row = cell.get_by_role("row", name=re.compile("^you 1 ")).text_content()
    assert float(row.removeprefix("you1")[:7]) == pytest.approx(shown.ask("along.scores")[0]["error"], abs=1e-4)


def test_a_mask_is_scribbled(shown):
    cell = shown.cell(MASK)
    board = cell.get_by_role("application")
    drag(shown.page, place(board, 0.3, 0.5), place(board, 0.7, 0.5))
    shown.until("len(brush.marks) == 1")
    mask = torch.tensor(shown.ask("brush.masks.tolist()"))
    tall, wide = mask.shape[-2:]
    assert mask[0, tall // 2, wide // 2] == 1 and mask[0, 0].sum() == 0 and mask[0, :, :wide // 8].sum() == 0


def test_labels_belong_to_their_own_explorer(shown):
    "Ids are the document's: explorers of one notebook must not share them."
    ids = shown.page.evaluate("[...document.querySelectorAll('.jp-OutputArea [id]')].map(e => e.id)")
    assert len(ids) == len(set(ids))


@pytest.mark.parametrize("theme", ["Light", "Dark"])
def test_explorers_shut_nobody_out(shown, theme):
    shown.page.evaluate("theme => window.jupyterapp.commands.execute('apputils:change-theme', { theme })",
                        f"JupyterLab {theme}")
    light = str(theme == "Light").lower()
    shown.page.wait_for_function("light => document.body.dataset.jpThemeLight === light", arg=light)
    found = {}
    for number in range(1, len(CELLS)):
        shown.cell(number)
        found[number] = barriers(shown.page, f".jp-Cell:nth-of-type({number + 1}) .jp-OutputArea")
    assert not any(found.values()), found
