"""Playwright with the machine's Chromium; where there is none, these tests skip and say so."""
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

sys.path.insert(0, str(Path(__file__).parent))
from rig import NAMES, Lab, Watch, chromium, launch  # noqa: E402

PICTURES = Path(__file__).parents[2] / "runs/browser"  # ignored by git; one picture a test, to look at after a run


def pytest_configure(config):
    config.addinivalue_line("markers", "browser: drives Chromium (skipped, saying so, where there is none)")


def pytest_collection_modifyitems(items):
    for item in items:
        if item.path.is_relative_to(Path(__file__).parent): item.add_marker(pytest.mark.browser)


@pytest.fixture(scope="package")  # its event loop must end with these tests: others run loops of their own
def browser() -> Iterator[Browser]:
    "Chromium, without a window."
    if not chromium(): pytest.skip(f"no Chromium on this machine (looked for {', '.join(NAMES)})")
    with sync_playwright() as playwright:
        browser = launch(playwright)
        yield browser
        browser.close()


@pytest.fixture
def picture(request) -> Callable[[Page, str], None]:
    "Keep a screenshot under the test's name."
    def keep(page: Page, part: str = "") -> None:
        name = re.sub(r"\W+", "-", f"{request.node.name} {part}").strip("-")
        page.screenshot(path=PICTURES / f"{name}.png", full_page=True)
    return keep


@pytest.fixture
def new_page(browser, picture) -> Iterator[Callable[..., Page]]:
    "Make pages: what may be asked, what may be refused, and options of a browser context."
    made: list[Watch] = []

    def make(server: str = "", foreign: str = "", **options) -> Page:
        context = browser.new_context(**({"viewport": {"width": 900, "height": 800}} | options))
        made.append(Watch(context.new_page(), server, foreign))
        return made[-1].page

    yield make
    for number, watch in enumerate(made):
        if watch.page.url != "about:blank": picture(watch.page, str(number) if len(made) > 1 else "")
        watch.page.context.close()
    for watch in made: watch.check()


@pytest.fixture
def page(new_page) -> Page:
    "A page that can reach files, and nothing else."
    return new_page()


@pytest.fixture(scope="package")
def lab(browser, tmp_path_factory) -> Iterator[Lab]:
    "A real JupyterLab, with a home, settings and data of its own."
    with Lab(tmp_path_factory.mktemp("lab")).running() as lab: yield lab


@pytest.fixture
def lab_page(lab, new_page) -> Page:
    "A page that can reach JupyterLab, and nothing else."
    return new_page(server=lab.url, viewport={"width": 1200, "height": 1000})
