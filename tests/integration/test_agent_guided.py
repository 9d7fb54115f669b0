"""Guided agents: guidance goes through training, checkpoints, buffers and painting; what is missing is named."""
import pytest
import torch

from sgpaint.agent.trained import load_agent, paint_many, paint_with, paintable, guidance_for_scenes
from sgpaint.agent.training import Session, load_scenes, train
from sgpaint.agent.config import configure, reward_terms, reward_weights
from sgpaint.guide.guidance import GuidanceSet, InstanceGuidance, load_guidance, make_guidance, add_focus
from sgpaint.lab.config import ConfigError
from sgpaint.lab.run import read_metrics
from sgpaint.scene.picture import DataError
from sgpaint.scene.loading import load
from sgpaint.scene.procedural import draw

SMALL = dict(preset="guided", smoke=True, device="cpu")
EVERY = {
    "guided": dict(),
    "as printed": dict(blend_mode="paper", aligned=False, background_only=True, focus_form="eq14"),
    "expert together": dict(train_expert=True),
    "two discriminators": dict(rewards="wgan"),
    "a buffer": dict(buffer_episodes=130),
    "a buffer, and focus alone": dict(buffer_episodes=130, blend_mode="plain", observe_mask=False, observe_focus=False,
                                      foreground_weight=0.0),
    "a segmenter": dict(masks="segmenter"),
    "focus alone": dict(blend_mode="plain", observe_mask=False, foreground_weight=0.0, aligned=False,
                        focus_weight=10.0),
    "rewards by name": dict(focus_weight=0.0, foreground_weight=0.0, rewards={"l2": 1, "focus": [[0, 0], [2, 1]]}),
    "streets": dict(dataset="streets", source="builtin"),
}


@pytest.fixture(autouse=True)
def quick(monkeypatch, own_cache):
    monkeypatch.setattr("sgpaint.agent.provider.cached_expert", lambda scenes, updates=2: few_updates(scenes))
    monkeypatch.setattr("sgpaint.agent.provider.cached_segmenter", lambda scenes: few_steps(scenes))


def few_updates(scenes):
    from sgpaint.guide.classify import cached_expert
    return cached_expert(scenes, updates=2)


def few_steps(scenes):
    "A segmenter that finds something everywhere, of the size of these pictures."
    from sgpaint.guide.segment import cached_segmenter
    return cached_segmenter(scenes, updates=2)


def rows(folder):
    "What a run logged, but for the time it took."
    return [{name: value for name, value in row.items() if name != "cpu_seconds"} for row in read_metrics(folder)]


@pytest.mark.parametrize("name", EVERY)
def test_a_guided_run_learns_goes_on_and_paints(name, tmp_path):
    config = configure(**SMALL | EVERY[name], out_dir=str(tmp_path / "run"))
    folder = train(config).folder
    first = rows(folder)
    tensors = folder / "checkpoints" / "update-0000003" / "state.safetensors"
    tensors.write_bytes(tensors.read_bytes()[:1000])
    train(config)                                              # goes on from update 2
    assert rows(folder) == first and first[-1]["foreground_error"] > 0
    agent, scenes = load_agent(folder), load_scenes(config)[1]
    places = paintable(agent, scenes)[:2]
    targets = scenes.images()[places].float() / 255
    canvases = paint_many(agent, targets, guidance_for_scenes(agent, scenes, places))
    assert canvases.shape == targets.shape and canvases.isfinite().all()


def test_a_painting_of_a_street_says_which_car_each_stroke_was_for(tmp_path):
    folder = train(configure(**SMALL | EVERY["streets"], out_dir=str(tmp_path / "run"))).folder
    scene = draw("streets", 5, (32, 32))
    seen = scene.instances[scene.instances.sum((1, 2)) > 20]
    painting = paint_with(load_agent(folder), scene.image, masks=seen)
    assert painting.masks.shape[0] == len(seen) and painting.instance.max() < len(seen)
    assert painting.layer[:5].tolist() == [0, 0, 1, 1, 1]
    again = type(painting).from_json(painting.to_json())
    assert torch.equal(again.render((40, 40)), painting.render((40, 40)))


def test_training_draws_instances_by_area_and_painting_takes_the_worst():
    masks = torch.zeros(1, 3, 8, 8)
    masks[0, 0, :4], masks[0, 1, 4:6], masks[0, 2, 6] = 1, 1, 1
    several = InstanceGuidance(masks, torch.zeros(1, 3, 4), torch.zeros(1, 1, 8, 8))
    generator = torch.Generator().manual_seed(0)
    drawn = torch.stack([several.sample(generator).mask.sum() for _ in range(2000)])
    shares = torch.stack([(drawn == n).float().mean() for n in (32, 16, 8)])
    assert torch.allclose(shares, torch.tensor([32, 16, 8]) / 56, atol=0.04)
    target = torch.zeros(1, 3, 8, 8)
    canvas = target.clone()
    canvas[..., 6, :] = 0.9
    canvas[..., :4, :] = 0.1
    assert several.worst_instance(canvas, target) == 2 and several.worst_instance(canvas * 0 + 0.5, target) == 0


def test_two_levels_begin_on_one(tmp_path):
    config = configure(**SMALL | dict(updates=10), single_level_fraction=0.4, out_dir=str(tmp_path))
    session = Session(config)
    kinds = [session.env_at(update).blend_mode for update in range(config.learning.updates)]
    assert kinds == ["plain", "plain", "masked"]               # 3 updates in a rehearsal, 0.4 of them rounded up
    session.prepare()
    assert session.collector.env.blend_mode == "plain" == session.algorithm.env.blend_mode


def test_every_weight_has_its_term():
    for name, choices in EVERY.items():
        config = configure(**SMALL | choices | dict(masks="truth"))
        session = Session(config)
        found = reward_terms(config, session.algorithm.networks)
        for update in (0, 1, 100):
            assert set(reward_weights(config, update)) <= set(found), name


@pytest.mark.parametrize("wrong, said", [
    (dict(foreground_strokes=6), "at most bundle"), (dict(algorithm="patchq"), "patchq"),
    (dict(foreground_weight=-1.0), "foreground_weight: expected 0"),
    (dict(focus_weight=0.0, observe_focus=False, train_expert=True), "no focus map is needed"),
    (dict(single_level_fraction=2.0), "single_level_fraction"), (dict(blend_mode="both"), "blend_mode"),
    (dict(masks="drawn"), "masks"), (dict(rewards={"l2": 1, "focus": 1}), "focus_weight: expected 0")])
def test_what_cannot_be_is_refused(wrong, said):
    with pytest.raises(ConfigError, match=said):
        configure("guided", **wrong)


def test_guides_that_do_not_fit_are_refused():
    disc = torch.zeros(1, 1, 16, 16)
    with pytest.raises(ValueError, match="without a pixel"):
        make_guidance(disc, (16, 16))
    disc[..., 4:9, 4:9] = 1
    with pytest.raises(ValueError, match="the pictures' size"):
        make_guidance(disc, (16, 20))
    with pytest.raises(ValueError, match="focus: expected values in"):
        make_guidance(disc, (16, 16), focus=disc * 2)


def test_a_set_without_masks_is_refused_by_name(tmp_path):
    from PIL import Image
    for i in range(12):
        Image.new("RGB", (40, 40), (20 * i, 90, 200)).save(tmp_path / f"{i}.png")
    with pytest.raises(DataError, match="has no mask"):
        train(configure(**SMALL, dataset="folder", data_root=str(tmp_path), focus_weight=0.0, observe_focus=False,
                        out_dir=str(tmp_path / "run")))
    assert not (tmp_path / "run").exists()


def test_pictures_without_an_object_are_left_out():
    birds = load("birds", count=4, size=32, source="builtin")
    known = load_guidance(birds)
    known = GuidanceSet(known.masks.clone(), known.boxes, known.parts)
    known.masks[1] = 0
    assert known.object_indices().tolist() == [0, 2, 3]
    maps = add_focus(known, few_updates(birds), birds.images(), torch.full((4,), -1))
    assert maps.focus.shape == (4, 1, 32, 32) and maps.focus.float().amax() > 0
