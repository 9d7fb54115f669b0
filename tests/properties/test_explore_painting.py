"""The explorers' state, without a browser: it takes what can be, refuses the rest by name, and stays as it was."""
import json
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.testing import assert_close

from sgpaint.agent.config import build_env, configure, rewards_at
from sgpaint.agent.rewards import REWARDS, RewardTerm
from sgpaint.guide.guidance import make_guidance
from sgpaint.lab.config import as_dict
from sgpaint.scene.procedural import draw
from sgpaint.stroke.painting import Painting
from sgpaint.stroke.primitive import PRIMITIVES, bounds, random_strokes
from sgpaint.explore.painting import KappaExplorer, RewardExplorer, StrokeExplorer, available_terms


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


def test_rewards_add_up_to_the_decrease_of_every_distance():
    scene, painting = draw("birds", 3, (32, 32)), made(5)
    explorer = RewardExplorer(painting, scene, torch.ones(1, 32, 32))
    assert {"l2", "foreground_l2", "focus"} <= set(explorer.terms) and "adversarial" not in explorer.terms
    empty, last = torch.zeros(1, 3, 32, 32), painting.render((32, 32))[None]
    for name, term in available_terms(explorer.config, explorer.guidance).items():
        decrease = term.reward(empty, last, scene.image[None], explorer.guidance)
        assert sum(explorer.terms[name]) == pytest.approx(decrease.item(), abs=1e-5), name
    explorer = RewardExplorer(painting, scene)
    before = explorer.weights
    for weights in ({"l2": 1.0}, before | {"l2": 11.0}, before | {"l2": "2"}):
        with pytest.raises(ValueError, match="weights"): explorer.weights = weights
    assert explorer.weights == before == {name: float(name == "l2") for name in explorer.terms}


@pytest.mark.parametrize("choices", [
    dict(preset="small"), dict(preset="guided"), dict(preset="guided", aligned=False, focus_form="eq14"),
    dict(preset="guided", background_only=True), dict(preset="small", rewards={"l2": 1.0, "focus": 0.5}),
    dict(preset="guided", focus_from=0.5)], ids=str)
def test_an_explorer_and_its_training_give_equal_rewards(choices):
    "FAULTS F7: the same terms, options, weights and scales; the rewards of a step are those of its strokes together."
    config = configure(**choices, size=32, smoke=True, device="cpu")
    scene, env = draw("birds", 3, (32, 32)), build_env(config)
    generator = torch.Generator().manual_seed(1)
    focus = torch.rand(1, 1, 32, 32, generator=generator)
    guidance = make_guidance(scene.mask[None], (32, 32), focus=focus) if config.guided else None
    scales = {"l2": 0.02, "foreground_l2": 0.03, "focus": 0.5}
    env = replace(env, rewards=rewards_at(config, config.learning.updates, scales))
    state, bundles, expected = env.reset(scene.image[None], guidance), [], []
    for _ in range(env.steps):
        action = torch.rand(1, env.action_size, generator=generator)
        bundles.append(env.decode(action)[0])
        state, reward, _ = env.step(state, action)
        expected.append(reward)
    levels = dict(blend_mode=env.blend_mode, masks=guidance.mask[0], layer=torch.tensor(env.levels).repeat(env.steps),
                  instance=torch.zeros(env.strokes, dtype=torch.int64)) if env.blend_mode != "plain" else {}
    painting = Painting(torch.cat(bundles), (32, 32), provenance={"config": as_dict(config)}, **levels)
    explorer = RewardExplorer(painting, scene, guidance=guidance, scales=scales)
    assert explorer.config == config
    found = explorer.rewards.view(env.steps, env.bundle).sum(1)
    assert_close(found, torch.cat(expected), atol=1e-6 / min(scales.values()), rtol=1e-5)
    assert_close(found * 0.02, torch.cat(expected) * 0.02, atol=1e-6, rtol=1e-6)


def test_a_term_of_another_package_has_a_slider():
    class Brightness(RewardTerm):
        name = "brightness"

        def distance(self, canvas, target, guidance=None): return (canvas - target).mean((1, 2, 3)).abs()

    REWARDS.register("brightness", Brightness)
    try:
        explorer = RewardExplorer(made(4), draw("birds", 3, (32, 32)))
        assert {"brightness", "foreground_brightness"} <= set(explorer.terms)
        explorer.weights = {name: float(name == "brightness") for name in explorer.terms}
        assert_close(explorer.rewards, torch.tensor(explorer.terms["brightness"]))
    finally: REWARDS.remove("brightness")


def test_a_discriminator_adds_its_term():
    def score(canvas, target): return canvas.mean((1, 2, 3))

    painting = made(4)
    explorer = RewardExplorer(painting, torch.rand(3, 32, 32), discriminator=score)
    drawn = torch.stack(list(painting.frames(size=(32, 32)))).mean((1, 2, 3))
    assert_close(torch.tensor(explorer.terms["adversarial"]), drawn.diff(), atol=1e-5, rtol=0)


@pytest.mark.parametrize("wrong", [[], [3], "me.json"])
def test_what_is_no_painting_is_refused(wrong):
    with pytest.raises(ValueError, match="expected"): StrokeExplorer(wrong)
