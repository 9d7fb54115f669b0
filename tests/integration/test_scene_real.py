"""Real samples, where SGPAINT_DATA names them; skipped, saying so, where it does not."""
import gzip
import os
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from PIL import Image

from sgpaint.scene.annotated import list_cars, list_cub
from sgpaint.scene.datasets import find
from sgpaint.scene.readers import SPLITS
from sgpaint.scene.picture import DataError
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
@pytest.mark.parametrize("dataset", ["mnist", "photos", "masks", "tiny-imagenet", "birds", "birds-cropped", "cars"])
def test_scenes_of_real_files(dataset, split):
    scenes = real(dataset, split, 48, count=40, workers=2)
    assert scenes.kind == "real" and scenes.images().shape == (40, 3, 48, 48)
    for i in range(0, 40, 5):
        scene = check_scene(scenes[i])
        assert torch.equal((scene.image * 255).round().byte(), scenes.images()[i])
        assert scene.labels is None or scene.labels[0] == scenes.labels[i]


@pytest.mark.parametrize("dataset", ["mnist", "photos", "masks", "tiny-imagenet", "birds", "cars"])
def test_splits_share_no_picture(dataset):
    train, test = ({e.name for e in real(dataset, split).samples} for split in SPLITS)
    assert train and test and not train & test


def test_mnist_is_whole():
    train, test = (real("mnist", split) for split in SPLITS)
    assert (len(train), len(test)) == (60_000, 10_000)
    assert torch.bincount(torch.tensor([e.label for e in train.samples])).min() > 5_000


def test_masks_lie_where_their_boxes_say():
    scenes = real("masks", "train", 96, count=60)
    for i, sample in enumerate(scenes.samples):
        scene = check_scene(scenes[i])
        boxed = check_scene(read_scene(replace(sample, mask=None), scenes.class_names, 96))
        if boxed.metadata["box_inside"] == 1:
            assert (scene.boxes - boxed.boxes).abs().max() < 3 / 96, sample.name


def test_auto_finds_the_real_set_and_says_so():
    real("mnist")
    found = find("mnist")
    assert found.kind == "real" and os.environ["SGPAINT_DATA"] in found.title


def test_birds_of_every_quirk():
    "Grey pictures, one of 121 x 170, boxes that leave their picture: such scenes are whole."
    quirks = {"grey": 0, "small": 0, "outside": 0}
    for split in SPLITS:
        scenes = real("birds", split, 32)
        for i, sample in enumerate(scenes.samples):
            with Image.open(sample.image) as picture: (width, height), mode = picture.size, picture.mode
            x, y, w, h = sample.box
            odd = {"grey": mode == "L", "small": min(width, height) < 150, "outside": x + w > width or y + h > height}
            if not any(odd.values()): continue
            for name in odd: quirks[name] += odd[name]
            scene = check_scene(scenes[i])
            assert 0 < scene.boxes[0, 2:].min() and 0 < scene.metadata["box_inside"] <= 1
            assert not odd["grey"] or (scene.image[0] - scene.image[2]).abs().max() == 0
    assert min(quirks.values()) > 0, quirks


def test_boxes_of_cars_hold_the_sharp_part_of_the_picture():
    "Boxes count from one in the file: every car lies in its picture, most of them in its middle."
    scenes = real("cars", "train", 32, count=60)
    shares = [check_scene(scenes[i]).metadata["box_inside"] for i in range(60)]
    assert min(shares) > 0.3 and sum(shares) / 60 > 0.75 and scenes[0].mask is None
    for sample in scenes.samples: assert min(sample.box) >= 0


@pytest.mark.parametrize("folder, version", [("vkitti2_layout_standin", "2"), ("vkitti_1.3.1_layout_standin", "1.3.1")])
def test_frames_in_the_layouts_of_virtual_kitti(folder, version):
    root = Path(os.environ["SGPAINT_DATA"]) / folder
    if not root.is_dir(): pytest.skip(f"no {folder} here")
    for split in SPLITS:
        scenes = load("streets", split, 64, root=str(root))
        assert f"Virtual KITTI {version}" in scenes.title and (scenes.labels == 0).all()
        for i in range(len(scenes)):
            scene = check_scene(scenes[i])
            assert len(scene.instances) == len(scene.boxes) == len(scene.labels) > 0
            assert torch.equal((scene.image * 255).round().byte(), scenes.images()[i])


def test_instances_of_virtual_kitti_have_the_pixels_that_its_table_counts():
    root = Path(os.environ["SGPAINT_DATA"]) / "vkitti2_layout_standin"
    if not root.is_dir(): pytest.skip("no vkitti2_layout_standin here")
    scenes = load("streets", "train", 64, root=str(root))
    rows = [line.split() for line in (root / "Scene01/clone/bbox.txt").read_text().splitlines()[1:]]
    for i, sample in enumerate(scenes.samples):
        counted = sorted((int(r[7]) for r in rows if int(r[0]) == i and int(r[1]) == 0), reverse=True)
        whole = read_scene(sample, scenes.class_names, None)
        assert whole.instances.sum((1, 2)).int().tolist() == counted


def test_the_whole_index_of_birds_is_listed_without_a_picture(tmp_path):
    packed = Path(os.environ["SGPAINT_DATA"]) / "CUB_200_2011/full_metadata"
    if not packed.is_dir(): pytest.skip("no full index of CUB-200-2011 here")
    for path in packed.glob("*.txt.gz"): (tmp_path / path.stem).write_bytes(gzip.decompress(path.read_bytes()))
    assert [len(list_cub(tmp_path, split).samples) for split in SPLITS] == [5994, 5794]


def test_the_whole_devkit_of_cars_is_listed_without_a_picture(tmp_path):
    devkit = Path(os.environ["SGPAINT_DATA"]) / "stanford_cars/devkit_full"
    if not devkit.is_dir(): pytest.skip("no full devkit of Cars-196 here")
    shutil.copytree(devkit, tmp_path / "devkit")
    train, test = (list_cars(tmp_path, split) for split in SPLITS)
    assert (len(train.samples), len(test.samples), len(train.class_names)) == (8144, 8041, 196)
    assert {e.label for e in train.samples} == set(range(196)) and "classes unknown" in test.rule
