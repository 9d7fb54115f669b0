"""Explorers of box and focus: whatever is asked, from Python or the browser, holds or is refused whole."""
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from torch import nn
from torch.testing import assert_close

from sgpaint.guide.align import theta, zoom
from sgpaint.guide.classify import AdaptedExpert, Expert
from sgpaint.guide.saliency import guided_maps
from sgpaint.scene.procedural import draw
from sgpaint.explore.guidance import (
    MAX_BOX_COORDINATE, MAX_CACHED_MAPS, MIN_BOX_SIDE, PIXELS, AlignmentExplorer, FocusExplorer, FocusMaps,
    LayerToLogits, describe_box, focus_map, layer_activations,
)
from sgpaint.explore.widget import MAX_DISPLAY_SIDE, WidgetError, display_size, load_for_display

places = st.floats(-MAX_BOX_COORDINATE, MAX_BOX_COORDINATE)
sides = st.floats(MIN_BOX_SIDE, MAX_BOX_COORDINATE)
boxes = st.tuples(places, places, sides, sides).map(list)
junk = st.one_of(
    st.none(), st.text(max_size=4), st.integers(), st.lists(st.floats(), max_size=3),
    st.tuples(places, places, sides, st.sampled_from([0.0, -1.0, math.nan, math.inf, MIN_BOX_SIDE / 2])).map(list),
    st.tuples(st.sampled_from([math.nan, -math.inf, 11.0]), places, sides, sides).map(list),
    st.lists(st.text(max_size=2), min_size=4, max_size=4), st.lists(st.none(), min_size=4, max_size=4))


def numbers(*shape, seed=0):
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.fixture(scope="module")
def explorer():
    return AlignmentExplorer(numbers(3, 12, 17), size=(9, 8))


@given(boxes, st.booleans(), st.booleans())
def test_matrix_and_crop_are_those_of_guide_align(explorer, box, antialias, from_browser):
    if from_browser:
        explorer.set_state({"box": box, "antialias": antialias})
    else:
        explorer.box, explorer.antialias = box, antialias
    assert explorer.box == box and explorer.error == ""
    assert_close(torch.tensor(explorer.theta), theta(torch.tensor([box]))[0])
    assert_close(explorer.crop, zoom(explorer.picture[None], torch.tensor([box]), (9, 8), antialias)[0])
    assert explorer.note == describe_box(box)


@given(junk)
def test_a_box_that_is_none_changes_nothing(explorer, wish):
    explorer.box = [0.1, 0.2, 0.3, 0.4]
    before = explorer.box, explorer.theta, explorer.note
    with pytest.raises(WidgetError, match="box: expected four numbers"): explorer.box = wish
    assert (explorer.box, explorer.theta, explorer.note) == before
    explorer.set_state({"box": wish})
    assert (explorer.box, explorer.theta, explorer.note) == before and "four numbers" in explorer.error


def test_the_browser_gets_the_true_state_back(explorer, monkeypatch):
    sent = []
    monkeypatch.setattr(explorer, "send_state", lambda key=None: sent.append(key))
    explorer.set_state({"box": [0, 0, 0, 0], "no such trait": 1})
    assert ["box"] in sent


@given(boxes)
def test_what_lies_beyond_is_what_lies_beyond(box):
    x, y, w, h = box
    n = 200
    across = x + w * (torch.arange(n) + 0.5) / n
    down = y + h * (torch.arange(n) + 0.5) / n
    inside = ((across > 0) & (across < 1)).float().mean() * ((down > 0) & (down < 1)).float().mean()
    said = describe_box(box)
    if "%" in said: assert abs(1 - inside.item() - int(said.split("%")[0]) / 100) < 0.03
    elif "outside" in said: assert inside < 0.02
    else: assert inside > 0.98


@pytest.mark.parametrize("size", [(1, 1), (1, 40), (40, 1), (2, 2), (300, 2000), (4000, 3)])
def test_pictures_of_any_shape(size):
    for picture in (numbers(3, *size), Image.new("RGB", size[::-1], "teal"), Image.new("LA", size[::-1])):
        explorer = AlignmentExplorer(picture)
        assert explorer.full == size and max(explorer.picture.shape[1:]) <= MAX_DISPLAY_SIDE
        assert explorer.crop.isfinite().all() and tuple(explorer.crop.shape[1:]) == tuple(explorer.crop_size)
        assert max(explorer.static_view().size) <= 1600


@given(st.integers(1, 30_000), st.integers(1, 30_000))
def test_the_shown_size_is_small_and_true_to_shape(height, width):
    h, w = display_size((height, width))
    assert 1 <= h <= height and 1 <= w <= width and max(h, w) == min(MAX_DISPLAY_SIDE, max(height, width))
    assert abs(h / w / (height / width) - 1) <= 0.51 / min(h, w) * 1.01 or min(h, w) == 1


def test_a_shrunk_picture_keeps_its_mean():
    picture = numbers(3, 1024, 700)
    assert_close(load_for_display(picture)[0].mean((1, 2)), picture.mean((1, 2)), atol=1e-3, rtol=0)
    as_bytes = Image.fromarray((picture * 255).round().byte().permute(1, 2, 0).numpy())
    assert_close(load_for_display(as_bytes)[0].mean((1, 2)), picture.mean((1, 2)), atol=1e-2, rtol=0)


@pytest.mark.parametrize("size", [(0, 4), (4,), (4, 600), (2.5, 4), (4, 4, 4)])
def test_a_crop_of_no_size_is_refused(size):
    with pytest.raises(WidgetError, match="size: expected"): AlignmentExplorer(numbers(3, 4, 4), size=size)


def test_what_is_kept_without_a_kernel_holds_no_script():
    names = ["<script>alert(1)</script>", "\"><img src=x onerror=alert(2)>"]
    focus = FocusExplorer(little(2), numbers(3, 8, 8), class_names=names)
    data = focus._repr_mimebundle_()[0]
    assert "<script" not in data["text/html"] and "<img src=x" not in data["text/html"] and "image/png" in data


# ---- the expert ------------------------------------------------------------------------------------------------------

def little(classes, seed=0):
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return nn.Sequential(
            nn.Conv2d(3, 6, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(6, 8, 3, padding=1),
            nn.ReLU(inplace=True), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, classes))


class Counting(nn.Module):
    "An expert that counts how often it is asked."
    def __init__(self, net):
        super().__init__()
        self.net, self.asked = net, 0

    def forward(self, images):
        self.asked += 1
        return self.net(images)


@given(st.integers(0, 3), st.sampled_from(["guided", "gradient"]), st.integers(0, 2))
@settings(max_examples=12)
def test_cut_behind_its_first_step_an_expert_answers_the_same(seed, method, label):
    net, image = little(3, seed), numbers(3, 9, 11, seed=seed)
    led = nn.Sequential(nn.Identity(), net)
    whole = guided_maps(net, image[None], torch.tensor([label]), method)[0]
    assert_close(focus_map(led, image, label, method, "0"), whole)


@pytest.mark.parametrize("layer", ["0", "1", "2", "3"])
def test_a_layer_s_map_is_its_gradient(layer):
    net, image = little(3), numbers(3, 8, 10)
    values = layer_activations(net, layer, image[None]).requires_grad_()
    rest = net[int(layer) + 1:](values.clone())
    gradient = torch.autograd.grad(rest[0, 1], values)[0].abs().amax(1)[0]
    assert_close(focus_map(net, image, 1, "gradient", layer)[0], gradient / gradient.max())
    assert_close(LayerToLogits(net, layer, image[None])(values), net(image[None]))


def test_an_expert_is_left_as_it_was_and_asked_once():
    net = Counting(little(3)).train()
    focus = FocusExplorer(net, [numbers(3, 8, 8), numbers(3, 8, 8, seed=1)], layers=["net.1"])
    assert net.training and net.net.training
    for name, value in (("layer", "net.1"), ("method", "gradient"), ("class_name", "class 2"), ("picture", 1)):
        setattr(focus, name, value)
    asked = net.asked
    focus.picture, focus.picture, focus.method, focus.method = 0, 1, "edges", "gradient"
    focus.class_name = "class 1" if focus.class_name == "class 0" else "class 0"
    assert net.asked > asked  # a new question
    asked = net.asked
    focus.class_name = "class 2"
    assert net.asked == asked and net.training and not net.net[0]._forward_hooks


def test_answers_that_are_kept_are_few():
    maps = FocusMaps(little(2), numbers(MAX_CACHED_MAPS + 10, 3, 2, 2))
    for i in range(MAX_CACHED_MAPS + 10): maps.get(i, "class 0", PIXELS, "edges")
    assert len(maps.cache) == MAX_CACHED_MAPS


def test_a_wish_of_which_one_part_is_wrong_changes_nothing():
    focus = FocusExplorer(little(3), [numbers(3, 8, 8), numbers(3, 8, 8, seed=1)])
    before = focus._choice(), focus.picture_url, focus.note
    focus.set_state({"picture": 1, "class_name": "no such class"})
    assert (focus._choice(), focus.picture_url, focus.note) == before and "class_name" in focus.error
    focus.set_state({"picture": 1, "class_name": "class 1"})
    assert (focus.picture, focus.class_name, focus.error) == (1, "class 1", "") and focus.picture_url != before[1]


@pytest.mark.parametrize("wish", [
    {"picture": 7}, {"picture": -1}, {"picture": 0.5}, {"method": "guess"}, {"layer": "9"}, {"class_name": ""}])
def test_what_cannot_be_asked(wish):
    focus = FocusExplorer(little(3), numbers(3, 8, 8))
    before = focus._choice()
    (name, value), = wish.items()
    with pytest.raises(Exception, match=name): setattr(focus, name, value)
    focus.set_state(wish)
    assert focus._choice() == before and focus.error


def test_classes_that_were_never_seen_are_not_on_offer():
    expert = Expert(3, channels=(8, 8), side=8)
    with pytest.raises(WidgetError, match="seen no class"): FocusExplorer(expert, numbers(3, 8, 8))
    expert.seen += torch.tensor([4, 0, 2])
    focus = FocusExplorer(expert, numbers(3, 8, 8), class_names=["ant", "bee", "cow"])
    assert focus.options["class_name"] == ["ant", "cow"] and focus.options["layer"] == [PIXELS, "trunk.0"]
    with pytest.raises(WidgetError, match="class_name: got 'bee'"): focus.class_name = "bee"
    adapted = AdaptedExpert(little(5), 16, [3, None, 1])
    assert FocusExplorer(adapted, numbers(3, 9, 9)).options["class_name"] == ["class 0", "class 2"]


@pytest.mark.parametrize("given, why", [
    (dict(images=[]), "one picture or more"), (dict(class_names=["a", "b"]), "each of the expert's 3 classes"),
    (dict(class_names=["a", "a", "b"]), "a different name"), (dict(layers=["nose"]), "the expert has no 'nose'"),
    (dict(layer="6", layers=["6"]), "outputs planes"), (dict(method="guid"), "did you mean 'guided'"),
])
def test_explorers_that_cannot_be_made(given, why):
    with pytest.raises(WidgetError, match=why): FocusExplorer(little(3), **({"images": numbers(3, 8, 8)} | given))


@pytest.mark.parametrize("size", [(1, 1), (300, 2000), (7, 5)])
def test_an_expert_may_be_shown_any_picture(size):
    expert = Expert(2, channels=(8, 8), side=16)
    expert.seen += 1
    focus = FocusExplorer(expert, numbers(3, *size), method="gradient")
    assert focus.map.isfinite().all() and focus.share is None and max(focus.static_view().size) <= 1600
    with pytest.raises(WidgetError, match="at most 16 to 1"): FocusExplorer(expert, numbers(3, 2, 400))


def test_shares_of_scenes_are_shares():
    flock = [draw(kind, 3, size=(32, 32)) for kind in ("birds", "cars")]
    focus = FocusExplorer(little(8), flock, class_names=flock[0].class_names, layers=["1"])
    for focus.picture in (0, 1):
        for focus.layer in (PIXELS, "1"):
            assert 0 <= focus.share <= 1 and f"{focus.share:.0%}" in focus.note
    focus.show_parts = True
    assert focus.parts_url.startswith("data:image/png")
