"""SVG files in Chromium: they run nothing, ask for nothing, and look like the painting."""
import numpy as np
import pytest

from paintings import a_painting, three_circles
from rig import decoded
from sgpaint.export.files import export
from sgpaint.stroke.primitive import PRIMITIVES

HOSTILE = ("</title></metadata></svg><script>window.hacked = 1</script><image href='x' onerror='window.hacked = 2'/>"
           "]]><![CDATA[ --><!-- &lt; &x; ' \" \x00\x1f\ufffe")
ACTIVE = """[...document.querySelectorAll('*')].flatMap(e => [...e.attributes])
    .filter(a => /^on|href/i.test(a.name) || /javascript:|url\\(/i.test(a.value)).map(a => a.name)"""


def test_hostile_words_stay_words(page, tmp_path):
    painting = three_circles(title=HOSTILE, provenance={HOSTILE: [HOSTILE, "<script>window.hacked = 3</script>"]})
    export(painting, tmp_path / "hostile.svg")
    (tmp_path / "frame.html").write_text("<!doctype html><title>an SVG</title><iframe src='hostile.svg'></iframe>")
    page.goto((tmp_path / "frame.html").as_uri())
    svg = page.frames[1]
    assert svg.evaluate("document.documentElement.localName") == "svg", "not well-formed"
    assert svg.evaluate("window.hacked") is None and page.evaluate("window.hacked") is None
    assert svg.locator("script, image, foreignObject").count() == 0
    assert svg.evaluate(ACTIVE) == [] and "<script>" in svg.evaluate("document.querySelector('title').textContent")


@pytest.mark.parametrize("primitive", PRIMITIVES)
def test_chromium_draws_what_python_draws(page, tmp_path, primitive):
    painting = a_painting(12, primitive, (96, 128), opacity="opaque", background="white")
    svg = export(painting, tmp_path / "painting.svg").read_text()
    url = page.evaluate("""async svg => {
      const image = new Image();
      image.src = URL.createObjectURL(new Blob([svg], { type: "image/svg+xml" }));
      await image.decode();
      const canvas = Object.assign(document.createElement("canvas"), { width: 128, height: 96 });
      canvas.getContext("2d").drawImage(image, 0, 0);
      return canvas.toDataURL();
    }""", svg)
    found = decoded(url)[..., :3] / 255
    assert np.abs(found - painting.render().permute(1, 2, 0).numpy()).mean() < 2 / 255
