"""The rig itself: a cut network, a console that is listened to, a JupyterLab in which widgets live."""
import pytest

from rig import Watch, barriers, pixels

SQUARE = """<!doctype html><html lang="en"><title>square</title><canvas width="4" height="2"></canvas><script>
const c = document.querySelector('canvas').getContext('2d'); c.fillStyle = 'rgb(10, 200, 30)'; c.fillRect(1, 0, 2, 1);
</script>"""

WIDGET = '''import anywidget, traitlets
class Count(anywidget.AnyWidget):
    _esm = """export default { render({ model, el }) {
      const b = document.createElement("button"), show = () => { b.textContent = "count " + model.get("value"); };
      b.onclick = () => { model.set("value", model.get("value") + 1); model.save_changes(); };
      model.on("change:value", show); show(); el.append(b);
    } }"""
    value = traitlets.Int(3).tag(sync=True)
count = Count()
count'''


def test_a_page_from_a_file(page, tmp_path):
    (tmp_path / "square.html").write_text(SQUARE)
    page.goto((tmp_path / "square.html").as_uri())
    found = pixels(page.locator("canvas"))
    assert found.shape == (2, 4, 4)
    assert found[0, 1].tolist() == [10, 200, 30, 255] and found[1].tolist() == [[0, 0, 0, 0]] * 4


@pytest.mark.parametrize("script, said", [
    ("<img src='http://example.org/a.png'>", "asked the network for http://example.org/a.png"),
    ("<script>console.error('no good')</script>", "console: no good"),
    ("<script>nothing()</script>", "page error: nothing is not defined"),
])
def test_what_goes_wrong_in_a_page_is_told(browser, tmp_path, script, said):
    (tmp_path / "bad.html").write_text(f"<title>bad</title>{script}")
    watch = Watch(browser.new_page())
    watch.page.goto((tmp_path / "bad.html").as_uri())
    with pytest.raises(AssertionError, match=said.replace("(", r"\(")): watch.check()
    watch.page.close()


def test_a_barrier_is_named(page):
    html = "<html lang='en'><title>t</title><main><h1>t</h1><input type='range' {}></main></html>"
    page.set_content(html.format(""))
    assert [found.split()[0] for found in barriers(page)] == ["label"]
    page.set_content(html.format("aria-label='strokes'"))
    assert barriers(page) == []


def test_a_widget_in_jupyterlab(lab, lab_page):
    lab.open(lab_page, lab.write("count", WIDGET))
    lab.run_all(lab_page)
    button = lab_page.get_by_role("button", name="count 3")
    button.click()
    lab_page.get_by_role("button", name="count 4").wait_for()
    assert lab.ask(lab_page, "count.value") == 4
