"""Real samples, where SGPAINT_DATA names them; skipped, saying so, where it does not."""
import os
from dataclasses import replace

import pytest
import torch

from sgpaint.scene.datasets import find
from sgpaint.scene.entries import SPLITS, DataError
from sgpaint.scene.loading import load, read_scene
from sgpaint.scene.record import check_scene

pytestmark = pytest.mark.skipif(not os.environ.get("SGPAINT_DATA"), reason="SGPAINT_DATA is not set: no real samples")


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("SGPAINT_CACHE", str(tmp_path))


def real(dataset, *arguments, **more):
    try:
        return load(dataset, *arguments, source="real", **more)
    except DataError as error:
        pytest.skip(str(error).splitlines()[0])


@pytest.mark.parametrize("split", SPLITS)
@pytest.mark.parametrize("dataset", ["mnist", "photos", "masks", "tiny-imagenet"])
def test_scenes_of_real_files(dataset, split):
    scenes = real(dataset, split, 48, count=40, workers=2)
    assert scenes.kind == "real" and scenes.images().shape == (40, 3, 48, 48)
    for i in range(0, 40, 5):
        scene = check_scene(scenes[i])
        assert torch.equal((scene.image * 255).round().byte(), scenes.images()[i])
        assert scene.labels is None or scene.labels[0] == scenes.labels[i]


@pytest.mark.parametrize("dataset", ["mnist", "photos", "masks", "tiny-imagenet"])
def test_splits_share_no_picture(dataset):
    train, test = ({e.name for e in real(dataset, split).entries} for split in SPLITS)
    assert train and test and not train & test


def test_mnist_is_whole():
    train, test = (real("mnist", split) for split in SPLITS)
    assert (len(train), len(test)) == (60_000, 10_000)
    assert torch.bincount(torch.tensor([e.label for e in train.entries])).min() > 5_000


def test_masks_lie_where_their_boxes_say():
    scenes = real("masks", "train", 96, count=60)
    for i, entry in enumerate(scenes.entries):
        scene = check_scene(scenes[i])
        boxed = check_scene(read_scene(replace(entry, mask=None), scenes.class_names, 96))
        if boxed.facts["box_inside"] == 1:
            assert (scene.boxes - boxed.boxes).abs().max() < 3 / 96, entry.name


def test_auto_finds_the_real_set_and_says_so():
    real("mnist")
    found = find("mnist")
    assert found.kind == "real" and os.environ["SGPAINT_DATA"] in found.title
