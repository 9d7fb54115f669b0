"""Every renderer keeps the protocol, ours and a third party's; a renderer that breaks it is named with the rule."""
import contextlib

import pytest
import torch

from sgpaint.export.files import ExportError, export
from sgpaint.lab.registry import RegistryError
from sgpaint.stroke.blend import blank, over, paint, paint_each, stroke_masks
from sgpaint.stroke.exact import alpha, render
from sgpaint.stroke.painting import Painting, PaintingError, side_by_side
from sgpaint.stroke.primitive import BEZIER, PRIMITIVES, random_strokes
from sgpaint.stroke.renderer import RENDERERS, check_renderer, draw


class Outline:
    """The edge of a stroke: the stroke without the same stroke of smaller radii."""
    name, differentiable, primitives, in_browser = "outline", True, ("bezier",), False

    def __init__(self, thin=0.06):
        self.thin = thin

    def __call__(self, strokes, size, primitive):
        smaller = strokes.clone()
        radii = BEZIER.index("r0", "r2")
        smaller[..., radii] = (strokes[..., radii] - self.thin).clamp_min(0)
        cover, colour = render(strokes, size)
        return (cover - alpha(smaller, size)).clamp_min(0), colour


@contextlib.contextmanager
def registered(renderer):
    """The renderer is known by its name within the block."""
    RENDERERS.register(renderer.name, renderer)
    try:
        yield renderer
    finally:
        RENDERERS.remove(renderer.name)


@pytest.mark.parametrize("name", list(RENDERERS))
def test_every_registered_renderer_keeps_the_protocol(name):
    check_renderer(name)


def test_a_third_party_renderer_keeps_the_protocol():
    check_renderer(Outline())
    with registered(Outline()):
        check_renderer("outline")
        check_renderer("outline", "bezier")


def quarter(strokes, primitive):
    """Strokes in the top left quarter of a picture, and the same strokes for that quarter alone."""
    whole, part = strokes.clone(), strokes.clone()
    for i, name in enumerate(primitive.columns):
        if name in ("x0", "y0", "x1", "y1", "x2", "y2"):
            whole[..., i] = strokes[..., i] / 2
        if name in ("r0", "r2"):  # (1 + 63 r) / 256 of the shorter side, which is half as long
            whole[..., i] = 0.4 * strokes[..., i]
            part[..., i] = (2 * (1 + 63 * whole[..., i]) - 1) / 63
    return whole, part


@pytest.mark.parametrize("name", list(PRIMITIVES))
def test_a_quarter_drawn_alone_is_the_quarter_of_the_whole(name):
    strokes = random_strokes(9, name, generator=torch.Generator().manual_seed(1))
    whole, part = quarter(strokes, PRIMITIVES[name])
    large, small = draw("exact", whole, (48, 64), name)[0], draw("exact", part, (24, 32), name)[0]
    assert (large[..., :24, :32] - small).abs().mean() < 1e-3


@pytest.mark.parametrize("renderer", ["name", "object"])
def test_paint_takes_a_name_or_an_object(renderer):
    strokes, canvas = random_strokes(4, batch=2).requires_grad_(), blank(2, (24, 32))
    masks = stroke_masks(torch.rand(2, 2, 24, 32), (0, 1, 0, 1), "masked")
    with registered(Outline()) as outline:
        chosen = "outline" if renderer == "name" else outline
        got = paint(canvas, strokes, renderer=chosen)
        assert torch.equal(got, over(canvas, *outline(strokes, (24, 32), BEZIER)))
        assert torch.equal(got, paint_each(canvas, strokes, renderer=chosen)[:, -1])
        masked = paint(canvas, strokes, stroke_masks=masks, renderer=chosen)
        assert torch.equal(masked, paint_each(canvas, strokes, stroke_masks=masks, renderer=chosen)[:, -1])
        got.sum().backward()
        assert strokes.grad.abs().sum() > 0
        assert not torch.equal(got, paint(canvas, strokes))


def test_a_painting_remembers_its_renderer(tmp_path):
    strokes = random_strokes(5, generator=torch.Generator().manual_seed(2))[0]
    with pytest.raises(PaintingError, match=r"unknown name 'outline'"):
        Painting(strokes, (24, 32), renderer="outline")
    with pytest.raises(PaintingError, match="register"):
        Painting(strokes, (24, 32), renderer=Outline())
    with registered(Outline()) as outline:
        painting = Painting(strokes, (24, 32), renderer=outline)
        again = Painting.load(painting.save(tmp_path / "a.json"))
        assert again.renderer == "outline" and torch.equal(again.render(), painting.render())
        assert torch.equal(painting.render(), over(blank(1, (24, 32)), *outline(strokes[None], (24, 32), BEZIER))[0])
        assert not torch.equal(painting.render(), Painting(strokes, (24, 32)).render())
        with pytest.raises(PaintingError, match="draws bezier, not circle"):
            Painting(torch.rand(2, 7), (24, 32), "circle", renderer="outline")
    with pytest.raises(PaintingError, match=r"unknown name 'outline'"):
        Painting.load(tmp_path / "a.json")


def test_formats_that_need_the_exact_renderer_refuse_and_pictures_work(tmp_path):
    strokes = random_strokes(3, generator=torch.Generator().manual_seed(2))[0]
    with registered(Outline()):
        painting = Painting(strokes, (24, 32), renderer="outline")
        for kind in ("png", "gif", "json", "csv", "webp"):
            assert export(painting, tmp_path / f"a.{kind}").stat().st_size > 0
        with pytest.raises(ExportError, match="renderer outline"):
            export(painting, tmp_path / "a.svg")
        page = export(painting, tmp_path / "a.html").read_text()
        assert "A still picture: the renderer outline does not run in a browser" in page
        assert '<div class="sgpaint"' not in page
        bundle = side_by_side([painting, Painting(strokes, (24, 32))])._repr_mimebundle_()
        assert "<script" not in bundle["text/html"] and bundle["image/png"]
    assert not (tmp_path / "a.svg").exists()


def broken(**changes):
    """An outline renderer with other attributes."""
    return type("Broken", (Outline,), changes)()


def wrong_shape(self, strokes, size, primitive):
    return render(strokes, (8, 8))


def too_much(self, strokes, size, primitive):
    cover, colour = render(strokes, size)
    return 2 * cover, colour


def deaf(self, strokes, size, primitive):
    return render(strokes.detach(), size)


def halved(self, strokes, size, primitive):
    cover, colour = render(strokes, size)
    return cover.detach() + 0.5 * (cover - cover.detach()), colour  # half of the gradient


def crowded(self, strokes, size, primitive):
    cover, colour = render(strokes, size)
    return cover / strokes.shape[1], colour  # depends on how many there are


def two_colours(self, strokes, size, primitive):
    cover, colour = render(strokes, size)
    return cover, colour[:, :, :2]


def no_paint(self, canvas, strokes, primitive, edge, stroke_masks):
    return canvas


@pytest.mark.parametrize("changes, rule", [
    (dict(differentiable="yes"), "differentiable: expected bool"),
    (dict(in_browser=None), "in_browser: expected bool"),
    (dict(primitives=()), "primitives"),
    (dict(primitives=("spiral",)), "primitives: primitive"),
    (dict(__call__=wrong_shape), "alpha: expected shape"),
    (dict(__call__=too_much), r"alpha: expected values in \[0, 1\]"),
    (dict(__call__=deaf), "gradient"),
    (dict(__call__=halved), "gradient"),
    (dict(__call__=crowded), "tiles"),
    (dict(__call__=two_colours), "colour: expected a shape"),
    (dict(paint=no_paint), "paint: differs"),
    (dict(__call__=lambda self, strokes: strokes), "drawing raised TypeError"),
])
def test_what_breaks_the_protocol_is_named_with_its_rule(changes, rule):
    with pytest.raises(RegistryError, match=rule) as caught:
        check_renderer(broken(**changes))
    assert str(caught.value).startswith("renderer ") and len(str(caught.value).splitlines()) == 1


def test_an_object_that_is_no_renderer_cannot_be_registered():
    for thing in (Outline, 3, lambda strokes, size: None):
        with pytest.raises(RegistryError):
            RENDERERS.register("thing", thing)
    with pytest.raises(RegistryError, match="exact"):
        RENDERERS.register("exact", broken(name="exact"))
