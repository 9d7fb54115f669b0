"""One formula: what player.js draws is what `Painting.render` draws, to 2/255."""
import base64
import itertools

import numpy as np
import pytest
import torch

from paintings import BOUND, a_painting, apart, three_circles
from rig import pixels
from sgpaint.stroke.page import script
from sgpaint.stroke.painting import Painting
from sgpaint.stroke.primitive import PRIMITIVES

DRAW = """async ([text, height, width, at, lift]) => {
  const easel = new Easel(await readPainting(text), height, width);
  const drawn = (n) => { if (lift) easel.lift(n); else easel.advance(n); return easel.canvas.slice(); };
  const coded = (n) => { const b = new Uint8Array(drawn(n).buffer); let s = '';
    for (let i = 0; i < b.length; i += 32768) s += String.fromCharCode(...b.subarray(i, i + 32768)); return btoa(s); };
  return at.map(coded);
}"""


def drawn(page, painting: Painting, at: list[int], size=None, lift=False) -> list[torch.Tensor]:
    "The browser's canvas after each of `at` strokes, asked for in this order, from the first one or from the last."
    height, width = size or painting.size
    texts = page.evaluate(DRAW, [painting.to_json(), height, width, at, lift])
    return [torch.from_numpy(np.frombuffer(base64.b64decode(t), "<f4").copy()).view(3, height, width) for t in texts]


def agree(page, painting: Painting, at: list[int], size=None) -> None:
    for n, *both in zip(at, drawn(page, painting, at, size), drawn(page, painting, at, size, True), strict=True):
        wanted = painting.render(size, n)
        worst = max((found - wanted).abs().max().item() for found in both)
        assert worst <= BOUND, f"{painting!r} at {size or painting.size}, stroke {n}: {worst:.4f}"


@pytest.fixture
def player(page):
    "A page that knows player.js."
    page.add_script_tag(content=script())
    return page


@pytest.mark.parametrize("primitive", PRIMITIVES)
def test_every_family_blend_mode_and_opacity(player, primitive):
    rules = itertools.product(("plain", "masked", "paper"), ("free", "opaque", "ink", "oil"))
    for seed, (blend_mode, opacity) in enumerate(rules):
        background = ("black", "white", (0.2, 0.5, 0.9))[seed % 3]
        painting = a_painting(
            primitive=primitive, blend_mode=blend_mode, opacity=opacity, background=background, seed=seed)
        agree(player, painting, [40, 3, 0, 17, 39])


@pytest.mark.parametrize("size", [(1, 1), (1, 9), (128, 128), (300, 20), (31, 97)], ids=str)
def test_any_size(player, size):
    agree(player, a_painting(20, size=size), [0, 20])
    agree(player, a_painting(20, blend_mode="masked"), [20, 7], size)


def test_no_stroke_and_one(player):
    agree(player, Painting(torch.zeros(0, 13), (8, 6), background="white"), [0])
    agree(player, a_painting(1), [1, 0, 1])


@pytest.mark.parametrize("primitive", PRIMITIVES)
def test_strokes_without_length_or_with_equal_corners(player, primitive):
    corners = torch.tensor(list(itertools.product((0.0, 1.0), repeat=4)))
    columns = PRIMITIVES[primitive].size
    strokes = torch.full((len(corners), columns), 0.5)
    strokes[:, :4] = corners[:, :4]
    agree(player, Painting(strokes, (24, 40), primitive), list(range(0, 17, 4)))
    agree(player, Painting(torch.full((3, columns), 0.5), (24, 40), primitive), [3])


def test_going_back_gives_what_going_on_gave(player):
    painting = a_painting(400, size=(40, 60))
    there = drawn(player, painting, [400, 399, 250, 1, 0, 400, 131, 250])
    for n, found in zip([400, 399, 250, 1, 0, 400, 131, 250], there, strict=True):
        (again,) = drawn(player, painting, [n])
        assert torch.equal(found, again), n


@pytest.mark.parametrize("way", ["advance", "lift", "go"])
def test_a_changed_stroke_is_drawn_anew(player, way):
    painting = a_painting(100, size=(40, 60), blend_mode="masked")
    found = player.evaluate("""async ([text, way]) => {
      const p = await readPainting(text), easel = new Easel(p, 40, 60), sums = [];
      for (const k of [95, 50, 0]) {
        easel[way](100);
        p.strokes[k * 13 + 12] = 1;
        easel.changed(k);
        easel.go(100);
        sums.push(btoa(String.fromCharCode(...new Uint8Array(easel.canvas.slice().buffer))));
      }
      return sums;
    }""", [painting.to_json(), way])
    for k, text in zip([95, 50, 0], found, strict=True):
        painting.strokes[k, 12] = 1
        canvas = torch.from_numpy(np.frombuffer(base64.b64decode(text), "<f4").copy()).view(3, 40, 60)
        assert (canvas - painting.render()).abs().max() <= BOUND


def test_a_canvas_shows_the_rounded_picture(player):
    painting = a_painting()
    player.evaluate("""async text => {
      const easel = new Easel(await readPainting(text), 48, 64);
      document.body.append(document.createElement('canvas'));
      easel.draw(40); easel.show(document.querySelector('canvas').getContext('2d'));
    }""", painting.to_json())
    assert apart(pixels(player.locator("canvas")), painting.render()) <= BOUND


def test_the_topmost_stroke_under_a_pixel(player):
    hits = player.evaluate("""async text => {
      const easel = new Easel(await readPainting(text), 32, 32);
      const places = [[3, 8, 16], [3, 24, 16], [3, 16, 16], [2, 16, 16], [3, 16, 1], [0, 8, 16]];
      return places.map(([n, x, y]) => easel.hit(n, x, y));
    }""", three_circles().to_json())
    assert hits == [0, 1, 2, -1, -1, -1]
