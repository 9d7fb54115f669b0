"""A widget's two halves without Jupyter: the real Python object, its script in a page, and a wire between them."""
from typing import Any

import anywidget
from playwright.sync_api import Page

PAGE = """<!doctype html><html lang="en"><head><meta charset="utf-8"><title>widget</title></head>
<body><main></main></body></html>"""
JUPYTERS = ("layout", "tabbable", "tooltip")  # traits that no script of ours reads
MOUNT = """async ([code, state]) => {
  const listeners = {}, pending = {};
  const model = {
    state, sent: [], messages: [], lag: 0,
    get: (name) => state[name],
    set: (name, value) => {
      if (JSON.stringify(state[name]) === JSON.stringify(value)) return;
      state[name] = value; pending[name] = value; fire(name);
    },
    on: (name, f) => { (listeners[name] ??= new Set()).add(f); },
    off: (name, f) => listeners[name]?.delete(f),
    send: async (content) => { model.messages.push(content); model.heard(await window.tell(content)); },
    save_changes: async () => {
      const wish = { ...pending };
      for (const name of Object.keys(pending)) delete pending[name];
      model.sent.push({ wish, at: performance.now() });
      const answer = await window.kernel(wish);
      if (model.lag) await new Promise((done) => setTimeout(done, model.lag));
      model.heard(answer);
    },
    heard: (news) => { for (const [name, value] of Object.entries(news)) { state[name] = value; fire(name); } },
  };
  const fire = (name) => { for (const f of [...(listeners[`change:${name}`] ?? [])]) f(); };
  const module = await import(URL.createObjectURL(new Blob([code], { type: 'text/javascript' })));
  window.model = model;
  window.cleanUp = await module.default.render({ model, el: document.querySelector('main') });
}"""


class Wire:
    "A widget, and the page that shows it."

    def __init__(self, page: Page, widget: anywidget.AnyWidget):
        self.page, self.widget = page, widget
        page.set_content(PAGE)
        page.expose_function("kernel", self._wish)
        page.expose_function("tell", self._message)
        page.evaluate(MOUNT, [widget._esm, self.state()])

    def state(self) -> dict[str, Any]:
        "What the browser may know."
        return {k: v for k, v in self.widget.get_state().items() if not k.startswith("_") and k not in JUPYTERS}

    def _news(self, before: dict[str, Any], asked: dict[str, Any]) -> dict[str, Any]:
        return {name: value for name, value in self.state().items()
                if value != before[name] or (name in asked and value != asked[name])}

    def _wish(self, wish: dict[str, Any]) -> dict[str, Any]:
        before = self.state()
        self.widget.set_state(wish)
        return self._news(before, wish)

    def _message(self, content: dict[str, Any]) -> dict[str, Any]:
        before = self.state()
        self.widget._handle_custom_msg(content, [])
        return self._news(before, {})

    def guidance_of(self) -> None:
        "Let the browser hear what Python changed."
        self.page.evaluate("(news) => model.heard(news)", self.state())

    def drawn(self) -> None:
        "Wait until what the browser does once a frame is done."
        self.page.evaluate("() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")

    def settle(self) -> None:
        "Wait until what the browser does once a frame, and what it sends, is done."
        self.page.wait_for_timeout(350)  # more than PUSH of panel.js, and some frames
