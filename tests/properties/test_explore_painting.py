"""The explorers' state, without a browser: it takes what can be, refuses the rest by name, and stays as it was."""
import json

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sgpaint.scene.procedural import draw
from sgpaint.stroke.painting import Painting
from sgpaint.stroke.primitive import PRIMITIVES, bounds, random_strokes
from sgpaint.explore.painting import KappaExplorer, RewardExplorer, StrokeExplorer, reward_terms


def made(n: int = 6, primitive: str = "bezier", size: tuple[int, int] = (16, 24), **fields) -> Painting:
    strokes = random_strokes(n, primitive, generator=torch.Generator().manual_seed(n))[0]
    return Painting(strokes, size, primitive, **fields)


@settings(max_examples=30, deadline=None)
@given(st.sampled_from(sorted(PRIMITIVES)), st.integers(0, 5), st.data())
def test_an_edit_within_bounds_is_in_the_painting_and_nothing_else_is(primitive, stroke, data):
    painting = made(primitive=primitive)
    column = data.draw(st.sampled_from(PRIMITIVES[primitive].columns))
    i = PRIMITIVES[primitive].columns.index(column)
    low, high = (edge[i].item() for edge in bounds(primitive))
    value = data.draw(st.floats(low, high, width=32))
    explorer = StrokeExplorer(painting)
    explorer.edits = [[0, stroke, column, value]]
    expected = painting.strokes.clone()
    expected[stroke, i] = value
    assert torch.equal(explorer.painting.strokes, expected) and explorer.painting.provenance["edits"] == 1
    assert explorer.originals[0] is painting


@pytest.mark.parametrize("edit", [[0, 6, "red", 0.5], [0, -1, "red", 0.5], [1, 0, "red", 0.5], [0, 0, "mood", 0.5],
                                  [0, 0, "red", 1.5], [0, 0, "red", float("nan")], [0, 0, "red", "0.5"], [0, 0, "red"],
                                  [0, 0, "x1", 2.5]])
def test_an_edit_that_cannot_be_is_refused_and_the_others_stay(edit):
    explorer = StrokeExplorer(made())
    explorer.edits = [[0, 1, "red", 0.25]]
    with pytest.raises(ValueError, match="expected"): explorer.edits = [edit]
    assert explorer.edits == [[0, 1, "red", 0.25]]


@pytest.mark.parametrize("name, value", [
    ("stroke", 7), ("stroke", -1), ("speed", 3.0), ("selected", [0]), ("selected", [0, 6]), ("selected", [1, 0]),
    ("hidden", ["layer 0"]), ("overlay", "mask"), ("overlay", "box")])
def test_a_state_that_cannot_be_is_refused(name, value):
    explorer = StrokeExplorer(made())
    before = getattr(explorer, name)
    with pytest.raises(ValueError, match="expected"): setattr(explorer, name, value)
    assert getattr(explorer, name) == before


def test_what_the_browser_asks_wrongly_is_said_and_not_done():
    explorer = StrokeExplorer(made())
    explorer.set_state({"edits": [[0, 99, "red", 0.5]]})
    assert "expected 0 to 5" in explorer.error and explorer.edits == []


def test_layers_instances_masks_and_boxes_are_offered_where_there_are_any():
    mask = torch.zeros(2, 16, 24)
    mask[0, 4:9, 3:12] = mask[1, 8:15, 14:20] = 1
    painting = made(blend_mode="masked", masks=mask, layer=torch.arange(6) % 2, instance=torch.arange(6) % 2)
    explorer = StrokeExplorer(painting, torch.rand(3, 16, 24))
    assert explorer.groups == ["instance 0", "instance 1", "layer 0", "layer 1"]
    explorer.hidden, explorer.overlay = ["layer 0", "instance 1"], "box"
    extra = json.loads(explorer.player_data)["extras"][0]
    assert len(extra["boxes"]) == 2
    assert [p["name"] for p in extra["panels"]] == ["aligned, instance 0", "aligned, instance 1"]


@pytest.mark.parametrize("n, size", [(0, (16, 24)), (1, (1, 1)), (3, (2000, 300)), (5000, (16, 24))])
def test_explorers_take_the_worst(n, size):
    painting, target = made(n, size=size), torch.rand(3, *size)
    explorer = StrokeExplorer([painting, painting], target)
    assert explorer.stroke == n and "text/html" in explorer._repr_mimebundle_()[0]
    if n < 5000: assert RewardExplorer(painting, target).rewards.shape == (n,)


def test_kappa_knows_only_what_was_computed():
    scene = draw("birds", 3, (32, 32))
    explorer = KappaExplorer({10.0: made(2, title="ten"), 0.0: made(4)}, scene)
    assert explorer.kappas == [0, 10] and explorer.kappa == 0 and len(explorer.painting) == 4
    with pytest.raises(ValueError, match="expected one of 0, 10, got 5"): explorer.kappa = 5.0
    assert explorer.metric_name == "error inside the parts" and explorer.painting.title == "κ = 0"
    with pytest.raises(ValueError, match="got none"): KappaExplorer({}, scene)


def test_rewards_add_up_to_how_much_every_distance_fell():
    scene, painting = draw("birds", 3, (32, 32)), made(5)
    terms = reward_terms(painting, scene.image, scene.mask, torch.ones(1, 32, 32))
    fell = painting.error(scene.image) - Painting(torch.zeros(0, 13), (32, 32)).error(scene.image)
    assert abs(terms["whole"].sum().item() + fell) < 1e-5 and list(terms) == ["whole", "object", "focus"]
    explorer = RewardExplorer(painting, scene)
    for weights in ({"whole": 1.0}, {"whole": 1.0, "object": 11.0}, {"whole": 1.0, "object": "2"}):
        with pytest.raises(ValueError, match="weights"): explorer.weights = weights
    assert explorer.weights == {"whole": 1.0, "object": 1.0}


@pytest.mark.parametrize("wrong", [[], [3], "me.json"])
def test_what_is_no_painting_is_refused(wrong):
    with pytest.raises(ValueError, match="expected"): StrokeExplorer(wrong)
