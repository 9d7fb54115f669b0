"The painter in use: any size and aspect, any number of strokes, presets, cells; what is painted is what is kept."
import functools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from sgpaint.agent.algorithms import ALGORITHMS
from sgpaint.agent.config import build_env, configure
from sgpaint.agent.trained import Agent, observed_size, paint_many, paint_with, shipped_agent
from sgpaint.cli import main
from sgpaint.lab.image import resize
from sgpaint.lab.measure import mse
from sgpaint.scene.procedural import draw
from sgpaint.search.polish import fit_colours
from sgpaint.stroke.blend import limit_opacity, paint
from sgpaint.stroke.painting import Painting
from sgpaint.stroke.primitive import check_strokes, random_strokes

SIDE = st.integers(1, 100)
cached = functools.cache(shipped_agent)


def some_picture(h, w, seed=0):
    "Smooth colours, so that there is something to gain."
    few = torch.rand(1, 3, 4, 4, generator=torch.Generator().manual_seed(seed))
    return torch.nn.functional.interpolate(few, (h, w), mode="bilinear")[0].clamp(0, 1)


@functools.cache
def novice(**changes):
    config = configure(smoke=True, **changes)
    env = build_env(config)
    torch.manual_seed(0)
    return Agent(ALGORITHMS[config.learning.algorithm].build_actor(env, config.learning).eval(), env, config)


@settings(max_examples=12, deadline=None)
@given(SIDE, SIDE, st.integers(1, 23), st.sampled_from(["small", "dense"]))
def test_what_is_painted_is_what_is_kept(h, w, count, name):
    agent, picture = cached(name), some_picture(h, w)
    painting = paint_with(agent, picture, count)
    check_strokes(painting.strokes)
    assert painting.size == (h, w) and len(painting) == len(painting.step) == len(painting.reward) == count
    assert painting.step.tolist() == [i // agent.env.bundle for i in range(count)]
    seen = tuple(painting.provenance["observed"])
    target = resize(picture[None], seen)
    canvas = paint_many(agent, target, strokes=count)
    torch.testing.assert_close(painting.render(seen)[None], canvas, atol=1e-4, rtol=0)
    assert abs(painting.reward.sum() - (mse(torch.zeros_like(target), target) - mse(canvas, target))) < 1e-4
    assert painting.provenance["config"]["task"]["size"] == 64 and "refined" not in painting.provenance


@settings(max_examples=100, deadline=None)
@given(st.integers(1, 20_000), st.integers(1, 20_000), st.integers(1, 2000))
def test_the_working_copy_has_the_aspect_of_the_picture(h, w, strokes):
    seen = observed_size(cached("dense"), (h, w), strokes)
    assert min(seen) <= 256 and seen[0] * seen[1] <= 4 * 256**2 + sum(seen)
    scale = seen[0] / h if h > w else seen[1] / w
    assert abs(seen[0] - h * scale) <= 1 and abs(seen[1] - w * scale) <= 1
    assert observed_size(cached("small"), (h, w), strokes) == (64, 64)


def test_pictures_of_every_kind_give_the_same_painting():
    levels = (some_picture(40, 70).permute(1, 2, 0).numpy() * 255).round().astype(np.uint8)
    exact = torch.from_numpy(levels).permute(2, 0, 1) / 255
    kinds = [levels, Image.fromarray(levels), exact, exact.double()]
    found = [paint_with(cached("dense"), kind, 7).strokes for kind in kinds]
    assert all(torch.equal(found[0], other) for other in found[1:])


@pytest.mark.parametrize("name", ["small", "dense"])
@pytest.mark.parametrize("preset", ["opaque", "oil", "ink"])
def test_a_preset_of_opacity_is_kept(name, preset):
    picture = some_picture(64, 96)
    painting = paint_with(cached(name), picture, 30, opacity=preset)
    assert painting.opacity == preset
    limited = limit_opacity(painting.strokes, preset)
    alone = paint(torch.zeros(1, 3, 64, 64), limited[None])[0]
    torch.testing.assert_close(painting.render((64, 64)), alone)
    assert preset != "opaque" or (limited[:, 8:10] == 1).all()
    assert painting.error(picture) < (picture**2).mean()
    free = cached(name)
    assert free.env.opacity == getattr(free.actor, "opacity", "free") == "free"  # another agent, not this one


def test_choosing_under_a_preset_is_better_than_restricting_afterwards():
    scene = draw("birds", 10_007, (64, 64)).image
    painting = paint_with(cached("dense"), scene, 60)
    afterwards = paint(torch.zeros(1, 3, 64, 64), limit_opacity(painting.strokes, "opaque")[None])
    assert paint_with(cached("dense"), scene, 60, opacity="opaque").error(scene) < 0.8 * mse(afterwards, scene[None])


@pytest.mark.parametrize("name", ["small", "dense"])
@pytest.mark.parametrize(("k", "count", "size"), [(2, 60, (64, 64)), (3, 41, (50, 96)), (4, 17, (170, 90))])
def test_cells_cover_the_picture(name, k, count, size):
    picture = draw("streets", 3, size).image
    painting = paint_with(cached(name), picture, count, divide=k)
    assert len(painting) == count and painting.size == size and painting.provenance["divide"] == k
    check_strokes(painting.strokes)
    assert (painting.step.diff() >= 0).all()
    whole = round(count / (1 + k * k))
    first, bend, last = (painting.strokes[whole:, i:i + 2] for i in (0, 2, 4))
    middles = (first / 4 + bend / 2 + last / 4) * k
    cells = {tuple(cell) for cell in middles.floor().clamp(0, k - 1).long().tolist()}
    assert len(cells) >= 0.6 * k * k  # a stroke may be centred beyond its cell
    seen = tuple(k * side for side in painting.provenance["observed"])
    target = resize(picture, seen)
    fell = [mse(painting.render(seen, n)[None], target[None]) for n in (whole, count)]
    assert name == "small" or fell[1] < fell[0]  # that one begins as if the canvas were empty
    assert abs(painting.reward.sum() - ((target**2).mean() - fell[1])) < 1e-4


def test_what_is_searched_is_asked_for_and_kept_in_the_provenance():
    scene = draw("cars", 10_003, (64, 80)).image
    asked = ({}, {"colours": True}, {"joint_steps": 8})
    alone, coloured, joint = (paint_with(cached("dense"), scene, 40, **more) for more in asked)
    assert coloured.error(scene) <= alone.error(scene) and joint.error(scene) < alone.error(scene)
    assert not {"refined", "colours_fitted"} & alone.provenance.keys() and alone.provenance["search"]["steps"] == 0
    assert coloured.provenance["colours_fitted"]["iterations"] > 0 and joint.provenance["refined"]["steps"] == 8
    assert torch.equal(coloured.strokes[:, :-3], alone.strokes[:, :-3])
    assert abs(joint.reward.sum() - ((scene**2).mean() - joint.error(scene))) < 1e-4


def test_several_objects_any_number_of_strokes():
    agent, masks = novice(preset="guided", focus_weight=0.0, observe_focus=False), torch.zeros(2, 50, 80)
    masks[0, 5:30, 5:30], masks[1, 20:45, 50:75] = 1, 1
    painting = paint_with(agent, some_picture(50, 80), 13, masks=masks)
    assert len(painting) == 13 and painting.layer.tolist() == [0, 0, 1, 1, 1] * 2 + [0, 0, 1]
    assert set(painting.instance.tolist()) <= {0, 1} and painting.masks.shape[0] == 2
    target = resize(some_picture(50, 80), (32, 32))
    fell = (target**2).mean() - mse(painting.render((32, 32))[None], target[None])
    assert abs(painting.reward.sum() - fell) < 1e-4


@pytest.mark.parametrize(("wrong", "said"), [
    ({"strokes": 0}, "strokes: expected an integer of 1 or more, got 0"),
    ({"strokes": 2.5}, "strokes: expected an integer"),
    ({"divide": 17}, "divide: expected an integer of 1 to 16, got 17"),
    ({"divide": 4, "strokes": 16}, "divide: expected 17 strokes or more"),
    ({"opacity": "thick"}, "opacity: expected one of free, opaque, oil, ink, got 'thick'"),
    ({"joint_steps": -1}, "joint_steps: expected an integer of 0 or more"),
    ({"side": 0}, "side: expected an integer of 1 or more"),
    ({"masks": torch.ones(1, 32, 32)}, "trained without guidance"),
])
def test_what_cannot_be_is_refused_in_one_sentence(wrong, said):
    with pytest.raises(ValueError, match=said): paint_with(cached("dense"), some_picture(32, 32), **wrong)


def test_what_this_agent_cannot_do_is_refused():
    with pytest.raises(ValueError, match="side: this agent observes squares of 64 pixels only, got 128"):
        paint_with(cached("small"), some_picture(32, 32), side=128)
    with pytest.raises(ValueError, match="divide: expected 1 for a guided agent"):
        paint_with(novice(preset="guided", focus_weight=0.0, observe_focus=False), some_picture(32, 32), divide=2)


@settings(max_examples=15, deadline=None)
@given(st.integers(1, 40), st.integers(0, 10**6), st.sampled_from(["free", "oil"]),
       st.sampled_from(["plain", "masked", "paper"]))
def test_fitted_colours_are_legal_and_never_worse(count, seed, opacity, mode):
    strokes = random_strokes(count, generator=torch.Generator().manual_seed(seed))[0]
    two = {"blend_mode": mode, "masks": some_picture(24, 36, 1)[:2], "layer": torch.arange(count) % 2}
    if mode == "plain": two = {}
    painting, target = Painting(strokes, (24, 36), opacity=opacity, **two), some_picture(24, 36, seed)
    fitted = fit_colours(painting, target)
    check_strokes(fitted.strokes)
    assert torch.equal(fitted.strokes[:, :-3], strokes[:, :-3])
    assert fitted.error(target) <= painting.error(target) + 1e-6


def test_the_command_paints_by_an_agent(tmp_path, capsys):
    Image.fromarray((some_picture(40, 60).permute(1, 2, 0).numpy() * 255).astype(np.uint8)).save(tmp_path / "me.png")
    words = ["paint", str(tmp_path / "me.png"), "-o", str(tmp_path / "me.json"), "-n", "7"]
    assert main([*words, "--agent", "dense", "--opaque", "--joint-steps", "2"]) == 0
    painting = Painting.load(tmp_path / "me.json")
    assert (len(painting), painting.title, painting.opacity) == (7, "me", "opaque")
    assert painting.provenance["refined"]["steps"] == 2
    for more, said in ((["--agent", "dense", "--grey"], "grey: an agent paints as it was trained"),
                       (["--joint-steps", "2"], "joint-steps: expected --agent"),
                       (["--agent", "no/run"], "train first"), (["--agent", "dense", "-n", "0"], "strokes: expected")):
        assert main([*words, *more]) == 2
        assert said in capsys.readouterr().err
