"""A browser without a network, and a JupyterLab of its own: what the tests here, and benchmarks/explorers.py, drive."""
import ast
import base64
import io
import json
import os
import secrets
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.parse import urlsplit
from urllib.request import urlopen

import nbformat
import numpy as np
from axe_playwright_python.sync_playwright import Axe
from PIL import Image
from playwright.sync_api import Browser, ConsoleMessage, Locator, Page, Playwright, Request, Route

NAMES = ("chromium", "chromium-browser", "google-chrome")
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update",
         "--disable-sync"]
PATIENCE = 30_000  # ms: only a hang takes that long


def chromium() -> str | None:
    "Where Chromium is on this machine."
    return next(filter(None, map(shutil.which, NAMES)), None)


def launch(playwright: Playwright) -> Browser:
    "The machine's Chromium, without a window."
    return playwright.chromium.launch(executable_path=chromium(), args=FLAGS)


class Watch:
    "A page whose network is cut off but for one server; everything that goes wrong in it is kept."

    def __init__(self, page: Page, server: str = "", foreign: str = ""):
        self.page, self.server, self.foreign = page, server, foreign  # foreign: what others' templates ask for
        self.wrong: list[str] = []
        page.set_default_timeout(PATIENCE)
        page.on("console", self._said)
        page.on("pageerror", lambda error: self.wrong.append(f"page error: {error}"))
        page.on("websocket", lambda socket: self._allowed(socket.url))
        page.context.route("**/*", self._route)

    def _allowed(self, url: str) -> bool:
        local = urlsplit(url).scheme in ("file", "data", "blob", "about")
        served = bool(self.server) and urlsplit(url).netloc == urlsplit(self.server).netloc
        if not (local or served or self._theirs(url)): self.wrong.append(f"asked the network for {url}")
        return local or served

    def _theirs(self, url: str) -> bool:
        "Blocked like everything, but no fault of the page's."
        return bool(self.foreign) and url.startswith(self.foreign)

    def _route(self, route: Route, request: Request) -> None:
        if self._allowed(request.url): route.continue_()
        else: route.abort()

    def _said(self, message: ConsoleMessage) -> None:
        if message.type == "error" and not self._theirs(message.location["url"]):
            self.wrong.append(f"console: {message.text}")

    def check(self) -> None:
        "Fail where anything went wrong."
        assert not self.wrong, "\n".join(self.wrong)


def decoded(url: str) -> np.ndarray:  # (H, W, 4) uint8
    "The pixels of a picture in a data address."
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(url.split(",")[1]))).convert("RGBA"))


def pixels(canvas: Locator) -> np.ndarray:  # (H, W, 4) uint8
    "What a canvas element holds, at its own resolution."
    return decoded(canvas.evaluate("c => c.toDataURL()"))


def barriers(page: Page, within: str = "") -> list[str]:
    "What axe-core finds, inside a CSS selector, that keeps people out: its serious and critical violations."
    found = Axe().run(page, within or None).response["violations"]
    return [f"{v['id']} ({v['impact']}): {v['help']}: {node['html'][:200]}" for v in found
            if v["impact"] in ("serious", "critical") for node in v["nodes"]]


class Lab:
    "A running JupyterLab that knows nothing of the user's."

    def __init__(self, folder: Path):
        self.folder, self.token = folder, secrets.token_hex(8)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.url = f"http://127.0.0.1:{free.getsockname()[1]}"
        self.notebooks = folder / "notebooks"
        self.environment = os.environ | {
            name: str(folder / name.lower())
            for name in ("JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR", "HOME", "IPYTHONDIR")
        } | {"MPLBACKEND": "agg", "OMP_NUM_THREADS": "1"}
        self.environment.pop("IN_TEST", None)

    def settings(self, extension: str, **values: object) -> None:
        "What the user has set for an extension of JupyterLab."
        path = self.folder / "jupyter_config_dir/lab/user-settings/@jupyterlab" / f"{extension}.jupyterlab-settings"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(values))

    @contextmanager
    def running(self) -> Iterator["Lab"]:
        "Start the server, wait until it answers, end it."
        self.notebooks.mkdir(parents=True)
        self.settings("apputils-extension/notification", fetchNews="false", checkForUpdates=False)
        command = [sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root", "--ip=127.0.0.1",
                   f"--port={urlsplit(self.url).port}", "--ServerApp.port_retries=0",
                   f"--IdentityProvider.token={self.token}", f"--ServerApp.root_dir={self.notebooks}",
                   "--expose-app-in-browser", "--LabApp.extension_manager=readonly"]
        with (self.folder / "log.txt").open("w") as log:
            server = subprocess.Popen(command, env=self.environment, stdout=log, stderr=log)
            try:
                self._wait(server)
                yield self
            finally:
                server.terminate()
                server.wait(30)

    def _wait(self, server: subprocess.Popen) -> None:
        for _ in range(600):
            try: return urlopen(f"{self.url}/api?token={self.token}", timeout=5).close()
            except (URLError, TimeoutError, ConnectionError): time.sleep(0.1)
            assert server.poll() is None, (self.folder / "log.txt").read_text()
        raise TimeoutError(f"JupyterLab does not answer: {(self.folder / 'log.txt').read_text()}")

    def write(self, name: str, *cells: str | nbformat.NotebookNode) -> Path:
        "A notebook of code cells, or of cells made before with their outputs."
        made = [nbformat.v4.new_code_cell(cell) if isinstance(cell, str) else cell for cell in cells]
        kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
        nbformat.write(nbformat.v4.new_notebook(cells=made, metadata={"kernelspec": kernel}),
                       path := self.notebooks / f"{name}.ipynb")
        return path

    def trust(self, path: Path) -> None:
        "Sign a notebook, as `jupyter trust` does."
        subprocess.run([sys.executable, "-m", "jupyter", "trust", path], env=self.environment, check=True,
                       capture_output=True)

    def open(self, page: Page, path: Path) -> None:
        "Open a notebook and wait until its kernel is idle."
        page.goto(f"{self.url}/lab/tree/{path.name}?token={self.token}&reset")
        page.wait_for_selector(".jp-Notebook .jp-Cell")
        page.wait_for_function(
            "() => window.jupyterapp?.shell.currentWidget?.sessionContext?.session?.kernel?.status === 'idle'")

    def run_all(self, page: Page) -> None:
        "Run every cell, and wait until the last one has run."
        page.evaluate("() => window.jupyterapp.commands.execute('notebook:run-all-cells')")
        page.wait_for_function("""() => {
            const cells = window.jupyterapp.shell.currentWidget.content.widgets;
            return cells.every(c => !/\\*/.test(c.promptNode?.textContent ?? '') && c.model.executionCount);
        }""")

    def cells(self, page: Page) -> list[str]:
        "The text of every cell."
        return page.evaluate("""() => window.jupyterapp.shell.currentWidget.content.widgets
            .map(cell => cell.model.sharedModel.getSource())""")

    def ask(self, page: Page, expression: str, before: str = "") -> Any:
        "What an expression is in the notebook's kernel (a literal), after some statements."
        return ast.literal_eval(page.evaluate("""async ([before, expression]) => {
            const kernel = window.jupyterapp.shell.currentWidget.sessionContext.session.kernel;
            const asked = kernel.requestExecute({ code: before, silent: true, user_expressions: { it: expression } });
            const said = (await asked.done).content, it = said.user_expressions?.it ?? said;
            if (it.status !== 'ok') throw new Error(it.ename + ': ' + it.evalue);
            return it.data['text/plain'];
        }""", [before, expression]))

    def later(self, page: Page, code: str) -> None:
        "Give the kernel something to do, and do not wait for it."
        page.evaluate("""code => { window.jupyterapp.shell.currentWidget.sessionContext.session.kernel
            .requestExecute({ code, silent: true }); }""", code)


def toucher(page: Page, at: Callable[..., tuple[float, float]]) -> Callable[..., None]:
    "A finger on a page: `touch(kind, (x, y), ...)`, its points placed on the page by `at(page, x, y)`."
    finger = page.context.new_cdp_session(page)

    def touch(kind: str, *points: tuple[float, float]) -> None:
        places = [dict(zip("xy", at(page, *point), strict=True)) for point in points]
        finger.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": places})

    return touch
