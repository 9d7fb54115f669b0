"""The zoom: Kornia against Eq 21 and against slices of pixels, anywhere, with its gradients."""
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from torch.testing import assert_close

from sgpaint.guide.align import pad_box, pixel_matrix, theta, zoom, zoom_eq21
from sgpaint.scene.record import tight_box

corners = st.floats(-1.5, 1.5, allow_subnormal=False)
sides = st.floats(0.02, 2)
boxes = st.lists(st.tuples(corners, corners, sides, sides), min_size=1, max_size=3)
sizes = st.tuples(st.integers(2, 40), st.integers(2, 40))
new_sizes = st.tuples(st.integers(1, 40), st.integers(1, 40))


def pictures(batch, size, channels=3, seed=0, dtype=torch.float32):
    return torch.rand(batch, channels, *size, generator=torch.Generator().manual_seed(seed), dtype=dtype)


@given(boxes, sizes, new_sizes, st.integers(1, 7))
def test_kornia_agrees_with_eq21(box, old, new, channels):
    images, box = pictures(len(box), old, channels), torch.tensor(box)
    assert_close(zoom(images, box, new), zoom_eq21(images, box, new), atol=3e-5, rtol=0)


@given(boxes, sizes)
def test_antialias_changes_nothing_where_nothing_shrinks(box, size):
    images, box = pictures(len(box), size), torch.tensor(box)
    larger = size[0] * 2, size[1] * 2  # no box of up to twice the frame is shrunk
    assert_close(zoom(images, box, larger, antialias=True), zoom_eq21(images, box, larger), atol=3e-5, rtol=0)


@given(st.data())
def test_a_box_on_pixels_is_the_slice(data):
    height, width = data.draw(st.integers(2, 24)), data.draw(st.integers(2, 24))
    top, left = data.draw(st.integers(0, height - 1)), data.draw(st.integers(0, width - 1))
    rows, columns = data.draw(st.integers(1, height - top)), data.draw(st.integers(1, width - left))
    images = pictures(2, (height, width))
    box = torch.tensor([[left / width, top / height, columns / width, rows / height]]).expand(2, 4)
    for crop in (zoom(images, box, (rows, columns)), zoom_eq21(images, box, (rows, columns))):
        assert_close(crop, images[..., top:top + rows, left:left + columns], atol=3e-5, rtol=0)


@given(boxes)
def test_outside_is_zero_and_inside_stays_in_range(box):
    box = torch.tensor(box)
    seen = zoom(torch.ones(len(box), 1, 32, 32), box, (24, 24))
    assert seen.min() >= 0 and seen.max() <= 1 + 1e-5
    place = (torch.arange(24) + 0.5) / 24
    x, y = box[:, :1] + box[:, 2:3] * place, box[:, 1:2] + box[:, 3:] * place
    away = 1 / 32
    beyond = ((x < -away) | (x > 1 + away))[:, None] | ((y < -away) | (y > 1 + away))[:, :, None]
    assert not seen[:, 0][beyond].any()
    within = ((x > away) & (x < 1 - away))[:, None] & ((y > away) & (y < 1 - away))[:, :, None]
    assert (seen[:, 0][within] > 1 - 1e-4).all()


def test_the_whole_frame_is_the_picture():
    images, frame = pictures(2, (33, 21)), torch.tensor([[0.0, 0, 1, 1]]).expand(2, 4)
    for antialias in (False, True):
        assert_close(zoom(images, frame, antialias=antialias), images, atol=3e-5, rtol=0)


@pytest.mark.parametrize("way", [zoom, zoom_eq21, lambda p, b, s: zoom(p, b, s, antialias=True)])
@pytest.mark.parametrize("size", [(5, 4), (2, 3), (11, 9)])
def test_gradients_to_pictures_and_box(way, size):
    images = pictures(3, (6, 7), 2, 1, torch.float64).requires_grad_()
    box = torch.tensor([[0.11, 0.23, 0.52, 0.41], [-0.13, 0.35, 0.77, 0.93], [0.61, -0.27, 0.83, 1.31]],
                       dtype=torch.float64).requires_grad_()
    assert torch.autograd.gradcheck(lambda p, b: way(p, b, size), (images, box))


def test_gradients_agree_with_those_of_eq21_on_whole_pixels_too():
    box = torch.tensor([[0.0, 0, 1, 1], [0.25, 0.25, 0.5, 0.5]])
    found = []
    for way in (zoom, zoom_eq21):
        images, b = pictures(2, (16, 16)).requires_grad_(), box.clone().requires_grad_()
        way(images, b).square().sum().backward()
        found.append((images.grad, b.grad))
    assert_close(found[0][0], found[1][0], atol=1e-3, rtol=0)
    assert all(grad.isfinite().all() for pair in found for grad in pair)


def test_antialias_is_the_filter_of_torch_away_from_the_border():
    images = pictures(2, (64, 48))
    frame = torch.tensor([[0.0, 0, 1, 1]]).expand(2, 4)
    theirs = F.interpolate(images, (16, 12), mode="bilinear", antialias=True)
    ours = zoom(images, frame, (16, 12), antialias=True)
    assert_close(ours[..., 1:-1, 1:-1], theirs[..., 1:-1, 1:-1], atol=3e-5, rtol=0)


@given(boxes, sizes, new_sizes)
def test_eq11_is_the_inverse_of_eq21(box, old, new):
    box = torch.tensor(box, dtype=torch.float64)
    inside = torch.rand(5, 2, generator=torch.Generator().manual_seed(2), dtype=torch.float64) * 2 - 1
    ones = torch.ones(5, 1, dtype=torch.float64)

    def pixels(place, size):
        return (place + 1) / 2 * torch.tensor([size[1], size[0]]) - 0.5

    whole = torch.cat([inside, ones], 1) @ theta(box).mT  # (B, 5, 2)
    there = torch.cat([pixels(whole, old), ones.expand(len(box), 5, 1)], 2) @ pixel_matrix(box, old, new).mT
    assert_close(there, pixels(inside, new).expand(len(box), 5, 2), atol=1e-8, rtol=1e-8)


@pytest.mark.parametrize("bad", [[0, 0, 0, 1], [0, 0, 1, -0.5], [0, float("nan"), 1, 1], [float("inf"), 0, 1, 1]])
@pytest.mark.parametrize("call", [theta, lambda b: zoom(torch.ones(2, 1, 4, 4), b), lambda b: pad_box(b, 0.1),
                                  lambda b: zoom_eq21(torch.ones(2, 1, 4, 4), b)])
def test_a_box_without_area_or_place_is_named(bad, call):
    with pytest.raises(ValueError, match="box 1: expected finite x, y, w, h with w > 0 and h > 0"):
        call(torch.tensor([[0.0, 0, 1, 1], [float(v) for v in bad]]))


@pytest.mark.parametrize(("images", "box", "size", "why"), [
    (torch.ones(3, 4, 4), torch.ones(3, 4), None, "expected float"),
    (torch.ones(1, 3, 4, 4, dtype=torch.uint8), torch.ones(1, 4), None, "expected float"),
    (torch.ones(1, 3, 1, 4), torch.ones(1, 4), None, "2 x 2 pixels or more"),
    (torch.ones(2, 3, 4, 4), torch.ones(1, 4), None, r"expected \(2, 4\)"),
    (torch.ones(1, 3, 4, 4), torch.ones(4), None, "one box a picture"),
    (torch.ones(1, 3, 4, 4), torch.ones(1, 4), (4,), "expected .height, width."),
    (torch.ones(1, 3, 4, 4), torch.ones(1, 4), (0, 4), "expected .height, width."),
])
def test_shapes_that_do_not_fit(images, box, size, why):
    with pytest.raises(ValueError, match=why):
        zoom(images, box, size)


@given(st.integers(1, 3), st.tuples(st.integers(1, 20), st.integers(1, 20)), st.integers(0, 99))
def test_tight_boxes_hold_every_pixel_and_no_more(batch, size, seed):
    generator = torch.Generator().manual_seed(seed)
    mask = (torch.rand(batch, 1, *size, generator=generator) > 0.9).float()
    for m, (x, y, w, h) in zip(mask[:, 0], tight_box(mask).tolist(), strict=True):
        ys, xs = (m > 0.5).nonzero(as_tuple=True)
        if not len(ys):
            assert (x, y, w, h) == (0, 0, 1, 1)
            continue
        expected = [xs.min(), ys.min(), xs.max() + 1, ys.max() + 1]
        got = [x * size[1], y * size[0], (x + w) * size[1], (y + h) * size[0]]
        assert_close(torch.tensor(got), torch.stack(expected).float(), atol=1e-4, rtol=0)


@given(boxes, st.floats(-0.4, 3, allow_subnormal=False))
def test_padding_keeps_the_centre(box, margin):
    box = torch.tensor(box)
    wide = pad_box(box, margin)
    assert_close(wide[:, :2] + wide[:, 2:] / 2, box[:, :2] + box[:, 2:] / 2, atol=1e-4, rtol=1e-5)
    assert_close(wide[:, 2:], box[:, 2:] * (1 + 2 * margin), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("margin", [-0.5, -1, float("nan"), float("inf")])
def test_a_margin_that_leaves_nothing(margin):
    with pytest.raises(ValueError, match="above -0.5"):
        pad_box(torch.tensor([[0.0, 0, 1, 1]]), margin)
