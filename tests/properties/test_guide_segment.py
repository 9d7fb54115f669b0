"""The segmenter: its form at any size, its losses, what is kept on disk, adapters by stand-ins, and what it refuses."""
import sys
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from sgpaint.guide import segment as module
from sgpaint.guide.segment import (
    AdaptedSegmenter,
    Segmenter,
    box_iou,
    with_predicted_mask,
    evaluate_segmenter,
    load_segmenter,
    segmentation_losses,
    cached_predictions,
    true_masks,
    new_segmenter,
    pretrained_segmenter,
    save_segmenter,
    segment_images,
    cached_segmenter,
    train_segmenter,
    augment,
)
from sgpaint.lab.checkpoint import CheckpointError, save
from sgpaint.lab.config import ConfigError
from sgpaint.scene.loading import load
from sgpaint.scene.procedural import draw
from sgpaint.scene.record import Scene, check_scene, tight_box


pytestmark = pytest.mark.usefixtures("own_cache")


class Few:
    "Scenes in memory."
    title = "a few scenes"

    def __init__(self, *scenes: Scene):
        self.scenes, self.size = scenes, scenes[0].image.shape[-1]

    def __len__(self): return len(self.scenes)
    def __getitem__(self, i): return self.scenes[i]
    def images(self): return torch.stack([(s.image * 255).round().byte() for s in self.scenes])


def birds(count=6, size=32):
    return Few(*(draw("birds", seed, (size, size)) for seed in range(count)))


@settings(max_examples=8)
@given(st.integers(1, 3), st.integers(9, 70), st.integers(9, 70))
def test_any_size_gives_masks_of_that_size_and_boxes_inside(batch, height, width):
    net = new_segmenter(1, device="cpu")
    logits, boxes = net(torch.rand(batch, 3, height, width))
    assert logits.shape == (batch, 1, height, width) and boxes.shape == (batch, 4)
    assert (boxes >= 0).all() and (boxes[:, :2] + boxes[:, 2:] <= 1 + 1e-6).all() and (boxes[:, 2:] > 0).all()


def test_a_box_is_never_of_zero_area_however_sure_the_votes_are():
    net = new_segmenter(device="cpu")
    with torch.no_grad(): net.box.votes[-1].bias.fill_(-1000)
    assert (net(torch.rand(2, 3, 64, 64))[1][:, 2:] > 0).all()


def test_a_side_voted_out_of_the_frame_can_come_back():
    net = new_segmenter(device="cpu")
    with torch.no_grad(): net.box.votes[-1].bias.fill_(5)           # every side far outside
    boxes = net(torch.rand(1, 3, 64, 64))[1]
    assert torch.allclose(boxes, torch.tensor([[0.0, 0.0, 1.0, 1.0]]))
    (boxes - torch.tensor([[0.2, 0.2, 0.4, 0.4]])).square().sum().backward()
    assert net.box.votes[-1].bias.grad[1:].abs().min() > 0.1


def test_segment_gives_back_the_size_asked_and_leaves_the_network_as_it_was():
    net = new_segmenter(device="cpu").train()
    images = torch.rand(5, 3, 96, 128)
    soft, boxes = segment_images(net, images, batch=2)
    assert soft.shape == (5, 1, 96, 128) and 0 <= soft.min() and soft.max() <= 1 and net.training
    assert torch.allclose(soft, segment_images(net, images)[0], atol=1e-5) and boxes.shape == (5, 4)


@pytest.mark.parametrize("images, said", [
    (torch.zeros(3, 8, 8), "picture\\[None\\]"),
    (torch.zeros(1, 1, 8, 8), "expected pictures"),
    (torch.zeros(1, 3, 8, 8, dtype=torch.uint8), "divide by 255"),
    (torch.full((1, 3, 8, 8), 200.0), "divide bytes by 255"),
    (torch.full((1, 3, 8, 8), torch.nan), "NaN"),
])
def test_what_is_no_picture_is_refused(images, said):
    with pytest.raises(ValueError, match=said): segment_images(Segmenter(), images)


def test_an_empty_batch_of_a_painter_is_said_to_be_empty():
    with pytest.raises(ValueError, match="one picture or more"): segment_images(Segmenter(), torch.zeros(0, 3, 8, 8))


def test_a_picture_without_object_counts_for_its_mask_only():
    masks, boxes = torch.zeros(2, 1, 8, 8), torch.tensor([[0.1, 0.1, 0.5, 0.5], [0.0, 0.0, 1.0, 1.0]])
    masks[0, :, 2:5, 2:5] = 1
    far = boxes + torch.tensor([[0.0], [0.4]])
    of_mask, of_box = segmentation_losses(torch.zeros(2, 1, 8, 8), far, masks, boxes)
    assert torch.isclose(of_mask, torch.tensor(2.0).log()) and of_box == 0
    assert segmentation_losses(torch.zeros(1, 1, 8, 8), far[1:], masks[1:], boxes[1:])[1] == 0


def test_variation_keeps_mask_and_box_together():
    scenes = birds(8)
    masks, boxes = true_masks(scenes)
    images, m, b = augment(scenes.images().float() / 255, masks.float() / 255, boxes, torch.Generator().manual_seed(3))
    assert torch.allclose(tight_box(m), b, atol=1e-6)
    assert torch.equal(images.sum((1, 2, 3)).argsort(), scenes.images().float().sum((1, 2, 3)).argsort())


def test_training_learns_and_repeats_itself():
    scenes = birds(12)
    nets = [train_segmenter(scenes, updates=15, batch=4, seed=2, device="cpu") for _ in range(2)]
    assert all(torch.equal(a, b) for a, b in zip(*(n.state_dict().values() for n in nets), strict=True))
    before = evaluate_segmenter(new_segmenter(2, 32, "cpu"), scenes)
    assert evaluate_segmenter(nets[0], scenes)["iou"] > before["iou"] + 0.05


def test_training_leaves_the_global_random_state_alone():
    state = torch.get_rng_state()
    train_segmenter(birds(4), updates=1, batch=2, device="cpu")
    assert torch.equal(state, torch.get_rng_state())


@pytest.mark.parametrize("updates, batch", [(0, 4), (-3, 4), (4, 0)])
def test_no_updates_is_no_training(updates, batch):
    with pytest.raises(ValueError, match="1 or more"): train_segmenter(birds(4), updates, batch)


def test_true_masks_are_gathered_once_and_again_when_the_content_changes(capsys):
    scenes = birds(4)
    masks, boxes = true_masks(scenes)
    assert torch.equal(masks[2].float() / 255, scenes[2].mask) and torch.allclose(boxes[2], scenes[2].boxes[0])
    scenes.__class__ = type("Counted", (Few,), {"asked": 0, "__getitem__": counted})
    again, _ = true_masks(scenes)
    assert torch.equal(again, masks) and scenes.asked <= 8          # eight for the key, none to fill
    other = Few(*(replace(s, mask=s.mask.flip(-1)) for s in scenes.scenes))
    assert torch.equal(true_masks(other)[0], masks.flip(-1))


def counted(self, i):
    self.asked += 1
    return self.scenes[i]


def test_a_mapped_mask_can_be_written_without_changing_the_file():
    scenes = birds(3)
    true_masks(scenes)[0].zero_()
    assert true_masks(scenes)[0].any()


def test_a_scene_set_is_read_too():
    scenes = load("birds", "test", 32, count=5, source="builtin")
    assert torch.equal(true_masks(scenes)[0][4].float() / 255, scenes[4].mask)


def test_no_mask_and_a_mask_of_another_size_are_refused_by_name():
    bare, wide = replace(draw("birds", 0, (32, 32)), mask=None), draw("birds", 1, (32, 32))
    with pytest.raises(ValueError, match="birds-0 of a few scenes has no mask"): true_masks(Few(bare))
    with pytest.raises(ValueError, match=r"mask of the picture's size \(1, 32, 32\), got \(1, 16, 16\)"):
        true_masks(Few(replace(wide, mask=wide.mask[:, ::2, ::2])))


def test_an_empty_mask_has_the_whole_frame_for_its_box():
    scenes = Few(*(replace(draw("birds", k, (32, 32)), mask=torch.zeros(1, 32, 32)) for k in range(2)))
    assert torch.equal(true_masks(scenes)[1], torch.tensor([[0.0, 0.0, 1.0, 1.0]] * 2))
    with pytest.raises(ValueError, match="every mask is empty"): evaluate_segmenter(Segmenter(), scenes)


def test_figures_leave_pictures_without_object_out():
    full, empty = draw("birds", 0, (32, 32)), replace(draw("birds", 1, (32, 32)), mask=torch.zeros(1, 32, 32))
    net = new_segmenter(device="cpu")
    assert evaluate_segmenter(net, Few(full, empty)) == pytest.approx(evaluate_segmenter(net, Few(full)), abs=1e-5)


def test_a_segmenter_is_trained_once_for_its_content(capsys):
    scenes = birds(4)
    first = cached_segmenter(scenes, updates=2, batch=2, device="cpu")
    second = cached_segmenter(scenes, updates=2, batch=2, device="cpu")
    cached_segmenter(scenes, updates=3, batch=2, device="cpu")
    said = [line for line in capsys.readouterr().out.splitlines() if line.startswith("segmenter")]
    assert ["trained" in line for line in said] == [True, False, True]
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), second.parameters(), strict=True))


def test_save_and_load(tmp_path):
    net, images = new_segmenter(3, side=32, device="cpu"), torch.rand(2, 3, 32, 32)
    save_segmenter(net, tmp_path / "net")
    again = load_segmenter(tmp_path / "net", "cpu")
    assert torch.equal(segment_images(again, images)[0], segment_images(net, images)[0])
    save(tmp_path / "other", {"weights": torch.zeros(3)})
    with pytest.raises(CheckpointError, match="no segmenter"): load_segmenter(tmp_path / "other")
    (tmp_path / "net" / "state.json").write_text("{")
    with pytest.raises(CheckpointError, match="corrupt"): load_segmenter(tmp_path / "net")


def test_masks_found_are_kept_by_pictures_and_network():
    scenes, net = birds(5), new_segmenter(device="cpu")
    masks, boxes = cached_predictions(net, scenes, batch=2)
    soft, found = segment_images(net, scenes.images().float() / 255)
    assert (masks / 255 - soft).abs().max() < 0.5 / 255 + 1e-4 and torch.allclose(boxes, found, atol=1e-5)
    with torch.no_grad(): net.mask[0].bias += 3
    assert cached_predictions(net, scenes)[0].float().mean() > masks.float().mean()


def test_a_scene_is_filled():
    scene = replace(draw("birds", 0, (32, 32)), mask=None, instances=None, boxes=None)
    mask = torch.zeros(1, 32, 32)
    mask[:, 4:9, 3:20] = 0.8
    done = check_scene(with_predicted_mask(scene, mask, torch.tensor([0.1, 0.1, 0.5, 0.2])))
    assert done.mask.sum() == 5 * 17 and "predicted by a segmenter" in done.source
    with pytest.raises(ValueError, match="picture's size"): with_predicted_mask(scene, mask[:, ::2], torch.zeros(4))


def test_box_iou_by_hand():
    a = torch.tensor([[0.0, 0.0, 0.5, 0.5], [0.0, 0.0, 0.2, 0.2]])
    b = torch.tensor([[0.25, 0.0, 0.5, 0.5], [0.5, 0.5, 0.2, 0.2]])
    assert torch.allclose(box_iou(a, b), torch.tensor([1 / 3, 0.0])) and torch.allclose(box_iou(a, a), torch.ones(2))


class Painted(nn.Module):
    "In the place of a DeepLab: logits of four classes, at half the size."
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 2, 2)

    def forward(self, x): return {"out": self.conv(x), "aux": None}


def torchvision(monkeypatch, get_model):
    how = SimpleNamespace(mean=[0.5, 0.4, 0.3], std=[0.2, 0.2, 0.2], resize_size=[48])
    weights = SimpleNamespace(meta={"categories": ["__background__", "bird", "bus", "car"]}, transforms=lambda: how)
    models = SimpleNamespace(
        segmentation="segmentation", list_models=lambda module=None: ["deeplabv3_resnet50", "deeplabv3_resnet101"],
        get_model_weights=lambda name: SimpleNamespace(DEFAULT=weights), get_model=get_model)
    monkeypatch.setitem(sys.modules, "torchvision", SimpleNamespace(models=models))
    monkeypatch.setitem(sys.modules, "torchvision.models", models)


def test_a_pretrained_segmenter_by_a_stand_in(monkeypatch):
    torchvision(monkeypatch, lambda name, weights: Painted())
    net = pretrained_segmenter(["car", "bus"], device="cpu")
    images = torch.rand(3, 3, 40, 60)
    soft, boxes = segment_images(net, images)
    assert net.chosen == [2, 3] and net.side == 48 and soft.shape == (3, 1, 40, 60) and boxes.shape == (3, 4)
    assert net.mean.flatten().tolist() == pytest.approx([0.5, 0.4, 0.3]) and not net.training
    assert cached_predictions(net, birds(2))[0].shape == (2, 1, 32, 32)


def test_an_unknown_name_or_class_is_refused_with_the_nearest(monkeypatch):
    torchvision(monkeypatch, lambda name, weights: Painted())
    with pytest.raises(ConfigError, match="deeplabv3_resnet101"): pretrained_segmenter(["car"], "deeplab3_resnet101")
    with pytest.raises(ConfigError, match="did you mean 'car'"): pretrained_segmenter(["cars"])


def test_weights_that_cannot_be_fetched_say_so(monkeypatch):
    def refuse(name, weights): raise OSError("no route to host")
    torchvision(monkeypatch, refuse)
    with pytest.raises(ValueError, match="no route to host.*network"): pretrained_segmenter(["car"])


@pytest.mark.parametrize("error", [ImportError("No module named 'torchvision'"),
                                   RuntimeError("operator torchvision::nms does not exist")])
def test_without_the_extra_it_says_what_to_install(monkeypatch, error):
    def refuse(name): raise error
    monkeypatch.setattr(module.importlib, "import_module", refuse)
    with pytest.raises(ConfigError, match="torchvision.*pip install.*pretrained"): pretrained_segmenter(["bird"])


@pytest.mark.parametrize("chosen", [[], [4], [-1], [0, 1, 2, 3]])
def test_an_adapter_needs_some_classes_and_some_others(chosen):
    with pytest.raises(ValueError, match="expected logits"): AdaptedSegmenter(Painted(), chosen)(torch.rand(1, 3, 8, 8))
