"""The expert: what it learns, classes it has never seen, what is kept on disk, adapters by stand-ins."""
import sys
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from sgpaint.guide import classify as module
from sgpaint.guide.classify import (
    AdaptedExpert,
    Expert,
    accuracy,
    class_logits,
    check_classes,
    confusion_matrix,
    efficientnet,
    cached_expert,
    load_expert,
    new_expert,
    save_expert,
    expert_train_step,
    timm_expert,
    train_expert,
)
from sgpaint.guide.saliency import guided_maps
from sgpaint.guide.segment import new_segmenter, save_segmenter
from sgpaint.lab.checkpoint import CheckpointError
from sgpaint.lab.config import ConfigError
from sgpaint.scene.loading import load


pytestmark = pytest.mark.usefixtures("own_cache")


@pytest.fixture
def patches():
    "Pictures of 32 px with a red, green or blue patch anywhere, and which."
    g = torch.Generator().manual_seed(0)
    images, labels = torch.randint(0, 90, (48, 3, 32, 32), generator=g, dtype=torch.uint8), torch.arange(48) % 3
    for image, k, (y, x) in zip(images, labels, torch.randint(2, 22, (48, 2), generator=g).tolist(), strict=True):
        image[k, y:y + 8, x:x + 8] = 250
    return images, labels


def test_it_learns_what_can_be_told_and_repeats_itself(patches):
    one, two = (train_expert(*patches, 3, updates=30, batch=12, seed=1, device="cpu") for _ in range(2))
    assert accuracy(one, *patches) > 0.9 and not one.training
    assert all(torch.equal(a, b) for a, b in zip(one.state_dict().values(), two.state_dict().values(), strict=True))
    assert one.seen.sum() == 30 * 12 and one.side == 32


@pytest.mark.parametrize("updates", range(1, 12))
def test_any_number_of_updates(patches, updates):
    assert train_expert(*patches, 3, updates=updates, batch=2, device="cpu").seen.sum() == 2 * updates


def test_training_leaves_the_global_random_state_alone(patches):
    state = torch.get_rng_state()
    train_expert(*patches, 3, updates=1, batch=2, device="cpu")
    assert torch.equal(state, torch.get_rng_state())


def test_any_size_and_aspect():
    expert = new_expert(5, device="cpu")
    assert expert(torch.rand(2, 3, 40, 90)).shape == (2, 5)
    assert class_logits(expert, torch.rand(3, 3, 100, 70), batch=2).shape == (3, 5)


def test_a_part_counts_wherever_it_is():
    expert, image = new_expert(4, device="cpu"), torch.full((1, 3, 96, 96), 0.5)
    here, there = image.clone(), image.clone()
    here[..., 40:48, 32:40], there[..., 48:56, 56:64] = 1, 1
    features = [expert.trunk(x - 0.5) - expert.trunk(image - 0.5) for x in (here, there)]
    assert features[0].amax() > 0 and torch.allclose(*(f.amax().view(1) for f in features), rtol=0.1)


def test_guided_backpropagation_reaches_the_picture(patches):
    expert = train_expert(*patches, 3, updates=5, batch=6, device="cpu")
    maps = guided_maps(expert, patches[0][:4].float() / 255, patches[1][:4])
    assert maps.shape == (4, 1, 32, 32) and torch.allclose(maps.amax((1, 2, 3)), torch.ones(4))
    adapted = AdaptedExpert(expert, 48, [0, 1, 2]).eval()
    assert guided_maps(adapted, patches[0][:2].float() / 255, patches[1][:2]).shape == (2, 1, 32, 32)


def test_the_table_of_confusion_by_hand():
    class Bright(nn.Module):
        "Says 2 of bright pictures, else 0."
        def __init__(self):
            super().__init__()
            self.bias = nn.Parameter(torch.zeros(3))

        def forward(self, x):
            bright = (x.mean((1, 2, 3)) > 0.5).float()
            return torch.stack([1 - bright, torch.zeros_like(bright), bright], 1) + self.bias

    images = torch.tensor([0, 255, 255, 0], dtype=torch.uint8).view(4, 1, 1, 1).expand(-1, 3, 8, 8)
    table = confusion_matrix(Bright(), images, torch.tensor([0, 2, 1, 1]))
    assert table.tolist() == [[1, 0, 0], [1, 0, 1], [0, 0, 1]]
    assert accuracy(Bright(), images, torch.tensor([0, 2, 1, 1])) == 0.5


def test_a_class_it_has_never_seen_is_refused_by_name(patches):
    images, labels = patches
    rows = labels != 1
    expert = train_expert(images[rows], labels[rows], 3, updates=4, batch=6, device="cpu")
    check_classes(expert, torch.tensor([0, 2]))
    with pytest.raises(ValueError, match=r"never seen class 1: .*it knows \[0, 2\]"): check_classes(expert, labels)
    with pytest.raises(ValueError, match="0 .. 2, got 0 to 7"): check_classes(expert, torch.tensor([0, 7]))


@pytest.mark.parametrize("labels, said", [
    (torch.full((48,), -1), "-1 is a picture of no known class"),
    (torch.full((48,), 3), "got 3 to 3"),
    (torch.zeros(48), "integers"),
    (torch.zeros(47, dtype=torch.int64), "a label for each"),
])
def test_labels_that_cannot_be(patches, labels, said):
    with pytest.raises(ValueError, match=said): train_expert(patches[0], labels, 3, updates=1, device="cpu")


def test_pictures_that_cannot_be(patches):
    with pytest.raises(ValueError, match="of bytes"): train_expert(patches[0].float(), patches[1], 3, device="cpu")
    with pytest.raises(ValueError, match="1 or more"): train_expert(*patches, 3, updates=0, device="cpu")
    expert = new_expert(3, device="cpu")
    with pytest.raises(ValueError, match="divide bytes by 255"): class_logits(expert, patches[0].float())
    with pytest.raises(ValueError, match="one picture or more"): class_logits(expert, patches[0][:0])


def test_one_step_beside_an_agent(patches):
    expert = new_expert(3, device="cpu")
    optimizer = torch.optim.AdamW(expert.parameters(), 3e-3)
    images, labels = patches[0][:16].float() / 255, patches[1][:16]
    seen = [expert_train_step(expert, optimizer, images, labels)["loss"] for _ in range(12)]
    assert seen[-1] < 0.9 * seen[0] and not expert.training and expert.seen.tolist() == [72, 60, 60]
    assert all(p.grad is not None for p in expert.parameters())


def test_one_expert_for_one_content(capsys):
    scenes = load("birds", "train", 32, count=12, source="builtin")
    first = cached_expert(scenes, updates=2, batch=4, device="cpu")
    second = cached_expert(scenes, updates=2, batch=4, device="cpu")
    cached_expert(scenes, updates=2, batch=4, seed=1, device="cpu")
    said = [line for line in capsys.readouterr().out.splitlines() if line.startswith("expert")]
    assert ["trained" in line for line in said] == [True, False, True] and "built-in birds" in said[0]
    weights = zip(first.state_dict().values(), second.state_dict().values(), strict=True)
    assert all(torch.equal(a, b) for a, b in weights)


def test_a_set_without_classes_has_no_expert(tmp_path):
    from PIL import Image

    for i in range(4): Image.new("RGB", (20, 20), (60 * i, 0, 0)).save(tmp_path / f"{i}.png")
    with pytest.raises(ValueError, match="names no classes"): cached_expert(load("folder", size=16, root=str(tmp_path)))


def test_save_and_load(tmp_path, patches):
    expert = train_expert(*patches, 3, updates=2, batch=4, device="cpu")
    save_expert(expert, tmp_path / "net")
    again = load_expert(tmp_path / "net", "cpu")
    assert torch.equal(class_logits(again, patches[0]), class_logits(expert, patches[0]))
    assert torch.equal(again.seen, expert.seen)
    save_segmenter(new_segmenter(device="cpu"), tmp_path / "other")
    with pytest.raises(CheckpointError, match="no expert"): load_expert(tmp_path / "other")


class Tuple(nn.Module):
    "Answers as NTS-Net does on torch.hub: seven things, the logits at place 3."
    def __init__(self, size=24):
        super().__init__()
        self.linear, self.size = nn.Linear(3, 6), size

    def forward(self, x):
        assert x.shape[-2:] == (self.size, self.size)
        out = self.linear(x.mean((2, 3)))
        return 0, 1, out * 0, out, out * 0, 5, 6


def test_an_adapter_normalises_resizes_renumbers_and_picks():
    net, images = Tuple(), torch.rand(4, 3, 24, 24)
    expert = AdaptedExpert(net, 24, [5, None, 0], mean=(0.5, 0.4, 0.3), std=(0.1, 0.2, 0.3), output=3).eval()
    mean, std = torch.tensor([0.5, 0.4, 0.3]), torch.tensor([0.1, 0.2, 0.3])
    by_hand = net.linear((images.mean((2, 3)) - mean) / std)
    assert torch.allclose(expert(images)[:, [0, 2]], by_hand[:, [5, 0]], atol=1e-5)
    assert expert(torch.rand(2, 3, 60, 60)).argmax(1).ne(1).all()
    with pytest.raises(ValueError, match="never seen class 1"): check_classes(expert, torch.tensor([1]))


@pytest.mark.parametrize("classes, output", [([0, 6], 3), ([0], None), ([0], 0)])
def test_an_adapter_that_finds_no_logits_says_so(classes, output):
    with pytest.raises(ValueError, match="`output` says where"):
        AdaptedExpert(Tuple(8), 8, classes, output=output)(torch.rand(1, 3, 8, 8))


def test_an_adapter_needs_a_class():
    with pytest.raises(ValueError, match="class_map"): AdaptedExpert(Tuple(), 24, [None, None])


class Net(nn.Module):
    "In the place of an EfficientNet."
    def __init__(self, count=1000):
        super().__init__()
        self.act, self.num_classes = nn.SiLU(), count
        self.classifier = nn.Sequential(nn.Dropout(0.2), nn.Linear(3, count))

    def forward(self, x): return self.classifier(self.act(x).mean((2, 3)))


@pytest.fixture
def stand_ins(monkeypatch):
    how = SimpleNamespace(mean=[0.5] * 3, std=[0.2] * 3, crop_size=[40], resize_size=[44])
    weights = SimpleNamespace(meta={"categories": [str(k) for k in range(1000)]}, transforms=lambda: how)
    vision = SimpleNamespace(
        list_models=lambda module=None: ["efficientnet_b0", "efficientnet_b7"], get_model=lambda name, weights: Net(),
        get_model_weights=lambda name: SimpleNamespace(DEFAULT=weights))
    wants = {"input_size": (3, 36, 36), "mean": (0.4,) * 3, "std": (0.3,) * 3}
    data = SimpleNamespace(resolve_model_data_config=lambda net: wants)
    timm = SimpleNamespace(list_models=lambda: ["efficientnet_b0"], data=data,
                           create_model=lambda name, pretrained, num_classes=1000: Net(num_classes))
    monkeypatch.setitem(sys.modules, "torchvision", SimpleNamespace(models=vision))
    monkeypatch.setitem(sys.modules, "torchvision.models", vision)
    monkeypatch.setitem(sys.modules, "timm", timm)


@pytest.mark.parametrize("make, side", [(efficientnet, 40), (timm_expert, 36)])
def test_a_pretrained_expert_by_a_stand_in(stand_ins, make, side):
    whole, new = make(device="cpu"), make(classes=5, device="cpu")
    images = torch.rand(3, 3, 20, 20)
    assert whole.side == side and whole(images).shape == (3, 1000) and not whole.training
    check_classes(whole, torch.tensor([999]))
    with pytest.raises(ValueError, match="never seen class 4"): check_classes(new, torch.tensor([4]))
    expert_train_step(new, torch.optim.SGD(new.parameters(), 0.1), images, torch.tensor([4, 4, 1]))
    check_classes(new, torch.tensor([4, 1]))
    assert new(images).shape == (3, 5)
    with pytest.raises(ConfigError, match="efficientnet_b0"): make("eficientnet_b0")


def test_a_smooth_activation_is_refused_by_the_maps_unless_extended(stand_ins):
    expert, images, classes = efficientnet(classes=3, device="cpu"), torch.rand(2, 3, 16, 16), torch.tensor([0, 2])
    expert.seen += 1  # as if taught: of a class it has never seen no map is made
    with pytest.raises(ValueError, match="SiLU"): guided_maps(expert, images, classes)
    assert guided_maps(expert, images, classes, swish="extension").shape == (2, 1, 16, 16)


@pytest.mark.parametrize("make", [efficientnet, timm_expert])
def test_without_the_extra_it_says_what_to_install(monkeypatch, make):
    def refuse(name): raise RuntimeError("operator torchvision::nms does not exist")
    monkeypatch.setattr(sys.modules["sgpaint.guide.segment"].importlib, "import_module", refuse)
    with pytest.raises(ConfigError, match="nms does not exist.*pip install.*pretrained"): make()


def test_the_expert_is_made_of_relu_modules():
    kinds = {type(m) for m in Expert(3).modules() if not list(m.children())}
    assert kinds == {nn.Conv2d, nn.GroupNorm, nn.ReLU, nn.Linear} and module.SIDE == 64
