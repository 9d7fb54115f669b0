"""Time the explorers in headless Chromium: from a slider's move to changed pixels, and opening; weigh a player."""
import argparse
import os
import statistics
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import torch
from playwright.sync_api import Browser, Locator, Page, sync_playwright

from sgpaint.lab.machine import describe
from sgpaint.stroke.painting import Painting
from sgpaint.stroke.primitive import random_strokes

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent / "tests/browser"))
from rig import Lab, Watch, decoded, launch  # noqa: E402

MARK = "<!-- the table below is written by explorers.py -->"
COUNTS = 200, 1000
# From the input event's own time stamp to the first moment after the frame in which the canvas holds what was asked.
LISTEN = """([slider, canvas]) => {
  window.lags = [];
  if (slider.heard) return;
  slider.heard = true;
  let began = 0, wanted = -1;
  slider.addEventListener("input", (event) => {
    if (wanted < 0) began = event.timeStamp;
    wanted = +slider.value;
  }, true);
  new MutationObserver(() => {
    if (wanted < 0 || +canvas.dataset.strokes !== wanted) return;
    const start = began, channel = new MessageChannel();
    wanted = -1;
    channel.port1.onmessage = () => window.lags.push(performance.now() - start);
    requestAnimationFrame(() => channel.port2.postMessage(0));
  }).observe(canvas, { attributeFilter: ["data-strokes"] });
}"""
SHOWN = """async ([canvas, n]) => {
  while (+canvas.dataset.strokes !== n) await new Promise((done) => setTimeout(done, 1));
  await new Promise(requestAnimationFrame);
  return performance.now();
}"""
OPEN = """async (n) => {
  const app = window.jupyterapp, book = app.shell.currentWidget.content, output = book.widgets[2].outputArea;
  const canvas = () => [...output.node.querySelectorAll("*")]
    .map((e) => (e.shadowRoot ?? e).querySelector("canvas")).find(Boolean);
  book.activeCellIndex = 2;
  output.model.clear();
  await new Promise(requestAnimationFrame);
  const start = performance.now();
  app.commands.execute("notebook:run-cell");
  while (+(canvas()?.dataset.strokes ?? -1) !== n) await new Promise((done) => setTimeout(done, 1));
  await new Promise(requestAnimationFrame);
  return performance.now() - start;
}"""


def painting(n: int) -> Painting:
    "Random strokes at 128 px, large ones among them: a third of the canvas at the mean."
    return Painting(random_strokes(n, generator=torch.Generator().manual_seed(0))[0], (128, 128), title=f"{n} strokes")


def moves(page: Page, within: Locator, jump: bool, times: int) -> list[float]:
    "Milliseconds from a move of the slider under the mouse to its pixels; from end to start, or to and fro."
    slider, canvas = within.get_by_role("slider", name="strokes painted"), within.locator("canvas").first
    page.evaluate(LISTEN, [slider.element_handle(), canvas.element_handle()])
    slider.press("End")
    page.wait_for_timeout(1500)
    page.evaluate("() => { window.lags.length = 0; }")
    box, pause = slider.bounding_box(), 60  # ms: each move stands alone
    places = torch.rand(times, generator=torch.Generator().manual_seed(1)) if jump else torch.linspace(1, 0.02, times)
    page.mouse.move(box["x"] + box["width"] - 8, box["y"] + box["height"] / 2)
    page.mouse.down()
    for place in places.tolist():
        page.mouse.move(box["x"] + 8 + place * (box["width"] - 16), box["y"] + box["height"] / 2)
        page.wait_for_timeout(pause)
    page.wait_for_timeout(500)
    page.mouse.up()
    return page.evaluate("window.lags")


def apart(canvas: Locator, shown: Painting) -> float:
    "The largest difference to Python's pixels, of 255."
    strokes, url = canvas.evaluate("c => [+c.dataset.strokes, c.toDataURL()]")
    found = torch.from_numpy(decoded(url)[..., :3].copy()).permute(2, 0, 1) / 255
    return 255 * (found - shown.render((found.shape[1], found.shape[2]), strokes)).abs().max().item()


def spread(times: list[float]) -> str:
    "Median, 95th percentile, how many."
    ordered = sorted(times)
    return f"{statistics.median(times):.1f} | {ordered[int(0.95 * (len(ordered) - 1))]:.1f} | {len(times)}"


def of_page(browser: Browser, folder: Path, times: int) -> Iterator[str]:
    "The page that `to_html` writes."
    for n in COUNTS:
        shown, page = painting(n), browser.new_page(viewport={"width": 1000, "height": 900})
        watch, path, opened = Watch(page), shown.to_html(folder / f"{n}.html"), []
        for _ in range(5):
            page.goto(path.as_uri())
            canvas = page.locator("canvas").first
            opened.append(page.evaluate(SHOWN, [canvas.element_handle(), n]))
        name = f"page of {n} strokes"
        yield f"{name}: opened, from its address to its pixels, ms | {spread(opened)}"
        for jump, how in enumerate(("dragged", "jumps")):
            yield f"{name}: slider {how}, ms | {spread(moves(page, page.locator('body'), bool(jump), times))}"
        yield f"{name}: largest difference to Python, of 255 | {apart(canvas, shown):.2f} | |"
        yield f"{name}: player, strokes and still picture, KB | {path.stat().st_size / 1000:.0f} | |"
        watch.check()
        page.close()


def of_explorer(browser: Browser, folder: Path, times: int) -> Iterator[str]:
    "`StrokeExplorer` in a real JupyterLab, its kernel running."
    with Lab(folder).running() as lab:
        for n in COUNTS:
            painting(n).save(lab.notebooks / f"{n}.json")
            page = browser.new_page(viewport={"width": 1300, "height": 1000})
            watch = Watch(page, lab.url)
            lab.open(page, lab.write(f"explorer{n}", "from sgpaint.stroke.painting import Painting\n"
                                     "from sgpaint.explore.painting import StrokeExplorer",
                                     f"painting = Painting.load('{n}.json')", "StrokeExplorer(painting)"))
            lab.run_all(page)
            page.locator(".jp-OutputArea canvas").first.wait_for()
            name = f"explorer of {n} strokes in JupyterLab"
            yield f"{name}: opened, from running its cell to its pixels, ms | " \
                  f"{spread([page.evaluate(OPEN, n) for _ in range(5)])}"
            for jump, how in enumerate(("dragged", "jumps")):
                lags = moves(page, page.locator(".jp-OutputArea").last, bool(jump), times)
                yield f"{name}: slider {how}, ms | {spread(lags)}"
            watch.check()
            page.close()


ROWS = {"page": of_page, "explorer": of_explorer}


def main() -> None:
    "Measure the asked rows, write the table."
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", nargs="+", choices=ROWS, default=list(ROWS), help="both by default")
    parser.add_argument("--times", type=int, default=60, help="moves of a slider")
    parser.add_argument("--out", type=Path, default=HERE, help="where EXPLORERS.md is")
    asked = parser.parse_args()
    table = ["| | median | 95 of 100 | times |", "|---|---|---|---|"]
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        browser = launch(playwright)
        for row in asked.rows:
            for line in ROWS[row](browser, Path(folder), asked.times):
                print(line, flush=True)
                table.append(f"| {line} |")
        version = browser.version
        browser.close()
    machine = describe()
    table += ["", f"{machine['cpu']}, {machine['cores']} cores, load {os.getloadavg()[0]:.1f}, Chromium {version}."]
    path = asked.out / "EXPLORERS.md"
    words = path.read_text().split(MARK)[0] if path.exists() else ""
    path.write_text(f"{words}{MARK}\n\n" + "\n".join(table) + "\n")


if __name__ == "__main__": main()
